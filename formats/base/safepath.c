/* Opening paths on which other users may have put symbolic links. */
#include "base/safepath.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/xmalloc.h"

#define LINKS_MAX	40

struct walk {
	char		*text, *rest;	/* rest: still to go, in text */
	int		 dir;		/* from here */
	bool		 beneath;
	unsigned	 links;
	bool		 foreign;	/* a link was a stranger's: */
	uid_t		 owner;
};

static int
fails(int sys)
{
	errno = sys;
	return -1;
}

static void
close_quietly(int fd)
{
	int saved = errno;

	if (fd != -1)
		close(fd);
	errno = saved;
}

static int
go_to(struct walk *w, int fd)
{
	if (fd == -1)
		return -1;
	close_quietly(w->dir);
	w->dir = fd;
	return 0;
}

/* A path begins: in dirfd, or at the root. */
static int
begin(struct walk *w, int dirfd)
{
	bool absolute = *w->text == '/';

	w->rest = w->text;
	if (*w->text == '\0')
		return fails(ENOENT);
	if (absolute && w->beneath)
		return fails(EXDEV);
	return go_to(w, openat(dirfd, absolute ? "/" : ".",
	    O_PATH | O_DIRECTORY | O_CLOEXEC));
}

/* What a link says goes before the rest of the path. */
static int
follow(struct walk *w, int link, uid_t owner)
{
	char to[PATH_MAX], *text;
	size_t left = strlen(w->rest);
	ssize_t n;

	if (w->beneath || ++w->links > LINKS_MAX)
		return fails(ELOOP);
	if (owner != 0 && owner != geteuid()) {
		/* No file has two owners. */
		if (w->foreign && w->owner != owner)
			return fails(EPERM);
		w->foreign = true;
		w->owner = owner;
	}
	if ((n = readlinkat(link, "", to, sizeof to)) == -1)
		return -1;
	if ((size_t)n == sizeof to)
		return fails(ENAMETOOLONG);
	text = xmalloc((size_t)n + left + 1);
	memcpy(text, to, (size_t)n);
	memcpy(text + n, w->rest, left + 1);
	free(w->text);
	w->text = text;
	return begin(w, w->dir);
}

/* One level further: 1 name is the last one, 0, -1. */
static int
step(struct walk *w, char *name)
{
	char *part = w->rest + strspn(w->rest, "/");
	size_t n = strcspn(part, "/");
	struct stat st;
	int fd, rc;

	if (n == 0) {
		memcpy(name, ".", 2);
		return 1;
	}
	if (n > NAME_MAX)
		return fails(ENAMETOOLONG);
	memcpy(name, part, n);
	name[n] = '\0';
	w->rest = part + n;
	if (w->beneath && strcmp(name, "..") == 0)
		return fails(EXDEV);
	fd = openat(w->dir, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (fd == -1)
		return -1;
	if (fstat(fd, &st) == -1)
		rc = -1;
	else if (S_ISLNK(st.st_mode))
		rc = follow(w, fd, st.st_uid);
	else if (w->rest[strspn(w->rest, "/")] == '\0' &&
	    strcmp(name, "..") != 0)
		rc = 1;
	else
		return go_to(w, fd);
	close_quietly(fd);
	return rc;
}

static bool
readable_kind(const struct stat *st)
{
	return S_ISREG(st->st_mode) || S_ISDIR(st->st_mode);
}

/* Opens what the walk has found, which may be another thing by now. */
static int
arrive(const struct walk *w, struct safepath *p)
{
	int flags = O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC;

	/* Opening a device may do something. */
	if (fstatat(w->dir, p->name, &p->st, AT_SYMLINK_NOFOLLOW) == -1)
		return -1;
	if (!readable_kind(&p->st))
		return fails(EINVAL);
	p->fd = openat(w->dir, p->name, flags | O_NOATIME);
	/* Only the owner may ask for O_NOATIME. */
	if (p->fd == -1 && errno == EPERM)
		p->fd = openat(w->dir, p->name, flags);
	if (p->fd == -1 || fstat(p->fd, &p->st) == -1)
		return -1;
	if (!readable_kind(&p->st))
		return fails(EINVAL);
	if (w->foreign && p->st.st_uid != w->owner)
		return fails(EPERM);
	return 0;
}

int
safepath_open(struct safepath *p, int dirfd, const char *path, bool beneath)
{
	struct walk w = { .dir = -1, .beneath = beneath };
	int rc;

	memset(p, 0, sizeof *p);
	p->fd = p->dirfd = -1;
	w.text = xstrdup(path);
	if ((rc = begin(&w, dirfd)) == 0)
		while ((rc = step(&w, p->name)) == 0)
			;
	if (rc == 1)
		rc = arrive(&w, p);
	free(w.text);
	p->dirfd = w.dir;
	if (rc == -1)
		safepath_close(p);
	return rc;
}

void
safepath_close(struct safepath *p)
{
	close_quietly(p->fd);
	close_quietly(p->dirfd);
	p->fd = p->dirfd = -1;
}

int
safepath_below(int dirfd, const char *path, int flags)
{
	struct open_how how;
	int fd;

	memset(&how, 0, sizeof how);
	how.flags = (unsigned)flags | O_CLOEXEC;
	how.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS;
	fd = (int)syscall(SYS_openat2, dirfd, path, &how, sizeof how);
	if (fd == -1 && errno == ENOSYS)
		errno = EXDEV;
	return fd;
}

int
safepath_error(struct err *e, enum err_scope scope, const char *path)
{
	switch (errno) {
	case EPERM:
		return err_set(e, scope, "%s: a symbolic link on this path "
		    "belongs to a user who does not own what it leads to: "
		    "name that without it", path);
	case ELOOP:
		return err_set(e, scope, "%s: a symbolic link that is not "
		    "followed here, or too many of them: name what it leads "
		    "to", path);
	case EXDEV:
		return err_set(e, scope, "%s: leads out of the tree: an "
		    "absolute path may", path);
	case EINVAL:
		return err_set(e, scope, "%s is neither a file nor a "
		    "directory", path);
	default:
		break;
	}
	err_sys(e, errno == EIO || errno == ESTALE || errno == ETIMEDOUT ?
	    ERR_HOST : scope, "open %s", path);
	if (e->sys == ENOENT || e->sys == ENOTDIR)
		e->cause = CAUSE_MISSING;
	return -1;
}
