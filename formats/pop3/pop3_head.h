/*
 * The digest of a message's header, as a POP3 server gives it for TOP n 0 and
 * as the same message is stored: SHA-256 over its lines, without what servers
 * add, leave out, or spell otherwise.
 *
 *   - lines end in LF, and blanks at their ends do not count;
 *   - bytes >= 0x80, NUL and CR are one class;
 *   - a leading "From " line, and the fields Return-Path, X-UIDL, X-UID, Status,
 *     X-Status, X-Keywords, X-IMAP, X-IMAPbase, Content-Length and Lines are
 *     left out, with their continuation lines.
 */
#ifndef POP3_HEAD_H
#define POP3_HEAD_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "content.h"
#include "message.h"

struct pop3_head;

struct pop3_head *pop3_head_new(void);
void	pop3_head_free(struct pop3_head **);

void	pop3_head_begin(struct pop3_head *);
/* The next line, without its line end. */
void	pop3_head_line(struct pop3_head *, const char *p, size_t n);
/* *empty: no line counted, so that the digest says nothing. */
void	pop3_head_end(struct pop3_head *, unsigned char digest[DIGEST_LEN],
	    bool *empty);
/* The three in one, of a stored message from where c stands. */
int	pop3_head_content(struct pop3_head *, struct content *c,
	    unsigned char digest[DIGEST_LEN], bool *empty, struct err *);

#endif
