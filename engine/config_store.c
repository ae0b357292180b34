/* The two stores: their URIs, and the options of their sections. */
#include "config_impl.h"

#include <stdlib.h>
#include <string.h>

#include "base/suggest.h"
#include "base/xmalloc.h"
#include "source_impl.h"
#include "target_impl.h"

static const char *const side_names[] = { "source", "target" };

/* What the engine itself takes from a store's options. */
static const char *const engine_options[] = {
	"secret-file", "secret-env", "secret-fd", "secret-command", "lanes",
	NULL };
/* Options that are paths, and kinds of stores whose path is one. */
static const char *const path_options[] = {
	"ca", "cert", "key", "secret-file", "conf", NULL };
static const char *const path_schemes[] = {
	"mbox", "maildir", "cgp", "dovecot", NULL };

void
config_free_store(struct store *s)
{
	size_t i;

	for (i = 0; i < s->nopts; i++) {
		free(s->opts[i].key);
		free(s->opts[i].val);
		free(s->opts[i].where);
	}
	free(s->opts);
	free(s->where);
	uri_free(&s->uri);
}

/* Paths */

char *
config_path_at(const char *dir, const char *path, bool template)
{
	struct buf b;

	if (dir == NULL || *path == '/' || *path == '\0')
		return xstrdup(path);
	buf_init(&b, SIZE_MAX / 4);
	for (; *dir != '\0'; dir++) {
		if (template && *dir == '{')
			buf_addc(&b, '{');
		buf_addc(&b, *dir);
	}
	buf_addf(&b, "/%s", path);
	return buf_detach(&b, NULL);
}

bool
config_is_path(const struct uri *u)
{
	return u->host == NULL && listed(u->scheme, path_schemes);
}

void
config_uri_at(struct uri *u, const char *dir)
{
	char *path;
	size_t i;

	if (config_is_path(u)) {
		path = config_path_at(dir, u->path, true);
		free(u->path);
		u->path = path;
	}
	for (i = 0; i < u->nopts; i++)
		if (listed(u->opts[i].key, path_options)) {
			path = config_path_at(dir, u->opts[i].val, true);
			free(u->opts[i].val);
			u->opts[i].val = path;
		}
}

/* Options of URIs */

const char *
config_uri_get(const struct uri *u, const char *key)
{
	size_t i;

	for (i = 0; i < u->nopts; i++)
		if (strcmp(u->opts[i].key, key) == 0)
			return u->opts[i].val;
	return NULL;
}

void
config_uri_drop(struct uri *u, const char *key)
{
	size_t i;

	for (i = 0; i < u->nopts; i++)
		if (strcmp(u->opts[i].key, key) == 0) {
			free(u->opts[i].key);
			free(u->opts[i].val);
			u->nopts--;
			memmove(&u->opts[i], &u->opts[i + 1],
			    (u->nopts - i) * sizeof *u->opts);
			return;
		}
}

char *
config_uri_user(const struct uri *u)
{
	const char *authzid = config_uri_get(u, "authzid");

	if (authzid != NULL)
		return xstrdup(authzid);
	/* Who logs in there is an admin. */
	if (strcmp(u->scheme, "cyrus") == 0 && u->path[0] != '\0')
		return xstrdup(u->path);
	/* anna*master is anna, let in by the master. */
	return u->user != NULL ? xmemdup0(u->user, strcspn(u->user, "*")) :
	    NULL;
}

/* Reading */

size_t
config_set_store(struct config *c, enum side side, const char *text,
    const struct origin *o, struct buf *errors)
{
	struct store *s = &c->stores[side];
	struct uri *u;
	struct err e;

	if (uri_parse(&u, text, &e) == -1) {
		complain(errors, o->where, "%s: %s", side_names[side], e.text);
		return 1;
	}
	if (s->uri != NULL && s->level > o->level) {
		uri_free(&u);
		return 0;
	}
	if (s->uri != NULL && s->level == LEVEL_FILE &&
	    o->level == LEVEL_FILE) {
		complain(errors, o->where, "uri again; the first is at %s",
		    s->where);
		uri_free(&u);
		return 1;
	}
	config_uri_at(u, o->dir);
	uri_free(&s->uri);
	free(s->where);
	s->uri = u;
	s->where = xstrdup(o->where);
	s->level = o->level;
	return 0;
}

static struct store_opt *
find_opt(const struct store *s, const char *key)
{
	size_t i;

	for (i = 0; i < s->nopts; i++)
		if (strcmp(s->opts[i].key, key) == 0)
			return &s->opts[i];
	return NULL;
}

static bool
is_option_name(const char *key)
{
	struct uri *u = xcalloc(1, sizeof *u);
	int rc = uri_set(u, key, "");

	uri_free(&u);
	return rc == 0;
}

size_t
config_set_store_opt(struct config *c, enum side side, const char *key,
    const char *val, const struct origin *o, struct buf *errors)
{
	struct store *s = &c->stores[side];
	struct store_opt *p = find_opt(s, key);

	if (p == NULL) {
		if (!is_option_name(key)) {
			complain(errors, o->where, "'%.60s' is no name of an "
			    "option", key);
			return 1;
		}
		s->opts = xreallocarray(s->opts, s->nopts + 1,
		    sizeof *s->opts);
		p = &s->opts[s->nopts++];
		memset(p, 0, sizeof *p);
		p->key = xstrdup(key);
	} else if (p->level == LEVEL_FILE && o->level == LEVEL_FILE) {
		complain(errors, o->where, "'%.60s' again; the first is at %s",
		    key, p->where);
		return 1;
	} else if (p->level > o->level)
		return 0;
	free(p->val);
	free(p->where);
	p->val = listed(key, path_options) ?
	    config_path_at(o->dir, val, true) : xstrdup(val);
	p->where = xstrdup(o->where);
	p->level = o->level;
	return 0;
}

/* Checking */

/* The options in a URI's text and those of its section become one. */
static size_t
merge_opts(struct store *s, struct buf *errors)
{
	struct store_opt *p;
	size_t i, bad = 0;

	for (i = 0; i < s->nopts; i++) {
		p = &s->opts[i];
		if (config_uri_get(s->uri, p->key) != NULL) {
			if (p->level == s->level) {
				complain(errors, p->where, "%s is given here "
				    "and in the URI (%s)", p->key, s->where);
				bad++;
				continue;
			}
			if (p->level < s->level)
				continue;
		}
		uri_set(s->uri, p->key, p->val);
		p->in_force = true;
	}
	return bad;
}

const char *
config_opt_where(const struct store *s, const char *key)
{
	const struct store_opt *p = find_opt(s, key);

	return p != NULL && p->in_force ? p->where : s->where;
}

/* Takes lanes= out: it is for the engine. */
static size_t
take_lanes(struct store *s, struct buf *errors)
{
	const char *val = config_uri_get(s->uri, "lanes");
	uint64_t n;

	if (val == NULL)
		return 0;
	if (config_parse_number(config_setting(CFG_LANES), val, &n,
	    config_opt_where(s, "lanes"), errors) == -1)
		return 1;
	s->lanes = (unsigned)n;
	config_uri_drop(s->uri, "lanes");
	return 0;
}

/* The options that the back end for a scheme knows, NULL for no such back
 * end; names lists the schemes there are. */
static const char *const *
backend_options(enum side side, const char *scheme, struct buf *names)
{
	const char *const *schemes, *const *options;
	size_t i, k;

	for (i = 0; ; i++) {
		if (side == SIDE_SOURCE) {
			if (source_table[i] == NULL)
				return NULL;
			schemes = source_table[i]->schemes;
			options = source_table[i]->options;
		} else {
			if (target_table[i] == NULL)
				return NULL;
			schemes = target_table[i]->schemes;
			options = target_table[i]->options;
		}
		for (k = 0; schemes[k] != NULL; k++) {
			if (strcmp(schemes[k], scheme) == 0)
				return options;
			buf_addf(names, " %s:", schemes[k]);
		}
	}
}

/* All options that a store of this scheme may have, for the caller to free;
 * NULL and *e: there is no such kind of store. */
static const char **
known_options(enum side side, const char *scheme, struct err *e)
{
	const char *const *known;
	const char **all = NULL;
	struct buf names;
	size_t n = 0;

	buf_init(&names, 400);
	known = backend_options(side, scheme, &names);
	if (known == NULL)
		err_set(e, ERR_RUN, "'%.40s:' is no kind of %s; there are%s",
		    scheme, side_names[side], names.ptr);
	else {
		while (known[n] != NULL)
			n++;
		all = xcalloc(n + sizeof engine_options /
		    sizeof engine_options[0], sizeof *all);
		memcpy(all, known, n * sizeof *all);
		memcpy(all + n, engine_options, sizeof engine_options);
	}
	buf_release(&names);
	return all;
}

int
config_check_uri(enum side side, const struct uri *u, struct err *e)
{
	const char **known = known_options(side, u->scheme, e);
	int rc;

	if (known == NULL)
		return -1;
	if ((rc = uri_check_opts(u, known, e)) == -1)
		err_ctx(e, "%s:", u->scheme);
	free(known);
	return rc;
}

size_t
config_finish_store(struct config *c, enum side side, bool needed,
    struct buf *errors)
{
	struct store *s = &c->stores[side];
	const char **known;
	struct uri one;
	struct err e;
	size_t i, bad;

	if (s->uri == NULL) {
		if (s->nopts > 0)
			complain(errors, s->opts[0].where,
			    "[%s] has options, but no uri", side_names[side]);
		else if (needed && c->job != NULL)
			complain(errors, c->job, "no uri in a section [%s]",
			    side_names[side]);
		else if (needed)
			complain(errors, "", "no %s: give SOURCE and TARGET, "
			    "or --job", side_names[side]);
		return s->nopts > 0 || needed;
	}
	bad = merge_opts(s, errors);
	if ((known = known_options(side, s->uri->scheme, &e)) == NULL) {
		complain(errors, s->where, "%s", e.text);
		return bad + 1;
	}
	/* One by one: each has its own line in the job file. */
	one = *s->uri;
	one.nopts = 1;
	for (i = 0; i < s->uri->nopts; i++) {
		one.opts = &s->uri->opts[i];
		if (uri_check_opts(&one, known, &e) == -1) {
			complain(errors, config_opt_where(s, one.opts->key),
			    "%s: %s", s->uri->scheme, e.text);
			bad++;
		}
	}
	free(known);
	return bad + take_lanes(s, errors);
}
