/*
 * What another process asks of a running copy: stop, pause, resume.
 *
 * It is a file STATE.control of one word beside the state, whose directory
 * belongs to the user of the state alone (state.h).  The process that holds
 * the state looks for it about once a second, takes it away, and obeys; a run
 * that begins forgets what lies there from before.
 */
#ifndef ENGINE_CONTROL_H
#define ENGINE_CONTROL_H

#include "base/err.h"

enum control { CONTROL_NONE, CONTROL_STOP, CONTROL_PAUSE, CONTROL_RESUME };

const char	*control_word(enum control);
/* The running process: what was asked, once. */
enum control	 control_take(const char *state);
void		 control_forget(const char *state);
/* Another process: 1: it was taken; 0: not within wait_ms, and it is
 * withdrawn. */
int		 control_send(const char *state, enum control,
		    unsigned wait_ms, struct err *);

#endif
