/* Undo: messages of ours that nobody has changed are marked, and go. */
#include <stdlib.h>
#include <string.h>

#include "base/xmalloc.h"
#include "undo_impl.h"

#define BATCH		500	/* messages taken back at once */
#define BATCH_FILES	5000	/* where directories are read for each batch */

/* Flags and keywords, in any order and case, as a number. */
uint64_t
undo_looks(const struct msg_meta *m)
{
	uint64_t sum = (uint64_t)(m->flags & 31) + 1;

	for (size_t i = 0; i < m->nkeywords; i++) {
		uint64_t hash = 14695981039346656037u;

		for (const char *p = m->keywords[i]; *p != '\0'; p++)
			hash = (hash ^ (unsigned char)(*p >= 'A' && *p <= 'Z' ?
			    *p + 'a' - 'A' : *p)) * 1099511628211u;
		sum += hash;
	}
	return sum;
}

/* The target is open for writing, also where it allows one session only. */
int
undo_writer(struct lane *l, struct err *e)
{
	return lane_target_again(l, e) == -1 ? -1 : lane_open_target(l, e);
}

/* They are not to be expunged after all. */
static int
unmark(struct lane *l, const uint32_t *uids, size_t n, struct err *e)
{
	struct flag_change *c = xcalloc(n + 1, sizeof *c);
	int rc;

	for (size_t i = 0; i < n; i++) {
		c[i].uid = uids[i];
		c[i].del = MSG_DELETED;
	}
	rc = n > 0 ? target_change_flags(l->tgt, c, n, e) : 0;
	free(c);
	return rc;
}

/* Marks those that nobody changes meanwhile, and expunges these. */
static int
expunge(struct undo *u, struct box *b, const uint32_t *uids, size_t n,
    struct err *e)
{
	struct flag_change *c = xcalloc(n, sizeof *c);
	uint32_t *marked = xcalloc(n, sizeof *marked);
	struct err broken;
	size_t k = 0;
	int rc;

	for (size_t i = 0; i < n; i++) {
		c[i].uid = uids[i];
		c[i].add = MSG_DELETED;
		c[i].unchanged_since = b->f.modseq;
	}
	rc = target_change_flags(u->l->tgt, c, n, e);
	for (size_t i = 0; i < n && rc == 0; i++)
		if (c[i].result == FLAG_DONE)
			marked[k++] = uids[i];
	if (rc == 0 && k > 0)
		rc = target_expunge(u->l->tgt, marked, k, e);
	if (rc == -1 && target_broken(u->l->tgt, &broken) == 0) {
		/* The server does not want to: as they were. */
		for (size_t i = k = 0; i < n; i++)
			if (!uids_has(&b->stored_so, uids[i]))
				marked[k++] = uids[i];
		if (unmark(u->l, marked, k, &broken) == 0)
			rc = -2;
	}
	free(c);
	free(marked);
	return rc;
}

/* Opens the mailbox for writing; it must be the one that was looked at. */
static int
open_to_take(struct lane *l, struct box *b, uint32_t uidvalidity,
    struct err *e)
{
	struct folder_state st;
	int rc;

	if (undo_writer(l, e) == -1)
		return -1;
	rc = target_folder_open(l->tgt, b->told.tgt_name, &st, e);
	if (rc == 1 && st.uidvalidity == uidvalidity)
		return 0;
	target_folder_close(l->tgt);
	return rc == -1 ? -1 : err_retry(e, ERR_MAILBOX, "%.100s: is another "
	    "mailbox since a moment ago", b->told.tgt_name);
}

/*
 * Those of a batch that look as they did when they were compared, into uids.
 * Where no MODSEQ can guard them they are looked at once more, with the mailbox
 * open for what comes next.
 */
static int
still_same(struct lane *l, struct box *b, size_t first, size_t n,
    uint32_t *uids, size_t *same, struct err *e)
{
	uint32_t uidvalidity = b->f.uidvalidity;
	struct arena arena;
	struct msg_meta m;
	size_t i = first;
	int rc;

	*same = 0;
	if (b->f.modseq != 0) {
		memcpy(uids, b->go.v + first, n * sizeof *uids);
		*same = n;
		return 0;
	}
	if (undo_open_box(l, b, b->go.v[first], e) == -1)
		return -1;
	arena_init(&arena);
	rc = b->f.uidvalidity == uidvalidity ? 1 : err_retry(e, ERR_MAILBOX,
	    "%.100s: is another mailbox since a moment ago", b->told.tgt_name);
	while (rc == 1 && (rc = source_next(l->eyes, &arena, &m, e)) == 1) {
		while (i < first + n && b->go.v[i] < m.uid)
			i++;
		if (i == first + n)
			break;
		if (b->go.v[i] == m.uid && b->as[i] == undo_looks(&m))
			uids[(*same)++] = m.uid;
		arena_reset(&arena);
	}
	arena_release(&arena);
	source_folder_close(l->eyes);
	if (rc == -1) {
		lane_close_eyes(l);
		return -1;
	}
	/* Where one session is all the server allows. */
	return l->tgt != NULL ? 0 : open_to_take(l, b, uidvalidity, e);
}

static int
take_back_batch(struct undo *u, struct box *b, size_t first, size_t n,
    struct err *e)
{
	uint32_t *uids = xcalloc(n, sizeof *uids);
	struct lane *l = u->l;
	struct err ignored;
	int64_t op;
	size_t k;
	int rc;

	rc = still_same(l, b, first, n, uids, &k, e);
	if (rc == 0 && k > 0)
		rc = undo_begin(l, &b->told, b->pair.id, uids, k, &op, e);
	if (rc == 0 && k > 0)
		rc = expunge(u, b, uids, k, e);
	if (rc == -2) {
		op_done(l->run->state, op, &ignored);
		rc = -1;
	}
	free(uids);
	return rc;
}

int
undo_take_messages(struct undo *u, struct box *b, struct err *e)
{
	struct lane *l = u->l;
	struct target_caps caps;
	size_t batch;
	int rc;

	if (open_to_take(l, b, b->f.uidvalidity, e) == -1)
		return -1;
	target_caps(l->tgt, &caps);
	batch = caps.bits & TGT_PROMPT ? BATCH_FILES : BATCH;
	/* What they are marked for is an op that was begun. */
	rc = unmark(l, b->unmark.v, b->unmark.n, e);
	for (size_t i = 0; i < b->go.n && rc == 0; i += batch)
		rc = take_back_batch(u, b, i, b->go.n - i < batch ?
		    b->go.n - i : batch, e);
	if (l->tgt != NULL)
		target_folder_close(l->tgt);
	return rc;
}
