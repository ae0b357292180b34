/*
 * Access rights and mailboxes of others: letters, who is who, and the engine on
 * in-memory stores: given once, kept when changed, not inherited, killed.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "acl.h"
#include "people.h"
#include "unit/lib/engine_case.h"

static const char list[] =
    "user;target_user\n"
    "joe@example.org;joe\n"
    "Alice@example.org;al\n"
    "a1@example.org;a1\n"
    "dash@example.org;-dash\n"
    "same@example.org;x\n"
    "SAME@example.org;y\n";

/* Letters. */

static void
letters(void **state)
{
	static const char *const told[][3] = {
		/* what is told, newer, older */
		{ "lrswipkxtecdan", "lrswipkxtean", "lrswipkxtean" },
		{ "lrswipcda", "lrswipa", "lrswipkxtea" },
		{ "rl", "lr", "lr" }, { "", "", "" }, { "0l0", "l0", "l0" },
	};
	static const char *const older[][2] = {
		{ "lrswipkxtea", "lrswipcda" }, { "lrt", "lrd" },
		{ "x", "c" }, { "", "" },
	};
	char out[ACL_MAX], many[300];

	(void)state;
	for (size_t i = 0; i < sizeof told / sizeof told[0]; i++) {
		acl_told(told[i][0], true, out);
		assert_string_equal(out, told[i][1]);
		acl_told(told[i][0], false, out);
		assert_string_equal(out, told[i][2]);
	}
	for (size_t i = 0; i < sizeof older / sizeof older[0]; i++) {
		acl_older(older[i][0], out);
		assert_string_equal(out, older[i][1]);
	}
	/* all bytes there are */
	for (size_t i = 0; i < 299; i++)
		many[i] = (char)(i % 255 + 1);
	many[299] = '\0';
	acl_told(many, false, out);
	assert_true(strlen(out) < sizeof out);
	acl_rights(many, out);
	assert_string_equal(out, "");
}

static void
who_is_who(void **state)
{
	struct accounts *a;
	struct people *p;
	struct person x;
	struct buf errors;

	(void)state;
	buf_init(&errors, 1 << 12);
	accounts_read_text(&a, "list", list, sizeof list - 1, true, &errors);
	p = people_new(a, NULL);
	assert_true(people_find(p, "alice@EXAMPLE.org", &x));
	assert_string_equal(x.target_user, "al");
	assert_string_equal(x.name, "Alice@example.org");
	assert_false(people_find(p, "alice", &x));
	assert_false(people_find(p, "alice@example.net", &x));
	assert_false(people_find(p, "same@example.org", &x));
	assert_false(people_find(p, "", &x));
	assert_false(people_find(NULL, "alice@example.org", &x));
	people_free(&p);
	accounts_free(&a);
	/* a list without domains */
	accounts_read_text(&a, "list", "user\nbob\n", 9, true, &errors);
	p = people_new(a, NULL);
	assert_true(people_find(p, "bob@example.org", &x));
	assert_string_equal(x.target_user, "bob");
	assert_false(people_find(p, "@", &x));
	people_free(&p);
	accounts_free(&a);
	buf_release(&errors);
}

/* The engine. */

static int
setup(void **state)
{
	case_setup(state);
	fx.people = list;
	fx.set.acl = true;
	fx.set.only_metadata = false;
	fx.set.subscribe = SUBSCRIBE_AUTO;
	fx.src->foreign[0] = '\0';
	fx.tgt->shared[0] = fx.tgt->acl_refuse[0] = '\0';
	fx.tgt->no_acl = fx.tgt->inherits = false;
	fx.tgt->nacl = 0;
	fill_source();
	return 0;
}

static void
wish(const char *folder, const char *who, const char *rights)
{
	mem_acl_set(mem_folder_get(fx.src, folder, true), who, rights);
}

static const char *
has(const char *folder)
{
	return mem_folder_get(fx.tgt, folder, true)->acl;
}

static int64_t
told(const char *like)
{
	char sql[300];

	snprintf(sql, sizeof sql, "SELECT count(*) FROM issue WHERE kind ="
	    " 'access' AND message_where || ': ' || reason LIKE '%s'", like);
	return fixture_number(&fx, sql);
}

static void
given(void **state)
{
	(void)state;
	wish("INBOX", "Alice@example.org", "lrs");
	wish("INBOX", "anyone", "l");
	wish("Sent", "alice@example.org", "lrswipkxtea");
	wish("Sent", "joe@example.org", "lr");		/* the owner */
	wish("Sent", "team@example.org", "lr");
	wish("Sent", "dash@example.org", "lr");
	wish("Sent", "same@example.org", "lr");
	assert_int_equal(fixture_run(&fx), 0);
	assert_string_equal(has("INBOX"), "al lrs\nanyone l\n");
	assert_string_equal(has("Sent"), "al lrswipkxtea\n");
	assert_string_equal(has("Work/Old"), "");
	assert_int_equal(fx.tgt->nacl, 3);
	assert_int_equal(told("Sent for team@example.org: lr: %nobody of%"),
	    1);
	assert_int_equal(told("Sent for same@example.org: lr: %nobody of%"),
	    1);
	assert_int_equal(told("Sent for dash@example.org: lr: %else"), 1);
	assert_int_equal(told("%"), 3);
	/* once */
	assert_int_equal(fixture_run(&fx), 0);
	assert_int_equal(fx.tgt->nacl, 3);
	assert_int_equal(told("%"), 3);
	/* others at the source: nothing is taken back */
	wish("INBOX", "Alice@example.org", "lr");
	wish("INBOX", "anyone", "");
	assert_int_equal(fixture_run(&fx), 0);
	assert_string_equal(has("INBOX"), "anyone l\nal lr\n");
	assert_int_equal(fx.tgt->nacl, 4);
	assert_int_equal(fixture_number(&fx, "SELECT count(*) FROM op WHERE"
	    " kind = 'acl' AND state = 0"), 0);
	assert_int_equal(fixture_number(&fx, "SELECT count(*) FROM op WHERE"
	    " kind = 'acl'"), 4);
}

static void
kept(void **state)
{
	(void)state;
	mem_acl_set(mem_folder_get(fx.tgt, "INBOX", true), "al", "lrw");
	wish("INBOX", "alice@example.org", "lrs");
	wish("Sent", "alice@example.org", "lr");
	wish("Sent", "a1@example.org", "lr");
	assert_int_equal(fixture_run(&fx), 0);
	assert_string_equal(has("INBOX"), "al lrw\n");
	assert_int_equal(told("INBOX for alice@example.org: %lrw: these stay"),
	    1);
	/* changed, and taken away, since */
	mem_acl_set(mem_folder_get(fx.tgt, "Sent", true), "al", "l");
	mem_acl_set(mem_folder_get(fx.tgt, "Sent", true), "a1", "");
	wish("Sent", "alice@example.org", "lrs");
	assert_int_equal(fixture_run(&fx), 0);
	assert_string_equal(has("Sent"), "al l\n");
	assert_int_equal(told("Sent for alice@example.org: %to l at%stays"),
	    1);
	assert_int_equal(told("Sent for a1@example.org: %to none at%stays"),
	    1);
	assert_int_equal(fx.tgt->nacl, 2);
	/* as it should be, whoever did it */
	mem_acl_set(mem_folder_get(fx.tgt, "Sent", true), "al", "");
	mem_acl_set(mem_folder_get(fx.tgt, "Sent", true), "AL", "lrs");
	assert_int_equal(fixture_run(&fx), 0);
	assert_int_equal(told("Sent for alice%"), 0);
	mem_acl_set(mem_folder_get(fx.tgt, "Sent", true), "AL", "");
	mem_acl_set(mem_folder_get(fx.tgt, "Sent", true), "al", "lrs");
	wish("Sent", "alice@example.org", "lr");
	assert_int_equal(fixture_run(&fx), 0);
	assert_string_equal(has("Sent"), "al lr\n");
}

static void
not_given(void **state)
{
	(void)state;
	wish("INBOX", "alice@example.org", "lrs");
	wish("INBOX", "anyone", "l");
	fx.set.acl = false;
	assert_int_equal(fixture_run(&fx), 0);
	assert_int_equal(told("INBOX: not carried over: alice@example.org lrs,"
	    " anyone l: acl = no"), 1);
	fx.set.acl = true;
	fx.tgt->no_acl = true;
	assert_int_equal(fixture_run(&fx), 0);
	assert_int_equal(told("INBOX: not carried over: %: no rights here"),
	    1);
	assert_int_equal(told("%"), 1);
	fx.tgt->no_acl = false;
	snprintf(fx.tgt->acl_refuse, sizeof fx.tgt->acl_refuse, "al");
	assert_int_equal(fixture_run(&fx), 0);
	assert_string_equal(has("INBOX"), "anyone l\n");
	assert_int_equal(told("INBOX for alice%: lrs: %NO nobody%"), 1);
	/* tried again in each pass */
	fx.tgt->acl_refuse[0] = '\0';
	assert_int_equal(fixture_run(&fx), 0);
	assert_string_equal(has("INBOX"), "anyone l\nal lrs\n");
	assert_int_equal(told("%"), 0);
}

/* A mailbox of a later pass is not open to those above it. */
static void
inherited(void **state)
{
	(void)state;
	fx.tgt->inherits = true;
	wish("Work", "alice@example.org", "lrs");
	wish("Work", "a1@example.org", "lr");
	fixture_add(fx.src, "Work", 1, "", 0, "", 1000000000);
	assert_int_equal(fixture_run(&fx), 0);
	assert_string_equal(has("Work"), "a1 lr\nal lrs\n");
	assert_string_equal(has("Work/Old"), "");
	fixture_add(fx.src, "Work/New", 1, "", 0, "", 1000000000);
	wish("Work/New", "a1@example.org", "l");
	mem_acl_set(mem_folder_get(fx.tgt, "Work", true), "boss", "lr");
	assert_int_equal(fixture_run(&fx), 0);
	assert_string_equal(has("Work/New"), "boss lr\na1 l\n");
	assert_string_equal(has("Work"), "a1 lr\nal lrs\nboss lr\n");
	/* only then */
	mem_acl_set(mem_folder_get(fx.tgt, "Work/New", true), "al", "lr");
	assert_int_equal(fixture_run(&fx), 0);
	assert_string_equal(has("Work/New"), "boss lr\na1 l\nal lr\n");
}

static void
without_messages(void **state)
{
	(void)state;
	fx.set.only_metadata = true;
	assert_int_equal(fixture_run(&fx), 2);
	assert_int_equal(fx.tgt->nstored, 0);
	fx.set.only_metadata = false;
	assert_int_equal(fixture_run(&fx), 0);
	wish("INBOX", "alice@example.org", "lrs");
	fixture_add(fx.src, "INBOX", 4711, "", 0, "", 1000000000);
	mem_folder_get(fx.src, "Sent", false)->subscribed = true;
	fx.tgt->nstored = 0;
	fx.set.only_metadata = true;
	assert_int_equal(fixture_run(&fx), 0);
	assert_int_equal(fx.tgt->nstored, 0);
	assert_string_equal(has("INBOX"), "al lrs\n");
	assert_true(mem_folder_get(fx.tgt, "Sent", false)->subscribed);
	assert_true(fixture_balanced(&fx));
	/* a new mailbox is not made, and is still to be copied */
	fixture_add(fx.src, "New", 1, "", 0, "", 1000000000);
	assert_int_equal(fixture_run(&fx), 2);
	assert_null(mem_folder_get(fx.tgt, "New", false));
	fx.set.only_metadata = false;
	assert_int_equal(fixture_run(&fx), 0);
	assert_int_equal(fx.tgt->nstored, 2);
}

/* Mailboxes of others: when all accounts are there. */

static void
others(void **state)
{
	(void)state;
	if (fx.more == 0)
		fixture_more(&fx, 1);
	mem_store_reset(fx.more_src[0]);
	mem_store_reset(fx.more_tgt[0]);
	fixture_add(fx.more_src[0], "INBOX", 1, "", 0, "", 1000000000);
	fixture_add(fx.more_src[0], "News", 2, "", 0, "", 1000000000);
	snprintf(fx.src->foreign, sizeof fx.src->foreign, "%s",
	    "a1@example.org News\na1@example.org Nope\nalice@example.org x\n"
	    "nobody@example.org INBOX\n");
	/* a1 is known by its account's name in the list */
	fx.people = "name;user;target_user\na1;a1@example.org;one\n"
	    "joe;joe@example.org;joe\nalice;alice@example.org;al\n";
	assert_int_equal(fixture_run(&fx), 0);
	assert_string_equal(fx.tgt->shared, "user/one/News\n");
	assert_int_equal(told("subscription a1@example.org Nope: %no such"
	    " mailbox%"), 1);
	assert_int_equal(told("subscription alice%: %no such mailbox%"), 1);
	assert_int_equal(told("subscription nobody%: %nobody of the%"), 1);
	assert_int_equal(fixture_number(&fx, "SELECT count(*) FROM op WHERE"
	    " kind = 'subscribe' AND state = 0"), 0);
	/* not twice; with the other mailbox it works */
	fx.tgt->shared[0] = '\0';
	fixture_add(fx.more_src[0], "Nope", 2, "", 0, "", 1000000000);
	assert_int_equal(fixture_run(&fx), 0);
	assert_string_equal(fx.tgt->shared, "user/one/Nope\n");
	assert_int_equal(told("%"), 2);
	/* none, if none are wanted */
	fx.tgt->shared[0] = '\0';
	fixture_add(fx.more_src[0], "Third", 2, "", 0, "", 1000000000);
	snprintf(fx.src->foreign, sizeof fx.src->foreign, "%s",
	    "a1@example.org Third\n");
	fx.set.subscribe = SUBSCRIBE_NONE;
	assert_int_equal(fixture_run(&fx), 0);
	assert_string_equal(fx.tgt->shared, "");
	assert_int_equal(told("subscription %Third: %subscribe = none"), 1);
	fx.more = 0;
}

#ifdef MAILHAUL_FAULTS
/* kill -9 around every change: all is given in the end, and nothing twice that
 * was known to be. */
static void
killed(void **state)
{
	static const char *const points[] = { "acl.before", "acl.set",
	    "subscribe.after" };
	char spec[64];

	(void)state;
	for (size_t i = 0; i < sizeof points / sizeof points[0]; i++)
		for (int nth = 1; nth < 10; nth++) {
			setup(state);
			if (fx.more_src[0] == NULL)
				fixture_more(&fx, 1);
			fx.more = 1;
			mem_store_reset(fx.more_src[0]);
			mem_store_reset(fx.more_tgt[0]);
			fixture_add(fx.more_src[0], "INBOX", 1, "", 0, "",
			    1000000000);
			snprintf(fx.src->foreign, sizeof fx.src->foreign,
			    "a1@example.org INBOX\n");
			fx.people = "name;user;target_user\na1;a1@example.org;"
			    "one\nalice;alice@example.org;al\n";
			wish("INBOX", "alice@example.org", "lrs");
			wish("INBOX", "anyone", "l");
			wish("Sent", "alice@example.org", "lr");
			snprintf(spec, sizeof spec, "kill@%s:%d", points[i],
			    nth);
			if (faulty_run(spec) != -SIGKILL) {
				assert_true(nth > 1);
				break;
			}
			assert_int_equal(fixture_run(&fx), 0);
			assert_string_equal(has("INBOX"), "al lrs\n"
			    "anyone l\n");
			assert_string_equal(has("Sent"), "al lr\n");
			assert_string_equal(fx.tgt->shared,
			    "user/one/INBOX\n");
			assert_int_equal(fx.tgt->nacl, 3);
			assert_int_equal(told("%"), 0);
			assert_int_equal(fixture_number(&fx, "SELECT count(*)"
			    " FROM op WHERE kind = 'acl' AND state = 0"), 0);
			assert_int_equal(fixture_run(&fx), 0);
			assert_int_equal(fx.tgt->nacl, 3);
		}
	fx.more = 0;
}
#endif

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(letters),
		cmocka_unit_test(who_is_who),
		cmocka_unit_test_setup(given, setup),
		cmocka_unit_test_setup(kept, setup),
		cmocka_unit_test_setup(not_given, setup),
		cmocka_unit_test_setup(inherited, setup),
		cmocka_unit_test_setup(without_messages, setup),
		cmocka_unit_test_setup(others, setup),
#ifdef MAILHAUL_FAULTS
		cmocka_unit_test_setup(killed, setup),
#endif
	};
	int rc;

	fixture_start(&fx);
	rc = cmocka_run_group_tests(tests, NULL, NULL);
	fixture_stop(&fx);
	return rc;
}
