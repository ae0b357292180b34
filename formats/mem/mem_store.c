/* In-memory stores: the region, its folders and messages. */
#include "mem/mem_store.h"

#include <assert.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "mem/mem_impl.h"

#define MAX_STORES 64

/* Private to each process: a kill leaves nothing locked. */
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static struct mem_store *stores[MAX_STORES];

void
mem_lock(void)
{
	pthread_mutex_lock(&mutex);
}

void
mem_unlock(void)
{
	pthread_mutex_unlock(&mutex);
}

struct mem_store *
mem_find(const char *name)
{
	for (size_t i = 0; i < MAX_STORES; i++)
		if (stores[i] != NULL && strcmp(stores[i]->name, name) == 0)
			return stores[i];
	return NULL;
}

struct mem_store *
mem_store_new(const char *name, size_t size)
{
	struct mem_store *s;
	size_t i;

	assert(mem_find(name) == NULL && strlen(name) < sizeof s->name);
	for (i = 0; i < MAX_STORES && stores[i] != NULL; i++)
		;
	assert(i < MAX_STORES);
	s = mmap(NULL, size, PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (s == MAP_FAILED)
		abort();
	memcpy(s->name, name, strlen(name) + 1);
	s->size = size;
	mem_store_reset(s);
	stores[i] = s;
	return s;
}

void
mem_stores_begin(void)
{
	for (size_t i = 0; i < MAX_STORES; i++)
		if (stores[i] != NULL)
			stores[i]->sessions = 0;
}

void
mem_store_reset(struct mem_store *s)
{
	char name[sizeof s->name];
	size_t size = s->size;

	memcpy(name, s->name, sizeof name);
	memset(s, 0, sizeof *s);
	memcpy(s->name, name, sizeof name);
	s->size = size;
	s->used = sizeof *s;
	s->next_uidvalidity = 1000;
}

void *
mem_alloc(struct mem_store *s, size_t n)
{
	void *p;

	n = (n + 15) & ~(size_t)15;
	s->used = (s->used + 15) & ~(size_t)15;
	if (n > s->size - s->used)
		abort();	/* the test's region is too small */
	p = (char *)s + s->used;
	s->used += n;
	return p;
}

static char *
mem_copy(struct mem_store *s, const void *p, size_t len)
{
	char *q = mem_alloc(s, len + 1);

	if (len > 0)
		memcpy(q, p, len);
	q[len] = '\0';
	return q;
}

struct mem_folder *
mem_folder_get(struct mem_store *s, const char *name, bool create)
{
	struct mem_folder *f, **fp;

	for (fp = &s->folders; (f = *fp) != NULL; fp = &f->next)
		if (strcmp(f->name, name) == 0)
			return f;
	if (!create)
		return NULL;
	f = mem_alloc(s, sizeof *f);
	memset(f, 0, sizeof *f);
	f->name = mem_copy(s, name, strlen(name));
	f->uidvalidity = s->next_uidvalidity++;
	f->uidnext = 1;
	f->modseq = 1;
	*fp = f;
	return f;
}

void
mem_folder_rename(struct mem_store *s, const char *from, const char *to)
{
	size_t len = strlen(from);
	char name[4096];

	for (struct mem_folder *f = s->folders; f != NULL; f = f->next) {
		if (strncmp(f->name, from, len) != 0 || (f->name[len] !=
		    '\0' && f->name[len] != '/'))
			continue;
		snprintf(name, sizeof name, "%s%s", to, f->name + len);
		f->name = mem_copy(s, name, strlen(name));
	}
}

void
mem_acl(struct arena *a, const char *text, const struct acl_entry **out,
    size_t *n)
{
	struct acl_entry *acl = arena_alloc(a, 40 * sizeof *acl);
	size_t len, at;

	for (*n = 0; *text != '\0' && *n < 40; text += len + 1, ++*n) {
		len = strcspn(text, "\n");
		at = strcspn(text, " ");
		acl[*n].who = arena_memdup0(a, text, at);
		acl[*n].rights = arena_memdup0(a, text + at + 1,
		    len - at - 1);
	}
	*out = acl;
}

void
mem_acl_set(struct mem_folder *f, const char *who, const char *rights)
{
	char text[sizeof f->acl] = "";
	const char *p;
	size_t n = 0, len, at;

	for (p = f->acl; *p != '\0'; p += len + 1) {
		len = strcspn(p, "\n");
		at = strcspn(p, " ");
		if (strlen(who) == at && memcmp(p, who, at) == 0)
			continue;
		n += (size_t)snprintf(text + n, sizeof text - n, "%.*s\n",
		    (int)len, p);
	}
	if (rights[0] != '\0')
		snprintf(text + n, sizeof text - n, "%s %s\n", who, rights);
	memcpy(f->acl, text, sizeof text);
}

struct mem_message *
mem_add(struct mem_store *s, struct mem_folder *f, const void *p, size_t len,
    unsigned flags, const char *keywords, int64_t date)
{
	struct mem_message *m = mem_alloc(s, sizeof *m);

	memset(m, 0, sizeof *m);
	m->bytes = mem_copy(s, p, len);
	m->len = len;
	m->flags = flags;
	m->keywords = mem_copy(s, keywords, strlen(keywords));
	m->date = date;
	m->uid = f->uidnext++;
	m->modseq = ++f->modseq;
	if (f->last != NULL)
		f->last->next = m;
	else
		f->first = m;
	f->last = m;
	f->count++;
	return m;
}

void
mem_expunge(struct mem_folder *f, uint32_t uid)
{
	struct mem_message *m;

	for (m = f->first; m != NULL; m = m->next)
		if (m->uid == uid && !m->expunged) {
			m->expunged = true;
			f->count--;
			f->modseq++;
		}
}

void
mem_set_flags(struct mem_folder *f, uint32_t uid, unsigned flags)
{
	struct mem_message *m;

	for (m = f->first; m != NULL; m = m->next)
		if (m->uid == uid && !m->expunged) {
			m->flags = flags;
			m->modseq = ++f->modseq;
		}
}

void
mem_set_keywords(struct mem_store *s, struct mem_folder *f, uint32_t uid,
    const char *keywords)
{
	struct mem_message *m;

	for (m = f->first; m != NULL; m = m->next)
		if (m->uid == uid && !m->expunged) {
			m->keywords = mem_copy(s, keywords, strlen(keywords));
			m->modseq = ++f->modseq;
		}
}

uint64_t
mem_now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

void
mem_settle(struct mem_store *s)
{
	struct mem_late *l, **lp;
	uint64_t now = mem_now_ms();

	for (lp = &s->late; (l = *lp) != NULL;) {
		if (l->due_ms > now) {
			lp = &l->next;
			continue;
		}
		mem_add(s, l->folder, l->bytes, l->len, l->flags, l->keywords,
		    l->date);
		*lp = l->next;
	}
}

int
mem_internal_error(const struct mem_store *s, struct err *e)
{
	err_retry(e, s->breaks_all ? ERR_HOST : ERR_MAILBOX, "NO [SERVERBUG] "
	    "internal error");
	e->cause = CAUSE_BROKEN;
	return -1;
}
