/*
 * Names at the target that the job wants otherwise than an earlier pass: what
 * was copied is renamed, never copied a second time.
 */
#ifndef ENGINE_RENAME_H
#define ENGINE_RENAME_H

#include "naming.h"

/*
 * Has a rename of an earlier run been begun and not ended?  Then the target
 * tells whether it was done, and the rows follow.  Changes nothing there.
 */
int	rename_settle(struct lane *, struct account *, struct err *);

/*
 * The names that differ from those of what was copied: if the source has
 * renamed the mailbox (moved.h) it is renamed at the target too, unless its
 * user or a mailbox of that name is in the way.  Of others, without --apply-renames
 * an error that names the first; else the mailboxes are renamed at the target,
 * children with their parents, and the rows follow.  n is that of the lane's
 * listing.  A plan looks whether all of them can be, and changes nothing.
 */
int	rename_apply(struct lane *, struct account *, struct naming *,
	    struct err *);

/*
 * The list gives another target user than the state: without --apply-renames
 * an error; else the user must hold what was copied for the old one, which is
 * looked at mailbox by mailbox, and his name is taken over by the caller.
 * Both stores' accounts exist and are open.
 */
int	rename_user(struct lane *, struct account *, const char *old,
	    struct err *);

#endif
