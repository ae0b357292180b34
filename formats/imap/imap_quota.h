/*
 * Quotas over IMAP (RFC 9208, RFC 2087).
 *
 *	* QUOTA root "(" [resource SP usage SP limit] ... ")"
 *
 * STORAGE counts units of 1024 bytes.  A root without a resource has no limit
 * of it.  SETQUOTA replaces all limits of a root: what is not named has none
 * afterwards [tested with Cyrus 3.6], so the others are named again.
 */
#ifndef IMAP_QUOTA_H
#define IMAP_QUOTA_H

#include "imap/imap_session.h"
#include "target_impl.h"

#define IMAP_QUOTA_MAX	8	/* resources that one root may have */
#define IMAP_QUOTA_KIB	((uint64_t)1024)
/* Cyrus reads limits as signed 32-bit numbers; a larger one ends the session
 * [tested]. */
#define IMAP_QUOTA_TOP	((uint64_t)INT32_MAX)

struct imap_quota {
	struct { char name[32]; uint64_t limit; } res[IMAP_QUOTA_MAX];
	size_t	 n;
	bool	 more;		/* it has others that were not kept */
};

/* What follows "* QUOTA": name of the root and the list, to the end of the
 * response. */
int	imap_quota_read(struct imap_reader *, struct imap_quota *,
	    struct err *);
/* Its STORAGE limit in bytes, UNKNOWN64 if it has none. */
uint64_t imap_quota_storage(const struct imap_quota *);
/* Appends the list for SETQUOTA that gives this root another STORAGE limit
 * (bytes; UNKNOWN64: none) and keeps the others. */
void	imap_quota_list(struct buf *, const struct imap_quota *,
	    uint64_t bytes);

/* The smallest STORAGE limit that holds for the user's INBOX. */
int	imap_quota_of_inbox(struct imap_session *, uint64_t *bytes,
	    struct err *);

/* As in target.h. */
int	imap_store_set_quota(struct target *, uint64_t bytes, bool *changed,
	    struct err *);

#endif
