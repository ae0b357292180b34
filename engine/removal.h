/*
 * --delete: messages that were deleted at the source go from the target, into
 * a mailbox of the day or, if asked for, for good.
 *
 * A walk that was complete and without error finds the rows whose messages it
 * has not met; when all mailboxes of the account are done their number is held
 * against the limits, and then they go, each only if its copy is the message
 * that was stored and nobody has changed its flags.  A row in table removal
 * tells what was found; it is in state 1 before the target is touched.  After
 * a kill the target is looked at first: what is no longer there was removed,
 * what is there stays until a walk finds it again.
 */
#ifndef ENGINE_REMOVAL_H
#define ENGINE_REMOVAL_H

#include "walk.h"

/* Are messages to be removed in this account, in this pass? */
bool	removal_wanted(const struct lane *);

/* A walk: it begins, meets a message by its key, and is over; complete: the
 * source has told of as many as it says it holds. */
int	removal_begin(struct walk *, struct err *);
int	removal_met(struct walk *, const void *key, size_t key_len,
	    struct err *);
int	removal_collect(struct walk *, bool complete, struct err *);

/* Before the first pair: what an earlier run began and did not end. */
int	removal_settle(struct lane *, struct err *);
/* After the last one. */
int	removal_run(struct lane *, struct err *);

#endif
