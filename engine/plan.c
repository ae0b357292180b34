/* Plans: the accounts of a job, the state, and sums. */
#include "plan_impl.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "accounts_known.h"
#include "base/xmalloc.h"

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
	    plan_learn(plan, db, e) == -1 || plan_lanes(plan, db, e) == -1)
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
