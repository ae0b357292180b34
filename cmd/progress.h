/* Progress for people, on stderr: a live line on a terminal, else a plain line
 * every 30 s; nothing with --quiet. */
#ifndef CMD_PROGRESS_H
#define CMD_PROGRESS_H

#include "pool.h"

struct progress {
	bool	 quiet, tty;
	uint64_t started_ms, last_ms, last_sent, last_bytes;
	double	 rate, byte_rate;	/* per second, smoothed */
	uint64_t expected;		/* messages of the last pass, 0: none */
	bool	 shown;
};

void	progress_start(struct progress *, bool quiet, uint64_t expected);
pool_progress_fn progress_tick;		/* ctx: struct progress * */
void	progress_stop(struct progress *);	/* clears the live line */

#endif
