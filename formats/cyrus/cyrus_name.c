/* Names: a mailbox of a user as people see it, and as the protocol wants it. */
#include "cyrus/cyrus_name.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/xmalloc.h"

#define INTERNAL_MAX	490	/* 510 from 3.8 on */
#define USER_MAX	200

static bool
user_byte(char c)
{
	return c > ' ' && c < 0x7f && strchr("/^%*!\"\\{}()<>;|`", c) == NULL;
}

static bool
user_ok(const char *u)
{
	size_t n = strlen(u);

	if (n == 0 || n > USER_MAX || strcasecmp(u, "anyone") == 0 ||
	    strcasecmp(u, "anonymous") == 0 || u[0] == '.' ||
	    u[0] == '@' || u[n - 1] == '@')
		return false;
	for (const char *p = u; *p != '\0'; p++)
		if (!user_byte(*p))
			return false;
	return true;
}

int
cyrus_names_init(struct cyrus_names *n, const char *user, bool unixsep,
    bool virt, const char *defaultdomain)
{
	const char *at;
	struct buf b;

	memset(n, 0, sizeof *n);
	if (!user_ok(user))
		return -1;
	n->rules.dialect = IMAP_CYRUS;
	n->rules.sep = unixsep ? '/' : '.';
	n->rules.prefix = "";
	n->user = xstrdup(user);
	for (char *p = n->user; *p != '\0'; p++)
		if (*p >= 'A' && *p <= 'Z')
			*p = (char)(*p + 'a' - 'A');
	n->virt = virt;
	n->defaultdomain = defaultdomain != NULL ? xstrdup(defaultdomain) :
	    NULL;
	at = strrchr(n->user, '@');
	if (!virt)
		at = NULL;
	/* To Cyrus, users of its own domain have none. */
	if (at != NULL && at > n->user && defaultdomain != NULL &&
	    strcasecmp(at + 1, defaultdomain) == 0) {
		n->user[at - n->user] = '\0';
		at = NULL;
	}
	buf_init(&b, 1000);
	if (at != NULL)
		buf_addf(&b, "%s!", at + 1);
	buf_adds(&b, "user.");
	for (const char *p = n->user; *p != '\0' && p != at; p++)
		buf_addc(&b, *p == '.' ? '^' : *p);
	n->inbox = buf_detach(&b, NULL);
	return 0;
}

void
cyrus_names_release(struct cyrus_names *n)
{
	free(n->user);
	free(n->inbox);
	free(n->defaultdomain);
	memset(n, 0, sizeof *n);
}

int
cyrus_names_of(struct cyrus_names *n, const struct cyrus_names *like,
    const char *user)
{
	return cyrus_names_init(n, user, like->rules.sep == '/', like->virt,
	    like->defaultdomain);
}

int
cyrus_names_owner(struct cyrus_names *n, const struct cyrus_names *like,
    const char *internal)
{
	const char *bang = strchr(internal, '!'), *p = internal;
	struct buf b;
	int rc = -1;

	if (bang != NULL)
		p = bang + 1;
	if (strncmp(p, "user.", 5) != 0)
		return -1;
	buf_init(&b, 1000);
	for (p += 5; *p != '\0' && *p != '.'; p++)
		buf_addc(&b, *p == '^' ? '.' : *p);
	if (bang != NULL) {
		buf_addc(&b, '@');
		buf_add(&b, internal, (size_t)(bang - internal));
	}
	if (!b.full)
		rc = cyrus_names_of(n, like, b.ptr);
	buf_release(&b);
	return rc;
}

int
cyrus_internal(const struct cyrus_names *n, const char *seen, struct buf *out)
{
	size_t start = out->len;

	if (seen[0] == '!') {
		buf_adds(out, seen + 1);
		return out->full || out->len - start > INTERNAL_MAX ? -1 : 0;
	}
	buf_adds(out, n->inbox);
	if (strcmp(seen, "INBOX") != 0) {
		buf_addc(out, '.');
		for (const char *p = seen; *p != '\0'; p++)
			buf_addc(out, *p == n->rules.sep ? '.' : *p == '.' ?
			    '^' : *p);
	}
	return out->full || out->len - start > INTERNAL_MAX ? -1 : 0;
}

int
cyrus_seen(const struct cyrus_names *n, const char *internal, struct buf *out)
{
	size_t len = strlen(n->inbox);

	if (strncmp(internal, n->inbox, len) != 0)
		return -1;
	if (internal[len] == '\0')
		return buf_adds(out, "INBOX");
	if (internal[len] != '.' || internal[len + 1] == '\0')
		return -1;
	for (const char *p = internal + len + 1; *p != '\0'; p++)
		buf_addc(out, *p == '.' ? n->rules.sep : *p == '^' &&
		    n->rules.sep != '.' ? '.' : *p);
	return out->full ? -1 : 0;
}
