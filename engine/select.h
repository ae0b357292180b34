/*
 * Which accounts a command works on: --only, --only-file, --where and
 * --failed.  Each narrows the choice; an account has to pass all that are
 * given.
 *
 * Commands that open stores choose among the rows of the account list;
 * commands that only tell from the state choose among the accounts it knows,
 * and need the list for --where alone.  A name, pattern, column or value that
 * fits no account is a mistake.
 *
 * Functions that find mistakes append a line for each and return how many.
 */
#ifndef ENGINE_SELECT_H
#define ENGINE_SELECT_H

#include "accounts.h"
#include "state.h"

/* Is there any choice?  And one on this command line, not only in the job? */
bool	select_any(const struct config *);
bool	select_given(const struct config *);

/* Marks rows as selected or not.  --failed alone may leave none: that is no
 * mistake. */
size_t	select_rows(struct accounts *, const struct config *,
	    struct buf *errors);

/*
 * From here on this connection (of state_read_only() or state_reader()) sees
 * only the accounts that are chosen, with their mailboxes, issues and intents:
 * every query of a report is about them.
 */
size_t	select_state(struct db *, const struct config *, struct buf *errors);
/* The same for accounts of these names. */
int	select_names(struct db *, const char *const *names, size_t n,
	    struct err *);
/* All of them again. */
int	select_everything(struct db *, struct err *);

/*
 * Accounts of the state that the list no longer has get an issue "unlisted",
 * which the report shows and which goes away with their return; nothing else
 * is done to them.  *n is how many there are.
 */
int	select_unlisted(struct state *, const struct accounts *, int64_t *n,
	    struct err *);

#endif
