/* A session's dialogue: commands, their answers, and one mailbox. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "imap/imap_impl.h"
#include "imap/imap_trace.h"
#include "imap/imap_trouble.h"

#define RESPONSE_MAX	((uint64_t)1 << 20)

/* Commands and answers. */

void
imap_add_bye(struct imap_session *s, const char *bye, struct err *e)
{
	char why[sizeof e->text];

	if (e->cause == CAUSE_CANCELLED)
		return;
	memcpy(why, e->text, sizeof why);
	snprintf(e->text, sizeof e->text, "%.200s (the server said: %.200s)",
	    why, bye);
	if (imap_temporary("", bye))
		e->retry = true;
	(void)s;
}

int
imap_broken(struct imap_session *s, struct err *e)
{
	s->dead = true;
	if (s->bye[0] != '\0')
		imap_add_bye(s, s->bye, e);
	imap_trace_note(s->trace, "%s", e->text);
	return -1;
}

int
imap_send(struct imap_session *s, const char *cmd, unsigned *tag,
    struct err *e)
{
	char head[16];
	int n;

	if (s->dead)
		return err_retry(e, ERR_ACCOUNT, "the session is over");
	*tag = ++s->tag;
	n = snprintf(head, sizeof head, "m%u ", s->tag);
	if (imap_stream_write(s->st, head, (size_t)n, e) == -1 ||
	    imap_stream_write(s->st, cmd, strlen(cmd), e) == -1 ||
	    imap_stream_write(s->st, "\r\n", 2, e) == -1)
		return imap_broken(s, e);
	return 0;
}

int
imap_flush(struct imap_session *s, struct err *e)
{
	if (imap_stream_flush(s->st, e) == -1)
		return imap_broken(s, e);
	return 0;
}

bool
imap_tag_is(const struct imap_response *rs, unsigned tag)
{
	uint64_t v;

	return rs->kind == IMAP_TAGGED && rs->tag[0] == 'm' &&
	    imap_number(rs->tag + 1, strlen(rs->tag + 1), UINT32_MAX,
	    &v) == 0 && v == tag;
}

/* Responses that are as long as a mailbox is large. */
static bool
may_be_long(const char *name)
{
	return strcmp(name, "FETCH") == 0 || strcmp(name, "SEARCH") == 0 ||
	    strcmp(name, "ESEARCH") == 0;
}

/* Of the open mailbox, out of turn. */
static void
note_uidvalidity(struct imap_session *s, const char *args)
{
	uint64_t v;

	if (imap_number(args, strcspn(args, " "), UINT32_MAX, &v) == 0 &&
	    v != 0)
		s->uidvalidity = (uint32_t)v;
}

int
imap_response(struct imap_session *s, struct imap_response *rs,
    struct err *e)
{
	if (s->dead)
		return err_retry(e, ERR_ACCOUNT, "the session is over");
	if (imap_read_response(&s->r, rs, 0, e) == -1)
		return imap_broken(s, e);
	if (rs->kind == IMAP_DATA && !may_be_long(rs->name))
		s->r.budget = RESPONSE_MAX;
	if (rs->kind == IMAP_STATUS && rs->status == IMAP_OK &&
	    s->uidvalidity != 0 && strcmp(rs->code, "UIDVALIDITY") == 0)
		note_uidvalidity(s, rs->args);
	if (rs->kind == IMAP_STATUS && rs->status == IMAP_BYE)
		snprintf(s->bye, sizeof s->bye, "%.290s", rs->text);
	else if (rs->kind == IMAP_STATUS && rs->status == IMAP_BAD) {
		/* Out of step: it answers something that is no command. */
		err_set(e, ERR_ACCOUNT, "the server says BAD: %.300s",
		    rs->text);
		s->dead = true;
		return -1;
	} else if (rs->kind == IMAP_DATA && rs->numbered) {
		if (strcmp(rs->name, "EXISTS") == 0)
			s->exists = rs->number;
		else if (strcmp(rs->name, "EXPUNGE") == 0 && s->exists > 0 &&
		    rs->number > 0) {
			s->exists--;
			if (rs->number <= s->listed)
				s->listed--;
			else
				s->expunged++;
		}
	}
	return 0;
}

int
imap_wait(struct imap_session *s, unsigned tag, imap_data_fn *fn, void *ctx,
    struct imap_response *rs, struct err *e)
{
	for (;;) {
		if (imap_response(s, rs, e) == -1)
			return -1;
		switch (rs->kind) {
		case IMAP_CONTINUE:
			imap_protocol(&s->r, "a continuation that nothing "
			    "asked for", e);
			return imap_broken(s, e);
		case IMAP_TAGGED:
			if (!imap_tag_is(rs, tag)) {
				imap_protocol(&s->r, "an answer to another "
				    "command", e);
				return imap_broken(s, e);
			}
			if (rs->status == IMAP_BAD && !s->mild) {
				s->dead = true;
				return imap_no(rs, ERR_ACCOUNT, e, "%s",
				    "command refused");
			}
			return rs->status == IMAP_OK;
		case IMAP_STATUS:
		case IMAP_DATA:
		default:
			if (fn != NULL && fn(s, rs, ctx, e) == -1)
				return imap_broken(s, e);
			break;
		}
	}
}

int
imap_run(struct imap_session *s, const char *cmd, imap_data_fn *fn, void *ctx,
    struct imap_response *rs, struct err *e)
{
	unsigned tag;

	if (!s->dead)
		imap_stream_limits(s->st, s->timeout_s, 10 * s->timeout_s);
	if (imap_send(s, cmd, &tag, e) == -1 || imap_flush(s, e) == -1)
		return -1;
	return imap_wait(s, tag, fn, ctx, rs, e);
}

int
imap_try(struct imap_session *s, const char *cmd, imap_data_fn *fn, void *ctx,
    struct imap_response *rs, struct err *e)
{
	int rc;

	s->mild = true;
	rc = imap_run(s, cmd, fn, ctx, rs, e);
	s->mild = false;
	return rc;
}

static bool
among(const char *const *list, const char *code)
{
	for (; *list != NULL; list++)
		if (strcasecmp(*list, code) == 0)
			return true;
	return false;
}

static bool
says(const char *const *list, const char *text)
{
	for (; *list != NULL; list++)
		if (strcasestr(text, *list) != NULL)
			return true;
	return false;
}

bool
imap_temporary(const char *code, const char *text)
{
	static const char *const codes[] = {
		"UNAVAILABLE", "INUSE", "LIMIT", "SERVERBUG", "CONTACTADMIN",
		NULL
	};
	static const char *const words[] = {
		"internal error", "system i/o error", "temporar", "try again",
		"too many", "maximum number", "timeout", "in use", "locked",
		"shutting down", NULL
	};

	/* Cyrus' limit of keywords is not a matter of time. */
	return among(codes, code) || (says(words, text) &&
	    strcasestr(text, "too many user flags") == NULL &&
	    strcasestr(text, "too many identical") == NULL);
}

bool
imap_no_mailbox(const char *code, const char *text)
{
	static const char *const codes[] = { "NONEXISTENT", "TRYCREATE", NULL };
	static const char *const words[] = {
		"does not exist", "doesn't exist", "nonexistent",
		"not found", "unknown mailbox", "no such mailbox",
		"unable to open this mailbox", NULL
	};

	return among(codes, code) || says(words, text);
}

int
imap_no(const struct imap_response *rs, enum err_scope scope, struct err *e,
    const char *fmt, ...)
{
	char what[300];
	va_list ap;
	bool code = rs->code[0] != '\0' && strcmp(rs->code, "CAPABILITY") != 0;

	va_start(ap, fmt);
	vsnprintf(what, sizeof what, fmt, ap);
	va_end(ap);
	err_set(e, scope, "%s: the server says %s: %s%s%s%.250s", what,
	    rs->status == IMAP_BAD ? "BAD" : "NO", code ? "[" : "",
	    code ? rs->code : "", code ? "] " : "", rs->text);
	e->retry = imap_temporary(rs->code, rs->text);
	return -1;
}

/* Mailboxes. */

/* A NO to a command that opens one: at a target a full disk shows here too. */
static int
not_opened(struct imap_session *s, const struct imap_response *rs,
    const char *what, const char *name, struct err *e)
{
	struct imap_thing thing = { .name = name };

	imap_no(rs, ERR_MAILBOX, e, "%s %.100s", what, name);
	if (s->target)
		imap_store_failed(s, thing, rs->code, rs->text, e);
	return -1;
}

static int
status_data(struct imap_session *s, struct imap_response *rs, void *ctx,
    struct err *e)
{
	struct imap_box *box = ctx;
	struct imap_token t;
	char item[24];
	uint64_t v;

	if (rs->kind != IMAP_DATA || strcmp(rs->name, "STATUS") != 0)
		return 0;
	if (imap_read_token(&s->r, &t, e) == -1 ||
	    imap_skip_value(&s->r, &t, e) == -1 ||
	    imap_read_token(&s->r, &t, e) == -1)
		return -1;
	if (t.type != IMAP_OPEN)
		return imap_protocol(&s->r, "STATUS without a list", e);
	for (;;) {
		if (imap_read_token(&s->r, &t, e) == -1)
			return -1;
		if (t.type == IMAP_CLOSE)
			return 0;
		snprintf(item, sizeof item, "%.23s", t.p);
		if (imap_read_token(&s->r, &t, e) == -1)
			return -1;
		if (t.type == IMAP_CLOSE)
			return 0;
		if (imap_token_number(&t, INT64_MAX, &v) == -1) {
			if (imap_skip_value(&s->r, &t, e) == -1)
				return -1;
			continue;
		}
		if (strcasecmp(item, "MESSAGES") == 0)
			box->messages = v;
		else if (strcasecmp(item, "UIDNEXT") == 0 && v <= UINT32_MAX)
			box->uidnext = (uint32_t)v;
		else if (strcasecmp(item, "UIDVALIDITY") == 0 &&
		    v <= UINT32_MAX)
			box->uidvalidity = (uint32_t)v;
		else if (strcasecmp(item, "HIGHESTMODSEQ") == 0)
			box->modseq = v;
	}
}

int
imap_status(struct imap_session *s, const char *name, struct imap_box *box,
    struct err *e)
{
	struct imap_response rs;
	struct buf cmd;
	int rc;

	memset(box, 0, sizeof *box);
	box->messages = UNKNOWN64;
	buf_init(&cmd, 1 << 13);
	buf_adds(&cmd, "STATUS ");
	if (imap_quote(&cmd, name, strlen(name)) == -1)
		rc = err_set(e, ERR_MAILBOX, "the mailbox name cannot be sent");
	else {
		buf_addf(&cmd, " (MESSAGES UIDNEXT UIDVALIDITY%s)",
		    s->caps & CAP_CONDSTORE ? " HIGHESTMODSEQ" : "");
		rc = imap_run(s, cmd.ptr, status_data, box, &rs, e);
	}
	buf_release(&cmd);
	if (rc == 0 && !imap_no_mailbox(rs.code, rs.text))
		return not_opened(s, &rs, "STATUS", name, e);
	return rc;
}

bool
imap_is_object(const char *s)
{
	size_t n = strlen(s);

	return n > 0 && n < 256 && strcasecmp(s, "NIL") != 0 && strspn(s,
	    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
	    "-_") == n;
}

/* "(ID)" */
static void
put_object(struct imap_selected *sel, const char *args)
{
	size_t n;

	if (args[0] != '(')
		return;
	n = strcspn(++args, ")");
	if (n >= sizeof sel->object)
		return;
	memcpy(sel->object, args, n);
	sel->object[n] = '\0';
	if (!imap_is_object(sel->object))
		sel->object[0] = '\0';
}

static int
select_data(struct imap_session *s, struct imap_response *rs, void *ctx,
    struct err *e)
{
	struct imap_selected *sel = ctx;
	struct imap_token t;
	uint64_t v;

	if (rs->kind == IMAP_STATUS && rs->status == IMAP_OK) {
		size_t n = strcspn(rs->args, " ");

		if (strcmp(rs->code, "PERMANENTFLAGS") == 0)
			sel->new_keywords = strstr(rs->args, "\\*") != NULL;
		else if (strcmp(rs->code, "MAILBOXID") == 0)
			put_object(sel, rs->args);
		else if (imap_number(rs->args, n, INT64_MAX, &v) == -1)
			return 0;
		else if (strcmp(rs->code, "UIDVALIDITY") == 0 &&
		    v <= UINT32_MAX)
			sel->box.uidvalidity = (uint32_t)v;
		else if (strcmp(rs->code, "UIDNEXT") == 0 && v <= UINT32_MAX)
			sel->box.uidnext = (uint32_t)v;
		else if (strcmp(rs->code, "HIGHESTMODSEQ") == 0)
			sel->box.modseq = v;
		return 0;
	}
	if (rs->kind != IMAP_DATA || strcmp(rs->name, "FLAGS") != 0)
		return 0;
	do {
		if (imap_read_token(&s->r, &t, e) == -1)
			return -1;
		if (t.type == IMAP_ATOM && t.p[0] != '\\' &&
		    sel->keywords.n < 5000)
			imap_words_add(&sel->keywords, t.p);
	} while (t.type != IMAP_END);
	return 0;
}

/* SELECT or EXAMINE; without CONDSTORE, when that was announced and is
 * refused. */
static int
open_mailbox(struct imap_session *s, const char *name, bool readonly,
    struct imap_selected *sel, struct imap_response *rs, struct err *e)
{
	bool condstore = s->caps & CAP_CONDSTORE;
	struct buf cmd;
	int rc;

	for (;; condstore = false) {
		buf_init(&cmd, 1 << 13);
		buf_adds(&cmd, readonly ? "EXAMINE " : "SELECT ");
		if (imap_quote(&cmd, name, strlen(name)) == -1)
			rc = err_set(e, ERR_MAILBOX, "the mailbox name cannot "
			    "be sent");
		else if (condstore) {
			buf_adds(&cmd, " (CONDSTORE)");
			rc = imap_try(s, cmd.ptr, select_data, sel, rs, e);
		} else
			rc = imap_run(s, cmd.ptr, select_data, sel, rs, e);
		buf_release(&cmd);
		if (rc != 0 || !condstore ||
		    imap_no_mailbox(rs->code, rs->text) ||
		    imap_temporary(rs->code, rs->text))
			break;
	}
	if (rc == 1 && !condstore)
		s->caps &= ~(unsigned)CAP_CONDSTORE;
	return rc;
}

int
imap_select(struct imap_session *s, const char *name, bool readonly,
    struct imap_selected *sel, struct err *e)
{
	struct imap_response rs;
	struct imap_box more;
	int rc;

	memset(sel, 0, sizeof *sel);
	/* RFC 3501: without PERMANENTFLAGS all flags are permanent. */
	sel->new_keywords = true;
	s->uidvalidity = 0;
	s->exists = s->listed = s->expunged = 0;
	rc = open_mailbox(s, name, readonly, sel, &rs, e);
	if (rc != 1) {
		imap_words_release(&sel->keywords);
		if (rc == 0 && !imap_no_mailbox(rs.code, rs.text))
			return not_opened(s, &rs, "open", name, e);
		return rc;
	}
	sel->readonly = strcmp(rs.code, "READ-ONLY") == 0;
	sel->box.messages = s->exists;
	if (sel->box.uidvalidity == 0) {
		imap_words_release(&sel->keywords);
		return err_set(e, ERR_MAILBOX, "%.100s: the server gives no "
		    "UIDVALIDITY", name);
	}
	if (sel->box.uidnext == 0) {
		/* Courier tells it in STATUS only, others not at all. */
		rc = imap_status(s, name, &more, e);
		if (rc == -1 && s->dead) {
			imap_words_release(&sel->keywords);
			return -1;
		}
		if (rc == 1)
			sel->box.uidnext = more.uidnext;
	}
	s->uidvalidity = sel->box.uidvalidity;
	return 1;
}
