/* The logs of a copy: whether there are any, and what the run's own log tells
 * of its begin and end. */
#ifndef CMD_RUNLOG_H
#define CMD_RUNLOG_H

#include "config.h"
#include "log.h"
#include "pool.h"
#include "report.h"

/* NULL: the config asks for none.  What goes wrong is told on standard error,
 * once. */
struct log *runlog_open(const struct config *);
/* Marks the accounts of --trace; a pattern that fits none is a mistake. */
size_t	runlog_trace(const struct config *, struct account *, size_t n,
	    struct buf *errors);
void	runlog_begin(struct log *, const struct config *, bool created,
	    int64_t pass, size_t selected, size_t total);
void	runlog_end(struct log *, int code, const struct pool_result *,
	    const struct totals *);

#endif
