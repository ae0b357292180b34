/*
 * What libetpan may see of a server.
 *
 * libetpan's parser has known ways to crash (a code without text, an empty
 * capability list, deep nesting, odd literals ...).  So it never sees a byte
 * of the server's: this guard reads whole responses with our own strict
 * parser, at most 64 kB each and 20 levels deep, keeps what matters, and
 * writes a new line that holds nothing but what libetpan needs to go on:
 *
 *	greeting	"* OK text" or "* PREAUTH text" (BYE is an error here)
 *	answer		tag OK|NO|BAD text
 *	challenge	"+ " and nothing else but strict base64
 *
 * with a text of printable ASCII that is never empty and never begins with a
 * bracket.  Other responses are read, checked and left out.
 */
#ifndef IMAP_GUARD_H
#define IMAP_GUARD_H

#include "imap/imap_reader.h"

struct imap_guard {
	struct imap_reader *r;		/* borrowed */
	bool	 greeted;
	unsigned challenges;		/* in this command */
	/* The last status that came, ours to judge. */
	enum imap_status status;
	char	 code[32];
	char	 text[300];
	char	 args[2000];		/* of the code; cut whole or not */
	bool	 args_cut;
	bool	 bye;			/* the server takes its leave */
};

/* Reads until there is a line for libetpan and appends it to out. */
int	imap_guard_next(struct imap_guard *, struct buf *out, struct err *);

#endif
