/* What a running copy tells of itself through the state. */
#include "live.h"

#include <inttypes.h>

#include "text.h"

/* Of the running pass only: what an earlier one said is over. */
static const char live_sql[] = "SELECT mode, left_s, basis FROM live WHERE"
	" pass = (SELECT max(id) FROM pass)";
static const char hosts_sql[] = "SELECT side, name, lanes, cap, user_cap,"
	" held_s, why, rate, measured_s FROM host ORDER BY side, name";

static void
text_host(sqlite3_stmt *st, FILE *out, bool running)
{
	int64_t cap = sqlite3_column_int64(st, 3);
	int64_t user = sqlite3_column_int64(st, 4);
	int64_t held = sqlite3_column_int64(st, 5);

	fprintf(out, "  %-9s ", sqlite3_column_int64(st, 0) == 0 ? "source" :
	    "target");
	text_show(out, db_text(st, 1));
	if (running)
		fprintf(out, ", %" PRId64 " lanes",
		    (int64_t)sqlite3_column_int64(st, 2));
	if (sqlite3_column_double(st, 7) > 0)
		fprintf(out, ", %.1f messages/s",
		    sqlite3_column_double(st, 7));
	if (cap > 0)
		fprintf(out, ", takes %" PRId64 " sessions", cap);
	if (user > 0)
		fprintf(out, ", takes %" PRId64 " sessions of one account",
		    user);
	if (running && held > 0) {
		fprintf(out, ", ON HOLD for %" PRId64 " s: ", held);
		text_show(out, db_text(st, 6));
	}
	putc('\n', out);
}

int
live_text(struct db *db, FILE *out, long running, struct err *e)
{
	sqlite3_stmt *st;
	int rc;

	if ((st = db_query(db, e, live_sql, "")) == NULL)
		return -1;
	if ((rc = db_step(db, st, e)) == 1 && running > 0) {
		int64_t s = sqlite3_column_int64(st, 1);

		fprintf(out, "  mode      %s\n", db_text(st, 0));
		if (s >= 0)
			fprintf(out, "  left      about %" PRId64 ":%02" PRId64
			    ":%02" PRId64 " (%s)\n", s / 3600, s / 60 % 60,
			    s % 60, db_text(st, 2));
	}
	db_done(st);
	if (rc == -1 || (st = db_query(db, e, hosts_sql, "")) == NULL)
		return -1;
	while ((rc = db_step(db, st, e)) == 1)
		text_host(st, out, running > 0);
	db_done(st);
	return rc;
}

int
live_json(struct db *db, struct json *j, long running, struct err *e)
{
	sqlite3_stmt *st;
	int rc;

	if ((st = db_query(db, e, live_sql, "")) == NULL)
		return -1;
	rc = db_step(db, st, e);
	json_string(j, "mode", running == 0 ? "ended" : rc == 1 ?
	    db_text(st, 0) : "running");
	if (rc == 1 && running > 0 && sqlite3_column_int64(st, 1) >= 0) {
		json_number(j, "left_seconds", sqlite3_column_int64(st, 1));
		json_string(j, "left_basis", db_text(st, 2));
	}
	db_done(st);
	if (rc == -1 || (st = db_query(db, e, hosts_sql, "")) == NULL)
		return -1;
	json_open(j, "hosts", '[');
	while ((rc = db_step(db, st, e)) == 1) {
		json_open(j, NULL, '{');
		json_string(j, "side", sqlite3_column_int64(st, 0) == 0 ?
		    "source" : "target");
		json_string(j, "name", db_text(st, 1));
		json_number(j, "lanes", running > 0 ?
		    sqlite3_column_int64(st, 2) : 0);
		json_number(j, "cap", sqlite3_column_int64(st, 3));
		json_number(j, "user_cap", sqlite3_column_int64(st, 4));
		json_number(j, "held_seconds", running > 0 ?
		    sqlite3_column_int64(st, 5) : 0);
		json_string(j, "held_why", running > 0 ? db_text(st, 6) : "");
		json_number(j, "messages_per_hour",
		    (int64_t)(sqlite3_column_double(st, 7) * 3600));
		json_close(j, '}');
	}
	db_done(st);
	json_close(j, ']');
	return rc;
}
