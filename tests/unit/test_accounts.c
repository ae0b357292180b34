/* The account list. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "accounts.h"
#include "select.h"

static struct accounts *a;
static struct config *c;
static struct buf errors;

static int
setup(void **state)
{
	(void)state;
	a = NULL;
	c = config_new();
	buf_init(&errors, 1 << 20);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	accounts_free(&a);
	config_free(&c);
	buf_release(&errors);
	return 0;
}

static size_t
list_bytes(const char *text, size_t len)
{
	accounts_free(&a);
	return accounts_read_text(&a, "u.csv", text, len, true, &errors);
}

static size_t
list(const char *text)
{
	return list_bytes(text, strlen(text));
}

static void
good_list(const char *text)
{
	if (list(text) != 0)
		fail_msg("%s", errors.ptr);
	assert_int_equal(errors.len, 0);
}

static void
job(const char *text)
{
	if (config_read_text(c, "t.ini", NULL, text, strlen(text),
	    &errors) != 0 || config_finish(c, false, &errors) != 0)
		fail_msg("%s", errors.ptr);
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

static void
column(size_t i, const char *name, const char *want)
{
	const char *got = account_column(a, i, name);

	if (want == NULL)
		assert_null(got);
	else {
		assert_non_null(got);
		assert_string_equal(got, want);
	}
}

static void
plain(void **state)
{
	(void)state;
	good_list("\xef\xbb\xbf" "User ,TARGET_USER,extra\r\n"
	    "# a comment, with \"quotes\r\n"
	    "anna@example.net,a.berg,\"x, \"\"y\"\"\"\r\n"
	    "\r\n"
	    "berta,, z ");
	assert_int_equal(accounts_count(a), 2);
	assert_string_equal(account_name(a, 0), "anna@example.net");
	assert_int_equal(account_line(a, 1), 5);
	column(0, "target_user", "a.berg");
	column(0, "local", "anna");
	column(0, "domain", "example.net");
	column(0, "extra", "x, \"y\"");
	column(0, "nix", NULL);
	column(1, "target_user", "berta");
	column(1, "local", "berta");
	column(1, "domain", "");
	column(1, "extra", " z ");
	column(1, "name", "berta");
}

/* A control character in a name is a mistake, in another field it is not. */
static void
line_ends(void **state)
{
	(void)state;
	assert_int_equal(list("\xef\xbb\xbfuser;note;x\r\n\r\n#\r\n"
	    "a;\"one\r\ntwo \"\"2\"\"\nthree\";b\r\nc;d;\r\n"
	    "\"e\nf\";g;h\r\ni;\"j\";k"), 1);
	assert_string_equal(errors.ptr,
	    "u.csv:8: user 'e?f' holds a control character\n");
	assert_int_equal(accounts_count(a), 3);
	column(0, "note", "one\r\ntwo \"2\"\nthree");
	column(0, "x", "b");
	column(1, "note", "d");
	column(1, "x", "");
	assert_int_equal(account_line(a, 0), 4);
	assert_int_equal(account_line(a, 1), 7);
	column(2, "note", "j");
	column(2, "x", "k");
	assert_int_equal(account_line(a, 2), 10);
}

static void
imapsync(void **state)
{
	(void)state;
	good_list("# user1;password1;user2;password2\n"
	    "anna;p\"w,1;anna@new;\"x\"\n"
	    "berta;pw;;pw2;\n");
	assert_int_equal(accounts_count(a), 2);
	assert_string_equal(account_name(a, 0), "anna");
	column(0, "source_password", "p\"w,1");
	column(0, "target_user", "anna@new");
	column(0, "target_password", "\"x\"");
	column(1, "target_user", "berta");
	column(1, "target_password", "pw2");
	good_list("user1;secret;user1;name\nname;user2;x;y\n");
	assert_int_equal(accounts_count(a), 2);
}

static void
names(void **state)
{
	(void)state;
	good_list("name,user,local\nn1,u@x,L\nn2,u@x,M\n");
	assert_string_equal(account_name(a, 1), "n2");
	column(0, "user", "u@x");
	column(0, "local", "L");
	column(0, "domain", "x");
}

/* Five mistakes are five lines; what is right stays to be checked on. */
static void
five(void **state)
{
	(void)state;
	assert_int_equal(list("user,target_user,quota,priority\n"
	    "anna,a,,\n"
	    "berta,b,,,\n"
	    "\"carla,c,,\n"
	    ",d,,\n"
	    "emma,e,many,-1\n"
	    "fe\"e,f,,\n"
	    "\"g\"g,g,,\n"
	    "anna,h,,\n"
	    " ida,i,,\n"
	    "jo\xff,j,,\n"
	    "kim,k,500M,10\n"), 10);
	assert_int_equal(lines(), 10);
	has_line("u.csv:3: 5 fields, but there are 4 columns\n");
	has_line("u.csv:4: a field that starts with '\"' does not end");
	has_line("u.csv:5: user is empty\n");
	has_line("u.csv:6: quota 'many' is no size");
	has_line("u.csv:6: priority '-1' is no number\n");
	has_line("u.csv:7: a '\"' inside a field");
	has_line("u.csv:8: a field that starts with '\"' does not end");
	has_line("u.csv:9: account 'anna' is in line 2 already (a column");
	has_line("u.csv:10: user ' ida' has a blank at an end\n");
	has_line("u.csv:11: user 'jo\xff' is not UTF-8\n");
	assert_int_equal(accounts_count(a), 2);
	assert_string_equal(account_name(a, 1), "kim");
}

static void
headers(void **state)
{
	(void)state;
	assert_int_equal(list(""), 1);
	has_line("u.csv: there is no account in the list\n");
	assert_int_equal(list("#\n\n"), 1);
	assert_int_equal(list("user\n\n"), 1);
	buf_reset(&errors);
	assert_int_equal(list("anna,b,c\n"), 1);
	has_line("u.csv:1: the first line must name the columns");
	buf_reset(&errors);
	assert_int_equal(list("#\n\nuser,user,targetuser\nx,y,z\n"), 2);
	has_line("u.csv:3: two columns 'user'\n");
	has_line("u.csv:3: column 'targetuser': did you mean target_user?\n");
	buf_reset(&errors);
	assert_int_equal(list("target_user,city\n"), 1);
	has_line("u.csv:1: there is no column 'user'\n");
	buf_reset(&errors);
	assert_int_equal(list("user1;password1;user2;password2\na;b;c;d\n"),
	    4);
	has_line("u.csv:1: column 'user1': did you mean user?\n");
	has_line("column 'password2': did you mean target_password?\n");
	buf_reset(&errors);
	assert_int_equal(list("\"user\nx\n"), 1);
	assert_int_equal(list("\xff\xfeu\n"), 1);
	has_line("UTF-16");
}

static void
nuls(void **state)
{
	static const char text[] = "user,x\na\0,b\nc,\"d\0\"\ne,f\n";

	(void)state;
	assert_int_equal(list_bytes(text, sizeof text - 1), 2);
	has_line("u.csv:2: a NUL byte\n");
	has_line("u.csv:3: a NUL byte\n");
	assert_int_equal(accounts_count(a), 1);
	assert_string_equal(account_name(a, 0), "e");
}

static void
many_fields(void **state)
{
	struct buf b;
	int i;

	(void)state;
	buf_init(&b, 1 << 20);
	buf_adds(&b, "user\n");
	for (i = 0; i < 100; i++)
		buf_adds(&b, "x,");
	buf_adds(&b, "\ny\n");
	assert_int_equal(list(b.ptr), 1);
	has_line("u.csv:2: more than 64 fields\n");
	assert_int_equal(accounts_count(a), 1);
	buf_release(&b);
}

static void
stores(void **state)
{
	struct account_stores s;
	struct err e;
	char *text;

	(void)state;
	job("[source]\nuri = maildir:/srv/{domain}/{local}\nlayout = fs\n"
	    "[target]\nuri = imaps://admin@h?authzid={target_user}\n"
	    "secret-file = /s/{local}\nlanes = 3\n");
	good_list("user,source,partition\n"
	    "a@b,,p1\n"
	    "c@d,maildir:own/{user}x,\n"
	    "e@f,mbox:/m,\n");
	assert_int_equal(account_stores(a, 0, c, &s, &e), 0);
	text = uri_show(s.uri[SIDE_SOURCE]);
	assert_string_equal(text, "maildir:/srv/b/a?layout=fs");
	free(text);
	text = uri_show(s.uri[SIDE_TARGET]);
	assert_string_equal(text,
	    "imaps://admin@h?authzid=a@b&partition=p1");
	free(text);
	assert_int_equal(s.secret[SIDE_SOURCE].kind, SECRET_NONE);
	assert_int_equal(s.secret[SIDE_TARGET].kind, SECRET_FILE);
	assert_string_equal(s.secret[SIDE_TARGET].value, "/s/a");
	account_stores_release(&s);
	assert_null(s.uri[0]);
	assert_int_equal(account_stores(a, 1, c, &s, &e), 0);
	text = uri_show(s.uri[SIDE_SOURCE]);
	assert_string_equal(text, "maildir:own/c@dx?layout=fs");
	free(text);
	account_stores_release(&s);
	assert_int_equal(account_stores(a, 2, c, &s, &e), 0);
	text = uri_show(s.uri[SIDE_SOURCE]);
	assert_string_equal(text, "mbox:/m");
	free(text);
	account_stores_release(&s);
	assert_int_equal(accounts_check(a, c, fold_case, &errors), 0);
	assert_int_equal(errors.len, 0);
}

static void
checks(void **state)
{
	(void)state;
	job("[source]\nuri = maildir:/srv/{user}\n"
	    "[target]\nuri = imaps://admin@h?authzid={target_user}\n"
	    "secret-file = /s\n");
	good_list("user,target_user,source,target\n"
	    "a,Anna,,\n"
	    "b,anna,,\n"
	    "c,,maildir:/srv/a/,\n"
	    "..,,,\n"
	    "e,,nix:/x,\n"
	    "f,,,imap://x@z?tsl=none\n"
	    "g,,imap://admin@H?authzid=G&secret-file=/s,\n"
	    "h,,maildir:,mem:x\n");
	assert_int_equal(accounts_check(a, c, fold_case, &errors), 6);
	assert_int_equal(lines(), 6);
	has_line("u.csv:3: b: the target (imap:anna@h) is that of a in line "
	    "2; existing = merge allows that\n");
	has_line("u.csv:4: c: the source (file:/srv/a) is that of a in line "
	    "2\n");
	has_line("u.csv:5: ..: maildir URI: {user} is '..', which is no file "
	    "name\n");
	has_line("u.csv:6: e: 'nix:' is no kind of source");
	has_line("u.csv:7: f: imap:: unknown option 'tsl'");
	has_line("u.csv:8: g: source and target are the same store\n");
	buf_reset(&errors);
	assert_int_equal(config_option(c, CFG_EXISTING, "merge", &errors), 0);
	/* Without the fold, G is not g either. */
	assert_int_equal(accounts_check(a, c, NULL, &errors), 4);
}

/* What every row would say is said once. */
static void
job_mistakes(void **state)
{
	(void)state;
	job("[source]\nuri = maildir:/srv/{usr}\n[target]\nuri = null:\n");
	good_list("user\na\nb\nc\n");
	assert_int_equal(accounts_check(a, c, NULL, &errors), 1);
	assert_string_equal(errors.ptr, "u.csv:2: a: maildir URI: there is no "
	    "column {usr} for the path\n");
}

static void
no_template(void **state)
{
	(void)state;
	job("[target]\nuri = null:\n");
	good_list("user\na\nb\n");
	assert_int_equal(accounts_check(a, c, NULL, &errors), 1);
	has_line("no URI for the source");
}

static void
passwords(void **state)
{
	(void)state;
	job("[source]\nuri = imap://{user}@old\n"
	    "[target]\nuri = imaps://{target_user}@new\n");
	good_list("user,source_password,target_password\n"
	    "a,x,y\nb,,y\nc,x,\n");
	assert_int_equal(accounts_check(a, c, NULL, &errors), 2);
	has_line("u.csv:3: b: source_password is empty\n");
	has_line("u.csv:4: c: target_password is empty\n");
	buf_reset(&errors);
	accounts_free(&a);
	good_list("user,target_password\na,x\nb,y\nc,z\n");
	assert_int_equal(accounts_check(a, c, NULL, &errors), 1);
	has_line("u.csv:2: a: no password for the source; the list needs a "
	    "column source_password");
	buf_reset(&errors);
	accounts_free(&a);
	assert_int_equal(accounts_read_text(&a, "u.csv",
	    "user,source_password\na,b\n", 25, false, &errors), 1);
	has_line("u.csv: the list holds passwords, but others can access it; "
	    "chmod 600 it\n");
	accounts_free(&a);
	assert_int_equal(accounts_read_text(&a, "u.csv", "a;b;c;d\n", 8,
	    false, &errors), 1);
	accounts_free(&a);
	assert_int_equal(accounts_read_text(&a, "u.csv", "user\na\n", 7,
	    false, &errors), 0);
}

/* A password and a secret-file for one login: which one is meant? */
static void
two_secrets(void **state)
{
	(void)state;
	job("[source]\nuri = imap://{user}@old?secret-file=/x\n"
	    "[target]\nuri = null:\n");
	good_list("user,source_password\na,x\nb,y\n");
	assert_int_equal(accounts_check(a, c, NULL, &errors), 1);
	has_line("secret-file and a password in the account list");
}

/* Nobody's password may come into a URI by way of a column. */
static void
password_column(void **state)
{
	(void)state;
	job("[source]\nuri = maildir:/x/{source_password}\n"
	    "[target]\nuri = null:\n");
	good_list("user,source_password\na,x\n");
	assert_int_equal(accounts_check(a, c, NULL, &errors), 1);
	has_line("there is no column {source_password}");
}

static void
only(void **state)
{
	(void)state;
	good_list("user\nanna\nberta\nanton\nx*\n");
	assert_int_equal(select_rows(a, c, &errors), 0);
	assert_int_equal(accounts_selected(a), 4);
	assert_int_equal(config_option(c, CFG_ONLY, "an*,x\\*", &errors), 0);
	assert_int_equal(select_rows(a, c, &errors), 0);
	assert_int_equal(accounts_selected(a), 3);
	assert_false(account_selected(a, 1));
	assert_int_equal(config_option(c, CFG_ONLY, "carla", &errors), 0);
	assert_int_equal(select_rows(a, c, &errors), 1);
	has_line("--only: no account is called 'carla'\n");
}

/* Every choice narrows; what fits nobody is a mistake. */
static void
choices(void **state)
{
	char path[] = "/tmp/mailhaul-only-XXXXXX";
	int fd = mkstemp(path);
	static const char names[] = "\xef\xbb\xbf# today\r\n\n anna \r\nb*";

	(void)state;
	assert_int_equal(write(fd, names, sizeof names - 1),
	    sizeof names - 1);
	good_list("user,team\nanna@x,1\nberta@x,1\nanna,2\nbruno@y,2\n");
	assert_false(select_any(c));
	assert_int_equal(config_option(c, CFG_ONLY_FILE, path, &errors), 0);
	assert_int_equal(select_rows(a, c, &errors), 0);
	assert_int_equal(accounts_selected(a), 3);
	assert_true(select_any(c) && select_given(c));
	assert_int_equal(config_option(c, CFG_WHERE, "team=2", &errors), 0);
	assert_int_equal(select_rows(a, c, &errors), 0);
	assert_int_equal(accounts_selected(a), 2);
	assert_int_equal(config_option(c, CFG_WHERE, "domain=*", &errors), 0);
	assert_int_equal(config_option(c, CFG_WHERE, "local=br*", &errors), 0);
	assert_int_equal(select_rows(a, c, &errors), 0);
	assert_int_equal(accounts_selected(a), 1);
	assert_true(account_selected(a, 3));
	assert_int_equal(config_option(c, CFG_ONLY, "anna", &errors), 0);
	assert_int_equal(select_rows(a, c, &errors), 1);
	has_line("no account fits all of the selection\n");
	close(fd);
	unlink(path);
	assert_int_equal(select_rows(a, c, &errors), 1);
	has_line(": No such file or directory\n");
}

static void
wrong_choices(void **state)
{
	(void)state;
	good_list("user,team,source_password\nanna,1,x\nberta,1,x\n");
	assert_int_equal(config_option(c, CFG_ONLY, "bertha", &errors), 0);
	assert_int_equal(config_option(c, CFG_WHERE, "taem=1", &errors), 0);
	assert_int_equal(config_option(c, CFG_WHERE, "team=3", &errors), 0);
	assert_int_equal(config_option(c, CFG_WHERE, "source_password=x",
	    &errors), 0);
	assert_int_equal(config_option(c, CFG_WHERE, "=1", &errors), 0);
	assert_int_equal(select_rows(a, c, &errors), 5);
	has_line("--only: no account is called 'bertha'; did you mean "
	    "'berta'?\n");
	has_line("--where: the list has no column 'taem'; did you mean "
	    "'team'?\n");
	has_line("--where: no account has team=3\n");
	has_line("--where: passwords do not choose accounts\n");
	has_line("--where: '=1' is not COLUMN=VALUE\n");
}

static void
single_name(const char *source, const char *target, const char *name)
{
	accounts_free(&a);
	config_free(&c);
	c = config_new();
	assert_int_equal(config_store_arg(c, SIDE_SOURCE, source, &errors), 0);
	assert_int_equal(config_store_arg(c, SIDE_TARGET, target, &errors), 0);
	assert_int_equal(config_finish(c, true, &errors), 0);
	assert_int_equal(accounts_load(&a, c, NULL, &errors), 0);
	assert_int_equal(accounts_count(a), 1);
	assert_true(account_selected(a, 0));
	assert_int_equal(account_line(a, 0), 0);
	assert_string_equal(account_name(a, 0), name);
}

static void
single(void **state)
{
	struct account_stores s;
	struct err e;

	(void)state;
	single_name("maildir:/home/anna/Maildir", "imap://berta@h", "berta");
	assert_int_equal(account_stores(a, 0, c, &s, &e), 0);
	assert_int_equal(s.secret[SIDE_TARGET].kind, SECRET_PROMPT);
	assert_string_equal(s.secret[SIDE_TARGET].value, "berta@h");
	column(0, "target_user", "berta");
	column(0, "user", NULL);
	account_stores_release(&s);
	single_name("maildir:/home/anna/Maildir", "imap://x@h?authzid=c@d",
	    "c@d");
	single_name("maildir:/home/anna/Maildir", "imap://e*master@h", "e");
	single_name("imap://f@h", "null:", "f");
	single_name("maildir:/home/anna/Maildir/", "null:", "anna");
	single_name("mbox:mail", "null:", "mail");
	single_name("mbox:/", "null:", "account");
	single_name("mbox:a{{b", "null:", "a{{b");
	assert_int_equal(account_stores(a, 0, c, &s, &e), 0);
	assert_string_equal(s.uri[0]->path, "a{b");
	account_stores_release(&s);
	accounts_free(&a);
	config_free(&c);
	c = config_new();
	assert_int_equal(config_store_arg(c, SIDE_SOURCE, "imap://a@h",
	    &errors), 0);
	assert_int_equal(config_store_arg(c, SIDE_TARGET, "imaps://A@h",
	    &errors), 0);
	assert_int_equal(config_finish(c, true, &errors), 0);
	assert_int_equal(accounts_load(&a, c, fold_case, &errors), 1);
	assert_null(a);
	assert_string_equal(errors.ptr,
	    "A: source and target are the same store\n");
}

static void
reading(void **state)
{
	char dir[] = "/tmp/mailhaul-accounts-XXXXXX", path[64], text[256];
	FILE *f;

	(void)state;
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof path, "%s/u.csv", dir);
	assert_int_equal(accounts_read(&a, path, &errors), 1);
	has_line("cannot read the account list: No such file");
	assert_int_equal(accounts_read(&a, dir, &errors), 1);
	has_line("Is a directory");
	assert_non_null(f = fopen(path, "w"));
	fputs("user,source_password\na,b\n", f);
	fclose(f);
	chmod(path, 0640);
	assert_int_equal(accounts_read(&a, path, &errors), 1);
	has_line("chmod 600");
	accounts_free(&a);
	chmod(path, 0600);
	assert_int_equal(accounts_read(&a, path, &errors), 0);
	assert_int_equal(accounts_count(a), 1);
	accounts_free(&a);
	/* All in one, with everything that is wrong. */
	assert_non_null(f = fopen(path, "w"));
	fputs("user\na\nb,c\n..\n", f);
	fclose(f);
	snprintf(text, sizeof text, "[job]\naccounts = %s\nonly = x\n"
	    "[source]\nuri = maildir:/{user}\n[target]\nuri = null:\n", path);
	buf_reset(&errors);
	job(text);
	assert_int_equal(accounts_load(&a, c, NULL, &errors), 3);
	assert_null(a);
	assert_int_equal(lines(), 3);
	unlink(path);
	rmdir(dir);
}

/* A row costs what it holds. */
static void
large(void **state)
{
	struct buf b;
	unsigned i;

	(void)state;
	buf_init(&b, 1 << 24);
	buf_adds(&b, "user,target_user\n");
	for (i = 0; i < 20000; i++)
		buf_addf(&b, "user%u@example.net,\n", i);
	good_list(b.ptr);
	assert_int_equal(accounts_count(a), 20000);
	column(19999, "target_user", "user19999@example.net");
	assert_int_equal(account_line(a, 19999), 20001);
	job("[source]\nuri = maildir:/x/{user}\n"
	    "[target]\nuri = imap://a@h?authzid={target_user}\n"
	    "secret-file = /s\n");
	assert_int_equal(accounts_check(a, c, fold_case, &errors), 0);
	buf_release(&b);
}

int
main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(plain), T(line_ends), T(imapsync), T(names), T(five),
		T(headers), T(nuls), T(many_fields), T(stores), T(checks),
		T(job_mistakes), T(no_template), T(passwords), T(two_secrets),
		T(password_column), T(only), T(choices),
		T(wrong_choices), T(single), T(reading), T(large),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
