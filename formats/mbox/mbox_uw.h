/* The mail in a home directory as UW's programs and Pine keep it. */
#ifndef MBOX_MBOX_UW_H
#define MBOX_MBOX_UW_H

#include "source_impl.h"

#define UW_MBOX		"mbox"		/* in the home: a part of INBOX */
#define UW_SPOOL	"/var/mail/"

/* In the cookie of a folder: */
#define UW_INBOX	1		/* lies in ~/mbox and the spool, */
#define UW_NO_MBOX	2		/* or in the spool only */

/* The spool of the home at path: inbox if that is not NULL, else that of user,
 * else that of the path's last level; NULL: that tells nothing.  The caller
 * frees. */
char	*uw_spool(const char *path, const char *user, const char *inbox);

/* As source_list(). */
int	uw_list(struct source *, int homefd, const char *path,
	    const char *spool, struct arena *, struct folder_info **,
	    size_t *n, struct err *);

#endif
