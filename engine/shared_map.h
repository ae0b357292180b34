/*
 * Where accounts go that are no user's: [shared] of a job.
 *
 *	ACCOUNT = shared:/PATH	mailboxes of the target's shared namespace,
 *				below PATH ("/" alone: below the account's name)
 *	ACCOUNT = user:NAME	mailboxes of that target user
 *
 * ACCOUNT is NAME@DOMAIN, or NAME for that name in all domains.
 */
#ifndef ENGINE_SHARED_MAP_H
#define ENGINE_SHARED_MAP_H

#include "config.h"

struct place {
	bool	 shared;	/* else a user's */
	char	 name[256];	/* PATH without the first '/', or the user */
};

/* -1: "ACCOUNT = PLACE" is none; *e says why. */
int	shared_rule_check(const char *text, struct err *);
/* The place of this account; false: no rule names it. */
bool	shared_place(const struct config *, const char *user, struct place *);

#endif
