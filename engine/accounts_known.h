/*
 * The accounts of a job against those that a state knows.
 */
#ifndef ENGINE_ACCOUNTS_KNOWN_H
#define ENGINE_ACCOUNTS_KNOWN_H

#include "accounts.h"
#include "db.h"

/* A state that knows accounts, but none of these, is another project's: -1 and
 * ERR_ACCOUNT.  path is for the text. */
int	accounts_known(const struct accounts *, struct db *, const char *path,
	    struct err *);

#endif
