/* What an IMAP server sends, one response and one token at a time.  The format
 * is in the header. */
#include "imap/imap_reader.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "imap/imap_text.h"
#include "imap/imap_trace.h"

void
imap_reader_init(struct imap_reader *r, struct imap_stream *st)
{
	memset(r, 0, sizeof *r);
	r->st = st;
	buf_init(&r->tok, IMAP_TOKEN_MAX);
}

void
imap_reader_release(struct imap_reader *r)
{
	buf_release(&r->tok);
	memset(r, 0, sizeof *r);
}

int
imap_protocol(struct imap_reader *r, const char *what, struct err *e)
{
	r->dead = true;
	return err_retry(e, ERR_ACCOUNT, "the server broke the protocol: %s",
	    what);
}

/* At least one byte of input. */
static size_t
window(struct imap_reader *r, const char **p, struct err *e)
{
	size_t n;

	if (r->dead) {
		imap_protocol(r, "used after an error", e);
		return 0;
	}
	while ((n = imap_stream_window(r->st, p)) == 0)
		if (imap_stream_fill(r->st, e) == -1) {
			r->dead = true;
			return 0;
		}
	return n;
}

static int
take(struct imap_reader *r, size_t n, struct err *e)
{
	if (r->budget != 0) {
		if (n >= r->budget)
			return imap_protocol(r, "response too long", e);
		r->budget -= n;
	}
	imap_stream_consume(r->st, n);
	return 0;
}

/* The next byte, still there: 0 .. 255 or -1. */
static int
peek(struct imap_reader *r, struct err *e)
{
	const char *p;

	return window(r, &p, e) == 0 ? -1 : (unsigned char)*p;
}

static int
add(struct imap_reader *r, const char *p, size_t n, struct err *e)
{
	if (buf_add(&r->tok, p, n) == -1)
		return imap_protocol(r, "token too long", e);
	return take(r, n, e);
}

/* CRLF or LF. */
static int
line_end(struct imap_reader *r, struct err *e)
{
	int c = peek(r, e);

	if (c == '\r') {
		if (take(r, 1, e) == -1)
			return -1;
		c = peek(r, e);
	}
	if (c == -1)
		return -1;
	if (c != '\n')
		return imap_protocol(r, "CR without LF", e);
	return take(r, 1, e);
}

/* The rest of the line, as it is, into tok. */
static int
read_text(struct imap_reader *r, struct err *e)
{
	const char *p, *nl;
	size_t n;

	buf_reset(&r->tok);
	do {
		if ((n = window(r, &p, e)) == 0)
			return -1;
		nl = memchr(p, '\n', n);
		if (add(r, p, nl != NULL ? (size_t)(nl - p) : n, e) == -1)
			return -1;
	} while (nl == NULL);
	if (r->tok.len > 0 && r->tok.ptr[r->tok.len - 1] == '\r')
		r->tok.ptr[--r->tok.len] = '\0';
	if (memchr(r->tok.ptr, '\0', r->tok.len) != NULL)
		return imap_protocol(r, "NUL in a text", e);
	r->in_line = false;
	return take(r, 1, e);
}

/* A word up to a blank or the end of the line, which is left there. */
static int
read_word(struct imap_reader *r, char *out, size_t size, struct err *e)
{
	size_t n = 0;
	int c;

	while ((c = peek(r, e)) != ' ' && c != '\r' && c != '\n') {
		if (c == -1)
			return -1;
		if (c < 0x21 || c > 0x7e || n + 1 == size)
			return imap_protocol(r, "no response begins so", e);
		out[n++] = (char)c;
		if (take(r, 1, e) == -1)
			return -1;
	}
	out[n] = '\0';
	return 0;
}

static int
skip_blank(struct imap_reader *r, struct err *e)
{
	int c = peek(r, e);

	if (c == -1)
		return -1;
	return c == ' ' ? take(r, 1, e) : 0;
}

/* Splits "[CODE args] text" in tok. */
static void
split_text(struct imap_reader *r, struct imap_response *rs)
{
	char *p = r->tok.ptr, *q, *end = NULL;
	unsigned depth = 0;
	bool quoted = false;
	size_t n;

	rs->code[0] = '\0';
	rs->args = "";
	rs->text = p;
	if (*p != '[')
		return;
	/* The bracket that closes: not in quotes, nor in a list of keywords
	 * (which may hold "]"). */
	for (q = p + 1; *q != '\0' && end == NULL; q++) {
		if (quoted) {
			if (*q == '\\' && q[1] != '\0')
				q++;
			else if (*q == '"')
				quoted = false;
		} else if (*q == '"')
			quoted = true;
		else if (*q == '(')
			depth++;
		else if (*q == ')' && depth > 0)
			depth--;
		else if (*q == ']' && depth == 0)
			end = q;
	}
	if (end == NULL)
		return;
	*end = '\0';
	n = strcspn(p + 1, " ");
	if (n >= sizeof rs->code)
		n = 0;
	for (size_t i = 0; i < n; i++)
		rs->code[i] = (char)toupper((unsigned char)p[1 + i]);
	rs->code[n] = '\0';
	if (p[1 + n] == ' ')
		rs->args = p + 2 + n;
	rs->text = end[1] == ' ' ? end + 2 : end + 1;
}

static bool
find_status(const char *w, bool tagged, enum imap_status *st)
{
	static const char *const names[] = {
		"OK", "NO", "BAD", "BYE", "PREAUTH"
	};
	size_t n = tagged ? 3 : 5;

	for (size_t i = 0; i < n; i++)
		if (strcasecmp(w, names[i]) == 0) {
			*st = (enum imap_status)i;
			return true;
		}
	return false;
}

static int
read_response(struct imap_reader *r, struct imap_response *rs,
    uint64_t budget, struct err *e)
{
	uint64_t v;

	if (r->in_line && imap_skip_line(r, e) == -1)
		return -1;
	memset(rs, 0, sizeof *rs);
	rs->args = rs->text = "";
	r->budget = budget;
	r->depth = 0;
	if (read_word(r, rs->tag, sizeof rs->tag, e) == -1)
		return -1;
	if (rs->tag[0] == '\0')
		return imap_protocol(r, "an empty line", e);
	if (skip_blank(r, e) == -1)
		return -1;
	if (strcmp(rs->tag, "+") == 0) {
		rs->kind = IMAP_CONTINUE;
		rs->tag[0] = '\0';
		if (read_text(r, e) == -1)
			return -1;
		rs->text = r->tok.ptr;
		return 0;
	}
	if (read_word(r, rs->name, sizeof rs->name, e) == -1)
		return -1;
	if (strcmp(rs->tag, "*") != 0) {
		rs->kind = IMAP_TAGGED;
		for (const char *p = rs->tag; *p != '\0'; p++)
			if (!isalnum((unsigned char)*p))
				return imap_protocol(r, "a tag that is not "
				    "ours", e);
		if (!find_status(rs->name, true, &rs->status))
			return imap_protocol(r, "an answer without OK, NO or "
			    "BAD", e);
	} else if (find_status(rs->name, false, &rs->status)) {
		rs->kind = IMAP_STATUS;
		rs->tag[0] = '\0';
	} else {
		rs->kind = IMAP_DATA;
		rs->tag[0] = '\0';
		if (imap_number(rs->name, strlen(rs->name), UINT32_MAX,
		    &v) == 0) {
			rs->numbered = true;
			rs->number = (uint32_t)v;
			if (skip_blank(r, e) == -1 || read_word(r, rs->name,
			    sizeof rs->name, e) == -1)
				return -1;
		}
		for (char *p = rs->name; *p != '\0'; p++)
			*p = (char)toupper((unsigned char)*p);
		r->in_line = true;
		return 0;
	}
	if (skip_blank(r, e) == -1 || read_text(r, e) == -1)
		return -1;
	split_text(r, rs);
	return 0;
}

int
imap_read_response(struct imap_reader *r, struct imap_response *rs,
    uint64_t budget, struct err *e)
{
	if (read_response(r, rs, budget, e) == -1)
		return -1;
	imap_trace_response(r->trace, rs);
	return 0;
}

static int
read_quoted(struct imap_reader *r, struct err *e)
{
	const char *p;
	size_t n, i;

	if (take(r, 1, e) == -1)
		return -1;
	for (;;) {
		if ((n = window(r, &p, e)) == 0)
			return -1;
		for (i = 0; i < n && p[i] != '"' && p[i] != '\\' &&
		    p[i] != '\r' && p[i] != '\n' && p[i] != '\0'; i++)
			;
		if (i > 0) {
			if (add(r, p, i, e) == -1)
				return -1;
			continue;
		}
		if (*p == '"')
			return take(r, 1, e);
		if (*p != '\\')
			return imap_protocol(r, "a quoted string without end",
			    e);
		if (take(r, 1, e) == -1 || (n = window(r, &p, e)) == 0)
			return -1;
		/* Some servers forget to double a backslash. */
		if (*p != '"' && *p != '\\') {
			if (buf_addc(&r->tok, '\\') == -1)
				return imap_protocol(r, "token too long", e);
		} else if (add(r, p, 1, e) == -1)
			return -1;
	}
}

/* "{n}" CRLF; the opening bracket is next. */
static int
read_literal_head(struct imap_reader *r, struct imap_token *t, struct err *e)
{
	char num[24];
	size_t n = 0;
	int c;

	if (take(r, 1, e) == -1)
		return -1;
	while ((c = peek(r, e)) != '}') {
		if (c == -1)
			return -1;
		if (n == sizeof num)
			return imap_protocol(r, "a literal without length", e);
		num[n++] = (char)c;
		if (take(r, 1, e) == -1)
			return -1;
	}
	if (n > 0 && num[n - 1] == '+')
		n--;
	if (imap_number(num, n, INT64_MAX, &t->size) == -1)
		return imap_protocol(r, "a literal without length", e);
	if (take(r, 1, e) == -1 || line_end(r, e) == -1)
		return -1;
	if (r->budget != 0 && t->size >= r->budget)
		return imap_protocol(r, "response too long", e);
	t->type = IMAP_LITERAL;
	r->left = t->size;
	return 0;
}

static bool
atom_ends(char c)
{
	return (unsigned char)c <= 0x20 || c == '(' || c == ')' || c == '"' ||
	    c == 0x7f;
}

/*
 * An atom.  BODY[...] and BINARY[...] run to their closing bracket, whatever is
 * between; elsewhere brackets are plain (keywords may have them).
 */
static int
read_atom(struct imap_reader *r, struct err *e)
{
	bool section = false;
	const char *p;
	size_t n, i;

	for (;;) {
		if ((n = window(r, &p, e)) == 0)
			return -1;
		for (i = 0; i < n; i++) {
			if (section) {
				if (p[i] == ']' || p[i] == '\r' ||
				    p[i] == '\n' || p[i] == '\0')
					break;
			} else if (p[i] == '[' || atom_ends(p[i]))
				break;
		}
		if (i > 0 && add(r, p, i, e) == -1)
			return -1;
		if (i == n)
			continue;
		if (section && p[i] != ']')
			return imap_protocol(r, "an open bracket", e);
		if (!section && p[i] != '[')
			break;
		section = p[i] == '[' &&
		    (strncasecmp(r->tok.ptr, "BODY", 4) == 0 ||
		    strncasecmp(r->tok.ptr, "BINARY", 6) == 0);
		if (add(r, p + i, 1, e) == -1)
			return -1;
	}
	if (r->tok.len == 0)
		return imap_protocol(r, "an odd byte", e);
	return 0;
}

static int
skip_literal(struct imap_reader *r, struct err *e)
{
	const char *p;
	size_t n;

	while (r->left > 0) {
		if ((n = window(r, &p, e)) == 0)
			return -1;
		if (n > r->left)
			n = (size_t)r->left;
		if (take(r, n, e) == -1)
			return -1;
		r->left -= n;
	}
	return 0;
}

static int
read_token(struct imap_reader *r, struct imap_token *t, struct err *e)
{
	int c;

	memset(t, 0, sizeof *t);
	t->p = "";
	if (skip_literal(r, e) == -1)
		return -1;
	buf_reset(&r->tok);
	while ((c = peek(r, e)) == ' ')
		if (take(r, 1, e) == -1)
			return -1;
	switch (c) {
	case -1:
		return -1;
	case '\r':
	case '\n':
		if (r->depth != 0)
			return imap_protocol(r, "an open parenthesis", e);
		t->type = IMAP_END;
		r->in_line = false;
		return line_end(r, e);
	case '(':
		if (++r->depth > IMAP_DEPTH_MAX)
			return imap_protocol(r, "nested too deep", e);
		t->type = IMAP_OPEN;
		return take(r, 1, e);
	case ')':
		if (r->depth == 0)
			return imap_protocol(r, "a parenthesis too many", e);
		r->depth--;
		t->type = IMAP_CLOSE;
		return take(r, 1, e);
	case '"':
		t->type = IMAP_STRING;
		if (read_quoted(r, e) == -1)
			return -1;
		break;
	case '{':
		return read_literal_head(r, t, e);
	default:
		t->type = IMAP_ATOM;
		if (read_atom(r, e) == -1)
			return -1;
		/* A literal8: "~" and then the literal itself.  As an atom of
		 * its own "~" is nothing that a server sends. */
		if (r->tok.ptr[0] == '~' && r->tok.len > 1 &&
		    r->tok.ptr[1] == '{')
			goto literal8;
		break;
	}
	t->p = r->tok.ptr;
	t->len = r->tok.len;
	return 0;
literal8:
	if (r->tok.ptr[r->tok.len - 1] != '}')
		return imap_protocol(r, "a literal without length", e);
	r->tok.len -= r->tok.ptr[r->tok.len - 2] == '+' ? 2 : 1;
	if (imap_number(r->tok.ptr + 2, r->tok.len - 2, INT64_MAX,
	    &t->size) == -1)
		return imap_protocol(r, "a literal without length", e);
	if (line_end(r, e) == -1)
		return -1;
	if (r->budget != 0 && t->size >= r->budget)
		return imap_protocol(r, "response too long", e);
	t->type = IMAP_LITERAL;
	r->left = t->size;
	return 0;
}

int
imap_read_token(struct imap_reader *r, struct imap_token *t, struct err *e)
{
	if (read_token(r, t, e) == -1)
		return -1;
	imap_trace_token(r->trace, t, r->depth);
	return 0;
}

ssize_t
imap_read_literal(struct imap_reader *r, void *out, size_t n, struct err *e)
{
	const char *p;
	size_t have;

	if (n > r->left)
		n = (size_t)r->left;
	if (n == 0)
		return 0;
	if ((have = window(r, &p, e)) == 0)
		return -1;
	if (n > have)
		n = have;
	memcpy(out, p, n);
	if (take(r, n, e) == -1)
		return -1;
	r->left -= n;
	return (ssize_t)n;
}

int
imap_token_string(struct imap_reader *r, struct imap_token *t, struct err *e)
{
	if (t->type != IMAP_LITERAL)
		return 0;
	if (t->size > IMAP_TOKEN_MAX)
		return imap_protocol(r, "a literal where a short one belongs",
		    e);
	buf_reset(&r->tok);
	while (r->left > 0) {
		char chunk[4096];
		ssize_t n = imap_read_literal(r, chunk, sizeof chunk, e);

		if (n <= 0)
			return -1;
		buf_add(&r->tok, chunk, (size_t)n);
	}
	t->type = IMAP_STRING;
	t->p = r->tok.ptr;
	t->len = r->tok.len;
	return 0;
}

int
imap_skip_value(struct imap_reader *r, const struct imap_token *first,
    struct err *e)
{
	struct imap_token t;
	unsigned depth = r->depth;

	if (first->type != IMAP_OPEN)
		return skip_literal(r, e);
	do
		if (imap_read_token(r, &t, e) == -1)
			return -1;
	while (r->depth >= depth);
	return 0;
}

int
imap_skip_line(struct imap_reader *r, struct err *e)
{
	struct imap_token t;

	while (r->in_line)
		if (imap_read_token(r, &t, e) == -1)
			return -1;
	return 0;
}

bool
imap_is(const struct imap_token *t, const char *name)
{
	return t->type == IMAP_ATOM && strcasecmp(t->p, name) == 0;
}

int
imap_token_number(const struct imap_token *t, uint64_t max, uint64_t *v)
{
	return t->type == IMAP_ATOM ? imap_number(t->p, t->len, max, v) : -1;
}
