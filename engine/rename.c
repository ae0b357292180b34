/* Renaming at the target what was copied under another name. */
#include "rename.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/fault.h"
#include "base/spill.h"
#include "rename_impl.h"

/* What the target holds. */

static int
look_around(struct work *w, const char *const *names, size_t n,
    struct err *e)
{
	return target_survey(w->l->tgt, &w->a->arena, names, n, false,
	    &w->view, e);
}

const struct folder_state *
rename_box(struct work *w, const char *key)
{
	const char *other;
	struct err e;

	for (size_t i = 0; i < w->view.n; i++)
		if (!w->view.boxes[i].noselect &&
		    target_name_key(w->l->tgt, &w->a->arena,
		    w->view.boxes[i].name, &other, &e) == 0 &&
		    strcmp(other, key) == 0)
			return &w->view.boxes[i].st;
	return NULL;
}

static int
put_size(void *ctx, uint32_t uid, uint64_t size, struct err *e)
{
	return spill_put(ctx, uid, &size, sizeof size, e);
}

/* Counts what of the known messages the open mailbox holds; sure are those of
 * the size that is known. */
static int
compare_uids(struct lane *l, struct spill *known, uint64_t *met,
    uint64_t *sure, uint64_t *wrong, struct err *e)
{
	struct arena arena;
	struct msg_meta m = { .uid = 0 };
	uint64_t uid, size;
	const void *rec;
	size_t len;
	int rc = 0, more;

	arena_init(&arena);
	more = source_next(l->eyes, &arena, &m, e);
	while (more != -1 && (rc = spill_next(known, &uid, &rec, &len, e)) ==
	    1) {
		memcpy(&size, rec, sizeof size);
		while (more == 1 && m.uid < uid) {
			arena_reset(&arena);
			more = source_next(l->eyes, &arena, &m, e);
		}
		if (more != 1 || m.uid != uid)
			continue;
		(*met)++;
		if (size == 0 || m.size == UNKNOWN64)
			continue;
		*sure += m.size == size;
		*wrong += m.size != size;
	}
	arena_release(&arena);
	return more == -1 || rc == -1 ? -1 : 0;
}

int
rename_holds(struct work *w, const struct name_row *r, const char *name,
    const struct folder_state *st, struct err *e)
{
	struct lane *l = w->l;
	struct folder_info f = { .path = &name, .npath = 1, .raw_name = name,
	    .name = name, .messages = UNKNOWN64, .bytes = UNKNOWN64 };
	struct spill *known = spill_new();
	uint64_t met = 0, sure = 0, wrong = 0, n;
	enum delta delta;
	int rc = -1;

	if (stored_uids(l->reader, r->id, put_size, known, e) == -1 ||
	    spill_sort(known, e) == -1)
		goto out;
	n = spill_count(known);
	rc = 1;
	if (n == 0)
		goto out;
	rc = lane_open_eyes(l, false, e);
	if (rc == 0)
		rc = source_folder_open(l->eyes, &f, NULL, 0, &delta, e);
	if (rc == 0) {
		rc = compare_uids(l, known, &met, &sure, &wrong, e);
		source_folder_close(l->eyes);
	}
	if (rc == 0)
		rc = lane_target_again(l, e);
	if (rc != -1)
		rc = wrong == 0 && (st->uidvalidity == r->uidvalidity ?
		    2 * met >= n : met == n && 2 * sure >= n);
out:
	spill_free(&known);
	return rc;
}

/* Names. */

static bool
is_below(const struct work *w, const char *name, const char *parent)
{
	size_t n = strlen(parent);

	return *w->sep != '\0' && strncmp(name, parent, n) == 0 &&
	    strncmp(name + n, w->sep, strlen(w->sep)) == 0;
}

static int
find_separator(struct work *w, struct err *e)
{
	static const char *const levels[] = { "a", "b" };
	struct arena *arena = &w->a->arena;
	const char *one, *two;
	bool encoded;
	size_t n;

	w->sep = "";
	if (target_name(w->l->tgt, arena, levels, 1, &one, &encoded, e) == -1)
		return -1;
	if (target_name(w->l->tgt, arena, levels, 2, &two, &encoded, e) == -1)
		return e->scope > ERR_MAILBOX ? -1 : 0;
	n = strlen(one);
	if (strlen(two) > n + 1 && strncmp(one, two, n) == 0)
		w->sep = arena_memdup0(arena, two + n, strlen(two) - n - 1);
	return 0;
}

static unsigned
depth(const struct work *w, const char *name)
{
	unsigned n = 0;

	if (*w->sep != '\0')
		for (; (name = strstr(name, w->sep)) != NULL; name++)
			n++;
	return n;
}

int
rename_load(struct work *w, struct lane *l, struct account *a,
    struct naming *names, struct err *e)
{
	struct name_row *rows;
	size_t n;

	memset(w, 0, sizeof *w);
	w->l = l;
	w->a = a;
	if (name_rows_load(l->reader, a->row.id, &a->arena, &rows, &n, e) ==
	    -1 || parents_load(l->reader, a->row.id, &a->arena, &w->parents,
	    &w->nparents, e) == -1 || find_separator(w, e) == -1)
		return -1;
	w->m = arena_zalloc(&a->arena, (n + 1) * sizeof *w->m);
	for (size_t i = 0; i < n; i++) {
		struct moving *m = &w->m[w->n];

		if (*rows[i].name == '\0')
			continue;
		m->row = &rows[i];
		m->at = m->want = rows[i].name;
		m->key = m->want_key = rows[i].key;
		for (size_t k = 0; names != NULL && k < l->nfolders; k++)
			if (names[k].id == rows[i].id &&
			    names[k].old != NULL && names[k].name != NULL) {
				m->want = names[k].name;
				m->want_key = names[k].key;
				m->naming = &names[k];
			}
		w->n++;
	}
	return 0;
}

static bool
goes_along(const struct work *w, const char *at, const char *from)
{
	return strcmp(at, from) == 0 || is_below(w, at, from);
}

/* Asks for all names of ours: old ones, wanted ones, those of now. */
static int
look_after(struct work *w, const char *from, const char *to, struct err *e)
{
	struct arena *arena = &w->a->arena;
	const char **names = arena_alloc(arena, (3 * w->n + w->nparents + 2) *
	    sizeof *names);
	size_t n = 0;

	names[n++] = from;
	names[n++] = to;
	for (size_t i = 0; i < w->n; i++) {
		names[n++] = w->m[i].at;
		names[n++] = w->m[i].want;
		if (goes_along(w, w->m[i].at, from))
			names[n++] = arena_printf(arena, "%s%s", to,
			    w->m[i].at + strlen(from));
	}
	for (size_t i = 0; i < w->nparents; i++)
		if (goes_along(w, w->parents[i].name, from))
			names[n++] = arena_printf(arena, "%s%s", to,
			    w->parents[i].name + strlen(from));
	return look_around(w, names, n, e);
}

static const struct folder_state *
find_named(struct work *w, const char *name)
{
	const char *key;
	struct err ignored;

	return target_name_key(w->l->tgt, &w->a->arena, name, &key,
	    &ignored) == 0 ? rename_box(w, key) : NULL;
}

/* Those made above ours that went along, unless they stayed: *out. */
static size_t
parents_follow(struct work *w, const char *from, const char *to,
    struct parent **out)
{
	struct arena *arena = &w->a->arena;
	size_t n = 0;

	*out = arena_zalloc(arena, (w->nparents + 1) * sizeof **out);
	for (size_t i = 0; i < w->nparents; i++) {
		struct parent *p = &w->parents[i];
		const struct folder_state *st;
		const char *name;

		if (!goes_along(w, p->name, from))
			continue;
		name = arena_printf(arena, "%s%s", to, p->name +
		    strlen(from));
		if ((st = find_named(w, name)) == NULL)
			continue;
		p->name = name;
		/* Some servers number it anew. */
		if (p->same)
			p->uidvalidity = st->uidvalidity;
		(*out)[n++] = *p;
	}
	return n;
}

/* A rename has been done: everything below goes along, unless the server left
 * it where it was. */
static int
follow(struct work *w, int64_t op, const char *from, const char *to,
    struct err *e)
{
	struct arena *arena = &w->a->arena;
	struct name_change *c = arena_zalloc(arena, w->n * sizeof *c);
	struct parent *up;
	size_t n = 0, nup = parents_follow(w, from, to, &up);

	for (size_t i = 0; i < w->n; i++) {
		struct moving *m = &w->m[i];
		const struct folder_state *st;
		const char *old = m->at, *at, *key;
		int same = 0;

		if (!goes_along(w, m->at, from))
			continue;
		at = arena_printf(arena, "%s%s", to, old + strlen(from));
		if (target_name_key(w->l->tgt, arena, at, &key, e) == -1)
			return -1;
		st = rename_box(w, key);
		if (st == NULL && strcmp(old, from) != 0 &&
		    rename_box(w, m->key) != NULL)
			continue;
		m->at = at;
		m->key = key;
		/* Some servers number a renamed mailbox anew. */
		if (st != NULL && m->row->uidvalidity != 0 &&
		    st->uidvalidity != m->row->uidvalidity)
			same = rename_holds(w, m->row, m->at, st, e);
		if (same == -1)
			return -1;
		if (same == 1)
			m->row->uidvalidity = st->uidvalidity;
		c[n++] = (struct name_change){ m->row->id, old, m->at, m->key,
		    same == 1 ? st->uidvalidity : 0 };
	}
	return name_rows_change(w->l->run->state, w->a->row.id, op, c, n, up,
	    nup, e);
}

/* Subscriptions of ours to names that we have taken away. */
static int
unsubscribe(struct lane *l, struct account *a, struct err *e)
{
	struct open_op r;
	int rc;

	while ((rc = open_op_find(l->reader, a->row.id, "unsubscribe",
	    &a->arena, &r, e)) == 1) {
		if (target_subscribe(l->tgt, r.from, false, e) == -1) {
			if (e->scope > ERR_MAILBOX)
				return -1;
			lane_note(l, "warn", r.from, "%s", e->text);
		}
		if (op_done(l->run->state, r.id, e) == -1 ||
		    state_sync(l->run->state, e) == -1)
			return -1;
	}
	return rc;
}

static int
rename_one(struct work *w, struct moving *m, const char *to, struct err *e)
{
	struct lane *l = w->l;
	const char *from = m->at;
	struct parents up;
	int64_t op;

	for (size_t i = 0; i < w->nparents; i++) {
		struct parent *p = &w->parents[i];
		const struct folder_state *st = find_named(w, p->name);

		p->same = st != NULL && p->uidvalidity != 0 &&
		    st->uidvalidity == p->uidvalidity;
	}
	if (parents_begin(l, &w->a->arena, m->row->id, to, &up, e) == -1 ||
	    op_begin(l->run->state, w->a->row.id, m->row->id, "rename", from,
	    to, &op, e) == -1)
		return -1;
	if (target_folder_rename(l->tgt, from, to, e) == -1) {
		struct err ignored;

		/* A clear no: nothing is in doubt. */
		if (e->scope == ERR_MAILBOX && !e->retry &&
		    target_broken(l->tgt, &ignored) == 0) {
			w->refused = true;
			if (op_drop(l->run->state, op, &ignored) == -1 ||
			    parents_not_made(l, &up, &ignored) == -1)
				*e = ignored;
			else
				e->scope = ERR_ACCOUNT;
		}
		return -1;
	}
	if (look_after(w, from, to, e) == -1 ||
	    follow(w, op, from, to, e) == -1 || parents_made(l, &up, e) == -1)
		return -1;
	fault_point("rename.noted");
	lane_note(l, "renamed", m->row->src_name, "%s is now called %s at the "
	    "target, it was %s", m->row->src_name, to, from);
	return unsubscribe(l, w->a, e);
}

static int
look_before(struct work *w, struct err *e)
{
	const char **names = arena_alloc(&w->a->arena, (2 * w->n +
	    w->nparents + 1) * sizeof *names);
	size_t n = 0;

	for (size_t i = 0; i < w->n; i++) {
		names[n++] = w->m[i].at;
		names[n++] = w->m[i].want;
	}
	for (size_t i = 0; i < w->nparents; i++)
		names[n++] = w->parents[i].name;
	return look_around(w, names, n, e);
}

/* Whose name is this?  One of ours that has still to move, or NULL. */
static struct moving *
blocker(struct work *w, const struct moving *m)
{
	for (size_t i = 0; i < w->n; i++)
		if (&w->m[i] != m && strcmp(w->m[i].key, m->want_key) == 0 &&
		    strcmp(w->m[i].at, w->m[i].want) != 0)
			return &w->m[i];
	return NULL;
}

/* The next that can be renamed at once, parents first; else one that is in a
 * circle and goes out of the way: *aside.  NULL: none is left, or *e. */
static struct moving *
next_moving(struct work *w, bool *aside, struct err *e)
{
	struct moving *ready, *circle, *stuck;

again:
	ready = circle = stuck = NULL;

	err_clear(e);
	for (size_t i = 0; i < w->n; i++) {
		struct moving *m = &w->m[i];

		if (strcmp(m->at, m->want) == 0)
			continue;
		if (is_below(w, m->want, m->at) || blocker(w, m) != NULL)
			circle = circle != NULL ? circle : m;
		else if (rename_box(w, m->want_key) != NULL &&
		    strcmp(m->key, m->want_key) != 0)
			stuck = m;
		else if (ready == NULL || depth(w, m->want) <
		    depth(w, ready->want))
			ready = m;
	}
	*aside = ready == NULL && circle != NULL;
	if (ready == NULL && circle == NULL && stuck != NULL &&
	    stuck->naming != NULL && stuck->naming->moved) {
		rename_stay(w, stuck, "there is a mailbox of that name "
		    "already");
		goto again;
	}
	if (ready == NULL && circle == NULL && stuck != NULL)
		err_set(e, ERR_ACCOUNT, "%s cannot be renamed to %s at the "
		    "target: there is a mailbox of that name already",
		    stuck->at, stuck->want);
	return ready != NULL ? ready : circle;
}

bool
rename_is_inbox(const char *name)
{
	return strcasecmp(name, "INBOX") == 0;
}

/* Why the first of the names that differ by other rules cannot be renamed
 * (now): 1; 0: there is none.  *moved: some differ as the source has renamed
 * them. */
static int
check_wish(struct lane *l, const struct naming *names, bool *moved,
    struct err *e)
{
	size_t n = 0;

	err_clear(e);
	*moved = false;
	for (size_t i = 0; i < l->nfolders; i++) {
		const struct naming *m = &names[i];
		const char *folder = l->folders[i].name;

		if (m->old == NULL)
			continue;
		if (m->moved) {
			*moved = true;
			continue;
		}
		n++;
		if (rename_is_inbox(m->old) || rename_is_inbox(m->name))
			return err_set(e, ERR_ACCOUNT, "%s was copied to %s and"
			    " would now be %s, but INBOX is never renamed: "
			    "change the rule back, or forget the account and "
			    "copy it anew", folder, m->old, m->name);
		if (e->scope == ERR_NONE)
			err_set(e, ERR_ACCOUNT, "%s was copied to %s and would "
			    "now be %s: nothing was done; --apply-renames "
			    "renames what was copied", folder, m->old,
			    m->name);
	}
	if (n == 0)
		return 0;
	if (n > 1) {
		size_t len = strlen(e->text);

		snprintf(e->text + len, sizeof e->text - len, " (and %zu "
		    "more)", n - 1);
	}
	return 1;
}

bool
rename_there(struct work *w, const char *key)
{
	const char *other;
	struct err ignored;

	for (size_t i = 0; i < w->view.n; i++)
		if (target_name_key(w->l->tgt, &w->a->arena,
		    w->view.boxes[i].name, &other, &ignored) == 0 &&
		    strcmp(other, key) == 0)
			return true;
	return false;
}

static int
check_there(struct work *w, const struct moving *m, struct err *e)
{
	if (rename_there(w, m->key))
		return 0;
	return err_set(e, ERR_ACCOUNT, "%s is no longer at the target and "
	    "cannot be renamed to %s: change the rule back, or forget the "
	    "account and copy it anew", m->at, m->want);
}

/* A plan: what there would be after it. */
static int
pretend(struct work *w, struct moving *m, const char *to, struct err *e)
{
	struct arena *arena = &w->a->arena;
	const char *from = m->at;

	for (size_t i = 0; i < w->view.n; i++) {
		const char **name = &w->view.boxes[i].name;

		if (strcmp(*name, from) == 0 || is_below(w, *name, from))
			*name = arena_printf(arena, "%s%s", to, *name +
			    strlen(from));
	}
	for (size_t i = 0; i < w->n; i++) {
		struct moving *k = &w->m[i];

		if (!goes_along(w, k->at, from))
			continue;
		k->at = arena_printf(arena, "%s%s", to, k->at + strlen(from));
		if (target_name_key(w->l->tgt, arena, k->at, &k->key, e) == -1)
			return -1;
	}
	return 0;
}

/* The next step, if there is one: 1. */
static int
step(struct work *w, struct err *e)
{
	struct account *a = w->a;
	const char *to, *level;
	struct moving *m;
	bool encoded, aside;
	int rc;

	if ((m = next_moving(w, &aside, e)) == NULL)
		return e->scope == ERR_NONE ? 0 : -1;
	to = m->want;
	if (aside) {
		level = arena_printf(&a->arena, "mailhaul-%" PRId64,
		    m->row->id);
		if (target_name(w->l->tgt, &a->arena, &level, 1, &to, &encoded,
		    e) == -1)
			return -1;
	}
	w->refused = false;
	rc = check_there(w, m, e);
	if (rc == 0)
		rc = w->l->run->planning ? pretend(w, m, to, e) :
		    rename_one(w, m, to, e);
	if (rc == -1 && w->refused && m->naming != NULL && m->naming->moved) {
		rename_stay(w, m, e->text);
		return 1;
	}
	return rc == -1 ? err_ctx(e, "rename") : 1;
}

int
rename_apply(struct lane *l, struct account *a, struct naming *names,
    struct err *e)
{
	struct work w;
	size_t steps = 0;
	bool moved;
	int rc;

	if ((rc = check_wish(l, names, &moved, e)) == -1)
		return -1;
	if (rc == 1 && !l->run->set->apply_renames)
		return -1;
	if (rc == 1 && strcmp(a->row.stage, "released") == 0)
		return err_set(e, ERR_ACCOUNT, "mailboxes would have other "
		    "names now, but the account is released: its owner names "
		    "them");
	if (rc == 0 && !moved)
		return rename_moved_end(l, a, names, e);
	if (rename_load(&w, l, a, names, e) == -1 ||
	    look_before(&w, e) == -1 || (moved && rename_moved(&w, e) == -1))
		return -1;
	while ((rc = step(&w, e)) == 1)
		if (steps++ > 4 * w.n + 4)
			return err_set(e, ERR_ACCOUNT, "the renames come to no "
			    "end");
	if (rc == -1)
		return -1;
	rename_clashes(&w, names);
	return rename_moved_end(l, a, names, e);
}

/* Was it done?  1 or 0. */
static int
was_done(struct work *w, const struct open_op *r,
    const struct name_row *row, struct err *e)
{
	const struct folder_state *from, *to;
	const char *from_key, *to_key;

	if (target_name_key(w->l->tgt, &w->a->arena, r->from, &from_key, e) ==
	    -1 || target_name_key(w->l->tgt, &w->a->arena, r->to, &to_key,
	    e) == -1)
		return -1;
	from = rename_box(w, from_key);
	to = rename_box(w, to_key);
	if (to == NULL || row == NULL)
		return 0;
	if (from != NULL && from->uidvalidity == row->uidvalidity)
		return 0;
	if (to->uidvalidity == row->uidvalidity || row->uidvalidity == 0)
		return from == NULL || row->uidvalidity != 0;
	return rename_holds(w, row, r->to, to, e);
}

int
rename_settle(struct lane *l, struct account *a, struct err *e)
{
	struct open_op r;
	struct work w;
	int rc;

	while ((rc = open_op_find(l->reader, a->row.id, "rename",
	    &a->arena, &r, e)) == 1) {
		const struct name_row *row = NULL;

		if (rename_load(&w, l, a, NULL, e) == -1 ||
		    look_after(&w, r.from, r.to, e) == -1)
			return -1;
		for (size_t i = 0; i < w.n; i++)
			if (w.m[i].row->id == r.mailbox_id)
				row = w.m[i].row;
		rc = was_done(&w, &r, row, e);
		if (rc == 1)
			rc = follow(&w, r.id, r.from, r.to, e);
		else if (rc == 0)
			rc = op_drop(l->run->state, r.id, e);
		if (rc == -1)
			return -1;
	}
	if (rc == -1 || l->run->planning)
		return rc;
	return unsubscribe(l, a, e);
}

int
rename_user(struct lane *l, struct account *a, const char *old,
    struct err *e)
{
	struct name_change *c;
	const char **names;
	struct work w;
	size_t n = 0;

	if (rename_load(&w, l, a, NULL, e) == -1)
		return -1;
	names = arena_alloc(&a->arena, (w.n + 1) * sizeof *names);
	c = arena_zalloc(&a->arena, (w.n + 1) * sizeof *c);
	for (size_t i = 0; i < w.n; i++)
		names[i] = w.m[i].at;
	if (look_around(&w, names, w.n, e) == -1)
		return -1;
	for (size_t i = 0; i < w.n; i++) {
		struct moving *m = &w.m[i];
		const struct folder_state *st = rename_box(&w, m->key);
		int rc = 0;

		if (!m->row->there)
			continue;
		if (st != NULL)
			rc = rename_holds(&w, m->row, m->at, st, e);
		if (rc == -1)
			return -1;
		if (rc == 0)
			return err_set(e, ERR_ACCOUNT, "the target user was %s "
			    "and is now %s, who does not hold what was copied "
			    "to %s: rename the user at the server and run "
			    "again, or forget the account and copy it anew",
			    old, a->target_user, m->at);
		c[n++] = (struct name_change){ m->row->id, m->at, m->at,
		    m->key, st->uidvalidity };
	}
	if (name_rows_change(l->run->state, a->row.id, 0, c, n, NULL, 0, e) ==
	    -1)
		return -1;
	lane_note(l, "renamed", "target user", "the target user is now %s, it "
	    "was %s", a->target_user, old);
	return 0;
}
