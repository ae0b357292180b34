/* Mail that is in another mailbox of the target. */
#include "elsewhere.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/fault.h"
#include "base/xmalloc.h"
#include "look.h"

#define CHUNK	100	/* messages that are read together */

int
elsewhere_load(struct lane *l, struct account *a, bool *pending,
    struct err *e)
{
	int64_t begun, done, some;

	if (db_number(l->reader, e, &begun, 0, "SELECT EXISTS (SELECT 1 FROM op"
	    " WHERE account_id = ?1 AND kind = '" ADOPT "' AND state = 0)",
	    "i", a->row.id) == -1 ||
	    db_number(l->reader, e, &done, 0, "SELECT EXISTS (SELECT 1 FROM op"
	    " WHERE account_id = ?1 AND kind = '" ADOPT "' AND state = 1)",
	    "i", a->row.id) == -1 ||
	    db_number(l->reader, e, &some, 0, "SELECT EXISTS (SELECT 1 FROM"
	    " elsewhere WHERE account_id = ?1 AND taken = 0) OR EXISTS (SELECT"
	    " 1 FROM extra JOIN mailbox ON mailbox.id = mailbox_id WHERE"
	    " account_id = ?1 AND taken = 0)", "i", a->row.id) == -1)
		return -1;
	*pending = begun != 0;
	a->adopted = begun != 0 || done != 0;
	a->elsewhere = a->adopted && some != 0;
	return 0;
}

/* Looking. */

struct found {
	int64_t		 account_id;
	char		*box;
	size_t		 n;
	struct one { uint32_t uid; bool read; struct digests d;
	    uint64_t size; int64_t date; } v[CHUNK];
};

static int
apply_found(struct db *db, void *arg, struct err *e)
{
	const struct found *f = arg;

	for (size_t i = 0; i < f->n; i++) {
		const struct one *o = &f->v[i];

		if (db_run(db, e, "INSERT OR IGNORE INTO elsewhere (account_id,"
		    " box, uid, strict, loose, sha1, size, date) VALUES (?1,"
		    " ?2, ?3, ?4, ?5, ?6, ?7, ?8)", "isibbbii", f->account_id,
		    f->box, (int64_t)o->uid, o->read ? o->d.strict : NULL,
		    (size_t)DIGEST_LEN, o->read ? o->d.loose : NULL,
		    (size_t)DIGEST_LEN, o->d.has_sha1 ? o->d.sha1 : NULL,
		    (size_t)SHA1_LEN, (int64_t)o->size, o->date) == -1)
			return -1;
	}
	return 0;
}

static void
free_found(void *arg)
{
	free(((struct found *)arg)->box);
	free(arg);
}

/* One message: known by the target's index, or read. */
static int
measure(struct lane *l, const struct msg_meta *m, struct one *o,
    struct err *e)
{
	struct content *content = NULL;
	struct measured md;
	int rc;

	memset(o, 0, sizeof *o);
	o->uid = m->uid;
	o->size = m->size == UNKNOWN64 ? 0 : m->size;
	o->date = m->date;
	if (m->sha1 != NULL && measure_gives_sha1(l->measure)) {
		o->d.has_sha1 = true;
		memcpy(o->d.sha1, m->sha1, SHA1_LEN);
		return 1;
	}
	rc = source_content(l->eyes, m, &content, e);
	if (rc == 1)
		rc = measure_content(l->measure, content, NULL, &md, e) == 0 ?
		    1 : -1;
	content_close(&content);
	if (rc == -1) {
		e->at_target = true;
		/* It equals nothing. */
		return e->scope == ERR_MESSAGE ? 0 : -1;
	}
	if (rc == 1) {
		lane_pace(l, SIDE_TARGET, md.size, 1);
		o->d = md.digests;
		o->read = true;
	}
	return rc;
}

static int
look_at_chunk(struct lane *l, const char *box, const struct msg_meta *metas,
    size_t n, struct err *e)
{
	const struct msg_meta *want[CHUNK];
	struct found *f = xcalloc(1, sizeof *f);
	int rc = 0;

	f->account_id = l->account->row.id;
	f->box = xstrdup(box);
	for (size_t i = 0; i < n; i++)
		want[i] = &metas[i];
	if (n > 0 && (metas[0].sha1 == NULL || !measure_gives_sha1(
	    l->measure)))
		rc = source_want(l->eyes, want, n, e);
	for (size_t i = 0; i < n && rc != -1; i++) {
		rc = measure(l, &metas[i], &f->v[f->n], e);
		f->n += rc == 1;
	}
	if (rc == -1) {
		free_found(f);
		return -1;
	}
	state_post(l->run->state, apply_found, f, free_found);
	return 0;
}

static int
look_at_box(struct lane *l, const char *box, struct err *e)
{
	struct pair p = { .tgt_name = box };
	struct msg_meta metas[CHUNK];
	struct folder_info f;
	struct arena arena;
	size_t n = 0;
	int rc;

	if (look_open(l, &p, 0, false, &f, e) == -1)
		return -1;
	arena_init(&arena);
	do {
		if (lane_leaving(l)) {
			err_retry(e, ERR_RUN, "stopped");
			e->cause = CAUSE_CANCELLED;
			rc = -1;
			break;
		}
		rc = source_next(l->eyes, &arena, &metas[n], e);
		n += rc == 1;
		if (rc == -1 || (rc == 1 && n < CHUNK))
			continue;
		if (look_at_chunk(l, box, metas, n, e) == -1)
			rc = -1;
		n = 0;
		arena_reset(&arena);
	} while (rc == 1);
	source_folder_close(l->eyes);
	arena_release(&arena);
	return rc;
}

static bool
is_of_a_pair(struct lane *l, struct account *a, const char *box)
{
	struct err ignored;
	const char *key;

	if (target_name_key(l->tgt, &a->arena, box, &key, &ignored) == -1)
		return true;
	for (struct pair *p = a->pairs; p != NULL; p = p->next)
		if (strcmp(p->tgt_key, key) == 0)
			return true;
	return strncmp(box, "mailhaul-removed", 16) == 0;
}

int
elsewhere_look(struct lane *l, struct account *a, struct err *e)
{
	for (size_t i = 0; i < a->view.n; i++) {
		const struct target_box *b = &a->view.boxes[i];

		if (b->noselect || b->of_others || b->st.messages == 0 ||
		    is_of_a_pair(l, a, b->name))
			continue;
		if (look_at_box(l, b->name, e) == -1) {
			lane_close_eyes(l);
			if (e->scope > ERR_MAILBOX)
				return -1;
			lane_note(l, "warn", b->name, "%s: cannot be looked "
			    "at: %s", b->name, e->text);
		}
		if (lane_target_again(l, e) == -1)
			return -1;
	}
	return state_sync(l->run->state, e);
}

/* Taking. */

struct claim {
	struct changes	*c;
	int64_t		 account_id, mailbox_id;
	const struct digests *d;
	bool		 taken;
	char		 box[300];
};

/* An extra of another pair. */
static int
claim_extra(struct db *db, struct claim *k, const char *sql,
    const unsigned char *digest, size_t len, struct err *e)
{
	sqlite3_stmt *st = db_query(db, e, sql, "iib", k->account_id,
	    k->mailbox_id, digest, len);
	int64_t id = 0, uid = 0;
	int rc;

	if (st == NULL)
		return -1;
	if ((rc = db_step(db, st, e)) == 1) {
		id = sqlite3_column_int64(st, 0);
		uid = sqlite3_column_int64(st, 1);
		snprintf(k->box, sizeof k->box, "%s", db_text(st, 2));
	}
	db_done(st);
	if (rc != 1)
		return rc;
	k->taken = true;
	/* By whom: see apply_rekey() in rows.c. */
	return db_run(db, e, "UPDATE extra SET taken = 1 + ?3 WHERE mailbox_id"
	    " = ?1 AND uid = ?2", "iii", id, uid, k->mailbox_id);
}

static int
claim_box(struct db *db, struct claim *k, const char *sql,
    const unsigned char *digest, size_t len, struct err *e)
{
	sqlite3_stmt *st = db_query(db, e, sql, "ib", k->account_id, digest,
	    len);
	int64_t uid = 0;
	int rc;

	if (st == NULL)
		return -1;
	if ((rc = db_step(db, st, e)) == 1) {
		uid = sqlite3_column_int64(st, 0);
		snprintf(k->box, sizeof k->box, "%s", db_text(st, 1));
	}
	db_done(st);
	if (rc != 1)
		return rc;
	k->taken = true;
	return db_run(db, e, "UPDATE elsewhere SET taken = ?4 WHERE account_id"
	    " = ?1 AND box = ?2 AND uid = ?3", "isii", k->account_id, k->box,
	    uid, k->mailbox_id);
}

#define EXTRA(column)	"SELECT x.mailbox_id, x.uid, m.tgt_name FROM extra AS" \
	" x JOIN mailbox AS m ON m.id = x.mailbox_id WHERE x." column " = ?3"  \
	" AND x.taken = 0 AND x.mailbox_id <> ?2 AND m.account_id = ?1 LIMIT 1"
#define BOX(column)	"SELECT uid, box FROM elsewhere WHERE account_id = ?1" \
	" AND " column " = ?2 AND taken = 0 ORDER BY box, uid LIMIT 1"

static int
apply_claim(struct db *db, void *arg, struct err *e)
{
	struct claim *k = arg;
	const struct digests *d = k->d;

	if (claim_extra(db, k, EXTRA("strict"), d->strict, DIGEST_LEN, e) ==
	    -1 || (!k->taken && d->has_sha1 && claim_extra(db, k,
	    EXTRA("sha1"), d->sha1, SHA1_LEN, e) == -1) ||
	    (!k->taken && claim_box(db, k, BOX("strict"), d->strict,
	    DIGEST_LEN, e) == -1) || (!k->taken && d->has_sha1 && claim_box(db,
	    k, BOX("sha1"), d->sha1, SHA1_LEN, e) == -1) ||
	    (!k->taken && claim_extra(db, k, EXTRA("loose"), d->loose,
	    DIGEST_LEN, e) == -1) || (!k->taken && claim_box(db, k,
	    BOX("loose"), d->loose, DIGEST_LEN, e) == -1))
		return -1;
	return k->taken ? changes_apply(db, k->c, e) : 0;
}

static void
count_box(struct walk *w, const char *box)
{
	struct walk_elsewhere *b = w->elsewhere;

	while (b != NULL && strcmp(b->box, box) != 0)
		b = b->next;
	if (b == NULL) {
		b = arena_zalloc(&w->l->account->arena, sizeof *b);
		b->box = arena_strdup(&w->l->account->arena, box);
		b->next = w->elsewhere;
		w->elsewhere = b;
	}
	b->n++;
}

int
elsewhere_take(struct walk *w, const struct msg_meta *m, const void *key,
    size_t key_len, const struct measured *md, struct err *e)
{
	struct changes *c = changes_new(w->l->account->row.id, w->p->id,
	    state_pass(w->l->run->state));
	struct claim k = { .c = c, .account_id = w->l->account->row.id,
	    .mailbox_id = w->p->id, .d = &md->digests };
	struct row_message *r = changes_message(c);
	int rc;

	r->key = key;
	r->key_len = key_len;
	r->digests = &md->digests;
	r->size = m->size == UNKNOWN64 ? md->raw_size : m->size;
	r->crlf_size = md->size;
	r->src_uid = m->uid;
	r->src_flags = r->tgt_flags = m->flags;
	r->src_kw = r->tgt_kw = join_words(&c->arena, m->keywords,
	    m->nkeywords);
	r->date = m->date;
	r->outcome = OUT_PRESENT;
	r->oddities = m->oddities | md->oddities;
	rc = state_call(w->l->run->state, apply_claim, &k, e);
	changes_free(c);
	fault_point("elsewhere.taken");
	if (rc == -1 || !k.taken)
		return rc;
	count_box(w, k.box);
	return 1;
}

void
elsewhere_tell(struct walk *w)
{
	for (struct walk_elsewhere *b = w->elsewhere; b != NULL; b = b->next)
		lane_note(w->l, "elsewhere", b->box, "%" PRIu64 " messages of "
		    "%s are in %s at the target, and were not copied again; "
		    "--map '%s -> %s' makes one mailbox of the two", b->n,
		    w->p->src_name, b->box, w->p->src_name, b->box);
}
