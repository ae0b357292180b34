/*
 * Changes of what is there: flags are letters of the file's name, so a change
 * is a rename in cur/; an expunge removes the file and leaves its line for
 * Dovecot to clean up.  Both find the file by UID, base name, and a reading of
 * the directories.
 *
 * A file that is renamed while a directory is read may show neither name, and
 * whoever reads takes it for expunged.  So Dovecot reads cur/ and renames in
 * it under its lock only.  We rename under it too; we search without, as that
 * takes long, and what is missing then is looked for again under the lock.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/xmalloc.h"
#include "dovecot/dovecot_impl.h"
#include "maildir/maildir_name.h"

/* A message that is looked for. */
struct wanted {
	uint32_t	 uid;
	size_t		 number;	/* of the caller's array */
	uint64_t	 hash;		/* of the base; 0: no line */
	bool		 in_new;
	bool		 done;
	char		*name;		/* of the file; NULL: not found */
};

struct search {
	struct wanted	*v;
	size_t		 n;
};

static int
cmp_uid(const void *va, const void *vb)
{
	const struct wanted *a = va, *b = vb;

	return a->uid < b->uid ? -1 : a->uid > b->uid;
}

static int
take_rec(void *ctx, const struct uidlist_rec *r, struct err *e)
{
	struct search *s = ctx;
	struct wanted key = { .uid = r->uid }, *w;

	(void)e;
	w = bsearch(&key, s->v, s->n, sizeof *s->v, cmp_uid);
	if (w != NULL)
		w->hash = hash_name(r->base, r->nbase);
	return 0;
}

static void
no_warning(void *ctx, unsigned long line, const char *text)
{
	(void)ctx;
	(void)line;
	(void)text;
}

static int
find_lines(struct dovecot *dv, struct search *s, struct err *e)
{
	struct maildir_lines lines;
	struct uidlist_head head;
	int fd, rc;

	qsort(s->v, s->n, sizeof *s->v, cmp_uid);
	fd = openat(dv->box.fd, UIDLIST, O_RDONLY | O_NOFOLLOW | O_NONBLOCK |
	    O_CLOEXEC);
	if (fd == -1)
		return errno == ENOENT ? 0 : dovecot_sys(e, UIDLIST);
	maildir_lines_fd(&lines, fd);
	rc = uidlist_read(&lines, &head, take_rec, no_warning, s, e);
	maildir_lines_end(&lines);
	close(fd);
	if (rc == 0)
		return err_set(e, ERR_MAILBOX, UIDLIST " is broken");
	if (rc == -1)
		return -1;
	/* Other mail may have these UIDs by now. */
	if (dv->box.uidvalidity != 0 && head.uidvalidity !=
	    dv->box.uidvalidity)
		return err_retry(e, ERR_MAILBOX, UIDLIST " has another "
		    "UIDVALIDITY than when the mailbox was opened");
	return 0;
}

static int
cmp_hash(const void *va, const void *vb)
{
	const struct wanted *a = *(struct wanted *const *)va;
	const struct wanted *b = *(struct wanted *const *)vb;

	return a->hash < b->hash ? -1 : a->hash > b->hash;
}

/* Those that the hash of a file's base is of get its name. */
static void
take_name(struct wanted *const *by_hash, size_t n, uint64_t h,
    const char *name, bool in_new)
{
	const struct wanted key = { .hash = h }, *keyp = &key;
	struct wanted *const *w;

	w = bsearch(&keyp, by_hash, n, sizeof *by_hash, cmp_hash);
	if (w == NULL)
		return;
	while (w > by_hash && w[-1]->hash == h)
		w--;
	for (; w < by_hash + n && (*w)->hash == h; w++)
		if ((*w)->name == NULL) {
			(*w)->name = xstrdup(name);
			(*w)->in_new = in_new;
		}
}

static int
find_files(struct search *s, int dirfd, bool in_new, struct err *e)
{
	struct wanted **by_hash;
	struct maildir_name mn;
	size_t n = 0;
	struct dirent *d;
	DIR *dir;
	int fd;

	fd = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd == -1 || (dir = fdopendir(fd)) == NULL) {
		dovecot_sys(e, "read directory");
		if (fd != -1)
			close(fd);
		return -1;
	}
	by_hash = xcalloc(s->n + 1, sizeof *by_hash);
	for (size_t i = 0; i < s->n; i++)
		if (s->v[i].hash != 0 && s->v[i].name == NULL)
			by_hash[n++] = &s->v[i];
	qsort(by_hash, n, sizeof *by_hash, cmp_hash);
	while ((d = readdir(dir)) != NULL) {
		if (d->d_name[0] == '.')
			continue;
		maildir_name_parse(&mn, d->d_name, strlen(d->d_name));
		take_name(by_hash, n, hash_name(d->d_name, mn.base),
		    d->d_name, in_new);
	}
	closedir(dir);
	free(by_hash);
	return 0;
}

/* new/ first: a file that is moved meanwhile is met in cur/. */
static int
find_places(struct dovecot *dv, struct search *s, struct err *e)
{
	if (find_files(s, dv->box.new, true, e) == -1)
		return -1;
	return find_files(s, dv->box.cur, false, e);
}

static int
find_all(struct dovecot *dv, struct search *s, struct err *e)
{
	return find_lines(dv, s, e) == -1 ? -1 : find_places(dv, s, e);
}

/* What is done to a file.  1: done; 0: it is not there; -1: *e. */
typedef int (*act_fn)(struct dovecot *, const struct wanted *, void *,
    struct err *);

/* To all that were found, and then to those that others had renamed.  Under
 * the lock. */
static int
act_on_all(struct dovecot *dv, struct search *s, act_fn act, void *ctx,
    struct err *e)
{
	for (int turn = 0; turn < 2; turn++) {
		bool missing = false;

		for (size_t i = 0; i < s->n; i++) {
			struct wanted *w = &s->v[i];
			int rc;

			if (w->done)
				continue;
			if ((rc = act(dv, w, ctx, e)) == -1)
				return -1;
			w->done = rc == 1;
			if (w->done || w->hash == 0)
				continue;
			free(w->name);
			w->name = NULL;
			missing = true;
		}
		if (!missing)
			break;
		if (turn == 0 && find_places(dv, s, e) == -1)
			return -1;
	}
	return 0;
}

static void
search_end(struct search *s)
{
	for (size_t i = 0; i < s->n; i++)
		free(s->v[i].name);
	free(s->v);
}

static int
drop_lock(struct dotlock *lk, int rc, struct err *e)
{
	struct err dropped;

	if (dotlock_drop(lk, &dropped) == -1 && rc == 0) {
		*e = dropped;
		return -1;
	}
	return rc;
}

static int
remove_one(struct dovecot *dv, const struct wanted *w, void *ctx,
    struct err *e)
{
	(void)ctx;
	if (w->name == NULL)
		return 0;
	if (unlinkat(w->in_new ? dv->box.new : dv->box.cur, w->name, 0) == -1)
		return errno == ENOENT ? 0 :
		    dovecot_sys(e, "remove a message");
	dv->box.messages--;
	fault_point("expunge.one");
	return 1;
}

int
dovecot_expunge(struct target *t, const uint32_t *uids, size_t n,
    struct err *e)
{
	struct dovecot *dv = (struct dovecot *)t;
	struct search s = { NULL, n };
	struct dotlock lk;
	int rc;

	if (dv->deliver)
		return err_set(e, ERR_MAILBOX, "via=new: what is there goes "
		    "under Dovecot's lock only");
	s.v = xcalloc(n + 1, sizeof *s.v);
	for (size_t i = 0; i < n; i++)
		s.v[i].uid = uids[i];
	fsids_enter(&dv->ids);
	rc = find_all(dv, &s, e);
	if (rc == 0)
		rc = dotlock_take(dv, &lk, dv->box.fd, UIDLIST ".lock", e);
	if (rc == 0) {
		rc = list_again(dv, &dv->box, e);
		if (rc == 0)
			rc = act_on_all(dv, &s, remove_one, NULL, e);
		rc = drop_lock(&lk, rc, e);
	}
	if (rc == 0 && (fsync(dv->box.cur) == -1 ||
	    fsync(dv->box.new) == -1))
		rc = dovecot_sys(e, "sync cur/");
	fsids_leave(&dv->ids);
	search_end(&s);
	return rc;
}

/* The letters of a file's name that no flag of ours stands for stay. */
static void
new_name(struct box *b, const struct wanted *w, const struct flag_change *c,
    struct buf *out)
{
	struct maildir_flags f;
	struct maildir_name mn;
	const char *words[DOVECOT_KEYWORDS];
	uint32_t nameless = 0;
	size_t n = 0;
	bool ignored = false;

	maildir_name_parse(&mn, w->name, strlen(w->name));
	memset(&f, 0, sizeof f);
	if (mn.raw != NULL)
		maildir_flags_parse(&f, mn.raw, mn.nflags);
	for (int i = 0; i < DOVECOT_KEYWORDS; i++) {
		bool set = (f.keywords & UINT32_C(1) << i) != 0;
		const char *word = b->letters[i];

		if (word == NULL) {
			nameless |= f.keywords & UINT32_C(1) << i;
			continue;
		}
		for (size_t k = 0; k < c->nkw_add; k++)
			set = set || strcasecmp(c->kw_add[k], word) == 0;
		for (size_t k = 0; k < c->nkw_del; k++)
			set = set && strcasecmp(c->kw_del[k], word) != 0;
		if (set)
			words[n++] = word;
	}
	buf_reset(out);
	buf_add(out, w->name, mn.base);
	keywords_info(b, (f.flags | c->add) & ~c->del, words, n, nameless,
	    out, &ignored);
	/* Dovecot keeps those that it does not know, too. */
	for (size_t i = 0; mn.raw != NULL && i < mn.nflags; i++)
		if (strchr("DFRST", mn.raw[i]) == NULL &&
		    (mn.raw[i] < 'a' || mn.raw[i] > 'z'))
			buf_addc(out, mn.raw[i]);
	if (mn.raw != NULL && mn.nraw > mn.nflags)
		buf_add(out, mn.raw + mn.nflags, mn.nraw - mn.nflags);
}

/* The changes, and room for a name. */
struct changing {
	struct flag_change *c;
	struct buf	 to;
};

static int
change_one(struct dovecot *dv, const struct wanted *w, void *ctx,
    struct err *e)
{
	struct changing *ch = ctx;
	struct flag_change *c = &ch->c[w->number];
	int from = w->in_new ? dv->box.new : dv->box.cur;

	c->result = FLAG_GONE;
	if (w->name == NULL)
		return 0;
	new_name(&dv->box, w, c, &ch->to);
	if ((strcmp(ch->to.ptr, w->name) != 0 || w->in_new) &&
	    dovecot_move(from, w->name, dv->box.cur, ch->to.ptr) == -1) {
		if (errno != ENOENT && errno != EEXIST)
			return dovecot_sys(e, "change flags");
		/* Somebody else renamed it just now; or there are two of that
		 * name, which only Dovecot may sort out. */
		c->result = FLAG_CHANGED;
		return 0;
	}
	c->result = FLAG_DONE;
	fault_point("flags.one");
	return 1;
}

/* Letters for keywords that have none yet, under the lock. */
static int
learn(struct dovecot *dv, const struct flag_change *c, size_t n, struct err *e)
{
	bool added = false;

	if (keywords_read(&dv->box, e) == -1)
		return -1;
	for (size_t i = 0; i < n; i++)
		keywords_learn(&dv->box, c[i].kw_add, c[i].nkw_add, &added);
	return added ? keywords_write(dv, e) : 0;
}

int
dovecot_change_flags(struct target *t, struct flag_change *c, size_t n,
    struct err *e)
{
	struct dovecot *dv = (struct dovecot *)t;
	struct search s = { NULL, n };
	struct changing ch = { .c = c };
	struct dotlock lk;
	int rc;

	if (dv->deliver)
		return err_set(e, ERR_MAILBOX, "via=new: flags of what is "
		    "there are changed under Dovecot's lock only");
	s.v = xcalloc(n + 1, sizeof *s.v);
	buf_init(&ch.to, 4096);
	for (size_t i = 0; i < n; i++) {
		s.v[i].uid = c[i].uid;
		s.v[i].number = i;
	}
	fsids_enter(&dv->ids);
	rc = find_all(dv, &s, e);
	if (rc == 0)
		rc = dotlock_take(dv, &lk, dv->box.fd, UIDLIST ".lock", e);
	if (rc == 0) {
		rc = list_again(dv, &dv->box, e);
		if (rc == 0)
			rc = learn(dv, c, n, e);
		if (rc == 0)
			rc = act_on_all(dv, &s, change_one, &ch, e);
		rc = drop_lock(&lk, rc, e);
	}
	if (rc == 0 && fsync(dv->box.cur) == -1)
		rc = dovecot_sys(e, "sync cur/");
	fsids_leave(&dv->ids);
	buf_release(&ch.to);
	search_end(&s);
	return rc;
}
