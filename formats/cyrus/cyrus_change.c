/* Flags of messages that are there, and expunging them: their records are sent
 * anew with a higher modseq. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/fault.h"
#include "base/xmalloc.h"
#include "cyrus/cyrus_impl.h"

#define LINE_MAX_BYTES	((size_t)8 << 20)
#define TRIES		20	/* while others change the mailbox */

/* What is to be done, and the line that does it. */
struct change {
	struct cyrus_target *c;
	struct flag_change *flags;	/* NULL: expunge uids */
	const uint32_t	*uids;
	size_t		 n;
	struct buf	 records;
	uint64_t	 modseq;	/* given out so far */
	size_t		 done;		/* records in it */
};

static bool
has_word(const char *const *list, size_t n, const char *w)
{
	for (size_t i = 0; i < n; i++)
		if (strcasecmp(list[i], w) == 0)
			return true;
	return false;
}

/* The flags after the change; false: they are so already. */
static bool
change_record(struct change *g, struct cyrus_record *r,
    const struct flag_change *f)
{
	unsigned flags = (r->flags | f->add) & ~f->del;
	bool changed = flags != r->flags;
	size_t k = 0;

	r->flags = flags;
	for (size_t i = 0; i < r->nkw; i++)
		if (!has_word(f->kw_del, f->nkw_del, r->kw[i]))
			r->kw[k++] = r->kw[i];
	changed = changed || k != r->nkw;
	r->nkw = k;
	for (size_t i = 0; i < f->nkw_add; i++) {
		const char *w = f->kw_add[i];
		bool known = imap_words_has(&g->c->keywords, w);

		if (has_word(r->kw, r->nkw, w) || r->nkw == CYRUS_KEYWORDS ||
		    !imap_keyword_ok(IMAP_CYRUS, w) || (!known &&
		    (g->c->no_new || g->c->keywords.n >= CYRUS_KEYWORDS)))
			continue;
		imap_words_add(&g->c->keywords, w);
		r->kw[r->nkw++] = w;
		changed = true;
	}
	return changed;
}

static void
put(struct change *g, struct cyrus_record *r)
{
	r->modseq = ++g->modseq;
	r->last_updated = (uint64_t)time(NULL);
	cyrus_record_put(&g->records, r, g->done++ == 0);
}

static int
one_record(void *ctx, struct cyrus_record *r, struct err *e)
{
	struct change *g = ctx;

	(void)e;
	if (r->expunged)
		return 0;
	for (size_t i = 0; i < g->n; i++) {
		struct flag_change *f = g->flags != NULL ? &g->flags[i] :
		    NULL;

		if (r->uid != (f != NULL ? f->uid : g->uids[i]))
			continue;
		if (f == NULL) {
			r->expunged = true;
			put(g, r);
			return 0;
		}
		if (f->unchanged_since != 0 && r->modseq >
		    f->unchanged_since) {
			f->result = FLAG_CHANGED;
			return 0;
		}
		f->result = FLAG_DONE;
		if (change_record(g, r, f))
			put(g, r);
		return 0;
	}
	return 0;
}

/* One reading of the mailbox and one answer to it: 1 done, 0 it has changed in
 * between. */
static int
attempt(struct change *g, struct err *e)
{
	struct cyrus_target *c = g->c;
	struct sync_reply r;
	struct cyrus_box box;
	struct buf args;
	int rc;

	buf_reset(&g->records);
	g->done = 0;
	for (size_t i = 0; g->flags != NULL && i < g->n; i++)
		g->flags[i].result = FLAG_GONE;
	cyrus_box_init(&box);
	/* The modseqs to give out begin above the mailbox's, which comes before
	 * its records. */
	rc = cyrus_box_get(c->c.y, c->box.name.ptr, c->c.names.user, false,
	    NULL, NULL, &box, e);
	g->modseq = box.modseq;
	if (rc == 1)
		rc = cyrus_box_get(c->c.y, c->box.name.ptr, c->c.names.user,
		    true, one_record, g, &box, e);
	if (rc == 0)
		rc = err_retry(e, ERR_MAILBOX, "it is gone from the target");
	if (rc == 1 && g->done > 0 && box.modseq != g->modseq - g->done)
		rc = 0;		/* between the two */
	else if (rc == 1 && g->done > 0) {
		uint64_t since = box.modseq;

		box.modseq = g->modseq;
		buf_init(&args, 2 * LINE_MAX_BYTES);
		cyrus_box_put(&args, &box, since);
		buf_add(&args, g->records.ptr, g->records.len);
		buf_adds(&args, "))");
		fault_point("cyrus.before_change");
		rc = cyrus_apply(c, &args, &r, e);
		buf_release(&args);
		if (rc == 0 && strcmp(r.code, "IMAP_SYNC_CHANGED") != 0 &&
		    strcmp(r.code, "IMAP_MAILBOX_LOCKED") != 0)
			rc = sync_no(&r, ERR_MAILBOX, e, "change messages of "
			    "%.100s", c->box.name.ptr);
		if (rc == 1 && cyrus_disks_sync(c->c.disks, e) == -1)
			rc = -1;
	}
	if (rc == 1) {
		c->box.modseq = g->done > 0 ? g->modseq : box.modseq;
		c->box.messages = box.messages;
		c->box.last_uid = box.last_uid;
	}
	cyrus_box_release(&box);
	return rc;
}

static int
change(struct change *g, struct err *e)
{
	struct timespec pause = { 0, 50 * 1000000 };
	int rc = 0;

	buf_init(&g->records, LINE_MAX_BYTES);
	for (unsigned i = 0; i < TRIES && rc == 0; i++) {
		if (i > 0)
			nanosleep(&pause, NULL);
		rc = attempt(g, e);
	}
	buf_release(&g->records);
	if (rc == 0)
		rc = err_retry(e, ERR_MAILBOX, "the target mailbox changes "
		    "all the time");
	return rc == 1 ? 0 : -1;
}

#define PART 1000	/* messages in one line */

int
cyrus_change_flags(struct target *t, struct flag_change *f, size_t n,
    struct err *e)
{
	struct change g = { .c = (struct cyrus_target *)t };

	for (size_t i = 0; i < n; i += g.n) {
		g.flags = f + i;
		g.n = n - i < PART ? n - i : PART;
		if (change(&g, e) == -1)
			return -1;
	}
	return 0;
}

int
cyrus_expunge(struct target *t, const uint32_t *uids, size_t n,
    struct err *e)
{
	struct change g = { .c = (struct cyrus_target *)t };

	for (size_t i = 0; i < n; i += g.n) {
		g.uids = uids + i;
		g.n = n - i < PART ? n - i : PART;
		if (change(&g, e) == -1)
			return -1;
	}
	return 0;
}
