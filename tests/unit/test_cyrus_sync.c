/*
 * The words of Cyrus' replication protocol: values, mailboxes, names, and what
 * imapd.conf says.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cyrus/cyrus_box.h"
#include "cyrus/cyrus_conf.h"
#include "cyrus/cyrus_impl.h"

/* The tokens of a text, one letter and the value each, as one line. */
static void
tokens(const char *text, size_t len, struct buf *out)
{
	static const char letters[] = ".(%)asf";
	struct imap_stream *st = imap_stream_memory(text, len, NULL);
	struct dlist_token t;
	struct dlist d;
	struct err e;
	char chunk[3];
	ssize_t n;

	dlist_init(&d, st);
	buf_reset(out);
	while (dlist_next(&d, &t, &e) == 0) {
		buf_addc(out, letters[t.type]);
		if (t.type == DLIST_ATOM || t.type == DLIST_STRING)
			buf_add(out, t.p, t.len);
		if (t.type == DLIST_FILE)
			while ((n = dlist_file(&d, chunk, sizeof chunk,
			    &e)) > 0)
				buf_add(out, chunk, (size_t)n);
		buf_addc(out, '|');
	}
	dlist_release(&d);
	imap_stream_free(&st);
}

#define GUID "743b2e1367e99db5181a56652cda9a6166a8c2ac"

static void
test_tokens(void **state)
{
	static const struct { const char *text, *want; } cases[] = {
		{ "* OK\r\n", "a*|aOK|.|" },
		{ "(a \\Seen 12 NIL)\r\n", "(|aa|a\\Seen|a12|aNIL|)|.|" },
		{ "\"a b\\\"c\" {3}\r\nx\r\n {2+}\r\n))\r\n",
		    "sa b\"c|sx\r\n|s))|.|" },
		{ "%(k (a) l %(m \"n\")) x\r\n",
		    "%|ak|(|aa|)|al|%|am|sn|)|)|ax|.|" },
		{ "%{default " GUID " 4}\r\na)\r\n b\r\n", "fa)\r\n|ab|.|" },
		{ "()\r\n%()\r\n", "(|)|.|%|)|.|" },
		/* what is none, as far as it goes */
		{ "a\nb\r\n", "aa|" },
		{ "a b", "aa|" },
		{ "%(k)\r\n", "%|ak|" },
		{ "%(k v l)\r\n", "%|ak|av|al|" },
		{ "%(\"k\" v)\r\n", "%|" },
		{ "%((k) v)\r\n", "%|" },
		{ "(a\r\n", "(|aa|" },
		{ "a)\r\n", "aa|" },
		{ "\"a\"b\r\n", "sa|" },
		{ "(a)(b)\r\n", "(|aa|)|" },
		{ "a\xff\r\n", "aa|" },
		{ "\"a\nb\"\r\n", "" },
		{ "{70000}\r\n", "" },
		{ "{x}\r\n", "" },
		{ "%x\r\n", "" },
		{ "%{default " GUID " x}\r\n", "" }
	};
	struct buf got;

	(void)state;
	buf_init(&got, 10000);
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		tokens(cases[i].text, strlen(cases[i].text), &got);
		if (strcmp(got.ptr, cases[i].want) != 0)
			fail_msg("%s gives %s", cases[i].text, got.ptr);
	}
	/* A NUL is data in a literal and nothing elsewhere. */
	tokens("{3}\r\na\0b\r\n", 10, &got);
	assert_memory_equal(got.ptr, "sa\0b|.|", 7);
	tokens("\"a\0b\"\r\n", 7, &got);
	assert_int_equal(got.len, 0);
	buf_release(&got);
}

static void
test_depth(void **state)
{
	char text[2 * DLIST_DEPTH_MAX + 10] = "";
	struct buf got;

	(void)state;
	buf_init(&got, 10000);
	memset(text, '(', DLIST_DEPTH_MAX);
	memset(text + DLIST_DEPTH_MAX, ')', DLIST_DEPTH_MAX);
	memcpy(text + 2 * DLIST_DEPTH_MAX, "\r\n", 3);
	tokens(text, strlen(text), &got);
	assert_non_null(strchr(got.ptr, '.'));
	memset(text, '(', DLIST_DEPTH_MAX + 1);
	tokens(text, strlen(text), &got);
	assert_int_equal(got.len, 2 * DLIST_DEPTH_MAX);
	buf_release(&got);
}

static void
test_put(void **state)
{
	static const struct { const char *text, *want; } cases[] = {
		{ "user.x", "user.x" }, { "a b", "\"a b\"" },
		{ "x\tlrs\t", "\"x\tlrs\t\"" }, { "", "\"\"" },
		{ "nil", "\"nil\"" }, { "\\Sent", "{5+}\r\n\\Sent" },
		{ "a\"b", "{3+}\r\na\"b" }, { "100%", "{4+}\r\n100%" },
		{ "\xc3\xa9", "{2+}\r\n\xc3\xa9" }, { "a(b", "\"a(b\"" },
		{ "a\r\nb", "{4+}\r\na\r\nb" }
	};
	struct buf b, got, want;

	(void)state;
	buf_init(&b, 1000);
	buf_init(&got, 1000);
	buf_init(&want, 1000);
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		buf_reset(&b);
		dlist_puts(&b, cases[i].text);
		assert_string_equal(b.ptr, cases[i].want);
		buf_adds(&b, "\r\n");
		/* ... and is read back as what it was. */
		tokens(b.ptr, b.len, &got);
		buf_reset(&want);
		buf_addf(&want, "%s|.|", cases[i].text);
		assert_string_equal(got.ptr + 1, want.ptr);
	}
	buf_release(&b);
	buf_release(&got);
	buf_release(&want);
}

#define HEAD "%(UNIQUEID abc MBOXNAME user.x SYNC_CRC 0 LAST_UID 9 " \
    "HIGHESTMODSEQ 3 RECENTUID 9 RECENTTIME 1 LAST_APPENDDATE 5 " \
    "POP3_LAST_LOGIN 0 UIDVALIDITY 1000 PARTITION default " \
    "ACL \"x\tlrs\t\" OPTIONS P "
#define SENT "ANNOTATIONS (%(ENTRY /specialuse USERID x MODSEQ 0 VALUE " \
    "{5}\r\n\\Sent) %(ENTRY /comment USERID \"\" VALUE \"a b\")) "
#define RECORD "%(UID 7 MODSEQ 6 LAST_UPDATED 5 FLAGS (\\Seen kw \\Draft) " \
    "INTERNALDATE 1100000000 SIZE 20 GUID " GUID ")"

static int
read_box(const char *text, struct cyrus_box *b, cyrus_record_fn *fn, void *ctx)
{
	struct imap_stream *st = imap_stream_memory(text, strlen(text), NULL);
	struct sync y = { .st = st };
	struct err e;
	int rc;

	dlist_init(&y.d, st);
	cyrus_box_init(b);
	rc = cyrus_box_read(&y, b, "x", fn, ctx, &e);
	dlist_release(&y.d);
	imap_stream_free(&st);
	return rc;
}

static int
check_record(void *ctx, struct cyrus_record *r, struct err *e)
{
	struct buf b;

	(void)e;
	++*(int *)ctx;
	assert_int_equal(r->uid, 7);
	assert_int_equal(r->flags, MSG_SEEN | MSG_DRAFT);
	assert_int_equal(r->nkw, 1);
	assert_string_equal(r->kw[0], "kw");
	assert_int_equal(r->date, 1100000000);
	assert_false(r->expunged);
	buf_init(&b, 1000);
	cyrus_record_put(&b, r, true);
	assert_string_equal(b.ptr, "%(UID 7 MODSEQ 6 LAST_UPDATED 5 FLAGS ("
	    "\\Seen \\Draft kw) INTERNALDATE 1100000000 SIZE 20 GUID " GUID
	    ")");
	buf_release(&b);
	return 0;
}

static void
test_mailbox(void **state)
{
	struct cyrus_box b;
	struct buf line;
	int records = 0;

	(void)state;
	assert_int_equal(read_box(HEAD SENT "RECORD (" RECORD " %(UID 8 MODSEQ "
	    "6 FLAGS (\\Expunged) GUID " GUID "))" ")\r\n", &b, NULL, NULL),
	    0);
	assert_int_equal(b.messages, 1);
	assert_int_equal(b.use, USE_SENT);
	assert_int_equal(b.uidvalidity, 1000);
	/* The ACL and all annotations go back. */
	buf_init(&line, 10000);
	cyrus_box_put(&line, &b, 3);
	assert_non_null(strstr(line.ptr, " ACL \"x\tlrs\t\" OPTIONS P "
	    "ANNOTATIONS (%(ENTRY /specialuse USERID x MODSEQ 0 VALUE "
	    "{5+}\r\n\\Sent) %(ENTRY /comment USERID \"\" VALUE \"a b\")) "
	    "SINCE_MODSEQ 3 RECORD ("));
	buf_release(&line);
	cyrus_box_release(&b);
	assert_int_equal(read_box(HEAD "RECORD (" RECORD "))\r\n", &b,
	    check_record, &records), 0);
	assert_int_equal(records, 1);
	cyrus_box_release(&b);
	/* Nothing that must be there may be absent. */
	assert_int_equal(read_box("%(UNIQUEID abc MBOXNAME user.x)\r\n", &b,
	    NULL, NULL), -1);
	cyrus_box_release(&b);
	assert_int_equal(read_box(HEAD "RECORD (%(UID 0 GUID " GUID ")))\r\n",
	    &b, NULL, NULL), -1);
	cyrus_box_release(&b);
	assert_int_equal(read_box(HEAD "RECORD (%(UID 5 GUID abc)))\r\n", &b,
	    NULL, NULL), -1);
	cyrus_box_release(&b);
}

static void
test_names(void **state)
{
	static const struct {
		const char *user, *domain, *seen, *internal;
		bool unixsep, virt;
	} cases[] = {
		{ "bob", NULL, "INBOX", "user.bob", true, false },
		{ "bob", NULL, "Sent/2020", "user.bob.Sent.2020", true, false },
		{ "First.Last", NULL, "a.b/c", "user.first^last.a^b.c", true,
		    false },
		{ "bob", NULL, "Sent.2020", "user.bob.Sent.2020", false,
		    false },
		{ "bob", NULL, "a^b", "user.bob.a^b", false, false },
		{ "bob@x.org", NULL, "Sent", "x.org!user.bob.Sent", true,
		    true },
		{ "bob@x.org", "x.org", "Sent", "user.bob.Sent", true, true },
		{ "bob@x.org", NULL, "Sent", "user.bob@x^org.Sent", true,
		    false },
		{ "bob", NULL, "INBOX/x", "user.bob.INBOX.x", true, false }
	};
	static const char *const bad[] = {
		"", "a b", "a/b", "a*", "anyone", "a^b", "@x", "a@", "a\"b",
		"a\xc3\xa9", ".a"
	};
	struct cyrus_names n;
	struct buf b;

	(void)state;
	buf_init(&b, 1000);
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		assert_int_equal(cyrus_names_init(&n, cases[i].user,
		    cases[i].unixsep, cases[i].virt, cases[i].domain), 0);
		buf_reset(&b);
		assert_int_equal(cyrus_internal(&n, cases[i].seen, &b), 0);
		assert_string_equal(b.ptr, cases[i].internal);
		buf_reset(&b);
		assert_int_equal(cyrus_seen(&n, cases[i].internal, &b), 0);
		assert_string_equal(b.ptr, cases[i].seen);
		buf_reset(&b);
		assert_int_equal(cyrus_seen(&n, "user.other.x", &b), -1);
		cyrus_names_release(&n);
	}
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
		assert_int_equal(cyrus_names_init(&n, bad[i], true, true,
		    NULL), -1);
	buf_release(&b);
}

static void
test_names_of_others(void **state)
{
	struct cyrus_names n, other;
	struct buf b;

	(void)state;
	buf_init(&b, 1000);
	assert_int_equal(cyrus_names_init(&n, "bob@x.org", true, true,
	    "y.org"), 0);
	assert_int_equal(cyrus_names_of(&other, &n, "A.B@y.org"), 0);
	assert_string_equal(other.user, "a.b");
	assert_string_equal(other.inbox, "user.a^b");
	cyrus_names_release(&other);
	assert_int_equal(cyrus_names_owner(&other, &n,
	    "z.org!user.a^b.Sent.x"), 0);
	assert_string_equal(other.user, "a.b@z.org");
	assert_string_equal(other.inbox, "z.org!user.a^b");
	cyrus_names_release(&other);
	assert_int_equal(cyrus_names_owner(&other, &n, "shared.box"), -1);
	assert_int_equal(cyrus_names_owner(&other, &n, "user."), -1);
	/* Somebody else's mailbox. */
	assert_int_equal(cyrus_internal(&n, "!z.org!user.a^b.Sent", &b), 0);
	assert_string_equal(b.ptr, "z.org!user.a^b.Sent");
	cyrus_names_release(&n);
	buf_release(&b);
}

static void
test_rights(void **state)
{
	static const struct { const char *old, *who, *rights, *new; } cases[] = {
		{ "", "bob", "lr", "bob\tlr\t" },
		{ "", "bob", "", "" },
		{ "me\tlrswipkxtecdan\t", "bob", "lrkte",
		    "me\tlrswipkxtecdan\tbob\tlrktecd\t" },
		{ "bob\tlr\tme\tl\t", "Bob", "x", "Bob\txc\tme\tl\t" },
		{ "bob\tlr\tme\tl\t", "bob", "", "me\tl\t" },
		{ "-bob\tlr\tbob2\tl\t", "bob", "a",
		    "-bob\tlr\tbob2\tl\tbob\ta\t" },
		/* The last one without its end, an entry twice. */
		{ "bob\tl\tbob\tr\tme\tl", "bob", "s", "bob\ts\tme\tl\t" },
		{ "nothing", "bob", "l", "bob\tl\t" }
	};
	struct acl_entry *acl;
	struct arena a;
	struct buf b;
	size_t n;

	(void)state;
	arena_init(&a);
	buf_init(&b, 1000);
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		buf_reset(&b);
		cyrus_acl_with(&b, cases[i].old, cases[i].who,
		    cases[i].rights);
		assert_string_equal(b.ptr, cases[i].new);
	}
	cyrus_acl_read("me\tlrswipkxtecdan\tanyone\t0lr\tcut", &a, &acl, &n);
	assert_int_equal(n, 2);
	assert_string_equal(acl[0].who, "me");
	assert_string_equal(acl[0].rights, "lrswipkxtean");
	assert_string_equal(acl[1].who, "anyone");
	assert_string_equal(acl[1].rights, "lr0");
	buf_release(&b);
	arena_release(&a);
}

static void
note_filing(void *ctx, const char *mailbox)
{
	buf_addf(ctx, "<%s>", mailbox);
}

static void
test_scripts(void **state)
{
	static const struct { const char *script, *want; } cases[] = {
		{ "", "" },
		{ "fileinto \"a\";", "<a>" },
		{ "require [\"fileinto\"]; if true { FileInto :copy :flags "
		    "[\"x\", \"y\"] \"INBOX/a b\" ; } keep;",
		    "<INBOX/a b>" },
		{ "# fileinto \"no\";\r\n/* fileinto \"no\"; */ fileinto "
		    "\"q\\\"\\\\\";", "<q\"\\>" },
		{ "vacation text:\r\nfileinto \"no\";\r\n.\r\n;fileinto "
		    "\"b\";", "<b>" },
		{ "redirect \"fileinto\"; keep; discard; \"x\";", "" },
		{ "fileinto \"a\"; stop; fileinto \"c\";", "<a><c>" },
		/* Cut anywhere. */
		{ "fileinto", "" }, { "fileinto \"a", "" },
		{ "fileinto \"a\"", "" }, { "/*", "" }, { "text:", "" },
		{ "text:\n.", "" }, { "\"\\", "" }, { "fileinto ;", "" }
	};
	struct buf b;

	(void)state;
	buf_init(&b, 1000);
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		size_t n = strlen(cases[i].script);
		/* With nothing behind it, so that a checker sees more. */
		char *exact = malloc(n > 0 ? n : 1);

		assert_non_null(exact);
		memcpy(exact, cases[i].script, n);
		buf_reset(&b);
		cyrus_sieve_filings(exact, n, note_filing, &b);
		assert_string_equal(b.ptr, cases[i].want);
		free(exact);
	}
	buf_release(&b);
}

static void
test_long_name(void **state)
{
	char seen[600];
	struct cyrus_names n;
	struct buf b;

	(void)state;
	memset(seen, 'x', sizeof seen);
	seen[490 - strlen("user.bob.")] = '\0';
	buf_init(&b, 1000);
	assert_int_equal(cyrus_names_init(&n, "bob", true, false, NULL), 0);
	assert_int_equal(cyrus_internal(&n, seen, &b), 0);
	memset(seen, 'x', sizeof seen);
	seen[491 - strlen("user.bob.")] = '\0';
	buf_reset(&b);
	assert_int_equal(cyrus_internal(&n, seen, &b), -1);
	cyrus_names_release(&n);
	buf_release(&b);
}

static void
test_configuration(void **state)
{
	static const char text[] = "# comment\n"
	    "configdirectory: /var/lib/cyrus\n"
	    "  Virtdomains :  userid  \r\n"
	    "virtdomains: off\n"
	    "unixhierarchysep: yes\naltnamespace: 0\n"
	    "partition-default: /var/spool/cyrus/mail\n"
	    "long: a\\\nb\nno colon here\n"
	    "partition-fast: /fast\nlast: x";
	struct cyrus_conf *c = cyrus_conf_parse(text, sizeof text - 1);
	const char *name, *dir;

	(void)state;
	assert_string_equal(cyrus_conf_get(c, "configdirectory", ""),
	    "/var/lib/cyrus");
	assert_string_equal(cyrus_conf_get(c, "virtdomains", ""), "userid");
	assert_true(cyrus_conf_on(c, "unixhierarchysep", false));
	assert_false(cyrus_conf_on(c, "altnamespace", true));
	assert_true(cyrus_conf_on(c, "absent", true));
	assert_string_equal(cyrus_conf_get(c, "long", ""), "ab");
	assert_string_equal(cyrus_conf_get(c, "last", ""), "x");
	assert_true(cyrus_conf_partition(c, 0, &name, &dir));
	assert_string_equal(name, "default");
	assert_true(cyrus_conf_partition(c, 1, &name, &dir));
	assert_string_equal(dir, "/fast");
	assert_false(cyrus_conf_partition(c, 2, &name, &dir));
	cyrus_conf_free(&c);
}

static void
test_commands(void **state)
{
	static const struct { const char *text; bool sync, imap; } cases[] = {
		{ "Subject: x\r\n\r\nhello\r\n", false, false },
		{ "a\r\nAPPLY UNUSER bob\r\n", true, false },
		{ "apply x", true, false },
		{ "a\napply\tx\n", true, false },
		{ "a\r\nto apply it\r\n", false, false },
		{ "a\r\nx DELETE user/bob\r\n", false, true },
		{ "a\r\nx syncapply\r\n", false, true },
		{ "a\r\nx deleted\r\n", false, false },
		{ "applying", false, false }, { "", false, false }
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		size_t n = strlen(cases[i].text);

		assert_int_equal(cyrus_has_commands(cases[i].text, n, false),
		    cases[i].sync);
		assert_int_equal(cyrus_has_commands(cases[i].text, n, true),
		    cases[i].imap);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tokens),
		cmocka_unit_test(test_depth),
		cmocka_unit_test(test_put),
		cmocka_unit_test(test_mailbox),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_names_of_others),
		cmocka_unit_test(test_rights),
		cmocka_unit_test(test_scripts),
		cmocka_unit_test(test_long_name),
		cmocka_unit_test(test_configuration),
		cmocka_unit_test(test_commands),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
