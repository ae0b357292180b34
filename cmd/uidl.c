/* mailhaul uidl: what POP3 servers call the messages of INBOXes. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/xmalloc.h"
#include "job.h"
#include "json.h"
#include "pop3_run.h"

#define MOST_LEFT	20	/* of an account are named, in text */

static const char left_sql[] = "SELECT number, ifnull(uidl, ''), size, why"
	" FROM uidl_left WHERE account = ?1 ORDER BY number";

static void
say(void *ctx, const char *account, const char *text)
{
	(void)ctx;
	fputs("mailhaul: ", stderr);
	if (account != NULL) {
		text_show(stderr, account);
		fputs(": ", stderr);
	}
	text_show(stderr, text);
	putc('\n', stderr);
}

/* How the join was made. */
static const char *
basis(const struct pop3_task *t)
{
	return t->joined == 0 ? "nothing" : t->by_headers ? "headers" :
	    t->unchecked ? "order alone" : "order";
}

static int
left_text(struct db *db, const struct pop3_task *t, struct err *e)
{
	sqlite3_stmt *st;
	int rc, n = 0;

	if ((st = db_query(db, e, left_sql, "s", t->account->name)) == NULL)
		return -1;
	while ((rc = db_step(db, st, e)) == 1 && n++ < MOST_LEFT) {
		printf("  message %" PRId64 " ", (int64_t)
		    sqlite3_column_int64(st, 0));
		text_show(stdout, db_text(st, 1));
		printf(" (%" PRId64 " bytes): %s\n", (int64_t)
		    sqlite3_column_int64(st, 2), db_text(st, 3));
	}
	db_done(st);
	if (n > MOST_LEFT)
		printf("  and %zu more\n", t->listed - t->joined - MOST_LEFT);
	return rc == -1 ? -1 : 0;
}

static int
print_text(struct db *db, const struct pop3_task *tasks, size_t n,
    struct err *e)
{
	for (size_t i = 0; i < n; i++) {
		const struct pop3_task *t = &tasks[i];

		text_show(stdout, t->account->name);
		if (t->outcome != POP3_DONE) {
			printf(": %s: ", t->outcome == POP3_FAILED ?
			    "failed" : "stopped");
			text_show(stdout, t->err.text);
			putchar('\n');
			continue;
		}
		printf(": %zu messages at the server, %zu in INBOX; %zu "
		    "joined by %s%s\n", t->listed, t->inbox, t->joined,
		    basis(t), t->reordered ? "; the server has another order" :
		    "");
		if (t->joined < t->listed && left_text(db, t, e) == -1)
			return -1;
	}
	return 0;
}

static int
left_json(struct db *db, struct json *j, const struct pop3_task *t,
    struct err *e)
{
	sqlite3_stmt *st;
	int rc;

	if ((st = db_query(db, e, left_sql, "s", t->account->name)) == NULL)
		return -1;
	json_open(j, "left", '[');
	while ((rc = db_step(db, st, e)) == 1) {
		json_open(j, NULL, '{');
		json_number(j, "number", sqlite3_column_int64(st, 0));
		json_string(j, "uidl", db_text(st, 1));
		json_number(j, "size", sqlite3_column_int64(st, 2));
		json_string(j, "why", db_text(st, 3));
		json_close(j, '}');
	}
	json_close(j, ']');
	db_done(st);
	return rc;
}

static int
print_json(struct db *db, const struct pop3_task *tasks, size_t n,
    struct err *e)
{
	static const char *const outcomes[] = { "todo", "done", "failed",
	    "stopped" };
	struct json j;
	int rc = 0;

	json_start(&j, stdout);
	json_open(&j, NULL, '{');
	json_string(&j, "schema", "mailhaul-uidl-1");
	json_open(&j, "accounts", '[');
	for (size_t i = 0; i < n && rc == 0; i++) {
		const struct pop3_task *t = &tasks[i];

		json_open(&j, NULL, '{');
		json_string(&j, "account", t->account->name);
		json_string(&j, "outcome", outcomes[t->outcome]);
		if (t->outcome == POP3_DONE) {
			json_number(&j, "listed", (int64_t)t->listed);
			json_number(&j, "inbox", (int64_t)t->inbox);
			json_number(&j, "joined", (int64_t)t->joined);
			json_string(&j, "by", basis(t));
			json_bool(&j, "reordered", t->reordered);
			rc = left_json(db, &j, t, e);
		} else
			json_string(&j, "error", t->err.text);
		json_close(&j, '}');
	}
	json_close(&j, ']');
	json_close(&j, '}');
	json_end(&j);
	return rc;
}

static int
exit_code(const struct pop3_task *tasks, size_t n)
{
	bool failed = false, left = false;

	for (size_t i = 0; i < n; i++) {
		if (tasks[i].outcome == POP3_STOPPED)
			return EXIT_AGAIN;
		failed = failed || tasks[i].outcome == POP3_FAILED;
		left = left || tasks[i].joined < tasks[i].listed;
	}
	return failed ? EXIT_ACCOUNTS : left ? EXIT_DIFFERS : EXIT_DONE;
}

static int
run(struct job *j, struct state *state, struct err *e)
{
	struct pop3_task *tasks = xcalloc(j->n + 1, sizeof *tasks);
	struct pop3_run r = { .state = state, .set = &j->set, .tasks = tasks,
	    .n = j->n, .say = say };
	struct db *db = NULL;
	int rc, code;

	for (size_t i = 0; i < j->n; i++) {
		tasks[i].account = &j->accounts[i];
		tasks[i].server = j->servers[i].uri;
		tasks[i].password = j->servers[i].password;
	}
	rc = pop3_run(&r, e);
	code = exit_code(tasks, j->n);
	if (rc == 0 && (rc = state_reader(state, &db, e)) == 0)
		rc = config_enum(j->cfg, CFG_FORMAT) == FORMAT_JSON ?
		    print_json(db, tasks, j->n, e) :
		    print_text(db, tasks, j->n, e);
	db_close(&db);
	free(tasks);
	return rc == -1 ? -1 : code;
}

int
cmd_uidl(int argc, char **argv)
{
	struct state *state = NULL;
	struct job j;
	struct err e;
	bool created;
	int code;

	code = job_load(&j, "uidl", argc, argv);
	if (code != OPTS_GO)
		goto out;
	if (config_state_dir(j.cfg, &e) == -1 ||
	    state_open(&state, config_state(j.cfg), &created, &e) == -1)
		code = e.retry ? EXIT_AGAIN : EXIT_MISUSE;
	else if ((code = run(&j, state, &e)) == -1)
		code = e.retry ? EXIT_AGAIN : EXIT_INTERNAL;
	else
		err_clear(&e);
	if (e.scope != ERR_NONE)
		fprintf(stderr, "mailhaul: %s\n", e.text);
	state_close(&state);
out:
	job_release(&j);
	return code;
}
