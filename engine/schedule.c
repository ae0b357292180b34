/*
 * The choice of work for a lane: accounts that nobody has begun come first,
 * then help with those that are being copied.
 *
 * One account that would go on alone when all others have ended gets its
 * second lane early; and when no account is left to begin, lanes join those
 * that are being copied beyond what one account usually gets, where the
 * target gains from it.
 */
#include <stdlib.h>
#include <time.h>

#include "pool_impl.h"

#define PAUSE_MIN_MS	500
#define PAUSE_MAX_MS	60000
#define SOON_MS		((uint64_t)30 * 60 * 1000)	/* before a stop */
#define BOUNCES		3	/* then the account is to blame */
#define LARGE		1000	/* messages: such a pair is begun early */

uint64_t
pause_ms(unsigned tries)
{
	uint64_t ms = PAUSE_MIN_MS;

	while (tries-- > 1 && ms < PAUSE_MAX_MS)
		ms *= 2;
	if (ms > PAUSE_MAX_MS)
		ms = PAUSE_MAX_MS;
	return ms / 2 + (uint64_t)random() % ms;
}

static void
sooner(uint64_t *due, uint64_t t)
{
	if (*due == 0 || t < *due)
		*due = t;
}

/* Large mailboxes go first, so that none is left alone at the end. */
static uint64_t
weight(const struct pair *p)
{
	return p->messages != UNKNOWN64 && p->messages >= LARGE ?
	    p->messages : 0;
}

static bool
is_over(const struct pair *p)
{
	return p->state == PAIR_DONE || p->state == PAIR_FAILED;
}

struct pair *
ready_pair(struct account *a, uint64_t now, uint64_t *due, bool *open)
{
	struct pair *p = a->first_open != NULL ? a->first_open : a->pairs;
	struct pair *ready = NULL;
	bool large = false;

	*open = false;
	if (a->failed)
		return NULL;
	while (p != NULL && is_over(p))
		p = p->next;
	a->first_open = p;
	/* Of small ones the first will do. */
	for (; p != NULL && (ready == NULL || !a->no_large); p = p->next) {
		bool now_ready = p->state == PAIR_TODO;

		large = large || (weight(p) > 0 && !is_over(p));
		if (p->state == PAIR_LATER) {
			now_ready = p->due_ms <= now;
			if (!now_ready)
				sooner(due, p->due_ms);
		}
		if (p->state == PAIR_TODO || p->state == PAIR_LATER)
			*open = true;
		if (now_ready && (ready == NULL ||
		    weight(p) > weight(ready)))
			ready = p;
	}
	a->no_large = a->no_large || (a->pairs != NULL && !large);
	return ready;
}

/* Both hosts take one more lane of this account. */
static bool
has_room(const struct account *a, uint64_t now, uint64_t *due)
{
	return host_room(a->host[SIDE_SOURCE], a->lanes, now, due) &&
	    host_room(a->host[SIDE_TARGET], a->lanes, now, due);
}

static bool
given_up(const struct account *a)
{
	return host_given_up(a->host[SIDE_SOURCE]) ||
	    host_given_up(a->host[SIDE_TARGET]);
}

/* Shortly before the run has to stop nothing is begun that would not end. */
static bool
fits_in_time(const struct pool *pool, const struct account *a, uint64_t now)
{
	uint64_t left = settings_left_ms(pool->run->set, now, time(NULL));
	uint64_t soon;

	if (left == UINT64_MAX)
		return true;
	soon = (now - pool->run->start_ms + left) / 4;
	if (soon > SOON_MS)
		soon = SOON_MS;
	return left > soon || eta_account_ms(pool, a) <= left;
}

/* The first account to begin; *left counts those that are not begun, *late
 * those of them that would not end in time. */
static struct account *
to_begin(struct pool *pool, uint64_t now, uint64_t *due, size_t *left,
    size_t *late)
{
	struct account *best = NULL;

	*left = *late = 0;
	for (size_t i = 0; i < pool->n; i++) {
		struct account *a = pool->accounts[i];

		if (a->phase == ACC_PREPARING)
			++*left;
		if (a->phase != ACC_NEW)
			continue;
		++*left;
		if (!fits_in_time(pool, a, now)) {
			++*late;
			continue;
		}
		/* Those with which a host was tried in vain come last. */
		if (best != NULL && a->probed >= best->probed)
			continue;
		if (a->due_ms > now) {
			sooner(due, a->due_ms);
			continue;
		}
		if (login_free(pool->logins, a) && has_room(a, now, due))
			best = a;
	}
	return best;
}

/* How many lanes may work on it. */
static unsigned
lanes_for(const struct pool *pool, const struct account *a, bool idle)
{
	const struct settings *set = pool->run->set;

	if (a->one_session)
		return 1;
	if (idle && set->spread && !a->one_writer)
		return set->lanes;
	return set->lanes_per_account;
}

/* An account to help with; *needy: it would be left alone at the end. */
static struct account *
to_help(struct pool *pool, uint64_t now, bool idle, uint64_t *due,
    bool *needy)
{
	struct account *best = NULL;
	uint64_t all = 0, most = 0, share;
	bool open;

	for (size_t i = 0; i < pool->n; i++) {
		struct account *a = pool->accounts[i];

		if (a->phase == ACC_ENDED)
			continue;
		all += eta_left(a);
		if (a->phase != ACC_ACTIVE)
			continue;
		if (a->due_ms > now) {
			sooner(due, a->due_ms);
			continue;
		}
		if (a->lanes >= lanes_for(pool, a, idle) ||
		    (ready_pair(a, now, due, &open) == NULL &&
		    (open || a->lanes > 0)) || !has_room(a, now, due))
			continue;
		/* Without an open pair it only wants its end. */
		share = eta_left(a) / (a->lanes + 1);
		if (best == NULL || share > most || a->lanes == 0) {
			best = a;
			most = share;
			if (a->lanes == 0)
				break;
		}
	}
	*needy = best != NULL && (best->lanes == 0 ||
	    eta_left(best) / best->lanes > all / pool->run->set->lanes);
	return best;
}

/* A refused login that waits to be believed, and now is. */
static struct account *
to_fail(struct pool *pool, uint64_t now)
{
	for (size_t i = 0; i < pool->n; i++) {
		struct account *a = pool->accounts[i];

		if (a->phase == ACC_NEW && a->refusal.host != NULL &&
		    a->due_ms <= now && host_insists(&a->refusal))
			return a;
	}
	return NULL;
}

static struct account *
to_give_up(struct pool *pool)
{
	for (size_t i = 0; i < pool->n; i++) {
		struct account *a = pool->accounts[i];

		if ((a->phase == ACC_NEW || a->phase == ACC_ACTIVE) &&
		    a->lanes == 0 && given_up(a))
			return a;
	}
	return NULL;
}

bool
to_be_shared(const struct pool *pool)
{
	for (size_t i = 0; i < pool->n && pool->ended == pool->n; i++)
		if (pool->accounts[i]->share != SHARE_NONE)
			return true;
	return false;
}

static struct account *
to_share(struct pool *pool, uint64_t now, uint64_t *due)
{
	for (size_t i = 0; i < pool->n && pool->ended == pool->n; i++) {
		struct account *a = pool->accounts[i];

		if (a->share != SHARE_TODO)
			continue;
		if (given_up(a)) {
			a->share = SHARE_NONE;
			continue;
		}
		if (a->due_ms > now)
			sooner(due, a->due_ms);
		else if (has_room(a, now, due))
			return a;
	}
	return NULL;
}

static void
take(struct task *t, struct lane *l)
{
	struct account *a = t->account;

	if (t->kind == TASK_PREPARE || t->kind == TASK_PAIRS ||
	    t->kind == TASK_SHARE)
		for (int side = SIDE_SOURCE; side <= SIDE_TARGET; side++) {
			host_enter(&l->at[side], a->host[side], a->lanes,
			    &a->sessions[side]);
			l->at[side].suspect = a->bounced >= BOUNCES;
		}
	a->lanes++;
}

struct task
schedule(struct pool *pool, struct lane *l)
{
	struct task t = { .kind = TASK_NONE };
	uint64_t now = now_ms();
	struct account *begin, *help;
	size_t left, late;
	bool needy;

	if (atomic_load(&pool->run->paused) || atomic_load(&pool->run->full))
		return t;
	if ((t.account = to_give_up(pool)) != NULL) {
		t.kind = TASK_GIVE_UP;
		t.account->phase = ACC_FINISHING;
		take(&t, l);
		return t;
	}
	if ((t.account = to_fail(pool, now)) != NULL) {
		t.kind = TASK_FAIL;
		t.account->phase = ACC_FINISHING;
		take(&t, l);
		return t;
	}
	if ((t.account = to_share(pool, now, &t.due_ms)) != NULL) {
		t.kind = TASK_SHARE;
		t.account->share = SHARE_BUSY;
		take(&t, l);
		return t;
	}
	begin = to_begin(pool, now, &t.due_ms, &left, &late);
	help = to_help(pool, now, left == late, &t.due_ms, &needy);
	if (begin != NULL && !(help != NULL && needy)) {
		t.kind = TASK_PREPARE;
		t.account = begin;
		begin->phase = ACC_PREPARING;
		login_begins(pool->logins, begin);
	} else if (help != NULL) {
		t.kind = TASK_PAIRS;
		t.account = help;
	} else if (late > 0 && pool->busy == 0 && pool->ended + late ==
	    pool->n)
		t.kind = TASK_OVER;
	if (t.account != NULL)
		take(&t, l);
	return t;
}
