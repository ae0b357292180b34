/*
 * Forgetting accounts: their rows leave the state; the target is not touched.
 * The state as it was is copied before.
 */
#ifndef ENGINE_FORGET_H
#define ENGINE_FORGET_H

#include "state.h"

/*
 * A copy of the state at path, beside it, readable by its owner alone, named
 * PATH.before-WHAT-YYYYMMDDTHHMMSSZ.  It is complete and on disk on return;
 * -1: there is none.  *copy is freed by the caller.
 */
int	state_copy(struct state *, const char *path, const char *what,
	    char **copy, struct err *);

/* Drops all that the state knows of these accounts, in one transaction. */
int	forget_accounts(struct state *, const int64_t *ids, size_t n,
	    struct err *);

#endif
