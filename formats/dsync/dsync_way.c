/*
 * The ways to a server.
 *
 *	doveadm:USER[?config=FILE&program=FILE]
 *		a child: doveadm [-c FILE] dsync-server -u USER
 *		to read: doveadm [-c FILE] exec imap -u USER
 *	doveadm://HOST[:PORT]/USER[?tls=starttls|implicit|none&...]
 *		the doveadm protocol, with doveadm_password
 *		to read: read=imaps://USER@HOST
 *
 * The doveadm protocol, version 1.0 (a higher minor number would change the
 * framing of the answers):
 *
 *	us				the server
 *	VERSION doveadm-server 1 0	"-": a password is wanted
 *	STARTTLS, and TLS
 *	PLAIN base64			"+"
 *	flags user command arguments	an empty line, "+"
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/xmalloc.h"
#include "dsync/dsync_talk.h"
#include "imap/imap_session.h"
#include "imap/imap_stream.h"
#include "imap/imap_tls.h"

#define PORT	24245
#define SECRET_MAX 1000

static bool
plain_text(const char *s)
{
	for (; *s != '\0'; s++)
		if ((unsigned char)*s < ' ' || *s == 0x7f)
			return false;
	return true;
}

static char
tls_mode(struct uri *u)
{
	const char *v = uri_opt(u, "tls");

	return v == NULL ? 's' : v[0];
}

char
dsync_way_transport(struct uri *u)
{
	const char *v = uri_opt(u, "transport");

	return v == NULL ? 'a' : v[0];
}

static bool
one_of(const char *v, const char *const *words)
{
	for (; *words != NULL; words++)
		if (strcmp(*words, v) == 0)
			return true;
	return v == NULL;
}

/* What only one of the two kinds has. */
static int
check_options(struct uri *u, struct err *e)
{
	static const char *const local[] = { "config", "program", NULL };
	static const char *const remote[] = {
		"tls", "tls-min", "ca", "pin", "verify", "cert", "key", "auth",
		"read", "read-secret-file", NULL
	};

	for (size_t i = 0; i < u->nopts; i++)
		if (one_of(u->opts[i].key, u->host != NULL ? local : remote))
			return err_set(e, ERR_RUN, "%s= means nothing for "
			    "doveadm:%s", u->opts[i].key, u->host != NULL ?
			    "//HOST" : "USER");
	return 0;
}

/* What read= says, with the options that are about the way to it. */
static int
read_uri(struct uri **up, struct uri *u, struct err *e)
{
	static const char *const shared[] = {
		"tls-min", "ca", "pin", "verify", "cert", "key", "auth",
		"prefix", "timeout", NULL
	};
	const char *text = uri_opt(u, "read");

	*up = NULL;
	if (text == NULL)
		return 0;
	if (uri_parse(up, text, e) == -1)
		return err_ctx(e, "read=");
	for (size_t i = 0; i < u->nopts; i++)
		if (one_of(u->opts[i].key, shared))
			uri_set(*up, u->opts[i].key, u->opts[i].val);
	if (strcmp((*up)->scheme, "imap") != 0 &&
	    strcmp((*up)->scheme, "imaps") != 0)
		err_set(e, ERR_RUN, "read=%.100s: must be imaps://USER@HOST",
		    text);
	else if (imap_session_check(*up, e) == 0)
		return 1;
	else
		err_ctx(e, "read=");
	uri_free(up);
	return -1;
}

int
dsync_way_check(struct uri *u, struct err *e)
{
	static const char *const transports[] = {
		"auto", "dsync", "imap", NULL
	};
	static const char *const modes[] = {
		"starttls", "implicit", "none", NULL
	};
	const char *v;
	struct imap_tls *tls;
	struct uri *far;
	int rc;

	if (u->path == NULL || u->path[0] == '\0' || !plain_text(u->path))
		return err_set(e, ERR_RUN, "doveadm: needs a user, as in "
		    "doveadm:USER or doveadm://HOST/USER");
	if (check_options(u, e) == -1)
		return -1;
	if ((v = uri_opt(u, "transport")) != NULL && !one_of(v, transports))
		return err_set(e, ERR_RUN, "transport=%.40s: auto, dsync or "
		    "imap", v);
	if (u->host == NULL)
		return 0;
	if ((v = uri_opt(u, "tls")) != NULL && !one_of(v, modes))
		return err_set(e, ERR_RUN, "tls=%.40s: starttls, implicit or "
		    "none", v);
	if (tls_mode(u) != 'n') {
		if (imap_tls_get(&tls, u, e) == -1)
			return -1;
		imap_tls_put(&tls);
	}
	rc = read_uri(&far, u, e);
	uri_free(&far);
	if (rc == 0 && dsync_way_transport(u) == 'i')
		return err_set(e, ERR_RUN, "transport=imap: say where, with "
		    "read=imaps://USER@HOST");
	return rc == -1 ? -1 : 0;
}

/* Children. */

/* doveadm [-c FILE] and three words more. */
static int
start(struct uri *u, const char *verb, const char *what,
    struct child **child, int *fd, int *in, struct err *e)
{
	const char *program = uri_opt(u, "program");
	const char *config = uri_opt(u, "config");
	const char *argv[9];
	size_t n = 0;

	argv[n++] = program != NULL ? program : "doveadm";
	if (config != NULL) {
		argv[n++] = "-c";
		argv[n++] = config;
	}
	argv[n++] = verb;
	if (what != NULL)
		argv[n++] = what;
	argv[n++] = "-u";
	argv[n++] = u->path;
	argv[n] = NULL;
	return child_start(child, argv, NULL, fd, in, e);
}

/* TCP. */

static int
read_line(struct imap_stream *st, struct buf *line, struct err *e)
{
	const char *p, *end;
	size_t n;

	buf_reset(line);
	for (;;) {
		n = imap_stream_window(st, &p);
		end = n > 0 ? memchr(p, '\n', n) : NULL;
		if (end != NULL) {
			buf_add(line, p, (size_t)(end - p));
			imap_stream_consume(st, (size_t)(end - p) + 1);
			return 0;
		}
		if (n > 2000)
			return err_set(e, ERR_ACCOUNT, "this is no doveadm "
			    "server");
		if (imap_stream_fill(st, e) == -1)
			return -1;
	}
}

static int
say(struct imap_stream *st, const struct buf *b, struct err *e)
{
	return imap_stream_write(st, b->ptr, b->len, e) == -1 ? -1 :
	    imap_stream_flush(st, e);
}

static int
log_in(struct imap_stream *st, const char *password, struct err *e)
{
	struct buf raw, line;
	int rc;

	if (password == NULL)
		return err_set(e, ERR_ACCOUNT, "no doveadm_password: give it "
		    "with secret-file= or the like");
	buf_init(&raw, SECRET_MAX);
	buf_init(&line, 4 * SECRET_MAX);
	buf_add(&raw, "\0doveadm\0", 9);
	buf_adds(&raw, password);
	buf_adds(&line, "PLAIN\t");
	imap_base64(&line, raw.ptr, raw.len);
	buf_addc(&line, '\n');
	rc = raw.full || line.full ? err_set(e, ERR_ACCOUNT,
	    "doveadm_password is too long") : say(st, &line, e);
	explicit_bzero(raw.ptr, raw.len);
	explicit_bzero(line.ptr, line.len);
	buf_release(&raw);
	if (rc == 0 && (rc = read_line(st, &line, e)) == 0 &&
	    strcmp(line.ptr, "+") != 0) {
		rc = err_set(e, ERR_ACCOUNT, "the doveadm server refuses the "
		    "password");
		e->cause = CAUSE_AUTH;
	}
	buf_release(&line);
	return rc;
}

/* The command that makes a dsync-server of the connection. */
static int
order(struct imap_stream *st, const char *user, struct err *e)
{
	struct buf line;
	int rc;

	buf_init(&line, 1 << 14);
	buf_addc(&line, '\t');
	dsync_escape(&line, user, strlen(user));
	buf_adds(&line, "\tdsync-server\t-u");
	dsync_escape(&line, user, strlen(user));
	buf_addc(&line, '\n');
	rc = line.full ? err_set(e, ERR_ACCOUNT, "the user's name is too "
	    "long") : say(st, &line, e);
	/* Words that the command prints, then its outcome. */
	if (rc == 0)
		rc = read_line(st, &line, e);
	if (rc == 0)
		rc = read_line(st, &line, e);
	if (rc == 0 && strcmp(line.ptr, "+") != 0) {
		rc = err_set(e, ERR_ACCOUNT, "the doveadm server does not "
		    "start dsync-server for %.100s (%.60s)", user, line.ptr);
		if (strstr(line.ptr, "NOUSER") != NULL)
			e->cause = CAUSE_MISSING;
	}
	buf_release(&line);
	return rc;
}

static int
dial_tcp(const struct store_conf *conf, struct imap_stream **sp,
    struct err *e)
{
	struct uri *u = conf->uri;
	unsigned timeout = conf->timeout_s != 0 ? conf->timeout_s : 60;
	char mode = tls_mode(u);
	struct imap_stream *st;
	struct imap_tls *tls = NULL;
	struct buf line;
	int rc;

	if (mode != 'n' && imap_tls_get(&tls, u, e) == -1)
		return -1;
	if (imap_stream_connect(&st, u->host, u->port != 0 ? u->port : PORT,
	    conf->cancel_fd, timeout, e) == -1) {
		imap_tls_put(&tls);
		return -1;
	}
	buf_init(&line, 4096);
	rc = mode == 'i' ? imap_stream_tls(st, tls, u->host, e) : 0;
	buf_adds(&line, "VERSION\tdoveadm-server\t1\t0\n");
	if (rc == 0)
		rc = say(st, &line, e);
	if (rc == 0)
		rc = read_line(st, &line, e);
	if (rc == 0 && strcmp(line.ptr, "-") != 0 && strcmp(line.ptr,
	    "+") != 0)
		rc = err_set(e, ERR_HOST, "%.100s is no doveadm server",
		    u->host);
	if (rc == 0 && strcmp(line.ptr, "-") == 0) {
		if (mode == 's') {
			buf_reset(&line);
			buf_adds(&line, "STARTTLS\n");
			rc = say(st, &line, e);
			if (rc == 0)
				rc = imap_stream_tls(st, tls, u->host, e);
		}
		if (rc == 0)
			rc = log_in(st, conf->password, e);
	} else if (rc == 0 && mode == 's')
		rc = err_set(e, ERR_ACCOUNT, "%.100s wants no password, and "
		    "so takes no STARTTLS: tls=implicit or, unprotected, "
		    "tls=none", u->host);
	if (rc == 0)
		rc = order(st, u->path, e);
	buf_release(&line);
	imap_tls_put(&tls);
	if (rc == -1)
		imap_stream_free(&st);
	*sp = st;
	return rc;
}

int
dsync_way_dial(const struct store_conf *conf, struct imap_stream **sp,
    struct child **child, struct err *e)
{
	int fd;

	*sp = NULL;
	*child = NULL;
	if (conf->uri->host != NULL)
		return dial_tcp(conf, sp, e);
	if (start(conf->uri, "dsync-server", NULL, child, &fd, NULL,
	    e) == -1)
		return -1;
	*sp = imap_stream_socket(fd, "dsync-server", conf->cancel_fd);
	return 0;
}

/* Eyes. */

static int
dial_imap(void *ctx, int *in, int *out, struct err *e)
{
	struct dsync_eyes *y = ctx;

	/* The one before is over: its session was closed. */
	dsync_child_end(&y->child, NULL);
	return start(y->store, "exec", "imap", &y->child, out, in, e);
}

/* The password for read=: a file that others cannot read. */
static int
read_secret(char **out, const char *path, struct err *e)
{
	char text[SECRET_MAX];
	struct stat st;
	ssize_t n;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);

	if (fd == -1 || fstat(fd, &st) == -1) {
		err_sys(e, ERR_RUN, "read-secret-file=%s", path);
		if (fd != -1)
			close(fd);
		return -1;
	}
	n = S_ISREG(st.st_mode) && (st.st_mode & 077) == 0 ?
	    read(fd, text, sizeof text - 1) : -2;
	close(fd);
	if (n < 0)
		return err_set(e, ERR_RUN, "read-secret-file=%s: %s", path,
		    n == -2 ? "others can read it, or it is no file" :
		    "cannot be read");
	text[n] = '\0';
	text[strcspn(text, "\r\n")] = '\0';
	*out = xstrdup(text);
	explicit_bzero(text, sizeof text);
	return 0;
}

/* The URI of a child's session: for people, and for what looks into it. */
static int
child_uri(struct dsync_eyes *y, struct uri *u, struct err *e)
{
	if (uri_parse(&y->uri, "imap://localhost", e) == -1)
		return -1;
	y->uri->user = xstrdup(u->path);
	for (size_t i = 0; i < u->nopts; i++)
		if (strcmp(u->opts[i].key, "prefix") == 0)
			uri_set(y->uri, "prefix", u->opts[i].val);
	return 0;
}

int
dsync_eyes_open(struct dsync_eyes **yp, const struct store_conf *conf,
    struct err *e)
{
	struct dsync_eyes *y = xcalloc(1, sizeof *y);
	const char *file = uri_opt(conf->uri, "read-secret-file");
	int rc = 1;

	*yp = NULL;
	y->store = conf->uri;
	y->conf = *conf;
	y->conf.guids = true;
	if (conf->uri->host == NULL) {
		rc = child_uri(y, conf->uri, e) == -1 ? -1 : 1;
		y->conf.dial = dial_imap;
		y->conf.dial_ctx = y;
	} else
		rc = read_uri(&y->uri, conf->uri, e);
	if (rc == 1 && file != NULL)
		rc = read_secret(&y->password, file, e) == -1 ? -1 : 1;
	y->conf.uri = y->uri;
	if (y->password != NULL)
		y->conf.password = y->password;
	if (rc != 1)
		dsync_eyes_close(&y);
	*yp = y;
	return rc;
}

void
dsync_eyes_close(struct dsync_eyes **yp)
{
	struct dsync_eyes *y = *yp;

	*yp = NULL;
	if (y == NULL)
		return;
	dsync_child_end(&y->child, NULL);
	uri_free(&y->uri);
	if (y->password != NULL)
		explicit_bzero(y->password, strlen(y->password));
	free(y->password);
	free(y);
}
