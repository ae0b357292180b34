/* The names of mailboxes at the target. */
#include "naming.h"

#include <stdlib.h>
#include <string.h>

#include "base/xmalloc.h"

struct work {
	struct lane	*l;
	struct arena	*arena;
	struct name_row	*rows;
	size_t		 nrows;
	const char	**taken;	/* as the target compares names */
	size_t		 ntaken;
};

static bool
is_taken(const struct work *w, const char *key)
{
	for (size_t i = 0; i < w->ntaken; i++)
		if (strcmp(w->taken[i], key) == 0)
			return true;
	return false;
}

static struct name_row *
row_of(const struct work *w, const char *src_key)
{
	for (size_t i = 0; i < w->nrows; i++)
		if (strcmp(w->rows[i].src_key, src_key) == 0)
			return &w->rows[i];
	return NULL;
}

/* "Trash" that is taken becomes "Trash (INBOX)", then "Trash (INBOX) 2"... */
static const char *const *
with_number(struct arena *arena, const struct rule_result *r,
    const struct folder_info *f, unsigned n)
{
	const char **path = arena_alloc(arena, r->npath * sizeof *path);
	const char *parent = f->npath > 1 ? f->path[f->npath - 2] : "copy";

	memcpy(path, r->path, r->npath * sizeof *path);
	path[r->npath - 1] = n == 1 ? arena_printf(arena, "%s (%s)",
	    r->path[r->npath - 1], parent) : arena_printf(arena, "%s (%s) %u",
	    r->path[r->npath - 1], parent, n);
	return path;
}

/* The nth name that the rules give, the first one being 0. */
static int
make_name(struct work *w, const struct naming *m, const struct folder_info *f,
    unsigned n, const char **name, const char **key, bool *encoded,
    struct err *e)
{
	const char *const *path = n == 0 ? m->rule.path :
	    with_number(w->arena, &m->rule, f, n);

	if (target_name(w->l->tgt, w->arena, path, m->rule.npath, name,
	    encoded, e) == -1)
		return -1;
	return target_name_key(w->l->tgt, w->arena, *name, key, e);
}

/* Is this one of the names that the rules give?  There are no more of them
 * than mailboxes. */
static int
is_by_rules(struct work *w, const struct naming *m,
    const struct folder_info *f, const char *key, struct err *e)
{
	const char *name, *other;
	bool encoded;

	for (unsigned n = 0; n <= w->nrows + w->l->nfolders; n++) {
		if (make_name(w, m, f, n, &name, &other, &encoded, e) == -1)
			return -1;
		if (strcmp(other, key) == 0)
			return 1;
	}
	return 0;
}

/*
 * With special-use=rename the mailbox of a use is the one with more mail, and
 * that changes from pass to pass: one that may be it keeps the use's name if it
 * has it, and its own if it has that.
 */
static int
is_by_use(struct work *w, const struct naming *m, const struct folder_info *f,
    const char *key, struct err *e)
{
	struct naming other = *m;
	int rc = 0;

	if (!rules_rename_uses(w->l->run->set->rules) ||
	    m->rule.candidate == 0 || (m->rule.mapped != NULL &&
	    strcmp(m->rule.mapped, "special-use rename") != 0))
		return 0;
	for (unsigned use = 1; use <= USE_TRASH && rc == 0; use <<= 1) {
		const char **path;

		if ((m->rule.candidate & use) == 0)
			continue;
		path = arena_alloc(w->arena, sizeof *path);
		path[0] = use_word(use) + 1;
		other.rule.path = path;
		other.rule.npath = 1;
		rc = is_by_rules(w, &other, f, key, e);
	}
	for (size_t up = 0; up < f->npath && up < 2 && rc == 0; up++) {
		other.rule.path = f->path + up;
		other.rule.npath = f->npath - up;
		rc = is_by_rules(w, &other, f, key, e);
	}
	return rc;
}

/* A mailbox whose mail is at the target keeps its name while the rules allow
 * it. */
static int
keep_name(struct work *w, struct naming *m, const struct folder_info *f,
    struct err *e)
{
	const struct name_row *r = row_of(w, m->src_key);
	int rc;

	if (r == NULL)
		return 0;
	m->id = r->id;
	if (*r->name == '\0')
		return 0;
	m->follows = r->moved == MOVED_FOLLOW;
	rc = r->moved == MOVED_STAY && r->there ? 1 :
	    is_by_rules(w, m, f, r->key, e);
	if (rc == 0 && r->there)
		rc = is_by_use(w, m, f, r->key, e);
	if (rc == -1)
		return -1;
	if (rc == 1 && (r->there || !is_taken(w, r->key))) {
		m->name = r->name;
		m->key = r->key;
		w->taken[w->ntaken++] = r->key;
	} else if (rc == 0 && r->there) {
		m->old = r->name;
		m->moved = m->follows;
	}
	return 0;
}

static int
new_name(struct work *w, struct naming *m, const struct folder_info *f,
    struct err *e)
{
	const char *name, *key;

	for (unsigned n = 0;; n++) {
		if (make_name(w, m, f, n, &name, &key, &m->encoded, e) == -1)
			return -1;
		if (!is_taken(w, key))
			break;
		m->collided = true;
		if (w->l->run->set->refuse_collisions || n > 1000) {
			m->outcome = "failed";
			m->why = "its name at the target is taken by another "
			    "mailbox";
			return 0;
		}
	}
	m->name = name;
	m->key = key;
	m->fresh = m->old == NULL;
	w->taken[w->ntaken++] = key;
	return 0;
}

/* What has no right name is left out; the others go on. */
static int
refused_name(struct work *w, struct naming *m, int rc, struct err *e)
{
	if (rc == 0)
		return 0;
	if (e->scope != ERR_MAILBOX)
		return -1;
	m->outcome = "failed";
	m->why = arena_strdup(w->arena, e->text);
	m->name = m->key = m->old = NULL;
	return 0;
}

/* Mailboxes that are not listed any more still have their names. */
static void
take_gone_names(struct work *w, const struct naming *out)
{
	for (size_t k = 0; k < w->nrows; k++) {
		size_t i;

		for (i = 0; i < w->l->nfolders; i++)
			if (out[i].id == w->rows[k].id)
				break;
		if (w->rows[k].there && (i == w->l->nfolders ||
		    out[i].outcome != NULL))
			w->taken[w->ntaken++] = w->rows[k].key;
	}
}

int
account_names(struct lane *l, struct account *a, struct naming *out,
    struct err *e)
{
	struct work w = { .l = l, .arena = &a->arena };
	struct rule_result *results;
	int rc;

	if (name_rows_load(l->reader, a->row.id, &a->arena, &w.rows, &w.nrows,
	    e) == -1)
		return -1;
	results = xcalloc(l->nfolders + 1, sizeof *results);
	w.taken = xcalloc(2 * l->nfolders + w.nrows + 1, sizeof *w.taken);
	rules_apply(l->run->set->rules, &a->arena, l->folders, l->nfolders,
	    NULL, results);
	rc = 0;
	for (size_t i = 0; i < l->nfolders && rc == 0; i++) {
		const struct folder_info *f = &l->folders[i];
		struct naming *m = &out[i];

		memset(m, 0, sizeof *m);
		m->rule = results[i];
		m->src_key = arena_strdup(&a->arena, l->folder_keys[i]);
		if (f->noselect)
			continue;
		if (m->rule.excluded != NULL || f->refused != NULL) {
			const struct name_row *r = row_of(&w, m->src_key);

			m->id = r != NULL ? r->id : 0;
			m->outcome = m->rule.excluded != NULL ? "excluded" :
			    "unreadable";
			m->why = m->rule.excluded != NULL ? m->rule.excluded :
			    f->refused;
			continue;
		}
		rc = refused_name(&w, m, keep_name(&w, m, f, e), e);
	}
	take_gone_names(&w, out);
	for (size_t i = 0; i < l->nfolders && rc == 0; i++)
		if (!l->folders[i].noselect && out[i].outcome == NULL &&
		    out[i].name == NULL)
			rc = refused_name(&w, &out[i], new_name(&w, &out[i],
			    &l->folders[i], e), e);
	free(results);
	free(w.taken);
	return rc;
}
