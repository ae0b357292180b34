/*
 * A message on its way from the server to whoever reads it: small ones in
 * memory, larger ones in a temporary file that has no name.
 */
#ifndef IMAP_SPOOL_H
#define IMAP_SPOOL_H

#include <stdint.h>

#include "base/buf.h"
#include "content.h"

#define IMAP_SPOOL_MEMORY ((size_t)1 << 20)

struct imap_spool {
	struct buf	 mem;
	int		 fd;		/* -1: all in memory */
	uint64_t	 size;
};

void	imap_spool_init(struct imap_spool *, size_t memory_max);
void	imap_spool_release(struct imap_spool *);
int	imap_spool_add(struct imap_spool *, const void *p, size_t n,
	    struct err *);
/* The content, which owns what was spooled; the spool is empty again. */
struct content *imap_spool_content(struct imap_spool *);

#endif
