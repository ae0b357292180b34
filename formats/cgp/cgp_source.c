/*
 * Source: accounts of a CommuniGate Pro server, from its disk.
 *
 *	cgp:BASE?account=NAME[@DOMAIN]	an account of a base directory
 *	cgp:PATH/NAME.macnt		one account by its directory
 *
 * The format is known from what the vendor has published and from programs of
 * others, not from files of a real server.  What is assumed can be corrected
 * by options:
 *	main-domain=NAME	the domain in Accounts/, if Settings/
 *			Main.settings does not tell
 *	server=stopped|live|snapshot	(stopped) a base directory that a
 *			server has open is read only if the user says so
 *	flag-letters=TABLE	what letters mean (cgp_flags.h)
 *	dialect=auto|cgp|plain	(auto) which separators count in text mailboxes
 *	zone=utc|+hhmm	(utc) zone of separators that name none
 *	nonmail=exclude|include	(exclude) calendars, contacts and the like
 *	inbox=FILE	INBOX outside of the base directory
 *
 * Keys.  A message is UIDVALIDITY.UID, as over IMAP.  Where account.info tells
 * no UIDVALIDITY, or UIDs cannot be used, one is made from the mailbox's name,
 * so that keys of different kinds are never taken for each other.
 *
 * Text mailboxes are listed with uidvalidity 0: only reading one tells which
 * kind of keys it has.
 */
#include "cgp/cgp_source.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/safepath.h"
#include "cgp/cgp_file.h"
#include "cgp/cgp_impl.h"

#define TELL_MAX	20	/* lines of one kind for a mailbox */

void
cgp_tell(struct cgp *c, enum cgp_oddity kind, const char *where,
    const char *fmt, ...)
{
	char text[300];
	struct arena a;
	va_list ap;

	if (c->box.quiet || c->box.told[kind]++ >= TELL_MAX)
		return;
	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	arena_init(&a);
	source_warn(&c->s, where != NULL ? cgp_show(&a, where) : NULL, "%s",
	    cgp_show(&a, text));
	arena_release(&a);
}

/* At the end of a mailbox: what was not told one by one. */
static void
tell_rest(struct cgp *c)
{
	static const char *const kinds[W_KINDS] = {
		"names that are no messages",
		"names that begin as those of messages", "ends of names",
		"things that are no files", "messages of one UID",
		"doubtful separators", "dates", "envelopes of the mail queue"
	};
	char where[24];
	int i;

	for (i = 0; i < W_KINDS; i++)
		if (c->box.told[i] > TELL_MAX)
			source_warn(&c->s, NULL, "and %lu more %s",
			    c->box.told[i] - TELL_MAX, kinds[i]);
	memset(c->box.told, 0, sizeof c->box.told);
	for (i = 0; i < 256; i++) {
		if (c->box.unknown[i] == 0)
			continue;
		snprintf(where, sizeof where, i > 0x20 && i < 0x7f ?
		    "flag letter %c" : "flag letter \\x%02x", i);
		source_warn(&c->s, where, "on %" PRIu64 " messages, but not "
		    "in flag-letters: kept in the state, without meaning",
		    c->box.unknown[i]);
	}
	memset(c->box.unknown, 0, sizeof c->box.unknown);
}

/* The account */

static int
account_facts(struct source *s, struct arena *a, struct account_info *info,
    struct err *e)
{
	struct cgp *c = (struct cgp *)s;

	if (!c->tree_read && cgp_tree_read(c, e) == -1)
		return -1;
	cgp_info_account(c, a, info);
	info->uidls = UIDL_OWN;
	return 0;
}

static int
list(struct source *s, struct arena *a, struct folder_info **folders,
    size_t *n, struct err *e)
{
	struct cgp *c = (struct cgp *)s;
	struct acl_entry *acl;
	const char **path;
	size_t i, k;

	if (cgp_tree_read(c, e) == -1)
		return -1;
	*n = c->nfolders;
	*folders = arena_zalloc(a, c->nfolders * sizeof **folders + 1);
	for (i = 0; i < c->nfolders; i++) {
		struct folder_info *f = &(*folders)[i];
		const struct cgp_folder *have = &c->folders[i];

		path = arena_alloc(a, have->npath * sizeof *path + 1);
		for (k = 0; k < have->npath; k++)
			path[k] = arena_strdup(a, have->path[k]);
		f->path = path;
		f->npath = have->npath;
		f->raw_name = arena_strdup(a, have->file);
		f->name = arena_strdup(a, have->name);
		f->special_use = have->use;
		f->uidnext = have->uidnext;
		if (have->kind == CGP_MDIR)
			f->uidvalidity = have->uidvalidity != 0 ?
			    have->uidvalidity :
			    cgp_made_uidvalidity(have->raw, 'd');
		f->messages = f->bytes = UNKNOWN64;
		f->class = have->other && !c->nonmail ? FOLDER_OTHER :
		    FOLDER_MAIL;
		f->subscribed = have->subscribed;
		f->noselect = have->noselect;
		acl = arena_alloc(a, have->nacl * sizeof *acl + 1);
		for (k = 0; k < have->nacl; k++) {
			acl[k].who = arena_strdup(a, have->acl[k].who);
			acl[k].rights = arena_strdup(a, have->acl[k].rights);
		}
		f->acl = acl;
		f->nacl = have->nacl;
		if (have->refused != NULL)
			f->refused = arena_strdup(a, have->refused);
	}
	return 0;
}

/* A mailbox */

static const struct cgp_folder *
folder_of(const struct cgp *c, const struct folder_info *f)
{
	size_t i;

	for (i = 0; i < c->nfolders; i++)
		if (strcmp(c->folders[i].file, f->raw_name) == 0)
			return &c->folders[i];
	return NULL;
}

static int
open_external(struct cgp *c, const char *path, struct err *e)
{
	struct safepath at;

	if (safepath_open(&at, AT_FDCWD, path, false) == -1) {
		safepath_error(e, ERR_MAILBOX, path);
		e->cause = CAUSE_OTHER;		/* the account is there */
		return -1;
	}
	close(at.dirfd);
	if (!S_ISREG(at.st.st_mode)) {
		close(at.fd);
		return err_set(e, ERR_MAILBOX, "%s is no file", path);
	}
	c->box.fd = at.fd;
	return 0;
}

/* box.fd: the directory or the file. */
static int
open_box(struct cgp *c, const struct cgp_folder *f, struct err *e)
{
	const char *slash = strrchr(f->file, '/');
	const char *name = slash != NULL ? slash + 1 : f->file;
	struct stat st;
	int dir;

	if (f->external)
		return open_external(c, f->file, e);
	dir = cgp_open_dir_at(c->place.dirfd, slash == NULL ? "" :
	    arena_memdup0(&c->tree, f->file, (size_t)(slash - f->file)));
	if (dir == -1)
		return err_sys(e, quiet_scope(errno, ERR_MAILBOX), "%s",
		    f->file);
	c->box.fd = f->kind == CGP_MDIR ? cgp_open_dir(dir, name) :
	    cgp_open(dir, name, &st);
	if (c->box.fd == -1)
		err_sys(e, quiet_scope(errno, ERR_MAILBOX), "%s", f->file);
	close(dir);
	return c->box.fd == -1 ? -1 : 0;
}

/* What must not have changed since a token was made, into box.watch. */
static int
watch(struct cgp *c, struct err *e)
{
	struct stat *st = &c->box.st;
	struct timespec now;

	if (fstat(c->box.fd, st) == -1)
		return err_sys(e, quiet_scope(errno, ERR_MAILBOX), "stat");
	clock_gettime(CLOCK_REALTIME, &now);
	c->box.size = (uint64_t)st->st_size;
	/* Times tick coarsely: what changed within this second may change
	 * again without showing it. */
	c->box.racy = st->st_mtim.tv_sec + 2 >= now.tv_sec ||
	    st->st_ctim.tv_sec + 2 >= now.tv_sec;
	buf_reset(&c->box.watch);
	buf_addf(&c->box.watch, "%jx %jx %jx %jd.%09ld %jd.%09ld %s %" PRIu32,
	    (uintmax_t)st->st_dev, (uintmax_t)st->st_ino,
	    (uintmax_t)st->st_size, (intmax_t)st->st_mtim.tv_sec,
	    st->st_mtim.tv_nsec, (intmax_t)st->st_ctim.tv_sec,
	    st->st_ctim.tv_nsec, c->shape, c->box.f->uidvalidity);
	return 0;
}

/*
 * A token is
 *	cgp2 <racy 0|1> <count> <uidvalidity> <uidnext> <hash> <flag-letters>
 * and in a second line what watch() says.  With another table of letters a
 * mailbox that has not changed has other flags.
 */
#define TOKEN_HEAD "cgp2 "

struct token {
	bool		 racy;
	uint64_t	 count;
	uint32_t	 uidvalidity, uidnext;
	char		 hash[65];
	uint64_t	 letters;
	const char	*watch;
};

static bool
token_parse(struct token *t, const struct buf *text)
{
	const char *lf;
	int racy, end = 0;

	if (text == NULL || (lf = strchr(text->ptr, '\n')) == NULL)
		return false;
	if (sscanf(text->ptr, TOKEN_HEAD "%1d %20" SCNu64 " %10" SCNu32
	    " %10" SCNu32 " %64[0-9a-f-] %16" SCNx64 "%n", &racy,
	    &t->count, &t->uidvalidity, &t->uidnext, t->hash, &t->letters,
	    &end) != 6 ||
	    text->ptr + end != lf)
		return false;
	t->racy = racy != 0;
	t->watch = lf + 1;
	return true;
}

static int
list_now(struct cgp *c, struct folder_info *f, struct err *e)
{
	if ((c->box.f->kind == CGP_MDIR ? cgp_mdir_list(c, e) :
	    cgp_mbox_list(c, e)) == -1)
		return -1;
	f->messages = c->box.count;
	f->uidvalidity = c->box.uidvalidity;
	f->uidnext = c->box.uidnext;
	return 0;
}

static void
folder_close(struct source *s)
{
	struct cgp *c = (struct cgp *)s;

	if (s->folder != NULL)
		tell_rest(c);
	if (c->box.fd != -1)
		close(c->box.fd);
	c->box.fd = -1;
	c->box.listed = false;
	spill_free(&c->box.entries);
	memset(c->box.told, 0, sizeof c->box.told);
	memset(c->box.unknown, 0, sizeof c->box.unknown);
}

/* Where dates came from, if not from the store alone. */
static void
tell_dates(struct cgp *c)
{
	const uint64_t *n = c->box.origins;

	if (n[DATE_RECEIVED] + n[DATE_MTIME] + n[DATE_HEADER] +
	    n[DATE_NONE] > 0)
		source_warn(&c->s, "dates", "of %" PRIu64 " messages from "
		    "Received, of %" PRIu64 " from the time of the file, of %"
		    PRIu64 " from Date; %" PRIu64 " have none",
		    n[DATE_RECEIVED], n[DATE_MTIME], n[DATE_HEADER],
		    n[DATE_NONE]);
}

static int
folder_open(struct source *s, struct folder_info *f, const struct buf *token,
    uint32_t from_uid, enum delta *d, struct err *e)
{
	struct cgp *c = (struct cgp *)s;
	struct token t;
	bool known;

	if (f->refused != NULL)
		return err_set(e, ERR_MAILBOX, "%s", f->refused);
	c->box.f = folder_of(c, f);
	c->box.from_uid = from_uid;
	if (c->box.f == NULL)
		return err_set(e, ERR_MAILBOX, "%s is gone", f->raw_name);
	if (open_box(c, c->box.f, e) == -1)
		return -1;
	if ((c->live && c->box.f->kind == CGP_MBOX &&
	    cgp_mbox_quiet(c, e) == -1) || watch(c, e) == -1)
		goto failed;
	known = token_parse(&t, token) && t.letters == cgp_flags_hash(
	    &c->flags);
	if (known && !t.racy && !c->box.racy &&
	    strcmp(t.watch, c->box.watch.ptr) == 0) {
		c->box.count = f->messages = t.count;
		c->box.uidvalidity = f->uidvalidity = t.uidvalidity;
		c->box.uidnext = f->uidnext = t.uidnext;
		memcpy(c->box.hash, t.hash, sizeof t.hash);
		*d = DELTA_UNCHANGED;
		return 0;
	}
	/* It changed under us before. */
	if (f->stable && c->box.f->kind == CGP_MBOX &&
	    cgp_mbox_hold(c, e) == -1)
		goto failed;
	if (list_now(c, f, e) == -1)
		goto failed;
	tell_dates(c);
	if (known && c->box.f->kind == CGP_MDIR &&
	    t.uidvalidity == c->box.uidvalidity &&
	    strcmp(t.hash, c->box.hash) == 0)
		*d = DELTA_UNCHANGED;
	return 0;
failed:
	folder_close(s);
	return -1;
}

static int
next(struct source *s, struct arena *a, struct msg_meta *m, struct err *e)
{
	struct cgp *c = (struct cgp *)s;

	/* After DELTA_UNCHANGED by the times. */
	if (!c->box.listed && list_now(c, s->folder, e) == -1)
		return -1;
	return cgp_message(c, a, m, e);
}

static int
folder_count(struct source *s, uint64_t *n, struct err *e)
{
	(void)e;
	*n = ((struct cgp *)s)->box.count;
	return 0;
}

static int
folder_token(struct source *s, struct buf *token, struct err *e)
{
	struct cgp *c = (struct cgp *)s;

	/* What was appended while it was read is not in the count, and the
	 * copy of a file has not the times that it had. */
	if (c->box.f->kind == CGP_MBOX && (c->box.racy || s->folder->stable))
		return 0;
	if (buf_addf(token, TOKEN_HEAD "%d %" PRIu64 " %" PRIu32 " %" PRIu32
	    " %s %" PRIx64 "\n", c->box.racy, c->box.count,
	    c->box.uidvalidity, c->box.uidnext, c->box.hash,
	    cgp_flags_hash(&c->flags)) == -1 ||
	    buf_add(token, c->box.watch.ptr, c->box.watch.len) == -1)
		return err_set(e, ERR_MAILBOX, "token too long");
	return 0;
}

static const char *const schemes[] = { "cgp", NULL };
static const char *const options[] = {
	"account", "main-domain", "server", "flag-letters", "dialect", "zone",
	"nonmail", "inbox", NULL
};

const struct source_ops cgp_source = {
	.schemes = schemes, .options = options, .check = cgp_check,
	.open = cgp_open_source, .close = cgp_close,
	.account_facts = account_facts, .list = list,
	.folder_open = folder_open, .next = next, .want = cgp_want,
	.content = cgp_content, .folder_count = folder_count,
	.folder_token = folder_token, .folder_close = folder_close,
};
