/* The words of IMAP commands: quoting, flags, dates, UID sets. */
#include "imap/imap_text.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/date.h"
#include "base/xmalloc.h"

int
imap_quote(struct buf *out, const char *s, size_t len)
{
	size_t start = out->len;

	for (size_t i = 0; i < len; i++)
		if ((unsigned char)s[i] < 0x20 || (unsigned char)s[i] >= 0x7f)
			return -1;
	buf_addc(out, '"');
	for (size_t i = 0; i < len; i++) {
		if (s[i] == '"' || s[i] == '\\')
			buf_addc(out, '\\');
		buf_addc(out, s[i]);
	}
	if (buf_addc(out, '"') == -1 || out->full) {
		out->len = start;
		return -1;
	}
	return 0;
}

/*
 * What each server refused when it was tried.  Dovecot: ']', '\', '%', '*' and
 * more than 50 characters with NO, '(', ')', '{', '"' and 8-bit with BAD.
 * Cyrus takes any atom.  Of an unknown server nothing but plain letters is
 * asked, with the few marks that are in use.
 */
bool
imap_keyword_ok(enum imap_dialect d, const char *kw)
{
	const char *bad;
	size_t max;

	switch (d) {
	case IMAP_DOVECOT:
		bad = "(){\"\\%*]";
		max = 50;
		break;
	case IMAP_CYRUS:
		bad = "(){\"\\%*";
		max = 250;
		break;
	case IMAP_COURIER:
	case IMAP_OTHER:
	default:
		bad = "(){}\"\\%*[]";
		max = 50;
		break;
	}
	for (size_t i = 0; kw[i] != '\0'; i++)
		if ((unsigned char)kw[i] <= 0x20 ||
		    (unsigned char)kw[i] >= 0x7f || i >= max ||
		    strchr(bad, kw[i]) != NULL)
			return false;
	return kw[0] != '\0';
}

static const struct { const char *name; unsigned bit; } system_flags[] = {
	{ "\\Seen", MSG_SEEN }, { "\\Answered", MSG_ANSWERED },
	{ "\\Flagged", MSG_FLAGGED }, { "\\Deleted", MSG_DELETED },
	{ "\\Draft", MSG_DRAFT }
};
#define NFLAGS (sizeof system_flags / sizeof system_flags[0])

unsigned
imap_flag_bit(const char *p, size_t len)
{
	for (size_t i = 0; i < NFLAGS; i++)
		if (strlen(system_flags[i].name) == len &&
		    strncasecmp(system_flags[i].name, p, len) == 0)
			return system_flags[i].bit;
	return 0;
}

void
imap_flag_names(struct buf *out, unsigned flags, const char *const *kw,
    size_t n)
{
	const char *sep = "";

	for (size_t i = 0; i < NFLAGS; i++)
		if (flags & system_flags[i].bit) {
			buf_addf(out, "%s%s", sep, system_flags[i].name);
			sep = " ";
		}
	for (size_t i = 0; i < n; i++) {
		buf_addf(out, "%s%s", sep, kw[i]);
		sep = " ";
	}
}

int64_t
imap_clamp_date(int64_t date, int64_t now)
{
	/* Cyrus reads 1970-01-01 00:00:00 as "now", Dovecot dates after now
	 * likewise; before 1970 neither keeps them. */
	if (date < 1)
		return 1;
	return date > now ? now : date;
}

int
imap_add_date(struct buf *out, int64_t date)
{
	char text[27];

	if (date < 1 || date_internal(text, date, 0) == -1)
		return -1;
	return buf_addf(out, "\"%s\"", text);
}

int
imap_number(const char *p, size_t len, uint64_t max, uint64_t *v)
{
	uint64_t n = 0;

	if (len == 0 || len > 20)
		return -1;
	for (size_t i = 0; i < len; i++) {
		unsigned d = (unsigned)(p[i] - '0');

		if (p[i] < '0' || p[i] > '9' || n > (max - d) / 10 || d > max)
			return -1;
		n = n * 10 + d;
	}
	*v = n;
	return 0;
}

void
imap_set_end(struct imap_set *s)
{
	if (s->first == 0)
		return;
	if (s->out->len > 0 && s->out->ptr[s->out->len - 1] != ' ')
		buf_addc(s->out, ',');
	if (s->first == s->last)
		buf_addf(s->out, "%u", s->first);
	else
		buf_addf(s->out, "%u:%u", s->first, s->last);
	s->first = s->last = 0;
}

void
imap_set_add(struct imap_set *s, uint32_t uid)
{
	if (s->first != 0 && uid == s->last + 1 && uid != 0) {
		s->last = uid;
		return;
	}
	imap_set_end(s);
	s->first = s->last = uid;
}

int
imap_set_parse(const char *p, size_t len, uint32_t *uids, size_t max,
    size_t *n)
{
	const char *end = p + len;

	*n = 0;
	while (p < end) {
		const char *q = p, *colon = NULL;
		uint64_t a, b;

		for (; q < end && *q != ','; q++)
			if (*q == ':' && colon == NULL)
				colon = q;
		if (imap_number(p, (size_t)((colon ? colon : q) - p),
		    UINT32_MAX, &a) == -1)
			return -1;
		b = a;
		if (colon != NULL && imap_number(colon + 1,
		    (size_t)(q - colon - 1), UINT32_MAX, &b) == -1)
			return -1;
		if (a == 0 || b == 0)
			return -1;
		if ((a < b ? b - a : a - b) >= max - *n)
			return -1;
		for (;; a += a < b ? 1 : (uint64_t)-1) {
			uids[(*n)++] = (uint32_t)a;
			if (a == b)
				break;
		}
		p = q + 1;
		if (q < end && p == end)
			return -1;
	}
	return *n > 0 ? 0 : -1;
}

void
imap_base64(struct buf *out, const void *src, size_t n)
{
	static const char abc[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	    "abcdefghijklmnopqrstuvwxyz0123456789+/";
	const unsigned char *p = src;

	for (; n > 0; p += 3) {
		unsigned v = (unsigned)p[0] << 16;
		size_t k = n < 3 ? n : 3;

		if (k > 1)
			v |= (unsigned)p[1] << 8;
		if (k > 2)
			v |= p[2];
		buf_addc(out, abc[v >> 18]);
		buf_addc(out, abc[v >> 12 & 63]);
		buf_addc(out, k > 1 ? abc[v >> 6 & 63] : '=');
		buf_addc(out, k > 2 ? abc[v & 63] : '=');
		n -= k;
	}
}

bool
imap_words_has(const struct imap_words *s, const char *w)
{
	for (size_t i = 0; i < s->n; i++)
		if (strcasecmp(s->w[i], w) == 0)
			return true;
	return false;
}

void
imap_words_add(struct imap_words *s, const char *w)
{
	if (imap_words_has(s, w))
		return;
	if (s->n == s->cap) {
		s->cap = s->cap == 0 ? 8 : s->cap * 2;
		s->w = xreallocarray(s->w, s->cap, sizeof *s->w);
	}
	s->w[s->n++] = xstrdup(w);
}

bool
imap_words_remove(struct imap_words *s, const char *w)
{
	for (size_t i = 0; i < s->n; i++)
		if (strcasecmp(s->w[i], w) == 0) {
			free(s->w[i]);
			s->w[i] = s->w[--s->n];
			return true;
		}
	return false;
}

void
imap_words_release(struct imap_words *s)
{
	while (s->n > 0)
		free(s->w[--s->n]);
	free(s->w);
	memset(s, 0, sizeof *s);
}

void
imap_hide(char *text, const char *secret)
{
	size_t n = strlen(secret);

	while (n >= 4 && (text = strstr(text, secret)) != NULL) {
		memset(text, '*', n);
		text += n;
	}
}
