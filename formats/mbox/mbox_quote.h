/* A content with the quoting of "From " lines in its body undone. */
#ifndef MBOX_MBOX_QUOTE_H
#define MBOX_MBOX_QUOTE_H

#include "content.h"
#include "mbox/mbox_parse.h"

/*
 * mboxo: ">From " at the start of a line becomes "From ".  mboxrd: one '>' is
 * taken from every line that starts with '>' (up to QUOTE_MAX of them) and
 * then "From ".  The first `header' bytes pass as they are.  size: what the
 * outcome has, or UNKNOWN64.  Owns inner.
 */
struct content	*mbox_unquote(struct content *inner, enum mbox_quote,
    uint64_t header, uint64_t size);

#endif
