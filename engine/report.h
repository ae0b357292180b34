/*
 * Reports over the state: what every source message has become, and what
 * people have to know.  Reading only; works beside a running copy.
 */
#ifndef ENGINE_REPORT_H
#define ENGINE_REPORT_H

#include <stdio.h>

#include "rows.h"

struct totals {
	int64_t	 source, counts[OUTCOMES];
	int64_t	 accounts, accounts_done;
	int64_t	 mailboxes, stripped, bytes, crlf_bytes;
	int64_t	 altered;	/* issues: repaired, altered, doubled */
	bool	 balanced;	/* no mailbox is left without its sum */
};

int	report_totals(struct db *, struct totals *, struct err *);
/* Everything over all passes, as text for people or as mailhaul-report-1. */
int	report_text(struct db *, FILE *, struct err *);
int	report_json(struct db *, FILE *, struct err *);
/* How far a running or ended pass is; running: the pid, or 0. */
int	status_text(struct db *, FILE *, long running, struct err *);
int	status_json(struct db *, FILE *, long running, struct err *);

#endif
