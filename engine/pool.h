/*
 * The pool: worker threads that copy accounts, and the main loop beside them.
 *
 * A worker is a lane.  It takes an account that nobody has begun, else it
 * helps with the mailboxes of one that is being copied.  The main loop (libuv)
 * has signals, progress and the checks that need a clock.
 */
#ifndef ENGINE_POOL_H
#define ENGINE_POOL_H

#include "account.h"

struct pool_result {
	size_t		 done, partial, failed, empty, stopped;
	bool		 run_failed;	/* err is of the whole run */
	struct err	 err;
};

/* Called on the main thread about once a second. */
typedef void pool_progress_fn(void *ctx, const struct run *run);

/*
 * Copies all accounts, in this order; returns when every one has an outcome or
 * the run was stopped.  Takes over SIGINT, SIGTERM, SIGHUP and SIGPIPE while
 * it runs; with run->hold_signals they are blocked before and after it, in all
 * threads.  -1: it could not begin.
 */
int	pool_run(struct run *, struct account **accounts, size_t n,
	    pool_progress_fn *, void *ctx, struct pool_result *, struct err *);

#endif
