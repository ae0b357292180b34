/* Cutting the text of an account list into records.  The format:
 * accounts_csv.c. */
#ifndef ENGINE_ACCOUNTS_CSV_H
#define ENGINE_ACCOUNTS_CSV_H

#include <stdbool.h>
#include <stddef.h>

#include "accounts_impl.h"

struct csv {
	char		*p, *end;	/* where we are; *end is a NUL */
	char		*done;		/* lines are counted up to here */
	unsigned	 line;		/* of done */
	char		 sep;
	bool		 plain;		/* no quotes */
};

/* One record; its fields are NUL-ended in place. */
struct record {
	char		*fields[COLUMNS_MAX];
	size_t		 n;
	unsigned	 line;
	bool		 nul;		/* a field holds a NUL byte */
	const char	*wrong;		/* what is wrong with it, or NULL */
};

/* The next record; false at the end.  rec->wrong: it is none. */
bool	 csv_next(struct csv *, struct record *);
/* The separator the line at p has more of, outside of quotes. */
char	 csv_guess_separator(const struct csv *, const char *p);
/* The number of the line that p lies in; p never goes back.  Line ends that
 * became NULs were counted before. */
unsigned csv_line(struct csv *, const char *p);
bool	 csv_at_end(const struct csv *, const char *p);	/* of a line */
char	*csv_skip_line(const struct csv *, char *p);

#endif
