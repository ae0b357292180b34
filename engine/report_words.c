/* Words, numbers and times as reports write them. */
#include <inttypes.h>
#include <string.h>
#include <time.h>

#include "report_impl.h"
#include "text.h"

const char *
report_kind(const char *kind, bool *bad)
{
	static const struct { const char *kind, *title; bool bad; } table[] = {
		{ "refused", "not at the target, because it says no:", true },
		{ "failed", "not at the target yet, the next pass tries "
		    "again:", true },
		{ "vanished", "gone at the source while it was read:", true },
		{ "lost", "was copied, disappeared from the target, and was "
		    "copied again:", true },
		{ "repaired", "changed so that the target takes it "
		    "(--repair):", false },
		{ "altered", "at the target, but not equal to the byte:",
		    true },
		{ "keywords", "keywords that the target cannot hold were left "
		    "out:", false },
		{ "date", "dates that were changed:", false },
		{ "doubled", "stored twice by the server:", true },
		{ "conflict", "flags that changed at both sides:", false },
		{ "removed", "second copies that were removed:", false },
		{ "renamed", "mailboxes with another name at the target:",
		    false },
		{ "excluded", "left out by a rule:", false },
		{ "created", "made at the target:", false },
		{ "access", "access rights and mailboxes of others:", false },
		{ "warn", "to be known:", false },
	};

	*bad = false;
	for (size_t i = 0; i < sizeof table / sizeof table[0]; i++)
		if (strcmp(kind, table[i].kind) == 0) {
			*bad = table[i].bad;
			return table[i].title;
		}
	return NULL;
}

const char *
report_bytes(char *out, size_t size, int64_t n)
{
	static const char *const units[] = { "B", "kB", "MB", "GB", "TB" };
	double v = (double)n;
	size_t u = 0;

	while (v >= 1000 && u < 4) {
		v /= 1000;
		u++;
	}
	snprintf(out, size, u == 0 ? "%.0f %s" : "%.1f %s", v, units[u]);
	return out;
}

const char *
report_time(char *out, size_t size, int64_t t)
{
	time_t when = (time_t)t;
	struct tm tm;

	out[0] = '\0';
	if (t != 0 && localtime_r(&when, &tm) != NULL)
		strftime(out, size, "%Y-%m-%d %H:%M", &tm);
	return out;
}

const char *
report_stamp(char *out, size_t size, int64_t t)
{
	time_t when = (time_t)t;
	struct tm tm;

	out[0] = '\0';
	if (gmtime_r(&when, &tm) != NULL && tm.tm_year >= -1900 &&
	    tm.tm_year <= 8099)
		snprintf(out, size, "%04d-%02d-%02dT%02d:%02d:%02dZ",
		    tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday, tm.tm_hour,
		    tm.tm_min, tm.tm_sec);
	return out;
}

size_t
report_cut(const char *s, size_t max, bool *cut)
{
	size_t n = 0, k;

	while (n < max && s[n] != '\0') {
		k = text_shown(s + n);
		n += k > 0 ? k : 1;
	}
	*cut = s[n] != '\0';
	return n;
}

/* What mail that is not there, or is there as well, makes of the sum. */
static void
add(char *out, size_t size, const char *what, int64_t n)
{
	size_t len = strlen(out);

	if (n > 0)
		snprintf(out + len, size - len, "%s%" PRId64 " messages %s",
		    len > 0 ? "; " : "", n, what);
}

void
report_why(const struct totals *t, const struct rep_sides *s, char *out,
    size_t size)
{
	char from[24], to[24], words[400] = "";
	size_t len;

	report_bytes(from, sizeof from, s->source_stored);
	report_bytes(to, sizeof to, s->target_crlf);
	if (s->source_stored == s->target_crlf) {
		snprintf(out, size, "%s at the source are %s at the target",
		    from, to);
		return;
	}
	if (t->crlf_bytes > t->bytes)
		snprintf(words, sizeof words, "the end of a line is one byte "
		    "in the source's files (LF), and two (CR LF) as servers "
		    "count");
	add(words, sizeof words, "are without the fields of their mailbox "
	    "file (Status, X-UID...)", t->stripped);
	add(words, sizeof words, "were refused, failed or vanished",
	    t->counts[OUT_REFUSED] + t->counts[OUT_FAILED] +
	    t->counts[OUT_VANISHED]);
	len = strlen(words);
	if (s->target > t->counts[OUT_COPIED] + t->counts[OUT_PRESENT])
		snprintf(words + len, sizeof words - len, "%smessages that "
		    "the source no longer has are there", len > 0 ? "; " : "");
	snprintf(out, size, "%s became %s: %s", from, to, words[0] != '\0' ?
	    words : "the accounts are not complete yet");
}
