/*
 * A second look at messages of which the digest did not tell enough: forms that
 * show what was changed, names for people, and contents for a sample.
 */
#include "audit_impl.h"

#include <stdio.h>
#include <string.h>

#include "walk.h"

#define CHUNK		64
#define NAMES_MOST	1000	/* of a mailbox's messages are named */
#define BODIES_MOST	((uint64_t)256 << 20)	/* bytes kept to be compared */
#define BRIEF		((size_t)16 * 1024)

/* What a look does with each message that it wants. */
struct looking {
	struct audit_job *j;
	size_t		 box;
	enum side	 side;
	struct former	*former;
	/* 1: *id and *need of the message with that key; 0: not wanted. */
	int		(*find)(struct looking *, const void *key, size_t len,
			    int64_t *id, int *need, struct err *);
	int		(*take)(struct looking *, int64_t id, int need,
			    struct content *, struct err *);
	int64_t		 left;		/* to be found */
};

static int
find_in(struct looking *k, const char *sql, const void *key, size_t len,
    int64_t *id, int *need, struct err *e)
{
	sqlite3_stmt *st = db_query(k->j->db, e, sql, "iib", (int64_t)k->box,
	    (int64_t)k->side, key, len);
	int rc;

	if (st == NULL)
		return -1;
	if ((rc = db_step(k->j->db, st, e)) == 1) {
		*id = sqlite3_column_int64(st, 0);
		*need = sqlite3_column_int(st, 1);
	}
	db_done(st);
	return rc;
}

static int
find_rest(struct looking *k, const void *key, size_t len, int64_t *id,
    int *need, struct err *e)
{
	return find_in(k, "SELECT n, need FROM rest WHERE box = ?1 AND side ="
	    " ?2 AND key = ?3 AND need > 0 LIMIT 1", key, len, id, need, e);
}

static int
find_chosen(struct looking *k, const void *key, size_t len, int64_t *id,
    int *need, struct err *e)
{
	return find_in(k, "SELECT item, 1 FROM chosen WHERE box = ?1 AND side"
	    " = ?2 AND key = ?3 LIMIT 1", key, len, id, need, e);
}

/* Its Message-ID and Subject only. */
static int
take_names(struct looking *k, int64_t id, struct content *c, struct err *e)
{
	char chunk[BRIEF], message_id[300], subject[300];
	size_t len = 0;
	ssize_t n;

	while (len < sizeof chunk && (n = content_read(c, chunk + len,
	    sizeof chunk - len, e)) != 0) {
		if (n == -1)
			return -1;
		len += (size_t)n;
	}
	header_brief(chunk, len, message_id, sizeof message_id, subject,
	    sizeof subject);
	return db_run(k->j->db, e, "UPDATE rest SET message_id = ?2, subject ="
	    " ?3, need = 0 WHERE n = ?1", "iss", id, message_id, subject);
}

static int
take_form(struct looking *k, int64_t id, int need, struct content *c,
    struct err *e)
{
	char message_id[300], subject[300];
	struct audit_form f;
	struct measured md;
	bool keep = k->j->bodies < BODIES_MOST;

	if (need == 1)
		return take_names(k, id, c, e);
	if (former_read(k->former, c, keep, &f, &md, e) == -1)
		return -1;
	k->j->bodies += f.body != NULL ? f.body_len : 0;
	header_brief(f.header, f.header_len, message_id, sizeof message_id,
	    subject, sizeof subject);
	if (db_run(k->j->db, e, "UPDATE rest SET message_id = ?2, subject ="
	    " ?3, loose = ?4, header = ?5, body = ?6, exact = ?7, lines = ?8,"
	    " nul = ?9, unfrom = ?10, need = 0 WHERE n = ?1", "issbbbbbbb", id,
	    message_id, subject, md.digests.loose, (size_t)DIGEST_LEN,
	    f.header, f.header_len, f.body, f.body_len, f.exact,
	    (size_t)DIGEST_LEN, f.lines, (size_t)DIGEST_LEN, f.nul,
	    (size_t)DIGEST_LEN, f.from, (size_t)DIGEST_LEN) == -1)
		return -1;
	return 0;
}

static int
take_digest(struct looking *k, int64_t id, int need, struct content *c,
    struct err *e)
{
	struct measured md;

	(void)need;
	if (measure_content(k->j->measure, c, NULL, &md, e) == -1)
		return -1;
	return db_run(k->j->db, e, "UPDATE chosen SET digest = ?2 WHERE item ="
	    " ?1", "ib", id, md.digests.strict, (size_t)DIGEST_LEN);
}

/* A message that cannot be read stays as it is. */
static int
may_go_on(int rc, const struct err *e)
{
	return rc == -1 && e->scope != ERR_MESSAGE ? -1 : 0;
}

/* The wanted ones, in order. */
static int
take_chunk(struct looking *k, const struct msg_meta *metas,
    const int64_t *ids, const int *needs, size_t n, struct err *e)
{
	struct source *s = audit_source(k->j, k->side);
	const struct msg_meta *want[CHUNK];

	for (size_t i = 0; i < n; i++)
		want[i] = &metas[i];
	if (source_want(s, want, n, e) == -1)
		return -1;
	for (size_t i = 0; i < n; i++) {
		struct content *c = NULL;
		int rc = source_content(s, &metas[i], &c, e);

		if (rc == 1)
			rc = k->take(k, ids[i], needs[i], c, e);
		content_close(&c);
		if (may_go_on(rc, e) == -1)
			return -1;
		if (metas[i].size != UNKNOWN64)
			lane_pace(k->j->l, k->side, metas[i].size, 1);
		k->left--;
	}
	return 0;
}

/* Of a store whose messages are known by their content: read, then found. */
static int
take_unnamed(struct looking *k, const struct msg_meta *m, struct err *e)
{
	struct source *s = audit_source(k->j, k->side);
	struct content *c = NULL;
	struct measured md;
	char key[300];
	int64_t id;
	size_t len;
	int rc, need;

	rc = source_content(s, m, &c, e);
	if (rc == 1)
		rc = measure_content(k->j->measure, c, NULL, &md, e) == -1 ?
		    -1 : 1;
	if (rc == 1 && (audit_key(k->j, k->side, m, 0, &md.digests, key, &len,
	    e) == -1 || (rc = k->find(k, key, len, &id, &need, e)) == -1)) {
		content_close(&c);
		return -1;
	}
	if (rc == 1 && (rc = content_rewind(c, e)) == 0) {
		rc = k->take(k, id, need, c, e);
		k->left--;
	}
	content_close(&c);
	return may_go_on(rc, e);
}

/* The open mailbox, as far as something is wanted. */
static int
look_through(struct looking *k, struct arena *arena, struct err *e)
{
	bool unnamed = k->side == SIDE_SOURCE && k->j->audit->level ==
	    AUDIT_CONTENT;
	struct source *s = audit_source(k->j, k->side);
	struct msg_meta metas[CHUNK];
	int64_t ids[CHUNK];
	int needs[CHUNK], rc;
	uint64_t seq = 0;
	char key[300];
	size_t n = 0, len;

	for (;;) {
		rc = k->left > (int64_t)n ? source_next(s, arena, &metas[n],
		    e) : 0;
		if (rc == -1)
			return -1;
		if (rc == 1) {
			seq++;
			if (metas[n].key == NULL && unnamed) {
				if (take_unnamed(k, &metas[n], e) == -1)
					return -1;
				if (n == 0)
					arena_reset(arena);
				continue;
			}
			if (audit_key(k->j, k->side, &metas[n], seq, NULL, key,
			    &len, e) == -1)
				return -1;
			rc = k->find(k, key, len, &ids[n], &needs[n], e);
			if (rc == -1)
				return -1;
			if (rc == 0) {
				if (n == 0)
					arena_reset(arena);
				continue;
			}
			if (++n < CHUNK)
				continue;
			rc = 1;
		}
		if (n > 0 && take_chunk(k, metas, ids, needs, n, e) == -1)
			return -1;
		n = 0;
		arena_reset(arena);
		if (rc == 0)
			return 0;
	}
}

static int
look_at_side(struct looking *k, const char *count, struct err *e)
{
	struct audit_job *j = k->j;
	struct audit_box *b = &j->boxes[k->box];
	struct source *s = audit_source(j, k->side);
	struct arena arena;
	enum delta delta;
	int rc;

	if (b->folder[k->side] == NULL || db_number(j->db, e, &k->left, 0,
	    count, "ii", (int64_t)k->box, (int64_t)k->side) == -1)
		return b->folder[k->side] == NULL ? 0 : -1;
	if (k->left == 0)
		return 0;
	if (db_run(j->l->scratch, e, "DELETE FROM seen", "") == -1 ||
	    audit_open(j, b, k->side, NULL, &delta, e) == -1)
		return -1;
	arena_init(&arena);
	rc = look_through(k, &arena, e);
	arena_release(&arena);
	source_folder_close(s);
	return rc;
}

/* What of the rest is to be read: where both sides have something left, all of
 * it; besides that, names for people. */
static int
mark_needed(struct audit_job *j, struct err *e)
{
	if (j->audit->level == AUDIT_CONTENT && db_run(j->db, e, "UPDATE rest"
	    " SET need = 2 WHERE pair = 0 AND NOT bits & 1 AND box IN (SELECT"
	    " box FROM rest WHERE pair = 0 GROUP BY box HAVING sum(side = 0) >"
	    " 0 AND sum(side = 1) > 0)", "") == -1)
		return -1;
	if (db_run(j->db, e, "UPDATE rest SET need = 2 WHERE how = ?1 AND NOT"
	    " bits & 1", "i", (int64_t)HOW_ALTERED) == -1)
		return -1;
	/* Pairs that differ in nothing are here where a server told no UID. */
	return db_run(j->db, e, "UPDATE rest SET need = 1 WHERE n IN (SELECT n"
	    " FROM (SELECT n, row_number() OVER (PARTITION BY box, side ORDER"
	    " BY n) AS place FROM rest AS r WHERE need = 0 AND NOT bits & 1"
	    " AND (pair = 0 OR side = 0) AND NOT (how = ?2 AND at = 0 AND"
	    " EXISTS (SELECT 1 FROM rest AS t WHERE t.n = r.pair AND t.date ="
	    " r.date AND t.flags = r.flags AND t.kw = r.kw AND t.csize ="
	    " r.csize))) WHERE place <= ?1)", "ii", (int64_t)NAMES_MOST,
	    (int64_t)HOW_SAME);
}

/* A mailbox that cannot be opened any more is as it was found. */
static int
look_at_all(struct looking *k, const char *count, struct err *e)
{
	struct audit_job *j = k->j;
	struct err ignored;
	int rc = 0;

	measure_want_sha1(j->measure, false);
	measure_want_strict(j->measure, true);
	if (db_script(j->db, "BEGIN", e) == -1)
		return -1;
	for (k->box = 0; k->box < j->n && rc == 0; k->box++)
		for (int side = 0; side < 2 && rc == 0; side++) {
			k->side = (enum side)side;
			rc = look_at_side(k, count, e);
			if (rc == -1 && e->scope <= ERR_MAILBOX) {
				source_folder_close(audit_source(j, k->side));
				j->boxes[k->box].moving = true;
				rc = 0;
			}
		}
	if (db_script(j->db, "COMMIT", rc == 0 ? e : &ignored) == -1)
		rc = -1;
	return rc;
}

int
audit_look(struct audit_job *j, struct err *e)
{
	struct looking k = { .j = j, .find = find_rest, .take = take_form };
	int rc;

	if (mark_needed(j, e) == -1)
		return -1;
	k.former = former_new();
	rc = look_at_all(&k, "SELECT count(*) FROM rest WHERE box = ?1 AND"
	    " side = ?2 AND need > 0", e);
	former_free(&k.former);
	return rc;
}

/* Of each run: what has no equal at the other side goes to the rest. */
static int
judge_sample(struct audit_job *j, struct err *e)
{
	sqlite3_stmt *st;
	int64_t n;
	int rc;

	if (db_script(j->db, "DELETE FROM chosen WHERE run IN (SELECT run FROM"
	    " chosen WHERE digest IS NULL);"
	    "CREATE TEMP TABLE ranked AS SELECT run, side, digest, item,"
	    " row_number() OVER (PARTITION BY run, side, digest ORDER BY item)"
	    " AS place FROM chosen;"
	    "CREATE INDEX temp.ranked_place ON ranked (run, digest, place,"
	    " side);"
	    "INSERT INTO rest (item, box, side, key, uid, at, digest, date,"
	    " flags, kw, csize, bits, run) SELECT item.id, box, item.side, key,"
	    " uid, at, item.digest, date, flags, kw, csize, bits, a.run FROM"
	    " ranked AS a JOIN item ON item.id = a.item WHERE NOT EXISTS"
	    " (SELECT 1 FROM ranked AS b WHERE b.run = a.run AND b.digest ="
	    " a.digest AND b.place = a.place AND b.side <> a.side);"
	    "DROP TABLE ranked", e) == -1 ||
	    db_number(j->db, e, &n, 0, "SELECT count(*) FROM chosen WHERE side"
	    " = 0", "") == -1)
		return -1;
	j->sample.compared += (uint64_t)n;
	st = db_query(j->db, e, "SELECT box, count(*) FROM rest WHERE side = 0"
	    " AND run IS NOT NULL GROUP BY box", "");
	if (st == NULL)
		return -1;
	while ((rc = db_step(j->db, st, e)) == 1) {
		n = sqlite3_column_int64(st, 1);
		j->boxes[sqlite3_column_int64(st, 0)].counts.n[V_EQUAL] -=
		    (uint64_t)n;
		j->sample.differ += (uint64_t)n;
	}
	db_done(st);
	return rc;
}

int
audit_sample(struct audit_job *j, struct err *e)
{
	struct looking k = { .j = j, .find = find_chosen,
	    .take = take_digest };

	if (look_at_all(&k, "SELECT count(*) FROM chosen WHERE box = ?1 AND"
	    " side = ?2", e) == -1)
		return -1;
	return judge_sample(j, e);
}
