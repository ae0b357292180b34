/* CommuniGate's file names, separators, mailbox names, flag letters, rights and
 * the envelope of its queue files. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "acl.h"
#include "cgp/cgp_flags.h"
#include "cgp/cgp_head.h"
#include "cgp/cgp_impl.h"
#include "cgp/cgp_name.h"

#define T_2006	1142327702	/* 2006-03-14 09:15:02 UTC */
#define T_2010	1268558102	/* 2010-03-14 09:15:02 UTC */

static void
file_names(void **state)
{
	static const struct {
		const char	*name;
		enum cgp_file	 kind;
		uint32_t	 uid;
		const char	*flags;
		int64_t		 epoch;		/* 0: no date */
		const char	*tail;
	} cases[] = {
		{ "1-S-20060314091502", CGP_FILE_MESSAGE, 1, "S", T_2006, "" },
		{ "7--20060314091502", CGP_FILE_MESSAGE, 7, "", T_2006, "" },
		{ "00000101-SAF-20060314091502", CGP_FILE_MESSAGE, 101, "SAF",
		    T_2006, "" },
		{ "7-SR-20060314091502-55", CGP_FILE_MESSAGE, 7, "SR", T_2006,
		    "-55" },
		{ "7-SR-20060314091502_55.msg", CGP_FILE_MESSAGE, 7, "SR",
		    T_2006, "_55.msg" },
		{ "7-SXq-20060314091502", CGP_FILE_MESSAGE, 7, "SXq", T_2006,
		    "" },
		{ "7-S-20061399000000", CGP_FILE_MESSAGE, 7, "S", 0, "" },
		{ "7-S-20060230000000", CGP_FILE_MESSAGE, 7, "S", 0, "" },
		{ "7-S-20060314241502", CGP_FILE_MESSAGE, 7, "S", 0, "" },
		{ "7-S-00000000000000", CGP_FILE_MESSAGE, 7, "S", 0, "" },
		{ "4294967295-S-20060314091502", CGP_FILE_MESSAGE, 4294967295U,
		    "S", T_2006, "" },
		{ "4294967296-S-20060314091502", CGP_FILE_ALMOST, 0, "", 0,
		    "" },
		{ "99999999999-S-20060314091502", CGP_FILE_ALMOST, 0, "", 0,
		    "" },
		{ "0-S-20060314091502", CGP_FILE_ALMOST, 0, "", 0, "" },
		{ "7-S-2006031409150", CGP_FILE_ALMOST, 0, "", 0, "" },
		{ "7-S-200603140915021", CGP_FILE_ALMOST, 0, "", 0, "" },
		{ "7-S-20060314091502x", CGP_FILE_ALMOST, 0, "", 0, "" },
		{ "7-S", CGP_FILE_ALMOST, 0, "", 0, "" },
		{ "7", CGP_FILE_ALMOST, 0, "", 0, "" },
		{ "7x-S-20060314091502", CGP_FILE_ALMOST, 0, "", 0, "" },
		{ "tmp7", CGP_FILE_OTHER, 0, "", 0, "" },
		{ ".7-S-2006", CGP_FILE_OTHER, 0, "", 0, "" },
		{ "", CGP_FILE_OTHER, 0, "", 0, "" }
	};
	struct cgp_file_name f;

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		enum cgp_file kind = cgp_file_parse(&f, cases[i].name,
		    strlen(cases[i].name));

		if (kind != cases[i].kind)
			fail_msg("%s: kind %d", cases[i].name, kind);
		if (kind != CGP_FILE_MESSAGE)
			continue;
		assert_int_equal(f.uid, cases[i].uid);
		assert_int_equal(f.nflags, strlen(cases[i].flags));
		assert_memory_equal(f.flags, cases[i].flags, f.nflags);
		assert_int_equal(f.timed, cases[i].epoch != 0);
		if (f.timed)
			assert_int_equal(f.epoch, cases[i].epoch);
		assert_string_equal(f.tail, cases[i].tail);
	}
}

static void
shapes(void **state)
{
	static const char *const cases[][2] = {
		{ "", "" }, { "-55", "-9" }, { "_55.msg", "_9.a" },
		{ "-1-22-x", "-9-9-a" }, { "--", "--" }, { "_\x01\xff", "_??" }
	};
	struct buf b;

	(void)state;
	buf_init(&b, 100);
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		buf_reset(&b);
		cgp_tail_shape(&b, cases[i][0], strlen(cases[i][0]));
		assert_string_equal(b.ptr, cases[i][1]);
	}
	buf_release(&b);
}

static void
separators(void **state)
{
	static const struct {
		const char	*line;
		enum cgp_sep_kind kind;
		const char	*sender, *flags;
		uint32_t	 uid;
		int64_t		 epoch;
		const char	*tail;		/* NULL: the older kind */
	} cases[] = {
		{ "From <alice@example.net>(SA-101) Sun Mar 14 09:15:02 2010",
		    CGP_SEP_CGP, "<alice@example.net>", "SA", 101, T_2010,
		    NULL },
		{ "From <>(-102)  15-03-2010_11:00:00_102", CGP_SEP_CGP, "<>",
		    "", 102, 1268650800, "_102" },
		{ "From <a@b>(S-3)14-03-2010_09:15:02_", CGP_SEP_CGP, "<a@b>",
		    "S", 3, T_2010, "_" },
		{ "From <a@b>(S-3) 14-03-2010_09:15:02", CGP_SEP_CGP, "<a@b>",
		    "S", 3, T_2010, "" },
		{ "From <a@b>(S-3)   4-03-2010_09:15:02_x y (z)", CGP_SEP_CGP,
		    "<a@b>", "S", 3, T_2010 - 10 * 86400, "_x y (z)" },
		{ "From <a@b>(S-3-77) Sun Mar 14 09:15:02 2010", CGP_SEP_CGP,
		    "<a@b>", "S", 3, T_2010, NULL },
		{ "From bare@example.com(-9) Sun Mar 14 09:15:02 +0100 2010",
		    CGP_SEP_CGP, "bare@example.com", "", 9, T_2010 - 3600,
		    NULL },
		{ "From <\"a b (c)\"@example.com>(SF-4) Sun Mar 14 09:15:02 "
		    "2010", CGP_SEP_CGP, "<\"a b (c)\"@example.com>", "SF", 4,
		    T_2010, NULL },
		{ "From <x@y>(S-1)(SD-12) Sun Mar 14 09:15:02 2010",
		    CGP_SEP_CGP, "<x@y>(S-1)", "SD", 12, T_2010, NULL },
		/* Times that cannot be. */
		{ "From <a@b>(F-5)  45-99-2010_11:00:00_1", CGP_SEP_CGP,
		    "<a@b>", "F", 5, 0, "_1" },
		{ "From <a@b>(F-5) Sun Xyz 14 09:15:02 2010", CGP_SEP_CGP,
		    "<a@b>", "F", 5, 0, NULL },
		/* UIDs that cannot be. */
		{ "From <a@b>(S-0) Sun Mar 14 09:15:02 2010", CGP_SEP_CGP,
		    "<a@b>", "S", 0, T_2010, NULL },
		{ "From <a@b>(S-4294967296) Sun Mar 14 09:15:02 2010",
		    CGP_SEP_CGP, "<a@b>", "S", 0, T_2010, NULL },
		/* Other programs'. */
		{ "From bob@example.com Sun Mar 14 09:15:02 2010",
		    CGP_SEP_PLAIN, "bob@example.com", "", 0, T_2010, NULL },
		{ "From bob@example.com  Sun Mar  4 09:15:02 2010",
		    CGP_SEP_PLAIN, "bob@example.com", "", 0,
		    T_2010 - 10 * 86400, NULL },
		{ "From <a@b>(S3) Sun Mar 14 09:15:02 2010", CGP_SEP_PLAIN,
		    "<a@b>(S3)", "", 0, T_2010, NULL },
		{ "From <a@b>(S-x) Sun Mar 14 09:15:02 2010", CGP_SEP_PLAIN,
		    "<a@b>(S-x)", "", 0, T_2010, NULL },
		{ "From (S-3) Sun Mar 14 09:15:02 2010", CGP_SEP_PLAIN,
		    "(S-3)", "", 0, T_2010, NULL },
		/* Text. */
		{ "From <a@b>(S-3)    Sun Mar 14 09:15:02 2010", CGP_SEP_NONE,
		    "", "", 0, 0, NULL },
		{ "From a b(S-3) Sun Mar 14 09:15:02 2010", CGP_SEP_NONE, "",
		    "", 0, 0, NULL },
		{ "From <a@b>(S-3) 14-03-2010_09:15:02x", CGP_SEP_NONE, "",
		    "", 0, 0, NULL },
		{ "From <a@b>(S-3) 14-03-10_09:15:02_", CGP_SEP_NONE, "", "",
		    0, 0, NULL },
		{ "From here on it is Sun Mar 14 09:15:02 2010 or so",
		    CGP_SEP_NONE, "", "", 0, 0, NULL },
		{ "From ", CGP_SEP_NONE, "", "", 0, 0, NULL },
		{ ">From <a@b>(S-3) 14-03-2010_09:15:02_", CGP_SEP_NONE, "",
		    "", 0, 0, NULL },
		{ "from <a@b>(S-3) 14-03-2010_09:15:02_", CGP_SEP_NONE, "", "",
		    0, 0, NULL }
	};
	struct cgp_sep s;
	char line[CGP_SEP_MAX + 100];

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		cgp_sep_parse(&s, cases[i].line, strlen(cases[i].line));
		if (s.kind != cases[i].kind)
			fail_msg("%s: kind %d", cases[i].line, s.kind);
		assert_int_equal(s.nsender, strlen(cases[i].sender));
		assert_int_equal(s.nflags, strlen(cases[i].flags));
		if (s.kind == CGP_SEP_NONE)
			continue;
		assert_memory_equal(s.sender, cases[i].sender, s.nsender);
		if (s.nflags > 0)
			assert_memory_equal(s.flags, cases[i].flags,
			    s.nflags);
		assert_int_equal(s.uid, cases[i].uid);
		assert_int_equal(s.timed, cases[i].epoch != 0);
		if (s.timed)
			assert_int_equal(s.epoch, cases[i].epoch);
		assert_int_equal(s.newer, cases[i].tail != NULL);
		if (s.newer) {
			assert_int_equal(s.ntail, strlen(cases[i].tail));
			assert_memory_equal(s.tail, cases[i].tail, s.ntail);
		}
	}
	/* A line that is too long is text. */
	memset(line, 'x', sizeof line);
	memcpy(line, "From ", 5);
	memcpy(line + sizeof line - 31, "(S-3) Sun Mar 14 09:15:02 2010", 31);
	cgp_sep_parse(&s, line, sizeof line - 1);
	assert_int_equal(s.kind, CGP_SEP_NONE);
	cgp_sep_parse(&s, "From <a@b>(-1) Sun Mar 14 09:15:02 -0330 2010", 45);
	assert_true(s.zoned);
	assert_int_equal(s.zone, -210);
}

static void
levels(void **state)
{
	static const struct {
		const char	*raw, *level;
		bool		 proper;
	} cases[] = {
		{ "INBOX", "INBOX", true }, { "Sent Items", "Sent Items", true },
		{ "Entw&APw-rfe", "Entw\xc3\xbcrfe", true },
		{ "R&-D", "R&D", true },
		{ "&ZeVnLIqe-", "\xe6\x97\xa5\xe6\x9c\xac\xe8\xaa\x9e", true },
		{ "Jan.2009", "Jan.2009", true }, { "a=41", "a=41", true },
		{ "Entw\xc3\xbcrfe", "Entw\xc3\xbcrfe", true },
		/* Not canonical, unfinished, bytes, what no level may hold. */
		{ "A&B", "A&B", false }, { "x&AGE-", "x&AGE-", false },
		{ "a&AC8-b", "a&AC8-b", false }, { "a&AAA-", "a&AAA-", false },
		{ "M\xfcll=41er", "M=FCll=3D41er", false },
		{ "a\nb", "a=0Ab", false }
	};
	struct buf b;

	(void)state;
	buf_init(&b, 100);
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		buf_reset(&b);
		if (cgp_level(&b, cases[i].raw, strlen(cases[i].raw)) !=
		    cases[i].proper || strcmp(b.ptr, cases[i].level) != 0)
			fail_msg("%s: %s", cases[i].raw, b.ptr);
	}
	buf_release(&b);
}

static void
flag_letters(void **state)
{
	static const struct { const char *table, *error; } bad[] = {
		{ "S", "flag-letters: 'S' is not LETTER:MEANING, as in "
		    "S:\\Seen" },
		{ "SA:\\Seen", "flag-letters: 'SA:\\Seen' is not "
		    "LETTER:MEANING, as in S:\\Seen" },
		{ "S:\\Seen S:\\Draft", "flag-letters: 'S' is there twice" },
		{ "-:\\Seen", "flag-letters: '-' can be no letter" },
		{ "X:\\Recent", "flag-letters: '\\Recent' is neither a flag "
		    "(\\Seen, \\Answered, \\Flagged, \\Deleted, \\Draft), nor "
		    "a keyword, nor -" },
		{ "X:a(b", "flag-letters: 'a(b' is neither a flag (\\Seen, "
		    "\\Answered, \\Flagged, \\Deleted, \\Draft), nor a "
		    "keyword, nor -" }
	};
	uint64_t unknown[256] = { 0 };
	struct cgp_flags f;
	struct msg_meta m;
	struct arena a;
	struct err e;

	(void)state;
	arena_init(&a);
	memset(&m, 0, sizeof m);
	assert_int_equal(cgp_flags_parse(&f, CGP_FLAG_LETTERS, &e), 0);
	cgp_flags_apply(&f, "SXRAXF", 6, &a, &m, unknown);
	assert_int_equal(m.flags, MSG_SEEN | MSG_ANSWERED | MSG_FLAGGED);
	assert_int_equal(m.nkeywords, 0);
	assert_string_equal(m.raw_flags, "SXRAXF");
	assert_int_equal(unknown['X'], 2);
	assert_int_equal(unknown['R'], 0);
	cgp_flags_release(&f);
	assert_int_equal(cgp_flags_parse(&f, " s:\\seen  r:$Forwarded\t"
	    "m:$MDNSent D:\\Draft f:$forwarded", &e), 0);
	cgp_flags_apply(&f, "srmDf", 5, &a, &m, unknown);
	assert_int_equal(m.flags, MSG_SEEN | MSG_DRAFT);
	assert_int_equal(m.nkeywords, 2);
	assert_string_equal(m.keywords[0], "$Forwarded");
	assert_string_equal(m.keywords[1], "$MDNSent");
	cgp_flags_release(&f);
	assert_int_equal(cgp_flags_parse(&f, "", &e), 0);
	cgp_flags_apply(&f, "", 0, &a, &m, unknown);
	assert_int_equal(m.flags, 0);
	cgp_flags_release(&f);
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		assert_int_equal(cgp_flags_parse(&f, bad[i].table, &e), -1);
		assert_string_equal(e.text, bad[i].error);
		assert_int_equal(e.scope, ERR_RUN);
	}
	arena_release(&a);
}

static void
rights(void **state)
{
	static const char *const cases[][2] = {
		{ "lrs", "lrs" }, { "lrswipcda", "lrswipkxtea" },
		{ "al", "la" }, { "", "" }, { "lr9", "" }, { "c", "kx" }
	};
	char out[ACL_MAX];

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		acl_rights(cases[i][0], out);
		assert_string_equal(out, cases[i][1]);
	}
}

static void
preambles(void **state)
{
	static const struct { const char *text; uint64_t length; } cases[] = {
		{ "P I 12-03 <a@b>\nR W 12-03 <c@d>\n\nSubject: x\n\n", 33 },
		{ "P I <a@b>\r\nS x\r\nR W <c@d>\r\n\r\nSubject: x\r\n", 29 },
		/* Mail, whatever it looks like. */
		{ "Subject: x\n\nR W\n\nA: b\n", 0 },
		{ "P I <a@b>\nR W <c@d>\nSubject: x\n\nA: b\n", 0 },
		{ "P I <a@b>\nR W <c@d>\n\nno header\n", 0 },
		{ "P I <a@b>\n\nSubject: x\n", 0 },
		{ "R I <a@b>\n\nSubject: x\n", 0 },
		{ "P I <a@b>\nR W <c@d>", 0 }, { "\nA: b\n", 0 }, { "", 0 }
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
		if (cgp_preamble_length(cases[i].text,
		    strlen(cases[i].text)) != cases[i].length)
			fail_msg("case %zu", i);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(file_names),
		cmocka_unit_test(shapes),
		cmocka_unit_test(separators),
		cmocka_unit_test(levels),
		cmocka_unit_test(flag_letters),
		cmocka_unit_test(rights),
		cmocka_unit_test(preambles),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
