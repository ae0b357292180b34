/*
 * Who is who: accounts of the whole list, selected or not, by what the source
 * calls them.  Case does not count.
 */
#ifndef ENGINE_PEOPLE_H
#define ENGINE_PEOPLE_H

#include "accounts.h"
#include "shared_map.h"

struct people;

/* Borrows both.  With a config, who somebody is at the target is what the URI of
 * the account says, and [shared] goes before the list. */
struct people	*people_new(const struct accounts *, const struct config *);
void		 people_free(struct people **);

struct person {
	const char	*name;		/* of the account, in the state; NULL:
					 * it is not in the list */
	const char	*target_user;	/* NULL: it became shared mailboxes */
	struct place	 place;
	char		 user[256];
};

/* NAME@DOMAIN, in a list without domains NAME.  False: nobody, or several.
 * people NULL: nobody. */
bool		 people_find(const struct people *, const char *user,
		    struct person *);

#endif
