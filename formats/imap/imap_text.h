/*
 * The words of IMAP commands: everything of ours that comes from a message, a
 * user or a configuration passes through here before it is sent.
 *
 * A server that finds a fault in an APPEND with non-synchronising literals may
 * run lines of the message as commands, so nothing unchecked may get into one:
 * one quoting function, five system flags, keywords the server is known to
 * hold, our own dates.
 */
#ifndef IMAP_TEXT_H
#define IMAP_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "message.h"

/* Whose rules hold; told by the ID answer and the greeting. */
enum imap_dialect { IMAP_OTHER, IMAP_DOVECOT, IMAP_CYRUS, IMAP_COURIER };

/* Appends s as a quoted string.  -1 and nothing appended when it holds CR, LF,
 * NUL, another control or an 8-bit byte. */
int	imap_quote(struct buf *out, const char *s, size_t len);

/* Can this server hold the keyword in APPEND and STORE? */
bool	imap_keyword_ok(enum imap_dialect, const char *kw);
/* The MSG_* bit of a system flag as servers write it, or 0. */
unsigned imap_flag_bit(const char *p, size_t len);
/* Appends the names of the flags and the n keywords, which must be
 * imap_keyword_ok(), with blanks between, no parentheses. */
void	imap_flag_names(struct buf *out, unsigned flags,
	    const char *const *kw, size_t n);

/* The nearest date that every server stores as it is: 1970-01-01 00:00:01 up
 * to now. */
int64_t	imap_clamp_date(int64_t date, int64_t now);
/* Appends the quoted date-time, in UTC; the date must be clamped. */
int	imap_add_date(struct buf *out, int64_t date);

/* Strict decimal without sign or leading blank, at most max. */
int	imap_number(const char *p, size_t len, uint64_t max, uint64_t *v);

/* UIDs come ascending in runs: appends "1:3,7" piece by piece.  Zero the
 * struct but for out; imap_set_end() writes the last run. */
struct imap_set {
	struct buf	*out;
	uint32_t	 first, last;	/* the open run, 0: none */
};
void	imap_set_add(struct imap_set *, uint32_t uid);
void	imap_set_end(struct imap_set *);
/* Reads such a set in the order written; ranges may run backwards.  *n gets
 * the number of UIDs, at most max.  -1: not a set, a zero, or too many. */
int	imap_set_parse(const char *p, size_t len, uint32_t *uids, size_t max,
	    size_t *n);

void	imap_base64(struct buf *out, const void *p, size_t n);
/* A secret becomes stars wherever a text repeats it; one of less than 4 bytes
 * is in every word, and stays. */
void	imap_hide(char *text, const char *secret);

/* A set of words compared without case. */
struct imap_words { char **w; size_t n, cap; };
void	imap_words_add(struct imap_words *, const char *w);	/* once */
bool	imap_words_has(const struct imap_words *, const char *w);
bool	imap_words_remove(struct imap_words *, const char *w);	/* had it */
void	imap_words_release(struct imap_words *);

#endif
