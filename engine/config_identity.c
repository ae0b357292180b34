/* What makes a store that store. */
#include "config_impl.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/xmalloc.h"

/* Appends an absolute path without empty and "." levels. */
static void
add_path(struct buf *b, const char *path)
{
	const char *end;
	char *cwd;

	if (*path != '/' && (cwd = getcwd(NULL, 0)) != NULL) {
		buf_adds(b, strcmp(cwd, "/") == 0 ? "" : cwd);
		free(cwd);
	}
	for (; *path != '\0'; path = end) {
		path += strspn(path, "/");
		end = path + strcspn(path, "/");
		if (end > path && !(end - path == 1 && *path == '.')) {
			buf_addc(b, '/');
			buf_add(b, path, (size_t)(end - path));
		}
	}
}

/* The user in it, for the caller to free. */
static char *
owner_of(const struct uri *u)
{
	char *user;

	if (config_uri_get(u, "authzid") == NULL && u->path[0] != '\0' &&
	    strncmp(u->scheme, "imap", 4) != 0)
		return xstrdup(u->path);
	user = config_uri_user(u);
	return user != NULL ? user : xstrdup("");
}

char *
config_identity(const struct uri *u, void (*fold)(char *))
{
	bool imap = strcmp(u->scheme, "imap") == 0 ||
	    strcmp(u->scheme, "imaps") == 0;
	const char *prefix, *account;
	struct buf b;
	char *owner;
	size_t i;

	if (strcmp(u->scheme, "null") == 0)
		return NULL;
	buf_init(&b, SIZE_MAX / 4);
	if (config_is_path(u)) {
		buf_adds(&b, "file:");
		add_path(&b, u->path);
	} else {
		owner = owner_of(u);
		if (fold != NULL)
			fold(owner);
		buf_addf(&b, "%s:%s", imap ? "imap" : u->scheme, owner);
		free(owner);
	}
	if (u->host != NULL) {
		buf_addc(&b, '@');
		for (i = 0; u->host[i] != '\0'; i++)
			buf_addc(&b, u->host[i] >= 'A' && u->host[i] <= 'Z' ?
			    (char)(u->host[i] + 'a' - 'A') : u->host[i]);
		if (b.ptr[b.len - 1] == '.')
			b.ptr[--b.len] = '\0';
		if (u->port != 0 && !(imap && (u->port == 143 ||
		    u->port == 993)))
			buf_addf(&b, ":%u", u->port);
	}
	if ((prefix = config_uri_get(u, "prefix")) != NULL)
		buf_addf(&b, "?prefix=%s", prefix);
	if ((prefix = config_uri_get(u, "shared")) != NULL)
		buf_addf(&b, "?shared=%s", prefix);
	/* An account of a base directory that holds many. */
	if (strcmp(u->scheme, "cgp") == 0 &&
	    (account = config_uri_get(u, "account")) != NULL)
		buf_addf(&b, "?account=%s", account);
	return buf_detach(&b, NULL);
}
