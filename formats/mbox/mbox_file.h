/*
 * One mailbox file: opened without trace, what kind it is, and whether it
 * has changed since.
 */
#ifndef MBOX_MBOX_FILE_H
#define MBOX_MBOX_FILE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

#include "base/err.h"

enum mbox_kind {
	KIND_MBOX, KIND_MBX,
	KIND_EMPTY,		/* no byte, or blank lines: an empty mbox */
	KIND_OTHER
};

struct mbox_file {
	int		 fd;		/* to read from; -1: not open */
	int		 orig;		/* the store's file */
	bool		 compressed;	/* fd is a decoded copy */
	bool		 locked;	/* another program held it locked */
	bool		 racy;		/* it was changed a moment before */
	enum mbox_kind	 kind;
	struct stat	 st;		/* of orig, when opened */
	uint64_t	 size;		/* bytes of fd that count */
	uint64_t	 print;		/* of the first and the last bytes */
	struct stat	 seen;		/* the last state found unharmed */
	int		 cancel_fd;	/* looked at in long scans; or -1 */
	uint64_t	 unasked;	/* bytes read since it was */
};

enum mbox_change { CHANGE_NONE, CHANGE_GROWN, CHANGE_REWRITTEN };

/* open() that follows no symbolic link at the end of the path, never waits for
 * a fifo, and leaves the access time alone where it may.  -1: errno. */
int	mbox_openat(int dirfd, const char *path, int flags);

/* What kind of file is it, below a compression as well?  -1: it cannot be
 * read. */
int	mbox_probe(int fd, enum mbox_kind *, bool *compressed, struct err *);

/*
 * Takes over fd (closed on failure too).  dirfd and name, by which it was
 * opened, find a lock file beside it.  Waits up to wait_ms for programs that
 * hold a lock, so that the size seen is not that of a half-written message;
 * the locks are held while the size is taken and no longer.  cancel_fd as in
 * store_conf.  Any kind of file is opened, KIND_OTHER too.
 */
int	mbox_file_open(struct mbox_file *, int fd, int dirfd, const char *name,
	    unsigned wait_ms, int cancel_fd, struct err *);
void	mbox_file_close(struct mbox_file *);
/* For scans: ctx is the file. */
ssize_t	mbox_file_read(void *ctx, void *p, size_t n, uint64_t off,
	    struct err *);
/* Is what was there when it was opened still there? */
enum mbox_change mbox_file_change(struct mbox_file *);
/* Sets *e to say that the file was rewritten; returns -1. */
int	mbox_file_rewritten(struct err *);

#endif
