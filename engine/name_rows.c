/* The rows of the state that have to do with names at the target. */
#include "name_rows.h"

#include <string.h>

#include "parents.h"

/* A mailbox that we made or put mail into, or may have. */
#define THERE	"(made_by_us <> 0 OR EXISTS (SELECT 1 FROM message WHERE" \
	" mailbox_id = mailbox.id AND outcome IN (1, 2)) OR EXISTS (SELECT 1" \
	" FROM intent WHERE mailbox_id = mailbox.id) OR EXISTS (SELECT 1 FROM" \
	" op WHERE op.mailbox_id = mailbox.id AND kind = 'create'))"

int
name_rows_load(struct db *db, int64_t account_id, struct arena *a,
    struct name_row **out, size_t *n, struct err *e)
{
	struct name_row *rows;
	sqlite3_stmt *st;
	int64_t count;
	int rc;

	*n = 0;
	if (db_number(db, e, &count, 0, "SELECT count(*) FROM mailbox WHERE"
	    " account_id = ?1", "i", account_id) == -1)
		return -1;
	rows = *out = arena_zalloc(a, ((size_t)count + 1) * sizeof *rows);
	st = db_query(db, e, "SELECT id, src_key, src_name, tgt_name, tgt_key,"
	    " tgt_name <> '' AND " THERE ", tgt_uidvalidity, moved FROM mailbox WHERE"
	    " account_id = ?1 ORDER BY id", "i", account_id);
	if (st == NULL)
		return -1;
	while ((rc = db_step(db, st, e)) == 1 && *n < (size_t)count) {
		struct name_row *r = &rows[(*n)++];

		r->id = sqlite3_column_int64(st, 0);
		r->src_key = arena_memdup0(a, sqlite3_column_blob(st, 1),
		    (size_t)sqlite3_column_bytes(st, 1));
		r->src_name = arena_strdup(a, db_text(st, 2));
		r->name = arena_strdup(a, db_text(st, 3));
		r->key = arena_strdup(a, db_text(st, 4));
		r->there = sqlite3_column_int(st, 5) != 0;
		r->uidvalidity = (uint32_t)sqlite3_column_int64(st, 6);
		switch (sqlite3_column_int(st, 7)) {
		case MOVED_FOLLOW:
			r->moved = MOVED_FOLLOW;
			break;
		case MOVED_STAY:
			r->moved = MOVED_STAY;
			break;
		default:
			r->moved = MOVED_NOT;
		}
	}
	db_done(st);
	return rc == -1 ? -1 : 0;
}

struct change_arg {
	int64_t account_id, op;
	const struct name_change *c;
	size_t n;
	const struct parent *parents;
	size_t nparents;
};

static int
apply_change(struct db *db, void *arg, struct err *e)
{
	const struct change_arg *a = arg;

	for (size_t i = 0; i < a->n; i++) {
		const struct name_change *c = &a->c[i];

		if (db_run(db, e, "UPDATE mailbox SET tgt_name = ?2, tgt_key ="
		    " ?3, tgt_uidvalidity = iif(?4 = 0, tgt_uidvalidity, ?4)"
		    " WHERE id = ?1", "issi", c->id, c->name, c->key,
		    (int64_t)c->uidvalidity) == -1 ||
		    /* A mark moves with the mailbox; a subscription stays
		     * with the name, and ours is taken back. */
		    db_run(db, e, "UPDATE op SET name = ?3 WHERE account_id ="
		    " ?1 AND mailbox_id = ?4 AND kind IN ('create', 'mark')"
		    " AND name = ?2", "issi", a->account_id, c->old, c->name,
		    c->id) == -1)
			return -1;
		if (strcmp(c->old, c->name) != 0 &&
		    (db_run(db, e, "INSERT INTO op (account_id, mailbox_id,"
		    " kind, name, pass) SELECT account_id, mailbox_id,"
		    " 'unsubscribe', name, pass FROM op WHERE account_id = ?1"
		    " AND kind = 'subscribe' AND name = ?2 AND state = 1 LIMIT"
		    " 1", "is", a->account_id, c->old) == -1 ||
		    db_run(db, e, "DELETE FROM op WHERE account_id = ?1 AND"
		    " kind = 'subscribe' AND name = ?2", "is", a->account_id,
		    c->old) == -1))
			return -1;
	}
	for (size_t i = 0; i < a->nparents; i++)
		if (parent_put(db, &a->parents[i], e) == -1)
			return -1;
	if (a->op == 0)
		return 0;
	return db_run(db, e, "UPDATE op SET state = 1 WHERE id = ?1", "i",
	    a->op);
}

int
name_rows_change(struct state *s, int64_t account_id, int64_t op,
    const struct name_change *c, size_t n, const struct parent *parents,
    size_t nparents, struct err *e)
{
	struct change_arg a = { account_id, op, c, n, parents, nparents };

	return state_call(s, apply_change, &a, e);
}

int
open_op_find(struct db *db, int64_t account_id, const char *kind,
    struct arena *a, struct open_op *r, struct err *e)
{
	sqlite3_stmt *st;
	int rc;

	st = db_query(db, e, "SELECT id, mailbox_id, name, arg FROM op WHERE"
	    " account_id = ?1 AND kind = ?2 AND state = 0 ORDER BY id LIMIT 1",
	    "is", account_id, kind);
	if (st == NULL)
		return -1;
	if ((rc = db_step(db, st, e)) == 1) {
		r->id = sqlite3_column_int64(st, 0);
		r->mailbox_id = sqlite3_column_int64(st, 1);
		r->from = arena_strdup(a, db_text(st, 2));
		r->to = arena_strdup(a, db_text(st, 3));
	}
	db_done(st);
	return rc;
}

static int
apply_drop(struct db *db, void *arg, struct err *e)
{
	return db_run(db, e, "DELETE FROM op WHERE id = ?1", "i",
	    *(int64_t *)arg);
}

int
op_drop(struct state *s, int64_t op, struct err *e)
{
	return state_call(s, apply_drop, &op, e);
}

int
account_user(struct db *db, const char *account, struct arena *a,
    const char **user, bool *there, struct err *e)
{
	sqlite3_stmt *st;
	int rc;

	st = db_query(db, e, "SELECT target_user, EXISTS (SELECT 1 FROM"
	    " mailbox WHERE account_id = account.id AND tgt_name <> '' AND "
	    THERE ") FROM account WHERE name = ?1 AND target_user IS NOT NULL",
	    "s", account);
	if (st == NULL)
		return -1;
	if ((rc = db_step(db, st, e)) == 1) {
		*user = arena_strdup(a, db_text(st, 0));
		*there = sqlite3_column_int(st, 1) != 0;
	}
	db_done(st);
	return rc;
}

int
stored_uids(struct db *db, int64_t mailbox_id,
    int (*fn)(void *, uint32_t, uint64_t, struct err *), void *ctx,
    struct err *e)
{
	sqlite3_stmt *st;
	int rc;

	st = db_query(db, e, "SELECT tgt_uid, iif(EXISTS (SELECT 1 FROM issue"
	    " WHERE issue.mailbox_id = message.mailbox_id AND issue.key ="
	    " message.key AND kind IN ('altered', 'repaired')), 0,"
	    " ifnull(crlf_size, 0)) FROM message WHERE mailbox_id = ?1 AND"
	    " tgt_uid > 0 AND outcome IN (1, 2)", "i", mailbox_id);
	if (st == NULL)
		return -1;
	while ((rc = db_step(db, st, e)) == 1)
		if (fn(ctx, (uint32_t)sqlite3_column_int64(st, 0),
		    (uint64_t)sqlite3_column_int64(st, 1), e) == -1) {
			rc = -1;
			break;
		}
	db_done(st);
	return rc;
}
