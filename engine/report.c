/* Totals, which printer a report has, and the status. */
#include "report.h"

#include <inttypes.h>
#include <string.h>
#include <time.h>

#include "live.h"
#include "report_impl.h"
#include "stage.h"

/* Only pairs, not what an earlier pass knew and nobody counts. */
#define SUMS	"ifnull(sum(source),0), ifnull(sum(copied),0)," \
	" ifnull(sum(present),0), ifnull(sum(excluded),0)," \
	" ifnull(sum(refused),0), ifnull(sum(failed),0)," \
	" ifnull(sum(vanished),0)"

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
		t->source = sqlite3_column_int64(st, 0);
		for (int i = 1; i < OUTCOMES; i++)
			t->counts[i] = sqlite3_column_int64(st, i);
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

int
report_stages(struct db *db, struct buf *out, struct err *e)
{
	int64_t n;

	if (db_number(db, e, &n, 0, "SELECT EXISTS (SELECT 1 FROM account WHERE"
	    " stage IN ('frozen', 'released'))", "") == -1)
		return -1;
	return n != 0 ? stage_text(db, out, e) : 0;
}

static const struct report_sink *
sink_of(const struct report_options *opt)
{
	switch (opt->format) {
	case FORMAT_TEXT:
		if (opt->table != TABLE_ALL)
			return &report_sinks_table[opt->table - TABLE_FIRST];
		break;
	case FORMAT_CSV:
		return &report_sinks_csv[opt->table != TABLE_ALL ?
		    (unsigned)(opt->table - TABLE_FIRST) : REP_ACCOUNTS];
	case FORMAT_JSON:
		return &report_sink_json;
	case FORMAT_NDJSON:
		return &report_sink_ndjson;
	case FORMAT_JUNIT:
		return &report_sink_junit;
	case FORMAT_HTML:
		return &report_sink_html;
	}
	return &report_sink_text;
}

int
report_write(struct db *db, FILE *out, const struct report_options *opt,
    struct err *e)
{
	struct report r = { .out = out, .db = db, .opt = opt,
	    .sink = sink_of(opt) };

	return report_read(&r, e);
}

int
report_text(struct db *db, FILE *out, struct err *e)
{
	const struct report_options opt = { .brief = true };

	return report_write(db, out, &opt, e);
}

int
report_json(struct db *db, FILE *out, struct err *e)
{
	const struct report_options opt = { .brief = true,
	    .format = FORMAT_JSON };

	return report_write(db, out, &opt, e);
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
	struct buf stages;
	int64_t seconds;
	char bytes[24];

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
	buf_init(&stages, 1000);
	if (report_stages(db, &stages, e) == -1) {
		buf_release(&stages);
		return -1;
	}
	if (stages.len > 0)
		fprintf(out, "  stages    %s\n", stages.ptr);
	buf_release(&stages);
	fprintf(out, "  messages  %" PRId64 " sent in this pass (", s.sent);
	fputs(report_bytes(bytes, sizeof bytes, s.sent_bytes), out);
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
