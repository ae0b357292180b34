/*
 * Store URIs.
 *
 *	local	SCHEME:PATH[?OPT=VAL[&OPT=VAL]...]
 *	server	SCHEME://[USER@]HOST[:PORT][/PATH][?OPT=VAL...]
 *
 * The first '?' ends the path, '&' ends a value; a value may hold '='.  What
 * lies between "//" and the first '/' or '?' is split at its last '@', so a
 * user may hold '@' and '*'; a ':' in it is taken for a password and refused.
 * An IPv6 address stands in brackets.  {name} is a column, name being letters,
 * digits, '_' and '-'; "{{" is one '{'.
 */
#include "base/uri.h"

#include <ctype.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/buf.h"
#include "base/suggest.h"
#include "base/xmalloc.h"

#define URI_MAX		((size_t)64 * 1024)
#define OPTS_MAX	64
#define COLUMN_MAX	48	/* bytes of a column's name */

static bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool
is_alpha(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool
is_name(char c)
{
	return is_alpha(c) || is_digit(c) || c == '_' || c == '-';
}

static bool
has_control(const char *s)
{
	for (; *s != '\0'; s++)
		if ((unsigned char)*s < 0x20 || *s == 0x7f)
			return true;
	return false;
}

/* Parsing */

/* Text of a list of options, "a=b&c=d"; cut up in place. */
static int
parse_opts(struct uri *u, char *p, struct err *e)
{
	char *next, *val;

	for (; p != NULL; p = next) {
		if ((next = strchr(p, '&')) != NULL)
			*next++ = '\0';
		if (*p == '\0') {
			if (next == NULL && u->nopts == 0)
				break;		/* "null:?" */
			return err_set(e, ERR_RUN,
			    "%s URI: empty option (two '&' in a row, or one "
			    "at an end)", u->scheme);
		}
		if ((val = strchr(p, '=')) == NULL)
			return err_set(e, ERR_RUN, "%s URI: option '%.40s' has "
			    "no value; write it as OPTION=VALUE", u->scheme, p);
		*val++ = '\0';
		for (size_t i = 0; i < u->nopts; i++)
			if (strcmp(u->opts[i].key, p) == 0)
				return err_set(e, ERR_RUN, "%s URI: option "
				    "'%.40s' is given twice", u->scheme, p);
		if (u->nopts == OPTS_MAX)
			return err_set(e, ERR_RUN,
			    "%s URI: more than %d options", u->scheme,
			    OPTS_MAX);
		if (uri_set(u, p, val) == -1)
			return err_set(e, ERR_RUN, "%s URI: '%.40s' is no name "
			    "of an option", u->scheme, p);
	}
	return 0;
}

static int
check_user(const struct uri *u, enum err_scope scope, struct err *e)
{
	if (u->user[0] == '\0')
		return err_set(e, scope, "%s URI: nothing before the '@'",
		    u->scheme);
	if (has_control(u->user))
		return err_set(e, scope,
		    "%s URI: a control character in the user", u->scheme);
	return 0;
}

static int
check_host(const struct uri *u, enum err_scope scope, struct err *e)
{
	const char *colon;

	if (u->host[0] == '\0')
		return err_set(e, scope, "%s URI: no host after '//'",
		    u->scheme);
	/* One ':' alone is a port that came out of a column, not IPv6. */
	if (has_control(u->host) || strpbrk(u->host, " /\"'<>[]@\\") != NULL ||
	    ((colon = strchr(u->host, ':')) != NULL &&
	    strchr(colon + 1, ':') == NULL))
		return err_set(e, scope, "%s URI: '%.60s' is no host name",
		    u->scheme, u->host);
	return 0;
}

static int
parse_port(struct uri *u, const char *p, struct err *e)
{
	unsigned port = 0;
	const char *q;

	for (q = p; is_digit(*q) && port <= 65535; q++)
		port = port * 10 + (unsigned)(*q - '0');
	if (*p == '\0' || *q != '\0' || port == 0 || port > 65535)
		return err_set(e, ERR_RUN,
		    "%s URI: '%.20s' is no port number (1 to 65535)",
		    u->scheme, p);
	u->port = port;
	return 0;
}

/* "[user@]host[:port]"; cut up in place. */
static int
parse_authority(struct uri *u, char *p, struct err *e)
{
	char *at, *colon, *end;

	if ((at = strrchr(p, '@')) != NULL) {
		*at = '\0';
		if (strchr(p, ':') != NULL)
			return err_set(e, ERR_RUN, "%s URI: a ':' before the "
			    "'@'; passwords do not belong into a URI, use "
			    "secret-file=, secret-env= or secret-command=",
			    u->scheme);
		u->user = xstrdup(p);
		if (check_user(u, ERR_RUN, e) == -1)
			return -1;
		p = at + 1;
	}
	if (*p == '[') {
		if ((end = strchr(p, ']')) == NULL)
			return err_set(e, ERR_RUN,
			    "%s URI: the '[' of the address has no ']'",
			    u->scheme);
		*end++ = '\0';
		p++;
		if (*end != '\0' && *end != ':')
			return err_set(e, ERR_RUN,
			    "%s URI: only a port can follow the ']'",
			    u->scheme);
		if (strchr(p, ':') == NULL)
			return err_set(e, ERR_RUN, "%s URI: [%.60s] is no IPv6 "
			    "address", u->scheme, p);
		colon = *end == ':' ? end : NULL;
	} else if ((colon = strchr(p, ':')) != NULL) {
		if (strchr(colon + 1, ':') != NULL)
			return err_set(e, ERR_RUN, "%s URI: an IPv6 address "
			    "stands in brackets: //[%.60s]", u->scheme, p);
	}
	if (colon != NULL)
		*colon++ = '\0';
	u->host = xstrdup(p);
	if (check_host(u, ERR_RUN, e) == -1)
		return -1;
	return colon != NULL ? parse_port(u, colon, e) : 0;
}

static int
parse(struct uri *u, char *p, struct err *e)
{
	char *q;
	size_t n;

	for (q = p; is_alpha(*q) || (q > p && (is_digit(*q) || *q == '+' ||
	    *q == '-' || *q == '.')); q++)
		;
	if (q == p || *q != ':')
		return err_set(e, ERR_RUN, "'%.80s' does not say what kind of "
		    "store it is; write it as KIND:PATH or KIND://HOST, for "
		    "example maildir:/home/anna/Maildir", p);
	u->scheme = xmemdup0(p, (size_t)(q - p));
	for (n = 0; u->scheme[n] != '\0'; n++)
		if (u->scheme[n] >= 'A' && u->scheme[n] <= 'Z')
			u->scheme[n] += 'a' - 'A';
	p = q + 1;
	if ((q = strchr(p, '?')) != NULL)
		*q++ = '\0';
	if (p[0] == '/' && p[1] == '/') {
		char *slash = strchr(p + 2, '/');

		u->path = xstrdup(slash != NULL ? slash + 1 : "");
		if (slash != NULL)
			*slash = '\0';
		if (parse_authority(u, p + 2, e) == -1)
			return -1;
	} else
		u->path = xstrdup(p);
	return parse_opts(u, q, e);
}

int
uri_parse(struct uri **up, const char *text, struct err *e)
{
	struct uri *u;
	char *copy;
	int rc;

	*up = NULL;
	if (strlen(text) > URI_MAX)
		return err_set(e, ERR_RUN, "a URI of more than %zu bytes",
		    URI_MAX);
	u = xcalloc(1, sizeof *u);
	copy = xstrdup(text);
	if ((rc = parse(u, copy, e)) == -1)
		uri_free(&u);
	explicit_bzero(copy, strlen(text));	/* whatever a user put there */
	free(copy);
	*up = u;
	return rc;
}

void
uri_free(struct uri **up)
{
	struct uri *u = *up;
	size_t i;

	if (u == NULL)
		return;
	for (i = 0; i < u->nopts; i++) {
		free(u->opts[i].key);
		free(u->opts[i].val);
	}
	free(u->opts);
	free(u->scheme);
	free(u->user);
	free(u->host);
	free(u->path);
	free(u);
	*up = NULL;
}

/* Columns */

/*
 * What keeps a value from being filled in where a file name is made of it, or
 * NULL.  A value is one part of a name there, never a way.
 */
static const char *
bad_part(const char *val)
{
	if (strcmp(val, ".") == 0 || strcmp(val, "..") == 0)
		return "is no file name";
	if (strchr(val, '/') != NULL)
		return "holds a '/', which could lead out of the tree";
	return NULL;
}

/* A value inside of a command's words (engine/secret.h): one word, whatever it
 * holds. */
static void
add_quoted(struct buf *b, const char *val)
{
	for (; *val != '\0'; val++) {
		if (!isalnum((unsigned char)*val) &&
		    strchr("@._+-", *val) == NULL)
			buf_addc(b, '\\');
		buf_addc(b, *val);
	}
}

/* Where in a path what is the account's begins: the first level with a column
 * that names it, else the last with any column. */
struct own_level { size_t at; bool named; };

static void
note_level(struct own_level *own, const struct buf *b, const char *column)
{
	const char *slash = memrchr(b->ptr, '/', b->len);

	if (own->named)
		return;
	own->at = slash != NULL ? (size_t)(slash + 1 - b->ptr) : 0;
	own->named = strcmp(column, "user") == 0 ||
	    strcmp(column, "local") == 0 ||
	    strcmp(column, "target_user") == 0;
}

/*
 * text with its columns filled in, for the caller to free, or NULL with *e.
 * what names the part for people; is_path: the values become file names.
 */
static char *
fill(const struct uri *u, const char *what, const char *text, bool is_path,
    struct own_level *own, uri_lookup_fn *lookup, void *ctx, struct err *e)
{
	char name[COLUMN_MAX + 1];
	const char *p, *q, *val, *why;
	struct buf b;

	buf_init(&b, URI_MAX);
	for (p = text; *p != '\0'; p = q) {
		if (*p != '{') {
			q = p + strcspn(p, "{");
			buf_add(&b, p, (size_t)(q - p));
			continue;
		}
		if (p[1] == '{') {
			buf_addc(&b, '{');
			q = p + 2;
			continue;
		}
		for (q = p + 1; is_name(*q); q++)
			;
		if (*q != '}' || q == p + 1 ||
		    (size_t)(q - p - 1) > COLUMN_MAX) {
			err_set(e, ERR_RUN, "%s URI: '%.40s' in the %s is no "
			    "{column}; a plain '{' is written '{{'",
			    u->scheme, p, what);
			goto fail;
		}
		memcpy(name, p + 1, (size_t)(q - p - 1));
		name[q - p - 1] = '\0';
		q++;
		if ((val = lookup(ctx, name)) == NULL) {
			err_set(e, ERR_RUN, "%s URI: there is no column "
			    "{%s} for the %s", u->scheme, name, what);
			goto fail;
		}
		if (*val == '\0') {
			err_set(e, ERR_ACCOUNT, "%s URI: column {%s} for the "
			    "%s is empty", u->scheme, name, what);
			goto fail;
		}
		if (is_path && (why = bad_part(val)) != NULL) {
			err_set(e, ERR_ACCOUNT, "%s URI: {%s} is '%.80s', "
			    "which %s", u->scheme, name, val, why);
			goto fail;
		}
		if (own != NULL)
			note_level(own, &b, name);
		if (strcmp(what, "secret-command") != 0)
			buf_adds(&b, val);
		else if (*val != '-')
			add_quoted(&b, val);
		else {
			err_set(e, ERR_ACCOUNT, "%s URI: {%s} is '%.80s', "
			    "which secret-command could take for an option",
			    u->scheme, name, val);
			goto fail;
		}
	}
	if (b.full) {
		err_set(e, ERR_ACCOUNT, "%s URI: the %s gets longer than "
		    "%zu bytes", u->scheme, what, URI_MAX);
		goto fail;
	}
	return buf_detach(&b, NULL);
fail:
	buf_release(&b);
	return NULL;
}

int
uri_fill(struct uri **up, const struct uri *u, uri_lookup_fn *lookup,
    void *ctx, struct err *e)
{
	/* Options of servers that name files here. */
	static const char *const path_options[] = {
		"ca", "cert", "key", "secret-file", NULL };
	struct uri *f = xcalloc(1, sizeof *f);
	struct own_level own = { 0, false };
	bool is_path;
	char *val;
	size_t i;

	*up = NULL;
	f->scheme = xstrdup(u->scheme);
	f->port = u->port;
	if (u->user != NULL && ((f->user = fill(u, "user", u->user, false,
	    NULL, lookup, ctx, e)) == NULL || check_user(f, ERR_ACCOUNT, e) == -1))
		goto fail;
	if (u->host != NULL && ((f->host = fill(u, "host", u->host, false,
	    NULL, lookup, ctx, e)) == NULL || check_host(f, ERR_ACCOUNT, e) == -1))
		goto fail;
	if ((f->path = fill(u, "path", u->path, u->host == NULL, &own, lookup,
	    ctx, e)) == NULL)
		goto fail;
	f->own = own.at;
	for (i = 0; i < u->nopts; i++) {
		const char *key = u->opts[i].key, *t = u->opts[i].val;

		is_path = u->host == NULL || strchr(t, '/') != NULL ||
		    listed(key, path_options);
		if ((val = fill(u, key, t, is_path, NULL, lookup, ctx,
		    e)) == NULL)
			goto fail;
		uri_set(f, key, val);
		free(val);
	}
	*up = f;
	return 0;
fail:
	uri_free(&f);
	return -1;
}

/* Options */

const char *
uri_opt(struct uri *u, const char *key)
{
	size_t i;

	for (i = 0; i < u->nopts; i++)
		if (strcmp(u->opts[i].key, key) == 0) {
			u->opts[i].used = true;
			return u->opts[i].val;
		}
	return NULL;
}

int
uri_set(struct uri *u, const char *key, const char *val)
{
	size_t i;

	if (*key == '\0')
		return -1;
	for (i = 0; key[i] != '\0'; i++)
		if (!is_name(key[i]))
			return -1;
	for (i = 0; i < u->nopts; i++)
		if (strcmp(u->opts[i].key, key) == 0) {
			char *copy = xstrdup(val);	/* val may be ours */

			free(u->opts[i].val);
			u->opts[i].val = copy;
			return 0;
		}
	u->opts = xreallocarray(u->opts, u->nopts + 1, sizeof *u->opts);
	u->opts[u->nopts].key = xstrdup(key);
	u->opts[u->nopts].val = xstrdup(val);
	u->opts[u->nopts].used = false;
	u->nopts++;
	return 0;
}

int
uri_check_opts(const struct uri *u, const char *const *known, struct err *e)
{
	const char *key, *near;
	size_t i;

	for (i = 0; i < u->nopts; i++) {
		key = u->opts[i].key;
		if (listed(key, known))
			continue;
		if ((near = suggest(key, known)) != NULL)
			return err_set(e, ERR_RUN, "unknown option '%.60s'; "
			    "did you mean '%s'?", key, near);
		return err_set(e, ERR_RUN, "unknown option '%.60s'", key);
	}
	return 0;
}

/* For people */

static bool
is_secret(const char *key)
{
	static const char *const words[] = {
		"secret", "password", "passwd", "pass", "token", NULL
	};
	size_t i;

	for (i = 0; words[i] != NULL; i++)
		if (strncasecmp(key, words[i], strlen(words[i])) == 0)
			return true;
	return false;
}

char *
uri_show(const struct uri *u)
{
	struct buf b;
	char sep = '?';
	size_t i;

	buf_init(&b, SIZE_MAX / 4);
	buf_addf(&b, "%s:", u->scheme);
	if (u->host != NULL) {
		buf_adds(&b, "//");
		if (u->user != NULL)
			buf_addf(&b, "%s@", u->user);
		buf_addf(&b, strchr(u->host, ':') != NULL ? "[%s]" : "%s",
		    u->host);
		if (u->port != 0)
			buf_addf(&b, ":%u", u->port);
		if (u->path[0] != '\0')
			buf_addc(&b, '/');
	}
	buf_adds(&b, u->path);
	for (i = 0; i < u->nopts; i++) {
		if (is_secret(u->opts[i].key))
			continue;
		buf_addf(&b, "%c%s=%s", sep, u->opts[i].key, u->opts[i].val);
		sep = '&';
	}
	return buf_detach(&b, NULL);
}
