/* Files without a name, for what does not fit into memory. */
#ifndef BASE_TEMPFILE_H
#define BASE_TEMPFILE_H

#include <stddef.h>

#include "base/err.h"

/* In $TMPDIR or /var/tmp; the caller closes it.  -1: *e. */
int	tempfile_open(struct err *);
/* All of n bytes; -1: errno. */
int	tempfile_write(int fd, const char *p, size_t n);

#endif
