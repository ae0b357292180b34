/* The pool: lanes, and the main loop beside them. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/xmalloc.h"
#include "journal.h"
#include "pool_impl.h"

#define STACK_SIZE	((size_t)16 << 20)
#define GRACE_MS	30000	/* a stop waits so long for answers */
#define POST_MS		5000	/* the state is told how it goes */

struct worker {
	struct pool	*pool;
	unsigned	 number;
	uv_thread_t	 thread;
};

void
fail_run(struct pool *pool, const struct err *e)
{
	if (!pool->result->run_failed) {
		pool->result->run_failed = true;
		pool->result->err = *e;
	}
	atomic_store(&pool->run->stop, true);
	uv_cond_broadcast(&pool->changed);
}

void
pool_say(struct pool *pool, const char *name, const char *text)
{
	log_warn(state_log(pool->run->state), LOG_RUN, "run", NULL, "%s: %s",
	    name, text);
	if (pool->run->log != NULL)
		pool->run->log(pool->run->log_ctx, name, text);
}

static void
host_says(void *ctx, const char *host, const char *text)
{
	const struct log_about about = { .host = host };
	struct pool *pool = ctx;

	log_warn(state_log(pool->run->state), LOG_RUN, "host", &about, "%s",
	    text);
	if (pool->run->log != NULL)
		pool->run->log(pool->run->log_ctx, host, text);
}

/* Under the mutex, which is given up for the task. */
static void
do_task(struct pool *pool, struct lane *l, const struct task *t)
{
	pool->busy++;
	uv_mutex_unlock(&pool->mutex);
	task_run(pool, l, t);
	host_leave(&l->at[SIDE_SOURCE]);
	host_leave(&l->at[SIDE_TARGET]);
	uv_mutex_lock(&pool->mutex);
	pool->busy--;
	uv_cond_broadcast(&pool->changed);
}

static void
work(struct pool *pool, struct lane *l)
{
	uv_mutex_lock(&pool->mutex);
	while (!lane_stopping(l) && (pool->ended < pool->n ||
	    to_be_shared(pool))) {
		struct task t = schedule(pool, l);
		uint64_t now = now_ms(), wait = 200;

		if (t.kind == TASK_OVER) {
			atomic_store(&pool->run->stop, true);
			uv_cond_broadcast(&pool->changed);
			uv_mutex_unlock(&pool->mutex);
			pool_say(pool, "time", "what is left would not end "
			    "before the run has to");
			uv_mutex_lock(&pool->mutex);
		} else if (t.kind != TASK_NONE)
			do_task(pool, l, &t);
		else {
			if (t.due_ms > now && t.due_ms - now < wait)
				wait = t.due_ms - now;
			uv_cond_timedwait(&pool->changed, &pool->mutex,
			    wait * 1000000);
		}
	}
	uv_cond_broadcast(&pool->changed);
	uv_mutex_unlock(&pool->mutex);
}

static void
worker_main(void *arg)
{
	struct worker *w = arg;
	struct pool *pool = w->pool;
	struct lane lane;
	struct err e;
	bool ready;

	ready = lane_init(&lane, pool->run, w->number, pool->cancel_fd,
	    &e) == 0;
	if (ready)
		work(pool, &lane);
	uv_mutex_lock(&pool->mutex);
	if (!ready)
		fail_run(pool, &e);
	pool->running--;
	uv_mutex_unlock(&pool->mutex);
	if (ready)
		lane_release(&lane);
	uv_async_send(&pool->wake);
}

/* Main loop. */

static const int numbers[3] = { SIGINT, SIGTERM, SIGHUP };

/* Between runs of one program they wait, for who looks after it then. */
static void
hold_signals(const struct pool *pool, int how)
{
	sigset_t set;

	if (!pool->run->hold_signals)
		return;
	sigemptyset(&set);
	for (size_t i = 0; i < 3; i++)
		sigaddset(&set, numbers[i]);
	pthread_sigmask(how, &set, NULL);
}

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
	hold_signals(pool, SIG_BLOCK);
	for (size_t i = 0; i < 3; i++)
		uv_close((uv_handle_t *)&pool->signals[i], NULL);
}

/* A disk that is nearly full is not written to before SQLite meets its end. */
static void
check_space(struct pool *pool)
{
	struct run *run = pool->run;
	bool full;
	struct err e;

	if (pool->state_disk == NULL)
		return;
	full = host_held(pool->state_disk, NULL, NULL);
	if (full != atomic_load(&run->full))
		atomic_store(&run->full, full);
	if (!full || !host_given_up(pool->state_disk))
		return;
	err_retry(&e, ERR_RUN, "less than min-free is left beside the state, "
	    "in %s: make room and run again", run->state_dir);
	uv_mutex_lock(&pool->mutex);
	fail_run(pool, &e);
	uv_mutex_unlock(&pool->mutex);
}

static void
stop_run(struct pool *pool, const char *why)
{
	bool first;

	uv_mutex_lock(&pool->mutex);
	first = !atomic_exchange(&pool->run->stop, true);
	uv_cond_broadcast(&pool->changed);
	uv_mutex_unlock(&pool->mutex);
	if (first)
		pool_say(pool, "stop", why);
}

/* What another process asks for, and the time. */
static void
check_orders(struct pool *pool)
{
	struct run *run = pool->run;
	enum control order;

	if (settings_left_ms(run->set, now_ms(), time(NULL)) == 0)
		stop_run(pool, "the time is over: batches in hand are "
		    "finished");
	if (run->state_path == NULL)
		return;
	if ((order = control_take(run->state_path)) == CONTROL_NONE)
		return;
	if (order == CONTROL_STOP)
		stop_run(pool, "asked to stop: batches in hand are finished");
	else if (atomic_exchange(&run->paused, order == CONTROL_PAUSE) !=
	    (order == CONTROL_PAUSE))
		pool_say(pool, control_word(order), order == CONTROL_PAUSE ?
		    "batches in hand are finished, then nothing is done until "
		    "mailhaul resume" : "goes on");
	pool->posted_ms = 0;	/* a status tells at once */
}

/* The clock: limits, hosts, progress, and what the state is told. */
static void
look_around(struct pool *pool)
{
	struct run *run = pool->run;
	uint64_t now = now_ms();

	hosts_tick(run->hosts, now, time(NULL), atomic_load(&run->paused));
	check_space(pool);
	check_orders(pool);
	uv_mutex_lock(&pool->mutex);
	eta_update(pool);
	uv_mutex_unlock(&pool->mutex);
	if (now - pool->posted_ms >= POST_MS) {
		pool->posted_ms = now;
		eta_post(pool);
	}
}

static void
on_tick(uv_timer_t *t)
{
	struct pool *pool = t->data;
	struct err e;

	look_around(pool);
	if (pool->progress != NULL)
		pool->progress(pool->progress_ctx, pool->run);
	/* A server that does not answer must not hold up a stop for ever. */
	if (atomic_load(&pool->run->stop)) {
		if (pool->stopped_ms == 0)
			pool->stopped_ms = now_ms();
		else if (now_ms() - pool->stopped_ms > GRACE_MS)
			eventfd_write(pool->cancel_fd, 1);
	}
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

/* Hosts, logins, and what earlier runs know of them. */
static int
set_up(struct pool *pool, struct err *e)
{
	struct run *run = pool->run;
	struct db *db;
	int rc;

	run->hosts = hosts_new(run->set, host_says, pool);
	hosts_signal(run->hosts, &pool->changed);
	for (size_t i = 0; i < pool->n; i++) {
		struct account *a = pool->accounts[i];

		arena_init(&a->arena);
		a->phase = ACC_NEW;
		a->host[SIDE_SOURCE] = hosts_get(run->hosts, a->src_uri,
		    SIDE_SOURCE);
		a->host[SIDE_TARGET] = hosts_get(run->hosts, a->tgt_uri,
		    SIDE_TARGET);
	}
	if (run->state_dir != NULL)
		pool->state_disk = hosts_disk(run->hosts, run->state_dir);
	pool->logins = logins_new(pool->accounts, pool->n);
	if (state_reader(run->state, &db, e) == -1)
		return -1;
	rc = hosts_load(run->hosts, db, e);
	db_close(&db);
	return rc;
}

/* Those that were begun and went back into the queue are told as stopped. */
static void
clean_up(struct pool *pool)
{
	struct err e;

	for (size_t i = 0; i < pool->n; i++) {
		struct account *a = pool->accounts[i];

		if (a->phase != ACC_ENDED && a->row.id != 0)
			account_outcome(pool->run->state, a->row.id,
			    "stopped", NULL, &e);
		arena_release(&a->arena);
	}
	eta_post(pool);
	hosts_free(&pool->run->hosts);
	logins_free(&pool->logins);
}

static int
start_loop(struct pool *pool, uv_loop_t *loop, struct err *e)
{
	if (uv_loop_init(loop) != 0)
		return err_retry(e, ERR_RUN, "cannot start the main loop");
	pool->cancel_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (pool->cancel_fd == -1) {
		err_sys(e, ERR_RUN, "eventfd");
		uv_loop_close(loop);
		return -1;
	}
	signal(SIGPIPE, SIG_IGN);
	uv_mutex_init(&pool->mutex);
	uv_cond_init(&pool->changed);
	uv_async_init(loop, &pool->wake, on_wake);
	uv_timer_init(loop, &pool->tick);
	pool->wake.data = pool->tick.data = pool;
	uv_timer_start(&pool->tick, on_tick, 1000, 1000);
	for (size_t i = 0; i < 3; i++) {
		uv_signal_init(loop, &pool->signals[i]);
		pool->signals[i].data = pool;
		uv_signal_start(&pool->signals[i], on_signal, numbers[i]);
	}
	hold_signals(pool, SIG_UNBLOCK);
	return 0;
}

/* The number of workers that could be started. */
static unsigned
start_workers(struct pool *pool, struct worker *workers)
{
	uv_thread_options_t options = { .flags = UV_THREAD_HAS_STACK_SIZE,
	    .stack_size = STACK_SIZE };
	sigset_t all, old;
	unsigned i;

	/* Signals are the main thread's. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	for (i = 0; i < pool->run->set->lanes; i++) {
		workers[i].pool = pool;
		workers[i].number = i;
		uv_mutex_lock(&pool->mutex);
		pool->running++;
		uv_mutex_unlock(&pool->mutex);
		if (uv_thread_create_ex(&workers[i].thread, &options,
		    worker_main, &workers[i]) != 0) {
			uv_mutex_lock(&pool->mutex);
			pool->running--;
			uv_mutex_unlock(&pool->mutex);
			break;
		}
	}
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return i;
}

int
pool_run(struct run *run, struct account **accounts, size_t n,
    pool_progress_fn *progress, void *ctx, struct pool_result *result,
    struct err *e)
{
	struct pool pool = { .run = run, .accounts = accounts, .n = n,
	    .result = result, .progress = progress, .progress_ctx = ctx };
	struct worker *workers;
	uv_loop_t loop;
	unsigned i;
	int rc;

	memset(result, 0, sizeof *result);
	pool.posted_ms = now_ms();
	if (run->start_ms == 0)
		run->start_ms = pool.posted_ms;
	atomic_store(&run->accounts_total, n);
	if (start_loop(&pool, &loop, e) == -1)
		return -1;
	workers = xcalloc(run->set->lanes, sizeof *workers);
	rc = set_up(&pool, e);
	i = 0;
	if (rc == 0) {
		hosts_tick(run->hosts, now_ms(), time(NULL), false);
		check_space(&pool);
		i = start_workers(&pool, workers);
	}
	if (i == 0)
		uv_async_send(&pool.wake);
	uv_run(&loop, UV_RUN_DEFAULT);
	while (i-- > 0)
		uv_thread_join(&workers[i].thread);
	free(workers);
	uv_loop_close(&loop);
	sum_up(&pool);
	clean_up(&pool);
	uv_cond_destroy(&pool.changed);
	uv_mutex_destroy(&pool.mutex);
	close(pool.cancel_fd);
	return rc;
}
