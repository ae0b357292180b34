/*
 * What a sync_server stages: PARTITION/sync./PID/ with a file for each message
 * that is on its way.  One that is killed, or whose client goes away in the
 * middle, leaves it behind, and nothing in Cyrus ever removes it.
 *
 * So the directory is made beforehand, with a mark in it by which a later run
 * knows that it was ours, and whether its process can still be alive:
 *
 *	mailhaul.BOOT.NAMESPACE		boot id; inode of the process ids' space
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fsids.h"
#include "cyrus/sync_stage.h"

#define MARK		"mailhaul."
#define MARK_MAX	120

static int
open_dir(int at, const char *name)
{
	return openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW |
	    O_CLOEXEC);
}

/* The mark of a process of here and now; "" if it cannot be told. */
static void
our_mark(char mark[MARK_MAX])
{
	char boot[64] = "";
	struct stat st;
	ssize_t n = 0;
	int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);

	mark[0] = '\0';
	if (fd != -1) {
		n = read(fd, boot, sizeof boot - 1);
		close(fd);
	}
	if (n <= 0 || stat("/proc/self/ns/pid", &st) == -1)
		return;
	boot[n] = '\0';
	boot[strcspn(boot, "\n")] = '\0';
	snprintf(mark, MARK_MAX, MARK "%.40s.%ju", boot,
	    (uintmax_t)st.st_ino);
}

/* Files in so many levels of directories below fd, which is closed. */
static void
empty(int fd, unsigned levels)
{
	struct dirent *d;
	DIR *dir = fdopendir(fd);
	int sub;

	if (dir == NULL) {
		close(fd);
		return;
	}
	while ((d = readdir(dir)) != NULL) {
		if (strcmp(d->d_name, ".") == 0 || strcmp(d->d_name,
		    "..") == 0 || unlinkat(dirfd(dir), d->d_name, 0) == 0 ||
		    levels == 0 || (sub = open_dir(dirfd(dir),
		    d->d_name)) == -1)
			continue;
		empty(sub, levels - 1);
		unlinkat(dirfd(dir), d->d_name, AT_REMOVEDIR);
	}
	closedir(dir);
}

static void
remove_dir(int sync, const char *name)
{
	int fd = open_dir(sync, name);

	if (fd == -1)
		return;
	empty(fd, 1);
	unlinkat(sync, name, AT_REMOVEDIR);
}

/* The partition's directory of staged files, and whose it is; with make, made.
 * -1: there is none. */
static int
open_sync(const char *partition, bool make, struct fsids *ids)
{
	int top = open(partition, O_RDONLY | O_DIRECTORY | O_CLOEXEC), fd;
	struct stat st;
	struct err e;

	memset(ids, 0, sizeof *ids);
	if (top == -1)
		return -1;
	if (fstat(top, &st) == -1 || fsids_prepare(ids, st.st_uid, st.st_gid,
	    &e) == -1) {
		close(top);
		return -1;
	}
	fsids_enter(ids);
	if (make)
		(void)mkdirat(top, "sync.", 0700);
	fd = open_dir(top, "sync.");
	fsids_leave(ids);
	close(top);
	return fd;
}

void
stage_mark(const char *partition, pid_t pid)
{
	char name[24], mark[MARK_MAX];
	struct fsids ids;
	int sync = open_sync(partition, true, &ids), fd, file;

	if (sync == -1)
		return;
	our_mark(mark);
	snprintf(name, sizeof name, "%ld", (long)pid);
	fsids_enter(&ids);
	/* There already: it may be another's who had this number. */
	if (mark[0] != '\0' && mkdirat(sync, name, 0700) == 0 &&
	    (fd = open_dir(sync, name)) != -1) {
		file = openat(fd, mark, O_WRONLY | O_CREAT | O_EXCL |
		    O_NOFOLLOW | O_CLOEXEC, 0600);
		if (file != -1)
			close(file);
		close(fd);
	}
	fsids_leave(&ids);
	close(sync);
}

void
stage_sweep(const char *partition, pid_t pid)
{
	char name[24];
	struct fsids ids;
	int sync = open_sync(partition, false, &ids);

	if (sync == -1)
		return;
	snprintf(name, sizeof name, "%ld", (long)pid);
	fsids_enter(&ids);
	remove_dir(sync, name);
	fsids_leave(&ids);
	close(sync);
}

/* No such process, or one that has ended and nobody asked how. */
static bool
is_dead(const char *pid)
{
	char path[64], stat[400];
	const char *p;
	ssize_t n;
	int fd;

	if (kill((pid_t)strtol(pid, NULL, 10), 0) == -1)
		return errno == ESRCH;
	snprintf(path, sizeof path, "/proc/%.20s/stat", pid);
	if ((fd = open(path, O_RDONLY | O_CLOEXEC)) == -1)
		return false;
	n = read(fd, stat, sizeof stat - 1);
	close(fd);
	if (n <= 0)
		return false;
	stat[n] = '\0';
	p = strrchr(stat, ')');		/* "PID (name) state ..." */
	return p != NULL && (p[1] == ' ' && (p[2] == 'Z' || p[2] == 'X'));
}

/* Has this directory a mark, of a process that cannot be alive? */
static bool
is_stale(int sync, const char *name, const char *ours)
{
	const char *space = strrchr(ours, '.'), *theirs;
	struct dirent *d;
	bool stale = false;
	DIR *dir;
	int fd = open_dir(sync, name);

	if (fd == -1)
		return false;
	if ((dir = fdopendir(fd)) == NULL) {
		close(fd);
		return false;
	}
	while ((d = readdir(dir)) != NULL) {
		if (strncmp(d->d_name, MARK, sizeof MARK - 1) != 0)
			continue;
		theirs = strrchr(d->d_name, '.');
		/* Another boot; or this one, where we can see it. */
		if ((size_t)(theirs - d->d_name) != (size_t)(space - ours) ||
		    strncmp(d->d_name, ours, (size_t)(space - ours)) != 0)
			stale = true;
		else
			stale = strcmp(theirs, space) == 0 &&
			    is_dead(name);
		break;
	}
	closedir(dir);
	return stale;
}

void
stage_sweep_stale(const char *partition)
{
	char ours[MARK_MAX];
	struct fsids ids;
	struct dirent *d;
	int sync = open_sync(partition, false, &ids);
	DIR *dir;

	our_mark(ours);
	if (sync == -1)
		return;
	fsids_enter(&ids);
	if (ours[0] == '\0' || (dir = fdopendir(sync)) == NULL)
		close(sync);
	else {
		while ((d = readdir(dir)) != NULL)
			if (d->d_name[strspn(d->d_name, "0123456789")] ==
			    '\0' && is_stale(dirfd(dir), d->d_name, ours))
				remove_dir(dirfd(dir), d->d_name);
		closedir(dir);
	}
	fsids_leave(&ids);
}
