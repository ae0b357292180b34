/*
 * Mailbox names: a path of UTF-8 levels to what a server can hold, and back.
 *
 * A name is the levels joined by the separator behind the personal prefix, in
 * modified UTF-7; {"INBOX"} is INBOX, with children below it.  Bytes that the
 * server refuses in a level, or would read as something else, are written
 *
 *	=XX	two hexadecimal digits, upper case
 *
 * ("=" is held by every server that was tried, Cyrus 2.4 included).  A "=" of
 * the level's own is written =3D where two such digits follow it and stays
 * itself elsewhere; the empty level is "=00".  So one name stands for one path
 * only, and decoding it gives the path back.  A level in bytes that are no
 * UTF-8 is carried in the same way, byte by byte.
 *
 * Refused, as found by trying:
 *   any	controls; the separator; "/", which is a separator or ends up
 *		as one; a first level spelled like INBOX in another case;
 *		a first level that is another namespace's
 *   Dovecot	"." where it maps to files (Maildir++; asked for at the start of
 *		a session, like the rest of its rules); a leading "~"; "." and
 *		".." ; cur, new, tmp and its own files in a Maildir of layout fs
 *   Cyrus	! " % & ; < > \ ^ ` { | } (& has a form in modified UTF-7);
 *		a leading ~ or $ in the first level; 2.4 also ( ) * ? [ ]
 *   others	" % * \ ; a leading ~ # & ; "." and ".."
 */
#ifndef IMAP_NAME_H
#define IMAP_NAME_H

#include "base/arena.h"
#include "base/buf.h"
#include "imap/imap_text.h"

struct imap_name_rules {
	enum imap_dialect dialect;
	char		 sep;		/* '\0': one level only */
	const char	*prefix;	/* as the server spells it */
	const char	*root;		/* what INBOX is, NULL: INBOX */
	const struct imap_words *others; /* prefixes of other namespaces */
	bool		 old_cyrus;
	/* Dovecot, what was asked. */
	bool		 no_dot;	/* refuses "." inside a level */
	bool		 no_tilde;	/* refuses a leading "~" */
	bool		 no_maildir;	/* refuses cur, new, tmp */
	bool		 no_dbox;	/* refuses dbox-Mails */
};

/* Appends the name; *encoded: something had to be escaped.  -1: the path
 * cannot be had (more than one level in a flat store, or far too long). */
int	imap_name_make(const struct imap_name_rules *, struct buf *out,
	    const char *const *path, size_t npath, bool *encoded);
/* The path of a name that imap_name_make() wrote under the same rules; -1 for
 * any other name.  Levels are appended to out, each with a NUL behind it. */
int	imap_name_undo(const struct imap_name_rules *, const char *name,
	    struct buf *out, size_t *npath);

/* A server's own name as path, for reading: the prefix away, split at the
 * separator, decoded where it is modified UTF-7, else as it is (*raw). */
void	imap_name_read(const struct imap_name_rules *, struct arena *,
	    const char *name, const char *const **path, size_t *npath,
	    bool *raw);

#endif
