/*
 * Passes over a source that tells what is new: only that is listed, and the
 * books are those of a full listing.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "lib/engine_fixture.h"

#define OLD	30

static struct fixture fx;

static int
group_setup(void **state)
{
	(void)state;
	fixture_start(&fx);
	fx.set.no_flag_sync = true;	/* else all are listed */
	return 0;
}

static int
group_teardown(void **state)
{
	(void)state;
	fixture_stop(&fx);
	return 0;
}

static int
setup(void **state)
{
	(void)state;
	fixture_drop_state(&fx);
	mem_store_reset(fx.src);
	mem_store_reset(fx.tgt);
	fx.src->tells_new = true;
	fx.tgt->refuse[0] = '\0';
	for (int i = 0; i < OLD; i++)
		fixture_add(fx.src, "INBOX", i, "", 0, "", 1000000000 + i);
	return 0;
}

/* One run, which lists so many messages and stores so many. */
static void
run(uint64_t listed, uint64_t stored)
{
	uint64_t nlisted = fx.src->nlisted, nstored = fx.tgt->nstored;

	assert_int_equal(fixture_run(&fx), 0);
	assert_int_equal(fx.src->nlisted - nlisted, listed);
	assert_int_equal(fx.tgt->nstored - nstored, stored);
	assert_true(fixture_balanced(&fx));
}

static void
books(int64_t source, int64_t copied)
{
	assert_int_equal(fixture_number(&fx, "SELECT sum(source) FROM"
	    " mailbox"), source);
	assert_int_equal(fixture_number(&fx, "SELECT sum(copied) FROM"
	    " mailbox"), copied);
}

static void
new_ones(void **state)
{
	int64_t bytes;

	(void)state;
	run(OLD, OLD);
	run(0, 0);
	bytes = fixture_number(&fx, "SELECT sum(crlf_bytes) FROM mailbox");
	fixture_add(fx.src, "INBOX", 500, "", 0, "", 1600000000);
	fixture_add(fx.src, "INBOX", 501, "", 0, "", 1600000001);
	run(2, 2);
	books(OLD + 2, OLD + 2);
	assert_int_equal(fixture_number(&fx, "SELECT sum(crlf_bytes) * 30 / 32"
	    " FROM mailbox"), bytes);
	/* A flag: nothing is new. */
	mem_set_flags(mem_folder_get(fx.src, "INBOX", false), 3, MSG_SEEN);
	run(0, 0);
	books(OLD + 2, OLD + 2);
	run(0, 0);
}

/* Whenever the numbers do not prove it, everything is listed. */
static void
something_gone(void **state)
{
	struct mem_folder *f = mem_folder_get(fx.src, "INBOX", false);

	(void)state;
	run(OLD, OLD);
	mem_expunge(f, 7);
	fixture_add(fx.src, "INBOX", 500, "", 0, "", 1600000000);
	/* And one, to see that it is the same store. */
	run(OLD + 1, 1);
	books(OLD, OLD);
	/* Nothing of it has a known name now, which somebody has to allow. */
	f->uidvalidity++;
	fx.set.merge_existing = true;
	fixture_add(fx.src, "INBOX", 501, "", 0, "", 1600000001);
	assert_int_equal(fixture_run(&fx), 0);
	fx.set.merge_existing = false;
	assert_true(fixture_balanced(&fx));
	assert_int_equal(fx.tgt->nstored, OLD + 2);
}

/* What is lost at the target is found among the old ones. */
static void
lost_at_target(void **state)
{
	(void)state;
	run(OLD, OLD);
	mem_expunge(mem_folder_get(fx.tgt, "INBOX", false), 5);
	fixture_add(fx.src, "INBOX", 500, "", 0, "", 1600000000);
	run(OLD + 1, 2);
	books(OLD + 1, OLD + 1);
}

/* Refused ones stay in the books, and are met when the limit changes. */
static void
refused_ones(void **state)
{
	(void)state;
	memcpy(fx.tgt->refuse, "message 0003", 13);
	assert_int_equal(fixture_run(&fx), 0);
	fixture_add(fx.src, "INBOX", 500, "", 0, "", 1600000000);
	run(1, 1);
	books(OLD + 1, OLD);
	assert_int_equal(fixture_number(&fx, "SELECT sum(refused) FROM"
	    " mailbox"), 1);
	fx.tgt->refuse[0] = '\0';
	fx.set.refusal_rule = "repair=yes";
	fixture_add(fx.src, "INBOX", 501, "", 0, "", 1600000001);
	run(OLD + 2, 2);
	books(OLD + 2, OLD + 2);
	fx.set.refusal_rule = "repair=no";
}

/* Copies of new ones that are there already are taken, not stored. */
static void
present_ones(void **state)
{
	(void)state;
	run(OLD, OLD);
	fixture_add(fx.src, "INBOX", 500, "", 0, "", 1600000000);
	fixture_add(fx.src, "INBOX", 501, "", 0, "", 1600000001);
	fixture_add(fx.tgt, "INBOX", 501, "", 0, "", 1600000001);
	assert_int_equal(fixture_run(&fx), 0);
	assert_int_equal(fx.tgt->nstored, OLD + 1);
	assert_true(fixture_balanced(&fx));
	books(OLD + 2, OLD + 1);
	assert_int_equal(fixture_number(&fx, "SELECT sum(present) FROM"
	    " mailbox"), 1);
	run(0, 0);
}

#define TEST(f) cmocka_unit_test_setup(f, setup)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(new_ones), TEST(something_gone), TEST(lost_at_target),
		TEST(refused_ones), TEST(present_ones),
	};

	return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
