/* Targets, the front functions: order of calls, fault points, and what a back
 * end cannot do. */
#include "target.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/fault.h"
#include "base/suggest.h"
#include "target_impl.h"

/* The back end of a URI whose options it knows. */
static const struct target_ops *
find_ops(struct uri *uri, struct err *e)
{
	const struct target_ops *const *ops;

	for (ops = target_table; *ops != NULL; ops++)
		if (listed(uri->scheme, (*ops)->schemes))
			break;
	if (*ops == NULL) {
		err_set(e, ERR_RUN, "\"%s:\" is not a target that mailhaul can "
		    "write", uri->scheme);
		return NULL;
	}
	return uri_check_opts(uri, (*ops)->options, e) == -1 ? NULL : *ops;
}

/* What comes back from a back end; a failure is the target's. */
static int
told(int rc, struct err *e)
{
	if (rc == -1)
		e->at_target = true;
	return rc;
}

int
target_check(struct uri *uri, struct err *e)
{
	const struct target_ops *ops = find_ops(uri, e);

	if (ops == NULL)
		return -1;
	return ops->check != NULL ? ops->check(uri, e) : 0;
}

int
target_open(struct target **tp, const struct store_conf *conf, struct err *e)
{
	const struct target_ops *ops;

	assert(conf->warn != NULL);
	*tp = NULL;
	if ((ops = find_ops(conf->uri, e)) == NULL ||
	    told(ops->open(tp, conf, e), e) == -1)
		return -1;
	/* One that has opened another in its place has set both. */
	if ((*tp)->ops == NULL) {
		(*tp)->ops = ops;
		(*tp)->conf = *conf;
	}
	return 0;
}

void
target_close(struct target **tp)
{
	if (*tp == NULL)
		return;
	assert((*tp)->outstanding == 0);
	target_folder_close(*tp);
	(*tp)->ops->close(*tp);
	*tp = NULL;
}

void
target_caps(struct target *t, struct target_caps *caps)
{
	memset(caps, 0, sizeof *caps);
	caps->batch_messages = 1;
	caps->batch_bytes = (uint64_t)4 << 20;
	caps->window = 1;
	caps->max_message = UNKNOWN64;
	t->ops->caps(t, caps);
}

const char *
target_identity(struct target *t)
{
	return t->ops->identity != NULL ? t->ops->identity(t) : "";
}

/* 0: the target may be changed. */
static int
may_change(const struct target *t, const char *what, struct err *e)
{
	if (!t->conf.look_only)
		return 0;
	return err_set(e, ERR_RUN, "%s: this target is only looked at", what);
}

int
target_account_ensure(struct target *t, bool create, struct err *e)
{
	int rc;

	if (!create)
		return told(t->ops->account_ensure(t, false, e), e);
	if (may_change(t, "create a user", e) == -1)
		return -1;
	fault_point("user.before");
	rc = told(t->ops->account_ensure(t, true, e), e);
	fault_point("user.made");
	return rc;
}

int
target_name(struct target *t, struct arena *a, const char *const *path,
    size_t npath, const char **name, bool *encoded, struct err *e)
{
	assert(npath > 0);
	*encoded = false;
	return told(t->ops->name(t, a, path, npath, name, encoded, e), e);
}

int
target_name_key(struct target *t, struct arena *a, const char *name,
    const char **key, struct err *e)
{
	if (t->ops->name_key == NULL) {
		*key = name;
		return 0;
	}
	return told(t->ops->name_key(t, a, name, key, e), e);
}

/* For targets that cannot list: the names are opened. */
static int
survey_by_opening(struct target *t, struct arena *a, const char *const *names,
    size_t n, struct target_view *v, struct err *e)
{
	int rc;

	v->boxes = arena_zalloc(a, (n + 1) * sizeof *v->boxes);
	for (size_t i = 0; i < n; i++) {
		struct target_box *b = &v->boxes[v->n];

		rc = told(t->ops->folder_open(t, names[i], &b->st, e), e);
		if (rc == -1)
			return -1;
		if (rc == 0)
			continue;
		t->ops->folder_close(t);
		b->name = names[i];
		v->n++;
	}
	return 0;
}

int
target_survey(struct target *t, struct arena *a, const char *const *names,
    size_t n, bool quota, struct target_view *v, struct err *e)
{
	assert(!t->in_folder);
	memset(v, 0, sizeof *v);
	v->quota_bytes = v->quota_used = UNKNOWN64;
	if (t->ops->survey == NULL)
		return survey_by_opening(t, a, names, n, v, e);
	return told(t->ops->survey(t, a, names, n, quota, v, e), e);
}

int
target_uidls(struct target *t, enum uidl_style *style)
{
	*style = UIDL_UNKNOWN;
	return t->ops->uidls != NULL ? t->ops->uidls(t, style) : 0;
}

int
target_parent(struct target *t, struct arena *a, const char *name,
    const char **parent)
{
	*parent = NULL;
	return t->ops->parent != NULL ? t->ops->parent(t, a, name, parent) : 0;
}

int
target_folder_open(struct target *t, const char *name,
    struct folder_state *st, struct err *e)
{
	int rc;

	assert(!t->in_folder);
	memset(st, 0, sizeof *st);
	if (may_change(t, "open for storing", e) == -1)
		return -1;
	rc = told(t->ops->folder_open(t, name, st, e), e);
	t->in_folder = rc == 1;
	return rc;
}

void
target_folder_close(struct target *t)
{
	if (!t->in_folder)
		return;
	assert(t->outstanding == 0);
	t->ops->folder_close(t);
	t->in_folder = false;
}

int
target_folder_create(struct target *t, const char *name, unsigned use,
    struct err *e)
{
	int rc;

	if (may_change(t, "create", e) == -1)
		return -1;
	fault_point("create.before");
	rc = told(t->ops->folder_create(t, name, use, e), e);
	fault_point("create.after");
	return rc;
}

static int
cannot(struct err *e, const char *what)
{
	return err_set(e, ERR_MAILBOX, "this target cannot %s", what);
}

int
target_set_uids(struct target *t, const struct folder_uids *u,
    struct folder_state *st, struct err *e)
{
	int rc;

	assert(t->in_folder && t->outstanding == 0);
	if (t->ops->set_uids == NULL)
		return cannot(e, "be told UIDs");
	memset(st, 0, sizeof *st);
	rc = told(t->ops->set_uids(t, u, st, e), e);
	fault_point("uids.set");
	return rc;
}

int
target_folder_rename(struct target *t, const char *from, const char *to,
    struct err *e)
{
	int rc;

	if (may_change(t, "rename", e) == -1)
		return -1;
	if (t->ops->folder_rename == NULL)
		return cannot(e, "rename mailboxes");
	fault_point("rename.before");
	rc = told(t->ops->folder_rename(t, from, to, e), e);
	fault_point("rename.after");
	return rc;
}

int
target_folder_delete(struct target *t, const char *name, struct err *e)
{
	int rc;

	if (may_change(t, "delete", e) == -1)
		return -1;
	if (t->ops->folder_delete == NULL)
		return cannot(e, "delete mailboxes");
	rc = told(t->ops->folder_delete(t, name, e), e);
	fault_point("delete.after");
	return rc;
}

int
target_subscribe(struct target *t, const char *name, bool on, struct err *e)
{
	int rc;

	if (may_change(t, "subscribe", e) == -1)
		return -1;
	if (t->ops->subscribe == NULL)
		return 0;
	rc = told(t->ops->subscribe(t, name, on, e), e);
	fault_point("subscribe.after");
	return rc;
}

int
target_subscribe_many(struct target *t, const char *const *names, size_t n,
    struct err *results, struct err *e)
{
	int rc = 0;

	for (size_t i = 0; i < n; i++)
		err_clear(&results[i]);
	if (may_change(t, "subscribe", e) == -1)
		return -1;
	if (t->ops->subscribe_many != NULL) {
		rc = told(t->ops->subscribe_many(t, names, n, results, e), e);
		fault_point("subscribe.after");
		return rc;
	}
	for (size_t i = 0; i < n; i++) {
		if (target_subscribe(t, names[i], true, &results[i]) == 0 ||
		    results[i].scope <= ERR_MAILBOX)
			continue;
		*e = results[i];
		return -1;
	}
	return 0;
}

int
target_mark_use(struct target *t, const char *name, unsigned use,
    struct err *e)
{
	if (may_change(t, "mark", e) == -1)
		return -1;
	if (t->ops->mark_use == NULL)
		return 0;
	return told(t->ops->mark_use(t, name, use, e), e);
}

int
target_set_quota(struct target *t, uint64_t bytes, bool *changed,
    struct err *e)
{
	int rc;

	*changed = false;
	if (may_change(t, "set a quota", e) == -1)
		return -1;
	if (t->ops->set_quota == NULL) {
		err_set(e, ERR_ACCOUNT, "this kind of target sets no quotas");
		return 0;
	}
	fault_point("quota.before");
	rc = told(t->ops->set_quota(t, bytes, changed, e), e);
	fault_point("quota.set");
	return rc;
}

int
target_acl(struct target *t, struct arena *a, const char *name,
    struct acl_entry **acl, size_t *n, struct err *e)
{
	*acl = NULL;
	*n = 0;
	if (t->ops->acl == NULL) {
		err_set(e, ERR_ACCOUNT, "this kind of target has no access "
		    "rights");
		return 0;
	}
	return told(t->ops->acl(t, a, name, acl, n, e), e);
}

int
target_set_acl(struct target *t, const char *name, const char *who,
    const char *rights, struct err *e)
{
	int rc;

	if (may_change(t, "set access rights", e) == -1)
		return -1;
	fault_point("acl.before");
	rc = told(t->ops->set_acl(t, name, who, rights, e), e);
	fault_point("acl.set");
	return rc;
}

int
target_foreign_name(struct target *t, struct arena *a, const char *owner,
    const char *name, const char **foreign)
{
	if (t->ops->foreign_name == NULL)
		return 0;
	return t->ops->foreign_name(t, a, owner, name, foreign);
}

int
target_adopts(struct target *t, const struct msg_meta *m,
    const struct content *c, struct digests *d)
{
	return t->ops->adopts != NULL && t->in_folder ?
	    t->ops->adopts(t, m, c, d) : 0;
}

int
target_submit(struct target *t, struct store_batch *b, struct err *e)
{
	assert(t->in_folder && b->n > 0);
	for (size_t i = 0; i < b->n; i++) {
		struct store_item *it = &b->items[i];

		it->result = STORE_PENDING;
		it->uid = 0;
		it->changes = 0;
		err_clear(&it->err);
	}
	b->next = NULL;
	b->uidnext = 0;
	t->outstanding++;
	fault_point("submit.before");
	return told(t->ops->submit(t, b, e), e);
}

int
target_reap(struct target *t, bool wait, struct store_batch **b,
    struct err *e)
{
	int rc;

	*b = NULL;
	if (t->outstanding == 0)
		return 0;
	rc = told(t->ops->reap(t, wait, b, e), e);
	if (rc == 1) {
		t->outstanding--;
		for (size_t i = 0; i < (*b)->n; i++)
			assert((*b)->items[i].result != STORE_PENDING);
		fault_point("reap.after");
	}
	return rc;
}

int
target_broken(struct target *t, struct err *e)
{
	int rc = t->ops->broken(t, e);

	if (rc == 1)
		e->at_target = true;
	return rc;
}

int
target_change_flags(struct target *t, struct flag_change *c, size_t n,
    struct err *e)
{
	int rc;

	assert(t->in_folder);
	if (t->ops->change_flags == NULL)
		return cannot(e, "change flags");
	fault_point("flags.before");
	rc = told(t->ops->change_flags(t, c, n, e), e);
	fault_point("flags.after");
	return rc;
}

int
target_set_uidls(struct target *t, struct uidl_change *c, size_t n,
    struct err *e)
{
	int rc;

	assert(t->in_folder);
	if (t->ops->set_uidls == NULL)
		return 0;
	rc = told(t->ops->set_uidls(t, c, n, e), e);
	fault_point("uidls.after");
	return rc;
}

int
target_move(struct target *t, const uint32_t *uids, size_t n, const char *to,
    struct err *e)
{
	int rc;

	assert(t->in_folder);
	if (t->ops->move == NULL)
		return cannot(e, "move messages");
	fault_point("move.before");
	rc = told(t->ops->move(t, uids, n, to, e), e);
	fault_point("move.after");
	return rc;
}

int
target_expunge(struct target *t, const uint32_t *uids, size_t n,
    struct err *e)
{
	int rc;

	assert(t->in_folder);
	if (t->ops->expunge == NULL)
		return cannot(e, "expunge messages");
	rc = told(t->ops->expunge(t, uids, n, e), e);
	fault_point("expunge.after");
	return rc;
}

void
target_warn(struct target *t, const char *mailbox, const char *where,
    const char *fmt, ...)
{
	char text[400];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	t->conf.warn(t->conf.warn_ctx, mailbox, where, text);
}
