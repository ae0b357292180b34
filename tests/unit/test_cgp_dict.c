/* CommuniGate's dictionaries: every example and pitfall of the format. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cgp/cgp_dict.h"

static struct arena arena;
static struct err e;

static int
setup(void **state)
{
	(void)state;
	arena_init(&arena);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	arena_release(&arena);
	return 0;
}

static const struct dict_value *
parse_n(const char *text, size_t len)
{
	struct dict_value *v;

	if (dict_parse(&arena, text, len, &v, &e) == -1)
		fail_msg("%s: %s", text, e.text);
	return v;
}

static const struct dict_value *
parse(const char *text)
{
	return parse_n(text, strlen(text));
}

/* The string that text, a whole value, is. */
static void
expect_text(const char *text, const char *want, size_t len)
{
	const struct dict_value *v = parse(text);

	assert_int_equal(v->type, DICT_STRING);
	assert_int_equal(v->len, len);
	assert_memory_equal(v->p, want, len);
	assert_int_equal(v->p[len], '\0');
}

static void
expect_error(const char *text, const char *want)
{
	struct dict_value *v;

	if (dict_parse(&arena, text, strlen(text), &v, &e) == 0)
		fail_msg("%s was accepted", text);
	assert_string_equal(e.text, want);
}

static void
strings(void **state)
{
	(void)state;
	expect_text("abc", "abc", 3);
	expect_text("\"abc\"", "abc", 3);
	expect_text("\"\"", "", 0);
	expect_text("\"abc\"\n   \"def\"", "abcdef", 6);
	expect_text("\"abc\" /* and */ \"def\" // on\n\"g\"", "abcdefg", 7);
	expect_text("\"a\\\"b\\\\c\"", "a\"b\\c", 5);
	expect_text("\"\\r\\n\\t\"", "\r\n\t", 3);
	expect_text("\"one\\etwo\"", "one\ntwo", 7);
	/* Three decimal digits, not octal. */
	expect_text("\"\\009\\012\\065\\255\\000!\"", "\t\fA\xff\0!", 6);
	expect_text("\"\\u'00fc'\\u'20AC'\\u'1F600'\"",
	    "\xc3\xbc\xe2\x82\xac\xf0\x9f\x98\x80", 9);
	/* What is no escape keeps its backslash. */
	expect_text("\"\\q\\1\\99x\\256\\u'D800'\\u'zz'\\u\"",
	    "\\q\\1\\99x\\256\\u'D800'\\u'zz'\\u", 28);
	/* Bytes are bytes. */
	expect_text("\"M\xfcller \x01\x7f\"", "M\xfcller \x01\x7f", 9);
	expect_text("M\xc3\xbcller", "M\xc3\xbcller", 7);
}

static void
atoms(void **state)
{
	static const char *const real[] = {
		"default.html", "utf-8", "pstn.x.com", "a@b.com", "IPF.Contact",
		"300M", "-1", "Work/2009", "a_b", "lrswipcda", "$x", "*"
	};
	const struct dict_value *v;

	(void)state;
	for (size_t i = 0; i < sizeof real / sizeof real[0]; i++)
		expect_text(real[i], real[i], strlen(real[i]));
	v = parse("{ #Viewer = {SentBox=\"Sent Items\";}; \"#LastLogin\" = "
	    "#T14-03-2010_10:00:01; }");
	assert_string_equal(dict_string(dict_get(v, "#Viewer"), "SentBox"),
	    "Sent Items");
	assert_int_equal(dict_get(v, "#LastLogin")->number, 1268560801);
	expect_text("abc// rest", "abc", 3);
	expect_text("a/b/* rest */", "a/b", 3);
}

static void
nul_bytes(void **state)
{
	static const char text[] = "{P=\"a\0b\";}";
	const struct dict_value *v, *x;

	(void)state;
	v = parse_n(text, sizeof text - 1);
	x = dict_get(v, "P");
	assert_int_equal(x->len, 3);
	assert_memory_equal(x->p, "a\0b", 3);
	/* It is no C string: who wants one gets none. */
	assert_null(dict_string(v, "P"));
}

static void
numbers(void **state)
{
	static const struct {
		const char	*text;
		bool		 whole;
		int64_t		 n;
	} cases[] = {
		{ "#12", true, 12 }, { "#-7", true, -7 }, { "#0x1F", true, 31 },
		{ "#0o17", true, 15 }, { "#0b101", true, 5 }, { "#0", true, 0 },
		{ "#9223372036854775807", true, INT64_MAX },
		{ "#9223372036854775808", false, 0 },
		{ "#3.25", false, 0 }, { "#-", false, 0 }, { "#0x", false, 0 }
	};
	const struct dict_value *v;
	int64_t n;

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		v = parse(cases[i].text);
		assert_int_equal(v->type, DICT_NUMBER);
		assert_int_equal(v->whole, cases[i].whole);
		assert_int_equal(v->number, cases[i].n);
		assert_string_equal(v->p, cases[i].text);
	}
	v = parse("{a=#5;b=17;c=x;d=#1.5;}");
	assert_int_equal(dict_number(v, "a", &n), 1);
	assert_int_equal(n, 5);
	assert_int_equal(dict_number(v, "b", &n), 1);
	assert_int_equal(n, 17);
	assert_int_equal(dict_number(v, "c", &n), 0);
	assert_int_equal(dict_number(v, "d", &n), 0);
	assert_int_equal(dict_number(v, "e", &n), 0);
}

static void
times(void **state)
{
	static const struct {
		const char	*text;
		enum dict_type	 type;
		int64_t		 t;
	} cases[] = {
		{ "#T22-10-2009_15:24:45", DICT_TIME, 1256225085 },
		{ "#T01-01-1970", DICT_TIME, 0 },
		{ "#TPAST", DICT_TIME, INT64_MIN },
		{ "#TFUTURE", DICT_TIME, INT64_MAX },
		{ "#T31-13-2009", DICT_OPAQUE, 0 },
		{ "#T1-1-2009", DICT_OPAQUE, 0 },
		{ "#T01-01-2009_25:00:00", DICT_OPAQUE, 0 }
	};
	const struct dict_value *v;

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		v = parse(cases[i].text);
		assert_int_equal(v->type, cases[i].type);
		assert_int_equal(v->number, cases[i].t);
		assert_string_equal(v->p, cases[i].text);
	}
}

static void
others(void **state)
{
	const struct dict_value *v;

	(void)state;
	v = parse("(#I[10.0.0.1]:25, #I[fe80::1], #NULL#, [ aGVs\n bG8= ], "
	    "#(Object 12 \")\" (x)), #what, [no base64!], "
	    "<a x=\"1>2\"><b/><!-- > --><a>t</a></a>, ())");
	assert_int_equal(v->type, DICT_ARRAY);
	assert_int_equal(v->n, 9);
	assert_int_equal(v->items[0].value.type, DICT_IP);
	assert_string_equal(v->items[0].value.p, "#I[10.0.0.1]:25");
	assert_int_equal(v->items[1].value.type, DICT_IP);
	assert_int_equal(v->items[2].value.type, DICT_NULL);
	assert_int_equal(v->items[3].value.type, DICT_DATA);
	assert_int_equal(v->items[3].value.len, 5);
	assert_string_equal(v->items[3].value.p, "hello");
	assert_int_equal(v->items[4].value.type, DICT_OPAQUE);
	assert_string_equal(v->items[4].value.p, "#(Object 12 \")\" (x))");
	assert_int_equal(v->items[5].value.type, DICT_OPAQUE);
	assert_int_equal(v->items[6].value.type, DICT_OPAQUE);
	assert_string_equal(v->items[6].value.p, "[no base64!]");
	assert_int_equal(v->items[7].value.type, DICT_XML);
	assert_string_equal(v->items[7].value.p,
	    "<a x=\"1>2\"><b/><!-- > --><a>t</a></a>");
	assert_int_equal(v->items[8].value.type, DICT_ARRAY);
	assert_int_equal(v->items[8].value.n, 0);
}

static void
whole_files(void **state)
{
	static const char settings[] =
	    "{\n MaxAccountSize = 300M;\n Password = \"s3cret \\\"x\\\"\";\n"
	    " PasswordEncryption = clear;\n RealName = \"Bob M\xc3\xbcller\";\n"
	    " Rules = (\n  (5,lists,((\"Header Field\",is,\"List-Id: "
	    "*dev.example.org*\")),((\"Store in\",\"Work/Lists\"),(Discard))),"
	    "\n  (2,\"#Vacation\",((\"Human Generated\",\"---\"),(From,"
	    "\"not in\",\"#RepliedAddresses\"),\n   (\"Current Date\","
	    "\"less than\",\"01 Sep 2010\")),\n   ((\"Reply with\","
	    "\"+Subject: Away\\eIn-Reply-To: ^I\\e\\eBack in \"\n     "
	    "\"September.\\e\"),(\"Remember 'From' in\",RepliedAddresses))),\n"
	    "  (0,off,((Subject,is,\"*test*\")),((Discard)))\n );\n"
	    " UseAppPassword = YES;\n}\n";
	const struct dict_value *v, *rules;
	uint64_t size;

	(void)state;
	v = parse(settings);
	assert_int_equal(v->n, 6);
	assert_string_equal(dict_string(v, "Password"), "s3cret \"x\"");
	assert_int_equal(dict_size(v, "MaxAccountSize", &size), 1);
	assert_int_equal(size, (uint64_t)300 << 20);
	assert_int_equal(dict_bool(v, "UseAppPassword"), 1);
	assert_int_equal(dict_bool(v, "RealName"), -1);
	rules = dict_get(v, "Rules");
	assert_int_equal(rules->n, 3);
	assert_string_equal(rules->items[1].value.items[3].value.items[0]
	    .value.items[1].value.p, "+Subject: Away\nIn-Reply-To: ^I\n\n"
	    "Back in September.\n");
	/* The two styles of writing, and an array as the whole. */
	v = parse("{\n  ServiceClass =  default;\n  N=(A , B,C);\n}");
	assert_string_equal(dict_string(v, "ServiceClass"), "default");
	assert_int_equal(dict_get(v, "N")->n, 3);
	v = parse("\xef\xbb\xbf// comment\n((1,a,(),()))");
	assert_int_equal(v->type, DICT_ARRAY);
	/* What is missing or too much at an end harms nobody. */
	assert_int_equal(parse("{a=1;b=2}")->n, 2);
	assert_int_equal(parse("(a,b,)")->n, 2);
	/* Keys are case-sensitive; the last of two counts. */
	v = parse("{a=1;A=2;a=3;}");
	assert_string_equal(dict_string(v, "a"), "3");
	assert_string_equal(dict_string(v, "A"), "2");
}

static void
sizes(void **state)
{
	static const struct {
		const char	*text;
		int		 rc;
		uint64_t	 size;
	} cases[] = {
		{ "unlimited", 1, UINT64_MAX }, { "-1", 1, UINT64_MAX },
		{ "0", 1, 0 }, { "1024", 1, 1024 }, { "100K", 1, 102400 },
		{ "3G", 1, (uint64_t)3 << 30 }, { "30m", 1, 30 << 20 },
		{ "default", 0, 0 }, { "12X", 0, 0 }, { "K", 0, 0 },
		{ "1KB", 0, 0 }, { "9999999999999G", 0, 0 }, { "#77", 1, 77 }
	};
	char text[64];
	uint64_t size;

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		snprintf(text, sizeof text, "{x=%s;}", cases[i].text);
		size = 0;
		assert_int_equal(dict_size(parse(text), "x", &size),
		    cases[i].rc);
		assert_true(size == cases[i].size);
	}
}

static void
errors(void **state)
{
	char *deep;

	(void)state;
	expect_error("", "line 1, column 1: the text ends where a string "
	    "should be");
	expect_error("{a=1;\n b 2;}", "line 2, column 4: '=' is missing");
	expect_error("{a=1 b=2;}", "line 1, column 6: ';' or '}' is missing");
	expect_error("(a;b)", "line 1, column 3: ',' or ')' is missing");
	expect_error("{a=1;\n", "line 1, column 1: a bracket without its "
	    "other one");
	expect_error("{a=\"x;\n}", "line 1, column 4: a quoted string without "
	    "end");
	expect_error("{a=1;} x", "line 1, column 8: something follows the "
	    "end");
	expect_error("{a=[QUJD;}", "line 1, column 4: a data block without "
	    "end");
	expect_error("{a=<b>;}", "line 1, column 4: an XML element without "
	    "end");
	expect_error("{} /* x", "line 1, column 4: a comment without end");
	expect_error("{a=;}", "line 1, column 4: no string can begin here");
	deep = malloc(1000001);
	assert_non_null(deep);
	memset(deep, '(', 1000000);
	deep[1000000] = '\0';
	expect_error(deep, "line 1, column 101: brackets are nested too deep");
	for (size_t i = 0; i + 3 < 1000000; i += 3)
		memcpy(deep + i, "{a=", 3);
	expect_error(deep, "line 1, column 301: brackets are nested too deep");
	free(deep);
}

/* What stood before the damage is there, what was cut is not. */
static void
broken_files(void **state)
{
	static const char info[] = "{\n INBOX = {UIDNext=#104;UIDValidity="
	    "#1268557200;};\n Sent = {UIDNext=#9;UIDValidity=#12685";
	struct dict_value *v;
	int64_t n;

	(void)state;
	assert_int_equal(dict_parse(&arena, info, sizeof info - 1, &v, &e),
	    -1);
	assert_string_equal(e.text, "line 3, column 39: the text ends inside "
	    "of brackets");
	assert_non_null(v);
	assert_int_equal(dict_number(dict_get(v, "INBOX"), "UIDValidity", &n),
	    1);
	assert_int_equal(n, 1268557200);
	assert_int_equal(dict_number(dict_get(v, "Sent"), "UIDNext", &n), 1);
	assert_int_equal(dict_number(dict_get(v, "Sent"), "UIDValidity", &n),
	    0);
	assert_int_equal(dict_parse(&arena, "\"x", 2, &v, &e), -1);
	assert_null(v);
}

static void
writing(void **state)
{
	static const char text[] = "{a={b=(1,\"x y\",#2,[QUI=],#NULL#);};"
	    "\"k \\\"\"=\"\\e\\000\\127\\\\\";c=\"#x\";d=\"\";}";
	static const char want[] = "{\n a = {b=(1,\"x y\",#2,[QUI=],#NULL#);};"
	    "\n \"k \\\"\" = \"\\n\\000\\127\\\\\";\n c = \"#x\";\n d = \"\";\n"
	    "}\n";
	struct buf out, again;

	(void)state;
	buf_init(&out, 1 << 16);
	buf_init(&again, 1 << 16);
	assert_int_equal(dict_write(&out, parse(text)), 0);
	assert_string_equal(out.ptr, want);
	assert_int_equal(dict_write(&again, parse_n(out.ptr, out.len)), 0);
	assert_string_equal(again.ptr, want);
	buf_release(&out);
	buf_release(&again);
	buf_init(&out, 10);
	assert_int_equal(dict_write(&out, parse(text)), -1);
	buf_release(&out);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(strings, setup, teardown),
		cmocka_unit_test_setup_teardown(atoms, setup, teardown),
		cmocka_unit_test_setup_teardown(nul_bytes, setup, teardown),
		cmocka_unit_test_setup_teardown(numbers, setup, teardown),
		cmocka_unit_test_setup_teardown(times, setup, teardown),
		cmocka_unit_test_setup_teardown(others, setup, teardown),
		cmocka_unit_test_setup_teardown(whole_files, setup, teardown),
		cmocka_unit_test_setup_teardown(sizes, setup, teardown),
		cmocka_unit_test_setup_teardown(errors, setup, teardown),
		cmocka_unit_test_setup_teardown(broken_files, setup, teardown),
		cmocka_unit_test_setup_teardown(writing, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
