/* The audit as a whole: the state, the lanes, and the sums. */
#include "audit_impl.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "accounts_known.h"
#include "base/xmalloc.h"

void
audit_level_text(const struct audit *au, char *out, size_t size)
{
	static const char *const words[] = { "counts", "meta", "sample",
	    "content" };

	if (au->level == AUDIT_SAMPLE)
		snprintf(out, size, "sample=%g%%", au->percent);
	else
		snprintf(out, size, "%s", words[au->level]);
}

const char *
audit_verdict(const struct audit *au)
{
	if (au->unaudited > 0)
		return "incomplete";
	return au->different > 0 ? "different" : "equal";
}

/* What the state knows, if there is one; *st tells later whether it changed. */
static int
look_at_state(struct audit *au, struct db **db, struct stat *st,
    struct err *e)
{
	*db = NULL;
	au->state_uri = state_look_uri(au->state_path, &au->running, e);
	if (au->state_uri == NULL)
		return e->cause == CAUSE_MISSING ? 0 : -1;
	if (stat(au->state_path, st) == -1)
		return err_sys(e, ERR_RUN, "state %s", au->state_path);
	if (db_open(db, au->state_uri, DB_LOOK, e) == -1 ||
	    state_check(*db, au->state_path, e) == -1)
		return err_ctx(e, "%s", au->state_path);
	if (db_number(*db, e, &au->passes, 0, "SELECT count(*) FROM pass",
	    "") == -1)
		return -1;
	return au->list != NULL ? accounts_known(au->list, *db,
	    au->state_path, e) : 0;
}

/* Accounts that no lane has looked at. */
static int
tell_unlooked(struct audit *au, const struct plan *plan, struct err *e)
{
	int rc = 0;

	for (size_t i = 0; i < plan->n && rc == 0; i++) {
		const struct plan_account *pa = &plan->accounts[i];
		struct audit_row_account row = { .outcome = "unaudited",
		    .stage = "" };
		char *src, *tgt;

		if (pa->ready)
			continue;
		row.id = (int64_t)pa->account->place + 1;
		row.name = pa->account->name;
		row.source = src = uri_show(pa->account->src_uri);
		row.target = tgt = uri_show(pa->account->tgt_uri);
		row.again = pa->again;
		row.error = pa->problems.first != NULL ?
		    pa->problems.first->text : "not looked at";
		rc = results_begin(au->results, e);
		if (rc == 0) {
			rc = results_account(au->results, &row, e);
			if (results_end(au->results, e) == -1)
				rc = -1;
		}
		free(src);
		free(tgt);
	}
	return rc;
}

/*
 * With k of n that differ, which share of all may differ?  For none the rule of
 * three, else the upper end of Wilson's interval, one-sided, at 95 %.
 */
static void
estimate(struct audit_sample *s)
{
	const double z = 1.6449;
	double n = (double)s->compared, p;

	if (s->compared == 0) {
		s->at_most = 1;
		return;
	}
	p = (double)s->differ / n;
	s->at_most = s->differ == 0 ? 1 - pow(0.05, 1 / n) : (p + z * z / (2 *
	    n) + z * sqrt(p * (1 - p) / n + z * z / (4 * n * n))) / (1 + z *
	    z / n);
	if (s->compared >= s->of)
		s->at_most = p;
}

int
audit_make(struct audit *au, struct err *e)
{
	struct plan plan = { .look = audit_account, .look_ctx = au,
	    .set = au->set, .cfg = au->cfg, .list = au->list,
	    .state_path = au->state_path, .todo = au->todo, .n = au->n };
	struct db *db = NULL;
	struct stat was, now;
	int rc = -1;

	arena_init(&au->arena);
	arena_init(&plan.arena);
	au->started = time(NULL);
	plan.accounts = xcalloc(plan.n + 1, sizeof *plan.accounts);
	for (size_t i = 0; i < plan.n; i++) {
		arena_init(&plan.accounts[i].arena);
		plan.accounts[i].account = plan.todo[i];
	}
	if (results_open(&au->results, e) == 0 && look_at_state(au, &db, &was,
	    e) == 0) {
		plan.state_uri = au->state_uri;
		rc = plan_lanes(&plan, db, e);
	}
	if (rc == 0)
		rc = tell_unlooked(au, &plan, e);
	if (rc == 0)
		rc = results_sums(au, e);
	db_close(&db);
	/* A copy that began meanwhile may have moved pages under our eyes. */
	if (rc == 0 && au->state_uri != NULL && au->running == 0 &&
	    (stat(au->state_path, &now) == -1 || now.st_size != was.st_size ||
	    now.st_mtim.tv_sec != was.st_mtim.tv_sec ||
	    now.st_mtim.tv_nsec != was.st_mtim.tv_nsec))
		rc = err_retry(e, ERR_RUN, "the state has changed while it was "
		    "read: run the audit again");
	estimate(&au->sample);
	au->ended = time(NULL);
	plan.state_uri = NULL;
	plan_release(&plan);
	return rc;
}

void
audit_release(struct audit *au)
{
	results_close(&au->results);
	free(au->state_uri);
	arena_release(&au->arena);
}
