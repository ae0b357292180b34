/*
 * mbox files that other programs write while they are read: locks, what is
 * torn, the engine on a file that is rewritten at every place of a pass, and
 * reading with another user's rights.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pthread.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/asuser.h"
#include "base/buf.h"
#include "base/uri.h"
#include "mbox/mbox_lock.h"
#include "mbox/mbox_subs.h"
#include "mbox/mbox_uw.h"
#include "source.h"
#include "unit/lib/engine_fixture.h"

#define SEPARATOR "From a@b Thu Jan  4 05:06:07 2001\n"

static struct fixture fx;
static char path[128];
static char warned[4096];

/* Message n: its bytes tell if they are whole.  Large ones are streamed. */
static void
add_message(struct buf *b, int n, bool in_file)
{
	int lines = n % 7 == 3 ? 9000 : n % 5 == 1 ? 2500 : 3;

	if (in_file)
		buf_adds(b, SEPARATOR);
	buf_addf(b, "Subject: %d\n\n", n);
	for (int i = 0; i < lines; i++)
		buf_addf(b, "line %d of message %d, of %d lines\n", i, n,
		    lines);
	if (in_file)
		buf_addc(b, '\n');
}

/* The file rewritten in place, as UW's programs do it; the numbers end with
 * -1.  step: bytes of one write. */
static void
write_file(const int *numbers, size_t step)
{
	struct buf b;
	int fd = open(path, O_RDWR | O_CREAT, 0600);

	if (fd == -1)
		abort();
	buf_init(&b, 64 << 20);
	for (; *numbers != -1; numbers++)
		add_message(&b, *numbers, true);
	for (size_t off = 0; off < b.len; off += step)
		if (pwrite(fd, b.ptr + off, b.len - off < step ? b.len - off :
		    step, (off_t)off) == -1)
			abort();
	if (ftruncate(fd, (off_t)b.len) == -1)
		abort();
	close(fd);
	buf_release(&b);
}

/* The number of a message whose bytes are whole; -1. */
static int
number_of(const char *p, size_t len)
{
	struct buf b;
	int n;

	if (sscanf(p, "Subject: %d", &n) != 1 || n < 0 || n > 1000)
		return -1;
	buf_init(&b, 64 << 20);
	add_message(&b, n, false);
	if (b.len != len || memcmp(b.ptr, p, len) != 0)
		n = -1;
	buf_release(&b);
	return n;
}

/* A source. */

struct opened {
	struct uri	*uri;
	struct source	*s;
	struct arena	 a;
	struct folder_info *folders;
	size_t		 n;
	struct err	 e;
};

static void
on_warn(void *ctx, const char *mailbox, const char *where, const char *text)
{
	size_t n = strlen(warned);

	(void)ctx;
	snprintf(warned + n, sizeof warned - n, "%s|%s|%s\n",
	    mailbox != NULL ? mailbox : "", where != NULL ? where : "", text);
}

static int
open_store(struct opened *o, const char *where, const char *options)
{
	struct store_conf conf = { .warn = on_warn, .cancel_fd = -1 };
	char text[512];
	int rc;

	memset(o, 0, sizeof *o);
	warned[0] = '\0';
	arena_init(&o->a);
	snprintf(text, sizeof text, "mbox:%s%s", where, options);
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

static int
open_folder(struct opened *o, bool stable)
{
	enum delta d;

	o->folders[0].stable = stable;
	return source_folder_open(o->s, &o->folders[0], NULL, 0, &d, &o->e);
}

/* All bytes of a content: its number, -1 for what is no message, -2 for an
 * error. */
static int
read_content(struct opened *o, const struct msg_meta *m)
{
	struct content *c = NULL;
	struct buf b;
	ssize_t n = -1;
	int rc = -2;

	buf_init(&b, 64 << 20);
	if (source_content(o->s, m, &c, &o->e) == 1) {
		while (buf_reserve(&b, 65536) == 0 && (n = content_read(c,
		    b.ptr + b.len, 65536, &o->e)) > 0)
			b.len += (size_t)n;
		b.ptr[b.len] = '\0';
		if (n == 0)
			rc = number_of(b.ptr, b.len);
	}
	content_close(&c);
	buf_release(&b);
	return rc;
}

/* A whole walk, as the engine does it; -1 when the file changed.  What was
 * handed out as good has to be good. */
static int
walk(struct opened *o, int *seen)
{
	struct msg_meta m[8];
	const struct msg_meta *want[8];
	int rc = 1;

	*seen = 0;
	while (rc == 1) {
		size_t n;

		arena_reset(&o->a);
		for (n = 0; n < 8; n++) {
			rc = source_next(o->s, &o->a, &m[n], &o->e);
			if (rc != 1)
				break;
			want[n] = &m[n];
		}
		if (rc == -1 || source_want(o->s, want, n, &o->e) == -1)
			return -1;
		for (size_t i = 0; i < n; i++) {
			int number = read_content(o, &m[i]);

			if (number == -1)
				fail_msg("a torn message was given out");
			if (number == -2)
				return -1;
			(*seen)++;
		}
	}
	return rc;
}

static int
setup(void **state)
{
	(void)state;
	mem_store_reset(fx.tgt);
	mem_folder_get(fx.tgt, "INBOX", true);
	fx.tgt->on_batch = NULL;
	fx.tgt->batch_messages = 2;
	fixture_drop_state(&fx);
	unlink(path);
	return 0;
}

/* Torn reads. */

static const int versions[4][14] = {
	{ 1, 2, 3, 4, 4, 5, 6, 10, 11, 12, -1 },
	{ 2, 3, 4, 5, 6, 10, 11, 12, 13, 14, -1 },
	{ 7, 1, 2, 3, 4, 4, 5, 11, 12, -1 },
	{ 4, 3, 2, 1, 12, 11, 10, 6, 5, 4, -1 },
};

static pid_t
start_writer(bool locks, useconds_t pause)
{
	pid_t pid = fork();

	if (pid != 0)
		return pid;
	for (int i = 0;; i++) {
		int fd = open(path, O_RDWR);

		if (locks && flock(fd, LOCK_EX) == -1)
			_exit(1);
		write_file(versions[i % 4], 40000);
		close(fd);
		usleep(pause + (useconds_t)(i * 7919 % 5000));
	}
}

static void
stop_writer(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

/* Where no lock is respected, what is torn is never given out. */
static void
test_without_locks(void **state)
{
	struct opened o;
	int seen, whole = 0, torn = 0;
	pid_t pid;

	(void)state;
	write_file(versions[0], 1 << 20);
	pid = start_writer(false, 62000);
	/* Until both have been met, however busy this machine is. */
	for (int i = 0; i < 10 || ((whole == 0 || torn == 0) && i < 1000);
	    i++) {
		if (open_store(&o, path, "?lock=none") == 0 &&
		    open_folder(&o, i % 2) == 0 && walk(&o, &seen) == 0)
			whole++;
		else if (o.e.cause == CAUSE_CHANGED)
			torn += o.e.retry;
		close_store(&o);
	}
	stop_writer(pid);
	assert_true(whole > 0 && torn > 0);
}

/* Where locks are respected, a file that changes all the time can be read. */
static void
test_busy_file(void **state)
{
	struct opened o;
	int seen;
	pid_t pid;

	(void)state;
	write_file(versions[0], 1 << 20);
	pid = start_writer(true, 1000);
	for (int i = 0; i < 10; i++) {
		assert_int_equal(open_store(&o, path, ""), 0);
		if (open_folder(&o, true) == -1)
			fail_msg("%s", o.e.text);
		assert_int_equal(walk(&o, &seen), 0);
		assert_true(seen >= 9);
		close_store(&o);
	}
	stop_writer(pid);
}

static void
set_times(const struct stat *st)
{
	struct timespec t[2] = { st->st_atim, st->st_mtim };

	assert_int_equal(utimensat(AT_FDCWD, path, t, 0), 0);
}

/* Each place at which a change has to be found. */
static void
test_places(void **state)
{
	static const int before[] = { 1, 2, 8, -1 }, same[] = { 2, 8, 1, -1 };
	struct msg_meta m[3];
	const struct msg_meta *want[3] = { &m[0], &m[1], &m[2] };
	struct opened o;
	struct stat st;

	(void)state;
	for (int place = 0; place < 5; place++) {
		int rc = 0;

		write_file(before, 1 << 20);
		assert_int_equal(open_store(&o, path, ""), 0);
		assert_int_equal(open_folder(&o, false), 0);
		assert_int_equal(stat(path, &st), 0);
		for (int i = 0; i < 3; i++) {
			if (place == 0 && i == 1) {
				/* let go in between, as after a batch */
				assert_int_equal(source_want(o.s, want, 1,
				    &o.e), 0);
				write_file(same, 1 << 20);
				/* of one size, and mtime set back */
				set_times(&st);
			}
			rc = source_next(o.s, &o.a, &m[i], &o.e);
			if (rc == -1)
				break;
		}
		if (place == 1)		/* held: found when it is let go */
			write_file(same, 1 << 20);
		if (rc == 1)
			rc = source_want(o.s, want, 3, &o.e);
		if (rc == 0 && place == 2) {
			/* read ahead: the bytes are those of before */
			write_file(same, 1 << 20);
			assert_int_equal(read_content(&o, &m[1]), 2);
			rc = read_content(&o, &m[0]) == -2 ? -1 : 0;
		}
		if (rc == 0 && place == 3) {
			write_file(same, 1 << 20);
			set_times(&st);
			rc = source_next(o.s, &o.a, &m[0], &o.e);
		}
		if (rc == 0 && place == 4) {
			/* put away, and another in its place */
			assert_int_equal(unlink(path), 0);
			write_file(before, 1 << 20);
			rc = source_next(o.s, &o.a, &m[0], &o.e);
		}
		if (rc != -1)
			fail_msg("place %d: %d", place, rc);
		assert_int_equal(o.e.cause, CAUSE_CHANGED);
		assert_int_equal(o.e.scope, ERR_MAILBOX);
		assert_true(o.e.retry);
		close_store(&o);
	}
}

/* A large message, read while it changes: the error stands in place of the
 * end, also when it is read again. */
static void
test_streamed(void **state)
{
	static const int before[] = { 3, 4, -1 }, after[] = { 10, 4, -1 };
	struct msg_meta m;
	struct opened o;
	struct content *c;
	char p[65536];
	ssize_t n;

	(void)state;
	for (int again = 0; again < 2; again++) {
		write_file(before, 1 << 20);
		assert_int_equal(open_store(&o, path, ""), 0);
		assert_int_equal(open_folder(&o, false), 0);
		assert_int_equal(source_next(o.s, &o.a, &m, &o.e), 1);
		assert_int_equal(source_content(o.s, &m, &c, &o.e), 1);
		if (again == 1) {
			while ((n = content_read(c, p, sizeof p, &o.e)) > 0)
				;
			assert_int_equal(n, 0);
			assert_int_equal(content_rewind(c, &o.e), 0);
		}
		assert_int_equal(content_read(c, p, sizeof p, &o.e), sizeof p);
		write_file(after, 1 << 20);
		while ((n = content_read(c, p, sizeof p, &o.e)) > 0)
			;
		assert_int_equal(n, -1);
		assert_int_equal(o.e.cause, CAUSE_CHANGED);
		content_close(&c);
		close_store(&o);
	}
}

/* The engine. */

struct step { int at; const int *to; };

static struct step step;	/* the file becomes that before batch at */
static int batches;

static void
on_batch(struct mem_store *s)
{
	(void)s;
	if (batches++ == step.at)
		write_file(step.to, 1 << 20);
}

static int
times(const int *list, int n)
{
	int k = 0;

	for (; *list != -1; list++)
		k += *list == n;
	return k;
}

static int
stored(int n)
{
	struct mem_folder *f = mem_folder_get(fx.tgt, "INBOX", false);
	struct buf b, text;
	int k = 0;

	buf_init(&b, 64 << 20);
	buf_init(&text, 64 << 20);
	add_message(&b, n, false);
	for (size_t i = 0; i < b.len; i++) {
		if (b.ptr[i] == '\n')
			buf_addc(&text, '\r');
		buf_addc(&text, b.ptr[i]);
	}
	for (struct mem_message *m = f->first; m != NULL; m = m->next)
		k += m->len == text.len && memcmp(m->bytes, text.ptr,
		    text.len) == 0;
	buf_release(&b);
	buf_release(&text);
	return k;
}

/* At most what the file ever held at once; in the end, all that it holds. */
static void
check_target(const int *from, const int *to, int at, bool end)
{
	uint64_t sum = 0;

	for (int n = 0; n < 30; n++) {
		int was = times(from, n), is = times(to, n), k = stored(n);

		if ((end && k < is) || k > (was > is ? was : is))
			fail_msg("batch %d: message %d is there %d times, the "
			    "source had %d and has %d", at, n, k, was, is);
		sum += (uint64_t)k;
	}
	assert_int_equal(sum, mem_folder_get(fx.tgt, "INBOX", false)->count);
}

static void
test_engine(void **state)
{
	static const int from[] = {
		0, 1, 2, 2, 3, 4, 2, 5, 5, 6, 8, 10, 9, 9, -1
	};
	static const int to[][16] = {
		/* the first, the second, the last of some twins */
		{ 0, 1, 2, 3, 4, 2, 5, 5, 6, 8, 10, 9, 9, -1 },
		{ 0, 1, 2, 2, 3, 4, 5, 6, 8, 10, 9, -1 },
		/* all of them; twins of others */
		{ 0, 1, 3, 4, 5, 5, 6, 8, 8, 10, 10, 9, 9, -1 },
		/* from the front, and new ones at the end */
		{ 2, 2, 3, 4, 2, 5, 5, 6, 8, 10, 9, 9, 12, 2, 17, -1 },
		/* at the front, too */
		{ 12, 0, 1, 2, 2, 3, 4, 2, 5, 5, 6, 8, 10, 9, 9, -1 },
		/* another order; nearly nothing */
		{ 9, 9, 10, 8, 6, 5, 5, 2, 4, 3, 2, 2, 1, 0, -1 },
		{ 0, -1 },
	};
	static const int places[] = { 0, 1, 2, 5, 7 };
	char uri[160];

	(void)state;
	snprintf(uri, sizeof uri, "mbox:%s", path);
	fx.source = uri;
	fx.set.empty_ok = true;		/* one script leaves little */
	for (size_t i = 0; i < sizeof to / sizeof to[0]; i++)
		for (size_t k = 0; k < 5; k++) {
			uint64_t n;
			int at = places[k];

			setup(NULL);
			write_file(from, 1 << 20);
			step = (struct step){ at, to[i] };
			batches = 0;
			fx.tgt->on_batch = on_batch;
			if (fixture_run(&fx) != 0)
				fail_msg("script %zu, batch %d", i, at);
			assert_true(fixture_balanced(&fx));
			assert_int_equal(fixture_number(&fx, "SELECT failed +"
			    " vanished FROM mailbox"), 0);
			/* At the last batch the walk is over. */
			check_target(from, to[i], at, at < 7);
			fx.tgt->on_batch = NULL;
			n = fx.tgt->nstored;
			assert_int_equal(fixture_run(&fx), 0);
			check_target(from, to[i], at, true);
			if (at < 7)
				assert_int_equal(fx.tgt->nstored, n);
		}
}

static int rounds;

static void
on_every_batch(struct mem_store *s)
{
	(void)s;
	write_file(versions[++rounds % 4], 1 << 20);
}

/* A file that changes at every batch comes to an end as well. */
static void
test_every_batch(void **state)
{
	char uri[160];

	(void)state;
	snprintf(uri, sizeof uri, "mbox:%s", path);
	fx.source = uri;
	write_file(versions[0], 1 << 20);
	fx.tgt->on_batch = on_every_batch;
	for (int i = 0; i < 4; i++) {
		assert_int_equal(fixture_run(&fx), 0);
		assert_true(fixture_balanced(&fx));
	}
	fx.tgt->on_batch = NULL;
	assert_int_equal(fixture_run(&fx), 0);
	/* As many as any version had: one pass or another met each. */
	for (int n = 0; n < 30; n++) {
		int most = 0;

		for (int i = 0; i < 4; i++)
			if (times(versions[i], n) > most)
				most = times(versions[i], n);
		assert_true(stored(n) <= most);
		assert_true(most == 0 || n == 7 || n >= 13 || stored(n) > 0);
	}
}

#ifdef MAILHAUL_FAULTS

/* Killed at the k-th fault point of a pass in which the file is rewritten, with
 * the state kept or lost; then run again.  Was it killed? */
static bool
kill_at(int k, bool lose, const int *from, const int *to)
{
	char spec[32];
	uint64_t n;
	int rc;

	setup(NULL);
	write_file(from, 1 << 20);
	step = (struct step){ 2, to };
	batches = 0;
	fx.tgt->on_batch = on_batch;
	snprintf(spec, sizeof spec, "kill:%d", k);
	setenv("MAILHAUL_FAULT", spec, 1);
	rc = fixture_run(&fx);
	unsetenv("MAILHAUL_FAULT");
	if (lose)
		fixture_drop_state(&fx);
	/* In this one it is rewritten again, or for the first time. */
	if (fixture_run(&fx) != 0)
		fail_msg("kill %d: not all done", k);
	fx.tgt->on_batch = NULL;
	write_file(to, 1 << 20);
	if (fixture_run(&fx) != 0)
		fail_msg("kill %d: not all done then", k);
	assert_true(fixture_balanced(&fx));
	check_target(from, to, k, true);
	n = fx.tgt->nstored;
	assert_int_equal(fixture_run(&fx), 0);
	assert_int_equal(fx.tgt->nstored, n);
	return rc == -SIGKILL;
}

static void
test_kills(void **state)
{
	static const int from[] = { 0, 1, 2, 2, 3, 4, 2, 5, 5, 6, 10, 9, -1 };
	static const int to[] = { 0, 2, 3, 4, 2, 5, 6, 10, 9, 9, 12, -1 };
	char uri[160];
	int kills = 0;

	(void)state;
	snprintf(uri, sizeof uri, "mbox:%s", path);
	fx.source = uri;
	fx.set.empty_ok = true;
	for (int lose = 0; lose < 2; lose++)
		for (int k = 1 + 2 * lose; k < 200;
		    k += fixture_every(4)) {
			if (!kill_at(k, lose == 1, from, to))
				break;
			kills++;
		}
	assert_true(kills > 20 / fixture_every(1));
}

#endif

/* Locks. */

static void
test_lock_words(void **state)
{
	unsigned kinds;

	(void)state;
	assert_int_equal(mbox_lock_parse("none", &kinds), 0);
	assert_int_equal(kinds, 0);
	assert_int_equal(mbox_lock_parse("dot", &kinds), 0);
	assert_int_equal(kinds, MBOX_LOCK_DOT);
	assert_int_equal(mbox_lock_parse("flock,fcntl,dot", &kinds), 0);
	assert_int_equal(kinds, MBOX_LOCK_USUAL | MBOX_LOCK_DOT);
	assert_int_equal(mbox_lock_parse("", &kinds), -1);
	assert_int_equal(mbox_lock_parse("dot,", &kinds), -1);
	assert_int_equal(mbox_lock_parse("dot,dot", &kinds), -1);
	assert_int_equal(mbox_lock_parse("dot,none", &kinds), -1);
	assert_int_equal(mbox_lock_parse("Flock", &kinds), -1);
}

static int
names_in(const char *dir)
{
	DIR *d = opendir(dir);
	int n = -2;

	while (d != NULL && readdir(d) != NULL)
		n++;
	closedir(d);
	return n;
}

static void
test_lock_kinds(void **state)
{
	struct flock fl = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	struct timespec old[2] = { { 1000000000, 0 }, { 1000000000, 0 } };
	char dir[160], file[170], lockfile[180];
	struct mbox_lock l, other;
	int dirfd, fd, his;
	struct stat st;
	struct err e;

	(void)state;
	snprintf(dir, sizeof dir, "%s/locks", fx.dir);
	assert_int_equal(mkdir(dir, 0700), 0);
	snprintf(file, sizeof file, "%s/box", dir);
	snprintf(lockfile, sizeof lockfile, "%s/box.lock", dir);
	his = open(file, O_RDWR | O_CREAT, 0600);
	fd = open(file, O_RDONLY);
	dirfd = open(dir, O_PATH | O_DIRECTORY);
	assert_true(his != -1 && fd != -1 && dirfd != -1);

	/* Readers do not keep each other out, and writers are kept out. */
	mbox_lock_init(&l, MBOX_LOCK_USUAL, fd, dirfd, "box");
	assert_int_equal(mbox_lock_take(&l, 0, -1, &e), 0);
	assert_int_equal(fcntl(his, F_OFD_SETLK, &fl), -1);
	assert_int_equal(flock(his, LOCK_EX | LOCK_NB), -1);
	assert_int_equal(flock(his, LOCK_SH | LOCK_NB), 0);
	assert_int_equal(flock(his, LOCK_UN), 0);
	mbox_lock_drop(&l);
	assert_int_equal(names_in(dir), 1);

	/* One that another has: told by its name, and nothing else is kept. */
	assert_int_equal(fcntl(his, F_OFD_SETLK, &fl), 0);
	assert_int_equal(mbox_lock_take(&l, 100, -1, &e), -1);
	assert_true(e.retry && e.scope == ERR_MAILBOX);
	assert_non_null(strstr(e.text, "fcntl"));
	fl.l_type = F_UNLCK;
	assert_int_equal(fcntl(his, F_OFD_SETLK, &fl), 0);
	assert_int_equal(flock(his, LOCK_EX), 0);
	assert_int_equal(mbox_lock_take(&l, 100, -1, &e), -1);
	assert_non_null(strstr(e.text, "flock"));
	fl.l_type = F_WRLCK;
	assert_int_equal(fcntl(his, F_OFD_SETLK, &fl), 0);
	fl.l_type = F_UNLCK;
	assert_int_equal(fcntl(his, F_OFD_SETLK, &fl), 0);
	mbox_lock_release(&l);
	/* Only what is asked for. */
	mbox_lock_init(&l, MBOX_LOCK_FCNTL, fd, dirfd, "box");
	assert_int_equal(mbox_lock_take(&l, 0, -1, &e), 0);
	mbox_lock_release(&l);
	assert_int_equal(flock(his, LOCK_UN), 0);

	/* Lock files: ours, another's, an old one's. */
	mbox_lock_init(&l, MBOX_LOCK_DOT, fd, dirfd, "box");
	mbox_lock_init(&other, MBOX_LOCK_USUAL, fd, dirfd, "box");
	assert_int_equal(mbox_lock_take(&l, 0, -1, &e), 0);
	assert_int_equal(names_in(dir), 2);
	assert_int_equal(stat(lockfile, &st), 0);
	assert_int_equal(mbox_lock_take(&other, 50, -1, &e), -1);
	assert_non_null(strstr(e.text, "box.lock"));
	mbox_lock_drop(&l);
	assert_int_equal(names_in(dir), 1);
	assert_int_equal(mbox_lock_take(&other, 0, -1, &e), 0);
	mbox_lock_release(&other);
	assert_int_equal(close(open(lockfile, O_CREAT | O_WRONLY, 0600)), 0);
	assert_int_equal(mbox_lock_take(&l, 50, -1, &e), -1);
	assert_int_equal(utimensat(AT_FDCWD, lockfile, old, 0), 0);
	assert_int_equal(mbox_lock_take(&l, 0, -1, &e), 0);
	mbox_lock_release(&l);
	assert_int_equal(names_in(dir), 2);	/* it is not ours to remove */

	unlink(lockfile);
	unlink(file);
	rmdir(dir);
	close(fd);
	close(his);
	close(dirfd);
}

/* Rights. */

/* A line of what the kernel tells of this thread. */
static void
own_line(const char *name, char *line, size_t size)
{
	FILE *f = fopen("/proc/thread-self/status", "r");

	assert_non_null(f);
	while (fgets(line, (int)size, f) != NULL)
		if (strncmp(line, name, strlen(name)) == 0)
			break;
	fclose(f);
}

struct ids { char uid[200], gid[200], groups[2000], caps[200]; };

static void
own_ids(struct ids *i)
{
	memset(i, 0, sizeof *i);
	own_line("Uid:", i->uid, sizeof i->uid);
	own_line("Gid:", i->gid, sizeof i->gid);
	own_line("Groups:", i->groups, sizeof i->groups);
	own_line("CapEff:", i->caps, sizeof i->caps);
}

static void *
other_thread(void *p)
{
	own_ids(p);
	return NULL;
}

static void
test_as_user(void **state)
{
	const gid_t mine[] = { 0, 4242 };
	struct passwd *pw = getpwnam("nobody");
	struct ids before, inside, after, other;
	struct asuser *as;
	pthread_t thread;
	char file[170], want[100];
	struct err e;
	int fd;

	(void)state;
	assert_null(asuser_new("no such user", &e));
	assert_int_equal(e.scope, ERR_ACCOUNT);
	if (geteuid() != 0 || pw == NULL) {
		assert_null(asuser_new("root", &e));
		return;
	}
	assert_int_equal(syscall(SYS_setgroups, 2, mine), 0);
	snprintf(file, sizeof file, "%s/of-root", fx.dir);
	fd = open(file, O_CREAT | O_WRONLY, 0600);
	assert_true(fd != -1);
	close(fd);
	assert_int_equal(chmod(fx.dir, 0755), 0);

	own_ids(&before);
	as = asuser_new("nobody", &e);
	assert_non_null(as);
	assert_int_equal(asuser_enter(as, &e), 0);
	assert_int_equal(asuser_enter(as, &e), 0);
	own_ids(&inside);
	assert_int_equal(open(file, O_RDONLY), -1);
	assert_int_equal(errno, EACCES);
	assert_int_equal(pthread_create(&thread, NULL, other_thread, &other),
	    0);
	pthread_join(thread, NULL);
	asuser_leave(as);
	assert_int_equal(open(file, O_RDONLY), -1);
	asuser_pause(as);
	fd = open(file, O_RDONLY);
	assert_true(fd != -1);
	close(fd);
	assert_int_equal(asuser_resume(as, &e), 0);
	assert_int_equal(open(file, O_RDONLY), -1);
	asuser_leave(as);
	own_ids(&after);
	assert_memory_equal(&before, &after, sizeof before);
	/* His file-system ids and groups, ours elsewhere. */
	snprintf(want, sizeof want, "Uid:\t0\t0\t0\t%u\n", (unsigned)pw->pw_uid);
	assert_string_equal(inside.uid, want);
	snprintf(want, sizeof want, "Gid:\t0\t0\t0\t%u\n", (unsigned)pw->pw_gid);
	assert_string_equal(inside.gid, want);
	assert_null(strstr(inside.groups, "4242"));
	assert_non_null(strstr(before.groups, "4242"));
	assert_string_not_equal(inside.caps, before.caps);
	asuser_free(&as);

	/* Another thread is never touched while one is in. */
	as = asuser_new("nobody", &e);
	assert_int_equal(pthread_create(&thread, NULL, other_thread, &other),
	    0);
	pthread_join(thread, NULL);
	assert_string_equal(other.groups, before.groups);
	asuser_free(&as);
	assert_int_equal(syscall(SYS_setgroups, 1, mine), 0);
	unlink(file);
}

/* Waits to look at itself until it is told to. */
struct waiting { pthread_barrier_t begin, end; struct ids ids; };

static void *
waiting_thread(void *p)
{
	struct waiting *w = p;

	pthread_barrier_wait(&w->begin);
	own_ids(&w->ids);
	pthread_barrier_wait(&w->end);
	return NULL;
}

static void
test_as_user_one_thread(void **state)
{
	struct waiting w;
	struct ids before;
	struct asuser *as;
	pthread_t thread;
	struct err e;

	(void)state;
	if (geteuid() != 0 || (as = asuser_new("nobody", &e)) == NULL)
		return;
	own_ids(&before);
	pthread_barrier_init(&w.begin, NULL, 2);
	pthread_barrier_init(&w.end, NULL, 2);
	assert_int_equal(pthread_create(&thread, NULL, waiting_thread, &w), 0);
	assert_int_equal(asuser_enter(as, &e), 0);
	pthread_barrier_wait(&w.begin);
	pthread_barrier_wait(&w.end);
	asuser_leave(as);
	pthread_join(thread, NULL);
	assert_memory_equal(&w.ids, &before, sizeof before);
	pthread_barrier_destroy(&w.begin);
	pthread_barrier_destroy(&w.end);
	asuser_free(&as);
}

/* Homes. */

static void
spool_is(const char *home, const char *user, const char *inbox,
    const char *want)
{
	char *got = uw_spool(home, user, inbox);

	if (want == NULL)
		assert_null(got);
	else
		assert_string_equal(got, want);
	free(got);
}

static void
test_spool(void **state)
{
	(void)state;
	spool_is("/home/anna", NULL, NULL, "/var/mail/anna");
	spool_is("/home/anna//", NULL, NULL, "/var/mail/anna");
	spool_is("anna", NULL, NULL, "/var/mail/anna");
	spool_is("/home/x", "anna", NULL, "/var/mail/anna");
	spool_is("/home/anna", "x", "/spool/a", "/spool/a");
	spool_is("/", NULL, NULL, NULL);
	spool_is("/home/anna/.", NULL, NULL, NULL);
	spool_is("..", NULL, NULL, NULL);
	spool_is("/home/anna", "../etc", NULL, NULL);
	spool_is("/home/anna", "..", NULL, NULL);
}

static void
test_wanted(void **state)
{
	static const char text[] = "mail/a\r\n~/b\n\n./c//d/\n/etc/passwd\n"
	    "{host}x\n#news\n~root/x\nlast";
	static const char *const want[] = { "mail/a", "b", "c/d", "last" };
	const char *const *got;
	struct arena a;

	(void)state;
	arena_init(&a);
	got = mbox_wanted_parse(text, sizeof text - 1, &a);
	for (size_t i = 0; i < 4; i++)
		assert_string_equal(got[i], want[i]);
	assert_null(got[4]);
	arena_release(&a);
}

/* INBOX in two files: counted, read, known again, in any order. */
static void
test_two_files(void **state)
{
	static const int read_before[] = { 0, 2, 3, -1 }, new[] = { 2, 5, -1 };
	char home[140], options[200], mbox[160], spool[160];
	struct msg_meta m[5];
	struct opened o;
	struct buf token, other;
	enum delta d;
	uint64_t n;

	(void)state;
	snprintf(home, sizeof home, "%s/home", fx.dir);
	snprintf(mbox, sizeof mbox, "%s/mbox", home);
	snprintf(spool, sizeof spool, "%s/spool", fx.dir);
	snprintf(options, sizeof options, "?layout=uw&inbox=%s", spool);
	assert_int_equal(mkdir(home, 0700), 0);
	write_file(read_before, 1 << 20);
	assert_int_equal(rename(path, mbox), 0);
	write_file(new, 1 << 20);
	assert_int_equal(rename(path, spool), 0);
	buf_init(&token, 4096);
	buf_init(&other, 4096);

	assert_int_equal(open_store(&o, home, options), 0);
	assert_int_equal(o.n, 1);
	assert_string_equal(o.folders[0].name, "INBOX");
	assert_int_equal(open_folder(&o, false), 0);
	assert_int_equal(source_folder_count(o.s, &n, &o.e), 0);
	assert_int_equal(n, 5);
	for (int i = 0; i < 5; i++)
		assert_int_equal(source_next(o.s, &o.a, &m[i], &o.e), 1);
	for (int i = 4; i >= 0; i--) {
		static const int want[] = { 0, 2, 3, 2, 5 };

		assert_int_equal(read_content(&o, &m[i]), want[i]);
		assert_int_equal(m[i].uid, 0);
	}
	assert_int_equal(source_next(o.s, &o.a, &m[0], &o.e), 0);
	assert_int_equal(source_folder_token(o.s, &token, &o.e), 0);
	assert_true(token.len > 0);
	source_folder_close(o.s);
	assert_int_equal(source_folder_open(o.s, o.folders, &token, 0, &d,
	    &o.e), 0);
	assert_int_equal(d, DELTA_UNCHANGED);
	assert_int_equal(o.folders[0].messages, 5);
	source_folder_close(o.s);
	/* The spool goes away; then nothing is left. */
	assert_int_equal(unlink(spool), 0);
	assert_int_equal(source_folder_open(o.s, o.folders, &token, 0, &d,
	    &o.e), 0);
	assert_int_equal(d, DELTA_FULL);
	assert_int_equal(source_folder_count(o.s, &n, &o.e), 0);
	assert_int_equal(n, 3);
	source_folder_close(o.s);
	assert_int_equal(unlink(mbox), 0);
	assert_int_equal(open_folder(&o, true), 0);
	assert_int_equal(source_next(o.s, &o.a, &m[0], &o.e), 0);
	assert_int_equal(source_folder_count(o.s, &n, &o.e), 0);
	assert_int_equal(n, 0);
	assert_int_equal(source_folder_token(o.s, &other, &o.e), 0);
	close_store(&o);
	assert_int_equal(rmdir(home), 0);
	buf_release(&token);
	buf_release(&other);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_without_locks, setup),
		cmocka_unit_test_setup(test_busy_file, setup),
		cmocka_unit_test_setup(test_places, setup),
		cmocka_unit_test_setup(test_streamed, setup),
		cmocka_unit_test_setup(test_engine, setup),
		cmocka_unit_test_setup(test_every_batch, setup),
#ifdef MAILHAUL_FAULTS
		cmocka_unit_test_setup(test_kills, setup),
#endif
		cmocka_unit_test_setup(test_lock_words, setup),
		cmocka_unit_test_setup(test_lock_kinds, setup),
		cmocka_unit_test_setup(test_as_user, setup),
		cmocka_unit_test_setup(test_as_user_one_thread, setup),
		cmocka_unit_test_setup(test_spool, setup),
		cmocka_unit_test_setup(test_wanted, setup),
		cmocka_unit_test_setup(test_two_files, setup),
	};
	int rc;

	fixture_start(&fx);
	snprintf(path, sizeof path, "%s/box", fx.dir);
	rc = cmocka_run_group_tests(tests, NULL, NULL);
	fixture_stop(&fx);
	return rc;
}
