/*
 * An audit as JUnit XML: an account is a suite, a mailbox a test.  One that
 * differs has failed, one that could not be compared is an error, one that a
 * rule leaves out is skipped; the account itself is one more case.
 */
#include <inttypes.h>
#include <string.h>

#include "audit_write.h"
#include "junit.h"

struct suite {
	struct audit	*audit;
	FILE		*out;
	struct junit	 cases;
	const char	*account;
	uint64_t	 facts;		/* differences of the account itself */
};

static enum junit_result
result_of(const char *outcome)
{
	if (strcmp(outcome, "equal") == 0)
		return JUNIT_GOOD;
	if (strcmp(outcome, "excluded") == 0)
		return JUNIT_SKIPPED;
	if (strcmp(outcome, "unreadable") == 0 ||
	    strcmp(outcome, "moving") == 0)
		return JUNIT_ERROR;
	return JUNIT_FAILURE;
}

static int
put_box(void *ctx, const struct audit_row_box *b, struct err *e)
{
	struct suite *s = ctx;
	char words[400], what[500];

	(void)e;
	audit_words(words, sizeof words, &b->counts);
	snprintf(what, sizeof what, "%s%s%s", b->outcome, *words != '\0' ?
	    ": " : "", words);
	junit_case(&s->cases, s->account, *b->name != '\0' ? b->name :
	    b->target, result_of(b->outcome), what, b->why);
	return 0;
}

static int
count_fact(void *ctx, const struct audit_row_difference *d, struct err *e)
{
	struct suite *s = ctx;

	(void)e;
	if (!d->message && d->box == 0)
		s->facts++;
	return 0;
}

static int
put_account(void *ctx, const struct audit_row_account *a, struct err *e)
{
	struct suite *s = ctx;
	bool unaudited = strcmp(a->outcome, "unaudited") == 0;
	char what[100];

	s->account = a->name;
	s->facts = 0;
	junit_suite(&s->cases);
	if (audit_boxes(s->audit, a->id, put_box, s, e) == -1 ||
	    audit_differences(s->audit, a->id, 0, count_fact, s, e) == -1) {
		junit_suite_end(&s->cases, a->name, NULL);
		return -1;
	}
	snprintf(what, sizeof what, "%s, %" PRIu64 " facts of the account "
	    "differ", a->outcome, s->facts);
	junit_case(&s->cases, a->name, "(account)", unaudited ? JUNIT_ERROR :
	    s->facts > 0 ? JUNIT_FAILURE : JUNIT_GOOD, unaudited ? a->outcome :
	    what, a->error);
	junit_suite_end(&s->cases, a->name, s->out);
	return 0;
}

int
audit_junit(struct audit *au, FILE *out, struct err *e)
{
	struct suite s = { .audit = au, .out = out };

	junit_begin(out, "mailhaul audit", (int64_t)au->ended);
	if (audit_accounts(au, put_account, &s, e) == -1)
		return -1;
	junit_end(out);
	return 0;
}
