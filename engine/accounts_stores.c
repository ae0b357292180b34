/* The stores of one account: the templates of the job, or the URIs of its row,
 * filled in. */
#include "accounts_impl.h"
#include "shared_map.h"

#include <stdlib.h>
#include <string.h>

#include "base/xmalloc.h"

struct lookup {
	const struct accounts	*a;
	size_t			 i;
};

static const char *
lookup(void *ctx, const char *name)
{
	const struct lookup *l = ctx;

	/* A command line has no columns, and a password its own way. */
	if (l->a->single != NULL || strstr(name, "_password") != NULL)
		return NULL;
	return account_column(l->a, l->i, name);
}

/* The template of one row: the job's, or the row's own with the options of the
 * job's that it does not give. */
static int
template(const struct accounts *a, size_t i, const struct config *c,
    enum side side, struct uri **up, struct err *e)
{
	static const char *const columns[] = { "source", "target" };
	const struct uri *job = config_store(c, side);
	const char *own, *slash;
	struct uri *u;
	char *dir;
	size_t k;

	*up = NULL;
	own = a->single == NULL ? account_column(a, i, columns[side]) : NULL;
	if (own == NULL || *own == '\0')
		return 0;
	if (uri_parse(&u, own, e) == -1) {
		e->scope = ERR_ACCOUNT;
		return -1;
	}
	if ((slash = strrchr(a->file, '/')) != NULL) {
		dir = xmemdup0(a->file, (size_t)(slash - a->file));
		config_uri_at(u, dir);
		free(dir);
	}
	for (k = 0; job != NULL && strcmp(job->scheme, u->scheme) == 0 &&
	    k < job->nopts; k++)
		if (config_uri_get(u, job->opts[k].key) == NULL)
			uri_set(u, job->opts[k].key, job->opts[k].val);
	if (config_check_uri(side, u, e) == -1) {
		uri_free(&u);
		e->scope = ERR_ACCOUNT;
		return -1;
	}
	*up = u;
	return 0;
}

/* What a row says of the place at the target, where the back end has a word
 * for it. */
static void
set_place(const struct accounts *a, size_t i, struct uri *u)
{
	static const char *const keys[] = { "partition", "owner" };
	const char *val;
	struct err e;
	size_t k;

	for (k = 0; k < sizeof keys / sizeof keys[0]; k++) {
		if ((val = account_column(a, i, keys[k])) == NULL ||
		    *val == '\0')
			continue;
		uri_set(u, keys[k], val);
		if (config_check_uri(SIDE_TARGET, u, &e) == -1)
			config_uri_drop(u, keys[k]);
	}
}

/* [shared]: one that is no user's is the business of the login itself, and what
 * the list says must not be another user. */
static int
set_shared(const struct accounts *a, size_t i, const struct config *c,
    struct uri *u, struct err *e)
{
	const char *user, *target;
	struct place place;

	if (a->single != NULL || (user = account_column(a, i, "user")) ==
	    NULL || !shared_place(c, user, &place))
		return 0;
	target = account_column(a, i, "target_user");
	if (!place.shared && target != NULL && strcmp(target, user) != 0 &&
	    strcmp(target, place.name) != 0)
		return err_set(e, ERR_ACCOUNT, "target_user is %.100s in the "
		    "list, and [shared] says user:%.100s", target,
		    place.name);
	if (strcmp(u->scheme, "null") == 0)
		return 0;
	if (place.shared && strncmp(u->scheme, "imap", 4) != 0)
		return err_set(e, ERR_ACCOUNT, "[shared] wants shared "
		    "mailboxes, which mailhaul makes over IMAP only");
	if (place.shared) {
		config_uri_drop(u, "authzid");
		uri_set(u, "shared", place.name);
	} else if (config_uri_get(u, "authzid") != NULL)
		uri_set(u, "authzid", place.name);
	else if (target == NULL || strcmp(target, place.name) != 0)
		return err_set(e, ERR_ACCOUNT, "[shared] says user:%.100s: "
		    "give the list that target_user", place.name);
	return 0;
}

static int
make_store(const struct accounts *a, size_t i, const struct config *c,
    enum side side, struct account_stores *s, struct err *e)
{
	static const char *const passwords[] = {
		"source_password", "target_password" };
	struct lookup l = { a, i };
	const char *listed;
	struct uri *own;
	int rc;

	if (template(a, i, c, side, &own, e) == -1)
		return -1;
	if (own == NULL && config_store(c, side) == NULL)
		return err_set(e, ERR_RUN, "no URI for the %s, in the job or "
		    "in a column", side == SIDE_SOURCE ? "source" : "target");
	rc = uri_fill(&s->uri[side], own != NULL ? own : config_store(c, side),
	    lookup, &l, e);
	uri_free(&own);
	if (rc == -1)
		return -1;
	config_uri_drop(s->uri[side], "lanes");
	if (side == SIDE_TARGET) {
		set_place(a, i, s->uri[side]);
		if (set_shared(a, i, c, s->uri[side], e) == -1)
			return -1;
	}
	listed = a->single == NULL && s->uri[side]->host != NULL ?
	    account_column(a, i, passwords[side]) : NULL;
	return secret_spec_take(s->uri[side], listed, &s->secret[side], e);
}

int
account_server(const struct accounts *a, size_t i, const struct uri *server,
    struct uri **up, struct secret_spec *spec, struct err *e)
{
	static const char *const passwords[] = { "pop3_password",
	    "source_password" };
	struct lookup l = { a, i };
	const char *listed = NULL;

	spec->kind = SECRET_NONE;
	spec->value = NULL;
	if (uri_fill(up, server, lookup, &l, e) == -1)
		return -1;
	for (size_t k = 0; k < 2 && a->single == NULL && (listed == NULL ||
	    *listed == '\0'); k++)
		listed = account_column(a, i, passwords[k]);
	/* The source's own is for the source, where the server has another. */
	for (size_t k = 0; k < server->nopts; k++)
		if (strncmp(server->opts[k].key, "secret-", 7) == 0)
			listed = NULL;
	if (secret_spec_take(*up, listed, spec, e) == 0)
		return 0;
	uri_free(up);
	return -1;
}

int
account_stores(const struct accounts *a, size_t i, const struct config *c,
    struct account_stores *s, struct err *e)
{
	memset(s, 0, sizeof *s);
	if (make_store(a, i, c, SIDE_SOURCE, s, e) == 0 &&
	    make_store(a, i, c, SIDE_TARGET, s, e) == 0)
		return 0;
	account_stores_release(s);
	return -1;
}

void
account_stores_release(struct account_stores *s)
{
	int side;

	for (side = SIDE_SOURCE; side <= SIDE_TARGET; side++) {
		uri_free(&s->uri[side]);
		secret_spec_release(&s->secret[side]);
	}
}
