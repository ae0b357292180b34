/*
 * What mailhaul uidl has learnt (pop3_run.h), given to the target: with each
 * message of the INBOX that is stored, and to those that are there already,
 * where the target can.
 */
#ifndef ENGINE_POP3_GIVE_H
#define ENGINE_POP3_GIVE_H

#include "account.h"

/* Is anything known of the account? */
int	pop3_begin(struct lane *, struct account *, struct err *);
/* What a message that is about to be stored is to be called; m's strings live
 * in the arena. */
int	pop3_give(struct lane *, const struct pair *, const void *key,
	    size_t key_len, struct msg_meta *m, struct arena *, struct err *);
/* Those that are at the target under other names, or none; after all pairs. */
int	pop3_finish(struct lane *, struct account *, struct err *);

#endif
