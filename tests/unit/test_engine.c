/*
 * The engine on in-memory stores: copies, resumes after a kill at every fault
 * point, loses its state, meets servers that refuse, alter, break and commit
 * late; and the mutations that these tests must catch.
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
#include <time.h>
#include <unistd.h>

#include "unit/lib/engine_case.h"

static void
test_copy_and_again(void **state)
{
	char *want;

	(void)state;
	fill_source();
	want = source_text();
	assert_int_equal(fixture_run(&fx), 0);
	assert_target_is(want);
	assert_int_equal(fx.tgt->nstored, 23);
	assert_int_equal(fx.tgt->ncreated, 2);
	assert_true(fixture_balanced(&fx));
	assert_int_equal(fixture_number(&fx,
	    "SELECT sum(copied) FROM mailbox"), 23);
	/* Again: nothing is stored. */
	assert_int_equal(fixture_run(&fx), 0);
	assert_int_equal(fx.tgt->nstored, 23);
	assert_int_equal(fx.tgt->ncreated, 2);
	assert_int_equal(fixture_number(&fx,
	    "SELECT sent FROM pass WHERE id = 2"), 0);
	/* Two new ones: these only. */
	fixture_add(fx.src, "INBOX", 1000, "", 0, "", 1600000000);
	fixture_add(fx.src, "INBOX", 500, "", 0, "", 1600000001);
	assert_int_equal(fixture_run(&fx), 0);
	assert_int_equal(fx.tgt->nstored, 25);
	free(want);
	want = source_text();
	assert_target_is(want);
	assert_true(fixture_balanced(&fx));
	free(want);
}

static void
test_two_lanes(void **state)
{
	char *want;

	(void)state;
	fill_source();
	want = source_text();
	fx.set.lanes = 4;
	fx.set.lanes_per_account = 3;
	assert_int_equal(fixture_run(&fx), 0);
	assert_target_is(want);
	assert_true(fixture_balanced(&fx));
	free(want);
}

static void
test_poison_in_a_batch(void **state)
{
	(void)state;
	fill_source();
	memcpy(fx.tgt->refuse, "message 0603", 13);
	fixture_add(fx.src, "INBOX", 603, "", 0, "", 1200000000);
	assert_int_equal(fixture_run(&fx), 0);
	assert_int_equal(fx.tgt->nstored, 23);
	assert_int_equal(fixture_number(&fx,
	    "SELECT sum(refused) FROM mailbox"), 1);
	assert_int_equal(fixture_number(&fx, "SELECT count(*) FROM issue WHERE"
	    " kind = 'refused' AND subject = 'number 0603'"), 1);
	assert_true(fixture_balanced(&fx));
	/* It is not tried again ... */
	assert_int_equal(fixture_run(&fx), 0);
	assert_int_equal(fx.tgt->nstored, 23);
	/* ... until what refused it changes. */
	fx.tgt->refuse[0] = '\0';
	fx.set.refusal_rule = "repair=yes";
	assert_int_equal(fixture_run(&fx), 0);
	assert_int_equal(fx.tgt->nstored, 24);
	assert_int_equal(fixture_number(&fx,
	    "SELECT sum(refused) FROM mailbox"), 0);
}

/* Refused messages are tried again when the target has changed, or once when
 * they are asked for; nothing else is read again for it. */
static void
test_refused_again(void **state)
{
	static const char token[] = "SELECT count(*) FROM mailbox WHERE"
	    " instr(src_token, 'server 1')";

	uint64_t n;

	(void)state;
	fill_source();
	memcpy(fx.tgt->refuse, "message 0603", 13);
	memcpy(fx.tgt->identity, "server 1", 9);
	fixture_add(fx.src, "INBOX", 603, "", 0, "", 1200000000);
	assert_int_equal(fixture_run(&fx), 0);
	n = fx.tgt->nbatches;
	/* Only the mailbox with a refused one depends on it. */
	assert_int_equal(fixture_number(&fx, token), 1);
	assert_int_equal(fixture_run(&fx), 0);
	assert_int_equal(fx.tgt->nbatches, n);
	/* Once more, and only once. */
	fx.set.retry_refused = true;
	assert_int_equal(fixture_run(&fx), 0);
	assert_int_equal(fx.tgt->nbatches, n + 1);
	assert_int_equal(fixture_number(&fx,
	    "SELECT sum(refused) FROM mailbox"), 1);
	fx.set.retry_refused = false;
	assert_int_equal(fixture_run(&fx), 0);
	assert_int_equal(fx.tgt->nbatches, n + 1);
	/* The server is another version, and still refuses it. */
	memcpy(fx.tgt->identity, "server 2", 9);
	assert_int_equal(fixture_run(&fx), 0);
	assert_int_equal(fx.tgt->nbatches, n + 2);
	assert_int_equal(fixture_run(&fx), 0);
	assert_int_equal(fx.tgt->nbatches, n + 2);
	/* It has another limit, and takes it. */
	fx.tgt->refuse[0] = '\0';
	fx.tgt->max_message = 100000;
	assert_int_equal(fixture_run(&fx), 0);
	assert_int_equal(fx.tgt->nstored, 24);
	assert_int_equal(fixture_number(&fx,
	    "SELECT sum(refused) FROM mailbox"), 0);
	assert_true(fixture_balanced(&fx));
	/* With none refused nothing depends on the server. */
	memcpy(fx.tgt->identity, "server 1", 9);
	assert_int_equal(fixture_run(&fx), 0);
	assert_int_equal(fixture_number(&fx, token), 0);
	assert_true(fixture_balanced(&fx));
}

/* A limit that is raised. */
static void
test_limit_raised(void **state)
{
	(void)state;
	fill_source();
	fx.tgt->max_message = 50;
	assert_int_equal(fixture_run(&fx), 0);
	assert_int_equal(fx.tgt->nstored, 0);
	assert_int_equal(fixture_number(&fx,
	    "SELECT sum(refused) FROM mailbox"), 23);
	fx.tgt->max_message = 0;
	assert_int_equal(fixture_run(&fx), 0);
	assert_int_equal(fx.tgt->nstored, 23);
	assert_true(fixture_balanced(&fx));
}

/* One at which the server hangs up is given up; asked for, it gets its tries
 * again, and not for ever. */
static void
test_hangup_again(void **state)
{
	(void)state;
	fill_source();
	memcpy(fx.tgt->hangup, "message 0603", 13);
	fixture_add(fx.src, "INBOX", 603, "", 0, "", 1200000000);
	assert_int_equal(fixture_run(&fx), 0);
	assert_int_equal(fixture_number(&fx,
	    "SELECT sum(refused) FROM mailbox"), 1);
	fx.set.retry_refused = true;
	assert_int_equal(fixture_run(&fx), 0);
	assert_int_equal(fixture_number(&fx,
	    "SELECT sum(refused) FROM mailbox"), 1);
	fx.tgt->hangup[0] = '\0';
	assert_int_equal(fixture_run(&fx), 0);
	assert_int_equal(fx.tgt->nstored, 24);
	assert_true(fixture_balanced(&fx));
}

static void
test_repair(void **state)
{
	static const char nul[] = "Subject: x\r\n\r\na\0b\r\n";
	char *got;

	(void)state;
	mem_add(fx.src, mem_folder_get(fx.src, "INBOX", true), nul,
	    sizeof nul - 1, 0, "", 1);
	fx.tgt->refuse_nul = true;
	assert_int_equal(fixture_run(&fx), 0);
	assert_int_equal(fixture_number(&fx,
	    "SELECT sum(refused) FROM mailbox"), 1);
	assert_int_equal(fx.tgt->nstored, 0);
	fx.set.repair = true;
	fx.set.refusal_rule = "repair=yes";
	assert_int_equal(fixture_run(&fx), 0);
	got = fixture_contents(fx.tgt, "INBOX");
	assert_string_equal(got, "0 [] 1 Subject: x\\0d\\0a\\0d\\0aa b"
	    "\\0d\\0a\n");
	free(got);
	assert_int_equal(fixture_number(&fx, "SELECT count(*) FROM issue WHERE"
	    " kind = 'repaired'"), 1);
	assert_true(fixture_balanced(&fx));
	/* Without the state it is known again, as altered. */
	fixture_drop_state(&fx);
	assert_int_equal(fixture_run(&fx), 2);	/* nothing equal: whose? */
	fx.set.merge_existing = true;
	assert_int_equal(fixture_run(&fx), 0);
	assert_int_equal(fx.tgt->nstored, 1);
}

static void
test_broken_session(void **state)
{
	char *want;

	(void)state;
	fill_source();
	want = source_text();
	fx.tgt->batch_messages = 4;
	fx.tgt->break_after = 3;	/* stored, and the answer is lost */
	assert_int_equal(fixture_run(&fx), 0);
	assert_target_is(want);
	assert_int_equal(fx.tgt->nstored, 23);
	assert_true(fixture_balanced(&fx));
	assert_int_equal(fixture_number(&fx,
	    "SELECT sum(copied) FROM mailbox"), 23);
	free(want);
}

static void
test_quota(void **state)
{
	char *want;

	(void)state;
	fill_source();
	want = source_text();
	fx.tgt->batch_messages = 4;
	fx.tgt->quota_bytes = 900;
	assert_int_equal(fixture_run(&fx), 2);
	assert_int_equal(fixture_number(&fx, "SELECT count(*) FROM account"
	    " WHERE outcome = 'failed' AND error LIKE '%quota%'"), 1);
	fx.tgt->quota_bytes = 0;
	assert_int_equal(fixture_run(&fx), 0);
	assert_target_is(want);
	free(want);
}

/* A message at which the server hangs up stops nothing but itself. */
static void
test_hangup(void **state)
{
	(void)state;
	fill_source();
	memcpy(fx.tgt->hangup, "message 0601", 13);
	fixture_run(&fx);
	assert_int_equal(fx.tgt->nstored, 22);
	assert_int_equal(fixture_number(&fx, "SELECT count(*) FROM issue WHERE"
	    " kind = 'refused' AND subject = 'number 0601'"), 1);
	assert_true(fixture_balanced(&fx));
	assert_int_equal(fixture_number(&fx,
	    "SELECT sum(copied) FROM mailbox"), 22);
}

/* The same where nothing is stored late. */
static void
test_hangup_prompt(void **state)
{
	fx.tgt->prompt = true;
	test_hangup(state);
	fx.tgt->prompt = false;
}

/* A mailbox that was left out first keeps its name, too, once copied; one
 * that is gone counts no more. */
static void
test_names_and_gone(void **state)
{
	struct err e;

	(void)state;
	fill_source();
	assert_int_equal(rules_add_exclude(fx.rules, "Work/Old", &e), 0);
	assert_int_equal(fixture_run(&fx), 0);
	rules_free(&fx.rules);
	fx.set.rules = fx.rules = rules_new();
	assert_int_equal(fixture_run(&fx), 0);
	assert_int_equal(rules_add_map(fx.rules, "Work/Old -> Archive", &e),
	    0);
	assert_int_equal(fixture_run(&fx), 2);
	rules_free(&fx.rules);
	fx.set.rules = fx.rules = rules_new();
	assert_int_equal(fx.tgt->nstored, 23);
	assert_null(mem_folder_get(fx.tgt, "Archive", false));
	/* The mailbox goes, its messages count no more. */
	fx.src->folders->next = fx.src->folders->next->next;
	assert_int_equal(fixture_run(&fx), 0);
	assert_int_equal(fixture_number(&fx, "SELECT count(*) FROM mailbox"
	    " WHERE outcome = 'gone'"), 1);
}

/* Somebody else's mail. */
static void
test_strangers_mail(void **state)
{
	(void)state;
	fill_source();
	fixture_add(fx.tgt, "INBOX", 5000, "", 0, "", 7);
	assert_int_equal(fixture_run(&fx), 2);
	assert_int_equal(fx.tgt->nstored, 0);
	/* Asking again does not help. */
	assert_int_equal(fixture_run(&fx), 2);
	assert_int_equal(fx.tgt->nstored, 0);
	fx.set.merge_existing = true;
	assert_int_equal(fixture_run(&fx), 0);
	assert_int_equal(fx.tgt->nstored, 23);
}

/* Mail that another tool has moved: half of it, altered in part. */
static void
test_adoption(void **state)
{
	char *want, *got;

	(void)state;
	fill_source();
	for (int i = 0; i < 9; i++)
		fixture_add(fx.tgt, "INBOX", i, i == 4 ? "X-UID: 12\r\n" : "",
		    i % 32, i % 3 ? "work" : "", 1000000000 + i);
	fixture_add(fx.tgt, "INBOX", 500, "", 0, "", 1100000000);
	assert_int_equal(fixture_run(&fx), 0);
	assert_int_equal(fx.tgt->nstored, 13);
	assert_int_equal(fixture_number(&fx,
	    "SELECT sum(present) FROM mailbox"), 10);
	assert_int_equal(fixture_number(&fx,
	    "SELECT count(*) FROM issue WHERE kind = 'altered'"), 1);
	assert_true(fixture_balanced(&fx));
	got = fixture_contents(fx.tgt, "Work/Old");
	want = fixture_contents(fx.src, "Work/Old");
	assert_string_equal(got, want);
	free(got);
	free(want);
}

/* A message that was copied and is gone before release is copied again. */
static void
test_lost_at_target(void **state)
{
	char *want;

	(void)state;
	fill_source();
	want = source_text();
	assert_int_equal(fixture_run(&fx), 0);
	mem_expunge(mem_folder_get(fx.tgt, "INBOX", false), 3);
	mem_expunge(mem_folder_get(fx.tgt, "INBOX", false), 16);
	assert_int_equal(fixture_run(&fx), 0);
	assert_target_is(want);
	assert_int_equal(fixture_number(&fx,
	    "SELECT count(*) FROM issue WHERE kind = 'lost'"), 2);
	free(want);
}

/* The target mailbox was made anew: all is compared, what lacks is copied. */
static void
test_new_uidvalidity(void **state)
{
	struct mem_folder *f;
	char *want;

	(void)state;
	fill_source();
	want = source_text();
	assert_int_equal(fixture_run(&fx), 0);
	f = mem_folder_get(fx.tgt, "INBOX", false);
	f->uidvalidity += 77;
	assert_int_equal(fixture_run(&fx), 0);
	assert_int_equal(fx.tgt->nstored, 23);
	for (uint32_t uid = 1; uid <= 16; uid++)
		mem_expunge(f, uid);
	f->uidvalidity++;
	assert_int_equal(fixture_run(&fx), 0);
	assert_int_equal(fx.tgt->nstored, 39);
	assert_target_is(want);
	free(want);
}

static void
test_state_lost_and_old(void **state)
{
	char *want;

	(void)state;
	fx.tgt->munge = true;
	fill_source();
	assert_int_equal(fixture_run(&fx), 0);
	want = target_text();
	fixture_drop_state(&fx);
	assert_int_equal(fixture_run(&fx), 0);
	assert_int_equal(fx.tgt->nstored, 23);
	assert_target_is(want);
	free(want);
	/* Yesterday's state: it lacks what came since. */
	fixture_copy_state(&fx, "old", false);
	fixture_add(fx.src, "INBOX", 500, "", 0, "", 1600000001);
	fixture_add(fx.src, "INBOX", 1001, "X-8: \xfc\r\n", 0, "", 1600000001);
	assert_int_equal(fixture_run(&fx), 0);
	assert_int_equal(fx.tgt->nstored, 25);
	want = target_text();
	fixture_copy_state(&fx, "old", true);
	assert_int_equal(fixture_run(&fx), 0);
	assert_int_equal(fx.tgt->nstored, 25);
	assert_target_is(want);
	assert_true(fixture_balanced(&fx));
	free(want);
}

/* Where the target's index has SHA-1, contents are read only for what equals
 * nothing. */
static void
test_look_by_sha1(void **state)
{
	char *want, *altered;
	struct mem_message *x;

	(void)state;
	fx.tgt->sha1 = fx.tgt->munge = true;
	fill_source();
	assert_int_equal(fixture_run(&fx), 0);
	want = target_text();
	assert_int_equal(fixture_number(&fx, "SELECT count(*) FROM message"
	    " WHERE length(sha1) = 20"), 23);
	assert_int_equal(fixture_number(&fx, "SELECT count(*) FROM message"
	    " WHERE length(sha1_munged) = 20"), 2);
	assert_int_equal(fx.tgt->nread, 0);
	fixture_drop_state(&fx);
	assert_int_equal(fixture_run(&fx), 0);
	assert_int_equal(fx.tgt->nstored, 23);
	/* The two whose headers the server changed. */
	assert_int_equal(fx.tgt->nread, 2);
	assert_target_is(want);
	assert_int_equal(fixture_number(&fx, "SELECT count(*) FROM issue WHERE"
	    " kind = 'altered'"), 2);
	assert_true(fixture_balanced(&fx));
	/* A stranger's message is not read while nothing is missing; a copy
	 * that a tool has changed is found once something is. */
	fixture_add(fx.tgt, "Sent", 4000, "", 0, "", 1700000000);
	fixture_drop_state(&fx);
	fx.tgt->nread = 0;
	assert_int_equal(fixture_run(&fx), 0);
	assert_int_equal(fx.tgt->nread, 2);
	fixture_add(fx.src, "Sent", 4001, "", 0, "", 1700000001);
	x = mem_folder_get(fx.src, "Sent", false)->last;
	altered = malloc(x->len + 20);
	assert_non_null(altered);
	memcpy(altered, "X-UID: 7\r\n", 10);
	memcpy(altered + 10, x->bytes, x->len);
	mem_add(fx.tgt, mem_folder_get(fx.tgt, "Sent", false), altered,
	    x->len + 10, 0, "", 1700000001);
	free(altered);
	fx.tgt->nread = 0;
	assert_int_equal(fixture_run(&fx), 0);
	assert_int_equal(fx.tgt->nread, 2);
	assert_int_equal(fx.tgt->nstored, 23);
	assert_int_equal(fixture_number(&fx, "SELECT count(*) FROM issue WHERE"
	    " kind = 'altered'"), 3);
	free(want);
}

/* A server that tells no UIDs: the second pass finds them by content. */
static void
no_uids(bool sha1, bool munge)
{
	char *want;

	case_setup(NULL);
	fx.tgt->no_uids = true;
	fx.tgt->sha1 = sha1;
	fx.tgt->munge = munge;
	fill_source();
	assert_int_equal(fixture_run(&fx), 0);
	want = target_text();
	assert_int_equal(fixture_run(&fx), 0);
	assert_int_equal(fx.tgt->nstored, 23);
	assert_int_equal(fixture_number(&fx,
	    "SELECT count(*) FROM message WHERE tgt_uid = 0"), 0);
	assert_int_equal(fixture_number(&fx,
	    "SELECT count(*) FROM extra WHERE taken = 0"), 0);
	assert_target_is(want);
	free(want);
}

static void
test_no_uids(void **state)
{
	(void)state;
	no_uids(false, false);
	no_uids(true, false);
	no_uids(false, true);
	no_uids(true, true);
}

/* The source numbers its messages anew: they are paired by content. */
static void
test_source_uidvalidity(void **state)
{
	char *want;

	(void)state;
	fill_source();
	want = source_text();
	assert_int_equal(fixture_run(&fx), 0);
	mem_folder_get(fx.src, "INBOX", false)->uidvalidity += 50;
	mem_folder_get(fx.src, "INBOX", false)->modseq++;
	assert_int_equal(fixture_run(&fx), 0);
	assert_int_equal(fx.tgt->nstored, 23);
	assert_target_is(want);
	assert_true(fixture_balanced(&fx));
	free(want);
}

/* Lost at a target that tells no UIDs, before anything was found again. */
static void
test_no_uids_and_a_loss(void **state)
{
	struct mem_folder *f;
	char *want;

	(void)state;
	fx.tgt->no_uids = true;
	fill_source();
	want = source_text();
	assert_int_equal(fixture_run(&fx), 0);
	f = mem_folder_get(fx.tgt, "INBOX", false);
	mem_expunge(f, 3);
	mem_expunge(f, 7);
	assert_int_equal(fixture_run(&fx), 0);
	assert_target_is(want);
	assert_int_equal(fx.tgt->nstored, 25);
	free(want);
}

/* The mailbox is gone at the target, with what an earlier pass saw in it. */
static void
test_target_mailbox_gone(void **state)
{
	char *want;

	(void)state;
	fill_source();
	want = source_text();
	fixture_add(fx.tgt, "INBOX", 500, "", 0, "", 1100000000);
	assert_int_equal(fixture_run(&fx), 0);
	mem_store_reset(fx.tgt);
	fx.tgt->next_uidvalidity = 5000;
	assert_int_equal(fixture_run(&fx), 0);
	assert_target_is(want);
	assert_true(fixture_balanced(&fx));
	free(want);
}

#ifdef MAILHAUL_FAULTS

/* An intent of a time when the target told no SHA-1 is settled by content. */
static void
test_sha1_comes_later(void **state)
{
	char *want;

	(void)state;
	fill_source();
	want = source_text();
	assert_int_equal(faulty_run("kill@append.after_crlf:1"), -SIGKILL);
	assert_true(fixture_number(&fx, "SELECT count(*) FROM intent") > 0);
	fx.tgt->sha1 = true;
	assert_int_equal(fixture_run(&fx), 0);
	assert_true(fx.tgt->nread > 0);
	assert_int_equal(fx.tgt->nstored, 23);
	assert_target_is(want);
	/* And back: it tells none any more. */
	fixture_drop_state(&fx);
	mem_store_reset(fx.tgt);
	mem_folder_get(fx.tgt, "INBOX", true);
	fx.tgt->sha1 = true;
	assert_int_equal(faulty_run("kill@append.after_crlf:1"), -SIGKILL);
	fx.tgt->sha1 = false;
	assert_int_equal(fixture_run(&fx), 0);
	assert_int_equal(fx.tgt->nstored, 23);
	assert_target_is(want);
	free(want);
}

/* A loss is found, then the run is killed: the next one must still know. */
static void
test_kill_after_a_loss(void **state)
{
	char *want;

	(void)state;
	fill_source();
	want = source_text();
	assert_int_equal(fixture_run(&fx), 0);
	for (uint32_t uid = 2; uid < 5; uid++)
		mem_expunge(mem_folder_get(fx.tgt, "INBOX", false), uid);
	assert_int_equal(faulty_run("kill@submit.before:1"), -SIGKILL);
	assert_int_equal(fixture_run(&fx), 0);
	assert_target_is(want);
	assert_int_equal(fixture_run(&fx), 0);
	assert_int_equal(fx.tgt->nstored, 26);
	free(want);
}

/* What was seen at the target and is gone since is no copy. */
static void
test_extras_gone(void **state)
{
	struct mem_folder *f = mem_folder_get(fx.tgt, "INBOX", true);
	char *want;

	(void)state;
	fill_source();
	want = source_text();
	for (int i = 0; i < 9; i++)
		fixture_add(fx.tgt, "INBOX", i, "", i % 32, i % 3 ? "work" :
		    "", 1000000000 + i);
	assert_int_equal(faulty_run("kill@look.done:1"), -SIGKILL);
	for (uint32_t uid = 1; uid <= 9; uid++)
		mem_expunge(f, uid);
	fixture_run(&fx);
	assert_int_equal(fixture_run(&fx), 0);
	assert_target_is(want);
	free(want);
}

/* A copied message whose date has changed and that cannot be read once. */
static void
test_failed_read_of_a_copy(void **state)
{
	(void)state;
	fill_source();
	assert_int_equal(fixture_run(&fx), 0);
	mem_folder_get(fx.src, "INBOX", false)->first->date += 100;
	mem_folder_get(fx.src, "INBOX", false)->modseq++;
	assert_int_not_equal(faulty_run("eio@source.content:1"), 0);
	assert_int_equal(fixture_run(&fx), 0);
	assert_int_equal(fx.tgt->nstored, 23);
	assert_true(fixture_balanced(&fx));
}

/* A user's copy of one message is not our late batch. */
static void
test_doubles_are_whole_batches(void **state)
{
	struct mem_folder *f;
	uint64_t count;

	(void)state;
	fill_source();
	fx.set.remove_doubles = true;
	assert_int_equal(faulty_run("kill@append.after_crlf:1"), -SIGKILL);
	assert_int_equal(fixture_run(&fx), 0);
	f = mem_folder_get(fx.tgt, "INBOX", false);
	count = f->count;
	fixture_add(fx.tgt, "INBOX", 1, "", 1, "work", 1000000001);
	assert_int_equal(fixture_run(&fx), 0);
	assert_int_equal(f->count, count + 1);
	assert_int_equal(fx.tgt->nstored, 23);
}

/* The whole batch once more, after we gave it up: told, and removed. */
static void
test_late_double(void **state)
{
	struct mem_folder *f = mem_folder_get(fx.tgt, "INBOX", true);
	struct mem_message *m;

	(void)state;
	fill_source();
	fx.tgt->batch_messages = 50;
	fx.set.remove_doubles = true;
	assert_int_equal(faulty_run("kill@append.before_crlf:1"), -SIGKILL);
	assert_int_equal(fixture_run(&fx), 0);
	assert_int_equal(f->count, 16);
	m = f->first;
	for (int i = 0; i < 16; i++, m = m->next)
		mem_add(fx.tgt, f, m->bytes, m->len, m->flags, m->keywords,
		    m->date);
	assert_int_equal(f->count, 32);
	assert_int_equal(fixture_run(&fx), 0);
	assert_int_equal(fixture_number(&fx,
	    "SELECT count(*) FROM issue WHERE kind = 'removed'"), 16);
	assert_int_equal(f->count, 16);
	assert_int_equal(fixture_run(&fx), 0);
	assert_int_equal(f->count, 16);
	assert_int_equal(fx.tgt->nstored, 23);
}

static char fault_log[100];

/* How many fault points an undisturbed run passes. */
static int
count_points(void)
{
	FILE *f;
	int n = 0, c;

	snprintf(fault_log, sizeof fault_log, "%s/points", fx.dir);
	setenv("MAILHAUL_FAULT_LOG", fault_log, 1);
	assert_int_equal(fixture_run(&fx), 0);
	unsetenv("MAILHAUL_FAULT_LOG");
	f = fopen(fault_log, "r");
	assert_non_null(f);
	while ((c = getc(f)) != EOF)
		n += c == '\n';
	fclose(f);
	unlink(fault_log);
	return n;
}

struct matrix {
	bool	 not_atomic, munge, no_uids, sha1;
	unsigned late_ms;
	bool	 lose_state;	/* after the kill */
	int	 kills, in_doubt, wrong;
};

static void
matrix_reset(const struct matrix *m)
{
	mem_store_reset(fx.tgt);
	mem_folder_get(fx.tgt, "INBOX", true);
	fixture_drop_state(&fx);
	fx.tgt->batch_messages = 4;
	fx.tgt->not_atomic = m->not_atomic;
	fx.tgt->munge = m->munge;
	fx.tgt->no_uids = m->no_uids;
	fx.tgt->sha1 = m->sha1;
	fx.tgt->late_ms = m->late_ms;
	fx.set.settle_ms = m->late_ms * 3;
}

/* Kill at the k-th point, resume, compare, run again: nothing is written. */
static bool
kill_at(struct matrix *m, int k, const char *want, uint64_t stored)
{
	uint64_t before;
	char spec[32], *got;
	bool ok;
	int rc;

	matrix_reset(m);
	snprintf(spec, sizeof spec, "kill:%d", k);
	setenv("MAILHAUL_FAULT", spec, 1);
	rc = fixture_run(&fx);
	unsetenv("MAILHAUL_FAULT");
	if (rc == -SIGKILL)
		m->kills++;
	else if (rc != 0)
		return false;
	if (fixture_number(&fx, "SELECT count(*) FROM intent") > 0)
		m->in_doubt++;
	if (m->lose_state)
		fixture_drop_state(&fx);
	/* Lost messages end in a bad code; the target is what is judged. */
	fixture_run(&fx);
	got = target_text();
	ok = strcmp(got, want) == 0 && fixture_balanced(&fx);
	free(got);
	before = fx.tgt->nstored + fx.tgt->ncreated + fx.tgt->nchanges;
	if (fixture_run(&fx) != 0 || fx.tgt->nstored + fx.tgt->ncreated +
	    fx.tgt->nchanges != before)
		ok = false;
	if (fx.tgt->nstored != stored)
		ok = false;
	return ok;
}

static void
run_matrix(struct matrix *m, int step)
{
	uint64_t stored;
	char *want;
	int n;

	mem_store_reset(fx.src);
	fill_source();
	matrix_reset(m);
	n = count_points();
	want = target_text();
	stored = fx.tgt->nstored;
	m->kills = m->in_doubt = m->wrong = 0;
	for (int k = 1; k <= n; k += fixture_every(step))
		if (!kill_at(m, k, want, stored)) {
			m->wrong++;
			if (getenv("VERBOSE") != NULL)
				fprintf(stderr, "# wrong after kill %d\n", k);
		}
	fprintf(stderr, "# %d points, %d kills, %d with an intent open, %d "
	    "wrong\n", n, m->kills, m->in_doubt, m->wrong);
	free(want);
}

static void
assert_clean(struct matrix m, int step)
{
	run_matrix(&m, step);
	assert_int_equal(m.wrong, 0);
	assert_true(m.kills > 0);
}

static void
test_kill_everywhere(void **state)
{
	struct matrix m = { .munge = false };

	(void)state;
	run_matrix(&m, 1);
	assert_int_equal(m.wrong, 0);
	assert_true(m.in_doubt * 5 >= m.kills);
}

static void
test_kill_variants(void **state)
{
	(void)state;
	assert_clean((struct matrix){ .munge = true }, 2);
	assert_clean((struct matrix){ .not_atomic = true, .munge = true }, 3);
	assert_clean((struct matrix){ .no_uids = true }, 3);
	assert_clean((struct matrix){ .munge = true, .lose_state = true }, 2);
	assert_clean((struct matrix){ .sha1 = true, .munge = true }, 2);
	assert_clean((struct matrix){ .sha1 = true, .no_uids = true }, 3);
	assert_clean((struct matrix){ .sha1 = true, .munge = true,
	    .lose_state = true }, 2);
}

/* The server commits when we are long dead. */
static void
test_kill_late_commit(void **state)
{
	(void)state;
	assert_clean((struct matrix){ .late_ms = 60 }, 5);
}

static void
test_mutations_are_caught(void **state)
{
	static const char *const names[] = { "look", "multiset", "loose" };

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		struct matrix m = { .munge = true, .lose_state = i > 0 };

		setenv("MAILHAUL_MUTATE", names[i], 1);
		run_matrix(&m, 3);
		unsetenv("MAILHAUL_MUTATE");
		fprintf(stderr, "# without %s: %d wrong\n", names[i],
		    m.wrong);
		assert_true(m.wrong > 0);
	}
}

/* The state cannot be written any more: the run stops, the next one heals. */
static void
test_state_write_fails(void **state)
{
	struct matrix m = { .munge = true };
	uint64_t stored;
	char *want, *got, spec[32];
	int failed = 0;

	(void)state;
	fill_source();
	matrix_reset(&m);
	assert_int_equal(fixture_run(&fx), 0);
	want = target_text();
	stored = fx.tgt->nstored;
	for (int k = 8; k < 60; k += fixture_every(3)) {
		matrix_reset(&m);
		snprintf(spec, sizeof spec, "eio@state.write:%d", k);
		setenv("MAILHAUL_FAULT", spec, 1);
		failed += fixture_run(&fx) == 75;
		unsetenv("MAILHAUL_FAULT");
		assert_int_equal(fixture_run(&fx), 0);
		got = target_text();
		assert_string_equal(got, want);
		assert_int_equal(fx.tgt->nstored, stored);
		free(got);
	}
	assert_true(failed > 0);
	free(want);
}

#endif

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_copy_and_again, case_setup),
		cmocka_unit_test_setup(test_two_lanes, case_setup),
		cmocka_unit_test_setup(test_poison_in_a_batch, case_setup),
		cmocka_unit_test_setup(test_repair, case_setup),
		cmocka_unit_test_setup(test_refused_again, case_setup),
		cmocka_unit_test_setup(test_limit_raised, case_setup),
		cmocka_unit_test_setup(test_hangup_again, case_setup),
		cmocka_unit_test_setup(test_broken_session, case_setup),
		cmocka_unit_test_setup(test_quota, case_setup),
		cmocka_unit_test_setup(test_hangup, case_setup),
		cmocka_unit_test_setup(test_hangup_prompt, case_setup),
		cmocka_unit_test_setup(test_names_and_gone, case_setup),
		cmocka_unit_test_setup(test_strangers_mail, case_setup),
		cmocka_unit_test_setup(test_adoption, case_setup),
		cmocka_unit_test_setup(test_lost_at_target, case_setup),
		cmocka_unit_test_setup(test_new_uidvalidity, case_setup),
		cmocka_unit_test_setup(test_state_lost_and_old, case_setup),
		cmocka_unit_test_setup(test_no_uids, case_setup),
		cmocka_unit_test_setup(test_look_by_sha1, case_setup),
		cmocka_unit_test_setup(test_source_uidvalidity, case_setup),
		cmocka_unit_test_setup(test_no_uids_and_a_loss, case_setup),
		cmocka_unit_test_setup(test_target_mailbox_gone, case_setup),
#ifdef MAILHAUL_FAULTS
		cmocka_unit_test_setup(test_sha1_comes_later, case_setup),
		cmocka_unit_test_setup(test_kill_after_a_loss, case_setup),
		cmocka_unit_test_setup(test_extras_gone, case_setup),
		cmocka_unit_test_setup(test_failed_read_of_a_copy, case_setup),
		cmocka_unit_test_setup(test_doubles_are_whole_batches, case_setup),
		cmocka_unit_test_setup(test_late_double, case_setup),
		cmocka_unit_test_setup(test_kill_everywhere, case_setup),
		cmocka_unit_test_setup(test_kill_variants, case_setup),
		cmocka_unit_test_setup(test_kill_late_commit, case_setup),
		cmocka_unit_test_setup(test_mutations_are_caught, case_setup),
		cmocka_unit_test_setup(test_state_write_fails, case_setup),
#endif
	};
	int rc;

	fixture_start(&fx);
	rc = cmocka_run_group_tests(tests, NULL, NULL);
	fixture_stop(&fx);
	return rc;
}
