/* mailhaul forget: drops accounts from the state, after a copy of it. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/xmalloc.h"
#include "forget.h"
#include "opts.h"
#include "select.h"
#include "undo.h"

struct forgotten {
	int64_t	*ids;
	size_t	 n, cap;
};

static const char chosen_sql[] = "SELECT id, name, stage, outcome, (SELECT"
	" count(*) FROM mailbox WHERE account_id = account.id), (SELECT"
	" count(*) FROM message JOIN mailbox ON mailbox.id = mailbox_id WHERE"
	" account_id = account.id AND message.outcome IN (1, 2)) FROM account"
	" ORDER BY name";

/* Is a store of the account without an answer?  Without the state nobody would
 * wait for it, and a copy that comes late would be a double. */
static int
doubtful(struct db *db, int64_t account_id, bool *yes, struct err *e)
{
	int64_t n;

	if (db_number(db, e, &n, 0, "SELECT EXISTS (SELECT 1 FROM intent JOIN"
	    " mailbox ON mailbox.id = mailbox_id WHERE account_id = ?1 AND"
	    " state = 0)", "i", account_id) == -1)
		return -1;
	*yes = n != 0;
	return 0;
}

/* The chosen accounts; what is known of each is told. */
static int
collect(struct db *db, struct forgotten *f, struct err *e)
{
	sqlite3_stmt *st = db_query(db, e, chosen_sql, "");
	bool pending;
	int rc;

	if (st == NULL)
		return -1;
	while ((rc = db_step(db, st, e)) == 1) {
		int64_t id = sqlite3_column_int64(st, 0);

		if (undo_pending(db, id, &pending, e) == -1) {
			rc = -1;
			break;
		}
		if (pending) {
			rc = err_set(e, ERR_ACCOUNT, "%.100s: an undo was cut "
			    "off; the same undo with --yes ends it, then it "
			    "can be forgotten", db_text(st, 1));
			break;
		}
		if (doubtful(db, id, &pending, e) == -1) {
			rc = -1;
			break;
		}
		if (pending) {
			rc = err_set(e, ERR_ACCOUNT, "%.100s: a batch of it "
			    "may still arrive at the target; let copy settle "
			    "that, then it can be forgotten", db_text(st, 1));
			break;
		}
		if (f->n == f->cap) {
			f->cap = f->cap == 0 ? 16 : 2 * f->cap;
			f->ids = xreallocarray(f->ids, f->cap,
			    sizeof *f->ids);
		}
		f->ids[f->n++] = id;
		text_show(stdout, db_text(st, 1));
		printf(": %" PRId64 " mailboxes, %" PRId64 " messages known "
		    "to be at the target; stage %s, last outcome %s\n",
		    (int64_t)sqlite3_column_int64(st, 4),
		    (int64_t)sqlite3_column_int64(st, 5), db_text(st, 2),
		    db_text(st, 3));
	}
	db_done(st);
	return rc;
}

static int
forget(const struct config *cfg, struct state *state, struct err *e)
{
	struct forgotten f = { NULL, 0, 0 };
	const char *path = config_state(cfg);
	struct db *db = NULL;
	struct buf errors;
	char *copy = NULL;
	int code = -1;
	size_t bad;

	buf_init(&errors, 1 << 20);
	if (state_reader(state, &db, e) == -1)
		goto out;
	if ((bad = select_state(db, cfg, &errors)) > 0)
		code = opts_complain("forget", &errors, bad);
	else if (collect(db, &f, e) == -1) {
		if (e->scope == ERR_ACCOUNT) {
			fprintf(stderr, "mailhaul: %s\n", e->text);
			code = EXIT_MISUSE;
		}
	} else if (f.n == 0) {
		printf("nothing to forget: the last outcome of every account "
		    "is done\n");
		code = EXIT_DONE;
	} else {
		db_close(&db);
		if (state_copy(state, path, "forget", &copy, e) == -1 ||
		    forget_accounts(state, f.ids, f.n, e) == -1)
			goto out;
		printf("%zu accounts are forgotten; nothing was done to the "
		    "target\nthe state as it was: ", f.n);
		text_show(stdout, copy);
		putchar('\n');
		code = EXIT_DONE;
	}
out:
	db_close(&db);
	buf_release(&errors);
	free(f.ids);
	free(copy);
	return code;
}

int
cmd_forget(int argc, char **argv)
{
	struct state *state = NULL;
	struct config *cfg;
	struct db *db;
	struct err e;
	long running;
	bool created;
	int code;

	code = opts_parse(command_find("forget"), argc, argv, &cfg);
	if (code != OPTS_GO)
		return code;
	code = EXIT_MISUSE;
	if (!select_given(cfg))
		usage_error("forget", "which accounts? give --only, "
		    "--only-file, --where or --failed");
	/* A state that is not there must not be made. */
	else if (state_read_only(config_state(cfg), &db, &running, &e) == -1)
		fprintf(stderr, "mailhaul: %s\n", e.text);
	else {
		db_close(&db);
		if (state_open(&state, config_state(cfg), &created, &e) == 0)
			code = forget(cfg, state, &e);
		else
			code = e.retry ? -1 : EXIT_MISUSE;
		if (state == NULL || code == -1)
			fprintf(stderr, "mailhaul: %s\n", e.text);
		if (code == -1)
			code = e.retry ? EXIT_AGAIN : EXIT_INTERNAL;
		state_close(&state);
	}
	config_free(&cfg);
	return code;
}
