/* File names, separator lines and mailbox names of CommuniGate. */
#include "cgp/cgp_name.h"

#include <string.h>

#include "base/date.h"
#include "base/mutf7.h"

static bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool
is_alpha(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static size_t
digits_at(const char *p, size_t len)
{
	size_t n = 0;

	while (n < len && is_digit(p[n]))
		n++;
	return n;
}

static unsigned
number(const char *p, size_t n)
{
	unsigned v = 0;

	for (; n > 0; n--, p++)
		v = v * 10 + (unsigned)(*p - '0');
	return v;
}

/* 0: no number from 1 to 2^32-1 in at most 10 digits. */
static uint32_t
uid_of(const char *p, size_t n)
{
	uint64_t v = 0;

	if (n == 0 || n > 10)
		return 0;
	for (; n > 0; n--, p++)
		v = v * 10 + (uint64_t)(*p - '0');
	return v <= UINT32_MAX ? (uint32_t)v : 0;
}

/* False: there is no such moment. */
static bool
moment(unsigned year, unsigned month, unsigned day, unsigned hour,
    unsigned minute, unsigned second, int64_t *epoch)
{
	static const unsigned char days[] = {
		31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31
	};
	bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);

	if (year < 1970 || month < 1 || month > 12 || day < 1 ||
	    day > days[month - 1] + (month == 2 && leap ? 1U : 0U) ||
	    hour > 23 || minute > 59 || second > 60)
		return false;
	*epoch = (date_days(year, month, day) * 24 + hour) * 3600 +
	    minute * 60 + second;
	return true;
}

enum cgp_file
cgp_file_parse(struct cgp_file_name *f, const char *p, size_t len)
{
	const char *end = p + len, *q, *t;
	size_t n;

	memset(f, 0, sizeof *f);
	if ((n = digits_at(p, len)) == 0)
		return CGP_FILE_OTHER;
	f->uid = uid_of(p, n);
	q = p + n;
	if (f->uid == 0 || q == end || *q != '-')
		return CGP_FILE_ALMOST;
	f->flags = ++q;
	if ((q = memchr(q, '-', (size_t)(end - q))) == NULL)
		return CGP_FILE_ALMOST;
	f->nflags = (size_t)(q - f->flags);
	t = q + 1;
	if (digits_at(t, (size_t)(end - t)) != 14)
		return CGP_FILE_ALMOST;
	f->tail = t + 14;
	f->ntail = (size_t)(end - f->tail);
	if (f->ntail > 0 && memchr("-_.", *f->tail, 3) == NULL)
		return CGP_FILE_ALMOST;
	f->timed = moment(number(t, 4), number(t + 4, 2), number(t + 6, 2),
	    number(t + 8, 2), number(t + 10, 2), number(t + 12, 2), &f->epoch);
	return CGP_FILE_MESSAGE;
}

/* Separators */

/* "[d]d-mm-yyyy_hh:mm:ss[_tail]" */
static bool
newer_time(struct cgp_sep *s, const char *p, size_t len)
{
	size_t n = digits_at(p, len);

	if (n < 1 || n > 2 || len - n < 17 || p[n] != '-')
		return false;
	p += n + 1;
	len -= n + 1;
	if (digits_at(p, 2) != 2 || p[2] != '-' || digits_at(p + 3, 4) != 4 ||
	    p[7] != '_' || digits_at(p + 8, 2) != 2 || p[10] != ':' ||
	    digits_at(p + 11, 2) != 2 || p[13] != ':' ||
	    digits_at(p + 14, 2) != 2 || (len > 16 && p[16] != '_'))
		return false;
	s->newer = true;
	s->timed = moment(number(p + 3, 4), number(p, 2),
	    number(p - n - 1, n), number(p + 8, 2), number(p + 11, 2),
	    number(p + 14, 2), &s->epoch);
	s->tail = p + 16;
	s->ntail = len - 16;
	return true;
}

static bool
blanks(const char **p, const char *end, size_t most)
{
	const char *q = *p;

	while (q < end && *q == ' ')
		q++;
	if (q == *p || (size_t)(q - *p) > most)
		return false;
	*p = q;
	return true;
}

/* "Www Mmm [d]d hh:mm:ss [zone] yyyy" */
static bool
older_time(struct cgp_sep *s, const char *p, size_t len)
{
	const char *end = p + len, *q, *begin = p;
	struct date d;
	size_t n;

	while (end > p && end[-1] == ' ')
		end--;
	if (end - p < 20 || !is_alpha(p[0]) || !is_alpha(p[1]) ||
	    !is_alpha(p[2]) || p[3] != ' ' || !is_alpha(p[4]) ||
	    !is_alpha(p[5]) || !is_alpha(p[6]))
		return false;
	p += 7;
	if (!blanks(&p, end, 2))
		return false;
	n = digits_at(p, (size_t)(end - p));
	if (n < 1 || n > 2)
		return false;
	p += n;
	if (!blanks(&p, end, 2) || end - p < 8 || digits_at(p, 2) != 2 ||
	    p[2] != ':' || digits_at(p + 3, 2) != 2 || p[5] != ':' ||
	    digits_at(p + 6, 2) != 2)
		return false;
	p += 8;
	if (!blanks(&p, end, 2))
		return false;
	/* A zone, then the year. */
	q = end - 4;
	if (q < p || digits_at(q, 4) != 4 || (q > p && q[-1] != ' ') ||
	    q - p > 8 || (q > p && memchr(p, ' ', (size_t)(q - 1 - p)) != NULL))
		return false;
	if (date_parse_822(begin, (size_t)(end - begin), &d) == 0) {
		s->timed = true;
		s->zoned = d.zoned;
		s->zone = d.zone;
		s->epoch = d.epoch;
	}
	return true;
}

static bool
any_time(struct cgp_sep *s, const char *p, size_t len)
{
	return newer_time(s, p, len) || older_time(s, p, len);
}

/* "(FLAGS-UID[-...])" whose ')' is at close: the '(' or NULL. */
static const char *
bracket(struct cgp_sep *s, const char *begin, const char *close)
{
	const char *open, *p;
	size_t n;

	open = memrchr(begin, '(', (size_t)(close - begin));
	if (open == NULL || memchr(open, ')', (size_t)(close - open)) != NULL)
		return NULL;
	s->flags = open + 1;
	p = memchr(s->flags, '-', (size_t)(close - s->flags));
	if (p == NULL)
		return NULL;
	s->nflags = (size_t)(p - s->flags);
	p++;
	n = digits_at(p, (size_t)(close - p));
	if (n == 0 || (p + n < close && p[n] != '-'))
		return NULL;
	s->uid = uid_of(p, n);
	return open;
}

static bool
is_sender(const char *p, size_t n)
{
	if (n == 0)
		return false;
	return (p[0] == '<' && p[n - 1] == '>') || memchr(p, ' ', n) == NULL;
}

static bool
parse_cgp(struct cgp_sep *s, const char *p, const char *end)
{
	const char *close = end, *open, *t;

	while ((close = memrchr(p, ')', (size_t)(close - p))) != NULL) {
		memset(s, 0, sizeof *s);
		t = close + 1;
		while (t < end && *t == ' ' && t - close <= 2)
			t++;
		/* The day may have a blank for its first digit. */
		if (t < end && *t == ' ' && t - close == 3)
			t++;
		if (any_time(s, t, (size_t)(end - t)) &&
		    (open = bracket(s, p, close)) != NULL &&
		    is_sender(p, (size_t)(open - p))) {
			s->kind = CGP_SEP_CGP;
			s->sender = p;
			s->nsender = (size_t)(open - p);
			return true;
		}
	}
	return false;
}

void
cgp_sep_parse(struct cgp_sep *s, const char *p, size_t len)
{
	const char *end = p + len, *q;

	memset(s, 0, sizeof *s);
	if (len < 5 || len > CGP_SEP_MAX || memcmp(p, "From ", 5) != 0)
		return;
	p += 5;
	if (parse_cgp(s, p, end))
		return;
	memset(s, 0, sizeof *s);
	q = memchr(p, ' ', (size_t)(end - p));
	if (q == NULL || q == p)
		return;
	s->sender = p;
	s->nsender = (size_t)(q - p);
	if (blanks(&q, end, 2) && older_time(s, q, (size_t)(end - q)))
		s->kind = CGP_SEP_PLAIN;
	else
		memset(s, 0, sizeof *s);
}

void
cgp_tail_shape(struct buf *out, const char *p, size_t len)
{
	char last = '\0', c;

	for (; len > 0; len--, p++) {
		c = is_digit(*p) ? '9' : is_alpha(*p) ? 'a' :
		    (unsigned char)*p < 0x20 || (unsigned char)*p >= 0x7f ?
		    '?' : *p;
		if (c != last || (c != '9' && c != 'a'))
			buf_addc(out, c);
		last = c;
	}
}

/* Names of mailboxes */

static bool
hex_digit(char c)
{
	return is_digit(c) || (c >= 'A' && c <= 'F');
}

static size_t
utf8_length(const char *p, size_t left)
{
	unsigned char c = (unsigned char)*p;
	size_t n = c < 0x80 ? 1 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;

	return n <= left && utf8_valid(p, n) ? n : 0;
}

/* No level holds these. */
static bool
odd_level(const char *p, size_t len)
{
	size_t i;

	for (i = 0; i < len; i++)
		if ((unsigned char)p[i] < 0x20 || p[i] == 0x7f || p[i] == '/')
			return true;
	return len == 0;
}

bool
cgp_level(struct buf *out, const char *p, size_t len)
{
	size_t start = out->len, i, n;

	if (mutf7_decode(out, p, len) == 0 &&
	    !odd_level(out->ptr + start, out->len - start))
		return true;
	out->len = start;
	out->ptr[start] = '\0';
	if (memchr(p, '&', len) == NULL && utf8_valid(p, len) &&
	    !odd_level(p, len)) {
		buf_add(out, p, len);
		return true;
	}
	for (i = 0; i < len; i += n) {
		n = utf8_length(p + i, len - i);
		if (n == 0 || (unsigned char)p[i] < 0x20 || p[i] == 0x7f ||
		    (p[i] == '=' && len - i >= 3 && hex_digit(p[i + 1]) &&
		    hex_digit(p[i + 2]))) {
			buf_addf(out, "=%02X", (unsigned char)p[i]);
			n = 1;
		} else
			buf_add(out, p + i, n);
	}
	return false;
}
