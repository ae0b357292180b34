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
	fx.src->no_modseq = false;
	fx.tgt->refuse[0] = '\0';
	fx.set.no_flag_sync = false;
	fx.set.delete = DELETE_NO;
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

static unsigned
flags_at_target(int64_t date)
{
	struct mem_folder *f = mem_folder_get(fx.tgt, "INBOX", false);

	for (struct mem_message *m = f->first; m != NULL; m = m->next)
		if (!m->expunged && m->date == date)
			return m->flags;
	fail();
	return 0;
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
	/* A flag: that message is listed, and one that came with it. */
	mem_set_flags(mem_folder_get(fx.src, "INBOX", false), 3, MSG_SEEN);
	fixture_add(fx.src, "INBOX", 502, "", 0, "", 1600000002);
	run(2, 1);
	books(OLD + 3, OLD + 3);
	assert_int_equal(flags_at_target(1000000002), MSG_SEEN);
	run(0, 0);
}

/* Who does not want them is not told of flags; who does so later sees all. */
static void
no_flags(void **state)
{
	(void)state;
	run(OLD, OLD);
	fx.set.no_flag_sync = true;
	mem_set_flags(mem_folder_get(fx.src, "INBOX", false), 3, MSG_SEEN);
	fixture_add(fx.src, "INBOX", 500, "", 0, "", 1600000000);
	run(1, 1);
	books(OLD + 1, OLD + 1);
	assert_int_equal(flags_at_target(1000000002), 0);
	fx.set.no_flag_sync = false;
	run(OLD + 1, 0);
	books(OLD + 1, OLD + 1);
	assert_int_equal(flags_at_target(1000000002), MSG_SEEN);
	/* A store that does not tell which have changed lists all. */
	fx.src->no_modseq = true;
	mem_set_flags(mem_folder_get(fx.src, "INBOX", false), 3, 0);
	run(OLD + 1, 0);
	assert_int_equal(flags_at_target(1000000002), 0);
}

/* What is gone leaves the books, and nothing is listed for it. */
static void
gone_ones(void **state)
{
	struct mem_folder *f = mem_folder_get(fx.src, "INBOX", false);
	int64_t bytes;

	(void)state;
	run(OLD, OLD);
	bytes = fixture_number(&fx, "SELECT sum(bytes) FROM mailbox");
	mem_expunge(f, 7);
	mem_expunge(f, 8);
	run(0, 0);
	books(OLD - 2, OLD - 2);
	assert_true(fixture_number(&fx, "SELECT sum(bytes) FROM mailbox") <
	    bytes);
	/* Those stay gone, and are taken from the books once. */
	mem_expunge(f, 20);
	fixture_add(fx.src, "INBOX", 500, "", 0, "", 1600000000);
	run(1, 1);
	books(OLD - 2, OLD - 2);
	assert_int_equal(mem_folder_get(fx.tgt, "INBOX", false)->count,
	    OLD + 1);
	/* Whoever wants them gone at the target looks at all. */
	fx.set.delete = DELETE_EXPUNGE;
	run(OLD - 2, 0);
	assert_int_equal(mem_folder_get(fx.tgt, "INBOX", false)->count,
	    OLD - 2);
}

/* With --delete those go, and no others, that the source does not name. */
static void
gone_and_removed(void **state)
{
	struct mem_folder *f = mem_folder_get(fx.src, "INBOX", false);

	(void)state;
	fx.set.delete = DELETE_EXPUNGE;
	run(OLD, OLD);
	mem_expunge(f, 7);
	mem_expunge(f, OLD);
	mem_set_flags(f, 3, MSG_SEEN);
	mem_set_flags(f, 9, MSG_SEEN);
	mem_set_flags(mem_folder_get(fx.tgt, "INBOX", false), OLD,
	    MSG_FLAGGED);
	fixture_add(fx.src, "INBOX", 500, "", 0, "", 1600000000);
	run(3, 1);
	books(OLD - 1, OLD - 1);
	assert_int_equal(flags_at_target(1000000002), MSG_SEEN);
	assert_int_equal(flags_at_target(1000000000 + OLD - 1), MSG_FLAGGED);
	/* One is the user's now. */
	assert_int_equal(mem_folder_get(fx.tgt, "INBOX", false)->count, OLD);
	/* All are gone: that is no deletion. */
	for (int i = 0; i < 2 * OLD; i++)
		fixture_add(fx.src, "Other", 1000 + i, "", 0, "", 1700000000);
	assert_int_equal(fixture_run(&fx), 0);
	for (uint32_t uid = 1; uid <= OLD; uid++)
		mem_expunge(f, uid);
	mem_expunge(f, OLD + 1);
	assert_int_equal(fixture_run(&fx), 0);
	assert_int_equal(f->count, 0);
	assert_int_equal(mem_folder_get(fx.tgt, "INBOX", false)->count, OLD);
}

/* Where the rows are not those of the token, everything is listed. */
static void
odd_rows(void **state)
{
	(void)state;
	run(OLD, OLD);
	mem_expunge(mem_folder_get(fx.src, "INBOX", false), 7);
	fixture_sql(&fx, "DELETE FROM message WHERE src_uid = 9");
	assert_int_equal(fixture_run(&fx), 0);
	assert_true(fixture_balanced(&fx));
	books(OLD - 1, OLD - 1);
}

/* Messages with another UIDVALIDITY are others. */
static void
something_gone(void **state)
{
	struct mem_folder *f = mem_folder_get(fx.src, "INBOX", false);

	(void)state;
	run(OLD, OLD);
	mem_expunge(f, 7);
	fixture_add(fx.src, "INBOX", 500, "", 0, "", 1600000000);
	run(1, 1);
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
		TEST(new_ones), TEST(no_flags), TEST(gone_ones),
		TEST(gone_and_removed), TEST(odd_rows), TEST(something_gone),
		TEST(lost_at_target),
		TEST(refused_ones), TEST(present_ones),
	};

	return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
