/*
 * A target that was put back to an older backup, and has given UIDs of ours to
 * other mail since: what the rows say of it no longer holds.
 */
#ifndef ENGINE_ROLLBACK_H
#define ENGINE_ROLLBACK_H

#include "walk.h"

/* Does the mailbox, as the target tells of it, look otherwise than the last pass
 * has left it, in a way that a look at its last messages has to explain? */
bool	rollback_possible(const struct row_mailbox *,
	    const struct folder_state *);
/*
 * The last messages of ours, if they are there, must be the same.  Else all rows
 * from the first on that is another message are void, and *from is that UID
 * (w->row is loaded again); a released account stops.  The target's session may
 * have been given up.
 */
int	rollback_check(struct walk *, uint32_t *from, bool *changed,
	    struct err *);
/* At the end of a pass: what mailboxes that were worked on look like now, so that
 * the next pass can tell.  One look for all of them. */
int	rollback_record(struct lane *, struct err *);

#endif
