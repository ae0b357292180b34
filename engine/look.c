/* Looking at the target before storing, and for losses and doubles. */
#include "look.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "account.h"
#include "base/fault.h"
#include "base/spill.h"
#include "base/xmalloc.h"

#define CHUNK	100		/* contents asked for at once */

static int
put_known(void *ctx, uint32_t uid, struct err *e)
{
	return spill_put(ctx, uid, "", 0, e);
}

/* The UIDs that the state knows from "from" on, sorted. */
static int
load_known(struct lane *l, struct pair *p, uint32_t from, bool rows_only,
    struct spill **out, struct err *e)
{
	struct spill *s = spill_new();

	if (mailbox_known_uids(l->reader, p->id, from, rows_only, put_known, s,
	    e) == -1 || spill_sort(s, e) == -1) {
		spill_free(&s);
		return -1;
	}
	*out = s;
	return 0;
}

/* Opens the target mailbox for reading, only UIDs >= from. */
static int
open_eyes(struct lane *l, struct pair *p, uint32_t from, bool fresh,
    struct folder_info *f, struct err *e)
{
	enum delta delta;

	if (lane_open_eyes(l, fresh, e) == -1)
		return err_ctx(e, "look at the target");
	memset(f, 0, sizeof *f);
	f->path = &p->tgt_name;
	f->npath = 1;
	f->raw_name = f->name = p->tgt_name;
	f->messages = f->bytes = UNKNOWN64;
	if (source_folder_open(l->eyes, f, NULL, from, &delta, e) == -1)
		return err_ctx(e, "look at the target");
	return 0;
}

/* Hashes the n messages and posts them as extras. */
static int
hash_chunk(struct lane *l, struct pair *p, const struct msg_meta *metas,
    size_t n, uint64_t *found, uint64_t *seq, struct err *e)
{
	const struct msg_meta *want[CHUNK];
	struct changes *c = changes_new(l->account->row.id, p->id,
	    state_pass(l->run->state));
	int rc = 0;

	for (size_t i = 0; i < n; i++)
		want[i] = &metas[i];
	if (source_want(l->eyes, want, n, e) == -1)
		rc = -1;
	for (size_t i = 0; i < n && rc == 0; i++) {
		struct content *content;
		struct row_extra *x;
		struct measured m;

		rc = source_content(l->eyes, &metas[i], &content, e);
		if (rc == 0)
			continue;		/* expunged meanwhile */
		if (rc == 1)
			rc = measure_content(l->measure, content, NULL, &m, e);
		content_close(&content);
		if (rc == -1) {
			err_ctx(e, "look at uid %" PRIu32, metas[i].uid);
			break;
		}
		x = changes_extra(c);
		x->uid = metas[i].uid;
		x->digests = m.digests;
		x->size = m.size;
		x->date = metas[i].date;
		(*found)++;
	}
	if (rc == 0)
		*seq = changes_post(l->run->state, &c);
	changes_free(c);
	return rc;
}

int
look(struct lane *l, struct pair *p, uint32_t from, bool fresh,
    uint64_t *found, struct err *e)
{
	struct msg_meta metas[CHUNK];
	struct spill *known = NULL;
	struct folder_info f;
	struct arena arena;
	struct changes *c;
	const void *rec;
	uint64_t known_uid = 0, seq = 0;
	uint32_t highest = 0;
	size_t n = 0, len;
	bool more_known;
	int rc;

	*found = 0;
	arena_init(&arena);
	if (load_known(l, p, from, false, &known, e) == -1)
		return -1;
	more_known = (rc = spill_next(known, &known_uid, &rec, &len, e)) == 1;
	if (rc == -1 || open_eyes(l, p, from, fresh, &f, e) == -1)
		goto fail;
	for (;;) {
		rc = source_next(l->eyes, &arena, &metas[n], e);
		if (rc == -1)
			goto fail;
		if (rc == 1) {
			uint32_t uid = metas[n].uid;

			if (uid < from)
				continue;
			if (uid > highest)
				highest = uid;
			while (more_known && known_uid < uid) {
				rc = spill_next(known, &known_uid, &rec, &len,
				    e);
				if (rc == -1)
					goto fail;
				more_known = rc == 1;
			}
			if (more_known && known_uid == uid)
				continue;
			n++;
			if (n < CHUNK)
				continue;
		}
		if (n > 0 && hash_chunk(l, p, metas, n, found, &seq, e) == -1)
			goto fail;
		n = 0;
		arena_reset(&arena);
		if (rc == 0)
			break;
	}
	source_folder_close(l->eyes);
	spill_free(&known);
	arena_release(&arena);
	c = changes_new(l->account->row.id, p->id, state_pass(l->run->state));
	c->uidnext = highest + 1;
	if (highest > 0)
		seq = changes_post(l->run->state, &c);
	changes_free(c);
	fault_point("look.done");
	return state_wait(l->run->state, seq, e);
fail:
	if (l->eyes != NULL)
		source_folder_close(l->eyes);
	source_close(&l->eyes);
	spill_free(&known);
	arena_release(&arena);
	return -1;
}

int
look_for_lost(struct lane *l, struct pair *p, uint64_t *lost, struct err *e)
{
	struct spill *known = NULL;
	uint32_t gone[256];
	struct folder_info f;
	struct arena arena;
	struct msg_meta m;
	const void *rec;
	uint64_t uid = 0;
	size_t n = 0, len;
	int rc, more;

	*lost = 0;
	arena_init(&arena);
	if (load_known(l, p, 1, true, &known, e) == -1)
		return -1;
	if (open_eyes(l, p, 0, false, &f, e) == -1)
		goto fail;
	/* Both ascend: a known UID that the listing passes by is gone. */
	more = source_next(l->eyes, &arena, &m, e);
	while ((rc = spill_next(known, &uid, &rec, &len, e)) == 1) {
		while (more == 1 && m.uid < uid) {
			arena_reset(&arena);
			more = source_next(l->eyes, &arena, &m, e);
		}
		if (more == -1)
			goto fail;
		if (more == 1 && m.uid == uid)
			continue;
		gone[n++] = (uint32_t)uid;
		if (n == sizeof gone / sizeof *gone) {
			*lost += n;
			if (messages_void(l->run->state, l->account->row.id,
			    p->id, gone, n, e) == -1)
				goto fail;
			n = 0;
		}
	}
	if (rc == -1)
		goto fail;
	*lost += n;
	if (n > 0 && messages_void(l->run->state, l->account->row.id, p->id,
	    gone, n, e) == -1)
		goto fail;
	source_folder_close(l->eyes);
	spill_free(&known);
	arena_release(&arena);
	return 0;
fail:
	if (l->eyes != NULL)
		source_folder_close(l->eyes);
	source_close(&l->eyes);
	spill_free(&known);
	arena_release(&arena);
	return -1;
}

struct double_search {
	struct lane	*lane;
	struct pair	*pair;
	uint32_t	*uids;
	size_t		 n, cap;
};

/* Untaken extras whose digest one of our settled batches holds. */
static int
collect_doubles(struct lane *l, struct pair *p, struct double_search *s,
    struct err *e)
{
	sqlite3_stmt *st;
	int rc;

	st = db_query(l->reader, e, "SELECT uid FROM extra WHERE mailbox_id ="
	    " ?1 AND taken = 0 AND EXISTS (SELECT 1 FROM intent JOIN"
	    " intent_item ON intent_id = intent.id WHERE mailbox_id = ?1 AND"
	    " state = 1 AND (intent_item.strict = extra.strict OR"
	    " intent_item.loose = extra.loose)) ORDER BY uid", "i", p->id);
	if (st == NULL)
		return -1;
	while ((rc = db_step(l->reader, st, e)) == 1) {
		if (s->n == s->cap) {
			s->cap = s->cap ? 2 * s->cap : 64;
			s->uids = xreallocarray(s->uids, s->cap,
			    sizeof *s->uids);
		}
		s->uids[s->n++] = (uint32_t)sqlite3_column_int64(st, 0);
	}
	db_done(st);
	return rc;
}

int
look_for_doubles(struct lane *l, struct pair *p, uint64_t *doubles,
    struct err *e)
{
	struct double_search s = { .lane = l, .pair = p };
	struct row_mailbox row;
	struct changes *c;
	uint64_t found;
	int rc = -1;

	*doubles = 0;
	if (mailbox_load(l->reader, p->id, &row, e) == -1)
		return -1;
	buf_release(&row.token);
	if (look(l, p, row.target.uidnext, true, &found, e) == -1)
		return -1;
	if (collect_doubles(l, p, &s, e) == -1)
		goto out;
	if (lane_target_again(l, e) == -1)
		goto out;
	*doubles = s.n;
	if (s.n > 0) {
		bool remove = l->run->set->remove_doubles;

		c = changes_new(l->account->row.id, p->id,
		    state_pass(l->run->state));
		for (size_t i = 0; i < s.n; i++) {
			char where[32];

			snprintf(where, sizeof where, "target uid %" PRIu32,
			    s.uids[i]);
			changes_issue(c, "doubled", where, strlen(where),
			    where, remove ? "the server stored this twice "
			    "after a lost answer; the second copy was removed"
			    : "the server stored this twice after a lost "
			    "answer; --remove-doubles removes it");
		}
		if (remove) {
			struct folder_state st;
			int64_t op;

			if (op_begin(l->run->state, l->account->row.id, p->id,
			    "expunge", p->tgt_name, "doubles", &op, e) == -1 ||
			    target_folder_open(l->tgt, p->tgt_name, &st,
			    e) != 1) {
				changes_free(c);
				goto out;
			}
			rc = target_expunge(l->tgt, s.uids, s.n, e);
			target_folder_close(l->tgt);
			if (rc == -1 || op_done(l->run->state, op, e) == -1) {
				changes_free(c);
				rc = -1;
				goto out;
			}
			for (size_t i = 0; i < s.n; i++)
				changes_take(c, s.uids[i]);
		}
		if (state_wait(l->run->state, changes_post(l->run->state, &c),
		    e) == -1)
			goto out;
	}
	rc = intents_forget(l->run->state, p->id, e);
out:
	free(s.uids);
	return rc;
}
