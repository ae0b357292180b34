/*
 * The server or file system behind all in-memory stores of one side, for
 * tests: it goes away and comes back, takes only so many sessions, and counts.
 * In shared memory like the stores.
 */
#ifndef MEM_HOST_H
#define MEM_HOST_H

#include <stdatomic.h>

#include "mem/mem_store.h"

struct mem_host {
	/* behaviour, set by the test */
	_Atomic uint64_t down_until;	/* CLOCK_MONOTONIC ms */
	_Atomic unsigned down_at;	/* goes down at the Nth batch ... */
	_Atomic unsigned down_ms;	/* ... for so long */
	_Atomic unsigned wrong;		/* so many passwords, from then on */
	_Atomic unsigned cap, user_cap;	/* sessions; 0: any number */
	_Atomic unsigned hang_ms;	/* silence before a session is refused */
	_Atomic unsigned batch_ms;	/* what a batch takes */
	_Atomic unsigned open_ms;	/* what a login takes */
	/* counted */
	_Atomic unsigned opens, refused;
	_Atomic unsigned probes, probing, probing_most;	/* while down, after
						 * the first half second */
	_Atomic unsigned sessions, most;
};

/* Of targets, or of sources: a store is a target's if its name begins with
 * "tgt". */
struct mem_host	*mem_host(bool target);
/* Forgets sessions of a process that was killed. */
void		 mem_hosts_begin(void);
/* All as new. */
void		 mem_hosts_reset(void);

/* For the back ends: a session is opened, closed, and stores a batch (-1: the
 * host is away). */
int	mem_session_open(struct mem_store *, struct err *);
void	mem_session_close(struct mem_store *);
int	mem_session_batch(struct mem_store *);

#endif
