/*
 * A target that breaks at messages or mailboxes: whatever is to blame, what is
 * behind them is copied, and a sick target makes no account fail.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "unit/lib/engine_fixture.h"

#define BROKEN	"X-Breaks: it\n"

static struct fixture fx;

/* n messages, of which those are broken that a letter x stands for. */
static void
fill(const char *folder, const char *plan)
{
	static int number;

	for (const char *p = plan; *p != '\0'; p++)
		fixture_add(fx.src, folder, number++, *p == 'x' ? BROKEN : "",
		    0, "", 1000000000);
}

static int
setup(void **state)
{
	(void)state;
	mem_store_reset(fx.src);
	mem_store_reset(fx.tgt);
	mem_folder_get(fx.tgt, "INBOX", true);
	fixture_drop_state(&fx);
	fx.tgt->batch_messages = 8;
	fx.set.patience_s = 30;
	snprintf(fx.tgt->breaks, sizeof fx.tgt->breaks, "X-Breaks");
	return 0;
}

static int64_t
failed(void)
{
	return fixture_number(&fx, "SELECT sum(failed) FROM mailbox");
}

static int64_t
accounts(const char *outcome)
{
	char sql[100];

	snprintf(sql, sizeof sql, "SELECT count(*) FROM account WHERE outcome"
	    " = '%s'", outcome);
	return fixture_number(&fx, sql);
}

/* Twice: what failed is told and tried again, and no account fails of it. */
static void
all_but(uint64_t stored, int64_t bad)
{
	for (int run = 0; run < 2; run++) {
		assert_int_equal(fixture_run(&fx), 2);
		assert_int_equal(fx.tgt->nstored, stored);
		assert_int_equal(failed(), bad);
		assert_int_equal(accounts("partial"), 1);
		assert_true(fixture_balanced(&fx));
		assert_int_equal(fixture_number(&fx, "SELECT count(*) FROM"
		    " issue WHERE kind = 'failed'"), bad);
	}
}

static void
well_again(uint64_t stored)
{
	fx.tgt->breaks[0] = '\0';
	assert_int_equal(fixture_run(&fx), 0);
	assert_int_equal(fx.tgt->nstored, stored);
	assert_true(fixture_balanced(&fx));
}

static void
one(void **state)
{
	(void)state;
	fill("INBOX", "ooooxooooooo");
	fill("Sent", "ooo");
	all_but(14, 1);
	well_again(15);
}

/* What is behind it goes over at once, not when it has been tried in vain. */
static void
at_once(void **state)
{
	(void)state;
	fill("INBOX", "xoooxooooooooooooxooo");
	fx.set.max_tries = 0;
	assert_int_equal(fixture_run(&fx), 2);
	assert_int_equal(fx.tgt->nstored, 18);
	assert_int_equal(fixture_number(&fx, "SELECT count(*) FROM message"
	    " WHERE outcome = 1"), 18);
	assert_int_equal(accounts("partial"), 1);
}

/* More than the engine takes one after the other for the account's trouble,
 * which in later tries come one after the other. */
static void
many(void **state)
{
	(void)state;
	fill("INBOX", "oxoxoxoxoxoxo");
	fill("Sent", "xoxx");
	all_but(8, 9);
	well_again(17);
}

/* So it is when others have the same, as far as the target can tell. */
static void
others_too(void **state)
{
	(void)state;
	fx.tgt->breaks_all = true;
	fill("INBOX", "ooooxooooooo");
	fill("Sent", "xoo");
	fill("Work", "x");
	all_but(13, 3);
	well_again(16);
}

/* Nothing is for ever behind many of them, even. */
static void
others_too_in_a_row(void **state)
{
	(void)state;
	fx.tgt->breaks_all = true;
	fx.set.patience_s = 600;
	fill("INBOX", "xxxxxoooo");
	fill("Sent", "ooo");
	all_but(7, 5);
	well_again(12);
}

/* A target that breaks at everything, as others do: its host is away, and
 * nobody is marked. */
static void
sick(void **state)
{
	(void)state;
	fx.tgt->breaks_all = true;
	fx.set.patience_s = 3;
	fill("INBOX", "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx");
	fill("Sent", "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx");
	assert_int_equal(fixture_run(&fx), 75);
	assert_int_equal(accounts("stopped"), 1);
	assert_int_equal(fixture_number(&fx, "SELECT count(*) FROM mailbox"
	    " WHERE outcome IN ('failed', 'partial')"), 0);
	well_again(74);
}

/* A target that breaks for this account alone: it fails, and says why. */
static void
sick_account(void **state)
{
	(void)state;
	fx.set.max_tries = 2;
	fill("INBOX", "xxxxxxxxxx");
	assert_int_equal(fixture_run(&fx), 2);
	assert_int_equal(accounts("failed"), 1);
	assert_int_equal(fixture_number(&fx, "SELECT count(*) FROM account"
	    " WHERE error LIKE '%SERVERBUG%'"), 1);
	well_again(10);
}

/* One mailbox that cannot be opened, here and in other accounts. */
static void
mailbox(void **state)
{
	(void)state;
	snprintf(fx.tgt->breaks, sizeof fx.tgt->breaks, "Broken");
	for (int all = 0; all < 2; all++) {
		mem_store_reset(fx.src);
		fixture_drop_state(&fx);
		fx.tgt->nstored = 0;
		fx.tgt->breaks_all = all;
		fx.set.empty_ok = fx.set.merge_existing = true;
		fill("Broken", "ooo");
		fill("INBOX", "ooooo");
		assert_int_equal(fixture_run(&fx), 2);
		assert_int_equal(fx.tgt->nstored, 5);
		assert_int_equal(accounts("partial"), 1);
	}
	fx.set.empty_ok = fx.set.merge_existing = false;
}

/* One that holds mail and cannot be opened while the account is prepared: the
 * others show whose account it is; where they do not, nothing is done. */
static void
mailbox_before(void **state)
{
	(void)state;
	snprintf(fx.tgt->breaks, sizeof fx.tgt->breaks, "Broken");
	for (int all = 0; all < 2; all++) {
		mem_store_reset(fx.src);
		fixture_drop_state(&fx);
		fx.tgt->nstored = 0;
		fx.tgt->breaks_all = all;
		fx.set.max_tries = 1;
		fx.set.patience_s = 2;
		for (int i = 0; i < 5; i++) {
			fixture_add(fx.src, "Broken", 100 + i, "", 0, "", 1);
			fixture_add(fx.src, "INBOX", i, "", 0, "", 1);
		}
		fixture_add(fx.tgt, "Broken", 100, "", 0, "", 1);
		assert_int_equal(fixture_run(&fx), all ? 75 : 2);
		assert_int_equal(fx.tgt->nstored, 0);
		assert_int_equal(accounts("failed"), !all);
		fixture_drop_state(&fx);
		fx.set.patience_s = 30;
		fixture_add(fx.tgt, "INBOX", 1, "", 0, "", 1);
		assert_int_equal(fixture_run(&fx), 2);
		assert_int_equal(fx.tgt->nstored, 4);
		assert_int_equal(accounts("partial"), 1);
		assert_int_equal(fixture_number(&fx, "SELECT count(*) FROM"
		    " message WHERE outcome = 2"), 1);
		for (struct mem_folder *f = fx.tgt->folders; f; f = f->next)
			for (uint32_t uid = 1; uid < 20; uid++)
				mem_expunge(f, uid);
	}
	fx.set.max_tries = 5;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(one, setup),
		cmocka_unit_test_setup(at_once, setup),
		cmocka_unit_test_setup(many, setup),
		cmocka_unit_test_setup(others_too, setup),
		cmocka_unit_test_setup(others_too_in_a_row, setup),
		cmocka_unit_test_setup(sick, setup),
		cmocka_unit_test_setup(sick_account, setup),
		cmocka_unit_test_setup(mailbox, setup),
		cmocka_unit_test_setup(mailbox_before, setup),
	};
	int rc;

	fixture_start(&fx);
	rc = cmocka_run_group_tests(tests, NULL, NULL);
	fixture_stop(&fx);
	return rc;
}
