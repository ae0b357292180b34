/*
 * One fixture for the tests of a program, a source with everything that is
 * hard to tell apart, and what the target holds as text.
 */
#ifndef ENGINE_CASE_H
#define ENGINE_CASE_H

#include "unit/lib/engine_fixture.h"

extern struct fixture fx;

/* For cmocka_unit_test_setup(): empty stores, no state, plain settings. */
int	 case_setup(void **);
/* Twins, triplets of one size and date, raw 8-bit headers: 23 messages in
 * INBOX, Work/Old and Sent. */
void	 fill_source(void);
/* All of these mailboxes; the caller frees. */
char	*target_text(void);
char	*source_text(void);
void	 assert_target_is(const char *want);
/* One run with a fault (MAILHAUL_FAULT). */
int	 faulty_run(const char *spec);

#endif
