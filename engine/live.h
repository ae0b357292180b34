/*
 * What a running copy tells of itself through the state, about every five
 * seconds: its mode, the time left and why, and how it is with each host.
 */
#ifndef ENGINE_LIVE_H
#define ENGINE_LIVE_H

#include <stdio.h>

#include "db.h"
#include "json.h"

/* Parts of a status; running: the pid, or 0. */
int	live_text(struct db *, FILE *, long running, struct err *);
int	live_json(struct db *, struct json *, long running, struct err *);

#endif
