/* mailhaul plan: what copy would do, without doing it. */
#include <stdio.h>

#include "job.h"
#include "plan_accounts.h"
#include "plan.h"

#define FEW_ACCOUNTS 20		/* all of their mailboxes are shown */

static int
verdict(const struct plan *p)
{
	if (p->problems.first != NULL)
		return EXIT_ACCOUNTS;
	if (p->ready == p->n)
		return EXIT_DONE;
	/* Where all that failed may pass, the next plan may know more. */
	return p->ready + p->again == p->n ? EXIT_AGAIN : EXIT_ACCOUNTS;
}

int
cmd_plan(int argc, char **argv)
{
	struct plan plan = { .cfg = NULL };
	struct job j;
	struct err e;
	int code;

	if (plan_accounts(argc, argv, &code))
		return code;
	code = job_load(&j, "plan", argc, argv);
	if (code != OPTS_GO) {
		job_release(&j);
		return code;
	}
	plan.set = &j.set;
	plan.cfg = j.cfg;
	plan.list = j.list;
	plan.state_path = config_state(j.cfg);
	plan.todo = j.order;
	plan.n = j.n;
	if (!config_bool(j.cfg, CFG_QUIET))
		fprintf(stderr, "mailhaul " VERSION ": plan for %zu of %zu "
		    "accounts, state %s; nothing is written\n", j.n,
		    accounts_count(j.list), plan.state_path);
	if (plan_make(&plan, &e) == -1) {
		fprintf(stderr, "mailhaul: %s\n", e.text);
		code = e.retry ? EXIT_AGAIN : EXIT_MISUSE;
	} else {
		if (config_enum(j.cfg, CFG_FORMAT) == FORMAT_JSON)
			plan_json(&plan, stdout);
		else
			plan_text(&plan, plan.n <= FEW_ACCOUNTS ||
			    config_bool(j.cfg, CFG_VERBOSE), stdout);
		code = verdict(&plan);
	}
	plan_release(&plan);
	job_release(&j);
	return code;
}
