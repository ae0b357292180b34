/* mailhaul undo: takes back what copy has made at the target. */
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "job.h"
#include "logins.h"
#include "runlog.h"
#include "select.h"
#include "undo.h"

struct undoing {
	bool	 yes;
	uint64_t ours, mailboxes, left;		/* over all accounts */
	size_t	 boxes;				/* told of this account */
	struct log *log;
	const char *account;
};

static void
number(uint64_t n, const char *what)
{
	if (n > 0)
		printf(" %" PRIu64 " %s;", n, what);
}

/* One mailbox, on one line. */
static void
tell(void *ctx, const struct undo_box *b)
{
	struct undoing *u = ctx;

	u->boxes++;
	fputs("  ", stdout);
	text_show(stdout, b->tgt_name);
	putchar(':');
	if (b->stays) {
		printf(" %s\n", b->note);
		u->mailboxes--;
		return;
	}
	number(b->ours, u->yes ? "messages taken back" :
	    "messages would be taken back");
	number(b->changed, "were changed since and stay");
	number(b->present, "were there before and stay");
	number(b->foreign, "are not ours and stay");
	number(b->gone, "of ours are no longer there");
	if (!u->yes)
		number(b->doubts, "batches without an answer would be looked "
		    "for, and go if they are there");
	if (b->note != NULL)
		printf(" %s", b->note);
	else if (b->vanishes)
		fputs(u->yes ? " the mailbox goes" :
		    " the mailbox would go", stdout);
	else if (b->made)
		fputs(" the mailbox is ours, but not empty then, and stays",
		    stdout);
	else
		fputs(" the mailbox stays", stdout);
	putchar('\n');
	if (u->yes) {
		const struct log_about about = { .account = u->account,
		    .mailbox = b->tgt_name };

		log_event(u->log, LOG_ACCOUNT, "undo", &about, "takes back %"
		    PRIu64 " messages%s; changed %" PRIu64 ", present %" PRIu64
		    ", not ours %" PRIu64 ", gone %" PRIu64, b->ours,
		    b->vanishes ? " and the mailbox" : "", b->changed,
		    b->present, b->foreign, b->gone);
	}
	u->ours += b->ours;
	u->mailboxes += b->vanishes && b->note == NULL;
}

static void
log_line(void *ctx, const char *account, const char *text)
{
	(void)ctx;
	fputs("mailhaul: ", stderr);
	text_show(stderr, account);
	fputs(": ", stderr);
	text_show(stderr, text);
	putc('\n', stderr);
}

/* One account, unless its login has been refused to others again and again. */
static int
undo_one(struct lane *l, struct account *a, struct logins *logins,
    struct undoing *u, struct err *e)
{
	const bool no[2] = { false, false };
	bool worked[2] = { false, false };
	uint64_t left = 0;
	int rc;

	if (login_barred(logins, a)) {
		err_set(e, ERR_ACCOUNT, "not tried: the login that it shares "
		    "with other accounts was refused again and again");
		return -1;
	}
	login_begins(logins, a);
	arena_init(&a->arena);
	rc = undo_account(l, a, u->yes, tell, u, &left, e);
	worked[SIDE_TARGET] = l->tgt != NULL;
	if (rc == -1 && e->cause == CAUSE_AUTH) {
		bool refused[2] = { false, true };

		worked[SIDE_TARGET] = false;
		login_ends(logins, a, worked, refused);
	} else
		login_ends(logins, a, worked, no);
	u->left += left;
	lane_close_stores(l);
	arena_release(&a->arena);
	return rc;
}

static int
undo_all(struct job *j, struct state *state, struct err *e)
{
	struct run run = { .state = state, .set = &j->set, .log = log_line,
	    .start_ms = now_ms() };
	struct undoing u = { .yes = config_bool(j->cfg, CFG_YES),
	    .log = j->log };
	struct logins *logins;
	struct lane lane;
	size_t failed = 0;

	if (lane_init(&lane, &run, 0, -1, e) == -1)
		return -1;
	logins = logins_new(j->order, j->n);
	for (size_t i = 0; i < j->n; i++) {
		struct account *a = j->order[i];

		text_show(stdout, a->name);
		fputs(":\n", stdout);
		u.boxes = 0;
		u.account = a->name;
		if (undo_one(&lane, a, logins, &u, e) == -1) {
			fflush(stdout);
			log_line(NULL, a->name, e->text);
			failed++;
		} else if (u.boxes == 0)
			puts("  nothing was made");
		if (e->scope == ERR_RUN && failed > 0)
			break;
	}
	logins_free(&logins);
	lane_release(&lane);
	if (failed > 0 && e->scope == ERR_RUN)
		return -1;
	printf(u.yes ? "%" PRIu64 " messages and %" PRIu64 " mailboxes were "
	    "taken back" : "%" PRIu64 " messages and %" PRIu64 " mailboxes "
	    "would be taken back", u.ours, u.mailboxes);
	if (u.left > 0)
		printf(", %" PRIu64 " changed ones stay", u.left);
	puts(u.yes ? "" : "; nothing was done: --yes does it");
	return failed > 0 ? EXIT_ACCOUNTS : u.yes && u.left > 0 ?
	    EXIT_DIFFERS : EXIT_DONE;
}

/* What only a command line may say. */
static int
check_asked(const struct config *c)
{
	if (config_isset(c, CFG_ACCOUNTS) && !select_given(c))
		return usage_error("undo", "which accounts? give --only, "
		    "--only-file, --where or --failed");
	if (config_bool(c, CFG_YES) && strcmp(config_where(c, CFG_YES),
	    "--yes") != 0)
		return usage_error("undo", "%s: yes has to be said on the "
		    "command line", config_where(c, CFG_YES));
	return OPTS_GO;
}

int
cmd_undo(int argc, char **argv)
{
	struct state *state = NULL;
	struct job j;
	struct db *db;
	struct err e;
	long running;
	bool created;
	int code;

	code = job_load(&j, "undo", argc, argv);
	if (code == OPTS_GO)
		code = check_asked(j.cfg);
	if (code != OPTS_GO)
		goto out;
	signal(SIGPIPE, SIG_IGN);
	code = EXIT_MISUSE;
	/* A state that is not there must not be made. */
	if (state_read_only(config_state(j.cfg), &db, &running, &e) == -1) {
		fprintf(stderr, "mailhaul: %s\n", e.text);
		goto out;
	}
	db_close(&db);
	if (state_open(&state, config_state(j.cfg), &created, &e) == -1) {
		fprintf(stderr, "mailhaul: %s\n", e.text);
		code = e.retry ? EXIT_AGAIN : EXIT_MISUSE;
		goto out;
	}
	err_clear(&e);
	if (config_bool(j.cfg, CFG_YES)) {
		j.log = runlog_open(j.cfg);
		state_set_log(state, j.log);
	}
	code = undo_all(&j, state, &e);
	if (code == -1) {
		fprintf(stderr, "mailhaul: %s\n", e.text);
		code = e.retry ? EXIT_AGAIN : EXIT_INTERNAL;
	}
	state_close(&state);
out:
	job_release(&j);
	return code;
}
