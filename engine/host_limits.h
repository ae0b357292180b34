/*
 * Limits of a host: lanes, bytes and messages a second, by the hours of the
 * day; and times of the day.
 *
 * One rule is "2 lanes, 4 MB/s, 50 messages/s", in any order and with what is
 * not limited left out, or the same for some hours: "07:00-19:00 = 2 lanes".
 * Hours are those of the local clock, so that a day with a change of the
 * clock has them as people do; "22:00-06:00" goes over midnight.  What the
 * rule of the hour does not limit, the rule without hours does.
 */
#ifndef ENGINE_HOST_LIMITS_H
#define ENGINE_HOST_LIMITS_H

#include <limits.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "base/err.h"

#define LIMITS_MAX	24
#define NO_LANES_LIMIT	UINT_MAX

struct limit {
	unsigned	 lanes;		/* NO_LANES_LIMIT: any number */
	uint64_t	 bytes_s;	/* 0: no limit */
	uint64_t	 messages_h;	/* an hour, 0: no limit */
};

struct limit_rule {
	unsigned	 from, to;	/* minutes of the day; equal: always */
	struct limit	 limit;
};

struct limits {
	struct limit_rule rules[LIMITS_MAX];
	size_t		 n;
};

/* Adds a rule.  -1: it is none, or its hours are another one's too; *e. */
int	limits_add(struct limits *, const char *text, struct err *e);
/* What is in force at a time. */
void	limits_at(const struct limits *, time_t, struct limit *);

/* "06:00" to the minute of the day, up to 24:00; -1: it is none. */
int	clock_parse(const char *text, unsigned *minute);
/* When the local clock shows that minute next, after now. */
time_t	clock_next(time_t now, unsigned minute);

/*
 * How fast something may go: each amount takes its time at the rate, one
 * after the other.  Zeroed, it is ready.
 */
struct pace {
	uint64_t	 next_us;
};

/* Takes an amount at a rate of so many in per_us; how long to wait before
 * using it.  rate 0: no limit. */
uint64_t pace_take(struct pace *, uint64_t amount, uint64_t rate,
	    uint64_t per_us, uint64_t now_us);

#endif
