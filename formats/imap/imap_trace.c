/* The protocol of a session, with secrets and contents cut. */
#include "imap/imap_trace.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/buf.h"
#include "base/xmalloc.h"
#include "imap/imap_reader.h"
#include "imap/imap_text.h"

#define KEPT		1500	/* bytes of a line that are shown */
#define SENT_MAX	((size_t)1 << 20)	/* of a line of ours */
#define CODE_RUN	16	/* so many base64 characters hide something */

struct imap_trace {
	const struct store_conf *conf;
	unsigned	 number;
	bool		 auth;		/* until the answer to auth_tag */
	char		 auth_tag[24];
	/* What we send: */
	struct buf	 out;		/* the line in hand */
	uint64_t	 literal;	/* bytes of one that are still to come */
	bool		 goes_on;	/* behind a literal: no new command */
	bool		 shown;		/* this command may be seen */
	bool		 blind;		/* out of step: nothing may be seen */
	/* What the server says: */
	struct buf	 in;
	bool		 in_line, fetch, hidden;
	char		 last;		/* of the line: needs a blank behind it? */
	char		 item[24];	/* of FETCH, the last one */
	bool		 in_flags;	/* of FETCH: in FLAGS (...) */
};

struct imap_trace *
imap_trace_new(const struct store_conf *conf)
{
	static _Atomic unsigned last;
	struct imap_trace *t;

	if (conf->trace == NULL)
		return NULL;
	t = xcalloc(1, sizeof *t);
	t->conf = conf;
	t->number = atomic_fetch_add(&last, 1) + 1;
	buf_init(&t->out, SENT_MAX);
	buf_reserve(&t->out, 16384);	/* no copies of secrets */
	buf_init(&t->in, KEPT);
	return t;
}

/* Overwrites the password, should it be in there. */
static void
hide_password(const struct imap_trace *t, char *line)
{
	if (t->conf->password != NULL)
		imap_hide(line, t->conf->password);
}

/* During a login: what may be a response of ours that the server repeats, or
 * a challenge in its words. */
static void
hide_codes(char *line)
{
	for (char *p = line; *p != '\0';) {
		size_t n = 0;
		bool upper = false, lower = false;

		for (; isalnum((unsigned char)p[n]) || p[n] == '+' ||
		    p[n] == '/' || p[n] == '='; n++) {
			upper = upper || isupper((unsigned char)p[n]);
			lower = lower || islower((unsigned char)p[n]);
		}
		if (n >= CODE_RUN && upper && lower)
			memset(p, '*', n);
		p += n > 0 ? n : 1;
	}
}

static void
put(struct imap_trace *t, char direction, char *words)
{
	char line[KEPT + 100];

	hide_password(t, words);
	if (t->auth && direction != '>')
		hide_codes(words);
	snprintf(line, sizeof line, "s%u %c %.*s", t->number, direction,
	    KEPT + 60, words);
	t->conf->trace(t->conf->trace_ctx, line);
}

void
imap_trace_note(struct imap_trace *t, const char *fmt, ...)
{
	char words[600];
	va_list ap;

	if (t == NULL)
		return;
	va_start(ap, fmt);
	vsnprintf(words, sizeof words, fmt, ap);
	va_end(ap);
	put(t, '-', words);
}

/* What we send */

/* Commands whose arguments may be shown. */
static bool
is_harmless(const char *name)
{
	static const char *const names[] = { "APPEND", "CAPABILITY", "CLOSE",
	    "CREATE", "DELETE", "ENABLE", "EXAMINE", "EXPUNGE", "FETCH",
	    "GETQUOTA", "GETQUOTAROOT", "ID", "LIST", "LOGOUT", "LSUB",
	    "NAMESPACE", "NOOP", "RENAME", "SELECT", "SETACL", "SETMETADATA",
	    "SETQUOTA", "STARTTLS", "STATUS", "STORE", "SUBSCRIBE", "UID",
	    "UNSELECT", "UNSUBSCRIBE", "SEARCH", NULL };

	for (const char *const *n = names; *n != NULL; n++)
		if (strcasecmp(*n, name) == 0)
			return true;
	return false;
}

/* A command begins: true, it may be seen; else what may be seen of it is in
 * words. */
static bool
judge_command(struct imap_trace *t, char words[80])
{
	const char *p = t->out.ptr, *args;
	char tag[24], name[24];
	size_t n = strcspn(p, " "), k;

	snprintf(tag, sizeof tag, "%.*s", n < sizeof tag ? (int)n : 0, p);
	p += n + (p[n] == ' ');
	k = strcspn(p, " ");
	snprintf(name, sizeof name, "%.*s", k < sizeof name ? (int)k : 0, p);
	args = p + k + (p[k] == ' ');
	if (strcasecmp(name, "AUTHENTICATE") == 0 ||
	    strcasecmp(name, "LOGIN") == 0) {
		t->auth = true;
		memcpy(t->auth_tag, tag, sizeof tag);
		k = strcasecmp(name, "LOGIN") == 0 ? 0 : strcspn(args, " ");
		snprintf(words, 80, "%s %s %.*s%s(cut)", tag, name,
		    k < 24 ? (int)k : 0, args, k > 0 ? " " : "");
		return false;
	}
	if (is_harmless(name) && (strchr(args, '"') == NULL ||
	    strcasestr(p, "SEARCH") == NULL))
		return true;
	snprintf(words, 80, "(a command of %zu bytes)", t->out.len);
	return false;
}

/* "{n}" or "{n+}" at the end of a line: where it stands, else NULL. */
static char *
find_literal(const struct buf *line, uint64_t *n)
{
	char *end = line->ptr + line->len, *p;

	if (line->len < 3 || end[-1] != '}')
		return NULL;
	end--;
	if (end[-1] == '+')
		end--;
	for (p = end; p > line->ptr && isdigit((unsigned char)p[-1]); p--)
		;
	if (p == line->ptr || p[-1] != '{' || imap_number(p, (size_t)(end - p),
	    INT64_MAX, n) == -1)
		return NULL;
	return p - 1;
}

static void
show_sent(struct imap_trace *t, const char *literal)
{
	char words[KEPT + 64];
	size_t n = literal != NULL ? (size_t)(literal - t->out.ptr) :
	    t->out.len;

	if (n == 0 && literal == NULL && t->goes_on)
		return;		/* the end of a command, nothing else */
	snprintf(words, sizeof words, "%.*s%s", n < KEPT ? (int)n : KEPT,
	    t->out.ptr, n > KEPT ? " ..." : "");
	if (literal != NULL) {
		n = strlen(words);
		snprintf(words + n, sizeof words - n, "{%" PRIu64 " bytes}",
		    t->literal);
	}
	put(t, '>', words);
}

static void
end_line(struct imap_trace *t)
{
	char words[80] = "(cut)", *literal;

	if (t->out.len > 0 && t->out.ptr[t->out.len - 1] == '\r')
		t->out.ptr[--t->out.len] = '\0';
	literal = find_literal(&t->out, &t->literal);
	if (t->auth)
		put(t, '>', words);
	else if (t->goes_on) {
		if (t->shown)
			show_sent(t, literal);
	} else if ((t->shown = judge_command(t, words)))
		show_sent(t, literal);
	else
		put(t, '>', words);
	t->goes_on = literal != NULL;
	explicit_bzero(t->out.ptr, t->out.len);
	buf_reset(&t->out);
}

void
imap_trace_sent(struct imap_trace *t, const void *bytes, size_t n)
{
	const char *p = bytes;

	if (t == NULL || t->blind)
		return;
	while (n > 0) {
		size_t k;

		if (t->literal > 0) {
			k = n < t->literal ? n : (size_t)t->literal;
			t->literal -= k;
		} else {
			const char *nl = memchr(p, '\n', n);

			k = nl != NULL ? (size_t)(nl - p) : n;
			for (size_t i = 0; i < k; i++)
				buf_addc(&t->out, p[i] != '\0' ? p[i] : '?');
			if (t->out.full) {
				imap_trace_note(t, "a line of ours is too "
				    "long: no more of them is shown");
				t->blind = true;
				return;
			}
			if (nl != NULL) {
				end_line(t);
				k++;
			}
		}
		p += k;
		n -= k;
	}
}

/* What the server says */

static bool
among(const char *const *list, const char *name)
{
	for (; *list != NULL; list++)
		if (strcasecmp(*list, name) == 0)
			return true;
	return false;
}

static void
add_in(struct imap_trace *t, const char *p, size_t n)
{
	for (size_t i = 0; i < n && !t->in.full; i++)
		buf_addc(&t->in, p[i] != '\0' ? p[i] : '?');
}

static void
add_bytes(struct imap_trace *t, uint64_t n)
{
	char words[40];

	add_in(t, words, (size_t)snprintf(words, sizeof words, "(%" PRIu64
	    " bytes)", n));
}

static void
end_response(struct imap_trace *t, bool complete)
{
	char words[KEPT + 40];

	snprintf(words, sizeof words, "%s%s%s", t->in.ptr, t->in.full ?
	    " ..." : "", complete ? "" : " (not to its end)");
	put(t, '<', words);
	t->in_line = false;
	buf_reset(&t->in);
}

/* A tag of ours: "m5", and libetpan's "5". */
static bool
is_tag(const char *tag)
{
	uint64_t v;

	tag += *tag == 'm';
	return imap_number(tag, strlen(tag), UINT32_MAX, &v) == 0;
}

static void
status_response(struct imap_trace *t, const struct imap_response *rs)
{
	static const char *const names[] = { "OK", "NO", "BAD", "BYE",
	    "PREAUTH" };
	bool ours = rs->kind == IMAP_STATUS || is_tag(rs->tag);
	const char *tag = rs->kind == IMAP_STATUS ? "*" : ours ? rs->tag :
	    "(a tag)";

	add_in(t, tag, strlen(tag));
	add_in(t, " ", 1);
	add_in(t, names[rs->status], strlen(names[rs->status]));
	add_in(t, " ", 1);
	if (!ours)
		add_bytes(t, strlen(rs->text));
	else {
		if (rs->code[0] != '\0') {
			add_in(t, "[", 1);
			add_in(t, rs->code, strlen(rs->code));
			add_in(t, " ", rs->args[0] != '\0');
			add_in(t, rs->args, strlen(rs->args));
			add_in(t, "] ", 2);
		}
		add_in(t, rs->text, strlen(rs->text));
	}
	end_response(t, true);
	if (rs->kind == IMAP_TAGGED && strcmp(rs->tag, t->auth_tag) == 0)
		t->auth = false;
}

void
imap_trace_response(struct imap_trace *t, const struct imap_response *rs)
{
	static const char *const known[] = { "ACL", "CAPABILITY", "ENABLED",
	    "ESEARCH", "EXISTS", "EXPUNGE", "FETCH", "FLAGS", "ID", "LIST",
	    "LSUB", "METADATA", "MYRIGHTS", "NAMESPACE", "QUOTA", "QUOTAROOT",
	    "RECENT", "SEARCH", "SORT", "STATUS", "VANISHED", NULL };
	char head[60];

	if (t == NULL)
		return;
	if (t->in_line)
		end_response(t, false);
	if (rs->kind == IMAP_CONTINUE) {
		add_in(t, "+ ", 2);
		if (t->auth)
			add_bytes(t, strlen(rs->text));
		else
			add_in(t, rs->text, strlen(rs->text));
		end_response(t, true);
		return;
	}
	if (rs->kind != IMAP_DATA) {
		status_response(t, rs);
		return;
	}
	t->in_line = true;
	t->hidden = !among(known, rs->name);
	t->fetch = strcmp(rs->name, "FETCH") == 0;
	t->item[0] = '\0';
	t->in_flags = false;
	t->last = 'x';
	if (t->hidden)
		snprintf(head, sizeof head, "* (a response of an unknown "
		    "kind)");
	else if (rs->numbered)
		snprintf(head, sizeof head, "* %" PRIu32 " %s", rs->number,
		    rs->name);
	else
		snprintf(head, sizeof head, "* %s", rs->name);
	add_in(t, head, strlen(head));
}

/* An atom of FETCH: item, number or flag; all else could be anything. */
static void
fetch_atom(struct imap_trace *t, const struct imap_token *tok, unsigned depth)
{
	static const char *const items[] = { "BINARY", "BINARY.SIZE", "BODY",
	    "BODYSTRUCTURE", "DIGEST.SHA1", "EMAILID", "ENVELOPE", "FLAGS",
	    "INTERNALDATE", "MODSEQ", "NIL", "PREVIEW", "RFC822",
	    "RFC822.HEADER", "RFC822.SIZE", "RFC822.TEXT", "SAVEDATE",
	    "THREADID", "UID", "X-GUID", NULL };
	size_t n = strcspn(tok->p, "[");
	char name[24];
	uint64_t v;

	snprintf(name, sizeof name, "%.*s", n < sizeof name ? (int)n : 0,
	    tok->p);
	if ((t->in_flags && tok->len <= 100) || imap_number(tok->p, tok->len,
	    INT64_MAX, &v) == 0) {
		add_in(t, tok->p, tok->len);
		return;
	}
	if (!among(items, name)) {
		add_bytes(t, tok->len);
		return;
	}
	if (depth == 1)
		memcpy(t->item, name, sizeof name);
	add_in(t, name, strlen(name));
	if (tok->p[n] == '\0')
		return;
	/* Of what is in the brackets, names of sections and of fields. */
	if (strspn(tok->p + n, "[]<>(). ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-")
	    == tok->len - n && tok->len < 200)
		add_in(t, tok->p + n, tok->len - n);
	else
		add_bytes(t, tok->len - n);
}

static void
add_string(struct imap_trace *t, const struct imap_token *tok)
{
	bool date = strcasecmp(t->item, "INTERNALDATE") == 0 &&
	    tok->len <= 30;

	if (t->fetch && !date) {
		add_bytes(t, tok->len);
		return;
	}
	add_in(t, "\"", 1);
	add_in(t, tok->p, tok->len);
	add_in(t, "\"", 1);
}

void
imap_trace_token(struct imap_trace *t, const struct imap_token *tok,
    unsigned depth)
{
	char words[40];

	if (t == NULL || !t->in_line)
		return;
	if (tok->type == IMAP_END) {
		end_response(t, true);
		return;
	}
	if (t->hidden)
		return;
	if (tok->type != IMAP_CLOSE && t->last != '(')
		add_in(t, " ", 1);
	t->last = tok->type == IMAP_OPEN ? '(' : 'x';
	switch (tok->type) {
	case IMAP_OPEN:
		if (depth == 2 && strcasecmp(t->item, "FLAGS") == 0)
			t->in_flags = true;
		add_in(t, "(", 1);
		break;
	case IMAP_CLOSE:
		t->in_flags = false;
		t->item[0] = '\0';
		add_in(t, ")", 1);
		break;
	case IMAP_ATOM:
		if (t->fetch)
			fetch_atom(t, tok, depth);
		else
			add_in(t, tok->p, tok->len);
		break;
	case IMAP_STRING:
		add_string(t, tok);
		break;
	case IMAP_LITERAL:
		add_in(t, words, (size_t)snprintf(words, sizeof words, "{%"
		    PRIu64 " bytes}", tok->size));
		break;
	case IMAP_END:
		break;
	}
}

void
imap_trace_free(struct imap_trace **tp)
{
	struct imap_trace *t = *tp;

	*tp = NULL;
	if (t == NULL)
		return;
	if (t->in_line)
		end_response(t, false);
	imap_trace_note(t, "the session ends");
	explicit_bzero(t->out.ptr, t->out.len);
	buf_release(&t->out);
	buf_release(&t->in);
	free(t);
}
