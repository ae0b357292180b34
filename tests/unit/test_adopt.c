/*
 * Adoption: a target that was filled by another tool, or whose state is lost.
 * What is in other mailboxes of it than it should be is not copied again, each
 * copy counts once, and a kill anywhere doubles and loses nothing.
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

#include "unit/lib/engine_case.h"

#define DATE	1000000000

/* The same message, with what other tools do to it. */
static void
both(const char *from, const char *to, int n, const char *more)
{
	fixture_add(fx.src, from, n, "", MSG_SEEN, "", DATE + n);
	if (to != NULL)
		fixture_add(fx.tgt, to, n, more, MSG_SEEN, "", DATE + n);
}

static int
setup(void **state)
{
	case_setup(state);
	fx.set.full = fx.set.empty_ok = false;
	fx.set.delete = DELETE_NO;
	fx.tgt->sha1 = fx.set.fill = fx.set.skip_duplicates = false;
	fx.set.adopt_before = NO_DATE;
	fx.set.selection_rule = "";
	for (int i = 0; i < 10; i++)
		both("INBOX", "INBOX", i, "");
	for (int i = 0; i < 6; i++)
		both("Sent Items", "Sent", 100 + i, "");
	/* The user has moved them. */
	for (int i = 0; i < 3; i++)
		both("INBOX", "Archive", 200 + i, "");
	for (int i = 0; i < 4; i++)
		both("Archive", "Archive", 300 + i, "");
	/* The target has one of two, and none of these. */
	both("Sent Items", "Sent", 400, "");
	both("Sent Items", NULL, 400, "");
	both("INBOX", NULL, 500, "");
	both("Drafts", NULL, 501, "");
	return 0;
}

#define TOTAL	27
#define MISSING	3	/* 400 once more, 500, 501 */

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

static uint64_t
total(void)
{
	uint64_t n = 0;

	for (struct mem_folder *f = fx.tgt->folders; f != NULL; f = f->next)
		n += f->count;
	return n;
}

static void
assert_adopted(void)
{
	assert_int_equal(fx.tgt->nstored, MISSING);
	assert_int_equal(total(), TOTAL);
	assert_true(fixture_balanced(&fx));
	assert_int_equal(number("SELECT sum(present) FROM mailbox"), TOTAL -
	    MISSING);
	assert_int_equal(number("SELECT sum(copied) FROM mailbox"), MISSING);
	assert_int_equal(number("SELECT count(*) FROM op WHERE kind = 'adopt'"
	    " AND state = 1"), 1);
}

static void
test_present_elsewhere(void **state)
{
	for (int i = 0; i < 2; i++) {
		uint64_t nread;

		setup(state);
		fx.tgt->sha1 = i;
		assert_int_equal(fixture_run(&fx), 0);
		assert_adopted();
		assert_true(told("7 messages of Sent Items are in Sent at"));
		assert_true(told("3 messages of INBOX are in Archive at"));
		assert_true(told("Sent Items -> Sent"));
		/* Once more, nothing is read or done. */
		nread = fx.src->nread + fx.tgt->nread;
		assert_int_equal(fixture_run(&fx), 0);
		assert_int_equal(fx.src->nread + fx.tgt->nread, nread);
		assert_adopted();
		/* Later mail goes where it belongs. */
		both("Sent Items", NULL, 900, "");
		assert_int_equal(fixture_run(&fx), 0);
		assert_int_equal(fx.tgt->nstored, MISSING + 1);
		assert_int_equal(mem_folder_get(fx.tgt, "Sent Items",
		    false)->count, 2);
	}
}

/* Read through the loose digest: X-UID and the like were added. */
static void
test_altered(void **state)
{
	(void)state;
	for (int i = 0; i < 5; i++) {
		both("Old", "Older", 600 + i, "X-UID: 5\r\n");
		both("INBOX", "INBOX", 700 + i, "X-TUID: 0123456789ab\r\n");
	}
	assert_int_equal(fixture_run(&fx), 0);
	assert_int_equal(fx.tgt->nstored, MISSING);
	assert_int_equal(number("SELECT count(*) FROM issue WHERE kind ="
	    " 'altered'"), 5);
	assert_true(told("5 messages of Old are in Older"));
}

/* Flags that change at the source concern no message in another mailbox. */
static void
test_flags(void **state)
{
	(void)state;
	assert_int_equal(fixture_run(&fx), 0);
	for (uint32_t uid = 1; uid <= 7; uid++)
		mem_set_flags(mem_folder_get(fx.src, "Sent Items", false), uid,
		    MSG_FLAGGED);
	assert_int_equal(fixture_run(&fx), 0);
	for (struct mem_message *m = mem_folder_get(fx.tgt, "Sent",
	    false)->first; m != NULL; m = m->next)
		assert_int_equal(m->flags, MSG_SEEN);
	assert_int_equal(fx.tgt->nstored, MISSING);
	assert_int_equal(fixture_run(&fx), 0);
}

/* The source gives its messages other keys: all of it is paired anew. */
static void
test_rekeyed(void **state)
{
	(void)state;
	assert_int_equal(fixture_run(&fx), 0);
	for (struct mem_folder *f = fx.src->folders; f != NULL; f = f->next)
		f->uidvalidity += 500;
	assert_int_equal(fixture_run(&fx), 0);
	assert_int_equal(fx.tgt->nstored, MISSING);
	assert_int_equal(total(), TOTAL);
}

/* What the other tool's last run had seen and the target lacks; copies that it
 * dropped. */
static void
test_left_out(void **state)
{
	struct mem_folder *f = mem_folder_get(fx.tgt, "INBOX", false);
	uint64_t nread;

	(void)state;
	f->first->date += 3600;
	fx.set.adopt_before = DATE + 500;	/* of 400's copy only */
	fx.set.skip_duplicates = false;
	fixture_add(fx.src, "INBOX", 2, "", 0, "", DATE + 502);
	both("INBOX", NULL, 3, "");		/* old, and a copy */
	both("INBOX", NULL, 450, "");		/* old */
	assert_int_equal(fixture_run(&fx), 0);
	assert_int_equal(fx.tgt->nstored, 3);	/* 500, 501, and 2 again */
	assert_int_equal(number("SELECT sum(excluded) FROM mailbox"), 3);
	assert_int_equal(number("SELECT count(*) FROM issue WHERE kind ="
	    " 'missing'"), 3);
	assert_int_equal(number("SELECT count(*) FROM issue WHERE kind ="
	    " 'other-date' AND reason LIKE '%02:46:40%01:46:40%'"), 1);
	assert_true(told("equal others of the mailbox"));
	assert_true(fixture_balanced(&fx));
	/* They are not read again. */
	nread = fx.src->nread;
	assert_int_equal(fixture_run(&fx), 0);
	assert_int_equal(fx.src->nread, nread);
	assert_int_equal(number("SELECT sum(excluded) FROM mailbox"), 3);
	/* They are wanted after all, but not copies. */
	fx.set.fill = fx.set.skip_duplicates = true;
	fx.set.selection_rule = "fill";
	assert_int_equal(fixture_run(&fx), 0);
	assert_int_equal(fx.tgt->nstored, 4);
	assert_int_equal(number("SELECT sum(excluded) FROM mailbox"), 2);
	assert_true(fixture_balanced(&fx));
	fx.set.skip_duplicates = false;
	fx.set.selection_rule = "";
	assert_int_equal(fixture_run(&fx), 0);
	assert_int_equal(fx.tgt->nstored, 6);
	assert_int_equal(number("SELECT sum(excluded) FROM mailbox"), 0);
	assert_true(fixture_balanced(&fx));
}

/* An account that was not adopted has none of these rules. */
static void
test_fresh(void **state)
{
	(void)state;
	case_setup(state);
	fx.set.adopt_before = DATE + 500;
	fx.set.fill = false;
	fx.set.skip_duplicates = true;
	for (int i = 0; i < 3; i++)
		fixture_add(fx.src, "INBOX", 1, "", 0, "", DATE);
	assert_int_equal(fixture_run(&fx), 0);
	assert_int_equal(fx.tgt->nstored, 3);
}

/* Somebody else's account: nothing is remembered of it. */
static void
test_strangers(void **state)
{
	case_setup(state);
	for (int i = 0; i < 5; i++) {
		fixture_add(fx.src, "INBOX", i, "", 0, "", DATE);
		fixture_add(fx.tgt, "INBOX", 800 + i, "", 0, "", DATE);
		fixture_add(fx.tgt, "Sent", 850 + i, "", 0, "", DATE);
	}
	assert_int_equal(fixture_run(&fx), 2);
	assert_int_equal(fx.tgt->nstored, 0);
	assert_int_equal(number("SELECT count(*) FROM op WHERE kind ="
	    " 'adopt'"), 0);
	assert_int_equal(number("SELECT count(*) FROM elsewhere"), 0);
}

#ifdef MAILHAUL_FAULTS

static int
kill_at(int k)
{
	char spec[32];
	int rc;

	setup(NULL);
	snprintf(spec, sizeof spec, "kill:%d", k);
	rc = faulty_run(spec);
	assert_int_equal(fixture_run(&fx), 0);
	assert_int_equal(fx.tgt->nstored, MISSING);
	assert_int_equal(total(), TOTAL);
	assert_true(fixture_balanced(&fx));
	return rc == -SIGKILL;
}

static void
test_kill_everywhere(void **state)
{
	int kills = 0;

	(void)state;
	for (int k = 1; kill_at(k); k += fixture_every(3))
		kills++;
	fprintf(stderr, "# %d kills\n", kills);
	assert_true(kills > 10);
}

static void
test_mutation(void **state)
{
	(void)state;
	setenv("MAILHAUL_MUTATE", "elsewhere", 1);
	assert_int_equal(fixture_run(&fx), 0);
	unsetenv("MAILHAUL_MUTATE");
	assert_true(fx.tgt->nstored > MISSING);
}

#endif

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_present_elsewhere),
		cmocka_unit_test_setup(test_altered, setup),
		cmocka_unit_test_setup(test_flags, setup),
		cmocka_unit_test_setup(test_rekeyed, setup),
		cmocka_unit_test_setup(test_left_out, setup),
		cmocka_unit_test_setup(test_fresh, setup),
		cmocka_unit_test_setup(test_strangers, setup),
#ifdef MAILHAUL_FAULTS
		cmocka_unit_test(test_kill_everywhere),
		cmocka_unit_test_setup(test_mutation, setup),
#endif
	};
	int rc;

	fixture_start(&fx);
	rc = cmocka_run_group_tests(tests, NULL, NULL);
	fixture_stop(&fx);
	return rc;
}
