/*
 * Sources, the callers' side.  Back ends implement source_impl.h.
 *
 * Order of calls: open, account_facts / list, then for each mailbox
 * folder_open, next* (with content between), folder_count, folder_token,
 * folder_close; at last close.  One thread at a time; a source may move
 * between threads.  Every call returns -1 with *e filled in, or 0 (done), and
 * where it can find something or nothing 1 (found) or 0 (nothing).
 * Reading leaves no trace in the store.
 */
#ifndef FORMATS_SOURCE_H
#define FORMATS_SOURCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/uri.h"
#include "content.h"
#include "message.h"

struct source;

/* What a source or target noticed and nobody has to act on: it becomes a line
 * of the report.  mailbox may be NULL (the account), where too.  Called on the
 * thread that uses the store. */
typedef void store_warn_fn(void *ctx, const char *mailbox, const char *where,
    const char *text);

/* Is this the first time in the run that something of that name is met?  For
 * what would be told of every mailbox alike; what is then told of has been told
 * for the run.  Called as store_warn_fn is. */
typedef bool store_first_fn(void *ctx, const char *what);

/* One line of the protocol with a server, for people who look for a fault: a
 * session's name, a direction and words.  No secret, no content of messages, no
 * line end.  Called as store_warn_fn is. */
typedef void store_trace_fn(void *ctx, const char *line);

/* A way to an IMAP server that is a child of ours and knows already whose mail it
 * serves (PREAUTH): *in to read from, *out a socket to write to, both
 * nonblocking, the caller's to close. */
typedef int store_dial_fn(void *ctx, int *in, int *out, struct err *e);

/* Was this user of the target (as it spells it) made by this job, now or
 * earlier? */
typedef int store_made_fn(void *ctx, const char *user, bool *made,
    struct err *e);

/* What both kinds of stores are opened with.  Everything is borrowed until
 * close. */
struct store_conf {
	struct uri	*uri;		/* filled in for this account */
	const char	*password;	/* NULL: none */
	store_warn_fn	*warn;		/* never NULL */
	void		*warn_ctx;
	store_first_fn	*first;		/* with warn_ctx; NULL: each store is
					 * asked for itself */
	store_trace_fn	*trace;		/* NULL: none is wanted */
	void		*trace_ctx;
	int		 cancel_fd;	/* readable: stop waiting; or -1 */
	unsigned	 timeout_s;	/* per wait on the network; 0: 60 */
	bool		 look_only;	/* a target that must not be changed */
	store_dial_fn	*dial;		/* an IMAP session goes this way; NULL:
					 * by its URI */
	void		*dial_ctx;
	store_made_fn	*made;		/* NULL: nobody was */
	void		*made_ctx;
	bool		 at_target;	/* a source that is a target, looked
					 * at: its errors are the target's */
	bool		 guids;		/* an IMAP server that is Dovecot: its
					 * GUIDs are wanted */
};

enum delta {
	DELTA_UNCHANGED,	/* as the token says: next() is not needed */
	DELTA_SOME,		/* next(): new ones and, with f->some_flags, those
				 * the token knows that have changed; still()
				 * tells what is gone.  Only if f->some */
	DELTA_FULL		/* next(): every message */
};

/* Scheme, options and their values, without opening anything: a mistake here
 * is the user's (ERR_RUN). */
int	source_check(struct uri *, struct err *);
/* path and options of a URI are checked here too.  ERR_ACCOUNT + CAUSE_MISSING:
 * the account does not exist. */
int	source_open(struct source **, const struct store_conf *, struct err *);
void	source_close(struct source **);

int	source_account_facts(struct source *, struct arena *,
	    struct account_info *, struct err *);
/* All mailboxes, INBOX first, parents before children.  *folders lives in the
 * arena.  What cannot be read is in the list with refused set, or was warned
 * of; it is never silently absent. */
int	source_list(struct source *, struct arena *, struct folder_info **folders,
	    size_t *n, struct err *);

/* token: what folder_token() gave in an earlier pass, or NULL.  from_uid: only
 * messages with at least this UID are wanted (0: all); a store without UIDs
 * ignores it.  f->uidvalidity, uidnext and messages are brought up to date. */
int	source_folder_open(struct source *, struct folder_info *f,
	    const struct buf *token, uint32_t from_uid, enum delta *,
	    struct err *);
/* The next message: 1, or 0 at the end.  In UID order where there are UIDs. */
int	source_next(struct source *, struct arena *, struct msg_meta *,
	    struct err *);
/* Before the first message of the open mailbox: only those with these n UIDs,
 * ascending, are wanted.  A hint: others may come as well. */
int	source_only(struct source *, const uint32_t *uids, size_t n,
	    struct err *);
/* DELTA_SOME.  Of the messages that the token knows, whose UIDs are all below
 * *below, 1: only those in these n ranges, ascending, are still there; 0: all
 * are.  The ranges are the source's until the mailbox is closed. */
int	source_still(struct source *, const struct uid_range **, size_t *n,
	    uint32_t *below, struct err *);
/* These contents are asked for next, in this order. */
int	source_want(struct source *, const struct msg_meta *const *, size_t n,
	    struct err *);
/* 1: *c is open; 0: the message is gone (vanished).  -1 with scope
 * ERR_MESSAGE: this one cannot be read, the others can. */
int	source_content(struct source *, const struct msg_meta *,
	    struct content **c, struct err *);
/* What the store itself says it holds (EXISTS, directory entries, separators),
 * counted by code that does not feed next().  With from_uid: meaningless. */
int	source_folder_count(struct source *, uint64_t *n, struct err *);
/* For the next pass; valid only if no message failed.  Empty: none. */
int	source_folder_token(struct source *, struct buf *token, struct err *);
void	source_folder_close(struct source *);

#endif
