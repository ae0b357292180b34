/* mailhaul plan --list-accounts: the accounts of a server's base directory. */
#ifndef CMD_PLAN_ACCOUNTS_H
#define CMD_PLAN_ACCOUNTS_H

#include <stdbool.h>

/* True: the command line asks for the list (or cannot be read), *code is the
 * exit code.  False: it asks for a plan. */
bool	plan_accounts(int argc, char **argv, int *code);

#endif
