/*
 * Keywords: Dovecot's dovecot-keywords (letters in file names) and Courier's
 * courierimapkeywords/ (a list and newer change files).
 */
#ifndef MAILDIR_KEYWORDS_H
#define MAILDIR_KEYWORDS_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "maildir/maildir_file.h"

#define DOVECOT_KEYWORDS 26

/* Names that are numbered as they come; owned. */
struct keyword_table {
	char	**names;
	size_t	  n, cap;
};

void	keyword_table_release(struct keyword_table *);
/* Its number; a new name is added.  SIZE_MAX: the table is full, or name is
 * empty or holds a NUL. */
size_t	keyword_table_add(struct keyword_table *, const char *name, size_t len);

/* names[i] is what letter 'a' + i stands for, or NULL; the caller frees each.
 * Returns the lines that said nothing usable. */
size_t	dovecot_keywords_parse(char *names[DOVECOT_KEYWORDS],
	    const char *p, size_t len);

/* A message's keywords, numbers of the table. */
typedef int keywords_fn(void *ctx, const char *base, size_t nbase,
    const uint16_t *numbers, size_t n, struct err *);

/* The file ":list".  Lines of messages go to fn, bad ones are counted in
 * *bad.  -1 with *e when reading or fn failed. */
int	courier_keywords_list(struct maildir_lines *l, struct keyword_table *t,
	    keywords_fn *fn, void *ctx, size_t *bad, struct err *e);
/* One change file: the numbers it names, at most max; *n of them. */
void	courier_keywords_file(struct keyword_table *, const char *p,
	    size_t len, uint16_t *numbers, size_t max, size_t *n);
/* What the name of a file in courierimapkeywords/ means: 0 none of ours, else
 * 1, the base name and how new it is (:list would be 0). */
int	courier_keywords_name(const char *name, const char **base,
	    uint64_t *newer);

#endif
