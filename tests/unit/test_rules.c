/* Rules for mailboxes and messages. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mutf7.h"
#include "rules.h"

#define MANY 32

static struct arena arena;
static struct rules *rules;
static struct folder_info box[MANY];
static struct rule_result result[MANY];
static int64_t newest[MANY];
static size_t nboxes;

static int
setup(void **state)
{
	(void)state;
	arena_init(&arena);
	rules = rules_new();
	memset(box, 0, sizeof box);
	nboxes = 0;
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	arena_release(&arena);
	rules_free(&rules);
	assert_null(rules);
	return 0;
}

/* One more mailbox; its levels are parted by '|'. */
static struct folder_info *
mailbox(const char *levels)
{
	struct folder_info *f = &box[nboxes];
	const char **path = arena_zalloc(&arena, 64 * sizeof *path);
	const char *p, *q;

	for (p = levels; ; p = q + 1) {
		q = p + strcspn(p, "|");
		path[f->npath++] = arena_memdup0(&arena, p, (size_t)(q - p));
		if (*q == '\0')
			break;
	}
	f->path = path;
	f->messages = UNKNOWN64;
	newest[nboxes++] = NO_DATE;
	return f;
}

static void
apply(void)
{
	rules_apply(rules, &arena, box, nboxes, newest, result);
}

static size_t
find(const char *levels)
{
	struct buf b;
	size_t i, k;

	buf_init(&b, 4096);
	for (i = 0; i < nboxes; i++) {
		buf_reset(&b);
		for (k = 0; k < box[i].npath; k++)
			buf_addf(&b, "%s%s", k > 0 ? "|" : "", box[i].path[k]);
		if (strcmp(b.ptr, levels) == 0)
			break;
	}
	buf_release(&b);
	assert_true(i < nboxes);
	return i;
}

static void
goes_to(const char *from, const char *to)
{
	struct rule_result *r = &result[find(from)];
	struct buf b;
	size_t k;

	buf_init(&b, 4096);
	for (k = 0; k < r->npath; k++)
		buf_addf(&b, "%s%s", k > 0 ? "|" : "", r->path[k]);
	assert_string_equal(b.ptr, to);
	buf_release(&b);
}

static void
is_excluded(const char *levels, const char *rule)
{
	const char *by = result[find(levels)].excluded;

	if (rule == NULL)
		assert_null(by);
	else {
		assert_non_null(by);
		assert_string_equal(by, rule);
	}
}

static void
add_map(const char *text)
{
	struct err e;

	if (rules_add_map(rules, text, &e) == -1)
		fail_msg("%s: %s", text, e.text);
}

static void
add(int (*fn)(struct rules *, const char *, struct err *), const char *text)
{
	struct err e;

	if (fn(rules, text, &e) == -1)
		fail_msg("%s: %s", text, e.text);
}

static void
refused(int (*fn)(struct rules *, const char *, struct err *),
    const char *text, const char *words)
{
	struct err e;

	assert_int_equal(fn(rules, text, &e), -1);
	if (strstr(e.text, words) == NULL)
		fail_msg("%s: '%s' lacks '%s'", text, e.text, words);
}

static void
nothing(void **state)
{
	(void)state;
	mailbox("INBOX");
	mailbox("A|b/c|d");
	apply();
	goes_to("INBOX", "INBOX");
	goes_to("A|b/c|d", "A|b/c|d");
	assert_null(result[1].mapped);
	is_excluded("INBOX", NULL);
	assert_int_equal(result[0].use, 0);
}

static void
maps(void **state)
{
	(void)state;
	mailbox("inbox");
	mailbox("Sent Items");
	mailbox("Sent Items|2019");
	mailbox("Mail");
	mailbox("Mail|x|y");
	mailbox("Mailing");
	mailbox("Lists.a.b");
	mailbox("a|b");
	mailbox("a -> b");
	mailbox("say \"hi\"");
	mailbox("un/real");
	mailbox("top|INBOX");
	add_map("\"Sent Items\" -> \"Sent\"");
	add_map("  Mail/   ->   Old/Mail/ ");
	add_map("~^Lists\\.(.*)\\.(.*)$ -> \\2/\\1/\\\\x");
	add_map("\"a -> b\" -> c");
	add_map("\"say \\\"hi\\\"\" -> \"\\\\quoted\\\\ \"");
	add_map("un/real -> level");
	add_map("top/ -> \"\"");
	add_map("INBOX -> Eingang");
	apply();
	goes_to("Sent Items", "Sent");
	assert_string_equal(result[1].mapped, "\"Sent Items\" -> \"Sent\"");
	goes_to("Sent Items|2019", "Sent Items|2019");
	goes_to("Mail", "Old|Mail");
	goes_to("Mail|x|y", "Old|Mail|x|y");
	goes_to("Mailing", "Mailing");
	goes_to("Lists.a.b", "b|a|\\x");
	goes_to("a|b", "a|b");
	goes_to("a -> b", "c");
	goes_to("say \"hi\"", "\\quoted\\ ");
	goes_to("un/real", "level");
	goes_to("inbox", "Eingang");
	goes_to("top|INBOX", "INBOX");
}

static void
map_everything(void **state)
{
	(void)state;
	mailbox("INBOX");
	mailbox("A|B");
	add_map("inbox -> InBox");
	add_map("/ -> Old/");
	apply();
	goes_to("INBOX", "INBOX");
	goes_to("A|B", "Old|A|B");
}

/* A rule that would leave nothing of a name does not count. */
static void
map_to_nothing(void **state)
{
	(void)state;
	mailbox("Mail");
	mailbox("Mail|a");
	mailbox("x");
	add_map("Mail/ -> \"\"");
	add_map("~\"x(y?)\" -> \"\\1\"");
	apply();
	goes_to("Mail", "Mail");
	goes_to("Mail|a", "a");
	goes_to("x", "x");
}

static void
bad_maps(void **state)
{
	(void)state;
	refused(rules_add_map, "", "written");
	refused(rules_add_map, "a", "written");
	refused(rules_add_map, "a ->", "nothing after");
	refused(rules_add_map, "-> b", "no name before");
	refused(rules_add_map, "\"a -> b", "not closed");
	refused(rules_add_map, "\"a\" b -> c", "written");
	refused(rules_add_map, "a -> \"b\" c", "after the closing");
	refused(rules_add_map, "a/ -> b", "both names");
	refused(rules_add_map, "a -> b/", "both names");
	refused(rules_add_map, "a//b -> b", "empty level");
	refused(rules_add_map, "/a -> b", "empty level");
	refused(rules_add_map, "a -> b//c", "empty level");
	refused(rules_add_map, "~( -> b", "(");
	refused(rules_add_map, "~a(b) -> \\2", "1 groups");
}

static void
patterns(void **state)
{
	(void)state;
	mailbox("INBOX");
	mailbox("INBOX|x");
	mailbox("Lists");
	mailbox("Lists|a");
	mailbox("Listserv");
	mailbox("2019-01");
	mailbox("2019-1");
	mailbox("ä");
	mailbox("deep|down|Spam|x");
	mailbox("[Gmail]|All Mail");
	mailbox("star*");
	mailbox("starry");
	mailbox("");
	add(rules_add_exclude, "Lists");
	add(rules_add_exclude, "2019-??");
	add(rules_add_exclude, "?");
	add(rules_add_exclude, "*/Spam");
	add(rules_add_exclude, "[Gmail]/All*");
	add(rules_add_exclude, "star*");
	add(rules_add_exclude, "inbox/x");
	apply();
	is_excluded("INBOX", NULL);
	is_excluded("INBOX|x", "exclude inbox/x");
	is_excluded("Lists", "exclude Lists");
	is_excluded("Lists|a", "exclude Lists");
	is_excluded("Listserv", NULL);
	is_excluded("2019-01", "exclude 2019-??");
	is_excluded("2019-1", NULL);
	is_excluded("ä", "exclude ?");
	is_excluded("deep|down|Spam|x", "exclude */Spam");
	is_excluded("[Gmail]|All Mail", "exclude [Gmail]/All*");
	is_excluded("starry", "exclude star*");
	is_excluded("", NULL);
	refused(rules_add_exclude, "", "empty");
	refused(rules_add_exclude, "\\Nix", "\\Trash");
	refused(rules_add_include, "\\", "\\Trash");
}

static void
quoted_patterns(void **state)
{
	(void)state;
	mailbox("star*x");
	mailbox("starry");
	add(rules_add_exclude, "s*r\\*?");
	apply();
	is_excluded("star*x", "exclude s*r\\*?");
	is_excluded("starry", NULL);
}

static void
includes(void **state)
{
	(void)state;
	mailbox("INBOX");
	mailbox("A");
	mailbox("A|b");
	mailbox("A|c");
	mailbox("Trash");
	add(rules_add_include, "A");
	add(rules_add_include, "\\trash");
	add(rules_add_exclude, "A/c");
	apply();
	is_excluded("INBOX", "include (not in the list)");
	is_excluded("A", NULL);
	is_excluded("A|b", NULL);
	is_excluded("A|c", "exclude A/c");
	is_excluded("Trash", NULL);
}

static void
roles(void **state)
{
	(void)state;
	mailbox("INBOX");
	mailbox("Papierkorb");
	mailbox("Papierkorb|alt");
	mailbox("Trash")->messages = 3;
	mailbox("Junk")->special_use = USE_JUNK | USE_ARCHIVE;
	mailbox("Gesendet");
	mailbox("Sent");
	mailbox("x|Sent");
	mailbox("Drafts")->noselect = true;
	add(rules_add_exclude, "\\Trash");
	newest[1] = 100;
	newest[3] = 50;
	newest[6] = 7;
	apply();
	is_excluded("Papierkorb", "exclude \\Trash");
	is_excluded("Papierkorb|alt", "exclude \\Trash");
	is_excluded("Trash", NULL);
	assert_int_equal(result[1].use, 0);
	assert_int_equal(result[1].candidate, USE_TRASH);
	assert_int_equal(result[3].candidate, USE_TRASH);
	assert_int_equal(result[4].use, USE_JUNK | USE_ARCHIVE);
	assert_int_equal(result[5].use, 0);
	assert_int_equal(result[6].use, USE_SENT);
	assert_int_equal(result[7].candidate, 0);
	assert_int_equal(result[8].candidate, 0);
	goes_to("Gesendet", "Gesendet");
}

/* The store's own mark goes before the date, the date before the count. */
static void
choice(void **state)
{
	(void)state;
	mailbox("Sent")->messages = 10;
	mailbox("Sent Items")->messages = 20;
	apply();
	assert_int_equal(result[1].use, USE_SENT);
	newest[0] = 1;
	apply();
	assert_int_equal(result[0].use, USE_SENT);
	assert_int_equal(result[1].use, 0);
	mailbox("odd")->special_use = USE_SENT;
	apply();
	assert_int_equal(result[2].use, USE_SENT);
	assert_int_equal(result[0].use, 0);
	assert_int_equal(result[0].candidate, USE_SENT);
	rules_apply(rules, &arena, box, 2, NULL, result);
	assert_int_equal(result[1].use, USE_SENT);
	/* One that is left out by name leaves its place to others. */
	add(rules_add_exclude, "odd");
	apply();
	assert_int_equal(result[0].use, USE_SENT);
	rules_set_special_use(rules, SPECIAL_OFF);
	apply();
	assert_int_equal(result[0].use, 0);
}

static void
renames(void **state)
{
	(void)state;
	mailbox("INBOX");
	mailbox("INBOX|a|b");
	mailbox("Corbeille");
	mailbox("Brouillons");
	rules_set_special_use(rules, SPECIAL_RENAME);
	rules_set_inbox_children(rules, INBOX_TOP);
	add_map("Brouillons -> Meine");
	apply();
	goes_to("INBOX", "INBOX");
	goes_to("INBOX|a|b", "a|b");
	goes_to("Corbeille", "Trash");
	goes_to("Brouillons", "Meine");
	assert_int_equal(result[3].use, USE_DRAFTS);
}

static unsigned
use_of(const char *name)
{
	return rules_use_of_name(rules, &name, 1);
}

static void
names(void **state)
{
	const struct use_name *u, *v;
	const char *two[] = { "Sent", "x" };

	(void)state;
	for (u = use_names; u->name != NULL; u++) {
		assert_true(utf8_valid(u->name, strlen(u->name)));
		assert_string_not_equal(use_word(u->use), "");
		for (v = u + 1; v->name != NULL; v++)
			assert_string_not_equal(u->name, v->name);
	}
	assert_int_equal(use_of("Entwürfe"), USE_DRAFTS);
	assert_int_equal(use_of("Corbeille"), USE_TRASH);
	assert_int_equal(use_of("保管"), 0);
	assert_int_equal(rules_use_of_name(rules, two, 2), 0);
	add(rules_add_special, "\"保管\" -> \\Archive");
	add(rules_add_special, "Corbeille -> none");
	assert_int_equal(use_of("保管"), USE_ARCHIVE);
	assert_int_equal(use_of("Corbeille"), 0);
	refused(rules_add_special, "x -> y", "no special use");
	refused(rules_add_special, "x", "written");
	assert_string_equal(use_word(USE_SENT), "\\Sent");
	assert_string_equal(use_word(0), "");
	assert_int_equal(use_of_word("\\\\SENT"), USE_SENT);
	assert_int_equal(use_of_word("Sentx"), 0);
}

static void
by(const struct msg_meta *m, const char *rule)
{
	const char *got = rules_message(rules, m);

	if (rule == NULL)
		assert_null(got);
	else {
		assert_non_null(got);
		assert_string_equal(got, rule);
	}
}

static void
messages(void **state)
{
	static const char *const hidden[] = { "x", "$HIDDEN" };
	struct msg_meta m = { .date = 1000, .size = 50,
	    .flags = MSG_SEEN | MSG_DELETED };

	(void)state;
	by(&m, NULL);
	rules_set_newer(rules, 1000, "newer-than a");
	rules_set_older(rules, 2000, "older-than b");
	rules_set_max_size(rules, 50, "max-size 50");
	by(&m, NULL);
	m.date = 999;
	by(&m, "newer-than a");
	m.date = 1999;
	by(&m, NULL);
	m.date = 2000;
	by(&m, "older-than b");
	m.date = NO_DATE;
	by(&m, NULL);
	m.size = 51;
	by(&m, "max-size 50");
	m.size = UNKNOWN64;
	by(&m, NULL);
	m.keywords = hidden;
	m.nkeywords = 2;
	by(&m, NULL);
	rules_set_skip_hidden(rules, true);
	by(&m, "hidden skip");
	m.nkeywords = 1;
	by(&m, NULL);
	rules_set_skip_deleted(rules, true);
	by(&m, "deleted skip");
}

int
main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(nothing), T(maps), T(map_everything), T(map_to_nothing),
		T(bad_maps), T(patterns), T(quoted_patterns), T(includes),
		T(roles), T(choice), T(renames), T(names), T(messages),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
