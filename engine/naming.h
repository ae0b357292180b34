/*
 * Which name each source mailbox has at the target: by the rules, by what the
 * target can spell, without two under one name, and the same in every pass.
 */
#ifndef ENGINE_NAMING_H
#define ENGINE_NAMING_H

#include "account.h"
#include "name_rows.h"
#include "rules.h"

struct naming {
	struct rule_result rule;
	int64_t		 id;		/* of its mailbox row, or 0 */
	const char	*src_key;
	const char	*name, *key;	/* at the target; NULL: it gets none */
	const char	*old;		/* the name that what was copied has,
					 * where the rules now give another */
	const char	*outcome;	/* excluded, unreadable, failed: it is
					 * left out; NULL: it is copied */
	const char	*why;
	bool		 moved;		/* old: since the source renamed it */
	bool		 follows;	/* it did, and this is to be noted as
					 * done, */
	bool		 stays;		/* unless it keeps its name there */
	bool		 encoded;	/* the target lacks some characters */
	bool		 collided;	/* its own name was taken */
	bool		 fresh;		/* named for the first time */
};

/*
 * For each folder of the lane's listing (one that holds no messages has
 * neither name nor outcome); out has room for them.  Both stores are open.
 * Nothing is written.
 */
int	account_names(struct lane *, struct account *, struct naming *out,
	    struct err *);

#endif
