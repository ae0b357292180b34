/*
 * QUOTA responses.  Oracle: what is kept has bounds; the list that goes back to
 * a server is one pair of parentheses with nothing in it but names and
 * numbers, and is read again as what it was written from.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "imap/imap_quota.h"

int	LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
written(const struct imap_quota *q, uint64_t bytes)
{
	struct imap_response rs;
	struct imap_stream *st;
	struct imap_reader r;
	struct imap_quota again;
	struct buf b, line;
	struct err e;
	size_t others = 0;

	buf_init(&b, 4096);
	imap_quota_list(&b, q, bytes);
	if (b.full || b.ptr[0] != '(' || b.ptr[b.len - 1] != ')' ||
	    strspn(b.ptr + 1, "abcdefghijklmnopqrstuvwxyz"
	    "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789- ") != b.len - 2)
		abort();
	/* With usages it is what a server would answer. */
	buf_init(&line, 8192);
	buf_adds(&line, "* QUOTA x (");
	for (const char *p = b.ptr + 1; *p != ')'; others++) {
		size_t name = strcspn(p, " "), limit;

		buf_addf(&line, "%.*s 0 ", (int)name, p);
		p += name + 1;
		limit = strspn(p, "0123456789");
		if (name == 0 || limit == 0)
			abort();
		buf_addf(&line, "%.*s ", (int)limit, p);
		p += limit;
		if (*p == ' ')
			p++;
	}
	buf_adds(&line, ")\r\n");
	st = imap_stream_memory(line.ptr, line.len, NULL);
	imap_reader_init(&r, st);
	if (imap_read_response(&r, &rs, 0, &e) == -1 ||
	    imap_quota_read(&r, &again, &e) == -1)
		abort();
	if (again.n != others && others <= IMAP_QUOTA_MAX)
		abort();
	if (bytes != UNKNOWN64 && (imap_quota_storage(&again) < bytes ||
	    imap_quota_storage(&again) - bytes >= IMAP_QUOTA_KIB))
		abort();
	imap_reader_release(&r);
	imap_stream_free(&st);
	buf_release(&b);
	buf_release(&line);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct imap_response rs;
	struct imap_stream *st;
	struct imap_reader r;
	struct imap_quota q;
	struct err e;

	st = imap_stream_memory(data, size, NULL);
	imap_reader_init(&r, st);
	while (imap_read_response(&r, &rs, 0, &e) == 0) {
		if (rs.kind != IMAP_DATA || strcmp(rs.name, "QUOTA") != 0)
			continue;
		if (imap_quota_read(&r, &q, &e) == -1)
			break;
		if (q.n > IMAP_QUOTA_MAX)
			abort();
		for (size_t i = 0; i < q.n; i++)
			if (memchr(q.res[i].name, 0,
			    sizeof q.res[i].name) == NULL)
				abort();
		written(&q, size % 3 == 0 ? UNKNOWN64 : size * 1000);
	}
	imap_reader_release(&r);
	imap_stream_free(&st);
	return 0;
}
