/* The folders of a directory tree of mailbox files. */
#ifndef MBOX_MBOX_TREE_H
#define MBOX_MBOX_TREE_H

#include "source_impl.h"

/* Walks the tree below rootfd and gives its folders as source_list() wants
 * them; raw_names are relative to rootfd, but for one that is the option inbox
 * (or NULL).  path is the root's.  What is left out is warned of. */
int	mbox_tree_list(struct source *, int rootfd, const char *path,
	    const char *inbox, struct arena *, struct folder_info **, size_t *n,
	    struct err *);

/* Opens the directory that holds the last part of a raw_name; leaf points into
 * raw_name.  No part may be a link or "..".  -1: errno. */
int	mbox_tree_parent(int rootfd, const char *raw_name, const char **leaf);

#endif
