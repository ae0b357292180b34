/*
 * Messages moved: RESERVE has Cyrus stage their files from where they are, so
 * that no byte travels; they get new records in the other mailbox, and then are
 * expunged in this one.
 *
 * What is there already, of the same bytes and date, may have been moved before
 * a crash, and is not moved again.
 */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/fault.h"
#include "base/xmalloc.h"
#include "cyrus/cyrus_impl.h"

#define LINE_MAX_BYTES	((size_t)8 << 20)
#define TRIES		20	/* while others change the mailboxes */
#define PART		1000	/* messages in one line */

struct seen {
	unsigned char	 sha1[SHA1_LEN];
	int64_t		 date;
	bool		 taken;
};

struct moving {
	struct cyrus_target *c;
	const uint32_t	*uids;
	size_t		 n;
	struct cyrus_box to;
	struct seen	*seen;		/* in the other mailbox */
	size_t		 nseen, cap;
	struct buf	 records, guids;
	size_t		 count;
};

static int
note_there(void *ctx, struct cyrus_record *r, struct err *e)
{
	struct moving *g = ctx;

	(void)e;
	if (r->expunged)
		return 0;
	if (g->nseen == g->cap) {
		g->cap = g->cap > 0 ? 2 * g->cap : 256;
		g->seen = xreallocarray(g->seen, g->cap, sizeof *g->seen);
	}
	memcpy(g->seen[g->nseen].sha1, r->sha1, SHA1_LEN);
	g->seen[g->nseen].date = r->date;
	g->seen[g->nseen++].taken = false;
	return 0;
}

static bool
is_there(struct moving *g, const struct cyrus_record *r)
{
	for (size_t i = 0; i < g->nseen; i++)
		if (!g->seen[i].taken && g->seen[i].date == r->date &&
		    memcmp(g->seen[i].sha1, r->sha1, SHA1_LEN) == 0)
			return g->seen[i].taken = true;
	return false;
}

static int
take(void *ctx, struct cyrus_record *r, struct err *e)
{
	struct moving *g = ctx;
	bool wanted = false;

	for (size_t i = 0; i < g->n && !wanted; i++)
		wanted = g->uids[i] == r->uid;
	if (!wanted || r->expunged || is_there(g, r))
		return 0;
	if (g->to.last_uid >= UINT32_MAX - 1)
		return err_set(e, ERR_MAILBOX, "the mailbox has no UIDs left");
	for (size_t i = 0; i < SHA1_LEN; i++)
		buf_addf(&g->guids, "%s%02x", i == 0 && g->count > 0 ? " " :
		    "", r->sha1[i]);
	r->uid = ++g->to.last_uid;
	r->modseq = ++g->to.modseq;
	r->last_updated = (uint64_t)time(NULL);
	cyrus_record_put(&g->records, r, g->count++ == 0);
	return 0;
}

static int
note_missing(struct sync *y, const char *name, void *ctx, struct err *e)
{
	struct dlist_token t;

	(void)e;
	if (strcmp(name, "MISSING") != 0)
		return 0;
	if (dlist_next(&y->d, &t, e) == -1)
		return -1;
	if (t.type == DLIST_OPEN && dlist_next(&y->d, &t, e) == -1)
		return -1;
	if (t.type == DLIST_ATOM || t.type == DLIST_STRING)
		*(bool *)ctx = true;
	return 0;
}

/* The files of the messages are staged: 0 or -1. */
static int
reserve(struct moving *g, struct err *e)
{
	struct cyrus_target *c = g->c;
	bool missing = false;
	struct sync_reply r;
	struct buf args;
	int rc;

	buf_init(&args, LINE_MAX_BYTES);
	buf_addf(&args, "RESERVE %%(PARTITION %s MBOXNAME (", g->to.partition);
	dlist_put(&args, c->box.name.ptr, c->box.name.len);
	buf_addf(&args, ") GUID (%s))", g->guids.ptr);
	rc = sync_run(c->c.y, "APPLY", &args, note_missing, &missing, &r, e);
	buf_release(&args);
	c->staged += g->count;
	if (rc == 0)
		sync_no(&r, ERR_MAILBOX, e, "move messages of %.100s",
		    c->box.name.ptr);
	if (rc == 1 && missing)
		rc = err_retry(e, ERR_MAILBOX, "Cyrus does not find the files "
		    "of messages that are to be moved") == -1 ? -1 : 0;
	return rc == 1 ? 0 : -1;
}

/* Copies: 1 done, 0 something has changed in between, -1. */
static int
attempt(struct moving *g, const char *to, struct err *e)
{
	struct cyrus_target *c = g->c;
	struct cyrus_box box;
	uint64_t since;
	struct buf args;
	int rc;

	buf_reset(&g->records);
	buf_reset(&g->guids);
	g->count = g->nseen = 0;
	rc = cyrus_box_get(c->c.y, to, c->c.names.user, true, note_there, g,
	    &g->to, e);
	since = g->to.modseq;
	cyrus_box_init(&box);
	if (rc == 1)
		rc = cyrus_box_get(c->c.y, c->box.name.ptr, c->c.names.user,
		    true, take, g, &box, e);
	cyrus_box_release(&box);
	if (rc == 0)
		return err_retry(e, ERR_MAILBOX, "it is gone from the target");
	if (rc == -1 || g->count == 0)
		return rc;
	if (g->records.full)
		return err_set(e, ERR_MAILBOX, "records are too long");
	if (reserve(g, e) == -1)
		return -1;
	g->to.recent_uid = g->to.last_uid;
	g->to.append_time = (uint64_t)time(NULL);
	buf_init(&args, 2 * LINE_MAX_BYTES);
	cyrus_box_put(&args, &g->to, since);
	buf_add(&args, g->records.ptr, g->records.len);
	buf_adds(&args, "))");
	rc = cyrus_change(c, &args, "move messages to", to, e);
	buf_release(&args);
	fault_point("cyrus.moved");
	return rc == 0 ? 1 : e->retry && !c->c.y->dead && e->cause ==
	    CAUSE_OTHER ? 0 : -1;
}

static int
move_part(struct moving *g, const char *to, struct err *e)
{
	struct timespec pause = { 0, 50 * 1000000 };
	int rc = 0;

	for (unsigned i = 0; i < TRIES && rc == 0; i++) {
		if (i > 0)
			nanosleep(&pause, NULL);
		rc = attempt(g, to, e);
	}
	return rc == 1 ? cyrus_expunge(&g->c->t, g->uids, g->n, e) : -1;
}

int
cyrus_move(struct target *t, const uint32_t *uids, size_t n, const char *seen,
    struct err *e)
{
	struct moving g = { .c = (struct cyrus_target *)t };
	struct buf to;
	int rc;

	buf_init(&to, 2000);
	buf_init(&g.records, LINE_MAX_BYTES);
	buf_init(&g.guids, LINE_MAX_BYTES);
	cyrus_box_init(&g.to);
	rc = cyrus_make_now(g.c, seen, e);
	if (rc == 0)
		rc = cyrus_target_name(g.c, seen, &to, e);
	for (size_t i = 0; i < n && rc == 0; i += g.n) {
		g.uids = uids + i;
		g.n = n - i < PART ? n - i : PART;
		rc = move_part(&g, to.ptr, e);
	}
	free(g.seen);
	cyrus_box_release(&g.to);
	buf_release(&g.records);
	buf_release(&g.guids);
	buf_release(&to);
	return rc;
}
