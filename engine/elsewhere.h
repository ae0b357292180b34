/*
 * Mail that another tool, or the user, has put into other mailboxes of the
 * target than the names of the source would have it: it is present elsewhere,
 * and is not copied again.
 *
 * When an account whose target holds mail is adopted, all of that is looked at
 * once: the mailboxes of pairs as any pass does (extras, look.h), the others
 * into table elsewhere.  A source message that nothing in its own mailbox equals
 * takes an equal message of any other one, and then its row has the outcome
 * present and no UID; both in one transaction.  Multisets as everywhere: a copy
 * is taken once.  Only one lane works on such an account, so that the mailboxes
 * take in turn.
 */
#ifndef ENGINE_ELSEWHERE_H
#define ENGINE_ELSEWHERE_H

#include "account.h"
#include "walk.h"

#define ADOPT	"adopt"		/* the op of it, whose name is "" */

/* What is known of an account's adoption: a->adopted, a->elsewhere.  *pending:
 * it was begun, and cut off. */
int	elsewhere_load(struct lane *, struct account *, bool *pending,
	    struct err *);
/* Looks at all mailboxes of the target that are no pair's. */
int	elsewhere_look(struct lane *, struct account *, struct err *);
/* 1: an equal message is in another mailbox, and the row is put. */
int	elsewhere_take(struct walk *, const struct msg_meta *, const void *key,
	    size_t key_len, const struct measured *, struct err *);
/* At the end of a walk: what was found where. */
void	elsewhere_tell(struct walk *);

#endif
