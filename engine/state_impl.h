/* Inside of struct state, for state.c and state_scratch.c. */
#ifndef ENGINE_STATE_IMPL_H
#define ENGINE_STATE_IMPL_H

#include <uv.h>

#include "state.h"

struct work {
	struct work	*next;
	state_fn	*fn;
	void		*arg;
	void		(*free_arg)(void *);
};

struct state {
	char		*path;
	bool		 scratch;	/* path is a URI; no file */
	char		*known;		/* the real one below it, or NULL */
	int		 lock_fd;
	struct db	*db;		/* the writer's */
	uv_thread_t	 thread;
	bool		 started;
	uv_mutex_t	 mutex;
	uv_cond_t	 more, done;
	/* under the mutex */
	struct work	*first, **last;
	uint64_t	 posted, committed, commits;
	uint64_t	 wanted;	/* somebody waits for this number */
	bool		 stop, failed;
	struct err	 error;
	int64_t		 pass;
	struct log	*log;		/* never changed while lanes run */
};

/* Without a database yet.  lock: the descriptor of the lock file, or -1. */
struct state	*state_new(const char *path, int lock);
int		 state_make_schema(struct db *, const char *path, struct err *);
int		 state_start_writer(struct state *, struct err *);
/* The pid of the process that holds a state, or 0. */
int		 state_holder(const char *path, long *running, struct err *);
int		 state_scratch_reader(struct state *, struct db **,
		    struct err *);

#endif
