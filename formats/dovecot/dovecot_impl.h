/*
 * Inside the Dovecot Maildir target: what its files share.
 *
 *	dovecot_target.c	the table; options; the account; mailboxes
 *	dovecot_root.c		making the account's directory
 *	dovecot_box.c		opening a mailbox: what is there
 *	dovecot_list.c		its dovecot-uidlist
 *	dovecot_lock.c		Dovecot's lock on it
 *	dovecot_journal.c	what a killed run left behind
 *	dovecot_store.c		batches: files, then one commit for several
 *	dovecot_file.c		one message becomes a file
 *	dovecot_link.c		or a link to the source's
 *	dovecot_keywords.c	dovecot-keywords
 *	dovecot_subs.c		subscriptions
 *	dovecot_change.c	flags and expunges
 *	dovecot_uidl.c		POP3 UIDLs of messages that are there
 *	dovecot_mailbox.c	renaming and deleting mailboxes
 *	dovecot_name.c		names of mailboxes
 *
 * A batch of messages:
 *
 *	1  each becomes a file in tmp/, complete, under a name of ours
 *	2  the journal in tmp/ says which line of dovecot-uidlist each will have
 *	3  one syncfs(): all of it is on the disk
 *	4  the intent is durable (the caller's commit)
 *	5  under Dovecot's lock: the files are renamed into cur/, the directory
 *	   is synced, the lines are appended in one write and synced
 *	6  the journal is removed
 *
 * Killed before 5 nothing was stored, and what lies in tmp/ is removed by the
 * next run.  Killed in 5 the next run gives the files that are in cur/ the
 * lines that the journal holds for them.  What is visible was on the disk
 * before.
 *
 * With via=new no lock is taken and the list is left to Dovecot: 5 is a rename
 * into new/, under a name that is always the same for the same message, so that
 * one that an earlier run has delivered is not delivered again.
 *
 * Everything is opened relative to descriptors of directories, without
 * following links, and with the file-system ids of the mail's owner.
 */
#ifndef DOVECOT_IMPL_H
#define DOVECOT_IMPL_H

#include <limits.h>
#include <sys/stat.h>

#include "base/fsids.h"
#include "base/safepath.h"
#include "dovecot/dovecot_name.h"
#include "maildir/maildir_keywords.h"
#include "maildir/maildir_uidlist.h"
#include "target_impl.h"

#define OURS		"mailhaul."	/* names of ours in tmp/ */
#define JOURNAL		"journal"	/* they end so */
#define UIDLIST		"dovecot-uidlist"
#define UID_LAST	UINT32_C(4294967294)
#define GUID_HEX	32
#define DATE_MAX	INT64_C(4294967295)	/* of Dovecot's cache */

/* Hashes of base names; 0 stands for an empty place. */
struct hashes {
	uint64_t	*h;
	size_t		 n, cap;	/* cap is a power of two, or 0 */
};
uint64_t hash_name(const char *p, size_t len);
bool	hashes_has(const struct hashes *, uint64_t);
void	hashes_add(struct hashes *, uint64_t);
void	hashes_release(struct hashes *);

/* dovecot-uidlist as it was last read. */
struct list {
	bool		 there;
	struct uidlist_head head;
	uint32_t	 last;		/* highest UID with a line */
	int		 fd;		/* of it, or -1: as long as it is open
					 * no other file has its number */
	ino_t		 ino;
	uint64_t	 size;		/* read so far */
	struct hashes	 bases;		/* that have a line */
	char		 rest[256];	/* of the head: others' letters */
};

/* A held lock: its file beside the locked one. */
struct dotlock {
	int		 dirfd;		/* not owned */
	const char	*name;		/* of the lock file */
	int		 fd;		/* of it: as long as it is open no
					 * other file has its number */
	dev_t		 dev;
	ino_t		 ino;
};

struct box {
	char		*name;
	int		 fd, cur, new, tmp;	/* directories; -1 */
	struct list	 list;
	uint32_t	 uidvalidity;	/* that the caller was told; 0: none */
	struct hashes	 files;		/* bases in cur/ and new/ */
	uint64_t	 messages;
	char		*letters[DOVECOT_KEYWORDS];
	struct stat	 letters_st;	/* of the file they are from */
	bool		 letters_there;
	uint32_t	 letters_used;	/* in names of files */
	bool		 journal;	/* there is one */
	bool		 loose;		/* some files have no UID */
};

#define OWN_NAME	48	/* room for a name in tmp/ */

enum link_mode { LINK_COPY, LINK_HARD, LINK_REFLINK };

/* One message on its way: beside the store_item of the same number. */
struct piece {
	char		 tmp[OWN_NAME];	/* name in tmp/; "": none */
	char		*base;		/* of its name; NULL: not chosen yet */
	int64_t		 date;		/* mtime; NO_DATE: now */
	uint64_t	 size, vsize;	/* S= and W= */
	struct err	 err;		/* why it could not be written */
	bool		 failed, made;	/* made: without the writers */
	bool		 direct;	/* to be linked into cur/: not in tmp/ */
	bool		 there;		/* it appeared */
};

/* A submitted batch (store_batch.priv). */
struct bundle {
	struct piece	*pieces;
	size_t		 next, left;	/* to be written; under the mutex */
	bool		 ended;		/* its results are in */
};

struct writers;		/* dovecot_store.c: threads that write files */

struct dovecot {
	struct target	 t;
	char		*path;		/* of the root */
	size_t		 own;		/* struct uri's: what lies above it is no
					 * single user's; 0: not known */
	int		 rootfd;	/* -1: not open yet */
	struct dovecot_names names;
	uint64_t	 token;		/* in our names in tmp/; nobody else's */
	unsigned	 seq;		/* likewise */
	const char	*owner;		/* option, or NULL */
	mode_t		 file_mode, dir_mode;
	enum link_mode	 link;
	bool		 deliver;	/* through new/, without locks */
	bool		 unverified;	/* what is linked is not read */
	bool		 roomy;		/* files may stay open, so that */
	bool		 direct;	/* links go into cur/ at once: one was
					 * made */
	bool		 no_clones;	/* the file system cannot share */
	uint64_t	 cloned, copied;	/* where a link was asked for */
	uint64_t	 unread;	/* linked without having been read */
	struct fsids	 ids;
	struct box	 box;
	struct store_batch *first, *last;	/* submitted, not reaped */
	struct writers	*writers;
	bool		 broken;
	struct err	 why;		/* if broken */
};

/* How far a failed call on the target's file system reaches. */
int	dovecot_sys(struct err *, const char *fmt, ...)
	    __attribute__((format(printf, 2, 3)));

/* The root, made with what is missing above it: its descriptor. */
int	dovecot_make_root(struct dovecot *, bool deep, struct err *);
/* safepath_open(), not of a directory that another lane is just making. */
int	dovecot_open_made(struct safepath *, const char *path);
/* The directory that path lies in, for the caller to free, and its last level. */
char	*dovecot_split(const char *path, char last[NAME_MAX + 1]);
/* Whose files these are to be; st: of the root, or of what it is made in. */
int	dovecot_owner(struct dovecot *, const struct stat *st, bool exists,
	    struct err *);
/* fchmod() where the umask may have taken bits that were asked for. */
int	dovecot_set_mode(int fd, mode_t);
/* 1: the root is open; 0: it is not there. */
int	dovecot_root(struct dovecot *, struct err *);
/* Opens or makes a directory of the mail owner's; no link.  -1: errno. */
int	dovecot_dir_open(int dirfd, const char *name);
int	dovecot_dir_make(struct dovecot *, int dirfd, const char *name);
/* A new file in dirfd, to be written and read.  -1: errno. */
int	dovecot_file_new(struct dovecot *, int dirfd, const char *name);
int	dovecot_write(int fd, const void *p, size_t n, struct err *);
/* A name in tmp/ that no other writer has. */
void	dovecot_own_name(const struct dovecot *, const char *what,
	    char name[OWN_NAME]);
/* Replaces dirfd/name by text, over a file of ours in tmpfd; durable. */
int	dovecot_replace(struct dovecot *, int tmpfd, int dirfd,
	    const char *name, const char *text, size_t len, struct err *);

/* dovecot_lock.c.  -1: *e; it is held by others for too long. */
int	dotlock_take(struct dovecot *, struct dotlock *, int dirfd,
	    const char *name, struct err *);
/* Is there one that a dead process, or a power cut, left behind? */
bool	dotlock_left(int dirfd, const char *name);
/* Is it still ours? */
bool	dotlock_ours(const struct dotlock *);
/* -1: it was not ours any more. */
int	dotlock_drop(struct dotlock *, struct err *);

/* dovecot_list.c */
void	list_init(struct list *);
void	list_release(struct list *);
/* Reads what is new in the file (or all).  -1: *e. */
int	list_read(struct dovecot *, struct box *, struct err *);
/* Under the lock: reads what is new; it must still be the list that the caller
 * knows.  -1: *e, the UIDs he has say nothing any more. */
int	list_again(struct dovecot *, struct box *, struct err *);
/* The lowest UID that a new message may have. */
uint32_t list_next(const struct list *);
/* Can it stand in a line: visible ASCII, and not too long?  NULL cannot. */
bool	list_word(const char *);
/* One line; what is NULL or 0 is left out. */
void	list_line(struct buf *, uint32_t uid, const char *uidl,
	    uint32_t order, const char *guid, uint32_t mark, const char *base);
/* Appends whole lines under the lock; makes the file when there is none;
 * durable.  last: the UID of the last line. */
int	list_append(struct dovecot *, struct box *, const struct buf *lines,
	    uint32_t last, struct err *);
/* Writes the file anew under the lock with another head (what is 0 or "" stays
 * as it is). */
int	list_rewrite(struct dovecot *, struct box *, uint32_t uidvalidity,
	    uint32_t uidnext, const char *guid, struct err *);
/* The same with other lines: fn appends what is to be in place of one, without
 * its line end. */
typedef void list_edit_fn(void *ctx, const char *line, size_t len,
	    struct buf *out);
int	list_edit(struct dovecot *, struct box *, list_edit_fn *, void *ctx,
	    struct err *);
/* For the next list_rewrite(): the mailbox holds no mail, and gets another
 * UIDVALIDITY, so the UIDs that were used are free. */
void	list_restart(struct list *);
/* 32 hex digits that nobody else has. */
void	list_new_guid(char guid[GUID_HEX + 1]);

/* dovecot_box.c */
void	box_init(struct box *);
void	box_close(struct box *);
/* 1: it is open and everything in it has a UID; 0: there is none. */
int	box_open(struct dovecot *, const char *name, struct err *);
/* Does any file lie in cur/ or new/? */
bool	box_is_empty(const struct box *);
/* The directory path below the root; with make, made where it is missing. */
int	box_walk(struct dovecot *, const char *dir, bool make, struct err *);
void	box_state(const struct box *, struct folder_state *);

/* dovecot_journal.c */
int	journal_write(struct dovecot *, const struct buf *lines, size_t n,
	    struct err *);
/* Lines for files of the last run that have none; under the lock. */
int	journal_recover(struct dovecot *, struct buf *lines, uint32_t *next,
	    struct err *);
/* Removes all of ours from tmp/, unless another writer is at work there. */
int	journal_sweep(struct dovecot *, struct err *);

/* dovecot_file.c */
/* Writes the item's bytes to tmp/p->tmp.  0, or -1 with p->err. */
int	piece_write(struct dovecot *, const struct store_item *, struct piece *,
	    char *chunk, size_t room);
/* The nth base name that an item may get, S= and W= included; those that a
 * file or a line has are passed over. */
void	piece_base(const struct store_item *, const struct piece *,
	    const struct box *, unsigned n, struct buf *);
/* The one that it has whenever it is delivered. */
void	piece_name(const struct store_item *, const struct piece *,
	    struct buf *);

/* dovecot_store.c */
/* renameat() that overwrites nothing. */
int	dovecot_move(int from, const char *old, int to, const char *new);
int	dovecot_submit(struct target *, struct store_batch *, struct err *);
int	dovecot_reap(struct target *, bool, struct store_batch **,
	    struct err *);
void	dovecot_writers_stop(struct dovecot *);

/* dovecot_keywords.c */
int	keywords_read(struct box *, struct err *);
/* Letters for the keywords of n items, those that are new written to the file,
 * under the lock. */
void	keywords_learn(struct box *, const char *const *words, size_t n,
	    bool *added);
int	keywords_write(struct dovecot *, struct err *);
/* The letters of an item in order, with the flags' before; letters of keep
 * (bit 0: 'a') whatever they stand for; *dropped: some keyword has none. */
void	keywords_info(const struct box *, unsigned flags,
	    const char *const *words, size_t n, uint32_t keep,
	    struct buf *out, bool *dropped);

/* dovecot_subs.c */
int	dovecot_subscribe(struct target *, const char *, bool, struct err *);

/* dovecot_mailbox.c */
int	dovecot_folder_rename(struct target *, const char *, const char *,
	    struct err *);
int	dovecot_folder_delete(struct target *, const char *, struct err *);

/* dovecot_change.c */
int	dovecot_change_flags(struct target *, struct flag_change *, size_t,
	    struct err *);
int	dovecot_expunge(struct target *, const uint32_t *, size_t,
	    struct err *);

/* dovecot_uidl.c */
int	dovecot_set_uidls(struct target *, struct uidl_change *, size_t,
	    struct err *);

#endif
