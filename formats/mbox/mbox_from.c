/*
 * The separator line of an mbox.
 *
 *	From SENDER DATE [remote from HOST]
 *
 * SENDER is anything: absent, quoted, with blanks ("user at host"), "-"
 * (Mozilla), "???@???" (Eudora), NUMBER@xxx (Gmail Takeout).  So the date is
 * looked for at the end of the line; it has to reach that end:
 *
 *	DATE  = DAY-MON {TIME ZONES YEAR | YEAR TIME} ZONES
 *	      | D-MON-YEAR TIME ZONES
 *	      | YYYY-MM-DD {blank | T} TIME ZONES
 *	DAY-MON = MON D | D MON, with "," or "." after any of them
 *	TIME  = h:mm[:ss[.f]] [AM|PM]
 *	ZONES = up to four of: known names, two to five capitals, DST, +hhmm,
 *		+hh:mm, GMT+h, (words)
 *	YEAR  = 2 to 4 digits; 3 are years since 1900 (software of 2000)
 *
 * A month may be English, German, French, Spanish, Italian, Dutch or
 * Portuguese.  After a weekday any word may stand for the month: the line is
 * then dated, but the date is unusable, as it is with a day 32.  What the
 * weekday says is of no interest.  A zone that nobody can place (unknown
 * letters) counts as none.
 */
#include "mbox/mbox_from.h"

#include <string.h>
#include <strings.h>
#include <time.h>

#include "base/date.h"

/* Tokens at the end of the line that can belong to the date. */
#define TOKENS	14

struct token {
	const char	*p;
	size_t		 len;
};

struct clock {
	unsigned	hour, minute, second;
	bool		good;
};

static bool
digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool
letter(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* Letters, or bytes of letters in some 8-bit or UTF-8 spelling. */
static bool
wordy(const char *p, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (!letter(p[i]) && (unsigned char)p[i] < 0x80)
			return false;
	return len > 0;
}

/* Up to 9 digits that are the whole of p. */
static bool
number(const char *p, size_t len, unsigned *v)
{
	if (len == 0 || len > 9)
		return false;
	*v = 0;
	for (size_t i = 0; i < len; i++) {
		if (!digit(p[i]))
			return false;
		*v = *v * 10 + (unsigned)(p[i] - '0');
	}
	return true;
}

static bool
is(const struct token *t, const char *word)
{
	return t->len == strlen(word) && strncasecmp(t->p, word, t->len) == 0;
}

/* Without one "," or "." at the end. */
static struct token
trimmed(const struct token *t)
{
	struct token r = *t;

	if (r.len > 1 && (r.p[r.len - 1] == ',' || r.p[r.len - 1] == '.'))
		r.len--;
	return r;
}

static unsigned
month_of(const struct token *t)
{
	static const struct { char name[11]; unsigned char month; } names[] = {
		{ "jan", 1 }, { "feb", 2 }, { "mar", 3 }, { "apr", 4 },
		{ "may", 5 }, { "jun", 6 }, { "jul", 7 }, { "aug", 8 },
		{ "sep", 9 }, { "oct", 10 }, { "nov", 11 }, { "dec", 12 },
		{ "january", 1 }, { "february", 2 }, { "march", 3 },
		{ "april", 4 }, { "june", 6 }, { "july", 7 }, { "august", 8 },
		{ "sept", 9 }, { "september", 9 }, { "october", 10 },
		{ "november", 11 }, { "december", 12 },
		/* de */
		{ "m\xc3\xa4r", 3 }, { "m\xe4r", 3 }, { "mrz", 3 },
		{ "m\xc3\xa4rz", 3 }, { "m\xe4rz", 3 }, { "mai", 5 },
		{ "okt", 10 }, { "dez", 12 },
		/* fr */
		{ "janv", 1 }, { "f\xc3\xa9v", 2 }, { "f\xe9v", 2 },
		{ "f\xc3\xa9vr", 2 }, { "f\xe9vr", 2 }, { "mars", 3 },
		{ "avr", 4 }, { "avril", 4 }, { "juin", 6 }, { "juil", 7 },
		{ "ao\xc3\xbb", 8 }, { "ao\xfb", 8 }, { "ao\xc3\xbbt", 8 },
		{ "ao\xfbt", 8 }, { "d\xc3\xa9" "c", 12 }, { "d\xe9" "c", 12 },
		/* es, it, nl, pt */
		{ "ene", 1 }, { "abr", 4 }, { "ago", 8 }, { "dic", 12 },
		{ "gen", 1 }, { "mag", 5 }, { "giu", 6 }, { "lug", 7 },
		{ "set", 9 }, { "ott", 10 }, { "mrt", 3 }, { "mei", 5 },
		{ "fev", 2 }, { "out", 10 },
	};
	struct token w = trimmed(t);

	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
		if (is(&w, names[i].name))
			return names[i].month;
	return 0;
}

/* A weekday: any word with a capital (languages have many), or one that is
 * written without.  Words of prose mostly have neither form. */
static bool
weekday_like(const struct token *t)
{
	static const char small[][5] = {
		"lun", "mar", "mer", "jeu", "ven", "sam", "dim", "mi\xc3\xa9",
		"mi\xe9", "jue", "vie", "s\xc3\xa1" "b", "s\xe1" "b", "sab",
		"dom", "gio", "seg", "ter", "qua", "qui", "sex",
	};
	struct token w = trimmed(t);

	if (w.len < 2 || w.len > 12 || !wordy(w.p, w.len))
		return false;
	if (w.p[0] >= 'A' && w.p[0] <= 'Z')
		return true;
	for (size_t i = 0; i < sizeof small / sizeof small[0]; i++)
		if (is(&w, small[i]))
			return true;
	return false;
}

/* h:mm[:ss[.f]] with AM or PM stuck to it or not; the length is all of p. */
static bool
clock_of(const struct token *t, struct clock *c)
{
	const char *p = t->p, *end = t->p + t->len;
	unsigned v[3] = { 0, 0, 0 };
	bool pm = false, half = false;
	int n = 0;

	while (n < 3) {
		const char *start = p;

		while (p < end && digit(*p) && p - start < 2)
			p++;
		if (!number(start, (size_t)(p - start), &v[n]) ||
		    (n > 0 && p - start != 2))
			return false;
		n++;
		if (p == end || *p != ':')
			break;
		p++;
	}
	if (n < 2)
		return false;
	if (n == 3 && p < end && (*p == '.' || *p == ',')) {
		const char *start = ++p;

		while (p < end && digit(*p))
			p++;
		if (p == start)
			return false;
	}
	if (end - p == 2 && (strncasecmp(p, "am", 2) == 0 ||
	    strncasecmp(p, "pm", 2) == 0)) {
		half = true;
		pm = *p == 'p' || *p == 'P';
		p += 2;
	}
	if (p != end)
		return false;
	c->hour = v[0];
	c->minute = v[1];
	c->second = v[2];
	c->good = v[0] < 24 && v[1] < 60 && v[2] <= 60;
	if (half) {
		c->good = c->good && v[0] >= 1 && v[0] <= 12;
		c->hour = v[0] % 12 + (pm ? 12 : 0);
	}
	return true;
}

static bool
year_of(const struct token *t, int *year)
{
	unsigned v;

	if (t->len < 2 || t->len > 4 || !number(t->p, t->len, &v))
		return false;
	if (t->len == 2)
		v += v < 70 ? 2000 : 1900;
	else if (t->len == 3)
		v += 1900;
	*year = (int)v;
	return true;
}

static bool
day_of(const struct token *t, unsigned *day)
{
	struct token w = trimmed(t);

	return w.len <= 2 && number(w.p, w.len, day);
}

/* [+-]h, hh, hhmm or hh:mm. */
static bool
offset_of(const char *p, size_t len, int *minutes)
{
	unsigned h, m = 0;
	bool minus;

	if (len < 2 || (*p != '+' && *p != '-'))
		return false;
	minus = *p == '-';
	p++;
	len--;
	if (len == 5 && p[2] == ':') {
		if (!number(p, 2, &h) || !number(p + 3, 2, &m))
			return false;
	} else if (len == 4) {
		if (!number(p, 2, &h) || !number(p + 2, 2, &m))
			return false;
	} else if (len > 2 || !number(p, len, &h))
		return false;
	if (h > 23 || m > 59)
		return false;
	*minutes = (int)(h * 60 + m) * (minus ? -1 : 1);
	return true;
}

/* 1: a zone that is known, 0: letters that are some zone, -1: no zone. */
static int
zone_of(const struct token *t, int *minutes)
{
	static const struct { char name[5]; short hours; } names[] = {
		{ "UT", 0 }, { "UTC", 0 }, { "GMT", 0 }, { "Z", 0 },
		{ "WET", 0 }, { "WEST", 1 }, { "BST", 1 },
		{ "CET", 1 }, { "MET", 1 }, { "MEZ", 1 }, { "CEST", 2 },
		{ "MEST", 2 }, { "MESZ", 2 }, { "EET", 2 }, { "EEST", 3 },
		{ "MSK", 3 }, { "MSD", 4 }, { "JST", 9 }, { "KST", 9 },
		{ "HKT", 8 }, { "SGT", 8 }, { "AEST", 10 }, { "AEDT", 11 },
		{ "NZST", 12 }, { "NZDT", 13 },
		{ "AST", -4 }, { "ADT", -3 }, { "EST", -5 }, { "EDT", -4 },
		{ "CST", -6 }, { "CDT", -5 }, { "MST", -7 }, { "MDT", -6 },
		{ "PST", -8 }, { "PDT", -7 }, { "AKST", -9 }, { "AKDT", -8 },
		{ "HST", -10 },
	};

	if (offset_of(t->p, t->len, minutes))
		return 1;
	if (t->len > 4 && (strncasecmp(t->p, "GMT", 3) == 0 ||
	    strncasecmp(t->p, "UTC", 3) == 0) &&
	    offset_of(t->p + 3, t->len - 3, minutes))
		return 1;
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
		if (is(t, names[i].name)) {
			*minutes = names[i].hours * 60;
			return 1;
		}
	/* Words of prose are not in capitals. */
	for (size_t i = 0; i < t->len; i++)
		if (t->p[i] < 'A' || t->p[i] > 'Z')
			return -1;
	return t->len >= 2 && t->len <= 5 ? 0 : -1;
}

/* Reads zones from t[i] on; the first number, else the first name, counts. */
static size_t
zones(const struct token *t, size_t i, size_t n, struct from_line *f)
{
	bool by_number = false, by_name = false;
	int minutes;

	for (int k = 0; k < 4 && i < n; k++) {
		if (is(&t[i], "DST")) {
			/* "MET DST": the zone before, one hour on. */
			if (by_name && !by_number && f->zone < 14 * 60)
				f->zone += 60;
			by_name = false;
			i++;
			continue;
		}
		if (t[i].p[0] == '(') {
			size_t j = i;

			while (j < n && t[j].p[t[j].len - 1] != ')')
				j++;
			if (j == n)
				return i;
			i = j + 1;
			continue;
		}
		switch (zone_of(&t[i], &minutes)) {
		case -1:
			return i;
		case 1:
			if (!letter(t[i].p[0]) ? !by_number : !f->zoned) {
				f->zone = minutes;
				f->zoned = true;
				by_number = !letter(t[i].p[0]);
				by_name = !by_number;
			}
			break;
		default:
			break;
		}
		i++;
	}
	return i;
}

/* TIME and an AM or PM after it; the next token, or 0 if there is no TIME. */
static size_t
time_at(const struct token *t, size_t i, size_t n, struct clock *c)
{
	if (i >= n || !clock_of(&t[i], c))
		return 0;
	i++;
	if (i < n && (is(&t[i], "AM") || is(&t[i], "PM"))) {
		c->good = c->good && c->hour >= 1 && c->hour <= 12;
		c->hour = c->hour % 12 + (is(&t[i], "PM") ? 12 : 0);
		i++;
	}
	return i;
}

/* D-MON-YEAR or YYYY-MM-DD, the latter with THH:MM:SS and a zone behind. */
static bool
dashed(const struct token *t, struct from_line *f, struct token *rest)
{
	const char *a = t->p, *end = t->p + t->len, *b, *c;
	struct token part;
	unsigned v;

	b = memchr(a, '-', t->len);
	if (b == NULL || (c = memchr(b + 1, '-', (size_t)(end - b - 1))) ==
	    NULL)
		return false;
	part = (struct token){ b + 1, (size_t)(c - b - 1) };
	rest->p = end;
	rest->len = 0;
	if (b - a == 4) {
		if (!number(a, 4, &v) || part.len != 2 ||
		    !number(part.p, 2, &f->month) || end - c < 3 ||
		    !number(c + 1, 2, &f->day))
			return false;
		f->year = (int)v;
		if (end - c > 3) {
			if (c[3] != 'T' && c[3] != 't')
				return false;
			rest->p = c + 4;
			rest->len = (size_t)(end - c - 4);
		}
		return true;
	}
	if (b - a > 2 || !number(a, (size_t)(b - a), &f->day))
		return false;
	f->month = month_of(&part);
	part = (struct token){ c + 1, (size_t)(end - c - 1) };
	return f->month != 0 && year_of(&part, &f->year);
}

static bool
in_range(const struct from_line *f, const struct clock *c)
{
	static const unsigned char days[] = {
		31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31
	};

	return c->good && f->month >= 1 && f->month <= 12 && f->day >= 1 &&
	    f->day <= days[f->month - 1] && f->year >= 1900;
}

static void
set_clock(struct from_line *f, const struct clock *c)
{
	f->hour = c->hour;
	f->minute = c->minute;
	f->second = c->second;
	f->usable = in_range(f, c);
}

/* An ISO time may have its zone stuck to it: cut it off. */
static bool
iso_time(const struct token *rest, struct from_line *f, struct clock *c)
{
	struct token w = *rest;
	size_t i;

	for (i = 0; i < w.len; i++)
		if (w.p[i] == '+' || w.p[i] == '-' || letter(w.p[i]))
			break;
	if (i < w.len) {
		struct token z = { w.p + i, w.len - i };

		if (zone_of(&z, &f->zone) != 1)
			return false;
		f->zoned = true;
		w.len = i;
	}
	return clock_of(&w, c);
}

/* Is there a date that begins at t[i] and ends with t[n - 1]? */
static bool
date_at(const struct token *t, size_t i, size_t n, struct from_line *out)
{
	struct from_line f = *out;
	struct clock c = { 0 };
	struct token rest;
	bool weekday, strange = false;
	size_t k;

	f.zoned = false;
	f.zone = 0;
	weekday = i > 0 && weekday_like(&t[i - 1]);

	if (dashed(&t[i], &f, &rest)) {
		if (rest.len > 0) {
			if (!iso_time(&rest, &f, &c))
				return false;
			k = i + 1;
		} else if ((k = time_at(t, i + 1, n, &c)) == 0)
			return false;
		if (zones(t, k, n, &f) != n)
			return false;
		f.form = FROM_WEAK;
		set_clock(&f, &c);
		*out = f;
		return true;
	}

	if (n - i < 4)
		return false;
	if (day_of(&t[i + 1], &f.day)) {
		f.month = month_of(&t[i]);
		/* A month in some other language. */
		strange = f.month == 0 && weekday && t[i].len >= 3 &&
		    t[i].len <= 12 && wordy(t[i].p, trimmed(&t[i]).len);
	} else if (day_of(&t[i], &f.day))
		f.month = month_of(&t[i + 1]);
	else
		return false;
	if (f.month == 0 && !strange)
		return false;

	k = time_at(t, i + 2, n, &c);
	if (k != 0) {
		k = zones(t, k, n, &f);
		if (k >= n || !year_of(&t[k], &f.year))
			return false;
		k++;
	} else {
		if (!year_of(&t[i + 2], &f.year))
			return false;
		if ((k = time_at(t, i + 3, n, &c)) == 0)
			return false;
	}
	if (zones(t, k, n, &f) != n)
		return false;
	f.form = weekday ? FROM_DATED : FROM_WEAK;
	set_clock(&f, &c);
	*out = f;
	return true;
}

static bool
thread_number(const struct token *t)
{
	size_t i = 0;

	while (i < t->len && digit(t->p[i]))
		i++;
	return i > 0 && t->len - i == 4 && memcmp(t->p + i, "@xxx", 4) == 0;
}

void
from_parse(const char *p, size_t len, struct from_line *f)
{
	struct token t[TOKENS], first = { p, 0 };
	const char *end = p + len;
	size_t n = 0, total = 0;

	memset(f, 0, sizeof *f);
	for (;;) {
		const char *start;

		while (p < end && (*p == ' ' || *p == '\t'))
			p++;
		start = p;
		while (p < end && *p != ' ' && *p != '\t')
			p++;
		if (p == start)
			break;
		if (n == TOKENS) {
			memmove(t, t + 1, (TOKENS - 1) * sizeof t[0]);
			n--;
		}
		t[n++] = (struct token){ start, (size_t)(p - start) };
		if (total++ == 0)
			first = t[0];
	}
	f->dash = total > 0 && first.len == 1 && first.p[0] == '-';
	f->thread = total > 0 && thread_number(&first);
	if (n >= 3 && is(&t[n - 3], "remote") && is(&t[n - 2], "from"))
		n -= 3;
	for (size_t i = 0; i < n; i++)
		if (date_at(t, i, n, f))
			return;
	if (total == 0 || (total == 1 && f->dash))
		f->form = FROM_BARE;
	else if (total == 1)
		f->form = f->thread ? FROM_THREAD : FROM_WORD;
	else
		f->form = FROM_OTHER;
}

/* Seconds that local time is ahead of UTC at that moment; -1: no such. */
static int
local_offset(int64_t epoch, int64_t *seconds)
{
	time_t when = (time_t)epoch;
	struct tm tm;

	if (localtime_r(&when, &tm) == NULL)
		return -1;
	*seconds = tm.tm_gmtoff;
	return 0;
}

int
from_epoch(const struct from_line *f, const struct from_zone *z,
    int64_t *epoch, int *zone)
{
	int64_t civil, ahead;

	if (!f->usable)
		return -1;
	civil = date_days(f->year, f->month, f->day) * 86400 +
	    (int64_t)f->hour * 3600 + (int64_t)f->minute * 60 +
	    (int64_t)f->second;
	if (f->zoned || z->fixed)
		ahead = (int64_t)(f->zoned ? f->zone : z->minutes) * 60;
	else if (local_offset(civil, &ahead) == -1 ||
	    local_offset(civil - ahead, &ahead) == -1)
		/* Twice, for dates near a change of the clocks.  mktime()
		 * would look at the zone file each time. */
		return -1;
	*epoch = civil - ahead;
	*zone = (int)(ahead / 60);
	return 0;
}

int
from_zone_parse(const char *s, struct from_zone *z)
{
	z->fixed = true;
	z->minutes = 0;
	if (strcasecmp(s, "local") == 0) {
		z->fixed = false;
		return 0;
	}
	if (strcasecmp(s, "utc") == 0 || strcasecmp(s, "gmt") == 0)
		return 0;
	return strlen(s) >= 5 && offset_of(s, strlen(s), &z->minutes) ? 0 : -1;
}
