/*
 * Lanes that look at the accounts of a plan, as politely as those that copy:
 * within the limits and caps of hosts, and with a secret that is refused no
 * more often than these.
 *
 * A host that is away is waited for only shortly: a plan tells what is so now.
 * So it does with one that takes no lane at this hour.
 */
#include "plan_impl.h"

#include <stdlib.h>
#include <string.h>

#include "base/xmalloc.h"
#include "logins.h"

#define STACK_SIZE	((size_t)16 << 20)
#define PATIENCE_S	5
#define BOUNCES		3	/* then the account is to blame */
#define CAP_PAUSE_MS	500	/* a session was too much */
#define TICK_MS		1000

/* What the lanes share; all but the first two under the mutex. */
struct shared {
	struct plan	*plan;
	struct settings	 set;		/* the plan's, with less patience */
	struct hosts	*hosts;
	struct logins	*logins;
	uv_mutex_t	 mutex;
	uv_cond_t	 changed;
	size_t		 first, ended;	/* before first all have ended */
	unsigned	 running;
	bool		 failed;
	struct err	 error;
};

struct worker {
	struct shared	*shared;
	unsigned	 number;
	uv_thread_t	 thread;
};

static void
end_account(struct shared *sh, struct plan_account *pa)
{
	pa->account->phase = ACC_ENDED;
	sh->ended++;
	uv_cond_broadcast(&sh->changed);
}

/* Ended without a look: true. */
static bool
is_over(struct shared *sh, struct plan_account *pa)
{
	static const char *const sides[] = { "source", "target" };
	struct account *a = pa->account;
	char why[200];

	if (login_barred(sh->logins, a)) {
		plan_not_looked(pa, "login", false, "not tried: the login that "
		    "it shares with other accounts was refused again and "
		    "again");
		end_account(sh, pa);
		return true;
	}
	for (int side = SIDE_SOURCE; side <= SIDE_TARGET; side++) {
		struct host *h = a->host[side];

		if (host_shut(h))
			plan_not_looked(pa, "hours", true, "not looked at: %s-"
			    "limit allows no lane at %s at this hour",
			    sides[side], host_name(h));
		else if (host_given_up(h)) {
			host_held(h, NULL, why);
			plan_not_looked(pa, sides[side], true, "%s: %s",
			    host_name(h), why);
		} else
			continue;
		end_account(sh, pa);
		return true;
	}
	return false;
}

/* The next to be looked at; NULL: none now, and not before *due. */
static struct plan_account *
choose(struct shared *sh, uint64_t now, uint64_t *due)
{
	struct plan *plan = sh->plan;
	struct plan_account *best = NULL;

	*due = 0;
	while (sh->first < plan->n &&
	    plan->todo[sh->first]->phase == ACC_ENDED)
		sh->first++;
	for (size_t i = sh->first; i < plan->n; i++) {
		struct plan_account *pa = &plan->accounts[i];
		struct account *a = pa->account;

		if (a->phase != ACC_NEW || is_over(sh, pa))
			continue;
		/* Those with which a host was tried in vain come last. */
		if (best != NULL && a->probed >= best->account->probed)
			continue;
		if (a->due_ms > now) {
			if (*due == 0 || a->due_ms < *due)
				*due = a->due_ms;
			continue;
		}
		if (login_free(sh->logins, a) &&
		    host_room(a->host[SIDE_SOURCE], 0, now, due) &&
		    host_room(a->host[SIDE_TARGET], 0, now, due))
			best = pa;
		if (best != NULL && best->account->probed == 0)
			break;
	}
	return best;
}

/* A host was to blame: another time, unless it is so for this one only. */
static void
go_back(struct lane *l, struct account *a)
{
	uint64_t proofs = host_proofs(a->host[SIDE_SOURCE]) +
	    host_proofs(a->host[SIDE_TARGET]);

	a->phase = ACC_NEW;
	a->due_ms = now_ms() + CAP_PAUSE_MS;
	a->probed += l->at[SIDE_SOURCE].probes || l->at[SIDE_TARGET].probes;
	if (proofs > a->proofs) {
		a->bounced++;
		a->proofs = proofs;
	}
}

/* Under the mutex, which is given up meanwhile. */
static void
look_at(struct shared *sh, struct lane *l, struct plan_account *pa)
{
	struct account *a = pa->account;
	struct err e;
	int rc;

	a->phase = ACC_PREPARING;
	login_begins(sh->logins, a);
	for (int side = SIDE_SOURCE; side <= SIDE_TARGET; side++) {
		host_enter(&l->at[side], a->host[side], 0,
		    &a->sessions[side]);
		l->at[side].suspect = a->bounced >= BOUNCES;
	}
	uv_mutex_unlock(&sh->mutex);
	rc = (sh->plan->look != NULL ? sh->plan->look : plan_account)(sh->plan,
	    l, pa, &e);
	uv_mutex_lock(&sh->mutex);
	login_ends(sh->logins, a, pa->opened, pa->refused);
	if (rc == -1 && !sh->failed) {
		sh->failed = true;
		sh->error = e;
	}
	if (rc == 0 && pa->held)
		go_back(l, a);
	else {
		if (pa->opened[SIDE_SOURCE] && pa->opened[SIDE_TARGET])
			lane_proved(l);
		end_account(sh, pa);
	}
	host_leave(&l->at[SIDE_SOURCE]);
	host_leave(&l->at[SIDE_TARGET]);
	uv_cond_broadcast(&sh->changed);
}

static void
work(struct shared *sh, struct lane *l)
{
	uv_mutex_lock(&sh->mutex);
	while (!sh->failed && sh->ended < sh->plan->n) {
		uint64_t now = now_ms(), wait = 200, due;
		struct plan_account *pa = choose(sh, now, &due);

		if (pa != NULL)
			look_at(sh, l, pa);
		else if (sh->ended < sh->plan->n) {
			if (due > now && due - now < wait)
				wait = due - now;
			uv_cond_timedwait(&sh->changed, &sh->mutex,
			    wait * 1000000);
		}
	}
	uv_mutex_unlock(&sh->mutex);
}

static void
worker_main(void *arg)
{
	struct worker *w = arg;
	struct shared *sh = w->shared;
	struct run run = { .set = &sh->set, .planning = true };
	struct lane lane;
	struct err e;
	bool ready;

	run.start_ms = now_ms();
	ready = state_scratch(&run.state, sh->plan->state_uri, &e) == 0 &&
	    lane_init(&lane, &run, w->number, -1, &e) == 0;
	if (ready) {
		work(sh, &lane);
		lane_release(&lane);
	}
	uv_mutex_lock(&sh->mutex);
	if (!ready && !sh->failed) {
		sh->failed = true;
		sh->error = e;
	}
	sh->running--;
	uv_cond_broadcast(&sh->changed);
	uv_mutex_unlock(&sh->mutex);
	state_close(&run.state);
}

static int
set_up(struct shared *sh, struct plan *plan, struct db *db, struct err *e)
{
	sh->plan = plan;
	sh->set = *plan->set;
	sh->set.min_free = 0;		/* it says how much is free */
	if (plan->look == NULL && sh->set.patience_s > PATIENCE_S)
		sh->set.patience_s = PATIENCE_S;
	uv_mutex_init(&sh->mutex);
	uv_cond_init(&sh->changed);
	sh->hosts = hosts_new(&sh->set, NULL, NULL);
	hosts_signal(sh->hosts, &sh->changed);
	sh->logins = logins_new(plan->todo, plan->n);
	for (size_t i = 0; i < plan->n; i++) {
		struct account *a = plan->todo[i];

		a->phase = ACC_NEW;
		a->host[SIDE_SOURCE] = hosts_get(sh->hosts, a->src_uri,
		    SIDE_SOURCE);
		a->host[SIDE_TARGET] = hosts_get(sh->hosts, a->tgt_uri,
		    SIDE_TARGET);
	}
	return db != NULL ? hosts_load(sh->hosts, db, e) : 0;
}

static void
clean_up(struct shared *sh)
{
	for (size_t i = 0; i < sh->plan->n; i++)
		memset(sh->plan->todo[i]->host, 0,
		    sizeof sh->plan->todo[i]->host);
	hosts_free(&sh->hosts);
	logins_free(&sh->logins);
	uv_cond_destroy(&sh->changed);
	uv_mutex_destroy(&sh->mutex);
}

/* Hours and patience, until all lanes have ended. */
static void
mind_the_clock(struct shared *sh)
{
	uint64_t ticked = now_ms(), now;

	uv_mutex_lock(&sh->mutex);
	while (sh->running > 0) {
		uv_cond_timedwait(&sh->changed, &sh->mutex,
		    (uint64_t)TICK_MS * 1000000);
		if ((now = now_ms()) - ticked < TICK_MS)
			continue;
		ticked = now;
		uv_mutex_unlock(&sh->mutex);
		hosts_tick(sh->hosts, now, time(NULL), false);
		uv_mutex_lock(&sh->mutex);
	}
	uv_mutex_unlock(&sh->mutex);
}

int
plan_lanes(struct plan *plan, struct db *db, struct err *e)
{
	uv_thread_options_t options = { .flags = UV_THREAD_HAS_STACK_SIZE,
	    .stack_size = STACK_SIZE };
	struct shared sh = { .plan = plan };
	struct worker *workers;
	size_t n = plan->set->lanes, i = 0;

	if (n > plan->n)
		n = plan->n;
	workers = xcalloc(n + 1, sizeof *workers);
	if (set_up(&sh, plan, db, &sh.error) == -1) {
		sh.failed = true;
		n = 0;
	}
	hosts_tick(sh.hosts, now_ms(), time(NULL), false);
	sh.running = (unsigned)n;
	for (; i < n; i++) {
		workers[i].shared = &sh;
		workers[i].number = (unsigned)i;
		if (uv_thread_create_ex(&workers[i].thread, &options,
		    worker_main, &workers[i]) != 0)
			break;
	}
	uv_mutex_lock(&sh.mutex);
	sh.running -= (unsigned)(n - i);
	if (i == 0 && n > 0) {
		sh.failed = true;
		err_retry(&sh.error, ERR_RUN, "cannot start a thread");
	}
	uv_mutex_unlock(&sh.mutex);
	mind_the_clock(&sh);
	while (i-- > 0)
		uv_thread_join(&workers[i].thread);
	free(workers);
	clean_up(&sh);
	if (sh.failed)
		*e = sh.error;
	return sh.failed ? -1 : 0;
}
