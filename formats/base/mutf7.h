/*
 * Modified UTF-7 of RFC 3501 5.1.3, strict in both directions.
 *
 * Encoding gives the one canonical form; decoding accepts only it (what
 * decodes encodes again to the same bytes).
 */
#ifndef BASE_MUTF7_H
#define BASE_MUTF7_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"

/* Appends to out.  -1: not valid UTF-8 (no surrogates, no overlong forms, no
 * NUL). */
int	mutf7_encode(struct buf *out, const char *utf8, size_t len);
/* Appends to out.  -1: not canonical modified UTF-7. */
int	mutf7_decode(struct buf *out, const char *p, size_t len);
/* Strict UTF-8 (RFC 3629). */
bool	utf8_valid(const char *p, size_t len);

#endif
