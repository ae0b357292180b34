/*
 * Undo: takes back at the target what copy has made for an account and nobody
 * has changed since, message by message and mailbox by mailbox.
 *
 * A message goes only if a row says that we stored it, its UID still holds
 * that size and date, and its flags and keywords are those that it was stored
 * with; where size or date cannot be compared its bytes are.  A mailbox goes
 * only if we made it and nothing is left in it or below it.  Every batch has
 * an op row before its first change, and rows are marked after the target has
 * been listed again: a kill at any point leaves an undo that the next one
 * ends.  Until then copy and forget refuse the account (undo_pending()), since
 * messages may be marked \Deleted.
 *
 * An account is refused as a whole if its rows may be of another store than
 * the target of the job: another target user or place than the state has, a
 * rename that was cut off; and if a second account has copied to that target.
 * When nothing is left of what copy has stored or met, its stage is new again:
 * the next copy asks once more whose mail is there.
 */
#ifndef ENGINE_UNDO_H
#define ENGINE_UNDO_H

#include "account.h"

/* What is at the target in one mailbox of the state. */
struct undo_box {
	const char	*src_name, *tgt_name;
	uint64_t	 ours;		/* unchanged: these go */
	uint64_t	 changed;	/* ours once: flags, or another message */
	uint64_t	 present;	/* were there before, known to copy */
	uint64_t	 foreign;	/* in no row */
	uint64_t	 gone;		/* ours, no longer there */
	uint64_t	 doubts;	/* batches without an answer: looked for
					 * before anything is taken back */
	bool		 made;		/* the mailbox is ours */
	bool		 vanishes;	/* and would be empty; or has gone */
	bool		 stays;		/* told once more: it did not go */
	const char	*note;		/* why nothing is done, or NULL */
};

typedef void undo_tell_fn(void *ctx, const struct undo_box *);

/*
 * One account, with a lane whose run has the state and the settings.  Tells of
 * every mailbox that copy has met; with apply takes it back.  *left counts
 * what was ours and stays because somebody changed it.  -1: *e; what was done
 * until then is right, and undo can be called again.
 */
int	undo_account(struct lane *, struct account *, bool apply,
	    undo_tell_fn *, void *ctx, uint64_t *left, struct err *);

/* An undo of the account was begun and not ended. */
int	undo_pending(struct db *, int64_t account_id, bool *pending,
	    struct err *);

#endif
