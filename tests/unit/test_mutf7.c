/* Modified UTF-7: known pairs, refusals, and agreement with iconv. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <iconv.h>
#include <stdlib.h>
#include <string.h>

#include "base/mutf7.h"

struct pair { const char *utf8, *mutf7; };

static const struct pair pairs[] = {
	{ "", "" },
	{ "INBOX", "INBOX" },
	{ "a b~{}\"\\*%", "a b~{}\"\\*%" },
	{ "&", "&-" },
	{ "&&", "&-&-" },
	{ "R&D", "R&-D" },
	{ "&-", "&--" },
	{ "Entw\303\274rfe", "Entw&APw-rfe" },
	{ "\303\274", "&APw-" },
	{ "\303\274\303\266\303\244", "&APwA9gDk-" },
	{ "\303\274-", "&APw--" },
	{ "\303\274&", "&APw-&-" },
	{ "~peter/mail/\345\217\260\345\214\227/"
	    "\346\227\245\346\234\254\350\252\236",
	    "~peter/mail/&U,BTFw-/&ZeVnLIqe-" },
	{ "\360\237\230\200", "&2D3eAA-" },	/* a surrogate pair */
	{ "\342\230\272!", "&Jjo-!" },
	{ "a\tb\177", "a&AAk-b&AH8-" },
	{ "\357\277\277", "&,,8-" },
};

static void
test_pairs(void **state)
{
	struct buf out;
	size_t i;

	(void)state;
	buf_init(&out, 1000);
	for (i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
		const struct pair *p = &pairs[i];

		buf_reset(&out);
		assert_int_equal(mutf7_encode(&out, p->utf8,
		    strlen(p->utf8)), 0);
		assert_string_equal(out.ptr, p->mutf7);
		buf_reset(&out);
		assert_int_equal(mutf7_decode(&out, p->mutf7,
		    strlen(p->mutf7)), 0);
		assert_string_equal(out.ptr, p->utf8);
	}
	buf_release(&out);
}

static void
test_refused(void **state)
{
	static const char *const bad[] = {
		"&", "a&", "&Jjo", "&APw", "R&D", "x&y",	/* not closed */
		"&AGE-",			/* a printable one shifted */
		"&ACY-",			/* even '&' itself */
		"&AAA-",			/* NUL */
		"&APw-&APw-",			/* two runs where one does */
		"&APx-",			/* bits left over are not 0 */
		"&APwA-", "&A-", "&AP-",	/* cut units */
		"&APw=-", "&AP/8-",		/* letters of plain base64 */
		"&2D0-", "&3gA-", "&2D0A,A-",	/* lone surrogates */
		"\303\274", "a\tb", "\177",	/* raw bytes */
	};
	struct buf out;
	size_t i;

	(void)state;
	buf_init(&out, 1000);
	buf_adds(&out, "kept");
	for (i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		assert_int_equal(mutf7_decode(&out, bad[i], strlen(bad[i])),
		    -1);
		assert_string_equal(out.ptr, "kept");
	}
	assert_int_equal(mutf7_decode(&out, "a\0b", 3), -1);
	assert_int_equal(mutf7_encode(&out, "a\0b", 3), -1);
	assert_int_equal(mutf7_encode(&out, "a\300\200", 3), -1);
	assert_int_equal(mutf7_encode(&out, "\355\240\200", 3), -1);
	assert_int_equal(mutf7_encode(&out, "\303", 1), -1);
	assert_string_equal(out.ptr, "kept");
	buf_release(&out);
}

static void
test_utf8(void **state)
{
	static const char *const bad[] = {
		"\200", "\300\200", "\301\277", "\340\237\277", "\355\240\200",
		"\355\277\277", "\360\217\277\277", "\364\220\200\200",
		"\365\200\200\200", "\377", "\303", "\342\230", "\360\237\230",
		"\303(", "a\303"
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof bad / sizeof bad[0]; i++)
		assert_false(utf8_valid(bad[i], strlen(bad[i])));
	assert_true(utf8_valid("", 0));
	assert_true(utf8_valid("\364\217\277\277\340\240\200\302\200", 9));
	assert_true(utf8_valid("a\0b", 3));
}

static void
test_limit(void **state)
{
	struct buf out;

	(void)state;
	buf_init(&out, 4);
	assert_int_equal(mutf7_encode(&out, "\303\274", 2), -1);
	assert_int_equal(out.len, 0);
	buf_release(&out);
}

static size_t
convert(iconv_t cd, const char *in, size_t len, char *out, size_t room)
{
	char *from = malloc(len + 1), *p = from, *q = out;
	size_t left = room;

	memcpy(from, in, len);
	iconv(cd, NULL, NULL, NULL, NULL);
	if (iconv(cd, &p, &len, &q, &left) == (size_t)-1 ||
	    iconv(cd, NULL, NULL, &q, &left) == (size_t)-1)
		left = room + 1;
	free(from);
	return room - left;
}

/* Random names: what we encode is what iconv encodes; what iconv decodes and
 * encodes again unchanged is exactly what we decode. */
static void
test_iconv(void **state)
{
	static const char alphabet[] =
	    "&&&&---AAAAPwGCYJjo,+2D3eU B/=\303\274a";
	iconv_t to = iconv_open("UTF-7-IMAP", "UTF-8");
	iconv_t from = iconv_open("UTF-8", "UTF-7-IMAP");
	char a[200], b[400];
	unsigned long seed = 1, round;
	struct buf out, again;
	size_t n, i, k;

	(void)state;
	if (to == (iconv_t)-1 || from == (iconv_t)-1)
		skip();		/* a glibc before 2.36 */
	buf_init(&out, 1000);
	buf_init(&again, 1000);
	for (round = 0; round < 100000; round++) {
		char s[40];

		seed = seed * 6364136223846793005UL + 1442695040888963407UL;
		n = seed >> 33 & 15;
		for (i = 0; i < n; i++) {
			seed = seed * 6364136223846793005UL + 1;
			s[i] = alphabet[(seed >> 33) % (sizeof alphabet - 1)];
		}
		buf_reset(&out);
		if (utf8_valid(s, n)) {
			assert_int_equal(mutf7_encode(&out, s, n), 0);
			k = convert(to, s, n, a, sizeof a);
			assert_int_equal(k, out.len);
			assert_memory_equal(a, out.ptr, k);
			buf_reset(&out);
		}
		k = convert(from, s, n, a, sizeof a);
		if (mutf7_decode(&out, s, n) == 0) {
			assert_int_equal(k, out.len);
			assert_memory_equal(a, out.ptr, k);
			buf_reset(&again);
			assert_int_equal(mutf7_encode(&again, out.ptr,
			    out.len), 0);
			assert_int_equal(again.len, n);
			assert_memory_equal(again.ptr, s, n);
		} else if (k <= sizeof a && memchr(a, '\0', k) == NULL) {
			/* iconv is more lenient: then not canonical. */
			i = convert(to, a, k, b, sizeof b);
			assert_false(i == n && memcmp(b, s, n) == 0);
		}
	}
	buf_release(&out);
	buf_release(&again);
	iconv_close(to);
	iconv_close(from);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pairs),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_utf8),
		cmocka_unit_test(test_limit),
		cmocka_unit_test(test_iconv),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
