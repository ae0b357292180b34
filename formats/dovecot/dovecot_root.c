/*
 * The account's directory, made with what is missing above it: of levels that
 * several users share for whoever runs us, open to all; from the one on that
 * names the account for the mail's owner.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/safepath.h"
#include "base/xmalloc.h"
#include "dovecot/dovecot_impl.h"

/* A directory is made and then given to its owner: no other lane is to see it
 * in between. */
static pthread_mutex_t making = PTHREAD_MUTEX_INITIALIZER;

int
dovecot_open_made(struct safepath *at, const char *path)
{
	int rc;

	pthread_mutex_lock(&making);
	rc = safepath_open(at, AT_FDCWD, path, false);
	pthread_mutex_unlock(&making);
	return rc;
}

char *
dovecot_split(const char *path, char last[NAME_MAX + 1])
{
	const char *end = path + strlen(path), *slash;

	while (end > path + 1 && end[-1] == '/')
		end--;
	slash = memrchr(path, '/', (size_t)(end - path));
	snprintf(last, NAME_MAX + 1, "%.*s", slash != NULL ?
	    (int)(end - slash - 1) : (int)(end - path), slash != NULL ?
	    slash + 1 : path);
	if (slash == NULL)
		return xstrdup(".");
	while (slash > path && slash[-1] == '/')
		slash--;
	return xmemdup0(path, slash == path ? 1 : (size_t)(slash - path));
}

/* Makes one directory for the owner.  As the owner where the parent is his;
 * else as we are, which is safe only where nobody else can rename in it. */
static int
make_level(struct dovecot *dv, const struct safepath *parent,
    const char *name, struct err *e)
{
	struct stat st;
	int fd;

	if (parent->st.st_uid == dv->ids.uid || !dv->ids.on) {
		fsids_enter(&dv->ids);
		fd = dovecot_dir_make(dv, parent->fd, name);
		fsids_leave(&dv->ids);
		return fd != -1 ? fd : dovecot_sys(e, "make %s", dv->path);
	}
	if (parent->st.st_uid != 0 || (parent->st.st_mode & 022) != 0)
		return err_set(e, ERR_ACCOUNT, "%s is not there, and the "
		    "directory it would lie in is another user's or writable "
		    "by others: make it beforehand", dv->path);
	/* Another lane may have made it just now. */
	if (mkdirat(parent->fd, name, dv->dir_mode) == -1 && errno != EEXIST)
		return dovecot_sys(e, "make %s", dv->path);
	fd = dovecot_dir_open(parent->fd, name);
	if (fd != -1 && fstat(fd, &st) == 0 && st.st_uid != 0 &&
	    st.st_uid != dv->ids.uid) {
		close(fd);
		return err_set(e, ERR_ACCOUNT, "%s belongs to the user %lu",
		    dv->path, (unsigned long)st.st_uid);
	}
	if (fd == -1 ||
	    fchown(fd, dv->ids.uid, dv->ids.gid) == -1 ||
	    dovecot_set_mode(fd, dv->dir_mode) == -1) {
		dovecot_sys(e, "make %s", dv->path);
		if (fd != -1)
			close(fd);
		return -1;
	}
	return fd;
}

/* One that several users' lie below: nobody's of them. */
static int
make_shared(struct dovecot *dv, const struct safepath *parent,
    const char *name, struct err *e)
{
	struct stat st;
	int fd;

	if (parent->st.st_uid != geteuid() || (parent->st.st_mode & 022) != 0)
		return err_set(e, ERR_ACCOUNT, "%s: of what it lies in, %s is "
		    "not there and cannot be made for all users, as it would "
		    "lie in one's directory: make it beforehand", dv->path,
		    name);
	if (mkdirat(parent->fd, name, 0755) == -1 && errno != EEXIST)
		return dovecot_sys(e, "make %s", name);
	fd = dovecot_dir_open(parent->fd, name);
	if (fd == -1 || fstat(fd, &st) == -1 || (st.st_uid == geteuid() &&
	    dovecot_set_mode(fd, 0755) == -1)) {
		dovecot_sys(e, "make %s", name);
		if (fd != -1)
			close(fd);
		return -1;
	}
	return fd;
}

/* The root, made where it is not there.  The parent has to be there, unless
 * deep. */
static int
make_root(struct dovecot *dv, const char *path, bool deep, struct err *e)
{
	char last[NAME_MAX + 1];
	struct safepath at;
	char *dir = dovecot_split(path, last);
	int fd = -1;

	if (dovecot_open_made(&at, dir) == -1) {
		if (errno == ENOENT && deep && strcmp(dir, path) != 0) {
			fd = make_root(dv, dir, true, e);
			if (fd == -1)
				goto out;
			close(fd);
			fd = -1;
			if (dovecot_open_made(&at, dir) == -1) {
				safepath_error(e, ERR_ACCOUNT, dir);
				goto out;
			}
		} else {
			safepath_error(e, ERR_ACCOUNT, dir);
			goto out;
		}
	}
	if (!S_ISDIR(at.st.st_mode))
		err_set(e, ERR_ACCOUNT, "%s is no directory", dir);
	else if (dovecot_owner(dv, &at.st, false, e) == 0) {
		pthread_mutex_lock(&making);
		fd = dv->ids.on && strlen(path) < dv->own ?
		    make_shared(dv, &at, last, e) :
		    make_level(dv, &at, last, e);
		pthread_mutex_unlock(&making);
		if (fd != -1)
			(void)fsync(at.fd);
	}
	safepath_close(&at);
out:
	free(dir);
	return fd;
}

int
dovecot_make_root(struct dovecot *dv, bool deep, struct err *e)
{
	return make_root(dv, dv->path, deep, e);
}
