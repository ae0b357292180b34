/* The state: file, lock, schema, and the writer thread. */
#include "state_impl.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/xmalloc.h"

#define SCHEMA_VERSION	1
#define APPLICATION_ID	0x6d68616c	/* "mhal" */
#define NFS_MAGIC	0x6969
#define MAX_WAITING	64	/* pieces of work, then they go unasked */

/*
 * Numbers: outcome is enum outcome of rows.h, dates are epoch seconds, sizes
 * are bytes, kw are keyword_set ids.
 *
 * pass: settings has a line "SECTION.KEY = VALUE" for each that was not left
 *	as it is by default.
 * pace: what of a pass's sent fell into which PACE_SECONDS (slot: their
 *	begin).
 * history: a row for each pass over an account, with the sums at its end
 *	(ended NULL: it was cut off).
 * mailbox: a pair.  listed is the pass that last met it at the source; one
 *	that a pass did not meet has the outcome 'gone'.  moved: it was renamed
 *	there (1: the target's is to follow; 2: its name there stays, it is its
 *	user's).
 * elsewhere: mail that an adopted account's target holds in mailboxes that no
 *	source mailbox has; taken: the mailbox of the message that is it.
 * message: a source message with an outcome; a target UID of 0 means that the
 *	server did not tell it, or, if it was present, that it is in another
 *	mailbox (elsewhere; an extra of another one has taken one more than its
 *	mailbox then).  sha1 is there where the target's index has it,
 *	sha1_munged where the munged form differs (measure.h).
 * doubt: how often a message was in a batch whose answer never came.
 * extra: a message at the target that is in no row; with sha1 alone its
 *	content was not read yet.  ours: a batch in doubt meant it, with that
 *	UID.  flags and kw are those that it had then, src_flags and src_kw
 *	those of the source's message when it was in a row before.
 * flagging: a change of flags at the target that was begun: its message's row
 *	is to have these flags when it is known to be done; modseq is the
 *	message's before (0: unknown).
 * removal: a message that is at the target and no longer at the source: state
 *	0 found by that pass, 1 its removal was begun.
 * intent: a batch whose done is not committed: state 0 open or in doubt, 1
 *	settled (kept for the look at the end of the pass).
 * op: a change of the target that is not a store: state 0 begun, 1 done.
 * quota: bytes: the limit at the source (NULL: not known), the one wished for
 *	(NULL: leave it), the most that the mail has needed, the one the target
 *	was given last (NULL: none yet); -1 is no limit.  why: it cannot be
 *	given.
 * access: who may do what with a mailbox by the source's last word (pass), and
 *	what was given to whom at the target (since: the first pass that did).
 * foreign_box: a subscription to a mailbox of another account.
 * host: what is known of one and survives a run (caps, rates per second) or
 *	was true when it was last written; live is what the running pass says
 *	of itself.
 * pop3: what mailhaul uidl was last told of an account (by its name: it may be
 *	new) by its POP3 server; uidl: what messages of its INBOX, by their
 *	keys, are called there, with number and size, and the order to be
 *	given (0: that of the UIDs); uidl_left: the ones it could not join,
 *	and why.
 */
static const char schema[] =
"CREATE TABLE meta (key TEXT PRIMARY KEY, value) WITHOUT ROWID;"
"CREATE TABLE pass (id INTEGER PRIMARY KEY, started INTEGER, ended INTEGER,"
"  version TEXT, what TEXT, exit_code INTEGER, sent INTEGER DEFAULT 0,"
"  sent_bytes INTEGER DEFAULT 0, settings TEXT);"
"CREATE TABLE account (id INTEGER PRIMARY KEY, name TEXT UNIQUE NOT NULL,"
"  target_user TEXT, source TEXT, target TEXT, stage TEXT NOT NULL"
"  DEFAULT 'new', outcome TEXT NOT NULL DEFAULT 'new', error TEXT,"
"  pass INTEGER);"
"CREATE TABLE quota (account_id INTEGER PRIMARY KEY, rule TEXT NOT NULL,"
"  source INTEGER, wish INTEGER, need INTEGER NOT NULL DEFAULT 0,"
"  given INTEGER, why TEXT);"
"CREATE TABLE history (account_id INTEGER NOT NULL, pass INTEGER NOT NULL,"
"  begun INTEGER, ended INTEGER, outcome TEXT, error TEXT, source INTEGER,"
"  copied INTEGER, present INTEGER, excluded INTEGER, refused INTEGER,"
"  failed INTEGER, vanished INTEGER, PRIMARY KEY (account_id, pass))"
"  WITHOUT ROWID;"
"CREATE TABLE mailbox (id INTEGER PRIMARY KEY, account_id INTEGER NOT NULL,"
"  src_key BLOB NOT NULL, src_name TEXT NOT NULL, tgt_name TEXT NOT NULL,"
"  tgt_key TEXT NOT NULL, src_uidvalidity INTEGER DEFAULT 0,"
"  src_object TEXT, src_uidnext INTEGER DEFAULT 0,"
"  src_modseq INTEGER DEFAULT 0, src_messages INTEGER DEFAULT 0,"
"  src_token BLOB, tgt_uidvalidity INTEGER DEFAULT 0,"
"  tgt_uidnext INTEGER DEFAULT 0, tgt_modseq INTEGER DEFAULT 0,"
"  tgt_messages INTEGER DEFAULT 0, made_by_us INTEGER DEFAULT 0,"
"  outcome TEXT NOT NULL DEFAULT 'new', error TEXT, pass INTEGER DEFAULT 0,"
"  listed INTEGER DEFAULT 0, moved INTEGER DEFAULT 0,"
"  source INTEGER DEFAULT 0, copied INTEGER DEFAULT 0,"
"  present INTEGER DEFAULT 0, excluded INTEGER DEFAULT 0,"
"  refused INTEGER DEFAULT 0, failed INTEGER DEFAULT 0,"
"  vanished INTEGER DEFAULT 0, stripped INTEGER DEFAULT 0,"
"  bytes INTEGER DEFAULT 0, crlf_bytes INTEGER DEFAULT 0,"
"  UNIQUE (account_id, src_key));"
"CREATE TABLE message (mailbox_id INTEGER NOT NULL, key BLOB NOT NULL,"
"  strict BLOB, loose BLOB, sha1 BLOB, sha1_munged BLOB, size INTEGER,"
"  crlf_size INTEGER, src_uid INTEGER, tgt_uid INTEGER, src_flags INTEGER,"
"  src_kw INTEGER, tgt_flags INTEGER, tgt_kw INTEGER, tgt_modseq INTEGER,"
"  raw_flags TEXT, guid TEXT, uidl TEXT, uidl_order INTEGER, date INTEGER,"
"  outcome INTEGER NOT NULL, changes INTEGER, oddities INTEGER, rule TEXT,"
"  pass INTEGER, PRIMARY KEY (mailbox_id, key)) WITHOUT ROWID;"
"CREATE INDEX message_unlocated ON message (mailbox_id, strict)"
"  WHERE tgt_uid = 0 AND outcome = 1;"
"CREATE TABLE keyword_set (id INTEGER PRIMARY KEY, words TEXT UNIQUE);"
"CREATE TABLE extra (mailbox_id INTEGER NOT NULL, uid INTEGER NOT NULL,"
"  strict BLOB, loose BLOB, sha1 BLOB, size INTEGER, date INTEGER,"
"  flags INTEGER, kw INTEGER, src_flags INTEGER, src_kw INTEGER,"
"  taken INTEGER NOT NULL DEFAULT 0, ours INTEGER NOT NULL DEFAULT 0,"
"  PRIMARY KEY (mailbox_id, uid))"
"  WITHOUT ROWID;"
"CREATE INDEX extra_strict ON extra (mailbox_id, strict) WHERE taken = 0;"
"CREATE INDEX extra_loose ON extra (mailbox_id, loose) WHERE taken = 0;"
"CREATE INDEX extra_sha1 ON extra (mailbox_id, sha1) WHERE taken = 0 AND"
"  sha1 IS NOT NULL;"
"CREATE TABLE intent (id INTEGER PRIMARY KEY, mailbox_id INTEGER NOT NULL,"
"  pass INTEGER, uidvalidity INTEGER, uidnext INTEGER, modseq INTEGER,"
"  atomic INTEGER, n INTEGER, state INTEGER NOT NULL DEFAULT 0);"
"CREATE INDEX intent_mailbox ON intent (mailbox_id);"
"CREATE TABLE intent_item (intent_id INTEGER NOT NULL, seq INTEGER NOT NULL,"
"  key BLOB, strict BLOB, loose BLOB, sha1 BLOB, sha1_munged BLOB,"
"  size INTEGER, want_uid INTEGER, flags INTEGER, kw TEXT, date INTEGER,"
"  PRIMARY KEY (intent_id, seq)) WITHOUT ROWID;"
"CREATE TABLE op (id INTEGER PRIMARY KEY, account_id INTEGER NOT NULL,"
"  mailbox_id INTEGER, kind TEXT NOT NULL, name TEXT, arg TEXT,"
"  state INTEGER NOT NULL DEFAULT 0, pass INTEGER);"
"CREATE TABLE issue (id INTEGER PRIMARY KEY, account_id INTEGER NOT NULL,"
"  mailbox_id INTEGER NOT NULL DEFAULT 0, kind TEXT NOT NULL,"
"  key BLOB NOT NULL DEFAULT x'', pass INTEGER, message_where TEXT,"
"  message_id TEXT, subject TEXT, size INTEGER, reason TEXT,"
"  UNIQUE (account_id, mailbox_id, kind, key, message_where));";

static const char schema_merge[] =
"CREATE TABLE elsewhere (account_id INTEGER NOT NULL, box TEXT NOT NULL,"
"  uid INTEGER NOT NULL, strict BLOB, loose BLOB, sha1 BLOB, size INTEGER,"
"  date INTEGER, taken INTEGER NOT NULL DEFAULT 0,"
"  PRIMARY KEY (account_id, box, uid)) WITHOUT ROWID;"
"CREATE INDEX message_present ON message (mailbox_id, strict)"
"  WHERE outcome = 2;"
"CREATE INDEX elsewhere_strict ON elsewhere (account_id, strict);"
"CREATE INDEX elsewhere_loose ON elsewhere (account_id, loose);"
"CREATE INDEX elsewhere_sha1 ON elsewhere (account_id, sha1);"
"CREATE INDEX extra_any_strict ON extra (strict) WHERE taken = 0;"
"CREATE INDEX extra_any_loose ON extra (loose) WHERE taken = 0;"
"CREATE INDEX extra_any_sha1 ON extra (sha1) WHERE taken = 0;"
"CREATE TABLE doubt (mailbox_id INTEGER NOT NULL, key BLOB NOT NULL,"
"  n INTEGER NOT NULL, PRIMARY KEY (mailbox_id, key)) WITHOUT ROWID;"
"CREATE TABLE removal (mailbox_id INTEGER NOT NULL, key BLOB NOT NULL,"
"  uid INTEGER NOT NULL, pass INTEGER, state INTEGER NOT NULL DEFAULT 0,"
"  PRIMARY KEY (mailbox_id, key)) WITHOUT ROWID;"
"CREATE TABLE flagging (mailbox_id INTEGER NOT NULL, key BLOB NOT NULL,"
"  uid INTEGER NOT NULL, modseq INTEGER, src_flags INTEGER, src_kw INTEGER,"
"  tgt_flags INTEGER, tgt_kw INTEGER, PRIMARY KEY (mailbox_id, key))"
"  WITHOUT ROWID;";

static const char schema_rest[] =
"CREATE TABLE pace (pass INTEGER NOT NULL, slot INTEGER NOT NULL,"
"  sent INTEGER NOT NULL, sent_bytes INTEGER NOT NULL,"
"  PRIMARY KEY (pass, slot)) WITHOUT ROWID;"
"CREATE INDEX op_name ON op (account_id, kind, name);"
"CREATE INDEX op_mailbox ON op (mailbox_id);"
"CREATE TABLE access (mailbox_id INTEGER NOT NULL, who TEXT NOT NULL,"
"  account_id INTEGER NOT NULL, rights TEXT NOT NULL, target TEXT,"
"  given TEXT, since INTEGER, pass INTEGER, PRIMARY KEY (mailbox_id, who))"
"  WITHOUT ROWID;"
"CREATE INDEX access_account ON access (account_id);"
"CREATE TABLE foreign_box (account_id INTEGER NOT NULL, name TEXT NOT NULL,"
"  owner TEXT NOT NULL, box TEXT NOT NULL, target TEXT,"
"  done INTEGER NOT NULL DEFAULT 0, pass INTEGER,"
"  PRIMARY KEY (account_id, name)) WITHOUT ROWID;"
"CREATE TABLE host (side INTEGER NOT NULL, name TEXT NOT NULL,"
"  lanes INTEGER, cap INTEGER, user_cap INTEGER, held_s INTEGER, why TEXT,"
"  rate REAL, lane_rate REAL, measured_s INTEGER, PRIMARY KEY (side, name))"
"  WITHOUT ROWID;"
"CREATE TABLE pop3 (account TEXT PRIMARY KEY, taken INTEGER NOT NULL,"
"  server TEXT NOT NULL, listed INTEGER NOT NULL, inbox INTEGER NOT NULL,"
"  joined INTEGER NOT NULL, by_headers INTEGER NOT NULL,"
"  unchecked INTEGER NOT NULL, reordered INTEGER NOT NULL) WITHOUT ROWID;"
"CREATE TABLE uidl (account TEXT NOT NULL, key BLOB NOT NULL,"
"  uidl TEXT NOT NULL, number INTEGER NOT NULL, size INTEGER NOT NULL,"
"  ord INTEGER NOT NULL, PRIMARY KEY (account, key),"
"  UNIQUE (account, uidl)) WITHOUT ROWID;"
"CREATE TABLE uidl_left (account TEXT NOT NULL, number INTEGER NOT NULL,"
"  uidl TEXT, size INTEGER NOT NULL, why TEXT NOT NULL,"
"  PRIMARY KEY (account, number)) WITHOUT ROWID;"
"CREATE TABLE live (id INTEGER PRIMARY KEY CHECK (id = 1), pass INTEGER,"
"  updated INTEGER, mode TEXT, left_s INTEGER, basis TEXT);";

/* Opens PATH.lock and takes it; the pid in it is for people only.  What others
 * asked of the last holder (control.h) goes with its pid. */
static int
take_lock(const char *path, int *fdp, long *holder, struct err *e)
{
	struct flock fl = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	char name[4096], pid[32];
	ssize_t n;
	int fd;

	*holder = 0;
	snprintf(name, sizeof name, "%s.lock", path);
	fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd == -1)
		return err_sys(e, ERR_RUN, "%s", name);
	if (fcntl(fd, F_OFD_SETLK, &fl) == -1) {
		n = read(fd, pid, sizeof pid - 1);
		pid[n > 0 ? n : 0] = '\0';
		*holder = strtol(pid, NULL, 10);
		close(fd);
		return err_set(e, ERR_RUN, "%s is in use by process %ld; "
		    "wait for it, or give another --state", path, *holder);
	}
	n = snprintf(pid, sizeof pid, "%ld\n", (long)getpid());
	if (ftruncate(fd, 0) == -1 || pwrite(fd, pid, (size_t)n, 0) != n) {
		err_sys(e, ERR_RUN, "%s", name);
		close(fd);
		return -1;
	}
	*fdp = fd;
	return 0;
}

/* The directory must be ours alone to write, and no NFS. */
static int
check_directory(const char *path, struct err *e)
{
	char *copy = xstrdup(path), *dir = dirname(copy);
	struct statfs fs;
	struct stat st;
	int rc = 0;

	if (stat(dir, &st) == -1)
		rc = err_sys(e, ERR_RUN, "directory of the state, %s", dir);
	else if (st.st_uid != geteuid() && st.st_uid != 0)
		rc = err_set(e, ERR_RUN, "%s belongs to another user: the "
		    "state must lie in a directory of yours", dir);
	else if ((st.st_mode & 022) && !(st.st_mode & S_ISVTX))
		rc = err_set(e, ERR_RUN, "%s is writable by others: the state "
		    "must lie in a directory of yours", dir);
	else if (statfs(dir, &fs) == 0 && fs.f_type == NFS_MAGIC)
		rc = err_set(e, ERR_RUN, "%s is on NFS: SQLite's locks are not "
		    "safe there, give a local --state", dir);
	free(copy);
	return rc;
}

/* Is it a state that we can read?  *empty: it has nothing in it yet. */
static int
check_ours(struct db *db, const char *path, bool *empty, struct err *e)
{
	int64_t app, version, tables;

	if (db_number(db, e, &app, 0, "PRAGMA application_id", "") == -1 ||
	    db_number(db, e, &version, 0, "PRAGMA user_version", "") == -1 ||
	    db_number(db, e, &tables, 0, "SELECT count(*) FROM sqlite_master",
	    "") == -1)
		return err_ctx(e, "%s", path);
	*empty = tables == 0 && app == 0;
	if (*empty)
		return 0;
	if (app != APPLICATION_ID)
		return err_set(e, ERR_RUN, "%s is no mailhaul state", path);
	if (version > SCHEMA_VERSION)
		return err_set(e, ERR_RUN, "%s was written by a newer mailhaul "
		    "(state version %" PRId64 ", this one knows %d): use that "
		    "version", path, version, SCHEMA_VERSION);
	return 0;
}

/* Somebody else's file must not be changed, not even its journal mode. */
static int
check_before_writing(const char *path, bool *empty, struct err *e)
{
	struct db *db;
	int rc;

	if (db_open(&db, path, DB_READ, e) == -1)
		return err_ctx(e, "%s", path);
	rc = check_ours(db, path, empty, e);
	db_close(&db);
	return rc;
}

int
state_make_schema(struct db *db, const char *path, struct err *e)
{
	char sql[128];

	snprintf(sql, sizeof sql, "PRAGMA application_id=%d;"
	    "PRAGMA user_version=%d;", APPLICATION_ID, SCHEMA_VERSION);
	if (db_script(db, "BEGIN EXCLUSIVE;", e) == -1 ||
	    db_script(db, schema, e) == -1 ||
	    db_script(db, schema_merge, e) == -1 ||
	    db_script(db, schema_rest, e) == -1 ||
	    db_script(db, sql, e) == -1 ||
	    db_script(db, "COMMIT;", e) == -1)
		return err_ctx(e, "%s", path);
	return 0;
}

/* Runs the list in one transaction. */
static int
commit_all(struct state *s, struct work *list, struct err *e)
{
	struct work *w;

	if (db_script(s->db, "BEGIN IMMEDIATE", e) == -1)
		return -1;
	for (w = list; w != NULL; w = w->next)
		if (w->fn(s->db, w->arg, e) == -1)
			goto fail;
	fault_point("state.before_commit");
	if (db_script(s->db, "COMMIT", e) == -1)
		goto fail;
	fault_point("state.after_commit");
	return 0;
fail:;
	struct err ignored;

	db_script(s->db, "ROLLBACK", &ignored);
	return -1;
}

static void
writer(void *arg)
{
	struct state *s = arg;

	uv_mutex_lock(&s->mutex);
	for (;;) {
		struct work *list, *w, *next;
		uint64_t upto;
		bool dead;
		struct err e;
		int rc = -1;

		while (!s->stop && (s->first == NULL ||
		    (s->wanted <= s->committed &&
		    s->posted - s->committed < MAX_WAITING)))
			uv_cond_wait(&s->more, &s->mutex);
		if (s->first == NULL)
			break;
		list = s->first;
		s->first = NULL;
		s->last = &s->first;
		upto = s->posted;
		dead = s->failed;
		uv_mutex_unlock(&s->mutex);
		if (!dead)
			rc = commit_all(s, list, &e);
		for (w = list; w != NULL; w = next) {
			next = w->next;
			if (w->free_arg != NULL)
				w->free_arg(w->arg);
			free(w);
		}
		uv_mutex_lock(&s->mutex);
		if (rc == 0)
			s->commits++;
		else if (!dead) {
			s->failed = true;
			s->error = e;
		}
		s->committed = upto;
		uv_cond_broadcast(&s->done);
	}
	uv_mutex_unlock(&s->mutex);
}

struct state *
state_new(const char *path, int lock)
{
	struct state *s = xcalloc(1, sizeof *s);

	s->lock_fd = lock;
	s->path = xstrdup(path);
	s->last = &s->first;
	uv_mutex_init(&s->mutex);
	uv_cond_init(&s->more);
	uv_cond_init(&s->done);
	return s;
}

int
state_start_writer(struct state *s, struct err *e)
{
	if (uv_thread_create(&s->thread, writer, s) != 0)
		return err_retry(e, ERR_RUN, "cannot start a thread");
	s->started = true;
	return 0;
}

int
state_open(struct state **sp, const char *path, bool *created, struct err *e)
{
	struct state *s;
	long holder;
	int fd, lock;

	if (check_directory(path, e) == -1)
		return -1;
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd == -1)
		return err_sys(e, ERR_RUN, "state %s", path);
	close(fd);
	if (take_lock(path, &lock, &holder, e) == -1)
		return -1;
	s = state_new(path, lock);
	if (check_before_writing(path, created, e) == -1 ||
	    db_open(&s->db, path, DB_WRITE, e) == -1 ||
	    (*created && state_make_schema(s->db, path, e) == -1) ||
	    state_start_writer(s, e) == -1) {
		state_close(&s);
		return -1;
	}
	*sp = s;
	return 0;
}

void
state_close(struct state **sp)
{
	struct state *s = *sp;

	if (s == NULL)
		return;
	if (s->started) {
		uv_mutex_lock(&s->mutex);
		s->stop = true;
		uv_cond_signal(&s->more);
		uv_mutex_unlock(&s->mutex);
		uv_thread_join(&s->thread);
	}
	db_close(&s->db);
	uv_cond_destroy(&s->more);
	uv_cond_destroy(&s->done);
	uv_mutex_destroy(&s->mutex);
	if (s->lock_fd != -1)
		close(s->lock_fd);
	free(s->path);
	free(s->known);
	free(s);
	*sp = NULL;
}

uint64_t
state_post(struct state *s, state_fn *fn, void *arg, void (*free_arg)(void *))
{
	struct work *w = xcalloc(1, sizeof *w);
	uint64_t seq;

	w->fn = fn;
	w->arg = arg;
	w->free_arg = free_arg;
	uv_mutex_lock(&s->mutex);
	*s->last = w;
	s->last = &w->next;
	seq = ++s->posted;
	if (seq - s->committed >= MAX_WAITING)
		uv_cond_signal(&s->more);
	uv_mutex_unlock(&s->mutex);
	return seq;
}

/* Under the mutex. */
static void
want(struct state *s, uint64_t seq)
{
	if (seq <= s->wanted)
		return;
	s->wanted = seq;
	uv_cond_signal(&s->more);
}

void
state_hurry(struct state *s, uint64_t seq)
{
	uv_mutex_lock(&s->mutex);
	want(s, seq != 0 ? seq : s->posted);
	uv_mutex_unlock(&s->mutex);
}

int
state_sync(struct state *s, struct err *e)
{
	uint64_t seq;

	uv_mutex_lock(&s->mutex);
	seq = s->posted;
	uv_mutex_unlock(&s->mutex);
	return state_wait(s, seq, e);
}

int
state_wait(struct state *s, uint64_t seq, struct err *e)
{
	int rc = 0;

	uv_mutex_lock(&s->mutex);
	want(s, seq);
	while (s->committed < seq)
		uv_cond_wait(&s->done, &s->mutex);
	if (s->failed) {
		*e = s->error;
		rc = -1;
	}
	uv_mutex_unlock(&s->mutex);
	return rc;
}

int
state_call(struct state *s, state_fn *fn, void *arg, struct err *e)
{
	return state_wait(s, state_post(s, fn, arg, NULL), e);
}

int
state_failed(struct state *s, struct err *e)
{
	int rc = 0;

	uv_mutex_lock(&s->mutex);
	if (s->failed) {
		*e = s->error;
		rc = -1;
	}
	uv_mutex_unlock(&s->mutex);
	return rc;
}

int
state_reader(struct state *s, struct db **db, struct err *e)
{
	if (s->scratch)
		return state_scratch_reader(s, db, e);
	return db_open(db, s->path, DB_READ, e);
}

int
state_holder(const char *path, long *running, struct err *e)
{
	struct flock fl = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	char name[4096], pid[32];
	ssize_t n;
	int fd;

	*running = 0;
	if (access(path, R_OK) == -1) {
		err_sys(e, ERR_RUN, "state %s", path);
		if (e->sys == ENOENT)
			e->cause = CAUSE_MISSING;
		return -1;
	}
	snprintf(name, sizeof name, "%s.lock", path);
	if ((fd = open(name, O_RDONLY | O_CLOEXEC)) == -1)
		return 0;
	if (fcntl(fd, F_OFD_GETLK, &fl) == 0 && fl.l_type != F_UNLCK &&
	    (n = read(fd, pid, sizeof pid - 1)) > 0) {
		pid[n] = '\0';
		*running = strtol(pid, NULL, 10);
	}
	close(fd);
	return 0;
}

int
state_check(struct db *db, const char *path, struct err *e)
{
	bool empty;

	if (check_ours(db, path, &empty, e) == -1)
		return -1;
	if (empty)
		return err_set(e, ERR_RUN, "%s is no mailhaul state: it is "
		    "empty", path);
	return 0;
}

int
state_read_only(const char *path, struct db **db, long *running,
    struct err *e)
{
	if (state_holder(path, running, e) == -1)
		return -1;
	if (db_open(db, path, DB_READ, e) == -1)
		return err_ctx(e, "%s", path);
	if (state_check(*db, path, e) == 0)
		return 0;
	db_close(db);
	return -1;
}

uint64_t
state_commits(struct state *s)
{
	uint64_t n;

	uv_mutex_lock(&s->mutex);
	n = s->commits;
	uv_mutex_unlock(&s->mutex);
	return n;
}

int64_t
state_pass(struct state *s)
{
	return s->pass;
}

void
state_set_pass(struct state *s, int64_t pass)
{
	s->pass = pass;
}

struct log *
state_log(const struct state *s)
{
	return s->log;
}

void
state_set_log(struct state *s, struct log *log)
{
	s->log = log;
}
