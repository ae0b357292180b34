/* File names: all parts lie inside the name; the base is never empty unless
 * the name is; the base with other flags has the same base, sizes and time. */
#include <assert.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "maildir/maildir_name.h"
#include "message.h"

int	LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *p = (const char *)data;
	struct maildir_flags f;
	struct maildir_name n, again;
	char *other;

	if (memchr(p, 0, size) != NULL)
		return 0;
	maildir_name_parse(&n, p, size);
	assert(n.base <= size && (n.base > 0 || size == 0));
	if (n.raw != NULL) {
		assert(n.raw > p + n.base && n.raw + n.nraw == p + size);
		assert(n.nflags <= n.nraw);
		assert(memchr(n.raw, ',', n.nflags) == NULL);
		maildir_flags_parse(&f, n.raw, n.nflags);
		assert((f.flags & ~31U) == 0 && f.keywords < 1U << 26);
	} else
		assert(n.nraw == 0 && n.nflags == 0);
	if (n.base > 0 && memchr(p, ':', n.base) == NULL) {
		other = malloc(n.base + 10);
		assert(other != NULL);
		memcpy(other, p, n.base);
		memcpy(other + n.base, ":2,FSab", 7);
		maildir_name_parse(&again, other, n.base + 7);
		assert(again.base == n.base && again.size == n.size &&
		    again.vsize == n.vsize && again.secs == n.secs &&
		    again.usecs == n.usecs && again.nflags == 4);
		free(other);
	}
	return 0;
}
