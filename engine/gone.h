/*
 * Messages that are gone from a source mailbox of which only what is new is
 * listed.
 */
#ifndef ENGINE_GONE_H
#define ENGINE_GONE_H

#include "walk.h"

/*
 * The source mailbox was opened as DELTA_SOME: what the books begin with goes
 * into w->base, and for --delete what is gone into lane->scratch.  1; 0: the
 * rows are not those of the token, and everything is to be listed.
 */
int	gone_begin(struct walk *, struct err *);

#endif
