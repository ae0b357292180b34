/* Command lines; what they look like is in opts.h. */
#include "opts.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/suggest.h"
#include "base/xmalloc.h"

#define HELP_COLUMN	26
#define MAX_STORES	4	/* two, and some to complain of */

/* The options that are no settings. */
enum extra { OPT_HELP, OPT_JOB, OPT_SET, OPT_SHOW_CONFIG, OPT_COUNT };

/* scripts/check-docs reads this table: one option starts on each line that
 * holds "[OPT_". */
static const struct {
	const char	*name, *arg, *help;
} extras[OPT_COUNT] = {
[OPT_HELP] = { "help", NULL, "print this" },
[OPT_JOB] = { "job", "JOB.ini", "read the settings of this job file" },
[OPT_SET] = { "set", "SECTION.KEY=VALUE",
	"go before the job file in one setting" },
[OPT_SHOW_CONFIG] = { "show-config", NULL,
	"print what is in force and from where, and end" },
};

int
opts_complain(const char *command, const struct buf *errors, size_t n)
{
	const char *p = errors->ptr, *nl;
	size_t shown = 0;

	fflush(stdout);
	for (; (nl = strchr(p, '\n')) != NULL; p = nl + 1, shown++)
		fprintf(stderr, "mailhaul: %.*s\n", (int)(nl - p), p);
	if (shown < n)
		fprintf(stderr, "mailhaul: and %zu mistakes more\n",
		    n - shown);
	fprintf(stderr, "mailhaul: nothing was started; see \"mailhaul%s%s "
	    "--help\" or mailhaul(1)\n", command != NULL ? " " : "",
	    command != NULL ? command : "");
	return EXIT_MISUSE;
}

int
usage_error(const char *command, const char *fmt, ...)
{
	struct buf errors;
	va_list ap;
	int rc;

	buf_init(&errors, 2048);
	va_start(ap, fmt);
	vcomplain(&errors, "", fmt, ap);
	va_end(ap);
	rc = opts_complain(command, &errors, 1);
	buf_release(&errors);
	return rc;
}

/* Help */

/* "  --lanes N  " up to the column of the texts. */
static void
help_option(const char *name, const char *arg, FILE *f)
{
	int n;

	n = fprintf(f, "  --%s%s%s", name, arg != NULL ? " " : "",
	    arg != NULL ? arg : "");
	if (n > HELP_COLUMN - 2)
		fprintf(f, "\n%*s", HELP_COLUMN, "");
	else
		fprintf(f, "%*s", HELP_COLUMN - n, "");
}

static void
help_setting(const struct setting *s, FILE *f)
{
	size_t i, n = 0;

	help_option(s->key, s->arg, f);
	fputs(s->help, f);
	if (s->words != NULL) {
		fprintf(f, "\n%*s", HELP_COLUMN, "");
		for (i = 0; s->words[i] != NULL; i++) {
			const char *sep = i == 0 ? "" : " | ";

			if (n + strlen(sep) + strlen(s->words[i]) > 52) {
				n = 0;
				fprintf(f, " |\n%*s", HELP_COLUMN, "");
				sep = "";
			}
			n += (size_t)fprintf(f, "%s%s", sep, s->words[i]);
		}
		if (n + strlen(s->def != NULL ? s->def : "") > 40)
			fprintf(f, "\n%*s", HELP_COLUMN - 1, "");
	}
	if (s->def != NULL && s->type != SET_BOOL)
		fprintf(f, " (default: %s)", s->def);
	if (s->type == SET_NAMES || s->type == SET_PATTERNS ||
	    s->type == SET_RULES || s->type == SET_LIMITS)
		fputs("; can be repeated", f);
	putc('\n', f);
}

void
opts_help(const struct command *cmd, FILE *f)
{
	static const struct { const char *section, *title; } groups[] = {
		{ "job", "Options" },
		{ "folders", "Mailboxes" }, { "shared", "Shared mailboxes" },
		{ "messages", "Messages" }, { "limits", "Limits" }
	};
	const struct setting *s;
	size_t g, i;
	enum cfg id;
	bool titled;

	fputs(cmd->usage, f);
	for (g = 0; g < sizeof groups / sizeof groups[0]; g++) {
		titled = false;
		for (id = 0; id < CFG_COUNT; id++) {
			s = config_setting(id);
			if (strcmp(s->section, groups[g].section) != 0 ||
			    (s->commands & cmd->mask) == 0)
				continue;
			if (!titled)
				fprintf(f, "\n%s:\n", groups[g].title);
			titled = true;
			help_setting(s, f);
		}
		for (i = 0; g == 0 && i < OPT_COUNT; i++) {
			help_option(extras[i].name, extras[i].arg, f);
			fprintf(f, "%s\n", extras[i].help);
		}
	}
	fputs("\nEvery option is also a key of the job file.  mailhaul(1) "
	    "tells more.\n", f);
}

void
opts_overview(const struct command *c, FILE *f)
{
	fputs("usage: mailhaul COMMAND [SOURCE TARGET] [OPTIONS]\n"
	    "       mailhaul COMMAND --help\n"
	    "       mailhaul --version\n"
	    "\n"
	    "mailhaul moves mailboxes between mail servers, every message "
	    "exactly once.\n"
	    "\n"
	    "Commands:\n", f);
	for (; c->name != NULL; c++)
		fprintf(f, "  %-10s %s\n", c->name, c->summary);
	fputs("\nExit codes: 0 all done; 1 some messages were refused or "
	    "differ; 2 some accounts\nfailed; 64 usage or configuration; 70 "
	    "internal error; 75 stopped, run again.\n", f);
}

/* Reading */

struct parser {
	const struct command *cmd;
	struct config	*c;
	int		 argc;
	char		**argv;
	int		 i;		/* the argument in hand */
	const char	*job;
	const char	*stores[MAX_STORES];
	size_t		 nstores, bad;
	bool		*help, *show;
	bool		 unsure;	/* an argument may be a value */
	struct buf	*errors;
};

static void __attribute__((format(printf, 2, 3)))
wrong(struct parser *p, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vcomplain(p->errors, "", fmt, ap);
	va_end(ap);
	p->bad++;
}

/* The value of the option in hand, which is name; NULL: it has none. */
static const char *
value_of(struct parser *p, const char *name, const char *eq)
{
	const char *next;

	if (eq != NULL)
		return eq + 1;
	next = p->i + 1 < p->argc ? p->argv[p->i + 1] : NULL;
	if (next == NULL || strncmp(next, "--", 2) == 0) {
		wrong(p, "--%s needs a value%s", name, next != NULL ? " (one "
		    "that starts with -- follows after a '=')" : "");
		return NULL;
	}
	p->i++;
	return next;
}

static void
unknown_option(struct parser *p, const char *name)
{
	const char *known[CFG_COUNT + OPT_COUNT + 1], *near;
	size_t n = 0, i;
	enum cfg id;

	for (id = 0; id < CFG_COUNT; id++)
		if ((config_setting(id)->commands & p->cmd->mask) != 0)
			known[n++] = config_setting(id)->key;
	for (i = 0; i < OPT_COUNT; i++)
		known[n++] = extras[i].name;
	known[n] = NULL;
	if ((near = suggest(name, known)) != NULL)
		wrong(p, "unknown option --%.60s; did you mean --%s?", name,
		    near);
	else
		wrong(p, "unknown option --%.60s", name);
}

static void
take_extra(struct parser *p, enum extra which, const char *eq)
{
	const char *val = NULL;

	if (extras[which].arg != NULL) {
		val = value_of(p, extras[which].name, eq);
		if (val == NULL)
			return;
	} else if (eq != NULL) {
		wrong(p, "--%s takes no value", extras[which].name);
		return;
	}
	switch (which) {
	case OPT_HELP:
		*p->help = true;
		break;
	case OPT_SHOW_CONFIG:
		*p->show = true;
		break;
	case OPT_JOB:
		if (p->job != NULL)
			wrong(p, "--job is given twice");
		p->job = val;
		break;
	case OPT_SET:
		/* A stage is no assignment. */
		if ((p->cmd->mask & FOR_STAGE) != 0 &&
		    strpbrk(val, ".=") == NULL)
			p->bad += config_option(p->c, CFG_STAGE, val,
			    p->errors);
		else
			p->bad += config_set(p->c, val, p->errors);
		break;
	case OPT_COUNT:
		break;
	}
}

static void
take_setting(struct parser *p, enum cfg id, const char *eq)
{
	const struct setting *s = config_setting(id);
	const char *val;

	if ((s->commands & p->cmd->mask) == 0) {
		wrong(p, "%s takes no option --%s", p->cmd->name, s->key);
		/* Its value is no argument. */
		if (eq == NULL && s->arg != NULL && p->i + 1 < p->argc)
			p->i++;
		return;
	}
	if (s->type == SET_ENUM && s->arg == NULL)
		val = eq != NULL ? eq + 1 : s->words[1];
	else if (s->type == SET_BOOL)
		val = eq != NULL ? eq + 1 : "yes";
	else if ((val = value_of(p, s->key, eq)) == NULL)
		return;
	p->bad += config_option(p->c, id, val, p->errors);
}

static void
take_option(struct parser *p, const char *arg)
{
	const char *eq = strchr(arg, '=');
	char *name = xmemdup0(arg, eq != NULL ? (size_t)(eq - arg) :
	    strlen(arg));
	enum cfg id = config_find(name);
	enum extra i;

	for (i = 0; i < OPT_COUNT; i++)
		if (strcmp(extras[i].name, name) == 0)
			break;
	if (i < OPT_COUNT)
		take_extra(p, i, eq);
	else if (id < CFG_COUNT)
		take_setting(p, id, eq);
	else {
		unknown_option(p, name);
		p->unsure |= eq == NULL;
	}
	free(name);
}

static void
take_argument(struct parser *p, const char *arg)
{
	if (p->nstores < MAX_STORES)
		p->stores[p->nstores] = arg;
	p->nstores++;
}

/* Only a source is asked about: there is no target, and no state. */
static bool
source_alone(const struct parser *p)
{
	return (p->cmd->mask & FOR_PLAN) != 0 &&
	    config_isset(p->c, CFG_LIST_ACCOUNTS) &&
	    config_bool(p->c, CFG_LIST_ACCOUNTS);
}

/* The one argument of uidl is a server beside those of the job. */
static void
take_server(struct parser *p)
{
	if (p->nstores > 1)
		wrong(p, "'%.80s' is one argument too many: there is SERVER",
		    p->stores[1]);
	else if (p->nstores == 1)
		p->bad += config_option(p->c, CFG_UIDL_SERVER, p->stores[0],
		    p->errors);
	if (p->job == NULL)
		wrong(p, "%s wants --job JOB.ini", p->cmd->name);
}

static void
take_stores(struct parser *p)
{
	size_t i;

	if (p->unsure)
		return;
	if ((p->cmd->mask & FOR_UIDL) != 0) {
		take_server(p);
		return;
	}
	if (source_alone(p) && p->job == NULL) {
		if (p->nstores != 1)
			wrong(p, "--list-accounts wants one SOURCE");
		else
			p->bad += config_store_arg(p->c, SIDE_SOURCE,
			    p->stores[0], p->errors);
		return;
	}
	for (i = 2; i < p->nstores && i < MAX_STORES; i++)
		wrong(p, "'%.80s' is one argument too many: there are SOURCE "
		    "and TARGET", p->stores[i]);
	if (p->nstores == 1)
		wrong(p, "SOURCE is given ('%.80s'), but no TARGET",
		    p->stores[0]);
	if (p->nstores > 0 && p->job != NULL)
		wrong(p, "give SOURCE and TARGET, or --job with a section "
		    "[source] and [target], not both");
	else if (p->nstores >= 2) {
		p->bad += config_store_arg(p->c, SIDE_SOURCE, p->stores[0],
		    p->errors);
		p->bad += config_store_arg(p->c, SIDE_TARGET, p->stores[1],
		    p->errors);
	}
}

size_t
opts_read(const struct command *cmd, int argc, char **argv, struct config *c,
    bool *help, bool *show, struct buf *errors)
{
	struct parser p = { .cmd = cmd, .c = c, .argc = argc, .argv = argv,
	    .help = help, .show = show, .errors = errors };
	bool only_arguments = false, needed;

	*help = *show = false;
	for (p.i = 1; p.i < argc; p.i++) {
		const char *arg = argv[p.i];

		if (only_arguments || arg[0] != '-' || arg[1] == '\0')
			take_argument(&p, arg);
		else if (strcmp(arg, "--") == 0)
			only_arguments = true;
		else if (strcmp(arg, "-h") == 0)
			*help = true;
		else if (arg[1] == '-')
			take_option(&p, arg + 2);
		else
			wrong(&p, "unknown option %.20s; options start with "
			    "two dashes", arg);
	}
	if (*help)
		return 0;
	if (p.job != NULL)
		p.bad += config_read(c, p.job, errors);
	take_stores(&p);
	if (p.bad == 0 && cmd->stores && p.job == NULL &&
	    !config_isset(c, CFG_ACCOUNTS) &&
	    config_store(c, SIDE_SOURCE) == NULL &&
	    config_store(c, SIDE_TARGET) == NULL)
		wrong(&p, "what to %s? give SOURCE and TARGET, or --job "
		    "JOB.ini", cmd->name);
	/* What is missing shows only once the rest is right. */
	needed = cmd->stores && !source_alone(&p);
	if (!p.unsure)
		p.bad += config_finish(c, needed && p.bad == 0, errors);
	if (p.bad == 0 && config_state(c) == NULL && !source_alone(&p))
		wrong(&p, "which state? give --state FILE, --job JOB.ini, or "
		    "SOURCE and TARGET");
	return p.bad;
}

int
opts_parse(const struct command *cmd, int argc, char **argv,
    struct config **cp)
{
	struct config *c = config_new();
	bool help, show;
	struct buf errors;
	size_t bad;
	int rc = OPTS_GO;

	*cp = NULL;
	buf_init(&errors, (size_t)256 * 1024);
	bad = opts_read(cmd, argc, argv, c, &help, &show, &errors);
	if (help) {
		opts_help(cmd, stdout);
		rc = EXIT_DONE;
	} else if (bad > 0)
		rc = opts_complain(cmd->name, &errors, bad);
	else if (show) {
		config_show(c, stdout);
		rc = EXIT_DONE;
	}
	buf_release(&errors);
	if (rc == OPTS_GO)
		*cp = c;
	else
		config_free(&c);
	return rc;
}
