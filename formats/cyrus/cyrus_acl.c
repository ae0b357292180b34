/*
 * Access rights, which are a field of each mailbox:
 *
 *	ACL	= *(who TAB letters TAB)
 *
 * who is a user id, "anyone", or one of those with "-" before it, whose rights
 * are taken away.  Besides the letters of RFC 4314 Cyrus keeps c and d of the
 * older standard with what they stand for, and n and digits of its own.
 *
 * The names that a user's mailboxes have for others are the internal ones.
 */
#include <string.h>
#include <strings.h>
#include <time.h>

#include "acl.h"
#include "base/fault.h"
#include "cyrus/cyrus_impl.h"

#define TRIES	20	/* while others change the mailbox */
#define ENTRIES_MAX ((size_t)20000)

/* The entry at *p; false: there is none (any more). */
static bool
next_entry(const char **p, const char **who, size_t *nwho,
    const char **letters, size_t *nletters)
{
	const char *tab = strchr(*p, '\t'), *end;

	if (tab == NULL)
		return false;
	end = strchrnul(tab + 1, '\t');
	*who = *p;
	*nwho = (size_t)(tab - *p);
	*letters = tab + 1;
	*nletters = (size_t)(end - tab - 1);
	*p = *end == '\t' ? end + 1 : end;
	return true;
}

void
cyrus_acl_read(const char *text, struct arena *a, struct acl_entry **acl,
    size_t *n)
{
	const char *p = text, *who, *letters;
	size_t nwho, nletters, count = 0;
	char rights[ACL_MAX];

	for (*n = 0; *p != '\0'; p++)
		count += *p == '\t';
	*acl = arena_alloc(a, (count / 2 + 1) * sizeof **acl);
	for (p = text; *n < ENTRIES_MAX && next_entry(&p, &who, &nwho,
	    &letters, &nletters); ) {
		acl_told(arena_memdup0(a, letters, nletters), true, rights);
		(*acl)[*n].who = arena_memdup0(a, who, nwho);
		(*acl)[(*n)++].rights = arena_strdup(a, rights);
	}
}

/* Letters as Cyrus writes them. */
static void
put_letters(struct buf *out, const char *rights)
{
	static const char order[] = "lrswipkxtecdan";
	char older[ACL_MAX];

	acl_older(rights, older);
	for (const char *p = order; *p != '\0'; p++)
		if (strchr(rights, *p) != NULL || (strchr("cd", *p) != NULL &&
		    strchr(older, *p) != NULL))
			buf_addc(out, *p);
}

static void
put_entry(struct buf *out, const char *who, size_t len, const char *rights)
{
	buf_add(out, who, len);
	buf_addc(out, '\t');
	put_letters(out, rights);
	buf_addc(out, '\t');
}

void
cyrus_acl_with(struct buf *out, const char *text, const char *who,
    const char *rights)
{
	const char *p = text, *old, *letters;
	size_t nold, nletters, len = strlen(who);
	bool done = rights[0] == '\0';

	while (next_entry(&p, &old, &nold, &letters, &nletters)) {
		if (nold != len || strncasecmp(old, who, len) != 0) {
			buf_add(out, old, nold);
			buf_addc(out, '\t');
			buf_add(out, letters, nletters);
			buf_addc(out, '\t');
		} else if (!done) {
			put_entry(out, who, len, rights);
			done = true;
		}
	}
	if (!done)
		put_entry(out, who, len, rights);
}

static int
not_there(const char *name, struct err *e)
{
	return err_set(e, ERR_MAILBOX, "%.100s is not at the target (any "
	    "more)", name);
}

int
cyrus_acl(struct target *t, struct arena *a, const char *name,
    struct acl_entry **acl, size_t *n, struct err *e)
{
	struct cyrus_target *c = (struct cyrus_target *)t;
	struct cyrus_box b;
	int rc;

	cyrus_box_init(&b);
	rc = cyrus_target_box(c, name, &b, e);
	if (rc == 1)
		cyrus_acl_read(b.acl.ptr, a, acl, n);
	else if (rc == 0)
		rc = not_there(name, e);
	cyrus_box_release(&b);
	return rc;
}

/* One reading of the mailbox and one answer to it: 1 done, 0 it has changed in
 * between, -1. */
static int
attempt(struct cyrus_target *c, const char *name, const char *who,
    const char *rights, struct err *e)
{
	struct cyrus_box b;
	struct buf acl;
	int rc;

	cyrus_box_init(&b);
	buf_init(&acl, DLIST_TOKEN_MAX);
	rc = cyrus_target_box(c, name, &b, e);
	if (rc == 0)
		rc = not_there(name, e);
	if (rc == 1) {
		cyrus_acl_with(&acl, b.acl.ptr, who, rights);
		if (acl.full)
			rc = err_set(e, ERR_MAILBOX, "more rights than Cyrus "
			    "takes");
	}
	if (rc == 1 && (acl.len != b.acl.len || memcmp(acl.ptr, b.acl.ptr,
	    acl.len) != 0)) {
		buf_reset(&b.acl);
		buf_add(&b.acl, acl.ptr, acl.len);
		fault_point("cyrus.before_acl");
		rc = cyrus_put_box(c, &b, b.modseq, "set rights over", e);
		rc = rc == 0 ? 1 : e->retry && !c->c.y->dead ? 0 : -1;
	}
	buf_release(&acl);
	cyrus_box_release(&b);
	return rc;
}

int
cyrus_set_acl(struct target *t, const char *name, const char *who,
    const char *rights, struct err *e)
{
	struct cyrus_target *c = (struct cyrus_target *)t;
	struct timespec pause = { 0, 50 * 1000000 };
	struct cyrus_names n;
	bool anyone = strcmp(who, "anyone") == 0;
	int rc = 0;

	if (!anyone && cyrus_names_of(&n, &c->c.names, who) == -1) {
		err_set(e, ERR_MAILBOX, "\"%.100s\" is no user name that Cyrus "
		    "could have", who);
		return 0;
	}
	for (unsigned i = 0; i < TRIES && rc == 0; i++) {
		if (i > 0)
			nanosleep(&pause, NULL);
		rc = attempt(c, name, anyone ? who : n.user, rights, e);
	}
	if (!anyone)
		cyrus_names_release(&n);
	if (rc == -1 && !c->c.y->dead && !e->retry)
		return 0;
	return rc == 1 ? 1 : -1;
}

int
cyrus_foreign_name(struct target *t, struct arena *a, const char *owner,
    const char *name, const char **foreign)
{
	const struct cyrus_names *own = &((struct cyrus_target *)t)->c.names;
	struct cyrus_names n;
	struct buf b;
	int rc = 0;

	/* Of two domains with shared mailboxes it could be either. */
	if (owner == NULL && strchr(own->inbox, '!') != NULL)
		return 0;
	buf_init(&b, 2000);
	if (owner == NULL) {
		buf_addc(&b, '!');
		for (const char *p = name; *p != '\0'; p++)
			buf_addc(&b, *p == own->rules.sep ? '.' : *p == '.' ?
			    '^' : *p);
		rc = 1;
	} else if (cyrus_names_of(&n, own, owner) == 0) {
		buf_addc(&b, '!');
		rc = cyrus_internal(&n, name, &b) == 0;
		cyrus_names_release(&n);
	}
	if (rc == 1)
		*foreign = arena_memdup0(a, b.ptr, b.len);
	buf_release(&b);
	return rc;
}
