/*
 * Contents of messages in an open mailbox file.
 *
 * Of a file that other programs may write, small messages are read ahead, all
 * that were asked for under one lock, and handed out only when the file proved
 * to be unharmed.  A large one is read by its reader, who learns at its end, in
 * place of the end, if it cannot be believed: under a lock at first, without
 * one when that takes long or when it is read again.
 */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/xmalloc.h"
#include "mbox/mbox_impl.h"
#include "mbox/mbox_quote.h"
#include "message.h"

#define AHEAD_BYTES	((size_t)2 << 20)	/* of one want() */
#define AHEAD_ONE	((uint64_t)64 << 10)	/* of one message */
#define HOLD_BYTES	((uint64_t)64 << 20)	/* read under one lock */

void
mbox_ahead_free(struct mbox_box *b)
{
	for (size_t i = 0; i < b->nahead; i++)
		free(b->ahead[i].p);
	free(b->ahead);
	b->ahead = NULL;
	b->nahead = 0;
}

static uint64_t
cut_bytes(const struct content_cut *cuts, size_t n)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < n; i++)
		sum += cuts[i].end - cuts[i].start;
	return sum;
}

static struct content *
make_content(struct mbox_box *b, const struct place *p,
    const struct content_cut *cuts)
{
	uint64_t cut = cut_bytes(cuts, p->ncuts);
	uint64_t size = p->end - p->start - cut;
	uint64_t header = p->body - p->start - cut;
	struct content *c;

	c = content_range(b->file.fd, false, p->start, p->end - p->start);
	if (p->ncuts > 0)
		c = content_without(c, cuts, p->ncuts);
	if (b->src->quote != QUOTE_NONE && p->quoted > 0)
		c = mbox_unquote(c, b->src->quote, header, size - p->quoted);
	return c;
}

/* A message in memory of its own. */

struct owned {
	struct content	 c;
	struct content	*inner;
	char		*p;
};

static ssize_t
owned_read(struct content *c, void *p, size_t n, struct err *e)
{
	return content_read(((struct owned *)c)->inner, p, n, e);
}

static int
owned_rewind(struct content *c, struct err *e)
{
	return content_rewind(((struct owned *)c)->inner, e);
}

static void
owned_close(struct content *c)
{
	struct owned *o = (struct owned *)c;

	content_close(&o->inner);
	free(o->p);
	free(o);
}

static const struct content_ops owned_ops = {
	.read = owned_read, .rewind = owned_rewind, .close = owned_close,
};

static struct content *
owned_new(char *p, size_t len)
{
	struct owned *o = xcalloc(1, sizeof *o);

	o->c.ops = &owned_ops;
	o->c.size = len;
	o->c.dirfd = o->c.fd = -1;
	o->inner = content_mem(p, len);
	o->p = p;
	return &o->c;
}

/* A message in a file that may change. */

struct watched {
	struct content	 c;
	struct content	*inner;
	struct mbox_file *file;
	uint64_t	 got;
	bool		 held;
};

static ssize_t
watched_read(struct content *c, void *p, size_t n, struct err *e)
{
	struct watched *w = (struct watched *)c;
	ssize_t got = content_read(w->inner, p, n, e);

	if (got > 0) {
		w->got += (uint64_t)got;
		if (w->held && w->got > HOLD_BYTES) {
			w->held = false;
			if (mbox_file_release(w->file, e) == -1)
				return -1;
		}
		return got;
	}
	if (got == -1 && e->cause != CAUSE_CHANGED)
		return -1;
	/* Or shorter than it was. */
	if (got == -1)
		return mbox_file_rewritten(e);
	if (!w->held && mbox_file_hold(w->file, e) == -1)
		return -1;
	w->held = false;
	return mbox_file_release(w->file, e);
}

static int
watched_rewind(struct content *c, struct err *e)
{
	return content_rewind(((struct watched *)c)->inner, e);
}

static void
watched_close(struct content *c)
{
	struct watched *w = (struct watched *)c;

	if (w->held)
		mbox_file_let_go(w->file);
	content_close(&w->inner);
	free(w);
}

static const struct content_ops watched_ops = {
	.read = watched_read, .rewind = watched_rewind,
	.close = watched_close,
};

/* Takes over the hold on the file. */
static struct content *
watched_new(struct content *inner, struct mbox_file *file)
{
	struct watched *w = xcalloc(1, sizeof *w);

	w->c.ops = &watched_ops;
	w->c.size = inner->size;
	w->c.dirfd = w->c.fd = -1;
	w->inner = inner;
	w->file = file;
	w->held = true;
	return &w->c;
}

/* Reading ahead. */

static int
read_ahead(struct mbox_box *b, uint64_t from, size_t *left, struct err *e)
{
	struct ahead *h = &b->ahead[b->nahead];
	const struct content_cut *cuts;
	struct content *c;
	struct place place;
	ssize_t n = 1;

	if (mbox_place(b, from, &place, &cuts, e) == -1)
		return -1;
	if (place.end - place.start > AHEAD_ONE ||
	    place.end - place.start > *left)
		return 0;
	c = make_content(b, &place, cuts);
	h->from = from;
	h->len = 0;
	h->p = xmalloc((size_t)c->size + 1);
	while (h->len < c->size && n > 0) {
		n = content_read(c, h->p + h->len, (size_t)c->size - h->len,
		    e);
		if (n > 0)
			h->len += (size_t)n;
	}
	b->nahead++;
	*left -= h->len;
	content_close(&c);
	return n == -1 ? -1 : 0;
}

int
mbox_want(struct mbox_box *b, const uint64_t *from, size_t n, struct err *e)
{
	size_t left = AHEAD_BYTES;
	struct err changed;
	int rc = 0;

	mbox_ahead_free(b);
	if (b->file.copied)
		return mbox_walk_pause(b, e);
	/* Where next() has left it held, one lock does for both. */
	if (mbox_file_hold(&b->file, e) == -1)
		return -1;
	if (b->walking) {
		b->walking = false;
		mbox_file_let_go(&b->file);
	}
	b->ahead = xcalloc(n + 1, sizeof *b->ahead);
	for (size_t i = 0; i < n && rc == 0; i++)
		rc = read_ahead(b, from[i], &left, e);
	if (mbox_file_held(&b->file) &&
	    mbox_file_release(&b->file, &changed) == -1) {
		*e = changed;
		rc = -1;
	}
	if (rc == -1) {
		mbox_ahead_free(b);
		b->broken = b->broken || e->cause == CAUSE_CHANGED;
	}
	return rc;
}

static int
content_live(struct mbox_box *b, uint64_t from, struct content **c,
    struct err *e)
{
	const struct content_cut *cuts;
	struct place place;
	struct err changed;

	if (mbox_file_hold(&b->file, e) == -1)
		return -1;
	if (mbox_place(b, from, &place, &cuts, e) == 0) {
		*c = watched_new(make_content(b, &place, cuts), &b->file);
		return 1;
	}
	if (mbox_file_held(&b->file) &&
	    mbox_file_release(&b->file, &changed) == -1)
		*e = changed;
	return -1;
}

int
mbox_content(struct mbox_box *b, uint64_t from, struct content **c,
    struct err *e)
{
	const struct content_cut *cuts;
	struct place place;

	if (mbox_walk_pause(b, e) == -1)
		return -1;
	for (size_t i = 0; i < b->nahead; i++) {
		struct ahead *h = &b->ahead[i];

		if (h->from == from && h->p != NULL) {
			*c = owned_new(h->p, h->len);
			h->p = NULL;
			return 1;
		}
	}
	if (!b->file.copied)
		return content_live(b, from, c, e);
	if (mbox_place(b, from, &place, &cuts, e) == -1)
		return -1;
	*c = make_content(b, &place, cuts);
	return 1;
}
