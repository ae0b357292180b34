/*
 * Mail that lies near a source without any: what may have been meant.
 */
#ifndef FORMATS_NEARBY_H
#define FORMATS_NEARBY_H

#include "base/buf.h"
#include "base/uri.h"

/* Appends up to three paths of Maildirs with mail and of mboxes that lie one
 * level below the path of a local store or beside it; 0: there is none. */
unsigned source_nearby(const struct uri *, struct buf *);

#endif
