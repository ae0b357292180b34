/*
 * Names of mailboxes in a Dovecot Maildir.
 *
 * A path of levels becomes the name that Dovecot's users see: the same that
 * the IMAP target would give it (imap/imap_name.h), in modified UTF-7, levels
 * joined by the separator.  With listescape what the layout cannot hold in a
 * level is written as Dovecot's plugin does, \xx, instead of =XX.  What
 * directory a name has is in maildir/maildir_dir.h.
 */
#ifndef DOVECOT_NAME_H
#define DOVECOT_NAME_H

#include "base/buf.h"
#include "base/err.h"

struct dovecot_names {
	bool	 fs;		/* layout */
	bool	 escape;	/* listescape */
	char	 sep;		/* '.' or '/' */
};

/* Appends the name.  -1 and *e (ERR_MAILBOX): the file system cannot hold
 * it. */
int	dovecot_name_make(const struct dovecot_names *, struct buf *out,
	    const char *const *path, size_t npath, bool *encoded,
	    struct err *e);
#endif
