/*
 * Secrets that several accounts share (an admin's): one that is refused again
 * and again is not tried any more, so that nobody is locked out for it.
 *
 * Under the mutex of the lanes that share them.
 */
#ifndef ENGINE_LOGINS_H
#define ENGINE_LOGINS_H

#include "account.h"

#define LOGINS_REFUSED	3	/* in a row, none having worked */
#define LOGINS_REFUSED_LATER 10	/* in a row, after one has worked */

struct logins;

struct logins	*logins_new(struct account *const *, size_t n);
void		 logins_free(struct logins **);
/* May the account log in now?  False: others are trying its secret. */
bool		 login_free(const struct logins *, const struct account *);
/* Its secret is not to be tried any more. */
bool		 login_barred(const struct logins *, const struct account *);
/* The account begins to log in; how it went on both sides (by enum side). */
void		 login_begins(struct logins *, const struct account *);
void		 login_ends(struct logins *, const struct account *,
		    const bool worked[2], const bool refused[2]);

#endif
