/* The logs: names, lines, places, full disks, rotation. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <ctype.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/xmalloc.h"
#include "log.h"

static char dir[] = "/tmp/mhlXXXXXX", path[200];
static unsigned told;
static char last_told[1000];

static void
tell(void *ctx, const char *text)
{
	(void)ctx;
	told++;
	snprintf(last_told, sizeof last_told, "%s", text);
}

static int
setup(void **state)
{
	(void)state;
	snprintf(dir, sizeof dir, "/tmp/mhlXXXXXX");
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof path, "%s/s.db", dir);
	told = 0;
	return 0;
}

static int
teardown(void **state)
{
	char cmd[300];

	(void)state;
	snprintf(cmd, sizeof cmd, "rm -rf '%s'", dir);
	return system(cmd);
}

/* The whole file; "" when there is none.  The caller frees. */
static char *
contents(const char *suffix)
{
	char name[600], *p = xcalloc(1, 1 << 20);
	FILE *f;

	snprintf(name, sizeof name, "%s%s", path, suffix);
	if ((f = fopen(name, "r")) != NULL) {
		p[fread(p, 1, (1 << 20) - 1, f)] = '\0';
		fclose(f);
	}
	return p;
}

static size_t
lines(const char *p)
{
	size_t n = 0;

	for (; *p != '\0'; p++)
		n += *p == '\n';
	return n;
}

static char *
name_of(const char *account)
{
	struct buf b;

	buf_init(&b, 1 << 20);
	log_file_name(&b, account);
	return buf_detach(&b, NULL);
}

static void
test_names(void **state)
{
	static const char *const accounts[] = {
		"anna@example.net", "", ".", "..", "../../etc/passwd", "/",
		".hidden", "-rf", "a/b", "a%2Fb", "a%2fb", "%", "%~", "a\nb",
		"a b", "M\xc3\xbcller", "\xff\xfe", "*", "a.log", "a.trace", "A",
		"a", "\x01", "%25"
	};
	const size_t n = sizeof accounts / sizeof accounts[0];
	char longer[3][5000];
	char *names[40];
	size_t k = 0;

	(void)state;
	for (size_t i = 0; i < n; i++) {
		char back[1000];
		size_t m = 0;

		names[k] = name_of(accounts[i]);
		assert_null(strchr(names[k], '/'));
		assert_true(names[k][0] != '.' && names[k][0] != '-' &&
		    names[k][0] != '\0');
		/* It can be read back. */
		for (const char *p = names[k]; *p != '\0' && accounts[i][0] !=
		    '\0'; p++) {
			assert_true(*p == '%' || isalnum((unsigned char)*p) ||
			    strchr("@._+-", *p) != NULL);
			if (*p == '%') {
				unsigned v;

				assert_int_equal(sscanf(p + 1, "%2X", &v), 1);
				back[m++] = (char)v;
				p += 2;
			} else
				back[m++] = *p;
		}
		back[m] = '\0';
		assert_string_equal(back, accounts[i]);
		k++;
	}
	/* Too long for a file name: cut, and still told apart. */
	for (size_t i = 0; i < 3; i++) {
		memset(longer[i], i == 2 ? '/' : 'x', sizeof longer[i]);
		longer[i][sizeof longer[i] - 1] = '\0';
	}
	longer[1][4000] = 'y';
	for (size_t i = 0; i < 3; i++) {
		names[k] = name_of(longer[i]);
		assert_true(strlen(names[k]) <= LOG_NAME_MAX);
		assert_non_null(strstr(names[k], "%~"));
		k++;
	}
	longer[0][LOG_NAME_MAX] = '\0';
	names[k] = name_of(longer[0]);
	assert_string_equal(names[k], longer[0]);
	k++;
	for (size_t i = 0; i < k; i++)
		for (size_t j = 0; j < i; j++)
			assert_string_not_equal(names[i], names[j]);
	while (k > 0)
		free(names[--k]);
}

static void
test_lines(void **state)
{
	static const struct log_about about = { "joe", "Old \"Mail\"\n2026 x",
	    "mail.example.net", "uid 17" };
	struct log *l = log_new(path, NULL, true, tell, NULL);
	char name[300], text[9000], *p;
	struct stat st;
	int y, mo, d, h, mi, s, ms, zh, zm, end = 0;
	char sign;

	(void)state;
	log_event(l, LOG_RUN, "run-begin", NULL, "number %d", 5);
	log_warn(l, LOG_BOTH, "refused", &about, "NO \x1b[2J bad\r\nline\xff");
	log_event(l, LOG_ACCOUNT, "login", &about, "only there");
	memset(text, 'w', sizeof text);
	memcpy(text + 5000, "\xc3\xa4", 2);
	text[sizeof text - 1] = '\0';
	log_event(l, LOG_RUN, "long", NULL, "%s", text);
	log_trace(l, "joe", "s1 > NOOP");
	log_free(&l);
	assert_null(l);
	assert_int_equal(told, 0);

	p = contents(".log");
	assert_int_equal(sscanf(p, "%4d-%2d-%2dT%2d:%2d:%2d.%3d%c%2d:%2d info "
	    "run-begin: number 5\n%n", &y, &mo, &d, &h, &mi, &s, &ms, &sign,
	    &zh, &zm, &end), 10);
	assert_true(end > 0 && y > 2020 && (sign == '+' || sign == '-'));
	assert_int_equal(lines(p), 3);
	assert_non_null(strstr(p, " warn refused account=joe mailbox=\"Old "
	    "\\\"Mail\\\"\\x0a2026 x\" host=mail.example.net where=\"uid "
	    "17\": NO \\x1b[2J bad\\x0d\\x0aline\\xff\n"));
	assert_null(strstr(p, "only there"));
	assert_non_null(strstr(p, "wwww ...\n"));
	assert_true(strlen(strstr(p, "info long")) < LOG_LINE_MAX);
	free(p);
	p = contents(".logs/joe.log");
	assert_int_equal(lines(p), 2);
	assert_non_null(strstr(p, "only there"));
	free(p);
	p = contents(".logs/joe.trace");
	assert_non_null(strstr(p, " s1 > NOOP\n"));
	free(p);

	snprintf(name, sizeof name, "%s.logs", path);
	assert_int_equal(stat(name, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0700);
	snprintf(name, sizeof name, "%s.logs/joe.log", path);
	assert_int_equal(stat(name, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	/* A NULL log takes everything. */
	log_event(NULL, LOG_BOTH, "x", &about, "x");
	log_trace(NULL, "joe", "x");
	log_free(&l);
}

/* Names of accounts and mailboxes that are longer than a line. */
static void
test_long_names(void **state)
{
	struct log *l = log_new(path, NULL, true, tell, NULL);
	char *huge = xcalloc(1, 70000), *p;
	struct log_about about = { huge, huge, huge, huge };

	(void)state;
	memset(huge, '/', 69999);
	log_event(l, LOG_BOTH, "x", &about, "%s", huge);
	memset(huge, '\n', 69999);
	log_event(l, LOG_BOTH, "x", &about, "%s", huge);
	log_free(&l);
	assert_int_equal(told, 0);
	p = contents(".log");
	assert_int_equal(lines(p), 2);
	assert_true(strlen(p) <= 2 * LOG_LINE_MAX);
	free(p);
	free(huge);
}

static void
place(const char *suffix, const char *what)
{
	char name[300], victim[300];

	snprintf(name, sizeof name, "%s%s", path, suffix);
	snprintf(victim, sizeof victim, "%s/victim", dir);
	unlink(name);
	if (strcmp(what, "link") == 0)
		assert_int_equal(symlink(victim, name), 0);
	else if (strcmp(what, "hard") == 0)
		assert_int_equal(link(victim, name), 0);
	else if (strcmp(what, "fifo") == 0)
		assert_int_equal(mkfifo(name, 0600), 0);
	else
		assert_int_equal(mkdir(name, 0700), 0);
}

/* What somebody else may have put where a log goes. */
static void
test_places(void **state)
{
	static const char *const what[] = { "link", "hard", "fifo", "dir" };
	static const struct log_about joe = { "joe", NULL, NULL, NULL };
	char victim[400], logs[300], *p;
	struct stat st;
	struct log *l;
	FILE *f;

	(void)state;
	snprintf(victim, sizeof victim, "%s/victim", dir);
	snprintf(logs, sizeof logs, "%s.logs", path);
	assert_non_null(f = fopen(victim, "w"));
	fputs("mine\n", f);
	fclose(f);
	assert_int_equal(mkdir(logs, 0700), 0);
	for (size_t i = 0; i < 4; i++) {
		told = 0;
		l = log_new(path, NULL, true, tell, NULL);
		place(".log", what[i]);
		place(".logs/joe.log", what[i]);
		log_event(l, LOG_BOTH, "x", &joe, "x");
		log_event(l, LOG_BOTH, "x", &joe, "x");
		log_free(&l);
		assert_int_equal(told, 1);
		assert_non_null(strstr(last_told, "s.db.log"));
		assert_int_equal(stat(victim, &st), 0);
		assert_int_equal(st.st_size, 5);
		snprintf(victim, sizeof victim, "%s.log", path);
		remove(victim);
		snprintf(victim, sizeof victim, "%s/joe.log", logs);
		remove(victim);
		snprintf(victim, sizeof victim, "%s/victim", dir);
	}
	/* The directory: writable by others, then a link. */
	assert_int_equal(chmod(logs, 0777), 0);
	for (int i = 0; i < 2; i++) {
		told = 0;
		l = log_new(path, NULL, true, tell, NULL);
		log_event(l, LOG_ACCOUNT, "x", &joe, "x");
		log_free(&l);
		assert_int_equal(told, 1);
		snprintf(victim, sizeof victim, "%s.logs/joe.log", path);
		assert_int_equal(access(victim, F_OK), -1);
		if (i == 0) {
			assert_int_equal(rmdir(logs), 0);
			assert_int_equal(symlink(dir, logs), 0);
		}
	}
	/* Taken away while we run, it is made anew. */
	assert_int_equal(unlink(logs), 0);
	told = 0;
	l = log_new(path, NULL, true, tell, NULL);
	log_event(l, LOG_ACCOUNT, "one", &joe, "x");
	assert_int_equal(unlink(victim), 0);
	assert_int_equal(rmdir(logs), 0);
	log_event(l, LOG_ACCOUNT, "two", &joe, "x");
	log_free(&l);
	assert_int_equal(told, 0);
	p = contents(".logs/joe.log");
	assert_non_null(strstr(p, " two "));
	free(p);
}

/* In another directory the names are the state's. */
static void
test_directory(void **state)
{
	static const struct log_about joe = { "joe", NULL, NULL, NULL };
	char other[300], name[600];
	struct log *l;

	(void)state;
	snprintf(other, sizeof other, "%s/logs", dir);
	assert_int_equal(mkdir(other, 0755), 0);
	l = log_new(path, other, true, tell, NULL);
	log_event(l, LOG_BOTH, "x", &joe, "x");
	log_free(&l);
	snprintf(name, sizeof name, "%s/s.db.log", other);
	assert_int_equal(access(name, R_OK), 0);
	snprintf(name, sizeof name, "%s/s.db.logs/joe.log", other);
	assert_int_equal(access(name, R_OK), 0);
	/* For traces only. */
	snprintf(other, sizeof other, "%s", dir);
	l = log_new(path, NULL, false, tell, NULL);
	log_event(l, LOG_BOTH, "x", &joe, "x");
	log_trace(l, "joe", "x");
	log_free(&l);
	snprintf(name, sizeof name, "%s.log", path);
	assert_int_equal(access(name, F_OK), -1);
	snprintf(name, sizeof name, "%s.logs/joe.trace", path);
	assert_int_equal(access(name, R_OK), 0);
	assert_int_equal(told, 0);
}

static void
limit(rlim_t bytes)
{
	struct rlimit r;

	assert_int_equal(getrlimit(RLIMIT_FSIZE, &r), 0);
	r.rlim_cur = bytes;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &r), 0);
}

/* A disk that is full in the middle of a line. */
static void
test_full(void **state)
{
	struct log *l = log_new(path, NULL, true, tell, NULL);
	size_t before;
	char *p;

	(void)state;
	signal(SIGXFSZ, SIG_IGN);
	log_event(l, LOG_RUN, "one", NULL, "fits");
	p = contents(".log");
	before = strlen(p);
	free(p);
	limit(before + 20);
	for (int i = 0; i < 5; i++)
		log_event(l, LOG_RUN, "two", NULL, "does not fit");
	assert_int_equal(told, 1);
	assert_non_null(strstr(last_told, "goes on"));
	p = contents(".log");
	assert_int_equal(strlen(p), before);	/* no half a line */
	free(p);
	limit(RLIM_INFINITY);
	log_event(l, LOG_RUN, "three", NULL, "fits again");
	log_free(&l);
	assert_int_equal(told, 1);
	p = contents(".log");
	assert_int_equal(lines(p), 3);
	assert_non_null(strstr(p, "warn log: 5 lines of the logs could not"));
	assert_null(strstr(p, "does not fit"));
	assert_non_null(strstr(p, "info three: fits again\n"));
	free(p);
}

/* A process that was killed while it wrote. */
static void
test_torn(void **state)
{
	struct log *l;
	char name[300], *p;
	FILE *f;

	(void)state;
	snprintf(name, sizeof name, "%s.log", path);
	assert_non_null(f = fopen(name, "w"));
	fputs("a whole line\nhalf a li", f);
	fclose(f);
	l = log_new(path, NULL, true, tell, NULL);
	log_event(l, LOG_RUN, "next", NULL, "on its own");
	log_free(&l);
	p = contents(".log");
	assert_int_equal(lines(p), 3);
	assert_memory_equal(p, "a whole line\nhalf a li\n2", 24);
	free(p);
}

#define THREADS	4
#define EACH	500

static void *
writer(void *arg)
{
	const struct log_about joe = { "joe", NULL, NULL, NULL };

	for (int i = 0; i < EACH; i++)
		log_event(arg, LOG_BOTH, "busy", &joe, "line %d of many that "
		    "are long enough to be seen when they are torn", i);
	return NULL;
}

/* Files that are renamed away while threads write to them. */
static void
test_rotation(void **state)
{
	struct log *l = log_new(path, NULL, true, tell, NULL);
	pthread_t t[THREADS];
	size_t total = 0;
	char from[300], to[400], suffix[40], *p;

	(void)state;
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&t[i], NULL, writer, l), 0);
	snprintf(from, sizeof from, "%s.logs/joe.log", path);
	for (int i = 0; i < 20; i++) {
		snprintf(to, sizeof to, "%s.%d", from, i);
		usleep(2000);
		(void)!rename(from, to);
	}
	for (int i = 0; i < THREADS; i++)
		pthread_join(t[i], NULL);
	log_free(&l);
	assert_int_equal(told, 0);
	for (int i = -1; i < 20; i++) {
		snprintf(suffix, sizeof suffix, i < 0 ? ".logs/joe.log" :
		    ".logs/joe.log.%d", i);
		p = contents(suffix);
		total += lines(p);
		for (char *q = p; *q != '\0'; q = strchr(q, '\n') + 1) {
			assert_non_null(strchr(q, '\n'));
			assert_memory_equal(strchr(q, '\n') - 5, " torn", 5);
		}
		free(p);
	}
	assert_int_equal(total, THREADS * EACH);
	p = contents(".log");
	assert_int_equal(lines(p), THREADS * EACH);
	free(p);
}

int
main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_names), T(test_lines), T(test_long_names),
		T(test_places), T(test_directory), T(test_full), T(test_torn),
		T(test_rotation),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
