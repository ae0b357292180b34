/*
 * Sorted records that may be more than memory should hold.
 *
 * A small listing is an array of bytes and an index that is sorted in place.
 * At LIMIT bytes everything moves into a table of a private SQLite database
 * that has no name (SQLite unlinks its file as soon as it is open) and lies
 * in $SQLITE_TMPDIR, $TMPDIR or /var/tmp.  Rows are only appended; the order
 * is made when they are read, by SQLite's external merge sort, whose memory is
 * bounded by the cache size.  Appending and merging is sequential work, while
 * an index kept in order would be random page writes.
 */
#include "base/spill.h"

#include <assert.h>
#include <sqlite3.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/xmalloc.h"

#define LIMIT		((size_t)4 << 20)	/* bytes held in memory */
#define CACHE_KIB	"2048"

/* One record in memory; off and len in bytes[]. */
struct slot {
	uint64_t	 key;
	uint32_t	 off, len;
};

struct spill {
	char		*bytes;
	size_t		 nbytes, bytes_cap;
	struct slot	*slots;
	size_t		 nslots, slots_cap;
	sqlite3		*db;		/* NULL: all of it is in memory */
	sqlite3_stmt	*insert, *select;
	uint64_t	 count;
	size_t		 pos;		/* next slot to hand out */
	bool		 sorted, ended;
};

struct spill *
spill_new(void)
{
	return xcalloc(1, sizeof(struct spill));
}

static void
free_memory(struct spill *s)
{
	free(s->bytes);
	free(s->slots);
	s->bytes = NULL;
	s->slots = NULL;
	s->nbytes = s->bytes_cap = s->nslots = s->slots_cap = 0;
}

void
spill_free(struct spill **sp)
{
	struct spill *s = *sp;

	if (s == NULL)
		return;
	sqlite3_finalize(s->insert);
	sqlite3_finalize(s->select);
	sqlite3_close(s->db);
	free_memory(s);
	free(s);
	*sp = NULL;
}

/* A full disk or no room for temporary files: this listing cannot be had now,
 * smaller ones may. */
static int
db_err(struct spill *s, struct err *e)
{
	return err_retry(e, ERR_MAILBOX, "temporary table (TMPDIR): %s",
	    s->db != NULL ? sqlite3_errmsg(s->db) : "out of memory");
}

/* SQLite integers are signed; this keeps the order. */
static sqlite3_int64
key_out(uint64_t key)
{
	sqlite3_int64 v;

	key ^= (uint64_t)1 << 63;
	memcpy(&v, &key, sizeof v);
	return v;
}

static uint64_t
key_in(sqlite3_int64 v)
{
	uint64_t key;

	memcpy(&key, &v, sizeof key);
	return key ^ (uint64_t)1 << 63;
}

static int
insert(struct spill *s, uint64_t key, const void *rec, size_t len,
    struct err *e)
{
	int rc;

	sqlite3_bind_int64(s->insert, 1, key_out(key));
	/* A NULL pointer would bind SQL NULL. */
	sqlite3_bind_blob64(s->insert, 2, len > 0 ? rec : "", len,
	    SQLITE_STATIC);
	rc = sqlite3_step(s->insert);
	sqlite3_reset(s->insert);
	return rc == SQLITE_DONE ? 0 : db_err(s, e);
}

/* Moves what is in memory into a table. */
static int
go_to_disk(struct spill *s, struct err *e)
{
	/* No journal and no rollback: the table dies with us anyway. */
	static const char setup[] =
	    "PRAGMA page_size=8192; PRAGMA journal_mode=OFF;"
	    "PRAGMA synchronous=OFF; PRAGMA locking_mode=EXCLUSIVE;"
	    "PRAGMA temp_store=FILE; PRAGMA cache_size=-" CACHE_KIB ";"
	    "CREATE TABLE t(k INTEGER NOT NULL, r BLOB NOT NULL); BEGIN;";
	size_t i;

	if (sqlite3_open_v2("", &s->db, SQLITE_OPEN_READWRITE |
	    SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, NULL) != SQLITE_OK ||
	    sqlite3_exec(s->db, setup, NULL, NULL, NULL) != SQLITE_OK ||
	    sqlite3_prepare_v2(s->db, "INSERT INTO t VALUES(?,?)", -1,
	    &s->insert, NULL) != SQLITE_OK)
		return db_err(s, e);
	for (i = 0; i < s->nslots; i++)
		if (insert(s, s->slots[i].key, s->bytes + s->slots[i].off,
		    s->slots[i].len, e) == -1)
			return -1;
	free_memory(s);
	return 0;
}

static size_t
grown(size_t cap, size_t want)
{
	if (cap == 0)
		cap = 1024;
	while (cap < want)
		cap *= 2;
	return cap;
}

int
spill_put(struct spill *s, uint64_t key, const void *rec, size_t len,
    struct err *e)
{
	struct slot *slot;

	assert(!s->sorted);
	if (s->db == NULL && (len > LIMIT || s->nbytes + len > LIMIT ||
	    (s->nslots + 1) * sizeof *s->slots > LIMIT) &&
	    go_to_disk(s, e) == -1)
		return -1;
	if (s->db != NULL) {
		if (s->insert == NULL)	/* an earlier failure was ignored */
			return db_err(s, e);
		if (insert(s, key, rec, len, e) == -1)
			return -1;
		s->count++;
		return 0;
	}
	if (s->nbytes + len > s->bytes_cap || s->bytes == NULL) {
		s->bytes_cap = grown(s->bytes_cap, s->nbytes + len);
		s->bytes = xreallocarray(s->bytes, s->bytes_cap, 1);
	}
	if (s->nslots == s->slots_cap) {
		s->slots_cap = grown(s->slots_cap, s->nslots + 1);
		s->slots = xreallocarray(s->slots, s->slots_cap,
		    sizeof *s->slots);
	}
	slot = &s->slots[s->nslots++];
	slot->key = key;
	slot->off = (uint32_t)s->nbytes;
	slot->len = (uint32_t)len;
	if (len > 0)
		memcpy(s->bytes + s->nbytes, rec, len);
	s->nbytes += len;
	s->count++;
	return 0;
}

static int
compare(const void *va, const void *vb, void *bytes)
{
	const struct slot *a = va, *b = vb;
	const char *base = bytes;
	size_t n = a->len < b->len ? a->len : b->len;
	int c;

	if (a->key != b->key)
		return a->key < b->key ? -1 : 1;
	c = n > 0 ? memcmp(base + a->off, base + b->off, n) : 0;
	if (c == 0 && a->len != b->len)
		c = a->len < b->len ? -1 : 1;
	return c;
}

int
spill_sort(struct spill *s, struct err *e)
{
	assert(!s->sorted);
	s->sorted = true;
	if (s->db == NULL) {
		if (s->nslots > 0)
			qsort_r(s->slots, s->nslots, sizeof *s->slots, compare,
			    s->bytes);
		return 0;
	}
	sqlite3_finalize(s->insert);
	s->insert = NULL;
	if (sqlite3_exec(s->db, "COMMIT", NULL, NULL, NULL) != SQLITE_OK ||
	    sqlite3_prepare_v2(s->db, "SELECT k, r FROM t ORDER BY k, r", -1,
	    &s->select, NULL) != SQLITE_OK)
		return db_err(s, e);
	return 0;
}

int
spill_next(struct spill *s, uint64_t *key, const void **rec, size_t *len,
    struct err *e)
{
	const struct slot *slot;
	int rc;

	assert(s->sorted);
	if (s->db == NULL) {
		if (s->pos == s->nslots)
			return 0;
		slot = &s->slots[s->pos++];
		*key = slot->key;
		*rec = s->bytes + slot->off;
		*len = slot->len;
		return 1;
	}
	if (s->ended)
		return 0;
	rc = s->select != NULL ? sqlite3_step(s->select) : SQLITE_ERROR;
	if (rc == SQLITE_ROW) {
		*key = key_in(sqlite3_column_int64(s->select, 0));
		*len = (size_t)sqlite3_column_bytes(s->select, 1);
		*rec = *len > 0 ? sqlite3_column_blob(s->select, 1) : "";
		return *rec != NULL ? 1 : db_err(s, e);
	}
	/* A further step would begin anew. */
	s->ended = true;
	return rc == SQLITE_DONE ? 0 : db_err(s, e);
}

int
spill_rewind(struct spill *s, struct err *e)
{
	assert(s->sorted);
	(void)e;
	s->pos = 0;
	s->ended = false;
	if (s->select != NULL)
		sqlite3_reset(s->select);
	return 0;
}

uint64_t
spill_count(const struct spill *s)
{
	return s->count;
}
