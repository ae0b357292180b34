/* Settings: the time that is left. */
#include "settings.h"

uint64_t
settings_left_ms(const struct settings *s, uint64_t now_ms, time_t wall)
{
	uint64_t left = UINT64_MAX, at;

	if (s->stop_ms != 0)
		left = s->stop_ms > now_ms ? s->stop_ms - now_ms : 0;
	if (s->stop_at != 0) {
		at = s->stop_at > wall ? (uint64_t)(s->stop_at - wall) * 1000 :
		    0;
		if (at < left)
			left = at;
	}
	return left;
}
