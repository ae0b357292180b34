/*
 * What a lane does with an account: prepares it, takes its pairs, ends it; and
 * what follows from errors.
 *
 * An error that is the host's, or a cut by a pause, marks nothing: the account
 * goes back as it was.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "journal.h"
#include "pool_impl.h"
#include "quota.h"
#include "rights.h"

#define CAP_PAUSE_MS	500	/* a session was too much */
#define DOUBT_MS	2000	/* before a refused login is believed */
#define DOUBTS		2	/* of an account */

/* Under the mutex. */
static void
end_account(struct pool *pool, struct account *a, const char *outcome)
{
	a->phase = ACC_ENDED;
	a->outcome = outcome;
	pool->ended++;
	atomic_fetch_add(&pool->run->accounts_done, 1);
	uv_cond_broadcast(&pool->changed);
}

/* Was it cut short by a pause, or is a host to blame?  Then the account goes
 * back unmarked. */
static bool
not_its_fault(struct lane *l, const struct err *e)
{
	struct berth *b = &l->at[e->at_target ? SIDE_TARGET : SIDE_SOURCE];

	if (l->trouble == TROUBLE_NONE && e->scope == ERR_HOST)
		l->trouble = host_trouble(b, e, false);
	return l->trouble == TROUBLE_CAP || l->trouble == TROUBLE_HOLD ||
	    (e->cause == CAUSE_CANCELLED && !lane_stopping(l));
}

/* Under the mutex. */
static void
go_back(struct lane *l, struct account *a)
{
	uint64_t proofs = host_proofs(a->host[SIDE_SOURCE]) +
	    host_proofs(a->host[SIDE_TARGET]);

	/* What broke before was the host, too; unless it works for others
	 * again and again, and for this one it never does. */
	a->tries = 0;
	if (l->at[SIDE_SOURCE].proved || l->at[SIDE_TARGET].proved)
		a->bounced = 0;
	else if (l->trouble != TROUBLE_NONE && proofs > a->proofs) {
		a->bounced++;
		a->proofs = proofs;
	}
	if (l->trouble == TROUBLE_CAP)
		a->due_ms = now_ms() + CAP_PAUSE_MS;
	if (l->trouble == TROUBLE_HOLD && (l->at[SIDE_SOURCE].probes ||
	    l->at[SIDE_TARGET].probes))
		a->probed++;
}

/* An account, or one of its mailboxes, is left alone until due_ms. */
static void
log_pause(const struct pool *pool, const struct account *a,
    const char *mailbox, uint64_t due_ms, const char *why)
{
	const struct log_about about = { .account = a->name,
	    .mailbox = mailbox };
	uint64_t now = now_ms(), ms = due_ms > now ? due_ms - now : 0;

	log_warn(state_log(pool->run->state), LOG_BOTH, "pause", &about,
	    "again in %" PRIu64 ".%" PRIu64 " s: %s", ms / 1000,
	    ms % 1000 / 100, why);
}

/*
 * A server that is being stopped may call a right password wrong.  So where
 * others have logged in, a refusal is believed only when they still can some
 * time later; else it is asked again.  Under the mutex.
 */
static bool
is_doubtful(struct account *a, enum side side, const struct err *e)
{
	if (e->cause != CAUSE_AUTH || a->refusals >= DOUBTS ||
	    !host_refused(a->host[side], &a->refusal))
		return false;
	a->refusals++;
	a->due_ms = now_ms() + DOUBT_MS;
	return true;
}

/*
 * An error that reaches beyond a mailbox.  True: the account may go on after
 * a pause; false: it has failed.  Under the mutex.
 */
static bool
may_retry(struct pool *pool, struct account *a, const struct err *e)
{
	uint64_t sent = atomic_load(&pool->run->sent), now = now_ms();

	if (e->scope == ERR_RUN && e->cause != CAUSE_CANCELLED) {
		fail_run(pool, e);
		return false;
	}
	if (is_doubtful(a, e->at_target ? SIDE_TARGET : SIDE_SOURCE, e)) {
		log_pause(pool, a, NULL, a->due_ms, e->text);
		return true;
	}
	if (!e->retry || e->cause == CAUSE_QUOTA || e->cause == CAUSE_AUTH)
		return false;
	/* Progress makes it young again. */
	if (sent > a->sent) {
		a->sent = sent;
		a->tries = 0;
	}
	/* What breaks in several lanes at once has broken once. */
	if (a->due_ms > now)
		return true;
	if (++a->tries > pool->run->set->max_tries)
		return false;
	a->due_ms = now + pause_ms(a->tries);
	log_pause(pool, a, NULL, a->due_ms, e->text);
	return true;
}

/* An account that was cut short is not marked: the next run goes on with it. */
static const char *
failure(const struct err *e)
{
	return e->cause == CAUSE_CANCELLED ? "stopped" : "failed";
}

static void
note_error(struct lane *l, const struct account *a, const char *mailbox,
    const struct err *e)
{
	const struct uri *u = e->at_target ? a->tgt_uri : a->src_uri;
	const struct log_about about = { a->name, mailbox, u->host, NULL };
	char text[640];

	if (e->cause == CAUSE_CANCELLED)
		return;
	log_warn(state_log(l->run->state), LOG_BOTH, "error", &about, "%s",
	    e->text);
	if (l->run->log == NULL || l->trouble != TROUBLE_NONE)
		return;		/* a host's trouble was told already */
	snprintf(text, sizeof text, "%s%s%s", mailbox != NULL ? mailbox : "",
	    mailbox != NULL ? ": " : "", e->text);
	l->run->log(l->run->log_ctx, a->name, text);
}

static void
mailbox_failed(struct lane *l, const struct pair *p, const char *outcome,
    const struct err *why)
{
	struct mailbox_end end = { .id = p->id, .outcome = outcome,
	    .error = why->text, .pass = state_pass(l->run->state) };
	struct err e;

	mailbox_put_end(l->run->state, &end, &e);
}

/* One pair has been run; what follows from how it ended.  Under the mutex,
 * false: the lane leaves the account. */
static bool
pair_ended(struct pool *pool, struct lane *l, struct account *a,
    struct pair *p, enum pair_end end, const struct err *e)
{
	switch (end) {
	case PAIR_ENDED:
		p->state = PAIR_DONE;
		a->tries = 0;
		atomic_fetch_add(&pool->run->mailboxes, 1);
		return true;
	case PAIR_WAIT:
		log_pause(pool, a, p->src_name, p->due_ms, "the server may "
		    "still store what was sent last (settle)");
		p->state = PAIR_LATER;
		return true;
	case PAIR_STOPPED:
		p->state = PAIR_TODO;
		return false;
	case PAIR_ERROR:
		break;
	}
	if (not_its_fault(l, e)) {
		p->state = PAIR_TODO;
		go_back(l, a);
		return false;
	}
	if (e->scope <= ERR_MAILBOX) {
		if (e->retry && ++p->tries < PAIR_TRIES) {
			p->state = PAIR_LATER;
			p->due_ms = now_ms() + pause_ms(p->tries);
			log_pause(pool, a, p->src_name, p->due_ms, e->text);
			return true;
		}
		p->state = PAIR_FAILED;
		p->err = *e;
		uv_mutex_unlock(&pool->mutex);
		mailbox_failed(l, p, "failed", e);
		uv_mutex_lock(&pool->mutex);
		return true;
	}
	/* The next try does without what broke this one. */
	if (p->learnt)
		a->tries = 0;
	p->learnt = false;
	if (!may_retry(pool, a, e)) {
		a->failed = true;
		a->err = *e;
	}
	/* The account's other mailboxes get their turn first. */
	p->state = PAIR_LATER;
	p->due_ms = a->due_ms + PAIR_PAUSE_MS;
	return false;
}

/* Takes pairs of an account until none is left for now. */
static void
copy_pairs(struct pool *pool, struct lane *l, struct account *a)
{
	struct pair *p;
	uint64_t due;
	bool open, stays = true;
	struct err e;

	l->account = a;
	err_clear(&e);
	uv_mutex_lock(&pool->mutex);
	while (stays && !lane_leaving(l) && a->due_ms <= now_ms() &&
	    (p = ready_pair(a, now_ms(), &due, &open)) != NULL) {
		enum pair_end end = PAIR_ERROR;

		p->state = PAIR_BUSY;
		uv_mutex_unlock(&pool->mutex);
		l->trouble = TROUBLE_NONE;
		if (lane_open_source(l, &e) == 0 &&
		    lane_open_target(l, &e) == 0)
			end = pair_run(l, p, &e);
		if (end == PAIR_ERROR && e.cause == CAUSE_QUOTA)
			quota_refused(l, &e);
		if (end == PAIR_ENDED)
			lane_proved(l);
		uv_mutex_lock(&pool->mutex);
		stays = pair_ended(pool, l, a, p, end, &e);
		uv_cond_broadcast(&pool->changed);
		uv_mutex_unlock(&pool->mutex);
		if (end == PAIR_ERROR)
			note_error(l, a, p->src_name, &e);
		if (!stays)
			lane_close_stores(l);
		uv_mutex_lock(&pool->mutex);
	}
	uv_mutex_unlock(&pool->mutex);
}

/* The account's outcome in words, from its pairs. */
static const char *
judge(struct lane *l, struct account *a)
{
	struct err e;
	int64_t bad = 0;

	/* Messages are as the passes before have left them. */
	if (l->run->set->only_metadata) {
		if (db_number(l->reader, &e, &bad, 1, "SELECT count(*) FROM"
		    " mailbox WHERE account_id = ?1 AND outcome NOT IN"
		    " ('done', 'excluded', 'gone')", "i", a->row.id) == -1)
			return "failed";
		return bad > 0 ? "partial" : "done";
	}
	if (db_number(l->reader, &e, &bad, 1, "SELECT count(*) FROM mailbox"
	    " WHERE account_id = ?1 AND pass = ?2 AND outcome NOT IN ('done',"
	    " 'excluded')", "ii", a->row.id, state_pass(l->run->state)) == -1)
		return "failed";
	if (bad > 0)
		return "partial";
	if (!l->run->set->empty_ok) {
		int64_t total;

		if (db_number(l->reader, &e, &total, 0, "SELECT sum(source)"
		    " FROM mailbox WHERE account_id = ?1 AND outcome <> 'gone'", "i",
		    a->row.id) == 0 && total == 0)
			return "empty";
	}
	return "done";
}

/* Nothing more is done to the account in this run. */
static void
put_end(struct pool *pool, struct lane *l, struct account *a,
    const char *outcome)
{
	struct err e;

	lane_close_stores(l);
	lane_flush_notes(l);
	if (a->row.id != 0 && account_outcome(l->run->state, a->row.id,
	    outcome, a->failed ? a->err.text : NULL, &e) == -1) {
		uv_mutex_lock(&pool->mutex);
		fail_run(pool, &e);
		uv_mutex_unlock(&pool->mutex);
	}
	arena_release(&a->arena);
	a->pairs = a->first_open = NULL;
	uv_mutex_lock(&pool->mutex);
	a->share = a->shares && !a->failed && !lane_stopping(l) ?
	    SHARE_TODO : SHARE_NONE;
	end_account(pool, a, outcome);
	uv_mutex_unlock(&pool->mutex);
}

/* The last steps for an account whose pairs have all ended.  NULL: they are
 * taken again later. */
static const char *
finish(struct pool *pool, struct lane *l, struct account *a)
{
	struct err e;
	bool again;

	err_clear(&e);
	l->trouble = TROUBLE_NONE;
	if (account_finish(l, a, &e) == 0)
		return judge(l, a);
	uv_mutex_lock(&pool->mutex);
	again = not_its_fault(l, &e);
	if (again)
		go_back(l, a);
	else
		again = may_retry(pool, a, &e);
	if (again) {
		a->phase = ACC_ACTIVE;
		a->lanes = 0;
	} else {
		a->failed = true;
		a->err = e;
	}
	uv_mutex_unlock(&pool->mutex);
	note_error(l, a, NULL, &e);
	return again ? NULL : failure(&e);
}

/* The last lane on an account that has nothing left closes it. */
static void
leave_account(struct pool *pool, struct lane *l, struct account *a)
{
	const char *outcome = NULL;
	uint64_t due = 0;
	bool open;

	uv_mutex_lock(&pool->mutex);
	if (--a->lanes > 0 || a->phase != ACC_ACTIVE) {
		uv_mutex_unlock(&pool->mutex);
		lane_close_stores(l);
		return;
	}
	ready_pair(a, now_ms(), &due, &open);
	if (lane_stopping(l))
		outcome = "stopped";
	else if (open || (!a->failed && lane_leaving(l))) {
		uv_mutex_unlock(&pool->mutex);
		lane_close_stores(l);
		return;		/* later */
	} else if (a->failed)
		outcome = failure(&a->err);
	a->phase = ACC_FINISHING;
	uv_mutex_unlock(&pool->mutex);
	if (outcome == NULL && (outcome = finish(pool, l, a)) == NULL) {
		lane_close_stores(l);
		return;
	}
	if (strcmp(outcome, "empty") == 0) {
		a->failed = true;
		err_set(&a->err, ERR_ACCOUNT, NO_MESSAGE);
		note_error(l, a, NULL, &a->err);
	}
	put_end(pool, l, a, outcome);
}

/* What is known of it once its mailboxes are listed.  Under the mutex. */
static void
take_measure(struct lane *l, struct account *a)
{
	struct target_caps caps;
	uint64_t sum = 0;

	target_caps(l->tgt, &caps);
	a->one_writer = (caps.bits & TGT_ONE_WRITER) != 0;
	a->one_session = (caps.bits & TGT_ONE_SESSION) != 0;
	for (const struct pair *p = a->pairs; p != NULL; p = p->next) {
		if (p->messages == UNKNOWN64)
			return;
		sum += p->messages;
	}
	a->expect = sum;
}

static int
log_in_and_prepare(struct pool *pool, struct lane *l, struct account *a,
    struct err *e)
{
	bool barred, in[2], refused[2], now_barred;
	int rc;

	uv_mutex_lock(&pool->mutex);
	a->refusal.host = NULL;
	barred = login_barred(pool->logins, a);
	uv_mutex_unlock(&pool->mutex);
	if (!barred)
		rc = account_prepare(l, a, e);
	else if ((rc = account_register(l, a, e)) == 0) {
		rc = -1;
		err_set(e, ERR_ACCOUNT, "not tried: the login that it shares "
		    "with other accounts was refused %d times in a row",
		    LOGINS_REFUSED);
		e->cause = CAUSE_AUTH;
		l->trouble = TROUBLE_TOLD;
	}
	in[SIDE_SOURCE] = l->src != NULL;
	in[SIDE_TARGET] = rc == 0 || l->tgt != NULL;
	refused[SIDE_SOURCE] = rc == -1 && !barred && !in[SIDE_SOURCE] &&
	    e->cause == CAUSE_AUTH;
	refused[SIDE_TARGET] = rc == -1 && !barred && in[SIDE_SOURCE] &&
	    e->cause == CAUSE_AUTH;
	uv_mutex_lock(&pool->mutex);
	if (rc == 0)
		take_measure(l, a);
	login_ends(pool->logins, a, in, refused);
	now_barred = !barred && login_barred(pool->logins, a);
	uv_mutex_unlock(&pool->mutex);
	if (now_barred)
		pool_say(pool, a->name, "its login, which other accounts "
		    "share, was refused again and again: it is not tried any "
		    "more");
	return rc;
}

static void
prepare(struct pool *pool, struct lane *l, struct account *a)
{
	bool again;
	struct err e;

	a->outcome = NULL;
	l->trouble = TROUBLE_NONE;
	err_clear(&e);
	if (log_in_and_prepare(pool, l, a, &e) == 0) {
		uv_mutex_lock(&pool->mutex);
		a->phase = ACC_ACTIVE;
		a->bounced = 0;
		uv_cond_broadcast(&pool->changed);
		uv_mutex_unlock(&pool->mutex);
		copy_pairs(pool, l, a);
		leave_account(pool, l, a);
		return;
	}
	/* Another lane may take it as soon as it is back. */
	lane_close_stores(l);
	lane_flush_notes(l);
	uv_mutex_lock(&pool->mutex);
	again = a->outcome == NULL && not_its_fault(l, &e);
	if (again)
		go_back(l, a);
	else
		again = a->outcome == NULL && !lane_stopping(l) &&
		    l->trouble != TROUBLE_TOLD && may_retry(pool, a, &e);
	if (again) {
		a->phase = ACC_NEW;
		a->lanes = 0;
		a->err = e;
	} else {
		a->failed = true;
		a->err = e;
		a->phase = ACC_FINISHING;
	}
	uv_mutex_unlock(&pool->mutex);
	note_error(l, a, NULL, &e);
	if (!again)
		put_end(pool, l, a, a->outcome != NULL ? a->outcome :
		    failure(&e));
}

/* Its host did not come back in time: the next run goes on with it. */
static void
give_up(struct pool *pool, struct lane *l, struct account *a)
{
	char why[200];

	l->account = a;
	for (int side = SIDE_SOURCE; side <= SIDE_TARGET; side++)
		if (host_given_up(a->host[side])) {
			host_held(a->host[side], NULL, why);
			err_retry(&a->err, ERR_HOST, "%s: %s",
			    host_name(a->host[side]), why);
		}
	a->failed = true;
	put_end(pool, l, a, "stopped");
}

/* Its login was refused, and others were let in since. */
static void
fail(struct pool *pool, struct lane *l, struct account *a)
{
	l->account = a;
	a->failed = true;
	put_end(pool, l, a, "failed");
}

/* All accounts are at the target: what it takes others for. */
static void
share(struct pool *pool, struct lane *l, struct account *a)
{
	bool again = false;
	struct err e;

	l->trouble = TROUBLE_NONE;
	err_clear(&e);
	if (rights_subscribe(l, a, &e) == -1) {
		uv_mutex_lock(&pool->mutex);
		again = not_its_fault(l, &e);
		if (again)
			go_back(l, a);
		else
			again = may_retry(pool, a, &e);
		uv_mutex_unlock(&pool->mutex);
		note_error(l, a, NULL, &e);
		if (!again && !lane_stopping(l))
			lane_note(l, "access", "subscriptions", "mailboxes of "
			    "others were not subscribed: %.300s", e.text);
	}
	lane_flush_notes(l);
	lane_close_stores(l);
	uv_mutex_lock(&pool->mutex);
	a->lanes--;
	a->share = again ? SHARE_TODO : SHARE_NONE;
	uv_cond_broadcast(&pool->changed);
	uv_mutex_unlock(&pool->mutex);
}

void
task_run(struct pool *pool, struct lane *l, const struct task *t)
{
	switch (t->kind) {
	case TASK_PREPARE:
		prepare(pool, l, t->account);
		break;
	case TASK_PAIRS:
		copy_pairs(pool, l, t->account);
		leave_account(pool, l, t->account);
		break;
	case TASK_GIVE_UP:
		give_up(pool, l, t->account);
		break;
	case TASK_FAIL:
		fail(pool, l, t->account);
		break;
	case TASK_SHARE:
		share(pool, l, t->account);
		break;
	case TASK_NONE:
	case TASK_OVER:
		break;
	}
}
