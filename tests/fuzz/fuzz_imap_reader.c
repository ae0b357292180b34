/*
 * Our own reader of server responses.  Oracle: no token is longer than its
 * limit or than the input, depth stays within bounds, numbers fit, a literal
 * gives exactly its length, and the reader stops at the first error.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "imap/imap_reader.h"

int	LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
tokens(struct imap_reader *r, size_t size, uint8_t mode)
{
	struct imap_token t;
	struct err e;
	char chunk[37];

	do {
		if (imap_read_token(r, &t, &e) == -1)
			return;
		if (t.len > IMAP_TOKEN_MAX || t.len > size || t.p == NULL ||
		    t.p[t.len] != '\0' || r->depth > IMAP_DEPTH_MAX)
			abort();
		if (t.type == IMAP_ATOM && t.len == 0)
			abort();
		if (t.type == IMAP_OPEN && mode & 2) {
			if (imap_skip_value(r, &t, &e) == -1)
				return;
		} else if (t.type == IMAP_LITERAL && mode & 4) {
			uint64_t want = t.size;

			if (imap_token_string(r, &t, &e) == -1)
				return;
			if (t.len != want)
				abort();
		} else if (t.type == IMAP_LITERAL && mode & 8) {
			uint64_t got = 0;
			ssize_t n;

			while ((n = imap_read_literal(r, chunk, sizeof chunk,
			    &e)) > 0)
				got += (uint64_t)n;
			if (n == -1)
				return;
			if (got != t.size)
				abort();
		}
	} while (t.type != IMAP_END);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct imap_stream *st;
	struct imap_reader r;
	struct imap_response rs;
	struct err e;
	uint8_t mode;

	if (size == 0)
		return 0;
	mode = data[0];
	st = imap_stream_memory(data + 1, size - 1, NULL);
	imap_reader_init(&r, st);
	err_clear(&e);
	while (imap_read_response(&r, &rs, mode & 1 ? 500 : 0, &e) == 0) {
		if (strlen(rs.text) + strlen(rs.args) > size ||
		    strlen(rs.code) >= sizeof rs.code)
			abort();
		if (rs.kind == IMAP_TAGGED && rs.tag[0] == '\0')
			abort();
		if (rs.kind == IMAP_DATA && mode & 16)
			tokens(&r, size, mode);
	}
	/* Once wrong, always wrong. */
	if (e.text[0] == '\0' ||
	    imap_read_response(&r, &rs, 0, &e) != -1)
		abort();
	imap_reader_release(&r);
	imap_stream_free(&st);
	return 0;
}
