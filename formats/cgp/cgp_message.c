/* Messages of a listed mailbox: their facts and contents. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/xmalloc.h"
#include "cgp/cgp_file.h"
#include "cgp/cgp_head.h"
#include "cgp/cgp_impl.h"
#include "cgp/cgp_name.h"

#define READAHEAD_MAX	((uint64_t)1 << 20)

static void
remember_tail(struct cgp_box *b, const struct cgp_entry *x)
{
	struct cgp_file_name fn;
	const char *tail = x->name;

	if (b->f->kind == CGP_MDIR)
		tail = cgp_file_parse(&fn, x->name, strlen(x->name)) ==
		    CGP_FILE_MESSAGE ? fn.tail : "";
	snprintf(b->tail, sizeof b->tail, "%s", tail);
	b->zoned = x->zoned;
}

int
cgp_message(struct cgp *c, struct arena *a, struct msg_meta *m, struct err *e)
{
	struct cgp_box *b = &c->box;
	struct cgp_entry x;
	const void *rec;
	uint64_t key;
	size_t len;
	int rc;

	do {
		if ((rc = spill_next(b->entries, &key, &rec, &len, e)) != 1)
			return rc;
		/* The last one may be half written. */
		if (key >= b->count)
			return 0;
		if (cgp_entry_get(&x, rec, len) == -1)
			return err_set(e, ERR_MAILBOX, "damaged temporary "
			    "table");
	} while (b->by_uid && x.uid != 0 && x.uid < b->from_uid);

	remember_tail(b, &x);
	if (b->by_uid && x.uid != 0) {
		m->uid = x.uid;
		m->key = arena_printf(a, "%" PRIu32 ".%" PRIu32,
		    b->uidvalidity, x.uid);
	} else if (b->by_uid) {
		/* Another message has the UID: it is in the suffix's place. */
		uint32_t uid = 0;
		struct cgp_file_name fn;

		if (cgp_file_parse(&fn, x.name, strlen(x.name)) ==
		    CGP_FILE_MESSAGE)
			uid = fn.uid;
		m->key = arena_printf(a, "%" PRIu32 ".%" PRIu32 "%s",
		    b->uidvalidity, uid, x.suffix);
	}
	cgp_flags_apply(&c->flags, x.letters, x.nletters, a, m, b->unknown);
	m->date = x.date;
	m->zone = x.zone;
	m->date_origin = (enum date_origin)x.origin;
	if (m->date == NO_DATE)
		m->oddities |= ODD_NO_DATE;
	m->size = x.size;
	m->cookie = x.at;
	m->where = b->f->kind == CGP_MDIR ? arena_strdup(a, x.name) :
	    arena_printf(a, "offset %" PRIu64, x.at);
	if (m->size == 0)
		m->oddities |= ODD_EMPTY;
	return 1;
}

/* Contents are read soon: let the disk begin. */
int
cgp_want(struct source *s, const struct msg_meta *const *metas, size_t n,
    struct err *e)
{
	struct cgp *c = (struct cgp *)s;
	struct stat st;
	size_t i;
	int fd;

	(void)e;
	if (c->box.f->kind != CGP_MDIR)
		return 0;
	for (i = 0; i < n; i++) {
		if (metas[i]->size > READAHEAD_MAX ||
		    (fd = cgp_open(c->box.fd, metas[i]->where, &st)) == -1)
			continue;
		(void)posix_fadvise(fd, 0, 0, POSIX_FADV_WILLNEED);
		close(fd);
	}
	return 0;
}

static int
mdir_content(struct cgp *c, const struct msg_meta *m, struct content **out,
    struct err *e)
{
	struct cgp_file_name fn;
	struct stat st;
	int64_t skip;
	int fd;

	cgp_file_parse(&fn, m->where, strlen(m->where));
	fd = cgp_mdir_open(c, m->where, fn.uid, m->cookie, m->uid != 0, &st);
	if (fd == -1) {
		if (errno == ENOENT)
			return 0;
		if (errno == ELOOP || errno == EINVAL)
			return err_set(e, ERR_MESSAGE, "no plain file: not "
			    "read");
		return err_sys(e, quiet_scope(errno, ERR_MESSAGE), "open");
	}
	if ((skip = cgp_head_preamble(fd)) == -1) {
		err_sys(e, quiet_scope(errno, ERR_MESSAGE), "read");
		close(fd);
		return -1;
	}
	if (skip > 0)
		cgp_tell(c, W_PREAMBLE, m->where, "begins with the envelope "
		    "of the mail queue (%" PRId64 " bytes): left out", skip);
	*out = content_range(fd, true, (uint64_t)skip,
	    (uint64_t)st.st_size - (uint64_t)skip);
	return 1;
}

/* A message of a text mailbox: its end is told only if the file is still what
 * it was, so that no torn read is taken for a message. */

struct checked {
	struct content	 c;
	struct content	*inner;
	struct cgp	*src;
};

static ssize_t
checked_read(struct content *c, void *p, size_t n, struct err *e)
{
	struct checked *x = (struct checked *)c;
	ssize_t got = content_read(x->inner, p, n, e);

	/* A file that became shorter is no harm of this message alone. */
	if ((got == 0 && n > 0) || (got == -1 && e->cause == CAUSE_CHANGED))
		return cgp_mbox_check(x->src, e) == -1 ? -1 : got;
	return got;
}

static int
checked_rewind(struct content *c, struct err *e)
{
	return content_rewind(((struct checked *)c)->inner, e);
}

static void
checked_close(struct content *c)
{
	content_close(&((struct checked *)c)->inner);
	free(c);
}

static struct content *
checked_range(struct cgp *src, uint64_t at, uint64_t size)
{
	static const struct content_ops ops = {
		.read = checked_read, .rewind = checked_rewind,
		.close = checked_close,
	};
	struct checked *x = xcalloc(1, sizeof *x);

	x->c.ops = &ops;
	x->c.size = size;
	x->c.dirfd = x->c.fd = -1;
	x->inner = content_range(src->box.fd, false, at, size);
	x->src = src;
	return &x->c;
}

int
cgp_content(struct source *s, const struct msg_meta *m, struct content **out,
    struct err *e)
{
	struct cgp *c = (struct cgp *)s;

	if (c->box.f->kind == CGP_MDIR)
		return mdir_content(c, m, out, e);
	if (cgp_mbox_check(c, e) == -1)
		return -1;
	*out = checked_range(c, m->cookie, m->size);
	return 1;
}
