/* Shared by the files undo*.c only. */
#ifndef ENGINE_UNDO_IMPL_H
#define ENGINE_UNDO_IMPL_H

#include "base/spill.h"
#include "undo.h"

struct uids {
	uint32_t	*v;
	size_t		 n, cap;
};

void	uids_add(struct uids *, uint32_t);
void	uids_sort(struct uids *);
bool	uids_has(const struct uids *, uint32_t);	/* sorted */

/* What we stored, as it must still be. */
struct stored {
	uint64_t	 size;		/* UINT64_MAX: compare the bytes */
	int64_t		 date;		/* NO_DATE: compare the bytes */
	uint32_t	 flags;
	uint32_t	 present;	/* not ours: it was there */
	uint32_t	 subset;	/* some keywords could not be held */
	uint32_t	 touched;	/* somebody had changed its flags */
	struct digests	 digests;
	char		 kw[];		/* blank-separated, NUL-ended */
};

#define MAX_WORDS	((size_t)1 << 16)	/* keywords of a message */
#define STORED_MAX	(sizeof(struct stored) + MAX_WORDS)

/* undo_check.c: may it be undone?  Fills in a->row.  -1: *e says why not, and
 * nothing was touched. */
int	undo_check(struct db *, struct account *, struct err *);

/* undo_rows.c: the state. */
/* What the rows and the open intents of a mailbox say of the target's UIDs,
 * sorted by UID; *gone counts copies whose UID nobody knows. */
int	undo_load(struct lane *, int64_t mailbox_id, uint32_t uidvalidity,
	    struct spill **, uint64_t *unlocated, struct err *);
/* UIDs of batches that were begun and not ended. */
int	undo_begun(struct db *, int64_t mailbox_id, struct uids *,
	    struct err *);
/* Before a batch is taken back. */
int	undo_begin(struct lane *, const struct undo_box *, int64_t mailbox_id,
	    const uint32_t *uids, size_t n, int64_t *op, struct err *);
/* After it: copies whose UID is not in the list are no more, nor is anything
 * in doubt, and the ops of the mailbox are done.  *rows: what still is at the
 * target by its rows. */
int	undo_mark(struct state *, int64_t mailbox_id, const struct uids *there,
	    int64_t *rows, struct err *);
/* Only the ops: of a mailbox, of all. */
int	undo_close(struct state *, int64_t mailbox_id, struct err *);
int	undo_end(struct state *, int64_t account_id, struct err *);
/* A mailbox that was made only because one below it was, is gone. */
int	undo_parent_gone(struct state *, int64_t account_id, const char *name,
	    struct err *);
/* Nothing of ours is in the target mailbox any more: a later copy gives it its
 * name anew.  deleted: and it is not there. */
int	undo_reset(struct state *, int64_t account_id, int64_t mailbox_id,
	    const char *tgt_name, bool deleted, struct err *);

#endif
