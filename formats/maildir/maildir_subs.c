/*
 * Subscription files.
 *
 * Version 1 and Courier: one mailbox per line, levels divided by the storage's
 * separator; Courier puts "INBOX." before each.
 *
 * Version 2:
 *	V<TAB>2
 *	(empty line)
 *	<level>[<TAB><level>]...
 * with \001 followed by 0 1 t r n for NUL, \001, TAB, CR, LF in a level.
 */
#include "maildir/maildir_subs.h"

#include <stdlib.h>
#include <string.h>

#include "base/xmalloc.h"
#include "maildir/maildir_file.h"

#define LEVELS_MAX 200

/* Takes the escapes out of p in place; -1: bad escape or a NUL. */
static ssize_t
unescape(char *p, size_t len)
{
	size_t i, n = 0;

	for (i = 0; i < len; i++) {
		char c = p[i];

		if (c == '\001') {
			if (++i == len)
				return -1;
			switch (p[i]) {
			case '1':
				c = '\001';
				break;
			case 't':
				c = '\t';
				break;
			case 'r':
				c = '\r';
				break;
			case 'n':
				c = '\n';
				break;
			default:
				return -1;
			}
		}
		p[n++] = c;
	}
	return (ssize_t)n;
}

/* The line's levels; 0: it is not usable.  Version 2 changes the copy. */
static size_t
split(char *line, size_t len, char sep, bool v2, struct subs_level *levels)
{
	char *p = line, *end = line + len, *q;
	ssize_t part;
	size_t n = 0;

	if (memchr(line, '\0', len) != NULL)
		return 0;
	for (;; p = q + 1) {
		q = memchr(p, sep, (size_t)(end - p));
		part = (q != NULL ? q : end) - p;
		if (v2)
			part = unescape(p, (size_t)part);
		/* A separator at the end says "and its children". */
		if (part == 0 && q == NULL && n > 0)
			return n;
		if (part <= 0 || n == LEVELS_MAX)
			return 0;
		levels[n].p = p;
		levels[n++].len = (size_t)part;
		if (q == NULL)
			return n;
	}
}

size_t
subs_parse(const char *text, size_t len, char sep, subs_fn *fn, void *ctx)
{
	struct subs_level levels[LEVELS_MAX];
	struct maildir_lines l;
	const char *line;
	size_t n, k, bad = 0;
	bool v2 = false;
	char *copy;

	maildir_lines_mem(&l, text, len);
	while (maildir_lines_next(&l, &line, &n) == 1) {
		if (l.number == 1 && n == 3 && memcmp(line, "V\t2", 3) == 0) {
			v2 = true;
			continue;
		}
		if (n == 0)
			continue;
		copy = xmemdup0(line, n);
		k = split(copy, n, v2 ? '\t' : sep, v2, levels);
		if (k > 0)
			fn(ctx, levels, k);
		else
			bad++;
		free(copy);
	}
	return bad;
}
