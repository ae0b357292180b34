/*
 * --repair: the smallest changes that make a refused message acceptable.
 *
 * The loose digest (measure.h) of the result is that of the original, so a
 * repaired message is recognised at the target.
 */
#ifndef ENGINE_REPAIR_H
#define ENGINE_REPAIR_H

#include <stdbool.h>

#include "base/buf.h"

/* p is a CRLF form; out receives the repaired one.  what is filled with words
 * for the report.  false: there is nothing to repair. */
bool	repair_message(const char *p, size_t len, struct buf *out, char *what,
	    size_t what_size);

#endif
