/*
 * The audit: two stores are compared, message by message, and every message
 * gets one verdict.
 *
 * Both sides are read through the source interface only; nothing is written to
 * a store or the state.  What was found lies in a temporary database, from where
 * it is told row by row: an audit of millions of messages takes no more memory
 * than one of a few.
 */
#ifndef ENGINE_AUDIT_H
#define ENGINE_AUDIT_H

#include <stdio.h>

#include "account.h"
#include "accounts.h"

/*
 * What a message turned out to be.  Each counts in one of these only, the first
 * that is true; what else differs is in the detail.  A row of differences is one
 * message, or the pair of it at both sides.
 */
enum verdict {
	V_EQUAL,
	V_EXPECTED,	/* not there, or other, as a rule of the job or the
			 * state says: excluded, refused, repaired... */
	V_SINCE,	/* after release: what its user has done since */
	V_ALTERED,	/* other bytes, but the same message */
	V_UID,		/* in its mailbox, but not under its UID */
	V_FLAGS,
	V_KEYWORDS,
	V_DATE,
	V_MISSING,	/* at the source only */
	V_EXTRA,	/* at the target only */
	V_DUPLICATED,	/* one copy more than at the source */
	V_MOVED,	/* at the target in another mailbox */
	V_UNREADABLE,	/* its bytes could not be read, at one side */
	V_MOVING,	/* its mailbox changed while it was compared, twice */
	VERDICTS
};

/* One word, lower case: also the keys of JSON, and of --fail-on. */
const char *verdict_name(enum verdict);
/* The verdict of a name; VERDICTS: there is none. */
enum verdict verdict_of_name(const char *);
/* Those that let an audit end with 1, unless --fail-on says otherwise; as bits
 * 1 << verdict. */
#define VERDICTS_BAD	(~(1u << V_EQUAL | 1u << V_EXPECTED | 1u << V_SINCE))

enum audit_level {
	AUDIT_COUNTS,	/* mailboxes and messages in them */
	AUDIT_META,	/* UIDs, flags, keywords, dates, sizes; no content */
	AUDIT_SAMPLE,	/* the same, and the contents of some messages */
	AUDIT_CONTENT	/* the same, and the contents of all */
};

struct audit_counts {
	uint64_t	 n[VERDICTS];
	uint64_t	 source, target;	/* messages that were met */
	uint64_t	 source_bytes, target_bytes;	/* as stored, of these */
};

/* Of all accounts: how much of what AUDIT_SAMPLE may say. */
struct audit_sample {
	uint64_t	 compared, differ;	/* contents */
	uint64_t	 of;			/* messages at both sides */
	double		 at_most;	/* with 95 % confidence no larger share
					 * of all differs */
};

struct audit_row_account {
	int64_t		 id;		/* in the list's order */
	const char	*name, *source, *target;	/* URIs, for people */
	const char	*stage;		/* "" without a state */
	/* equal, different, unaudited (error says why) */
	const char	*outcome;
	const char	*error;		/* or NULL */
	bool		 again;		/* what went wrong may pass */
	uint64_t	 mailboxes;
	struct audit_counts counts;
};

struct audit_row_box {
	int64_t		 id, account;
	const char	*name;		/* at the source; "" it has none there */
	const char	*target;	/* name there; "" it has none */
	/* equal, different, missing, extra, excluded, unreadable, moving */
	const char	*outcome;
	const char	*why;		/* or NULL */
	struct audit_counts counts;
};

/* One message that is not equal, or (message false) a fact of a mailbox or the
 * account: a subscription, a special use, the quota, rights. */
struct audit_row_difference {
	int64_t		 account, box;	/* box 0: of the account */
	const char	*account_name;
	const char	*box_name, *box_target;
	bool		 message;
	enum verdict	 verdict;
	/* One word: why, where that is known: munged, added-field, line-ends,
	 * from-quoting, zone, excluded, refused, repaired, clamped, keyword,
	 * subscription, special-use, quota, rights...; "" else. */
	const char	*cause;
	uint32_t	 source_uid, target_uid;	/* 0: none, or unknown */
	const char	*where;		/* the source's place of it, or "" */
	const char	*message_id, *subject;	/* as found, or "" */
	uint64_t	 size;		/* UNKNOWN64; of the side that has it */
	const char	*detail;	/* for people, one line */
	const char	*diff;		/* of the header: lines "- old", "+ new"
					 * with line ends; "" none */
};

struct audit {
	/* given */
	const struct settings *set;
	const struct config *cfg;
	const struct accounts *list;
	const char	*state_path;
	struct account	**todo;
	size_t		 n;
	enum audit_level level;
	double		 percent;	/* AUDIT_SAMPLE */
	bool		 as_of_release;	/* what users did since does not show */
	bool		 header_diff;	/* fill in diff */
	uint64_t	 show;		/* differences of one mailbox and
					 * verdict that are told; 0: all */
	/* made */
	struct arena	 arena;
	char		*state_uri;	/* NULL: there is no state */
	long		 running;	/* process that holds it, or 0 */
	int64_t		 passes;
	time_t		 started, ended;
	struct audit_results *results;
	size_t		 equal, different, unaudited, again;	/* accounts */
	uint64_t	 mailboxes;
	struct audit_counts counts;
	uint64_t	 facts;		/* differences that are no message */
	struct audit_sample sample;
};

/* Fills in the made part; -1: *e, and only audit_release() may follow. */
int	audit_make(struct audit *, struct err *);
void	audit_release(struct audit *);
/* "counts", "meta", "content", "sample=1%". */
void	audit_level_text(const struct audit *, char *, size_t);
/* "equal", "different", "incomplete": unaudited accounts or mailboxes. */
const char *audit_verdict(const struct audit *);

/*
 * The rows, each handed to fn in the order of the list, of the source's
 * mailboxes, of UIDs.  The strings live during the call.  fn returns 0 to go on,
 * -1 and *e to end it.  Names and Subjects are as hostile as their stores: bytes
 * without order, never NUL.
 */
typedef int audit_account_fn(void *, const struct audit_row_account *,
    struct err *);
typedef int audit_box_fn(void *, const struct audit_row_box *, struct err *);
typedef int audit_difference_fn(void *, const struct audit_row_difference *,
    struct err *);

int	audit_accounts(struct audit *, audit_account_fn *, void *,
	    struct err *);
/* account 0: of all. */
int	audit_boxes(struct audit *, int64_t account, audit_box_fn *, void *,
	    struct err *);
/* account 0: of all; box 0: of all. */
int	audit_differences(struct audit *, int64_t account, int64_t box,
	    audit_difference_fn *, void *, struct err *);

/* For people; -1: *e, the database could not be read. */
int	audit_text(struct audit *, FILE *, struct err *);

#endif
