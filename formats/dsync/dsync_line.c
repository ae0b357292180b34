/* The lines of Dovecot's dsync protocol: see dsync_line.h. */
#include "dsync/dsync_line.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/xmalloc.h"
#include "imap/imap_stream.h"
#include "imap/imap_text.h"

#define ABSENT	'\002'

/* Writing. */

void
dsync_escape(struct buf *b, const char *p, size_t n)
{
	static const char from[] = "\001\t\r\n", to[] = "1trn";

	for (size_t i = 0; i < n; i++) {
		const char *at = p[i] == '\0' ? NULL : strchr(from, p[i]);

		if (p[i] == '\0') {
			buf_add(b, "\0010", 2);
		} else if (at != NULL) {
			buf_addc(b, '\001');
			buf_addc(b, to[at - from]);
		} else
			buf_addc(b, p[i]);
	}
}

void
dsync_begin(struct buf *b, char letter)
{
	buf_addc(b, letter);
}

/* The TAB comes behind each value, and dsync_end() takes the last one away. */
void
dsync_put(struct buf *b, const char *value)
{
	if (value == NULL)
		buf_addc(b, ABSENT);
	else {
		if (value[0] == ABSENT)
			buf_addc(b, ABSENT);
		dsync_escape(b, value, strlen(value));
	}
	buf_addc(b, '\t');
}

void
dsync_putf(struct buf *b, const char *fmt, ...)
{
	char text[200];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	dsync_put(b, text);
}

void
dsync_end(struct buf *b)
{
	if (b->len > 0 && b->ptr[b->len - 1] == '\t')
		b->ptr[b->len - 1] = '\n';
	else
		buf_addc(b, '\n');
}

size_t
dsync_stuff(struct dsync_body *s, const char *in, size_t n, char *out)
{
	size_t len = 0;

	for (size_t i = 0; i < n; i++) {
		if (in[i] == '.' && (!s->inside || s->last == '\n'))
			out[len++] = '.';
		out[len++] = s->last = in[i];
		s->inside = true;
	}
	return len;
}

/* Reading. */

void
dsync_reader_init(struct dsync_reader *r, struct imap_stream *st)
{
	memset(r, 0, sizeof *r);
	r->st = st;
	buf_init(&r->line, DSYNC_LINE_MAX);
}

void
dsync_reader_release(struct dsync_reader *r)
{
	for (size_t i = 0; i < sizeof r->heads / sizeof *r->heads; i++) {
		free(r->heads[i]);
		r->heads[i] = NULL;
	}
	buf_release(&r->line);
}

static int
odd(const char *what, struct err *e)
{
	return err_retry(e, ERR_ACCOUNT, "dsync-server sends %s", what);
}

int
dsync_read_line(struct dsync_reader *r, struct err *e)
{
	const char *p, *end;
	size_t n, take;

	buf_reset(&r->line);
	for (;;) {
		n = imap_stream_window(r->st, &p);
		end = n > 0 ? memchr(p, '\n', n) : NULL;
		take = end != NULL ? (size_t)(end - p) : n;
		if (buf_add(&r->line, p, take) == -1)
			return odd("a line without an end", e);
		imap_stream_consume(r->st, end != NULL ? take + 1 : take);
		if (end != NULL)
			return 0;
		if (imap_stream_fill(r->st, e) == -1)
			return -1;
	}
}

/* In place; -1: a SOH with nothing that it could escape. */
static int
unescape(char *p, size_t *len)
{
	size_t out = 0;

	for (size_t i = 0; i < *len; i++) {
		char c = p[i];

		if (c == '\001') {
			if (++i == *len)
				return -1;
			switch (p[i]) {
			case '0': c = '\0'; break;
			case '1': c = '\001'; break;
			case 't': c = '\t'; break;
			case 'r': c = '\r'; break;
			case 'n': c = '\n'; break;
			default: return -1;
			}
		}
		p[out++] = c;
	}
	p[out] = '\0';
	*len = out;
	return 0;
}

static int
put_head(struct dsync_reader *r, struct err *e)
{
	unsigned char letter = (unsigned char)r->line.ptr[0];
	size_t n = r->line.len - 1;
	char *names;

	if (letter < 'A' || letter > 'z' || r->heads[letter] != NULL)
		return odd("odd heads", e);
	/* One NUL more ends the names. */
	names = xcalloc(n + 2, 1);
	memcpy(names, r->line.ptr + 1, n);
	for (size_t i = 0; i < n; i++)
		if (names[i] == '\t' || names[i] == '\0')
			names[i] = names[i] == '\t' ? '\0' : '?';
	r->heads[letter] = names;
	return 0;
}

int
dsync_read_heads(struct dsync_reader *r, struct err *e)
{
	static const char hello[] = "VERSION\tdsync\t3\t";
	uint64_t minor;

	if (dsync_read_line(r, e) == -1)
		return -1;
	if (strncmp(r->line.ptr, hello, sizeof hello - 1) != 0 ||
	    imap_number(r->line.ptr + sizeof hello - 1, r->line.len -
	    (sizeof hello - 1), 1000, &minor) == -1 || minor < 5)
		return err_set(e, ERR_ACCOUNT, "dsync-server speaks no "
		    "dsync 3.5 (\"%.100s\")", r->line.ptr);
	r->minor = (unsigned)minor;
	for (;;) {
		if (dsync_read_line(r, e) == -1)
			return -1;
		if (strcmp(r->line.ptr, ".") == 0)
			return 0;
		if (r->line.len == 0)
			return odd("an empty line", e);
		if (put_head(r, e) == -1)
			return -1;
	}
}

int
dsync_read_item(struct dsync_reader *r, struct err *e)
{
	char *p, *end, *tab;
	size_t len;

	if (dsync_read_line(r, e) == -1)
		return -1;
	r->n = 0;
	if (r->line.len == 0)
		return odd("an empty line", e);
	r->letter = r->line.ptr[0];
	if (r->letter == '.' && r->line.len == 1)
		return 0;
	if (r->letter < 'A' || r->letter > 'z')
		return odd("something that is no item", e);
	end = r->line.ptr + r->line.len;
	if (r->line.len == 1)
		return 0;		/* no value at all */
	for (p = r->line.ptr + 1; p <= end; p = tab + 1) {
		tab = memchr(p, '\t', (size_t)(end - p));
		if (tab == NULL)
			tab = end;
		if (r->n == DSYNC_FIELDS)
			return odd("too many fields", e);
		len = (size_t)(tab - p);
		if (len == 1 && p[0] == ABSENT)
			r->value[r->n] = NULL;
		else {
			if (len > 0 && p[0] == ABSENT) {
				p++;
				len--;
			}
			if (unescape(p, &len) == -1)
				return odd("a value that is badly escaped", e);
			r->value[r->n] = p;
		}
		r->len[r->n++] = len;
	}
	return 0;
}

const char *
dsync_get(const struct dsync_reader *r, const char *name)
{
	const char *head = r->letter < 0 ? NULL :
	    r->heads[(unsigned char)r->letter];

	if (head == NULL)
		return NULL;
	for (size_t i = 0; i < r->n && *head != '\0'; i++) {
		if (strcmp(head, name) == 0)
			return r->value[i] != NULL && strlen(r->value[i]) ==
			    r->len[i] ? r->value[i] : NULL;
		head += strlen(head) + 1;
	}
	return NULL;
}

unsigned long long
dsync_number(const struct dsync_reader *r, const char *name)
{
	const char *s = dsync_get(r, name);
	uint64_t v;

	return s != NULL && imap_number(s, strlen(s), UINT64_MAX, &v) == 0 ?
	    v : 0;
}

size_t
dsync_split(char *value, char **elements, size_t max)
{
	size_t n = 0, len;
	char *p = value, *tab;

	while (n < max) {
		tab = strchr(p, '\t');
		if (tab != NULL)
			*tab = '\0';
		len = strlen(p);
		if (unescape(p, &len) == 0)
			elements[n++] = p;
		if (tab == NULL)
			break;
		p = tab + 1;
	}
	return n;
}
