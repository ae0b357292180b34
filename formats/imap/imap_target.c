/*
 * imap: and imaps: as targets: accounts, mailboxes, flags.  Storing messages is
 * in imap_append.c.
 */
#include "imap/imap_target.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/mutf7.h"
#include "base/xmalloc.h"
#include "imap/imap_append.h"
#include "imap/imap_name.h"
#include "imap/imap_session.h"

#define SET_BYTES	4000	/* of one UID set: servers limit lines */
#define KIB		1024

struct imap_store {
	struct target	 t;
	struct imap_session *s;
	struct imap_appender a;
	struct imap_name_rules rules;
	char		*prefix;	/* of rules, when not the session's */
	bool		 broken;
	struct err	 why;
};

static struct imap_store *
store(struct target *t)
{
	return (struct imap_store *)t;
}

/* Remembers why the session died. */
static int
noted(struct imap_store *m, int rc, const struct err *e)
{
	if (rc == -1 && m->s->dead && !m->broken) {
		m->broken = true;
		m->why = *e;
	}
	return rc;
}

/* Opening. */

/* Does the server refuse a name like this, whether or not it exists? */
static int
probe(struct imap_store *m, const char *level, bool *refused, struct err *e)
{
	struct imap_response rs;
	struct buf name, cmd;
	int rc;

	buf_init(&name, 1 << 12);
	buf_init(&cmd, 1 << 13);
	buf_addf(&name, "%s%s", m->rules.prefix, level);
	buf_adds(&cmd, "STATUS ");
	if (imap_quote(&cmd, name.ptr, name.len) == -1)
		rc = err_set(e, ERR_ACCOUNT, "the namespace prefix cannot be "
		    "sent");
	else {
		buf_adds(&cmd, " (UIDNEXT)");
		rc = imap_run(m->s, cmd.ptr, NULL, NULL, &rs, e);
	}
	*refused = rc == 0 && !imap_no_mailbox(rs.code, rs.text) &&
	    !imap_temporary(rs.code, rs.text) &&
	    strcasecmp(rs.code, "NOPERM") != 0;
	buf_release(&name);
	buf_release(&cmd);
	return rc == -1 ? -1 : 0;
}

static int
name_rules(struct imap_store *m, struct err *e)
{
	struct imap_session *s = m->s;
	const char *v = uri_opt(m->t.conf.uri, "prefix");
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
	if (s->dialect != IMAP_DOVECOT)
		return 0;
	/* How Dovecot keeps mail decides which names it takes. */
	if ((s->sep != '.' && probe(m, "mailhaul.name", &m->rules.no_dot,
	    e) == -1) || probe(m, "~mailhaul", &m->rules.no_tilde, e) == -1 ||
	    probe(m, "tmp", &m->rules.no_maildir, e) == -1 ||
	    probe(m, "dbox-Mails", &m->rules.no_dbox, e) == -1)
		return -1;
	return 0;
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

/* The owner's mailbox as an admin spells it: the user's INBOX. */
static int
owners_inbox(const struct imap_session *admin, const char *user,
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

/* Runs a command on the owner's INBOX in a session of the admin's own: 1, or
 * 0 for NO with the words in *e. */
static int
as_admin(struct imap_store *m, const char *verb, const char *rest,
    struct err *e)
{
	const char *user = uri_opt(m->t.conf.uri, "authzid");
	struct imap_session *admin;
	struct buf cmd;
	int rc;

	if (imap_session_open(&admin, &m->t.conf, true, e) == -1)
		return err_ctx(e, "the admin's own session");
	buf_init(&cmd, 1 << 12);
	buf_addf(&cmd, "%s ", verb);
	rc = owners_inbox(admin, user, &cmd, e);
	if (rc == 0) {
		buf_adds(&cmd, rest);
		rc = imap_small(admin, cmd.ptr, e);
		if (rc == 0 && strcasecmp(admin->guard.code,
		    "ALREADYEXISTS") == 0)
			rc = 1;
		if (rc == 0)
			imap_small_no(admin, ERR_ACCOUNT, e, "%s %.100s",
			    verb, user);
	}
	buf_release(&cmd);
	imap_session_close(&admin);
	return rc;
}

static int
make_user(struct imap_store *m, struct err *e)
{
	const char *part = uri_opt(m->t.conf.uri, "partition");
	char rest[80] = "";
	int rc;

	if (part != NULL && part[0] != '\0') {
		for (const char *p = part; *p != '\0'; p++)
			if ((!isalnum((unsigned char)*p) && *p != '-' &&
			    *p != '_' && *p != '.') || p - part > 60)
				return err_set(e, ERR_ACCOUNT, "partition="
				    "%.60s: no such name", part);
		rest[0] = ' ';
		memcpy(rest + 1, part, strlen(part) + 1);
	}
	rc = as_admin(m, "CREATE", rest, e);
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

	/* Cyrus lets an admin act for a user that does not exist; then there
	 * is no INBOX.  LIST is not to be trusted for this. */
	rc = noted(m, imap_status(m->s, "INBOX", &box, e), e);
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
	rc = noted(m, imap_status(m->s, "INBOX", &box, e), e);
	if (rc == 0)
		return err_set(e, ERR_ACCOUNT, "user %.100s was made, but has "
		    "no INBOX", user);
	return rc == 1 ? 0 : -1;
}

static int
target_imap_set_quota(struct target *t, uint64_t bytes, struct err *e)
{
	struct imap_store *m = store(t);
	const char *authzid = uri_opt(t->conf.uri, "authzid");
	char rest[60];
	struct buf b;
	int rc;

	if (authzid == NULL || authzid[0] == '\0' ||
	    !(m->s->caps & CAP_QUOTA))
		return 0;
	buf_init(&b, sizeof rest - 1);
	buf_addf(&b, " (STORAGE %llu)", (unsigned long long)
	    ((bytes + KIB - 1) / KIB));
	memcpy(rest, b.ptr, b.len + 1);
	buf_release(&b);
	rc = as_admin(m, "SETQUOTA", rest, e);
	if (rc == 0)
		target_warn(t, NULL, NULL, "quota not set: %s", e->text);
	return rc;
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
target_imap_folder_open(struct target *t, const char *name,
    struct folder_state *st, struct err *e)
{
	struct imap_store *m = store(t);
	struct imap_selected sel;
	int rc;

	rc = noted(m, imap_select(m->s, name, false, &sel, e), e);
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
		rc = noted(m, imap_small(m->s, b.ptr, e), e);
	buf_release(&b);
	return rc;
}

static bool
already(const struct imap_session *s)
{
	return strcasecmp(s->guard.code, "ALREADYEXISTS") == 0 ||
	    strcasestr(s->guard.text, "already exists") != NULL;
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
	if (rc == 0) {
		if (already(m->s))
			return 0;
		return imap_small_no(m->s, ERR_MAILBOX, e, "CREATE %.100s",
		    name);
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
	buf_adds(&rest, " (/private/specialuse \"");
	use_names(&rest, use, "\\\\");
	buf_adds(&rest, "\")");
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

/* Flags of messages that are there. */

struct uid_list { uint32_t *uids; size_t n, cap; };

static void
uid_add(struct uid_list *l, uint32_t uid)
{
	if (l->n == l->cap) {
		l->cap = l->cap == 0 ? 64 : l->cap * 2;
		l->uids = xreallocarray(l->uids, l->cap, sizeof *l->uids);
	}
	l->uids[l->n++] = uid;
}

static int
uid_cmp(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

static bool
uid_has(const struct uid_list *l, uint32_t uid)
{
	return l->n > 0 && bsearch(&uid, l->uids, l->n, sizeof uid,
	    uid_cmp) != NULL;
}

static void
uid_sort(struct uid_list *l)
{
	if (l->n > 0)
		qsort(l->uids, l->n, sizeof *l->uids, uid_cmp);
}

/*
 * "head set tail" for all of l, in as many commands as its length needs.
 * tagged is called for each answer.
 */
static int
over_sets(struct imap_store *m, const struct uid_list *l, const char *head,
    const char *tail, imap_data_fn *fn, void (*tagged)(
    const struct imap_response *, void *), void *ctx, struct err *e)
{
	struct buf cmd;
	size_t i = 0;
	int rc = 1;

	buf_init(&cmd, 1 << 16);
	while (i < l->n && rc == 1) {
		struct imap_set set = { &cmd, 0, 0 };
		struct imap_response rs;

		buf_reset(&cmd);
		buf_addf(&cmd, "%s ", head);
		for (; i < l->n && cmd.len < SET_BYTES; i++)
			imap_set_add(&set, l->uids[i]);
		imap_set_end(&set);
		buf_adds(&cmd, tail);
		rc = noted(m, imap_run(m->s, cmd.ptr, fn, ctx, &rs, e), e);
		if (rc != -1 && tagged != NULL)
			tagged(&rs, ctx);
		if (rc == 0 && strcmp(rs.code, "MODIFIED") == 0)
			rc = 1;
		else if (rc == 0)
			imap_no(&rs, ERR_MAILBOX, e, "%s", head);
	}
	buf_release(&cmd);
	return rc == 1 ? 0 : -1;
}

/* [MODIFIED set]: these were not changed. */
static void
modified(const struct imap_response *rs, void *ctx)
{
	struct uid_list *l = ctx;
	uint32_t *uids;
	size_t n, max = 1 << 16;

	if (strcmp(rs->code, "MODIFIED") != 0)
		return;
	uids = xcalloc(max, sizeof *uids);
	if (imap_set_parse(rs->args, strlen(rs->args), uids, max, &n) == 0)
		for (size_t i = 0; i < n; i++)
			uid_add(l, uids[i]);
	free(uids);
	uid_sort(l);
}

/* FETCH responses: the UIDs that are there. */
static int
present(struct imap_session *s, struct imap_response *rs, void *ctx,
    struct err *e)
{
	struct uid_list *l = ctx;
	struct imap_token t;
	bool is_uid = false;
	uint64_t v;

	if (rs->kind != IMAP_DATA || strcmp(rs->name, "FETCH") != 0)
		return 0;
	do {
		if (imap_read_token(&s->r, &t, e) == -1)
			return -1;
		if (is_uid && imap_token_number(&t, UINT32_MAX, &v) == 0)
			uid_add(l, (uint32_t)v);
		is_uid = s->r.depth == 1 && imap_is(&t, "UID");
	} while (t.type != IMAP_END);
	return 0;
}

static bool
same_words(const char *const *a, size_t na, const char *const *b, size_t nb)
{
	if (na != nb)
		return false;
	for (size_t i = 0; i < na; i++)
		if (strcmp(a[i], b[i]) != 0)
			return false;
	return true;
}

static bool
same_change(const struct flag_change *a, const struct flag_change *b)
{
	return a->add == b->add && a->del == b->del &&
	    a->unchanged_since == b->unchanged_since &&
	    same_words(a->kw_add, a->nkw_add, b->kw_add, b->nkw_add) &&
	    same_words(a->kw_del, a->nkw_del, b->kw_del, b->nkw_del);
}

/* " +FLAGS.SILENT (...)" with what the server can hold; false: nothing. */
static bool
flags_tail(struct imap_store *m, struct buf *out, char sign, unsigned flags,
    const char *const *kw, size_t nkw)
{
	const char **ok = xcalloc(nkw + 1, sizeof *ok);
	size_t n = 0;

	for (size_t i = 0; i < nkw; i++)
		if (imap_keyword_ok(m->s->dialect, kw[i]) && (!m->a.no_new ||
		    imap_words_has(&m->a.keywords, kw[i])))
			ok[n++] = kw[i];
	flags &= MSG_SEEN | MSG_ANSWERED | MSG_FLAGGED | MSG_DELETED |
	    MSG_DRAFT;
	buf_reset(out);
	buf_addf(out, " %cFLAGS.SILENT (", sign);
	imap_flag_names(out, flags, ok, n);
	buf_addc(out, ')');
	free(ok);
	return (flags != 0 || n > 0) && !out->full;
}

/* One kind of change for the UIDs in l; who was modified meanwhile goes to
 * mod. */
static int
change_group(struct imap_store *m, const struct flag_change *c,
    const struct uid_list *l, struct uid_list *mod, struct err *e)
{
	struct uid_list rest = { NULL, 0, 0 };
	struct buf tail, cond;
	int rc = 0;

	buf_init(&tail, 1 << 15);
	buf_init(&cond, 1 << 15);
	for (int step = 0; step < 2 && rc == 0; step++) {
		bool some = step == 0 ?
		    flags_tail(m, &tail, '+', c->add, c->kw_add, c->nkw_add) :
		    flags_tail(m, &tail, '-', c->del, c->kw_del, c->nkw_del);
		bool first = rest.uids == NULL;

		if (!some)
			continue;
		buf_reset(&cond);
		if (first && c->unchanged_since != 0 &&
		    m->s->caps & CAP_CONDSTORE)
			buf_addf(&cond, " (UNCHANGEDSINCE %llu)",
			    (unsigned long long)c->unchanged_since);
		buf_add(&cond, tail.ptr, tail.len);
		rc = over_sets(m, first ? l : &rest, "UID STORE", cond.ptr,
		    NULL, modified, mod, e);
		/* Our own first change moved the modseq: the second one goes
		 * to those that took the first, without the condition. */
		if (rc == 0 && first)
			for (size_t i = 0; i < l->n; i++)
				if (!uid_has(mod, l->uids[i]))
					uid_add(&rest, l->uids[i]);
		if (rest.n == 0)
			break;
	}
	free(rest.uids);
	buf_release(&tail);
	buf_release(&cond);
	return rc;
}

static int
target_imap_change_flags(struct target *t, struct flag_change *c, size_t n,
    struct err *e)
{
	struct imap_store *m = store(t);
	struct uid_list all = { NULL, 0, 0 }, there = { NULL, 0, 0 };
	bool *done = xcalloc(n + 1, sizeof *done);
	int rc;

	for (size_t i = 0; i < n; i++) {
		c[i].result = FLAG_GONE;
		if (c[i].uid != 0)
			uid_add(&all, c[i].uid);
	}
	uid_sort(&all);
	/* Who is there: STORE says nothing of the others. */
	rc = over_sets(m, &all, "UID FETCH", " (UID)", present, NULL, &there,
	    e);
	uid_sort(&there);
	for (size_t i = 0; i < n && rc == 0; i++) {
		struct uid_list l = { NULL, 0, 0 }, mod = { NULL, 0, 0 };

		if (done[i] || !uid_has(&there, c[i].uid))
			continue;
		for (size_t k = i; k < n; k++)
			if (!done[k] && same_change(&c[i], &c[k]) &&
			    uid_has(&there, c[k].uid))
				uid_add(&l, c[k].uid);
		uid_sort(&l);
		rc = change_group(m, &c[i], &l, &mod, e);
		for (size_t k = i; k < n && rc == 0; k++)
			if (!done[k] && uid_has(&l, c[k].uid) &&
			    same_change(&c[i], &c[k])) {
				done[k] = true;
				c[k].result = uid_has(&mod, c[k].uid) ?
				    FLAG_CHANGED : FLAG_DONE;
			}
		free(l.uids);
		free(mod.uids);
	}
	free(done);
	free(all.uids);
	free(there.uids);
	return rc;
}

static int
target_imap_expunge(struct target *t, const uint32_t *uids, size_t n,
    struct err *e)
{
	struct imap_store *m = store(t);
	struct uid_list l = { NULL, 0, 0 };
	int rc;

	/* EXPUNGE alone would take whatever else is marked. */
	if (!(m->s->caps & CAP_UIDPLUS))
		return err_set(e, ERR_MAILBOX, "the server cannot expunge "
		    "single messages (no UIDPLUS)");
	for (size_t i = 0; i < n; i++)
		if (uids[i] != 0)
			uid_add(&l, uids[i]);
	uid_sort(&l);
	rc = over_sets(m, &l, "UID STORE", " +FLAGS.SILENT (\\Deleted)", NULL,
	    NULL, NULL, e);
	if (rc == 0)
		rc = over_sets(m, &l, "UID EXPUNGE", "", NULL, NULL, NULL, e);
	free(l.uids);
	return rc;
}

static const char *const schemes[] = { "imap", "imaps", NULL };
static const char *const options[] = { IMAP_OPTIONS, NULL };

const struct target_ops imap_target = {
	.schemes = schemes,
	.options = options,
	.open = target_imap_open,
	.close = target_imap_close,
	.caps = target_imap_caps,
	.account_ensure = target_imap_account_ensure,
	.name = target_imap_name,
	.name_key = target_imap_name_key,
	.folder_open = target_imap_folder_open,
	.folder_close = target_imap_folder_close,
	.folder_create = target_imap_folder_create,
	.folder_rename = target_imap_folder_rename,
	.folder_delete = target_imap_folder_delete,
	.subscribe = target_imap_subscribe,
	.mark_use = target_imap_mark_use,
	.set_quota = target_imap_set_quota,
	.submit = target_imap_submit,
	.reap = target_imap_reap,
	.broken = target_imap_broken,
	.change_flags = target_imap_change_flags,
	.expunge = target_imap_expunge,
};
