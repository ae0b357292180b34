/* Mailboxes in files as a source: what mbox_source.c, mbox_read.c and
 * mbox_fetch.c share. */
#ifndef MBOX_MBOX_IMPL_H
#define MBOX_MBOX_IMPL_H

#include "base/asuser.h"
#include "mbox/mbox_file.h"
#include "mbox/mbox_parse.h"
#include "mbox/mbx_parse.h"
#include "source_impl.h"

struct mbox_src;

/* Messages whose places are remembered between next() and content(); beyond
 * that a message is looked for again in the file. */
#define PLACES		512
#define PLACE_CUTS	6

/* Where a message lies; offsets in the file. */
struct place {
	uint64_t	from, start, body, end;
	uint64_t	quoted;
	size_t		ncuts;		/* more than PLACE_CUTS: too many */
	struct content_cut cuts[PLACE_CUTS];	/* offsets in the message */
};

/* A message that was read ahead. */
struct ahead {
	uint64_t	 from;
	char		*p;		/* NULL: handed out */
	size_t		 len;
};

/* One open file. */
struct mbox_box {
	struct mbox_src	*src;
	struct mbox_file file;
	struct mbox_scan *scan, *again;	/* again: looks for one message */
	struct mbx	 mbx;
	struct mbox_msg	 first;		/* already found */
	struct place	*places;	/* ring, offsets ascending */
	size_t		 nplaces;	/* ever remembered */
	struct content_cut *cuts;	/* of the message in hand */
	size_t		 ncuts, capcuts;
	struct ahead	*ahead;
	size_t		 nahead;
	bool		 have_first, ended, broken;
	bool		 walking;	/* held since a next() */
	uint64_t	 left_out;	/* internal, removed, half written */
	uint32_t	 from_uid;
	/* UIDs */
	bool		 has_uids, renumber;
	struct mbox_words *listed;	/* keywords, or NULL */
	uint32_t	 last_uid, prev_uid;
	/* for the report */
	uint64_t	 doubts, expunged, numbered, unquoted, unlisted;
};

/* An INBOX may lie in two files. */
#define BOXES 2

struct mbox_src {
	struct source	 s;
	int		 rootfd;	/* of a tree; -1: a single file */
	const char	*path;		/* borrowed from the URI */
	bool		 packed;	/* the single file is compressed */
	const char	*inbox;
	bool		 uw;		/* the tree is a home */
	char		*spool;		/* of a home; owned */
	const char	*user;		/* as=, or NULL */
	struct asuser	*as;
	unsigned	 locks;
	struct from_zone zone;
	enum mbox_quote	 quote;
	bool		 keep;
	char		 shape[16];	/* the options, for the token */

	/* The open mailbox. */
	struct mbox_box	 box[BOXES];
	size_t		 nbox, cur;
	uint64_t	 known_count;	/* from the token, or UNKNOWN64 */
};

/* mbox_read.c: an open file.  begin() wants b->file open and held, and takes
 * what the folder's facts say from it; end() frees what the reading needed. */
int	mbox_begin(struct mbox_box *, struct folder_info *, uint32_t from_uid,
	    struct err *);
void	mbox_end(struct mbox_box *);
/* As in struct source_ops. */
int	mbox_next(struct mbox_box *, struct arena *, struct msg_meta *,
	    struct err *);
int	mbox_count(struct mbox_box *, uint64_t *, struct err *);
/* next() leaves the file held, for more of them: no longer.  -1: it was
 * rewritten meanwhile. */
int	mbox_walk_pause(struct mbox_box *, struct err *);
/* Where the message lies whose separator is at from; the cuts are b->cuts when
 * they are too many for *p.  The file is held. */
int	mbox_place(struct mbox_box *, uint64_t from, struct place *p,
	    const struct content_cut **cuts, struct err *);

/* mbox_fetch.c: contents. */
int	mbox_want(struct mbox_box *, const uint64_t *from, size_t n,
	    struct err *);
int	mbox_content(struct mbox_box *, uint64_t from, struct content **,
	    struct err *);
void	mbox_ahead_free(struct mbox_box *);

#endif
