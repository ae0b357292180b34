/*
 * Where the messages of an mbox lie: one pass from the front, in linear time
 * and with one buffer of fixed size.  The rule stands in mbox_parse.c.
 */
#ifndef MBOX_MBOX_PARSE_H
#define MBOX_MBOX_PARSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"
#include "mbox/mbox_from.h"
#include "mbox/mbox_head.h"

struct mbox_scan;

/* What is left in doubt about a line that may be a separator. */
enum mbox_doubt {
	/* taken as one */
	DOUBT_GLUED,		/* no empty line before it */
	DOUBT_NO_HEADER,	/* no header field follows */
	DOUBT_FIRST,		/* the first one, without date that we know */
	/* left in the message */
	DOUBT_IN_LENGTH,	/* inside of what Content-Length covers */
	DOUBT_DATE_ONLY,	/* a date, but nothing around it fits */
	DOUBT_NO_DATE		/* all fits but for the date */
};

/* Quoted lines ("^>+From ") to be counted in bodies. */
enum mbox_quote { QUOTE_NONE, QUOTE_MBOXO, QUOTE_MBOXRD };

/* The longest run of '>' that is taken for quoting. */
#define QUOTE_MAX	256

struct mbox_scan_conf {
	/* Up to n bytes from offset off: bytes read, 0 past the end, -1 and
	 * *e. */
	ssize_t	(*read)(void *ctx, void *p, size_t n, uint64_t off,
		    struct err *e);
	void	*read_ctx;
	/* May be NULL. */
	void	(*doubt)(void *ctx, uint64_t off, enum mbox_doubt);
	void	*doubt_ctx;
	uint64_t size;		/* bytes to look at; the rest is not there */
	enum mbox_quote quote;
};

/* Offsets in the file; from <= start <= body <= end <= next. */
struct mbox_msg {
	uint64_t	 from;		/* the separator line */
	uint64_t	 start;		/* the message, behind that line */
	uint64_t	 body;		/* behind the header and its end */
	uint64_t	 end;		/* of the message */
	uint64_t	 next;		/* the next separator, or the size */
	struct from_line sep;
	bool		 length_used;	/* its Content-Length was right */
	bool		 doubtful;	/* its separator was */
	bool		 first;		/* of the file */
	uint64_t	 quoted;	/* quoted lines in the body */
	/* Until the next call. */
	const struct mbox_head *head;
};

struct mbox_scan *mbox_scan_new(const struct mbox_scan_conf *);
void	mbox_scan_free(struct mbox_scan **);

/* 1: the next message; 0: no more.  -1 with scope ERR_MAILBOX: not an mbox
 * (at the first call), unreadable, or shorter than conf.size (CAUSE_CHANGED).
 * After -1 only free() makes sense. */
int	mbox_scan_next(struct mbox_scan *, struct mbox_msg *, struct err *);
/* Go to the message whose separator lies at off, as an earlier pass of this
 * very scan, or of one that share() was called with, found it.  -1: there is
 * no separator (CAUSE_CHANGED). */
int	mbox_scan_seek(struct mbox_scan *, uint64_t off, struct err *);
/* Gives to what from has learned of the file's dialect. */
void	mbox_scan_share(struct mbox_scan *to, const struct mbox_scan *from);

/* Separators accepted so far, counted where they are found. */
uint64_t mbox_scan_separators(const struct mbox_scan *);
/* Bytes before the first separator. */
uint64_t mbox_scan_leading(const struct mbox_scan *);
/* The file is one of Mozilla's (Thunderbird, SeaMonkey, Netscape). */
bool	mbox_scan_mozilla(const struct mbox_scan *);

enum mbox_sniff { SNIFF_MBOX, SNIFF_EMPTY, SNIFF_OTHER, SNIFF_MORE };

/* What are the first n bytes of a file, of which there are no more if eof?
 * SNIFF_MORE (never with eof or SNIFF_BYTES): too few to tell. */
#define SNIFF_BYTES	(72 * 1024)
enum mbox_sniff mbox_sniff(const char *p, size_t n, bool eof);

#endif
