/*
 * Letters: one page for the user of each account, in plain words: mailboxes with
 * another name, messages that are not there, and what to do in the mail
 * program.
 */
#ifndef ENGINE_LETTERS_H
#define ENGINE_LETTERS_H

#include "db.h"

/*
 * Writes DIR/ACCOUNT.txt (UTF-8, mode 600) for each account that this connection
 * sees; bytes of a name other than letters, digits and "@+-_." are written as
 * %XX there.  DIR is made (mode 700) if it is missing; letters of before are
 * replaced, each in one step.  *n: how many.  -1: *e.
 */
int	letters_write(struct db *, const char *dir, size_t *n, struct err *);

#endif
