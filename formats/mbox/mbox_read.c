/*
 * Reading one open mailbox file: messages, their facts and contents, and the
 * count.  What is done and why stands at the top of mbox_source.c.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/xmalloc.h"
#include "mbox/mbox_facts.h"
#include "mbox/mbox_impl.h"
#include "mbox/mbox_quote.h"

#define DOUBTS_MAX	200	/* named one by one in a mailbox */

/* Messages whose places are remembered between next() and content(); beyond
 * that a message is looked for again in the file. */
#define PLACES		512
#define PLACE_CUTS	6

/* Where a message lies; offsets in the file. */
struct place {
	uint64_t	from, start, body, end;
	uint64_t	quoted;
	size_t		ncuts;		/* more than PLACE_CUTS: too many */
	struct content_cut cuts[PLACE_CUTS];	/* offsets in the message */
};

static const char *
doubt_text(enum mbox_doubt why)
{
	switch (why) {
	case DOUBT_GLUED:
		return "doubtful separator, taken as one: no empty line is "
		    "before it";
	case DOUBT_NO_HEADER:
		return "doubtful separator, taken as one: no header field "
		    "follows";
	case DOUBT_FIRST:
		return "doubtful separator, taken as one: it has no date that "
		    "is understood";
	case DOUBT_IN_LENGTH:
		return "doubtful separator, left in the message: it lies in "
		    "what the Content-Length covers";
	case DOUBT_DATE_ONLY:
		return "doubtful separator, left in the message: it has a "
		    "date, but too little around it fits";
	case DOUBT_NO_DATE:
		return "doubtful separator, left in the message: all around "
		    "it fits, but it has no date that is understood";
	}
	return "";
}

/* A line of the report with an offset; too many are only counted. */
static void
warn_at(struct mbox_src *s, uint64_t off, const char *text)
{
	char where[40];

	if (s->doubts++ >= DOUBTS_MAX)
		return;
	snprintf(where, sizeof where, "offset %" PRIu64, off);
	source_warn(&s->s, where, "%s", text);
}

static void
on_doubt(void *ctx, uint64_t off, enum mbox_doubt why)
{
	warn_at(ctx, off, doubt_text(why));
}

static struct mbox_scan *
new_scan(struct mbox_src *s, bool doubts)
{
	struct mbox_scan_conf conf = {
		.read = mbox_file_read, .read_ctx = &s->file,
		.doubt = doubts ? on_doubt : NULL, .doubt_ctx = s,
		.size = s->file.size, .quote = s->quote,
	};

	return mbox_scan_new(&conf);
}

/* What is no mail, and why. */
enum hidden { HIDDEN_NOT, HIDDEN_INTERNAL, HIDDEN_REMOVED, HIDDEN_NOTHING };

static enum hidden
hidden(const struct mbox_scan *scan, const struct mbox_msg *m)
{
	struct mbox_base base;

	if (m->first && mbox_head_pseudo(m->head, &base))
		return HIDDEN_INTERNAL;
	if (mbox_scan_mozilla(scan) && mbox_facts_expunged(m->head))
		return HIDDEN_REMOVED;
	if (m->next == m->start)
		return HIDDEN_NOTHING;
	return HIDDEN_NOT;
}

/* UIDVALIDITY, last UID and keywords from the first header. */
static void
learn_base(struct mbox_src *s, struct folder_info *f)
{
	const struct mbox_head *h = s->first.head;
	struct mbox_base base;

	if (!mbox_head_pseudo(h, &base) &&
	    !mbox_head_base(h, HEAD_XIMAPBASE, &base)) {
		if (mbox_head_base(h, HEAD_XIMAP, &base))
			source_warn(&s->s, NULL, "the first message has an "
			    "X-IMAP field but came by mail: the field is not "
			    "believed");
		return;
	}
	s->has_uids = true;
	s->last_uid = base.last_uid;
	s->listed = mbox_words_new(base.keywords);
	f->uidvalidity = base.uidvalidity;
	f->uidnext = base.last_uid == UINT32_MAX ? 0 : base.last_uid + 1;
}

static int
open_mbx(struct mbox_src *s, struct folder_info *f, struct err *e)
{
	if (mbx_start(&s->mbx, mbox_file_read, &s->file, s->file.size, e) == -1)
		return -1;
	s->has_uids = s->mbx.uidvalidity != 0;
	s->last_uid = s->mbx.last_uid;
	f->uidvalidity = s->mbx.uidvalidity;
	f->uidnext = s->last_uid == UINT32_MAX ? 0 : s->last_uid + 1;
	return 0;
}

static int
open_mbox(struct mbox_src *s, struct folder_info *f, struct err *e)
{
	int rc;

	s->scan = new_scan(s, true);
	if ((rc = mbox_scan_next(s->scan, &s->first, e)) == -1)
		return -1;
	s->have_first = rc == 1;
	if (s->have_first)
		learn_base(s, f);
	if (mbox_scan_leading(s->scan) > 0 && s->have_first)
		source_warn(&s->s, NULL, "%" PRIu64 " bytes before the first "
		    "message (blank lines, byte order mark, NULs) left out",
		    mbox_scan_leading(s->scan));
	return 0;
}

int
mbox_begin(struct mbox_src *s, struct folder_info *f, uint32_t from_uid,
    struct err *e)
{
	int rc;

	s->nplaces = 0;
	s->have_first = s->ended = s->broken = false;
	s->left_out = 0;
	s->from_uid = from_uid;
	s->has_uids = s->renumber = false;
	s->last_uid = s->prev_uid = 0;
	s->doubts = s->expunged = s->numbered = 0;
	s->unquoted = s->unlisted = 0;
	if (s->places == NULL)
		s->places = xcalloc(PLACES, sizeof *s->places);
	f->messages = UNKNOWN64;
	f->uidvalidity = f->uidnext = 0;
	if (s->file.kind == KIND_OTHER)
		rc = err_set(e, ERR_MAILBOX, "not an mbox: the first line "
		    "that is not empty is no separator (\"From \", sender, "
		    "date)");
	else if (s->file.kind == KIND_MBX)
		rc = open_mbx(s, f, e);
	else
		rc = open_mbox(s, f, e);
	if (rc == -1)
		mbox_end(s);
	return rc;
}

void
mbox_end(struct mbox_src *s)
{
	mbox_scan_free(&s->scan);
	mbox_scan_free(&s->again);
	mbox_words_free(&s->listed);
	free(s->places);
	s->places = NULL;
	free(s->cuts);
	s->cuts = NULL;
	s->capcuts = 0;
}

/* Messages. */

/* The UID of a message: its own (0: it has none), if it can be believed. */
static uint32_t
give_uid(struct mbox_src *s, uint32_t own)
{
	if (!s->has_uids)
		return 0;
	if (!s->renumber && own > s->prev_uid && own <= s->last_uid) {
		s->prev_uid = own;
		return own;
	}
	s->renumber = true;
	if (s->last_uid == UINT32_MAX)
		return 0;
	s->last_uid++;
	s->numbered++;
	s->s.folder->uidnext = s->last_uid == UINT32_MAX ? 0 :
	    s->last_uid + 1;
	return s->last_uid;
}

static uint32_t
own_uid(const struct mbox_msg *m)
{
	const char *p = m->head->value[HEAD_XUID].ptr;
	unsigned long v;
	char *end;

	/* In the first message it means something only behind the base. */
	if (!m->head->seen[HEAD_XUID] ||
	    (m->first && !m->head->base_first))
		return 0;
	p += strspn(p, " \t");
	if (*p < '0' || *p > '9')
		return 0;
	errno = 0;
	v = strtoul(p, &end, 10);
	if (errno != 0 || v > UINT32_MAX || end[strspn(end, " \t")] != '\0')
		return 0;
	return (uint32_t)v;
}

/* s->cuts: what is left out of the message, offsets in it. */
static void
find_cuts(struct mbox_src *s, const struct mbox_msg *m)
{
	s->ncuts = 0;
	if (s->keep)
		return;
	for (size_t i = 0; i < m->head->ncuts; i++) {
		const struct head_cut *h = &m->head->cuts[i];
		struct content_cut *last;

		if (h->length && !m->length_used)
			continue;
		last = s->ncuts > 0 ? &s->cuts[s->ncuts - 1] : NULL;
		if (last != NULL && last->end == h->start - m->start) {
			last->end = h->end - m->start;
			continue;
		}
		if (s->ncuts == s->capcuts) {
			s->capcuts = s->capcuts == 0 ? 16 : s->capcuts * 2;
			s->cuts = xreallocarray(s->cuts, s->capcuts,
			    sizeof *s->cuts);
		}
		s->cuts[s->ncuts++] = (struct content_cut){
			h->start - m->start, h->end - m->start
		};
	}
}

static uint64_t
cut_bytes(const struct content_cut *cuts, size_t n)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < n; i++)
		sum += cuts[i].end - cuts[i].start;
	return sum;
}

static void
make_place(struct mbox_src *s, const struct mbox_msg *m, struct place *p)
{
	p->from = m->from;
	p->start = m->start;
	p->body = m->body;
	p->end = m->end;
	p->quoted = m->quoted;
	p->ncuts = s->ncuts;
	for (size_t i = 0; i < s->ncuts && i < PLACE_CUTS; i++)
		p->cuts[i] = s->cuts[i];
}

/* The places are in a ring, those that were remembered last. */
static const struct place *
find_place(const struct mbox_src *s, uint64_t from)
{
	size_t lo = s->nplaces > PLACES ? s->nplaces - PLACES : 0;
	size_t hi = s->nplaces;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		const struct place *p = &s->places[mid % PLACES];

		if (p->from == from)
			return p->ncuts > PLACE_CUTS ? NULL : p;
		if (p->from < from)
			lo = mid + 1;
		else
			hi = mid;
	}
	return NULL;
}

/* Does a message that ends at the size we know go on behind it? */
static int
half_written(struct mbox_src *s, const struct mbox_msg *m, struct err *e)
{
	char p[8];
	ssize_t n;
	size_t i = 0;

	if (m->next < s->file.size)
		return 0;
	switch (mbox_file_change(&s->file)) {
	case CHANGE_NONE:
		return 0;
	case CHANGE_REWRITTEN:
		return mbox_file_rewritten(e);
	case CHANGE_GROWN:
		break;
	}
	n = mbox_file_read(&s->file, p, sizeof p, s->file.size, e);
	if (n <= 0)
		return n == 0 ? mbox_file_rewritten(e) : -1;
	/* The empty line may be there already, or not. */
	if (p[0] == '\n')
		i = 1;
	else if (n >= 2 && p[0] == '\r' && p[1] == '\n')
		i = 2;
	n -= (ssize_t)i;
	return n > 0 && memcmp(p + i, "From ", n < 5 ? (size_t)n : 5) != 0;
}

/* The end of the mailbox: 0, and what was noticed on the way. */
static int
at_end(struct mbox_src *s, struct err *e)
{
	if (s->ended)
		return 0;
	if (mbox_file_change(&s->file) == CHANGE_REWRITTEN) {
		s->broken = true;
		return mbox_file_rewritten(e);
	}
	s->ended = true;
	if (s->doubts > DOUBTS_MAX)
		source_warn(&s->s, NULL, "%" PRIu64 " more doubtful "
		    "separators", s->doubts - DOUBTS_MAX);
	if (s->expunged > 0)
		source_warn(&s->s, NULL, "%" PRIu64 " messages that were "
		    "removed but not yet cleared away left out", s->expunged);
	if (s->numbered > 0)
		source_warn(&s->s, NULL, "%" PRIu64 " messages had no UID "
		    "that fits and were given new ones, up to %" PRIu32,
		    s->numbered, s->last_uid);
	if (s->unquoted > 0)
		source_warn(&s->s, NULL, "quoting of lines \"From ...\" "
		    "undone in %" PRIu64 " messages", s->unquoted);
	if (s->unlisted > 0)
		source_warn(&s->s, NULL, "%" PRIu64 " messages have keywords "
		    "that the mailbox does not know, or too many: not taken",
		    s->unlisted);
	return 0;
}

static int
next_mbx(struct mbox_src *s, struct arena *a, struct msg_meta *m,
    struct err *e)
{
	struct mbx_msg x;
	const char **kw;
	int rc;

	for (;;) {
		rc = mbx_next(&s->mbx, &x, e);
		if (rc == -1 && mbox_file_change(&s->file) != CHANGE_NONE)
			mbox_file_rewritten(e);
		if (rc != 1)
			return rc == 0 ? at_end(s, e) : -1;
		if (x.flags & MBX_EXPUNGED) {
			s->left_out++;
			s->expunged++;
			continue;
		}
		m->uid = give_uid(s, x.uid);
		if (s->from_uid == 0 || m->uid == 0 || m->uid >= s->from_uid)
			break;
	}
	m->flags = (x.flags & MBX_SEEN ? MSG_SEEN : 0U) |
	    (x.flags & MBX_DELETED ? MSG_DELETED : 0U) |
	    (x.flags & MBX_FLAGGED ? MSG_FLAGGED : 0U) |
	    (x.flags & MBX_ANSWERED ? MSG_ANSWERED : 0U) |
	    (x.flags & MBX_DRAFT ? MSG_DRAFT : 0U);
	kw = arena_alloc(a, MBX_KEYWORDS * sizeof *kw);
	for (unsigned i = 0; i < MBX_KEYWORDS; i++)
		if ((x.keywords >> i & 1) && s->mbx.keywords[i] != NULL)
			kw[m->nkeywords++] = arena_strdup(a,
			    s->mbx.keywords[i]);
	m->keywords = kw;
	m->raw_flags = arena_printf(a, "%08" PRIx32 "%04x", x.keywords,
	    x.flags);
	m->date = x.date.epoch;
	m->zone = x.date.zone;
	m->date_origin = DATE_STORE;
	m->size = x.end - x.start;
	m->cookie = x.from;
	m->where = arena_printf(a, "offset %" PRIu64, x.from);
	m->oddities = (s->file.compressed ? ODD_COMPRESSED : 0U) |
	    (m->size == 0 ? ODD_EMPTY : 0U);
	return 1;
}

/* The next message that is mail: 1, 0, -1. */
static int
next_shown(struct mbox_src *s, struct mbox_msg *x, struct err *e)
{
	int rc;

	for (;;) {
		if (s->have_first) {
			*x = s->first;
			s->have_first = false;
		} else if ((rc = mbox_scan_next(s->scan, x, e)) != 1)
			return rc;
		switch (hidden(s->scan, x)) {
		case HIDDEN_REMOVED:
			s->expunged++;
			s->left_out++;
			continue;
		case HIDDEN_INTERNAL:
			s->left_out++;
			continue;
		case HIDDEN_NOTHING:
			s->left_out++;
			warn_at(s, x->from, "a separator with nothing behind "
			    "it: not a message");
			continue;
		case HIDDEN_NOT:
			break;
		}
		if ((rc = half_written(s, x, e)) == 0)
			return 1;
		if (rc == -1)
			return -1;
		s->left_out++;
		source_warn(&s->s, NULL, "the last message is still being "
		    "written: left for the next pass");
	}
}

int
mbox_next(struct source *sp, struct arena *a, struct msg_meta *m, struct err *e)
{
	struct mbox_src *s = (struct mbox_src *)sp;
	struct mbox_msg x;
	int rc;

	if (s->ended)
		return 0;
	if (s->broken)
		return mbox_file_rewritten(e);
	if (s->file.kind == KIND_MBX)
		return next_mbx(s, a, m, e);
	do {
		if ((rc = next_shown(s, &x, e)) != 1)
			return rc == 0 ? at_end(s, e) : -1;
		m->uid = give_uid(s, own_uid(&x));
	} while (s->from_uid != 0 && m->uid != 0 && m->uid < s->from_uid);

	find_cuts(s, &x);
	make_place(s, &x, &s->places[s->nplaces++ % PLACES]);
	s->unlisted += mbox_facts_flags(x.head, mbox_scan_mozilla(s->scan),
	    s->listed, a, m) > 0;
	s->unquoted += x.quoted > 0;
	mbox_facts_date(&x.sep, &s->zone, x.head, m);
	m->size = x.end - x.start - cut_bytes(s->cuts, s->ncuts) - x.quoted;
	m->cookie = x.from;
	m->where = arena_printf(a, "offset %" PRIu64, x.from);
	if (s->ncuts > 0)
		m->oddities |= ODD_STRIPPED;
	if (x.doubtful)
		m->oddities |= ODD_DOUBTFUL;
	if (s->file.compressed)
		m->oddities |= ODD_COMPRESSED;
	if (m->date == NO_DATE)
		m->oddities |= ODD_NO_DATE;
	if (m->size == 0)
		m->oddities |= ODD_EMPTY;
	return 1;
}

/* Looks for the message at an offset anew; s->cuts are its cuts then. */
static int
place_again(struct mbox_src *s, uint64_t from, struct place *p, struct err *e)
{
	struct mbox_msg x;
	int rc;

	if (s->again == NULL)
		s->again = new_scan(s, false);
	mbox_scan_share(s->again, s->scan);
	if (mbox_scan_seek(s->again, from, e) == -1)
		return -1;
	if ((rc = mbox_scan_next(s->again, &x, e)) != 1)
		return rc == 0 ? mbox_file_rewritten(e) : -1;
	find_cuts(s, &x);
	make_place(s, &x, p);
	return 0;
}

int
mbox_content(struct source *sp, const struct msg_meta *m,
    struct content **c, struct err *e)
{
	struct mbox_src *s = (struct mbox_src *)sp;
	const struct place *p;
	const struct content_cut *cuts;
	struct place found;
	uint64_t header, size;

	if (mbox_file_change(&s->file) == CHANGE_REWRITTEN)
		return mbox_file_rewritten(e);
	if (s->file.kind == KIND_MBX) {
		struct mbx_msg x;

		if (mbx_at(&s->mbx, m->cookie, &x, e) == -1)
			return -1;
		*c = content_range(s->file.fd, false, x.start,
		    x.end - x.start);
		return 1;
	}
	if ((p = find_place(s, m->cookie)) != NULL)
		cuts = p->cuts;
	else {
		if (place_again(s, m->cookie, &found, e) == -1)
			return -1;
		p = &found;
		cuts = s->cuts;
	}
	size = p->end - p->start - cut_bytes(cuts, p->ncuts);
	header = p->body - p->start - cut_bytes(cuts, p->ncuts);
	*c = content_range(s->file.fd, false, p->start, p->end - p->start);
	if (p->ncuts > 0)
		*c = content_without(*c, cuts, p->ncuts);
	if (s->quote != QUOTE_NONE && p->quoted > 0)
		*c = mbox_unquote(*c, s->quote, header, size - p->quoted);
	return 1;
}

/* A pass of its own over all separators. */
static int
count_mbox(struct mbox_src *s, uint64_t *n, struct err *e)
{
	struct mbox_scan *scan = new_scan(s, false);
	uint64_t out = 0;
	struct mbox_msg x;
	int rc;

	while ((rc = mbox_scan_next(scan, &x, e)) == 1) {
		int half = 0;

		if (hidden(scan, &x) != HIDDEN_NOT ||
		    (half = half_written(s, &x, e)) == 1)
			out++;
		if (half == -1) {
			rc = -1;
			break;
		}
	}
	*n = mbox_scan_separators(scan) - out;
	mbox_scan_free(&scan);
	return rc;
}

static int
count_mbx(struct mbox_src *s, uint64_t *n, struct err *e)
{
	struct mbx_msg x;
	struct mbx m;
	int rc;

	*n = 0;
	if (mbx_start(&m, mbox_file_read, &s->file, s->file.size, e) == -1)
		return -1;
	while ((rc = mbx_next(&m, &x, e)) == 1)
		*n += !(x.flags & MBX_EXPUNGED);
	return rc;
}

int
mbox_count(struct source *sp, uint64_t *n, struct err *e)
{
	struct mbox_src *s = (struct mbox_src *)sp;

	if (s->known_count != UNKNOWN64) {
		*n = s->known_count;
		return 0;
	}
	if (s->file.kind == KIND_MBX)
		return count_mbx(s, n, e);
	if (!s->ended)
		return count_mbox(s, n, e);
	/* Separators are counted where they are found, not where messages are
	 * handed out. */
	*n = mbox_scan_separators(s->scan) - s->left_out;
	return 0;
}
