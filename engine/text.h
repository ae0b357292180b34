/*
 * Texts that people write for mailhaul: files, quotes, and what is said of
 * mistakes in them.
 */
#ifndef ENGINE_TEXT_H
#define ENGINE_TEXT_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/types.h>

#include "base/buf.h"

/* Reads a whole file, at most as large as the buffer may grow, which errno
 * EFBIG tells.  *mode as of stat(2), 0 when it cannot be opened.  A regular
 * file is read in one piece: no copies are left in freed memory. */
int	text_read(const char *path, struct buf *, mode_t *mode);
/* Where UTF-8 text starts behind its byte order mark; NULL: it is UTF-16. */
const char *text_start(const char *p, size_t len);

/* Takes "this", where \" and \\ stand for '"' and '\', from *p on; *p then
 * stands behind the second '"'.  -1: there is none. */
int	text_quoted(const char **p, struct buf *);
bool	is_blank(char c);		/* ' ' or a tab */

/* For a terminal: controls, bytes that are no UTF-8, Unicode's ends of lines and
 * marks that change the direction of writing are shown as \xNN. */
void	text_show(FILE *, const char *s);
/* How many bytes the character at s has that text_show() shows as it is; 0: it
 * is not. */
size_t	text_shown(const char *s);

/* A field of CSV and what follows it, ',' or (for "\r\n") '\n': in quotes, what
 * is no text for people as \xNN, and what a spreadsheet would take for a
 * formula behind an apostrophe. */
void	text_csv(FILE *, const char *s, char end);

/* A mistake, as one line "WHERE: WHAT"; WHERE may be "". */
void	complain(struct buf *errors, const char *where, const char *fmt, ...)
	    __attribute__((format(printf, 3, 4)));
void	vcomplain(struct buf *errors, const char *where, const char *fmt,
	    va_list) __attribute__((format(printf, 3, 0)));

#endif
