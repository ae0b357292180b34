/* Compressed contents: no more is given out than 1 MiB is asked for here, an
 * end stays an end, an error an error, and a second reading gives the same. */
#include <assert.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/decode.h"

int	LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define ENOUGH ((size_t)1 << 20)

/* A sum over what was read; *rc as of the last read. */
static uint64_t
drain(struct content *c, ssize_t *rc)
{
	static unsigned char p[10000];
	uint64_t sum = 14695981039346656037U;
	size_t total = 0;
	struct err e;
	ssize_t i;

	while ((*rc = content_read(c, p, sizeof p, &e)) > 0 &&
	    total < ENOUGH) {
		assert(*rc <= (ssize_t)sizeof p);
		for (i = 0; i < *rc; i++)
			sum = (sum ^ p[i]) * 1099511628211U;
		total += (size_t)*rc;
	}
	if (*rc == -1)
		assert(e.scope == ERR_MESSAGE);
	if (*rc <= 0)
		assert(content_read(c, p, sizeof p, &e) == *rc);
	return sum;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	enum decode_kind kind;
	struct content *c;
	uint64_t first;
	ssize_t rc, rc2;
	struct err e;
	int fd;

	fd = memfd_create("fuzz", MFD_CLOEXEC);
	assert(fd != -1);
	assert(write(fd, data, size) == (ssize_t)size);
	assert(decode_probe(fd, &kind) == 0);
	if (kind == DECODE_NONE || (c = decode_content(fd, true, kind, &e)) ==
	    NULL) {
		if (kind == DECODE_NONE)
			close(fd);
		return 0;
	}
	first = drain(c, &rc);
	if (content_rewind(c, &e) == 0) {
		assert(drain(c, &rc2) == first && rc2 == rc);
	} else
		assert(rc == -1);
	content_close(&c);
	return 0;
}
