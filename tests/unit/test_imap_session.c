/*
 * IMAP dialogues over memory: all answers of the server are there from the
 * start, tags are known beforehand (libetpan counts 1, 2, ...; ours are m1,
 * m2, ...), and what we would send is kept and looked at.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "imap/imap_append.h"
#include "imap/imap_session.h"

#define CAPS "IMAP4rev1 SASL-IR LITERAL+ MULTIAPPEND UIDPLUS AUTH=PLAIN"
/* Up to an open mailbox: tags m1 to m3 are used, the UIDVALIDITY is 7. */
#define LOGIN(caps) "* OK [CAPABILITY " caps "] hi\r\n" \
	"m1 OK [CAPABILITY " caps "] in\r\n" \
	"* LIST (\\Noselect) \"/\" \"\"\r\nm2 OK\r\n"
#define SELECT "* FLAGS (\\Seen old)\r\n* 4 EXISTS\r\n" \
	"* OK [PERMANENTFLAGS (\\Seen old] \\*)] x\r\n" \
	"* OK [UIDVALIDITY 7] \r\n* OK [UIDNEXT 5]\r\n" \
	"m3 OK [READ-WRITE] there\r\n"

static struct store_conf conf;
static struct buf sent;
static struct imap_session *session;
static struct imap_appender app;

static void
ignore(void *ctx, const char *box, const char *where, const char *text)
{
	(void)ctx;
	(void)box;
	(void)where;
	(void)text;
}

static int
setup(void **state)
{
	struct err e;

	(void)state;
	memset(&conf, 0, sizeof conf);
	if (uri_parse(&conf.uri, "imap://u@h?tls=none", &e) == -1)
		return -1;
	conf.password = "pw";
	conf.warn = ignore;
	conf.cancel_fd = -1;
	buf_init(&sent, 1 << 20);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	uri_free(&conf.uri);
	buf_release(&sent);
	return 0;
}

static int
begin(const char *server, struct err *e)
{
	err_clear(e);
	return imap_session_over(&session, imap_stream_memory(server,
	    strlen(server), &sent), &conf, false, e);
}

static void
open_box(const char *server)
{
	struct imap_selected sel;
	struct err e;

	if (begin(server, &e) == -1)
		fail_msg("%s", e.text);
	assert_int_equal(imap_select(session, "box", false, &sel, &e), 1);
	imap_appender_init(&app, session);
	assert_int_equal(imap_appender_mailbox(&app, "box", &sel, &e), 0);
	buf_reset(&sent);
}

static void
end(void)
{
	imap_appender_release(&app);
	imap_session_close(&session);
	assert_null(session);
}

/* Opening. */

static void
opens(void **state)
{
	struct err e;

	(void)state;
	assert_int_equal(begin(LOGIN(CAPS), &e), 0);
	assert_int_equal(session->sep, '/');
	assert_true(session->caps & CAP_MULTIAPPEND);
	assert_false(session->caps & CAP_CONDSTORE);
	assert_non_null(strstr(sent.ptr, "m1 AUTHENTICATE PLAIN AHUAcHc=\r\n"));
	imap_session_close(&session);
}

static void
opens_not(void **state)
{
	static const struct { const char *server, *words; enum err_scope scope;
	    enum err_cause cause; } t[] = {
		{ "", "closed", ERR_HOST, CAUSE_OTHER },
		{ "* BYE busy\r\n", "busy", ERR_HOST, CAUSE_OTHER },
		{ "* PREAUTH hi\r\n", "PREAUTH", ERR_ACCOUNT, CAUSE_OTHER },
		{ "SSH-2.0-x\r\n", "protocol", ERR_HOST, CAUSE_OTHER },
		{ "* OK [CAPABILITY " CAPS "] hi\r\nm1 NO "
		    "[AUTHENTICATIONFAILED] bad\r\n", "bad", ERR_ACCOUNT,
		    CAUSE_AUTH },
		{ "* OK [CAPABILITY " CAPS "] hi\r\nm1 NO [UNAVAILABLE] "
		    "later\r\n", "later", ERR_HOST, CAUSE_OTHER },
		{ "* OK [CAPABILITY " CAPS "] hi\r\nm1 NO [LIMIT] many\r\n",
		    "many", ERR_ACCOUNT, CAUSE_LIMIT },
		{ "* OK [CAPABILITY " CAPS "] hi\r\n* BYE tired\r\n", "tired",
		    ERR_ACCOUNT, CAUSE_OTHER },
		{ "* OK [CAPABILITY IMAP4rev1 LOGINDISABLED] hi\r\n",
		    "TLS", ERR_ACCOUNT, CAUSE_OTHER },
	};

	(void)state;
	for (size_t i = 0; i < sizeof t / sizeof t[0]; i++) {
		struct err e;

		assert_int_equal(begin(t[i].server, &e), -1);
		if (strstr(e.text, t[i].words) == NULL)
			fail_msg("\"%s\": %s", t[i].server, e.text);
		assert_int_equal(e.scope, t[i].scope);
		assert_int_equal(e.cause, t[i].cause);
		assert_null(strstr(e.text, "pw"));
	}
}

/* What crashes libetpan comes through the guard as an ordinary line: LOGIN
 * goes through libetpan, with tag 1. */
static void
guarded(void **state)
{
	static const char *const lines[] = {
		"* CAPABILITY\r\n",
		"* OK [ALERT]\r\n",
		"* OK [PARSE]\r\n",
		"* OK [PERMANENTFLAGS (\"x\" {1}\r\n",
		"* OK [BADCHARSET (\"x\")] [BADCHARSET (\"y\")]\r\n",
		"* NAMESPACE ((\"\" \"\")) NIL NIL\r\n",
		"* ANNOTATION \"x\" (\"y\" (\"z\" {1}\r\nw))\r\n",
		"* 1 FETCH (BODYSTRUCTURE ((((((((((\"a\"))))))))))\r\n",
		"* STATUS x ()\r\n",
		"* 5000000000 EXISTS\r\n",
		"* OK\r\n",
	};
	char server[1000];

	(void)state;
	for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
		struct err e;
		int rc;

		snprintf(server, sizeof server, "* OK [CAPABILITY IMAP4rev1] "
		    "[BADCHARSET (\"x\")]\r\n%s1 OK [CAPABILITY IMAP4rev1]"
		    "\r\n* LIST () NIL \"\"\r\nm1 OK\r\n%s2 NO "
		    "[BADCHARSET (\"x\")]\r\n", lines[i], lines[i]);
		rc = begin(server, &e);
		if (rc == -1) {
			/* An unbalanced line is refused as such. */
			assert_non_null(strstr(e.text, "protocol"));
			continue;
		}
		assert_int_equal(imap_small(session, "CREATE \"x\"", &e), 0);
		assert_string_equal(session->guard.code, "BADCHARSET");
		imap_session_close(&session);
	}
	assert_non_null(strstr(sent.ptr, "1 LOGIN u pw\r\n"));
	assert_non_null(strstr(sent.ptr, "2 CREATE \"x\"\r\n"));
}

static void
selects(void **state)
{
	(void)state;
	open_box(LOGIN(CAPS) SELECT);
	assert_int_equal(app.uidvalidity, 7);
	assert_false(app.no_new);
	assert_true(imap_words_has(&app.keywords, "old"));
	end();
}

/* Storing. */

static int committed;
static size_t at_commit;

static int
commit(struct store_batch *b, struct err *e)
{
	(void)b;
	(void)e;
	committed++;
	at_commit = sent.len;
	return 0;
}

static int
commit_not(struct store_batch *b, struct err *e)
{
	(void)b;
	return err_set(e, ERR_RUN, "disk full");
}

#define N 3
static struct store_item items[N];

static struct store_batch
batch(size_t n)
{
	static const char *const bodies[N] = { "a: 1\r\n", "b: 2\r\n",
	    "c: 3\r\n" };
	struct store_batch b = { .items = items, .n = n, .commit = commit };

	memset(items, 0, sizeof items);
	for (size_t i = 0; i < n; i++) {
		items[i].bytes = bodies[i];
		items[i].size = 6;
		items[i].date = NO_DATE;
	}
	committed = 0;
	at_commit = 0;
	return b;
}

static void
results(struct store_batch *b, enum store_result a, enum store_result c,
    enum store_result d)
{
	const enum store_result want[N] = { a, c, d };
	struct store_batch *got;

	assert_int_equal(imap_append_reap(&app, true, &got), 1);
	assert_ptr_equal(got, b);
	for (size_t i = 0; i < b->n; i++)
		assert_int_equal(b->items[i].result, want[i]);
}

static void
multiappend(void **state)
{
	static const char *const kw[] = { "new", "b]d" };
	struct store_batch b;
	struct err e;

	(void)state;
	open_box(LOGIN(CAPS) SELECT "+ go\r\n+ go\r\n"
	    "m4 OK [APPENDUID 7 10:11,20] done\r\n");
	b = batch(3);
	items[1].flags = MSG_SEEN | 1 << 9;
	items[1].keywords = kw;
	items[1].nkeywords = 2;
	items[1].date = 0;
	assert_int_equal(imap_append_submit(&app, &b, &e), 0);
	/* First message and first flag wait; the last one does not. */
	assert_string_equal(sent.ptr, "m4 APPEND \"box\" {6}\r\na: 1\r\n"
	    " (\\Seen new) \" 1-Jan-1970 00:00:01 +0000\" {6}\r\nb: 2\r\n"
	    " {6+}\r\nc: 3\r\n\r\n");
	assert_int_equal(committed, 1);
	assert_int_equal(at_commit, sent.len - 2);
	results(&b, STORE_DONE, STORE_DONE, STORE_DONE);
	assert_int_equal(items[0].uid, 10);
	assert_int_equal(items[1].uid, 11);
	assert_int_equal(items[2].uid, 20);
	assert_int_equal(items[1].changes, CHANGE_KEYWORDS | CHANGE_DATE);
	end();
}

static void
refusals(void **state)
{
	static const struct { const char *answer; size_t n;
	    enum store_result r; enum err_scope scope; enum err_cause cause;
	    bool broken; } t[] = {
		{ "+\r\nm4 NO what\r\n", 2, STORE_SPLIT, ERR_MESSAGE, 0, 0 },
		{ "+\r\nm4 NO what\r\n", 1, STORE_REFUSED, ERR_MESSAGE, 0, 0 },
		{ "m4 NO early\r\n", 2, STORE_SPLIT, ERR_MESSAGE, 0, 0 },
		{ "m4 BAD early\r\n", 1, STORE_REFUSED, ERR_MESSAGE, 0, 1 },
		{ "+\r\nm4 BAD late\r\n", 1, STORE_UNKNOWN, ERR_ACCOUNT, 0,
		    1 },
		{ "+\r\nm4 NO [OVERQUOTA] full\r\n", 2, STORE_NOT_SENT,
		    ERR_ACCOUNT, CAUSE_QUOTA, 0 },
		{ "m4 NO Over quota\r\n", 1, STORE_NOT_SENT, ERR_ACCOUNT,
		    CAUSE_QUOTA, 0 },
		{ "m4 NO [TRYCREATE] gone\r\n", 1, STORE_NOT_SENT,
		    ERR_MAILBOX, 0, 0 },
		{ "+\r\n* BYE off\r\n", 2, STORE_UNKNOWN, ERR_ACCOUNT, 0, 1 },
		{ "+\r\n", 2, STORE_UNKNOWN, ERR_ACCOUNT, 0, 1 },
		{ "", 2, STORE_NOT_SENT, ERR_ACCOUNT, 0, 1 },
		{ "* BAD what\r\n", 1, STORE_NOT_SENT, ERR_ACCOUNT, 0, 1 },
		{ "+\r\nm9 OK\r\n", 1, STORE_UNKNOWN, ERR_ACCOUNT, 0, 1 },
		{ "* 5 EXISTS\r\n* OK still here\r\n+\r\nm4 OK\r\n", 1,
		    STORE_DONE, ERR_NONE, 0, 0 },
	};
	char server[2000];

	(void)state;
	for (size_t i = 0; i < sizeof t / sizeof t[0]; i++) {
		struct store_batch b;
		struct err e;

		snprintf(server, sizeof server, "%s%s", LOGIN(CAPS) SELECT,
		    t[i].answer);
		open_box(server);
		b = batch(t[i].n);
		imap_append_submit(&app, &b, &e);
		results(&b, t[i].r, t[i].r, t[i].r);
		assert_int_equal(items[0].err.scope, t[i].scope);
		assert_int_equal(items[0].err.cause, t[i].cause);
		assert_int_equal(app.dead, t[i].broken);
		if (app.dead) {
			b = batch(1);
			assert_int_equal(imap_append_submit(&app, &b, &e), -1);
			results(&b, STORE_NOT_SENT, 0, 0);
		}
		end();
	}
}

static void
no_commit(void **state)
{
	struct store_batch b;
	struct err e;

	(void)state;
	open_box(LOGIN(CAPS) SELECT "+\r\n");
	b = batch(2);
	b.commit = commit_not;
	assert_int_equal(imap_append_submit(&app, &b, &e), -1);
	assert_non_null(strstr(e.text, "disk full"));
	/* The command was never completed. */
	assert_string_equal(sent.ptr + sent.len - 6, "b: 2\r\n");
	results(&b, STORE_NOT_SENT, STORE_NOT_SENT, 0);
	end();
}

static void
content_changed(void **state)
{
	struct store_batch b;
	struct err e;

	(void)state;
	open_box(LOGIN(CAPS) SELECT "+\r\n");
	b = batch(3);
	items[1].bytes = NULL;
	items[1].content = content_mem("b: 2\n", 5);	/* digest is zero */
	assert_int_equal(imap_append_submit(&app, &b, &e), -1);
	assert_int_equal(committed, 0);
	results(&b, STORE_NOT_SENT, STORE_NOT_SENT, STORE_NOT_SENT);
	assert_int_equal(items[1].err.cause, CAUSE_CHANGED);
	assert_int_equal(items[0].err.cause, CAUSE_OTHER);
	content_close(&items[1].content);
	end();
}

static void
singles(void **state)
{
	struct store_batch b;
	struct err e;

	(void)state;
	open_box(LOGIN("IMAP4rev1 SASL-IR LITERAL+ AUTH=PLAIN") SELECT
	    "+\r\nm4 OK\r\nm5 NO bad one\r\nm6 OK\r\n");
	b = batch(3);
	assert_int_equal(imap_append_submit(&app, &b, &e), 0);
	assert_string_equal(sent.ptr, "m4 APPEND \"box\" {6}\r\na: 1\r\n\r\n"
	    "m5 APPEND \"box\" {6+}\r\nb: 2\r\n\r\n"
	    "m6 APPEND \"box\" {6+}\r\nc: 3\r\n\r\n");
	assert_int_equal(committed, 1);
	assert_string_equal(sent.ptr + at_commit - 6, "a: 1\r\n\r\nm5 APPEND "
	    "\"box\" {6+}\r\nb: 2\r\n\r\nm6 APPEND \"box\" {6+}\r\nc: 3\r\n"
	    "\r\n");
	results(&b, STORE_DONE, STORE_REFUSED, STORE_DONE);
	end();
}

static void
waiting(void **state)
{
	struct store_batch b;
	struct err e;

	(void)state;
	open_box(LOGIN("IMAP4rev1 SASL-IR AUTH=PLAIN") SELECT
	    "+\r\nm4 OK\r\nm5 NO bad\r\n+\r\nm6 OK\r\n");
	b = batch(3);
	assert_int_equal(imap_append_submit(&app, &b, &e), 0);
	results(&b, STORE_DONE, STORE_REFUSED, STORE_DONE);
	assert_null(strstr(sent.ptr, "b: 2"));
	end();
}

static void
never_sent(void **state)
{
	struct store_batch b;
	struct err e;

	(void)state;
	open_box(LOGIN(CAPS " APPENDLIMIT=10") SELECT
	    "+\r\nm4 OK [APPENDUID 7 9] done\r\n");
	b = batch(3);
	items[0].size = 0;
	items[2].size = 11;
	assert_int_equal(imap_append_submit(&app, &b, &e), 0);
	results(&b, STORE_REFUSED, STORE_DONE, STORE_REFUSED);
	assert_int_equal(items[1].uid, 9);
	b = batch(1);
	items[0].size = 0;
	assert_int_equal(imap_append_submit(&app, &b, &e), 0);
	assert_int_equal(committed, 0);
	results(&b, STORE_REFUSED, 0, 0);
	end();
}

/* A mailbox that has no room for another keyword. */
static void
keyword_limit(void **state)
{
	static const char *const kw[] = { "old", "new" };
	struct store_batch b;
	struct err e;

	(void)state;
	open_box(LOGIN(CAPS) SELECT "+\r\nm4 NO Too many user flags in "
	    "mailbox\r\nm5 OK done\r\n");
	for (int round = 0; round < 2; round++) {
		b = batch(1);
		items[0].keywords = kw;
		items[0].nkeywords = 2;
		assert_int_equal(imap_append_submit(&app, &b, &e), 0);
		results(&b, round == 0 ? STORE_NOT_SENT : STORE_DONE, 0, 0);
	}
	assert_int_equal(items[0].changes, CHANGE_KEYWORDS);
	assert_non_null(strstr(sent.ptr, "m5 APPEND \"box\" (old) {6"));
	end();
}

/* Who it is, by ID and by the greeting. */
static void
recognised(void **state)
{
	static const struct { const char *greeting, *id;
	    enum imap_dialect dialect; } t[] = {
		{ "Dovecot (Debian) ready.", NULL, IMAP_DOVECOT },
		{ "mx.example Cyrus IMAP 3.6.1 ready", NULL, IMAP_CYRUS },
		{ "cyrus.example Courier-IMAP ready.", NULL, IMAP_COURIER },
		{ "dovecot.example Cyrus IMAP4 v2.4", NULL, IMAP_CYRUS },
		{ "dovecot.example ready", NULL, IMAP_OTHER },
		{ "Dovecot ready.", "\"Cyrus IMAPD\"", IMAP_CYRUS },
		{ "mx Cyrus IMAP ready", "\"proxy\"", IMAP_CYRUS },
		{ "ready", "\"dovecot\" \"version\" \"2.3\"",
		    IMAP_DOVECOT },
		{ "Dovecot ready.", "NIL", IMAP_DOVECOT },
	};

	(void)state;
	for (size_t i = 0; i < sizeof t / sizeof t[0]; i++) {
		const char *caps = t[i].id != NULL ? CAPS " ID" : CAPS;
		struct buf b;
		struct err e;

		buf_init(&b, 4096);
		buf_addf(&b, "* OK [CAPABILITY %s] %s\r\n"
		    "m1 OK [CAPABILITY %s] in\r\n", caps, t[i].greeting, caps);
		if (t[i].id != NULL)
			buf_addf(&b, "* ID (\"name\" %s)\r\nm2 OK\r\n",
			    t[i].id);
		buf_addf(&b, "* LIST () \"/\" \"\"\r\nm%d OK\r\n",
		    t[i].id != NULL ? 3 : 2);
		if (begin(b.ptr, &e) == -1)
			fail_msg("%zu: %s", i, e.text);
		if (session->dialect != t[i].dialect)
			fail_msg("%zu: dialect %d", i, session->dialect);
		imap_session_close(&session);
		buf_release(&b);
	}
}

/* Answers that are longer than any server's. */
static void
endless(void **state)
{
	static const struct { const char *head, *again; int n;
	    const char *words; } t[] = {
		{ "* NAMESPACE ((\"\" \"/\")) ((\"\" \"/\" \"X\" (",
		    "\"0123456789\" ", 100000, "too long" },
		{ "* NAMESPACE ((\"\" \"/\")) (", "(\"%d\" \"/\") ", 2000,
		    "too many" },
		{ "* LIST (", "\\Seen ", 200000, "too long" },
		{ "* FLAGS (", "\\Seen ", 200000, "too long" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof t / sizeof t[0]; i++) {
		struct buf b;
		struct err e;

		buf_init(&b, 1 << 22);
		buf_adds(&b, "* OK [CAPABILITY " CAPS " NAMESPACE] hi\r\n"
		    "m1 OK [CAPABILITY " CAPS " NAMESPACE] in\r\n");
		buf_adds(&b, t[i].head);
		for (int k = 0; k < t[i].n; k++)
			if (strchr(t[i].again, '%') != NULL)
				buf_addf(&b, "(\"%d\" \"/\") ", k);
			else
				buf_adds(&b, t[i].again);
		assert_int_equal(begin(b.ptr, &e), -1);
		if (strstr(e.text, t[i].words) == NULL)
			fail_msg("%zu: %s", i, e.text);
		assert_null(session);
		buf_release(&b);
	}
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(opens), TEST(opens_not), TEST(guarded), TEST(selects),
		TEST(multiappend), TEST(refusals), TEST(no_commit),
		TEST(content_changed), TEST(singles), TEST(waiting),
		TEST(never_sent), TEST(keyword_limit), TEST(endless),
		TEST(recognised),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
