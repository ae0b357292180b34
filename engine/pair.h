/*
 * A pair: one source mailbox and its target mailbox, copied by one lane.
 */
#ifndef ENGINE_PAIR_H
#define ENGINE_PAIR_H

#include "lane.h"

#define PAIR_TRIES 3	/* of a mailbox with passing errors */
#define PAIR_BROKE 32
#define PAIR_PAUSE_MS 500 /* others of the account have their turn first */

enum pair_state { PAIR_TODO, PAIR_BUSY, PAIR_LATER, PAIR_DONE, PAIR_FAILED };

struct pair {
	struct pair	*next;
	int64_t		 id;		/* mailbox.id */
	const char	*src_key;	/* in the account's arena, as all names */
	const char	*src_name;	/* for people */
	const char	*tgt_name, *tgt_key;	/* key: as it compares names */
	uint64_t	 messages;	/* as listed, or UNKNOWN64 */
	size_t		 folder;	/* its number in the source's list, if
					 * that is still the same */
	const struct folder_state *seen; /* the target's, when the account was
					  * prepared; NULL: not asked */
	bool		 adopted;	/* strict matches were taken already */
	bool		 unmatched;	/* then, or since, some had none */
	unsigned	 special_use;	/* to mark at the target */
	bool		 subscribe;
	/* under the account's mutex */
	enum pair_state	 state;
	uint64_t	 due_ms;	/* LATER: not before */
	uint64_t	 doubt_ms;	/* when a doubt arose in this run; 0 */
	bool		 looked_twice;	/* the next look is on a new session */
	unsigned	 tries;
	unsigned	 held;		/* its host was blamed */
	bool		 begun;		/* it was run before */
	bool		 opened;	/* at the target */
	bool		 stable;	/* the source changed under us: now it
					 * must not */
	uint64_t	 stuck;		/* hash of the message it stuck at */
	unsigned	 stuck_n;	/* how often */
	uint64_t	 broke[PAIR_BROKE]; /* messages at which the source's
					 * session ended each time */
	unsigned	 nbroke;
	bool		 learnt;	/* one more of these */
	struct err	 err;
};

enum pair_end {
	PAIR_ENDED,	/* every message has its outcome */
	PAIR_WAIT,	/* a doubt has to settle: again at due_ms */
	PAIR_STOPPED,	/* the run stops */
	PAIR_ERROR	/* *e; the pair may be run again if e->retry */
};

/* Copies what is missing; lane's source and target are open. */
enum pair_end pair_run(struct lane *, struct pair *, struct err *);
/* Looks at a target mailbox, as listed (messages UNKNOWN64: some), and takes
 * what equals a source message to the byte; stores nothing.  Counts what was
 * there and what of it was taken. */
int	pair_adopt(struct lane *, struct pair *, const struct folder_state *,
	    uint64_t *there, uint64_t *taken, struct err *);
/* The target broke at something of this pair, and at others' (CAUSE_BROKEN with
 * ERR_HOST).  Is the host to blame?  Not before the account's other mailboxes
 * had their turn, and not again and again. */
bool	pair_blames_host(struct pair *);
/* Did the source mailbox change while it was read?  Then it is worth reading
 * again at once, and this tells the source to keep it as it is. */
bool	pair_changed(struct pair *, struct folder_info *, const struct err *);
/* Messages in a source mailbox, by the state if it has not changed (id 0: it
 * is new there), else counted, no further than to enough. */
int	pair_count(struct lane *, struct folder_info *, int64_t id,
	    uint64_t enough, uint64_t *n, struct err *);
/* Does the source mailbox hold a message that the state knows?  *known: the
 * state knows any.  Stops at the first.  sample: if its keys tell nothing, some
 * messages are read. */
int	pair_recognise(struct lane *, struct pair *, bool sample, bool *known,
	    bool *met, struct err *);
/* Has the source given its messages other keys (a new UIDVALIDITY, another way
 * to the same store)?  Then what is known is paired by content again.  The row
 * is loaded, and is so anew then. */
int	pair_rekey(struct lane *, struct pair *, struct folder_info *,
	    struct row_mailbox *, struct err *);
/* At the end of the pass: has a commit of ours come late and doubled? */
int	pair_check_doubles(struct lane *, struct pair *, struct err *);

#endif
