/* A directory tree of mailbox files: its folders and subscriptions. */
#ifndef MBOX_MBOX_TREE_H
#define MBOX_MBOX_TREE_H

#include "source_impl.h"

/*
 * A file name as a folder level, in UTF-8: decoded when it is canonical
 * modified UTF-7, as it is when it is UTF-8.  Any other byte that is no part
 * of a character becomes "=HH" (upper-case hex), and so does a '=' that such
 * two digits follow, so that the bytes can be told from the level.
 */
void	mbox_level(struct buf *out, const char *name, size_t len);

/* Walks the tree below rootfd and gives its folders as source_list() wants
 * them, all raw_names relative to rootfd.  path is the root's for people and
 * for the subscriptions of a directory above; inbox is the option of that name
 * or NULL.  What is left out is warned of. */
int	mbox_tree_list(struct source *, int rootfd, const char *path,
	    const char *inbox, struct arena *, struct folder_info **, size_t *n,
	    struct err *);

/* The lists .subscriptions (Dovecot) and .mailboxlist (UW, Pine), the latter
 * also from the directory above the tree.  One that cannot be read is warned
 * of, unless the source is NULL. */
void	mbox_tree_subscriptions(struct source *, int rootfd, const char *path,
	    struct arena *, struct account_info *);

/* Opens the directory that holds the last part of a raw_name; leaf points into
 * raw_name.  No part may be a link or "..".  -1: errno. */
int	mbox_tree_parent(int rootfd, const char *raw_name, const char **leaf);

#endif
