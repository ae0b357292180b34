/*
 * --repair: the smallest changes that make a refused message acceptable.
 *
 *   NUL                         'X' in the header, a blank in the body
 *   a line in the header that   an empty line before it: the header ends
 *   is no header line           there
 *   header not ended            CR LF at the end
 */
#include "repair.h"

#include <stdio.h>
#include <string.h>

static bool
is_header_line(const char *p, const char *end, bool first)
{
	const char *q = p;

	if (*p == ' ' || *p == '\t')
		return true;
	while (q < end && (*q == '\0' || ((unsigned char)*q > 0x20 &&
	    *q != ':' && *q != 0x7f)))
		q++;		/* a NUL becomes an 'X' */
	if (q == end)
		return false;
	return q > p && (*q == ':' || (first && *q == ' ' && q - p == 4 &&
	    memcmp(p, "From", 4) == 0));
}

bool
repair_message(const char *p, size_t len, struct buf *out, char *what,
    size_t what_size)
{
	const char *end = p + len, *line = p, *next, *body = NULL;
	bool ended = false, broken = false, first = true;
	size_t nuls = 0, header_len;

	/* Where the header ends, and how. */
	for (; line < end; line = next, first = false) {
		const char *lf = memchr(line, '\n', (size_t)(end - line));

		next = lf != NULL ? lf + 1 : end;
		if (*line == '\n' || (*line == '\r' && line + 1 < end &&
		    line[1] == '\n')) {
			ended = true;
			break;
		}
		if (!is_header_line(line, next, first)) {
			ended = broken = true;
			break;
		}
		if (lf == NULL)
			break;
	}
	body = line;
	header_len = (size_t)(body - p);
	if (!ended && len > 0 && end[-1] != '\n')
		header_len = len;
	buf_reset(out);
	for (const char *q = p; q < end; q++) {
		bool in_header = (size_t)(q - p) < header_len;

		if (broken && q == body && buf_adds(out, "\r\n") == -1)
			return false;
		if (*q == '\0')
			nuls++;
		if (buf_addc(out, *q != '\0' ? *q : in_header ? 'X' : ' ') ==
		    -1)
			return false;
	}
	if (!ended && len > 0 && end[-1] != '\n' &&
	    buf_adds(out, "\r\n") == -1)
		return false;
	snprintf(what, what_size, "%s%s%s%s%s",
	    nuls > 0 ? "NUL bytes replaced" : "",
	    nuls > 0 && broken ? ", " : "",
	    broken ? "header ended before a line that is none" : "",
	    (nuls > 0 || broken) && !ended ? ", " : "",
	    !ended && len > 0 && end[-1] != '\n' ? "line end added" : "");
	return out->len != len || nuls > 0;
}
