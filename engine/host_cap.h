/*
 * A cap: how many sessions a server takes at the same time, found out by
 * trying a few more at a time.  Plain values; the owner locks.
 */
#ifndef ENGINE_HOST_CAP_H
#define ENGINE_HOST_CAP_H

#include <stdbool.h>
#include <stdint.h>

struct cap {
	unsigned	 limit;		/* 0: none is known */
	unsigned	 proven;	/* have worked at the same time */
	unsigned	 growing;	/* beyond these, being opened */
	uint64_t	 raise_ms;	/* one beyond the limit is tried then */
	uint64_t	 pause_ms;	/* from the last refusal to that */
	unsigned	 before;	/* limit before the last refusal */
	uint64_t	 learnt_ms;	/* when that was; 0: never */
};

/* What an earlier run found; 0: nothing. */
void	cap_start(struct cap *, unsigned limit, uint64_t now,
	    uint64_t raise_after_ms);
/* May there be one more with n of them? */
bool	cap_allows(const struct cap *, unsigned n, uint64_t now);
/* One more is being opened; true: it is beyond what has worked.  Only half as
 * many as have worked are tried so at a time, each until cap_left(): a cap
 * refuses few, and many short accounts still get all their lanes. */
bool	cap_take(struct cap *, unsigned n);
void	cap_left(struct cap *);		/* it was not opened after all */
/* n of them are open.  1: more than the limit that was known. */
int	cap_worked(struct cap *, unsigned n, uint64_t now,
	    uint64_t raise_after_ms);
/* One more was refused where n are open.  unsure: the server may have counted
 * one that was just closed, so it is tried again soon, once. */
void	cap_refused(struct cap *, unsigned n, uint64_t now,
	    uint64_t raise_after_ms, bool unsure);
/* The last refusal, if it was not long ago, had another cause. */
void	cap_take_back(struct cap *, uint64_t now);

#endif
