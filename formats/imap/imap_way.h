/*
 * What a URI says of the way to a server, for all that speak lines over a stream
 * of ours: IMAP, and POP3 (formats/pop3).
 *
 * imaps and pop3s are TLS from the first byte.
 */
#ifndef IMAP_WAY_H
#define IMAP_WAY_H

#include <stdint.h>

#include "imap/imap_tls.h"
#include "source.h"

/* *mode: 'i' TLS at once, 's' by STARTTLS, 'n' none, and then *tls is NULL, else
 * to be put.  *timeout is set if one was given. */
int	imap_way(struct uri *, char *mode, struct imap_tls **tls,
	    uint64_t *timeout, struct err *);
/* Protection that was given up on purpose is told of, once a server. */
void	imap_way_weak(const struct store_conf *, char mode);

#endif
