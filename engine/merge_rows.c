/* Merging flags: what the state says, and what it is told. */
#include <string.h>

#include "base/xmalloc.h"
#include "merge_impl.h"

static const char load_sql[] = "SELECT m.tgt_uid, m.src_flags, ifnull(s.words,"
	" ''), m.tgt_flags, ifnull(t.words, ''), ifnull(m.changes, 0),"
	" ifnull(m.oddities, 0), iif(m.outcome = 2 AND x.size > 0, x.size,"
	" m.crlf_size), iif(m.outcome = 2 AND x.date IS NOT NULL, x.date,"
	" m.date), m.outcome, m.strict, m.loose, m.sha1, ifnull(m.sha1_munged,"
	" m.sha1), EXISTS (SELECT 1 FROM issue WHERE issue.account_id = ?3 AND"
	" issue.mailbox_id = ?1 AND kind = 'repaired' AND issue.key = m.key)"
	" FROM message AS m LEFT JOIN keyword_set AS s ON s.id = m.src_kw LEFT"
	" JOIN keyword_set AS t ON t.id = m.tgt_kw LEFT JOIN extra AS x ON"
	" x.mailbox_id = m.mailbox_id AND x.uid = m.tgt_uid WHERE m.mailbox_id"
	" = ?1 AND m.key = ?2 AND m.outcome IN (1, 2)";

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

int
merge_load(struct db *db, int64_t mailbox_id, int64_t account_id,
    struct merge_item *it, struct arena *a, struct err *e)
{
	sqlite3_stmt *st = db_query(db, e, load_sql, "ibi", mailbox_id,
	    it->key, it->key_len, account_id);
	int rc;

	if (st == NULL)
		return -1;
	rc = db_step(db, st, e);
	if (rc == 1 && (uint32_t)sqlite3_column_int64(st, 0) != it->uid)
		rc = 0;
	if (rc == 1) {
		struct flag_sides *s = &it->sides;
		bool repaired = sqlite3_column_int(st, 14) != 0;

		s->src_row.flags = (unsigned)sqlite3_column_int(st, 1);
		s->src_row.kw = arena_strdup(a, db_text(st, 2));
		s->tgt_row.flags = (unsigned)sqlite3_column_int(st, 3);
		s->tgt_row.kw = arena_strdup(a, db_text(st, 4));
		it->changes = (unsigned)sqlite3_column_int(st, 5);
		it->is.size = (uint64_t)sqlite3_column_int64(st, 7);
		it->is.date = sqlite3_column_int64(st, 8);
		take_digests(st, 10, &it->is.digests);
		/* The target has chosen the date, or the message is not quite
		 * the source's. */
		if (sqlite3_column_int(st, 9) == OUT_COPIED &&
		    ((it->changes & CHANGE_DATE) ||
		    (sqlite3_column_int(st, 6) & ODD_NO_DATE)))
			it->is.date = NO_DATE;
		if (repaired) {
			it->is.size = UNKNOWN64;
			it->is.digests.has_sha1 = false;
		}
	}
	db_done(st);
	return rc;
}

int
merge_begun(struct db *db, int64_t mailbox_id, struct merge_item *items,
    size_t max, size_t *n, struct arena *a, struct err *e)
{
	sqlite3_stmt *st = db_query(db, e, "SELECT uid, key, modseq, src_flags,"
	    " ifnull(s.words, ''), tgt_flags, ifnull(t.words, '') FROM"
	    " flagging LEFT JOIN keyword_set AS s ON s.id = src_kw LEFT JOIN"
	    " keyword_set AS t ON t.id = tgt_kw WHERE mailbox_id = ?1 ORDER BY"
	    " uid", "i", mailbox_id);
	int rc = 0;

	*n = 0;
	if (st == NULL)
		return -1;
	while (*n < max && (rc = db_step(db, st, e)) == 1) {
		struct merge_item *it = &items[(*n)++];

		memset(it, 0, sizeof *it);
		it->uid = (uint32_t)sqlite3_column_int64(st, 0);
		it->key_len = (size_t)sqlite3_column_bytes(st, 1);
		it->key = arena_memdup0(a, sqlite3_column_blob(st, 1),
		    it->key_len);
		it->where = "";
		it->begun_modseq = (uint64_t)sqlite3_column_int64(st, 2);
		it->sides.src.flags = (unsigned)sqlite3_column_int(st, 3);
		it->sides.src.kw = arena_strdup(a, db_text(st, 4));
		it->wanted.flags = (unsigned)sqlite3_column_int(st, 5);
		it->wanted.kw = arena_strdup(a, db_text(st, 6));
		it->pending = true;
	}
	db_done(st);
	return rc == -1 ? -1 : 0;
}

struct merge_arg {
	int64_t		 mailbox_id;
	struct merge_item *items;
	size_t		 n;
};

static int
apply_plan(struct db *db, void *arg, struct err *e)
{
	const struct merge_arg *p = arg;
	int64_t src_kw, tgt_kw;

	for (size_t i = 0; i < p->n; i++) {
		const struct merge_item *it = &p->items[i];

		if (it->state != MERGE_OPEN || !it->merge.changes)
			continue;
		if (keyword_set(db, it->sides.src.kw, &src_kw, e) == -1 ||
		    keyword_set(db, it->merge.result.kw, &tgt_kw, e) == -1 ||
		    db_run(db, e, "INSERT OR REPLACE INTO flagging (mailbox_id,"
		    " key, uid, modseq, src_flags, src_kw, tgt_flags, tgt_kw)"
		    " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)", "ibiiiiii",
		    p->mailbox_id, it->key, it->key_len, (int64_t)it->uid,
		    (int64_t)it->modseq, (int64_t)it->sides.src.flags, src_kw,
		    (int64_t)it->merge.result.flags, tgt_kw) == -1)
			return -1;
	}
	return db_run(db, e, "UPDATE mailbox SET src_token = NULL, outcome ="
	    " 'partial' WHERE id = ?1", "i", p->mailbox_id);
}

int
merge_plan(struct state *s, int64_t mailbox_id, struct merge_item *items,
    size_t n, struct err *e)
{
	struct merge_arg p = { .mailbox_id = mailbox_id, .items = items,
	    .n = n };

	if (state_call(s, apply_plan, &p, e) == -1)
		return -1;
	for (size_t i = 0; i < n; i++)
		items[i].pending = items[i].pending ||
		    (items[i].state == MERGE_OPEN && items[i].merge.changes);
	return 0;
}

static int
put_final(struct db *db, int64_t mailbox_id, const struct merge_item *it,
    struct err *e)
{
	const struct flag_sides *s = &it->sides;
	int64_t src_kw, tgt_kw;

	if (keyword_set(db, s->src.kw, &src_kw, e) == -1 ||
	    keyword_set(db, s->tgt.kw, &tgt_kw, e) == -1)
		return -1;
	/* What is gone from the target is somebody else's to judge. */
	if (!it->there)
		return db_run(db, e, "UPDATE message SET src_flags = ?3,"
		    " src_kw = ?4, raw_flags = ifnull(?5, raw_flags) WHERE"
		    " mailbox_id = ?1 AND key = ?2", "ibiis", mailbox_id,
		    it->key, it->key_len, (int64_t)s->src.flags, src_kw,
		    it->raw);
	return db_run(db, e, "UPDATE message SET src_flags = ?4, src_kw = ?5,"
	    " tgt_flags = ?6, tgt_kw = ?7, tgt_modseq = ?8, changes = ?9,"
	    " raw_flags = ifnull(?10, raw_flags) WHERE mailbox_id = ?1 AND"
	    " key = ?2 AND tgt_uid = ?3", "ibiiiiiiis",
	    mailbox_id, it->key, it->key_len, (int64_t)it->uid,
	    (int64_t)s->src.flags, src_kw, (int64_t)s->tgt.flags, tgt_kw,
	    (int64_t)it->modseq, (int64_t)it->changes, it->raw);
}

static int
apply_record(struct db *db, void *arg, struct err *e)
{
	const struct merge_arg *p = arg;

	for (size_t i = 0; i < p->n; i++) {
		const struct merge_item *it = &p->items[i];

		if (it->state == MERGE_SENT)
			continue;
		if (it->state == MERGE_FINAL && put_final(db, p->mailbox_id,
		    it, e) == -1)
			return -1;
		if (it->pending && db_run(db, e, "DELETE FROM flagging WHERE"
		    " mailbox_id = ?1 AND key = ?2", "ib", p->mailbox_id,
		    it->key, it->key_len) == -1)
			return -1;
	}
	return 0;
}

int
merge_record(struct state *s, int64_t mailbox_id, struct merge_item *items,
    size_t n, struct err *e)
{
	struct merge_arg p = { .mailbox_id = mailbox_id, .items = items,
	    .n = n };

	if (state_call(s, apply_record, &p, e) == -1)
		return -1;
	for (size_t i = 0; i < n; i++) {
		if (items[i].state == MERGE_FINAL)
			items[i].state = MERGE_ENDED;
		if (items[i].state != MERGE_SENT)
			items[i].pending = false;
	}
	return 0;
}

struct void_from { int64_t mailbox_id; uint32_t uid; };

static int
apply_void_from(struct db *db, void *arg, struct err *e)
{
	const struct void_from *v = arg;

	if (db_run(db, e, "UPDATE message SET outcome = 0, tgt_uid = 0 WHERE"
	    " mailbox_id = ?1 AND tgt_uid >= ?2 AND outcome IN (1, 2)", "ii",
	    v->mailbox_id, (int64_t)v->uid) == -1 ||
	    db_run(db, e, "DELETE FROM extra WHERE mailbox_id = ?1 AND uid >="
	    " ?2", "ii", v->mailbox_id, (int64_t)v->uid) == -1 ||
	    db_run(db, e, "DELETE FROM flagging WHERE mailbox_id = ?1 AND uid"
	    " >= ?2", "ii", v->mailbox_id, (int64_t)v->uid) == -1)
		return -1;
	return db_run(db, e, "UPDATE mailbox SET tgt_uidnext = min(tgt_uidnext,"
	    " ?2), src_token = NULL, outcome = 'partial' WHERE id = ?1", "ii",
	    v->mailbox_id, (int64_t)v->uid);
}

int
mailbox_void_from(struct state *s, int64_t mailbox_id, uint32_t uid,
    struct err *e)
{
	struct void_from v = { mailbox_id, uid };

	return state_call(s, apply_void_from, &v, e);
}
