/*
 * Lists of subscribed mailboxes beside mbox files.
 *
 *	.subscriptions	Dovecot.  Version 1: a name per line, levels joined by
 *			'/'.  Version 2: "V\t2", an empty line, then a name
 *			per line, levels joined by TAB, in which \001t, \001r,
 *			\001n, \0011 stand for TAB, CR, LF, \001.
 *	.mailboxlist	UW and Pine, in the home directory: a name per line as
 *			the client gave it, such as mail/box; "{server}box" and
 *			"#news.group" name other places.
 *
 * Names are modified UTF-7, UTF-8 or any bytes, as those of files are.
 */
#include "mbox/mbox_subs.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/xmalloc.h"
#include "mbox/mbox_file.h"
#include "mbox/mbox_name.h"

#define SUBS_MAX	((size_t)4 << 20)	/* bytes read of a list */

struct subs {
	struct arena	*a;
	const char	**names;
	size_t		 n, cap;
};

static void
add_subscription(struct subs *l, const char *name, size_t len)
{
	if (len == 0)
		return;
	if (l->n == l->cap) {
		l->cap = l->cap == 0 ? 32 : l->cap * 2;
		l->names = xreallocarray(l->names, l->cap, sizeof *l->names);
	}
	l->names[l->n++] = arena_memdup0(l->a, name, len);
}

/* A name whose levels are joined by sep; in Dovecot's second version a level
 * has its control characters written as \001 and a letter. */
static void
add_levels(struct subs *l, const char *p, size_t len, char sep, bool v2)
{
	struct buf level, name;

	if (len == 5 && strncasecmp(p, "INBOX", 5) == 0) {
		add_subscription(l, "INBOX", 5);
		return;
	}
	buf_init(&level, 65536);
	buf_init(&name, 65536);
	for (size_t i = 0; i <= len; i++) {
		if (i == len || p[i] == sep) {
			if (name.len > 0)
				buf_addc(&name, '/');
			mbox_level(&name, level.ptr, level.len);
			buf_reset(&level);
		} else if (v2 && p[i] == '\001' && i + 1 < len) {
			switch (p[++i]) {
			case 't':
				buf_addc(&level, '\t');
				break;
			case 'r':
				buf_addc(&level, '\r');
				break;
			case 'n':
				buf_addc(&level, '\n');
				break;
			case '1':
				buf_addc(&level, '\001');
				break;
			default:
				buf_addc(&level, p[i]);
				break;
			}
		} else
			buf_addc(&level, p[i]);
	}
	if (memchr(name.ptr, '\0', name.len) == NULL)
		add_subscription(l, name.ptr, name.len);
	buf_release(&level);
	buf_release(&name);
}

/* The whole of a small file: 1, 0 when there is none, -1 with errno. */
static int
slurp(int dirfd, const char *name, struct buf *b)
{
	struct stat st;
	ssize_t got = -1;
	int fd = mbox_openat(dirfd, name, 0);

	if (fd == -1)
		return errno == ENOENT || errno == ELOOP ? 0 : -1;
	if (fstat(fd, &st) == -1 || !S_ISREG(st.st_mode)) {
		close(fd);
		return 0;
	}
	buf_init(b, SUBS_MAX);
	while (buf_reserve(b, 65536) == 0) {
		got = read(fd, b->ptr + b->len, 65536);
		if (got == -1 && errno == EINTR)
			continue;
		if (got <= 0)
			break;
		b->len += (size_t)got;
		b->ptr[b->len] = '\0';
	}
	close(fd);
	if (got == -1) {
		buf_release(b);
		return -1;
	}
	return 1;
}

typedef void line_fn(struct subs *, const char *, size_t, const char *arg);

static void
lines(const char *p, size_t len, struct subs *l, line_fn *line,
    const char *arg)
{
	for (const char *end = p + len; p < end;) {
		const char *nl = memchr(p, '\n', (size_t)(end - p));
		size_t n = (size_t)((nl != NULL ? nl : end) - p);
		const char *next = nl != NULL ? nl + 1 : end;

		if (n > 0 && p[n - 1] == '\r')
			n--;
		line(l, p, n, arg);
		p = next;
	}
}

/* Calls line() for each line of the file; as slurp(). */
static int
each_line(int dirfd, const char *file, struct subs *l, line_fn *line,
    const char *arg)
{
	struct buf b;
	int rc = slurp(dirfd, file, &b);

	if (rc != 1)
		return rc;
	lines(b.ptr, b.len, l, line, arg);
	buf_release(&b);
	return 1;
}

/* Names as a UW client gave them, relative to prefix, which is "" or ends in
 * '/'. */
static void
uw_line(struct subs *l, const char *p, size_t len, const char *prefix)
{
	size_t n = strlen(prefix);

	if (len >= 2 && memcmp(p, "~/", 2) == 0) {
		p += 2;
		len -= 2;
	}
	/* Names of servers and of other name spaces are not ours. */
	if (len == 0 || strchr("{#/~", p[0]) != NULL)
		return;
	if (n > 0 && !(len == 5 && strncasecmp(p, "INBOX", 5) == 0)) {
		if (len <= n || memcmp(p, prefix, n) != 0)
			return;
		p += n;
		len -= n;
	}
	add_levels(l, p, len, '/', false);
}

static void
dovecot_v1_line(struct subs *l, const char *p, size_t len, const char *arg)
{
	(void)arg;
	if (len > 0)
		add_levels(l, p, len, '/', false);
}

static void
dovecot_v2_line(struct subs *l, const char *p, size_t len, const char *arg)
{
	(void)arg;
	if (len > 0 && !(len >= 2 && p[0] == 'V' && p[1] == '\t'))
		add_levels(l, p, len, '\t', true);
}

static int
dovecot_list(int dirfd, struct subs *l)
{
	struct buf b;
	bool v2;
	int rc = slurp(dirfd, ".subscriptions", &b);

	if (rc != 1)
		return rc;
	v2 = b.len >= 4 && memcmp(b.ptr, "V\t2\n", 4) == 0;
	buf_release(&b);
	return each_line(dirfd, ".subscriptions", l, v2 ? dovecot_v2_line :
	    dovecot_v1_line, NULL);
}

/* The list of a UW home directory whose part below path is the tree. */
static int
list_above(int rootfd, const char *path, struct subs *l)
{
	size_t len = strlen(path), start;
	char *prefix;
	int rc, fd;

	while (len > 0 && path[len - 1] == '/')
		len--;
	for (start = len; start > 0 && path[start - 1] != '/';)
		start--;
	if (start == len || (len - start <= 2 &&
	    memcmp(path + start, "..", len - start) == 0))
		return 0;
	fd = mbox_openat(rootfd, "..", O_DIRECTORY);
	if (fd == -1)
		return 0;
	prefix = xmemdup0(path + start, len - start + 1);
	prefix[len - start] = '/';
	rc = each_line(fd, ".mailboxlist", l, uw_line, prefix);
	free(prefix);
	close(fd);
	/* A list of some other user's is none of ours. */
	return rc == -1 ? 0 : rc;
}

void
mbox_subscriptions(struct source *s, int rootfd, const char *path,
    struct arena *a, struct account_info *info)
{
	struct subs l = { .a = a };
	int dovecot, uw;
	const char **names;

	dovecot = dovecot_list(rootfd, &l);
	uw = dovecot == -1 ? -1 :
	    each_line(rootfd, ".mailboxlist", &l, uw_line, "");
	if (dovecot == -1 || uw == -1) {
		struct err why;

		/* Nothing that mail hangs on. */
		err_sys(&why, ERR_ACCOUNT, "cannot be read");
		if (s != NULL)
			source_warn(s, dovecot == -1 ? ".subscriptions" :
			    ".mailboxlist", "%s", why.text);
	}
	if (dovecot == 0 && uw == 0 && list_above(rootfd, path, &l) == 1 &&
	    l.n > 0)
		uw = 1;
	names = arena_alloc(a, (l.n + 1) * sizeof *names);
	if (l.n > 0)
		memcpy(names, l.names, l.n * sizeof *names);
	free(l.names);
	info->has_subscriptions = dovecot == 1 || uw == 1;
	info->subscriptions = names;
	info->nsubscriptions = l.n;
}

/* The name itself, without "./" and doubled or ending slashes. */
static void
raw_line(struct subs *l, const char *p, size_t len, const char *arg)
{
	struct buf b;

	(void)arg;
	if (len >= 2 && memcmp(p, "~/", 2) == 0) {
		p += 2;
		len -= 2;
	}
	if (len == 0 || strchr("{#/~", p[0]) != NULL)
		return;
	buf_init(&b, 65536);
	for (size_t i = 0; i < len;) {
		const char *slash = memchr(p + i, '/', len - i);
		size_t n = slash != NULL ? (size_t)(slash - p) - i : len - i;

		if (n > 0 && !(n == 1 && p[i] == '.')) {
			if (b.len > 0)
				buf_addc(&b, '/');
			buf_add(&b, p + i, n);
		}
		i += n + 1;
	}
	if (!b.full && memchr(b.ptr, '\0', b.len) == NULL)
		add_subscription(l, b.ptr, b.len);
	buf_release(&b);
}

static const char *const *
hand_out(struct subs *l)
{
	const char **names = arena_alloc(l->a, (l->n + 1) * sizeof *names);

	if (l->n > 0)
		memcpy(names, l->names, l->n * sizeof *names);
	names[l->n] = NULL;
	free(l->names);
	return names;
}

const char *const *
mbox_wanted_parse(const char *p, size_t len, struct arena *a)
{
	struct subs l = { .a = a };

	lines(p, len, &l, raw_line, NULL);
	return hand_out(&l);
}

const char *const *
mbox_wanted(int homefd, struct arena *a)
{
	struct subs l = { .a = a };

	/* A list that cannot be read is warned of with the subscriptions. */
	each_line(homefd, ".mailboxlist", &l, raw_line, NULL);
	return hand_out(&l);
}
