/*
 * One mailbox file: opened without trace, what kind it is, and read while other
 * programs write it.
 *
 * A live file is read only between mbox_file_hold() and mbox_file_release().
 * hold() takes the locks and finds the file as it was left; release() finds it
 * unharmed, or what was read in between must not be believed.  So programs that
 * lock are kept out, and those that do not are found out.  Nothing is held for
 * longer than a moment, since mail waits for it.
 *
 * A copy does not change with its original, and wants none of that.
 *
 * open(), beyond() and same() are called with the rights that conf.as stands
 * for, the others with any.
 */
#ifndef MBOX_MBOX_FILE_H
#define MBOX_MBOX_FILE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

#include "base/asuser.h"
#include "base/err.h"
#include "base/safepath.h"
#include "mbox/mbox_lock.h"

enum mbox_kind {
	KIND_MBOX, KIND_MBX,
	KIND_EMPTY,		/* no byte, or blank lines: an empty mbox */
	KIND_OTHER
};

/* How files are opened; borrowed while they are open. */
struct mbox_file_conf {
	unsigned	 locks;		/* MBOX_LOCK_* */
	unsigned	 wait_ms;	/* for locks of others */
	bool		 stable;	/* from a copy */
	int		 cancel_fd;	/* looked at in long waits; or -1 */
	struct asuser	*as;		/* or NULL */
};

/* Fingerprints of bytes that a file that only grew still has. */
struct mbox_print {
	uint64_t	 head, tail;	/* of the bytes that count */
	uint64_t	 pos, around;	/* where reading was, and about there */
};

struct mbox_file {
	struct mbox_file_conf conf;
	int		 fd;		/* to read from; -1: not open */
	int		 orig;		/* the store's file */
	int		 dirfd;		/* and where it lies */
	char		 name[NAME_MAX + 1];
	bool		 compressed;	/* fd is a decoded copy */
	bool		 copied;	/* fd is a copy */
	bool		 racy;		/* it may change and leave no mark */
	enum mbox_kind	 kind;
	struct stat	 st;		/* of orig, when opened */
	uint64_t	 size;		/* bytes of fd that count */
	struct stat	 seen;		/* the last state found unharmed */
	struct mbox_print print;	/* as of then */
	uint64_t	 pos;		/* where it was read last */
	struct mbox_lock lock;
	unsigned	 holds;
	uint64_t	 since_ms;	/* when the lock was taken */
	uint64_t	 unasked;	/* bytes read since a stop was asked for */
};

/* open() that follows no symbolic link at the end of the path, never waits for
 * a fifo, and leaves the access time alone where it may.  -1: errno. */
int	mbox_openat(int dirfd, const char *path, int flags);

/* What kind of file is it, below a compression as well?  -1: it cannot be
 * read. */
int	mbox_probe(int fd, enum mbox_kind *, bool *compressed, struct err *);

/* Takes over what at has open (closed on failure too).  Any kind of file is
 * opened, KIND_OTHER too.  The file is held then. */
int	mbox_file_open(struct mbox_file *, struct safepath *at,
	    const struct mbox_file_conf *, struct err *);
void	mbox_file_close(struct mbox_file *);

/* -1: locked by others, or rewritten (CAUSE_CHANGED); not held then.  Calls
 * nest. */
int	mbox_file_hold(struct mbox_file *, struct err *);
/* -1: rewritten while it was held; it is no longer, in any case. */
int	mbox_file_release(struct mbox_file *, struct err *);
/* The same for those who will not believe what they have read. */
void	mbox_file_let_go(struct mbox_file *);
bool	mbox_file_held(const struct mbox_file *);

/* For scans of a held file: ctx is the file.  Lets others have it in between,
 * when that takes long: so -1 may be CAUSE_CHANGED. */
ssize_t	mbox_file_read(void *ctx, void *p, size_t n, uint64_t off,
	    struct err *e);
/* What has been written behind the bytes that count, up to n bytes of it: 0
 * when nothing, or when it is no longer that file. */
ssize_t	mbox_file_beyond(struct mbox_file *, char *p, size_t n);
/* Is it exactly as it was found last?  Takes no lock. */
bool	mbox_file_same(const struct mbox_file *);
/* Sets *e to say that the file was rewritten; returns -1. */
int	mbox_file_rewritten(struct err *);

#endif
