/*
 * What a NO is about when it is not about the message: a quota, a disk, a lock.
 *
 * Servers say it as follows (read in their sources, and seen):
 *
 *	over quota	Dovecot [OVERQUOTA] and words that a site may choose
 *			(also for EDQUOT); Cyrus "Over quota", with [OVERQUOTA]
 *			in newer ones
 *	full disk	Dovecot [SERVERBUG] Internal error occurred...; Cyrus
 *			"System I/O error"
 *
 * So a full disk looks like one broken mailbox or one home with wrong owners.
 * What tells them apart is that others have the same trouble: it is the host's
 * when stores of two accounts failed so and none worked in between.
 */
#ifndef IMAP_TROUBLE_H
#define IMAP_TROUBLE_H

#include "imap/imap_session.h"

enum imap_trouble {
	IMAP_NO_TROUBLE,
	IMAP_OVER_QUOTA,
	IMAP_DISK_FULL,		/* in so many words */
	IMAP_STORE_FAILS,	/* a full disk, or something broken */
	IMAP_BUSY
};

enum imap_trouble imap_trouble(const char *code, const char *text);

/* Gives the error of a refused command that stores something (the words of the
 * answer) its scope and cause.  Returns what it is. */
enum imap_trouble imap_store_failed(const struct imap_session *,
	    const char *code, const char *text, struct err *);
/* The session ended without an answer to a command that stores something, as
 * Cyrus does when it makes a mailbox on a full disk: where stores have failed
 * just before, it is the same. */
void	imap_store_lost(const struct imap_session *, struct err *);
/* A store worked: what failed before was not the host. */
void	imap_store_worked(const struct imap_session *);

/* The same over names, for tests: notes a failure; true: it is the host's. */
bool	imap_host_fails(const char *host, const char *user, int64_t now_s);
void	imap_host_works(const char *host);
/* Has a store of anybody failed there? */
bool	imap_host_failed(const char *host, int64_t now_s);

#endif
