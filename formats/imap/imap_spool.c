/* A message on its way: in memory, or in a temporary file without a name. */
#include "imap/imap_spool.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/xmalloc.h"

void
imap_spool_init(struct imap_spool *s, size_t memory_max)
{
	buf_init(&s->mem, memory_max);
	s->fd = -1;
	s->size = 0;
}

void
imap_spool_release(struct imap_spool *s)
{
	buf_release(&s->mem);
	if (s->fd != -1)
		close(s->fd);
	s->fd = -1;
	s->size = 0;
}

static int
open_temporary(struct err *e)
{
	const char *dir = getenv("TMPDIR");
	char path[4096];
	int fd;

	if (dir == NULL || dir[0] != '/')
		dir = "/var/tmp";	/* messages can be larger than memory */
	fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	if (fd != -1)
		return fd;
	snprintf(path, sizeof path, "%s/mailhaul.XXXXXX", dir);
	fd = mkostemp(path, O_CLOEXEC);
	if (fd == -1)
		return err_sys(e, ERR_RUN, "temporary file in %.200s", dir);
	unlink(path);
	return fd;
}

static int
write_all(int fd, const char *p, size_t n, struct err *e)
{
	while (n > 0) {
		ssize_t w = write(fd, p, n);

		if (w == -1 && errno == EINTR)
			continue;
		if (w == -1)
			return err_sys(e, ERR_RUN, "write a temporary file");
		p += w;
		n -= (size_t)w;
	}
	return 0;
}

int
imap_spool_add(struct imap_spool *s, const void *p, size_t n, struct err *e)
{
	if (s->fd == -1 && buf_add(&s->mem, p, n) == -1) {
		if ((s->fd = open_temporary(e)) == -1 ||
		    write_all(s->fd, s->mem.ptr, s->mem.len, e) == -1)
			return -1;
		buf_release(&s->mem);
	}
	if (s->fd != -1 && write_all(s->fd, p, n, e) == -1)
		return -1;
	s->size += n;
	return 0;
}

/* A content that owns its memory. */
struct owned {
	struct content	 c;
	struct buf	 mem;
	size_t		 pos;
};

static ssize_t
owned_read(struct content *c, void *p, size_t n, struct err *e)
{
	struct owned *o = (struct owned *)c;

	(void)e;
	if (n > o->mem.len - o->pos)
		n = o->mem.len - o->pos;
	if (n > 0)
		memcpy(p, o->mem.ptr + o->pos, n);
	o->pos += n;
	return (ssize_t)n;
}

static int
owned_rewind(struct content *c, struct err *e)
{
	(void)e;
	((struct owned *)c)->pos = 0;
	return 0;
}

static void
owned_close(struct content *c)
{
	struct owned *o = (struct owned *)c;

	buf_release(&o->mem);
	free(o);
}

static const struct content_ops owned_ops = {
	.read = owned_read, .rewind = owned_rewind, .close = owned_close,
};

struct content *
imap_spool_content(struct imap_spool *s)
{
	struct content *c;
	struct owned *o;

	if (s->fd != -1) {
		c = content_range(s->fd, true, 0, s->size);
		s->fd = -1;
		s->size = 0;
		return c;
	}
	o = xcalloc(1, sizeof *o);
	o->c.ops = &owned_ops;
	o->c.size = s->size;
	o->c.dirfd = o->c.fd = -1;
	o->mem = s->mem;
	imap_spool_init(s, s->mem.max);
	return &o->c;
}
