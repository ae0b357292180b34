/*
 * A child that serves us: started without a shell, in a session of its own (a
 * terminal's signals are ours), with one end of a socket pair as its input and
 * output, a pipe for what it complains of, and nothing else of ours.
 */
#ifndef BASE_CHILD_H
#define BASE_CHILD_H

#include <sys/types.h>

#include "base/err.h"

#define CHILD_WORDS	2000

struct child;

/* How one ended. */
struct child_ending {
	int	 code;			/* of its exit; -1: a signal ended it */
	int	 signal;
	char	 words[CHILD_WORDS + 1];	/* its first line, or the first
					 * that tells of an error; printable */
};

/*
 * argv[0] without a slash is looked up in PATH; env: what it gets besides PATH
 * and LC_ALL, NULL-terminated, or NULL.  *fd: our end of the pair, nonblocking,
 * the caller's to close; so is *in, when it is not NULL: its output is a pipe
 * then.
 */
int	child_start(struct child **, const char *const *argv,
	    const char *const *env, int *fd, int *in, struct err *);
pid_t	child_pid(const struct child *);
/* Takes what it says, so that it never has to wait for that. */
void	child_listen(struct child *);
/* Our end is closed: waits so many milliseconds until it has ended, then makes
 * it.  NULL: nothing is told. */
void	child_end(struct child **, unsigned ms, struct child_ending *);
/* The error gets it: "name ended with 1: words (what the error said)". */
void	child_explain(const struct child_ending *, const char *name,
	    struct err *);

#endif
