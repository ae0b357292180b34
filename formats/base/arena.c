/* An arena: many small allocations that end together. */
#include "base/arena.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/xmalloc.h"

#define CHUNK ((size_t)16 * 1024 - 64)

struct arena_chunk {
	struct arena_chunk	*next;
	size_t			 size, used;
	_Alignas(16) char	 data[];
};

void
arena_init(struct arena *a)
{
	a->chunk = NULL;
	a->used = 0;
}

static void
free_chunks(struct arena_chunk *c)
{
	struct arena_chunk *next;

	for (; c != NULL; c = next) {
		next = c->next;
		free(c);
	}
}

void
arena_release(struct arena *a)
{
	free_chunks(a->chunk);
	arena_init(a);
}

void
arena_reset(struct arena *a)
{
	if (a->chunk != NULL && a->chunk->size == CHUNK) {
		free_chunks(a->chunk->next);
		a->chunk->next = NULL;
		a->chunk->used = 0;
		a->used = 0;
	} else
		arena_release(a);
}

void *
arena_alloc(struct arena *a, size_t size)
{
	struct arena_chunk *c = a->chunk;
	void *p;

	if (size > SIZE_MAX - 16)
		abort();
	size = (size + 15) & ~(size_t)15;
	if (c == NULL || c->size - c->used < size) {
		size_t n = size > CHUNK / 4 ? size : CHUNK;

		c = xmalloc(sizeof *c + n);
		c->size = n;
		c->used = 0;
		if (n != CHUNK && a->chunk != NULL) {
			/* A large one goes behind, so that the open chunk
			 * keeps filling. */
			c->next = a->chunk->next;
			a->chunk->next = c;
		} else {
			c->next = a->chunk;
			a->chunk = c;
		}
	}
	p = c->data + c->used;
	c->used += size;
	a->used += size;
	return p;
}

void *
arena_zalloc(struct arena *a, size_t size)
{
	return memset(arena_alloc(a, size), 0, size);
}

char *
arena_memdup0(struct arena *a, const void *p, size_t len)
{
	char *s = arena_alloc(a, len + 1);

	if (len > 0)
		memcpy(s, p, len);
	s[len] = '\0';
	return s;
}

char *
arena_strdup(struct arena *a, const char *s)
{
	return arena_memdup0(a, s, strlen(s));
}

char *
arena_printf(struct arena *a, const char *fmt, ...)
{
	va_list ap, again;
	char *s;
	int n;

	va_start(ap, fmt);
	va_copy(again, ap);
	n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	s = arena_alloc(a, (size_t)(n < 0 ? 0 : n) + 1);
	s[0] = '\0';
	if (n > 0)
		vsnprintf(s, (size_t)n + 1, fmt, again);
	va_end(again);
	return s;
}
