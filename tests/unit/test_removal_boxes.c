/*
 * --delete-mailboxes: a mailbox that is gone from the source goes from the
 * target, with what is ours and unchanged in it, and nothing else; killed
 * anywhere as well.  And the limit as a share.
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

#include "base/buf.h"
#include "unit/lib/engine_case.h"

#define N	80
#define DATE	1000000000

static int
setup(void **state)
{
	case_setup(state);
	fx.set.delete = DELETE_NO;
	fx.set.delete_limit = UNKNOWN64;
	fx.set.delete_mailboxes = true;
	fx.set.full = fx.set.empty_ok = false;
	fx.tgt->no_rename = fx.tgt->no_move = false;
	fx.src->sick[0] = '\0';
	for (int i = 0; i < N; i++)
		fixture_add(fx.src, "INBOX", i, "", 0, "", DATE + i);
	for (int i = 0; i < 5; i++) {
		fixture_add(fx.src, "Work", 500 + i, "", MSG_SEEN, "", DATE +
		    500 + i);
		fixture_add(fx.src, "Work/Old", 600 + i, "", 0, "", DATE + 600
		    + i);
	}
	mem_folder_get(fx.src, "Work/Empty", true);
	fx.set.delete_mailboxes = false;
	assert_int_equal(fixture_run(&fx), 0);
	fx.set.delete_mailboxes = true;
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

/* The source deletes a mailbox with all below it. */
static void
gone(const char *name)
{
	struct mem_folder **fp = &fx.src->folders;
	size_t n = strlen(name);

	while (*fp != NULL)
		if (strncmp((*fp)->name, name, n) == 0 &&
		    ((*fp)->name[n] == '\0' || (*fp)->name[n] == '/'))
			*fp = (*fp)->next;
		else
			fp = &(*fp)->next;
}

static int
there(const char *folder)
{
	struct mem_folder *f = mem_folder_get(fx.tgt, folder, false);

	return f != NULL ? (int)f->count : -1;
}

static int
moved(void)
{
	for (struct mem_folder *f = fx.tgt->folders; f != NULL; f = f->next)
		if (strncmp(f->name, "mailhaul-removed/", 17) == 0)
			return (int)f->count;
	return 0;
}

static void
assert_settled(void)
{
	assert_int_equal(number("SELECT count(*) FROM removal WHERE state ="
	    " 1"), 0);
	assert_int_equal(number("SELECT count(*) FROM op WHERE state = 0 AND"
	    " kind = 'remove-mailbox'"), 0);
}

static void
test_listed(void **state)
{
	uint64_t changes = fx.tgt->nchanges;

	(void)state;
	fx.set.delete_mailboxes = false;
	fx.set.delete = DELETE_MOVE;
	gone("Work");
	assert_int_equal(fixture_run(&fx), 0);
	assert_int_equal(there("Work"), 5);
	assert_true(told("--delete-mailboxes removes them"));
	assert_int_equal(number("SELECT count(*) FROM issue WHERE kind ="
	    " 'gone'"), 3);
	assert_int_equal(fx.tgt->nchanges, changes);
}

static void
test_removed(void **state)
{
	for (int i = 0; i < 3; i++) {
		setup(state);
		fx.set.delete = i == 0 ? DELETE_NO : i == 1 ? DELETE_MOVE :
		    DELETE_EXPUNGE;
		gone("Work");
		assert_int_equal(fixture_run(&fx), 0);
		assert_int_equal(there("Work"), -1);
		assert_int_equal(there("Work/Old"), -1);
		assert_int_equal(there("Work/Empty"), -1);
		assert_int_equal(there("INBOX"), N);
		assert_int_equal(moved(), i < 2 ? 10 : 0);
		assert_settled();
		assert_true(fixture_balanced(&fx));
		/* It comes back at the source: it is new. */
		for (int k = 0; k < 5; k++)
			fixture_add(fx.src, "Work", 500 + k, "", 0, "", DATE);
		assert_int_equal(fixture_run(&fx), 0);
		assert_int_equal(there("Work"), 5);
		assert_false(told("made and filled anew"));
	}
}

/* Scenes in which the mailbox stays, and so many messages in it. */
static void
user_changed(void)
{
	mem_set_flags(mem_folder_get(fx.tgt, "Work", false), 2, MSG_FLAGGED);
}

static void
user_mail(void)
{
	fixture_add(fx.tgt, "Work", 900, "", 0, "", DATE);
}

static void
user_child(void)
{
	fixture_add(fx.tgt, "Work/Mine", 900, "", 0, "", DATE);
}

static void
over_limit(void)
{
	fx.set.delete_limit = 9;
}

static void
over_share(void)
{
	fx.set.delete_limit = LIMIT_PERCENT | 11;
}

static void
released(void)
{
	fixture_sql(&fx, "UPDATE account SET stage = 'released'");
}

static void
unreadable(void)
{
	fixture_add(fx.src, "INBOX", 4711, "", 0, "", DATE);
	snprintf(fx.src->breaks, sizeof fx.src->breaks, "INBOX");
}

static const struct { void (*scene)(void); int rc, work, old;
    const char *words; } scenes[] = {
	{ user_changed, 0, 1, -1, "holds other mail" },
	{ user_mail, 0, 1, -1, "holds other mail" },
	{ user_child, 0, 0, -1, "mailboxes below it" },
	{ over_limit, 0, 5, 5, "--delete-limit" },
	{ over_share, 0, 5, 5, "--delete-limit" },
	{ released, 0, 5, 5, "stay at the target" },
	{ unreadable, 2, 5, 5, NULL },
};

static void
test_stays(void **state)
{
	for (size_t i = 0; i < sizeof scenes / sizeof *scenes; i++) {
		setup(state);
		fx.src->breaks[0] = '\0';
		gone("Work");
		scenes[i].scene();
		assert_int_equal(fixture_run(&fx), scenes[i].rc);
		fx.src->breaks[0] = '\0';
		assert_int_equal(there("Work"), scenes[i].work);
		assert_int_equal(there("Work/Old"), scenes[i].old);
		if (scenes[i].words != NULL)
			assert_true(told(scenes[i].words));
		assert_settled();
	}
	/* A share that is enough: 10 of 90. */
	setup(state);
	gone("Work");
	fx.set.delete_limit = LIMIT_PERCENT | 12;
	assert_int_equal(fixture_run(&fx), 0);
	assert_int_equal(there("Work"), -1);
	/* A mailbox that was there before is not ours. */
	setup(state);
	fixture_sql(&fx, "UPDATE mailbox SET made_by_us = 0");
	gone("Work");
	assert_int_equal(fixture_run(&fx), 0);
	assert_int_equal(there("Work"), 0);
	assert_true(told("at the target before"));
}

/* The share of a mailbox, for --delete. */
static void
test_share(void **state)
{
	static const struct { uint64_t limit; int n; bool goes; } cases[] = {
		{ LIMIT_PERCENT | 10, 8, true },
		{ LIMIT_PERCENT | 10, 9, false },
		{ 8, 8, true },
		{ 8, 9, false },
		{ UNKNOWN64, 20, true },
		{ UNKNOWN64, 21, false },
	};

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		setup(state);
		fx.set.delete = DELETE_MOVE;
		fx.set.delete_limit = cases[i].limit;
		for (int k = 0; k < cases[i].n; k++)
			mem_expunge(mem_folder_get(fx.src, "INBOX", false),
			    (uint32_t)k + 1);
		assert_int_equal(fixture_run(&fx), 0);
		assert_int_equal(there("INBOX"), cases[i].goes ? N -
		    cases[i].n : N);
	}
}

#ifdef MAILHAUL_FAULTS

static int
kill_at(int k, enum delete how)
{
	char spec[32];
	int rc;

	setup(NULL);
	fx.set.delete = how;
	gone("Work");
	mem_set_flags(mem_folder_get(fx.tgt, "Work/Old", false), 2,
	    MSG_FLAGGED);
	snprintf(spec, sizeof spec, "kill:%d", k);
	rc = faulty_run(spec);
	if (rc != -SIGKILL)
		k = 0;
	assert_int_equal(fixture_run(&fx), 0);
	assert_int_equal(fixture_run(&fx), 0);
	assert_int_equal(there("INBOX"), N);
	assert_int_equal(there("Work/Old"), 1);
	assert_int_equal(there("Work/Empty"), -1);
	assert_int_equal(there("Work"), 0);	/* as one below it stays */
	assert_int_equal(moved(), how == DELETE_EXPUNGE ? 0 : 9);
	for (struct mem_folder *f = fx.tgt->folders; f != NULL; f = f->next)
		assert_null(strstr(f->name, "-mailhaul-"));
	assert_settled();
	return k > 0;
}

static void
test_kill_everywhere(void **state)
{
	int kills = 0;

	(void)state;
	for (int k = 1; kill_at(k, k % 2 ? DELETE_MOVE : DELETE_EXPUNGE);
	    k += fixture_every(3))
		kills++;
	fprintf(stderr, "# %d kills\n", kills);
	assert_true(kills > 5);
}

#endif

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_listed, setup),
		cmocka_unit_test(test_removed),
		cmocka_unit_test(test_stays),
		cmocka_unit_test(test_share),
#ifdef MAILHAUL_FAULTS
		cmocka_unit_test(test_kill_everywhere),
#endif
	};
	int rc;

	fixture_start(&fx);
	rc = cmocka_run_group_tests(tests, NULL, NULL);
	fixture_stop(&fx);
	return rc;
}
