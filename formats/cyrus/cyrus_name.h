/*
 * Names: a mailbox of a user as people see it, and as the protocol wants it.
 *
 *	seen		INBOX, Sent, Sent/2020, INBOX/x
 *	internal	[domain!]user.NAME[.LEVEL...], "." between levels whatever
 *			the server shows, a dot in a level or a user's name as "^"
 *
 * A seen name is written as for an IMAP target with an empty prefix
 * (imap/imap_name.h: the same escapes); its separator is the server's.
 */
#ifndef CYRUS_NAME_H
#define CYRUS_NAME_H

#include "imap/imap_name.h"

struct cyrus_names {
	struct imap_name_rules rules;
	char		*user;		/* user id, as Cyrus folds it */
	char		*inbox;		/* internal */
};

/* -1: no user of that name can be.  virt: user@domain is of that domain;
 * defaultdomain may be NULL. */
int	cyrus_names_init(struct cyrus_names *, const char *user, bool unixsep,
	    bool virt, const char *defaultdomain);
void	cyrus_names_release(struct cyrus_names *);

/* -1: too long for Cyrus. */
int	cyrus_internal(const struct cyrus_names *, const char *seen,
	    struct buf *);
/* -1: it is not a mailbox of this user. */
int	cyrus_seen(const struct cyrus_names *, const char *internal,
	    struct buf *);

#endif
