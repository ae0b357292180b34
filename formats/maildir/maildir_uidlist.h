/*
 * UID lists: Dovecot's dovecot-uidlist (versions 1 and 3), Courier's
 * courierimapuiddb, and Courier's courierpop3dsizelist.
 */
#ifndef MAILDIR_UIDLIST_H
#define MAILDIR_UIDLIST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "maildir/maildir_file.h"

struct uidlist_head {
	unsigned	 version;	/* 1 or 3 */
	uint32_t	 uidvalidity;	/* not 0 */
	uint32_t	 uidnext;	/* not 0; may be too low */
	char		 guid[33];	/* mailbox GUID, or "" */
};

/* Pointers point into the line. */
struct uidlist_rec {
	uint32_t	 uid;
	const char	*base;		/* file name before its info */
	size_t		 nbase;
	const char	*guid, *uidl;	/* NULL: not there */
	size_t		 nguid, nuidl;
	uint32_t	 order;		/* POP3 order, 0: none */
	uint32_t	 mark;		/* ours: msg_meta.mark */
};

/* 0, or -1 when the line is no header. */
int	uidlist_head_parse(struct uidlist_head *, const char *line, size_t len);
/* 1; 0: the line names no message, *why says it; -1: the list is broken. */
int	uidlist_rec_parse(struct uidlist_rec *, unsigned version,
	    const char *line, size_t len, const char **why);

/* Every record, UIDs strictly ascending. -1 stops with *e set. */
typedef int uidlist_rec_fn(void *ctx, const struct uidlist_rec *, struct err *);
typedef void uidlist_warn_fn(void *ctx, unsigned long line, const char *text);

/* 1: read; 0: broken, what was given to rec is worth nothing and warn was
 * told why; -1: *e. */
int	uidlist_read(struct maildir_lines *, struct uidlist_head *,
	    uidlist_rec_fn *, uidlist_warn_fn *, void *ctx, struct err *);

/* One line of courierpop3dsizelist of that version (0: no header line).  The
 * UIDL is appended to uidl.  1, or 0: the line names no message. */
int	sizelist_head_parse(unsigned *version, const char *line, size_t len);
int	sizelist_rec_parse(const char **base, size_t *nbase, struct buf *uidl,
	    unsigned version, const char *line, size_t len);

#endif
