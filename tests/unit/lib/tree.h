/*
 * For tests of sources on files made here: a private directory for each test,
 * what lies in it, and what the store warns of.
 */
#ifndef TREE_H
#define TREE_H

#include "base/buf.h"

extern char	 tree_top[64];
/* "MAILBOX|WHERE|TEXT\n"..., with "-" for NULL. */
extern struct buf tree_warnings;

/* A store_warn_fn. */
void		 tree_warn(void *ctx, const char *mailbox, const char *where,
		    const char *text);
int		 tree_setup(void **);
int		 tree_teardown(void **);
/* A path below the top; a few at a time. */
const char	*at(const char *name);
/* With all directories above. */
void		 make_dir(const char *name);
void		 put(const char *name, const char *text);

#endif
