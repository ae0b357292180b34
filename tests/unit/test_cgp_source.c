/*
 * CommuniGate's base directories as sources, on trees made here: finding
 * accounts, mailboxes and what settings tell of them; both kinds of mailboxes,
 * their keys, tokens, and what changes while they are read; hostile trees.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/uri.h"
#include "cgp/cgp_accounts.h"
#include "source.h"
#include "source_impl.h"
#include "unit/lib/tree.h"

#define MAIL(n)	"Received: by x; Sun, 14 Mar 2010 09:15:0" #n " +0000\n" \
		"Date: Sat, 13 Mar 2010 00:00:00 +0000\nSubject: " #n "\n\n" \
		"body\n"
#define OLD(flags, uid)	"From <a@b>(" flags "-" #uid ") Sun Mar 14 09:15:02 2010\n"
#define NEW(flags, uid)	"From <a@b>(" flags "-" #uid ")  15-03-2010_11:00:00_1\n"
#define FOREIGN	"From bob@example.com Sun Mar 14 09:15:02 2010\n"
#define T_2010	1268558102	/* of OLD and FOREIGN */

/* What changed just now cannot be trusted: make it old. */
static void
age(const char *name)
{
	struct timespec ts[2] = { { 1000000000, 0 }, { 1000000000, 0 } };

	assert_int_equal(utimensat(AT_FDCWD, at(name), ts, 0), 0);
}

struct fixture {
	struct store_conf	 conf;
	struct source		*s;
	struct arena		 tree, batch;
	struct folder_info	*folders;
	size_t			 nfolders;
	struct err		 e;
};

static int
try_open(struct fixture *f, const char *name, const char *options)
{
	char text[4096];

	memset(f, 0, sizeof *f);
	f->conf.warn = tree_warn;
	f->conf.cancel_fd = -1;
	arena_init(&f->tree);
	arena_init(&f->batch);
	buf_reset(&tree_warnings);
	snprintf(text, sizeof text, "cgp:%s%s%s%s", tree_top,
	    name[0] != '\0' ? "/" : "", name, options);
	assert_int_equal(uri_parse(&f->conf.uri, text, &f->e), 0);
	return source_open(&f->s, &f->conf, &f->e);
}

static void
shut(struct fixture *f)
{
	source_close(&f->s);
	uri_free(&f->conf.uri);
	arena_release(&f->tree);
	arena_release(&f->batch);
}

static void
open_at(struct fixture *f, const char *name, const char *options)
{
	if (try_open(f, name, options) == -1 ||
	    source_list(f->s, &f->tree, &f->folders, &f->nfolders, &f->e) ==
	    -1)
		fail_msg("%s", f->e.text);
}

/* The account "u" of the base directory. */
static void
open_u(struct fixture *f, const char *options)
{
	char text[1000];

	snprintf(text, sizeof text, "?account=u%s", options);
	open_at(f, "", text);
}

static void
expect_refusal(const char *name, const char *options, const char *part)
{
	struct fixture f;

	if (try_open(&f, name, options) == 0)
		fail_msg("%s%s was opened", name, options);
	if (strstr(f.e.text, part) == NULL)
		fail_msg("%s", f.e.text);
	shut(&f);
}

static void
expect_warning(const char *line)
{
	if (strstr(tree_warnings.ptr, line) == NULL)
		fail_msg("no warning %s in:\n%s", line, tree_warnings.ptr);
}

static struct folder_info *
folder(struct fixture *f, const char *name)
{
	size_t i;

	for (i = 0; i < f->nfolders; i++)
		if (strcmp(f->folders[i].name, name) == 0)
			return &f->folders[i];
	fail_msg("no folder %s", name);
	return NULL;
}

static enum delta
enter(struct fixture *f, const char *name, const struct buf *token)
{
	enum delta d;

	if (source_folder_open(f->s, folder(f, name), token, 0, &d, &f->e) ==
	    -1)
		fail_msg("%s", f->e.text);
	return d;
}

/* The next message in one line "KEY UID FLAGS LETTERS DATE SIZE". */
static const char *
next(struct fixture *f, struct msg_meta *m)
{
	int rc = source_next(f->s, &f->batch, m, &f->e);

	if (rc == -1)
		fail_msg("%s", f->e.text);
	if (rc == 0)
		return "end";
	return arena_printf(&f->batch, "%s %u %u %s %lld %llu",
	    m->key != NULL ? m->key : "-", m->uid, m->flags, m->raw_flags,
	    (long long)m->date, (unsigned long long)m->size);
}

static void
expect_content(struct fixture *f, const struct msg_meta *m, const char *want)
{
	struct content *c;
	char got[10000];
	size_t n = 0;
	ssize_t k;

	assert_int_equal(source_content(f->s, m, &c, &f->e), 1);
	while ((k = content_read(c, got + n, sizeof got - 1 - n, &f->e)) > 0)
		n += (size_t)k;
	assert_int_equal(k, 0);
	got[n] = '\0';
	content_close(&c);
	assert_string_equal(got, want);
}

static void
expect_count(struct fixture *f, uint64_t want)
{
	uint64_t n;

	assert_int_equal(source_folder_count(f->s, &n, &f->e), 0);
	assert_int_equal(n, want);
}

/* Accounts */

static void
finding(void **state)
{
	struct fixture f;

	(void)state;
	put("Settings/Main.settings", "{ DomainName = example.org; }");
	put("Accounts/u.macnt/INBOX.mbox", "");
	put("Accounts/x.sub/y.sub/deep.macnt/INBOX.mbox", "");
	put("Domains/sub.example.net/u.macnt/INBOX.mbox", OLD("S", 1) MAIL(1));
	put("Domains/sub.example.net/twice.macnt/INBOX.mbox", "");
	put("Domains/sub.example.net/a.sub/twice.macnt/INBOX.mbox", "");
	put("Accounts/pop.mbox", "");
	put("Accounts/pop.settings", "{}");
	put("Accounts/orphan.mbox", "");
	open_at(&f, "", "?account=u");
	enter(&f, "INBOX", NULL);
	expect_count(&f, 0);
	shut(&f);
	open_at(&f, "", "?account=u@EXAMPLE.org");
	shut(&f);
	open_at(&f, "", "?account=deep@example.org");
	shut(&f);
	open_at(&f, "", "?account=u@Sub.example.net");
	enter(&f, "INBOX", NULL);
	expect_count(&f, 1);
	shut(&f);
	open_at(&f, "", "?account=pop");
	assert_int_equal(f.nfolders, 1);
	assert_string_equal(f.folders[0].name, "INBOX");
	shut(&f);
	open_at(&f, "Accounts/u.macnt", "");
	shut(&f);
	expect_refusal("", "?account=twice@sub.example.net", "lies in two "
	    "places, Domains/sub.example.net/a.sub/twice.macnt and "
	    "Domains/sub.example.net/twice.macnt");
	expect_refusal("", "?account=nobody", "there is no account nobody in "
	    "Accounts");
	expect_refusal("", "?account=orphan", "there is no account orphan");
	expect_refusal("", "?account=u@elsewhere", "there is no "
	    "Domains/elsewhere (the main domain is example.org)");
	expect_refusal("", "", "holds a whole server: say account=");
	expect_refusal("Settings", "?account=u", "neither Accounts/ nor "
	    "Domains/");
	expect_refusal("nothing", "?account=u", "No such file");
	expect_refusal("", "?account=../u", "is no account");
	expect_refusal("", "?account=u@..", "is no account");
	expect_refusal("", "?account=.", "is no account");
	/* Without settings the main domain has to be told. */
	assert_int_equal(unlink(at("Settings/Main.settings")), 0);
	expect_refusal("", "?account=u@example.org", "say main-domain=");
	open_at(&f, "", "?account=u@example.org&main-domain=example.org");
	shut(&f);
}

static void
running(void **state)
{
	struct fixture f;

	(void)state;
	put("Settings/Main.settings", "{}");
	put("Accounts/u.macnt/INBOX.mbox", "");
	put("ProcessID/x", "");
	expect_refusal("", "?account=u", "is running");
	expect_refusal("Accounts/u.macnt", "", "is running");
	open_u(&f, "&server=live");
	expect_warning("-|ProcessID|the server of this base directory is");
	shut(&f);
	open_u(&f, "&server=snapshot");
	shut(&f);
}

static void
options(void **state)
{
	static const char *const bad[][2] = {
		{ "&server=on", "server=on: must be one of" },
		{ "&dialect=x", "dialect=x: must be one of auto, cgp, plain" },
		{ "&nonmail=x", "nonmail=x" }, { "&zone=local", "zone=local" },
		{ "&zone=+2500", "zone=+2500" }, { "&zone=+0060", "zone" },
		{ "&flag-letters=S", "flag-letters" },
		{ "&inbox=x", "inbox=x: must be an absolute path" },
		{ "&acount=x", "acount" }
	};
	char text[200];

	(void)state;
	put("Accounts/u.macnt/INBOX.mbox", "");
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		snprintf(text, sizeof text, "?account=u%s", bad[i][0]);
		expect_refusal("", text, bad[i][1]);
	}
	expect_refusal("", "?account=", "account= is empty");
	expect_refusal("", "", "holds a whole server: say account=");
}

/* Mailboxes */

static void
mailboxes(void **state)
{
	static const char *const names[] = {
		"INBOX", "INBOX/Lists", "A", "A/B", "A/B/C", "A.b",
		"Entw\xc3\xbcrfe", "Link", "Odd=FF", "Sliced"
	};
	struct fixture f;
	size_t i;

	(void)state;
	put("Accounts/u.macnt/INBOX.mdir/1-S-20100314091502", MAIL(1));
	put("Accounts/u.macnt/INBOX.folder/Lists.mbox", "");
	put("Accounts/u.macnt/A.mbox", "");
	put("Accounts/u.macnt/A.b.mbox", "");
	put("Accounts/u.macnt/A.folder/B.folder/C.mdir/x", "");
	put("Accounts/u.macnt/Entw&APw-rfe.mbox", "");
	put("Accounts/u.macnt/Odd\xff.mbox", "");
	put("Accounts/u.macnt/Sliced.mslc", "");
	put("Accounts/u.macnt/.mbox", "");
	put("Accounts/u.macnt/notes.txt", "");
	put("Accounts/u.macnt/account.web/private/x.mbox", "");
	assert_int_equal(symlink("/etc/passwd",
	    at("Accounts/u.macnt/Link.mbox")), 0);
	open_u(&f, "");
	assert_int_equal(f.nfolders, sizeof names / sizeof names[0]);
	for (i = 0; i < f.nfolders; i++)
		assert_string_equal(f.folders[i].name, names[i]);
	assert_true(folder(&f, "A/B")->noselect);
	assert_false(folder(&f, "A")->noselect);
	assert_int_equal(folder(&f, "A/B/C")->npath, 3);
	assert_non_null(strstr(folder(&f, "Sliced")->refused, "over IMAP"));
	assert_non_null(strstr(folder(&f, "Link")->refused, "link"));
	assert_null(folder(&f, "INBOX")->refused);
	expect_warning("-|Sliced.mslc|not read: a sliced mailbox");
	expect_warning("-|Odd\\xff.mbox|an odd name");
	expect_warning("-|.|2 names that are no mailboxes, among them .mbox");
	shut(&f);
}

/* Two of one name are two mailboxes; INBOX may be written otherwise. */
static void
both_forms(void **state)
{
	struct fixture f;

	(void)state;
	put("Accounts/u.macnt/inbox.mbox", OLD("", 1) MAIL(1));
	put("Accounts/u.macnt/T.mbox", OLD("", 1) MAIL(1));
	put("Accounts/u.macnt/T.mdir/1-S-20100314091502", MAIL(2));
	put("Accounts/u.macnt/&VGE-.mbox", "");
	put("Accounts/u.macnt/\xe5\x91\xa1.mbox", "");
	open_u(&f, "");
	assert_int_equal(f.nfolders, 5);
	assert_string_equal(f.folders[0].name, "INBOX");
	assert_string_equal(f.folders[1].name, "T");
	assert_string_equal(f.folders[1].raw_name, "T.mdir");
	assert_string_equal(f.folders[2].raw_name, "T.mbox");
	assert_string_equal(f.folders[3].name, f.folders[4].name);
	expect_warning("-|T.mbox|there is T.mdir too");
	shut(&f);
}

static void
too_deep(void **state)
{
	struct fixture f;
	char path[4096] = "Accounts/u.macnt";
	size_t i, deepest = 0;

	(void)state;
	put("Accounts/u.macnt/INBOX.mbox", "");
	for (i = 0; i < 60; i++)
		strcat(path, "/f.folder");
	strcat(path, "/x.mbox");
	put(path, "");
	open_u(&f, "");
	for (i = 0; i < f.nfolders; i++)
		if (f.folders[i].npath > deepest)
			deepest = f.folders[i].npath;
	assert_int_equal(deepest, 50);
	assert_string_equal(f.folders[f.nfolders - 1].refused, "lies too "
	    "deep");
	shut(&f);
}

/* Settings */

static void
info(void **state)
{
	struct account_info account;
	struct fixture f;

	(void)state;
	put("Settings/DomainDefault.settings", "{ AccountDefaults = "
	    "{ MaxAccountSize = 20M; EmptyTrash = 7d; }; }");
	put("Settings/WebUserPrefs.settings", "{ SentBox = \"Sent Items\"; "
	    "TrashBox = Bin; CalendarBox = Kalender; }");
	put("Accounts/u.macnt/account.settings", "{ Rules = ((1,a,(),()),(2,b,"
	    "(),()),(0,\"#Vacation\",(),((\"Reply with\",x))),(\"#Redirect\","
	    "(),((\"Mirror  To\",\"a@b\")))); MaxAccountSize = default; }");
	put("Accounts/u.macnt/account.web/private/a", "123");
	put("Accounts/u.macnt/account.web/b", "45");
	put("Accounts/u.macnt/account.dst", "{ RepliedAddresses = (a,b); }");
	put("Accounts/Settings/Aliases.data", "{ x = u; U = (y); z = v; }");
	put("Accounts/Settings/RPOP.data", "{ u = { a = {}; b = {}; }; }");
	put("Accounts/Settings/LISTS/T.list", "{}");
	put("Accounts/Settings/LISTS/other.list", "{}");
	put("Accounts/u.macnt/account.info", "{ INBOX = { Access = { \"bob\" ="
	    " lrscd; x = 77; anyone = l; }; UIDValidity = #1268557200;"
	    " UIDNext = #104; };"
	    " \"Entw&APw-rfe\" = { UIDValidity = 17; UIDNext = #0; };"
	    " \"W/\xc3\x9c\" = { Class = IPF.Note; UIDValidity = #99; };"
	    " C = { Class = IPF.Contact; UIDValidity = #-1; };"
	    " \"#Viewer\" = { TrashBox = T; DraftsBox = \"Entw\xc3\xbcrfe\"; };"
	    " \"#MailboxSubscription\" = (inbox, \"Entw&APw-rfe\", "
	    "\"~public/N/&ANw-\", \"Gone\", \"~\", \"~/x\");"
	    " \"#MailboxAliases\" = { a = \"~ann@example.net\"; b = INBOX; }; "
	    "}");
	put("Accounts/u.macnt/INBOX.mdir/x", "");
	put("Accounts/u.macnt/Entw&APw-rfe.mdir/x", "");
	put("Accounts/u.macnt/W.folder/&ANw-.mdir/x", "");
	put("Accounts/u.macnt/C.mdir/x", "");
	put("Accounts/u.macnt/Kalender.mbox", "");
	put("Accounts/u.macnt/Bin.mbox", "");
	put("Accounts/u.macnt/T.mbox", "");
	put("Accounts/u.macnt/Sent Items.mbox", "");
	open_u(&f, "");
	assert_int_equal(folder(&f, "INBOX")->uidvalidity, 1268557200);
	assert_int_equal(folder(&f, "INBOX")->uidnext, 104);
	assert_true(folder(&f, "INBOX")->subscribed);
	assert_int_equal(folder(&f, "Entw\xc3\xbcrfe")->uidvalidity, 17);
	assert_int_equal(folder(&f, "Entw\xc3\xbcrfe")->uidnext, 0);
	assert_int_equal(folder(&f, "Entw\xc3\xbcrfe")->special_use,
	    USE_DRAFTS);
	assert_true(folder(&f, "Entw\xc3\xbcrfe")->subscribed);
	assert_int_equal(folder(&f, "W/\xc3\x9c")->uidvalidity, 99);
	assert_int_equal(folder(&f, "W/\xc3\x9c")->class, FOLDER_MAIL);
	assert_int_equal(folder(&f, "C")->class, FOLDER_OTHER);
	/* What is no UIDVALIDITY is made. */
	assert_true(folder(&f, "C")->uidvalidity >= 0x40000000);
	assert_int_equal(folder(&f, "Kalender")->class, FOLDER_OTHER);
	assert_int_equal(folder(&f, "Bin")->special_use, 0);
	assert_int_equal(folder(&f, "T")->special_use, USE_TRASH);
	assert_int_equal(folder(&f, "Sent Items")->special_use, USE_SENT);
	assert_int_equal(source_account_facts(f.s, &f.tree, &account, &f.e),
	    0);
	assert_int_equal(account.quota_bytes, 20 << 20);
	assert_true(account.has_subscriptions);
	assert_int_equal(account.nsubscriptions, 3);
	assert_string_equal(account.subscriptions[0], "INBOX");
	assert_string_equal(account.subscriptions[1], "Entw\xc3\xbcrfe");
	assert_string_equal(account.subscriptions[2], "Gone");
	assert_int_equal(folder(&f, "INBOX")->nacl, 2);
	assert_string_equal(folder(&f, "INBOX")->acl[0].who, "bob");
	assert_string_equal(folder(&f, "INBOX")->acl[0].rights, "lrskxte");
	assert_string_equal(folder(&f, "INBOX")->acl[1].who, "anyone");
	assert_int_equal(folder(&f, "C")->nacl, 0);
	expect_warning("-|access rights of INBOX|of x: not understood, not "
	    "carried over: 77");
	assert_int_equal(account.nforeign, 2);
	assert_string_equal(account.foreign[0].name, "~ann@example.net");
	assert_string_equal(account.foreign[0].owner, "ann@example.net");
	assert_string_equal(account.foreign[0].box, "INBOX");
	assert_string_equal(account.foreign[1].owner, "public");
	assert_string_equal(account.foreign[1].box, "N/\xc3\x9c");
	expect_warning("-|MailboxAliases|1 other names of mailboxes");
	expect_warning("-|Rules|4 mail rules are not carried over");
	expect_warning("-|Vacation|1 of the rules");
	expect_warning("-|Forwards|1 of the rules");
	expect_warning("-|Aliases|2 other addresses");
	expect_warning("-|RPOP|2 mailboxes of other servers");
	expect_warning("-|LISTS|1 mailing lists");
	expect_warning("-|account.web|2 files of 5 bytes");
	expect_warning("-|account.dst|1 lists");
	expect_warning("-|EmptyTrash|the server empties the trash by itself "
	    "(7d)");
	shut(&f);
	open_u(&f, "&nonmail=include");
	assert_int_equal(folder(&f, "C")->class, FOLDER_MAIL);
	shut(&f);
}

static void
quota_of(const char *own, const char *domain, uint64_t want)
{
	struct account_info account;
	struct fixture f;

	put("Accounts/u.macnt/account.settings", own);
	put("Accounts/Settings/Domain.settings", domain);
	open_u(&f, "");
	assert_int_equal(source_account_facts(f.s, &f.tree, &account, &f.e),
	    0);
	assert_true(account.quota_bytes == want);
	shut(&f);
}

static void
inheritance(void **state)
{
	(void)state;
	put("Settings/DomainDefault.settings", "{ AccountDefaults = "
	    "{ MaxAccountSize = 20M; }; }");
	quota_of("{ MaxAccountSize = 5K; }", "{}", 5120);
	quota_of("{ MaxAccountSize = unlimited; }", "{}", UNKNOWN64);
	quota_of("{}", "{ AccountDefaults = { MaxAccountSize = 1G; }; }",
	    1 << 30);
	quota_of("{ MaxAccountSize = default; }", "{}", 20 << 20);
	quota_of("nonsense {", "{ AccountDefaults = 7; }", 20 << 20);
	expect_warning("-|account.settings|account.settings: line 1, column "
	    "10: something follows the end; done without");
}

/* A broken file costs what stands behind the damage, and no mail. */
static void
broken_info(void **state)
{
	struct msg_meta m;
	struct fixture f;

	(void)state;
	put("Accounts/u.macnt/INBOX.mdir/7-S-20100314091502", MAIL(1));
	put("Accounts/u.macnt/B.mdir/8-S-20100314091502", MAIL(1));
	put("Accounts/u.macnt/account.info", "{ INBOX = { UIDValidity = #5; };"
	    " B = { UIDValidity = #6");
	open_u(&f, "");
	expect_warning("what stands before that is used");
	enter(&f, "INBOX", NULL);
	assert_string_equal(next(&f, &m), "5.7 7 1 S 1268558102 103");
	source_folder_close(f.s);
	enter(&f, "B", NULL);
	next(&f, &m);
	assert_int_equal(m.uid, 8);
	shut(&f);
}

static void
single_mailbox(void **state)
{
	struct msg_meta m;
	struct fixture f;

	(void)state;
	put("Accounts/u.mdir/7-S-20100314091502", MAIL(1));
	put("Accounts/u.settings", "{}");
	put("Accounts/u.info", "{ UIDValidity = #5; UIDNext = #9; }");
	put("Accounts/other.macnt/INBOX.mbox", "");
	open_u(&f, "");
	assert_int_equal(f.nfolders, 1);
	assert_int_equal(folder(&f, "INBOX")->uidnext, 9);
	enter(&f, "INBOX", NULL);
	assert_string_equal(next(&f, &m), "5.7 7 1 S 1268558102 103");
	expect_content(&f, &m, MAIL(1));
	shut(&f);
}

/* MailDir mailboxes */

static void
mdir(void **state)
{
	struct msg_meta m;
	struct fixture f;
	const char *key;

	(void)state;
	make_dir("Accounts/u.macnt/INBOX.mdir");
	put("Accounts/u.macnt/account.info", "{ INBOX={UIDValidity=#5;}; }");
	put("Accounts/u.macnt/INBOX.mdir/00000102-SA-20100314091502-9",
	    MAIL(1));
	put("Accounts/u.macnt/INBOX.mdir/7--20100314091502", MAIL(2));
	put("Accounts/u.macnt/INBOX.mdir/8-SX-20109914091502", MAIL(3));
	put("Accounts/u.macnt/INBOX.mdir/9-F-20109914091502", "Subject: x\n\n");
	age("Accounts/u.macnt/INBOX.mdir/9-F-20109914091502");
	put("Accounts/u.macnt/INBOX.mdir/10-D-20100314091502", "");
	put("Accounts/u.macnt/INBOX.mdir/11--20100314091502",
	    "P I <a@b>\nR W <c@d>\n\n" MAIL(4));
	/* Three of one UID, two of them the same message. */
	put("Accounts/u.macnt/INBOX.mdir/12--20100314091502", MAIL(5));
	put("Accounts/u.macnt/INBOX.mdir/12-S-20100314091503", MAIL(6));
	put("Accounts/u.macnt/INBOX.mdir/12-F-20100314091504", MAIL(5));
	put("Accounts/u.macnt/INBOX.mdir/tmp7", "");
	put("Accounts/u.macnt/INBOX.mdir/7x-S-20100314091502", "");
	assert_int_equal(symlink("/etc/passwd",
	    at("Accounts/u.macnt/INBOX.mdir/13-S-20100314091502")), 0);
	open_u(&f, "");
	assert_int_equal(enter(&f, "INBOX", NULL), DELTA_FULL);
	expect_count(&f, 8);
	assert_string_equal(next(&f, &m), "5.7 7 0  1268558102 103");
	assert_int_equal(m.date_origin, DATE_STORE);
	assert_string_equal(m.where, "7--20100314091502");
	expect_content(&f, &m, MAIL(2));
	assert_string_equal(next(&f, &m), "5.8 8 1 SX 1268558103 103");
	assert_int_equal(m.date_origin, DATE_RECEIVED);
	assert_string_equal(next(&f, &m), "5.9 9 4 F 1000000000 12");
	assert_int_equal(m.date_origin, DATE_MTIME);
	assert_string_equal(next(&f, &m), "5.10 10 8 D 1268558102 0");
	assert_int_equal(m.oddities & ODD_EMPTY, ODD_EMPTY);
	next(&f, &m);
	expect_content(&f, &m, MAIL(4));
	assert_string_equal(next(&f, &m), "5.12 12 0  1268558102 103");
	key = next(&f, &m);
	assert_memory_equal(key, "5.12#", 5);
	assert_string_equal(key + 21, " 0 1 S 1268558103 103");
	expect_content(&f, &m, MAIL(6));
	assert_string_equal(next(&f, &m), "5.102 102 3 SA 1268558102 103");
	assert_string_equal(next(&f, &m), "end");
	assert_int_equal(f.folders[0].uidnext, 103);
	source_folder_close(f.s);
	expect_warning("INBOX|tmp7|not the name of a message");
	expect_warning("INBOX|7x-S-20100314091502|begins as the name");
	expect_warning("INBOX|13-S-20100314091502|a symbolic link");
	expect_warning("INBOX|00000102-SA-20100314091502-9|what follows the "
	    "time (-9)");
	expect_warning("INBOX|12-S-20100314091503|another message has this "
	    "UID");
	expect_warning("INBOX|12-F-20100314091504|the same message");
	expect_warning("INBOX|11--20100314091502|begins with the envelope");
	expect_warning("INBOX|flag letter X|on 1 messages");
	expect_warning("INBOX|dates|of 1 messages from Received, of 1 from "
	    "the time of the file");
	shut(&f);
}

/* store_first_fn: each text once; NULL begins anew. */
static bool
first_of_run(void *ctx, const char *what)
{
	static char known[200];

	(void)ctx;
	if (what == NULL)
		known[0] = '\0';
	else if (strstr(known, what) == NULL) {
		snprintf(known + strlen(known), sizeof known - strlen(known),
		    "%s", what);
		return true;
	}
	return false;
}

/* What names end with is told once of each shape: in all mailboxes, where
 * somebody keeps count, else in each. */
static void
mdir_tails(void **state)
{
	struct msg_meta m;
	struct fixture f;
	int told;

	(void)state;
	put("Accounts/u.macnt/INBOX.mdir/1-S-20100314091502-12", MAIL(1));
	put("Accounts/u.macnt/INBOX.mdir/2-S-20100314091502-3", MAIL(2));
	put("Accounts/u.macnt/Work.mdir/1-S-20100314091502-7", MAIL(3));
	put("Accounts/u.macnt/Work.mdir/2-S-20100314091502.x", MAIL(4));
	for (int counted = 0; counted < 2; counted++) {
		open_u(&f, "");
		f.s->conf.first = counted ? first_of_run : NULL;
		first_of_run(NULL, NULL);
		for (int i = 0; i < 2; i++) {
			enter(&f, i == 0 ? "INBOX" : "Work", NULL);
			while (strcmp(next(&f, &m), "end") != 0)
				;
			source_folder_close(f.s);
		}
		told = 0;
		for (const char *p = tree_warnings.ptr; (p = strstr(p,
		    "what follows the time")) != NULL; p++)
			told++;
		assert_int_equal(told, counted ? 2 : 3);
		shut(&f);
	}
}

static void
flag_table(void **state)
{
	struct msg_meta m;
	struct fixture f;

	(void)state;
	put("Accounts/u.macnt/account.info", "{ INBOX={UIDValidity=#5;}; }");
	put("Accounts/u.macnt/INBOX.mdir/7-DSr-20100314091502", MAIL(1));
	open_u(&f, "&flag-letters=D:\\Draft S:- r:$Forwarded");
	enter(&f, "INBOX", NULL);
	assert_string_equal(next(&f, &m), "5.7 7 16 DSr 1268558102 103");
	assert_int_equal(m.nkeywords, 1);
	assert_string_equal(m.keywords[0], "$Forwarded");
	shut(&f);
}

/* Flags change, messages go, while they are read. */
static void
live_mdir(void **state)
{
	struct msg_meta one, two, three;
	struct content *c;
	struct fixture f;

	(void)state;
	put("Accounts/u.macnt/INBOX.mdir/1--20100314091502", MAIL(1));
	put("Accounts/u.macnt/INBOX.mdir/2--20100314091502", MAIL(2));
	put("Accounts/u.macnt/INBOX.mdir/3--20100314091502", MAIL(3));
	open_u(&f, "");
	enter(&f, "INBOX", NULL);
	next(&f, &one);
	next(&f, &two);
	next(&f, &three);
	assert_int_equal(rename(
	    at("Accounts/u.macnt/INBOX.mdir/1--20100314091502"),
	    at("Accounts/u.macnt/INBOX.mdir/1-SA-20100314091502")), 0);
	assert_int_equal(unlink(
	    at("Accounts/u.macnt/INBOX.mdir/2--20100314091502")), 0);
	/* A copy that was moved into place has another inode. */
	put("Accounts/u.macnt/INBOX.mdir/003-S-20100314091502", MAIL(3));
	assert_int_equal(unlink(
	    at("Accounts/u.macnt/INBOX.mdir/3--20100314091502")), 0);
	expect_content(&f, &one, MAIL(1));
	assert_int_equal(source_content(f.s, &two, &c, &f.e), 0);
	expect_content(&f, &three, MAIL(3));
	shut(&f);
}

static void
tokens(void **state)
{
	struct msg_meta m;
	struct buf token;
	struct fixture f;

	(void)state;
	buf_init(&token, 1 << 16);
	put("Accounts/u.macnt/INBOX.mdir/1--20100314091502", MAIL(1));
	age("Accounts/u.macnt/INBOX.mdir");
	open_u(&f, "");
	enter(&f, "INBOX", NULL);
	assert_int_equal(source_folder_token(f.s, &token, &f.e), 0);
	assert_true(token.len > 0);
	source_folder_close(f.s);
	/* The same names; only the directory's times are others. */
	assert_int_equal(enter(&f, "INBOX", &token), DELTA_UNCHANGED);
	expect_count(&f, 1);
	assert_memory_equal(next(&f, &m) + 11, "1 1 0  1268558102 103", 21);
	source_folder_close(f.s);
	put("Accounts/u.macnt/INBOX.mdir/2--20100314091502", MAIL(2));
	assert_int_equal(enter(&f, "INBOX", &token), DELTA_FULL);
	expect_count(&f, 2);
	source_folder_close(f.s);
	shut(&f);
	/* account.info tells a UIDVALIDITY by now: other keys. */
	unlink(at("Accounts/u.macnt/INBOX.mdir/2--20100314091502"));
	put("Accounts/u.macnt/account.info", "{ INBOX={UIDValidity=#5;}; }");
	age("Accounts/u.macnt/INBOX.mdir");
	open_u(&f, "");
	assert_int_equal(enter(&f, "INBOX", &token), DELTA_FULL);
	assert_string_equal(next(&f, &m), "5.1 1 0  1268558102 103");
	shut(&f);
	buf_release(&token);
}

/* So that nobody doubts its times: they tick coarsely. */
static void
grow_old(const char *name)
{
	struct stat st;

	age(name);
	do {
		usleep(50000);
		assert_int_equal(stat(at(name), &st), 0);
	} while (st.st_ctim.tv_sec + 2 >= time(NULL));
}

/* With another table the flags are other ones, though nothing has changed. */
static void
token_letters(void **state)
{
	static const char *const names[] = { "INBOX", "Work" };
	struct buf token;
	struct fixture f;

	(void)state;
	buf_init(&token, 1 << 16);
	put("Accounts/u.macnt/INBOX.mdir/1-X-20100314091502", MAIL(1));
	put("Accounts/u.macnt/Work.mbox", OLD("X", 1) MAIL(1));
	grow_old("Accounts/u.macnt/INBOX.mdir");
	grow_old("Accounts/u.macnt/Work.mbox");
	for (int i = 0; i < 2; i++) {
		static const struct { const char *table; enum delta delta; }
		    cases[] = {
			{ "", DELTA_UNCHANGED },
			{ "&flag-letters=R:- A:\\Answered S:\\Seen "
			    "D:\\Deleted F:\\Flagged", DELTA_UNCHANGED },
			{ "&flag-letters=S:\\Seen", DELTA_FULL },
			{ "&flag-letters=S:\\Seen A:\\Answered F:\\Flagged "
			    "D:\\Deleted X:new", DELTA_FULL },
			{ "&flag-letters=S:\\Answered A:\\Seen F:\\Flagged "
			    "D:\\Deleted", DELTA_FULL },
		};

		buf_reset(&token);
		open_u(&f, "");
		enter(&f, names[i], NULL);
		assert_int_equal(source_folder_token(f.s, &token, &f.e), 0);
		assert_true(token.len > 0);
		shut(&f);
		/* By the times and, for files of their own, by the names. */
		for (int racy = 0; racy <= (i == 0); racy++)
			for (size_t k = 0; k < sizeof cases / sizeof *cases;
			    k++) {
				token.ptr[5] = racy ? '1' : '0';
				open_u(&f, cases[k].table);
				assert_int_equal(enter(&f, names[i], &token),
				    cases[k].delta);
				shut(&f);
			}
	}
	buf_release(&token);
}

/* Text mailboxes */

static void
mbox(void **state)
{
	struct msg_meta m;
	struct fixture f;

	(void)state;
	put("Accounts/u.macnt/account.info", "{ INBOX={UIDValidity=#5;"
	    "UIDNext=#200;}; }");
	put("Accounts/u.macnt/INBOX.mbox",
	    "From <>(SA-101) Sun Mar 14 09:15:02 2010\n" MAIL(1) "\n"
	    "From <\"a b (c)\"@x>(-102)  15-03-2010_11:00:00_102\n"
	    "Subject: 2\n\n" FOREIGN "\n" FOREIGN "> From\n>From x\n"
	    NEW("S", 9) "end\n\n"
	    "From <a@b>(F-103) 45-99-2010_11:00:00_1\r\n"
	    "Date: Sat, 13 Mar 2010 00:00:00 +0000\r\n\r\nx\r\n\r\n"
	    OLD("D", 104) "\n\n" OLD("", 105) "A: b\n\nno line end");
	open_u(&f, "");
	assert_int_equal(f.folders[0].uidvalidity, 0);
	enter(&f, "INBOX", NULL);
	assert_int_equal(f.folders[0].uidvalidity, 5);
	assert_int_equal(f.folders[0].uidnext, 200);
	expect_count(&f, 5);
	assert_string_equal(next(&f, &m), "5.101 101 3 SA 1268558102 103");
	assert_int_equal(m.date_origin, DATE_SEPARATOR);
	expect_content(&f, &m, MAIL(1));
	next(&f, &m);
	assert_int_equal(m.uid, 102);
	assert_int_equal(m.date, 1268650800);
	expect_content(&f, &m, "Subject: 2\n\n" FOREIGN "\n" FOREIGN
	    "> From\n>From x\n" NEW("S", 9) "end\n");
	next(&f, &m);
	assert_int_equal(m.uid, 103);
	assert_int_equal(m.date, 1268438400);
	assert_int_equal(m.date_origin, DATE_HEADER);
	expect_content(&f, &m, "Date: Sat, 13 Mar 2010 00:00:00 +0000\r\n\r\n"
	    "x\r\n");
	next(&f, &m);
	expect_content(&f, &m, "\n");
	next(&f, &m);
	expect_content(&f, &m, "A: b\n\nno line end");
	assert_string_equal(next(&f, &m), "end");
	source_folder_close(f.s);
	expect_warning("a separator with no empty line before it: left in the "
	    "message");
	expect_warning("a separator of another program in a file of the "
	    "server: left in the message");
	shut(&f);
}

/* The count and, by its digits, the kind of UIDVALIDITY of INBOX.mbox. */
static void
expect_mbox(const char *text, const char *options, uint64_t count,
    const char *first)
{
	struct msg_meta m;
	struct fixture f;

	put("Accounts/u.macnt/INBOX.mbox", text);
	open_u(&f, options);
	enter(&f, "INBOX", NULL);
	expect_count(&f, count);
	assert_string_equal(next(&f, &m), first);
	shut(&f);
}

static void
dialects(void **state)
{
	enum delta d;
	struct fixture f;

	(void)state;
	put("Accounts/u.macnt/account.info", "{ INBOX={UIDValidity=#5;}; }");
	/* Another program's file has both kinds, and no UIDs. */
	expect_mbox(FOREIGN MAIL(1) "\n" OLD("S", 3) MAIL(2) "\n" FOREIGN
	    MAIL(3), "", 3, "- 0 0  1268558102 103");
	expect_mbox(OLD("S", 3) MAIL(1) "\n" FOREIGN MAIL(2), "", 1,
	    "5.3 3 1 S 1268558102 253");
	expect_mbox(OLD("S", 3) MAIL(1) "\n" FOREIGN MAIL(2),
	    "&dialect=plain", 2, "- 0 1 S 1268558102 103");
	/* UIDs that do not ascend are not believed. */
	expect_mbox(OLD("S", 3) MAIL(1) "\n" OLD("", 3) MAIL(2), "", 2,
	    "- 0 1 S 1268558102 103");
	/* Zones, and what may stand before the first line. */
	expect_mbox("\xef\xbb\xbf\n\r\n" OLD("S", 3) MAIL(1), "&zone=+0130", 1,
	    "5.3 3 1 S 1268552702 103");
	expect_mbox("\n\n", "", 0, "end");
	/* c-client's own message is no mail. */
	expect_mbox("From MAILER-DAEMON Sun Mar 14 09:15:02 2010\nFrom: Mail "
	    "System Internal Data <MAILER-DAEMON@x>\nX-IMAP: 1 2\n\nx\n\n"
	    OLD("S", 3) MAIL(1), "", 1, "5.3 3 1 S 1268558102 103");
	put("Accounts/u.macnt/INBOX.mbox", FOREIGN MAIL(1));
	open_u(&f, "&dialect=cgp");
	assert_int_equal(source_folder_open(f.s, &f.folders[0], NULL, 0, &d,
	    &f.e), -1);
	assert_int_equal(f.e.scope, ERR_MAILBOX);
	assert_non_null(strstr(f.e.text, "no text mailbox"));
	shut(&f);
	put("Accounts/u.macnt/INBOX.mbox", "noise\n\n" OLD("S", 1) MAIL(1));
	open_u(&f, "");
	assert_int_equal(source_folder_open(f.s, &f.folders[0], NULL, 0, &d,
	    &f.e), -1);
	shut(&f);
}

/* Keys of different kinds are never taken for each other. */
static void
kinds_of_keys(void **state)
{
	uint32_t v[4];
	struct fixture f;
	int i;

	(void)state;
	for (i = 0; i < 4; i++) {
		put("Accounts/u.macnt/account.info", i < 2 ? "{}" :
		    "{ INBOX={UIDValidity=#5;}; }");
		put("Accounts/u.macnt/INBOX.mbox", i % 2 == 0 ?
		    OLD("S", 3) MAIL(1) : FOREIGN MAIL(1));
		open_u(&f, "");
		enter(&f, "INBOX", NULL);
		v[i] = f.folders[0].uidvalidity;
		shut(&f);
	}
	assert_true(v[0] >= 0x40000000 && v[1] >= 0x40000000);
	assert_int_not_equal(v[0], v[1]);
	assert_int_equal(v[2], 5);
	assert_int_equal(v[3], v[1]);
}

static void
external_inbox(void **state)
{
	struct msg_meta m;
	struct fixture f;
	char option[200];

	(void)state;
	put("Accounts/u.macnt/account.settings", "{ ExternalINBOX = YES; }");
	put("Accounts/u.macnt/S.mbox", "");
	put("spool/u", OLD("S", 3) MAIL(1) "\n" FOREIGN MAIL(2));
	open_u(&f, "");
	expect_warning("-|ExternalINBOX|INBOX of this account lies outside");
	shut(&f);
	snprintf(option, sizeof option, "&inbox=%s/spool/u", tree_top);
	open_u(&f, option);
	assert_int_equal(tree_warnings.len, 0);
	assert_string_equal(f.folders[0].name, "INBOX");
	enter(&f, "INBOX", NULL);
	expect_count(&f, 2);
	next(&f, &m);
	expect_content(&f, &m, MAIL(1));
	shut(&f);
}

/* Separators at every place of the window in which a file is read. */
static void
windows(void **state)
{
	static const size_t windows[] = { 262144, 524288 - 9 };
	struct msg_meta m;
	struct fixture f;
	char *text, *p;
	size_t w, shift, n;

	(void)state;
	text = malloc(1000000);
	assert_non_null(text);
	for (w = 0; w < 2; w++)
		for (shift = 0; shift < 90; shift += 3) {
			p = text + sprintf(text, OLD("", 1) "A: b\n\n");
			n = windows[w] - 60 + shift - (size_t)(p - text);
			memset(p, 'x', n);
			p += n;
			p += sprintf(p, "\n\n" OLD("", 2) "A: c\n\n\nFrom \n");
			memset(p, 'y', 300000);
			p += 300000;
			sprintf(p, "\n\n" NEW("", 3) "A: d\n\nlast\n\n");
			put("Accounts/u.macnt/INBOX.mbox", text);
			open_u(&f, "");
			enter(&f, "INBOX", NULL);
			expect_count(&f, 3);
			next(&f, &m);
			assert_int_equal(m.size, n + 7);
			next(&f, &m);
			assert_int_equal(m.size, 300000 + 14);
			next(&f, &m);
			assert_int_equal(m.size, 11);
			expect_content(&f, &m, "A: d\n\nlast\n");
			shut(&f);
		}
	free(text);
}

static void
append(const char *name, const char *text)
{
	FILE *file = fopen(at(name), "a");

	assert_non_null(file);
	fputs(text, file);
	fclose(file);
}

static void
live_mbox(void **state)
{
	struct msg_meta m;
	struct content *c;
	struct fixture f;
	enum delta d;
	char got[200];

	(void)state;
	put("Accounts/u.macnt/INBOX.mbox", OLD("", 1) MAIL(1) "\n");
	age("Accounts/u.macnt/INBOX.mbox");
	open_u(&f, "");
	enter(&f, "INBOX", NULL);
	next(&f, &m);
	/* Mail comes: no harm. */
	append("Accounts/u.macnt/INBOX.mbox", OLD("", 2) MAIL(2) "\n");
	expect_content(&f, &m, MAIL(1));
	expect_count(&f, 1);
	/* It is written anew: nothing of it can be trusted, not even what is
	 * just being read. */
	assert_int_equal(source_content(f.s, &m, &c, &f.e), 1);
	assert_int_equal(content_read(c, got, sizeof got, &f.e), 103);
	put("Accounts/u.macnt/INBOX.mbox", OLD("", 2) MAIL(2) "\n" OLD("", 3)
	    MAIL(3) "\n" OLD("", 4) MAIL(4));
	assert_int_equal(content_read(c, got, sizeof got, &f.e), -1);
	assert_int_equal(f.e.cause, CAUSE_CHANGED);
	content_close(&c);
	assert_int_equal(source_content(f.s, &m, &c, &f.e), -1);
	assert_int_equal(f.e.scope, ERR_MAILBOX);
	assert_int_equal(f.e.cause, CAUSE_CHANGED);
	assert_true(f.e.retry);
	source_folder_close(f.s);
	assert_int_equal(source_folder_open(f.s, &f.folders[0], NULL, 0, &d,
	    &f.e), 0);
	expect_count(&f, 3);
	source_folder_close(f.s);
	/* Asked not to let it change, it reads a copy. */
	f.folders[0].stable = true;
	enter(&f, "INBOX", NULL);
	next(&f, &m);
	put("Accounts/u.macnt/INBOX.mbox", OLD("", 7) MAIL(5));
	expect_content(&f, &m, MAIL(2));
	expect_count(&f, 3);
	shut(&f);
}

static void
mbox_tokens(void **state)
{
	struct buf token;
	struct fixture f;

	(void)state;
	buf_init(&token, 1 << 16);
	put("Accounts/u.macnt/INBOX.mbox", OLD("", 1) MAIL(1) "\n");
	open_u(&f, "");
	enter(&f, "INBOX", NULL);
	/* It changed a moment ago. */
	assert_int_equal(source_folder_token(f.s, &token, &f.e), 0);
	assert_int_equal(token.len, 0);
	source_folder_close(f.s);
	append("Accounts/u.macnt/INBOX.mbox", OLD("", 2) MAIL(2) "\n");
	assert_int_equal(enter(&f, "INBOX", &token), DELTA_FULL);
	expect_count(&f, 2);
	shut(&f);
	buf_release(&token);
}

/* Reading changes nothing, not even access times. */
static void
no_trace(void **state)
{
	static const char *const paths[] = {
		"Accounts", "Accounts/u.macnt", "Accounts/u.macnt/INBOX.mdir",
		"Accounts/u.macnt/INBOX.mdir/1--20100314091502",
		"Accounts/u.macnt/B.mbox", "Accounts/u.macnt/account.info"
	};
	struct account_info account;
	struct stat st;
	struct msg_meta m;
	struct fixture f;
	size_t i;

	(void)state;
	put("Accounts/u.macnt/INBOX.mdir/1--20100314091502", MAIL(1));
	put("Accounts/u.macnt/B.mbox", OLD("", 1) MAIL(1));
	put("Accounts/u.macnt/account.info", "{}");
	for (i = sizeof paths / sizeof paths[0]; i-- > 0; )
		age(paths[i]);
	open_u(&f, "");
	assert_int_equal(source_account_facts(f.s, &f.tree, &account, &f.e),
	    0);
	for (i = 0; i < f.nfolders; i++) {
		enter(&f, f.folders[i].name, NULL);
		next(&f, &m);
		expect_content(&f, &m, MAIL(1));
		source_folder_close(f.s);
	}
	shut(&f);
	for (i = 0; i < sizeof paths / sizeof paths[0]; i++) {
		assert_int_equal(stat(at(paths[i]), &st), 0);
		assert_int_equal(st.st_atim.tv_sec, 1000000000);
		assert_int_equal(st.st_mtim.tv_sec, 1000000000);
	}
}

/* All accounts */

static int
on_account(void *ctx, const struct cgp_account *x, struct err *e)
{
	struct buf *out = ctx;

	(void)e;
	return buf_addf(out, "%s %s %lld %llu/%llu %llu %lld %lld %s%s %s\n",
	    x->user, cgp_account_kind_name(x->kind), (long long)x->quota,
	    (unsigned long long)x->messages, (unsigned long long)x->mailboxes,
	    (unsigned long long)x->bytes, (long long)x->crlf_bytes,
	    x->last_login == NO_DATE ? 0LL : (long long)x->last_login,
	    x->pop ? "p" : "-", x->imap ? "i" : "-", x->path);
}

static void
expect_accounts(const char *options, bool read_all, const char *want)
{
	struct store_conf conf = { .warn = tree_warn, .cancel_fd = -1 };
	struct buf out;
	struct err e;
	char text[300];

	buf_init(&out, 1 << 16);
	buf_reset(&tree_warnings);
	snprintf(text, sizeof text, "cgp:%s%s", tree_top, options);
	assert_int_equal(uri_parse(&conf.uri, text, &e), 0);
	if (cgp_accounts(&conf, read_all, on_account, &out, &e) == -1)
		fail_msg("%s", e.text);
	assert_string_equal(out.ptr, want);
	uri_free(&conf.uri);
	buf_release(&out);
}

static void
all_accounts(void **state)
{
	struct store_conf conf = { .warn = tree_warn, .cancel_fd = -1 };
	struct err e;
	char text[300];

	(void)state;
	put("Settings/Main.settings", "{ DomainName = example.org; }");
	put("Settings/DomainDefault.settings", "{ AccountDefaults = "
	    "{ MaxAccountSize = 1K; AccessModes = (Mail, IMAP); }; }");
	put("Accounts/Settings/Aliases.data", "{}");
	put("Accounts/u.macnt/INBOX.mdir/1--20100314091502", MAIL(1));
	put("Accounts/u.macnt/INBOX.mdir/2--20100314091502", "A: b\r\n\r\n");
	put("Accounts/u.macnt/Sent.mbox", OLD("S", 1) "A: b\n\nx\n\n" NEW("", 2)
	    "A: b\n\ny\n");
	put("Accounts/u.macnt/account.info", "{ \"#LastLogin\" = "
	    "#T14-03-2010_10:00:01; }");
	put("Accounts/pbx.macnt/INBOX.mbox", "");
	put("Accounts/public.macnt/INBOX.mbox", "");
	put("Accounts/ext.macnt/account.settings", "{ ExternalINBOX = YES; "
	    "MaxAccountSize = unlimited; AccessModes = All; }");
	put("Accounts/pop.mbox", "noise");
	put("Accounts/pop.settings", "{ AccessModes = (Mail, POP); }");
	put("Accounts/orphan.mbox", "");
	put("Domains/sub.example.net/x.sub/anna.macnt/A.mslc", "");
	put("Domains/sub.example.net/x.sub/anna.macnt/INBOX.mbox", "");
	put("Domains/sub.example.net/x.sub/anna.macnt/account.info",
	    "{ INBOX = { Access = { anyone = lr; }; }; }");
	assert_int_equal(symlink("nowhere", at("Accounts/gone.macnt")), 0);
	expect_accounts("", true,
	    "ext@example.org external INBOX -1 0/0 0 0 0 pi "
	    "Accounts/ext.macnt\n"
	    "pbx@example.org system 1024 0/1 0 0 0 -i Accounts/pbx.macnt\n"
	    "pop@example.org single-mailbox 1024 0/1 0 -1 0 p- "
	    "Accounts/pop.mbox\n"
	    "public@example.org shared 1024 0/1 0 0 0 -i "
	    "Accounts/public.macnt\n"
	    "u@example.org mail 1024 4/2 127 138 1268560801 -i "
	    "Accounts/u.macnt\n"
	    "anna@sub.example.net shared 1024 0/2 0 -1 0 -i "
	    "Domains/sub.example.net/x.sub/anna.macnt\n");
	expect_warning("-|Accounts/orphan.mbox|a mailbox without NAME.settings");
	expect_warning("-|Accounts/gone.macnt|cannot be read: No such file");
	expect_warning("pop@example.org/INBOX|-|no text mailbox");
	expect_warning("anna@sub.example.net|A.mslc|not read: a sliced "
	    "mailbox");
	/* Without reading mail; without settings of the server. */
	assert_int_equal(unlink(at("Settings/Main.settings")), 0);
	assert_int_equal(unlink(at("Settings/DomainDefault.settings")), 0);
	assert_int_equal(remove(at("Accounts/pop.settings")), 0);
	expect_accounts("?main-domain=other.example", false,
	    "ext@other.example external INBOX -1 0/0 0 -1 0 pi "
	    "Accounts/ext.macnt\n"
	    "pbx@other.example system -1 0/1 0 -1 0 pi Accounts/pbx.macnt\n"
	    "public@other.example shared -1 0/1 0 -1 0 pi "
	    "Accounts/public.macnt\n"
	    "u@other.example mail -1 4/2 127 -1 1268560801 pi "
	    "Accounts/u.macnt\n"
	    "anna@sub.example.net shared -1 0/2 0 -1 0 pi "
	    "Domains/sub.example.net/x.sub/anna.macnt\n");
	snprintf(text, sizeof text, "cgp:%s/Accounts", tree_top);
	assert_int_equal(uri_parse(&conf.uri, text, &e), 0);
	assert_int_equal(cgp_accounts(&conf, false, on_account, NULL, &e), -1);
	assert_non_null(strstr(e.text, "neither Accounts/ nor Domains/"));
	uri_free(&conf.uri);
}

int
main(void)
{
#define TEST(f)	cmocka_unit_test_setup_teardown(f, tree_setup, tree_teardown)
	const struct CMUnitTest tests[] = {
		TEST(finding), TEST(running), TEST(options), TEST(mailboxes),
		TEST(both_forms), TEST(too_deep), TEST(info),
		TEST(inheritance), TEST(broken_info), TEST(single_mailbox),
		TEST(mdir), TEST(mdir_tails), TEST(flag_table), TEST(live_mdir), TEST(tokens), TEST(token_letters),
		TEST(mbox), TEST(dialects), TEST(kinds_of_keys),
		TEST(external_inbox), TEST(windows), TEST(live_mbox),
		TEST(mbox_tokens), TEST(no_trace), TEST(all_accounts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
