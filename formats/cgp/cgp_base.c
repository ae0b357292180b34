/* Domains, and accounts in them. */
#include "cgp/cgp_base.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/safepath.h"
#include "cgp/cgp_file.h"

#define FOLDER_DEPTH	10	/* of foldered domains */

static const char *const forms[] = { ".mdir", ".mbox", ".mslc" };

void
cgp_place_init(struct cgp_place *p)
{
	memset(p, 0, sizeof *p);
	p->dirfd = p->domfd = p->basefd = -1;
}

void
cgp_place_release(struct cgp_place *p)
{
	if (p->dirfd != -1)
		close(p->dirfd);
	if (p->domfd != -1)
		close(p->domfd);
	if (p->basefd != -1)
		close(p->basefd);
	cgp_place_init(p);
}

bool
cgp_is_base(int fd)
{
	return cgp_exists(fd, "Accounts") || cgp_exists(fd, "Domains");
}

bool
cgp_is_running(int basefd)
{
	return cgp_exists(basefd, "ProcessID");
}

/* A directory, through links that root or the owner of what they lead to has
 * made: accounts and domains are moved to other disks that way. */
static int
open_linked(int dirfd, const char *name)
{
	struct safepath at;

	if (safepath_open(&at, dirfd, name, false) == -1)
		return -1;
	if (!S_ISDIR(at.st.st_mode)) {
		safepath_close(&at);
		errno = ENOTDIR;
		return -1;
	}
	close(at.dirfd);
	return at.fd;
}

static int
dup_fd(int fd)
{
	return fcntl(fd, F_DUPFD_CLOEXEC, 0);
}

static bool
usable_name(const char *s)
{
	return *s != '\0' && strchr(s, '/') == NULL && strcmp(s, ".") != 0 &&
	    strcmp(s, "..") != 0;
}

const char *
cgp_main_domain(int basefd, struct arena *a)
{
	struct dict_value *v;
	const char *name;
	struct err e;
	int fd;

	if ((fd = cgp_open_dir(basefd, "Settings")) == -1)
		return NULL;
	cgp_read_dict(fd, "Main.settings", a, &v, &e);
	close(fd);
	name = dict_string(v, "DomainName");
	return name != NULL && usable_name(name) ? name : NULL;
}

/* Walking a domain */

struct walk {
	struct arena	*a;
	const char	*only;		/* this account; NULL: all */
	int		 basefd, domfd;
	const char	*domain;
	cgp_place_fn	*fn;
	cgp_tell_fn	*tell;		/* may be NULL */
	void		*ctx;
};

static void
tell(struct walk *w, const char *dir, const char *name, const char *text)
{
	if (w->tell != NULL)
		w->tell(w->ctx, arena_printf(w->a, "%s/%s", dir,
		    cgp_show(w->a, name)), text);
}

/* Not walked into. */
static bool
is_other(const char *name)
{
	static const char *const exts[] = {
		".mdir", ".mbox", ".mslc", ".folder", ".web", ".rpopids"
	};
	size_t i;

	for (i = 0; i < sizeof exts / sizeof exts[0]; i++)
		if (cgp_has_ext(name, exts[i]))
			return true;
	return strcmp(name, "Settings") == 0 || strcmp(name, "WebSkins") == 0;
}

static const char *
stem_of(struct arena *a, const char *name, const char *ext)
{
	return arena_memdup0(a, name, strlen(name) - strlen(ext));
}

static int
call(struct walk *w, int dirfd, const char *name, const char *path,
    const char *single, struct err *e)
{
	struct cgp_place p;
	int rc;

	cgp_place_init(&p);
	p.dirfd = dirfd;
	p.domfd = dup_fd(w->domfd);
	p.basefd = dup_fd(w->basefd);
	p.name = name;
	p.domain = w->domain;
	p.path = path;
	p.single = single;
	rc = w->fn(w->ctx, &p, e);
	cgp_place_release(&p);
	return rc;
}

/* NAME.mbox and the like, beside NAME.settings.  Of two forms of one account
 * the first in the list stands for both. */
static int
single_mailbox(struct walk *w, int dirfd, const char *dir, const char *name,
    struct err *e)
{
	const char *stem = NULL, *other;
	size_t i;
	int fd;

	for (i = 0; i < sizeof forms / sizeof forms[0]; i++)
		if (cgp_has_ext(name, forms[i])) {
			stem = stem_of(w->a, name, forms[i]);
			break;
		}
	if (stem == NULL)
		return 0;
	while (i-- > 0) {
		other = arena_printf(w->a, "%s%s", stem, forms[i]);
		if (cgp_exists(dirfd, other))
			return 0;
	}
	if (!cgp_exists(dirfd, arena_printf(w->a, "%s.settings", stem))) {
		tell(w, dir, name, "a mailbox without NAME.settings beside "
		    "it: taken for no account");
		return 0;
	}
	if ((fd = cgp_open_dir(dirfd, ".")) == -1)
		return err_sys(e, quiet_scope(errno, ERR_ACCOUNT), "%s", dir);
	return call(w, fd, stem, arena_printf(w->a, "%s/%s", dir, name), stem,
	    e);
}

static int	walk_dir(struct walk *, int, const char *, int, struct err *);

/* Can the name say nothing of the only account that is looked for?  A domain
 * has thousands of others: no system call for them. */
static bool
of_another(const struct walk *w, const char *name)
{
	static const char *const exts[] = {
		".macnt", ".settings", ".info", ".mdir", ".mbox", ".mslc"
	};
	size_t i, n;

	for (i = 0; w->only != NULL && i < sizeof exts / sizeof exts[0]; i++)
		if (cgp_has_ext(name, exts[i])) {
			n = strlen(name) - strlen(exts[i]);
			return strlen(w->only) != n ||
			    memcmp(name, w->only, n) != 0;
		}
	return false;
}

static int
walk_entry(struct walk *w, int dirfd, const char *dir, const char *name,
    int depth, struct err *e)
{
	bool account = cgp_has_ext(name, ".macnt");
	const char *path, *stem;
	struct stat st;
	int fd, rc;

	if (of_another(w, name))
		return 0;
	path = arena_printf(w->a, "%s/%s", dir, name);
	if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) == -1)
		return 0;		/* gone meanwhile */
	if (!account && (S_ISREG(st.st_mode) || is_other(name)))
		return single_mailbox(w, dirfd, dir, name, e);
	if (!S_ISDIR(st.st_mode) && !S_ISLNK(st.st_mode))
		return 0;
	stem = account ? stem_of(w->a, name, ".macnt") : NULL;
	if ((fd = open_linked(dirfd, name)) == -1) {
		if (!account && (errno == ENOTDIR || errno == ENOENT))
			return 0;
		if (w->only != NULL && account)
			return err_sys(e, quiet_scope(errno, ERR_ACCOUNT), "%s",
			    path);
		tell(w, dir, name, arena_printf(w->a, "cannot be read: %s",
		    strerrordesc_np(errno)));
		return 0;
	}
	if (account)
		return call(w, fd, stem, path, NULL, e);
	if (depth == FOLDER_DEPTH) {
		tell(w, dir, name, "lies too deep: not searched for accounts");
		rc = 0;
	} else
		rc = walk_dir(w, fd, path, depth + 1, e);
	close(fd);
	return rc;
}

static int
walk_dir(struct walk *w, int fd, const char *dir, int depth, struct err *e)
{
	const char **names;
	size_t n, i;

	if (cgp_names(fd, w->a, &names, &n, e) == -1) {
		if (depth > 0 && e->scope < ERR_HOST) {
			tell(w, dir, "", e->text);
			return 0;
		}
		if (e->scope < ERR_ACCOUNT)
			e->scope = ERR_ACCOUNT;
		return err_ctx(e, "%s", dir);
	}
	for (i = 0; i < n; i++)
		if (walk_entry(w, fd, dir, names[i], depth, e) == -1)
			return -1;
	return 0;
}

/* Finding one account */

struct finder {
	struct cgp_place *found;
	struct arena	 *a;
};

static int
on_found(void *ctx, struct cgp_place *p, struct err *e)
{
	struct finder *f = ctx;

	if (f->found->name != NULL)
		return err_set(e, ERR_ACCOUNT, "the account %s lies in two "
		    "places, %s and %s: give the right one as "
		    "cgp:PATH/NAME.macnt", p->name, f->found->path, p->path);
	*f->found = *p;
	cgp_place_init(p);
	return 0;
}

static int
missing(struct err *e, const char *text)
{
	err_set(e, ERR_ACCOUNT, "%s", text);
	e->cause = CAUSE_MISSING;
	return -1;
}

/* The directory of a domain, as Domains/DOMAIN; main: Accounts. */
static int
open_domain(int basefd, const char *domain, struct arena *a,
    const char **path)
{
	int fd, domains;
	char *p;

	*path = "Accounts";
	if (domain == NULL)
		return open_linked(basefd, "Accounts");
	if ((domains = open_linked(basefd, "Domains")) == -1)
		return -1;
	*path = arena_printf(a, "Domains/%s", domain);
	fd = open_linked(domains, domain);
	if (fd == -1 && errno == ENOENT) {
		for (p = arena_strdup(a, domain), domain = p; *p != '\0'; p++)
			if (*p >= 'A' && *p <= 'Z')
				*p = (char)(*p + 'a' - 'A');
		*path = arena_printf(a, "Domains/%s", domain);
		fd = open_linked(domains, domain);
	}
	close(domains);
	return fd;
}

int
cgp_find(int basefd, const char *account, const char *main_domain,
    struct arena *a, struct cgp_place *out, struct err *e)
{
	const char *at = strrchr(account, '@'), *domain = NULL, *dir;
	const char *known = main_domain;
	struct finder f = { out, a };
	struct walk w;
	int fd, rc;

	cgp_place_init(out);
	if (known == NULL)
		known = cgp_main_domain(basefd, a);
	if (at != NULL && at[1] != '\0' && (known == NULL ||
	    strcasecmp(at + 1, known) != 0))
		domain = at + 1;
	memset(&w, 0, sizeof w);
	w.a = a;
	w.only = at != NULL ? arena_memdup0(a, account,
	    (size_t)(at - account)) : account;
	if (!usable_name(w.only) || (domain != NULL && !usable_name(domain)))
		return err_set(e, ERR_ACCOUNT, "'%.100s' is no account: it "
		    "has to be NAME or NAME@DOMAIN", account);
	if ((fd = open_domain(basefd, domain, a, &dir)) == -1) {
		if (errno != ENOENT)
			return err_sys(e, quiet_scope(errno, ERR_ACCOUNT), "%s",
			    dir);
		if (domain == NULL)
			return missing(e, "there is no Accounts/ in the base "
			    "directory");
		return missing(e, known == NULL ? arena_printf(a, "there is "
		    "no %s, and Settings/Main.settings does not tell the main "
		    "domain: if it is %s, say main-domain=", dir, domain) :
		    arena_printf(a, "there is no %s (the main domain is %s)",
		    dir, known));
	}
	w.basefd = basefd;
	w.domfd = fd;
	w.domain = domain != NULL ? domain : known;
	w.fn = on_found;
	w.ctx = &f;
	rc = walk_dir(&w, fd, dir, 0, e);
	close(fd);
	if (rc == 0 && out->name == NULL)
		rc = missing(e, arena_printf(a, "there is no account %s in %s",
		    w.only, dir));
	if (rc == -1)
		cgp_place_release(out);
	return rc;
}

/* The directory above, only as far as it takes to find settings. */
void
cgp_here(int dirfd, const char *path, struct arena *a, struct cgp_place *out)
{
	size_t end = strlen(path), start;
	int fd, up, i;

	cgp_place_init(out);
	out->dirfd = dirfd;
	while (end > 1 && path[end - 1] == '/')
		end--;
	for (start = end; start > 0 && path[start - 1] != '/'; start--)
		;
	out->path = arena_memdup0(a, path, end);
	out->name = arena_memdup0(a, path + start, end - start);
	if (cgp_has_ext(out->name, ".macnt"))
		out->name = stem_of(a, out->name, ".macnt");
	fd = dup_fd(dirfd);
	for (i = 0; i < FOLDER_DEPTH + 3 && fd != -1; i++) {
		up = openat(fd, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		close(fd);
		if ((fd = up) == -1)
			break;
		if (cgp_is_base(fd)) {
			out->basefd = fd;
			return;
		}
		if (out->domfd == -1 && cgp_exists(fd, "Settings"))
			out->domfd = dup_fd(fd);
	}
	if (fd != -1)
		close(fd);
}

/* All accounts */

static int
each_in(struct walk *w, const char *domain, const char *name, struct err *e)
{
	const char *dir;
	int fd, rc;

	if ((fd = open_domain(w->basefd, domain, w->a, &dir)) == -1) {
		if (domain != NULL || errno != ENOENT)
			tell(w, domain != NULL ? "Domains" : "", domain !=
			    NULL ? domain : dir, arena_printf(w->a, "cannot be "
			    "read: %s", strerrordesc_np(errno)));
		return 0;
	}
	w->domfd = fd;
	w->domain = name;
	rc = walk_dir(w, fd, dir, 0, e);
	close(fd);
	return rc;
}

int
cgp_each(int basefd, const char *main_domain, cgp_place_fn *fn,
    cgp_tell_fn *tell_fn, void *ctx, struct err *e)
{
	const char **names;
	struct arena a;
	struct walk w;
	struct stat st;
	size_t n = 0, i;
	int domains, rc;

	arena_init(&a);
	memset(&w, 0, sizeof w);
	w.a = &a;
	w.basefd = basefd;
	w.fn = fn;
	w.tell = tell_fn;
	w.ctx = ctx;
	if (main_domain == NULL)
		main_domain = cgp_main_domain(basefd, &a);
	rc = each_in(&w, NULL, main_domain, e);
	if (rc == 0 && (domains = open_linked(basefd, "Domains")) != -1) {
		rc = cgp_names(domains, &a, &names, &n, e);
		for (i = 0; i < n && rc == 0; i++)
			if (fstatat(domains, names[i], &st, 0) == 0 &&
			    S_ISDIR(st.st_mode))
				rc = each_in(&w, names[i], names[i], e);
		close(domains);
	}
	arena_release(&a);
	return rc;
}

/* Inherited settings */

static struct dict_value *
read_settings(int fd, const char *file, struct arena *a)
{
	struct dict_value *v = NULL;
	struct err e;
	int dir;

	if (fd == -1 || (dir = cgp_open_dir(fd, "Settings")) == -1)
		return NULL;
	cgp_read_dict(dir, file, a, &v, &e);
	close(dir);
	return v;
}

void
cgp_defaults_read(const struct cgp_place *p, struct dict_value *own,
    struct arena *a, struct cgp_defaults *d)
{
	d->own = own;
	d->domain = read_settings(p->domfd, "Domain.settings", a);
	d->server = read_settings(p->basefd, "DomainDefault.settings", a);
}

static bool
has(const struct dict_value *v, const char *key)
{
	const struct dict_value *x = dict_get(v, key);

	return x != NULL && !(x->type == DICT_STRING &&
	    strcasecmp(x->p, "default") == 0);
}

const struct dict_value *
cgp_setting(const struct cgp_defaults *d, const char *key)
{
	const struct dict_value *at;

	if (has(d->own, key))
		return d->own;
	at = dict_get(d->domain, "AccountDefaults");
	if (has(at, key))
		return at;
	at = dict_get(d->server, "AccountDefaults");
	return has(at, key) ? at : NULL;
}
