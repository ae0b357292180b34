/* Flags, keywords and dates of messages in an mbox. */
#include "mbox/mbox_facts.h"

#include <search.h>
#include <stdlib.h>
#include <string.h>

#include "base/date.h"
#include "base/xmalloc.h"

/* X-Mozilla-Status */
enum {
	MOZ_READ	= 0x0001,
	MOZ_REPLIED	= 0x0002,
	MOZ_MARKED	= 0x0004,
	MOZ_EXPUNGED	= 0x0008,
	MOZ_FORWARDED	= 0x1000
};

/* X-Mozilla-Status2 */
enum {
	MOZ2_IMAP_DELETED = 0x00200000,
	MOZ2_MDN_SENT	= 0x00800000,
	MOZ2_LABELS	= 0x0e000000	/* a number from 1 to 5 */
};

#define KEYWORDS_MAX	500	/* of one message */

/* The next word of *p up to its end; its length, 0 at the end. */
static size_t
word(const char **p)
{
	*p += strspn(*p, " \t\r\n");
	return strcspn(*p, " \t\r\n");
}

/* Sets of words are trees: lists can be long, and a message's are as long as
 * its sender likes. */

static int
by_name(const void *a, const void *b)
{
	return strcmp(a, b);
}

static void
no_free(void *p)
{
	(void)p;
}

/* False: it was in already. */
static bool
add_to_set(void **set, const char *name)
{
	const char *const *found = tsearch(name, set, by_name);

	if (found == NULL)
		abort();		/* out of memory */
	return *found == name;
}

struct mbox_words {
	char	*text;
	void	*set;			/* of words in text */
};

struct mbox_words *
mbox_words_new(const char *text)
{
	struct mbox_words *w = xcalloc(1, sizeof *w);
	const char *p = w->text = xstrdup(text);
	size_t n;

	while ((n = word(&p)) > 0) {
		char *name = w->text + (p - w->text);

		p += n + (name[n] != '\0');
		name[n] = '\0';
		add_to_set(&w->set, name);
	}
	return w;
}

void
mbox_words_free(struct mbox_words **wp)
{
	struct mbox_words *w = *wp;

	if (w == NULL)
		return;
	tdestroy(w->set, no_free);
	free(w->text);
	free(w);
	*wp = NULL;
}

struct keywords {
	struct arena	*a;
	const char	**names;
	void		*set;		/* of names */
	size_t		 n, cap, ignored;
};

static void
add_keyword(struct keywords *k, const char *w, size_t len)
{
	const char *name;

	if (k->n == KEYWORDS_MAX) {
		k->ignored++;
		return;
	}
	name = arena_memdup0(k->a, w, len);
	if (!add_to_set(&k->set, name))
		return;
	if (k->n == k->cap) {
		const char **more;

		k->cap = k->cap == 0 ? 8 : k->cap * 2;
		more = arena_alloc(k->a, k->cap * sizeof *more);
		if (k->n > 0)
			memcpy(more, k->names, k->n * sizeof *more);
		k->names = more;
	}
	k->names[k->n++] = name;
}

static void
add_words(struct keywords *k, const char *p)
{
	size_t n;

	while ((n = word(&p)) > 0) {
		add_keyword(k, p, n);
		p += n;
	}
}

/* X-Keywords: all of them, or none when one is in no list. */
static void
add_listed(struct keywords *k, const struct mbox_words *listed, const char *p)
{
	size_t n, bad = 0;

	add_words(k, p);
	for (n = 0; listed != NULL && n < k->n; n++)
		bad += tfind(k->names[n], &listed->set, by_name) == NULL;
	if (bad == 0)
		return;
	k->ignored += bad;
	k->n = 0;
	tdestroy(k->set, no_free);
	k->set = NULL;
}

static void
mozilla_flags(unsigned status, unsigned status2, struct keywords *k,
    unsigned *flags)
{
	unsigned label = (status2 & MOZ2_LABELS) >> 25;

	*flags &= ~(unsigned)(MSG_SEEN | MSG_ANSWERED | MSG_FLAGGED);
	if (status & MOZ_READ)
		*flags |= MSG_SEEN;
	if (status & MOZ_REPLIED)
		*flags |= MSG_ANSWERED;
	if (status & MOZ_MARKED)
		*flags |= MSG_FLAGGED;
	if (status & MOZ_FORWARDED)
		add_keyword(k, "$Forwarded", 10);
	if (status2 & MOZ2_IMAP_DELETED)
		*flags |= MSG_DELETED;
	if (status2 & MOZ2_MDN_SENT)
		add_keyword(k, "$MDNSent", 8);
	if (label >= 1 && label <= 5) {
		char name[] = "$label0";

		name[6] = (char)('0' + label);
		add_keyword(k, name, 7);
	}
}

size_t
mbox_facts_flags(const struct mbox_head *h, bool mozilla,
    const struct mbox_words *listed, struct arena *a, struct msg_meta *m)
{
	struct keywords k = { .a = a };
	const char *status = h->value[HEAD_STATUS].ptr;
	const char *xstatus = h->value[HEAD_XSTATUS].ptr;
	unsigned moz = 0, moz2 = 0;

	m->flags = 0;
	if (strchr(status, 'R') != NULL)
		m->flags |= MSG_SEEN;
	for (const char *p = xstatus; *p != '\0'; p++) {
		if (*p == 'A')
			m->flags |= MSG_ANSWERED;
		else if (*p == 'F')
			m->flags |= MSG_FLAGGED;
		else if (*p == 'T')
			m->flags |= MSG_DRAFT;
		else if (*p == 'D')
			m->flags |= MSG_DELETED;
	}
	add_listed(&k, listed, h->value[HEAD_XKEYWORDS].ptr);
	if (mozilla && mbox_head_mozilla(h, &moz, &moz2)) {
		/* What Mozilla shows is what it wrote last. */
		mozilla_flags(moz, moz2, &k, &m->flags);
		m->raw_flags = arena_printf(a, "%04x %08x", moz, moz2);
	} else if (h->seen[HEAD_STATUS] || h->seen[HEAD_XSTATUS])
		m->raw_flags = arena_printf(a, "%.*s %.*s",
		    (int)strcspn(status + strspn(status, " "), " "),
		    status + strspn(status, " "),
		    (int)strcspn(xstatus + strspn(xstatus, " "), " "),
		    xstatus + strspn(xstatus, " "));
	if (mozilla)
		add_words(&k, h->value[HEAD_MOZ_KEYS].ptr);
	tdestroy(k.set, no_free);
	m->keywords = k.names;
	m->nkeywords = k.n;
	return k.ignored;
}

bool
mbox_facts_expunged(const struct mbox_head *h)
{
	unsigned status, status2;

	return mbox_head_mozilla(h, &status, &status2) &&
	    (status & MOZ_EXPUNGED) != 0;
}

static int
received_date(const struct buf *v, struct date *d)
{
	const char *semi = memrchr(v->ptr, ';', v->len);

	if (semi == NULL)
		return -1;
	return date_parse_822(semi + 1,
	    v->len - (size_t)(semi + 1 - v->ptr), d);
}

void
mbox_facts_date(const struct from_line *f, const struct from_zone *z,
    const struct mbox_head *h, struct msg_meta *m)
{
	const struct buf *date = &h->value[HEAD_DATE];
	struct date d;
	int64_t epoch;
	int zone;
	bool placeholder = false;

	m->date = NO_DATE;
	m->date_origin = DATE_NONE;
	if (from_epoch(f, z, &epoch, &zone) == 0) {
		placeholder = f->year == 1970 && f->month == 1 && f->day == 1;
		m->date = epoch;
		m->zone = zone;
		m->date_origin = DATE_SEPARATOR;
		if (!placeholder)
			return;
	}
	if (h->seen[HEAD_RECEIVED] &&
	    received_date(&h->value[HEAD_RECEIVED], &d) == 0)
		m->date_origin = DATE_RECEIVED;
	else if (h->seen[HEAD_DATE] &&
	    date_parse_822(date->ptr, date->len, &d) == 0)
		m->date_origin = DATE_HEADER;
	else
		return;
	m->date = d.epoch;
	m->zone = d.zone;
}
