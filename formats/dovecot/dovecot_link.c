/*
 * Links to the source's files, for sources on the same file system.
 *
 * A hard link shares owner, mode and times with the source's file, so it is
 * made only where these are the ones wanted; else the blocks are shared, and
 * where the file system cannot do that, the bytes are copied.  Which inode is
 * linked is said by the descriptor that the digest was read from, so that no
 * rename at the source can put another file in its place.
 */
#include "dovecot/dovecot_link.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/fault.h"
#include "maildir/maildir_file.h"

/* ext4 has room for 65,000. */
#define LINKS_MAX	60000

static bool
as_wanted(const struct dovecot *dv, int64_t date, const struct stat *st)
{
	return st->st_uid == dv->ids.uid && st->st_gid == dv->ids.gid &&
	    (st->st_mode & 07777) == dv->file_mode &&
	    st->st_nlink < LINKS_MAX && date != NO_DATE &&
	    st->st_mtim.tv_sec == date;
}

static int
hard_link(int fd, int dirfd, const char *name)
{
	char path[40];

	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	return linkat(AT_FDCWD, path, dirfd, name, AT_SYMLINK_FOLLOW);
}

int
dovecot_link_direct(struct dovecot *dv, const struct store_item *it,
    const char *name)
{
	if (hard_link(it->content->fd, dv->box.cur, name) == 0)
		return 0;
	/* The next one is tried where it can be copied instead. */
	dv->direct = false;
	return -1;
}

int
dovecot_adopts(struct target *t, const struct msg_meta *m,
    const struct content *c, struct digests *d)
{
	struct dovecot *dv = (struct dovecot *)t;
	struct stat st, tmp;

	if (!dv->unverified || c->fd == -1 || fstat(c->fd, &st) == -1 ||
	    (uint64_t)st.st_size != c->size || m->date < 0 ||
	    m->date > DATE_MAX || !as_wanted(dv, m->date, &st) ||
	    fstat(dv->box.tmp, &tmp) == -1 || tmp.st_dev != st.st_dev)
		return 0;
	memset(d, 0, sizeof *d);
	d->has_sha1 = true;
	maildir_file_id(st.st_ino, d->sha1);
	memcpy(d->munged, d->sha1, SHA1_LEN);
	/* No content's. */
	EVP_Digest(d->sha1, SHA1_LEN, d->strict, NULL, EVP_sha256(), NULL);
	memcpy(d->loose, d->strict, DIGEST_LEN);
	return 1;
}

/* A new file with the blocks of fd. */
static int
clone_file(struct dovecot *dv, int fd, const struct piece *p)
{
	struct timespec times[2] = { { .tv_nsec = UTIME_OMIT }, { 0 } };
	int to, rc, saved;

	if ((to = dovecot_file_new(dv, dv->box.tmp, p->tmp)) == -1)
		return -1;
	times[1].tv_sec = p->date;
	rc = ioctl(to, FICLONE, fd);
	if (rc == 0 && p->date != NO_DATE)
		rc = futimens(to, times);
	saved = errno;
	close(to);
	if (rc == -1)
		unlinkat(dv->box.tmp, p->tmp, 0);
	errno = saved;
	return rc;
}

/* The file system says no to the whole idea. */
static int
refused(struct piece *p, const char *what, const char *why)
{
	p->failed = true;
	return err_set(&p->err, ERR_ACCOUNT, "link=%s: %s; leave it out to "
	    "copy", what, why);
}

int
dovecot_link(struct dovecot *dv, const struct store_item *it,
    struct piece *p)
{
	struct stat st;
	int fd;

	if (it->content == NULL || (fd = it->content->fd) == -1 ||
	    fstat(fd, &st) == -1 || (uint64_t)st.st_size !=
	    it->content->size) {
		dv->copied++;
		return 0;
	}
	p->size = (uint64_t)st.st_size;
	p->vsize = it->adopted ? 0 : it->size;
	if (dv->link == LINK_HARD && as_wanted(dv, p->date, &st)) {
		p->direct = dv->direct;
		if (p->direct || hard_link(fd, dv->box.tmp, p->tmp) == 0) {
			dv->direct = dv->roomy;
			dv->unread += it->adopted;
			return 1;
		}
		if (errno == EXDEV)
			return refused(p, "hard", "the source lies on another "
			    "file system");
		/* EPERM, EMLINK...: the others will do. */
	}
	if (it->adopted) {
		p->failed = true;
		return err_set(&p->err, ERR_MESSAGE, "no hard link can be made "
		    "of it, and with verify=no it was not read");
	}
	if (!dv->no_clones) {
		if (clone_file(dv, fd, p) == 0) {
			dv->cloned++;
			return 1;
		}
		if (dv->link == LINK_REFLINK && errno == EXDEV)
			return refused(p, "reflink", "the source lies on "
			    "another file system");
		if (dv->link == LINK_REFLINK && (errno == EOPNOTSUPP ||
		    errno == ENOTTY || errno == EINVAL))
			return refused(p, "reflink", "this file system cannot "
			    "share blocks");
		dv->no_clones = true;
	}
	dv->copied++;
	return 0;
}
