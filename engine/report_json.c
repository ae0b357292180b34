/*
 * A report as JSON, one document or a record a line; both are what
 * engine/schema/mailhaul-report-1.json says.
 *
 * Written by json.c as it comes: the document never is in memory, which the
 * trees that Debian's jansson and json-c make of one would want, and what is no
 * UTF-8 is dealt with there.  The tests read it with other people's parsers.
 */
#include <inttypes.h>
#include <string.h>

#include "report_impl.h"

#define SCHEMA	"mailhaul-report-1"

static bool
is_lines(const struct report *r)
{
	return r->sink == &report_sink_ndjson;
}

/* Of one row: an element of the array in hand, or a line with its type. */
static void
row_begin(struct report *r, const char *type)
{
	if (is_lines(r)) {
		json_start(&r->j, r->out);
		r->j.flat = true;
	}
	json_open(&r->j, NULL, '{');
	if (is_lines(r))
		json_string(&r->j, "type", type);
}

static void
row_end(struct report *r)
{
	json_close(&r->j, '}');
	if (is_lines(r))
		json_end(&r->j);
}

static void
put_counts(struct json *j, const char *key, const struct rep_counts *c)
{
	json_open(j, key, '{');
	json_number(j, "source", c->source);
	for (int i = 1; i < OUTCOMES; i++)
		json_number(j, outcome_name((enum outcome)i), c->n[i]);
	json_close(j, '}');
}

static void
put_side(struct json *j, const char *key, int64_t n, int64_t stored,
    int64_t crlf)
{
	json_open(j, key, '{');
	json_number(j, "messages", n);
	if (stored >= 0)
		json_number(j, "stored_bytes", stored);
	json_number(j, "crlf_bytes", crlf);
	json_close(j, '}');
}

static void
put_sides(struct report *r, const struct rep_sides *s)
{
	if (r->opt->brief)
		return;
	put_side(&r->j, "before", s->source, s->source_stored, s->source_crlf);
	put_side(&r->j, "after", s->target, s->target_stored, s->target_crlf);
	put_side(&r->j, "others", s->others, -1, s->others_crlf);
}

static void
put_stamp(struct json *j, const char *key, int64_t t)
{
	char text[32];

	report_stamp(text, sizeof text, t);
	json_string(j, key, *text != '\0' ? text : NULL);
}

static void
put_head(struct report *r, const struct rep_head *h)
{
	struct rep_counts c = { .source = h->t.source };

	if (!is_lines(r))
		json_start(&r->j, r->out);
	row_begin(r, "head");
	json_string(&r->j, "schema", SCHEMA);
	json_string(&r->j, "version", VERSION);
	put_stamp(&r->j, "generated", h->now);
	json_bool(&r->j, "running", h->running);
	json_bool(&r->j, "redacted", r->opt->redact);
	json_bool(&r->j, "balanced", h->t.balanced);
	memcpy(c.n, h->t.counts, sizeof c.n);
	put_counts(&r->j, "totals", &c);
	json_number(&r->j, "accounts_done", h->t.accounts_done);
	json_number(&r->j, "bytes", h->t.bytes);
	json_number(&r->j, "crlf_bytes", h->t.crlf_bytes);
	json_number(&r->j, "stripped", h->t.stripped);
	put_sides(r, &h->sides);
	if (!r->opt->brief)
		json_string(&r->j, "why", h->why);
	if (is_lines(r))
		row_end(r);
}

static const char *const section_names[REP_SECTIONS] = { "passes", "rate",
    "accounts", "mailboxes", "issues", "changes", "assumed", "by_hand" };

static void
put_begin(struct report *r, enum report_section s)
{
	json_open(&r->j, section_names[s], '[');
}

static void
put_end(struct report *r, enum report_section s)
{
	(void)s;
	json_close(&r->j, ']');
}

static void
put_pass(struct report *r, const struct rep_pass *p)
{
	row_begin(r, "pass");
	json_number(&r->j, "pass", p->id);
	put_stamp(&r->j, "started", p->started);
	if (p->ended != 0)
		put_stamp(&r->j, "ended", p->ended);
	else
		json_string(&r->j, "ended", NULL);
	if (p->exit_code >= 0)
		json_number(&r->j, "exit_code", p->exit_code);
	json_string(&r->j, "version", p->version);
	json_number(&r->j, "sent", p->sent);
	json_number(&r->j, "sent_bytes", p->sent_bytes);
	row_end(r);
}

static void
put_rate(struct report *r, const struct rep_rate *a)
{
	row_begin(r, "rate");
	json_number(&r->j, "pass", a->pass);
	put_stamp(&r->j, "start", a->start);
	json_number(&r->j, "seconds", PACE_SECONDS);
	json_number(&r->j, "sent", a->sent);
	json_number(&r->j, "sent_bytes", a->sent_bytes);
	row_end(r);
}

static void
put_account(struct report *r, const struct rep_account *a)
{
	row_begin(r, "account");
	json_string(&r->j, "name", a->name);
	json_string(&r->j, "target_user", a->user);
	json_string(&r->j, "source", a->source);
	json_string(&r->j, "target", a->target);
	json_string(&r->j, "stage", a->stage);
	json_string(&r->j, "outcome", a->outcome);
	json_string(&r->j, "error", a->error);
	json_bool(&r->j, "balanced", a->balanced);
	put_counts(&r->j, "totals", &a->counts);
	put_sides(r, &a->sides);
	if (is_lines(r))
		row_end(r);
	else
		json_open(&r->j, "mailboxes", '[');
}

static void
put_account_end(struct report *r, const struct rep_account *a)
{
	(void)a;
	if (is_lines(r))
		return;
	json_close(&r->j, ']');
	row_end(r);
}

static void
put_mailbox(struct report *r, const struct rep_mailbox *m)
{
	row_begin(r, "mailbox");
	if (is_lines(r))
		json_string(&r->j, "account", m->account);
	json_string(&r->j, "name", m->name);
	json_string(&r->j, "target_name", m->target_name);
	json_string(&r->j, "shown_name", m->shown);
	json_bool(&r->j, "renamed", m->renamed);
	json_string(&r->j, "outcome", m->outcome);
	json_string(&r->j, "error", m->error);
	json_bool(&r->j, "balanced", m->balanced);
	put_counts(&r->j, "totals", &m->counts);
	json_number(&r->j, "bytes", m->sides.source_stored);
	json_number(&r->j, "crlf_bytes", m->sides.source_crlf);
	json_number(&r->j, "stripped", m->stripped);
	put_sides(r, &m->sides);
	json_number(&r->j, "source_uidvalidity", m->src_uidvalidity);
	json_number(&r->j, "target_uidvalidity", m->tgt_uidvalidity);
	row_end(r);
}

static void
put_flags(struct json *j, unsigned flags)
{
	static const struct { unsigned bit; const char *name; } table[] = {
		{ MSG_SEEN, "\\Seen" }, { MSG_ANSWERED, "\\Answered" },
		{ MSG_FLAGGED, "\\Flagged" }, { MSG_DELETED, "\\Deleted" },
		{ MSG_DRAFT, "\\Draft" },
	};

	json_open(j, "flags", '[');
	for (size_t i = 0; i < sizeof table / sizeof table[0]; i++)
		if (flags & table[i].bit)
			json_string(j, NULL, table[i].name);
	json_close(j, ']');
}

static void
put_problem(struct report *r, const struct rep_problem *p)
{
	char date[32];

	row_begin(r, "issue");
	json_string(&r->j, "account", p->account);
	json_string(&r->j, "mailbox", p->mailbox);
	json_string(&r->j, "kind", p->kind);
	json_bool(&r->j, "bad", p->bad);
	json_string(&r->j, "where", p->where);
	json_string(&r->j, "message_id", p->message_id);
	json_string(&r->j, "subject", p->subject);
	if (p->size >= 0)
		json_number(&r->j, "size", p->size);
	json_string(&r->j, "reason", p->reason);
	json_number(&r->j, "pass", p->pass);
	if (p->facts) {
		json_open(&r->j, "message", '{');
		json_number(&r->j, "uid", p->uid);
		if (p->date != NO_DATE && *report_stamp(date, sizeof date,
		    p->date) != '\0')
			json_string(&r->j, "date", date);
		put_flags(&r->j, p->flags);
		if (p->sha256 != NULL)
			json_string(&r->j, "sha256", p->sha256);
		json_close(&r->j, '}');
	}
	row_end(r);
}

static void
put_change(struct report *r, const struct rep_change *c)
{
	row_begin(r, "change");
	json_string(&r->j, "account", c->account);
	if (c->pass_then != 0) {
		json_open(&r->j, "then", '{');
		json_number(&r->j, "pass", c->pass_then);
		json_string(&r->j, "outcome", c->outcome_then);
		put_counts(&r->j, "totals", &c->then);
		json_close(&r->j, '}');
	}
	json_open(&r->j, "now", '{');
	json_number(&r->j, "pass", c->pass_now);
	json_string(&r->j, "outcome", c->outcome_now);
	put_counts(&r->j, "totals", &c->now);
	json_close(&r->j, '}');
	row_end(r);
}

static void
put_note(struct report *r, const struct rep_note *n)
{
	row_begin(r, r->section == REP_HAND ? "by_hand" : "assumed");
	if (n->n >= 0)
		json_number(&r->j, "count", n->n);
	json_string(&r->j, "text", n->text);
	if (n->command != NULL)
		json_string(&r->j, "command", n->command);
	row_end(r);
}

static void
finish(struct report *r)
{
	row_end(r);
	json_end(&r->j);
}

/* Who reads lines sees by the last one that it has all of them. */
static void
finish_lines(struct report *r)
{
	row_begin(r, "end");
	row_end(r);
}

#define EVERY_ROW .head = put_head, .pass = put_pass, .rate = put_rate,	\
	.account = put_account, .account_end = put_account_end,			\
	.mailbox = put_mailbox, .problem = put_problem, .change = put_change,	\
	.note = put_note

const struct report_sink report_sink_json = {
	.sections = ~(1u << REP_MAILBOXES), .nested = true, EVERY_ROW,
	.begin = put_begin, .end = put_end, .finish = finish
};

const struct report_sink report_sink_ndjson = {
	.sections = ~0u, EVERY_ROW, .finish = finish_lines
};
