/*
 * A report as JUnit XML, for pipelines: an account is a suite, a mailbox a
 * test.  One whose mail is not all there, or that does not balance, has failed;
 * one that could not be read is an error; one that a rule leaves out is skipped.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/xmalloc.h"
#include "junit.h"
#include "report_impl.h"

static void
head(struct report *r, const struct rep_head *h)
{
	junit_begin(r->out, "mailhaul report", h->now);
}

static void
account(struct report *r, const struct rep_account *a)
{
	struct junit *s = xcalloc(1, sizeof *s);

	(void)a;
	junit_suite(s);
	r->own = s;
}

static enum junit_result
result_of(const struct rep_mailbox *m)
{
	if (strcmp(m->outcome, "excluded") == 0)
		return JUNIT_SKIPPED;
	if (strcmp(m->outcome, "unreadable") == 0 ||
	    strcmp(m->outcome, "failed") == 0)
		return JUNIT_ERROR;
	if (strcmp(m->outcome, "done") != 0 || !m->balanced ||
	    m->counts.n[OUT_REFUSED] + m->counts.n[OUT_FAILED] +
	    m->counts.n[OUT_VANISHED] > 0)
		return JUNIT_FAILURE;
	return JUNIT_GOOD;
}

static void
mailbox(struct report *r, const struct rep_mailbox *m)
{
	char counts[300];
	size_t len;

	if (strcmp(m->outcome, "gone") == 0)
		return;
	snprintf(counts, sizeof counts, "source %" PRId64, m->counts.source);
	for (int i = 1; i < OUTCOMES; i++) {
		len = strlen(counts);
		snprintf(counts + len, sizeof counts - len, ", %s %" PRId64,
		    outcome_name((enum outcome)i), m->counts.n[i]);
	}
	junit_case(r->own, m->account, m->name, result_of(m), counts,
	    m->error);
}

/* The account itself is one more case: it may have no mailbox at all. */
static void
account_end(struct report *r, const struct rep_account *a)
{
	struct junit *s = r->own;

	junit_case(s, a->name, "(account)", strcmp(a->outcome, "done") == 0 ?
	    JUNIT_GOOD : JUNIT_FAILURE, a->outcome, a->error);
	junit_suite_end(s, a->name, r->out);
	free(s);
	r->own = NULL;
}

static void
finish(struct report *r)
{
	junit_end(r->out);
}

const struct report_sink report_sink_junit = {
	.sections = 1u << REP_ACCOUNTS, .nested = true, .head = head,
	.account = account, .mailbox = mailbox, .account_end = account_end,
	.finish = finish
};
