/*
 * Both sides of a mailbox into the table of items.
 *
 * The target comes first: whether its index tells SHA-1 decides which digest
 * the source's messages have to have.  A source message that is in the state as
 * it is now is not read again.
 */
#include "audit_impl.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/xmalloc.h"
#include "walk.h"

#define CHUNK		256		/* messages listed, then read */
#define CHUNK_BYTES	((uint64_t)8 << 20)

struct item {
	const void	*key;
	size_t		 key_len;
	uint32_t	 uid, at;
	unsigned char	 digest[DIGEST_LEN];
	size_t		 digest_len;	/* 0: unknown */
	int64_t		 date, kw;
	unsigned	 flags, bits;
	uint64_t	 size, csize;	/* stored; comparable, or 0 */
};

struct loading {
	struct audit_job *j;
	struct audit_box *b;
	enum side	 side;
	struct source	*s;
	struct arena	 arena;
	uint64_t	 seq;
	int64_t		 kw_id;		/* of the words that came last */
	char		*kw_words;
};

struct source *
audit_source(struct audit_job *j, enum side side)
{
	return side == SIDE_SOURCE ? j->l->src : j->l->eyes;
}

int
audit_open(struct audit_job *j, struct audit_box *b, enum side side,
    const struct buf *token, enum delta *delta, struct err *e)
{
	struct folder_info *f = b->folder[side];
	int rc;

	f->some = f->by_flags = false;
	f->stable = b->reloaded;
	rc = source_folder_open(audit_source(j, side), f, token, 0, delta, e);
	f->stable = false;
	return rc;
}

/* Keywords as a number: without regard to case and order, as IMAP has them. */
static int
keyword_id(struct loading *k, const struct msg_meta *m, int64_t *id,
    struct err *e)
{
	const char **low, *words;

	*id = 0;
	if (m->nkeywords == 0)
		return 0;
	low = arena_alloc(&k->arena, m->nkeywords * sizeof *low);
	for (size_t i = 0; i < m->nkeywords; i++) {
		char *s = arena_strdup(&k->arena, m->keywords[i]);

		low[i] = s;
		for (; *s != '\0'; s++)
			if (*s >= 'A' && *s <= 'Z')
				*s += 'a' - 'A';
	}
	words = join_words(&k->arena, low, m->nkeywords);
	if (k->kw_words == NULL || strcmp(k->kw_words, words) != 0) {
		if (db_number(k->j->db, e, &k->kw_id, 0, "INSERT INTO keywords"
		    " (words) VALUES (?1) ON CONFLICT (words) DO UPDATE SET"
		    " words = words RETURNING id", "s", words) == -1)
			return -1;
		free(k->kw_words);
		k->kw_words = xstrdup(words);
	}
	*id = k->kw_id;
	return 0;
}

/* What the state knows of a source message, if it is the one it knows. */
static int
from_state(struct loading *k, const struct msg_meta *m, struct item *it,
    bool by_digest, struct err *e)
{
	struct audit_box *b = k->b;
	struct db *db = k->j->l->reader;
	unsigned changes;
	sqlite3_stmt *st;
	bool same;
	int rc;

	st = db_query(db, e, "SELECT outcome, size, date, tgt_uid, strict,"
	    " sha1, src_flags, tgt_flags, src_kw IS tgt_kw, changes, crlf_size"
	    " FROM known.message WHERE mailbox_id = ?1 AND key = ?2", "ib",
	    b->state_id, it->key, it->key_len);
	if (st == NULL)
		return -1;
	rc = db_step(db, st, e);
	same = rc == 1 && (by_digest || (m->size == (uint64_t)
	    sqlite3_column_int64(st, 1) && m->date ==
	    sqlite3_column_int64(st, 2)));
	if (same) {
		enum outcome o = (enum outcome)sqlite3_column_int(st, 0);
		const int column = b->by_sha1 ? 5 : 4;
		const size_t len = b->by_sha1 ? SHA1_LEN : DIGEST_LEN;

		if (o == OUT_COPIED || o == OUT_PRESENT) {
			if (b->by_state)
				it->at = (uint32_t)sqlite3_column_int64(st, 3);
			it->bits |= ITEM_THERE;
		} else if (o == OUT_REFUSED)
			it->bits |= ITEM_REFUSED;
		if ((size_t)sqlite3_column_bytes(st, column) == len &&
		    it->digest_len == 0 &&
		    !(sqlite3_column_int(st, 9) & CHANGE_UNREAD)) {
			memcpy(it->digest, sqlite3_column_blob(st, column),
			    len);
			it->digest_len = len;
		}
		if (it->flags == (unsigned)sqlite3_column_int(st, 7))
			it->bits |= ITEM_FLAGS_GIVEN;
		if (sqlite3_column_int(st, 8) != 0)
			it->bits |= ITEM_KW_GIVEN;
		changes = (unsigned)sqlite3_column_int(st, 9);
		if (changes & CHANGE_DATE)
			it->bits |= ITEM_CLAMPED;
		if (changes & CHANGE_KEYWORDS)
			it->bits |= ITEM_KW_DROPPED;
		if (b->sizes && sqlite3_column_int64(st, 10) > 0 &&
		    !(changes & CHANGE_UNREAD))
			it->csize = (uint64_t)sqlite3_column_int64(st, 10);
	}
	db_done(st);
	return rc == -1 ? -1 : 0;
}

int
audit_key(struct audit_job *j, enum side side, const struct msg_meta *m,
    uint64_t seq, const struct digests *d, char key[300], size_t *len,
    struct err *e)
{
	struct walk w = { .l = j->l };

	if (side == SIDE_TARGET && m->uid != 0)
		*len = (size_t)snprintf(key, 300, "%" PRIu32, m->uid);
	else if (m->key != NULL && strlen(m->key) < 300) {
		*len = strlen(m->key);
		memcpy(key, m->key, *len);
	} else if (d != NULL)
		return walk_digest_key(&w, d, key, len, e);
	else
		*len = (size_t)snprintf(key, 300, "#%" PRIu64, seq);
	return 0;
}

static int
put_item(struct loading *k, const struct msg_meta *m, const struct item *it,
    struct err *e)
{
	struct audit_counts *c = &k->b->counts;
	uint64_t size = it->size == UNKNOWN64 ? 0 : it->size;

	if (k->side == SIDE_SOURCE) {
		c->source++;
		c->source_bytes += size;
	} else {
		c->target++;
		c->target_bytes += size;
	}
	return db_run(k->j->db, e, "INSERT INTO item (box, side, key, uid, at,"
	    " digest, date, flags, kw, csize, size, bits, place) VALUES (?1,"
	    " ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)",
	    "iibiibiiiiiis", (int64_t)(k->b - k->j->boxes),
	    (int64_t)k->side, it->key, it->key_len, (int64_t)it->uid,
	    (int64_t)it->at, it->digest_len > 0 ? it->digest : NULL,
	    it->digest_len, it->date, (int64_t)it->flags, it->kw,
	    (int64_t)it->csize, (int64_t)it->size, (int64_t)it->bits,
	    it->uid == 0 ? m->where : NULL);
}

/* What is known of a message from its listing. */
static int
begin_item(struct loading *k, struct msg_meta *m, struct item *it,
    struct err *e)
{
	struct audit_box *b = k->b;
	char key[300];

	memset(it, 0, sizeof *it);
	it->uid = m->uid;
	it->flags = m->flags;
	it->date = m->date;
	it->size = m->size;
	if (keyword_id(k, m, &it->kw, e) == -1)
		return -1;
	if (b->sizes && m->size != UNKNOWN64)
		it->csize = m->size;
	if (k->side == SIDE_TARGET) {
		it->at = m->uid;	/* unless there is no map */
		if (b->state_id != 0 && b->row.target.uidnext != 0 &&
		    b->by_state && m->uid >= b->row.target.uidnext)
			it->bits |= ITEM_NEW;
		if (m->sha1 != NULL && b->by_sha1) {
			it->digest_len = SHA1_LEN;
			memcpy(it->digest, m->sha1, SHA1_LEN);
		}
	} else if (b->mapped && !b->by_state)
		it->at = m->uid;
	if (m->key == NULL && k->side == SIDE_SOURCE &&
	    k->j->audit->level == AUDIT_CONTENT)
		return 0;		/* its digest is its key */
	if (audit_key(k->j, k->side, m, k->seq, NULL, key, &it->key_len, e) ==
	    -1)
		return -1;
	it->key = arena_memdup0(&k->arena, key, it->key_len);
	if (k->side == SIDE_SOURCE && b->state_id != 0)
		return from_state(k, m, it, false, e);
	return 0;
}

/* Its bytes are read: 1, or 0: it is gone meanwhile. */
static int
read_item(struct loading *k, const struct msg_meta *m, struct item *it,
    struct err *e)
{
	struct content *c = NULL;
	struct measured md;
	char key[300];
	int rc;

	rc = source_content(k->s, m, &c, e);
	if (rc == 0)
		return 0;
	if (rc == 1)
		rc = measure_content(k->j->measure, c, NULL, &md, e);
	content_close(&c);
	if (rc == -1) {
		if (e->scope != ERR_MESSAGE || e->cause == CAUSE_CHANGED)
			return -1;
		it->bits |= ITEM_UNREADABLE;
		if (it->key == NULL) {
			it->key_len = (size_t)snprintf(key, sizeof key, "#%"
			    PRIu64, k->seq);
			it->key = arena_memdup0(&k->arena, key, it->key_len);
		}
		return 1;
	}
	lane_pace(k->j->l, k->side, md.raw_size, 1);
	host_proved(&k->j->l->at[k->side]);
	if (it->size == UNKNOWN64)
		it->size = md.raw_size;
	it->digest_len = k->b->by_sha1 ? SHA1_LEN : DIGEST_LEN;
	memcpy(it->digest, k->b->by_sha1 ? md.digests.sha1 :
	    md.digests.strict, it->digest_len);
	if (it->key != NULL)
		return 1;
	if (audit_key(k->j, k->side, m, k->seq, &md.digests, key,
	    &it->key_len, e) == -1)
		return -1;
	it->key = arena_memdup0(&k->arena, key, it->key_len);
	if (k->b->state_id != 0 && from_state(k, m, it, true, e) == -1)
		return -1;
	return 1;
}

/* The listed ones, in order, read as far as they have to be. */
static int
put_chunk(struct loading *k, struct msg_meta *metas, struct item *items,
    size_t n, struct err *e)
{
	const struct msg_meta *want[CHUNK];
	bool contents = k->j->audit->level == AUDIT_CONTENT;
	size_t wanted = 0;
	int rc;

	for (size_t i = 0; i < n && contents; i++)
		if (items[i].digest_len == 0)
			want[wanted++] = &metas[i];
	if (wanted > 0 && source_want(k->s, want, wanted, e) == -1)
		return -1;
	for (size_t i = 0; i < n; i++) {
		if (!contents)
			items[i].digest_len = 0;
		else if (items[i].digest_len == 0) {
			rc = read_item(k, &metas[i], &items[i], e);
			if (rc == -1)
				return -1;
			if (rc == 0)
				continue;
		}
		if (put_item(k, &metas[i], &items[i], e) == -1)
			return -1;
	}
	return 0;
}

static int
load_messages(struct loading *k, struct err *e)
{
	struct msg_meta metas[CHUNK];
	struct item items[CHUNK];
	uint64_t bytes = 0;
	const char *rule;
	size_t n = 0;
	int rc;

	for (;;) {
		rc = source_next(k->s, &k->arena, &metas[n], e);
		if (rc == -1)
			return -1;
		if (rc == 1) {
			struct msg_meta *m = &metas[n];

			k->seq++;
			if (k->seq == 1 && k->side == SIDE_TARGET)
				k->b->by_sha1 = m->sha1 != NULL &&
				    !m->by_file;
			rule = k->side == SIDE_SOURCE ? rules_message(
			    k->j->audit->set->rules, m) : NULL;
			if (rule != NULL) {
				k->b->counts.source++;
				k->b->counts.n[V_EXPECTED]++;
				continue;
			}
			if (begin_item(k, m, &items[n], e) == -1)
				return -1;
			bytes += m->size != UNKNOWN64 &&
			    items[n].digest_len == 0 ? m->size : 0;
			if (++n < CHUNK && bytes < CHUNK_BYTES)
				continue;
		}
		if (put_chunk(k, metas, items, n, e) == -1)
			return -1;
		n = 0;
		bytes = 0;
		arena_reset(&k->arena);
		if (rc == 0)
			return 0;
	}
}

/* One side, which is open. */
static int
load_side(struct audit_job *j, struct audit_box *b, enum side side,
    struct err *e)
{
	struct loading k = { .j = j, .b = b, .side = side,
	    .s = audit_source(j, side) };
	int rc;

	arena_init(&k.arena);
	measure_want_sha1(j->measure, b->by_sha1);
	measure_want_strict(j->measure, true);
	rc = db_run(j->l->scratch, e, "DELETE FROM seen", "");
	if (rc == 0)
		rc = db_script(j->db, "BEGIN", e);
	if (rc == 0) {
		struct err ignored;

		rc = load_messages(&k, e);
		if (db_script(j->db, "COMMIT", rc == 0 ? e : &ignored) == -1)
			rc = -1;
	}
	if (rc == 0)
		rc = source_folder_token(k.s, &b->token[side], e);
	arena_release(&k.arena);
	free(k.kw_words);
	return rc;
}

/* Are the UIDs of the two sides known to belong together?  Those of the target
 * are with its messages already. */
static int
find_map(struct audit_job *j, struct audit_box *b, struct err *e)
{
	uint32_t to = b->folder[SIDE_TARGET]->uidvalidity;
	uint32_t from = b->folder[SIDE_SOURCE]->uidvalidity;

	b->mapped = b->by_state || (b->state_id == 0 && to != 0 && from == to);
	if (b->mapped)
		return 0;
	return db_run(j->db, e, "UPDATE item SET at = 0 WHERE box = ?1", "i",
	    (int64_t)(b - j->boxes));
}

/* Without contents: where UIDs are known a message is its UID, else what a copy
 * keeps of it. */
static int
set_stand_ins(struct audit_job *j, struct audit_box *b, struct err *e)
{
	int64_t box = b - j->boxes, unknown;

	if (db_run(j->db, e, "UPDATE item SET digest = CASE WHEN at <> 0 THEN"
	    " CAST('u' || at AS BLOB) ELSE CAST('d' || date || '.' || csize AS"
	    " BLOB) END WHERE box = ?1", "i", box) == -1 ||
	    db_number(j->db, e, &unknown, 0, "SELECT EXISTS (SELECT 1 FROM"
	    " item WHERE box = ?1 AND side = 0 AND at = 0)", "i", box) == -1)
		return -1;
	if (!b->mapped || unknown == 0)
		return 0;
	/* Some UIDs were never told: they are among those nobody claims. */
	if (db_script(j->db, "CREATE INDEX IF NOT EXISTS item_at ON item (box,"
	    " side, at)", e) == -1)
		return -1;
	return db_run(j->db, e, "UPDATE item SET digest = CAST('d' || date ||"
	    " '.' || csize AS BLOB) WHERE box = ?1 AND side = 1 AND NOT EXISTS"
	    " (SELECT 1 FROM item AS s WHERE s.box = ?1 AND s.side = 0 AND"
	    " s.at = item.at)", "i", box);
}

static void
close_both(struct audit_job *j)
{
	if (j->l->src != NULL)
		source_folder_close(j->l->src);
	if (j->l->eyes != NULL)
		source_folder_close(j->l->eyes);
}

/* One side after the other: never two listings in memory, nor two locks. */
static int
load_sides(struct audit_job *j, struct audit_box *b, struct err *e)
{
	enum delta delta;

	for (int side = SIDE_TARGET; side >= SIDE_SOURCE; side--) {
		struct folder_info *f = b->folder[side];

		if (f == NULL)
			continue;
		if (audit_open(j, b, (enum side)side, NULL, &delta, e) == -1)
			return -1;
		if (side == SIDE_TARGET)
			b->by_state = b->state_id != 0 && f->uidvalidity != 0
			    && b->row.target.uidvalidity == f->uidvalidity;
		else if (b->folder[SIDE_TARGET] != NULL && find_map(j, b, e) ==
		    -1)
			return -1;
		if (load_side(j, b, (enum side)side, e) == -1)
			return -1;
		close_both(j);
	}
	return j->audit->level == AUDIT_CONTENT ? 0 : set_stand_ins(j, b, e);
}

int
audit_load(struct audit_job *j, struct audit_box *b, struct err *e)
{
	int rc;

	b->by_sha1 = b->mapped = b->by_state = false;
	memset(&b->counts, 0, sizeof b->counts);
	if (db_run(j->db, e, "DELETE FROM item WHERE box = ?1", "i",
	    (int64_t)(b - j->boxes)) == -1)
		return -1;
	rc = load_sides(j, b, e);
	close_both(j);
	return rc;
}

/* Is one side as its token tells, and holds as many as were met? */
static int
side_changed(struct audit_job *j, struct audit_box *b, enum side side,
    bool *changed, struct err *e)
{
	uint64_t met = side == SIDE_SOURCE ? b->counts.source :
	    b->counts.target, n;
	bool told = b->token[side].len > 0;
	enum delta delta;
	int rc;

	rc = audit_open(j, b, side, told ? &b->token[side] : NULL, &delta, e);
	if (rc == 0 && told && delta != DELTA_UNCHANGED)
		*changed = true;
	else if (rc == 0) {
		rc = source_folder_count(audit_source(j, side), &n, e);
		*changed = *changed || (rc == 0 && n != met);
	}
	close_both(j);
	return rc;
}

int
audit_changed(struct audit_job *j, struct audit_box *b, bool *changed,
    struct err *e)
{
	int rc = 0;

	*changed = false;
	for (int side = SIDE_SOURCE; side <= SIDE_TARGET && rc == 0 &&
	    !*changed; side++)
		if (b->folder[side] != NULL)
			rc = side_changed(j, b, (enum side)side, changed, e);
	return rc;
}
