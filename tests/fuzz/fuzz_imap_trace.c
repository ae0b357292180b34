/*
 * The trace of a session.  Oracle: it does not depend on what is cut.  The
 * input goes where contents and secrets go, in literals, in quoted strings, in
 * logins; the lines must be those that as many "x" give.  Then the input is
 * everything that the server says, and everything that we send in pieces.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/xmalloc.h"
#include "imap/imap_session.h"
#include "imap/imap_trace.h"

int	LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct store_conf conf = { .cancel_fd = -1 };

static void
keep(void *ctx, const char *line)
{
	/* The session's number differs. */
	line = strchr(line, ' ');
	if (line == NULL || strchr(line, '\n') != NULL || strlen(line) > 2000)
		abort();
	buf_adds(ctx, line);
	buf_addc(ctx, '\n');
}

/* Reads what the server says to its end; pieces: what we send, in pieces. */
static void
run(struct buf *lines, const struct buf *server, const struct buf *client,
    size_t piece)
{
	struct imap_stream *st = imap_stream_memory(server->ptr, server->len,
	    NULL);
	struct imap_response rs;
	struct imap_trace *t;
	struct imap_reader r;
	struct err e;

	conf.trace = keep;
	conf.trace_ctx = lines;
	buf_reset(lines);
	t = imap_trace_new(&conf);
	for (size_t i = 0; i < client->len; i += piece)
		imap_trace_sent(t, client->ptr + i, client->len - i < piece ?
		    client->len - i : piece);
	imap_reader_init(&r, st);
	r.trace = t;
	while (imap_read_response(&r, &rs, 0, &e) == 0)
		;
	imap_trace_free(&t);
	imap_reader_release(&r);
	imap_stream_free(&st);
}

static void
must_be_equal(const struct buf *a, const struct buf *b)
{
	if (a->len != b->len || memcmp(a->ptr, b->ptr, a->len) != 0)
		abort();
}

/* The input as it stands in a quoted string: no CR, LF or NUL. */
static void
add_quoted(struct buf *b, const char *p, size_t n)
{
	buf_addc(b, '"');
	for (size_t i = 0; i < n; i++) {
		char c = p[i] == '\r' || p[i] == '\n' || p[i] == '\0' ? '.' :
		    p[i];

		if (c == '"' || c == '\\')
			buf_addc(b, '\\');
		buf_addc(b, c);
	}
	buf_addc(b, '"');
}

static void
fill(struct buf *server, struct buf *client, const char *p, size_t n)
{
	buf_reset(server);
	buf_addf(server, "* 1 FETCH (UID 5 BODY[] {%zu}\r\n", n);
	buf_add(server, p, n);
	buf_adds(server, " BODY[TEXT] ");
	add_quoted(server, p, n);
	buf_adds(server, " ENVELOPE (NIL ");
	add_quoted(server, p, n);
	buf_addf(server, " {%zu}\r\n", n);
	buf_add(server, p, n);
	buf_addf(server, "))\r\n* LIST () \"/\" ~{%zu}\r\n", n);
	buf_add(server, p, n);
	buf_adds(server, "\r\n* 2 EXISTS\r\n");

	buf_reset(client);
	buf_addf(client, "m1 APPEND \"x\" (\\Seen) {%zu+}\r\n", n);
	buf_add(client, p, n);
	buf_addf(client, " {%zu}\r\n", n);
	buf_add(client, p, n);
	buf_adds(client, "\r\nm2 LOGIN ");
	add_quoted(client, p, n);
	buf_addf(client, " {%zu}\r\n", n);
	buf_add(client, p, n);
	buf_adds(client, "\r\nm3 NOOP\r\n");
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buf server, client, lines, other, none;
	char *input, *crosses;
	size_t piece;

	if (size == 0 || size > 8192)
		return 0;
	piece = 1 + data[0] % 61;
	input = xmemdup0(data + 1, size - 1);
	size--;
	crosses = xcalloc(1, size + 1);
	/* What needs a backslash is one byte of the string all the same. */
	memset(crosses, 'x', size);
	buf_init(&server, 1 << 20);
	buf_init(&client, 1 << 20);
	buf_init(&lines, 1 << 22);
	buf_init(&other, 1 << 22);
	buf_init(&none, 1);

	fill(&server, &client, input, size);
	run(&lines, &server, &client, piece);
	fill(&server, &client, crosses, size);
	run(&other, &server, &client, 1 << 20);
	must_be_equal(&lines, &other);

	buf_reset(&server);
	buf_add(&server, input, size);
	run(&lines, &server, &none, 1);
	run(&lines, &none, &server, 1 << 20);
	run(&other, &none, &server, piece);
	must_be_equal(&lines, &other);

	buf_release(&server);
	buf_release(&client);
	buf_release(&lines);
	buf_release(&other);
	free(input);
	free(crosses);
	return 0;
}
