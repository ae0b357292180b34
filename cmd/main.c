/*
 * mailhaul: finds the subcommand and runs it.
 *
 * The way on: copy.c, engine/pool.c, engine/batch.c, then formats/.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "opts.h"

/* scripts/check-docs reads this table: a command starts on each line that
 * holds a '{' and a name. */
const struct command commands[] = {
	{ "copy", "copy accounts, or continue where the last pass ended",
	cmd_copy, FOR_COPY, true,
	"usage: mailhaul copy SOURCE TARGET [--state FILE] [OPTIONS]\n"
	"       mailhaul copy --job JOB.ini [--accounts LIST] [OPTIONS]\n"
	"\n"
	"Copies one account, or all accounts of a list, and remembers in the "
	"state what\n"
	"has arrived: the same command again goes on after a stop or a crash, "
	"sends what\n"
	"is new, and sends nothing twice.\n"
	"\n"
	"SOURCE: mbox:PATH  maildir:PATH  cgp:BASE?account=NAME\n"
	"TARGET: imap://USER@HOST[:PORT]  imaps://USER@HOST[:PORT]  null:\n"
	"Options of a store follow '?', with '&' between, for example\n"
	"        imaps://admin@mail.example.net?authzid=anna&secret-file="
	"/root/pw\n" },
	{ "plan", "what copy would do; writes nothing",
	cmd_plan, FOR_COPY | FOR_PLAN, true,
	"usage: mailhaul plan SOURCE TARGET [--state FILE] [OPTIONS]\n"
	"       mailhaul plan --job JOB.ini [--accounts LIST] [OPTIONS]\n"
	"       mailhaul plan --list-accounts cgp:BASE [OPTIONS]\n"
	"\n"
	"Takes the arguments of copy, logs in everywhere and shows what copy "
	"would do:\n"
	"mailboxes and their names at the target, counts and bytes, what is "
	"missing, what\n"
	"is in the way, and how long it will take.  Writes nothing on either "
	"side, nor in\n"
	"the state.  Works beside a running copy.\n" },
	{ "audit", "compare source and target; writes nothing",
	cmd_audit, FOR_COPY | FOR_AUDIT, true,
	"usage: mailhaul audit SOURCE TARGET [--level LEVEL] [OPTIONS]\n"
	"       mailhaul audit --job JOB.ini [--accounts LIST] [OPTIONS]\n"
	"\n"
	"Takes the arguments of copy, reads both sides and tells of every "
	"message whether it\n"
	"is at the target as it is at the source, and if not, what differs.  "
	"With the state\n"
	"of a copy or without one.  Writes nothing on either side, nor in the "
	"state.\n" },
	{ "calibrate", "what the files of a CommuniGate server mean",
	cmd_calibrate, FOR_STATUS, true,
	"usage: mailhaul calibrate cgp:BASE?account=NAME imaps://NAME@SERVER"
	"\n"
	"       mailhaul calibrate --job JOB.ini --only NAME\n"
	"\n"
	"Reads one account from disk and from the server that it belongs to, "
	"and prints what\n"
	"is assumed of the files as lines for the section [source] of a job, "
	"with how many\n"
	"messages say so and how many contradict.  Writes nothing.\n" },
	{ "uidl", "what a POP3 server calls the messages of INBOX",
	cmd_uidl, FOR_UIDL, true,
	"usage: mailhaul uidl [pop3s://{user}@SERVER] --job JOB.ini [OPTIONS]\n"
	"\n"
	"Asks the POP3 server of each account for its UIDLs and joins them "
	"with the messages\n"
	"of the source's INBOX; later copies give them to targets that keep "
	"them, so that\n"
	"POP3 clients download nothing again.  Reads no mail there and "
	"deletes none.\n" },
	{ "report", "what all passes so far have done, and what is left",
	cmd_report, FOR_REPORT, false,
	"usage: mailhaul report --state FILE [OPTIONS]\n"
	"       mailhaul report --job JOB.ini [OPTIONS]\n"
	"       mailhaul report SOURCE TARGET [OPTIONS]\n"
	"\n"
	"Prints the end report: totals, before and after, passes and rates, "
	"accounts,\n"
	"every message that was refused, failed or vanished, and what is left "
	"to do by\n"
	"hand.  --format html makes a page for people of it.  Works beside a "
	"running copy.\n" },
	{ "status", "how far a running copy is",
	cmd_status, FOR_STATUS, false,
	"usage: mailhaul status --state FILE [OPTIONS]\n"
	"       mailhaul status --job JOB.ini [OPTIONS]\n"
	"       mailhaul status SOURCE TARGET [OPTIONS]\n"
	"\n"
	"Prints what the running pass, or the last one, has done so far.  "
	"Works beside a\n"
	"running copy.\n" },
	{ "undo", "take back at the target what copy has made",
	cmd_undo, FOR_UNDO, true,
	"usage: mailhaul undo --job JOB.ini --only NAME [--yes] [OPTIONS]\n"
	"       mailhaul undo SOURCE TARGET [--yes] [OPTIONS]\n"
	"\n"
	"Removes at the target the messages and mailboxes that copy made for "
	"an account\n"
	"and that nobody has changed since.  Without --yes it tells what would "
	"go and what\n"
	"would stay, and does nothing.\n" },
	{ "forget", "drop accounts from the state",
	cmd_forget, FOR_FORGET, false,
	"usage: mailhaul forget --state FILE --only NAME [OPTIONS]\n"
	"       mailhaul forget --job JOB.ini --only NAME [OPTIONS]\n"
	"\n"
	"Drops accounts from the state, after a copy of it has been made.  "
	"Nothing is done\n"
	"to the target; a later copy meets the accounts as new ones.\n" },
	{ "stage", "who owns what is at the target: its users, or nobody yet",
	cmd_stage, FOR_STAGE, false,
	"usage: mailhaul stage --set STAGE --state FILE --only NAME [OPTIONS]\n"
	"       mailhaul stage --set STAGE --job JOB.ini --only NAME [OPTIONS]"
	"\n"
	"\n"
	"Sets the stage of accounts: loading, frozen or released.  To a "
	"released account\n"
	"later passes only add messages that came to the source late.\n" },
	{ "stop", "let a running copy finish its batches and end",
	cmd_stop, FOR_STATUS, false,
	"usage: mailhaul stop --state FILE [OPTIONS]\n"
	"       mailhaul stop --job JOB.ini [OPTIONS]\n"
	"       mailhaul stop SOURCE TARGET [OPTIONS]\n"
	"\n"
	"Asks the copy that is running with this state to finish the batches "
	"in hand and\n"
	"end with code 75, as SIGTERM does; the same copy goes on later.\n" },
	{ "pause", "let a running copy wait",
	cmd_pause, FOR_STATUS, false,
	"usage: mailhaul pause --state FILE [OPTIONS]\n"
	"       mailhaul pause --job JOB.ini [OPTIONS]\n"
	"       mailhaul pause SOURCE TARGET [OPTIONS]\n"
	"\n"
	"Asks the copy that is running with this state to finish the batches "
	"in hand,\n"
	"close its connections, and wait for mailhaul resume.  A new run "
	"starts unpaused.\n" },
	{ "resume", "let a paused copy go on",
	cmd_resume, FOR_STATUS, false,
	"usage: mailhaul resume --state FILE [OPTIONS]\n"
	"       mailhaul resume --job JOB.ini [OPTIONS]\n"
	"       mailhaul resume SOURCE TARGET [OPTIONS]\n"
	"\n"
	"Asks the copy that was paused with mailhaul pause to go on.\n" },
	{ NULL, NULL, NULL, 0, false, NULL }
};

const struct command *
command_find(const char *name)
{
	const struct command *c;

	for (c = commands; c->name != NULL; c++)
		if (strcmp(c->name, name) == 0)
			return c;
	return NULL;
}

/* A failed assertion, or no more memory: what it was has been printed. */
static void
on_abort(int sig)
{
	static const char text[] = "mailhaul: internal error; the state is "
	    "safe, the same command goes on\n";
	ssize_t n = write(STDERR_FILENO, text, sizeof text - 1);

	(void)sig;
	(void)n;
	_exit(EXIT_INTERNAL);
}

/* A file that we open must not become standard output by accident. */
static void
open_standard_files(void)
{
	int fd;

	do
		fd = open("/dev/null", O_RDWR);
	while (fd != -1 && fd <= STDERR_FILENO);
	if (fd != -1)
		close(fd);
}

/* The exit code once standard output has arrived where it should. */
static int
flush_output(int rc)
{
	if (fflush(stdout) == 0 && !ferror(stdout))
		return rc;
	fprintf(stderr, "mailhaul: standard output: %s\n", strerror(errno));
	return rc == EXIT_DONE ? EXIT_AGAIN : rc;
}

int
main(int argc, char **argv)
{
	const struct command *c;
	const char *name = argc > 1 ? argv[1] : NULL;

	open_standard_files();
	signal(SIGABRT, on_abort);
	if (name == NULL) {
		opts_overview(commands, stderr);
		return EXIT_MISUSE;
	}
	if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0) {
		opts_overview(commands, stdout);
		return flush_output(EXIT_DONE);
	}
	if (strcmp(name, "--version") == 0) {
		printf("mailhaul %s\n", VERSION);
		return flush_output(EXIT_DONE);
	}
	if (name[0] == '-')
		return usage_error(NULL, "the command comes before '%.60s'",
		    name);
	if ((c = command_find(name)) == NULL)
		return usage_error(NULL, "there is no command '%.60s'", name);
	return flush_output(c->run(argc - 1, argv + 1));
}
