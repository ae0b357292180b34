/*
 * The lines of Dovecot's dsync protocol, version 3.5.
 *
 * After a greeting each side tells, once, which fields its items have:
 *
 *	greeting = "VERSION" TAB "dsync" TAB "3" TAB "5" LF
 *	heads	 = *(letter name *(TAB name) LF) "." LF
 *	item	 = letter value *(TAB value) LF
 *	list	 = *item "." LF
 *
 * The values of an item come in the order of the heads of whoever sends it;
 * those at the end may be missing.  A value that is not there is the byte 02; a
 * value that begins with it has it doubled.  In a value SOH, TAB, CR, LF and
 * NUL are SOH and one of "1trn0"; the elements of a list in a value are escaped
 * each, joined by TABs, and all of it once more.
 *
 * An M item with the field "stream" is followed by the message:
 *
 *	body	 = bytes, with a "." doubled at its start and after each LF
 *		   CRLF "." CRLF
 *
 * What a server sends is bounded: lines in bytes, items in fields.
 */
#ifndef DSYNC_LINE_H
#define DSYNC_LINE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/err.h"

struct imap_stream;

#define DSYNC_LINE_MAX	((size_t)1 << 20)
#define DSYNC_FIELDS	40		/* of one item */

/* Writing. */

/* Appends a value with what has to be escaped. */
void	dsync_escape(struct buf *, const char *p, size_t n);
/* Begins an item of that letter; then one call for each of its fields, in
 * order; then the end of the line. */
void	dsync_begin(struct buf *, char letter);
void	dsync_put(struct buf *, const char *value);	/* NULL: not there */
void	dsync_putf(struct buf *, const char *fmt, ...)
	    __attribute__((format(printf, 2, 3)));
void	dsync_end(struct buf *);

/* A body in pieces: what goes out for n bytes of it has at most 2 n bytes. */
struct dsync_body { bool inside; char last; };	/* all zero: at its start */
size_t	dsync_stuff(struct dsync_body *, const char *in, size_t n, char *out);
#define DSYNC_BODY_END	"\r\n.\r\n"

/* Reading. */

struct dsync_reader {
	struct imap_stream *st;		/* borrowed */
	struct buf	 line;		/* the last one */
	char		*heads[128];	/* by letter: names, each with a NUL */
	/* The last item. */
	char		 letter;	/* '.': the end of a list */
	char		*value[DSYNC_FIELDS];	/* in line; NULL: not there */
	size_t		 len[DSYNC_FIELDS];
	size_t		 n;
	unsigned	 minor;		/* of the server's version */
};

void	dsync_reader_init(struct dsync_reader *, struct imap_stream *);
void	dsync_reader_release(struct dsync_reader *);
/* One line without its LF, in r->line. */
int	dsync_read_line(struct dsync_reader *, struct err *);
/* Greeting and heads. */
int	dsync_read_heads(struct dsync_reader *, struct err *);
/* The next item, or the end of a list. */
int	dsync_read_item(struct dsync_reader *, struct err *);
/* A field of the last item; NULL: it is not there, or has a NUL inside. */
const char *dsync_get(const struct dsync_reader *, const char *name);
/* The number in it, 0 when it is not there or is none. */
unsigned long long dsync_number(const struct dsync_reader *, const char *name);
/* Splits a value that is a list in place: the elements, each with a NUL
 * behind it; how many, at most max. */
size_t	dsync_split(char *value, char **elements, size_t max);

#endif
