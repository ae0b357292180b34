/*
 * Mailbox names before and after, as users see them on both sides: for a mail
 * to all users, or for the help desk.
 */
#ifndef ENGINE_REPORT_NAMES_H
#define ENGINE_REPORT_NAMES_H

#include <stdbool.h>
#include <stdio.h>

#include "config.h"
#include "db.h"

/*
 * Every mailbox that has a place at the target: the columns account,
 * target_user, old_name, new_name and changed (yes or no: a separator or a
 * leading INBOX is no change).  FORMAT_CSV is RFC 4180 with a header, all
 * fields quoted; one that a spreadsheet would take for a formula has a "'"
 * before it.  FORMAT_TEXT shows changed ones only.  wanted(ctx, account) chooses
 * accounts; NULL: all.
 */
int	report_names(struct db *, FILE *, enum format,
	    bool (*wanted)(const void *ctx, const char *account),
	    const void *ctx, struct err *);

/* A mailbox name of the target (a URI) as mail programs show it, in out. */
void	report_name(struct buf *out, const char *name, const char *target);
/* Is it the same tree, but for the separator and what is above all? */
bool	report_same_name(const char *old, const char *shown);

#endif
