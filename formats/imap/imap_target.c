/*
 * imap: and imaps: as targets: accounts and mailboxes.  Storing messages is in
 * imap_append.c, changing them in imap_flags.c.
 */
#include "imap/imap_target.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/mutf7.h"
#include "base/xmalloc.h"
#include "imap/imap_quota.h"
#include "imap/imap_shared.h"
#include "imap/imap_store.h"
#include "imap/imap_trouble.h"

static struct imap_store *
store(struct target *t)
{
	return (struct imap_store *)t;
}

int
imap_store_noted(struct imap_store *m, int rc, const struct err *e)
{
	if (rc == -1 && m->s->dead && !m->broken) {
		m->broken = true;
		m->why = *e;
	}
	return rc;
}

/* Opening. */

/* A name by which a server tells what it refuses. */
struct probe {
	const char	*level;
	bool		*refused;
	unsigned	 tag;
};

static int
send_probe(struct imap_store *m, struct probe *p, struct err *e)
{
	struct buf name, cmd;
	int rc;

	buf_init(&name, 1 << 12);
	buf_init(&cmd, 1 << 13);
	buf_addf(&name, "%s%s", m->rules.prefix, p->level);
	buf_adds(&cmd, "STATUS ");
	if (imap_quote(&cmd, name.ptr, name.len) == -1)
		rc = err_set(e, ERR_ACCOUNT, "the namespace prefix cannot be "
		    "sent");
	else {
		buf_adds(&cmd, " (UIDNEXT)");
		rc = imap_send(m->s, cmd.ptr, &p->tag, e);
	}
	buf_release(&name);
	buf_release(&cmd);
	return rc;
}

/* Does the server refuse names like these, whether or not they exist?  All in
 * one flight. */
static int
ask_probes(struct imap_store *m, struct probe *p, size_t n, struct err *e)
{
	struct imap_response rs;
	int rc;

	for (size_t i = 0; i < n; i++)
		if (send_probe(m, &p[i], e) == -1)
			return -1;
	if (imap_flush(m->s, e) == -1)
		return -1;
	for (size_t i = 0; i < n; i++) {
		imap_stream_limits(m->s->st, m->s->timeout_s,
		    10 * m->s->timeout_s);
		rc = imap_wait(m->s, p[i].tag, NULL, NULL, &rs, e);
		if (rc == -1)
			return -1;
		*p[i].refused = rc == 0 &&
		    !imap_no_mailbox(rs.code, rs.text) &&
		    !imap_temporary(rs.code, rs.text) &&
		    strcasecmp(rs.code, "NOPERM") != 0;
	}
	return 0;
}

static int
name_rules(struct imap_store *m, struct err *e)
{
	struct imap_session *s = m->s;
	const char *v = uri_opt(m->t.conf.uri, "prefix");
	struct probe probes[4];
	size_t n = 0;
	struct buf b;

	m->rules.dialect = s->dialect;
	m->rules.sep = s->sep;
	m->rules.prefix = s->prefix;
	m->rules.others = &s->others;
	m->rules.old_cyrus = s->old_cyrus;
	if (v != NULL && v[0] != '\0') {
		buf_init(&b, 1000);
		if (mutf7_encode(&b, v, strlen(v)) == -1) {
			buf_release(&b);
			return err_set(e, ERR_RUN, "prefix=%.100s is not "
			    "UTF-8, or too long", v);
		}
		if (s->sep != '\0' && b.ptr[b.len - 1] != s->sep)
			buf_addc(&b, s->sep);
		m->rules.prefix = m->prefix = buf_detach(&b, NULL);
	} else if (v != NULL)
		m->rules.prefix = "";
	if (imap_shared_rules(s, m->t.conf.uri, &m->rules, &m->prefix, e) ==
	    -1)
		return -1;
	if (s->dialect != IMAP_DOVECOT)
		return 0;
	/* How Dovecot keeps mail decides which names it takes. */
	probes[n++] = (struct probe){ "~mailhaul", &m->rules.no_tilde, 0 };
	probes[n++] = (struct probe){ "tmp", &m->rules.no_maildir, 0 };
	probes[n++] = (struct probe){ "dbox-Mails", &m->rules.no_dbox, 0 };
	if (s->sep != '.')
		probes[n++] = (struct probe){ "mailhaul.name",
		    &m->rules.no_dot, 0 };
	return ask_probes(m, probes, n, e);
}

static int
target_imap_open(struct target **tp, const struct store_conf *conf,
    struct err *e)
{
	struct imap_store *m = xcalloc(1, sizeof *m);

	m->t.conf = *conf;
	if (imap_session_open(&m->s, &m->t.conf, false, e) == -1) {
		free(m);
		return -1;
	}
	m->s->target = true;
	imap_appender_init(&m->a, m->s);
	if (name_rules(m, e) == -1) {
		imap_session_close(&m->s);
		imap_appender_release(&m->a);
		free(m->prefix);
		free(m);
		return -1;
	}
	*tp = &m->t;
	return 0;
}

static void
target_imap_close(struct target *t)
{
	struct imap_store *m = store(t);

	imap_session_close(&m->s);
	imap_appender_release(&m->a);
	free(m->prefix);
	free(m);
}

static void
target_imap_caps(struct target *t, struct target_caps *caps)
{
	imap_append_caps(&store(t)->a, caps);
}

static const char *
target_imap_identity(struct target *t)
{
	return store(t)->s->identity;
}

static int
target_imap_broken(struct target *t, struct err *e)
{
	struct imap_store *m = store(t);

	if (m->a.dead)
		*e = m->a.why;
	else if (m->broken)
		*e = m->why;
	else if (m->s->dead)
		err_retry(e, ERR_ACCOUNT, "the session is over");
	else
		return 0;
	return 1;
}

/* Accounts. */

int
imap_owners_inbox(const struct imap_session *admin, const char *user,
    struct buf *out, struct err *e)
{
	char sep = admin->sep != '\0' ? admin->sep : '/';
	struct buf name;
	int rc = 0;

	buf_init(&name, 1000);
	if (admin->users != NULL && admin->users[0] != '\0')
		buf_adds(&name, admin->users);
	else
		buf_addf(&name, "user%c", sep);
	for (const char *p = user; *p != '\0'; p++)
		if (*p == sep && sep == '.')
			buf_addc(&name, '^');	/* Cyrus' own way */
		else if (*p == sep || *p == '%' || *p == '*')
			rc = -1;
		else
			buf_addc(&name, *p);
	if (rc == -1 || name.full || imap_quote(out, name.ptr, name.len) == -1)
		rc = err_set(e, ERR_ACCOUNT, "\"%.100s\" is no user name that "
		    "the server could have", user);
	buf_release(&name);
	return rc;
}

static bool
already(const struct imap_session *s)
{
	return strcasecmp(s->guard.code, "ALREADYEXISTS") == 0 ||
	    strcasestr(s->guard.text, "already exists") != NULL;
}

/* CREATE of the owner's INBOX in a session of the admin's own; Cyrus gives the
 * owner all rights. */
static int
make_user(struct imap_store *m, struct err *e)
{
	const char *user = uri_opt(m->t.conf.uri, "authzid");
	const char *part = uri_opt(m->t.conf.uri, "partition");
	struct imap_session *admin;
	struct buf cmd;
	int rc;

	if (part == NULL)
		part = "";
	for (const char *p = part; *p != '\0'; p++)
		if ((!isalnum((unsigned char)*p) && *p != '-' && *p != '_' &&
		    *p != '.') || p - part > 60)
			return err_set(e, ERR_ACCOUNT, "partition=%.60s: no "
			    "such name", part);
	if (imap_session_open(&admin, &m->t.conf, true, e) == -1)
		return err_ctx(e, "the admin's own session");
	buf_init(&cmd, 1 << 12);
	buf_adds(&cmd, "CREATE ");
	rc = imap_owners_inbox(admin, user, &cmd, e);
	if (rc == 0) {
		buf_addf(&cmd, "%s%s", part[0] != '\0' ? " " : "", part);
		rc = imap_small(admin, cmd.ptr, e);
		if (rc == 0 && already(admin))
			rc = 1;
		else if (rc == 0) {
			imap_small_no(admin, ERR_ACCOUNT, e, "CREATE %.100s",
			    user);
			if (strcasestr(admin->guard.text, "partition") != NULL)
				err_ctx(e, "the target has no partition "
				    "\"%s\" for user %.100s, nothing was "
				    "done", part, user);
			imap_store_failed(admin, (struct imap_thing){
			    .name = user }, admin->guard.code,
			    admin->guard.text, e);
			rc = -1;
		}
	}
	buf_release(&cmd);
	imap_session_close(&admin);
	return rc == 1 ? 0 : -1;
}

static int
target_imap_account_ensure(struct target *t, bool create, struct err *e)
{
	struct imap_store *m = store(t);
	const char *authzid = uri_opt(t->conf.uri, "authzid");
	const char *user = authzid != NULL && authzid[0] != '\0' ? authzid :
	    t->conf.uri->user;
	struct imap_box box;
	int rc;

	if (m->s->root != NULL)
		return 1;	/* its mailboxes are made as they come */
	/* Cyrus lets an admin act for a user that does not exist; then there
	 * is no INBOX.  LIST is not to be trusted for this. */
	rc = imap_store_noted(m, imap_status(m->s, "INBOX", &box, e), e);
	if (rc != 0)
		return rc;
	if (!create || user != authzid) {
		if (create)
			err_set(e, ERR_ACCOUNT, "user %.100s has no INBOX; "
			    "only an admin can make it: log in as one, with "
			    "authzid=%.100s", user, user);
		else
			err_set(e, ERR_ACCOUNT, "there is no user %.100s",
			    user);
		e->cause = CAUSE_MISSING;
		return -1;
	}
	if (make_user(m, e) == -1)
		return -1;
	rc = imap_store_noted(m, imap_status(m->s, "INBOX", &box, e), e);
	if (rc == 0)
		return err_set(e, ERR_ACCOUNT, "user %.100s was made, but has "
		    "no INBOX", user);
	return rc == 1 ? 0 : -1;
}

/* Mailboxes. */

static int
target_imap_name(struct target *t, struct arena *a, const char *const *path,
    size_t npath, const char **name, bool *encoded, struct err *e)
{
	struct imap_store *m = store(t);
	struct buf b;
	int rc;

	buf_init(&b, 1 << 13);
	rc = imap_name_make(&m->rules, &b, path, npath, encoded);
	if (rc == -1)
		err_set(e, ERR_MAILBOX, npath > 1 && m->rules.sep == '\0' ?
		    "the server has no mailboxes below mailboxes" :
		    "the name is longer than any server takes");
	else
		*name = arena_memdup0(a, b.ptr, b.len);
	buf_release(&b);
	return rc;
}

static int
target_imap_name_key(struct target *t, struct arena *a, const char *name,
    const char **key, struct err *e)
{
	char *k;

	(void)e;
	/* Dovecot and Cyrus tell all names apart (INBOX in another case is
	 * never written); of others it is not known. */
	if (store(t)->s->dialect == IMAP_DOVECOT ||
	    store(t)->s->dialect == IMAP_CYRUS) {
		*key = name;
		return 0;
	}
	k = arena_strdup(a, name);
	for (char *p = k; *p != '\0'; p++)
		*p = (char)tolower((unsigned char)*p);
	*key = k;
	return 0;
}

static int
target_imap_parent(struct target *t, struct arena *a, const char *name,
    const char **parent)
{
	struct imap_store *m = store(t);
	const char *end = m->rules.sep == '\0' ? NULL :
	    strrchr(name, m->rules.sep);
	size_t n = end == NULL ? 0 : (size_t)(end - name);

	/* INBOX, and a prefix, are there before everything else. */
	if (m->s->root != NULL && n >= strlen(m->s->root)) {
		*parent = arena_memdup0(a, name, n);
		return 1;
	}
	if (n == 0 || (n == 5 && strncasecmp(name, "INBOX", 5) == 0) ||
	    n < strlen(m->rules.prefix))
		return 0;
	*parent = arena_memdup0(a, name, n);
	return 1;
}

static int
target_imap_folder_open(struct target *t, const char *name,
    struct folder_state *st, struct err *e)
{
	struct imap_store *m = store(t);
	struct imap_selected sel;
	struct imap_box box;
	int rc;

	if (m->s->root != NULL && (rc = imap_store_noted(m, imap_status(m->s,
	    name, &box, e), e)) != 1)
		return rc;
	/* A crash may have come between making it and that. */
	if (m->s->root != NULL && !t->conf.look_only &&
	    imap_shared_own(m, name, false, e) == -1)
		return -1;
	rc = imap_store_noted(m, imap_select(m->s, name, false, &sel, e), e);
	if (rc != 1)
		return rc;
	if (sel.readonly) {
		imap_words_release(&sel.keywords);
		return err_set(e, ERR_MAILBOX, "%.100s: the server opens it "
		    "for reading only", name);
	}
	st->uidvalidity = sel.box.uidvalidity;
	st->uidnext = sel.box.uidnext;
	st->modseq = sel.box.modseq;
	st->messages = sel.box.messages;
	rc = imap_appender_mailbox(&m->a, name, &sel, e);
	imap_words_release(&sel.keywords);
	return rc == -1 ? -1 : 1;
}

static void
target_imap_folder_close(struct target *t)
{
	/* CLOSE would expunge; the next SELECT leaves this one as it is. */
	(void)t;
}

/* "VERB name [rest]" through libetpan: 1, 0 (NO), -1. */
static int
command(struct imap_store *m, const char *verb, const char *name,
    const char *rest, struct err *e)
{
	struct buf b;
	int rc;

	buf_init(&b, 1 << 14);
	buf_addf(&b, "%s ", verb);
	if (imap_quote(&b, name, strlen(name)) == -1 ||
	    buf_adds(&b, rest) == -1)
		rc = err_set(e, ERR_MAILBOX, "the mailbox name cannot be sent");
	else
		rc = imap_store_noted(m, imap_small(m->s, b.ptr, e), e);
	buf_release(&b);
	return rc;
}

/* The names of special uses, with blanks between. */
static void
use_names(struct buf *out, unsigned use, const char *backslash)
{
	static const struct { unsigned bit; const char *name; } names[] = {
		{ USE_ALL, "All" }, { USE_ARCHIVE, "Archive" },
		{ USE_DRAFTS, "Drafts" }, { USE_FLAGGED, "Flagged" },
		{ USE_JUNK, "Junk" }, { USE_SENT, "Sent" },
		{ USE_TRASH, "Trash" }
	};
	const char *sep = "";

	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
		if (use & names[i].bit) {
			buf_addf(out, "%s%s%s", sep, backslash,
			    names[i].name);
			sep = " ";
		}
}

static int
target_imap_folder_create(struct target *t, const char *name,
    unsigned special_use, struct err *e)
{
	struct imap_store *m = store(t);
	struct buf rest;
	int rc;

	if (strcmp(name, "INBOX") == 0)
		return 0;
	if (m->s->root != NULL && imap_shared_root(m, e) == -1)
		return -1;
	buf_init(&rest, 200);
	if (special_use != 0 && m->s->caps & CAP_CREATE_SPECIAL_USE) {
		buf_adds(&rest, " (USE (");
		use_names(&rest, special_use, "\\");
		buf_adds(&rest, "))");
	}
	rc = command(m, "CREATE", name, rest.ptr, e);
	if (rc == 0 && rest.len > 0 && !already(m->s)) {
		/* The use is taken or not known: a mailbox without is better
		 * than none. */
		struct err e2;

		imap_small_no(m->s, ERR_MAILBOX, &e2, "special use");
		rc = command(m, "CREATE", name, "", e);
		if (rc == 1)
			target_warn(t, name, NULL, "not marked: %s", e2.text);
	}
	buf_release(&rest);
	if (rc == -1)
		imap_store_lost(m->s, name, e);
	if (rc == 1 && m->s->root != NULL)
		rc = imap_shared_own(m, name, true, e) == -1 ? -1 : 1;
	if (rc == 0) {
		if (already(m->s))
			return 0;
		imap_small_no(m->s, ERR_MAILBOX, e, "CREATE %.100s", name);
		imap_store_failed(m->s, (struct imap_thing){ .name = name },
		    m->s->guard.code, m->s->guard.text, e);
		return -1;
	}
	return rc == 1 ? 0 : -1;
}

static int
target_imap_folder_rename(struct target *t, const char *from, const char *to,
    struct err *e)
{
	struct imap_store *m = store(t);
	struct imap_box box;
	struct buf rest;
	int rc;

	buf_init(&rest, 1 << 13);
	buf_addc(&rest, ' ');
	if (imap_quote(&rest, to, strlen(to)) == -1)
		rc = err_set(e, ERR_MAILBOX, "the mailbox name cannot be sent");
	else
		rc = command(m, "RENAME", from, rest.ptr, e);
	buf_release(&rest);
	if (rc == 0) {
		struct err e2;

		imap_small_no(m->s, ERR_MAILBOX, e, "RENAME %.100s to %.100s",
		    from, to);
		/* Done before a crash: the old one is gone, the new one
		 * there. */
		if (imap_status(m->s, from, &box, &e2) == 0 &&
		    imap_status(m->s, to, &box, &e2) == 1)
			return 0;
		return -1;
	}
	return rc == 1 ? 0 : -1;
}

static int
target_imap_folder_delete(struct target *t, const char *name, struct err *e)
{
	struct imap_store *m = store(t);
	int rc = command(m, "DELETE", name, "", e);

	if (rc == 0 && !imap_no_mailbox(m->s->guard.code, m->s->guard.text))
		return imap_small_no(m->s, ERR_MAILBOX, e, "DELETE %.100s",
		    name);
	return rc == -1 ? -1 : 0;
}

static int
target_imap_subscribe(struct target *t, const char *name, bool on,
    struct err *e)
{
	struct imap_store *m = store(t);
	const char *verb = on ? "SUBSCRIBE" : "UNSUBSCRIBE";
	int rc = command(m, verb, name, "", e);

	if (rc == 0 && on)
		return imap_small_no(m->s, ERR_MAILBOX, e, "%s %.100s", verb,
		    name);
	return rc == -1 ? -1 : 0;
}

/* All in flight at once, a hundred at a time. */
static int
target_imap_subscribe_many(struct target *t, const char *const *names,
    size_t n, struct err *results, struct err *e)
{
	struct imap_store *m = store(t);
	unsigned tags[100];
	struct imap_response rs;
	struct buf cmd;
	size_t i, k;
	int rc = 0;

	buf_init(&cmd, 1 << 14);
	for (i = 0; i < n && rc != -1; i += k) {
		for (k = 0; k < 100 && i + k < n && rc != -1; k++) {
			tags[k] = 0;
			buf_reset(&cmd);
			buf_adds(&cmd, "SUBSCRIBE ");
			if (imap_quote(&cmd, names[i + k],
			    strlen(names[i + k])) == -1)
				err_set(&results[i + k], ERR_MAILBOX, "the "
				    "mailbox name cannot be sent");
			else
				rc = imap_send(m->s, cmd.ptr, &tags[k], e);
		}
		if (rc != -1)
			rc = imap_flush(m->s, e);
		for (size_t j = 0; j < k && rc != -1; j++) {
			if (tags[j] == 0)
				continue;
			imap_stream_limits(m->s->st, m->s->timeout_s,
			    10 * m->s->timeout_s);
			rc = imap_wait(m->s, tags[j], NULL, NULL, &rs, e);
			if (rc == 0)
				imap_no(&rs, ERR_MAILBOX, &results[i + j],
				    "SUBSCRIBE %.100s", names[i + j]);
		}
	}
	buf_release(&cmd);
	return imap_store_noted(m, rc == -1 ? -1 : 0, e);
}

static int
target_imap_mark_use(struct target *t, const char *name, unsigned use,
    struct err *e)
{
	struct imap_store *m = store(t);
	struct buf rest;
	int rc;

	if (!(m->s->caps & CAP_METADATA) || !(m->s->caps & CAP_SPECIAL_USE))
		return 0;
	buf_init(&rest, 200);
	if (use == 0)
		buf_adds(&rest, " (/private/specialuse NIL)");
	else {
		buf_adds(&rest, " (/private/specialuse \"");
		use_names(&rest, use, "\\\\");
		buf_adds(&rest, "\")");
	}
	rc = command(m, "SETMETADATA", name, rest.ptr, e);
	buf_release(&rest);
	if (rc == 0) {
		struct err e2;

		imap_small_no(m->s, ERR_MAILBOX, &e2, "special use");
		target_warn(t, name, NULL, "not marked: %s", e2.text);
	}
	return rc;
}

static int
target_imap_submit(struct target *t, struct store_batch *b, struct err *e)
{
	return imap_append_submit(&store(t)->a, b, e);
}

static int
target_imap_reap(struct target *t, bool wait, struct store_batch **b,
    struct err *e)
{
	(void)e;
	return imap_append_reap(&store(t)->a, wait, b);
}

static const char *const schemes[] = { "imap", "imaps", NULL };
static const char *const options[] = { IMAP_OPTIONS, NULL };

const struct target_ops imap_target = {
	.schemes = schemes,
	.check = imap_session_check,
	.options = options,
	.open = target_imap_open,
	.close = target_imap_close,
	.caps = target_imap_caps,
	.identity = target_imap_identity,
	.account_ensure = target_imap_account_ensure,
	.name = target_imap_name,
	.name_key = target_imap_name_key,
	.survey = imap_store_survey,
	.parent = target_imap_parent,
	.folder_open = target_imap_folder_open,
	.folder_close = target_imap_folder_close,
	.folder_create = target_imap_folder_create,
	.folder_rename = target_imap_folder_rename,
	.folder_delete = target_imap_folder_delete,
	.subscribe = target_imap_subscribe,
	.subscribe_many = target_imap_subscribe_many,
	.mark_use = target_imap_mark_use,
	.set_quota = imap_store_set_quota,
	.acl = imap_store_acl,
	.set_acl = imap_store_set_acl,
	.foreign_name = imap_store_foreign_name,
	.submit = target_imap_submit,
	.reap = target_imap_reap,
	.broken = target_imap_broken,
	.change_flags = imap_store_change_flags,
	.move = imap_store_move,
	.expunge = imap_store_expunge,
};
