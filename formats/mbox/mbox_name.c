/* File names as folder levels. */
#include "mbox/mbox_name.h"

#include <stdlib.h>
#include <string.h>

#include "base/mutf7.h"
#include "base/xmalloc.h"

static size_t
utf8_length(const char *p, size_t n)
{
	unsigned char c = (unsigned char)*p;
	size_t len = c < 0x80 ? 1 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;

	return len <= n && utf8_valid(p, len) ? len : 0;
}

static bool
hex_digit(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'F');
}

void
mbox_level_raw(struct buf *out, const char *p, size_t len)
{
	for (size_t i = 0; i < len;) {
		size_t n = utf8_length(p + i, len - i);

		if (n == 0 || (p[i] == '=' && len - i >= 3 &&
		    hex_digit(p[i + 1]) && hex_digit(p[i + 2]))) {
			buf_addf(out, "=%02X", (unsigned char)p[i]);
			i++;
		} else {
			buf_add(out, p + i, n);
			i += n;
		}
	}
}

void
mbox_level(struct buf *out, const char *name, size_t len)
{
	size_t start = out->len;

	if (memchr(name, '&', len) != NULL &&
	    mutf7_decode(out, name, len) == 0 &&
	    memchr(out->ptr + start, '\0', out->len - start) == NULL &&
	    memchr(out->ptr + start, '/', out->len - start) == NULL) {
		/* The decoded name may hold what looks like an escape. */
		char *copy = xmemdup0(out->ptr + start, out->len - start);
		size_t n = out->len - start;

		out->len = start;
		mbox_level_raw(out, copy, n);
		free(copy);
		return;
	}
	out->len = start;
	mbox_level_raw(out, name, len);
}
