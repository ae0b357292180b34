/* An audit for people. */
#include "audit_impl.h"

#include <inttypes.h>
#include <string.h>

#include "text.h"

struct telling {
	struct audit	*audit;
	FILE		*out;
	enum verdict	 last;
	int64_t		 account, box;
	bool		 many;		/* accounts */
	bool		 head;
};

static void
put_bytes(FILE *out, uint64_t n)
{
	static const char *const units[] = { "B", "kB", "MB", "GB", "TB" };
	double v = (double)n;
	size_t u = 0;

	for (; v >= 1000 && u < 4; u++)
		v /= 1000;
	fprintf(out, u == 0 ? "%.0f %s" : "%.1f %s", v, units[u]);
}

static void
text_sums(const struct audit *au, FILE *out)
{
	static const char *const words[VERDICTS] = {
		"equal at both sides", "as a rule or the state says",
		"by users, since the release", "with other bytes",
		"under another UID", "with other flags",
		"with other keywords", "with another date",
		"at the source only", "at the target only",
		"once more than at the source", "in another mailbox",
		"not to be read", "in mailboxes that change" };
	const struct audit_counts *c = &au->counts;
	char level[40];

	audit_level_text(au, level, sizeof level);
	fprintf(out, "audit (%s): %s\n", level, audit_verdict(au));
	fprintf(out, "%zu accounts: %zu equal, %zu different, %zu not "
	    "audited\n", au->n, au->equal, au->different, au->unaudited);
	fprintf(out, "%" PRIu64 " mailboxes; source %" PRIu64 " messages, ",
	    au->mailboxes, c->source);
	put_bytes(out, c->source_bytes);
	fprintf(out, "; target %" PRIu64 " messages, ", c->target);
	put_bytes(out, c->target_bytes);
	fputs(" as stored\n", out);
	for (int v = 0; v < VERDICTS; v++)
		if (v == V_EQUAL || c->n[v] > 0)
			fprintf(out, "  %-10s %9" PRIu64 "  %s\n",
			    verdict_name((enum verdict)v), c->n[v], words[v]);
	if (au->facts > 0)
		fprintf(out, "  %-10s %9" PRIu64 "  of mailboxes and "
		    "accounts\n", "facts", au->facts);
	if (au->as_of_release)
		fputs("as of release: what users have done since is taken "
		    "back\n", out);
	if (au->level == AUDIT_SAMPLE)
		fprintf(out, "sample: the contents of %" PRIu64 " of %" PRIu64
		    " messages were compared, %" PRIu64 " differ; with 95 %% "
		    "confidence at most %.3g %% of all differ\n",
		    au->sample.compared, au->sample.of, au->sample.differ,
		    100 * au->sample.at_most);
}

/* "12 missing, 3 flags". */
static void
put_verdicts(FILE *out, const struct audit_counts *c)
{
	bool any = false;

	for (int v = V_EQUAL + 1; v < VERDICTS; v++)
		if (c->n[v] > 0) {
			fprintf(out, "%s%" PRIu64 " %s", any ? ", " : "",
			    c->n[v], verdict_name((enum verdict)v));
			any = true;
		}
	if (!any)
		putc('-', out);
}

static int
text_account(void *ctx, const struct audit_row_account *a, struct err *e)
{
	struct telling *t = ctx;

	(void)e;
	if (!t->head)
		fprintf(t->out, "\n%-9s %9s %9s %9s  %s\n", "outcome", "source",
		    "target", "equal", "account: what is not equal");
	t->head = true;
	fprintf(t->out, "%-9s %9" PRIu64 " %9" PRIu64 " %9" PRIu64 "  ",
	    a->outcome, a->counts.source, a->counts.target,
	    a->counts.n[V_EQUAL]);
	text_show(t->out, a->name);
	fputs(": ", t->out);
	if (a->error != NULL)
		text_show(t->out, a->error);
	else
		put_verdicts(t->out, &a->counts);
	putc('\n', t->out);
	return 0;
}

/* Of few accounts all mailboxes, else those that are not equal. */
static int
text_box(void *ctx, const struct audit_row_box *b, struct err *e)
{
	struct telling *t = ctx;

	(void)e;
	if (t->many && strcmp(b->outcome, "equal") == 0)
		return 0;
	if (!t->head)
		fprintf(t->out, "\n%-10s %9s %9s %9s  %s\n", "mailbox",
		    "source", "target", "equal", "name: what is not equal");
	t->head = true;
	fprintf(t->out, "%-10s %9" PRIu64 " %9" PRIu64 " %9" PRIu64 "  ",
	    b->outcome, b->counts.source, b->counts.target,
	    b->counts.n[V_EQUAL]);
	text_show(t->out, *b->name != '\0' ? b->name : b->target);
	if (*b->name != '\0' && *b->target != '\0' && strcmp(b->name,
	    b->target) != 0) {
		fputs(" -> ", t->out);
		text_show(t->out, b->target);
	}
	fputs(": ", t->out);
	put_verdicts(t->out, &b->counts);
	if (b->why != NULL) {
		fputs(" (", t->out);
		text_show(t->out, b->why);
		putc(')', t->out);
	}
	putc('\n', t->out);
	return 0;
}

/* The lines of a header's diff, each shown on its own. */
static void
text_diff(FILE *out, const char *diff)
{
	char line[1000];
	size_t n;

	for (; *diff != '\0'; diff += n + (diff[n] == '\n')) {
		n = strcspn(diff, "\n");
		snprintf(line, sizeof line, "%.*s", (int)n, diff);
		fputs("      ", out);
		text_show(out, line);
		putc('\n', out);
	}
}

static void
text_mailbox_head(struct telling *t, const struct audit_row_difference *d)
{
	if (d->account == t->account && d->box == t->box)
		return;
	t->account = d->account;
	t->box = d->box;
	putc('\n', t->out);
	text_show(t->out, d->account_name);
	if (d->box != 0) {
		fputs(", ", t->out);
		text_show(t->out, *d->box_name != '\0' ? d->box_name :
		    d->box_target);
	}
	fputs(":\n", t->out);
}

static int
text_difference(void *ctx, const struct audit_row_difference *d,
    struct err *e)
{
	struct telling *t = ctx;
	FILE *out = t->out;

	(void)e;
	text_mailbox_head(t, d);
	fprintf(out, "  %-10s", verdict_name(d->verdict));
	if (*d->cause != '\0')
		fprintf(out, " [%s]", d->cause);
	if (d->source_uid != 0)
		fprintf(out, " uid %" PRIu32, d->source_uid);
	else if (*d->where != '\0') {
		putc(' ', out);
		text_show(out, d->where);
	}
	if (d->target_uid != 0)
		fprintf(out, " (target uid %" PRIu32 ")", d->target_uid);
	if (*d->detail != '\0') {
		fputs(": ", out);
		text_show(out, d->detail);
	}
	if (*d->subject != '\0') {
		fputs(" \"", out);
		text_show(out, d->subject);
		putc('"', out);
	}
	if (*d->message_id != '\0') {
		putc(' ', out);
		text_show(out, d->message_id);
	}
	if (d->message && d->size != UNKNOWN64)
		fprintf(out, " (%" PRIu64 " bytes)", d->size);
	putc('\n', out);
	text_diff(out, d->diff);
	return 0;
}

int
audit_text(struct audit *au, FILE *out, struct err *e)
{
	struct telling t = { .audit = au, .out = out, .many = au->n > 20,
	    .account = -1, .box = -1 };

	text_sums(au, out);
	if (audit_accounts(au, text_account, &t, e) == -1)
		return -1;
	t.head = false;
	if (audit_boxes(au, 0, text_box, &t, e) == -1)
		return -1;
	if (audit_differences(au, 0, 0, text_difference, &t, e) == -1)
		return -1;
	for (int v = 0; v < VERDICTS && au->show != 0; v++)
		if (v != V_EQUAL && au->counts.n[v] > au->show) {
			fprintf(out, "\nOf a mailbox and verdict at most %"
			    PRIu64 " are listed; --at-most 0 lists all.\n",
			    au->show);
			break;
		}
	return 0;
}
