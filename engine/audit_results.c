/* What an audit has found, in a temporary database. */
#include "audit_impl.h"

#include <stdlib.h>
#include <string.h>

#include "base/xmalloc.h"

struct audit_results {
	struct db	*db;
	uv_mutex_t	 mutex;
};

static const char schema[] =
    "CREATE TABLE account (id INTEGER PRIMARY KEY, name TEXT, source TEXT,"
    " target TEXT, stage TEXT, outcome TEXT, error TEXT, again INTEGER,"
    " mailboxes INTEGER, counts BLOB);"
    "CREATE TABLE box (id INTEGER PRIMARY KEY, account INTEGER, name TEXT,"
    " target TEXT, outcome TEXT, why TEXT, counts BLOB);"
    "CREATE INDEX box_account ON box (account, id);"
    "CREATE TABLE difference (id INTEGER PRIMARY KEY, account INTEGER,"
    " box INTEGER, message INTEGER, verdict INTEGER, cause TEXT,"
    " source_uid INTEGER, target_uid INTEGER, place TEXT, message_id TEXT,"
    " subject TEXT, size INTEGER, detail TEXT, diff TEXT);"
    "CREATE INDEX difference_box ON difference (account, box, id);";

int
results_open(struct audit_results **rp, struct err *e)
{
	struct audit_results *r = xcalloc(1, sizeof *r);

	uv_mutex_init(&r->mutex);
	*rp = r;
	if (db_open(&r->db, NULL, DB_TEMP, e) == -1)
		return -1;
	return db_script(r->db, schema, e);
}

void
results_close(struct audit_results **rp)
{
	struct audit_results *r = *rp;

	if (r == NULL)
		return;
	db_close(&r->db);
	uv_mutex_destroy(&r->mutex);
	free(r);
	*rp = NULL;
}

int
results_begin(struct audit_results *r, struct err *e)
{
	uv_mutex_lock(&r->mutex);
	if (db_script(r->db, "BEGIN", e) == 0)
		return 0;
	uv_mutex_unlock(&r->mutex);
	return -1;
}

int
results_end(struct audit_results *r, struct err *e)
{
	int rc = db_script(r->db, "COMMIT", e);

	uv_mutex_unlock(&r->mutex);
	return rc;
}

int
results_account(struct audit_results *r, const struct audit_row_account *a,
    struct err *e)
{
	return db_run(r->db, e, "INSERT INTO account VALUES (?1, ?2, ?3, ?4,"
	    " ?5, ?6, ?7, ?8, ?9, ?10)", "issssssiib", a->id, a->name,
	    a->source, a->target, a->stage, a->outcome, a->error,
	    (int64_t)a->again, (int64_t)a->mailboxes, &a->counts,
	    sizeof a->counts);
}

int
results_box(struct audit_results *r, const struct audit_row_box *b,
    int64_t *id, struct err *e)
{
	if (db_run(r->db, e, "INSERT INTO box (account, name, target) VALUES"
	    " (?1, ?2, ?3)", "iss", b->account, b->name, b->target) == -1)
		return -1;
	*id = db_last_id(r->db);
	return 0;
}

int
results_box_set(struct audit_results *r, const struct audit_row_box *b,
    struct err *e)
{
	return db_run(r->db, e, "UPDATE box SET outcome = ?2, why = ?3, counts"
	    " = ?4 WHERE id = ?1", "issb", b->id, b->outcome, b->why,
	    &b->counts, sizeof b->counts);
}

int
results_difference(struct audit_results *r,
    const struct audit_row_difference *d, struct err *e)
{
	return db_run(r->db, e, "INSERT INTO difference (account, box, message,"
	    " verdict, cause, source_uid, target_uid, place, message_id,"
	    " subject, size, detail, diff) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7,"
	    " ?8, ?9, ?10, ?11, ?12, ?13)", "iiiisiisssiss", d->account,
	    d->box, (int64_t)d->message, (int64_t)d->verdict, d->cause,
	    (int64_t)d->source_uid, (int64_t)d->target_uid, d->where,
	    d->message_id, d->subject, (int64_t)d->size, d->detail, d->diff);
}

static void
read_counts(sqlite3_stmt *st, int column, struct audit_counts *c)
{
	memset(c, 0, sizeof *c);
	if (sqlite3_column_bytes(st, column) == (int)sizeof *c)
		memcpy(c, sqlite3_column_blob(st, column), sizeof *c);
}

static const char *
text_or_null(sqlite3_stmt *st, int column)
{
	return (const char *)sqlite3_column_text(st, column);
}

int
audit_accounts(struct audit *au, audit_account_fn *fn, void *ctx,
    struct err *e)
{
	struct db *db = au->results->db;
	struct audit_row_account a;
	sqlite3_stmt *st = db_query(db, e, "SELECT id, name, source, target,"
	    " stage, outcome, error, again, mailboxes, counts FROM account"
	    " ORDER BY id", "");
	int rc;

	if (st == NULL)
		return -1;
	while ((rc = db_step(db, st, e)) == 1) {
		a.id = sqlite3_column_int64(st, 0);
		a.name = db_text(st, 1);
		a.source = db_text(st, 2);
		a.target = db_text(st, 3);
		a.stage = db_text(st, 4);
		a.outcome = db_text(st, 5);
		a.error = text_or_null(st, 6);
		a.again = sqlite3_column_int(st, 7) != 0;
		a.mailboxes = (uint64_t)sqlite3_column_int64(st, 8);
		read_counts(st, 9, &a.counts);
		if (fn(ctx, &a, e) == -1) {
			rc = -1;
			break;
		}
	}
	db_done(st);
	return rc;
}

int
audit_boxes(struct audit *au, int64_t account, audit_box_fn *fn, void *ctx,
    struct err *e)
{
	struct db *db = au->results->db;
	struct audit_row_box b;
	sqlite3_stmt *st = account != 0 ? db_query(db, e, "SELECT id, account,"
	    " name, target, outcome, why, counts FROM box WHERE account = ?1"
	    " ORDER BY id", "i", account) : db_query(db, e, "SELECT id,"
	    " account, name, target, outcome, why, counts FROM box ORDER BY"
	    " account, id", "");
	int rc;

	if (st == NULL)
		return -1;
	while ((rc = db_step(db, st, e)) == 1) {
		b.id = sqlite3_column_int64(st, 0);
		b.account = sqlite3_column_int64(st, 1);
		b.name = db_text(st, 2);
		b.target = db_text(st, 3);
		b.outcome = db_text(st, 4);
		b.why = text_or_null(st, 5);
		read_counts(st, 6, &b.counts);
		if (fn(ctx, &b, e) == -1) {
			rc = -1;
			break;
		}
	}
	db_done(st);
	return rc;
}

#define DIFFERENCE "SELECT d.account, d.box, a.name, ifnull(b.name, ''),"\
	" ifnull(b.target, ''), message, verdict, cause, source_uid,"	\
	" target_uid, place, message_id, subject, size, detail, diff"	\
	" FROM difference AS d JOIN account AS a ON a.id = d.account"	\
	" LEFT JOIN box AS b ON b.id = d.box "

static sqlite3_stmt *
select_differences(struct db *db, int64_t account, int64_t box, struct err *e)
{
	if (box != 0)
		return db_query(db, e, DIFFERENCE "WHERE d.account = (SELECT"
		    " account FROM box WHERE id = ?1) AND d.box = ?1 ORDER BY"
		    " d.id", "i", box);
	if (account != 0)
		return db_query(db, e, DIFFERENCE "WHERE d.account = ?1 ORDER"
		    " BY d.box, d.id", "i", account);
	return db_query(db, e, DIFFERENCE "ORDER BY d.account, d.box, d.id",
	    "");
}

int
audit_differences(struct audit *au, int64_t account, int64_t box,
    audit_difference_fn *fn, void *ctx, struct err *e)
{
	struct db *db = au->results->db;
	sqlite3_stmt *st = select_differences(db, account, box, e);
	struct audit_row_difference d;
	int rc;

	if (st == NULL)
		return -1;
	while ((rc = db_step(db, st, e)) == 1) {
		d.account = sqlite3_column_int64(st, 0);
		d.box = sqlite3_column_int64(st, 1);
		d.account_name = db_text(st, 2);
		d.box_name = db_text(st, 3);
		d.box_target = db_text(st, 4);
		d.message = sqlite3_column_int(st, 5) != 0;
		d.verdict = (enum verdict)sqlite3_column_int(st, 6);
		d.cause = db_text(st, 7);
		d.source_uid = (uint32_t)sqlite3_column_int64(st, 8);
		d.target_uid = (uint32_t)sqlite3_column_int64(st, 9);
		d.where = db_text(st, 10);
		d.message_id = db_text(st, 11);
		d.subject = db_text(st, 12);
		d.size = (uint64_t)sqlite3_column_int64(st, 13);
		d.detail = db_text(st, 14);
		d.diff = db_text(st, 15);
		if (fn(ctx, &d, e) == -1) {
			rc = -1;
			break;
		}
	}
	db_done(st);
	return rc;
}

static int
add_account(void *ctx, const struct audit_row_account *a, struct err *e)
{
	struct audit *au = ctx;

	(void)e;
	if (strcmp(a->outcome, "equal") == 0)
		au->equal++;
	else if (strcmp(a->outcome, "different") == 0)
		au->different++;
	else
		au->unaudited++;
	au->again += a->again;
	au->mailboxes += a->mailboxes;
	for (int v = 0; v < VERDICTS; v++)
		au->counts.n[v] += a->counts.n[v];
	au->counts.source += a->counts.source;
	au->counts.target += a->counts.target;
	au->counts.source_bytes += a->counts.source_bytes;
	au->counts.target_bytes += a->counts.target_bytes;
	return 0;
}

int
results_sums(struct audit *au, struct err *e)
{
	int64_t facts;

	if (audit_accounts(au, add_account, au, e) == -1 ||
	    db_number(au->results->db, e, &facts, 0, "SELECT count(*) FROM"
	    " difference WHERE NOT message", "") == -1)
		return -1;
	au->facts = (uint64_t)facts;
	return 0;
}
