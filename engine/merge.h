/*
 * Changes of flags and keywords at the source, taken over at the target: three
 * ways, for each flag and each keyword by itself.
 *
 *	changed at	source	target	then
 *			no	either	the target's stays
 *			yes	no	the source's is set at the target
 *			yes	yes	the target's stays; where they differ it is
 *					a conflict, which is listed
 *
 * "Changed" is against what the row says of either side.  Nothing is ever
 * changed at the source.  A walk collects the messages whose flags differ from
 * their row; only these are looked at.  Before a change goes out a row in table
 * flagging tells what the message's row will be; after a kill the target's
 * flags are looked at first, and what was changed there since is a change of
 * its user.  Where the target has no modseqs it cannot be told whether a change
 * that was cut off has arrived: then the target's flags stay, and it is listed.
 */
#ifndef ENGINE_MERGE_H
#define ENGINE_MERGE_H

#include "walk.h"

struct flag_set {
	unsigned	 flags;		/* MSG_* */
	const char	*kw;		/* blank-separated, "": none */
};

/* One message of both sides; the row's and what is there now. */
struct flag_sides {
	struct flag_set	 src_row, src, tgt_row, tgt;
};

/* What is to be done at the target, strings and arrays in the arena. */
struct flag_merge {
	unsigned	 add, del, conflict;
	const char	**kw_add, **kw_del, **kw_conflict;
	size_t		 nkw_add, nkw_del, nkw_conflict;
	struct flag_set	 result;	/* of the target, when done */
	bool		 changes;	/* anything */
	bool		 conflicts;
};

void	merge_flags(struct arena *, const struct flag_sides *,
	    struct flag_merge *);
/* Is every keyword of a one of b? */
bool	words_in(const char *a, const char *b);
bool	same_flag_set(const struct flag_set *, const struct flag_set *);
/* Has somebody else than us changed what a row says of the target?  subset:
 * some keywords could not be held there. */
bool	flags_touched(const struct flag_set *row, const struct flag_set *now,
	    bool subset);

/* Are changes of flags to be taken over in this account, in this pass? */
bool	merge_wanted(const struct lane *);
/* The walk has met a message that is at the target, and its row. */
int	merge_met(struct walk *, const struct msg_meta *, const void *key,
	    size_t key_len, const struct row_message *, struct err *);
/* After a walk, with everything stored: what merge_met() has kept.  The target
 * mailbox is open before and after. */
int	merge_run(struct walk *, const struct folder_state *, struct err *);
/* Before a walk: what an earlier run began and did not end. */
int	merge_settle(struct walk *, const struct folder_state *, struct err *);

#endif
