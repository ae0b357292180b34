/* A walk over a tree of mailbox files: what mbox_tree.c and mbox_uw.c share. */
#ifndef MBOX_MBOX_TREE_IMPL_H
#define MBOX_MBOX_TREE_IMPL_H

#include <sys/stat.h>

#include "source_impl.h"

struct walk {
	struct source	*s;
	int		 rootfd;
	struct arena	*a;
	struct err	*e;
	/* Of a home: names that are listed as mailboxes, relative to it, ended
	 * by NULL.  Else NULL. */
	const char *const *wanted;
	struct folder_info *folders;
	dev_t		*devs;		/* of the folders' files */
	ino_t		*inos;
	size_t		 n, cap;
	uint64_t	 hidden, msf, locks, listed;
};

#define NOWHERE	SIZE_MAX

/* A level that a directory has, and its folder. */
struct known {
	const char	*name;
	size_t		 index;		/* NOWHERE: it was taken back */
};

/* What of a directory is mail. */
enum part {
	PART_ALL,	/* everything that is a mailbox */
	PART_HOME,	/* mailboxes in it, mail directories, what is wanted */
	PART_WANTED	/* only that */
};

/* A directory on the way down. */
struct level {
	int		 fd;
	unsigned	 depth;
	enum part	 part;
	const char	*raw;		/* path with '/' at its end, or "" */
	const char *const *path;
	size_t		 npath;
	void		*known;		/* tree of struct known */
	uint64_t	 others, links;	/* left out, in a home */
};

/* Everything in one directory; false and w->e when the tree cannot be read any
 * further. */
bool	tree_visit(struct walk *, struct level *);
/* One regular file. */
void	tree_file(struct walk *, struct level *up, const char *name);
/* A new folder; its index. */
size_t	tree_add(struct walk *, struct level *up, const char *raw,
	    const char *name, const struct stat *);
/* Is that name of the directory a wanted one?  *below (or NULL): is anything
 * below it mail? */
bool	tree_wants(const struct walk *, const struct level *up,
	    const char *name, bool *below);
/* Makes the folder of that index INBOX, the first one; inbox is its path. */
void	tree_inbox(struct walk *, size_t, const char *const *inbox);
void	tree_level_done(struct level *);
/* Marks subscribed folders and hands them out. */
void	tree_finish(struct walk *, const char *path, struct folder_info **,
	    size_t *n);
void	tree_release(struct walk *);

#endif
