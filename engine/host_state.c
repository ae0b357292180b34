/* Hosts: what the clock brings, and what the state keeps of them. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>

#include "base/fault.h"
#include "base/xmalloc.h"
#include "host_impl.h"
#include "lane.h"

#define RATE_S		300.0	/* what is older counts less and less */
#define MEASURED_S	10.0	/* less says nothing */

/* Is there less than min-free? */
static bool
is_full(const struct host *h)
{
	struct statvfs fs;

	if (h->all->set->min_free == 0)
		return false;
	if (fault_fails("host.space"))
		return true;
	return statvfs(h->dir, &fs) == 0 &&
	    (uint64_t)fs.f_bavail * fs.f_frsize < h->all->set->min_free;
}

static void
watch_space(struct host *h, uint64_t now)
{
	char why[200];

	if (is_full(h)) {
		h->low = true;
		snprintf(why, sizeof why, "less than min-free is left in "
		    "%.150s: make room", h->dir);
		host_put_on_hold(h, why, now);
	} else if (h->low)
		host_released(h, now);
}

static void
measure_rate(struct host *h, double s)
{
	uint64_t met = atomic_load(&h->met), n = met - h->met_before;
	double keep = RATE_S / (RATE_S + s);

	h->met_before = met;
	if (h->lanes == 0 && n == 0)
		return;		/* it had nothing to do */
	h->sum_met = h->sum_met * keep + (double)n;
	h->sum_s = h->sum_s * keep + s;
	h->sum_lane_s = h->sum_lane_s * keep + s *
	    (h->lanes > 0 ? (double)h->lanes : 1);
	h->measured_s += s;
}

void
hosts_tick(struct hosts *all, uint64_t now, time_t wall, bool paused)
{
	uint64_t ms = all->ticked_ms != 0 ? now - all->ticked_ms : 0;
	uint64_t patience_ms = (uint64_t)all->set->patience_s * 1000;

	all->ticked_ms = now;
	uv_mutex_lock(&all->mutex);
	for (struct host *h = all->first; h != NULL; h = h->next) {
		if (h->watched)
			watch_space(h, now);
		if (h->limits != NULL)
			limits_at(h->limits, wall, &h->limit);
		if (ms > 0 && !paused)
			measure_rate(h, (double)ms / 1000);
		/* Nor does waiting for an hour. */
		if (h->held && (paused || h->limit.lanes == 0))
			h->since += now - h->since < ms ? now - h->since : ms;
		if (h->held && !h->given_up && now - h->since > patience_ms)
			h->given_up = true;
	}
	uv_mutex_unlock(&all->mutex);
}

bool
host_rate(struct host *h, double *rate, double *lane, unsigned *measured_s)
{
	bool known = true;

	uv_mutex_lock(&h->all->mutex);
	if (h->measured_s >= MEASURED_S && h->sum_met >= 1) {
		*rate = h->sum_met / h->sum_s;
		*lane = h->sum_met / h->sum_lane_s;
		*measured_s = (unsigned)h->measured_s;
	} else {
		*rate = h->old_rate;
		*lane = h->old_lane_rate;
		*measured_s = 0;
		known = h->old_rate > 0;
	}
	uv_mutex_unlock(&h->all->mutex);
	return known;
}

/* The state. */

static int
load(struct host *h, struct db *db, struct err *e)
{
	sqlite3_stmt *st;
	uint64_t now = now_ms(), raise = h->all->set->cap_raise_ms;
	int rc;

	st = db_query(db, e, "SELECT cap, user_cap, rate, lane_rate FROM host"
	    " WHERE side = ?1 AND name = ?2", "is", (int64_t)h->side,
	    h->name);
	if (st == NULL)
		return -1;
	if ((rc = db_step(db, st, e)) == 1) {
		unsigned cap = (unsigned)sqlite3_column_int64(st, 0);
		unsigned user = (unsigned)sqlite3_column_int64(st, 1);

		if (cap > 0)
			cap_start(&h->cap, cap, now, raise);
		if (user > 0)
			cap_start(&h->user, user, now, raise);
		h->old_rate = sqlite3_column_double(st, 2);
		h->old_lane_rate = sqlite3_column_double(st, 3);
	}
	db_done(st);
	return rc == -1 ? -1 : 0;
}

int
hosts_load(struct hosts *all, struct db *db, struct err *e)
{
	int rc = 0;

	uv_mutex_lock(&all->mutex);
	for (struct host *h = all->first; h != NULL && rc == 0; h = h->next)
		rc = load(h, db, e);
	uv_mutex_unlock(&all->mutex);
	return rc;
}

struct saved {
	char		 name[400], why[200];
	int64_t		 side, lanes, cap, user_cap, held_s, measured_s;
	double		 rate, lane_rate;
};

struct saved_list {
	size_t		 n;
	struct saved	*hosts;
};

static void
free_saved(void *arg)
{
	struct saved_list *l = arg;

	free(l->hosts);
	free(l);
}

static int
put_saved(struct db *db, const struct saved *s, struct err *e)
{
	char rate[32], lane_rate[32];

	snprintf(rate, sizeof rate, "%.6f", s->rate);
	snprintf(lane_rate, sizeof lane_rate, "%.6f", s->lane_rate);
	return db_run(db, e, "INSERT INTO host (side, name, lanes, cap,"
	    " user_cap, held_s, why, rate, lane_rate, measured_s) VALUES"
	    " (?1, ?2, ?3, ?4, ?5, ?6, ?7, CAST(?8 AS REAL), CAST(?9 AS REAL),"
	    " ?10) ON CONFLICT (side, name) DO UPDATE SET lanes ="
	    " excluded.lanes, cap = excluded.cap, user_cap ="
	    " excluded.user_cap, held_s = excluded.held_s, why ="
	    " excluded.why, rate = excluded.rate, lane_rate ="
	    " excluded.lane_rate, measured_s = excluded.measured_s",
	    "isiiiisssi", s->side, s->name, s->lanes, s->cap, s->user_cap,
	    s->held_s, s->why, rate, lane_rate, s->measured_s);
}

static int
put_all_saved(struct db *db, void *arg, struct err *e)
{
	struct saved_list *l = arg;

	for (size_t i = 0; i < l->n; i++)
		if (put_saved(db, &l->hosts[i], e) == -1)
			return -1;
	return 0;
}

uint64_t
hosts_save(struct hosts *all, struct state *state)
{
	struct saved_list *l = xcalloc(1, sizeof *l);
	uint64_t now = now_ms();
	struct host *h;

	uv_mutex_lock(&all->mutex);
	for (h = all->first; h != NULL; h = h->next)
		l->n++;
	l->hosts = xcalloc(l->n + 1, sizeof *l->hosts);
	l->n = 0;
	for (h = all->first; h != NULL; h = h->next) {
		bool measured = h->measured_s >= MEASURED_S &&
		    h->sum_met >= 1;
		struct saved *s = &l->hosts[l->n];

		if (h->hidden)
			continue;
		l->n++;
		snprintf(s->name, sizeof s->name, "%s", h->name);
		s->side = (int64_t)h->side;
		s->lanes = h->lanes;
		s->cap = h->cap.limit;
		s->user_cap = h->user.limit;
		s->held_s = h->held ? (int64_t)(now - h->since) / 1000 + 1 :
		    0;
		if (h->held)
			memcpy(s->why, h->why, sizeof s->why);
		s->measured_s = (int64_t)h->measured_s;
		s->rate = measured ? h->sum_met / h->sum_s : h->old_rate;
		s->lane_rate = measured ? h->sum_met / h->sum_lane_s :
		    h->old_lane_rate;
	}
	uv_mutex_unlock(&all->mutex);
	return state_post(state, put_all_saved, l, free_saved);
}
