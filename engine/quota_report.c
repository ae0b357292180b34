/* What users should have as limits, printed. */
#include "quota.h"

#include <inttypes.h>
#include <string.h>

#include "json.h"
#include "text.h"

struct line {
	const char	*account, *user, *rule, *why;
	int64_t		 source;	/* -1: not known */
	int64_t		 mail;		/* CRLF bytes */
	bool		 wished, given_any;
	uint64_t	 limit, given;	/* UNKNOWN64: none */
};

typedef void line_fn(const struct line *, void *ctx);

static uint64_t
limit_of(sqlite3_stmt *st, int column)
{
	int64_t v = sqlite3_column_int64(st, column);

	return v < 0 ? UNKNOWN64 : (uint64_t)v;
}

static int
each(struct db *db, line_fn *fn, void *ctx, struct err *e)
{
	sqlite3_stmt *st;
	struct line q;
	int rc;

	st = db_query(db, e, "SELECT account.name, CASE WHEN"
	    " ifnull(target_user, '') = '' THEN account.name ELSE target_user"
	    " END, rule, ifnull(why, ''), ifnull(quota.source, -1), max(need,"
	    " ifnull((SELECT sum(crlf_bytes) FROM mailbox WHERE"
	    " mailbox.account_id = account.id AND mailbox.outcome <> 'gone'),"
	    " 0)), wish, given FROM quota JOIN account ON account.id ="
	    " account_id ORDER BY account.name", "");
	if (st == NULL)
		return -1;
	while ((rc = db_step(db, st, e)) == 1) {
		q.account = db_text(st, 0);
		q.user = db_text(st, 1);
		q.rule = db_text(st, 2);
		q.why = db_text(st, 3);
		q.source = sqlite3_column_int64(st, 4);
		q.mail = sqlite3_column_int64(st, 5);
		q.wished = sqlite3_column_type(st, 6) != SQLITE_NULL;
		q.limit = quota_with_room(limit_of(st, 6), (uint64_t)q.mail);
		q.given_any = sqlite3_column_type(st, 7) != SQLITE_NULL;
		q.given = limit_of(st, 7);
		fn(&q, ctx);
	}
	db_done(st);
	return rc;
}

static const char *
number(uint64_t bytes, char out[32])
{
	if (bytes == UNKNOWN64)
		return "none";
	snprintf(out, 32, "%" PRIu64, bytes);
	return out;
}

static const char *
said(const struct line *q)
{
	return !q->wished ? "left as it is" : *q->why != '\0' ? q->why :
	    !q->given_any ? "not set yet" : q->given == q->limit ? "set" :
	    q->given == UNKNOWN64 ? "lifted while mail is copied" :
	    "set for a part of the mail";
}

static void
text_line(const struct line *q, void *ctx)
{
	char source[32], limit[32];
	FILE *out = ctx;

	fprintf(out, "%15s %15" PRId64 " %15s  ", q->source < 0 ? "-" :
	    number((uint64_t)q->source, source), q->mail, q->wished ?
	    number(q->limit, limit) : "-");
	text_show(out, q->user);
	fputs(" (", out);
	text_show(out, q->rule);
	fputs("): ", out);
	text_show(out, said(q));
	putc('\n', out);
}

int
quota_report_text(struct db *db, FILE *out, struct err *e)
{
	fprintf(out, "bytes%10s %15s %15s  user (rule)\n", "source", "mail",
	    "limit");
	return each(db, text_line, out, e);
}

static void
csv_line(const struct line *q, void *ctx)
{
	char limit[32];
	FILE *out = ctx;

	if (!q->wished)
		return;
	text_csv(out, q->user, ',');
	text_csv(out, number(q->limit, limit), '\n');
}

int
quota_report_csv(struct db *db, FILE *out, struct err *e)
{
	fputs("\"user\",\"limit_bytes\"\r\n", out);
	return each(db, csv_line, out, e);
}

static void
json_line(const struct line *q, void *ctx)
{
	struct json *j = ctx;

	json_open(j, NULL, '{');
	json_string(j, "account", q->account);
	json_string(j, "user", q->user);
	json_string(j, "rule", q->rule);
	if (q->source >= 0)
		json_number(j, "source_bytes", q->source);
	json_number(j, "mail_bytes", q->mail);
	if (q->wished && q->limit != UNKNOWN64)
		json_number(j, "limit_bytes", (int64_t)q->limit);
	json_bool(j, "no_limit", q->wished && q->limit == UNKNOWN64);
	json_bool(j, "set", q->wished && q->given_any && *q->why == '\0' &&
	    q->given == q->limit);
	json_string(j, "state", said(q));
	json_close(j, '}');
}

int
quota_report_json(struct db *db, FILE *out, struct err *e)
{
	struct json j;
	int rc;

	json_start(&j, out);
	json_open(&j, NULL, '{');
	json_string(&j, "schema", "mailhaul-quotas-1");
	json_open(&j, "users", '[');
	rc = each(db, json_line, &j, e);
	json_close(&j, ']');
	json_close(&j, '}');
	json_end(&j);
	return rc;
}
