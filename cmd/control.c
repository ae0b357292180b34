/* mailhaul stop, pause and resume: what a running copy is asked to do. */
#include <stdio.h>

#include "control.h"
#include "json.h"
#include "opts.h"
#include "state.h"

#define WAIT_MS	15000	/* it looks once a second */

static void
tell(const struct config *cfg, enum control what, long pid)
{
	static const char *const texts[] = { "",
	    "finishes the batches in hand and ends",
	    "finishes the batches in hand and waits", "goes on" };
	struct json j;

	if (config_enum(cfg, CFG_FORMAT) != FORMAT_JSON) {
		printf("process %ld %s\n", pid, texts[what]);
		return;
	}
	json_start(&j, stdout);
	json_open(&j, NULL, '{');
	json_string(&j, "schema", "mailhaul-control-1");
	json_string(&j, "asked", control_word(what));
	json_number(&j, "pid", pid);
	json_close(&j, '}');
	json_end(&j);
}

static int
ask(enum control what, int argc, char **argv)
{
	const char *word = control_word(what), *state;
	int code, rc = -1;
	struct config *cfg;
	struct db *db;
	struct err e;
	long running, pid;

	code = opts_parse(command_find(word), argc, argv, &cfg);
	if (code != OPTS_GO)
		return code;
	code = EXIT_MISUSE;
	state = config_state(cfg);
	if (state_read_only(state, &db, &running, &e) == -1) {
		fprintf(stderr, "mailhaul: %s\n", e.text);
		goto out;
	}
	db_close(&db);
	if (running > 0)
		rc = control_send(state, what, WAIT_MS, &e);
	pid = running;
	/* It may have ended before it looked. */
	if (rc == 0 && state_read_only(state, &db, &running, &e) == 0)
		db_close(&db);
	if (running == 0 && what == CONTROL_STOP && pid > 0) {
		tell(cfg, what, pid);
		code = EXIT_DONE;
	} else if (running == 0)
		fprintf(stderr, "mailhaul: no copy is running with the state "
		    "%s: there is nothing to %s\n", state, word);
	else if (rc == -1)
		fprintf(stderr, "mailhaul: %s\n", e.text);
	else if (rc == 0)
		fprintf(stderr, "mailhaul: process %ld holds the state %s, "
		    "but does not listen; nothing was done\n", running, state);
	else {
		tell(cfg, what, running);
		code = EXIT_DONE;
	}
out:
	config_free(&cfg);
	return code;
}

int
cmd_stop(int argc, char **argv)
{
	return ask(CONTROL_STOP, argc, argv);
}

int
cmd_pause(int argc, char **argv)
{
	return ask(CONTROL_PAUSE, argc, argv);
}

int
cmd_resume(int argc, char **argv)
{
	return ask(CONTROL_RESUME, argc, argv);
}
