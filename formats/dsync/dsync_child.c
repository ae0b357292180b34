/* A child that runs doveadm: see dsync_child.h. */
#include "dsync/dsync_child.h"

#include <string.h>

#define END_MS		20000	/* for a child that was asked to go */

/* Ends that no second try makes better: of doveadm, of Dovecot's binaries. */
enum { USAGE = 64, NO_USER = 67, NO_PERMISSION = 77, BAD_CONFIG = 78,
    NOT_RUN = 127 };

static void
explain(const struct child_ending *end, struct err *e)
{
	const char *words = end->words;

	child_explain(end, "doveadm", e);
	if (end->code == NO_USER || strcasestr(words, "user doesn't exist") !=
	    NULL) {
		e->scope = ERR_ACCOUNT;
		e->cause = CAUSE_MISSING;
		e->retry = false;
	} else if (strcasestr(words, "quota exceeded") != NULL)
		e->cause = CAUSE_QUOTA;
	else if (strcasestr(words, "no space left") != NULL ||
	    strcasestr(words, "not enough disk space") != NULL)
		e->cause = CAUSE_DISK;
	else if (end->code == USAGE || end->code == NO_PERMISSION ||
	    end->code == BAD_CONFIG || end->code == NOT_RUN)
		e->retry = false;
}

void
dsync_child_end(struct child **cp, struct err *e)
{
	struct child_ending end;

	if (*cp == NULL)
		return;
	child_end(cp, END_MS, &end);
	if (e != NULL && e->cause != CAUSE_CANCELLED)
		explain(&end, e);
}
