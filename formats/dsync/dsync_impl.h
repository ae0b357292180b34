/*
 * Inside the dsync target: what its files share.
 *
 *	dsync_line.c	the protocol's lines
 *	dsync_talk.c	a conversation with a dsync-server
 *	dsync_way.c	the ways to a server; options
 *	dsync_child.c	a child that runs doveadm
 *	dsync_target.c	the table; opening; what IMAP does for it
 *	dsync_mailbox.c	mailboxes: names, trees, UIDs
 *	dsync_store.c	batches
 *	dsync_source.c	the store read, by IMAP
 *
 * The engine's batches are rounds of the protocol.  A mailbox is made in the
 * exchange of trees, at the start of a conversation, with its GUID and
 * UIDVALIDITY; so folder_create() only notes that it is wanted, and set_uids(),
 * which the engine calls before the first store, makes it.
 */
#ifndef DSYNC_IMPL_H
#define DSYNC_IMPL_H

#include "dsync/dsync_talk.h"
#include "imap/imap_name.h"
#include "target_impl.h"

struct dsync_guids {		/* hashes; 0 stands for an empty place */
	uint64_t	*h;
	size_t		 n, cap;
};

struct dsync {
	struct target	 t;
	struct store_conf conf;		/* ours, for as long as we are open */
	struct dsync_talk *talk;	/* NULL: none just now */
	struct dsync_tree known;	/* when there is none: as it ended */
	bool		 locks;		/* conversations hold the user's lock */
	struct dsync_eyes *eyes;	/* NULL: no IMAP */
	struct target	*imap;		/* likewise; does what dsync cannot */
	struct imap_name_rules rules;	/* without it */
	char		**planned;	/* mailboxes that are to be made */
	size_t		 nplanned;
	/* The open mailbox. */
	char		*name;		/* as IMAP spells it */
	char		*key;		/* as trees do */
	bool		 selected;	/* in the IMAP session, too */
	struct dsync_guids guids;	/* of messages stored in this talk */
	struct store_batch *first, *last;	/* submitted, not reaped */
	struct round	*flight;	/* sent, the server has not answered */
	bool		 broken;
	struct err	 why;		/* if broken */
};

/* dsync_mailbox.c */
/* A conversation is open.  fresh: one that begins now. */
int	dsync_need_talk(struct dsync *, bool fresh, struct err *);
void	dsync_end_talk(struct dsync *);
/* The open mailbox, with a conversation in which it can have rounds: 1; 0:
 * there is no such mailbox. */
int	dsync_need_box(struct dsync *, struct dsync_box **, struct err *);
/* A round begins: B has been answered.  1, 0 as above. */
int	dsync_begin_round(struct dsync *, struct dsync_box **,
	    struct dsync_status *, struct err *);
/* Remembers why the session died; -1. */
int	dsync_noted(struct dsync *, const struct err *);
void	dsync_forget_planned(struct dsync *, const char *name);
/* As in target.h. */
int	dsync_name(struct target *, struct arena *, const char *const *, size_t,
	    const char **, bool *, struct err *);
int	dsync_survey(struct target *, struct arena *, const char *const *,
	    size_t, bool, struct target_view *, struct err *);
int	dsync_folder_open(struct target *, const char *, struct folder_state *,
	    struct err *);
void	dsync_folder_close(struct target *);
int	dsync_folder_create(struct target *, const char *, unsigned,
	    struct err *);
int	dsync_set_uids(struct target *, const struct folder_uids *,
	    struct folder_state *, struct err *);

/* dsync_store.c */
int	dsync_submit(struct target *, struct store_batch *, struct err *);
int	dsync_reap(struct target *, bool, struct store_batch **, struct err *);
/* Is it new?  It is remembered. */
bool	dsync_guids_add(struct dsync_guids *, const char *box,
	    const char *guid);
void	dsync_guids_release(struct dsync_guids *);

#endif
