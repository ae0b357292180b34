/*
 * Names of message files:
 *
 *	<secs>.<unique>.<host>[,S=<bytes>][,W=<bytes with CRLF>][:2,<flags>]
 *
 * The base is what stays when flags change: all before the first ':', as
 * Dovecot and Courier cut it.  The info is what follows the last ':' and
 * counts only when it begins with "2,".  Flags end at a comma; what follows it
 * belongs to others.  Stores that lay on a file system without ':' have
 * [;!-]2,<letters> at the end.
 *
 *	D draft  F flagged  P passed on  R answered  S seen  T deleted
 *	a-z  Dovecot's keywords 0-25
 */
#include "maildir/maildir_name.h"

#include <string.h>

#include "message.h"

static bool
is_letter(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* Digits at p; *v stays below limit / 10 * 10 whatever they are. */
static const char *
number(const char *p, const char *end, uint64_t *v)
{
	for (*v = 0; p < end && is_digit(*p); p++)
		*v = *v > INT64_MAX / 10 - 1 ? INT64_MAX :
		    *v * 10 + (uint64_t)(*p - '0');
	return p;
}

/* The value of ",X=" in the base; the first one counts. */
static uint64_t
size_field(const char *name, size_t len, char letter)
{
	const char *p, *end = name + len, *q;
	uint64_t v;

	for (p = name; p + 4 <= end; p++) {
		if (p[0] != ',' || p[1] != letter || p[2] != '=')
			continue;
		q = number(p + 3, end, &v);
		return q > p + 3 && (q == end || *q == ',') &&
		    v < INT64_MAX ? v : UNKNOWN64;
	}
	return UNKNOWN64;
}

void
maildir_name_parse(struct maildir_name *n, const char *name, size_t len)
{
	const char *colon, *end = name + len, *p;
	uint64_t v;

	memset(n, 0, sizeof *n);
	n->base = len;
	colon = memchr(name, ':', len);
	if (colon != NULL && colon > name) {
		n->base = (size_t)(colon - name);
		colon = memrchr(name, ':', len);
		if (end - colon >= 3 && memcmp(colon + 1, "2,", 2) == 0)
			n->raw = colon + 3;
	} else if (colon == NULL) {
		for (p = end; p > name && is_letter(p[-1]); p--)
			;
		if (p - name > 3 && p[-1] == ',' && p[-2] == '2' &&
		    memchr(";!-", p[-3], 3) != NULL) {
			n->base = (size_t)(p - 3 - name);
			n->raw = p;
		}
	}
	if (n->raw != NULL) {
		n->nraw = (size_t)(end - n->raw);
		p = memchr(n->raw, ',', n->nraw);
		n->nflags = p != NULL ? (size_t)(p - n->raw) : n->nraw;
	}
	n->size = size_field(name, n->base, 'S');
	n->vsize = size_field(name, n->base, 'W');

	end = name + n->base;
	p = number(name, end, &n->secs);
	if (p == end || *p != '.')
		return;
	for (p++; p < end && *p != '.'; p++)
		if (*p == 'M') {
			(void)number(p + 1, end, &v);
			n->usecs = v < UINT32_MAX ? (uint32_t)v : UINT32_MAX;
			return;
		}
}

void
maildir_flags_parse(struct maildir_flags *f, const char *letters, size_t n)
{
	memset(f, 0, sizeof *f);
	for (; n > 0; n--, letters++)
		switch (*letters) {
		case 'D':
			f->flags |= MSG_DRAFT;
			break;
		case 'F':
			f->flags |= MSG_FLAGGED;
			break;
		case 'P':
			f->passed = true;
			break;
		case 'R':
			f->flags |= MSG_ANSWERED;
			break;
		case 'S':
			f->flags |= MSG_SEEN;
			break;
		case 'T':
			f->flags |= MSG_DELETED;
			break;
		default:
			if (*letters >= 'a' && *letters <= 'z')
				f->keywords |= UINT32_C(1) << (*letters - 'a');
		}
}
