/*
 * The directory of a mailbox of a Dovecot Maildir, by the name that its users
 * see (levels in modified UTF-7, joined by the separator):
 *
 *	INBOX		"."
 *	Work/Old	".Work.Old" (Maildir++), "Work/Old" (layout=fs)
 */
#ifndef MAILDIR_DIR_H
#define MAILDIR_DIR_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/uri.h"

/* Appends it, seen from the root. */
void	maildir_dir(struct buf *out, bool fs, char sep, const char *name);
/* The option separator= of a URI, or what Dovecot takes where nobody says
 * anything.  '\0' and *e: it is none that can be. */
char	maildir_separator(struct uri *, bool fs, struct err *e);

#endif
