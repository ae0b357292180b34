/*
 * libetpan's part of a session, behind the guard; the rest is in imap_login.c
 * and imap_talk.c.
 *
 * libetpan reads from a driver that has nothing but the guard's lines: one
 * response per read, so that its buffer is empty whenever it returns and our
 * own reader can go on with the same stream.
 */
#include "imap/imap_session.h"

#include <errno.h>
#include <libetpan/libetpan.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/xmalloc.h"
#include "imap/imap_impl.h"

#define LIBETPAN_BUFFER 8192

struct imap_etpan {
	mailimap	*m;
	struct buf	 lines;		/* the guard's, not yet read */
	struct err	 err;		/* why the driver failed */
	bool		 failed;
};

/* The driver: read gives whole guarded lines, write goes to our stream. */

static ssize_t
low_read(mailstream_low *low, void *p, size_t n)
{
	struct imap_session *s = low->data;
	struct imap_etpan *x = s->x;

	/* End and failure are -1 for ever: 0 would make libetpan spin. */
	if (x->failed || n == 0)
		return -1;
	if (x->lines.len == 0 &&
	    imap_guard_next(&s->guard, &x->lines, &x->err) == -1) {
		x->failed = true;
		return -1;
	}
	if (n > x->lines.len)
		n = x->lines.len;
	memcpy(p, x->lines.ptr, n);
	buf_drop(&x->lines, n);
	return (ssize_t)n;
}

static ssize_t
low_write(mailstream_low *low, const void *p, size_t n)
{
	struct imap_session *s = low->data;
	struct imap_etpan *x = s->x;

	if (x->failed || n == 0)
		return -1;
	if (imap_stream_write(s->st, p, n, &x->err) == -1 ||
	    imap_stream_flush(s->st, &x->err) == -1) {
		x->failed = true;
		return -1;
	}
	return (ssize_t)n;
}

static int
low_close(mailstream_low *low)
{
	(void)low;
	return 0;
}

static int
low_get_fd(mailstream_low *low)
{
	(void)low;
	return -1;
}

static void
low_free(mailstream_low *low)
{
	free(low);	/* the data is the session's */
}

static void
low_cancel(mailstream_low *low)
{
	(void)low;
}

static mailstream_low_driver driver = {
	.mailstream_read = low_read,
	.mailstream_write = low_write,
	.mailstream_close = low_close,
	.mailstream_get_fd = low_get_fd,
	.mailstream_free = low_free,
	.mailstream_cancel = low_cancel,
};

/* Exported by libetpan, but in no header of Debian's. */
void	mailsasl_ref(void);

/* The SASL library is set up once, before sessions use it side by side. */
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void
init(void)
{
	mailsasl_ref();
}

int
imap_etpan_new(struct imap_session *s, struct err *e)
{
	mailstream_low *low;
	mailstream *stream;
	struct imap_etpan *x;

	pthread_once(&once, init);
	x = xcalloc(1, sizeof *x);
	buf_init(&x->lines, 1 << 16);
	s->x = x;
	x->m = mailimap_new(0, NULL);
	if (x->m == NULL)
		return err_set(e, ERR_RUN, "libetpan gives no session");
	low = mailstream_low_new(s, &driver);
	if (low == NULL)
		return err_set(e, ERR_RUN, "libetpan gives no stream");
	stream = mailstream_new(low, LIBETPAN_BUFFER);
	if (stream == NULL) {
		free(low);
		return err_set(e, ERR_RUN, "libetpan gives no stream");
	}
	x->m->imap_stream = stream;
	return 0;
}

void
imap_etpan_free(struct imap_session *s)
{
	struct imap_etpan *x = s->x;

	s->x = NULL;
	if (x == NULL)
		return;
	if (x->m != NULL) {
		/* With a stream set mailimap_free() would talk. */
		if (x->m->imap_stream != NULL)
			mailstream_close(x->m->imap_stream);
		x->m->imap_stream = NULL;
		mailimap_free(x->m);
	}
	buf_release(&x->lines);
	free(x);
}

/* Is libetpan in step: nothing of a response left with it? */
static bool
in_step(const struct imap_session *s)
{
	return s->x->lines.len == 0 &&
	    s->x->m->imap_stream->read_buffer_len == 0;
}

/*
 * What came of a call: 1 the server said OK, 0 it said NO (words in the
 * guard), -1 everything else, and the session is dead.
 */
static int
outcome(struct imap_session *s, int rc, struct err *e)
{
	struct imap_etpan *x = s->x;

	if (x->failed) {
		*e = x->err;
		s->dead = true;
		if (s->guard.bye)
			imap_add_bye(s, s->guard.text, e);
		return -1;
	}
	if (!in_step(s)) {
		s->dead = true;
		return err_retry(e, ERR_ACCOUNT, "libetpan is out of step "
		    "with the server");
	}
	if (rc == MAILIMAP_NO_ERROR && s->guard.status == IMAP_OK)
		return 1;
	if (s->guard.status == IMAP_NO)
		return 0;
	s->dead = true;
	if (s->guard.status == IMAP_BAD)
		return err_set(e, ERR_ACCOUNT, "the server says BAD: %s",
		    s->guard.text);
	return err_retry(e, ERR_ACCOUNT, "libetpan error %d", rc);
}

int
imap_greeting(struct imap_session *s, struct err *e)
{
	mailstream *stream = s->x->m->imap_stream;
	int rc = mailimap_connect(s->x->m, stream);

	if (s->x->failed) {
		*e = s->x->err;
		if (e->cause == CAUSE_CANCELLED)
			return -1;
		if (e->retry)
			e->scope = ERR_HOST;
		return s->guard.bye ? -1 : err_ctx(e, "no greeting");
	}
	switch (s->guard.status) {
	case IMAP_PREAUTH:
		if (s->preauth) {
			imap_etpan_authenticated(s);
			return 0;
		}
		/* Nobody logged in, so nobody knows whose mail this is; and
		 * STARTTLS is not possible any more. */
		return err_set(e, ERR_ACCOUNT, "the server greets with "
		    "PREAUTH: refused");
	case IMAP_OK:
		if (s->preauth)
			return err_set(e, ERR_ACCOUNT, "the server wants a "
			    "login where it should know the user");
		break;
	case IMAP_BYE:
	case IMAP_NO:
	case IMAP_BAD:
	default:
		return err_set(e, ERR_HOST, "no IMAP greeting");
	}
	if (rc != MAILIMAP_NO_ERROR_NON_AUTHENTICATED)
		return err_set(e, ERR_HOST, "libetpan error %d at the "
		    "greeting", rc);
	return 0;
}

int
imap_starttls(struct imap_session *s, struct err *e)
{
	int rc = outcome(s, mailimap_starttls(s->x->m), e);

	if (rc == 0)
		return err_set(e, ERR_ACCOUNT, "the server refuses STARTTLS: "
		    "%s", s->guard.text);
	return rc == 1 ? 0 : -1;
}

int
imap_login(struct imap_session *s, const char *user, const char *password,
    struct err *e)
{
	/* libetpan quotes '"' and '\' only, and sends nothing for nothing. */
	if (password[0] == '\0')
		return err_set(e, ERR_ACCOUNT, "the password is empty");
	for (const char *p = user; *p != '\0'; p++)
		if ((unsigned char)*p < 0x20)
			return err_set(e, ERR_ACCOUNT, "a control character "
			    "in the user name");
	for (const char *p = password; *p != '\0'; p++)
		if ((unsigned char)*p < 0x20)
			return err_set(e, ERR_ACCOUNT, "a control character "
			    "in the password: use auth=plain");
	return outcome(s, mailimap_login(s->x->m, user, password), e);
}

int
imap_sasl(struct imap_session *s, const char *mech, const char *host,
    const char *authzid, const char *user, const char *password,
    struct err *e)
{
	int rc;

	s->guard.status = IMAP_PREAUTH;		/* nothing said yet */
	rc = mailimap_authenticate(s->x->m, mech, host, NULL, NULL,
	    authzid != NULL ? authzid : "", user, password, NULL);
	if (!s->x->failed && rc == MAILIMAP_ERROR_LOGIN &&
	    s->guard.status == IMAP_PREAUTH) {
		s->dead = true;
		return err_set(e, ERR_ACCOUNT, "the SASL library does not "
		    "go through with %.20s (is the mechanism's package "
		    "installed?)", mech);
	}
	return outcome(s, rc, e);
}

void
imap_etpan_authenticated(struct imap_session *s)
{
	s->x->m->imap_state = MAILIMAP_STATE_AUTHENTICATED;
}

/* mailimap_custom_command() without the blank that it puts behind a command,
 * which Cyrus takes for one more argument. */
static int
run_command(mailimap *m, const char *cmd)
{
	struct mailimap_response *response = NULL;
	ssize_t len = (ssize_t)strlen(cmd);
	int rc;

	if ((rc = mailimap_send_current_tag(m)) != MAILIMAP_NO_ERROR)
		return rc;
	if (mailstream_write(m->imap_stream, cmd, (size_t)len) != len ||
	    mailstream_write(m->imap_stream, "\r\n", 2) != 2 ||
	    mailstream_flush(m->imap_stream) == -1 ||
	    mailimap_read_line(m) == NULL)
		return MAILIMAP_ERROR_STREAM;
	rc = mailimap_parse_response(m, &response);
	if (rc == MAILIMAP_NO_ERROR)
		mailimap_response_free(response);
	return rc;
}

int
imap_small(struct imap_session *s, const char *cmd, struct err *e)
{
	if (s->dead)
		return err_retry(e, ERR_ACCOUNT, "the session is over");
	imap_stream_limits(s->st, s->timeout_s, 10 * s->timeout_s);
	return outcome(s, run_command(s->x->m, cmd), e);
}

int
imap_small_no(struct imap_session *s, enum err_scope scope, struct err *e,
    const char *fmt, ...)
{
	struct imap_response rs = { .status = IMAP_NO };
	char what[300];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(what, sizeof what, fmt, ap);
	va_end(ap);
	memcpy(rs.code, s->guard.code, sizeof rs.code);
	rs.text = s->guard.text;
	return imap_no(&rs, scope, e, "%s", what);
}
