/*
 * A target that already holds mail, none of which is the source's, is somebody
 * else's: nothing is copied into it.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "account.h"
#include "base/fault.h"
#include "elsewhere.h"

/* A plan does not read more strange mail than this, unless it is to count. */
#define PLAN_COMPARES 500

struct candidate {
	struct pair	*p;
	const struct folder_state *st;
};

struct comparing {
	struct candidate *v;
	size_t		 n;
	uint64_t	 left;		/* to be compared, 0: all */
	uint64_t	 there, taken;
	bool		 cut;		/* not all were compared */
	bool		 known;		/* an earlier run has found some */
	struct err	 why;		/* of a mailbox that was not, */
	bool		 unread;	/* if there is one */
};

static int
cmp_size(const void *a, const void *b)
{
	const struct candidate *x = a, *y = b;

	return x->st->messages < y->st->messages ? -1 :
	    x->st->messages > y->st->messages;
}

/* Pairs whose target mailbox holds something. */
static void
find_candidates(struct lane *l, struct account *a, struct comparing *c)
{
	c->v = arena_alloc(&a->arena, (a->npairs + 1) * sizeof *c->v);
	for (struct pair *p = a->pairs; p != NULL; p = p->next) {
		const struct target_box *box = account_box(l, a, p);

		if (box == NULL || box->st.messages == 0)
			continue;
		if (box->st.messages != UNKNOWN64)
			a->strange += box->st.messages;
		c->v[c->n++] = (struct candidate){ p, &box->st };
	}
}

/* One mailbox, to the byte.  One that cannot be read is left to its own turn,
 * which tells more. */
static int
compare_one(struct lane *l, struct comparing *c, const struct candidate *k,
    struct err *e)
{
	uint64_t there, taken;
	int rc;

	l->look_most = c->left;
	rc = pair_adopt(l, k->p, k->st, &there, &taken, e);
	l->look_most = 0;
	if (rc == 0) {
		c->there += there;
		c->taken += taken;
		if (c->left != 0 && there >= c->left)
			c->cut = true;
		else if (c->left != 0)
			c->left -= there;
		return 0;
	}
	if (e->scope > ERR_MAILBOX && (e->scope != ERR_HOST ||
	    e->cause != CAUSE_BROKEN))
		return -1;
	c->why = *e;
	c->unread = true;
	return lane_target_again(l, e) == -1 ? -1 : 0;
}

/* None of it is the source's, as far as it was compared. */
static int
strangers(struct lane *l, struct account *a, const struct comparing *c,
    struct err *e)
{
	if (c->cut) {
		a->unproven = true;
		return 0;
	}
	if (c->there == 0 && !c->unread)
		return 0;
	/* Nothing of it is to be remembered: the list may be put right. */
	for (struct pair *p = a->pairs; p != NULL; p = p->next)
		if (mailbox_void(l->run->state, p->id, e) == -1)
			return -1;
	if (c->there == 0) {
		*e = c->why;
		return err_ctx(e, "whose mail the target holds cannot be "
		    "told (existing=merge copies all the same)");
	}
	return err_set(e, ERR_ACCOUNT, "the target account holds %" PRIu64
	    " messages and none of them is the source's: is it the right one? "
	    "existing=merge copies all the same", c->there);
}

static int
compare(struct lane *l, struct account *a, struct comparing *c,
    struct err *e)
{
	bool planning = l->run->planning;

	/* Small ones first, where not all is read. */
	if (planning) {
		qsort(c->v, c->n, sizeof *c->v, cmp_size);
		if (!l->run->set->count_bytes)
			c->left = PLAN_COMPARES;
	}
	for (size_t i = 0; i < c->n && !c->cut; i++) {
		if (compare_one(l, c, &c->v[i], e) == -1)
			return -1;
		if (planning && c->taken > 0)
			break;		/* one is enough to know */
	}
	a->compared = c->there;
	if (c->taken == 0 && !c->known)
		return strangers(l, a, c, e);
	if (!planning)
		lane_note(l, "warn", "adopted", "the target already held %"
		    PRIu64 " messages, %" PRIu64 " of them equal to the "
		    "source's", c->there, c->taken);
	return 0;
}

/* A state that knows a mailbox needs no proof. */
static int
is_known(struct lane *l, struct account *a, bool *known, struct err *e)
{
	struct row_mailbox row;

	*known = false;
	for (struct pair *p = a->pairs; p != NULL && !*known; p = p->next) {
		if (mailbox_load(l->reader, p->id, &row, e) == -1)
			return -1;
		buf_release(&row.token);
		*known = row.rows > 0 || row.intents > 0;
	}
	return 0;
}

static bool
holds_mail(const struct account *a)
{
	for (size_t i = 0; i < a->view.n; i++)
		if (!a->view.boxes[i].noselect &&
		    !a->view.boxes[i].of_others &&
		    a->view.boxes[i].st.messages != 0)
			return true;
	return false;
}

struct adopt_arg { int64_t account_id, state; };

static int
apply_adopt(struct db *db, void *arg, struct err *e)
{
	const struct adopt_arg *p = arg;

	if (p->state == 1)
		return db_run(db, e, "UPDATE op SET state = 1 WHERE account_id"
		    " = ?1 AND kind = '" ADOPT "'", "i", p->account_id);
	if (db_run(db, e, "DELETE FROM elsewhere WHERE account_id = ?1", "i",
	    p->account_id) == -1)
		return -1;
	return db_run(db, e, "DELETE FROM op WHERE account_id = ?1 AND kind ="
	    " '" ADOPT "'", "i", p->account_id);
}

/* The adoption is over; -1: there was none. */
static int
adopt_put(struct lane *l, struct account *a, int64_t state, struct err *e)
{
	struct adopt_arg arg = { a->row.id, state };

	return state_call(l->run->state, apply_adopt, &arg, e);
}

int
account_existing(struct lane *l, struct account *a, struct err *e)
{
	struct comparing c = { .n = 0 };
	bool pending;
	int64_t op;

	if (l->run->set->merge_existing)
		return 0;
	if (elsewhere_load(l, a, &pending, e) == -1)
		return -1;
	if (!pending && (strcmp(a->row.stage, "new") != 0 ||
	    a->row.messages > 0))
		return 0;
	if (is_known(l, a, &c.known, e) == -1)
		return -1;
	if (c.known && !pending)
		return 0;
	find_candidates(l, a, &c);
	if (l->run->planning || !holds_mail(a))
		return a->strange > 0 ? compare(l, a, &c, e) : 0;
	/* From here on it is adopted, also if this run is cut off. */
	if (!pending && op_begin(l->run->state, a->row.id, 0, ADOPT, "", NULL,
	    &op, e) == -1)
		return -1;
	if (a->strange > 0 && compare(l, a, &c, e) == -1) {
		struct err ignored;

		/* It is somebody else's: nothing is to be remembered. */
		if (e->scope == ERR_ACCOUNT && !e->retry)
			adopt_put(l, a, -1, &ignored);
		return -1;
	}
	fault_point("adopt.compared");
	if (elsewhere_look(l, a, e) == -1 || adopt_put(l, a, 1, e) == -1)
		return -1;
	fault_point("adopt.done");
	return elsewhere_load(l, a, &pending, e);
}
