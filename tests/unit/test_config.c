/* Settings: job files, options, --set, what is shown. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "config.h"

static struct config *c;
static struct buf errors;

static int
setup(void **state)
{
	(void)state;
	c = config_new();
	buf_init(&errors, 1 << 20);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	config_free(&c);
	assert_null(c);
	buf_release(&errors);
	return 0;
}

static size_t
job(const char *dir, const char *text)
{
	return config_read_text(c, "t.ini", dir, text, strlen(text), &errors);
}

static void
fine(const char *text)
{
	if (job(NULL, text) != 0)
		fail_msg("%s", errors.ptr);
	assert_int_equal(errors.len, 0);
}

static void
has_line(const char *line)
{
	if (strstr(errors.ptr, line) == NULL)
		fail_msg("'%s' is not in:\n%s", line, errors.ptr);
}

static size_t
lines(void)
{
	size_t i, n = 0;

	for (i = 0; i < errors.len; i++)
		n += errors.ptr[i] == '\n';
	return n;
}

/* A number, or a share in percent. */
static void
delete_limit(void **state)
{
	static const char *const bad[] = { "", "%", "101%", "10 %", "10%%",
		"-1", "ten", "9223372036854775808" };

	(void)state;
	assert_int_equal(config_option(c, CFG_DELETE_LIMIT, "20", &errors),
	    0);
	assert_int_equal(config_num(c, CFG_DELETE_LIMIT), 20);
	assert_int_equal(config_option(c, CFG_DELETE_LIMIT, "10%", &errors),
	    0);
	assert_true(config_num(c, CFG_DELETE_LIMIT) == (LIMIT_PERCENT | 10));
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		assert_int_equal(config_option(c, CFG_DELETE_LIMIT, bad[i],
		    &errors), 1);
		assert_int_equal(lines(), i + 1);
	}
}

static void
defaults(void **state)
{
	(void)state;
	assert_int_equal(config_num(c, CFG_SETTLE), 180);
	assert_int_equal(config_num(c, CFG_PATIENCE), 7200);
	assert_int_equal(config_enum(c, CFG_EXISTING), EXISTING_ADOPT);
	assert_int_equal(config_enum(c, CFG_EMPTY), EMPTY_REFUSE);
	assert_int_equal(config_enum(c, CFG_SUBSCRIBE), SUBSCRIBE_AUTO);
	assert_int_equal(config_enum(c, CFG_SPECIAL_USE), SPECIAL_MARK);
	assert_int_equal(config_enum(c, CFG_DELETED), DELETED_COPY);
	assert_false(config_bool(c, CFG_CREATE_USERS));
	assert_false(config_bool(c, CFG_REPAIR));
	assert_false(config_isset(c, CFG_MAX_SIZE));
	assert_int_equal(config_num(c, CFG_MAX_SIZE), UINT64_MAX);
	assert_null(config_str(c, CFG_STATE));
	assert_int_equal(config_list(c, CFG_MAP), 0);
	assert_string_equal(config_where(c, CFG_LANES), "default");
	assert_null(config_job(c));
}

/* Every setting that has words has a default among them, and so on. */
static void
table(void **state)
{
	const struct setting *s;
	enum cfg id, other;

	(void)state;
	for (id = 0; id < CFG_COUNT; id++) {
		s = config_setting(id);
		assert_non_null(s->section);
		assert_non_null(s->help);
		assert_int_equal(config_find(s->key), id);
		assert_true(s->commands != 0);
		assert_true((s->type == SET_ENUM) == (s->words != NULL));
		/* One that may stand alone or have a word. */
		assert_true((s->arg == NULL) == (s->type == SET_BOOL || id ==
		    CFG_DELETE));
		for (other = 0; other < id; other++)
			assert_string_not_equal(s->key,
			    config_setting(other)->key);
	}
	assert_int_equal(config_find("nix"), CFG_COUNT);
}

static void
whole_file(void **state)
{
	static const char text[] =
	    "\xef\xbb\xbf; a comment\r\n"
	    "# another\r\n"
	    "[job]\r\n"
	    "  state    =  cut ; over # .db  \r\n"
	    "accounts=users.csv\r\n"
	    "lanes = 16\r\n"
	    "repair = yes\r\n"
	    "only = a*, b ,c\r\n"
	    "\r\n"
	    "[source]\r\n"
	    "uri = \"maildir:/srv/vmail/{domain}/{local}/Maildir\"\r\n"
	    "layout = fs\r\n"
	    "[ target ]\r\n"
	    "uri = imaps://cyrus@imap.example.net?authzid={target_user}\r\n"
	    "secret-command = \"/usr/bin/pass show\" \"x y\"\r\n"
	    "lanes = 4\r\n"
	    "[folders]\r\n"
	    "map = \"Sent Items\" -> \"Sent\"\r\n"
	    "map = ~^(.*)$ -> x\\1\r\n"
	    "exclude = \\\\Trash \\Junk \"Deleted Items\"\r\n"
	    "exclude = Lists\r\n"
	    "[messages]\r\n"
	    "newer-than = 2020-02-29\r\n"
	    "max-size = 20M\r\n"
	    "deleted = skip\r\n"
	    "[limits]\r\n"
	    "patience = 90m";
	const struct uri *u;
	char *s;

	(void)state;
	fine(text);
	assert_int_equal(config_finish(c, true, &errors), 0);
	assert_string_equal(config_str(c, CFG_STATE), "cut ; over # .db");
	assert_string_equal(config_where(c, CFG_STATE), "t.ini:4");
	assert_string_equal(config_state(c), "cut ; over # .db");
	assert_int_equal(config_num(c, CFG_LANES), 16);
	assert_true(config_bool(c, CFG_REPAIR));
	assert_int_equal(config_list(c, CFG_ONLY), 3);
	assert_string_equal(config_item(c, CFG_ONLY, 1), "b");
	assert_null(config_item(c, CFG_ONLY, 3));
	u = config_store(c, SIDE_SOURCE);
	assert_string_equal(u->path, "/srv/vmail/{domain}/{local}/Maildir");
	s = uri_show(u);
	assert_string_equal(s,
	    "maildir:/srv/vmail/{domain}/{local}/Maildir?layout=fs");
	free(s);
	u = config_store(c, SIDE_TARGET);
	assert_int_equal(u->nopts, 2);
	assert_string_equal(u->opts[1].val, "\"/usr/bin/pass show\" \"x y\"");
	assert_int_equal(config_store_lanes(c, SIDE_TARGET), 4);
	assert_int_equal(config_store_lanes(c, SIDE_SOURCE), 0);
	assert_string_equal(config_store_where(c, SIDE_TARGET), "t.ini:14");
	assert_int_equal(config_list(c, CFG_MAP), 2);
	assert_int_equal(config_list(c, CFG_EXCLUDE), 4);
	assert_string_equal(config_item(c, CFG_EXCLUDE, 0), "\\Trash");
	assert_string_equal(config_item(c, CFG_EXCLUDE, 1), "\\Junk");
	assert_string_equal(config_item(c, CFG_EXCLUDE, 2), "Deleted Items");
	assert_int_equal(config_num(c, CFG_NEWER_THAN), 1582934400);
	assert_int_equal(config_num(c, CFG_MAX_SIZE), 20 << 20);
	assert_int_equal(config_enum(c, CFG_DELETED), DELETED_SKIP);
	assert_int_equal(config_num(c, CFG_PATIENCE), 5400);
}

/* Five mistakes, five lines, all in one go. */
static void
mistakes(void **state)
{
	static const char text[] =
	    "lanes = 3\n"			/* 1: no section */
	    "[job]\n"
	    "lanse = 3\n"			/* 3: suggestion */
	    "lanes = many\n"			/* 4 */
	    "lanes = 2\n"			/* 5: again */
	    "map = a -> b\n"			/* 6: other section */
	    "state =\n"				/* 7 */
	    "repair = perhaps\n"		/* 8 */
	    "existing = merg\n"			/* 9 */
	    "what is this\n"			/* 10 */
	    "[fodlers]\n"			/* 11 */
	    "lanes = 3\n"
	    "[job]\n"				/* 13: again */
	    "settle = 90000\n"			/* 14 */
	    "[folders]\n"
	    "exclude = Deleted Items\n"		/* 16 */
	    "exclude = \\Nix\n"			/* 17 */
	    "map = nowhere\n"			/* 18 */
	    "[limits\n"				/* 19 */
	    "[limits] x\n"			/* 20 */
	    "[limits]\n"
	    "max-retries = 1001\n"		/* 22 */
	    "min-free = 10X\n"			/* 23 */
	    "[messages]\n"
	    "newer-than = 2023-02-29\n"		/* 25 */
	    "older-than = yesterday\n"		/* 26 */
	    "[source]\n"
	    "uri = maildir\n"			/* 28 */
	    "a b = x\n"				/* 29 */
	    "= x\n"				/* 30 */
	    "uri = \"mbox:x\n"			/* 31 */
	    "format = \"json\" # x\n"		/* 32: an option here */
	    "[target]\n"
	    "layout = 1\n"
	    "layout = 2\n";			/* 35 */

	(void)state;
	assert_int_equal(job(NULL, text), 26);
	assert_int_equal(lines(), 26);
	has_line("t.ini:1: 'lanes' stands before the first [section]\n");
	has_line("t.ini:3: unknown key 'lanse'; did you mean 'lanes'?\n");
	has_line("t.ini:4: lanes is 'many', but must be a number\n");
	has_line("t.ini:5: 'lanes' again; the first is at line 4\n");
	has_line("t.ini:6: 'map' belongs into [folders], not [job]\n");
	has_line("t.ini:7: state has no value\n");
	has_line("t.ini:8: repair is 'perhaps', but must be yes or no\n");
	has_line("t.ini:9: existing is 'merg', but must be adopt or merge\n");
	has_line("t.ini:10: this is no key = value: 'what is this'\n");
	has_line("t.ini:11: unknown section 'fodlers'; did you mean "
	    "'folders'?\n");
	has_line("t.ini:13: section [job] again; the first is at line 2\n");
	has_line("t.ini:14: settle is 90000, but must be 0 to 86400\n");
	has_line("t.ini:16: exclude: is 'Deleted Items' one name or several?");
	has_line("t.ini:17: exclude: '\\Nix' is no special use");
	has_line("t.ini:18: map: ");
	has_line("t.ini:19: a '[' without ']'\n");
	has_line("t.ini:20: text after the ']'\n");
	has_line("t.ini:22: max-retries is 1001, but must be 0 to 1000\n");
	has_line("t.ini:23: min-free is '10X', but must be a size");
	has_line("t.ini:25: newer-than is '2023-02-29'");
	has_line("t.ini:26: older-than is 'yesterday'");
	has_line("t.ini:28: source: 'maildir' does not say what kind");
	has_line("t.ini:29: 'a b' is no name of an option\n");
	has_line("t.ini:30: this is no key = value");
	has_line("t.ini:31: uri: the quotes do not close at the end\n");
	has_line("t.ini:35: 'layout' again; the first is at t.ini:34\n");
}

static void
bytes(void **state)
{
	static const char nul[] = "[job]\nlanes\0 = 3\nstate = \xff\n";

	(void)state;
	assert_int_equal(config_read_text(c, "t.ini", NULL, nul,
	    sizeof nul - 1, &errors), 2);
	has_line("t.ini:2: a NUL byte\n");
	has_line("t.ini:3: this is not UTF-8\n");
	assert_int_equal(config_read_text(c, "u.ini", NULL, "\xff\xfe[\0", 4,
	    &errors), 1);
	has_line("u.ini: this is UTF-16 text");
}

static void
long_line(void **state)
{
	struct buf b;
	size_t i;

	(void)state;
	buf_init(&b, 1 << 24);
	buf_adds(&b, "[job]\nstate = /");
	for (i = 0; i < 100000; i++)
		buf_adds(&b, "0123456789");
	buf_adds(&b, "\n");
	fine(b.ptr);
	assert_int_equal(strlen(config_str(c, CFG_STATE)), 1000001);
	buf_release(&b);
}

static void
stores(void **state)
{
	(void)state;
	/* in the URI and as a key */
	assert_int_equal(job(NULL, "[source]\nuri = maildir:/x?layout=fs\n"
	    "layout = fs\n[target]\nuri = null:\ntsl = none\n"), 0);
	assert_int_equal(config_finish(c, true, &errors), 2);
	has_line("t.ini:3: layout is given here and in the URI (t.ini:2)\n");
	has_line("t.ini:6: null: unknown option 'tsl'\n");
}

static void
store_mistakes(void **state)
{
	(void)state;
	assert_int_equal(job(NULL, "[source]\nuri = maidlir:/x\n"
	    "[target]\nuri = imap://a@h\ntsl = none\nlanes = 0\n"), 0);
	assert_int_equal(config_finish(c, true, &errors), 3);
	has_line("t.ini:2: 'maidlir:' is no kind of source; there are");
	has_line("t.ini:5: imap: unknown option 'tsl'; did you mean 'tls'?\n");
	has_line("t.ini:6: lanes is 0, but must be 1 to 256\n");
}

static void
store_missing(void **state)
{
	(void)state;
	fine("[job]\nlanes = 2\n");
	assert_int_equal(config_finish(c, true, &errors), 2);
	has_line("t.ini: no uri in a section [source]\n");
	has_line("t.ini: no uri in a section [target]\n");
	buf_reset(&errors);
	assert_int_equal(config_finish(c, false, &errors), 0);
	assert_string_equal(config_state(c), "t.db");
}

static void
no_arguments(void **state)
{
	(void)state;
	assert_int_equal(config_finish(c, true, &errors), 2);
	has_line("no source: give SOURCE and TARGET, or --job\n");
	buf_reset(&errors);
	assert_int_equal(config_finish(c, false, &errors), 0);
	assert_null(config_state(c));
}

/* The later ones go before the earlier ones, in whatever order they come. */
static void
precedence(void **state)
{
	(void)state;
	assert_int_equal(config_option(c, CFG_LANES, "3", &errors), 0);
	assert_int_equal(config_set(c, "job.settle=3m", &errors), 0);
	assert_int_equal(config_set(c, "target.tls=none", &errors), 0);
	assert_int_equal(config_set(c, "target.uri=imap://x@test?ca=t",
	    &errors), 0);
	assert_int_equal(config_set(c, "folders.exclude=A \"B b\"", &errors),
	    0);
	fine("[job]\nlanes = 1\nsettle = 1\nstate = f.db\n"
	    "[source]\nuri = null:\n"
	    "[target]\nuri = imap://x@live\ntls = implicit\nca = live\n"
	    "authzid = y\n"
	    "[folders]\nexclude = C\ninclude = D\n");
	assert_int_equal(config_finish(c, false, &errors), 1);
	has_line("'null:' is no kind of source");
	assert_int_equal(config_num(c, CFG_LANES), 3);
	assert_string_equal(config_where(c, CFG_LANES), "--lanes");
	assert_int_equal(config_num(c, CFG_SETTLE), 180);
	assert_string_equal(config_where(c, CFG_SETTLE), "--set");
	assert_int_equal(config_list(c, CFG_EXCLUDE), 2);
	assert_string_equal(config_item(c, CFG_EXCLUDE, 1), "B b");
	assert_int_equal(config_list(c, CFG_INCLUDE), 1);
	assert_string_equal(config_store(c, SIDE_TARGET)->host, "test");
	assert_int_equal(config_store(c, SIDE_TARGET)->nopts, 3);
	assert_string_equal(config_store(c, SIDE_TARGET)->opts[0].val, "t");
}

static void
options(void **state)
{
	(void)state;
	assert_int_equal(config_option(c, CFG_EXCLUDE, "Deleted Items",
	    &errors), 0);
	assert_int_equal(config_option(c, CFG_EXCLUDE, "\"x\" \\Junk",
	    &errors), 0);
	assert_int_equal(config_list(c, CFG_EXCLUDE), 3);
	assert_string_equal(config_item(c, CFG_EXCLUDE, 0), "Deleted Items");
	assert_int_equal(config_option(c, CFG_STATE, "\"x", &errors), 0);
	assert_string_equal(config_str(c, CFG_STATE), "\"x");
	assert_int_equal(config_option(c, CFG_LANES, "1", &errors), 0);
	assert_int_equal(config_option(c, CFG_LANES, "2", &errors), 0);
	assert_int_equal(config_num(c, CFG_LANES), 2);
	assert_int_equal(errors.len, 0);

	assert_int_equal(config_option(c, CFG_LANES, "0", &errors), 1);
	has_line("--lanes: lanes is 0, but must be 1 to 256\n");
	assert_int_equal(config_option(c, CFG_STATE, "a\nb", &errors), 1);
	has_line("--state: state: a line end in the value\n");
	assert_int_equal(config_option(c, CFG_ONLY, "a,,b", &errors), 1);
	has_line("--only: only: an empty name in 'a,,b'\n");
	assert_int_equal(config_option(c, CFG_LANES,
	    "18446744073709551617", &errors), 1);
	assert_int_equal(config_option(c, CFG_MAX_SIZE,
	    "99999999999999T", &errors), 1);
	assert_int_equal(config_set(c, "job.lanes", &errors), 1);
	assert_int_equal(config_set(c, "lanes=3", &errors), 1);
	has_line("--set: 'lanes' is not SECTION.KEY=VALUE\n");
	assert_int_equal(config_set(c, "jobs.lanes=3", &errors), 1);
	has_line("--set: unknown section 'jobs'; did you mean 'job'?\n");
	assert_int_equal(config_set(c, "job.lane=3", &errors), 1);
	has_line("--set: unknown key 'lane'; did you mean 'lanes'?\n");
	assert_int_equal(config_store_arg(c, SIDE_SOURCE, "/x", &errors), 1);
	has_line("SOURCE: source: '/x' does not say");
}

static void
paths(void **state)
{
	const struct uri *u;

	(void)state;
	assert_int_equal(job("d{ir", "[job]\nstate = s.db\naccounts = /u.csv\n"
	    "[source]\nuri = maildir:mail/{user}?layout=fs\n"
	    "[target]\nuri = imap://h/x\nca = ca.pem\ncert = /c.pem\n"), 0);
	assert_int_equal(config_store_arg(c, SIDE_SOURCE, "mbox:here",
	    &errors), 0);
	assert_int_equal(config_finish(c, true, &errors), 0);
	assert_string_equal(config_str(c, CFG_STATE), "d{ir/s.db");
	assert_string_equal(config_str(c, CFG_ACCOUNTS), "/u.csv");
	assert_string_equal(config_store(c, SIDE_SOURCE)->path, "here");
	u = config_store(c, SIDE_TARGET);
	assert_string_equal(u->path, "x");
	assert_string_equal(u->opts[0].val, "d{{ir/ca.pem");
	assert_string_equal(u->opts[1].val, "/c.pem");
}

static void
paths_of_columns(void **state)
{
	(void)state;
	assert_int_equal(job("d", "[source]\nuri = maildir:mail/{user}\n"
	    "[target]\nuri = null:\n"), 0);
	assert_int_equal(config_finish(c, true, &errors), 0);
	assert_string_equal(config_store(c, SIDE_SOURCE)->path,
	    "d/mail/{user}");
}

static void
state_file(const char *xdg, const char *source, const char *target,
    char *out, size_t size)
{
	config_free(&c);
	c = config_new();
	setenv("XDG_STATE_HOME", xdg, 1);
	assert_int_equal(config_store_arg(c, SIDE_SOURCE, source, &errors), 0);
	assert_int_equal(config_store_arg(c, SIDE_TARGET, target, &errors), 0);
	if (config_finish(c, true, &errors) != 0)
		fail_msg("%s", errors.ptr);
	snprintf(out, size, "%s", config_state(c));
}

static void
default_state(void **state)
{
	char dir[] = "/tmp/mailhaul-config-XXXXXX", a[512], b[512];
	struct stat st;
	struct err e;

	(void)state;
	assert_non_null(mkdtemp(dir));
	snprintf(b, sizeof b, "%s/x/y", dir);
	state_file(b, "maildir:/home/anna/Maildir", "imaps://anna@h", a,
	    sizeof a);
	assert_true(strncmp(a, b, strlen(b)) == 0);
	assert_non_null(strstr(a, "/mailhaul/"));
	assert_int_equal(config_state_dir(c, &e), 0);
	*strrchr(a, '/') = '\0';
	assert_int_equal(stat(a, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0700);
	/* Options and ways in do not matter, stores do. */
	state_file(dir, "maildir:/home/anna/Maildir", "imaps://anna@h", a,
	    sizeof a);
	state_file(dir, "maildir:/home//anna/Maildir/?layout=fs",
	    "imap://anna@H.:143?tls=none", b, sizeof b);
	assert_string_equal(strrchr(a, '-'), strrchr(b, '-'));
	state_file(dir, "maildir:/home/anna/Maildir", "imaps://berta@h", b,
	    sizeof b);
	assert_string_not_equal(strrchr(a, '-'), strrchr(b, '-'));
	state_file(dir, "maildir:/", "imaps://anna@h", b, sizeof b);
	assert_int_not_equal(strrchr(b, '/')[1], '-');
	snprintf(b, sizeof b, "%s/x/y/mailhaul", dir);
	assert_int_equal(rmdir(b), 0);
	*strrchr(b, '/') = '\0';
	assert_int_equal(rmdir(b), 0);
	*strrchr(b, '/') = '\0';
	assert_int_equal(rmdir(b), 0);
	assert_int_equal(rmdir(dir), 0);
	unsetenv("XDG_STATE_HOME");
}

static char *
identity(const char *text)
{
	struct err e;
	struct uri *u;
	char *s;

	assert_int_equal(uri_parse(&u, text, &e), 0);
	s = config_identity(u, NULL);
	uri_free(&u);
	return s;
}

static void
same(const char *one, const char *two, bool want)
{
	char *a = identity(one), *b = identity(two);

	if ((strcmp(a, b) == 0) != want)
		fail_msg("%s is %s, %s is %s", one, a, two, b);
	free(a);
	free(b);
}

static void
identities(void **state)
{
	(void)state;
	assert_null(identity("null:"));
	same("maildir:/a/b", "dovecot:/a/./b//", true);
	same("maildir:/a/b", "mbox:/a/b?inbox=/x", true);
	same("maildir:/a/b", "maildir:/a/../b", false);
	same("imap://a@h", "imaps://a@H:993?tls=x", true);
	same("imap://a@h:1143", "imap://a@h", false);
	same("imap://a@h", "imap://b@h", false);
	same("imap://a*m@h", "imap://admin@h?authzid=a", true);
	same("imap://a@h", "imap://a@h?prefix=Old/", false);
	same("cyrus://admin@h/a", "cyrus://root@h/a", true);
	same("mem:a", "mem:b", false);
}

static void
ages(void **state)
{
	uint64_t n, now = (uint64_t)time(NULL);

	(void)state;
	fine("[messages]\nolder-than = 2y\nnewer-than = 1970-01-01\n");
	n = config_num(c, CFG_OLDER_THAN);
	assert_true(n >= now - 730 * 86400 && n <= now - 730 * 86400 + 60);
	assert_int_equal(config_num(c, CFG_NEWER_THAN), 0);
	assert_int_equal(config_finish(c, false, &errors), 0);
	assert_int_equal(config_option(c, CFG_NEWER_THAN, "1y", &errors), 0);
	assert_int_equal(config_finish(c, false, &errors), 1);
	has_line("leave no message");
}

static void
numbers(void **state)
{
	uint64_t n;

	(void)state;
	assert_int_equal(config_duration("0", &n), 0);
	assert_int_equal(config_duration("2w", &n), 0);
	assert_int_equal(n, 14 * 86400);
	assert_int_equal(config_duration("", &n), -1);
	assert_int_equal(config_duration("s", &n), -1);
	assert_int_equal(config_duration("1x", &n), -1);
	assert_int_equal(config_duration("1ms", &n), -1);
	assert_int_equal(config_duration("-1", &n), -1);
	assert_int_equal(config_size("3k", &n), 0);
	assert_int_equal(n, 3072);
	assert_int_equal(config_size("8388607T", &n), 0);
	assert_int_equal(config_size("8388608T", &n), -1);
	assert_int_equal(config_size("1 M", &n), -1);
}

static void
rules(void **state)
{
	static const char *const path[] = { "Old" };
	struct folder_info f = { .path = path, .npath = 1 };
	struct msg_meta m = { .size = 11, .date = 5 };
	struct rule_result r;
	struct arena a;
	struct rules *rs;

	(void)state;
	fine("[folders]\nmap = Old -> New\nexclude = Old\n"
	    "special-name = Old -> \\Archive\n"
	    "[messages]\nmax-size = 10\n");
	rs = config_rules(c);
	arena_init(&a);
	rules_apply(rs, &a, &f, 1, NULL, &r);
	assert_string_equal(r.path[0], "New");
	assert_string_equal(r.excluded, "exclude Old");
	assert_string_equal(rules_message(rs, &m), "max-size 10");
	assert_int_equal(rules_use_of_name(rs, path, 1), USE_ARCHIVE);
	arena_release(&a);
	rules_free(&rs);
}

static char *
show(void)
{
	size_t len;
	char *p;
	FILE *f = open_memstream(&p, &len);

	assert_non_null(f);
	config_show(c, f);
	fclose(f);
	return p;
}

/* What was given and matters for mail, without secrets. */
static void
brief(void **state)
{
	struct buf b;

	(void)state;
	fine("[job]\nstate = x\nlanes = 3\nformat = json\nexisting = merge\n"
	    "[source]\nuri = maildir:/{user}\nlayout = fs\n"
	    "[target]\nuri = imap://a@h\nca = x\nsecret-command = pass x\n"
	    "secret-file = /s\n[folders]\nmap = a -> b\nmap = c -> d\n");
	assert_int_equal(config_finish(c, true, &errors), 0);
	buf_init(&b, 1 << 20);
	config_brief(c, &b);
	assert_string_equal(b.ptr, "job.lanes = 3\njob.existing = merge\n"
	    "folders.map = a -> b\nfolders.map = c -> d\n"
	    "source.layout = fs\ntarget.ca = x\n");
	buf_release(&b);
}

/* What is shown is a job file that says the same. */
static void
shown(void **state)
{
	char *one, *two;

	(void)state;
	fine("[job]\nstate = \" x\"\nlanes = 3\nonly = a,b\n"
	    "[source]\nuri = maildir:/{user}\nlayout = fs\n"
	    "[target]\nuri = imap://a@h\nca = x\nsecret-command = pass x\n"
	    "secret-file = /s\nlanes = 3\n"
	    "[folders]\nmap = \"a\" -> b\nexclude = \"x \\\"y\" \\Junk\n");
	assert_int_equal(config_option(c, CFG_REPAIR, "yes", &errors), 0);
	assert_int_equal(config_finish(c, true, &errors), 0);
	one = show();
	assert_non_null(strstr(one, "# t.ini:3\nlanes = 3\n"));
	assert_non_null(strstr(one, "# t.ini:2\nstate = \" x\"\n"));
	assert_non_null(strstr(one, "# --repair\nrepair = yes\n"));
	assert_non_null(strstr(one, "# default\nexisting = adopt\n"));
	assert_non_null(strstr(one, "# not set: max-size\n"));
	assert_non_null(strstr(one, "secret-file = /s\n"));
	assert_non_null(strstr(one, "exclude = \"x \\\"y\"\n"));
	assert_non_null(strstr(one, "exclude = \"\\\\Junk\"\n"));
	assert_null(strstr(one, "pass x"));
	config_free(&c);
	c = config_new();
	fine(one);
	assert_int_equal(config_finish(c, true, &errors), 0);
	assert_string_equal(config_item(c, CFG_EXCLUDE, 1), "\\Junk");
	assert_string_equal(config_str(c, CFG_STATE), " x");
	two = show();
	assert_non_null(strstr(two, "lanes = 3\n"));
	free(one);
	free(two);
}

static void
reading(void **state)
{
	char dir[] = "/tmp/mailhaul-config-XXXXXX", path[64];
	FILE *f;

	(void)state;
	assert_non_null(mkdtemp(dir));
	assert_int_equal(config_read(c, dir, &errors), 1);
	has_line("cannot read the job file: Is a directory");
	snprintf(path, sizeof path, "%s/j.ini", dir);
	assert_int_equal(config_read(c, path, &errors), 1);
	has_line("cannot read the job file: No such file");
	buf_reset(&errors);
	assert_non_null(f = fopen(path, "w"));
	fputs("[job]\naccounts = u.csv\n", f);
	fclose(f);
	assert_int_equal(config_read(c, path, &errors), 0);
	assert_string_equal(config_job(c), path);
	assert_int_equal(config_finish(c, false, &errors), 0);
	assert_int_equal(strcmp(config_str(c, CFG_ACCOUNTS) + strlen(dir),
	    "/u.csv"), 0);
	assert_string_equal(config_state(c) + strlen(dir), "/j.db");
	unlink(path);
	rmdir(dir);
}

int
main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(defaults), T(table), T(whole_file), T(mistakes), T(bytes),
		T(delete_limit), T(table), T(whole_file), T(mistakes), T(bytes),
		T(long_line), T(stores), T(store_mistakes), T(store_missing),
		T(no_arguments), T(precedence), T(options), T(paths),
		T(paths_of_columns), T(default_state), T(identities), T(ages),
		T(numbers), T(rules), T(brief), T(shown), T(reading),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
