/* Separators of text mailboxes: parts lie inside of the line and in order, and
 * a line made anew of them is the same separator. */
#include <assert.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "cgp/cgp_name.h"

int	LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *p = (const char *)data, *rest;
	struct cgp_sep s, t;
	struct buf b;

	cgp_sep_parse(&s, p, size);
	if (s.kind == CGP_SEP_NONE)
		return 0;
	assert(size <= CGP_SEP_MAX && s.sender == p + 5 && s.nsender > 0);
	assert(s.sender + s.nsender < p + size);
	assert(!s.newer || s.tail + s.ntail == p + size);
	assert(!s.zoned || (s.zone > -1440 && s.zone < 1440));
	if (s.kind == CGP_SEP_PLAIN) {
		assert(s.uid == 0 && s.nflags == 0 && !s.newer);
		return 0;
	}
	assert(s.flags == s.sender + s.nsender + 1);
	assert(memchr(s.flags, '-', s.nflags) == NULL);
	assert(memchr(s.flags, ')', s.nflags) == NULL);
	if (s.uid == 0)
		return 0;
	/* Without what follows the UID. */
	rest = memchr(s.flags, ')', (size_t)(p + size - s.flags));
	assert(rest != NULL);
	/* A bracket in the tail may become another sender's end. */
	if (memchr(rest + 1, ')', (size_t)(p + size - rest - 1)) != NULL)
		return 0;
	buf_init(&b, 2 * CGP_SEP_MAX);
	buf_add(&b, p, (size_t)(s.flags + s.nflags - p));
	buf_addf(&b, "-%u", s.uid);
	buf_add(&b, rest, (size_t)(p + size - rest));
	cgp_sep_parse(&t, b.ptr, b.len);
	if (b.len <= CGP_SEP_MAX)
		assert(t.kind == CGP_SEP_CGP && t.uid == s.uid &&
		    t.nflags == s.nflags && t.nsender == s.nsender &&
		    t.timed == s.timed && t.epoch == s.epoch &&
		    t.ntail == s.ntail && t.newer == s.newer);
	buf_release(&b);
	return 0;
}
