/*
 * Dates of mail, without libc's time zones.
 *
 * RFC 3501 date-time (INTERNALDATE, between its quotes):
 *	" 4-Jan-2001 05:06:07 +0200"
 * RFC 5322 date, also in the forms that old and broken software wrote:
 *	[weekday[,]] 4 Jan[uary] [20]01 05:06[:07] [AM|PM] [zone] anything
 *	[weekday[,]] Jan 4 05:06[:07] [zone] 2001 [zone] anything
 * with '-' for blanks in the first date, comments in () anywhere, zone as
 * +hhmm, +hh:mm, +hh, a name, or a name with an offset (GMT+0100).  A year of
 * two digits is 1950 to 2049, of three digits 1900 + n.  A named zone that is
 * not in the table counts as UTC, zoned = false.
 */
#include "base/date.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";

int64_t
date_days(int64_t year, unsigned month, unsigned day)
{
	int64_t era, doy, yoe;

	/* Years that begin in March end with the leap day; 400 of them, an
	 * era, have 146097 days, and era 0 began 719468 days before 1970. */
	if (month <= 2)
		year--;
	era = (year >= 0 ? year : year - 399) / 400;
	yoe = year - era * 400;
	doy = (153 * (int64_t)((month + 9) % 12) + 2) / 5 + (int64_t)day - 1;
	return era * 146097 + yoe * 365 + yoe / 4 - yoe / 100 + doy - 719468;
}

static unsigned
month_days(int64_t year, unsigned month)
{
	static const unsigned char days[] = {
		31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31
	};

	if (month == 2 &&
	    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0))
		return 29;
	return days[month - 1];
}

int
date_internal(char out[27], int64_t epoch, int zone)
{
	int64_t days, secs, year;
	unsigned month, day;
	int n, off;

	/* Beyond these the sums below could overflow. */
	if (zone < -1439 || zone > 1439 ||
	    epoch < INT64_C(-99999999999) || epoch > INT64_C(999999999999))
		return -1;
	epoch += (int64_t)zone * 60;
	days = epoch / 86400;
	secs = epoch % 86400;
	if (secs < 0) {
		secs += 86400;
		days--;
	}
	/* A guess that is at most one year off, then the right one. */
	year = 1970 + days * 400 / 146097;
	while (date_days(year, 1, 1) > days)
		year--;
	while (date_days(year + 1, 1, 1) <= days)
		year++;
	if (year < 0 || year > 9999)
		return -1;
	for (month = 12; date_days(year, month, 1) > days; month--)
		;
	day = (unsigned)(days - date_days(year, month, 1)) + 1;
	off = zone < 0 ? -zone : zone;
	n = snprintf(out, 27, "%2u-%.3s-%04d %02d:%02d:%02d %c%02d%02d", day,
	    months + 3 * (month - 1), (int)year, (int)(secs / 3600),
	    (int)(secs / 60 % 60), (int)(secs % 60), zone < 0 ? '-' : '+',
	    off / 60, off % 60);
	return n == 26 ? 0 : -1;
}

static int
month_of(const char *p)
{
	int i;

	for (i = 0; i < 12; i++)
		if (strncasecmp(p, months + i * 3, 3) == 0)
			return i + 1;
	return 0;
}

static int
finish(struct date *d, int64_t year, int month, int day, int hour, int min,
    int sec, int zone, bool zoned)
{
	/* 60 is a leap second: the next minute's first. */
	if (year < 0 || year > 9999 || month < 1 || month > 12 || day < 1 ||
	    day > (int)month_days(year, (unsigned)month) || hour > 23 ||
	    min > 59 || sec > 60 || zone < -1439 || zone > 1439)
		return -1;
	d->epoch = date_days(year, (unsigned)month, (unsigned)day) * 86400 +
	    hour * 3600 + min * 60 + sec - (int64_t)zone * 60;
	d->zone = zone;
	d->zoned = zoned;
	return 0;
}

/* n digits at p; -1 when one of them is none. */
static int
digits(const char *p, size_t n)
{
	int v = 0;

	for (; n > 0; n--, p++) {
		if (*p < '0' || *p > '9')
			return -1;
		v = v * 10 + (*p - '0');
	}
	return v;
}

int
date_parse_internal(const char *p, size_t len, struct date *d)
{
	int day, year, hour, min, sec, zh, zm;
	char t[26];

	/* The leading blank is what some servers leave out. */
	if (len == 25) {
		t[0] = '0';
		memcpy(t + 1, p, 25);
	} else if (len == 26) {
		memcpy(t, p, 26);
		if (t[0] == ' ')
			t[0] = '0';
	} else
		return -1;
	day = digits(t, 2);
	year = digits(t + 7, 4);
	hour = digits(t + 12, 2);
	min = digits(t + 15, 2);
	sec = digits(t + 18, 2);
	zh = digits(t + 22, 2);
	zm = digits(t + 24, 2);
	if (t[2] != '-' || t[6] != '-' || t[11] != ' ' || t[14] != ':' ||
	    t[17] != ':' || t[20] != ' ' || (t[21] != '+' && t[21] != '-') ||
	    day == -1 || year == -1 || hour == -1 || min == -1 || sec == -1 ||
	    zh == -1 || zm == -1 || zm > 59)
		return -1;
	zm += zh * 60;
	return finish(d, year, month_of(t + 3), day, hour, min, sec,
	    t[21] == '-' ? -zm : zm, true);
}

/* What is left of a date's text. */
struct text {
	const char	*p, *end;
};

/* Skips blanks, folds and comments.  An unclosed comment is the rest. */
static void
skip(struct text *t)
{
	unsigned depth = 0;

	for (; t->p < t->end; t->p++) {
		if (*t->p == '(')
			depth++;
		else if (depth > 0) {
			if (*t->p == ')')
				depth--;
			else if (*t->p == '\\' && t->p + 1 < t->end)
				t->p++;
		} else if (*t->p != ' ' && *t->p != '\t' && *t->p != '\r' &&
		    *t->p != '\n')
			break;
	}
}

/* The byte at hand, 0 at the end. */
static char
peek(const struct text *t)
{
	return t->p < t->end ? *t->p : '\0';
}

static bool
take(struct text *t, char c)
{
	if (peek(t) != c)
		return false;
	t->p++;
	return true;
}

static bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* Bytes >= 0x80 too: names of weekdays in other languages. */
static bool
is_letter(char c)
{
	return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
	    (unsigned char)c >= 0x80;
}

/* A number of at most max digits after blanks; its digits, 0: none here. */
static size_t
number(struct text *t, size_t max, int *v)
{
	size_t n = 0;

	skip(t);
	while (t->p + n < t->end && is_digit(t->p[n]))
		n++;
	if (n == 0 || n > max)
		return 0;
	*v = digits(t->p, n);
	t->p += n;
	return n;
}

/* The letters after blanks; their number. */
static size_t
word(struct text *t, const char **w)
{
	size_t n = 0;

	skip(t);
	*w = t->p;
	while (t->p < t->end && is_letter(*t->p)) {
		t->p++;
		n++;
	}
	return n;
}

/* An English month, three letters or more of it; 0 when w is none. */
static int
month_word(const char *w, size_t n)
{
	static const char *const full[] = {
		"january", "february", "march", "april", "may", "june", "july",
		"august", "september", "october", "november", "december"
	};
	int m;

	if (n < 3 || (m = month_of(w)) == 0)
		return 0;
	if (n > strlen(full[m - 1]) || strncasecmp(w, full[m - 1], n) != 0)
		return 0;
	return m;
}

/* hh:mm[:ss] [AM|PM] */
static int
time_of_day(struct text *t, int *hour, int *min, int *sec)
{
	struct text before;
	const char *w;

	*sec = 0;
	if (number(t, 2, hour) == 0)
		return -1;
	skip(t);
	if (!take(t, ':') || number(t, 2, min) == 0)
		return -1;
	skip(t);
	if (take(t, ':')) {
		if (number(t, 2, sec) == 0)
			return -1;
		/* Fractions of a second are dropped. */
		if (take(t, '.'))
			while (is_digit(peek(t)))
				t->p++;
	}
	before = *t;
	if (word(t, &w) == 2 && (w[1] == 'M' || w[1] == 'm') &&
	    strchr("APap", w[0]) != NULL) {
		if (*hour < 1 || *hour > 12)
			return -1;
		*hour %= 12;
		if (w[0] == 'P' || w[0] == 'p')
			*hour += 12;
	} else
		*t = before;
	return 0;
}

struct zone {
	char	 name[6];
	int	 min;
};

static const struct zone zones[] = {
	{ "UT", 0 }, { "UTC", 0 }, { "GMT", 0 }, { "Z", 0 }, { "WET", 0 },
	{ "EST", -300 }, { "EDT", -240 }, { "CST", -360 }, { "CDT", -300 },
	{ "MST", -420 }, { "MDT", -360 }, { "PST", -480 }, { "PDT", -420 },
	{ "WEST", 60 }, { "BST", 60 }, { "CET", 60 }, { "CEST", 120 },
	{ "MET", 60 }, { "MEST", 120 }, { "EET", 120 }, { "EEST", 180 },
	{ "MSK", 180 }, { "JST", 540 }
};

/* +hhmm, +hh:mm, +hh, +h */
static bool
offset(struct text *t, int *zone)
{
	struct text before = *t;
	int sign, v, m = 0;
	size_t n;

	sign = peek(t) == '-' ? -1 : 1;
	if (peek(t) != '+' && peek(t) != '-')
		return false;
	t->p++;
	if (!is_digit(peek(t)) || (n = number(t, 4, &v)) == 0) {
		*t = before;
		return false;
	}
	if (n <= 2) {
		if (take(t, ':') && number(t, 2, &m) == 0)
			m = 60;
	} else {
		m = v % 100;
		v /= 100;
	}
	if (m > 59 || v > 23) {
		*t = before;
		return false;
	}
	*zone = sign * (v * 60 + m);
	return true;
}

/* Reads a zone if there is one. */
static void
read_zone(struct text *t, int *zone, bool *zoned)
{
	struct text before;
	const char *w;
	size_t n, i;

	skip(t);
	if (offset(t, zone)) {
		*zoned = true;
		return;
	}
	before = *t;
	if ((n = word(t, &w)) == 0)
		return;
	for (i = 0; i < sizeof zones / sizeof zones[0]; i++)
		if (n == strlen(zones[i].name) &&
		    strncasecmp(w, zones[i].name, n) == 0) {
			*zone = zones[i].min;
			*zoned = true;
			/* GMT+0100 means what follows GMT. */
			if (*zone == 0 && offset(t, zone))
				return;
			before = *t;
			if (word(t, &w) == 3 && strncasecmp(w, "DST", 3) == 0)
				*zone += 60;	/* MET DST */
			else
				*t = before;
			return;
		}
	if (n > 5)
		*t = before;	/* no zone, whatever it is */
}

static int64_t
full_year(int year, size_t ndigits)
{
	if (ndigits == 2)
		return year < 50 ? 2000 + year : 1900 + year;
	return ndigits == 3 ? 1900 + year : year;
}

int
date_parse_822(const char *p, size_t len, struct date *d)
{
	struct text t = { p, p + len }, before;
	int day, month, year, hour, min, sec, zone = 0;
	bool zoned = false;
	const char *w;
	size_t n;

	before = t;
	n = word(&t, &w);
	if (n > 0 && month_word(w, n) == 0) {
		/* A weekday, in any language; it decides nothing. */
		while (take(&t, '.') || take(&t, ','))
			skip(&t);
		skip(&t);
		(void)take(&t, ',');
		before = t;
		n = word(&t, &w);
	}
	if (n > 0) {			/* Jan 4 05:06:07 [zone] 2001 [zone] */
		if ((month = month_word(w, n)) == 0 ||
		    number(&t, 2, &day) == 0)
			return -1;
		skip(&t);
		(void)take(&t, ',');
		if (time_of_day(&t, &hour, &min, &sec) == -1)
			return -1;
		read_zone(&t, &zone, &zoned);
		if ((n = number(&t, 4, &year)) != 4)
			return -1;
	} else {			/* 4 Jan 2001 05:06:07 [zone] */
		t = before;
		if (number(&t, 2, &day) == 0)
			return -1;
		skip(&t);
		(void)(take(&t, '-') || take(&t, '.'));
		n = word(&t, &w);
		if ((month = month_word(w, n)) == 0)
			return -1;
		skip(&t);
		(void)(take(&t, '-') || take(&t, '.') || take(&t, ','));
		if ((n = number(&t, 4, &year)) < 2)
			return -1;
		skip(&t);
		(void)take(&t, ',');
		if (time_of_day(&t, &hour, &min, &sec) == -1)
			return -1;
	}
	if (!zoned)
		read_zone(&t, &zone, &zoned);
	return finish(d, full_year(year, n), month, day, hour, min, sec, zone,
	    zoned);
}
