/* --delete: removing at the target what was deleted at the source. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "account.h"
#include "base/fault.h"
#include "base/xmalloc.h"
#include "merge_impl.h"
#include "removal_impl.h"

#define REMOVED	"mailhaul-removed"	/* one mailbox a day below it */

/* Removal rows of a mailbox that are in that state, in the order of UIDs; state
 * 0: of this pass only. */
static int
load(struct merging *g, int64_t state, struct err *e)
{
	struct lane *l = g->l;
	sqlite3_stmt *st = db_query(l->reader, e, "SELECT key, uid FROM removal"
	    " WHERE mailbox_id = ?1 AND state = ?2 AND (state = 1 OR pass ="
	    " ?3) ORDER BY uid", "iii", g->p->id, state,
	    state_pass(l->run->state));
	int rc = 0;

	arena_reset(&g->arena);
	g->n = 0;
	if (st == NULL)
		return -1;
	while (g->n < MERGE_CHUNK && (rc = db_step(l->reader, st, e)) == 1) {
		struct merge_item *it = &g->items[g->n++];

		memset(it, 0, sizeof *it);
		it->key_len = (size_t)sqlite3_column_bytes(st, 0);
		it->key = arena_memdup0(&g->arena, sqlite3_column_blob(st, 0),
		    it->key_len);
		it->uid = (uint32_t)sqlite3_column_int64(st, 1);
		it->where = arena_printf(&g->arena, "uid %u at the target",
		    it->uid);
	}
	db_done(st);
	for (size_t i = 0; i < g->n && rc != -1; i++) {
		struct merge_item *it = &g->items[i];

		rc = merge_load(l->reader, g->p->id, l->account->row.id, it,
		    &g->arena, e);
		if (rc == 0)
			it->state = MERGE_ENDED;
	}
	return rc == -1 ? -1 : 0;
}

/* In the state: items OPEN are begun, FINAL ones are gone from the target, of
 * the ENDED ones nothing more is wanted. */
struct note_arg { struct merging *g; };

static int
apply_note(struct db *db, void *arg, struct err *e)
{
	struct merging *g = ((struct note_arg *)arg)->g;

	for (size_t i = 0; i < g->n; i++) {
		const struct merge_item *it = &g->items[i];

		if (it->state == MERGE_OPEN) {
			if (db_run(db, e, "UPDATE removal SET state = 1 WHERE"
			    " mailbox_id = ?1 AND key = ?2", "ib", g->p->id,
			    it->key, it->key_len) == -1)
				return -1;
			continue;
		}
		if (it->state == MERGE_FINAL && (db_run(db, e, "DELETE FROM"
		    " extra WHERE mailbox_id = ?1 AND uid = ?2", "ii",
		    g->p->id, (int64_t)it->uid) == -1 ||
		    db_run(db, e, "DELETE FROM flagging WHERE mailbox_id = ?1"
		    " AND key = ?2", "ib", g->p->id, it->key, it->key_len) ==
		    -1 || db_run(db, e, "DELETE FROM message WHERE mailbox_id"
		    " = ?1 AND key = ?2 AND tgt_uid = ?3", "ibi", g->p->id,
		    it->key, it->key_len, (int64_t)it->uid) == -1))
			return -1;
		if (db_run(db, e, "DELETE FROM removal WHERE mailbox_id = ?1"
		    " AND key = ?2", "ib", g->p->id, it->key, it->key_len) ==
		    -1)
			return -1;
	}
	return 0;
}

static int
note(struct merging *g, struct err *e)
{
	struct note_arg arg = { g };

	if (g->c != NULL)
		changes_post(g->l->run->state, &g->c);
	return state_call(g->l->run->state, apply_note, &arg, e);
}

/* Which of them may go: OPEN; what is gone already is FINAL. */
static void
decide(struct merging *g)
{
	for (size_t i = 0; i < g->n; i++) {
		struct merge_item *it = &g->items[i];

		if (it->state != MERGE_OPEN)
			continue;
		if (!it->there)
			it->state = MERGE_FINAL;
		else if (!fault_mutated("removal-unchanged") && (!it->same ||
		    (it->changes & ROW_TOUCHED) ||
		    flags_touched(&it->sides.tgt_row, &it->sides.tgt,
		    it->changes & CHANGE_KEYWORDS))) {
			it->state = MERGE_ENDED;
			merging_issue(g, it, "kept", "was deleted at the "
			    "source; its copy was changed at the target, and "
			    "stays");
		}
	}
}

static size_t
still_to_go(const struct merging *g, uint32_t *uids)
{
	size_t n = 0;

	for (size_t i = 0; i < g->n; i++)
		if (g->items[i].state == MERGE_OPEN)
			uids[n++] = g->items[i].uid;
	return n;
}

/* Marks those that nobody changes meanwhile, and expunges these. */
static int
expunge(struct merging *g, uint32_t *uids, size_t n, struct err *e)
{
	struct flag_change *c = xcalloc(n, sizeof *c);
	size_t k = 0;
	int rc;

	for (size_t i = 0; i < n; i++) {
		c[i].uid = uids[i];
		c[i].add = MSG_DELETED;
		c[i].unchanged_since = g->modseq;
	}
	rc = target_change_flags(g->l->tgt, c, n, e);
	for (size_t i = 0; i < n && rc == 0; i++)
		if (c[i].result == FLAG_DONE)
			uids[k++] = uids[i];
	fault_point("removal.marked");
	if (rc == 0 && k > 0)
		rc = target_expunge(g->l->tgt, uids, k, e);
	free(c);
	return rc;
}

/* With dest, else for good. */
static int
remove_chunk(struct merging *g, const char *dest, struct err *e)
{
	struct lane *l = g->l;
	uint32_t uids[MERGE_CHUNK];
	struct folder_state st;
	size_t n;
	int64_t op;
	int rc;

	if (merging_look(g, e) == -1)
		return -1;
	decide(g);
	if (note(g, e) == -1)
		return -1;
	n = still_to_go(g, uids);
	if (n == 0)
		return 0;
	for (size_t i = 0; i < g->n; i++)
		if (g->items[i].state == MERGE_FINAL)
			g->items[i].state = MERGE_ENDED;
	if (op_begin(l->run->state, l->account->row.id, g->p->id, "remove",
	    g->p->tgt_name, dest, &op, e) == -1 ||
	    lane_target_again(l, e) == -1)
		return -1;
	fault_point("removal.planned");
	rc = target_folder_open(l->tgt, g->p->tgt_name, &st, e);
	if (rc == 0 || (rc == 1 && st.uidvalidity != g->uidvalidity))
		rc = err_retry(e, ERR_MAILBOX, "is another mailbox at the "
		    "target since a moment ago");
	if (rc == 1)
		rc = dest != NULL ? target_move(l->tgt, uids, n, dest, e) :
		    expunge(g, uids, n, e);
	target_folder_close(l->tgt);
	if (rc == -1)
		return -1;
	fault_point("removal.done");
	if (merging_look(g, e) == -1)
		return -1;
	for (size_t i = 0; i < g->n; i++) {
		struct merge_item *it = &g->items[i];

		if (it->state != MERGE_OPEN)
			continue;
		it->state = it->there ? MERGE_ENDED : MERGE_FINAL;
		if (it->there)
			merging_issue(g, it, "kept", "was deleted at the "
			    "source; its copy was changed at the target just "
			    "then, and stays");
	}
	if (note(g, e) == -1 || op_done(l->run->state, op, e) == -1)
		return -1;
	fault_point("removal.noted");
	return lane_target_again(l, e) == -1 ? -1 : 0;
}

static struct merging *
merging_of(struct lane *l, struct pair *p, struct err *e)
{
	struct merging *g = xcalloc(1, sizeof *g);
	int64_t v;

	g->l = l;
	g->p = p;
	arena_init(&g->arena);
	if (db_number(l->reader, e, &v, 0, "SELECT tgt_uidvalidity FROM"
	    " mailbox WHERE id = ?1", "i", p->id) == -1) {
		free(g);
		return NULL;
	}
	g->uidvalidity = (uint32_t)v;
	l->mailbox_id = p->id;
	return g;
}

static void
merging_end(struct merging *g)
{
	changes_free(g->c);
	arena_release(&g->arena);
	g->l->mailbox_id = 0;
	free(g);
}

/* The mailbox of the day that the pass began, made if it is not there. */
static int
removed_mailbox(struct lane *l, const char **name, struct err *e)
{
	struct arena *a = &l->account->arena;
	const char *path[2] = { REMOVED, NULL };
	struct folder_state st;
	int64_t started, op;
	char day[32] = "";
	bool encoded;
	struct tm tm;
	time_t t;
	int rc;

	if (db_number(l->reader, e, &started, 0, "SELECT started FROM pass"
	    " WHERE id = ?1", "i", state_pass(l->run->state)) == -1)
		return -1;
	t = (time_t)started;
	if (gmtime_r(&t, &tm) == NULL || strftime(day, sizeof day, "%Y-%m-%d",
	    &tm) == 0)
		return err_set(e, ERR_RUN, "the clock is wrong");
	path[1] = day;
	if (target_name(l->tgt, a, path, 2, name, &encoded, e) == -1)
		return -1;
	rc = target_folder_open(l->tgt, *name, &st, e);
	target_folder_close(l->tgt);
	if (rc != 0)
		return rc == -1 ? -1 : 0;
	if (op_begin(l->run->state, l->account->row.id, 0, "create-removed",
	    *name, NULL, &op, e) == -1 ||
	    target_folder_create(l->tgt, *name, 0, e) == -1)
		return -1;
	return op_done(l->run->state, op, e);
}

static int
remove_from(struct lane *l, struct pair *p, const char *dest, struct err *e)
{
	struct merging *g = merging_of(l, p, e);
	uint64_t n = 0;
	int rc = g == NULL ? -1 : 0;

	while (rc == 0 && (rc = load(g, 0, e)) == 0 && g->n > 0) {
		if (lane_leaving(l)) {
			rc = err_retry(e, ERR_RUN, "stopped");
			e->cause = CAUSE_CANCELLED;
		} else
			rc = remove_chunk(g, dest, e);
		n += g->n;
	}
	if (rc == 0 && n > 0 && dest != NULL)
		lane_note(l, "removed", dest, "messages that were deleted at "
		    "the source are in %s", dest);
	if (g != NULL)
		merging_end(g);
	return rc;
}

/* Is there something to be removed, and no more than the account's limit? */
static int
may_remove(struct lane *l, bool *may, struct err *e)
{
	int64_t n, all;

	if (db_number(l->reader, e, &n, 0, "SELECT count(*) FROM removal JOIN"
	    " mailbox ON mailbox.id = mailbox_id WHERE account_id = ?1 AND"
	    " removal.pass = ?2 AND state = 0", "ii", l->account->row.id,
	    state_pass(l->run->state)) == -1 ||
	    db_number(l->reader, e, &all, 0, "SELECT count(*) FROM message JOIN"
	    " mailbox ON mailbox.id = mailbox_id WHERE account_id = ?1 AND"
	    " message.outcome IN (1, 2)", "i", l->account->row.id) == -1)
		return -1;
	*may = n > 0;
	if ((uint64_t)n > removal_limit(l, (uint64_t)all) &&
	    !fault_mutated("removal-limit")) {
		lane_note(l, "warn", "delete", "%" PRId64 " of %" PRId64
		    " messages of the account were deleted at the source: "
		    "nothing is removed at the target; --delete-limit allows "
		    "more", n, all);
		*may = false;
	}
	return 0;
}

/* With --delete-mailboxes alone nothing is removed for good. */
static bool
moves(const struct lane *l)
{
	return l->run->set->delete != DELETE_EXPUNGE;
}

/* Can this target do what is asked for? */
static bool
can_remove(struct lane *l)
{
	bool move = moves(l);
	struct target_caps caps;

	target_caps(l->tgt, &caps);
	if (caps.bits & (move ? TGT_MOVES : TGT_EXPUNGES))
		return true;
	lane_note(l, "warn", "delete", move ? "the target cannot move "
	    "messages: nothing is removed; --delete=expunge removes for good" :
	    "the target cannot expunge single messages: nothing is removed");
	return false;
}

/* Mailboxes that the source has no more: what of them is to be removed stays in
 * the list. */
static int
find_boxes(struct lane *l, struct gone_box **boxes, size_t *n, struct err *e)
{
	bool complete = true;

	if (removal_boxes(l, boxes, n, e) == -1)
		return -1;
	if (!removal_boxes_wanted(l)) {
		removal_boxes_list(l, *boxes, *n);
		*n = 0;
	}
	for (struct pair *p = l->account->pairs; p != NULL; p = p->next)
		complete = complete && p->state == PAIR_DONE;
	if (*n > 0 && !complete) {
		lane_note(l, "warn", "delete-mailboxes", "some mailboxes of "
		    "the source could not be copied: none is removed at the "
		    "target");
		*n = 0;
	}
	return *n == 0 ? 0 : removal_boxes_found(l, *boxes, *n, e);
}

int
removal_run(struct lane *l, struct err *e)
{
	const char *dest = NULL;
	struct gone_box *boxes;
	size_t n;
	bool may;

	if (find_boxes(l, &boxes, &n, e) == -1)
		return -1;
	if (n == 0 && !removal_wanted(l))
		return 0;
	if (may_remove(l, &may, e) == -1)
		return -1;
	if (may) {
		if (!can_remove(l))
			return 0;
		if (moves(l) && removed_mailbox(l, &dest, e) == -1)
			return err_ctx(e, "target");
		for (struct pair *p = l->account->pairs; p != NULL &&
		    removal_wanted(l); p = p->next)
			if (p->state == PAIR_DONE && remove_from(l, p, dest,
			    e) == -1)
				return err_ctx(e, "%.100s", p->tgt_name);
	}
	for (size_t i = 0; i < n; i++)
		if ((may && remove_from(l, &boxes[i].pair, dest, e) == -1) ||
		    ((may || boxes[i].rows == 0) && removal_box(l, &boxes[i],
		    e) == -1))
			return err_ctx(e, "%.100s", boxes[i].pair.tgt_name);
	return 0;
}

/* What is still there of what was begun: a mark of ours is taken back. */
static int
unmark(struct merging *g, struct err *e)
{
	struct flag_change c[MERGE_CHUNK];
	struct folder_state st;
	size_t n = 0;
	int rc;

	memset(c, 0, sizeof c);
	for (size_t i = 0; i < g->n; i++) {
		struct merge_item *it = &g->items[i];
		struct flag_set ours = it->sides.tgt_row;

		if (it->state != MERGE_OPEN || !it->there || !it->same ||
		    (ours.flags & MSG_DELETED))
			continue;
		ours.flags |= MSG_DELETED;
		if (flags_touched(&ours, &it->sides.tgt, it->changes &
		    CHANGE_KEYWORDS))
			continue;
		c[n].uid = it->uid;
		c[n].del = MSG_DELETED;
		c[n++].unchanged_since = g->modseq;
	}
	if (n == 0)
		return 0;
	if (lane_target_again(g->l, e) == -1)
		return -1;
	rc = target_folder_open(g->l->tgt, g->p->tgt_name, &st, e);
	if (rc == 1 && st.uidvalidity == g->uidvalidity)
		rc = target_change_flags(g->l->tgt, c, n, e);
	target_folder_close(g->l->tgt);
	return rc == -1 ? -1 : 0;
}

static int
settle_one(struct lane *l, struct pair *p, struct err *e)
{
	struct merging *g = merging_of(l, p, e);
	int rc = g == NULL ? -1 : 0;

	while (rc == 0 && (rc = load(g, 1, e)) == 0 && g->n > 0) {
		if ((rc = merging_look(g, e)) == -1 || (rc = unmark(g, e)) ==
		    -1)
			break;
		for (size_t i = 0; i < g->n; i++)
			if (g->items[i].state == MERGE_OPEN)
				g->items[i].state = g->items[i].there ?
				    MERGE_ENDED : MERGE_FINAL;
		rc = note(g, e);
		fault_point("removal.settled");
	}
	if (g != NULL)
		merging_end(g);
	return rc == 0 && lane_target_again(l, e) == -1 ? -1 : rc;
}

static int
settle_if(struct lane *l, struct pair *p, struct err *e)
{
	int64_t n;

	if (db_number(l->reader, e, &n, 0, "SELECT EXISTS (SELECT 1 FROM"
	    " removal WHERE mailbox_id = ?1 AND state = 1)", "i", p->id) == -1)
		return -1;
	/* Its own turn tells what is wrong with it. */
	return n != 0 && settle_one(l, p, e) == -1 && e->scope >
	    ERR_MAILBOX ? -1 : 0;
}

int
removal_settle(struct lane *l, struct err *e)
{
	struct gone_box *boxes;
	size_t n;

	if (removal_boxes_settle(l, e) == -1)
		return -1;
	for (struct pair *p = l->account->pairs; p != NULL; p = p->next)
		if (settle_if(l, p, e) == -1)
			return -1;
	if (removal_boxes(l, &boxes, &n, e) == -1)
		return -1;
	for (size_t i = 0; i < n; i++)
		if (settle_if(l, &boxes[i].pair, e) == -1)
			return -1;
	return 0;
}
