/*
 * Mailboxes that a server makes above one of ours because it needs them, and
 * that mail can be put into: they are ours as well, an op names each
 * ("create-parent"), with the UIDVALIDITY that it then has.
 */
#ifndef ENGINE_PARENTS_H
#define ENGINE_PARENTS_H

#include "lane.h"

#define MAX_PARENTS	64	/* levels above a mailbox */

struct parents {
	size_t		 n;
	const char	*names[MAX_PARENTS];
	int64_t		 ops[MAX_PARENTS];
};

/* Before a mailbox gets this name: those above it that are not there. */
int	parents_begin(struct lane *, struct arena *, int64_t mailbox_id,
	    const char *name, struct parents *, struct err *);
/* It has got it: what of them is there now is kept. */
int	parents_made(struct lane *, const struct parents *, struct err *);
/* It has certainly not got it. */
int	parents_not_made(struct lane *, const struct parents *,
	    struct err *);

/* What the state has of them. */
struct parent {
	int64_t		 op;
	const char	*name;
	uint32_t	 uidvalidity;	/* 0: it was not looked at */
	bool		 same;		/* rename.c: seen with it */
};
int	parents_load(struct db *, int64_t account_id, struct arena *,
	    struct parent **, size_t *n, struct err *);
/* In a transaction: it has another name by now. */
int	parent_put(struct db *, const struct parent *, struct err *);

#endif
