/*
 * What is left out of an adopted account, whose target another tool has filled:
 * messages that were there before its last run and that the target lacks, which
 * are missing or were deleted by their user, and copies that it dropped as
 * duplicates.  Each has a row with the outcome excluded and the rule's name, so
 * that it is not read again until the rule is another one.
 */
#ifndef ENGINE_ADOPT_H
#define ENGINE_ADOPT_H

#include "walk.h"

/* A message that nothing at the target equals: the rule that leaves it out, and
 * its row and issue are put; NULL: it is to be copied.  -1: *e. */
int	adopt_leaves_out(struct walk *, const struct msg_meta *,
	    const void *key, size_t key_len, const struct measured *,
	    const char **rule, struct err *);
/* Does the rule of such a row still hold?  NULL: no. */
const char *adopt_rule(const struct walk *, const struct row_message *);
/* A copy that was found: its date at the target is listed if it differs. */
int	adopt_date(struct walk *, const struct msg_meta *, const void *key,
	    size_t key_len, uint32_t uid, struct err *);
/* At the end of a walk: how many equal copies were copied. */
void	adopt_tell(struct walk *);

#endif
