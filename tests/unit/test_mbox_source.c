/*
 * mbox: as a source: the torture set, trees, facts, tokens, files that change.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/uri.h"
#include "source.h"

#define TORTURE	"fixtures/mbox/torture"
#define DATE	"Thu Jan  4 05:06:07 2001"
#define NOON	978584767LL	/* that date in UTC */
#define MAIL(n)	"From a@b " DATE "\nSubject: " n "\n\ntext " n "\n\n"

static char dir[] = "/tmp/mbox-test.XXXXXX";
static char warned[65536];

static void
on_warn(void *ctx, const char *mailbox, const char *where, const char *text)
{
	size_t n = strlen(warned);

	(void)ctx;
	snprintf(warned + n, sizeof warned - n, "%s|%s|%s\n",
	    mailbox != NULL ? mailbox : "", where != NULL ? where : "", text);
}

struct opened {
	struct uri	*uri;
	struct source	*s;
	struct arena	 a;
	struct folder_info *folders;
	size_t		 n;
	struct err	 e;
};

static int
open_store(struct opened *o, const char *fmt, const char *path)
{
	struct store_conf conf = { .warn = on_warn, .cancel_fd = -1 };
	char text[512];
	int rc;

	memset(o, 0, sizeof *o);
	warned[0] = '\0';
	arena_init(&o->a);
	snprintf(text, sizeof text, "mbox:%s%s", path, fmt);
	assert_int_equal(uri_parse(&o->uri, text, &o->e), 0);
	conf.uri = o->uri;
	rc = source_open(&o->s, &conf, &o->e);
	if (rc == 0)
		rc = source_list(o->s, &o->a, &o->folders, &o->n, &o->e);
	return rc;
}

static void
close_store(struct opened *o)
{
	source_close(&o->s);
	uri_free(&o->uri);
	arena_release(&o->a);
}

static struct folder_info *
folder(struct opened *o, const char *name)
{
	size_t i;

	for (i = 0; i < o->n; i++)
		if (strcmp(o->folders[i].name, name) == 0)
			break;
	if (i == o->n)
		fail_msg("no folder %s", name);
	return &o->folders[i];
}

static int
open_folder(struct opened *o, struct folder_info *f)
{
	enum delta d;

	return source_folder_open(o->s, f, NULL, 0, &d, &o->e);
}

/* All bytes of a content; the size has to be what was announced. */
static char *
slurp(struct opened *o, const struct msg_meta *m, size_t *len)
{
	struct content *c;
	size_t cap = 1 << 20;
	char *p = malloc(cap);
	ssize_t n;

	assert_non_null(p);
	assert_int_equal(source_content(o->s, m, &c, &o->e), 1);
	*len = 0;
	while ((n = content_read(c, p + *len, cap - *len - 1, &o->e)) > 0)
		*len += (size_t)n;
	assert_int_equal(n, 0);
	assert_int_equal(*len, m->size);
	assert_int_equal(c->size, m->size);
	content_close(&c);
	p[*len] = '\0';
	return p;
}

static void
next(struct opened *o, struct msg_meta *m)
{
	assert_int_equal(source_next(o->s, &o->a, m, &o->e), 1);
}

static void
no_more(struct opened *o)
{
	struct msg_meta m;

	assert_int_equal(source_next(o->s, &o->a, &m, &o->e), 0);
	assert_int_equal(source_next(o->s, &o->a, &m, &o->e), 0);
}

static void
content_is(struct opened *o, const struct msg_meta *m, const char *want)
{
	size_t len;
	char *p = slurp(o, m, &len);

	assert_int_equal(len, strlen(want));
	assert_string_equal(p, want);
	free(p);
}

static const char *
path_of(const char *name)
{
	static char paths[4][512];	/* so that a call may name several */
	static int i;
	char *path = paths[i++ % 4];

	snprintf(path, sizeof paths[0], "%s/%s", dir, name);
	return path;
}

static const char *
put(const char *name, const char *p, size_t len, int flags)
{
	const char *path = path_of(name);
	int fd = open(path, O_WRONLY | O_CREAT | flags, 0600);

	assert_true(fd != -1);
	assert_int_equal(write(fd, p, len), len);
	close(fd);
	return path;
}

#define PUT(name, text)	put(name, text, sizeof text - 1, O_TRUNC)

static int
setup(void **state)
{
	(void)state;
	setenv("TZ", "UTC", 1);
	tzset();
	return mkdtemp(dir) == NULL;
}

static void
remove_tree(int at, const char *name)
{
	int fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
	struct dirent *d;
	DIR *list;

	if (fd == -1) {
		unlinkat(at, name, 0);
		return;
	}
	fchmod(fd, 0700);
	list = fdopendir(fd);
	while (list != NULL && (d = readdir(list)) != NULL)
		if (strcmp(d->d_name, ".") != 0 &&
		    strcmp(d->d_name, "..") != 0)
			remove_tree(fd, d->d_name);
	if (list != NULL)
		closedir(list);
	unlinkat(at, name, AT_REMOVEDIR);
}

static int
teardown(void **state)
{
	(void)state;
	remove_tree(AT_FDCWD, dir);
	return 0;
}

/* The torture set. */

static void
torture_one(const char *file, const char *want)
{
	struct opened o;
	struct msg_meta m[256];
	uint64_t count;
	char path[300];
	size_t n = 0;
	int rc;

	snprintf(path, sizeof path, TORTURE "/%s", file);
	if (open_store(&o, "", path) == -1) {
		if (strcmp(want, "refused") != 0)
			fail_msg("%s: %s", file, o.e.text);
		assert_non_null(strstr(o.e.text, "not an mbox"));
		close_store(&o);
		return;
	}
	if (strcmp(want, "refused") == 0)
		fail_msg("%s: not refused", file);
	assert_int_equal(o.n, 1);
	assert_string_equal(o.folders[0].name, "INBOX");
	if (open_folder(&o, &o.folders[0]) == -1)
		fail_msg("%s: %s", file, o.e.text);
	/* Asked before the pass, the count takes a pass of its own. */
	assert_int_equal(source_folder_count(o.s, &count, &o.e), 0);
	if (count != strtoull(want, NULL, 10))
		fail_msg("%s: counted %ju, not %s", file, (uintmax_t)count,
		    want);
	while ((rc = source_next(o.s, &o.a, &m[n], &o.e)) == 1) {
		size_t len;
		char *p = slurp(&o, &m[n], &len);

		assert_true(n == 0 || m[n].cookie > m[n - 1].cookie);
		free(p);
		assert_true(++n < 256);
	}
	assert_int_equal(rc, 0);
	if (n != count)
		fail_msg("%s: %zu messages, not %s", file, n, want);
	assert_int_equal(source_folder_count(o.s, &count, &o.e), 0);
	assert_int_equal(count, n);
	/* In another order. */
	for (size_t i = n; i-- > 0;) {
		size_t len;

		free(slurp(&o, &m[i], &len));
	}
	close_store(&o);
}

static void
test_torture(void **state)
{
	char line[4096], *save, *file, *ours;
	size_t n = 0;
	FILE *f;

	(void)state;
	f = fopen(TORTURE "/expected.tsv", "r");
	assert_non_null(f);
	while (fgets(line, sizeof line, f) != NULL) {
		file = strtok_r(line, "\t", &save);
		ours = strtok_r(NULL, "\t", &save);
		assert_non_null(ours);
		if (strcmp(file, "file") != 0) {
			torture_one(file, ours);
			n++;
		}
	}
	fclose(f);
	assert_true(n > 100);
}

static void
test_doubts(void **state)
{
	static const struct { const char *file, *where; } reported[] = {
		{ "glued", "offset 79|" }, { "prose-header-like", "offset " },
		{ "prose-year", "offset " },
		{ "full-line-in-paragraph", "offset " },
		{ "full-line-after-empty", "offset " },
		{ "full-line-before-header", "offset " },
		{ "cl-right", "Content-Length covers" },
		{ "bare-elsewhere", "offset " },
		{ "thread-elsewhere", "offset " },
		{ "takeout-prose", "offset " }, { "other-first", "offset 0|" },
		{ "two-from-lines", "offset " }, { "no-header", "offset " },
		{ "moz-bare-glued", "offset " }, { "sep-no-year", "offset " },
		{ "sep-address-only", "offset " },
		{ "pseudo-mailed", "not believed" },
		{ "moz-expunged", "1 messages that were removed" },
		{ "mbx-expunged", "1 messages that were removed" },
		{ "uid-descending", "1 messages had no UID" },
		{ "status", "keywords" }, { "bom", "bytes before the first" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof reported / sizeof reported[0]; i++) {
		struct opened o;
		struct msg_meta m;
		char path[300];

		snprintf(path, sizeof path, TORTURE "/%s", reported[i].file);
		assert_int_equal(open_store(&o, "", path), 0);
		assert_int_equal(open_folder(&o, o.folders), 0);
		while (source_next(o.s, &o.a, &m, &o.e) == 1)
			;
		if (strstr(warned, reported[i].where) == NULL)
			fail_msg("%s: %s", reported[i].file, warned);
		close_store(&o);
	}
}

/* Facts. */

static void
uids_are(const char *file, uint32_t validity, uint32_t uidnext,
    const uint32_t *want)
{
	struct opened o;
	struct msg_meta m;
	char path[300];

	snprintf(path, sizeof path, TORTURE "/%s", file);
	assert_int_equal(open_store(&o, "", path), 0);
	assert_int_equal(open_folder(&o, o.folders), 0);
	assert_int_equal(o.folders->uidvalidity, validity);
	for (; *want != 99; want++) {
		next(&o, &m);
		assert_int_equal(m.uid, *want);
	}
	no_more(&o);
	assert_int_equal(o.folders->uidnext, uidnext);
	close_store(&o);
}

#define UIDS(file, validity, uidnext, ...) \
	uids_are(file, validity, uidnext, (const uint32_t[]){ __VA_ARGS__, 99 })

static void
test_uids(void **state)
{
	(void)state;
	UIDS("uid-good", 1000000000, 106, 3, 7, 105);
	UIDS("uid-descending", 1000000000, 107, 3, 7, 106);
	UIDS("uid-above-last", 1000000000, 108, 3, 106, 107);
	UIDS("uid-no-base", 0, 0, 0, 0);
	UIDS("uid-before-base", 1000000000, 108, 106, 107);
	UIDS("pseudo", 1000000000, 108, 106, 107);
	UIDS("pseudo-mailed", 0, 0, 0, 0);
	UIDS("mbx", 0x3a540000, 11, 3, 9);
	UIDS("mbx-expunged", 0x3a540000, 12, 3, 11);
}

static void
test_facts(void **state)
{
	struct opened o;
	struct msg_meta m;

	(void)state;
	assert_int_equal(open_store(&o, "", TORTURE "/status"), 0);
	assert_int_equal(open_folder(&o, o.folders), 0);
	next(&o, &m);
	assert_int_equal(m.flags, MSG_SEEN | MSG_ANSWERED | MSG_FLAGGED |
	    MSG_DRAFT | MSG_DELETED);
	assert_int_equal(m.nkeywords, 2);
	assert_string_equal(m.keywords[1], "kw2");
	assert_string_equal(m.raw_flags, "RO AFTD");
	assert_true(m.key == NULL && m.cookie == 0);
	assert_string_equal(m.where, "offset 0");
	assert_int_equal(m.date, NOON);
	assert_int_equal(m.date_origin, DATE_SEPARATOR);
	assert_int_equal(m.oddities, ODD_STRIPPED);
	content_is(&o, &m, "From: a@b.example\nSubject: one\n\ntext\n");
	next(&o, &m);
	assert_int_equal(m.flags, 0);
	next(&o, &m);
	/* the field's name in any case, its letters not; unknown keyword */
	assert_int_equal(m.flags, 0);
	assert_int_equal(m.nkeywords, 0);
	content_is(&o, &m, "From: a@b.example\nSubject: one\n\ntext\n");
	no_more(&o);
	close_store(&o);

	/* Mozilla's fields, but no file of Mozilla's */
	assert_int_equal(open_store(&o, "", PUT("taken-over",
	    "From a@b " DATE "\nX-Mozilla-Status: 0000\nX-IMAPbase: 1 2\n"
	    "Status: RO\n\nx\n\n"
	    "From a@b " DATE "\nX-Mozilla-Status: 0009\nX-Mozilla-Keys: k\n"
	    "Status: RO\nX-Status: F\n\nx\n\n")), 0);
	assert_int_equal(open_folder(&o, o.folders), 0);
	next(&o, &m);
	assert_int_equal(m.flags, MSG_SEEN);
	next(&o, &m);
	assert_int_equal(m.flags, MSG_SEEN | MSG_FLAGGED);
	assert_int_equal(m.nkeywords, 0);
	no_more(&o);
	close_store(&o);

	assert_int_equal(open_store(&o, "", TORTURE "/mbx"), 0);
	assert_int_equal(open_folder(&o, o.folders), 0);
	next(&o, &m);
	assert_int_equal(m.flags, MSG_SEEN);
	assert_int_equal(m.nkeywords, 1);
	assert_string_equal(m.keywords[0], "kw1");
	assert_int_equal(m.date, NOON - 7200);
	assert_int_equal(m.zone, 120);
	content_is(&o, &m, "From: a@b.example\r\nSubject: one\r\n\r\nFrom a@b "
	    DATE "\r\nunquoted\r\n");
	next(&o, &m);
	assert_int_equal(m.flags, MSG_DELETED | MSG_FLAGGED);
	assert_string_equal(m.keywords[0], "kw2");
	no_more(&o);
	close_store(&o);

	assert_int_equal(open_store(&o, "", TORTURE "/packed.xz"), 0);
	assert_int_equal(open_folder(&o, o.folders), 0);
	next(&o, &m);
	assert_int_equal(m.oddities, ODD_COMPRESSED);
	content_is(&o, &m, "From: a@b.example\nSubject: one\n\ntext\n");
	close_store(&o);
}

/* What the container's fields leave, and what stays. */
static void
test_metadata(void **state)
{
	static const char text[] = "From a@b " DATE "\n"
	    "Status: RO\nX-Status: F\nA: 1\nStatus: O\n x\nX-KEYWORDS: z\n"
	    "X-UID: 3\nContent-Length: 5\nX-IMAPbase: 1 2\nX-Mozilla-Status: "
	    "0008\nContent-Length: 7\nX-IMAP: 1 2\nStatu: x\n\ntext\n\n"
	    "From a@b " DATE "\nContent-Length: 99\nStatus: O\n\ntext\n\n"
	    "From a@b " DATE "\nA: 1\n\nStatus: RO\n";
	struct opened o;
	struct msg_meta m;
	char path[300];
	size_t len;

	(void)state;
	snprintf(path, sizeof path, "%s", PUT("meta", text));
	assert_int_equal(open_store(&o, "", path), 0);
	assert_int_equal(open_folder(&o, o.folders), 0);
	/* An X-IMAP of a message without Received: c-client's own. */
	next(&o, &m);
	content_is(&o, &m, "Content-Length: 99\n\ntext\n");
	assert_int_equal(m.oddities & ODD_STRIPPED, ODD_STRIPPED);
	next(&o, &m);
	assert_int_equal(m.oddities & ODD_STRIPPED, 0);
	content_is(&o, &m, "A: 1\n\nStatus: RO\n");
	no_more(&o);
	close_store(&o);

#define MAILED	"Status: RO\nX-Status: F\nA: 1\nStatus: O\n x\nX-KEYWORDS: z" \
	"\nX-UID: 3\nContent-Length: 5\nX-IMAPbase: 1 2\nX-Mozilla-Status: " \
	"0008\nContent-Length: 7\nReceived: x\nX-IMAP: 1 2\nStatu: x\n\n" \
	"text\n"
	PUT("meta", "From a@b " DATE "\n" MAILED "\n");
	assert_int_equal(open_store(&o, "", path), 0);
	assert_int_equal(open_folder(&o, o.folders), 0);
	next(&o, &m);
	content_is(&o, &m, "A: 1\nX-Mozilla-Status: 0008\nContent-Length: 7\n"
	    "Received: x\nStatu: x\n\ntext\n");
	no_more(&o);
	close_store(&o);

	assert_int_equal(open_store(&o, "?metadata=keep", path), 0);
	assert_int_equal(open_folder(&o, o.folders), 0);
	next(&o, &m);
	assert_int_equal(m.oddities & ODD_STRIPPED, 0);
	content_is(&o, &m, MAILED);
	no_more(&o);
	close_store(&o);

	/* Many separate ones. */
	{
		char big[40000] = "From a@b " DATE "\n";
		size_t n = strlen(big), kept;

		for (int i = 0; i < 1000; i++)
			n += (size_t)snprintf(big + n, sizeof big - n,
			    "Status: R\nA: %d\n", i);
		kept = n - 35 + 1 + 2 - 10000 + 1;
		n += (size_t)snprintf(big + n, sizeof big - n, "\nx\n\n");
		put("meta", big, n, O_TRUNC);
		assert_int_equal(open_store(&o, "", path), 0);
		assert_int_equal(open_folder(&o, o.folders), 0);
		next(&o, &m);
		free(slurp(&o, &m, &len));
		assert_int_equal(len, kept);
		no_more(&o);
		close_store(&o);
	}
}

static void
test_unquote(void **state)
{
	struct opened o;
	struct msg_meta m;
	char path[300];

	(void)state;
	snprintf(path, sizeof path, "%s", PUT("quoted", "From a@b " DATE
	    "\nStatus: R\nA: 1\n\n>From a\n>>From b\n\n" MAIL("2")));
	assert_int_equal(open_store(&o, "", path), 0);
	assert_int_equal(open_folder(&o, o.folders), 0);
	next(&o, &m);
	content_is(&o, &m, "A: 1\n\n>From a\n>>From b\n");
	close_store(&o);
	assert_int_equal(open_store(&o, "?unquote=mboxo", path), 0);
	assert_int_equal(open_folder(&o, o.folders), 0);
	next(&o, &m);
	content_is(&o, &m, "A: 1\n\nFrom a\n>>From b\n");
	close_store(&o);
	assert_int_equal(open_store(&o, "?unquote=mboxrd", path), 0);
	assert_int_equal(open_folder(&o, o.folders), 0);
	next(&o, &m);
	content_is(&o, &m, "A: 1\n\nFrom a\n>From b\n");
	next(&o, &m);
	content_is(&o, &m, "Subject: 2\n\ntext 2\n");
	no_more(&o);
	assert_non_null(strstr(warned, "undone in 1 messages"));
	close_store(&o);
}

static void
test_options(void **state)
{
	static const char *const bad[] = {
		"?unquote=yes", "?metadata=x", "?zone=Europe/Berlin",
		"?zone=+1", "?inbox=", "?nonsense=1", "?inbox=x"
	};
	struct opened o;
	struct msg_meta m;
	char path[300];

	(void)state;
	snprintf(path, sizeof path, "%s", PUT("opt", MAIL("1")));
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		assert_int_equal(open_store(&o, bad[i], path), -1);
		assert_true(o.e.text[0] != '\0');
		/* all but the last are known without looking at the file */
		assert_int_equal(source_check(o.uri, &o.e), i + 1 <
		    sizeof bad / sizeof bad[0] ? -1 : 0);
		close_store(&o);
	}
	assert_int_equal(open_store(&o, "?zone=+0530", path), 0);
	assert_int_equal(open_folder(&o, o.folders), 0);
	next(&o, &m);
	assert_int_equal(m.date, NOON - 330 * 60);
	assert_int_equal(m.zone, 330);
	close_store(&o);
}

/* More messages between next() and content() than are remembered. */
static void
test_far_back(void **state)
{
	enum { N = 3000 };
	struct msg_meta *m = calloc(N, sizeof *m);
	char *p = malloc(N * 80), path[300];
	struct opened o;
	size_t n = 0;

	(void)state;
	assert_non_null(m);
	assert_non_null(p);
	for (int i = 0; i < N; i++)
		n += (size_t)snprintf(p + n, 80, "From a@b " DATE "\nStatus: R"
		    "\nA: %d\n\nx\n\n", i);
	snprintf(path, sizeof path, "%s", put("far", p, n, O_TRUNC));
	assert_int_equal(open_store(&o, "", path), 0);
	assert_int_equal(open_folder(&o, o.folders), 0);
	for (int i = 0; i < N; i++)
		next(&o, &m[i]);
	no_more(&o);
	for (int k = 0; k < N; k++) {
		char want[40];
		int i = k * 7 % N;

		snprintf(want, sizeof want, "A: %d\n\nx\n", i);
		content_is(&o, &m[i], want);
	}
	close_store(&o);
	free(p);
	free(m);
}

/* Refusals. */

static void
test_refused(void **state)
{
	struct opened o;

	(void)state;
	assert_int_equal(open_store(&o, "", path_of("nowhere")), -1);
	assert_int_equal(o.e.scope, ERR_ACCOUNT);
	assert_int_equal(o.e.cause, CAUSE_MISSING);
	close_store(&o);


	assert_int_equal(mkfifo(path_of("fifo"), 0600), 0);
	assert_int_equal(open_store(&o, "", path_of("fifo")), -1);
	assert_int_equal(o.e.scope, ERR_ACCOUNT);
	close_store(&o);

	assert_int_equal(mkdir(path_of("md"), 0700), 0);
	assert_int_equal(mkdir(path_of("md/cur"), 0700), 0);
	assert_int_equal(mkdir(path_of("md/new"), 0700), 0);
	assert_int_equal(mkdir(path_of("md/tmp"), 0700), 0);
	assert_int_equal(open_store(&o, "", path_of("md")), -1);
	assert_non_null(strstr(o.e.text, "Maildir"));
	close_store(&o);

	/* Damaged compression; damaged mbx. */
	PUT("cut.gz", "\x1f\x8b\x08\0\0\0\0\0\0\x03garbage");
	assert_int_equal(open_store(&o, "", path_of("cut.gz")), -1);
	assert_int_equal(o.e.scope, ERR_ACCOUNT);
	close_store(&o);
	PUT("bad.mbx", "*mbx*\r\nnothing");
	assert_int_equal(open_store(&o, "", path_of("bad.mbx")), 0);
	assert_int_equal(open_folder(&o, o.folders), -1);
	assert_int_equal(o.e.scope, ERR_MAILBOX);
	close_store(&o);
}

static void
test_damaged_mbx(void **state)
{
	char p[4096], path[300];
	struct opened o;
	struct msg_meta m;
	size_t n;

	(void)state;
	memset(p, 0, sizeof p);
	memcpy(p, "*mbx*\r\n3a540000000000ff\r\n", 25);
	n = 2048 + (size_t)snprintf(p + 2048, 2000,
	    " 4-Jan-2001 05:06:07 +0200,3;000000000001-00000001\r\nabc"
	    " 4-Jan-2001 05:06:07 +0200,99;000000000001-00000002\r\nabc");
	snprintf(path, sizeof path, "%s", put("cut.mbx", p, n, O_TRUNC));
	assert_int_equal(open_store(&o, "", path), 0);
	assert_int_equal(open_folder(&o, o.folders), 0);
	next(&o, &m);
	content_is(&o, &m, "abc");
	assert_int_equal(source_next(o.s, &o.a, &m, &o.e), -1);
	assert_non_null(strstr(o.e.text, "offset 2103"));
	close_store(&o);
}

/* Makes a file old enough that nothing waits for it or doubts it. */
static void
backdate(const char *path)
{
	struct timespec t[2] = { { 1000000000, 5 }, { 1000000000, 5 } };

	assert_int_equal(utimensat(AT_FDCWD, path, t, 0), 0);
}

/* Trees. */

static void
names_are(struct opened *o, const char *want)
{
	char got[4096] = "";
	size_t n = 0;

	for (size_t i = 0; i < o->n; i++)
		n += (size_t)snprintf(got + n, sizeof got - n, "%s%s%s%s\n",
		    o->folders[i].name, o->folders[i].noselect ? " -" : "",
		    o->folders[i].subscribed ? " s" : "",
		    o->folders[i].refused != NULL ? " r" : "");
	assert_string_equal(got, want);
}

static void
make_dir(const char *name)
{
	assert_int_equal(mkdir(path_of(name), 0700), 0);
}

static void
copy(const char *from, const char *name)
{
	char p[65536];
	int fd = open(from, O_RDONLY);
	ssize_t n;

	assert_true(fd != -1);
	n = read(fd, p, sizeof p);
	close(fd);
	assert_true(n > 0);
	put(name, p, (size_t)n, O_TRUNC);
}

static void
first_subject(struct opened *o, const char *name, const char *want)
{
	struct folder_info *f = folder(o, name);
	struct msg_meta m;
	char text[100];

	if (open_folder(o, f) == -1)
		fail_msg("%s: %s", name, o->e.text);
	next(o, &m);
	snprintf(text, sizeof text, "Subject: %s\n\ntext %s\n", want, want);
	content_is(o, &m, text);
	no_more(o);
	source_folder_close(o->s);
}

static void
test_tree(void **state)
{
	struct opened o;
	struct account_info info;
	char path[300], deep[2000] = "tree/d";
	size_t deepest;

	(void)state;
	make_dir("tree");
	snprintf(path, sizeof path, "%s", path_of("tree"));
	PUT("tree/INBOX", MAIL("inbox"));
	PUT("tree/&A.b", MAIL("amp"));
	PUT("tree/Entw&APw-rfe", MAIL("d"));
	PUT("tree/Entw\xc3\xbcrfe", MAIL("twin"));
	PUT("tree/Gel&APY-scht", MAIL("g"));
	PUT("tree/raw\xfc", MAIL("raw"));
	PUT("tree/empty", "");
	PUT("tree/new\nline", MAIL("nl"));
	make_dir("tree/work");
	make_dir("tree/work/2020");
	PUT("tree/work/2020/a b", MAIL("ab"));
	make_dir("tree/nothing");
	make_dir("tree/nothing/here");
	PUT("tree/nothing/here/notes.txt", "Dear reader\n");
	make_dir("tree/.imap");
	PUT("tree/.imap/dovecot.index.log", "x");
	PUT("tree/dovecot.index", "\x07\x02");
	backdate(PUT("tree/INBOX.lock", ""));
	make_dir("tree/md");
	make_dir("tree/md/cur");
	make_dir("tree/md/new");
	make_dir("tree/md/tmp");
	PUT("tree/md/cur/1:2,S", "Subject: x\n");
	assert_int_equal(mkfifo(path_of("tree/fifo"), 0600), 0);
	assert_int_equal(symlink("/etc/passwd", path_of("tree/link")), 0);
	assert_int_equal(symlink("..", path_of("tree/up")), 0);
	copy(TORTURE "/packed.gz", "tree/old.gz");
	copy(TORTURE "/packed.gz", "tree/work.gz");
	copy(TORTURE "/packed-text.gz", "tree/text.gz");
	copy(TORTURE "/mbx", "tree/uw");
	PUT("tree/.subscriptions", "V\t2\n\nINBOX\nwork\t2020\ta b\n"
	    "Gel&APY-scht\ngo\001tne\n");
	PUT("tree/.mailboxlist", "empty\r\n{host}box\n#news.x\n~/old\n");

	assert_int_equal(open_store(&o, "", path), 0);
	names_are(&o, "INBOX s\n&A.b\nEntw&APw-rfe\nEntw\xc3\xbcrfe\n"
	    "Gel\xc3\xb6scht s\nempty s\nnew\nline\nold s\nraw=FC\nuw\n"
	    "work -\nwork/2020 -\nwork/2020/a b s\nwork.gz\n");
	assert_int_equal(source_account_facts(o.s, &o.a, &info, &o.e), 0);
	assert_true(info.has_subscriptions);
	assert_int_equal(info.nsubscriptions, 6);
	assert_string_equal(info.subscriptions[1], "work/2020/a b");
	assert_string_equal(info.subscriptions[2], "Gel\xc3\xb6scht");
	assert_string_equal(info.subscriptions[3], "go\tne");
	first_subject(&o, "INBOX", "inbox");
	first_subject(&o, "raw=FC", "raw");
	first_subject(&o, "new\nline", "nl");
	first_subject(&o, "Entw&APw-rfe", "d");
	first_subject(&o, "work/2020/a b", "ab");
	for (size_t i = 0; i < o.n; i++) {
		struct folder_info *f = &o.folders[i];
		struct msg_meta m;

		if (f->noselect)
			continue;
		assert_int_equal(open_folder(&o, f), 0);
		while (source_next(o.s, &o.a, &m, &o.e) == 1)
			;
		source_folder_close(o.s);
	}
	assert_non_null(strstr(warned, "|fifo|neither file nor"));
	assert_non_null(strstr(warned, "|link|a symbolic link"));
	assert_non_null(strstr(warned, "|up|a symbolic link"));
	assert_non_null(strstr(warned, "|md/|a Maildir"));
	assert_non_null(strstr(warned, "|dovecot.index|not a mailbox"));
	assert_non_null(strstr(warned, "|nothing/here/notes.txt|not"));
	assert_non_null(strstr(warned, "|text.gz|what is compressed"));
	assert_non_null(strstr(warned, "3 hidden names, 0 index files (.msf), "
	    "1 lock files"));
	/* Gone, or become something else, since it was listed. */
	assert_int_equal(unlink(path_of("tree/empty")), 0);
	assert_int_equal(open_folder(&o, folder(&o, "empty")), -1);
	assert_int_equal(o.e.scope, ERR_MAILBOX);
	assert_true(o.e.cause != CAUSE_MISSING);
	assert_int_equal(unlink(path_of("tree/uw")), 0);
	assert_int_equal(mkfifo(path_of("tree/uw"), 0600), 0);
	assert_int_equal(open_folder(&o, folder(&o, "uw")), -1);
	assert_int_equal(rename(path_of("tree/work"), path_of("tree/w")), 0);
	assert_int_equal(symlink("w", path_of("tree/work")), 0);
	assert_int_equal(open_folder(&o, folder(&o, "work/2020/a b")), -1);
	close_store(&o);

	/* Without .subscriptions of its own, the home's list tells. */
	assert_int_equal(unlink(path_of("tree/.subscriptions")), 0);
	assert_int_equal(unlink(path_of("tree/.mailboxlist")), 0);
	PUT(".mailboxlist", "INBOX\ntree/raw\xfc\nother/x\nold\n");
	assert_int_equal(open_store(&o, "", path), 0);
	assert_int_equal(source_account_facts(o.s, &o.a, &info, &o.e), 0);
	assert_int_equal(info.nsubscriptions, 2);
	assert_true(folder(&o, "raw=FC")->subscribed);
	close_store(&o);
	assert_int_equal(unlink(path_of(".mailboxlist")), 0);

	/* 40 levels. */
	make_dir(deep);
	for (int i = 0; i < 40; i++) {
		strncat(deep, "/d", sizeof deep - strlen(deep) - 1);
		make_dir(deep);
	}
	strncat(deep, "/box", sizeof deep - strlen(deep) - 1);
	PUT(deep, MAIL("deep"));
	assert_int_equal(open_store(&o, "", path), 0);
	first_subject(&o, deep + 5, "deep");
	close_store(&o);
	*strrchr(deep, '/') = '\0';
	for (int i = 40; i < 130; i++) {
		strncat(deep, "/d", sizeof deep - strlen(deep) - 1);
		make_dir(deep);
	}
	assert_int_equal(open_store(&o, "", path), 0);
	deepest = 0;
	for (size_t i = 0; i < o.n; i++)
		if (o.folders[i].npath > o.folders[deepest].npath)
			deepest = i;
	assert_int_equal(o.folders[deepest].npath, 129);
	assert_non_null(strstr(o.folders[deepest].refused, "too deep"));
	close_store(&o);
}

static void
test_thunderbird(void **state)
{
	struct opened o;
	char path[300];

	(void)state;
	make_dir("tb");
	snprintf(path, sizeof path, "%s", path_of("tb"));
	PUT("tb/Inbox", MAIL("i"));
	PUT("tb/Inbox.msf", "// <!-- <mdb:mork:z v=\"1.4\"/> -->\n");
	PUT("tb/Sent.msf", "// <!-- <mdb:mork:z v=\"1.4\"/> -->\n");
	PUT("tb/popstate.dat", "# POP3 State File\n");
	make_dir("tb/Inbox.sbd");
	PUT("tb/Inbox.sbd/sub", MAIL("s"));
	PUT("tb/Inbox.sbd/sub.msf", "");
	PUT("tb/Archives", "");
	make_dir("tb/Archives.sbd");
	PUT("tb/Archives.sbd/2020", MAIL("2020"));
	make_dir("tb/Lost.sbd");
	PUT("tb/Lost.sbd/found", MAIL("f"));
	make_dir("tb/Both");
	PUT("tb/Both/x", MAIL("x1"));
	make_dir("tb/Both.sbd");
	PUT("tb/Both.sbd/x", MAIL("x2"));
	assert_int_equal(open_store(&o, "", path), 0);
	names_are(&o, "INBOX\nArchives\nArchives/2020\nBoth -\nBoth/x\n"
	    "Both.sbd -\nBoth.sbd/x\nINBOX/sub\nLost -\nLost/found\n");
	first_subject(&o, "INBOX", "i");
	first_subject(&o, "INBOX/sub", "s");
	first_subject(&o, "Both.sbd/x", "x2");
	assert_non_null(strstr(warned, "3 index files"));
	close_store(&o);
}

static void
test_inbox(void **state)
{
	struct opened o;
	char path[300], opt[400];

	(void)state;
	make_dir("home");
	snprintf(path, sizeof path, "%s", path_of("home"));
	PUT("home/mbox", MAIL("mbox"));
	PUT("home/inbox", MAIL("inbox"));
	PUT("home/saved", MAIL("saved"));
	PUT("spool", MAIL("spool"));
	assert_int_equal(open_store(&o, "", path), 0);
	names_are(&o, "INBOX\nmbox\nsaved\n");
	first_subject(&o, "INBOX", "inbox");
	close_store(&o);
	assert_int_equal(open_store(&o, "?inbox=mbox", path), 0);
	names_are(&o, "INBOX\ninbox\nsaved\n");
	first_subject(&o, "INBOX", "mbox");
	close_store(&o);
	snprintf(opt, sizeof opt, "?inbox=%s", path_of("spool"));
	assert_int_equal(open_store(&o, opt, path), 0);
	names_are(&o, "INBOX\ninbox\nmbox\nsaved\n");
	first_subject(&o, "INBOX", "spool");
	close_store(&o);
	assert_int_equal(open_store(&o, "?inbox=../spool", path), -1);
	assert_int_equal(o.e.scope, ERR_ACCOUNT);
	assert_non_null(strstr(o.e.text, "out of the tree"));
	close_store(&o);
	assert_int_equal(open_store(&o, "?inbox=/nowhere/x", path), 0);
	names_are(&o, "inbox\nmbox\nsaved\n");
	assert_non_null(strstr(warned, "no INBOX"));
	close_store(&o);
	PUT("letter", "Dear reader\n");
	snprintf(opt, sizeof opt, "?inbox=%s", path_of("letter"));
	assert_int_equal(open_store(&o, opt, path), -1);
	assert_int_equal(o.e.scope, ERR_ACCOUNT);
	close_store(&o);
	assert_int_equal(unlink(path_of("home/inbox")), 0);
	assert_int_equal(unlink(path_of("home/mbox")), 0);
	assert_int_equal(open_store(&o, "", path), 0);
	assert_non_null(strstr(warned, "no INBOX"));
	close_store(&o);
}

/* Links: whose they are, and whose is what they lead to. */
static void
test_links(void **state)
{
	enum { ALICE = 12001, BOB = 12002 };
	char alice[300], mail[340], opt[400];
	struct opened o;

	(void)state;
	make_dir("alice");
	make_dir("bob");
	make_dir("bob/mail");
	snprintf(alice, sizeof alice, "%s", path_of("alice"));
	PUT("bob/mail/inbox", MAIL("bob"));
	PUT("alice/own", MAIL("alice"));
	assert_int_equal(symlink("../bob/mail", path_of("alice/mail")), 0);
	assert_int_equal(symlink("own", path_of("alice/link")), 0);
	snprintf(mail, sizeof mail, "%s/mail", alice);

	/* ours: followed, but never in a tree */
	assert_int_equal(open_store(&o, "", mail), 0);
	first_subject(&o, "INBOX", "bob");
	close_store(&o);
	assert_int_equal(open_store(&o, "", path_of("alice/link")), 0);
	first_subject(&o, "INBOX", "alice");
	close_store(&o);
	assert_int_equal(open_store(&o, "", path_of("alice/mail/inbox")), 0);
	first_subject(&o, "INBOX", "bob");
	close_store(&o);
	assert_int_equal(open_store(&o, "?inbox=mail/inbox", alice), -1);
	assert_non_null(strstr(o.e.text, "symbolic link"));
	assert_int_equal(o.e.scope, ERR_ACCOUNT);
	assert_int_equal(o.e.cause, CAUSE_OTHER);
	close_store(&o);
	snprintf(opt, sizeof opt, "?inbox=%s/inbox", mail);
	assert_int_equal(open_store(&o, opt, alice), 0);
	first_subject(&o, "INBOX", "bob");
	close_store(&o);

	/* In a tree: mail must not be forgotten, nor told of twice. */
	assert_int_equal(symlink("../bob/mail/inbox", path_of("alice/INBOX")),
	    0);
	assert_int_equal(symlink("nowhere", path_of("alice/gone")), 0);
	assert_int_equal(symlink("/etc/passwd", path_of("alice/text")), 0);
	assert_int_equal(open_store(&o, "", alice), 0);
	names_are(&o, "INBOX r\nown\n");
	assert_int_equal(open_folder(&o, folder(&o, "INBOX")), -1);
	assert_non_null(strstr(o.e.text, "symbolic link"));
	assert_non_null(strstr(warned, "|link|a symbolic link"));
	assert_non_null(strstr(warned, "|text|a symbolic link"));
	close_store(&o);
	assert_int_equal(open_store(&o, opt, alice), 0);
	names_are(&o, "INBOX\nown\n");
	first_subject(&o, "INBOX", "bob");
	close_store(&o);

	if (geteuid() != 0) {
		print_message("not root: links of other users not tested\n");
		return;
	}
	assert_int_equal(lchown(path_of("alice/mail"), ALICE, -1), 0);
	assert_int_equal(lchown(path_of("alice/link"), ALICE, -1), 0);
	assert_int_equal(chown(path_of("alice/own"), ALICE, -1), 0);
	assert_int_equal(chown(path_of("bob/mail"), BOB, -1), 0);
	assert_int_equal(chown(path_of("bob/mail/inbox"), BOB, -1), 0);
	assert_int_equal(open_store(&o, "", path_of("alice/link")), 0);
	first_subject(&o, "INBOX", "alice");
	close_store(&o);
	for (int i = 0; i < 3; i++) {
		static const char *const tails[] = { "", "/", "/inbox" };
		char path[360];

		snprintf(path, sizeof path, "%s%s", mail, tails[i]);
		assert_int_equal(open_store(&o, "", path), -1);
		assert_int_equal(o.e.scope, ERR_ACCOUNT);
		assert_non_null(strstr(o.e.text, "does not own"));
		close_store(&o);
	}
	assert_int_equal(open_store(&o, opt, alice), -1);
	assert_non_null(strstr(o.e.text, "does not own"));
	close_store(&o);
}

static void
test_unreadable(void **state)
{
	struct opened o;
	char path[300];
	uid_t me = geteuid();

	(void)state;
	make_dir("perm");
	snprintf(path, sizeof path, "%s", path_of("perm"));
	PUT("perm/INBOX", MAIL("i"));
	PUT("perm/secret", MAIL("s"));
	make_dir("perm/closed");
	PUT("perm/closed/x", MAIL("x"));
	assert_int_equal(chmod(path_of("perm/INBOX"), 0644), 0);
	assert_int_equal(chmod(path_of("perm/secret"), 0), 0);
	assert_int_equal(chmod(path_of("perm/closed"), 0), 0);
	assert_int_equal(chmod(path_of("perm"), 0755), 0);
	assert_int_equal(chmod(dir, 0755), 0);
	if (me == 0)
		assert_int_equal(seteuid(65534), 0);
	assert_int_equal(open_store(&o, "", path), 0);
	names_are(&o, "INBOX\nclosed r\nsecret r\n");
	first_subject(&o, "INBOX", "i");
	assert_int_equal(open_folder(&o, folder(&o, "secret")), -1);
	assert_int_equal(o.e.scope, ERR_MAILBOX);
	assert_non_null(strstr(folder(&o, "closed")->refused, "directory"));
	close_store(&o);
	assert_int_equal(open_store(&o, "", path_of("perm/secret")), -1);
	assert_int_equal(o.e.scope, ERR_ACCOUNT);
	close_store(&o);
	assert_int_equal(seteuid(me), 0);
}

/* Files that change. */

static void
test_token(void **state)
{
	struct buf token, other;
	struct opened o;
	struct msg_meta m;
	struct stat before, after;
	enum delta d;
	uint64_t n;
	char path[300];

	(void)state;
	buf_init(&token, 4096);
	buf_init(&other, 4096);
	snprintf(path, sizeof path, "%s", PUT("tok", MAIL("1") MAIL("2")));
	backdate(path);
	assert_int_equal(stat(path, &before), 0);
	assert_int_equal(open_store(&o, "", path), 0);
	assert_int_equal(source_folder_open(o.s, o.folders, NULL, 0, &d,
	    &o.e), 0);
	assert_int_equal(d, DELTA_FULL);
	next(&o, &m);
	next(&o, &m);
	no_more(&o);
	assert_int_equal(source_folder_token(o.s, &token, &o.e), 0);
	assert_true(token.len > 0);
	close_store(&o);
	assert_int_equal(stat(path, &after), 0);
	assert_int_equal(before.st_atim.tv_sec, after.st_atim.tv_sec);

	assert_int_equal(open_store(&o, "", path), 0);
	assert_int_equal(source_folder_open(o.s, o.folders, &token, 0, &d,
	    &o.e), 0);
	assert_int_equal(d, DELTA_UNCHANGED);
	assert_int_equal(source_folder_count(o.s, &n, &o.e), 0);
	assert_int_equal(n, 2);
	assert_int_equal(source_folder_token(o.s, &other, &o.e), 0);
	assert_string_equal(other.ptr, token.ptr);
	/* all the same, it can be read */
	next(&o, &m);
	content_is(&o, &m, "Subject: 1\n\ntext 1\n");
	close_store(&o);

	/* Read in another way, the messages may be others. */
	assert_int_equal(open_store(&o, "?metadata=keep", path), 0);
	assert_int_equal(source_folder_open(o.s, o.folders, &token, 0, &d,
	    &o.e), 0);
	assert_int_equal(d, DELTA_FULL);
	close_store(&o);

	put("tok", MAIL("3"), strlen(MAIL("3")), O_APPEND);
	assert_int_equal(open_store(&o, "", path), 0);
	assert_int_equal(source_folder_open(o.s, o.folders, &token, 0, &d,
	    &o.e), 0);
	assert_int_equal(d, DELTA_FULL);
	/* Changed a moment ago: a further change might not show. */
	assert_int_equal(source_folder_token(o.s, &other, &o.e), 0);
	close_store(&o);
	buf_release(&token);
	buf_release(&other);
}

static void
test_grows(void **state)
{
	struct opened o;
	struct msg_meta m, m2;
	uint64_t n;
	char path[300];

	(void)state;
	/* A whole message more: for the next pass. */
	snprintf(path, sizeof path, "%s", PUT("grow", MAIL("1") MAIL("2")));
	assert_int_equal(open_store(&o, "", path), 0);
	assert_int_equal(open_folder(&o, o.folders), 0);
	next(&o, &m);
	put("grow", MAIL("3"), strlen(MAIL("3")), O_APPEND);
	content_is(&o, &m, "Subject: 1\n\ntext 1\n");
	next(&o, &m2);
	content_is(&o, &m2, "Subject: 2\n\ntext 2\n");
	no_more(&o);
	assert_int_equal(source_folder_count(o.s, &n, &o.e), 0);
	assert_int_equal(n, 2);
	close_store(&o);

	/* The last message goes on: it is left out, and of the count too. */
	PUT("grow", MAIL("1") "From a@b " DATE "\nSubject: 2\n\nhalf");
	assert_int_equal(open_store(&o, "", path), 0);
	assert_int_equal(open_folder(&o, o.folders), 0);
	put("grow", " more\n\n", 7, O_APPEND);
	next(&o, &m);
	assert_int_equal(source_folder_count(o.s, &n, &o.e), 0);
	assert_int_equal(n, 1);
	no_more(&o);
	assert_int_equal(source_folder_count(o.s, &n, &o.e), 0);
	assert_int_equal(n, 1);
	assert_non_null(strstr(warned, "still being written"));
	close_store(&o);
}

static void
test_rewritten(void **state)
{
	struct opened o;
	struct msg_meta m;
	struct content *c;
	char path[300];

	(void)state;
	snprintf(path, sizeof path, "%s", PUT("rw", MAIL("1") MAIL("2")));
	for (int how = 0; how < 3; how++) {
		PUT("rw", MAIL("1") MAIL("2"));
		assert_int_equal(open_store(&o, "", path), 0);
		assert_int_equal(open_folder(&o, o.folders), 0);
		next(&o, &m);
		if (how == 0)		/* shorter */
			PUT("rw", MAIL("2"));
		else if (how == 1)	/* of one size */
			PUT("rw", MAIL("2") MAIL("1"));
		else			/* one removed, others added */
			PUT("rw", MAIL("2") MAIL("3") MAIL("4"));
		backdate(path);
		assert_int_equal(source_content(o.s, &m, &c, &o.e), -1);
		assert_int_equal(o.e.cause, CAUSE_CHANGED);
		assert_int_equal(source_next(o.s, &o.a, &m, &o.e), -1);
		assert_int_equal(o.e.cause, CAUSE_CHANGED);
		assert_true(o.e.retry);
		close_store(&o);
	}
	/* Replaced by another file. */
	PUT("rw", MAIL("1") MAIL("2"));
	assert_int_equal(open_store(&o, "", path), 0);
	assert_int_equal(open_folder(&o, o.folders), 0);
	next(&o, &m);
	PUT("rw2", MAIL("2"));
	assert_int_equal(rename(path_of("rw2"), path), 0);
	assert_int_equal(source_content(o.s, &m, &c, &o.e), -1);
	assert_int_equal(o.e.cause, CAUSE_CHANGED);
	close_store(&o);
}

/* A lock that another holds is waited for, a stale lock file is not. */
static void
test_locks(void **state)
{
	struct flock fl = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	struct timespec t0, t1;
	struct opened o;
	char path[300], lock[400];
	int fd;

	(void)state;
	snprintf(path, sizeof path, "%s", PUT("locked", MAIL("1")));
	fd = open(path, O_RDWR);
	assert_int_equal(fcntl(fd, F_OFD_SETLK, &fl), 0);
	if (fork() == 0) {
		usleep(300000);
		_exit(write(fd, MAIL("2"), 1) != 1);	/* ends the lock */
	}
	close(fd);
	clock_gettime(CLOCK_MONOTONIC, &t0);
	assert_int_equal(open_store(&o, "", path), 0);
	assert_int_equal(open_folder(&o, o.folders), 0);
	clock_gettime(CLOCK_MONOTONIC, &t1);
	assert_true(t1.tv_sec * 10 + t1.tv_nsec / 100000000 -
	    t0.tv_sec * 10 - t0.tv_nsec / 100000000 >= 2);
	assert_int_equal(strlen(warned), 0);
	close_store(&o);

	snprintf(lock, sizeof lock, "%s", PUT("locked.lock", "1"));
	backdate(lock);
	clock_gettime(CLOCK_MONOTONIC, &t0);
	assert_int_equal(open_store(&o, "", path), 0);
	assert_int_equal(open_folder(&o, o.folders), 0);
	clock_gettime(CLOCK_MONOTONIC, &t1);
	assert_true(t1.tv_sec - t0.tv_sec < 3);
	close_store(&o);
	assert_int_equal(unlink(lock), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_torture),
		cmocka_unit_test(test_doubts),
		cmocka_unit_test(test_uids),
		cmocka_unit_test(test_facts),
		cmocka_unit_test(test_metadata),
		cmocka_unit_test(test_unquote),
		cmocka_unit_test(test_options),
		cmocka_unit_test(test_far_back),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_damaged_mbx),
		cmocka_unit_test(test_tree),
		cmocka_unit_test(test_thunderbird),
		cmocka_unit_test(test_inbox),
		cmocka_unit_test(test_links),
		cmocka_unit_test(test_unreadable),
		cmocka_unit_test(test_token),
		cmocka_unit_test(test_grows),
		cmocka_unit_test(test_rewritten),
		cmocka_unit_test(test_locks),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
