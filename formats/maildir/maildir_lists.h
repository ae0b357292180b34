/*
 * The lists that the listing of a mailbox is joined from.
 *
 * Four unsorted lists are put into spills with the hash of the base name as
 * the key, so that one pass over all of them joins what belongs to a message:
 *
 *	files		base 0, place, info 0, inode, mtime, size, scan
 *	uids		base 0, uid, order, guid, uidl
 *	keywords	base 0, how new, numbers		(Courier)
 *	uidls		base 0, uidl				(Courier)
 *
 * A record begins with the base name and a NUL, so records of one name lie
 * side by side even if hashes collide.
 */
#ifndef MAILDIR_LISTS_H
#define MAILDIR_LISTS_H

#include "maildir/maildir_impl.h"

enum place { IN_CUR = 0, IN_NEW = 1 };
extern const char *const maildir_place[];	/* "cur", "new" */

#define SCAN_GONE	0x80		/* beside a scan's number: was not
					 * there any more when looked at */

struct lists {
	struct spill	*files, *uids, *keywords, *uidls;
	struct buf	 rec;		/* being made */
	uint64_t	 counted;	/* files that are messages */
	unsigned char	 scan;		/* number of the scan, from 1 */
};

/* Starts a record of base in l->rec; the key for lists_end(). */
uint64_t lists_begin(struct lists *, const char *base, size_t nbase);
int	lists_end(struct lists *, struct spill *, uint64_t key, struct err *);

/* Fields of records: numbers in big endian, so that bytes sort as they do. */
void	rec_put_u32(struct buf *, uint32_t);
void	rec_put_u64(struct buf *, uint64_t);
void	rec_put_str(struct buf *, const char *p, size_t len);	/* and NUL */

/* A record being read; bad stays set once it was too short. */
struct rec_reader {
	const unsigned char *p;
	size_t		 left;
	bool		 bad;
};

unsigned char rec_get_u8(struct rec_reader *);
uint32_t rec_get_u32(struct rec_reader *);
uint64_t rec_get_u64(struct rec_reader *);
const char *rec_get_str(struct rec_reader *, size_t *len);

/* maildir_scan.c: files, counted. */
int	maildir_scan(struct maildir *, struct lists *, struct err *);
/* maildir_meta.c: the other lists, and names of keywords in the mailbox. */
int	maildir_meta(struct maildir *, struct lists *, struct err *);

#endif
