/*
 * The one filter that may change bytes: every LF that does not follow a CR
 * becomes CR LF, nothing else.
 */
#ifndef FORMATS_CRLF_H
#define FORMATS_CRLF_H

#include <stdbool.h>
#include <stddef.h>

struct crlf { bool last_cr; };		/* all zero: at the start */

/* Converts n bytes into out, which has room for 2 * n; returns the bytes
 * written. */
size_t	crlf_convert(struct crlf *, const char *in, size_t n, char *out);

#endif
