/* Changes that a lane makes to the state: collected, then applied at once. */
#include "rows.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/fault.h"
#include "base/xmalloc.h"
#include "journal.h"

struct changes *
changes_new(int64_t account_id, int64_t mailbox_id, int64_t pass)
{
	struct changes *c = xcalloc(1, sizeof *c);

	arena_init(&c->arena);
	c->account_id = account_id;
	c->mailbox_id = mailbox_id;
	c->pass = pass;
	return c;
}

void
changes_free(struct changes *c)
{
	if (c == NULL)
		return;
	arena_release(&c->arena);
	free(c);
}

bool
changes_empty(const struct changes *c)
{
	return c->messages == NULL && c->extras == NULL && c->taken == NULL &&
	    c->issues == NULL && c->intent == NULL && c->drop_intent == 0 &&
	    c->uidnext == 0 && c->sent == 0;
}

struct row_message *
changes_message(struct changes *c)
{
	struct row_message *m = arena_zalloc(&c->arena, sizeof *m);

	m->next = c->messages;
	c->messages = m;
	m->date = NO_DATE;
	return m;
}

struct row_extra *
changes_extra(struct changes *c)
{
	struct row_extra *x = arena_zalloc(&c->arena, sizeof *x);

	x->next = c->extras;
	c->extras = x;
	return x;
}

void
changes_take(struct changes *c, uint32_t uid)
{
	struct row_taken *t;

	if (fault_mutated("multiset"))
		return;
	t = arena_zalloc(&c->arena, sizeof *t);
	t->uid = uid;
	t->next = c->taken;
	c->taken = t;
}

static const char *
copy_string(struct arena *a, const char *s)
{
	return s != NULL ? arena_strdup(a, s) : NULL;
}

struct row_issue *
changes_issue(struct changes *c, const char *kind, const void *key,
    size_t key_len, const char *where, const char *reason)
{
	struct row_issue *i = arena_zalloc(&c->arena, sizeof *i);

	i->mailbox_id = c->mailbox_id;
	i->kind = kind;
	i->key = key != NULL ? arena_memdup0(&c->arena, key, key_len) : "";
	i->key_len = key != NULL ? key_len : 0;
	i->where = copy_string(&c->arena, where != NULL ? where : "");
	i->reason = copy_string(&c->arena, reason);
	i->size = UNKNOWN64;
	i->next = c->issues;
	c->issues = i;
	return i;
}

int
keyword_set(struct db *db, const char *words, int64_t *id, struct err *e)
{
	*id = 0;
	if (words == NULL || *words == '\0')
		return 0;
	if (db_run(db, e, "INSERT OR IGNORE INTO keyword_set (words) "
	    "VALUES (?1)", "s", words) == -1)
		return -1;
	return db_number(db, e, id, 0, "SELECT id FROM keyword_set WHERE "
	    "words = ?1", "s", words);
}

/* What is bound for a digest: NULL where there is none. */
static const void *
sha1_of(const struct digests *d)
{
	return d != NULL && d->has_sha1 ? d->sha1 : NULL;
}

static const void *
munged_of(const struct digests *d)
{
	return d != NULL && d->has_sha1 && memcmp(d->sha1, d->munged,
	    SHA1_LEN) != 0 ? d->munged : NULL;
}

static int
put_message(struct db *db, const struct changes *c,
    const struct row_message *m, struct err *e)
{
	int64_t src_kw, tgt_kw, there;

	/* One failed read does not make a copy undone. */
	if (m->outcome == OUT_FAILED || m->outcome == OUT_VANISHED) {
		if (db_number(db, e, &there, 0, "SELECT 1 FROM message WHERE"
		    " mailbox_id = ?1 AND key = ?2 AND outcome IN (1, 2)",
		    "ib", c->mailbox_id, m->key, m->key_len) == -1)
			return -1;
		if (there != 0)
			return 0;
	}
	if (keyword_set(db, m->src_kw, &src_kw, e) == -1 ||
	    keyword_set(db, m->tgt_kw, &tgt_kw, e) == -1)
		return -1;
	return db_run(db, e, "INSERT OR REPLACE INTO message (mailbox_id, key,"
	    " strict, loose, size, crlf_size, src_uid, tgt_uid, src_flags,"
	    " src_kw, tgt_flags, tgt_kw, raw_flags, guid, uidl, uidl_order,"
	    " date, outcome, changes, oddities, rule, pass, sha1, sha1_munged)"
	    " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13,"
	    " ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22, ?23, ?24)",
	    "ibbbiiiiiiiisssiiiiisibb",
	    c->mailbox_id, m->key, m->key_len,
	    m->digests != NULL ? m->digests->strict : NULL, (size_t)DIGEST_LEN,
	    m->digests != NULL ? m->digests->loose : NULL, (size_t)DIGEST_LEN,
	    (int64_t)m->size, (int64_t)m->crlf_size, (int64_t)m->src_uid,
	    (int64_t)m->tgt_uid, (int64_t)m->src_flags, src_kw,
	    (int64_t)m->tgt_flags, tgt_kw, m->raw_flags, m->guid, m->uidl,
	    (int64_t)m->uidl_order, m->date, (int64_t)m->outcome,
	    (int64_t)m->changes, (int64_t)m->oddities, m->rule, c->pass,
	    sha1_of(m->digests), (size_t)SHA1_LEN, munged_of(m->digests),
	    (size_t)SHA1_LEN);
}

/* It was known by its SHA-1 before its content was read. */
static int
drop_extra(struct db *db, const struct changes *c, uint32_t uid,
    struct err *e)
{
	return db_run(db, e, "DELETE FROM extra WHERE mailbox_id = ?1 AND uid ="
	    " ?2", "ii", c->mailbox_id, (int64_t)uid);
}

/* By which digest a row without a UID is found, one after the other: apart, so
 * that the index on strict serves. */
enum { BY_STRICT, BY_SHA1, BY_LOOSE, BY_MUNGED };

#define LOCATE(column) "UPDATE message SET tgt_uid = ?3 WHERE mailbox_id ="	\
	" ?1 AND key = (SELECT key FROM message WHERE mailbox_id = ?1 AND "	\
	column " = ?2 AND tgt_uid = 0 AND outcome = 1 LIMIT 1)"

/* Gives the UID to a row of ours without one that has this digest.  1: done. */
static int
locate(struct db *db, const struct changes *c, int by, const void *digest,
    size_t len, uint32_t uid, struct err *e)
{
	static const char *const sqls[] = { LOCATE("strict"), LOCATE("sha1"),
	    LOCATE("loose"), LOCATE("sha1_munged") };
	const char *sql = sqls[by];

	if (digest == NULL)
		return 0;
	if (db_run(db, e, sql, "ibi", c->mailbox_id, digest, len,
	    (int64_t)uid) == -1)
		return -1;
	return db_changes(db) == 1;
}

/*
 * A message found at the target.  One of our own stores whose UID the server
 * did not tell takes it first; else it is an extra.
 */
static int
put_extra(struct db *db, const struct changes *c, const struct row_extra *x,
    struct err *e)
{
	const void *strict = x->unread ? NULL : x->digests.strict;
	const void *loose = x->unread ? NULL : x->digests.loose;
	const void *sha1 = sha1_of(&x->digests);
	int64_t kw;
	int rc;

	if ((rc = locate(db, c, BY_STRICT, strict, DIGEST_LEN, x->uid,
	    e)) == 0 &&
	    (rc = locate(db, c, BY_SHA1, sha1, SHA1_LEN, x->uid, e)) == 0 &&
	    (rc = locate(db, c, BY_LOOSE, loose, DIGEST_LEN, x->uid, e)) == 0)
		rc = locate(db, c, BY_MUNGED, sha1, SHA1_LEN, x->uid, e);
	if (rc != 0)
		return rc == 1 ? drop_extra(db, c, x->uid, e) : -1;
	if (keyword_set(db, x->kw, &kw, e) == -1)
		return -1;
	return db_run(db, e, "INSERT OR REPLACE INTO extra (mailbox_id, uid,"
	    " strict, loose, size, date, sha1, flags, kw, ours) VALUES (?1, ?2,"
	    " ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)", "iibbiibiii", c->mailbox_id,
	    (int64_t)x->uid, strict, (size_t)DIGEST_LEN, loose,
	    (size_t)DIGEST_LEN, (int64_t)x->size, x->date, sha1,
	    (size_t)SHA1_LEN, (int64_t)x->flags, kw, (int64_t)x->ours);
}

static int
put_issue(struct db *db, const struct changes *c, const struct row_issue *i,
    struct err *e)
{
	return db_run(db, e, "INSERT INTO issue (account_id, mailbox_id, kind,"
	    " key, pass, message_where, message_id, subject, size, reason)"
	    " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)"
	    " ON CONFLICT DO UPDATE SET pass = ?5, reason = ?10,"
	    " size = ?9, message_id = ifnull(?7, message_id),"
	    " subject = ifnull(?8, subject)", "iisbisssis", c->account_id,
	    i->mailbox_id, i->kind, i->key_len ? i->key : "", i->key_len,
	    c->pass, i->where, i->message_id, i->subject,
	    i->size == UNKNOWN64 ? (int64_t)-1 : (int64_t)i->size, i->reason);
}

static int
put_intent(struct db *db, const struct changes *c,
    const struct row_intent *in, struct err *e)
{
	if (db_run(db, e, "INSERT INTO intent (id, mailbox_id, pass,"
	    " uidvalidity, uidnext, modseq, atomic, n) VALUES (?1, ?2, ?3, ?4,"
	    " ?5, ?6, ?7, ?8)", "iiiiiiii", in->id, c->mailbox_id, c->pass,
	    (int64_t)in->uidvalidity, (int64_t)in->uidnext,
	    (int64_t)in->modseq, (int64_t)in->atomic, (int64_t)in->n) == -1)
		return -1;
	for (size_t i = 0; i < in->n; i++) {
		const struct row_intent_item *it = &in->items[i];

		if (db_run(db, e, "INSERT INTO intent_item (intent_id, seq,"
		    " key, strict, loose, size, want_uid, sha1, sha1_munged,"
		    " flags, kw, date) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8,"
		    " ?9, ?10, ?11, ?12)", "iibbbiibbisi", in->id, (int64_t)i,
		    it->key, it->key_len, it->digests.strict,
		    (size_t)DIGEST_LEN, it->digests.loose, (size_t)DIGEST_LEN,
		    (int64_t)it->size, (int64_t)it->want_uid,
		    sha1_of(&it->digests), (size_t)SHA1_LEN,
		    munged_of(&it->digests), (size_t)SHA1_LEN,
		    (int64_t)it->flags, it->kw, it->date) == -1)
			return -1;
	}
	return 0;
}

static int
drop_intent(struct db *db, int64_t id, struct err *e)
{
	if (db_run(db, e, "DELETE FROM intent_item WHERE intent_id = ?1", "i",
	    id) == -1)
		return -1;
	return db_run(db, e, "DELETE FROM intent WHERE id = ?1", "i", id);
}

/* One row for many batches: so the state does not grow with its messages. */
static int
add_sent(struct db *db, const struct changes *c, struct err *e)
{
	int64_t now = (int64_t)time(NULL);

	if (db_run(db, e, "INSERT INTO pace (pass, slot, sent, sent_bytes)"
	    " VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO UPDATE SET sent = sent +"
	    " ?3, sent_bytes = sent_bytes + ?4", "iiii", c->pass,
	    now - now % PACE_SECONDS, (int64_t)c->sent,
	    (int64_t)c->sent_bytes) == -1)
		return -1;
	return db_run(db, e, "UPDATE pass SET sent = sent + ?2, sent_bytes ="
	    " sent_bytes + ?3 WHERE id = ?1", "iii", c->pass,
	    (int64_t)c->sent, (int64_t)c->sent_bytes);
}

static int
apply_changes(struct db *db, void *arg, struct err *e)
{
	struct changes *c = arg;

	for (struct row_message *m = c->messages; m != NULL; m = m->next)
		if (put_message(db, c, m, e) == -1)
			return -1;
	for (struct row_taken *t = c->taken; t != NULL; t = t->next)
		if (db_run(db, e, "UPDATE extra SET taken = 1 WHERE "
		    "mailbox_id = ?1 AND uid = ?2", "ii", c->mailbox_id,
		    (int64_t)t->uid) == -1)
			return -1;
	for (struct row_extra *x = c->extras; x != NULL; x = x->next)
		if (put_extra(db, c, x, e) == -1)
			return -1;
	for (struct row_issue *i = c->issues; i != NULL; i = i->next) {
		if (put_issue(db, c, i, e) == -1)
			return -1;
		journal_issue(c->log, db, c->account_id, i);
	}
	if (c->intent != NULL && put_intent(db, c, c->intent, e) == -1)
		return -1;
	if (c->drop_intent != 0 && drop_intent(db, c->drop_intent, e) == -1)
		return -1;
	if (c->uidvalidity != 0 && db_run(db, e, "UPDATE mailbox SET"
	    " tgt_uidvalidity = ?2 WHERE id = ?1 AND tgt_uidvalidity <> ?2",
	    "ii", c->mailbox_id, (int64_t)c->uidvalidity) == -1)
		return -1;
	if (c->uidnext != 0 && db_run(db, e, "UPDATE mailbox SET tgt_uidnext ="
	    " max(tgt_uidnext, ?2) WHERE id = ?1", "ii", c->mailbox_id,
	    (int64_t)c->uidnext) == -1)
		return -1;
	return c->sent != 0 ? add_sent(db, c, e) : 0;
}

static void
free_changes(void *arg)
{
	changes_free(arg);
}

uint64_t
changes_post(struct state *s, struct changes **cp)
{
	uint64_t seq;

	(*cp)->log = state_log(s);
	seq = state_post(s, apply_changes, *cp, free_changes);

	*cp = NULL;
	return seq;
}
