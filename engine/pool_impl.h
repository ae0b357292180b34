/* The pool, shared by pool.c, schedule.c, task.c and eta.c only. */
#ifndef ENGINE_POOL_IMPL_H
#define ENGINE_POOL_IMPL_H

#include <uv.h>

#include "control.h"
#include "logins.h"
#include "pool.h"

struct pool {
	struct run	*run;
	struct account	**accounts;
	size_t		 n, ended;
	uv_mutex_t	 mutex;
	uv_cond_t	 changed;
	int		 cancel_fd;
	unsigned	 running;	/* lanes */
	unsigned	 busy;		/* lanes with a task */
	struct pool_result *result;
	struct logins	*logins;
	struct host	*state_disk;	/* or NULL */
	uint64_t	 stopped_ms;	/* when the stop was first seen */
	uint64_t	 posted_ms;	/* the state was told how it goes */
	uv_async_t	 wake;
	uv_timer_t	 tick;
	uv_signal_t	 signals[3];
	unsigned	 interrupts;
	pool_progress_fn *progress;
	void		*progress_ctx;
};

/* What a lane is to do next; under the mutex. */
struct task {
	enum {
		TASK_NONE,
		TASK_PREPARE,
		TASK_PAIRS,
		TASK_SHARE,	/* all have ended: mailboxes of others */
		TASK_GIVE_UP,	/* end it unmarked: its host is away */
		TASK_FAIL,	/* end it: its login was refused in earnest */
		TASK_OVER	/* what is left does not end in time */
	} kind;
	struct account	*account;
	uint64_t	 due_ms;	/* NONE: look again then; 0: never */
};

/* schedule.c.  All under the mutex. */
/* Chooses, and takes the berths for the lane. */
struct task	 schedule(struct pool *, struct lane *);
/* All have ended, and some account waits for that; false: the run is over. */
bool		 to_be_shared(const struct pool *);
/* A pair that may be taken now, or when; *open: some pair is not done. */
struct pair	*ready_pair(struct account *, uint64_t now, uint64_t *due,
		    bool *open);
/* Exponential, with jitter, so that lanes do not come back together. */
uint64_t	 pause_ms(unsigned tries);

/* task.c: a lane does its task, without the mutex. */
void		 task_run(struct pool *, struct lane *, const struct task *);

/* pool.c.  Under the mutex: the run cannot go on. */
void		 fail_run(struct pool *, const struct err *);
/* A line for people; without the mutex. */
void		 pool_say(struct pool *, const char *name, const char *text);

/* eta.c: ms that one lane takes for the account, 0: unknown. */
uint64_t	 eta_account_ms(const struct pool *, const struct account *);
/* Messages still to be met, 0: unknown. */
uint64_t	 eta_left(const struct account *);
/* Writes run->eta anew.  Under the mutex. */
void		 eta_update(struct pool *);
/* Tells the state, for mailhaul status. */
void		 eta_post(struct pool *);

#endif
