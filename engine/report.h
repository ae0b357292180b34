/*
 * Reports over the state: what every source message has become, and what
 * people have to know.  Reading only; works beside a running copy.
 */
#ifndef ENGINE_REPORT_H
#define ENGINE_REPORT_H

#include <stdio.h>

#include "config.h"
#include "report_account.h"
#include "rows.h"

struct totals {
	int64_t	 source, counts[OUTCOMES];
	int64_t	 accounts, accounts_done;
	int64_t	 mailboxes, stripped, bytes, crlf_bytes;
	int64_t	 altered;	/* issues: repaired, altered, doubled */
	bool	 balanced;	/* no mailbox is left without its sum */
};

int	report_totals(struct db *, struct totals *, struct err *);

struct report_options {
	struct report_call call;
	enum format format;
	enum report_table table;
	bool	 brief;		/* what a copy prints at its end */
	bool	 redact;	/* no Subjects, addresses, and names of
				 * mailboxes below the top level */
	bool	 colour;	/* text for a terminal */
	int64_t	 since;		/* compare with this pass; 0: the last but
				 * one */
};

/* Everything over all passes, of the accounts that this connection sees
 * (select.h).  JSON and NDJSON are mailhaul-report-1, by
 * engine/schema/mailhaul-report-1.json. */
int	report_write(struct db *, FILE *, const struct report_options *,
	    struct err *);
/* The same, brief and as text or JSON. */
int	report_text(struct db *, FILE *, struct err *);
int	report_json(struct db *, FILE *, struct err *);
/* How far a running or ended pass is; running: the pid, or 0. */
int	status_text(struct db *, FILE *, long running, struct err *);
int	status_json(struct db *, FILE *, long running, struct err *);

#endif
