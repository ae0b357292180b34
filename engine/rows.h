/*
 * The rows of the state, as the copying engine reads and writes them (rows.c;
 * changes.c applies what lanes collect).
 *
 * Writing goes through a struct changes: a lane fills one in and posts it;
 * the writer applies it in one transaction with whatever else waits.  Reading
 * takes the lane's own read-only connection.
 */
#ifndef ENGINE_ROWS_H
#define ENGINE_ROWS_H

#include "base/arena.h"
#include "message.h"
#include "state.h"
#include "target.h"

/* Values are in the database: never renumber. */
enum outcome {
	OUT_NONE = 0,	/* a row that no longer holds (lost at the target) */
	OUT_COPIED = 1,
	OUT_PRESENT = 2,
	OUT_EXCLUDED = 3,
	OUT_REFUSED = 4,
	OUT_FAILED = 5,
	OUT_VANISHED = 6,
	OUTCOMES = 7
};

const char *outcome_name(enum outcome);

/* Beside CHANGE_* of target.h, in row_message.changes. */
enum {
	ROW_TOUCHED	= 1 << 16	/* its flags are not only what we gave */
};

struct row_message {
	struct row_message *next;
	const void	*key;
	size_t		 key_len;
	const struct digests *digests;	/* NULL: unknown */
	uint64_t	 size, crlf_size;
	uint32_t	 src_uid, tgt_uid;
	unsigned	 src_flags, tgt_flags;
	const char	*src_kw, *tgt_kw;	/* blank-separated, sorted */
	const char	*raw_flags, *guid, *uidl;
	uint32_t	 uidl_order;
	int64_t		 date;
	enum outcome	 outcome;
	unsigned	 changes, oddities;
	const char	*rule;		/* in force when it was refused */
	int64_t		 pass;		/* message_find(): that last put it */
};

struct row_extra {
	struct row_extra *next;
	uint32_t	 uid;
	bool		 unread;	/* only digests.sha1 is known */
	bool		 ours;		/* it proves that its UID is from us */
	struct digests	 digests;
	uint64_t	 size;
	int64_t		 date;
	unsigned	 flags;		/* that it has there */
	const char	*kw;
};

struct row_taken {
	struct row_taken *next;
	uint32_t	 uid;
};

struct row_issue {
	struct row_issue *next;
	int64_t		 mailbox_id;
	const char	*kind;		/* refused, failed, altered, warn... */
	const void	*key;
	size_t		 key_len;
	const char	*where, *message_id, *subject, *reason;
	uint64_t	 size;		/* UNKNOWN64: none */
};

struct row_intent_item {
	const void	*key;
	size_t		 key_len;
	struct digests	 digests;
	uint64_t	 size;		/* CRLF form */
	uint32_t	 want_uid;
	unsigned	 flags;
	const char	*kw;		/* as in a row; NULL: none */
	int64_t		 date;
};

struct row_intent {
	int64_t		 id;
	uint32_t	 uidvalidity, uidnext;
	uint64_t	 modseq;
	bool		 atomic;
	size_t		 n;
	const struct row_intent_item *items;
};

/* What the target mailbox was last seen to be. */
struct row_target {
	uint32_t	 uidvalidity, uidnext;
	uint64_t	 modseq, messages;
};

struct changes {
	struct arena	 arena;		/* owns everything below */
	int64_t		 account_id, mailbox_id, pass;
	struct row_message *messages;
	struct row_extra *extras;
	struct row_taken *taken;
	struct row_issue *issues;
	const struct row_intent *intent;	/* to put */
	int64_t		 drop_intent;		/* 0: none */
	uint32_t	 uidnext;		/* 0: leave; else move up to */
	uint32_t	 uidvalidity;		/* that extras are of; 0: leave */
	uint64_t	 sent, sent_bytes;	/* added to the pass */
	struct log	*log;			/* set by changes_post() */
};

struct changes	*changes_new(int64_t account_id, int64_t mailbox_id,
		    int64_t pass);
void		 changes_free(struct changes *);
bool		 changes_empty(const struct changes *);
/* Zeroed, in the arena, already in the list. */
struct row_message *changes_message(struct changes *);
struct row_extra *changes_extra(struct changes *);
void		 changes_take(struct changes *, uint32_t uid);
/* Strings are copied.  where and key may be NULL. */
struct row_issue *changes_issue(struct changes *, const char *kind,
		    const void *key, size_t key_len, const char *where,
		    const char *reason);
/* Hands it to the writer, who frees it. */
uint64_t	 changes_post(struct state *, struct changes **);

/* The id of a set of keywords, made when it is new; 0 for none.  For who works
 * on the writer's connection. */
int	 keyword_set(struct db *, const char *words, int64_t *id,
	    struct err *);

/* What is sent is remembered by stretches of so many seconds. */
#define PACE_SECONDS	10

/* Passes.  settings: config_brief(), or "". */
int	 pass_begin(struct state *, const char *what, const char *settings,
	    struct err *);
int	 pass_end(struct state *, int exit_code, struct err *);
/* A number no intent has; never repeats. */
int64_t	 intent_id_next(void);

/* Accounts. */
struct row_account {
	int64_t		 id;
	char		 stage[16];
	char		 outcome[16];
	int64_t		 pass;		/* the last that touched it */
	int64_t		 messages;	/* at the source in the last pass */
};

/* target NULL: as it was. */
int	 account_put(struct state *, const char *name, const char *target_user,
	    const char *source, const char *target, struct row_account *,
	    struct err *);
/* outcome: done, partial, failed, empty, stopped; error may be NULL.  The
 * stage is no longer new once a message is at the target. */
int	 account_outcome(struct state *, int64_t id, const char *outcome,
	    const char *error, struct err *);

/* Mailboxes (pairs). */
struct row_mailbox {
	int64_t		 id;
	uint32_t	 src_uidvalidity;
	struct row_target target;
	bool		 made_by_us;
	bool		 complete;	/* the last pass over it ended well */
	uint64_t	 counts[OUTCOMES], source;
	uint64_t	 bytes, crlf_bytes, stripped;
	uint64_t	 rows;		/* messages with a target copy */
	uint64_t	 extras;	/* not taken */
	uint64_t	 intents;	/* open or in doubt */
	bool		 any_row;
	bool		 doubts;	/* some message was in doubt */
	bool		 unlocated;	/* copied, target UID not told */
	bool		 flagging;	/* changes of flags were begun */
	struct buf	 token;		/* release it */
};

/* A mailbox of the source and its name at the target ("": as it was). */
struct mailbox_names {
	const char	*src_key, *src_name, *tgt_name, *tgt_key;
	int64_t		 id;
};
/* Many in one transaction; each gets its id. */
int	 mailboxes_put(struct state *, int64_t account_id,
	    struct mailbox_names *, size_t n, struct err *);
int	 mailbox_put(struct state *, int64_t account_id, const char *src_key,
	    const char *src_name, const char *tgt_name, const char *tgt_key,
	    int64_t *id, struct err *);
/* Mailboxes that this pass did not put are no longer at the source. */
int	 mailboxes_gone(struct state *, int64_t account_id, struct err *);
int	 mailbox_load(struct db *, int64_t id, struct row_mailbox *,
	    struct err *);
/* Posted, not waited for, as are mailbox_put_end() and op_done(). */
int	 mailbox_set_target(struct state *, int64_t id,
	    const struct row_target *, bool made_by_us, struct err *);

struct mailbox_end {
	int64_t		 id, pass;
	const char	*outcome;	/* done, partial, failed, excluded,
					 * unreadable */
	const char	*error;
	bool		 counted;	/* the numbers below are complete */
	uint64_t	 source, counts[OUTCOMES], stripped, bytes, crlf_bytes;
	const void	*token;
	size_t		 token_len;
	uint32_t	 src_uidvalidity;
	const char	*src_object;
	uint32_t	 src_uidnext;	/* as it was opened */
	uint64_t	 src_modseq, src_messages;
	bool		 set_target;
	struct row_target target;
	struct log	*log;		/* set by mailbox_put_end() */
};
int	 mailbox_put_end(struct state *, const struct mailbox_end *,
	    struct err *);

/* Messages. */
/* 1: found; of the strings only rule and src_kw are filled in, and no key. */
int	 message_find(struct db *, int64_t mailbox_id, const void *key,
	    size_t key_len, struct row_message *, struct digests *,
	    struct arena *, struct err *);
/* A refused message is to be tried again: its row no longer holds, and what is
 * said of doubts about it is forgotten.  Before all that is posted later. */
void	 message_unrefuse(struct state *, int64_t mailbox_id, const void *key,
	    size_t key_len);
/* How often it was in a batch whose answer never came. */
int	 message_doubts(struct db *, int64_t mailbox_id, const void *key,
	    size_t key_len, int64_t *n, struct err *);
/* All rows of the mailbox no longer hold: uidvalidity changed or the target
 * was rolled back.  Extras are forgotten. */
int	 mailbox_void(struct state *, int64_t mailbox_id, struct err *);
/* These target UIDs are gone: their rows no longer hold (added to *lost), and
 * extras are forgotten.  The source is read anew until a walk is complete. */
int	 messages_void(struct state *, int64_t account_id, int64_t mailbox_id,
	    const uint32_t *uids, size_t n, uint64_t *lost, struct err *);
/* Copied rows whose UID the server never told and no look has found are lost,
 * unless an untaken extra of the same date may be the copy, altered beyond
 * recognition. */
int	 messages_void_unlocated(struct state *, int64_t account_id,
	    int64_t mailbox_id, uint64_t *lost, struct err *);
/* The source calls its messages otherwise by now: rows become extras, to be
 * paired by digest. */
int	 mailbox_rekey(struct state *, int64_t mailbox_id, struct err *);
/* Calls fn with each UID that a row or an extra has, from the given one on;
 * live: not those of extras that were taken. */
int	 mailbox_known_uids(struct db *, int64_t mailbox_id, uint32_t from,
	    bool live, int (*fn)(void *, uint32_t, struct err *),
	    void *ctx, struct err *);

/* Extras.  1: *uid is the lowest untaken one equal (strict or SHA-1, else with
 * loose by the loose digest), not among the skip list; *intended: one of our own
 * batches that was in doubt holds this digest. */
int	 extra_find(struct db *, int64_t mailbox_id, const struct digests *,
	    bool loose, const struct row_taken *skip, uint32_t *uid,
	    bool *intended, struct err *);
/* With which flags the message in hand came to the target as that extra, as far
 * as is known: src_* of the source's message then (src: known), tgt_* there. */
struct extra_flags {
	bool		 src;
	unsigned	 src_flags, tgt_flags;
	const char	*src_kw, *tgt_kw;	/* in the arena */
};
int	 extra_flags(struct db *, int64_t mailbox_id, uint32_t uid,
	    const void *key, size_t key_len, bool intended, struct arena *,
	    struct extra_flags *, struct err *);
/* 1: the untaken extra of that UID equals the digests, strictly or loosely. */
int	 extra_equals(struct db *, int64_t mailbox_id, uint32_t uid,
	    const struct digests *, struct err *);
/* Calls fn with the UIDs of untaken extras from the given one on, ascending. */
int	 extras_from(struct db *, int64_t mailbox_id, uint32_t from,
	    int (*fn)(void *, uint32_t, struct err *), void *ctx,
	    struct err *);
/* Has the target given a UID below this one to other mail than the source?
 * (Rows whose source had no UID say nothing.) */
int	 uids_mixed(struct db *, int64_t mailbox_id, uint32_t below,
	    bool *mixed, struct err *);
int	 extras_untaken(struct db *, int64_t mailbox_id, int64_t *n,
	    struct err *);
/* 1: the extra is untaken and known by its SHA-1 only. */
int	 extra_is_unread(struct db *, int64_t mailbox_id, uint32_t uid,
	    struct err *);
/* The lowest such UID from the given one on, 0: none is. */
int	 extras_unread(struct db *, int64_t mailbox_id, uint32_t from,
	    uint32_t *uid, struct err *);
/* Do all rows that an extra may have to be compared with have SHA-1?  Not
 * those of a time when the target had no such index. */
int	 sha1_suffices(struct db *, int64_t mailbox_id, bool *, struct err *);

/* Intents. */
/* Does every item of the mailbox's open intents have a row or an untaken
 * extra with its digest?  Then nothing is in doubt. */
int	 intents_accounted(struct db *, int64_t mailbox_id, bool *all,
	    struct err *);
/* Open intents become settled ones (state 1) of this pass.  They are kept to
 * the end of the next pass: a server may commit later than anybody waits.
 * lost: the session broke in this run and nothing of them was stored; it is
 * counted for their messages (message_doubts). */
int	 intents_settle(struct state *, int64_t mailbox_id, bool lost,
	    struct err *);
/* The first max settled ones, without their items. */
int	 intents_settled(struct db *, int64_t mailbox_id, struct row_intent *,
	    size_t max, size_t *n, struct err *);
/* The digests of its items in order, in the arena; in->items is set. */
int	 intent_items(struct db *, struct row_intent *in, struct arena *,
	    struct err *);
/* Settled ones of earlier passes. */
int	 intents_forget(struct state *, int64_t mailbox_id, struct err *);

/* Ops: begun before the target is changed, done after. */
int	 op_begin(struct state *, int64_t account_id, int64_t mailbox_id,
	    const char *kind, const char *name, const char *arg, int64_t *id,
	    struct err *);
int	 op_done(struct state *, int64_t id, struct err *);
/* Several at once: ids[i] of 0 is passed over by ops_done(). */
struct op_name {
	int64_t		 mailbox_id;
	const char	*name;
};
int	 ops_begin(struct state *, int64_t account_id, const char *kind,
	    const struct op_name *, size_t n, int64_t *ids, struct err *);
int	 ops_done(struct state *, const int64_t *ids, size_t n, struct err *);
/* 1: an op of that kind and name is done: it need not be repeated. */
int	 op_was_done(struct db *, int64_t account_id, const char *kind,
	    const char *name, struct err *);

#endif
