/* mailhaul report and mailhaul status: what the state tells, read beside a
 * running copy. */
#include <stdio.h>
#include <stdlib.h>

#include "base/xmalloc.h"
#include "opts.h"
#include "quota.h"
#include "report.h"
#include "report_account.h"
#include "report_names.h"
#include "select.h"

typedef int print_fn(const struct config *, struct db *, FILE *,
    long running, struct err *);

/* The names of the chosen accounts. */
struct chosen {
	char	**names;
	size_t	  n;
};

static int
read_chosen(struct db *db, struct chosen *s, struct err *e)
{
	sqlite3_stmt *st = db_query(db, e, "SELECT name FROM account ORDER BY"
	    " name", "");
	int rc;

	if (st == NULL)
		return -1;
	while ((rc = db_step(db, st, e)) == 1) {
		s->names = xreallocarray(s->names, s->n + 1,
		    sizeof *s->names);
		s->names[s->n++] = xstrdup(db_text(st, 0));
	}
	db_done(st);
	return rc;
}

/* With --only each account has a report of its own. */
static int
print_accounts(const struct config *cfg, struct db *db, FILE *out,
    long running, struct err *e)
{
	const struct report_call call = { .job = config_job(cfg),
	    .state = config_state(cfg), .running = running };
	struct chosen s = { NULL, 0 };
	int rc = read_chosen(db, &s, e);

	for (size_t i = 0; i < s.n; i++) {
		if (i > 0)
			fputs("\n\n", out);
		if (rc == 0)
			rc = report_account(db, out, s.names[i], &call, e);
		free(s.names[i]);
	}
	free(s.names);
	return rc;
}

static int
print_quotas(struct db *db, FILE *out, enum format format, struct err *e)
{
	switch (format) {
	case FORMAT_CSV:
		return quota_report_csv(db, out, e);
	case FORMAT_JSON:
		return quota_report_json(db, out, e);
	case FORMAT_TEXT:
		break;
	}
	return quota_report_text(db, out, e);
}

static int
print_report(const struct config *cfg, struct db *db, FILE *out, long running,
    struct err *e)
{
	enum format format = (enum format)config_enum(cfg, CFG_FORMAT);

	if (config_bool(cfg, CFG_QUOTAS))
		return print_quotas(db, out, format, e);
	if (config_bool(cfg, CFG_RENAMES))
		return report_names(db, out, format, NULL, NULL, e);
	if (format == FORMAT_JSON)
		return report_json(db, out, e);
	if (config_list(cfg, CFG_ONLY) > 0)
		return print_accounts(cfg, db, out, running, e);
	return report_text(db, out, e);
}

static int
print_status(const struct config *cfg, struct db *db, FILE *out, long running,
    struct err *e)
{
	return (config_enum(cfg, CFG_FORMAT) == FORMAT_JSON ? status_json :
	    status_text)(db, out, running, e);
}

/* Which formats there are depends on what is asked for. */
static const char *
check_format(const struct config *cfg)
{
	enum format format = (enum format)config_enum(cfg, CFG_FORMAT);
	bool names = config_bool(cfg, CFG_RENAMES);

	if (config_bool(cfg, CFG_QUOTAS))
		return names ? "give --quotas or --renames" : NULL;
	if (format == FORMAT_CSV && !names)
		return "--format csv is of report --quotas and --renames";
	if (format == FORMAT_JSON && names)
		return "--renames prints text or csv";
	return NULL;
}

static int
print_from_state(const char *command, int argc, char **argv, print_fn *print)
{
	struct config *cfg;
	struct buf errors;
	const char *wrong;
	struct db *db;
	struct err e;
	long running;
	size_t bad;
	int code;

	code = opts_parse(command_find(command), argc, argv, &cfg);
	if (code != OPTS_GO)
		return code;
	code = EXIT_DONE;
	if ((wrong = check_format(cfg)) != NULL)
		code = usage_error(command, "%s", wrong);
	else if (config_state(cfg) == NULL)
		code = usage_error(command, "which state? Give --state FILE, "
		    "--job JOB.ini, or the source and target of the copy");
	else if (state_read_only(config_state(cfg), &db, &running, &e) == -1) {
		fprintf(stderr, "mailhaul: %s\n", e.text);
		code = EXIT_MISUSE;
	} else {
		buf_init(&errors, 1 << 20);
		bad = select_state(db, cfg, &errors);
		if (bad > 0)
			code = opts_complain(command, &errors, bad);
		else if (print(cfg, db, stdout, running, &e) == -1) {
			fprintf(stderr, "mailhaul: %s\n", e.text);
			code = e.scope == ERR_ACCOUNT ? EXIT_MISUSE :
			    EXIT_INTERNAL;
		}
		buf_release(&errors);
		db_close(&db);
	}
	config_free(&cfg);
	return code;
}

int
cmd_report(int argc, char **argv)
{
	return print_from_state("report", argc, argv, print_report);
}

int
cmd_status(int argc, char **argv)
{
	return print_from_state("status", argc, argv, print_status);
}
