/*
 * UID lists.
 *
 * Dovecot, version 3:
 *	3 V<uidvalidity> N<uidnext> G<mailbox guid>[ <letter><value>]...
 *	<uid>[ <letter><value>]... :<base file name>
 * Letters of a record: P POP3 UIDL (empty: the base name), O POP3 order,
 * G message GUID, S and W sizes, X a mark of ours (8 digits).  UIDs ascend.  The last line may be in the
 * middle of being written: without its LF it does not count.  N is not kept
 * up when lines are appended.
 *
 * Dovecot version 1 and courierimapuiddb:
 *	1 <uidvalidity> <uidnext>
 *	<uid> <file name>
 *
 * A bad header, a UID that does not ascend or a missing blank make the whole
 * list broken, as they do for Dovecot, which then gives new UIDs to all.  Other
 * bad lines lose their own UID.
 *
 * courierpop3dsizelist:
 *	/<version> <next n> <uidv>
 *	<file name> <size> <n>:<uidv>:<utf8>		version 3
 *	<file name> <size> <n>:<uidv>			version 2
 *	<file name> <size> <n>				version 1
 *	<file name> <size>				no header line
 * The UIDL is UID<n>-<uidv>, UID<n> when uidv is 0, and when n is 0 the base
 * name with odd bytes as +XX.
 */
#include "maildir/maildir_uidlist.h"

#include <errno.h>
#include <string.h>

#include "maildir/maildir_name.h"

#define UID_MAX_VALUE	UINT32_C(4294967294)

/* The field up to a blank at *p; its length. */
static size_t
field(const char **p, const char *end)
{
	const char *q = *p < end ? memchr(*p, ' ', (size_t)(end - *p)) : NULL;

	if (q == NULL)
		q = end;
	return (size_t)(q - *p);
}

static bool
take_u32(const char *p, size_t len, uint32_t max, uint32_t *v)
{
	unsigned long long n;

	if (!maildir_number(p, len, max, &n))
		return false;
	*v = (uint32_t)n;
	return true;
}

/* Lower-case digits; 0: they are none. */
static uint32_t
take_hex(const char *p, size_t len)
{
	static const char digits[] = "0123456789abcdef";
	const char *d;
	uint32_t v = 0;

	for (size_t i = 0; i < len; i++) {
		if (p[i] == '\0' || (d = strchr(digits, p[i])) == NULL)
			return 0;
		v = v << 4 | (uint32_t)(d - digits);
	}
	return v;
}

static bool
is_guid(const char *p, size_t len)
{
	size_t i;

	if (len != 32)
		return false;
	for (i = 0; i < len; i++)
		if ((p[i] < '0' || p[i] > '9') && (p[i] < 'a' || p[i] > 'f'))
			return false;
	return true;
}

int
uidlist_head_parse(struct uidlist_head *h, const char *line, size_t len)
{
	const char *p = line, *end = line + len;
	size_t n;

	memset(h, 0, sizeof *h);
	if (len < 2 || (p[0] != '1' && p[0] != '3') || p[1] != ' ')
		return -1;
	h->version = (unsigned)(p[0] - '0');
	p += 2;
	if (h->version == 1) {
		n = field(&p, end);
		if (!take_u32(p, n, UINT32_MAX, &h->uidvalidity) ||
		    p + n == end)
			return -1;
		p += n + 1;
		n = field(&p, end);
		if (!take_u32(p, n, UINT32_MAX, &h->uidnext))
			return -1;
	} else
		for (; p < end; p += n < (size_t)(end - p) ? n + 1 : n) {
			n = field(&p, end);
			if (n == 0)
				continue;
			if ((*p == 'V' && !take_u32(p + 1, n - 1, UINT32_MAX,
			    &h->uidvalidity)) ||
			    (*p == 'N' && !take_u32(p + 1, n - 1, UINT32_MAX,
			    &h->uidnext)))
				return -1;
			if (*p == 'G' && is_guid(p + 1, n - 1))
				memcpy(h->guid, p + 1, 32);
		}
	return h->uidvalidity != 0 && h->uidnext != 0 ? 0 : -1;
}

int
uidlist_rec_parse(struct uidlist_rec *r, unsigned version, const char *line,
    size_t len, const char **why)
{
	const char *p = line, *end = line + len;
	struct maildir_name name;
	size_t n;

	memset(r, 0, sizeof *r);
	n = field(&p, end);
	if (!take_u32(p, n, UID_MAX_VALUE, &r->uid) || r->uid == 0) {
		*why = "no UID at the start of the line";
		return -1;
	}
	if (p + n == end) {
		*why = "nothing after the UID";
		return -1;
	}
	p += n + 1;
	if (version == 3) {
		while (p < end && *p != ':') {
			n = field(&p, end);
			if (n > 0 && *p == 'P') {
				r->uidl = p + 1;
				r->nuidl = n - 1;
			} else if (n > 1 && *p == 'G') {
				r->guid = p + 1;
				r->nguid = n - 1;
			} else if (n > 0 && *p == 'O')
				(void)take_u32(p + 1, n - 1, UINT32_MAX,
				    &r->order);
			else if (n == 9 && *p == 'X')
				r->mark = take_hex(p + 1, 8);
			p += n < (size_t)(end - p) ? n + 1 : n;
		}
		if (p == end) {
			*why = "no file name";
			return 0;
		}
		p++;
	}
	n = (size_t)(end - p);
	if (n == 0 || memchr(p, '\0', n) != NULL || memchr(p, '/', n) != NULL) {
		*why = "no usable file name";
		return 0;
	}
	maildir_name_parse(&name, p, n);
	r->base = p;
	r->nbase = name.base;
	if (r->uidl != NULL && r->nuidl == 0) {
		r->uidl = r->base;
		r->nuidl = r->nbase;
	}
	/* No C string could carry these. */
	if (r->uidl != NULL && memchr(r->uidl, '\0', r->nuidl) != NULL)
		r->uidl = NULL;
	if (r->guid != NULL && memchr(r->guid, '\0', r->nguid) != NULL)
		r->guid = NULL;
	return 1;
}

int
uidlist_read(struct maildir_lines *l, struct uidlist_head *h,
    uidlist_rec_fn *rec, uidlist_warn_fn *warn, void *ctx, struct err *e)
{
	struct uidlist_rec r;
	const char *line, *why = NULL;
	unsigned long overlong = 0;
	uint32_t last = 0;
	size_t len;
	int rc;

	if ((rc = maildir_lines_next(l, &line, &len)) == -1)
		goto io;
	if (rc == 0 || l->unended || uidlist_head_parse(h, line, len) == -1) {
		warn(ctx, 1, "bad header: no UID of it is used");
		return 0;
	}
	while ((rc = maildir_lines_next(l, &line, &len)) == 1) {
		if (l->overlong != overlong) {
			overlong = l->overlong;
			warn(ctx, overlong, "the line is too long");
		}
		if (l->unended)
			break;		/* still being written */
		rc = uidlist_rec_parse(&r, h->version, line, len, &why);
		if (rc != -1 && r.uid <= last) {
			why = "UIDs do not ascend";
			rc = -1;
		}
		if (rc == -1) {
			warn(ctx, l->number, why);
			warn(ctx, l->number, "the list is broken: no UID of "
			    "it is used");
			return 0;
		}
		last = r.uid;
		if (rc == 0) {
			warn(ctx, l->number, why);
			continue;
		}
		if (rec(ctx, &r, e) == -1)
			return -1;
	}
	if (rc == -1)
		goto io;
	if (last >= h->uidnext)
		h->uidnext = last + 1;
	return 1;
io:
	return err_sys(e, quiet_scope(errno, ERR_MAILBOX), "read UID list");
}

int
sizelist_head_parse(unsigned *version, const char *line, size_t len)
{
	*version = 0;
	if (len < 3 || line[0] != '/')
		return 0;
	if (line[1] < '1' || line[1] > '3' || line[2] != ' ')
		return -1;
	*version = (unsigned)(line[1] - '0');
	return 1;
}

/* The last field of p..*end, which is cut off with its blank. */
static size_t
last_field(const char *p, const char **end, const char **f)
{
	const char *blank = *end > p ?
	    memrchr(p, ' ', (size_t)(*end - p)) : NULL;
	size_t n;

	if (blank == NULL)
		return 0;
	*f = blank + 1;
	n = (size_t)(*end - *f);
	*end = blank;
	return n;
}

int
sizelist_rec_parse(const char **base, size_t *nbase, struct buf *uidl,
    unsigned version, const char *line, size_t len)
{
	const char *end = line + len, *f = NULL, *colon;
	unsigned long long n = 0, uidv = 0, size;
	struct maildir_name name;
	size_t flen, k, i;

	if (version > 0) {
		if ((flen = last_field(line, &end, &f)) == 0)
			return 0;
		colon = memchr(f, ':', flen);
		k = colon != NULL ? (size_t)(colon - f) : flen;
		if (!maildir_number(f, k, UINT64_MAX, &n))
			return 0;
		if (colon != NULL) {
			f = colon + 1;
			flen -= k + 1;
			colon = memchr(f, ':', flen);
			k = colon != NULL ? (size_t)(colon - f) : flen;
			if (!maildir_number(f, k, UINT64_MAX, &uidv))
				return 0;
		}
	}
	if ((flen = last_field(line, &end, &f)) == 0 ||
	    !maildir_number(f, flen, UINT64_MAX, &size))
		return 0;
	flen = (size_t)(end - line);
	if (flen == 0 || memchr(line, '\0', flen) != NULL ||
	    memchr(line, '/', flen) != NULL)
		return 0;
	maildir_name_parse(&name, line, flen);
	*base = line;
	*nbase = name.base;
	if (n != 0 && uidv != 0)
		return buf_addf(uidl, "UID%llu-%llu", n, uidv) == 0;
	if (n != 0)
		return buf_addf(uidl, "UID%llu", n) == 0;
	for (i = 0; i < *nbase; i++) {
		unsigned char c = (unsigned char)line[i];

		if (c <= 0x20 || c >= 0x7f || c == '\'' || c == '"' || c == '+')
			buf_addf(uidl, "+%02X", c);
		else
			buf_addc(uidl, (char)c);
	}
	return !uidl->full;
}
