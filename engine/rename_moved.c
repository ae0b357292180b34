/* At the target: mailboxes that were renamed at the source. */
#include "rename_impl.h"

#include <string.h>

static void
settle_name(struct moving *m, const char *name, const char *key)
{
	m->at = m->want = name;
	m->key = m->want_key = key;
	m->naming->name = name;
	m->naming->key = key;
	m->naming->old = NULL;
}

void
rename_stay(struct work *w, struct moving *m, const char *why)
{
	lane_note(w->l, "warn", m->row->src_name, "%s was renamed at the "
	    "source and is still called %s at the target: %s",
	    m->row->src_name, m->at, why);
	settle_name(m, m->at, m->key);
	m->naming->stays = true;
}

static bool
is_ours(const struct work *w, const char *key)
{
	for (size_t i = 0; i < w->n; i++)
		if (w->m[i].row->there && strcmp(w->m[i].key, key) == 0)
			return true;
	return false;
}

struct moved_arg { const int64_t *ids; size_t n; int64_t moved; };

static int
apply_moved(struct db *db, void *arg, struct err *e)
{
	const struct moved_arg *a = arg;

	for (size_t i = 0; i < a->n; i++)
		if (db_run(db, e, "UPDATE mailbox SET moved = ?2 WHERE id ="
		    " ?1", "ii", a->ids[i], a->moved) == -1)
			return -1;
	return 0;
}

/* Its user has renamed it himself, to this name. */
static int
take_over(struct work *w, struct moving *m, const char *name, const char *key,
    struct err *e)
{
	struct name_change c = { m->row->id, m->at, name, key, 0 };
	struct moved_arg arg = { &m->row->id, 1, MOVED_STAY };

	if (state_call(w->l->run->state, apply_moved, &arg, e) == -1 ||
	    name_rows_change(w->l->run->state, w->a->row.id, 0, &c, 1, NULL,
	    0, e) == -1)
		return -1;
	lane_note(w->l, "renamed", m->row->src_name, "%s is called %s at the "
	    "target, as its user wants it", m->row->src_name, name);
	settle_name(m, name, key);
	m->naming->stays = true;
	return 0;
}

/*
 * A mailbox that is not where it was: has its user given it another name?  1:
 * the only one that holds what was copied.
 */
static int
find_elsewhere(struct work *w, const struct moving *m, const char **name,
    const char **key, struct err *e)
{
	struct arena *arena = &w->a->arena;
	struct target_view all;
	const char **names = arena_alloc(arena, (w->view.n + 1) *
	    sizeof *names), *other;
	size_t n = 0, hits = 0;
	int rc;

	for (size_t i = 0; i < w->view.n; i++) {
		const char *box = w->view.boxes[i].name;

		if (w->view.boxes[i].noselect || rename_is_inbox(box) ||
		    target_name_key(w->l->tgt, arena, box, &other, e) == -1 ||
		    is_ours(w, other))
			continue;
		names[n++] = box;
	}
	if (n == 0)
		return 0;
	if (target_survey(w->l->tgt, arena, names, n, false, &all, e) == -1)
		return -1;
	for (size_t i = 0; i < all.n && hits < 2; i++) {
		const struct target_box *b = &all.boxes[i];

		if (b->noselect || rename_is_inbox(b->name) ||
		    b->st.uidvalidity == 0 || b->st.messages == 0 ||
		    (b->st.messages != UNKNOWN64 && m->row->uidvalidity !=
		    b->st.uidvalidity))
			continue;
		if (target_name_key(w->l->tgt, arena, b->name, &other, e) ==
		    -1 || is_ours(w, other))
			continue;
		rc = rename_holds(w, m->row, b->name, &b->st, e);
		if (rc == -1)
			return -1;
		if (rc == 0)
			continue;
		hits++;
		*name = b->name;
		*key = other;
	}
	return hits == 1;
}

static int
look_for(struct work *w, struct moving *m, struct err *e)
{
	const char *name, *key;
	int rc;

	rc = find_elsewhere(w, m, &name, &key, e);
	if (rc == 1)
		return take_over(w, m, name, key, e);
	/* Lost: its turn makes it anew. */
	if (rc == 0)
		settle_name(m, m->want, m->want_key);
	return rc;
}

int
rename_moved(struct work *w, struct err *e)
{
	for (size_t i = 0; i < w->n; i++) {
		struct moving *m = &w->m[i];

		if (m->naming == NULL || !m->naming->moved ||
		    strcmp(m->at, m->want) == 0)
			continue;
		if (rename_is_inbox(m->at) || rename_is_inbox(m->want))
			rename_stay(w, m, "INBOX is never renamed");
		else if (!rename_there(w, m->key) && look_for(w, m, e) == -1)
			return -1;
	}
	return 0;
}

void
rename_clashes(struct work *w, struct naming *names)
{
	for (size_t i = 0; i < w->l->nfolders; i++) {
		struct naming *m = &names[i];

		for (size_t k = 0; k < w->l->nfolders && m->fresh; k++) {
			if (!names[k].stays || m->key == NULL ||
			    strcmp(names[k].key, m->key) != 0)
				continue;
			m->outcome = "failed";
			m->why = "its name at the target is still that of a "
			    "mailbox that was renamed at the source";
			m->name = m->key = NULL;
			m->fresh = false;
		}
	}
}

int
rename_moved_end(struct lane *l, struct account *a,
    const struct naming *names, struct err *e)
{
	int64_t *ids = arena_alloc(&a->arena, (l->nfolders + 1) * sizeof *ids);
	struct moved_arg arg = { ids, 0, MOVED_NOT };

	for (size_t i = 0; i < l->nfolders; i++)
		if (names[i].follows && !names[i].stays)
			ids[arg.n++] = names[i].id;
	return arg.n == 0 ? 0 : state_call(l->run->state, apply_moved, &arg,
	    e);
}
