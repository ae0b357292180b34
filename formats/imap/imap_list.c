/* imap: and imaps: as sources: the list of mailboxes, subscriptions, quota. */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/xmalloc.h"
#include "imap/imap_boxes.h"
#include "imap/imap_from.h"
#include "imap/imap_quota.h"

static bool
elsewhere(const struct imap_from *m, const char *name)
{
	return !m->all_names && imap_boxes_of_others(m->s, name);
}

static const char *
join(struct arena *a, const char *const *path, size_t n)
{
	size_t len = 0, at = 0;
	char *out;

	for (size_t i = 0; i < n; i++)
		len += strlen(path[i]) + 1;
	out = arena_alloc(a, len + 1);
	for (size_t i = 0; i < n; i++) {
		size_t k = strlen(path[i]);

		if (i > 0)
			out[at++] = '/';
		memcpy(out + at, path[i], k);
		at += k;
	}
	out[at] = '\0';
	return out;
}

static int
by_path(const void *pa, const void *pb)
{
	const struct folder_info *a = pa, *b = pb;
	bool ia = a->npath == 1 && strcmp(a->path[0], "INBOX") == 0;
	bool ib = b->npath == 1 && strcmp(b->path[0], "INBOX") == 0;

	if (ia != ib)
		return ia ? -1 : 1;
	for (size_t i = 0; i < a->npath && i < b->npath; i++) {
		int c = strcmp(a->path[i], b->path[i]);

		if (c != 0)
			return c;
	}
	return a->npath < b->npath ? -1 : a->npath > b->npath;
}

/* LIST, and an INBOX that it hides. */
static int
ask_list(struct imap_from *m, struct imap_boxes *l, struct err *e)
{
	struct imap_box box;
	int rc;

	l->objects = true;
	if (imap_boxes_ask(m->s, l, e) == -1)
		return -1;
	if (m->s->root == NULL && imap_boxes_find(l, "INBOX") == NULL) {
		/* LIST can be empty for a user with dots in the name; and an
		 * admin may act for a user who does not exist. */
		rc = imap_status(m->s, "INBOX", &box, e);
		if (rc == 0) {
			err_set(e, ERR_ACCOUNT, "there is no such user, or "
			    "no INBOX");
			e->cause = CAUSE_MISSING;
		}
		if (rc != 1)
			return -1;
		imap_boxes_add(l, "INBOX")->sep = m->s->sep;
	}
	for (size_t i = 0; i < l->n; i++)
		l->b[i].wanted = m->s->root != NULL ||
		    !elsewhere(m, l->b[i].name);
	return imap_boxes_status(m->s, l, false, e);
}

static void
put_folder(struct imap_from *m, const struct imap_listed *b, struct arena *a,
    struct folder_info *x)
{
	struct imap_name_rules rules = m->rules;
	const struct store_conf *conf = &m->src.conf;
	bool raw;

	rules.sep = b->sep;
	imap_name_read(&rules, a, b->name, &x->path, &x->npath, &raw);
	x->raw_name = arena_strdup(a, b->name);
	x->name = join(a, x->path, x->npath);
	x->special_use = b->use;
	x->noselect = b->noselect;
	x->subscribed = b->subscribed;
	x->messages = b->has_status ? b->status.messages : UNKNOWN64;
	x->bytes = b->size;
	x->uidvalidity = b->status.uidvalidity;
	x->uidnext = b->status.uidnext;
	x->modseq = b->status.modseq;
	if (b->object != NULL)
		x->object_id = arena_strdup(a, b->object);
	if (raw)
		conf->warn(conf->warn_ctx, x->name, NULL, "its name is not "
		    "modified UTF-7; taken as it is");
}

/* What is left out is told: the first names, and how many there are. */
static void
tell_elsewhere(struct imap_from *m, const struct imap_boxes *l, size_t n)
{
	struct buf names;
	size_t told = 0;

	buf_init(&names, 200);
	for (size_t i = 0; i < l->n && names.len < 120; i++) {
		if (l->b[i].wanted)
			continue;
		buf_addf(&names, "%s%.60s", told++ > 0 ? ", " : "",
		    l->b[i].name);
	}
	for (size_t i = 0; i < names.len; i++)
		if ((unsigned char)names.ptr[i] < ' ')
			names.ptr[i] = '?';
	source_warn(&m->src, NULL, "%zu mailboxes of other users or shared "
	    "ones are not part of this account (namespaces=all takes them): "
	    "%s%s", n, names.ptr, told < n ? ", ..." : "");
	buf_release(&names);
}

int
imap_from_list(struct source *src, struct arena *a,
    struct folder_info **fp, size_t *np, struct err *e)
{
	struct imap_from *m = (struct imap_from *)src;
	struct imap_boxes l = { .n = 0 };
	struct folder_info *f;
	size_t n = 0;

	if (ask_list(m, &l, e) == -1) {
		imap_boxes_release(&l);
		return -1;
	}
	f = arena_zalloc(a, l.n * sizeof *f + 1);
	for (size_t i = 0; i < l.n; i++)
		if (l.b[i].wanted)
			put_folder(m, &l.b[i], a, &f[n++]);
	if (n < l.n)
		tell_elsewhere(m, &l, l.n - n);
	imap_boxes_release(&l);
	if (n > 0)
		qsort(f, n, sizeof *f, by_path);
	*fp = f;
	*np = n;
	return 0;
}

/* What concerns the account: quota and subscriptions. */

static int
lsub_data(struct imap_session *s, struct imap_response *rs, void *ctx,
    struct err *e)
{
	if (rs->kind != IMAP_DATA || (strcmp(rs->name, "LSUB") != 0 &&
	    strcmp(rs->name, "LIST") != 0))
		return 0;
	return imap_boxes_line(s, ctx, e);
}

int
imap_from_facts(struct source *src, struct arena *a,
    struct account_info *info, struct err *e)
{
	struct imap_from *m = (struct imap_from *)src;
	struct imap_boxes l = { .n = 0 };
	struct imap_response rs;
	const char **names;
	size_t n = 0;
	int rc;

	if (m->s->root != NULL)
		return 0;	/* they are the login's, not the tree's */
	if (m->s->caps & CAP_QUOTA && imap_quota_of_inbox(m->s,
	    &info->quota_bytes, e) == -1)
		return -1;
	rc = imap_try(m->s, "LSUB \"\" \"*\"", lsub_data, &l, &rs, e);
	if (rc == 0 && m->s->caps & CAP_LIST_EXTENDED)
		rc = imap_try(m->s, "LIST (SUBSCRIBED) \"\" \"*\"", lsub_data,
		    &l, &rs, e);
	if (rc == -1) {
		imap_boxes_release(&l);
		return -1;
	}
	names = arena_alloc(a, (l.n + 1) * sizeof *names);
	for (size_t i = 0; i < l.n; i++) {
		struct imap_name_rules rules = m->rules;
		const char *const *path;
		size_t npath;
		bool raw;

		if (l.b[i].noselect || elsewhere(m, l.b[i].name))
			continue;
		rules.sep = l.b[i].sep;
		imap_name_read(&rules, a, l.b[i].name, &path, &npath, &raw);
		names[n++] = join(a, path, npath);
	}
	imap_boxes_release(&l);
	info->has_subscriptions = n > 0;
	info->subscriptions = names;
	info->nsubscriptions = n;
	return 0;
}
