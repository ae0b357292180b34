/* COMPRESS=DEFLATE: bytes that come in any pieces are the bytes that went in. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"
#include "imap/imap_deflate.h"
#include "imap/imap_stream.h"

#define SIZE	300000

static unsigned seed = 1;

static unsigned
some(unsigned below)
{
	seed = seed * 1103515245 + 12345;
	return (seed >> 16) % below;
}

/* Half of it compresses well, half not at all. */
static void
make(char *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		p[i] = i % 20000 < 10000 ? (char)some(256) : "mail "[i % 5];
}

static struct imap_deflate *
new(void)
{
	struct err e;
	struct imap_deflate *d = imap_deflate_new(&e);

	assert_non_null(d);
	return d;
}

static void
put(struct imap_deflate *d, const char *p, size_t n, bool flush,
    struct buf *out)
{
	const char *z;
	size_t used, len;

	while (imap_deflate_write(d, p, n, flush, &used, &z, &len) == 1) {
		p += used;
		n -= used;
		assert_int_equal(buf_add(out, z, len), 0);
	}
	assert_int_equal(n, 0);
}

/* All that can be read with n more bytes of input. */
static int
get(struct imap_deflate *d, const char *p, size_t n, struct buf *out)
{
	char piece[1000];
	struct err e;
	size_t got, room;
	void *to;

	for (;;) {
		if (imap_deflate_read(d, piece, 1 + some(sizeof piece), &got,
		    &e) == -1)
			return -1;
		buf_add(out, piece, got);
		if (got > 0 || imap_deflate_pending(d))
			continue;
		if (n == 0)
			return 0;
		to = imap_deflate_room(d, &room);
		assert_true(room > 0);
		if (room > n)
			room = n;
		memcpy(to, p, room);
		imap_deflate_arrived(d, room);
		p += room;
		n -= room;
	}
}

static void
there_and_back(void **state)
{
	struct imap_deflate *a = new(), *b = new();
	char *text = malloc(SIZE);
	struct buf wire, out;
	size_t at = 0, sent = 0;

	(void)state;
	make(text, SIZE);
	buf_init(&wire, 4 * SIZE);
	buf_init(&out, 2 * SIZE);
	while (at < SIZE) {
		size_t n = some(4) == 0 ? 40000 : 1 + some(200);
		bool flush = some(3) == 0;

		if (n > SIZE - at)
			n = SIZE - at;
		put(a, text + at, n, flush, &wire);
		at += n;
		if (!flush)
			continue;
		/* What was flushed can be read. */
		assert_int_equal(get(b, wire.ptr + sent, wire.len - sent,
		    &out), 0);
		sent = wire.len;
		assert_int_equal(out.len, at);
	}
	put(a, "", 0, true, &wire);
	/* A second flush has nothing to send. */
	at = wire.len;
	put(a, "", 0, true, &wire);
	assert_int_equal(wire.len, at);
	assert_int_equal(get(b, wire.ptr + sent, wire.len - sent, &out), 0);
	assert_int_equal(out.len, SIZE);
	assert_memory_equal(out.ptr, text, SIZE);
	assert_true(wire.len < SIZE);
	imap_deflate_free(&a);
	imap_deflate_free(&b);
	assert_null(a);
	imap_deflate_free(&a);
	buf_release(&wire);
	buf_release(&out);
	free(text);
}

static void
nonsense(void **state)
{
	/* Block type 3; a stored block whose lengths disagree; an end, and
	 * more. */
	static const char *const bad[] = { "\7abc", "\1\1\1\1\1",
	    "\3\0* OK" };
	static const size_t len[] = { 4, 5, 6 };
	struct buf out;

	(void)state;
	buf_init(&out, 1000);
	for (size_t i = 0; i < 3; i++) {
		struct imap_deflate *d = new();

		assert_int_equal(get(d, bad[i], len[i], &out), -1);
		imap_deflate_free(&d);
	}
	assert_int_equal(out.len, 0);
	buf_release(&out);
}

/* Through a stream: what was buffered behind the OK is compressed already. */
static void
in_a_stream(void **state)
{
	struct imap_deflate *a = new(), *b = new();
	struct imap_stream *st;
	struct buf in, sent, got;
	const char *p;
	struct err e;
	size_t n;

	(void)state;
	buf_init(&in, 10000);
	buf_init(&sent, 10000);
	buf_init(&got, 10000);
	buf_adds(&in, "m1 OK\r\n");
	put(a, "* 1 EXISTS\r\n", 12, false, &in);
	put(a, "m2 OK\r\n", 7, true, &in);
	st = imap_stream_memory(in.ptr, in.len, &sent);
	assert_int_equal(imap_stream_write(st, "m1 COMPRESS DEFLATE\r\n", 21,
	    &e), 0);
	imap_stream_consume(st, 7);
	assert_int_equal(imap_stream_compress(st, &e), 0);
	assert_int_equal(imap_stream_fill(st, &e), 0);
	n = imap_stream_window(st, &p);
	assert_int_equal(n, 19);
	assert_memory_equal(p, "* 1 EXISTS\r\nm2 OK\r\n", 19);
	imap_stream_consume(st, n);
	assert_int_equal(imap_stream_fill(st, &e), -1);
	assert_non_null(strstr(e.text, "closed by the server"));

	buf_drop(&sent, 21);
	assert_int_equal(imap_stream_write(st, "m2 NOOP\r\n", 9, &e), 0);
	assert_int_equal(imap_stream_flush(st, &e), 0);
	assert_null(memmem(sent.ptr, sent.len, "NOOP\r", 5));
	assert_int_equal(get(b, sent.ptr, sent.len, &got), 0);
	assert_int_equal(got.len, 9);
	assert_memory_equal(got.ptr, "m2 NOOP\r\n", 9);
	imap_stream_free(&st);
	imap_deflate_free(&a);
	imap_deflate_free(&b);
	buf_release(&in);
	buf_release(&sent);
	buf_release(&got);
}

/* A few bytes that stand for very many come in pieces that fit. */
static void
bomb(void **state)
{
	struct imap_deflate *a = new();
	char *zeros = calloc(1, 1 << 20);
	struct imap_stream *st;
	struct buf in;
	uint64_t total = 0;
	const char *p;
	struct err e;
	size_t n;

	(void)state;
	buf_init(&in, 1 << 20);
	for (int i = 0; i < 20; i++)
		put(a, zeros, 1 << 20, i == 19, &in);
	assert_true(in.len < 32768);
	st = imap_stream_memory(in.ptr, in.len, NULL);
	assert_int_equal(imap_stream_compress(st, &e), 0);
	imap_stream_limits(st, 60, 600);
	while (imap_stream_fill(st, &e) == 0) {
		n = imap_stream_window(st, &p);
		assert_true(n <= 1 << 20);
		total += n;
		imap_stream_consume(st, n);
	}
	assert_true(total == (uint64_t)20 << 20);
	imap_stream_free(&st);
	imap_deflate_free(&a);
	buf_release(&in);
	free(zeros);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(there_and_back),
		cmocka_unit_test(nonsense),
		cmocka_unit_test(in_a_stream),
		cmocka_unit_test(bomb),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
