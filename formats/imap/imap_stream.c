/* The bytes between us and a server: TCP or TLS, with deadlines and cancel. */
#include "imap/imap_stream.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/xmalloc.h"
#include "imap/imap_deflate.h"
#include "imap/imap_trace.h"

#define IN_MIN		((size_t)32 << 10)	/* read at once */
#define IN_MAX		((size_t)1 << 20)	/* kept while writing */
#define OUT_SIZE	((size_t)64 << 10)
#define DIRECT		((size_t)32 << 10)	/* larger pieces: no copy */
#define LOOK_BYTES	((size_t)1 << 20)	/* from look to look */
#define FAR_US		8000			/* there and back */

struct imap_stream {
	int	 fd, cancel_fd;
	SSL	*ssl;
	struct imap_tls_seen seen;
	char	*in;
	size_t	 in_pos, in_len, in_cap;
	char	*out;
	size_t	 out_len;
	int64_t	 wait_ms, until_ms;	/* until: moves on with bytes */
	size_t	 unseen;		/* read since the last look() */
	bool	 rdead, wdead;
	struct err why;			/* when rdead or wdead */
	char	 peer[160];		/* host:port, for people */
	bool	 memory;
	struct buf *sent;
	struct imap_trace *trace;
	struct imap_deflate *z;		/* COMPRESS is in force */
};

static int64_t
now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

void
imap_stream_limits(struct imap_stream *s, unsigned wait_s, unsigned total_s)
{
	s->wait_ms = (int64_t)wait_s * 1000;
	s->until_ms = now_ms() + (int64_t)total_s * 1000;
}

void
imap_stream_earn(struct imap_stream *s, size_t n)
{
	s->until_ms += (int64_t)n;
}

static int
sticky(struct imap_stream *s, const struct err *e)
{
	if (!s->rdead && !s->wdead)
		s->why = *e;
	return -1;
}

static int
cancelled(struct err *e)
{
	err_retry(e, ERR_RUN, "stopped");
	e->cause = CAUSE_CANCELLED;
	return -1;
}

/*
 * Waits for one of the events: what happened, or -1.  A wait that ends by its
 * limit is a dead connection: nothing can bring the dialogue back in step.
 */
static int
wait_io(struct imap_stream *s, short events, struct err *e)
{
	struct pollfd p[2] = {
		{ .fd = s->fd, .events = events },
		{ .fd = s->cancel_fd, .events = POLLIN }
	};
	int64_t start = now_ms(), limit = start + s->wait_ms, now;
	bool total = false;
	int n;

	if (s->until_ms < limit) {
		limit = s->until_ms;
		total = true;
	}
	for (;;) {
		now = now_ms();
		n = poll(p, s->cancel_fd >= 0 ? 2 : 1, now >= limit ? 0 :
		    (int)(limit - now < 60000 ? limit - now : 60000));
		if (n == -1 && errno != EINTR)
			return err_sys(e, ERR_HOST, "%s: poll", s->peer);
		if (n > 0 && p[1].revents != 0)
			return cancelled(e);
		if (n > 0 && p[0].revents != 0)
			return p[0].revents;
		if (n == 0 && now >= limit)
			return err_retry(e, ERR_ACCOUNT, total ?
			    "%s: the server is too slow (%lld s in all)" :
			    "%s: no answer for %lld s", s->peer,
			    (long long)((limit - start) / 1000));
	}
}

/* The same without waiting, for when there is always something to read. */
static int
look(struct imap_stream *s, struct err *e)
{
	struct pollfd p = { .fd = s->cancel_fd, .events = POLLIN };

	s->unseen = 0;
	if (s->cancel_fd >= 0 && poll(&p, 1, 0) > 0)
		return cancelled(e);
	if (now_ms() > s->until_ms)
		return err_retry(e, ERR_ACCOUNT, "%s: the server does not come "
		    "to an end", s->peer);
	return 0;
}

/* An OpenSSL BIO that never raises SIGPIPE. */

static int
bio_read(BIO *b, char *p, int n)
{
	int fd = *(const int *)BIO_get_data(b);
	ssize_t r;

	do
		r = recv(fd, p, (size_t)n, 0);
	while (r == -1 && errno == EINTR);
	BIO_clear_retry_flags(b);
	if (r == -1 && (errno == EAGAIN || errno == EWOULDBLOCK))
		BIO_set_retry_read(b);
	return (int)r;
}

static int
bio_write(BIO *b, const char *p, int n)
{
	int fd = *(const int *)BIO_get_data(b);
	ssize_t r;

	do
		r = send(fd, p, (size_t)n, MSG_NOSIGNAL);
	while (r == -1 && errno == EINTR);
	BIO_clear_retry_flags(b);
	if (r == -1 && (errno == EAGAIN || errno == EWOULDBLOCK))
		BIO_set_retry_write(b);
	return (int)r;
}

static long
bio_ctrl(BIO *b, int cmd, long num, void *p)
{
	(void)b;
	(void)num;
	(void)p;
	return cmd == BIO_CTRL_FLUSH || cmd == BIO_CTRL_DUP;
}

static BIO_METHOD *bio_method;
static pthread_once_t bio_once = PTHREAD_ONCE_INIT;

static void
bio_init(void)
{
	bio_method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK,
	    "mailhaul socket");
	if (bio_method == NULL)
		return;
	BIO_meth_set_read(bio_method, bio_read);
	BIO_meth_set_write(bio_method, bio_write);
	BIO_meth_set_ctrl(bio_method, bio_ctrl);
}

static BIO *
bio_new(int *fd)
{
	BIO *b = NULL;

	pthread_once(&bio_once, bio_init);
	if (bio_method != NULL && (b = BIO_new(bio_method)) != NULL) {
		BIO_set_data(b, fd);
		BIO_set_init(b, 1);
		BIO_set_shutdown(b, 0);
	}
	return b;
}

/* Connecting. */

static int
resolve(const char *host, unsigned port, struct addrinfo **list,
    struct err *e)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM,
	    .ai_flags = AI_NUMERICSERV | AI_ADDRCONFIG };
	char service[12];
	int rc;

	snprintf(service, sizeof service, "%u", port);
	rc = getaddrinfo(host, service, &hints, list);
	if (rc == EAI_ADDRFAMILY || rc == EAI_NONAME) {
		/* AI_ADDRCONFIG hides loopback on a host without a network. */
		hints.ai_flags = AI_NUMERICSERV;
		rc = getaddrinfo(host, service, &hints, list);
	}
	if (rc == 0)
		return 0;
	if (rc == EAI_SYSTEM)
		return err_sys(e, ERR_HOST, "look up %.100s", host);
	err_set(e, ERR_HOST, "host %.100s: %s", host, gai_strerror(rc));
	e->retry = rc == EAI_AGAIN;
	return -1;
}

static int
connect_one(struct imap_stream *s, const struct addrinfo *a, struct err *e)
{
	int on = 1, bad = 0, got;
	socklen_t len = sizeof bad;

	s->fd = socket(a->ai_family, SOCK_STREAM | SOCK_NONBLOCK |
	    SOCK_CLOEXEC, 0);
	if (s->fd == -1)
		return err_sys(e, ERR_HOST, "%s: socket", s->peer);
	setsockopt(s->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
	setsockopt(s->fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
	if (connect(s->fd, a->ai_addr, a->ai_addrlen) == 0)
		return 0;
	if (errno != EINPROGRESS && errno != EINTR)
		goto refused;
	if ((got = wait_io(s, POLLOUT, e)) == -1) {
		if (e->cause != CAUSE_CANCELLED)
			e->scope = ERR_HOST;
		return -1;
	}
	if (getsockopt(s->fd, SOL_SOCKET, SO_ERROR, &bad, &len) == 0 &&
	    bad == 0)
		return 0;
	errno = bad;
refused:
	err_sys(e, ERR_HOST, "connect to %s", s->peer);
	e->retry = true;
	return -1;
}

int
imap_stream_connect(struct imap_stream **sp, const char *host, unsigned port,
    int cancel_fd, unsigned timeout_s, struct err *e)
{
	struct addrinfo *list, *a;
	struct imap_stream *s;

	*sp = NULL;
	if (resolve(host, port, &list, e) == -1)
		return -1;
	s = xcalloc(1, sizeof *s);
	s->fd = -1;
	s->cancel_fd = cancel_fd;
	snprintf(s->peer, sizeof s->peer, strchr(host, ':') != NULL ?
	    "[%.120s]:%u" : "%.120s:%u", host, port);
	for (a = list; a != NULL; a = a->ai_next) {
		/* With more to try, none may use up all of the time. */
		unsigned t = a->ai_next != NULL && timeout_s > 15 ? 15 :
		    timeout_s;

		imap_stream_limits(s, t, t);
		if (connect_one(s, a, e) == 0)
			break;
		if (s->fd != -1)
			close(s->fd);
		s->fd = -1;
		if (e->cause == CAUSE_CANCELLED)
			break;
	}
	freeaddrinfo(list);
	if (s->fd == -1) {
		imap_stream_free(&s);
		return -1;
	}
	s->out = xmalloc(OUT_SIZE);
	s->in = xmalloc(IN_MIN);
	s->in_cap = IN_MIN;
	imap_stream_limits(s, timeout_s, 10 * timeout_s);
	*sp = s;
	return 0;
}

struct imap_stream *
imap_stream_socket(int fd, const char *name, int cancel_fd)
{
	struct imap_stream *s = xcalloc(1, sizeof *s);

	s->fd = fd;
	s->cancel_fd = cancel_fd;
	snprintf(s->peer, sizeof s->peer, "%.150s", name);
	s->out = xmalloc(OUT_SIZE);
	s->in = xmalloc(IN_MIN);
	s->in_cap = IN_MIN;
	imap_stream_limits(s, 60, 600);
	return s;
}

struct imap_stream *
imap_stream_memory(const void *p, size_t len, struct buf *sent)
{
	struct imap_stream *s = xcalloc(1, sizeof *s);

	s->fd = s->cancel_fd = -1;
	s->memory = true;
	s->sent = sent;
	s->in_cap = s->in_len = len;
	s->in = xmemdup0(p, len);
	snprintf(s->peer, sizeof s->peer, "memory");
	return s;
}

void
imap_stream_free(struct imap_stream **sp)
{
	struct imap_stream *s = *sp;

	*sp = NULL;
	if (s == NULL)
		return;
	SSL_free(s->ssl);
	if (s->fd != -1)
		close(s->fd);
	imap_deflate_free(&s->z);
	free(s->in);
	free(s->out);
	free(s);
}

void
imap_stream_trace(struct imap_stream *s, struct imap_trace *t)
{
	s->trace = t;
}

bool
imap_stream_is_tls(const struct imap_stream *s)
{
	return s->ssl != NULL;
}

int
imap_stream_tls(struct imap_stream *s, struct imap_tls *tls, const char *host,
    struct err *e)
{
	BIO *bio;

	if (s->in_len != s->in_pos || s->out_len != 0 || s->memory)
		return err_set(e, ERR_ACCOUNT, "%s: the server sent more than "
		    "its answer before TLS began: someone between us may "
		    "have put it there", s->peer);
	s->ssl = imap_tls_new(tls, host, &s->seen, e);
	if (s->ssl == NULL)
		return -1;
	if ((bio = bio_new(&s->fd)) == NULL)
		return err_set(e, ERR_RUN, "OpenSSL gives no BIO");
	SSL_set_bio(s->ssl, bio, bio);
	for (;;) {
		int rc, ev, saved;

		ERR_clear_error();
		errno = 0;
		rc = SSL_connect(s->ssl);
		saved = errno;
		if (rc == 1)
			break;
		switch (SSL_get_error(s->ssl, rc)) {
		case SSL_ERROR_WANT_READ:
			ev = wait_io(s, POLLIN, e);
			break;
		case SSL_ERROR_WANT_WRITE:
			ev = wait_io(s, POLLOUT, e);
			break;
		case SSL_ERROR_SYSCALL:
			imap_tls_explain(&s->seen, saved != 0 ?
			    strerror(saved) : "the server closed the "
			    "connection", e);
			return err_ctx(e, "%s", s->peer);
		default:
			imap_tls_explain(&s->seen, NULL, e);
			return err_ctx(e, "%s", s->peer);
		}
		if (ev == -1)
			return sticky(s, e);
	}
	if (imap_tls_accept(tls, s->ssl, e) == -1)
		return err_ctx(e, "%s", s->peer);
	return 0;
}

int
imap_stream_compress(struct imap_stream *s, struct err *e)
{
	/* What is here already is compressed. */
	size_t n = s->in_len - s->in_pos, room;
	void *p;

	if ((s->z = imap_deflate_new(e)) == NULL)
		return -1;
	p = imap_deflate_room(s->z, &room);
	if (n > room)
		return err_set(e, ERR_ACCOUNT, "%s: the server sent more than "
		    "its answer to COMPRESS", s->peer);
	if (n > 0)
		memcpy(p, s->in + s->in_pos, n);
	imap_deflate_arrived(s->z, n);
	s->in_pos = s->in_len = 0;
	return 0;
}

bool
imap_stream_far(const struct imap_stream *s)
{
	struct tcp_info info;
	socklen_t len = sizeof info;

	memset(&info, 0, sizeof info);
	return s->fd != -1 && getsockopt(s->fd, IPPROTO_TCP, TCP_INFO, &info,
	    &len) == 0 && info.tcpi_rtt >= FAR_US;
}

/* Reading and writing. */

static int
lost(struct imap_stream *s, const char *what, int sys, struct err *e)
{
	char msg[128];

	err_retry(e, ERR_ACCOUNT, "%s: %s%s%s", s->peer, what,
	    sys != 0 ? ": " : "", sys != 0 ? strerror_r(sys, msg, sizeof msg) :
	    "");
	e->sys = sys;
	return sticky(s, e);
}

static int
again(struct imap_stream *s, struct err *e)
{
	*e = s->why;
	return -1;
}

/* Room for at least one read; moves and grows the buffer. */
static void
make_room(struct imap_stream *s)
{
	if (s->in_pos == s->in_len)
		s->in_pos = s->in_len = 0;
	else if (s->in_pos > 0 && s->in_cap - s->in_len < IN_MIN / 2) {
		memmove(s->in, s->in + s->in_pos, s->in_len - s->in_pos);
		s->in_len -= s->in_pos;
		s->in_pos = 0;
	}
	if (s->in_cap - s->in_len < IN_MIN / 2 && s->in_cap < IN_MAX) {
		s->in_cap = s->in_cap == 0 ? IN_MIN : s->in_cap * 2;
		s->in = xreallocarray(s->in, s->in_cap, 1);
	}
}

/*
 * One read from the network, up to room bytes into p: 1 got something, 0
 * nothing is there yet (*want says what to wait for), -1 the end.
 */
static int
read_raw(struct imap_stream *s, void *p, size_t room, size_t *got,
    short *want, struct err *e)
{
	ssize_t n;
	int rc;

	*want = POLLIN;
	if (s->memory || room == 0) {
		lost(s, s->memory ? "connection closed by the server" :
		    "more input than can be kept", 0, e);
		s->rdead = true;
		return -1;
	}
	if (s->ssl == NULL) {
		do
			n = recv(s->fd, p, room, 0);
		while (n == -1 && errno == EINTR);
		if (n > 0) {
			*got = (size_t)n;
			return 1;
		}
		if (n == -1 && (errno == EAGAIN || errno == EWOULDBLOCK))
			return 0;
		lost(s, n == 0 ? "connection closed by the server" :
		    "connection lost", n == 0 ? 0 : errno, e);
		s->rdead = true;
		return -1;
	}
	ERR_clear_error();
	errno = 0;
	rc = SSL_read_ex(s->ssl, p, room, got);
	if (rc == 1)
		return 1;
	switch (SSL_get_error(s->ssl, rc)) {
	case SSL_ERROR_WANT_READ:
		return 0;
	case SSL_ERROR_WANT_WRITE:
		*want = POLLOUT;
		return 0;
	case SSL_ERROR_SYSCALL:
		lost(s, errno != 0 ? "connection lost" :
		    "connection closed by the server", errno, e);
		break;
	case SSL_ERROR_SSL: {
		unsigned long code = ERR_peek_error();
		const char *r = ERR_reason_error_string(code);

		if (ERR_GET_LIB(code) == ERR_LIB_SSL &&
		    ERR_GET_REASON(code) > SSL_AD_REASON_OFFSET) {
			/* In TLS 1.3 a client learns only now that its
			 * certificate was not accepted; time heals no alert. */
			err_set(e, ERR_ACCOUNT, "%s: the server ended TLS: %s "
			    "(a client certificate: cert=, key=)", s->peer,
			    r != NULL ? r : "fatal alert");
			sticky(s, e);
			break;
		}
		lost(s, r != NULL && strstr(r, "eof") == NULL ? r :
		    "connection closed by the server", 0, e);
		break;
	}
	default:
		lost(s, "connection closed by the server", 0, e);
		break;
	}
	s->rdead = true;
	return -1;
}

/* The same through the decompression. */
static int
read_deflated(struct imap_stream *s, size_t *got, short *want, struct err *e)
{
	size_t n;
	void *p;
	int rc;

	*want = POLLIN;
	if (s->in_cap == s->in_len)
		return read_raw(s, NULL, 0, got, want, e);
	for (;;) {
		if (imap_deflate_read(s->z, s->in + s->in_len, s->in_cap -
		    s->in_len, got, e) == -1) {
			sticky(s, e);
			s->rdead = s->wdead = true;
			return -1;
		}
		if (*got > 0)
			return 1;
		p = imap_deflate_room(s->z, &n);
		if (n == 0)
			continue;
		if ((rc = read_raw(s, p, n, &n, want, e)) != 1)
			return rc;
		imap_deflate_arrived(s->z, n);
	}
}

/* One read into the buffer, as read_raw(). */
static int
read_some(struct imap_stream *s, short *want, struct err *e)
{
	size_t got = 0;
	int rc;

	*want = POLLIN;
	if (s->rdead)
		return again(s, e);
	if (s->unseen >= LOOK_BYTES && look(s, e) == -1) {
		sticky(s, e);
		s->rdead = s->wdead = true;
		return -1;
	}
	make_room(s);
	rc = s->z != NULL ? read_deflated(s, &got, want, e) : read_raw(s,
	    s->in + s->in_len, s->in_cap - s->in_len, &got, want, e);
	if (rc == 1) {
		s->in_len += got;
		s->unseen += got;
	}
	return rc;
}

size_t
imap_stream_window(struct imap_stream *s, const char **p)
{
	*p = s->in + s->in_pos;
	return s->in_len - s->in_pos;
}

void
imap_stream_consume(struct imap_stream *s, size_t n)
{
	s->in_pos += n;
}

int
imap_stream_fill(struct imap_stream *s, struct err *e)
{
	short want;
	int rc;

	for (;;) {
		rc = read_some(s, &want, e);
		if (rc != 0)
			return rc == 1 ? 0 : -1;
		if (wait_io(s, want, e) == -1) {
			sticky(s, e);
			s->rdead = s->wdead = true;
			return -1;
		}
	}
}

bool
imap_stream_readable(struct imap_stream *s)
{
	struct err e;
	short want;

	if (s->in_len > s->in_pos || s->rdead)
		return true;
	return read_some(s, &want, &e) != 0;
}

/* The words a server says before it hangs up are worth a moment. */
static void
last_words(struct imap_stream *s)
{
	struct err e, keep = s->why;
	short want;
	int rc;

	imap_stream_limits(s, 2, 2);
	while ((rc = read_some(s, &want, &e)) != -1 &&
	    s->in_len - s->in_pos < IN_MAX / 2)
		if (rc == 0 && wait_io(s, want, &e) == -1)
			break;
	s->why = keep;
	s->rdead = true;
}

/* Sends n bytes; 0 or -1. */
static int
send_raw(struct imap_stream *s, const char *p, size_t n, struct err *e)
{
	if (s->memory) {
		if (s->sent != NULL)
			buf_add(s->sent, p, n);
		return 0;
	}
	while (n > 0) {
		short want = POLLOUT, wanted_in;
		int ev, rc, saved;
		size_t done = 0;
		ssize_t w;

		if (s->wdead)
			return again(s, e);
		if (s->ssl == NULL) {
			w = send(s->fd, p, n, MSG_NOSIGNAL);
			saved = errno;
			if (w > 0)
				done = (size_t)w;
			else if (w == -1 && saved == EINTR)
				continue;
			else if (w == 0 || (saved != EAGAIN &&
			    saved != EWOULDBLOCK))
				goto broken;
		} else {
			ERR_clear_error();
			errno = 0;
			rc = SSL_write_ex(s->ssl, p, n, &done);
			saved = errno;
			if (rc != 1) {
				done = 0;
				rc = SSL_get_error(s->ssl, rc);
				if (rc == SSL_ERROR_WANT_READ)
					want = POLLIN;
				else if (rc != SSL_ERROR_WANT_WRITE)
					goto broken;
			}
		}
		if (done > 0) {
			p += done;
			n -= done;
			s->until_ms += (int64_t)done;
			continue;
		}
		/* What the server says meanwhile must not block it. */
		wanted_in = !s->rdead && s->in_len - s->in_pos < IN_MAX / 2 ?
		    POLLIN : 0;
		ev = wait_io(s, want | wanted_in, e);
		if (ev == -1) {
			sticky(s, e);
			s->rdead = s->wdead = true;
			return -1;
		}
		if (ev & POLLIN && wanted_in != 0) {
			struct err ignored;
			short w2;

			read_some(s, &w2, &ignored);
		}
		continue;
broken:
		lost(s, "connection lost while sending", saved, e);
		s->wdead = true;
		if (!s->rdead)
			last_words(s);
		return -1;
	}
	return 0;
}

/* The same through the compression; flush: nothing stays behind. */
static int
send_all(struct imap_stream *s, const char *p, size_t n, bool flush,
    struct err *e)
{
	size_t used, len;
	const char *out;

	if (s->z == NULL)
		return n == 0 ? 0 : send_raw(s, p, n, e);
	while (imap_deflate_write(s->z, p, n, flush, &used, &out, &len) == 1) {
		p += used;
		n -= used;
		if (len > 0 && send_raw(s, out, len, e) == -1)
			return -1;
	}
	return 0;
}

int
imap_stream_flush(struct imap_stream *s, struct err *e)
{
	size_t n = s->out_len;

	s->out_len = 0;
	return send_all(s, s->out != NULL ? s->out : "", n, true, e);
}

int
imap_stream_write(struct imap_stream *s, const void *p, size_t n,
    struct err *e)
{
	size_t kept;

	imap_trace_sent(s->trace, p, n);
	if (s->memory)
		return send_all(s, p, n, false, e);
	if (n <= OUT_SIZE - s->out_len && n < DIRECT) {
		memcpy(s->out + s->out_len, p, n);
		s->out_len += n;
		return s->wdead ? again(s, e) : 0;
	}
	kept = s->out_len;
	s->out_len = 0;
	if (send_all(s, s->out, kept, false, e) == -1)
		return -1;
	if (n >= DIRECT)
		return send_all(s, p, n, false, e);
	memcpy(s->out, p, n);
	s->out_len = n;
	return 0;
}
