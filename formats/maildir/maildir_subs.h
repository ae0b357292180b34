/* Subscription files: Dovecot's "subscriptions" (versions 1 and 2) and
 * Courier's courierimapsubscribed. */
#ifndef MAILDIR_SUBS_H
#define MAILDIR_SUBS_H

#include <stdbool.h>
#include <stddef.h>

/* One entry: its levels as stored (not NUL-terminated), not yet decoded from
 * modified UTF-7. */
struct subs_level {
	const char	*p;
	size_t		 len;
};
typedef void subs_fn(void *ctx, const struct subs_level *, size_t n);

/* sep divides levels in version 1 and in Courier's file.  Returns the lines
 * that name nothing usable. */
size_t	subs_parse(const char *p, size_t len, char sep, subs_fn *, void *ctx);

#endif
