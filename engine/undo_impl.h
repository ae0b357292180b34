/* Shared by the files undo*.c only. */
#ifndef ENGINE_UNDO_IMPL_H
#define ENGINE_UNDO_IMPL_H

#include "base/spill.h"
#include "pair.h"
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

/* One mailbox in work. */
struct box {
	struct box	*next;
	struct pair	 pair;		/* for looking */
	struct row_mailbox row;
	struct undo_box	 told;
	bool		 begun;		/* its creation was, maybe not ended */
	bool		 implied;	/* made with one below it, and then */
	uint32_t	 made_as;	/* had this UIDVALIDITY; 0: not known */
	struct folder_info f;		/* as listed last */
	uint64_t	 there;		/* messages */
	struct uids	 go, uids;	/* to take back; all that are there */
	uint64_t	*as;		/* what those to take back looked like */
	struct uids	 marked;	/* that we may have marked \Deleted */
	struct uids	 stored_so;	/* that were stored as \Deleted */
	struct uids	 unmark;	/* marked by us, then changed by others */
};

struct undo {
	struct lane	*l;
	struct account	*a;
	bool		 apply;
	struct arena	 arena;
	struct folder_info *folders;	/* of the target, when it began */
	size_t		 nfolders;
	struct uids	 deleted;	/* indexes into folders */
	struct box	*parents;	/* of mailboxes that we made */
	struct aside	*asides;	/* put aside before they went */
	bool		 hides;		/* the target does not list all */
};

/* undo.c: opens the mailbox to be read, with the messages from this UID on. */
int	undo_open_box(struct lane *, struct box *, uint32_t from,
	    struct err *);
/* undo_messages.c */
/* Flags and keywords, in any order and case, as a number. */
uint64_t undo_looks(const struct msg_meta *);
/* The target is open for writing, also where it allows one session only. */
int	undo_writer(struct lane *, struct err *);
/* Takes back what is to go, unless somebody changes it meanwhile. */
int	undo_take_messages(struct undo *, struct box *, struct err *);

/* undo_mailbox.c */
struct going {
	const char	*name;
	int64_t		 mailbox_id;	/* of the op */
	uint32_t	 uidvalidity;
	unsigned	 special_use;
	bool		 in_place;	/* it cannot be put aside: what lies
					 * below it would go along */
	const char	*kind;		/* of the op */
};

#define UNDO_BOX	"undo-mailbox"

/* One that was put aside, in an arena. */
struct aside {
	struct aside	*next;
	const char	*name, *at;
};

/* The target is open; mailboxes below it are gone.  1: it is gone, and the op
 * is left for who tells the state; 0: it stays, *note says why. */
int	undo_mailbox(struct lane *, const struct going *, struct arena *,
	    struct aside **, const char **note, struct err *);
/* Before anything else: those that an op of this kind put aside that was cut
 * off. */
int	undo_asides(struct lane *, const char *kind, struct arena *,
	    struct aside **, struct err *);
/* After all: what was made below one of them at the last moment comes back. */
int	undo_strays(struct lane *, struct arena *, const struct aside *,
	    struct err *);

/* undo_rows.c: the state. */
int	undo_load_asides(struct db *, int64_t account_id, const char *kind,
	    struct arena *, struct aside **, struct err *);
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
