/*
 * A walk over a source mailbox: every message gets its outcome, from its row,
 * from an equal copy at the target, or by being sent.
 */
#ifndef ENGINE_WALK_H
#define ENGINE_WALK_H

#include "base/spill.h"
#include "batch.h"

#define MAX_RULES 8		/* that leave messages out */

/* Messages that are in another mailbox of the target (elsewhere.h). */
struct walk_elsewhere {
	struct walk_elsewhere *next;
	const char	*box;
	uint64_t	 n;
};

struct walk {
	uint64_t	 read;		/* bytes of a message just read */
	struct lane	*l;
	struct pair	*p;
	struct folder_info *folder;	/* the source mailbox */
	struct row_mailbox row;
	struct tally	 tally;
	struct arena	 arena;		/* of the chunk */
	struct buf	 keep;		/* the CRLF form of one message */
	struct changes	*c;		/* rows that need no store */
	struct spill	*flagged;	/* of merge.c: flags that have changed
					 * at the source; NULL: none */
	uint64_t	 rows_before, rows_met;	/* messages that are at the
					 * target: known, and met again */
	bool		 keyless;	/* some were left out before they had a
					 * key */
	bool		 unmerged;	/* some changes were not wanted */
	bool		 gone;		/* some of the source's were deleted */
	bool		 later;		/* some could not be taken over yet */
	uint64_t	 flushed;	/* what of it is with the writer */
	bool		 some;		/* only what is new is listed: the books
					 * go on with these: */
	struct tally	 base;		/* of the last pass, without what is
					 * gone since */
	uint64_t	 base_source, base_met, base_gone;
	bool		 adopting;	/* prepass: strict matches only */
	bool		 extras;	/* some are untaken */
	bool		 keep_uids;	/* messages have the source's UIDs */
	bool		 adopts;	/* the target may take files unread */
	bool		 failed;	/* the message did before */
	bool		 unmatched;	/* the prepass met a message that has
					 * neither row nor equal */
	bool		 refused;	/* the message in hand, until now */
	uint64_t	 twins;		/* of what was there, copied: adopt.h */
	struct walk_elsewhere *elsewhere;	/* in the account's arena */
	struct { const char *rule; uint64_t n; } excluded[MAX_RULES];
};

/*
 * Is the target still what the state says (w->row is loaded)?  *from is the UID
 * from which nothing is known; rows that no longer hold are void.  In pair.c.
 */
int	pair_check_target(struct walk *, const struct folder_state *,
	    uint32_t *from, bool *changed, struct err *);

/* After a look, for which the target's session may have been given up: the
 * mailbox is open for storing again.  What came in between is looked at in the
 * next pass.  In pair.c. */
int	pair_target_again(struct walk *, struct err *);

/* What is collected for the state. */
struct changes *walk_changes(struct walk *);
/* The source mailbox and its row are filled in by the caller. */
void	walk_begin(struct walk *, struct lane *, struct pair *);
/* Closes the mailboxes of both sides; flushes notes. */
void	walk_release(struct walk *);

/*
 * All messages of the open source mailbox.  0: the end was reached; -1: *e (a
 * stop has CAUSE_CANCELLED).  With adopting nothing is sent: strict matches
 * with untaken extras only.
 */
int	walk_all(struct walk *, struct err *);
/* The prepass: strict matches first, over the whole mailbox, since a loose
 * match must never take the copy that another message equals to the byte.
 * The source mailbox is open before and after. */
int	walk_adopt(struct walk *, struct err *);
/* Closes the books of a complete walk. */
int	walk_end(struct walk *, struct err *);

/* The key of a message that the store gives none: its digest and ordinal
 * among equal ones since the last "DELETE FROM seen" on lane->scratch. */
int	walk_digest_key(struct walk *, const struct digests *, char key[64],
	    size_t *key_len, struct err *);
/* The same of a known ordinal, from 0; its length. */
size_t	digest_key(const struct digests *, int64_t ordinal, char key[64]);

/*
 * The token of a complete pass: what it depends on, then the source's own.
 * refusal is what refused some messages of the mailbox; NULL, so that nothing
 * has to be read again when that changes: none was refused.  unmerged: flags
 * have changed at the source, which nobody wanted to take over; gone: messages
 * were deleted there, and the same.
 */
void	token_wrap(const struct settings *, const char *refusal, bool unmerged,
	    bool gone, const struct buf *source, struct buf *out);
/* Was it made so?  Then it does not hold for who wants them. */
bool	token_unmerged(const struct buf *token);
bool	token_gone(const struct buf *token);
/* 1: the source's own part of a token that was made under these settings, and
 * with this refusal rule, if any was refused; NULL: whichever rule. */
int	token_unwrap(const struct settings *, const char *refusal,
	    const struct buf *token, struct buf *out);

#endif
