/*
 * Undo: a mailbox of ours that is empty goes.
 *
 * Mail may come in until the last moment.  So all else is done first, and then
 * the mailbox is put aside under a name that nobody delivers to: what is in it
 * then stays, and with it the mailbox, under its own name again.  An op names
 * both, so that the next undo finds one that was put aside by one that was cut
 * off.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/fault.h"
#include "undo_impl.h"

/* Another mailbox is the open one: no server minds then that this one goes. */
static int
open_inbox(struct lane *l, struct err *e)
{
	struct folder_state inbox;
	int rc = target_folder_open(l->tgt, "INBOX", &inbox, e);

	target_folder_close(l->tgt);
	return rc == -1 ? -1 : 0;
}

/* 1: it is there, and *st is what it holds. */
static int
look_into(struct lane *l, const char *name, struct folder_state *st,
    struct err *e)
{
	int rc = target_folder_open(l->tgt, name, st, e);

	target_folder_close(l->tgt);
	return rc;
}

/* A clear no of the server, on a session that goes on. */
static bool
is_no(struct lane *l, const struct err *e)
{
	struct err ignored;

	return e->scope <= ERR_MAILBOX && target_broken(l->tgt, &ignored) ==
	    0;
}

/* What belongs to it is taken away; *was: it was subscribed by us. */
static int
strip(struct lane *l, const struct going *g, bool *was, struct err *e)
{
	int rc = op_was_done(l->reader, l->account->row.id, "subscribe",
	    g->name, e);

	if (rc == -1)
		return -1;
	*was = rc == 1;
	if (*was && target_subscribe(l->tgt, g->name, false, e) == -1)
		return -1;
	if (open_inbox(l, e) == -1)
		return -1;
	/* Cyrus deletes none that is marked. */
	return g->special_use != 0 && target_mark_use(l->tgt, g->name, 0,
	    e) == -1 ? -1 : 0;
}

/* It stays as it was; at is where it is.  *note tells. */
static int
put_back(struct lane *l, const struct going *g, const char *at, bool was,
    struct arena *a, const char **note, struct err *e)
{
	*note = "something came into it meanwhile: it stays";
	if (open_inbox(l, e) == -1)
		return -1;
	if (strcmp(at, g->name) != 0 && target_folder_rename(l->tgt, at,
	    g->name, e) == -1) {
		if (!is_no(l, e))
			return -1;
		*note = arena_printf(a, "something came into it meanwhile: it "
		    "stays, and is called %s now", at);
		return 0;
	}
	if ((was && target_subscribe(l->tgt, g->name, true, e) == -1) ||
	    (g->special_use != 0 && target_mark_use(l->tgt, g->name,
	    g->special_use, e) == -1))
		return is_no(l, e) ? 0 : -1;
	return 0;
}

/* Under a name that nobody delivers to; *at is where it is then.  Where names
 * are not to be had, a look just before the end has to do. */
static int
put_aside(struct lane *l, const struct going *g, const char **at,
    struct arena *a, struct aside **list, struct err *e)
{
	struct aside *x;

	if (!g->in_place && target_folder_rename(l->tgt, g->name, *at, e) ==
	    0) {
		x = arena_zalloc(a, sizeof *x);
		x->name = g->name;
		x->at = *at;
		x->next = *list;
		*list = x;
		fault_point("undo.aside");
		return 0;
	}
	if (!g->in_place && !is_no(l, e))
		return -1;
	*at = g->name;
	return 0;
}

int
undo_mailbox(struct lane *l, const struct going *g, struct arena *a,
    struct aside **list, const char **note, struct err *e)
{
	const char *at = arena_printf(a, "%s-mailhaul-%" PRId64, g->name,
	    g->mailbox_id);
	struct folder_state st;
	int64_t op;
	bool was;
	int rc;

	*note = NULL;
	if (op_begin(l->run->state, l->account->row.id, g->mailbox_id,
	    g->kind, g->name, at, &op, e) == -1)
		return -1;
	rc = look_into(l, g->name, &st, e);
	if (rc == -1)
		return -1;
	if (rc == 1 && (st.messages > 0 || st.uidvalidity != g->uidvalidity)) {
		*note = "something came into it meanwhile: it stays";
		return op_done(l->run->state, op, e);
	}
	if (strip(l, g, &was, e) == -1)
		return -1;
	if (rc == 0)
		return 1;
	if (put_aside(l, g, &at, a, list, e) == -1)
		return -1;
	rc = look_into(l, at, &st, e);
	if (rc == 1 && st.messages > 0) {
		if (put_back(l, g, at, was, a, note, e) == -1)
			return -1;
		return op_done(l->run->state, op, e);
	}
	if (rc == -1 || open_inbox(l, e) == -1)
		return -1;
	if (rc == 1 && target_folder_delete(l->tgt, at, e) == -1) {
		struct err ignored;

		/* The next undo would do the same. */
		if (at != g->name && is_no(l, e))
			target_folder_rename(l->tgt, at, g->name, &ignored);
		return -1;
	}
	return 1;
}

/* One that was put aside: it goes if it is empty, else back. */
static int
put_back_aside(struct lane *l, const struct aside *x, struct err *e)
{
	struct folder_state st, other;
	int rc = look_into(l, x->at, &st, e);

	if (rc != 1)
		return rc;
	if (st.messages == 0)
		return open_inbox(l, e) == -1 ? -1 : target_folder_delete(
		    l->tgt, x->at, e);
	rc = look_into(l, x->name, &other, e);
	if (rc != 0)
		return rc == 1 ? 0 : -1;
	if (open_inbox(l, e) == -1)
		return -1;
	return target_folder_rename(l->tgt, x->at, x->name, e);
}

int
undo_asides(struct lane *l, const char *kind, struct arena *a,
    struct aside **list, struct err *e)
{
	if (undo_load_asides(l->reader, l->account->row.id, kind, a, list,
	    e) == -1)
		return -1;
	for (const struct aside *x = *list; x != NULL; x = x->next)
		if (put_back_aside(l, x, e) == -1)
			return err_ctx(e, "%.100s", x->at);
	return 0;
}

/* A name that begins like one that was put aside: what lies below it. */
static int
bring_back(struct lane *l, struct arena *a, const char *name,
    const struct aside *list, struct err *e)
{
	struct folder_state st;
	struct err no;
	int rc;

	for (; list != NULL; list = list->next) {
		size_t n = strlen(list->at);

		if (strncmp(name, list->at, n) != 0 || name[n] == '\0')
			continue;
		if (target_folder_rename(l->tgt, name, arena_printf(a, "%s%s",
		    list->name, name + n), &no) == 0)
			return 0;
		/* It may have gone along with the one above it. */
		rc = is_no(l, &no) ? look_into(l, name, &st, e) : 1;
		if (rc == 1)
			*e = no;
		return rc == 0 ? 0 : -1;
	}
	return 0;
}

static int
cmp_box(const void *a, const void *b)
{
	const struct target_box *x = a, *y = b;

	return strcmp(x->name, y->name);
}

int
undo_strays(struct lane *l, struct arena *a, const struct aside *list,
    struct err *e)
{
	struct target_view view;

	if (list == NULL)
		return 0;
	if (target_survey(l->tgt, a, NULL, 0, false, &view, e) == -1)
		return -1;
	/* Those above others first. */
	qsort(view.boxes, view.n, sizeof *view.boxes, cmp_box);
	for (size_t i = 0; i < view.n; i++)
		if (!view.boxes[i].noselect && bring_back(l, a,
		    view.boxes[i].name, list, e) == -1)
			return -1;
	return 0;
}
