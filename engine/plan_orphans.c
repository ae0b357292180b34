/*
 * Source trees that no row of the list has: what fits the job's template and
 * is nobody's.  A level with a column in it stands for all names that begin
 * and end as it does; only directories are looked into, and not for ever.
 */
#include "plan_impl.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/xmalloc.h"

#define MAX_ENTRIES	500000	/* names that are read in all */

struct search {
	struct plan	*plan;
	char		**known;	/* paths of all rows, sorted */
	size_t		 nknown;
	uint64_t	 read;
};

static int
compare(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static bool
is_known(const struct search *s, const char *path)
{
	return bsearch(&path, s->known, s->nknown, sizeof *s->known,
	    compare) != NULL;
}

/* A level of the template: what stands before the first column and after the
 * last one.  false: it has none. */
static bool
columns(const char *level, size_t len, size_t *before, size_t *after)
{
	const char *first = memchr(level, '{', len);
	const char *last = memrchr(level, '}', len);

	if (first == NULL || last == NULL || last < first || first[1] == '{')
		return false;
	*before = (size_t)(first - level);
	*after = len - (size_t)(last + 1 - level);
	return true;
}

static bool
fits(const char *name, const char *level, size_t len, size_t before,
    size_t after)
{
	size_t n = strlen(name);

	return name[0] != '.' && n > before + after &&
	    strncmp(name, level, before) == 0 &&
	    strncmp(name + n - after, level + len - after, after) == 0;
}

static void
found(struct search *s, const char *path)
{
	struct plan *plan = s->plan;
	struct plan_line *l;
	unsigned n = 0;

	if (is_known(s, path))
		return;
	for (l = plan->orphans.first; l != NULL; l = l->next)
		n++;
	if (n < PLAN_ORPHANS)
		plan_add(&plan->orphans, &plan->arena, "tree", NULL, path);
	else
		plan->more_orphans++;
}

/* rest is the template from here on, path what was found so far. */
static void
descend(struct search *s, struct buf *path, const char *rest)
{
	size_t len, before, after, keep = path->len;
	struct dirent *d;
	struct stat st;
	DIR *dir;

	while (*rest == '/')
		rest++;
	if (*rest == '\0') {
		found(s, path->ptr);
		return;
	}
	len = strcspn(rest, "/");
	if (!columns(rest, len, &before, &after)) {
		buf_addc(path, '/');
		buf_add(path, rest, len);
		if (lstat(path->ptr, &st) == 0)
			descend(s, path, rest + len);
		goto out;
	}
	if ((dir = opendir(path->len > 0 ? path->ptr : "/")) == NULL)
		goto out;
	while ((d = readdir(dir)) != NULL && s->read++ < MAX_ENTRIES) {
		if (!fits(d->d_name, rest, len, before, after))
			continue;
		buf_addf(path, "/%s", d->d_name);
		descend(s, path, rest + len);
		path->len = keep;
		path->ptr[keep] = '\0';
	}
	closedir(dir);
out:
	path->len = keep;
	path->ptr[keep] = '\0';
}

/* One template and what the rows make of it; key NULL: the path. */
static void
search(struct plan *plan, const char *template, const char *key)
{
	struct search s = { .plan = plan };
	size_t n = accounts_count(plan->list);
	struct account_stores stores;
	struct buf path;
	struct err e;

	if (template[0] != '/' || strchr(template, '{') == NULL)
		return;
	s.known = xcalloc(n + 1, sizeof *s.known);
	for (size_t i = 0; i < n; i++) {
		const char *p;

		if (account_stores(plan->list, i, plan->cfg, &stores, &e) ==
		    -1)
			continue;
		p = key == NULL ? stores.uri[SIDE_SOURCE]->path :
		    config_uri_get(stores.uri[SIDE_SOURCE], key);
		if (p != NULL && *p == '/')
			s.known[s.nknown++] = xstrdup(p);
		account_stores_release(&stores);
	}
	qsort(s.known, s.nknown, sizeof *s.known, compare);
	buf_init(&path, 1 << 16);
	descend(&s, &path, template);
	buf_release(&path);
	for (size_t i = 0; i < s.nknown; i++)
		free(s.known[i]);
	free(s.known);
}

void
plan_orphans(struct plan *plan)
{
	const struct uri *u = plan->cfg != NULL && plan->list != NULL ?
	    config_store(plan->cfg, SIDE_SOURCE) : NULL;

	if (u == NULL || u->host != NULL ||
	    !config_isset(plan->cfg, CFG_ACCOUNTS))
		return;
	search(plan, u->path, NULL);
	for (size_t i = 0; i < u->nopts; i++)
		search(plan, u->opts[i].val, u->opts[i].key);
}
