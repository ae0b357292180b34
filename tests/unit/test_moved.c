/*
 * Mailboxes that are renamed at the source: they are renamed at the target,
 * nothing is copied a second time, and nothing else is ever renamed; killed
 * anywhere on the way as well.
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
#define COUNT	10	/* messages of a mailbox */

static const char *const boxes[] = {
	"INBOX", "Work", "Work/Old", "Work/Old/1999", "Lists", "Sent", NULL
};
#define TOTAL	(6 * COUNT)

/* How the source tells that a mailbox is the same. */
enum tells { BY_OBJECT, BY_FILE, BY_UIDS, TELLS };

static void
tell(enum tells how)
{
	int n = 0;

	for (struct mem_folder *f = fx.src->folders; f != NULL; f = f->next)
		if (how == BY_OBJECT)
			snprintf(f->object, sizeof f->object, "box%d", n++);
		else if (how == BY_FILE)
			snprintf(f->object, sizeof f->object, "801:%x", n++);
		else
			f->object[0] = '\0';
}

static int
setup(void **state)
{
	case_setup(state);
	fx.set.apply_renames = fx.set.full = fx.set.empty_ok = false;
	fx.set.delete = DELETE_NO;
	fx.tgt->new_uidvalidity = fx.tgt->no_rename = false;
	for (int i = 0; boxes[i] != NULL; i++)
		for (int k = 0; k < COUNT; k++)
			fixture_add(fx.src, boxes[i], 100 * i + k, "", 0, "",
			    DATE + 100 * i + k);
	mem_folder_get(fx.src, "Work/Empty", true);
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

static void
rename_source(const char *from, const char *to)
{
	assert_non_null(mem_folder_get(fx.src, from, false));
	assert_null(mem_folder_get(fx.src, to, false));
	mem_folder_rename(fx.src, from, to);
}

/* Each mailbox of the source is at the target under its name, and nothing else
 * is. */
static void
assert_alike(void)
{
	for (struct mem_folder *f = fx.src->folders; f != NULL; f = f->next) {
		char *want = fixture_contents(fx.src, f->name);
		char *got = fixture_contents(fx.tgt, f->name);

		assert_string_equal(got, want);
		assert_non_null(mem_folder_get(fx.tgt, f->name, false));
		free(want);
		free(got);
	}
	for (struct mem_folder *f = fx.tgt->folders; f != NULL; f = f->next)
		assert_non_null(mem_folder_get(fx.src, f->name, false));
}

/* All names are the source's, nothing was sent for it, and once more does
 * nothing. */
static void
assert_followed(uint64_t stored)
{
	uint64_t changes;

	assert_alike();
	assert_int_equal(fx.tgt->nstored, stored);
	changes = fx.tgt->nchanges;
	assert_int_equal(fixture_run(&fx), 0);
	assert_int_equal(fx.tgt->nchanges, changes);
	assert_int_equal(fx.tgt->nstored, stored);
	assert_int_equal(number("SELECT count(*) FROM extra WHERE taken = 0"),
	    0);
	assert_int_equal(number("SELECT count(*) FROM mailbox WHERE moved <>"
	    " 0 OR outcome <> 'done'"), 0);
	assert_int_equal(number("SELECT count(*) FROM op WHERE state = 0 AND"
	    " kind IN ('rename', 'unsubscribe')"), 0);
	assert_int_equal(number("SELECT count(*) FROM message WHERE outcome"
	    " <> 1"), 0);
	assert_true(fixture_balanced(&fx));
}

struct scenario {
	const char *name;
	const char *steps[13];	/* from, to */
};

static const struct scenario scenarios[] = {
	{ "one", { "Sent", "Gesendet" } },
	{ "children move with parents", { "Work", "Job" } },
	{ "a child", { "Work/Old", "Old" } },
	{ "chain", { "Lists", "News", "Sent", "Lists", "Work", "Sent" } },
	{ "swap", { "Sent", "x", "Lists", "Sent", "x", "Lists" } },
	{ "circle of three", { "Sent", "x", "Lists", "Sent", "Work/Old",
	    "Lists", "x", "Work/Old" } },
	{ "below itself", { "Lists", "x", "x", "Lists/all" } },
	{ "up", { "Work/Old/1999", "1999", "Work/Old", "Older/Work" } },
};
#define NSCENARIOS (sizeof scenarios / sizeof scenarios[0])

static void
play(const struct scenario *s)
{
	for (size_t i = 0; s->steps[i] != NULL; i += 2)
		rename_source(s->steps[i], s->steps[i + 1]);
}

static void
test_scenarios(void **state)
{
	for (size_t i = 0; i < 2 * TELLS * NSCENARIOS; i++) {
		setup(state);
		tell(i / 2 % TELLS);
		fx.tgt->new_uidvalidity = i % 2;
		assert_int_equal(fixture_run(&fx), 0);
		assert_int_equal(fx.tgt->nstored, TOTAL);
		play(&scenarios[i / 2 / TELLS]);
		assert_int_equal(fixture_run(&fx), 0);
		assert_true(told("at the source now"));
		assert_followed(TOTAL);
	}
}

/* Later mail comes under the new name, and a new mailbox under the old one. */
static void
test_goes_on(void **state)
{
	(void)state;
	assert_int_equal(fixture_run(&fx), 0);
	rename_source("Sent", "Gesendet");
	fixture_add(fx.src, "Gesendet", 900, "", 0, "", 7);
	for (int k = 0; k < COUNT; k++)
		fixture_add(fx.src, "Sent", 950 + k, "", 0, "", 1000 + k);
	assert_int_equal(fixture_run(&fx), 0);
	assert_followed(TOTAL + 1 + COUNT);
	rename_source("Sent", "Sent2");
	rename_source("Gesendet", "Sent");
	assert_int_equal(fixture_run(&fx), 0);
	assert_followed(TOTAL + 1 + COUNT);
}

/* A file's number comes again to another mailbox: no rename. */
static void
test_file_again(void **state)
{
	(void)state;
	tell(BY_FILE);
	assert_int_equal(fixture_run(&fx), 0);
	rename_source("Sent", "gone");
	for (int k = 0; k < COUNT; k++) {
		mem_expunge(mem_folder_get(fx.src, "gone", false),
		    (uint32_t)k + 1);
		fixture_add(fx.src, "gone", 700 + k, "", 0, "", DATE + k);
	}
	assert_int_equal(fixture_run(&fx), 0);
	assert_int_equal(fx.tgt->nstored, TOTAL + COUNT);
	assert_int_equal(mem_folder_get(fx.tgt, "Sent", false)->count, COUNT);
	assert_false(told("at the source now"));
}

/* By UIDs: nine of ten are enough, eight are not; nor is a lower UIDNEXT, nor
 * another date or UIDVALIDITY, nor a second mailbox that looks the same. */
static void
test_proofs(void **state)
{
	for (int i = 0; i < 7; i++) {
		struct mem_folder *f, *twin;
		bool yes = i < 2;

		setup(state);
		if (i == 6)
			tell(BY_OBJECT);
		/* Made by a script: they share a UIDVALIDITY. */
		for (f = fx.src->folders; f != NULL; f = f->next)
			f->uidvalidity = 4711;
		assert_int_equal(fixture_run(&fx), 0);
		rename_source("Sent", "Gesendet");
		f = mem_folder_get(fx.src, "Gesendet", false);
		if (i == 1)
			mem_expunge(f, 3);
		else if (i == 2) {
			mem_expunge(f, 3);
			mem_expunge(f, 4);
		} else if (i == 3)
			f->uidnext = COUNT;
		else if (i == 4) {
			f->first->date++;
			f->first->next->date++;
		} else if (i == 5) {
			twin = mem_folder_get(fx.src, "Twin", true);
			twin->uidvalidity = 4711;
			for (int k = 0; k < COUNT; k++)
				fixture_add(fx.src, "Twin", 500 + k, "", 0,
				    "", DATE + 500 + k);
		} else if (i == 6)
			/* It says itself that it is another one. */
			snprintf(f->object, sizeof f->object, "other");
		assert_int_equal(fixture_run(&fx), 0);
		assert_int_equal(mem_folder_get(fx.tgt, "Sent", false) ==
		    NULL, yes);
		assert_int_equal(fx.tgt->nstored > TOTAL, !yes);
	}
}

static void
test_empty(void **state)
{
	(void)state;
	tell(BY_OBJECT);
	assert_int_equal(fixture_run(&fx), 0);
	rename_source("Work/Empty", "Void");
	assert_int_equal(fixture_run(&fx), 0);
	assert_non_null(mem_folder_get(fx.tgt, "Void", false));
	assert_non_null(mem_folder_get(fx.tgt, "Work/Empty", false));
}

/* INBOX stays what it is, whatever it is at the source. */
static void
test_inbox(void **state)
{
	(void)state;
	tell(BY_OBJECT);
	assert_int_equal(fixture_run(&fx), 0);
	rename_source("INBOX", "Archive");
	mem_folder_get(fx.src, "INBOX", true);
	fixture_add(fx.src, "INBOX", 900, "", 0, "", 7);
	assert_int_equal(fixture_run(&fx), 0);
	assert_int_equal(mem_folder_get(fx.tgt, "INBOX", false)->count, COUNT +
	    1);
	assert_int_equal(mem_folder_get(fx.tgt, "Archive", false)->count,
	    COUNT);
}

/* The name is taken at the target: it waits until it is free. */
static void
test_taken(void **state)
{
	struct mem_folder *f;

	(void)state;
	assert_int_equal(fixture_run(&fx), 0);
	fixture_add(fx.tgt, "Gesendet", 5000, "", 0, "", 1);
	rename_source("Sent", "Gesendet");
	fixture_add(fx.src, "Gesendet", 900, "", 0, "", 7);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(fixture_run(&fx), 0);
		assert_true(told("is still called Sent"));
		assert_int_equal(mem_folder_get(fx.tgt, "Sent", false)->count,
		    COUNT + 1);
		assert_int_equal(fx.tgt->nstored, TOTAL + 1);
	}
	f = mem_folder_get(fx.tgt, "Gesendet", false);
	mem_folder_rename(fx.tgt, "Gesendet", "Mine");
	assert_int_equal(fixture_run(&fx), 0);
	assert_string_equal(f->name, "Mine");
	assert_int_equal(mem_folder_get(fx.tgt, "Gesendet", false)->count,
	    COUNT + 1);
	assert_int_equal(fx.tgt->nstored, TOTAL + 1);
}

/* A target that cannot rename, and a new mailbox of the old name. */
static void
test_cannot(void **state)
{
	(void)state;
	assert_int_equal(fixture_run(&fx), 0);
	fx.tgt->no_rename = true;
	rename_source("Sent", "Gesendet");
	fixture_add(fx.src, "Sent", 900, "", 0, "", 7);
	assert_int_equal(fixture_run(&fx), 2);
	assert_int_equal(number("SELECT count(*) FROM mailbox WHERE outcome ="
	    " 'failed' AND error LIKE '%still that of%'"), 1);
	assert_int_equal(fx.tgt->nstored, TOTAL);
	fx.tgt->no_rename = false;
	assert_int_equal(fixture_run(&fx), 0);
	assert_followed(TOTAL + 1);
}

/* Its user has renamed it at the target: to something else, or just so. */
static void
test_user_renamed(void **state)
{
	static const char *const names[] = { "Mine", "Gesendet" };

	for (int i = 0; i < 2; i++) {
		struct mem_folder *f;

		setup(state);
		assert_int_equal(fixture_run(&fx), 0);
		mem_folder_rename(fx.tgt, "Sent", names[i]);
		f = mem_folder_get(fx.tgt, names[i], false);
		rename_source("Sent", "Gesendet");
		for (int k = 0; k < 2; k++) {
			fixture_add(fx.src, "Gesendet", 900 + k, "", 0, "",
			    7 + k);
			assert_int_equal(fixture_run(&fx), 0);
			assert_string_equal(f->name, names[i]);
			assert_int_equal(f->count, COUNT + 1 + k);
			assert_int_equal(fx.tgt->nstored, TOTAL + 1 + k);
			assert_null(mem_folder_get(fx.tgt, "Sent", false));
		}
		/* And once more at the source: the name stays its user's. */
		rename_source("Gesendet", "Envoyes");
		assert_int_equal(fixture_run(&fx), 0);
		assert_string_equal(f->name, names[i]);
		assert_int_equal(fx.tgt->nstored, TOTAL + 2);
	}
}

/* Released: names are the user's, what comes late still arrives. */
static void
test_released(void **state)
{
	(void)state;
	assert_int_equal(fixture_run(&fx), 0);
	fixture_sql(&fx, "UPDATE account SET stage = 'released'");
	rename_source("Sent", "Gesendet");
	fixture_add(fx.src, "Gesendet", 900, "", 0, "", 7);
	assert_int_equal(fixture_run(&fx), 0);
	assert_int_equal(mem_folder_get(fx.tgt, "Sent", false)->count, COUNT +
	    1);
	assert_null(mem_folder_get(fx.tgt, "Gesendet", false));
	assert_int_equal(fx.tgt->nstored, TOTAL + 1);
	/* With --full it is as before release, for what is renamed then. */
	fx.set.full = true;
	rename_source("Lists", "News");
	assert_int_equal(fixture_run(&fx), 0);
	assert_non_null(mem_folder_get(fx.tgt, "News", false));
	assert_int_equal(fx.tgt->nstored, TOTAL + 1);
}

#ifdef MAILHAUL_FAULTS

#define STEP	9	/* every point takes some minutes */

/* Killed at the kth point of the run that renames: 0 when there is no such
 * point. */
static int
kill_at(size_t i, int k)
{
	char spec[32];
	int rc;

	setup(NULL);
	tell(i % TELLS);
	fx.tgt->new_uidvalidity = i / TELLS % 2;
	assert_int_equal(fixture_run(&fx), 0);
	play(&scenarios[i % NSCENARIOS]);
	snprintf(spec, sizeof spec, "kill:%d", k);
	rc = faulty_run(spec);
	if (rc == -SIGKILL)
		rc = fixture_run(&fx);
	else
		k = 0;
	assert_int_equal(rc, 0);
	assert_followed(TOTAL);
	return k > 0;
}

static void
test_kill_everywhere(void **state)
{
	int kills = 0, k;

	(void)state;
	for (size_t i = 0; i < 2 * NSCENARIOS; i++) {
		for (k = 1 + (int)i % STEP; kill_at(i, k);
		    k += fixture_every(STEP))
			kills++;
		assert_true(k > 10);
	}
	fprintf(stderr, "# %d kills\n", kills);
}

/* Without the rule mail is copied twice: the test sees it. */
static void
test_mutation(void **state)
{
	(void)state;
	assert_int_equal(fixture_run(&fx), 0);
	play(&scenarios[0]);
	setenv("MAILHAUL_MUTATE", "moved", 1);
	assert_int_equal(fixture_run(&fx), 0);
	unsetenv("MAILHAUL_MUTATE");
	assert_int_equal(fx.tgt->nstored, TOTAL + COUNT);
}

#endif

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_scenarios, setup),
		cmocka_unit_test_setup(test_goes_on, setup),
		cmocka_unit_test_setup(test_file_again, setup),
		cmocka_unit_test_setup(test_proofs, setup),
		cmocka_unit_test_setup(test_empty, setup),
		cmocka_unit_test_setup(test_inbox, setup),
		cmocka_unit_test_setup(test_taken, setup),
		cmocka_unit_test_setup(test_cannot, setup),
		cmocka_unit_test_setup(test_user_renamed, setup),
		cmocka_unit_test_setup(test_released, setup),
#ifdef MAILHAUL_FAULTS
		cmocka_unit_test_setup(test_kill_everywhere, setup),
		cmocka_unit_test_setup(test_mutation, setup),
#endif
	};
	int rc;

	fixture_start(&fx);
	rc = cmocka_run_group_tests(tests, NULL, NULL);
	fixture_stop(&fx);
	return rc;
}
