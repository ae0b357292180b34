/*
 * The bytes of one message: read front to back, rewound, closed.
 *
 * A content belongs to whoever got it from source_content() or a content_*()
 * maker and must be closed before the source's mailbox is closed.  One thread
 * at a time.  Bytes come exactly as stored after the store's own encoding
 * (compression, container fields) is taken away; line ends are untouched.
 */
#ifndef FORMATS_CONTENT_H
#define FORMATS_CONTENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"

struct content;

struct content_ops {
	/* Bytes read, 0 at the end, -1 with *e filled in. */
	ssize_t	(*read)(struct content *, void *, size_t, struct err *);
	int	(*rewind)(struct content *, struct err *);
	void	(*close)(struct content *);	/* frees it */
};

struct content {
	const struct content_ops *ops;
	uint64_t	 size;		/* bytes in all, or UNKNOWN64 */
	/* Where it is a whole plain file, for links and sendfile; else fd -1.
	 * Owned by the content. */
	int		 dirfd, fd;
	const char	*name;
	int64_t		 save_date;	/* msg_meta's, where it comes with the
					 * bytes; 0: it does not */
};

/* A range of bytes to leave out of a content, offsets in the content. */
struct content_cut { uint64_t start, end; };

ssize_t	content_read(struct content *, void *, size_t, struct err *);
int	content_rewind(struct content *, struct err *);
void	content_close(struct content **);

/* Memory that the caller keeps until the content is closed. */
struct content	*content_mem(const void *p, size_t len);
/* len bytes of fd from off on, by pread; fd is closed with the content if
 * owned.  Fewer bytes than len in the file is CAUSE_CHANGED. */
struct content	*content_range(int fd, bool owned, uint64_t off, uint64_t len);
/* The whole of a plain file of that size; fd is closed with the content. */
struct content	*content_file(int fd, uint64_t len);
/* inner without the cuts (ascending, not overlapping; copied).  Owns inner. */
struct content	*content_without(struct content *inner,
    const struct content_cut *, size_t ncuts);

#endif
