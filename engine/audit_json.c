/* An audit as JSON, one document or a record a line. */
#include "audit_write.h"
#include "report_impl.h"

struct writer {
	struct json	 j;
	FILE		*out;
	bool		 lines;
};

static void
row_begin(struct writer *w, const char *type)
{
	if (w->lines) {
		json_start(&w->j, w->out);
		w->j.flat = true;
	}
	json_open(&w->j, NULL, '{');
	if (w->lines)
		json_string(&w->j, "type", type);
}

static void
row_end(struct writer *w)
{
	json_close(&w->j, '}');
	if (w->lines)
		json_end(&w->j);
}

static void
put_counts(struct json *j, const struct audit_counts *c)
{
	json_number(j, "source", (int64_t)c->source);
	json_number(j, "target", (int64_t)c->target);
	json_number(j, "source_bytes", (int64_t)c->source_bytes);
	json_number(j, "target_bytes", (int64_t)c->target_bytes);
	json_open(j, "totals", '{');
	for (int v = 0; v < VERDICTS; v++)
		json_number(j, verdict_name((enum verdict)v),
		    (int64_t)c->n[v]);
	json_close(j, '}');
}

static void
put_stamp(struct json *j, const char *key, time_t t)
{
	char text[32];

	json_string(j, key, report_stamp(text, sizeof text, (int64_t)t));
}

static void
put_head(struct writer *w, const struct audit *au)
{
	struct json *j = &w->j;
	char level[40];

	audit_level_text(au, level, sizeof level);
	row_begin(w, "head");
	json_string(j, "schema", "mailhaul-audit-1");
	json_string(j, "version", VERSION);
	put_stamp(j, "started", au->started);
	put_stamp(j, "ended", au->ended);
	json_string(j, "level", level);
	json_string(j, "verdict", audit_verdict(au));
	json_bool(j, "as_of_release", au->as_of_release);
	json_bool(j, "state", au->state_uri != NULL);
	json_number(j, "accounts_equal", (int64_t)au->equal);
	json_number(j, "accounts_different", (int64_t)au->different);
	json_number(j, "accounts_unaudited", (int64_t)au->unaudited);
	json_number(j, "facts", (int64_t)au->facts);
	put_counts(j, &au->counts);
	if (au->level == AUDIT_SAMPLE) {
		json_open(j, "sample", '{');
		json_number(j, "of", (int64_t)au->sample.of);
		json_number(j, "compared", (int64_t)au->sample.compared);
		json_number(j, "differ", (int64_t)au->sample.differ);
		/* Numbers of JSON here are whole. */
		json_number(j, "at_most_per_million",
		    (int64_t)(au->sample.at_most * 1000000 + 0.5));
		json_close(j, '}');
	}
	if (w->lines)
		row_end(w);
}

static int
put_account(void *ctx, const struct audit_row_account *a, struct err *e)
{
	struct writer *w = ctx;

	(void)e;
	row_begin(w, "account");
	json_string(&w->j, "name", a->name);
	json_string(&w->j, "source_store", a->source);
	json_string(&w->j, "target_store", a->target);
	json_string(&w->j, "stage", a->stage);
	json_string(&w->j, "outcome", a->outcome);
	json_string(&w->j, "error", a->error);
	json_number(&w->j, "mailboxes", (int64_t)a->mailboxes);
	put_counts(&w->j, &a->counts);
	row_end(w);
	return 0;
}

struct named {
	struct writer	*w;
	const char	*account;
};

static int
put_box(void *ctx, const struct audit_row_box *b, struct err *e)
{
	struct named *n = ctx;
	struct json *j = &n->w->j;

	(void)e;
	row_begin(n->w, "mailbox");
	json_string(j, "account", n->account);
	json_string(j, "name", b->name);
	json_string(j, "target_name", b->target);
	json_string(j, "outcome", b->outcome);
	json_string(j, "why", b->why);
	put_counts(j, &b->counts);
	row_end(n->w);
	return 0;
}

struct boxes {
	struct audit	*audit;
	struct writer	*w;
};

/* A mailbox does not know the name of its account. */
static int
put_boxes(void *ctx, const struct audit_row_account *a, struct err *e)
{
	struct boxes *b = ctx;
	struct named n = { b->w, a->name };

	return audit_boxes(b->audit, a->id, put_box, &n, e);
}

static void
put_known(struct json *j, const char *key, uint64_t n, uint64_t unknown)
{
	if (n != unknown)
		json_number(j, key, (int64_t)n);
}

static int
put_difference(void *ctx, const struct audit_row_difference *d,
    struct err *e)
{
	struct writer *w = ctx;
	struct json *j = &w->j;

	(void)e;
	row_begin(w, "difference");
	json_string(j, "account", d->account_name);
	json_string(j, "mailbox", d->box_name);
	json_string(j, "target_mailbox", d->box_target);
	json_bool(j, "message", d->message);
	json_string(j, "verdict", verdict_name(d->verdict));
	json_string(j, "cause", d->cause);
	put_known(j, "source_uid", d->source_uid, 0);
	put_known(j, "target_uid", d->target_uid, 0);
	json_string(j, "where", d->where);
	json_string(j, "message_id", d->message_id);
	json_string(j, "subject", d->subject);
	put_known(j, "size", d->size, UNKNOWN64);
	json_string(j, "detail", d->detail);
	if (*d->diff != '\0')
		json_string(j, "diff", d->diff);
	row_end(w);
	return 0;
}

static void
list(struct writer *w, const char *name)
{
	if (w->lines)
		return;
	if (name != NULL)
		json_open(&w->j, name, '[');
	else
		json_close(&w->j, ']');
}

int
audit_json(struct audit *au, FILE *out, bool lines, struct err *e)
{
	struct writer w = { .out = out, .lines = lines };
	struct boxes b = { au, &w };

	if (!lines)
		json_start(&w.j, out);
	put_head(&w, au);
	list(&w, "accounts");
	if (audit_accounts(au, put_account, &w, e) == -1)
		return -1;
	list(&w, NULL);
	list(&w, "mailboxes");
	if (audit_accounts(au, put_boxes, &b, e) == -1)
		return -1;
	list(&w, NULL);
	list(&w, "differences");
	if (audit_differences(au, 0, 0, put_difference, &w, e) == -1)
		return -1;
	list(&w, NULL);
	if (lines)
		row_begin(&w, "end");
	row_end(&w);
	if (!lines)
		json_end(&w.j);
	return 0;
}
