/* Limits of users at the target. */
#include "quota.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "account.h"

#define KIB	((uint64_t)1024)
#define ROOM	((uint64_t)5 << 20)
#define NO_LIMIT (-1)		/* in the state, for UNKNOWN64 */
#define LIFTS_MAX 2		/* besides one of each lane */
#define TRIES	4		/* of the last change, if it passes */
#define PAUSE_MS ((uint64_t)500)
#define REFUSED_MAX 3	/* logins of the admin, one after the other */

/* As in the state (state.c), UNKNOWN64 for no limit. */
struct row {
	bool	 wished, given_any, unable;
	uint64_t wish, need, given;
	bool	 open;		/* a change of it was begun, no more is known */
};

uint64_t
quota_with_room(uint64_t limit, uint64_t crlf_bytes)
{
	uint64_t need;

	if (limit == UNKNOWN64)
		return limit;
	need = crlf_bytes + crlf_bytes / 50 + (crlf_bytes % 50 != 0) + ROOM;
	if (need < crlf_bytes)
		return UNKNOWN64;
	if (need < limit)
		need = limit;
	if (need > UNKNOWN64 - 2 * KIB)
		return UNKNOWN64;
	return (need + KIB - 1) / KIB * KIB;
}

static int64_t
to_db(uint64_t bytes)
{
	return bytes > INT64_MAX ? NO_LIMIT : (int64_t)bytes;
}

static uint64_t
from_db(sqlite3_stmt *st, int column)
{
	int64_t v = sqlite3_column_int64(st, column);

	return v < 0 ? UNKNOWN64 : (uint64_t)v;
}

static int
load(struct lane *l, struct row *r, struct err *e)
{
	sqlite3_stmt *st;
	int rc;

	memset(r, 0, sizeof *r);
	st = db_query(l->reader, e, "SELECT wish, need, given, why IS NOT"
	    " NULL, EXISTS (SELECT 1 FROM op WHERE op.account_id ="
	    " quota.account_id AND kind = 'quota' AND state = 0) FROM quota"
	    " WHERE account_id = ?1", "i", l->account->row.id);
	if (st == NULL)
		return -1;
	if ((rc = db_step(l->reader, st, e)) == 1) {
		r->wished = sqlite3_column_type(st, 0) != SQLITE_NULL;
		r->wish = from_db(st, 0);
		r->need = from_db(st, 1);
		r->given_any = sqlite3_column_type(st, 2) != SQLITE_NULL;
		r->given = from_db(st, 2);
		r->unable = sqlite3_column_int64(st, 3) != 0;
		r->open = sqlite3_column_int64(st, 4) != 0;
	}
	db_done(st);
	return rc == -1 ? -1 : 0;
}

/* Writing. */

struct rule_arg {
	int64_t	 account, need;
	const char *rule;
	uint64_t source;
	bool	 wished;
	uint64_t wish;
};

static int
apply_rule(struct db *db, void *arg, struct err *e)
{
	struct rule_arg *r = arg;

	if (db_run(db, e, "INSERT INTO quota (account_id, rule, need) VALUES"
	    " (?1, ?2, ?3) ON CONFLICT (account_id) DO UPDATE SET rule = ?2,"
	    " need = ?3, source = NULL, wish = NULL, why = NULL", "isi",
	    r->account, r->rule, r->need) == -1)
		return -1;
	if (r->source != UNKNOWN64 && db_run(db, e, "UPDATE quota SET source ="
	    " ?2 WHERE account_id = ?1", "ii", r->account,
	    to_db(r->source)) == -1)
		return -1;
	if (!r->wished)
		return 0;
	return db_run(db, e, "UPDATE quota SET wish = ?2 WHERE account_id ="
	    " ?1", "ii", r->account, to_db(r->wish));
}

struct given_arg { int64_t account, bytes; const char *why; };

/* With that nothing of it is open any more. */
static int
apply_given(struct db *db, void *arg, struct err *e)
{
	struct given_arg *g = arg;

	if (g->why == NULL ? db_run(db, e, "UPDATE quota SET given = ?2, why ="
	    " NULL WHERE account_id = ?1", "ii", g->account, g->bytes) == -1 :
	    db_run(db, e, "UPDATE quota SET why = ?2 WHERE account_id = ?1",
	    "is", g->account, g->why) == -1)
		return -1;
	return db_run(db, e, "UPDATE op SET state = 1 WHERE account_id = ?1"
	    " AND kind = 'quota'", "i", g->account);
}

struct need_arg { int64_t account, need; };

static int
apply_need(struct db *db, void *arg, struct err *e)
{
	struct need_arg *n = arg;

	return db_run(db, e, "UPDATE quota SET need = ?2 WHERE account_id ="
	    " ?1", "ii", n->account, n->need);
}

static const char *
limit_text(uint64_t bytes, char out[32])
{
	if (bytes == UNKNOWN64)
		return "none";
	snprintf(out, 32, "%" PRIu64, bytes);
	return out;
}

static void
tell_unable(struct lane *l, const char *why)
{
	char text[400];

	if (atomic_exchange(&l->run->quotas_told, true) ||
	    l->run->log == NULL)
		return;
	snprintf(text, sizeof text, "no quota was set: %.200s; report "
	    "--quotas lists the limits of this user and of all others like "
	    "this", why);
	l->run->log(l->run->log_ctx, l->account->name, text);
}

/* Said once, and listed for each. */
static int
unable(struct lane *l, const char *why, struct err *e)
{
	struct given_arg g = { l->account->row.id, 0, why };

	tell_unable(l, why);
	return state_call(l->run->state, apply_given, &g, e);
}

/*
 * 1: the limit is this one, *changed; 0: it cannot be set; LATER: not now, *e.
 * What goes wrong in the session that sets quotas is no trouble of the account,
 * whose own session works: mail is copied without.
 */
#define LATER 2

static int
give(struct lane *l, uint64_t bytes, bool *changed, struct err *e)
{
	struct account *a = l->account;
	struct given_arg g = { a->row.id, to_db(bytes), NULL };
	char text[32];
	struct err why;
	int64_t op;
	int rc;

	*changed = false;
	if (lane_open_target(l, e) == -1 || op_begin(l->run->state, a->row.id,
	    0, "quota", a->target_user, limit_text(bytes, text), &op, e) == -1)
		return -1;
	if (atomic_load(&l->run->quota_logins) >= REFUSED_MAX)
		return unable(l, "the login that sets them was refused again "
		    "and again", e);
	rc = target_set_quota(l->tgt, bytes, changed, &why);
	if (rc == -1 && why.cause == CAUSE_AUTH)
		atomic_fetch_add(&l->run->quota_logins, 1);
	else if (rc == 1)
		atomic_store(&l->run->quota_logins, 0);
	if (rc == 1)
		return state_call(l->run->state, apply_given, &g, e) == -1 ?
		    -1 : 1;
	if (rc == -1 && (why.cause == CAUSE_CANCELLED || lane_stopping(l))) {
		*e = why;
		return -1;
	}
	if (rc == -1 && why.retry && why.cause != CAUSE_AUTH) {
		*e = why;
		return LATER;
	}
	return unable(l, why.text, e);
}

/* The same, when there is no later. */
static int
give_at_last(struct lane *l, uint64_t bytes, bool *changed, struct err *e)
{
	struct err why;
	int rc;

	rc = give(l, bytes, changed, e);
	for (int n = 1; rc == LATER && n < TRIES &&
	    !atomic_load(&l->run->quotas_told); n++) {
		if (!lane_sleep(l, PAUSE_MS << n)) {
			err_set(e, ERR_ACCOUNT, "stopping");
			e->cause = CAUSE_CANCELLED;
			return -1;
		}
		rc = give(l, bytes, changed, e);
	}
	if (rc != LATER)
		return rc;
	why = *e;
	return unable(l, why.text, e);
}

/* Sums. */

/* CRLF bytes of the mail, as far as it has been read. */
static int
mail_read(struct lane *l, uint64_t *bytes, struct err *e)
{
	int64_t n;

	if (db_number(l->reader, e, &n, 0, "SELECT sum(crlf_bytes) FROM"
	    " mailbox WHERE account_id = ?1 AND outcome <> 'gone'", "i",
	    l->account->row.id) == -1)
		return -1;
	*bytes = n < 0 ? 0 : (uint64_t)n;
	return 0;
}

/* Bytes of the mail as the source tells them, where it does. */
static uint64_t
mail_told(struct lane *l)
{
	uint64_t sum = 0;
	struct err e;

	for (struct pair *p = l->account->pairs; p != NULL; p = p->next) {
		struct folder_info *f = account_folder(l, p, &e);

		if (f != NULL && f->bytes != UNKNOWN64 &&
		    f->bytes < INT64_MAX - sum)
			sum += f->bytes;
	}
	return sum;
}

static bool
is_released(const struct account *a)
{
	return strcmp(a->row.stage, "released") == 0;
}

/* Which limit does the rule wish for?  False: none of ours. */
static bool
wish_of(struct lane *l, const struct account_info *info, uint64_t *wish)
{
	const struct quota_rule *r = &l->account->quota;

	switch (r->mode) {
	case QUOTA_KEEP:
		return false;
	case QUOTA_SOURCE:
		*wish = info->quota_bytes;
		if (*wish == UNKNOWN64)
			lane_note(l, "quota", "source", "the source tells no "
			    "quota: the target's stays as it is");
		return *wish != UNKNOWN64;
	case QUOTA_FIXED:
		*wish = r->bytes;
		return true;
	case QUOTA_NONE:
		*wish = UNKNOWN64;
		return true;
	}
	return false;
}

/* The three moments. */

int
quota_before(struct lane *l, const struct account_info *info, struct err *e)
{
	struct account *a = l->account;
	char *rule = config_quota_text(&a->quota);
	struct rule_arg r = { .account = a->row.id, .rule = rule,
	    .source = info->quota_bytes };
	uint64_t read, told, want;
	bool changed;
	struct row old;
	int rc;

	atomic_store(&a->lifts, 0);
	atomic_store(&a->lifted, 0);
	r.wished = wish_of(l, info, &r.wish);
	rc = load(l, &old, e);
	if (rc == 0)
		rc = mail_read(l, &read, e);
	if (rc == 0) {
		r.need = to_db(read > old.need ? read : old.need);
		rc = state_call(l->run->state, apply_rule, &r, e);
	}
	free(rule);
	if (rc == -1)
		return -1;
	if (!r.wished || is_released(a))
		return 0;
	told = mail_told(l);
	want = quota_with_room(r.wish, told > (uint64_t)r.need ? told :
	    (uint64_t)r.need);
	/* More than that it may have until the end. */
	if (old.given_any && !old.open && (old.given == UNKNOWN64 ||
	    (want != UNKNOWN64 && want <= old.given)))
		return 0;
	/* If it cannot be done now, that is seen to at the end. */
	return give(l, want, &changed, e) == -1 ? -1 : 0;
}

int
quota_after(struct lane *l, struct err *e)
{
	struct account *a = l->account;
	struct need_arg n = { .account = a->row.id };
	uint64_t read, want;
	struct row r;
	bool changed;
	int rc;

	if (load(l, &r, e) == -1 || mail_read(l, &read, e) == -1)
		return -1;
	n.need = to_db(read > r.need ? read : r.need);
	if ((uint64_t)n.need != r.need && state_call(l->run->state, apply_need,
	    &n, e) == -1)
		return -1;
	if (!r.wished || r.unable || is_released(a))
		return 0;
	want = quota_with_room(r.wish, (uint64_t)n.need);
	if (r.given_any && !r.open && r.given == want)
		return 0;
	rc = give_at_last(l, want, &changed, e);
	if (rc == 1 && want != UNKNOWN64 && want > r.wish + KIB)
		lane_note(l, "quota", "limit", "the user's limit is %" PRIu64
		    " bytes instead of %" PRIu64 ": the mail takes %" PRId64,
		    want, r.wish, n.need);
	return rc == -1 ? -1 : 0;
}

static void
add_words(struct err *e, const char *words)
{
	char text[sizeof e->text];

	memcpy(text, e->text, sizeof text);
	snprintf(e->text, sizeof e->text, "%.300s; %s", text, words);
}

void
quota_refused(struct lane *l, struct err *e)
{
	struct account *a = l->account;
	unsigned most = LIFTS_MAX + l->run->set->lanes;
	bool changed, alone;
	struct err e2;
	struct row r;
	int rc = 0;

	if (load(l, &r, &e2) == -1)
		return;
	if (r.wished && !r.unable && !is_released(a) &&
	    atomic_fetch_add(&a->lifts, 1) < most) {
		rc = give(l, UNKNOWN64, &changed, &e2);
		/* Another lane that was at it when this one's stores began, or
		 * later, may have done it since: the row tells it too late. */
		alone = atomic_load(&a->lifts) == l->lifted + 1;
		atomic_fetch_add(&a->lifted, 1);
		if (rc == 1 && !changed && alone && (!r.given_any ||
		    r.given != UNKNOWN64))
			rc = 0;
	}
	if (rc == 1 || rc == LATER) {
		e->cause = CAUSE_OTHER;
		e->retry = true;
		add_words(e, rc == 1 ? "its limit is lifted until all is "
		    "copied" : "its limit could not be lifted yet");
	} else if (r.wished && r.unable)
		add_words(e, "give the user the limit that report --quotas "
		    "tells, and run again");
	else
		add_words(e, "give the user more room at the target, and run "
		    "again");
}
