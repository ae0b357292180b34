/*
 * Which message of an INBOX is which of a POP3 server's: by order and sizes,
 * and by headers where these do not tell.  What is not certain is not joined.
 *
 * Both lists are in their stores' order.  Where they agree pairwise in size
 * from the start to the end of the shorter one, they are joined by order, if
 * the headers of some of them, the first and the last always, agree as well.
 * (Mail comes in at the end, so that a message which is missing on one side
 * moves all behind it.)  Else all headers are compared: messages of equal
 * header, and of equal size where sizes mean the same on both sides, are joined
 * in order if there are as many of them on either side.
 */
#ifndef ENGINE_POP3_JOIN_H
#define ENGINE_POP3_JOIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "message.h"

#define POP3_NOT_JOINED	SIZE_MAX

enum pop3_fate {
	POP3_JOINED,
	POP3_NOT_HERE,		/* no message of the INBOX is it */
	POP3_AMBIGUOUS,		/* several may be, or sizes contradict */
	POP3_NO_HEADER,		/* the server does not give it */
	POP3_NO_UIDL,		/* it has none that can be kept */
	POP3_SAME_UIDL		/* others have the same */
};

struct pop3_theirs {
	uint32_t	 number;
	uint64_t	 size;
	const char	*uidl;		/* NULL: none */
	unsigned char	 head[DIGEST_LEN];
	bool		 has_head, asked;
	/* out */
	enum pop3_fate	 fate;
	size_t		 mine;		/* of POP3_JOINED and of the last two:
					 * may be POP3_NOT_JOINED */
};

struct pop3_mine {
	uint64_t	 crlf;		/* bytes of the CRLF form */
	uint64_t	 stored;	/* as stored; UNKNOWN64: not known */
	unsigned char	 head[DIGEST_LEN];
	bool		 has_head;
};

struct pop3_lists {
	struct pop3_theirs *theirs;
	size_t		 ntheirs;
	struct pop3_mine *mine;
	size_t		 nmine;
	/* Fills in the headers of those n of theirs: 1, or 0: the server has no
	 * way to give any. */
	int	(*ask)(void *ctx, const size_t *which, size_t n, struct err *);
	/* Fills in the headers of all of mine that has_head does not yet say
	 * are there; NULL: there are no more. */
	int	(*read)(void *ctx, struct err *);
	void	*ctx;
	/* out */
	size_t	 joined;
	bool	 by_headers;
	bool	 unchecked;	/* by order, and no header could be compared */
	bool	 reordered;	/* the server's order is not the INBOX's */
};

int	pop3_join(struct pop3_lists *, struct err *);

/* Why a message was not joined, for people. */
const char *pop3_fate_text(enum pop3_fate);

#endif
