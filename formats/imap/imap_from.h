/* Between imap_source.c and imap_list.c: an open IMAP source. */
#ifndef IMAP_FROM_H
#define IMAP_FROM_H

#include "imap/imap_name.h"
#include "imap/imap_session.h"
#include "source_impl.h"

/* A message of the chunk. */
struct listed {
	uint32_t	 uid;		/* 0: not seen (yet) */
	unsigned	 flags;
	bool		 has_size, has_flags, has_sha1;
	unsigned char	 sha1[SHA1_LEN];
	int64_t		 date;
	int		 zone;
	uint64_t	 size, modseq;
	const char	**kw;		/* in chunk_arena */
	size_t		 nkw;
};

struct wanted { uint32_t uid; bool taken; };

/* A body that came before it was asked for. */
struct waiting {
	struct waiting	*next;
	uint32_t	 uid;
	size_t		 memory;
	struct content	*c;		/* NULL: the server has no body */
};

struct imap_from {
	struct source	 src;
	struct imap_session *s;
	struct imap_name_rules rules;
	char		*prefix;
	/* The open mailbox. */
	struct imap_box	 box;
	uint64_t	 count;		/* what it held at the start */
	uint32_t	 to_list;	/* messages not yet listed */
	struct listed	*chunk;
	uint32_t	 base;		/* sequence number of chunk[0] */
	size_t		 nchunk, pos;
	struct arena	 chunk_arena;
	const uint32_t	*only;		/* NULL: all are listed */
	size_t		 nonly;		/* of them, still to be listed */
	/* Contents. */
	struct wanted	*want;
	size_t		 nwant;
	unsigned	 tag, last_tag;	/* FETCHes under way; 0: none */
	struct waiting	*waiting;
	size_t		 memory;	/* of the waiting ones */
	bool		 discard;	/* bodies that come are not wanted */
	char		 no[300];	/* words of a NO to a FETCH */
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
int	imap_from_list(struct source *, struct arena *, struct folder_info **,
	    size_t *, struct err *);

#endif
