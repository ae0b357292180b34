/*
 * Fields that mbox programs keep in message headers.
 *
 *	Status:		R read, O seen by a client before; others mean nothing
 *	X-Status:	A answered, F flagged, T draft, D deleted
 *	X-Keywords:	words, padded with blanks
 *	X-UID:		decimal
 *	X-IMAPbase:	UIDVALIDITY LASTUID KEYWORD...; first message only
 *	X-IMAP:		the same, in c-client's internal first message
 *	Content-Length:	bytes of the body; the first one counts
 *	X-Mozilla-Status:  4 hex digits, X-Mozilla-Status2: 8 hex digits,
 *	X-Mozilla-Keys:	words, padded with blanks; all on top of the header
 *
 * The first seven belong to the container and are noted as cuts, each from
 * the start of its name to the end of its last continuation line.
 */
#include "mbox/mbox_head.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/xmalloc.h"

/* Further fields of the container stay in the message: a mailbox program
 * writes one of each. */
#define CUTS_MAX	1024

static const struct field {
	const char	*name;
	unsigned	 max;		/* bytes of value kept */
	bool		 cut, all;	/* all: repeated ones count too */
} fields[HEAD_FIELDS] = {
	[HEAD_STATUS] =	     { "Status", 64, true, true },
	[HEAD_XSTATUS] =     { "X-Status", 64, true, true },
	[HEAD_XKEYWORDS] =   { "X-Keywords", 65536, true, true },
	[HEAD_XUID] =	     { "X-UID", 32, true, false },
	[HEAD_XIMAP] =	     { "X-IMAP", 65536, true, false },
	[HEAD_XIMAPBASE] =   { "X-IMAPbase", 65536, true, false },
	[HEAD_LENGTH] =	     { "Content-Length", 32, false, false },
	[HEAD_MOZ_STATUS] =  { "X-Mozilla-Status", 16, false, false },
	[HEAD_MOZ_STATUS2] = { "X-Mozilla-Status2", 16, false, false },
	[HEAD_MOZ_KEYS] =    { "X-Mozilla-Keys", 65536, false, false },
	[HEAD_RECEIVED] =    { "Received", 4096, false, false },
	[HEAD_DATE] =	     { "Date", 256, false, false },
};

void
mbox_head_init(struct mbox_head *h)
{
	memset(h, 0, sizeof *h);
	for (int i = 0; i < HEAD_FIELDS; i++)
		buf_init(&h->value[i], fields[i].max);
	mbox_head_reset(h);
}

void
mbox_head_release(struct mbox_head *h)
{
	for (int i = 0; i < HEAD_FIELDS; i++)
		buf_release(&h->value[i]);
	free(h->cuts);
	h->cuts = NULL;
	h->ncuts = h->capcuts = 0;
}

void
mbox_head_reset(struct mbox_head *h)
{
	for (int i = 0; i < HEAD_FIELDS; i++) {
		if (h->seen[i])
			buf_reset(&h->value[i]);
		h->seen[i] = false;
	}
	h->ncuts = 0;
	h->mozilla = h->base_first = false;
	h->top = true;
	h->field = -1;
	h->keep = h->cutting = false;
}

/* The length of the field name that p begins with, and where the value
 * starts; 0: none. */
static size_t
name_length(const char *p, size_t n, size_t *value)
{
	size_t i, len;

	for (i = 0; i < n && i < 128; i++)
		if (p[i] <= ' ' || p[i] >= 0x7f || p[i] == ':')
			break;
	len = i;
	while (i < n && i < 128 && (p[i] == ' ' || p[i] == '\t'))
		i++;
	if (len == 0 || i == n || p[i] != ':')
		return 0;
	*value = i + 1;
	return len;
}

bool
mbox_head_like(const char *p, size_t n)
{
	size_t value;

	/* An old separator that some gateway quoted into the header. */
	if (n >= 6 && memcmp(p, ">From ", 6) == 0)
		return true;
	return name_length(p, n, &value) > 0;
}

static int
field_of(const char *p, size_t len)
{
	/* Nearly every field starts with another letter or has another
	 * length. */
	if (strchr("SsXxCcRrDd", p[0]) == NULL)
		return -1;
	for (int i = 0; i < HEAD_FIELDS; i++)
		if (strlen(fields[i].name) == len &&
		    strncasecmp(fields[i].name, p, len) == 0)
			return i;
	return -1;
}

static void
cut_from(struct mbox_head *h, uint64_t off, bool length)
{
	struct head_cut *c;

	h->cutting = h->ncuts < CUTS_MAX;
	if (!h->cutting)
		return;
	if (h->ncuts == h->capcuts) {
		h->capcuts = h->capcuts == 0 ? 8 : h->capcuts * 2;
		h->cuts = xreallocarray(h->cuts, h->capcuts, sizeof *h->cuts);
	}
	c = &h->cuts[h->ncuts++];
	c->start = c->end = off;
	c->length = length;
}

/* Keeps as much of a value as fits. */
static void
keep_value(struct buf *b, const char *p, size_t n)
{
	while (n > 0 && (p[n - 1] == '\n' || p[n - 1] == '\r'))
		n--;
	if (n > b->max - b->len)
		n = b->max - b->len;
	buf_add(b, p, n);
}

static void
new_field(struct mbox_head *h, uint64_t off, const char *p, size_t n)
{
	size_t len, value = 0;
	int f;

	h->field = -1;
	h->keep = h->cutting = false;
	if ((len = name_length(p, n, &value)) == 0) {
		h->top = false;
		return;
	}
	f = field_of(p, len);
	/* Mozilla's own fields come first of all, these two among them. */
	if (len >= 10 && strncasecmp(p, "X-Mozilla-", 10) == 0) {
		if (h->top)
			h->mozilla = true;
	} else if (!((len == 13 && strncasecmp(p, "X-Account-Key", 13) == 0) ||
	    (len == 6 && strncasecmp(p, "X-UIDL", 6) == 0)))
		h->top = false;
	if (f == -1)
		return;
	if (!h->top && (f == HEAD_MOZ_STATUS || f == HEAD_MOZ_STATUS2 ||
	    f == HEAD_MOZ_KEYS))
		return;
	h->field = f;
	h->keep = !h->seen[f] || fields[f].all;
	if (fields[f].cut || (f == HEAD_LENGTH && !h->seen[f]))
		cut_from(h, off, f == HEAD_LENGTH);
	if (f == HEAD_XUID && !h->seen[f])
		h->base_first = h->seen[HEAD_XIMAP] ||
		    h->seen[HEAD_XIMAPBASE];
	if (h->seen[f] && h->keep)
		keep_value(&h->value[f], " ", 1);
	h->seen[f] = true;
	if (h->keep)
		keep_value(&h->value[f], p + value, n - value);
}

void
mbox_head_feed(struct mbox_head *h, uint64_t off, const char *p, size_t n,
    bool bol)
{
	if (n == 0)
		return;
	if (bol && p[0] != ' ' && p[0] != '\t')
		new_field(h, off, p, n);
	else if (h->keep)
		keep_value(&h->value[h->field], p, n);
	if (h->cutting)
		h->cuts[h->ncuts - 1].end = off + n;
}

/* A decimal number at *p up to max; -1: none there, or too large. */
static int
decimal(const char **p, uint64_t max, uint64_t *v)
{
	const char *s = *p;

	while (*s == ' ' || *s == '\t')
		s++;
	if (*s < '0' || *s > '9')
		return -1;
	for (*v = 0; *s >= '0' && *s <= '9'; s++) {
		uint64_t d = (uint64_t)(*s - '0');

		if (*v > (max - d) / 10)
			return -1;
		*v = *v * 10 + d;
	}
	*p = s;
	return 0;
}

static bool
only_blanks(const char *s)
{
	return s[strspn(s, " \t")] == '\0';
}

int
mbox_head_length(const struct mbox_head *h, uint64_t *n)
{
	const char *s = h->value[HEAD_LENGTH].ptr;

	return h->seen[HEAD_LENGTH] && decimal(&s, INT64_MAX, n) == 0 &&
	    only_blanks(s);
}

int
mbox_head_base(const struct mbox_head *h, enum head_field field,
    struct mbox_base *b)
{
	const struct buf *v = &h->value[field];
	const char *s = v->ptr;
	uint64_t validity, last;

	if (!h->seen[field] || strlen(s) != v->len ||
	    decimal(&s, UINT32_MAX, &validity) == -1 || validity == 0 ||
	    (*s != ' ' && *s != '\t') ||
	    decimal(&s, UINT32_MAX, &last) == -1 ||
	    (*s != '\0' && *s != ' ' && *s != '\t'))
		return 0;
	b->uidvalidity = (uint32_t)validity;
	b->last_uid = (uint32_t)last;
	b->keywords = s;
	return 1;
}

bool
mbox_head_pseudo(const struct mbox_head *h, struct mbox_base *b)
{
	return mbox_head_base(h, HEAD_XIMAP, b) && !h->seen[HEAD_RECEIVED];
}

static int
hex(const struct buf *v, unsigned *x)
{
	char *end;
	size_t skip = strspn(v->ptr, " \t");

	if (strspn(v->ptr + skip, "0123456789abcdefABCDEF") == 0)
		return -1;
	*x = (unsigned)strtoul(v->ptr + skip, &end, 16);
	return only_blanks(end) ? 0 : -1;
}

int
mbox_head_mozilla(const struct mbox_head *h, unsigned *status,
    unsigned *status2)
{
	*status2 = 0;
	if (!h->seen[HEAD_MOZ_STATUS] ||
	    hex(&h->value[HEAD_MOZ_STATUS], status) == -1)
		return 0;
	if (h->seen[HEAD_MOZ_STATUS2] &&
	    hex(&h->value[HEAD_MOZ_STATUS2], status2) == -1)
		*status2 = 0;
	return 1;
}
