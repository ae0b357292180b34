/*
 * The fields of a message header that an mbox program writes for itself, and
 * the few others that the facts of a message come from.
 *
 * The header is fed in pieces of lines, so a line may have any length; what
 * is kept of a value is limited.
 */
#ifndef MBOX_MBOX_HEAD_H
#define MBOX_MBOX_HEAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

enum head_field {
	HEAD_STATUS, HEAD_XSTATUS, HEAD_XKEYWORDS, HEAD_XUID, HEAD_XIMAP,
	HEAD_XIMAPBASE, HEAD_LENGTH, HEAD_MOZ_STATUS, HEAD_MOZ_STATUS2,
	HEAD_MOZ_KEYS, HEAD_RECEIVED, HEAD_DATE, HEAD_FIELDS
};

/* A run of whole fields, offsets in the file. */
struct head_cut {
	uint64_t	start, end;
	bool		length;		/* it is the first Content-Length */
};

struct mbox_head {
	/* Values without name, colon and line ends; of a repeated field all
	 * (flags, keywords) or the first one (the rest). */
	struct buf	 value[HEAD_FIELDS];
	bool		 seen[HEAD_FIELDS];
	bool		 mozilla;	/* Mozilla's own fields are on top */
	bool		 base_first;	/* X-IMAP or X-IMAPbase before X-UID */
	struct head_cut	*cuts;		/* fields of the container, in order */
	size_t		 ncuts, capcuts;
	/* while fed */
	bool		 top;
	int		 field;		/* of the open field, or -1 */
	bool		 keep, cutting;
};

/* X-IMAP and X-IMAPbase: "UIDVALIDITY LASTUID KEYWORD ...". */
struct mbox_base {
	uint32_t	 uidvalidity, last_uid;
	const char	*keywords;	/* blank-separated, in the value */
};

void	mbox_head_init(struct mbox_head *);
void	mbox_head_release(struct mbox_head *);
void	mbox_head_reset(struct mbox_head *);
/* n bytes at file offset off; bol: they start a line (then at least 128 bytes
 * of it are there, or all of it). */
void	mbox_head_feed(struct mbox_head *, uint64_t off, const char *p,
	    size_t n, bool bol);

/* The first Content-Length: 1 and *n, or 0. */
int	mbox_head_length(const struct mbox_head *, uint64_t *n);
/* field is HEAD_XIMAP or HEAD_XIMAPBASE: 1 when it is there and valid. */
int	mbox_head_base(const struct mbox_head *, enum head_field field,
	    struct mbox_base *);
/* c-client's internal message, never mail: an X-IMAP, and no Received (which
 * all mail from elsewhere has; a sender must not hide his message). */
bool	mbox_head_pseudo(const struct mbox_head *, struct mbox_base *);
/* Mozilla's status words, believed only on top of the header, where Mozilla
 * puts them: 1 and the words, or 0. */
int	mbox_head_mozilla(const struct mbox_head *, unsigned *status,
	    unsigned *status2);

/* Does a line (or what there is of it) look like "Name:"? */
bool	mbox_head_like(const char *p, size_t n);

#endif
