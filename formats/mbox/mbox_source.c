/*
 * Source: mailboxes in files.
 *
 *	mbox:FILE	one mailbox, INBOX
 *	mbox:DIR	a tree of them (mbox_tree.c)
 *
 * A file is an mbox (mbox_parse.c) or a UW mbx (mbx_parse.c), plain or
 * compressed; a compressed one is decoded once into a temporary file.  Links
 * on the path are followed where safepath.h says so, in a tree never.
 *
 * Options
 *	inbox=FILE	INBOX of a tree; in it, or an absolute path
 *	unquote=none|mboxo|mboxrd	(none) what to do with ">From " lines
 *	metadata=strip|keep	(strip) the fields in which mailbox programs
 *			keep flags and UIDs become facts and are no part of
 *			the message; with keep they stay there as well
 *	zone=local|utc|+hhmm	(local) zone of separators that name none.
 *			local is the zone of this machine (TZ), as it is for
 *			the servers and programs that wrote such separators in
 *			theirs: set TZ to that of the old server.  (qmail's
 *			own delivery writes UTC.)
 *
 * UIDs.  Only a mailbox whose first message has X-IMAPbase, or whose c-client
 * message has X-IMAP, has UIDs.  An X-UID holds if it is higher than those
 * before it and not higher than the last UID noted there.  From the first
 * message without such a one on, messages are numbered from that last UID on,
 * as a server would do it.  uidnext of the folder grows with that.
 *
 * Left out, and no part of the count: c-client's internal message; in Mozilla's
 * files messages marked as removed; separators with not one byte behind them.
 * The last two are warned of.
 *
 * The file is read up to the size it had when it was opened, with locks
 * respected (mbox_file.h).  If it has grown since and its last message goes on
 * beyond that size, that message is left for the next pass.  If it was written
 * anew, the mailbox fails with CAUSE_CHANGED.
 *
 * The cookie of a message is the offset of its separator.  The token is what
 * stat() says of the file, the options that shape messages, and the count.
 */
#include "mbox/mbox_source.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/xmalloc.h"
#include "mbox/mbox_impl.h"
#include "mbox/mbox_subs.h"
#include "mbox/mbox_tree.h"

#define LOCK_WAIT_MS	10000

/* Opening a store. */

static int
bad_option(struct err *e, const char *key, const char *val, const char *known)
{
	return err_set(e, ERR_RUN, "option %s=%s: it has to be %s", key, val,
	    known);
}

static int
read_uri(struct mbox_src *s, struct uri *u, struct err *e)
{
	const char *v;

	if (u->path == NULL || *u->path == '\0' || u->host != NULL)
		return err_set(e, ERR_RUN,
		    "mbox: needs the path of a file or a directory");
	s->path = u->path;
	s->inbox = uri_opt(u, "inbox");
	if (s->inbox != NULL && *s->inbox == '\0')
		return bad_option(e, "inbox", "", "a file name");
	if ((v = uri_opt(u, "unquote")) != NULL) {
		if (strcmp(v, "mboxo") == 0)
			s->quote = QUOTE_MBOXO;
		else if (strcmp(v, "mboxrd") == 0)
			s->quote = QUOTE_MBOXRD;
		else if (strcmp(v, "none") != 0)
			return bad_option(e, "unquote", v,
			    "none, mboxo or mboxrd");
	}
	if ((v = uri_opt(u, "metadata")) != NULL) {
		s->keep = strcmp(v, "keep") == 0;
		if (!s->keep && strcmp(v, "strip") != 0)
			return bad_option(e, "metadata", v, "strip or keep");
	}
	if ((v = uri_opt(u, "zone")) != NULL &&
	    from_zone_parse(v, &s->zone) == -1)
		return bad_option(e, "zone", v, "local, utc or +hhmm");
	snprintf(s->shape, sizeof s->shape, "%d%d%d%+d", s->quote, s->keep,
	    s->zone.fixed, s->zone.minutes);
	return 0;
}

static int
check(struct uri *u, struct err *e)
{
	struct mbox_src s;

	memset(&s, 0, sizeof s);
	return read_uri(&s, u, e);
}

static int
open_root(struct mbox_src *s, struct err *e)
{
	enum mbox_kind kind;
	struct safepath at;
	bool compressed;
	int rc = -1;

	if (safepath_open(&at, AT_FDCWD, s->path, false) == -1)
		return safepath_error(e, ERR_ACCOUNT, s->path);
	if (S_ISDIR(at.st.st_mode)) {
		close(at.dirfd);
		s->rootfd = at.fd;
		return 0;
	}
	if (s->inbox != NULL)
		err_set(e, ERR_ACCOUNT, "inbox= goes with a directory, and %s "
		    "is a file", s->path);
	else if (mbox_probe(at.fd, &kind, &compressed, e) == -1) {
		if (e->scope < ERR_ACCOUNT)
			e->scope = ERR_ACCOUNT;
		err_ctx(e, "%s", s->path);
	} else if (kind == KIND_OTHER)
		err_set(e, ERR_ACCOUNT, "%s is not an mbox: its first line "
		    "that is not empty is no separator (\"From \", sender, "
		    "date)", s->path);
	else {
		s->packed = compressed;
		rc = 0;
	}
	safepath_close(&at);
	return rc;
}

static void
close_source(struct source *sp)
{
	struct mbox_src *s = (struct mbox_src *)sp;

	if (s->rootfd != -1)
		close(s->rootfd);
	free(s);
}

static int
open_source(struct source **sp, const struct store_conf *conf, struct err *e)
{
	struct mbox_src *s;

	s = xcalloc(1, sizeof *s);
	s->rootfd = s->file.fd = s->file.orig = -1;
	if (read_uri(s, conf->uri, e) == -1 || open_root(s, e) == -1) {
		close_source(&s->s);
		return -1;
	}
	*sp = &s->s;
	return 0;
}

/* The account. */

static int
account_facts(struct source *sp, struct arena *a, struct account_info *info,
    struct err *e)
{
	struct mbox_src *s = (struct mbox_src *)sp;

	(void)e;
	if (s->rootfd != -1)
		mbox_subscriptions(sp, s->rootfd, s->path, a, info);
	return 0;
}

static int
list(struct source *sp, struct arena *a, struct folder_info **folders,
    size_t *n, struct err *e)
{
	struct mbox_src *s = (struct mbox_src *)sp;
	struct folder_info *f;
	const char **path;
	struct safepath at;

	if (s->rootfd != -1)
		return mbox_tree_list(sp, s->rootfd, s->path, s->inbox, a,
		    folders, n, e);
	if (safepath_open(&at, AT_FDCWD, s->path, false) == -1)
		return safepath_error(e, ERR_ACCOUNT, s->path);
	safepath_close(&at);
	path = arena_alloc(a, sizeof *path);
	path[0] = "INBOX";
	f = arena_zalloc(a, sizeof *f);
	f->path = path;
	f->npath = 1;
	f->name = path[0];
	f->raw_name = arena_strdup(a, s->path);
	f->messages = UNKNOWN64;
	f->bytes = s->packed ? UNKNOWN64 : (uint64_t)at.st.st_size;
	f->object_id = arena_printf(a, "%jx.%jx", (uintmax_t)at.st.st_dev,
	    (uintmax_t)at.st.st_ino);
	*folders = f;
	*n = 1;
	return 0;
}

/* A mailbox. */

/* Everything by which a change of the file, or of how it is read, shows. */
static int
print_token(struct mbox_src *s, struct buf *b)
{
	const struct stat *st = &s->file.st;

	return buf_addf(b, "mbox1 %jx %jx %jd %jd.%09ld %jd.%09ld %s ",
	    (uintmax_t)st->st_dev, (uintmax_t)st->st_ino,
	    (intmax_t)st->st_size, (intmax_t)st->st_mtim.tv_sec,
	    st->st_mtim.tv_nsec, (intmax_t)st->st_ctim.tv_sec,
	    st->st_ctim.tv_nsec, s->shape);
}

static bool
unchanged(struct mbox_src *s, const struct buf *token, uint64_t *count)
{
	struct buf b;
	bool same = false;
	char *end;

	buf_init(&b, 1024);
	if (token != NULL && token->len > 0 && print_token(s, &b) == 0 &&
	    token->len > b.len && memcmp(token->ptr, b.ptr, b.len) == 0) {
		errno = 0;
		*count = strtoull(token->ptr + b.len, &end, 10);
		same = errno == 0 && end == token->ptr + token->len;
	}
	buf_release(&b);
	return same;
}

/* The file of a folder. */
static int
open_file(struct mbox_src *s, const struct folder_info *f,
    struct safepath *at, struct err *e)
{
	int rc;

	if (s->rootfd == -1)
		rc = safepath_open(at, AT_FDCWD, s->path, false);
	else
		rc = mbox_tree_open(at, s->rootfd, f->raw_name);
	if (rc == -1) {
		safepath_error(e, ERR_MAILBOX, f->raw_name);
		e->cause = CAUSE_OTHER;	/* the account is there */
		return -1;
	}
	if (S_ISREG(at->st.st_mode))
		return 0;
	safepath_close(at);
	return err_set(e, ERR_MAILBOX, "%s is not a file", f->raw_name);
}

static void
folder_close(struct source *sp)
{
	struct mbox_src *s = (struct mbox_src *)sp;

	mbox_end(s);
	mbox_file_close(&s->file);
}

static int
folder_open(struct source *sp, struct folder_info *f,
    const struct buf *token, uint32_t from_uid, enum delta *d, struct err *e)
{
	struct mbox_src *s = (struct mbox_src *)sp;
	struct safepath at;
	int rc;

	if (f->refused != NULL)
		return err_set(e, ERR_MAILBOX, "%s", f->refused);
	if (open_file(s, f, &at, e) == -1)
		return -1;
	rc = mbox_file_open(&s->file, at.fd, at.dirfd, at.name, LOCK_WAIT_MS,
	    sp->conf.cancel_fd, e);
	close(at.dirfd);
	if (rc == -1)
		return -1;
	if (s->file.locked)
		source_warn(sp, NULL, "another program holds it locked: read "
		    "all the same, what it is writing may be missing");
	if (mbox_begin(s, f, from_uid, e) == -1) {
		mbox_file_close(&s->file);
		return -1;
	}
	s->known_count = UNKNOWN64;
	if (unchanged(s, token, &s->known_count)) {
		*d = DELTA_UNCHANGED;
		f->messages = s->known_count;
	}
	return 0;
}

static int
folder_token(struct source *sp, struct buf *token, struct err *e)
{
	struct mbox_src *s = (struct mbox_src *)sp;
	uint64_t n;

	/* A change that leaves no mark must not go unseen. */
	if (s->file.racy)
		return 0;
	if (mbox_count(sp, &n, e) == -1)
		return -1;
	if (print_token(s, token) == -1 ||
	    buf_addf(token, "%" PRIu64, n) == -1)
		buf_reset(token);
	return 0;
}

static const char *const schemes[] = { "mbox", NULL };
static const char *const options[] = {
	"inbox", "unquote", "metadata", "zone", NULL
};

const struct source_ops mbox_source = {
	.schemes = schemes, .options = options, .check = check,
	.open = open_source, .close = close_source,
	.account_facts = account_facts, .list = list,
	.folder_open = folder_open, .next = mbox_next, .content = mbox_content,
	.folder_count = mbox_count, .folder_token = folder_token,
	.folder_close = folder_close,
};
