/*
 * The report of one account, in plain words: what it is, what has become of
 * each mailbox and of every message that did not arrive as it was, what the
 * passes did, and what to do next.
 */
#ifndef ENGINE_REPORT_ACCOUNT_H
#define ENGINE_REPORT_ACCOUNT_H

#include <stdio.h>

#include "rows.h"

/* How people call the program for this account. */
struct report_call {
	const char	*job;		/* the job file, or NULL: */
	const char	*state;		/* the state file */
	long		 running;	/* pid of a copy that holds it, or 0 */
};

/* -1: *e; also when the state knows no such account (ERR_ACCOUNT). */
int	report_account(struct db *, FILE *, const char *name,
	    const struct report_call *, struct err *);

#endif
