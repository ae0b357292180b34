/*
 * A report as JUnit XML, for pipelines: an account is a suite, a mailbox a test.
 * One whose mail is not all there, or that does not balance, has failed; one
 * that could not be read is an error; one that a rule leaves out is skipped.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/xmalloc.h"
#include "markup.h"
#include "report_impl.h"

/* The cases of the account in hand: their number stands before them. */
struct suite {
	char	*text;
	size_t	 len;
	FILE	*cases;
	int64_t	 tests, failures, errors, skipped;
};

static void
head(struct report *r, const struct rep_head *h)
{
	char when[32];

	fprintf(r->out, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
	    "<testsuites name=\"mailhaul report\" timestamp=\"%s\">\n",
	    report_stamp(when, sizeof when, h->now));
}

static void
account(struct report *r, const struct rep_account *a)
{
	struct suite *s = xcalloc(1, sizeof *s);

	(void)a;
	if ((s->cases = open_memstream(&s->text, &s->len)) == NULL)
		abort();
	r->own = s;
}

static void
case_begin(FILE *out, const char *account_name, const char *name)
{
	fputs("  <testcase classname=\"", out);
	markup_text(out, account_name, 0);
	fputs("\" name=\"", out);
	markup_text(out, name, 0);
	putc('"', out);
}

static void
counts(FILE *out, const struct rep_counts *c)
{
	fprintf(out, "source %" PRId64, c->source);
	for (int i = 1; i < OUTCOMES; i++)
		fprintf(out, ", %s %" PRId64, outcome_name((enum outcome)i),
		    c->n[i]);
}

static void
mailbox(struct report *r, const struct rep_mailbox *m)
{
	struct suite *s = r->own;
	bool excluded = strcmp(m->outcome, "excluded") == 0;
	bool error = strcmp(m->outcome, "unreadable") == 0 ||
	    strcmp(m->outcome, "failed") == 0;
	const char *element;

	if (strcmp(m->outcome, "gone") == 0)
		return;
	s->tests++;
	case_begin(s->cases, m->account, m->name);
	if (excluded) {
		s->skipped++;
		element = "skipped";
	} else if (error) {
		s->errors++;
		element = "error";
	} else if (strcmp(m->outcome, "done") != 0 || !m->balanced ||
	    m->counts.n[OUT_REFUSED] + m->counts.n[OUT_FAILED] +
	    m->counts.n[OUT_VANISHED] > 0) {
		s->failures++;
		element = "failure";
	} else {
		fputs("/>\n", s->cases);
		return;
	}
	fprintf(s->cases, "><%s message=\"", element);
	counts(s->cases, &m->counts);
	if (m->error != NULL) {
		fputs(": ", s->cases);
		markup_text(s->cases, m->error, 0);
	}
	fprintf(s->cases, "\"/></testcase>\n");
}

/* The account itself is one more case: it may have no mailbox at all. */
static void
account_end(struct report *r, const struct rep_account *a)
{
	struct suite *s = r->own;
	bool done = strcmp(a->outcome, "done") == 0;

	s->tests++;
	case_begin(s->cases, a->name, "(account)");
	if (done)
		fputs("/>\n", s->cases);
	else {
		s->failures++;
		fputs("><failure message=\"", s->cases);
		markup_text(s->cases, a->outcome, 0);
		if (a->error != NULL) {
			fputs(": ", s->cases);
			markup_text(s->cases, a->error, 0);
		}
		fputs("\"/></testcase>\n", s->cases);
	}
	if (fclose(s->cases) != 0)
		abort();
	fputs(" <testsuite name=\"", r->out);
	markup_text(r->out, a->name, 0);
	fprintf(r->out, "\" tests=\"%" PRId64 "\" failures=\"%" PRId64
	    "\" errors=\"%" PRId64 "\" skipped=\"%" PRId64 "\">\n", s->tests,
	    s->failures, s->errors, s->skipped);
	fwrite(s->text, 1, s->len, r->out);
	fputs(" </testsuite>\n", r->out);
	free(s->text);
	free(s);
	r->own = NULL;
}

static void
finish(struct report *r)
{
	fputs("</testsuites>\n", r->out);
}

const struct report_sink report_sink_junit = {
	.sections = 1u << REP_ACCOUNTS, .nested = true, .head = head,
	.account = account, .mailbox = mailbox, .account_end = account_end,
	.finish = finish
};
