/*
 * An open IMAP source, for imap_source.c (mailboxes and tokens), imap_list.c
 * (which there are), imap_listing.c (messages), imap_only.c (some of them),
 * imap_changed.c (what is new) and imap_bodies.c (contents).
 */
#ifndef IMAP_FROM_H
#define IMAP_FROM_H

#include "imap/imap_name.h"
#include "imap/imap_session.h"
#include "source_impl.h"

/* A message of the chunk that was listed last. */
struct listed {
	uint32_t	 uid;		/* 0: not seen (yet) */
	unsigned	 flags;
	bool		 has_size, has_sha1;
	unsigned char	 sha1[SHA1_LEN];
	int64_t		 date;
	int		 zone;
	uint64_t	 size, modseq;
	const char	**kw;		/* in chunk_arena */
	const char	*guid;		/* likewise */
	size_t		 nkw;
};

/* A content that was asked for. */
enum wanted_state {
	WANT_COMING,	/* its command has no answer yet */
	WANT_HERE,	/* c holds */
	WANT_ALONE,	/* the command for many failed: to be asked for alone */
	WANT_REFUSED,	/* NO to the command for it alone */
	WANT_GONE,	/* OK, and no body came */
	WANT_TAKEN
};

struct wanted {
	uint32_t	 uid;
	unsigned	 tag;		/* of its command */
	enum wanted_state state;
	size_t		 memory;	/* of c */
	struct content	*c;
};

struct imap_from {
	struct source	 src;
	struct imap_session *s;
	struct imap_name_rules rules;
	char		*prefix;
	bool		 all_names;	/* other users' and shared ones too */
	bool		 plain_list;	/* extended items of FETCH refused */
	bool		 own_sessions;	/* by the URI; else it was given */
	bool		 no_again;	/* not to be replaced (once more) */
	struct arena	 objects;	/* object ids that were met */
	/* The open mailbox. */
	struct imap_box	 box;
	uint32_t	 from_uid;
	uint64_t	 count;		/* what it held at the start */
	uint32_t	 to_list;	/* messages not yet listed */
	uint32_t	 last_uid;	/* given by next() */
	struct listed	*chunk;
	uint32_t	 base;		/* sequence number of chunk[0] */
	size_t		 nchunk, pos, chunk_cap;
	struct arena	 chunk_arena;
	const uint32_t	*only;		/* NULL: all are listed */
	size_t		 nonly;		/* of them, still to be listed */
	/* Opened for what is new since a token: imap_changed.c. */
	struct imap_box	 since;		/* uidnext 0: it is not */
	uint32_t	*uids;		/* only them, or NULL */
	struct uid_range *still;	/* of the token's, what is there, if */
	size_t		 nstill;
	bool		 some_gone;
	uint64_t	 wrong_sizes;
	/* Contents. */
	struct wanted	*want;
	size_t		 nwant, cursor;
	unsigned	 tag, last_tag;	/* FETCHes under way; 0: none */
	size_t		 memory;	/* of the contents that are here */
	char		 no[300];	/* the last NO to a FETCH: its words, */
	bool		 no_gone;	/* "it was deleted", */
	bool		 no_later;	/* "not now" */
};

/* As in source.h. */
int	imap_from_facts(struct source *, struct arena *, struct account_info *,
	    struct err *);
int	imap_from_only(struct source *, const uint32_t *uids, size_t n,
	    struct err *);
/* In place of the next chunk, when only some are wanted: 1, 0 at the end. */
int	imap_only_chunk(struct imap_from *, struct err *);
/* All are wanted again. */
void	imap_only_end(struct imap_from *);
/* The messages that a FETCH tells of, at most max, are the next chunk: 1; 0: it
 * was refused. */
int	imap_only_fetch(struct imap_from *, const char *cmd, size_t max,
	    struct err *);
/* Room for so many in the chunk, which is empty then. */
void	imap_from_room(struct imap_from *, size_t n);

/* What is new in the open mailbox since that is to be given: DELTA_SOME; else
 * *delta stays. */
int	imap_since(struct imap_from *, const struct imap_box *,
	    const struct folder_info *, enum delta *, struct err *);
void	imap_since_end(struct imap_from *);
int	imap_from_still(struct source *, const struct uid_range **, size_t *,
	    uint32_t *below, struct err *);
/* The sequence number of the first message with at least this UID; 0: none. */
int	imap_from_first(struct imap_from *, uint32_t uid, uint32_t *seq,
	    struct err *);
int	imap_from_list(struct source *, struct arena *, struct folder_info **,
	    size_t *, struct err *);
int	imap_from_next(struct source *, struct arena *, struct msg_meta *,
	    struct err *);
int	imap_from_want(struct source *, const struct msg_meta *const *, size_t,
	    struct err *);
int	imap_from_content(struct source *, const struct msg_meta *,
	    struct content **, struct err *);

/* An open session becomes the source's own. */
struct source *imap_from_begin(struct imap_from *, struct imap_session *);
/* Has the server given the open mailbox another UIDVALIDITY? */
int	imap_from_moved(struct imap_from *, struct err *);
/* A session that has ended while the mailbox was open and nothing of it was
 * read is replaced: the target may take longer to be looked at than a server
 * waits for us.  e: why it ended, and why this cannot be helped. */
int	imap_from_again(struct imap_from *, struct folder_info *, struct err *e);
/* Does a NO say that the server wants to be left alone for a while? */
bool	imap_says_later(const struct imap_response *);
/* What is under way is read; it is kept, or dropped. */
int	imap_bodies_drain(struct imap_from *, struct err *);
int	imap_bodies_discard(struct imap_from *, struct err *);
/* Frees all contents that are here. */
void	imap_bodies_forget(struct imap_from *);

#endif
