/* An account whose place is a part of the shared namespace. */
#include "imap/imap_shared.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/mutf7.h"
#include "base/xmalloc.h"

#define ALL_RIGHTS	"lrswipkxtea"

int
imap_shared_rules(struct imap_session *s, struct uri *u,
    struct imap_name_rules *rules, char **prefix, struct err *e)
{
	const char *path = uri_opt(u, "shared");
	struct imap_name_rules top = *rules;
	const char *levels[64];
	char *copy, *p, *level;
	struct buf b;
	size_t n = 0;
	bool encoded;
	int rc = 0;

	if (path == NULL)
		return 0;
	if (s->shared == NULL || s->sep == '\0')
		return err_set(e, ERR_ACCOUNT, "shared=%.100s: the server "
		    "tells of no shared namespace", path);
	copy = p = xstrdup(path);
	while ((level = strsep(&p, "/")) != NULL && n < 64)
		if (level[0] != '\0')
			levels[n++] = level;
	top.prefix = s->shared;
	top.others = &s->others;
	buf_init(&b, 1 << 12);
	/* Without a level of its own it could be anybody's mailbox. */
	if (n == 0 || imap_name_make(&top, &b, levels, n, &encoded) == -1 ||
	    encoded || strcmp(b.ptr, "INBOX") == 0)
		rc = err_set(e, ERR_ACCOUNT, "shared=%.100s: no name that a "
		    "shared mailbox of this server can have", path);
	for (size_t i = 0; rc == 0 && i < s->others.n; i++)
		if (s->others.w[i][0] != '\0' && strcmp(s->others.w[i],
		    s->shared) != 0 && (strncmp(b.ptr, s->others.w[i],
		    strlen(s->others.w[i])) == 0 || (strlen(s->others.w[i]) ==
		    b.len + 1 && strncmp(b.ptr, s->others.w[i], b.len) == 0)))
			rc = err_set(e, ERR_ACCOUNT, "shared=%.100s: is where "
			    "mailboxes of users are", path);
	if (rc == 0) {
		s->root = xstrdup(b.ptr);
		buf_addc(&b, s->sep);
		free(*prefix);
		*prefix = xstrdup(b.ptr);
		rules->root = s->root;
		rules->prefix = *prefix;
	}
	buf_release(&b);
	free(copy);
	return rc;
}

int
imap_shared_own(struct imap_store *m, const char *name, bool fresh,
    struct err *e)
{
	const char *me = m->t.conf.uri->user;
	struct acl_entry *acl;
	bool mine = false;
	struct arena a;
	size_t n;
	int rc;

	if (!(m->s->caps & CAP_ACL) || me == NULL)
		return 0;
	arena_init(&a);
	rc = imap_store_acl(&m->t, &a, name, &acl, &n, e);
	for (size_t i = 0; i < n && rc == 1; i++)
		if (strcasecmp(acl[i].who, me) == 0)
			mine = strspn(ALL_RIGHTS, acl[i].rights) ==
			    strlen(ALL_RIGHTS);
	if (rc == 1 && !mine)
		rc = imap_store_set_acl(&m->t, name, me, ALL_RIGHTS, e);
	for (size_t i = 0; i < n && rc == 1 && fresh; i++)
		if (strcasecmp(acl[i].who, me) != 0)
			rc = imap_store_set_acl(&m->t, name, acl[i].who, "",
			    e);
	arena_release(&a);
	if (rc == 0) {
		e->scope = ERR_MAILBOX;
		rc = -1;
	}
	return rc == -1 ? err_ctx(e, "a shared mailbox") : 0;
}

int
imap_shared_root(struct imap_store *m, struct err *e)
{
	struct imap_box box;
	struct buf cmd;
	int rc;

	rc = imap_store_noted(m, imap_status(m->s, m->s->root, &box, e), e);
	if (rc != 0)
		return rc == -1 ? -1 : 0;
	buf_init(&cmd, 1 << 13);
	buf_adds(&cmd, "CREATE ");
	if (imap_quote(&cmd, m->s->root, strlen(m->s->root)) == -1)
		rc = err_set(e, ERR_ACCOUNT, "the name cannot be sent");
	else
		rc = imap_store_noted(m, imap_small(m->s, cmd.ptr, e), e);
	buf_release(&cmd);
	if (rc == 0)
		return imap_small_no(m->s, ERR_ACCOUNT, e, "CREATE %.100s",
		    m->s->root);
	return rc == -1 ? -1 : imap_shared_own(m, m->s->root, true, e);
}
