/* Mailboxes in files as a source: what mbox_source.c and mbox_read.c share. */
#ifndef MBOX_MBOX_IMPL_H
#define MBOX_MBOX_IMPL_H

#include "mbox/mbox_file.h"
#include "mbox/mbox_parse.h"
#include "mbox/mbx_parse.h"
#include "source_impl.h"

struct place;

struct mbox_src {
	struct source	 s;
	int		 rootfd;	/* of a tree; -1: a single file */
	const char	*path;		/* borrowed from the URI */
	bool		 packed;	/* the single file is compressed */
	const char	*inbox;
	struct from_zone zone;
	enum mbox_quote	 quote;
	bool		 keep;
	char		 shape[16];	/* the options, for the token */

	/* The open mailbox. */
	struct mbox_file file;
	struct mbox_scan *scan, *again;	/* again: looks for one message */
	struct mbx	 mbx;
	struct mbox_msg	 first;		/* already found */
	struct place	*places;	/* ring, offsets ascending */
	size_t		 nplaces;	/* ever remembered */
	struct content_cut *cuts;	/* of the message in hand */
	size_t		 ncuts, capcuts;
	bool		 have_first, ended, broken;
	uint64_t	 left_out;	/* internal, removed, half written */
	uint64_t	 known_count;	/* from the token, or UNKNOWN64 */
	uint32_t	 from_uid;
	/* UIDs */
	bool		 has_uids, renumber;
	struct mbox_words *listed;	/* keywords, or NULL */
	uint32_t	 last_uid, prev_uid;
	/* for the report */
	uint64_t	 doubts, expunged, numbered, unquoted, unlisted;
};

/* mbox_read.c: the open mailbox.  begin() wants s->file open, and takes what
 * the folder's facts say from it; end() frees what the reading needed. */
int	mbox_begin(struct mbox_src *, struct folder_info *, uint32_t from_uid,
	    struct err *);
void	mbox_end(struct mbox_src *);
/* As in struct source_ops. */
int	mbox_next(struct source *, struct arena *, struct msg_meta *,
	    struct err *);
int	mbox_content(struct source *, const struct msg_meta *,
	    struct content **, struct err *);
int	mbox_count(struct source *, uint64_t *, struct err *);

#endif
