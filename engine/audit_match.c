/*
 * Pairs the messages of the two sides.
 *
 * First those that are equal in everything: one sorted walk over all items, in
 * which only what has no counterpart is written down.  Then what is left is
 * paired by less and less: by content, by content in another mailbox, by what
 * is left of a content that servers and tools have changed, by UID, by
 * Message-ID.
 */
#include "audit_impl.h"

#include <stdlib.h>
#include <string.h>

#include "base/xmalloc.h"

int
audit_tables(struct db *db, struct err *e)
{
	return db_script(db,
	    "CREATE TABLE keywords (id INTEGER PRIMARY KEY, words TEXT UNIQUE);"
	    "CREATE TABLE item (id INTEGER PRIMARY KEY, box INTEGER,"
	    " side INTEGER, key BLOB, uid INTEGER, at INTEGER, digest BLOB,"
	    " date INTEGER, flags INTEGER, kw INTEGER, csize INTEGER,"
	    " size INTEGER, bits INTEGER, place TEXT);"
	    /* alike: how many of this content the mailbox has at each side;
	     * need: it is to be read once more. */
	    "CREATE TABLE rest (n INTEGER PRIMARY KEY, item INTEGER,"
	    " box INTEGER, side INTEGER, key BLOB, uid INTEGER, at INTEGER,"
	    " digest BLOB, date INTEGER, flags INTEGER, kw INTEGER,"
	    " csize INTEGER, bits INTEGER, alike0 INTEGER, alike1 INTEGER,"
	    " pair INTEGER DEFAULT 0, how INTEGER DEFAULT 0,"
	    " need INTEGER DEFAULT 0, loose BLOB, message_id TEXT,"
	    " subject TEXT, header BLOB, body BLOB, exact BLOB, lines BLOB,"
	    " nul BLOB, unfrom BLOB, run INTEGER);"
	    "CREATE INDEX rest_key ON rest (box, side, key);"
	    "CREATE INDEX rest_at ON rest (box, side, at);"
	    "CREATE TABLE chosen (item INTEGER, run INTEGER, box INTEGER,"
	    " side INTEGER, key BLOB, digest BLOB);"
	    "CREATE INDEX chosen_key ON chosen (box, side, key);", e);
}

/* Columns of the walk. */
enum { C_ID, C_BOX, C_DIGEST, C_AT, C_CSIZE, C_DATE, C_FLAGS, C_KW, C_SIDE,
	C_BITS };

struct ids {
	int64_t	*v;
	size_t	 n, cap;
};

struct walking {
	struct audit_job *j;
	int64_t		 box, at, csize, date, flags, kw;	/* of the run */
	unsigned char	 digest[DIGEST_LEN];
	size_t		 digest_len;
	bool		 any;
	struct ids	 ids[2];	/* of the run, by enum side */
	uint64_t	 alike[2];	/* of the content */
	int64_t		 first_rest;	/* of the content; 0: none */
	int64_t		 runs;
};

static void
add_id(struct ids *s, int64_t id)
{
	if (s->n == s->cap) {
		s->cap = s->cap == 0 ? 16 : 2 * s->cap;
		s->v = xreallocarray(s->v, s->cap, sizeof *s->v);
	}
	s->v[s->n++] = id;
}

static int
put_rest(struct walking *w, int64_t id, struct err *e)
{
	struct db *db = w->j->db;

	if (db_run(db, e, "INSERT INTO rest (item, box, side, key, uid, at,"
	    " digest, date, flags, kw, csize, bits) SELECT id, box, side, key,"
	    " uid, at, digest, date, flags, kw, csize, bits FROM item WHERE id"
	    " = ?1", "i", id) == -1)
		return -1;
	if (w->first_rest == 0)
		w->first_rest = db_last_id(db);
	return 0;
}

/* Is a run of equal messages one of the sample?  The same ones each time. */
static bool
is_chosen(const struct walking *w)
{
	uint64_t h = 14695981039346656037u;

	for (size_t i = 0; i < w->digest_len; i++)
		h = (h ^ w->digest[i]) * 1099511628211u;
	h = (h ^ (uint64_t)w->box ^ ((uint64_t)w->date << 20)) *
	    1099511628211u;
	h ^= h >> 32;
	h *= 0x9e3779b97f4a7c15u;
	return (double)(h >> 11) < w->j->audit->percent / 100 *
	    9007199254740992.0;
}

static int
choose(struct walking *w, struct err *e)
{
	w->runs++;
	for (int side = 0; side < 2; side++)
		for (size_t i = 0; i < w->ids[side].n; i++)
			if (db_run(w->j->db, e, "INSERT INTO chosen (item, run,"
			    " box, side, key) SELECT id, ?2, box, side, key"
			    " FROM item WHERE id = ?1", "ii",
			    w->ids[side].v[i], w->runs) == -1)
				return -1;
	return 0;
}

/* All of a run are known: what has a counterpart is equal. */
static int
end_run(struct walking *w, struct err *e)
{
	struct audit_job *j = w->j;
	size_t n[2] = { w->ids[0].n, w->ids[1].n };
	size_t equal = n[0] < n[1] ? n[0] : n[1];

	if (!w->any)
		return 0;
	j->boxes[w->box].counts.n[V_EQUAL] += equal;
	for (int side = 0; side < 2; side++) {
		w->alike[side] += n[side];
		for (size_t i = equal; i < n[side]; i++)
			if (put_rest(w, w->ids[side].v[i], e) == -1)
				return -1;
	}
	if (j->audit->level == AUDIT_SAMPLE && equal > 0) {
		j->sample.of += equal;
		if (n[0] == n[1] && is_chosen(w) && choose(w, e) == -1)
			return -1;
	}
	w->ids[0].n = w->ids[1].n = 0;
	return 0;
}

/* All of one content in one mailbox are known. */
static int
end_content(struct walking *w, struct err *e)
{
	int rc = 0;

	if (w->first_rest != 0)
		rc = db_run(w->j->db, e, "UPDATE rest SET alike0 = ?2, alike1"
		    " = ?3 WHERE n >= ?1", "iii", w->first_rest,
		    (int64_t)w->alike[0], (int64_t)w->alike[1]);
	w->first_rest = 0;
	w->alike[0] = w->alike[1] = 0;
	return rc;
}

static int
next_item(struct walking *w, sqlite3_stmt *st, struct err *e)
{
	const void *digest = sqlite3_column_blob(st, C_DIGEST);
	size_t len = (size_t)sqlite3_column_bytes(st, C_DIGEST);
	int64_t box = sqlite3_column_int64(st, C_BOX);
	bool content, run;

	if (len > DIGEST_LEN)
		len = DIGEST_LEN;
	content = !w->any || box != w->box || len != w->digest_len ||
	    (len > 0 && memcmp(digest, w->digest, len) != 0);
	run = content || sqlite3_column_int64(st, C_AT) != w->at ||
	    sqlite3_column_int64(st, C_CSIZE) != w->csize ||
	    sqlite3_column_int64(st, C_DATE) != w->date ||
	    sqlite3_column_int64(st, C_FLAGS) != w->flags ||
	    sqlite3_column_int64(st, C_KW) != w->kw;
	if (run && end_run(w, e) == -1)
		return -1;
	if (content && end_content(w, e) == -1)
		return -1;
	if (run) {
		w->any = true;
		w->box = box;
		w->digest_len = len;
		if (len > 0)
			memcpy(w->digest, digest, len);
		w->at = sqlite3_column_int64(st, C_AT);
		w->csize = sqlite3_column_int64(st, C_CSIZE);
		w->date = sqlite3_column_int64(st, C_DATE);
		w->flags = sqlite3_column_int64(st, C_FLAGS);
		w->kw = sqlite3_column_int64(st, C_KW);
	}
	/* What could not be read equals nothing. */
	if (len == 0)
		return put_rest(w, sqlite3_column_int64(st, C_ID), e);
	add_id(&w->ids[sqlite3_column_int(st, C_SIDE)],
	    sqlite3_column_int64(st, C_ID));
	return 0;
}

static int
match_equal(struct audit_job *j, struct err *e)
{
	struct walking w = { .j = j };
	sqlite3_stmt *st;
	int rc;

	st = db_query(j->db, e, "SELECT id, box, digest, at, csize, date,"
	    " flags, kw, side, bits FROM item ORDER BY box, digest, at, csize,"
	    " date, flags, kw, side, id", "");
	if (st == NULL)
		return -1;
	while ((rc = db_step(j->db, st, e)) == 1)
		if (next_item(&w, st, e) == -1) {
			rc = -1;
			break;
		}
	db_done(st);
	if (rc == 0 && (end_run(&w, e) == -1 || end_content(&w, e) == -1))
		rc = -1;
	free(w.ids[0].v);
	free(w.ids[1].v);
	return rc;
}

/* One more way to pair: a key (SQL) that both must have. */
struct step {
	enum how	 how;
	const char	*sql;		/* n, side, key of what is unpaired */
};

#define FROM_REST(key, where) "SELECT n, side, " key " AS k FROM rest"	\
	" WHERE pair = 0 AND " where " ORDER BY k, side, uid, n"

static const struct step by_content[] = {
	{ HOW_SAME, FROM_REST("box || '.' || hex(digest) || '.' || at",
	    "at <> 0 AND digest IS NOT NULL") },
	{ HOW_SAME, FROM_REST("box || '.' || hex(digest) || '.' || date || '.'"
	    " || flags || '.' || kw", "digest IS NOT NULL") },
	{ HOW_SAME, FROM_REST("box || '.' || hex(digest) || '.' || date",
	    "digest IS NOT NULL") },
	{ HOW_SAME, FROM_REST("box || '.' || hex(digest) || '.' || flags ||"
	    " '.' || kw", "digest IS NOT NULL") },
	{ HOW_SAME, FROM_REST("box || '.' || hex(digest)",
	    "digest IS NOT NULL") },
};

static const struct step by_mailbox[] = {
	{ HOW_MOVED, FROM_REST("hex(digest) || '.' || date",
	    "digest IS NOT NULL") },
	{ HOW_MOVED, FROM_REST("hex(digest)", "digest IS NOT NULL") },
};

static const struct step by_rest[] = {
	{ HOW_ALTERED, FROM_REST("box || '.' || hex(loose) || '.' || at",
	    "loose IS NOT NULL AND at <> 0") },
	{ HOW_ALTERED, FROM_REST("box || '.' || hex(loose) || '.' || date",
	    "loose IS NOT NULL") },
	{ HOW_ALTERED, FROM_REST("box || '.' || hex(loose)",
	    "loose IS NOT NULL") },
	{ HOW_ALTERED, FROM_REST("box || '.' || at", "at <> 0 AND loose IS NOT"
	    " NULL") },
	{ HOW_ALTERED, FROM_REST("box || '.' || date || '.' || message_id",
	    "message_id <> ''") },
	{ HOW_ALTERED, FROM_REST("box || '.' || message_id",
	    "message_id <> ''") },
	{ HOW_ALTERED, FROM_REST("box || '.' || hex(header)",
	    "length(header) > 1") },
	{ HOW_ALTERED, FROM_REST("box || '.' || hex(exact)",
	    "length(body) > 1") },
};

/* Contents of the sample that turned out to differ. */
static const struct step by_sample[] = {
	{ HOW_ALTERED, FROM_REST("run", "run IS NOT NULL") },
};

/* The target's message whose counterpart could not be read, and the other way
 * round. */
static const struct step by_place[] = {
	{ HOW_UNREAD, FROM_REST("box || '.' || at", "at <> 0 AND box IN"
	    " (SELECT box FROM rest WHERE bits & 1)") },
	{ HOW_UNREAD, FROM_REST("box || '.' || date", "(bits & 1 OR side = 1)"
	    " AND box IN (SELECT box FROM rest WHERE bits & 1 AND side = 0)") },
	{ HOW_UNREAD, FROM_REST("box || '.' || date", "(bits & 1 OR side = 0)"
	    " AND box IN (SELECT box FROM rest WHERE bits & 1 AND side = 1)") },
};

/* Without contents: as many on both sides are the same ones, in order. */
static const struct step by_order[] = {
	{ HOW_SAME, FROM_REST("box", "at = 0 AND box IN (SELECT box FROM rest"
	    " WHERE pair = 0 GROUP BY box HAVING sum(side = 0) = sum(side ="
	    " 1))") },
};

/* Of one key: the nth of the source with the nth of the target. */
static int
pair_ids(struct audit_job *j, const struct ids ids[2], enum how how,
    struct err *e)
{
	size_t n = ids[0].n < ids[1].n ? ids[0].n : ids[1].n;

	for (size_t i = 0; i < n; i++)
		if (db_run(j->db, e, "UPDATE rest SET how = ?3, pair = CASE n"
		    " WHEN ?1 THEN ?2 ELSE ?1 END WHERE n IN (?1, ?2)", "iii",
		    ids[0].v[i], ids[1].v[i], (int64_t)how) == -1)
			return -1;
	return 0;
}

/* The sort is done before the first row comes, so that rows may change. */
static int
pair_by(struct audit_job *j, const struct step *step, struct err *e)
{
	struct ids ids[2] = { { NULL, 0, 0 }, { NULL, 0, 0 } };
	sqlite3_stmt *st = db_query(j->db, e, step->sql, "");
	struct buf last;
	int rc;

	if (st == NULL)
		return -1;
	buf_init(&last, (size_t)1 << 20);
	while ((rc = db_step(j->db, st, e)) == 1) {
		const char *key = db_text(st, 2);
		size_t len = (size_t)sqlite3_column_bytes(st, 2);

		if (len != last.len || memcmp(key, last.ptr, len) != 0) {
			rc = pair_ids(j, ids, step->how, e);
			ids[0].n = ids[1].n = 0;
			buf_reset(&last);
			buf_add(&last, key, len);
		}
		if (rc == -1)
			break;
		add_id(&ids[sqlite3_column_int(st, 1)],
		    sqlite3_column_int64(st, 0));
	}
	db_done(st);
	if (rc == 0)
		rc = pair_ids(j, ids, step->how, e);
	free(ids[0].v);
	free(ids[1].v);
	buf_release(&last);
	return rc;
}

static int
pair_all(struct audit_job *j, const struct step *steps, size_t n,
    struct err *e)
{
	for (size_t i = 0; i < n; i++)
		if (pair_by(j, &steps[i], e) == -1)
			return -1;
	return 0;
}

#define PAIR_ALL(j, steps, e)						\
	pair_all(j, steps, sizeof steps / sizeof *steps, e)

int
audit_match(struct audit_job *j, struct err *e)
{
	enum audit_level level = j->audit->level;
	struct err ignored;
	int rc;

	for (size_t i = 0; i < j->n; i++)
		j->boxes[i].counts.n[V_EQUAL] = 0;
	if (db_script(j->db, "DELETE FROM rest; DELETE FROM chosen; BEGIN",
	    e) == -1)
		return -1;
	rc = match_equal(j, e);
	if (rc == 0)
		rc = PAIR_ALL(j, by_content, e);
	if (rc == 0 && level == AUDIT_CONTENT)
		rc = PAIR_ALL(j, by_mailbox, e);
	if (db_script(j->db, "COMMIT", rc == 0 ? e : &ignored) == -1)
		rc = -1;
	if (rc == 0 && level == AUDIT_SAMPLE)
		rc = audit_sample(j, e);
	if (rc == 0 && level == AUDIT_SAMPLE)
		rc = PAIR_ALL(j, by_sample, e);
	if (rc == 0 && level >= AUDIT_SAMPLE)
		rc = audit_look(j, e);
	if (rc == -1 || db_script(j->db, "BEGIN", e) == -1)
		return -1;
	rc = level == AUDIT_CONTENT ? PAIR_ALL(j, by_rest, e) :
	    PAIR_ALL(j, by_order, e);
	if (rc == 0)
		rc = PAIR_ALL(j, by_place, e);
	if (db_script(j->db, "COMMIT", rc == 0 ? e : &ignored) == -1)
		rc = -1;
	return rc;
}
