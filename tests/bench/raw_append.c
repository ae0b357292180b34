/*
 * raw_append: the fastest IMAP client there can be, to compare with.
 *
 *	raw_append HOST PORT CA-FILE|- { LOGIN-COMMAND SCRIPT }...
 *
 * One connection and one thread for each pair, TLS from the first byte unless
 * the CA file is "-".  A script is a prepared dialogue, loaded into memory
 * before the clock starts.  Its first line says what is in it:
 *
 *	N OFFSET WORD OFFSET WORD ...
 *
 * then N stops, and after the newline the bytes to send.  They go out as they
 * are up to each stop's offset; there the client waits for a line that begins
 * with WORD: "+" for a continuation, else a tag, whose answer must be OK.  A
 * script with one stop at its end is a stream that waits for nothing; one with
 * two stops a message appends one at a time.
 *
 * Prints the seconds from the first connect to the last answer, and the same
 * without connecting and logging in.
 */
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

struct stop {
	size_t	 offset;
	char	 word[24];
};

struct client {
	const char	*login;
	char		*bytes;		/* to send */
	size_t		 len;
	struct stop	*stops;
	size_t		 nstops;
	int		 fd;
	SSL		*ssl;		/* NULL: plain */
	char		 in[1 << 16];
	size_t		 in_pos, in_len;
	pthread_t	 thread;
};

static const char *host, *port;
static SSL_CTX *tls;
static pthread_barrier_t ready, logged_in;

static void __attribute__((format(printf, 1, 2), noreturn))
die(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	fputs("raw_append: ", stderr);
	vfprintf(stderr, fmt, ap);
	putc('\n', stderr);
	va_end(ap);
	exit(1);
}

static double
now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void
load(struct client *c, const char *path)
{
	struct stat st;
	char *all, *p, *end;
	size_t done = 0, size;
	ssize_t n;
	int fd;

	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd == -1 || fstat(fd, &st) == -1)
		die("%s: %s", path, strerror(errno));
	size = (size_t)st.st_size;
	all = malloc(size + 1);
	if (all == NULL)
		die("%s: no memory", path);
	for (; done < size; done += (size_t)n)
		if ((n = read(fd, all + done, size - done)) <= 0)
			die("%s: cannot be read", path);
	close(fd);
	all[size] = '\0';
	c->nstops = strtoul(all, &p, 10);
	c->stops = calloc(c->nstops + 1, sizeof *c->stops);
	if (c->stops == NULL)
		die("%s: no memory", path);
	for (size_t i = 0; i < c->nstops; i++) {
		int used = 0;

		if (sscanf(p, "%zu %23s%n", &c->stops[i].offset,
		    c->stops[i].word, &used) != 2)
			die("%s: not a script", path);
		p += used;
	}
	end = strchr(p, '\n');
	if (end == NULL)
		die("%s: not a script", path);
	c->bytes = end + 1;
	c->len = size - (size_t)(c->bytes - all);
}

static void
connect_host(struct client *c)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM }, *ai;
	int one = 1;

	if (getaddrinfo(host, port, &hints, &ai) != 0)
		die("unknown host %s", host);
	c->fd = socket(ai->ai_family, ai->ai_socktype, 0);
	if (c->fd == -1 || connect(c->fd, ai->ai_addr, ai->ai_addrlen) == -1)
		die("%s:%s: %s", host, port, strerror(errno));
	freeaddrinfo(ai);
	setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
	if (tls == NULL)
		return;
	c->ssl = SSL_new(tls);
	if (c->ssl == NULL || SSL_set_fd(c->ssl, c->fd) != 1 ||
	    SSL_connect(c->ssl) != 1)
		die("TLS with %s:%s failed", host, port);
}

static void
put(struct client *c, const char *p, size_t n)
{
	while (n > 0) {
		size_t part = n < 1 << 20 ? n : 1 << 20;
		ssize_t done = c->ssl != NULL ? SSL_write(c->ssl, p,
		    (int)part) : write(c->fd, p, part);

		if (done <= 0)
			die("the connection broke");
		p += done;
		n -= (size_t)done;
	}
}

/* One line without its CRLF, cut to size; lines of servers are short here. */
static void
get_line(struct client *c, char *line, size_t size)
{
	size_t n = 0;

	for (;;) {
		char ch;

		if (c->in_pos == c->in_len) {
			ssize_t got = c->ssl != NULL ? SSL_read(c->ssl, c->in,
			    sizeof c->in) : read(c->fd, c->in, sizeof c->in);

			if (got <= 0)
				die("the server hung up");
			c->in_pos = 0;
			c->in_len = (size_t)got;
		}
		ch = c->in[c->in_pos++];
		if (ch == '\n')
			break;
		if (ch != '\r' && n + 1 < size)
			line[n++] = ch;
	}
	line[n] = '\0';
}

/* Until the answer that begins with word; other tags' answers must be OK. */
static void
await(struct client *c, const char *word)
{
	size_t len = strlen(word);
	char line[1024];
	const char *after;

	for (;;) {
		get_line(c, line, sizeof line);
		after = strchr(line, ' ');
		if (line[0] == '*')
			continue;	/* also BYE: the end tells */
		if (line[0] != '+' && (after == NULL || strncmp(after,
		    " OK", 3) != 0))
			die("the server says: %s", line);
		if (strncmp(line, word, len) == 0 && (line[len] == ' ' ||
		    line[len] == '\0'))
			return;
	}
}

static void *
run(void *arg)
{
	struct client *c = arg;
	size_t at = 0;
	char line[1024];

	pthread_barrier_wait(&ready);
	connect_host(c);
	get_line(c, line, sizeof line);
	if (strncmp(line, "* OK", 4) != 0)
		die("no greeting: %s", line);
	put(c, "l ", 2);
	put(c, c->login, strlen(c->login));
	put(c, "\r\n", 2);
	await(c, "l");
	pthread_barrier_wait(&logged_in);
	for (size_t i = 0; i < c->nstops; i++) {
		put(c, c->bytes + at, c->stops[i].offset - at);
		at = c->stops[i].offset;
		await(c, c->stops[i].word);
	}
	put(c, "z LOGOUT\r\n", 10);
	await(c, "z");
	SSL_free(c->ssl);
	close(c->fd);
	return NULL;
}

int
main(int argc, char **argv)
{
	struct client *clients;
	unsigned n;
	double start, begun;

	if (argc < 6 || argc % 2 != 0) {
		fprintf(stderr, "usage: raw_append HOST PORT CA-FILE|- "
		    "{ LOGIN-COMMAND SCRIPT }...\n");
		return 64;
	}
	host = argv[1];
	port = argv[2];
	n = (unsigned)(argc - 4) / 2;
	clients = calloc(n, sizeof *clients);
	if (clients == NULL)
		die("no memory");
	if (strcmp(argv[3], "-") != 0) {
		tls = SSL_CTX_new(TLS_client_method());
		if (tls == NULL || SSL_CTX_load_verify_locations(tls, argv[3],
		    NULL) != 1)
			die("%s: no certificates", argv[3]);
		SSL_CTX_set_verify(tls, SSL_VERIFY_PEER, NULL);
	}
	pthread_barrier_init(&ready, NULL, n + 1);
	pthread_barrier_init(&logged_in, NULL, n + 1);
	for (unsigned i = 0; i < n; i++) {
		clients[i].login = argv[4 + 2 * i];
		load(&clients[i], argv[5 + 2 * i]);
		if (pthread_create(&clients[i].thread, NULL, run,
		    &clients[i]) != 0)
			die("no thread");
	}
	pthread_barrier_wait(&ready);
	start = now();
	pthread_barrier_wait(&logged_in);
	begun = now();
	for (unsigned i = 0; i < n; i++)
		pthread_join(clients[i].thread, NULL);
	printf("%.6f %.6f\n", now() - start, now() - begun);
	return 0;
}
