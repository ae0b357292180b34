/*
 * Names of files in CommuniGate's mailboxes, the line that starts a message in
 * its text mailboxes, and names of mailboxes.  Only text is judged here.
 */
#ifndef CGP_NAME_H
#define CGP_NAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

/*
 * A message in a MailDir mailbox (NAME.mdir):
 *
 *	UID "-" FLAGS "-" YYYYMMDDhhmmss TAIL
 *
 * UID has 1 to 10 digits, FLAGS anything but '-', the time is in GMT, TAIL is
 * empty or starts with '-', '_' or '.'.  (One sighting, of 2006; what later
 * versions append is not known, hence the open tail.)
 */
enum cgp_file {
	CGP_FILE_OTHER,		/* no message */
	CGP_FILE_ALMOST,	/* begins as one and is none */
	CGP_FILE_MESSAGE
};

struct cgp_file_name {
	uint32_t	 uid;		/* never 0 */
	const char	*flags;		/* in the name */
	size_t		 nflags;
	bool		 timed;		/* the time is one */
	int64_t		 epoch;
	const char	*tail;		/* to the end of the name */
	size_t		 ntail;
};

enum cgp_file cgp_file_parse(struct cgp_file_name *, const char *p,
	    size_t len);

/*
 * The separator of a text mailbox (NAME.mbox):
 *
 *	"From " SENDER "(" FLAGS "-" UID ["-" ...] ")" {0,2 blanks} TIME
 *	TIME	Www Mmm [d]d hh:mm:ss [zone] yyyy	to version 5.1
 *		[d]d-mm-yyyy_hh:mm:ss[_tail]		from 5.2 on
 *
 * SENDER may hold blanks and brackets: the last "(FLAGS-UID)" before TIME is
 * meant.  What other programs write is "plain": one word and TIME of the first
 * kind.
 */
enum cgp_sep_kind { CGP_SEP_NONE, CGP_SEP_CGP, CGP_SEP_PLAIN };

#define CGP_SEP_MAX	4096	/* longer lines are text */

struct cgp_sep {
	enum cgp_sep_kind kind;
	bool		 newer;		/* the second kind of TIME */
	const char	*sender;	/* in the line */
	size_t		 nsender;
	const char	*flags;		/* CGP only */
	size_t		 nflags;
	uint32_t	 uid;		/* CGP only; 0: not one that can be */
	bool		 timed;		/* the time is one */
	bool		 zoned;		/* and names its zone */
	int64_t		 epoch;		/* UTC if not zoned */
	int		 zone;
	const char	*tail;		/* newer only */
	size_t		 ntail;
};

/* p, len: the line without its end. */
void	cgp_sep_parse(struct cgp_sep *, const char *p, size_t len);

/* The shape of a tail: runs of digits are '9', of letters 'a', any other byte
 * stands for itself, controls and 8-bit bytes as '?'. */
void	cgp_tail_shape(struct buf *, const char *p, size_t len);

/*
 * Appends a name on disk (without its extension) as a level of a mailbox name
 * in UTF-8: decoded when it is modified UTF-7, as it is when it is UTF-8.
 * False: it is neither, or decodes to what no level may hold; then bytes that
 * are no UTF-8 are written "=HH", and so is a '=' that two such digits follow.
 */
bool	cgp_level(struct buf *, const char *p, size_t len);

#endif
