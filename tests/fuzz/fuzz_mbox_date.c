/*
 * Separator lines of mboxes.  A date that was understood, written in ctime form
 * with its zone behind, has to be read as the same one; what follows the date
 * without a meaning must not be part of it.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mbox/mbox_from.h"

int	LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CHECK(x)	do { if (!(x)) abort(); } while (0)

static bool
same(const struct from_line *a, const struct from_line *b)
{
	return a->form == b->form && a->usable == b->usable &&
	    a->year == b->year && a->month == b->month && a->day == b->day &&
	    a->hour == b->hour && a->minute == b->minute &&
	    a->second == b->second && a->zoned == b->zoned &&
	    a->zone == b->zone;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
	struct from_zone z = { true, -90 };
	struct from_line f, g;
	char text[200], *more;
	int64_t epoch, again;
	int zone, zone2, n;

	if (size > FROM_LINE_MAX)
		size = FROM_LINE_MAX;
	from_parse((const char *)data, size, &f);
	CHECK(f.form <= FROM_OTHER);
	CHECK(f.form <= FROM_WEAK || !f.usable);
	CHECK((from_epoch(&f, &z, &epoch, &zone) == 0) == f.usable);

	more = malloc(size + 4);
	CHECK(more != NULL);
	if (size > 0)
		memcpy(more, data, size);
	more[size] = ' ';
	from_parse(more, size + 1, &g);
	CHECK(same(&f, &g));
	/* Two words, as one may be what "remote from" waits for. */
	memcpy(more + size, " ! !", 4);
	from_parse(more, size + 4, &g);
	CHECK(g.form > FROM_WEAK);
	free(more);

	if (!f.usable)
		return 0;
	CHECK(f.month >= 1 && f.month <= 12 && f.day >= 1 && f.day <= 31 &&
	    f.hour < 24 && f.minute < 60 && f.second <= 60);
	/* As msg_meta wants it, and date_internal(). */
	CHECK(zone > -24 * 60 && zone < 24 * 60);
	n = snprintf(text, sizeof text, "a Thu %.3s %2u %02u:%02u:%02u %d "
	    "%c%02d%02d", months + 3 * (f.month - 1), f.day, f.hour, f.minute,
	    f.second, f.year, zone < 0 ? '-' : '+', abs(zone) / 60,
	    abs(zone) % 60);
	CHECK(n > 0 && (size_t)n < sizeof text);
	from_parse(text, (size_t)n, &g);
	CHECK(g.form == FROM_DATED && g.usable && g.zoned);
	CHECK(from_epoch(&g, &z, &again, &zone2) == 0);
	CHECK(epoch == again && zone == zone2);
	return 0;
}
