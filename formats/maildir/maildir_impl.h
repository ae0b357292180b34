/*
 * Inside the Maildir source: what its files share.
 *
 *	maildir_source.c	the table; the account; opening a mailbox
 *	maildir_tree.c		folders and subscriptions
 *	maildir_coding.c	how their names are written on disk
 *	maildir_index.c		the sorted listing of one mailbox, from
 *	maildir_scan.c		its files and
 *	maildir_meta.c		its metadata
 *	maildir_message.c	messages and their contents
 */
#ifndef MAILDIR_IMPL_H
#define MAILDIR_IMPL_H

#include <sys/stat.h>

#include "base/spill.h"
#include "maildir/maildir_keywords.h"
#include "maildir/maildir_name.h"
#include "maildir/maildir_uidlist.h"
#include "source_impl.h"

enum layout { LAYOUT_AUTO, LAYOUT_PLUSPLUS, LAYOUT_FS };
enum names { NAMES_AUTO, NAMES_UTF8, NAMES_MUTF7 };
enum tristate { TRI_AUTO, TRI_YES, TRI_NO };

/* Oddities of which one mailbox may have a million: the first few are told
 * one by one, of the rest the number. */
enum oddity {
	W_NAME, W_TYPE, W_DOT, W_LINK, W_SIZE, W_DOUBLE, W_KEYWORD, W_META,
	W_KINDS
};

/* A message of the listing; pointers into the record. */
struct entry {
	const char	*base, *info;	/* together the file's name */
	bool		 in_cur;	/* else in new/ */
	const char	*suffix;	/* of the key: "" or "#..." */
	uint32_t	 uid;		/* 0: none */
	uint64_t	 ino;
	int64_t		 mtime;
	uint64_t	 size;		/* of the file; UNKNOWN64: no stat */
	const char	*guid, *uidl;	/* NULL: none */
	uint32_t	 order, mark;
	const unsigned char *numbers;	/* 2 bytes each: Courier keywords */
	size_t		 nnumbers;
};

/* What a token says of a file or directory that must not have changed. */
#define WATCHED 7

/* An open mailbox. */
struct mailbox {
	int		 fd;			/* its directory */
	int		 dirs[2];		/* cur, new; -1: not there */
	char		*path;			/* seen from the root */
	struct buf	 watch;			/* see maildir_index.c */
	bool		 racy;			/* changed just now */
	bool		 listed;
	uint64_t	 count;
	char		 hash[65];		/* hex, of the listing */
	struct spill	*entries;		/* sorted; see entry_decode */
	uint32_t	 from_uid;
	struct uidlist_head uids;		/* all 0: no UIDs */
	bool		 dovecot;		/* has Dovecot's metadata */
	char		*letters[DOVECOT_KEYWORDS];
	struct keyword_table courier;
	unsigned	 letters_told;		/* bits: unknown, warned of */
	unsigned long	 told[W_KINDS];
	bool		 quiet;			/* tell nothing */
	bool		 as_served;		/* sizes as Dovecot tells them */
	bool		 by_file;		/* SHA-1: maildir_file_id() */
};

/* A folder of the tree. */
struct folder {
	char		*dir;			/* "." or path from the root */
	const char	*refused;
	const char	**path;
	size_t		 npath;
	char		*raw;			/* undecoded name */
	bool		 subscribed;
};

struct maildir {
	struct source	 s;
	int		 rootfd;
	enum layout	 layout;		/* options */
	bool		 unverified;		/* "dovecot:...?verify=no" */
	bool		 as_target;		/* "dovecot:", and */
	char		 sep;			/* in names there */
	enum names	 names;
	enum tristate	 escapes;
	bool		 fs, utf8, escaped;	/* what was found */
	struct arena	 arena;			/* of the tree */
	struct folder	*folders;		/* INBOX first, sorted */
	size_t		 nfolders;
	bool		 tree_read;
	bool		 has_subs;
	const char	**subs;			/* display names */
	size_t		 nsubs;
	struct mailbox	 box;
};

/* One line of the report about a file, name as "cur/NAME" or NULL. */
void	maildir_tell(struct maildir *, enum oddity, const char *where,
	    const char *fmt, ...) __attribute__((format(printf, 4, 5)));
/* At the end of a mailbox: how many were not told. */
void	maildir_tell_rest(struct maildir *);

/* The directory path below the root, no link on the way. */
int	maildir_open_path(struct maildir *, const char *path);
/* The whole of a small metadata file; 1, 0: there is none (or it cannot be
 * read, which was told).  max: what is larger is not read. */
int	maildir_slurp(struct maildir *, int dirfd, const char *name, size_t max,
	    struct buf *);

/* maildir_tree.c: fills in folders and subs.  Again on each call. */
int	maildir_tree_read(struct maildir *, struct err *);
/* Is name in dirfd, whatever it is? */
bool	maildir_exists(int dirfd, const char *name);
/* Has the directory a file that only Maildirs have? */
bool	maildir_marked(int fd);
/* Levels joined by '/', for people. */
const char *maildir_display(struct arena *, const char *const *path, size_t n);

/* maildir_coding.c */
/* Sets utf8 and escaped by the options or by what folders[] look like. */
void	maildir_choose_coding(struct maildir *);
/* Appends a level decoded.  False: it is not in the coding of this Maildir;
 * then it is taken as UTF-8, or as %XX where it is not even that. */
bool	maildir_decode_level(const struct maildir *, struct buf *,
	    const char *p, size_t len);

/* maildir_index.c */
/* What the stats of everything that matters say, into box.watch; box.racy. */
int	maildir_watch(struct maildir *, struct err *);
/* Lists the mailbox: box.entries, count, hash, uids. */
int	maildir_index(struct maildir *, struct err *);
/* 0, or -1 when rec is none of ours (cannot happen). */
int	entry_decode(struct entry *, const void *rec, size_t len);

/* maildir_message.c: slots of the table; the mailbox is listed. */
int	maildir_message(struct maildir *, struct arena *, struct msg_meta *,
	    struct err *);
int	maildir_want(struct source *, const struct msg_meta *const *, size_t,
	    struct err *);
int	maildir_content(struct source *, const struct msg_meta *,
	    struct content **, struct err *);

#endif
