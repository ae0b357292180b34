/*
 * The names that mailboxes have at the target, as the state knows them, and
 * how they change.
 */
#ifndef ENGINE_NAME_ROWS_H
#define ENGINE_NAME_ROWS_H

#include "rows.h"

struct name_row {
	int64_t		 id;		/* mailbox.id */
	const char	*src_key, *src_name;
	const char	*name, *key;	/* at the target; "": none yet */
	bool		 there;		/* something of ours may be there */
	uint32_t	 uidvalidity;	/* at the target; 0: not known */
	enum { MOVED_NOT, MOVED_FOLLOW, MOVED_STAY } moved; /* at the source;
					 * in the state, never renumber */
};

/* All mailboxes of an account that have a row, in the arena. */
int	 name_rows_load(struct db *, int64_t account_id, struct arena *,
	    struct name_row **, size_t *n, struct err *);

/* A mailbox has another name at the target by now; uidvalidity 0: it keeps
 * what it has.  All in one transaction, in which the op (0: none) is done. */
struct name_change {
	int64_t		 id;		/* mailbox.id */
	const char	*old, *name, *key;
	uint32_t	 uidvalidity;
};
struct parent;		/* parents.h */
int	 name_rows_change(struct state *, int64_t account_id, int64_t op,
	    const struct name_change *, size_t n, const struct parent *,
	    size_t nparents, struct err *);

/* The first op of a kind ("rename") that was begun and not ended: 1, and what
 * it would have done. */
struct open_op {
	int64_t		 id, mailbox_id;
	const char	*from, *to;	/* its name and arg, in the arena */
};
int	 open_op_find(struct db *, int64_t account_id, const char *kind,
	    struct arena *, struct open_op *, struct err *);
/* It was looked for, and has not been done. */
int	 op_drop(struct state *, int64_t op, struct err *);

/* Calls fn with the UID of each message that is at the target, and its size
 * there (0: not known). */
int	 stored_uids(struct db *, int64_t mailbox_id,
	    int (*fn)(void *, uint32_t, uint64_t, struct err *), void *ctx,
	    struct err *);

/* The target user that the state has for an account: 1, and *there tells
 * whether something of ours may be at the target; 0: it knows none. */
int	 account_user(struct db *, const char *account, struct arena *,
	    const char **user, bool *there, struct err *);

#endif
