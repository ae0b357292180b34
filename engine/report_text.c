/* A report as text for people: what is at the end of a copy, and all of it. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/xmalloc.h"
#include "rates.h"
#include "text.h"

#define SUBJECT_MAX	200	/* bytes of a Subject, for a line */
#define TEXT_MAX	600	/* of other texts of stores and servers */
#define BAR		40	/* the longest bar of a rate */
#define RATE_LINES	24

enum { RED = 31, GREEN = 32 };	/* of terminals */

/* What a printer keeps while it goes through a section. */
struct text {
	char	 kind[40];		/* of the last problem */
	int64_t	 rows;			/* in this section so far */
	struct rates rates;
};

static void
show(FILE *out, const char *s, size_t max)
{
	bool cut;
	size_t n = report_cut(s, max, &cut);

	for (const char *end = s + n; s < end;) {
		size_t k = text_shown(s);

		if (k > 0)
			fwrite(s, 1, k, out);
		else
			fprintf(out, "\\x%02x", (unsigned char)*s);
		s += k > 0 ? k : 1;
	}
	if (cut)
		fprintf(out, "... (%zu bytes)", n + strlen(s));
}

/* Words in a colour that tells whether all is well, as wide as asked. */
static void
coloured(struct report *r, const char *word, int width, int colour)
{
	if (r->opt->colour)
		fprintf(r->out, "\033[%dm%-*s\033[0m", colour, width, word);
	else
		fprintf(r->out, "%-*s", width, word);
}

static void
put_outcome(struct report *r, const char *outcome, int width)
{
	char word[32];

	/* Ours, but for a state that somebody has written into. */
	snprintf(word, sizeof word, "%s", outcome);
	for (char *p = word; *p != '\0'; p++)
		if ((*p < 'a' || *p > 'z') && *p != '-')
			*p = '?';
	coloured(r, word, width, strcmp(outcome, "done") == 0 ? GREEN : RED);
}

static void
put_head(struct report *r, const struct rep_head *h)
{
	const struct totals *t = &h->t;
	FILE *out = r->out;
	char a[24], b[24];

	fprintf(out, "%" PRId64 " accounts, %" PRId64 " mailboxes, %" PRId64
	    " messages at the source after %" PRId64 " passes\n", t->accounts,
	    t->mailboxes, t->source, h->passes);
	for (int i = 1; i < OUTCOMES; i++)
		fprintf(out, "  %-9s %" PRId64 "\n",
		    outcome_name((enum outcome)i), t->counts[i]);
	if (h->stages[0] != '\0')
		fprintf(out, "stages: %s\n", h->stages);
	fputs("the books ", out);
	coloured(r, t->balanced ? "balance" :
	    "DO NOT balance yet: see the accounts below", 0, t->balanced ?
	    GREEN : RED);
	fprintf(out, "\nstored bytes %s, as servers count (line ends CR LF) "
	    "%s\nsent in the last pass: %" PRId64 "%s\n",
	    report_bytes(a, sizeof a, t->bytes),
	    report_bytes(b, sizeof b, t->crlf_bytes), h->sent, h->sent == 0 ?
	    " (nothing was missing at the target)" : "");
	if (t->stripped > 0)
		fprintf(out, "fields of the mailbox file (Status, X-UID...) "
		    "became flags and UIDs in %" PRId64 " messages\n",
		    t->stripped);
}

static void
side_line(struct report *r, const char *name, int64_t n, int64_t stored,
    int64_t crlf)
{
	char a[24] = "-", b[24];

	if (stored >= 0)
		report_bytes(a, sizeof a, stored);
	fprintf(r->out, "%-28s %9" PRId64 " %10s %10s\n", name, n, a,
	    report_bytes(b, sizeof b, crlf));
}

static void
put_sides(struct report *r)
{
	const struct rep_sides *s = &r->head.sides;

	fprintf(r->out, "\n%-28s %9s %10s %10s\n", "before and after",
	    "messages", "stored", "with CR LF");
	side_line(r, "before, at the source", s->source, s->source_stored,
	    s->source_crlf);
	side_line(r, "after, at the target", s->target, s->target_stored,
	    s->target_crlf);
	if (s->others > 0)
		side_line(r, "other mail met there", s->others, -1,
		    s->others_crlf);
	show(r->out, r->head.why, TEXT_MAX);
	putc('\n', r->out);
}

static void
put_full_head(struct report *r, const struct rep_head *h)
{
	put_head(r, h);
	if (!r->opt->brief)
		put_sides(r);
}

/* The line above a section's first row: a section without rows has none. */
static void
title(struct report *r, enum report_section s)
{
	static const char *const titles[REP_SECTIONS] = {
		[REP_PASSES] = "passes:",
		[REP_RATE] = "rate over time:",
		[REP_ASSUMED] = "what was assumed:",
		[REP_HAND] = "what is left to do by hand:",
	};
	struct text *t = r->own;
	FILE *out = r->out;

	if (t->rows++ > 0)
		return;
	if (r->sink->head != NULL)
		putc('\n', out);
	switch (s) {
	case REP_ACCOUNTS:
		fprintf(out, "%-8s %9s %9s %9s %8s %7s %6s %8s  %s\n",
		    "outcome", "source", "copied", "present", "excluded",
		    "refused", "failed", "vanished", "account");
		break;
	case REP_MAILBOXES:
		fprintf(out, "%-10s %8s %8s %8s %8s %7s %6s %8s  %s\n",
		    "mailboxes", "source", "copied", "present", "excluded",
		    "refused", "failed", "vanished",
		    "account, old name -> new name");
		break;
	case REP_CHANGES:
		fprintf(out, "changes since pass %" PRId64 ":\n", r->base);
		break;
	case REP_PASSES:
	case REP_RATE:
	case REP_ASSUMED:
	case REP_HAND:
		fprintf(out, "%s\n", titles[s]);
		break;
	case REP_PROBLEMS:
	case REP_SECTIONS:
		break;
	}
}

static void
put_account(struct report *r, const struct rep_account *a)
{
	const struct rep_counts *c = &a->counts;
	FILE *out = r->out;

	title(r, REP_ACCOUNTS);
	put_outcome(r, a->outcome, 8);
	fprintf(out, " %9" PRId64 " %9" PRId64 " %9" PRId64 " %8" PRId64
	    " %7" PRId64 " %6" PRId64 " %8" PRId64 "  ", c->source,
	    c->n[OUT_COPIED], c->n[OUT_PRESENT], c->n[OUT_EXCLUDED],
	    c->n[OUT_REFUSED], c->n[OUT_FAILED], c->n[OUT_VANISHED]);
	show(out, a->name, TEXT_MAX);
	if (a->error != NULL && *a->error != '\0') {
		fputs(": ", out);
		show(out, a->error, TEXT_MAX);
	}
	putc('\n', out);
}

/* In the whole report only those that somebody has to look at. */
static bool
is_notable(const struct rep_mailbox *m)
{
	return !m->balanced || (strcmp(m->outcome, "done") != 0 &&
	    strcmp(m->outcome, "excluded") != 0) ||
	    m->counts.n[OUT_REFUSED] + m->counts.n[OUT_FAILED] +
	    m->counts.n[OUT_VANISHED] > 0;
}

static void
put_mailbox(struct report *r, const struct rep_mailbox *m)
{
	FILE *out = r->out;

	if (r->opt->table == TABLE_ALL && !is_notable(m))
		return;
	title(r, REP_MAILBOXES);
	put_outcome(r, m->outcome, 10);
	fprintf(out, " %8" PRId64, m->counts.source);
	for (int i = 1; i < OUTCOMES; i++)
		fprintf(out, " %*" PRId64, i < 4 ? 8 : i == 4 ? 7 : i == 5 ?
		    6 : 8, m->counts.n[i]);
	fputs("  ", out);
	show(out, m->account, TEXT_MAX);
	fputs(", ", out);
	show(out, m->name, TEXT_MAX);
	if (*m->shown != '\0') {
		fputs(" -> ", out);
		show(out, m->shown, TEXT_MAX);
	}
	if (m->error != NULL) {
		fputs(": ", out);
		show(out, m->error, TEXT_MAX);
	}
	putc('\n', out);
}

static void
put_problem(struct report *r, const struct rep_problem *p)
{
	struct text *t = r->own;
	FILE *out = r->out;

	if (t->rows == 0 || strcmp(p->kind, t->kind) != 0) {
		snprintf(t->kind, sizeof t->kind, "%s", p->kind);
		if (r->sink->head != NULL || t->rows > 0)
			putc('\n', out);
		show(out, p->kind, TEXT_MAX);
		fputs(":\n", out);
	}
	t->rows++;
	fputs("  ", out);
	show(out, p->account, TEXT_MAX);
	if (*p->mailbox != '\0') {
		putc('/', out);
		show(out, p->mailbox, TEXT_MAX);
	}
	if (*p->where != '\0' && strcmp(p->where, p->reason) != 0) {
		fputs(" [", out);
		show(out, p->where, TEXT_MAX);
		putc(']', out);
	}
	fputs(": ", out);
	show(out, p->reason, TEXT_MAX);
	if (p->size >= 0)
		fprintf(out, " (%" PRId64 " bytes)", p->size);
	if (*p->subject != '\0') {
		fputs(" \"", out);
		show(out, p->subject, SUBJECT_MAX);
		putc('"', out);
	}
	if (*p->message_id != '\0') {
		putc(' ', out);
		show(out, p->message_id, SUBJECT_MAX);
	}
	putc('\n', out);
}

static void
put_pass(struct report *r, const struct rep_pass *p)
{
	char from[40], to[40], bytes[24], rate[24];

	title(r, REP_PASSES);
	fprintf(r->out, "  pass %" PRId64 ", %s to %s: %" PRId64
	    " messages, %s", p->id, report_time(from, sizeof from, p->started),
	    p->ended != 0 ? report_time(to, sizeof to, p->ended) :
	    r->head.running && p->id == r->last_pass ? "now" : "(cut off)",
	    p->sent, report_bytes(bytes, sizeof bytes, p->sent_bytes));
	if (p->sent > 0 && p->seconds > 0)
		fprintf(r->out, ", %.1f messages/s, %s/s", (double)p->sent /
		    (double)p->seconds, report_bytes(rate, sizeof rate,
		    p->sent_bytes / p->seconds));
	if (p->exit_code >= 0)
		fprintf(r->out, ", code %" PRId64, p->exit_code);
	putc('\n', r->out);
}

static void
put_rate(struct report *r, const struct rep_rate *a)
{
	rates_add(&((struct text *)r->own)->rates, a);
}

static void
put_rates(struct report *r)
{
	const struct rates *t = &((struct text *)r->own)->rates;
	char when[40], bytes[24];
	int64_t most = 1;

	for (size_t i = 0; i < t->n; i++)
		if (t->slot[i].sent > most)
			most = t->slot[i].sent;
	for (size_t i = 0; i < t->n; i++) {
		const struct rep_rate *s = &t->slot[i];
		int bar = (int)((double)s->sent * BAR / (double)most);

		title(r, REP_RATE);
		fprintf(r->out, "  pass %" PRId64 ", %s, %" PRId64 " s: %8"
		    PRId64 " messages, %8s  %.*s\n", s->pass,
		    report_time(when, sizeof when, s->start), t->width,
		    s->sent, report_bytes(bytes, sizeof bytes, s->sent_bytes),
		    bar, "########################################");
	}
}

static void
put_change(struct report *r, const struct rep_change *c)
{
	bool first = true;

	title(r, REP_CHANGES);
	fputs("  ", r->out);
	show(r->out, c->account, TEXT_MAX);
	fputs(": ", r->out);
	if (c->pass_then == 0)
		fputs("new, ", r->out);
	else if (strcmp(c->outcome_then, c->outcome_now) != 0) {
		put_outcome(r, c->outcome_then, 0);
		fputs(" became ", r->out);
	}
	put_outcome(r, c->outcome_now, 0);
	for (int i = 0; i < OUTCOMES; i++) {
		int64_t was = i == 0 ? c->then.source : c->then.n[i];
		int64_t now = i == 0 ? c->now.source : c->now.n[i];

		if (was == now)
			continue;
		fprintf(r->out, "%s%s %" PRId64 " -> %" PRId64, first ? ": " :
		    ", ", i == 0 ? "source" : outcome_name((enum outcome)i),
		    was, now);
		first = false;
	}
	putc('\n', r->out);
}

static void
put_note(struct report *r, const struct rep_note *n)
{
	title(r, r->section);
	fputs("  - ", r->out);
	if (n->n >= 0)
		fprintf(r->out, "%" PRId64 " ", n->n);
	show(r->out, n->text, TEXT_MAX);
	if (n->command != NULL) {
		fputs(":\n      ", r->out);
		show(r->out, n->command, TEXT_MAX);
	}
	putc('\n', r->out);
}

static void
begin(struct report *r, enum report_section s)
{
	struct text *t = xcalloc(1, sizeof *t);

	(void)s;
	rates_begin(&t->rates, RATE_LINES);
	r->own = t;
}

static void
end(struct report *r, enum report_section s)
{
	if (s == REP_RATE)
		put_rates(r);
	free(r->own);
	r->own = NULL;
}

#define EVERY_ROW .begin = begin, .end = end, .pass = put_pass,			\
	.rate = put_rate, .account = put_account, .mailbox = put_mailbox,	\
	.problem = put_problem, .change = put_change, .note = put_note
#define TABLE(s) [s] = { .sections = 1u << (s), EVERY_ROW }

const struct report_sink report_sink_text = {
	.sections = ~0u, .head = put_full_head, EVERY_ROW
};

const struct report_sink report_sinks_table[REP_SECTIONS] = {
	TABLE(REP_PASSES), TABLE(REP_RATE), TABLE(REP_ACCOUNTS),
	TABLE(REP_MAILBOXES), TABLE(REP_PROBLEMS), TABLE(REP_CHANGES),
	TABLE(REP_ASSUMED), TABLE(REP_HAND)
};
