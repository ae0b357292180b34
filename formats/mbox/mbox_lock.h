/*
 * Locks on one mailbox file, for reading: those of the programs that write it.
 */
#ifndef MBOX_MBOX_LOCK_H
#define MBOX_MBOX_LOCK_H

#include <stdbool.h>

#include "base/err.h"

enum {
	MBOX_LOCK_FCNTL	= 1 << 0,
	MBOX_LOCK_FLOCK	= 1 << 1,
	MBOX_LOCK_DOT	= 1 << 2	/* writes NAME.lock beside the file */
};
#define MBOX_LOCK_USUAL	(MBOX_LOCK_FCNTL | MBOX_LOCK_FLOCK)

struct mbox_lock {
	unsigned	 kinds;
	int		 fd, dirfd;	/* the file's, borrowed */
	char		*dotname;	/* NAME.lock */
	bool		 held;
	bool		 dot;		/* the lock file is ours */
};

/* "fcntl,flock,dot" or "none"; -1: neither. */
int	mbox_lock_parse(const char *list, unsigned *kinds);

/* By dirfd and name the lock file is found; both stay open while l lives. */
void	mbox_lock_init(struct mbox_lock *l, unsigned kinds, int fd, int dirfd,
	    const char *name);
/* Gives back what is held. */
void	mbox_lock_release(struct mbox_lock *l);

/*
 * All kinds at once, or none: waits up to wait_ms for other programs.  A lock
 * file of theirs is waited for as well, asked for or not; one older than five
 * minutes is left over from a crash: it counts for nothing, and stays.  Without
 * any kind nothing is looked at.  -1: *e, of scope ERR_MAILBOX, with retry where
 * a lock is held, which it names; or CAUSE_CANCELLED (cancel_fd as in
 * store_conf).
 */
int	mbox_lock_take(struct mbox_lock *l, unsigned wait_ms, int cancel_fd,
	    struct err *e);
/* A lock file that is kept for long must not look left over. */
void	mbox_lock_refresh(struct mbox_lock *l);
void	mbox_lock_drop(struct mbox_lock *l);

/* Waits for wait_ms, or until the run is to stop: then true, and *e. */
bool	mbox_pause(int cancel_fd, int wait_ms, struct err *e);

#endif
