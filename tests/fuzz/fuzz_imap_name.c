/*
 * Mailbox names.  The input is a dialect, a separator and a path.  Oracle: the
 * name decodes to exactly the path it was made of (so no two paths share a
 * name), it can be quoted, it has no byte that the server refuses, and a name
 * out of the blue either does not decode or encodes to itself again.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "imap/imap_name.h"

int	LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check_made(const struct imap_name_rules *r, const struct buf *name,
    const char *const *path, size_t n)
{
	struct buf back, quoted;
	const char *p;
	size_t k;

	buf_init(&back, 1 << 16);
	buf_init(&quoted, 1 << 16);
	if (imap_name_undo(r, name->ptr, &back, &k) == -1 || k != n)
		abort();
	p = back.ptr;
	for (size_t i = 0; i < n; i++, p += strlen(p) + 1)
		if (strcmp(p, path[i]) != 0)
			abort();
	if (imap_quote(&quoted, name->ptr, name->len) == -1)
		abort();
	if (r->dialect == IMAP_CYRUS &&
	    strpbrk(name->ptr, "!\"%;<>\\^`{|}") != NULL)
		abort();
	buf_release(&back);
	buf_release(&quoted);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const enum imap_dialect dialects[] = {
		IMAP_OTHER, IMAP_DOVECOT, IMAP_CYRUS, IMAP_COURIER
	};
	static char other[] = "Other Users/";
	char *others_w[1] = { other };
	struct imap_words others = { others_w, 1, 1 };
	struct imap_name_rules r = { .others = &others };
	const char *path[20], *const *read;
	struct buf name, back;
	struct arena a;
	char text[600];
	size_t n = 0, k;
	bool enc, raw;

	if (size < 3 || size > 500)
		return 0;
	r.dialect = dialects[data[0] & 3];
	r.sep = data[0] & 4 ? '.' : '/';
	r.prefix = !(data[0] & 8) ? "" : r.sep == '.' ? "INBOX." : "INBOX/";
	r.old_cyrus = data[0] & 16;
	r.no_dot = data[0] & 32;
	r.no_tilde = r.no_maildir = data[0] & 64;
	r.no_dbox = data[0] & 128;
	memcpy(text, data + 1, size - 1);
	text[size - 1] = '\0';

	/* The levels are ended by NUL. */
	for (size_t i = 0; i < size - 1 && n < 20; i += strlen(text + i) + 1)
		path[n++] = text + i;
	buf_init(&name, 1 << 14);
	buf_init(&back, 1 << 14);
	if (imap_name_make(&r, &name, path, n, &enc) == 0)
		check_made(&r, &name, path, n);

	buf_reset(&name);
	if (imap_name_undo(&r, text, &back, &k) == 0) {
		const char *p = back.ptr;

		if (k > 20)
			k = 0;
		for (size_t i = 0; i < k; i++, p += strlen(p) + 1)
			path[i] = p;
		if (k > 0 && (imap_name_make(&r, &name, path, k, &enc) == -1 ||
		    strcmp(name.ptr, text) != 0))
			abort();
	}
	arena_init(&a);
	imap_name_read(&r, &a, text, &read, &k, &raw);
	if (k == 0)
		abort();
	arena_release(&a);
	buf_release(&name);
	buf_release(&back);
	return 0;
}
