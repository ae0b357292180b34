/*
 * Store URIs: SCHEME:PATH?opt=val&opt=val for local stores and
 * SCHEME://[user@]host[:port][/path]?opt=val for servers.
 *
 * Nothing is percent-decoded: values come as written, and {name} parts are
 * filled in after parsing, so that no character in a name needs escaping.
 * A '?' in a path is written in a job file through {column} only.
 */
#ifndef BASE_URI_H
#define BASE_URI_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

struct uri_opt {
	char	*key, *val;
	bool	 used;		/* some back end asked for it */
};

struct uri {
	char		*scheme;	/* lower case, never NULL */
	char		*user;		/* NULL: none given */
	char		*host;		/* NULL: a local store; no [] on IPv6 */
	unsigned	 port;		/* 0: the scheme's default */
	char		*path;		/* local path, or what follows host/ */
	size_t		 own;		/* of a filled one: where the level begins
					 * that names the account, and with it
					 * what is the user's; 0: not known */
	struct uri_opt	*opts;
	size_t		 nopts;
};

/* Fills in one {name}; NULL: no such column. */
typedef const char *uri_lookup_fn(void *ctx, const char *name);

int	 uri_parse(struct uri **, const char *text, struct err *);
/* A filled copy.  In the path of a local store a value that is "..", "." or
 * holds '/' or is empty is refused (a name must not walk the tree). */
int	 uri_fill(struct uri **, const struct uri *, uri_lookup_fn *, void *ctx,
	    struct err *);
void	 uri_free(struct uri **);
/* The value of an option, marking it used; NULL when it was not given. */
const char *uri_opt(struct uri *, const char *key);
int	 uri_set(struct uri *, const char *key, const char *val);
/* -1 and a text with a suggestion when an option is in no list: known is a
 * NULL-terminated array of names. */
int	 uri_check_opts(const struct uri *, const char *const *known,
	    struct err *);
/* For people and the state: options that hold secrets are left out.
 * The caller frees. */
char	*uri_show(const struct uri *);

#endif
