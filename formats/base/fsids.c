/* Acting on files as another user, one thread at a time. */
#include "base/fsids.h"

#include <errno.h>
#include <grp.h>
#include <limits.h>
#include <pthread.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/syscall.h>
#include <unistd.h>

/* All of text as a number below the one that means "none". */
static bool
number(const char *text, unsigned long *v)
{
	char *end;

	if (*text < '0' || *text > '9')
		return false;
	errno = 0;
	*v = strtoul(text, &end, 10);
	return *end == '\0' && errno == 0 && *v < UINT_MAX;
}

static int
find_user(struct fsids *ids, const char *name, struct err *e)
{
	char text[16384];
	struct passwd pw, *found;
	unsigned long v;

	if (number(name, &v)) {
		ids->uid = (uid_t)v;
		ids->gid = (gid_t)v;
		if (getpwuid_r(ids->uid, &pw, text, sizeof text, &found) == 0 &&
		    found != NULL)
			ids->gid = pw.pw_gid;
		return 0;
	}
	if (getpwnam_r(name, &pw, text, sizeof text, &found) != 0 ||
	    found == NULL)
		return err_set(e, ERR_ACCOUNT, "owner=%s: there is no user of "
		    "that name on this machine (a number would do)", name);
	ids->uid = pw.pw_uid;
	ids->gid = pw.pw_gid;
	return 0;
}

int
fsids_parse(struct fsids *ids, const char *text, struct err *e)
{
	const char *colon = strchr(text, ':');
	char name[256], buf[16384];
	struct group gr, *found;
	unsigned long v;

	memset(ids, 0, sizeof *ids);
	ids->uid = geteuid();
	ids->gid = getegid();
	snprintf(name, sizeof name, "%.*s", colon != NULL ?
	    (int)(colon - text) : (int)strlen(text), text);
	if (name[0] == '\0' && colon == NULL)
		return err_set(e, ERR_RUN, "owner= is empty");
	if (name[0] != '\0' && find_user(ids, name, e) == -1)
		return -1;
	if (colon == NULL)
		return 0;
	if (number(colon + 1, &v)) {
		ids->gid = (gid_t)v;
		return 0;
	}
	if (getgrnam_r(colon + 1, &gr, buf, sizeof buf, &found) != 0 ||
	    found == NULL)
		return err_set(e, ERR_ACCOUNT, "owner=%s: there is no group "
		    "of that name on this machine (a number would do)", text);
	ids->gid = gr.gr_gid;
	return 0;
}

int
fsids_prepare(struct fsids *ids, uid_t uid, gid_t gid, struct err *e)
{
	ids->uid = uid;
	ids->gid = gid;
	ids->on = geteuid() == 0 && (uid != 0 || gid != getegid());
	if (geteuid() != 0 && uid != geteuid())
		return err_set(e, ERR_ACCOUNT, "its owner is the user %lu, "
		    "and only root can write as another user",
		    (unsigned long)uid);
	return 0;
}

/* The system call changes this thread only; the library's function would
 * change all of them. */
static void
set_groups(size_t n, const gid_t *groups)
{
	if (syscall(SYS_setgroups, n, groups) == -1)
		abort();
}

/* Root's own groups, to give back; they never change while we run. */
static pthread_once_t groups_once = PTHREAD_ONCE_INIT;
static gid_t own_groups[1024];
static int own_ngroups;

static void
learn_groups(void)
{
	if ((own_ngroups = getgroups(1024, own_groups)) == -1)
		own_ngroups = 0;
}

void
fsids_enter(const struct fsids *ids)
{
	int saved = errno;

	if (!ids->on)
		return;
	pthread_once(&groups_once, learn_groups);
	set_groups(0, NULL);
	setfsgid(ids->gid);
	setfsuid(ids->uid);
	/* There is no other way to ask whether it was done. */
	if ((uid_t)setfsuid((uid_t)-1) != ids->uid ||
	    (gid_t)setfsgid((gid_t)-1) != ids->gid)
		abort();
	errno = saved;
}

void
fsids_leave(const struct fsids *ids)
{
	int saved = errno;

	if (!ids->on)
		return;
	setfsuid(geteuid());
	setfsgid(getegid());
	if (own_ngroups > 0)
		set_groups((size_t)own_ngroups, own_groups);
	errno = saved;
}
