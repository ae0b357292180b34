/*
 * ACL responses.  Oracle: letters are a set in one order, and what is written as
 * a server would write it is read again as what it was written from.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "acl.h"
#include "imap/imap_store.h"

int	LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check_letters(const char *rights)
{
	char again[ACL_MAX];

	if (strlen(rights) >= ACL_MAX)
		abort();
	for (const char *p = rights; *p != '\0'; p++)
		if (strchr(p + 1, *p) != NULL)
			abort();
	acl_told(rights, false, again);
	if (strcmp(rights, again) != 0 && strpbrk(rights, "cd") == NULL)
		abort();
}

/* Names and letters of any bytes but NUL as literals. */
static void
written(const struct acl_entry *acl, size_t n)
{
	struct acl_entry *got;
	struct imap_response rs;
	struct imap_stream *st;
	struct imap_reader r;
	struct arena a;
	struct buf b;
	struct err e;
	size_t k;

	buf_init(&b, 1 << 22);
	buf_adds(&b, "* ACL x");
	for (size_t i = 0; i < n; i++)
		buf_addf(&b, " {%zu}\r\n%s {%zu}\r\n%s", strlen(acl[i].who),
		    acl[i].who, strlen(acl[i].rights), acl[i].rights);
	buf_adds(&b, "\r\n");
	arena_init(&a);
	st = imap_stream_memory(b.ptr, b.len, NULL);
	imap_reader_init(&r, st);
	if (imap_read_response(&r, &rs, 0, &e) == -1 ||
	    imap_acl_read(&r, true, &a, &got, &k, &e) == -1 || k != n)
		abort();
	for (size_t i = 0; i < n; i++)
		if (strcmp(got[i].who, acl[i].who) != 0 ||
		    strcmp(got[i].rights, acl[i].rights) != 0)
			abort();
	imap_reader_release(&r);
	imap_stream_free(&st);
	arena_release(&a);
	buf_release(&b);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct imap_response rs;
	struct imap_stream *st;
	struct imap_reader r;
	struct acl_entry *acl;
	struct arena a;
	struct err e;
	size_t n;

	arena_init(&a);
	st = imap_stream_memory(data, size, NULL);
	imap_reader_init(&r, st);
	while (imap_read_response(&r, &rs, 0, &e) == 0) {
		if (rs.kind != IMAP_DATA || strcmp(rs.name, "ACL") != 0)
			continue;
		if (imap_acl_read(&r, true, &a, &acl, &n, &e) == -1)
			break;
		for (size_t i = 0; i < n; i++)
			check_letters(acl[i].rights);
		written(acl, n);
		arena_reset(&a);
	}
	imap_reader_release(&r);
	imap_stream_free(&st);
	arena_release(&a);
	return 0;
}
