/*
 * The values of Cyrus' replication protocol, one token at a time.
 *
 *	line	= value *(SP value) CRLF
 *	value	= atom | "quoted" | "{" n ["+"] "}" CRLF n bytes | list | kvlist
 *		  | file
 *	list	= "(" [value *(SP value)] ")"
 *	kvlist	= "%(" [key SP value *(SP key SP value)] ")"	; key is an atom
 *	file	= "%{" partition SP sha1 SP size "}" CRLF size bytes
 *
 * Flags (\Seen), numbers and NIL are atoms.  Nothing is kept but the current
 * token; files stream.  Limits: 64 kB a token, 16 levels.  A NUL, a bare CR or
 * LF outside of literals, an 8-bit byte in an atom, a kvlist that ends after a
 * key... is an error, and every error is final: the connection cannot be
 * brought back in step.
 */
#ifndef CYRUS_DLIST_H
#define CYRUS_DLIST_H

#include "imap/imap_stream.h"

#define DLIST_TOKEN_MAX	((size_t)64 << 10)
#define DLIST_DEPTH_MAX	16

enum dlist_type {
	DLIST_END,		/* the line is over */
	DLIST_OPEN, DLIST_KVOPEN, DLIST_CLOSE,
	DLIST_ATOM, DLIST_STRING,
	DLIST_FILE		/* p: the sha1; size bytes to be read */
};

struct dlist_token {
	enum dlist_type	 type;
	const char	*p;	/* NUL-terminated, until the next call */
	size_t		 len;
	uint64_t	 size;
};

struct dlist {
	struct imap_stream *st;	/* borrowed */
	struct buf	 tok;
	uint64_t	 left;	/* bytes of a file not yet read */
	unsigned	 depth;
	bool		 kv[DLIST_DEPTH_MAX + 1];	/* of each level */
	bool		 key[DLIST_DEPTH_MAX + 1];	/* a key comes next */
	bool		 apart;	/* a blank has to come first */
	bool		 dead;
};

void	dlist_init(struct dlist *, struct imap_stream *);
void	dlist_release(struct dlist *);

/* The next token; an unread file is skipped.  After DLIST_END the next line
 * begins. */
int	dlist_next(struct dlist *, struct dlist_token *, struct err *);
/* Up to n bytes of the file: how many, 0 at its end, -1. */
ssize_t	dlist_file(struct dlist *, void *p, size_t n, struct err *);
/* To the end of the value that begins with the token. */
int	dlist_skip(struct dlist *, const struct dlist_token *, struct err *);
/* To the end of the line. */
int	dlist_skip_line(struct dlist *, struct err *);
/* The rest of the line, as text, without its end. */
int	dlist_text(struct dlist *, struct dlist_token *, struct err *);
/* Inside a kvlist: 1: *key (cut to its room) and its value's first token; 0:
 * the kvlist is over. */
int	dlist_pair(struct dlist *, char *key, size_t room,
	    struct dlist_token *, struct err *);
/* The value that begins with the token is appended in the form in which a
 * client sends it.  A file in it is an error. */
int	dlist_copy(struct dlist *, const struct dlist_token *, struct buf *,
	    struct err *);
/* "sync_server broke the protocol: what"; the reader is dead. */
int	dlist_bad(struct dlist *, const char *what, struct err *);

/* A decimal of at most max: 0, or -1 without error text. */
int	dlist_number(const struct dlist_token *, uint64_t max, uint64_t *v);
/* 40 hexadecimal digits to 20 bytes: 0 or -1. */
int	dlist_sha1(const char *hex, size_t len, unsigned char out[20]);

/* Appends a value in the simplest form that carries it: atom, quoted, literal.
 * Never taken for NIL, a flag or a list. */
void	dlist_put(struct buf *, const char *p, size_t len);
void	dlist_puts(struct buf *, const char *s);

#endif
