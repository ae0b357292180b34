/* What decodes is UTF-8 and encodes to the same bytes; what is UTF-8 without
 * NUL encodes to ASCII and decodes to itself. */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "base/mutf7.h"

int	LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *p = (const char *)data;
	struct buf out, again;
	size_t i;

	buf_init(&out, 3 * size + 100);
	buf_init(&again, 9 * size + 300);
	if (mutf7_decode(&out, p, size) == 0) {
		assert(utf8_valid(out.ptr, out.len));
		assert(mutf7_encode(&again, out.ptr, out.len) == 0);
		assert(again.len == size &&
		    (size == 0 || memcmp(again.ptr, p, size) == 0));
	} else
		assert(out.len == 0);
	buf_reset(&out);
	buf_reset(&again);
	if (mutf7_encode(&again, p, size) == 0) {
		assert(utf8_valid(p, size));
		for (i = 0; i < again.len; i++)
			assert(again.ptr[i] >= 0x20 && again.ptr[i] <= 0x7e);
		assert(mutf7_decode(&out, again.ptr, again.len) == 0);
		assert(out.len == size &&
		    (size == 0 || memcmp(out.ptr, p, size) == 0));
	} else
		assert(!utf8_valid(p, size) || memchr(p, 0, size) != NULL);
	buf_release(&out);
	buf_release(&again);
	return 0;
}
