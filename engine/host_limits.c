/* Limits of a host, and times of the day. */
#include "host_limits.h"

#include <stdbool.h>
#include <string.h>
#include <strings.h>

#define DAY_MINUTES	1440
#define BURST_US	250000		/* unused time that is not lost */

int
clock_parse(const char *text, unsigned *minute)
{
	unsigned h, m;

	if (strlen(text) != 5 || text[2] != ':')
		return -1;
	for (size_t i = 0; i < 5; i++)
		if (i != 2 && (text[i] < '0' || text[i] > '9'))
			return -1;
	h = (unsigned)(text[0] - '0') * 10 + (unsigned)(text[1] - '0');
	m = (unsigned)(text[3] - '0') * 10 + (unsigned)(text[4] - '0');
	if (m > 59 || h > 24 || (h == 24 && m > 0))
		return -1;
	*minute = h * 60 + m;
	return 0;
}

time_t
clock_next(time_t now, unsigned minute)
{
	struct tm day, t;
	time_t next = -1;

	if (localtime_r(&now, &day) == NULL)
		return now;
	for (int i = 0; i < 3 && next <= now; i++) {
		t = day;
		t.tm_mday += i;
		t.tm_hour = (int)(minute / 60);
		t.tm_min = (int)(minute % 60);
		t.tm_sec = 0;
		t.tm_isdst = -1;	/* of that day */
		next = mktime(&t);
	}
	return next;
}

static const char *
skip_blanks(const char *p)
{
	return p + strspn(p, " \t");
}

/* "HH:MM-HH:MM" and an optional '='.  1: there were hours, 0: none. */
static int
parse_hours(const char **p, struct limit_rule *r, struct err *e)
{
	char from[6] = "", to[6] = "";
	const char *q = *p;

	if (strlen(q) < 3 || q[2] != ':')
		return 0;
	if (strlen(q) >= 11 && q[5] == '-') {
		memcpy(from, q, 5);
		memcpy(to, q + 6, 5);
	}
	if (clock_parse(from, &r->from) == -1 ||
	    clock_parse(to, &r->to) == -1)
		return err_set(e, ERR_RUN, "'%.20s' are no hours such as "
		    "07:00-19:00", q);
	r->from %= DAY_MINUTES;
	if (r->from == r->to || (r->from == 0 && r->to == DAY_MINUTES))
		return err_set(e, ERR_RUN, "'%.11s' is no part of a day", q);
	r->to %= DAY_MINUTES;
	q = skip_blanks(q + 11);
	if (*q == '=')
		q = skip_blanks(q + 1);
	*p = q;
	return 1;
}

/* A number with at most three digits behind the point, in thousandths. */
static int
parse_thousandths(const char **p, uint64_t *n)
{
	const char *start = *p;
	uint64_t unit = 1000;

	for (*n = 0; **p >= '0' && **p <= '9'; ++*p) {
		if (*n > (uint64_t)1000000000 * 1000)
			return -1;
		*n = *n * 10 + (uint64_t)(**p - '0') * 1000;
	}
	if (*p == start)
		return -1;
	if (**p == '.')
		for (++*p; **p >= '0' && **p <= '9' && unit > 1; ++*p) {
			unit /= 10;
			*n += (uint64_t)(**p - '0') * unit;
		}
	return 0;
}

/* One "NUMBER UNIT" of len bytes into the limit. */
static int
set_limit(struct limit *l, uint64_t thousandths, const char *unit, size_t len)
{
	static const struct { const char *name; uint64_t bytes; } sizes[] = {
		{ "B/s", 1 }, { "kB/s", 1000 }, { "MB/s", 1000000 },
		{ "GB/s", 1000000000 }
	};

	if (len >= 4 && len <= 5 && strncasecmp(unit, "lanes", len) == 0) {
		if (thousandths % 1000 != 0 || l->lanes != NO_LANES_LIMIT ||
		    thousandths > 256 * 1000)
			return -1;
		l->lanes = (unsigned)(thousandths / 1000);
		return 0;
	}
	if ((len == 10 && strncasecmp(unit, "messages/s", len) == 0) ||
	    (len == 9 && strncasecmp(unit, "message/s", len) == 0)) {
		l->messages_h = thousandths * 3600 / 1000;
		return l->messages_h > 0 ? 0 : -1;
	}
	for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
		if (len == strlen(sizes[i].name) &&
		    strncasecmp(unit, sizes[i].name, len) == 0) {
			l->bytes_s = thousandths * sizes[i].bytes / 1000;
			return l->bytes_s > 0 ? 0 : -1;
		}
	return -1;
}

static bool
in_hours(const struct limit_rule *r, unsigned minute)
{
	if (r->from <= r->to)
		return minute >= r->from && minute < r->to;
	return minute >= r->from || minute < r->to;
}

static bool
always(const struct limit_rule *r)
{
	return r->from == r->to;
}

static int
check_overlap(const struct limits *l, const struct limit_rule *r,
    struct err *e)
{
	for (size_t i = 0; i < l->n; i++) {
		const struct limit_rule *o = &l->rules[i];

		if (always(o) != always(r))
			continue;
		if (always(r))
			return err_set(e, ERR_RUN, "there is a rule without "
			    "hours already");
		if (in_hours(o, r->from) || in_hours(r, o->from))
			return err_set(e, ERR_RUN, "these hours overlap those "
			    "of another rule");
	}
	return 0;
}

int
limits_add(struct limits *l, const char *text, struct err *e)
{
	struct limit_rule r = { 0, 0, { NO_LANES_LIMIT, 0, 0 } };
	const char *p = skip_blanks(text), *unit;
	uint64_t n;
	size_t len;

	if (parse_hours(&p, &r, e) == -1)
		return -1;
	if (l->n == LIMITS_MAX)
		return err_set(e, ERR_RUN, "more than %d rules", LIMITS_MAX);
	do {
		p = skip_blanks(p);
		if (parse_thousandths(&p, &n) == -1)
			break;
		unit = skip_blanks(p);
		len = strcspn(unit, ", \t");
		if (set_limit(&r.limit, n, unit, len) == -1)
			break;
		p = skip_blanks(unit + len);
		if (*p == '\0') {
			if (check_overlap(l, &r, e) == -1)
				return -1;
			if (always(&r) && r.limit.lanes == 0)
				return err_set(e, ERR_RUN, "0 lanes at all "
				    "hours: nothing would ever be done");
			l->rules[l->n++] = r;
			return 0;
		}
	} while (*p++ == ',');
	return err_set(e, ERR_RUN, "'%.60s' is no limit such as \"2 lanes, "
	    "4 MB/s, 50 messages/s\", with hours such as \"07:00-19:00 =\" "
	    "before it", text);
}

void
limits_at(const struct limits *l, time_t now, struct limit *out)
{
	struct tm t;
	unsigned minute = 0;

	*out = (struct limit){ NO_LANES_LIMIT, 0, 0 };
	if (l->n == 0)
		return;
	if (localtime_r(&now, &t) != NULL)
		minute = (unsigned)(t.tm_hour * 60 + t.tm_min);
	for (int hours = 1; hours >= 0; hours--)
		for (size_t i = 0; i < l->n; i++) {
			const struct limit_rule *r = &l->rules[i];

			if (always(r) == (hours == 1) || (hours == 1 &&
			    !in_hours(r, minute)))
				continue;
			if (out->lanes == NO_LANES_LIMIT)
				out->lanes = r->limit.lanes;
			if (out->bytes_s == 0)
				out->bytes_s = r->limit.bytes_s;
			if (out->messages_h == 0)
				out->messages_h = r->limit.messages_h;
		}
}

uint64_t
pace_take(struct pace *p, uint64_t amount, uint64_t rate, uint64_t per_us,
    uint64_t now_us)
{
	uint64_t start = p->next_us;

	if (rate == 0)
		return 0;
	if (start + BURST_US < now_us)
		start = now_us - BURST_US;
	p->next_us = start + (uint64_t)((double)amount * (double)per_us /
	    (double)rate);
	return start > now_us ? start - now_us : 0;
}
