/*
 * Opening what lies in somebody's store without trusting it, and leaving no
 * trace: no link is followed, nothing is waited for, and the access time stays
 * where that may be asked.
 */
#ifndef BASE_QUIET_H
#define BASE_QUIET_H

#include <sys/stat.h>

#include "base/err.h"

/* Read-only, with more flags.  -1 with errno. */
int	quiet_open(int dirfd, const char *name, int flags);
/* fd if it is a regular file, else closes it: -1, and errno is other.  -1
 * stays -1. */
int	quiet_file(int fd, struct stat *, int other);
/* How far the damage of an errno reaches: this message, the mailbox, the file
 * system. */
enum err_scope quiet_scope(int sys, enum err_scope least);

#endif
