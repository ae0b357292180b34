/* Reading files with the rights of another user. */
#include "base/asuser.h"

#include <assert.h>
#include <errno.h>
#include <grp.h>
#include <linux/securebits.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

#include "base/xmalloc.h"

#define GROUPS_MAX	65536		/* the kernel's NGROUPS_MAX */
#define PASSWD_MAX	((size_t)1 << 20)

struct asuser {
	uid_t		 uid, own_uid;
	gid_t		 gid, own_gid;
	gid_t		*groups, *own_groups;
	int		 ngroups, nown;
	bool		 self;		/* it is us: nothing to do */
	unsigned	 depth;
};

/* glibc's setgroups() changes all threads; the kernel's only this one. */
static int
set_groups(int n, const gid_t *groups)
{
	return (int)syscall(SYS_setgroups, (size_t)n, groups);
}

/* The call tells nothing about success; asking with an impossible id does. */
static bool
set_fsuid(uid_t uid)
{
	setfsuid(uid);
	return (uid_t)setfsuid((uid_t)-1) == uid;
}

static bool
set_fsgid(gid_t gid)
{
	setfsgid(gid);
	return (gid_t)setfsgid((gid_t)-1) == gid;
}

/* 1, 0 no such user, -1 errno. */
static int
find_user(const char *user, uid_t *uid, gid_t *gid)
{
	size_t size = 4096;
	char *p = xmalloc(size);
	struct passwd pw, *found = NULL;
	int rc;

	while ((rc = getpwnam_r(user, &pw, p, size, &found)) == ERANGE &&
	    size < PASSWD_MAX) {
		size *= 2;
		free(p);
		p = xmalloc(size);
	}
	if (found != NULL) {
		*uid = found->pw_uid;
		*gid = found->pw_gid;
	}
	free(p);
	errno = rc;
	return found != NULL ? 1 : rc == 0 || rc == ENOENT || rc == ESRCH ? 0 :
	    -1;
}

static void
find_groups(struct asuser *as, const char *user)
{
	int n = 64;

	as->groups = xreallocarray(NULL, (size_t)n, sizeof *as->groups);
	as->ngroups = n;
	while (getgrouplist(user, as->gid, as->groups, &as->ngroups) == -1 &&
	    n < GROUPS_MAX) {
		n = as->ngroups > n ? as->ngroups : 2 * n;
		as->groups = xreallocarray(as->groups, (size_t)n,
		    sizeof *as->groups);
		as->ngroups = n;
	}
	if (as->ngroups > n)
		as->ngroups = n;
}

/* What is to be gone back to.  -1: errno. */
static int
find_own(struct asuser *as)
{
	as->own_uid = geteuid();
	as->own_gid = getegid();
	as->nown = getgroups(0, NULL);
	if (as->nown == -1)
		return -1;
	as->own_groups = xcalloc((size_t)as->nown + 1, sizeof (gid_t));
	as->nown = getgroups(as->nown, as->own_groups);
	return as->nown;
}

struct asuser *
asuser_new(const char *user, struct err *e)
{
	struct asuser *as = xcalloc(1, sizeof *as);
	int rc = find_user(user, &as->uid, &as->gid), bits;

	if (rc == 0)
		err_set(e, ERR_ACCOUNT, "as=%s: there is no such user on this "
		    "machine", user);
	else if (rc == -1)
		err_sys(e, ERR_ACCOUNT, "as=%s", user);
	if (rc != 1)
		goto fail;
	if (find_own(as) == -1) {
		err_sys(e, ERR_ACCOUNT, "as=%s: our groups", user);
		goto fail;
	}
	as->self = as->uid == as->own_uid;
	if (as->self)
		return as;
	if (as->own_uid != 0) {
		err_set(e, ERR_ACCOUNT, "as=%s: only root may read as another "
		    "user", user);
		goto fail;
	}
	/* Else root's capabilities would stay, and the user be only a name. */
	bits = prctl(PR_GET_SECUREBITS);
	if (bits == -1 || (bits & SECBIT_NO_SETUID_FIXUP)) {
		err_set(e, ERR_ACCOUNT, "as=%s: this process keeps its "
		    "capabilities whoever it is (SECBIT_NO_SETUID_FIXUP)",
		    user);
		goto fail;
	}
	find_groups(as, user);
	return as;
fail:
	asuser_free(&as);
	return NULL;
}

void
asuser_free(struct asuser **asp)
{
	struct asuser *as = *asp;

	if (as == NULL)
		return;
	assert(as->depth == 0);
	free(as->groups);
	free(as->own_groups);
	free(as);
	*asp = NULL;
}

/* A thread that cannot become itself again must not go on. */
static void
become_self(const struct asuser *as)
{
	if (as->self)
		return;
	if (!set_fsuid(as->own_uid) || !set_fsgid(as->own_gid) ||
	    set_groups(as->nown, as->own_groups) == -1)
		abort();
}

static int
become_user(const struct asuser *as, struct err *e)
{
	if (as->self)
		return 0;
	/* The groups first: setting them needs root's rights. */
	if (set_groups(as->ngroups, as->groups) == -1 ||
	    !set_fsgid(as->gid) || !set_fsuid(as->uid)) {
		int saved = errno;

		become_self(as);
		errno = saved != 0 ? saved : EPERM;
		return err_sys(e, ERR_ACCOUNT, "as=: cannot take the user's "
		    "rights");
	}
	return 0;
}

int
asuser_enter(struct asuser *as, struct err *e)
{
	if (as == NULL)
		return 0;
	if (as->depth == 0 && become_user(as, e) == -1)
		return -1;
	as->depth++;
	return 0;
}

void
asuser_leave(struct asuser *as)
{
	int saved = errno;

	if (as == NULL)
		return;
	assert(as->depth > 0);
	if (--as->depth == 0)
		become_self(as);
	errno = saved;
}

void
asuser_pause(struct asuser *as)
{
	int saved = errno;

	if (as != NULL && as->depth > 0)
		become_self(as);
	errno = saved;
}

int
asuser_resume(struct asuser *as, struct err *e)
{
	return as != NULL && as->depth > 0 ? become_user(as, e) : 0;
}
