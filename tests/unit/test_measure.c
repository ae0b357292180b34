/* measure, crlf, content and header_brief: known answers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "content.h"
#include "measure.h"
#include "repair.h"

static struct measured
of(const char *p, size_t len)
{
	struct measure *m = measure_new();
	struct measured r;

	measure_begin(m);
	if (len > 0)
		measure_add(m, p, len, NULL);
	measure_end(m, &r);
	measure_free(&m);
	return r;
}

#define OF(s) of(s, sizeof(s) - 1)

static void
test_strict(void **state)
{
	static const char crlf[] = "A: b\r\n\r\nc\r\n";
	unsigned char sha[32];
	struct measured m = OF("A: b\n\nc\n");

	(void)state;
	EVP_Digest(crlf, sizeof crlf - 1, sha, NULL, EVP_sha256(), NULL);
	assert_memory_equal(m.digests.strict, sha, 32);
	assert_int_equal(m.size, sizeof crlf - 1);
	assert_int_equal(m.raw_size, 8);
	assert_int_equal(m.oddities, ODD_BARE_LF);
	m = OF("A: b\r\n\r\nc\r\n");
	assert_memory_equal(m.digests.strict, sha, 32);
	assert_int_equal(m.oddities, 0);
	m = OF("A: b\r\n\r\nc\n");
	assert_memory_equal(m.digests.strict, sha, 32);
}

static void
test_sha1(void **state)
{
	static const char stored[] = "A: \xe4\r\nB\xfc: c\r\n\r\n\xe4\r\n";
	static const char munged[] = "A: X\r\nBX: c\r\n\r\n\xe4\r\n";
	struct measure *m = measure_new();
	unsigned char sha[SHA1_LEN];
	struct measured r;

	(void)state;
	r = OF(stored);
	assert_false(r.digests.has_sha1);
	measure_want_sha1(m, true);
	for (size_t step = 1; step < sizeof stored; step++) {
		size_t n = sizeof stored - 1;

		measure_begin(m);
		for (size_t i = 0; i < n; i += step)
			measure_add(m, stored + i, step < n - i ? step : n - i,
			    NULL);
		measure_end(m, &r);
		assert_true(r.digests.has_sha1);
		EVP_Digest(stored, n, sha, NULL, EVP_sha1(), NULL);
		assert_memory_equal(r.digests.sha1, sha, SHA1_LEN);
		EVP_Digest(munged, sizeof munged - 1, sha, NULL, EVP_sha1(),
		    NULL);
		assert_memory_equal(r.digests.munged, sha, SHA1_LEN);
	}
	measure_begin(m);
	measure_add(m, "A: b\n\n\xe4\n", 8, NULL);
	measure_end(m, &r);
	assert_memory_equal(r.digests.sha1, r.digests.munged, SHA1_LEN);
	measure_free(&m);
}

static void
assert_loose(struct measured a, struct measured b, bool equal)
{
	assert_int_equal(memcmp(a.digests.loose, b.digests.loose, 32) == 0,
	    equal);
	assert_int_not_equal(memcmp(a.digests.strict, b.digests.strict, 32),
	    0);
}

static void
test_loose(void **state)
{
	(void)state;
	/* What servers and tools do. */
	assert_loose(OF("A: \xe4\n\nx\n"), OF("A: X\r\n\r\nx\r\n"), true);
	assert_loose(OF("A: b\n\nx\0y\n"), OF("A: b\n\nx\x80y\n"), true);
	assert_loose(OF("A: b\n\nx\0y\n"), OF("A: b\n\nx y\n"), true);
	assert_loose(OF("A: b\n\nx"), OF("A: b\n\nx\n"), true);
	assert_loose(OF("A: b\nX-UID: 12\nStatus: RO\n\nx\n"),
	    OF("A: b\n\nx\n"), true);
	assert_loose(OF("X-TUID: a\n folded\nA: b\n\nx\n"), OF("A: b\n\nx\n"),
	    true);
	assert_loose(OF("A: b\r\r\n\r\nx\r\n"), OF("A: b\r\n\r\nx\r\n"),
	    true);
	assert_loose(OF("hello\n"), OF("\nhello\n"), true);
	assert_loose(OF("A: b\nhello\n"), OF("A: b\n\nhello\n"), true);
	assert_loose(OF("A: b"), OF("A: b\r\n"), true);
	/* What makes another message. */
	assert_loose(OF("A: b\n\nx\n"), OF("A: b\n\ny\n"), false);
	assert_loose(OF("A: b\n\nx\n"), OF("A: c\n\nx\n"), false);
	assert_loose(OF("A: b\n\n\xe4\n"), OF("A: b\n\n\xe5\n"), false);
	assert_loose(OF("A: b\n\nx\n"), OF("A: b\nB: c\n\nx\n"), false);
	assert_loose(OF("A: b\n\nX-UID: 1\nx\n"), OF("A: b\n\nx\n"), false);
	assert_loose(OF("A: b\n\nx\n\ny\n"), OF("A: b\n\nx\ny\n"), false);
	assert_loose(OF("A: b c\n\nx\n"), OF("A: bc\n\nx\n"), false);
}

static void
test_oddities(void **state)
{
	(void)state;
	assert_int_equal(OF("").oddities, ODD_EMPTY);
	assert_int_equal(OF("A: b\r\n\r\nx\0").oddities, ODD_NUL);
	assert_int_equal(OF("A: b\r\n\r\nx\ry").oddities, ODD_BARE_CR);
	assert_int_equal(OF("A: b\r\n\r\nx\r").oddities, ODD_BARE_CR);
	assert_int_equal(OF("A: \xff\r\n\r\nx").oddities, ODD_8BIT_HEADER);
	assert_int_equal(OF("A: b\r\n\r\n\xff").oddities, 0);
	assert_int_equal(OF("hello world\r\n").oddities, ODD_BAD_HEADER);
	assert_int_equal(OF("A: b\r\nhello\r\n\r\n").oddities, ODD_BAD_HEADER);
	assert_int_equal(OF("A: b").oddities, ODD_NO_END);
	assert_int_equal(OF("A: b\r\n").oddities, 0);
}

static void
test_repair(void **state)
{
	struct buf out;
	char what[200];

	(void)state;
	buf_init(&out, 1000);
	assert_false(repair_message("A: b\r\n\r\nx", 9, &out, what,
	    sizeof what));
	assert_true(repair_message("A\0: b\r\n\r\nx\0", 11, &out, what,
	    sizeof what));
	assert_true(repair_message("hi\r\n", 4, &out, what, sizeof what));
	assert_string_equal(out.ptr, "\r\nhi\r\n");
	assert_true(repair_message("A: b", 4, &out, what, sizeof what));
	assert_string_equal(out.ptr, "A: b\r\n");
	assert_string_equal(what, "line end added");
	buf_release(&out);
}

/* The bytes of c, read in pieces of n. */
static void
assert_reads(struct content *c, size_t n, const char *want)
{
	char got[200];
	size_t len = 0;
	struct err e;
	ssize_t k;

	while ((k = content_read(c, got + len, n, &e)) > 0)
		len += (size_t)k;
	assert_int_equal(k, 0);
	got[len] = '\0';
	assert_string_equal(got, want);
	assert_int_equal(content_rewind(c, &e), 0);
}

static void
test_contents(void **state)
{
	static const struct content_cut cuts[] = { { 0, 2 }, { 5, 6 },
	    { 8, 10 } };
	struct content *c;
	struct err e;
	char b[4];
	FILE *f;

	(void)state;
	c = content_without(content_mem("0123456789", 10), cuts, 3);
	assert_int_equal(c->size, 5);
	assert_reads(c, 1, "23467");
	assert_reads(c, 3, "23467");
	assert_reads(c, 100, "23467");
	content_close(&c);
	assert_null(c);
	f = tmpfile();
	fputs("0123456789", f);
	fflush(f);
	c = content_range(fileno(f), false, 2, 5);
	assert_reads(c, 2, "23456");
	assert_int_equal(ftruncate(fileno(f), 4), 0);
	assert_int_equal(content_read(c, b, 4, &e), 2);
	assert_int_equal(content_read(c, b, 4, &e), -1);
	assert_int_equal(e.cause, CAUSE_CHANGED);
	content_close(&c);
	fclose(f);
}

static void
test_header_brief(void **state)
{
	static const char msg[] = "Subject: one\r\n two\x1b[2J\r\n"
	    "MESSAGE-ID:   <a@b>\r\nSubject: later\r\n\r\nMessage-ID: no\r\n";
	char id[20], subject[64], tiny[4];

	(void)state;
	header_brief(msg, sizeof msg - 1, id, sizeof id, subject,
	    sizeof subject);
	assert_string_equal(id, "<a@b>");
	assert_string_equal(subject, "one two?[2J");
	header_brief(msg, sizeof msg - 1, NULL, 0, tiny, sizeof tiny);
	assert_string_equal(tiny, "one");
	header_brief("", 0, id, sizeof id, subject, sizeof subject);
	assert_string_equal(id, "");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_strict),
		cmocka_unit_test(test_sha1),
		cmocka_unit_test(test_loose),
		cmocka_unit_test(test_oddities),
		cmocka_unit_test(test_repair),
		cmocka_unit_test(test_contents),
		cmocka_unit_test(test_header_brief),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
