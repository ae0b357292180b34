/*
 * Growable bytes with a limit.
 *
 * ptr is never NULL and ptr[len] is always a NUL that does not count; NUL
 * bytes inside are data.  Growing past max fails softly: the buffer keeps what
 * it held, "full" is set and stays set, and the call returns -1.  A buffer
 * serves one thread at a time.
 */
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include <stdbool.h>
#include <stddef.h>

struct buf {
	char	*ptr;
	size_t	 len;
	size_t	 cap;	/* 0: ptr is the shared empty string */
	size_t	 max;	/* bytes; len never passes it */
	bool	 full;	/* something did not fit */
};

void	buf_init(struct buf *b, size_t max);
void	buf_release(struct buf *b);	/* frees; b may be used again */
void	buf_reset(struct buf *b);	/* len = 0, full = false; keeps memory */
int	buf_reserve(struct buf *b, size_t more);	/* room for more bytes */
int	buf_add(struct buf *b, const void *p, size_t n);
int	buf_addc(struct buf *b, char c);
int	buf_adds(struct buf *b, const char *s);
int	buf_addf(struct buf *b, const char *fmt, ...)
	    __attribute__((format(printf, 2, 3)));
void	buf_drop(struct buf *b, size_t n);	/* cut n bytes at the front */
char	*buf_detach(struct buf *b, size_t *len);	/* caller frees */

#endif
