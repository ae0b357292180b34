/* Subscription files: levels are never empty and hold no NUL; written as
 * version 2 they read as the same. */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "base/buf.h"
#include "maildir/maildir_subs.h"

int	LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
on_sub(void *ctx, const struct subs_level *levels, size_t n)
{
	struct buf *out = ctx;
	size_t i, k;

	assert(n > 0);
	for (i = 0; i < n; i++) {
		assert(levels[i].len > 0);
		if (i > 0)
			buf_addc(out, '\t');
		for (k = 0; k < levels[i].len; k++) {
			char c = levels[i].p[k];

			assert(c != '\0');
			switch (c) {
			case '\001':
				buf_adds(out, "\0011");
				break;
			case '\t':
				buf_adds(out, "\001t");
				break;
			case '\r':
				buf_adds(out, "\001r");
				break;
			case '\n':
				buf_adds(out, "\001n");
				break;
			default:
				buf_addc(out, c);
			}
		}
	}
	buf_addc(out, '\n');
}

static void
round_trip(const char *p, size_t size, char sep)
{
	struct buf a, b;

	buf_init(&a, 3 * size + 100);
	buf_init(&b, 3 * size + 100);
	buf_adds(&a, "V\t2\n\n");
	subs_parse(p, size, sep, on_sub, &a);
	assert(!a.full);
	buf_adds(&b, "V\t2\n\n");
	subs_parse(a.ptr, a.len, '/', on_sub, &b);
	/* Escaping may have made a line longer than lines may be. */
	assert(size > 8000 ||
	    (a.len == b.len && memcmp(a.ptr, b.ptr, a.len) == 0));
	buf_release(&a);
	buf_release(&b);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	round_trip((const char *)data, size, '.');
	round_trip((const char *)data, size, '/');
	return 0;
}
