/* Mailboxes in files: mbox:FILE and mbox:DIR.  mbox_source.c has the manual. */
#ifndef MBOX_MBOX_SOURCE_H
#define MBOX_MBOX_SOURCE_H

#include "source_impl.h"

extern const struct source_ops mbox_source;

#endif
