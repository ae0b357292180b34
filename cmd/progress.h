/* Progress for people, on stderr: a live line on a terminal, else a plain line
 * every 30 s; nothing with --quiet. */
#ifndef CMD_PROGRESS_H
#define CMD_PROGRESS_H

#include "pool.h"

struct progress {
	bool	 quiet, tty;
	uint64_t last_ms, last_sent, last_bytes;
	double	 rate, byte_rate;	/* per second, smoothed */
	bool	 shown;
};

void	progress_start(struct progress *, bool quiet);
pool_progress_fn progress_tick;		/* ctx: struct progress * */
void	progress_stop(struct progress *);	/* clears the live line */

#endif
