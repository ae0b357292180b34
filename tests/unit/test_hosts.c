/*
 * Hosts on in-memory stores: one that goes away and comes back, or does not;
 * caps of sessions; limits; the end by the clock; stop, pause and resume;
 * secrets that do not work.
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
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "control.h"
#include "host_impl.h"
#include "unit/lib/engine_fixture.h"

#define MORE	11		/* accounts besides the first */
#define EACH	20		/* messages of each */
#define ALL	((MORE + 1) * EACH)

static struct fixture fx;
static struct limits limits;

static struct mem_store *
store(bool target, unsigned i)
{
	if (i == 0)
		return target ? fx.tgt : fx.src;
	return target ? fx.more_tgt[i - 1] : fx.more_src[i - 1];
}

static int
setup(void **state)
{
	(void)state;
	fx.more = MORE;
	for (unsigned i = 0; i <= MORE; i++) {
		mem_store_reset(store(false, i));
		mem_store_reset(store(true, i));
		mem_folder_get(store(true, i), "INBOX", true);
		store(true, i)->batch_messages = 4;
		for (int n = 0; n < EACH; n++)
			fixture_add(store(false, i), n < EACH / 2 ? "INBOX" :
			    "Sent", (int)i * 100 + n, "", 0, "",
			    1000000000 + n);
	}
	mem_hosts_reset();
	fixture_drop_state(&fx);
	limits.n = 0;
	fx.secret = NULL;
	fx.set.lanes = 4;
	fx.set.lanes_per_account = 1;
	fx.set.spread = false;
	fx.set.settle_ms = 0;
	fx.set.patience_s = 60;
	fx.set.max_tries = 1;	/* the session that breaks; no more */
	fx.set.cap_raise_ms = 600000;
	fx.set.stop_ms = 0;
	fx.set.stop_at = 0;
	fx.set.min_free = 0;
	fx.set.source_limits = fx.set.target_limits = NULL;
	fx.set.empty_ok = fx.set.merge_existing = false;
	unsetenv("MAILHAUL_FAULT");
	return 0;
}

static uint64_t
stored(void)
{
	uint64_t n = 0;

	for (unsigned i = 0; i <= MORE; i++)
		n += store(true, i)->nstored;
	return n;
}

/* Every account's target equals its source. */
static void
assert_all_there(void)
{
	static const char *const names[] = { "INBOX", "Sent" };

	for (unsigned i = 0; i <= MORE; i++)
		for (size_t k = 0; k < 2; k++) {
			char *want = fixture_contents(store(false, i),
			    names[k]);
			char *got = fixture_contents(store(true, i),
			    names[k]);

			assert_string_equal(got, want);
			free(want);
			free(got);
		}
	assert_int_equal(stored(), ALL);
	assert_true(fixture_balanced(&fx));
}

static int64_t
accounts(const char *outcome)
{
	char sql[100];

	snprintf(sql, sizeof sql, "SELECT count(*) FROM account WHERE outcome"
	    " = '%s'", outcome);
	return fixture_number(&fx, sql);
}

static void
wait_ms(unsigned ms)
{
	struct timespec t = { ms / 1000, (long)(ms % 1000) * 1000000 };

	nanosleep(&t, NULL);
}

/* In the middle of the run the target is away for some seconds. */
static void
test_target_goes_and_comes(void **state)
{
	struct mem_host *h = mem_host(true);

	(void)state;
	h->down_ms = 1800;
	h->down_at = 7;
	assert_int_equal(fixture_run(&fx), 0);
	assert_all_there();
	assert_int_equal(accounts("done"), MORE + 1);
	assert_int_equal(fixture_number(&fx,
	    "SELECT count(*) FROM issue WHERE kind = 'failed'"), 0);
	/* One lane asked, and not often. */
	assert_int_equal(h->probing_most, 1);
	assert_in_range(h->probes, 1, 6);
}

/* What broke when it went away is in doubt, and waits; nothing doubles. */
static void
test_in_doubt(void **state)
{
	(void)state;
	fx.set.settle_ms = 300;
	fx.set.lanes = 3;
	fx.set.lanes_per_account = 2;
	mem_host(true)->down_ms = 600;
	mem_host(true)->down_at = 5;
	assert_int_equal(fixture_run(&fx), 0);
	assert_all_there();
}

static void
test_source_comes_late(void **state)
{
	struct mem_host *h = mem_host(false);

	(void)state;
	h->down_ms = 1500;
	h->down_until = now_ms() + 1500;
	assert_int_equal(fixture_run(&fx), 0);
	assert_all_there();
	assert_true(h->probing_most <= 1);
	assert_in_range(h->probes, 1, 6);
}

/* It does not come back: the run ends, nothing is marked, the next goes on. */
static void
test_patience(void **state)
{
	struct mem_host *h = mem_host(true);

	(void)state;
	fx.set.patience_s = 1;
	h->down_ms = 60000;
	h->down_at = 9;
	assert_int_equal(fixture_run(&fx), 75);
	assert_int_equal(accounts("failed"), 0);
	assert_int_equal(accounts("partial"), 0);
	assert_true(accounts("stopped") > 0);
	assert_true(stored() > 0 && stored() < ALL);
	mem_host(true)->down_until = 0;
	assert_int_equal(fixture_run(&fx), 0);
	assert_all_there();
	assert_int_equal(accounts("done"), MORE + 1);
}

static void
test_killed_on_hold(void **state)
{
	pid_t pid;

	(void)state;
	mem_host(true)->down_ms = 600000;
	mem_host(true)->down_at = 6;
	pid = fixture_begin(&fx);
	while (mem_host(true)->probes < 1)
		wait_ms(20);
	kill(pid, SIGKILL);
	assert_int_equal(fixture_end(pid), -SIGKILL);
	mem_host(true)->down_until = 0;
	assert_int_equal(fixture_run(&fx), 0);
	assert_all_there();
}

/* A disk that fails at one message each time has one bad message. */
static void
test_sick_message(void **state)
{
	(void)state;
	fx.more = 0;
	memcpy(fx.src->sick, "message 0003", 13);
	fixture_run(&fx);
	assert_int_equal(fixture_number(&fx,
	    "SELECT sum(failed) FROM mailbox"), 1);
	assert_int_equal(fixture_number(&fx,
	    "SELECT sum(copied) FROM mailbox"), EACH - 1);
	assert_int_equal(fixture_number(&fx, "SELECT count(*) FROM issue WHERE"
	    " kind = 'failed' AND reason LIKE '%disk fails%'"), 1);
	assert_int_equal(fx.tgt->nstored, EACH - 1);
	fx.src->sick[0] = '\0';
	assert_int_equal(fixture_run(&fx), 0);
	assert_int_equal(fx.tgt->nstored, EACH);
}

/* A server that takes so many sessions: found once, remembered, raised. */
static void
cap_is_found(unsigned hang_ms)
{
	struct mem_host *h = mem_host(true);

	h->cap = 4;
	h->hang_ms = hang_ms;
	h->batch_ms = 20;
	fx.set.lanes = 9;
	assert_int_equal(fixture_run(&fx), 0);
	assert_all_there();
	/* Lanes that knocked before the first was refused may all be. */
	assert_in_range(h->refused, 1, 9 - 4);
	assert_int_equal(h->most, 4);
	assert_int_equal(fixture_number(&fx, "SELECT cap FROM host WHERE side"
	    " = 1 AND name = 'mem:'"), 4);
	/* The next run knows. */
	h->refused = h->most = 0;
	for (unsigned i = 0; i <= MORE; i++)
		fixture_add(store(false, i), "INBOX", (int)i * 100 + 50, "",
		    0, "", 1600000000);
	assert_int_equal(fixture_run(&fx), 0);
	assert_int_equal(stored(), ALL + MORE + 1);
	assert_int_equal(h->refused, 0);
	assert_true(h->most <= 4);
}

static void
test_cap(void **state)
{
	(void)state;
	cap_is_found(0);
}

static void
test_cap_hangs(void **state)
{
	(void)state;
	cap_is_found(400);
}

static void
test_cap_is_raised(void **state)
{
	struct mem_host *h = mem_host(true);

	(void)state;
	h->cap = 2;
	h->batch_ms = 30;
	fx.set.lanes = 6;
	assert_int_equal(fixture_run(&fx), 0);
	assert_int_equal(fixture_number(&fx, "SELECT cap FROM host WHERE side"
	    " = 1 AND name = 'mem:'"), 2);
	/* The server takes more by now. */
	h->cap = 0;
	fx.set.cap_raise_ms = 100;
	for (unsigned i = 0; i <= MORE; i++)
		for (int n = 0; n < 20; n++)
			fixture_add(store(false, i), "INBOX", (int)i * 100 +
			    50 + n, "", 0, "", 1600000000);
	assert_int_equal(fixture_run(&fx), 0);
	assert_true(fixture_number(&fx, "SELECT cap FROM host WHERE side"
	    " = 1 AND name = 'mem:'") >= 4);
}

/* So many sessions of one user; other users' are not affected. */
static void
test_user_cap(void **state)
{
	struct mem_host *h = mem_host(true);
	char name[16];

	(void)state;
	/* So much that several lanes meet there, however slow they are. */
	for (unsigned i = 0; i < 60; i++) {
		snprintf(name, sizeof name, "F%u", i);
		fixture_add(fx.src, name, 1000 + (int)i, "", 0, "", 5);
	}
	h->user_cap = 2;
	h->batch_ms = 20;
	fx.set.lanes = 8;
	fx.set.lanes_per_account = 8;
	assert_int_equal(fixture_run(&fx), 0);
	assert_int_equal(stored(), ALL + 60);
	assert_int_equal(fixture_number(&fx, "SELECT user_cap FROM host WHERE"
	    " side = 1 AND name = 'mem:'"), 2);
	/* Lanes that knocked before the first was refused may all be. */
	assert_in_range(h->refused, 1, 8 - 2);
	assert_true(h->most > 2);
}

/* One account's trouble at the door is no cap. */
static void
test_no_cap(void **state)
{
	(void)state;
	store(true, 3)->hangs_up = true;
	mem_host(true)->batch_ms = 10;
	fx.set.max_tries = 2;
	assert_int_equal(fixture_run(&fx), 2);
	assert_int_equal(accounts("done"), MORE);
	assert_int_equal(accounts("failed"), 1);
	assert_int_equal(fixture_number(&fx, "SELECT cap FROM host WHERE side"
	    " = 1 AND name = 'mem:'"), 0);
}

/* One account at which a host always fails is not the host's fault: all others
 * are done, and there is an end. */
static void
test_one_bad_account(void **state)
{
	(void)state;
	for (int target = 0; target < 2; target++) {
		setup(NULL);
		for (unsigned i = 0; i <= MORE; i++)
			for (int n = 0; n < 60; n++)
				fixture_add(store(false, i), "INBOX", 5000 + n,
				    "", 0, "", 7);
		store(target == 1, 3)->unavailable = true;
		mem_host(true)->batch_ms = 20;
		assert_int_equal(fixture_run(&fx), 2);
		assert_int_equal(accounts("done"), MORE);
		assert_int_equal(accounts("failed"), 1);
	}
}

/* When no account is left to begin, lanes share the mailboxes of the last. */
static void
test_spread(void **state)
{
	struct mem_host *h = mem_host(true);
	char name[16];

	(void)state;
	fx.more = 0;
	for (unsigned i = 0; i < 16; i++) {
		snprintf(name, sizeof name, "F%u", i);
		for (int n = 0; n < 8; n++)
			fixture_add(fx.src, name, 1000 + (int)i * 10 + n, "",
			    0, "", 5);
	}
	h->batch_ms = 30;
	fx.set.lanes = 6;
	fx.set.lanes_per_account = 2;
	assert_int_equal(fixture_run(&fx), 0);
	assert_true(h->most <= 4);	/* two lanes, each may look */
	mem_store_reset(fx.tgt);
	mem_folder_get(fx.tgt, "INBOX", true);
	fixture_drop_state(&fx);
	h->most = 0;
	fx.set.spread = true;
	assert_int_equal(fixture_run(&fx), 0);
	assert_int_equal(fx.tgt->nstored, EACH + 128);
	assert_true(h->most >= 5);
	/* A target that gains nothing from it is spared. */
	mem_store_reset(fx.tgt);
	mem_folder_get(fx.tgt, "INBOX", true);
	fixture_drop_state(&fx);
	h->most = 0;
	fx.tgt->one_writer = true;
	assert_int_equal(fixture_run(&fx), 0);
	assert_true(h->most <= 4);
}

static void
add_limit(const char *text)
{
	struct err e;

	if (limits_add(&limits, text, &e) == -1)
		fail_msg("%s: %s", text, e.text);
	fx.set.target_limits = &limits;
}

static void
test_limit_of_lanes(void **state)
{
	(void)state;
	add_limit("2 lanes");
	fx.set.lanes = 8;
	mem_host(true)->batch_ms = 10;
	assert_int_equal(fixture_run(&fx), 0);
	assert_all_there();
	assert_true(mem_host(true)->most <= 4);	/* two lanes, each may look */
	assert_int_equal(mem_host(true)->refused, 0);
}

/* The hours have begun, or begin in the middle: nothing is done in them. */
static void
test_limit_of_hours(void **state)
{
	char text[64];
	time_t now = time(NULL), from;
	struct tm t, u;

	(void)state;
	setenv("TZ", "UTC", 1);
	tzset();
	from = now - 3600;
	localtime_r(&from, &t);
	from = now + 3600;
	localtime_r(&from, &u);
	snprintf(text, sizeof text, "%02d:%02d-%02d:%02d = 0 lanes",
	    t.tm_hour, t.tm_min, u.tm_hour, u.tm_min);
	add_limit(text);
	fx.set.stop_ms = now_ms() + 900;
	assert_int_equal(fixture_run(&fx), 75);
	assert_int_equal(stored(), 0);
	assert_int_equal(mem_host(true)->opens, 0);
	fx.set.stop_ms = 0;
	fx.set.target_limits = NULL;
	assert_int_equal(fixture_run(&fx), 0);
	assert_all_there();
}

static void
test_limit_of_rate(void **state)
{
	uint64_t begun, bytes = 0;

	(void)state;
	for (unsigned i = 0; i <= MORE; i++)
		for (struct mem_folder *f = store(false, i)->folders; f;
		    f = f->next)
			for (struct mem_message *m = f->first; m; m = m->next)
				bytes += m->len;
	add_limit("20 kB/s");
	begun = now_ms();
	assert_int_equal(fixture_run(&fx), 0);
	assert_all_there();
	/* Less than a batch of each lane is ahead of its time. */
	assert_true(now_ms() - begun >= (bytes - 4 * 4 * 100) * 1000 /
	    20000 - 300);
	/* Messages, at the source. */
	setup(NULL);
	fx.set.source_limits = &limits;
	add_limit("200 messages/s");
	fx.set.target_limits = NULL;
	begun = now_ms();
	assert_int_equal(fixture_run(&fx), 0);
	assert_true(now_ms() - begun >= (ALL - 4) * 1000 / 200 - 300);
	assert_all_there();
}

/* The time is over: what is in hand is finished, nothing is marked. */
static void
test_stop_time(void **state)
{
	uint64_t n;

	(void)state;
	mem_host(true)->batch_ms = 100;
	fx.set.lanes = 1;
	fx.set.stop_ms = now_ms() + 1500;
	assert_int_equal(fixture_run(&fx), 75);
	n = stored();
	assert_true(n > 0 && n < ALL);
	assert_int_equal(accounts("failed"), 0);
	assert_int_equal(fixture_number(&fx, "SELECT count(*) FROM intent"),
	    0);
	fx.set.stop_ms = 0;
	fx.set.lanes = 4;
	mem_host(true)->batch_ms = 0;
	assert_int_equal(fixture_run(&fx), 0);
	assert_all_there();
}

/* A time of the day is the wall's: a clock that is set moves it, and does not
 * touch what was said to take so long. */
static void
test_clock_is_set(void **state)
{
	struct settings s = { .stop_ms = 0 };

	(void)state;
	assert_true(settings_left_ms(&s, 5, 5) == UINT64_MAX);
	s.stop_at = 100000;
	assert_int_equal(settings_left_ms(&s, 50, 99000), 1000000);
	assert_int_equal(settings_left_ms(&s, 60, 99990), 10000);
	assert_int_equal(settings_left_ms(&s, 70, 92800), 7200000);
	assert_int_equal(settings_left_ms(&s, 70, 100000), 0);
	assert_int_equal(settings_left_ms(&s, 70, 200000), 0);
	s.stop_ms = 1000;
	assert_int_equal(settings_left_ms(&s, 400, 92800), 600);
	assert_int_equal(settings_left_ms(&s, 400, 99999), 600);
	assert_int_equal(settings_left_ms(&s, 2000, 99999), 0);
	s.stop_at = 0;
	assert_int_equal(settings_left_ms(&s, 400, 500000), 600);

	/* So does a run. */
	fx.set.stop_at = time(NULL) - 1;
	fx.set.lanes = 1;
	mem_host(true)->batch_ms = 300;
	assert_int_equal(fixture_run(&fx), 75);
	assert_true(stored() < ALL);
	assert_int_equal(accounts("failed"), 0);
	fx.set.stop_at = time(NULL) + 3600;
	mem_host(true)->batch_ms = 0;
	assert_int_equal(fixture_run(&fx), 0);
	assert_all_there();
}

/* Shortly before it, what would not end in time is not begun. */
static void
test_too_long_for_the_rest(void **state)
{
	struct db *db;
	struct err e;

	(void)state;
	/* The last run met 10 a second with a lane, 1 account has 10,000. */
	assert_int_equal(fixture_run(&fx), 0);
	assert_int_equal(db_open(&db, fx.state, DB_WRITE, &e), 0);
	assert_int_equal(db_run(db, &e, "UPDATE host SET rate = 10, lane_rate"
	    " = 10", ""), 0);
	db_close(&db);
	for (unsigned i = 0; i <= MORE; i++) {
		mem_store_reset(store(true, i));
		mem_folder_get(store(true, i), "INBOX", true);
		store(true, i)->next_uidvalidity = 7000;
	}
	fx.expect = 10000;
	/* Long before the end of the time it is begun ... */
	fx.set.stop_ms = now_ms() + 3600000;
	fx.more = 0;
	assert_int_equal(fixture_run(&fx), 0);
	assert_int_equal(stored(), EACH);
	/* ... but not when most of it has passed. */
	fx.more = MORE;
	fx.set.stop_ms = now_ms() + 600000;
	fx.started_ms = now_ms() - 36000000;
	assert_int_equal(fixture_run(&fx), 75);
	assert_int_equal(stored(), EACH);
	/* One that does end in time is. */
	fx.expect = 100;
	assert_int_equal(fixture_run(&fx), 0);
	assert_int_equal(stored(), ALL);
	fx.expect = fx.started_ms = 0;
}

static void
order(enum control what, int want)
{
	struct err e;

	assert_int_equal(control_send(fx.state, what, 10000, &e), want);
}

static pid_t asker;

/* The same beside us. */
static void
order_in_child(enum control what)
{
	struct err e;

	fflush(NULL);
	if ((asker = fork()) == 0)
		_exit(control_send(fx.state, what, 60000, &e) & 255);
	assert_true(asker > 0);
}

static int
end_of_order(void)
{
	int status;

	assert_int_equal(waitpid(asker, &status, 0), asker);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* A word in a lock file that nobody holds. */
static void
put_word(const char *name, const char *word)
{
	FILE *f = fopen(name, "w");

	assert_non_null(f);
	fprintf(f, "%-63d\n%s", 1, word);
	fclose(f);
}

static void
test_stop_order(void **state)
{
	pid_t pid;

	(void)state;
	mem_host(true)->batch_ms = 2500;
	pid = fixture_begin(&fx);
	while (stored() == 0)
		wait_ms(20);
	order(CONTROL_STOP, 1);
	order(CONTROL_STOP, 1);	/* once more is the same */
	assert_int_equal(fixture_end(pid), 75);
	assert_true(stored() < ALL);
	assert_int_equal(accounts("failed"), 0);
	mem_host(true)->batch_ms = 0;
	assert_int_equal(fixture_run(&fx), 0);
	assert_all_there();
}

static void
test_pause_and_resume(void **state)
{
	uint64_t n;
	pid_t pid;

	(void)state;
	mem_host(true)->batch_ms = 100;
	pid = fixture_begin(&fx);
	while (stored() < 10)
		wait_ms(20);
	order(CONTROL_PAUSE, 1);
	while (mem_host(true)->sessions > 0)
		wait_ms(20);
	n = stored();
	wait_ms(600);
	assert_int_equal(stored(), n);
	assert_true(n < ALL);
	assert_int_equal(mem_host(true)->sessions, 0);
	order(CONTROL_RESUME, 1);
	assert_int_equal(fixture_end(pid), 0);
	assert_all_there();
}

/* A pause ends with its run; and nobody takes a word that is left. */
static void
test_pause_and_kill(void **state)
{
	pid_t pid;
	char name[120];

	(void)state;
	mem_host(true)->batch_ms = 100;
	pid = fixture_begin(&fx);
	while (stored() < 10)
		wait_ms(20);
	order(CONTROL_PAUSE, 1);
	kill(pid, SIGKILL);
	assert_int_equal(fixture_end(pid), -SIGKILL);
	snprintf(name, sizeof name, "%s.lock", fx.state);
	/* Nobody listens: it is withdrawn. */
	{
		struct err e;

		assert_int_equal(control_send(fx.state, CONTROL_PAUSE, 300,
		    &e), 0);
	}
	/* One that was left behind is forgotten. */
	put_word(name, "stop 1\n");
	assert_int_equal(control_take(fx.state), CONTROL_STOP);
	put_word(name, "stop 1\n");
	mem_host(true)->batch_ms = 0;
	assert_int_equal(fixture_run(&fx), 0);
	assert_all_there();
}

/* A link, a second name, or nonsense in place of the word is no word. */
static void
test_hostile_orders(void **state)
{
	char name[120], other[120];
	struct err e;

	(void)state;
	snprintf(name, sizeof name, "%s.lock", fx.state);
	snprintf(other, sizeof other, "%s.other", fx.state);
	unlink(name);
	put_word(other, "stop 1\n");
	assert_int_equal(symlink(other, name), 0);
	assert_int_equal(control_take(fx.state), CONTROL_NONE);
	unlink(name);
	assert_int_equal(link(other, name), 0);
	assert_int_equal(control_take(fx.state), CONTROL_NONE);
	fclose(fopen(fx.state, "w"));
	assert_int_equal(control_send(fx.state, CONTROL_STOP, 100, &e), -1);
	unlink(other);
	put_word(name, "stop it please, whoever you are\n");
	assert_int_equal(control_take(fx.state), CONTROL_NONE);
	put_word(name, "stop 0\n");
	assert_int_equal(control_take(fx.state), CONTROL_NONE);
	put_word(name, "stop 1\n");
	assert_int_equal(control_take(fx.state), CONTROL_STOP);
	assert_int_equal(control_take(fx.state), CONTROL_NONE);
}

/* Asked while the run is being set up: it obeys as soon as it listens. */
static void
test_early_order(void **state)
{
	char line[200];
	pid_t pid;
	FILE *f;

	(void)state;
	mem_host(true)->batch_ms = 300;
	snprintf(line, sizeof line, "%s/ready", fx.dir);
	setenv("FIXTURE_SLOW", line, 1);
	pid = fixture_begin(&fx);
	unsetenv("FIXTURE_SLOW");
	while (access(line, F_OK) == -1)
		wait_ms(10);
	/* The state is held, the pool does not run yet; and it does not
	 * before the word is there. */
	order_in_child(CONTROL_STOP);
	snprintf(line, sizeof line, "%s.lock", fx.state);
	for (bool there = false; !there; wait_ms(10)) {
		assert_non_null(f = fopen(line, "r"));
		fseek(f, 64, SEEK_SET);
		there = fgets(line + 150, 5, f) != NULL &&
		    strcmp(line + 150, "stop") == 0;
		fclose(f);
	}
	snprintf(line, sizeof line, "%s/ready", fx.dir);
	unlink(line);
	assert_int_equal(fixture_end(pid), 75);
	assert_int_equal(end_of_order(), 1);
	assert_true(stored() < ALL);
}

/* What lies beside the state in a directory that others may write to is in
 * nobody's way. */
static void
test_foreign_file(void **state)
{
	char name[120];
	pid_t pid;

	(void)state;
	snprintf(name, sizeof name, "%s.control", fx.state);
	assert_int_equal(mkdir(name, 0700), 0);	/* as good as foreign */
	mem_host(true)->batch_ms = 300;
	pid = fixture_begin(&fx);
	while (stored() == 0)
		wait_ms(20);
	order(CONTROL_STOP, 1);
	assert_int_equal(fixture_end(pid), 75);
	rmdir(name);
}

/* A secret that all accounts share is tried three times. */
static void
test_wrong_secret(void **state)
{
	static const char secret[] = "secret";

	(void)state;
	fx.secret = secret;
	fx.set.lanes = 8;
	for (unsigned i = 0; i <= MORE; i++)
		store(true, i)->login_fails = true;
	assert_int_equal(fixture_run(&fx), 2);
	assert_int_equal(mem_host(true)->opens, 3);
	assert_int_equal(accounts("failed"), MORE + 1);
	assert_int_equal(fixture_number(&fx, "SELECT count(*) FROM account"
	    " WHERE error LIKE 'not tried%'"), MORE + 1 - 3);
	/* One that works for others is not given up for three of them. */
	for (unsigned i = 0; i <= MORE; i++)
		store(true, i)->login_fails = i >= 4 && i < 8;
	assert_int_equal(fixture_run(&fx), 2);
	assert_int_equal(accounts("done"), MORE + 1 - 4);
	assert_int_equal(accounts("failed"), 4);
}

/* While it goes down it calls right passwords wrong: that is not believed. */
static void
test_wrong_while_going(void **state)
{
	static const char secret[] = "secret";
	struct mem_host *h = mem_host(true);

	(void)state;
	fx.secret = secret;
	h->down_ms = 1800;
	h->down_at = 7;
	h->wrong = 4;
	assert_int_equal(fixture_run(&fx), 0);
	assert_int_equal(h->wrong, 0);
	assert_all_there();
	assert_int_equal(accounts("done"), MORE + 1);
}

/* Who is let in before or soon after a refusal says nothing about it. */
static void
test_refusal_is_meant(void **state)
{
	struct settings set = { .patience_s = 7200, .probe_ms = 1000 };
	struct hosts *all = hosts_new(&set, NULL, NULL);
	struct refusal r;
	struct uri *u;
	struct host *h;
	struct err e;

	(void)state;
	assert_int_equal(uri_parse(&u, "imap://joe@host.example", &e), 0);
	h = hosts_get(all, u, SIDE_TARGET);
	assert_false(host_refused(h, &r));
	h->opened_ms = now_ms();
	assert_true(host_refused(h, &r));
	assert_ptr_equal(r.host, h);
	assert_false(host_insists(&r));
	h->opened_ms = r.ms + 10;
	assert_false(host_insists(&r));
	h->opened_ms = r.ms + 1000;
	assert_true(host_insists(&r));
	uv_mutex_lock(&all->mutex);
	host_put_on_hold(h, "connection reset", now_ms());
	assert_int_equal(r.holds + 1, h->holds);
	uv_mutex_unlock(&all->mutex);
	assert_false(host_insists(&r));
	uv_mutex_lock(&all->mutex);
	host_released(h, now_ms());
	uv_mutex_unlock(&all->mutex);
	assert_false(host_insists(&r));
	/* One right after a hold is doubtful from the start. */
	assert_true(host_refused(h, &r));
	h->opened_ms = r.ms + 1000;
	assert_false(host_insists(&r));
	hosts_free(&all);
	uri_free(&u);
}

#ifdef MAILHAUL_FAULTS
/* The disk of the state is nearly full for a while: all wait. */
static void
test_no_space_for_a_while(void **state)
{
	(void)state;
	fx.set.min_free = 1;
	setenv("MAILHAUL_FAULT", "eio@host.space:1", 1);
	assert_int_equal(fixture_run(&fx), 0);
	unsetenv("MAILHAUL_FAULT");
	assert_all_there();
}
#endif

/* There is never that much space: the patience ends it. */
static void
test_no_space(void **state)
{
	(void)state;
	fx.set.min_free = UINT64_MAX;
	fx.set.patience_s = 1;
	assert_int_equal(fixture_run(&fx), 75);
	assert_int_equal(stored(), 0);
	assert_int_equal(mem_host(true)->opens, 0);
	assert_int_equal(accounts("failed"), 0);
}

/* What does not count for the patience is no more than the hold itself. */
static void
test_hold_within_a_tick(void **state)
{
	struct settings set = { .patience_s = 7200, .probe_ms = 1000 };
	struct hosts *all = hosts_new(&set, NULL, NULL);
	struct uri *u;
	struct host *h;
	struct err e;

	(void)state;
	assert_int_equal(uri_parse(&u, "imap://joe@host.example", &e), 0);
	h = hosts_get(all, u, SIDE_TARGET);
	hosts_tick(all, 1000000, time(NULL), false);
	uv_mutex_lock(&all->mutex);
	host_put_on_hold(h, "connection reset", 1000400);
	uv_mutex_unlock(&all->mutex);
	hosts_tick(all, 1001000, time(NULL), true);
	assert_false(host_given_up(h));
	hosts_tick(all, 1001000 + 7201000, time(NULL), true);
	assert_false(host_given_up(h));
	hosts_tick(all, 1001000 + 2 * 7202000, time(NULL), false);
	assert_true(host_given_up(h));
	hosts_free(&all);
	uri_free(&u);
}

/* Hours without lanes are those of servers, not of the state's disk. */
static void
test_disk_and_hours(void **state)
{
	struct limits never = { .n = 0 };
	struct settings set = { .patience_s = 7200, .probe_ms = 1000,
	    .target_limits = &never };
	struct hosts *all;
	struct host *h;
	struct err e;

	(void)state;
	assert_int_equal(limits_add(&never, "00:00-12:00 = 0 lanes", &e), 0);
	assert_int_equal(limits_add(&never, "12:00-24:00 = 0 lanes", &e), 0);
	all = hosts_new(&set, NULL, NULL);
	h = hosts_disk(all, "/tmp");
	assert_int_equal(h->limit.lanes, NO_LANES_LIMIT);
	hosts_free(&all);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_target_goes_and_comes, setup),
		cmocka_unit_test_setup(test_in_doubt, setup),
		cmocka_unit_test_setup(test_source_comes_late, setup),
		cmocka_unit_test_setup(test_patience, setup),
		cmocka_unit_test_setup(test_killed_on_hold, setup),
		cmocka_unit_test_setup(test_sick_message, setup),
		cmocka_unit_test_setup(test_cap, setup),
		cmocka_unit_test_setup(test_cap_hangs, setup),
		cmocka_unit_test_setup(test_cap_is_raised, setup),
		cmocka_unit_test_setup(test_user_cap, setup),
		cmocka_unit_test_setup(test_no_cap, setup),
		cmocka_unit_test_setup(test_one_bad_account, setup),
		cmocka_unit_test_setup(test_spread, setup),
		cmocka_unit_test_setup(test_limit_of_lanes, setup),
		cmocka_unit_test_setup(test_limit_of_hours, setup),
		cmocka_unit_test_setup(test_limit_of_rate, setup),
		cmocka_unit_test_setup(test_stop_time, setup),
		cmocka_unit_test_setup(test_clock_is_set, setup),
		cmocka_unit_test_setup(test_too_long_for_the_rest, setup),
		cmocka_unit_test_setup(test_stop_order, setup),
		cmocka_unit_test_setup(test_pause_and_resume, setup),
		cmocka_unit_test_setup(test_pause_and_kill, setup),
		cmocka_unit_test_setup(test_hostile_orders, setup),
		cmocka_unit_test_setup(test_early_order, setup),
		cmocka_unit_test_setup(test_foreign_file, setup),
		cmocka_unit_test_setup(test_wrong_secret, setup),
		cmocka_unit_test_setup(test_wrong_while_going, setup),
		cmocka_unit_test_setup(test_refusal_is_meant, setup),
		cmocka_unit_test_setup(test_no_space, setup),
		cmocka_unit_test(test_hold_within_a_tick),
		cmocka_unit_test(test_disk_and_hours),
#ifdef MAILHAUL_FAULTS
		cmocka_unit_test_setup(test_no_space_for_a_while, setup),
#endif
	};
	int rc;

	fixture_start(&fx);
	fixture_more(&fx, MORE);
	rc = cmocka_run_group_tests(tests, NULL, NULL);
	fixture_stop(&fx);
	return rc;
}
