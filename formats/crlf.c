/* LF to CRLF, nothing else. */
#include "crlf.h"

#include <string.h>

size_t
crlf_convert(struct crlf *s, const char *in, size_t n, char *out)
{
	const char *end = in + n, *lf;
	char *o = out;

	while (in < end) {
		lf = memchr(in, '\n', (size_t)(end - in));
		if (lf == NULL) {
			memcpy(o, in, (size_t)(end - in));
			o += end - in;
			s->last_cr = end[-1] == '\r';
			break;
		}
		memcpy(o, in, (size_t)(lf - in));
		o += lf - in;
		if (lf > in ? lf[-1] != '\r' : !s->last_cr)
			*o++ = '\r';
		*o++ = '\n';
		s->last_cr = false;
		in = lf + 1;
	}
	return (size_t)(o - out);
}
