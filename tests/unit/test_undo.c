/*
 * Undo on in-memory stores: what was there before a copy is there after its
 * undo, what anybody changed or added stays, whatever is killed in between.
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

#include "unit/lib/engine_fixture.h"

static struct fixture fx;
static struct mem_store *target;	/* fx.tgt, unless a test says otherwise */
static struct mem_store *strange;	/* another user's */
static bool cyrus;		/* the target has an index and munges */

static void
start_over(void)
{
	mem_store_reset(fx.tgt);
	mem_store_reset(strange);
	fixture_drop_state(&fx);
	fx.tgt->batch_messages = 4;
	fx.tgt->makes_parents = true;
	fx.tgt->sha1 = fx.tgt->munge = cyrus;
	/* Two of somebody else's, and one that the source has as well. */
	fixture_add(fx.tgt, "INBOX", 9001, "", MSG_FLAGGED, "", 900000001);
	fixture_add(fx.tgt, "INBOX", 3, "", 3, "", 1000000003);
	fixture_add(fx.tgt, "INBOX", 9002, "", 0, "own", 900000002);
	mem_folder_get(fx.tgt, "Old", true);
}

static int
setup(void **state)
{
	(void)state;
	unsetenv("MAILHAUL_FAULT");
	unsetenv("MAILHAUL_FAULT_LOG");
	fx.set.settle_ms = 0;
	fx.set.repair = false;
	fx.set.refusal_rule = "repair=no";
	fx.set.merge_existing = fx.set.apply_renames = false;
	fx.target_user = "joe";
	fx.more = 0;
	fx.tgt = target;
	rules_free(&fx.rules);
	fx.set.rules = fx.rules = rules_new();
	cyrus = false;
	mem_store_reset(fx.src);
	for (int i = 0; i < 9; i++)
		fixture_add(fx.src, "INBOX", i, "", i % 32, i % 3 ?
		    "work a" : "", 1000000000 + i);
	for (int i = 0; i < 2; i++)		/* equal to the byte */
		fixture_add(fx.src, "INBOX", 500, "", 0, "", 1100000000);
	for (int i = 0; i < 6; i++)
		fixture_add(fx.src, "Work/Old", 800 + i, "", MSG_SEEN, "",
		    1400000000 + i);
	fixture_add(fx.src, "Work", 850, "", MSG_SEEN, "", 1500000000);
	fixture_add(fx.src, "Sent", 900, "", MSG_SEEN | MSG_DELETED, "",
	    1500000000);
	mem_folder_get(fx.src, "Empty", true);
	/* Those above it are no mailboxes at the source. */
	fixture_add(fx.src, "Deep/er/x", 950, "", 0, "", 1500000000);
	fixture_add(fx.src, "Work", 851, "X-8: \xe4\r\n", 0, "", 1500000000);
	start_over();
	return 0;
}

/* All mailboxes with what is in them and whether they are subscribed. */
static char *
text_of(struct mem_store *s)
{
	static const char *const names[] = { "Archive", "Deep", "Deep/er",
		"Deep/er/x", "Empty", "INBOX", "Old", "Sent", "Work", "Work/Old" };
	struct buf b;

	buf_init(&b, (size_t)64 << 20);
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		struct mem_folder *f = mem_folder_get(s, names[i], false);
		char *c;

		if (f == NULL)
			continue;
		c = fixture_contents(s, names[i]);
		buf_addf(&b, "== %s%s\n%s", names[i], f->subscribed &&
		    strcmp(names[i], "INBOX") != 0 ? " subscribed" : "", c);
		free(c);
	}
	return buf_detach(&b, NULL);
}

static void
assert_target_is(const char *want)
{
	char *got = text_of(fx.tgt);

	assert_string_equal(got, want);
	free(got);
}

static int64_t
number(const char *sql)
{
	return fixture_number(&fx, sql);
}

static void
test_undo_and_copy_again(void **state)
{
	char *before = text_of(fx.tgt), *copied;
	uint64_t stored;
	int64_t ops;

	(void)state;
	assert_int_equal(fixture_run(&fx), 0);
	copied = text_of(fx.tgt);
	stored = fx.tgt->nstored;
	assert_int_equal(stored, 20);
	/* The listing changes nothing. */
	fx.tgt->nchanges = 0;
	ops = number("SELECT count(*) FROM op");
	assert_int_equal(fixture_undo(&fx, false), 0);
	assert_int_equal(fx.told->ours, 20);
	assert_int_equal(fx.told->present, 1);
	assert_int_equal(fx.told->foreign, 2);
	assert_int_equal(fx.told->changed + fx.told->gone, 0);
	assert_true(fx.told->vanishes);
	assert_int_equal(fx.tgt->nchanges, 0);
	assert_int_equal(number("SELECT count(*) FROM op"), ops);
	assert_int_equal(number("SELECT count(*) FROM pass"), 1);
	assert_target_is(copied);
	/* Now. */
	assert_int_equal(fixture_undo(&fx, true), 0);
	assert_target_is(before);
	assert_int_equal(number("SELECT count(*) FROM message WHERE outcome ="
	    " 1"), 0);
	assert_int_equal(number("SELECT count(*) FROM op WHERE state = 0"), 0);
	assert_int_equal(number("SELECT count(*) FROM account WHERE outcome ="
	    " 'undone'"), 1);
	assert_true(fixture_balanced(&fx));
	/* Once more: nothing is left to do. */
	fx.tgt->nchanges = 0;
	assert_int_equal(fixture_undo(&fx, true), 0);
	assert_int_equal(fx.tgt->nchanges, 0);
	assert_int_equal(fx.told->ours, 0);
	/* And a copy is as the first one was, and knows of no loss. */
	assert_int_equal(fixture_run(&fx), 0);
	assert_target_is(copied);
	assert_int_equal(fx.tgt->nstored, 2 * stored);
	assert_int_equal(number("SELECT count(*) FROM issue WHERE kind ="
	    " 'lost'"), 0);
	assert_true(fixture_balanced(&fx));
	assert_int_equal(fixture_run(&fx), 0);
	assert_int_equal(fx.tgt->nstored, 2 * stored);
	assert_int_equal(fixture_undo(&fx, true), 0);
	assert_target_is(before);
	free(before);
	free(copied);
}

/* The n-th message of a mailbox of the target. */
static struct mem_message *
message(const char *folder, int n)
{
	struct mem_message *m = mem_folder_get(fx.tgt, folder, false)->first;

	while (n-- > 0)
		m = m->next;
	return m;
}

/* What was changed, moved or added stays, and nothing else. */
static void
test_changed_stays(void **state)
{
	struct mem_folder *inbox, *old;
	struct mem_message *m;
	char *got;

	(void)state;
	assert_int_equal(fixture_run(&fx), 0);
	inbox = mem_folder_get(fx.tgt, "INBOX", false);
	old = mem_folder_get(fx.tgt, "Work/Old", false);
	/* Read, labelled, marked as deleted by its user. */
	m = message("INBOX", 3);
	mem_set_flags(inbox, m->uid, m->flags ^ MSG_SEEN);
	m = message("INBOX", 4);
	m->keywords = message("INBOX", 2)->keywords;	/* "own" */
	m = message("INBOX", 5);
	mem_set_flags(inbox, m->uid, m->flags ^ MSG_DELETED);
	/* Moved. */
	m = message("Work/Old", 0);
	mem_add(fx.tgt, mem_folder_get(fx.tgt, "Archive", true), m->bytes,
	    m->len, m->flags, m->keywords, m->date);
	mem_expunge(old, m->uid);
	/* Another size, another date under the UID. */
	message("Work/Old", 1)->len--;
	message("Work/Old", 2)->date++;
	/* New mail in a mailbox that we made. */
	fixture_add(fx.tgt, "Sent", 9003, "", 0, "", 1600000000);
	/* A mailbox of its user below one that we made. */
	mem_folder_get(fx.tgt, "Empty/Mine", true);
	assert_int_equal(fixture_undo(&fx, true), 1);
	assert_int_equal(fx.told->changed, 5);
	assert_int_equal(fx.told->gone, 1);
	assert_int_equal(inbox->count, 6);
	assert_int_equal(old->count, 2);
	assert_int_equal(mem_folder_get(fx.tgt, "Sent", false)->count, 1);
	assert_int_equal(mem_folder_get(fx.tgt, "Archive", false)->count, 1);
	assert_non_null(mem_folder_get(fx.tgt, "Empty", false));
	assert_non_null(mem_folder_get(fx.tgt, "Empty/Mine", false));
	/* A parent of one that stays. */
	assert_non_null(mem_folder_get(fx.tgt, "Work", false));
	got = fixture_contents(fx.tgt, "Sent");
	assert_non_null(strstr(got, "9003"));
	free(got);
	/* A later copy brings what is missing, the moved one as well. */
	assert_int_equal(fixture_run(&fx), 0);
	assert_int_equal(inbox->count, 3 + 10);
	assert_int_equal(old->count, 6);
	assert_true(fixture_balanced(&fx));
}

static void
test_refused(void **state)
{
	(void)state;
	assert_int_equal(fixture_undo(&fx, true), 2);	/* nobody knows him */
	assert_int_equal(fixture_run(&fx), 0);
	fx.tgt->nchanges = 0;
	fx.tgt->no_expunge = true;
	assert_int_equal(fixture_undo(&fx, true), 2);
	fx.tgt->no_expunge = false;
	fixture_sql(&fx, "UPDATE account SET stage = 'released'");
	assert_int_equal(fixture_undo(&fx, false), 2);
	assert_int_equal(fixture_undo(&fx, true), 2);
	assert_int_equal(fx.tgt->nchanges, 0);
	fixture_sql(&fx, "UPDATE account SET stage = 'loading'");
	/* A mailbox of another UIDVALIDITY is another one. */
	mem_folder_get(fx.tgt, "INBOX", false)->uidvalidity++;
	assert_int_equal(fixture_undo(&fx, true), 1);
	assert_int_equal(mem_folder_get(fx.tgt, "INBOX", false)->count, 13);
	assert_null(mem_folder_get(fx.tgt, "Sent", false));
}

/* Messages without a date of their own, and repaired ones, by their bytes. */
static void
test_by_bytes(void **state)
{
	static const char nul[] = "Subject: x\r\n\r\na\0b\r\n";
	char *before = text_of(fx.tgt);

	(void)state;
	fx.set.repair = fx.tgt->refuse_nul = true;
	mem_add(fx.src, mem_folder_get(fx.src, "INBOX", true), nul,
	    sizeof nul - 1, 0, "", 1);
	fixture_add(fx.src, "INBOX", 70, "", 0, "", 1234);
	assert_int_equal(fixture_run(&fx), 0);
	fixture_sql(&fx, "UPDATE message SET date = 99, oddities = 1024 WHERE"
	    " date = 1234");
	assert_int_equal(fx.tgt->nstored, 22);
	assert_int_equal(fixture_undo(&fx, true), 0);
	assert_int_equal(fx.told->ours, 22);
	assert_target_is(before);
	free(before);
}

/* Another user, with mail that fits by UIDVALIDITY, UID, size, date and
 * flags, and an empty mailbox of a name that was made. */
static void
twin_of_target(void)
{
	static const char *const names[] = { "INBOX", "Sent", "Empty" };

	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		struct mem_folder *from = mem_folder_get(target, names[i],
		    false), *to = mem_folder_get(strange, names[i], true);

		to->uidvalidity = from->uidvalidity;
		for (struct mem_message *m = from->first; m; m = m->next)
			mem_add(strange, to, m->bytes, m->len, m->flags,
			    m->keywords, m->date);
		to->modseq = from->modseq;
	}
}

/* The list has changed: what was copied to joe is not taken from jane. */
static void
test_other_target(void **state)
{
	char *copied, *hers;

	(void)state;
	assert_int_equal(fixture_run(&fx), 0);
	copied = text_of(target);
	twin_of_target();
	hers = text_of(strange);
	for (int i = 0; i < 3; i++) {
		fx.target_user = i == 0 ? "joe" : "jane";
		fx.tgt = i == 1 ? target : strange;
		assert_int_equal(fixture_undo(&fx, false), 2);
		assert_int_equal(fixture_undo(&fx, true), 2);
	}
	fx.tgt = strange;
	assert_int_equal(strange->nchanges, 0);
	assert_target_is(hers);
	fx.tgt = target;
	assert_target_is(copied);
	assert_int_equal(number("SELECT count(*) FROM op WHERE kind LIKE"
	    " 'undo%'"), 0);
	/* It is the twin that would have lost mail. */
	fixture_sql(&fx, "UPDATE account SET target = 'mem:tgtjane',"
	    " target_user = 'jane'");
	fx.tgt = strange;
	assert_int_equal(fixture_undo(&fx, true), 0);
	assert_true(fx.told->ours > 0);
	/* In other letters, another way in: the same one. */
	fixture_sql(&fx, "UPDATE account SET target_user = 'Jane', target ="
	    " 'mem:tgtjane?tls=none'");
	assert_int_equal(fixture_undo(&fx, true), 0);
	free(copied);
	free(hers);
}

/* Two accounts, one target: what the second found there is its mail too. */
static void
test_shared_target(void **state)
{
	struct mem_store *own;
	char *copied;

	(void)state;
	fixture_more(&fx, 1);
	own = fx.more_tgt[0];
	fx.more_tgt[0] = target;
	fx.set.merge_existing = true;
	for (int i = 0; i < 9; i++)
		fixture_add(fx.more_src[0], "INBOX", i, "", i % 32, i % 3 ?
		    "work a" : "", 1000000000 + i);
	assert_int_equal(fixture_run(&fx), 0);
	copied = text_of(target);
	fixture_sql(&fx, "UPDATE account SET stage = 'released' WHERE name ="
	    " 'a1'");
	fx.tgt->nchanges = 0;
	assert_int_equal(fixture_undo(&fx, false), 2);
	assert_int_equal(fixture_undo(&fx, true), 2);
	assert_int_equal(fx.tgt->nchanges, 0);
	assert_target_is(copied);
	/* One of another target, or that has nothing there, is no matter. */
	fixture_sql(&fx, "UPDATE account SET target = 'mem:other' WHERE name ="
	    " 'a1'");
	assert_int_equal(fixture_undo(&fx, false), 0);
	fixture_sql(&fx, "UPDATE account SET target = (SELECT target FROM"
	    " account WHERE name = 'joe') WHERE name = 'a1'");
	assert_int_equal(fixture_undo(&fx, false), 2);
	fixture_sql(&fx, "UPDATE message SET outcome = 0 WHERE mailbox_id IN"
	    " (SELECT mailbox.id FROM mailbox JOIN account ON account.id ="
	    " account_id WHERE name = 'a1'); DELETE FROM intent");
	assert_int_equal(fixture_undo(&fx, false), 0);
	fx.more_tgt[0] = own;
	free(copied);
}

/* Everything taken back: whose mail is there is asked anew. */
static void
test_undone_is_new(void **state)
{
	static const char nul[] = "Subject: x\r\n\r\na\0b\r\n";
	char *hers;

	(void)state;
	mem_store_reset(fx.tgt);
	mem_folder_get(fx.tgt, "INBOX", true);
	/* One that is refused is no mail at the target either. */
	fx.tgt->refuse_nul = strange->refuse_nul = true;
	mem_add(fx.src, mem_folder_get(fx.src, "INBOX", true), nul,
	    sizeof nul - 1, 0, "", 1);
	for (int i = 0; i < 5; i++)
		fixture_add(strange, "INBOX", 7000 + i, "", 0, "",
		    1200000000 + i);
	hers = text_of(strange);
	assert_int_equal(fixture_run(&fx), 0);
	assert_int_equal(number("SELECT count(*) FROM account WHERE stage ="
	    " 'new'"), 0);
	assert_int_equal(number("SELECT sum(refused) FROM mailbox"), 1);
	assert_int_equal(fixture_undo(&fx, false), 0);
	assert_int_equal(number("SELECT count(*) FROM account WHERE stage ="
	    " 'new'"), 0);
	assert_int_equal(fixture_undo(&fx, true), 0);
	assert_int_equal(number("SELECT count(*) FROM account WHERE stage ="
	    " 'new'"), 1);
	assert_true(fixture_balanced(&fx));
	/* The list is put right, and it is wrong again. */
	fx.tgt = strange;
	fx.target_user = "june";
	assert_int_equal(fixture_run(&fx), 2);
	assert_target_is(hers);
	fx.tgt = target;
	fx.target_user = "joe";
	fx.tgt->refuse_nul = false;	/* as another server might */
	assert_int_equal(fixture_run(&fx), 0);
	assert_int_equal(number("SELECT sum(refused) FROM mailbox"), 0);
	assert_int_equal(number("SELECT sum(copied) FROM mailbox"), 22);
	/* One that was changed stays, and so does the stage. */
	mem_set_flags(mem_folder_get(fx.tgt, "INBOX", false),
	    mem_folder_get(fx.tgt, "INBOX", false)->last->uid, MSG_DRAFT |
	    MSG_ANSWERED);
	assert_int_equal(fixture_undo(&fx, true), 1);
	assert_int_equal(number("SELECT count(*) FROM account WHERE stage ="
	    " 'new'"), 0);
	free(hers);
}

/* A mailbox that the server does not list is not gone. */
static void
test_unlisted(void **state)
{
	char *before = text_of(fx.tgt), *copied;

	(void)state;
	assert_int_equal(fixture_run(&fx), 0);
	copied = text_of(fx.tgt);
	snprintf(fx.tgt->unlisted, sizeof fx.tgt->unlisted, "Work/Old");
	fx.tgt->nchanges = 0;
	assert_int_equal(fixture_undo(&fx, false), 0);
	assert_int_equal(fx.told->ours, 20);
	assert_int_equal(fx.told->gone, 0);
	assert_int_equal(fx.tgt->nchanges, 0);
	/* Its mail goes; it stays, for nobody sees what is below it. */
	assert_int_equal(fixture_undo(&fx, true), 0);
	assert_int_equal(fx.told->gone, 0);
	assert_int_equal(mem_folder_get(fx.tgt, "Work/Old", false)->count, 0);
	mem_folder_get(fx.tgt, "Work/Old", false)->name[0] = 'X';
	assert_target_is(before);
	/* Another mailbox of that name is none of ours. */
	start_over();
	assert_int_equal(fixture_run(&fx), 0);
	snprintf(fx.tgt->unlisted, sizeof fx.tgt->unlisted, "Work/Old");
	mem_folder_get(fx.tgt, "Work/Old", false)->uidvalidity++;
	assert_int_equal(fixture_undo(&fx, true), 1);
	assert_int_equal(mem_folder_get(fx.tgt, "Work/Old", false)->count, 6);
	/* Nor is one that was made above ours forgotten. */
	start_over();
	assert_int_equal(fixture_run(&fx), 0);
	snprintf(fx.tgt->unlisted, sizeof fx.tgt->unlisted, "Deep/er");
	assert_int_equal(fixture_undo(&fx, true), 0);
	assert_non_null(mem_folder_get(fx.tgt, "Deep/er", false));
	assert_int_equal(number("SELECT count(*) FROM op WHERE name ="
	    " 'Deep/er' AND kind = 'create-parent'"), 1);
	fx.tgt->unlisted[0] = '\0';
	assert_int_equal(fixture_undo(&fx, true), 0);
	assert_target_is(before);
	free(before);
	free(copied);
}

/* Mail that comes in at the last moment: before the nth time that this is done
 * with that mailbox. */
static const char *late_what, *late_box;
static unsigned late_nth;
static bool renumber;

static void
come_late(struct mem_store *s, const char *what, const char *mailbox)
{
	if (late_nth == 0 || strcmp(what, late_what) != 0 ||
	    strncmp(mailbox, late_box, strlen(late_box)) != 0 ||
	    --late_nth > 0)
		return;
	fixture_add(s, late_box, 7777, "", 0, "", 700000000);
}

/* It must be there afterwards, under its mailbox's name. */
static void
late(const char *what, unsigned nth, int want)
{
	char *there;

	start_over();
	assert_int_equal(fixture_run(&fx), 0);
	late_what = what;
	late_box = "Sent";
	late_nth = nth;
	fx.tgt->new_uidvalidity = renumber;
	fx.tgt->on_change = come_late;
	assert_int_equal(fixture_undo(&fx, true), want);
	fx.tgt->on_change = NULL;
	there = fixture_contents(fx.tgt, "Sent");
	assert_non_null(strstr(there, "number 7777"));
	assert_null(strstr(there, "number 0900"));
	free(there);
	for (struct mem_folder *f = fx.tgt->folders; f; f = f->next)
		assert_null(strstr(f->name, "-mailhaul-"));
	assert_int_equal(number("SELECT count(*) FROM op WHERE kind LIKE"
	    " 'undo%' AND state = 0"), 0);
	/* It can be copied again. */
	fx.set.merge_existing = true;
	assert_int_equal(fixture_run(&fx), 0);
	fx.set.merge_existing = false;
}

static void
test_last_moment(void **state)
{
	(void)state;
	for (int renumbers = 0; renumbers < 2; renumbers++) {
		renumber = renumbers == 1;
		late("subscribe", 1, 0);
		late("rename", 1, 0);
		/* Delivered to the old name: a new one, and it stays. */
		late("delete", 1, 0);
	}
	renumber = false;
}

/* Made below it at the last moment: it goes along, and comes back. */
static void
make_below(struct mem_store *s, const char *what, const char *mailbox)
{
	if (strcmp(what, "rename") != 0 || strcmp(mailbox, "Sent") != 0)
		return;
	fixture_add(s, "Sent/New/er", 7777, "", 0, "", 700000000);
	fixture_add(s, "Sent/New", 7778, "", 0, "", 700000000);
	s->on_change = NULL;
}

static void
test_made_below(void **state)
{
	char *there;

	(void)state;
	assert_int_equal(fixture_run(&fx), 0);
	fx.tgt->on_change = make_below;
	assert_int_equal(fixture_undo(&fx, true), 0);
	there = fixture_contents(fx.tgt, "Sent/New/er");
	assert_non_null(strstr(there, "number 7777"));
	free(there);
	there = fixture_contents(fx.tgt, "Sent/New");
	assert_non_null(strstr(there, "number 7778"));
	free(there);
	for (struct mem_folder *f = fx.tgt->folders; f; f = f->next)
		assert_null(strstr(f->name, "-mailhaul-"));
}

/* Where mailboxes keep their names a look before the end has to do. */
static void
test_last_moment_no_rename(void **state)
{
	char *there;

	(void)state;
	assert_int_equal(fixture_run(&fx), 0);
	fx.tgt->no_rename = true;
	late_what = "subscribe";
	late_box = "Sent";
	late_nth = 1;
	fx.tgt->on_change = come_late;
	assert_int_equal(fixture_undo(&fx, true), 0);
	fx.tgt->on_change = NULL;
	there = fixture_contents(fx.tgt, "Sent");
	assert_non_null(strstr(there, "number 7777"));
	free(there);
	assert_non_null(mem_folder_get(fx.tgt, "Sent", false));
	assert_true(mem_folder_get(fx.tgt, "Sent", false)->subscribed);
	assert_null(mem_folder_get(fx.tgt, "Empty", false));
}

/* One that its user has deleted, and made anew: his own, though it is empty. */
static void
test_parent_made_anew(void **state)
{
	struct mem_folder **fp, *f;

	(void)state;
	assert_int_equal(fixture_run(&fx), 0);
	assert_non_null(mem_folder_get(fx.tgt, "Deep/er", false));
	for (fp = &fx.tgt->folders; (f = *fp) != NULL;)
		if (strncmp(f->name, "Deep", 4) == 0)
			*fp = f->next;
		else
			fp = &f->next;
	assert_non_null(mem_folder_get(fx.tgt, "Deep/er", true));
	assert_int_equal(fixture_undo(&fx, true), 0);
	assert_non_null(mem_folder_get(fx.tgt, "Deep/er", false));
	assert_null(mem_folder_get(fx.tgt, "Empty", false));
	assert_int_equal(number("SELECT count(*) FROM op WHERE kind ="
	    " 'create-parent'"), 0);
}

/* Renamed with what is below it, it is ours under its new name, and the old
 * name is not. */
static void
test_parent_renamed(void **state)
{
	char *before = text_of(fx.tgt);
	struct err e;

	(void)state;
	for (int renumbers = 0; renumbers < 2; renumbers++) {
		start_over();
		fx.tgt->new_uidvalidity = renumbers == 1;
		fx.set.apply_renames = false;
		rules_free(&fx.rules);
		fx.set.rules = fx.rules = rules_new();
		fixture_add(fx.src, "Deep", 960, "", 0, "", 1500000000);
		assert_int_equal(fixture_run(&fx), 0);
		/* By hand: Deep/er goes along, and has no row. */
		assert_int_equal(rules_add_map(fx.rules, "Deep/ -> Tief/",
		    &e), 0);
		fx.set.apply_renames = true;
		assert_int_equal(fixture_run(&fx), 0);
		assert_non_null(mem_folder_get(fx.tgt, "Tief/er", false));
		assert_int_equal(number("SELECT count(*) FROM op WHERE kind ="
		    " 'create-parent' AND name = 'Tief/er'"), 1);
		assert_int_equal(number("SELECT count(*) FROM op WHERE kind ="
		    " 'create-parent' AND name LIKE 'Deep%'"), 0);
		mem_folder_get(fx.tgt, "Deep/er", true);	/* his own */
		assert_int_equal(fixture_undo(&fx, true), 0);
		assert_non_null(mem_folder_get(fx.tgt, "Deep/er", false));
		assert_null(mem_folder_get(fx.tgt, "Tief/er", false));
		assert_null(mem_folder_get(fx.tgt, "Tief", false));
	}
	free(before);
}

/* Those that a rename makes above the new name are ours as well. */
static void
test_parent_of_renamed(void **state)
{
	char *before = text_of(fx.tgt);
	struct err e;

	(void)state;
	assert_int_equal(fixture_run(&fx), 0);
	assert_int_equal(rules_add_map(fx.rules, "Sent -> Deeper/down/Sent",
	    &e), 0);
	fx.set.apply_renames = true;
	assert_int_equal(fixture_run(&fx), 0);
	assert_non_null(mem_folder_get(fx.tgt, "Deeper/down", false));
	assert_int_equal(fixture_undo(&fx, true), 0);
	assert_null(mem_folder_get(fx.tgt, "Deeper/down", false));
	assert_null(mem_folder_get(fx.tgt, "Deeper", false));
	assert_target_is(before);
	free(before);
}

/* Between the look and the batch: flagged by its user, and no MODSEQ tells. */
static void
flag_late(struct mem_store *s, const char *what, const char *mailbox)
{
	struct mem_folder *f = mem_folder_get(s, "Work/Old", false);

	if (strcmp(what, "open") != 0 || strcmp(mailbox, "Work/Old") != 0 ||
	    f == NULL || f->first == NULL || f->first->next == NULL)
		return;
	mem_set_flags(f, f->first->uid, MSG_SEEN | MSG_FLAGGED);
	s->on_change = NULL;
}

static void
test_flagged_late(void **state)
{
	char *there;

	(void)state;
	for (int no_modseq = 0; no_modseq < 2; no_modseq++) {
		start_over();
		fx.tgt->no_modseq = no_modseq == 1;
		assert_int_equal(fixture_run(&fx), 0);
		fx.tgt->on_change = flag_late;
		assert_int_equal(fixture_undo(&fx, true), 1);
		assert_int_equal(fx.told->changed, 0);	/* as it was told */
		there = fixture_contents(fx.tgt, "Work/Old");
		assert_non_null(strstr(there, "number 0800"));
		assert_null(strstr(there, "number 0801"));
		/* Not marked as deleted. */
		assert_int_equal(strtoul(there, NULL, 10), MSG_SEEN |
		    MSG_FLAGGED);
		free(there);
	}
}

#ifdef MAILHAUL_FAULTS
static int
faulty_undo(const char *spec)
{
	int rc;

	setenv("MAILHAUL_FAULT", spec, 1);
	rc = fixture_undo(&fx, true);
	unsetenv("MAILHAUL_FAULT");
	return rc;
}

/* Cut off between the mark and the expunge: copy keeps away, and who changes a
 * marked message keeps it, without our mark. */
static void
test_cut_off_at_marks(void **state)
{
	struct mem_folder *inbox = mem_folder_get(fx.tgt, "INBOX", false);
	struct mem_message *m;
	uint64_t stored;

	(void)state;
	assert_int_equal(fixture_run(&fx), 0);
	stored = fx.tgt->nstored;
	/* Work/Old, Work and Sent go first; then INBOX is marked, Deep/er/x
	 * is left. */
	assert_int_equal(faulty_undo("kill@flags.after:4"), -SIGKILL);
	assert_int_equal(inbox->count, 13);
	m = message("INBOX", 3);
	assert_true(m->flags & MSG_DELETED);
	assert_int_equal(fixture_run(&fx), 2);
	assert_int_equal(fx.tgt->nstored, stored);
	mem_set_flags(inbox, m->uid, m->flags ^ MSG_SEEN);
	assert_int_equal(fixture_undo(&fx, false), 1);
	assert_int_equal(fx.told->changed, 1);
	assert_int_equal(fixture_undo(&fx, true), 1);
	assert_int_equal(inbox->count, 4);
	assert_false(m->expunged);
	assert_false(m->flags & MSG_DELETED);
	assert_int_equal(fixture_run(&fx), 0);
	assert_int_equal(inbox->count, 13);
}

/* How many fault points a run passes: of copy, or of undo. */
static int
count_points(bool undo)
{
	char log[100];
	FILE *f;
	int n = 0, c;

	snprintf(log, sizeof log, "%s/points", fx.dir);
	setenv("MAILHAUL_FAULT_LOG", log, 1);
	assert_int_equal(undo ? fixture_undo(&fx, true) : fixture_run(&fx),
	    0);
	unsetenv("MAILHAUL_FAULT_LOG");
	f = fopen(log, "r");
	assert_non_null(f);
	while ((c = getc(f)) != EOF)
		n += c == '\n';
	fclose(f);
	unlink(log);
	return n;
}

static bool
target_is(const char *want)
{
	char *got = text_of(fx.tgt);
	bool same = strcmp(got, want) == 0;

	if (!same && getenv("VERBOSE") != NULL)
		fprintf(stderr, "# got:\n%s", got);
	free(got);
	return same;
}

/* Killed at every point, and done again: exactly what was there before, and a
 * copy afterwards that stores everything once. */
static void
test_undo_killed(void **state)
{
	char *before = text_of(fx.tgt), *copied, spec[32];
	int n, kills = 0, wrong = 0;

	(void)state;
	assert_int_equal(fixture_run(&fx), 0);
	copied = text_of(fx.tgt);
	n = count_points(true);
	for (int k = 1; k <= n; k += fixture_every(1)) {
		start_over();
		assert_int_equal(fixture_run(&fx), 0);
		snprintf(spec, sizeof spec, "kill:%d", k);
		kills += faulty_undo(spec) == -SIGKILL;
		if (fixture_undo(&fx, true) != 0 || !target_is(before) ||
		    number("SELECT count(*) FROM op WHERE state = 0") != 0 ||
		    fixture_run(&fx) != 0 || !target_is(copied) ||
		    fx.tgt->nstored != 40) {
			fprintf(stderr, "# wrong after kill %d\n", k);
			wrong++;
		}
	}
	fprintf(stderr, "# %d points, %d kills of undo, %d wrong\n", n, kills,
	    wrong);
	assert_true(kills > n / fixture_every(2));
	assert_int_equal(wrong, 0);
	free(before);
	free(copied);
}

/* A copy that was killed at every point, then undone. */
static void
copy_killed(unsigned late_ms, int step)
{
	char *before = text_of(fx.tgt), spec[32];
	int n, kills = 0, wrong = 0, rc, in_doubt = 0;

	fx.set.settle_ms = 3 * late_ms;
	fx.tgt->late_ms = late_ms;
	n = count_points(false);
	for (int k = 1; k <= n; k += fixture_every(step)) {
		start_over();
		fx.tgt->late_ms = late_ms;
		snprintf(spec, sizeof spec, "kill:%d", k);
		setenv("MAILHAUL_FAULT", spec, 1);
		rc = fixture_run(&fx);
		unsetenv("MAILHAUL_FAULT");
		kills += rc == -SIGKILL;
		/* Before it knew the account there is nothing to undo. */
		if (number("SELECT count(*) FROM account") != 1)
			continue;
		in_doubt += number("SELECT count(*) FROM intent WHERE state ="
		    " 0") > 0;
		if (fixture_undo(&fx, true) != 0 || !target_is(before)) {
			fprintf(stderr, "# wrong after kill %d\n", k);
			wrong++;
		}
	}
	fprintf(stderr, "# %d points, %d kills of copy, %d in doubt, %d "
	    "wrong\n", n, kills, in_doubt, wrong);
	assert_true(in_doubt > 0);
	assert_int_equal(wrong, 0);
	free(before);
}

static void
test_copy_killed(void **state)
{
	(void)state;
	copy_killed(0, 1);
}

static void
test_copy_killed_late(void **state)
{
	(void)state;
	copy_killed(30, 3);
}

/* A rename that was cut off: where the mail is now, copy finds out. */
static void
test_cut_off_rename(void **state)
{
	char *before = text_of(fx.tgt);
	struct err e;

	(void)state;
	assert_int_equal(fixture_run(&fx), 0);
	rules_free(&fx.rules);
	fx.set.rules = fx.rules = rules_new();
	assert_int_equal(rules_add_map(fx.rules, "Sent -> Archive", &e), 0);
	fx.set.apply_renames = true;
	setenv("MAILHAUL_FAULT", "kill@rename.after:1", 1);
	assert_int_equal(fixture_run(&fx), -SIGKILL);
	unsetenv("MAILHAUL_FAULT");
	assert_non_null(mem_folder_get(fx.tgt, "Archive", false));
	fx.tgt->nchanges = 0;
	assert_int_equal(fixture_undo(&fx, false), 2);
	assert_int_equal(fixture_undo(&fx, true), 2);
	assert_int_equal(fx.tgt->nchanges, 0);
	assert_int_equal(fixture_run(&fx), 0);
	assert_int_equal(fixture_undo(&fx, true), 0);
	assert_target_is(before);
	free(before);
}

/* Killed anywhere: an account that has nothing at the target, and no undo to
 * be ended, is a new one. */
static void
test_undone_is_new_killed(void **state)
{
	char spec[32];
	int n, kills = 0, wrong = 0, anew = 0;

	(void)state;
	for (int k = 0;; k += k == 0 ? 1 : fixture_every(1)) {
		start_over();
		mem_store_reset(fx.tgt);
		mem_folder_get(fx.tgt, "INBOX", true);
		assert_int_equal(fixture_run(&fx), 0);
		if (k == 0) {
			n = count_points(true);
			continue;
		}
		if (k > n)
			break;
		snprintf(spec, sizeof spec, "kill:%d", k);
		kills += faulty_undo(spec) == -SIGKILL;
		wrong += number("SELECT count(*) FROM account WHERE stage <>"
		    " 'new' AND NOT EXISTS (SELECT 1 FROM message WHERE"
		    " outcome IN (1, 2)) AND NOT EXISTS (SELECT 1 FROM op"
		    " WHERE kind LIKE 'undo%' AND state = 0)") != 0;
		anew += number("SELECT count(*) FROM account WHERE stage ="
		    " 'new'") == 1;
	}
	assert_true(kills > n / fixture_every(2));
	assert_true(anew > 0);
	assert_int_equal(wrong, 0);
}

/* The same with a target that knows SHA-1 and alters headers. */
static void
test_undo_killed_sha1(void **state)
{
	cyrus = true;
	start_over();
	test_undo_killed(state);
}

static void
test_copy_killed_sha1(void **state)
{
	(void)state;
	cyrus = true;
	start_over();
	copy_killed(0, 2);
}
#endif

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_undo_and_copy_again, setup),
		cmocka_unit_test_setup(test_changed_stays, setup),
		cmocka_unit_test_setup(test_refused, setup),
		cmocka_unit_test_setup(test_by_bytes, setup),
		cmocka_unit_test_setup(test_other_target, setup),
		cmocka_unit_test_setup(test_shared_target, setup),
		cmocka_unit_test_setup(test_undone_is_new, setup),
		cmocka_unit_test_setup(test_unlisted, setup),
		cmocka_unit_test_setup(test_last_moment, setup),
		cmocka_unit_test_setup(test_made_below, setup),
		cmocka_unit_test_setup(test_last_moment_no_rename, setup),
		cmocka_unit_test_setup(test_parent_made_anew, setup),
		cmocka_unit_test_setup(test_parent_renamed, setup),
		cmocka_unit_test_setup(test_parent_of_renamed, setup),
		cmocka_unit_test_setup(test_flagged_late, setup),
#ifdef MAILHAUL_FAULTS
		cmocka_unit_test_setup(test_cut_off_rename, setup),
		cmocka_unit_test_setup(test_undone_is_new_killed, setup),
		cmocka_unit_test_setup(test_cut_off_at_marks, setup),
		cmocka_unit_test_setup(test_undo_killed, setup),
		cmocka_unit_test_setup(test_copy_killed, setup),
		cmocka_unit_test_setup(test_copy_killed_late, setup),
		cmocka_unit_test_setup(test_undo_killed_sha1, setup),
		cmocka_unit_test_setup(test_copy_killed_sha1, setup),
#endif
	};
	int rc;

	fixture_start(&fx);
	target = fx.tgt;
	strange = mem_store_new("tgtjane", (size_t)8 << 20);
	rc = cmocka_run_group_tests(tests, NULL, NULL);
	fixture_stop(&fx);
	return rc;
}
