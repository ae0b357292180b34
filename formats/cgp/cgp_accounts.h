/*
 * All accounts of a CommuniGate base directory, with what somebody who is to
 * move them has to know.
 */
#ifndef CGP_ACCOUNTS_H
#define CGP_ACCOUNTS_H

#include <stdbool.h>
#include <stdint.h>

#include "source.h"

enum cgp_account_kind {
	CGP_ACCOUNT_MAIL,
	CGP_ACCOUNT_SINGLE,	/* one mailbox, no NAME.macnt */
	CGP_ACCOUNT_EXTERNAL,	/* INBOX outside of the base directory */
	CGP_ACCOUNT_SHARED,	/* "public", or anyone may read its INBOX */
	CGP_ACCOUNT_SYSTEM	/* the server's own: pbx, ivr */
};

/* Valid during the call that it is given to. */
struct cgp_account {
	const char	*user;		/* NAME@DOMAIN; NAME if nobody knows
					 * the main domain */
	const char	*path;		/* below the base directory */
	enum cgp_account_kind kind;
	uint64_t	 quota;		/* effective; UNKNOWN64: none */
	uint64_t	 mailboxes, messages;
	uint64_t	 bytes;		/* of messages, as stored */
	uint64_t	 crlf_bytes;	/* as servers count; UNKNOWN64: was not
					 * asked for, or not all can be read */
	uint64_t	 unreadable;	/* mailboxes and messages that cannot
					 * be read: in none of the sums */
	int64_t		 last_login;	/* or NO_DATE */
	bool		 pop, imap;	/* allowed */
};

const char *cgp_account_kind_name(enum cgp_account_kind);

/* -1: stop, *e says why. */
typedef int cgp_account_fn(void *ctx, const struct cgp_account *,
	    struct err *);

/*
 * Calls fn with each account below conf->uri's path, by domain, each in the order of its
 * tree.  Its
 * options hold for all (account= is not among them).  read_all: all mail is
 * read for crlf_bytes, else only the mailboxes' listings.  What cannot be
 * read, accounts included, goes to conf->warn and costs nothing else: mailbox
 * is USER or USER/MAILBOX, or NULL where it is about the list, which then lacks
 * something or has it twice.
 */
int	cgp_accounts(const struct store_conf *, bool read_all,
	    cgp_account_fn *, void *ctx, struct err *);

#endif
