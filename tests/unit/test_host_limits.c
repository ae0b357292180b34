/* Limits by hours, times of the day, rates, and caps: values only, no run. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "host_cap.h"
#include "host_limits.h"

static void
zone(const char *tz)
{
	setenv("TZ", tz, 1);
	tzset();
}

/* That local time. */
static time_t
at(int y, int mon, int d, int h, int min)
{
	struct tm t = { .tm_year = y - 1900, .tm_mon = mon - 1, .tm_mday = d,
	    .tm_hour = h, .tm_min = min, .tm_isdst = -1 };

	return mktime(&t);
}

static void
add(struct limits *l, const char *text)
{
	struct err e;

	if (limits_add(l, text, &e) == -1)
		fail_msg("%s: %s", text, e.text);
}

static void
test_parse(void **state)
{
	static const char *const bad[] = { "", "2", "lanes", "2 lane s",
	    "2 lanes, 3 lanes", "-1 lanes", "1.5 lanes", "0 lanes", "4 MB",
	    "4 mb/h", "0 MB/s", "25:00-26:00 = 1 lanes", "7:00-19:00 2 lanes",
	    "07:00 = 2 lanes", "07:00-07:00 = 1 lanes",
	    "00:00-24:00 = 1 lanes", "07:00-19:00", "07:00-19:00 =",
	    "2 lanes,", "2 lanes; 4 MB/s", "999 lanes" };
	struct limits l = { .n = 0 };
	struct limit in;
	struct err e;

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
		if (limits_add(&l, bad[i], &e) == 0)
			fail_msg("'%s' is taken", bad[i]);
	assert_int_equal(l.n, 0);
	add(&l, " 2 lanes , 4.5 MB/s,50 messages/s ");
	limits_at(&l, time(NULL), &in);
	assert_int_equal(in.lanes, 2);
	assert_int_equal(in.bytes_s, 4500000);
	assert_int_equal(in.messages_h, 50 * 3600);
	l.n = 0;
	add(&l, "300 kB/s");
	limits_at(&l, time(NULL), &in);
	assert_int_equal(in.lanes, NO_LANES_LIMIT);
	assert_int_equal(in.bytes_s, 300000);
	assert_int_equal(in.messages_h, 0);
	l.n = 0;
	add(&l, "0.5 messages/s");
	limits_at(&l, time(NULL), &in);
	assert_int_equal(in.messages_h, 1800);
}

static void
test_hours(void **state)
{
	struct limits l = { .n = 0 };
	struct limit in;
	struct err e;

	(void)state;
	zone("Europe/Berlin");
	add(&l, "8 lanes, 20 MB/s");
	add(&l, "07:00-19:00 = 2 lanes, 4 MB/s");
	add(&l, "22:00-02:30 = 0 lanes");
	/* What is taken already. */
	assert_int_equal(limits_add(&l, "6 lanes", &e), -1);
	assert_int_equal(limits_add(&l, "18:59-20:00 = 1 lane", &e), -1);
	assert_int_equal(limits_add(&l, "06:00-07:01 = 1 lane", &e), -1);
	assert_int_equal(limits_add(&l, "02:00-03:00 = 1 lane", &e), -1);
	assert_int_equal(limits_add(&l, "20:00-06:00 = 1 lane", &e), -1);
	add(&l, "19:00-22:00 = 1 MB/s");
	limits_at(&l, at(2026, 5, 4, 6, 59), &in);
	assert_int_equal(in.lanes, 8);
	assert_int_equal(in.bytes_s, 20000000);
	limits_at(&l, at(2026, 5, 4, 7, 0), &in);
	assert_int_equal(in.lanes, 2);
	assert_int_equal(in.bytes_s, 4000000);
	limits_at(&l, at(2026, 5, 4, 18, 59), &in);
	assert_int_equal(in.lanes, 2);
	/* What the hours leave open, the rule without hours says. */
	limits_at(&l, at(2026, 5, 4, 19, 0), &in);
	assert_int_equal(in.lanes, 8);
	assert_int_equal(in.bytes_s, 1000000);
	/* Over midnight. */
	limits_at(&l, at(2026, 5, 4, 22, 0), &in);
	assert_int_equal(in.lanes, 0);
	limits_at(&l, at(2026, 5, 5, 0, 0), &in);
	assert_int_equal(in.lanes, 0);
	limits_at(&l, at(2026, 5, 5, 2, 29), &in);
	assert_int_equal(in.lanes, 0);
	assert_int_equal(in.bytes_s, 20000000);
	limits_at(&l, at(2026, 5, 5, 2, 30), &in);
	assert_int_equal(in.lanes, 8);
}

/* On the days on which the clock changes the hours are those it shows. */
static void
test_hours_and_summer_time(void **state)
{
	struct limits l = { .n = 0 };
	struct limit in;
	time_t t;

	(void)state;
	zone("Europe/Berlin");
	add(&l, "07:00-19:00 = 2 lanes");
	/* 2026-03-29: 02:00 is 03:00; 05:00 UTC shows 07:00. */
	t = at(2026, 3, 29, 7, 0);
	assert_int_equal(t % 86400, 5 * 3600);
	limits_at(&l, t - 1, &in);
	assert_int_equal(in.lanes, NO_LANES_LIMIT);
	limits_at(&l, t, &in);
	assert_int_equal(in.lanes, 2);
	/* 2026-10-25: 03:00 is 02:00 again. */
	t = at(2026, 10, 25, 19, 0);
	assert_int_equal(t % 86400, 18 * 3600);
	limits_at(&l, t - 1, &in);
	assert_int_equal(in.lanes, 2);
	limits_at(&l, t, &in);
	assert_int_equal(in.lanes, NO_LANES_LIMIT);
	/* An hour that comes twice is limited twice. */
	l.n = 0;
	add(&l, "02:00-03:00 = 1 lane");
	t = at(2026, 10, 25, 1, 59) + 60;
	for (int i = 0; i < 120; i++) {
		limits_at(&l, t + i * 60, &in);
		assert_int_equal(in.lanes, 1);
	}
	limits_at(&l, t + 120 * 60, &in);
	assert_int_equal(in.lanes, NO_LANES_LIMIT);
}

static void
test_clock(void **state)
{
	static const char *const bad[] = { "", "6:00", "06:60", "24:01",
	    "06:00 ", "aa:00", "06-00" };
	unsigned m;
	time_t now;

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
		assert_int_equal(clock_parse(bad[i], &m), -1);
	assert_int_equal(clock_parse("06:00", &m), 0);
	assert_int_equal(m, 360);
	assert_int_equal(clock_parse("24:00", &m), 0);
	zone("Europe/Berlin");
	/* Friday evening to Saturday morning. */
	now = at(2026, 11, 20, 19, 0);
	assert_int_equal(clock_next(now, 360) - now, 11 * 3600);
	/* Right now means tomorrow. */
	now = at(2026, 11, 20, 6, 0);
	assert_int_equal(clock_next(now, 360) - now, 24 * 3600);
	assert_int_equal(clock_next(now, 361) - now, 60);
	/* The night is an hour shorter, or longer. */
	now = at(2026, 3, 28, 19, 0);
	assert_int_equal(clock_next(now, 360) - now, 10 * 3600);
	now = at(2026, 10, 24, 19, 0);
	assert_int_equal(clock_next(now, 360) - now, 12 * 3600);
	/* A time that this day does not have. */
	now = at(2026, 3, 29, 0, 30);
	assert_true(clock_next(now, 150) > now);
	assert_true(clock_next(now, 150) - now <= 3 * 3600);
	/* Midnight, by both of its names; the end of the year. */
	now = at(2026, 12, 31, 23, 0);
	assert_int_equal(clock_next(now, 0) - now, 3600);
	assert_int_equal(clock_next(now, 1440) - now, 3600);
}

static void
test_pace(void **state)
{
	struct pace p = { 0 };
	uint64_t now = 1000000000, waited = 0, amount = 0;

	(void)state;
	assert_int_equal(pace_take(&p, 1000000, 0, 1000000, now), 0);
	/* 1 MB pieces at 4 MB/s: whoever waits as told keeps the rate. */
	for (int i = 0; i < 40; i++) {
		uint64_t us = pace_take(&p, 1000000, 4000000, 1000000, now);

		now += us;
		waited += us;
		amount += 1000000;
	}
	assert_in_range(waited, 9000000, 10000000);
	/* Unused time is not saved up. */
	now += (uint64_t)3600 * 1000000;
	assert_int_equal(pace_take(&p, 1000000, 4000000, 1000000, now), 0);
	assert_in_range(pace_take(&p, 1000000, 4000000, 1000000, now) +
	    pace_take(&p, 1000000, 4000000, 1000000, now), 1, 500000);
	/* One large piece goes at once, and the next one pays for it. */
	now += 10000000;
	assert_int_equal(pace_take(&p, 40000000, 4000000, 1000000, now), 0);
	assert_in_range(pace_take(&p, 1, 4000000, 1000000, now), 9000000,
	    10000000);
}

#define RAISE 600000

static void
test_cap(void **state)
{
	struct cap c = { 0 };
	uint64_t now = 1000;

	(void)state;
	/* Half as many again at a time, beyond what has worked. */
	for (unsigned n = 0; n < 5; n++) {
		unsigned most = n > 2 ? n / 2 : 1;

		for (unsigned k = 0; k < most; k++) {
			assert_true(cap_allows(&c, n + k, now));
			assert_true(cap_take(&c, n + k));
		}
		assert_false(cap_allows(&c, n + most, now));
		assert_int_equal(cap_worked(&c, n + 1, now, RAISE), 0);
		for (unsigned k = 0; k < most; k++)
			cap_left(&c);
	}
	/* Within it there is no waiting. */
	assert_true(cap_allows(&c, 2, now));
	assert_false(cap_take(&c, 2));
	assert_true(cap_allows(&c, 3, now));
	/* The sixth. */
	assert_true(cap_take(&c, 5));
	cap_refused(&c, 5, now, RAISE, false);
	cap_left(&c);
	assert_int_equal(c.limit, 5);
	assert_false(cap_allows(&c, 5, now));
	assert_true(cap_allows(&c, 4, now));
	/* It is tried again after a long time, then more and more rarely. */
	assert_false(cap_allows(&c, 5, now + RAISE - 1));
	now += RAISE;
	assert_true(cap_allows(&c, 5, now));
	assert_false(cap_allows(&c, 6, now));
	assert_true(cap_take(&c, 5));
	assert_false(cap_allows(&c, 5, now));
	cap_refused(&c, 5, now, RAISE, false);
	cap_left(&c);
	assert_false(cap_allows(&c, 5, now + RAISE));
	now += 2 * RAISE;
	assert_true(cap_allows(&c, 5, now));
	assert_true(cap_take(&c, 5));
	assert_int_equal(cap_worked(&c, 6, now, RAISE), 1);
	cap_left(&c);
	/* One a time. */
	assert_int_equal(c.limit, 6);
	assert_false(cap_allows(&c, 6, now));
	assert_true(cap_allows(&c, 6, now + RAISE));
	/* An earlier run's. */
	cap_start(&c, 3, now, RAISE);
	assert_true(cap_allows(&c, 2, now));
	assert_false(cap_take(&c, 2));
	assert_false(cap_allows(&c, 3, now));
	/* What was no cap. */
	cap_refused(&c, 1, now, RAISE, false);
	assert_int_equal(c.limit, 1);
	cap_take_back(&c, now + 1000);
	assert_int_equal(c.limit, 3);
	/* One that may have been counted wrong is tried again soon, once. */
	c = (struct cap){ .proven = 4 };
	assert_true(cap_take(&c, 4));
	cap_refused(&c, 4, now, RAISE, true);
	cap_left(&c);
	assert_false(cap_allows(&c, 4, now + 2000));
	now += 5000;
	assert_true(cap_allows(&c, 4, now));
	assert_true(cap_take(&c, 4));
	cap_refused(&c, 4, now, RAISE, true);
	cap_left(&c);
	assert_false(cap_allows(&c, 4, now + RAISE - 1));
	assert_true(cap_allows(&c, 4, now + RAISE));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parse),
		cmocka_unit_test(test_hours),
		cmocka_unit_test(test_hours_and_summer_time),
		cmocka_unit_test(test_clock),
		cmocka_unit_test(test_pace),
		cmocka_unit_test(test_cap),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
