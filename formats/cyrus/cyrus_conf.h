/*
 * imapd.conf, read only.
 *
 *	line	= key ":" value | "#" comment | "@include:" file
 *
 * Keys are in lower case, the first one of a key counts; a backslash at a
 * line's end joins the next one.
 */
#ifndef CYRUS_CONF_H
#define CYRUS_CONF_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

struct cyrus_conf;

/* -1: it cannot be read, or is none (ERR_ACCOUNT). */
int	cyrus_conf_read(struct cyrus_conf **, const char *file, struct err *);
/* The same from memory, without includes. */
struct cyrus_conf *cyrus_conf_parse(const char *text, size_t len);
void	cyrus_conf_free(struct cyrus_conf **);

/* What it says, or the default that is given here. */
const char *cyrus_conf_get(const struct cyrus_conf *, const char *key,
	    const char *otherwise);
bool	cyrus_conf_on(const struct cyrus_conf *, const char *key,
	    bool otherwise);
/* The nth setting; false: there are no more. */
bool	cyrus_conf_nth(const struct cyrus_conf *, size_t n, const char **key,
	    const char **value);
/* The nth partition's name and directory; false: there are no more. */
bool	cyrus_conf_partition(const struct cyrus_conf *, size_t n,
	    const char **name, const char **dir);

#endif
