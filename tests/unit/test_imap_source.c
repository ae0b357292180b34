/*
 * IMAP sources over memory: all that the server says is there from the start,
 * our tags are known beforehand (m1 login, m2 LIST "" "", then what the test
 * does), and what we would send is looked at.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/xmalloc.h"
#include "imap/imap_from.h"
#include "imap/imap_source.h"

#define LOGIN(caps) "* OK [CAPABILITY IMAP4rev1 AUTH=PLAIN " caps "] hi\r\n" \
	"m1 OK [CAPABILITY IMAP4rev1 " caps "] in\r\n" \
	"* LIST (\\Noselect) \"/\" \"\"\r\nm2 OK\r\n"
#define OPEN(tag, n, next) "* " n " EXISTS\r\n* OK [UIDVALIDITY 7] x\r\n" \
	"* OK [UIDNEXT " next "] x\r\n" tag " OK [READ-ONLY] x\r\n"
#define SINCE(tag, n, next, modseq) "* OK [HIGHESTMODSEQ " modseq "] x\r\n" \
	OPEN(tag, n, next)
#define MSG(seq, uid) "* " seq " FETCH (UID " uid " FLAGS (\\Seen kw) " \
	"INTERNALDATE \"01-Jan-2001 01:02:03 +0100\" RFC822.SIZE 5)\r\n"
#define BODY(seq, uid, text) "* " seq " FETCH (UID " uid " BODY[] " text \
	")\r\n"

static struct store_conf conf;
static struct buf sent, warned;
static struct imap_from *from;
static struct source *src;
static struct folder_info folder;
static struct arena arena;
static struct err e;

static void
note(void *ctx, const char *box, const char *where, const char *text)
{
	(void)ctx;
	(void)box;
	(void)where;
	buf_addf(&warned, "%s\n", text);
}

static int
setup(void **state)
{
	static const char *const path[] = { "box" };

	(void)state;
	memset(&conf, 0, sizeof conf);
	if (uri_parse(&conf.uri, "imap://u@h?tls=none", &e) == -1)
		return -1;
	conf.password = "pw";
	conf.warn = note;
	conf.cancel_fd = -1;
	buf_init(&sent, 1 << 20);
	buf_init(&warned, 1 << 20);
	arena_init(&arena);
	memset(&folder, 0, sizeof folder);
	folder.path = path;
	folder.npath = 1;
	folder.name = folder.raw_name = "box";
	folder.messages = folder.bytes = UNKNOWN64;
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	source_close(&src);
	assert_null(src);
	uri_free(&conf.uri);
	buf_release(&sent);
	buf_release(&warned);
	arena_release(&arena);
	return 0;
}

static void
start(const char *server)
{
	struct imap_session *s;

	from = xcalloc(1, sizeof *from);
	from->src.conf = conf;
	if (imap_session_over(&s, imap_stream_memory(server, strlen(server),
	    &sent), &from->src.conf, false, &e) == -1)
		fail_msg("%s", e.text);
	src = imap_from_begin(from, s);
	src->ops = &imap_source;
	buf_reset(&sent);
}

static enum delta
open_box(const char *token)
{
	enum delta delta;
	struct buf b;

	buf_init(&b, 100);
	if (token != NULL)
		buf_adds(&b, token);
	if (source_folder_open(src, &folder, token != NULL ? &b : NULL, 0,
	    &delta, &e) == -1)
		fail_msg("%s", e.text);
	buf_release(&b);
	return delta;
}

/* The UIDs that next() gives, as a text. */
static const char *
uids(struct msg_meta *metas, size_t *n)
{
	static char text[400];
	struct msg_meta m;
	size_t len = 0, k = 0;
	int rc;

	while ((rc = source_next(src, &arena, &m, &e)) == 1) {
		len += (size_t)snprintf(text + len, sizeof text - len, "%s%u",
		    len > 0 ? " " : "", m.uid);
		if (metas != NULL)
			metas[k] = m;
		k++;
	}
	text[len] = '\0';
	if (n != NULL)
		*n = k;
	return rc == -1 ? "error" : text;
}

static const char *
content(const struct msg_meta *m)
{
	static char text[100];
	struct content *c;
	ssize_t n;
	int rc;

	rc = source_content(src, m, &c, &e);
	if (rc != 1)
		return rc == 0 ? "gone" : "error";
	n = content_read(c, text, sizeof text - 1, &e);
	assert_true(n >= 0);
	text[n] = '\0';
	content_close(&c);
	return text;
}

static void
listed(void **state)
{
	struct msg_meta m[3];
	uint64_t count;
	size_t n;

	(void)state;
	start(LOGIN("") OPEN("m3", "3", "12")
	    "* 3 FETCH (X-NEW (1 (2 {3}\r\n))))) UID 11 FLAGS () BODY[1]<0> "
	    "\"\" INTERNALDATE NIL RFC822.SIZE 99999999999999999999 "
	    "UID (9))\r\n" MSG("1", "5")
	    "* 2 FETCH (FLAGS (\\Recent))\r\n* 2 FETCH (UID 7)\r\n"
	    "* 9 FETCH (UID 99)\r\nm4 OK\r\n");
	assert_int_equal(open_box(NULL), DELTA_FULL);
	assert_string_equal(uids(m, &n), "5 7 11");
	assert_string_equal(m[0].key, "7.5");
	assert_int_equal(m[0].flags, MSG_SEEN);
	assert_int_equal(m[0].nkeywords, 1);
	assert_string_equal(m[0].keywords[0], "kw");
	assert_int_equal(m[0].date, 978307323);
	assert_int_equal(m[0].size, 5);
	assert_true(m[1].size == UNKNOWN64 && m[2].size == UNKNOWN64);
	assert_int_equal(m[2].date_origin, DATE_NONE);
	assert_int_equal(source_folder_count(src, &count, &e), 0);
	assert_int_equal(count, 3);
	assert_non_null(strstr(sent.ptr, "m3 EXAMINE \"box\"\r\n"));
	assert_non_null(strstr(sent.ptr, "m4 FETCH 1:3 (UID FLAGS "
	    "INTERNALDATE RFC822.SIZE)\r\n"));
}

/* In the middle of the listing, against the rules. */
static void
expunged(void **state)
{
	uint64_t count;

	(void)state;
	start(LOGIN("") OPEN("m3", "5", "12") MSG("1", "5") MSG("2", "6")
	    "* 2 EXPUNGE\r\n" MSG("2", "7") "* 4 EXPUNGE\r\n"
	    "* 3 EXPUNGE\r\nm4 OK\r\n");
	open_box(NULL);
	assert_string_equal(uids(NULL, NULL), "5 7");
	assert_int_equal(source_folder_count(src, &count, &e), 0);
	assert_int_equal(count, 2);
}

static void
not_told(void **state)
{
	uint64_t count;

	(void)state;
	/* OK, and one is missing: it vanished. */
	start(LOGIN("") OPEN("m3", "3", "12") MSG("1", "5") MSG("3", "9")
	    "m4 OK\r\n");
	open_box(NULL);
	assert_string_equal(uids(NULL, NULL), "5 9");
	assert_int_equal(source_folder_count(src, &count, &e), 0);
	assert_int_equal(count, 2);
	source_close(&src);
	/* NO: it is asked for with less, and what is still missing is there. */
	start(LOGIN("") OPEN("m3", "3", "12") MSG("1", "5")
	    "m4 NO [SERVERBUG] a file\r\n* 2 FETCH (UID 8 FLAGS ())\r\n"
	    "m5 NO a file\r\n");
	open_box(NULL);
	assert_string_equal(uids(NULL, NULL), "5 8");
	assert_int_equal(source_folder_count(src, &count, &e), 0);
	assert_int_equal(count, 3);
	assert_non_null(strstr(sent.ptr, "m5 FETCH 1:3 (UID FLAGS)\r\n"));
	assert_non_null(strstr(warned.ptr, "cannot be listed"));
	source_close(&src);
	/* Not now: all of it later. */
	start(LOGIN("") OPEN("m3", "3", "12") "m4 NO [LIMIT] later\r\n");
	open_box(NULL);
	assert_string_equal(uids(NULL, NULL), "error");
	assert_int_equal(e.scope, ERR_MAILBOX);
	assert_true(e.retry);
}

/* UIDs that were given are not given again. */
static void
twice(void **state)
{
	(void)state;
	start(LOGIN("") OPEN("m3", "4", "12") MSG("1", "5") MSG("2", "5")
	    MSG("3", "9") MSG("4", "6") "m4 OK\r\n");
	open_box(NULL);
	assert_string_equal(uids(NULL, NULL), "5 6 9");
}

static void
bodies(void **state)
{
	const struct msg_meta *want[5];
	struct msg_meta m[5];
	size_t n;

	(void)state;
	start(LOGIN("") OPEN("m3", "5", "12") MSG("1", "1") MSG("2", "2")
	    MSG("3", "3") MSG("4", "4") MSG("5", "5") "m4 OK\r\n"
	    /* Out of order, one that nobody wants, one twice. */
	    BODY("2", "2", "{3}\r\ntwo") BODY("9", "9", "{4}\r\nevil")
	    "* 2 FETCH (FLAGS ())\r\n" BODY("1", "1", "\"one\"")
	    BODY("1", "1", "{4}\r\nevil") "* 5 FETCH (BODY[] NIL UID 5)\r\n"
	    "m5 NO [SERVERBUG] one of them\r\n"
	    /* 3, 4 and 5 alone. */
	    BODY("3", "3", "{5}\r\nthree") "m6 OK\r\n"
	    "m7 NO [SERVERBUG] this one\r\n"
	    "m8 NO it has been deleted\r\n"
	    /* Once more. */
	    BODY("1", "1", "{3}\r\none") "m9 OK\r\n");
	open_box(NULL);
	assert_string_equal(uids(m, &n), "1 2 3 4 5");
	for (size_t i = 0; i < n; i++)
		want[i] = &m[i];
	assert_int_equal(source_want(src, want, n, &e), 0);
	assert_string_equal(content(&m[0]), "one");
	assert_string_equal(content(&m[1]), "two");
	assert_string_equal(content(&m[2]), "three");
	assert_string_equal(content(&m[3]), "error");
	assert_int_equal(e.scope, ERR_MESSAGE);
	assert_true(e.retry);
	assert_non_null(strstr(e.text, "this one"));
	assert_string_equal(content(&m[4]), "gone");
	assert_string_equal(content(&m[0]), "one");
	assert_non_null(strstr(sent.ptr, "m5 UID FETCH 1:5 (UID "
	    "BODY.PEEK[])\r\n"));
	assert_non_null(strstr(sent.ptr, "m7 UID FETCH 4 (UID "));
	source_folder_close(src);
	assert_non_null(strstr(warned.ptr, "3 messages are not as long"));
}

static void
throttled(void **state)
{
	const struct msg_meta *want[1];
	struct msg_meta m[1];
	size_t n;

	(void)state;
	start(LOGIN("") OPEN("m3", "1", "12") MSG("1", "1") "m4 OK\r\n"
	    "m5 NO Account exceeded command or bandwidth limits.\r\n");
	open_box(NULL);
	assert_string_equal(uids(m, &n), "1");
	want[0] = &m[0];
	assert_int_equal(source_want(src, want, 1, &e), 0);
	assert_string_equal(content(&m[0]), "error");
	assert_int_equal(e.scope, ERR_MAILBOX);
	assert_true(e.retry);
}

static void
another_uidvalidity(void **state)
{
	const struct msg_meta *want[1];
	struct msg_meta m[1];
	enum delta delta;
	uint64_t count;
	size_t n;

	(void)state;
	start(LOGIN("") OPEN("m3", "1", "12") MSG("1", "1") "m4 OK\r\n"
	    "* OK [UIDVALIDITY 8] new\r\n" BODY("1", "1", "{4}\r\nevil")
	    "m5 OK\r\n" OPEN("m6", "1", "12"));
	open_box(NULL);
	assert_int_equal(folder.uidvalidity, 7);
	assert_string_equal(uids(m, &n), "1");
	want[0] = &m[0];
	assert_int_equal(source_want(src, want, 1, &e), 0);
	assert_string_equal(content(&m[0]), "error");
	assert_int_equal(e.scope, ERR_MAILBOX);
	assert_true(e.retry);
	assert_int_equal(folder.uidvalidity, 8);
	assert_int_equal(source_folder_count(src, &count, &e), -1);
	source_folder_close(src);
	/* Between what somebody has looked at and now. */
	folder.uidvalidity = 9;
	assert_int_equal(source_folder_open(src, &folder, NULL, 0, &delta,
	    &e), -1);
	assert_int_equal(e.scope, ERR_MAILBOX);
	assert_true(e.retry);
	assert_int_equal(folder.uidvalidity, 7);
}

/* Which numbers say that nothing has changed? */
static void
tokens(void **state)
{
	struct msg_meta m;
	struct buf token;
	uint64_t count;

	(void)state;
	start(LOGIN("CONDSTORE") OPEN("m3", "2", "12"));
	folder.uidvalidity = 7;
	folder.uidnext = 12;
	folder.messages = 2;
	folder.modseq = 90;
	/* As listed: not a word is said. */
	assert_int_equal(open_box("imap1 7 12 90 2"), DELTA_UNCHANGED);
	assert_int_equal(sent.len, 0);
	assert_int_equal(source_next(src, &arena, &m, &e), 0);
	assert_int_equal(source_folder_count(src, &count, &e), 0);
	assert_int_equal(count, 2);
	buf_init(&token, 100);
	assert_int_equal(source_folder_token(src, &token, &e), 0);
	assert_string_equal(token.ptr, "imap1 7 12 90 2");
	source_folder_close(src);
	/* The server is asked, and says no modseq now. */
	assert_int_equal(open_box("imap1 7 12 91 2"), DELTA_FULL);
	assert_non_null(strstr(sent.ptr, "EXAMINE \"box\" (CONDSTORE)"));
	assert_int_equal(source_folder_token(src, &token, &e), 0);
	assert_string_equal(token.ptr, "imap1 7 12 0 2");
	source_folder_close(src);
	source_close(&src);
	/* Without modseqs the numbers say nothing of flags. */
	start(LOGIN("") OPEN("m3", "2", "12"));
	folder.uidnext = 12;
	folder.messages = 2;
	folder.modseq = 0;
	assert_int_equal(open_box("imap1 7 12 0 2"), DELTA_UNCHANGED);
	assert_int_equal(sent.len, 0);
	source_folder_close(src);
	folder.by_flags = true;
	assert_int_equal(open_box("imap1 7 12 0 2"), DELTA_FULL);
	folder.by_flags = false;
	source_folder_close(src);
	source_close(&src);
	/* Without UIDNEXT nothing is known. */
	start(LOGIN("") "* 2 EXISTS\r\n* OK [UIDVALIDITY 7] x\r\n"
	    "m3 OK x\r\nm4 NO x\r\n");
	folder.uidnext = 0;
	folder.modseq = 0;
	assert_int_equal(open_box("imap1 7 0 0 2"), DELTA_FULL);
	assert_int_equal(source_folder_token(src, &token, &e), 0);
	assert_int_equal(token.len, 0);
	buf_release(&token);
}

/* What the source says is still there; "none", or "all". */
static const char *
still(void)
{
	static char text[200];
	const struct uid_range *r;
	uint32_t below;
	size_t n, at = 0;
	int rc = source_still(src, &r, &n, &below, &e);

	assert_int_not_equal(rc, -1);
	snprintf(text, sizeof text, "%s", rc == 0 ? "all" : n == 0 ? "none" :
	    "");
	for (size_t i = 0; i < n; i++)
		at += (size_t)snprintf(text + at, sizeof text - at, "%u:%u ",
		    r[i].first, r[i].last);
	return text;
}

/* What is new only, where the numbers prove what there is. */
static void
some(void **state)
{
	static const struct { const char *server, *token; enum delta delta;
	    const char *uids; bool flags; const char *still, *asked; } t[] = {
		/* Two are new. */
		{ OPEN("m3", "5", "12") "* SEARCH 4 5\r\nm4 OK\r\n"
		    MSG("4", "10") MSG("5", "11") "m5 OK\r\n",
		    "imap1 7 10 0 3", .delta = DELTA_SOME, .uids = "10 11" },
		/* One is gone. */
		{ OPEN("m3", "4", "12") "* SEARCH 3 4\r\nm4 OK\r\n"
		    "* SEARCH 2 1\r\nm5 OK\r\n"
		    MSG("3", "10") MSG("4", "11")
		    "m6 OK\r\n", "imap1 7 10 0 3", .delta = DELTA_SOME,
		    .uids = "10 11",
		    .still = "1:1 2:2 " },
		/* All of them are, and nothing is new. */
		{ OPEN("m3", "0", "12") "* SEARCH\r\nm4 OK\r\n",
		    "imap1 7 10 0 3", .delta = DELTA_SOME, .uids = "",
		    .still = "none" },
		/* What is still there does not add up, or is none of it. */
		{ OPEN("m3", "4", "12") "* SEARCH 3 4\r\nm4 OK\r\n"
		    "* SEARCH 1\r\nm5 OK\r\n"
		    MSG("1", "1") MSG("2", "2") MSG("3", "10") MSG("4", "11")
		    "m6 OK\r\n", "imap1 7 10 0 3", .delta = DELTA_FULL,
		    .uids = "1 2 10 11" },
		{ OPEN("m3", "4", "12") "* SEARCH 3 4\r\nm4 OK\r\n"
		    "* SEARCH 1 10\r\nm5 OK\r\n"
		    MSG("1", "1") MSG("2", "2") MSG("3", "10") MSG("4", "11")
		    "m6 OK\r\n", "imap1 7 10 0 3", .delta = DELTA_FULL,
		    .uids = "1 2 10 11" },
		{ OPEN("m3", "4", "12") "* SEARCH 3 4\r\nm4 OK\r\n"
		    "* SEARCH 1 1\r\nm5 OK\r\n"
		    MSG("1", "1") MSG("2", "2") MSG("3", "10") MSG("4", "11")
		    "m6 OK\r\n", "imap1 7 10 0 3", .delta = DELTA_FULL,
		    .uids = "1 2 10 11" },
		/* Flags are wanted, and no modseq is known. */
		{ OPEN("m3", "1", "12") MSG("1", "1") "m4 OK\r\n",
		    "imap1 7 10 0 1", .delta = DELTA_FULL, .uids = "1",
		    .flags = true },
		/* One has others; the server tells it in any order, twice, and
		 * of one that is new. */
		{ SINCE("m3", "3", "12", "90") "* SEARCH 3\r\nm4 OK\r\n"
		    MSG("2", "2") MSG("1", "1") MSG("2", "2")
		    "* 3 FETCH (UID 10 FLAGS (\\Seen))\r\nm5 OK\r\n"
		    MSG("3", "10") "m6 OK\r\n", "imap1 7 10 80 2",
		    .delta = DELTA_SOME, .uids = "1 2 10", .flags = true,
		    .asked = "UID FETCH 1:9 (UID FLAGS INTERNALDATE RFC822.SIZE) "
		    "(CHANGEDSINCE 80)" },
		/* Of many SEARCH tells. */
		{ SINCE("m3", "5001", "6000", "90") "* SEARCH 17\r\nm4 OK\r\n"
		    "* SEARCH 5900\r\nm5 OK\r\n" MSG("9", "17")
		    MSG("5001", "5900") "m6 OK\r\n", "imap1 7 6000 80 5001",
		    .delta = DELTA_SOME, .uids = "17 5900", .flags = true,
		    .asked = "UID SEARCH 5001:5001 MODSEQ 81" },
		/* It was announced, and is refused. */
		{ SINCE("m3", "2", "10", "90") "m4 BAD what\r\n"
		    MSG("1", "1") MSG("2", "2") "m5 OK\r\n",
		    "imap1 7 10 80 2", .delta = DELTA_FULL, .uids = "1 2",
		    .flags = true },
		/* Modseqs go up only. */
		{ SINCE("m3", "2", "10", "70") MSG("1", "1") MSG("2", "2")
		    "m4 OK\r\n", "imap1 7 10 80 2", .delta = DELTA_FULL,
		    .uids = "1 2",
		    .flags = true },
		/* One came and went, and flags have changed. */
		{ OPEN("m3", "3", "12") "* SEARCH\r\nm4 OK\r\n",
		    "imap1 7 10 80 3", .delta = DELTA_SOME, .uids = "" },
		{ OPEN("m3", "3", "12"), "imap1 7 12 80 3", .delta = DELTA_SOME,
		    .uids = "" },
		/* No token of this mailbox, or of ours. */
		{ OPEN("m3", "1", "12") MSG("1", "1") "m4 OK\r\n",
		    "imap1 8 10 0 1", .delta = DELTA_FULL, .uids = "1" },
		{ OPEN("m3", "1", "12") MSG("1", "1") "m4 OK\r\n",
		    "imap1 7 99 0 1", .delta = DELTA_FULL, .uids = "1" },
		{ OPEN("m3", "1", "12") MSG("1", "1") "m4 OK\r\n",
		    "imap1 7 10 0", .delta = DELTA_FULL, .uids = "1" },
		{ OPEN("m3", "1", "12") MSG("1", "1") "m4 OK\r\n",
		    "imap9 7 10 0 1", .delta = DELTA_FULL, .uids = "1" },
		/* Search results that cannot be. */
		{ OPEN("m3", "4", "12") "* SEARCH 4000000000\r\nm4 OK\r\n"
		    MSG("1", "1") MSG("2", "2") MSG("3", "3") MSG("4", "4")
		    "m5 OK\r\n", "imap1 7 10 0 3", .delta = DELTA_FULL,
		    .uids = "1 2 3 4" },
	};
	char *server = NULL;

	(void)state;
	for (size_t i = 0; i < sizeof t / sizeof t[0]; i++) {
		free(server);
		server = malloc(10000);
		snprintf(server, 10000, "%s%s", t[i].flags ?
		    LOGIN("CONDSTORE") : LOGIN(""), t[i].server);
		start(server);
		folder.uidvalidity = 0;
		folder.messages = UNKNOWN64;
		folder.some = true;
		folder.some_flags = t[i].flags;
		if (open_box(t[i].token) != t[i].delta)
			fail_msg("%zu: delta", i);
		if (t[i].still != NULL)
			assert_string_equal(still(), t[i].still);
		assert_string_equal(uids(NULL, NULL), t[i].uids);
		if (t[i].asked != NULL)
			assert_non_null(strstr(sent.ptr, t[i].asked));
		source_close(&src);
	}
	folder.some = folder.some_flags = false;
	free(server);
}

/* What is announced and refused is done without. */
static void
refused_extensions(void **state)
{
	struct folder_info *f;
	size_t n;

	(void)state;
	start(LOGIN("CONDSTORE LIST-EXTENDED LIST-STATUS")
	    "* LIST () \"/\" half\r\nm3 BAD what\r\n"
	    "* LIST (\\Sent) \"/\" Sent\r\n* LIST () \"/\" INBOX\r\nm4 OK\r\n"
	    "* LSUB () \"/\" Sent\r\nm5 OK\r\n"
	    "* STATUS INBOX (MESSAGES 4 UIDNEXT 9 UIDVALIDITY 1)\r\n"
	    "m6 BAD HIGHESTMODSEQ\r\nm7 NO\r\n"
	    "m8 BAD (CONDSTORE)\r\n" OPEN("m9", "1", "12"));
	assert_int_equal(source_list(src, &arena, &f, &n, &e), 0);
	assert_int_equal(n, 2);
	assert_string_equal(f[0].name, "INBOX");
	assert_int_equal(f[0].messages, 4);
	assert_string_equal(f[1].name, "Sent");
	assert_true(f[1].subscribed && f[1].messages == UNKNOWN64);
	assert_int_equal(f[1].special_use, USE_SENT);
	open_box(NULL);
	assert_non_null(strstr(sent.ptr, "m8 EXAMINE \"box\" (CONDSTORE)"));
	assert_non_null(strstr(sent.ptr, "m9 EXAMINE \"box\"\r\n"));
}

static void
other_namespaces(void **state)
{
	static const char server[] =
	    "* OK [CAPABILITY IMAP4rev1 AUTH=PLAIN NAMESPACE] hi\r\n"
	    "m1 OK [CAPABILITY IMAP4rev1 NAMESPACE] in\r\n"
	    "* NAMESPACE ((\"\" \"/\")) ((\"~\" \"/\")) ((\"pub/\" \"/\"))\r\n"
	    "m2 OK\r\n* LIST () \"/\" INBOX\r\n* LIST () \"/\" ~a/x\r\n"
	    "* LIST () \"/\" pub/y\r\n* LIST (\\Noselect) \"/\" pub\r\n"
	    "m3 OK\r\nm4 OK\r\nm5 NO\r\nm6 NO\r\nm7 NO\r\nm8 NO\r\n";
	struct folder_info *f;
	size_t n;

	(void)state;
	start(server);
	assert_int_equal(source_list(src, &arena, &f, &n, &e), 0);
	assert_int_equal(n, 1);
	assert_non_null(strstr(warned.ptr, "3 mailboxes of other users or "
	    "shared ones"));
	assert_non_null(strstr(warned.ptr, "~a/x, pub/y, pub"));
	source_close(&src);
	/* Several of the user's own, one of them within another's. */
	start("* OK [CAPABILITY IMAP4rev1 AUTH=PLAIN NAMESPACE] hi\r\n"
	    "m1 OK [CAPABILITY IMAP4rev1 NAMESPACE] in\r\n"
	    "* NAMESPACE ((\"\" \"/\")(\"Archive/\" \"/\")(\"pub/me/\" \"/\"))"
	    " NIL ((\"pub/\" \"/\"))\r\n"
	    "m2 OK\r\n* LIST () \"/\" INBOX\r\n* LIST () \"/\" Archive\r\n"
	    "* LIST () \"/\" Archive/2019\r\n* LIST () \"/\" pub/me/x\r\n"
	    "* LIST () \"/\" pub/y\r\n"
	    "m3 OK\r\nm4 OK\r\nm5 NO\r\nm6 NO\r\nm7 NO\r\nm8 NO\r\n");
	assert_int_equal(source_list(src, &arena, &f, &n, &e), 0);
	assert_int_equal(n, 4);
	assert_string_equal(f[1].name, "Archive");
	assert_string_equal(f[2].name, "Archive/2019");
	assert_string_equal(f[3].name, "pub/me/x");
	source_close(&src);
	start(server);
	from->all_names = true;
	assert_int_equal(source_list(src, &arena, &f, &n, &e), 0);
	assert_int_equal(n, 4);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(listed), TEST(expunged), TEST(not_told), TEST(twice),
		TEST(bodies), TEST(throttled), TEST(another_uidvalidity),
		TEST(tokens), TEST(some), TEST(refused_extensions),
		TEST(other_namespaces),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
