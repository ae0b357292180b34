/* imap: and imaps: as sources: everything is opened with EXAMINE and read with
 * PEEK, so nothing changes at the server. */
#ifndef IMAP_SOURCE_H
#define IMAP_SOURCE_H

#include "source_impl.h"

extern const struct source_ops imap_source;

#endif
