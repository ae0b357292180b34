/*
 * Others in a Maildir that the Dovecot target writes to: a second writer, a
 * Dovecot that makes the UID list anew, an owner who plants what blocks.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "dovecot/dovecot_impl.h"

#define HANG_S	120	/* a test that blocks dies */

static char top[64];
static struct target *targets[2];
static struct uri *uris[2];

static int
setup(void **state)
{
	(void)state;
	snprintf(top, sizeof top, "/tmp/mailhaul-unit-XXXXXX");
	alarm(HANG_S);
	return mkdtemp(top) != NULL ? 0 : -1;
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
	alarm(0);
	for (int i = 0; i < 2; i++) {
		target_close(&targets[i]);
		uri_free(&uris[i]);
	}
	return nftw(top, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static void
ok(int rc, int want, const struct err *e)
{
	if (rc != want)
		fail_msg("%d, not %d: %s", rc, want, rc == -1 ? e->text : "");
}

static const char *
path_of(const char *name)
{
	static char path[2][400];
	static int turn;

	turn = !turn;
	snprintf(path[turn], sizeof path[turn], "%s/Maildir/%s", top, name);
	return path[turn];
}

static bool
there(const char *name)
{
	return access(path_of(name), F_OK) == 0;
}

static void
put(const char *name, const char *text)
{
	FILE *f = fopen(path_of(name), "w");

	assert_non_null(f);
	fputs(text, f);
	assert_int_equal(fclose(f), 0);
}

static const char *
slurp(const char *name)
{
	static char text[8192];
	FILE *f = fopen(path_of(name), "r");
	size_t n;

	if (f == NULL)
		fail_msg("%s is not there", name);
	n = fread(text, 1, sizeof text - 1, f);
	fclose(f);
	text[n] = '\0';
	return text;
}

static void
no_warning(void *ctx, const char *mailbox, const char *where,
    const char *text)
{
	(void)ctx;
	(void)mailbox;
	(void)where;
	(void)text;
}

/* The ith writer. */
static struct target *
writer(int i, const char *options)
{
	struct store_conf conf = { .warn = no_warning, .cancel_fd = -1,
	    .timeout_s = 1 };
	char text[200];
	struct err e;

	snprintf(text, sizeof text, "dovecot:%s/Maildir?owner=%lu:%lu%s", top,
	    (unsigned long)geteuid(), (unsigned long)getegid(), options);
	ok(uri_parse(&uris[i], text, &e), 0, &e);
	conf.uri = uris[i];
	ok(target_open(&targets[i], &conf, &e), 0, &e);
	return targets[i];
}

static struct folder_state
open_box(struct target *t, const char *name)
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

/* A batch of one. */
struct one {
	struct store_batch b;
	struct store_item it;
	struct msg_meta m;
};

static int
commit(struct store_batch *b, struct err *e)
{
	(void)b;
	(void)e;
	return 0;
}

static void
submit(struct target *t, struct one *o, const char *text, uint32_t uid,
    const char *base)
{
	struct err e;

	memset(o, 0, sizeof *o);
	o->m.base = base;
	o->it.meta = &o->m;
	o->it.bytes = text;
	o->it.size = strlen(text);
	o->it.want_uid = uid;
	o->it.date = 1000000000;
	o->b.items = &o->it;
	o->b.n = 1;
	o->b.commit = commit;
	ok(target_submit(t, &o->b, &e), 0, &e);
}

static enum store_result
reap(struct target *t, struct one *o)
{
	struct store_batch *b;
	struct err e;

	ok(target_reap(t, true, &b, &e), 1, &e);
	assert_ptr_equal(b, &o->b);
	return o->it.result;
}

static void
store(struct target *t, const char *text, uint32_t uid, const char *base)
{
	struct one o;

	submit(t, &o, text, uid, base);
	if (reap(t, &o) != STORE_DONE)
		fail_msg("%s", o.it.err.text);
	assert_int_equal(o.it.uid, uid);
}

/* Until a file of tmp/ holds this text. */
static void
await_piece(const char *text)
{
	struct timespec pause = { .tv_nsec = 1000000 };
	char line[100];
	struct dirent *d;
	bool found = false;

	while (!found) {
		DIR *dir = opendir(path_of("tmp"));

		assert_non_null(dir);
		while (!found && (d = readdir(dir)) != NULL) {
			char name[300];
			FILE *f;

			snprintf(name, sizeof name, "tmp/%s", d->d_name);
			if (d->d_name[0] == '.' ||
			    (f = fopen(path_of(name), "r")) == NULL)
				continue;
			found = fgets(line, sizeof line, f) != NULL &&
			    strcmp(line, text) == 0;
			fclose(f);
		}
		closedir(dir);
		nanosleep(&pause, NULL);
	}
}

/* Two accounts are merged into one mailbox, or two programs run: neither takes
 * the other's files for leftovers, nor for its own. */
static void
test_two_writers(void **state)
{
	struct target *s = writer(0, ""), *t;
	struct one a, b;

	(void)state;
	open_box(s, "INBOX");
	submit(s, &a, "first\r\n", 1, "1.a.h");
	await_piece("first\n");
	t = writer(1, "");
	open_box(t, "INBOX");
	submit(t, &b, "other\r\n", 2, "1.b.h");
	await_piece("other\n");
	assert_int_equal(reap(s, &a), STORE_DONE);
	assert_int_equal(reap(t, &b), STORE_DONE);
	assert_string_equal(slurp("cur/1.a.h,S=6,W=7:2,"), "first\n");
	assert_string_equal(slurp("cur/1.b.h,S=6,W=7:2,"), "other\n");
	assert_int_equal(open_box(s, "INBOX").messages, 2);
}

/* What a dead one left is swept although another lives, once he is gone. */
static void
test_leftovers(void **state)
{
	struct target *s = writer(0, ""), *t = writer(1, "");
	struct one a;

	(void)state;
	open_box(s, "INBOX");
	put("tmp/mailhaul.left", "x");
	open_box(t, "INBOX");
	assert_true(there("tmp/mailhaul.left"));
	submit(s, &a, "first\r\n", 1, "1.a.h");
	assert_int_equal(reap(s, &a), STORE_DONE);
	target_folder_close(s);
	open_box(t, "INBOX");
	assert_false(there("tmp/mailhaul.left"));
}

/* Dovecot has given the UIDs anew: they say nothing any more. */
static void
test_uids_anew(void **state)
{
	struct folder_uids u = { .uidvalidity = 77,
	    .guid = "00112233445566778899aabbccddeeff" };
	struct flag_change c = { .uid = 8, .add = MSG_SEEN };
	struct target *t = writer(0, "");
	const uint32_t uid = 8;
	struct folder_state st;
	struct one o;
	struct err e;

	(void)state;
	open_box(t, "INBOX");
	ok(target_set_uids(t, &u, &st, &e), 0, &e);
	store(t, "a\r\n", 7, "1.a.h");
	store(t, "b\r\n", 8, "1.b.h");
	put("list", "3 V78 N9 G00112233445566778899aabbccddeeff\n"
	    "7 :1.b.h,S=2,W=3\n8 :1.a.h,S=2,W=3\n");
	assert_int_equal(rename(path_of("list"), path_of("dovecot-uidlist")),
	    0);
	ok(target_expunge(t, &uid, 1, &e), -1, &e);
	assert_true(e.retry);
	ok(target_change_flags(t, &c, 1, &e), -1, &e);
	assert_true(there("cur/1.a.h,S=2,W=3:2,"));
	assert_true(there("cur/1.b.h,S=2,W=3:2,"));
	submit(t, &o, "c\r\n", 9, "1.c.h");
	assert_int_equal(reap(t, &o), STORE_NOT_SENT);
	assert_true(o.it.err.retry);
	assert_int_equal(open_box(t, "INBOX").uidvalidity, 78);
	ok(target_expunge(t, &uid, 1, &e), 0, &e);
	assert_false(there("cur/1.a.h,S=2,W=3:2,"));
	assert_true(there("cur/1.b.h,S=2,W=3:2,"));
}

/* A lock that was taken away: the next one may have its inode's number. */
static void
test_lock_of_another(void **state)
{
	struct target *t = writer(0, "");
	struct dovecot *dv = (struct dovecot *)t;
	struct dotlock lk;
	struct err e;

	(void)state;
	open_box(t, "INBOX");
	ok(dotlock_take(dv, &lk, dv->box.fd, UIDLIST ".lock", &e), 0, &e);
	assert_true(dotlock_ours(&lk));
	for (int i = 0; i < 50; i++) {
		unlink(path_of(UIDLIST ".lock"));
		put(UIDLIST ".lock", "1:other");
		assert_false(dotlock_ours(&lk));
	}
	ok(dotlock_drop(&lk, &e), -1, &e);
	assert_true(there(UIDLIST ".lock"));
}

/* Opening a FIFO to write waits for a reader. */
static void
test_fifos(void **state)
{
	struct target *t = writer(0, "");
	struct err e;

	(void)state;
	open_box(t, "INBOX");
	assert_int_equal(mkfifo(path_of("maildirsize"), 0600), 0);
	store(t, "a\r\n", 7, "1.a.h");
	assert_int_equal(mkdir(path_of(".A"), 0700), 0);
	assert_int_equal(mkfifo(path_of(".A/maildirfolder"), 0600), 0);
	target_folder_close(t);
	ok(target_folder_create(t, "A", 0, &e), -1, &e);
}

/* A name that is there is never written over; letters stay. */
static void
test_names_of_others(void **state)
{
	static const char *const words[] = { "mine" };
	struct flag_change c = { .uid = 7, .add = MSG_SEEN,
	    .kw_add = words, .nkw_add = 1 };
	struct target *t = writer(0, "");
	struct err e;

	(void)state;
	open_box(t, "INBOX");
	store(t, "a\r\n", 7, "1.a.h");
	assert_int_equal(rename(path_of("cur/1.a.h,S=2,W=3:2,"),
	    path_of("cur/1.a.h,S=2,W=3:2,FPXac")), 0);
	open_box(t, "INBOX");
	ok(target_change_flags(t, &c, 1, &e), 0, &e);
	assert_int_equal(c.result, FLAG_DONE);
	/* "a" and "c" are somebody's, whose names are lost. */
	assert_string_equal(slurp("dovecot-keywords"), "1 mine\n");
	assert_true(there("cur/1.a.h,S=2,W=3:2,FSabcPX"));

	c = (struct flag_change){ .uid = 7, .del = MSG_SEEN };
	put("cur/1.a.h,S=2,W=3:2,FabcPX", "another");
	ok(target_change_flags(t, &c, 1, &e), 0, &e);
	assert_int_equal(c.result, FLAG_CHANGED);
	assert_string_equal(slurp("cur/1.a.h,S=2,W=3:2,FabcPX"), "another");
}

/* A mailbox that held mail once, and is empty: under another UIDVALIDITY its
 * UIDs are free. */
static void
test_used_before(void **state)
{
	struct folder_uids u = { .uidvalidity = 77, .restart = true,
	    .guid = "00112233445566778899aabbccddeeff" };
	struct target *t = writer(0, "");
	struct folder_state st;
	uint32_t uid = 40;
	struct err e;

	(void)state;
	open_box(t, "INBOX");
	store(t, "test\r\n", 40, "1.t.h");
	ok(target_expunge(t, &uid, 1, &e), 0, &e);
	st = open_box(t, "INBOX");
	assert_int_equal(st.uidnext, 41);
	ok(target_set_uids(t, &u, &st, &e), 0, &e);
	assert_int_equal(st.uidnext, 1);
	assert_string_equal(slurp(UIDLIST),
	    "3 V77 N1 G00112233445566778899aabbccddeeff\n");
	store(t, "a\r\n", 7, "1.t.h");

	/* Not one that holds mail, nor under its own UIDVALIDITY. */
	ok(target_set_uids(t, &u, &st, &e), 0, &e);
	assert_int_equal(st.uidnext, 8);
	u.uidvalidity = 78;
	ok(target_set_uids(t, &u, &st, &e), 0, &e);
	assert_int_equal(st.uidnext, 8);
	uid = 7;
	ok(target_expunge(t, &uid, 1, &e), 0, &e);
	ok(target_set_uids(t, &u, &st, &e), 0, &e);
	assert_int_equal(st.uidnext, 8);
}

/* No mailbox of layout=fs has the name of a file of the one above. */
static void
test_reserved_below(void **state)
{
	static const char *const path[] = { "A", "dovecot-uidlist" };
	static const char *const harmless[] = { "A", "dovecot" };
	struct target *t = writer(0, "&layout=fs");
	struct arena a;
	const char *name;
	bool encoded;
	struct err e;

	(void)state;
	arena_init(&a);
	ok(target_name(t, &a, path, 2, &name, &encoded, &e), 0, &e);
	assert_string_equal(name, "A/=64ovecot-uidlist");
	ok(target_name(t, &a, harmless, 2, &name, &encoded, &e), 0, &e);
	assert_string_equal(name, "A/dovecot");
	arena_release(&a);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
		TEST(test_two_writers),
		TEST(test_leftovers),
		TEST(test_uids_anew),
		TEST(test_lock_of_another),
		TEST(test_names_of_others),
		TEST(test_used_before),
		TEST(test_reserved_below),
		TEST(test_fifos),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
