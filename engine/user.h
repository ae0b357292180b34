/*
 * The user at the target: there, or made by us.
 */
#ifndef ENGINE_USER_H
#define ENGINE_USER_H

#include "lane.h"

/* The lane's target is open.  A missing user is made if the run may do that and
 * the account is not released; the target is opened anew then.  -1: *e, CAUSE_MISSING if there is none. */
int	user_ensure(struct lane *, struct err *);
/* A store_made_fn; ctx is the lane. */
int	user_made(void *ctx, const char *user, bool *made, struct err *);

#endif
