/* report, status, json and text_show over a state with hostile content. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "json.h"
#include "markup.h"
#include "quota.h"
#include "rates.h"
#include "report.h"
#include "text.h"
#include "unit/lib/engine_fixture.h"

static struct fixture fx;

static char *
printed(int (*fn)(struct db *, FILE *, struct err *))
{
	char *text = NULL;
	size_t len;
	struct db *db;
	struct err e;
	long running;
	FILE *f = open_memstream(&text, &len);

	assert_non_null(f);
	assert_int_equal(state_read_only(fx.state, &db, &running, &e), 0);
	assert_int_equal(running, 0);
	assert_int_equal(fn(db, f, &e), 0);
	db_close(&db);
	fclose(f);
	return text;
}

static int
status_now(struct db *db, FILE *f, struct err *e)
{
	return status_text(db, f, 0, e) == -1 ||
	    status_json(db, f, 4711, e) == -1 ? -1 : 0;
}

/* Only printable ASCII, line ends and UTF-8 above the C1 controls. */
static void
assert_harmless(const char *text)
{
	for (const unsigned char *p = (const unsigned char *)text; *p; p++) {
		assert_true(*p >= 0x20 || *p == '\n');
		assert_int_not_equal(*p, 0x7f);
		if (*p == 0xc2)
			assert_true(p[1] >= 0xa0);
	}
}

static void
test_reports(void **state)
{
	static const char bad[] = "Subject: \x1b[2J\xc2\x9b\xff \"quoted\" "
	    "\xe2\x80\xae\r\nMessage-ID: <\x07@x>\r\n\r\nno\r\n";
	static const char head[] = "Message-ID: <large@x>\r\nSubject: a large "
	    "quoted one\r\n\r\n";
	static char large[400000];
	char *text;

	(void)state;
	for (int i = 0; i < 5; i++)
		fixture_add(fx.src, "INBOX", i, "", 0, "", 1000000000 + i);
	mem_add(fx.src, mem_folder_get(fx.src, "INBOX", true), bad,
	    sizeof bad - 1, 0, "", 1);
	/* One that is not kept in memory. */
	memset(large, 'x', sizeof large);
	memcpy(large, head, sizeof head - 1);
	for (size_t i = 998; i < sizeof large; i += 1000)
		memcpy(large + i, "\r\n", 2);
	mem_add(fx.src, mem_folder_get(fx.src, "INBOX", true), large,
	    sizeof large, 0, "", 1);
	memcpy(fx.tgt->refuse, "quoted", 7);
	assert_int_equal(fixture_run(&fx), 0);
	assert_int_equal(fixture_number(&fx, "SELECT count(*) FROM issue WHERE"
	    " kind = 'refused' AND subject = 'a large quoted one' AND"
	    " message_id = '<large@x>' AND size = 400000"), 1);

	text = printed(report_text);
	assert_harmless(text);
	assert_non_null(strstr(text, "7 messages at the source"));
	assert_non_null(strstr(text, "the books balance"));
	assert_non_null(strstr(text, "not wanted"));
	assert_null(strstr(text, "\xe2\x80\xae"));
	free(text);

	text = printed(report_json);
	assert_harmless(text);
	assert_non_null(strstr(text, "\"schema\":\"mailhaul-report-1\""));
	assert_non_null(strstr(text, "\"balanced\":true"));
	assert_non_null(strstr(text, "\"refused\":2"));
	assert_non_null(strstr(text, "\\\"quoted\\\""));
	free(text);

	text = printed(status_now);
	assert_non_null(strstr(text, "pass 1 has ended"));
	assert_non_null(strstr(text, "\"pid\":4711"));
	assert_non_null(strstr(text, "\"sent\":5"));
	free(text);
}

/* A name that a spreadsheet would run. */
static void
test_quotas(void **state)
{
	char *text;

	(void)state;
	fixture_drop_state(&fx);
	fx.target_user = " =cmd|\"/c calc\"!A0\x1b";
	fx.quota = (struct quota_rule){ QUOTA_FIXED, (uint64_t)20 << 20 };
	assert_true(fixture_run(&fx) >= 0);
	text = printed(quota_report_csv);
	assert_string_equal(text, "\"user\",\"limit_bytes\"\r\n\"' =cmd|\"\""
	    "/c calc\"\"!A0\\x1b\",\"20971520\"\r\n");
	free(text);
	fx.target_user = "joe";
}

static void
test_text_show(void **state)
{
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	(void)state;
	text_show(f, "a\tb\x7f\xff\xc3\xa4\xc2\x85\xe2\x80\xae\xe2\x82\xac\xc3");
	fclose(f);
	assert_string_equal(text, "a\\x09b\\x7f\\xff\xc3\xa4\\xc2\\x85"
	    "\\xe2\\x80\\xae\xe2\x82\xac\\xc3");
	free(text);
}

static void
test_json(void **state)
{
	char *text = NULL;
	struct json j;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	(void)state;
	json_start(&j, f);
	json_open(&j, NULL, '[');
	json_string(&j, NULL, "a\"\\\n\x01\xff\xc3\xa4");
	json_string(&j, NULL, NULL);
	json_open(&j, NULL, '{');
	json_number(&j, "n", -5);
	json_bool(&j, "b", false);
	json_close(&j, '}');
	json_close(&j, ']');
	json_end(&j);
	fclose(f);
	for (char *p = text, *q = text; (*q = *p) != '\0'; p++)
		q += *p != '\n';
	assert_string_equal(text, "[\"a\\\"\\\\\\u000a\\u0001\\ufffd\xc3\xa4\","
	    "null,{\"n\":-5,\"b\":false}]");
	free(text);
}

static void
test_markup(void **state)
{
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	(void)state;
	markup_text(f, "<a href=\"'&\x01\xff\xef\xbf\xbe\xc3\xa4>", 0);
	putc('|', f);
	markup_text(f, "12\xc3\xa4" "45", 3);
	putc('|', f);
	markup_text(f, "12\xc3\xa4", 4);
	fclose(f);
	assert_string_equal(text, "&lt;a href=&quot;&#39;&amp;\\x01\\xff\\xef"
	    "\\xbf\\xbe\xc3\xa4&gt;|12\xc3\xa4... (6 bytes)|12\xc3\xa4");
	free(text);
}

/* Nothing gets lost when stretches become one, whatever their number. */
static void
test_rates(void **state)
{
	static struct rates r;
	char *text = NULL;
	size_t len;
	FILE *f;

	(void)state;
	for (size_t max = 2; max <= RATES_MAX; max += 34) {
		int64_t sent = 0, bytes = 0;

		rates_begin(&r, max);
		for (int64_t pass = 1; pass <= 3; pass++)
			for (int64_t i = 0; i < 5000; i += pass)
				rates_add(&r, &(struct rep_rate){ pass,
				    pass * 1000000 + i * PACE_SECONDS, 2,
				    7 });
		assert_true(r.n >= 1 && r.n <= max);
		for (size_t i = 0; i < r.n; i++) {
			sent += r.slot[i].sent;
			bytes += r.slot[i].sent_bytes;
			if (i > 0 && r.slot[i].pass == r.slot[i - 1].pass)
				assert_true(r.slot[i].start -
				    r.slot[i - 1].start >= r.width);
		}
		assert_int_equal(sent, 2 * (5000 + 2500 + 1667));
		assert_int_equal(bytes, 7 * (5000 + 2500 + 1667));
	}
	/* Each pass keeps its own where there is room. */
	assert_int_equal(r.slot[r.n - 1].pass, 3);
	f = open_memstream(&text, &len);
	rates_chart(&r, f);
	rates_begin(&r, 10);
	rates_chart(&r, f);
	fclose(f);
	assert_non_null(strstr(text, "pass 3, "));
	assert_non_null(strstr(text, "18334 messages in all"));
	assert_non_null(strstr(text, "Nothing was sent."));
	assert_null(strstr(text, "nan"));
	free(text);
}

static char *
redacted(struct redact *r, struct arena *a, const char *text)
{
	int64_t id = fixture_number(&fx, "SELECT id FROM account");

	return (char *)(uintptr_t)redact_text(r, a, id, text);
}

static void
test_redact(void **state)
{
	struct redact *r;
	struct arena a;
	struct db *db;
	struct err e;
	long running;

	(void)state;
	assert_int_equal(state_read_only(fx.state, &db, &running, &e), 0);
	arena_init(&a);
	assert_non_null(r = redact_new(db, &e));
	assert_string_equal(redacted(r, &a, "NO joe is over quota (7 bytes)"),
	    "NO [...] is over quota (7 bytes)");
	assert_string_equal(redacted(r, &a, "user.joe.x JOE's x@y, joey"),
	    "[...] [...]'s [...], joey");
	assert_string_equal(redacted(r, &a, "open /srv/mail: \"a b\" at a/b!"),
	    "open [...]: [...] at [...]");
	assert_null(redacted(r, &a, NULL));
	assert_string_equal(redact_mailbox(r, &a, 7, "INBOX"), "INBOX");
	assert_string_equal(redact_mailbox(r, &a, 7, "A.b/c"), "A.#7");
	assert_string_equal(redact_mailbox(r, &a, 7, "joe@x.org"), "#7");
	assert_string_equal(redact_uri(r, &a, "imaps://a@b@h.org:9/x?y@z"),
	    "imaps://h.org:9");
	assert_string_equal(redact_uri(r, &a, "maildir:/home/joe"),
	    "maildir:");
	assert_string_equal(redact_uri(NULL, &a, "mbox:/x"), "mbox:/x");
	redact_free(&r);
	arena_release(&a);
	db_close(&db);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_reports),
		cmocka_unit_test(test_quotas),
		cmocka_unit_test(test_text_show),
		cmocka_unit_test(test_json),
		cmocka_unit_test(test_markup),
		cmocka_unit_test(test_rates),
		cmocka_unit_test(test_redact),
	};
	int rc;

	fixture_start(&fx);
	rc = cmocka_run_group_tests(tests, NULL, NULL);
	fixture_stop(&fx);
	return rc;
}
