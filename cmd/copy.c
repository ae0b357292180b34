/* mailhaul copy: a run of the pool over a job, and its end report. */
#include <inttypes.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>

#include "accounts_known.h"
#include "base/xmalloc.h"
#include "job.h"
#include "order.h"
#include "progress.h"
#include "repeat.h"
#include "report.h"
#include "runlog.h"
#include "select.h"

#define MAX_NAMED	20	/* accounts in one line */

static void
log_line(void *ctx, const char *account, const char *text)
{
	progress_stop(ctx);
	fputs("mailhaul: ", stderr);
	text_show(stderr, account);
	fputs(": ", stderr);
	text_show(stderr, text);
	putc('\n', stderr);
}

/* What the run is, in one line. */
static void
first_line(const struct job *j, bool created, int64_t passes)
{
	const struct uri *target = config_store(j->cfg, SIDE_TARGET);
	char *to = target != NULL ? uri_show(target) : xstrdup("the list's");

	fprintf(stderr, "mailhaul " VERSION ": state %s (%s, %" PRId64
	    " passes so far), %zu of %zu accounts%s%s, to %s\n",
	    config_state(j->cfg), created ? "new" : "found", passes, j->n,
	    accounts_count(j->list), config_isset(j->cfg, CFG_ACCOUNTS) ?
	    " of " : "", config_isset(j->cfg, CFG_ACCOUNTS) ?
	    config_str(j->cfg, CFG_ACCOUNTS) : "", to);
	free(to);
}

static int
print_report(struct job *j, struct db *db, struct err *e)
{
	if (config_enum(j->cfg, CFG_FORMAT) == FORMAT_JSON)
		return report_json(db, stdout, e);
	return report_text(db, stdout, e);
}

/* Accounts that the list no longer has: named once, and left alone. */
static int
tell_unlisted(struct job *j, struct state *state, struct db *db,
    struct err *e)
{
	sqlite3_stmt *st;
	int64_t n;
	int rc, shown = 0;

	if (!config_isset(j->cfg, CFG_ACCOUNTS))
		return 0;
	if (select_unlisted(state, j->list, &n, e) == -1)
		return -1;
	if (n == 0 || config_bool(j->cfg, CFG_QUIET))
		return 0;
	st = db_query(db, e, "SELECT account.name FROM issue JOIN account ON"
	    " account.id = account_id WHERE kind = 'unlisted' ORDER BY 1", "");
	if (st == NULL)
		return -1;
	fputs("mailhaul: no longer in the list, left as they are:", stderr);
	while ((rc = db_step(db, st, e)) == 1 && shown++ < MAX_NAMED) {
		fputs(shown > 1 ? ", " : " ", stderr);
		text_show(stderr, db_text(st, 0));
	}
	db_done(st);
	if (n > MAX_NAMED)
		fprintf(stderr, " and %" PRId64 " more", n - MAX_NAMED);
	putc('\n', stderr);
	return rc == -1 ? -1 : 0;
}

/* What the accounts of this run have come to, whatever others have. */
static int
run_totals(struct job *j, struct db *db, struct totals *t, struct err *e)
{
	const char **names = xcalloc(j->n + 1, sizeof *names);
	int rc;

	for (size_t i = 0; i < j->n; i++)
		names[i] = j->order[i]->name;
	rc = select_names(db, names, j->n, e);
	free(names);
	if (rc == 0)
		rc = report_totals(db, t, e);
	/* The report tells of all, unless some were chosen. */
	if (rc == 0 && !select_any(j->cfg))
		rc = select_everything(db, e);
	return rc;
}

static int
exit_code(const struct pool_result *r, const struct totals *t)
{
	if (r->run_failed)
		return r->err.retry ? EXIT_AGAIN : EXIT_INTERNAL;
	if (r->stopped > 0)
		return EXIT_AGAIN;
	if (r->failed > 0 || r->empty > 0 || !t->balanced)
		return EXIT_ACCOUNTS;
	if (r->partial > 0 || t->counts[OUT_REFUSED] > 0 ||
	    t->counts[OUT_FAILED] > 0 || t->counts[OUT_VANISHED] > 0 ||
	    t->altered > 0)
		return EXIT_DIFFERS;
	return EXIT_DONE;
}

static int
begin_pass(struct job *j, struct state *state, struct err *e)
{
	struct buf settings;
	int rc;

	buf_init(&settings, (size_t)1 << 20);
	config_brief(j->cfg, &settings);
	rc = pass_begin(state, "copy", settings.ptr, e);
	buf_release(&settings);
	return rc;
}

/* With everything checked and the state open. */
static int
run_job(struct job *j, struct state *state, bool created, struct err *e)
{
	struct progress progress = { .quiet = true };
	struct run run = { .state = state, .set = &j->set, .log = log_line,
	    .log_ctx = &progress };
	struct pool_result result;
	struct totals totals;
	struct db *db;
	int64_t passes;
	int code = EXIT_INTERNAL;

	char dir[4096];

	if (state_reader(state, &db, e) == -1)
		return -1;
	if (accounts_known(j->list, db, config_state(j->cfg), e) == -1) {
		db_close(&db);
		if (e->scope == ERR_RUN)
			return -1;
		fprintf(stderr, "mailhaul: %s\n", e->text);
		return EXIT_MISUSE;
	}
	if (order_accounts(j->cfg, j->list, j->order, j->n, db, e) == -1)
		goto fail;
	snprintf(dir, sizeof dir, "%s", config_state(j->cfg));
	run.people = j->people;
	run.hold_signals = config_isset(j->cfg, CFG_REPEAT_EVERY);
	run.state_dir = dirname(dir);
	run.state_path = config_state(j->cfg);
	if (db_number(db, e, &passes, 0, "SELECT count(*) FROM pass", "") ==
	    -1)
		goto fail;
	if (!config_bool(j->cfg, CFG_QUIET))
		first_line(j, created, passes);
	if (begin_pass(j, state, e) == -1 ||
	    tell_unlisted(j, state, db, e) == -1)
		goto fail;
	runlog_begin(j->log, j->cfg, created, state_pass(state), j->n,
	    accounts_count(j->list));
	progress_start(&progress, config_bool(j->cfg, CFG_QUIET));
	if (pool_run(&run, j->order, j->n, progress_tick, &progress,
	    &result, e) == -1)
		goto fail;
	progress_stop(&progress);
	if (result.run_failed)
		fprintf(stderr, "mailhaul: %s\n", result.err.text);
	if ((state_sync(state, e) == -1 && !result.run_failed) ||
	    run_totals(j, db, &totals, e) == -1)
		goto fail;
	code = exit_code(&result, &totals);
	runlog_end(j->log, code, &result, &totals);
	if (!result.run_failed && pass_end(state, code, e) == -1)
		goto fail;
	/* Maybe when there was nothing left to be stopped. */
	j->stopped = atomic_load(&run.stop) && !result.run_failed;
	if (!j->newest && print_report(j, db, e) == -1)
		goto fail;
	if (code == EXIT_AGAIN && !config_isset(j->cfg, CFG_REPEAT_EVERY))
		fprintf(stderr, "mailhaul: stopped; the same command goes "
		    "on\n");
	if (config_bool(j->cfg, CFG_VERBOSE))
		fprintf(stderr, "mailhaul: %" PRIu64 " commits of the "
		    "state\n", state_commits(state));
	db_close(&db);
	return code;
fail:
	db_close(&db);
	return -1;
}

/* With the state open for so long only: between passes others may have it. */
static int
run_once(struct job *j)
{
	struct state *state;
	struct err e;
	bool created;
	int code;

	j->stopped = false;
	if (config_state_dir(j->cfg, &e) == -1 ||
	    state_open(&state, config_state(j->cfg), &created, &e) == -1) {
		fprintf(stderr, "mailhaul: %s\n", e.text);
		return e.retry ? EXIT_AGAIN : EXIT_MISUSE;
	}
	if (j->log == NULL)
		j->log = runlog_open(j->cfg);
	state_set_log(state, j->log);
	code = run_job(j, state, created, &e);
	if (code == -1) {
		fprintf(stderr, "mailhaul: %s\n", e.text);
		code = e.retry ? EXIT_AGAIN : EXIT_INTERNAL;
	}
	state_close(&state);
	return code;
}

/* The newest messages of all mailboxes, then all. */
static int
run_newest(struct job *j)
{
	enum delete how = j->set.delete;
	bool boxes = j->set.delete_mailboxes;
	int code;

	job_newest(j, true);
	j->set.delete = DELETE_NO;
	j->set.delete_mailboxes = false;
	j->newest = true;
	code = run_once(j);
	j->newest = false;
	job_newest(j, false);
	j->set.delete = how;
	j->set.delete_mailboxes = boxes;
	job_again(j);
	return code;
}

int
cmd_copy(int argc, char **argv)
{
	struct job j;
	int code;

	code = job_load(&j, "copy", argc, argv);
	if (code != OPTS_GO)
		goto out;
	if (j.n == 0) {
		fprintf(stderr, "mailhaul: nothing to do: the last outcome of "
		    "every account is done\n");
		code = EXIT_DONE;
		goto out;
	}
	repeat_begin(&j);
	for (;;) {
		uint64_t begun = now_ms();

		if (config_isset(j.cfg, CFG_NEWEST_FIRST)) {
			code = run_newest(&j);
			if (j.stopped || code == EXIT_MISUSE)
				break;
		}
		code = run_once(&j);
		fflush(stdout);
		if (!repeat_wait(&j, begun, code))
			break;
		job_again(&j);
	}
out:
	job_release(&j);
	return code;
}
