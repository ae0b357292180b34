/*
 * A session with a POP3 server, to learn what it calls its messages.
 *
 * A client of our own, over the stream and the TLS of IMAP sessions: libetpan's
 * would be a second way to the network, without our limits and our checks of
 * certificates, reads answers of any length into memory, and knows no
 * authorization identity.  What is needed of POP3 is little:
 *
 *	CAPA, STLS, USER and PASS, AUTH PLAIN, LIST, UIDL, TOP n 0, NOOP, QUIT
 *
 * and RETR and DELE are not among it: nothing of a maildrop is read or changed.
 *
 * Options of its URI: those of IMAP sessions that concern the way and the login
 * (imap_way.h): tls=, tls-min=, ca=, pin=, verify=, cert=, key=, timeout=,
 * authzid=, and auth=user (USER and PASS, the default) or auth=plain (the only
 * one with authzid=).
 */
#ifndef POP3_SESSION_H
#define POP3_SESSION_H

#include "imap/imap_stream.h"
#include "pop3/pop3_head.h"
#include "source.h"

extern const char *const pop3_options[];	/* NULL-terminated */

struct pop3;

struct pop3_item {
	uint32_t	 number;
	uint64_t	 size;		/* in octets, as the server counts */
	const char	*uidl;		/* NULL: none that can be kept */
};

/* Scheme (pop3, pop3s) and options, without a connection. */
int	pop3_check(struct uri *, struct err *);
/* Errors as of imap_session_open(). */
int	pop3_open(struct pop3 **, const struct store_conf *, struct err *);
/* The same over a stream that is already there and becomes the session's own:
 * tests and fuzzing. */
int	pop3_over(struct pop3 **, struct imap_stream *,
	    const struct store_conf *, struct err *);
/* QUIT, if it can still be said. */
void	pop3_close(struct pop3 **);

/* All messages, by number, ascending; in the arena. */
int	pop3_list(struct pop3 *, struct arena *, struct pop3_item **, size_t *n,
	    struct err *);
/*
 * The digests of the headers of n messages, by number; digest NULL: the server
 * does not give it.  1: fn was called for each in order; 0: the server has no
 * TOP.
 */
typedef void pop3_head_fn(void *ctx, size_t i, const unsigned char *digest);
int	pop3_heads(struct pop3 *, const uint32_t *numbers, size_t n,
	    pop3_head_fn *, void *ctx, struct err *);
/* So that the server does not hang up meanwhile. */
int	pop3_noop(struct pop3 *, struct err *);

#endif
