/* Has the target been put back to an older backup? */
#include "rollback.h"

#include <inttypes.h>
#include <string.h>

#include "account.h"
#include "base/fault.h"
#include "base/spill.h"
#include "look.h"
#include "merge_impl.h"

#define LAST	3	/* messages that have to be the same */

bool
rollback_possible(const struct row_mailbox *row, const struct folder_state *f)
{
	const struct row_target *t = &row->target;

	if (row->rows == 0 || t->uidvalidity != f->uidvalidity ||
	    fault_mutated("rollback"))
		return false;
	return (t->uidnext != 0 && f->uidnext > t->uidnext) ||
	    (t->modseq != 0 && f->modseq != 0 && t->modseq != f->modseq);
}

/* The UID from which the last ones are counted. */
static int
last_ones(struct walk *w, uint32_t *from, struct err *e)
{
	int64_t uid;

	if (db_number(w->l->reader, e, &uid, 0, "SELECT min(tgt_uid) FROM"
	    " (SELECT tgt_uid FROM message WHERE mailbox_id = ?1 AND tgt_uid >"
	    " 0 AND outcome IN (1, 2) ORDER BY tgt_uid DESC LIMIT ?2)", "ii",
	    w->p->id, (int64_t)LAST) == -1)
		return -1;
	*from = (uint32_t)uid;
	return 0;
}

static int
load(struct walk *w, uint32_t from, struct spill *s, struct err *e)
{
	sqlite3_stmt *st = db_query(w->l->reader, e, "SELECT tgt_uid, key FROM"
	    " message WHERE mailbox_id = ?1 AND tgt_uid >= ?2 AND tgt_uid > 0"
	    " AND outcome IN (1, 2)", "ii", w->p->id, (int64_t)from);
	int rc;

	if (st == NULL)
		return -1;
	while ((rc = db_step(w->l->reader, st, e)) == 1)
		if (spill_put(s, (uint64_t)sqlite3_column_int64(st, 0),
		    sqlite3_column_blob(st, 1),
		    (size_t)sqlite3_column_bytes(st, 1), e) == -1) {
			rc = -1;
			break;
		}
	db_done(st);
	return rc == -1 ? -1 : spill_sort(s, e);
}

/* One row, and what is at the target under its UID. */
static int
is_other(struct walk *w, const void *key, size_t len,
    const struct msg_meta *m, bool *other, struct err *e)
{
	struct merge_item it = { .uid = m->uid, .key = key, .key_len = len };
	int rc = merge_load(w->l->reader, w->p->id, w->l->account->row.id, &it,
	    &w->arena, e);

	if (rc == 1)
		rc = same_message(w->l, &it.is, m, e);
	else if (rc == 0)
		rc = 1;
	*other = rc == 0;
	return rc == -1 ? -1 : 0;
}

/* The lowest UID from the given one on under which there is another message;
 * 0: there is none. */
static int
find_other(struct walk *w, uint32_t from, uint32_t *bad, struct err *e)
{
	struct lane *l = w->l;
	struct spill *s = spill_new();
	struct folder_info f;
	struct msg_meta m = { .uid = 0 };
	bool other = false;
	const void *key;
	uint64_t uid;
	size_t len;
	int rc = -1, more = 0;

	*bad = 0;
	if (load(w, from, s, e) == -1 || look_open(l, w->p, from, false, &f,
	    e) == -1)
		goto out;
	more = source_next(l->eyes, &w->arena, &m, e);
	while (more != -1 && !other && (rc = spill_next(s, &uid, &key, &len,
	    e)) == 1) {
		while (more == 1 && m.uid < uid) {
			arena_reset(&w->arena);
			more = source_next(l->eyes, &w->arena, &m, e);
		}
		if (more != 1 || m.uid != uid)
			continue;
		if (is_other(w, key, len, &m, &other, e) == -1) {
			rc = -1;
			break;
		}
		if (other)
			*bad = (uint32_t)uid;
	}
	source_folder_close(l->eyes);
	rc = rc == -1 || more == -1 ? -1 : 0;
out:
	if (rc == -1)
		lane_close_eyes(l);
	arena_reset(&w->arena);
	spill_free(&s);
	return rc;
}

int
rollback_check(struct walk *w, uint32_t *from, bool *changed, struct err *e)
{
	static const char words[] = "the target was put back to an older "
	    "state: other mail has UIDs of what was copied there";
	struct lane *l = w->l;
	uint32_t uid, bad;

	if (last_ones(w, &uid, e) == -1)
		return -1;
	if (uid == 0)
		return 0;
	if (find_other(w, uid, &bad, e) == -1)
		return -1;
	if (bad == 0)
		return 0;
	if (strcmp(l->account->row.stage, "released") == 0)
		return err_set(e, ERR_ACCOUNT, "%s: %s; it is released, so "
		    "nothing is done", w->p->tgt_name, words);
	if (find_other(w, 1, &bad, e) == -1)
		return -1;
	if (bad == 0)
		bad = uid;
	lane_note(l, "warn", NULL, "%s; from UID %" PRIu32 " on it is compared"
	    " and copied again", words, bad);
	if (mailbox_void_from(l->run->state, w->p->id, bad, e) == -1)
		return -1;
	buf_release(&w->row.token);
	if (mailbox_load(l->reader, w->p->id, &w->row, e) == -1)
		return -1;
	*from = bad;
	*changed = true;
	return 0;
}

int
rollback_record(struct lane *l, struct err *e)
{
	struct account *a = l->account;
	const char **names = arena_alloc(&a->arena, (a->npairs + 1) *
	    sizeof *names);
	struct target_view old = a->view;
	int64_t modseqs;
	size_t n = 0;
	int rc = 0;

	if (db_number(l->reader, e, &modseqs, 0, "SELECT EXISTS (SELECT 1 FROM"
	    " mailbox WHERE account_id = ?1 AND tgt_modseq <> 0)", "i",
	    a->row.id) == -1)
		return -1;
	if (modseqs == 0)
		return 0;	/* the target has none */
	for (struct pair *p = a->pairs; p != NULL; p = p->next)
		if (p->opened && p->state == PAIR_DONE)
			names[n++] = p->tgt_name;
	if (n == 0)
		return 0;
	if (target_survey(l->tgt, &a->arena, names, n, false, &a->view, e) ==
	    -1) {
		a->view = old;
		return -1;
	}
	a->box_keys = NULL;
	for (struct pair *p = a->pairs; p != NULL && rc == 0; p = p->next) {
		const struct target_box *b;
		struct row_mailbox row;

		if (!p->opened || p->state != PAIR_DONE)
			continue;
		b = account_box(l, a, p);
		if (b == NULL || b->st.modseq == 0)
			continue;
		if (mailbox_load(l->reader, p->id, &row, e) == -1)
			return -1;
		buf_release(&row.token);
		if (row.target.uidvalidity != b->st.uidvalidity ||
		    row.target.modseq == b->st.modseq)
			continue;
		row.target.modseq = b->st.modseq;
		rc = mailbox_set_target(l->run->state, p->id, &row.target,
		    false, e);
	}
	return rc;
}
