/* A date that was read can be written as an INTERNALDATE, and reads as the
 * same then; zones and years stay in their bounds. */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "base/date.h"

int	LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check(const struct date *d)
{
	struct date again;
	char out[27];

	assert(d->zone > -1440 && d->zone < 1440);
	if (date_internal(out, d->epoch, d->zone) == -1) {
		/* 9999-12-31 23:59:60 is the first second of 10000. */
		assert(d->epoch + d->zone * 60 == INT64_C(253402300800));
		return;
	}
	assert(strlen(out) == 26);
	assert(date_parse_internal(out, 26, &again) == 0);
	assert(again.epoch == d->epoch && again.zone == d->zone);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *p = (const char *)data;
	struct date d;
	int64_t epoch;
	char out[27];
	int zone;

	if (date_parse_822(p, size, &d) == 0)
		check(&d);
	if (date_parse_internal(p, size, &d) == 0)
		check(&d);
	if (size >= 12) {
		memcpy(&epoch, p, 8);
		memcpy(&zone, p + 8, 4);
		if (date_internal(out, epoch, zone) == 0) {
			assert(date_parse_internal(out, 26, &d) == 0);
			assert(d.epoch == epoch && d.zone == zone);
		}
	}
	return 0;
}
