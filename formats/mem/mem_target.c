/* In-memory stores, the target side. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "base/buf.h"
#include "base/fault.h"
#include "base/xmalloc.h"
#include "crlf.h"
#include "mem/mem_host.h"
#include "mem/mem_impl.h"

struct mem_tgt {
	struct target	 t;
	struct mem_store *store;
	struct mem_folder *folder;
	struct store_batch *first, *last;	/* submitted */
	bool		 broken;
	bool		 sha1;
};

static int
open_target(struct target **tp, const struct store_conf *conf, struct err *e)
{
	struct mem_store *store;
	struct mem_tgt *t;

	mem_lock();
	store = mem_find(conf->uri->path);
	mem_unlock();
	if (store == NULL)
		return err_set(e, ERR_ACCOUNT, "no store mem:%s",
		    conf->uri->path);
	if (mem_session_open(store, e) == -1)
		return -1;
	t = xcalloc(1, sizeof *t);
	t->store = store;
	t->sha1 = store->sha1 && !store->sha1_eyes && (!store->sha1_some ||
	    ((store->nsessions++ * 2654435761u) >> 13 & 1));
	*tp = &t->t;
	return 0;
}

static void
close_target(struct target *tp)
{
	mem_session_close(((struct mem_tgt *)tp)->store);
	free(tp);
}

static void
caps(struct target *tp, struct target_caps *c)
{
	struct mem_store *s = ((struct mem_tgt *)tp)->store;

	c->bits = (s->no_uids ? 0 : TGT_TELLS_UIDS) |
	    (s->no_expunge ? 0 : TGT_EXPUNGES) |
	    (s->not_atomic ? 0 : TGT_ATOMIC) | TGT_FLAGS |
	    (s->no_move ? 0 : TGT_MOVES) |
	    (((struct mem_tgt *)tp)->sha1 ? TGT_TELLS_SHA1 : 0) |
	    (s->prompt ? TGT_PROMPT : 0) |
	    (s->chooses_uids ? TGT_CHOOSES_UIDS : 0);
	if (s->one_writer)
		c->bits |= TGT_ONE_WRITER;
	c->batch_messages = s->batch_messages ? s->batch_messages : 50;
	c->window = 2;
	if (s->max_message != 0)
		c->max_message = s->max_message;
}

static const char *
identity(struct target *tp)
{
	return ((struct mem_tgt *)tp)->store->identity;
}

static int
account_ensure(struct target *tp, bool create, struct err *e)
{
	struct mem_store *s = ((struct mem_tgt *)tp)->store;

	if (!s->missing)
		return 1;
	if (!create) {
		err_set(e, ERR_ACCOUNT, "user mem:%s does not exist", s->name);
		e->cause = CAUSE_MISSING;
		return -1;
	}
	s->missing = false;
	return 0;
}

static int
name(struct target *tp, struct arena *a, const char *const *path,
    size_t npath, const char **out, bool *encoded, struct err *e)
{
	struct buf b;

	(void)tp;
	(void)e;
	*encoded = false;
	buf_init(&b, 1 << 16);
	for (size_t i = 0; i < npath; i++) {
		if (i > 0)
			buf_addc(&b, '/');
		buf_adds(&b, path[i]);
	}
	*out = arena_memdup0(a, b.ptr, b.len);
	buf_release(&b);
	return 0;
}

static int
survey(struct target *tp, struct arena *a, const char *const *names, size_t n,
    bool quota, struct target_view *v, struct err *e)
{
	struct mem_tgt *t = (struct mem_tgt *)tp;
	size_t count = 0;

	(void)names;
	(void)n;
	if (t->store->no_view)
		return err_retry(e, ERR_HOST, "no answer to LIST");
	mem_lock();
	mem_settle(t->store);
	for (struct mem_folder *f = t->store->folders; f; f = f->next)
		count++;
	v->boxes = arena_zalloc(a, (count + 1) * sizeof *v->boxes);
	for (struct mem_folder *f = t->store->folders; f; f = f->next) {
		struct target_box *b = &v->boxes[v->n++];

		b->name = f->name;
		b->st.uidvalidity = f->uidvalidity;
		b->st.uidnext = f->uidnext;
		b->st.modseq = f->modseq;
		b->st.messages = f->count;
	}
	if (quota && t->store->quota_bytes != 0) {
		v->quota_bytes = t->store->quota_bytes;
		v->quota_used = t->store->bytes_stored;
	}
	mem_unlock();
	return 0;
}

static void
changing(struct mem_store *s, const char *what, const char *fname)
{
	if (s->on_change != NULL)
		s->on_change(s, what, fname);
}

static int
folder_open(struct target *tp, const char *fname, struct folder_state *st,
    struct err *e)
{
	struct mem_tgt *t = (struct mem_tgt *)tp;

	if (t->store->breaks[0] != '\0' && strcmp(t->store->breaks,
	    fname) == 0)
		return mem_internal_error(t->store, e);
	mem_lock();
	mem_settle(t->store);
	t->folder = mem_folder_get(t->store, fname, false);
	if (t->folder != NULL) {
		st->uidvalidity = t->folder->uidvalidity;
		st->uidnext = t->folder->uidnext;
		st->modseq = t->store->no_modseq ? 0 : t->folder->modseq;
		st->messages = t->folder->count;
		st->special_use = t->folder->special_use;
	}
	mem_unlock();
	/* After what it tells. */
	changing(t->store, "open", fname);
	return t->folder != NULL;
}

static void
folder_close(struct target *tp)
{
	((struct mem_tgt *)tp)->folder = NULL;
}

static int
parent(struct target *tp, struct arena *a, const char *fname,
    const char **out)
{
	const char *end = strrchr(fname, '/');

	(void)tp;
	if (end == NULL)
		return 0;
	*out = arena_memdup0(a, fname, (size_t)(end - fname));
	return 1;
}

static void
inherit(struct mem_store *s, struct mem_folder *f)
{
	const char *end = strrchr(f->name, '/');
	char up[400];

	if (end == NULL || f->acl[0] != '\0')
		return;
	snprintf(up, sizeof up, "%.*s", (int)(end - f->name), f->name);
	for (const struct mem_folder *p = s->folders; p != NULL; p = p->next)
		if (strcmp(p->name, up) == 0)
			memcpy(f->acl, p->acl, sizeof f->acl);
}

/* Under the lock. */
static void
make_parents(struct mem_store *s, const char *fname)
{
	for (const char *p = fname; s->makes_parents &&
	    (p = strchr(p, '/')) != NULL; p++) {
		char up[400];

		snprintf(up, sizeof up, "%.*s", (int)(p - fname), fname);
		mem_folder_get(s, up, true);
	}
}

static int
folder_create(struct target *tp, const char *fname, unsigned use,
    struct err *e)
{
	struct mem_tgt *t = (struct mem_tgt *)tp;
	struct mem_folder *f;

	if (t->store->no_create[0] != '\0' &&
	    strcmp(fname, t->store->no_create) == 0)
		return err_set(e, ERR_MAILBOX, "CREATE: no such name here");
	mem_lock();
	if (mem_folder_get(t->store, fname, false) == NULL)
		t->store->ncreated++;
	f = mem_folder_get(t->store, fname, true);
	f->special_use |= use;
	if (t->store->inherits)
		inherit(t->store, f);
	make_parents(t->store, fname);
	mem_unlock();
	return 0;
}

/* Children move with their parent, as with IMAP. */
static int
folder_rename(struct target *tp, const char *from, const char *to,
    struct err *e)
{
	struct mem_store *s = ((struct mem_tgt *)tp)->store;
	size_t len = strlen(from), n = 0;
	char name_buf[4096];

	changing(s, "rename", from);
	mem_lock();
	if (s->no_rename || mem_folder_get(s, to, false) != NULL ||
	    mem_folder_get(s, from, false) == NULL) {
		mem_unlock();
		return err_set(e, ERR_MAILBOX, "RENAME %s to %s: NO", from,
		    to);
	}
	for (struct mem_folder *f = s->folders; f; f = f->next) {
		if (strncmp(f->name, from, len) != 0 || (f->name[len] !=
		    '\0' && f->name[len] != '/'))
			continue;
		snprintf(name_buf, sizeof name_buf, "%s%s", to, f->name + len);
		f->name = memcpy(mem_alloc(s, strlen(name_buf) + 1), name_buf,
		    strlen(name_buf) + 1);
		if (s->new_uidvalidity)
			f->uidvalidity = s->next_uidvalidity++;
		n++;
	}
	make_parents(s, to);
	s->nchanges += n;
	mem_unlock();
	return 0;
}

static int
set_uids(struct target *tp, const struct folder_uids *u,
    struct folder_state *st, struct err *e)
{
	struct mem_tgt *t = (struct mem_tgt *)tp;
	struct mem_folder *f = t->folder;

	(void)e;
	mem_lock();
	t->store->nseeded++;
	if (u->uidvalidity != 0)
		f->uidvalidity = u->uidvalidity;
	if (u->uidnext > f->uidnext)
		f->uidnext = u->uidnext;
	st->uidvalidity = f->uidvalidity;
	st->uidnext = f->uidnext;
	st->modseq = f->modseq;
	st->messages = f->count;
	mem_unlock();
	return 0;
}

static int
subscribe(struct target *tp, const char *fname, bool on, struct err *e)
{
	struct mem_tgt *t = (struct mem_tgt *)tp;
	struct mem_folder *f;

	(void)e;
	changing(t->store, "subscribe", fname);
	mem_lock();
	f = mem_folder_get(t->store, fname, false);
	if (strncmp(fname, "user/", 5) == 0 && strstr(t->store->shared,
	    fname) == NULL) {
		size_t len = strlen(t->store->shared);

		snprintf(t->store->shared + len, sizeof t->store->shared - len,
		    "%s\n", fname);
		t->store->nchanges++;
	}
	if (f != NULL && f->subscribed != on) {
		f->subscribed = on;
		t->store->nchanges++;
	}
	mem_unlock();
	return 0;
}

/* The CRLF form of an item, as the store would keep it. */
static int
take(struct mem_store *s, struct store_item *it, struct buf *b)
{
	char in[4096], out[8192];
	struct crlf crlf = { false };
	struct err e;
	ssize_t n;

	buf_reset(b);
	if (it->bytes != NULL)
		buf_add(b, it->bytes, (size_t)it->size);
	else {
		while ((n = content_read(it->content, in, sizeof in, &e)) > 0)
			buf_add(b, out, crlf_convert(&crlf, in, (size_t)n,
			    out));
		if (n == -1 || b->len != it->size) {
			err_retry(&it->err, ERR_MESSAGE, "source changed");
			it->err.cause = CAUSE_CHANGED;
			return -1;
		}
	}
	if (s->munge) {
		char *end = memmem(b->ptr, b->len, "\r\n\r\n", 4), *p;

		for (p = b->ptr; p < (end ? end : b->ptr + b->len); p++)
			if ((unsigned char)*p >= 0x80)
				*p = 'X';
	}
	if (s->breaks[0] != '\0' && memmem(b->ptr, b->len, s->breaks,
	    strlen(s->breaks)) != NULL) {
		mem_internal_error(s, &it->err);
		if (it->suspect)
			it->err.scope = ERR_MESSAGE;
		return -1;
	}
	if ((s->refuse[0] != '\0' && memmem(b->ptr, b->len, s->refuse,
	    strlen(s->refuse)) != NULL) ||
	    (s->refuse_nul && memchr(b->ptr, '\0', b->len) != NULL))
		return err_set(&it->err, ERR_MESSAGE,
		    "NO this message is not wanted");
	return 0;
}

static void
all(struct store_batch *b, enum store_result r)
{
	for (size_t i = 0; i < b->n; i++)
		if (b->items[i].result == STORE_PENDING)
			b->items[i].result = r;
}

static char *
join_keywords(struct mem_store *s, const struct store_item *it)
{
	size_t len = 1;
	char *p, *q;

	for (size_t i = 0; i < it->nkeywords; i++)
		len += strlen(it->keywords[i]) + 1;
	p = q = mem_alloc(s, len);
	for (size_t i = 0; i < it->nkeywords; i++) {
		size_t n = strlen(it->keywords[i]);

		if (strcmp(it->keywords[i], s->no_keyword) == 0)
			continue;
		if (q > p)
			*q++ = ' ';
		memcpy(q, it->keywords[i], n);
		q += n;
	}
	*q = '\0';
	return p;
}

/* The batch's first refused item, or NULL; bytes of all are counted. */
static struct store_item *
check(struct mem_store *s, struct store_batch *b, struct buf *buf,
    uint64_t *total)
{
	struct store_item *bad = NULL;

	*total = 0;
	for (size_t i = 0; i < b->n; i++) {
		struct store_item *it = &b->items[i];
		struct err e;

		if (take(s, it, buf) == -1) {
			if (bad == NULL)
				bad = it;
		} else
			*total += buf->len;
		if (it->content != NULL)
			content_rewind(it->content, &e);
	}
	return bad;
}

static void
store(struct mem_tgt *t, struct store_batch *b, struct buf *buf)
{
	struct mem_store *s = t->store;

	for (size_t i = 0; i < b->n; i++) {
		struct store_item *it = &b->items[i];
		struct mem_message *m;

		if (it->result != STORE_PENDING || take(s, it, buf) == -1)
			continue;
		s->nstored++;
		s->bytes_stored += buf->len;
		for (size_t k = 0; k < it->nkeywords; k++)
			if (strcmp(it->keywords[k], s->no_keyword) == 0)
				it->changes |= CHANGE_KEYWORDS;
		if (s->late_ms > 0) {
			struct mem_late *l = mem_alloc(s, sizeof *l), **lp;

			l->folder = t->folder;
			l->bytes = memcpy(mem_alloc(s, buf->len + 1), buf->ptr,
			    buf->len);
			l->len = buf->len;
			l->flags = it->flags;
			l->keywords = join_keywords(s, it);
			l->date = it->date;
			l->due_ms = mem_now_ms() + s->late_ms;
			l->next = NULL;
			for (lp = &s->late; *lp != NULL; lp = &(*lp)->next)
				;
			*lp = l;
		} else {
			if (s->chooses_uids && it->want_uid != 0) {
				if (it->want_uid < t->folder->uidnext)
					it->changes |= CHANGE_UID;
				else
					t->folder->uidnext = it->want_uid;
			}
			m = mem_add(s, t->folder, buf->ptr, buf->len,
			    it->flags, join_keywords(s, it), it->date);
			it->uid = m->uid;
			if (it->guid != NULL)
				snprintf(m->guid, sizeof m->guid, "%s",
				    it->guid);
			m->mark = s->no_marks ? 0 : it->mark;
			if (s->no_uids)
				it->uid = 0;
		}
	}
}

static int
submit(struct target *tp, struct store_batch *b, struct err *e)
{
	struct mem_tgt *t = (struct mem_tgt *)tp;
	struct mem_store *s = t->store;
	struct store_item *bad;
	struct buf buf;
	uint64_t total;
	bool breaks, hangs_up = false;

	if (t->last != NULL)
		t->last->next = b;
	else
		t->first = b;
	t->last = b;
	if (t->broken) {
		all(b, STORE_NOT_SENT);
		return err_retry(e, ERR_ACCOUNT, "session is broken");
	}
	if (s->on_batch != NULL)
		s->on_batch(s);
	buf_init(&buf, (size_t)64 << 20);
	mem_lock();
	mem_settle(s);
	bad = check(s, b, &buf, &total);
	mem_unlock();
	if (bad != NULL && bad->err.cause == CAUSE_CHANGED) {
		bad->result = STORE_NOT_SENT;
		all(b, STORE_NOT_SENT);
		buf_release(&buf);
		return 0;
	}
	if (b->commit(b, e) == -1) {
		all(b, STORE_NOT_SENT);
		buf_release(&buf);
		return -1;
	}
	fault_point("append.before_crlf");
	mem_lock();
	if (s->over_quota || (s->quota_bytes != 0 && s->bytes_stored + total >
	    s->quota_bytes)) {
		all(b, STORE_NOT_SENT);
		mem_unlock();
		buf_release(&buf);
		err_retry(e, ERR_ACCOUNT, "NO [OVERQUOTA] over quota");
		e->cause = CAUSE_QUOTA;
		return -1;
	}
	s->nbatches++;
	if (s->chooses_uids)
		b->uidnext = t->folder->uidnext;
	for (size_t i = 0; i < b->n && s->hangup[0] != '\0'; i++)
		if (b->items[i].bytes != NULL && memmem(b->items[i].bytes,
		    (size_t)b->items[i].size, s->hangup, strlen(s->hangup)) !=
		    NULL)
			hangs_up = true;
	if (hangs_up)
		;	/* nothing is stored, no answer comes */
	else if (bad != NULL && b->n == 1)
		bad->result = STORE_REFUSED;
	else if (bad != NULL && !s->not_atomic)
		all(b, STORE_SPLIT);
	else {
		for (size_t i = 0; i < b->n; i++)
			if (b->items[i].err.scope != ERR_NONE)
				b->items[i].result = STORE_REFUSED;
		store(t, b, &buf);
	}
	breaks = (s->break_after > 0 && --s->break_after == 0) || hangs_up;
	mem_unlock();
	/* What it stored when it went down, it has. */
	if (mem_session_batch(s) == -1)
		breaks = true;
	buf_release(&buf);
	fault_point("append.after_crlf");
	if (breaks) {
		t->broken = true;
		for (size_t i = 0; i < b->n; i++)
			b->items[i].uid = 0;
		all(b, STORE_UNKNOWN);
		return err_retry(e, ERR_ACCOUNT, "connection lost");
	}
	/* A late commit is answered when it shows. */
	while (s->late_ms > 0 && s->late != NULL) {
		struct timespec ts = { 0, 1000000 };

		nanosleep(&ts, NULL);
		mem_lock();
		mem_settle(s);
		mem_unlock();
	}
	all(b, STORE_DONE);
	fault_point("append.answered");
	return 0;
}

static int
reap(struct target *tp, bool wait, struct store_batch **b, struct err *e)
{
	struct mem_tgt *t = (struct mem_tgt *)tp;

	(void)wait;
	(void)e;
	if ((*b = t->first) == NULL)
		return 0;
	t->first = (*b)->next;
	if (t->first == NULL)
		t->last = NULL;
	(*b)->next = NULL;
	return 1;
}

static int
broken(struct target *tp, struct err *e)
{
	if (!((struct mem_tgt *)tp)->broken)
		return 0;
	err_retry(e, ERR_ACCOUNT, "connection lost");
	return 1;
}

static int
folder_delete(struct target *tp, const char *fname, struct err *e)
{
	struct mem_tgt *t = (struct mem_tgt *)tp;
	struct mem_folder *f, **fp;

	(void)e;
	changing(t->store, "delete", fname);
	mem_lock();
	for (fp = &t->store->folders; (f = *fp) != NULL; fp = &f->next)
		if (strcmp(f->name, fname) == 0) {
			*fp = f->next;
			t->store->nchanges++;
			break;
		}
	mem_unlock();
	return 0;
}

static bool
has_word(const char *words, const char *w)
{
	size_t n = strlen(w);

	for (; *words != '\0'; words += *words == ' ') {
		size_t k = strcspn(words, " ");

		if (k == n && strncasecmp(words, w, n) == 0)
			return true;
		words += k;
	}
	return false;
}

static void
change_words(struct mem_store *s, struct mem_folder *f, uint32_t uid,
    const char *old, const struct flag_change *c)
{
	struct buf b;

	buf_init(&b, 1 << 16);
	for (const char *p = old; *p != '\0'; p += *p == ' ') {
		size_t k = strcspn(p, " ");
		bool goes = false;

		for (size_t i = 0; i < c->nkw_del; i++)
			goes = goes || (strlen(c->kw_del[i]) == k &&
			    strncasecmp(c->kw_del[i], p, k) == 0);
		if (!goes)
			buf_addf(&b, "%s%.*s", b.len > 0 ? " " : "", (int)k,
			    p);
		p += k;
	}
	for (size_t i = 0; i < c->nkw_add; i++)
		if (!has_word(b.ptr, c->kw_add[i]) &&
		    strcmp(c->kw_add[i], s->no_keyword) != 0)
			buf_addf(&b, "%s%s", b.len > 0 ? " " : "",
			    c->kw_add[i]);
	mem_set_keywords(s, f, uid, b.ptr);
	buf_release(&b);
}

static int
change_flags(struct target *tp, struct flag_change *c, size_t n,
    struct err *e)
{
	struct mem_tgt *t = (struct mem_tgt *)tp;
	struct mem_message *m;

	if (t->broken)
		return err_retry(e, ERR_ACCOUNT, "session is broken");
	if (t->store->on_flags != NULL)
		t->store->on_flags(t->store);
	for (size_t i = 0; i < n; i++) {
		mem_lock();
		for (m = t->folder->first; m != NULL; m = m->next)
			if (m->uid == c[i].uid && !m->expunged)
				break;
		c[i].result = m == NULL ? FLAG_GONE : c[i].unchanged_since !=
		    0 && !t->store->no_modseq && m->modseq >
		    c[i].unchanged_since ? FLAG_CHANGED : FLAG_DONE;
		t->store->nmodified += c[i].result == FLAG_CHANGED;
		if (c[i].result == FLAG_DONE) {
			mem_set_flags(t->folder, m->uid, (m->flags |
			    c[i].add) & ~c[i].del);
			if (c[i].nkw_add + c[i].nkw_del > 0)
				change_words(t->store, t->folder, m->uid,
				    m->keywords, &c[i]);
		}
		mem_unlock();
		fault_point("flags.one");
	}
	t->store->nchanges += n;
	if (t->store->on_flags != NULL)
		t->store->on_flags(t->store);
	return 0;
}

static int
move(struct target *tp, const uint32_t *uids, size_t n, const char *to,
    struct err *e)
{
	struct mem_tgt *t = (struct mem_tgt *)tp;
	struct mem_folder *dest = mem_folder_get(t->store, to, false);

	if (dest == NULL)
		return err_set(e, ERR_MAILBOX, "NO [TRYCREATE]");
	for (size_t i = 0; i < n; i++) {
		mem_lock();
		for (struct mem_message *m = t->folder->first; m != NULL;
		    m = m->next)
			if (m->uid == uids[i] && !m->expunged) {
				mem_add(t->store, dest, m->bytes, m->len,
				    m->flags, m->keywords, m->date);
				mem_expunge(t->folder, m->uid);
				break;
			}
		mem_unlock();
		fault_point("move.one");
	}
	t->store->nchanges += n;
	return 0;
}

static int
expunge(struct target *tp, const uint32_t *uids, size_t n, struct err *e)
{
	struct mem_tgt *t = (struct mem_tgt *)tp;

	(void)e;
	mem_lock();
	for (size_t i = 0; i < n; i++)
		mem_expunge(t->folder, uids[i]);
	t->store->nchanges += n;
	mem_unlock();
	return 0;
}

static int
set_quota(struct target *tp, uint64_t bytes, bool *changed, struct err *e)
{
	struct mem_store *s = ((struct mem_tgt *)tp)->store;
	uint64_t want = bytes == UNKNOWN64 ? 0 : bytes;
	struct timespec ts = { s->quota_ms / 1000,
	    (long)(s->quota_ms % 1000) * 1000000 };

	if (s->quota_failing > 0) {
		s->quota_failing--;
		err_set(e, ERR_HOST, "the admin's session");
		e->cause = s->quota_fails;
		e->retry = s->quota_passes;
		return -1;
	}
	if (s->no_quota) {
		err_set(e, ERR_ACCOUNT, "not an admin");
		return 0;
	}
	if (s->quota_ms > 0)
		nanosleep(&ts, NULL);
	mem_lock();
	*changed = s->quota_bytes != want;
	s->nquota += *changed;
	s->quota_bytes = want;
	mem_unlock();
	return 1;
}

static int
acl(struct target *tp, struct arena *a, const char *fname,
    struct acl_entry **out, size_t *n, struct err *e)
{
	struct mem_store *s = ((struct mem_tgt *)tp)->store;
	const struct acl_entry *list = NULL;
	struct mem_folder *f;

	if (s->no_acl) {
		err_set(e, ERR_ACCOUNT, "no rights here");
		return 0;
	}
	mem_lock();
	f = mem_folder_get(s, fname, false);
	if (f != NULL)
		mem_acl(a, f->acl, &list, n);
	mem_unlock();
	*out = arena_alloc(a, (*n + 1) * sizeof **out);
	if (*n > 0)
		memcpy(*out, list, *n * sizeof **out);
	return 1;
}

static int
set_acl(struct target *tp, const char *fname, const char *who,
    const char *rights, struct err *e)
{
	struct mem_store *s = ((struct mem_tgt *)tp)->store;
	struct mem_folder *f;

	if (strcmp(s->acl_refuse, who) == 0) {
		err_set(e, ERR_MAILBOX, "NO nobody of that name");
		return 0;
	}
	mem_lock();
	f = mem_folder_get(s, fname, false);
	if (f != NULL) {
		mem_acl_set(f, who, rights);
		s->nacl++;
	}
	mem_unlock();
	return 1;
}

static int
foreign_name(struct target *tp, struct arena *a, const char *owner,
    const char *fname, const char **out)
{
	(void)tp;
	*out = owner == NULL ? arena_printf(a, "shared/%s", fname) :
	    arena_printf(a, "user/%s/%s", owner, fname);
	return 1;
}

static const char *const schemes[] = { "mem", NULL };
static const char *const options[] = { NULL };

const struct target_ops mem_target = {
	.schemes = schemes, .options = options,
	.open = open_target, .close = close_target, .caps = caps,
	.identity = identity,
	.account_ensure = account_ensure, .name = name, .survey = survey,
	.parent = parent,
	.folder_open = folder_open, .folder_close = folder_close,
	.folder_create = folder_create, .folder_rename = folder_rename,
	.folder_delete = folder_delete, .set_uids = set_uids,
	.change_flags = change_flags, .subscribe = subscribe, .move = move,
	.set_quota = set_quota, .acl = acl, .set_acl = set_acl,
	.foreign_name = foreign_name, .submit = submit, .reap = reap,
	.broken = broken, .expunge = expunge,
};
