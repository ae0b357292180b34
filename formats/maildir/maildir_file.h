/*
 * Opening what lies in a Maildir without trusting it, and reading metadata
 * files by lines.
 */
#ifndef MAILDIR_FILE_H
#define MAILDIR_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/stat.h>

#include "base/err.h"
#include "base/quiet.h"
#include "message.h"

/* Never follows a link, never blocks, leaves the access time alone where it
 * may.  -1 with errno. */
int	maildir_open_dir(int dirfd, const char *name);
/* A regular file, *st is filled in; another type gives ENOENT. */
int	maildir_open_file(int dirfd, const char *name, struct stat *st);
/* A message: as above but another type gives EINVAL, and a link is followed
 * when all of it stays below rootfd; path is the message seen from there.
 * EXDEV: it does not stay there. */
int	maildir_open_message(int dirfd, const char *name, int rootfd,
	    const char *path, struct stat *st);
/* What stands for the digest of a file that is not read: which file of its file
 * system it is, for as long as any link to it lasts. */
void	maildir_file_id(uint64_t ino, unsigned char id[SHA1_LEN]);
/* What such a link points to, without opening it for reading: 0, or -1 with
 * errno. */
int	maildir_stat_link(int rootfd, const char *path, struct stat *st);

/* Lines of a file or of memory. */
struct maildir_lines {
	int		 fd;		/* -1: memory; not owned */
	char		*buf;		/* owned when fd != -1 */
	const char	*p;		/* next byte */
	size_t		 left;		/* bytes at p */
	bool		 eof;
	bool		 unended;	/* the line given has no LF */
	unsigned long	 number;	/* of the line given, from 1 */
	unsigned long	 overlong;	/* lines left out, the last of them */
};

void	maildir_lines_fd(struct maildir_lines *, int fd);
void	maildir_lines_mem(struct maildir_lines *, const char *p, size_t len);
void	maildir_lines_end(struct maildir_lines *);
/* The next line without LF or CRLF: 1, 0 at the end, -1 with errno.  Lines of
 * more than 32 KiB are left out.  NUL bytes are data. */
int	maildir_lines_next(struct maildir_lines *, const char **line,
	    size_t *len);

/* A decimal number of at most max that is all of p..p+len. */
bool	maildir_number(const char *p, size_t len, unsigned long long max,
	    unsigned long long *v);

#endif
