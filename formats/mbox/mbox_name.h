/* File names as folder levels. */
#ifndef MBOX_MBOX_NAME_H
#define MBOX_MBOX_NAME_H

#include <stddef.h>

#include "base/buf.h"

/*
 * Appends a file name as a folder level, in UTF-8: decoded when it is canonical
 * modified UTF-7, as it is when it is UTF-8.  Any other byte that is no part
 * of a character becomes "=HH" (upper-case hex), and so does a '=' that such
 * two digits follow, so that the bytes can be told from the level.
 */
void	mbox_level(struct buf *out, const char *name, size_t len);
/* The same without decoding modified UTF-7. */
void	mbox_level_raw(struct buf *out, const char *name, size_t len);

#endif
