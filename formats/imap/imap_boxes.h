/*
 * The mailboxes that a server lists, for imap_list.c (the source) and
 * imap_target.c (what is there already).
 */
#ifndef IMAP_BOXES_H
#define IMAP_BOXES_H

#include "imap/imap_session.h"

struct imap_listed {
	char		*name;		/* INBOX in capitals */
	char		 sep;
	unsigned	 use;
	bool		 noselect, subscribed, has_status;
	bool		 wanted;	/* by imap_boxes_status() */
	struct imap_box	 status;
	uint64_t	 size;		/* UNKNOWN64: not told */
	char		*object;	/* MAILBOXID, or what Dovecot has for
					 * it; NULL: not told */
};

struct imap_boxes {
	struct imap_listed *b;
	size_t		 n, cap;
	size_t		 bytes;		/* of all names */
	bool		 objects;	/* are wanted */
	size_t		 found;		/* by the last imap_boxes_find() */
};

/* All that LIST names, with STATUS where one command gives both. */
int	imap_boxes_ask(struct imap_session *, struct imap_boxes *,
	    struct err *);
/* STATUS of the mailboxes that are wanted and have none, many at a time.  What a
 * server does not tell of stays unknown; strict: not if it may tell later, -1. */
int	imap_boxes_status(struct imap_session *, struct imap_boxes *,
	    bool strict, struct err *);
void	imap_boxes_release(struct imap_boxes *);
struct imap_listed *imap_boxes_find(struct imap_boxes *, const char *name);
struct imap_listed *imap_boxes_add(struct imap_boxes *, const char *name);
/* An imap_data_fn: takes LIST, LSUB and STATUS. */
int	imap_boxes_data(struct imap_session *, struct imap_response *,
	    void *boxes, struct err *);
/* What follows LIST or LSUB, as one more mailbox. */
int	imap_boxes_line(struct imap_session *, struct imap_boxes *,
	    struct err *);

/* Is the name in a namespace that is not the user's own?  A server may tell of
 * several that are, and of one within another: the longest prefix counts. */
bool	imap_boxes_of_others(const struct imap_session *, const char *name);

#endif
