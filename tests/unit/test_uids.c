/*
 * UIDs that the target lets us choose, on in-memory stores: taken over with
 * gaps, kept over passes, kills and lost states; late messages, and other mail
 * that has got a UID of the source.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "unit/lib/engine_fixture.h"

static struct fixture fx;

static int
setup(void **state)
{
	(void)state;
	mem_store_reset(fx.src);
	mem_store_reset(fx.tgt);
	fixture_drop_state(&fx);
	fx.tgt->chooses_uids = true;
	fx.tgt->not_atomic = true;
	fx.tgt->batch_messages = 4;
	fx.set.merge_existing = false;
	unsetenv("MAILHAUL_FAULT");
	unsetenv("MAILHAUL_FAULT_LOG");
	unsetenv("MAILHAUL_MUTATE");
	return 0;
}

/* A message of the source, under that UID. */
static void
add_as(const char *folder, uint32_t uid, int n)
{
	struct mem_folder *f = mem_folder_get(fx.src, folder, true);
	uint32_t next = f->uidnext;

	f->uidnext = uid;
	fixture_add(fx.src, folder, n, "", n % 4, n % 3 ? "k" : "",
	    1000000000 + n);
	if (f->uidnext < next)
		f->uidnext = next;
}

/* "<uidvalidity> <uidnext>: <uid>=<number> ..." of a mailbox. */
static char *
text_of(struct mem_store *s, const char *folder)
{
	struct mem_folder *f = mem_folder_get(s, folder, false);
	struct buf b;

	buf_init(&b, 1 << 20);
	if (f == NULL)
		return buf_detach(&b, NULL);
	buf_addf(&b, "%" PRIu32 " %" PRIu32 ":", f->uidvalidity, f->uidnext);
	for (struct mem_message *m = f->first; m != NULL; m = m->next)
		if (!m->expunged)
			buf_addf(&b, " %" PRIu32 "=%.4s", m->uid,
			    strstr(m->bytes, "number ") + 7);
	return buf_detach(&b, NULL);
}

static void
assert_box(struct mem_store *s, const char *folder, const char *want)
{
	char *got = text_of(s, folder);

	assert_string_equal(got, want);
	free(got);
}

static int64_t
warnings(const char *like)
{
	char sql[200];

	snprintf(sql, sizeof sql, "SELECT count(*) FROM issue WHERE reason LIKE"
	    " '%%%s%%'", like);
	return fixture_number(&fx, sql);
}

static void
test_taken_over(void **state)
{
	(void)state;
	for (int i = 0; i < 11; i++)
		add_as("INBOX", 5 + 3 * (uint32_t)i, i);
	add_as("A", 4000000000, 20);
	mem_folder_get(fx.src, "INBOX", true)->uidnext = 90;
	assert_int_equal(fixture_run(&fx), 0);
	assert_box(fx.tgt, "INBOX", "1000 90: 5=0000 8=0001 11=0002 14=0003 "
	    "17=0004 20=0005 23=0006 26=0007 29=0008 32=0009 35=0010");
	assert_box(fx.tgt, "A", "1001 4000000001: 4000000000=0020");
	/* Nothing is told or stored again, also when all is forgotten. */
	uint64_t seeded = fx.tgt->nseeded;
	assert_int_equal(fixture_run(&fx), 0);
	fixture_drop_state(&fx);
	assert_int_equal(fixture_run(&fx), 0);
	assert_int_equal(fx.tgt->nstored, 12);
	assert_int_equal(fx.tgt->nseeded, seeded);
	/* What comes later keeps its UID too, over the gap that was seen. */
	add_as("INBOX", 100, 11);
	assert_int_equal(fixture_run(&fx), 0);
	assert_int_equal(fx.tgt->nstored, 13);
	assert_int_equal(warnings("UID"), 0);
	assert_int_equal(fixture_number(&fx, "SELECT tgt_uidnext FROM mailbox"
	    " WHERE src_name = 'INBOX'"), 101);
}

static void
test_late_and_mixed(void **state)
{
	char *got;

	(void)state;
	add_as("INBOX", 3, 1);
	add_as("INBOX", 9, 2);
	assert_int_equal(fixture_run(&fx), 0);
	add_as("INBOX", 5, 3);
	assert_int_equal(fixture_run(&fx), 0);
	assert_int_equal(warnings("came late"), 1);
	assert_box(fx.tgt, "INBOX", "1000 11: 3=0001 9=0002 10=0003");
	assert_int_equal(fixture_number(&fx, "SELECT changes FROM message"
	    " WHERE src_uid = 5"), CHANGE_UID);
	/* The source gives 10 to another message. */
	add_as("INBOX", 10, 4);
	assert_int_equal(fixture_run(&fx), 0);
	assert_int_equal(warnings("new UIDVALIDITY"), 1);
	got = text_of(fx.tgt, "INBOX");
	assert_true(strtoul(got, NULL, 10) > 1000);
	assert_string_equal(strchr(got, ' '),
	    " 12: 3=0001 9=0002 10=0003 11=0004");
	/* And so it stays. */
	uint64_t seeded = fx.tgt->nseeded;
	add_as("INBOX", 20, 5);
	assert_int_equal(fixture_run(&fx), 0);
	assert_int_equal(fx.tgt->nseeded, seeded);
	free(got);
	got = text_of(fx.tgt, "INBOX");
	assert_string_equal(strchr(got, ' '),
	    " 13: 3=0001 9=0002 10=0003 11=0004 12=0005");
	free(got);
}

/* An early delivery at the target takes a UID that is the source's later. */
static void
test_other_mail(void **state)
{
	struct mem_folder *f;
	uint32_t before;

	(void)state;
	add_as("INBOX", 3, 1);
	assert_int_equal(fixture_run(&fx), 0);
	f = mem_folder_get(fx.tgt, "INBOX", false);
	before = f->uidvalidity;
	fixture_add(fx.tgt, "INBOX", 99, "", 0, "", 5);
	/* Harmless as long as the source has not come to it. */
	add_as("A", 1, 7);
	assert_int_equal(fixture_run(&fx), 0);
	assert_int_equal(f->uidvalidity, before);
	add_as("INBOX", 4, 2);
	assert_int_equal(fixture_run(&fx), 0);
	assert_true(f->uidvalidity > before);
	assert_int_equal(f->count, 3);
	assert_true(fixture_balanced(&fx));
}

/* Delivered at the target while we store, into a gap of the source's UIDs. */
static void
deliver_once(struct mem_store *s)
{
	struct mem_folder *f = mem_folder_get(s, "INBOX", false);

	if (f == NULL || f->uidnext != 11)
		return;
	s->on_batch = NULL;
	fixture_add(s, "INBOX", 99, "", 0, "", 5);
}

static void
test_into_a_gap(void **state)
{
	struct mem_folder *f;

	(void)state;
	for (uint32_t uid = 3; uid <= 10; uid++)
		add_as("INBOX", uid, (int)uid);
	add_as("INBOX", 20, 20);
	fx.tgt->on_batch = deliver_once;
	assert_int_equal(fixture_run(&fx), 0);
	f = mem_folder_get(fx.tgt, "INBOX", false);
	assert_int_equal(f->count, 10);
	assert_int_equal(warnings("new UIDVALIDITY"), 1);
	assert_true(f->uidvalidity > 1000);
	/* At once, and once. */
	assert_int_equal(fixture_run(&fx), 0);
	assert_int_equal(f->count, 10);
	assert_true(fixture_balanced(&fx));
}

static void
test_existing_mailbox(void **state)
{
	(void)state;
	fx.tgt->next_uidvalidity = 5000;
	fixture_add(fx.tgt, "INBOX", 99, "", 0, "", 5);
	add_as("INBOX", 30, 1);
	fx.set.merge_existing = true;
	assert_int_equal(fixture_run(&fx), 0);
	assert_int_equal(warnings("UIDVALIDITY of its own"), 1);
	assert_int_equal(fx.tgt->nseeded, 0);
	assert_int_equal(mem_folder_get(fx.tgt, "INBOX", false)->last->uid, 2);
}

/* The state is lost, and the source has deleted some since: what is at the target
 * proves itself ours, so that the UIDs stay. */
static void
test_lost_and_deleted(void **state)
{
	static const char guid[] = "0123456789abcdef0123456789abcdef";
	struct mem_folder *f;

	(void)state;
	/* GUIDs of our own, of the source's with a mark, and without one. */
	for (int how = 0; how < 3; how++) {
		setup(NULL);
		for (int i = 3; i < 7; i++)
			add_as("INBOX", (uint32_t)i, i);
		f = mem_folder_get(fx.src, "INBOX", false);
		for (struct mem_message *m = f->first; how > 0 && m != NULL;
		    m = m->next) {
			memcpy(m->guid, guid, sizeof guid);
			m->guid[31] = (char)('0' + m->uid);
		}
		fx.tgt->no_marks = how == 2;
		assert_int_equal(fixture_run(&fx), 0);
		fixture_drop_state(&fx);
		mem_expunge(f, 4);
		assert_int_equal(fixture_run(&fx), 0);
		if (how == 2) {
			assert_int_equal(warnings("new UIDVALIDITY"), 1);
			continue;
		}
		assert_box(fx.tgt, "INBOX",
		    "1000 7: 3=0003 4=0004 5=0005 6=0006");
		/* And those that come later keep theirs. */
		add_as("INBOX", 9, 9);
		assert_int_equal(fixture_run(&fx), 0);
		assert_box(fx.tgt, "INBOX",
		    "1000 10: 3=0003 4=0004 5=0005 6=0006 9=0009");
		assert_int_equal(warnings("UID"), 0);
		/* Not under another UID than it was given. */
		fixture_drop_state(&fx);
		mem_expunge(f, 5);
		for (struct mem_message *m = mem_folder_get(fx.tgt, "INBOX",
		    false)->first; m != NULL; m = m->next)
			if (m->uid == 5)
				m->uid = 4;
			else if (m->uid == 4)
				m->expunged = true;
		assert_int_equal(fixture_run(&fx), 0);
		assert_int_equal(warnings("new UIDVALIDITY"), 1);
	}
	fx.tgt->no_marks = false;
}

/* An older state comes back: the same. */
static void
test_older_state(void **state)
{
	(void)state;
	add_as("INBOX", 3, 1);
	assert_int_equal(fixture_run(&fx), 0);
	fixture_copy_state(&fx, "old", false);
	add_as("INBOX", 4, 2);
	add_as("INBOX", 7, 3);
	assert_int_equal(fixture_run(&fx), 0);
	fixture_drop_state(&fx);
	fixture_copy_state(&fx, "old", true);
	mem_expunge(mem_folder_get(fx.src, "INBOX", false), 4);
	assert_int_equal(fixture_run(&fx), 0);
	assert_box(fx.tgt, "INBOX", "1000 8: 3=0001 4=0002 7=0003");
	assert_int_equal(warnings("UIDVALIDITY"), 0);
}

#ifdef MAILHAUL_FAULTS

static char *
all_text(void)
{
	char *a = text_of(fx.tgt, "INBOX"), *b = text_of(fx.tgt, "A");
	struct buf all;

	buf_init(&all, 1 << 20);
	buf_addf(&all, "%s | %s", a, b);
	free(a);
	free(b);
	return buf_detach(&all, NULL);
}

static void
start(void)
{
	setup(NULL);
	for (int i = 0; i < 11; i++)
		add_as("INBOX", 5 + 3 * (uint32_t)i, i == 6 ? 5 : i);
	for (int i = 0; i < 3; i++)
		add_as("A", 2 + (uint32_t)i, 20 + i);
	mem_folder_get(fx.src, "INBOX", true)->uidnext = 90;
}

/* Killed anywhere, with the state or without: the same UIDs in the end. */
static void
test_kill_everywhere(void **state)
{
	char log[100], *want, *got;
	int n = 0, kills = 0, c;
	FILE *f;

	(void)state;
	start();
	snprintf(log, sizeof log, "%s/points", fx.dir);
	setenv("MAILHAUL_FAULT_LOG", log, 1);
	assert_int_equal(fixture_run(&fx), 0);
	unsetenv("MAILHAUL_FAULT_LOG");
	want = all_text();
	f = fopen(log, "r");
	assert_non_null(f);
	while ((c = getc(f)) != EOF)
		n += c == '\n';
	fclose(f);
	unlink(log);
	for (int k = 1; k <= 2 * n; k++) {
		char spec[32];

		start();
		snprintf(spec, sizeof spec, "kill:%d", (k + 1) / 2);
		setenv("MAILHAUL_FAULT", spec, 1);
		kills += fixture_run(&fx) == -SIGKILL;
		unsetenv("MAILHAUL_FAULT");
		if (k % 2)
			fixture_drop_state(&fx);
		assert_int_equal(fixture_run(&fx), 0);
		got = all_text();
		assert_string_equal(got, want);
		free(got);
		assert_true(fixture_balanced(&fx));
		assert_int_equal(fx.tgt->nstored, 14);
	}
	assert_true(kills > n);
	free(want);
}

/* Killed with a batch in doubt, and the source's user deletes one of it: that
 * is no other mail which has got a UID of the source. */
static void
test_kill_and_expunge(void **state)
{
	struct mem_folder *f;

	(void)state;
	for (int i = 1; i <= 3; i++)
		add_as("INBOX", 2 + (uint32_t)i, i);
	setenv("MAILHAUL_FAULT", "kill@append.after_crlf:1", 1);
	assert_int_equal(fixture_run(&fx), -SIGKILL);
	unsetenv("MAILHAUL_FAULT");
	f = mem_folder_get(fx.src, "INBOX", false);
	mem_expunge(f, 4);
	assert_int_equal(fixture_run(&fx), 0);
	assert_box(fx.tgt, "INBOX", "1000 6: 3=0001 4=0002 5=0003");
	add_as("INBOX", 6, 4);
	assert_int_equal(fixture_run(&fx), 0);
	assert_box(fx.tgt, "INBOX", "1000 7: 3=0001 4=0002 5=0003 6=0004");
	assert_int_equal(warnings("UID"), 0);

	/* What a stranger puts there is. */
	fixture_add(fx.tgt, "INBOX", 99, "", 0, "", 5);
	add_as("INBOX", 7, 5);
	assert_int_equal(fixture_run(&fx), 0);
	assert_int_equal(warnings("new UIDVALIDITY"), 1);
}

#endif

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_taken_over, setup),
		cmocka_unit_test_setup(test_late_and_mixed, setup),
		cmocka_unit_test_setup(test_other_mail, setup),
		cmocka_unit_test_setup(test_existing_mailbox, setup),
		cmocka_unit_test_setup(test_into_a_gap, setup),
		cmocka_unit_test_setup(test_lost_and_deleted, setup),
		cmocka_unit_test_setup(test_older_state, setup),
#ifdef MAILHAUL_FAULTS
		cmocka_unit_test_setup(test_kill_everywhere, setup),
		cmocka_unit_test_setup(test_kill_and_expunge, setup),
#endif
	};
	int rc;

	fixture_start(&fx);
	rc = cmocka_run_group_tests(tests, NULL, NULL);
	fixture_stop(&fx);
	return rc;
}
