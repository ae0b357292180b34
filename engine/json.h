/*
 * A streaming JSON writer (RFC 8259): one value after the other to a FILE.
 *
 * Commas and nesting are kept right by the writer; strings may hold any
 * bytes: what is not UTF-8 becomes U+FFFD, controls are escaped.
 */
#ifndef ENGINE_JSON_H
#define ENGINE_JSON_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

struct json {
	FILE	*out;
	unsigned depth;
	bool	 flat;		/* on one line, for NDJSON */
	bool	 comma[16];	/* something stands before, per depth */
};

void	json_start(struct json *, FILE *);
/* key is NULL inside arrays and at the top. */
void	json_open(struct json *, const char *key, char bracket); /* '{' '[' */
void	json_close(struct json *, char bracket);		/* '}' ']' */
void	json_string(struct json *, const char *key, const char *s); /* NULL ok */
void	json_number(struct json *, const char *key, int64_t n);
void	json_bool(struct json *, const char *key, bool b);
void	json_end(struct json *);	/* the final line end */

#endif
