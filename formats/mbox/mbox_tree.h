/* The folders of a directory tree of mailbox files. */
#ifndef MBOX_MBOX_TREE_H
#define MBOX_MBOX_TREE_H

#include "base/safepath.h"
#include "source_impl.h"

/* Walks the tree below rootfd and gives its folders as source_list() wants
 * them; raw_names are relative to rootfd, but for one that is the option inbox
 * (or NULL).  path is the root's.  What is left out is warned of. */
int	mbox_tree_list(struct source *, int rootfd, const char *path,
	    const char *inbox, struct arena *, struct folder_info **, size_t *n,
	    struct err *);

/* Opens the file of a raw_name or of the option inbox, without following a
 * link in the tree.  As safepath_open(). */
int	mbox_tree_open(struct safepath *, int rootfd, const char *raw_name);

#endif
