/* Shared by the files removal*.c only. */
#ifndef ENGINE_REMOVAL_IMPL_H
#define ENGINE_REMOVAL_IMPL_H

#include "name_rows.h"
#include "removal.h"

/* So many of that many messages may go. */
uint64_t removal_limit(const struct lane *, uint64_t messages);

/* removal_boxes.c: mailboxes that are no longer at the source. */
#define REMOVE_BOX	"remove-mailbox"	/* the kind of its op */

struct gone_box {
	struct pair	 pair;		/* id and names */
	uint32_t	 uidvalidity;	/* at the target */
	bool		 made;		/* by us */
	uint64_t	 rows;		/* messages that are there */
};

/* Are they to be removed, in this pass? */
bool	removal_boxes_wanted(const struct lane *);
/* Those of which something is at the target, deepest first; in the account's
 * arena. */
int	removal_boxes(struct lane *, struct gone_box **, size_t *n,
	    struct err *);
void	removal_boxes_list(struct lane *, const struct gone_box *, size_t n);
/* All of their messages are to go. */
int	removal_boxes_found(struct lane *, const struct gone_box *, size_t n,
	    struct err *);
/* When these are gone: the mailbox. */
int	removal_box(struct lane *, const struct gone_box *, struct err *);
/* Before anything else: removals that were cut off. */
int	removal_boxes_settle(struct lane *, struct err *);

#endif
