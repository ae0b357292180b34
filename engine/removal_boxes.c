/*
 * Mailboxes that are no longer at the source: they are listed; with
 * --delete-mailboxes what was copied of them goes as single messages do, and the
 * mailbox after it, if we made it and it is empty then.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "account.h"
#include "base/fault.h"
#include "removal_impl.h"
#include "stage.h"
#include "undo_impl.h"

bool
removal_boxes_wanted(const struct lane *l)
{
	return l->run->set->delete_mailboxes && !stage_only_adds(l);
}

static int
cmp_box(const void *pa, const void *pb)
{
	const struct gone_box *a = pa, *b = pb;

	/* Those below others first. */
	return -strcmp(a->pair.tgt_name, b->pair.tgt_name);
}

int
removal_boxes(struct lane *l, struct gone_box **out, size_t *n,
    struct err *e)
{
	struct arena *a = &l->account->arena;
	sqlite3_stmt *st;
	int64_t count;
	int rc;

	*n = 0;
	if (db_number(l->reader, e, &count, 0, "SELECT count(*) FROM mailbox"
	    " WHERE account_id = ?1 AND outcome = 'gone'", "i",
	    l->account->row.id) == -1)
		return -1;
	*out = arena_zalloc(a, ((size_t)count + 1) * sizeof **out);
	st = db_query(l->reader, e, "SELECT id, src_name, tgt_name, tgt_key,"
	    " tgt_uidvalidity, made_by_us, (SELECT count(*) FROM message WHERE"
	    " mailbox_id = m.id AND message.outcome IN (1, 2)) AS n FROM"
	    " mailbox AS m WHERE account_id = ?1 AND outcome = 'gone' AND"
	    " tgt_name <> '' AND (made_by_us <> 0 OR n > 0) AND NOT EXISTS"
	    " (SELECT 1 FROM mailbox AS o WHERE o.account_id = ?1 AND o.id <>"
	    " m.id AND o.tgt_key = m.tgt_key AND o.outcome <> 'gone')", "i",
	    l->account->row.id);
	if (st == NULL)
		return -1;
	while ((rc = db_step(l->reader, st, e)) == 1 && *n < (size_t)count) {
		struct gone_box *b = &(*out)[*n];

		b->pair.id = sqlite3_column_int64(st, 0);
		b->pair.src_key = "";
		b->pair.src_name = arena_strdup(a, db_text(st, 1));
		b->pair.tgt_name = arena_strdup(a, db_text(st, 2));
		b->pair.tgt_key = arena_strdup(a, db_text(st, 3));
		b->uidvalidity = (uint32_t)sqlite3_column_int64(st, 4);
		b->made = sqlite3_column_int(st, 5) != 0;
		b->rows = (uint64_t)sqlite3_column_int64(st, 6);
		*n += strcasecmp(b->pair.tgt_name, "INBOX") != 0;
	}
	db_done(st);
	if (*n > 0)
		qsort(*out, *n, sizeof **out, cmp_box);
	return rc == -1 ? -1 : 0;
}

void
removal_boxes_list(struct lane *l, const struct gone_box *b, size_t n)
{
	for (size_t i = 0; i < n; i++)
		lane_note(l, "gone", b[i].pair.src_name, "%s is no longer at "
		    "the source; its %" PRIu64 " messages stay at the target, "
		    "in %s (--delete-mailboxes removes them)",
		    b[i].pair.src_name, b[i].rows, b[i].pair.tgt_name);
}

struct found { int64_t id, pass; };

static int
apply_found(struct db *db, void *arg, struct err *e)
{
	const struct found *f = arg;

	if (db_run(db, e, "DELETE FROM removal WHERE mailbox_id = ?1 AND state"
	    " = 0", "i", f->id) == -1)
		return -1;
	return db_run(db, e, "INSERT OR IGNORE INTO removal (mailbox_id, key,"
	    " uid, pass) SELECT mailbox_id, key, tgt_uid, ?2 FROM message WHERE"
	    " mailbox_id = ?1 AND outcome IN (1, 2) AND tgt_uid > 0", "ii",
	    f->id, f->pass);
}

int
removal_boxes_found(struct lane *l, const struct gone_box *b, size_t n,
    struct err *e)
{
	for (size_t i = 0; i < n; i++) {
		struct found f = { b[i].pair.id, state_pass(l->run->state) };

		if (state_call(l->run->state, apply_found, &f, e) == -1)
			return -1;
	}
	return 0;
}

/* Is the name above another one, at any distance? */
static bool
is_above(struct lane *l, const char *name, const char *other)
{
	for (int depth = 0; depth < 64; depth++) {
		if (target_parent(l->tgt, &l->account->arena, other, &other) !=
		    1)
			return false;
		if (strcmp(other, name) == 0)
			return true;
	}
	return false;
}

/* Why the mailbox has to stay, as it is listed now; NULL: it may go. */
static const char *
why_stays(struct lane *l, const struct gone_box *b,
    const struct target_view *v, const struct target_box **at)
{
	*at = NULL;
	for (size_t i = 0; i < v->n; i++)
		if (strcmp(v->boxes[i].name, b->pair.tgt_name) == 0)
			*at = &v->boxes[i];
	if (*at == NULL)
		return NULL;
	if ((*at)->st.uidvalidity != b->uidvalidity)
		return "it was made anew at the target";
	if ((*at)->st.messages != 0)
		return "it holds other mail, or mail that was changed";
	for (size_t i = 0; i < v->n; i++)
		if (is_above(l, b->pair.tgt_name, v->boxes[i].name))
			return "there are mailboxes below it";
	return NULL;
}

/* May it get another name for a moment? */
static bool
has_parent(struct lane *l, const char *name, const struct target_view *v)
{
	const char *parent;

	if (target_parent(l->tgt, &l->account->arena, name, &parent) != 1)
		return true;
	for (size_t i = 0; i < v->n; i++)
		if (strcmp(v->boxes[i].name, parent) == 0)
			return true;
	return false;
}

int
removal_box(struct lane *l, const struct gone_box *b, struct err *e)
{
	struct arena *a = &l->account->arena;
	const char *name = b->pair.tgt_name, *why, *note = NULL;
	const struct target_box *at;
	struct aside *list = NULL;
	struct target_view v;
	struct going g = { .name = name, .mailbox_id = b->pair.id,
	    .uidvalidity = b->uidvalidity, .kind = REMOVE_BOX };
	int rc;

	if (!b->made) {
		lane_note(l, "kept", name, "%s was at the target before: the "
		    "mailbox stays", name);
		return 0;
	}
	if (lane_target_again(l, e) == -1 || target_survey(l->tgt, a, &name,
	    1, false, &v, e) == -1)
		return -1;
	if ((why = why_stays(l, b, &v, &at)) == NULL && at != NULL) {
		g.special_use = at->st.special_use;
		g.in_place = !has_parent(l, name, &v);
		fault_point("removal.box");
		rc = undo_mailbox(l, &g, a, &list, &note, e);
		if (rc == -1)
			return -1;
		why = rc == 0 ? note : NULL;
	}
	if (why != NULL) {
		lane_note(l, "kept", name, "%s is no longer at the source, "
		    "and stays at the target: %s", name, why);
		return 0;
	}
	lane_note(l, "removed", name, "%s is no longer at the source: it was "
	    "removed", name);
	return undo_reset(l->run->state, l->account->row.id, b->pair.id, name,
	    true, e);
}

/* What an earlier run began: it is there, under its name, or it is gone. */
static int
settle_box(struct lane *l, const struct open_op *r, struct err *e)
{
	struct folder_state st;
	int rc = target_folder_open(l->tgt, r->from, &st, e);

	target_folder_close(l->tgt);
	if (rc == -1)
		return -1;
	return rc == 1 ? op_drop(l->run->state, r->id, e) :
	    undo_reset(l->run->state, l->account->row.id, r->mailbox_id,
	    r->from, true, e);
}

int
removal_boxes_settle(struct lane *l, struct err *e)
{
	struct arena *a = &l->account->arena;
	struct aside *list = NULL;
	struct open_op r;
	int rc = open_op_find(l->reader, l->account->row.id, REMOVE_BOX, a,
	    &r, e);

	if (rc != 1)
		return rc;
	if (lane_target_again(l, e) == -1 || undo_asides(l, REMOVE_BOX, a,
	    &list, e) == -1)
		return -1;
	while ((rc = open_op_find(l->reader, l->account->row.id, REMOVE_BOX,
	    a, &r, e)) == 1)
		if (settle_box(l, &r, e) == -1)
			return -1;
	return rc;
}
