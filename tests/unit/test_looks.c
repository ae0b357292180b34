/*
 * When state and target disagree: what a look finds, by content or by SHA-1,
 * must never lose, double or take the wrong message.  Every test states what
 * must hold.
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

#include "base/err.h"
#include "unit/lib/engine_case.h"

/* No UIDs, a loss, and a stranger's message beside it. */
static void
no_uids_stranger(bool stranger)
{
	struct mem_folder *f = mem_folder_get(fx.tgt, "INBOX", true);
	char *want;

	fill_source();
	want = source_text();
	fx.tgt->no_uids = true;
	assert_int_equal(fixture_run(&fx), 0);
	mem_expunge(f, 3);
	if (stranger)
		fixture_add(fx.tgt, "INBOX", 4000, "", 0, "", 1700000000);
	for (int i = 0; i < 5; i++)
		assert_int_equal(fixture_run(&fx), 0);
	assert_int_equal(fx.tgt->nstored, 24);
	free(want);
}

/* --repair without UIDs: a mended copy is located and its loss is healed
 * in one pass. */
static void
mended_no_uid(bool sha1)
{
	static const char nul[] = "Subject: x\r\n\r\na\0b\r\n";
	struct mem_folder *f = mem_folder_get(fx.tgt, "INBOX", true);

	mem_add(fx.src, mem_folder_get(fx.src, "INBOX", true), nul,
	    sizeof nul - 1, 0, "", 1);
	fixture_add(fx.src, "INBOX", 1, "", 0, "", 1100000000);
	fx.tgt->refuse_nul = fx.tgt->no_uids = true;
	fx.tgt->sha1 = sha1;
	fx.set.repair = true;
	fx.set.refusal_rule = "repair=yes";
	assert_int_equal(fixture_run(&fx), 0);
	assert_int_equal(fixture_run(&fx), 0);
	assert_int_equal(fx.tgt->nstored, 2);
	for (struct mem_message *m = f->first; m; m = m->next)
		if (memmem(m->bytes, m->len, "a b", 3) != NULL)
			mem_expunge(f, m->uid);
	assert_int_equal(fixture_run(&fx), 0);
	assert_int_equal(f->count, 2);
}

/* A wrong target is refused; the right one, loaded by another tool, has
 * the same UIDs. */
static void
test_wrong_target_then_right(void **state)
{
	struct mem_folder *f;
	char *want;

	(void)state;
	fill_source();
	want = source_text();
	for (int i = 0; i < 5; i++)
		fixture_add(fx.tgt, "INBOX", 4000 + i, "", 0, "", 1700000000);
	assert_int_equal(fixture_run(&fx), 2);
	assert_int_equal(fx.tgt->nstored, 0);
	/* The list is corrected: another account. */
	mem_store_reset(fx.tgt);
	fx.tgt->next_uidvalidity = 5000;
	f = mem_folder_get(fx.tgt, "INBOX", true);
	for (struct mem_message *m = mem_folder_get(fx.src, "INBOX",
	    false)->first; m; m = m->next)
		mem_add(fx.tgt, f, m->bytes, m->len, m->flags, m->keywords,
		    m->date);
	assert_int_equal(fixture_run(&fx), 0);
	assert_int_equal(fx.tgt->nstored, 7);
	assert_target_is(want);
	free(want);
}

/* The same without any kill: the session that looks is told SHA-1, the one
 * that stores is not. */
static void
test_loose_steals_strict_sessions(void **state)
{
	struct mem_folder *f = mem_folder_get(fx.tgt, "INBOX", true);
	char *want;

	(void)state;
	fill_source();
	want = source_text();
	for (struct mem_message *m = mem_folder_get(fx.src, "INBOX",
	    false)->first; m; m = m->next)
		if (memmem(m->bytes, m->len, "\xe4\xf7", 2) != NULL)
			mem_add(fx.tgt, f, m->bytes, m->len, m->flags,
			    m->keywords, m->date);
	fx.set.merge_existing = true;
	fx.tgt->sha1 = fx.tgt->sha1_eyes = true;
	assert_int_equal(fixture_run(&fx), 0);
	fx.tgt->sha1_eyes = false;
	assert_target_is(want);
	free(want);
}

static void
test_no_uids_loss_alone(void **state)
{
	(void)state;
	no_uids_stranger(false);
}

static void
test_no_uids_loss_beside_a_stranger(void **state)
{
	(void)state;
	no_uids_stranger(true);
}

/* No UIDs, a server that munges: a copy is located by its loose digest, and
 * its loss is healed. */
static void
test_no_uids_munge_loss(void **state)
{
	struct mem_folder *f = mem_folder_get(fx.tgt, "INBOX", true);
	uint64_t n;

	(void)state;
	fill_source();
	fx.tgt->no_uids = fx.tgt->munge = true;
	assert_int_equal(fixture_run(&fx), 0);
	assert_int_equal(fixture_run(&fx), 0);
	n = f->count;
	assert_int_equal(fixture_number(&fx, "SELECT count(*) FROM message"
	    " WHERE tgt_uid = 0"), 0);
	for (struct mem_message *m = f->first; m; m = m->next)
		if (memmem(m->bytes, m->len, "X-8", 3) != NULL)
			mem_expunge(f, m->uid);
	for (int i = 0; i < 4; i++)
		assert_int_equal(fixture_run(&fx), 0);
	assert_int_equal(f->count, n);
}

static void
test_mended_no_uid_content(void **state)
{
	(void)state;
	mended_no_uid(false);
}

static void
test_mended_no_uid_sha1(void **state)
{
	(void)state;
	mended_no_uid(true);
}

/* The guard against a stranger's target holds in the second try as in the
 * first, also with an excluded mailbox. */
static void
test_guard_with_excluded(void **state)
{
	struct err e;

	(void)state;
	fill_source();
	if (rules_add_exclude(fx.rules, "Sent", &e) == -1)
		fail_msg("%s", e.text);
	for (int i = 0; i < 5; i++)
		fixture_add(fx.tgt, "INBOX", 4000 + i, "", 0, "", 1700000000);
	assert_int_equal(fixture_run(&fx), 2);
	assert_int_equal(fx.tgt->nstored, 0);
	fixture_run(&fx);
	assert_int_equal(fx.tgt->nstored, 0);
}

#ifdef MAILHAUL_FAULTS
/* --repair: a late double of a mended message is told. */
static void
mended_double(bool sha1)
{
	static const char nul[] = "Subject: x\r\n\r\na\0b\r\n";
	struct mem_folder *f = mem_folder_get(fx.tgt, "INBOX", true);

	mem_add(fx.src, mem_folder_get(fx.src, "INBOX", true), nul,
	    sizeof nul - 1, 0, "", 1);
	fx.tgt->refuse_nul = true;
	fx.tgt->sha1 = sha1;
	fx.set.repair = true;
	fx.set.refusal_rule = "repair=yes";
	assert_int_equal(faulty_run("kill@append.before_crlf:2"), -SIGKILL);
	assert_int_equal(fixture_run(&fx), 0);
	assert_int_equal(f->count, 1);
	mem_add(fx.tgt, f, f->first->bytes, f->first->len, 0, "", 1);
	assert_int_equal(fixture_run(&fx), 0);
	assert_int_equal(fixture_number(&fx, "SELECT count(*) FROM issue WHERE"
	    " kind = 'doubled'"), 1);
}

/* The source is renumbered after a first pass that was killed. */
static void
test_rekey_after_a_killed_pass(void **state)
{
	char *want;

	(void)state;
	fill_source();
	want = source_text();
	fx.tgt->batch_messages = 4;
	assert_int_equal(faulty_run("kill@append.after_crlf:3"), -SIGKILL);
	mem_folder_get(fx.src, "INBOX", false)->uidvalidity += 50;
	mem_folder_get(fx.src, "INBOX", false)->modseq++;
	fixture_run(&fx);
	assert_int_equal(fx.tgt->nstored, 23);
	assert_target_is(want);
	free(want);
}

/* What another target held is no copy: killed after the look, the target
 * made anew with other mail under the same UIDs. */
static void
test_extras_of_another_uidvalidity(void **state)
{
	int bad = 0;

	(void)state;
	for (int k = 1; k < 30; k++) {
		char spec[40];

		case_setup(NULL);
		fill_source();
		fx.set.merge_existing = true;
		for (int i = 0; i < 9; i++)
			fixture_add(fx.tgt, "INBOX", i, "", i % 32, i % 3 ?
			    "work" : "", 1000000000 + i);
		snprintf(spec, sizeof spec, "kill@state.after_commit:%d", k);
		if (faulty_run(spec) != -SIGKILL)
			break;
		mem_store_reset(fx.tgt);
		fx.tgt->next_uidvalidity = 5000;
		for (int i = 0; i < 30; i++)
			fixture_add(fx.tgt, "INBOX", 4000 + i, "", 0, "",
			    1700000000);
		assert_int_equal(fixture_run(&fx), 0);
		if (fx.tgt->nstored != 23) {
					bad++;
		}
	}
	assert_int_equal(bad, 0);
}

/* Unread extras, then a session without DIGEST: a loose match must not
 * take the copy that another message equals to the byte. */
static void
test_loose_steals_strict(void **state)
{
	int bad = 0;

	(void)state;
	for (int k = 1; k < 30; k++) {
		struct mem_folder *f;
		char spec[40], *want, *got;

		case_setup(NULL);
		f = mem_folder_get(fx.tgt, "INBOX", true);
		fill_source();
		want = source_text();
		/* Another tool brought the second of the loose twins. */
		for (struct mem_message *m = mem_folder_get(fx.src, "INBOX",
		    false)->first; m; m = m->next)
			if (memmem(m->bytes, m->len, "\xe4\xf7", 2) != NULL)
				mem_add(fx.tgt, f, m->bytes, m->len, m->flags,
				    m->keywords, m->date);
		fx.set.merge_existing = true;
		fx.tgt->sha1 = true;
		snprintf(spec, sizeof spec, "kill@state.after_commit:%d", k);
		if (faulty_run(spec) != -SIGKILL) {
			free(want);
			break;
		}
		fx.tgt->sha1 = false;
		assert_int_equal(fixture_run(&fx), 0);
		got = target_text();
		if (strcmp(got, want) != 0) {
					bad++;
		}
		free(got);
		free(want);
	}
	assert_int_equal(bad, 0);
}

static void
test_mended_double_content(void **state)
{
	(void)state;
	mended_double(false);
}

static void
test_mended_double_sha1(void **state)
{
	(void)state;
	mended_double(true);
}

/* No UIDs told: pass, crash, loss. */
static void
test_no_uids_break_and_loss(void **state)
{
	char *want;

	(void)state;
	fill_source();
	want = source_text();
	fx.tgt->no_uids = true;
	fx.tgt->batch_messages = 4;
	assert_int_equal(fixture_run(&fx), 0);
	fixture_add(fx.src, "INBOX", 1000, "", 0, "", 1600000000);
	free(want);
	want = source_text();
	assert_int_equal(faulty_run("kill@done.posted:1"), -SIGKILL);
	mem_expunge(mem_folder_get(fx.tgt, "INBOX", false), 3);
	assert_int_equal(fixture_run(&fx), 0);
	assert_target_is(want);
	free(want);
}

#endif

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_wrong_target_then_right, case_setup),
		cmocka_unit_test_setup(test_loose_steals_strict_sessions, case_setup),
		cmocka_unit_test_setup(test_no_uids_loss_alone, case_setup),
		cmocka_unit_test_setup(test_no_uids_loss_beside_a_stranger, case_setup),
		cmocka_unit_test_setup(test_no_uids_munge_loss, case_setup),
		cmocka_unit_test_setup(test_mended_no_uid_content, case_setup),
		cmocka_unit_test_setup(test_mended_no_uid_sha1, case_setup),
		cmocka_unit_test_setup(test_guard_with_excluded, case_setup),
#ifdef MAILHAUL_FAULTS
		cmocka_unit_test_setup(test_rekey_after_a_killed_pass,
		    case_setup),
		cmocka_unit_test_setup(test_extras_of_another_uidvalidity,
		    case_setup),
		cmocka_unit_test_setup(test_loose_steals_strict,
		    case_setup),
		cmocka_unit_test_setup(test_mended_double_content,
		    case_setup),
		cmocka_unit_test_setup(test_mended_double_sha1,
		    case_setup),
		cmocka_unit_test_setup(test_no_uids_break_and_loss,
		    case_setup),
#endif
	};
	int rc;

	fixture_start(&fx);
	rc = cmocka_run_group_tests(tests, NULL, NULL);
	fixture_stop(&fx);
	return rc;
}
