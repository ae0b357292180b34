/*
 * The folders of a tree of mailbox files.
 *
 * A file is a folder, a directory a level above others; Thunderbird keeps the
 * folders below NAME in a directory NAME.sbd.  A compressed mailbox goes by
 * its name without .gz, .bz2, .xz or .zst where that name is free.
 *
 * Left out and only counted: hidden names (Dovecot's .imap among them),
 * Thunderbird's .msf, lock files.  Left out and named: fifos, devices,
 * Maildirs, files that are no mailboxes, links.  Folders that cannot be read:
 * directories that cannot, or lie too deep, and links to mailboxes outside of
 * the tree.  Directories without any folder below are no levels.
 *
 * INBOX is the file that the option inbox names, in the tree or by an absolute
 * path; else, at the top of the tree, INBOX, Inbox (Thunderbird), inbox or mbox
 * (UW), the first of these.
 */
#include "mbox/mbox_tree.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <search.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/xmalloc.h"
#include "mbox/mbox_file.h"
#include "mbox/mbox_name.h"
#include "mbox/mbox_subs.h"
#include "mbox/mbox_tree_impl.h"
#include "mbox/mbox_uw.h"

#define DEPTH_MAX	128
#define LISTED_MAX	100		/* skipped files named one by one */

static const char *
level_name(struct walk *w, const char *name, size_t len)
{
	struct buf b;
	const char *s;

	buf_init(&b, 65536);
	mbox_level(&b, name, len);
	s = arena_memdup0(w->a, b.ptr, b.len);
	buf_release(&b);
	return s;
}

/* The bytes themselves, when another name has the same decoded form. */
static const char *
raw_level(struct walk *w, const char *name)
{
	struct buf b;
	const char *s;

	buf_init(&b, 65536);
	mbox_level_raw(&b, name, strlen(name));
	s = arena_memdup0(w->a, b.ptr, b.len);
	buf_release(&b);
	return s;
}

static const char *
join(struct arena *a, const char *const *path, size_t n)
{
	struct buf b;
	const char *s;

	buf_init(&b, (size_t)1 << 20);
	for (size_t i = 0; i < n; i++) {
		if (i > 0)
			buf_addc(&b, '/');
		buf_adds(&b, path[i]);
	}
	s = arena_memdup0(a, b.ptr, b.len);
	buf_release(&b);
	return s;
}

static bool
ends_in(const char *name, const char *suffix)
{
	size_t n = strlen(name), k = strlen(suffix);

	return n > k && strcmp(name + n - k, suffix) == 0;
}

/* The list being made. */

static int
by_level(const void *a, const void *b)
{
	return strcmp(((const struct known *)a)->name,
	    ((const struct known *)b)->name);
}

/* The folder of that level in a directory; NOWHERE: none. */
static size_t
find_level(const struct level *up, const char *name)
{
	struct known key = { name, NOWHERE };
	struct known *const *k = tfind(&key, &up->known, by_level);

	return k == NULL ? NOWHERE : (*k)->index;
}

static struct known *
remember(struct walk *w, struct level *up, const char *name)
{
	struct known *k = arena_alloc(w->a, sizeof *k), **found;

	k->name = name;
	k->index = NOWHERE;
	if ((found = tsearch(k, &up->known, by_level)) == NULL)
		abort();		/* out of memory */
	return *found;
}

static void
no_free(void *p)
{
	(void)p;			/* the arena's */
}

size_t
tree_add(struct walk *w, struct level *up, const char *raw, const char *name,
    const struct stat *st)
{
	struct folder_info *f;
	const char **path;

	if (w->n == w->cap) {
		w->cap = w->cap == 0 ? 64 : w->cap * 2;
		w->folders = xreallocarray(w->folders, w->cap,
		    sizeof *w->folders);
		w->devs = xreallocarray(w->devs, w->cap, sizeof *w->devs);
		w->inos = xreallocarray(w->inos, w->cap, sizeof *w->inos);
	}
	w->devs[w->n] = st->st_dev;
	w->inos[w->n] = st->st_ino;
	f = &w->folders[w->n];
	memset(f, 0, sizeof *f);
	path = arena_alloc(w->a, (up->npath + 1) * sizeof *path);
	for (size_t i = 0; i < up->npath; i++)
		path[i] = up->path[i];
	path[up->npath] = name;
	f->path = path;
	f->npath = up->npath + 1;
	f->raw_name = arena_printf(w->a, "%s%s", up->raw, raw);
	f->name = join(w->a, path, f->npath);
	f->messages = UNKNOWN64;
	f->bytes = UNKNOWN64;
	f->object_id = arena_printf(w->a, "%jx.%jx", (uintmax_t)st->st_dev,
	    (uintmax_t)st->st_ino);
	remember(w, up, name)->index = w->n;
	return w->n++;
}

static void __attribute__((format(printf, 4, 5)))
skipped(struct walk *w, struct level *up, const char *name,
    const char *fmt, ...)
{
	char text[300], *where;
	va_list ap;

	if (w->wanted != NULL) {
		up->others++;		/* of a home, one line a directory */
		return;
	}
	if (w->listed++ >= LISTED_MAX)
		return;
	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	where = arena_printf(w->a, "%s%s", up->raw, name);
	source_warn(w->s, where, "%s: left out", text);
}

/* The level that a name of len bytes stands for.  Where the decoded form is
 * another file's name, or taken, it keeps its bytes. */
static const char *
free_level(struct walk *w, const struct level *up, const char *name,
    size_t len)
{
	const char *level = level_name(w, name, len);
	struct stat st;

	if ((memchr(name, '&', len) != NULL &&
	    strncmp(level, name, len) != 0 &&
	    fstatat(up->fd, level, &st, AT_SYMLINK_NOFOLLOW) == 0) ||
	    find_level(up, level) != NOWHERE)
		level = raw_level(w, name);
	return level;
}

void
tree_file(struct walk *w, struct level *up, const char *name)
{
	static const char *const packed[] = { ".gz", ".bz2", ".xz", ".zst" };
	struct folder_info *f;
	enum mbox_kind kind = KIND_OTHER;
	bool compressed = false;
	struct stat st;
	struct err e;
	const char *level, *refused = NULL;
	size_t len = strlen(name), k;
	int fd;

	memset(&st, 0, sizeof st);
	if ((fd = mbox_openat(up->fd, name, 0)) == -1) {
		if (errno == ENOENT)
			return;		/* gone since it was listed */
		err_sys(&e, ERR_MAILBOX, "cannot be opened");
		refused = arena_strdup(w->a, e.text);
	} else if (fstat(fd, &st) == -1) {
		err_sys(&e, ERR_MAILBOX, "stat");
		refused = arena_strdup(w->a, e.text);
	} else if (!S_ISREG(st.st_mode)) {
		close(fd);		/* changed since it was listed */
		skipped(w, up, name, "not a file");
		return;
	} else if (mbox_probe(fd, &kind, &compressed, &e) == -1)
		refused = arena_strdup(w->a, e.text);
	if (fd != -1)
		close(fd);
	/* Programs leave these beside mailboxes; a mailbox may bear such a
	 * name all the same. */
	if (kind != KIND_MBOX && kind != KIND_MBX) {
		if (ends_in(name, ".msf")) {
			w->msf++;
			return;
		}
		if (ends_in(name, ".lock")) {
			w->locks++;
			return;
		}
	}
	if (up->part != PART_ALL && !tree_wants(w, up, name, NULL) &&
	    (refused != NULL || compressed || kind == KIND_EMPTY)) {
		kind = KIND_OTHER;	/* not the mail of a home */
		refused = NULL;
	}
	if (refused == NULL && kind == KIND_OTHER) {
		skipped(w, up, name, compressed ? "what is compressed there "
		    "is not a mailbox" : "not a mailbox");
		return;
	}
	for (size_t i = 0; compressed && i < 4; i++) {
		struct stat other;
		char *stem;

		if (!ends_in(name, packed[i]))
			continue;
		stem = xmemdup0(name, len - strlen(packed[i]));
		if (fstatat(up->fd, stem, &other, AT_SYMLINK_NOFOLLOW) == -1)
			len = strlen(stem);
		free(stem);
		break;
	}
	level = free_level(w, up, name, len);
	k = tree_add(w, up, name, level, &st);
	f = &w->folders[k];
	f->refused = refused;
	if (!compressed && refused == NULL)
		f->bytes = (uint64_t)st.st_size;
}

/* A link is not followed.  What it leads to in the tree is found there; a
 * mailbox elsewhere is mail that must not be forgotten. */
static void
visit_link(struct walk *w, struct level *up, const char *name)
{
	const char *path = arena_printf(w->a, "%s%s", up->raw, name);
	bool below;
	enum mbox_kind kind = KIND_MBOX;
	struct safepath at;
	struct stat st;
	struct err e;
	bool compressed;
	size_t k;
	int fd;

	if (w->wanted != NULL) {
		if (tree_wants(w, up, name, &below) || below)
			source_warn(w->s, path, "a symbolic link: left out");
		else
			up->links++;
		return;
	}
	if (fstatat(up->fd, name, &st, 0) == -1 || !S_ISREG(st.st_mode))
		kind = KIND_OTHER;
	else if ((fd = safepath_below(w->rootfd, path, O_PATH)) != -1) {
		close(fd);
		kind = KIND_OTHER;
	} else if (safepath_open(&at, up->fd, name, false) == 0) {
		mbox_probe(at.fd, &kind, &compressed, &e);
		safepath_close(&at);
	}
	if (kind == KIND_OTHER) {
		skipped(w, up, name, "a symbolic link");
		return;
	}
	k = tree_add(w, up, name, free_level(w, up, name, strlen(name)), &st);
	w->folders[k].refused = "a symbolic link out of the tree: not "
	    "followed; name what it leads to, as a source or with inbox=";
}

/* Where Pine keeps folders. */
static bool
is_mail_dir(const char *name)
{
	return strcmp(name, "mail") == 0 || strcmp(name, "Mail") == 0;
}

/* One directory: a level, when anything is found below. */
static bool
visit_dir(struct walk *w, struct level *up, const char *name,
    const struct stat *st)
{
	struct level l;
	const char *level;
	size_t len = strlen(name), k;
	bool children = ends_in(name, ".sbd"), ok, own = false;

	if (up->depth == DEPTH_MAX) {
		k = tree_add(w, up, name, free_level(w, up, name, len), st);
		w->folders[k].refused = "a directory that lies too deep";
		return true;
	}
	k = NOWHERE;
	level = NULL;
	if (children) {
		/* Below a folder, or a level of its own; but not one with
		 * what a directory of the plain name holds. */
		level = level_name(w, name, len - 4);
		k = find_level(up, level);
		if (k != NOWHERE && w->folders[k].noselect)
			level = NULL;
	}
	if (level == NULL) {
		level = free_level(w, up, name, len);
		k = NOWHERE;
	}
	memset(&l, 0, sizeof l);
	l.depth = up->depth + 1;
	l.part = up->part == PART_HOME && is_mail_dir(name) ? PART_ALL :
	    up->part == PART_ALL ? PART_ALL : PART_WANTED;
	l.raw = arena_printf(w->a, "%s%s/", up->raw, name);
	l.fd = mbox_openat(up->fd, name, O_DIRECTORY);
	if (l.fd == -1) {
		struct err e;

		if (errno == ENOENT)
			return true;
		err_sys(&e, ERR_MAILBOX, "a directory that cannot be opened");
		k = tree_add(w, up, name, k == NOWHERE ? level :
		    free_level(w, up, name, len), st);
		w->folders[k].refused = arena_strdup(w->a, e.text);
		return true;
	}
	if (k == NOWHERE) {
		own = true;
		k = tree_add(w, up, name, level, st);
		w->folders[k].noselect = true;
	}
	l.path = w->folders[k].path;
	l.npath = w->folders[k].npath;
	ok = tree_visit(w, &l);
	tree_level_done(&l);
	close(l.fd);
	if (own && w->n == k + 1) {
		w->n = k;		/* nothing below it */
		remember(w, up, level)->index = NOWHERE;
	}
	return ok;
}

static int
by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The names in a directory, sorted; NULL and w->e when it cannot be read. */
static char **
names_of(struct walk *w, const struct level *l, size_t *n)
{
	char **names = xcalloc(1, sizeof *names);
	struct dirent *d;
	size_t cap = 1;
	DIR *dir;
	int fd;

	*n = 0;
	fd = mbox_openat(l->fd, ".", O_DIRECTORY);
	if (fd == -1 || (dir = fdopendir(fd)) == NULL) {
		err_sys(w->e, ERR_ACCOUNT, "directory %s", l->raw);
		if (fd != -1)
			close(fd);
		free(names);
		return NULL;
	}
	while ((errno = 0, d = readdir(dir)) != NULL) {
		if (*n == cap) {
			cap *= 2;
			names = xreallocarray(names, cap, sizeof *names);
		}
		names[(*n)++] = xstrdup(d->d_name);
	}
	if (errno != 0) {
		err_sys(w->e, errno == EIO || errno == ESTALE ? ERR_HOST :
		    ERR_ACCOUNT, "directory %s", l->raw);
		closedir(dir);
		for (size_t i = 0; i < *n; i++)
			free(names[i]);
		free(names);
		return NULL;
	}
	closedir(dir);
	qsort(names, *n, sizeof *names, by_name);
	return names;
}

static bool
is_dir(int dirfd, const char *name)
{
	struct stat st;

	return fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	    S_ISDIR(st.st_mode);
}

bool
tree_wants(const struct walk *w, const struct level *up, const char *name,
    bool *below)
{
	size_t n = strlen(up->raw), k = strlen(name);
	bool itself = up->part == PART_HOME && strcmp(name, UW_MBOX) == 0;

	if (below != NULL)
		*below = up->part == PART_HOME && is_mail_dir(name);
	for (size_t i = 0; w->wanted != NULL && w->wanted[i] != NULL; i++) {
		const char *p = w->wanted[i];

		if (strncmp(p, up->raw, n) != 0 ||
		    strncmp(p + n, name, k) != 0)
			continue;
		itself = itself || p[n + k] == '\0';
		if (below != NULL)
			*below = *below || p[n + k] == '/';
	}
	return itself;
}

/* Is that name looked at? */
static bool
looked_at(struct walk *w, struct level *l, const char *name,
    const struct stat *st)
{
	bool below, itself;

	if (l->part == PART_ALL)
		return true;
	itself = tree_wants(w, l, name, &below);
	if (S_ISDIR(st->st_mode))
		return below;
	return itself || l->part == PART_HOME;
}

static bool
is_maildir(const struct level *l)
{
	return is_dir(l->fd, "cur") && is_dir(l->fd, "new") &&
	    is_dir(l->fd, "tmp");
}

/* One name in a directory; as tree_visit(). */
static bool
visit_name(struct walk *w, struct level *l, const char *name)
{
	struct stat st;

	if (name[0] == '.') {
		if (strcmp(name, ".") != 0 && strcmp(name, "..") != 0)
			w->hidden++;
		if (tree_wants(w, l, name, NULL))
			source_warn(w->s, arena_printf(w->a, "%s%s", l->raw,
			    name), "a subscribed mailbox with a hidden name: "
			    "left out");
		return true;
	}
	if (fstatat(l->fd, name, &st, AT_SYMLINK_NOFOLLOW) == -1) {
		if (errno != ENOENT) {
			struct err e;

			err_sys(&e, ERR_MAILBOX, "stat");
			skipped(w, l, name, "%s", e.text);
		}
		return true;
	}
	if (!looked_at(w, l, name, &st))
		return true;
	if (S_ISREG(st.st_mode))
		tree_file(w, l, name);
	else if (S_ISDIR(st.st_mode))
		return visit_dir(w, l, name, &st);
	else if (S_ISLNK(st.st_mode))
		visit_link(w, l, name);
	else
		skipped(w, l, name, "neither file nor directory");
	return true;
}

bool
tree_visit(struct walk *w, struct level *l)
{
	size_t n;
	char **names;
	bool ok = true;

	if (is_maildir(l)) {
		if (l->depth == 0) {
			err_set(w->e, ERR_ACCOUNT,
			    "this is a Maildir: use maildir: for it");
			return false;
		}
		if (w->wanted != NULL)
			source_warn(w->s, l->raw, "a Maildir: left out");
		else
			skipped(w, l, "", "a Maildir");
		return true;
	}
	if ((names = names_of(w, l, &n)) == NULL)
		return false;
	for (size_t i = 0; i < n && ok; i++)
		ok = visit_name(w, l, names[i]);
	for (size_t i = 0; i < n; i++)
		free(names[i]);
	free(names);
	if (l->others + l->links > 0)
		source_warn(w->s, l->depth == 0 ? "./" : l->raw, "%" PRIu64
		    " files that are not mailboxes and %" PRIu64
		    " symbolic links left out", l->others, l->links);
	return ok;
}

void
tree_level_done(struct level *l)
{
	tdestroy(l->known, no_free);
	l->known = NULL;
}

/* INBOX. */

void
tree_inbox(struct walk *w, size_t k, const char *const *inbox)
{
	struct folder_info f = w->folders[k];
	const char *level = f.path[0];

	/* What Thunderbird keeps in Inbox.sbd lies below INBOX. */
	for (size_t i = 0; f.npath == 1 && i < w->n; i++) {
		struct folder_info *c = &w->folders[i];
		const char **path;

		if (c->npath < 2 || strcmp(c->path[0], level) != 0)
			continue;
		path = arena_alloc(w->a, c->npath * sizeof *path);
		memcpy(path, c->path, c->npath * sizeof *path);
		path[0] = *inbox;
		c->path = path;
		c->name = join(w->a, path, c->npath);
	}
	f.path = inbox;
	f.npath = 1;
	f.name = *inbox;
	memmove(w->folders + 1, w->folders, k * sizeof f);
	w->folders[0] = f;
}

static int
choose_inbox(struct walk *w, int rootfd, const char *option)
{
	static const char *const usual[] = {
		"INBOX", "Inbox", "inbox", "mbox"
	};
	const char **inbox = arena_alloc(w->a, sizeof *inbox);
	struct level top = { .raw = "" };
	struct safepath at;
	size_t k;

	*inbox = "INBOX";
	if (option == NULL) {
		for (size_t i = 0; i < sizeof usual / sizeof usual[0]; i++)
			for (k = 0; k < w->n; k++)
				if (!w->folders[k].noselect && strcmp(
				    w->folders[k].raw_name, usual[i]) == 0) {
					tree_inbox(w, k, inbox);
					return 0;
				}
		source_warn(w->s, NULL, "no INBOX in this tree: name its file "
		    "with inbox=FILE");
		return 0;
	}
	if (mbox_tree_open(&at, rootfd, option) == -1) {
		if (errno != ENOENT) {
			safepath_error(w->e, ERR_ACCOUNT, option);
			w->e->cause = CAUSE_OTHER;	/* the tree is there */
			return err_ctx(w->e, "inbox");
		}
		/* Programs remove a spool that became empty. */
		source_warn(w->s, option, "there is no such file: no INBOX");
		return 0;
	}
	k = w->n;
	if (S_ISREG(at.st.st_mode))
		for (k = 0; k < w->n; k++)
			if (w->devs[k] == at.st.st_dev &&
			    w->inos[k] == at.st.st_ino)
				break;
	if (k < w->n)
		w->folders[k].refused = NULL;	/* a link: not by this path */
	else if (S_ISREG(at.st.st_mode)) {
		top.fd = at.dirfd;
		tree_file(w, &top, at.name);
		tree_level_done(&top);
	}
	safepath_close(&at);
	if (k == w->n)
		return err_set(w->e, ERR_ACCOUNT, "inbox %s is not a mailbox",
		    option);
	w->folders[k].raw_name = arena_strdup(w->a, option);
	tree_inbox(w, k, inbox);
	return 0;
}

int
mbox_tree_open(struct safepath *at, int rootfd, const char *raw_name)
{
	/* Nothing but the option inbox can be an absolute path. */
	return safepath_open(at, rootfd, raw_name, *raw_name != '/');
}

static void
summary(struct walk *w)
{
	if (w->hidden + w->msf + w->locks > 0)
		source_warn(w->s, NULL, "left out: %" PRIu64 " hidden names, %"
		    PRIu64 " index files (.msf), %" PRIu64 " lock files",
		    w->hidden, w->msf, w->locks);
	if (w->listed > LISTED_MAX)
		source_warn(w->s, NULL, "%" PRIu64 " more files that are not "
		    "mailboxes were left out", w->listed - LISTED_MAX);
}

static int
by_string(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void
mark_subscribed(struct walk *w, const struct account_info *subs)
{
	size_t n = subs->nsubscriptions;
	const char **sorted = xmalloc((n + 1) * sizeof *sorted);

	if (n > 0)
		memcpy(sorted, subs->subscriptions, n * sizeof *sorted);
	qsort(sorted, n, sizeof *sorted, by_string);
	for (size_t i = 0; i < w->n; i++)
		w->folders[i].subscribed = bsearch(&w->folders[i].name,
		    sorted, n, sizeof *sorted, by_string) != NULL;
	free(sorted);
}

void
tree_finish(struct walk *w, const char *path, struct folder_info **folders,
    size_t *n)
{
	struct account_info subs;

	summary(w);
	memset(&subs, 0, sizeof subs);
	mbox_subscriptions(NULL, w->rootfd, path, w->a, &subs);
	mark_subscribed(w, &subs);
	*folders = arena_alloc(w->a, (w->n + 1) * sizeof **folders);
	if (w->n > 0)
		memcpy(*folders, w->folders, w->n * sizeof **folders);
	*n = w->n;
}

void
tree_release(struct walk *w)
{
	free(w->folders);
	free(w->devs);
	free(w->inos);
}

int
mbox_tree_list(struct source *s, int rootfd, const char *path,
    const char *inbox, struct arena *a, struct folder_info **folders,
    size_t *n, struct err *e)
{
	struct walk w = { .s = s, .rootfd = rootfd, .a = a, .e = e };
	struct level top = { .fd = rootfd, .raw = "" };
	int rc = -1;
	bool ok;

	*folders = NULL;
	*n = 0;
	ok = tree_visit(&w, &top);
	tree_level_done(&top);
	if (ok && choose_inbox(&w, rootfd, inbox) == 0) {
		tree_finish(&w, path, folders, n);
		rc = 0;
	}
	tree_release(&w);
	return rc;
}
