/* The values of Cyrus' replication protocol, one token at a time.  The grammar
 * is in the header. */
#include "cyrus/dlist.h"

#include <string.h>
#include <strings.h>

#include "imap/imap_text.h"

#define DIGITS_MAX	20

void
dlist_init(struct dlist *d, struct imap_stream *st)
{
	memset(d, 0, sizeof *d);
	d->st = st;
	buf_init(&d->tok, DLIST_TOKEN_MAX);
}

void
dlist_release(struct dlist *d)
{
	buf_release(&d->tok);
}

int
dlist_bad(struct dlist *d, const char *what, struct err *e)
{
	d->dead = true;
	return err_retry(e, ERR_ACCOUNT, "sync_server broke the protocol: %s",
	    what);
}

/* The next byte, left where it is; -1: *e. */
static int
peek(struct dlist *d, struct err *e)
{
	const char *p;

	if (imap_stream_window(d->st, &p) == 0) {
		if (imap_stream_fill(d->st, e) == -1) {
			d->dead = true;
			return -1;
		}
		if (imap_stream_window(d->st, &p) == 0)
			return dlist_bad(d, "no input", e);
	}
	return (unsigned char)*p;
}

static void
step(struct dlist *d)
{
	imap_stream_consume(d->st, 1);
}

/* This byte comes next, and is taken. */
static int
expect(struct dlist *d, int c, const char *what, struct err *e)
{
	int got = peek(d, e);

	if (got == -1)
		return -1;
	if (got != c)
		return dlist_bad(d, what, e);
	step(d);
	return 0;
}

static int
line_end(struct dlist *d, struct err *e)
{
	if (expect(d, '\r', "a line does not end", e) == -1)
		return -1;
	return expect(d, '\n', "a bare CR", e);
}

static bool
atom_byte(int c)
{
	return c > 0x20 && c < 0x7f && c != '(' && c != ')' && c != '"' &&
	    c != '{' && c != '}';
}

static int
add(struct dlist *d, int c, struct err *e)
{
	if (buf_addc(&d->tok, (char)c) == -1)
		return dlist_bad(d, "a value is too long", e);
	return 0;
}

static int
read_atom(struct dlist *d, struct err *e)
{
	int c;

	while ((c = peek(d, e)) != -1 && atom_byte(c)) {
		if (add(d, c, e) == -1)
			return -1;
		step(d);
	}
	if (c == -1)
		return -1;
	return d->tok.len > 0 ? 0 : dlist_bad(d, "an odd byte", e);
}

static int
read_quoted(struct dlist *d, struct err *e)
{
	int c;

	step(d);
	for (;;) {
		if ((c = peek(d, e)) == -1)
			return -1;
		step(d);
		if (c == '"')
			return 0;
		if (c == '\\') {
			if ((c = peek(d, e)) == -1)
				return -1;
			if (c != '"' && c != '\\')
				return dlist_bad(d, "an odd escape", e);
			step(d);
		} else if (c == '\0' || c == '\r' || c == '\n')
			return dlist_bad(d, "a quoted value does not end", e);
		if (add(d, c, e) == -1)
			return -1;
	}
}

/* "123}" CRLF, after what opened it. */
static int
read_size(struct dlist *d, uint64_t max, uint64_t *size, struct err *e)
{
	char digits[DIGITS_MAX];
	size_t n = 0;
	int c;

	while ((c = peek(d, e)) >= '0' && c <= '9') {
		if (n == sizeof digits)
			return dlist_bad(d, "an odd size", e);
		digits[n++] = (char)c;
		step(d);
	}
	if (c == -1)
		return -1;
	if (imap_number(digits, n, max, size) == -1)
		return dlist_bad(d, "an odd size", e);
	if (c == '+')
		step(d);
	if (expect(d, '}', "an odd size", e) == -1)
		return -1;
	return line_end(d, e);
}

static int
read_literal(struct dlist *d, struct err *e)
{
	uint64_t left;
	const char *p;
	size_t n;

	step(d);
	if (read_size(d, d->tok.max, &left, e) == -1)
		return -1;
	while (left > 0) {
		if (peek(d, e) == -1)
			return -1;
		n = imap_stream_window(d->st, &p);
		if (n > left)
			n = (size_t)left;
		if (buf_add(&d->tok, p, n) == -1)
			return dlist_bad(d, "a value is too long", e);
		imap_stream_consume(d->st, n);
		left -= n;
	}
	return 0;
}

/* After "%{": partition, sha1, size. */
static int
read_file(struct dlist *d, struct dlist_token *t, struct err *e)
{
	int c;

	while ((c = peek(d, e)) != -1 && atom_byte(c))
		step(d);
	if (c == -1 || expect(d, ' ', "an odd file", e) == -1 ||
	    read_atom(d, e) == -1 ||
	    expect(d, ' ', "an odd file", e) == -1)
		return -1;
	if (read_size(d, INT64_MAX, &t->size, e) == -1)
		return -1;
	t->type = DLIST_FILE;
	d->left = t->size;
	return 0;
}

static int
open_level(struct dlist *d, struct dlist_token *t, bool kv, struct err *e)
{
	if (d->depth == DLIST_DEPTH_MAX)
		return dlist_bad(d, "too many levels", e);
	step(d);
	d->depth++;
	d->kv[d->depth] = d->key[d->depth] = kv;
	d->apart = false;
	t->type = kv ? DLIST_KVOPEN : DLIST_OPEN;
	return 0;
}

static int
close_level(struct dlist *d, struct dlist_token *t, struct err *e)
{
	if (d->depth == 0)
		return dlist_bad(d, "a list ends that never began", e);
	if (d->kv[d->depth] && !d->key[d->depth])
		return dlist_bad(d, "a key without a value", e);
	step(d);
	d->depth--;
	/* The list was itself a value. */
	d->key[d->depth] = d->kv[d->depth];
	d->apart = true;
	t->type = DLIST_CLOSE;
	return 0;
}

static int
end_line(struct dlist *d, struct dlist_token *t, struct err *e)
{
	if (d->depth > 0)
		return dlist_bad(d, "a list does not end", e);
	if (line_end(d, e) == -1)
		return -1;
	d->apart = false;
	t->type = DLIST_END;
	return 0;
}

/* A value that is no list: c is its first byte. */
static int
read_value(struct dlist *d, int c, struct dlist_token *t, struct err *e)
{
	bool key = d->key[d->depth];
	int rc;

	if (key && (c == '"' || c == '{' || c == '%'))
		return dlist_bad(d, "an odd key", e);
	t->type = c == '"' || c == '{' ? DLIST_STRING : DLIST_ATOM;
	if (c == '"')
		rc = read_quoted(d, e);
	else if (c == '{')
		rc = read_literal(d, e);
	else if (c == '%') {
		step(d);
		if ((c = peek(d, e)) == -1)
			return -1;
		if (c == '(')
			return open_level(d, t, true, e);
		if (c != '{')
			return dlist_bad(d, "an odd byte", e);
		step(d);
		rc = read_file(d, t, e);
	} else
		rc = read_atom(d, e);
	if (rc == -1)
		return -1;
	t->p = d->tok.ptr;
	t->len = d->tok.len;
	d->key[d->depth] = d->kv[d->depth] && !key;
	d->apart = true;
	return 0;
}

int
dlist_next(struct dlist *d, struct dlist_token *t, struct err *e)
{
	char skipped[4096];
	int c;

	if (d->dead)
		return err_retry(e, ERR_ACCOUNT, "the connection to "
		    "sync_server is over");
	while (d->left > 0)
		if (dlist_file(d, skipped, sizeof skipped, e) == -1)
			return -1;
	memset(t, 0, sizeof *t);
	t->p = "";
	buf_reset(&d->tok);
	if ((c = peek(d, e)) == -1)
		return -1;
	if (d->apart && c == ' ') {
		step(d);
		if ((c = peek(d, e)) == -1)
			return -1;
		d->apart = false;
	}
	if (c == ')')
		return close_level(d, t, e);
	if (c == '\r')
		return end_line(d, t, e);
	if (d->apart)
		return dlist_bad(d, "two values without a blank", e);
	if (c != '(')
		return read_value(d, c, t, e);
	if (d->key[d->depth])
		return dlist_bad(d, "an odd key", e);
	return open_level(d, t, false, e);
}

ssize_t
dlist_file(struct dlist *d, void *out, size_t n, struct err *e)
{
	const char *p;
	size_t have;

	if (d->dead)
		return err_retry(e, ERR_ACCOUNT, "the connection to "
		    "sync_server is over");
	if (d->left == 0)
		return 0;
	if (peek(d, e) == -1)
		return -1;
	have = imap_stream_window(d->st, &p);
	if (have > n)
		have = n;
	if (have > d->left)
		have = (size_t)d->left;
	memcpy(out, p, have);
	imap_stream_consume(d->st, have);
	imap_stream_earn(d->st, have);
	d->left -= have;
	return (ssize_t)have;
}

int
dlist_skip(struct dlist *d, const struct dlist_token *t, struct err *e)
{
	struct dlist_token next = *t;
	unsigned depth;

	if (t->type != DLIST_OPEN && t->type != DLIST_KVOPEN)
		return 0;
	depth = d->depth - 1;
	while (next.type != DLIST_CLOSE || d->depth > depth)
		if (dlist_next(d, &next, e) == -1)
			return -1;
	return 0;
}

int
dlist_skip_line(struct dlist *d, struct err *e)
{
	struct dlist_token t;

	do
		if (dlist_next(d, &t, e) == -1)
			return -1;
	while (t.type != DLIST_END);
	return 0;
}

int
dlist_text(struct dlist *d, struct dlist_token *t, struct err *e)
{
	int c;

	memset(t, 0, sizeof *t);
	buf_reset(&d->tok);
	while ((c = peek(d, e)) != '\r' && c != '\n') {
		if (c == -1 || (c == '\0' ? dlist_bad(d, "a NUL", e) :
		    add(d, c, e)) == -1)
			return -1;
		step(d);
	}
	if (line_end(d, e) == -1)
		return -1;
	d->apart = false;
	t->type = DLIST_STRING;
	t->p = d->tok.ptr + (d->tok.ptr[0] == ' ');
	t->len = strlen(t->p);
	return 0;
}

int
dlist_pair(struct dlist *d, char *key, size_t room, struct dlist_token *t,
    struct err *e)
{
	if (dlist_next(d, t, e) == -1)
		return -1;
	if (t->type == DLIST_CLOSE)
		return 0;
	if (t->type != DLIST_ATOM)
		return dlist_bad(d, "an odd key", e);
	memset(key, 0, room);
	memcpy(key, t->p, t->len < room ? t->len : room - 1);
	if (dlist_next(d, t, e) == -1)
		return -1;
	return 1;
}

/* One token of a value that is copied. */
static int
copy_token(struct dlist *d, const struct dlist_token *t, struct buf *out,
    struct err *e)
{
	switch (t->type) {
	case DLIST_OPEN:
		buf_addc(out, '(');
		break;
	case DLIST_KVOPEN:
		buf_adds(out, "%(");
		break;
	case DLIST_CLOSE:
		buf_addc(out, ')');
		break;
	case DLIST_ATOM:
		buf_add(out, t->p, t->len);
		break;
	case DLIST_STRING:
		dlist_put(out, t->p, t->len);
		break;
	case DLIST_FILE:
	case DLIST_END:
	default:
		return dlist_bad(d, "a value that has no place there", e);
	}
	return out->full ? dlist_bad(d, "a value is too long", e) : 0;
}

int
dlist_copy(struct dlist *d, const struct dlist_token *first, struct buf *out,
    struct err *e)
{
	struct dlist_token t = *first;
	bool list = t.type == DLIST_OPEN || t.type == DLIST_KVOPEN;
	unsigned depth = d->depth;
	bool blank = false;

	if (copy_token(d, &t, out, e) == -1)
		return -1;
	while (list) {
		if (dlist_next(d, &t, e) == -1)
			return -1;
		if (blank && t.type != DLIST_CLOSE)
			buf_addc(out, ' ');
		if (copy_token(d, &t, out, e) == -1)
			return -1;
		blank = t.type != DLIST_OPEN && t.type != DLIST_KVOPEN;
		list = d->depth >= depth;
	}
	return 0;
}

int
dlist_number(const struct dlist_token *t, uint64_t max, uint64_t *v)
{
	return t->type == DLIST_ATOM ? imap_number(t->p, t->len, max, v) : -1;
}

int
dlist_sha1(const char *hex, size_t len, unsigned char out[20])
{
	if (len != 40)
		return -1;
	for (size_t i = 0; i < len; i++) {
		char c = hex[i];
		int v = c >= '0' && c <= '9' ? c - '0' :
		    c >= 'a' && c <= 'f' ? c - 'a' + 10 :
		    c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;

		if (v == -1)
			return -1;
		out[i / 2] = (unsigned char)(i % 2 == 0 ? v << 4 :
		    out[i / 2] | v);
	}
	return 0;
}

void
dlist_put(struct buf *out, const char *p, size_t len)
{
	bool atom = len > 0 && p[0] != '\\' && !(len == 3 &&
	    strncasecmp(p, "NIL", 3) == 0);
	bool quoted = len < 1000;

	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)p[i];

		if (!atom_byte(c) || c == '%' || c == '\\' || c == '*')
			atom = false;
		if ((c < 0x20 && c != '\t') || c >= 0x7f || c == '"' ||
		    c == '\\' || c == '%')
			quoted = false;
	}
	if (atom)
		buf_add(out, p, len);
	else if (quoted) {
		buf_addc(out, '"');
		buf_add(out, p, len);
		buf_addc(out, '"');
	} else {
		buf_addf(out, "{%zu+}\r\n", len);
		buf_add(out, p, len);
	}
}

void
dlist_puts(struct buf *out, const char *s)
{
	dlist_put(out, s, strlen(s));
}
