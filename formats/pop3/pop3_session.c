/* A session with a POP3 server. */
#include "pop3/pop3_session.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/xmalloc.h"
#include "imap/imap_text.h"
#include "imap/imap_way.h"
#include "pop3/pop3_parse.h"

#define LINE_MAX_BYTES	((size_t)1 << 20)	/* of a header */
#define ITEMS_MAX	((size_t)1 << 20)	/* messages of a maildrop */
#define HEADER_LINES	100000			/* of a message */
#define CAPA_LINES	1000
#define AHEAD		32			/* TOPs under way */
#define AUTH_LINE	255			/* RFC 2449: all of a command */

const char *const pop3_options[] = {
	"tls", "tls-min", "ca", "pin", "verify", "cert", "key", "auth",
	"authzid", "timeout", "secret-file", "secret-env", "secret-fd",
	"secret-command", NULL };

struct pop3 {
	const struct store_conf *conf;	/* borrowed */
	struct imap_stream *st;
	struct pop3_head *head;
	struct buf	 line;		/* the last one read */
	unsigned	 caps;
	bool		 capa;		/* it told them */
	bool		 dead;
	unsigned	 timeout_s;
};

/* Lines. */

static int
odd(struct pop3 *p, const char *what, struct err *e)
{
	p->dead = true;
	return err_set(e, ERR_ACCOUNT, "the server is out of step: %s", what);
}

/* What comes may take as long as its bytes need. */
static void
begin(struct pop3 *p)
{
	imap_stream_limits(p->st, p->timeout_s, 10 * p->timeout_s);
}

/* The next line, without its end, in p->line. */
static int
read_line(struct pop3 *p, struct err *e)
{
	const char *w, *lf;
	size_t n;

	buf_reset(&p->line);
	for (;;) {
		n = imap_stream_window(p->st, &w);
		lf = n > 0 ? memchr(w, '\n', n) : NULL;
		if (lf != NULL)
			n = (size_t)(lf - w) + 1;
		buf_add(&p->line, w, n);
		imap_stream_consume(p->st, n);
		if (p->line.full)
			return odd(p, "a line without an end", e);
		if (lf != NULL)
			break;
		if (imap_stream_fill(p->st, e) == -1) {
			p->dead = true;
			return -1;
		}
	}
	n = p->line.len - 1;
	if (n > 0 && p->line.ptr[n - 1] == '\r')
		n--;
	p->line.len = n;
	p->line.ptr[n] = '\0';
	return 0;
}

static int
read_status(struct pop3 *p, struct pop3_status *st, struct err *e)
{
	if (read_line(p, e) == -1)
		return -1;
	if (strlen(p->line.ptr) != p->line.len ||
	    pop3_status_parse(st, p->line.ptr) == -1)
		return odd(p, "an answer that is none", e);
	return 0;
}

/* A line of an answer of many: 1, or 0 behind the last one. */
static int
read_more(struct pop3 *p, struct err *e)
{
	if (read_line(p, e) == -1)
		return -1;
	imap_stream_earn(p->st, p->line.len + 2);
	if (p->line.len == 1 && p->line.ptr[0] == '.')
		return 0;
	if (p->line.len > 1 && p->line.ptr[0] == '.')
		buf_drop(&p->line, 1);
	return 1;
}

static int
send_line(struct pop3 *p, const char *text, struct err *e)
{
	if (imap_stream_write(p->st, text, strlen(text), e) == 0 &&
	    imap_stream_write(p->st, "\r\n", 2, e) == 0)
		return 0;
	p->dead = true;
	return -1;
}

static int
flush(struct pop3 *p, struct err *e)
{
	if (imap_stream_flush(p->st, e) == 0)
		return 0;
	p->dead = true;
	return -1;
}

/* A command and its status: 1 +OK, 0 -ERR, -1. */
static int
command(struct pop3 *p, const char *text, struct pop3_status *st,
    struct err *e)
{
	begin(p);
	if (send_line(p, text, e) == -1 || flush(p, e) == -1 ||
	    read_status(p, st, e) == -1)
		return -1;
	if (st->kind == POP3_CONTINUE)
		return odd(p, "a challenge where none belongs", e);
	return st->kind == POP3_OK;
}

/* A server's words, for an error; its bytes are anybody's. */
static int
refused(const struct pop3_status *st, struct err *e, const char *what)
{
	char words[200];
	size_t n;

	for (n = 0; n < sizeof words - 1 && st->text[n] != '\0'; n++)
		words[n] = st->text[n] >= ' ' && st->text[n] < 0x7f ?
		    st->text[n] : '?';
	words[n] = '\0';
	if (pop3_temporary(st))
		return err_retry(e, ERR_ACCOUNT, "%s: the server says: %s%s%s",
		    what, st->code, st->code[0] != '\0' ? ": " : "", words);
	return err_set(e, ERR_ACCOUNT, "%s: the server says: %s", what, words);
}

/* Opening. */

static int
capabilities(struct pop3 *p, struct err *e)
{
	struct pop3_status st;
	size_t lines = 0;
	int rc;

	p->caps = 0;
	if ((rc = command(p, "CAPA", &st, e)) == -1)
		return -1;
	p->capa = rc == 1;
	if (rc == 0)
		return 0;	/* an old server */
	while ((rc = read_more(p, e)) == 1) {
		if (++lines > CAPA_LINES)
			return odd(p, "its capabilities have no end", e);
		p->caps |= pop3_cap_parse(p->line.ptr);
	}
	return rc;
}

static int
start_tls(struct pop3 *p, struct imap_tls *tls, struct err *e)
{
	struct pop3_status st;
	int rc = 0;

	/* A server without CAPA may have it all the same. */
	if (!p->capa || p->caps & POP3_CAP_STLS)
		rc = command(p, "STLS", &st, e);
	if (rc == 0)
		return err_set(e, ERR_ACCOUNT, "the server does not offer "
		    "STARTTLS (or someone between us takes it away); pop3s: "
		    "or, unprotected, tls=none");
	if (rc == -1 || imap_stream_tls(p->st, tls, p->conf->uri->host, e) ==
	    -1)
		return -1;
	/* What was said in the clear may have been anybody's. */
	return capabilities(p, e);
}

/* One line with a secret in it. */
static int
say(struct pop3 *p, const char *before, const char *word,
    struct pop3_status *st, struct err *e)
{
	struct buf b;
	int rc;

	for (const char *c = word; *c != '\0'; c++)
		if ((unsigned char)*c < ' ' || *c == 0x7f)
			return err_set(e, ERR_ACCOUNT, "a control character "
			    "in the user name or the password: use "
			    "auth=plain");
	buf_init(&b, 1 << 16);
	if (before[0] != '\0')
		buf_addf(&b, "%s ", before);
	buf_adds(&b, word);
	begin(p);
	if (b.full)
		rc = err_set(e, ERR_ACCOUNT, "user name or password too long");
	else if ((rc = send_line(p, b.ptr, e)) == 0 && (rc = flush(p, e)) == 0)
		rc = read_status(p, st, e);
	explicit_bzero(b.ptr, b.len);
	buf_release(&b);
	return rc;
}

static int
auth_plain(struct pop3 *p, const char *authzid, struct pop3_status *st,
    struct err *e)
{
	struct uri *u = p->conf->uri;
	struct buf raw, ir;
	int rc;

	buf_init(&raw, 1 << 15);
	buf_init(&ir, 1 << 16);
	buf_adds(&raw, authzid != NULL ? authzid : "");
	buf_addc(&raw, '\0');
	buf_adds(&raw, u->user);
	buf_addc(&raw, '\0');
	buf_adds(&raw, p->conf->password);
	imap_base64(&ir, raw.ptr, raw.len);
	if (raw.full || ir.full)
		rc = err_set(e, ERR_ACCOUNT, "user name or password too long");
	else if (ir.len + strlen("AUTH PLAIN \r\n") <= AUTH_LINE)
		rc = say(p, "AUTH PLAIN", ir.ptr, st, e);
	else if ((rc = say(p, "AUTH", "PLAIN", st, e)) == 0 && st->kind ==
	    POP3_CONTINUE)
		rc = say(p, "", ir.ptr, st, e);
	if (rc == 0 && st->kind == POP3_CONTINUE)
		rc = odd(p, "a second challenge", e);
	if (rc == 0 && st->kind == POP3_ERR)
		imap_hide(p->line.ptr, ir.ptr);
	explicit_bzero(raw.ptr, raw.len);
	explicit_bzero(ir.ptr, ir.len);
	buf_release(&raw);
	buf_release(&ir);
	return rc;
}

/* auth=: 'p' AUTH PLAIN, 'u' USER and PASS, 0: what the server has. */
static int
auth_way(struct uri *u, char *way, struct err *e)
{
	const char *v = uri_opt(u, "auth"), *id = uri_opt(u, "authzid");

	*way = id != NULL && id[0] != '\0' ? 'p' : '\0';
	if (v == NULL)
		return 0;
	if (strcasecmp(v, "plain") != 0 && strcasecmp(v, "user") != 0)
		return err_set(e, ERR_RUN, "auth=%.40s: user or plain", v);
	if (*way != '\0' && strcasecmp(v, "user") == 0)
		return err_set(e, ERR_RUN, "auth=user cannot act for another "
		    "user (authzid=)");
	*way = v[0] == 'p' || v[0] == 'P' ? 'p' : 'u';
	return 0;
}

static int
log_in(struct pop3 *p, struct err *e)
{
	struct uri *u = p->conf->uri;
	const char *authzid = uri_opt(u, "authzid");
	struct pop3_status st;
	char what[300], way;
	int rc;

	if (u->user == NULL || u->user[0] == '\0')
		return err_set(e, ERR_RUN, "no user name: write %s://USER@%s",
		    u->scheme, u->host);
	if (p->conf->password == NULL || p->conf->password[0] == '\0')
		return err_set(e, ERR_ACCOUNT, "no password for %.100s",
		    u->user);
	if (authzid != NULL && authzid[0] == '\0')
		authzid = NULL;
	if (auth_way(u, &way, e) == -1)
		return -1;
	if (way == '\0')
		way = p->caps & POP3_CAP_PLAIN && !(p->caps & POP3_CAP_USER) ?
		    'p' : 'u';
	if (way == 'p')
		rc = auth_plain(p, authzid, &st, e);
	else if ((rc = say(p, "USER", u->user, &st, e)) == 0 &&
	    st.kind == POP3_OK)
		rc = say(p, "PASS", p->conf->password, &st, e);
	if (rc == -1)
		return -1;
	if (st.kind == POP3_OK)
		return 0;
	snprintf(what, sizeof what, "login as %.100s%s%.100s", u->user,
	    authzid != NULL ? " for " : "", authzid != NULL ? authzid : "");
	refused(&st, e, what);
	if (e->retry && strcasestr(st.text, "connections") != NULL)
		e->cause = CAUSE_LIMIT;
	else if (!e->retry && strcasecmp(st.code, "SYS/PERM") != 0)
		e->cause = CAUSE_AUTH;
	return -1;
}

static int
establish(struct pop3 *p, struct imap_tls *starttls, struct err *e)
{
	struct pop3_status st;

	begin(p);
	if (read_status(p, &st, e) == -1) {
		/* Whoever answers so is no POP3 server, or none just now. */
		if (e->cause != CAUSE_CANCELLED)
			e->scope = ERR_HOST;
		return err_ctx(e, "no greeting");
	}
	if (st.kind != POP3_OK) {
		refused(&st, e, "greeting");
		if (e->retry)
			e->cause = CAUSE_LIMIT;
		return -1;
	}
	if (capabilities(p, e) == -1 ||
	    (starttls != NULL && start_tls(p, starttls, e) == -1))
		return -1;
	if (log_in(p, e) == -1) {
		if (p->conf->password != NULL)
			imap_hide(e->text, p->conf->password);
		return -1;
	}
	/* More may be told to who has logged in, e.g. PIPELINING. */
	return p->capa ? capabilities(p, e) : 0;
}

static void
session_free(struct pop3 *p)
{
	imap_stream_free(&p->st);
	pop3_head_free(&p->head);
	buf_release(&p->line);
	free(p);
}

static int
session_start(struct pop3 **pp, struct imap_stream *st,
    const struct store_conf *conf, struct imap_tls *starttls, unsigned timeout,
    struct err *e)
{
	struct pop3 *p = xcalloc(1, sizeof *p);

	p->conf = conf;
	p->st = st;
	p->timeout_s = timeout;
	p->head = pop3_head_new();
	buf_init(&p->line, LINE_MAX_BYTES);
	if (establish(p, starttls, e) == -1) {
		session_free(p);
		return -1;
	}
	*pp = p;
	return 0;
}

int
pop3_over(struct pop3 **pp, struct imap_stream *st,
    const struct store_conf *conf, struct err *e)
{
	*pp = NULL;
	return session_start(pp, st, conf, NULL, 60, e);
}

int
pop3_check(struct uri *u, struct err *e)
{
	struct imap_tls *tls;
	uint64_t timeout = 0;
	char mode, way;

	if (strcmp(u->scheme, "pop3") != 0 && strcmp(u->scheme, "pop3s") != 0)
		return err_set(e, ERR_RUN, "'%.40s:' is no POP3 server; write "
		    "pop3s://USER@HOST", u->scheme);
	if (uri_check_opts(u, pop3_options, e) == -1)
		return err_ctx(e, "%s:", u->scheme);
	if (imap_way(u, &mode, &tls, &timeout, e) == -1)
		return -1;
	imap_tls_put(&tls);
	if (u->user == NULL || u->user[0] == '\0')
		return err_set(e, ERR_RUN, "no user name: write %s://USER@%s",
		    u->scheme, u->host);
	return auth_way(u, &way, e);
}

int
pop3_open(struct pop3 **pp, const struct store_conf *conf, struct err *e)
{
	struct uri *u = conf->uri;
	struct imap_stream *st = NULL;
	struct imap_tls *tls = NULL;
	uint64_t timeout = conf->timeout_s != 0 ? conf->timeout_s : 60;
	char mode;
	int rc;

	*pp = NULL;
	if (imap_way(u, &mode, &tls, &timeout, e) == -1)
		return -1;
	rc = imap_stream_connect(&st, u->host, u->port != 0 ? u->port :
	    mode == 'i' ? 995 : 110, conf->cancel_fd, (unsigned)timeout, e);
	if (rc == 0 && mode == 'i')
		rc = imap_stream_tls(st, tls, u->host, e);
	if (rc == 0) {
		/* The session owns the stream now, also when it fails. */
		rc = session_start(pp, st, conf, mode == 's' ? tls : NULL,
		    (unsigned)timeout, e);
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
pop3_close(struct pop3 **pp)
{
	struct pop3 *p = *pp;
	struct pop3_status st;
	struct err e;

	*pp = NULL;
	if (p == NULL)
		return;
	if (!p->dead) {
		p->timeout_s = p->timeout_s < 5 ? p->timeout_s : 5;
		command(p, "QUIT", &st, &e);
	}
	session_free(p);
}

/* Listing. */

static int
cmp_item(const void *va, const void *vb)
{
	const struct pop3_item *a = va, *b = vb;

	return a->number < b->number ? -1 : a->number > b->number;
}

/* LIST, sorted; the caller frees. */
static int
list_sizes(struct pop3 *p, struct pop3_item **items, size_t *n,
    struct err *e)
{
	struct pop3_item *v = NULL;
	struct pop3_status st;
	size_t cap = 0;
	int rc;

	*items = NULL;
	*n = 0;
	if ((rc = command(p, "LIST", &st, e)) != 1)
		return rc == 0 ? refused(&st, e, "LIST") : -1;
	while ((rc = read_more(p, e)) == 1) {
		if (*n == ITEMS_MAX) {
			odd(p, "its list has no end", e);
			rc = -1;
			break;
		}
		if (*n == cap) {
			cap = cap == 0 ? 256 : 2 * cap;
			v = xreallocarray(v, cap, sizeof *v);
		}
		memset(&v[*n], 0, sizeof *v);
		if (pop3_list_parse(p->line.ptr, &v[*n].number, &v[*n].size) ==
		    -1) {
			odd(p, "a line of LIST that is none", e);
			rc = -1;
			break;
		}
		++*n;
	}
	if (rc == 0 && *n > 0) {
		qsort(v, *n, sizeof *v, cmp_item);
		for (size_t i = 1; i < *n && rc == 0; i++)
			if (v[i].number == v[i - 1].number)
				rc = odd(p, "a number twice in LIST", e);
	}
	if (rc == 0)
		*items = v;
	else
		free(v);
	return rc;
}

int
pop3_list(struct pop3 *p, struct arena *a, struct pop3_item **items,
    size_t *n, struct err *e)
{
	struct pop3_item *v, *it;
	struct pop3_status st;
	struct pop3_item key;
	const char *uidl;
	int rc;

	if (list_sizes(p, &v, n, e) == -1)
		return -1;
	*items = arena_alloc(a, (*n + 1) * sizeof **items);
	if (*n > 0)
		memcpy(*items, v, *n * sizeof *v);
	free(v);
	if ((rc = command(p, "UIDL", &st, e)) != 1)
		return rc == 0 ? refused(&st, e, "UIDL") : -1;
	while ((rc = read_more(p, e)) == 1) {
		if (pop3_uidl_parse(p->line.ptr, &key.number, &uidl) == -1)
			return odd(p, "a line of UIDL that is none", e);
		it = *n > 0 ? bsearch(&key, *items, *n, sizeof *it, cmp_item) :
		    NULL;
		if (it == NULL)
			return odd(p, "UIDL has a number that LIST has not",
			    e);
		if (it->uidl != NULL)
			return odd(p, "a number twice in UIDL", e);
		if (uidl != NULL)
			it->uidl = arena_strdup(a, uidl);
	}
	return rc;
}

/* Headers. */

/* The answer to one TOP: *there says whether the server gave it. */
static int
read_head(struct pop3 *p, unsigned char digest[DIGEST_LEN], bool *there,
    struct err *e)
{
	struct pop3_status st;
	bool ended = false, empty;
	size_t lines = 0;
	int rc;

	*there = false;
	if (read_status(p, &st, e) == -1)
		return -1;
	if (st.kind != POP3_OK)
		return st.kind == POP3_ERR ? 0 : odd(p, "a challenge to TOP",
		    e);
	pop3_head_begin(p->head);
	while ((rc = read_more(p, e)) == 1) {
		if (++lines > HEADER_LINES)
			return odd(p, "a header without an end", e);
		/* What follows is the body's, and not wanted. */
		ended = ended || p->line.len == 0;
		if (!ended)
			pop3_head_line(p->head, p->line.ptr, p->line.len);
	}
	pop3_head_end(p->head, digest, &empty);
	*there = rc == 0 && !empty;
	return rc;
}

int
pop3_heads(struct pop3 *p, const uint32_t *numbers, size_t n,
    pop3_head_fn *fn, void *ctx, struct err *e)
{
	size_t ahead = p->caps & POP3_CAP_PIPELINING ? AHEAD : 1, sent = 0;
	unsigned char digest[DIGEST_LEN];
	char text[40];
	bool there;

	if (p->capa && !(p->caps & POP3_CAP_TOP))
		return 0;
	for (size_t i = 0; i < n; i++) {
		begin(p);
		if (sent == i) {
			for (; sent < n && sent < i + ahead; sent++) {
				snprintf(text, sizeof text, "TOP %" PRIu32
				    " 0", numbers[sent]);
				if (send_line(p, text, e) == -1)
					return -1;
			}
			if (flush(p, e) == -1)
				return -1;
		}
		if (read_head(p, digest, &there, e) == -1)
			return -1;
		fn(ctx, i, there ? digest : NULL);
	}
	return 1;
}

int
pop3_noop(struct pop3 *p, struct err *e)
{
	struct pop3_status st;
	int rc = command(p, "NOOP", &st, e);

	return rc == 0 ? refused(&st, e, "NOOP") : rc == 1 ? 0 : -1;
}
