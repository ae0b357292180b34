/*
 * --delete: what was deleted at the source goes from the target, and nothing
 * else ever does: the rules one by one, kills at every point, and random
 * histories in which the target's user is at work as well.
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

#define N	60
#define DATE	1000000000

static int
setup(void **state)
{
	case_setup(state);
	fx.set.delete = DELETE_MOVE;
	fx.set.delete_limit = UNKNOWN64;
	fx.set.full = fx.set.empty_ok = false;
	for (int i = 0; i < N; i++)
		fixture_add(fx.src, "INBOX", i, "", i % 32 & ~MSG_DELETED,
		    i % 3 ? "work" : "", DATE + i);
	for (int i = 0; i < 10; i++)
		fixture_add(fx.src, "Sent", 500 + i, "", MSG_SEEN, "", DATE +
		    500 + i);
	assert_int_equal(fixture_run(&fx), 0);
	return 0;
}

/* The mailbox of what was removed; one without messages when there is none. */
static struct mem_folder *
removed(void)
{
	static struct mem_message no_message = { .keywords = NULL };
	static struct mem_folder none = { .first = &no_message };

	for (struct mem_folder *f = fx.tgt->folders; f != NULL; f = f->next)
		if (strncmp(f->name, "mailhaul-removed/", 17) == 0)
			return f;
	return &none;
}

static void
delete_some(const char *folder, uint32_t from, uint32_t to)
{
	struct mem_folder *f = mem_folder_get(fx.src, folder, false);

	for (uint32_t uid = from; uid <= to; uid++)
		mem_expunge(f, uid);
}

static int
there(const char *folder)
{
	struct mem_folder *f = mem_folder_get(fx.tgt, folder, false);

	return f != NULL ? (int)f->count : 0;
}

static int
moved(void)
{
	return (int)removed()->count;
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
test_moved(void **state)
{
	uint64_t changes;

	(void)state;
	delete_some("INBOX", 3, 7);
	fx.set.delete = DELETE_NO;
	assert_int_equal(fixture_run(&fx), 0);
	assert_int_equal(there("INBOX"), N);
	fx.src->nlisted = 0;
	assert_int_equal(fixture_run(&fx), 0);
	assert_int_equal(fx.src->nlisted, 0);
	/* Asked for later, it is done all the same. */
	fx.set.delete = DELETE_MOVE;
	assert_int_equal(fixture_run(&fx), 0);
	assert_int_equal(there("INBOX"), N - 5);
	assert_int_equal(moved(), 5);
	assert_int_equal(removed()->first->flags, 2);
	assert_string_equal(removed()->first->keywords, "work");
	assert_int_equal(removed()->first->date, DATE + 2);
	assert_int_equal(number("SELECT count(*) FROM message WHERE outcome"
	    " IN (1, 2)"), N + 5);
	assert_int_equal(number("SELECT count(*) FROM op WHERE state = 0"), 0);
	assert_int_equal(number("SELECT count(*) FROM removal"), 0);
	assert_true(fixture_balanced(&fx));
	/* And that is the end of it. */
	assert_int_equal(fixture_run(&fx), 0);
	changes = fx.tgt->nchanges;
	fx.src->nlisted = 0;
	assert_int_equal(fixture_run(&fx), 0);
	assert_int_equal(fx.src->nlisted, 0);
	assert_int_equal(fx.tgt->nchanges, changes);
	assert_int_equal(fx.tgt->nstored, N + 10);
	/* It comes back at the source: it is new. */
	fixture_add(fx.src, "INBOX", 3, "", 0, "", DATE + 3);
	assert_int_equal(fixture_run(&fx), 0);
	assert_int_equal(there("INBOX"), N - 4);
}

static void
test_expunged(void **state)
{
	(void)state;
	fx.set.delete = DELETE_EXPUNGE;
	delete_some("INBOX", 1, 20);
	assert_int_equal(fixture_run(&fx), 0);
	assert_int_equal(there("INBOX"), N - 20);
	assert_null(removed()->name);
}

static void
test_cannot(void **state)
{
	(void)state;
	fx.tgt->no_move = true;
	delete_some("INBOX", 1, 2);
	assert_int_equal(fixture_run(&fx), 0);
	assert_int_equal(there("INBOX"), N);
	assert_true(told("cannot move"));
	fx.tgt->no_expunge = true;
	fx.set.delete = DELETE_EXPUNGE;
	assert_int_equal(fixture_run(&fx), 0);
	assert_int_equal(there("INBOX"), N);
	fx.tgt->no_expunge = false;
	assert_int_equal(fixture_run(&fx), 0);
	assert_int_equal(there("INBOX"), N - 2);
}

/* The scenes in which nothing may go; each says whether all is still there. */

static bool
changed_copy(void)
{
	struct mem_folder *f = mem_folder_get(fx.tgt, "INBOX", false);

	mem_set_flags(f, 5, 0);
	mem_set_keywords(fx.tgt, f, 6, "work mine");
	delete_some("INBOX", 5, 7);
	assert_int_equal(fixture_run(&fx), 0);
	return there("INBOX") == N - 1 && number("SELECT count(*) FROM issue"
	    " WHERE kind = 'kept'") == 2;
}

static bool
over_limit(void)
{
	delete_some("INBOX", 1, 21);
	assert_int_equal(fixture_run(&fx), 0);
	return there("INBOX") == N;
}

static bool
over_account_limit(void)
{
	delete_some("INBOX", 1, 15);
	delete_some("Sent", 1, 6);
	assert_int_equal(fixture_run(&fx), 0);
	return there("INBOX") == N && there("Sent") == 10;
}

static bool
emptied(void)
{
	delete_some("Sent", 1, 10);
	assert_int_equal(fixture_run(&fx), 0);
	return there("Sent") == 10;
}

static bool
unreadable(void)
{
	fixture_add(fx.src, "INBOX", 4711, "", 0, "", DATE);
	snprintf(fx.src->sick, sizeof fx.src->sick, "number 4711");
	delete_some("INBOX", 5, 7);
	fixture_run(&fx);
	return there("INBOX") == N;
}

static const struct { bool (*scene)(void); const char *mutation, *words; }
scenes[] = {
	{ changed_copy, "removal-unchanged", "changed at the target" },
	{ over_limit, "removal-limit", "--delete-limit" },
	{ over_account_limit, "removal-limit", "of the account" },
	{ emptied, "removal-complete", "none of its messages" },
	{ unreadable, "removal-complete", "could not be read" },
};

static void
test_nothing_goes(void **state)
{
	for (size_t i = 0; i < sizeof scenes / sizeof *scenes; i++) {
		setup(state);
		assert_true(scenes[i].scene());
		assert_true(told(scenes[i].words));
#ifdef MAILHAUL_FAULTS
		setup(state);
		setenv("MAILHAUL_MUTATE", scenes[i].mutation, 1);
		assert_false(scenes[i].scene());
		unsetenv("MAILHAUL_MUTATE");
#endif
	}
	/* More may go when it is said. */
	setup(state);
	over_limit();
	fx.set.delete_limit = 21;
	assert_int_equal(fixture_run(&fx), 0);
	assert_int_equal(moved(), 21);
	/* Of a mailbox that was renumbered nothing is known. */
	setup(state);
	fx.set.merge_existing = true;
	delete_some("INBOX", 5, 7);
	mem_folder_get(fx.src, "INBOX", false)->uidvalidity += 50;
	assert_int_equal(fixture_run(&fx), 0);
	assert_int_equal(there("INBOX"), N);
	assert_int_equal(fixture_run(&fx), 0);
	assert_int_equal(there("INBOX"), N);
	/* What a rule leaves out was not deleted, nor a mailbox that is not
	 * listed. */
	setup(state);
	rules_set_skip_deleted(fx.rules, true);
	fx.set.selection_rule = "other";
	snprintf(fx.src->unlisted, sizeof fx.src->unlisted, "Sent");
	assert_int_equal(fixture_run(&fx), 0);
	fx.set.selection_rule = "";
	assert_int_equal(there("INBOX") + there("Sent"), N + 10);
	/* After release only with --full. */
	setup(state);
	fixture_sql(&fx, "UPDATE account SET stage = 'released'");
	delete_some("INBOX", 5, 7);
	assert_int_equal(fixture_run(&fx), 0);
	assert_int_equal(there("INBOX"), N);
	fx.set.full = true;
	assert_int_equal(fixture_run(&fx), 0);
	assert_int_equal(there("INBOX"), N - 3);
}

#ifdef MAILHAUL_FAULTS
static int
count_points(void)
{
	char log[80];
	FILE *f;
	int n = 0, c;

	snprintf(log, sizeof log, "%s/points", fx.dir);
	setenv("MAILHAUL_FAULT_LOG", log, 1);
	assert_int_equal(fixture_run(&fx), 0);
	unsetenv("MAILHAUL_FAULT_LOG");
	f = fopen(log, "r");
	assert_non_null(f);
	while ((c = getc(f)) != EOF)
		n += c == '\n';
	fclose(f);
	unlink(log);
	return n;
}

static char *
all_text(void)
{
	struct buf b;
	char *c;

	buf_init(&b, (size_t)64 << 20);
	for (int i = 0; i < 3; i++) {
		if (i == 2 && removed()->name == NULL)
			continue;
		c = fixture_contents(fx.tgt, i == 0 ? "INBOX" : i == 1 ?
		    "Sent" : removed()->name);
		buf_addf(&b, "== %d\n%s", i, c);
		free(c);
	}
	return buf_detach(&b, NULL);
}

static void
killed_everywhere(void **state, enum delete how)
{
	char *want = NULL, *got, spec[32];
	int n = 0, kills = 0, wrong = 0;

	for (int k = 0;; k += k == 0 ? 1 : fixture_every(2)) {
		setup(state);
		fx.set.delete = how;
		delete_some("INBOX", 3, 7);
		delete_some("Sent", 2, 3);
		mem_set_flags(mem_folder_get(fx.tgt, "INBOX", false), 4, 31 &
		    ~MSG_DELETED);
		if (k == 0) {
			n = count_points();
			want = all_text();
			continue;
		}
		if (k > n)
			break;
		snprintf(spec, sizeof spec, "kill:%d", k);
		kills += faulty_run(spec) == -SIGKILL;
		assert_int_equal(fixture_run(&fx), 0);
		assert_int_equal(fixture_run(&fx), 0);
		got = all_text();
		if (want == NULL || strcmp(got, want) != 0 || fx.tgt->nstored != N + 10 ||
		    number("SELECT count(*) FROM removal") != 0 ||
		    number("SELECT count(*) FROM issue WHERE kind = 'lost'")
		    != 0) {
			fprintf(stderr, "# wrong after kill %d\n", k);
			wrong++;
		}
		free(got);
	}
	fprintf(stderr, "# %d points, %d kills, %d wrong\n", n, kills, wrong);
	assert_true(kills > n / fixture_every(4));
	assert_int_equal(wrong, 0);
	free(want);
}

static void
test_killed_move(void **state)
{
	killed_everywhere(state, DELETE_MOVE);
}

static void
test_killed_expunge(void **state)
{
	killed_everywhere(state, DELETE_EXPUNGE);
}
#endif

static unsigned
pick(unsigned n)
{
	return (unsigned)random() % n;
}

/* One history: true if nothing was removed that is not to be. */
static bool
history(void **state, unsigned seed)
{
	static const char *const points[] = { "removal.planned",
		"removal.marked", "removal.done", "removal.noted", "move.one",
		"move.after", "expunge.after", "state.after_commit" };
	struct mem_folder *src, *tgt;
	bool changed[N + 1] = { false };
	char spec[64];
	int rc;

	setup(state);
	srandom(seed);
	fx.set.delete = pick(2) ? DELETE_MOVE : DELETE_EXPUNGE;
	fx.set.delete_limit = 1000;
	src = mem_folder_get(fx.src, "INBOX", false);
	tgt = mem_folder_get(fx.tgt, "INBOX", false);
	for (unsigned steps = 2 + pick(4); steps > 0; steps--) {
		for (unsigned n = pick(6); n > 0; n--)
			mem_expunge(src, 2 + pick(N - 1));
		for (unsigned n = pick(4); n > 0; n--) {
			uint32_t uid = 1 + pick(N);
			struct mem_message *m = tgt->first;

			while (m->uid != uid)
				m = m->next;
			if (m->expunged || changed[uid])
				continue;
			mem_set_flags(tgt, uid, m->flags ^ MSG_DRAFT);
			changed[uid] = true;
		}
		snprintf(spec, sizeof spec, "kill@%s:%u", points[pick(8)], 1 +
		    pick(5));
		if (pick(2) == 0)
			setenv("MAILHAUL_FAULT", spec, 1);
		rc = fixture_run(&fx);
		unsetenv("MAILHAUL_FAULT");
		if (rc != 0 && rc != -SIGKILL)
			return false;
	}
	for (int i = 0; i < 3; i++)
		if (fixture_run(&fx) != 0)
			return false;
	for (struct mem_message *s = src->first, *t = tgt->first; s != NULL;
	    s = s->next, t = t->next) {
		bool goes = s->expunged && !changed[t->uid];

		if (s->uid != t->uid || t->expunged != goes) {
			fprintf(stderr, "# seed %u: uid %u\n", seed, s->uid);
			return false;
		}
	}
	if (fx.set.delete == DELETE_MOVE && moved() != N - (int)tgt->count)
		return false;
	return fx.tgt->nstored == N + 10 && number("SELECT count(*) FROM"
	    " removal") == 0;
}

static void
test_histories(void **state)
{
	const char *env = getenv("MAILHAUL_SEEDS");
	unsigned first = 1, n = 12, bad = 0;

	n = n / (unsigned)fixture_every(1) + 1;
	if (env != NULL)
		assert_int_equal(sscanf(env, "%u,%u", &first, &n), 2);
	for (unsigned seed = first; seed < first + n; seed++)
		if (!history(state, seed)) {
			fprintf(stderr, "# seed %u is bad\n", seed);
			bad++;
		}
	assert_int_equal(bad, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_moved, setup),
		cmocka_unit_test_setup(test_expunged, setup),
		cmocka_unit_test_setup(test_cannot, setup),
		cmocka_unit_test(test_nothing_goes),
#ifdef MAILHAUL_FAULTS
		cmocka_unit_test(test_killed_move),
		cmocka_unit_test(test_killed_expunge),
#endif
		cmocka_unit_test(test_histories),
	};
	int rc;

	fixture_start(&fx);
	rc = cmocka_run_group_tests(tests, NULL, NULL);
	fixture_stop(&fx);
	return rc;
}
