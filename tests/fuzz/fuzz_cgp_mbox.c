/* Text mailboxes, read through a small window: the same messages are found as
 * by a plain walk over all lines. */
#include <assert.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "cgp/cgp_impl.h"
#include "cgp/cgp_name.h"

int	LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct found {
	size_t		 at, end;
	uint32_t	 uid;
};

static bool
empty_line(const char *p, size_t n)
{
	return n == 0 || (n == 1 && *p == '\r');
}

static bool
counts(const struct cgp_sep *s, enum cgp_dialect d, enum cgp_sep_kind *first)
{
	if (s->kind == CGP_SEP_NONE)
		return false;
	if (*first == CGP_SEP_NONE)
		*first = s->kind;
	return s->kind == CGP_SEP_CGP || d == DIALECT_PLAIN ||
	    (d == DIALECT_AUTO && *first == CGP_SEP_PLAIN);
}

/* Where a message ends whose text goes to end: without one empty line. */
static size_t
without_empty(const char *p, size_t at, size_t end)
{
	if (end >= at + 2 && p[end - 1] == '\n' && p[end - 2] == '\n')
		return end - 1;
	if (end >= at + 3 && p[end - 1] == '\n' && p[end - 2] == '\r' &&
	    p[end - 3] == '\n')
		return end - 2;
	/* The separator's own line end is before it. */
	if (end == at + 1 && p[at] == '\n')
		return at;
	if (end == at + 2 && p[at] == '\r' && p[at + 1] == '\n')
		return at;
	return end;
}

/* The number of messages, or -1: no text mailbox. */
static long
walk(const char *p, size_t size, enum cgp_dialect d, struct found *f)
{
	enum cgp_sep_kind first = CGP_SEP_NONE;
	size_t i = 0, len, next;
	bool after_empty = true, any = false;
	struct cgp_sep s;
	const char *lf;
	long n = 0;

	if (size >= 3 && memcmp(p, "\xef\xbb\xbf", 3) == 0)
		i = 3;
	while (i < size && (p[i] == '\n' || p[i] == '\r'))
		i++;
	for (; i < size; i = next) {
		lf = memchr(p + i, '\n', size - i);
		len = lf != NULL ? (size_t)(lf - p) - i : size - i;
		next = i + len + (lf != NULL);
		if (len > 0 && p[i + len - 1] == '\r')
			cgp_sep_parse(&s, p + i, len - 1);
		else
			cgp_sep_parse(&s, p + i, len);
		if (after_empty && counts(&s, d, &first)) {
			if (n > 0)
				f[n - 1].end = without_empty(p, f[n - 1].at,
				    i);
			f[n].at = next;
			f[n].end = size;
			f[n++].uid = s.kind == CGP_SEP_CGP ? s.uid : 0;
		}
		after_empty = empty_line(p + i, len);
		any = true;
		if (n == 0)
			return -1;
	}
	if (n > 0)
		f[n - 1].end = without_empty(p, f[n - 1].at, size);
	return any ? n : 0;
}

static void
no_warning(void *ctx, const char *mailbox, const char *where,
    const char *text)
{
	(void)ctx;
	(void)mailbox;
	(void)where;
	(void)text;
}

static void
compare(struct cgp *c, const struct found *f, long n)
{
	struct cgp_entry x;
	const void *rec;
	uint64_t key;
	size_t len;
	struct err e;
	long i = 0;

	/* UW's own message is left out where it is the first. */
	assert((long)c->box.count <= n);
	f += n - (long)c->box.count;
	n = (long)c->box.count;
	while (spill_next(c->box.entries, &key, &rec, &len, &e) == 1) {
		assert(i < n && cgp_entry_get(&x, rec, len) == 0);
		assert(x.at == f[i].at && x.at + x.size == f[i].end);
		assert(x.uid == f[i].uid);
		i++;
	}
	assert(i == n);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct cgp_folder folder = { .kind = CGP_MBOX, .raw = "INBOX" };
	struct found *f;
	struct cgp c;
	struct err e;
	long n;
	int rc;

	if (size == 0)
		return 0;
	memset(&c, 0, sizeof c);
	c.s.conf.warn = no_warning;
	c.s.conf.cancel_fd = -1;
	c.dialect = (enum cgp_dialect)(data[0] % 3);
	c.window = 2 * CGP_SEP_MAX + 1;
	data++;
	size--;
	c.box.f = &folder;
	c.box.fd = memfd_create("mbox", MFD_CLOEXEC);
	assert(c.box.fd != -1);
	assert(write(c.box.fd, data, size) == (ssize_t)size);
	assert(fstat(c.box.fd, &c.box.st) == 0);
	c.box.size = size;
	f = calloc(size / 5 + 2, sizeof *f);
	assert(f != NULL);
	n = walk((const char *)data, size, c.dialect, f);
	rc = cgp_mbox_list(&c, &e);
	assert((rc == -1) == (n == -1));
	if (rc == 0)
		compare(&c, f, n);
	spill_free(&c.box.entries);
	close(c.box.fd);
	free(f);
	return 0;
}
