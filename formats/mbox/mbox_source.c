/*
 * Source: mailboxes in files.
 *
 *	mbox:FILE	one mailbox, INBOX
 *	mbox:DIR	a tree of them (mbox_tree.c)
 *	mbox:HOME?layout=uw	what UW's programs and Pine keep in a home
 *			directory (mbox_uw.c)
 *
 * A file is an mbox (mbox_parse.c) or a UW mbx (mbx_parse.c), plain or
 * compressed; a compressed one is decoded once into a temporary file.  Links
 * on the path are followed where safepath.h says so, in a tree never.
 *
 * Options
 *	inbox=FILE	INBOX of a tree; in it, or an absolute path.  Of a home:
 *			the spool, an absolute path, in place of /var/mail/USER
 *			(USER as in as=, else the home's last level)
 *	layout=tree|uw	(tree) see above
 *	lock=fcntl,flock,dot|none	(fcntl,flock) the locks that reading takes.
 *			dot writes FILE.lock beside the file
 *	as=USER		read with that user's rights (asuser.h)
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
 * The file is read up to the size it had when it was opened, a moment at a time
 * under locks (mbox_file.h).  If it has grown since and its last message goes
 * on beyond that size, that message is left for the next pass.  If it was
 * written anew, the mailbox fails with CAUSE_CHANGED: nothing that was read
 * since the file was last found unharmed has been given out as good, and what
 * was given out before is found again by its digest when the mailbox is read
 * again.  Asked to be stable, the mailbox is copied first, under its locks, and
 * cannot change any more.
 *
 * The cookie of a message is the offset of its separator, and in the highest
 * bits which file of two it lies in.  The token is what
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
#include "mbox/mbox_uw.h"

#define LOCK_WAIT_MS	10000
#define BOX_SHIFT	62	/* in a cookie */

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
	if ((v = uri_opt(u, "layout")) != NULL) {
		s->uw = strcmp(v, "uw") == 0;
		if (!s->uw && strcmp(v, "tree") != 0)
			return bad_option(e, "layout", v, "tree or uw");
	}
	if (s->uw && s->inbox != NULL && *s->inbox != '/')
		return bad_option(e, "inbox", s->inbox, "an absolute path "
		    "with layout=uw");
	s->user = uri_opt(u, "as");
	if (s->user != NULL && *s->user == '\0')
		return bad_option(e, "as", "", "a user of this machine");
	if (s->uw) {
		char *spool = uw_spool(s->path, s->user, s->inbox);

		if (spool == NULL)
			return err_set(e, ERR_RUN, "layout=uw: %s does not "
			    "tell whose home it is: say as=USER or inbox=FILE",
			    s->path);
		free(spool);
	}
	s->locks = MBOX_LOCK_USUAL;
	if ((v = uri_opt(u, "lock")) != NULL &&
	    mbox_lock_parse(v, &s->locks) == -1)
		return bad_option(e, "lock", v, "none, or some of fcntl, "
		    "flock and dot, parted by commas");
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
		if (s->uw)
			s->spool = uw_spool(s->path, s->user, s->inbox);
		return 0;
	}
	if (s->uw)
		err_set(e, ERR_ACCOUNT, "layout=uw goes with a home directory, "
		    "and %s is a file", s->path);
	else if (s->inbox != NULL)
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
	asuser_free(&s->as);
	free(s->spool);
	free(s);
}

static int
open_source(struct source **sp, const struct store_conf *conf, struct err *e)
{
	struct mbox_src *s;
	int rc;

	s = xcalloc(1, sizeof *s);
	s->rootfd = -1;
	if (read_uri(s, conf->uri, e) == -1 || (s->user != NULL &&
	    (s->as = asuser_new(s->user, e)) == NULL) ||
	    asuser_enter(s->as, e) == -1) {
		close_source(&s->s);
		return -1;
	}
	rc = open_root(s, e);
	asuser_leave(s->as);
	if (rc == -1) {
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

	if (s->rootfd == -1)
		return 0;
	if (asuser_enter(s->as, e) == -1)
		return -1;
	mbox_subscriptions(sp, s->rootfd, s->path, a, info);
	asuser_leave(s->as);
	return 0;
}

static int
list_file(struct mbox_src *s, struct arena *a, struct folder_info **folders,
    size_t *n, struct err *e)
{
	struct folder_info *f;
	const char **path;
	struct safepath at;

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

static int
list(struct source *sp, struct arena *a, struct folder_info **folders,
    size_t *n, struct err *e)
{
	struct mbox_src *s = (struct mbox_src *)sp;
	int rc;

	if (asuser_enter(s->as, e) == -1)
		return -1;
	if (s->rootfd == -1)
		rc = list_file(s, a, folders, n, e);
	else if (s->uw)
		rc = uw_list(sp, s->rootfd, s->path, s->spool, a, folders, n,
		    e);
	else
		rc = mbox_tree_list(sp, s->rootfd, s->path, s->inbox, a,
		    folders, n, e);
	asuser_leave(s->as);
	return rc;
}

/* A mailbox. */

/* Everything by which a change of the files, or of how they are read, shows. */
static int
print_token(struct mbox_src *s, struct buf *b)
{
	if (buf_addf(b, "mbox2 %s ", s->shape) == -1)
		return -1;
	for (size_t i = 0; i < s->nbox; i++) {
		const struct stat *st = &s->box[i].file.st;

		if (buf_addf(b, "%jx %jx %jd %jd.%09ld %jd.%09ld ",
		    (uintmax_t)st->st_dev, (uintmax_t)st->st_ino,
		    (intmax_t)st->st_size, (intmax_t)st->st_mtim.tv_sec,
		    st->st_mtim.tv_nsec, (intmax_t)st->st_ctim.tv_sec,
		    st->st_ctim.tv_nsec) == -1)
			return -1;
	}
	return 0;
}

static bool
unchanged(struct mbox_src *s, const struct buf *token, uint64_t *count)
{
	unsigned long long n;
	struct buf b;
	bool same = false;
	char *end;

	buf_init(&b, 1024);
	if (token != NULL && token->len > 0 && print_token(s, &b) == 0 &&
	    token->len > b.len && memcmp(token->ptr, b.ptr, b.len) == 0) {
		errno = 0;
		n = strtoull(token->ptr + b.len, &end, 10);
		same = errno == 0 && end == token->ptr + token->len;
		if (same)
			*count = n;
	}
	buf_release(&b);
	return same;
}

/* The file of a folder: raw_name, or one of those of a home's INBOX. */
static int
open_path(struct mbox_src *s, const char *raw_name, struct safepath *at,
    struct err *e)
{
	int rc;

	if (s->rootfd == -1)
		rc = safepath_open(at, AT_FDCWD, s->path, false);
	else
		rc = mbox_tree_open(at, s->rootfd, raw_name);
	if (rc == -1) {
		bool missing = errno == ENOENT;

		safepath_error(e, ERR_MAILBOX, raw_name);
		/* The account is there; an INBOX may lie elsewhere. */
		e->cause = missing ? CAUSE_MISSING : CAUSE_OTHER;
		return -1;
	}
	if (S_ISREG(at->st.st_mode))
		return 0;
	safepath_close(at);
	return err_set(e, ERR_MAILBOX, "%s is not a file", raw_name);
}

static void
folder_close(struct source *sp)
{
	struct mbox_src *s = (struct mbox_src *)sp;

	for (; s->nbox > 0; s->nbox--) {
		mbox_end(&s->box[s->nbox - 1]);
		mbox_file_close(&s->box[s->nbox - 1].file);
	}
}

/* One file more; it is not held any longer. */
static int
open_box(struct mbox_src *s, const char *raw_name, struct folder_info *f,
    uint32_t from_uid, struct err *e)
{
	struct mbox_file_conf conf = {
		.locks = s->locks, .wait_ms = LOCK_WAIT_MS,
		.stable = f->stable, .cancel_fd = s->s.conf.cancel_fd,
		.as = s->as,
	};
	struct mbox_box *b = &s->box[s->nbox];
	struct safepath at;
	struct err changed;
	int rc;

	if (open_path(s, raw_name, &at, e) == -1)
		return -1;
	memset(b, 0, sizeof *b);
	b->src = s;
	if (mbox_file_open(&b->file, &at, &conf, e) == -1)
		return -1;
	rc = mbox_begin(b, f, from_uid, e);
	/* What makes no sense may only have been written meanwhile. */
	if (mbox_file_held(&b->file) &&
	    mbox_file_release(&b->file, &changed) == -1) {
		if (rc == 0)
			mbox_end(b);
		*e = changed;
		rc = -1;
	}
	if (rc == -1) {
		mbox_file_close(&b->file);
		return -1;
	}
	s->nbox++;
	return 0;
}

/*
 * A home's INBOX: ~/mbox, into which UW's programs move what the spool has, and
 * the spool.  Either may be missing.  While the second is opened the first must
 * not change, or mail that was moved between them would be seen nowhere.
 */
static int
open_inbox(struct mbox_src *s, struct folder_info *f, uint32_t from_uid,
    struct err *e)
{
	const char *const names[BOXES] = { UW_MBOX, s->spool };

	for (size_t i = f->cookie & UW_NO_MBOX ? 1 : 0; i < BOXES; i++)
		if (open_box(s, names[i], f, from_uid, e) == -1 &&
		    e->cause != CAUSE_MISSING)
			return -1;
	if (s->nbox < BOXES)
		return 0;
	if (!mbox_file_same(&s->box[0].file))
		return mbox_file_rewritten(e);
	/* The UIDs of two files are not those of one mailbox. */
	f->uidvalidity = f->uidnext = 0;
	for (size_t i = 0; i < BOXES; i++)
		s->box[i].has_uids = false;
	return 0;
}

static int
open_boxes(struct mbox_src *s, struct folder_info *f, uint32_t from_uid,
    struct err *e)
{
	int rc;

	if (asuser_enter(s->as, e) == -1)
		return -1;
	s->nbox = s->cur = 0;
	f->messages = UNKNOWN64;
	f->uidvalidity = f->uidnext = 0;
	if (s->uw && (f->cookie & UW_INBOX))
		rc = open_inbox(s, f, from_uid, e);
	else {
		rc = open_box(s, f->raw_name, f, from_uid, e);
		if (rc == -1 && e->cause == CAUSE_MISSING)
			e->cause = CAUSE_OTHER;
	}
	asuser_leave(s->as);
	if (rc == -1)
		folder_close(&s->s);
	return rc;
}

static int
folder_open(struct source *sp, struct folder_info *f,
    const struct buf *token, uint32_t from_uid, enum delta *d, struct err *e)
{
	struct mbox_src *s = (struct mbox_src *)sp;

	if (f->refused != NULL)
		return err_set(e, ERR_MAILBOX, "%s", f->refused);
	if (open_boxes(s, f, from_uid, e) == -1)
		return -1;
	s->known_count = UNKNOWN64;
	if (unchanged(s, token, &s->known_count)) {
		*d = DELTA_UNCHANGED;
		f->messages = s->known_count;
	}
	return 0;
}

/* Messages. */

static int
next(struct source *sp, struct arena *a, struct msg_meta *m, struct err *e)
{
	struct mbox_src *s = (struct mbox_src *)sp;
	int rc = 0;

	if (asuser_enter(s->as, e) == -1)
		return -1;
	while (s->cur < s->nbox &&
	    (rc = mbox_next(&s->box[s->cur], a, m, e)) == 0)
		s->cur++;
	asuser_leave(s->as);
	if (rc == 1)
		m->cookie |= (uint64_t)s->cur << BOX_SHIFT;
	return rc;
}

static uint64_t
offset_of(const struct msg_meta *m)
{
	return m->cookie & (((uint64_t)1 << BOX_SHIFT) - 1);
}

static int
want(struct source *sp, const struct msg_meta *const *m, size_t n,
    struct err *e)
{
	struct mbox_src *s = (struct mbox_src *)sp;
	uint64_t *from;
	int rc = 0;

	if (asuser_enter(s->as, e) == -1)
		return -1;
	from = xcalloc(n, sizeof *from);
	for (size_t i = 0; i < s->nbox && rc == 0; i++) {
		size_t k = 0;

		for (size_t j = 0; j < n; j++)
			if (m[j]->cookie >> BOX_SHIFT == i)
				from[k++] = offset_of(m[j]);
		if (k > 0)
			rc = mbox_want(&s->box[i], from, k, e);
	}
	asuser_leave(s->as);
	free(from);
	return rc;
}

static int
content(struct source *sp, const struct msg_meta *m, struct content **c,
    struct err *e)
{
	struct mbox_src *s = (struct mbox_src *)sp;
	struct mbox_box *b = &s->box[m->cookie >> BOX_SHIFT];
	int rc;

	if (asuser_enter(s->as, e) == -1)
		return -1;
	rc = mbox_content(b, offset_of(m), c, e);
	asuser_leave(s->as);
	return rc;
}

static int
folder_count(struct source *sp, uint64_t *n, struct err *e)
{
	struct mbox_src *s = (struct mbox_src *)sp;
	uint64_t one;
	int rc = 0;

	*n = 0;
	if (s->known_count != UNKNOWN64) {
		*n = s->known_count;
		return 0;
	}
	if (asuser_enter(s->as, e) == -1)
		return -1;
	for (size_t i = 0; i < s->nbox && rc == 0; i++) {
		rc = mbox_count(&s->box[i], &one, e);
		*n += rc == 0 ? one : 0;
	}
	asuser_leave(s->as);
	return rc;
}

static int
folder_token(struct source *sp, struct buf *token, struct err *e)
{
	struct mbox_src *s = (struct mbox_src *)sp;
	uint64_t n;

	/* A change that leaves no mark must not go unseen. */
	for (size_t i = 0; i < s->nbox; i++)
		if (s->box[i].file.racy)
			return 0;
	if (s->nbox == 0)
		return 0;
	if (folder_count(sp, &n, e) == -1)
		return -1;
	if (print_token(s, token) == -1 ||
	    buf_addf(token, "%" PRIu64, n) == -1)
		buf_reset(token);
	return 0;
}

static const char *const schemes[] = { "mbox", NULL };
static const char *const options[] = {
	"inbox", "unquote", "metadata", "zone", "layout", "lock", "as", NULL
};

const struct source_ops mbox_source = {
	.schemes = schemes, .options = options, .check = check,
	.open = open_source, .close = close_source,
	.account_facts = account_facts, .list = list,
	.folder_open = folder_open, .next = next, .want = want,
	.content = content, .folder_count = folder_count,
	.folder_token = folder_token,
	.folder_close = folder_close,
};
