/* The pool: lanes, the choice of work, retries, and the main loop. */
#include "pool.h"

#include <assert.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/xmalloc.h"
#include "journal.h"
#include "quota.h"

#define STACK_SIZE	((size_t)16 << 20)
#define PAUSE_MIN_MS	500
#define PAUSE_MAX_MS	60000
#define GRACE_MS	30000	/* a stop waits so long for answers */
#define MAX_REFUSED	3	/* logins with one secret, one after another */

/* One secret that several accounts share, known by its address. */
struct shared_secret {
	const char	*secret;
	unsigned	 refused;	/* one after the other */
};

struct pool {
	struct run	*run;
	struct account	**accounts;
	size_t		 n, ended;
	uv_mutex_t	 mutex;
	uv_cond_t	 changed;
	int		 cancel_fd;
	unsigned	 running;	/* lanes */
	struct pool_result *result;
	struct shared_secret *secrets;
	size_t		 nsecrets;
	uint64_t	 stopped_ms;	/* when the stop was first seen */
	uv_async_t	 wake;
	uv_timer_t	 tick;
	uv_signal_t	 signals[3];
	unsigned	 interrupts;
	pool_progress_fn *progress;
	void		*progress_ctx;
};

struct worker {
	struct pool	*pool;
	unsigned	 number;
	uv_thread_t	 thread;
};

/* What a lane is to do next; under the mutex. */
struct task {
	enum { TASK_NONE, TASK_PREPARE, TASK_PAIRS } kind;
	struct account	*account;
	uint64_t	 due_ms;	/* NONE: look again then; 0: never */
};

static void
sooner(uint64_t *due, uint64_t t)
{
	if (*due == 0 || t < *due)
		*due = t;
}

/* A pair that may be taken now, or when. */
static struct pair *
ready_pair(struct account *a, uint64_t now, uint64_t *due, bool *open)
{
	struct pair *p, *ready = NULL;

	*open = false;
	if (a->failed)
		return NULL;
	for (p = a->pairs; p != NULL; p = p->next) {
		if (p->state == PAIR_TODO && ready == NULL)
			ready = p;
		if (p->state == PAIR_LATER) {
			if (p->due_ms <= now && ready == NULL)
				ready = p;
			else
				sooner(due, p->due_ms);
		}
		if (p->state == PAIR_TODO || p->state == PAIR_LATER)
			*open = true;
	}
	return ready;
}

static struct task
choose(struct pool *pool)
{
	struct task t = { .kind = TASK_NONE };
	uint64_t now = now_ms();
	bool open;

	for (size_t i = 0; i < pool->n; i++) {
		struct account *a = pool->accounts[i];

		if (a->phase == ACC_NEW && a->due_ms <= now) {
			t.kind = TASK_PREPARE;
			t.account = a;
			return t;
		}
		if (a->phase == ACC_NEW)
			sooner(&t.due_ms, a->due_ms);
	}
	for (size_t i = 0; i < pool->n; i++) {
		struct account *a = pool->accounts[i];

		if (a->phase != ACC_ACTIVE)
			continue;
		if (a->due_ms > now) {
			sooner(&t.due_ms, a->due_ms);
			continue;
		}
		if (a->lanes < pool->run->set->lanes_per_account &&
		    (a->lane_limit == 0 || a->lanes < a->lane_limit) &&
		    (ready_pair(a, now, &t.due_ms, &open) != NULL ||
		    (!open && a->lanes == 0))) {
			/* Without an open pair it only wants its end. */
			t.kind = TASK_PAIRS;
			t.account = a;
			return t;
		}
	}
	return t;
}

/* Exponential, with jitter, so that lanes do not come back together. */
static uint64_t
pause_ms(unsigned tries)
{
	uint64_t ms = PAUSE_MIN_MS;

	while (tries-- > 1 && ms < PAUSE_MAX_MS)
		ms *= 2;
	if (ms > PAUSE_MAX_MS)
		ms = PAUSE_MAX_MS;
	return ms / 2 + (uint64_t)random() % ms;
}

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

static void
fail_run(struct pool *pool, const struct err *e)
{
	if (!pool->result->run_failed) {
		pool->result->run_failed = true;
		pool->result->err = *e;
	}
	atomic_store(&pool->run->stop, true);
	uv_cond_broadcast(&pool->changed);
}

/* NULL: it is not shared. */
static struct shared_secret *
find_secret(struct pool *pool, const char *secret)
{
	for (size_t i = 0; i < pool->nsecrets && secret != NULL; i++)
		if (pool->secrets[i].secret == secret)
			return &pool->secrets[i];
	return NULL;
}

static int
cmp_pointer(const void *a, const void *b)
{
	const char *const *x = a, *const *y = b;

	return *x < *y ? -1 : *x > *y;
}

/* Secrets that more than one account has. */
static void
find_shared_secrets(struct pool *pool)
{
	const char **all = xcalloc(2 * pool->n + 1, sizeof *all);
	size_t n = 0;

	for (size_t i = 0; i < pool->n; i++) {
		if (pool->accounts[i]->src_password != NULL)
			all[n++] = pool->accounts[i]->src_password;
		if (pool->accounts[i]->tgt_password != NULL)
			all[n++] = pool->accounts[i]->tgt_password;
	}
	qsort(all, n, sizeof *all, cmp_pointer);
	pool->secrets = xcalloc(n + 1, sizeof *pool->secrets);
	for (size_t i = 1; i < n; i++)
		if (all[i] == all[i - 1] && (pool->nsecrets == 0 ||
		    pool->secrets[pool->nsecrets - 1].secret != all[i]))
			pool->secrets[pool->nsecrets++].secret = all[i];
	free(all);
}

/* Under the mutex: a login worked, or was refused. */
static void
count_login(struct pool *pool, const char *secret, bool refused)
{
	struct shared_secret *s = find_secret(pool, secret);

	if (s != NULL)
		s->refused = refused ? s->refused + 1 : 0;
}

/* Does a secret of the account refuse to work?  Under the mutex. */
static bool
secret_is_bad(struct pool *pool, const struct account *a)
{
	struct shared_secret *s = find_secret(pool, a->src_password);
	struct shared_secret *t = find_secret(pool, a->tgt_password);

	return (s != NULL && s->refused >= MAX_REFUSED) ||
	    (t != NULL && t->refused >= MAX_REFUSED);
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
 * An error that reaches beyond a mailbox.  True: the account may go on after
 * a pause; false: it has failed.  Under the mutex.
 */
static bool
may_retry(struct pool *pool, struct account *a, const struct err *e)
{
	const struct settings *set = pool->run->set;
	uint64_t now = now_ms(), sent = atomic_load(&pool->run->sent);

	if (e->scope == ERR_RUN) {
		fail_run(pool, e);
		return false;
	}
	if (!e->retry || e->cause == CAUSE_QUOTA || e->cause == CAUSE_AUTH)
		return false;
	/* Progress makes it young again. */
	if (sent > a->sent) {
		a->sent = sent;
		a->tries = 0;
		a->down_ms = 0;
	}
	if (e->scope == ERR_HOST) {
		if (a->down_ms == 0)
			a->down_ms = now;
		if (now - a->down_ms > (uint64_t)set->patience_s * 1000)
			return false;
	}
	a->tries++;
	if (e->scope != ERR_HOST && a->tries > set->max_tries)
		return false;
	a->due_ms = now + pause_ms(a->tries);
	log_pause(pool, a, NULL, a->due_ms, e->text);
	return true;
}

/* An account that only ran out of patience with a host, or was cut short, is
 * not marked: the next run goes on with it. */
static const char *
failure(const struct err *e)
{
	return e->cause == CAUSE_CANCELLED || (e->scope == ERR_HOST &&
	    e->retry) ? "stopped" : "failed";
}

static void
note_error(struct lane *l, const struct account *a, const char *mailbox,
    const struct err *e)
{
	const struct uri *u = strncmp(e->text, "source: ", 8) == 0 ?
	    a->src_uri : a->tgt_uri;
	const struct log_about about = { a->name, mailbox, u->host, NULL };
	char text[640];

	if (e->cause == CAUSE_CANCELLED)
		return;
	log_warn(state_log(l->run->state), LOG_BOTH, "error", &about, "%s",
	    e->text);
	if (l->run->log == NULL)
		return;
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
		a->down_ms = 0;
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
	if (!may_retry(pool, a, e)) {
		a->failed = true;
		a->err = *e;
	}
	/* The account's other mailboxes get their turn first. */
	p->state = PAIR_LATER;
	p->due_ms = a->due_ms + PAUSE_MIN_MS;
	return false;
}

/*
 * A further lane got no session while another one works: the server may count
 * them.  True: this account does with fewer; nothing is lost by it.
 */
static bool
too_many_lanes(struct pool *pool, struct account *a, struct pair *p,
    const struct err *e)
{
	bool many;

	uv_mutex_lock(&pool->mutex);
	many = a->lanes > 1 && e->retry && e->scope != ERR_RUN;
	if (many) {
		a->lane_limit = a->lanes - 1;
		p->state = PAIR_TODO;
	}
	uv_mutex_unlock(&pool->mutex);
	return many;
}

/* Takes pairs of an account until none is left for now. */
static void
copy_pairs(struct pool *pool, struct lane *l, struct account *a)
{
	struct pair *p;
	uint64_t due;
	bool open, opened;
	struct err e;

	l->account = a;
	err_clear(&e);
	uv_mutex_lock(&pool->mutex);
	while (!lane_stopping(l) && a->due_ms <= now_ms() &&
	    (p = ready_pair(a, now_ms(), &due, &open)) != NULL) {
		enum pair_end end = PAIR_ERROR;

		p->state = PAIR_BUSY;
		uv_mutex_unlock(&pool->mutex);
		opened = lane_open_source(l, &e) == 0 &&
		    lane_open_target(l, &e) == 0;
		if (opened)
			end = pair_run(l, p, &e);
		else if (too_many_lanes(pool, a, p, &e)) {
			lane_close_stores(l);
			return;
		}
		if (end == PAIR_ERROR && e.cause == CAUSE_QUOTA)
			quota_refused(l, &e);
		if (end == PAIR_ERROR)
			note_error(l, a, p->src_name, &e);
		uv_mutex_lock(&pool->mutex);
		if (!pair_ended(pool, l, a, p, end, &e)) {
			uv_mutex_unlock(&pool->mutex);
			lane_close_stores(l);
			uv_mutex_lock(&pool->mutex);
			break;
		}
		uv_cond_broadcast(&pool->changed);
	}
	uv_mutex_unlock(&pool->mutex);
}

/* The account's outcome in words, from its pairs. */
static const char *
judge(struct lane *l, struct account *a)
{
	struct err e;
	int64_t bad = 0;

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

/* The last lane on an account that has nothing left closes it. */
static void
leave_account(struct pool *pool, struct lane *l, struct account *a)
{
	const char *outcome = NULL;
	uint64_t due = 0;
	bool open;
	struct err e;

	err_clear(&e);
	uv_mutex_lock(&pool->mutex);
	if (--a->lanes > 0 || a->phase != ACC_ACTIVE) {
		uv_mutex_unlock(&pool->mutex);
		lane_close_stores(l);
		return;
	}
	ready_pair(a, now_ms(), &due, &open);
	if (lane_stopping(l))
		outcome = "stopped";
	else if (open) {
		uv_mutex_unlock(&pool->mutex);
		lane_close_stores(l);
		return;		/* later */
	} else if (a->failed)
		outcome = failure(&a->err);
	a->phase = ACC_FINISHING;
	uv_mutex_unlock(&pool->mutex);
	if (outcome == NULL) {
		if (account_finish(l, a, &e) == 0)
			outcome = judge(l, a);
		else {
			note_error(l, a, NULL, &e);
			uv_mutex_lock(&pool->mutex);
			if (may_retry(pool, a, &e)) {
				a->phase = ACC_ACTIVE;
				a->lanes = 0;
				uv_mutex_unlock(&pool->mutex);
				lane_close_stores(l);
				return;
			}
			a->failed = true;
			a->err = e;
			uv_mutex_unlock(&pool->mutex);
			outcome = failure(&e);
		}
	}
	if (strcmp(outcome, "empty") == 0) {
		a->failed = true;
		err_set(&a->err, ERR_ACCOUNT, NO_MESSAGE);
		note_error(l, a, NULL, &a->err);
	}
	lane_close_stores(l);
	lane_flush_notes(l);
	if (a->row.id != 0 && account_outcome(l->run->state, a->row.id,
	    outcome, a->failed ? a->err.text : NULL, &e) == -1) {
		uv_mutex_lock(&pool->mutex);
		fail_run(pool, &e);
		uv_mutex_unlock(&pool->mutex);
	}
	arena_release(&a->arena);
	a->pairs = NULL;
	uv_mutex_lock(&pool->mutex);
	end_account(pool, a, outcome);
	uv_mutex_unlock(&pool->mutex);
}

static void
prepare(struct pool *pool, struct lane *l, struct account *a)
{
	struct err e;
	bool barred;
	int rc;

	a->outcome = NULL;
	uv_mutex_lock(&pool->mutex);
	barred = secret_is_bad(pool, a);
	uv_mutex_unlock(&pool->mutex);
	if (!barred)
		rc = account_prepare(l, a, &e);
	else {
		rc = -1;
		err_set(&e, ERR_ACCOUNT, "not tried: the login that it shares "
		    "with other accounts was refused %d times in a row",
		    MAX_REFUSED);
		e.cause = CAUSE_AUTH;
	}
	uv_mutex_lock(&pool->mutex);
	if (l->src != NULL)
		count_login(pool, a->src_password, false);
	if (rc == 0)
		count_login(pool, a->tgt_password, false);
	else if (e.cause == CAUSE_AUTH && !barred)
		count_login(pool, l->src != NULL ? a->tgt_password :
		    a->src_password, true);
	if (rc == 0) {
		a->phase = ACC_ACTIVE;
		a->down_ms = 0;
		uv_cond_broadcast(&pool->changed);
		uv_mutex_unlock(&pool->mutex);
		copy_pairs(pool, l, a);
		leave_account(pool, l, a);
		return;
	}
	if (a->outcome == NULL && !lane_stopping(l) &&
	    may_retry(pool, a, &e)) {
		a->phase = ACC_NEW;
		a->lanes = 0;
		uv_mutex_unlock(&pool->mutex);
		note_error(l, a, NULL, &e);
		lane_close_stores(l);
		lane_flush_notes(l);
		return;
	}
	a->failed = true;
	a->err = e;
	a->phase = ACC_FINISHING;
	uv_mutex_unlock(&pool->mutex);
	note_error(l, a, NULL, &e);
	lane_close_stores(l);
	lane_flush_notes(l);
	if (a->outcome == NULL)
		a->outcome = failure(&e);
	if (a->row.id != 0)
		account_outcome(l->run->state, a->row.id, a->outcome, e.text,
		    &e);
	arena_release(&a->arena);
	a->pairs = NULL;
	uv_mutex_lock(&pool->mutex);
	end_account(pool, a, a->outcome);
	uv_mutex_unlock(&pool->mutex);
}

static void
worker_main(void *arg)
{
	struct worker *w = arg;
	struct pool *pool = w->pool;
	struct lane lane;
	struct err e;

	if (lane_init(&lane, pool->run, w->number, pool->cancel_fd, &e) ==
	    -1) {
		uv_mutex_lock(&pool->mutex);
		fail_run(pool, &e);
		pool->running--;
		uv_mutex_unlock(&pool->mutex);
		uv_async_send(&pool->wake);
		return;
	}
	uv_mutex_lock(&pool->mutex);
	while (!lane_stopping(&lane) && pool->ended < pool->n) {
		struct task t = choose(pool);

		if (t.kind == TASK_NONE) {
			uint64_t now = now_ms(), wait = 200;

			if (t.due_ms > now && t.due_ms - now < wait)
				wait = t.due_ms - now;
			uv_cond_timedwait(&pool->changed, &pool->mutex,
			    wait * 1000000);
			continue;
		}
		t.account->lanes++;
		if (t.kind == TASK_PREPARE)
			t.account->phase = ACC_PREPARING;
		uv_mutex_unlock(&pool->mutex);
		if (t.kind == TASK_PREPARE)
			prepare(pool, &lane, t.account);
		else {
			copy_pairs(pool, &lane, t.account);
			leave_account(pool, &lane, t.account);
		}
		uv_mutex_lock(&pool->mutex);
	}
	uv_cond_broadcast(&pool->changed);
	pool->running--;
	uv_mutex_unlock(&pool->mutex);
	lane_release(&lane);
	uv_async_send(&pool->wake);
}

/* Main loop. */

static void
on_wake(uv_async_t *a)
{
	struct pool *pool = a->data;
	bool over;

	uv_mutex_lock(&pool->mutex);
	over = pool->running == 0;
	uv_mutex_unlock(&pool->mutex);
	if (!over)
		return;
	uv_timer_stop(&pool->tick);
	uv_close((uv_handle_t *)&pool->tick, NULL);
	uv_close((uv_handle_t *)&pool->wake, NULL);
	for (size_t i = 0; i < 3; i++)
		uv_close((uv_handle_t *)&pool->signals[i], NULL);
}

/* A full disk stops the run before SQLite meets it. */
static void
check_space(struct pool *pool)
{
	struct statvfs fs;
	struct err e;

	if (pool->run->state_dir == NULL || pool->run->set->min_free == 0 ||
	    statvfs(pool->run->state_dir, &fs) == -1 ||
	    (uint64_t)fs.f_bavail * fs.f_frsize >= pool->run->set->min_free)
		return;
	err_retry(&e, ERR_RUN, "less than min-free is left beside the state, "
	    "in %s: make room and run again", pool->run->state_dir);
	uv_mutex_lock(&pool->mutex);
	fail_run(pool, &e);
	uv_mutex_unlock(&pool->mutex);
}

static void
on_tick(uv_timer_t *t)
{
	struct pool *pool = t->data;
	struct err e;

	if (pool->progress != NULL)
		pool->progress(pool->progress_ctx, pool->run);
	/* A server that does not answer must not hold up a stop for ever. */
	if (atomic_load(&pool->run->stop)) {
		if (pool->stopped_ms == 0)
			pool->stopped_ms = now_ms();
		else if (now_ms() - pool->stopped_ms > GRACE_MS)
			eventfd_write(pool->cancel_fd, 1);
	} else
		check_space(pool);
	/* For status and the logs: neither is long behind. */
	state_hurry(pool->run->state, 0);
	if (state_failed(pool->run->state, &e) == -1) {
		uv_mutex_lock(&pool->mutex);
		fail_run(pool, &e);
		uv_mutex_unlock(&pool->mutex);
	}
}

static void
on_signal(uv_signal_t *s, int number)
{
	struct pool *pool = s->data;

	if (number == SIGHUP)
		return;		/* a lost terminal does not stop a run */
	log_warn(state_log(pool->run->state), LOG_RUN, "signal", NULL,
	    "%s: %s", number == SIGINT ? "SIGINT" : "SIGTERM",
	    pool->interrupts == 0 ? "the batches in hand are finished" :
	    "the run ends at once");
	if (pool->interrupts++ > 0)
		_exit(75);	/* still safe: that is what the state is for */
	uv_mutex_lock(&pool->mutex);
	atomic_store(&pool->run->stop, true);
	uv_cond_broadcast(&pool->changed);
	uv_mutex_unlock(&pool->mutex);
}

static void
sum_up(struct pool *pool)
{
	struct pool_result *r = pool->result;

	for (size_t i = 0; i < pool->n; i++) {
		const char *o = pool->accounts[i]->outcome;

		if (pool->accounts[i]->phase != ACC_ENDED || o == NULL)
			r->stopped++;
		else if (strcmp(o, "done") == 0)
			r->done++;
		else if (strcmp(o, "partial") == 0)
			r->partial++;
		else if (strcmp(o, "empty") == 0)
			r->empty++;
		else if (strcmp(o, "stopped") == 0)
			r->stopped++;
		else
			r->failed++;
	}
}

int
pool_run(struct run *run, struct account **accounts, size_t n,
    pool_progress_fn *progress, void *ctx, struct pool_result *result,
    struct err *e)
{
	static const int numbers[3] = { SIGINT, SIGTERM, SIGHUP };
	uv_thread_options_t options = { .flags = UV_THREAD_HAS_STACK_SIZE,
	    .stack_size = STACK_SIZE };
	struct pool pool = { .run = run, .accounts = accounts, .n = n,
	    .result = result, .progress = progress, .progress_ctx = ctx };
	struct worker *workers;
	sigset_t all, old;
	uv_loop_t loop;
	unsigned i;

	memset(result, 0, sizeof *result);
	run->start_ms = now_ms();
	atomic_store(&run->accounts_total, n);
	if (uv_loop_init(&loop) != 0)
		return err_retry(e, ERR_RUN, "cannot start the main loop");
	pool.cancel_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (pool.cancel_fd == -1) {
		err_sys(e, ERR_RUN, "eventfd");
		uv_loop_close(&loop);
		return -1;
	}
	signal(SIGPIPE, SIG_IGN);
	uv_mutex_init(&pool.mutex);
	uv_cond_init(&pool.changed);
	uv_async_init(&loop, &pool.wake, on_wake);
	uv_timer_init(&loop, &pool.tick);
	pool.wake.data = pool.tick.data = &pool;
	uv_timer_start(&pool.tick, on_tick, 1000, 1000);
	for (i = 0; i < 3; i++) {
		uv_signal_init(&loop, &pool.signals[i]);
		pool.signals[i].data = &pool;
		uv_signal_start(&pool.signals[i], on_signal, numbers[i]);
	}
	for (size_t k = 0; k < n; k++) {
		arena_init(&accounts[k]->arena);
		accounts[k]->phase = ACC_NEW;
	}
	find_shared_secrets(&pool);
	check_space(&pool);
	/* Signals are the main thread's. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	workers = xcalloc(run->set->lanes, sizeof *workers);
	for (i = 0; i < run->set->lanes; i++) {
		workers[i].pool = &pool;
		workers[i].number = i;
		uv_mutex_lock(&pool.mutex);
		pool.running++;
		uv_mutex_unlock(&pool.mutex);
		if (uv_thread_create_ex(&workers[i].thread, &options,
		    worker_main, &workers[i]) != 0) {
			uv_mutex_lock(&pool.mutex);
			pool.running--;
			uv_mutex_unlock(&pool.mutex);
			break;
		}
	}
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (i == 0)
		uv_async_send(&pool.wake);
	uv_run(&loop, UV_RUN_DEFAULT);
	while (i-- > 0)
		uv_thread_join(&workers[i].thread);
	free(workers);
	free(pool.secrets);
	uv_loop_close(&loop);
	sum_up(&pool);
	for (size_t k = 0; k < n; k++)
		arena_release(&accounts[k]->arena);
	uv_cond_destroy(&pool.changed);
	uv_mutex_destroy(&pool.mutex);
	close(pool.cancel_fd);
	return 0;
}
