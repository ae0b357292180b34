/*
 * What the state learns, as lines of the logs.
 *
 * Called by the state's writer where it puts the rows, so that whatever gets
 * into a report is in a log as well, whoever has found it: about a second late,
 * as the rows are.  Names are looked up in the state; a log that is NULL costs
 * nothing.  What goes wrong in looking up is not told: the writer meets it
 * itself.
 */
#ifndef ENGINE_JOURNAL_H
#define ENGINE_JOURNAL_H

#include "log.h"
#include "rows.h"

void	journal_account_begin(struct log *, const char *name,
	    const char *source, const char *target, const char *stage);
/* The outcome and the sums are in the account's rows already. */
void	journal_account_end(struct log *, struct db *, int64_t account_id);
void	journal_mailbox_end(struct log *, struct db *, int64_t mailbox_id);
void	journal_issue(struct log *, struct db *, int64_t account_id,
	    const struct row_issue *);

/* The host in a URI as text, "" when it has none. */
void	journal_host(const char *uri, char *host, size_t size);

#endif
