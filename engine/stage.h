/*
 * The stage of an account: who owns what is at the target.
 *
 *	new, loading	nobody yet: what copy stored and is gone was lost
 *	frozen		the same; its users are out of the source
 *	released	its user: what is gone he has deleted, and a pass only
 *			adds what came to the source late
 *
 * A pass makes "loading" of "new" by itself; the others are set by people.
 */
#ifndef ENGINE_STAGE_H
#define ENGINE_STAGE_H

#include <stdio.h>

#include "json.h"
#include "lane.h"

/* Is a pass over this account one that only adds? */
bool	stage_only_adds(const struct lane *);
/* Is what is gone from the target gone by its user's will? */
bool	stage_keeps_deleted(const struct lane *);

/* An account whose stage is set, and what speaks against it. */
struct stage_change {
	const char	*name, *old, *outcome;
	int64_t		 doubts;	/* batches, and changes of flags,
					 * that may not have ended */
	int64_t		 missing;	/* failed, or not counted yet */
};
typedef void stage_tell_fn(void *ctx, const struct stage_change *);

/* All accounts that db sees (select_state()), in one transaction; told before.
 * ERR_ACCOUNT: one of them cannot have it, nothing is changed. */
int	stage_set(struct state *, struct db *, const char *stage,
	    stage_tell_fn *, void *ctx, size_t *n, struct err *);

/* How many accounts are in which stage, in words: "3 loading, 1 released". */
int	stage_text(struct db *, struct buf *, struct err *);
/* The same as an object "stages". */
int	stage_json(struct db *, struct json *, struct err *);

#endif
