/* Between the files plan*.c. */
#ifndef ENGINE_PLAN_IMPL_H
#define ENGINE_PLAN_IMPL_H

#include "plan.h"

/* A line at the end of a list, copied into the arena. */
void	plan_add(struct plan_lines *, struct arena *, const char *kind,
	    const char *mailbox, const char *text);
void	plan_addf(struct plan_lines *, struct arena *, const char *kind,
	    const char *mailbox, const char *fmt, ...)
	    __attribute__((format(printf, 5, 6)));

/* plan_lanes.c: all accounts.  db: the state, or NULL. */
int	plan_lanes(struct plan *, struct db *, struct err *);
/* plan_account.c: one account, on a lane that has a scratch state.  -1: the
 * plan as a whole cannot go on. */
int	plan_account(struct plan *, struct lane *, struct plan_account *,
	    struct err *);
/* One that is not looked at, for this reason. */
void	plan_not_looked(struct plan_account *, const char *kind, bool again,
	    const char *fmt, ...) __attribute__((format(printf, 4, 5)));
/* plan_size.c: counts and bytes of a source mailbox, as cheaply as its store
 * allows.  id: of its row in the state, or 0. */
int	plan_size(struct plan *, struct lane *, struct folder_info *,
	    int64_t id, struct plan_size *, struct err *);
void	plan_size_add(struct plan_size *sum, uint64_t *uncounted,
	    const struct plan_size *);
/* plan_uidl.c: what becomes of POP3 UIDLs that the target makes in this way. */
void	plan_uidls(struct plan_account *, const struct account_info *,
	    enum uidl_style);
/* plan_sieve.c: the target's scripts, when the mailboxes are known. */
void	plan_sieve(struct plan_account *, const struct target_view *);
/* plan_adopt.c: mail that the target holds and the state does not know. */
void	plan_adopt(struct lane *, struct plan_account *);
/* plan_space.c: after all accounts. */
void	plan_spaces(struct plan *);
/* plan_orphans.c */
void	plan_orphans(struct plan *);
/* plan_estimate.c */
int	plan_learn(struct plan *, struct db *, struct err *);	/* before */
int	plan_estimate(struct plan *, struct db *, struct err *); /* after; db
				 * may be NULL */

#endif
