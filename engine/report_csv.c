/* The tables of a report as CSV (RFC 4180) with a header line; text_csv() keeps
 * spreadsheets from taking a field for a formula. */
#include <inttypes.h>

#include "report_impl.h"
#include "text.h"

static void
number(struct report *r, int64_t n, char end)
{
	fprintf(r->out, "\"%" PRId64 "\"%s", n, end == ',' ? "," : "\r\n");
}

/* Unknown: an empty field. */
static void
known(struct report *r, int64_t n, char end)
{
	if (n >= 0)
		number(r, n, end);
	else
		text_csv(r->out, "", end);
}

static void
stamp(struct report *r, int64_t t, char end)
{
	char text[32] = "";

	if (t != 0 && t != NO_DATE)
		report_stamp(text, sizeof text, t);
	text_csv(r->out, text, end);
}

static void
counts(struct report *r, const struct rep_counts *c)
{
	number(r, c->source, ',');
	for (int i = 1; i < OUTCOMES; i++)
		number(r, c->n[i], ',');
}

static void
sides(struct report *r, const struct rep_sides *s)
{
	number(r, s->source_stored, ',');
	number(r, s->source_crlf, ',');
	number(r, s->target, ',');
	known(r, s->target_stored, ',');
	number(r, s->target_crlf, ',');
	number(r, s->others, ',');
	number(r, s->others_crlf, ',');
}

#define COUNTS	"\"source\",\"copied\",\"present\",\"excluded\",\"refused\","	\
	"\"failed\",\"vanished\","
#define SIDES	"\"source_stored_bytes\",\"source_crlf_bytes\","		\
	"\"target_messages\",\"target_stored_bytes\",\"target_crlf_bytes\","	\
	"\"others\",\"others_crlf_bytes\","

static void
begin(struct report *r, enum report_section s)
{
	static const char *const headers[REP_SECTIONS] = {
		[REP_PASSES] = "\"pass\",\"started\",\"ended\",\"seconds\","
		    "\"sent\",\"sent_bytes\",\"exit_code\",\"version\"",
		[REP_RATE] = "\"pass\",\"start\",\"seconds\",\"sent\","
		    "\"sent_bytes\"",
		[REP_ACCOUNTS] = "\"account\",\"target_user\",\"source_store\""
		    ",\"target_store\",\"stage\",\"outcome\",\"error\","
		    "\"mailboxes\"," COUNTS SIDES "\"balanced\"",
		[REP_MAILBOXES] = "\"account\",\"name\",\"target_name\","
		    "\"shown_name\",\"renamed\",\"outcome\",\"error\"," COUNTS
		    SIDES "\"source_uidvalidity\",\"target_uidvalidity\","
		    "\"balanced\"",
		[REP_PROBLEMS] = "\"account\",\"mailbox\",\"kind\",\"bad\","
		    "\"where\",\"uid\",\"message_id\",\"subject\",\"size\","
		    "\"date\",\"sha256\",\"reason\",\"pass\"",
		[REP_CHANGES] = "\"account\",\"pass_then\",\"outcome_then\","
		    "\"source_then\",\"copied_then\",\"present_then\","
		    "\"excluded_then\",\"refused_then\",\"failed_then\","
		    "\"vanished_then\"," COUNTS "\"pass\",\"outcome\"",
		[REP_ASSUMED] = "\"count\",\"text\"",
		[REP_HAND] = "\"count\",\"text\",\"command\"",
	};

	fprintf(r->out, "%s\r\n", headers[s]);
}

static void
put_pass(struct report *r, const struct rep_pass *p)
{
	number(r, p->id, ',');
	stamp(r, p->started, ',');
	stamp(r, p->ended, ',');
	number(r, p->seconds, ',');
	number(r, p->sent, ',');
	number(r, p->sent_bytes, ',');
	known(r, p->exit_code, ',');
	text_csv(r->out, p->version, '\n');
}

static void
put_rate(struct report *r, const struct rep_rate *a)
{
	number(r, a->pass, ',');
	stamp(r, a->start, ',');
	number(r, PACE_SECONDS, ',');
	number(r, a->sent, ',');
	number(r, a->sent_bytes, '\n');
}

static void
put_account(struct report *r, const struct rep_account *a)
{
	text_csv(r->out, a->name, ',');
	text_csv(r->out, a->user, ',');
	text_csv(r->out, a->source, ',');
	text_csv(r->out, a->target, ',');
	text_csv(r->out, a->stage, ',');
	text_csv(r->out, a->outcome, ',');
	text_csv(r->out, a->error != NULL ? a->error : "", ',');
	number(r, a->mailboxes, ',');
	counts(r, &a->counts);
	sides(r, &a->sides);
	text_csv(r->out, a->balanced ? "yes" : "no", '\n');
}

static void
put_mailbox(struct report *r, const struct rep_mailbox *m)
{
	text_csv(r->out, m->account, ',');
	text_csv(r->out, m->name, ',');
	text_csv(r->out, m->target_name, ',');
	text_csv(r->out, m->shown, ',');
	text_csv(r->out, m->renamed ? "yes" : "no", ',');
	text_csv(r->out, m->outcome, ',');
	text_csv(r->out, m->error != NULL ? m->error : "", ',');
	counts(r, &m->counts);
	sides(r, &m->sides);
	number(r, m->src_uidvalidity, ',');
	number(r, m->tgt_uidvalidity, ',');
	text_csv(r->out, m->balanced ? "yes" : "no", '\n');
}

static void
put_problem(struct report *r, const struct rep_problem *p)
{
	text_csv(r->out, p->account, ',');
	text_csv(r->out, p->mailbox, ',');
	text_csv(r->out, p->kind, ',');
	text_csv(r->out, p->bad ? "yes" : "no", ',');
	text_csv(r->out, p->where, ',');
	known(r, p->facts && p->uid != 0 ? (int64_t)p->uid : -1, ',');
	text_csv(r->out, p->message_id, ',');
	text_csv(r->out, p->subject, ',');
	known(r, p->size, ',');
	stamp(r, p->facts ? p->date : 0, ',');
	text_csv(r->out, p->sha256 != NULL ? p->sha256 : "", ',');
	text_csv(r->out, p->reason, ',');
	number(r, p->pass, '\n');
}

static void
put_change(struct report *r, const struct rep_change *c)
{
	text_csv(r->out, c->account, ',');
	known(r, c->pass_then != 0 ? c->pass_then : -1, ',');
	text_csv(r->out, c->outcome_then, ',');
	counts(r, &c->then);
	counts(r, &c->now);
	number(r, c->pass_now, ',');
	text_csv(r->out, c->outcome_now, '\n');
}

static void
put_note(struct report *r, const struct rep_note *n)
{
	bool hand = r->section == REP_HAND;

	known(r, n->n, ',');
	text_csv(r->out, n->text, hand ? ',' : '\n');
	if (hand)
		text_csv(r->out, n->command != NULL ? n->command : "", '\n');
}

#define TABLE(s) [s] = { .sections = 1u << (s), .begin = begin,			\
	.pass = put_pass, .rate = put_rate, .account = put_account,		\
	.mailbox = put_mailbox, .problem = put_problem, .change = put_change,	\
	.note = put_note }

const struct report_sink report_sinks_csv[REP_SECTIONS] = {
	TABLE(REP_PASSES), TABLE(REP_RATE), TABLE(REP_ACCOUNTS),
	TABLE(REP_MAILBOXES), TABLE(REP_PROBLEMS), TABLE(REP_CHANGES),
	TABLE(REP_ASSUMED), TABLE(REP_HAND)
};
