/* Undo: what the state says, and what it is told afterwards. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/xmalloc.h"
#include "undo_impl.h"

void
uids_add(struct uids *u, uint32_t uid)
{
	if (u->n == u->cap) {
		u->cap = u->cap == 0 ? 64 : 2 * u->cap;
		u->v = xreallocarray(u->v, u->cap, sizeof *u->v);
	}
	u->v[u->n++] = uid;
}

static int
cmp_uid(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

void
uids_sort(struct uids *u)
{
	if (u->n > 0)
		qsort(u->v, u->n, sizeof *u->v, cmp_uid);
}

bool
uids_has(const struct uids *u, uint32_t uid)
{
	return u->n > 0 && bsearch(&uid, u->v, u->n, sizeof uid, cmp_uid) !=
	    NULL;
}

/* Loading */

/* strict, loose, sha1, munged, from this column on. */
static void
take_digests(sqlite3_stmt *st, int column, struct digests *d)
{
	memset(d, 0, sizeof *d);
	if (sqlite3_column_bytes(st, column) == DIGEST_LEN)
		memcpy(d->strict, sqlite3_column_blob(st, column), DIGEST_LEN);
	if (sqlite3_column_bytes(st, column + 1) == DIGEST_LEN)
		memcpy(d->loose, sqlite3_column_blob(st, column + 1),
		    DIGEST_LEN);
	d->has_sha1 = sqlite3_column_bytes(st, column + 2) == SHA1_LEN &&
	    sqlite3_column_bytes(st, column + 3) == SHA1_LEN;
	if (d->has_sha1) {
		memcpy(d->sha1, sqlite3_column_blob(st, column + 2),
		    SHA1_LEN);
		memcpy(d->munged, sqlite3_column_blob(st, column + 3),
		    SHA1_LEN);
	}
}

static int
put(struct spill *s, uint32_t uid, struct stored *r, const char *kw,
    struct err *e)
{
	size_t n = strlen(kw);

	if (n >= MAX_WORDS)
		n = MAX_WORDS - 1;
	memcpy(r->kw, kw, n);
	r->kw[n] = '\0';
	return spill_put(s, uid, r, sizeof *r + n + 1, e);
}

static const char rows_sql[] = "SELECT tgt_uid, m.outcome, crlf_size, m.date,"
	" tgt_flags, ifnull(words, ''), changes, oddities, strict, loose,"
	" sha1, ifnull(sha1_munged, sha1), EXISTS (SELECT 1 FROM issue WHERE issue.account_id = ?2 AND"
	" issue.mailbox_id = ?1 AND kind = 'repaired' AND issue.key = m.key)"
	" FROM message AS m LEFT JOIN keyword_set ON keyword_set.id = tgt_kw"
	" WHERE mailbox_id = ?1 AND m.outcome IN (1, 2)";

static int
load_rows(struct lane *l, int64_t mailbox_id, struct spill *s,
    struct stored *r, uint64_t *unlocated, struct err *e)
{
	sqlite3_stmt *st = db_query(l->reader, e, rows_sql, "ii", mailbox_id,
	    l->account->row.id);
	int rc;

	if (st == NULL)
		return -1;
	while ((rc = db_step(l->reader, st, e)) == 1) {
		unsigned changes = (unsigned)sqlite3_column_int(st, 6);
		unsigned odd = (unsigned)sqlite3_column_int(st, 7);
		int64_t uid = sqlite3_column_int64(st, 0);

		r->present = sqlite3_column_int(st, 1) == OUT_PRESENT;
		if (uid == 0) {
			*unlocated += !r->present;
			continue;
		}
		r->size = (uint64_t)sqlite3_column_int64(st, 2);
		r->date = sqlite3_column_int64(st, 3);
		r->flags = (uint32_t)sqlite3_column_int64(st, 4);
		r->subset = (changes & CHANGE_KEYWORDS) != 0;
		r->touched = (changes & ROW_TOUCHED) != 0;
		/* The target has chosen them, or they are of the source's
		 * message as it was before a repair. */
		if ((changes & CHANGE_DATE) || (odd & ODD_NO_DATE))
			r->date = NO_DATE;
		if (sqlite3_column_int(st, 12) != 0)
			r->size = UNKNOWN64;
		take_digests(st, 8, &r->digests);
		/* After a repair only the loose digest is the same. */
		r->digests.has_sha1 = r->digests.has_sha1 && r->size !=
		    UNKNOWN64;
		if (put(s, (uint32_t)uid, r, db_text(st, 5), e) == -1) {
			rc = -1;
			break;
		}
	}
	db_done(st);
	return rc;
}

/* Messages of a batch whose answer never came, and that no row has. */
static const char doubts_sql[] = "SELECT item.strict, item.loose, item.sha1,"
	" ifnull(item.sha1_munged, item.sha1), item.size, item.date,"
	" item.flags, ifnull(item.kw, ''), intent.uidnext FROM"
	" intent JOIN intent_item AS item ON intent_id = intent.id WHERE"
	" mailbox_id = ?1 AND uidvalidity = ?2 AND NOT EXISTS (SELECT 1 FROM"
	" message AS m WHERE m.mailbox_id = ?1 AND m.key = item.key AND"
	" m.outcome IN (1, 2)) ORDER BY intent.id, item.seq";

/* The lowest message at the target that no row has, that equals it, and came
 * after the batch was begun; 0: none. */
static int
find_stored(struct db *db, int64_t mailbox_id, const struct digests *d,
    int64_t from, const struct uids *taken, uint32_t *uid, struct err *e)
{
	sqlite3_stmt *st = db_query(db, e, "SELECT uid FROM extra WHERE"
	    " mailbox_id = ?1 AND uid >= ?2 AND taken = 0 AND (strict = ?3 OR"
	    " loose = ?4 OR sha1 IN (?5, ?6)) ORDER BY uid", "iibbbb",
	    mailbox_id, from, d->strict, (size_t)DIGEST_LEN, d->loose,
	    (size_t)DIGEST_LEN, d->has_sha1 ? d->sha1 : NULL,
	    (size_t)SHA1_LEN, d->has_sha1 ? d->munged : NULL,
	    (size_t)SHA1_LEN);
	bool known;
	int rc;

	*uid = 0;
	if (st == NULL)
		return -1;
	while ((rc = db_step(db, st, e)) == 1) {
		*uid = (uint32_t)sqlite3_column_int64(st, 0);
		known = false;
		for (size_t i = 0; i < taken->n; i++)
			known = known || taken->v[i] == *uid;
		if (!known)
			break;
		*uid = 0;
	}
	db_done(st);
	return rc == -1 ? -1 : 0;
}

static int
load_doubts(struct lane *l, int64_t mailbox_id, uint32_t uidvalidity,
    struct spill *s, struct stored *r, struct err *e)
{
	sqlite3_stmt *st = db_query(l->reader, e, doubts_sql, "ii",
	    mailbox_id, (int64_t)uidvalidity);
	struct uids taken = { 0 };
	uint32_t uid;
	int rc;

	if (st == NULL)
		return -1;
	while ((rc = db_step(l->reader, st, e)) == 1) {
		memset(r, 0, sizeof *r);
		take_digests(st, 0, &r->digests);
		r->size = (uint64_t)sqlite3_column_int64(st, 4);
		r->date = sqlite3_column_int64(st, 5);
		r->flags = (uint32_t)sqlite3_column_int64(st, 6);
		/* It was not told what could be held. */
		r->subset = true;
		if (find_stored(l->reader, mailbox_id, &r->digests,
		    sqlite3_column_int64(st, 8), &taken, &uid, e) == -1 ||
		    (uid != 0 && put(s, uid, r, db_text(st, 7), e) == -1)) {
			rc = -1;
			break;
		}
		if (uid != 0)
			uids_add(&taken, uid);
	}
	db_done(st);
	free(taken.v);
	return rc;
}

int
undo_load(struct lane *l, int64_t mailbox_id, uint32_t uidvalidity,
    struct spill **sp, uint64_t *unlocated, struct err *e)
{
	struct stored *r = xcalloc(1, STORED_MAX);
	struct spill *s = spill_new();
	int rc;

	*unlocated = 0;
	rc = load_rows(l, mailbox_id, s, r, unlocated, e);
	if (rc == 0)
		rc = load_doubts(l, mailbox_id, uidvalidity, s, r, e);
	if (rc == 0)
		rc = spill_sort(s, e);
	free(r);
	if (rc == -1)
		spill_free(&s);
	else
		*sp = s;
	return rc;
}

/* Ops */

static void
put_set(struct buf *b, const uint32_t *uids, size_t n)
{
	for (size_t i = 0, k; i < n; i = k + 1) {
		for (k = i; k + 1 < n && uids[k + 1] == uids[k] + 1; k++)
			;
		buf_addf(b, k > i ? "%s%" PRIu32 ":%" PRIu32 :
		    "%s%" PRIu32, i > 0 ? "," : "", uids[i], uids[k]);
	}
}

static void
take_set(const char *p, struct uids *u)
{
	char *end;

	while (*p != '\0') {
		unsigned long from = strtoul(p, &end, 10), to = from;

		if (end == p)
			return;
		if (*end == ':')
			to = strtoul(end + 1, &end, 10);
		for (; from <= to && from > 0 && from < UINT32_MAX; from++)
			uids_add(u, (uint32_t)from);
		p = *end == ',' ? end + 1 : end;
	}
}

int
undo_begin(struct lane *l, const struct undo_box *box, int64_t mailbox_id,
    const uint32_t *uids, size_t n, int64_t *op, struct err *e)
{
	struct buf set;
	int rc;

	buf_init(&set, SIZE_MAX / 4);
	put_set(&set, uids, n);
	rc = op_begin(l->run->state, l->account->row.id, mailbox_id, "undo",
	    box->tgt_name, set.ptr, op, e);
	buf_release(&set);
	return rc;
}

int
undo_begun(struct db *db, int64_t mailbox_id, struct uids *u, struct err *e)
{
	sqlite3_stmt *st = db_query(db, e, "SELECT arg FROM op WHERE"
	    " mailbox_id = ?1 AND kind = 'undo' AND state = 0", "i",
	    mailbox_id);
	int rc;

	if (st == NULL)
		return -1;
	while ((rc = db_step(db, st, e)) == 1)
		take_set(db_text(st, 0), u);
	db_done(st);
	uids_sort(u);
	return rc;
}

int
undo_load_asides(struct db *db, int64_t account_id, const char *kind,
    struct arena *a, struct aside **list, struct err *e)
{
	sqlite3_stmt *st;
	int rc;

	st = db_query(db, e, "SELECT name, arg FROM op WHERE account_id = ?1"
	    " AND kind = ?2 AND state = 0 AND arg IS NOT NULL", "is",
	    account_id, kind);
	if (st == NULL)
		return -1;
	while ((rc = db_step(db, st, e)) == 1) {
		struct aside *x = arena_zalloc(a, sizeof *x);

		x->name = arena_strdup(a, db_text(st, 0));
		x->at = arena_strdup(a, db_text(st, 1));
		x->next = *list;
		*list = x;
	}
	db_done(st);
	return rc == -1 ? -1 : 0;
}

int
undo_pending(struct db *db, int64_t account_id, bool *pending, struct err *e)
{
	int64_t n;

	if (db_number(db, e, &n, 0, "SELECT EXISTS (SELECT 1 FROM op WHERE"
	    " account_id = ?1 AND kind IN ('undo', 'undo-mailbox') AND state ="
	    " 0)", "i", account_id) == -1)
		return -1;
	*pending = n != 0;
	return 0;
}

/* Afterwards */

struct mark_arg {
	int64_t mailbox_id, rows;
	const struct uids *there;
};

/* The books of a mailbox are what its rows say, until copy counts again. */
static int
close_books(struct db *db, int64_t mailbox_id, struct err *e)
{
	if (db_run(db, e, "UPDATE mailbox SET (copied, present, refused) ="
	    " (SELECT count(*) FILTER (WHERE message.outcome = 1), count(*)"
	    " FILTER (WHERE message.outcome = 2), count(*) FILTER (WHERE"
	    " message.outcome = 4) FROM message WHERE mailbox_id ="
	    " mailbox.id), excluded = 0, failed = 0, vanished = 0, stripped ="
	    " 0, bytes = 0, crlf_bytes = 0, src_token = NULL, error = NULL"
	    " WHERE id = ?1", "i", mailbox_id) == -1)
		return -1;
	return db_run(db, e, "UPDATE mailbox SET source = copied + present +"
	    " refused, outcome = iif(outcome = 'gone', 'gone', 'partial')"
	    " WHERE id = ?1", "i", mailbox_id);
}

static int
forget_doubts(struct db *db, int64_t mailbox_id, struct err *e)
{
	if (db_run(db, e, "DELETE FROM intent_item WHERE intent_id IN (SELECT"
	    " id FROM intent WHERE mailbox_id = ?1)", "i", mailbox_id) == -1 ||
	    db_run(db, e, "DELETE FROM intent WHERE mailbox_id = ?1", "i",
	    mailbox_id) == -1)
		return -1;
	return db_run(db, e, "DELETE FROM doubt WHERE mailbox_id = ?1", "i",
	    mailbox_id);
}

/*
 * An account that has nothing at the target is new again, so that copy looks
 * for a stranger's mail before it stores.  It does not look where a pass has
 * counted messages: these are counted, and the refused ones tried, anew.
 */
static int
begin_anew(struct db *db, int64_t account_id, struct err *e)
{
	int64_t old;

	if (db_number(db, e, &old, 0, "SELECT stage <> 'released' AND NOT"
	    " EXISTS (SELECT 1 FROM message JOIN mailbox ON mailbox.id ="
	    " mailbox_id WHERE account_id = ?1 AND message.outcome IN (1, 2))"
	    " FROM account WHERE id = ?1", "i", account_id) == -1)
		return -1;
	if (!old)
		return 0;
	if (db_run(db, e, "UPDATE account SET stage = 'new' WHERE id = ?1",
	    "i", account_id) == -1 ||
	    db_run(db, e, "UPDATE message SET outcome = 0 WHERE outcome = 4"
	    " AND mailbox_id IN (SELECT id FROM mailbox WHERE account_id ="
	    " ?1)", "i", account_id) == -1)
		return -1;
	return db_run(db, e, "UPDATE mailbox SET source = 0, copied = 0,"
	    " present = 0, excluded = 0, refused = 0, failed = 0, vanished ="
	    " 0, stripped = 0, bytes = 0, crlf_bytes = 0, src_token = NULL,"
	    " outcome = 'partial' WHERE account_id = ?1 AND source > 0 AND"
	    " outcome NOT IN ('gone', 'excluded')", "i", account_id);
}

static int
begin_anew_if_last(struct db *db, int64_t mailbox_id, struct err *e)
{
	int64_t account_id;

	if (db_number(db, e, &account_id, 0, "SELECT account_id FROM mailbox"
	    " WHERE id = ?1", "i", mailbox_id) == -1)
		return -1;
	return begin_anew(db, account_id, e);
}

static int
apply_close(struct db *db, void *arg, struct err *e)
{
	return db_run(db, e, "UPDATE op SET state = 1 WHERE mailbox_id = ?1"
	    " AND kind IN ('undo', 'undo-mailbox', 'remove-mailbox')", "i",
	    *(int64_t *)arg);
}

int
undo_close(struct state *s, int64_t mailbox_id, struct err *e)
{
	return state_call(s, apply_close, &mailbox_id, e);
}

static int
apply_mark(struct db *db, void *arg, struct err *e)
{
	struct mark_arg *m = arg;

	if (db_run(db, e, "CREATE TEMP TABLE IF NOT EXISTS undo_there (uid"
	    " INTEGER PRIMARY KEY)", "") == -1 ||
	    db_run(db, e, "DELETE FROM temp.undo_there", "") == -1)
		return -1;
	for (size_t i = 0; i < m->there->n; i++)
		if (db_run(db, e, "INSERT OR IGNORE INTO temp.undo_there"
		    " VALUES (?1)", "i", (int64_t)m->there->v[i]) == -1)
			return -1;
	if (db_run(db, e, "UPDATE message SET outcome = 0, tgt_uid = 0 WHERE"
	    " mailbox_id = ?1 AND outcome = 1 AND tgt_uid NOT IN (SELECT uid"
	    " FROM temp.undo_there)", "i", m->mailbox_id) == -1 ||
	    db_run(db, e, "DELETE FROM extra WHERE mailbox_id = ?1 AND uid NOT"
	    " IN (SELECT uid FROM temp.undo_there)", "i", m->mailbox_id) ==
	    -1 || forget_doubts(db, m->mailbox_id, e) == -1 ||
	    close_books(db, m->mailbox_id, e) == -1 ||
	    apply_close(db, &m->mailbox_id, e) == -1 ||
	    begin_anew_if_last(db, m->mailbox_id, e) == -1)
		return -1;
	return db_number(db, e, &m->rows, 0, "SELECT count(*) FROM message"
	    " WHERE mailbox_id = ?1 AND outcome IN (1, 2)", "i",
	    m->mailbox_id);
}

int
undo_mark(struct state *s, int64_t mailbox_id, const struct uids *there,
    int64_t *rows, struct err *e)
{
	struct mark_arg m = { mailbox_id, 0, there };

	if (state_call(s, apply_mark, &m, e) == -1)
		return -1;
	*rows = m.rows;
	return 0;
}

static int
apply_end(struct db *db, void *arg, struct err *e)
{
	if (db_run(db, e, "UPDATE op SET state = 1 WHERE account_id = ?1"
	    " AND kind IN ('undo', 'undo-mailbox')", "i", *(int64_t *)arg) ==
	    -1)
		return -1;
	return begin_anew(db, *(int64_t *)arg, e);
}

int
undo_end(struct state *s, int64_t account_id, struct err *e)
{
	return state_call(s, apply_end, &account_id, e);
}

struct reset_arg {
	int64_t account_id, mailbox_id;
	const char *tgt_name;
	bool deleted;
};

static int
apply_reset(struct db *db, void *arg, struct err *e)
{
	struct reset_arg *r = arg;

	/* A mailbox that is not there has nothing of what rows say. */
	if (db_run(db, e, "UPDATE message SET outcome = 0, tgt_uid = 0 WHERE"
	    " mailbox_id = ?1 AND outcome IN (1, 2)", "i", r->mailbox_id) ==
	    -1 || db_run(db, e, "DELETE FROM extra WHERE mailbox_id = ?1",
	    "i", r->mailbox_id) == -1 ||
	    forget_doubts(db, r->mailbox_id, e) == -1 ||
	    db_run(db, e, "UPDATE mailbox SET tgt_uidvalidity = 0, tgt_uidnext"
	    " = 0, tgt_modseq = 0, tgt_messages = 0, made_by_us = 0, tgt_name"
	    " = '', tgt_key = '' WHERE id = ?1", "i", r->mailbox_id) == -1 ||
	    close_books(db, r->mailbox_id, e) == -1)
		return -1;
	/* What was done once for the mailbox is done again for a new one. */
	if (r->deleted && db_run(db, e, "DELETE FROM op WHERE account_id = ?1"
	    " AND name = ?2 AND kind IN ('create', 'create-parent',"
	    " 'subscribe', 'mark', 'acl-looked')", "is",
	    r->account_id, r->tgt_name) == -1)
		return -1;
	if (r->deleted && db_run(db, e, "DELETE FROM access WHERE mailbox_id ="
	    " ?1", "i", r->mailbox_id) == -1)
		return -1;
	return apply_close(db, &r->mailbox_id, e) == -1 ? -1 :
	    begin_anew(db, r->account_id, e);
}

int
undo_reset(struct state *s, int64_t account_id, int64_t mailbox_id,
    const char *tgt_name, bool deleted, struct err *e)
{
	struct reset_arg r = { account_id, mailbox_id, tgt_name, deleted };

	return state_call(s, apply_reset, &r, e);
}

static int
apply_parent_gone(struct db *db, void *arg, struct err *e)
{
	struct reset_arg *r = arg;

	return db_run(db, e, "DELETE FROM op WHERE account_id = ?1 AND kind ="
	    " 'create-parent' AND name = ?2", "is", r->account_id,
	    r->tgt_name);
}

int
undo_parent_gone(struct state *s, int64_t account_id, const char *name,
    struct err *e)
{
	struct reset_arg r = { account_id, 0, name, true };

	return state_call(s, apply_parent_gone, &r, e);
}
