/*
 * COMPRESS=DEFLATE.  The input as what a server sends: it is read in pieces or
 * refused, and gives no more than deflate can pack.  And as a text: what was
 * compressed in pieces is the same when it is read.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "imap/imap_deflate.h"

#define RATIO	1100	/* of what deflate packs at most */

int	LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Reads it in pieces of n bytes: 0 or -1. */
static int
read_all(const void *p, size_t size, size_t n, struct buf *out)
{
	struct imap_deflate *d;
	const char *in = p;
	char piece[4096];
	size_t got, room;
	struct err e;
	int rc = 0;
	void *to;

	if ((d = imap_deflate_new(&e)) == NULL)
		abort();
	while ((rc = imap_deflate_read(d, piece, n < sizeof piece ? n :
	    sizeof piece, &got, &e)) == 0) {
		buf_add(out, piece, got);
		if (got > 0 || imap_deflate_pending(d))
			continue;
		if (size == 0)
			break;
		to = imap_deflate_room(d, &room);
		if (room == 0)
			abort();
		if (room > n)
			room = n;
		if (room > size)
			room = size;
		memcpy(to, in, room);
		imap_deflate_arrived(d, room);
		in += room;
		size -= room;
	}
	if (rc == -1 && (e.scope == ERR_NONE || e.text[0] == '\0'))
		abort();
	imap_deflate_free(&d);
	return rc;
}

static void
there_and_back(const uint8_t *data, size_t size, size_t n)
{
	struct imap_deflate *d;
	struct buf wire, out;
	const char *z;
	size_t at = 0, used, len;
	struct err e;

	if ((d = imap_deflate_new(&e)) == NULL)
		abort();
	buf_init(&wire, 1 << 24);
	buf_init(&out, 1 << 24);
	while (at < size) {
		size_t end = at + n < size ? at + n : size;
		bool flush = end == size || data[at] % 3 == 0;

		while (imap_deflate_write(d, data + at, end - at, flush, &used,
		    &z, &len) == 1) {
			at += used;
			buf_add(&wire, z, len);
		}
		if (at != end)
			abort();
	}
	if (read_all(wire.ptr, wire.len, n, &out) == -1 || out.len != size ||
	    memcmp(out.ptr, data, size) != 0)
		abort();
	imap_deflate_free(&d);
	buf_release(&wire);
	buf_release(&out);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buf out;
	size_t n;

	if (size < 2 || size > 65536)
		return 0;
	n = 1 + data[0] * 17u;
	buf_init(&out, (size_t)1 << 30);
	read_all(data + 1, size - 1, n, &out);
	if (out.len > size * RATIO)
		abort();
	buf_release(&out);
	there_and_back(data + 1, size - 1, n);
	return 0;
}
