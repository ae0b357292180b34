/*
 * The accounts of a run, from an account list or from the command line.
 *
 * An account list is CSV: a header line names the columns, ',' or ';' (the one
 * the header line has more of) parts them, fields may be quoted as in RFC
 * 4180, a BOM and CRLF are accepted, empty lines and lines that start with '#'
 * do not count.  Columns mailhaul knows (all but user may be missing):
 *
 *	user			the user at the source
 *	target_user		at the target; user, if empty or missing
 *	source_password target_password
 *	pop3_password		for mailhaul uidl; source_password, if missing
 *	name			what the state calls the account; user, if
 *				missing; it stays when other columns change
 *	source target		a URI in place of the job's, for this row; it
 *				takes the job's options where the kind of
 *				store is the same
 *	owner partition quota priority
 *
 * Any column can be used as {column} in the job's URIs, and so can {local} and
 * {domain}: user before and after its last '@'.  Lines of four fields
 * "user1;password1;user2;password2" without a header line, as imapsync takes
 * them, are understood too; there are no quotes in these.
 *
 * A list that holds passwords must not be accessible to others.  It is checked
 * as a whole: functions that find mistakes append a line for each to a buffer
 * and return how many they found.  Afterwards a struct accounts is only read,
 * by any number of threads.
 */
#ifndef ENGINE_ACCOUNTS_H
#define ENGINE_ACCOUNTS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/uri.h"
#include "config.h"
#include "secret.h"

struct accounts;

/* What one account works on; released by account_stores_release(). */
struct account_stores {
	struct uri	*uri[2];	/* by enum side; without secrets */
	struct secret_spec secret[2];
};

/*
 * All in one: the list of CFG_ACCOUNTS, else the one account that the two
 * stores of a finished config are, checked, with the selection (select.h).  *ap is
 * NULL after mistakes.
 */
size_t	accounts_load(struct accounts **ap, const struct config *,
	    void (*fold)(char *), struct buf *errors);
void	accounts_free(struct accounts **);	/* wipes */

/*
 * The parts.  After mistakes *ap holds the rows that are right, so that they
 * can be checked as well; NULL when there is nothing.  _text copies p.
 */
size_t	accounts_read(struct accounts **ap, const char *path,
	    struct buf *errors);
size_t	accounts_read_text(struct accounts **ap, const char *path,
	    const char *p, size_t len, bool private, struct buf *errors);
/* A list of one.  Its name is, the first there is: the user at the target
 * (authzid, then user; without "*master"), the same at the source, the last
 * level of the target's path, then of the source's, where a last level
 * "Maildir" counts as the one above it; else "account". */
struct accounts *accounts_single(const struct config *);
/* The rows against the job: what cannot be filled in, stores that are not
 * known, one target or one source in two rows (after fold, which makes user
 * names comparable in place, NULL: as they are; existing = merge allows two
 * rows one target), source and target the same store, missing passwords. */
size_t	accounts_check(const struct accounts *, const struct config *,
	    void (*fold)(char *), struct buf *errors);
/* The name, or a pattern that fits it. */
bool	account_matches(const char *pattern, const char *name);

size_t		 accounts_count(const struct accounts *);
size_t		 accounts_selected(const struct accounts *);	/* how many */
bool		 account_selected(const struct accounts *, size_t i);
const char	*account_name(const struct accounts *, size_t i);
unsigned	 account_line(const struct accounts *, size_t i);  /* or 0 */
/* A field, or a derived column; NULL: no such column.  The account of a command
 * line has target_user only, and only where the target names a user. */
const char	*account_column(const struct accounts *, size_t i,
		    const char *column);
/* The account's own URIs and where its secrets come from. */
int		 account_stores(const struct accounts *, size_t i,
		    const struct config *, struct account_stores *,
		    struct err *);
/* A POP3 server (config_pop3()) for the account, and its secret: of the URI,
 * else the columns pop3_password or source_password. */
int		 account_server(const struct accounts *, size_t i,
		    const struct uri *, struct uri **, struct secret_spec *,
		    struct err *);
void		 account_stores_release(struct account_stores *);

/* ASCII to lower case: the usual fold. */
void		 fold_case(char *);

#endif
