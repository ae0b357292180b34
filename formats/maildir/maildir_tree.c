/*
 * Folders of a Maildir account, their names and subscriptions.
 *
 * Maildir++: INBOX in the root, every other folder is a directory
 * ".<level>.<level>" beside its cur/ and new/.  LAYOUT=fs: directories in
 * directories, INBOX in the root.  Unless told, the layout is Maildir++ when
 * the root has such a directory that is a Maildir, fs when it has Maildirs
 * under other names, else Maildir++.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/xmalloc.h"
#include "maildir/maildir_impl.h"
#include "maildir/maildir_subs.h"

#define DEPTH_MAX	50
#define SUBS_MAX	((size_t)50000)
#define LEVEL_MAX	((size_t)4096)

/* Is name in dirfd a directory, not a link to one? */
static bool
is_dir(int dirfd, const char *name)
{
	struct stat st;

	return fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	    S_ISDIR(st.st_mode);
}

bool
maildir_exists(int dirfd, const char *name)
{
	struct stat st;

	return fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

bool
maildir_marked(int fd)
{
	return maildir_exists(fd, "maildirfolder") ||
	    maildir_exists(fd, "dovecot-uidlist") ||
	    maildir_exists(fd, "courierimapuiddb");
}

enum look {
	LOOK_NONE,	/* no Maildir */
	LOOK_MAILDIR,
	LOOK_REFUSED	/* a Maildir that cannot be read: *why */
};

/* What the directory name in dirfd is. */
static enum look
look_at(int dirfd, const char *name, struct arena *a, const char **why)
{
	static const char *const parts[] = { "cur", "new" };
	enum look found = LOOK_NONE;
	int fd, sub, i;

	*why = NULL;
	if ((fd = maildir_open_dir(dirfd, name)) == -1) {
		if (errno == ENOTDIR || errno == ENOENT)
			return LOOK_NONE;
		*why = arena_printf(a, "cannot be read: %s",
		    strerrordesc_np(errno));
		return LOOK_REFUSED;
	}
	/* A copy that left out empty directories may have lost both. */
	if (maildir_marked(fd))
		found = LOOK_MAILDIR;
	for (i = 0; i < 2; i++) {
		if (!maildir_exists(fd, parts[i]))
			continue;
		found = LOOK_MAILDIR;
		if ((sub = maildir_open_dir(fd, parts[i])) != -1)
			close(sub);
		else if (*why == NULL)
			*why = arena_printf(a, errno == ENOTDIR ||
			    errno == ELOOP ? "%s/ is no directory" :
			    "%s/ cannot be read: %s", parts[i],
			    strerrordesc_np(errno));
	}
	close(fd);
	return *why != NULL ? LOOK_REFUSED : found;
}

/* A link whose target looks like a Maildir; nothing of it is opened. */
static bool
link_to_maildir(int dirfd, const char *name)
{
	char path[PATH_MAX];
	struct stat st;
	int n;

	if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) == -1 ||
	    !S_ISLNK(st.st_mode))
		return false;
	n = snprintf(path, sizeof path, "%s/cur", name);
	return n > 0 && (size_t)n < sizeof path &&
	    fstatat(dirfd, path, &st, 0) == 0 && S_ISDIR(st.st_mode);
}

static struct folder *
add_folder(struct maildir *m, const char *dir, const char *raw,
    const char *refused)
{
	struct folder *f;

	if ((m->nfolders & (m->nfolders + 1)) == 0)
		m->folders = xreallocarray(m->folders,
		    2 * (m->nfolders + 1), sizeof *m->folders);
	f = &m->folders[m->nfolders++];
	memset(f, 0, sizeof *f);
	f->dir = arena_strdup(&m->arena, dir);
	f->raw = arena_strdup(&m->arena, raw);
	f->refused = refused;
	return f;
}

/* All names of a directory but "." and "..", in the arena, sorted. */
static int
compare_names(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static int
names_of(struct maildir *m, int dirfd, const char ***names, size_t *n,
    struct err *e)
{
	struct dirent *d;
	size_t cap = 0;
	DIR *dir;
	int fd;

	*names = NULL;
	*n = 0;
	fd = maildir_open_dir(dirfd, ".");
	if (fd == -1 || (dir = fdopendir(fd)) == NULL) {
		err_sys(e, quiet_scope(errno, ERR_ACCOUNT),
		    "read directory");
		if (fd != -1)
			close(fd);
		return -1;
	}
	for (;;) {
		errno = 0;
		if ((d = readdir(dir)) == NULL)
			break;
		if (strcmp(d->d_name, ".") == 0 ||
		    strcmp(d->d_name, "..") == 0 ||
		    (d->d_type != DT_DIR && d->d_type != DT_LNK &&
		    d->d_type != DT_UNKNOWN))
			continue;
		if (*n == cap) {
			cap = cap == 0 ? 64 : cap * 2;
			*names = xreallocarray(*names, cap, sizeof **names);
		}
		(*names)[(*n)++] = arena_strdup(&m->arena, d->d_name);
	}
	if (errno != 0) {
		err_sys(e, quiet_scope(errno, ERR_ACCOUNT),
		    "read directory");
		closedir(dir);
		free(*names);
		*names = NULL;
		return -1;
	}
	closedir(dir);
	if (*n > 0)
		qsort(*names, *n, sizeof **names, compare_names);
	return 0;
}

static bool
reserved(const char *name)
{
	return strcmp(name, "cur") == 0 || strcmp(name, "new") == 0 ||
	    strcmp(name, "tmp") == 0;
}

static const char *
join_path(struct maildir *m, const char *dir, const char *name)
{
	return dir[0] == '\0' ? arena_strdup(&m->arena, name) :
	    arena_printf(&m->arena, "%s/%s", dir, name);
}

/* LAYOUT=fs below dir ("" is the root). */
static int
walk(struct maildir *m, int dirfd, const char *dir, int depth, struct err *e)
{
	const char **names, *why, *path;
	enum look look;
	size_t n, i;
	int fd, rc = 0;

	if (names_of(m, dirfd, &names, &n, e) == -1)
		return err_ctx(e, "%s", dir);
	for (i = 0; i < n && rc == 0; i++) {
		if (names[i][0] == '.' || reserved(names[i]))
			continue;
		path = join_path(m, dir, names[i]);
		if (link_to_maildir(dirfd, names[i])) {
			add_folder(m, path, path,
			    "a symbolic link: not followed");
			continue;
		}
		if (!is_dir(dirfd, names[i]))
			continue;
		look = look_at(dirfd, names[i], &m->arena, &why);
		if (look != LOOK_NONE)
			add_folder(m, path, path, why);
		if (depth == DEPTH_MAX) {
			if (look == LOOK_NONE)
				add_folder(m, path, path, "lies too deep");
			else
				source_warn(&m->s, path, "lies so deep that "
				    "it is not searched for folders");
			continue;
		}
		if ((fd = maildir_open_dir(dirfd, names[i])) == -1)
			continue;	/* told as refused */
		rc = walk(m, fd, path, depth + 1, e);
		close(fd);
	}
	free(names);
	return rc;
}

/* Is there a Maildir not more than three levels below, as a folder of
 * LAYOUT=fs would be? */
static bool
has_fs_folder(struct maildir *m, int dirfd, int depth)
{
	const char **names, *why;
	struct err ignored;
	bool found = false;
	size_t n, i;
	int fd;

	if (names_of(m, dirfd, &names, &n, &ignored) == -1)
		return false;
	for (i = 0; i < n && !found; i++) {
		if (names[i][0] == '.' || reserved(names[i]) ||
		    !is_dir(dirfd, names[i]))
			continue;
		found = look_at(dirfd, names[i], &m->arena, &why) ==
		    LOOK_MAILDIR;
		if (!found && depth < 3 &&
		    (fd = maildir_open_dir(dirfd, names[i])) != -1) {
			found = has_fs_folder(m, fd, depth + 1);
			close(fd);
		}
	}
	free(names);
	return found;
}

/* Has the root a Maildir of a name that only Maildir++ gives? */
static int
has_plusplus_folder(struct maildir *m, bool *found, struct err *e)
{
	const char **names, *why;
	size_t n, i;

	*found = false;
	if (names_of(m, m->rootfd, &names, &n, e) == -1)
		return -1;
	for (i = 0; i < n && !*found; i++)
		*found = names[i][0] == '.' && (link_to_maildir(m->rootfd,
		    names[i]) || look_at(m->rootfd, names[i], &m->arena,
		    &why) == LOOK_MAILDIR);
	free(names);
	return 0;
}

/* ".<level>.<level>" in the root; tells of Maildirs that are none. */
static int
read_plusplus(struct maildir *m, struct err *e)
{
	const char **names, *why;
	enum look look;
	size_t n, i;

	if (names_of(m, m->rootfd, &names, &n, e) == -1)
		return -1;
	for (i = 0; i < n; i++) {
		if (reserved(names[i]))
			continue;
		if (link_to_maildir(m->rootfd, names[i])) {
			look = LOOK_REFUSED;
			why = "a symbolic link: not followed";
		} else
			look = look_at(m->rootfd, names[i], &m->arena, &why);
		if (names[i][0] != '.') {
			if (look == LOOK_MAILDIR)
				maildir_tell(m, W_TYPE, names[i], "a Maildir, "
				    "but no folder in the Maildir++ layout: "
				    "not read (layout=fs would)");
		} else if (look != LOOK_NONE)
			add_folder(m, names[i], names[i] + 1, why);
		else if (is_dir(m->rootfd, names[i]))
			maildir_tell(m, W_TYPE, names[i],
			    "no Maildir (no cur/ and new/): not read");
	}
	free(names);
	return 0;
}

/* Names. */

/* The levels of a raw name.  A separator that would make an empty level
 * belongs to the level that follows, or ends the last one. */
static void
decode_path(struct maildir *m, struct folder *f, char sep)
{
	const char *p = f->raw, *q;
	const char *levels[LEVEL_MAX];
	bool proper = true;
	struct buf out;
	size_t n = 0;

	buf_init(&out, (size_t)64 * 1024);
	while (*p != '\0' && n < LEVEL_MAX) {
		q = p;
		while (*q == sep)
			q++;
		while (*q != '\0' && (*q != sep || q[1] == '\0'))
			q++;
		buf_reset(&out);
		proper &= maildir_decode_level(m, &out, p, (size_t)(q - p));
		proper &= *p != sep && q[-1] != sep;
		levels[n++] = arena_strdup(&m->arena, out.ptr);
		p = *q == sep ? q + 1 : q;
	}
	buf_release(&out);
	/* INBOX is the root, in any case; a directory of that name beside it
	 * is another mailbox that no server shows. */
	if (n > 0 && strcasecmp(levels[0], "INBOX") == 0) {
		levels[0] = n == 1 ? ".INBOX" : "INBOX";
		if (n == 1)
			source_warn(&m->s, f->dir, "a folder of the name of "
			    "INBOX beside INBOX: read as \".INBOX\"");
	}
	f->path = arena_alloc(&m->arena, n * sizeof *f->path + 1);
	if (n > 0)
		memcpy(f->path, levels, n * sizeof *f->path);
	f->npath = n;
	if (!proper)
		source_warn(&m->s, f->dir, "an odd folder name (coding or "
		    "separators): taken as it is");
}

/* INBOX and its children first, parents before children. */
static int
compare_paths(const char *const *a, size_t na, const char *const *b, size_t nb)
{
	size_t i;
	int c;

	for (i = 0; i < na && i < nb; i++)
		if ((c = strcmp(a[i], b[i])) != 0) {
			if (i == 0 && strcmp(a[0], "INBOX") == 0)
				return -1;
			if (i == 0 && strcmp(b[0], "INBOX") == 0)
				return 1;
			return c;
		}
	return na < nb ? -1 : na > nb;
}

static int
compare_folders(const void *va, const void *vb)
{
	const struct folder *a = va, *b = vb;
	int c = compare_paths(a->path, a->npath, b->path, b->npath);

	return c != 0 ? c : strcmp(a->dir, b->dir);
}

/* Subscriptions. */

struct subs_ctx {
	struct maildir	*m;
	bool		 courier;
	size_t		 cap;
};

static struct folder *
find_folder(struct maildir *m, const char *const *path, size_t n)
{
	size_t low = 0, high = m->nfolders, mid;
	struct folder *f;
	int c;

	while (low < high) {
		mid = low + (high - low) / 2;
		f = &m->folders[mid];
		c = compare_paths(path, n, f->path, f->npath);
		if (c == 0)
			return f;
		if (c < 0)
			high = mid;
		else
			low = mid + 1;
	}
	return NULL;
}

const char *
maildir_display(struct arena *a, const char *const *path, size_t n)
{
	size_t i, len = 1;
	char *name, *p;

	for (i = 0; i < n; i++)
		len += strlen(path[i]) + 1;
	name = p = arena_alloc(a, len);
	for (i = 0; i < n; i++) {
		if (i > 0)
			*p++ = '/';
		len = strlen(path[i]);
		memcpy(p, path[i], len);
		p += len;
	}
	*p = '\0';
	return name;
}

static void
on_sub(void *ctx, const struct subs_level *levels, size_t n)
{
	struct subs_ctx *s = ctx;
	struct maildir *m = s->m;
	struct folder *f;
	const char **path;
	struct buf out;
	size_t i;

	path = arena_alloc(&m->arena, n * sizeof *path);
	buf_init(&out, (size_t)64 * 1024);
	for (i = 0; i < n; i++) {
		buf_reset(&out);
		maildir_decode_level(m, &out, levels[i].p, levels[i].len);
		path[i] = arena_strdup(&m->arena, out.ptr);
	}
	buf_release(&out);
	if (strcasecmp(path[0], "INBOX") == 0)
		path[0] = "INBOX";
	f = find_folder(m, path, n);
	/* Courier's prefix; a list that came from there may still have it. */
	if (f == NULL && n > 1 && strcmp(path[0], "INBOX") == 0) {
		f = find_folder(m, path + 1, n - 1);
		if (f != NULL || s->courier) {
			path++;
			n--;
		}
	}
	if (f != NULL) {
		if (f->subscribed)
			return;		/* twice in the list */
		f->subscribed = true;
	}
	if (m->nsubs == SUBS_MAX)
		return;
	if (m->nsubs == s->cap) {
		s->cap = s->cap == 0 ? 32 : s->cap * 2;
		m->subs = xreallocarray(m->subs, s->cap, sizeof *m->subs);
	}
	m->subs[m->nsubs++] = maildir_display(&m->arena, path, n);
}

static void
read_subs(struct maildir *m)
{
	struct subs_ctx s = { m, false, 0 };
	const char *file = "subscriptions";
	struct buf text;
	size_t bad;

	free(m->subs);
	m->subs = NULL;
	m->nsubs = 0;
	buf_init(&text, (size_t)1 << 20);
	m->has_subs = maildir_slurp(m, m->rootfd, file, text.max, &text) == 1;
	if (!m->has_subs) {
		file = "courierimapsubscribed";
		s.courier = true;
		m->has_subs = maildir_slurp(m, m->rootfd, file, text.max,
		    &text) == 1;
	}
	if (m->has_subs) {
		bad = subs_parse(text.ptr, text.len,
		    m->fs && !s.courier ? '/' : '.', on_sub, &s);
		if (bad > 0)
			source_warn(&m->s, file, "%zu lines are not "
			    "understood", bad);
		if (m->nsubs == SUBS_MAX)
			source_warn(&m->s, file, "only the first %zu "
			    "subscriptions are read", SUBS_MAX);
	}
	buf_release(&text);
}

int
maildir_tree_read(struct maildir *m, struct err *e)
{
	enum layout layout = m->layout;
	const char *why;
	bool inbox, found;
	size_t i;

	arena_reset(&m->arena);
	free(m->folders);
	m->folders = NULL;
	m->nfolders = 0;
	m->tree_read = false;
	if (layout == LAYOUT_AUTO) {
		if (has_plusplus_folder(m, &found, e) == -1)
			return -1;
		layout = !found && has_fs_folder(m, m->rootfd, 1) ?
		    LAYOUT_FS : LAYOUT_PLUSPLUS;
	}
	m->fs = layout == LAYOUT_FS;
	if ((m->fs ? walk(m, m->rootfd, "", 1, e) : read_plusplus(m, e)) == -1)
		return -1;
	maildir_choose_coding(m);
	for (i = 0; i < m->nfolders; i++)
		decode_path(m, &m->folders[i], m->fs ? '/' : '.');
	inbox = look_at(m->rootfd, ".", &m->arena, &why) != LOOK_NONE;
	if (inbox) {
		struct folder *f = add_folder(m, ".", "INBOX", why);

		f->path = arena_alloc(&m->arena, sizeof *f->path);
		f->path[0] = "INBOX";
		f->npath = 1;
	} else
		source_warn(&m->s, NULL, "no INBOX: the Maildir itself has no "
		    "cur/ and new/");
	if (m->nfolders > 0)
		qsort(m->folders, m->nfolders, sizeof *m->folders,
		    compare_folders);
	read_subs(m);
	maildir_tell_rest(m);
	m->tree_read = true;
	return 0;
}
