/* Shared by the files rename*.c only. */
#ifndef ENGINE_RENAME_IMPL_H
#define ENGINE_RENAME_IMPL_H

#include "parents.h"
#include "rename.h"

/* A mailbox of ours on its way. */
struct moving {
	struct name_row	*row;
	const char	*at, *key;	/* where it is now */
	const char	*want, *want_key;
	struct naming	*naming;	/* NULL: it is to stay */
};

struct work {
	struct lane	*l;
	struct account	*a;
	struct moving	*m;
	size_t		 n;
	struct parent	*parents;	/* made above ours */
	size_t		 nparents;
	const char	*sep;		/* between the target's levels, or "" */
	bool		 refused;	/* the last rename: a clear no */
	struct target_view view;
};

/* All mailboxes of ours; names: with their wishes. */
int	rename_load(struct work *, struct lane *, struct account *,
	    struct naming *names, struct err *);
/* A mailbox in the view, by its key; NULL: it is not there. */
const struct folder_state *rename_box(struct work *, const char *key);
/* The same, or a level without mail. */
bool	rename_there(struct work *, const char *key);
/*
 * Does this target mailbox hold what the row says was copied?  With the
 * UIDVALIDITY that we know, most of it (some may have been deleted); with
 * another one, all of it, and UIDs alone prove nothing.  1 or 0.
 */
int	rename_holds(struct work *, const struct name_row *, const char *name,
	    const struct folder_state *, struct err *);
/* INBOX is what the server says it is. */
bool	rename_is_inbox(const char *name);

/* rename_moved.c: mailboxes that the source has renamed. */
/* What is in their way: those whose user has given them another name already,
 * and those whose new name is taken, are not to be renamed. */
int	rename_moved(struct work *, struct err *);
/* It keeps the name that it has, for now. */
void	rename_stay(struct work *, struct moving *, const char *why);
/* New mailboxes that were to get the name of one that stays are left out. */
void	rename_clashes(struct work *, struct naming *);
/* All have their names: they need not follow any more. */
int	rename_moved_end(struct lane *, struct account *,
	    const struct naming *, struct err *);

#endif
