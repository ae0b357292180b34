/* Growable bytes with a limit. */
#include "base/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/xmalloc.h"

static char empty[1];

void
buf_init(struct buf *b, size_t max)
{
	b->ptr = empty;
	b->len = b->cap = 0;
	b->max = max;
	b->full = false;
}

void
buf_release(struct buf *b)
{
	if (b->cap != 0)
		free(b->ptr);
	buf_init(b, b->max);
}

void
buf_reset(struct buf *b)
{
	b->len = 0;
	b->full = false;
	if (b->cap != 0)
		b->ptr[0] = '\0';
}

int
buf_reserve(struct buf *b, size_t more)
{
	size_t want, cap;

	if (more > b->max || b->len > b->max - more) {
		b->full = true;
		return -1;
	}
	want = b->len + more + 1;
	if (want <= b->cap)
		return 0;
	cap = b->cap < 64 ? 64 : b->cap;
	while (cap < want)
		cap += cap / 2;
	if (cap > b->max + 1)
		cap = b->max + 1;
	if (b->cap == 0) {
		b->ptr = xmalloc(cap);
		b->ptr[0] = '\0';
	} else
		b->ptr = xreallocarray(b->ptr, cap, 1);
	b->cap = cap;
	return 0;
}

int
buf_add(struct buf *b, const void *p, size_t n)
{
	if (n == 0)
		return 0;
	if (buf_reserve(b, n) == -1)
		return -1;
	memcpy(b->ptr + b->len, p, n);
	b->len += n;
	b->ptr[b->len] = '\0';
	return 0;
}

int
buf_addc(struct buf *b, char c)
{
	return buf_add(b, &c, 1);
}

int
buf_adds(struct buf *b, const char *s)
{
	return buf_add(b, s, strlen(s));
}

int
buf_addf(struct buf *b, const char *fmt, ...)
{
	va_list ap, again;
	int n, rc;

	va_start(ap, fmt);
	va_copy(again, ap);
	n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	rc = -1;
	if (n >= 0 && buf_reserve(b, (size_t)n) == 0) {
		if (n > 0)
			vsnprintf(b->ptr + b->len, (size_t)n + 1, fmt, again);
		b->len += (size_t)n;
		rc = 0;
	}
	va_end(again);
	return rc;
}

void
buf_drop(struct buf *b, size_t n)
{
	if (n >= b->len) {
		b->len = 0;
		if (b->cap != 0)
			b->ptr[0] = '\0';
		return;
	}
	memmove(b->ptr, b->ptr + n, b->len - n + 1);
	b->len -= n;
}

char *
buf_detach(struct buf *b, size_t *len)
{
	char *p;

	p = b->cap != 0 ? b->ptr : xmemdup0("", 0);
	if (len != NULL)
		*len = b->len;
	b->cap = 0;
	buf_init(b, b->max);
	return p;
}
