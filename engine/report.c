/* Reports over the state, as text and as JSON. */
#include "report.h"

#include <inttypes.h>
#include <string.h>
#include <time.h>

#include "live.h"
#include "stage.h"
#include "text.h"

/* Only pairs, not what an earlier pass knew and nobody counts. */
#define SUMS	"ifnull(sum(source),0), ifnull(sum(copied),0)," \
	" ifnull(sum(present),0), ifnull(sum(excluded),0)," \
	" ifnull(sum(refused),0), ifnull(sum(failed),0)," \
	" ifnull(sum(vanished),0)"

static void
read_counts(sqlite3_stmt *st, int64_t *source, int64_t counts[OUTCOMES])
{
	*source = sqlite3_column_int64(st, 0);
	counts[0] = 0;
	for (int i = 1; i < OUTCOMES; i++)
		counts[i] = sqlite3_column_int64(st, i);
}

int
report_totals(struct db *db, struct totals *t, struct err *e)
{
	sqlite3_stmt *st;
	int64_t unbalanced, begun;
	int rc;

	memset(t, 0, sizeof *t);
	st = db_query(db, e, "SELECT " SUMS ", count(*), ifnull(sum(stripped),"
	    "0), ifnull(sum(bytes),0), ifnull(sum(crlf_bytes),0) FROM mailbox WHERE"
	    " outcome <> 'gone'", "");
	if (st == NULL)
		return -1;
	if ((rc = db_step(db, st, e)) == 1) {
		read_counts(st, &t->source, t->counts);
		t->mailboxes = sqlite3_column_int64(st, 7);
		t->stripped = sqlite3_column_int64(st, 8);
		t->bytes = sqlite3_column_int64(st, 9);
		t->crlf_bytes = sqlite3_column_int64(st, 10);
	}
	db_done(st);
	if (rc == -1)
		return -1;
	if (db_number(db, e, &t->accounts, 0, "SELECT count(*) FROM account",
	    "") == -1 ||
	    db_number(db, e, &t->accounts_done, 0, "SELECT count(*) FROM"
	    " account WHERE outcome = 'done'", "") == -1 ||
	    db_number(db, e, &t->altered, 0, "SELECT count(*) FROM issue WHERE"
	    " kind IN ('altered', 'repaired', 'doubled', 'keywords', 'date')",
	    "") == -1 ||
	    db_number(db, e, &unbalanced, 0, "SELECT count(*) FROM mailbox"
	    " WHERE source <> copied + present + excluded + refused + failed +"
	    " vanished AND outcome <> 'gone' OR outcome NOT IN ('done',"
	    " 'partial', 'excluded', 'gone')",
	    "") == -1 ||
	    db_number(db, e, &begun, 0, "SELECT count(*) FROM account WHERE"
	    " outcome IN ('new', 'running', 'stopped')", "") == -1)
		return -1;
	t->balanced = unbalanced == 0 && begun == 0;
	return 0;
}

static void
put_bytes(FILE *out, int64_t n)
{
	static const char *const units[] = { "B", "kB", "MB", "GB", "TB" };
	double v = (double)n;
	size_t u = 0;

	while (v >= 1000 && u < 4) {
		v /= 1000;
		u++;
	}
	fprintf(out, u == 0 ? "%.0f %s" : "%.1f %s", v, units[u]);
}

static int
text_accounts(struct db *db, FILE *out, struct err *e)
{
	sqlite3_stmt *st;
	int rc;

	st = db_query(db, e, "SELECT ifnull(m.source,0), ifnull(m.copied,0),"
	    " ifnull(m.present,0), ifnull(m.excluded,0), ifnull(m.refused,0),"
	    " ifnull(m.failed,0), ifnull(m.vanished,0), account.name,"
	    " account.outcome, ifnull(account.error,'') FROM account LEFT JOIN"
	    " (SELECT account_id, sum(source) AS source, sum(copied) AS copied,"
	    " sum(present) AS present, sum(excluded) AS excluded, sum(refused)"
	    " AS refused, sum(failed) AS failed, sum(vanished) AS vanished FROM"
	    " mailbox WHERE outcome <> 'gone' GROUP BY account_id) AS m ON m.account_id = account.id"
	    " ORDER BY account.outcome = 'done', account.name", "");
	if (st == NULL)
		return -1;
	fprintf(out, "\n%-8s %9s %9s %9s %8s %7s %6s %8s  %s\n", "outcome",
	    "source", "copied", "present", "excluded", "refused", "failed",
	    "vanished", "account");
	while ((rc = db_step(db, st, e)) == 1) {
		int64_t source, n[OUTCOMES];

		read_counts(st, &source, n);
		fprintf(out, "%-8s %9" PRId64 " %9" PRId64 " %9" PRId64
		    " %8" PRId64 " %7" PRId64 " %6" PRId64 " %8" PRId64 "  ",
		    db_text(st, 8), source, n[OUT_COPIED], n[OUT_PRESENT],
		    n[OUT_EXCLUDED], n[OUT_REFUSED], n[OUT_FAILED],
		    n[OUT_VANISHED]);
		text_show(out, db_text(st, 7));
		if (*db_text(st, 9) != '\0') {
			fputs(": ", out);
			text_show(out, db_text(st, 9));
		}
		putc('\n', out);
	}
	db_done(st);
	return rc;
}

/* Where people have set one. */
static int
report_stages(struct db *db, FILE *out, const char *head, struct err *e)
{
	struct buf b;
	int64_t n;
	int rc = 0;

	if (db_number(db, e, &n, 0, "SELECT EXISTS (SELECT 1 FROM account WHERE"
	    " stage IN ('frozen', 'released'))", "") == -1)
		return -1;
	buf_init(&b, 1000);
	if (n != 0 && (rc = stage_text(db, &b, e)) == 0)
		fprintf(out, "%s%s\n", head, b.ptr);
	buf_release(&b);
	return rc;
}

static const char issues_sql[] = "SELECT account.name, ifnull(src_name, ''),"
	" kind, ifnull(message_where, ''), ifnull(message_id, ''),"
	" ifnull(subject, ''), ifnull(size, -1), ifnull(reason, ''),"
	" issue.pass FROM issue JOIN account ON account.id = issue.account_id"
	" LEFT JOIN mailbox ON mailbox.id = issue.mailbox_id WHERE NOT (kind ="
	" 'refused' AND NOT EXISTS (SELECT 1 FROM message WHERE"
	" message.mailbox_id = issue.mailbox_id AND message.key = issue.key AND"
	" message.outcome = 4)) ORDER BY kind, account.name, src_name,"
	" issue.id";

static int
text_issues(struct db *db, FILE *out, struct err *e)
{
	char last[32] = "";
	sqlite3_stmt *st;
	int rc;

	st = db_query(db, e, issues_sql, "");
	if (st == NULL)
		return -1;
	while ((rc = db_step(db, st, e)) == 1) {
		const char *kind = db_text(st, 2);

		if (strcmp(kind, last) != 0) {
			snprintf(last, sizeof last, "%s", kind);
			fprintf(out, "\n%s:\n", kind);
		}
		fputs("  ", out);
		text_show(out, db_text(st, 0));
		if (*db_text(st, 1) != '\0') {
			putc('/', out);
			text_show(out, db_text(st, 1));
		}
		if (*db_text(st, 3) != '\0' &&
		    strcmp(db_text(st, 3), db_text(st, 7)) != 0) {
			fputs(" [", out);
			text_show(out, db_text(st, 3));
			putc(']', out);
		}
		fputs(": ", out);
		text_show(out, db_text(st, 7));
		if (sqlite3_column_int64(st, 6) >= 0)
			fprintf(out, " (%" PRId64 " bytes)",
			    (int64_t)sqlite3_column_int64(st, 6));
		if (*db_text(st, 5) != '\0') {
			fputs(" \"", out);
			text_show(out, db_text(st, 5));
			putc('"', out);
		}
		if (*db_text(st, 4) != '\0') {
			putc(' ', out);
			text_show(out, db_text(st, 4));
		}
		putc('\n', out);
	}
	db_done(st);
	return rc;
}

int
report_text(struct db *db, FILE *out, struct err *e)
{
	struct totals t;
	int64_t passes, sent;

	if (report_totals(db, &t, e) == -1 ||
	    db_number(db, e, &passes, 0, "SELECT max(id) FROM pass", "") ==
	    -1 || db_number(db, e, &sent, 0, "SELECT sent FROM pass ORDER BY"
	    " id DESC LIMIT 1", "") == -1)
		return -1;
	fprintf(out, "%" PRId64 " accounts, %" PRId64 " mailboxes, %" PRId64
	    " messages at the source after %" PRId64 " passes\n", t.accounts,
	    t.mailboxes, t.source, passes);
	for (int i = 1; i < OUTCOMES; i++)
		fprintf(out, "  %-9s %" PRId64 "\n",
		    outcome_name((enum outcome)i), t.counts[i]);
	if (report_stages(db, out, "stages: ", e) == -1)
		return -1;
	fprintf(out, "the books %s\n", t.balanced ? "balance" :
	    "DO NOT balance yet: see the accounts below");
	fprintf(out, "stored bytes ");
	put_bytes(out, t.bytes);
	fprintf(out, ", as servers count (line ends CR LF) ");
	put_bytes(out, t.crlf_bytes);
	fprintf(out, "\nsent in the last pass: %" PRId64 "%s\n", sent,
	    sent == 0 ? " (nothing was missing at the target)" : "");
	if (t.stripped > 0)
		fprintf(out, "fields of the mailbox file (Status, X-UID...) "
		    "became flags and UIDs in %" PRId64 " messages\n",
		    t.stripped);
	if (text_accounts(db, out, e) == -1)
		return -1;
	return text_issues(db, out, e);
}

static void
json_counts(struct json *j, int64_t source, const int64_t counts[OUTCOMES])
{
	json_open(j, "totals", '{');
	json_number(j, "source", source);
	for (int i = 1; i < OUTCOMES; i++)
		json_number(j, outcome_name((enum outcome)i), counts[i]);
	json_close(j, '}');
}

static int
json_mailboxes(struct db *db, struct json *j, int64_t account, struct err *e)
{
	sqlite3_stmt *st;
	int rc;

	st = db_query(db, e, "SELECT source, copied, present, excluded,"
	    " refused, failed, vanished, src_name, tgt_name, outcome, error,"
	    " bytes, crlf_bytes, stripped, tgt_uidvalidity FROM mailbox WHERE"
	    " account_id = ?1 ORDER BY id", "i", account);
	if (st == NULL)
		return -1;
	json_open(j, "mailboxes", '[');
	while ((rc = db_step(db, st, e)) == 1) {
		int64_t source, n[OUTCOMES];

		read_counts(st, &source, n);
		json_open(j, NULL, '{');
		json_string(j, "name", db_text(st, 7));
		json_string(j, "target_name", db_text(st, 8));
		json_string(j, "outcome", db_text(st, 9));
		json_string(j, "error", sqlite3_column_type(st, 10) ==
		    SQLITE_NULL ? NULL : db_text(st, 10));
		json_counts(j, source, n);
		json_number(j, "bytes", sqlite3_column_int64(st, 11));
		json_number(j, "crlf_bytes", sqlite3_column_int64(st, 12));
		json_number(j, "stripped", sqlite3_column_int64(st, 13));
		json_number(j, "target_uidvalidity",
		    sqlite3_column_int64(st, 14));
		json_close(j, '}');
	}
	db_done(st);
	json_close(j, ']');
	return rc;
}

static int
json_accounts(struct db *db, struct json *j, struct err *e)
{
	sqlite3_stmt *st;
	int rc;

	st = db_query(db, e, "SELECT id, name, target_user, source, target,"
	    " stage, outcome, error FROM account ORDER BY name", "");
	if (st == NULL)
		return -1;
	json_open(j, "accounts", '[');
	while ((rc = db_step(db, st, e)) == 1) {
		int64_t id = sqlite3_column_int64(st, 0), source, n[OUTCOMES];
		sqlite3_stmt *sums;

		json_open(j, NULL, '{');
		json_string(j, "name", db_text(st, 1));
		json_string(j, "target_user", db_text(st, 2));
		json_string(j, "source", db_text(st, 3));
		json_string(j, "target", db_text(st, 4));
		json_string(j, "stage", db_text(st, 5));
		json_string(j, "outcome", db_text(st, 6));
		json_string(j, "error", sqlite3_column_type(st, 7) ==
		    SQLITE_NULL ? NULL : db_text(st, 7));
		sums = db_query(db, e, "SELECT " SUMS " FROM mailbox WHERE"
		    " account_id = ?1 AND outcome <> 'gone'", "i", id);
		if (sums == NULL || db_step(db, sums, e) != 1) {
			rc = -1;
			break;
		}
		read_counts(sums, &source, n);
		db_done(sums);
		json_counts(j, source, n);
		if (json_mailboxes(db, j, id, e) == -1) {
			rc = -1;
			break;
		}
		json_close(j, '}');
	}
	db_done(st);
	json_close(j, ']');
	return rc;
}

static int
json_issues(struct db *db, struct json *j, struct err *e)
{
	sqlite3_stmt *st;
	int rc;

	st = db_query(db, e, issues_sql, "");
	if (st == NULL)
		return -1;
	json_open(j, "issues", '[');
	while ((rc = db_step(db, st, e)) == 1) {
		json_open(j, NULL, '{');
		json_string(j, "account", db_text(st, 0));
		json_string(j, "mailbox", db_text(st, 1));
		json_string(j, "kind", db_text(st, 2));
		json_string(j, "where", db_text(st, 3));
		json_string(j, "message_id", db_text(st, 4));
		json_string(j, "subject", db_text(st, 5));
		if (sqlite3_column_int64(st, 6) >= 0)
			json_number(j, "size", sqlite3_column_int64(st, 6));
		json_string(j, "reason", db_text(st, 7));
		json_number(j, "pass", sqlite3_column_int64(st, 8));
		json_close(j, '}');
	}
	db_done(st);
	json_close(j, ']');
	return rc;
}

int
report_json(struct db *db, FILE *out, struct err *e)
{
	struct totals t;
	struct json j;

	if (report_totals(db, &t, e) == -1)
		return -1;
	json_start(&j, out);
	json_open(&j, NULL, '{');
	json_string(&j, "schema", "mailhaul-report-1");
	json_bool(&j, "balanced", t.balanced);
	json_counts(&j, t.source, t.counts);
	json_number(&j, "bytes", t.bytes);
	json_number(&j, "crlf_bytes", t.crlf_bytes);
	json_number(&j, "stripped", t.stripped);
	if (json_accounts(db, &j, e) == -1 || json_issues(db, &j, e) == -1)
		return -1;
	json_close(&j, '}');
	json_end(&j);
	return 0;
}

struct status {
	int64_t pass, started, ended, sent, sent_bytes, running, waiting;
};

static int
read_status(struct db *db, struct status *s, struct err *e)
{
	sqlite3_stmt *st;
	int rc;

	memset(s, 0, sizeof *s);
	st = db_query(db, e, "SELECT id, started, ifnull(ended,0), sent,"
	    " sent_bytes FROM pass ORDER BY id DESC LIMIT 1", "");
	if (st == NULL)
		return -1;
	if ((rc = db_step(db, st, e)) == 1) {
		s->pass = sqlite3_column_int64(st, 0);
		s->started = sqlite3_column_int64(st, 1);
		s->ended = sqlite3_column_int64(st, 2);
		s->sent = sqlite3_column_int64(st, 3);
		s->sent_bytes = sqlite3_column_int64(st, 4);
	}
	db_done(st);
	if (rc == -1)
		return -1;
	if (db_number(db, e, &s->running, 0, "SELECT count(*) FROM account"
	    " WHERE outcome = 'running'", "") == -1)
		return -1;
	return db_number(db, e, &s->waiting, 0, "SELECT count(*) FROM intent"
	    " WHERE state = 0", "");
}

int
status_text(struct db *db, FILE *out, long running, struct err *e)
{
	struct status s;
	struct totals t;
	int64_t seconds;

	if (read_status(db, &s, e) == -1 || report_totals(db, &t, e) == -1)
		return -1;
	seconds = (s.ended > 0 ? s.ended : (int64_t)time(NULL)) - s.started;
	if (running > 0)
		fprintf(out, "pass %" PRId64 " is running (process %ld) for %"
		    PRId64 " s\n", s.pass, running, seconds);
	else if (s.pass > 0 && s.ended == 0)
		fprintf(out, "pass %" PRId64 " was cut off; run copy again to "
		    "resume\n", s.pass);
	else if (s.pass > 0)
		fprintf(out, "pass %" PRId64 " has ended after %" PRId64
		    " s\n", s.pass, seconds);
	else
		fprintf(out, "no pass yet\n");
	fprintf(out, "  accounts  %" PRId64 " known, %" PRId64 " done, %"
	    PRId64 " in work\n", t.accounts, t.accounts_done, s.running);
	if (report_stages(db, out, "  stages    ", e) == -1)
		return -1;
	fprintf(out, "  messages  %" PRId64 " sent in this pass (", s.sent);
	put_bytes(out, s.sent_bytes);
	fprintf(out, ")\n  batches   %" PRId64 " without an answer yet\n",
	    s.waiting);
	return live_text(db, out, running, e);
}

int
status_json(struct db *db, FILE *out, long running, struct err *e)
{
	struct status s;
	struct totals t;
	struct json j;

	if (read_status(db, &s, e) == -1 || report_totals(db, &t, e) == -1)
		return -1;
	json_start(&j, out);
	json_open(&j, NULL, '{');
	json_string(&j, "schema", "mailhaul-status-1");
	json_number(&j, "pid", running);
	json_number(&j, "pass", s.pass);
	json_number(&j, "started", s.started);
	json_number(&j, "ended", s.ended);
	json_number(&j, "sent", s.sent);
	json_number(&j, "sent_bytes", s.sent_bytes);
	json_number(&j, "accounts", t.accounts);
	json_number(&j, "accounts_done", t.accounts_done);
	json_number(&j, "accounts_running", s.running);
	json_number(&j, "open_intents", s.waiting);
	if (stage_json(db, &j, e) == -1)
		return -1;
	if (live_json(db, &j, running, e) == -1)
		return -1;
	json_close(&j, '}');
	json_end(&j);
	return 0;
}
