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
	for (size_t i = 0; i < o->n; i++)
		if (strcmp(o->folders[i].name, name) == 0)
			return &o->folders[i];
	return NULL;
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
	static char path[512];

	snprintf(path, sizeof path, "%s/%s", dir, name);
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

#define MAILED	"Status: RO\nX-Status: F\nA: 1\nStatus: O\n x\nX-KEYWORDS: z\n" \
	"X-UID: 3\nContent-Length: 5\nX-IMAPbase: 1 2\nX-Mozilla-Status: " \
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
		n += (size_t)sprintf(p + n, "From a@b " DATE "\nStatus: R\n"
		    "A: %d\n\nx\n\n", i);
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
	char path[300];

	(void)state;
	assert_int_equal(open_store(&o, "", path_of("nowhere")), -1);
	assert_int_equal(o.e.scope, ERR_ACCOUNT);
	assert_int_equal(o.e.cause, CAUSE_MISSING);
	close_store(&o);

	snprintf(path, sizeof path, "%s", PUT("target", MAIL("1")));
	assert_int_equal(symlink(path, path_of("link")), 0);
	assert_int_equal(open_store(&o, "", path_of("link")), -1);
	assert_non_null(strstr(o.e.text, "symbolic link"));
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
	n = 2048 + (size_t)sprintf(p + 2048, " 4-Jan-2001 05:06:07 +0200,3;"
	    "000000000001-00000001\r\nabc 4-Jan-2001 05:06:07 +0200,99;"
	    "000000000001-00000002\r\nabc");
	snprintf(path, sizeof path, "%s", put("cut.mbx", p, n, O_TRUNC));
	assert_int_equal(open_store(&o, "", path), 0);
	assert_int_equal(open_folder(&o, o.folders), 0);
	next(&o, &m);
	content_is(&o, &m, "abc");
	assert_int_equal(source_next(o.s, &o.a, &m, &o.e), -1);
	assert_non_null(strstr(o.e.text, "offset 2103"));
	close_store(&o);
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
test_tree(void **state)
{
	struct opened o;
	struct account_info info;
	struct msg_meta m;
	struct folder_info *f;
	char path[300];

	(void)state;
	make_dir("tree");
	snprintf(path, sizeof path, "%s", path_of("tree"));
	PUT("tree/INBOX", MAIL("inbox"));
	PUT("tree/Entw&APw-rfe", MAIL("d"));
	PUT("tree/Entw\xc3\xbcrfe", MAIL("twin"));
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
	PUT("tree/INBOX.lock", "");
	make_dir("tree/md");
	make_dir("tree/md/cur");
	make_dir("tree/md/new");
	make_dir("tree/md/tmp");
	PUT("tree/md/cur/1:2,S", "Subject: x\n");
	assert_int_equal(mkfifo(path_of("tree/fifo"), 0600), 0);
	assert_int_equal(symlink("/etc/passwd", path_of("tree/link")), 0);
	assert_int_equal(symlink("..", path_of("tree/up")), 0);
	make_dir("tree/real.gz");
	assert_int_equal(system("gzip -nc " TORTURE "/crlf > "
	    "/dev/null 2>&1") != -1, 1);
	PUT("tree/.subscriptions", "V\t2\n\nINBOX\nwork\t2020\ta b\n"
	    "Entw&APw-rfe\ngone\n");
	PUT("tree/.mailboxlist", "empty\n{host}box\n#news.x\n");

	assert_int_equal(open_store(&o, "", path), 0);
	names_are(&o, "INBOX s\nEntw\xc3\xbcrfe s\nEntw\xc3\xbcrfe s\n"
	    "empty s\nnew\nline\nraw=FC\nwork -\nwork/2020 -\n"
	    "work/2020/a b s\n" + 0);
	close_store(&o);
	(void)info; (void)m; (void)f;
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
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
