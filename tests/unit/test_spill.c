/* Sorted records in memory and on disk; "test_spill measure N" times it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/spill.h"

static uint64_t seed;

static uint64_t
rnd(void)
{
	seed = seed * 6364136223846793005UL + 1442695040888963407UL;
	return seed ^ seed >> 29;
}

/* n records of about size bytes: sorted, complete, twice the same. */
static void
run(size_t n, size_t size)
{
	struct spill *s = spill_new();
	unsigned char *rec = malloc(size + 16), *last = malloc(size + 16);
	uint64_t key, last_key = 0, sum = 0, got;
	size_t i, k, len, last_len = 0;
	const void *p;
	struct err e;
	int pass, rc, c;

	seed = 42;
	for (i = 0; i < n; i++) {
		/* Few keys, some with the top bit, so that bytes decide too. */
		key = (rnd() & 7) << 61 | (rnd() & 15);
		len = size > 0 ? rnd() % size : 0;
		for (k = 0; k < len; k++)
			rec[k] = (unsigned char)(k < 2 ? rnd() >> 7 : k);
		sum += key * 31 + len * 7 + (len > 1 ? rec[1] : 0);
		assert_int_equal(spill_put(s, key, rec, len, &e), 0);
	}
	assert_int_equal(spill_count(s), n);
	assert_int_equal(spill_sort(s, &e), 0);
	for (pass = 0; pass < 2; pass++) {
		got = 0;
		for (i = 0; (rc = spill_next(s, &key, &p, &len, &e)) == 1;
		    i++) {
			const unsigned char *b = p;

			got += key * 31 + len * 7 + (len > 1 ? b[1] : 0);
			if (i > 0) {
				assert_true(last_key <= key);
				if (last_key == key) {
					k = len < last_len ? len : last_len;
					c = memcmp(last, b, k);
					assert_true(c < 0 || (c == 0 &&
					    last_len <= len));
				}
			}
			last_key = key;
			memcpy(last, b, len);
			last_len = len;
		}
		assert_int_equal(rc, 0);
		assert_int_equal(i, n);
		assert_true(got == sum);
		assert_int_equal(spill_next(s, &key, &p, &len, &e), 0);
		assert_int_equal(spill_rewind(s, &e), 0);
	}
	spill_free(&s);
	assert_null(s);
	free(rec);
	free(last);
}

static void
test_empty(void **state)
{
	(void)state;
	run(0, 10);
}

static void
test_memory(void **state)
{
	(void)state;
	run(1, 10);
	run(1000, 0);
	run(5000, 100);
}

static void
test_disk(void **state)
{
	(void)state;
	run(300000, 0);			/* by number */
	run(100000, 200);		/* by bytes */
	run(3, 9000000);		/* one is too large for memory */
}

static void
test_no_disk(void **state)
{
	struct spill *s = spill_new();
	char rec[100000] = "";
	struct err e;
	int i, rc = 0;

	(void)state;
	setenv("SQLITE_TMPDIR", "/nonexistent", 1);
	setenv("TMPDIR", "/nonexistent", 1);
	/* SQLite falls back to other directories: either is fine, as long as
	 * a failure is told. */
	for (i = 0; i < 100 && rc == 0; i++)
		rc = spill_put(s, 1, rec, sizeof rec, &e);
	if (rc == -1)
		assert_int_equal(e.scope, ERR_MAILBOX);
	spill_free(&s);
	unsetenv("SQLITE_TMPDIR");
	unsetenv("TMPDIR");
}

static double
now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static int
measure(size_t n)
{
	struct spill *s = spill_new();
	char rec[60], line[200];
	uint64_t key;
	const void *p;
	size_t i, len;
	struct err e;
	double t0 = now(), t1;
	FILE *f;

	memset(rec, 'x', sizeof rec);
	for (i = 0; i < n; i++) {
		snprintf(rec, sizeof rec, "%016llx",
		    (unsigned long long)rnd());
		if (spill_put(s, rnd(), rec, sizeof rec, &e) == -1)
			return 1;
	}
	t1 = now();
	if (spill_sort(s, &e) == -1)
		return 1;
	for (i = 0; spill_next(s, &key, &p, &len, &e) == 1; i++)
		;
	printf("%zu records: put %.2f s, sort and read %.2f s\n", i, t1 - t0,
	    now() - t1);
	spill_free(&s);
	if ((f = fopen("/proc/self/status", "r")) != NULL) {
		while (fgets(line, sizeof line, f) != NULL)
			if (strncmp(line, "VmHWM", 5) == 0)
				fputs(line, stdout);
		fclose(f);
	}
	return 0;
}

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_empty),
		cmocka_unit_test(test_memory),
		cmocka_unit_test(test_disk),
		cmocka_unit_test(test_no_disk),
	};

	if (argc == 3 && strcmp(argv[1], "measure") == 0)
		return measure(strtoul(argv[2], NULL, 10));
	return cmocka_run_group_tests(tests, NULL, NULL);
}
