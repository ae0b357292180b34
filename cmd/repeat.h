/*
 * --repeat-every: the time between two passes.
 */
#ifndef CMD_REPEAT_H
#define CMD_REPEAT_H

#include "job.h"

/*
 * Waits until the next pass is to begin, so long after the last one began (by
 * now_ms()), or at once if it took longer.  False: there is none, as none was
 * asked for, somebody has stopped the last one, it could not begin (its exit
 * code), a signal came, or the time of the run is up.
 */
bool	repeat_wait(struct job *, uint64_t begun, int code);

#endif
