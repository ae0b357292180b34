/*
 * A child that runs doveadm: started without a shell, in a session of its own
 * (a terminal's signals are ours), with one end of a socket pair as its input
 * and output, a pipe for what it complains of, and nothing else of ours.
 *
 * Dovecot's imap takes a socket as its output for a sign that inetd has
 * started it, and refuses; it gets a pipe.
 */
#ifndef DSYNC_CHILD_H
#define DSYNC_CHILD_H

#include "base/err.h"

struct dsync_child;

/* argv[0] is looked up in PATH; *fd: our end of the pair, nonblocking, the
 * caller's to close; so is *in, when it is not NULL: its output's. */
int	dsync_child_start(struct dsync_child **, const char *const *argv,
	    int *fd, int *in, struct err *);
/* Takes what it says, so that it never has to wait for that. */
void	dsync_child_listen(struct dsync_child *);
/* Our end is closed: waits until it has ended, or makes it.  e, when not NULL,
 * gets how it ended and what it had to say. */
void	dsync_child_end(struct dsync_child **, struct err *e);

#endif
