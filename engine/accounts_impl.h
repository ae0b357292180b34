/* The account list, shared by the files accounts*.c only. */
#ifndef ENGINE_ACCOUNTS_IMPL_H
#define ENGINE_ACCOUNTS_IMPL_H

#include <stdint.h>

#include "accounts.h"

#define COLUMNS_MAX	64

struct row {
	uint32_t	 fields;	/* offset in text of the first field */
	uint32_t	 local;		/* offset in locals */
	uint32_t	 line;
	bool		 selected;
};

struct accounts {
	char		*file;		/* NULL: from the command line */
	char		*text;		/* the list, its fields NUL-ended in
					 * place: a row costs what it holds */
	size_t		 size;
	struct buf	 locals;	/* {local} of all rows, NUL-ended */
	const char	*columns[COLUMNS_MAX];	/* names, in text */
	size_t		 ncolumns;
	struct row	*rows;
	size_t		 nrows, room;
	char		*single;	/* the name of the only account ... */
	char		*single_target;	/* ... and its target_user */
};

/* accounts.c */
struct accounts *accounts_new(const char *file);
/* The number of a column; ncolumns: there is none of that name. */
size_t	 accounts_find(const struct accounts *, const char *name);
/* A field of row i. */
const char *accounts_field(const struct accounts *, size_t i, size_t column);

/* Row numbers sorted by a text each, then by number. */
struct by_text {
	const char	*text;
	size_t		 row;
};
void	 accounts_sort(struct by_text *, size_t n);

#endif
