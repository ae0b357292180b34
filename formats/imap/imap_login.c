/*
 * Opening a session: connection, TLS, capabilities, login, who the server is
 * and its namespaces.
 */
#include <ctype.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/xmalloc.h"
#include "imap/imap_impl.h"
#include "imap/imap_trace.h"
#include "imap/imap_way.h"

#define NAMESPACES_MAX	1000

/* Capabilities. */

static void
add_capability(struct imap_session *s, const char *w)
{
	static const struct { const char *name; unsigned bit; } table[] = {
		{ "LITERAL+", CAP_LITERAL_PLUS },
		{ "LITERAL-", CAP_LITERAL_MINUS },
		{ "MULTIAPPEND", CAP_MULTIAPPEND },
		{ "UIDPLUS", CAP_UIDPLUS },
		{ "MOVE", CAP_MOVE },
		{ "CONDSTORE", CAP_CONDSTORE },
		{ "QRESYNC", CAP_CONDSTORE },
		{ "LIST-EXTENDED", CAP_LIST_EXTENDED },
		{ "LIST-STATUS", CAP_LIST_STATUS },
		{ "SPECIAL-USE", CAP_SPECIAL_USE },
		{ "CREATE-SPECIAL-USE", CAP_CREATE_SPECIAL_USE },
		{ "METADATA", CAP_METADATA },
		{ "NAMESPACE", CAP_NAMESPACE },
		{ "ID", CAP_ID },
		{ "SASL-IR", CAP_SASL_IR },
		{ "STARTTLS", CAP_STARTTLS },
		{ "LOGINDISABLED", CAP_LOGINDISABLED },
		{ "ESEARCH", CAP_ESEARCH },
		{ "QUOTA", CAP_QUOTA },
		{ "STATUS=SIZE", CAP_STATUS_SIZE },
		{ "DIGEST=SHA1", CAP_DIGEST_SHA1 },
		{ "COMPRESS=DEFLATE", CAP_COMPRESS },
		{ "ACL", CAP_ACL },
		{ "OBJECTID", CAP_OBJECTID },
		{ "SAVEDATE", CAP_SAVEDATE },
		/* RFC 9051 has these built in. */
		{ "IMAP4rev2", CAP_NAMESPACE | CAP_UIDPLUS | CAP_MOVE | CAP_ESEARCH |
		    CAP_SASL_IR | CAP_SPECIAL_USE | CAP_LITERAL_MINUS |
		    CAP_STATUS_SIZE | CAP_LIST_EXTENDED | CAP_LIST_STATUS }
	};
	uint64_t v;

	for (size_t i = 0; i < sizeof table / sizeof table[0]; i++)
		if (strcasecmp(w, table[i].name) == 0)
			s->caps |= table[i].bit;
	if (strncasecmp(w, "RIGHTS=", 7) == 0)
		s->caps |= CAP_RIGHTS;
	if (strncasecmp(w, "AUTH=", 5) == 0 && s->mechs.n < 40)
		imap_words_add(&s->mechs, w + 5);
	if (strncasecmp(w, "APPENDLIMIT=", 12) == 0 &&
	    imap_number(w + 12, strlen(w + 12), INT64_MAX, &v) == 0)
		s->appendlimit = v;
}

static void
forget_capabilities(struct imap_session *s)
{
	s->caps = 0;
	s->appendlimit = UNKNOWN64;
	imap_words_release(&s->mechs);
}

static int
capability_data(struct imap_session *s, struct imap_response *rs, void *ctx,
    struct err *e)
{
	struct imap_token t;

	(void)ctx;
	if (rs->kind != IMAP_DATA || strcmp(rs->name, "CAPABILITY") != 0)
		return 0;
	forget_capabilities(s);
	do {
		if (imap_read_token(&s->r, &t, e) == -1)
			return -1;
		if (t.type == IMAP_ATOM)
			add_capability(s, t.p);
	} while (t.type != IMAP_END);
	return 0;
}

/* From the code of the status that libetpan or our reader just got, else by
 * asking. */
static int
capabilities(struct imap_session *s, const char *code, const char *args,
    struct err *e)
{
	struct imap_response rs;
	int rc;

	forget_capabilities(s);
	if (strcmp(code, "CAPABILITY") == 0 && args[0] != '\0') {
		char *copy = xstrdup(args), *p = copy, *w;

		while ((w = strsep(&p, " ")) != NULL)
			add_capability(s, w);
		free(copy);
		return 0;
	}
	rc = imap_run(s, "CAPABILITY", capability_data, NULL, &rs, e);
	if (rc == 0)
		return imap_no(&rs, ERR_ACCOUNT, e, "CAPABILITY");
	return rc == 1 ? 0 : -1;
}

/* Logging in. */

/*
 * AUTHENTICATE with one response of ours.  refusal answers the challenge in
 * which OAuth mechanisms put the reason before they say NO.
 */
static int
authenticate(struct imap_session *s, const char *mech, const struct buf *ir,
    const char *refusal, struct imap_response *rs, struct err *e)
{
	struct buf cmd;
	unsigned tag, sent = 0;
	int rc;

	buf_init(&cmd, 1 << 16);
	buf_addf(&cmd, "AUTHENTICATE %s", mech);
	if (s->caps & CAP_SASL_IR) {
		buf_addf(&cmd, " %s", ir->ptr);
		sent = 1;
	}
	imap_stream_limits(s->st, s->timeout_s, 10 * s->timeout_s);
	rc = imap_send(s, cmd.ptr, &tag, e);
	explicit_bzero(cmd.ptr, cmd.len);
	buf_release(&cmd);
	if (rc == -1 || imap_flush(s, e) == -1)
		return -1;
	for (;;) {
		const char *answer;

		if (imap_response(s, rs, e) == -1)
			return -1;
		/* A server may say again what it was told. */
		if (rs->kind != IMAP_DATA)
			imap_hide(s->r.tok.ptr + (rs->text - s->r.tok.ptr),
			    ir->ptr);
		imap_hide(s->bye, ir->ptr);
		if (rs->kind == IMAP_TAGGED && imap_tag_is(rs, tag)) {
			if (rs->status == IMAP_BAD) {
				s->dead = true;
				return imap_no(rs, ERR_ACCOUNT, e,
				    "AUTHENTICATE %s", mech);
			}
			return rs->status == IMAP_OK;
		}
		if (rs->kind == IMAP_TAGGED || (rs->kind == IMAP_CONTINUE &&
		    sent == 2)) {
			imap_protocol(&s->r, "an odd answer to AUTHENTICATE",
			    e);
			s->dead = true;
			return -1;
		}
		if (rs->kind != IMAP_CONTINUE)
			continue;
		answer = sent++ == 0 ? ir->ptr : refusal;
		if (imap_stream_write(s->st, answer, strlen(answer),
		    e) == -1 || imap_stream_write(s->st, "\r\n", 2, e) == -1 ||
		    imap_flush(s, e) == -1)
			return imap_broken(s, e);
	}
}

static int
with_response(struct imap_session *s, const char *mech, const char *authzid,
    const char *user, const char *password, struct imap_response *rs,
    struct err *e)
{
	const char *refusal = "*";
	struct buf raw, ir;
	int rc;

	buf_init(&raw, 1 << 15);
	buf_init(&ir, 1 << 16);
	if (strcmp(mech, "PLAIN") == 0) {
		buf_adds(&raw, authzid != NULL ? authzid : "");
		buf_addc(&raw, '\0');
		buf_adds(&raw, user);
		buf_addc(&raw, '\0');
		buf_adds(&raw, password);
	} else if (strcmp(mech, "XOAUTH2") == 0) {
		buf_addf(&raw, "user=%s\001auth=Bearer %s\001\001",
		    authzid != NULL ? authzid : user, password);
		refusal = "";
	} else {
		/* GS2 header; "," and "=" in names are escaped. */
		buf_adds(&raw, "n,a=");
		for (const char *p = authzid != NULL ? authzid : user;
		    *p != '\0'; p++)
			buf_adds(&raw, *p == ',' ? "=2C" : *p == '=' ? "=3D" :
			    (char[2]){ *p, '\0' });
		buf_addf(&raw, ",\001host=%s\001auth=Bearer %s\001\001",
		    s->conf->uri->host, password);
		refusal = "AQ==";
	}
	imap_base64(&ir, raw.ptr, raw.len);
	if (raw.full || ir.full)
		rc = err_set(e, ERR_ACCOUNT, "user name or password too long");
	else
		rc = authenticate(s, mech, &ir, refusal, rs, e);
	explicit_bzero(raw.ptr, raw.len);
	explicit_bzero(ir.ptr, ir.len);
	buf_release(&raw);
	buf_release(&ir);
	return rc;
}

/* The mechanisms that the server offers, for people. */
static void
offered(const struct imap_session *s, char list[200])
{
	size_t len = 0;

	snprintf(list, 200, " nothing");
	for (size_t i = 0; i < s->mechs.n && len < 150; i++)
		len += (size_t)snprintf(list + len, 200 - len, " %.20s",
		    s->mechs.w[i]);
}

/* The mechanism that fits best, upper case; "LOGIN" for the command. */
static int
choose(struct imap_session *s, const char *authzid, char mech[24],
    struct err *e)
{
	const char *want = uri_opt(s->conf->uri, "auth");
	char list[200];
	size_t n;

	if (want != NULL) {
		for (n = 0; want[n] != '\0'; n++) {
			if (n == 20 || (!isalnum((unsigned char)want[n]) &&
			    want[n] != '-' && want[n] != '_'))
				return err_set(e, ERR_RUN, "auth=%.40s: no "
				    "such mechanism", want);
			mech[n] = (char)toupper((unsigned char)want[n]);
		}
		mech[n] = '\0';
		if (strcmp(mech, "LOGIN") == 0 && authzid != NULL)
			return err_set(e, ERR_RUN, "auth=login cannot act for "
			    "another user (authzid=)");
		if (strcmp(mech, "LOGIN") != 0 && s->mechs.n > 0 &&
		    !imap_words_has(&s->mechs, mech)) {
			offered(s, list);
			return err_set(e, ERR_ACCOUNT, "the server does not "
			    "offer %s; it offers%s (auth=)", mech, list);
		}
		return 0;
	}
	if (authzid != NULL || imap_words_has(&s->mechs, "PLAIN"))
		snprintf(mech, 24, "PLAIN");
	else if (!(s->caps & CAP_LOGINDISABLED))
		snprintf(mech, 24, "LOGIN");
	else if (!imap_stream_is_tls(s->st))
		return err_set(e, ERR_ACCOUNT, "the server takes no password "
		    "without TLS (tls=starttls)");
	else {
		offered(s, list);
		return err_set(e, ERR_ACCOUNT, "the server takes neither "
		    "LOGIN nor PLAIN; it offers%s (auth=)", list);
	}
	return 0;
}

static int
log_in(struct imap_session *s, bool as_admin, struct err *e)
{
	struct uri *u = s->conf->uri;
	const char *authzid = as_admin ? NULL : uri_opt(u, "authzid");
	const char *password = s->conf->password;
	struct imap_response rs;
	char mech[24];
	bool ours;
	int rc;

	if (u->user == NULL || u->user[0] == '\0')
		return err_set(e, ERR_RUN, "no user name: write %s://USER@%s",
		    u->scheme, u->host);
	if (password == NULL)
		return err_set(e, ERR_ACCOUNT, "no password for %.100s",
		    u->user);
	if (authzid != NULL && authzid[0] == '\0')
		authzid = NULL;
	if (choose(s, authzid, mech, e) == -1)
		return -1;
	memset(&rs, 0, sizeof rs);
	ours = strcmp(mech, "PLAIN") == 0 || strcmp(mech, "XOAUTH2") == 0 ||
	    strcmp(mech, "OAUTHBEARER") == 0;
	if (ours)
		rc = with_response(s, mech, authzid, u->user, password, &rs,
		    e);
	else {
		imap_stream_limits(s->st, s->timeout_s, 10 * s->timeout_s);
		rc = strcmp(mech, "LOGIN") == 0 ?
		    imap_login(s, u->user, password, e) :
		    imap_sasl(s, mech, u->host, authzid, u->user, password, e);
		memcpy(rs.code, s->guard.code, sizeof rs.code);
		rs.status = s->guard.status;
		rs.text = s->guard.text;
		rs.args = s->guard.args;
	}
	if (rc == -1)
		return -1;
	if (rc == 0) {
		imap_no(&rs, ERR_ACCOUNT, e, "login as %.100s%s%.100s (%s)",
		    u->user, authzid != NULL ? " for " : "",
		    authzid != NULL ? authzid : "", mech);
		if (strcmp(rs.code, "UNAVAILABLE") == 0)
			e->scope = ERR_HOST;
		else if (e->retry && (strcmp(rs.code, "LIMIT") == 0 ||
		    strcasestr(rs.text, "connections") != NULL))
			e->cause = CAUSE_LIMIT;
		else if (!e->retry && strcmp(rs.code, "PRIVACYREQUIRED") != 0)
			e->cause = CAUSE_AUTH;
		return -1;
	}
	if (ours)
		imap_etpan_authenticated(s);
	return capabilities(s, rs.code, rs.args, e);
}

/* Who the server is, and its namespaces. */

#define ID_MAX		60

struct server_id { char name[ID_MAX], version[ID_MAX]; };

static int
id_data(struct imap_session *s, struct imap_response *rs, void *ctx,
    struct err *e)
{
	struct imap_token t;
	struct server_id *id = ctx;
	char key[20] = "";
	bool value = false;

	if (rs->kind != IMAP_DATA || strcmp(rs->name, "ID") != 0)
		return 0;
	for (;;) {
		if (imap_read_token(&s->r, &t, e) == -1 ||
		    imap_token_string(&s->r, &t, e) == -1)
			return -1;
		if (t.type == IMAP_END)
			return 0;
		if (t.type != IMAP_STRING && t.type != IMAP_ATOM)
			continue;
		if (!value)
			snprintf(key, sizeof key, "%.19s", t.p);
		else if (strcasecmp(key, "name") == 0)
			snprintf(id->name, ID_MAX, "%s", t.p);
		else if (strcasecmp(key, "version") == 0)
			snprintf(id->version, ID_MAX, "%s", t.p);
		value = !value;
	}
}

/* By the name in its answer to ID, else by its greeting, in which there may be
 * the name of a host that says nothing. */
static void
recognise(struct imap_session *s, const char *name)
{
	static const struct { const char *name, *greeting;
	    enum imap_dialect dialect; } known[] = {
		{ "dovecot", "Dovecot ", IMAP_DOVECOT },
		{ "cyrus", "Cyrus IMAP", IMAP_CYRUS },
		{ "courier", "Courier-IMAP", IMAP_COURIER },
	};

	const size_t n = sizeof known / sizeof known[0];

	for (size_t i = 0; i < n; i++)
		if (strcasestr(name, known[i].name) != NULL)
			s->dialect = known[i].dialect;
	for (size_t i = 0; i < n && s->dialect == IMAP_OTHER; i++)
		if (strstr(s->greeting, known[i].greeting) != NULL)
			s->dialect = known[i].dialect;
	/* SPECIAL-USE and METADATA came with 2.5. */
	s->old_cyrus = s->dialect == IMAP_CYRUS && !(s->caps &
	    (CAP_SPECIAL_USE | CAP_METADATA));
}

/* A word of a greeting that may be another one next time, or on another host
 * of the same service: a host name, a time, the number of a session. */
static bool
passing_word(const char *p, size_t n)
{
	const char *dot = memrchr(p, '.', n);
	size_t digits = 0, letters = 0;

	if (n > 24 || memchr(p, '<', n) != NULL || memchr(p, '@', n) != NULL ||
	    memchr(p, ':', n) != NULL)
		return true;
	for (size_t i = 0; i < n; i++)
		digits += p[i] >= '0' && p[i] <= '9';
	if (digits == n)
		return true;
	if (dot == NULL)
		return false;
	for (const char *q = dot + 1; q < p + n; q++)
		letters += (*q >= 'a' && *q <= 'z') || (*q >= 'A' &&
		    *q <= 'Z');
	return letters > 1 && letters == (size_t)(p + n - dot - 1);
}

/* What the server is, from its answer to ID, else from what of its greeting
 * lasts. */
static void
identify(struct imap_session *s, const struct server_id *id)
{
	const char *p = s->greeting;
	struct buf b;

	buf_init(&b, sizeof s->identity - 1);
	buf_adds(&b, id->name);
	if (id->version[0] != '\0') {
		buf_addc(&b, ' ');
		buf_adds(&b, id->version);
	} else
		while (*(p += strspn(p, " ")) != '\0') {
			size_t n = strcspn(p, " ");

			if (!passing_word(p, n)) {
				buf_addc(&b, ' ');
				buf_add(&b, p, n);
			}
			p += n;
		}
	for (size_t i = 0; i < b.len; i++)
		if (b.ptr[i] < ' ' || b.ptr[i] > '~' || b.ptr[i] == '|')
			b.ptr[i] = '_';
	memcpy(s->identity, b.ptr, b.len);
	s->identity[b.len] = '\0';
	buf_release(&b);
}

/* NAMESPACE: three times NIL or a list of (prefix separator extensions...). */
static int
namespace_data(struct imap_session *s, struct imap_response *rs, void *ctx,
    struct err *e)
{
	struct imap_token t;
	int kind = 0;

	(void)ctx;
	if (rs->kind != IMAP_DATA || strcmp(rs->name, "NAMESPACE") != 0)
		return 0;
	for (;;) {
		char *prefix;

		if (imap_read_token(&s->r, &t, e) == -1)
			return -1;
		if (t.type == IMAP_END)
			return 0;
		if (t.type == IMAP_ATOM && s->r.depth == 0)
			kind++;
		else if (t.type == IMAP_CLOSE && s->r.depth == 0)
			kind++;
		if (t.type != IMAP_OPEN || s->r.depth != 2)
			continue;
		if (imap_read_token(&s->r, &t, e) == -1 ||
		    imap_token_string(&s->r, &t, e) == -1)
			return -1;
		if (t.type != IMAP_STRING && t.type != IMAP_ATOM)
			continue;
		prefix = xstrdup(t.p);
		if (imap_read_token(&s->r, &t, e) == -1 ||
		    imap_token_string(&s->r, &t, e) == -1) {
			free(prefix);
			return -1;
		}
		if (kind == 0 && s->prefix == NULL) {
			s->prefix = prefix;
			s->sep = t.type == IMAP_STRING && t.len == 1 ?
			    t.p[0] : '\0';
			prefix = NULL;
		} else if (kind == 1 && s->users == NULL) {
			s->users = xstrdup(prefix);
			if (s->sep == '\0' && t.type == IMAP_STRING &&
			    t.len == 1)
				s->sep = t.p[0];
		}
		if (kind == 2 && s->shared == NULL && prefix != NULL)
			s->shared = xstrdup(prefix);
		if (prefix != NULL && prefix[0] != '\0')
			imap_words_add(&s->others, prefix);
		if (kind == 0 && prefix != NULL && prefix[0] != '\0')
			imap_words_add(&s->own, prefix);
		free(prefix);
		if (s->others.n > NAMESPACES_MAX)
			return imap_protocol(&s->r, "too many namespaces", e);
		while (s->r.depth >= 2)
			if (imap_read_token(&s->r, &t, e) == -1)
				return -1;
	}
}

/* LIST "" "": where there is no NAMESPACE. */
static int
delimiter_data(struct imap_session *s, struct imap_response *rs, void *ctx,
    struct err *e)
{
	struct imap_token t;

	(void)ctx;
	if (rs->kind != IMAP_DATA || strcmp(rs->name, "LIST") != 0)
		return 0;
	if (imap_read_token(&s->r, &t, e) == -1 ||
	    imap_skip_value(&s->r, &t, e) == -1 ||
	    imap_read_token(&s->r, &t, e) == -1)
		return -1;
	if (t.type == IMAP_STRING && t.len == 1)
		s->sep = t.p[0];
	return 0;
}

static int
introduce(struct imap_session *s, struct err *e)
{
	struct imap_response rs;
	struct server_id id = { "", "" };
	unsigned tag = 0, tag2;
	bool ask_id = s->caps & CAP_ID, ns = s->caps & CAP_NAMESPACE;
	int rc;

	/* One round trip for both. */
	imap_stream_limits(s->st, s->timeout_s, 10 * s->timeout_s);
	if (ask_id && imap_send(s, "ID (\"name\" \"mailhaul\")", &tag,
	    e) == -1)
		return -1;
	if (imap_send(s, ns ? "NAMESPACE" : "LIST \"\" \"\"", &tag2,
	    e) == -1 || imap_flush(s, e) == -1)
		return -1;
	s->mild = true;
	rc = ask_id ? imap_wait(s, tag, id_data, &id, &rs, e) : 0;
	if (rc != -1)
		rc = imap_wait(s, tag2, ns ? namespace_data : delimiter_data,
		    NULL, &rs, e);
	s->mild = false;
	if (rc == 0 && ns)	/* announced, and refused all the same */
		rc = imap_run(s, "LIST \"\" \"\"", delimiter_data, NULL, &rs,
		    e);
	if (rc == -1)
		return -1;
	if (rc == 0)
		return imap_no(&rs, ERR_ACCOUNT, e, "LIST");
	if (s->prefix == NULL)
		s->prefix = xstrdup("");
	recognise(s, id.name);
	identify(s, &id);
	return 0;
}

/* Compression. */

static int
compress_mode(struct uri *u, char *mode, struct err *e)
{
	const char *v = uri_opt(u, "compress");

	*mode = v == NULL ? 'a' : v[0];
	if (v != NULL && strcmp(v, "auto") != 0 && strcmp(v, "yes") != 0 &&
	    strcmp(v, "no") != 0)
		return err_set(e, ERR_RUN, "compress=%.40s: auto, yes or no",
		    v);
	return 0;
}

/* Where it is wanted; a server that announces and refuses it is talked to
 * without. */
static int
begin_compression(struct imap_session *s, struct err *e)
{
	struct imap_response rs;
	char mode;
	int rc;

	if (compress_mode(s->conf->uri, &mode, e) == -1)
		return -1;
	if (!(s->caps & CAP_COMPRESS) || mode == 'n' ||
	    (mode == 'a' && !imap_stream_far(s->st)))
		return 0;
	rc = imap_try(s, "COMPRESS DEFLATE", NULL, NULL, &rs, e);
	if (rc != 1)
		return rc;
	imap_trace_note(s->trace, "compressed from here on");
	return imap_stream_compress(s->st, e);
}

/* What is known of servers, "host:port" each, as long as we run. */
static pthread_mutex_t hosts_mutex = PTHREAD_MUTEX_INITIALIZER;
static struct imap_words minus_hosts;	/* LITERAL+ there means LITERAL- */

static void
host_name(const struct uri *u, char out[300])
{
	snprintf(out, 300, "%.250s:%u", u->host != NULL ? u->host : "",
	    u->port);
}

void
imap_learn_literal_minus(const struct imap_session *s)
{
	char host[300];

	host_name(s->conf->uri, host);
	pthread_mutex_lock(&hosts_mutex);
	imap_words_add(&minus_hosts, host);
	pthread_mutex_unlock(&hosts_mutex);
}

static bool
literal_minus_known(const struct imap_session *s)
{
	char host[300];
	bool known;

	host_name(s->conf->uri, host);
	pthread_mutex_lock(&hosts_mutex);
	known = imap_words_has(&minus_hosts, host);
	pthread_mutex_unlock(&hosts_mutex);
	return known;
}

/* Opening. */

/* From the greeting to where mailboxes can be opened. */
static int
establish(struct imap_session *s, struct imap_tls *starttls, bool as_admin,
    struct err *e)
{
	if (imap_greeting(s, e) == -1)
		return -1;
	snprintf(s->greeting, sizeof s->greeting, "%s", s->guard.text);
	if (capabilities(s, s->guard.code, s->guard.args, e) == -1)
		return -1;
	if (starttls != NULL) {
		if (!(s->caps & CAP_STARTTLS))
			return err_set(e, ERR_ACCOUNT, "the server does not "
			    "offer STARTTLS (or someone between us takes it "
			    "away); tls=implicit or, unprotected, tls=none");
		if (imap_starttls(s, e) == -1 || imap_stream_tls(s->st,
		    starttls, s->conf->uri->host, e) == -1)
			return -1;
		imap_trace_note(s->trace, "TLS");
		/* What was said in the clear may have been anybody's. */
		if (capabilities(s, "", "", e) == -1)
			return -1;
	}
	if (!s->preauth && log_in(s, as_admin, e) == -1) {
		if (s->conf->password != NULL)
			imap_hide(e->text, s->conf->password);
		return -1;
	}
	if (introduce(s, e) == -1 || begin_compression(s, e) == -1)
		return -1;
	if (s->caps & CAP_LITERAL_PLUS && literal_minus_known(s)) {
		s->caps &= ~(unsigned)CAP_LITERAL_PLUS;
		s->caps |= CAP_LITERAL_MINUS;
	}
	return 0;
}

static void
session_free(struct imap_session *s)
{
	imap_etpan_free(s);
	imap_reader_release(&s->r);
	imap_stream_free(&s->st);
	imap_trace_free(&s->trace);
	imap_words_release(&s->mechs);
	imap_words_release(&s->others);
	imap_words_release(&s->own);
	free(s->prefix);
	free(s->users);
	free(s->shared);
	free(s->root);
	free(s);
}

static int
session_start(struct imap_session **sp, struct imap_stream *st,
    const struct store_conf *conf, struct imap_tls *starttls, bool as_admin,
    unsigned timeout_s, struct err *e)
{
	struct imap_session *s = xcalloc(1, sizeof *s);

	s->conf = conf;
	s->st = st;
	s->timeout_s = timeout_s;
	s->appendlimit = UNKNOWN64;
	s->preauth = conf->dial != NULL;
	imap_reader_init(&s->r, st);
	s->guard.r = &s->r;
	s->r.trace = s->trace = imap_trace_new(conf);
	imap_stream_trace(st, s->trace);
	imap_trace_note(s->trace, "a session of %s at %s begins%s",
	    conf->uri->user != NULL ? conf->uri->user : "nobody",
	    conf->uri->host, imap_stream_is_tls(st) ? ", with TLS" : "");
	if (imap_etpan_new(s, e) == -1 ||
	    establish(s, starttls, as_admin, e) == -1) {
		imap_trace_note(s->trace, "%s", e->text);
		session_free(s);
		return -1;
	}
	*sp = s;
	return 0;
}

int
imap_session_over(struct imap_session **sp, struct imap_stream *st,
    const struct store_conf *conf, bool as_admin, struct err *e)
{
	*sp = NULL;
	return session_start(sp, st, conf, NULL, as_admin, 60, e);
}

int
imap_session_check(struct uri *u, struct err *e)
{
	static const char *const known[] = { "login", "plain", "cram-md5",
	    "digest-md5", "scram-sha-1", "scram-sha-256", "xoauth2",
	    "oauthbearer", NULL };
	const char *auth = uri_opt(u, "auth");
	struct imap_tls *tls;
	uint64_t timeout = 0;
	char mode;

	if (compress_mode(u, &mode, e) == -1 ||
	    imap_way(u, &mode, &tls, &timeout, e) == -1)
		return -1;
	imap_tls_put(&tls);
	if (u->user == NULL || u->user[0] == '\0')
		return err_set(e, ERR_RUN, "no user name: write %s://USER@%s",
		    u->scheme, u->host);
	if (auth == NULL)
		return 0;
	for (const char *const *k = known; *k != NULL; k++)
		if (strcasecmp(*k, auth) == 0)
			return 0;
	return err_set(e, ERR_RUN, "auth=%.40s: no such mechanism", auth);
}

/* Through a child of the caller's. */
static int
open_dialled(struct imap_session **sp, const struct store_conf *conf,
    struct err *e)
{
	unsigned timeout = conf->timeout_s != 0 ? conf->timeout_s : 60;
	struct imap_stream *st;
	int in, out;

	if (conf->dial(conf->dial_ctx, &in, &out, e) == -1)
		return -1;
	st = imap_stream_pair(in, out, "imap child", conf->cancel_fd);
	imap_stream_limits(st, timeout, 10 * timeout);
	return session_start(sp, st, conf, NULL, false, timeout, e);
}

int
imap_session_open(struct imap_session **sp, const struct store_conf *conf,
    bool as_admin, struct err *e)
{
	struct uri *u = conf->uri;
	struct imap_stream *st = NULL;
	struct imap_tls *tls = NULL;
	uint64_t timeout = conf->timeout_s != 0 ? conf->timeout_s : 60;
	char mode = 'i';
	int rc;

	*sp = NULL;
	if (conf->dial != NULL)
		return open_dialled(sp, conf, e);
	if (imap_way(u, &mode, &tls, &timeout, e) == -1)
		return -1;
	rc = imap_stream_connect(&st, u->host, u->port != 0 ? u->port :
	    mode == 'i' ? 993 : 143, conf->cancel_fd, (unsigned)timeout, e);
	if (rc == 0 && mode == 'i')
		rc = imap_stream_tls(st, tls, u->host, e);
	if (rc == 0) {
		/* The session owns the stream now, also when it fails. */
		rc = session_start(sp, st, conf, mode == 's' ? tls : NULL,
		    as_admin, (unsigned)timeout, e);
		st = NULL;
	}
	imap_stream_free(&st);
	imap_tls_put(&tls);
	if (rc == 0)
		imap_way_weak(conf, mode);
	if (rc == -1 && strstr(e->text, u->host) == NULL)
		err_ctx(e, "%.100s", u->host);
	return rc;
}

void
imap_session_drop(struct imap_session *s)
{
	s->dead = true;
	s->r.dead = true;
	imap_etpan_free(s);
	imap_stream_free(&s->st);
}

void
imap_session_close(struct imap_session **sp)
{
	struct imap_session *s = *sp;
	struct err e;

	*sp = NULL;
	if (s == NULL)
		return;
	if (!s->dead && !s->r.dead) {
		unsigned keep = s->timeout_s;

		s->timeout_s = keep < 5 ? keep : 5;
		imap_small(s, "LOGOUT", &e);
	}
	session_free(s);
}
