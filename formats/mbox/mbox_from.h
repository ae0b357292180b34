/*
 * The line that starts a message in an mbox: what follows "From ".
 *
 * Only the line itself is judged here; whether it is a separator depends on
 * its neighbours as well (mbox_parse.h).
 */
#ifndef MBOX_MBOX_FROM_H
#define MBOX_MBOX_FROM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Longer lines are text. */
#define FROM_LINE_MAX	4096

enum from_form {
	FROM_DATED,		/* ends in a date, a weekday before it */
	FROM_WEAK,		/* ends in another: no weekday, ISO 8601 */
	FROM_BARE,		/* nothing, or a dash (Mozilla) */
	FROM_THREAD,		/* NUMBER@xxx (Gmail Takeout) without date */
	FROM_WORD,		/* one word, no date */
	FROM_OTHER		/* anything else: prose, as a rule */
};

struct from_line {
	enum from_form	 form;
	bool		 dash;		/* the sender is "-" (Mozilla) */
	bool		 thread;	/* the sender is NUMBER@xxx */
	/* The date, as written; usable only in forms DATED and WEAK. */
	bool		 usable;	/* every part is understood, in range */
	int		 year;
	unsigned	 month, day, hour, minute, second;
	bool		 zoned;		/* the line names a zone we know */
	int		 zone;		/* minutes east */
};

/* How a date without a zone is read. */
struct from_zone {
	bool	fixed;		/* false: the zone of this machine (TZ) */
	int	minutes;	/* east, when fixed */
};

/* p, len: the text after "From ", without the line end. */
void	from_parse(const char *p, size_t len, struct from_line *);
/* Seconds since 1970 and the zone that held; -1: no usable date. */
int	from_epoch(const struct from_line *, const struct from_zone *,
	    int64_t *epoch, int *zone);
/* "+hhmm", "-hhmm", "utc", "local"; -1: none of these. */
int	from_zone_parse(const char *, struct from_zone *);

#endif
