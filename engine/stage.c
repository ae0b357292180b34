/* The stage of an account. */
#include "stage.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "account.h"
#include "base/xmalloc.h"

static bool
released(const struct lane *l)
{
	return strcmp(l->account->row.stage, "released") == 0;
}

bool
stage_only_adds(const struct lane *l)
{
	return released(l) && !l->run->set->full;
}

bool
stage_keeps_deleted(const struct lane *l)
{
	return released(l) && !l->run->set->restore_deleted;
}

struct set_arg {
	const char	*stage;
	int64_t		*ids;
	size_t		 n;
};

static int
apply_set(struct db *db, void *arg, struct err *e)
{
	struct set_arg *s = arg;

	for (size_t i = 0; i < s->n; i++)
		if (db_run(db, e, "UPDATE account SET stage = ?2 WHERE id ="
		    " ?1", "is", s->ids[i], s->stage) == -1)
			return -1;
	return 0;
}

static const char accounts_sql[] = "SELECT id, name, stage, outcome, (SELECT"
	" count(*) FROM intent JOIN mailbox ON mailbox.id = mailbox_id WHERE"
	" account_id = account.id AND intent.state = 0) + (SELECT count(*) FROM"
	" flagging JOIN mailbox ON mailbox.id = mailbox_id WHERE account_id ="
	" account.id), (SELECT ifnull(sum(max(0, source - copied - present -"
	" excluded - refused - vanished)), 0) FROM mailbox WHERE account_id ="
	" account.id AND mailbox.outcome <> 'gone'), EXISTS (SELECT 1 FROM"
	" message JOIN mailbox ON mailbox.id = mailbox_id WHERE account_id ="
	" account.id AND message.outcome IN (1, 2)), EXISTS (SELECT 1 FROM op"
	" WHERE account_id = account.id AND kind IN ('undo', 'undo-mailbox')"
	" AND state = 0) FROM account ORDER BY name";

/* Why an account cannot have that stage: -1. */
static int
check(sqlite3_stmt *st, const char *stage, struct err *e)
{
	const char *name = db_text(st, 1);

	if (sqlite3_column_int(st, 7) != 0)
		return err_set(e, ERR_ACCOUNT, "%.200s: an undo of it was cut "
		    "off; the same undo with --yes has to end it first", name);
	if (strcmp(stage, "new") == 0 && sqlite3_column_int(st, 6) != 0)
		return err_set(e, ERR_ACCOUNT, "%.200s: its mail is at the "
		    "target; it is new again when that was taken back (undo)",
		    name);
	return 0;
}

int
stage_set(struct state *s, struct db *db, const char *stage,
    stage_tell_fn *tell, void *ctx, size_t *n, struct err *e)
{
	struct set_arg arg = { .stage = stage };
	sqlite3_stmt *st = db_query(db, e, accounts_sql, "");
	size_t cap = 0;
	int rc;

	*n = 0;
	if (st == NULL)
		return -1;
	while ((rc = db_step(db, st, e)) == 1) {
		const struct stage_change c = {
			.name = db_text(st, 1), .old = db_text(st, 2),
			.outcome = db_text(st, 3),
			.doubts = sqlite3_column_int64(st, 4),
			.missing = sqlite3_column_int64(st, 5) };

		if ((rc = check(st, stage, e)) == -1)
			break;
		if (arg.n == cap) {
			cap = cap == 0 ? 64 : 2 * cap;
			arg.ids = xreallocarray(arg.ids, cap,
			    sizeof *arg.ids);
		}
		arg.ids[arg.n++] = sqlite3_column_int64(st, 0);
		tell(ctx, &c);
	}
	db_done(st);
	if (rc == 0)
		rc = state_call(s, apply_set, &arg, e);
	*n = arg.n;
	free(arg.ids);
	return rc;
}

static const char counts_sql[] = "SELECT stage, count(*) FROM account GROUP BY"
	" stage ORDER BY stage = 'released', stage = 'frozen', stage ="
	" 'loading'";

int
stage_text(struct db *db, struct buf *out, struct err *e)
{
	sqlite3_stmt *st = db_query(db, e, counts_sql, "");
	bool first = true;
	int rc;

	if (st == NULL)
		return -1;
	while ((rc = db_step(db, st, e)) == 1) {
		buf_addf(out, "%s%" PRId64 " %s", first ? "" : ", ",
		    (int64_t)sqlite3_column_int64(st, 1), db_text(st, 0));
		first = false;
	}
	db_done(st);
	return rc;
}

int
stage_json(struct db *db, struct json *j, struct err *e)
{
	sqlite3_stmt *st = db_query(db, e, counts_sql, "");
	int rc;

	if (st == NULL)
		return -1;
	json_open(j, "stages", '{');
	while ((rc = db_step(db, st, e)) == 1)
		json_number(j, db_text(st, 0), sqlite3_column_int64(st, 1));
	db_done(st);
	json_close(j, '}');
	return rc;
}
