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

/* Who had a store fail last at a host, as long as we run. */
struct failure {
	struct failure	*next;
	char		*host, *user;
	int64_t		 when_s;
};

static pthread_mutex_t failures_mutex = PTHREAD_MUTEX_INITIALIZER;
static struct failure *failures;
static atomic_uint nfailures;

bool
imap_host_fails(const char *host, const char *user, int64_t now_s)
{
	struct failure *f;
	bool two = false, mine = false;

	pthread_mutex_lock(&failures_mutex);
	for (f = failures; f != NULL; f = f->next) {
		if (strcmp(f->host, host) != 0)
			continue;
		if (strcmp(f->user, user) == 0) {
			f->when_s = now_s;
			mine = true;
		} else if (now_s - f->when_s <= REMEMBER_S)
			two = true;
	}
	if (!mine) {
		f = xcalloc(1, sizeof *f);
		f->host = xstrdup(host);
		f->user = xstrdup(user);
		f->when_s = now_s;
		f->next = failures;
		failures = f;
		atomic_fetch_add(&nfailures, 1);
	}
	pthread_mutex_unlock(&failures_mutex);
	return two;
}

void
imap_host_works(const char *host)
{
	struct failure **p = &failures, *f;

	if (atomic_load(&nfailures) == 0)
		return;		/* nearly always */
	pthread_mutex_lock(&failures_mutex);
	while ((f = *p) != NULL)
		if (strcmp(f->host, host) == 0) {
			*p = f->next;
			free(f->host);
			free(f->user);
			free(f);
			atomic_fetch_sub(&nfailures, 1);
		} else
			p = &f->next;
	pthread_mutex_unlock(&failures_mutex);
}

bool
imap_host_failed(const char *host, int64_t now_s)
{
	bool any = false;

	pthread_mutex_lock(&failures_mutex);
	for (struct failure *f = failures; f != NULL && !any; f = f->next)
		any = strcmp(f->host, host) == 0 &&
		    now_s - f->when_s <= REMEMBER_S;
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

enum imap_trouble
imap_store_failed(const struct imap_session *s, const char *code,
    const char *text, struct err *e)
{
	enum imap_trouble what = imap_trouble(code, text);
	char host[300], user[300];

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
		names(s, host, user);
		e->cause = CAUSE_DISK;
		e->retry = true;
		if (imap_host_fails(host, user, now_s()))
			e->scope = ERR_HOST;
		break;
	case IMAP_BUSY:
		e->retry = true;
		break;
	case IMAP_NO_TROUBLE:
		break;
	}
	if (e->cause == CAUSE_DISK)
		doubt_the_disk(e);
	return what;
}

void
imap_store_lost(const struct imap_session *s, struct err *e)
{
	char host[300], user[300];

	names(s, host, user);
	if (!s->dead || !e->retry || !imap_host_failed(host, now_s()))
		return;
	e->scope = ERR_HOST;
	e->cause = CAUSE_DISK;
	doubt_the_disk(e);
}

void
imap_store_worked(const struct imap_session *s)
{
	char host[300], user[300];

	if (atomic_load(&nfailures) == 0)
		return;
	names(s, host, user);
	imap_host_works(host);
}
