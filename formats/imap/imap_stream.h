/*
 * The bytes between us and a server: TCP or TLS, with deadlines and cancel.
 *
 * One thread at a time.  Every wait ends by the limits of
 * imap_stream_limits(), by the connection's end or by cancel_fd becoming
 * readable; so does reading from a server that never pauses.  A failure is sticky: input that had arrived can still be read,
 * everything else fails again with the same words.  While writing, whatever
 * the server sends is read into a bounded buffer, so that two full pipes
 * cannot wait for each other.
 */
#ifndef IMAP_STREAM_H
#define IMAP_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "imap/imap_tls.h"

struct imap_stream;
struct imap_trace;

/* Tries every address in turn.  The name is looked up with getaddrinfo(),
 * which keeps nobody else waiting and has limits of its own. */
int	imap_stream_connect(struct imap_stream **, const char *host,
	    unsigned port, int cancel_fd, unsigned timeout_s, struct err *);
/* Over a connected socket, which becomes the stream's; name is for people. */
struct imap_stream *imap_stream_socket(int fd, const char *name,
	    int cancel_fd);
/* For tests: reads come from the bytes given (borrowed), what is written goes
 * to sent, if that is not NULL. */
struct imap_stream *imap_stream_memory(const void *p, size_t len,
	    struct buf *sent);
void	imap_stream_free(struct imap_stream **);

/* Handshake in place.  Fails when bytes are already buffered in either
 * direction: they came without protection. */
int	imap_stream_tls(struct imap_stream *, struct imap_tls *,
	    const char *host, struct err *);
/* From here on both directions are compressed (RFC 4978). */
int	imap_stream_compress(struct imap_stream *, struct err *);
/* Is the server far away, as packets travel? */
bool	imap_stream_far(const struct imap_stream *);
/* Shows the trace what is written from now on; borrowed, NULL: nothing. */
void	imap_stream_trace(struct imap_stream *, struct imap_trace *);
bool	imap_stream_is_tls(const struct imap_stream *);

/* From now on: no single wait longer than wait_s, and all of them together no
 * longer than total_s plus a second for every 1000 bytes that are sent or
 * earned. */
void	imap_stream_limits(struct imap_stream *, unsigned wait_s,
	    unsigned total_s);
/* n bytes of what was asked for, a message's content, have come. */
void	imap_stream_earn(struct imap_stream *, size_t n);

/* The buffered input; 0 bytes when there is none. */
size_t	imap_stream_window(struct imap_stream *, const char **p);
void	imap_stream_consume(struct imap_stream *, size_t n);
/* Waits until there is more input than before: 0, or -1 at the end. */
int	imap_stream_fill(struct imap_stream *, struct err *);
/* Would a fill return at once? */
bool	imap_stream_readable(struct imap_stream *);

/* Small pieces are collected, large ones go out as they are; flush sends what
 * is left. */
int	imap_stream_write(struct imap_stream *, const void *p, size_t n,
	    struct err *);
int	imap_stream_flush(struct imap_stream *, struct err *);

#endif
