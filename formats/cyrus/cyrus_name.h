/*
 * Names: a mailbox of a user as people see it, and as the protocol wants it.
 *
 *	seen		INBOX, Sent, Sent/2020, INBOX/x
 *	internal	[domain!]user.NAME[.LEVEL...], "." between levels whatever
 *			the server shows, a dot in a level or a user's name as "^"
 *
 * A seen name is written as for an IMAP target with an empty prefix
 * (imap/imap_name.h: the same escapes); its separator is the server's.  One that
 * begins with "!" (which no name can) has the internal name behind that: it is
 * not this user's.
 */
#ifndef CYRUS_NAME_H
#define CYRUS_NAME_H

#include "imap/imap_name.h"

struct cyrus_names {
	struct imap_name_rules rules;
	char		*user;		/* user id, as Cyrus folds it */
	char		*inbox;		/* internal */
	bool		 virt;
	char		*defaultdomain;	/* NULL: none is known */
};

/* -1: no user of that name can be.  virt: user@domain is of that domain;
 * defaultdomain may be NULL. */
int	cyrus_names_init(struct cyrus_names *, const char *user, bool unixsep,
	    bool virt, const char *defaultdomain);
/* Of another user of the same server. */
int	cyrus_names_of(struct cyrus_names *, const struct cyrus_names *,
	    const char *user);
/* Of the user to whom an internal name belongs; -1: it is nobody's. */
int	cyrus_names_owner(struct cyrus_names *, const struct cyrus_names *,
	    const char *internal);
void	cyrus_names_release(struct cyrus_names *);

/* -1: too long for Cyrus. */
int	cyrus_internal(const struct cyrus_names *, const char *seen,
	    struct buf *);
/* -1: it is not a mailbox of this user. */
int	cyrus_seen(const struct cyrus_names *, const char *internal,
	    struct buf *);

#endif
