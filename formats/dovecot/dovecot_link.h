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

#endif
