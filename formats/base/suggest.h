/*
 * Names against a list of those there are: whether it has one, and which one
 * was probably meant.  Lists end with NULL.
 */
#ifndef BASE_SUGGEST_H
#define BASE_SUGGEST_H

#include <stdbool.h>

/* Exactly this name is in the list. */
bool	 listed(const char *name, const char *const *known);
/* The name of the list that is nearest, if one is near enough to be what was
 * meant, else NULL.  Case does not count. */
const char *suggest(const char *name, const char *const *known);

#endif
