/*
 * Runs the engine on in-memory stores in a child process, so that a test may
 * kill it anywhere.  The stores survive; the state is a file in a private
 * directory.
 */
#ifndef ENGINE_FIXTURE_H
#define ENGINE_FIXTURE_H

#include <sys/types.h>

#include "mem/mem_host.h"
#include "pool.h"
#include "undo.h"

#define FIXTURE_MORE 15

struct fixture {
	char		 dir[64];	/* private, removed at the end */
	char		 state[80];
	struct mem_store *src, *tgt;
	const char	*source;	/* a URI in place of src, or NULL */
	struct mem_store *more_src[FIXTURE_MORE], *more_tgt[FIXTURE_MORE];
	unsigned	 more;		/* accounts besides the first */
	const char	*secret;	/* of all of them at the target */
	uint64_t	 expect;	/* messages of each account; 0: unknown */
	uint64_t	 started_ms;	/* the run's, if not now */
	struct settings	 set;
	bool		 log;		/* write logs beside the state */
	struct rules	*rules;
	struct quota_rule quota;	/* of the account */
	const char	*target_user;	/* "joe" */
	struct undo_box	*told;		/* sums of the last undo */
	const char	*people;	/* the account list, for who is who */
};

void	fixture_start(struct fixture *);
void	fixture_stop(struct fixture *);
void	fixture_drop_state(struct fixture *);
void	fixture_copy_state(struct fixture *, const char *suffix, bool back);

/* One run of copy.  The exit code (0 done, 2 not all done, 75 stopped or the
 * state failed), or -SIGNAL. */
int	fixture_run(struct fixture *);
/* One undo, the same way: 0 done, 1 changed ones stay, 2 refused. */
int	fixture_undo(struct fixture *, bool apply);
/* Changes the state behind everybody's back. */
void	fixture_sql(struct fixture *, const char *sql);
/* The same in two parts: the run's pid, and its end.  With FIXTURE_SLOW=FILE it
 * makes that file when it holds the state, and waits until it is gone. */
pid_t	fixture_begin(struct fixture *);
int	fixture_end(pid_t);
/* So many accounts besides the first, with stores of their own. */
void	fixture_more(struct fixture *, unsigned n);
/* Every so-manieth point for a kill: step, or $MAILHAUL_SPARSE times as much,
 * where each run is slow (sanitizers). */
int	fixture_every(int step);
/* A number from the state; -1: none. */
int64_t	fixture_number(struct fixture *, const char *sql);
/* source = sum of the six, in every mailbox that is done; what was sent over
 * time is what was sent. */
bool	fixture_balanced(struct fixture *);

/* The folder's contents as one sorted text: a line per message with flags,
 * keywords, date and bytes; the caller frees. */
char	*fixture_contents(struct mem_store *, const char *folder);

/* Adds a message that is like no other (n), with given header additions. */
void	fixture_add(struct mem_store *, const char *folder, int n,
	    const char *extra_header, unsigned flags, const char *keywords,
	    int64_t date);

#endif
