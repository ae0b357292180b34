/* Mailboxes that were renamed at the source. */
#include "moved.h"

#include <inttypes.h>
#include <string.h>
#include <strings.h>

#include "base/fault.h"
#include "base/spill.h"
#include "base/xmalloc.h"
#include "name_rows.h"
#include "stage.h"
#include "walk.h"

#define NOWHERE	SIZE_MAX

/* A mailbox of the state. */
struct known {
	int64_t		 id;
	const char	*key, *name, *object;
	uint32_t	 uidvalidity, uidnext;
	uint64_t	 modseq, messages;	/* when it was last read */
	bool		 full;		/* some messages are at the target */
	size_t		 listed;	/* what has its name now, or NOWHERE */
	bool		 here;		/* that is it */
	size_t		 to;		/* what it is now, or NOWHERE */
};

struct finding {
	struct lane	*l;
	struct account	*a;
	struct known	*k;
	size_t		 n;
	struct known	**owner;	/* of each folder: who is here */
	size_t		*taken;		/* how many it was found to be */
	bool		*asked;		/* for its object id */
};

static int
load(struct finding *f, struct err *e)
{
	struct arena *a = &f->a->arena;
	struct db *db = f->l->reader;
	sqlite3_stmt *st;
	int64_t count;
	int rc;

	if (db_number(db, e, &count, 0, "SELECT count(*) FROM mailbox WHERE"
	    " account_id = ?1", "i", f->a->row.id) == -1)
		return -1;
	f->k = arena_zalloc(a, ((size_t)count + 1) * sizeof *f->k);
	st = db_query(db, e, "SELECT id, src_key, src_name, src_object,"
	    " src_uidvalidity, EXISTS (SELECT 1 FROM message WHERE mailbox_id ="
	    " mailbox.id AND outcome IN (1, 2)), src_uidnext, src_modseq,"
	    " src_messages FROM mailbox WHERE"
	    " account_id = ?1 ORDER BY id", "i", f->a->row.id);
	if (st == NULL)
		return -1;
	while ((rc = db_step(db, st, e)) == 1 && f->n < (size_t)count) {
		struct known *k = &f->k[f->n++];

		k->id = sqlite3_column_int64(st, 0);
		k->key = arena_memdup0(a, sqlite3_column_blob(st, 1),
		    (size_t)sqlite3_column_bytes(st, 1));
		k->name = arena_strdup(a, db_text(st, 2));
		k->object = arena_strdup(a, db_text(st, 3));
		k->uidvalidity = (uint32_t)sqlite3_column_int64(st, 4);
		k->full = sqlite3_column_int(st, 5) != 0;
		k->uidnext = (uint32_t)sqlite3_column_int64(st, 6);
		k->modseq = (uint64_t)sqlite3_column_int64(st, 7);
		k->messages = (uint64_t)sqlite3_column_int64(st, 8);
		k->to = k->listed = NOWHERE;
	}
	db_done(st);
	return rc == -1 ? -1 : 0;
}

static bool
has_id(const char *object)
{
	return object != NULL && *object != '\0';
}

/* A file's number is given again to another one. */
static bool
is_inode(const char *object)
{
	return strpbrk(object, ":.") != NULL;
}

/* Is what is listed under the old name certainly another mailbox? */
static bool
displaced(const struct known *k, const struct folder_info *f)
{
	if (strcasecmp(k->key, "INBOX") == 0)
		return false;
	if (has_id(k->object) && has_id(f->object_id))
		return strcmp(k->object, f->object_id) != 0;
	return k->uidvalidity != 0 && f->uidvalidity != 0 &&
	    k->uidvalidity != f->uidvalidity;
}

/* Is what is listed under its name not as it was left? */
static bool
has_changed(const struct finding *f, const struct known *k)
{
	const struct folder_info *x;

	if (k->listed == NOWHERE)
		return true;
	x = &f->l->folders[k->listed];
	return x->uidnext != k->uidnext || x->modseq != k->modseq ||
	    x->messages != k->messages;
}

/* Has another one that has changed its UIDVALIDITY? */
static bool
shares_uidvalidity(const struct finding *f, const struct known *k)
{
	for (size_t i = 0; i < f->n; i++)
		if (&f->k[i] != k && f->k[i].full && k->uidvalidity != 0 &&
		    f->k[i].uidvalidity == k->uidvalidity &&
		    has_changed(f, &f->k[i]))
			return true;
	return false;
}

/* Some servers tell the object only of a mailbox that is opened.  Two that share
 * a UIDVALIDITY may have changed places, if both are not as they were: then they
 * are. */
static int
look_closer(struct finding *f, const struct known *k, struct err *e)
{
	struct folder_info *x = &f->l->folders[k->listed];
	struct row_mailbox row;
	enum delta delta;
	struct buf token;
	int rc;

	if (!k->full || !has_changed(f, k) || x->refused != NULL ||
	    !has_id(k->object) ||
	    is_inode(k->object) || has_id(x->object_id) ||
	    x->uidvalidity != k->uidvalidity || !shares_uidvalidity(f, k))
		return 0;
	if (mailbox_load(f->l->reader, k->id, &row, e) == -1)
		return -1;
	buf_init(&token, 1 << 20);
	rc = source_folder_open(f->l->src, x, token_unwrap(f->l->run->set,
	    NULL, &row.token, &token) ? &token : NULL, 0, &delta, e);
	source_folder_close(f->l->src);
	buf_release(&token);
	buf_release(&row.token);
	return rc == -1 && e->scope > ERR_MAILBOX ? -1 : 0;
}

static int
find_listed(struct finding *f, struct err *e)
{
	struct lane *l = f->l;

	for (size_t i = 0; i < f->n; i++)
		for (size_t n = 0; n < l->nfolders; n++)
			if (!l->folders[n].noselect &&
			    strcmp(l->folder_keys[n], f->k[i].key) == 0)
				f->k[i].listed = n;
	for (size_t i = 0; i < f->n; i++) {
		struct known *k = &f->k[i];

		if (k->listed == NOWHERE)
			continue;
		if (look_closer(f, k, e) == -1)
			return -1;
		k->here = !k->full || !displaced(k,
		    &l->folders[k->listed]);
		/* What nothing was copied of is no mailbox of that name. */
		if (k->here && k->full)
			f->owner[k->listed] = k;
	}
	return 0;
}

/* May a mailbox be what is listed there? */
static bool
is_free(const struct finding *f, size_t n)
{
	const struct folder_info *x = &f->l->folders[n];

	return f->owner[n] == NULL && !x->noselect && x->refused == NULL &&
	    strcasecmp(f->l->folder_keys[n], "INBOX") != 0;
}

/* Does it hold one of the messages that are known? */
static int
recognise(struct finding *f, const struct known *k, size_t n, struct err *e)
{
	struct pair p = { .id = k->id, .src_key = f->l->folder_keys[n],
	    .src_name = f->l->folders[n].name };
	bool known, met;

	if (pair_recognise(f->l, &p, false, &known, &met, e) == -1)
		return e->scope > ERR_MAILBOX ? -1 : 0;
	return known && met;
}

/* Some servers tell it only of a mailbox that is opened. */
static int
learn_object(struct finding *f, size_t n, struct err *e)
{
	struct folder_info *x = &f->l->folders[n];
	enum delta delta;
	int rc;

	if (has_id(x->object_id) || f->asked[n])
		return 0;
	f->asked[n] = true;
	rc = source_folder_open(f->l->src, x, NULL, 0, &delta, e);
	source_folder_close(f->l->src);
	/* Its own turn tells more. */
	return rc == -1 && e->scope > ERR_MAILBOX ? -1 : 0;
}

/* How many of a mailbox's objects are there, and which is the last? */
static int
by_object(struct finding *f, struct known *k, size_t *at, size_t *hits,
    struct err *e)
{
	struct lane *l = f->l;
	int rc;

	*hits = 0;
	for (size_t n = 0; n < l->nfolders && has_id(k->object); n++) {
		const char *object;

		if (!is_free(f, n))
			continue;
		if (!is_inode(k->object) && learn_object(f, n, e) == -1)
			return -1;
		object = l->folders[n].object_id;
		if (!has_id(object) || strcmp(object, k->object) != 0)
			continue;
		rc = is_inode(object) ? recognise(f, k, n, e) : 1;
		if (rc == -1)
			return -1;
		*hits += rc == 1;
		if (rc == 1)
			*at = n;
	}
	return 0;
}

struct shape { uint64_t size; int64_t date; };

static int
load_uids(struct finding *f, const struct known *k, struct spill *s,
    struct err *e)
{
	struct db *db = f->l->reader;
	sqlite3_stmt *st = db_query(db, e, "SELECT src_uid, size, date FROM"
	    " message WHERE mailbox_id = ?1 AND src_uid > 0 AND outcome IN"
	    " (1, 2)", "i", k->id);
	int rc;

	if (st == NULL)
		return -1;
	while ((rc = db_step(db, st, e)) == 1) {
		struct shape x = { (uint64_t)sqlite3_column_int64(st, 1),
		    sqlite3_column_type(st, 2) == SQLITE_NULL ? NO_DATE :
		    sqlite3_column_int64(st, 2) };

		if (spill_put(s, (uint64_t)sqlite3_column_int64(st, 0), &x,
		    sizeof x, e) == -1) {
			rc = -1;
			break;
		}
	}
	db_done(st);
	return rc == -1 ? -1 : spill_sort(s, e);
}

/* Of the known UIDs those that are there with the same size and date; the
 * mailbox is open.  No further than it takes to say no. */
static int
compare(struct lane *l, struct spill *s, uint64_t *same, struct err *e)
{
	struct msg_meta m = { .uid = 0 };
	uint64_t uid, missed = 0;
	struct arena arena;
	struct shape x;
	const void *rec;
	size_t len;
	int rc = 0, more;

	*same = 0;
	arena_init(&arena);
	more = source_next(l->src, &arena, &m, e);
	while (more != -1 && 10 * missed <= spill_count(s) &&
	    (rc = spill_next(s, &uid, &rec, &len, e)) == 1) {
		memcpy(&x, rec, sizeof x);
		while (more == 1 && m.uid < uid) {
			arena_reset(&arena);
			more = source_next(l->src, &arena, &m, e);
		}
		if (more == 1 && m.uid == uid && m.size == x.size &&
		    m.date == x.date)
			(*same)++;
		else
			missed++;
	}
	arena_release(&arena);
	return more == -1 || rc == -1 ? -1 : 0;
}

static int
same_uids(struct finding *f, const struct known *k, size_t n, struct err *e)
{
	struct folder_info *x = &f->l->folders[n];
	struct spill *s = spill_new();
	uint64_t same = 0;
	enum delta delta;
	int rc = load_uids(f, k, s, e);

	if (rc == 0 && spill_count(s) > 0) {
		rc = source_folder_open(f->l->src, x, NULL, 0, &delta, e);
		if (rc == 0 && x->uidvalidity == k->uidvalidity)
			rc = compare(f->l, s, &same, e);
		source_folder_close(f->l->src);
		/* Its own turn tells more. */
		if (rc == -1 && e->scope <= ERR_MAILBOX)
			same = 0, rc = 0;
	}
	if (rc == 0)
		rc = same > 0 && 10 * same >= 9 * spill_count(s);
	spill_free(&s);
	return rc;
}

static int
by_uids(struct finding *f, struct known *k, size_t *at, size_t *hits,
    struct err *e)
{
	struct lane *l = f->l;
	int64_t rows;
	int rc;

	*hits = 0;
	if (k->uidvalidity == 0)
		return 0;
	if (db_number(l->reader, e, &rows, 0, "SELECT count(*) FROM message"
	    " WHERE mailbox_id = ?1 AND src_uid > 0 AND outcome IN (1, 2)",
	    "i", k->id) == -1)
		return -1;
	for (size_t n = 0; n < l->nfolders && *hits < 2; n++) {
		const struct folder_info *x = &l->folders[n];

		if (!is_free(f, n) || (x->uidvalidity != 0 &&
		    x->uidvalidity != k->uidvalidity) || (x->uidnext != 0 &&
		    x->uidnext < k->uidnext))
			continue;
		if (x->messages != UNKNOWN64 &&
		    10 * x->messages < 9 * (uint64_t)rows)
			continue;
		if (has_id(k->object) && has_id(x->object_id) &&
		    !is_inode(k->object) && !is_inode(x->object_id))
			continue;	/* they would be the same */
		if ((rc = same_uids(f, k, n, e)) == -1)
			return -1;
		*hits += rc == 1;
		if (rc == 1)
			*at = n;
	}
	return 0;
}

static int
find_one(struct finding *f, struct known *k, struct err *e)
{
	size_t at = NOWHERE, hits;

	if (by_object(f, k, &at, &hits, e) == -1 || (hits == 0 &&
	    by_uids(f, k, &at, &hits, e) == -1))
		return -1;
	if (hits != 1)
		return 0;
	k->to = at;
	f->taken[at]++;
	return 0;
}

/* Empty ones, below one that was renamed. */
static void
find_children(struct finding *f)
{
	struct lane *l = f->l;

	for (size_t i = 0; i < f->n; i++) {
		struct known *k = &f->k[i], *up = NULL;
		size_t len = 0;

		if (k->full || k->listed != NOWHERE)
			continue;
		for (size_t j = 0; j < f->n; j++) {
			size_t n = strlen(f->k[j].key);

			if (f->k[j].to != NOWHERE && f->k[j].full &&
			    n > len && strncmp(k->key, f->k[j].key, n) == 0 &&
			    k->key[n] == '\x1f') {
				up = &f->k[j];
				len = n;
			}
		}
		for (size_t n = 0; n < l->nfolders && up != NULL; n++) {
			const char *key = l->folder_keys[n];
			size_t above = strlen(l->folder_keys[up->to]);

			if (is_free(f, n) && f->taken[n] == 0 && strncmp(key,
			    l->folder_keys[up->to], above) == 0 &&
			    strcmp(key + above, k->key + len) == 0) {
				k->to = n;
				f->taken[n]++;
			}
		}
	}
}

static int
set_key(struct db *db, int64_t id, const void *key, size_t len, struct err *e)
{
	return db_run(db, e, "UPDATE mailbox SET src_key = ?2 WHERE id = ?1",
	    "ib", id, key, len);
}

/* A key that no mailbox has. */
static int
put_away(struct db *db, int64_t id, struct err *e)
{
	char key[32];

	memset(key, 0, sizeof key);
	memcpy(key + 1, &id, sizeof id);
	return set_key(db, id, key, 1 + sizeof id, e);
}

static int
apply(struct db *db, void *arg, struct err *e)
{
	struct finding *f = arg;
	struct lane *l = f->l;

	for (size_t i = 0; i < f->n; i++) {
		const struct known *k = &f->k[i];

		/* Who has a name that another one has now gives it up. */
		if ((k->to != NOWHERE || (k->listed != NOWHERE &&
		    f->taken[k->listed] > 0)) && put_away(db, k->id, e) == -1)
			return -1;
	}
	for (size_t i = 0; i < f->n; i++) {
		const struct known *k = &f->k[i];
		const char *key;

		if (k->to == NOWHERE)
			continue;
		key = l->folder_keys[k->to];
		if (set_key(db, k->id, key, strlen(key), e) == -1 ||
		    db_run(db, e, "UPDATE mailbox SET src_name = ?2, moved ="
		    " iif(moved = ?4, moved, ?3) WHERE id = ?1", "isii",
		    k->id, l->folders[k->to].name, (int64_t)(
		    stage_only_adds(l) ? MOVED_STAY : MOVED_FOLLOW),
		    (int64_t)MOVED_STAY) == -1)
			return -1;
	}
	return 0;
}

int
moved_find(struct lane *l, struct account *a, struct err *e)
{
	struct finding f = { .l = l, .a = a };
	size_t found = 0;
	int rc;

	if (load(&f, e) == -1)
		return -1;
	f.owner = arena_zalloc(&a->arena, (l->nfolders + 1) * sizeof *f.owner);
	f.taken = arena_zalloc(&a->arena, (l->nfolders + 1) * sizeof *f.taken);
	f.asked = arena_zalloc(&a->arena, (l->nfolders + 1) * sizeof *f.asked);
	l->probing = true;
	if (find_listed(&f, e) == -1) {
		l->probing = false;
		return -1;
	}
	for (size_t i = 0, n = 0; i < f.n; i++, n = 0) {
		struct known *k = &f.k[i];

		if (k->here || !k->full || strcasecmp(k->key, "INBOX") ==
		    0)
			continue;
		while (n < l->nfolders && !is_free(&f, n))
			n++;
		rc = n < l->nfolders ? find_one(&f, k, e) : 0;
		if (rc == -1) {
			l->probing = false;
			return -1;
		}
	}
	l->probing = false;
	/* Two that are the same now: neither is. */
	for (size_t i = 0; i < f.n; i++)
		if (f.k[i].to != NOWHERE && f.taken[f.k[i].to] > 1)
			f.k[i].to = NOWHERE;
	for (size_t n = 0; n < l->nfolders; n++)
		if (f.taken[n] > 1)
			f.taken[n] = 0;
	find_children(&f);
	for (size_t i = 0; i < f.n; i++) {
		const struct known *k = &f.k[i];

		if (k->to == NOWHERE)
			continue;
		found++;
		lane_note(l, "renamed", l->folders[k->to].name, "%s is called "
		    "%s at the source now", k->name,
		    l->folders[k->to].name);
	}
	if (found == 0 || fault_mutated("moved"))
		return 0;
	rc = state_call(l->run->state, apply, &f, e);
	fault_point("moved.noted");
	return rc;
}
