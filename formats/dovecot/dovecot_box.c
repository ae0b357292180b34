/*
 * Opening a mailbox: its directories, its UID list, and the names in cur/ and
 * new/.  What lies there without a line in the list gets one, as Dovecot would
 * give it at its next look, so that everything can be told apart by UID.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/xmalloc.h"
#include "dovecot/dovecot_impl.h"
#include "maildir/maildir_dir.h"
#include "maildir/maildir_name.h"

#define STAY_TRIES	500	/* of 20 ms */

void
box_init(struct box *b)
{
	memset(b, 0, sizeof *b);
	b->fd = b->cur = b->new = b->tmp = -1;
	list_init(&b->list);
}

static void
close_fd(int *fd)
{
	if (*fd != -1)
		close(*fd);
	*fd = -1;
}

void
box_close(struct box *b)
{
	close_fd(&b->fd);
	close_fd(&b->cur);
	close_fd(&b->new);
	close_fd(&b->tmp);
	for (size_t i = 0; i < DOVECOT_KEYWORDS; i++)
		free(b->letters[i]);
	list_release(&b->list);
	hashes_release(&b->files);
	free(b->name);
	box_init(b);
}

int
box_walk(struct dovecot *dv, const char *dir, bool make, struct err *e)
{
	char level[NAME_MAX + 1];
	int fd, next;
	size_t n;

	if ((fd = fcntl(dv->rootfd, F_DUPFD_CLOEXEC, 0)) == -1)
		return dovecot_sys(e, "%s", dv->path);
	if (strcmp(dir, ".") == 0)
		return fd;
	for (; *dir != '\0'; dir += n + (dir[n] != '\0')) {
		n = strcspn(dir, "/");
		if (n == 0 || n >= sizeof level) {
			close(fd);
			return err_set(e, ERR_MAILBOX, "%s: too long for a "
			    "directory", dir);
		}
		memcpy(level, dir, n);
		level[n] = '\0';
		next = dovecot_dir_open(fd, level);
		if (next == -1 && errno == ENOENT && make)
			next = dovecot_dir_make(dv, fd, level);
		if (next == -1) {
			e->sys = errno;
			close(fd);
			if (e->sys == ENOENT)
				return -1;
			errno = e->sys;
			if (errno == ELOOP || errno == ENOTDIR)
				return err_set(e, ERR_MAILBOX, "%s is no "
				    "directory of the Maildir (a symbolic "
				    "link is not followed)", level);
			return dovecot_sys(e, "%s", level);
		}
		close(fd);
		fd = next;
	}
	return fd;
}

/* A name without a line. */
struct loose {
	uint64_t	 secs;
	uint32_t	 usecs;
	char		*base;
};

struct loose_list {
	struct loose	*v;
	size_t		 n, cap;
};

static void
add_loose(struct loose_list *l, const struct maildir_name *mn,
    const char *base)
{
	if (l->n == l->cap) {
		l->cap = l->cap ? 2 * l->cap : 64;
		l->v = xreallocarray(l->v, l->cap, sizeof *l->v);
	}
	l->v[l->n++] = (struct loose){ mn->secs, mn->usecs,
	    xmemdup0(base, mn->base) };
}

static void
free_loose(struct loose_list *l)
{
	for (size_t i = 0; i < l->n; i++)
		free(l->v[i].base);
	free(l->v);
	memset(l, 0, sizeof *l);
}

/* The order in which Dovecot numbers. */
static int
cmp_loose(const void *va, const void *vb)
{
	const struct loose *a = va, *b = vb;

	if (a->secs != b->secs)
		return a->secs < b->secs ? -1 : 1;
	if (a->usecs != b->usecs)
		return a->usecs < b->usecs ? -1 : 1;
	return strcmp(a->base, b->base);
}

/* Every base name of one directory into b->files; with loose also those that
 * have no line. */
static int
scan(struct box *b, int dirfd, const char *which, struct loose_list *loose,
    struct err *e)
{
	struct maildir_flags flags;
	struct maildir_name mn;
	struct dirent *d;
	uint64_t h;
	DIR *dir;
	int fd;

	fd = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd == -1 || (dir = fdopendir(fd)) == NULL) {
		dovecot_sys(e, "%s/", which);
		if (fd != -1)
			close(fd);
		return -1;
	}
	for (;;) {
		errno = 0;
		if ((d = readdir(dir)) == NULL)
			break;
		if (d->d_name[0] == '.' || (d->d_type != DT_REG &&
		    d->d_type != DT_LNK && d->d_type != DT_UNKNOWN))
			continue;
		maildir_name_parse(&mn, d->d_name, strlen(d->d_name));
		if (mn.raw != NULL) {
			maildir_flags_parse(&flags, mn.raw, mn.nflags);
			b->letters_used |= flags.keywords;
		}
		h = hash_name(d->d_name, mn.base);
		if (hashes_has(&b->files, h))
			continue;
		hashes_add(&b->files, h);
		b->messages++;
		/* A line must not be broken by a name. */
		if (!hashes_has(&b->list.bases, h) &&
		    strpbrk(d->d_name, "\r\n") == NULL)
			add_loose(loose, &mn, d->d_name);
	}
	if (errno != 0) {
		dovecot_sys(e, "read %s/", which);
		closedir(dir);
		return -1;
	}
	closedir(dir);
	return 0;
}

/* new/ first: a file that is moved meanwhile is met in cur/. */
static int
scan_all(struct dovecot *dv, struct loose_list *loose, struct err *e)
{
	struct box *b = &dv->box;

	hashes_release(&b->files);
	free_loose(loose);
	b->messages = 0;
	if (list_read(dv, b, e) == -1 || (b->new != -1 &&
	    scan(b, b->new, "new", loose, e) == -1))
		return -1;
	return scan(b, b->cur, "cur", loose, e);
}

bool
box_is_empty(const struct box *b)
{
	const int parts[] = { b->new, b->cur };
	struct dirent *d;
	bool empty = true;
	DIR *dir;
	int fd;

	for (size_t i = 0; i < 2 && empty; i++) {
		fd = openat(parts[i], ".", O_RDONLY | O_DIRECTORY |
		    O_CLOEXEC);
		if (fd == -1 || (dir = fdopendir(fd)) == NULL) {
			if (fd != -1)
				close(fd);
			return false;
		}
		while (empty && (d = readdir(dir)) != NULL)
			empty = d->d_name[0] == '.';
		closedir(dir);
	}
	return empty;
}

/* Is there anything of ours in tmp/? */
static bool
has_leftovers(struct box *b)
{
	struct dirent *d;
	bool found = false;
	DIR *dir;
	int fd;

	fd = openat(b->tmp, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd == -1 || (dir = fdopendir(fd)) == NULL) {
		if (fd != -1)
			close(fd);
		return false;
	}
	while (!found && (d = readdir(dir)) != NULL)
		found = strncmp(d->d_name, OURS, strlen(OURS)) == 0;
	closedir(dir);
	return found;
}

/* Lines for what has none, under the lock; first those that the journal of a
 * killed run holds. */
static int
number_all(struct dovecot *dv, struct loose_list *loose, struct err *e)
{
	struct box *b = &dv->box;
	uint32_t next = list_next(&b->list);
	struct buf lines;
	int rc;

	buf_init(&lines, SIZE_MAX / 4);
	rc = fault_mutated("journal") ? 0 :
	    journal_recover(dv, &lines, &next, e);
	if (loose->n > 0)
		qsort(loose->v, loose->n, sizeof *loose->v, cmp_loose);
	for (size_t i = 0; i < loose->n && rc == 0; i++) {
		const char *base = loose->v[i].base;
		uint64_t h = hash_name(base, strlen(base));

		if (hashes_has(&b->list.bases, h))
			continue;
		if (next > UID_LAST) {
			rc = err_set(e, ERR_MAILBOX, "no UID is left");
			break;
		}
		hashes_add(&b->list.bases, h);
		list_line(&lines, next++, NULL, 0, NULL, 0, base);
	}
	if (rc == 0 && lines.len > 0)
		rc = list_append(dv, b, &lines, next - 1, e);
	buf_release(&lines);
	fault_point("box.numbered");
	return rc == 0 ? journal_sweep(dv, e) : -1;
}

/* Everything in the open directories becomes known. */
static int
take_stock(struct dovecot *dv, struct err *e)
{
	struct box *b = &dv->box;
	struct loose_list loose = { NULL, 0, 0 };
	struct dotlock lk;
	struct err dropped;
	int rc;

	rc = scan_all(dv, &loose, e);
	b->loose = loose.n > 0;
	if (dv->deliver) {
		if (rc == 0 && !dv->t.conf.look_only && has_leftovers(b))
			rc = journal_sweep(dv, e);
	} else if (rc == 0 && !dv->t.conf.look_only && (b->loose ||
	    has_leftovers(b) || dotlock_left(b->fd, UIDLIST ".lock"))) {
		if (dotlock_take(dv, &lk, b->fd, UIDLIST ".lock", e) == -1)
			rc = -1;
		else {
			rc = scan_all(dv, &loose, e);
			/* A million names may have taken too long. */
			if (rc == 0 && !dotlock_ours(&lk))
				rc = err_retry(e, ERR_MAILBOX, "%s was taken "
				    "away while it was held", lk.name);
			if (rc == 0)
				rc = number_all(dv, &loose, e);
			b->loose = rc == -1;
			if (dotlock_drop(&lk, &dropped) == -1 && rc == 0) {
				*e = dropped;
				rc = -1;
			}
		}
	}
	free_loose(&loose);
	return rc;
}

static int
open_part(struct dovecot *dv, const char *name, int *fd, struct err *e)
{
	*fd = dovecot_dir_open(dv->box.fd, name);
	if (*fd == -1 && errno == ENOENT && dv->t.conf.look_only)
		return 0;
	if (*fd == -1 && errno == ENOENT)
		*fd = dovecot_dir_make(dv, dv->box.fd, name);
	return *fd == -1 ? dovecot_sys(e, "%s/", name) : 0;
}

/* Says to other writers that what lies in tmp/ may be ours: they share this
 * lock, and who sweeps has it alone.  A file system without it, or an owner who
 * holds it for ever, costs a batch at most, which is sent again. */
static int
stay(struct dovecot *dv, struct err *e)
{
	struct pollfd p = { .fd = dv->t.conf.cancel_fd, .events = POLLIN };

	if (dv->t.conf.look_only)
		return 0;
	for (int tries = 0; tries < STAY_TRIES; tries++) {
		if (flock(dv->box.tmp, LOCK_SH | LOCK_NB) == 0 ||
		    errno != EWOULDBLOCK)
			break;
		if (poll(&p, p.fd >= 0 ? 1 : 0, 20) > 0) {
			err_retry(e, ERR_RUN, "stopped");
			e->cause = CAUSE_CANCELLED;
			return -1;
		}
	}
	return 0;
}

int
box_open(struct dovecot *dv, const char *name, struct err *e)
{
	struct box *b = &dv->box;
	struct buf dir;
	int rc = -1;

	box_close(b);
	if (dv->rootfd == -1)
		return 0;
	err_clear(e);
	buf_init(&dir, 8192);
	maildir_dir(&dir, dv->names.fs, dv->names.sep, name);
	b->fd = box_walk(dv, dir.ptr, false, e);
	buf_release(&dir);
	if (b->fd == -1)
		return e->sys == ENOENT && e->scope == ERR_NONE ? 0 : -1;
	b->cur = dovecot_dir_open(b->fd, "cur");
	if (b->cur == -1 && errno == ENOENT)
		rc = 0;
	else if (b->cur == -1)
		dovecot_sys(e, "cur/");
	else if (open_part(dv, "new", &b->new, e) == 0 &&
	    open_part(dv, "tmp", &b->tmp, e) == 0 &&
	    stay(dv, e) == 0 && take_stock(dv, e) == 0 &&
	    keywords_read(b, e) == 0) {
		b->uidvalidity = b->list.head.uidvalidity;
		b->name = xstrdup(name);
		return 1;
	}
	box_close(b);
	return rc;
}

void
box_state(const struct box *b, struct folder_state *st)
{
	st->uidvalidity = b->list.head.uidvalidity;
	/* What has no UID yet will get one. */
	st->uidnext = b->loose ? 0 : list_next(&b->list);
	st->modseq = 0;
	st->messages = b->messages;
}
