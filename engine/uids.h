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
 *
 * With the state the knowledge is lost which messages at the target are ours,
 * and one of them that the source has deleted since would be taken for other
 * mail.  So a message that gets the UID of the source carries a proof of it: the
 * last quarter of a derived GUID is a hash of the rest, the UIDVALIDITY and the
 * UID.  A GUID of the source's has no room for that; where the target can, the
 * hash is kept beside it (store_item.mark).
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

/* The GUID of a message: own, if it is one, with the mark that goes beside it;
 * else one that proves itself.  uid 0: the target's choice. */
void	uids_guid(const struct lane *, const struct pair *, const char *own,
	    const void *key, size_t key_len, const struct digests *,
	    uint32_t uidvalidity, uint32_t uid, char guid[GUID_LEN + 1],
	    uint32_t *mark);
/* Does a message found at the target prove that it was given its UID by us? */
bool	uids_proved(const struct msg_meta *, uint32_t uidvalidity);

#endif
