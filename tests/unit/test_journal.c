/*
 * Runs of the engine on memory stores: what their logs tell, and what the
 * report of one account and the list of names make of the state.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "journal.h"
#include "report_account.h"
#include "report_names.h"
#include "unit/lib/engine_fixture.h"

static struct fixture fx;
static const struct report_call call = { .job = "my job.ini" };

static int
setup(void **state)
{
	(void)state;
	memset(&fx, 0, sizeof fx);
	fixture_start(&fx);
	fx.log = true;
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	fixture_stop(&fx);
	return 0;
}

static char *
contents(const char *suffix)
{
	char name[200], *p = calloc(1, 1 << 20);
	FILE *f;

	assert_non_null(p);
	snprintf(name, sizeof name, "%s%s", fx.state, suffix);
	if ((f = fopen(name, "r")) != NULL) {
		p[fread(p, 1, (1 << 20) - 1, f)] = '\0';
		fclose(f);
	}
	return p;
}

static void
sql(const char *text)
{
	sqlite3 *db;

	assert_int_equal(sqlite3_open(fx.state, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, text, NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(db);
}

static char *
report(const struct report_call *how)
{
	char *text = NULL;
	size_t len;
	struct db *db;
	struct err e;
	long running;
	FILE *f = open_memstream(&text, &len);

	assert_non_null(f);
	assert_int_equal(state_read_only(fx.state, &db, &running, &e), 0);
	assert_int_equal(report_account(db, f, "nobody", how, &e), -1);
	assert_int_equal(e.scope, ERR_ACCOUNT);
	assert_int_equal(report_account(db, f, "joe", how, &e), 0);
	db_close(&db);
	fclose(f);
	return text;
}

static bool
not_joe(const void *ctx, const char *account)
{
	assert_string_equal(ctx, "context");
	return strcmp(account, "joe") != 0;
}

static char *
names(enum format format, bool all)
{
	char *text = NULL;
	size_t len;
	struct db *db;
	struct err e;
	long running;
	FILE *f = open_memstream(&text, &len);

	assert_non_null(f);
	assert_int_equal(state_read_only(fx.state, &db, &running, &e), 0);
	assert_int_equal(report_names(db, f, format, all ? NULL : not_joe,
	    "context", &e), 0);
	db_close(&db);
	fclose(f);
	return text;
}

static void
has(const char *text, const char *part)
{
	if (strstr(text, part) == NULL)
		fail_msg("%s\nlacks: %s", text, part);
}

static void
fill(void)
{
	static const char bad[] = "Subject: plantedsubject\r\n"
	    "Message-ID: <plantedid@x>\r\n\r\nplantedbody\r\n";

	for (int i = 0; i < 5; i++)
		fixture_add(fx.src, "INBOX", i, "", 0, "", 1000000000 + i);
	fixture_add(fx.src, "Old Mail", 7, "", 0, "", 1000000000);
	mem_add(fx.src, mem_folder_get(fx.src, "INBOX", true), bad,
	    sizeof bad - 1, 0, "", 1000000009);
	memcpy(fx.tgt->refuse, "plantedbody", 11);
}

static void
test_run(void **state)
{
	char *log, *run;

	(void)state;
	fill();
	assert_int_equal(fixture_run(&fx), 0);
	run = contents(".log");
	has(run, " info account-begin account=joe: from mem:src");
	has(run, " info account-end account=joe: done, source 7 copied 6 "
	    "present 0 excluded 0 refused 1 failed 0 vanished 0\n");
	assert_null(strstr(run, "refused account"));
	log = contents(".logs/joe.log");
	has(log, " info account-begin account=joe: from mem:");
	has(log, " info open account=joe: target mem:tgt");
	has(log, " info mailbox-begin account=joe mailbox=\"Old Mail\": to "
	    "Old Mail, UIDVALIDITY ");
	has(log, " info mailbox-end account=joe mailbox=INBOX: done, source "
	    "6 copied 5 present 0 excluded 0 refused 1 failed 0 vanished 0\n");
	has(log, " warn refused account=joe mailbox=INBOX where=\"uid 6\": ");
	has(log, "not wanted");
	has(log, " info account-end account=joe: done, source 7");
	assert_null(strstr(log, "planted"));
	assert_null(strstr(run, "planted"));
	free(log);
	free(run);
	/* The next pass goes on in the same files. */
	assert_int_equal(fixture_run(&fx), 0);
	run = contents(".log");
	has(strstr(run, "account-end"), "account-begin");
	free(run);
	assert_int_equal(fixture_number(&fx, "SELECT count(*) FROM history"
	    " WHERE ended IS NOT NULL AND outcome = 'done' AND source = 7 AND"
	    " copied = 6 AND refused = 1"), 2);
}

/* Retries and the reason why an account failed. */
static void
test_errors(void **state)
{
	char *log;

	(void)state;
	fill();
	fx.tgt->break_after = 1;
	assert_int_equal(fixture_run(&fx), 0);
	log = contents(".logs/joe.log");
	has(log, " warn error account=joe mailbox=");
	has(log, " warn pause account=joe: again in ");
	free(log);
	log = contents(".log");
	has(log, " warn pause account=joe: again in ");
	free(log);
	fx.tgt->missing = true;
	assert_int_equal(fixture_run(&fx), 2);
	log = contents(".log");
	has(log, " warn account-end account=joe: failed, source 7 ");
	free(log);
	log = report(&call);
	has(log, "outcome   failed: it could not be copied to its end");
	has(log, "  pass 2, ");
	has(log, ": failed, source 7, copied 6");
	free(log);
}

static void
test_hosts(void **state)
{
	static const struct { const char *uri, *host; } table[] = {
		{ "imap://u@mail.example.net:143?ca=/x", "mail.example.net" },
		{ "imaps://a@b@c", "c" }, { "maildir:/x@y/z", "" },
		{ "null:", "" }, { "", "" }, { "imap://", "" },
		{ "imap://u@[::1]:5", "::1" }
	};
	char host[40];

	(void)state;
	for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
		journal_host(table[i].uri, host, sizeof host);
		assert_string_equal(host, table[i].host);
	}
}

static void
test_report(void **state)
{
	struct report_call bare = { .state = fx.state };
	char *text;

	(void)state;
	fill();
	assert_int_equal(fixture_run(&fx), 0);
	text = report(&call);
	has(text, "account   joe\nsource    mem:src");
	has(text, "outcome   done: everything is at the target but for what "
	    "it refused\n");
	has(text, "messages  7 at the source, 6 copied, 1 refused\n");
	has(text, "Old Mail -> Old Mail\n");
	has(text, "not at the target, because it says no:\n  INBOX, uid 6: ");
	has(text, " bytes Subject: plantedsubject Message-ID: "
	    "<plantedid@x>\n");
	has(text, "passes over it:\n  pass 1, ");
	has(text, "mailhaul copy --job 'my job.ini' --only joe --repair\n");
	free(text);
	text = report(&bare);
	has(text, "mailhaul copy --state /");
	free(text);

	/* Names as people see them. */
	sql("UPDATE account SET target = 'imaps://joe@x'; UPDATE mailbox SET"
	    " tgt_name = 'INBOX/Entw&APw-rfe' WHERE src_name = 'Old Mail'");
	text = report(&call);
	has(text, "Old Mail -> INBOX/Entw\u00fcrfe\n");
	free(text);

	/* Every other state of things. */
	sql("UPDATE account SET outcome = 'empty', error = 'no message; say"
	    " empty=ok'");
	text = report(&call);
	has(text, "outcome   empty: nothing was found at the source\n");
	has(text, "--only joe --empty ok\n");
	free(text);
	sql("UPDATE account SET outcome = 'failed', error = 'of somebody;"
	    " existing=merge copies all the same'");
	text = report(&call);
	has(text, "--only joe --existing merge\n");
	free(text);
	sql("UPDATE account SET outcome = 'running', error = NULL;"
	    " UPDATE history SET ended = NULL");
	text = report(&call);
	has(text, "the last pass was cut off while it was being copied\n");
	has(text, ": begun, and has no end\n");
	has(text, "  - go on:\n      mailhaul copy --job 'my job.ini' --only "
	    "joe\n");
	free(text);
	bare.running = 4711;
	text = report(&bare);
	has(text, "it is being copied now");
	has(text, "wait until the copy has ended");
	free(text);
	sql("UPDATE message SET rule = 'repair=yes' WHERE outcome = 4;"
	    " INSERT INTO issue (account_id, kind, message_where, reason, pass)"
	    " VALUES (1, 'strange', 'there', 'a\nb\x1b', 1)");
	text = report(&call);
	has(text, "what is still refused has to be taken by other means");
	has(text, "strange:\n  the account, there: a\\x0ab\\x1b (pass 1)\n");
	assert_null(strstr(text, "--repair\n"));
	free(text);
	sql("UPDATE account SET outcome = 'done'; UPDATE mailbox SET refused ="
	    " 0; UPDATE message SET outcome = 1 WHERE outcome = 4");
	text = report(&call);
	has(text, "done: everything that was to be copied is at the target\n");
	has(text, "  - nothing; when there is new mail at the source:\n");
	assert_null(strstr(text, "says no"));
	free(text);
}

static void
test_names(void **state)
{
	char *text;

	(void)state;
	fill();
	assert_int_equal(fixture_run(&fx), 0);
	sql("UPDATE account SET target = 'imap://joe@x', target_user ="
	    " '=cmd|''/c calc''!A0';"
	    " INSERT INTO mailbox (account_id, src_key, src_name, tgt_name,"
	    " tgt_key) VALUES (1, 'a', 'Entw\u00fcrfe', 'INBOX.Entw&APw-rfe',"
	    " ''), (1, 'b', '+1+2', '-\"x\",y\n', ''), (1, 'c', 'Trash',"
	    " 'Trash (INBOX)', ''), (1, 'd', 'left out', '', ''),"
	    " (1, 'e', 'a/b', 'a.b', ''), (1, 'f', ' =1', '@x', ''),"
	    " (1, 'g', 'R&D', 'R&D', '');"
	    " INSERT INTO mailbox (account_id, src_key, src_name, tgt_name,"
	    " tgt_key, outcome) VALUES (1, 'h', 'gone', 'gone', '', 'gone')");
	text = names(FORMAT_CSV, true);
	has(text, "\"account\",\"target_user\",\"old_name\",\"new_name\","
	    "\"changed\"\r\n\"joe\",\"'=cmd|'/c calc'!A0\",\"INBOX\","
	    "\"INBOX\",\"no\"\r\n");
	has(text, "\"Entw\u00fcrfe\",\"INBOX.Entw\u00fcrfe\",\"no\"\r\n");
	has(text, "\"'+1+2\",\"'-\"\"x\"\",y\\x0a\",\"yes\"\r\n");
	has(text, "\"Trash\",\"Trash (INBOX)\",\"yes\"\r\n");
	has(text, "\"a/b\",\"a.b\",\"no\"\r\n");
	has(text, "\"' =1\",\"'@x\",\"yes\"\r\n");
	has(text, "\"R&D\",\"R&D\",\"no\"\r\n");
	assert_null(strstr(text, "left out"));
	assert_null(strstr(text, "gone"));
	free(text);
	text = names(FORMAT_TEXT, true);
	assert_string_equal(text, "joe: +1+2 -> -\"x\",y\\x0a\n"
	    "joe: Trash -> Trash (INBOX)\njoe:  =1 -> @x\n");
	free(text);
	text = names(FORMAT_TEXT, false);
	assert_string_equal(text, "");
	free(text);
}

int
main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_run), T(test_errors), T(test_hosts), T(test_report),
		T(test_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
