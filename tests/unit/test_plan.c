/* A plan is as polite as a copy, and its verdict is what copy would do. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/xmalloc.h"
#include "plan.h"
#include "unit/lib/engine_fixture.h"

#define MORE	FIXTURE_MORE

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
		fixture_add(store(false, i), "INBOX", (int)i, "", 0, "", 1);
		fixture_add(store(false, i), "Sent", (int)i, "", 0, "", 1);
	}
	mem_hosts_reset();
	fixture_drop_state(&fx);
	limits.n = 0;
	rules_free(&fx.rules);
	fx.rules = rules_new();
	fx.set.rules = fx.rules;
	fx.set.lanes = 8;
	fx.set.patience_s = 60;
	fx.set.source_limits = fx.set.target_limits = NULL;
	fx.set.apply_renames = false;
	return 0;
}

/* A plan for all of them with one secret. */
struct planned {
	struct plan	 plan;
	struct account	 accounts[1 + MORE], *todo[1 + MORE];
	char		 names[1 + MORE][8];
};

static struct uri *
uri_of(const struct mem_store *s)
{
	struct uri *uri;
	char text[64];
	struct err e;

	snprintf(text, sizeof text, "mem:%s", s->name);
	assert_int_equal(uri_parse(&uri, text, &e), 0);
	return uri;
}

static struct planned *
plan_now(void)
{
	static const char secret[] = "secret";
	struct planned *p = xcalloc(1, sizeof *p);
	struct err e;

	mem_hosts_begin();
	for (unsigned i = 0; i <= fx.more; i++) {
		struct account *a = &p->accounts[i];

		snprintf(p->names[i], sizeof p->names[i], i == 0 ? "joe" :
		    "a%u", i);
		a->name = a->target_user = p->names[i];
		a->tgt_password = secret;
		a->src_uri = uri_of(store(false, i));
		a->tgt_uri = uri_of(store(true, i));
		p->todo[i] = a;
	}
	p->plan.set = &fx.set;
	p->plan.state_path = fx.state;
	p->plan.todo = p->todo;
	p->plan.n = 1 + fx.more;
	if (plan_make(&p->plan, &e) == -1)
		fail_msg("%s", e.text);
	return p;
}

static void
end_plan(struct planned *p)
{
	plan_release(&p->plan);
	for (unsigned i = 0; i <= fx.more; i++) {
		uri_free(&p->accounts[i].src_uri);
		uri_free(&p->accounts[i].tgt_uri);
	}
	free(p);
}

/* How many have this kind of problem with this in its text, and may pass? */
static unsigned
problems(const struct planned *p, const char *kind, const char *text,
    bool again)
{
	unsigned n = 0;

	for (size_t i = 0; i < p->plan.n; i++) {
		const struct plan_account *pa = &p->plan.accounts[i];
		const struct plan_line *l = pa->problems.first;

		if (pa->ready) {
			assert_null(l);
			continue;
		}
		assert_non_null(l);
		if (getenv("VERBOSE") != NULL)
			fprintf(stderr, "# %s: %s: %s\n", pa->account->name,
			    l->kind, l->text);
		n += strcmp(l->kind, kind) == 0 && strstr(l->text, text) !=
		    NULL && pa->again == again;
	}
	return n;
}

/* A target that another tool has filled: how much is to be read, and what seems
 * to have another name there. */
static void
test_adoption(void **state)
{
	for (int i = 0; i < 2; i++) {
		struct planned *p;
		const struct plan_line *l;
		unsigned reads = 0, maps = 0;

		setup(state);
		fx.more = 0;
		fx.tgt->sha1 = i;
		fixture_add(fx.tgt, "INBOX", 0, "", 0, "", 1);
		for (int k = 0; k < 10; k++) {
			fixture_add(fx.src, "Sent Items", 100 + k, "", 0, "",
			    1000 + k);
			fixture_add(fx.src, "News", 200 + k, "", 0, "", 2000 +
			    k);
			if (k < 7)
				fixture_add(fx.tgt, "Gesendet", 100 + k, "", 0,
				    "", 1000 + k);
			if (k < 4)
				fixture_add(fx.tgt, "Other", 200 + k, "", 0,
				    "", 2000 + k);
		}
		p = plan_now();
		assert_true(p->plan.accounts[0].ready);
		for (l = p->plan.accounts[0].warnings.first; l != NULL;
		    l = l->next) {
			reads += strcmp(l->kind, "reads") == 0 && strstr(
			    l->text, "12 messages") != NULL && strstr(l->text,
			    i ? "index" : "bodies") != NULL;
			if (strcmp(l->kind, "map") != 0)
				continue;
			maps++;
			assert_string_equal(l->mailbox, "Sent Items");
			assert_non_null(strstr(l->text, "7 of its 10"));
			assert_non_null(strstr(l->text,
			    "'Sent Items -> Gesendet'"));
		}
		assert_int_equal(reads, 1);
		assert_int_equal(maps, 1);
		end_plan(p);
		assert_int_equal(fx.tgt->nstored + fx.tgt->nchanges, 0);
	}
	fx.tgt->sha1 = false;
}

/* A secret that all share is tried three times, by all lanes together. */
static void
test_wrong_secret(void **state)
{
	struct planned *p;

	(void)state;
	mem_host(true)->open_ms = 10;
	for (unsigned i = 0; i <= MORE; i++)
		store(true, i)->login_fails = true;
	p = plan_now();
	assert_int_equal(mem_host(true)->opens, 3);
	assert_int_equal(problems(p, "login", "", false), MORE + 1);
	assert_int_equal(problems(p, "login", "not tried", false), MORE + 1 -
	    3);
	end_plan(p);
}

/* One that works for others is not given up for some in a row. */
static void
test_some_refused(void **state)
{
	struct planned *p;

	(void)state;
	for (unsigned i = 0; i <= MORE; i++)
		store(true, i)->login_fails = i >= 3 && i < 9;
	fx.set.lanes = 1;
	p = plan_now();
	assert_int_equal(p->plan.ready, MORE + 1 - 6);
	assert_int_equal(problems(p, "login", "login refused", false), 6);
	end_plan(p);
}

static void
add_limit(const char *text)
{
	struct err e;

	assert_int_equal(limits_add(&limits, text, &e), 0);
	fx.set.target_limits = &limits;
}

static void
test_limit_of_lanes(void **state)
{
	struct planned *p;

	(void)state;
	add_limit("2 lanes");
	mem_host(true)->open_ms = 20;
	p = plan_now();
	assert_int_equal(p->plan.ready, MORE + 1);
	assert_int_equal(mem_host(true)->opens, MORE + 1);
	assert_true(mem_host(true)->most <= 2);
	end_plan(p);
}

/* No lane at this hour: nothing is opened, and a later plan may know more. */
static void
test_closed_hours(void **state)
{
	struct planned *p;
	time_t now = time(NULL), t;
	struct tm from, to;
	char text[60];

	(void)state;
	setenv("TZ", "UTC", 1);
	tzset();
	t = now - 3600;
	localtime_r(&t, &from);
	t = now + 3600;
	localtime_r(&t, &to);
	snprintf(text, sizeof text, "%02d:%02d-%02d:%02d = 0 lanes",
	    from.tm_hour, from.tm_min, to.tm_hour, to.tm_min);
	add_limit(text);
	p = plan_now();
	assert_int_equal(mem_host(true)->opens, 0);
	assert_int_equal(mem_host(false)->opens, 0);
	assert_int_equal(problems(p, "hours", "target-limit", true), MORE +
	    1);
	end_plan(p);
}

/* What an earlier run has found out is not tried anew. */
static void
test_known_cap(void **state)
{
	struct planned *p;

	(void)state;
	mem_host(true)->open_ms = 20;
	fx.more = 0;
	assert_int_equal(fixture_run(&fx), 0);
	fx.more = MORE;
	fixture_sql(&fx, "UPDATE host SET cap = 2 WHERE side = 1");
	mem_host(true)->cap = 2;
	p = plan_now();
	assert_int_equal(p->plan.ready, MORE + 1);
	assert_int_equal(mem_host(true)->refused, 0);
	end_plan(p);
}

/* Sessions beyond a cap are refused, and no account for it. */
static void
test_unknown_cap(void **state)
{
	struct planned *p;

	(void)state;
	mem_host(true)->open_ms = 20;
	mem_host(true)->cap = 2;
	p = plan_now();
	assert_int_equal(p->plan.ready, MORE + 1);
	assert_true(mem_host(true)->most <= 2);
	end_plan(p);
}

/* A host that is away is tried by one lane, for a while, and told. */
static void
test_away(void **state)
{
	struct planned *p;

	(void)state;
	fx.set.patience_s = 1;
	mem_host(true)->down_ms = 3600000;
	mem_host(true)->down_until = now_ms() + 3600000;
	p = plan_now();
	assert_int_equal(problems(p, "target", "connection refused", true),
	    MORE + 1);
	/* Not three times by each. */
	assert_true(mem_host(true)->opens < 3 * (MORE + 1));
	end_plan(p);
	/* One that is back soon is looked at. */
	fx.set.patience_s = 60;
	mem_host(true)->down_ms = 300;
	mem_host(true)->down_until = now_ms() + 300;
	p = plan_now();
	assert_int_equal(p->plan.ready, MORE + 1);
	end_plan(p);
}

/* A host that fails one account and no other: it ends, for this one. */
static void
test_one_bad_account(void **state)
{
	struct planned *p;

	(void)state;
	store(true, 5)->unavailable = true;
	fx.set.patience_s = 3;
	p = plan_now();
	assert_int_equal(p->plan.ready, MORE);
	assert_int_equal(problems(p, "target", "unavailable", true), 1);
	end_plan(p);
}

static void
only_joe(void)
{
	fx.more = 0;
	fx.set.lanes = 1;
}

/* More strange mail than a plan reads: copy refuses, and it says so. */
static void
test_many_strange(void **state)
{
	struct planned *p;

	(void)state;
	only_joe();
	for (int i = 0; i < 700; i++)
		fixture_add(fx.tgt, "INBOX", 5000 + i, "", 0, "", 1);
	p = plan_now();
	assert_int_equal(problems(p, "strangers-mail", "700 messages", false),
	    1);
	assert_int_equal(problems(p, "strangers-mail", "the 500 that were",
	    false), 1);
	assert_true(fx.tgt->nread <= 500);
	end_plan(p);
	assert_int_equal(fixture_run(&fx), 2);
	assert_int_equal(fx.tgt->nstored, 0);
	/* One that is the source's shows itself in the smallest. */
	fixture_drop_state(&fx);
	fixture_add(fx.tgt, "Sent", 0, "", 0, "", 1);
	p = plan_now();
	assert_int_equal(p->plan.ready, 1);
	end_plan(p);
	assert_int_equal(fixture_run(&fx), 0);
}

static void
map(const char *text)
{
	struct err e;

	assert_int_equal(rules_add_map(fx.rules, text, &e), 0);
	fx.set.apply_renames = true;
}

/* Verdict and copy agree, with renames to be done. */
static void
agree(bool ready, const char *why)
{
	struct planned *p = plan_now();

	assert_int_equal(p->plan.ready, ready);
	if (!ready)
		assert_int_equal(problems(p, "rename", why, false), 1);
	end_plan(p);
	assert_int_equal(fixture_run(&fx), ready ? 0 : 2);
}

static void
test_renames(void **state)
{
	(void)state;
	only_joe();
	fixture_add(fx.src, "Work/Old", 70, "", 0, "", 1);
	fixture_add(fx.src, "Work", 71, "", 0, "", 1);
	assert_int_equal(fixture_run(&fx), 0);
	map("Work/ -> Job/");
	agree(true, NULL);
	assert_int_equal(fx.tgt->nstored, 4);
	/* In a circle. */
	map("Sent -> Box");
	map("INBOX/none -> none");
	agree(true, NULL);
	assert_non_null(mem_folder_get(fx.tgt, "Box", false));
}

static void
test_circle(void **state)
{
	(void)state;
	only_joe();
	fixture_add(fx.src, "Work", 71, "", 0, "", 1);
	assert_int_equal(fixture_run(&fx), 0);
	map("Work -> Sent");
	map("Sent -> Work");
	agree(true, NULL);
}

static void
test_name_taken(void **state)
{
	(void)state;
	only_joe();
	assert_int_equal(fixture_run(&fx), 0);
	fixture_add(fx.tgt, "Gesendet", 900, "", 0, "", 1);
	map("Sent -> Gesendet");
	agree(false, "there is a mailbox of that name already");
}

static void
test_old_one_gone(void **state)
{
	struct mem_folder *f;

	(void)state;
	only_joe();
	assert_int_equal(fixture_run(&fx), 0);
	f = mem_folder_get(fx.tgt, "Sent", false);
	assert_non_null(f);
	memcpy(f->name, "Else", 4);
	map("Sent -> Gesendet");
	agree(false, "no longer at the target");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_adoption),
		cmocka_unit_test_setup(test_wrong_secret, setup),
		cmocka_unit_test_setup(test_some_refused, setup),
		cmocka_unit_test_setup(test_limit_of_lanes, setup),
		cmocka_unit_test_setup(test_closed_hours, setup),
		cmocka_unit_test_setup(test_known_cap, setup),
		cmocka_unit_test_setup(test_unknown_cap, setup),
		cmocka_unit_test_setup(test_away, setup),
		cmocka_unit_test_setup(test_one_bad_account, setup),
		cmocka_unit_test_setup(test_many_strange, setup),
		cmocka_unit_test_setup(test_renames, setup),
		cmocka_unit_test_setup(test_circle, setup),
		cmocka_unit_test_setup(test_name_taken, setup),
		cmocka_unit_test_setup(test_old_one_gone, setup),
	};
	int rc;

	fixture_start(&fx);
	fixture_more(&fx, MORE);
	rc = cmocka_run_group_tests(tests, NULL, NULL);
	fixture_stop(&fx);
	return rc;
}
