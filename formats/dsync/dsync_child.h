/*
 * A child that runs doveadm.
 *
 * Dovecot's imap takes a socket as its output for a sign that inetd has
 * started it, and refuses; it gets a pipe.
 */
#ifndef DSYNC_CHILD_H
#define DSYNC_CHILD_H

#include "base/child.h"

/* Our end is closed: waits until it has ended, or makes it.  e, when not NULL,
 * gets how it ended and what it had to say. */
void	dsync_child_end(struct child **, struct err *e);

#endif
