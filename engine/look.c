/* Looking at the target before storing, and for losses and doubles. */
#include "look.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "account.h"
#include "batch.h"
#include "base/fault.h"
#include "base/spill.h"
#include "base/xmalloc.h"
#include "uids.h"

#define CHUNK	100		/* contents asked for at once */
#define MAX_DOUBTS 16		/* batches of a mailbox that are checked */

static int
put_known(void *ctx, uint32_t uid, struct err *e)
{
	return spill_put(ctx, uid, "", 0, e);
}

/* The UIDs that the state knows from "from" on, sorted. */
static int
load_known(struct lane *l, struct pair *p, uint32_t from, bool live,
    struct spill **out, struct err *e)
{
	struct spill *s = spill_new();

	if (mailbox_known_uids(l->reader, p->id, from, live, put_known, s,
	    e) == -1 || spill_sort(s, e) == -1) {
		spill_free(&s);
		return -1;
	}
	*out = s;
	return 0;
}

int
look_open(struct lane *l, struct pair *p, uint32_t from, bool fresh,
    struct folder_info *f, struct err *e)
{
	enum delta delta;

	if (lane_open_eyes(l, fresh, e) == -1)
		return err_ctx(e, "look at the target");
	memset(f, 0, sizeof *f);
	f->path = &p->tgt_name;
	f->npath = 1;
	f->raw_name = f->name = p->tgt_name;
	f->messages = f->bytes = UNKNOWN64;
	if (source_folder_open(l->eyes, f, NULL, from, &delta, e) == -1)
		return err_ctx(e, "look at the target");
	return 0;
}

/* A message whose SHA-1 the target tells becomes an extra without being
 * read. */
static void
put_unread(struct changes *c, const struct msg_meta *m)
{
	struct row_extra *x = changes_extra(c);

	x->uid = m->uid;
	x->unread = true;
	x->ours = uids_proved(m, c->uidvalidity);
	x->digests.has_sha1 = true;
	memcpy(x->digests.sha1, m->sha1, SHA1_LEN);
	x->size = m->size == UNKNOWN64 ? 0 : m->size;
	x->date = m->date;
	x->flags = m->flags;
	x->kw = join_words(&c->arena, m->keywords, m->nkeywords);
}

/* Posts what was collected, at the end or when it is enough. */
static void
post_unread(struct lane *l, struct changes **c, bool end, uint64_t *seq)
{
	if (changes_empty(*c) || (!end && (*c)->arena.used < 64 * 1024))
		return;
	*seq = changes_post(l->run->state, c);
	*c = NULL;
}

/* Hashes the n messages and posts them as extras. */
static int
hash_chunk(struct lane *l, struct pair *p, const struct msg_meta *metas,
    size_t n, uint32_t uidvalidity, uint64_t *found, uint64_t *seq,
    struct err *e)
{
	const struct msg_meta *want[CHUNK];
	struct changes *c = changes_new(l->account->row.id, p->id,
	    state_pass(l->run->state));
	int rc = 0;

	c->uidvalidity = uidvalidity;
	for (size_t i = 0; i < n; i++)
		want[i] = &metas[i];
	if (source_want(l->eyes, want, n, e) == -1)
		rc = -1;
	for (size_t i = 0; i < n && rc == 0; i++) {
		struct content *content;
		struct row_extra *x;
		struct measured m;

		rc = source_content(l->eyes, &metas[i], &content, e);
		if (rc == 0)
			continue;		/* expunged meanwhile */
		if (rc == 1)
			rc = measure_content(l->measure, content, NULL, &m, e);
		if (rc == -1)
			e->at_target = true;
		content_close(&content);
		if (rc == 0)
			lane_pace(l, SIDE_TARGET, m.size, 1);
		if (rc == -1) {
			err_ctx(e, "look at uid %" PRIu32, metas[i].uid);
			if (e->scope != ERR_MESSAGE || (e->retry &&
			    p->tries + 1 < PAIR_TRIES))
				break;
			/* It stays an extra that equals nothing. */
			lane_note(l, "warn", NULL, "%s", e->text);
			memset(&m, 0, sizeof m);
			rc = 0;
		}
		x = changes_extra(c);
		x->uid = metas[i].uid;
		x->ours = uids_proved(&metas[i], uidvalidity);
		x->digests = m.digests;
		if (metas[i].sha1 != NULL) {
			x->digests.has_sha1 = true;
			memcpy(x->digests.sha1, metas[i].sha1, SHA1_LEN);
		}
		x->size = m.size;
		x->date = metas[i].date;
		x->flags = metas[i].flags;
		x->kw = join_words(&c->arena, metas[i].keywords,
		    metas[i].nkeywords);
		(*found)++;
	}
	if (rc == 0)
		*seq = changes_post(l->run->state, &c);
	changes_free(c);
	return rc;
}

/* One walk over the target mailbox. */
struct looking {
	struct lane	*l;
	struct pair	*p;
	struct spill	*known;		/* UIDs of rows and extras, sorted */
	uint64_t	 known_uid;
	bool		 more_known;
	bool		 by_sha1;	/* where the target tells it */
	struct changes	*unread;
	uint32_t	 uidvalidity;	/* of what is looked at */
	uint32_t	 highest;
	uint64_t	 found, seq;
};

/* Is the UID in a row or an extra?  UIDs ascend. */
static int
is_known(struct looking *k, uint32_t uid, bool *yes, struct err *e)
{
	const void *rec;
	size_t len;
	int rc;

	while (k->more_known && k->known_uid < uid) {
		rc = spill_next(k->known, &k->known_uid, &rec, &len, e);
		if (rc == -1)
			return -1;
		k->more_known = rc == 1;
	}
	*yes = k->more_known && k->known_uid == uid;
	return 0;
}

static struct changes *
unread_changes(struct looking *k)
{
	if (k->unread == NULL) {
		k->unread = changes_new(k->l->account->row.id, k->p->id,
		    state_pass(k->l->run->state));
		k->unread->uidvalidity = k->uidvalidity;
	}
	return k->unread;
}

/* Extras of two mailboxes must not meet. */
static int
same_mailbox(struct lane *l, struct pair *p, const struct folder_info *f,
    struct err *e)
{
	int64_t known;

	if (db_number(l->reader, e, &known, 0, "SELECT tgt_uidvalidity FROM"
	    " mailbox WHERE id = ?1", "i", p->id) == -1)
		return -1;
	if (known == 0 || known == (int64_t)f->uidvalidity)
		return 0;
	return err_retry(e, ERR_MAILBOX, "the target mailbox was made anew "
	    "while it was looked at");
}

/* Everything from the UID on, the mailbox being open. */
static int
look_at_all(struct looking *k, struct arena *arena, uint32_t from,
    struct err *e)
{
	struct msg_meta metas[CHUNK];
	uint64_t most = k->l->look_most != 0 ? k->l->look_most : UINT64_MAX;
	size_t n = 0;
	bool known;
	int rc;

	for (;;) {
		rc = k->found + n < most ? source_next(k->l->eyes, arena,
		    &metas[n], e) : 0;
		if (rc == -1)
			return -1;
		if (rc == 1) {
			const struct msg_meta *m = &metas[n];

			if (m->uid < from || m->uid == 0)
				continue;
			if (m->uid > k->highest)
				k->highest = m->uid;
			if (is_known(k, m->uid, &known, e) == -1)
				return -1;
			if (known)
				continue;
			if (k->by_sha1 && m->sha1 != NULL) {
				put_unread(unread_changes(k), m);
				k->found++;
				post_unread(k->l, &k->unread, false, &k->seq);
				if (n == 0)
					arena_reset(arena);
				continue;
			}
			n++;
			if (n < CHUNK)
				continue;
		}
		if (n > 0 && hash_chunk(k->l, k->p, metas, n, k->uidvalidity,
		    &k->found, &k->seq, e) == -1)
			return -1;
		n = 0;
		arena_reset(arena);
		if (rc == 0)
			return 0;
	}
}

int
look(struct lane *l, struct pair *p, uint32_t from, bool fresh,
    uint64_t *found, struct err *e)
{
	struct looking k = { .l = l, .p = p };
	struct folder_info f;
	struct arena arena;
	struct changes *c;
	const void *rec;
	size_t len;
	int rc;

	*found = 0;
	arena_init(&arena);
	if (sha1_suffices(l->reader, p->id, &k.by_sha1, e) == -1 ||
	    load_known(l, p, from, false, &k.known, e) == -1)
		return -1;
	/* Source messages must have it too, to be compared. */
	k.by_sha1 = k.by_sha1 && measure_gives_sha1(l->measure);
	rc = spill_next(k.known, &k.known_uid, &rec, &len, e);
	k.more_known = rc == 1;
	if (rc == -1 || look_open(l, p, from, fresh, &f, e) == -1 ||
	    same_mailbox(l, p, &f, e) == -1)
		goto fail;
	k.uidvalidity = f.uidvalidity;
	if (look_at_all(&k, &arena, from, e) == -1)
		goto fail;
	source_folder_close(l->eyes);
	spill_free(&k.known);
	arena_release(&arena);
	*found = k.found;
	c = unread_changes(&k);
	if (k.highest > 0)
		c->uidnext = k.highest + 1;
	post_unread(l, &c, true, &k.seq);
	changes_free(c);
	fault_point("look.done");
	return state_wait(l->run->state, k.seq, e);
fail:
	changes_free(k.unread);
	if (l->eyes != NULL)
		source_folder_close(l->eyes);
	lane_close_eyes(l);
	spill_free(&k.known);
	arena_release(&arena);
	return -1;
}

/* The unread ones among what is at the target from the lowest on. */
static int
read_unread(struct lane *l, struct pair *p, uint32_t uidvalidity,
    struct arena *arena, uint64_t *seq, struct err *e)
{
	struct msg_meta metas[CHUNK];
	uint64_t found;
	size_t n = 0;
	int rc, unread;

	for (;;) {
		rc = source_next(l->eyes, arena, &metas[n], e);
		if (rc == -1)
			return -1;
		if (rc == 1) {
			unread = extra_is_unread(l->reader, p->id,
			    metas[n].uid, e);
			if (unread == -1)
				return -1;
			n += unread == 1;
			if (n == 0)
				arena_reset(arena);
			if (n < CHUNK)
				continue;
		}
		if (n > 0 && hash_chunk(l, p, metas, n, uidvalidity, &found,
		    seq, e) == -1)
			return -1;
		n = 0;
		arena_reset(arena);
		if (rc == 0)
			return 0;
	}
}

int
look_closer(struct lane *l, struct pair *p, uint32_t from, struct err *e)
{
	struct folder_info f;
	struct arena arena;
	uint64_t seq = 0;
	int rc;

	if (extras_unread(l->reader, p->id, from, &from, e) == -1)
		return -1;
	if (from == 0)
		return 0;
	arena_init(&arena);
	rc = look_open(l, p, from, false, &f, e);
	if (rc == 0)
		rc = same_mailbox(l, p, &f, e);
	if (rc == 0)
		rc = read_unread(l, p, f.uidvalidity, &arena, &seq, e);
	if (l->eyes != NULL)
		source_folder_close(l->eyes);
	if (rc == -1)
		lane_close_eyes(l);
	arena_release(&arena);
	fault_point("look.closer");
	return rc == -1 ? -1 : state_wait(l->run->state, seq, e);
}

int
look_for_lost(struct lane *l, struct pair *p, uint64_t *lost, struct err *e)
{
	struct spill *known = NULL;
	uint32_t gone[256];
	struct folder_info f;
	struct arena arena;
	struct msg_meta m;
	const void *rec;
	uint64_t uid = 0;
	size_t n = 0, len;
	int rc, more;

	*lost = 0;
	arena_init(&arena);
	if (load_known(l, p, 1, true, &known, e) == -1)
		return -1;
	if (look_open(l, p, 0, false, &f, e) == -1)
		goto fail;
	/* Both ascend: a known UID that the listing passes by is gone. */
	more = source_next(l->eyes, &arena, &m, e);
	while ((rc = spill_next(known, &uid, &rec, &len, e)) == 1) {
		while (more == 1 && m.uid < uid) {
			arena_reset(&arena);
			more = source_next(l->eyes, &arena, &m, e);
		}
		if (more == -1)
			goto fail;
		if (more == 1 && m.uid == uid)
			continue;
		gone[n++] = (uint32_t)uid;
		if (n == sizeof gone / sizeof *gone) {
			if (messages_void(l->run->state, l->account->row.id,
			    p->id, gone, n, lost, e) == -1)
				goto fail;
			n = 0;
		}
	}
	if (rc == -1)
		goto fail;
	if (n > 0 && messages_void(l->run->state, l->account->row.id, p->id,
	    gone, n, lost, e) == -1)
		goto fail;
	source_folder_close(l->eyes);
	spill_free(&known);
	arena_release(&arena);
	return 0;
fail:
	if (l->eyes != NULL)
		source_folder_close(l->eyes);
	lane_close_eyes(l);
	spill_free(&known);
	arena_release(&arena);
	return -1;
}

struct uid_list {
	uint32_t	*uids;
	size_t		 n, cap;
};

/* Is there a run of consecutive UIDs from "first" on, in no row, that repeats
 * the whole batch in order? */
static int
repeats(struct lane *l, struct pair *p, const struct row_intent *in,
    uint32_t first, struct err *e)
{
	for (size_t i = 0; i < in->n; i++) {
		int rc = extra_equals(l->reader, p->id, first + (uint32_t)i,
		    &in->items[i].digests, e);

		if (rc != 1)
			return rc;
	}
	return in->n > 0;
}

static void
add_run(struct uid_list *list, uint32_t first, size_t n)
{
	if (list->n + n > list->cap) {
		list->cap = 2 * (list->n + n);
		list->uids = xreallocarray(list->uids, list->cap,
		    sizeof *list->uids);
	}
	for (size_t i = 0; i < n; i++)
		list->uids[list->n++] = first + (uint32_t)i;
}

/* The UIDs of untaken extras above the batch's UIDNEXT, to start a run. */
static int
put_candidate(void *ctx, uint32_t uid, struct err *e)
{
	(void)e;
	add_run(ctx, uid, 1);
	return 0;
}

/* All runs that repeat one of our settled batches. */
static int
collect_doubles(struct lane *l, struct pair *p, uint32_t uidvalidity,
    struct uid_list *doubles, struct err *e)
{
	struct row_intent in[MAX_DOUBTS];
	struct uid_list extras = { 0 };
	struct arena arena;
	uint32_t after = 0;
	size_t n;
	int rc = -1;

	arena_init(&arena);
	if (intents_settled(l->reader, p->id, in, MAX_DOUBTS, &n, e) == -1 ||
	    extras_from(l->reader, p->id, n > 0 ? in[0].uidnext : 0,
	    put_candidate, &extras, e) == -1)
		goto out;
	for (size_t i = 0; i < n; i++) {
		if (in[i].uidvalidity != uidvalidity)
			continue;
		if (intent_items(l->reader, &in[i], &arena, e) == -1)
			goto out;
		for (size_t k = 0; k < extras.n; k++) {
			if (extras.uids[k] <= after ||
			    extras.uids[k] < in[i].uidnext)
				continue;
			rc = repeats(l, p, &in[i], extras.uids[k], e);
			if (rc == -1)
				goto out;
			if (rc == 1) {
				add_run(doubles, extras.uids[k], in[i].n);
				after = extras.uids[k] + (uint32_t)in[i].n -
				    1;
			}
		}
		after = 0;
	}
	rc = 0;
out:
	free(extras.uids);
	arena_release(&arena);
	return rc;
}

/* Expunges them, with an op row around it. */
static int
remove_doubles(struct lane *l, struct pair *p, uint32_t uidvalidity,
    const struct uid_list *doubles, struct err *e)
{
	struct folder_state st;
	int64_t op;
	int rc;

	if (op_begin(l->run->state, l->account->row.id, p->id, "expunge",
	    p->tgt_name, "doubles", &op, e) == -1)
		return -1;
	rc = target_folder_open(l->tgt, p->tgt_name, &st, e);
	if (rc == 0 || (rc == 1 && st.uidvalidity != uidvalidity)) {
		target_folder_close(l->tgt);
		return err_set(e, ERR_MAILBOX, "the target mailbox is "
		    "another one by now: no double is removed");
	}
	if (rc == 1)
		rc = target_expunge(l->tgt, doubles->uids, doubles->n, e);
	target_folder_close(l->tgt);
	return rc == -1 ? -1 : op_done(l->run->state, op, e);
}

int
look_for_doubles(struct lane *l, struct pair *p, uint64_t *count,
    struct err *e)
{
	bool remove = l->run->set->remove_doubles;
	struct uid_list doubles = { 0 };
	struct row_mailbox row;
	struct changes *c;
	struct row_intent in[MAX_DOUBTS];
	uint64_t found;
	uint32_t from = UINT32_MAX;
	size_t n;
	int rc = -1;

	*count = 0;
	if (mailbox_load(l->reader, p->id, &row, e) == -1)
		return -1;
	buf_release(&row.token);
	if (intents_settled(l->reader, p->id, in, MAX_DOUBTS, &n, e) == -1)
		return -1;
	for (size_t i = 0; i < n; i++)
		if (in[i].uidnext < from)
			from = in[i].uidnext;
	if (look(l, p, row.target.uidnext, true, &found, e) == -1 ||
	    look_closer(l, p, from, e) == -1 ||
	    collect_doubles(l, p, row.target.uidvalidity, &doubles, e) == -1 ||
	    lane_target_again(l, e) == -1 || (doubles.n > 0 && remove &&
	    remove_doubles(l, p, row.target.uidvalidity, &doubles, e) == -1))
		goto out;
	c = changes_new(l->account->row.id, p->id, state_pass(l->run->state));
	for (size_t i = 0; i < doubles.n; i++) {
		char where[32];

		snprintf(where, sizeof where, "target uid %" PRIu32,
		    doubles.uids[i]);
		changes_issue(c, remove ? "removed" : "doubled", where,
		    strlen(where), where,
		    remove ? "the server stored this twice after a lost "
		    "answer; the second copy was removed" : "the server "
		    "stored this twice after a lost answer; --remove-doubles "
		    "removes it");
		if (remove)
			changes_take(c, doubles.uids[i]);
	}
	*count = doubles.n;
	rc = state_wait(l->run->state, changes_post(l->run->state, &c), e);
	if (rc == 0)
		rc = intents_forget(l->run->state, p->id, e);
out:
	free(doubles.uids);
	return rc;
}
