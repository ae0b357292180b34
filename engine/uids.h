/*
 * Whose UIDs the messages of a pair have at the target.
 *
 * A target that can choose gets the source's UIDVALIDITY and UIDs in a mailbox
 * that is empty, so that no client has to fetch anything again.  From then on
 * a UID means at the target the same message as at the source, or none; where
 * that cannot be, because the target has given such a UID to other mail, the
 * mailbox gets a new UIDVALIDITY and its messages the target's UIDs.
 *
 * GUIDs are the source's own, else derived from what the message is: never
 * random, so that a lost state proposes the same ones.
 */
#ifndef ENGINE_UIDS_H
#define ENGINE_UIDS_H

#include "walk.h"

#define GUID_LEN	32		/* hex digits */

/* Before the first store of a walk, with both mailboxes open and everything at
 * the target looked at.  *f is brought up to date; walk.keep_uids: messages are
 * to have the source's UIDs. */
int	uids_begin(struct walk *, struct folder_state *f, struct err *);
/* After a complete walk: the source's UIDNEXT. */
int	uids_end(struct walk *, const struct work_uids *, struct err *);

/* The GUID of a message: own, if it is one. */
void	uids_guid(const struct lane *, const struct pair *, const char *own,
	    const void *key, size_t key_len, const struct digests *,
	    char guid[GUID_LEN + 1]);

#endif
