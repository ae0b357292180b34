/*
 * Inside CommuniGate's source: what its files share.
 *
 *	cgp_source.c	the table; an account's facts; opening a mailbox
 *	cgp_open.c	options; opening an account
 *	cgp_tree.c	the mailboxes of an account, by what lies there
 *	cgp_info.c	what account.info and settings tell of them
 *	cgp_left.c	what an account has that is not moved
 *	cgp_mdir.c	the listing of a MailDir mailbox
 *	cgp_mbox.c	that of a text mailbox
 *	cgp_message.c	messages of either listing, and their contents
 *	cgp_accounts.c	all accounts of a base directory, with their facts
 *	cgp_calibrate.c	what of all that is assumed, by the server's own word
 */
#ifndef CGP_IMPL_H
#define CGP_IMPL_H

#include <openssl/evp.h>
#include <sys/stat.h>

#include "base/spill.h"
#include "cgp/cgp_base.h"
#include "cgp/cgp_flags.h"
#include "source_impl.h"

enum cgp_kind { CGP_MDIR, CGP_MBOX, CGP_NONE };
enum cgp_dialect { DIALECT_AUTO, DIALECT_CGP, DIALECT_PLAIN };

/* Oddities of which one mailbox may have a million: the first few are told
 * one by one, of the rest the number. */
enum cgp_oddity {
	W_SKIPPED, W_ALMOST, W_TAIL, W_TYPE, W_DOUBLE, W_SEPARATOR, W_DATE,
	W_PREAMBLE, W_KINDS
};

/* A mailbox of the account; all strings in the tree's arena. */
struct cgp_folder {
	enum cgp_kind	 kind;		/* NONE: a level, or refused */
	const char	*file;		/* path from the account's directory */
	const char	*raw;		/* name on disk, levels parted by '/' */
	const char	**path;
	size_t		 npath;
	const char	*name;		/* for people */
	const char	*refused;
	bool		 noselect;
	bool		 external;	/* the INBOX of option inbox= */
	/* from account.info and settings */
	uint32_t	 uidvalidity, uidnext;	/* 0: not told */
	unsigned	 use;
	bool		 other;		/* no mail: calendar, contacts... */
	bool		 subscribed;
	const struct acl_entry *acl;
	size_t		 nacl;
};

/* A message of a listing. */
struct cgp_entry {
	uint32_t	 uid;		/* 0: none */
	uint32_t	 nletters;
	int64_t		 date;		/* NO_DATE: none found in the store */
	int32_t		 zone;
	int32_t		 origin;	/* enum date_origin */
	uint64_t	 size;
	uint64_t	 at;		/* mbox: offset; mdir: inode */
	/* Pointers into the record. */
	const char	*letters;
	const char	*name;		/* mdir: of the file; mbox: what
					 * follows the newer kind of time */
	const char	*suffix;	/* of the key, "" or "#..." */
	bool		 zoned;		/* the store says of which zone */
};

/* An open mailbox. */
struct cgp_box {
	const struct cgp_folder *f;
	int		 fd;		/* directory or file */
	struct stat	 st;		/* of it, when opened */
	uint64_t	 size;		/* mbox: bytes that count */
	uint64_t	 print;		/* mbox: of the first and last ones */
	bool		 half;		/* mbox: and behind them one goes on */
	struct buf	 watch;
	bool		 racy;		/* changed just now */
	bool		 listed;
	bool		 quiet;		/* tell nothing */
	struct spill	*entries;
	uint64_t	 count;
	bool		 by_uid;	/* UIDs are keys */
	uint32_t	 uidvalidity, uidnext, from_uid;
	char		 hash[65];
	uint64_t	 unknown[256];	/* letters */
	char		 tail[64];	/* of the message given last */
	bool		 zoned;		/* and whether its time names a zone */
	uint64_t	 origins[DATE_MTIME + 1];
	unsigned long	 told[W_KINDS];
};

struct cgp {
	struct source	 s;
	/* options */
	const char	*account, *main_domain, *external;
	enum cgp_dialect dialect;
	int		 zone;		/* minutes east */
	bool		 nonmail;
	bool		 running_ok, live;
	struct cgp_flags flags;
	size_t		 window;	/* for text mailboxes; 0: the usual
					 * one.  At least 2 * CGP_SEP_MAX */
	char		 shape[24];	/* of what shapes messages, for tokens */

	struct cgp_place place;
	struct arena	 arena;		/* of the place */
	struct arena	 tree;		/* of what follows */
	struct cgp_folder *folders;	/* INBOX first, sorted */
	size_t		 nfolders, cap;
	bool		 tree_read;
	struct dict_value *settings, *info, *prefs;
	struct cgp_defaults defaults;
	bool		 has_subs;
	const char	**subs;
	size_t		 nsubs;
	struct foreign_box *foreign;
	size_t		 nforeign, foreign_room;
	struct cgp_box	 box;
};

/* cgp_open.c: slots of the table. */
int	cgp_check(struct uri *, struct err *);
int	cgp_open_source(struct source **, const struct store_conf *,
	    struct err *);
void	cgp_close(struct source *);
/* An account that was found already; the place is taken over. */
int	cgp_open_place(struct source **, const struct store_conf *,
	    struct cgp_place *, struct err *);

/* One line of the report, for the open mailbox. */
void	cgp_tell(struct cgp *, enum cgp_oddity, const char *where,
	    const char *fmt, ...) __attribute__((format(printf, 4, 5)));

/* cgp_tree.c: fills in folders.  Again on each call. */
int	cgp_tree_read(struct cgp *, struct err *);

/* cgp_info.c */
/* Reads account.settings, account.info and preferences. */
void	cgp_info_read(struct cgp *);
/* What they tell of the folders. */
void	cgp_info_apply(struct cgp *);
/* The account: quota, subscriptions, what is not moved. */
void	cgp_info_account(struct cgp *, struct arena *, struct account_info *);

/* cgp_left.c: tells what the account has and nobody moves. */
void	cgp_left_tell(struct cgp *);

/* Records of entries.  put() copies everything. */
int	cgp_entry_put(struct spill *, uint64_t key, const struct cgp_entry *,
	    struct err *);
int	cgp_entry_get(struct cgp_entry *, const void *rec, size_t len);

/* Listing: box.entries is sorted, count and uidnext are set, and hash. */
int	cgp_mdir_list(struct cgp *, struct err *);
int	cgp_mbox_list(struct cgp *, struct err *);
/* A UIDVALIDITY for keys of a mailbox that has none which can be used: the
 * same in every pass, another one for another mode of keys. */
uint32_t cgp_made_uidvalidity(const char *raw, char mode);
/* FNV-1a of the first and the last bytes of a file; -1: it is shorter. */
int	cgp_fingerprint(int fd, uint64_t size, uint64_t *print);
/* Waits until the text mailbox was left alone for a moment: a file that a live
 * server writes anew is cut or mixed until then, and nothing tells. */
int	cgp_mbox_quiet(struct cgp *, struct err *);
/* Goes on with a copy of the text mailbox, which is just opened, that nobody
 * changes. */
int	cgp_mbox_hold(struct cgp *, struct err *);
/* Has the text mailbox changed otherwise than by growing?  Then *e. */
int	cgp_mbox_check(struct cgp *, struct err *);
/* The file of a message by its UID, wherever a rename has put it; -1, ENOENT:
 * it is gone.  unique: whatever has the UID will do, else only the inode. */
int	cgp_mdir_open(struct cgp *, const char *name, uint32_t uid,
	    uint64_t ino, bool unique, struct stat *);
/* SHA-256 of the CRLF form of a message of a MailDir mailbox: 1, 0 it is gone,
 * -1 it cannot be read. */
int	cgp_mdir_digest(struct cgp *, const struct cgp_entry *,
	    unsigned char digest[DIGEST_LEN]);

/* cgp_message.c: slots of the table; the mailbox is listed. */
int	cgp_message(struct cgp *, struct arena *, struct msg_meta *,
	    struct err *);
int	cgp_want(struct source *, const struct msg_meta *const *, size_t,
	    struct err *);
int	cgp_content(struct source *, const struct msg_meta *,
	    struct content **, struct err *);

#endif
