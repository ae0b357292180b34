/*
 * Mailboxes that were renamed at the source: what was copied goes by another
 * name from here on, and is never copied a second time.
 *
 * A mailbox of the state was renamed if it is no longer what is listed under
 * its name, and exactly one mailbox that the state does not know is it: by its
 * object id (what a file system calls it has to hold one of the messages that
 * are known), else by UIDVALIDITY, a UIDNEXT that is not lower, and nine tenths
 * of the known UIDs with the same size and date.  Empty ones are no proof of
 * anything: they follow the mailbox above them or are new.  INBOX is never
 * renamed.
 *
 * All of it goes into the state at once; the names at the target follow by
 * rename_apply(), which is told by mailbox.moved, also after a kill.
 */
#ifndef ENGINE_MOVED_H
#define ENGINE_MOVED_H

#include "account.h"

/* Both stores are open, the source is listed. */
int	moved_find(struct lane *, struct account *, struct err *);

#endif
