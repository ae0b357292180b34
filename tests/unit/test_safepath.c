/*
 * Paths with links on them: whose they are, where they lead, what is opened.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/safepath.h"

enum { ALICE = 12001, BOB = 12002 };

static char top[] = "/tmp/safepath-test.XXXXXX";
static int topfd;

static void
put(const char *name, uid_t owner)
{
	int fd = openat(topfd, name, O_WRONLY | O_CREAT | O_EXCL, 0644);

	assert_true(fd != -1);
	if (owner != 0)
		assert_int_equal(fchown(fd, owner, (gid_t)-1), 0);
	close(fd);
}

static void
make_dir(const char *name, uid_t owner)
{
	assert_int_equal(mkdirat(topfd, name, 0755), 0);
	if (owner != 0)
		assert_int_equal(fchownat(topfd, name, owner, (gid_t)-1, 0),
		    0);
}

static void
make_link(const char *name, const char *to, uid_t owner)
{
	assert_int_equal(symlinkat(to, topfd, name), 0);
	if (owner != 0)
		assert_int_equal(fchownat(topfd, name, owner, (gid_t)-1,
		    AT_SYMLINK_NOFOLLOW), 0);
}

static int
setup(void **state)
{
	(void)state;
	strcpy(strrchr(top, '.'), ".XXXXXX");
	if (mkdtemp(top) == NULL || chmod(top, 0755) == -1)
		return -1;
	topfd = open(top, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return topfd == -1 ? -1 : 0;
}

static int
remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
	(void)st;
	(void)flag;
	(void)ftw;
	return remove(path);
}

static int
teardown(void **state)
{
	(void)state;
	close(topfd);
	return nftw(top, remove_one, 20, FTW_DEPTH | FTW_PHYS);
}

/* Opens, and it is what "want" is. */
static void
leads(const char *path, bool beneath, const char *want)
{
	struct safepath p;
	struct stat st, st2;

	if (safepath_open(&p, topfd, path, beneath) == -1)
		fail_msg("%s: %s", path, strerror(errno));
	assert_int_equal(fstatat(topfd, want, &st, 0), 0);
	assert_int_equal(p.st.st_ino, st.st_ino);
	assert_int_equal(fstatat(p.dirfd, p.name, &st2, AT_SYMLINK_NOFOLLOW),
	    0);
	assert_int_equal(st2.st_ino, st.st_ino);
	safepath_close(&p);
	assert_int_equal(p.fd, -1);
}

static void
refuses(const char *path, bool beneath, int sys)
{
	struct safepath p;
	int rc = safepath_open(&p, topfd, path, beneath);

	if (rc != -1 || errno != sys)
		fail_msg("%s: %s, not %s", path, rc == 0 ? "opened" :
		    strerror(errno), strerror(sys));
	assert_int_equal(p.fd, -1);
	assert_int_equal(p.dirfd, -1);
}

static void
plain(void **state)
{
	char path[200], name[300];

	(void)state;
	make_dir("a", 0);
	make_dir("a/b", 0);
	put("a/b/f", 0);
	leads("a/b/f", false, "a/b/f");
	leads("./a//b/../b/./f", false, "a/b/f");
	leads("a/b", false, "a/b");
	leads("a/b///", false, "a/b");
	leads("a/b/..", false, "a");
	leads(".", false, ".");
	leads("a/b/f", true, "a/b/f");
	snprintf(path, sizeof path, "%s/a/b/f", top);
	leads(path, false, "a/b/f");
	leads("/", false, "/");
	refuses("", false, ENOENT);
	refuses("a/x", false, ENOENT);
	refuses("a/x/f", false, ENOENT);
	refuses("a/b/f/x", false, ENOTDIR);
	memset(name, 'n', sizeof name - 1);
	name[sizeof name - 1] = '\0';
	refuses(name, false, ENAMETOOLONG);
	assert_int_equal(mkfifoat(topfd, "fifo", 0644), 0);
	refuses("fifo", false, EINVAL);
	refuses("/dev/null", false, EINVAL);
	/* not beneath */
	refuses(path, true, EXDEV);
	refuses("..", true, EXDEV);
	refuses("a/../a/b/f", true, EXDEV);
}

static void
links(void **state)
{
	char path[200], name[20];

	(void)state;
	make_dir("a", 0);
	put("a/f", 0);
	make_dir("c", 0);
	make_link("a/self", "f", 0);
	make_link("c/up", "../a", 0);
	make_link("c/twice", "up/self", 0);
	make_link("c/slash", "../a/", 0);
	snprintf(path, sizeof path, "%s/c/twice", top);
	make_link("far", path, 0);
	make_link("gone", "nowhere", 0);
	make_link("loop", "loop", 0);
	leads("c/up/f", false, "a/f");
	leads("c/up", false, "a");
	leads("c/up/", false, "a");
	leads("c/slash", false, "a");
	leads("c/slash/f", false, "a/f");
	leads("c/twice", false, "a/f");
	leads("far", false, "a/f");
	leads("c/up/../c", false, "c");
	refuses("gone", false, ENOENT);
	refuses("loop", false, ELOOP);
	refuses("c/twice/x", false, ENOTDIR);
	refuses("c/up/f", true, ELOOP);
	refuses("a/self", true, ELOOP);
	/* forty of them, and one more */
	make_link("l0", "a/f", 0);
	for (int i = 1; i <= 40; i++) {
		snprintf(path, sizeof path, "l%d", i - 1);
		snprintf(name, sizeof name, "l%d", i);
		make_link(name, path, 0);
	}
	leads("l39", false, "a/f");
	refuses("l40", false, ELOOP);
}

static void
owners(void **state)
{
	uid_t me = geteuid();

	(void)state;
	if (me != 0) {
		print_message("not root: links of other users not tested\n");
		skip();
	}
	make_dir("alice", ALICE);
	make_dir("alice/box", ALICE);
	put("alice/box/f", ALICE);
	put("alice/box/bobs", BOB);
	make_dir("bob", BOB);
	make_dir("bob/box", BOB);
	put("bob/box/f", BOB);
	make_dir("bob/box/alices", ALICE);
	put("roots", 0);
	/* alice's links: to her own only, wherever it lies */
	make_link("alice/own", "box", ALICE);
	make_link("alice/theft", "../bob/box", ALICE);
	make_link("alice/file", "../bob/box/f", ALICE);
	make_link("alice/root", "../roots", ALICE);
	leads("alice/own", false, "alice/box");
	leads("alice/own/f", false, "alice/box/f");
	leads("alice/theft/alices", false, "bob/box/alices");
	refuses("alice/own/bobs", false, EPERM);
	refuses("alice/theft", false, EPERM);
	refuses("alice/theft/", false, EPERM);
	refuses("alice/theft/f", false, EPERM);
	refuses("alice/file", false, EPERM);
	refuses("alice/root", false, EPERM);
	/* root's links lead anywhere, but not past alice's */
	make_link("alice/put", "../bob/box", 0);
	make_link("via", "alice/theft", 0);
	leads("alice/put/f", false, "bob/box/f");
	refuses("via/f", false, EPERM);
	/* two strangers */
	make_link("bob/on", "../alice/own", BOB);
	refuses("bob/on", false, EPERM);
	/* who alice is to herself */
	assert_int_equal(seteuid(ALICE), 0);
	leads("alice/theft/f", false, "bob/box/f");
	refuses("bob/on", false, EPERM);
	assert_int_equal(seteuid(me), 0);
}

static void
words(void **state)
{
	static const int known[] = { EPERM, ELOOP, EXDEV, EINVAL, EACCES };
	struct err e;

	(void)state;
	for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
		errno = known[i];
		assert_int_equal(safepath_error(&e, ERR_ACCOUNT, "a/b"), -1);
		assert_int_equal(e.scope, ERR_ACCOUNT);
		assert_int_equal(e.cause, CAUSE_OTHER);
		assert_non_null(strstr(e.text, "a/b"));
	}
	errno = ENOENT;
	safepath_error(&e, ERR_ACCOUNT, "a/b");
	assert_int_equal(e.cause, CAUSE_MISSING);
	errno = ESTALE;
	safepath_error(&e, ERR_ACCOUNT, "a/b");
	assert_int_equal(e.scope, ERR_HOST);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(plain), TEST(links), TEST(owners), cmocka_unit_test(words),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
