/* Undo: looking at the target, and mailbox by mailbox what becomes of it. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/fault.h"
#include "base/xmalloc.h"
#include "look.h"
#include "same.h"
#include "undo_impl.h"

static void
box_release(struct box *b)
{
	buf_release(&b->row.token);
	free(b->go.v);
	free(b->as);
	free(b->uids.v);
	free(b->marked.v);
	free(b->stored_so.v);
	free(b->unmark.v);
}

/* Finding out */

/* The mailbox in the target's list; NULL: it is not there. */
static struct folder_info *
find_folder(struct undo *u, const char *name)
{
	bool inbox = strcasecmp(name, "INBOX") == 0;

	for (size_t i = 0; i < u->nfolders; i++) {
		struct folder_info *f = &u->folders[i];

		if (!f->noselect && (strcmp(f->raw_name, name) == 0 ||
		    (inbox && strcasecmp(f->raw_name, name) == 0)))
			return f;
	}
	return NULL;
}

static bool
is_listed(const struct undo *u, const char *name)
{
	for (size_t i = 0; i < u->nfolders; i++)
		if (strcmp(u->folders[i].raw_name, name) == 0)
			return true;
	return false;
}

/* Does a mailbox lie below it that is not gone by now? */
static bool
has_children(const struct undo *u, const struct folder_info *f)
{
	for (size_t i = 0; i < u->nfolders; i++) {
		const struct folder_info *c = &u->folders[i];
		size_t k = 0;

		if (c->npath <= f->npath || c->noselect ||
		    uids_has(&u->deleted, (uint32_t)i))
			continue;
		while (k < f->npath && strcmp(c->path[k], f->path[k]) == 0)
			k++;
		if (k == f->npath)
			return true;
	}
	return false;
}

/* Some servers would make the one above it, were it renamed without. */
static bool
has_parent(const struct undo *u, const struct folder_info *f)
{
	for (size_t i = 0; i < u->nfolders; i++) {
		const struct folder_info *p = &u->folders[i];
		size_t k = 0;

		if (p->npath + 1 != f->npath ||
		    uids_has(&u->deleted, (uint32_t)i))
			continue;
		while (k < p->npath && strcmp(p->path[k], f->path[k]) == 0)
			k++;
		if (k == p->npath)
			return true;
	}
	return f->npath == 1;
}

static void
folder_gone(struct undo *u, const struct folder_info *f)
{
	uids_add(&u->deleted, (uint32_t)(f - u->folders));
	uids_sort(&u->deleted);
}

static bool
has_word(const char *words, const char *word)
{
	size_t n = strlen(word);

	for (const char *p = words; *p != '\0';) {
		size_t k = strcspn(p, " ");

		if (k == n && strncasecmp(p, word, n) == 0)
			return true;
		p += k;
		p += *p == ' ';
	}
	return false;
}

static size_t
count_words(const char *words)
{
	size_t n = 0;

	for (const char *p = words; *p != '\0';) {
		n++;
		p += strcspn(p, " ");
		p += *p == ' ';
	}
	return n;
}

/* Has anybody changed its flags or keywords? */
static bool
same_flags(const struct stored *s, const struct msg_meta *m, bool marked)
{
	unsigned mine = s->flags & 31, now = m->flags & 31;

	if (marked)
		now = (now & ~(unsigned)MSG_DELETED) | (mine & MSG_DELETED);
	if (s->touched || mine != now)
		return false;
	for (size_t i = 0; i < m->nkeywords; i++)
		if (!has_word(s->kw, m->keywords[i]))
			return false;
	return s->subset ? true : m->nkeywords == count_words(s->kw);
}

/* 1: we stored it and nobody has changed it. */
static int
unchanged(struct lane *l, const struct stored *s, const struct msg_meta *m,
    bool marked, struct err *e)
{
	if (!same_flags(s, m, marked))
		return 0;
	if ((s->size != UNKNOWN64 && s->size != m->size) ||
	    (s->date != NO_DATE && s->date != m->date))
		return 0;
	/* An index tells more than size and date. */
	if (m->sha1 != NULL && s->digests.has_sha1) {
		if (memcmp(m->sha1, s->digests.sha1, SHA1_LEN) == 0 ||
		    memcmp(m->sha1, s->digests.munged, SHA1_LEN) == 0)
			return 1;
	} else if (s->size != UNKNOWN64 && s->date != NO_DATE)
		return 1;
	return same_bytes(l, &s->digests, m, e);
}

/* One more to take back. */
static void
add_to_go(struct box *b, const struct msg_meta *m)
{
	size_t cap = b->go.cap;

	uids_add(&b->go, m->uid);
	if (b->go.cap != cap)
		b->as = xreallocarray(b->as, b->go.cap, sizeof *b->as);
	b->as[b->go.n - 1] = undo_looks(m);
}

/* With the messages from this UID on. */
int
undo_open_box(struct lane *l, struct box *b, uint32_t from, struct err *e)
{
	enum delta delta;

	if (lane_open_eyes(l, false, e) == -1)
		return err_ctx(e, "look at the target");
	memset(&b->f, 0, sizeof b->f);
	b->f.path = &b->told.tgt_name;
	b->f.npath = 1;
	b->f.raw_name = b->f.name = b->told.tgt_name;
	b->f.messages = b->f.bytes = UNKNOWN64;
	if (source_folder_open(l->eyes, &b->f, NULL, from, &delta, e) == -1)
		return err_ctx(e, "%.100s", b->told.tgt_name);
	return 0;
}

/* What becomes of one message at the target; s NULL: no row has it. */
static int
judge(struct lane *l, struct box *b, const struct stored *s,
    const struct msg_meta *m, struct err *e)
{
	int rc;

	if (s == NULL)
		b->told.foreign++;
	else if (s->present)
		b->told.present++;
	else {
		rc = unchanged(l, s, m, uids_has(&b->marked, m->uid), e);
		if (rc == -1)
			return -1;
		if (rc == 1) {
			b->told.ours++;
			add_to_go(b, m);
			if (s->flags & MSG_DELETED)
				uids_add(&b->stored_so, m->uid);
		} else {
			b->told.changed++;
			if (uids_has(&b->marked, m->uid) && (m->flags &
			    ~s->flags & MSG_DELETED))
				uids_add(&b->unmark, m->uid);
		}
	}
	return 0;
}

/* The next of what was stored; a spill's own records are not aligned. */
static int
next_stored(struct spill *stored, uint64_t *uid, struct stored *s,
    struct err *e)
{
	const void *rec;
	size_t len;
	int rc = spill_next(stored, uid, &rec, &len, e);

	if (rc == 1)
		memcpy(s, rec, len);
	return rc;
}

/* The open mailbox against what the state says of it. */
static int
compare(struct lane *l, struct box *b, struct spill *stored, struct err *e)
{
	struct stored *s = xcalloc(1, STORED_MAX);
	struct arena arena;
	struct msg_meta m;
	uint64_t uid = 0;
	int rc = 0, more;

	arena_init(&arena);
	more = next_stored(stored, &uid, s, e);
	while (more != -1 && (rc = source_next(l->eyes, &arena, &m, e)) == 1) {
		while (more == 1 && uid < m.uid) {
			b->told.gone += !s->present;
			more = next_stored(stored, &uid, s, e);
		}
		if (more == -1)
			break;
		b->there++;
		uids_add(&b->uids, m.uid);
		rc = judge(l, b, more == 1 && uid == m.uid ? s : NULL, &m, e);
		if (rc == -1)
			break;
		if (more == 1 && uid == m.uid)
			more = next_stored(stored, &uid, s, e);
		arena_reset(&arena);
	}
	while (rc == 0 && more == 1) {
		b->told.gone += !s->present;
		more = next_stored(stored, &uid, s, e);
	}
	arena_release(&arena);
	free(s);
	return rc == -1 || more == -1 ? -1 : 0;
}

/* Lists a mailbox that is there: b->go and the numbers of b->told. */
static int
survey(struct undo *u, struct box *b, struct err *e)
{
	struct lane *l = u->l;
	struct spill *stored = NULL;
	uint64_t unlocated;
	int rc = -1;

	b->there = 0;
	b->go.n = b->uids.n = b->marked.n = b->stored_so.n = 0;
	b->unmark.n = 0;
	b->told.ours = b->told.changed = b->told.present = 0;
	b->told.foreign = b->told.gone = 0;
	if (undo_open_box(l, b, 0, e) == -1)
		return -1;
	if (undo_begun(l->reader, b->pair.id, &b->marked, e) == 0 &&
	    undo_load(l, b->pair.id, b->f.uidvalidity, &stored, &unlocated,
	    e) == 0) {
		rc = compare(l, b, stored, e);
		b->told.gone += unlocated;
	}
	spill_free(&stored);
	source_folder_close(l->eyes);
	if (rc == -1)
		source_close(&l->eyes);
	uids_sort(&b->uids);
	return rc;
}

/*
 * Batches whose answer never came, and copies whose UID was not told, are
 * looked for first: what was stored of them is ours as well.  A server may
 * store late, so one look in vain is not enough.
 */
static int
look_for_doubts(struct undo *u, struct box *b, struct err *e)
{
	struct lane *l = u->l;
	uint64_t found;
	bool all = true;

	if (b->row.intents == 0 && b->told.doubts == 0 && !b->row.unlocated)
		return 0;
	l->mailbox_id = b->pair.id;
	if (look(l, &b->pair, b->row.target.uidnext, false, &found, e) == -1 ||
	    intents_accounted(l->reader, b->pair.id, &all, e) == -1 ||
	    (!all && (look_closer(l, &b->pair, 0, e) == -1 ||
	    intents_accounted(l->reader, b->pair.id, &all, e) == -1)))
		return -1;
	if (!all) {
		uint64_t due = l->run->start_ms + l->run->set->settle_ms;
		uint64_t now = now_ms();

		if (due > now && !lane_sleep(l, due - now))
			return err_retry(e, ERR_RUN, "stopped");
		if (look(l, &b->pair, b->row.target.uidnext, true, &found,
		    e) == -1 || look_closer(l, &b->pair, 0, e) == -1)
			return -1;
	}
	l->mailbox_id = 0;
	return lane_target_again(l, e) == -1 ? -1 : 0;
}

/* A list need not show all: is one that it does not show there?  1 or 0. */
static int
is_hidden(struct undo *u, const char *name, struct err *e)
{
	struct folder_state st;
	int rc;

	/* Of those that hold no mail a list is right. */
	if (is_listed(u, name))
		return 0;
	if (undo_writer(u->l, e) == -1)
		return -1;
	rc = target_folder_open(u->l->tgt, name, &st, e);
	target_folder_close(u->l->tgt);
	u->hides = u->hides || rc == 1;
	return rc;
}

/* Did we subscribe it? */
static int
unsubscribe(struct undo *u, struct box *b, struct err *e)
{
	int rc = op_was_done(u->l->reader, u->a->row.id, "subscribe",
	    b->told.tgt_name, e);

	if (rc != 1)
		return rc;
	return target_subscribe(u->l->tgt, b->told.tgt_name, false, e);
}

/* It was told that it goes. */
static void
tell_stays(struct box *b, undo_tell_fn *tell, void *ctx)
{
	struct undo_box told = { .src_name = b->told.src_name,
	    .tgt_name = b->told.tgt_name, .note = b->told.note,
	    .made = true, .stays = true };

	b->told.vanishes = false;
	tell(ctx, &told);
}

/* The mailbox that is empty now goes, unless something came in between. */
static int
take_back_mailbox(struct undo *u, struct box *b, struct folder_info *f,
    undo_tell_fn *tell, void *ctx, struct err *e)
{
	const struct going g = { b->told.tgt_name, b->pair.id,
	    b->f.uidvalidity, f->special_use,
	    u->hides || !has_parent(u, f), UNDO_BOX };
	struct lane *l = u->l;
	int rc;

	if (undo_writer(l, e) == -1)
		return -1;
	rc = undo_mailbox(l, &g, &u->arena, &u->asides, &b->told.note,
	    e);
	if (rc != 1) {
		if (rc == 0)
			tell_stays(b, tell, ctx);
		return rc;
	}
	folder_gone(u, f);
	return undo_reset(l->run->state, u->a->row.id, b->pair.id,
	    b->told.tgt_name, true, e);
}

/* A mailbox that is there and the one that we know; f NULL: it is not listed,
 * nor is what lies below it, and so it stays. */
static int
undo_there(struct undo *u, struct box *b, struct folder_info *f,
    undo_tell_fn *tell, void *ctx, uint64_t *left, struct err *e)
{
	struct lane *l = u->l;
	int64_t rows = 0;

	if (u->apply && look_for_doubts(u, b, e) == -1)
		return -1;
	if (survey(u, b, e) == -1)
		return -1;
	/* Its creation may have been cut off before we knew: then it has
	 * never held a message. */
	b->told.made = (b->told.made || (b->begun && b->there == 0 &&
	    b->f.uidnext == 1)) && strcasecmp(b->told.tgt_name, "INBOX") != 0;
	b->told.vanishes = b->told.made && b->told.ours == b->there &&
	    f != NULL && !has_children(u, f);
	if (f == NULL && b->told.made)
		b->told.note = "is not listed by the server: the mailbox "
		    "stays";
	tell(ctx, &b->told);
	*left += b->told.changed;
	if (!u->apply) {
		if (b->told.vanishes)
			folder_gone(u, f);
		return 0;
	}
	if (b->go.n > 0 || b->unmark.n > 0) {
		uint64_t planned = b->go.n;

		fault_point("undo.planned");
		if (undo_take_messages(u, b, e) == -1)
			return -1;
		fault_point("undo.taken");
		/* Somebody else may have changed some at the last moment. */
		*left -= b->told.changed;
		if (survey(u, b, e) == -1)
			return -1;
		*left += b->told.changed;
		if (b->told.ours > 0)
			return err_set(e, ERR_MAILBOX, "%.100s: %" PRIu64
			    " of %" PRIu64 " messages are still there",
			    b->told.tgt_name, b->told.ours, planned);
		b->told.vanishes = b->told.vanishes && b->there == 0;
	}
	if (undo_mark(l->run->state, b->pair.id, &b->uids, &rows, e) == -1)
		return -1;
	if (b->told.vanishes)
		return take_back_mailbox(u, b, f, tell, ctx, e);
	if (rows > 0)
		return 0;
	return undo_reset(l->run->state, u->a->row.id, b->pair.id,
	    b->told.tgt_name, false, e);
}

static int
undo_box(struct undo *u, struct box *b, undo_tell_fn *tell, void *ctx,
    uint64_t *left, struct err *e)
{
	struct lane *l = u->l;
	struct folder_info *f = find_folder(u, b->told.tgt_name);
	bool known;
	int hidden;

	if (mailbox_load(l->reader, b->pair.id, &b->row, e) == -1)
		return -1;
	b->told.made = b->row.made_by_us || b->implied;
	known = b->row.target.uidvalidity != 0;
	if (!known && !b->told.made && !b->begun)
		return 0;	/* no pass came to open it */
	hidden = f == NULL ? is_hidden(u, b->told.tgt_name, e) : 0;
	if (hidden == -1)
		return -1;
	if (f == NULL && !hidden) {
		b->told.gone = b->row.rows;
		b->told.note = "is no longer at the target";
		if (known)
			tell(ctx, &b->told);
		if (!u->apply)
			return 0;
		if (undo_writer(l, e) == -1 || unsubscribe(u, b, e) == -1)
			return -1;
		return undo_reset(l->run->state, u->a->row.id, b->pair.id,
		    b->told.tgt_name, true, e);
	}
	if (undo_open_box(l, b, 0, e) == -1)
		return -1;
	source_folder_close(l->eyes);
	if ((known && b->f.uidvalidity != b->row.target.uidvalidity) ||
	    (!known && b->made_as != 0 && b->f.uidvalidity != b->made_as)) {
		b->told.note = "is another mailbox than the one that was "
		    "copied into (UIDVALIDITY): left alone";
		*left += b->row.rows;
		tell(ctx, &b->told);
		return u->apply ? undo_close(l->run->state, b->pair.id, e) :
		    0;
	}
	return undo_there(u, b, f, tell, ctx, left, e);
}

/*
 * Mailboxes that the server made above ours, and that no source mailbox is
 * copied into: they go when they are empty.
 */
static int
undo_parent(struct undo *u, struct box *b, undo_tell_fn *tell, void *ctx,
    struct err *e)
{
	struct folder_info *f = find_folder(u, b->told.tgt_name);
	struct lane *l = u->l;
	struct going g = { b->told.tgt_name, b->pair.id, 0, 0, false,
	    UNDO_BOX };
	int rc = f == NULL && u->apply ? is_hidden(u, b->told.tgt_name, e) :
	    f == NULL;

	if (rc == -1)
		return -1;
	if (f == NULL)
		return rc == 1 ? 0 : undo_parent_gone(l->run->state,
		    u->a->row.id, b->told.tgt_name, e);
	if (undo_open_box(l, b, 0, e) == -1)
		return -1;
	source_folder_close(l->eyes);
	/* One that its user has deleted and made anew is his own. */
	if (b->made_as != 0 && b->f.uidvalidity != b->made_as)
		return u->apply ? undo_parent_gone(l->run->state,
		    u->a->row.id, b->told.tgt_name, e) : 0;
	if (has_children(u, f) || b->f.messages > 0 || (b->made_as == 0 &&
	    b->f.uidnext != 1))
		return 0;
	b->told.made = b->told.vanishes = true;
	tell(ctx, &b->told);
	if (!u->apply) {
		folder_gone(u, f);
		return 0;
	}
	g.uidvalidity = b->f.uidvalidity;
	g.special_use = f->special_use;
	g.in_place = u->hides || !has_parent(u, f);
	if (undo_writer(l, e) == -1)
		return -1;
	rc = undo_mailbox(l, &g, &u->arena, &u->asides, &b->told.note,
	    e);
	if (rc == 0)
		tell_stays(b, tell, ctx);
	if (rc != 1)
		return rc;
	folder_gone(u, f);
	return undo_parent_gone(l->run->state, u->a->row.id,
	    b->told.tgt_name, e);
}

static int
load_parents(struct undo *u, struct err *e)
{
	sqlite3_stmt *st = db_query(u->l->reader, e, "SELECT name,"
	    " min(mailbox_id), (SELECT arg FROM op AS last WHERE last.account_id"
	    " = ?1 AND last.kind = 'create-parent' AND last.name = op.name"
	    " ORDER BY last.id DESC LIMIT 1) FROM op WHERE account_id = ?1 AND kind ="
	    " 'create-parent' AND NOT EXISTS (SELECT 1 FROM mailbox WHERE"
	    " account_id = ?1 AND tgt_name = name) GROUP BY name ORDER BY name"
	    " DESC", "i", u->a->row.id);
	struct box **last = &u->parents;
	int rc;

	if (st == NULL)
		return -1;
	while ((rc = db_step(u->l->reader, st, e)) == 1) {
		struct box *b = arena_zalloc(&u->arena, sizeof *b);

		b->told.src_name = b->told.tgt_name = arena_strdup(&u->arena,
		    db_text(st, 0));
		b->pair.id = sqlite3_column_int64(st, 1);
		b->made_as = (uint32_t)strtoul(db_text(st, 2), NULL, 10);
		*last = b;
		last = &b->next;
	}
	db_done(st);
	return rc;
}

/* All mailboxes with a place at the target, those below others first. */
static int
load_boxes(struct undo *u, struct box **boxes, struct err *e)
{
	sqlite3_stmt *st = db_query(u->l->reader, e, "SELECT id, src_name,"
	    " tgt_name, EXISTS (SELECT 1 FROM op WHERE op.mailbox_id ="
	    " mailbox.id AND kind = 'create'), (SELECT count(*) FROM intent"
	    " WHERE intent.mailbox_id = mailbox.id), (SELECT max(state) FROM"
	    " op WHERE account_id = ?1 AND kind = 'create-parent' AND name ="
	    " tgt_name), (SELECT arg FROM op WHERE account_id = ?1 AND kind ="
	    " 'create-parent' AND name = tgt_name ORDER BY op.id DESC LIMIT 1)"
	    " FROM mailbox WHERE"
	    " account_id = ?1 AND tgt_name <> '' ORDER BY tgt_name DESC", "i",
	    u->a->row.id);
	int rc;

	if (st == NULL)
		return -1;
	while ((rc = db_step(u->l->reader, st, e)) == 1) {
		struct box *b = arena_zalloc(&u->arena, sizeof *b);

		b->pair.id = sqlite3_column_int64(st, 0);
		b->pair.src_name = b->told.src_name = arena_strdup(&u->arena,
		    db_text(st, 1));
		b->pair.tgt_name = b->told.tgt_name = arena_strdup(&u->arena,
		    db_text(st, 2));
		b->begun = sqlite3_column_int(st, 3) != 0;
		b->told.doubts = (uint64_t)sqlite3_column_int64(st, 4);
		if (sqlite3_column_type(st, 5) != SQLITE_NULL) {
			b->implied = sqlite3_column_int(st, 5) != 0;
			b->begun = true;
			b->made_as = (uint32_t)strtoul(db_text(st, 6), NULL,
			    10);
		}
		*boxes = b;
		boxes = &b->next;
	}
	db_done(st);
	return rc;
}

/* Opens the target and lists it. */
static int
open_account(struct undo *u, struct err *e)
{
	struct lane *l = u->l;
	struct target_caps caps;

	if (lane_open_target(l, e) == -1)
		return -1;
	target_caps(l->tgt, &caps);
	if (!(caps.bits & TGT_EXPUNGES))
		return err_set(e, ERR_ACCOUNT, "the target cannot expunge "
		    "single messages (no UIDPLUS): nothing can be undone");
	if (target_account_ensure(l->tgt, false, e) == -1)
		return err_ctx(e, "target");
	if (u->apply && undo_asides(l, UNDO_BOX, &u->arena, &u->asides, e) == -1)
		return -1;
	if (lane_open_eyes(l, false, e) == -1 || source_list(l->eyes,
	    &u->arena, &u->folders, &u->nfolders, e) == -1)
		return err_ctx(e, "look at the target");
	return lane_target_again(l, e) == -1 ? -1 : 0;
}

/* Both lists, those below others first. */
static int
undo_all(struct undo *u, struct box *b, undo_tell_fn *tell, void *ctx,
    uint64_t *left, struct err *e)
{
	struct box *up = u->parents;

	while (b != NULL || up != NULL)
		if (up == NULL || (b != NULL && strcmp(b->told.tgt_name,
		    up->told.tgt_name) > 0)) {
			if (undo_box(u, b, tell, ctx, left, e) == -1)
				return -1;
			b = b->next;
		} else {
			if (undo_parent(u, up, tell, ctx, e) == -1)
				return -1;
			up = up->next;
		}
	if (u->asides == NULL)
		return 0;
	return undo_writer(u->l, e) == -1 ? -1 : undo_strays(u->l, &u->arena,
	    u->asides, e);
}

int
undo_account(struct lane *l, struct account *a, bool apply,
    undo_tell_fn *tell, void *ctx, uint64_t *left, struct err *e)
{
	struct undo u = { .l = l, .a = a, .apply = apply };
	struct box *boxes = NULL, *b;
	int rc = -1;

	*left = 0;
	l->account = a;
	l->mailbox_id = 0;
	l->probing = true;		/* no notes: copy will tell again */
	arena_init(&u.arena);
	if (undo_check(l->reader, a, e) == -1 || open_account(&u, e) == -1 ||
	    load_boxes(&u, &boxes, e) == -1 || load_parents(&u, e) == -1)
		goto out;
	rc = 0;
	if (apply)
		rc = account_outcome(l->run->state, a->row.id, "running", NULL,
		    e);
	if (rc == 0)
		rc = undo_all(&u, boxes, tell, ctx, left, e);
	if (rc == 0 && apply)
		rc = undo_end(l->run->state, a->row.id, e);
	if (rc == 0 && apply)
		rc = account_outcome(l->run->state, a->row.id, "undone",
		    *left > 0 ? "some of it has been changed and stays" :
		    NULL, e);
	else if (apply && e->scope != ERR_RUN) {
		struct err ignored;

		account_outcome(l->run->state, a->row.id, "failed", e->text,
		    &ignored);
	}
out:
	for (b = boxes; b != NULL; b = b->next)
		box_release(b);
	for (b = u.parents; b != NULL; b = b->next)
		box_release(b);
	free(u.deleted.v);
	arena_release(&u.arena);
	return rc;
}
