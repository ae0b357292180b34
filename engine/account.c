/*
 * The life of an account before and after its pairs: list, names, the checks
 * that keep a run from doing harm, subscriptions and special uses.
 */
#include "rename.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "moved.h"
#include "nearby.h"
#include "pop3_give.h"
#include "quota.h"
#include "removal.h"
#include "rights.h"
#include "rollback.h"
#include "undo.h"
#include "user.h"

/* Fewer messages in the last pass say nothing: they may just be gone. */
#define MIN_KNOWN 3

struct folder_info *
account_folder(struct lane *l, const struct pair *p, struct err *e)
{
	if (p->folder < l->nfolders && strcmp(l->folder_keys[p->folder],
	    p->src_key) == 0)
		return &l->folders[p->folder];
	for (size_t i = 0; i < l->nfolders; i++)
		if (strcmp(l->folder_keys[i], p->src_key) == 0)
			return &l->folders[i];
	err_set(e, ERR_MAILBOX, "the source mailbox %s is gone", p->src_name);
	return NULL;
}

/* What is a mailbox of the state but not to be copied. */
static int
put_left_out(struct lane *l, struct account *a, size_t number,
    const char *outcome, const char *why, struct err *e)
{
	struct folder_info *f = &l->folders[number];
	uint64_t n;
	struct mailbox_end end = { .outcome = outcome, .error = why,
	    .pass = state_pass(l->run->state), .counted = true };

	if (mailbox_put(l->run->state, a->row.id, l->folder_keys[number],
	    f->name, "", "", &end.id, e) == -1)
		return -1;
	if (strcmp(outcome, "excluded") == 0) {
		/* They are counted, so that the sums tell of all mail. */
		n = f->messages;
		l->probing = true;
		if (n == UNKNOWN64 && pair_count(l, f, 0, UINT64_MAX, &n,
		    e) == -1) {
			l->probing = false;
			if (e->scope > ERR_MAILBOX)
				return -1;
			n = 0;
		}
		l->probing = false;
		end.source = end.counts[OUT_EXCLUDED] = n;
	}
	return mailbox_put_end(l->run->state, &end, e);
}

static bool
is_subscribed(const struct account_info *info, const struct folder_info *f,
    enum subscribe mode)
{
	if (mode == SUBSCRIBE_NONE)
		return false;
	if (mode == SUBSCRIBE_ALL ||
	    (mode == SUBSCRIBE_AUTO && !info->has_subscriptions))
		return true;
	if (f->subscribed)
		return true;
	for (size_t i = 0; i < info->nsubscriptions; i++)
		if (strcmp(info->subscriptions[i], f->name) == 0)
			return true;
	return false;
}

/* One pair, for a mailbox that has a name. */
static struct pair *
new_pair(struct lane *l, struct account *a, const struct folder_info *f,
    const struct naming *m)
{
	struct pair *p = arena_zalloc(&a->arena, sizeof *p);

	if (m->fresh && m->encoded)
		lane_note(l, "renamed", f->name, "%s is %s at the target, "
		    "which does not allow all of its characters", f->name,
		    m->name);
	else if (m->fresh && m->collided)
		lane_note(l, "renamed", f->name, "%s is %s at the target, "
		    "where its own name is taken", f->name, m->name);
	p->src_key = m->src_key;
	p->src_name = arena_strdup(&a->arena, f->name);
	p->tgt_name = m->name;
	p->tgt_key = m->key;
	p->messages = f->messages;
	/* What nobody owns has no uses, and no subscribers. */
	p->special_use = a->shared ? 0 : m->rule.use;
	p->subscribe = !a->shared && is_subscribed(&a->info, f,
	    l->run->set->subscribe);
	return p;
}

/* Pairs for all mailboxes that are to be copied, in the source's order. */
static int
make_pairs(struct lane *l, struct account *a, struct err *e)
{
	struct pair **tail = &a->pairs;
	struct mailbox_names *rows = arena_alloc(&a->arena, (l->nfolders + 1) *
	    sizeof *rows);
	size_t n = 0;

	for (size_t i = 0; i < l->nfolders; i++) {
		const struct folder_info *f = &l->folders[i];
		const struct naming *m = &a->names[i];
		struct pair *p;

		if (f->noselect)
			continue;
		if (m->outcome != NULL) {
			if (put_left_out(l, a, i, m->outcome, m->why, e) == -1)
				return -1;
			continue;
		}
		p = new_pair(l, a, f, m);
		p->folder = i;
		rows[n++] = (struct mailbox_names){ p->src_key, f->name,
		    p->tgt_name, p->tgt_key, 0 };
		a->npairs++;
		*tail = p;
		tail = &p->next;
	}
	if (mailboxes_put(l->run->state, a->row.id, rows, n, e) == -1)
		return -1;
	n = 0;
	for (struct pair *p = a->pairs; p != NULL; p = p->next)
		p->id = rows[n++].id;
	return mailboxes_gone(l->run->state, a->row.id, e);
}

/* Messages in one mailbox, counted no further than to "enough". */
static int
count_folder(struct lane *l, struct account *a, size_t number,
    uint64_t enough, uint64_t *n, struct err *e)
{
	struct folder_info *f = &l->folders[number];
	const char *key = l->folder_keys[number];
	int64_t id;

	*n = f->messages;
	if (f->messages != UNKNOWN64)
		return 0;
	if (db_number(l->reader, e, &id, 0, "SELECT id FROM mailbox WHERE"
	    " account_id = ?1 AND src_key = ?2", "ib", a->row.id, key,
	    strlen(key)) == -1)
		return -1;
	if (pair_count(l, f, id, enough, n, e) == -1) {
		if (e->scope > ERR_MAILBOX)
			return -1;
		/* One that is locked for now is not one without mail. */
		if (e->retry)
			*n = enough;
	}
	return 0;
}

/* The source has nothing; *e says so. */
static int
source_is_empty(struct account *a, struct err *e)
{
	struct buf near;

	a->outcome = "empty";
	buf_init(&near, 200);
	if (source_nearby(a->src_uri, &near) > 0) {
		size_t len = strlen(e->text);

		snprintf(e->text + len, sizeof e->text - len, "; there is mail"
		    " in %s", near.ptr);
	}
	buf_release(&near);
	return -1;
}

/* Nothing at the source, or much less than in the last pass?  Then nothing is
 * done to the target. */
static int
check_source(struct lane *l, struct account *a, struct err *e)
{
	uint64_t total = 0, n, half = (uint64_t)a->row.messages / 2;
	bool inbox = false;

	if (l->run->set->empty_ok)
		return 0;
	for (size_t i = 0; i < l->nfolders; i++)
		if (l->folders[i].npath == 1 &&
		    strcasecmp(l->folders[i].path[0], "INBOX") == 0)
			inbox = true;
	if (!inbox) {
		err_set(e, ERR_ACCOUNT, "the source has no INBOX: is it the "
		    "right place? if it is, say empty=ok");
		return source_is_empty(a, e);
	}
	if (half == 0)
		half = 1;
	for (size_t i = 0; i < l->nfolders && total < half; i++) {
		struct folder_info *f = &l->folders[i];

		if (f->noselect || f->refused != NULL)
			continue;
		if (count_folder(l, a, i, half - total, &n, e) == -1)
			return -1;
		total += n;
	}
	if (total >= half)
		return 0;
	if (a->row.messages > 1)
		return err_set(e, ERR_ACCOUNT, "the source shows %" PRIu64
		    " messages, in the last pass it had %" PRId64 ": nothing "
		    "was done; if that is right, say empty=ok", total,
		    a->row.messages);
	err_set(e, ERR_ACCOUNT, NO_MESSAGE);
	return source_is_empty(a, e);
}

/* 1: one of its mailboxes holds a message that the state knows. */
static int
meets_known(struct lane *l, struct account *a, bool sample, bool *any,
    struct err *e)
{
	bool known, met;

	for (struct pair *p = a->pairs; p != NULL; p = p->next) {
		if (pair_recognise(l, p, sample, &known, &met, e) == -1) {
			/* Its own turn tells more. */
			if (e->scope <= ERR_MAILBOX)
				continue;
			return -1;
		}
		if (met)
			return 1;
		*any = *any || known;
	}
	return 0;
}

/*
 * An account is its name, and its store may have moved; but a store that holds
 * nothing of what the state knows is another one.  A server that was put in
 * place of the old one may have given other keys to all of it: then some
 * messages of each mailbox are read.
 */
static int
check_same_store(struct lane *l, struct account *a, struct err *e)
{
	bool any = false;
	int rc;

	if (l->run->set->merge_existing)
		return 0;
	rc = meets_known(l, a, false, &any, e);
	if (rc == 0 && any && a->row.messages >= MIN_KNOWN) {
		rc = meets_known(l, a, true, &any, e);
		if (rc == 0)
			return err_set(e, ERR_ACCOUNT, "this is not the store "
			    "of the last pass: it holds none of the messages "
			    "that the state knows; if it is the right one, "
			    "say existing=merge");
	}
	return rc == -1 ? -1 : 0;
}

struct box_key { const char *key; size_t box; };

static int
by_key(const void *pa, const void *pb)
{
	const struct box_key *a = pa, *b = pb;
	int c = strcmp(a->key, b->key);

	return c != 0 ? c : a->box < b->box ? -1 : a->box > b->box;
}

/* The names at the target as it compares them, sorted. */
static void
sort_boxes(struct lane *l, struct account *a)
{
	struct err e;

	a->box_keys = arena_alloc(&a->arena, (a->view.n + 1) *
	    sizeof *a->box_keys);
	for (size_t i = 0; i < a->view.n; i++) {
		a->box_keys[i].box = i;
		if (target_name_key(l->tgt, &a->arena, a->view.boxes[i].name,
		    &a->box_keys[i].key, &e) == -1)
			a->box_keys[i].key = "";
	}
	if (a->view.n > 0)
		qsort(a->box_keys, a->view.n, sizeof *a->box_keys, by_key);
}

const struct target_box *
account_box(struct lane *l, struct account *a, const struct pair *p)
{
	size_t low = 0, high = a->view.n;

	if (a->box_keys == NULL)
		sort_boxes(l, a);
	while (low < high) {
		size_t mid = (low + high) / 2;

		if (strcmp(a->box_keys[mid].key, p->tgt_key) < 0)
			low = mid + 1;
		else
			high = mid;
	}
	if (low < a->view.n && strcmp(a->box_keys[low].key, p->tgt_key) == 0)
		return &a->view.boxes[a->box_keys[low].box];
	return NULL;
}

/* What the target holds, once. */
static int
survey(struct lane *l, struct account *a, struct err *e)
{
	const char **names;
	size_t n = 0;
	int rc;

	if (a->viewed)
		return 0;
	names = arena_alloc(&a->arena, (a->npairs + 1) * sizeof *names);
	for (struct pair *p = a->pairs; p != NULL; p = p->next)
		names[n++] = p->tgt_name;
	rc = target_survey(l->tgt, &a->arena, names, n, l->run->planning,
	    &a->view, e);
	a->box_keys = NULL;
	a->viewed = rc == 0;
	return rc == -1 ? err_ctx(e, "target") : 0;
}

/* A list that names another target user than the state does. */
static int
check_user(struct lane *l, struct account *a, struct err *e)
{
	const char *old;
	bool there;
	int rc;

	a->old_user = NULL;
	if (a->target_user == NULL)
		return 0;
	rc = account_user(l->reader, a->name, &a->arena, &old, &there, e);
	if (rc != 1)
		return rc;
	if (there && strcasecmp(old, a->target_user) != 0)
		a->old_user = old;
	return 0;
}

int
account_register(struct lane *l, struct account *a, struct err *e)
{
	char *src, *tgt;
	int rc;

	l->account = a;
	l->mailbox_id = 0;
	arena_reset(&a->arena);
	if (check_user(l, a, e) == -1)
		return -1;
	src = uri_show(a->src_uri);
	tgt = uri_show(a->tgt_uri);
	/* Until another user is taken over the books are the old one's. */
	rc = account_put(l->run->state, a->name, a->old_user != NULL ?
	    a->old_user : a->target_user, src, a->old_user != NULL ? NULL :
	    tgt, &a->row, e);
	free(src);
	free(tgt);
	return rc;
}

int
account_begin(struct lane *l, struct account *a, struct err *e)
{
	bool undoing;
	int rc = 0;

	a->pairs = a->first_open = NULL;
	a->npairs = 0;
	a->no_large = false;
	a->names = NULL;
	a->viewed = a->user_missing = a->shares = false;
	a->strange = a->compared = 0;
	a->unproven = false;
	a->box_keys = NULL;
	memset(&a->view, 0, sizeof a->view);
	if (account_register(l, a, e) == -1 ||
	    undo_pending(l->reader, a->row.id, &undoing, e) == -1)
		return -1;
	if (undoing)
		return err_set(e, ERR_ACCOUNT, "an undo of it was cut off: "
		    "the same undo with --yes has to end it first");
	if (a->old_user != NULL && !l->run->set->apply_renames)
		rc = err_set(e, ERR_ACCOUNT, "the target user was %s and is "
		    "now %s: nothing was done; rename the user at the server "
		    "and say --apply-renames, or forget the account and copy "
		    "it anew", a->old_user, a->target_user);
	if (rc == 0 && l->run->set->only_metadata && a->row.messages == 0)
		rc = err_set(e, ERR_ACCOUNT, "nothing of it was copied yet: "
		    "--only-metadata comes after that");
	return rc;
}

int
account_source(struct lane *l, struct account *a, struct err *e)
{
	int rc;

	if (lane_open_source(l, e) == -1) {
		if (e->cause == CAUSE_MISSING)
			a->outcome = "empty";
		return -1;
	}
	l->probing = true;
	rc = check_source(l, a, e);
	l->probing = false;
	if (rc == -1)
		return -1;
	return source_account_facts(l->src, &a->arena, &a->info, e);
}

int
account_target(struct lane *l, struct account *a, struct err *e)
{
	bool may_make = l->run->set->create_users && a->old_user == NULL;
	int rc;

	if (lane_open_target(l, e) == -1)
		return -1;
	if (l->run->planning || a->old_user != NULL)
		rc = target_account_ensure(l->tgt, false, e);
	else
		rc = user_ensure(l, e);
	if (rc == -1 && e->cause == CAUSE_MISSING && may_make &&
	    l->run->planning) {
		a->user_missing = true;
		return 0;
	}
	return rc == -1 ? err_ctx(e, "target") : 0;
}

int
account_pair(struct lane *l, struct account *a, struct err *e)
{
	char *src, *tgt;
	int rc;

	if (a->user_missing)
		a->viewed = true;	/* nothing is there */
	if (rename_settle(l, a, e) == -1)
		return -1;
	if (a->old_user != NULL) {
		if (rename_user(l, a, a->old_user, e) == -1)
			return -1;
		src = uri_show(a->src_uri);
		tgt = uri_show(a->tgt_uri);
		rc = account_put(l->run->state, a->name, a->target_user, src,
		    tgt, &a->row, e);
		free(src);
		free(tgt);
		if (rc == -1)
			return -1;
	}
	a->names = arena_zalloc(&a->arena, (l->nfolders + 1) *
	    sizeof *a->names);
	if (moved_find(l, a, e) == -1 ||
	    account_names(l, a, a->names, e) == -1 ||
	    rename_apply(l, a, a->names, e) == -1)
		return -1;
	return make_pairs(l, a, e);
}

int
account_check(struct lane *l, struct account *a, struct err *e)
{
	int rc;

	l->probing = true;
	rc = survey(l, a, e);
	for (struct pair *p = a->pairs; rc == 0 && p != NULL; p = p->next) {
		const struct target_box *box = account_box(l, a, p);

		p->seen = box != NULL && !box->noselect ? &box->st : NULL;
	}
	if (rc == 0)
		rc = check_same_store(l, a, e);
	if (rc == 0)
		rc = account_existing(l, a, e);
	l->probing = false;
	return rc;
}

int
account_prepare(struct lane *l, struct account *a, struct err *e)
{
	if (account_begin(l, a, e) == -1 || account_source(l, a, e) == -1 ||
	    account_target(l, a, e) == -1 || account_pair(l, a, e) == -1 ||
	    account_check(l, a, e) == -1)
		return -1;
	if (removal_settle(l, e) == -1)
		return err_ctx(e, "target");
	if (quota_before(l, &a->info, e) == -1)
		return err_ctx(e, "target");
	if (rights_note(l, a, e) == -1 || pop3_begin(l, a, e) == -1)
		return -1;
	/* Without messages: for what is there already. */
	for (struct pair *p = a->pairs; p != NULL &&
	    l->run->set->only_metadata; p = p->next)
		p->state = p->seen != NULL ? PAIR_DONE : PAIR_FAILED;
	lane_flush_notes(l);
	return 0;
}

/* Once in the life of the state: an op row that is done is not repeated. */
static int
once(struct lane *l, struct account *a, struct pair *p, const char *kind,
    int (*fn)(struct lane *, struct pair *, struct err *), struct err *e)
{
	int64_t op;
	int rc;

	rc = op_was_done(l->reader, a->row.id, kind, p->tgt_name, e);
	if (rc != 0)
		return rc == 1 ? 0 : -1;
	if (op_begin(l->run->state, a->row.id, p->id, kind, p->tgt_name, NULL,
	    &op, e) == -1)
		return -1;
	rc = fn(l, p, e);
	if (rc == -1) {
		if (e->scope != ERR_MAILBOX && e->scope != ERR_MESSAGE)
			return -1;
		lane_note(l, "warn", p->src_name, "%s: %s", kind, e->text);
		return 0;
	}
	return op_done(l->run->state, op, e);
}

/* What is not yet subscribed, in one flight. */
static int
subscribe_all(struct lane *l, struct account *a, struct err *e)
{
	struct op_name *ops = arena_alloc(&a->arena, (a->npairs + 1) *
	    sizeof *ops);
	const char **names = arena_alloc(&a->arena, (a->npairs + 1) *
	    sizeof *names);
	int64_t *ids;
	struct err *results;
	size_t n = 0;
	int rc;

	for (struct pair *p = a->pairs; p != NULL; p = p->next) {
		if (p->state != PAIR_DONE || !p->subscribe)
			continue;
		rc = op_was_done(l->reader, a->row.id, "subscribe",
		    p->tgt_name, e);
		if (rc == -1)
			return -1;
		if (rc == 1)
			continue;
		names[n] = p->tgt_name;
		ops[n++] = (struct op_name){ p->id, p->tgt_name };
	}
	if (n == 0)
		return 0;
	ids = arena_alloc(&a->arena, n * sizeof *ids);
	results = arena_alloc(&a->arena, n * sizeof *results);
	if (ops_begin(l->run->state, a->row.id, "subscribe", ops, n, ids, e) ==
	    -1 || target_subscribe_many(l->tgt, names, n, results, e) == -1)
		return -1;
	for (size_t i = 0; i < n; i++)
		if (results[i].scope != ERR_NONE) {
			ids[i] = 0;
			lane_note(l, "warn", names[i], "subscribe: %s",
			    results[i].text);
		}
	return ops_done(l->run->state, ids, n, e);
}

static int
mark_use(struct lane *l, struct pair *p, struct err *e)
{
	return target_mark_use(l->tgt, p->tgt_name, p->special_use, e);
}

int
account_finish(struct lane *l, struct account *a, struct err *e)
{
	l->account = a;
	if (state_sync(l->run->state, e) == -1 ||
	    lane_open_target(l, e) == -1 || subscribe_all(l, a, e) == -1)
		return -1;
	for (struct pair *p = a->pairs; p != NULL; p = p->next) {
		if (p->state != PAIR_DONE)
			continue;
		if (p->special_use != 0 && once(l, a, p, "mark", mark_use,
		    e) == -1)
			return -1;
		if (!l->run->set->only_metadata &&
		    pair_check_doubles(l, p, e) == -1)
			return -1;
	}
	if (removal_run(l, e) == -1 || lane_open_target(l, e) == -1 ||
	    rollback_record(l, e) == -1)
		return err_ctx(e, "target");
	if (lane_open_target(l, e) == -1 || pop3_finish(l, a, e) == -1 ||
	    rights_give(l, a, &a->shares, e) == -1)
		return -1;
	if (quota_after(l, e) == -1)
		return err_ctx(e, "target");
	lane_flush_notes(l);
	return 0;
}
