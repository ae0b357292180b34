/*
 * What adopting an account will cost and find: bodies that have to be read at
 * the target, and mailboxes that another tool seems to have filled under another
 * name, as they hold messages of the same dates.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/xmalloc.h"
#include "look.h"
#include "plan_impl.h"

#define MOST	((size_t)2000000)	/* messages that are compared */

struct dates {
	const char	*name;
	uint64_t	 messages;
	int64_t		*v;
	size_t		 n, cap;
};

static int
cmp_date(const void *pa, const void *pb)
{
	int64_t a, b;

	memcpy(&a, pa, sizeof a);
	memcpy(&b, pb, sizeof b);
	return a < b ? -1 : a > b;
}

/* The dates of the open mailbox, sorted. */
static int
read_dates(struct source *src, struct dates *d, struct err *e)
{
	struct arena arena;
	struct msg_meta m;
	int rc;

	arena_init(&arena);
	d->n = 0;
	while ((rc = source_next(src, &arena, &m, e)) == 1 && d->n < MOST) {
		if (d->n == d->cap) {
			d->cap = d->cap == 0 ? 1000 : 2 * d->cap;
			d->v = xreallocarray(d->v, d->cap, sizeof *d->v);
		}
		if (m.date != NO_DATE)
			d->v[d->n++] = m.date;
		if (arena.used > 65536)
			arena_reset(&arena);
	}
	arena_release(&arena);
	if (d->n > 0)
		qsort(d->v, d->n, sizeof *d->v, cmp_date);
	return rc == -1 ? -1 : 0;
}

static uint64_t
in_both(const struct dates *a, const struct dates *b)
{
	uint64_t n = 0;
	size_t i = 0, k = 0;

	while (i < a->n && k < b->n) {
		if (a->v[i] == b->v[k]) {
			n++;
			i++;
			k++;
		} else if (a->v[i] < b->v[k])
			i++;
		else
			k++;
	}
	return n;
}

static bool
is_of_a_pair(struct lane *l, struct account *a, const char *box)
{
	struct err ignored;
	const char *key;

	if (target_name_key(l->tgt, &a->arena, box, &key, &ignored) == -1)
		return true;
	for (const struct pair *p = a->pairs; p != NULL; p = p->next)
		if (strcmp(p->tgt_key, key) == 0)
			return true;
	return false;
}

/* All mailboxes of the target with their counts; those of no pair are in d. */
static int
survey(struct lane *l, struct account *a, struct dates **d, size_t *n,
    uint64_t *messages, struct err *e)
{
	const char **names = arena_alloc(&a->arena, (a->view.n + 1) *
	    sizeof *names);
	struct target_view all;
	size_t k = 0;

	*n = 0;
	*messages = 0;
	for (size_t i = 0; i < a->view.n; i++)
		if (!a->view.boxes[i].noselect &&
		    !a->view.boxes[i].of_others)
			names[k++] = a->view.boxes[i].name;
	if (target_survey(l->tgt, &a->arena, names, k, false, &all, e) == -1)
		return -1;
	*d = arena_zalloc(&a->arena, (all.n + 1) * sizeof **d);
	for (size_t i = 0; i < all.n; i++) {
		const struct target_box *b = &all.boxes[i];

		if (b->noselect || b->of_others || b->st.messages == 0)
			continue;
		if (b->st.messages != UNKNOWN64)
			*messages += b->st.messages;
		if (is_of_a_pair(l, a, b->name))
			continue;
		(*d)[*n].name = b->name;
		(*d)[(*n)++].messages = b->st.messages;
	}
	return 0;
}

/* Which of them holds most of a source mailbox that the target does not have
 * under its own name? */
static int
compare(struct lane *l, struct plan_account *pa, const struct pair *p,
    const struct dates *boxes, size_t n, struct err *e)
{
	struct folder_info *f = account_folder(l, p, e);
	struct dates mine = { .name = p->src_name };
	const struct dates *best = NULL;
	uint64_t most = 0;
	enum delta delta;
	int rc;

	if (f == NULL || source_folder_open(l->src, f, NULL, 0, &delta, e) ==
	    -1)
		return 0;	/* which is told of it already */
	rc = read_dates(l->src, &mine, e);
	source_folder_close(l->src);
	for (size_t i = 0; i < n && rc == 0; i++) {
		uint64_t same = in_both(&mine, &boxes[i]);

		if (same > most) {
			most = same;
			best = &boxes[i];
		}
	}
	if (rc == 0 && best != NULL && 2 * most > mine.n)
		plan_addf(&pa->warnings, &pa->arena, "map", p->src_name, "%"
		    PRIu64 " of its %zu messages have the dates of messages "
		    "that the target holds in %.100s: copy will not copy again "
		    "what is equal; --map '%.100s -> %.100s' makes one mailbox "
		    "of the two", most, mine.n, best->name, p->src_name,
		    best->name);
	free(mine.v);
	return rc == -1 && e->scope > ERR_MAILBOX ? -1 : 0;
}

static int
propose(struct lane *l, struct plan_account *pa, struct dates *boxes,
    size_t n, struct err *e)
{
	struct account *a = pa->account;

	for (size_t i = 0; i < n; i++) {
		struct pair p = { .tgt_name = boxes[i].name };
		struct folder_info f;

		if (look_open(l, &p, 0, false, &f, e) == -1) {
			if (e->scope > ERR_MAILBOX)
				return -1;
			continue;
		}
		if (read_dates(l->eyes, &boxes[i], e) == -1) {
			source_folder_close(l->eyes);
			return -1;
		}
		source_folder_close(l->eyes);
	}
	for (const struct pair *p = a->pairs; p != NULL; p = p->next) {
		const struct target_box *own = account_box(l, a, p);

		if (own != NULL && own->st.messages != 0)
			continue;
		if (compare(l, pa, p, boxes, n, e) == -1)
			return -1;
	}
	return 0;
}

void
plan_adopt(struct lane *l, struct plan_account *pa)
{
	struct account *a = pa->account;
	struct target_caps caps;
	struct dates *boxes;
	uint64_t messages;
	struct err e;
	size_t n;

	if (!pa->ready || !a->viewed || a->user_missing || l->src == NULL ||
	    l->tgt == NULL || strcmp(a->row.stage, "new") != 0 ||
	    a->row.messages > 0 || l->run->set->merge_existing)
		return;
	if (survey(l, a, &boxes, &n, &messages, &e) == -1 || messages == 0)
		return;
	target_caps(l->tgt, &caps);
	if (caps.bits & TGT_TELLS_SHA1)
		plan_addf(&pa->warnings, &pa->arena, "reads", NULL, "the "
		    "target's %" PRIu64 " messages are recognised by its index:"
		    " only those that have no equal are read", messages);
	else
		plan_addf(&pa->warnings, &pa->arena, "reads", NULL, "the bodies"
		    " of the target's %" PRIu64 " messages are read once to "
		    "recognise them", messages);
	if (n > 0 && propose(l, pa, boxes, n, &e) == -1) {
		plan_addf(&pa->warnings, &pa->arena, "map", NULL, "whether "
		    "mailboxes have other names at the target could not be "
		    "seen: %s", e.text);
		lane_close_eyes(l);
	}
	for (size_t i = 0; i < n; i++)
		free(boxes[i].v);
}
