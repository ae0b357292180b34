/*
 * Opening paths on which other users may have put symbolic links.
 *
 * Whoever runs as root over users' homes must not let one of them have another
 * one's mail read for his own.  So a link that belongs to neither root nor
 * ourselves is followed only where what the whole path leads to belongs to the
 * link's owner.  Links are read and judged one by one, each through a
 * descriptor of itself, so that nobody can exchange them meanwhile.
 */
#ifndef BASE_SAFEPATH_H
#define BASE_SAFEPATH_H

#include <limits.h>
#include <stdbool.h>
#include <sys/stat.h>

#include "base/err.h"

struct safepath {
	int		 fd;			/* of a file or directory */
	int		 dirfd;			/* O_PATH, and */
	char		 name[NAME_MAX + 1];	/* the name fd has there */
	struct stat	 st;			/* of fd */
};

/*
 * Opens for reading; waits for no fifo, leaves the access time alone where it
 * may.  beneath: path is relative to dirfd, has no ".." and no link at all.
 * -1 with errno, and nothing is open:
 *	EPERM	a link whose owner does not own what the path leads to
 *	ELOOP	more than 40 links; with beneath, any link
 *	EXDEV	with beneath: the path leads out
 *	EINVAL	neither a file nor a directory
 */
int	safepath_open(struct safepath *, int dirfd, const char *path,
	    bool beneath);
/* Closes what is open, once; errno stays. */
void	safepath_close(struct safepath *);

/* openat() that follows links as long as they stay below dirfd.  -1 with errno:
 * EXDEV where they do not, or where the kernel cannot tell. */
int	safepath_below(int dirfd, const char *path, int flags);

/* The error for a failed open, from errno: -1. */
int	safepath_error(struct err *, enum err_scope, const char *path);

#endif
