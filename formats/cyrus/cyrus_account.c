/* What a user has: mailboxes, subscriptions, quota. */
#include <stdlib.h>
#include <string.h>

#include "base/xmalloc.h"
#include "cyrus/cyrus_impl.h"

#define BOXES_MAX	200000
#define QUOTA_MAX	((size_t)2000)

/* A mailbox that we made has these values until its UIDVALIDITY is known. */
bool
cyrus_box_fresh(const struct cyrus_box *b)
{
	return b->uidvalidity == 1 && b->last_uid == 0 &&
	    b->recent_uid == 0 && b->recent_time == 1;
}

void
cyrus_box_make_fresh(struct cyrus_box *b)
{
	b->uidvalidity = 1;
	b->last_uid = b->recent_uid = 0;
	b->recent_time = b->append_time = 1;
	b->modseq = 1;
}

struct reading {
	struct cyrus	*c;
	struct cyrus_account *a;
};

/* The shortest name is that of the user's INBOX, whatever we expected. */
static void
learn_inbox(struct cyrus *c, const char *internal)
{
	const char *at = strrchr(c->names.user, '@');
	struct buf plain;

	if (c->file != NULL || at == NULL)
		return;
	/* Without domains "@" is a letter like others. */
	buf_init(&plain, 1000);
	buf_adds(&plain, "user.");
	for (const char *p = c->names.user; *p != '\0'; p++)
		buf_addc(&plain, *p == '.' ? '^' : *p);
	if (strcmp(plain.ptr, internal) == 0) {
		c->names.virt = false;
		free(c->names.inbox);
		c->names.inbox = xstrdup(internal);
	}
	buf_release(&plain);
}

static int
add_box(struct reading *g, const struct cyrus_box *b, struct sync *y,
    struct err *e)
{
	struct cyrus_account *a = g->a;
	struct cyrus_listed *l;
	struct buf seen;

	if (a->n == BOXES_MAX)
		return dlist_bad(&y->d, "too many mailboxes", e);
	if (a->n == a->cap) {
		a->cap = a->cap > 0 ? 2 * a->cap : 64;
		a->box = xreallocarray(a->box, a->cap, sizeof *a->box);
	}
	learn_inbox(g->c, b->name.ptr);
	buf_init(&seen, 2000);
	if (cyrus_seen(&g->c->names, b->name.ptr, &seen) == 0) {
		l = &a->box[a->n++];
		memset(l, 0, sizeof *l);
		l->seen = xmemdup0(seen.ptr, seen.len);
		l->internal = xmemdup0(b->name.ptr, b->name.len);
		l->acl = xmemdup0(b->acl.ptr, b->acl.len);
		l->uidvalidity = b->uidvalidity;
		l->last_uid = b->last_uid;
		l->modseq = b->modseq;
		l->messages = b->last_uid == 0 ? 0 : UNKNOWN64;
		l->use = b->use;
		l->mail = b->type[0] == '\0' || strcmp(b->type, "e") == 0;
		l->fresh = cyrus_box_fresh(b);
		if (strcmp(l->seen, "INBOX") == 0)
			a->inbox = true;
	}
	buf_release(&seen);
	return 0;
}

/* A limit of something else than STORAGE, to be sent back as it came. */
static void
other_limit(struct buf *out, const char *key, const struct dlist_token *t)
{
	uint64_t v;

	if (t->type == DLIST_ATOM && dlist_number(t, INT64_MAX, &v) == 0 &&
	    strcmp(key, "LIMIT") != 0 && strcmp(key, "MODSEQ") != 0)
		buf_addf(out, " %s %s", key, t->p);
}

static int
read_quota(struct reading *g, struct sync *y, struct err *e)
{
	uint64_t kib = UNKNOWN64, v;
	struct dlist_token t;
	struct buf others;
	bool ours = false;
	char key[24];
	int rc;

	if (dlist_next(&y->d, &t, e) == -1)
		return -1;
	if (t.type != DLIST_KVOPEN)
		return dlist_bad(&y->d, "an odd quota", e);
	buf_init(&others, QUOTA_MAX);
	while ((rc = dlist_pair(&y->d, key, sizeof key, &t, e)) == 1) {
		if (strcmp(key, "ROOT") == 0)
			ours = strcmp(t.p, g->c->names.inbox) == 0;
		else if (strcmp(key, "STORAGE") != 0)
			other_limit(&others, key, &t);
		else if (dlist_number(&t, INT64_MAX / 1024, &v) == 0)
			kib = v;
		if (dlist_skip(&y->d, &t, e) == -1) {
			rc = -1;
			break;
		}
	}
	if (rc == 0 && ours) {
		g->a->quota_kib = kib;
		buf_reset(&g->a->quota_others);
		buf_add(&g->a->quota_others, others.ptr, others.len);
	}
	buf_release(&others);
	return rc;
}

static int
read_subs(struct reading *g, struct sync *y, struct err *e)
{
	struct cyrus_account *a = g->a;
	struct dlist_token t;
	size_t cap = a->nsubs;

	if (dlist_next(&y->d, &t, e) == -1)
		return -1;
	if (t.type != DLIST_OPEN)
		return dlist_bad(&y->d, "odd subscriptions", e);
	for (;;) {
		if (dlist_next(&y->d, &t, e) == -1)
			return -1;
		if (t.type == DLIST_CLOSE)
			return 0;
		if (t.type != DLIST_ATOM && t.type != DLIST_STRING)
			return dlist_bad(&y->d, "an odd subscription", e);
		if (a->nsubs == BOXES_MAX)
			return dlist_bad(&y->d, "too many subscriptions", e);
		if (a->nsubs == cap) {
			cap = cap > 0 ? 2 * cap : 64;
			a->subs = xreallocarray(a->subs, cap,
			    sizeof *a->subs);
		}
		a->subs[a->nsubs++] = xmemdup0(t.p, t.len);
	}
}

#define SCRIPTS_MAX	100
static const char suffix[] = ".script";

/* Their names; compiled forms are passed over. */
static int
read_script(struct reading *g, struct sync *y, struct err *e)
{
	struct cyrus_account *a = g->a;
	struct dlist_token t;
	char key[24];
	int rc;

	if (dlist_next(&y->d, &t, e) == -1)
		return -1;
	if (t.type != DLIST_KVOPEN)
		return dlist_bad(&y->d, "an odd script", e);
	while ((rc = dlist_pair(&y->d, key, sizeof key, &t, e)) == 1) {
		size_t n = sizeof suffix - 1;

		if (strcmp(key, "FILENAME") == 0 && t.len > n && strlen(t.p) ==
		    t.len && strcmp(t.p + t.len - n, suffix) == 0 &&
		    a->nscripts < SCRIPTS_MAX) {
			a->scripts = xreallocarray(a->scripts, a->nscripts +
			    1, sizeof *a->scripts);
			a->scripts[a->nscripts++] = xmemdup0(t.p, t.len);
		}
		if (dlist_skip(&y->d, &t, e) == -1)
			return -1;
	}
	return rc;
}

static int
user_data(struct sync *y, const char *name, void *ctx, struct err *e)
{
	struct reading *g = ctx;
	struct cyrus_box b;
	int rc;

	if (strcmp(name, "QUOTA") == 0)
		return read_quota(g, y, e);
	if (strcmp(name, "LSUB") == 0)
		return read_subs(g, y, e);
	if (strcmp(name, "SIEVE") == 0)
		return read_script(g, y, e);
	if (strcmp(name, "MAILBOX") != 0)
		return 0;
	cyrus_box_init(&b);
	rc = cyrus_box_read(y, &b, g->c->names.user, NULL, NULL, e);
	if (rc == 0 && !b.absent)
		rc = add_box(g, &b, y, e);
	cyrus_box_release(&b);
	return rc;
}

static int
by_name(const void *a, const void *b)
{
	return strcmp(((const struct cyrus_listed *)a)->seen,
	    ((const struct cyrus_listed *)b)->seen);
}

static void
mark_subscribed(struct cyrus_account *a)
{
	for (size_t i = 0; i < a->n; i++)
		for (size_t k = 0; k < a->nsubs && !a->box[i].subscribed; k++)
			a->box[i].subscribed = strcmp(a->subs[k],
			    a->box[i].internal) == 0;
}

int
cyrus_account_get(struct cyrus *c, struct cyrus_account *a, struct err *e)
{
	struct reading g = { .c = c };
	struct sync_reply r;
	struct buf args;
	int rc;

	memset(a, 0, sizeof *a);
	a->quota_kib = UNKNOWN64;
	buf_init(&a->quota_others, QUOTA_MAX);
	g.a = a;
	buf_init(&args, 1000);
	buf_adds(&args, "USER ");
	dlist_puts(&args, c->names.user);
	cyrus_lock(c, false);
	rc = sync_run(c->y, "GET", &args, user_data, &g, &r, e);
	cyrus_unlock(c);
	buf_release(&args);
	if (rc == 0) {
		sync_no(&r, ERR_ACCOUNT, e, "list the mailboxes of %.100s",
		    c->names.user);
		e->retry = true;
	}
	if (rc != 1) {
		cyrus_account_release(a);
		return -1;
	}
	if (a->n > 0)
		qsort(a->box, a->n, sizeof *a->box, by_name);
	mark_subscribed(a);
	return 0;
}

int
cyrus_account_count(struct cyrus *c, struct cyrus_account *a, struct err *e)
{
	struct cyrus_box b;
	int rc = 0;

	cyrus_box_init(&b);
	for (size_t i = 0; i < a->n && rc != -1; i++) {
		if (a->box[i].messages != UNKNOWN64 || !a->box[i].mail)
			continue;
		rc = cyrus_box_get(c->y, a->box[i].internal, c->names.user,
		    true, NULL, NULL, &b, e);
		if (rc == 1)
			a->box[i].messages = b.messages;
	}
	cyrus_box_release(&b);
	return rc == -1 ? -1 : 0;
}

void
cyrus_account_release(struct cyrus_account *a)
{
	for (size_t i = 0; i < a->n; i++) {
		free(a->box[i].seen);
		free(a->box[i].internal);
		free(a->box[i].acl);
	}
	for (size_t i = 0; i < a->nsubs; i++)
		free(a->subs[i]);
	free(a->box);
	for (size_t i = 0; i < a->nscripts; i++)
		free(a->scripts[i]);
	free(a->scripts);
	free(a->subs);
	buf_release(&a->quota_others);
	memset(a, 0, sizeof *a);
}
