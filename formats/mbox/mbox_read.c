/*
 * Reading one open mailbox file: messages, their facts and places, and the
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

#define DOUBTS_MAX	200	/* named one by one in a mailbox */

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
warn_at(struct mbox_box *b, uint64_t off, const char *text)
{
	char where[40];

	if (b->doubts++ >= DOUBTS_MAX)
		return;
	snprintf(where, sizeof where, "offset %" PRIu64, off);
	source_warn(&b->src->s, where, "%s", text);
}

static void
on_doubt(void *ctx, uint64_t off, enum mbox_doubt why)
{
	warn_at(ctx, off, doubt_text(why));
}

static struct mbox_scan *
new_scan(struct mbox_box *b, bool doubts)
{
	struct mbox_scan_conf conf = {
		.read = mbox_file_read, .read_ctx = &b->file,
		.doubt = doubts ? on_doubt : NULL, .doubt_ctx = b,
		.size = b->file.size, .quote = b->src->quote,
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
learn_base(struct mbox_box *b, struct folder_info *f)
{
	const struct mbox_head *h = b->first.head;
	struct mbox_base base;

	if (!mbox_head_pseudo(h, &base) &&
	    !mbox_head_base(h, HEAD_XIMAPBASE, &base)) {
		if (mbox_head_base(h, HEAD_XIMAP, &base))
			source_warn(&b->src->s, NULL, "the first message has an "
			    "X-IMAP field but came by mail: the field is not "
			    "believed");
		return;
	}
	b->has_uids = true;
	b->last_uid = base.last_uid;
	b->listed = mbox_words_new(base.keywords);
	f->uidvalidity = base.uidvalidity;
	f->uidnext = base.last_uid == UINT32_MAX ? 0 : base.last_uid + 1;
}

static int
open_mbx(struct mbox_box *b, struct folder_info *f, struct err *e)
{
	if (mbx_start(&b->mbx, mbox_file_read, &b->file, b->file.size, e) == -1)
		return -1;
	b->has_uids = b->mbx.uidvalidity != 0;
	b->last_uid = b->mbx.last_uid;
	f->uidvalidity = b->mbx.uidvalidity;
	f->uidnext = b->last_uid == UINT32_MAX ? 0 : b->last_uid + 1;
	return 0;
}

static int
open_mbox(struct mbox_box *b, struct folder_info *f, struct err *e)
{
	int rc;

	b->scan = new_scan(b, true);
	if ((rc = mbox_scan_next(b->scan, &b->first, e)) == -1)
		return -1;
	b->have_first = rc == 1;
	if (b->have_first)
		learn_base(b, f);
	if (mbox_scan_leading(b->scan) > 0 && b->have_first)
		source_warn(&b->src->s, NULL, "%" PRIu64 " bytes before the first "
		    "message (blank lines, byte order mark, NULs) left out",
		    mbox_scan_leading(b->scan));
	return 0;
}

int
mbox_begin(struct mbox_box *b, struct folder_info *f, uint32_t from_uid,
    struct err *e)
{
	int rc;

	b->nplaces = 0;
	b->have_first = b->ended = b->broken = b->walking = false;
	b->left_out = 0;
	b->from_uid = from_uid;
	b->has_uids = b->renumber = false;
	b->last_uid = b->prev_uid = 0;
	b->doubts = b->expunged = b->numbered = 0;
	b->unquoted = b->unlisted = 0;
	if (b->places == NULL)
		b->places = xcalloc(PLACES, sizeof *b->places);
	if (b->file.kind == KIND_OTHER)
		rc = err_set(e, ERR_MAILBOX, "not an mbox: the first line "
		    "that is not empty is no separator (\"From \", sender, "
		    "date)");
	else if (b->file.kind == KIND_MBX)
		rc = open_mbx(b, f, e);
	else
		rc = open_mbox(b, f, e);
	if (rc == -1)
		mbox_end(b);
	return rc;
}

void
mbox_end(struct mbox_box *b)
{
	mbox_ahead_free(b);
	mbox_scan_free(&b->scan);
	mbox_scan_free(&b->again);
	mbox_words_free(&b->listed);
	free(b->places);
	b->places = NULL;
	free(b->cuts);
	b->cuts = NULL;
	b->capcuts = 0;
}

/* Messages. */

/* The UID of a message: its own (0: it has none), if it can be believed. */
static uint32_t
give_uid(struct mbox_box *b, uint32_t own)
{
	if (!b->has_uids)
		return 0;
	if (!b->renumber && own > b->prev_uid && own <= b->last_uid) {
		b->prev_uid = own;
		return own;
	}
	b->renumber = true;
	if (b->last_uid == UINT32_MAX)
		return 0;
	b->last_uid++;
	b->numbered++;
	b->src->s.folder->uidnext = b->last_uid == UINT32_MAX ? 0 :
	    b->last_uid + 1;
	return b->last_uid;
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

/* b->cuts: what is left out of the message, offsets in it. */
static void
find_cuts(struct mbox_box *b, const struct mbox_msg *m)
{
	b->ncuts = 0;
	if (b->src->keep)
		return;
	for (size_t i = 0; i < m->head->ncuts; i++) {
		const struct head_cut *h = &m->head->cuts[i];
		struct content_cut *last;

		if (h->length && !m->length_used)
			continue;
		last = b->ncuts > 0 ? &b->cuts[b->ncuts - 1] : NULL;
		if (last != NULL && last->end == h->start - m->start) {
			last->end = h->end - m->start;
			continue;
		}
		if (b->ncuts == b->capcuts) {
			b->capcuts = b->capcuts == 0 ? 16 : b->capcuts * 2;
			b->cuts = xreallocarray(b->cuts, b->capcuts,
			    sizeof *b->cuts);
		}
		b->cuts[b->ncuts++] = (struct content_cut){
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
make_place(struct mbox_box *b, const struct mbox_msg *m, struct place *p)
{
	p->from = m->from;
	p->start = m->start;
	p->body = m->body;
	p->end = m->end;
	p->quoted = m->quoted;
	p->ncuts = b->ncuts;
	for (size_t i = 0; i < b->ncuts && i < PLACE_CUTS; i++)
		p->cuts[i] = b->cuts[i];
}

/* The places are in a ring, those that were remembered last. */
static const struct place *
find_place(const struct mbox_box *b, uint64_t from)
{
	size_t lo = b->nplaces > PLACES ? b->nplaces - PLACES : 0;
	size_t hi = b->nplaces;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		const struct place *p = &b->places[mid % PLACES];

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
static bool
half_written(struct mbox_box *b, const struct mbox_msg *m)
{
	char p[8];
	ssize_t n;
	size_t i = 0;

	if (m->next < b->file.size)
		return false;
	n = mbox_file_beyond(&b->file, p, sizeof p);
	if (n <= 0)
		return false;
	/* The empty line may be there already, or not. */
	if (p[0] == '\n')
		i = 1;
	else if (n >= 2 && p[0] == '\r' && p[1] == '\n')
		i = 2;
	n -= (ssize_t)i;
	return n > 0 && memcmp(p + i, "From ", n < 5 ? (size_t)n : 5) != 0;
}

int
mbox_walk_pause(struct mbox_box *b, struct err *e)
{
	if (!b->walking)
		return 0;
	b->walking = false;
	/* Reading has lost it, and said so. */
	if (!b->file.copied && !mbox_file_held(&b->file))
		mbox_file_rewritten(e);
	else if (mbox_file_release(&b->file, e) == 0)
		return 0;
	b->broken = true;
	return -1;
}

/* The end of the mailbox: 0, and what was noticed on the way. */
static int
at_end(struct mbox_box *b, struct err *e)
{
	if (mbox_walk_pause(b, e) == -1)
		return -1;
	b->ended = true;
	if (b->doubts > DOUBTS_MAX)
		source_warn(&b->src->s, NULL, "%" PRIu64 " more doubtful "
		    "separators", b->doubts - DOUBTS_MAX);
	if (b->expunged > 0)
		source_warn(&b->src->s, NULL, "%" PRIu64 " messages that were "
		    "removed but not yet cleared away left out", b->expunged);
	if (b->numbered > 0)
		source_warn(&b->src->s, NULL, "%" PRIu64 " messages had no UID "
		    "that fits and were given new ones, up to %" PRIu32,
		    b->numbered, b->last_uid);
	if (b->unquoted > 0)
		source_warn(&b->src->s, NULL, "quoting of lines \"From ...\" "
		    "undone in %" PRIu64 " messages", b->unquoted);
	if (b->unlisted > 0)
		source_warn(&b->src->s, NULL, "%" PRIu64 " messages have keywords "
		    "that the mailbox does not know, or too many: not taken",
		    b->unlisted);
	return 0;
}

static int
next_mbx(struct mbox_box *b, struct arena *a, struct msg_meta *m,
    struct err *e)
{
	struct mbx_msg x;
	const char **kw;
	int rc;

	for (;;) {
		rc = mbx_next(&b->mbx, &x, e);
		if (rc != 1)
			return rc;
		if (x.flags & MBX_EXPUNGED) {
			b->left_out++;
			b->expunged++;
			continue;
		}
		m->uid = give_uid(b, x.uid);
		if (b->from_uid == 0 || m->uid == 0 || m->uid >= b->from_uid)
			break;
	}
	m->flags = (x.flags & MBX_SEEN ? MSG_SEEN : 0U) |
	    (x.flags & MBX_DELETED ? MSG_DELETED : 0U) |
	    (x.flags & MBX_FLAGGED ? MSG_FLAGGED : 0U) |
	    (x.flags & MBX_ANSWERED ? MSG_ANSWERED : 0U) |
	    (x.flags & MBX_DRAFT ? MSG_DRAFT : 0U);
	kw = arena_alloc(a, MBX_KEYWORDS * sizeof *kw);
	for (unsigned i = 0; i < MBX_KEYWORDS; i++)
		if ((x.keywords >> i & 1) && b->mbx.keywords[i] != NULL)
			kw[m->nkeywords++] = arena_strdup(a,
			    b->mbx.keywords[i]);
	m->keywords = kw;
	m->raw_flags = arena_printf(a, "%08" PRIx32 "%04x", x.keywords,
	    x.flags);
	m->date = x.date.epoch;
	m->zone = x.date.zone;
	m->date_origin = DATE_STORE;
	m->size = x.end - x.start;
	m->cookie = x.from;
	m->where = arena_printf(a, "offset %" PRIu64, x.from);
	m->oddities = (b->file.compressed ? ODD_COMPRESSED : 0U) |
	    (m->size == 0 ? ODD_EMPTY : 0U);
	return 1;
}

/* The next message that is mail: 1, 0, -1. */
static int
next_shown(struct mbox_box *b, struct mbox_msg *x, struct err *e)
{
	int rc;

	for (;;) {
		if (b->have_first) {
			*x = b->first;
			b->have_first = false;
		} else if ((rc = mbox_scan_next(b->scan, x, e)) != 1)
			return rc;
		switch (hidden(b->scan, x)) {
		case HIDDEN_REMOVED:
			b->expunged++;
			b->left_out++;
			continue;
		case HIDDEN_INTERNAL:
			b->left_out++;
			continue;
		case HIDDEN_NOTHING:
			b->left_out++;
			warn_at(b, x->from, "a separator with nothing behind "
			    "it: not a message");
			continue;
		case HIDDEN_NOT:
			break;
		}
		if (!half_written(b, x))
			return 1;
		b->left_out++;
		source_warn(&b->src->s, NULL, "the last message is still being "
		    "written: left for the next pass");
	}
}

static int
next_mbox(struct mbox_box *b, struct arena *a, struct msg_meta *m,
    struct err *e)
{
	struct mbox_msg x;
	int rc;

	do {
		if ((rc = next_shown(b, &x, e)) != 1)
			return rc;
		m->uid = give_uid(b, own_uid(&x));
	} while (b->from_uid != 0 && m->uid != 0 && m->uid < b->from_uid);

	find_cuts(b, &x);
	make_place(b, &x, &b->places[b->nplaces++ % PLACES]);
	b->unlisted += mbox_facts_flags(x.head, mbox_scan_mozilla(b->scan),
	    b->listed, a, m) > 0;
	b->unquoted += x.quoted > 0;
	mbox_facts_date(&x.sep, &b->src->zone, x.head, m);
	m->size = x.end - x.start - cut_bytes(b->cuts, b->ncuts) - x.quoted;
	m->cookie = x.from;
	m->where = arena_printf(a, "offset %" PRIu64, x.from);
	if (b->ncuts > 0)
		m->oddities |= ODD_STRIPPED;
	if (x.doubtful)
		m->oddities |= ODD_DOUBTFUL;
	if (b->file.compressed)
		m->oddities |= ODD_COMPRESSED;
	if (m->date == NO_DATE)
		m->oddities |= ODD_NO_DATE;
	if (m->size == 0)
		m->oddities |= ODD_EMPTY;
	return 1;
}

int
mbox_next(struct mbox_box *b, struct arena *a, struct msg_meta *m,
    struct err *e)
{
	struct err changed;
	int rc;

	if (b->ended)
		return 0;
	if (b->broken)
		return mbox_file_rewritten(e);
	if (!b->walking) {
		if (mbox_file_hold(&b->file, e) == -1)
			return -1;
		b->walking = true;
	}
	rc = b->file.kind == KIND_MBX ? next_mbx(b, a, m, e) :
	    next_mbox(b, a, m, e);
	if (rc == 1)
		return 1;
	if (rc == 0)
		return at_end(b, e);
	/* What makes no sense may only have been written meanwhile. */
	if (e->scope <= ERR_MAILBOX && mbox_walk_pause(b, &changed) == -1)
		*e = changed;
	return -1;
}

/* Looks for the message at an offset anew; b->cuts are its cuts then. */
static int
place_again(struct mbox_box *b, uint64_t from, struct place *p, struct err *e)
{
	struct mbox_msg x;
	int rc;

	if (b->again == NULL)
		b->again = new_scan(b, false);
	mbox_scan_share(b->again, b->scan);
	if (mbox_scan_seek(b->again, from, e) == -1)
		return -1;
	if ((rc = mbox_scan_next(b->again, &x, e)) != 1)
		return rc == 0 ? mbox_file_rewritten(e) : -1;
	find_cuts(b, &x);
	make_place(b, &x, p);
	return 0;
}

int
mbox_place(struct mbox_box *b, uint64_t from, struct place *p,
    const struct content_cut **cuts, struct err *e)
{
	const struct place *known;
	struct mbx_msg x;

	if (b->file.kind == KIND_MBX) {
		if (mbx_at(&b->mbx, from, &x, e) == -1)
			return -1;
		memset(p, 0, sizeof *p);
		p->from = from;
		p->start = p->body = x.start;
		p->end = x.end;
		*cuts = NULL;
		return 0;
	}
	if ((known = find_place(b, from)) != NULL) {
		*p = *known;
		*cuts = p->cuts;
		return 0;
	}
	if (place_again(b, from, p, e) == -1)
		return -1;
	*cuts = b->cuts;
	return 0;
}

/* A pass of its own over all separators. */
static int
count_mbox(struct mbox_box *b, uint64_t *n, struct err *e)
{
	struct mbox_scan *scan = new_scan(b, false);
	uint64_t out = 0;
	struct mbox_msg x;
	int rc;

	while ((rc = mbox_scan_next(scan, &x, e)) == 1) {
		if (hidden(scan, &x) != HIDDEN_NOT || half_written(b, &x))
			out++;
	}
	*n = mbox_scan_separators(scan) - out;
	mbox_scan_free(&scan);
	return rc;
}

static int
count_mbx(struct mbox_box *b, uint64_t *n, struct err *e)
{
	struct mbx_msg x;
	struct mbx m;
	int rc;

	*n = 0;
	if (mbx_start(&m, mbox_file_read, &b->file, b->file.size, e) == -1)
		return -1;
	while ((rc = mbx_next(&m, &x, e)) == 1)
		*n += !(x.flags & MBX_EXPUNGED);
	return rc;
}

int
mbox_count(struct mbox_box *b, uint64_t *n, struct err *e)
{
	bool mbx = b->file.kind == KIND_MBX;
	struct err changed;
	int rc;

	if (!mbx && b->ended) {
		/* Separators are counted where they are found, not where
		 * messages are handed out. */
		*n = mbox_scan_separators(b->scan) - b->left_out;
		return 0;
	}
	if (mbox_walk_pause(b, e) == -1 || mbox_file_hold(&b->file, e) == -1)
		return -1;
	rc = mbx ? count_mbx(b, n, e) : count_mbox(b, n, e);
	if (mbox_file_held(&b->file) &&
	    mbox_file_release(&b->file, &changed) == -1) {
		*e = changed;
		rc = -1;
	}
	return rc;
}
