/* imap: and imaps: as sources: the list of mailboxes, subscriptions, quota. */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/xmalloc.h"
#include "imap/imap_from.h"
#include "imap/imap_quota.h"

#define IMAP_LIST_S	600	/* STATUS of a mailbox may take its time, */
#define IMAP_LISTS_S	3600	/* and there may be many */

struct box {
	char		*name;
	char		 sep;
	unsigned	 use;
	bool		 noselect, subscribed, has_status;
	struct imap_box	 status;
	uint64_t	 size;
};

struct boxes {
	struct box	*b;
	size_t		 n, cap;
};

static struct box *
find_box(struct boxes *l, const char *name)
{
	/* STATUS comes right after its LIST. */
	for (size_t i = l->n; i > 0; i--)
		if (strcmp(l->b[i - 1].name, name) == 0)
			return &l->b[i - 1];
	return NULL;
}

static struct box *
add_box(struct boxes *l, const char *name)
{
	if (l->n == l->cap) {
		l->cap = l->cap == 0 ? 32 : l->cap * 2;
		l->b = xreallocarray(l->b, l->cap, sizeof *l->b);
	}
	memset(&l->b[l->n], 0, sizeof l->b[0]);
	l->b[l->n].name = xstrdup(strcasecmp(name, "INBOX") == 0 ? "INBOX" :
	    name);
	l->b[l->n].size = UNKNOWN64;
	return &l->b[l->n++];
}

static void
boxes_release(struct boxes *l)
{
	for (size_t i = 0; i < l->n; i++)
		free(l->b[i].name);
	free(l->b);
}

static unsigned
use_bit(const char *attr)
{
	static const struct { const char *name; unsigned bit; } table[] = {
		{ "\\All", USE_ALL }, { "\\Archive", USE_ARCHIVE },
		{ "\\Drafts", USE_DRAFTS }, { "\\Flagged", USE_FLAGGED },
		{ "\\Junk", USE_JUNK }, { "\\Sent", USE_SENT },
		{ "\\Trash", USE_TRASH }
	};

	for (size_t i = 0; i < sizeof table / sizeof table[0]; i++)
		if (strcasecmp(attr, table[i].name) == 0)
			return table[i].bit;
	return 0;
}

/* LIST and LSUB: (attributes) separator name [more]. */
static int
list_line(struct imap_session *s, struct boxes *l, bool lsub, struct err *e)
{
	struct box b = { .size = UNKNOWN64 }, *to;
	struct imap_token t;

	if (imap_read_token(&s->r, &t, e) == -1)
		return -1;
	if (t.type != IMAP_OPEN)
		return imap_protocol(&s->r, "LIST without attributes", e);
	while (t.type != IMAP_CLOSE) {
		if (imap_read_token(&s->r, &t, e) == -1)
			return -1;
		if (t.type == IMAP_END || t.type == IMAP_OPEN)
			return imap_protocol(&s->r, "LIST", e);
		b.use |= use_bit(t.p);
		b.noselect |= imap_is(&t, "\\Noselect") ||
		    imap_is(&t, "\\NonExistent");
		b.subscribed |= imap_is(&t, "\\Subscribed");
	}
	if (imap_read_token(&s->r, &t, e) == -1 ||
	    imap_token_string(&s->r, &t, e) == -1)
		return -1;
	b.sep = t.type == IMAP_STRING && t.len == 1 ? t.p[0] : '\0';
	if (imap_read_token(&s->r, &t, e) == -1 ||
	    imap_token_string(&s->r, &t, e) == -1)
		return -1;
	if ((t.type != IMAP_STRING && t.type != IMAP_ATOM) || t.len == 0 ||
	    memchr(t.p, '\0', t.len) != NULL)
		return imap_protocol(&s->r, "LIST without a name", e);
	if (l->n > 1000000)
		return imap_protocol(&s->r, "a million mailboxes", e);
	if (lsub) {
		/* \Noselect here: only something below is subscribed. */
		to = find_box(l, t.p);
		if (to != NULL && !b.noselect)
			to->subscribed = true;
		return 0;
	}
	to = add_box(l, t.p);
	b.name = to->name;
	*to = b;
	return 0;
}

static int
list_data(struct imap_session *s, struct imap_response *rs, void *ctx,
    struct err *e)
{
	struct boxes *l = ctx;
	struct imap_token t;
	struct box *b;
	char item[24];
	uint64_t v;

	if (rs->kind != IMAP_DATA)
		return 0;
	if (strcmp(rs->name, "LIST") == 0)
		return list_line(s, l, false, e);
	if (strcmp(rs->name, "LSUB") == 0)
		return list_line(s, l, true, e);
	if (strcmp(rs->name, "STATUS") != 0)
		return 0;
	if (imap_read_token(&s->r, &t, e) == -1 ||
	    imap_token_string(&s->r, &t, e) == -1)
		return -1;
	b = find_box(l, t.p);
	if (b == NULL)
		return 0;
	b->has_status = true;
	b->status.messages = UNKNOWN64;
	if (imap_read_token(&s->r, &t, e) == -1)
		return -1;
	while (t.type != IMAP_CLOSE && t.type != IMAP_END) {
		if (imap_read_token(&s->r, &t, e) == -1)
			return -1;
		if (t.type != IMAP_ATOM)
			continue;
		memset(item, 0, sizeof item);
		memcpy(item, t.p, t.len < sizeof item ? t.len :
		    sizeof item - 1);
		if (imap_read_token(&s->r, &t, e) == -1)
			return -1;
		if (imap_token_number(&t, INT64_MAX, &v) == -1) {
			if (t.type != IMAP_CLOSE && t.type != IMAP_END &&
			    imap_skip_value(&s->r, &t, e) == -1)
				return -1;
			continue;
		}
		if (strcasecmp(item, "MESSAGES") == 0)
			b->status.messages = v;
		else if (strcasecmp(item, "UIDNEXT") == 0)
			b->status.uidnext = v > UINT32_MAX ? 0 : (uint32_t)v;
		else if (strcasecmp(item, "UIDVALIDITY") == 0)
			b->status.uidvalidity = v > UINT32_MAX ? 0 :
			    (uint32_t)v;
		else if (strcasecmp(item, "HIGHESTMODSEQ") == 0)
			b->status.modseq = v;
		else if (strcasecmp(item, "SIZE") == 0)
			b->size = v;
	}
	return 0;
}

/* All mailboxes that the server names, in one round trip. */
static int
ask_list(struct imap_from *m, struct boxes *l, struct err *e)
{
	struct imap_session *s = m->s;
	struct imap_response rs;
	struct buf cmd;
	unsigned tag, tag2 = 0;
	bool ext = s->caps & CAP_LIST_EXTENDED;
	int rc;

	buf_init(&cmd, 500);
	buf_adds(&cmd, "LIST \"\" \"*\"");
	if (ext) {
		buf_addf(&cmd, " RETURN (SUBSCRIBED%s", s->caps &
		    CAP_SPECIAL_USE ? " SPECIAL-USE" : "");
		if (s->caps & CAP_LIST_STATUS)
			/* Sizes are in Cyrus' index; elsewhere they may cost
			 * reading all mail. */
			buf_addf(&cmd, " STATUS (MESSAGES UIDNEXT UIDVALIDITY"
			    "%s%s)", s->caps & CAP_CONDSTORE ?
			    " HIGHESTMODSEQ" : "", s->dialect == IMAP_CYRUS &&
			    s->caps & CAP_STATUS_SIZE ? " SIZE" : "");
		buf_addc(&cmd, ')');
	}
	imap_stream_limits(s->st, IMAP_LIST_S, IMAP_LISTS_S);
	rc = imap_send(s, cmd.ptr, &tag, e);
	buf_release(&cmd);
	if (rc == 0 && !ext)
		rc = imap_send(s, "LSUB \"\" \"*\"", &tag2, e);
	if (rc == 0)
		rc = imap_flush(s, e);
	if (rc == -1 || (rc = imap_wait(s, tag, list_data, l, &rs, e)) == -1)
		return -1;
	if (rc == 0)
		imap_no(&rs, ERR_ACCOUNT, e, "LIST");
	if (tag2 != 0) {
		struct err e2;

		if (imap_wait(s, tag2, list_data, l, &rs, &e2) == -1) {
			*e = e2;
			return -1;
		}
	}
	return rc == 1 ? 0 : -1;
}

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
	struct boxes l = { NULL, 0, 0 };
	struct folder_info *f;
	size_t n = 0, foreign = 0;
	struct imap_box box;
	int rc;

	if (ask_list(m, &l, e) == -1) {
		boxes_release(&l);
		return -1;
	}
	if (find_box(&l, "INBOX") == NULL) {
		/* LIST can be empty for a user with dots in the name; and an
		 * admin may act for a user who does not exist. */
		rc = imap_status(m->s, "INBOX", &box, e);
		if (rc == 0) {
			err_set(e, ERR_ACCOUNT, "there is no such user, or "
			    "no INBOX");
			e->cause = CAUSE_MISSING;
		}
		if (rc != 1) {
			boxes_release(&l);
			return -1;
		}
		add_box(&l, "INBOX")->sep = m->s->sep;
	}
	f = arena_zalloc(a, l.n * sizeof *f);
	for (size_t i = 0; i < l.n; i++) {
		struct box *b = &l.b[i];
		struct folder_info *x = &f[n];
		struct imap_name_rules rules = m->rules;
		bool raw;

		if (elsewhere(m->s, b->name)) {
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
	boxes_release(&l);
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
	return list_line(s, ctx, false, e);
}

int
imap_from_facts(struct source *src, struct arena *a,
    struct account_info *info, struct err *e)
{
	struct imap_from *m = (struct imap_from *)src;
	struct boxes l = { NULL, 0, 0 };
	struct imap_response rs;
	const char **names;
	size_t n = 0;

	if (m->s->caps & CAP_QUOTA && imap_quota_of_inbox(m->s,
	    &info->quota_bytes, e) == -1)
		return -1;
	if (imap_run(m->s, "LSUB \"\" \"*\"", lsub_data, &l, &rs, e) == -1) {
		boxes_release(&l);
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
	boxes_release(&l);
	info->has_subscriptions = n > 0;
	info->subscriptions = names;
	info->nsubscriptions = n;
	return 0;
}
