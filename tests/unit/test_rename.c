/*
 * Rules that change after mail was copied: the account stops, --apply-renames
 * renames at the target, and a kill anywhere on the way loses and doubles
 * nothing.
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
#include <unistd.h>

#include "unit/lib/engine_fixture.h"

static struct fixture fx;

static const char *const boxes[] = {
	"INBOX", "Work", "Work/Old", "Work/Old/1999", "Lists", "Sent", NULL
};

static void
set_rules(const char *const *maps)
{
	struct err e;

	rules_free(&fx.rules);
	fx.set.rules = fx.rules = rules_new();
	for (; maps != NULL && *maps != NULL; maps++)
		assert_int_equal(rules_add_map(fx.rules, *maps, &e), 0);
}

static int
setup(void **state)
{
	(void)state;
	unsetenv("MAILHAUL_FAULT");
	unsetenv("MAILHAUL_FAULT_LOG");
	mem_store_reset(fx.src);
	mem_store_reset(fx.tgt);
	mem_folder_get(fx.tgt, "INBOX", true);
	fixture_drop_state(&fx);
	fx.set.apply_renames = fx.set.merge_existing = false;
	fx.target_user = "joe";
	set_rules(NULL);
	for (int i = 0; boxes[i] != NULL; i++)
		for (int k = 0; k < 3; k++)
			fixture_add(fx.src, boxes[i], 100 * i + k, "", 0, "",
			    1000000000 + i);
	return 0;
}

/* In which target mailbox are the messages of a source mailbox? */
static const char *
place_of(const char *source)
{
	char *want = fixture_contents(fx.src, source), *got;
	const char *name = NULL;

	for (struct mem_folder *f = fx.tgt->folders; f != NULL; f = f->next) {
		got = fixture_contents(fx.tgt, f->name);
		if (strcmp(got, want) == 0) {
			assert_null(name);
			name = f->name;
		}
		free(got);
	}
	free(want);
	return name != NULL ? name : "nowhere";
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
assert_error(const char *words)
{
	char sql[300];

	snprintf(sql, sizeof sql, "SELECT count(*) FROM account WHERE outcome ="
	    " 'failed' AND error LIKE '%%%s%%'", words);
	assert_int_equal(fixture_number(&fx, sql), 1);
}

/* The first pass, then other rules: nothing happens; then with the option. */
static void
change(const char *const *maps)
{
	uint64_t changes;

	assert_int_equal(fixture_run(&fx), 0);
	assert_int_equal(total(), 18);
	changes = fx.tgt->nchanges;
	set_rules(maps);
	assert_int_equal(fixture_run(&fx), 2);
	assert_error("--apply-renames");
	assert_int_equal(fx.tgt->nchanges, changes);
	assert_int_equal(fx.tgt->nstored, 18);
	fx.set.apply_renames = true;
}

/* All is where it should be; one more run does nothing. */
static void
assert_renamed(const char *const *pairs)
{
	uint64_t changes, created = fx.tgt->ncreated;

	assert_int_equal(total(), 18);
	assert_int_equal(fx.tgt->nstored, 18);
	for (; *pairs != NULL; pairs += 2)
		assert_string_equal(place_of(pairs[0]), pairs[1]);
	changes = fx.tgt->nchanges;
	fx.set.apply_renames = false;
	assert_int_equal(fixture_run(&fx), 0);
	assert_int_equal(fx.tgt->nchanges, changes);
	assert_int_equal(fx.tgt->ncreated, created);
	assert_int_equal(fx.tgt->nstored, 18);
	/* and no message was read again, nor is any in doubt */
	assert_int_equal(fixture_number(&fx, "SELECT count(*) FROM extra WHERE"
	    " taken = 0"), 0);
	assert_int_equal(fixture_number(&fx, "SELECT count(*) FROM message"
	    " WHERE outcome <> 1"), 0);
	assert_int_equal(fixture_number(&fx, "SELECT count(*) FROM op WHERE"
	    " state = 0 AND kind IN ('rename', 'unsubscribe')"), 0);
	for (struct mem_folder *f = fx.tgt->folders; f != NULL; f = f->next)
		assert_true(f->subscribed);
}

struct scenario {
	const char *name;
	const char *maps[5];
	const char *pairs[20];
};

static const struct scenario scenarios[] = {
	{ "one", { "Sent -> Gesendet" }, { "Sent", "Gesendet", "Work/Old",
	    "Work/Old" } },
	{ "children move with parents", { "Work/ -> Job/" }, { "Work", "Job",
	    "Work/Old", "Job/Old", "Work/Old/1999", "Job/Old/1999", "Lists",
	    "Lists" } },
	{ "children that stay", { "Work -> Job" }, { "Work", "Job",
	    "Work/Old", "Work/Old", "Work/Old/1999", "Work/Old/1999" } },
	{ "chain", { "Sent -> Lists", "Lists -> News", "Work -> Sent",
	    "~Work/(.*) -> Sent/\\1" }, { "Sent", "Lists", "Lists", "News",
	    "Work", "Sent", "Work/Old", "Sent/Old", "Work/Old/1999",
	    "Sent/Old/1999" } },
	{ "swap", { "Sent -> Lists", "Lists -> Sent" }, { "Sent", "Lists",
	    "Lists", "Sent" } },
	{ "swap of parent and child", { "Work -> Work/Old",
	    "Work/Old -> Work" }, { "Work", "Work/Old", "Work/Old", "Work",
	    "Work/Old/1999", "Work/Old/1999" } },
	{ "circle of three", { "Sent -> Lists", "Lists -> Work/Old",
	    "Work/Old -> Sent" }, { "Sent", "Lists", "Lists", "Work/Old",
	    "Work/Old", "Sent", "Work/Old/1999", "Work/Old/1999" } },
	{ "below itself", { "Lists -> Lists/all" }, { "Lists",
	    "Lists/all" } },
	{ "up", { "Work/Old/1999 -> 1999", "Work/Old -> Old/Work" },
	    { "Work/Old/1999", "1999", "Work/Old", "Old/Work", "Work",
	    "Work" } },
};
#define NSCENARIOS (sizeof scenarios / sizeof scenarios[0])

static void
test_scenarios(void **state)
{
	for (size_t i = 0; i < 2 * NSCENARIOS; i++) {
		const struct scenario *s = &scenarios[i / 2];

		setup(state);
		fx.tgt->new_uidvalidity = i % 2;
		change(s->maps);
		assert_int_equal(fixture_run(&fx), 0);
		assert_renamed(s->pairs);
		assert_int_equal(fixture_number(&fx, "SELECT count(*) FROM"
		    " issue WHERE kind = 'warn'"), 0);
	}
}

/* Later mail follows to the new name. */
static void
test_goes_on(void **state)
{
	static const char *const maps[] = { "Sent -> Gesendet", NULL };

	(void)state;
	change(maps);
	assert_int_equal(fixture_run(&fx), 0);
	fixture_add(fx.src, "Sent", 999, "", 0, "", 7);
	assert_int_equal(fixture_run(&fx), 0);
	assert_string_equal(place_of("Sent"), "Gesendet");
	assert_int_equal(fx.tgt->nstored, 19);
	/* and back */
	set_rules(NULL);
	assert_int_equal(fixture_run(&fx), 0);
	assert_string_equal(place_of("Sent"), "Sent");
	assert_int_equal(fx.tgt->nstored, 19);
	assert_null(mem_folder_get(fx.tgt, "Gesendet", false));
	assert_true(mem_folder_get(fx.tgt, "Sent", false)->subscribed);
}

/* Subscriptions stay with a name: ours goes, and comes under the new one. */
static void
test_subscription(void **state)
{
	static const char *const maps[] = { "Sent -> Gesendet", NULL };

	(void)state;
	change(maps);
	assert_true(mem_folder_get(fx.tgt, "Sent", false)->subscribed);
	assert_int_equal(fixture_run(&fx), 0);
	assert_true(mem_folder_get(fx.tgt, "Gesendet", false)->subscribed);
	assert_int_equal(fixture_number(&fx, "SELECT count(*) FROM op WHERE"
	    " kind = 'subscribe' AND name = 'Gesendet' AND state = 1"), 1);
	assert_int_equal(fixture_number(&fx, "SELECT count(*) FROM op WHERE"
	    " kind = 'unsubscribe' AND name = 'Sent' AND state = 1"), 1);
}

/* The target has got a mailbox of the new name meanwhile. */
static void
test_taken(void **state)
{
	static const char *const maps[] = { "Sent -> Gesendet", NULL };

	(void)state;
	change(maps);
	fixture_add(fx.tgt, "Gesendet", 5000, "", 0, "", 1);
	assert_int_equal(fixture_run(&fx), 2);
	assert_error("there is a mailbox of that name already");
	assert_string_equal(place_of("Sent"), "Sent");
	assert_int_equal(fx.tgt->nstored, 18);
}

static void
test_inbox(void **state)
{
	static const char *const maps[] = { "INBOX -> Old", NULL };

	(void)state;
	assert_int_equal(fixture_run(&fx), 0);
	set_rules(maps);
	for (int i = 0; i < 2; i++) {
		fx.set.apply_renames = i;
		assert_int_equal(fixture_run(&fx), 2);
		assert_error("INBOX is never renamed");
	}
	assert_string_equal(place_of("INBOX"), "INBOX");
}

/* A name that nothing was copied to yet is no rename. */
static void
test_nothing_copied(void **state)
{
	static const char *const maps[] = { "Sent -> Gesendet", NULL };

	(void)state;
	fx.tgt->missing = true;		/* ends before any mailbox */
	assert_int_equal(fixture_run(&fx), 2);
	fx.tgt->missing = false;
	set_rules(maps);
	assert_int_equal(fixture_run(&fx), 0);
	assert_string_equal(place_of("Sent"), "Gesendet");
}

/* A mailbox that was copied under the name of a collision keeps it. */
static void
test_collision_name_stays(void **state)
{
	static const char *const maps[] = { "Lists -> Sent", NULL };

	(void)state;
	set_rules(maps);
	assert_int_equal(fixture_run(&fx), 0);
	assert_string_equal(place_of("Lists"), "Sent");
	assert_string_equal(place_of("Sent"), "Sent (copy)");
	assert_int_equal(fixture_run(&fx), 0);
	assert_string_equal(place_of("Sent"), "Sent (copy)");
	assert_int_equal(fx.tgt->nstored, 18);
}

static void
test_released(void **state)
{
	static const char *const maps[] = { "Sent -> Gesendet", NULL };
	struct state *s;
	struct db *db;
	struct err e;
	bool created;

	(void)state;
	change(maps);
	assert_int_equal(state_open(&s, fx.state, &created, &e), 0);
	assert_int_equal(db_open(&db, fx.state, DB_WRITE, &e), 0);
	assert_int_equal(db_script(db, "UPDATE account SET stage = 'released'",
	    &e), 0);
	db_close(&db);
	state_close(&s);
	assert_int_equal(fixture_run(&fx), 2);
	assert_error("released");
	assert_string_equal(place_of("Sent"), "Sent");
}

/* A mailbox that the target would not make has no name to be kept. */
static void
test_never_made(void **state)
{
	static const char *const maps[] = { "Sent -> Gesendet", NULL };

	(void)state;
	memcpy(fx.tgt->no_create, "Sent", 5);
	assert_int_equal(fixture_run(&fx), 2);
	assert_int_equal(total(), 15);
	set_rules(maps);
	assert_int_equal(fixture_run(&fx), 0);
	assert_string_equal(place_of("Sent"), "Gesendet");
}

/* special-use=rename: which mailbox is the trash may change with what is in
 * it; the names stay. */
static void
test_use_moves(void **state)
{
	(void)state;
	rules_set_special_use(fx.rules, SPECIAL_RENAME);
	for (int i = 0; i < 3; i++)
		fixture_add(fx.src, "Corbeille", 300 + i, "", 0, "",
		    1000000000 + i);
	for (int i = 0; i < 2; i++)
		fixture_add(fx.src, "Papierkorb", 400 + i, "", 0, "",
		    1000000000 + i);
	assert_int_equal(fixture_run(&fx), 0);
	assert_string_equal(place_of("Corbeille"), "Trash");
	for (int i = 0; i < 3; i++)
		fixture_add(fx.src, "Papierkorb", 450 + i, "", 0, "",
		    1000000000 + i);
	fixture_add(fx.src, "INBOX", 470, "", 0, "", 1000000000);
	assert_int_equal(fixture_run(&fx), 0);
	assert_string_equal(place_of("Corbeille"), "Trash");
	assert_string_equal(place_of("Papierkorb"), "Papierkorb");
	assert_string_equal(place_of("INBOX"), "INBOX");
}

/* All was there before the first pass; a user with other mail under the same
 * UIDs is another one. */
static void
test_user_without_sizes(void **state)
{
	(void)state;
	for (int i = 0; boxes[i] != NULL; i++)
		for (int k = 0; k < 3; k++)
			fixture_add(fx.tgt, boxes[i], 100 * i + k, "", 0, "",
			    1000000000 + i);
	assert_int_equal(fixture_run(&fx), 0);
	assert_int_equal(fx.tgt->nstored, 0);
	mem_store_reset(fx.tgt);
	fx.tgt->next_uidvalidity = 5000;
	for (int i = 0; boxes[i] != NULL; i++)
		for (int k = 0; k < 6; k++)
			fixture_add(fx.tgt, boxes[i], 9000 + 100 * i + k,
			    "X-Other: a longer one\r\n", 0, "", 1200000000);
	fx.target_user = "kim";
	fx.set.apply_renames = true;
	assert_int_equal(fixture_run(&fx), 2);
	assert_int_equal(fx.tgt->nstored, 0);
	assert_int_equal(fixture_number(&fx, "SELECT count(*) FROM account"
	    " WHERE target_user = 'joe'"), 1);
}

/* Another target user: only one who has it all. */
static void
test_user(void **state)
{
	struct mem_message *m;

	(void)state;
	assert_int_equal(fixture_run(&fx), 0);
	fx.target_user = "ann";
	assert_int_equal(fixture_run(&fx), 2);
	assert_error("the target user was joe and is now ann");
	assert_int_equal(fx.tgt->nstored, 18);
	/* Asking again does not help. */
	assert_int_equal(fixture_run(&fx), 2);
	assert_int_equal(fixture_number(&fx, "SELECT count(*) FROM account"
	    " WHERE target_user = 'joe'"), 1);
	/* Somebody else's mailboxes of the same names. */
	fx.set.apply_renames = true;
	m = mem_folder_get(fx.tgt, "Sent", false)->first;
	m->uid += 10;
	m->next->uid += 10;
	m->next->next->uid += 10;
	assert_int_equal(fixture_run(&fx), 2);
	assert_error("does not hold what was copied to Sent");
	assert_int_equal(fx.tgt->nstored, 18);
	m->uid -= 10;
	m->next->uid -= 10;
	m->next->next->uid -= 10;
	/* Renamed at the server, with new numbers. */
	mem_folder_get(fx.tgt, "Sent", false)->uidvalidity += 5000;
	assert_int_equal(fixture_run(&fx), 0);
	assert_int_equal(fx.tgt->nstored, 18);
	assert_int_equal(fixture_number(&fx, "SELECT count(*) FROM account"
	    " WHERE target_user = 'ann'"), 1);
	fx.set.apply_renames = false;
	assert_int_equal(fixture_run(&fx), 0);
	assert_int_equal(fx.tgt->nstored, 18);
	assert_int_equal(fixture_number(&fx, "SELECT count(*) FROM extra WHERE"
	    " taken = 0"), 0);
}

#ifdef MAILHAUL_FAULTS

#define STEP	9	/* every point takes some minutes */

/* Killed at the kth point of the run that renames: 0 when there is no such
 * point. */
static int
kill_at(const struct scenario *s, int k, bool new_uidvalidity)
{
	char spec[32];
	int rc;

	setup(NULL);
	fx.tgt->new_uidvalidity = new_uidvalidity;
	change(s->maps);
	snprintf(spec, sizeof spec, "kill:%d", k);
	setenv("MAILHAUL_FAULT", spec, 1);
	rc = fixture_run(&fx);
	unsetenv("MAILHAUL_FAULT");
	if (rc != -SIGKILL) {
		assert_int_equal(rc, 0);
		return 0;
	}
	/* Without the option it is settled, not copied. */
	fx.set.apply_renames = k % 2;
	fixture_run(&fx);
	assert_int_equal(fx.tgt->nstored, 18);
	fx.set.apply_renames = true;
	assert_int_equal(fixture_run(&fx), 0);
	assert_renamed(s->pairs);
	return 1;
}

static void
test_kill_everywhere(void **state)
{
	int kills = 0, k;

	(void)state;
	for (size_t i = 0; i < 2 * NSCENARIOS; i++) {
		for (k = 1 + (int)i % STEP; kill_at(&scenarios[i / 2], k,
		    i % 2); k += fixture_every(STEP))
			kills++;
		assert_true(k > 10);
	}
	fprintf(stderr, "# %d kills\n", kills);
}

#endif

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_scenarios, setup),
		cmocka_unit_test_setup(test_goes_on, setup),
		cmocka_unit_test_setup(test_never_made, setup),
		cmocka_unit_test_setup(test_use_moves, setup),
		cmocka_unit_test_setup(test_user_without_sizes, setup),
		cmocka_unit_test_setup(test_subscription, setup),
		cmocka_unit_test_setup(test_taken, setup),
		cmocka_unit_test_setup(test_inbox, setup),
		cmocka_unit_test_setup(test_nothing_copied, setup),
		cmocka_unit_test_setup(test_collision_name_stays, setup),
		cmocka_unit_test_setup(test_released, setup),
		cmocka_unit_test_setup(test_user, setup),
#ifdef MAILHAUL_FAULTS
		cmocka_unit_test_setup(test_kill_everywhere, setup),
#endif
	};
	int rc;

	fixture_start(&fx);
	rc = cmocka_run_group_tests(tests, NULL, NULL);
	fixture_stop(&fx);
	return rc;
}
