/* Hosts, shared by the files host*.c only. */
#ifndef ENGINE_HOST_IMPL_H
#define ENGINE_HOST_IMPL_H

#include <stdatomic.h>
#include <uv.h>

#include "host.h"
#include "host_cap.h"

struct host {
	struct host	*next;
	struct hosts	*all;
	char		*name;
	enum side	 side;
	const struct limits *limits;	/* of the settings, or NULL */
	char		*dir;		/* of a disk, or NULL */
	bool		 watched;	/* its free space counts */
	bool		 hidden;	/* no store's, and never on hold yet */
	/* under the mutex of all */
	unsigned	 lanes;		/* berths */
	unsigned	 seconds;	/* second sessions */
	unsigned	 leaving;	/* berths that were asked to leave */
	unsigned	 open;		/* sessions */
	uint64_t	 opened_ms;	/* when the last one was opened */
	uint64_t	 closed_ms;	/* when the last one was closed */
	struct limit	 limit;		/* of this hour */
	struct pace	 bytes, messages;
	struct cap	 cap, user;
	unsigned	 odd;		/* refusals within what has worked */
	uint64_t	 quiet_until;	/* none is opened before, after one */
	const unsigned	*cap_by;	/* whose refusal taught it last */
	/* hold */
	_Atomic bool	 held;
	bool		 low, probing, given_up;
	unsigned	 holds;		/* how often */
	uint64_t	 since, probe_ms, probe_pause, released_ms;
	bool		 sick;		/* it answers, and does not do */
	_Atomic uint64_t proofs;
	uint64_t	 proofs_before;	/* when it went on hold */
	char		 why[200];
	/* rates; decaying sums */
	_Atomic uint64_t met;
	uint64_t	 met_before;
	double		 sum_met, sum_s, sum_lane_s;
	double		 measured_s;
	double		 old_rate, old_lane_rate;	/* 0: unknown */
};

struct hosts {
	const struct settings *set;
	host_say_fn	*say;
	void		*say_ctx;
	uv_mutex_t	 mutex;
	uv_cond_t	*changed;	/* or NULL */
	struct host	*first;
	uint64_t	 ticked_ms;
};

/* host.c, under the mutex. */
void	 host_put_on_hold(struct host *, const char *why, uint64_t now);
void	 host_released(struct host *, uint64_t now);

#endif
