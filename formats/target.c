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
	(*tp)->ops = ops;
	(*tp)->conf = *conf;
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

int
target_account_ensure(struct target *t, bool create, struct err *e)
{
	int rc;

	if (!create)
		return told(t->ops->account_ensure(t, false, e), e);
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
	return t->ops->name(t, a, path, npath, name, encoded, e);
}

int
target_name_key(struct target *t, struct arena *a, const char *name,
    const char **key, struct err *e)
{
	if (t->ops->name_key == NULL) {
		*key = name;
		return 0;
	}
	return t->ops->name_key(t, a, name, key, e);
}

int
target_folder_open(struct target *t, const char *name,
    struct folder_state *st, struct err *e)
{
	int rc;

	assert(!t->in_folder);
	memset(st, 0, sizeof *st);
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
target_folder_rename(struct target *t, const char *from, const char *to,
    struct err *e)
{
	if (t->ops->folder_rename == NULL)
		return cannot(e, "rename mailboxes");
	return told(t->ops->folder_rename(t, from, to, e), e);
}

int
target_folder_delete(struct target *t, const char *name, struct err *e)
{
	if (t->ops->folder_delete == NULL)
		return cannot(e, "delete mailboxes");
	return told(t->ops->folder_delete(t, name, e), e);
}

int
target_subscribe(struct target *t, const char *name, bool on, struct err *e)
{
	int rc;

	if (t->ops->subscribe == NULL)
		return 0;
	rc = told(t->ops->subscribe(t, name, on, e), e);
	fault_point("subscribe.after");
	return rc;
}

int
target_mark_use(struct target *t, const char *name, unsigned use,
    struct err *e)
{
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
	return t->ops->broken(t, e);
}

int
target_change_flags(struct target *t, struct flag_change *c, size_t n,
    struct err *e)
{
	assert(t->in_folder);
	if (t->ops->change_flags == NULL)
		return cannot(e, "change flags");
	return told(t->ops->change_flags(t, c, n, e), e);
}

int
target_expunge(struct target *t, const uint32_t *uids, size_t n,
    struct err *e)
{
	assert(t->in_folder);
	if (t->ops->expunge == NULL)
		return cannot(e, "expunge messages");
	return told(t->ops->expunge(t, uids, n, e), e);
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
