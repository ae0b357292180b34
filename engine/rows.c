/* The rows of the state: passes, accounts, mailboxes, messages, extras,
 * intents and ops. */
#include "rows.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/fault.h"
#include "base/xmalloc.h"
#include "journal.h"

static _Atomic int64_t last_intent;

const char *
outcome_name(enum outcome o)
{
	static const char *const names[OUTCOMES] = {
		"none", "copied", "present", "excluded", "refused", "failed",
		"vanished",
	};

	return names[o];
}

int64_t
intent_id_next(void)
{
	return atomic_fetch_add(&last_intent, 1) + 1;
}

/* Passes. */

struct pass_arg { const char *what, *settings; int exit_code; int64_t id; };

static int
apply_pass_begin(struct db *db, void *arg, struct err *e)
{
	struct pass_arg *p = arg;
	int64_t last;

	if (db_run(db, e, "INSERT INTO pass (started, version, what,"
	    " settings) VALUES (?1, ?2, ?3, ?4)", "isss", (int64_t)time(NULL),
	    VERSION, p->what, p->settings) == -1)
		return -1;
	p->id = db_last_id(db);
	if (db_number(db, e, &last, 0, "SELECT max(id) FROM intent", "") == -1)
		return -1;
	if (last > last_intent)
		atomic_store(&last_intent, last);
	return 0;
}

int
pass_begin(struct state *s, const char *what, const char *settings,
    struct err *e)
{
	struct pass_arg p = { .what = what, .settings = settings };

	if (state_call(s, apply_pass_begin, &p, e) == -1)
		return -1;
	state_set_pass(s, p.id);
	return 0;
}

static int
apply_pass_end(struct db *db, void *arg, struct err *e)
{
	struct pass_arg *p = arg;

	return db_run(db, e, "UPDATE pass SET ended = ?2, exit_code = ?3 WHERE"
	    " id = ?1", "iii", p->id, (int64_t)time(NULL),
	    (int64_t)p->exit_code);
}

int
pass_end(struct state *s, int exit_code, struct err *e)
{
	struct pass_arg p = { .exit_code = exit_code, .id = state_pass(s) };

	return state_call(s, apply_pass_end, &p, e);
}

/* Accounts. */

/* What a pass did to an account: begun without an end was cut off. */
static int
history_begin(struct db *db, int64_t account_id, int64_t pass, struct err *e)
{
	return db_run(db, e, "INSERT OR IGNORE INTO history (account_id, pass,"
	    " begun) VALUES (?1, ?2, ?3)", "iii", account_id, pass,
	    (int64_t)time(NULL));
}

static int
history_end(struct db *db, int64_t account_id, int64_t pass, struct err *e)
{
	return db_run(db, e, "UPDATE history SET ended = ?3, (outcome, error)"
	    " = (SELECT outcome, error FROM account WHERE id = ?1), (source,"
	    " copied, present, excluded, refused, failed, vanished) = (SELECT"
	    " sum(source), sum(copied), sum(present), sum(excluded),"
	    " sum(refused), sum(failed), sum(vanished) FROM mailbox WHERE"
	    " account_id = ?1 AND outcome <> 'gone') WHERE account_id = ?1 AND"
	    " pass = ?2", "iii", account_id, pass, (int64_t)time(NULL));
}

struct account_arg {
	const char *name, *user, *source, *target;
	int64_t pass;
	struct row_account *row;
	struct log *log;
};

static int
apply_account(struct db *db, void *arg, struct err *e)
{
	struct account_arg *a = arg;
	sqlite3_stmt *st;
	int rc;

	if (db_run(db, e, "INSERT INTO account (name, target_user, source,"
	    " target) VALUES (?1, ?2, ?3, ?4) ON CONFLICT (name) DO UPDATE SET"
	    " target_user = ?2, source = ?3, target = ifnull(?4, target)", "ssss",
	    a->name, a->user, a->source, a->target) == -1)
		return -1;
	st = db_query(db, e, "SELECT id, stage, outcome, ifnull(pass, 0),"
	    " (SELECT ifnull(sum(source), 0) FROM mailbox WHERE account_id ="
	    " account.id AND mailbox.outcome NOT IN ('gone', 'excluded')) FROM"
	    " account WHERE name = ?1", "s", a->name);
	if (st == NULL)
		return -1;
	rc = db_step(db, st, e);
	if (rc == 1) {
		a->row->id = sqlite3_column_int64(st, 0);
		snprintf(a->row->stage, sizeof a->row->stage, "%s",
		    db_text(st, 1));
		snprintf(a->row->outcome, sizeof a->row->outcome, "%s",
		    db_text(st, 2));
		a->row->pass = sqlite3_column_int64(st, 3);
		a->row->messages = sqlite3_column_int64(st, 4);
	}
	db_done(st);
	if (rc != 1)
		return -1;
	if (db_run(db, e, "UPDATE account SET pass = ?2, outcome ="
	    " 'running', error = NULL WHERE id = ?1", "ii", a->row->id,
	    a->pass) == -1 || history_begin(db, a->row->id, a->pass, e) == -1)
		return -1;
	journal_account_begin(a->log, a->name, a->source, a->target != NULL ?
	    a->target : "the target of before", a->row->stage);
	return 0;
}

int
account_put(struct state *s, const char *name, const char *target_user,
    const char *source, const char *target, struct row_account *row,
    struct err *e)
{
	struct account_arg a = { name, target_user, source, target,
	    state_pass(s), row, state_log(s) };

	memset(row, 0, sizeof *row);
	return state_call(s, apply_account, &a, e);
}

struct outcome_arg {
	int64_t id, pass;
	const char *outcome, *error;
	struct log *log;
};

/* Mailboxes whose walk never ended have no sums; what is in rows is told. */
static int
count_open_mailboxes(struct db *db, int64_t account_id, struct err *e)
{
	return db_run(db, e, "UPDATE mailbox SET (copied, present, refused) ="
	    " (SELECT count(*) FILTER (WHERE message.outcome = 1), count(*)"
	    " FILTER (WHERE message.outcome = 2), count(*) FILTER (WHERE"
	    " message.outcome = 4) FROM message WHERE mailbox_id = mailbox.id)"
	    " WHERE account_id = ?1 AND outcome NOT IN ('done', 'partial',"
	    " 'excluded', 'unreadable')", "i", account_id);
}

static int
apply_outcome(struct db *db, void *arg, struct err *e)
{
	struct outcome_arg *a = arg;

	if (count_open_mailboxes(db, a->id, e) == -1)
		return -1;

	if (db_run(db, e, "UPDATE account SET outcome = ?2, error = ?3,"
	    " stage = CASE WHEN stage = 'new' AND EXISTS (SELECT 1 FROM message"
	    " JOIN mailbox ON mailbox.id = mailbox_id WHERE account_id = ?1 AND"
	    " message.outcome IN (1, 2)) THEN 'loading' ELSE stage END WHERE"
	    " id = ?1", "iss", a->id, a->outcome, a->error) == -1 ||
	    history_end(db, a->id, a->pass, e) == -1)
		return -1;
	journal_account_end(a->log, db, a->id);
	return 0;
}

int
account_outcome(struct state *s, int64_t id, const char *outcome,
    const char *error, struct err *e)
{
	struct outcome_arg a = { id, state_pass(s), outcome, error,
	    state_log(s) };

	return state_call(s, apply_outcome, &a, e);
}

/* Mailboxes. */

struct mailbox_arg {
	int64_t account_id, pass;
	struct mailbox_names *m;
	size_t n;
};

static int
put_one_mailbox(struct db *db, const struct mailbox_arg *a,
    struct mailbox_names *m, struct err *e)
{
	if (db_run(db, e, "INSERT INTO mailbox (account_id, src_key, src_name,"
	    " tgt_name, tgt_key, listed) VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON"
	    " CONFLICT (account_id, src_key) DO UPDATE SET src_name = ?3,"
	    " listed = ?6, tgt_name = iif(?4 = '', tgt_name, ?4), tgt_key"
	    " = iif(?4 = '', tgt_key, ?5), outcome = iif(outcome ="
	    " 'gone', 'new', outcome)", "ibsssi", a->account_id, m->src_key,
	    strlen(m->src_key), m->src_name, m->tgt_name, m->tgt_key,
	    a->pass) == -1)
		return -1;
	return db_number(db, e, &m->id, 0, "SELECT id FROM mailbox WHERE"
	    " account_id = ?1 AND src_key = ?2", "ib", a->account_id,
	    m->src_key, strlen(m->src_key));
}

static int
apply_mailboxes(struct db *db, void *arg, struct err *e)
{
	const struct mailbox_arg *a = arg;

	for (size_t i = 0; i < a->n; i++)
		if (put_one_mailbox(db, a, &a->m[i], e) == -1)
			return -1;
	return 0;
}

int
mailboxes_put(struct state *s, int64_t account_id, struct mailbox_names *m,
    size_t n, struct err *e)
{
	struct mailbox_arg a = { account_id, state_pass(s), m, n };

	return n == 0 ? 0 : state_call(s, apply_mailboxes, &a, e);
}

int
mailbox_put(struct state *s, int64_t account_id, const char *src_key,
    const char *src_name, const char *tgt_name, const char *tgt_key,
    int64_t *id, struct err *e)
{
	struct mailbox_names m = { src_key, src_name, tgt_name, tgt_key, 0 };

	if (mailboxes_put(s, account_id, &m, 1, e) == -1)
		return -1;
	*id = m.id;
	return 0;
}

struct settle_arg { int64_t id, pass; bool count; };

static int
apply_gone(struct db *db, void *arg, struct err *e)
{
	struct settle_arg *a = arg;

	return db_run(db, e, "UPDATE mailbox SET outcome = 'gone' WHERE"
	    " account_id = ?1 AND listed <> ?2", "ii", a->id, a->pass);
}

int
mailboxes_gone(struct state *s, int64_t account_id, struct err *e)
{
	struct settle_arg a = { account_id, state_pass(s), false };

	return state_call(s, apply_gone, &a, e);
}

int
mailbox_load(struct db *db, int64_t id, struct row_mailbox *m, struct err *e)
{
	/* In one statement: each is a transaction of its own. */
	static const char sql[] = "SELECT src_uidvalidity, tgt_uidvalidity,"
	    " tgt_uidnext, tgt_modseq, tgt_messages, made_by_us, outcome ="
	    " 'done', source, copied, present, excluded, refused, failed,"
	    " vanished, src_token, bytes, crlf_bytes, stripped, (SELECT"
	    " count(*) FROM message WHERE mailbox_id = ?1 AND outcome IN (1,"
	    " 2) AND NOT (outcome = 2 AND tgt_uid = 0)), (SELECT count(*) FROM extra WHERE mailbox_id = ?1 AND taken"
	    " = 0), (SELECT count(*) FROM intent WHERE mailbox_id = ?1 AND"
	    " state = 0), EXISTS (SELECT 1 FROM message WHERE mailbox_id = ?1),"
	    " EXISTS (SELECT 1 FROM doubt WHERE mailbox_id = ?1), EXISTS"
	    " (SELECT 1 FROM message WHERE mailbox_id = ?1 AND tgt_uid = 0 AND"
	    " outcome = 1), EXISTS (SELECT 1 FROM flagging WHERE mailbox_id ="
	    " ?1) FROM mailbox WHERE id = ?1";
	sqlite3_stmt *st;
	int64_t n[7] = { 0 };
	int rc;

	memset(m, 0, sizeof *m);
	buf_init(&m->token, 1 << 20);
	m->id = id;
	st = db_query(db, e, sql, "i", id);
	if (st == NULL)
		return -1;
	rc = db_step(db, st, e);
	if (rc == 1) {
		m->src_uidvalidity = (uint32_t)sqlite3_column_int64(st, 0);
		m->target.uidvalidity = (uint32_t)sqlite3_column_int64(st, 1);
		m->target.uidnext = (uint32_t)sqlite3_column_int64(st, 2);
		m->target.modseq = (uint64_t)sqlite3_column_int64(st, 3);
		m->target.messages = (uint64_t)sqlite3_column_int64(st, 4);
		m->made_by_us = sqlite3_column_int(st, 5) != 0;
		m->complete = sqlite3_column_int(st, 6) != 0;
		m->source = (uint64_t)sqlite3_column_int64(st, 7);
		for (int i = 1; i < OUTCOMES; i++)
			m->counts[i] = (uint64_t)sqlite3_column_int64(st,
			    7 + i);
		if (sqlite3_column_bytes(st, 14) > 0)
			buf_add(&m->token, sqlite3_column_blob(st, 14),
			    (size_t)sqlite3_column_bytes(st, 14));
		m->bytes = (uint64_t)sqlite3_column_int64(st, 15);
		m->crlf_bytes = (uint64_t)sqlite3_column_int64(st, 16);
		m->stripped = (uint64_t)sqlite3_column_int64(st, 17);
		for (int i = 0; i < 7; i++)
			n[i] = sqlite3_column_int64(st, 18 + i);
	}
	db_done(st);
	if (rc != 1)
		return rc == -1 ? -1 : err_set(e, ERR_RUN, "state: mailbox "
		    "%" PRId64 " is gone", id);
	m->rows = (uint64_t)n[0];
	m->extras = (uint64_t)n[1];
	m->intents = (uint64_t)n[2];
	m->any_row = n[3] != 0;
	m->doubts = n[4] != 0;
	m->unlocated = n[5] != 0;
	m->flagging = n[6] != 0;
	return 0;
}

struct target_arg { int64_t id; const struct row_target *t; bool made; };
struct posted_target { struct target_arg a; struct row_target t; };

static int
apply_target(struct db *db, void *arg, struct err *e)
{
	struct target_arg *a = arg;

	return db_run(db, e, "UPDATE mailbox SET tgt_uidvalidity = ?2,"
	    " tgt_uidnext = ?3, tgt_modseq = ?4, tgt_messages = ?5,"
	    " made_by_us = max(made_by_us, ?6) WHERE id = ?1", "iiiiii",
	    a->id, (int64_t)a->t->uidvalidity, (int64_t)a->t->uidnext,
	    (int64_t)a->t->modseq, (int64_t)a->t->messages, (int64_t)a->made);
}

static int
apply_posted_target(struct db *db, void *arg, struct err *e)
{
	struct posted_target *p = arg;

	p->a.t = &p->t;
	return apply_target(db, &p->a, e);
}

int
mailbox_set_target(struct state *s, int64_t id, const struct row_target *t,
    bool made_by_us, struct err *e)
{
	struct posted_target *p = xcalloc(1, sizeof *p);

	p->t = *t;
	p->a.id = id;
	p->a.made = made_by_us;
	state_post(s, apply_posted_target, p, free);
	return state_failed(s, e);
}

static int
apply_end_rows(struct db *db, void *arg, struct err *e)
{
	const struct mailbox_end *m = arg;

	if (db_run(db, e, "UPDATE mailbox SET outcome = ?2, error = ?3, pass ="
	    " ?4, src_token = ?5 WHERE id = ?1", "issib", m->id, m->outcome,
	    m->error, m->pass, m->token, m->token_len) == -1)
		return -1;
	if (m->set_target) {
		struct target_arg a = { m->id, &m->target, false };

		if (apply_target(db, &a, e) == -1)
			return -1;
	}
	if (!m->counted)
		return 0;
	/* What was only noticed in an earlier pass is not true for ever. */
	if (db_run(db, e, "DELETE FROM issue WHERE mailbox_id = ?1 AND pass <"
	    " ?2 AND kind IN ('warn', 'failed', 'vanished', 'excluded')", "ii", m->id,
	    m->pass) == -1)
		return -1;
	return db_run(db, e, "UPDATE mailbox SET source = ?2, copied = ?3,"
	    " present = ?4, excluded = ?5, refused = ?6, failed = ?7, vanished"
	    " = ?8, stripped = ?9, bytes = ?10, crlf_bytes = ?11,"
	    " src_uidvalidity = ?12, src_object = ?13, src_uidnext = ?14,"
	    " src_modseq = ?15, src_messages = ?16 WHERE id = ?1",
	    "iiiiiiiiiiiisiii", m->id, (int64_t)m->source,
	    (int64_t)m->counts[OUT_COPIED], (int64_t)m->counts[OUT_PRESENT],
	    (int64_t)m->counts[OUT_EXCLUDED], (int64_t)m->counts[OUT_REFUSED],
	    (int64_t)m->counts[OUT_FAILED], (int64_t)m->counts[OUT_VANISHED],
	    (int64_t)m->stripped, (int64_t)m->bytes, (int64_t)m->crlf_bytes,
	    (int64_t)m->src_uidvalidity, m->src_object,
	    (int64_t)m->src_uidnext, (int64_t)m->src_modseq,
	    (int64_t)m->src_messages);
}

static int
apply_end(struct db *db, void *arg, struct err *e)
{
	const struct mailbox_end *m = arg;

	if (apply_end_rows(db, arg, e) == -1)
		return -1;
	journal_mailbox_end(m->log, db, m->id);
	return 0;
}

struct posted_end {
	struct arena	 arena;		/* owns what the copy points to */
	struct mailbox_end end;
};

static int
apply_posted_end(struct db *db, void *arg, struct err *e)
{
	return apply_end(db, &((struct posted_end *)arg)->end, e);
}

static void
free_posted_end(void *arg)
{
	struct posted_end *p = arg;

	arena_release(&p->arena);
	free(p);
}

static const char *
copy_text(struct arena *a, const char *s)
{
	return s != NULL ? arena_strdup(a, s) : NULL;
}

int
mailbox_put_end(struct state *s, const struct mailbox_end *m, struct err *e)
{
	struct posted_end *p = xcalloc(1, sizeof *p);

	arena_init(&p->arena);
	p->end = *m;
	p->end.log = state_log(s);
	p->end.outcome = copy_text(&p->arena, m->outcome);
	p->end.error = copy_text(&p->arena, m->error);
	p->end.src_object = copy_text(&p->arena, m->src_object);
	if (m->token != NULL)
		p->end.token = arena_memdup0(&p->arena, m->token,
		    m->token_len);
	state_post(s, apply_posted_end, p, free_posted_end);
	return state_failed(s, e);
}

/* Messages. */

int
message_find(struct db *db, int64_t mailbox_id, const void *key,
    size_t key_len, struct row_message *m, struct digests *d,
    struct arena *a, struct err *e)
{
	sqlite3_stmt *st;
	int rc;

	st = db_query(db, e, "SELECT outcome, size, date, tgt_uid, strict,"
	    " loose, rule, crlf_size, oddities, pass, src_flags, words, changes"
	    " FROM message LEFT JOIN keyword_set ON keyword_set.id = src_kw WHERE"
	    " mailbox_id = ?1 AND key = ?2", "ib", mailbox_id, key, key_len);
	if (st == NULL)
		return -1;
	rc = db_step(db, st, e);
	if (rc == 1) {
		memset(m, 0, sizeof *m);
		m->outcome = (enum outcome)sqlite3_column_int(st, 0);
		m->size = (uint64_t)sqlite3_column_int64(st, 1);
		m->date = sqlite3_column_int64(st, 2);
		m->tgt_uid = (uint32_t)sqlite3_column_int64(st, 3);
		if (sqlite3_column_bytes(st, 4) == DIGEST_LEN &&
		    sqlite3_column_bytes(st, 5) == DIGEST_LEN) {
			memcpy(d->strict, sqlite3_column_blob(st, 4),
			    DIGEST_LEN);
			memcpy(d->loose, sqlite3_column_blob(st, 5),
			    DIGEST_LEN);
			m->digests = d;
		}
		m->rule = arena_strdup(a, db_text(st, 6));
		m->crlf_size = (uint64_t)sqlite3_column_int64(st, 7);
		m->oddities = (unsigned)sqlite3_column_int(st, 8);
		m->pass = sqlite3_column_int64(st, 9);
		m->src_flags = (unsigned)sqlite3_column_int(st, 10);
		m->src_kw = arena_strdup(a, db_text(st, 11));
		m->changes = (unsigned)sqlite3_column_int64(st, 12);
	}
	db_done(st);
	return rc;
}

static int
apply_void(struct db *db, void *arg, struct err *e)
{
	const int64_t *id = arg;

	/* What is in other mailboxes is there still. */
	if (db_run(db, e, "UPDATE message SET outcome = 0, tgt_uid = 0 WHERE"
	    " mailbox_id = ?1 AND outcome IN (1, 2) AND NOT (outcome = 2 AND"
	    " tgt_uid = 0)", "i", *id) == -1 ||
	    db_run(db, e, "DELETE FROM extra WHERE mailbox_id = ?1", "i",
	    *id) == -1 ||
	    db_run(db, e, "DELETE FROM flagging WHERE mailbox_id = ?1", "i",
	    *id) == -1 ||
	    db_run(db, e, "DELETE FROM removal WHERE mailbox_id = ?1", "i",
	    *id) == -1 ||
	    db_run(db, e, "UPDATE access SET given = NULL WHERE mailbox_id ="
	    " ?1", "i", *id) == -1)
		return -1;
	return db_run(db, e, "UPDATE mailbox SET tgt_uidvalidity = 0,"
	    " tgt_uidnext = 0, src_token = NULL WHERE id = ?1", "i", *id);
}

int
mailbox_void(struct state *s, int64_t mailbox_id, struct err *e)
{
	return state_call(s, apply_void, &mailbox_id, e);
}

/* The books are open: a crash from here on must not find "unchanged". */
static int
forget_token(struct db *db, int64_t mailbox_id, struct err *e)
{
	return db_run(db, e, "UPDATE mailbox SET src_token = NULL, outcome ="
	    " 'partial' WHERE id = ?1", "i", mailbox_id);
}

struct key_arg { int64_t mailbox_id; size_t len; char key[]; };

static int
apply_unrefuse(struct db *db, void *arg, struct err *e)
{
	struct key_arg *k = arg;

	if (db_run(db, e, "UPDATE message SET outcome = 0 WHERE mailbox_id ="
	    " ?1 AND key = ?2 AND outcome = 4", "ib", k->mailbox_id, k->key,
	    k->len) == -1)
		return -1;
	if (db_run(db, e, "DELETE FROM doubt WHERE mailbox_id = ?1 AND key"
	    " = ?2", "ib", k->mailbox_id, k->key, k->len) == -1)
		return -1;
	return forget_token(db, k->mailbox_id, e);
}

void
message_unrefuse(struct state *s, int64_t mailbox_id, const void *key,
    size_t key_len)
{
	struct key_arg *k = xcalloc(1, sizeof *k + key_len);

	k->mailbox_id = mailbox_id;
	k->len = key_len;
	memcpy(k->key, key, key_len);
	state_post(s, apply_unrefuse, k, free);
}

struct void_arg {
	int64_t account_id, mailbox_id, pass;
	const uint32_t *uids;
	size_t n;
	uint64_t lost;
};

static int
apply_messages_void(struct db *db, void *arg, struct err *e)
{
	struct void_arg *v = arg;

	for (size_t i = 0; i < v->n; i++) {
		if (db_run(db, e, "INSERT OR REPLACE INTO issue (account_id,"
		    " mailbox_id, kind, key, pass, message_where, size,"
		    " reason) SELECT ?1, mailbox_id, 'lost', key, ?4, '',"
		    " crlf_size, 'was copied, is no longer at the target:"
		    " copied again' FROM message WHERE mailbox_id = ?2 AND"
		    " tgt_uid = ?3 AND outcome IN (1, 2)", "iiii",
		    v->account_id, v->mailbox_id, (int64_t)v->uids[i],
		    v->pass) == -1 ||
		    db_run(db, e, "UPDATE message SET outcome = 0, tgt_uid = 0"
		    " WHERE mailbox_id = ?1 AND tgt_uid = ?2 AND outcome IN"
		    " (1, 2)", "ii", v->mailbox_id,
		    (int64_t)v->uids[i]) == -1)
			return -1;
		v->lost += (uint64_t)db_changes(db);
		if (db_run(db, e, "DELETE FROM flagging WHERE mailbox_id = ?1"
		    " AND uid = ?2", "ii", v->mailbox_id,
		    (int64_t)v->uids[i]) == -1 ||
		    db_run(db, e, "DELETE FROM extra WHERE mailbox_id = ?1 AND"
		    " uid = ?2", "ii", v->mailbox_id,
		    (int64_t)v->uids[i]) == -1)
			return -1;
	}
	return forget_token(db, v->mailbox_id, e);
}

int
messages_void(struct state *s, int64_t account_id, int64_t mailbox_id,
    const uint32_t *uids, size_t n, uint64_t *lost, struct err *e)
{
	struct void_arg v = { account_id, mailbox_id, state_pass(s), uids, n,
	    0 };

	if (state_call(s, apply_messages_void, &v, e) == -1)
		return -1;
	*lost += v.lost;
	return 0;
}

/* Of a message m, with ?4 NO_DATE and ?5 CHANGE_DATE. */
#define LOST_UNLOCATED "tgt_uid = 0 AND outcome = 1 AND NOT EXISTS (SELECT"	\
	" 1 FROM extra WHERE extra.mailbox_id = m.mailbox_id AND taken = 0"	\
	" AND (m.date = ?4 OR ifnull(m.changes, 0) & ?5 OR extra.date ="	\
	" m.date))"

static int
apply_void_unlocated(struct db *db, void *arg, struct err *e)
{
	struct void_arg *v = arg;

	if (db_run(db, e, "INSERT OR REPLACE INTO issue (account_id,"
	    " mailbox_id, kind, key, pass, message_where, size, reason) SELECT"
	    " ?1, mailbox_id, 'lost', key, ?3, '', crlf_size, 'was copied, is"
	    " no longer at the target: copied again' FROM message AS m WHERE"
	    " mailbox_id = ?2 AND " LOST_UNLOCATED, "iiiii",
	    v->account_id, v->mailbox_id, v->pass, NO_DATE,
	    (int64_t)CHANGE_DATE) == -1 ||
	    db_run(db, e, "UPDATE message AS m SET outcome = 0 WHERE"
	    " mailbox_id = ?2 AND ?1 = ?1 AND ?3 = ?3 AND " LOST_UNLOCATED,
	    "iiiii", v->account_id, v->mailbox_id, v->pass, NO_DATE,
	    (int64_t)CHANGE_DATE) == -1)
		return -1;
	v->lost = (uint64_t)db_changes(db);
	return v->lost > 0 ? forget_token(db, v->mailbox_id, e) : 0;
}

int
messages_void_unlocated(struct state *s, int64_t account_id,
    int64_t mailbox_id, uint64_t *lost, struct err *e)
{
	struct void_arg v = { account_id, mailbox_id, state_pass(s), NULL, 0,
	    0 };

	if (state_call(s, apply_void_unlocated, &v, e) == -1)
		return -1;
	*lost += v.lost;
	return 0;
}

static int
apply_rekey(struct db *db, void *arg, struct err *e)
{
	int64_t id = *(int64_t *)arg;

	/* What was taken in other mailboxes is taken anew. */
	if (db_run(db, e, "UPDATE elsewhere SET taken = 0 WHERE taken = ?1",
	    "i", id) == -1 ||
	    db_run(db, e, "UPDATE extra SET taken = 0 WHERE taken = 1 + ?1",
	    "i", id) == -1)
		return -1;
	/* A change of flags that was begun counts as done. */
	if (db_run(db, e, "UPDATE message SET src_flags = f.src_flags, src_kw"
	    " = f.src_kw, tgt_flags = f.tgt_flags, tgt_kw = f.tgt_kw FROM"
	    " flagging AS f WHERE f.mailbox_id = ?1 AND message.mailbox_id ="
	    " ?1 AND message.key = f.key", "i", id) == -1 ||
	    db_run(db, e, "DELETE FROM flagging WHERE mailbox_id = ?1", "i",
	    id) == -1 ||
	    db_run(db, e, "DELETE FROM removal WHERE mailbox_id = ?1", "i",
	    id) == -1 ||
	    db_run(db, e, "INSERT OR REPLACE INTO extra (mailbox_id, uid,"
	    " strict, loose, sha1, size, date, flags, kw, src_flags, src_kw)"
	    " SELECT mailbox_id, tgt_uid, strict, loose, sha1, crlf_size,"
	    " date, tgt_flags, tgt_kw, src_flags, src_kw FROM message WHERE"
	    " mailbox_id = ?1 AND"
	    " tgt_uid > 0 AND outcome IN (1, 2) AND strict IS NOT NULL", "i",
	    id) == -1 ||
	    db_run(db, e, "DELETE FROM message WHERE mailbox_id = ?1 AND"
	    " outcome IN (1, 2)", "i", id) == -1)
		return -1;
	return forget_token(db, id, e);
}

int
mailbox_rekey(struct state *s, int64_t mailbox_id, struct err *e)
{
	return state_call(s, apply_rekey, &mailbox_id, e);
}

int
mailbox_known_uids(struct db *db, int64_t mailbox_id, uint32_t from,
    bool live, int (*fn)(void *, uint32_t, struct err *), void *ctx,
    struct err *e)
{
	static const char living[] = "SELECT tgt_uid FROM message WHERE"
	    " mailbox_id = ?1 AND tgt_uid >= ?2 AND tgt_uid > 0 AND outcome IN"
	    " (1, 2) UNION ALL SELECT uid FROM extra WHERE mailbox_id = ?1 AND"
	    " uid >= ?2 AND taken = 0";
	static const char both[] = "SELECT tgt_uid FROM message WHERE"
	    " mailbox_id = ?1 AND tgt_uid >= ?2 AND tgt_uid > 0 AND outcome IN"
	    " (1, 2) UNION ALL SELECT uid FROM extra WHERE mailbox_id = ?1 AND"
	    " uid >= ?2";
	sqlite3_stmt *st;
	int rc;

	st = db_query(db, e, live ? living : both, "ii", mailbox_id,
	    (int64_t)from);
	if (st == NULL)
		return -1;
	while ((rc = db_step(db, st, e)) == 1)
		if (fn(ctx, (uint32_t)sqlite3_column_int64(st, 0), e) == -1) {
			rc = -1;
			break;
		}
	db_done(st);
	return rc;
}

/* Extras. */

static bool
is_taken(const struct row_taken *t, uint32_t uid)
{
	for (; t != NULL; t = t->next)
		if (t->uid == uid)
			return true;
	return false;
}

static int
first_free(struct db *db, sqlite3_stmt *st, const struct row_taken *skip,
    uint32_t *uid, struct err *e)
{
	int rc;

	if (st == NULL)
		return -1;
	while ((rc = db_step(db, st, e)) == 1) {
		*uid = (uint32_t)sqlite3_column_int64(st, 0);
		if (!is_taken(skip, *uid))
			break;
	}
	db_done(st);
	return rc;
}

int
extra_find(struct db *db, int64_t mailbox_id, const struct digests *d,
    bool loose, const struct row_taken *skip, uint32_t *uid, bool *intended,
    struct err *e)
{
	int64_t n;
	int rc;

	if (fault_mutated("multiset"))
		skip = NULL;
	if (loose)
		rc = first_free(db, db_query(db, e, "SELECT uid FROM extra"
		    " WHERE mailbox_id = ?1 AND loose = ?2 AND taken = 0 ORDER"
		    " BY uid", "ib", mailbox_id, d->loose,
		    (size_t)DIGEST_LEN), skip, uid, e);
	else
		rc = first_free(db, db_query(db, e, "SELECT uid FROM extra"
		    " WHERE mailbox_id = ?1 AND taken = 0 AND (strict = ?2 OR"
		    " sha1 = ?3) ORDER BY uid", "ibb", mailbox_id, d->strict,
		    (size_t)DIGEST_LEN, d->has_sha1 ? d->sha1 : NULL,
		    (size_t)SHA1_LEN), skip, uid, e);
	if (rc != 1)
		return rc;
	if (db_number(db, e, &n, 0, "SELECT 1 FROM intent JOIN intent_item ON"
	    " intent_id = intent.id WHERE mailbox_id = ?1 AND strict = ?2"
	    " LIMIT 1", "ib", mailbox_id, d->strict, (size_t)DIGEST_LEN) == -1)
		return -1;
	*intended = n != 0;
	return 1;
}

int
extra_flags(struct db *db, int64_t mailbox_id, uint32_t uid, const void *key,
    size_t key_len, bool intended, struct arena *a, struct extra_flags *x,
    struct err *e)
{
	sqlite3_stmt *st;
	int rc;

	memset(x, 0, sizeof *x);
	/* What we sent is what it was stored with. */
	if (intended)
		st = db_query(db, e, "SELECT 1, flags, kw, flags, kw FROM"
		    " intent JOIN intent_item ON intent_id = intent.id WHERE"
		    " mailbox_id = ?1 AND key = ?2 ORDER BY intent.id DESC"
		    " LIMIT 1", "ib", mailbox_id, key, key_len);
	else
		st = db_query(db, e, "SELECT src_flags IS NOT NULL, src_flags,"
		    " s.words, flags, t.words FROM extra LEFT JOIN keyword_set"
		    " AS s ON s.id = src_kw LEFT JOIN keyword_set AS t ON t.id"
		    " = kw WHERE mailbox_id = ?1 AND uid = ?2", "ii",
		    mailbox_id, (int64_t)uid);
	if (st == NULL)
		return -1;
	if ((rc = db_step(db, st, e)) == 1) {
		x->src = sqlite3_column_int(st, 0) != 0;
		x->src_flags = (unsigned)sqlite3_column_int(st, 1);
		x->src_kw = arena_strdup(a, db_text(st, 2));
		x->tgt_flags = (unsigned)sqlite3_column_int(st, 3);
		x->tgt_kw = arena_strdup(a, db_text(st, 4));
	}
	db_done(st);
	return rc;
}

int
message_doubts(struct db *db, int64_t mailbox_id, const void *key,
    size_t key_len, int64_t *n, struct err *e)
{
	return db_number(db, e, n, 0, "SELECT n FROM doubt WHERE mailbox_id ="
	    " ?1 AND key = ?2", "ib", mailbox_id, key, key_len);
}

int
extra_equals(struct db *db, int64_t mailbox_id, uint32_t uid,
    const struct digests *d, struct err *e)
{
	int64_t n;

	if (db_number(db, e, &n, 0, "SELECT 1 FROM extra WHERE mailbox_id = ?1"
	    " AND uid = ?2 AND taken = 0 AND (strict = ?3 OR loose = ?4 OR"
	    " sha1 IN (?5, ?6))", "iibbbb", mailbox_id, (int64_t)uid,
	    d->strict, (size_t)DIGEST_LEN, d->loose, (size_t)DIGEST_LEN,
	    d->has_sha1 ? d->sha1 : NULL, (size_t)SHA1_LEN,
	    d->has_sha1 ? d->munged : NULL, (size_t)SHA1_LEN) == -1)
		return -1;
	return n != 0;
}

int
extra_is_unread(struct db *db, int64_t mailbox_id, uint32_t uid,
    struct err *e)
{
	int64_t n;

	if (db_number(db, e, &n, 0, "SELECT 1 FROM extra WHERE mailbox_id = ?1"
	    " AND uid = ?2 AND taken = 0 AND strict IS NULL", "ii",
	    mailbox_id, (int64_t)uid) == -1)
		return -1;
	return n != 0;
}

int
extras_unread(struct db *db, int64_t mailbox_id, uint32_t from,
    uint32_t *uid, struct err *e)
{
	int64_t n;

	if (db_number(db, e, &n, 0, "SELECT min(uid) FROM extra WHERE"
	    " mailbox_id = ?1 AND taken = 0 AND strict IS NULL AND uid >= ?2",
	    "ii", mailbox_id, (int64_t)from) == -1)
		return -1;
	*uid = (uint32_t)n;
	return 0;
}

int
sha1_suffices(struct db *db, int64_t mailbox_id, bool *ok, struct err *e)
{
	int64_t without;

	if (db_number(db, e, &without, 0, "SELECT EXISTS (SELECT 1 FROM intent"
	    " JOIN intent_item ON intent_id = intent.id WHERE mailbox_id = ?1"
	    " AND sha1 IS NULL) OR EXISTS (SELECT 1 FROM message WHERE"
	    " mailbox_id = ?1 AND tgt_uid = 0 AND outcome = 1 AND sha1 IS"
	    " NULL)", "i", mailbox_id) == -1)
		return -1;
	*ok = without == 0;
	return 0;
}

int
extras_from(struct db *db, int64_t mailbox_id, uint32_t from,
    int (*fn)(void *, uint32_t, struct err *), void *ctx, struct err *e)
{
	sqlite3_stmt *st;
	int rc;

	st = db_query(db, e, "SELECT uid FROM extra WHERE mailbox_id = ?1 AND"
	    " uid >= ?2 AND taken = 0 ORDER BY uid", "ii", mailbox_id,
	    (int64_t)from);
	if (st == NULL)
		return -1;
	while ((rc = db_step(db, st, e)) == 1)
		if (fn(ctx, (uint32_t)sqlite3_column_int64(st, 0), e) == -1) {
			rc = -1;
			break;
		}
	db_done(st);
	return rc;
}

int
uids_mixed(struct db *db, int64_t mailbox_id, uint32_t below, bool *mixed,
    struct err *e)
{
	int64_t n;

	if (db_number(db, e, &n, 0, "SELECT EXISTS (SELECT 1 FROM extra WHERE"
	    " mailbox_id = ?1 AND taken = 0 AND ours = 0 AND uid < ?2) OR"
	    " EXISTS (SELECT 1 FROM message WHERE mailbox_id = ?1 AND outcome"
	    " IN (1, 2) AND src_uid > 0 AND tgt_uid > 0 AND tgt_uid <> src_uid"
	    " AND tgt_uid < ?2)", "ii", mailbox_id, (int64_t)below) == -1)
		return -1;
	*mixed = n != 0;
	return 0;
}

int
extras_untaken(struct db *db, int64_t mailbox_id, int64_t *n, struct err *e)
{
	return db_number(db, e, n, 0, "SELECT count(*) FROM extra WHERE"
	    " mailbox_id = ?1 AND taken = 0", "i", mailbox_id);
}

/* Intents. */

int
intents_accounted(struct db *db, int64_t mailbox_id, bool *all, struct err *e)
{
	int64_t missing;

	/* Equal contents are counted: as many copies as were intended. */
	if (db_number(db, e, &missing, 0, "SELECT count(*) FROM (SELECT"
	    " strict, loose, sha1, ifnull(sha1_munged, sha1) AS munged,"
	    " count(*) AS n FROM intent JOIN intent_item ON"
	    " intent_id = intent.id WHERE mailbox_id = ?1 AND state = 0 GROUP"
	    " BY strict) AS i WHERE n > (SELECT count(*) FROM extra WHERE"
	    " mailbox_id = ?1 AND taken = 0 AND (extra.strict = i.strict OR"
	    " extra.loose = i.loose OR extra.sha1 = i.sha1 OR extra.sha1 ="
	    " i.munged))", "i", mailbox_id) == -1)
		return -1;
	*all = missing == 0;
	return 0;
}

static int
apply_settle(struct db *db, void *arg, struct err *e)
{
	struct settle_arg *f = arg;

	if (forget_token(db, f->id, e) == -1 || (f->count &&
	    db_run(db, e, "INSERT INTO doubt (mailbox_id, key, n) SELECT"
	    " DISTINCT mailbox_id, key, 1 FROM intent JOIN intent_item ON"
	    " intent_id = intent.id WHERE mailbox_id = ?1 AND state = 0 ON"
	    " CONFLICT DO UPDATE SET n = n + 1", "i", f->id) == -1))
		return -1;
	/* Under the UID that it was to have it is no other mail, also when the
	 * source has no such message any more. */
	if (db_run(db, e, "UPDATE extra SET ours = 1 WHERE mailbox_id = ?1 AND"
	    " taken = 0 AND EXISTS (SELECT 1 FROM intent JOIN intent_item ON"
	    " intent_id = intent.id JOIN mailbox ON mailbox.id ="
	    " intent.mailbox_id WHERE intent.mailbox_id = ?1 AND state = 0 AND"
	    " want_uid = extra.uid AND (intent_item.strict = extra.strict OR"
	    " intent_item.sha1 = extra.sha1) AND"
	    " intent.uidvalidity = tgt_uidvalidity)", "i", f->id) == -1)
		return -1;
	return db_run(db, e, "UPDATE intent SET state = 1, pass = ?2 WHERE"
	    " mailbox_id = ?1 AND state = 0", "ii", f->id, f->pass);
}

int
intents_settle(struct state *s, int64_t mailbox_id, bool lost, struct err *e)
{
	struct settle_arg f = { mailbox_id, state_pass(s), lost };

	return state_call(s, apply_settle, &f, e);
}

int
intents_settled(struct db *db, int64_t mailbox_id, struct row_intent *in,
    size_t max, size_t *n, struct err *e)
{
	sqlite3_stmt *st;
	int rc = 0;

	*n = 0;
	st = db_query(db, e, "SELECT id, uidvalidity, uidnext, n FROM intent"
	    " WHERE mailbox_id = ?1 AND state = 1 ORDER BY id", "i",
	    mailbox_id);
	if (st == NULL)
		return -1;
	while (*n < max && (rc = db_step(db, st, e)) == 1) {
		memset(&in[*n], 0, sizeof in[*n]);
		in[*n].id = sqlite3_column_int64(st, 0);
		in[*n].uidvalidity = (uint32_t)sqlite3_column_int64(st, 1);
		in[*n].uidnext = (uint32_t)sqlite3_column_int64(st, 2);
		in[(*n)++].n = (size_t)sqlite3_column_int64(st, 3);
	}
	db_done(st);
	return rc == -1 ? -1 : 0;
}

int
intent_items(struct db *db, struct row_intent *in, struct arena *a,
    struct err *e)
{
	struct row_intent_item *items = arena_zalloc(a, (in->n + 1) *
	    sizeof *items);
	sqlite3_stmt *st;
	size_t n = 0;
	int rc = 0;

	st = db_query(db, e, "SELECT strict, loose, sha1, ifnull(sha1_munged,"
	    " sha1) FROM intent_item WHERE intent_id = ?1 ORDER BY seq", "i",
	    in->id);
	if (st == NULL)
		return -1;
	while (n < in->n && (rc = db_step(db, st, e)) == 1) {
		if (sqlite3_column_bytes(st, 0) == DIGEST_LEN &&
		    sqlite3_column_bytes(st, 1) == DIGEST_LEN) {
			memcpy(items[n].digests.strict,
			    sqlite3_column_blob(st, 0), DIGEST_LEN);
			memcpy(items[n].digests.loose,
			    sqlite3_column_blob(st, 1), DIGEST_LEN);
		}
		if (sqlite3_column_bytes(st, 2) == SHA1_LEN &&
		    sqlite3_column_bytes(st, 3) == SHA1_LEN) {
			items[n].digests.has_sha1 = true;
			memcpy(items[n].digests.sha1,
			    sqlite3_column_blob(st, 2), SHA1_LEN);
			memcpy(items[n].digests.munged,
			    sqlite3_column_blob(st, 3), SHA1_LEN);
		}
		n++;
	}
	db_done(st);
	in->items = items;
	in->n = n;
	return rc == -1 ? -1 : 0;
}

static int
apply_forget(struct db *db, void *arg, struct err *e)
{
	struct settle_arg *f = arg;

	if (db_run(db, e, "DELETE FROM intent_item WHERE intent_id IN (SELECT"
	    " id FROM intent WHERE mailbox_id = ?1 AND state = 1 AND pass <"
	    " ?2)", "ii", f->id, f->pass) == -1)
		return -1;
	return db_run(db, e, "DELETE FROM intent WHERE mailbox_id = ?1 AND"
	    " state = 1 AND pass < ?2", "ii", f->id, f->pass);
}

int
intents_forget(struct state *s, int64_t mailbox_id, struct err *e)
{
	struct settle_arg f = { mailbox_id, state_pass(s), false };

	return state_call(s, apply_forget, &f, e);
}

/* Ops. */

struct op_arg {
	int64_t account_id, mailbox_id, pass, id;
	const char *kind, *name, *arg;
};

static int
apply_op(struct db *db, void *arg, struct err *e)
{
	struct op_arg *o = arg;

	if (db_run(db, e, "INSERT INTO op (account_id, mailbox_id, kind, name,"
	    " arg, pass) VALUES (?1, ?2, ?3, ?4, ?5, ?6)", "iisssi",
	    o->account_id, o->mailbox_id, o->kind, o->name, o->arg,
	    o->pass) == -1)
		return -1;
	o->id = db_last_id(db);
	return 0;
}

int
op_begin(struct state *s, int64_t account_id, int64_t mailbox_id,
    const char *kind, const char *name, const char *arg, int64_t *id,
    struct err *e)
{
	struct op_arg o = { account_id, mailbox_id, state_pass(s), 0, kind,
	    name, arg };

	if (state_call(s, apply_op, &o, e) == -1)
		return -1;
	*id = o.id;
	return 0;
}

static int
apply_op_done(struct db *db, void *arg, struct err *e)
{
	return db_run(db, e, "UPDATE op SET state = 1 WHERE id = ?1", "i",
	    *(int64_t *)arg);
}

int
op_done(struct state *s, int64_t id, struct err *e)
{
	int64_t *arg = xcalloc(1, sizeof *arg);

	*arg = id;
	state_post(s, apply_op_done, arg, free);
	return state_failed(s, e);
}

struct ops_arg {
	int64_t account_id, pass, *ids;
	const int64_t *done;
	const char *kind;
	const struct op_name *names;
	size_t n;
};

static int
apply_ops(struct db *db, void *arg, struct err *e)
{
	struct ops_arg *a = arg;

	for (size_t i = 0; i < a->n; i++) {
		struct op_arg o = { a->account_id, a->names[i].mailbox_id,
		    a->pass, 0, a->kind, a->names[i].name, NULL };

		if (apply_op(db, &o, e) == -1)
			return -1;
		a->ids[i] = o.id;
	}
	return 0;
}

int
ops_begin(struct state *s, int64_t account_id, const char *kind,
    const struct op_name *names, size_t n, int64_t *ids, struct err *e)
{
	struct ops_arg a = { .account_id = account_id, .pass = state_pass(s),
	    .ids = ids, .kind = kind, .names = names, .n = n };

	return state_call(s, apply_ops, &a, e);
}

static int
apply_ops_done(struct db *db, void *arg, struct err *e)
{
	struct ops_arg *a = arg;

	for (size_t i = 0; i < a->n; i++) {
		int64_t id = a->done[i];

		if (id != 0 && apply_op_done(db, &id, e) == -1)
			return -1;
	}
	return 0;
}

int
ops_done(struct state *s, const int64_t *ids, size_t n, struct err *e)
{
	struct ops_arg a = { .done = ids, .n = n };

	return state_call(s, apply_ops_done, &a, e);
}

int
op_was_done(struct db *db, int64_t account_id, const char *kind,
    const char *name, struct err *e)
{
	int64_t n;

	if (db_number(db, e, &n, 0, "SELECT 1 FROM op WHERE account_id = ?1"
	    " AND kind = ?2 AND name = ?3 AND state = 1 LIMIT 1", "iss",
	    account_id, kind, name) == -1)
		return -1;
	return n != 0;
}
