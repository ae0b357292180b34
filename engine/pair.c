/*
 * A pair: check the target, look, settle doubts, then walk through the source
 * mailbox.
 */
#include "pair.h"

#include <inttypes.h>
#include <string.h>

#include "account.h"
#include "base/fault.h"
#include "gone.h"
#include "log.h"
#include "look.h"
#include "merge.h"
#include "name_rows.h"
#include "parents.h"
#include "removal.h"
#include "rollback.h"
#include "stage.h"
#include "uids.h"
#include "walk.h"

#define WALKS	5	/* through a mailbox that changes under us */

/*
 * Makes the mailbox.  Some servers make those above it as well, as mailboxes
 * that mail can be put into: these are ours then, and an op names each.
 */
static int
create_mailbox(struct walk *w, struct err *e)
{
	struct lane *l = w->l;
	struct parents up;
	struct err ignored;
	int64_t op;

	if (parents_begin(l, &w->arena, w->p->id, w->p->tgt_name, &up, e) ==
	    -1 || op_begin(l->run->state, l->account->row.id, w->p->id,
	    "create", w->p->tgt_name, NULL, &op, e) == -1)
		return -1;
	if (target_folder_create(l->tgt, w->p->tgt_name, w->p->special_use,
	    e) == -1) {
		/* A clear no: nothing was made, and another name may be
		 * given to it. */
		if (e->scope <= ERR_MAILBOX && !e->retry &&
		    op_drop(l->run->state, op, &ignored) == 0)
			parents_not_made(l, &up, &ignored);
		return -1;
	}
	if (parents_made(l, &up, e) == -1)
		return -1;
	return op_done(l->run->state, op, e);
}

/* Opens the target mailbox, making it if it is not there. */
static int
open_target_mailbox(struct walk *w, struct folder_state *f, struct err *e)
{
	struct row_target none = { 0, 0, 0, 0 };
	struct lane *l = w->l;
	struct pair *p = w->p;
	int rc;

	if (mailbox_load(l->reader, p->id, &w->row, e) == -1)
		return -1;
	rc = target_folder_open(l->tgt, p->tgt_name, f, e);
	if (rc != 0)
		return rc == 1 ? 0 : -1;
	if (w->row.rows > 0 || w->row.extras > 0 ||
	    w->row.target.uidvalidity != 0) {
		if (strcmp(l->account->row.stage, "released") == 0)
			return err_set(e, ERR_MAILBOX, "the target mailbox is "
			    "gone; it is released, so nothing is done");
		lane_note(l, "warn", NULL, "the target mailbox was gone: it "
		    "is made and filled anew");
		if (mailbox_void(l->run->state, p->id, e) == -1)
			return -1;
		buf_release(&w->row.token);
		if (mailbox_load(l->reader, p->id, &w->row, e) == -1)
			return -1;
	}
	if (create_mailbox(w, e) == -1 ||
	    mailbox_set_target(l->run->state, p->id, &none, true, e) == -1)
		return -1;
	rc = target_folder_open(l->tgt, p->tgt_name, f, e);
	if (rc == 0)
		return err_set(e, ERR_MAILBOX, "was created at the target "
		    "and is not there");
	return rc == 1 ? 0 : -1;
}

int
pair_check_target(struct walk *w, const struct folder_state *f, uint32_t *from,
    bool *changed, struct err *e)
{
	struct lane *l = w->l;
	struct row_mailbox *row = &w->row;
	const char *why = NULL;

	*changed = false;
	*from = row->target.uidnext;
	if (row->target.uidvalidity != 0 &&
	    row->target.uidvalidity != f->uidvalidity)
		why = "the target mailbox has another UIDVALIDITY than in the "
		    "last pass: everything is compared again";
	else if (f->uidnext != 0 && f->uidnext < row->target.uidnext)
		why = "the target mailbox was rolled back: everything is "
		    "compared again";
	if (why == NULL)
		return 0;
	if (strcmp(l->account->row.stage, "released") == 0)
		return err_set(e, row->target.uidvalidity == f->uidvalidity ?
		    ERR_ACCOUNT : ERR_MAILBOX, "%s; it is released, so "
		    "nothing is done", why);
	lane_note(l, "warn", NULL, "%s", why);
	if (mailbox_void(l->run->state, w->p->id, e) == -1)
		return -1;
	row->rows = row->extras = 0;
	row->target.uidvalidity = row->target.uidnext = 0;
	*from = 0;
	*changed = true;
	return 0;
}

int
pair_target_again(struct walk *w, struct err *e)
{
	struct folder_state again;
	int rc;

	rc = lane_target_again(w->l, e);
	if (rc == 1 && (rc = target_folder_open(w->l->tgt, w->p->tgt_name,
	    &again, e)) == 0)
		rc = err_retry(e, ERR_MAILBOX, "is gone from the target");
	return rc == -1 ? -1 : 0;
}

/*
 * Before release a message that is gone is a loss; an extra that is gone must
 * not be taken for a copy.
 */
static int
find_losses(struct walk *w, bool *changed, struct err *e)
{
	struct lane *l = w->l;
	uint64_t lost;

	if (look_for_lost(l, w->p, &lost, e) == -1 || (w->row.unlocated &&
	    (look_closer(l, w->p, 0, e) == -1 ||
	    messages_void_unlocated(l->run->state, l->account->row.id,
	    w->p->id, &lost, e) == -1)))
		return -1;
	*changed = true;
	if (lost > 0)
		lane_note(l, "warn", NULL, "%" PRIu64 " messages that were "
		    "copied are no longer at the target: copied again", lost);
	return 0;
}

/*
 * Before the first store: everything at the target is in a row or an extra,
 * and nothing of ours is in doubt.  1: go on; 0: wait until p->due_ms.
 */
static int
look_first(struct walk *w, struct folder_state *f, bool *changed,
    struct err *e)
{
	struct lane *l = w->l;
	struct pair *p = w->p;
	struct row_mailbox *row = &w->row;
	uint64_t found = 0, settle_ms, doubt_ms;
	struct target_caps caps;
	int64_t extras;
	uint32_t from;
	bool all, prompt;

	if (pair_check_target(w, f, &from, changed, e) == -1 ||
	    (!*changed && rollback_possible(row, f) &&
	    rollback_check(w, &from, changed, e) == -1))
		return -1;
	if (!fault_mutated("look") && f->messages > 0 && (from == 0 ||
	    f->uidnext == 0 || f->uidnext > from || row->intents > 0) &&
	    look(l, p, from, p->looked_twice, &found, e) == -1)
		return -1;
	/* What was found may have been a copy whose UID was not told, or one
	 * that came after the strict matches were taken. */
	if (found > 0) {
		if (row->unlocated || p->adopted)
			p->unmatched = true;
		if (extras_untaken(l->reader, p->id, &extras, e) == -1)
			return -1;
		row->extras = (uint64_t)extras;
	}
	if (f->messages < row->rows + row->extras &&
	    !stage_keeps_deleted(l) &&
	    !fault_mutated("look") && find_losses(w, changed, e) == -1)
		return -1;
	if (row->intents > 0) {
		if (intents_accounted(l->reader, p->id, &all, e) == -1)
			return -1;
		/* What the server altered may be told by its content only. */
		if (!all && !fault_mutated("look") &&
		    (look_closer(l, p, from, e) == -1 ||
		    intents_accounted(l->reader, p->id, &all, e) == -1))
			return -1;
	}
	if (pair_target_again(w, e) == -1)
		return -1;
	if (row->intents > 0) {
		doubt_ms = p->doubt_ms ? p->doubt_ms : l->run->start_ms;
		settle_ms = l->run->set->settle_ms;
		/* Files do not come late. */
		target_caps(l->tgt, &caps);
		prompt = (caps.bits & TGT_PROMPT) != 0;
		if (!all && !prompt && !fault_mutated("look") &&
		    (!p->looked_twice || now_ms() < doubt_ms + settle_ms)) {
			p->due_ms = doubt_ms + settle_ms;
			p->looked_twice = true;
			return 0;
		}
		/* Whatever else broke it: where messages can, they count. */
		if (intents_settle(l->run->state, p->id, !all &&
		    !(caps.bits & TGT_NO_SESSION) && p->doubt_ms != 0, e) ==
		    -1)
			return -1;
		*changed = true;
	}
	return 1;
}

/* Nothing changed at the source, nothing at the target: the books stand. */
static int
unchanged(struct walk *w, struct err *e)
{
	struct lane *l = w->l;
	struct mailbox_end end = { .id = w->p->id, .outcome = "done",
	    .pass = state_pass(l->run->state), .token = w->row.token.ptr,
	    .token_len = w->row.token.len };

	lane_met(l, w->row.source);
	lane_flush_notes(l);
	return mailbox_put_end(l->run->state, &end, e);
}

/*
 * A loose match needs contents: where source messages are left that nothing
 * equals, what the target's index told of is read after all.
 */
static int
look_for_loose(struct walk *w, struct err *e)
{
	if (!w->p->unmatched || fault_mutated("look"))
		return 0;
	if (look_closer(w->l, w->p, 0, e) == -1)
		return -1;
	return pair_target_again(w, e);
}

static void
log_begin(struct lane *l, const struct pair *p, const struct folder_state *f)
{
	const struct log_about about = { l->account->name, p->src_name,
	    l->account->tgt_uri->host, NULL };

	log_event(state_log(l->run->state), LOG_ACCOUNT, "mailbox-begin",
	    &about, "to %s, UIDVALIDITY %" PRIu32 ", UIDNEXT %" PRIu32 ", %"
	    PRIu64 " messages there", p->tgt_name, f->uidvalidity, f->uidnext,
	    f->messages);
}

bool
pair_blames_host(struct pair *p)
{
	if (p->tries == 0 || p->held >= PAIR_TRIES)
		return false;
	p->held++;
	return true;
}

bool
pair_changed(struct pair *p, struct folder_info *f, const struct err *e)
{
	if (e->scope != ERR_MAILBOX || e->cause != CAUSE_CHANGED || !e->retry)
		return false;
	if (p != NULL)
		p->stable = true;
	f->stable = true;
	return true;
}

/*
 * Once through the open source mailbox: everything is sent or known.  1: the
 * source changed meanwhile, in a way that leaves nothing in doubt.
 */
static int
walk_once(struct walk *w, struct folder_state *f, struct err *e)
{
	struct lane *l = w->l;
	bool stable = w->p->stable, changed = false;
	struct err end;
	int64_t extras;
	int rc, ended;

	if (extras_untaken(l->reader, w->p->id, &extras, e) == -1)
		return -1;
	w->extras = extras > 0;
	if (w->extras && !w->p->adopted && !fault_mutated("look")) {
		/* Without SHA-1 on this side an unread extra equals nothing,
		 * and strict matches must not come late. */
		if (!measure_gives_sha1(l->measure) && (look_closer(l, w->p,
		    0, e) == -1 || pair_target_again(w, e) == -1))
			return -1;
		if (walk_adopt(w, e) == -1)
			return pair_changed(w->p, w->folder, e) ? 1 : -1;
		if (extras_untaken(l->reader, w->p->id, &extras, e) == -1)
			return -1;
		w->extras = extras > 0;
	}
	if (w->extras && look_for_loose(w, e) == -1)
		return -1;
	if (uids_begin(w, f, e) == -1)
		return -1;
	work_begin(l, w->p, f, w->keep_uids, &w->tally);
	rc = walk_all(w, e);
	if (rc == -1)
		changed = pair_changed(w->p, w->folder, e);
	ended = work_end(l, &end);
	f->uidnext = work_uidnext(l);
	if (rc == 0 && ended == -1)
		*e = end;
	if (w->c != NULL)
		changes_post(l->run->state, &w->c);
	if (ended == -1)
		return -1;
	if (rc == -1)
		return changed ? 1 : -1;
	if (stable == w->p->stable)
		return 0;
	/* A message that was sent later than it was read had changed. */
	err_retry(e, ERR_MAILBOX, "the source changed while it was read");
	e->cause = CAUSE_CHANGED;
	w->folder->stable = true;
	return 1;
}

/* The source mailbox, opened before it is known whether the target's is
 * needed. */
struct early {
	bool		 open;
	enum delta	 delta;
};

/* Were messages refused that are to be tried again in any case, or changes of
 * flags left that are wanted now? */
static bool
asks_again(const struct walk *w)
{
	return (w->l->run->set->retry_refused &&
	    w->row.counts[OUT_REFUSED] > 0) ||
	    (token_unmerged(&w->row.token) && merge_wanted(w->l)) ||
	    (token_gone(&w->row.token) && removal_wanted(w->l));
}

/* Notes about what rules leave out count all of it, and what was \Deleted need
 * not be for ever. */
static void
ask_for_new(struct walk *w, bool use_token)
{
	bool excluded = w->row.counts[OUT_EXCLUDED] != 0;
	bool merge = merge_wanted(w->l);

	w->folder->some = use_token && !excluded;
	w->folder->some_flags = merge;
	w->folder->by_flags = excluded || merge;
}

/*
 * Does the target's list say that nothing has to be looked at there (the
 * conditions are those of look_first()), and the source that nothing is new?
 * Then the target mailbox is not even opened.  1: the pair is done.
 */
static int
unopened(struct walk *w, struct early *early, struct err *e)
{
	const struct folder_state *f = w->p->seen;
	struct row_mailbox *row = &w->row;
	struct buf token;
	int rc = 0;

	w->p->seen = NULL;
	if (f == NULL || f->uidnext == 0 || f->messages == UNKNOWN64) {
		buf_release(&row->token);
		return 0;
	}
	buf_init(&token, 1 << 20);
	if (row->complete && row->intents == 0 &&
	    row->target.uidvalidity != 0 &&
	    row->target.uidvalidity == f->uidvalidity &&
	    row->target.uidnext == f->uidnext && !rollback_possible(row, f) &&
	    f->messages >= row->rows + row->extras &&
	    !asks_again(w) && token_unwrap(w->l->run->set, w->l->refusal_rule,
	    &row->token, &token)) {
		ask_for_new(w, true);
		rc = source_folder_open(w->l->src, w->folder, &token, 0,
		    &early->delta, e);
		early->open = rc == 0;
		if (rc == -1 && pair_changed(w->p, w->folder, e))
			rc = 0;		/* its turn comes */
	}
	buf_release(&token);
	if (early->open && early->delta == DELTA_UNCHANGED) {
		log_begin(w->l, w->p, f);
		rc = unchanged(w, e) == -1 ? -1 : 1;
	} else if (early->open && w->l->account->src_uri->host == NULL) {
		/* Nobody's file is held while the target is looked at. */
		source_folder_close(w->l->src);
		early->open = false;
	}
	buf_release(&row->token);
	return rc;
}

/* With both mailboxes open and all doubts settled. */
static int
copy_pair(struct walk *w, const struct folder_state *f, bool changed,
    const struct early *early, struct err *e)
{
	struct lane *l = w->l;
	struct row_target seen = { f->uidvalidity, f->uidnext, f->modseq,
	    f->messages };
	enum delta delta;
	struct folder_state now = *f;
	struct buf token;
	struct work_uids done;
	bool use_token;
	int rc;

	log_begin(l, w->p, f);
	if (mailbox_set_target(l->run->state, w->p->id, &seen, false, e) == -1)
		return -1;
	if (w->row.flagging && merge_settle(w, f, e) == -1)
		return -1;
	buf_init(&token, 1 << 20);
	use_token = w->row.complete && !changed &&
	    !asks_again(w) &&
	    token_unwrap(l->run->set, l->refusal_rule, &w->row.token, &token);
	for (unsigned tries = 1;; tries++) {
		if (early->open && use_token) {
			delta = early->delta;
			rc = 0;
		} else {
			source_folder_close(l->src);
			ask_for_new(w, use_token);
			rc = source_folder_open(l->src, w->folder, use_token ?
			    &token : NULL, 0, &delta, e);
		}
		if (rc == -1)
			rc = pair_changed(w->p, w->folder, e) ? 1 : -1;
		else if (delta == DELTA_UNCHANGED)
			break;
		else if ((w->some = delta == DELTA_SOME) &&
		    (rc = gone_begin(w, e)) == 0) {
			use_token = false;	/* all of it, then */
			tries--;
			continue;
		} else if (rc != -1)
			rc = walk_once(w, &now, e);
		if (rc != 1 || tries == WALKS)
			break;
		lane_note(l, "warn", "changed", "the source mailbox was "
		    "rewritten while it was read: it is read again, from a "
		    "copy");
		source_folder_close(l->src);
		use_token = false;
		w->row.any_row = true;
		/* What this walk posted must be seen by the next. */
		if ((rc = state_sync(l->run->state, e)) == -1)
			break;
	}
	buf_release(&token);
	if (rc != 0)
		return -1;
	if (delta == DELTA_UNCHANGED)
		return unchanged(w, e);
	work_uids(l, &done);
	if (merge_run(w, &now, e) == -1)
		return -1;
	if (uids_end(w, &done, e) == -1)
		return -1;
	return walk_end(w, e);
}

enum pair_end
pair_run(struct lane *l, struct pair *p, struct err *e)
{
	struct early early = { .open = false };
	struct folder_state f;
	enum pair_end end = PAIR_ERROR;
	bool changed = false;
	struct walk w;
	int rc = -1;

	walk_begin(&w, l, p);
	/* What the last try posted, maybe on another lane, must be seen. */
	if (p->begun && state_sync(l->run->state, e) == -1) {
		walk_release(&w);
		return PAIR_ERROR;
	}
	p->begun = true;
	w.folder = account_folder(l, p, e);
	if (w.folder != NULL)
		w.folder->stable = p->stable;
	if (w.folder != NULL && mailbox_load(l->reader, p->id, &w.row, e) ==
	    0 && pair_rekey(l, p, w.folder, &w.row, e) == 0)
		rc = unopened(&w, &early, e);
	if (rc == 1)
		end = PAIR_ENDED;
	else if (rc == 0 && open_target_mailbox(&w, &f, e) == 0) {
		p->opened = true;
		rc = look_first(&w, &f, &changed, e);
		if (rc == 0)
			end = PAIR_WAIT;
		else if (rc == 1 && copy_pair(&w, &f, changed, &early, e) ==
		    0)
			end = PAIR_ENDED;
	}
	if (end == PAIR_ERROR) {
		if (work_take_doubt(l, p)) {
			p->doubt_ms = now_ms();
			p->looked_twice = false;
		}
		if (e->cause == CAUSE_CANCELLED)
			end = PAIR_STOPPED;
		if (e->cause == CAUSE_BROKEN && e->scope == ERR_HOST &&
		    !pair_blames_host(p))
			e->scope = ERR_MAILBOX;
	}
	if (w.folder != NULL)
		w.folder->some = w.folder->some_flags =
		    w.folder->by_flags = false;
	walk_release(&w);
	return end;
}

int
pair_check_doubles(struct lane *l, struct pair *p, struct err *e)
{
	uint64_t doubles;
	int64_t n;

	if (db_number(l->reader, e, &n, 0, "SELECT count(*) FROM intent WHERE"
	    " mailbox_id = ?1 AND state = 1", "i", p->id) == -1)
		return -1;
	if (n == 0)
		return 0;
	return look_for_doubles(l, p, &doubles, e);
}
