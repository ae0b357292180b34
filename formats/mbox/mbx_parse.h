/* UW's mbx mailboxes: one pass from the front.  The format stands in the .c
 * file. */
#ifndef MBOX_MBX_PARSE_H
#define MBOX_MBX_PARSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/date.h"
#include "base/err.h"

#define MBX_KEYWORDS	30

enum {
	MBX_SEEN	= 0x0001,
	MBX_DELETED	= 0x0002,
	MBX_FLAGGED	= 0x0004,
	MBX_ANSWERED	= 0x0008,
	MBX_OLD		= 0x0010,
	MBX_DRAFT	= 0x0020,
	MBX_EXPUNGED	= 0x8000
};

struct mbx {
	/* As in struct mbox_scan_conf. */
	ssize_t	(*read)(void *ctx, void *p, size_t n, uint64_t off,
		    struct err *e);
	void	*ctx;
	uint64_t size;
	uint64_t pos;
	uint32_t uidvalidity, last_uid;
	char	 names[2048];		/* of keywords, each ended by NUL */
	const char *keywords[MBX_KEYWORDS];	/* NULL: none */
};

struct mbx_msg {
	uint64_t	 from, start, end;	/* from: its record line */
	struct date	 date;
	uint32_t	 keywords;		/* bits */
	unsigned	 flags;			/* MBX_* */
	uint32_t	 uid;			/* 0: none yet */
};

/* Reads the header of the file.  -1 with ERR_MAILBOX: it is damaged. */
int	mbx_start(struct mbx *, ssize_t (*read)(void *, void *, size_t,
	    uint64_t, struct err *), void *ctx, uint64_t size, struct err *);
/* The next message, expunged ones too: 1, 0 at the end.  -1: a record line is
 * damaged, and nothing behind it can be found. */
int	mbx_next(struct mbx *, struct mbx_msg *, struct err *);
/* The message at an offset that next() gave as from. */
int	mbx_at(struct mbx *, uint64_t from, struct mbx_msg *, struct err *);

#endif
