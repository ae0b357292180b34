/* Reading cur/ and new/: one stat a name, nothing is opened. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/mutf7.h"
#include "maildir/maildir_lists.h"

#define SCANS_MAX	3

static void
where_of(char *out, size_t size, enum place place, const char *name)
{
	snprintf(out, size, "%s/%s", maildir_place[place], name);
}

static bool
odd_name(const char *name, size_t len)
{
	size_t i;

	for (i = 0; i < len; i++)
		if ((unsigned char)name[i] < 0x20 || name[i] == 0x7f)
			return true;
	return !utf8_valid(name, len);
}

/* A link: 1 it may be a message (whether it can be read shows later), 0 it is
 * none. */
static int
look_at_link(struct maildir *m, const char *where, struct stat *st)
{
	char path[8192];
	struct stat target;
	int n;

	n = snprintf(path, sizeof path, "%s/%s", m->box.path, where);
	if (n < 0 || (size_t)n >= sizeof path)
		return 1;
	if (maildir_stat_link(m->rootfd, path, &target) == -1) {
		if (errno == ENOENT || errno == ELOOP || errno == ENOTDIR) {
			maildir_tell(m, W_LINK, where,
			    "a symbolic link that leads to nothing");
			return 0;
		}
		maildir_tell(m, W_LINK, where, errno == EXDEV ?
		    "a symbolic link that leaves the Maildir: not followed" :
		    "a symbolic link that cannot be followed: %s",
		    strerrordesc_np(errno));
		return 1;
	}
	if (!S_ISREG(target.st_mode)) {
		maildir_tell(m, W_LINK, where,
		    "a symbolic link to something that is no file");
		return 0;
	}
	st->st_ino = target.st_ino;
	st->st_size = target.st_size;
	st->st_mtim = target.st_mtim;
	return 1;
}

static const char *
type_name(mode_t mode)
{
	return S_ISDIR(mode) ? "a directory" : S_ISFIFO(mode) ? "a fifo" :
	    S_ISSOCK(mode) ? "a socket" : "a device";
}

/* One name of cur/ or new/. */
static int
scan_name(struct maildir *m, struct lists *l, enum place place,
    const struct dirent *d, struct err *e)
{
	const char *name = d->d_name;
	struct maildir_name mn;
	size_t len = strlen(name);
	char where[NAME_MAX + 8];
	uint64_t key, size;
	bool gone = false;
	struct stat st;

	where_of(where, sizeof where, place, name);
	if (name[0] == '.') {
		maildir_tell(m, W_DOT, where,
		    "a name with a leading dot: not mail");
		return 0;
	}
	if (fstatat(m->box.dirs[place], name, &st, AT_SYMLINK_NOFOLLOW) == -1) {
		/* Renamed meanwhile or gone: perhaps no reading of the
		 * directory meets its new name. */
		gone = errno == ENOENT;
		if (!gone && quiet_scope(errno, ERR_MESSAGE) != ERR_MESSAGE)
			return err_sys(e, quiet_scope(errno, ERR_MAILBOX),
			    "%s", where);
		memset(&st, 0, sizeof st);
		st.st_ino = d->d_ino;
		size = UNKNOWN64;
	} else {
		if (S_ISLNK(st.st_mode)) {
			if (look_at_link(m, where, &st) == 0)
				return 0;
		} else if (!S_ISREG(st.st_mode)) {
			maildir_tell(m, W_TYPE, where, "%s: not mail",
			    type_name(st.st_mode));
			return 0;
		}
		size = (uint64_t)st.st_size;
	}
	if (odd_name(name, len))
		maildir_tell(m, W_NAME, where,
		    "a name with control characters or bytes that are no "
		    "UTF-8; the message is read");
	maildir_name_parse(&mn, name, len);
	key = lists_begin(l, name, mn.base);
	buf_addc(&l->rec, (char)place);
	rec_put_str(&l->rec, name + mn.base, len - mn.base);
	rec_put_u64(&l->rec, (uint64_t)st.st_ino);
	rec_put_u64(&l->rec, (uint64_t)st.st_mtim.tv_sec);
	rec_put_u64(&l->rec, size);
	buf_addc(&l->rec, (char)(l->scan | (gone ? SCAN_GONE : 0)));
	if (lists_end(l, l->files, key, e) == -1)
		return -1;
	l->counted++;
	return 0;
}

static int
scan_dir(struct maildir *m, struct lists *l, enum place place, struct err *e)
{
	struct dirent *d;
	DIR *dir;
	int fd, rc = 0;

	if (m->box.dirs[place] == -1)
		return 0;
	fd = maildir_open_dir(m->box.fd, maildir_place[place]);
	if (fd == -1 || (dir = fdopendir(fd)) == NULL) {
		err_sys(e, quiet_scope(errno, ERR_MAILBOX), "read %s/",
		    maildir_place[place]);
		if (fd != -1)
			close(fd);
		return -1;
	}
	while (rc == 0) {
		errno = 0;
		if ((d = readdir(dir)) == NULL) {
			if (errno != 0)
				rc = err_sys(e, quiet_scope(errno,
				    ERR_MAILBOX), "read %s/",
				    maildir_place[place]);
			break;
		}
		if (strcmp(d->d_name, ".") != 0 && strcmp(d->d_name, "..") != 0)
			rc = scan_name(m, l, place, d, e);
	}
	closedir(dir);
	return rc;
}

static bool
same_time(const struct stat *a, const struct stat *b)
{
	return a->st_mtim.tv_sec == b->st_mtim.tv_sec &&
	    a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

/* The times of cur/ before it is read.  They tick coarsely: what changes now
 * must get another time than what changed just before, so wait for the tick. */
static int
stat_cur(struct maildir *m, struct stat *st)
{
	const struct timespec tick = { 0, 15 * 1000 * 1000 };
	struct timespec now;
	int i;

	for (i = 0; i < 3; i++) {
		if (fstat(m->box.dirs[IN_CUR], st) == -1)
			return -1;
		clock_gettime(CLOCK_REALTIME, &now);
		if (now.tv_sec - st->st_mtim.tv_sec > 1 ||
		    (now.tv_sec - st->st_mtim.tv_sec) * 1000000000 +
		    now.tv_nsec - st->st_mtim.tv_nsec > tick.tv_nsec)
			break;
		nanosleep(&tick, NULL);
	}
	return 0;
}

/* One reading of both: 1 nothing changed meanwhile, 0 something did. */
static int
scan_once(struct maildir *m, struct lists *l, struct err *e)
{
	struct stat before, after;

	/* new/ first: a message that moves to cur/ meanwhile is seen once or
	 * twice, never not at all. */
	if (scan_dir(m, l, IN_NEW, e) == -1)
		return -1;
	if (m->box.dirs[IN_CUR] == -1)
		return 1;
	if (stat_cur(m, &before) == -1)
		return err_sys(e, quiet_scope(errno, ERR_MAILBOX), "cur/");
	if (scan_dir(m, l, IN_CUR, e) == -1)
		return -1;
	if (fstat(m->box.dirs[IN_CUR], &after) == -1)
		return err_sys(e, quiet_scope(errno, ERR_MAILBOX), "cur/");
	return same_time(&before, &after);
}

/* Everything of one spill into another. */
static int
pour(struct spill *from, struct spill *to, struct err *e)
{
	const void *rec;
	uint64_t key;
	size_t len;
	int rc;

	if (spill_sort(from, e) == -1)
		return -1;
	while ((rc = spill_next(from, &key, &rec, &len, e)) == 1)
		if (spill_put(to, key, rec, len, e) == -1)
			return -1;
	return rc;
}

/*
 * A rename inside a directory that is being read may hide the file's old and
 * new name.  So a reading counts for itself only if cur/ did not change
 * meanwhile; after SCANS_MAX that did not, all of them together count.
 */
int
maildir_scan(struct maildir *m, struct lists *l, struct err *e)
{
	struct spill *old[SCANS_MAX] = { NULL };
	uint64_t counted = 0;
	int i, rc = 0;

	for (l->scan = 1; l->scan <= SCANS_MAX && rc == 0; l->scan++) {
		m->box.quiet = l->scan > 1;	/* oddities are told already */
		if (l->scan > 1) {
			old[l->scan - 2] = l->files;
			counted += l->counted;
		}
		l->files = spill_new();
		l->counted = 0;
		rc = scan_once(m, l, e);
	}
	for (i = 0; i < SCANS_MAX; i++) {
		if (rc == 0 && old[i] != NULL)
			rc = pour(old[i], l->files, e);
		spill_free(&old[i]);
	}
	if (rc == 0)
		l->counted += counted;
	m->box.quiet = false;
	return rc == -1 ? -1 : 0;
}
