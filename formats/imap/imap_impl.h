/* Between imap_session.c (libetpan's part), imap_login.c and imap_talk.c. */
#ifndef IMAP_IMPL_H
#define IMAP_IMPL_H

#include "imap/imap_session.h"

int	imap_etpan_new(struct imap_session *, struct err *);
void	imap_etpan_free(struct imap_session *);
/* Tells libetpan of a login that our own reader did. */
void	imap_etpan_authenticated(struct imap_session *);

/* 0 or -1. */
int	imap_greeting(struct imap_session *, struct err *);
int	imap_starttls(struct imap_session *, struct err *);
/* 1 OK, 0 NO, -1: as imap_small(). */
int	imap_login(struct imap_session *, const char *user,
	    const char *password, struct err *);
int	imap_sasl(struct imap_session *, const char *mech, const char *host,
	    const char *authzid, const char *user, const char *password,
	    struct err *);

/* The session is dead: -1, with the words of a BYE in the error. */
int	imap_broken(struct imap_session *, struct err *);
/* Adds the words of a BYE to an error about the connection's end. */
void	imap_add_bye(struct imap_session *, const char *bye, struct err *);

#endif
