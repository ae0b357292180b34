/*
 * Reading files with the rights of another user: as=USER.
 *
 * A thread takes that user's file-system ids and groups for as long as it is
 * between enter() and leave(); no other thread is touched.  Files that were
 * opened so stay readable behind it (over NFS as well: the credentials are
 * those of the open).  For what only root may do, and for root's files on
 * servers that squash root.
 */
#ifndef BASE_ASUSER_H
#define BASE_ASUSER_H

#include "base/err.h"

struct asuser;

/* NULL and *e (ERR_ACCOUNT): there is no such user, or we may not be him.  Who
 * is that user already needs no rights. */
struct asuser	*asuser_new(const char *user, struct err *);
void		 asuser_free(struct asuser **);

/* Nested calls count.  All take NULL, and do nothing then.  One thread at a
 * time; every enter() is left by the thread that entered.  enter(): -1 with
 * *e, and nothing has changed. */
int		 asuser_enter(struct asuser *, struct err *);
void		 asuser_leave(struct asuser *);
/* Ourselves again for a while, inside (a temporary file of our own). */
void		 asuser_pause(struct asuser *);
int		 asuser_resume(struct asuser *, struct err *);

#endif
