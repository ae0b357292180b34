/* Secrets: where they come from, and what is refused. */
#include <fcntl.h>
#include <pthread.h>
#include <pty.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include <cmocka.h>

#include "secret.h"

static struct secrets *ss;
static char dir[64], path[128];

static int
setup(void **state)
{
	(void)state;
	ss = secrets_new(0);
	snprintf(dir, sizeof dir, "/tmp/mailhaul-secret-XXXXXX");
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof path, "%s/secret", dir);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	secrets_free(&ss);
	assert_null(ss);
	unlink(path);
	rmdir(dir);
	return 0;
}

static void
put_file(const char *p, size_t n)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	assert_int_not_equal(fd, -1);
	assert_int_equal(write(fd, p, n), n);
	close(fd);
}

static int
get(enum secret_kind kind, const char *value, const char **s, struct err *e)
{
	struct secret_spec spec = { kind, strdup(value) };
	int rc = secret_get(ss, &spec, s, e);

	secret_spec_release(&spec);
	return rc;
}

static const char *
got(enum secret_kind kind, const char *value)
{
	const char *s;
	struct err e;

	if (get(kind, value, &s, &e) != 1)
		fail_msg("%s: %s", value, e.text);
	return s;
}

static void
refused(enum secret_kind kind, const char *value, const char *words)
{
	const char *s;
	struct err e;

	assert_int_equal(get(kind, value, &s, &e), -1);
	assert_null(s);
	if (strstr(e.text, words) == NULL)
		fail_msg("%s: '%s' lacks '%s'", value, e.text, words);
}

static void
files(void **state)
{
	const char *s;

	(void)state;
	put_file("top secret \r\nsecond", 19);
	s = got(SECRET_FILE, path);
	assert_string_equal(s, "top secret ");
	/* Kept: read once. */
	put_file("other", 5);
	assert_ptr_equal(got(SECRET_FILE, path), s);
}

static void
bad_files(void **state)
{
	char *big;

	(void)state;
	refused(SECRET_FILE, path, "No such file");
	refused(SECRET_FILE, dir, "no plain file");
	put_file("", 0);
	refused(SECRET_FILE, path, "is empty");
	put_file("\nx", 2);
	refused(SECRET_FILE, path, "is empty");
	put_file("a\0b\n", 4);
	refused(SECRET_FILE, path, "NUL");
	big = calloc(1, 20000);
	memset(big, 'x', 20000);
	put_file(big, 20000);
	refused(SECRET_FILE, path, "is no secret");
	free(big);
	put_file("x\n", 2);
	chmod(path, 0640);
	refused(SECRET_FILE, path, "chmod 600");
	chmod(path, 0604);
	refused(SECRET_FILE, path, "chmod 600");
	unlink(path);
	assert_int_equal(mkfifo(path, 0600), 0);
	refused(SECRET_FILE, path, "no plain file");
	unlink(path);
	put_file("x\n", 2);
	chmod(path, 0400);
	assert_string_equal(got(SECRET_FILE, path), "x");
}

static void
variables(void **state)
{
	(void)state;
	setenv("MAILHAUL_TEST_SECRET", "s3", 1);
	assert_string_equal(got(SECRET_ENV, "MAILHAUL_TEST_SECRET"), "s3");
	unsetenv("MAILHAUL_TEST_SECRET");
	refused(SECRET_ENV, "MAILHAUL_TEST_NONE", "MAILHAUL_TEST_NONE");
}

static void
descriptors(void **state)
{
	int fds[2];
	char number[16], rest[8];

	(void)state;
	assert_int_equal(pipe(fds), 0);
	assert_int_equal(write(fds[1], "one\ntwo\n", 8), 8);
	snprintf(number, sizeof number, "%d", fds[0]);
	assert_string_equal(got(SECRET_FD, number), "one");
	assert_string_equal(got(SECRET_FD, number), "one");
	/* What follows is left there. */
	assert_int_equal(read(fds[0], rest, sizeof rest), 4);
	close(fds[0]);
	close(fds[1]);
	refused(SECRET_FD, "1", "descriptor");
	refused(SECRET_FD, "x", "descriptor");
	refused(SECRET_FD, "99999", "secret-fd");
	refused(SECRET_FD, "999999999999", "descriptor");
}

static void
commands(void **state)
{
	(void)state;
	assert_string_equal(got(SECRET_COMMAND, "printf 'a b\\n%s' c"), "a b");
	assert_string_equal(got(SECRET_COMMAND, "echo \"$HOME; `id`\" '*'"),
	    "$HOME; `id` *");
	assert_string_equal(got(SECRET_COMMAND, "sh -c \"kill -l 2 || echo\""),
	    "INT");
	refused(SECRET_COMMAND, "false hunter2", "false ended with exit code "
	    "1");
	refused(SECRET_COMMAND, "sh -c 'kill -9 $$'", "signal 9");
	refused(SECRET_COMMAND, "true", "is empty");
	refused(SECRET_COMMAND, "/no/such/program", "No such file");
	refused(SECRET_COMMAND, "echo 'x", "do not close");
	refused(SECRET_COMMAND, "  ", "no command");
	refused(SECRET_COMMAND, "head -c 100000 /dev/zero", "");
}

/* The arguments of a command may be secrets: no message shows them. */
static void
silent(void **state)
{
	const char *s;
	struct err e;

	(void)state;
	assert_int_equal(get(SECRET_COMMAND, "false hunter2", &s, &e), -1);
	assert_null(strstr(e.text, "hunter2"));
}

static void
split(void **state)
{
	struct err e;
	char **v = secret_split(" a 'b c'\"d\\\"\"e \\  '' \"\\x\"'\\'\t", &e);

	(void)state;
	assert_non_null(v);
	assert_string_equal(v[0], "a");
	assert_string_equal(v[1], "b cd\"e");
	assert_string_equal(v[2], " ");
	assert_string_equal(v[3], "");
	assert_string_equal(v[4], "x\\");
	assert_null(v[5]);
	free(v);
	assert_null(secret_split("", &e));
	assert_null(secret_split("'' x", &e));
	v = secret_split("a b c d e f g h", &e);
	assert_string_equal(v[7], "h");
	assert_null(v[8]);
	free(v);
	v = secret_split("a\\", &e);
	assert_string_equal(v[0], "a\\");
	free(v);
}

static void
renewal(void **state)
{
	struct secret_spec spec = { SECRET_FILE, path };
	const char *one, *two, *three;
	struct err e;

	(void)state;
	put_file("one\n", 4);
	assert_int_equal(secret_get(ss, &spec, &one, &e), 1);
	put_file("two\n", 4);
	secret_renew(ss, &spec, one);
	assert_int_equal(secret_get(ss, &spec, &two, &e), 1);
	assert_string_equal(one, "one");	/* others may still use it */
	assert_string_equal(two, "two");
	/* Somebody was late to notice. */
	secret_renew(ss, &spec, one);
	assert_int_equal(secret_get(ss, &spec, &three, &e), 1);
	assert_ptr_equal(two, three);
	/* A failure is not kept. */
	secret_renew(ss, &spec, two);
	unlink(path);
	assert_int_equal(secret_get(ss, &spec, &three, &e), -1);
	put_file("three\n", 6);
	assert_int_equal(secret_get(ss, &spec, &three, &e), 1);
	assert_string_equal(three, "three");
}

static void
take(const char *text, const char *listed, enum secret_kind kind,
    const char *value)
{
	struct secret_spec spec;
	struct uri *u;
	struct err e;
	size_t i;

	assert_int_equal(uri_parse(&u, text, &e), 0);
	if (secret_spec_take(u, listed, &spec, &e) == -1)
		fail_msg("%s: %s", text, e.text);
	assert_int_equal(spec.kind, kind);
	if (value == NULL)
		assert_null(spec.value);
	else
		assert_string_equal(spec.value, value);
	for (i = 0; i < u->nopts; i++)
		assert_true(strncmp(u->opts[i].key, "secret", 6) != 0);
	secret_spec_release(&spec);
	assert_null(spec.value);
	uri_free(&u);
}

static void
take_bad(const char *text, const char *listed, const char *words)
{
	struct secret_spec spec;
	struct uri *u;
	struct err e;

	assert_int_equal(uri_parse(&u, text, &e), 0);
	assert_int_equal(secret_spec_take(u, listed, &spec, &e), -1);
	if (strstr(e.text, words) == NULL)
		fail_msg("%s: '%s' lacks '%s'", text, e.text, words);
	secret_spec_release(&spec);
	uri_free(&u);
}

static void
specs(void **state)
{
	(void)state;
	take("imap://a@h?tls=none&secret-env=X&ca=y", NULL, SECRET_ENV, "X");
	take("imap://a@h?secret-fd=3", "", SECRET_FD, "3");
	take("imap://a@h", "pw", SECRET_LISTED, "pw");
	take("imap://a@h:1143", "", SECRET_PROMPT, "a@h:1143");
	take("imap://a@h?auth=external", NULL, SECRET_NONE, NULL);
	take("imap://h", NULL, SECRET_NONE, NULL);
	take("maildir:/x", NULL, SECRET_NONE, NULL);
	take_bad("imap://a@h?secret-env=X&secret-file=y", NULL, "one of them");
	take_bad("imap://a@h?secret-env=X", "pw", "one of them");
	take_bad("imap://a@h?secret-env=", NULL, "is empty");
}

static void
none(void **state)
{
	struct secret_spec spec = { SECRET_NONE, NULL };
	const char *s;
	struct err e;

	(void)state;
	assert_int_equal(secret_get(ss, &spec, &s, &e), 0);
	assert_null(s);
	spec.kind = SECRET_LISTED;
	spec.value = path;
	assert_int_equal(secret_get(ss, &spec, &s, &e), 1);
	assert_ptr_equal(s, path);
	refused(SECRET_PROMPT, "a@h", "no password for a@h; give secret-file");
}

/* Types keys at a terminal that asks; its echo and its answer. */
static char *
typed(const char *keys, char *echo, size_t size)
{
	int master, answer[2];
	struct termios before, after;
	ssize_t n, have = 0;
	static char word[256];
	pid_t pid;
	int slave, status;

	assert_int_equal(openpty(&master, &slave, NULL, NULL, NULL), 0);
	assert_int_equal(pipe(answer), 0);
	assert_int_equal(tcgetattr(slave, &before), 0);
	if ((pid = fork()) == 0) {
		struct err e;
		char *s = secret_ask(slave, "Password: ", &e);

		if (s != NULL)
			n = write(answer[1], s, strlen(s));
		_exit(s == NULL);
	}
	/* After its question it has switched the echo off. */
	while (have < 10 && (n = read(master, echo + have,
	    size - 1 - (size_t)have)) > 0)
		have += n;
	assert_int_equal(write(master, keys, strlen(keys)), strlen(keys));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	fcntl(master, F_SETFL, O_NONBLOCK);
	while ((n = read(master, echo + have, size - 1 - (size_t)have)) > 0)
		have += n;
	echo[have] = '\0';
	assert_int_equal(tcgetattr(slave, &after), 0);
	assert_int_equal(before.c_lflag, after.c_lflag);
	close(answer[1]);
	n = read(answer[0], word, sizeof word - 1);
	word[n > 0 ? n : 0] = '\0';
	close(answer[0]);
	close(master);
	close(slave);
	return WEXITSTATUS(status) == 0 ? word : NULL;
}

static void
terminal(void **state)
{
	char echo[256];

	(void)state;
	assert_string_equal(typed("hunter2\r", echo, sizeof echo), "hunter2");
	assert_string_equal(echo, "Password: \r\n");
	assert_string_equal(typed("ab\177\177\177c\025xy\bz\n", echo,
	    sizeof echo), "xz");
	assert_null(typed("abc\003", echo, sizeof echo));
	assert_null(typed("\004", echo, sizeof echo));
	assert_null(typed("\n", echo, sizeof echo));
	assert_string_equal(typed("abc\004", echo, sizeof echo), "abc");
}

static void *
thread(void *arg)
{
	struct secret_spec spec = { SECRET_COMMAND, arg };
	const char *s = NULL;
	struct err e;

	secret_get(ss, &spec, &s, &e);
	return (void *)(uintptr_t)s;
}

/* Eight threads want the same: the command runs once. */
static void
threads(void **state)
{
	pthread_t t[8];
	void *s[8];
	char command[400];
	int i;

	(void)state;
	snprintf(command, sizeof command,
	    "sh -c 'sleep 0.1; echo x >>%s; wc -l <%s'", path, path);
	for (i = 0; i < 8; i++)
		assert_int_equal(pthread_create(&t[i], NULL, thread, command),
		    0);
	for (i = 0; i < 8; i++)
		pthread_join(t[i], &s[i]);
	for (i = 0; i < 8; i++)
		assert_ptr_equal(s[i], s[0]);
	assert_string_equal(s[0], "1");
}

int
main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(files), T(bad_files), T(variables), T(descriptors),
		T(commands), T(silent), T(split), T(renewal), T(specs),
		T(none), T(terminal), T(threads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
