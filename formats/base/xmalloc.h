/* Allocation that succeeds or ends the program: a resume makes that cheap. */
#ifndef BASE_XMALLOC_H
#define BASE_XMALLOC_H

#include <stddef.h>

/* All abort with a message on stderr when memory is out; callers own the
 * result and free() it. */
void	*xmalloc(size_t size) __attribute__((malloc, returns_nonnull));
void	*xcalloc(size_t n, size_t size) __attribute__((malloc, returns_nonnull));
void	*xreallocarray(void *p, size_t n, size_t size)
	    __attribute__((returns_nonnull));
char	*xstrdup(const char *s) __attribute__((malloc, returns_nonnull));
char	*xmemdup0(const void *p, size_t len) __attribute__((malloc,
	    returns_nonnull));	/* copy with a NUL added */

#endif
