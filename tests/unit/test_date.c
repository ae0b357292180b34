/* Dates: arithmetic against libc, both formats, odd spellings. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/date.h"

static void
test_days(void **state)
{
	struct tm tm;
	time_t t;
	long day;

	(void)state;
	assert_int_equal(date_days(1970, 1, 1), 0);
	assert_int_equal(date_days(2000, 3, 1), 11017);
	assert_int_equal(date_days(0, 1, 1), -719528);
	assert_int_equal(date_days(9999, 12, 31), 2932896);
	for (day = -719528; day <= 2932896; day += 13) {
		t = (time_t)day * 86400;
		assert_non_null(gmtime_r(&t, &tm));
		assert_int_equal(date_days(tm.tm_year + 1900,
		    (unsigned)tm.tm_mon + 1, (unsigned)tm.tm_mday), day);
	}
}

static void
test_internal(void **state)
{
	struct date d;
	struct tm tm;
	char out[27], want[40];
	int64_t epoch;
	time_t t;
	int zone;

	(void)state;
	assert_int_equal(date_internal(out, 978577567, 120), 0);
	assert_string_equal(out, " 4-Jan-2001 05:06:07 +0200");
	assert_int_equal(date_internal(out, 0, 0), 0);
	assert_string_equal(out, " 1-Jan-1970 00:00:00 +0000");
	assert_int_equal(date_internal(out, 0, -210), 0);
	assert_string_equal(out, "31-Dec-1969 20:30:00 -0330");
	assert_int_equal(date_internal(out, INT64_C(253402300799), 0), 0);
	assert_string_equal(out, "31-Dec-9999 23:59:59 +0000");
	assert_int_equal(date_internal(out, INT64_C(-62167219200), 0), 0);
	assert_string_equal(out, " 1-Jan-0000 00:00:00 +0000");
	assert_int_equal(date_internal(out, INT64_C(253402300800), 0), -1);
	assert_int_equal(date_internal(out, INT64_C(-62167219201), 0), -1);
	assert_int_equal(date_internal(out, INT64_MAX, 0), -1);
	assert_int_equal(date_internal(out, INT64_MIN, 0), -1);
	assert_int_equal(date_internal(out, 0, 1440), -1);

	for (epoch = INT64_C(-62000000000); epoch < INT64_C(253000000000);
	    epoch += INT64_C(98765432)) {
		zone = (int)(epoch % 1439);
		assert_int_equal(date_internal(out, epoch, zone), 0);
		assert_int_equal(date_parse_internal(out, 26, &d), 0);
		assert_true(d.epoch == epoch);
		assert_int_equal(d.zone, zone);
		assert_true(d.zoned);
		t = (time_t)(epoch + zone * 60);
		assert_non_null(gmtime_r(&t, &tm));
		strftime(want, sizeof want, "%e-%b-", &tm);
		assert_memory_equal(out, want, 7);
		strftime(want, sizeof want, "%H:%M:%S", &tm);
		assert_memory_equal(out + 12, want, 8);
	}
}

static void
test_parse_internal(void **state)
{
	static const char *const bad[] = {
		"", "4-Jan-2001 05:06:07", "32-Jan-2001 05:06:07 +0000",
		"29-Feb-2001 05:06:07 +0000", " 0-Jan-2001 05:06:07 +0000",
		" 4-Foo-2001 05:06:07 +0000", " 4-Jan-2001 24:06:07 +0000",
		" 4-Jan-2001 05:60:07 +0000", " 4-Jan-2001 05:06:61 +0000",
		" 4-Jan-2001 05:06:07 +2400", " 4-Jan-2001 05:06:07 +0060",
		" 4-Jan-2001 05:06:07  0000", " 4-Jan-2001_05:06:07 +0000",
		" 4 Jan 2001 05:06:07 +0000", "x4-Jan-2001 05:06:07 +0000",
		" 4-Jan-2001 05:06:07 +000x",
	};
	struct date d;
	size_t i;

	(void)state;
	assert_int_equal(date_parse_internal("04-JAN-2001 05:06:07 +0200", 26,
	    &d), 0);
	assert_int_equal(d.epoch, 978577567);
	assert_int_equal(date_parse_internal("4-Jan-2001 05:06:07 +0200", 25,
	    &d), 0);
	assert_int_equal(d.epoch, 978577567);
	assert_int_equal(date_parse_internal("29-Feb-2000 00:00:00 +0000", 26,
	    &d), 0);
	for (i = 0; i < sizeof bad / sizeof bad[0]; i++)
		assert_int_equal(date_parse_internal(bad[i], strlen(bad[i]),
		    &d), -1);
}

struct odd { const char *text; int64_t epoch; int zone; bool zoned; };

#define T INT64_C(978584767)	/* 2001-01-04 05:06:07 UTC */

static const struct odd odd[] = {
	{ "Thu, 4 Jan 2001 05:06:07 +0000", T, 0, true },
	{ "Thu, 04 Jan 2001 05:06:07 +0200", T - 7200, 120, true },
	{ "4 Jan 2001 05:06:07 -0330", T + 12600, -210, true },
	{ "4 Jan 2001 05:06 GMT", T - 7, 0, true },
	{ "Thu, 4 Jan 01 05:06:07 UT", T, 0, true },
	{ "Thu, 4 Jan 101 05:06:07 UT", T, 0, true },
	{ "Thu,4 January 2001 5:06:07 EST", T + 18000, -300, true },
	{ "Thu, 4-Jan-2001 05:06:07 PDT", T + 25200, -420, true },
	{ "Thu, 4-Jan-01 05:06:07 GMT", T, 0, true },
	{ "Thu, 4 Jan 2001 05:06:07 -0000", T, 0, true },
	{ "Thu, 4 Jan 2001 05:06:07", T, 0, false },
	{ "Thu, 4 Jan 2001 05:06:07 XYZ", T, 0, false },
	{ "Thu, 4 Jan 2001 05:06:07 A", T, 0, false },
	{ "Thu, 4 Jan 2001 05:06:07 +0200 (CEST)", T - 7200, 120, true },
	{ "Thu, (a (nested\\)) one) 4 Jan (x) 2001 05:06:07 (y) +0200",
	    T - 7200, 120, true },
	{ " \r\n\tThu,\r\n 4 Jan 2001\r\n 05:06:07\r\n +0200\r\n", T - 7200,
	    120, true },
	{ "Thu, 4 Jan 2001 05:06:07 GMT+0100", T - 3600, 60, true },
	{ "Thu, 4 Jan 2001 05:06:07 +01:30", T - 5400, 90, true },
	{ "Thu, 4 Jan 2001 05:06:07 +02", T - 7200, 120, true },
	{ "Thu, 4 Jan 2001 05 : 06 : 07 +0000", T, 0, true },
	{ "Thu, 4 Jan 2001 05:06:07.123 +0000", T, 0, true },
	{ "Thu, 4 Jan 2001 05:06:07 AM +0000", T, 0, true },
	{ "Thu, 4 Jan 2001 05:06:07 PM", T + 43200, 0, false },
	{ "Thu, 4 Jan 2001 12:06:07 am GMT", T - 18000, 0, true },
	{ "Thu Jan  4 05:06:07 2001", T, 0, false },
	{ "Thu Jan 04 05:06:07 2001 +0200", T - 7200, 120, true },
	{ "Thu Jan  4 05:06:07 EST 2001", T + 18000, -300, true },
	{ "Thu Jan 04 05:06:07 +0000 2001", T, 0, true },
	{ "Thu Jan  4 05:06:07 MET DST 2001", T - 7200, 120, true },
	{ "Thu Jan  4 05:06 2001", T - 7, 0, false },
	{ "Jan 4 05:06:07 2001", T, 0, false },
	{ "Don, 4 Jan 2001 05:06:07 +0000", T, 0, true },
	{ "Do., 4 Jan 2001 05:06:07 +0000", T, 0, true },
	{ "Thu, 4 Jan 2001 05:06:07 GMT Standard Time", T, 0, true },
	{ "Sun, 31 Dec 2000 23:59:60 +0000", 978307200, 0, true },
	{ "Fri, 1 Jan 50 00:00:00 GMT", -631152000, 0, true },
	{ "Fri, 1 Jan 49 00:00:00 GMT", INT64_C(2493072000), 0, true },
};

static void
test_parse_822(void **state)
{
	static const char *const bad[] = {
		"", "   ", "Thu", "Thu,", "4", "4 Jan", "4 Jan 2001",
		"Thu, 4 Foo 2001 05:06:07 +0000",
		"Thu, 32 Jan 2001 05:06:07 +0000",
		"Thu, 29 Feb 2001 05:06:07 +0000",
		"Thu, 4 Jan 2001 25:06:07 +0000",
		"Thu, 4 Jan 2001 05:66:07 +0000",
		"Thu, 4 Jan 2001 05-06-07 +0000",
		"Thu, 4 Jan 20010 05:06:07 +0000",
		"Thu, 4 Jan 2001 13:06:07 PM",
		"Thu, 4 Janus 2001 05:06:07 +0000",
		"Thu Jan  4 05:06:07", "Thu Jan  4 05:06:07 01",
		"(4 Jan 2001 05:06:07", "2001-01-04 05:06:07",
		"Thu, 44444444444444444444 Jan 2001 05:06:07",
	};
	struct date d;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof odd / sizeof odd[0]; i++) {
		const struct odd *o = &odd[i];

		if (date_parse_822(o->text, strlen(o->text), &d) != 0 ||
		    d.epoch != o->epoch || d.zone != o->zone ||
		    d.zoned != o->zoned)
			fail_msg("\"%s\": %lld %d %d", o->text,
			    (long long)d.epoch, d.zone, d.zoned);
	}
	for (i = 0; i < sizeof bad / sizeof bad[0]; i++)
		if (date_parse_822(bad[i], strlen(bad[i]), &d) == 0)
			fail_msg("\"%s\" was taken", bad[i]);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_days),
		cmocka_unit_test(test_internal),
		cmocka_unit_test(test_parse_internal),
		cmocka_unit_test(test_parse_822),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
