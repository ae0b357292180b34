/* IMAP words: quoting, keywords, flags, dates, numbers, UID sets; and names. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "imap/imap_name.h"
#include "imap/imap_text.h"

static void
quotes(const char *s, size_t len, const char *want)
{
	struct buf b;
	int rc;

	buf_init(&b, 100);
	buf_adds(&b, "X");
	rc = imap_quote(&b, s, len);
	assert_int_equal(rc, want == NULL ? -1 : 0);
	assert_string_equal(b.ptr + 1, want == NULL ? "" : want);
	buf_release(&b);
}

static void
quoting(void **state)
{
	(void)state;
	quotes("INBOX", 5, "\"INBOX\"");
	quotes("a \"b\" \\c", 8, "\"a \\\"b\\\" \\\\c\"");
	quotes("", 0, "\"\"");
	quotes("a\r\nb", 4, NULL);
	quotes("a\0b", 3, NULL);
	quotes("a\177", 2, NULL);
	quotes("gr\303\274n", 5, NULL);
}

static void
keywords(void **state)
{
	static const struct { const char *kw; bool dovecot, cyrus, other; }
	    t[] = {
		{ "$Forwarded", true, true, true },
		{ "NonJunk", true, true, true },
		{ "", false, false, false },
		{ "a b", false, false, false },
		{ "a]", false, true, false },
		{ "[a", true, true, false },
		{ "a*", false, false, false },
		{ "a%", false, false, false },
		{ "a{", false, false, false },
		{ "(a", false, false, false },
		{ "a\"", false, false, false },
		{ "\\Seen", false, false, false },
		{ "a\r\nX LOGOUT", false, false, false },
		{ "gr\303\274n", false, false, false },
		{ "&AOk-/'a,b;c=d|e~f#g:h", true, true, true },
		{ "12345678901234567890123456789012345678901234567890",
		    true, true, true },
		{ "123456789012345678901234567890123456789012345678901",
		    false, true, false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof t / sizeof t[0]; i++) {
		assert_int_equal(imap_keyword_ok(IMAP_DOVECOT, t[i].kw),
		    t[i].dovecot);
		assert_int_equal(imap_keyword_ok(IMAP_CYRUS, t[i].kw),
		    t[i].cyrus);
		assert_int_equal(imap_keyword_ok(IMAP_OTHER, t[i].kw),
		    t[i].other);
	}
}

static void
flags(void **state)
{
	const char *const kw[] = { "$A", "b" };
	struct buf b;

	(void)state;
	buf_init(&b, 200);
	imap_flag_names(&b, MSG_SEEN | MSG_DRAFT, kw, 2);
	assert_string_equal(b.ptr, "\\Seen \\Draft $A b");
	buf_reset(&b);
	imap_flag_names(&b, 0, kw, 1);
	assert_string_equal(b.ptr, "$A");
	buf_release(&b);
	assert_int_equal(imap_flag_bit("\\SEEN", 5), MSG_SEEN);
	assert_int_equal(imap_flag_bit("\\Seen", 4), 0);
	assert_int_equal(imap_flag_bit("\\Recent", 7), 0);
}

static void
dates(void **state)
{
	struct buf b;

	(void)state;
	assert_int_equal(imap_clamp_date(-1, 100), 1);
	assert_int_equal(imap_clamp_date(0, 100), 1);
	assert_int_equal(imap_clamp_date(1, 100), 1);
	assert_int_equal(imap_clamp_date(50, 100), 50);
	assert_int_equal(imap_clamp_date(INT64_MAX, 100), 100);
	buf_init(&b, 100);
	imap_add_date(&b, 1);
	assert_string_equal(b.ptr, "\" 1-Jan-1970 00:00:01 +0000\"");
	buf_reset(&b);
	imap_add_date(&b, 1000000000);
	assert_string_equal(b.ptr, "\" 9-Sep-2001 01:46:40 +0000\"");
	buf_release(&b);
}

static void
numbers(void **state)
{
	uint64_t v;

	(void)state;
	assert_int_equal(imap_number("4294967295", 10, UINT32_MAX, &v), 0);
	assert_int_equal(v, UINT32_MAX);
	assert_int_equal(imap_number("4294967296", 10, UINT32_MAX, &v), -1);
	assert_int_equal(imap_number("18446744073709551615", 20, UINT64_MAX,
	    &v), 0);
	assert_int_equal(imap_number("18446744073709551616", 20, UINT64_MAX,
	    &v), -1);
	assert_int_equal(imap_number("", 0, UINT64_MAX, &v), -1);
	assert_int_equal(imap_number("-1", 2, UINT64_MAX, &v), -1);
	assert_int_equal(imap_number("1 ", 2, UINT64_MAX, &v), -1);
	assert_int_equal(imap_number("9", 1, 5, &v), -1);
	assert_int_equal(imap_number("0", 1, 0, &v), 0);
}

static void
sets(void **state)
{
	struct buf b;
	struct imap_set s = { &b, 0, 0 };
	uint32_t u[10];
	size_t n;

	(void)state;
	buf_init(&b, 200);
	buf_adds(&b, "UID FETCH ");
	for (uint32_t i = 3; i < 6; i++)
		imap_set_add(&s, i);
	imap_set_add(&s, 9);
	imap_set_add(&s, 8);
	imap_set_add(&s, UINT32_MAX);
	imap_set_end(&s);
	assert_string_equal(b.ptr, "UID FETCH 3:5,9,8,4294967295");
	buf_release(&b);
	assert_int_equal(imap_set_parse("3:5,9,7:6", 9, u, 10, &n), 0);
	assert_int_equal(n, 6);
	assert_int_equal(u[0], 3);
	assert_int_equal(u[2], 5);
	assert_int_equal(u[3], 9);
	assert_int_equal(u[4], 7);
	assert_int_equal(u[5], 6);
	assert_int_equal(imap_set_parse("1:10", 4, u, 10, &n), 0);
	assert_int_equal(imap_set_parse("1:11", 4, u, 10, &n), -1);
	assert_int_equal(imap_set_parse("1:4294967295", 12, u, 10, &n), -1);
	assert_int_equal(imap_set_parse("0", 1, u, 10, &n), -1);
	assert_int_equal(imap_set_parse("", 0, u, 10, &n), -1);
	assert_int_equal(imap_set_parse("1,", 2, u, 10, &n), -1);
	assert_int_equal(imap_set_parse("1:2:3", 5, u, 10, &n), -1);
	assert_int_equal(imap_set_parse("*", 1, u, 10, &n), -1);
}

static void
base64(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b, 100);
	imap_base64(&b, "\0a\0b", 4);
	assert_string_equal(b.ptr, "AGEAYg==");
	buf_reset(&b);
	imap_base64(&b, "abc", 3);
	assert_string_equal(b.ptr, "YWJj");
	buf_release(&b);
}

static void
words(void **state)
{
	struct imap_words w = { NULL, 0, 0 };

	(void)state;
	imap_words_add(&w, "Junk");
	imap_words_add(&w, "JUNK");
	assert_int_equal(w.n, 1);
	assert_true(imap_words_has(&w, "junk"));
	assert_true(imap_words_remove(&w, "jUnk"));
	assert_false(imap_words_remove(&w, "junk"));
	imap_words_release(&w);
}

static void
names_one(const struct imap_name_rules *r, const char *const *path,
    size_t n, const char *want)
{
	struct buf b, back;
	const char *p;
	bool enc;
	size_t k;

	buf_init(&b, 1000);
	buf_init(&back, 1000);
	assert_int_equal(imap_name_make(r, &b, path, n, &enc), 0);
	assert_string_equal(b.ptr, want);
	assert_int_equal(imap_name_undo(r, b.ptr, &back, &k), 0);
	assert_int_equal(k, n);
	p = back.ptr;
	for (size_t i = 0; i < n; i++, p += strlen(p) + 1)
		assert_string_equal(p, path[i]);
	buf_release(&b);
	buf_release(&back);
}

#define NAMES(r, want, ...) do { \
	const char *const path_[] = { __VA_ARGS__ }; \
	names_one(r, path_, sizeof path_ / sizeof path_[0], want); \
} while (0)

/* A tree that is no user's. */
static void
names_shared(void **state)
{
	struct imap_words others = { NULL, 0, 0 };
	struct imap_name_rules r = { .dialect = IMAP_CYRUS, .sep = '/',
	    .prefix = "Board/", .root = "Board", .others = &others };
	const char *const *path;
	struct arena a;
	size_t n;
	bool raw;

	(void)state;
	NAMES(&r, "Board", "INBOX");
	NAMES(&r, "Board/INBOX/News", "INBOX", "News");
	NAMES(&r, "Board/News", "News");
	NAMES(&r, "Board/Board", "Board");
	arena_init(&a);
	imap_name_read(&r, &a, "Board", &path, &n, &raw);
	assert_int_equal(n, 1);
	assert_string_equal(path[0], "INBOX");
	imap_name_read(&r, &a, "Board/News", &path, &n, &raw);
	assert_int_equal(n, 1);
	assert_string_equal(path[0], "News");
	arena_release(&a);
}

static void
names(void **state)
{
	struct imap_words others = { NULL, 0, 0 };
	struct imap_name_rules d = { .dialect = IMAP_DOVECOT, .sep = '/',
	    .prefix = "", .no_dot = true, .no_tilde = true };
	struct imap_name_rules p = { .dialect = IMAP_DOVECOT, .sep = '.',
	    .prefix = "INBOX." };
	struct imap_name_rules c = { .dialect = IMAP_CYRUS, .sep = '/',
	    .prefix = "", .others = &others };

	(void)state;
	imap_words_add(&others, "Other Users/");
	NAMES(&d, "INBOX", "INBOX");
	NAMES(&d, "=69nbox", "inbox");
	NAMES(&d, "INBOX/x", "INBOX", "x");
	NAMES(&d, "a=2Eb/c=2Fd", "a.b", "c/d");
	NAMES(&d, "=7Et/~t", "~t", "~t");
	NAMES(&d, "=2E/=2E=2E", ".", "..");
	NAMES(&d, "R&-D", "R&D");
	NAMES(&d, "Entw&APw-rfe", "Entw\303\274rfe");
	NAMES(&d, "=3D2E", "=2E");
	NAMES(&d, "==2E", "=.");
	NAMES(&d, "=2=3D2E", "=2=2E");
	NAMES(&d, "a=/=00/=3D00", "a=", "", "=00");
	NAMES(&d, "x=FF=FEy", "x\377\376y");
	NAMES(&d, "x=C2=85", "x\302\205");
	NAMES(&d, "t=09b", "t\tb");
	NAMES(&p, "INBOX.INBOX.x", "INBOX", "x");
	NAMES(&p, "INBOX.x", "x");
	NAMES(&p, "INBOX.=49nbox", "Inbox");
	NAMES(&p, "INBOX.v1=2E0", "v1.0");
	NAMES(&c, "v1.0", "v1.0");
	NAMES(&c, "q=22=25=21", "q\"%!");
	NAMES(&c, "=24x/$x", "$x", "$x");
	NAMES(&c, "=4Fther Users/x", "Other Users", "x");
	imap_words_release(&others);
}

static int
compare(const void *a, const void *b)
{
	return strcmp(a, b);
}

/* Every pair of short paths over a nasty alphabet: no two share a name. */
static void
names_differ(void **state)
{
	static const char abc[] = "=.2E/~a&\"";
	static const enum imap_dialect dialects[] = {
		IMAP_DOVECOT, IMAP_CYRUS, IMAP_OTHER
	};
	enum { N = sizeof abc - 1, MAX = N * N * N * N };
	static char names_made[MAX][64];

	(void)state;
	for (size_t d = 0; d < 3; d++) {
		struct imap_name_rules r = { .dialect = dialects[d],
		    .sep = '.', .prefix = "", .no_dot = true };
		size_t n = 0;

		for (size_t v = 0; v < MAX; v++) {
			char s[5] = { abc[v % N], abc[v / N % N],
			    abc[v / N / N % N], abc[v / N / N / N], '\0' };
			const char *path[1] = { s };
			struct buf b, back;
			size_t k;
			bool enc;

			buf_init(&b, 60);
			buf_init(&back, 60);
			assert_int_equal(imap_name_make(&r, &b, path, 1,
			    &enc), 0);
			/* That it decodes to its path proves it unique. */
			assert_int_equal(imap_name_undo(&r, b.ptr, &back, &k),
			    0);
			assert_int_equal(k, 1);
			assert_string_equal(back.ptr, s);
			memcpy(names_made[n++], b.ptr, b.len + 1);
			buf_release(&b);
			buf_release(&back);
		}
		qsort(names_made, n, sizeof names_made[0], compare);
		for (size_t i = 1; i < n; i++)
			assert_string_not_equal(names_made[i - 1],
			    names_made[i]);
	}
}

static void
names_read(void **state)
{
	struct imap_name_rules r = { .sep = '.', .prefix = "INBOX." };
	const char *const *path;
	struct arena a;
	size_t n;
	bool raw;

	(void)state;
	arena_init(&a);
	imap_name_read(&r, &a, "INBOX", &path, &n, &raw);
	assert_int_equal(n, 1);
	assert_string_equal(path[0], "INBOX");
	imap_name_read(&r, &a, "INBOX.Entw&APw-rfe.x=2Ey", &path, &n, &raw);
	assert_int_equal(n, 2);
	assert_false(raw);
	assert_string_equal(path[0], "Entw\303\274rfe");
	assert_string_equal(path[1], "x=2Ey");
	imap_name_read(&r, &a, "INBOX.a&b", &path, &n, &raw);
	assert_true(raw);
	assert_string_equal(path[0], "a&b");
	r.prefix = "";
	imap_name_read(&r, &a, "inbox.x", &path, &n, &raw);
	assert_int_equal(n, 2);
	assert_string_equal(path[0], "INBOX");
	arena_release(&a);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(quoting),
		cmocka_unit_test(keywords),
		cmocka_unit_test(flags),
		cmocka_unit_test(dates),
		cmocka_unit_test(numbers),
		cmocka_unit_test(sets),
		cmocka_unit_test(base64),
		cmocka_unit_test(words),
		cmocka_unit_test(names), cmocka_unit_test(names_shared),
		cmocka_unit_test(names_differ),
		cmocka_unit_test(names_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
