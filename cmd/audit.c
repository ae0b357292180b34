/* mailhaul audit: is at the target what is at the source? */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "audit_write.h"
#include "job.h"

/* "counts", "meta", "content", "sample=N%"; false: it is none of them. */
static bool
read_level(const char *s, struct audit *au)
{
	char *end;

	au->level = AUDIT_CONTENT;
	if (strcmp(s, "content") == 0)
		return true;
	au->level = AUDIT_META;
	if (strcmp(s, "meta") == 0)
		return true;
	au->level = AUDIT_COUNTS;
	if (strcmp(s, "counts") == 0)
		return true;
	au->level = AUDIT_SAMPLE;
	if (strncmp(s, "sample=", 7) != 0)
		return false;
	au->percent = strtod(s + 7, &end);
	return end != s + 7 && (*end == '\0' || strcmp(end, "%") == 0) &&
	    au->percent > 0 && au->percent <= 100;
}

/* The verdicts that let it fail; mistakes are told. */
static size_t
read_fail_on(const struct config *cfg, unsigned *bad, struct buf *errors)
{
	size_t n = config_list(cfg, CFG_FAIL_ON), wrong = 0;

	*bad = n == 0 ? VERDICTS_BAD : 0;
	for (size_t i = 0; i < n; i++) {
		const char *name = config_item(cfg, CFG_FAIL_ON, i);
		enum verdict v = verdict_of_name(name);

		if (v < VERDICTS)
			*bad |= 1u << v;
		else if (strcmp(name, "none") != 0) {
			complain(errors, config_where(cfg, CFG_FAIL_ON),
			    "'%.40s' is no verdict of an audit: altered, uid, "
			    "flags, keywords, date, missing, extra, "
			    "duplicated, moved, unreadable, moving, expected, "
			    "since, or none", name);
			wrong++;
		}
	}
	return wrong;
}

struct verdicts { unsigned bad; bool any; };

static int
look_at_fact(void *ctx, const struct audit_row_difference *d, struct err *e)
{
	struct verdicts *v = ctx;

	(void)e;
	if (!d->message && v->bad >> d->verdict & 1)
		v->any = true;
	return 0;
}

static int
exit_of(struct audit *au, unsigned bad, struct err *e)
{
	struct verdicts v = { bad, false };

	for (int i = 0; i < VERDICTS; i++)
		if (bad >> i & 1 && au->counts.n[i] > 0)
			v.any = true;
	if (au->unaudited > 0)
		return au->unaudited == au->again ? EXIT_AGAIN :
		    EXIT_ACCOUNTS;
	if (!v.any && audit_differences(au, 0, 0, look_at_fact, &v, e) == -1)
		return EXIT_INTERNAL;
	return v.any ? EXIT_DIFFERS : EXIT_DONE;
}

static int
run(struct audit *au, const struct job *j, unsigned bad)
{
	struct err e;
	int code;

	if (audit_make(au, &e) == -1) {
		fprintf(stderr, "mailhaul: %s\n", e.text);
		return e.retry ? EXIT_AGAIN : EXIT_MISUSE;
	}
	if (au->state_uri == NULL && !config_bool(j->cfg, CFG_QUIET))
		fprintf(stderr, "mailhaul: there is no state %s: names by the "
		    "rules of the job, UIDs where UIDVALIDITY is one\n",
		    au->state_path);
	if (audit_write(au, stdout, (enum format)config_enum(j->cfg,
	    CFG_FORMAT), &e) == -1) {
		fprintf(stderr, "mailhaul: %s\n", e.text);
		return EXIT_INTERNAL;
	}
	code = exit_of(au, bad, &e);
	return code;
}

int
cmd_audit(int argc, char **argv)
{
	struct audit au = { .n = 0 };
	struct buf errors;
	struct job j;
	unsigned bad;
	size_t wrong;
	int code;

	code = job_load(&j, "audit", argc, argv);
	if (code != OPTS_GO) {
		job_release(&j);
		return code;
	}
	buf_init(&errors, 1 << 20);
	wrong = read_fail_on(j.cfg, &bad, &errors);
	if (!read_level(config_str(j.cfg, CFG_LEVEL), &au)) {
		complain(&errors, config_where(j.cfg, CFG_LEVEL), "'%.40s' is "
		    "no level: counts, meta, content or sample=N%%",
		    config_str(j.cfg, CFG_LEVEL));
		wrong++;
	}
	if (wrong > 0)
		code = opts_complain("audit", &errors, wrong);
	else {
		au.set = &j.set;
		au.cfg = j.cfg;
		au.list = j.list;
		au.state_path = config_state(j.cfg);
		au.todo = j.order;
		au.n = j.n;
		au.as_of_release = config_enum(j.cfg, CFG_AS_OF) ==
		    AS_OF_RELEASE;
		au.header_diff = config_bool(j.cfg, CFG_HEADER_DIFF);
		au.show = config_num(j.cfg, CFG_SHOW);
		if (!config_bool(j.cfg, CFG_QUIET))
			fprintf(stderr, "mailhaul " VERSION ": audit of %zu of"
			    " %zu accounts, state %s; nothing is written\n",
			    j.n, accounts_count(j.list), au.state_path);
		code = run(&au, &j, bad);
		audit_release(&au);
	}
	buf_release(&errors);
	job_release(&j);
	return code;
}
