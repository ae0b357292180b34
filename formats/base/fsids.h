/*
 * Acting on files as another user, one thread at a time.
 *
 * Whoever runs as root over users' homes and does all file work with the
 * file-system ids of the home's owner can be led nowhere that the owner could
 * not go himself, whatever links and renames lie in wait; and what is made
 * belongs to the owner without a chown.  The ids are the thread's own: other
 * threads keep theirs.  Open descriptors are not affected.
 */
#ifndef BASE_FSIDS_H
#define BASE_FSIDS_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/err.h"

struct fsids {
	bool	 on;		/* false: enter and leave do nothing */
	uid_t	 uid;
	gid_t	 gid;
};

/* USER, USER:GROUP or :GROUP, names or numbers; what is not given is taken
 * from the user's entry (a bare number without entry: the same group number).
 * -1 and *e (ERR_ACCOUNT): there is none of that name. */
int	fsids_parse(struct fsids *, const char *text, struct err *);
/* Decides whether ids have to be changed at all.  -1: the user is not we, and
 * we are not root.  (Without root the group is that of the process, or of the
 * directory.) */
int	fsids_prepare(struct fsids *, uid_t uid, gid_t gid, struct err *);

/* From here to fsids_leave() this thread's files are those of the user.  No
 * nesting.  errno stays in both. */
void	fsids_enter(const struct fsids *);
void	fsids_leave(const struct fsids *);

#endif
