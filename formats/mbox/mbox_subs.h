/* Lists of subscribed mailboxes beside mbox files. */
#ifndef MBOX_MBOX_SUBS_H
#define MBOX_MBOX_SUBS_H

#include "source_impl.h"

/* Reads .subscriptions (Dovecot) and .mailboxlist (UW, Pine) of the tree at
 * rootfd; where it has neither, what .mailboxlist in the directory above says
 * of it, path being the tree's.  A list that cannot be read is warned of,
 * unless the source is NULL. */
void	mbox_subscriptions(struct source *, int rootfd, const char *path,
	    struct arena *, struct account_info *);

/* The names in .mailboxlist of a home, as files are found by them: relative to
 * it, ended by NULL, in the arena; nothing that is not below it. */
const char *const *mbox_wanted(int homefd, struct arena *);
/* The same of its bytes. */
const char *const *mbox_wanted_parse(const char *, size_t, struct arena *);

#endif
