/*
 * A lane: one thread with one open source and one open target, working on one
 * pair at a time, and what it needs for that.  And the run that all lanes
 * share.
 */
#ifndef ENGINE_LANE_H
#define ENGINE_LANE_H

#include <stdatomic.h>

#include "host.h"
#include "measure.h"
#include "rows.h"
#include "settings.h"
#include "source.h"
#include "target.h"

struct account;		/* account.h */
struct people;		/* people.h */
struct pair;

/* When it will all be done; written by the main thread. */
struct eta {
	bool		 known;
	uint64_t	 left_s;
	uint64_t	 average;	/* messages of an account, 0: unknown */
	char		 basis[240];	/* how this was found */
};

/* Shared by all lanes; counters are for progress only, never for outcomes. */
struct run {
	struct state		*state;
	const struct settings	*set;
	const char		*state_dir;	/* to watch its space, or NULL */
	const char		*state_path;	/* to be controlled, or NULL */
	bool			 planning;	/* nothing may be changed */
	bool			 hold_signals;	/* blocked before and after:
						 * pool_run() takes them */
	uint64_t		 start_ms;	/* monotonic; 0: pool_run() */
	const struct people	*people;	/* or NULL: nobody */
	struct hosts		*hosts;		/* set up by pool_run() */
	_Atomic bool		 stop;		/* finish the batch in hand */
	_Atomic bool		 paused;	/* the same, and wait */
	_Atomic bool		 full;		/* the same: no space */
	_Atomic uint64_t	 seen, sent, sent_bytes, issues;
	_Atomic bool		 quotas_told;	/* that none can be set */
	_Atomic unsigned	 quota_logins;	/* refused, in a row */
	_Atomic uint64_t	 mailboxes, accounts_done, accounts_total;
	struct eta		 eta;
	void			(*log)(void *ctx, const char *account,
				    const char *text);
	void			*log_ctx;
};

struct lane {
	struct run	*run;
	unsigned	 number;
	struct db	*reader;	/* of the state */
	struct db	*scratch;	/* private: ordinals */
	struct measure	*measure;
	int		 cancel_fd;	/* readable when the run is cut short */
	struct account	*account;
	struct source	*src;
	struct target	*tgt;
	struct source	*eyes;		/* the target, read as a source */
	struct changes	*notes;		/* warnings of the stores, collected */
	struct berth	 at[2];		/* by enum side, while on an account */
	enum trouble	 trouble;	/* why a store could not be opened */
	int64_t		 mailbox_id;	/* the open pair's, 0: none */
	bool		 probing;	/* stores are opened again: no notes */
	struct arena	 listing;	/* of the open source */
	struct folder_info *folders;
	const char	**folder_keys;	/* what the state calls them: unique */
	size_t		 nfolders;
	uint64_t	 look_most;	/* look() takes no more, 0: all */
	char		 refusal_rule[300];	/* of the open target */
	struct pair_work *work;		/* buffers of batch.c, kept */
	unsigned	 lifted;	/* the account's, before its stores */
};

uint64_t now_ms(void);		/* CLOCK_MONOTONIC */

/* -1: *e; the lane needs no lane_release() then. */
int	lane_init(struct lane *, struct run *, unsigned number, int cancel_fd,
	    struct err *);
void	lane_release(struct lane *);

/* Opens what is not open yet; the source is listed.  -1: *e. */
int	lane_open_source(struct lane *, struct err *);
int	lane_open_target(struct lane *, struct err *);
/* The target as a source; fresh: on a new session in any case. */
int	lane_open_eyes(struct lane *, bool fresh, struct err *);
/* A server that allows too few sessions made lane_open_eyes() give up the
 * target's: 1: it was opened anew, no mailbox is open; 0: it was open. */
int	lane_target_again(struct lane *, struct err *);
void	lane_close_stores(struct lane *);
void	lane_close_source(struct lane *);
void	lane_close_target(struct lane *);
void	lane_close_eyes(struct lane *);

/* Sleeps for ms or until the run stops; false: it stops. */
bool	lane_sleep(struct lane *, uint64_t ms);
bool	lane_stopping(const struct lane *);
/* It stops, pauses, or has to leave its account for other reasons; what is
 * cut short goes on later. */
bool	lane_leaving(struct lane *);
/* Waits for the limits of a host before so much is read there or sent. */
void	lane_pace(struct lane *, enum side, uint64_t bytes,
	    uint64_t messages);
/* Both hosts have done what they are for. */
void	lane_proved(struct lane *);
/* So many messages of the account have been met. */
void	lane_met(struct lane *, uint64_t messages);

/* One line for the report, in the open mailbox; posted with the next changes
 * or by lane_flush_notes(). */
void	lane_note(struct lane *, const char *kind, const char *where,
	    const char *fmt, ...) __attribute__((format(printf, 4, 5)));
void	lane_flush_notes(struct lane *);

#endif
