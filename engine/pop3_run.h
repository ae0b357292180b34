/*
 * mailhaul uidl: what the POP3 server of each account calls the messages of its
 * INBOX, into the state.
 *
 * The INBOX is read from the job's source, by the keys under which a copy
 * knows its messages; the server is asked for CAPA, UIDL, LIST and, where a
 * join needs it, TOP n 0.  Accounts are worked on side by side, within the limits of
 * sources, which both hosts are here.  An account is put when it is whole;
 * what was cut off is done again by the next run.
 */
#ifndef ENGINE_POP3_RUN_H
#define ENGINE_POP3_RUN_H

#include "account.h"
#include "pop3_join.h"

enum pop3_outcome { POP3_TODO, POP3_DONE, POP3_FAILED, POP3_STOPPED };

struct pop3_task {
	const struct account *account;
	struct uri	*server;	/* filled in */
	const char	*password;
	/* out */
	enum pop3_outcome outcome;
	struct err	 err;		/* unless it is done */
	size_t		 listed, inbox, joined;
	bool		 by_headers, unchecked, reordered;
};

struct pop3_run {
	struct state	*state;
	const struct settings *set;
	struct pop3_task *tasks;
	size_t		 n;
	/* A line for people, one at a time. */
	void		(*say)(void *ctx, const char *account,
			    const char *text);
	void		*ctx;
};

/* Every task has an outcome.  Takes over SIGINT, SIGTERM, SIGHUP and SIGPIPE
 * while it runs.  -1: the state cannot be written, or no thread be started. */
int	pop3_run(struct pop3_run *, struct err *);

/* What a lane needs for one account, between pop3_run.c and pop3_account.c. */
struct pop3_lane {
	struct pop3_run	*run;
	struct account	*shadow;	/* the server's URI is its source, the
					 * account's source its target */
	struct berth	 at[2];
	int		 cancel_fd;
	enum trouble	 trouble;
	bool		 opened[2], refused[2];
	enum side	 failed;	/* where it did, if trouble is none */
	store_warn_fn	*warn;		/* of the server */
	void		*warn_ctx;
};

/* All of one account.  -1: *e; ERR_RUN: the state's. */
int	pop3_account(struct pop3_lane *, struct pop3_task *, struct err *);

#endif
