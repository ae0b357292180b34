/*
 * An arena: many small allocations that end together.
 *
 * Pointers stay valid until arena_reset() or arena_release().  One thread at a
 * time.  Memory is not zeroed unless the name says so; out of memory ends the
 * program (xmalloc.h).
 */
#ifndef BASE_ARENA_H
#define BASE_ARENA_H

#include <stddef.h>

struct arena_chunk;

struct arena {
	struct arena_chunk	*chunk;		/* newest first */
	size_t			 used;		/* bytes handed out in all */
};

void	 arena_init(struct arena *a);
void	 arena_release(struct arena *a);
void	 arena_reset(struct arena *a);		/* keeps one chunk */
void	*arena_alloc(struct arena *a, size_t size);	/* 16-byte aligned */
void	*arena_zalloc(struct arena *a, size_t size);
char	*arena_strdup(struct arena *a, const char *s);
char	*arena_memdup0(struct arena *a, const void *p, size_t len);
char	*arena_printf(struct arena *a, const char *fmt, ...)
	    __attribute__((format(printf, 2, 3)));

#endif
