/* Locks on one mailbox file, for reading. */
#include "mbox/mbox_lock.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/xmalloc.h"

/* A lock file older than this is left over from a crash. */
#define STALE_S	300
#define POLL_MS	20

/* A lock of another program's, for people. */
struct holder { char text[200]; };

int
mbox_lock_parse(const char *list, unsigned *kinds)
{
	static const struct { const char *word; unsigned kind; } known[] = {
		{ "fcntl", MBOX_LOCK_FCNTL }, { "flock", MBOX_LOCK_FLOCK },
		{ "dot", MBOX_LOCK_DOT },
	};
	const char *p = list;

	*kinds = 0;
	if (strcmp(list, "none") == 0)
		return 0;
	for (;;) {
		size_t n = strcspn(p, ","), i;

		for (i = 0; i < 3; i++)
			if (strlen(known[i].word) == n &&
			    memcmp(known[i].word, p, n) == 0)
				break;
		if (i == 3 || (*kinds & known[i].kind) != 0)
			return -1;
		*kinds |= known[i].kind;
		if (p[n] == '\0')
			return 0;
		p += n + 1;
	}
}

void
mbox_lock_init(struct mbox_lock *l, unsigned kinds, int fd, int dirfd,
    const char *name)
{
	size_t len = strlen(name);

	memset(l, 0, sizeof *l);
	l->kinds = kinds;
	l->fd = fd;
	l->dirfd = dirfd;
	l->dotname = xmalloc(len + sizeof ".lock");
	memcpy(l->dotname, name, len);
	memcpy(l->dotname + len, ".lock", sizeof ".lock");
}

void
mbox_lock_release(struct mbox_lock *l)
{
	if (l->dotname == NULL)
		return;
	mbox_lock_drop(l);
	free(l->dotname);
	l->dotname = NULL;
}

static bool
lock_file_there(const struct mbox_lock *l)
{
	struct stat st;

	return fstatat(l->dirfd, l->dotname, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	    time(NULL) - st.st_mtim.tv_sec < STALE_S;
}

/* The lock file under a name of our own, by link(), as one does it where
 * O_EXCL cannot be relied on (NFS): 1, 0 somebody has it, -1 errno. */
static int
make_lock_file(struct mbox_lock *l)
{
	char own[64], pid[24];
	int fd, n, rc = -1, saved;

	snprintf(own, sizeof own, ".mailhaul.%ld.%p.lock", (long)getpid(),
	    (void *)l);
	n = snprintf(pid, sizeof pid, "%ld\n", (long)getpid());
	unlinkat(l->dirfd, own, 0);	/* of an earlier process, if any */
	fd = openat(l->dirfd, own, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW |
	    O_CLOEXEC, 0444);
	if (fd == -1)
		return -1;
	if (write(fd, pid, (size_t)n) == n) {
		struct stat st;

		rc = linkat(l->dirfd, own, l->dirfd, l->dotname, 0);
		/* An answer that got lost does not mean that it failed. */
		if (fstat(fd, &st) == 0 && st.st_nlink == 2)
			rc = 0;
	}
	saved = errno;
	close(fd);
	unlinkat(l->dirfd, own, 0);
	errno = saved;
	if (rc == 0)
		return 1;
	return errno == EEXIST ? 0 : -1;
}

static int
take_dot(struct mbox_lock *l, struct holder *who, struct err *e)
{
	int rc;

	if ((l->kinds & MBOX_LOCK_DOT) == 0)
		return 1;
	rc = make_lock_file(l);
	if (rc == -1)
		return err_sys(e, ERR_MAILBOX, "lock=dot: %s cannot be made",
		    l->dotname);
	l->dot = rc == 1;
	/* One that is left over hinders nobody. */
	if (rc == 1 || !lock_file_there(l))
		return 1;
	snprintf(who->text, sizeof who->text, "the lock file %.150s",
	    l->dotname);
	return 0;
}

static int
take_fcntl(struct mbox_lock *l, struct holder *who)
{
	struct flock fl = { .l_type = F_RDLCK, .l_whence = SEEK_SET };

	/* File systems without locks answer with other errors: nobody can
	 * hold one then. */
	if ((l->kinds & MBOX_LOCK_FCNTL) == 0 ||
	    fcntl(l->fd, F_OFD_SETLK, &fl) == 0 ||
	    (errno != EAGAIN && errno != EACCES))
		return 1;
	fl.l_pid = 0;
	if (fcntl(l->fd, F_OFD_GETLK, &fl) == 0 && fl.l_type != F_UNLCK &&
	    fl.l_pid > 0)
		snprintf(who->text, sizeof who->text, "an fcntl lock of "
		    "process %ld", (long)fl.l_pid);
	else
		snprintf(who->text, sizeof who->text, "an fcntl lock");
	return 0;
}

static int
take_flock(struct mbox_lock *l, struct holder *who)
{
	if ((l->kinds & MBOX_LOCK_FLOCK) == 0 ||
	    flock(l->fd, LOCK_SH | LOCK_NB) == 0 || errno != EWOULDBLOCK)
		return 1;
	snprintf(who->text, sizeof who->text, "an flock lock");
	return 0;
}

/* All of them without waiting: 1, 0 (*who has one), -1. */
static int
try_all(struct mbox_lock *l, struct holder *who, struct err *e)
{
	int rc;

	l->held = true;
	rc = take_dot(l, who, e);
	if (rc == 1 && take_fcntl(l, who) == 0)
		rc = 0;
	if (rc == 1 && take_flock(l, who) == 0)
		rc = 0;
	/* Only now: a lock file that comes later means no harm. */
	if (rc == 1 && !l->dot && lock_file_there(l)) {
		snprintf(who->text, sizeof who->text, "the lock file %.150s",
		    l->dotname);
		rc = 0;
	}
	/* Who waits must not hold what others wait for. */
	if (rc != 1)
		mbox_lock_drop(l);
	return rc;
}

bool
mbox_pause(int cancel_fd, int wait_ms, struct err *e)
{
	struct pollfd pfd = { .fd = cancel_fd, .events = POLLIN };

	if (poll(&pfd, 1, wait_ms) <= 0)
		return false;
	err_retry(e, ERR_RUN, "stopped");
	e->cause = CAUSE_CANCELLED;
	return true;
}

int
mbox_lock_take(struct mbox_lock *l, unsigned wait_ms, int cancel_fd,
    struct err *e)
{
	struct holder who = { "" };
	unsigned waited = 0;
	int rc;

	if (l->kinds == 0)
		return 0;
	while ((rc = try_all(l, &who, e)) == 0 && waited < wait_ms) {
		if (mbox_pause(cancel_fd, POLL_MS, e))
			return -1;
		waited += POLL_MS;
	}
	if (rc == 0)
		return err_retry(e, ERR_MAILBOX, "another program has kept it "
		    "locked for %u seconds (%s): tried again later",
		    wait_ms / 1000, who.text);
	return rc == 1 ? 0 : -1;
}

void
mbox_lock_refresh(struct mbox_lock *l)
{
	if (l->dot)
		utimensat(l->dirfd, l->dotname, NULL, AT_SYMLINK_NOFOLLOW);
}

void
mbox_lock_drop(struct mbox_lock *l)
{
	struct flock fl = { .l_type = F_UNLCK, .l_whence = SEEK_SET };
	int saved = errno;

	if (!l->held)
		return;
	if (l->kinds & MBOX_LOCK_FLOCK)
		flock(l->fd, LOCK_UN);
	if (l->kinds & MBOX_LOCK_FCNTL)
		fcntl(l->fd, F_OFD_SETLK, &fl);
	if (l->dot)
		unlinkat(l->dirfd, l->dotname, 0);
	l->dot = l->held = false;
	errno = saved;
}
