/* Changes of flags at the source: collecting, looking at the target, changing
 * it. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "account.h"
#include "base/fault.h"
#include "base/xmalloc.h"
#include "merge_impl.h"
#include "stage.h"

#define ROUNDS	4	/* of one chunk, while users change the same flags */

bool
merge_wanted(const struct lane *l)
{
	const struct settings *set = l->run->set;
	struct target_caps caps;

	if (set->no_flag_sync || stage_only_adds(l))
		return false;
	if (l->tgt == NULL)
		return true;
	target_caps(l->tgt, &caps);
	return (caps.bits & TGT_FLAGS) != 0;
}

/* What is kept of a message until the walk is over. */
struct met {
	uint32_t	 flags;
	uint32_t	 key_len;
	bool		 has_raw;
	char		 rest[];	/* key, keywords, where and the source's
					 * own letters, NUL-ended */
};

int
merge_met(struct walk *w, const struct msg_meta *m, const void *key,
    size_t key_len, const struct row_message *r, struct err *e)
{
	const char *kw = join_words(&w->arena, m->keywords, m->nkeywords);
	const char *where = m->where != NULL ? m->where : "";
	const char *raw = m->raw_flags != NULL ? m->raw_flags : "";
	struct flag_set now = { m->flags, kw != NULL ? kw : "" };
	struct flag_set row = { r->src_flags, r->src_kw != NULL ? r->src_kw :
	    "" };
	struct met *rec;
	size_t len;

	/* A mark that the job leaves out is none of the target's. */
	if (rules_skip_deleted(w->l->run->set->rules))
		now.flags = (now.flags & ~(unsigned)MSG_DELETED) |
		    (row.flags & MSG_DELETED);
	if (same_flag_set(&row, &now))
		return 0;
	if (!merge_wanted(w->l)) {
		w->unmerged = true;
		return 0;
	}
	/* The next look finds the copy. */
	if (r->tgt_uid == 0) {
		w->later = true;
		return 0;
	}
	if (w->flagged == NULL)
		w->flagged = spill_new();
	len = sizeof *rec + key_len + strlen(now.kw) + 1 + strlen(where) + 1 +
	    strlen(raw) + 1;
	rec = arena_alloc(&w->arena, len);
	rec->flags = now.flags;
	rec->key_len = (uint32_t)key_len;
	rec->has_raw = m->raw_flags != NULL;
	memcpy(rec->rest, key, key_len);
	memcpy(rec->rest + key_len, now.kw, strlen(now.kw) + 1);
	memcpy(rec->rest + key_len + strlen(now.kw) + 1, where,
	    strlen(where) + 1);
	memcpy(rec->rest + key_len + strlen(now.kw) + 1 + strlen(where) + 1,
	    raw, strlen(raw) + 1);
	return spill_put(w->flagged, r->tgt_uid, rec, len, e);
}

int
merging_target(struct merging *g, struct err *e)
{
	struct folder_state st;
	int rc = lane_target_again(g->l, e);

	if (rc != 1)
		return rc;
	rc = target_folder_open(g->l->tgt, g->p->tgt_name, &st, e);
	if (rc == 0 || (rc == 1 && st.uidvalidity != g->uidvalidity))
		return err_retry(e, ERR_MAILBOX, "is another mailbox at the "
		    "target since a moment ago");
	return rc == -1 ? -1 : 0;
}

/* The target gave a UID that we know to other mail. */
static int
rolled_back(struct merging *g, uint32_t uid, struct err *e)
{
	static const char words[] = "the target mailbox was rolled back, or "
	    "filled anew: UID %" PRIu32 " is another message than the one "
	    "that was copied";
	struct lane *l = g->l;

	if (strcmp(l->account->row.stage, "released") == 0)
		return err_set(e, ERR_ACCOUNT, "%s; it is released, so "
		    "nothing is done", "the target mailbox was rolled back, "
		    "or filled anew");
	lane_note(l, "warn", NULL, words, uid);
	if (mailbox_void_from(l->run->state, g->p->id, uid, e) == -1)
		return -1;
	return err_retry(e, ERR_MAILBOX, words, uid);
}

/* What one of the messages has at the target. */
static int
seen(struct merging *g, struct merge_item *it, const struct msg_meta *m,
    struct err *e)
{
	const char *kw = join_words(&g->arena, m->keywords, m->nkeywords);
	int same = 1;

	if (!fault_mutated("merge-same"))
		same = same_message(g->l, &it->is, m, e);
	it->there = true;
	it->same = same == 1;
	it->modseq = m->modseq;
	it->sides.tgt.flags = m->flags;
	it->sides.tgt.kw = kw != NULL ? kw : "";
	return same == -1 ? -1 : 0;
}

static int
read_flags(struct merging *g, const uint32_t *uids, size_t n, struct err *e)
{
	struct arena arena;
	struct msg_meta m;
	size_t i = 0;
	int rc = source_only(g->l->eyes, uids, n, e);

	arena_init(&arena);
	while (rc != -1 && n > 0 && (rc = source_next(g->l->eyes, &arena, &m,
	    e)) == 1) {
		while (i < g->n && (g->items[i].uid < m.uid ||
		    g->items[i].state == MERGE_ENDED))
			i++;
		if (i < g->n && g->items[i].uid == m.uid &&
		    seen(g, &g->items[i], &m, e) == -1)
			rc = -1;
		arena_reset(&arena);
		if (m.uid >= uids[n - 1])
			break;
	}
	arena_release(&arena);
	return rc == -1 ? -1 : 0;
}

int
merging_look(struct merging *g, struct err *e)
{
	uint32_t uids[MERGE_CHUNK];
	struct lane *l = g->l;
	struct folder_info f = { .path = &g->p->tgt_name, .npath = 1,
	    .raw_name = g->p->tgt_name, .name = g->p->tgt_name,
	    .messages = UNKNOWN64, .bytes = UNKNOWN64 };
	enum delta delta;
	size_t n = 0;
	int rc;

	for (size_t i = 0; i < g->n; i++) {
		g->items[i].there = false;
		if (g->items[i].state != MERGE_ENDED)
			uids[n++] = g->items[i].uid;
	}
	if (n == 0)
		return 0;
	if (lane_open_eyes(l, false, e) == -1 || source_folder_open(l->eyes,
	    &f, NULL, uids[0], &delta, e) == -1)
		return err_ctx(e, "look at the target");
	g->modseq = f.modseq;
	if (f.uidvalidity != g->uidvalidity)
		rc = err_retry(e, ERR_MAILBOX, "is another mailbox at the "
		    "target since a moment ago");
	else
		rc = read_flags(g, uids, n, e);
	source_folder_close(l->eyes);
	if (rc == -1)
		lane_close_eyes(l);
	return rc;
}

void
merging_issue(struct merging *g, const struct merge_item *it, const char *kind,
    const char *text)
{
	struct row_issue *i;

	if (g->c == NULL)
		g->c = changes_new(g->l->account->row.id, g->p->id,
		    state_pass(g->l->run->state));
	i = changes_issue(g->c, kind, it->key, it->key_len, it->where, text);
	i->size = it->is.size;
	atomic_fetch_add(&g->l->run->issues, 1);
}

static void
tell_conflict(struct merging *g, const struct merge_item *it)
{
	static const struct { unsigned flag; const char *name; } names[] = {
		{ MSG_SEEN, "\\Seen" }, { MSG_ANSWERED, "\\Answered" },
		{ MSG_FLAGGED, "\\Flagged" }, { MSG_DELETED, "\\Deleted" },
		{ MSG_DRAFT, "\\Draft" } };
	const struct flag_merge *m = &it->merge;
	struct buf b;

	buf_init(&b, 2000);
	buf_adds(&b, "changed on both sides, the target's stays:");
	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		if (m->conflict & names[i].flag)
			buf_addf(&b, " %s", names[i].name);
	for (size_t i = 0; i < m->nkw_conflict; i++)
		buf_addf(&b, " %s", m->kw_conflict[i]);
	merging_issue(g, it, "conflict", b.ptr);
	buf_release(&b);
}

/* A message whose flags at the target are known now. */
static void
decide(struct merging *g, struct merge_item *it)
{
	it->merge.changes = false;
	if (it->there) {
		if (flags_touched(&it->sides.tgt_row, &it->sides.tgt,
		    it->changes & CHANGE_KEYWORDS))
			it->changes |= ROW_TOUCHED;
		merge_flags(&g->arena, &it->sides, &it->merge);
		if (it->merge.conflicts)
			tell_conflict(g, it);
	}
	if (!it->merge.changes)
		it->state = MERGE_FINAL;
}

/* A message that was changed, and what it has now. */
static void
confirm(struct merging *g, struct merge_item *it)
{
	const struct flag_set *now = &it->sides.tgt;
	const char *added = join_words(&g->arena, it->merge.kw_add,
	    it->merge.nkw_add);

	it->state = MERGE_FINAL;
	if (!it->there)
		return;
	if (flags_touched(&it->merge.result, now, true))
		it->changes |= ROW_TOUCHED;
	if (added != NULL && !words_in(added, now->kw)) {
		it->changes |= CHANGE_KEYWORDS;
		merging_issue(g, it, "keywords", "keywords that the target cannot hold "
		    "were left out");
	}
}

/* What the target said to the changes. */
static void
answered(struct merging *g, const struct flag_change *c, size_t n)
{
	size_t k = 0;

	for (size_t i = 0; i < g->n && k < n; i++) {
		struct merge_item *it = &g->items[i];

		if (it->state != MERGE_OPEN || c[k].uid != it->uid)
			continue;
		if (c[k].result == FLAG_DONE)
			it->state = MERGE_SENT;
		else if (c[k].result == FLAG_GONE) {
			it->state = MERGE_FINAL;
			it->there = false;
		}
		k++;
	}
}

/* 1: sent; 0: the target does not want to. */
static int
send_changes(struct merging *g, struct err *e)
{
	struct flag_change *c = xcalloc(g->n, sizeof *c);
	struct lane *l = g->l;
	struct err broken;
	size_t n = 0;
	int rc = -1;

	for (size_t i = 0; i < g->n; i++) {
		struct merge_item *it = &g->items[i];

		if (it->state != MERGE_OPEN)
			continue;
		c[n].uid = it->uid;
		c[n].add = it->merge.add;
		c[n].del = it->merge.del;
		c[n].kw_add = it->merge.kw_add;
		c[n].nkw_add = it->merge.nkw_add;
		c[n].kw_del = it->merge.kw_del;
		c[n].nkw_del = it->merge.nkw_del;
		c[n++].unchanged_since = fault_mutated("merge-since") ? 0 :
		    g->modseq;
	}
	if (merging_target(g, e) == -1)
		goto out;
	lane_pace(l, SIDE_TARGET, 0, n);
	rc = target_change_flags(l->tgt, c, n, e);
	if (rc == 0) {
		answered(g, c, n);
		rc = 1;
	} else if (e->scope <= ERR_MAILBOX && !e->retry &&
	    target_broken(l->tgt, &broken) == 0) {
		lane_note(l, "warn", "flags", "flags that have changed at the "
		    "source were not changed at the target: %.300s", e->text);
		g->w->later = true;
		rc = 0;
	} else
		e->at_target = true;
out:
	free(c);
	return rc;
}

static size_t
in_state(const struct merging *g, enum merge_state state)
{
	size_t n = 0;

	for (size_t i = 0; i < g->n; i++)
		n += g->items[i].state == state;
	return n;
}

static int
record(struct merging *g, struct err *e)
{
	if (g->c != NULL)
		changes_post(g->l->run->state, &g->c);
	return merge_record(g->l->run->state, g->p->id, g->items, g->n, e);
}

/* Looks, and nothing is ever done to other mail. */
static int
look_at(struct merging *g, struct err *e)
{
	if (merging_look(g, e) == -1)
		return -1;
	for (size_t i = 0; i < g->n; i++)
		if (g->items[i].state != MERGE_ENDED && g->items[i].there &&
		    !g->items[i].same)
			return rolled_back(g, g->items[i].uid, e);
	return 0;
}

/* A chunk, from the first look to what is known when all is done. */
static int
merge_chunk(struct merging *g, struct err *e)
{
	struct state *state = g->l->run->state;
	int rc;

	for (int round = 0; round < ROUNDS; round++) {
		if (look_at(g, e) == -1)
			return -1;
		for (size_t i = 0; i < g->n; i++)
			if (g->items[i].state == MERGE_SENT)
				confirm(g, &g->items[i]);
			else if (g->items[i].state == MERGE_OPEN)
				decide(g, &g->items[i]);
		if (in_state(g, MERGE_OPEN) == 0)
			break;
		if (!fault_mutated("merge-plan") && merge_plan(state, g->p->id,
		    g->items, g->n, e) == -1)
			return -1;
		fault_point("merge.planned");
		rc = send_changes(g, e);
		if (rc == -1)
			return -1;
		if (rc == 0) {
			/* Whether some were changed is seen the next time. */
			for (size_t i = 0; i < g->n; i++)
				if (g->items[i].state == MERGE_OPEN)
					g->items[i].state = MERGE_SENT;
			break;
		}
		fault_point("merge.sent");
		/* Who was changed meanwhile was not changed by us. */
		if (in_state(g, MERGE_OPEN) > 0 && record(g, e) == -1)
			return -1;
	}
	if (in_state(g, MERGE_OPEN) > 0)
		g->w->later = true;
	if (record(g, e) == -1)
		return -1;
	fault_point("merge.recorded");
	return 0;
}

/* The next messages that the walk has kept: their number, or -1. */
static int
next_chunk(struct merging *g, struct err *e)
{
	const void *rec;
	uint64_t uid;
	size_t len;
	int rc = 1;

	arena_reset(&g->arena);
	for (g->n = 0; g->n < MERGE_CHUNK;) {
		struct merge_item *it = &g->items[g->n];
		const struct met *met;

		if ((rc = spill_next(g->w->flagged, &uid, &rec, &len, e)) != 1)
			break;
		/* A spill's own records are not aligned. */
		met = (const void *)arena_memdup0(&g->arena, rec, len);
		memset(it, 0, sizeof *it);
		it->uid = (uint32_t)uid;
		it->key = met->rest;
		it->key_len = met->key_len;
		it->sides.src.flags = met->flags;
		it->sides.src.kw = met->rest + met->key_len;
		it->where = it->sides.src.kw + strlen(it->sides.src.kw) + 1;
		if (met->has_raw)
			it->raw = it->where + strlen(it->where) + 1;
		rc = merge_load(g->l->reader, g->p->id, g->l->account->row.id,
		    it, &g->arena, e);
		if (rc == -1)
			break;
		g->n += rc == 1;
	}
	return rc == -1 ? -1 : (int)g->n;
}

static struct merging *
merging_new(struct walk *w, const struct folder_state *f)
{
	struct merging *g = xcalloc(1, sizeof *g);

	g->w = w;
	g->l = w->l;
	g->p = w->p;
	g->uidvalidity = f->uidvalidity;
	arena_init(&g->arena);
	return g;
}

static void
merging_free(struct merging *g)
{
	changes_free(g->c);
	arena_release(&g->arena);
	free(g);
}

static int
check_stop(struct lane *l, struct err *e)
{
	if (!lane_leaving(l))
		return 0;
	err_retry(e, ERR_RUN, "stopped");
	e->cause = CAUSE_CANCELLED;
	return -1;
}

int
merge_run(struct walk *w, const struct folder_state *f, struct err *e)
{
	struct merging *g;
	int rc = -1;

	if (w->flagged == NULL)
		return 0;
	g = merging_new(w, f);
	/* The rows of this walk are to be seen. */
	if (spill_sort(w->flagged, e) == 0 &&
	    state_sync(w->l->run->state, e) == 0)
		while ((rc = next_chunk(g, e)) > 0)
			if (check_stop(w->l, e) == -1 ||
			    merge_chunk(g, e) == -1) {
				rc = -1;
				break;
			}
	if (rc == 0)
		rc = merging_target(g, e);
	merging_free(g);
	return rc;
}

/* A change that was begun: was it done? */
static void
settle_one(struct merging *g, struct merge_item *it)
{
	struct flag_sides alone = it->sides;

	it->state = MERGE_ENDED;
	if (!it->there)
		return;
	if (!same_flag_set(&it->sides.tgt, &it->wanted)) {
		if (it->begun_modseq != 0 && it->modseq == it->begun_modseq)
			return;		/* it never arrived */
		merging_issue(g, it, "conflict", "a run was cut off while flags were "
		    "changed; what the target has now stays, it may be its "
		    "user's");
	}
	/* It counts as done: what differs from it is the user's. */
	it->state = MERGE_FINAL;
	it->sides.tgt = it->wanted;
	alone.tgt = alone.tgt_row;
	merge_flags(&g->arena, &alone, &it->merge);
	if (flags_touched(&it->merge.result, &it->wanted, it->changes &
	    CHANGE_KEYWORDS))
		it->changes |= ROW_TOUCHED;
}

int
merge_settle(struct walk *w, const struct folder_state *f, struct err *e)
{
	struct merging *g = merging_new(w, f);
	struct lane *l = w->l;
	int rc = 0;

	for (;;) {
		arena_reset(&g->arena);
		rc = merge_begun(l->reader, w->p->id, g->items, MERGE_CHUNK,
		    &g->n, &g->arena, e);
		if (rc == -1 || g->n == 0)
			break;
		for (size_t i = 0; i < g->n && rc != -1; i++) {
			rc = merge_load(l->reader, w->p->id,
			    l->account->row.id, &g->items[i], &g->arena, e);
			if (rc == 0)
				g->items[i].state = MERGE_ENDED;
		}
		if (rc == -1 || (rc = look_at(g, e)) == -1)
			break;
		for (size_t i = 0; i < g->n; i++)
			if (g->items[i].state == MERGE_OPEN)
				settle_one(g, &g->items[i]);
		if ((rc = record(g, e)) == -1)
			break;
		fault_point("merge.settled");
	}
	if (rc == 0)
		rc = merging_target(g, e);
	merging_free(g);
	return rc;
}
