/* From the fields of a message header to flags, keywords and dates. */
#ifndef MBOX_MBOX_FACTS_H
#define MBOX_MBOX_FACTS_H

#include "base/arena.h"
#include "mbox/mbox_from.h"
#include "mbox/mbox_head.h"
#include "message.h"

/* The keywords that a mailbox lists (X-IMAP, X-IMAPbase). */
struct mbox_words;
struct mbox_words *mbox_words_new(const char *text);
void	mbox_words_free(struct mbox_words **);

/* flags, keywords and raw_flags of m.  mozilla: the file is one of Mozilla's;
 * in others what it wrote is left over from where the mail was once.  listed
 * is NULL when the mailbox lists no keywords: names in X-Keywords count only
 * if all of them are in it.  Returns how many keywords did not count. */
size_t	mbox_facts_flags(const struct mbox_head *, bool mozilla,
	    const struct mbox_words *listed, struct arena *,
	    struct msg_meta *m);

/* Mozilla marks a message so that waits to be removed. */
bool	mbox_facts_expunged(const struct mbox_head *);

/* date, zone and date_origin of m: the separator, else the topmost Received,
 * else Date.  A separator of 1 January 1970 is what programs write that have
 * no date, and counts only when there is nothing else. */
void	mbox_facts_date(const struct from_line *, const struct from_zone *,
	    const struct mbox_head *, struct msg_meta *m);

#endif
