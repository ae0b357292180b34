/*
 * Access rights over IMAP (RFC 4314, RFC 2086), in the owner's own session:
 *
 *	* ACL mailbox (SP who SP letters) ...
 *
 * and the names that mailboxes have for other users (RFC 2342).
 */
#include <string.h>
#include <strings.h>

#include "acl.h"
#include "imap/imap_store.h"

#define ENTRIES_MAX	((size_t)20000)

/* A word, whichever way it is written. */
static int
word(struct imap_reader *r, struct imap_token *t, struct err *e)
{
	if (imap_read_token(r, t, e) == -1 || imap_token_string(r, t, e) == -1)
		return -1;
	if (t->type == IMAP_OPEN || t->type == IMAP_CLOSE)
		return imap_protocol(r, "access rights that are none", e);
	return 0;
}

int
imap_acl_read(struct imap_reader *r, bool newer, struct arena *a,
    struct acl_entry **acl, size_t *n, struct err *e)
{
	struct acl_entry *list = NULL;
	char rights[ACL_MAX];
	struct imap_token t;
	size_t room = 0;
	const char *who;

	*n = 0;
	if (word(r, &t, e) == -1)	/* the mailbox */
		return -1;
	while (t.type != IMAP_END) {
		if (word(r, &t, e) == -1)
			return -1;
		if (t.type == IMAP_END)
			break;
		who = arena_memdup0(a, t.p, t.len);
		if (word(r, &t, e) == -1)
			return -1;
		if (t.type == IMAP_END)
			return imap_protocol(r, "access rights without "
			    "letters", e);
		if (*n == room) {
			room = room == 0 ? 8 : 2 * room;
			if (room > ENTRIES_MAX)
				return imap_protocol(r, "too many access "
				    "rights", e);
			*acl = arena_alloc(a, room * sizeof *list);
			if (*n > 0)
				memcpy(*acl, list, *n * sizeof *list);
			list = *acl;
		}
		acl_told(t.p, newer, rights);
		list[*n].who = who;
		list[(*n)++].rights = arena_strdup(a, rights);
	}
	return 0;
}

struct asked {
	struct arena	*arena;
	struct acl_entry *acl;
	size_t		 n;
};

static int
acl_data(struct imap_session *s, struct imap_response *rs, void *ctx,
    struct err *e)
{
	struct asked *q = ctx;

	if (rs->kind != IMAP_DATA || strcmp(rs->name, "ACL") != 0)
		return 0;
	return imap_acl_read(&s->r, (s->caps & CAP_RIGHTS) != 0, q->arena,
	    &q->acl, &q->n, e);
}

int
imap_store_acl(struct target *t, struct arena *a, const char *name,
    struct acl_entry **acl, size_t *n, struct err *e)
{
	struct imap_store *m = (struct imap_store *)t;
	struct asked q = { .arena = a };
	struct imap_response rs;
	struct buf cmd;
	int rc;

	if (!(m->s->caps & CAP_ACL)) {
		err_set(e, ERR_ACCOUNT, "the server has no access rights "
		    "(ACL)");
		return 0;
	}
	buf_init(&cmd, 1 << 13);
	buf_adds(&cmd, "GETACL ");
	if (imap_quote(&cmd, name, strlen(name)) == -1)
		rc = err_set(e, ERR_MAILBOX, "the mailbox name cannot be sent");
	else
		rc = imap_store_noted(m, imap_run(m->s, cmd.ptr, acl_data, &q,
		    &rs, e), e);
	buf_release(&cmd);
	if (rc == 0) {
		imap_no(&rs, ERR_MAILBOX, e, "GETACL %.100s", name);
		return e->retry ? -1 : 0;
	}
	*acl = q.acl;
	*n = q.n;
	return rc;
}

/*
 * Dovecot says BAD where others say NO, to "anyone" if it is not configured for
 * that [tested].  A command without literals has ended with its answer, so that
 * the session goes on.  1, 0 (*rs), -1.
 */
static int
bear_bad(struct imap_session *s, const char *cmd, struct imap_response *rs,
    struct err *e)
{
	unsigned tag;

	if (!s->dead)
		imap_stream_limits(s->st, s->timeout_s, 10 * s->timeout_s);
	if (imap_send(s, cmd, &tag, e) == -1 || imap_flush(s, e) == -1)
		return -1;
	do
		if (imap_response(s, rs, e) == -1)
			return -1;
	while (rs->kind == IMAP_STATUS || rs->kind == IMAP_DATA);
	if (!imap_tag_is(rs, tag)) {
		imap_protocol(&s->r, "an answer to another command", e);
		s->dead = true;
		return -1;
	}
	return rs->status == IMAP_OK;
}

int
imap_store_set_acl(struct target *t, const char *name, const char *who,
    const char *rights, struct err *e)
{
	struct imap_store *m = (struct imap_store *)t;
	struct imap_response rs;
	char older[ACL_MAX];
	struct buf cmd;
	int rc;

	if (!(m->s->caps & CAP_RIGHTS)) {
		acl_older(rights, older);
		rights = older;
	}
	buf_init(&cmd, 1 << 14);
	/* Dovecot keeps an entry of no rights, else. */
	buf_addf(&cmd, "%s ", rights[0] != '\0' ? "SETACL" : "DELETEACL");
	if (imap_quote(&cmd, name, strlen(name)) == -1 ||
	    buf_addc(&cmd, ' ') == -1 ||
	    imap_quote(&cmd, who, strlen(who)) == -1 ||
	    (rights[0] != '\0' && (buf_addc(&cmd, ' ') == -1 ||
	    imap_quote(&cmd, rights, strlen(rights)) == -1))) {
		err_set(e, ERR_MAILBOX, "such a name cannot be sent");
		rc = 0;
	} else {
		rc = imap_store_noted(m, bear_bad(m->s, cmd.ptr, &rs, e), e);
		if (rc == 0)
			imap_no(&rs, ERR_MAILBOX, e, "rights over %.100s for "
			    "%.100s", name, who);
		if (rc == 0 && e->retry)
			rc = -1;
	}
	buf_release(&cmd);
	return rc;
}

int
imap_store_foreign_name(struct target *t, struct arena *a, const char *owner,
    const char *name, const char **foreign)
{
	const struct imap_store *m = (const struct imap_store *)t;
	const struct imap_session *s = m->s;
	char sep[2] = { s->sep != '\0' ? s->sep : '/', '\0' };
	size_t prefix = strlen(m->rules.prefix);
	char *user, *p;

	if (owner == NULL) {
		/* Admins of Cyrus see shared mailboxes at the top. */
		if (s->shared == NULL)
			return 0;
		*foreign = arena_printf(a, "%s%s", strncmp(name, s->shared,
		    strlen(s->shared)) == 0 ? "" : s->shared, name);
		return 1;
	}
	if (s->users == NULL || s->users[0] == '\0' || owner[0] == '\0')
		return 0;
	user = arena_strdup(a, owner);
	for (p = user; *p != '\0'; p++)
		if (*p == sep[0] && sep[0] == '.')
			*p = '^';	/* Cyrus' own way */
		else if (*p == sep[0])
			return 0;
	if (strcasecmp(name, "INBOX") == 0)
		name = "";		/* the user's top [tested] */
	else if (prefix > 0 && strncmp(name, m->rules.prefix, prefix) == 0)
		name += prefix;
	*foreign = arena_printf(a, "%s%s%s%s", s->users, user,
	    name[0] != '\0' ? sep : "", name);
	return 1;
}
