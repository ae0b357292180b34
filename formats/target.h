/*
 * Targets, the callers' side.  Back ends implement target_impl.h.
 *
 * Order of calls: open, account_ensure, then name / folder_create and for each
 * mailbox folder_open, submit and reap, folder_close; at last close.  Return
 * values as in source.h.  A target is only written here; looking at what it
 * holds goes through the source interface.
 */
#ifndef FORMATS_TARGET_H
#define FORMATS_TARGET_H

#include "source.h"

struct target;

enum {
	TGT_CHOOSES_UIDS	= 1 << 0,	/* want_uid is honoured */
	TGT_TELLS_UIDS		= 1 << 1,	/* results carry UIDs */
	TGT_ATOMIC		= 1 << 2,	/* a batch is all or nothing */
	TGT_TELLS_SHA1		= 1 << 3,	/* read as a source, it gives
						 * msg_meta.sha1 */
	TGT_EXPUNGES		= 1 << 4,	/* single messages */
	TGT_ONE_WRITER		= 1 << 5,	/* sessions of one account wait
						 * for each other */
	TGT_PROMPT		= 1 << 6,	/* what an earlier session has not
						 * stored it never will */
	TGT_LINKS		= 1 << 7,	/* wants contents that are files
						 * beside their bytes */
	TGT_ONE_SESSION		= 1 << 8,	/* a second session of an account
						 * could not be opened */
	TGT_NO_SESSION		= 1 << 9,	/* no message can end it */
	TGT_FLAGS		= 1 << 10,	/* flags can be changed */
	TGT_MOVES		= 1 << 11,	/* single messages */
	TGT_TAKES_EMPTY		= 1 << 12,	/* messages without a byte */
	TGT_UIDLS		= 1 << 13,	/* msg_meta.uidl and its order
						 * are kept for POP3 */
	TGT_ADOPTS		= 1 << 14,	/* target_adopts() may say yes */
	TGT_KEEPS_FILES		= 1 << 15,	/* with TGT_LINKS: wants them open
						 * until the batch is back */
	TGT_BY_GUID		= 1 << 16	/* a derived GUID, not the source's,
						 * tells messages apart for good:
						 * what is there is not stored
						 * twice */
};

/* Limits hold for the open session; ask again after folder_open(). */
struct target_caps {
	unsigned	 bits;
	size_t		 batch_messages;	/* at most this many ... */
	uint64_t	 batch_bytes;		/* ... and about this much */
	unsigned	 window;		/* batches submitted, not reaped */
	uint64_t	 max_message;		/* bytes; UNKNOWN64: no limit */
};

struct folder_state {
	uint32_t	 uidvalidity;
	uint32_t	 uidnext;	/* 0: unknown */
	uint64_t	 modseq;	/* 0: unknown */
	uint64_t	 messages;
	unsigned	 special_use;	/* where known */
};

/* A mailbox that is at the target. */
struct target_box {
	const char	*name;		/* the target's own spelling */
	bool		 noselect;	/* a level that holds no mail */
	bool		 of_others;	/* another user's, or shared */
	struct folder_state st;		/* messages UNKNOWN64: not told */
};

/* A script at the target files into a mailbox. */
struct target_filing {
	const char	*script, *mailbox;	/* as it says it */
};

struct target_view {
	struct target_box *boxes;	/* in the arena */
	size_t		 n;
	uint64_t	 quota_bytes, quota_used;	/* UNKNOWN64 */
	struct target_filing *filings;	/* only if plan is set */
	size_t		 nfilings;
};

/* What a target with TGT_CHOOSES_UIDS may be told of a mailbox. */
struct folder_uids {
	uint32_t	 uidvalidity;	/* 0: as it is, or the target's own */
	uint32_t	 uidnext;	/* at least; 0: as it is */
	const char	*guid;		/* 32 hex digits; NULL: as it is */
	bool		 restart;	/* UIDs may begin anew, with another
					 * UIDVALIDITY, if it holds no mail */
};

enum store_result {
	STORE_PENDING = 0,
	STORE_DONE,		/* stored, uid set where the server told it */
	STORE_REFUSED,		/* the target said no to this message: err */
	STORE_NOT_SENT,		/* certainly not stored; may be sent again */
	STORE_SPLIT,		/* its batch was refused, nothing of it stored:
				 * send again in smaller batches */
	STORE_UNKNOWN		/* may be stored, or be stored later: look */
};

/* Changes that a target had to make to the facts of an item. */
enum {
	CHANGE_KEYWORDS	= 1 << 0,	/* some could not be held */
	CHANGE_DATE	= 1 << 1,	/* clamped */
	CHANGE_UID	= 1 << 2,	/* want_uid could not be had */
	CHANGE_UNREAD	= 1 << 3	/* none, but its digest is not known */
};

/* One message to store.  The caller owns everything. */
struct store_item {
	/* in */
	const struct msg_meta *meta;
	const char	*bytes;		/* CRLF form in memory, or NULL: */
	struct content	*content;	/* stored form, at its start; with
					 * bytes only for TGT_LINKS */
	uint64_t	 size;		/* bytes of the CRLF form */
	struct digests	 digests;
	uint32_t	 want_uid;	/* 0: the server's choice */
	const char	*guid;		/* for back ends that set it */
	uint32_t	 mark;		/* not 0: to be kept beside the GUID, as it
					 * says whose want_uid is */
	unsigned	 flags;
	const char *const *keywords;
	size_t		 nkeywords;
	int64_t		 date;		/* NO_DATE: the target's choice */
	bool		 suspect;	/* it was refused before, so that this
					 * again would tell nothing */
	bool		 adopted;	/* see target_adopts(); size is that of
					 * the file, digests say which it is */
	/* out */
	enum store_result result;
	uint32_t	 uid;		/* 0: not told */
	unsigned	 changes;	/* CHANGE_* */
	struct err	 err;		/* when refused */
};

struct store_batch {
	struct store_item *items;
	size_t		 n;
	/* Called once, before anything that could make the target commit goes
	 * out: returns 0 when the intent is durable; -1: send no more, nothing
	 * may be stored. */
	int		(*commit)(struct store_batch *, struct err *);
	void		*ctx;		/* the caller's own */
	uint32_t	 uidnext;	/* out: the mailbox's before these, 0:
					 * not told */
	struct store_batch *next;	/* the back end's, while submitted */
	void		*priv;		/* the back end's, while submitted */
};

/* A change of flags of one message that is already there. */
struct flag_change {
	uint32_t	 uid;
	unsigned	 add, del;		/* MSG_* */
	const char *const *kw_add, *const *kw_del;
	size_t		 nkw_add, nkw_del;
	uint64_t	 unchanged_since;	/* modseq, 0: unconditional */
	enum { FLAG_DONE, FLAG_GONE, FLAG_CHANGED } result;
};

/* What POP3 clients are to be told of a message that is already there. */
struct uidl_change {
	uint32_t	 uid;
	const char	*uidl;
	uint32_t	 order;		/* 0: leave it */
	const char	*was;		/* what it was given before, or NULL */
	enum { UIDL_DONE, UIDL_GONE, UIDL_KEPT } result; /* KEPT: it has one
					 * of others' */
};

/* As source_check(). */
int	target_check(struct uri *, struct err *);
/* ERR_ACCOUNT + CAUSE_MISSING: the user does not exist at the target. */
int	target_open(struct target **, const struct store_conf *, struct err *);
void	target_close(struct target **);
void	target_caps(struct target *, struct target_caps *);

/* The software that serves it, with its version, as far as it is told and lasts
 * from one session to the next: it changes when the server does.  Printable
 * ASCII without '|'; never NULL. */
const char *target_identity(struct target *);

/* 1: the account exists; 0: it was missing and create made it. */
int	target_account_ensure(struct target *, bool create, struct err *);
/* The target's own spelling of a path of UTF-8 levels (prefix, separator,
 * encoding), in the arena; *encoded says that a level had to be escaped
 * (reversibly).  The same path always gives the same name. */
int	target_name(struct target *, struct arena *, const char *const *path,
	    size_t npath, const char **name, bool *encoded, struct err *);
/* Case and spelling folded as the target compares names: two equal keys are
 * one mailbox there. */
int	target_name_key(struct target *, struct arena *, const char *name,
	    const char **key, struct err *);

/*
 * What the account holds, without opening a mailbox, in one round trip where
 * the server allows it.  Those of the n names that exist are in the view in any
 * case, with their counts; of other mailboxes counts may be missing.  plan:
 * the quota, and what scripts do, are wanted as well.
 */
int	target_survey(struct target *, struct arena *, const char *const *names,
	    size_t n, bool plan, struct target_view *, struct err *);
/* 1: it makes POP3 UIDLs from UIDs, in this way; 0: that is no concern. */
int	target_uidls(struct target *, enum uidl_style *);

/* The name one level up, which the target may make as well when it makes this
 * one: 1, or 0 when there is none that mail could be in. */
int	target_parent(struct target *, struct arena *, const char *name,
	    const char **parent);
/* 1: it exists and is open for storing; 0: there is none of that name. */
int	target_folder_open(struct target *, const char *name,
	    struct folder_state *, struct err *);
void	target_folder_close(struct target *);
/* "Is already there" counts as success: a crash may lie in between. */
int	target_folder_create(struct target *, const char *name,
	    unsigned special_use, struct err *);
/* The open mailbox gets these; *st as after target_folder_open().  A change of
 * UIDVALIDITY makes every client fetch everything again. */
int	target_set_uids(struct target *, const struct folder_uids *,
	    struct folder_state *st, struct err *);
int	target_folder_rename(struct target *, const char *from, const char *to,
	    struct err *);
int	target_folder_delete(struct target *, const char *name, struct err *);
int	target_subscribe(struct target *, const char *name, bool on,
	    struct err *);
/* Several, on; results[i] has scope ERR_NONE where it was done.  -1: *e, and
 * nothing is known of the results. */
int	target_subscribe_many(struct target *, const char *const *names,
	    size_t n, struct err *results, struct err *);
/* 1: marked (0: with nothing any more); 0: this target cannot. */
int	target_mark_use(struct target *, const char *name, unsigned special_use,
	    struct err *);
/* The user's limit in bytes (rounded up as the target counts), UNKNOWN64: none.
 * 1: it is so now, *changed if it was not before; 0: the target cannot, or the
 * login may not: *e says why. */
int	target_set_quota(struct target *, uint64_t bytes, bool *changed,
	    struct err *);

/* Rights over a mailbox, with the owner's own.  1; 0: this target keeps none, or
 * the login may not see them: *e says why. */
int	target_acl(struct target *, struct arena *, const char *name,
	    struct acl_entry **, size_t *n, struct err *);
/* Gives who these rights over it in place of what they had.  1; 0: the target
 * says no, *e says why. */
int	target_set_acl(struct target *, const char *name, const char *who,
	    const char *rights, struct err *);
/* What this user calls a mailbox that owner calls name (owner NULL: a shared one,
 * which its admin calls that): 1; 0: there is no way to name it. */
int	target_foreign_name(struct target *, struct arena *, const char *owner,
	    const char *name, const char **foreign);

/*
 * Will the file of this content become a file of the open mailbox without
 * anybody having read it?  1: yes, and the digests say which file it is: a look
 * at the target's copy gives the same SHA-1, and nothing else does.
 */
int	target_adopts(struct target *, const struct msg_meta *,
	    const struct content *, struct digests *);

/*
 * Hand a batch over; it may return before the batch is durable.  Every batch
 * that was submitted, also with -1, comes back exactly once from reap(), with
 * a result in each item that is never STORE_PENDING.
 */
int	target_submit(struct target *, struct store_batch *, struct err *);
/* 1: *b is the oldest submitted batch, finished; 0: none outstanding, or none
 * finished yet and wait is false.  Never fails for a broken session: the
 * batches then come back as STORE_UNKNOWN or STORE_NOT_SENT, and
 * target_broken() tells why. */
int	target_reap(struct target *, bool wait, struct store_batch **b,
	    struct err *);
/* 1 and *e when the session is dead: close and open anew. */
int	target_broken(struct target *, struct err *e);

int	target_change_flags(struct target *, struct flag_change *, size_t n,
	    struct err *);
/* In the open mailbox.  1: each has its result; 0: the target can give UIDLs to
 * new messages only, or to none. */
int	target_set_uidls(struct target *, struct uidl_change *, size_t n,
	    struct err *);
/* Of the open mailbox into another one that is there: each of them is in one of
 * the two in any case, with all that it has. */
int	target_move(struct target *, const uint32_t *uids, size_t n,
	    const char *to, struct err *);
int	target_expunge(struct target *, const uint32_t *uids, size_t n,
	    struct err *);

#endif
