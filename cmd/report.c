/* mailhaul report and mailhaul status: what the state tells, read beside a
 * running copy. */
#include <stdio.h>

#include "opts.h"
#include "quota.h"
#include "report.h"

typedef int print_fn(struct db *, FILE *, long running, struct err *);

static int
print_report_text(struct db *db, FILE *out, long running, struct err *e)
{
	(void)running;
	return report_text(db, out, e);
}

static int
print_report_json(struct db *db, FILE *out, long running, struct err *e)
{
	(void)running;
	return report_json(db, out, e);
}

static int
print_quotas(const struct config *cfg, struct db *db, struct err *e)
{
	switch ((enum format)config_enum(cfg, CFG_FORMAT)) {
	case FORMAT_CSV:
		return quota_report_csv(db, stdout, e);
	case FORMAT_JSON:
		return quota_report_json(db, stdout, e);
	case FORMAT_TEXT:
		break;
	}
	return quota_report_text(db, stdout, e);
}

static int
print_from_state(const char *command, int argc, char **argv, print_fn *text,
    print_fn *json)
{
	struct config *cfg;
	struct db *db;
	struct err e;
	long running;
	int code;

	code = opts_parse(command_find(command), argc, argv, &cfg);
	if (code != OPTS_GO)
		return code;
	code = EXIT_DONE;
	if (config_state(cfg) == NULL)
		code = usage_error(command, "which state? Give --state FILE, "
		    "--job JOB.ini, or the source and target of the copy");
	else if (config_enum(cfg, CFG_FORMAT) == FORMAT_CSV &&
	    !config_bool(cfg, CFG_QUOTAS))
		code = usage_error(command, "--format csv is of report "
		    "--quotas");
	else if (state_read_only(config_state(cfg), &db, &running, &e) == -1) {
		fprintf(stderr, "mailhaul: %s\n", e.text);
		code = EXIT_MISUSE;
	} else {
		if ((config_bool(cfg, CFG_QUOTAS) ? print_quotas(cfg, db,
		    &e) : (config_enum(cfg, CFG_FORMAT) == FORMAT_JSON ?
		    json : text)(db, stdout, running, &e)) == -1) {
			fprintf(stderr, "mailhaul: %s\n", e.text);
			code = EXIT_INTERNAL;
		}
		db_close(&db);
	}
	config_free(&cfg);
	return code;
}

int
cmd_report(int argc, char **argv)
{
	return print_from_state("report", argc, argv, print_report_text,
	    print_report_json);
}

int
cmd_status(int argc, char **argv)
{
	return print_from_state("status", argc, argv, status_text,
	    status_json);
}
