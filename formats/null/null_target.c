/*
 * A target that keeps nothing.
 *
 * Every account and mailbox exists, is empty and has UIDVALIDITY 1; UIDs count
 * up from 1 in each mailbox that is opened.  A batch is finished inside
 * submit(): contents that are not in memory are read to their end, so that a
 * source does all the work that a real target would make it do.
 */
#include "null/null_target.h"

#include <stdlib.h>
#include <string.h>

#include "base/xmalloc.h"

#define CHUNK ((size_t)64 * 1024)

struct null_store {
	struct target	 t;
	uint32_t	 uidnext;
	struct store_batch *first, **last;	/* submitted, not reaped */
	char		 chunk[CHUNK];
};

static int
null_open(struct target **tp, const struct store_conf *conf, struct err *e)
{
	struct null_store *s = xcalloc(1, sizeof *s);

	(void)conf;
	(void)e;
	s->last = &s->first;
	*tp = &s->t;
	return 0;
}

static void
null_close(struct target *t)
{
	free(t);
}

static void
null_caps(struct target *t, struct target_caps *caps)
{
	(void)t;
	caps->bits = TGT_TELLS_UIDS | TGT_ATOMIC;
	caps->batch_messages = 500;
	caps->batch_bytes = (uint64_t)4 << 20;
	caps->window = 2;
	caps->max_message = UNKNOWN64;
}

static int
null_account_ensure(struct target *t, bool create, struct err *e)
{
	(void)t;
	(void)create;
	(void)e;
	return 1;
}

static int
null_name(struct target *t, struct arena *a, const char *const *path,
    size_t npath, const char **name, bool *encoded, struct err *e)
{
	size_t i, len = 0;
	char *p;

	(void)t;
	(void)e;
	for (i = 0; i < npath; i++)
		len += strlen(path[i]) + 1;
	*name = p = arena_alloc(a, len);
	for (i = 0; i < npath; i++) {
		if (i > 0)
			*p++ = '/';
		len = strlen(path[i]);
		memcpy(p, path[i], len);
		p += len;
	}
	*p = '\0';
	*encoded = false;
	return 0;
}

static int
null_folder_open(struct target *t, const char *name, struct folder_state *st,
    struct err *e)
{
	struct null_store *s = (struct null_store *)t;

	(void)name;
	(void)e;
	s->uidnext = 1;
	st->uidvalidity = 1;
	st->uidnext = 1;
	return 1;
}

static void
null_folder_close(struct target *t)
{
	(void)t;
}

static int
null_folder_create(struct target *t, const char *name, unsigned use,
    struct err *e)
{
	(void)t;
	(void)name;
	(void)use;
	(void)e;
	return 0;
}

static int
null_subscribe(struct target *t, const char *name, bool on, struct err *e)
{
	(void)t;
	(void)name;
	(void)on;
	(void)e;
	return 0;
}

static int
null_submit(struct target *t, struct store_batch *b, struct err *e)
{
	struct null_store *s = (struct null_store *)t;
	ssize_t n;
	size_t i;

	b->next = NULL;
	*s->last = b;
	s->last = &b->next;
	for (i = 0; i < b->n; i++)
		b->items[i].result = STORE_NOT_SENT;
	/* As with a real target: contents first, then the intent, and only
	 * then may anything count as stored. */
	for (i = 0; i < b->n; i++) {
		struct store_item *it = &b->items[i];

		if (it->bytes != NULL || it->content == NULL)
			continue;
		while ((n = content_read(it->content, s->chunk, CHUNK, e)) > 0)
			;
		if (n == -1)
			return -1;
	}
	if (b->commit != NULL && b->commit(b, e) == -1)
		return -1;
	for (i = 0; i < b->n; i++) {
		b->items[i].result = STORE_DONE;
		b->items[i].uid = s->uidnext++;
	}
	return 0;
}

static int
null_reap(struct target *t, bool wait, struct store_batch **b, struct err *e)
{
	struct null_store *s = (struct null_store *)t;

	(void)wait;
	(void)e;
	if (s->first == NULL)
		return 0;
	*b = s->first;
	s->first = s->first->next;
	if (s->first == NULL)
		s->last = &s->first;
	return 1;
}

static int
null_broken(struct target *t, struct err *e)
{
	(void)t;
	(void)e;
	return 0;
}

static const char *const schemes[] = { "null", NULL };
static const char *const options[] = { NULL };

const struct target_ops null_target = {
	.schemes = schemes,
	.options = options,
	.open = null_open,
	.close = null_close,
	.caps = null_caps,
	.account_ensure = null_account_ensure,
	.name = null_name,
	.folder_open = null_folder_open,
	.folder_close = null_folder_close,
	.folder_create = null_folder_create,
	.subscribe = null_subscribe,
	.submit = null_submit,
	.reap = null_reap,
	.broken = null_broken,
};
