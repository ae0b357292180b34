/*
 * The life of an account before and after its pairs: list, names, the checks
 * that keep a run from doing harm, subscriptions and special uses.
 */
#include "account.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/xmalloc.h"
#include "quota.h"
#include "user.h"

/* Fewer messages in the last pass say nothing: they may just be gone. */
#define MIN_KNOWN 3

struct folder_info *
account_folder(struct lane *l, const struct pair *p, struct err *e)
{
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

/* The target names that are given away, as the target compares them. */
struct names {
	const char	**keys;
	size_t		 n;
};

static bool
key_is_used(const struct names *names, const char *key)
{
	for (size_t i = 0; i < names->n; i++)
		if (strcmp(names->keys[i], key) == 0)
			return true;
	return false;
}

/* "Trash" that is taken becomes "Trash (INBOX)", then "Trash (INBOX) 2"... */
static const char *const *
renamed(struct arena *arena, const struct rule_result *r,
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

/* The target name of a mailbox: the one of the last pass, else a new one that
 * no other mailbox has.  *name NULL: refused because of a collision. */
static int
choose_name(struct lane *l, struct account *a, const struct folder_info *f,
    const struct rule_result *r, const struct names *names, const char *src_key,
    const char **name, const char **key, struct err *e)
{
	const char *const *path = r->path;
	const char *fresh, *fresh_key;
	bool encoded;
	unsigned n;

	if (target_name(l->tgt, &a->arena, path, r->npath, &fresh, &encoded,
	    e) == -1 || target_name_key(l->tgt, &a->arena, fresh, &fresh_key,
	    e) == -1 || mailbox_name(l->reader, a->row.id, src_key, &a->arena,
	    name, key, e) == -1)
		return -1;
	if (*name != NULL && **name != '\0') {
		/* What was copied keeps its name: mail is never copied a
		 * second time under another one. */
		if (strcmp(*name, fresh) != 0 &&
		    strncmp(*name, fresh, strlen(fresh)) != 0)
			lane_note(l, "warn", f->name, "%s keeps its target "
			    "name %s; by the present rules it would be %s",
			    f->name, *name, fresh);
		return 0;
	}
	if (encoded)
		lane_note(l, "renamed", f->name, "%s is %s at the target, "
		    "which does not allow all of its characters", f->name,
		    fresh);
	for (n = 1; key_is_used(names, fresh_key); n++) {
		if (l->run->set->refuse_collisions || n > 1000) {
			*name = NULL;
			return 0;
		}
		path = renamed(&a->arena, r, f, n);
		if (target_name(l->tgt, &a->arena, path, r->npath, &fresh,
		    &encoded, e) == -1 || target_name_key(l->tgt, &a->arena,
		    fresh, &fresh_key, e) == -1)
			return -1;
		if (!key_is_used(names, fresh_key))
			lane_note(l, "renamed", f->name, "%s is %s at the "
			    "target, where its own name is taken", f->name,
			    fresh);
	}
	*name = fresh;
	*key = fresh_key;
	return 0;
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

/* Pairs for all mailboxes that are to be copied, in the source's order. */
static int
make_pairs(struct lane *l, struct account *a, const struct account_info *info,
    struct err *e)
{
	struct rule_result *results;
	struct pair **tail = &a->pairs;
	struct names names = { 0 };
	int rc = -1;

	results = xcalloc(l->nfolders + 1, sizeof *results);
	names.keys = xcalloc(2 * l->nfolders + 1, sizeof *names.keys);
	rules_apply(l->run->set->rules, &a->arena, l->folders, l->nfolders,
	    NULL, results);
	/* The names of earlier passes are taken first. */
	for (size_t i = 0; i < l->nfolders; i++) {
		const char *name, *key;

		if (mailbox_name(l->reader, a->row.id, l->folder_keys[i],
		    &a->arena, &name, &key, e) == -1)
			goto out;
		if (key != NULL && *key != '\0')
			names.keys[names.n++] = key;
	}
	for (size_t i = 0; i < l->nfolders; i++) {
		const struct folder_info *f = &l->folders[i];
		const struct rule_result *r = &results[i];
		const char *name, *key = "", *src_key;
		struct pair *p;

		if (f->noselect)
			continue;
		if (r->excluded != NULL) {
			if (put_left_out(l, a, i, "excluded", r->excluded,
			    e) == -1)
				goto out;
			continue;
		}
		if (f->refused != NULL) {
			if (put_left_out(l, a, i, "unreadable", f->refused,
			    e) == -1)
				goto out;
			continue;
		}
		src_key = arena_strdup(&a->arena, l->folder_keys[i]);
		if (choose_name(l, a, f, r, &names, src_key, &name, &key, e) ==
		    -1) {
			if (e->scope != ERR_MAILBOX)
				goto out;
			if (put_left_out(l, a, i, "failed", e->text, e) == -1)
				goto out;
			continue;
		}
		if (name == NULL) {
			if (put_left_out(l, a, i, "failed", "its name at the "
			    "target is taken by another mailbox", e) == -1)
				goto out;
			continue;
		}
		p = arena_zalloc(&a->arena, sizeof *p);
		p->src_key = src_key;
		p->src_name = arena_strdup(&a->arena, f->name);
		p->tgt_name = name;
		p->messages = f->messages;
		p->special_use = r->use;
		p->subscribe = is_subscribed(info, f, l->run->set->subscribe);
		if (mailbox_put(l->run->state, a->row.id, src_key, f->name,
		    name, key, &p->id, e) == -1)
			goto out;
		names.keys[names.n++] = key;
		a->npairs++;
		*tail = p;
		tail = &p->next;
	}
	rc = mailboxes_gone(l->run->state, a->row.id, e);
out:
	free(results);
	free(names.keys);
	return rc;
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
		a->outcome = "empty";
		return err_set(e, ERR_ACCOUNT, "the source has no INBOX: is it "
		    "the right place? if it is, say empty=ok");
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
	a->outcome = "empty";
	return err_set(e, ERR_ACCOUNT, NO_MESSAGE);
}

/*
 * An account is its name, and its store may have moved; but a store that holds
 * nothing of what the state knows is another one.
 */
static int
check_same_store(struct lane *l, struct account *a, struct err *e)
{
	bool known, met, any = false;

	if (l->run->set->merge_existing)
		return 0;
	for (struct pair *p = a->pairs; p != NULL; p = p->next) {
		if (pair_recognise(l, p, &known, &met, e) == -1) {
			/* Its own turn tells more. */
			if (e->scope <= ERR_MAILBOX && e->retry)
				continue;
			return -1;
		}
		if (met)
			return 0;
		any = any || known;
	}
	if (any && a->row.messages >= MIN_KNOWN)
		return err_set(e, ERR_ACCOUNT, "this is not the store of the "
		    "last pass: it holds none of the messages that the state "
		    "knows; if it is the right one, say existing=merge");
	return 0;
}

/* A target that already holds mail, none of which is the source's, is
 * somebody else's. */
static int
check_existing(struct lane *l, struct account *a, struct err *e)
{
	uint64_t there, taken, sum_there = 0, sum_taken = 0;

	if (strcmp(a->row.stage, "new") != 0 || a->row.messages > 0 ||
	    l->run->set->merge_existing)
		return 0;
	for (struct pair *p = a->pairs; p != NULL; p = p->next) {
		struct row_mailbox row;

		/* A state that knows the mailbox needs no proof. */
		if (mailbox_load(l->reader, p->id, &row, e) == -1)
			return -1;
		buf_release(&row.token);
		if (row.rows > 0 || row.intents > 0)
			return 0;
		if (pair_adopt(l, p, &there, &taken, e) == -1)
			return -1;
		sum_there += there;
		sum_taken += taken;
	}
	if (sum_there > 0 && sum_taken == 0)
		return err_set(e, ERR_ACCOUNT, "the target account holds %"
		    PRIu64 " messages and none of them is the source's: is it "
		    "the right one? existing=merge copies all the same",
		    sum_there);
	if (sum_there > 0)
		lane_note(l, "warn", "adopted", "the target already held %"
		    PRIu64 " messages, %" PRIu64 " of them equal to the "
		    "source's", sum_there, sum_taken);
	return 0;
}

int
account_register(struct lane *l, struct account *a, struct err *e)
{
	char *src = uri_show(a->src_uri), *tgt = uri_show(a->tgt_uri);
	int rc;

	l->account = a;
	l->mailbox_id = 0;
	rc = account_put(l->run->state, a->name, a->target_user, src, tgt,
	    &a->row, e);
	free(src);
	free(tgt);
	return rc;
}

int
account_prepare(struct lane *l, struct account *a, struct err *e)
{
	struct account_info info;
	int rc;

	arena_reset(&a->arena);
	a->pairs = NULL;
	a->npairs = 0;
	if (account_register(l, a, e) == -1)
		return -1;
	if (lane_open_source(l, e) == -1) {
		if (e->cause == CAUSE_MISSING)
			a->outcome = "empty";
		return -1;
	}
	l->probing = true;
	rc = check_source(l, a, e);
	l->probing = false;
	if (rc == -1 || source_account_facts(l->src, &a->arena, &info, e) == -1 ||
	    lane_open_target(l, e) == -1)
		return -1;
	if (user_ensure(l, e) == -1)
		return err_ctx(e, "target");
	if (make_pairs(l, a, &info, e) == -1)
		return -1;
	l->probing = true;
	rc = check_same_store(l, a, e);
	if (rc == 0)
		rc = check_existing(l, a, e);
	l->probing = false;
	if (rc == -1)
		return -1;
	if (quota_before(l, &info, e) == -1)
		return err_ctx(e, "target");
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

static int
subscribe(struct lane *l, struct pair *p, struct err *e)
{
	return target_subscribe(l->tgt, p->tgt_name, true, e);
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
	    lane_open_target(l, e) == -1)
		return -1;
	for (struct pair *p = a->pairs; p != NULL; p = p->next) {
		if (p->state != PAIR_DONE)
			continue;
		if (p->subscribe && once(l, a, p, "subscribe", subscribe,
		    e) == -1)
			return -1;
		if (p->special_use != 0 && once(l, a, p, "mark", mark_use,
		    e) == -1)
			return -1;
		if (pair_check_doubles(l, p, e) == -1)
			return -1;
	}
	if (quota_after(l, e) == -1)
		return err_ctx(e, "target");
	lane_flush_notes(l);
	return 0;
}
