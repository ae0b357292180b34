/*
 * The mailboxes of an account, by what lies in its directory.
 *
 * NAME.mdir/, NAME.mbox and NAME.mslc are mailboxes, in NAME.folder/ lie those
 * below NAME, which need not exist itself.  A mailbox that is there in two
 * forms is listed twice, for nobody can tell which one the server used; the
 * second gets another name at the target.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/safepath.h"
#include "base/xmalloc.h"
#include "cgp/cgp_file.h"
#include "cgp/cgp_impl.h"
#include "cgp/cgp_name.h"

#define DEPTH_MAX	50
#define SLICED	"a sliced mailbox (.mslc): no program but the server can read " \
    "it; copy this account over IMAP"

/* The levels above what is being read. */
struct above {
	const struct above *up;
	const char	*level;		/* decoded */
	const char	*raw;		/* all levels so far, as on disk */
	size_t		 depth;
};

static struct cgp_folder *
add_folder(struct cgp *c, const struct above *up, const char *stem,
    size_t nstem, const char *file)
{
	struct cgp_folder *f;
	struct buf level;
	size_t i;

	if (c->nfolders == c->cap) {
		c->cap = c->cap == 0 ? 32 : c->cap * 2;
		c->folders = xreallocarray(c->folders, c->cap,
		    sizeof *c->folders);
	}
	f = &c->folders[c->nfolders++];
	memset(f, 0, sizeof *f);
	f->file = file;
	f->raw = up != NULL ? arena_printf(&c->tree, "%s/%.*s", up->raw,
	    (int)nstem, stem) : arena_memdup0(&c->tree, stem, nstem);
	buf_init(&level, 8192);
	if (!cgp_level(&level, stem, nstem))
		source_warn(&c->s, cgp_show(&c->tree, file), "an odd name (no "
		    "modified UTF-7): taken as it is");
	f->npath = (up != NULL ? up->depth : 0) + 1;
	f->path = arena_alloc(&c->tree, f->npath * sizeof *f->path);
	f->path[f->npath - 1] = arena_memdup0(&c->tree, level.ptr, level.len);
	for (i = f->npath - 1; i-- > 0; up = up->up)
		f->path[i] = up->level;
	buf_release(&level);
	return f;
}

static const char *
join(struct arena *a, const char *dir, const char *name)
{
	return dir[0] == '\0' ? arena_strdup(a, name) : arena_printf(a,
	    "%s/%s", dir, name);
}

/* One entry that is a mailbox by its name. */
static void
add_mailbox(struct cgp *c, const struct above *up, int dirfd, const char *dir,
    const char *name, size_t nstem, enum cgp_kind kind)
{
	struct cgp_folder *f;
	struct stat st;

	f = add_folder(c, up, name, nstem, join(&c->tree, dir, name));
	f->kind = kind;
	if (kind == CGP_NONE)
		f->refused = SLICED;
	else if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) == -1)
		f->refused = arena_printf(&c->tree, "cannot be read: %s",
		    strerrordesc_np(errno));
	else if (S_ISLNK(st.st_mode))
		f->refused = "a symbolic link: not followed";
	else if (kind == CGP_MDIR ? !S_ISDIR(st.st_mode) :
	    !S_ISREG(st.st_mode))
		f->refused = kind == CGP_MDIR ? "no directory" : "no file";
	if (f->refused != NULL)
		source_warn(&c->s, cgp_show(&c->tree, f->file), "not read: %s",
		    f->refused);
}

static bool
is_service(const char *name)
{
	return strncmp(name, "account.", 8) == 0;
}

static int	read_dir(struct cgp *, int, const char *,
		    const struct above *, struct err *);

/* NAME.folder/ */
static int
read_folder(struct cgp *c, int dirfd, const char *dir,
    const struct above *up, const char *name, struct err *e)
{
	size_t nstem = strlen(name) - strlen(".folder"), mine = c->nfolders;
	const char *file = join(&c->tree, dir, name);
	struct above here;
	struct cgp_folder *f;
	int fd, rc;

	/* Its name alone, in case that nothing else has it. */
	f = add_folder(c, up, name, nstem, file);
	f->noselect = true;
	here.up = up;
	here.level = f->path[f->npath - 1];
	here.raw = f->raw;
	here.depth = f->npath;
	if (here.depth == DEPTH_MAX) {
		f->noselect = false;
		f->refused = "lies too deep";
		return 0;
	}
	if ((fd = cgp_open_dir(dirfd, name)) == -1) {
		f->noselect = false;
		f->refused = arena_printf(&c->tree, errno == ELOOP ||
		    errno == ENOTDIR ? "no directory, or a symbolic link: "
		    "mailboxes in it are not read" : "cannot be read: %s",
		    strerrordesc_np(errno));
		return 0;
	}
	rc = read_dir(c, fd, file, &here, e);
	close(fd);
	if (rc == -1 && e->scope < ERR_HOST) {
		c->folders[mine].noselect = false;
		c->folders[mine].refused = arena_strdup(&c->tree, e->text);
		return 0;
	}
	return rc;
}

static int
read_dir(struct cgp *c, int fd, const char *dir, const struct above *up,
    struct err *e)
{
	static const struct { const char *ext; enum cgp_kind kind; } kinds[] = {
		{ ".mdir", CGP_MDIR }, { ".mbox", CGP_MBOX },
		{ ".mslc", CGP_NONE }
	};
	const char **names, *first = NULL;
	size_t n, i, k, others = 0;

	if (cgp_names(fd, &c->tree, &names, &n, e) == -1)
		return -1;
	for (i = 0; i < n; i++) {
		for (k = 0; k < 3; k++)
			if (cgp_has_ext(names[i], kinds[k].ext))
				break;
		if (k < 3)
			add_mailbox(c, up, fd, dir, names[i],
			    strlen(names[i]) - strlen(kinds[k].ext),
			    kinds[k].kind);
		else if (cgp_has_ext(names[i], ".folder")) {
			if (read_folder(c, fd, dir, up, names[i], e) == -1)
				return -1;
		} else if (!is_service(names[i])) {
			others++;
			if (first == NULL)
				first = names[i];
		}
	}
	if (others > 0)
		source_warn(&c->s, dir[0] != '\0' ? dir : ".", "%zu names that "
		    "are no mailboxes, among them %s: not read", others,
		    cgp_show(&c->tree, first));
	return 0;
}

/* Order */

static int
compare_paths(const struct cgp_folder *a, const struct cgp_folder *b)
{
	size_t i;
	int x;

	for (i = 0; i < a->npath && i < b->npath; i++)
		if ((x = strcmp(a->path[i], b->path[i])) != 0) {
			if (i == 0 && strcmp(a->path[0], "INBOX") == 0)
				return -1;
			if (i == 0 && strcmp(b->path[0], "INBOX") == 0)
				return 1;
			return x;
		}
	return a->npath < b->npath ? -1 : a->npath > b->npath;
}

/* What can be read goes first; of that .mdir before .mbox. */
static int
compare(const void *va, const void *vb)
{
	const struct cgp_folder *a = va, *b = vb;
	int x = compare_paths(a, b);

	if (x != 0)
		return x;
	if (a->noselect != b->noselect)
		return a->noselect ? 1 : -1;
	if ((a->refused != NULL) != (b->refused != NULL))
		return a->refused != NULL ? 1 : -1;
	if (a->kind != b->kind)
		return a->kind < b->kind ? -1 : 1;
	return strcmp(a->file, b->file);
}

/* INBOX in other letters is INBOX, if there is no other one. */
static void
find_inbox(struct cgp *c)
{
	struct cgp_folder *f;
	bool exact = false;
	size_t i;

	for (i = 0; i < c->nfolders; i++)
		exact = exact || strcmp(c->folders[i].path[0], "INBOX") == 0;
	for (i = 0; i < c->nfolders && !exact; i++) {
		f = &c->folders[i];
		if (strcasecmp(f->path[0], "INBOX") == 0)
			f->path[0] = "INBOX";
	}
}

static const char *
joined(struct arena *a, const char *const *path, size_t n)
{
	struct buf b;
	char *s;
	size_t i;

	buf_init(&b, 1 << 20);
	for (i = 0; i < n; i++) {
		if (i > 0)
			buf_addc(&b, '/');
		buf_adds(&b, path[i]);
	}
	s = arena_memdup0(a, b.ptr, b.len);
	buf_release(&b);
	return s;
}

/* Sorts, and drops names of levels that mailboxes have as well. */
static void
settle(struct cgp *c)
{
	struct cgp_folder *f, *last = NULL;
	size_t i, n = 0;

	find_inbox(c);
	if (c->nfolders > 0)
		qsort(c->folders, c->nfolders, sizeof *c->folders, compare);
	for (i = 0; i < c->nfolders; i++) {
		f = &c->folders[i];
		f->name = joined(&c->tree, f->path, f->npath);
		if (last != NULL && compare_paths(last, f) == 0) {
			if (f->noselect)
				continue;
			if (f->refused == NULL)
				source_warn(&c->s, cgp_show(&c->tree, f->file),
				    "there is %s too: both are read, as two "
				    "mailboxes", cgp_show(&c->tree,
				    last->file));
		}
		c->folders[n] = *f;
		last = &c->folders[n++];
	}
	c->nfolders = n;
}

/* The only mailbox of a single-mailbox account. */
static void
read_single(struct cgp *c)
{
	static const struct { const char *ext; enum cgp_kind kind; } kinds[] = {
		{ ".mdir", CGP_MDIR }, { ".mbox", CGP_MBOX },
		{ ".mslc", CGP_NONE }
	};
	const char *file;
	size_t i, first = c->nfolders;

	for (i = 0; i < 3; i++) {
		file = arena_printf(&c->tree, "%s%s", c->place.single,
		    kinds[i].ext);
		if (cgp_exists(c->place.dirfd, file))
			add_mailbox(c, NULL, c->place.dirfd, "", file,
			    strlen(c->place.single), kinds[i].kind);
	}
	for (i = first; i < c->nfolders; i++) {
		c->folders[i].raw = "INBOX";
		c->folders[i].path[0] = "INBOX";
	}
}

/* The option inbox=: a spool outside of the base directory. */
static void
add_external(struct cgp *c)
{
	struct cgp_folder *f = add_folder(c, NULL, "INBOX", 5, c->external);

	f->kind = CGP_MBOX;
	f->external = true;
}

int
cgp_tree_read(struct cgp *c, struct err *e)
{
	int rc = 0;

	arena_reset(&c->tree);
	c->nfolders = 0;
	c->tree_read = false;
	cgp_info_read(c);
	if (c->place.single != NULL)
		read_single(c);
	else
		rc = read_dir(c, c->place.dirfd, "", NULL, e);
	if (rc == -1) {
		if (e->scope < ERR_ACCOUNT)
			e->scope = ERR_ACCOUNT;
		return err_ctx(e, "%s", c->place.path);
	}
	if (c->external != NULL)
		add_external(c);
	settle(c);
	cgp_info_apply(c);
	c->tree_read = true;
	return 0;
}
