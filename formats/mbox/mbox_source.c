/*
 * Source: mailboxes in files.
 *
 *	mbox:FILE	one mailbox, INBOX
 *	mbox:DIR	a tree of them (mbox_tree.c)
 *
 * A file is an mbox (mbox_parse.c) or a UW mbx (mbx_parse.c), plain or
 * compressed; a compressed one is decoded once into a temporary file.  The
 * path may not end in a symbolic link, so that nobody can have another user's
 * mail read for his own; a trailing slash follows a link to a directory.
 *
 * Options
 *	inbox=FILE	INBOX of a tree; relative to it, or absolute
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
#include "mbox/mbox_facts.h"
#include "mbox/mbox_file.h"
#include "mbox/mbox_parse.h"
#include "mbox/mbox_quote.h"
#include "mbox/mbox_subs.h"
#include "mbox/mbox_tree.h"
#include "mbox/mbx_parse.h"

#define LOCK_WAIT_MS	10000
#define DOUBTS_MAX	200	/* named one by one in a mailbox */
/* Messages whose places are remembered between next() and content(); beyond
 * that a message is looked for again in the file. */
#define PLACES		512
#define PLACE_CUTS	6

/* Where a message lies; offsets in the file. */
struct place {
	uint64_t	from, start, body, end;
	uint64_t	quoted;
	size_t		ncuts;		/* more than PLACE_CUTS: too many */
	struct content_cut cuts[PLACE_CUTS];	/* offsets in the message */
};

struct mbox_src {
	struct source	 s;
	int		 rootfd;	/* of a tree; -1: a single file */
	const char	*path;		/* borrowed from the URI */
	const char	*inbox;
	struct from_zone zone;
	enum mbox_quote	 quote;
	bool		 keep;
	char		 shape[16];	/* the options, for the token */

	/* The open mailbox. */
	struct mbox_file file;
	struct mbox_scan *scan, *again;	/* again: looks for one message */
	struct mbx	 mbx;
	struct mbox_msg	 first;		/* already found */
	struct place	*places;	/* ring, offsets ascending */
	size_t		 nplaces;	/* ever remembered */
	struct content_cut *cuts;	/* of the message in hand */
	size_t		 ncuts, capcuts;
	bool		 have_first, ended, broken;
	uint64_t	 left_out;	/* internal, removed, half written */
	uint64_t	 known_count;	/* from the token, or UNKNOWN64 */
	uint32_t	 from_uid;
	/* UIDs */
	bool		 has_uids, renumber;
	char		*listed;	/* keywords, or NULL */
	uint32_t	 last_uid, prev_uid;
	/* for the report */
	uint64_t	 doubts, expunged, numbered, unquoted, unlisted;
};

/* Opening a store. */

static int
bad_option(struct err *e, const char *key, const char *val, const char *known)
{
	return err_set(e, ERR_RUN, "option %s=%s: it has to be %s", key, val,
	    known);
}

static int
read_options(struct mbox_src *s, struct uri *u, struct err *e)
{
	const char *v;

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

/* For a file that cannot be opened. */
static int
open_error(struct err *e, enum err_scope scope, const char *name)
{
	int sys = errno;

	if (sys == ELOOP)
		return err_set(e, scope, "%s is a symbolic link; name what it "
		    "points to", name);
	err_sys(e, sys == EIO || sys == ESTALE ? ERR_HOST : scope, "open %s",
	    name);
	if (sys == ENOENT || sys == ENOTDIR)
		e->cause = CAUSE_MISSING;
	return -1;
}

static int
open_root(struct mbox_src *s, struct err *e)
{
	enum mbox_kind kind;
	struct stat st;
	bool compressed;
	int fd, rc = -1;

	/* Not to open what may be a device. */
	if (fstatat(AT_FDCWD, s->path, &st, AT_SYMLINK_NOFOLLOW) == -1)
		return open_error(e, ERR_ACCOUNT, s->path);
	if (!S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode) &&
	    !S_ISLNK(st.st_mode))
		return err_set(e, ERR_ACCOUNT, "%s is neither a file nor a "
		    "directory", s->path);
	if ((fd = mbox_openat(AT_FDCWD, s->path, 0)) == -1)
		return open_error(e, ERR_ACCOUNT, s->path);
	if (fstat(fd, &st) == -1)
		rc = err_sys(e, ERR_ACCOUNT, "stat %s", s->path);
	else if (S_ISDIR(st.st_mode)) {
		s->rootfd = fd;
		return 0;
	} else if (!S_ISREG(st.st_mode))
		err_set(e, ERR_ACCOUNT, "%s is neither a file nor a "
		    "directory", s->path);
	else if (s->inbox != NULL)
		err_set(e, ERR_ACCOUNT, "inbox= goes with a directory, and %s "
		    "is a file", s->path);
	else if (mbox_probe(fd, &kind, &compressed, e) == -1) {
		if (e->scope < ERR_ACCOUNT)
			e->scope = ERR_ACCOUNT;
		err_ctx(e, "%s", s->path);
	} else if (kind == KIND_OTHER)
		err_set(e, ERR_ACCOUNT, "%s is not an mbox: its first line "
		    "that is not empty is no separator (\"From \", sender, "
		    "date)", s->path);
	else
		rc = 0;
	close(fd);
	return rc;
}

static void
close_source(struct source *sp)
{
	struct mbox_src *s = (struct mbox_src *)sp;

	if (s->rootfd != -1)
		close(s->rootfd);
	free(s->places);
	free(s->cuts);
	free(s);
}

static int
open_source(struct source **sp, const struct store_conf *conf, struct err *e)
{
	struct mbox_src *s;

	if (conf->uri->path == NULL || *conf->uri->path == '\0' ||
	    conf->uri->host != NULL)
		return err_set(e, ERR_RUN,
		    "mbox: needs the path of a file or a directory");
	s = xcalloc(1, sizeof *s);
	s->rootfd = s->file.fd = s->file.orig = -1;
	s->path = conf->uri->path;
	if (read_options(s, conf->uri, e) == -1 || open_root(s, e) == -1) {
		close_source(&s->s);
		return -1;
	}
	s->places = xcalloc(PLACES, sizeof *s->places);
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
	struct stat st;

	if (s->rootfd != -1)
		return mbox_tree_list(sp, s->rootfd, s->path, s->inbox, a,
		    folders, n, e);
	if (fstatat(AT_FDCWD, s->path, &st, AT_SYMLINK_NOFOLLOW) == -1)
		return open_error(e, ERR_ACCOUNT, s->path);
	path = arena_alloc(a, sizeof *path);
	path[0] = "INBOX";
	f = arena_zalloc(a, sizeof *f);
	f->path = path;
	f->npath = 1;
	f->name = path[0];
	f->raw_name = arena_strdup(a, s->path);
	f->messages = UNKNOWN64;
	f->bytes = (uint64_t)st.st_size;
	f->object_id = arena_printf(a, "%jx.%jx", (uintmax_t)st.st_dev,
	    (uintmax_t)st.st_ino);
	*folders = f;
	*n = 1;
	return 0;
}

/* A mailbox. */

static const char *
doubt_text(enum mbox_doubt why)
{
	switch (why) {
	case DOUBT_GLUED:
		return "doubtful separator, taken as one: no empty line is "
		    "before it";
	case DOUBT_NO_HEADER:
		return "doubtful separator, taken as one: no header field "
		    "follows";
	case DOUBT_FIRST:
		return "doubtful separator, taken as one: it has no date that "
		    "is understood";
	case DOUBT_IN_LENGTH:
		return "doubtful separator, left in the message: it lies in "
		    "what the Content-Length covers";
	case DOUBT_DATE_ONLY:
		return "doubtful separator, left in the message: it has a "
		    "date, but too little around it fits";
	case DOUBT_NO_DATE:
		return "doubtful separator, left in the message: all around "
		    "it fits, but it has no date that is understood";
	}
	return "";
}

/* A line of the report with an offset; too many are only counted. */
static void
warn_at(struct mbox_src *s, uint64_t off, const char *text)
{
	char where[40];

	if (s->doubts++ >= DOUBTS_MAX)
		return;
	snprintf(where, sizeof where, "offset %" PRIu64, off);
	source_warn(&s->s, where, "%s", text);
}

static void
on_doubt(void *ctx, uint64_t off, enum mbox_doubt why)
{
	warn_at(ctx, off, doubt_text(why));
}

static struct mbox_scan *
new_scan(struct mbox_src *s, bool doubts)
{
	struct mbox_scan_conf conf = {
		.read = mbox_file_read, .read_ctx = &s->file,
		.doubt = doubts ? on_doubt : NULL, .doubt_ctx = s,
		.size = s->file.size, .quote = s->quote,
	};

	return mbox_scan_new(&conf);
}

/* What is no mail, and why. */
enum hidden { HIDDEN_NOT, HIDDEN_INTERNAL, HIDDEN_REMOVED, HIDDEN_NOTHING };

static enum hidden
hidden(const struct mbox_scan *scan, const struct mbox_msg *m)
{
	struct mbox_base base;

	if (m->first && mbox_head_pseudo(m->head, &base))
		return HIDDEN_INTERNAL;
	if (mbox_scan_mozilla(scan) && mbox_facts_expunged(m->head))
		return HIDDEN_REMOVED;
	if (m->next == m->start)
		return HIDDEN_NOTHING;
	return HIDDEN_NOT;
}

/* UIDVALIDITY, last UID and keywords from the first header. */
static void
learn_base(struct mbox_src *s, struct folder_info *f)
{
	const struct mbox_head *h = s->first.head;
	struct mbox_base base;

	if (!mbox_head_pseudo(h, &base) &&
	    !mbox_head_base(h, HEAD_XIMAPBASE, &base)) {
		if (mbox_head_base(h, HEAD_XIMAP, &base))
			source_warn(&s->s, NULL, "the first message has an "
			    "X-IMAP field but came by mail: the field is not "
			    "believed");
		return;
	}
	s->has_uids = true;
	s->last_uid = base.last_uid;
	s->listed = xstrdup(base.keywords);
	f->uidvalidity = base.uidvalidity;
	f->uidnext = base.last_uid == UINT32_MAX ? 0 : base.last_uid + 1;
}

static int
open_mbx(struct mbox_src *s, struct folder_info *f, struct err *e)
{
	if (mbx_start(&s->mbx, mbox_file_read, &s->file, s->file.size, e) == -1)
		return -1;
	s->has_uids = s->mbx.uidvalidity != 0;
	s->last_uid = s->mbx.last_uid;
	f->uidvalidity = s->mbx.uidvalidity;
	f->uidnext = s->last_uid == UINT32_MAX ? 0 : s->last_uid + 1;
	return 0;
}

static int
open_mbox(struct mbox_src *s, struct folder_info *f, struct err *e)
{
	int rc;

	s->scan = new_scan(s, true);
	if ((rc = mbox_scan_next(s->scan, &s->first, e)) == -1)
		return -1;
	s->have_first = rc == 1;
	if (s->have_first)
		learn_base(s, f);
	if (mbox_scan_leading(s->scan) > 0 && s->have_first)
		source_warn(&s->s, NULL, "%" PRIu64 " bytes before the first "
		    "message (blank lines, byte order mark, NULs) left out",
		    mbox_scan_leading(s->scan));
	return 0;
}

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

/* The file of a folder; *dirfd and *name are what it was opened by, and
 * *opened_dir says that dirfd is to be closed. */
static int
open_file(struct mbox_src *s, const struct folder_info *f, int *dirfd,
    const char **name, bool *opened_dir, struct err *e)
{
	struct stat st;
	int fd;

	*opened_dir = false;
	if (s->rootfd == -1) {
		*dirfd = AT_FDCWD;
		*name = s->path;
	} else if (s->inbox != NULL && strcmp(f->raw_name, s->inbox) == 0) {
		*dirfd = s->rootfd;
		*name = s->inbox;
	} else {
		*dirfd = mbox_tree_parent(s->rootfd, f->raw_name, name);
		if (*dirfd == -1)
			return open_error(e, ERR_MAILBOX, f->raw_name);
		*opened_dir = true;
	}
	if (fstatat(*dirfd, *name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	    !S_ISREG(st.st_mode))
		err_set(e, ERR_MAILBOX, "%s is not a file", f->raw_name);
	else if ((fd = mbox_openat(*dirfd, *name, 0)) == -1)
		open_error(e, ERR_MAILBOX, f->raw_name);
	else
		return fd;
	if (e->cause == CAUSE_MISSING)
		e->cause = CAUSE_OTHER;	/* the account is there */
	if (*opened_dir)
		close(*dirfd);
	return -1;
}

static void
folder_close(struct source *sp)
{
	struct mbox_src *s = (struct mbox_src *)sp;

	mbox_scan_free(&s->scan);
	mbox_scan_free(&s->again);
	mbox_file_close(&s->file);
	free(s->listed);
	s->listed = NULL;
}

static void
reset_folder(struct mbox_src *s, uint32_t from_uid)
{
	s->nplaces = 0;
	s->have_first = s->ended = s->broken = false;
	s->left_out = 0;
	s->known_count = UNKNOWN64;
	s->from_uid = from_uid;
	s->has_uids = s->renumber = false;
	s->last_uid = s->prev_uid = 0;
	s->doubts = s->expunged = s->numbered = 0;
	s->unquoted = s->unlisted = 0;
}

static int
folder_open(struct source *sp, struct folder_info *f,
    const struct buf *token, uint32_t from_uid, enum delta *d, struct err *e)
{
	struct mbox_src *s = (struct mbox_src *)sp;
	const char *name;
	bool opened_dir;
	int fd, dirfd, rc;

	if (f->refused != NULL)
		return err_set(e, ERR_MAILBOX, "%s", f->refused);
	if ((fd = open_file(s, f, &dirfd, &name, &opened_dir, e)) == -1)
		return -1;
	reset_folder(s, from_uid);
	rc = mbox_file_open(&s->file, fd, dirfd, name, LOCK_WAIT_MS,
	    sp->conf.cancel_fd, e);
	if (opened_dir)
		close(dirfd);
	if (rc == -1)
		return -1;
	if (s->file.locked)
		source_warn(sp, NULL, "another program holds it locked: read "
		    "all the same, what it is writing may be missing");
	if (s->file.kind == KIND_OTHER)
		rc = err_set(e, ERR_MAILBOX, "not an mbox: the first line "
		    "that is not empty is no separator (\"From \", sender, "
		    "date)");
	else if (s->file.kind == KIND_MBX)
		rc = open_mbx(s, f, e);
	else
		rc = open_mbox(s, f, e);
	if (rc == -1) {
		folder_close(sp);
		return -1;
	}
	f->messages = UNKNOWN64;
	if (unchanged(s, token, &s->known_count)) {
		*d = DELTA_UNCHANGED;
		f->messages = s->known_count;
	}
	return 0;
}

/* Messages. */

/* The UID of a message: its own (0: it has none), if it can be believed. */
static uint32_t
give_uid(struct mbox_src *s, uint32_t own)
{
	if (!s->has_uids)
		return 0;
	if (!s->renumber && own > s->prev_uid && own <= s->last_uid) {
		s->prev_uid = own;
		return own;
	}
	s->renumber = true;
	if (s->last_uid == UINT32_MAX)
		return 0;
	s->last_uid++;
	s->numbered++;
	s->s.folder->uidnext = s->last_uid == UINT32_MAX ? 0 :
	    s->last_uid + 1;
	return s->last_uid;
}

static uint32_t
own_uid(const struct mbox_msg *m)
{
	const char *p = m->head->value[HEAD_XUID].ptr;
	unsigned long v;
	char *end;

	/* In the first message it means something only behind the base. */
	if (!m->head->seen[HEAD_XUID] ||
	    (m->first && !m->head->base_first))
		return 0;
	p += strspn(p, " \t");
	if (*p < '0' || *p > '9')
		return 0;
	errno = 0;
	v = strtoul(p, &end, 10);
	if (errno != 0 || v > UINT32_MAX || end[strspn(end, " \t")] != '\0')
		return 0;
	return (uint32_t)v;
}

/* s->cuts: what is left out of the message, offsets in it. */
static void
find_cuts(struct mbox_src *s, const struct mbox_msg *m)
{
	s->ncuts = 0;
	if (s->keep)
		return;
	for (size_t i = 0; i < m->head->ncuts; i++) {
		const struct head_cut *h = &m->head->cuts[i];
		struct content_cut *last;

		if (h->length && !m->length_used)
			continue;
		last = s->ncuts > 0 ? &s->cuts[s->ncuts - 1] : NULL;
		if (last != NULL && last->end == h->start - m->start) {
			last->end = h->end - m->start;
			continue;
		}
		if (s->ncuts == s->capcuts) {
			s->capcuts = s->capcuts == 0 ? 16 : s->capcuts * 2;
			s->cuts = xreallocarray(s->cuts, s->capcuts,
			    sizeof *s->cuts);
		}
		s->cuts[s->ncuts++] = (struct content_cut){
			h->start - m->start, h->end - m->start
		};
	}
}

static uint64_t
cut_bytes(const struct content_cut *cuts, size_t n)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < n; i++)
		sum += cuts[i].end - cuts[i].start;
	return sum;
}

static void
make_place(struct mbox_src *s, const struct mbox_msg *m, struct place *p)
{
	p->from = m->from;
	p->start = m->start;
	p->body = m->body;
	p->end = m->end;
	p->quoted = m->quoted;
	p->ncuts = s->ncuts;
	for (size_t i = 0; i < s->ncuts && i < PLACE_CUTS; i++)
		p->cuts[i] = s->cuts[i];
}

/* The places are in a ring, those that were remembered last. */
static const struct place *
find_place(const struct mbox_src *s, uint64_t from)
{
	size_t lo = s->nplaces > PLACES ? s->nplaces - PLACES : 0;
	size_t hi = s->nplaces;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		const struct place *p = &s->places[mid % PLACES];

		if (p->from == from)
			return p->ncuts > PLACE_CUTS ? NULL : p;
		if (p->from < from)
			lo = mid + 1;
		else
			hi = mid;
	}
	return NULL;
}

/* Does a message that ends at the size we know go on behind it? */
static int
half_written(struct mbox_src *s, const struct mbox_msg *m, struct err *e)
{
	char p[8];
	ssize_t n;
	size_t i = 0;

	if (m->next < s->file.size)
		return 0;
	switch (mbox_file_change(&s->file)) {
	case CHANGE_NONE:
		return 0;
	case CHANGE_REWRITTEN:
		return mbox_file_rewritten(e);
	case CHANGE_GROWN:
		break;
	}
	n = mbox_file_read(&s->file, p, sizeof p, s->file.size, e);
	if (n <= 0)
		return n == 0 ? mbox_file_rewritten(e) : -1;
	/* The empty line may be there already, or not. */
	if (p[0] == '\n')
		i = 1;
	else if (n >= 2 && p[0] == '\r' && p[1] == '\n')
		i = 2;
	n -= (ssize_t)i;
	return n > 0 && memcmp(p + i, "From ", n < 5 ? (size_t)n : 5) != 0;
}

/* The end of the mailbox: 0, and what was noticed on the way. */
static int
at_end(struct mbox_src *s, struct err *e)
{
	if (s->ended)
		return 0;
	if (mbox_file_change(&s->file) == CHANGE_REWRITTEN) {
		s->broken = true;
		return mbox_file_rewritten(e);
	}
	s->ended = true;
	if (s->doubts > DOUBTS_MAX)
		source_warn(&s->s, NULL, "%" PRIu64 " more doubtful "
		    "separators", s->doubts - DOUBTS_MAX);
	if (s->expunged > 0)
		source_warn(&s->s, NULL, "%" PRIu64 " messages that were "
		    "removed but not yet cleared away left out", s->expunged);
	if (s->numbered > 0)
		source_warn(&s->s, NULL, "%" PRIu64 " messages had no UID "
		    "that fits and were given new ones, up to %" PRIu32,
		    s->numbered, s->last_uid);
	if (s->unquoted > 0)
		source_warn(&s->s, NULL, "quoting of lines \"From ...\" "
		    "undone in %" PRIu64 " messages", s->unquoted);
	if (s->unlisted > 0)
		source_warn(&s->s, NULL, "%" PRIu64 " messages have keywords "
		    "that the mailbox does not know: not taken", s->unlisted);
	return 0;
}

static int
next_mbx(struct mbox_src *s, struct arena *a, struct msg_meta *m,
    struct err *e)
{
	struct mbx_msg x;
	const char **kw;
	int rc;

	for (;;) {
		rc = mbx_next(&s->mbx, &x, e);
		if (rc == -1 && mbox_file_change(&s->file) != CHANGE_NONE)
			mbox_file_rewritten(e);
		if (rc != 1)
			return rc == 0 ? at_end(s, e) : -1;
		if (x.flags & MBX_EXPUNGED) {
			s->left_out++;
			s->expunged++;
			continue;
		}
		m->uid = give_uid(s, x.uid);
		if (s->from_uid == 0 || m->uid == 0 || m->uid >= s->from_uid)
			break;
	}
	m->flags = (x.flags & MBX_SEEN ? MSG_SEEN : 0U) |
	    (x.flags & MBX_DELETED ? MSG_DELETED : 0U) |
	    (x.flags & MBX_FLAGGED ? MSG_FLAGGED : 0U) |
	    (x.flags & MBX_ANSWERED ? MSG_ANSWERED : 0U) |
	    (x.flags & MBX_DRAFT ? MSG_DRAFT : 0U);
	kw = arena_alloc(a, MBX_KEYWORDS * sizeof *kw);
	for (unsigned i = 0; i < MBX_KEYWORDS; i++)
		if ((x.keywords >> i & 1) && s->mbx.keywords[i] != NULL)
			kw[m->nkeywords++] = arena_strdup(a,
			    s->mbx.keywords[i]);
	m->keywords = kw;
	m->raw_flags = arena_printf(a, "%08" PRIx32 "%04x", x.keywords,
	    x.flags);
	m->date = x.date.epoch;
	m->zone = x.date.zone;
	m->date_origin = DATE_STORE;
	m->size = x.end - x.start;
	m->cookie = x.from;
	m->where = arena_printf(a, "offset %" PRIu64, x.from);
	m->oddities = (s->file.compressed ? ODD_COMPRESSED : 0U) |
	    (m->size == 0 ? ODD_EMPTY : 0U);
	return 1;
}

/* The next message that is mail: 1, 0, -1. */
static int
next_shown(struct mbox_src *s, struct mbox_msg *x, struct err *e)
{
	int rc;

	for (;;) {
		if (s->have_first) {
			*x = s->first;
			s->have_first = false;
		} else if ((rc = mbox_scan_next(s->scan, x, e)) != 1)
			return rc;
		switch (hidden(s->scan, x)) {
		case HIDDEN_REMOVED:
			s->expunged++;
			s->left_out++;
			continue;
		case HIDDEN_INTERNAL:
			s->left_out++;
			continue;
		case HIDDEN_NOTHING:
			s->left_out++;
			warn_at(s, x->from, "a separator with nothing behind "
			    "it: not a message");
			continue;
		case HIDDEN_NOT:
			break;
		}
		if ((rc = half_written(s, x, e)) == 0)
			return 1;
		if (rc == -1)
			return -1;
		s->left_out++;
		source_warn(&s->s, NULL, "the last message is still being "
		    "written: left for the next pass");
	}
}

static int
next(struct source *sp, struct arena *a, struct msg_meta *m, struct err *e)
{
	struct mbox_src *s = (struct mbox_src *)sp;
	struct mbox_msg x;
	int rc;

	if (s->ended)
		return 0;
	if (s->broken)
		return mbox_file_rewritten(e);
	if (s->file.kind == KIND_MBX)
		return next_mbx(s, a, m, e);
	do {
		if ((rc = next_shown(s, &x, e)) != 1)
			return rc == 0 ? at_end(s, e) : -1;
		m->uid = give_uid(s, own_uid(&x));
	} while (s->from_uid != 0 && m->uid != 0 && m->uid < s->from_uid);

	find_cuts(s, &x);
	make_place(s, &x, &s->places[s->nplaces++ % PLACES]);
	s->unlisted += mbox_facts_flags(x.head, s->listed, a, m) > 0;
	s->unquoted += x.quoted > 0;
	mbox_facts_date(&x.sep, &s->zone, x.head, m);
	m->size = x.end - x.start - cut_bytes(s->cuts, s->ncuts) - x.quoted;
	m->cookie = x.from;
	m->where = arena_printf(a, "offset %" PRIu64, x.from);
	if (s->ncuts > 0)
		m->oddities |= ODD_STRIPPED;
	if (x.doubtful)
		m->oddities |= ODD_DOUBTFUL;
	if (s->file.compressed)
		m->oddities |= ODD_COMPRESSED;
	if (m->date == NO_DATE)
		m->oddities |= ODD_NO_DATE;
	if (m->size == 0)
		m->oddities |= ODD_EMPTY;
	return 1;
}

/* Looks for the message at an offset anew; s->cuts are its cuts then. */
static int
place_again(struct mbox_src *s, uint64_t from, struct place *p, struct err *e)
{
	struct mbox_msg x;
	int rc;

	if (s->again == NULL)
		s->again = new_scan(s, false);
	mbox_scan_share(s->again, s->scan);
	if (mbox_scan_seek(s->again, from, e) == -1)
		return -1;
	if ((rc = mbox_scan_next(s->again, &x, e)) != 1)
		return rc == 0 ? mbox_file_rewritten(e) : -1;
	find_cuts(s, &x);
	make_place(s, &x, p);
	return 0;
}

static int
content(struct source *sp, const struct msg_meta *m, struct content **c,
    struct err *e)
{
	struct mbox_src *s = (struct mbox_src *)sp;
	const struct place *p;
	const struct content_cut *cuts;
	struct place found;
	uint64_t header, size;

	if (mbox_file_change(&s->file) == CHANGE_REWRITTEN)
		return mbox_file_rewritten(e);
	if (s->file.kind == KIND_MBX) {
		struct mbx_msg x;

		if (mbx_at(&s->mbx, m->cookie, &x, e) == -1)
			return -1;
		*c = content_range(s->file.fd, false, x.start,
		    x.end - x.start);
		return 1;
	}
	if ((p = find_place(s, m->cookie)) != NULL)
		cuts = p->cuts;
	else {
		if (place_again(s, m->cookie, &found, e) == -1)
			return -1;
		p = &found;
		cuts = s->cuts;
	}
	size = p->end - p->start - cut_bytes(cuts, p->ncuts);
	header = p->body - p->start - cut_bytes(cuts, p->ncuts);
	*c = content_range(s->file.fd, false, p->start, p->end - p->start);
	if (p->ncuts > 0)
		*c = content_without(*c, cuts, p->ncuts);
	if (s->quote != QUOTE_NONE && p->quoted > 0)
		*c = mbox_unquote(*c, s->quote, header, size - p->quoted);
	return 1;
}

/* A pass of its own over all separators. */
static int
count_mbox(struct mbox_src *s, uint64_t *n, struct err *e)
{
	struct mbox_scan *scan = new_scan(s, false);
	uint64_t out = 0;
	struct mbox_msg x;
	int rc;

	while ((rc = mbox_scan_next(scan, &x, e)) == 1) {
		int half = 0;

		if (hidden(scan, &x) != HIDDEN_NOT ||
		    (half = half_written(s, &x, e)) == 1)
			out++;
		if (half == -1) {
			rc = -1;
			break;
		}
	}
	*n = mbox_scan_separators(scan) - out;
	mbox_scan_free(&scan);
	return rc;
}

static int
count_mbx(struct mbox_src *s, uint64_t *n, struct err *e)
{
	struct mbx_msg x;
	struct mbx m;
	int rc;

	*n = 0;
	if (mbx_start(&m, mbox_file_read, &s->file, s->file.size, e) == -1)
		return -1;
	while ((rc = mbx_next(&m, &x, e)) == 1)
		*n += !(x.flags & MBX_EXPUNGED);
	return rc;
}

static int
folder_count(struct source *sp, uint64_t *n, struct err *e)
{
	struct mbox_src *s = (struct mbox_src *)sp;

	if (s->known_count != UNKNOWN64) {
		*n = s->known_count;
		return 0;
	}
	if (s->file.kind == KIND_MBX)
		return count_mbx(s, n, e);
	if (!s->ended)
		return count_mbox(s, n, e);
	/* Separators are counted where they are found, not where messages are
	 * handed out. */
	*n = mbox_scan_separators(s->scan) - s->left_out;
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
	if (folder_count(sp, &n, e) == -1)
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
	.schemes = schemes, .options = options,
	.open = open_source, .close = close_source,
	.account_facts = account_facts, .list = list,
	.folder_open = folder_open, .next = next, .content = content,
	.folder_count = folder_count, .folder_token = folder_token,
	.folder_close = folder_close,
};
