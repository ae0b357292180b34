/*
 * The logs of a run: one of the run, one of each account, and traces.
 *
 *	BASE.log		the run
 *	BASE.logs/ACCOUNT.log	an account
 *	BASE.logs/ACCOUNT.trace	the protocol of an account, when asked for
 *
 * BASE is the state's path, or its name in another directory.  A line is one
 * event:
 *
 *	2026-11-20T22:00:07.413+01:00 warn refused account=anna mailbox="Old
 *	Mail" host=imap.example.net where="uid 17": the server's own words
 *
 * Lines are cut at LOG_LINE_MAX bytes, what is no printable UTF-8 is \xNN.
 * No content of messages and no secret is ever given to these functions.
 *
 * Each line is one write() to a file that is opened for it: thousands of
 * accounts need no descriptors, a renamed file (logrotate) is simply made anew,
 * and a killed run loses nothing.  A line that an earlier death has cut off is
 * ended first.  Links are not followed; files have mode 600, the directory 700.
 *
 * Logging never stops a run: the first failure is told to the complain
 * function, later ones are counted, and the run's log says how many lines are
 * missing once it can be written again.  Any thread may call; a NULL log takes
 * everything and does nothing.
 */
#ifndef ENGINE_LOG_H
#define ENGINE_LOG_H

#include <stdbool.h>

#include "base/buf.h"

#define LOG_LINE_MAX	2000	/* bytes, with its end */
#define LOG_NAME_MAX	200	/* of a file name, without its ending */

struct log;

typedef void log_complain_fn(void *ctx, const char *text);

/* events: false for traces only.  dir: where they go, NULL: beside the state. */
struct log *log_new(const char *state_path, const char *dir, bool events,
	    log_complain_fn *, void *ctx);
void	log_free(struct log **);

/* What an event is about; each may be NULL. */
struct log_about {
	const char	*account, *mailbox, *host, *where;
};

enum log_files { LOG_RUN = 1, LOG_ACCOUNT = 2, LOG_BOTH = 3 };

/* event is one word.  Without an account it goes to the run's log in any
 * case. */
void	log_event(struct log *, enum log_files, const char *event,
	    const struct log_about *, const char *fmt, ...)
	    __attribute__((format(printf, 5, 6)));
/* The same for what people should look at: "warn" in place of "info". */
void	log_warn(struct log *, enum log_files, const char *event,
	    const struct log_about *, const char *fmt, ...)
	    __attribute__((format(printf, 5, 6)));
/* One line of an account's trace; it is not kept in any other file. */
void	log_trace(struct log *, const char *account, const char *text);

/*
 * The file name of an account, without its ending: letters, digits and "@._+-"
 * stay, other bytes and a "." or "-" at the front become %XX.  What would be
 * longer than LOG_NAME_MAX is cut and ends in "%~" and 16 digits of a hash;
 * nothing else has a "%~".  Appended to out.
 */
void	log_file_name(struct buf *out, const char *account);

#endif
