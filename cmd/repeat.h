/*
 * --repeat-every: the time between two passes.
 */
#ifndef CMD_REPEAT_H
#define CMD_REPEAT_H

#include "job.h"

/* Before the first pass, and any thread: signals that ask the program to end are
 * for pool_run() and repeat_wait() alone, so that none comes in between. */
void	repeat_begin(const struct job *);
/*
 * Waits until the next pass is to begin, so long after the last one began (by
 * now_ms()), or at once if it took longer.  False: there is none, as none was
 * asked for, somebody has stopped the last one, it could not begin (its exit
 * code), a signal came, or the time of the run is up.
 */
bool	repeat_wait(struct job *, uint64_t begun, int code);

#endif
