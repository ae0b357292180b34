/* What a NO is about when it is not about the message. */
#include "imap/imap_trouble.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "base/xmalloc.h"

#define REMEMBER_S	600	/* a failure says nothing of later ones */
#define REMEMBER_MAX	1000

static bool
is_code(const char *code, const char *const *list)
{
	for (; *list != NULL; list++)
		if (strcasecmp(*list, code) == 0)
			return true;
	return false;
}

static bool
says(const char *text, const char *const *list)
{
	for (; *list != NULL; list++)
		if (strcasestr(text, *list) != NULL)
			return true;
	return false;
}

enum imap_trouble
imap_trouble(const char *code, const char *text)
{
	static const char *const disk[] = {
		"no space left", "disk full", "disk is full",
		"not enough disk space", "out of disk space",
		"system storage has been exceeded", "read-only file system",
		"read only file system", NULL
	};
	static const char *const quota[] = {
		"over quota", "quota exceeded", "exceeds quota",
		"exceeded quota", "not enough disk quota",
		"disk quota exceeded", "mailbox full", "mailbox is full", NULL
	};
	static const char *const broken_codes[] = { "SERVERBUG", NULL };
	static const char *const broken[] = {
		"internal error", "system i/o error",
		"operating system error", "input/output error", NULL
	};
	static const char *const busy[] = { "UNAVAILABLE", "INUSE", NULL };

	if (strcasecmp(code, "OVERQUOTA") == 0)
		return IMAP_OVER_QUOTA;
	if (says(text, disk))
		return IMAP_DISK_FULL;
	if (says(text, quota))
		return IMAP_OVER_QUOTA;
	if (is_code(code, busy))
		return IMAP_BUSY;
	if (is_code(code, broken_codes) || says(text, broken))
		return IMAP_STORE_FAILS;
	return IMAP_NO_TROUBLE;
}

/*
 * What failed at which host, as long as we run, the newest first.  Open: no
 * store has worked there since.  Own: then its account went on without it, or
 * nobody else had trouble, so it was not the host.
 */
struct failure {
	struct failure	*next;
	char		*host, *user;
	uint64_t	 thing;
	int64_t		 when_s;	/* last */
	bool		 own;
};

static pthread_mutex_t failures_mutex = PTHREAD_MUTEX_INITIALIZER;
static struct failure *failures;
static atomic_uint nopen;	/* that are not own */

static void
drop(struct failure **p)
{
	struct failure *f = *p;

	*p = f->next;
	if (!f->own)
		atomic_fetch_sub(&nopen, 1);
	free(f->host);
	free(f->user);
	free(f);
}

static bool
is_open(const struct failure *f, const char *host)
{
	return !f->own && strcmp(f->host, host) == 0;
}

/* Open failures are one trouble while they follow each other. */
static void
forget_old(const char *host, int64_t now_s)
{
	struct failure **p, *f;

	for (f = failures; f != NULL; f = f->next)
		if (is_open(f, host) && now_s - f->when_s <= REMEMBER_S)
			return;
	for (p = &failures; *p != NULL;)
		if (is_open(*p, host))
			drop(p);
		else
			p = &(*p)->next;
}

static void
forget_most(void)
{
	struct failure **p = &failures;

	for (unsigned n = 0; n < REMEMBER_MAX && *p != NULL; n++)
		p = &(*p)->next;
	while (*p != NULL)
		drop(p);
}

/* Do other accounts fail at the host with other things? */
static bool
others_fail(const char *host, const char *user, uint64_t thing)
{
	const struct failure *f;

	for (f = failures; f != NULL; f = f->next)
		if (is_open(f, host) && f->thing != thing &&
		    strcmp(f->user, user) != 0)
			return true;
	return false;
}

enum imap_whose
imap_host_fails(const char *host, const char *user, uint64_t thing,
    int64_t now_s)
{
	enum imap_whose whose = IMAP_OWN;
	struct failure *f;

	pthread_mutex_lock(&failures_mutex);
	forget_old(host, now_s);
	for (f = failures; f != NULL; f = f->next)
		if (f->thing == thing && strcmp(f->host, host) == 0 &&
		    strcmp(f->user, user) == 0)
			break;
	if (f == NULL) {
		f = xcalloc(1, sizeof *f);
		f->host = xstrdup(host);
		f->user = xstrdup(user);
		f->thing = thing;
		f->next = failures;
		failures = f;
		atomic_fetch_add(&nopen, 1);
	}
	f->when_s = now_s;
	if (!f->own)
		whose = others_fail(host, user, thing) ? IMAP_HOSTS :
		    IMAP_UNCLEAR;
	forget_most();
	pthread_mutex_unlock(&failures_mutex);
	return whose;
}

void
imap_host_works(const char *host, const char *user)
{
	struct failure **p, *f;
	bool all = false;

	if (atomic_load(&nopen) == 0)
		return;		/* nearly always */
	pthread_mutex_lock(&failures_mutex);
	for (f = failures; f != NULL && !all; f = f->next)
		all = is_open(f, host) && others_fail(host, f->user, f->thing);
	for (p = &failures; (f = *p) != NULL;) {
		if (is_open(f, host) && all && strcmp(f->user, user) != 0) {
			drop(p);	/* it was the host's */
			continue;
		}
		if (is_open(f, host)) {
			f->own = true;
			atomic_fetch_sub(&nopen, 1);
		}
		p = &f->next;
	}
	pthread_mutex_unlock(&failures_mutex);
}

bool
imap_host_failed(const char *host, int64_t now_s)
{
	bool any = false;

	pthread_mutex_lock(&failures_mutex);
	for (struct failure *f = failures; f != NULL && !any; f = f->next)
		any = is_open(f, host) && now_s - f->when_s <= REMEMBER_S;
	pthread_mutex_unlock(&failures_mutex);
	return any;
}

static int64_t
now_s(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec;
}

static void
doubt_the_disk(struct err *e)
{
	char words[sizeof e->text];

	memcpy(words, e->text, sizeof words);
	snprintf(e->text, sizeof e->text, "%.400s (is the target's disk "
	    "full?)", words);
}

static void
names(const struct imap_session *s, char host[300], char user[300])
{
	struct uri *u = s->conf->uri;
	const char *authzid = uri_opt(u, "authzid");

	if (authzid == NULL || authzid[0] == '\0')
		authzid = u->user != NULL ? u->user : "";
	snprintf(host, 300, "%.250s:%u", u->host != NULL ? u->host : "",
	    u->port);
	snprintf(user, 300, "%.290s", authzid);
}

/* FNV-1a. */
static uint64_t
hash(uint64_t h, const void *p, size_t n)
{
	for (const unsigned char *b = p; n > 0; n--)
		h = (h ^ *b++) * 1099511628211u;
	return h;
}

static uint64_t
hash_of(struct imap_thing t, const char *user)
{
	uint64_t h = 14695981039346656037u;

	if (t.digest != NULL)
		return hash(h, t.digest, DIGEST_LEN);
	return hash(hash(h, user, strlen(user) + 1), t.name, strlen(t.name));
}

enum imap_trouble
imap_store_failed(const struct imap_session *s, struct imap_thing thing,
    const char *code, const char *text, struct err *e)
{
	enum imap_trouble what = imap_trouble(code, text);
	char host[300], user[300];
	enum imap_whose whose;

	switch (what) {
	case IMAP_OVER_QUOTA:
		e->scope = ERR_ACCOUNT;
		e->cause = CAUSE_QUOTA;
		e->retry = false;	/* time does not help */
		break;
	case IMAP_DISK_FULL:
		e->scope = ERR_HOST;
		e->cause = CAUSE_DISK;
		e->retry = true;
		break;
	case IMAP_STORE_FAILS:
		e->cause = CAUSE_BROKEN;
		e->retry = true;
		if (thing.suspect)
			break;
		names(s, host, user);
		whose = imap_host_fails(host, user, hash_of(thing, user),
		    now_s());
		if (whose == IMAP_HOSTS)
			e->scope = ERR_HOST;
		else if (whose == IMAP_UNCLEAR && e->scope < ERR_MAILBOX)
			e->scope = ERR_MAILBOX;
		break;
	case IMAP_BUSY:
		e->retry = true;
		break;
	case IMAP_NO_TROUBLE:
		break;
	}
	if (what == IMAP_DISK_FULL || what == IMAP_STORE_FAILS)
		doubt_the_disk(e);
	return what;
}

void
imap_store_lost(const struct imap_session *s, const char *name,
    struct err *e)
{
	struct imap_thing thing = { .name = name };
	char host[300], user[300];

	names(s, host, user);
	if (!s->dead || !e->retry || !imap_host_failed(host, now_s()) ||
	    imap_host_fails(host, user, hash_of(thing, user), now_s()) !=
	    IMAP_HOSTS)
		return;
	e->scope = ERR_HOST;
	e->cause = CAUSE_BROKEN;
	doubt_the_disk(e);
}

void
imap_store_worked(const struct imap_session *s)
{
	char host[300], user[300];

	if (atomic_load(&nopen) == 0)
		return;
	names(s, host, user);
	imap_host_works(host, user);
}
