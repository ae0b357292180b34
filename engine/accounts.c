/* The accounts of a run: what a list holds, and the account of a command
 * line. */
#include "accounts_impl.h"

#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>

#include "base/xmalloc.h"
#include "select.h"

struct accounts *
accounts_new(const char *file)
{
	struct accounts *a = xcalloc(1, sizeof *a);

	buf_init(&a->locals, UINT32_MAX);
	if (file != NULL)
		a->file = xstrdup(file);
	return a;
}

void
accounts_free(struct accounts **ap)
{
	struct accounts *a = *ap;

	if (a == NULL)
		return;
	if (a->text != NULL)
		explicit_bzero(a->text, a->size);
	free(a->text);
	free(a->file);
	free(a->rows);
	free(a->single);
	free(a->single_target);
	buf_release(&a->locals);
	free(a);
	*ap = NULL;
}

/* The account of a command line */

/* The last level of a path that says something, or NULL; the caller frees. */
static char *
path_name(const char *path)
{
	size_t end = strlen(path), start;

	for (;;) {
		while (end > 0 && path[end - 1] == '/')
			end--;
		for (start = end; start > 0 && path[start - 1] != '/'; start--)
			;
		if (start == end)
			return NULL;
		if (start == 0 || end - start != 7 ||
		    strncmp(path + start, "Maildir", 7) != 0)
			return xmemdup0(path + start, end - start);
		end = start;
	}
}

/* What account= names in a store that holds many; the caller frees. */
static char *
given_account(const struct uri *u)
{
	const char *name = config_uri_get(u, "account");

	return name != NULL ? xstrdup(name) : NULL;
}

struct accounts *
accounts_single(const struct config *c)
{
	const struct uri *src = config_store(c, SIDE_SOURCE);
	const struct uri *tgt = config_store(c, SIDE_TARGET);
	struct accounts *a = accounts_new(NULL);

	a->rows = xcalloc(1, sizeof *a->rows);
	a->nrows = a->room = 1;
	a->rows[0].selected = true;
	a->single_target = config_uri_user(tgt);
	if ((a->single = config_uri_user(tgt)) == NULL &&
	    (a->single = config_uri_user(src)) == NULL &&
	    (a->single = given_account(src)) == NULL &&
	    (a->single = path_name(tgt->path)) == NULL &&
	    (a->single = path_name(src->path)) == NULL)
		a->single = xstrdup("account");
	return a;
}

/* Using rows */

size_t
accounts_find(const struct accounts *a, const char *name)
{
	size_t i;

	for (i = 0; i < a->ncolumns; i++)
		if (strcmp(a->columns[i], name) == 0)
			break;
	return i;
}

const char *
accounts_field(const struct accounts *a, size_t i, size_t column)
{
	const char *p = a->text + a->rows[i].fields;

	while (column-- > 0)
		p += strlen(p) + 1;
	return p;
}

static int
compare(const void *p, const void *q)
{
	const struct by_text *a = p, *b = q;
	int c = strcmp(a->text, b->text);

	return c != 0 ? c : a->row < b->row ? -1 : a->row > b->row;
}

void
accounts_sort(struct by_text *v, size_t n)
{
	qsort(v, n, sizeof *v, compare);
}

size_t
accounts_count(const struct accounts *a)
{
	return a->nrows;
}

size_t
accounts_selected(const struct accounts *a)
{
	size_t i, n = 0;

	for (i = 0; i < a->nrows; i++)
		n += a->rows[i].selected;
	return n;
}

bool
account_selected(const struct accounts *a, size_t i)
{
	return a->rows[i].selected;
}

const char *
account_name(const struct accounts *a, size_t i)
{
	size_t c;

	if (a->single != NULL)
		return a->single;
	if ((c = accounts_find(a, "name")) == a->ncolumns)
		c = accounts_find(a, "user");
	return accounts_field(a, i, c);
}

unsigned
account_line(const struct accounts *a, size_t i)
{
	return a->rows[i].line;
}

const char *
account_column(const struct accounts *a, size_t i, const char *column)
{
	size_t c = accounts_find(a, column);
	const char *s, *at;

	if (c < a->ncolumns && (*(s = accounts_field(a, i, c)) != '\0' ||
	    strcmp(column, "target_user") != 0))
		return s;
	if (a->single != NULL)
		return strcmp(column, "target_user") == 0 ? a->single_target :
		    NULL;
	if (strcmp(column, "local") == 0)
		return a->locals.ptr + a->rows[i].local;
	s = accounts_field(a, i, accounts_find(a, "user"));
	if (strcmp(column, "target_user") == 0)
		return s;
	if (strcmp(column, "name") == 0)
		return account_name(a, i);
	if (strcmp(column, "domain") == 0) {
		at = strrchr(s, '@');
		return at != NULL ? at + 1 : "";
	}
	return NULL;
}

void
fold_case(char *s)
{
	for (; *s != '\0'; s++)
		if (*s >= 'A' && *s <= 'Z')
			*s += 'a' - 'A';
}

/* Choosing */

bool
account_matches(const char *pattern, const char *name)
{
	return strcmp(pattern, name) == 0 || fnmatch(pattern, name, 0) == 0;
}

size_t
accounts_load(struct accounts **ap, const struct config *c,
    void (*fold)(char *), struct buf *errors)
{
	struct accounts *a;
	size_t bad = 0;

	*ap = NULL;
	if (config_isset(c, CFG_ACCOUNTS))
		bad = accounts_read(&a, config_str(c, CFG_ACCOUNTS), errors);
	else
		a = accounts_single(c);
	if (a != NULL) {
		bad += accounts_check(a, c, fold, errors);
		bad += select_rows(a, c, errors);
	}
	if (bad > 0)
		accounts_free(&a);
	*ap = a;
	return bad;
}
