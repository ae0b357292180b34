/* Who is who at the source, and who that is at the target. */
#include "people.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/xmalloc.h"

struct people {
	const struct accounts *list;
	const struct config *cfg;
	struct by_user	*v;	/* sorted */
	size_t		 n;
	bool		 domains;	/* some user has one */
};

struct by_user {
	const char	*user;
	size_t		 row;
};

static int
compare(const void *p, const void *q)
{
	const struct by_user *a = p, *b = q;

	return strcasecmp(a->user, b->user);
}

struct people *
people_new(const struct accounts *list, const struct config *cfg)
{
	struct people *p = xcalloc(1, sizeof *p);
	size_t n = accounts_count(list);
	const char *user;

	p->list = list;
	p->cfg = cfg;
	p->v = xcalloc(n + 1, sizeof *p->v);
	for (size_t i = 0; i < n; i++) {
		/* The account of a command line has no user of the source. */
		if ((user = account_column(list, i, "user")) == NULL)
			continue;
		p->domains = p->domains || strchr(user, '@') != NULL;
		p->v[p->n++] = (struct by_user){ user, i };
	}
	qsort(p->v, p->n, sizeof *p->v, compare);
	return p;
}

void
people_free(struct people **pp)
{
	if (*pp == NULL)
		return;
	free((*pp)->v);
	free(*pp);
	*pp = NULL;
}

/* The user in the account's URI at the target, as far as it is one of a server;
 * the list may name others, or none. */
static bool
uri_says(const struct people *p, size_t row, char out[256])
{
	struct account_stores s;
	const struct uri *u;
	char *user = NULL;
	struct err e;
	bool fits;

	if (p->cfg == NULL || account_stores(p->list, row, p->cfg, &s, &e) ==
	    -1)
		return false;
	u = s.uri[SIDE_TARGET];
	if (config_uri_get(u, "shared") == NULL)
		user = config_uri_user(u);
	account_stores_release(&s);
	fits = user != NULL && user[0] != '\0' && strlen(user) < 256;
	if (fits)
		memcpy(out, user, strlen(user) + 1);
	free(user);
	return fits;
}

static bool
find(const struct people *p, const char *user, struct person *out)
{
	struct by_user key = { user, 0 };
	const struct by_user *hit = bsearch(&key, p->v, p->n, sizeof *p->v,
	    compare);
	const char *target;

	if (hit == NULL ||
	    (hit > p->v && compare(hit, hit - 1) == 0) ||
	    (hit + 1 < p->v + p->n && compare(hit, hit + 1) == 0))
		return false;
	target = account_column(p->list, hit->row, "target_user");
	if (target == NULL || target[0] == '\0' ||
	    strlen(target) >= sizeof out->user)
		return false;
	out->name = account_name(p->list, hit->row);
	if (!uri_says(p, hit->row, out->user))
		snprintf(out->user, sizeof out->user, "%.255s", target);
	out->target_user = out->user;
	return true;
}

static bool
find_listed(const struct people *p, const char *user, const char *here,
    struct person *out)
{
	const char *at = strrchr(user, '@');
	char *local;
	bool found;

	if (find(p, user, out))
		return true;
	if (at == NULL || at[1] == '\0' || p->domains ||
	    strcasecmp(at + 1, here) != 0)
		return false;
	local = xmemdup0(user, (size_t)(at - user));
	found = find(p, local, out);
	free(local);
	return found;
}

bool
people_find(const struct people *p, const char *user, const char *here,
    struct person *out)
{
	bool found;

	if (p == NULL)
		return false;
	out->name = NULL;
	found = find_listed(p, user, here, out);
	if (p->cfg == NULL || !shared_place(p->cfg, user, &out->place))
		return found;
	out->target_user = out->place.shared ? NULL : out->place.name;
	return true;
}
