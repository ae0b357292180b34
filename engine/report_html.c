/*
 * A report as one HTML page that needs nothing from elsewhere.
 *
 * Its tables are whole without the script, which sorts and filters them; so it
 * can be printed and mailed.  Of very many mailboxes and problems the page has
 * the first ROWS_MAX and says so: CSV and JSON have all.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/xmalloc.h"
#include "markup.h"
#include "page.h"
#include "rates.h"

#define ROWS_MAX	20000

/* What is kept over the sections. */
struct html {
	struct rates rates;
	int64_t	 rows, left_out;	/* of the section in hand */
	FILE	*facts;			/* of the problems, for behind them */
	char	*facts_text;
	size_t	 facts_len;
};

#define OUT	(r->out)

static void
put_card(struct report *r, const char *name, const char *value, bool hot)
{
	fprintf(OUT, "<li%s><b>%s</b>%s</li>\n", hot ? " class=\"hot\"" : "",
	    value, name);
}

static void
put_count(struct report *r, const char *name, int64_t n, bool bad)
{
	char text[24];

	snprintf(text, sizeof text, "%" PRId64, n);
	put_card(r, name, text, bad && n > 0);
}

/* What a manager wants to know, in one sentence. */
static void
put_verdict(struct report *r, const struct rep_head *h)
{
	const struct totals *t = &h->t;
	int64_t missing = t->counts[OUT_REFUSED] + t->counts[OUT_FAILED];
	int64_t open = t->accounts - t->accounts_done;

	fprintf(OUT, "<p class=\"verdict%s\" id=\"verdict\">", h->running ||
	    open > 0 || !t->balanced ? " bad" : missing > 0 ? " warn" : "");
	if (h->running)
		fprintf(OUT, "A copy is running: %" PRId64 " of %" PRId64
		    " accounts are complete so far.", t->accounts_done,
		    t->accounts);
	else if (open > 0)
		fprintf(OUT, "%" PRId64 " of %" PRId64 " accounts are not "
		    "complete.", open, t->accounts);
	else if (!t->balanced)
		fputs("The books do not balance: see the accounts.", OUT);
	else if (missing > 0)
		fprintf(OUT, "All accounts are complete; %" PRId64
		    " of %" PRId64 " messages could not be moved.", missing,
		    t->source);
	else
		fprintf(OUT, "Everything that was to be moved is at the "
		    "target: %" PRId64 " messages, and the books balance.",
		    t->counts[OUT_COPIED] + t->counts[OUT_PRESENT]);
	fputs("</p>\n", OUT);
}

static void
put_side(struct report *r, const char *name, int64_t n, int64_t stored,
    int64_t crlf)
{
	fprintf(OUT, "<tr><th scope=\"row\">%s</th>", name);
	page_number(OUT, n);
	page_bytes(OUT, stored);
	page_bytes(OUT, crlf);
	fputs("</tr>\n", OUT);
}

static void
put_head(struct report *r, const struct rep_head *h)
{
	const struct totals *t = &h->t;
	const struct rep_sides *s = &h->sides;
	char when[40];
	struct html *own = xcalloc(1, sizeof *own);

	r->own = own;
	rates_begin(&own->rates, RATES_MAX);
	page_begin(OUT, "Mailbox migration report");
	fprintf(OUT, "<h1>Mailbox migration report</h1>\n<p class=\"dim\">"
	    "%s, after %" PRId64 " passes, by mailhaul " VERSION "%s</p>\n",
	    report_time(when, sizeof when, h->now), h->passes, r->opt->redact ?
	    "; names are left out" : "");
	put_verdict(r, h);
	if (h->stages[0] != '\0')
		fprintf(OUT, "<p>Stages: %s.</p>\n", h->stages);
	fputs("<ul class=\"cards\">\n", OUT);
	put_count(r, "accounts", t->accounts, false);
	put_count(r, "not complete", t->accounts - t->accounts_done, true);
	put_count(r, "mailboxes", t->mailboxes, false);
	put_count(r, "messages", t->source, false);
	for (int i = 1; i < OUTCOMES; i++)
		put_count(r, outcome_name((enum outcome)i), t->counts[i],
		    i >= OUT_REFUSED);
	fputs("</ul>\n", OUT);
	page_title(OUT, "sides", "Before and after");
	fputs("<table id=\"sides\"><thead><tr><th></th><th class=\"n\">messages"
	    "</th><th class=\"n\">bytes as stored</th><th class=\"n\">bytes "
	    "with CR LF</th></tr></thead><tbody>\n", OUT);
	put_side(r, "before, at the source", s->source, s->source_stored,
	    s->source_crlf);
	put_side(r, "after, at the target", s->target, s->target_stored,
	    s->target_crlf);
	if (s->others > 0)
		put_side(r, "other mail met at the target", s->others, -1,
		    s->others_crlf);
	fputs("</tbody></table>\n<p>", OUT);
	markup_text(OUT, h->why, 0);
	fputs("</p>\n", OUT);
}

#define TABLE(out, id, columns)						\
	page_table(out, id, columns, sizeof columns / sizeof columns[0])

static void
begin_problems(struct report *r, struct html *h)
{
	static const char *const columns[] = { "kind", "account", "mailbox",
	    "message", "reason" };

	page_title(OUT, "problems", "Problems and notes");
	page_tools(OUT, "problems", "Every kind", false);
	TABLE(OUT, "problems", columns);
	h->facts = open_memstream(&h->facts_text, &h->facts_len);
	if (h->facts == NULL)
		abort();
}

static void
begin(struct report *r, enum report_section section)
{
	static const char *const accounts[] = { "account", "outcome",
	    "#messages", "#copied", "#present", "#excluded", "#refused",
	    "#failed", "#vanished", "#bytes before", "#bytes after",
	    "#problems" };
	static const char *const boxes[] = { "account", "old name", "new name",
	    "outcome", "#messages", "#copied", "#present", "#excluded",
	    "#refused", "#failed", "#vanished" };
	static const char *const passes[] = { "#pass", "from", "to",
	    "#messages", "#bytes", "#messages/s", "#code" };
	static const char *const changes[] = { "account", "then", "now",
	    "#messages then", "#now", "#at the target then", "#now",
	    "#refused or failed then", "#now" };
	struct html *h = r->own;

	h->rows = h->left_out = 0;
	switch (section) {
	case REP_PASSES:
		page_title(OUT, "passes", "Progress");
		TABLE(OUT, "passes", passes);
		break;
	case REP_RATE:
		break;
	case REP_ACCOUNTS:
		page_title(OUT, "accounts", "Accounts");
		page_tools(OUT, "accounts", "Every outcome", true);
		TABLE(OUT, "accounts", accounts);
		break;
	case REP_MAILBOXES:
		page_title(OUT, "mailboxes", "Mailboxes that differ");
		page_tools(OUT, "mailboxes", "Every difference", false);
		TABLE(OUT, "mailboxes", boxes);
		break;
	case REP_PROBLEMS:
		begin_problems(r, h);
		break;
	case REP_CHANGES:
		page_title(OUT, "changes", "Changes between passes");
		if (r->base != 0)
			fprintf(OUT, "<p>Accounts that are other than after "
			    "pass %" PRId64 ".</p>\n", r->base);
		TABLE(OUT, "changes", changes);
		break;
	case REP_ASSUMED:
		page_title(OUT, "assumed", "What was assumed");
		fputs("<ul>\n", OUT);
		break;
	case REP_HAND:
		page_title(OUT, "hand", "What is left to do by hand");
		fputs("<ul>\n", OUT);
		break;
	case REP_SECTIONS:
		break;
	}
}

static void
end_problems(struct report *r, struct html *h)
{
	if (fclose(h->facts) != 0)
		abort();
	h->facts = NULL;
	if (h->facts_len > 0)
		page_title(OUT, "facts", "Message facts");
	fwrite(h->facts_text, 1, h->facts_len, OUT);
	free(h->facts_text);
	h->facts_text = NULL;
}

static void
end(struct report *r, enum report_section section)
{
	struct html *h = r->own;

	if (section == REP_RATE) {
		rates_chart(&h->rates, OUT);
		return;
	}
	if (section == REP_ASSUMED || section == REP_HAND) {
		fprintf(OUT, "</ul>\n%s", h->rows == 0 ? "<p>Nothing.</p>\n" :
		    "");
		return;
	}
	page_table_end(OUT);
	if (h->rows == 0)
		fputs("<p>None.</p>\n", OUT);
	if (h->left_out > 0)
		fprintf(OUT, "<p>%" PRId64 " more are not on this page; "
		    "--format csv --table and --format json have all.</p>\n",
		    h->left_out);
	if (section == REP_PROBLEMS)
		end_problems(r, h);
}

static void
put_pass(struct report *r, const struct rep_pass *p)
{
	struct html *h = r->own;
	char text[40];

	h->rows++;
	fputs("<tr>", OUT);
	page_number(OUT, p->id);
	fprintf(OUT, "<td>%s</td>", report_time(text, sizeof text,
	    p->started));
	fprintf(OUT, "<td>%s</td>", p->ended != 0 ? report_time(text,
	    sizeof text, p->ended) : r->head.running && p->id ==
	    r->last_pass ? "is running" : "was cut off");
	page_number(OUT, p->sent);
	page_bytes(OUT, p->sent_bytes);
	fprintf(OUT, "<td class=\"n\">%.1f</td>", p->seconds > 0 ?
	    (double)p->sent / (double)p->seconds : 0.0);
	if (p->exit_code >= 0)
		page_number(OUT, p->exit_code);
	else
		fputs("<td class=\"n\" data-v=\"\">-</td>", OUT);
	fputs("</tr>\n", OUT);
}

static void
put_rate(struct report *r, const struct rep_rate *a)
{
	struct html *h = r->own;

	rates_add(&h->rates, a);
}

/* A row whose kind the tools can choose. */
static void
row_begin(struct report *r, const char *kind)
{
	fputs("<tr data-k=\"", OUT);
	markup_text(OUT, kind, 100);
	fputs("\">", OUT);
}

static void
put_counts(struct report *r, const struct rep_counts *c)
{
	page_number(OUT, c->source);
	for (int i = 1; i < OUTCOMES; i++)
		page_number(OUT, c->n[i]);
}

static void
put_outcome(struct report *r, const char *outcome)
{
	fprintf(OUT, "<td class=\"%s\">", strcmp(outcome, "done") == 0 ?
	    "done" : "not");
	markup_text(OUT, outcome, 100);
	fputs("</td>", OUT);
}

static void
put_account(struct report *r, const struct rep_account *a)
{
	struct html *h = r->own;

	h->rows++;
	row_begin(r, a->outcome);
	fputs("<td>", OUT);
	markup_text(OUT, a->name, 300);
	if (a->error != NULL && *a->error != '\0') {
		fputs("<br><span class=\"dim\">", OUT);
		markup_text(OUT, a->error, 600);
		fputs("</span>", OUT);
	}
	fputs("</td>", OUT);
	put_outcome(r, a->outcome);
	put_counts(r, &a->counts);
	page_bytes(OUT, a->sides.source_crlf);
	page_bytes(OUT, a->sides.target_crlf);
	if (a->problems == 0)
		page_number(OUT, 0);
	else {
		fprintf(OUT, "<td class=\"n\" data-v=\"%" PRId64 "\"><a "
		    "href=\"#problems-title\" data-filter=\"", a->problems);
		markup_text(OUT, a->name, 300);
		fprintf(OUT, "\">%" PRId64 "</a></td>", a->problems);
	}
	fputs("</tr>\n", OUT);
}

/* "": it is the same on both sides. */
static const char *
difference(const struct rep_mailbox *m)
{
	if (strcmp(m->outcome, "done") != 0)
		return m->outcome;
	if (!m->balanced)
		return "not balanced";
	if (m->counts.n[OUT_REFUSED] + m->counts.n[OUT_FAILED] +
	    m->counts.n[OUT_VANISHED] > 0)
		return "messages missing";
	if (m->renamed)
		return "renamed";
	if (m->counts.n[OUT_EXCLUDED] > 0)
		return "messages excluded";
	return m->sides.others > 0 ? "other mail there" : "";
}

/* Counts and limits the rows of a section. */
static bool
is_over(struct html *h)
{
	if (h->rows++ < ROWS_MAX)
		return false;
	h->left_out++;
	return true;
}

static void
put_mailbox(struct report *r, const struct rep_mailbox *m)
{
	const char *kind = difference(m);

	if (*kind == '\0' || is_over(r->own))
		return;
	row_begin(r, kind);
	page_cell(OUT, m->account);
	page_cell(OUT, m->name);
	page_cell(OUT, m->shown);
	fprintf(OUT, "<td>");
	markup_text(OUT, kind, 100);
	if (m->error != NULL) {
		fputs(": ", OUT);
		markup_text(OUT, m->error, 600);
	}
	fputs("</td>", OUT);
	put_counts(r, &m->counts);
	fputs("</tr>\n", OUT);
}

static void
put_facts(struct html *h, const struct rep_problem *p)
{
	char text[64];

	fprintf(h->facts, "<article id=\"m%" PRId64 "\"><dl>", p->id);
	page_term(h->facts, "Account", p->account);
	page_term(h->facts, "Mailbox", p->mailbox);
	page_term(h->facts, "Message", p->where);
	page_term(h->facts, "Subject", p->subject);
	page_term(h->facts, "Message-ID", p->message_id);
	if (p->size >= 0) {
		snprintf(text, sizeof text, "%" PRId64 " bytes", p->size);
		page_term(h->facts, "Size", text);
	}
	if (p->facts && p->date != NO_DATE)
		page_term(h->facts, "Date", report_stamp(text, sizeof text,
		    p->date));
	if (p->facts && p->sha256 != NULL)
		page_term(h->facts, "SHA-256 (CR LF)", p->sha256);
	page_term(h->facts, "Reason", p->reason);
	snprintf(text, sizeof text, "%" PRId64, p->pass);
	page_term(h->facts, "Pass", text);
	fputs("</dl></article>\n", h->facts);
}

static void
put_problem(struct report *r, const struct rep_problem *p)
{
	struct html *h = r->own;
	/* A mailbox or an account has no facts but what the row says. */
	bool message = p->size >= 0 || p->facts;

	if (is_over(h))
		return;
	row_begin(r, p->kind);
	fprintf(OUT, "<td class=\"%s\">", p->bad ? "not" : "");
	markup_text(OUT, p->kind, 100);
	fputs("</td>", OUT);
	page_cell(OUT, p->account);
	page_cell(OUT, p->mailbox);
	fputs("<td>", OUT);
	if (message)
		fprintf(OUT, "<a href=\"#m%" PRId64 "\">", p->id);
	markup_text(OUT, *p->subject != '\0' ? p->subject : *p->where != '\0' ?
	    p->where : message ? "facts" : "", 120);
	fprintf(OUT, "%s</td>", message ? "</a>" : "");
	page_cell(OUT, p->reason);
	fputs("</tr>\n", OUT);
	if (message)
		put_facts(h, p);
}

static void
put_change(struct report *r, const struct rep_change *c)
{
	struct html *h = r->own;

	h->rows++;
	row_begin(r, c->outcome_now);
	page_cell(OUT, c->account);
	page_cell(OUT, c->pass_then == 0 ? "-" : c->outcome_then);
	page_cell(OUT, c->outcome_now);
	page_number(OUT, c->then.source);
	page_number(OUT, c->now.source);
	page_number(OUT, c->then.n[OUT_COPIED] + c->then.n[OUT_PRESENT]);
	page_number(OUT, c->now.n[OUT_COPIED] + c->now.n[OUT_PRESENT]);
	page_number(OUT, c->then.n[OUT_REFUSED] + c->then.n[OUT_FAILED]);
	page_number(OUT, c->now.n[OUT_REFUSED] + c->now.n[OUT_FAILED]);
	fputs("</tr>\n", OUT);
}

static void
put_note(struct report *r, const struct rep_note *n)
{
	struct html *h = r->own;

	h->rows++;
	fputs("<li>", OUT);
	if (n->n >= 0)
		fprintf(OUT, "%" PRId64 " ", n->n);
	markup_text(OUT, n->text, 0);
	if (n->command != NULL) {
		fputs("<pre>", OUT);
		markup_text(OUT, n->command, 0);
		fputs("</pre>", OUT);
	}
	fputs("</li>\n", OUT);
}

static void
finish(struct report *r)
{
	page_end(OUT);
}

const struct report_sink report_sink_html = {
	.sections = ~0u, .head = put_head, .begin = begin, .end = end,
	.pass = put_pass, .rate = put_rate, .account = put_account,
	.mailbox = put_mailbox, .problem = put_problem, .change = put_change,
	.note = put_note, .finish = finish
};
