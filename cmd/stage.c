/* mailhaul stage: who owns what is at the target. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "opts.h"
#include "select.h"
#include "stage.h"
#include "text.h"

static void
tell(void *ctx, const struct stage_change *c)
{
	text_show(stdout, c->name);
	printf(": %s, was %s; last outcome %s", (const char *)ctx, c->old,
	    c->outcome);
	if (c->missing > 0)
		printf("; %" PRId64 " messages of the source are not at the "
		    "target", c->missing);
	if (c->doubts > 0)
		printf("; %" PRId64 " changes of the target have had no "
		    "answer yet", c->doubts);
	putchar('\n');
}

static int
set_stage(const struct config *cfg, struct state *state, struct err *e)
{
	const char *stage = config_str(cfg, CFG_STAGE);
	struct db *db = NULL;
	char name[16];
	struct buf errors;
	size_t bad, n;
	int code = -1;

	buf_init(&errors, 1 << 20);
	if (state_reader(state, &db, e) == -1)
		;
	else if ((bad = select_state(db, cfg, &errors)) > 0)
		code = opts_complain("stage", &errors, bad);
	else {
		snprintf(name, sizeof name, "%s", stage);
		if (stage_set(state, db, stage, tell, name, &n, e) == 0)
			code = EXIT_DONE;
		else if (e->scope == ERR_ACCOUNT) {
			fflush(stdout);
			fprintf(stderr, "mailhaul: %s: nothing was changed\n",
			    e->text);
			code = EXIT_MISUSE;
		}
		if (code == EXIT_DONE && n == 0)
			printf("no account was chosen\n");
	}
	db_close(&db);
	buf_release(&errors);
	return code;
}

int
cmd_stage(int argc, char **argv)
{
	struct state *state = NULL;
	struct config *cfg;
	struct db *db;
	struct err e;
	long running;
	bool created;
	int code;

	code = opts_parse(command_find("stage"), argc, argv, &cfg);
	if (code != OPTS_GO)
		return code;
	code = EXIT_MISUSE;
	if (!config_isset(cfg, CFG_STAGE))
		usage_error("stage", "which stage? --set frozen, released, "
		    "loading or new");
	else if (!select_given(cfg))
		usage_error("stage", "which accounts? give --only, "
		    "--only-file, --where or --failed");
	else if (config_state(cfg) == NULL)
		usage_error("stage", "which state? Give --state FILE or --job "
		    "JOB.ini");
	/* A state that is not there must not be made. */
	else if (state_read_only(config_state(cfg), &db, &running, &e) == -1)
		fprintf(stderr, "mailhaul: %s\n", e.text);
	else {
		db_close(&db);
		if (state_open(&state, config_state(cfg), &created, &e) == 0)
			code = set_stage(cfg, state, &e);
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
