/* In-memory stores, the source side. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>

#include "base/xmalloc.h"
#include "mem/mem_host.h"
#include "mem/mem_impl.h"

struct mem_src {
	struct source	 s;
	struct mem_store *store;
	struct mem_folder *folder;
	struct mem_message *at;		/* the next one to give */
	uint32_t	 from_uid;
	bool		 sha1;
	/* DELTA_SOME: what is new since a token. */
	uint32_t	 below;		/* 0: all are given */
	uint64_t	 since;		/* of those below, with their flags */
	bool		 flags, gone;
	struct uid_range *still;
	size_t		 nstill;
};

static int
open_source(struct source **sp, const struct store_conf *conf, struct err *e)
{
	struct mem_store *store;
	struct mem_src *s;

	mem_lock();
	store = mem_find(conf->uri->path);
	mem_unlock();
	if (store == NULL || store->missing) {
		err_set(e, ERR_ACCOUNT, "no store mem:%s", conf->uri->path);
		e->cause = CAUSE_MISSING;
		return -1;
	}
	if (mem_session_open(store, e) == -1)
		return -1;
	s = xcalloc(1, sizeof *s);
	s->store = store;
	s->sha1 = store->sha1 && (!store->sha1_some ||
	    ((store->nsessions++ * 2654435761u) >> 13 & 1));
	*sp = &s->s;
	return 0;
}

static void
close_source(struct source *sp)
{
	struct mem_src *s = (struct mem_src *)sp;

	mem_session_close(s->store);
	free(s->still);
	free(s);
}

/* "OWNER MAILBOX" in each line. */
static void
list_foreign(struct arena *a, const char *text, struct account_info *info)
{
	struct foreign_box *f = arena_alloc(a, 20 * sizeof *f);
	size_t n = 0, len, at;

	for (; *text != '\0' && n < 20; text += len + 1, n++) {
		len = strcspn(text, "\n");
		at = strcspn(text, " ");
		f[n].name = arena_memdup0(a, text, len);
		f[n].owner = arena_memdup0(a, text, at);
		f[n].box = arena_memdup0(a, text + at + 1, len - at - 1);
	}
	info->foreign = f;
	info->nforeign = n;
}

static int
account_facts(struct source *sp, struct arena *a, struct account_info *info,
    struct err *e)
{
	struct mem_src *s = (struct mem_src *)sp;
	const char **list;
	size_t n = 0;

	(void)e;
	mem_lock();
	for (struct mem_folder *f = s->store->folders; f; f = f->next)
		n += f->subscribed;
	list = arena_alloc(a, (n + 1) * sizeof *list);
	n = 0;
	for (struct mem_folder *f = s->store->folders; f; f = f->next)
		if (f->subscribed)
			list[n++] = f->name;
	mem_unlock();
	info->subscriptions = list;
	info->nsubscriptions = n;
	info->has_subscriptions = n > 0;
	list_foreign(a, s->store->foreign, info);
	if (s->store->quota_bytes != 0)
		info->quota_bytes = s->store->quota_bytes;
	return 0;
}

static void
split_path(struct arena *a, const char *name, struct folder_info *fi)
{
	char *copy = arena_strdup(a, name), *p;
	const char **path;
	size_t n = 1;

	for (p = copy; *p != '\0'; p++)
		n += *p == '/';
	path = arena_alloc(a, n * sizeof *path);
	n = 0;
	path[n++] = copy;
	for (p = copy; *p != '\0'; p++)
		if (*p == '/') {
			*p = '\0';
			path[n++] = p + 1;
		}
	fi->path = path;
	fi->npath = n;
}

static int
list(struct source *sp, struct arena *a, struct folder_info **folders,
    size_t *n, struct err *e)
{
	struct mem_src *s = (struct mem_src *)sp;
	struct folder_info *fi;
	size_t count = 0;

	(void)e;
	mem_lock();
	mem_settle(s->store);
	for (struct mem_folder *f = s->store->folders; f; f = f->next)
		count++;
	fi = arena_zalloc(a, (count + 1) * sizeof *fi);
	*folders = fi;
	for (struct mem_folder *f = s->store->folders; f; f = f->next) {
		if (strcmp(f->name, s->store->unlisted) == 0)
			continue;
		split_path(a, f->name, fi);
		fi->raw_name = fi->name = f->name;
		fi->uidvalidity = f->uidvalidity;
		fi->uidnext = f->uidnext;
		fi->modseq = s->store->no_modseq ? 0 : f->modseq;
		fi->messages = f->count;
		fi->bytes = UNKNOWN64;
		fi->object_id = f->object[0] != '\0' ? f->object : NULL;
		fi->subscribed = f->subscribed;
		fi->special_use = f->special_use;
		mem_acl(a, f->acl, &fi->acl, &fi->nacl);
		fi++;
	}
	*n = (size_t)(fi - *folders);
	mem_unlock();
	return 0;
}

struct mem_token {
	uint64_t	 modseq, count;
	uint32_t	 uidvalidity, uidnext;
};

/* What the token knows and is there still, unless that is all of it. */
static bool
only_new(struct mem_src *s, const struct folder_info *fi,
    const struct mem_token *t)
{
	struct mem_message *x;

	if (t->uidvalidity != s->folder->uidvalidity || (fi->some_flags &&
	    s->store->no_modseq))
		return false;
	s->nstill = 0;
	mem_lock();
	s->still = xreallocarray(s->still, (size_t)s->folder->count + 1,
	    sizeof *s->still);
	for (x = s->folder->first; x != NULL; x = x->next)
		if (!x->expunged && x->uid < t->uidnext)
			s->still[s->nstill++] = (struct uid_range){ x->uid,
			    x->uid };
	mem_unlock();
	s->gone = s->nstill < t->count;
	s->below = t->uidnext;
	s->since = t->modseq;
	s->flags = fi->some_flags;
	return true;
}

static int
still(struct source *sp, const struct uid_range **r, size_t *n,
    uint32_t *below, struct err *e)
{
	const struct mem_src *s = (const struct mem_src *)sp;

	(void)e;
	*r = s->still;
	*n = s->nstill;
	*below = s->below;
	return s->gone;
}

static int
folder_open(struct source *sp, struct folder_info *fi,
    const struct buf *token, uint32_t from_uid, enum delta *d, struct err *e)
{
	struct mem_src *s = (struct mem_src *)sp;
	struct mem_token t;

	if (s->store->breaks[0] != '\0' && strcmp(s->store->breaks,
	    fi->raw_name) == 0)
		return mem_internal_error(s->store, e);
	mem_lock();
	mem_settle(s->store);
	s->folder = mem_folder_get(s->store, fi->raw_name, false);
	mem_unlock();
	if (s->folder == NULL)
		return err_set(e, ERR_MAILBOX, "no such mailbox");
	fi->uidvalidity = s->folder->uidvalidity;
	fi->uidnext = s->folder->uidnext;
	fi->modseq = s->store->no_modseq ? 0 : s->folder->modseq;
	fi->messages = s->folder->count;
	s->at = s->folder->first;
	s->from_uid = from_uid;
	s->below = 0;
	s->gone = false;
	if (token != NULL && token->len == sizeof t) {
		memcpy(&t, token->ptr, sizeof t);
		if (t.modseq == s->folder->modseq)
			*d = DELTA_UNCHANGED;
		else if (fi->some && s->store->tells_new && only_new(s, fi,
		    &t))
			*d = DELTA_SOME;
	}
	return 0;
}

static const char *const *
split_keywords(struct arena *a, const char *words, size_t *n)
{
	char *copy = arena_strdup(a, words), *p = copy;
	const char **kw = arena_alloc(a, (strlen(words) / 2 + 1) * sizeof *kw);

	*n = 0;
	while (*p != '\0') {
		size_t k = strcspn(p, " ");

		if (k > 0)
			kw[(*n)++] = p;
		p += k;
		if (*p == ' ')
			*p++ = '\0';
	}
	return kw;
}

static int
next(struct source *sp, struct arena *a, struct msg_meta *m, struct err *e)
{
	struct mem_src *s = (struct mem_src *)sp;
	struct mem_message *x;

	(void)e;
	mem_lock();
	for (x = s->at; x != NULL && (x->expunged || x->uid < s->from_uid ||
	    (x->uid < s->below && (!s->flags || x->modseq <= s->since)));)
		x = x->next;
	if (x == NULL) {
		s->at = NULL;
		mem_unlock();
		if (s->store->on_listed != NULL)
			s->store->on_listed(s->store, s->folder);
		return 0;
	}
	s->at = x->next;
	s->store->nlisted++;
	m->key = arena_printf(a, "%" PRIu32 ".%" PRIu32,
	    s->folder->uidvalidity, x->uid);
	m->uid = x->uid;
	m->known = x->uid < s->below;
	m->flags = x->flags;
	m->keywords = split_keywords(a, x->keywords, &m->nkeywords);
	m->date = x->date;
	m->date_origin = DATE_STORE;
	m->size = x->len;
	m->modseq = s->store->no_modseq ? 0 : x->modseq;
	m->cookie = (uint64_t)(uintptr_t)x;
	m->where = arena_printf(a, "uid %" PRIu32, x->uid);
	if (x->guid[0] != '\0')
		m->guid = arena_strdup(a, x->guid);
	m->mark = x->mark;
	if (s->sha1) {
		unsigned char *sha1 = arena_alloc(a, SHA1_LEN);

		EVP_Digest(x->bytes, x->len, sha1, NULL, EVP_sha1(), NULL);
		m->sha1 = sha1;
	}
	mem_unlock();
	return 1;
}

static int
content(struct source *sp, const struct msg_meta *m, struct content **c,
    struct err *e)
{
	struct mem_message *x = (struct mem_message *)(uintptr_t)m->cookie;
	struct mem_src *s = (struct mem_src *)sp;

	if (x->expunged)
		return 0;
	if (s->store->sick[0] != '\0' && memmem(x->bytes, x->len,
	    s->store->sick, strlen(s->store->sick)) != NULL)
		return err_retry(e, ERR_HOST, "the disk fails");
	mem_lock();
	s->store->nread++;
	mem_unlock();
	*c = content_mem(x->bytes, x->len);
	return 1;
}

static int
folder_count(struct source *sp, uint64_t *n, struct err *e)
{
	(void)e;
	*n = ((struct mem_src *)sp)->folder->count;
	return 0;
}

static int
folder_token(struct source *sp, struct buf *token, struct err *e)
{
	struct mem_src *s = (struct mem_src *)sp;
	struct mem_token t;

	(void)e;
	memset(&t, 0, sizeof t);
	t.modseq = s->folder->modseq;
	t.count = s->folder->count;
	t.uidvalidity = s->folder->uidvalidity;
	t.uidnext = s->folder->uidnext;
	return buf_add(token, &t, sizeof t);
}

static void
folder_close(struct source *sp)
{
	((struct mem_src *)sp)->folder = NULL;
}

static const char *const schemes[] = { "mem", NULL };
static const char *const options[] = { NULL };

const struct source_ops mem_source = {
	.schemes = schemes, .options = options,
	.open = open_source, .close = close_source,
	.account_facts = account_facts, .list = list,
	.folder_open = folder_open, .next = next, .still = still, .content = content,
	.folder_count = folder_count, .folder_token = folder_token,
	.folder_close = folder_close,
};
