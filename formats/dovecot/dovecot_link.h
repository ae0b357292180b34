/*
 * A message that is a whole file at the source becomes the same file here, or
 * shares its blocks (link=hard, link=reflink).
 */
#ifndef DOVECOT_LINK_H
#define DOVECOT_LINK_H

#include "dovecot/dovecot_impl.h"

/* 1: tmp/p->tmp is there and p is filled in; 0: this message has to be copied
 * (it was counted); -1: p->err, no message can be had in this way. */
int	dovecot_link(struct dovecot *, const struct store_item *,
	    struct piece *);

/* The item's file appears in cur/ under that name.  -1: errno. */
int	dovecot_link_direct(struct dovecot *, const struct store_item *,
	    const char *name);
/* As target_adopts(). */
int	dovecot_adopts(struct target *, const struct msg_meta *,
	    const struct content *, struct digests *);

#endif
