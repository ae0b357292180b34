/* One account of a plan: the steps of a copy, without what they change. */
#include "plan_impl.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "naming.h"

#define TRIES	3	/* of what may pass */

struct steps {
	struct plan	*plan;
	struct lane	*l;
	struct plan_account *pa;
	struct account	*a;
	bool		 again;		/* one of the errors may pass */
};

/* A reason why this account is not ready; -1 when it is one for all. */
static int
problem(struct steps *s, const char *kind, const struct err *why,
    struct err *e)
{
	struct lane *l = s->l;

	if (why->scope == ERR_RUN) {
		*e = *why;
		return -1;
	}
	if (why->cause == CAUSE_AUTH) {
		kind = "login";
		s->pa->refused[why->at_target] = true;
	}
	if (l->trouble == TROUBLE_NONE && why->scope == ERR_HOST)
		l->trouble = host_trouble(&l->at[why->at_target], why, false);
	s->pa->held = s->pa->held || l->trouble == TROUBLE_CAP ||
	    l->trouble == TROUBLE_HOLD;
	l->trouble = TROUBLE_NONE;
	s->again = s->again || (why->retry && why->cause != CAUSE_AUTH);
	s->pa->ready = false;
	plan_add(&s->pa->problems, &s->pa->arena, kind, NULL, why->text);
	return 0;
}

static const char *
source_kind(const struct account *a, const struct err *e)
{
	if (e->cause == CAUSE_MISSING)
		return "missing-source";
	if (a->outcome != NULL)
		return "empty";
	return e->retry || e->scope == ERR_HOST ? "source" : "changed-source";
}

/* What the stores had to say. */
static void
take_notes(struct steps *s)
{
	struct lane *l = s->l;
	const struct row_issue *i;

	for (i = l->notes != NULL ? l->notes->issues : NULL; i != NULL;
	    i = i->next)
		plan_add(&s->pa->warnings, &s->pa->arena, i->kind, NULL,
		    i->reason);
	changes_free(l->notes);
	l->notes = NULL;
}

/* Both sides as far as they go, then names and checks. */
static int
take_steps(struct steps *s, struct err *e)
{
	struct lane *l = s->l;
	struct account *a = s->a;
	bool begun, from, to;
	enum uidl_style uidls;
	struct changes *notes;
	struct err why;

	begun = account_begin(l, a, &why) == 0;
	if (!begun && problem(s, a->old_user != NULL ? "changed-user" :
	    "state", &why, e) == -1)
		return -1;
	from = account_source(l, a, &why) == 0;
	s->pa->opened[SIDE_SOURCE] |= l->src != NULL;
	if (!from) {
		s->pa->source_missing = why.cause == CAUSE_MISSING;
		if (problem(s, source_kind(a, &why), &why, e) == -1)
			return -1;
		if (s->pa->held)
			return 0;
	}
	/* What the target says of itself, before walks post it. */
	notes = l->notes;
	l->notes = NULL;
	to = account_target(l, a, &why) == 0;
	take_notes(s);
	l->notes = notes;
	s->pa->opened[SIDE_TARGET] |= l->tgt != NULL;
	if (l->tgt != NULL && from && target_uidls(l->tgt, &uidls) == 1)
		plan_uidls(s->pa, &a->info, uidls);
	if (!to) {
		s->pa->user_missing = why.cause == CAUSE_MISSING;
		if (problem(s, s->pa->user_missing ? "missing-user" :
		    "target", &why, e) == -1)
			return -1;
	}
	if (!begun || !to || l->src == NULL)
		return 0;
	if (account_pair(l, a, &why) == -1)
		return problem(s, why.retry ? "target" : a->old_user != NULL &&
		    a->names == NULL ? "changed-user" : "rename", &why, e);
	if (!from)
		return 0;
	if (account_check(l, a, &why) == -1)
		return problem(s, why.retry ? "target" : a->strange > 0 ?
		    "strangers-mail" : "changed-source", &why, e);
	return 0;
}

static struct pair *
pair_of(const struct account *a, const char *src_key)
{
	for (struct pair *p = a->pairs; p != NULL; p = p->next)
		if (strcmp(p->src_key, src_key) == 0)
			return p;
	return NULL;
}

static int
count_done(struct lane *l, int64_t id, uint64_t *n, struct err *e)
{
	int64_t v;

	if (db_number(l->reader, e, &v, 0, "SELECT copied + present + refused"
	    " FROM mailbox WHERE id = ?1", "i", id) == -1)
		return -1;
	*n = (uint64_t)v;
	return 0;
}

static int
fill_box(struct steps *s, size_t i, struct plan_box *b, struct err *e)
{
	struct account *a = s->a;
	struct arena *arena = &s->pa->arena;
	struct folder_info *f = &s->l->folders[i];
	const struct naming *m = a->names != NULL ? &a->names[i] : NULL;
	const struct pair *p = pair_of(a, s->l->folder_keys[i]);
	const struct target_box *box = p != NULL && a->viewed ?
	    account_box(s->l, a, p) : NULL;
	struct err why;

	b->name = arena_strdup(arena, f->name);
	b->action = "copy";
	b->there = a->viewed && p != NULL ? box != NULL ? box->st.messages :
	    0 : UNKNOWN64;
	if (m != NULL) {
		b->action = m->outcome != NULL ? m->outcome : "copy";
		b->why = m->why != NULL ? arena_strdup(arena, m->why) : NULL;
		b->target = m->name != NULL ? arena_strdup(arena, m->name) :
		    NULL;
		b->old = m->old != NULL ? arena_strdup(arena, m->old) : NULL;
		b->encoded = m->encoded;
		b->collided = m->collided;
		b->special_use = m->rule.use;
	}
	s->l->probing = true;
	if (plan_size(s->plan, s->l, f, m != NULL ? m->id : 0, &b->size,
	    &why) == -1) {
		s->l->probing = false;
		if (why.scope == ERR_RUN) {
			*e = why;
			return -1;
		}
		b->why = arena_strdup(arena, why.text);
		plan_add(&s->pa->warnings, arena, "unreadable", b->name,
		    why.text);
	}
	s->l->probing = false;
	if (strcmp(b->action, "unreadable") == 0 ||
	    strcmp(b->action, "failed") == 0)
		plan_add(&s->pa->warnings, arena, b->action, b->name, b->why);
	return m != NULL && m->id != 0 ? count_done(s->l, m->id, &b->done,
	    e) : 0;
}

static int
fill_boxes(struct steps *s, struct err *e)
{
	struct plan_account *pa = s->pa;
	struct lane *l = s->l;

	pa->size = (struct plan_size){ 0, 0, 0, true };
	if (l->src == NULL)
		return 0;
	pa->boxes = arena_zalloc(&pa->arena, (l->nfolders + 1) *
	    sizeof *pa->boxes);
	for (size_t i = 0; i < l->nfolders; i++) {
		struct plan_box *b = &pa->boxes[pa->nboxes];

		if (l->folders[i].noselect)
			continue;
		if (fill_box(s, i, b, e) == -1)
			return -1;
		pa->nboxes++;
		if (strcmp(b->action, "copy") != 0)
			continue;
		plan_size_add(&pa->size, &pa->uncounted, &b->size);
		pa->done += b->done;
	}
	return 0;
}

/* What is left to be copied, and does it fit the target's quota? */
static void
check_quota(struct plan_account *pa)
{
	double share = 1, left, need;

	/* With another rule copy gives the limit that the mail needs. */
	if (pa->account->quota.mode != QUOTA_KEEP ||
	    pa->target_quota == UNKNOWN64 || pa->target_quota == 0 ||
	    pa->target_used == UNKNOWN64)
		return;
	if (pa->size.messages > 0)
		share = pa->done >= pa->size.messages ? 0 : 1 -
		    (double)pa->done / (double)pa->size.messages;
	need = (double)pa->size.crlf_bytes * share;
	left = (double)pa->target_quota - (double)pa->target_used;
	if (need <= left)
		return;
	pa->ready = false;
	plan_addf(&pa->problems, &pa->arena, "quota", NULL, "about %.0f bytes "
	    "are to be copied, the target's quota of %" PRIu64 " leaves %.0f",
	    need, pa->target_quota, left > 0 ? left : 0);
}

static void
fill_target(struct steps *s)
{
	struct plan_account *pa = s->pa;
	struct account *a = s->a;

	pa->to_create = a->user_missing;
	if (a->user_missing)
		plan_add(&pa->warnings, &pa->arena, "create", NULL, "there is "
		    "no such user at the target: he will be created");
	if (!a->viewed)
		return;
	pa->target_quota = a->view.quota_bytes;
	pa->target_used = a->view.quota_used;
	pa->target_boxes = a->view.n;
	pa->target_messages = 0;
	for (size_t i = 0; i < a->view.n; i++)
		if (!a->view.boxes[i].of_others &&
		    a->view.boxes[i].st.messages != UNKNOWN64)
			pa->target_messages += a->view.boxes[i].st.messages;
	plan_sieve(pa, &a->view);
	if (a->user_missing)
		pa->target_quota = pa->target_used = UNKNOWN64;
	if (a->unproven) {
		pa->ready = false;
		plan_addf(&pa->problems, &pa->arena, "strangers-mail", NULL,
		    "the target already holds %" PRIu64 " messages that the "
		    "state does not know, and of the %" PRIu64 " that were "
		    "compared none is the source's: is it the right one? copy "
		    "compares all of them before it stores anything, and so "
		    "does plan --count-bytes", a->strange, a->compared);
	} else if (a->strange > 0 && pa->ready)
		plan_addf(&pa->warnings, &pa->arena, "holds-mail", NULL,
		    "the target already holds %" PRIu64 " messages that the "
		    "state does not know: copy compares them with the source "
		    "before it stores anything", a->strange);
	check_quota(pa);
}

static void
forget(struct plan_account *pa)
{
	struct account *a = pa->account;

	arena_reset(&pa->arena);
	pa->ready = true;
	pa->again = false;
	pa->source_missing = pa->user_missing = pa->to_create = false;
	pa->problems = pa->warnings = (struct plan_lines){ NULL, NULL };
	pa->boxes = NULL;
	pa->nboxes = 0;
	pa->uncounted = pa->done = 0;
	pa->source_quota = pa->target_quota = pa->target_used = UNKNOWN64;
	pa->target_boxes = pa->target_messages = UNKNOWN64;
	a->outcome = NULL;
	memset(&a->info, 0, sizeof a->info);
	a->info.quota_bytes = UNKNOWN64;
}

void
plan_not_looked(struct plan_account *pa, const char *kind, bool again,
    const char *fmt, ...)
{
	char text[480];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	forget(pa);
	pa->ready = false;
	pa->again = again;
	plan_add(&pa->problems, &pa->arena, kind, NULL, text);
	pa->source = pa->target = "";
	pa->stage = "new";
}

int
plan_account(struct plan *plan, struct lane *l, struct plan_account *pa,
    struct err *e)
{
	struct steps s = { .plan = plan, .l = l, .pa = pa, .a = pa->account };
	char *src, *tgt;
	int rc;

	pa->held = false;
	memset(pa->opened, 0, sizeof pa->opened);
	memset(pa->refused, 0, sizeof pa->refused);
	l->trouble = TROUBLE_NONE;
	for (unsigned try = 1;; try++) {
		forget(pa);
		s.again = false;
		arena_init(&s.a->arena);
		rc = state_scratch_take(l->run->state, s.a->name, e);
		if (rc == 0)
			rc = take_steps(&s, e);
		if (rc == 0 && !pa->held)
			rc = fill_boxes(&s, e);
		pa->source_quota = s.a->info.quota_bytes;
		pa->stage = arena_strdup(&pa->arena, s.a->row.stage[0] !=
		    '\0' ? s.a->row.stage : "new");
		if (rc == 0)
			fill_target(&s);
		if (rc == 0 && !pa->held)
			plan_adopt(l, pa);
		take_notes(&s);
		lane_close_stores(l);
		arena_release(&s.a->arena);
		s.a->pairs = s.a->first_open = NULL;
		s.a->names = NULL;
		pa->again = s.again;
		/* A refused login is not tried once more for something else
		 * that may pass. */
		if (rc == -1 || !s.again || try == TRIES || pa->held ||
		    pa->refused[SIDE_SOURCE] || pa->refused[SIDE_TARGET])
			break;
		lane_sleep(l, 500 << try);
	}
	src = uri_show(s.a->src_uri);
	tgt = uri_show(s.a->tgt_uri);
	pa->source = arena_strdup(&pa->arena, src);
	pa->target = arena_strdup(&pa->arena, tgt);
	free(src);
	free(tgt);
	return rc;
}
