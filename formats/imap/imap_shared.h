/*
 * An account whose place is no user's: a mailbox of the shared namespace (RFC
 * 2342) and what is below it.  The login's own session works there; it makes the
 * mailboxes, and so needs the right to.
 *
 * INBOX is the mailbox itself (the root), all other names lie below it.
 */
#ifndef IMAP_SHARED_H
#define IMAP_SHARED_H

#include "imap/imap_name.h"
#include "imap/imap_store.h"

/* With option shared=PATH: sets s->root and the rules; *prefix is for the caller
 * to free.  Without it nothing. */
int	imap_shared_rules(struct imap_session *s, struct uri *,
	    struct imap_name_rules *, char **prefix, struct err *);
/* The root is there, made if it was not. */
int	imap_shared_root(struct imap_store *, struct err *);
/* The login has all rights over a mailbox; fresh: and nobody else has any, as a
 * server gives them to new mailboxes. */
int	imap_shared_own(struct imap_store *, const char *name, bool fresh,
	    struct err *);

#endif
