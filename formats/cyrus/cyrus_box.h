/*
 * A mailbox as the protocol tells of it, and as it is told to become.
 *
 * An APPLY MAILBOX replaces the ACL and all annotations, so both are kept as
 * they came and sent back.
 */
#ifndef CYRUS_BOX_H
#define CYRUS_BOX_H

#include "cyrus/sync.h"
#include "message.h"

#define CYRUS_KEYWORDS	128	/* slots of a mailbox */

struct cyrus_box {
	struct buf	 name;		/* internal */
	char		 uniqueid[64];
	char		 partition[64];
	char		 options[40];
	char		 type[40];	/* "": mail */
	bool		 absent;	/* only its name (and UNIQUEID) is there:
					 * others lie below it */
	struct buf	 acl;
	struct buf	 annotations;	/* the list, as it is sent; "" none */
	unsigned	 use;		/* USE_*, of the owner */
	uint32_t	 uidvalidity, last_uid, recent_uid;
	uint64_t	 modseq, created_modseq;
	uint64_t	 recent_time, append_time, pop3_login, pop3_after;
	uint64_t	 messages;	/* counted from records; UNKNOWN64 */
};

/* A message. */
struct cyrus_record {
	uint32_t	 uid;
	uint64_t	 modseq;
	unsigned	 flags;		/* MSG_* */
	bool		 expunged;
	const char	*kw[CYRUS_KEYWORDS];	/* in words */
	size_t		 nkw;
	int64_t		 date;
	uint64_t	 size, last_updated;
	unsigned char	 sha1[SHA1_LEN];
	struct buf	 words;		/* NUL after each */
	struct buf	 annotations;	/* as sent; "" none */
};

/* Called for each record; the struct is used again for the next. */
typedef int cyrus_record_fn(void *ctx, struct cyrus_record *, struct err *);

void	cyrus_box_init(struct cyrus_box *);
void	cyrus_box_release(struct cyrus_box *);
void	cyrus_record_init(struct cyrus_record *);
void	cyrus_record_release(struct cyrus_record *);

/* The value of "* MAILBOX", the reader before it; owner: whose special uses
 * count.  fn NULL: records are counted only. */
int	cyrus_box_read(struct sync *, struct cyrus_box *, const char *owner,
	    cyrus_record_fn *fn, void *ctx, struct err *);

/* GET MAILBOXES of one, or, with records, GET FULLMAILBOX: 1, 0 there is none
 * (or it is absent). */
int	cyrus_box_get(struct sync *, const char *internal, const char *owner,
	    bool records, cyrus_record_fn *fn, void *ctx, struct cyrus_box *,
	    struct err *);

/* "MAILBOX %(... RECORD (": records go behind it, and "))".  since: the modseq
 * that it must still have, 0: any. */
void	cyrus_box_put(struct buf *, const struct cyrus_box *, uint64_t since);
/* One record; first: no blank before it. */
void	cyrus_record_put(struct buf *, const struct cyrus_record *,
	    bool first);

/* The names of special uses, "\Sent \Trash". */
void	cyrus_use_names(struct buf *, unsigned use);

#endif
