/*
 * Mailboxes are renamed with their children, and deleted when they hold no
 * mail.  In Maildir++ a child is a directory beside its parent, so a rename is
 * one of several directories; one that a crash cut short goes on where it was.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/xmalloc.h"
#include "dovecot/dovecot_impl.h"
#include "maildir/maildir_dir.h"

static void
directory(struct dovecot *dv, const char *name, struct buf *out)
{
	buf_init(out, 8192);
	maildir_dir(out, dv->names.fs, dv->names.sep, name);
}

/* A descriptor of the directory that path lies in, and path's last level. */
static int
parent_of(struct dovecot *dv, const char *path, bool make, const char **last,
    struct err *e)
{
	const char *slash = strrchr(path, '/');
	char *dir;
	int fd;

	*last = slash != NULL ? slash + 1 : path;
	if (slash == NULL)
		return box_walk(dv, ".", false, e);
	dir = xmemdup0(path, (size_t)(slash - path));
	err_clear(e);
	fd = box_walk(dv, dir, make, e);
	if (fd == -1 && e->scope == ERR_NONE)
		err_set(e, ERR_MAILBOX, "%s is not there", dir);
	free(dir);
	return fd;
}

static bool
exists(int fd, const char *name)
{
	struct stat st;

	return fstatat(fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

/* 1: done; 0: there is no "from". */
static int
move_dir(int fromfd, const char *from, int tofd, const char *to,
    struct err *e)
{
	if (renameat2(fromfd, from, tofd, to, RENAME_NOREPLACE) == 0)
		return 1;
	if (errno == ENOENT)
		return 0;
	if (errno == EEXIST || errno == ENOTEMPTY)
		return err_set(e, ERR_MAILBOX, "there is a mailbox %s "
		    "already", to);
	return dovecot_sys(e, "rename %s", from);
}

/* Children first, so that the parent's new name says that all are done. */
static int
move_children(struct dovecot *dv, const char *from, const char *to,
    struct err *e)
{
	size_t len = strlen(from), n = 0, cap = 0;
	char **names = NULL, name[2 * NAME_MAX];
	struct dirent *d;
	DIR *dir;
	int fd, rc = 0;

	fd = openat(dv->rootfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd == -1 || (dir = fdopendir(fd)) == NULL) {
		if (fd != -1)
			close(fd);
		return dovecot_sys(e, "%s", dv->path);
	}
	while ((d = readdir(dir)) != NULL) {
		if (strncmp(d->d_name, from, len) != 0 ||
		    d->d_name[len] != '.')
			continue;
		if (n == cap) {
			cap = cap ? 2 * cap : 16;
			names = xreallocarray(names, cap, sizeof *names);
		}
		names[n++] = xstrdup(d->d_name);
	}
	closedir(dir);
	for (size_t i = 0; i < n; i++) {
		if (rc == 0 && snprintf(name, sizeof name, "%s%s", to,
		    names[i] + len) > NAME_MAX)
			rc = err_set(e, ERR_MAILBOX, "the new name of a child "
			    "is too long");
		if (rc == 0 && move_dir(dv->rootfd, names[i], dv->rootfd, name,
		    e) == -1)
			rc = -1;
		fault_point("rename.child");
		free(names[i]);
	}
	free(names);
	return rc;
}

/* A name that no user's mailbox has, the same in every run. */
static void
between(const char *from, const char *to, char name[64])
{
	uint64_t h = UINT64_C(14695981039346656037);

	for (; *from != '\0'; from++)
		h = (h ^ (unsigned char)*from) * UINT64_C(1099511628211);
	for (h *= 31; *to != '\0'; to++)
		h = (h ^ (unsigned char)*to) * UINT64_C(1099511628211);
	snprintf(name, 64, ".mailhaul-rename-%016" PRIx64, h);
}

/* One name is below the other: a child's new name may look like an old one, and
 * nobody could say after a crash which it is.  So all go by way of a third name,
 * and each half of the way can be told from what is there. */
static int
rename_nested(struct dovecot *dv, const char *from, const char *to,
    struct err *e)
{
	char mid[64];

	between(from, to, mid);
	/* In its second half a child's new name may be the parent's old one. */
	if (!exists(dv->rootfd, mid) && exists(dv->rootfd, from)) {
		if (exists(dv->rootfd, to))
			return err_set(e, ERR_MAILBOX, "there is a mailbox %s "
			    "already", to);
		if (move_children(dv, from, mid, e) == -1 ||
		    move_dir(dv->rootfd, from, dv->rootfd, mid, e) == -1)
			return -1;
		if (fsync(dv->rootfd) == -1)
			return dovecot_sys(e, "sync %s", dv->path);
		fault_point("rename.between");
	}
	if (!exists(dv->rootfd, mid))
		return exists(dv->rootfd, to) ? 0 : err_set(e, ERR_MAILBOX,
		    "%s is not there", from);
	return move_children(dv, mid, to, e) == -1 ||
	    move_dir(dv->rootfd, mid, dv->rootfd, to, e) == -1 ? -1 : 0;
}

static bool
is_below(const char *name, const char *above)
{
	size_t len = strlen(above);

	return strncmp(name, above, len) == 0 && name[len] == '.';
}

static int
rename_dirs(struct dovecot *dv, const char *from, const char *to,
    struct err *e)
{
	const char *old, *new;
	int fromfd, tofd = -1, rc = -1;

	if ((fromfd = parent_of(dv, from, false, &old, e)) == -1)
		return -1;
	if ((tofd = parent_of(dv, to, true, &new, e)) == -1)
		goto out;
	/* What is already done was done by us, before a crash. */
	if (!dv->names.fs && (is_below(from, to) || is_below(to, from)))
		rc = rename_nested(dv, from, to, e);
	else if (!exists(fromfd, old) && exists(tofd, new))
		rc = dv->names.fs ? 0 : move_children(dv, from, to, e);
	else if (exists(tofd, new))
		err_set(e, ERR_MAILBOX, "there is a mailbox %s already", to);
	else if (!dv->names.fs && move_children(dv, from, to, e) == -1)
		;
	else if ((rc = move_dir(fromfd, old, tofd, new, e)) == 0)
		rc = err_set(e, ERR_MAILBOX, "%s is not there", from);
	if (rc != -1 && (fsync(fromfd) == -1 || fsync(tofd) == -1))
		rc = dovecot_sys(e, "sync %s", dv->path);
	close(tofd);
out:
	close(fromfd);
	return rc == -1 ? -1 : 0;
}

int
dovecot_folder_rename(struct target *t, const char *from, const char *to,
    struct err *e)
{
	struct dovecot *dv = (struct dovecot *)t;
	struct buf old, new;
	int rc;

	if (strcmp(from, "INBOX") == 0 || strcmp(to, "INBOX") == 0)
		return err_set(e, ERR_MAILBOX, "INBOX keeps its name");
	if (dovecot_root(dv, e) != 1)
		return err_set(e, ERR_MAILBOX, "there is no Maildir");
	directory(dv, from, &old);
	directory(dv, to, &new);
	fsids_enter(&dv->ids);
	rc = rename_dirs(dv, old.ptr, new.ptr, e);
	fsids_leave(&dv->ids);
	buf_release(&old);
	buf_release(&new);
	return rc;
}

/* What Dovecot and we keep beside the mail. */
static void
remove_metadata(int fd)
{
	struct dirent *d;
	DIR *dir;
	int copy;

	copy = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (copy == -1 || (dir = fdopendir(copy)) == NULL) {
		if (copy != -1)
			close(copy);
		return;
	}
	while ((d = readdir(dir)) != NULL)
		if (strncmp(d->d_name, "dovecot", 7) == 0 ||
		    strcmp(d->d_name, "maildirfolder") == 0)
			unlinkat(fd, d->d_name, 0);
	closedir(dir);
}

static bool
holds_mail(int boxfd, const char *part)
{
	struct dirent *d;
	bool found = false;
	DIR *dir;
	int fd = dovecot_dir_open(boxfd, part);

	if (fd == -1)
		return errno != ENOENT;
	if ((dir = fdopendir(fd)) == NULL) {
		close(fd);
		return true;
	}
	while (!found && (d = readdir(dir)) != NULL)
		found = strcmp(d->d_name, ".") != 0 &&
		    strcmp(d->d_name, "..") != 0;
	closedir(dir);
	return found;
}

static int
delete_dir(struct dovecot *dv, int fd, const char *name, struct err *e)
{
	static const char *const parts[] = { "cur", "new", "tmp" };
	int boxfd, rc = 0;

	if ((boxfd = dovecot_dir_open(fd, name)) == -1)
		return errno == ENOENT ? 0 : dovecot_sys(e, "%s", name);
	for (size_t i = 0; i < 3 && rc == 0; i++)
		if (holds_mail(boxfd, parts[i]))
			rc = err_set(e, ERR_MAILBOX, "%s is not empty: not "
			    "deleted", name);
	for (size_t i = 0; i < 3 && rc == 0; i++)
		if (unlinkat(boxfd, parts[i], AT_REMOVEDIR) == -1 &&
		    errno != ENOENT)
			rc = dovecot_sys(e, "%s", name);
	if (rc == 0)
		remove_metadata(boxfd);
	close(boxfd);
	/* Of layout=fs there may be children: then it stays as a level. */
	if (rc == 0 && unlinkat(fd, name, AT_REMOVEDIR) == -1 &&
	    errno != ENOENT && (!dv->names.fs || errno != ENOTEMPTY))
		rc = dovecot_sys(e, "%s", name);
	if (rc == 0 && fsync(fd) == -1)
		rc = dovecot_sys(e, "sync %s", dv->path);
	return rc;
}

/* Levels above that hold nothing any more. */
static void
remove_levels(struct dovecot *dv, char *path)
{
	const char *last;
	struct err e;
	char *slash;
	int fd, rc = 0;

	while (rc == 0 && (slash = strrchr(path, '/')) != NULL) {
		*slash = '\0';
		if ((fd = parent_of(dv, path, false, &last, &e)) == -1)
			return;
		rc = unlinkat(fd, last, AT_REMOVEDIR);
		close(fd);
	}
}

int
dovecot_folder_delete(struct target *t, const char *name, struct err *e)
{
	struct dovecot *dv = (struct dovecot *)t;
	const char *last;
	struct buf dir;
	int fd, rc = -1;

	if (strcmp(name, "INBOX") == 0)
		return err_set(e, ERR_MAILBOX, "INBOX cannot be deleted");
	if (dovecot_root(dv, e) != 1)
		return err_set(e, ERR_MAILBOX, "there is no Maildir");
	directory(dv, name, &dir);
	fsids_enter(&dv->ids);
	if ((fd = parent_of(dv, dir.ptr, false, &last, e)) != -1) {
		rc = delete_dir(dv, fd, last, e);
		close(fd);
		if (rc == 0)
			remove_levels(dv, dir.ptr);
	}
	fsids_leave(&dv->ids);
	buf_release(&dir);
	return rc;
}
