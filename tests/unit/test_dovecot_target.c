/*
 * The Dovecot target by its interface, on a directory: batches, UIDs, letters,
 * flags, expunges, mailboxes.  What Dovecot makes of such trees is tested with
 * a Dovecot (tests/e2e).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "target.h"

static char top[64];
static struct target *t;
static struct uri *uri;
static char warned[2000];
static unsigned timeout_s;

static void
on_warn(void *ctx, const char *mailbox, const char *where, const char *text)
{
	(void)ctx;
	snprintf(warned + strlen(warned), sizeof warned - strlen(warned),
	    "%s|%s|%s\n", mailbox ? mailbox : "", where ? where : "", text);
}

static void
open_with(const char *options)
{
	struct store_conf conf = { .warn = on_warn, .cancel_fd = -1,
	    .timeout_s = timeout_s };
	char text[200];
	struct err e;

	snprintf(text, sizeof text, "dovecot:%s/Maildir?owner=%lu:%lu%s", top,
	    (unsigned long)geteuid(), (unsigned long)getegid(), options);
	if (uri_parse(&uri, text, &e) == -1)
		fail_msg("%s", e.text);
	conf.uri = uri;
	if (target_open(&t, &conf, &e) == -1)
		fail_msg("%s", e.text);
}

static int
setup(void **state)
{
	(void)state;
	snprintf(top, sizeof top, "/tmp/mailhaul-unit-XXXXXX");
	if (mkdtemp(top) == NULL)
		return -1;
	warned[0] = '\0';
	timeout_s = 1;
	t = NULL;
	return 0;
}

static int
remove_one(const char *path, const struct stat *st, int flag, struct FTW *f)
{
	(void)st;
	(void)flag;
	(void)f;
	return remove(path);
}

static int
teardown(void **state)
{
	(void)state;
	target_close(&t);
	uri_free(&uri);
	return nftw(top, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static void
ok(int rc, int want, const struct err *e)
{
	if (rc != want)
		fail_msg("%d, not %d: %s", rc, want, rc == -1 ? e->text : "");
}

static int commits;

static int
commit(struct store_batch *b, struct err *e)
{
	(void)b;
	(void)e;
	commits++;
	return 0;
}

static int
commit_fails(struct store_batch *b, struct err *e)
{
	(void)b;
	return err_set(e, ERR_RUN, "no intent");
}

/* An item of some text; all that is NULL or 0 is left so. */
static void
item(struct store_item *it, struct msg_meta *m, const char *text,
    uint32_t uid, const char *base)
{
	memset(it, 0, sizeof *it);
	memset(m, 0, sizeof *m);
	m->base = base;
	it->meta = m;
	it->bytes = text;
	it->size = strlen(text);
	it->want_uid = uid;
	it->date = 1000000000;
	it->guid = "0123456789abcdef0123456789abcdef";
}

static void
store(struct store_item *items, size_t n, struct store_batch *b)
{
	struct store_batch *back;
	struct err e;

	memset(b, 0, sizeof *b);
	b->items = items;
	b->n = n;
	b->commit = commit;
	ok(target_submit(t, b, &e), 0, &e);
	ok(target_reap(t, true, &back, &e), 1, &e);
	assert_ptr_equal(back, b);
}

static struct folder_state
open_box(const char *name)
{
	struct folder_state st;
	struct err e;
	int rc;

	target_folder_close(t);
	rc = target_folder_open(t, name, &st, &e);
	if (rc == 0) {
		ok(target_folder_create(t, name, 0, &e), 0, &e);
		rc = target_folder_open(t, name, &st, &e);
	}
	ok(rc, 1, &e);
	return st;
}

static char *
slurp(const char *name)
{
	static char text[8192];
	char path[400];
	ssize_t n;
	int fd;

	snprintf(path, sizeof path, "%s/Maildir/%s", top, name);
	fd = open(path, O_RDONLY);
	if (fd == -1)
		return NULL;
	n = read(fd, text, sizeof text - 1);
	close(fd);
	text[n > 0 ? n : 0] = '\0';
	return text;
}

/* The only file of a directory; fails when there are more. */
static const char *
only_file(const char *dir)
{
	static char name[300];
	char path[400];
	struct dirent *d;
	DIR *h;
	int n = 0;

	snprintf(path, sizeof path, "%s/Maildir/%s", top, dir);
	h = opendir(path);
	assert_non_null(h);
	while ((d = readdir(h)) != NULL)
		if (d->d_name[0] != '.') {
			snprintf(name, sizeof name, "%s", d->d_name);
			n++;
		}
	closedir(h);
	assert_int_equal(n, 1);
	return name;
}

static bool
there(const char *name)
{
	char path[400];

	snprintf(path, sizeof path, "%s/Maildir/%s", top, name);
	return access(path, F_OK) == 0;
}

static bool
is_empty(const char *dir)
{
	char path[400];

	/* What is not empty is not removed. */
	snprintf(path, sizeof path, "%s/Maildir/%s", top, dir);
	return rmdir(path) == 0 && mkdir(path, 0700) == 0;
}

static void
test_one_message(void **state)
{
	static const char *const words[] = { "$Forwarded", "no good" };
	struct folder_uids u = { .uidvalidity = 77,
	    .guid = "00112233445566778899aabbccddeeff" };
	struct folder_state st;
	struct store_batch b;
	struct store_item it;
	struct msg_meta m;
	struct stat sb;
	char path[400];
	struct err e;

	(void)state;
	open_with("");
	ok(target_account_ensure(t, false, &e), 1, &e);
	assert_false(there(""));	/* not before it is needed */
	st = open_box("INBOX");
	assert_int_equal(st.uidvalidity, 0);
	ok(target_set_uids(t, &u, &st, &e), 0, &e);
	assert_int_equal(st.uidvalidity, 77);
	assert_int_equal(st.uidnext, 1);

	item(&it, &m, "A: b\r\n\r\nx\r\n", 9, NULL);
	it.flags = MSG_SEEN | MSG_DRAFT;
	it.keywords = words;
	it.nkeywords = 2;
	m.uidl = "pop";
	m.uidl_order = 3;
	commits = 0;
	store(&it, 1, &b);
	assert_int_equal(commits, 1);
	assert_int_equal(it.result, STORE_DONE);
	assert_int_equal(it.uid, 9);
	assert_int_equal(b.uidnext, 1);
	assert_int_equal(it.changes, CHANGE_KEYWORDS);
	assert_string_equal(only_file("cur"), "1000000000.G0123456789abcdef"
	    "0123456789abcdef.mailhaul,S=8,W=11:2,DSa");
	assert_string_equal(slurp("dovecot-uidlist"), "3 V77 N1 "
	    "G00112233445566778899aabbccddeeff\n9 Ppop O3 "
	    "G0123456789abcdef0123456789abcdef :1000000000.G0123456789abcdef"
	    "0123456789abcdef.mailhaul,S=8,W=11\n");
	assert_string_equal(slurp("dovecot-keywords"), "0 $Forwarded\n");
	snprintf(path, sizeof path, "cur/%s", only_file("cur"));
	assert_string_equal(slurp(path), "A: b\n\nx\n");
	snprintf(path, sizeof path, "%s/Maildir/cur/%s", top,
	    only_file("cur"));
	assert_int_equal(stat(path, &sb), 0);
	assert_int_equal(sb.st_mtime, 1000000000);
	assert_int_equal(sb.st_mode & 0777, 0600);
	st = open_box("INBOX");
	assert_int_equal(st.messages, 1);
	assert_int_equal(st.uidnext, 10);
	assert_true(is_empty("tmp"));
}

/* Bytes come back whatever they are. */
static void
test_forms(void **state)
{
	static const struct { const char *crlf, *stored; } forms[] = {
		{ "\r\n", "\n" }, { "a", "a" }, { "a\r\n", "a\n" },
		{ "a\rb\r\n", "a\rb\n" }, { "a\r\r\n", "a\r\r\n" },
		{ "a\r\n\r", "a\n\r" }, { "\r\n\r\n\r\n", "\n\n\n" },
	};
	struct store_batch b;
	struct store_item it;
	struct msg_meta m;
	char path[400];

	(void)state;
	open_with("");
	for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
		char box[20], dir[30];

		snprintf(box, sizeof box, "b%zu", i);
		open_box(box);
		item(&it, &m, forms[i].crlf, 0, "1.base.h");
		store(&it, 1, &b);
		assert_int_equal(it.uid, 1);
		snprintf(dir, sizeof dir, ".b%zu/cur", i);
		snprintf(path, sizeof path, "%s/%s", dir, only_file(dir));
		assert_string_equal(slurp(path), forms[i].stored);
		snprintf(path, sizeof path, "1.base.h,S=%zu,W=%zu:2,",
		    strlen(forms[i].stored), strlen(forms[i].crlf));
		assert_string_equal(only_file(dir), path);
	}
}

static void
test_uids_and_names(void **state)
{
	struct store_item it[4];
	struct msg_meta m[4];
	struct store_batch b;

	(void)state;
	open_with("");
	open_box("INBOX");
	item(&it[0], &m[0], "a\r\n", 5, "1.a.h");
	item(&it[1], &m[1], "b\r\n", 5, "1.a.h,S=9,W=9");
	item(&it[2], &m[2], "c\r\n", 3, "../evil");
	item(&it[3], &m[3], "d\r\n", 4294967295U, ".hidden");
	it[2].date = -5;
	store(it, 4, &b);
	assert_int_equal(it[0].uid, 5);
	assert_int_equal(it[0].changes, 0);
	assert_int_equal(it[1].uid, 6);
	assert_int_equal(it[1].changes, CHANGE_UID);
	assert_int_equal(it[2].uid, 7);
	assert_int_equal(it[2].changes, CHANGE_UID | CHANGE_DATE);
	assert_int_equal(it[3].uid, 8);
	assert_true(there("cur/1.a.h,S=2,W=3:2,"));
	assert_true(there("cur/1.a.h-1,S=2,W=3:2,"));
	assert_true(there("cur/0.G0123456789abcdef0123456789abcdef.mailhaul,"
	    "S=2,W=3:2,"));
	assert_int_equal(open_box("INBOX").messages, 4);
}

static void
test_no_intent(void **state)
{
	struct store_batch b = { 0 }, *back;
	struct store_item it;
	struct msg_meta m;
	struct err e;

	(void)state;
	open_with("");
	open_box("INBOX");
	item(&it, &m, "a\r\n", 5, NULL);
	b.items = &it;
	b.n = 1;
	b.commit = commit_fails;
	ok(target_submit(t, &b, &e), 0, &e);
	ok(target_reap(t, true, &back, &e), 1, &e);
	assert_int_equal(it.result, STORE_NOT_SENT);
	assert_int_equal(open_box("INBOX").messages, 0);
	assert_true(is_empty("tmp"));
}

/* Several batches at once come back in order, and are one commit. */
static void
test_window(void **state)
{
	struct store_batch b[3], *back;
	struct store_item it[3][50];
	static struct msg_meta m[3][50];
	struct err e;

	(void)state;
	open_with("");
	open_box("INBOX");
	memset(b, 0, sizeof b);
	for (int i = 0; i < 3; i++) {
		for (int k = 0; k < 50; k++)
			item(&it[i][k], &m[i][k], "a\r\n", 0, "1.a.h");
		b[i].items = it[i];
		b[i].n = 50;
		b[i].commit = commit;
		ok(target_submit(t, &b[i], &e), 0, &e);
	}
	for (int i = 0; i < 3; i++) {
		ok(target_reap(t, true, &back, &e), 1, &e);
		assert_ptr_equal(back, &b[i]);
		for (int k = 0; k < 50; k++)
			assert_int_equal(it[i][k].uid, 1 + 50 * i + k);
	}
	ok(target_reap(t, true, &back, &e), 0, &e);
	assert_int_equal(open_box("INBOX").messages, 150);
}

static void
test_flags_and_expunge(void **state)
{
	static const char *const add[] = { "new" }, *const del[] = { "OLD" };
	static const char *const words[] = { "old", "kept" };
	struct flag_change c[2];
	const uint32_t gone[] = { 4, 99 };
	struct store_item it[2];
	struct msg_meta m[2];
	struct store_batch b;
	struct err e;

	(void)state;
	open_with("");
	open_box("INBOX");
	item(&it[0], &m[0], "a\r\n", 4, "1.a.h");
	item(&it[1], &m[1], "b\r\n", 8, "1.b.h");
	it[0].keywords = it[1].keywords = words;
	it[0].nkeywords = it[1].nkeywords = 2;
	it[1].flags = MSG_FLAGGED;
	store(it, 2, &b);
	assert_true(there("cur/1.b.h,S=2,W=3:2,Fab"));
	memset(c, 0, sizeof c);
	c[0].uid = 77;
	c[1].uid = 8;
	c[1].add = MSG_SEEN;
	c[1].del = MSG_FLAGGED;
	c[1].kw_add = add;
	c[1].kw_del = del;
	c[1].nkw_add = c[1].nkw_del = 1;
	ok(target_change_flags(t, c, 2, &e), 0, &e);
	assert_int_equal(c[0].result, FLAG_GONE);
	assert_int_equal(c[1].result, FLAG_DONE);
	assert_true(there("cur/1.b.h,S=2,W=3:2,Sbc"));
	assert_string_equal(slurp("dovecot-keywords"),
	    "0 old\n1 kept\n2 new\n");
	ok(target_expunge(t, gone, 2, &e), 0, &e);
	assert_string_equal(only_file("cur"), "1.b.h,S=2,W=3:2,Sbc");
	/* Neither the UID nor the name is given again. */
	assert_int_equal(open_box("INBOX").uidnext, 9);
	item(&it[0], &m[0], "a\r\n", 4, "1.a.h");
	store(it, 1, &b);
	assert_int_equal(it[0].uid, 9);
	assert_true(there("cur/1.a.h-1,S=2,W=3:2,"));
}

/* Directories of mailboxes beside INBOX. */
static size_t
folders(void)
{
	struct dirent *d;
	size_t n = 0;
	char path[200];
	DIR *dir;

	snprintf(path, sizeof path, "%s/Maildir", top);
	dir = opendir(path);
	assert_non_null(dir);
	while ((d = readdir(dir)) != NULL)
		n += d->d_name[0] == '.' && d->d_name[1] != '\0' &&
		    strcmp(d->d_name, "..") != 0;
	closedir(dir);
	return n;
}

/* One name below the other, and a child whose new name looks like an old one;
 * with fault points: killed at each of them and done again. */
static void
nested(const char *from, const char *to, const char *const *have,
    const char *const *want)
{
	size_t nwant = 0;
	int n = 0, status = 0;
	struct err e;
	char spec[40];
	pid_t pid;

	while (want[nwant] != NULL)
		nwant++;
	do {
		target_close(&t);
		uri_free(&uri);
		nftw(top, remove_one, 16, FTW_DEPTH | FTW_PHYS);
		assert_int_equal(mkdir(top, 0700), 0);
		open_with("&separator=/");
		for (size_t i = 0; have[i] != NULL; i++)
			open_box(have[i]);
		target_folder_close(t);
		snprintf(spec, sizeof spec, "kill:%d", ++n);
		if ((pid = fork()) == 0) {
			setenv("MAILHAUL_FAULT", spec, 1);
			_exit(target_folder_rename(t, from, to, &e) != 0);
		}
		waitpid(pid, &status, 0);
		/* Done but for the answer, it may look as if it were not. */
		if (target_folder_rename(t, from, to, &e) == -1 &&
		    strstr(e.text, "already") == NULL)
			fail_msg("%s", e.text);
		for (size_t i = 0; want[i] != NULL; i++)
			if (!there(want[i]))
				fail_msg("killed at %d: no %s", n, want[i]);
		assert_int_equal(folders(), nwant);
	} while (WIFSIGNALED(status));
	assert_int_equal(status, 0);
#ifdef MAILHAUL_FAULTS
	assert_true(n > 6);
#endif
}

static void
test_nested(void **state)
{
	static const char *const down[] = { "A", "A/C", "A/C/D", "AB", NULL };
	static const char *const lower[] = { ".A.B", ".A.B.C", ".A.B.C.D",
	    ".AB", NULL };
	static const char *const up[] = { "A/B", "A/B/B", "A/B/B/B", NULL };
	static const char *const upper[] = { ".A", ".A.B", ".A.B.B", NULL };
	struct err e;

	(void)state;
	nested("A", "A/B", down, lower);
	ok(target_folder_rename(t, "A/B", "A/B/C", &e), -1, &e);
	assert_true(there(".A.B") && there(".A.B.C.D"));
	ok(target_folder_rename(t, "none", "none/C", &e), -1, &e);
	nested("A/B", "A", up, upper);
}

static void
test_mailboxes(void **state)
{
	struct folder_state st;
	struct store_batch b;
	struct store_item it;
	struct msg_meta m;
	struct err e;

	(void)state;
	open_with("&separator=/");
	open_box("A/B");
	item(&it, &m, "a\r\n", 0, NULL);
	store(&it, 1, &b);
	open_box("A");
	open_box("AB");
	target_folder_close(t);
	ok(target_folder_rename(t, "A", "X/Y", &e), 0, &e);
	assert_true(there(".X.Y/cur") && there(".X.Y.B/cur") && there(".AB"));
	assert_false(there(".A") || there(".A.B"));
	ok(target_folder_rename(t, "A", "X/Y", &e), 0, &e);
	ok(target_folder_rename(t, "AB", "X/Y", &e), -1, &e);
	ok(target_folder_rename(t, "nowhere", "Z", &e), -1, &e);
	ok(target_folder_rename(t, "INBOX", "Z", &e), -1, &e);
	ok(target_folder_delete(t, "X/Y/B", &e), -1, &e);
	assert_true(there(".X.Y.B/new"));
	ok(target_folder_delete(t, "X/Y", &e), 0, &e);
	ok(target_folder_delete(t, "X/Y", &e), 0, &e);
	ok(target_folder_open(t, "X/Y", &st, &e), 0, &e);
	ok(target_subscribe(t, "X/Y/B", true, &e), 0, &e);
	ok(target_subscribe(t, "AB", true, &e), 0, &e);
	ok(target_subscribe(t, "AB", true, &e), 0, &e);
	assert_string_equal(slurp("subscriptions"),
	    "V\t2\n\nX\tY\tB\nAB\n");
	ok(target_subscribe(t, "X/Y/B", false, &e), 0, &e);
	assert_string_equal(slurp("subscriptions"), "V\t2\n\nAB\n");
	ok(target_mark_use(t, "Sent", USE_SENT, &e), 0, &e);
	assert_string_equal(warned, "");
	ok(target_mark_use(t, "Gesendet", USE_SENT, &e), 0, &e);
	assert_non_null(strstr(warned, "special_use = \\Sent"));
}

/* A lock that somebody alive holds: nothing is stored, nothing is left. */
static void
test_lock(void **state)
{
	struct store_batch b = { 0 }, *back;
	struct store_item it;
	struct msg_meta m;
	char path[400], host[200];
	struct err e;
	FILE *f;

	(void)state;
	open_with("");
	open_box("INBOX");
	item(&it, &m, "a\r\n", 5, NULL);
	gethostname(host, sizeof host);
	snprintf(path, sizeof path, "%s/Maildir/dovecot-uidlist.lock", top);
	f = fopen(path, "w");
	fprintf(f, "%ld:%s", (long)getpid(), host);
	fclose(f);
	b.items = &it;
	b.n = 1;
	b.commit = commit;
	ok(target_submit(t, &b, &e), 0, &e);
	ok(target_reap(t, true, &back, &e), 1, &e);
	assert_int_equal(it.result, STORE_NOT_SENT);
	assert_non_null(strstr(it.err.text, "has been held by"));
	assert_true(it.err.retry);
	assert_true(there("dovecot-uidlist.lock"));
	unlink(path);
	assert_int_equal(open_box("INBOX").messages, 0);
	store(&it, 1, &b);
	assert_int_equal(it.uid, 5);
	assert_false(there("dovecot-uidlist.lock"));
}

static const char *
path_of(const char *name)
{
	static char path[400];

	snprintf(path, sizeof path, "%s/Maildir/%s", top, name);
	return path;
}

/* A lock of a process that lives: this one. */
static void
hold_lock(void)
{
	char host[200];
	FILE *f = fopen(path_of("dovecot-uidlist.lock"), "w");

	gethostname(host, sizeof host);
	fprintf(f, "%ld:%s", (long)getpid(), host);
	fclose(f);
}

/* Nothing is renamed or removed without the lock, nor taken for gone. */
static void
test_changes_want_the_lock(void **state)
{
	struct flag_change c = { .uid = 8, .add = MSG_SEEN };
	const uint32_t uid = 8;
	struct store_batch b;
	struct store_item it;
	struct msg_meta m;
	struct err e;

	(void)state;
	open_with("");
	open_box("INBOX");
	item(&it, &m, "b\r\n", 8, "1.b.h");
	store(&it, 1, &b);
	hold_lock();
	ok(target_change_flags(t, &c, 1, &e), -1, &e);
	assert_non_null(strstr(e.text, "has been held by"));
	assert_true(e.retry);
	ok(target_expunge(t, &uid, 1, &e), -1, &e);
	assert_true(there("cur/1.b.h,S=2,W=3:2,"));
	unlink(path_of("cur/1.b.h,S=2,W=3:2,"));
	ok(target_change_flags(t, &c, 1, &e), -1, &e);
	unlink(path_of("dovecot-uidlist.lock"));
	ok(target_change_flags(t, &c, 1, &e), 0, &e);
	assert_int_equal(c.result, FLAG_GONE);
	ok(target_expunge(t, &uid, 1, &e), 0, &e);
	assert_false(there("dovecot-uidlist.lock"));
}

static void *
change(void *arg)
{
	struct flag_change *c = arg;
	struct err e;

	return target_change_flags(t, c, 1, &e) == 0 ? arg : NULL;
}

static void *
expunge(void *arg)
{
	struct err e;

	return target_expunge(t, arg, 1, &e) == 0 ? arg : NULL;
}

/* fn in a thread; when it has searched and waits for the lock, another gives
 * the file another name. */
static void
while_waiting(void *(*fn)(void *), void *arg, const char *from, const char *to)
{
	struct pollfd p = { .events = POLLIN };
	char event[4096], old[400];
	pthread_t thread;
	void *rc;
	int fd;

	hold_lock();
	fd = inotify_init1(IN_CLOEXEC);
	assert_true(inotify_add_watch(fd, path_of("dovecot-uidlist.lock"),
	    IN_CLOSE_NOWRITE) >= 0);
	assert_int_equal(pthread_create(&thread, NULL, fn, arg), 0);
	p.fd = fd;
	assert_int_equal(poll(&p, 1, 60000), 1);
	assert_true(read(fd, event, sizeof event) > 0);
	snprintf(old, sizeof old, "%s", path_of(from));
	assert_int_equal(rename(old, path_of(to)), 0);
	unlink(path_of("dovecot-uidlist.lock"));
	pthread_join(thread, &rc);
	close(fd);
	assert_ptr_equal(rc, arg);
}

static void
test_renamed_meanwhile(void **state)
{
	struct flag_change c = { .uid = 8, .add = MSG_SEEN };
	uint32_t uid = 8;
	struct store_batch b;
	struct store_item it;
	struct msg_meta m;

	(void)state;
	timeout_s = 60;
	open_with("");
	open_box("INBOX");
	item(&it, &m, "b\r\n", 8, "1.b.h");
	store(&it, 1, &b);
	while_waiting(change, &c, "cur/1.b.h,S=2,W=3:2,",
	    "cur/1.b.h,S=2,W=3:2,F");
	assert_int_equal(c.result, FLAG_DONE);
	assert_string_equal(only_file("cur"), "1.b.h,S=2,W=3:2,FS");
	while_waiting(expunge, &uid, "cur/1.b.h,S=2,W=3:2,FS",
	    "cur/1.b.h,S=2,W=3:2,S");
	assert_false(there("cur/1.b.h,S=2,W=3:2,S"));
}

/* dovecot-uidlist becomes another file of the same length. */
static ino_t
replace_list(const char *text)
{
	char tmp[400];
	struct stat st;
	FILE *f;

	snprintf(tmp, sizeof tmp, "%s", path_of("dovecot-uidlist.tmp"));
	f = fopen(tmp, "w");
	fputs(text, f);
	fclose(f);
	assert_int_equal(rename(tmp, path_of("dovecot-uidlist")), 0);
	assert_int_equal(stat(path_of("dovecot-uidlist"), &st), 0);
	return st.st_ino;
}

/* Dovecot writes the list anew, again and again, and the last message is gone
 * with its line: its UID stays taken, whatever number the file has. */
static void
test_list_written_anew(void **state)
{
	char text[8192], *line;
	struct store_batch b;
	struct store_item it;
	struct msg_meta m;
	struct stat st;
	size_t len;

	(void)state;
	open_with("");
	open_box("INBOX");
	item(&it, &m, "a\r\n", 5, "1.a.h");
	store(&it, 1, &b);
	item(&it, &m, "b\r\n", 300, "1.b.h");
	store(&it, 1, &b);
	assert_int_equal(stat(path_of("dovecot-uidlist"), &st), 0);
	snprintf(text, sizeof text, "%s", slurp("dovecot-uidlist"));
	len = strlen(text);
	line = strstr(text, "300 ");
	*line = '\0';
	/* N is one digit, so two more bytes there. */
	line = strstr(text, " N");
	memmove(line + 5, line + 3, strlen(line + 3) + 1);
	memcpy(line, " N302", 5);
	line = strstr(text, "\n5 ") + 1;
	while (strlen(text) < len) {
		size_t n = 2 + (len - strlen(text)) % 2;

		memmove(line + 1 + n, line + 1, strlen(line + 1) + 1);
		memcpy(line + 1, " Xx", n);
	}
	assert_int_equal(strlen(text), len);
	for (int i = 0; i < 20; i++)
		if (replace_list(text) == st.st_ino)
			break;
	item(&it, &m, "c\r\n", 0, "1.c.h");
	store(&it, 1, &b);
	assert_int_equal(it.uid, 302);
}

/* The list was torn, or another wrote to it meanwhile. */
static void
test_list_changes(void **state)
{
	struct store_batch b;
	struct store_item it;
	struct msg_meta m;
	char path[400];
	FILE *f;

	(void)state;
	open_with("");
	open_box("INBOX");
	item(&it, &m, "a\r\n", 5, "1.a.h");
	store(&it, 1, &b);
	snprintf(path, sizeof path, "%s/Maildir/dovecot-uidlist", top);
	f = fopen(path, "a");
	fprintf(f, "9 :other\n12 Gtorn");
	fclose(f);
	item(&it, &m, "b\r\n", 7, "1.b.h");
	it.guid = NULL;
	store(&it, 1, &b);
	assert_int_equal(it.uid, 10);
	assert_int_equal(it.changes, CHANGE_UID);
	assert_int_equal(b.uidnext, 10);
	assert_non_null(strstr(slurp("dovecot-uidlist"),
	    "9 :other\n10 :1.b.h,S=2,W=3\n"));
	assert_null(strstr(slurp("dovecot-uidlist"), "torn"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
		TEST(test_one_message),
		TEST(test_forms),
		TEST(test_uids_and_names),
		TEST(test_no_intent),
		TEST(test_window),
		TEST(test_flags_and_expunge),
		TEST(test_mailboxes),
		TEST(test_nested),
		TEST(test_lock),
		TEST(test_changes_want_the_lock),
		TEST(test_renamed_meanwhile),
		TEST(test_list_written_anew),
		TEST(test_list_changes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
