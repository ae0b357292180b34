/* A connection that speaks Cyrus' replication protocol. */
#include "cyrus/sync.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/xmalloc.h"
#include "imap/imap_session.h"

#define WAIT_S		900	/* a batch's files, and others' locks */

/* For people who look for a fault; never content. */
static void
trace(const struct sync *y, const char *direction, const char *what)
{
	char line[400];

	if (y->conf->trace == NULL)
		return;
	snprintf(line, sizeof line, "sync %s %.350s", direction, what);
	for (char *p = line; *p != '\0'; p++)
		if ((unsigned char)*p < ' ' || (unsigned char)*p > '~')
			*p = '?';
	y->conf->trace(y->conf->trace_ctx, line);
}

int
sync_dead(struct sync *y, struct err *e)
{
	*e = y->why;
	return -1;
}

/* The connection is over, because of *e. */
static int
broken(struct sync *y, struct err *e)
{
	if (y->dead)
		return sync_dead(y, e);
	y->dead = true;
	y->d.dead = true;
	if (y->s != NULL) {
		if (y->s->bye[0] != '\0')
			err_ctx(e, "%.200s", y->s->bye);
		imap_session_drop(y->s);
	} else if (y->child != NULL) {
		imap_stream_free(&y->st);
		sync_child_end(&y->child, e);
	}
	trace(y, "--", e->text);
	y->why = *e;
	return -1;
}

void
sync_give_up(struct sync *y, struct err *e)
{
	broken(y, e);
}

static void
limits(struct sync *y)
{
	imap_stream_limits(y->st, WAIT_S, WAIT_S);
}

int
sync_begin(struct sync *y, const char *verb, struct err *e)
{
	char head[80];

	if (y->dead)
		return sync_dead(y, e);
	limits(y);
	trace(y, ">", verb);
	y->tag++;
	if (y->s == NULL)
		snprintf(head, sizeof head, "%.60s", verb);
	else
		snprintf(head, sizeof head, "m%u SYNC%.60s", ++y->s->tag,
		    verb);
	return sync_put(y, head, strlen(head), e);
}

int
sync_put(struct sync *y, const void *p, size_t n, struct err *e)
{
	if (y->dead)
		return sync_dead(y, e);
	return imap_stream_write(y->st, p, n, e) == -1 ? broken(y, e) : 0;
}

int
sync_end(struct sync *y, struct err *e)
{
	if (sync_put(y, "\r\n", 2, e) == -1)
		return -1;
	return imap_stream_flush(y->st, e) == -1 ? broken(y, e) : 0;
}

/* The words behind OK, NO or BAD. */
static int
read_reply(struct sync *y, struct sync_reply *r, struct err *e)
{
	struct dlist_token t;
	size_t n;

	if (dlist_text(&y->d, &t, e) == -1)
		return -1;
	n = strcspn(t.p, " ");
	if (strncmp(t.p, "IMAP_", 5) == 0 && n < sizeof r->code)
		memcpy(r->code, t.p, n);
	snprintf(r->text, sizeof r->text, "%s", t.p);
	for (char *p = r->text; *p != '\0'; p++)
		if ((unsigned char)*p < ' ' || *p == 0x7f)
			*p = '?';
	return 0;
}

/* 1 OK, 0 NO, 2 BAD, -1 something else. */
static int
status_of(const char *word)
{
	return strcmp(word, "OK") == 0 ? 1 : strcmp(word, "NO") == 0 ? 0 :
	    strcmp(word, "BAD") == 0 ? 2 : -1;
}

/* A line that begins with "*". */
static int
data_line(struct sync *y, sync_data_fn *fn, void *ctx, struct err *e)
{
	struct dlist_token t;
	char name[40] = "";

	if (dlist_next(&y->d, &t, e) == -1)
		return -1;
	if (t.type != DLIST_ATOM)
		return dlist_bad(&y->d, "a line of data without a name", e);
	snprintf(name, sizeof name, "%.39s", t.p);
	/* An IMAP server says other things as well, in other words. */
	if (strcmp(name, "BYE") == 0 || status_of(name) != -1 ||
	    (name[0] >= '0' && name[0] <= '9')) {
		if (dlist_text(&y->d, &t, e) == -1)
			return -1;
		if (y->s != NULL && strcmp(name, "BYE") == 0)
			snprintf(y->s->bye, sizeof y->s->bye, "%.290s", t.p);
		return 0;
	}
	if (fn != NULL && fn(y, name, ctx, e) == -1)
		return -1;
	return dlist_skip_line(&y->d, e);
}

/* The line's first word is there: a tag, or the status itself. */
static int
status_line(struct sync *y, const struct dlist_token *first,
    struct sync_reply *r, struct err *e)
{
	struct dlist_token t = *first;
	char tag[24];
	int rc;

	if (y->s != NULL) {
		snprintf(tag, sizeof tag, "m%u", y->s->tag - (y->tag -
		    y->awaited));
		if (strcmp(tag, t.p) != 0)
			return dlist_bad(&y->d, "an answer to another "
			    "command", e);
		if (dlist_next(&y->d, &t, e) == -1)
			return -1;
	}
	rc = t.type == DLIST_ATOM ? status_of(t.p) : -1;
	if (rc == -1)
		return dlist_bad(&y->d, "no answer", e);
	if (read_reply(y, r, e) == -1)
		return -1;
	r->bad = rc == 2;
	trace(y, rc == 1 ? "< OK" : rc == 0 ? "< NO" : "< BAD", r->text);
	return rc == 1;
}

int
sync_answer(struct sync *y, sync_data_fn *fn, void *ctx,
    struct sync_reply *r, struct err *e)
{
	struct dlist_token t;
	int rc;

	memset(r, 0, sizeof *r);
	if (y->dead)
		return sync_dead(y, e);
	limits(y);
	y->awaited++;
	for (;;) {
		if (dlist_next(&y->d, &t, e) == -1)
			return broken(y, e);
		if (t.type != DLIST_ATOM) {
			dlist_bad(&y->d, "a line that is none", e);
			return broken(y, e);
		}
		if (strcmp(t.p, "*") != 0)
			break;
		if (data_line(y, fn, ctx, e) == -1)
			return broken(y, e);
	}
	rc = status_line(y, &t, r, e);
	return rc == -1 ? broken(y, e) : rc;
}

int
sync_run(struct sync *y, const char *verb, const struct buf *args,
    sync_data_fn *fn, void *ctx, struct sync_reply *r, struct err *e)
{
	if (args != NULL && args->full)
		return err_set(e, ERR_MAILBOX, "%s: too long", verb);
	if (sync_begin(y, verb, e) == -1 || (args != NULL &&
	    (sync_put(y, " ", 1, e) == -1 ||
	    sync_put(y, args->ptr, args->len, e) == -1)) ||
	    sync_end(y, e) == -1)
		return -1;
	return sync_answer(y, fn, ctx, r, e);
}

int
sync_no(const struct sync_reply *r, enum err_scope scope, struct err *e,
    const char *fmt, ...)
{
	char what[200];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(what, sizeof what, fmt, ap);
	va_end(ap);
	return err_set(e, scope, "%s: Cyrus says %s: %s", what, r->bad ?
	    "BAD" : "NO", r->text);
}

/* Opening. */

static struct sync *
new_sync(const struct store_conf *conf, struct imap_stream *st)
{
	struct sync *y = xcalloc(1, sizeof *y);

	y->conf = conf;
	y->st = st;
	dlist_init(&y->d, st);
	return y;
}

/* "3.6.1" in a text that names the server. */
static void
find_version(struct sync *y, const char *text)
{
	const char *p = strstr(text, "server ");
	unsigned major, minor;

	if (p == NULL)
		p = strstr(text, "Cyrus");
	if (p == NULL)
		return;
	p = strpbrk(p, "0123456789");
	if (p != NULL && sscanf(p, "%2u.%2u", &major, &minor) == 2)
		y->version = 100 * major + minor;
}

static void
set_server(struct sync *y, const char *text)
{
	snprintf(y->server, sizeof y->server, "%s", text);
	for (char *p = y->server; *p != '\0'; p++)
		if (*p < ' ' || *p > '~' || *p == '|')
			*p = '_';
}

/* Lines of the greeting, up to "* OK host Cyrus sync server version". */
static int
greeting(struct sync *y, struct err *e)
{
	struct dlist_token t;
	const char *p;

	imap_stream_limits(y->st, 60, 120);
	for (;;) {
		if (dlist_next(&y->d, &t, e) == -1)
			return -1;
		if (t.type != DLIST_ATOM || strcmp(t.p, "*") != 0)
			return dlist_bad(&y->d, "no greeting", e);
		if (dlist_next(&y->d, &t, e) == -1)
			return -1;
		if (t.type == DLIST_ATOM && strcmp(t.p, "OK") == 0)
			break;
		if (dlist_text(&y->d, &t, e) == -1)
			return -1;
	}
	if (dlist_text(&y->d, &t, e) == -1)
		return -1;
	p = strstr(t.p, "Cyrus sync server");
	if (p == NULL)
		return dlist_bad(&y->d, "an odd greeting", e);
	set_server(y, p);
	find_version(y, p);
	return 0;
}

int
sync_open_child(struct sync **yp, const struct store_conf *conf,
    const struct cyrus_conf *c, const char *file, const char *libexec,
    const char *preload, struct err *e)
{
	struct sync_child *child;
	char name[60];
	struct sync *y;
	int fd;

	*yp = NULL;
	if (sync_child_start(&child, c, file, libexec, preload, &fd, e) == -1)
		return -1;
	snprintf(name, sizeof name, "sync_server[%ld]",
	    (long)sync_child_pid(child));
	y = new_sync(conf, imap_stream_socket(fd, name, conf->cancel_fd));
	y->child = child;
	trace(y, "--", name);
	if (greeting(y, e) == -1) {
		broken(y, e);
		/* It may have had reason not to begin. */
		*e = y->why;
		if (e->cause != CAUSE_CANCELLED)
			e->scope = ERR_HOST;
		e->retry = e->cause == CAUSE_DISK ||
		    e->cause == CAUSE_CANCELLED;
		sync_close(&y);
		return -1;
	}
	*yp = y;
	return 0;
}

int
sync_open_imap(struct sync **yp, const struct store_conf *conf,
    struct imap_session *s, struct err *e)
{
	struct sync *y = new_sync(conf, s->st);
	struct sync_reply r;
	struct buf args;
	int rc;

	/* Messages would be taken for lines of the dialogue. */
	imap_stream_trace(s->st, NULL);
	y->s = s;
	set_server(y, s->identity);
	find_version(y, s->identity);
	buf_init(&args, 100);
	buf_adds(&args, "USER mailhaul-probe");
	rc = sync_run(y, "GET", &args, NULL, NULL, &r, e);
	buf_release(&args);
	if (rc == 1) {
		*yp = y;
		return 0;
	}
	if (rc == 0)
		sync_no(&r, ERR_ACCOUNT, e, "%.100s is no admin there, or the "
		    "server does not replicate (SYNCGET)",
		    conf->uri->user != NULL ? conf->uri->user : "the login");
	*yp = NULL;
	sync_close(&y);
	return -1;
}

/* The last words; the answer is not worth waiting for long. */
static void
say_goodbye(struct sync *y)
{
	struct sync_reply r;
	struct err e;

	if (sync_begin(y, "EXIT", &e) == -1 || sync_end(y, &e) == -1)
		return;
	while (y->awaited != y->tag && !y->dead)
		sync_answer(y, NULL, NULL, &r, &e);
}

void
sync_close(struct sync **yp)
{
	struct sync *y = *yp;

	*yp = NULL;
	if (y == NULL)
		return;
	if (!y->dead && y->s == NULL)
		say_goodbye(y);
	if (y->s != NULL) {
		/* With an answer outstanding LOGOUT would not be heard. */
		if (!y->dead && y->awaited != y->tag)
			imap_session_drop(y->s);
		imap_session_close(&y->s);
	} else
		imap_stream_free(&y->st);
	sync_child_end(&y->child, NULL);
	dlist_release(&y->d);
	free(y);
}
