/*
 * Why something failed: how far the damage reaches, whether a retry is worth
 * it, and words for people.
 *
 * Lives on the caller's stack; nothing is allocated.  Whoever returns -1 has
 * filled *e in.  The engine acts on scope, retry and cause only, never on text.
 */
#ifndef BASE_ERR_H
#define BASE_ERR_H

#include <stdbool.h>

enum err_scope {
	ERR_NONE = 0,
	ERR_MESSAGE,	/* this message only */
	ERR_MAILBOX,	/* this mailbox (pair) */
	ERR_ACCOUNT,	/* this account */
	ERR_HOST,	/* a server, file system or child program */
	ERR_RUN		/* the whole run */
};

/* What the engine treats apart; everything else is CAUSE_OTHER. */
enum err_cause {
	CAUSE_OTHER = 0,
	CAUSE_AUTH,	/* a login was refused: the secret may be wrong */
	CAUSE_QUOTA,	/* over quota at the target */
	CAUSE_DISK,	/* the target cannot store: a full or sick disk; with
			 * ERR_HOST it is not this account's alone */
	CAUSE_BROKEN,	/* the target broke at this message or mailbox, or its
			 * disk did: ERR_MESSAGE: the message is to blame,
			 * ERR_MAILBOX: it may be, ERR_HOST: others meet it */
	CAUSE_LIMIT,	/* a limit of the server: time may not help */
	CAUSE_MISSING,	/* the account (user, directory) does not exist */
	CAUSE_CHANGED,	/* the source changed under us: measure again */
	CAUSE_CANCELLED	/* the run is stopping */
};

struct err {
	enum err_scope	 scope;
	enum err_cause	 cause;
	bool		 retry;		/* worth trying again later */
	bool		 at_target;	/* a target said so (target.c) */
	int		 sys;		/* errno, or 0 */
	char		 text[480];
};

/* All return -1, so that "return err_set(...)" is one line. */
int	err_set(struct err *e, enum err_scope scope, const char *fmt, ...)
	    __attribute__((format(printf, 3, 4)));
int	err_retry(struct err *e, enum err_scope scope, const char *fmt, ...)
	    __attribute__((format(printf, 3, 4)));	/* retry = true */
int	err_sys(struct err *e, enum err_scope scope, const char *fmt, ...)
	    __attribute__((format(printf, 3, 4)));	/* adds strerror(errno) */
int	err_ctx(struct err *e, const char *fmt, ...)	/* puts "fmt: " before */
	    __attribute__((format(printf, 2, 3)));
void	err_clear(struct err *e);

#endif
