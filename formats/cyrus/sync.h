/*
 * A connection that speaks Cyrus' replication protocol: commands and answers.
 *
 *	child	a private "sync_server -X -C FILE" on a socket pair, which needs
 *		no login and works with the service up or down
 *	IMAP	SYNCAPPLY, SYNCGET... in an admin's session
 *
 *	command	= [tag SP "SYNC"] ("APPLY" | "GET") SP NAME SP value CRLF
 *	answer	= *("*" SP NAME SP value... CRLF) [tag SP] ("OK" | "NO" | "BAD")
 *		  SP text CRLF
 *
 * The text of a NO begins with a word IMAP_... where Cyrus has one.  When a
 * connection breaks, its child is reaped, and what it had staged is removed.
 */
#ifndef CYRUS_SYNC_H
#define CYRUS_SYNC_H

#include <sys/types.h>

#include "cyrus/cyrus_conf.h"
#include "cyrus/dlist.h"
#include "source.h"

struct imap_session;
struct sync_child;

struct sync {
	struct dlist	 d;
	struct imap_stream *st;		/* the child's, or the session's */
	struct imap_session *s;		/* NULL: a child */
	struct sync_child *child;	/* NULL: none */
	const struct store_conf *conf;	/* borrowed */
	unsigned	 tag;		/* of the last command */
	unsigned	 awaited;	/* of the next answer */
	bool		 dead;
	struct err	 why;		/* when dead */
	char		 server[120];	/* name and version */
	unsigned	 version;	/* 306: 3.6; 0: not told */
};

/* An answer. */
struct sync_reply {
	bool		 bad;		/* BAD: not understood */
	char		 code[48];	/* IMAP_..., or "" */
	char		 text[300];
};

/* conf must outlive it.  libexec: the directory of sync_server, NULL: where
 * packages have it.  preload: a library for it, or NULL. */
int	sync_open_child(struct sync **, const struct store_conf *,
	    const struct cyrus_conf *, const char *file, const char *libexec,
	    const char *preload, struct err *);
/* Takes the session over. */
int	sync_open_imap(struct sync **, const struct store_conf *,
	    struct imap_session *, struct err *);
/* Says good-bye if it can still be said, and waits for the child's end. */
void	sync_close(struct sync **);

/* A command in pieces: begin, put..., end.  verb: APPLY, GET, or a whole
 * command without arguments (RESTART). */
int	sync_begin(struct sync *, const char *verb, struct err *);
int	sync_put(struct sync *, const void *, size_t, struct err *);
int	sync_end(struct sync *, struct err *);
/* Called for each data line; the reader stands before its values, and what it
 * leaves unread is skipped. */
typedef int sync_data_fn(struct sync *, const char *name, void *ctx,
	    struct err *);
/* The answer to the oldest command that has none: 1 OK, 0 NO or BAD (*r), -1
 * the connection is dead.  fn may be NULL. */
int	sync_answer(struct sync *, sync_data_fn *fn, void *ctx,
	    struct sync_reply *r, struct err *);
/* All of it: "verb args". */
int	sync_run(struct sync *, const char *verb, const struct buf *args,
	    sync_data_fn *fn, void *ctx, struct sync_reply *r, struct err *);
/* The error for a NO: "what: Cyrus says: words". */
int	sync_no(const struct sync_reply *, enum err_scope, struct err *,
	    const char *fmt, ...) __attribute__((format(printf, 4, 5)));
/* Why it is dead; -1. */
int	sync_dead(struct sync *, struct err *);
/* It ends here, because of *e: there is no way back into step. */
void	sync_give_up(struct sync *, struct err *e);

/* sync_child.c */
int	sync_child_start(struct sync_child **, const struct cyrus_conf *,
	    const char *file, const char *libexec, const char *preload,
	    int *fd, struct err *);
/* It has ended, or is made to: adds to the error how, and what it had to say.
 * e may be NULL. */
void	sync_child_end(struct sync_child **, struct err *e);
pid_t	sync_child_pid(const struct sync_child *);

#endif
