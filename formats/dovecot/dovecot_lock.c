/*
 * Dovecot's dot-locks: a file "<name>.lock", made with O_EXCL, that says
 * "pid:host".  Dovecot waits for it, takes it away when the pid of the same
 * host is dead, else when the file has not changed for two minutes.  We do the
 * same; besides, a lock that is older than the machine's last start, or that
 * has stayed empty, was left by a power cut.  We hold it for some milliseconds
 * only.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/fault.h"
#include "dovecot/dovecot_impl.h"

#define STALE_S		120
#define EMPTY_S		10	/* its maker writes into it at once */
#define WAIT_S		60

static void
host_name(char *name, size_t size)
{
	const char *given = getenv("DOVECOT_HOSTNAME");

	if (given != NULL)
		snprintf(name, size, "%s", given);
	else if (gethostname(name, size) == -1)
		snprintf(name, size, "localhost");
	name[size - 1] = '\0';
}

/* When the machine was started. */
static time_t
boot_time(void)
{
	struct timespec now, up;

	if (clock_gettime(CLOCK_REALTIME, &now) == -1 ||
	    clock_gettime(CLOCK_BOOTTIME, &up) == -1)
		return 0;
	return now.tv_sec - up.tv_sec - 1;
}

/* Whose lock it is, and whether he is dead.  False: it is gone. */
static bool
look_at(const struct dotlock *lk, char *holder, size_t size, bool *stale)
{
	char host[256], *colon;
	struct stat st;
	ssize_t n;
	long pid;
	int fd;

	*stale = false;
	snprintf(holder, size, "somebody");
	fd = openat(lk->dirfd, lk->name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK |
	    O_CLOEXEC);
	if (fd == -1)
		return errno != ENOENT;
	if (fstat(fd, &st) == -1 || !S_ISREG(st.st_mode)) {
		close(fd);
		return true;
	}
	n = read(fd, holder, size - 1);
	close(fd);
	holder[n > 0 ? n : 0] = '\0';
	holder[strcspn(holder, "\n")] = '\0';
	*stale = time(NULL) - st.st_mtime > STALE_S &&
	    time(NULL) - st.st_ctime > STALE_S;
	if (n == 0 && time(NULL) - st.st_mtime > EMPTY_S)
		*stale = true;
	if ((colon = strchr(holder, ':')) == NULL)
		return true;
	host_name(host, sizeof host);
	pid = strtol(holder, NULL, 10);
	if (strcmp(colon + 1, host) == 0 && (st.st_mtime < boot_time() ||
	    (pid > 1 && kill((pid_t)pid, 0) == -1 && errno == ESRCH)))
		*stale = true;
	return true;
}

/* Is the holder on another host? */
static bool
is_elsewhere(const char *holder)
{
	const char *colon = strchr(holder, ':');
	char host[256];

	host_name(host, sizeof host);
	return colon != NULL && strcmp(colon + 1, host) != 0;
}

/* Takes away the lock of a dead one; who comes second must not take that of
 * the first. */
static void
take_away(struct dovecot *dv, const struct dotlock *lk, const char *holder)
{
	char again[300];
	bool stale;

	if (look_at(lk, again, sizeof again, &stale) && stale &&
	    strcmp(again, holder) == 0)
		unlinkat(lk->dirfd, lk->name, 0);
	(void)dv;
}

static int
make(struct dovecot *dv, struct dotlock *lk, struct err *e)
{
	char host[256], text[300];
	struct stat st;
	int fd, n;

	fd = openat(lk->dirfd, lk->name, O_WRONLY | O_CREAT | O_EXCL |
	    O_NOFOLLOW | O_CLOEXEC, dv->file_mode);
	if (fd == -1)
		return errno == EEXIST ? 0 : dovecot_sys(e, "%s", lk->name);
	host_name(host, sizeof host);
	n = snprintf(text, sizeof text, "%ld:%s", (long)getpid(), host);
	if (dovecot_write(fd, text, (size_t)n, e) == -1 ||
	    fstat(fd, &st) == -1) {
		unlinkat(lk->dirfd, lk->name, 0);
		close(fd);
		return -1;
	}
	lk->fd = fd;
	lk->dev = st.st_dev;
	lk->ino = st.st_ino;
	return 1;
}

int
dotlock_take(struct dovecot *dv, struct dotlock *lk, int dirfd,
    const char *name, struct err *e)
{
	unsigned timeout = dv->t.conf.timeout_s != 0 ? dv->t.conf.timeout_s :
	    WAIT_S;
	struct pollfd p = { .fd = dv->t.conf.cancel_fd, .events = POLLIN };
	char holder[300];
	bool stale;
	int rc;

	lk->dirfd = dirfd;
	lk->name = name;
	for (unsigned tries = 0; ; tries++) {
		if ((rc = make(dv, lk, e)) != 0) {
			fault_point("lock.taken");
			return rc == 1 ? 0 : -1;
		}
		if (!look_at(lk, holder, sizeof holder, &stale))
			continue;
		if (stale) {
			take_away(dv, lk, holder);
			continue;
		}
		if (tries >= timeout * 50)
			return err_retry(e, ERR_MAILBOX, "%s has been held by "
			    "\"%s\" for more than %u s%s", name, holder,
			    timeout, is_elsewhere(holder) ? ", another host: "
			    "via=new delivers without that lock" : "");
		if (poll(&p, p.fd >= 0 ? 1 : 0, 20) > 0) {
			err_retry(e, ERR_RUN, "stopped");
			e->cause = CAUSE_CANCELLED;
			return -1;
		}
	}
}

bool
dotlock_left(int dirfd, const char *name)
{
	const struct dotlock lk = { .dirfd = dirfd, .name = name };
	char holder[300];
	bool stale;

	return look_at(&lk, holder, sizeof holder, &stale) && stale;
}

bool
dotlock_ours(const struct dotlock *lk)
{
	struct stat st;

	return fstatat(lk->dirfd, lk->name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	    st.st_ino == lk->ino && st.st_dev == lk->dev;
}

int
dotlock_drop(struct dotlock *lk, struct err *e)
{
	bool ours = dotlock_ours(lk);

	if (ours)
		unlinkat(lk->dirfd, lk->name, 0);
	close(lk->fd);
	lk->fd = -1;
	return ours ? 0 : err_retry(e, ERR_MAILBOX, "%s was taken away while "
	    "it was held", lk->name);
}
