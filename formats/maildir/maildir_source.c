/*
 * Maildirs as a source: the account, and opening a mailbox.
 *
 * A message's key is its base name, which stays when its flags change; the UID
 * is a fact.  Everything is opened relative to descriptors of directories and
 * no link is followed out of the tree, nor on the way to it where safepath.h
 * says no.  At listing time no message is opened; what stands in metadata that
 * cannot be read is told and done without.
 */
#include "maildir/maildir_source.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/safepath.h"
#include "base/xmalloc.h"
#include "maildir/maildir_dir.h"
#include "maildir/maildir_lists.h"

#define TELL_MAX	20	/* lines of one kind for a mailbox */

/* Control bytes in names of files are shown as \xx. */
static void
printable(char *out, size_t size, const char *s)
{
	size_t n = 0;

	for (; *s != '\0' && n + 5 < size; s++)
		if ((unsigned char)*s < 0x20 || *s == 0x7f)
			n += (size_t)snprintf(out + n, 5, "\\x%02x",
			    (unsigned char)*s);
		else
			out[n++] = *s;
	out[n] = '\0';
}

void
maildir_tell(struct maildir *m, enum oddity kind, const char *where,
    const char *fmt, ...)
{
	char text[300], name[2 * NAME_MAX];
	va_list ap;

	if (m->box.quiet || m->box.told[kind]++ >= TELL_MAX)
		return;
	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	if (where != NULL)
		printable(name, sizeof name, where);
	source_warn(&m->s, where != NULL ? name : NULL, "%s", text);
}

void
maildir_tell_rest(struct maildir *m)
{
	static const char *const kinds[W_KINDS] = {
		"names with odd bytes", "things that are no files",
		"names with a leading dot", "symbolic links",
		"sizes in names that are wrong", "names that are not unique",
		"keywords", "lines of metadata"
	};
	int i;

	for (i = 0; i < W_KINDS; i++)
		if (m->box.told[i] > TELL_MAX)
			source_warn(&m->s, NULL, "and %lu more %s",
			    m->box.told[i] - TELL_MAX, kinds[i]);
	memset(m->box.told, 0, sizeof m->box.told);
}

int
maildir_open_path(struct maildir *m, const char *path)
{
	char level[NAME_MAX + 1];
	const char *p, *q;
	int fd, next;

	if ((fd = fcntl(m->rootfd, F_DUPFD_CLOEXEC, 0)) == -1)
		return -1;
	for (p = path; *p != '\0'; p = *q == '/' ? q + 1 : q) {
		q = p + strcspn(p, "/");
		if (snprintf(level, sizeof level, "%.*s", (int)(q - p), p) >=
		    (int)sizeof level || strcmp(level, "..") == 0) {
			close(fd);
			errno = ENOENT;
			return -1;
		}
		next = maildir_open_dir(fd, level);
		close(fd);
		if ((fd = next) == -1)
			return -1;
	}
	return fd;
}

int
maildir_slurp(struct maildir *m, int dirfd, const char *name, size_t max,
    struct buf *out)
{
	struct stat st;
	ssize_t n = 0;
	int fd;

	buf_reset(out);
	if ((fd = maildir_open_file(dirfd, name, &st)) == -1) {
		if (errno != ENOENT)
			maildir_tell(m, W_META, name, "cannot be read: %s",
			    strerrordesc_np(errno));
		return 0;
	}
	if ((uint64_t)st.st_size > max) {
		maildir_tell(m, W_META, name, "too large: not read");
		close(fd);
		return 0;
	}
	while (out->len < max && buf_reserve(out, max - out->len < 4096 ?
	    max - out->len : 4096) == 0) {
		n = read(fd, out->ptr + out->len, max - out->len < 4096 ?
		    max - out->len : 4096);
		if (n == -1 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		out->len += (size_t)n;
		out->ptr[out->len] = '\0';
	}
	if (n == -1)
		maildir_tell(m, W_META, name, "cannot be read: %s",
		    strerrordesc_np(errno));
	close(fd);
	return n != -1;
}

/* Opening. */

static int
choice(struct uri *uri, const char *key, const char *const *words,
    struct err *e)
{
	const char *val = uri_opt(uri, key);
	char all[100] = "";
	int i;

	if (val == NULL)
		return 0;
	for (i = 0; words[i] != NULL; i++) {
		if (strcmp(words[i], val) == 0)
			return i;
		snprintf(all + strlen(all), sizeof all - strlen(all), "%s%s",
		    i > 0 ? ", " : "", words[i]);
	}
	return err_set(e, ERR_RUN, "%s=%s: must be one of %s", key, val, all);
}

static bool
has_cur_or_new(int fd)
{
	struct stat st;

	return (fstatat(fd, "cur", &st, 0) == 0 && S_ISDIR(st.st_mode)) ||
	    (fstatat(fd, "new", &st, 0) == 0 && S_ISDIR(st.st_mode));
}

/* No Maildir: what lies one level below may be what was meant. */
static int
no_maildir(int rootfd, const char *path, struct err *e)
{
	struct dirent *d;
	struct buf found;
	int fd, n = 0;
	DIR *dir;

	buf_init(&found, 300);

	fd = maildir_open_dir(rootfd, ".");
	dir = fd != -1 ? fdopendir(fd) : NULL;
	while (dir != NULL && n < 3 && (d = readdir(dir)) != NULL) {
		if (strcmp(d->d_name, ".") == 0 ||
		    strcmp(d->d_name, "..") == 0 ||
		    (fd = maildir_open_dir(rootfd, d->d_name)) == -1)
			continue;
		if (has_cur_or_new(fd))
			buf_addf(&found, "%s%s/%s", n++ > 0 ? " and " : "",
			    path, d->d_name);
		close(fd);
	}
	if (dir != NULL)
		closedir(dir);
	err_set(e, ERR_ACCOUNT, n == 0 ? "%s has no cur/ and new/: no Maildir" :
	    "%s has no cur/ and new/; a Maildir lies in %s", path, found.ptr);
	buf_release(&found);
	e->cause = CAUSE_MISSING;
	return -1;
}

static int
open_root(const char *path, struct err *e)
{
	struct safepath at;
	int rc = safepath_open(&at, AT_FDCWD, path, false);

	if (rc == 0 && S_ISDIR(at.st.st_mode)) {
		close(at.dirfd);
		return at.fd;
	}
	if (rc == -1 && errno != ENOTDIR && errno != EINVAL)
		return safepath_error(e, ERR_ACCOUNT, path);
	safepath_close(&at);
	return err_set(e, ERR_ACCOUNT, "%s is no directory: no Maildir", path);
}

/* What a URI says, without opening anything. */
static int
read_uri(struct maildir *m, struct uri *u, struct err *e)
{
	static const char *const layouts[] = {
		"auto", "maildir++", "fs", NULL
	};
	static const char *const codings[] = {
		"auto", "utf-8", "mutf-7", NULL
	};
	static const char *const yesno[] = { "auto", "yes", "no", NULL };
	int layout, names, escapes;
	const char *verify;

	if (u->host != NULL || u->path == NULL || u->path[0] == '\0')
		return err_set(e, ERR_RUN, "%s: needs a path, as in "
		    "%s:/home/user/Maildir", u->scheme, u->scheme);
	if ((layout = choice(u, "layout", layouts, e)) == -1 ||
	    (names = choice(u, "names", codings, e)) == -1 ||
	    (escapes = choice(u, "listescape", yesno, e)) == -1)
		return -1;
	m->as_target = strcmp(u->scheme, "dovecot") == 0;
	verify = m->as_target ? uri_opt(u, "verify") : NULL;
	m->unverified = verify != NULL && strcmp(verify, "no") == 0;
	m->sep = maildir_separator(u, layout == LAYOUT_FS, e);
	if (m->sep == '\0')
		return -1;
	m->layout = (enum layout)layout;
	m->names = (enum names)names;
	m->escapes = (enum tristate)escapes;
	return 0;
}

static int
maildir_check(struct uri *u, struct err *e)
{
	struct maildir m;

	memset(&m, 0, sizeof m);
	return read_uri(&m, u, e);
}

static int
maildir_open(struct source **sp, const struct store_conf *conf, struct err *e)
{
	const char *path = conf->uri->path;
	struct maildir *m = xcalloc(1, sizeof *m);

	if (read_uri(m, conf->uri, e) == -1 ||
	    (m->rootfd = open_root(path, e)) == -1) {
		free(m);
		return -1;
	}
	/* A layout that was named may do without an INBOX. */
	if (m->layout == LAYOUT_AUTO && !has_cur_or_new(m->rootfd)) {
		no_maildir(m->rootfd, path, e);
		close(m->rootfd);
		free(m);
		return -1;
	}
	arena_init(&m->arena);
	m->box.fd = m->box.dirs[0] = m->box.dirs[1] = -1;
	buf_init(&m->box.watch, (size_t)8 * 1024);
	*sp = &m->s;
	return 0;
}

static void
maildir_close(struct source *s)
{
	struct maildir *m = (struct maildir *)s;

	close(m->rootfd);
	free(m->folders);
	free(m->subs);
	arena_release(&m->arena);
	buf_release(&m->box.watch);
	free(m);
}

/* The account. */

/* maildirsize: "<n>S,<n>C" is the quota of bytes and messages. */
static uint64_t
quota_bytes(struct maildir *m)
{
	unsigned long long v;
	uint64_t bytes = UNKNOWN64;
	struct buf text;
	size_t n, k;

	buf_init(&text, (size_t)64 * 1024);
	if (maildir_slurp(m, m->rootfd, "maildirsize", text.max, &text) == 1) {
		n = strcspn(text.ptr, "\n");
		for (const char *p = text.ptr; n > 0; p += k, n -= k) {
			k = strcspn(p, ",\n");
			if (k > n)
				k = n;
			if (k > 1 && p[k - 1] == 'S' &&
			    maildir_number(p, k - 1, UINT64_MAX - 1, &v) &&
			    v > 0)
				bytes = v;
			if (k < n)
				k++;
		}
	}
	buf_release(&text);
	return bytes;
}

static int
count_own(void *ctx, const struct uidlist_rec *r, struct err *e)
{
	(void)e;
	*(uint64_t *)ctx += r->uidl != NULL;
	return 0;
}

static void
no_warning(void *ctx, unsigned long line, const char *text)
{
	(void)ctx;
	(void)line;
	(void)text;
}

/* What POP3 clients were told: by Dovecot, or by Courier, whose UIDLs nobody
 * else makes. */
static void
inbox_uidls(struct maildir *m, struct account_info *info)
{
	int fd = maildir_open_path(m, "."), list;
	struct maildir_lines lines;
	struct uidlist_head head;
	struct stat st;
	struct err ignored;

	if (fd == -1)
		return;
	if ((list = maildir_open_file(fd, "dovecot-uidlist", &st)) != -1) {
		info->uidls = UIDL_UPPER;
		maildir_lines_fd(&lines, list);
		memset(&head, 0, sizeof head);
		if (uidlist_read(&lines, &head, count_own, no_warning,
		    &info->own_uidls, &ignored) != 1)
			info->own_uidls = 0;
		maildir_lines_end(&lines);
	} else if ((list = maildir_open_file(fd, "courierpop3dsizelist",
	    &st)) != -1)
		info->uidls = UIDL_OWN;
	if (list != -1)
		close(list);
	close(fd);
}

static int
maildir_account_facts(struct source *s, struct arena *a,
    struct account_info *info, struct err *e)
{
	struct maildir *m = (struct maildir *)s;
	const char **subs;
	size_t i;

	if (!m->tree_read && maildir_tree_read(m, e) == -1)
		return -1;
	info->quota_bytes = quota_bytes(m);
	info->has_subscriptions = m->has_subs;
	subs = arena_alloc(a, m->nsubs * sizeof *subs + 1);
	for (i = 0; i < m->nsubs; i++)
		subs[i] = arena_strdup(a, m->subs[i]);
	info->subscriptions = subs;
	info->nsubscriptions = m->nsubs;
	inbox_uidls(m, info);
	return 0;
}

static int
no_record(void *ctx, const struct uidlist_rec *r, struct err *e)
{
	(void)ctx;
	(void)r;
	return err_set(e, ERR_NONE, "enough");
}

/* The header of the UID list only; uidnext may be too low. */
static void
brief_uids(int fd, struct uidlist_head *h)
{
	static const char *const files[] = {
		"dovecot-uidlist", "courierimapuiddb"
	};
	struct maildir_lines l;
	struct stat st;
	struct err e;
	int i, list;

	memset(h, 0, sizeof *h);
	for (i = 0; i < 2; i++) {
		if ((list = maildir_open_file(fd, files[i], &st)) == -1)
			continue;
		maildir_lines_fd(&l, list);
		if (uidlist_read(&l, h, no_record, no_warning, NULL, &e) == 0)
			memset(h, 0, sizeof *h);
		maildir_lines_end(&l);
		close(list);
		return;
	}
}

/* As the target of the same URI calls it. */
static const char *
target_name(struct maildir *m, struct arena *a, const struct folder *f)
{
	char *name, *p;

	if (strcmp(f->dir, ".") == 0)
		return "INBOX";
	name = arena_strdup(a, f->raw);
	for (p = name; *p != '\0'; p++)
		if (*p == (m->fs ? '/' : '.'))
			*p = m->sep;
	return name;
}

static int
maildir_list(struct source *s, struct arena *a, struct folder_info **folders,
    size_t *n, struct err *e)
{
	struct maildir *m = (struct maildir *)s;
	struct uidlist_head head;
	const char **path;
	struct stat st;
	size_t i, k;
	int fd;

	if (maildir_tree_read(m, e) == -1)
		return -1;
	*n = m->nfolders;
	*folders = arena_zalloc(a, m->nfolders * sizeof **folders + 1);
	for (i = 0; i < m->nfolders; i++) {
		struct folder_info *f = &(*folders)[i];
		const struct folder *have = &m->folders[i];

		path = arena_alloc(a, have->npath * sizeof *path + 1);
		for (k = 0; k < have->npath; k++)
			path[k] = arena_strdup(a, have->path[k]);
		f->path = path;
		f->npath = have->npath;
		f->raw_name = m->as_target ? target_name(m, a, have) :
		    arena_strdup(a, have->dir);
		f->name = maildir_display(a, path, have->npath);
		f->messages = f->bytes = UNKNOWN64;
		f->class = FOLDER_MAIL;
		f->cookie = i + 1;
		f->subscribed = have->subscribed;
		if (have->refused != NULL)
			f->refused = arena_strdup(a, have->refused);
		else if ((fd = maildir_open_path(m, have->dir)) != -1) {
			brief_uids(fd, &head);
			f->uidvalidity = head.uidvalidity;
			f->uidnext = head.uidnext;
			if (head.guid[0] != '\0')
				f->object_id = arena_strdup(a, head.guid);
			else if (fstat(fd, &st) == 0)
				f->object_id = arena_printf(a, "%jx:%jx",
				    (uintmax_t)st.st_dev,
				    (uintmax_t)st.st_ino);
			close(fd);
		} else
			f->refused = arena_printf(a, "cannot be read: %s",
			    strerrordesc_np(errno));
	}
	return 0;
}

/* A mailbox. */

static void
close_fd(int *fd)
{
	if (*fd != -1)
		close(*fd);
	*fd = -1;
}

static void
maildir_folder_close(struct source *s)
{
	struct maildir *m = (struct maildir *)s;
	struct mailbox *b = &m->box;
	int i;

	if (m->s.folder != NULL)
		maildir_tell_rest(m);
	close_fd(&b->fd);
	close_fd(&b->dirs[0]);
	close_fd(&b->dirs[1]);
	free(b->path);
	b->path = NULL;
	spill_free(&b->entries);
	for (i = 0; i < DOVECOT_KEYWORDS; i++) {
		free(b->letters[i]);
		b->letters[i] = NULL;
	}
	keyword_table_release(&b->courier);
	b->letters_told = 0;
	b->listed = false;
	b->count = 0;
}

/*
 * A token is
 *	maildir1 <racy 0|1> <count> <uidvalidity> <uidnext> <hash>
 * and the lines of maildir_watch().
 */
#define TOKEN_HEAD "maildir1 "

/* What a token says; watch points into it. */
struct token {
	bool		 racy;
	uint64_t	 count;
	uint32_t	 uidvalidity, uidnext;
	char		 hash[65];
	const char	*watch;
};

/* False: it is none of ours. */
static bool
token_parse(struct token *t, const struct buf *text)
{
	const char *lf;
	int racy, end = 0;

	if (text == NULL || (lf = strchr(text->ptr, '\n')) == NULL)
		return false;
	if (sscanf(text->ptr, TOKEN_HEAD "%1d %20" SCNu64 " %10" SCNu32
	    " %10" SCNu32 " %64[0-9a-f]%n", &racy, &t->count, &t->uidvalidity,
	    &t->uidnext, t->hash, &end) != 5 || text->ptr + end != lf)
		return false;
	t->racy = racy != 0;
	t->watch = lf + 1;
	return true;
}

static int
list_now(struct maildir *m, struct folder_info *f, struct err *e)
{
	if (maildir_index(m, e) == -1)
		return -1;
	f->messages = m->box.count;
	f->uidvalidity = m->box.uids.uidvalidity;
	f->uidnext = m->box.uids.uidnext;
	return 0;
}

/* cur and new are there and can be read. */
static int
open_dirs(struct maildir *m, struct err *e)
{
	int i;

	for (i = 0; i < 2; i++) {
		m->box.dirs[i] = maildir_open_dir(m->box.fd, maildir_place[i]);
		if (m->box.dirs[i] == -1 && errno != ENOENT)
			return err_sys(e, quiet_scope(errno, ERR_MAILBOX),
			    "%s/", maildir_place[i]);
		if (m->box.dirs[i] == -1)
			maildir_tell(m, W_META, maildir_place[i],
			    "is missing: taken as empty");
	}
	if (m->box.dirs[0] == -1 && m->box.dirs[1] == -1 &&
	    !maildir_marked(m->box.fd))
		return err_set(e, ERR_MAILBOX, "no Maildir: cur/ and new/ are "
		    "gone");
	return 0;
}

/* Its directory: a mailbox that no listing of ours gave is asked for by the
 * name that the target of the same URI uses. */
static char *
directory_of(struct maildir *m, const struct folder_info *f)
{
	bool fs = m->layout == LAYOUT_FS;
	struct buf dir;

	if (!m->as_target)
		return xstrdup(f->raw_name);
	if (f->cookie != 0 && f->cookie <= m->nfolders)
		return xstrdup(m->folders[f->cookie - 1].dir);
	buf_init(&dir, (size_t)64 * 1024);
	maildir_dir(&dir, fs, m->sep, f->raw_name);
	return buf_detach(&dir, NULL);
}

static int
maildir_folder_open(struct source *s, struct folder_info *f,
    const struct buf *token, uint32_t from_uid, enum delta *d, struct err *e)
{
	struct maildir *m = (struct maildir *)s;
	struct token t;
	bool known;

	if (f->refused != NULL)
		return err_set(e, ERR_MAILBOX, "%s", f->refused);
	m->box.path = directory_of(m, f);
	m->box.as_served = m->as_target && f->cookie == 0;
	m->box.by_file = s->conf.at_target && m->unverified;
	m->box.fd = maildir_open_path(m, m->box.path);
	if (m->box.fd == -1) {
		err_sys(e, quiet_scope(errno, ERR_MAILBOX), "%s",
		    f->raw_name);
		goto failed;
	}
	m->box.from_uid = from_uid;
	if (open_dirs(m, e) == -1 || maildir_watch(m, e) == -1)
		goto failed;
	known = token_parse(&t, token);
	if (known && !t.racy && !m->box.racy &&
	    strcmp(t.watch, m->box.watch.ptr) == 0) {
		m->box.count = f->messages = t.count;
		m->box.uids.uidvalidity = f->uidvalidity = t.uidvalidity;
		m->box.uids.uidnext = f->uidnext = t.uidnext;
		memcpy(m->box.hash, t.hash, sizeof t.hash);
		*d = DELTA_UNCHANGED;
		return 0;
	}
	if (list_now(m, f, e) == -1)
		goto failed;
	*d = known && strcmp(t.hash, m->box.hash) == 0 ? DELTA_UNCHANGED :
	    DELTA_FULL;
	return 0;
failed:
	maildir_folder_close(s);
	return -1;
}

static int
maildir_folder_count(struct source *s, uint64_t *n, struct err *e)
{
	(void)e;
	*n = ((struct maildir *)s)->box.count;
	return 0;
}

static int
maildir_folder_token(struct source *s, struct buf *token, struct err *e)
{
	struct maildir *m = (struct maildir *)s;

	if (buf_addf(token, TOKEN_HEAD "%d %" PRIu64 " %" PRIu32 " %" PRIu32
	    " %s\n", m->box.racy, m->box.count, m->box.uids.uidvalidity,
	    m->box.uids.uidnext, m->box.hash) == -1 ||
	    buf_add(token, m->box.watch.ptr, m->box.watch.len) == -1)
		return err_set(e, ERR_MAILBOX, "token too long");
	return 0;
}

static int
maildir_next(struct source *s, struct arena *a, struct msg_meta *meta,
    struct err *e)
{
	struct maildir *m = (struct maildir *)s;

	/* After DELTA_UNCHANGED by the directories' times. */
	if (!m->box.listed && list_now(m, m->s.folder, e) == -1)
		return -1;
	return maildir_message(m, a, meta, e);
}

static const char *const schemes[] = { "maildir", NULL };
static const char *const options[] = {
	"layout", "names", "listescape", NULL
};

const struct source_ops maildir_source = {
	.schemes = schemes,
	.options = options,
	.check = maildir_check,
	.open = maildir_open,
	.close = maildir_close,
	.account_facts = maildir_account_facts,
	.list = maildir_list,
	.folder_open = maildir_folder_open,
	.next = maildir_next,
	.want = maildir_want,
	.content = maildir_content,
	.folder_count = maildir_folder_count,
	.folder_token = maildir_folder_token,
	.folder_close = maildir_folder_close,
};

/* The same of a Dovecot Maildir that may be a target as well: its options say
 * how it is written. */
static const char *const dovecot_schemes[] = { "dovecot", NULL };
static const char *const dovecot_options[] = {
	"layout", "names", "listescape", "separator", "owner", "modes", "link",
	"verify", "via", NULL
};

const struct source_ops dovecot_source = {
	.schemes = dovecot_schemes,
	.options = dovecot_options,
	.check = maildir_check,
	.open = maildir_open,
	.close = maildir_close,
	.account_facts = maildir_account_facts,
	.list = maildir_list,
	.folder_open = maildir_folder_open,
	.next = maildir_next,
	.want = maildir_want,
	.content = maildir_content,
	.folder_count = maildir_folder_count,
	.folder_token = maildir_folder_token,
	.folder_close = maildir_folder_close,
};
