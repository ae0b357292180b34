/* Plans: the accounts of a job, looked at by several lanes. */
#include "plan_impl.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "accounts_known.h"
#include "base/xmalloc.h"

#define STACK_SIZE	((size_t)16 << 20)
#define MAX_REFUSED	3	/* logins with one secret, one after another */

/* What the lanes share; todo, refused and error under the mutex. */
struct shared {
	struct plan	*plan;
	uv_mutex_t	 mutex;
	size_t		 next;
	struct { const char *secret; unsigned n; } *refused;
	size_t		 nrefused;
	bool		 failed;
	struct err	 error;
};

struct worker {
	struct shared	*shared;
	unsigned	 number;
	uv_thread_t	 thread;
};

void
plan_add(struct plan_lines *list, struct arena *a, const char *kind,
    const char *mailbox, const char *text)
{
	struct plan_line *line = arena_zalloc(a, sizeof *line);

	line->kind = arena_strdup(a, kind);
	line->mailbox = mailbox != NULL ? arena_strdup(a, mailbox) : NULL;
	line->text = arena_strdup(a, text);
	if (list->first == NULL)
		list->first = line;
	else
		*list->last = line;
	list->last = &line->next;
}

void
plan_addf(struct plan_lines *list, struct arena *a, const char *kind,
    const char *mailbox, const char *fmt, ...)
{
	char text[480];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	plan_add(list, a, kind, mailbox, text);
}

/* Secrets, known by their address: one that was refused some times in a row is
 * not tried for every account of the list. */

static unsigned *
refusals(struct shared *sh, const char *secret)
{
	size_t i;

	for (i = 0; i < sh->nrefused; i++)
		if (sh->refused[i].secret == secret)
			return &sh->refused[i].n;
	sh->refused = xreallocarray(sh->refused, sh->nrefused + 1,
	    sizeof *sh->refused);
	sh->refused[i].secret = secret;
	sh->refused[i].n = 0;
	sh->nrefused++;
	return &sh->refused[i].n;
}

static bool
is_barred(struct shared *sh, const char *secret)
{
	return secret != NULL && *refusals(sh, secret) >= MAX_REFUSED;
}

/* Whose login was it?  The source's is tried first. */
static void
count_logins(struct shared *sh, const struct plan_account *pa)
{
	const struct account *a = pa->account;
	const struct plan_line *line;
	unsigned bad[2] = { 0, 0 };

	for (line = pa->problems.first; line != NULL; line = line->next)
		if (strcmp(line->kind, "login") == 0)
			bad[strncmp(line->text, "target", 6) == 0] = 1;
	for (int side = 0; side < 2; side++) {
		const char *secret = side == 0 ? a->src_password :
		    a->tgt_password;
		unsigned *n;

		if (secret == NULL)
			continue;
		n = refusals(sh, secret);
		*n = bad[side] ? *n + 1 : 0;
	}
}

static void
not_tried(struct plan_account *pa)
{
	pa->ready = false;
	plan_addf(&pa->problems, &pa->arena, "login", NULL, "not tried: the "
	    "login that it shares with other accounts was refused %d times in "
	    "a row", MAX_REFUSED);
	pa->source = pa->target = "";
	pa->stage = "new";
	pa->source_quota = pa->target_quota = pa->target_used = UNKNOWN64;
	pa->target_boxes = pa->target_messages = UNKNOWN64;
}

static void
work(struct shared *sh, struct lane *l)
{
	struct plan *plan = sh->plan;
	struct err e;

	uv_mutex_lock(&sh->mutex);
	while (!sh->failed && sh->next < plan->n) {
		struct plan_account *pa = &plan->accounts[sh->next++];
		const struct account *a = pa->account;

		if (is_barred(sh, a->src_password) ||
		    is_barred(sh, a->tgt_password)) {
			not_tried(pa);
			continue;
		}
		uv_mutex_unlock(&sh->mutex);
		if (plan_account(plan, l, pa, &e) == -1) {
			uv_mutex_lock(&sh->mutex);
			if (!sh->failed)
				sh->error = e;
			sh->failed = true;
			break;
		}
		uv_mutex_lock(&sh->mutex);
		count_logins(sh, pa);
	}
	uv_mutex_unlock(&sh->mutex);
}

static void
worker_main(void *arg)
{
	struct worker *w = arg;
	struct shared *sh = w->shared;
	struct run run = { .set = sh->plan->set, .planning = true };
	struct lane lane;
	struct err e;

	run.start_ms = now_ms();
	if (state_scratch(&run.state, sh->plan->state_uri, &e) == -1 ||
	    lane_init(&lane, &run, w->number, -1, &e) == -1) {
		uv_mutex_lock(&sh->mutex);
		sh->failed = true;
		sh->error = e;
		uv_mutex_unlock(&sh->mutex);
	} else {
		work(sh, &lane);
		lane_release(&lane);
	}
	state_close(&run.state);
}

static int
look_at_all(struct plan *plan, struct err *e)
{
	uv_thread_options_t options = { .flags = UV_THREAD_HAS_STACK_SIZE,
	    .stack_size = STACK_SIZE };
	struct shared sh = { .plan = plan };
	struct worker *workers;
	size_t n = plan->set->lanes, i;

	if (n > plan->n)
		n = plan->n;
	uv_mutex_init(&sh.mutex);
	workers = xcalloc(n + 1, sizeof *workers);
	for (i = 0; i < n; i++) {
		workers[i].shared = &sh;
		workers[i].number = (unsigned)i;
		if (uv_thread_create_ex(&workers[i].thread, &options,
		    worker_main, &workers[i]) != 0)
			break;
	}
	if (i == 0 && n > 0) {
		sh.failed = true;
		err_retry(&sh.error, ERR_RUN, "cannot start a thread");
	}
	while (i-- > 0)
		uv_thread_join(&workers[i].thread);
	uv_mutex_destroy(&sh.mutex);
	free(workers);
	free(sh.refused);
	if (sh.failed)
		*e = sh.error;
	return sh.failed ? -1 : 0;
}

/* The state, if there is one; *st tells later whether it has changed. */
static int
look_at_state(struct plan *plan, struct db **db, struct stat *st,
    struct err *e)
{
	*db = NULL;
	plan->state_uri = state_look_uri(plan->state_path, &plan->running, e);
	if (plan->state_uri == NULL)
		return e->cause == CAUSE_MISSING ? 0 : -1;
	if (stat(plan->state_path, st) == -1)
		return err_sys(e, ERR_RUN, "state %s", plan->state_path);
	if (db_open(db, plan->state_uri, DB_LOOK, e) == -1)
		return err_ctx(e, "%s", plan->state_path);
	if (state_check(*db, plan->state_path, e) == -1)
		return -1;
	return plan->list != NULL ? accounts_known(plan->list, *db,
	    plan->state_path, e) : 0;
}

/* A copy that began meanwhile may have moved pages under our eyes. */
static int
check_state(const struct plan *plan, const struct stat *was, struct err *e)
{
	struct stat st;

	if (plan->state_uri == NULL || plan->running != 0)
		return 0;
	if (stat(plan->state_path, &st) == 0 && st.st_size == was->st_size &&
	    st.st_mtim.tv_sec == was->st_mtim.tv_sec &&
	    st.st_mtim.tv_nsec == was->st_mtim.tv_nsec)
		return 0;
	return err_retry(e, ERR_RUN, "the state has changed while it was read:"
	    " run plan again");
}

static void
sum_up(struct plan *plan)
{
	plan->size = (struct plan_size){ 0, 0, 0, true };
	for (size_t i = 0; i < plan->n; i++) {
		const struct plan_account *pa = &plan->accounts[i];

		plan_size_add(&plan->size, &plan->uncounted, &pa->size);
		plan->uncounted += pa->uncounted;
		plan->mailboxes += pa->nboxes;
		plan->done += pa->done;
		plan->ready += pa->ready;
		plan->again += pa->again;
	}
}

int
plan_make(struct plan *plan, struct err *e)
{
	struct db *db = NULL;
	struct stat st;
	int rc = -1;

	arena_init(&plan->arena);
	plan->accounts = xcalloc(plan->n + 1, sizeof *plan->accounts);
	for (size_t i = 0; i < plan->n; i++) {
		arena_init(&plan->accounts[i].arena);
		plan->accounts[i].account = plan->todo[i];
	}
	if (look_at_state(plan, &db, &st, e) == -1 ||
	    plan_learn(plan, db, e) == -1 || look_at_all(plan, e) == -1)
		goto out;
	sum_up(plan);
	plan_spaces(plan);
	plan_orphans(plan);
	if (plan_estimate(plan, db, e) == 0)
		rc = 0;
out:
	db_close(&db);
	if (check_state(plan, &st, e) == -1)
		rc = -1;
	return rc;
}

void
plan_release(struct plan *plan)
{
	for (size_t i = 0; i < plan->n && plan->accounts != NULL; i++)
		arena_release(&plan->accounts[i].arena);
	free(plan->accounts);
	free(plan->state_uri);
	arena_release(&plan->arena);
}
