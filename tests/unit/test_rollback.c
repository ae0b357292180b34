/*
 * A target that was put back to an older backup and has given UIDs of what was
 * copied to other mail: before release what is missing is copied again, and it
 * is said; after release the account stops.  And a source whose server was
 * replaced: its messages have other keys, and are known by their bytes.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "unit/lib/engine_case.h"

#define N	30
#define LOST	6	/* came after the backup */
#define DATE	1000000000

static int
setup(void **state)
{
	case_setup(state);
	fx.set.full = fx.set.empty_ok = false;
	fx.set.delete = DELETE_NO;
	for (int i = 0; i < N; i++)
		fixture_add(fx.src, "INBOX", i, "", 0, "", DATE + i);
	for (int i = 0; i < 5; i++)
		fixture_add(fx.src, "Sent", 500 + i, "", 0, "", DATE + i);
	assert_int_equal(fixture_run(&fx), 0);
	/* The pass after it knows how the target was left. */
	assert_int_equal(fixture_run(&fx), 0);
	return 0;
}

static int64_t
number(const char *sql)
{
	return fixture_number(&fx, sql);
}

static bool
told(const char *words)
{
	char sql[300];

	snprintf(sql, sizeof sql, "SELECT count(*) FROM issue WHERE reason"
	    " LIKE '%%%s%%'", words);
	return number(sql) > 0;
}

/* The last messages are gone, and so many others have come in their place. */
static void
roll_back(int others)
{
	struct mem_folder *f = mem_folder_get(fx.tgt, "INBOX", false);

	for (uint32_t uid = N - LOST + 1; uid <= N; uid++)
		mem_expunge(f, uid);
	f->uidnext = N - LOST + 1;
	for (int i = 0; i < others; i++)
		fixture_add(fx.tgt, "INBOX", 7000 + i, "X-Other: 1\r\n",
		    MSG_DRAFT, "", DATE + 7000 + i);
}

/* How many messages of the source's INBOX are at the target, and how many of
 * the others are as they came. */
static void
look_at(int *ours, int *others)
{
	*ours = *others = 0;
	for (struct mem_message *m = mem_folder_get(fx.tgt, "INBOX",
	    false)->first; m != NULL; m = m->next) {
		if (m->expunged)
			continue;
		*ours += m->date < DATE + N;
		*others += m->date >= DATE + 7000 && m->flags == MSG_DRAFT &&
		    *m->keywords == '\0';
	}
}

static void
test_before_release(void **state)
{
	static const int cases[] = { 0, 2, LOST, LOST + 4 };

	for (size_t i = 0; i < 8; i++) {
		int n = cases[i / 2], ours, others;

		setup(state);
		roll_back(n);
		/* Flags that change at the source go to no other message. */
		if (i % 2)
			for (uint32_t uid = 1; uid <= N; uid++)
				mem_set_flags(mem_folder_get(fx.src, "INBOX",
				    false), uid, MSG_FLAGGED);
		fixture_run(&fx);
		assert_int_equal(fixture_run(&fx), 0);
		look_at(&ours, &others);
		assert_int_equal(ours, N);
		assert_int_equal(others, n);
		assert_int_equal(fx.tgt->nstored, N + 5 + LOST);
		assert_true(number("SELECT count(*) FROM issue WHERE kind ="
		    " 'warn'") > 0 || i % 2);
		assert_true(fixture_balanced(&fx));
		assert_int_equal(fixture_run(&fx), 0);
		assert_int_equal(fx.tgt->nstored, N + 5 + LOST);
	}
}

static void
test_said(void **state)
{
	(void)state;
	roll_back(LOST);
	assert_int_equal(fixture_run(&fx), 0);
	assert_true(told("put back to an older state"));
	assert_true(told("from UID 25 on"));
}

static void
test_released(void **state)
{
	static const int cases[] = { 2, LOST, LOST + 4 };

	for (size_t i = 0; i < 3; i++) {
		int ours, others;

		setup(state);
		fixture_sql(&fx, "UPDATE account SET stage = 'released'");
		roll_back(cases[i]);
		fixture_add(fx.src, "INBOX", 900, "", 0, "", 7);
		assert_int_equal(fixture_run(&fx), 2);
		assert_int_equal(number("SELECT count(*) FROM account WHERE"
		    " outcome = 'failed' AND error LIKE '%it is released%'"),
		    1);
		look_at(&ours, &others);
		assert_int_equal(ours, N - LOST);
		assert_int_equal(others, cases[i]);
		assert_int_equal(fx.tgt->nstored, N + 5);
	}
}

/* What users do at the target is no reason to read or to copy anything. */
static void
test_users_work(void **state)
{
	struct mem_folder *f = mem_folder_get(fx.tgt, "INBOX", false);
	uint64_t nread;

	(void)state;
	fixture_sql(&fx, "UPDATE account SET stage = 'released'");
	for (uint32_t uid = 1; uid <= N; uid++)
		mem_set_flags(f, uid, MSG_SEEN | MSG_FLAGGED);
	mem_expunge(f, N);
	mem_expunge(f, N - 3);
	nread = fx.tgt->nread;
	assert_int_equal(fixture_run(&fx), 0);
	assert_int_equal(fx.tgt->nread, nread);
	assert_int_equal(fx.tgt->nstored, N + 5);
	assert_false(told("older state"));
}

/* A new server in place of the source's: all keys are others, the bytes and
 * some more are there. */
static void
test_new_server(void **state)
{
	(void)state;
	for (struct mem_folder *f = fx.src->folders; f != NULL; f = f->next)
		f->uidvalidity += 500;
	fixture_add(fx.src, "INBOX", 900, "", 0, "", 7);
	assert_int_equal(fixture_run(&fx), 0);
	assert_int_equal(fx.tgt->nstored, N + 5 + 1);
	assert_true(fixture_balanced(&fx));
	assert_int_equal(fixture_run(&fx), 0);
	assert_int_equal(fx.tgt->nstored, N + 5 + 1);
	/* One that has nothing of it is another store. */
	mem_store_reset(fx.src);
	fx.src->next_uidvalidity = 9000;
	for (int i = 0; i < N; i++)
		fixture_add(fx.src, "INBOX", 3000 + i, "", 0, "", DATE + i);
	assert_int_equal(fixture_run(&fx), 2);
	assert_int_equal(fx.tgt->nstored, N + 5 + 1);
	assert_int_equal(number("SELECT count(*) FROM account WHERE error LIKE"
	    " '%not the store of the last pass%'"), 1);
}

#ifdef MAILHAUL_FAULTS
static void
test_mutation(void **state)
{
	int ours, others;

	(void)state;
	roll_back(LOST);
	setenv("MAILHAUL_MUTATE", "rollback", 1);
	assert_int_equal(fixture_run(&fx), 0);
	unsetenv("MAILHAUL_MUTATE");
	look_at(&ours, &others);
	assert_int_equal(ours, N - LOST);
}
#endif

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_before_release),
		cmocka_unit_test_setup(test_said, setup),
		cmocka_unit_test(test_released),
		cmocka_unit_test_setup(test_users_work, setup),
		cmocka_unit_test_setup(test_new_server, setup),
#ifdef MAILHAUL_FAULTS
		cmocka_unit_test_setup(test_mutation, setup),
#endif
	};
	int rc;

	fixture_start(&fx);
	rc = cmocka_run_group_tests(tests, NULL, NULL);
	fixture_stop(&fx);
	return rc;
}
