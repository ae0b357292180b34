/* Quotas over IMAP: what a server tells, and setting them as an admin. */
#include "imap/imap_quota.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "imap/imap_store.h"

/* "NAME usage limit", its name read already: kept if it is well-formed. */
static int
resource(struct imap_reader *r, struct imap_quota *q, const char *name,
    struct err *e)
{
	struct imap_token t;
	uint64_t v = 0;
	int rc = -1;

	for (int i = 0; i < 2; i++) {
		if (imap_read_token(r, &t, e) == -1)
			return -1;
		if (t.type != IMAP_ATOM)
			return imap_protocol(r, "a quota without numbers", e);
		rc = imap_token_number(&t, INT64_MAX / IMAP_QUOTA_KIB, &v);
	}
	if (rc == -1)
		return 0;	/* a limit of -1 is one that is not there */
	if (q->n == IMAP_QUOTA_MAX || strlen(name) >= sizeof q->res[0].name) {
		q->more = true;
		return 0;
	}
	snprintf(q->res[q->n].name, sizeof q->res[0].name, "%.*s",
	    (int)sizeof q->res[0].name - 1, name);
	q->res[q->n++].limit = v;
	return 0;
}

int
imap_quota_read(struct imap_reader *r, struct imap_quota *q, struct err *e)
{
	struct imap_token t;
	char name[100];

	memset(q, 0, sizeof *q);
	if (imap_read_token(r, &t, e) == -1)
		return -1;
	if (t.type != IMAP_ATOM && t.type != IMAP_STRING &&
	    t.type != IMAP_LITERAL)
		return imap_protocol(r, "a quota without a root", e);
	if (imap_skip_value(r, &t, e) == -1 || imap_read_token(r, &t, e) == -1)
		return -1;
	if (t.type != IMAP_OPEN)
		return imap_protocol(r, "a quota without a list", e);
	for (;;) {
		if (imap_read_token(r, &t, e) == -1)
			return -1;
		if (t.type == IMAP_CLOSE)
			return imap_skip_line(r, e);
		if (t.type != IMAP_ATOM)
			return imap_protocol(r, "a quota of no name", e);
		snprintf(name, sizeof name, "%.99s", t.p);
		if (resource(r, q, name, e) == -1)
			return -1;
	}
}

uint64_t
imap_quota_storage(const struct imap_quota *q)
{
	for (size_t i = 0; i < q->n; i++)
		if (strcasecmp(q->res[i].name, "STORAGE") == 0)
			return q->res[i].limit * IMAP_QUOTA_KIB;
	return UNKNOWN64;
}

/* A name that goes back to the server: nothing but what names are made of. */
static bool
plain(const char *name)
{
	for (; *name != '\0'; name++)
		if (!isalnum((unsigned char)*name) && *name != '-')
			return false;
	return true;
}

void
imap_quota_list(struct buf *out, const struct imap_quota *q, uint64_t bytes)
{
	const char *sep = "";

	buf_addc(out, '(');
	if (bytes != UNKNOWN64) {
		buf_addf(out, "STORAGE %" PRIu64, bytes / IMAP_QUOTA_KIB +
		    (bytes % IMAP_QUOTA_KIB != 0));
		sep = " ";
	}
	for (size_t i = 0; i < q->n; i++)
		if (strcasecmp(q->res[i].name, "STORAGE") != 0 &&
		    plain(q->res[i].name) && q->res[i].limit <=
		    IMAP_QUOTA_TOP) {
			buf_addf(out, "%s%s %" PRIu64, sep, q->res[i].name,
			    q->res[i].limit);
			sep = " ";
		}
	buf_addc(out, ')');
}

/* What a user's own session is told. */

static int
smallest(struct imap_session *s, struct imap_response *rs, void *ctx,
    struct err *e)
{
	uint64_t *limit = ctx, v;
	struct imap_quota q;

	if (rs->kind != IMAP_DATA || strcmp(rs->name, "QUOTA") != 0)
		return 0;
	if (imap_quota_read(&s->r, &q, e) == -1)
		return -1;
	v = imap_quota_storage(&q);
	/* Some servers write no limit as zero. */
	if (v != 0 && v != UNKNOWN64 && (*limit == UNKNOWN64 || v < *limit))
		*limit = v;
	return 0;
}

int
imap_quota_of_inbox(struct imap_session *s, uint64_t *bytes, struct err *e)
{
	struct imap_response rs;

	*bytes = UNKNOWN64;
	return imap_try(s, "GETQUOTAROOT \"INBOX\"", smallest, bytes, &rs,
	    e) == -1 ? -1 : 0;
}

/* As an admin. */

static int
only(struct imap_session *s, struct imap_response *rs, void *ctx,
    struct err *e)
{
	if (rs->kind != IMAP_DATA || strcmp(rs->name, "QUOTA") != 0)
		return 0;
	return imap_quota_read(&s->r, ctx, e);
}

/* In the admin's session: as target_set_quota(). */
static int
set(struct imap_session *admin, const char *user, uint64_t bytes,
    bool *changed, struct err *e)
{
	struct imap_quota now = { .n = 0 };
	struct imap_response rs;
	uint64_t was;
	struct buf root, cmd;
	int rc;

	buf_init(&root, 1 << 11);
	buf_init(&cmd, 1 << 12);
	rc = imap_owners_inbox(admin, user, &root, e);
	if (rc == 0) {
		/* NO: there is no such root yet, or the login is no admin's. */
		buf_addf(&cmd, "GETQUOTA %s", root.ptr);
		rc = imap_run(admin, cmd.ptr, only, &now, &rs, e);
	}
	if (rc == -1)
		goto out;
	was = imap_quota_storage(&now);
	if (rc == 1 && was == bytes)
		goto out;
	if (rc == 0 && !imap_no_mailbox(rs.code, rs.text)) {
		imap_no(&rs, ERR_ACCOUNT, e, "GETQUOTA %.100s", user);
		rc = e->retry ? -1 : 0;
		goto out;
	}
	if (rc == 0 && bytes == UNKNOWN64) {
		rc = 1;
		goto out;
	}
	if (now.more) {
		rc = err_set(e, ERR_ACCOUNT, "the quota root of %.100s has "
		    "more kinds of limits than can be kept", user);
		goto out;
	}
	buf_reset(&cmd);
	buf_addf(&cmd, "SETQUOTA %s ", root.ptr);
	imap_quota_list(&cmd, &now, bytes);
	rc = imap_small(admin, cmd.ptr, e);
	if (rc == 0)
		imap_small_no(admin, ERR_ACCOUNT, e, "SETQUOTA %.100s", user);
	else if (rc == 1)
		*changed = true;
out:
	buf_release(&root);
	buf_release(&cmd);
	return rc;
}

int
imap_store_set_quota(struct target *t, uint64_t bytes, bool *changed,
    struct err *e)
{
	struct imap_store *m = (struct imap_store *)t;
	const char *user = uri_opt(t->conf.uri, "authzid");
	struct imap_session *admin;
	int rc;

	*changed = false;
	if (!(m->s->caps & CAP_QUOTA) || m->s->dialect == IMAP_DOVECOT ||
	    m->s->dialect == IMAP_COURIER) {
		err_set(e, ERR_ACCOUNT, "the server sets no quotas over IMAP");
		return 0;
	}
	if (user == NULL || user[0] == '\0') {
		err_set(e, ERR_ACCOUNT, "the login is no admin's (authzid=)");
		return 0;
	}
	if (bytes != UNKNOWN64 && bytes > IMAP_QUOTA_TOP * IMAP_QUOTA_KIB)
		bytes = IMAP_QUOTA_TOP * IMAP_QUOTA_KIB;
	if (imap_session_open(&admin, &m->t.conf, true, e) == -1)
		return err_ctx(e, "the admin's own session");
	rc = set(admin, user, bytes, changed, e);
	imap_session_close(&admin);
	return rc;
}
