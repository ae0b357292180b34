/*
 * Sorted records that may be more than memory should hold: a listing.
 *
 * Records are put in any order and come back sorted by (key, then bytes).  Up
 * to a few megabytes they stay in memory; beyond that they go to a private
 * temporary SQLite table (a file without a name), so memory stays flat.
 * One thread at a time.
 */
#ifndef BASE_SPILL_H
#define BASE_SPILL_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct spill;

struct spill	*spill_new(void);
void		 spill_free(struct spill **);
int		 spill_put(struct spill *, uint64_t key, const void *rec,
		    size_t len, struct err *);
/* No put after this. */
int		 spill_sort(struct spill *, struct err *);
/* The next record in order: 1, 0 at the end.  rec is valid until the next
 * call. */
int		 spill_next(struct spill *, uint64_t *key, const void **rec,
		    size_t *len, struct err *);
int		 spill_rewind(struct spill *, struct err *);
uint64_t	 spill_count(const struct spill *);

#endif
