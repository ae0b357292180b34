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
 * So a full disk looks like a message that breaks the server, one broken
 * mailbox, or one home with wrong owners.  What tells them apart is that others
 * have the same trouble: it may be the host's when stores of different things
 * in two accounts failed so and none worked in between.  A thing that failed
 * alone, before its account went on, is to blame itself from then on.
 *
 * That is no proof yet: the engine tries what comes behind before it believes
 * that (CAUSE_BROKEN).
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

/* What was to be stored: a message by its digest, equal ones being the same
 * for all accounts, or a mailbox of this one by its name. */
struct imap_thing {
	const unsigned char *digest;	/* DIGEST_LEN, or NULL */
	const char	*name;		/* then this */
	bool		 suspect;	/* it failed before: says nothing */
};

/* Gives the error of a refused command that stores something (the words of the
 * answer) its scope and cause; the scope that it has is the thing's own.
 * Returns what it is. */
enum imap_trouble imap_store_failed(const struct imap_session *,
	    struct imap_thing, const char *code, const char *text,
	    struct err *);
/* The session ended without an answer to a command that makes a mailbox, as
 * Cyrus does on a full disk: where stores have failed just before, it is the
 * same. */
void	imap_store_lost(const struct imap_session *, const char *name,
	    struct err *);
/* A store worked: what failed before was not the host. */
void	imap_store_worked(const struct imap_session *);

/* The same over names, for tests: notes a failure, tells whose it is.  thing: a
 * hash. */
enum imap_whose { IMAP_OWN, IMAP_UNCLEAR, IMAP_HOSTS };
enum imap_whose imap_host_fails(const char *host, const char *user,
	    uint64_t thing, int64_t now_s);
void	imap_host_works(const char *host, const char *user);
/* Has a store of anybody failed there, and none worked since? */
bool	imap_host_failed(const char *host, int64_t now_s);

#endif
