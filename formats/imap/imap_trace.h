/*
 * The protocol of a session, for people who look for a fault, without what is
 * nobody's business.
 *
 *	s7 > m5 SELECT "INBOX" (CONDSTORE)
 *	s7 < * 172 EXISTS
 *	s7 < m5 OK [READ-WRITE] done
 *	s7 - the session ends
 *
 * What we send is cut by its bytes, as they go out; what the server says by its
 * tokens, as our own reader understands them.  Only what is known to be harmless
 * is shown, all else is "(n bytes)":
 *   - literals are {n bytes} in both directions;
 *   - of LOGIN and AUTHENTICATE nothing but the mechanism, nor of any line that
 *     belongs to it, nor of the server's challenges; the password, if a server
 *     says it again, is "(cut)";
 *   - in answers to FETCH strings other than INTERNALDATE, and atoms that are no
 *     item, number or flag;
 *   - responses with unknown names, answers with foreign tags, commands that
 *     we do not send.
 * Long lines are cut.  All functions take NULL: no trace.
 */
#ifndef IMAP_TRACE_H
#define IMAP_TRACE_H

#include <stddef.h>

#include "source.h"

struct imap_trace;
struct imap_response;
struct imap_token;

/* NULL when conf asks for none; conf must outlive it. */
struct imap_trace *imap_trace_new(const struct store_conf *);
void	imap_trace_free(struct imap_trace **);

/* Bytes that go to the server, in pieces of any size. */
void	imap_trace_sent(struct imap_trace *, const void *p, size_t n);
/* A response was read, or its beginning, then its tokens. */
void	imap_trace_response(struct imap_trace *, const struct imap_response *);
void	imap_trace_token(struct imap_trace *, const struct imap_token *,
	    unsigned depth);
/* What is no part of the protocol. */
void	imap_trace_note(struct imap_trace *, const char *fmt, ...)
	    __attribute__((format(printf, 2, 3)));

#endif
