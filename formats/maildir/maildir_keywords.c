/*
 * Keywords.
 *
 * dovecot-keywords:
 *	<number 0-25> <name>			letter 'a' + number
 * Names are compared without case; of two equal ones the first counts and the
 * second's letter means nothing.
 *
 * courierimapkeywords/:list:
 *	<name>					numbered from 0
 *	(empty line)
 *	<base file name>:<number> <number>...
 * and beside it files that are newer than the list: "<base>", or ".<N>.<base>"
 * with N = time / 300, hold one name per line; an empty one: no keywords.
 * "<base>" wins over the highest N, that over the list.
 */
#include "maildir/maildir_keywords.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/xmalloc.h"

#define TABLE_MAX	((size_t)10000)
#define NAME_MAX_LEN	((size_t)1000)

void
keyword_table_release(struct keyword_table *t)
{
	while (t->n > 0)
		free(t->names[--t->n]);
	free(t->names);
	t->names = NULL;
	t->cap = 0;
}

static bool
usable(const char *name, size_t len)
{
	return len > 0 && len <= NAME_MAX_LEN &&
	    memchr(name, '\0', len) == NULL;
}

static size_t
append(struct keyword_table *t, const char *name, size_t len)
{
	if (t->n == TABLE_MAX)
		return SIZE_MAX;
	if (t->n == t->cap) {
		t->cap = t->cap == 0 ? 16 : t->cap * 2;
		t->names = xreallocarray(t->names, t->cap, sizeof *t->names);
	}
	t->names[t->n] = xmemdup0(name, len);
	return t->n++;
}

size_t
keyword_table_add(struct keyword_table *t, const char *name, size_t len)
{
	size_t i;

	if (!usable(name, len))
		return SIZE_MAX;
	for (i = 0; i < t->n; i++)
		if (strlen(t->names[i]) == len &&
		    strncasecmp(t->names[i], name, len) == 0)
			return i;
	return append(t, name, len);
}

size_t
dovecot_keywords_parse(char *names[DOVECOT_KEYWORDS], const char *p,
    size_t len)
{
	struct maildir_lines l;
	const char *line, *blank;
	unsigned long long v;
	size_t n, k, bad = 0;
	int i;

	for (i = 0; i < DOVECOT_KEYWORDS; i++)
		names[i] = NULL;
	maildir_lines_mem(&l, p, len);
	while (maildir_lines_next(&l, &line, &n) == 1) {
		if (n == 0)
			continue;
		blank = memchr(line, ' ', n);
		k = blank != NULL ? (size_t)(blank - line) : n;
		if (blank == NULL || !maildir_number(line, k,
		    DOVECOT_KEYWORDS - 1, &v) ||
		    !usable(blank + 1, n - k - 1) || names[v] != NULL) {
			bad++;
			continue;
		}
		names[v] = xmemdup0(blank + 1, n - k - 1);
		for (i = 0; i < DOVECOT_KEYWORDS; i++)
			if ((unsigned long long)i != v && names[i] != NULL &&
			    strcasecmp(names[i], names[v]) == 0) {
				free(names[v]);
				names[v] = NULL;
				bad++;
				break;
			}
	}
	return bad;
}

/* "<base>:<number> <number>..."; -1: not such a line. */
static ssize_t
parse_message(const char *line, size_t len, size_t names, size_t *nbase,
    uint16_t *numbers, size_t max)
{
	const char *colon = memrchr(line, ':', len), *p, *end = line + len, *q;
	unsigned long long v;
	ssize_t n = 0;

	if (colon == NULL || colon == line ||
	    memchr(line, '\0', (size_t)(colon - line)) != NULL)
		return -1;
	*nbase = (size_t)(colon - line);
	for (p = colon + 1; p < end; p = q) {
		if (*p == ' ') {
			q = p + 1;
			continue;
		}
		if ((q = memchr(p, ' ', (size_t)(end - p))) == NULL)
			q = end;
		if (!maildir_number(p, (size_t)(q - p), TABLE_MAX, &v) ||
		    v >= names || (size_t)n == max)
			return -1;
		numbers[n++] = (uint16_t)v;
	}
	return n;
}

int
courier_keywords_list(struct maildir_lines *l, struct keyword_table *t,
    keywords_fn *fn, void *ctx, size_t *bad, struct err *e)
{
	uint16_t numbers[1000];
	const char *line;
	size_t len, nbase = 0, names = 0;
	bool in_names = true;
	ssize_t n;
	int rc;

	*bad = 0;
	while ((rc = maildir_lines_next(l, &line, &len)) == 1) {
		if (in_names) {
			if (len == 0) {
				in_names = false;
				names = t->n;
			} else if (append(t, line, usable(line, len) ? len :
			    0) == SIZE_MAX || !usable(line, len))
				(*bad)++;	/* it keeps its number */
			continue;
		}
		n = parse_message(line, len, names, &nbase, numbers,
		    sizeof numbers / sizeof numbers[0]);
		if (n == -1)
			(*bad)++;
		else if (fn(ctx, line, nbase, numbers, (size_t)n, e) == -1)
			return -1;
	}
	if (rc == -1)
		return err_sys(e, quiet_scope(errno, ERR_MAILBOX),
		    "read courierimapkeywords/:list");
	return 0;
}

void
courier_keywords_file(struct keyword_table *t, const char *p, size_t len,
    uint16_t *numbers, size_t max, size_t *n)
{
	struct maildir_lines l;
	const char *line;
	size_t k, number;

	*n = 0;
	maildir_lines_mem(&l, p, len);
	while (maildir_lines_next(&l, &line, &k) == 1)
		if (*n < max &&
		    (number = keyword_table_add(t, line, k)) != SIZE_MAX)
			numbers[(*n)++] = (uint16_t)number;
}

int
courier_keywords_name(const char *name, const char **base, uint64_t *newer)
{
	unsigned long long v;
	const char *dot;

	if (name[0] == ':' || name[0] == '\0')
		return 0;
	*base = name;
	*newer = UINT64_MAX;
	if (name[0] != '.')
		return 1;
	dot = strchr(name + 1, '.');
	if (dot == NULL || dot[1] == '\0' ||
	    !maildir_number(name + 1, (size_t)(dot - name - 1),
	    UINT64_MAX / 2, &v))
		return 0;
	*base = dot + 1;
	*newer = v + 1;
	return 1;
}
