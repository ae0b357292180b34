/*
 * The order in which accounts are begun: order=largest, smallest, list, or a
 * column of the account list whose numbers (1200, 300M) go from high to low.
 */
#ifndef ENGINE_ORDER_H
#define ENGINE_ORDER_H

#include "account.h"
#include "accounts.h"

/* Mistakes of the setting, appended; their number. */
size_t	order_check(const struct config *, const struct accounts *,
	    struct buf *errors);
/* Sorts v, which is in the order of the list, and sets what each account is
 * expected to hold by what the last pass met. */
int	order_accounts(const struct config *, const struct accounts *,
	    struct account **v, size_t n, struct db *, struct err *);

#endif
