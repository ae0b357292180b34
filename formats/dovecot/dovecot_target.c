/*
 * Dovecot's Maildir as a target: the table, options, the account, mailboxes.
 *
 * Options:
 *	layout=maildir++|fs	how mailboxes lie below PATH
 *	separator=.|/		in their names, as Dovecot is told
 *	listescape=yes|no	Dovecot has that plugin (or 2.4's setting)
 *	owner=USER[:GROUP]	whose the mail is; default: the owner of PATH,
 *				or of the directory it is made in
 *	modes=FILE,DIRECTORY	octal; default 0600,0700
 *	link=hard|reflink|copy	for sources on the same file system
 *	verify=yes|no		no: what is linked is not read
 *	via=uidlist|new		new: without Dovecot's locks, and so without UIDs
 */
#include "dovecot/dovecot_target.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/safepath.h"
#include "base/xmalloc.h"
#include "dovecot/dovecot_link.h"
#include "maildir/maildir_dir.h"

#define FILES_ROOM	20000

/* Files. */

int
dovecot_sys(struct err *e, const char *fmt, ...)
{
	int sys = errno;
	char text[300];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	errno = sys;
	switch (sys) {
	case EDQUOT:
		err_sys(e, ERR_ACCOUNT, "%s", text);
		e->retry = true;
		e->cause = CAUSE_QUOTA;
		break;
	case ENOSPC:
	case EIO:
	case ESTALE:
	case EMFILE:
	case ENFILE:
	case ENOMEM:
		err_sys(e, ERR_HOST, "%s", text);
		e->retry = true;
		if (sys == ENOSPC || sys == EIO)
			e->cause = CAUSE_DISK;
		break;
	case EROFS:
		err_sys(e, ERR_HOST, "%s", text);
		break;
	case EACCES:
	case EPERM:
		err_sys(e, ERR_ACCOUNT, "%s", text);
		break;
	default:
		err_sys(e, ERR_MAILBOX, "%s", text);
		break;
	}
	return -1;
}

int
dovecot_write(int fd, const void *p, size_t n, struct err *e)
{
	const char *q = p;
	ssize_t k;

	for (; n > 0; q += k, n -= (size_t)k) {
		k = write(fd, q, n);
		if (k == -1 && errno == EINTR)
			k = 0;
		if (k == -1)
			return dovecot_sys(e, "write");
	}
	return 0;
}

int
dovecot_dir_open(int dirfd, const char *name)
{
	return openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW |
	    O_CLOEXEC);
}

int
dovecot_set_mode(int fd, mode_t mode)
{
	struct stat st;

	if ((mode & 077) == 0)
		return 0;
	if (fstat(fd, &st) == -1)
		return -1;
	return (st.st_mode & 0777) == mode ? 0 : fchmod(fd, mode);
}

int
dovecot_dir_make(struct dovecot *dv, int dirfd, const char *name)
{
	int fd, saved;

	if (mkdirat(dirfd, name, dv->dir_mode) == -1 && errno != EEXIST)
		return -1;
	if ((fd = dovecot_dir_open(dirfd, name)) == -1)
		return -1;
	if (dovecot_set_mode(fd, dv->dir_mode) == -1) {
		saved = errno;
		close(fd);
		errno = saved;
		return -1;
	}
	return fd;
}

int
dovecot_file_new(struct dovecot *dv, int dirfd, const char *name)
{
	int fd, saved;

	fd = openat(dirfd, name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW |
	    O_CLOEXEC, dv->file_mode);
	if (fd != -1 && dovecot_set_mode(fd, dv->file_mode) == -1) {
		saved = errno;
		close(fd);
		errno = saved;
		return -1;
	}
	return fd;
}

void
dovecot_own_name(const struct dovecot *dv, const char *what,
    char name[OWN_NAME])
{
	snprintf(name, OWN_NAME, OURS "%016" PRIx64 ".%s", dv->token, what);
}

int
dovecot_replace(struct dovecot *dv, int tmpfd, int dirfd, const char *name,
    const char *text, size_t len, struct err *e)
{
	char tmp[OWN_NAME];
	int fd, rc;

	dovecot_own_name(dv, "new", tmp);
	unlinkat(tmpfd, tmp, 0);
	if ((fd = dovecot_file_new(dv, tmpfd, tmp)) == -1)
		return dovecot_sys(e, "%s", name);
	rc = dovecot_write(fd, text, len, e);
	if (rc == 0 && fdatasync(fd) == -1)
		rc = dovecot_sys(e, "sync %s", name);
	close(fd);
	if (rc == 0 && (renameat(tmpfd, tmp, dirfd, name) == -1 ||
	    fsync(dirfd) == -1))
		rc = dovecot_sys(e, "%s", name);
	if (rc == -1)
		unlinkat(tmpfd, tmp, 0);
	return rc;
}

/* Options. */

static int
choice(struct uri *uri, const char *key, const char *const *words,
    struct err *e)
{
	const char *val = uri_opt(uri, key);

	if (val == NULL)
		return 0;
	for (int i = 0; words[i] != NULL; i++)
		if (strcmp(words[i], val) == 0)
			return i;
	return err_set(e, ERR_RUN, "%s=%s: no such choice for dovecot:", key,
	    val);
}

static int
read_modes(struct dovecot *dv, struct uri *u, struct err *e)
{
	const char *val = uri_opt(u, "modes");
	char *end, *last = NULL;
	unsigned long file, dir;

	dv->file_mode = 0600;
	dv->dir_mode = 0700;
	if (val == NULL)
		return 0;
	file = strtoul(val, &end, 8);
	dir = *end == ',' ? strtoul(end + 1, &last, 8) : 0;
	if (last == NULL || *last != '\0' || file > 0777 || dir > 0777 ||
	    (file & 0600) != 0600 || (dir & 0700) != 0700)
		return err_set(e, ERR_RUN, "modes=%s: must be two octal "
		    "numbers, files and directories, as in 0600,0700", val);
	dv->file_mode = (mode_t)file;
	dv->dir_mode = (mode_t)dir;
	return 0;
}

static int
read_uri(struct dovecot *dv, struct uri *u, struct err *e)
{
	static const char *const layouts[] = { "maildir++", "fs", NULL };
	static const char *const yesno[] = { "no", "yes", NULL };
	static const char *const noyes[] = { "yes", "no", NULL };
	static const char *const links[] = {
		"copy", "hard", "reflink", NULL
	};
	static const char *const vias[] = { "uidlist", "new", NULL };
	int layout, escape, link, verify, via;

	if (u->host != NULL || u->path == NULL || u->path[0] == '\0')
		return err_set(e, ERR_RUN, "dovecot: needs a path, as in "
		    "dovecot:/home/user/Maildir");
	if ((layout = choice(u, "layout", layouts, e)) == -1 ||
	    (escape = choice(u, "listescape", yesno, e)) == -1 ||
	    (link = choice(u, "link", links, e)) == -1 ||
	    (verify = choice(u, "verify", noyes, e)) == -1 ||
	    (via = choice(u, "via", vias, e)) == -1 ||
	    read_modes(dv, u, e) == -1)
		return -1;
	dv->names.fs = layout == 1;
	dv->names.escape = escape == 1;
	dv->link = (enum link_mode)link;
	dv->unverified = verify == 1;
	dv->deliver = via == 1;
	if (dv->deliver && dv->link != LINK_COPY)
		return err_set(e, ERR_RUN, "via=new goes with link=copy only");
	if (dv->unverified && dv->link != LINK_HARD)
		return err_set(e, ERR_RUN, "verify=no goes with link=hard: "
		    "what is copied is read anyway");
	dv->names.sep = maildir_separator(u, dv->names.fs, e);
	if (dv->names.sep == '\0')
		return -1;
	dv->owner = uri_opt(u, "owner");
	return 0;
}

static int
check(struct uri *u, struct err *e)
{
	struct dovecot dv;

	memset(&dv, 0, sizeof dv);
	return read_uri(&dv, u, e);
}

/* A batch of links holds as many files of the source open.  True: so may many
 * lanes, with several batches each. */
static bool
allow_files(void)
{
	struct rlimit rl;

	if (getrlimit(RLIMIT_NOFILE, &rl) == -1)
		return false;
	if (rl.rlim_cur < rl.rlim_max) {
		rl.rlim_cur = rl.rlim_max;
		if (setrlimit(RLIMIT_NOFILE, &rl) == -1)
			return false;
	}
	return rl.rlim_cur >= FILES_ROOM;
}

static int
open_target(struct target **tp, const struct store_conf *conf, struct err *e)
{
	struct dovecot *dv = xcalloc(1, sizeof *dv);

	dv->rootfd = -1;
	box_init(&dv->box);
	if (getrandom(&dv->token, sizeof dv->token, 0) != sizeof dv->token)
		abort();
	if (read_uri(dv, conf->uri, e) == -1) {
		free(dv);
		return -1;
	}
	dv->path = xstrdup(conf->uri->path);
	dv->own = conf->uri->own;
	if (dv->link != LINK_COPY)
		dv->roomy = allow_files();
	*tp = &dv->t;
	return 0;
}

static void
close_target(struct target *t)
{
	struct dovecot *dv = (struct dovecot *)t;

	dovecot_writers_stop(dv);
	box_close(&dv->box);
	if (dv->rootfd != -1)
		close(dv->rootfd);
	free(dv->path);
	free(dv);
}

static void
caps(struct target *t, struct target_caps *c)
{
	struct dovecot *dv = (struct dovecot *)t;

	c->bits = TGT_PROMPT | TGT_NO_SESSION | TGT_TAKES_EMPTY |
	    (dv->deliver ? TGT_BY_GUID : TGT_CHOOSES_UIDS | TGT_TELLS_UIDS |
	    TGT_EXPUNGES | TGT_FLAGS | TGT_UIDLS) |
	    (dv->link != LINK_COPY ? TGT_LINKS : 0) |
	    (dv->unverified ? TGT_ADOPTS : 0) |
	    (dv->roomy ? TGT_KEEPS_FILES : 0);
	c->batch_messages = 200;
	c->batch_bytes = (uint64_t)1 << 20;
	c->window = 3;
	c->max_message = UNKNOWN64;
}

/* The account. */

int
dovecot_owner(struct dovecot *dv, const struct stat *st, bool exists,
    struct err *e)
{
	struct fsids ids = { false, st->st_uid, st->st_gid };

	if (dv->owner != NULL && fsids_parse(&ids, dv->owner, e) == -1)
		return -1;
	if (dv->owner == NULL && ids.uid == 0 && geteuid() == 0)
		return err_set(e, ERR_ACCOUNT, "%s belongs to root, so its "
		    "mail would: say whose it is with owner=USER",
		    dv->path);
	if (dv->owner != NULL && exists && st->st_uid != ids.uid)
		return err_set(e, ERR_ACCOUNT, "%s belongs to the user %lu, "
		    "not to owner=%s", dv->path, (unsigned long)st->st_uid,
		    dv->owner);
	if (fsids_prepare(&dv->ids, ids.uid, ids.gid, e) == -1)
		return err_ctx(e, "%s", dv->path);
	return 0;
}

/* May mail be put into this directory? */
static bool
is_ours(const char *name)
{
	static const char *const known[] = {
		"cur", "new", "tmp", "subscriptions", "maildirsize",
		"maildirfolder", NULL
	};

	for (size_t i = 0; known[i] != NULL; i++)
		if (strcmp(name, known[i]) == 0)
			return true;
	return name[0] == '.' || strncmp(name, "dovecot", 7) == 0;
}

/* A directory that holds something, and it is no mail. */
static int
check_contents(struct dovecot *dv, struct err *e)
{
	struct dirent *d;
	struct stat st;
	DIR *dir;
	int fd, rc = 0;

	if (fstatat(dv->rootfd, "cur", &st, AT_SYMLINK_NOFOLLOW) == 0)
		return 0;
	fd = openat(dv->rootfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd == -1 || (dir = fdopendir(fd)) == NULL) {
		if (fd != -1)
			close(fd);
		return dovecot_sys(e, "%s", dv->path);
	}
	while (rc == 0 && (d = readdir(dir)) != NULL)
		if (!is_ours(d->d_name))
			rc = err_set(e, ERR_ACCOUNT, "%s is no Maildir and "
			    "not empty (it holds \"%.60s\"): is it the right "
			    "place?", dv->path, d->d_name);
	closedir(dir);
	return rc;
}

static int
use_root(struct dovecot *dv, int fd, const struct stat *st, struct err *e)
{
	int rc = dovecot_owner(dv, st, true, e);

	dv->rootfd = fd;
	if (rc == 0) {
		fsids_enter(&dv->ids);
		rc = check_contents(dv, e);
		fsids_leave(&dv->ids);
	}
	if (rc == -1) {
		close(dv->rootfd);
		dv->rootfd = -1;
	}
	return rc;
}

/* What a mailbox consists of; cur last, it says that the others are there. */
static int
make_parts(struct dovecot *dv, int boxfd, bool marker, struct err *e)
{
	static const char *const parts[] = { "tmp", "new", "cur" };
	int fd;

	for (size_t i = 0; i < 3; i++) {
		if (i == 2 && marker) {
			fd = openat(boxfd, "maildirfolder", O_WRONLY |
			    O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC,
			    dv->file_mode);
			if (fd == -1)
				return dovecot_sys(e, "maildirfolder");
			close(fd);
		}
		if ((fd = dovecot_dir_make(dv, boxfd, parts[i])) == -1)
			return dovecot_sys(e, "%s/", parts[i]);
		close(fd);
	}
	return fsync(boxfd) == -1 ? dovecot_sys(e, "sync directory") : 0;
}

int
dovecot_root(struct dovecot *dv, struct err *e)
{
	struct safepath at;

	if (dv->rootfd != -1)
		return 1;
	if (dovecot_open_made(&at, dv->path) == -1)
		return errno == ENOENT ? 0 :
		    safepath_error(e, ERR_ACCOUNT, dv->path);
	close(at.dirfd);
	if (!S_ISDIR(at.st.st_mode)) {
		close(at.fd);
		return err_set(e, ERR_ACCOUNT, "%s is no directory",
		    dv->path);
	}
	return use_root(dv, at.fd, &at.st, e) == -1 ? -1 : 1;
}

/* The account's directory is there, with an INBOX. */
static int
need_root(struct dovecot *dv, bool deep, struct err *e)
{
	int rc = dovecot_root(dv, e);

	if (rc == -1 || (rc == 0 &&
	    (dv->rootfd = dovecot_make_root(dv, deep, e)) == -1))
		return -1;
	fsids_enter(&dv->ids);
	rc = make_parts(dv, dv->rootfd, false, e);
	fsids_leave(&dv->ids);
	return rc;
}

static int
account_ensure(struct target *t, bool create, struct err *e)
{
	struct dovecot *dv = (struct dovecot *)t;
	char last[NAME_MAX + 1];
	struct safepath at;
	char *dir;
	int rc;

	if ((rc = dovecot_root(dv, e)) != 0)
		return rc;
	/* It is made when the first mailbox is, if it can be. */
	dir = dovecot_split(dv->path, last);
	rc = safepath_open(&at, AT_FDCWD, dir, false);
	free(dir);
	if (rc == 0) {
		rc = dovecot_owner(dv, &at.st, false, e);
		safepath_close(&at);
		return rc == -1 ? -1 : 1;
	}
	if (errno != ENOENT)
		return safepath_error(e, ERR_ACCOUNT, dv->path);
	if (create)
		return need_root(dv, true, e);
	err_set(e, ERR_ACCOUNT, "%s: neither it nor the directory it lies in "
	    "exists (create-users=yes makes them)", dv->path);
	e->cause = CAUSE_MISSING;
	return -1;
}

/* Mailboxes. */

static int
name(struct target *t, struct arena *a, const char *const *path,
    size_t npath, const char **out, bool *encoded, struct err *e)
{
	struct dovecot *dv = (struct dovecot *)t;
	struct buf b;
	int rc;

	buf_init(&b, 16384);
	rc = dovecot_name_make(&dv->names, &b, path, npath, encoded, e);
	if (rc == 0)
		*out = arena_memdup0(a, b.ptr, b.len);
	buf_release(&b);
	return rc;
}

static int
folder_open(struct target *t, const char *box, struct folder_state *st,
    struct err *e)
{
	struct dovecot *dv = (struct dovecot *)t;
	int rc = dovecot_root(dv, e);

	if (rc != 1)
		return rc;
	fsids_enter(&dv->ids);
	rc = box_open(dv, box, e);
	fsids_leave(&dv->ids);
	if (rc == 1)
		box_state(&dv->box, st);
	return rc;
}

static void
folder_close(struct target *t)
{
	struct dovecot *dv = (struct dovecot *)t;

	if (dv->cloned + dv->copied > 0)
		target_warn(t, dv->box.name, "link", "not hard links: %" PRIu64
		    " messages share their blocks with the source, %" PRIu64
		    " were copied", dv->cloned, dv->copied);
	if (dv->unread > 0)
		target_warn(t, dv->box.name, "verify", "verify=no: %" PRIu64
		    " messages were linked without having been read: no "
		    "digest of them is known", dv->unread);
	dv->cloned = dv->copied = dv->unread = 0;
	box_close(&dv->box);
}

static int
folder_create(struct target *t, const char *box, unsigned use, struct err *e)
{
	struct dovecot *dv = (struct dovecot *)t;
	struct buf dir;
	int fd, rc;

	(void)use;
	if (need_root(dv, false, e) == -1)
		return -1;
	buf_init(&dir, 8192);
	maildir_dir(&dir, dv->names.fs, dv->names.sep, box);
	fsids_enter(&dv->ids);
	err_clear(e);
	fd = box_walk(dv, dir.ptr, true, e);
	rc = fd == -1 ? -1 : make_parts(dv, fd, !dv->names.fs &&
	    strcmp(dir.ptr, ".") != 0, e);
	if (rc == 0 && fsync(dv->rootfd) == -1)
		rc = dovecot_sys(e, "sync %s", dv->path);
	if (fd != -1)
		close(fd);
	fsids_leave(&dv->ids);
	buf_release(&dir);
	return rc;
}

static int
set_uids(struct target *t, const struct folder_uids *u,
    struct folder_state *st, struct err *e)
{
	struct dovecot *dv = (struct dovecot *)t;
	struct box *b = &dv->box;
	struct dotlock lk;
	struct err dropped;
	int rc = -1;

	fsids_enter(&dv->ids);
	if (dotlock_take(dv, &lk, b->fd, UIDLIST ".lock", e) == 0) {
		rc = list_read(dv, b, e);
		if (rc == 0 && u->restart && u->uidvalidity != 0 &&
		    u->uidvalidity != b->list.head.uidvalidity &&
		    box_is_empty(b))
			list_restart(&b->list);
		if (rc == 0)
			rc = list_rewrite(dv, b, u->uidvalidity, u->uidnext,
			    u->guid, e);
		if (rc == -1)
			list_release(&b->list);
		if (dotlock_drop(&lk, &dropped) == -1 && rc == 0) {
			*e = dropped;
			rc = -1;
		}
	}
	fsids_leave(&dv->ids);
	if (rc == 0)
		b->uidvalidity = b->list.head.uidvalidity;
	box_state(b, st);
	return rc;
}

/* Dovecot has special uses in its configuration only; these names have them
 * in the one that it is shipped with. */
static int
mark_use(struct target *t, const char *box, unsigned use, struct err *e)
{
	static const struct {
		unsigned use;
		const char *flag, *known;
	} uses[] = {
		{ USE_ALL, "\\All", "" }, { USE_ARCHIVE, "\\Archive", "" },
		{ USE_DRAFTS, "\\Drafts", "Drafts" },
		{ USE_FLAGGED, "\\Flagged", "" },
		{ USE_JUNK, "\\Junk", "Junk" }, { USE_SENT, "\\Sent", "Sent" },
		{ USE_TRASH, "\\Trash", "Trash" },
	};

	(void)e;
	for (size_t i = 0; i < sizeof uses / sizeof uses[0]; i++)
		if ((use & uses[i].use) && strcmp(box, uses[i].known) != 0)
			target_warn(t, NULL, box, "to make %s the mailbox for "
			    "%s, the namespace in dovecot.conf needs: mailbox "
			    "\"%s\" { special_use = %s }", box, uses[i].flag,
			    box, uses[i].flag);
	return 0;
}

static int
target_is_broken(struct target *t, struct err *e)
{
	struct dovecot *dv = (struct dovecot *)t;

	if (!dv->broken)
		return 0;
	*e = dv->why;
	return 1;
}

static const char *const schemes[] = { "dovecot", NULL };
static const char *const options[] = {
	"layout", "listescape", "separator", "owner", "modes", "link",
	"verify", "via", NULL
};

const struct target_ops dovecot_target = {
	.schemes = schemes, .options = options, .check = check,
	.open = open_target, .close = close_target, .caps = caps,
	.account_ensure = account_ensure, .name = name,
	.folder_open = folder_open, .folder_close = folder_close,
	.folder_create = folder_create, .set_uids = set_uids,
	.folder_rename = dovecot_folder_rename,
	.folder_delete = dovecot_folder_delete,
	.subscribe = dovecot_subscribe, .mark_use = mark_use,
	.adopts = dovecot_adopts, .submit = dovecot_submit, .reap = dovecot_reap,
	.broken = target_is_broken, .change_flags = dovecot_change_flags,
	.set_uidls = dovecot_set_uidls,
	.expunge = dovecot_expunge,
};
