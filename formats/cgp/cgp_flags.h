/*
 * What the letters mean that stand for flags in names of files and in
 * separators.  No source tells them; the defaults are a guess that can be
 * corrected by the option flag-letters:
 *
 *	LETTER ":" MEANING, with blanks between
 *	MEANING	\Seen \Answered \Flagged \Deleted \Draft, a keyword, or "-":
 *		known, and of no meaning elsewhere (recent)
 */
#ifndef CGP_FLAGS_H
#define CGP_FLAGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "message.h"

#define CGP_FLAG_LETTERS "S:\\Seen A:\\Answered F:\\Flagged D:\\Deleted R:-"

struct cgp_flags {
	struct {
		bool		 known;
		unsigned	 bit;		/* MSG_*, 0: none */
		const char	*keyword;	/* or NULL; in text */
	} of[256];
	char	*text;				/* owned */
};

/* -1: not such a table, *e (ERR_RUN) says why; nothing is to be released. */
int	cgp_flags_parse(struct cgp_flags *, const char *text, struct err *);
/* A number that another table hardly has, and one that means the same has. */
uint64_t cgp_flags_hash(const struct cgp_flags *);
void	cgp_flags_release(struct cgp_flags *);
/* flags, keywords and raw_flags of m; letters that the table does not have are
 * counted in unknown[]. */
void	cgp_flags_apply(const struct cgp_flags *, const char *letters,
	    size_t n, struct arena *, struct msg_meta *m,
	    uint64_t unknown[256]);

#endif
