/* imap: and imaps: as sources: the list of mailboxes, subscriptions, quota. */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/xmalloc.h"
#include "imap/imap_boxes.h"
#include "imap/imap_from.h"
#include "imap/imap_quota.h"

static bool
elsewhere(const struct imap_session *s, const char *name)
{
	for (size_t i = 0; i < s->others.n; i++) {
		const char *o = s->others.w[i];
		size_t n = strlen(o);

		if (strcmp(o, s->prefix) == 0)
			continue;
		if (strncmp(name, o, n) == 0)
			return true;
		/* The namespace's own level. */
		if (n > 1 && o[n - 1] == s->sep && strlen(name) == n - 1 &&
		    strncmp(name, o, n - 1) == 0)
			return true;
	}
	return false;
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

int
imap_from_list(struct source *src, struct arena *a,
    struct folder_info **fp, size_t *np, struct err *e)
{
	struct imap_from *m = (struct imap_from *)src;
	struct imap_boxes l = { NULL, 0, 0 };
	struct folder_info *f;
	size_t n = 0, foreign = 0;
	struct imap_box box;
	int rc;

	if (imap_boxes_ask(m->s, &l, e) == -1) {
		imap_boxes_release(&l);
		return -1;
	}
	if (m->s->root == NULL && imap_boxes_find(&l, "INBOX") == NULL) {
		/* LIST can be empty for a user with dots in the name; and an
		 * admin may act for a user who does not exist. */
		rc = imap_status(m->s, "INBOX", &box, e);
		if (rc == 0) {
			err_set(e, ERR_ACCOUNT, "there is no such user, or "
			    "no INBOX");
			e->cause = CAUSE_MISSING;
		}
		if (rc != 1) {
			imap_boxes_release(&l);
			return -1;
		}
		imap_boxes_add(&l, "INBOX")->sep = m->s->sep;
	}
	f = arena_zalloc(a, l.n * sizeof *f + 1);
	for (size_t i = 0; i < l.n; i++) {
		struct imap_listed *b = &l.b[i];
		struct folder_info *x = &f[n];
		struct imap_name_rules rules = m->rules;
		bool raw;

		if (m->s->root == NULL && elsewhere(m->s, b->name)) {
			foreign++;
			continue;
		}
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
		if (raw)
			src->conf.warn(src->conf.warn_ctx, x->name, NULL,
			    "its name is not modified UTF-7; taken as it is");
		n++;
	}
	if (foreign > 0)
		source_warn(src, NULL, "%zu mailboxes of other users or shared "
		    "ones are not part of this account", foreign);
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
	if (rs->kind != IMAP_DATA || strcmp(rs->name, "LSUB") != 0)
		return 0;
	return imap_boxes_line(s, ctx, e);
}

int
imap_from_facts(struct source *src, struct arena *a,
    struct account_info *info, struct err *e)
{
	struct imap_from *m = (struct imap_from *)src;
	struct imap_boxes l = { NULL, 0, 0 };
	struct imap_response rs;
	const char **names;
	size_t n = 0;

	if (m->s->root != NULL)
		return 0;	/* they are the login's, not the tree's */
	if (m->s->caps & CAP_QUOTA && imap_quota_of_inbox(m->s,
	    &info->quota_bytes, e) == -1)
		return -1;
	if (imap_run(m->s, "LSUB \"\" \"*\"", lsub_data, &l, &rs, e) == -1) {
		imap_boxes_release(&l);
		return -1;
	}
	names = arena_alloc(a, (l.n + 1) * sizeof *names);
	for (size_t i = 0; i < l.n; i++) {
		struct imap_name_rules rules = m->rules;
		const char *const *path;
		size_t npath;
		bool raw;

		if (l.b[i].noselect || elsewhere(m->s, l.b[i].name))
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
