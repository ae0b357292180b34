/* Contents: memory, a range of a file, and a content with parts left out. */
#include "content.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/xmalloc.h"
#include "message.h"

ssize_t
content_read(struct content *c, void *p, size_t n, struct err *e)
{
	return c->ops->read(c, p, n, e);
}

int
content_rewind(struct content *c, struct err *e)
{
	return c->ops->rewind(c, e);
}

void
content_close(struct content **cp)
{
	struct content *c = *cp;

	if (c != NULL)
		c->ops->close(c);
	*cp = NULL;
}

static void
content_init(struct content *c, const struct content_ops *ops, uint64_t size)
{
	c->ops = ops;
	c->size = size;
	c->dirfd = c->fd = -1;
	c->name = NULL;
}

/* Memory. */

struct content_memory {
	struct content	 c;
	const char	*p;
	size_t		 len, pos;
};

static ssize_t
memory_read(struct content *c, void *p, size_t n, struct err *e)
{
	struct content_memory *m = (struct content_memory *)c;

	(void)e;
	if (n > m->len - m->pos)
		n = m->len - m->pos;
	if (n > 0)
		memcpy(p, m->p + m->pos, n);
	m->pos += n;
	return (ssize_t)n;
}

static int
memory_rewind(struct content *c, struct err *e)
{
	(void)e;
	((struct content_memory *)c)->pos = 0;
	return 0;
}

static void
memory_close(struct content *c)
{
	free(c);
}

static const struct content_ops memory_ops = {
	.read = memory_read, .rewind = memory_rewind, .close = memory_close,
};

struct content *
content_mem(const void *p, size_t len)
{
	struct content_memory *m = xcalloc(1, sizeof *m);

	content_init(&m->c, &memory_ops, len);
	m->p = p;
	m->len = len;
	return &m->c;
}

/* A range of a file. */

struct content_file_range {
	struct content	 c;
	int		 fd;
	bool		 owned;
	uint64_t	 off, pos;	/* pos counts from off */
};

static ssize_t
range_read(struct content *c, void *p, size_t n, struct err *e)
{
	struct content_file_range *r = (struct content_file_range *)c;
	ssize_t got;

	if (n > r->c.size - r->pos)
		n = (size_t)(r->c.size - r->pos);
	if (n == 0)
		return 0;
	do
		got = pread(r->fd, p, n, (off_t)(r->off + r->pos));
	while (got == -1 && errno == EINTR);
	if (got == -1)
		return err_sys(e, errno == EIO || errno == ESTALE ? ERR_HOST :
		    ERR_MESSAGE, "read at offset %" PRIu64, r->off + r->pos);
	if (got == 0) {
		err_retry(e, ERR_MESSAGE, "file became shorter while read");
		e->cause = CAUSE_CHANGED;
		return -1;
	}
	r->pos += (uint64_t)got;
	return got;
}

static int
range_rewind(struct content *c, struct err *e)
{
	(void)e;
	((struct content_file_range *)c)->pos = 0;
	return 0;
}

static void
range_close(struct content *c)
{
	struct content_file_range *r = (struct content_file_range *)c;

	if (r->owned)
		close(r->fd);
	free(r);
}

static const struct content_ops range_ops = {
	.read = range_read, .rewind = range_rewind, .close = range_close,
};

struct content *
content_range(int fd, bool owned, uint64_t off, uint64_t len)
{
	struct content_file_range *r = xcalloc(1, sizeof *r);

	content_init(&r->c, &range_ops, len);
	r->fd = fd;
	r->owned = owned;
	r->off = off;
	return &r->c;
}

struct content *
content_file(int fd, uint64_t len)
{
	struct content *c = content_range(fd, true, 0, len);

	c->fd = fd;
	return c;
}

/* A content with parts left out. */

struct content_cutter {
	struct content	 c;
	struct content	*inner;
	uint64_t	 pos;		/* in inner */
	size_t		 ncuts, next;	/* next: first cut not yet passed */
	struct content_cut cuts[];
};

static ssize_t
cutter_read(struct content *c, void *p, size_t n, struct err *e)
{
	struct content_cutter *x = (struct content_cutter *)c;
	char skip[4096];
	ssize_t got;

	for (;;) {
		uint64_t until = UINT64_MAX;
		size_t want = n;

		if (x->next < x->ncuts) {
			const struct content_cut *cut = &x->cuts[x->next];

			if (x->pos >= cut->end) {
				x->next++;
				continue;
			}
			if (x->pos >= cut->start) {
				uint64_t left = cut->end - x->pos;

				want = left < sizeof skip ? (size_t)left :
				    sizeof skip;
				got = content_read(x->inner, skip, want, e);
				if (got <= 0)
					return got;
				x->pos += (uint64_t)got;
				continue;
			}
			until = cut->start;
		}
		if (until - x->pos < want)
			want = (size_t)(until - x->pos);
		got = content_read(x->inner, p, want, e);
		if (got > 0)
			x->pos += (uint64_t)got;
		return got;
	}
}

static int
cutter_rewind(struct content *c, struct err *e)
{
	struct content_cutter *x = (struct content_cutter *)c;

	x->pos = 0;
	x->next = 0;
	return content_rewind(x->inner, e);
}

static void
cutter_close(struct content *c)
{
	struct content_cutter *x = (struct content_cutter *)c;

	content_close(&x->inner);
	free(x);
}

static const struct content_ops cutter_ops = {
	.read = cutter_read, .rewind = cutter_rewind, .close = cutter_close,
};

struct content *
content_without(struct content *inner, const struct content_cut *cuts,
    size_t ncuts)
{
	struct content_cutter *x;
	uint64_t size = inner->size;

	x = xcalloc(1, sizeof *x + ncuts * sizeof *cuts);
	for (size_t i = 0; i < ncuts && size != UNKNOWN64; i++)
		size -= cuts[i].end - cuts[i].start;
	content_init(&x->c, &cutter_ops, size);
	x->inner = inner;
	x->ncuts = ncuts;
	if (ncuts > 0)
		memcpy(x->cuts, cuts, ncuts * sizeof *cuts);
	return &x->c;
}
