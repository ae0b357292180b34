/*
 * What an IMAP server sends, one response and one token at a time.
 *
 *	response  = "+" SP text CRLF
 *	          | tag SP ("OK" | "NO" | "BAD") [SP text] CRLF
 *	          | "*" SP ("OK" | "NO" | "BAD" | "BYE" | "PREAUTH") [text] CRLF
 *	          | "*" SP [number SP] name tokens CRLF
 *	text      = ["[" code [SP args] "]" SP] anything
 *	token     = "(" | ")" | atom | quoted | ["~"] "{" number ["+"] "}" CRLF
 *	            that many bytes
 *
 * Nothing is kept but the current token; literals stream.  Limits: 64 kB an
 * atom, quoted string or text, 20 levels of parentheses, numbers as wide as
 * their type; a NUL, a CR or LF in the wrong place, or an odd byte is an error.
 * Every error is final: the connection cannot be brought back in step.
 * Lines that end in LF alone are accepted.
 */
#ifndef IMAP_READER_H
#define IMAP_READER_H

#include "imap/imap_stream.h"

#define IMAP_TOKEN_MAX	((size_t)64 << 10)
#define IMAP_DEPTH_MAX	20

struct imap_reader {
	struct imap_stream *st;	/* borrowed */
	struct imap_trace *trace;	/* borrowed, or NULL */
	struct buf	 tok;	/* the token, or a response's text */
	uint64_t	 left;	/* literal bytes not yet read */
	uint64_t	 budget;	/* bytes it may still have, 0: any */
	unsigned	 depth;
	bool		 in_line;	/* tokens of a response are left */
	bool		 dead;
};

enum imap_kind {
	IMAP_TAGGED,		/* status and text hold */
	IMAP_STATUS,		/* untagged, likewise */
	IMAP_DATA,		/* name and number hold, tokens follow */
	IMAP_CONTINUE		/* text holds */
};

enum imap_status { IMAP_OK, IMAP_NO, IMAP_BAD, IMAP_BYE, IMAP_PREAUTH };

struct imap_response {
	enum imap_kind	 kind;
	enum imap_status status;
	char		 tag[24];
	char		 name[24];	/* upper case */
	bool		 numbered;
	uint32_t	 number;
	char		 code[32];	/* upper case; "" none */
	/* In the reader's buffer, until the next call. */
	const char	*args;		/* of the code, "" none */
	const char	*text;
};

enum imap_token_type {
	IMAP_END,		/* the response is over */
	IMAP_OPEN, IMAP_CLOSE,
	IMAP_ATOM, IMAP_STRING,
	IMAP_LITERAL		/* size bytes to be read */
};

struct imap_token {
	enum imap_token_type type;
	const char	*p;	/* NUL-terminated, until the next call */
	size_t		 len;
	uint64_t	 size;
};

void	imap_reader_init(struct imap_reader *, struct imap_stream *);
void	imap_reader_release(struct imap_reader *);

/* The next response; what is left of the last one is skipped.  budget: how
 * many bytes it may have in all, literals included; 0: any number. */
int	imap_read_response(struct imap_reader *, struct imap_response *,
	    uint64_t budget, struct err *);
/* The next token of an IMAP_DATA response; an unread literal is skipped.
 * Never called again after IMAP_END. */
int	imap_read_token(struct imap_reader *, struct imap_token *,
	    struct err *);
/* Up to n bytes of the literal: how many, 0 at its end, -1. */
ssize_t	imap_read_literal(struct imap_reader *, void *p, size_t n,
	    struct err *);
/* Turns a literal of at most 64 kB into a string token. */
int	imap_token_string(struct imap_reader *, struct imap_token *,
	    struct err *);
/* Skips to the token after the one given: past the matching ")" when it is
 * "(". */
int	imap_skip_value(struct imap_reader *, const struct imap_token *,
	    struct err *);
int	imap_skip_line(struct imap_reader *, struct err *);

/* An atom with this name, without case? */
bool	imap_is(const struct imap_token *, const char *name);
/* An atom that is a number of at most max: 0 or -1, no error text. */
int	imap_token_number(const struct imap_token *, uint64_t max,
	    uint64_t *v);
/* "server broke the protocol: what"; the reader is dead. */
int	imap_protocol(struct imap_reader *, const char *what, struct err *);

#endif
