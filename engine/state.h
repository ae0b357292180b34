/*
 * The state of a migration project: one SQLite file, one process at a time,
 * one writer thread.
 *
 * Lanes hand work for the database to the writer (state_post), which runs all
 * that is waiting in one transaction with synchronous=FULL, and wait for their
 * own sequence number (state_wait) where they need it: a commit costs an fsync,
 * so what nobody waits for goes along with what somebody does.  They read through a connection of their
 * own (state_reader), in short transactions, never across a network wait.
 *
 * What the tables hold is at the schema in state.c.
 */
#ifndef ENGINE_STATE_H
#define ENGINE_STATE_H

#include "db.h"

struct state;
struct log;		/* log.h */

/*
 * Runs on the writer thread inside the transaction.  -1 ends the run: the
 * transaction is rolled back and every later wait fails with the same error.
 */
typedef int state_fn(struct db *, void *arg, struct err *);

/* Opens or makes PATH and takes PATH.lock.  *created tells which.  ERR_RUN on
 * a state of a newer version, a foreign file, another process (its pid is in
 * the text), a directory that is not ours, or NFS. */
int	 state_open(struct state **, const char *path, bool *created,
	    struct err *);
void	 state_close(struct state **);	/* what was posted is committed */

/* arg is freed with free_arg after it has run (or failed); NULL: the caller
 * keeps it until the number has passed.  The work is done in order, with the
 * next transaction that somebody waits for or hurries. */
uint64_t state_post(struct state *, state_fn *, void *arg,
	    void (*free_arg)(void *));
/* Begins to make everything up to seq durable, without waiting for it; 0: all
 * that was posted so far. */
void	 state_hurry(struct state *, uint64_t seq);
/* 0: everything up to seq is durable. */
int	 state_wait(struct state *, uint64_t seq, struct err *);
/* The same for all that was posted so far, by any thread. */
int	 state_sync(struct state *, struct err *);
int	 state_call(struct state *, state_fn *, void *arg, struct err *);
/* -1 and *e once the state cannot be written any more. */
int	 state_failed(struct state *, struct err *);

/* A read-only connection, for the calling thread; the caller closes it. */
int	 state_reader(struct state *, struct db **, struct err *);
/* The same for a program that does not copy (report, status); needs no lock.
 * *running is the pid of the process that holds the state, or 0. */
int	 state_read_only(const char *path, struct db **, long *running,
	    struct err *);

/* The URI under which a state is read without a trace, for DB_LOOK: no file is
 * made beside it, unless a copy is running or was cut off.  The caller frees;
 * NULL: *e, CAUSE_MISSING where there is no state yet. */
char	*state_look_uri(const char *path, long *running, struct err *);
/* Is it a state that this version can read? */
int	 state_check(struct db *, const char *path, struct err *);

/*
 * A state in memory, to try out what a copy would do: over a real one (its
 * look URI; NULL: there is none), which is only read.  Readers see the messages
 * of both, and of accounts and mailboxes what state_scratch_take() has taken
 * over: the rows of one account, in place of those of the last one.
 */
int	 state_scratch(struct state **, const char *known_uri, struct err *);
int	 state_scratch_take(struct state *, const char *account, struct err *);

/* Transactions committed so far, for the bench. */
uint64_t state_commits(struct state *);
/* The number of this pass (pass.id), set by pass_begin() in rows.h. */
int64_t	 state_pass(struct state *);
void	 state_set_pass(struct state *, int64_t);
/* Where what is put into the state is told (journal.h); borrowed, NULL: nowhere.
 * To be set before there are lanes. */
struct log *state_log(const struct state *);
void	 state_set_log(struct state *, struct log *);

#endif
