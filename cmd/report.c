/* mailhaul report and mailhaul status: what the state tells, read beside a
 * running copy. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/xmalloc.h"
#include "letters.h"
#include "opts.h"
#include "quota.h"
#include "report.h"
#include "report_account.h"
#include "report_names.h"
#include "select.h"

typedef int print_fn(const struct config *, struct db *, FILE *,
    long running, struct err *);
/* NULL, or what the options contradict in. */
typedef const char *check_fn(const struct config *);

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
	case FORMAT_NDJSON:
	case FORMAT_JUNIT:
	case FORMAT_HTML:
		break;
	}
	return quota_report_text(db, out, e);
}

/* Colours are for a terminal that wants them. */
static bool
has_colours(FILE *out)
{
	const char *term = getenv("TERM"), *no = getenv("NO_COLOR");

	return isatty(fileno(out)) && term != NULL &&
	    strcmp(term, "dumb") != 0 && (no == NULL || *no == '\0');
}

static int
print_letters(const struct config *cfg, struct db *db, FILE *out,
    struct err *e)
{
	size_t n;

	if (letters_write(db, config_str(cfg, CFG_LETTERS), &n, e) == -1)
		return -1;
	fprintf(out, "%zu letters are in ", n);
	text_show(out, config_str(cfg, CFG_LETTERS));
	putc('\n', out);
	return 0;
}

static int
print_report(const struct config *cfg, struct db *db, FILE *out, long running,
    struct err *e)
{
	const struct report_options opt = {
	    .call = { .job = config_job(cfg), .state = config_state(cfg),
		.running = running },
	    .format = (enum format)config_enum(cfg, CFG_FORMAT),
	    .table = (enum report_table)config_enum(cfg, CFG_TABLE),
	    .redact = config_bool(cfg, CFG_REDACT),
	    .colour = has_colours(out),
	    .since = config_isset(cfg, CFG_SINCE) ?
		(int64_t)config_num(cfg, CFG_SINCE) : 0 };

	if (config_bool(cfg, CFG_QUOTAS))
		return print_quotas(db, out, opt.format, e);
	if (config_bool(cfg, CFG_RENAMES))
		return report_names(db, out, opt.format, NULL, NULL, e);
	if (config_isset(cfg, CFG_LETTERS))
		return print_letters(cfg, db, out, e);
	if (opt.format == FORMAT_TEXT && opt.table == TABLE_ALL &&
	    !opt.redact && opt.since == 0 && config_list(cfg, CFG_ONLY) > 0)
		return print_accounts(cfg, db, out, running, e);
	return report_write(db, out, &opt, e);
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
check_status(const struct config *cfg)
{
	int format = config_enum(cfg, CFG_FORMAT);

	return format == FORMAT_TEXT || format == FORMAT_JSON ? NULL :
	    "--format of this is text or json";
}

static const char *
check_report(const struct config *cfg)
{
	int format = config_enum(cfg, CFG_FORMAT);
	bool names = config_bool(cfg, CFG_RENAMES);
	bool quotas = config_bool(cfg, CFG_QUOTAS);
	bool letters = config_isset(cfg, CFG_LETTERS);
	bool table = config_enum(cfg, CFG_TABLE) != TABLE_ALL;

	if (names + quotas + letters + table > 1)
		return "give one of --quotas, --renames, --letters and "
		    "--table";
	if (quotas && format != FORMAT_TEXT && format != FORMAT_JSON &&
	    format != FORMAT_CSV)
		return "--quotas prints text, json or csv";
	if (names && format != FORMAT_TEXT && format != FORMAT_CSV)
		return "--renames prints text or csv";
	if (table && format != FORMAT_TEXT && format != FORMAT_CSV)
		return "--table prints text or csv";
	if (letters && format != FORMAT_TEXT)
		return "--letters writes text";
	if (config_bool(cfg, CFG_REDACT) && names + quotas + letters > 0)
		return "--redact is of the report itself: --quotas, --renames "
		    "and --letters are nothing but names";
	return NULL;
}

static int
print_from_state(const char *command, int argc, char **argv,
    check_fn *check, print_fn *print)
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
	if ((wrong = check(cfg)) != NULL)
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
	return print_from_state("report", argc, argv, check_report,
	    print_report);
}

int
cmd_status(int argc, char **argv)
{
	return print_from_state("status", argc, argv, check_status,
	    print_status);
}
