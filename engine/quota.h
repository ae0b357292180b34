/*
 * Limits of users at the target.
 *
 * A rule (of the list, else of the job) says which limit a user is to have:
 * the source's, a fixed one, none, or the one that is there (keep).  The limit
 * given is never smaller than what the mail needs:
 *
 *	max(limit, CRLF bytes of the mail * 1.02 + 5 MiB)
 *
 * in whole KiB.  How much the mail needs is known when it has been read.  So
 * the limit is given before the first store by what is known then; a store
 * that is refused because of it lifts it; and it is given for good at the end
 * of the account.  A pass that needs no other limit changes nothing.  After the
 * account is released its limit is its owner's.
 *
 * Where the target sets no quotas, or the login may not, or its own session
 * fails, that is said once, and the report lists users and limits: the mail
 * comes over all the same.
 */
#ifndef ENGINE_QUOTA_H
#define ENGINE_QUOTA_H

#include <stdio.h>

#include "lane.h"

/* The limit for a user with so much mail; UNKNOWN64 stays what it is. */
uint64_t quota_with_room(uint64_t limit, uint64_t crlf_bytes);

/* Before the first store of the lane's account, whose pairs are known and
 * whose target is open. */
int	quota_before(struct lane *, const struct account_info *,
	    struct err *);
/* After the last one. */
int	quota_after(struct lane *, struct err *);
/* A store of it was refused for its quota: *e becomes a retry if there is more
 * room now, else it says what to do. */
void	quota_refused(struct lane *, struct err *e);

/* What users should have, with what was done: for people, as user,limit_bytes,
 * and as mailhaul-quotas-1. */
int	quota_report_text(struct db *, FILE *, struct err *);
int	quota_report_csv(struct db *, FILE *, struct err *);
int	quota_report_json(struct db *, FILE *, struct err *);

#endif
