/* The texts of single values: numbers, times, sizes, days, words. */
#include "config_impl.h"

#include <string.h>
#include <time.h>

#include "base/date.h"
#include "base/suggest.h"

/* Digits and the rest; -1: no digits, or too many. */
static int
digits(const char **p, uint64_t *n)
{
	const char *start = *p;

	for (*n = 0; **p >= '0' && **p <= '9'; ++*p) {
		if (*n > (UINT64_MAX - 9) / 10)
			return -1;
		*n = *n * 10 + (uint64_t)(**p - '0');
	}
	return *p == start ? -1 : 0;
}

static int
scaled(const char *text, const char *units, const uint64_t *factors,
    uint64_t *out)
{
	const char *unit;
	uint64_t n;

	if (digits(&text, &n) == -1)
		return -1;
	if (*text != '\0') {
		if (text[1] != '\0' || (unit = strchr(units, *text)) == NULL)
			return -1;
		if (n > INT64_MAX / factors[unit - units])
			return -1;
		n *= factors[unit - units];
	}
	*out = n;
	return 0;
}

int
config_duration(const char *text, uint64_t *seconds)
{
	static const uint64_t factors[] = {
		1, 60, 3600, 86400, 7 * 86400, (uint64_t)365 * 86400 };

	return scaled(text, "smhdwy", factors, seconds);
}

int
config_size(const char *text, uint64_t *bytes)
{
	static const uint64_t factors[] = {
		1ULL << 10, 1ULL << 20, 1ULL << 30, 1ULL << 40,
		1ULL << 10, 1ULL << 20, 1ULL << 30, 1ULL << 40 };

	return scaled(text, "KMGTkmgt", factors, bytes);
}

static int
parse_bool(const char *text, uint64_t *out)
{
	static const char *const yes[] = { "yes", "true", "on", "1", NULL };
	static const char *const no[] = { "no", "false", "off", "0", NULL };

	*out = listed(text, yes);
	return *out || listed(text, no) ? 0 : -1;
}

/* A day, or an age before now; epoch seconds. */
static int
parse_date(const char *text, uint64_t *out)
{
	static const unsigned char days[] = {
		31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
	const char *p = text;
	uint64_t y, m, d;
	int64_t now;

	if (config_duration(text, &d) == 0 && strlen(text) > 1 &&
	    strpbrk(text, "smhdwy") != NULL) {
		now = (int64_t)time(NULL);
		*out = (int64_t)d > now ? 0 : (uint64_t)(now - (int64_t)d);
		return 0;
	}
	if (digits(&p, &y) == -1 || p - text != 4 || *p++ != '-' ||
	    digits(&p, &m) == -1 || p - text != 7 || *p++ != '-' ||
	    digits(&p, &d) == -1 || p - text != 10 || *p != '\0' ||
	    y < 1970 || m < 1 || m > 12 || d < 1 || d > days[m - 1] ||
	    (m == 2 && d == 29 && (y % 4 != 0 ||
	    (y % 100 == 0 && y % 400 != 0))))
		return -1;
	*out = (uint64_t)date_days((int64_t)y, (unsigned)m, (unsigned)d) *
	    86400;
	return 0;
}

int
config_quota(const char *text, struct quota_rule *r)
{
	static const char fixed[] = "fixed:";

	r->bytes = 0;
	r->mode = strcmp(text, "keep") == 0 ? QUOTA_KEEP :
	    strcmp(text, "source") == 0 ? QUOTA_SOURCE :
	    strcmp(text, "none") == 0 ? QUOTA_NONE : QUOTA_FIXED;
	if (r->mode != QUOTA_FIXED)
		return 0;
	if (strncmp(text, fixed, sizeof fixed - 1) == 0)
		text += sizeof fixed - 1;
	/* A limit of nothing is a mistake, or means none elsewhere. */
	return config_size(text, &r->bytes) == -1 || r->bytes == 0 ? -1 : 0;
}

char *
config_quota_text(const struct quota_rule *r)
{
	static const char *const words[] = {
		[QUOTA_KEEP] = "keep", [QUOTA_SOURCE] = "source",
		[QUOTA_NONE] = "none" };
	struct buf b;

	buf_init(&b, 64);
	if (r->mode == QUOTA_FIXED)
		buf_addf(&b, "fixed:%llu", (unsigned long long)r->bytes);
	else
		buf_adds(&b, words[r->mode]);
	return buf_detach(&b, NULL);
}

static int
parse_limit(const char *text, uint64_t *out)
{
	if (digits(&text, out) == -1 || *out >= LIMIT_PERCENT)
		return -1;
	if (*text != '%')
		return *text == '\0' ? 0 : -1;
	if (*out > 100 || text[1] != '\0')
		return -1;
	*out |= LIMIT_PERCENT;
	return 0;
}

static int
parse_clock(const char *text, uint64_t *out)
{
	unsigned minute;

	if (clock_parse(text, &minute) == -1)
		return -1;
	*out = minute;
	return 0;
}

static int
parse_enum(const struct setting *s, const char *text, uint64_t *out)
{
	for (*out = 0; s->words[*out] != NULL; ++*out)
		if (strcmp(s->words[*out], text) == 0)
			return 0;
	return -1;
}

static void
words_of(const struct setting *s, struct buf *b)
{
	size_t i;

	for (i = 0; s->words[i] != NULL; i++)
		buf_addf(b, "%s%s", i == 0 ? "" :
		    s->words[i + 1] == NULL ? " or " : ", ", s->words[i]);
}

int
config_parse_number(const struct setting *s, const char *text, uint64_t *num,
    const char *where, struct buf *errors)
{
	const char *p = text, *want = "";
	struct quota_rule quota;
	struct buf words;
	int rc = 0;

	buf_init(&words, 1024);
	switch (s->type) {
	case SET_BOOL:
		rc = parse_bool(text, num);
		want = "yes or no";
		break;
	case SET_NUMBER:
		rc = digits(&p, num) == -1 || *p != '\0' ? -1 : 0;
		want = "a number";
		break;
	case SET_LIMIT:
		rc = parse_limit(text, num);
		want = "a number such as 100, or a share such as 10%";
		break;
	case SET_DURATION:
		rc = config_duration(text, num);
		want = "a time such as 90, 15m or 2h";
		break;
	case SET_SIZE:
		rc = config_size(text, num);
		want = "a size such as 1000000, 500K or 20M";
		break;
	case SET_DATE:
		rc = parse_date(text, num);
		want = "a day such as 2024-03-31, or an age such as 90d or 2y";
		break;
	case SET_CLOCK:
		rc = parse_clock(text, num);
		want = "a time of the day such as 06:00";
		break;
	case SET_ENUM:
		rc = parse_enum(s, text, num);
		words_of(s, &words);
		want = words.ptr;
		break;
	case SET_QUOTA:
		rc = config_quota(text, &quota);
		want = "keep, source, none or fixed:SIZE";
		break;
	case SET_STRING:
	case SET_PATH:
	case SET_NAMES:
	case SET_PATTERNS:
	case SET_RULES:
	case SET_LIMITS:
		break;
	}
	if (rc == -1)
		complain(errors, where, "%s is '%.60s', but must be %s",
		    s->key, text, want);
	else if (s->max != 0 ? *num < s->min || *num > s->max :
	    *num < s->min) {
		rc = -1;
		if (s->max != 0)
			complain(errors, where, "%s is %.60s, but must be "
			    "%llu to %llu", s->key, text,
			    (unsigned long long)s->min,
			    (unsigned long long)s->max);
		else
			complain(errors, where, "%s is %.60s, but must be at "
			    "least %llu", s->key, text,
			    (unsigned long long)s->min);
	}
	buf_release(&words);
	return rc;
}
