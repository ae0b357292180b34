/*
 * The Maildir source on trees made here: live renames, tokens, counts, bad
 * paths, names of folders, the null target.  "test_maildir_source measure PATH"
 * times a listing of INBOX, "... read PATH" sends all of it to null:.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/uri.h"
#include "source.h"
#include "target.h"
#include "unit/lib/tree.h"

static void
maildir(const char *name)
{
	char sub[4096];

	if (name[0] != '\0')
		make_dir(name);
	snprintf(sub, sizeof sub, "%s/cur", name);
	make_dir(sub);
	snprintf(sub, sizeof sub, "%s/new", name);
	make_dir(sub);
}

static void
move(const char *from, const char *to)
{
	assert_int_equal(rename(at(from), at(to)), 0);
}

/* Directories that changed just now cannot be trusted: make them old. */
static void
age(const char *name)
{
	struct timespec ts[2] = { { 1000000000, 0 }, { 1000000000, 0 } };

	assert_int_equal(utimensat(AT_FDCWD, at(name), ts, 0), 0);
}

/* A source on top/name with its folders. */
struct fixture {
	struct store_conf	 conf;
	struct source		*s;
	struct arena		 tree, batch;
	struct folder_info	*folders;
	size_t			 nfolders;
	struct err		 e;
};

static int
try_open(struct fixture *f, const char *name, const char *options)
{
	char text[4096];

	memset(f, 0, sizeof *f);
	f->conf.warn = tree_warn;
	f->conf.cancel_fd = -1;
	arena_init(&f->tree);
	arena_init(&f->batch);
	snprintf(text, sizeof text, "maildir:%s%s%s%s", tree_top,
	    name[0] != '\0' ? "/" : "", name, options);
	assert_int_equal(uri_parse(&f->conf.uri, text, &f->e), 0);
	return source_open(&f->s, &f->conf, &f->e);
}

static void
shut(struct fixture *f)
{
	source_close(&f->s);
	uri_free(&f->conf.uri);
	arena_release(&f->tree);
	arena_release(&f->batch);
}

static void
open_at(struct fixture *f, const char *name, const char *options)
{
	buf_reset(&tree_warnings);
	if (try_open(f, name, options) == -1 ||
	    source_list(f->s, &f->tree, &f->folders, &f->nfolders, &f->e) ==
	    -1)
		fail_msg("%s", f->e.text);
}

static struct folder_info *
folder(struct fixture *f, const char *name)
{
	size_t i;

	for (i = 0; i < f->nfolders; i++)
		if (strcmp(f->folders[i].name, name) == 0)
			return &f->folders[i];
	fail_msg("no folder %s", name);
	return NULL;
}

static enum delta
enter(struct fixture *f, const char *name, const struct buf *token)
{
	enum delta d;

	if (source_folder_open(f->s, folder(f, name), token, 0, &d, &f->e) ==
	    -1)
		fail_msg("%s", f->e.text);
	return d;
}

/* All names, in the order given. */
static void
expect_folders(struct fixture *f, const char *const *names)
{
	size_t i;

	for (i = 0; names[i] != NULL && i < f->nfolders; i++)
		assert_string_equal(f->folders[i].name, names[i]);
	assert_int_equal(i, f->nfolders);
	assert_null(names[i]);
}

/* Content as text; NULL: vanished.  Failures fail. */
static const char *
text_of(struct fixture *f, const struct msg_meta *m)
{
	static char text[10000];
	struct content *c;
	ssize_t n = 0;
	size_t len = 0;
	int rc;

	rc = source_content(f->s, m, &c, &f->e);
	if (rc == -1)
		fail_msg("%s", f->e.text);
	if (rc == 0)
		return NULL;
	while ((n = content_read(c, text + len, sizeof text - 1 - len,
	    &f->e)) > 0)
		len += (size_t)n;
	assert_int_equal(n, 0);
	text[len] = '\0';
	content_close(&c);
	return text;
}

static void
next(struct fixture *f, struct msg_meta *m)
{
	if (source_next(f->s, &f->batch, m, &f->e) != 1)
		fail_msg("no further message");
}

static void
at_end(struct fixture *f, uint64_t messages)
{
	struct msg_meta m;
	uint64_t n;

	assert_int_equal(source_next(f->s, &f->batch, &m, &f->e), 0);
	assert_int_equal(source_next(f->s, &f->batch, &m, &f->e), 0);
	assert_int_equal(source_folder_count(f->s, &n, &f->e), 0);
	assert_int_equal(n, messages);
}

static bool
warned(const char *text)
{
	return strstr(tree_warnings.ptr, text) != NULL;
}

static void
test_bad_paths(void **state)
{
	struct fixture f;

	(void)state;
	make_dir("home");
	assert_int_equal(try_open(&f, "home", ""), -1);
	assert_int_equal(f.e.scope, ERR_ACCOUNT);
	assert_int_equal(f.e.cause, CAUSE_MISSING);
	assert_non_null(strstr(f.e.text, "no cur/ and new/"));
	shut(&f);
	maildir("home/Maildir");
	assert_int_equal(try_open(&f, "home", ""), -1);
	assert_int_equal(f.e.cause, CAUSE_MISSING);
	assert_non_null(strstr(f.e.text, "a Maildir lies in "));
	assert_non_null(strstr(f.e.text, "home/Maildir"));
	shut(&f);
	assert_int_equal(try_open(&f, "nowhere", ""), -1);
	assert_int_equal(f.e.scope, ERR_ACCOUNT);
	assert_int_equal(f.e.cause, CAUSE_MISSING);
	shut(&f);
	put("file", "x");
	assert_int_equal(try_open(&f, "file", ""), -1);
	assert_int_equal(f.e.scope, ERR_ACCOUNT);
	shut(&f);
	assert_int_equal(try_open(&f, "home/Maildir", "?layout=odd"), -1);
	assert_non_null(strstr(f.e.text, "auto, maildir++, fs"));
	assert_int_equal(source_check(f.conf.uri, &f.e), -1);
	assert_int_equal(f.e.scope, ERR_RUN);
	shut(&f);
	assert_int_equal(try_open(&f, "home/Maildir", "?color=red"), -1);
	shut(&f);
}

/* Links on the path: whose they are, and whose is what they lead to. */
static void
test_links(void **state)
{
	enum { ALICE = 12001, BOB = 12002 };
	struct fixture f;

	(void)state;
	make_dir("alice");
	make_dir("bob");
	maildir("bob/Maildir");
	assert_int_equal(symlink("../bob", at("alice/b")), 0);
	assert_int_equal(symlink("b/Maildir", at("alice/Maildir")), 0);
	open_at(&f, "alice/Maildir", "");
	assert_int_equal(enter(&f, "INBOX", NULL), DELTA_FULL);
	shut(&f);
	if (geteuid() != 0) {
		print_message("not root: links of other users not tested\n");
		return;
	}
	assert_int_equal(chown(at("bob/Maildir"), BOB, -1), 0);
	assert_int_equal(lchown(at("alice/b"), ALICE, -1), 0);
	assert_int_equal(try_open(&f, "alice/Maildir", ""), -1);
	assert_int_equal(f.e.scope, ERR_ACCOUNT);
	assert_int_equal(f.e.cause, CAUSE_OTHER);
	assert_non_null(strstr(f.e.text, "does not own"));
	shut(&f);
	assert_int_equal(try_open(&f, "alice/b/Maildir/", ""), -1);
	shut(&f);
	assert_int_equal(chown(at("bob/Maildir"), ALICE, -1), 0);
	open_at(&f, "alice/Maildir", "");
	shut(&f);
}

static void
test_empty(void **state)
{
	static const char *const names[] = { "INBOX", NULL };
	struct account_info info;
	struct fixture f;

	(void)state;
	maildir("");
	open_at(&f, "", "");
	expect_folders(&f, names);
	assert_int_equal(source_account_facts(f.s, &f.tree, &info, &f.e), 0);
	assert_false(info.has_subscriptions);
	assert_true(info.quota_bytes == UNKNOWN64);
	assert_int_equal(enter(&f, "INBOX", NULL), DELTA_FULL);
	at_end(&f, 0);
	shut(&f);
}

/* What a live server does between our listing and our reading. */
static void
test_renamed(void **state)
{
	struct msg_meta m[7];
	struct fixture f;
	int i;

	(void)state;
	maildir("");
	put("new/1.a.h", "one");
	put("cur/2.b.h:2,S", "two");
	put("cur/3.c.h:2,", "three");
	put("cur/4.d.h:2,ab", "four");
	put("cur/5.e.h:2,S", "five");
	put("cur/6.f.h", "six");
	put("cur/7.g.h,S=5:2,S", "seven");
	open_at(&f, "", "");
	enter(&f, "INBOX", NULL);
	for (i = 0; i < 7; i++)
		next(&f, &m[i]);
	at_end(&f, 7);
	move("new/1.a.h", "cur/1.a.h:2,S");		/* was read */
	move("cur/2.b.h:2,S", "cur/2.b.h:2,FST");	/* new flags */
	move("cur/3.c.h:2,", "cur/3.c.h:2,c");		/* a keyword */
	move("cur/4.d.h:2,ab", "cur/4.d.h:2,Sab");
	assert_int_equal(unlink(at("cur/5.e.h:2,S")), 0);
	move("cur/6.f.h", "new/6.f.h");
	/* Replaced by a file of the same name, as a compressing job does. */
	assert_int_equal(unlink(at("cur/7.g.h,S=5:2,S")), 0);
	put("cur/other", "seven");
	move("cur/other", "cur/7.g.h,S=5:2,RS");
	assert_string_equal(text_of(&f, &m[0]), "one");
	assert_string_equal(text_of(&f, &m[1]), "two");
	assert_string_equal(text_of(&f, &m[2]), "three");
	assert_string_equal(text_of(&f, &m[3]), "four");
	assert_null(text_of(&f, &m[4]));
	assert_string_equal(text_of(&f, &m[5]), "six");
	assert_string_equal(text_of(&f, &m[6]), "seven");
	shut(&f);
}

/* Of two messages of one name each keeps its own bytes. */
static void
test_renamed_twins(void **state)
{
	struct msg_meta m[2];
	struct fixture f;

	(void)state;
	maildir("");
	put("cur/1.a.h:2,S", "first");
	put("new/1.a.h", "other");
	put("dovecot-uidlist", "3 V5 N9\n8 :1.a.h\n");
	open_at(&f, "", "");
	enter(&f, "INBOX", NULL);
	next(&f, &m[0]);
	next(&f, &m[1]);
	at_end(&f, 2);
	assert_string_equal(m[0].key, "1.a.h");
	assert_int_equal(m[0].uid, 8);
	assert_int_equal(strncmp(m[1].key, "1.a.h#", 6), 0);
	assert_int_equal(strlen(m[1].key), 6 + 16);
	assert_int_equal(m[1].uid, 0);
	move("cur/1.a.h:2,S", "cur/1.a.h:2,FS");
	move("new/1.a.h", "cur/1.a.h:2,S");
	assert_string_equal(text_of(&f, &m[1]), "other");
	/* Its name is the other's now: the base name has two files. */
	assert_int_equal(unlink(at("cur/1.a.h:2,S")), 0);
	assert_null(text_of(&f, &m[1]));
	assert_string_equal(text_of(&f, &m[0]), "first");
	shut(&f);
}

static void
test_unreadable(void **state)
{
	struct content *c;
	struct msg_meta m;
	struct fixture f;

	(void)state;
	/* Root can read everything: be somebody else, in a place of his. */
	if (geteuid() == 0) {
		tree_teardown(NULL);
		assert_int_equal(seteuid(65534), 0);
		snprintf(tree_top, sizeof tree_top, "/tmp/test-maildir.XXXXXX");
		assert_non_null(mkdtemp(tree_top));
		buf_init(&tree_warnings, 1 << 20);
	}
	maildir("");
	put("cur/1.a.h:2,S", "first");
	put("cur/2.b.h:2,S", "second");
	put("dovecot-keywords", "0 x\n");
	maildir(".closed");
	maildir(".half");
	assert_int_equal(chmod(at("cur/1.a.h:2,S"), 0), 0);
	assert_int_equal(chmod(at("dovecot-keywords"), 0), 0);
	assert_int_equal(chmod(at(".closed"), 0), 0);
	assert_int_equal(chmod(at(".half/new"), 0), 0);
	open_at(&f, "", "");
	assert_int_equal(f.nfolders, 3);
	assert_non_null(folder(&f, "closed")->refused);
	assert_non_null(folder(&f, "half")->refused);
	enter(&f, "INBOX", NULL);
	assert_true(warned("dovecot-keywords|cannot be read"));
	next(&f, &m);
	assert_int_equal(source_content(f.s, &m, &c, &f.e), -1);
	assert_int_equal(f.e.scope, ERR_MESSAGE);
	next(&f, &m);
	assert_string_equal(text_of(&f, &m), "second");
	at_end(&f, 2);
	/* A directory that may be listed but not entered. */
	source_folder_close(f.s);
	assert_int_equal(chmod(at("cur"), 0400), 0);
	enter(&f, "INBOX", NULL);
	next(&f, &m);
	assert_int_equal(source_content(f.s, &m, &c, &f.e), -1);
	assert_int_equal(f.e.scope, ERR_MESSAGE);
	next(&f, &m);
	at_end(&f, 2);
	source_folder_close(f.s);
	assert_int_equal(chmod(at("cur"), 0700), 0);
	assert_int_equal(chmod(at(".closed"), 0700), 0);
	assert_int_equal(chmod(at(".half/new"), 0700), 0);
	shut(&f);
}

static int
back_to_root(void **state)
{
	int rc = tree_teardown(state);

	if (getuid() == 0 && seteuid(0) == -1)
		rc = -1;
	return rc;
}

static void
test_token(void **state)
{
	struct fixture f;
	struct buf t1, t2;
	struct msg_meta m;
	uint64_t n;

	(void)state;
	buf_init(&t1, 1 << 16);
	buf_init(&t2, 1 << 16);
	maildir("");
	put("cur/1.a.h:2,S", "first");
	put("new/2.b.h", "second");
	put("dovecot-uidlist", "3 V77 N9\n8 :1.a.h\n");
	open_at(&f, "", "");
	assert_int_equal(enter(&f, "INBOX", NULL), DELTA_FULL);
	next(&f, &m);
	next(&f, &m);
	at_end(&f, 2);
	assert_int_equal(source_folder_token(f.s, &t1, &f.e), 0);
	source_folder_close(f.s);
	/* Just now: only a listing can tell, and it does. */
	assert_int_equal(enter(&f, "INBOX", &t1), DELTA_UNCHANGED);
	source_folder_close(f.s);
	/* Old enough (ctime cannot be set: pretend the token is not racy and
	 * wait until the clock is past it). */
	age("cur");
	age("new");
	age("dovecot-uidlist");
	sleep(3);
	assert_int_equal(enter(&f, "INBOX", NULL), DELTA_FULL);
	assert_int_equal(source_folder_token(f.s, &t1, &f.e), 0);
	source_folder_close(f.s);
	folder(&f, "INBOX")->uidvalidity = 0;
	assert_int_equal(enter(&f, "INBOX", &t1), DELTA_UNCHANGED);
	assert_int_equal(folder(&f, "INBOX")->messages, 2);
	assert_int_equal(folder(&f, "INBOX")->uidvalidity, 77);
	assert_int_equal(folder(&f, "INBOX")->uidnext, 9);
	assert_int_equal(source_folder_count(f.s, &n, &f.e), 0);
	assert_int_equal(n, 2);
	assert_int_equal(source_folder_token(f.s, &t2, &f.e), 0);
	assert_string_equal(t1.ptr, t2.ptr);
	/* Whoever asks all the same gets the messages. */
	next(&f, &m);
	assert_string_equal(m.key, "1.a.h");
	source_folder_close(f.s);
	/* A flag, a UID, a keyword's name, a delivery: all are changes. */
	move("cur/1.a.h:2,S", "cur/1.a.h:2,FS");
	assert_int_equal(enter(&f, "INBOX", &t1), DELTA_FULL);
	source_folder_close(f.s);
	move("cur/1.a.h:2,FS", "cur/1.a.h:2,S");
	assert_int_equal(enter(&f, "INBOX", &t1), DELTA_UNCHANGED);
	source_folder_close(f.s);
	put("dovecot-uidlist", "3 V77 N10\n8 :1.a.h\n9 :2.b.h\n");
	assert_int_equal(enter(&f, "INBOX", &t1), DELTA_FULL);
	source_folder_close(f.s);
	put("dovecot-uidlist", "3 V77 N9\n8 :1.a.h\n");
	assert_int_equal(enter(&f, "INBOX", &t1), DELTA_UNCHANGED);
	source_folder_close(f.s);
	put("dovecot-keywords", "0 hello\n");
	assert_int_equal(enter(&f, "INBOX", &t1), DELTA_FULL);
	source_folder_close(f.s);
	/* Tokens of others. */
	buf_reset(&t2);
	assert_int_equal(enter(&f, "INBOX", &t2), DELTA_FULL);
	source_folder_close(f.s);
	buf_adds(&t2, "maildir1 0 99999999999999999999999 1 1 \n");
	assert_int_equal(enter(&f, "INBOX", &t2), DELTA_FULL);
	shut(&f);
	buf_release(&t1);
	buf_release(&t2);
}

static void
test_uids(void **state)
{
	struct msg_meta m;
	struct fixture f;
	enum delta d;

	(void)state;
	maildir("");
	put("cur/9.a.h:2,S", "a");
	put("cur/1.b.h:2,S", "b");
	put("cur/5.c.h:2,S", "c");
	put("cur/4.d.h:2,S", "d");
	put("dovecot-uidlist", "3 V7 N3\n10 :9.a.h\n4294967294 :1.b.h\n");
	put("courierimapuiddb", "1 8 30\n20 5.c.h\n");
	open_at(&f, "", "");
	assert_int_equal(folder(&f, "INBOX")->uidvalidity, 7);
	enter(&f, "INBOX", NULL);
	assert_true(folder(&f, "INBOX")->uidnext == 4294967295U);
	next(&f, &m);
	assert_int_equal(m.uid, 10);
	next(&f, &m);
	assert_true(m.uid == 4294967294U);
	next(&f, &m);
	assert_string_equal(m.key, "4.d.h");
	next(&f, &m);
	assert_string_equal(m.key, "5.c.h");
	at_end(&f, 4);
	source_folder_close(f.s);
	/* Only what is new: those without a UID always. */
	assert_int_equal(source_folder_open(f.s, folder(&f, "INBOX"), NULL,
	    11, &d, &f.e), 0);
	next(&f, &m);
	assert_true(m.uid == 4294967294U);
	next(&f, &m);
	next(&f, &m);
	at_end(&f, 4);
	source_folder_close(f.s);
	/* A broken list gives no UID at all. */
	put("dovecot-uidlist", "3 V7 N3\n10 :9.a.h\n10 :1.b.h\n");
	enter(&f, "INBOX", NULL);
	assert_int_equal(folder(&f, "INBOX")->uidvalidity, 0);
	assert_true(warned("dovecot-uidlist|line 3: UIDs do not ascend"));
	next(&f, &m);
	assert_int_equal(m.uid, 0);
	assert_string_equal(m.key, "1.b.h");
	shut(&f);
}

static void
test_folder_names(void **state)
{
	static const char *const mutf7[] = {
		"INBOX", "INBOX/sub", "A&B", "Entw\303\274rfe", "x&y",
		"\303\234ber", NULL
	};
	static const char *const utf8[] = {
		"INBOX", "INBOX/sub", "A&-B", "Entw&APw-rfe", "x&y",
		"\303\234ber", NULL
	};
	static const char *const escaped[] = {
		"INBOX", "a.b", "a.b/~c", "d\\e", "plain\\zz", NULL
	};
	static const char *const literal[] = {
		"INBOX", "a\\2eb", "a\\2eb/\\7ec", "d\\5ce", "plain\\zz", NULL
	};
	struct fixture f;

	(void)state;
	/* One proper shift outweighs names that are none. */
	make_dir("mixed");
	maildir("mixed/");
	maildir("mixed/.A&-B");
	maildir("mixed/.Entw&APw-rfe");
	maildir("mixed/.x&y");
	maildir("mixed/.\303\234ber");
	maildir("mixed/.Inbox.sub");
	open_at(&f, "mixed", "");
	expect_folders(&f, mutf7);
	assert_true(warned("-|.x&y|an odd folder name"));
	assert_true(warned("-|.\303\234ber|an odd folder name"));
	shut(&f);
	open_at(&f, "mixed", "?names=utf-8");
	expect_folders(&f, utf8);
	shut(&f);
	/* Courier's hierarchy files speak louder. */
	make_dir("mixed/courierimaphieracl");
	put("mixed/courierimaphieracl/.x&-y", "");
	open_at(&f, "mixed", "");
	expect_folders(&f, utf8);
	shut(&f);

	make_dir("escaped");
	maildir("escaped/");
	maildir("escaped/.a\\2eb");
	maildir("escaped/.a\\2eb.\\7ec");
	maildir("escaped/.d\\5ce");
	maildir("escaped/.plain\\zz");
	put("escaped/subscriptions", "a\\2eb\na\\2eb.\\7ec\n");
	open_at(&f, "escaped", "");
	expect_folders(&f, escaped);
	assert_true(folder(&f, "a.b")->subscribed);
	assert_true(folder(&f, "a.b/~c")->subscribed);
	assert_int_equal(folder(&f, "a.b")->npath, 1);
	shut(&f);
	open_at(&f, "escaped", "?listescape=no");
	expect_folders(&f, literal);
	shut(&f);
}

static void
test_layouts(void **state)
{
	static const char *const fs[] = { "INBOX", "A", "A/B/C", NULL };
	static const char *const plusplus[] = { "INBOX", "X", NULL };
	static const char *const no_inbox[] = { "A", NULL };
	struct fixture f;

	(void)state;
	make_dir("fs");
	maildir("fs/");
	maildir("fs/A");
	make_dir("fs/A/B");
	maildir("fs/A/B/C");
	make_dir("fs/.imap");
	make_dir("fs/tmp");
	maildir("fs/tmp/x");
	open_at(&f, "fs", "");
	expect_folders(&f, fs);
	assert_int_equal(folder(&f, "A/B/C")->npath, 3);
	enter(&f, "A/B/C", NULL);
	at_end(&f, 0);
	shut(&f);
	/* Both kinds: Maildir++, and the others are told. */
	maildir("fs/.X");
	open_at(&f, "fs", "");
	expect_folders(&f, plusplus);
	assert_true(warned("-|A|a Maildir, but no folder"));
	shut(&f);
	open_at(&f, "fs", "?layout=fs");
	expect_folders(&f, fs);
	shut(&f);

	/* A level that is not searched is not forgotten. */
	{
		char deep[300] = "deep";

		maildir("deep");
		for (int i = 0; i < 55; i++) {
			strcat(deep, "/d");
			make_dir(deep);
		}
		maildir(deep);
		open_at(&f, "deep", "?layout=fs");
		assert_int_equal(f.nfolders, 2);
		assert_int_equal(f.folders[1].npath, 50);
		assert_non_null(strstr(f.folders[1].refused, "deep"));
		shut(&f);
	}

	make_dir("noinbox");
	maildir("noinbox/A");
	open_at(&f, "noinbox", "?layout=fs");
	expect_folders(&f, no_inbox);
	assert_true(warned("no INBOX"));
	shut(&f);

	/* A link out of the tree, a link within, a level of dots. */
	make_dir("links");
	maildir("links/");
	assert_int_equal(symlink("../fs", at("links/.out")), 0);
	assert_int_equal(symlink("/", at("links/.root")), 0);
	maildir("links/...");
	open_at(&f, "links", "");
	assert_int_equal(f.nfolders, 3);
	assert_non_null(folder(&f, "out")->refused);
	assert_null(folder(&f, "..")->refused);
	shut(&f);
	/* A copy without its empty directories, and no Maildir at all. */
	make_dir("marked");
	maildir("marked/");
	make_dir("marked/.empty");
	put("marked/.empty/maildirfolder", "");
	make_dir("marked/.ssh");
	open_at(&f, "marked", "");
	assert_int_equal(f.nfolders, 2);
	enter(&f, "empty", NULL);
	at_end(&f, 0);
	assert_true(warned("-|.ssh|no Maildir"));
	shut(&f);
	/* new/ is a link. */
	make_dir("half");
	make_dir("half/cur");
	assert_int_equal(symlink("../fs/new", at("half/new")), 0);
	open_at(&f, "half", "");
	assert_non_null(folder(&f, "INBOX")->refused);
	shut(&f);
}

static void
test_subscriptions(void **state)
{
	struct account_info info;
	struct fixture f;

	(void)state;
	maildir("");
	maildir(".a");
	maildir(".a.b");
	put("subscriptions", "INBOX.a.b\na\nGone.x\na\n\n");
	put("maildirsize", "500C,1000000S\n  5 1\n");
	open_at(&f, "", "");
	assert_true(folder(&f, "a")->subscribed);
	assert_true(folder(&f, "a/b")->subscribed);
	assert_false(folder(&f, "INBOX")->subscribed);
	assert_int_equal(source_account_facts(f.s, &f.tree, &info, &f.e), 0);
	assert_true(info.has_subscriptions);
	assert_int_equal(info.quota_bytes, 1000000);
	assert_int_equal(info.nsubscriptions, 3);
	assert_string_equal(info.subscriptions[0], "a/b");
	assert_string_equal(info.subscriptions[1], "a");
	assert_string_equal(info.subscriptions[2], "Gone/x");
	shut(&f);
}

/* A hundred fifos are told once each up to a limit, then counted. */
static void
test_many_oddities(void **state)
{
	struct fixture f;
	char name[100];
	int i;

	(void)state;
	maildir("");
	for (i = 0; i < 100; i++) {
		snprintf(name, sizeof name, "cur/%d.fifo", i);
		assert_int_equal(mkfifo(at(name), 0600), 0);
	}
	open_at(&f, "", "");
	enter(&f, "INBOX", NULL);
	at_end(&f, 0);
	shut(&f);
	assert_true(warned("and 80 more things that are no files"));
}

/* What a busy server does: renames in cur/, moves from new/ to cur/. */
static void
churn(const char *from, unsigned nfiles, unsigned long seed)
{
	static const char *const infos[] = {
		":2,", ":2,S", ":2,FS", ":2,RS", ":2,Sa"
	};
	unsigned char state[1000];
	char a[200], b[200];
	unsigned i, k;

	memset(state, 0, sizeof state);
	for (;;) {
		seed = seed * 6364136223846793005UL + 1442695040888963407UL;
		i = (unsigned)(seed >> 33) % nfiles;
		k = (unsigned)(seed >> 50) % 5;
		snprintf(a, sizeof a, "%s/cur/%u.x%s", from, i,
		    infos[state[i]]);
		if (state[i] == 5)
			snprintf(a, sizeof a, "%s/new/%u.x", from, i);
		snprintf(b, sizeof b, "%s/cur/%u.x%s", from, i, infos[k]);
		if (strcmp(a, b) != 0)
			(void)rename(a, b);
		state[i] = (unsigned char)k;
	}
}

static void
test_live(void **state)
{
	const unsigned nfiles = 500;
	struct folder_info *inbox;
	char name[100], text[20];
	unsigned char *had;
	struct msg_meta m;
	struct fixture f;
	unsigned i, round;
	uint64_t n, count;
	const char *got;
	pid_t child;

	(void)state;
	maildir("");
	for (i = 0; i < nfiles; i++) {
		snprintf(name, sizeof name, "cur/%u.x:2,", i);
		snprintf(text, sizeof text, "%u", i);
		put(name, text);
	}
	child = fork();
	assert_true(child != -1);
	if (child == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		churn(tree_top, nfiles, 1);
	}
	had = malloc(nfiles);
	open_at(&f, "", "");
	inbox = folder(&f, "INBOX");
	for (round = 0; round < 10; round++) {
		memset(had, 0, nfiles);
		enter(&f, "INBOX", NULL);
		for (n = 0; source_next(f.s, &f.batch, &m, &f.e) == 1; n++) {
			i = (unsigned)strtoul(m.key, NULL, 10);
			assert_true(i < nfiles);
			assert_int_equal(had[i]++, 0);
			/* It may be renamed between any two looks of ours:
			 * once more then. */
			got = text_of(&f, &m);
			for (int again = 0; got == NULL && again < 20; again++)
				got = text_of(&f, &m);
			assert_non_null(got);
			snprintf(text, sizeof text, "%u", i);
			assert_string_equal(got, text);
			arena_reset(&f.batch);
		}
		assert_int_equal(source_folder_count(f.s, &count, &f.e), 0);
		assert_int_equal(count, n);
		assert_int_equal(inbox->messages, n);
		if (n != nfiles)
			fail_msg("%u of %u in round %u", (unsigned)n, nfiles,
			    round);
		source_folder_close(f.s);
	}
	assert_int_equal(kill(child, SIGKILL), 0);
	assert_int_equal(waitpid(child, NULL, 0), child);
	free(had);
	shut(&f);
}

/* A thousand files of one base name: all come out, each key once. */
static void
test_one_name(void **state)
{
	char name[100], last[300] = "";
	struct msg_meta m;
	struct fixture f;
	int i;

	(void)state;
	maildir("");
	for (i = 0; i < 1000; i++) {
		char text[20];

		snprintf(name, sizeof name, "cur/1.x:2,S,%d", i);
		snprintf(text, sizeof text, "%d", i / 2);
		put(name, text);
	}
	open_at(&f, "", "");
	enter(&f, "INBOX", NULL);
	for (i = 0; source_next(f.s, &f.batch, &m, &f.e) == 1; i++) {
		assert_string_not_equal(m.key, last);
		snprintf(last, sizeof last, "%s", m.key);
		assert_non_null(text_of(&f, &m));
	}
	assert_true(i >= 500 && i <= 1000);
	at_end(&f, (uint64_t)i);
	shut(&f);
}

/* Reading leaves no trace: no access time, no file. */
static void
test_no_trace(void **state)
{
	struct timespec ts[2] = { { 100, 5 }, { 2000, 5 } };
	struct msg_meta m;
	struct fixture f;
	struct stat st;

	(void)state;
	maildir("");
	put("cur/1.a.h:2,S", "first");
	assert_int_equal(utimensat(AT_FDCWD, at("cur/1.a.h:2,S"), ts, 0), 0);
	open_at(&f, "", "");
	enter(&f, "INBOX", NULL);
	next(&f, &m);
	assert_int_equal(m.date, 2000);
	assert_int_equal(m.date_origin, DATE_MTIME);
	assert_string_equal(text_of(&f, &m), "first");
	shut(&f);
	assert_int_equal(stat(at("cur/1.a.h:2,S"), &st), 0);
	assert_int_equal(st.st_atim.tv_sec, 100);
	assert_int_equal(rmdir(at("new")), 0);
}

/* All of a mailbox to null:, as the engine does it. */
static uint64_t
send_all(struct fixture *f, const char *name, bool content)
{
	struct store_conf conf = { .warn = tree_warn, .cancel_fd = -1 };
	struct store_item *items;
	struct store_batch b, *back;
	struct msg_meta *metas;
	const struct msg_meta **list;
	struct folder_state st;
	struct target_caps caps;
	struct target *t;
	uint64_t total = 0;
	size_t i, n;
	int rc = 1;

	assert_int_equal(uri_parse(&conf.uri, "null:", &f->e), 0);
	assert_int_equal(target_open(&t, &conf, &f->e), 0);
	assert_int_equal(target_account_ensure(t, false, &f->e), 1);
	assert_int_equal(target_folder_open(t, name, &st, &f->e), 1);
	assert_int_equal(st.uidvalidity, 1);
	target_caps(t, &caps);
	items = calloc(caps.batch_messages, sizeof *items);
	metas = calloc(caps.batch_messages, sizeof *metas);
	list = calloc(caps.batch_messages, sizeof *list);
	while (rc == 1) {
		arena_reset(&f->batch);
		memset(items, 0, caps.batch_messages * sizeof *items);
		for (n = 0; n < caps.batch_messages && (rc = source_next(f->s,
		    &f->batch, &metas[n], &f->e)) == 1; n++) {
			list[n] = &metas[n];
			items[n].meta = &metas[n];
		}
		assert_int_not_equal(rc, -1);
		if (n == 0)
			break;
		if (content)
			assert_int_equal(source_want(f->s, list, n, &f->e), 0);
		for (i = 0; i < n; i++)
			if (!content)
				items[i].bytes = "";
			else if (source_content(f->s, &metas[i],
			    &items[i].content, &f->e) != 1)
				fail_msg("%s", f->e.text);
		memset(&b, 0, sizeof b);
		b.items = items;
		b.n = n;
		assert_int_equal(target_submit(t, &b, &f->e), 0);
		assert_int_equal(target_reap(t, true, &back, &f->e), 1);
		assert_ptr_equal(back, &b);
		for (i = 0; i < n; i++) {
			assert_int_equal(items[i].result, STORE_DONE);
			assert_int_equal(items[i].uid, ++total);
			content_close(&items[i].content);
		}
	}
	target_folder_close(t);
	target_close(&t);
	uri_free(&conf.uri);
	free(items);
	free(metas);
	free(list);
	return total;
}

static void
test_null(void **state)
{
	static const char *const path[] = { "a", "b.c" };
	struct store_conf conf = { .warn = tree_warn, .cancel_fd = -1 };
	const char *name;
	char file[100];
	struct fixture f;
	struct target *t;
	bool encoded;
	int i;

	(void)state;
	maildir("");
	for (i = 0; i < 1203; i++) {
		snprintf(file, sizeof file, "cur/%d.x:2,S", i);
		put(file, "x");
	}
	open_at(&f, "", "");
	enter(&f, "INBOX", NULL);
	assert_int_equal(send_all(&f, "INBOX", true), 1203);
	at_end(&f, 1203);
	assert_int_equal(uri_parse(&conf.uri, "null:", &f.e), 0);
	assert_int_equal(target_open(&t, &conf, &f.e), 0);
	assert_int_equal(target_name(t, &f.tree, path, 2, &name, &encoded,
	    &f.e), 0);
	assert_string_equal(name, "a/b.c");
	target_close(&t);
	uri_free(&conf.uri);
	shut(&f);
}

static double
now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static int
measure(const char *path, bool content)
{
	struct fixture f;
	double t0 = now(), t1;
	char line[200];
	uint64_t n;
	FILE *p;

	snprintf(tree_top, sizeof tree_top, "%s", path);
	buf_init(&tree_warnings, 1 << 20);
	open_at(&f, "", "");
	enter(&f, "INBOX", NULL);
	t1 = now();
	n = send_all(&f, "INBOX", content);
	printf("%" PRIu64 " messages: listing %.2f s, all %.2f s\n", n,
	    t1 - t0, now() - t0);
	shut(&f);
	if ((p = fopen("/proc/self/status", "r")) != NULL) {
		while (fgets(line, sizeof line, p) != NULL)
			if (strncmp(line, "VmHWM", 5) == 0)
				fputs(line, stdout);
		fclose(p);
	}
	return 0;
}

#define TEST(name) \
	cmocka_unit_test_setup_teardown(name, tree_setup, tree_teardown)

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		TEST(test_bad_paths), TEST(test_links),
		TEST(test_empty),
		TEST(test_renamed),
		TEST(test_renamed_twins),
		cmocka_unit_test_setup_teardown(test_unreadable, tree_setup,
		    back_to_root),
		TEST(test_token),
		TEST(test_uids),
		TEST(test_folder_names),
		TEST(test_layouts),
		TEST(test_subscriptions),
		TEST(test_many_oddities),
		TEST(test_live),
		TEST(test_one_name),
		TEST(test_no_trace),
		TEST(test_null),
	};

	if (argc == 3)
		return measure(argv[2], strcmp(argv[1], "read") == 0);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
