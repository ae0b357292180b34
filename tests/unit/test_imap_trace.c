/* The trace of a session: what it shows, and what it must not show. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "imap/imap_session.h"
#include "imap/imap_trace.h"

#define PASSWORD "Pl4nted-secret"
#define CAPS "IMAP4rev1 LITERAL+ AUTH=PLAIN AUTH=CRAM-MD5"

static struct store_conf conf;
static struct buf trace, sent;

static void
ignore(void *ctx, const char *box, const char *where, const char *text)
{
	(void)ctx;
	(void)box;
	(void)where;
	(void)text;
}

/* One line a call; the number of the session is left out. */
static void
keep(void *ctx, const char *line)
{
	assert_null(strchr(line, '\n'));
	assert_int_equal(line[0], 's');
	line = strchr(line, ' ');
	assert_non_null(line);
	buf_adds(ctx, line + 1);
	buf_addc(ctx, '\n');
}

static int
setup(void **state)
{
	struct err e;

	(void)state;
	memset(&conf, 0, sizeof conf);
	if (uri_parse(&conf.uri, "imap://anna@h?tls=none", &e) == -1)
		return -1;
	conf.password = PASSWORD;
	conf.warn = ignore;
	conf.cancel_fd = -1;
	conf.trace = keep;
	conf.trace_ctx = &trace;
	buf_init(&trace, 1 << 20);
	buf_init(&sent, 1 << 20);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	uri_free(&conf.uri);
	buf_release(&trace);
	buf_release(&sent);
	return 0;
}

static void
uri(const char *text)
{
	struct err e;

	uri_free(&conf.uri);
	assert_int_equal(uri_parse(&conf.uri, text, &e), 0);
}

/* A whole session with that server; what the trace has of it. */
static const char *
session(const char *server, struct err *e)
{
	struct imap_session *s;

	buf_reset(&trace);
	err_clear(e);
	if (imap_session_over(&s, imap_stream_memory(server, strlen(server),
	    &sent), &conf, false, e) == 0)
		imap_session_close(&s);
	return trace.ptr;
}

static void
test_login(void **state)
{
	struct err e;

	(void)state;
	uri("imap://anna@h?tls=none&auth=login");
	assert_string_equal(session("* OK [CAPABILITY " CAPS "] hi\r\n"
	    "1 OK [CAPABILITY " CAPS "] in\r\n"
	    "* LIST (\\Noselect) \"/\" \"\"\r\nm1 OK\r\n"
	    "* BYE off\r\n2 OK bye\r\n", &e),
	    "- a session of anna at h begins\n"
	    "< * OK [CAPABILITY " CAPS "] hi\n"
	    "> 1 LOGIN (cut)\n"
	    "< 1 OK [CAPABILITY " CAPS "] in\n"
	    "> m1 LIST \"\" \"\"\n"
	    "< * LIST (\\Noselect) \"/\" \"\"\n"
	    "< m1 OK \n"
	    "> 2 LOGOUT\n"
	    "< * BYE off\n"
	    "< 2 OK bye\n"
	    "- the session ends\n");
	assert_non_null(strstr(sent.ptr, PASSWORD));
}

/* With a response behind a challenge, and with one in the command. */
static void
test_plain(void **state)
{
	struct err e;

	(void)state;
	session("* OK [CAPABILITY " CAPS "] hi\r\n+ \r\n"
	    "m1 OK [CAPABILITY " CAPS "] in\r\n", &e);
	assert_non_null(strstr(trace.ptr, "> m1 AUTHENTICATE PLAIN (cut)\n"
	    "< + (0 bytes)\n> (cut)\n< m1 OK ["));
	session("* OK [CAPABILITY " CAPS " SASL-IR] hi\r\n"
	    "m1 OK [CAPABILITY " CAPS "] in\r\n", &e);
	assert_non_null(strstr(trace.ptr, "> m1 AUTHENTICATE PLAIN (cut)\n"
	    "< m1 OK ["));
	/* base64 of what was sent */
	assert_non_null(strstr(sent.ptr, "AGFubmEAUGw0bnRlZC1zZWNyZXQ="));
	assert_null(strstr(trace.ptr, "AGFubmEA"));
}

static void
test_cram(void **state)
{
	struct err e;

	(void)state;
	uri("imap://anna@h?tls=none&auth=cram-md5");
	session("* OK [CAPABILITY " CAPS "] hi\r\n"
	    "+ PDEyMzQ1Njc4OTAxMjM0NTY3OEBoPg==\r\n"
	    "1 NO [AUTHENTICATIONFAILED] wrong\r\n", &e);
	assert_non_null(strstr(trace.ptr, "AUTHENTICATE CRAM-MD5"));
	assert_null(strstr(trace.ptr, "PDEyMzQ1"));
	assert_non_null(strstr(trace.ptr, "> (cut)\n"));
	assert_non_null(strstr(trace.ptr,
	    "< 1 NO [AUTHENTICATIONFAILED] wrong\n"));
}

/* A server that says again what it was told, in clear or in base64. */
static void
test_echo(void **state)
{
	static const char *const answers[] = {
		"m1 NO never heard of " PASSWORD "!\r\n",
		"m1 BAD AUTHENTICATE PLAIN AGFubmEAUGw0bnRlZC1zZWNyZXQ=\r\n",
		"* BYE you said AGFubmEAUGw0bnRlZC1zZWNyZXQ= " PASSWORD "\r\n",
	};
	char server[500];
	struct err e;

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		snprintf(server, sizeof server, "* OK [CAPABILITY " CAPS
		    " SASL-IR] hi\r\n%s", answers[i]);
		session(server, &e);
		assert_null(strstr(trace.ptr, PASSWORD));
		assert_null(strstr(trace.ptr, "UGw0bnRlZC"));
		assert_true(e.text[0] != '\0');
		assert_null(strstr(e.text, PASSWORD));
		assert_null(strstr(e.text, "UGw0bnRlZC"));
	}
}

/* What the trace makes of an answer to a command. */
static const char *
answer(const char *server)
{
	struct imap_trace *t = imap_trace_new(&conf);
	struct imap_stream *st = imap_stream_memory(server, strlen(server),
	    NULL);
	struct imap_response rs;
	struct imap_reader r;
	struct err e;

	imap_reader_init(&r, st);
	r.trace = t;
	buf_reset(&trace);
	while (imap_read_response(&r, &rs, 0, &e) == 0)
		;
	imap_trace_free(&t);
	imap_reader_release(&r);
	imap_stream_free(&st);
	return trace.ptr;
}

static void
test_fetch(void **state)
{
	(void)state;
	assert_string_equal(answer("* 3 FETCH (UID 17 FLAGS (\\Seen $Work) "
	    "INTERNALDATE \" 1-Jan-2001 00:00:00 +0000\" RFC822.SIZE 5 "
	    "MODSEQ (9) BODY[] {5}\r\nwords)\r\n"),
	    "< * 3 FETCH (UID 17 FLAGS (\\Seen $Work) INTERNALDATE "
	    "\" 1-Jan-2001 00:00:00 +0000\" RFC822.SIZE 5 MODSEQ (9) "
	    "BODY[] {5 bytes})\n- the session ends\n");
	assert_string_equal(answer("* 3 FETCH (ENVELOPE (NIL \"words\" ((NIL "
	    "NIL \"words\" \"words\")) words) BODY[HEADER.FIELDS (SUBJECT)] "
	    "\"words\" BODY[words] words INTERNALDATE \"words words words "
	    "words words words\" FLAGS words)\r\n"),
	    "< * 3 FETCH (ENVELOPE (NIL (5 bytes) ((NIL NIL (5 bytes) "
	    "(5 bytes))) (5 bytes)) BODY[HEADER.FIELDS (SUBJECT)] (5 bytes) "
	    "BODY(7 bytes) (5 bytes) INTERNALDATE (35 bytes) FLAGS "
	    "(5 bytes))\n- the session ends\n");
}

/* What a literal of the wrong length leaves, and other oddities. */
static void
test_strange(void **state)
{
	char *longer;

	(void)state;
	assert_null(strstr(answer("* 1 FETCH (BODY[] {3}\r\nabcwords words "
	    "words\r\n"), "words"));
	assert_null(strstr(answer("* words words \"words\"\r\n* 1 words\r\n"),
	    "words"));
	assert_null(strstr(answer("words OK words\r\n"), "words"));
	assert_null(strstr(answer("* LIST () \"/\" {5}\r\nwords\r\n"),
	    "words"));
	assert_non_null(strstr(answer("* 1 FETCH (UID"), "(not to its end)"));
	longer = malloc(10000);
	assert_non_null(longer);
	memset(longer, '1', 9999);
	memcpy(longer, "* SEARCH ", 9);
	memcpy(longer + 9996, "\r\n", 3);
	assert_non_null(strstr(answer(longer), " ...\n"));
	assert_true(trace.len < 2000);
	free(longer);
}

static const char talk[] =
"m1 SELECT \"INBOX\" (CONDSTORE)\r\n"
"m2 APPEND \"x\" (\\Seen) \" 1-Jan-2001 00:00:00 +0000\" {12+}\r\n"
"words\r\nm3 NO () \"date\" {5}\r\nwords\r\n"
"m4 UID FETCH 1:* (UID FLAGS)\r\n"
"m5 LOGIN {4}\r\nanna {14}\r\n" PASSWORD "\r\n";

static const char shown[] =
"> m1 SELECT \"INBOX\" (CONDSTORE)\n"
"> m2 APPEND \"x\" (\\Seen) \" 1-Jan-2001 00:00:00 +0000\" {12 bytes}\n"
">  () \"date\" {5 bytes}\n"
"> m4 UID FETCH 1:* (UID FLAGS)\n"
"> m5 LOGIN (cut)\n"
"> (cut)\n"
"> (cut)\n"
"- the session ends\n";

/* However the bytes are cut into pieces, the lines are the same. */
static void
test_pieces(void **state)
{
	(void)state;
	for (size_t piece = 1; piece <= sizeof talk; piece++) {
		struct imap_trace *t = imap_trace_new(&conf);

		buf_reset(&trace);
		for (size_t i = 0; i < sizeof talk - 1; i += piece)
			imap_trace_sent(t, talk + i, sizeof talk - 1 - i <
			    piece ? sizeof talk - 1 - i : piece);
		imap_trace_free(&t);
		assert_string_equal(trace.ptr, shown);
	}
}

static void
test_sent(void **state)
{
	static const char unknown[] = "m1 XSECRET words\r\nwords\r\n"
	    "m2 SEARCH SUBJECT \"words\"\r\n";
	struct imap_trace *t = imap_trace_new(&conf);
	char chunk[5000];

	(void)state;
	buf_reset(&trace);
	imap_trace_sent(t, unknown, sizeof unknown - 1);
	assert_null(strstr(trace.ptr, "words"));
	/* A line without end: then nothing can be told any more. */
	memset(chunk, 'a', sizeof chunk);
	for (int i = 0; i < 300; i++)
		imap_trace_sent(t, chunk, sizeof chunk);
	imap_trace_sent(t, "\r\nm3 NOOP\r\n", 11);
	assert_non_null(strstr(trace.ptr, "too long"));
	assert_null(strstr(trace.ptr, "NOOP"));
	imap_trace_free(&t);
	/* No trace. */
	conf.trace = NULL;
	t = imap_trace_new(&conf);
	assert_null(t);
	imap_trace_sent(t, "x", 1);
	imap_trace_note(t, "x");
	imap_trace_free(&t);
}

int
main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_login), T(test_plain), T(test_cram), T(test_echo),
		T(test_fetch), T(test_strange), T(test_pieces), T(test_sent),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
