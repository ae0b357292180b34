/*
 * Flags and keywords that change at the source: every cell of the merge table,
 * kills at every point, the target's user at work at the same time, and random
 * histories against a model.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "merge.h"
#include "unit/lib/engine_case.h"

#define DATE 1000000000

static int
setup(void **state)
{
	case_setup(state);
	fx.set.no_flag_sync = fx.set.full = fx.set.restore_deleted = false;
	return 0;
}

/* The messages of INBOX, by their place. */
static struct mem_message *
at(struct mem_store *s, const char *folder, int n)
{
	struct mem_folder *f = mem_folder_get(s, folder, false);
	struct mem_message *m = f->first;

	while (n-- > 0)
		m = m->next;
	return m;
}

static void
set(struct mem_store *s, const char *folder, int n, unsigned flags,
    const char *keywords)
{
	struct mem_message *m = at(s, folder, n);
	struct mem_folder *f = mem_folder_get(s, folder, false);

	if (m->flags != flags)
		mem_set_flags(f, m->uid, flags);
	if (strcmp(m->keywords, keywords) != 0)
		mem_set_keywords(s, f, m->uid, keywords);
}

static void
assert_flags(int n, unsigned flags, const char *keywords)
{
	struct mem_message *m = at(fx.tgt, "INBOX", n);

	assert_int_equal(m->flags, flags);
	assert_string_equal(m->keywords, keywords);
}

static int64_t
number(const char *sql)
{
	return fixture_number(&fx, sql);
}

static int64_t
conflicts(void)
{
	return number("SELECT count(*) FROM issue WHERE kind = 'conflict'");
}

/* The table, written down once more by its meaning. */
enum { STAYS, SET, CLEARED, CONFLICT };
static const struct { int src_row, src, tgt_row, tgt, what; } table[16] = {
	{ 0, 0, 0, 0, STAYS }, { 0, 0, 0, 1, STAYS },
	{ 0, 0, 1, 0, STAYS }, { 0, 0, 1, 1, STAYS },
	{ 0, 1, 0, 0, SET }, { 0, 1, 0, 1, STAYS },
	{ 0, 1, 1, 0, CONFLICT }, { 0, 1, 1, 1, STAYS },
	{ 1, 0, 0, 0, STAYS }, { 1, 0, 0, 1, CONFLICT },
	{ 1, 0, 1, 0, STAYS }, { 1, 0, 1, 1, CLEARED },
	{ 1, 1, 0, 0, STAYS }, { 1, 1, 0, 1, STAYS },
	{ 1, 1, 1, 0, STAYS }, { 1, 1, 1, 1, STAYS },
};

static void
test_cells(void **state)
{
	(void)state;
	for (size_t i = 0; i < 16; i++)
		for (unsigned f = MSG_SEEN; f <= MSG_DRAFT; f <<= 1) {
			struct arena a;
			struct flag_merge m;
			struct flag_sides s = {
				{ table[i].src_row ? f : 0, table[i].src_row ?
				    "b k" : "b" },
				{ table[i].src ? f : 0, table[i].src ? "K" :
				    "" },
				{ table[i].tgt_row ? f : 0, table[i].tgt_row ?
				    "k own" : "own" },
				{ table[i].tgt ? f : 0, table[i].tgt ?
				    "k mine" : "mine" } };
			int what = table[i].what;

			arena_init(&a);
			merge_flags(&a, &s, &m);
			assert_int_equal(m.add, what == SET ? f : 0);
			assert_int_equal(m.del, what == CLEARED ? f : 0);
			assert_int_equal(m.conflict, what == CONFLICT ? f : 0);
			assert_int_equal(m.nkw_add, what == SET);
			assert_int_equal(m.nkw_del, what == CLEARED);
			assert_int_equal(m.nkw_conflict, what == CONFLICT);
			if (what == SET)
				assert_string_equal(m.kw_add[0], "K");
			assert_int_equal(m.changes, what == SET || what ==
			    CLEARED);
			assert_int_equal(m.conflicts, what == CONFLICT);
			assert_int_equal(m.result.flags, what == SET ? f :
			    what == CLEARED ? 0 : table[i].tgt ? f : 0);
			assert_string_equal(m.result.kw, what == SET ?
			    "K mine" : what == CLEARED ? "mine" :
			    table[i].tgt ? "k mine" : "mine");
			arena_release(&a);
		}
}

/* The cells at a target, with the rows made by passes where they can be. */
static void
test_cells_at_target(void **state)
{
	(void)state;
	for (int i = 0; i < 16; i++)
		fixture_add(fx.src, "INBOX", i, "", table[i].src_row ?
		    MSG_FLAGGED : 0, table[i].src_row ? "work" : "", DATE + i);
	assert_int_equal(fixture_run(&fx), 0);
	for (int i = 0; i < 16; i++)
		set(fx.tgt, "INBOX", i, table[i].tgt_row ? MSG_FLAGGED : 0,
		    table[i].tgt_row ? "work" : "");
	/* Another change at the source makes a pass note what is there. */
	for (int i = 0; i < 16; i++)
		set(fx.src, "INBOX", i, MSG_SEEN | (table[i].src_row ?
		    MSG_FLAGGED : 0), table[i].src_row ? "work" : "");
	assert_int_equal(fixture_run(&fx), 0);
	assert_int_equal(conflicts(), 0);
	for (int i = 0; i < 16; i++) {
		assert_flags(i, MSG_SEEN | (table[i].tgt_row ? MSG_FLAGGED :
		    0), table[i].tgt_row ? "work" : "");
		set(fx.tgt, "INBOX", i, MSG_SEEN | (table[i].tgt ? MSG_FLAGGED
		    : 0), table[i].tgt ? "work" : "");
		set(fx.src, "INBOX", i, MSG_SEEN | (table[i].src ? MSG_FLAGGED
		    : 0), table[i].src ? "work" : "");
	}
	fx.tgt->nchanges = 0;
	assert_int_equal(fixture_run(&fx), 0);
	for (int i = 0; i < 16; i++) {
		bool there = table[i].what == SET || (table[i].tgt &&
		    table[i].what != CLEARED);

		assert_flags(i, MSG_SEEN | (there ? MSG_FLAGGED : 0), there ?
		    "work" : "");
		/* Nothing at the source. */
		assert_int_equal(at(fx.src, "INBOX", i)->flags, MSG_SEEN |
		    (table[i].src ? MSG_FLAGGED : 0));
	}
	assert_int_equal(conflicts(), 2);
	assert_int_equal(fx.tgt->nchanges, 2);
	assert_int_equal(number("SELECT count(*) FROM flagging"), 0);
	/* And that is the end of it. */
	assert_int_equal(fixture_run(&fx), 0);
	assert_int_equal(fx.tgt->nchanges, 2);
	assert_int_equal(fx.tgt->nstored, 16);
	assert_true(fixture_balanced(&fx));
}

/* Costs: nothing is listed at the target unless flags have changed, and only
 * from the first of them on. */
static void
test_costs(void **state)
{
	uint64_t listed;

	(void)state;
	for (int i = 0; i < 50; i++)
		fixture_add(fx.src, "INBOX", i, "", 0, "", DATE + i);
	fixture_add(fx.src, "Sent", 900, "", MSG_SEEN, "", DATE);
	assert_int_equal(fixture_run(&fx), 0);
	listed = fx.tgt->nlisted;
	assert_int_equal(fixture_run(&fx), 0);
	fixture_add(fx.src, "Sent", 901, "", MSG_SEEN, "", DATE);
	assert_int_equal(fixture_run(&fx), 0);
	assert_int_equal(fx.tgt->nlisted, listed);
	fx.src->nread = fx.tgt->nread = 0;
	set(fx.src, "INBOX", 48, MSG_SEEN, "");
	assert_int_equal(fixture_run(&fx), 0);
	assert_flags(48, MSG_SEEN, "");
	assert_true(fx.tgt->nlisted - listed <= 4);
	assert_int_equal(fx.src->nread + fx.tgt->nread, 0);
}

static void
test_no_flag_sync(void **state)
{
	(void)state;
	fixture_add(fx.src, "INBOX", 1, "", 0, "", DATE);
	assert_int_equal(fixture_run(&fx), 0);
	set(fx.src, "INBOX", 0, MSG_SEEN, "work");
	fx.set.no_flag_sync = true;
	assert_int_equal(fixture_run(&fx), 0);
	fx.src->nlisted = 0;
	assert_int_equal(fixture_run(&fx), 0);
	assert_int_equal(fx.src->nlisted, 0);
	assert_flags(0, 0, "");
	/* Whoever wants it later gets it. */
	fx.set.no_flag_sync = false;
	assert_int_equal(fixture_run(&fx), 0);
	assert_flags(0, MSG_SEEN, "work");
	fx.src->nlisted = 0;
	assert_int_equal(fixture_run(&fx), 0);
	assert_int_equal(fx.src->nlisted, 0);
}

static void
test_released(void **state)
{
	(void)state;
	fixture_add(fx.src, "INBOX", 1, "", 0, "", DATE);
	assert_int_equal(fixture_run(&fx), 0);
	fixture_sql(&fx, "UPDATE account SET stage = 'released'");
	set(fx.src, "INBOX", 0, MSG_SEEN, "work");
	fixture_add(fx.src, "INBOX", 2, "", 0, "", DATE);
	assert_int_equal(fixture_run(&fx), 0);
	assert_int_equal(fx.tgt->nstored, 2);
	assert_flags(0, 0, "");
	fx.set.full = true;
	assert_int_equal(fixture_run(&fx), 0);
	assert_flags(0, MSG_SEEN, "work");
}

/* What a released account's user deleted stays deleted, unless asked for. */
static void
test_restore_deleted(void **state)
{
	(void)state;
	for (int i = 0; i < 4; i++)
		fixture_add(fx.src, "INBOX", i, "", 0, "", DATE + i);
	assert_int_equal(fixture_run(&fx), 0);
	fixture_sql(&fx, "UPDATE account SET stage = 'released'");
	mem_expunge(mem_folder_get(fx.tgt, "INBOX", false), 2);
	fixture_add(fx.src, "INBOX", 9, "", 0, "", DATE);
	fx.set.full = true;
	assert_int_equal(fixture_run(&fx), 0);
	assert_int_equal(fx.tgt->nstored, 5);
	fx.set.restore_deleted = true;
	assert_int_equal(fixture_run(&fx), 0);
	assert_int_equal(fx.tgt->nstored, 6);
	assert_true(fixture_balanced(&fx));
	/* Before release it is a loss. */
	fx.set.restore_deleted = fx.set.full = false;
	fixture_sql(&fx, "UPDATE account SET stage = 'frozen'");
	mem_expunge(mem_folder_get(fx.tgt, "INBOX", false), 3);
	assert_int_equal(fixture_run(&fx), 0);
	assert_int_equal(fx.tgt->nstored, 7);
}

/* A mark that the job leaves out at the source is none of the target's. */
static void
test_deleted_skip(void **state)
{
	(void)state;
	fixture_add(fx.src, "INBOX", 1, "", 0, "", DATE);
	assert_int_equal(fixture_run(&fx), 0);
	rules_set_skip_deleted(fx.rules, true);
	set(fx.src, "INBOX", 0, MSG_DELETED | MSG_SEEN, "");
	assert_int_equal(fixture_run(&fx), 0);
	assert_flags(0, MSG_SEEN, "");
	rules_set_skip_deleted(fx.rules, false);
	fx.set.selection_rule = "other";
	assert_int_equal(fixture_run(&fx), 0);
	fx.set.selection_rule = "";
	assert_flags(0, MSG_SEEN | MSG_DELETED, "");
}

/* What the target cannot hold is left out, said once, and never a reason. */
static void
test_keywords_dropped(void **state)
{
	(void)state;
	snprintf(fx.tgt->no_keyword, sizeof fx.tgt->no_keyword, "big");
	fixture_add(fx.src, "INBOX", 1, "", 0, "big work", DATE);
	fixture_add(fx.src, "INBOX", 2, "", 0, "work", DATE);
	assert_int_equal(fixture_run(&fx), 0);
	assert_flags(0, 0, "work");
	set(fx.src, "INBOX", 0, MSG_SEEN, "big work");
	set(fx.src, "INBOX", 1, 0, "big");
	assert_int_equal(fixture_run(&fx), 0);
	assert_flags(0, MSG_SEEN, "work");
	assert_flags(1, 0, "");
	assert_int_equal(number("SELECT count(*) FROM issue WHERE kind ="
	    " 'keywords'"), 2);
	assert_int_equal(conflicts(), 0);
	fx.tgt->nchanges = 0;
	assert_int_equal(fixture_run(&fx), 0);
	set(fx.src, "INBOX", 1, 0, "");
	assert_int_equal(fixture_run(&fx), 0);
	assert_int_equal(fx.tgt->nchanges, 0);
	/* Nobody has touched them. */
	assert_int_equal(fixture_undo(&fx, true), 0);
	assert_int_equal(fx.told->changed, 0);
	assert_int_equal(mem_folder_get(fx.tgt, "INBOX", false)->count, 0);
}

/* The target's user is at work while flags are merged. */
static void
user_flags(struct mem_store *s)
{
	struct mem_message *m = s->folders->first;

	if (s->nmodified == 0 && !(m->flags & MSG_DRAFT))
		mem_set_flags(s->folders, m->uid, m->flags | MSG_DRAFT);
}

static void
test_changed_meanwhile(void **state)
{
	(void)state;
	fixture_add(fx.src, "INBOX", 1, "", 0, "", DATE);
	fixture_add(fx.src, "INBOX", 2, "", 0, "", DATE);
	assert_int_equal(fixture_run(&fx), 0);
	set(fx.src, "INBOX", 0, MSG_SEEN, "");
	set(fx.src, "INBOX", 1, MSG_SEEN, "");
	fx.tgt->on_flags = user_flags;
	assert_int_equal(fixture_run(&fx), 0);
	assert_int_equal(fx.tgt->nmodified, 1);
	assert_flags(0, MSG_SEEN | MSG_DRAFT, "");
	assert_flags(1, MSG_SEEN, "");
	/* That is not only ours any more. */
	assert_int_equal(number("SELECT tgt_flags FROM message WHERE src_uid ="
	    " 1"), MSG_SEEN | MSG_DRAFT);
	assert_int_equal(fixture_undo(&fx, true), 1);
	assert_int_equal(fx.told->changed, 1);
	assert_int_equal(mem_folder_get(fx.tgt, "INBOX", false)->count, 1);
}

/* UIDs that the target has given to other mail since. */
static void
test_other_mail(void **state)
{
	struct mem_message *m;
	static const char other[] = "From: b@example.org\r\n\r\nnot of the migration\r\n";

	(void)state;
	for (int i = 0; i < 4; i++)
		fixture_add(fx.src, "INBOX", i, "", 0, "", DATE + i);
	assert_int_equal(fixture_run(&fx), 0);
	for (int i = 2; i < 4; i++) {
		m = at(fx.tgt, "INBOX", i);
		m->bytes = other;
		m->len = strlen(other);
	}
	set(fx.src, "INBOX", 2, MSG_SEEN, "");
	assert_int_equal(fixture_run(&fx), 0);
	assert_flags(2, 0, "");
	assert_flags(3, 0, "");
	/* Both are copied again, before release. */
	assert_int_equal(fx.tgt->nstored, 6);
	assert_flags(4, MSG_SEEN, "");
	assert_int_equal(number("SELECT count(*) FROM issue WHERE reason LIKE"
	    " '%rolled back%'"), 1);
	/* After it nothing is done. */
	m = at(fx.tgt, "INBOX", 4);
	m->bytes = other;
	m->len = strlen(other);
	fixture_sql(&fx, "UPDATE account SET stage = 'released'");
	fx.set.full = true;
	set(fx.src, "INBOX", 2, 0, "");
	assert_int_equal(fixture_run(&fx), 2);
	assert_flags(4, MSG_SEEN, "");
	assert_int_equal(fx.tgt->nstored, 6);
}

/* Mail that another tool moved: its flags then are where changes start. */
static void
test_adopted(void **state)
{
	(void)state;
	fixture_add(fx.src, "INBOX", 1, "", 0, "", DATE);
	fixture_add(fx.src, "INBOX", 2, "", MSG_SEEN, "a", DATE);
	fixture_add(fx.tgt, "INBOX", 1, "", MSG_SEEN, "own", DATE);
	fixture_add(fx.tgt, "INBOX", 2, "", 0, "", DATE);
	assert_int_equal(fixture_run(&fx), 0);
	assert_flags(0, MSG_SEEN, "own");
	assert_flags(1, 0, "");
	set(fx.src, "INBOX", 0, MSG_FLAGGED, "b");
	set(fx.src, "INBOX", 1, MSG_SEEN | MSG_FLAGGED, "");
	assert_int_equal(fixture_run(&fx), 0);
	assert_flags(0, MSG_SEEN | MSG_FLAGGED, "own b");
	assert_flags(1, MSG_FLAGGED, "");
	assert_int_equal(fx.tgt->nstored, 0);
}

/* The source renumbers: what it had in the last pass is still known. */
static void
test_rekeyed(void **state)
{
	struct mem_folder *f;

	(void)state;
	for (int i = 0; i < 4; i++)
		fixture_add(fx.src, "INBOX", i, "", MSG_SEEN, "", DATE + i);
	assert_int_equal(fixture_run(&fx), 0);
	f = mem_folder_get(fx.src, "INBOX", false);
	f->uidvalidity += 50;
	f->modseq++;
	set(fx.src, "INBOX", 1, 0, "");
	set(fx.tgt, "INBOX", 2, 0, "");
	fx.set.merge_existing = true;
	assert_int_equal(fixture_run(&fx), 0);
	assert_int_equal(fx.tgt->nstored, 4);
	assert_flags(0, MSG_SEEN, "");
	assert_flags(1, 0, "");
	assert_flags(2, 0, "");
}


int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cells),
		cmocka_unit_test_setup(test_cells_at_target, setup),
		cmocka_unit_test_setup(test_costs, setup),
		cmocka_unit_test_setup(test_no_flag_sync, setup),
		cmocka_unit_test_setup(test_released, setup),
		cmocka_unit_test_setup(test_restore_deleted, setup),
		cmocka_unit_test_setup(test_deleted_skip, setup),
		cmocka_unit_test_setup(test_keywords_dropped, setup),
		cmocka_unit_test_setup(test_changed_meanwhile, setup),
		cmocka_unit_test_setup(test_other_mail, setup),
		cmocka_unit_test_setup(test_adopted, setup),
		cmocka_unit_test_setup(test_rekeyed, setup),
	};
	int rc;

	fixture_start(&fx);
	rc = cmocka_run_group_tests(tests, NULL, NULL);
	fixture_stop(&fx);
	return rc;
}
