/* Shared by the files merge*.c and removal*.c only. */
#ifndef ENGINE_MERGE_IMPL_H
#define ENGINE_MERGE_IMPL_H

#include "merge.h"
#include "same.h"

#define MERGE_CHUNK	500	/* messages looked at together */

enum merge_state {
	MERGE_OPEN,	/* its flags at the target are not known */
	MERGE_SENT,	/* changed: what is there now goes into its row */
	MERGE_FINAL,	/* the row is to be put */
	MERGE_ENDED
};

/* A message whose flags may have to be changed. */
struct merge_item {
	uint32_t	 uid;		/* at the target */
	const void	*key;
	size_t		 key_len;
	const char	*where;		/* at the source, for people */
	const char	*raw;		/* the source's own letters; NULL: as
					 * in the row */
	enum merge_state state;
	struct flag_sides sides;
	struct flag_merge merge;
	unsigned	 changes;	/* of the row; here ROW_TOUCHED is
					 * added */
	struct same_as	 is;
	bool		 there, same;	/* when last looked at: is it, and is it
					 * the row's message? */
	bool		 pending;	/* a row in flagging is its own */
	uint64_t	 modseq;	/* as it was there */
	uint64_t	 begun_modseq;	/* when a change was begun */
	struct flag_set	 wanted;	/* that change's result */
};

struct merging {
	struct walk	*w;		/* NULL: none */
	struct lane	*l;
	struct pair	*p;
	uint32_t	 uidvalidity;
	uint64_t	 modseq;	/* the mailbox's at the last look */
	struct arena	 arena;		/* of the chunk */
	struct merge_item items[MERGE_CHUNK];
	size_t		 n;
	struct changes	*c;		/* issues */
};

/* Looks at all that are not ended, which are in the order of their UIDs. */
int	merging_look(struct merging *, struct err *);
/* The target mailbox, open for changes (if it was before). */
int	merging_target(struct merging *, struct err *);
void	merging_issue(struct merging *, const struct merge_item *,
	    const char *kind, const char *text);

/* merge_rows.c: the state. */
/* The row of an item, by its key: 1; 0: it is not at the target as that UID
 * any more. */
int	merge_load(struct db *, int64_t mailbox_id, int64_t account_id,
	    struct merge_item *, struct arena *, struct err *);
/* The first n changes that were begun, by key; all that merge_load() does is
 * still to be done. */
int	merge_begun(struct db *, int64_t mailbox_id, struct merge_item *,
	    size_t max, size_t *n, struct arena *, struct err *);
/* Before changes: those in state OPEN with changes of the n.  Durable on
 * return; from here on the mailbox is not "unchanged". */
int	merge_plan(struct state *, int64_t mailbox_id, struct merge_item *,
	    size_t n, struct err *);
/* Rows of those in state FINAL, which are ENDED then; nothing of the n is begun
 * any more but those SENT. */
int	merge_record(struct state *, int64_t mailbox_id, struct merge_item *,
	    size_t n, struct err *);
/* From this UID on the target holds other mail than the rows say. */
int	mailbox_void_from(struct state *, int64_t mailbox_id, uint32_t uid,
	    struct err *);

#endif
