/* Names of files in MailDir mailboxes: parts lie inside, and the name made anew
 * of them parses to the same; mailbox names become valid UTF-8 without '/'. */
#include <assert.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mutf7.h"
#include "cgp/cgp_name.h"

int	LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
file(const char *p, size_t size)
{
	struct cgp_file_name f, g;
	const char *end = p + size;
	char *again;
	size_t n;

	if (cgp_file_parse(&f, p, size) != CGP_FILE_MESSAGE) {
		assert(size == 0 || cgp_file_parse(&f, p, size) ==
		    (p[0] >= '0' && p[0] <= '9' ? CGP_FILE_ALMOST :
		    CGP_FILE_OTHER));
		return;
	}
	assert(f.uid != 0 && f.flags > p && f.flags + f.nflags < f.tail);
	assert(f.tail + f.ntail == end && memchr(f.flags, '-', f.nflags) ==
	    NULL);
	assert(!f.timed || (f.epoch >= 0 && f.epoch < INT64_C(253402300801)));
	again = malloc(size + 20);
	assert(again != NULL);
	n = (size_t)snprintf(again, size + 20, "%010u-", f.uid);
	memcpy(again + n, f.flags, (size_t)(end - f.flags));
	n += (size_t)(end - f.flags);
	assert(cgp_file_parse(&g, again, n) == CGP_FILE_MESSAGE);
	assert(g.uid == f.uid && g.nflags == f.nflags && g.ntail == f.ntail &&
	    g.timed == f.timed && g.epoch == f.epoch);
	free(again);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *p = (const char *)data;
	struct buf b;

	if (memchr(p, 0, size) != NULL || memchr(p, '/', size) != NULL ||
	    size > 255)
		return 0;
	file(p, size);
	buf_init(&b, 4 * size + 100);
	if (size > 0) {
		cgp_level(&b, p, size);
		assert(!b.full && b.len > 0 && utf8_valid(b.ptr, b.len));
		assert(memchr(b.ptr, '/', b.len) == NULL);
		assert(memchr(b.ptr, '\0', b.len) == NULL);
		assert(memchr(b.ptr, '\n', b.len) == NULL);
	}
	buf_reset(&b);
	cgp_tail_shape(&b, p, size);
	assert(b.len <= size && utf8_valid(b.ptr, b.len));
	buf_release(&b);
	return 0;
}
