/*
 * How long it will still take: messages left, by the rate at which each host
 * works, and the slowest host counts.
 *
 * An account holds what the last pass met there, or what its listing tells
 * now, or else as much as the accounts that have ended in this run on average.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/xmalloc.h"
#include "pool_impl.h"

#define HOSTS_MAX	64	/* further ones count together */

/* Messages of an account, UNKNOWN64: nobody knows. */
static uint64_t
expected(const struct run *run, const struct account *a)
{
	uint64_t met = atomic_load(&a->met);
	uint64_t n = a->expect != 0 ? a->expect : run->eta.average != 0 ?
	    run->eta.average : UNKNOWN64;

	return n != UNKNOWN64 && n < met ? met : n;
}

uint64_t
eta_left(const struct account *a)
{
	uint64_t met = atomic_load(&a->met);

	return a->expect > met ? a->expect - met : 0;
}

uint64_t
eta_account_ms(const struct pool *pool, const struct account *a)
{
	uint64_t n = expected(pool->run, a), slowest = 0;
	double all, lane;
	unsigned s;

	if (n == UNKNOWN64)
		return 0;
	for (int side = SIDE_SOURCE; side <= SIDE_TARGET; side++)
		if (host_rate(a->host[side], &all, &lane, &s) && lane > 0 &&
		    (uint64_t)((double)n * 1000 / lane) > slowest)
			slowest = (uint64_t)((double)n * 1000 / lane);
	return slowest;
}

struct share {
	struct host	*host;
	uint64_t	 left;
};

static void
add_left(struct share *v, size_t *n, struct host *h, uint64_t left)
{
	size_t i;

	for (i = 0; i < *n && v[i].host != h; i++)
		;
	if (i == HOSTS_MAX)
		i--;
	else if (i == *n) {
		v[i].host = h;
		v[i].left = 0;
		++*n;
	}
	v[i].left += left;
}

/* What accounts that have ended held on average. */
static uint64_t
average(const struct pool *pool)
{
	uint64_t sum = 0, n = 0;

	for (size_t i = 0; i < pool->n; i++)
		if (pool->accounts[i]->phase == ACC_ENDED &&
		    atomic_load(&pool->accounts[i]->met) > 0) {
			sum += atomic_load(&pool->accounts[i]->met);
			n++;
		}
	return n > 0 ? sum / n : 0;
}

void
eta_update(struct pool *pool)
{
	struct eta *eta = &pool->run->eta;
	struct share shares[HOSTS_MAX];
	struct share *slowest = NULL;
	double rate, lane, worst = -1, worst_rate = 0;
	size_t n = 0, unknown = 0;
	unsigned s, worst_s = 0;
	bool all_known = true;
	int len;

	eta->average = average(pool);
	for (size_t i = 0; i < pool->n; i++) {
		struct account *a = pool->accounts[i];
		uint64_t want;

		if (a->phase == ACC_ENDED)
			continue;
		want = expected(pool->run, a);
		unknown += a->expect == 0;
		if (want == UNKNOWN64)
			all_known = false;
		else
			for (int side = SIDE_SOURCE; side <= SIDE_TARGET;
			    side++)
				add_left(shares, &n, a->host[side],
				    want - atomic_load(&a->met));
	}
	for (size_t i = 0; i < n; i++) {
		if (!host_rate(shares[i].host, &rate, &lane, &s) || rate <= 0)
			continue;
		if ((double)shares[i].left / rate > worst) {
			worst = (double)shares[i].left / rate;
			worst_rate = rate;
			worst_s = s;
			slowest = &shares[i];
		}
	}
	eta->known = all_known && slowest != NULL;
	if (!eta->known)
		return;
	eta->left_s = (uint64_t)worst;
	len = snprintf(eta->basis, sizeof eta->basis, "%" PRIu64 " messages "
	    "left at %.1f/s of %.60s, ", slowest->left, worst_rate,
	    host_name(slowest->host));
	if (worst_s > 0)
		len += snprintf(eta->basis + len, sizeof eta->basis -
		    (size_t)len, "measured over %u s", worst_s);
	else
		len += snprintf(eta->basis + len, sizeof eta->basis -
		    (size_t)len, "the rate of the last run");
	if (unknown > 0)
		snprintf(eta->basis + len, sizeof eta->basis - (size_t)len,
		    "; %zu accounts of unknown size taken as %" PRIu64
		    " each", unknown, eta->average);
}

/* For mailhaul status. */

struct live {
	int64_t		 pass, left_s;
	const char	*mode;
	char		 basis[sizeof ((struct eta *)0)->basis];
};

static int
put_live(struct db *db, void *arg, struct err *e)
{
	const struct live *v = arg;

	return db_run(db, e, "INSERT OR REPLACE INTO live (id, pass, updated,"
	    " mode, left_s, basis) VALUES (1, ?1, strftime('%s', 'now'), ?2,"
	    " ?3, ?4)", "isis", v->pass, v->mode, v->left_s, v->basis);
}

void
eta_post(struct pool *pool)
{
	struct live *v = xcalloc(1, sizeof *v);
	struct run *run = pool->run;

	v->pass = state_pass(run->state);
	v->mode = atomic_load(&run->stop) ? "stopping" :
	    atomic_load(&run->paused) ? "paused" :
	    atomic_load(&run->full) ? "full" : "running";
	v->left_s = run->eta.known ? (int64_t)run->eta.left_s : -1;
	if (run->eta.known)
		memcpy(v->basis, run->eta.basis, sizeof v->basis);
	state_post(run->state, put_live, v, free);
	/* Nobody waits for it, but somebody looks. */
	state_hurry(run->state, hosts_save(run->hosts, run->state));
}
