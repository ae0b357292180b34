/*
 * What may be told to anybody: a report without addresses, Subjects, and names
 * of mailboxes below the top level.
 *
 * Accounts and mailboxes are called by numbers, which are the same in every
 * report from one state.  Texts of the engine and of servers lose each word
 * that names an account or has an '@', paths, what stands in quotes, and the
 * names of the account's mailboxes.
 */
#ifndef ENGINE_REDACT_H
#define ENGINE_REDACT_H

#include "base/arena.h"
#include "db.h"

struct redact;

/* NULL: *e.  It reads from db later, too. */
struct redact *redact_new(struct db *, struct err *);
void	redact_free(struct redact **);

/*
 * What may be told, in the arena.  Where the struct is NULL all may be, and the
 * text comes back as it is.
 */
const char *redact_account(struct redact *, struct arena *, int64_t id,
	    const char *name);
const char *redact_mailbox(struct redact *, struct arena *, int64_t id,
	    const char *name);
/* The kind of store, and its host. */
const char *redact_uri(struct redact *, struct arena *, const char *uri);
/* Free text that belongs to an account.  NULL stays NULL. */
const char *redact_text(struct redact *, struct arena *, int64_t account,
	    const char *text);
/* Nothing of it: "" (NULL stays NULL). */
const char *redact_all(struct redact *, const char *text);

#endif
