/*
 * Connections to a server that never pauses: a child of this test.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "imap/imap_stream.h"

static pid_t server;
static unsigned port;
static int cancel_fd;

static void
flood(int listener)
{
	static const char line[] = "* OK still here\r\n";
	char many[1000 * (sizeof line - 1)];
	int fd;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	signal(SIGPIPE, SIG_IGN);
	for (size_t i = 0; i < sizeof many; i++)
		many[i] = line[i % (sizeof line - 1)];
	while ((fd = accept(listener, NULL, NULL)) != -1) {
		while (write(fd, many, sizeof many) > 0)
			;
		close(fd);
	}
	_exit(0);
}

static int
setup(void **state)
{
	struct sockaddr_in a = { .sin_family = AF_INET };
	socklen_t len = sizeof a;
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	(void)state;
	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (listener == -1 || bind(listener, (struct sockaddr *)&a,
	    sizeof a) == -1 || listen(listener, 5) == -1 ||
	    getsockname(listener, (struct sockaddr *)&a, &len) == -1)
		return -1;
	port = ntohs(a.sin_port);
	if ((server = fork()) == 0)
		flood(listener);
	close(listener);
	cancel_fd = eventfd(0, EFD_CLOEXEC);
	return server == -1 || cancel_fd == -1 ? -1 : 0;
}

static int
teardown(void **state)
{
	(void)state;
	close(cancel_fd);
	kill(server, SIGKILL);
	waitpid(server, NULL, 0);
	return 0;
}

static struct imap_stream *
connected(void)
{
	struct imap_stream *s;
	struct err e;

	if (imap_stream_connect(&s, "127.0.0.1", port, cancel_fd, 10,
	    &e) == -1)
		fail_msg("%s", e.text);
	return s;
}

static double
now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

/* Takes what comes for so many seconds: -1 and *e when that ends before. */
static int
take_all(struct imap_stream *s, double seconds, struct err *e)
{
	double until = now() + seconds;
	const char *p;

	while (now() < until) {
		if (imap_stream_fill(s, e) == -1)
			return -1;
		imap_stream_consume(s, imap_stream_window(s, &p));
	}
	return 0;
}

static void
stops(void **state)
{
	struct imap_stream *s = connected();
	uint64_t one = 1;
	struct err e;

	(void)state;
	assert_int_equal(take_all(s, 0.2, &e), 0);
	assert_int_equal(write(cancel_fd, &one, sizeof one), sizeof one);
	assert_int_equal(take_all(s, 8, &e), -1);
	assert_int_equal(e.cause, CAUSE_CANCELLED);
	/* and stays so */
	memset(&e, 0, sizeof e);
	assert_int_equal(imap_stream_fill(s, &e), -1);
	assert_int_equal(e.cause, CAUSE_CANCELLED);
	imap_stream_free(&s);
}

static void
ends(void **state)
{
	struct imap_stream *s = connected();
	struct err e;

	(void)state;
	imap_stream_limits(s, 5, 1);
	assert_int_equal(take_all(s, 8, &e), -1);
	assert_int_equal(e.scope, ERR_ACCOUNT);
	/* The words depend on whether the end found us reading or waiting. */
	assert_true(e.retry);
	imap_stream_free(&s);
}

/* Content that was asked for may take its time. */
static void
earns(void **state)
{
	struct imap_stream *s = connected();
	struct err e;

	(void)state;
	imap_stream_limits(s, 5, 0);
	imap_stream_earn(s, 60000);
	assert_int_equal(take_all(s, 1.2, &e), 0);
	imap_stream_free(&s);
}

static void
refused(void **state)
{
	struct imap_stream *s;
	struct err e;

	(void)state;
	assert_int_equal(imap_stream_connect(&s, "127.0.0.1", 1, cancel_fd, 5,
	    &e), -1);
	assert_null(s);
	assert_int_equal(e.scope, ERR_HOST);
	assert_true(e.retry);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(stops), TEST(ends), TEST(earns), TEST(refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
