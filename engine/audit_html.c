/* An audit as one HTML page that needs nothing from elsewhere; of very many
 * mailboxes and differences it has the first ROWS_MAX and says so. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "audit_write.h"
#include "markup.h"
#include "page.h"
#include "report_impl.h"

#define ROWS_MAX	20000
#define TABLE(out, id, columns)						\
	page_table(out, id, columns, sizeof columns / sizeof columns[0])

struct page {
	struct audit	*audit;
	FILE		*out, *facts;
	const char	*account;
	uint64_t	 rows;
};

static void
put_verdict(const struct audit *au, FILE *out)
{
	const char *verdict = audit_verdict(au);
	bool equal = strcmp(verdict, "equal") == 0;

	fprintf(out, "<p class=\"verdict%s\" id=\"verdict\">", equal ? "" :
	    " bad");
	if (equal)
		fprintf(out, "Everything is there: %" PRIu64 " messages at the "
		    "source, %" PRIu64 " at the target.", au->counts.source,
		    au->counts.target);
	else if (strcmp(verdict, "different") == 0)
		fprintf(out, "Source and target differ in %zu of %zu "
		    "accounts.", au->different, au->n);
	else
		fprintf(out, "The audit is incomplete: %zu of %zu accounts "
		    "could not be compared.", au->unaudited, au->n);
	fputs("</p>\n", out);
}

static void
put_card(FILE *out, const char *name, uint64_t n, bool hot)
{
	fprintf(out, "<li%s><b>%" PRIu64 "</b>%s</li>\n", hot && n > 0 ?
	    " class=\"hot\"" : "", n, name);
}

static void
put_head(const struct audit *au, FILE *out)
{
	const struct audit_counts *c = &au->counts;
	char when[40], level[40];

	audit_level_text(au, level, sizeof level);
	page_begin(out, "Mailbox audit");
	fprintf(out, "<h1>Mailbox audit</h1>\n<p class=\"dim\">%s, level %s, "
	    "by mailhaul " VERSION "</p>\n", report_time(when, sizeof when,
	    (int64_t)au->ended), level);
	put_verdict(au, out);
	if (au->as_of_release)
		fputs("<p>As of the release: what users have done since is "
		    "taken back.</p>\n", out);
	if (au->level == AUDIT_SAMPLE)
		fprintf(out, "<p>The contents of %" PRIu64 " of %" PRIu64
		    " messages were compared, %" PRIu64 " differ; with 95 %% "
		    "confidence at most %.3g %% of all differ.</p>\n",
		    au->sample.compared, au->sample.of, au->sample.differ,
		    100 * au->sample.at_most);
	fputs("<ul class=\"cards\">\n", out);
	put_card(out, "accounts", au->n, false);
	put_card(out, "not audited", au->unaudited, true);
	put_card(out, "mailboxes", au->mailboxes, false);
	for (int v = 0; v < VERDICTS; v++)
		if (c->n[v] > 0 || v == V_EQUAL || v == V_MISSING)
			put_card(out, verdict_name((enum verdict)v), c->n[v],
			    (VERDICTS_BAD >> v & 1) != 0);
	if (au->facts > 0)
		put_card(out, "facts of mailboxes and accounts", au->facts,
		    true);
	fputs("</ul>\n", out);
	page_title(out, "sides", "Both sides");
	fputs("<table id=\"sides\"><thead><tr><th></th><th class=\"n\">messages"
	    "</th><th class=\"n\">bytes as stored</th></tr></thead><tbody>\n"
	    "<tr><th scope=\"row\">source</th>", out);
	page_number(out, (int64_t)c->source);
	page_bytes(out, (int64_t)c->source_bytes);
	fputs("</tr>\n<tr><th scope=\"row\">target</th>", out);
	page_number(out, (int64_t)c->target);
	page_bytes(out, (int64_t)c->target_bytes);
	fputs("</tr>\n</tbody></table>\n", out);
}

static void
put_row(FILE *out, const char *kind)
{
	fputs("<tr data-k=\"", out);
	markup_text(out, kind, 100);
	fputs("\">", out);
}

static void
put_outcome(FILE *out, const char *outcome)
{
	fprintf(out, "<td class=\"%s\">", strcmp(outcome, "equal") == 0 ?
	    "done" : "not");
	markup_text(out, outcome, 100);
	fputs("</td>", out);
}

static void
put_counts(FILE *out, const struct audit_counts *c)
{
	char words[400];

	page_number(out, (int64_t)c->source);
	page_number(out, (int64_t)c->target);
	page_number(out, (int64_t)c->n[V_EQUAL]);
	audit_words(words, sizeof words, c);
	page_cell(out, words);
}

static int
put_account(void *ctx, const struct audit_row_account *a, struct err *e)
{
	struct page *p = ctx;

	(void)e;
	put_row(p->out, a->outcome);
	fputs("<td>", p->out);
	markup_text(p->out, a->name, 300);
	if (a->error != NULL) {
		fputs("<br><span class=\"dim\">", p->out);
		markup_text(p->out, a->error, 600);
		fputs("</span>", p->out);
	}
	fputs("</td>", p->out);
	put_outcome(p->out, a->outcome);
	put_counts(p->out, &a->counts);
	fputs("</tr>\n", p->out);
	return 0;
}

static int
put_box(void *ctx, const struct audit_row_box *b, struct err *e)
{
	struct page *p = ctx;

	(void)e;
	if (strcmp(b->outcome, "equal") == 0 || p->rows++ >= ROWS_MAX)
		return 0;
	put_row(p->out, b->outcome);
	page_cell(p->out, p->account);
	page_cell(p->out, b->name);
	page_cell(p->out, b->target);
	put_outcome(p->out, b->outcome);
	put_counts(p->out, &b->counts);
	page_cell(p->out, b->why != NULL ? b->why : "");
	fputs("</tr>\n", p->out);
	return 0;
}

static int
put_boxes(void *ctx, const struct audit_row_account *a, struct err *e)
{
	struct page *p = ctx;

	p->account = a->name;
	return audit_boxes(p->audit, a->id, put_box, p, e);
}

static void
put_facts(FILE *out, uint64_t id, const struct audit_row_difference *d)
{
	char text[64];

	fprintf(out, "<article id=\"m%" PRIu64 "\"><dl>", id);
	page_term(out, "Account", d->account_name);
	page_term(out, "Mailbox", d->box_name);
	page_term(out, "At the target", d->box_target);
	page_term(out, "Verdict", verdict_name(d->verdict));
	page_term(out, "Cause", d->cause);
	page_term(out, "Message", d->where);
	if (d->source_uid != 0 || d->target_uid != 0) {
		snprintf(text, sizeof text, "%" PRIu32 " at the source, %"
		    PRIu32 " at the target (0: none, or not known)",
		    d->source_uid, d->target_uid);
		page_term(out, "UID", text);
	}
	page_term(out, "Subject", d->subject);
	page_term(out, "Message-ID", d->message_id);
	if (d->size != UNKNOWN64) {
		snprintf(text, sizeof text, "%" PRIu64 " bytes", d->size);
		page_term(out, "Size", text);
	}
	page_term(out, "Difference", d->detail);
	fputs("</dl>", out);
	if (*d->diff != '\0') {
		const char *p = d->diff;

		/* Line by line: its line ends are meant. */
		fputs("<pre>", out);
		while (*p != '\0') {
			size_t n = strcspn(p, "\n");
			char *line = strndup(p, n);

			if (line == NULL)
				abort();
			markup_text(out, line, 2000);
			putc('\n', out);
			free(line);
			p += n + (p[n] == '\n');
		}
		fputs("</pre>", out);
	}
	fputs("</article>\n", out);
}

static int
put_difference(void *ctx, const struct audit_row_difference *d, struct err *e)
{
	struct page *p = ctx;
	FILE *out = p->out;

	(void)e;
	if (p->rows++ >= ROWS_MAX)
		return 0;
	put_row(out, verdict_name(d->verdict));
	fprintf(out, "<td class=\"%s\">%s</td>", (VERDICTS_BAD >> d->verdict &
	    1) != 0 ? "not" : "", verdict_name(d->verdict));
	page_cell(out, d->cause);
	page_cell(out, d->account_name);
	page_cell(out, *d->box_name != '\0' ? d->box_name : d->box_target);
	fprintf(out, "<td><a href=\"#m%" PRIu64 "\">", p->rows);
	markup_text(out, *d->subject != '\0' ? d->subject : *d->where != '\0' ?
	    d->where : "facts", 120);
	fputs("</a></td>", out);
	page_cell(out, d->detail);
	fputs("</tr>\n", out);
	put_facts(p->facts, p->rows, d);
	return 0;
}

static void
table_end(struct page *p)
{
	page_table_end(p->out);
	if (p->rows == 0)
		fputs("<p>None.</p>\n", p->out);
	if (p->rows > ROWS_MAX)
		fprintf(p->out, "<p>%" PRIu64 " more are not on this page; "
		    "--format json has all.</p>\n", p->rows - ROWS_MAX);
}

static int
put_differences(struct page *p, struct err *e)
{
	static const char *const columns[] = { "verdict", "cause", "account",
	    "mailbox", "message", "difference" };
	char *text;
	size_t len;
	int rc;

	if ((p->facts = open_memstream(&text, &len)) == NULL)
		abort();
	p->rows = 0;
	page_title(p->out, "differences", "Differences");
	page_tools(p->out, "differences", "Every verdict", false);
	TABLE(p->out, "differences", columns);
	rc = audit_differences(p->audit, 0, 0, put_difference, p, e);
	table_end(p);
	if (fclose(p->facts) != 0)
		abort();
	if (len > 0)
		page_title(p->out, "facts", "Message facts");
	fwrite(text, 1, len, p->out);
	free(text);
	return rc;
}

int
audit_html(struct audit *au, FILE *out, struct err *e)
{
	static const char *const accounts[] = { "account", "outcome",
	    "#source", "#target", "#equal", "what is not equal" };
	static const char *const boxes[] = { "account", "at the source",
	    "at the target", "outcome", "#source", "#target", "#equal",
	    "what is not equal", "why" };
	struct page p = { .audit = au, .out = out };

	put_head(au, out);
	page_title(out, "accounts", "Accounts");
	page_tools(out, "accounts", "Every outcome", false);
	TABLE(out, "accounts", accounts);
	if (audit_accounts(au, put_account, &p, e) == -1)
		return -1;
	page_table_end(out);
	page_title(out, "mailboxes", "Mailboxes that differ");
	page_tools(out, "mailboxes", "Every outcome", false);
	TABLE(out, "mailboxes", boxes);
	if (audit_accounts(au, put_boxes, &p, e) == -1)
		return -1;
	table_end(&p);
	if (put_differences(&p, e) == -1)
		return -1;
	page_end(out);
	return 0;
}
