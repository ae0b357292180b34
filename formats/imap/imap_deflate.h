/*
 * COMPRESS=DEFLATE (RFC 4978): raw deflate in both directions, between the
 * dialogue and TLS or TCP.  Knows of bytes only; imap_stream.c moves them.
 */
#ifndef IMAP_DEFLATE_H
#define IMAP_DEFLATE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

struct imap_deflate;

struct imap_deflate *imap_deflate_new(struct err *);	/* NULL: *e */
void	imap_deflate_free(struct imap_deflate **);

/* Room for compressed input that has arrived: at most *n bytes, 0 while what
 * came before is not used up. */
void	*imap_deflate_room(struct imap_deflate *, size_t *n);
void	imap_deflate_arrived(struct imap_deflate *, size_t n);
/* Up to n bytes of plain input into p: how many, 0: more has to arrive first;
 * -1: what came is no deflate stream, or one that has ended. */
int	imap_deflate_read(struct imap_deflate *, void *p, size_t n,
	    size_t *got, struct err *);
/* Is input there that imap_deflate_read() may have something to give of? */
bool	imap_deflate_pending(const struct imap_deflate *);

/* Compresses n bytes of p; called until it returns 0.  1: *out holds *len bytes
 * to be sent, and *used bytes of p are done.  flush: the peer must be able to
 * read all of it. */
int	imap_deflate_write(struct imap_deflate *, const void *p, size_t n,
	    bool flush, size_t *used, const char **out, size_t *len);

#endif
