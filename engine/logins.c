/* Secrets that several accounts share, known by their address. */
#include "logins.h"

#include <stdlib.h>

#include "base/xmalloc.h"

struct shared {
	const char	*secret;
	unsigned	 refused;	/* one after the other */
	unsigned	 trying;
	bool		 worked;	/* once in this run */
};

struct logins {
	struct shared	*shared;
	size_t		 n;
};

static int
cmp_pointer(const void *a, const void *b)
{
	const char *const *x = a, *const *y = b;

	return *x < *y ? -1 : *x > *y;
}

struct logins *
logins_new(struct account *const *accounts, size_t n)
{
	struct logins *l = xcalloc(1, sizeof *l);
	const char **all = xcalloc(2 * n + 1, sizeof *all);
	size_t k = 0;

	for (size_t i = 0; i < n; i++) {
		if (accounts[i]->src_password != NULL)
			all[k++] = accounts[i]->src_password;
		if (accounts[i]->tgt_password != NULL)
			all[k++] = accounts[i]->tgt_password;
	}
	qsort(all, k, sizeof *all, cmp_pointer);
	l->shared = xcalloc(k + 1, sizeof *l->shared);
	for (size_t i = 1; i < k; i++)
		if (all[i] == all[i - 1] && (l->n == 0 ||
		    l->shared[l->n - 1].secret != all[i]))
			l->shared[l->n++].secret = all[i];
	free(all);
	return l;
}

void
logins_free(struct logins **lp)
{
	if (*lp == NULL)
		return;
	free((*lp)->shared);
	free(*lp);
	*lp = NULL;
}

/* NULL: it is not shared. */
static struct shared *
find(const struct logins *l, const char *secret)
{
	for (size_t i = 0; i < l->n && secret != NULL; i++)
		if (l->shared[i].secret == secret)
			return &l->shared[i];
	return NULL;
}

/* After one has worked a refusal may well be the account's own fault. */
static unsigned
limit_of(const struct shared *s)
{
	return s->worked ? LOGINS_REFUSED_LATER : LOGINS_REFUSED;
}

static bool
is_free(const struct shared *s)
{
	return s == NULL || (s->worked && s->refused == 0) ||
	    s->refused >= limit_of(s) || s->refused + s->trying < limit_of(s);
}

bool
login_free(const struct logins *l, const struct account *a)
{
	return is_free(find(l, a->src_password)) &&
	    is_free(find(l, a->tgt_password));
}

bool
login_barred(const struct logins *l, const struct account *a)
{
	const struct shared *s = find(l, a->src_password);
	const struct shared *t = find(l, a->tgt_password);

	return (s != NULL && s->refused >= limit_of(s)) ||
	    (t != NULL && t->refused >= limit_of(t));
}

void
login_begins(struct logins *l, const struct account *a)
{
	struct shared *s = find(l, a->src_password);
	struct shared *t = find(l, a->tgt_password);

	if (s != NULL)
		s->trying++;
	if (t != NULL && t != s)
		t->trying++;
}

static void
ends(struct shared *s, bool worked, bool refused)
{
	if (s == NULL)
		return;
	if (worked) {
		s->worked = true;
		s->refused = 0;
	} else if (refused)
		s->refused++;
}

void
login_ends(struct logins *l, const struct account *a, const bool worked[2],
    const bool refused[2])
{
	struct shared *s = find(l, a->src_password);
	struct shared *t = find(l, a->tgt_password);

	if (s != NULL)
		s->trying--;
	if (t != NULL && t != s)
		t->trying--;
	ends(s, worked[SIDE_SOURCE], refused[SIDE_SOURCE]);
	ends(t, worked[SIDE_TARGET], refused[SIDE_TARGET]);
}
