/*
 * The values of Cyrus' replication protocol.  Oracle: no token is longer than
 * its limit or than the input, depth stays within bounds, a file gives exactly
 * its length, what is copied is read again as the same, and the reader stops at
 * the first error.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "cyrus/cyrus_box.h"

int	LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
read_file(struct dlist *d, const struct dlist_token *t)
{
	uint64_t got = 0;
	struct err e;
	char chunk[37];
	ssize_t n;

	while ((n = dlist_file(d, chunk, sizeof chunk, &e)) > 0)
		got += (uint64_t)n;
	if (n == 0 && got != t->size)
		abort();
}

/* Tokens as they come. */
static void
walk(const uint8_t *data, size_t size)
{
	struct imap_stream *st = imap_stream_memory(data, size, NULL);
	struct dlist_token t;
	struct dlist d;
	struct err e;

	dlist_init(&d, st);
	err_clear(&e);
	while (dlist_next(&d, &t, &e) == 0) {
		if (t.len > DLIST_TOKEN_MAX || t.len > size || t.p == NULL ||
		    t.p[t.len] != '\0' || d.depth > DLIST_DEPTH_MAX)
			abort();
		if (t.type == DLIST_ATOM && t.len == 0)
			abort();
		if (t.type == DLIST_END && d.depth != 0)
			abort();
		if (t.type == DLIST_FILE && (size & 1) != 0)
			read_file(&d, &t);
	}
	/* Once wrong, always wrong. */
	if (e.text[0] == '\0' || dlist_next(&d, &t, &e) != -1)
		abort();
	dlist_release(&d);
	imap_stream_free(&st);
}

/* One value, copied into out; false: it is none. */
static bool
copy(const char *p, size_t len, struct buf *out)
{
	struct imap_stream *st = imap_stream_memory(p, len, NULL);
	struct dlist_token t;
	struct dlist d;
	struct err e;
	bool ok;

	dlist_init(&d, st);
	ok = dlist_next(&d, &t, &e) == 0 && t.type != DLIST_END &&
	    t.type != DLIST_CLOSE && dlist_copy(&d, &t, out, &e) == 0;
	dlist_release(&d);
	imap_stream_free(&st);
	return ok;
}

static void
copy_twice(const uint8_t *data, size_t size)
{
	struct buf once, twice;

	buf_init(&once, (size_t)1 << 20);
	buf_init(&twice, (size_t)1 << 20);
	if (copy((const char *)data, size, &once)) {
		buf_adds(&once, "\r\n");
		if (!copy(once.ptr, once.len, &twice) ||
		    twice.len != once.len - 2 ||
		    memcmp(once.ptr, twice.ptr, twice.len) != 0)
			abort();
	}
	buf_release(&once);
	buf_release(&twice);
}

static int
one_record(void *ctx, struct cyrus_record *r, struct err *e)
{
	struct buf line;

	(void)ctx;
	(void)e;
	if (r->uid == 0 || r->nkw > CYRUS_KEYWORDS)
		abort();
	for (size_t i = 0; i < r->nkw; i++)
		if (r->kw[i][0] == '\0')
			abort();
	buf_init(&line, (size_t)8 << 20);
	cyrus_record_put(&line, r, true);
	buf_release(&line);
	return 0;
}

/* As a mailbox with its records. */
static void
mailbox(const uint8_t *data, size_t size)
{
	struct imap_stream *st = imap_stream_memory(data, size, NULL);
	struct sync y = { .st = st };
	struct cyrus_box b;
	struct buf line;
	struct err e;

	dlist_init(&y.d, st);
	cyrus_box_init(&b);
	if (cyrus_box_read(&y, &b, "user", one_record, NULL, &e) == 0) {
		buf_init(&line, (size_t)8 << 20);
		cyrus_box_put(&line, &b, 1);
		if (line.len == 0)
			abort();
		buf_release(&line);
	}
	cyrus_box_release(&b);
	dlist_release(&y.d);
	imap_stream_free(&st);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	walk(data, size);
	copy_twice(data, size);
	mailbox(data, size);
	return 0;
}
