/* The lanes of mailhaul uidl. */
#include "pop3_run.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "base/xmalloc.h"
#include "logins.h"

#define STACK_SIZE	((size_t)16 << 20)
#define BOUNCES		3	/* of hosts that work for others */
#define RETRY_MS	500	/* doubled each time */
#define RETRY_MAX_MS	60000
#define CAP_PAUSE_MS	500	/* a session was too much */
#define TICK_MS		1000

/* What the lanes share; all but the first two under the mutex. */
struct shared {
	struct pop3_run	*run;
	struct settings	 set;		/* the run's, for sources on both sides */
	struct hosts	*hosts;
	struct logins	*logins;
	struct account	*shadows;	/* of the tasks, by number */
	uv_mutex_t	 mutex, saying;
	uv_cond_t	 changed;
	size_t		 ended;
	unsigned	 running;
	int		 cancel_fd;
	bool		 stopping;
	bool		 failed;
	struct err	 error;
};

struct worker {
	struct shared	*shared;
	uv_thread_t	 thread;
};

static void
say(struct shared *sh, const char *account, const char *text)
{
	uv_mutex_lock(&sh->saying);
	sh->run->say(sh->run->ctx, account, text);
	uv_mutex_unlock(&sh->saying);
}

/* store_warn_fn of servers. */
static void
server_warned(void *ctx, const char *mailbox, const char *where,
    const char *text)
{
	(void)mailbox;
	(void)where;
	say(ctx, NULL, text);
}

static void
end_task(struct shared *sh, size_t i, enum pop3_outcome outcome)
{
	sh->shadows[i].phase = ACC_ENDED;
	sh->run->tasks[i].outcome = outcome;
	sh->ended++;
	uv_cond_broadcast(&sh->changed);
}

/* Ended without a try: true. */
static bool
is_over(struct shared *sh, size_t i)
{
	struct pop3_task *t = &sh->run->tasks[i];
	struct account *a = &sh->shadows[i];
	char why[200];

	if (sh->stopping) {
		err_retry(&t->err, ERR_RUN, "stopped");
		end_task(sh, i, POP3_STOPPED);
		return true;
	}
	if (login_barred(sh->logins, a)) {
		err_set(&t->err, ERR_ACCOUNT, "not tried: the login that it "
		    "shares with other accounts was refused again and again");
		end_task(sh, i, POP3_FAILED);
		return true;
	}
	for (int side = SIDE_SOURCE; side <= SIDE_TARGET; side++)
		if (host_given_up(a->host[side])) {
			host_held(a->host[side], NULL, why);
			err_retry(&t->err, ERR_HOST, "%s: %s",
			    host_name(a->host[side]), why);
			end_task(sh, i, POP3_STOPPED);
			return true;
		}
	return false;
}

/* The next to be worked on; SIZE_MAX: none now, and not before *due. */
static size_t
choose(struct shared *sh, uint64_t now, uint64_t *due)
{
	*due = 0;
	for (size_t i = 0; i < sh->run->n; i++) {
		struct account *a = &sh->shadows[i];

		if (a->phase != ACC_NEW || is_over(sh, i))
			continue;
		if (a->due_ms > now) {
			if (*due == 0 || a->due_ms < *due)
				*due = a->due_ms;
			continue;
		}
		if (login_free(sh->logins, a) &&
		    host_room(a->host[SIDE_SOURCE], 0, now, due) &&
		    host_room(a->host[SIDE_TARGET], 0, now, due))
			return i;
	}
	return SIZE_MAX;
}

/* Its host was to blame, or it may go better next time: true. */
static bool
go_back(struct shared *sh, struct pop3_lane *l, const struct err *e)
{
	struct account *a = l->shadow;
	uint64_t proofs = host_proofs(a->host[SIDE_SOURCE]) +
	    host_proofs(a->host[SIDE_TARGET]);
	uint64_t pause = CAP_PAUSE_MS;

	if (e->scope == ERR_RUN)
		return false;
	if (l->trouble == TROUBLE_NONE && e->scope == ERR_HOST)
		l->trouble = host_trouble(&l->at[l->failed], e, false);
	if (l->trouble == TROUBLE_NONE) {
		if (!e->retry || e->cause == CAUSE_AUTH || a->tries >=
		    sh->set.max_tries)
			return false;
		pause = RETRY_MS << (a->tries < 7 ? a->tries : 7);
		a->tries++;
	} else if (proofs > a->proofs) {
		a->bounced++;
		a->proofs = proofs;
	}
	a->due_ms = now_ms() + (pause < RETRY_MAX_MS ? pause : RETRY_MAX_MS);
	a->phase = ACC_NEW;
	uv_cond_broadcast(&sh->changed);
	return true;
}

/* Under the mutex, which is given up meanwhile. */
static void
work_on(struct shared *sh, size_t i)
{
	struct account *a = &sh->shadows[i];
	struct pop3_lane l = { .run = sh->run, .shadow = a,
	    .cancel_fd = sh->cancel_fd, .warn = server_warned,
	    .warn_ctx = sh };
	struct err e;
	int rc;

	a->phase = ACC_PREPARING;
	login_begins(sh->logins, a);
	for (int side = SIDE_SOURCE; side <= SIDE_TARGET; side++) {
		host_enter(&l.at[side], a->host[side], 0, &a->sessions[side]);
		l.at[side].suspect = a->bounced >= BOUNCES;
	}
	uv_mutex_unlock(&sh->mutex);
	rc = pop3_account(&l, &sh->run->tasks[i], &e);
	uv_mutex_lock(&sh->mutex);
	login_ends(sh->logins, a, l.opened, l.refused);
	if (rc == 0)
		end_task(sh, i, POP3_DONE);
	else if (!go_back(sh, &l, &e)) {
		sh->run->tasks[i].err = e;
		if (e.scope == ERR_RUN && e.cause != CAUSE_CANCELLED &&
		    !sh->failed) {
			sh->failed = true;
			sh->error = e;
		}
		end_task(sh, i, e.cause == CAUSE_CANCELLED || e.scope ==
		    ERR_RUN ? POP3_STOPPED : POP3_FAILED);
	}
	host_leave(&l.at[SIDE_SOURCE]);
	host_leave(&l.at[SIDE_TARGET]);
	uv_cond_broadcast(&sh->changed);
}

static void
worker_main(void *arg)
{
	struct worker *w = arg;
	struct shared *sh = w->shared;

	uv_mutex_lock(&sh->mutex);
	while (!sh->failed && sh->ended < sh->run->n) {
		uint64_t now = now_ms(), wait = 200, due;
		size_t i = choose(sh, now, &due);

		if (i != SIZE_MAX)
			work_on(sh, i);
		else if (sh->ended < sh->run->n) {
			if (due > now && due - now < wait)
				wait = due - now;
			uv_cond_timedwait(&sh->changed, &sh->mutex,
			    wait * 1000000);
		}
	}
	sh->running--;
	uv_cond_broadcast(&sh->changed);
	uv_mutex_unlock(&sh->mutex);
}

/* host_say_fn */
static void
host_says(void *ctx, const char *host, const char *text)
{
	say(ctx, host, text);
}

static void
set_up(struct shared *sh)
{
	struct account **all = xcalloc(sh->run->n + 1, sizeof *all);

	sh->set = *sh->run->set;
	sh->set.min_free = 0;		/* nothing is written there */
	sh->set.target_limits = sh->set.source_limits;
	uv_mutex_init(&sh->mutex);
	uv_mutex_init(&sh->saying);
	uv_cond_init(&sh->changed);
	sh->hosts = hosts_new(&sh->set, host_says, sh);
	hosts_signal(sh->hosts, &sh->changed);
	sh->shadows = xcalloc(sh->run->n + 1, sizeof *sh->shadows);
	for (size_t i = 0; i < sh->run->n; i++) {
		const struct pop3_task *t = &sh->run->tasks[i];
		struct account *a = all[i] = &sh->shadows[i];

		a->name = t->account->name;
		a->src_uri = t->server;
		a->src_password = t->password;
		a->tgt_uri = t->account->src_uri;
		a->tgt_password = t->account->src_password;
		a->phase = ACC_NEW;
		a->host[SIDE_SOURCE] = hosts_get(sh->hosts, a->src_uri,
		    SIDE_SOURCE);
		a->host[SIDE_TARGET] = hosts_get(sh->hosts, a->tgt_uri,
		    SIDE_TARGET);
	}
	sh->logins = logins_new(all, sh->run->n);
	free(all);
}

static void
clean_up(struct shared *sh)
{
	hosts_free(&sh->hosts);
	logins_free(&sh->logins);
	free(sh->shadows);
	uv_cond_destroy(&sh->changed);
	uv_mutex_destroy(&sh->saying);
	uv_mutex_destroy(&sh->mutex);
}

static void
stop(struct shared *sh)
{
	const uint64_t one = 1;

	uv_mutex_lock(&sh->mutex);
	if (sh->stopping)
		_exit(75);	/* still safe: what is put is whole */
	sh->stopping = true;
	uv_cond_broadcast(&sh->changed);
	uv_mutex_unlock(&sh->mutex);
	while (write(sh->cancel_fd, &one, sizeof one) == -1 && errno == EINTR)
		;
}

/* Signals, hours and patience, until all lanes have ended. */
static void
mind_the_clock(struct shared *sh, const sigset_t *signals)
{
	const struct timespec shortly = { .tv_nsec = 50 * 1000000 };
	uint64_t ticked = now_ms(), now;
	unsigned running = 1;

	while (running > 0) {
		int number = sigtimedwait(signals, NULL, &shortly);

		/* A lost terminal does not stop a run. */
		if (number == SIGINT || number == SIGTERM)
			stop(sh);
		if ((now = now_ms()) - ticked >= TICK_MS) {
			ticked = now;
			hosts_tick(sh->hosts, now, time(NULL), false);
		}
		uv_mutex_lock(&sh->mutex);
		running = sh->running;
		uv_mutex_unlock(&sh->mutex);
	}
}

/* As many as can be started, at most n. */
static size_t
start_workers(struct shared *sh, struct worker *workers, size_t n)
{
	uv_thread_options_t options = { .flags = UV_THREAD_HAS_STACK_SIZE,
	    .stack_size = STACK_SIZE };
	size_t i;

	sh->running = (unsigned)n;
	for (i = 0; i < n; i++) {
		workers[i].shared = sh;
		if (uv_thread_create_ex(&workers[i].thread, &options,
		    worker_main, &workers[i]) != 0)
			break;
	}
	uv_mutex_lock(&sh->mutex);
	sh->running -= (unsigned)(n - i);
	if (i == 0 && n > 0) {
		sh->failed = true;
		err_retry(&sh->error, ERR_RUN, "cannot start a thread");
	}
	uv_mutex_unlock(&sh->mutex);
	return i;
}

int
pop3_run(struct pop3_run *run, struct err *e)
{
	struct shared sh = { .run = run };
	sigset_t signals, old;
	struct worker *workers;
	size_t n = run->set->lanes, i;
	int rc;

	if (n > run->n)
		n = run->n;
	sh.cancel_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (sh.cancel_fd == -1)
		return err_sys(e, ERR_RUN, "eventfd");
	sigemptyset(&signals);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGHUP);
	sigaddset(&signals, SIGPIPE);
	pthread_sigmask(SIG_BLOCK, &signals, &old);
	workers = xcalloc(n + 1, sizeof *workers);
	set_up(&sh);
	hosts_tick(sh.hosts, now_ms(), time(NULL), false);
	i = start_workers(&sh, workers, n);
	mind_the_clock(&sh, &signals);
	while (i-- > 0)
		uv_thread_join(&workers[i].thread);
	free(workers);
	rc = sh.failed ? -1 : 0;
	if (sh.failed)
		*e = sh.error;
	for (size_t k = 0; k < run->n; k++)
		if (run->tasks[k].outcome == POP3_TODO) {
			err_retry(&run->tasks[k].err, ERR_RUN, "stopped");
			run->tasks[k].outcome = POP3_STOPPED;
		}
	clean_up(&sh);
	close(sh.cancel_fd);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return rc;
}
