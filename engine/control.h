/*
 * What another process asks of a running copy: stop, pause, resume.
 *
 * It is a word in STATE.lock behind the pid of the process that holds the
 * state: a file that only its owner can write and that lies there in any
 * case, so that nobody else can be in the way.  That process looks for a word
 * about once a second, answers that it was taken, and obeys.  Whoever takes
 * the lock empties the file: a word from before is forgotten, and one that
 * came too early for the new holder is written again by who waits for the
 * answer.
 */
#ifndef ENGINE_CONTROL_H
#define ENGINE_CONTROL_H

#include "base/err.h"

enum control { CONTROL_NONE, CONTROL_STOP, CONTROL_PAUSE, CONTROL_RESUME };

const char	*control_word(enum control);
/* The running process: what was asked, once. */
enum control	 control_take(const char *state);
/* Another process: 1: it was taken; 0: nobody holds the state, or did not take
 * it within wait_ms, and it is withdrawn. */
int		 control_send(const char *state, enum control,
		    unsigned wait_ms, struct err *);

#endif
