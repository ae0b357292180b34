/* Store URIs: parsing, columns, options, what is shown. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/uri.h"
#include "base/xmalloc.h"

static struct uri *
good(const char *text)
{
	struct err e;
	struct uri *u;

	if (uri_parse(&u, text, &e) == -1)
		fail_msg("%s: %s", text, e.text);
	return u;
}

static void
shows(const char *text, const char *want)
{
	struct uri *u = good(text);
	char *s = uri_show(u);

	assert_string_equal(s, want);
	free(s);
	uri_free(&u);
	assert_null(u);
}

static void
bad(const char *text, const char *words)
{
	struct err e;
	struct uri *u = (struct uri *)&e;

	assert_int_equal(uri_parse(&u, text, &e), -1);
	assert_null(u);
	if (strstr(e.text, words) == NULL)
		fail_msg("%s: '%s' lacks '%s'", text, e.text, words);
}

static void
local(void **state)
{
	struct uri *u = good("MailDir:/srv/a b;c#d@e:f/Maildir?layout=fs&"
	    "x=a=b");

	(void)state;
	assert_string_equal(u->scheme, "maildir");
	assert_null(u->user);
	assert_null(u->host);
	assert_int_equal(u->port, 0);
	assert_string_equal(u->path, "/srv/a b;c#d@e:f/Maildir");
	assert_string_equal(uri_opt(u, "layout"), "fs");
	assert_string_equal(uri_opt(u, "x"), "a=b");
	assert_null(uri_opt(u, "y"));
	assert_true(u->opts[0].used && u->opts[1].used);
	uri_free(&u);
	uri_free(&u);

	shows("null:", "null:");
	shows("null:?", "null:");
	shows("mbox:relative/x", "mbox:relative/x");
	shows("mbox:x?inbox=", "mbox:x?inbox=");
	shows("mbox:a?b=c?d", "mbox:a?b=c?d");
	bad("mbox:a?b?c=d", "no name of an option");
}

static void
server(void **state)
{
	struct uri *u = good("imaps://anna@example.net*master@[::1]:9993/"
	    "some/path?authzid=a@b&secret-file=/root/x&ca=y");
	char *s;

	(void)state;
	assert_string_equal(u->user, "anna@example.net*master");
	assert_string_equal(u->host, "::1");
	assert_int_equal(u->port, 9993);
	assert_string_equal(u->path, "some/path");
	assert_string_equal(uri_opt(u, "authzid"), "a@b");
	s = uri_show(u);
	assert_string_equal(s, "imaps://anna@example.net*master@[::1]:9993/"
	    "some/path?authzid=a@b&ca=y");
	free(s);
	uri_free(&u);

	shows("imap://h", "imap://h");
	shows("imap://h/", "imap://h");
	shows("imap://h:143", "imap://h:143");
	shows("imap://h?tls=none", "imap://h?tls=none");
	shows("imap://[fe80::1%eth0]?tls=none",
	    "imap://[fe80::1%eth0]?tls=none");
	shows("imap://{user}@{host}/{x}", "imap://{user}@{host}/{x}");
	shows("imap://h?user=a@b", "imap://h?user=a@b");
	shows("imap://h/a@b", "imap://h/a@b");
}

static void
nonsense(void **state)
{
	struct uri *u;
	char *big;

	(void)state;
	bad("", "what kind of store");
	bad("/srv/mail", "what kind of store");
	bad(":x", "what kind of store");
	bad("1a:x", "what kind of store");
	bad("a b:x", "what kind of store");
	bad("imap://", "no host");
	bad("imap://u@", "no host");
	bad("imap://@h", "nothing before");
	bad("imap://u:pw@h", "secret-file");
	bad("imap://h:", "no port number");
	bad("imap://h:0", "no port number");
	bad("imap://h:65536", "no port number");
	bad("imap://h:4294967297", "no port number");
	bad("imap://h:99999999999999999999999", "no port number");
	bad("imap://h:14x", "no port number");
	bad("imap://::1", "in brackets");
	bad("imap://[::1", "no ']'");
	bad("imap://[::1]x", "follow the ']'");
	bad("imap://[host]", "no IPv6");
	bad("imap://[a:1]", "no host name");
	bad("imap://a b", "no host name");
	bad("imap://a\nb", "no host name");
	bad("imap://a\nb@h", "control character");
	bad("null:?a", "has no value");
	bad("null:?a=1&&b=2", "empty option");
	bad("null:?a=1&", "empty option");
	bad("null:?&a=1", "empty option");
	bad("null:?a=1&a=2", "twice");
	bad("null:?=1", "no name of an option");
	bad("null:?a b=1", "no name of an option");

	big = xmalloc(70000);
	memset(big, 'x', 69999);
	big[69999] = '\0';
	bad(big, "65536");
	memcpy(big, "imap:///", 8);
	bad(big, "65536");
	big[60000] = '\0';
	bad(big, "no host");
	memcpy(big, "imap://x", 8);
	u = good(big);
	uri_free(&u);
	free(big);
}

struct row { const char *name, *val; };

static const char *
lookup(void *ctx, const char *name)
{
	const struct row *r;

	for (r = ctx; r->name != NULL; r++)
		if (strcmp(r->name, name) == 0)
			return r->val;
	return NULL;
}

static struct row row[] = {
	{ "user", "anna@example.net" }, { "local", "anna" },
	{ "domain", "example.net" }, { "host", "::1" }, { "dots", ".." },
	{ "dot", "." }, { "slash", "a/b" }, { "empty", "" },
	{ "odd", "a&b?c=d{user}\\\"" }, { "port", "h:1" }, { "nl", "a\nb" },
	{ NULL, NULL }
};

static void
fills(const char *text, const char *want)
{
	struct uri *u = good(text), *f;
	struct err e;
	char *s;

	if (uri_fill(&f, u, lookup, row, &e) == -1)
		fail_msg("%s: %s", text, e.text);
	s = uri_show(f);
	assert_string_equal(s, want);
	free(s);
	uri_free(&f);
	uri_free(&u);
}

static void
fill_bad(const char *text, enum err_scope scope, const char *words)
{
	struct uri *u = good(text), *f;
	struct err e;

	assert_int_equal(uri_fill(&f, u, lookup, row, &e), -1);
	assert_null(f);
	assert_int_equal(e.scope, scope);
	if (strstr(e.text, words) == NULL)
		fail_msg("%s: '%s' lacks '%s'", text, e.text, words);
	uri_free(&u);
}

static void
columns(void **state)
{
	(void)state;
	fills("maildir:/srv/{domain}/{local}/Maildir?x={user}",
	    "maildir:/srv/example.net/anna/Maildir?x=anna@example.net");
	fills("imaps://{user}*m@{host}:993/{slash}?a={slash}&b={odd}",
	    "imaps://anna@example.net*m@[::1]:993/a/b?a=a/b"
	    "&b=a&b?c=d{user}\\\"");
	fills("maildir:/a/../{odd}", "maildir:/a/../a&b?c=d{user}\\\"");
	fills("mbox:a{{b}{{{user}", "mbox:a{b}{anna@example.net");

	fill_bad("maildir:/srv/{dots}/x", ERR_ACCOUNT, "no file name");
	fill_bad("maildir:/srv/{dot}", ERR_ACCOUNT, "no file name");
	fill_bad("maildir:/srv/.{dot}/x", ERR_ACCOUNT, "no file name");
	fill_bad("maildir:/srv/{slash}", ERR_ACCOUNT, "'/'");
	fill_bad("mbox:x?inbox=/var/mail/{slash}", ERR_ACCOUNT, "'/'");
	fill_bad("mbox:x?inbox=/var/mail/{dots}", ERR_ACCOUNT, "no file name");
	fill_bad("mbox:x?inbox={slash}", ERR_ACCOUNT, "'/'");
	fill_bad("imap://h?secret-file={slash}", ERR_ACCOUNT, "'/'");
	fills("imap://h?authzid={slash}", "imap://h?authzid=a/b");
	fill_bad("mbox:{empty}", ERR_ACCOUNT, "is empty");
	fill_bad("imap://h?authzid={empty}", ERR_ACCOUNT, "is empty");
	fill_bad("imap://{empty}@h", ERR_ACCOUNT, "is empty");
	fill_bad("imap://{nl}@h", ERR_ACCOUNT, "control");
	fill_bad("imap://{port}", ERR_ACCOUNT, "no host name");
	fill_bad("imap://u@{slash}", ERR_ACCOUNT, "no host name");
	fill_bad("mbox:{nix}", ERR_RUN, "{nix}");
	fill_bad("mbox:{user", ERR_RUN, "'{user'");
	fill_bad("mbox:{}", ERR_RUN, "{{");
	fill_bad("mbox:{a b}", ERR_RUN, "{{");
}

static void
options(void **state)
{
	static const char *const known[] = {
		"tls", "secret-file", "secret-env", "authzid", "ca", NULL
	};
	struct uri *u = good("imap://h?tls=none&ca=x");
	struct err e;

	(void)state;
	assert_int_equal(uri_check_opts(u, known, &e), 0);
	assert_int_equal(uri_set(u, "tls", uri_opt(u, "tls")), 0);
	assert_string_equal(uri_opt(u, "tls"), "none");
	assert_int_equal(uri_set(u, "", "x"), -1);
	assert_int_equal(uri_set(u, "a b", "x"), -1);

	assert_int_equal(uri_set(u, "secret_file", "/x"), 0);
	assert_int_equal(uri_check_opts(u, known, &e), -1);
	assert_non_null(strstr(e.text, "'secret_file'; did you mean "
	    "'secret-file'?"));
	uri_free(&u);

	u = good("imap://h?authizd=x");
	assert_int_equal(uri_check_opts(u, known, &e), -1);
	assert_non_null(strstr(e.text, "'authzid'"));
	uri_free(&u);
	u = good("imap://h?CA=x");
	assert_int_equal(uri_check_opts(u, known, &e), -1);
	assert_non_null(strstr(e.text, "'ca'"));
	uri_free(&u);
	u = good("imap://h?xyzzy=x");
	assert_int_equal(uri_check_opts(u, known, &e), -1);
	assert_string_equal(e.text, "unknown option 'xyzzy'");
	uri_free(&u);
}

static void
secrets(void **state)
{
	(void)state;
	shows("imap://h?secret-command=echo x&password=y&secret-env=Z&tls=none"
	    "&token=t", "imap://h?tls=none");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(local),
		cmocka_unit_test(server),
		cmocka_unit_test(nonsense),
		cmocka_unit_test(columns),
		cmocka_unit_test(options),
		cmocka_unit_test(secrets),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
