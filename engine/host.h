/*
 * Hosts: what lanes share when they work with one server, file system or
 * child program.
 *
 * A host that does not answer is on hold: nothing is begun that needs it, one
 * lane probes it with growing pauses, and all go on when it answers.  After
 * the patience of the settings it is given up for this run.
 *
 * A host may allow only so many sessions, of one user or in all, and show that
 * by a refusal, by hanging up, or by silence.  Beyond what has worked already
 * sessions are therefore tried a few at a time; where one fails while others
 * work there is a cap, which is kept in the state and raised by one after a
 * long time without a refusal.
 *
 * Lanes hold a berth at each of their two hosts while they work on an account.
 * All functions lock for themselves and may be called under the pool's mutex.
 */
#ifndef ENGINE_HOST_H
#define ENGINE_HOST_H

#include <uv.h>

#include "host_limits.h"
#include "settings.h"
#include "state.h"

struct host;
struct hosts;

struct berth {
	struct host	*host;		/* NULL: not held */
	unsigned	*mine;		/* the account's sessions there */
	unsigned	 sessions;	/* this lane's, open */
	unsigned	 others, own;	/* open when one more was begun */
	uint64_t	 met;		/* at the host, then */
	bool		 grows, user_grows; /* beyond what has worked */
	bool		 probes;
	bool		 leaves;	/* asked to, for the limit of lanes */
	bool		 second;	/* one more session is taken */
	bool		 suspect;	/* its errors are the account's own */
	bool		 proved;	/* the host did what it is for */
};

/* What an error means for the lane that met it. */
enum trouble {
	TROUBLE_NONE,		/* it is the account's or the mailbox's own */
	TROUBLE_CAP,		/* no room for this session: others work */
	TROUBLE_HOLD,		/* the host is on hold */
	TROUBLE_TOLD		/* the account's own, and told already */
};

/* A login that a host refused. */
struct refusal {
	struct host	*host;		/* NULL: none */
	uint64_t	 ms;		/* monotonic */
	unsigned	 holds;		/* of the host, up to some time before */
};

/* A line about a host, for people. */
typedef void host_say_fn(void *ctx, const char *host, const char *text);

/* Borrowed until hosts_free(): settings. */
struct hosts	*hosts_new(const struct settings *, host_say_fn *, void *ctx);
void		 hosts_free(struct hosts **);
/* Signalled when there may be room for another lane. */
void		 hosts_signal(struct hosts *, uv_cond_t *);
/* The host of a store; every store has one. */
struct host	*hosts_get(struct hosts *, const struct uri *, enum side);
/* The file system of a directory that we write to besides. */
struct host	*hosts_disk(struct hosts *, const char *dir);
const char	*host_name(const struct host *);
/* What earlier runs have found out; after hosts_get() for all. */
int		 hosts_load(struct hosts *, struct db *, struct err *);
/* Posts what a status or the next run wants to know; its number. */
uint64_t	 hosts_save(struct hosts *, struct state *);
/* About once a second: free space, hours, rates, patience.  paused: this time
 * does not count as waiting for a host. */
void		 hosts_tick(struct hosts *, uint64_t now, time_t wall,
		    bool paused);

/* May one more lane begin on an account that has so many lanes?  false: not
 * before *due, which is moved up. */
bool	host_room(struct host *, unsigned mates, uint64_t now, uint64_t *due);
/* Waited for in vain for the patience of the settings. */
bool	host_given_up(struct host *);
/* The hour allows it no lane at all. */
bool	host_shut(struct host *);
/* On hold: *since (monotonic ms) and why. */
bool	host_held(struct host *, uint64_t *since, char why[200]);
void	host_enter(struct berth *, struct host *, unsigned mates,
	    unsigned *mine);
void	host_leave(struct berth *);
/* A session of the berth is being opened; it was; one was closed. */
void	host_opening(struct berth *);
void	host_opened(struct berth *);
void	host_closed(struct berth *);
/* May the berth open a second session?  Then it is taken until closed or
 * failed. */
bool	host_second(struct berth *);
/* Opening a session, or something else with a store, has failed. */
enum trouble host_trouble(struct berth *, const struct err *, bool opening);
/* The host refused a login although it has let others in: a server that is
 * being stopped may do so.  false: it has let nobody in, *r is empty. */
bool	host_refused(struct host *, struct refusal *r);
/* It has been well since, and has let others in: the refusal was meant. */
bool	host_insists(const struct refusal *);
/* More lanes are at the host than the hour allows: is this one to leave? */
bool	host_leaves(struct berth *);

/* Takes so much of the host's rate; the ms to wait before using it. */
uint64_t host_pace(struct host *, uint64_t bytes, uint64_t messages);
/* It has stored a message, or given one, or a mailbox is done. */
void	 host_proved(struct berth *);
/* Grows with each of these. */
uint64_t host_proofs(const struct host *);
/* Messages were met (and stored or skipped). */
void	host_met(struct host *, uint64_t messages);
/* Messages a second, of all lanes and of one; how long that was measured, 0:
 * it is the last run's.  false: unknown. */
bool	host_rate(struct host *, double *all, double *lane,
	    unsigned *measured_s);

#endif
