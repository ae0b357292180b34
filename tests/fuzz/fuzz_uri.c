/*
 * Store URIs: what is parsed can be shown and parsed again to the same, and
 * columns never lead out of the template's tree.
 */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/uri.h"
#include "base/xmalloc.h"

int	LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *
lookup(void *ctx, const char *name)
{
	static const char *const vals[] = {
		"..", ".", "a/b", "/", "", "x", "a@b", "{user}", "y?z=1&w",
		"::1" };

	(void)ctx;
	/* The length of the name chooses; "no" is no column. */
	if (strcmp(name, "no") == 0)
		return NULL;
	return vals[strlen(name) % (sizeof vals / sizeof vals[0])];
}

static size_t
levels(const char *path, const char *what)
{
	size_t n = 0, len = strlen(what);

	for (;;) {
		if (strncmp(path, what, len) == 0 &&
		    (path[len] == '/' || path[len] == '\0'))
			n++;
		if ((path = strchr(path, '/')) == NULL)
			return n;
		path++;
	}
}

static size_t
slashes(const char *path)
{
	size_t n = 0;

	for (; *path != '\0'; path++)
		n += *path == '/';
	return n;
}

static int
has_secret(const struct uri *u)
{
	char *s = uri_show(u);
	size_t i, n = 0;
	const char *p = strchr(s, '?');

	/* Options left out by uri_show() are missing in their number. */
	for (; p != NULL && *p != '\0'; p++)
		n += *p == '?' || *p == '&';
	for (i = 0; i < u->nopts; i++)
		for (p = u->opts[i].val; *p != '\0'; p++)
			n -= *p == '?';
	free(s);
	return n != u->nopts;
}

static void
show_again(const struct uri *u)
{
	char *one = uri_show(u), *two;
	struct uri *v;
	struct err e;

	if (!has_secret(u)) {
		assert(uri_parse(&v, one, &e) == 0);
		two = uri_show(v);
		assert(strcmp(one, two) == 0);
		assert(v->port == u->port && v->nopts == u->nopts);
		free(two);
		uri_free(&v);
	}
	free(one);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const known[] = {
		"tls", "authzid", "secret-file", "layout", NULL };
	char *text = xmemdup0(data, size);
	struct uri *u, *f;
	struct err e;
	size_t i;

	if (uri_parse(&u, text, &e) == 0) {
		assert(u->scheme != NULL && u->path != NULL);
		show_again(u);
		if (uri_fill(&f, u, lookup, NULL, &e) == 0) {
			assert(f->nopts == u->nopts && f->port == u->port);
			if (f->host == NULL) {
				assert(slashes(f->path) == slashes(u->path));
				assert(levels(f->path, "..") ==
				    levels(u->path, ".."));
			}
			for (i = 0; i < f->nopts; i++)
				assert(uri_opt(f, f->opts[i].key) ==
				    f->opts[i].val);
			uri_free(&f);
		} else {
			assert(f == NULL && e.scope != ERR_NONE);
			assert(e.text[0] != '\0');
		}
		if (uri_check_opts(u, known, &e) == -1)
			assert(strstr(e.text, "unknown option") != NULL);
		uri_free(&u);
	} else
		assert(u == NULL && e.text[0] != '\0');
	free(text);
	return 0;
}
