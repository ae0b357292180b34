/*
 * Counts and bytes for a plan.
 *
 * A number is taken from where it costs least: the state, if the mailbox has
 * not changed since; the listing; the list of messages, where their sizes are
 * in names or inodes (Maildir).  All of an mbox would have to be read for its
 * count, and for the exact size with CR LF all of every local store: that is
 * done with --count-bytes only.
 */
#include "plan_impl.h"

#include <string.h>

#include "walk.h"

#define LOCAL_RATIO	1.02	/* of bytes with CR LF to those with LF */

/* What the last pass has noted; counting its rows would read all of a large
 * state. */
struct noted {
	struct plan_size size;
	bool		 complete;
	uint32_t	 uidvalidity;
	struct buf	 token;
};

static int
read_noted(struct lane *l, int64_t id, struct noted *n, struct err *e)
{
	sqlite3_stmt *st;
	int rc;

	memset(n, 0, sizeof *n);
	buf_init(&n->token, 1 << 20);
	/* Of what rules left out, no CR LF bytes are known. */
	st = db_query(l->reader, e, "SELECT outcome = 'done' AND excluded = 0,"
	    " source, bytes, crlf_bytes, src_uidvalidity, src_token FROM"
	    " mailbox WHERE id = ?1", "i", id);
	if (st == NULL)
		return -1;
	if ((rc = db_step(l->reader, st, e)) == 1) {
		n->complete = sqlite3_column_int(st, 0) != 0;
		n->size.messages = (uint64_t)sqlite3_column_int64(st, 1);
		n->size.bytes = (uint64_t)sqlite3_column_int64(st, 2);
		n->size.crlf_bytes = (uint64_t)sqlite3_column_int64(st, 3);
		n->size.exact = true;
		n->uidvalidity = (uint32_t)sqlite3_column_int64(st, 4);
		if (sqlite3_column_bytes(st, 5) > 0)
			buf_add(&n->token, sqlite3_column_blob(st, 5),
			    (size_t)sqlite3_column_bytes(st, 5));
	}
	db_done(st);
	return rc;
}

/* As the last pass has left it?  1: *size is what the state says. */
static int
from_state(struct lane *l, struct folder_info *f, int64_t id,
    struct plan_size *size, struct err *e)
{
	struct noted n;
	struct buf token;
	enum delta delta;
	bool same = false;
	int rc;

	rc = read_noted(l, id, &n, e);
	buf_init(&token, 1 << 20);
	if (rc == 1 && n.complete && token_unwrap(l->run->set, NULL,
	    &n.token, &token) == 1) {
		if (l->account->src_uri->host != NULL)
			/* No mailbox is opened for what the listing tells. */
			same = f->messages == n.size.messages &&
			    f->uidvalidity == n.uidvalidity;
		else {
			rc = source_folder_open(l->src, f, &token, 0, &delta,
			    e);
			same = rc == 0 && delta == DELTA_UNCHANGED;
			source_folder_close(l->src);
		}
	}
	buf_release(&token);
	buf_release(&n.token);
	if (same)
		*size = n.size;
	return rc == -1 ? -1 : same;
}

/* One message: its CRLF size where it is read. */
static int
count_one(struct lane *l, const struct msg_meta *m, bool read,
    struct plan_size *size, struct err *e)
{
	struct content *c = NULL;
	struct measured md;
	int rc;

	size->messages++;
	if (m->size == UNKNOWN64)
		size->bytes = UNKNOWN64;
	else if (size->bytes != UNKNOWN64)
		size->bytes += m->size;
	if (!read)
		return 0;
	rc = source_content(l->src, m, &c, e);
	if (rc == 1) {
		rc = measure_content(l->measure, c, NULL, &md, e);
		if (rc == 0) {
			size->crlf_bytes += md.size;
			lane_pace(l, SIDE_SOURCE, md.size, 1);
		}
		content_close(&c);
	}
	/* An unreadable message is copy's to report. */
	return rc == -1 && e->scope > ERR_MESSAGE ? -1 : 0;
}

static int
list_messages(struct lane *l, struct folder_info *f, bool read,
    struct plan_size *size, struct err *e)
{
	struct arena arena;
	struct msg_meta m;
	enum delta delta;
	int rc;

	*size = (struct plan_size){ 0, 0, 0, read };
	if (source_folder_open(l->src, f, NULL, 0, &delta, e) == -1)
		return -1;
	arena_init(&arena);
	while ((rc = source_next(l->src, &arena, &m, e)) == 1 &&
	    (rc = count_one(l, &m, read, size, e)) == 0)
		arena_reset(&arena);
	source_folder_close(l->src);
	arena_release(&arena);
	return rc == -1 ? -1 : 0;
}

/* What servers count, from what is stored. */
static void
estimate_crlf(const struct plan *plan, bool remote, struct plan_size *s)
{
	double ratio = plan->crlf_ratio > 0 ? plan->crlf_ratio : LOCAL_RATIO;

	if (s->exact)
		return;
	if (s->bytes == UNKNOWN64) {
		s->crlf_bytes = UNKNOWN64;
		if (s->messages != UNKNOWN64)
			s->crlf_bytes = (uint64_t)((double)s->messages *
			    plan->mean_size);
	} else if (remote) {
		s->crlf_bytes = s->bytes;
		s->exact = true;
	} else
		s->crlf_bytes = (uint64_t)((double)s->bytes * ratio);
	if (s->messages == 0) {
		s->bytes = s->crlf_bytes = 0;
		s->exact = true;
	}
}

int
plan_size(struct plan *plan, struct lane *l, struct folder_info *f,
    int64_t id, struct plan_size *s, struct err *e)
{
	bool remote = l->account->src_uri->host != NULL;
	uint64_t messages = f->messages, bytes = f->bytes;
	bool all = plan->set->count_bytes;
	int rc = 0;

	*s = (struct plan_size){ messages, bytes, UNKNOWN64, false };
	if (f->refused != NULL)
		return 0;
	if (id != 0 && !all)
		rc = from_state(l, f, id, s, e);
	if (rc == 0 && (all || (!remote && bytes == UNKNOWN64)))
		rc = list_messages(l, f, all && !remote, s, e);
	else if (rc == 0)
		*s = (struct plan_size){ messages, bytes, UNKNOWN64, false };
	f->messages = messages;
	f->bytes = bytes;
	if (rc == -1) {
		*s = (struct plan_size){ messages, bytes, UNKNOWN64, false };
		return -1;
	}
	estimate_crlf(plan, remote, s);
	return 0;
}

void
plan_size_add(struct plan_size *sum, uint64_t *uncounted,
    const struct plan_size *s)
{
	if (s->messages == UNKNOWN64)
		(*uncounted)++;
	else
		sum->messages += s->messages;
	if (s->bytes != UNKNOWN64)
		sum->bytes += s->bytes;
	if (s->crlf_bytes != UNKNOWN64)
		sum->crlf_bytes += s->crlf_bytes;
	sum->exact = sum->exact && s->exact;
}
