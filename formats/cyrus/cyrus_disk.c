/* File systems synced in place of files: see cyrus_disk.h. */
#include "cyrus/cyrus_disk.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/xmalloc.h"

#define LIBRARY		"mailhaul-nosync.so"

struct disk {
	int	 fd;
	dev_t	 dev;
	char	*dir;
};

struct cyrus_disks {
	struct disk	*v;
	size_t		 n;
};

/* The file system of a directory, or of a file's.  What is not there (yet) is
 * in one that is. */
static int
add(struct cyrus_disks *d, const char *path, bool must, struct err *e)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	struct stat st;

	if (fd == -1 && errno == ENOENT && !must)
		return 0;
	if (fd == -1)
		return err_sys(e, ERR_ACCOUNT, "fsync=batch: %s", path);
	if (fstat(fd, &st) == -1) {
		close(fd);
		return err_sys(e, ERR_ACCOUNT, "fsync=batch: %s", path);
	}
	for (size_t i = 0; i < d->n; i++)
		if (d->v[i].dev == st.st_dev) {
			close(fd);
			return 0;
		}
	d->v = xreallocarray(d->v, d->n + 1, sizeof *d->v);
	d->v[d->n++] = (struct disk){ fd, st.st_dev, xstrdup(path) };
	return 0;
}

/* Databases may be elsewhere. */
static bool
is_place(const char *key)
{
	static const char *const prefixes[] = { "partition-",
	    "metapartition-", "archivepartition-", "searchpartition-",
	    "defaultsearchtier-", NULL };
	size_t n = strlen(key);

	if (strcmp(key, "sievedir") == 0 || strcmp(key, "mboxkey_db_path") ==
	    0)
		return true;
	if (n > 8 && strcmp(key + n - 8, "_db_path") == 0)
		return true;
	for (size_t i = 0; prefixes[i] != NULL; i++)
		if (strncmp(key, prefixes[i], strlen(prefixes[i])) == 0)
			return true;
	return false;
}

int
cyrus_disks_open(struct cyrus_disks **dp, const struct cyrus_conf *c,
    struct err *e)
{
	struct cyrus_disks *d = xcalloc(1, sizeof *d);
	const char *key, *value;
	int rc;

	rc = add(d, cyrus_conf_get(c, "configdirectory", ""), true, e);
	for (size_t i = 0; rc == 0 && cyrus_conf_nth(c, i, &key, &value);
	    i++)
		if (is_place(key) && value[0] == '/')
			rc = add(d, value, strncmp(key, "partition-", 10) ==
			    0, e);
	*dp = d;
	if (rc == -1)
		cyrus_disks_close(dp);
	return rc;
}

void
cyrus_disks_close(struct cyrus_disks **dp)
{
	struct cyrus_disks *d = *dp;

	*dp = NULL;
	if (d == NULL)
		return;
	for (size_t i = 0; i < d->n; i++) {
		close(d->v[i].fd);
		free(d->v[i].dir);
	}
	free(d->v);
	free(d);
}

int
cyrus_disks_sync(struct cyrus_disks *d, struct err *e)
{
	if (d == NULL || fault_mutated("syncfs"))
		return 0;
	fault_point("cyrus.before_sync");
	for (size_t i = 0; i < d->n; i++)
		if (syncfs(d->v[i].fd) == -1) {
			err_sys(e, ERR_HOST, "sync %s", d->v[i].dir);
			e->cause = CAUSE_DISK;
			e->retry = true;
			return -1;
		}
	fault_point("cyrus.synced");
	return 0;
}

/* Only we, or root, may have written it. */
static bool
is_safe(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && S_ISREG(st.st_mode) &&
	    (st.st_uid == 0 || st.st_uid == geteuid()) &&
	    (st.st_mode & (S_IWGRP | S_IWOTH)) == 0;
}

int
cyrus_nosync_find(char *out, size_t room, struct err *e)
{
	static const char *const places[] = { "", "../lib/mailhaul/",
	    "../../lib/mailhaul/", NULL };
	char self[PATH_MAX], real[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
	char *slash;

	if (n <= 0)
		return err_sys(e, ERR_RUN, "/proc/self/exe");
	self[n] = '\0';
	if ((slash = strrchr(self, '/')) != NULL)
		slash[1] = '\0';
	for (size_t i = 0; places[i] != NULL; i++) {
		char path[PATH_MAX + 60];

		snprintf(path, sizeof path, "%s%s" LIBRARY, self, places[i]);
		/* Blanks and colons would end its name in the list. */
		if (realpath(path, real) != NULL && is_safe(real) &&
		    strpbrk(real, " :\t\n") == NULL && strlen(real) < room) {
			memcpy(out, real, strlen(real) + 1);
			return 0;
		}
	}
	return err_set(e, ERR_ACCOUNT, "fsync=batch: there is no " LIBRARY
	    " in %.200s or ../lib/mailhaul that is safe to use", self);
}

int
cyrus_nosync_check(pid_t pid, struct err *e)
{
	char path[60], line[PATH_MAX + 200];
	bool found = false;
	FILE *f;

	snprintf(path, sizeof path, "/proc/%ld/maps", (long)pid);
	if ((f = fopen(path, "re")) == NULL)
		return err_sys(e, ERR_ACCOUNT, "fsync=batch: %s", path);
	while (!found && fgets(line, sizeof line, f) != NULL)
		found = strstr(line, "/" LIBRARY) != NULL;
	fclose(f);
	if (found)
		return 0;
	return err_set(e, ERR_ACCOUNT, "fsync=batch: sync_server does not "
	    "load " LIBRARY);
}
