/* The fixture of the engine's tests and what they share. */
#include "unit/lib/engine_case.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>

#include "base/buf.h"

struct fixture fx;

int
case_setup(void **state)
{
	(void)state;
	mem_store_reset(fx.src);
	mem_store_reset(fx.tgt);
	mem_folder_get(fx.tgt, "INBOX", true);
	fixture_drop_state(&fx);
	fx.set.lanes = fx.set.lanes_per_account = 1;
	fx.set.settle_ms = 0;
	fx.set.merge_existing = fx.set.repair = fx.set.remove_doubles = false;
	rules_free(&fx.rules);
	fx.rules = rules_new();
	fx.set.rules = fx.rules;
	fx.set.retry_refused = false;
	fx.set.refusal_rule = "repair=no";
	unsetenv("MAILHAUL_FAULT");
	unsetenv("MAILHAUL_FAULT_LOG");
	unsetenv("MAILHAUL_MUTATE");
	return 0;
}

/* Twins, triplets of one size and date, raw 8-bit headers, flags. */
void
fill_source(void)
{
	int i;

	for (i = 0; i < 9; i++)
		fixture_add(fx.src, "INBOX", i, "", i % 32, i % 3 ? "work" :
		    "", 1000000000 + i);
	for (i = 0; i < 2; i++)		/* equal to the byte */
		fixture_add(fx.src, "INBOX", 500, "", 0, "", 1100000000);
	for (i = 0; i < 3; i++)		/* size and date alike */
		fixture_add(fx.src, "INBOX", 600 + i, "", 0, "", 1200000000);
	fixture_add(fx.src, "INBOX", 700, "X-8: \xe4\xf6\r\n", 0, "", 1300000000);
	fixture_add(fx.src, "INBOX", 700, "X-8: \xe4\xf7\r\n", 0, "", 1300000000);
	for (i = 0; i < 6; i++)
		fixture_add(fx.src, "Work/Old", 800 + i, "", MSG_SEEN, "",
		    1400000000 + i);
	fixture_add(fx.src, "Sent", 900, "", MSG_SEEN, "", 1500000000);
}

/* What the target holds, all folders. */
char *
target_text(void)
{
	static const char *const names[] = { "INBOX", "Work/Old", "Sent" };
	struct buf b;

	buf_init(&b, (size_t)64 << 20);
	for (size_t i = 0; i < 3; i++) {
		char *c = fixture_contents(fx.tgt, names[i]);

		buf_addf(&b, "== %s\n", names[i]);
		buf_adds(&b, c);
		free(c);
	}
	return buf_detach(&b, NULL);
}

char *
source_text(void)
{
	struct mem_store *tgt = fx.tgt;
	char *s;

	fx.tgt = fx.src;
	s = target_text();
	fx.tgt = tgt;
	return s;
}

void
assert_target_is(const char *want)
{
	char *got = target_text();

	assert_string_equal(got, want);
	free(got);
}

/* One run with a fault, which must show. */
int
faulty_run(const char *spec)
{
	int rc;

	setenv("MAILHAUL_FAULT", spec, 1);
	rc = fixture_run(&fx);
	unsetenv("MAILHAUL_FAULT");
	return rc;
}
