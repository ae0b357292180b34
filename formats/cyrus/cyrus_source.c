/*
 * "cyrus:" read.  A mailbox comes with one GET FULLMAILBOX, which goes into a
 * spill; contents with GET FETCH, a few asked for ahead.
 */
#include "cyrus/cyrus_source.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/spill.h"
#include "base/xmalloc.h"
#include "cyrus/cyrus_impl.h"
#include "imap/imap_source.h"
#include "imap/imap_spool.h"

#define AHEAD		16	/* contents asked for and not yet read */

/* A message in the spill; its keywords follow, each with a NUL. */
struct packed {
	uint64_t	 modseq, size;
	int64_t		 date;
	uint32_t	 flags;
	unsigned char	 sha1[SHA1_LEN];
};

struct wanted {
	uint32_t	 uid;
	unsigned char	 sha1[SHA1_LEN];
};

struct cyrus_from {
	struct source	 src;
	struct cyrus	 c;
	struct cyrus_box box;
	struct spill	*list;
	uint32_t	 from_uid;
	uint64_t	 count;
	struct wanted	*want;
	size_t		 nwant, asked, read;	/* of want */
};

static struct cyrus_from *
from(struct source *src)
{
	return (struct cyrus_from *)src;
}

/* Opening. */

static void
close_imap(struct source *src)
{
	struct uri *u = src->conf.uri;

	imap_source.close(src);
	uri_free(&u);
}

static struct source_ops imap_instead;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void
init(void)
{
	imap_instead = imap_source;
	imap_instead.close = close_imap;
}

static int
open_imap(struct source **sp, const struct store_conf *conf, struct err *e)
{
	struct store_conf own = *conf;

	if (cyrus_imap_uri(&own.uri, conf->uri, false, e) == -1)
		return -1;
	if (imap_source.open(sp, &own, e) == -1) {
		uri_free(&own.uri);
		return -1;
	}
	pthread_once(&once, init);
	(*sp)->ops = &imap_instead;
	(*sp)->conf = own;
	return 0;
}

static int
open_source(struct source **sp, const struct store_conf *conf, struct err *e)
{
	char transport = cyrus_transport(conf->uri);
	struct store_conf looks = *conf;
	struct cyrus_from *m;
	int rc;

	if (transport == 'i')
		return cyrus_check(conf->uri, e) == -1 ? -1 :
		    open_imap(sp, conf, e);
	m = xcalloc(1, sizeof *m);
	looks.look_only = true;
	rc = cyrus_connect(&m->c, &looks, false, e);
	if (rc == 1) {
		cyrus_box_init(&m->box);
		*sp = &m->src;
		return 0;
	}
	free(m);
	if (rc == 0 && transport == 'a' && conf->uri->host != NULL)
		return open_imap(sp, conf, e);
	return -1;
}

static void
close_source(struct source *src)
{
	struct cyrus_from *m = from(src);

	cyrus_disconnect(&m->c);
	cyrus_box_release(&m->box);
	spill_free(&m->list);
	free(m->want);
	free(m);
}

/* The account. */

static const char *
join(struct arena *a, const char *const *path, size_t n)
{
	struct buf b;
	char *s;

	buf_init(&b, 1 << 16);
	for (size_t i = 0; i < n; i++)
		buf_addf(&b, "%s%s", i > 0 ? "/" : "", path[i]);
	s = arena_memdup0(a, b.ptr, b.len);
	buf_release(&b);
	return s;
}

static int
by_path(const void *pa, const void *pb)
{
	const struct folder_info *a = pa, *b = pb;
	bool ia = strcmp(a->raw_name, "INBOX") == 0;
	bool ib = strcmp(b->raw_name, "INBOX") == 0;

	if (ia != ib)
		return ia ? -1 : 1;
	for (size_t i = 0; i < a->npath && i < b->npath; i++) {
		int c = strcmp(a->path[i], b->path[i]);

		if (c != 0)
			return c;
	}
	return a->npath < b->npath ? -1 : a->npath > b->npath;
}

/* Rights of others than the owner. */
static void
fill_acl(struct cyrus_from *m, struct arena *a, struct folder_info *f,
    const char *text)
{
	struct acl_entry *all;
	size_t n, k = 0;

	cyrus_acl_read(text, a, &all, &n);
	for (size_t i = 0; i < n; i++) {
		char *rights;
		size_t len;

		if (strcasecmp(all[i].who, m->c.names.user) == 0)
			continue;
		/* What Cyrus has besides comes last. */
		len = strspn(all[i].rights, "lrswipkxtea");
		rights = arena_memdup0(a, all[i].rights, len);
		all[k++] = (struct acl_entry){ all[i].who, rights };
	}
	f->acl = all;
	f->nacl = k;
}

static void
fill_info(struct cyrus_from *m, struct arena *a, struct folder_info *f,
    const struct cyrus_listed *l)
{
	bool raw;

	imap_name_read(&m->c.names.rules, a, l->seen, &f->path, &f->npath,
	    &raw);
	f->raw_name = arena_strdup(a, l->seen);
	f->name = join(a, f->path, f->npath);
	f->special_use = l->use;
	f->uidvalidity = l->fresh ? 0 : l->uidvalidity;
	f->uidnext = l->last_uid + 1;
	f->modseq = l->modseq;
	f->messages = l->messages;
	f->bytes = UNKNOWN64;
	f->class = l->mail ? FOLDER_MAIL : FOLDER_OTHER;
	f->subscribed = l->subscribed;
	fill_acl(m, a, f, l->acl);
}

static int
list(struct source *src, struct arena *a, struct folder_info **fp,
    size_t *np, struct err *e)
{
	struct cyrus_from *m = from(src);
	struct cyrus_account acc;
	struct folder_info *f;

	if (cyrus_account_get(&m->c, &acc, e) == -1)
		return -1;
	if (!acc.inbox) {
		err_set(e, ERR_ACCOUNT, "there is no user %.100s",
		    m->c.names.user);
		e->cause = CAUSE_MISSING;
		cyrus_account_release(&acc);
		return -1;
	}
	f = arena_zalloc(a, (acc.n + 1) * sizeof *f);
	*np = 0;
	for (size_t i = 0; i < acc.n; i++)
		if (acc.box[i].mail)
			fill_info(m, a, &f[(*np)++], &acc.box[i]);
	if (*np > 0)
		qsort(f, *np, sizeof *f, by_path);
	*fp = f;
	cyrus_account_release(&acc);
	return 0;
}

/* Levels joined by "/", of a name as its owner sees it. */
static const char *
display(const struct cyrus_names *n, struct arena *a, const char *seen)
{
	const char *const *path;
	size_t npath;
	bool raw;

	imap_name_read(&n->rules, a, seen, &path, &npath, &raw);
	return join(a, path, npath);
}

/* A subscription to somebody else's mailbox. */
static void
fill_foreign(struct cyrus_from *m, struct arena *a, const char *internal,
    struct foreign_box *f, size_t *n)
{
	struct cyrus_names owner;
	struct buf seen;

	if (cyrus_names_owner(&owner, &m->c.names, internal) == -1)
		return;
	buf_init(&seen, 2000);
	if (cyrus_seen(&owner, internal, &seen) == 0) {
		f[*n].name = arena_strdup(a, internal);
		f[*n].owner = arena_strdup(a, owner.user);
		f[(*n)++].box = display(&owner, a, seen.ptr);
	}
	buf_release(&seen);
	cyrus_names_release(&owner);
}

static int
facts(struct source *src, struct arena *a, struct account_info *info,
    struct err *e)
{
	struct cyrus_from *m = from(src);
	struct cyrus_account acc;
	struct foreign_box *foreign;
	const char **names, *at;
	struct buf seen;
	size_t n = 0, nforeign = 0;

	if (cyrus_account_get(&m->c, &acc, e) == -1)
		return -1;
	names = arena_alloc(a, (acc.nsubs + 1) * sizeof *names);
	foreign = arena_alloc(a, (acc.nsubs + 1) * sizeof *foreign);
	buf_init(&seen, 2000);
	for (size_t i = 0; i < acc.nsubs; i++) {
		buf_reset(&seen);
		if (cyrus_seen(&m->c.names, acc.subs[i], &seen) == 0)
			names[n++] = display(&m->c.names, a, seen.ptr);
		else
			fill_foreign(m, a, acc.subs[i], foreign, &nforeign);
	}
	buf_release(&seen);
	info->has_subscriptions = n > 0;
	info->subscriptions = names;
	info->nsubscriptions = n;
	info->uidls = cyrus_uidls(&m->c);
	info->foreign = foreign;
	info->nforeign = nforeign;
	if ((at = strrchr(m->c.names.user, '@')) != NULL)
		info->domain = arena_strdup(a, at + 1);
	info->quota_bytes = acc.quota_kib == UNKNOWN64 ? UNKNOWN64 :
	    acc.quota_kib * 1024;
	cyrus_account_release(&acc);
	return 0;
}

/* One mailbox. */

static int
put_record(void *ctx, struct cyrus_record *r, struct err *e)
{
	struct cyrus_from *m = ctx;
	struct packed p = { .modseq = r->modseq, .size = r->size,
	    .date = r->date, .flags = r->flags };
	struct buf b;
	int rc;

	if (r->expunged)
		return 0;
	m->count++;
	if (r->uid < m->from_uid)
		return 0;
	memcpy(p.sha1, r->sha1, SHA1_LEN);
	buf_init(&b, (size_t)2 << 20);
	buf_add(&b, &p, sizeof p);
	for (size_t i = 0; i < r->nkw; i++)
		buf_add(&b, r->kw[i], strlen(r->kw[i]) + 1);
	rc = spill_put(m->list, r->uid, b.ptr, b.len, e);
	buf_release(&b);
	return rc;
}

static void
put_token(const struct cyrus_from *m, struct buf *out)
{
	buf_addf(out, "cyrus1 %s %" PRIu32 " %" PRIu32 " %" PRIu64,
	    m->box.uniqueid, m->box.uidvalidity, m->box.last_uid,
	    m->box.modseq);
}

static int
no_mailbox(struct folder_info *f, struct err *e)
{
	err_set(e, ERR_MAILBOX, "there is no mailbox %.100s", f->raw_name);
	e->cause = CAUSE_MISSING;
	return -1;
}

static int
folder_open(struct source *src, struct folder_info *f,
    const struct buf *token, uint32_t from_uid, enum delta *delta,
    struct err *e)
{
	struct cyrus_from *m = from(src);
	struct buf internal, now;
	int rc;

	buf_init(&internal, 2000);
	buf_init(&now, 300);
	m->from_uid = from_uid;
	m->count = 0;
	m->nwant = m->asked = m->read = 0;
	*delta = DELTA_FULL;
	rc = cyrus_internal(&m->c.names, f->raw_name, &internal) == -1 ? 0 :
	    cyrus_box_get(m->c.y, internal.ptr, m->c.names.user, false, NULL,
	    NULL, &m->box, e);
	if (rc == 1) {
		put_token(m, &now);
		if (token != NULL && now.len == token->len && memcmp(now.ptr,
		    token->ptr, now.len) == 0)
			*delta = DELTA_UNCHANGED;
	}
	spill_free(&m->list);
	m->list = spill_new();
	if (rc == 1 && m->box.last_uid > 0) {
		rc = cyrus_box_get(m->c.y, internal.ptr, m->c.names.user,
		    true, put_record, m, &m->box, e);
		if (rc == 1 && *delta == DELTA_UNCHANGED) {
			buf_reset(&now);
			put_token(m, &now);
			if (now.len != token->len || memcmp(now.ptr,
			    token->ptr, now.len) != 0)
				*delta = DELTA_FULL;
		}
	}
	if (rc == 0)
		rc = no_mailbox(f, e);
	if (rc == 1 && spill_sort(m->list, e) == -1)
		rc = -1;
	buf_release(&internal);
	buf_release(&now);
	if (rc == -1)
		return -1;
	f->uidvalidity = cyrus_box_fresh(&m->box) ? 0 : m->box.uidvalidity;
	f->uidnext = m->box.last_uid + 1;
	f->modseq = m->box.modseq;
	f->messages = m->count;
	return 0;
}

static int
next(struct source *src, struct arena *a, struct msg_meta *meta,
    struct err *e)
{
	struct cyrus_from *m = from(src);
	const char **kw, *end, *p;
	struct packed k;
	const void *rec;
	uint64_t uid;
	size_t len;
	int rc = spill_next(m->list, &uid, &rec, &len, e);

	if (rc != 1)
		return rc;
	memcpy(&k, rec, sizeof k);
	meta->key = arena_printf(a, "%u.%u", m->box.uidvalidity,
	    (unsigned)uid);
	meta->uid = (uint32_t)uid;
	meta->flags = k.flags;
	meta->date = k.date;
	meta->date_origin = DATE_STORE;
	meta->size = k.size;
	meta->modseq = k.modseq;
	meta->sha1 = memcpy(arena_alloc(a, SHA1_LEN), k.sha1, SHA1_LEN);
	meta->where = arena_printf(a, "uid %u", (unsigned)uid);
	p = arena_memdup0(a, (const char *)rec + sizeof k, len - sizeof k);
	end = p + (len - sizeof k);
	kw = arena_alloc(a, CYRUS_KEYWORDS * sizeof *kw);
	for (; p < end && meta->nkeywords < CYRUS_KEYWORDS;
	    p += strlen(p) + 1)
		kw[meta->nkeywords++] = p;
	meta->keywords = kw;
	return 1;
}

/* Contents. */

static int
ask(struct cyrus_from *m, const struct wanted *w, struct err *e)
{
	struct buf args;
	int rc;

	buf_init(&args, 4000);
	cyrus_fetch_put(&args, &m->box, w->uid, w->sha1);
	rc = sync_begin(m->c.y, "GET ", e);
	if (rc == 0)
		rc = sync_put(m->c.y, args.ptr, args.len, e);
	if (rc == 0)
		rc = sync_end(m->c.y, e);
	buf_release(&args);
	return rc;
}

struct body {
	struct imap_spool spool;
	bool		 there;
};

static int
body_data(struct sync *y, const char *name, void *ctx, struct err *e)
{
	struct body *b = ctx;
	struct dlist_token t;
	char chunk[16384];
	ssize_t n;

	if (strcmp(name, "MESSAGE") != 0 || b->there)
		return 0;
	if (dlist_next(&y->d, &t, e) == -1)
		return -1;
	if (t.type != DLIST_FILE)
		return dlist_bad(&y->d, "a message that is none", e);
	b->there = true;
	while ((n = dlist_file(&y->d, chunk, sizeof chunk, e)) > 0)
		if (imap_spool_add(&b->spool, chunk, (size_t)n, e) == -1)
			return -1;
	return (int)n;
}

/* The answer to the oldest question: 1 and its content, 0 it is gone. */
static int
answer(struct cyrus_from *m, struct content **c, struct err *e)
{
	struct sync_reply r;
	struct body b = { .there = false };
	int rc;

	imap_spool_init(&b.spool, IMAP_SPOOL_MEMORY);
	rc = sync_answer(m->c.y, body_data, &b, &r, e);
	if (rc == 1 && b.there)
		*c = imap_spool_content(&b.spool);
	else if (rc == 0 && strcmp(r.code, "IMAP_MAILBOX_NONEXISTENT") != 0) {
		sync_no(&r, ERR_MESSAGE, e, "read a message");
		e->retry = true;
		rc = -1;
	} else if (rc == 1)
		rc = 0;
	imap_spool_release(&b.spool);
	return rc;
}

/* Answers that nobody wants any more. */
static int
drain(struct cyrus_from *m, struct err *e)
{
	struct content *c = NULL;
	struct err no;

	for (; m->read < m->asked; m->read++) {
		if (answer(m, &c, &no) == -1 && m->c.y->dead) {
			*e = no;
			return -1;
		}
		content_close(&c);
	}
	m->nwant = m->asked = m->read = 0;
	return 0;
}

static int
want(struct source *src, const struct msg_meta *const *metas, size_t n,
    struct err *e)
{
	struct cyrus_from *m = from(src);

	if (drain(m, e) == -1)
		return -1;
	m->want = xreallocarray(m->want, n + 1, sizeof *m->want);
	for (size_t i = 0; i < n; i++) {
		if (metas[i]->sha1 == NULL)
			continue;
		m->want[m->nwant].uid = metas[i]->uid;
		memcpy(m->want[m->nwant++].sha1, metas[i]->sha1, SHA1_LEN);
	}
	return 0;
}

/* A content that was not announced, or is read a second time. */
static int
read_alone(struct cyrus_from *m, const struct msg_meta *meta,
    struct content **c, struct err *e)
{
	struct wanted one = { .uid = meta->uid };

	if (drain(m, e) == -1)
		return -1;
	memcpy(one.sha1, meta->sha1, SHA1_LEN);
	if (ask(m, &one, e) == -1)
		return -1;
	return answer(m, c, e);
}

static int
content(struct source *src, const struct msg_meta *meta, struct content **c,
    struct err *e)
{
	struct cyrus_from *m = from(src);
	struct err no;
	size_t i;
	int rc;

	*c = NULL;
	if (meta->sha1 == NULL)
		return err_set(e, ERR_MESSAGE, "it is not from this listing");
	for (i = m->read; i < m->nwant; i++)
		if (m->want[i].uid == meta->uid)
			break;
	if (i == m->nwant)
		return read_alone(m, meta, c, e);
	/* Those before it were passed over. */
	for (;;) {
		for (; m->asked < m->nwant && m->asked < m->read + AHEAD;
		    m->asked++)
			if (ask(m, &m->want[m->asked], e) == -1)
				return -1;
		if (m->read == i)
			break;
		if (answer(m, c, &no) == -1 && m->c.y->dead) {
			*e = no;
			return -1;
		}
		content_close(c);
		m->read++;
	}
	rc = answer(m, c, e);
	m->read++;
	return rc;
}

static int
folder_count(struct source *src, uint64_t *n, struct err *e)
{
	(void)e;
	*n = from(src)->box.messages == UNKNOWN64 ? 0 :
	    from(src)->box.messages;
	return 0;
}

static int
folder_token(struct source *src, struct buf *token, struct err *e)
{
	(void)e;
	put_token(from(src), token);
	return 0;
}

static void
folder_close(struct source *src)
{
	struct cyrus_from *m = from(src);
	struct err e;

	drain(m, &e);
	spill_free(&m->list);
}

static const char *const schemes[] = { "cyrus", NULL };
static const char *const options[] = { CYRUS_OPTIONS, NULL };

const struct source_ops cyrus_source = {
	.schemes = schemes,
	.options = options,
	.check = cyrus_check,
	.open = open_source,
	.close = close_source,
	.account_facts = facts,
	.list = list,
	.folder_open = folder_open,
	.next = next,
	.want = want,
	.content = content,
	.folder_count = folder_count,
	.folder_token = folder_token,
	.folder_close = folder_close,
};
