/* UIDLs in the state. */
#include "pop3_rows.h"

#include "base/fault.h"

static int
put_one(struct db *db, const struct pop3_result *r,
    const struct pop3_theirs *t, struct err *e)
{
	enum pop3_fate fate = t->fate;

	/* That one could not be read. */
	if (fate == POP3_JOINED && r->key_lens[t->mine] == 0)
		fate = POP3_NOT_HERE;
	if (fate != POP3_JOINED)
		return db_run(db, e, "INSERT INTO uidl_left (account, number,"
		    " uidl, size, why) VALUES (?1, ?2, ?3, ?4, ?5)", "sisis",
		    r->account, (int64_t)t->number, t->uidl, (int64_t)t->size,
		    pop3_fate_text(fate));
	/* It may have been taken for another's before. */
	return db_run(db, e, "INSERT OR REPLACE INTO uidl (account, key, uidl,"
	    " number, size, ord) VALUES (?1, ?2, ?3, ?4, ?5, ?6)", "sbsiii",
	    r->account, r->keys[t->mine], r->key_lens[t->mine], t->uidl,
	    (int64_t)t->number, (int64_t)t->size,
	    r->lists.reordered ? (int64_t)t->number : (int64_t)0);
}

static int
apply_put(struct db *db, void *arg, struct err *e)
{
	const struct pop3_result *r = arg;
	const struct pop3_lists *l = &r->lists;

	if (db_run(db, e, "DELETE FROM uidl_left WHERE account = ?1", "s",
	    r->account) == -1)
		return -1;
	for (size_t i = 0; i < l->ntheirs; i++)
		if (put_one(db, r, &l->theirs[i], e) == -1)
			return -1;
	fault_point("uidl.put");
	return db_run(db, e, "INSERT OR REPLACE INTO pop3 (account, taken,"
	    " server, listed, inbox, joined, by_headers, unchecked, reordered)"
	    " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)", "sisiiiiii",
	    r->account, r->taken, r->server, (int64_t)l->ntheirs,
	    (int64_t)l->nmine, (int64_t)l->joined, (int64_t)l->by_headers,
	    (int64_t)l->unchecked, (int64_t)l->reordered);
}

int
pop3_put(struct state *s, const struct pop3_result *r, struct err *e)
{
	struct pop3_result copy = *r;

	return state_call(s, apply_put, &copy, e);
}

int
pop3_known(struct db *db, const char *account, bool *known, struct err *e)
{
	int64_t n;

	if (db_number(db, e, &n, 0, "SELECT 1 FROM pop3 WHERE account = ?1",
	    "s", account) == -1)
		return -1;
	*known = n != 0;
	return 0;
}

int
pop3_find(struct db *db, const char *account, const void *key, size_t key_len,
    struct arena *a, const char **uidl, uint32_t *order, struct err *e)
{
	sqlite3_stmt *st;
	int rc;

	st = db_query(db, e, "SELECT uidl, ord FROM uidl WHERE account = ?1 AND"
	    " key = ?2", "sb", account, key, key_len);
	if (st == NULL)
		return -1;
	if ((rc = db_step(db, st, e)) == 1) {
		*uidl = arena_strdup(a, db_text(st, 0));
		*order = (uint32_t)sqlite3_column_int64(st, 1);
	}
	db_done(st);
	return rc;
}

int
pop3_forget(struct db *db, int64_t id, struct err *e)
{
	if (db_run(db, e, "DELETE FROM pop3 WHERE account = (SELECT name FROM"
	    " account WHERE id = ?1)", "i", id) == -1 ||
	    db_run(db, e, "DELETE FROM uidl WHERE account = (SELECT name FROM"
	    " account WHERE id = ?1)", "i", id) == -1)
		return -1;
	return db_run(db, e, "DELETE FROM uidl_left WHERE account = (SELECT"
	    " name FROM account WHERE id = ?1)", "i", id);
}
