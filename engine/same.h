/*
 * Is a message at the target still the one that a row is of?  A UID alone
 * proves nothing: the target may have been rolled back and have given it to
 * other mail since.
 */
#ifndef ENGINE_SAME_H
#define ENGINE_SAME_H

#include "lane.h"

struct same_as {
	uint64_t	 size;		/* UNKNOWN64: not to be compared */
	int64_t		 date;		/* NO_DATE: not to be compared */
	struct digests	 digests;
};

/* 1 or 0; the mailbox is open in l->eyes.  Size and date decide where both are
 * equal, the digest where the target's index tells it, else the bytes. */
int	same_message(struct lane *, const struct same_as *,
	    const struct msg_meta *, struct err *);
int	same_bytes(struct lane *, const struct digests *,
	    const struct msg_meta *, struct err *);

#endif
