/*
 * What a run was asked to do, as plain values: filled in from the config by
 * cmd/, read by the engine, never changed while it runs.
 */
#ifndef ENGINE_SETTINGS_H
#define ENGINE_SETTINGS_H

#include "config.h"
#include "host_limits.h"
#include "message.h"

struct settings {
	unsigned	 lanes;			/* threads, at least 1 */
	unsigned	 lanes_per_account;	/* at least 1 */
	bool		 spread;	/* more, when lanes have nothing else */
	uint64_t	 settle_ms;		/* between a doubt and a second store */
	unsigned	 patience_s;		/* a host may stay away this long */
	unsigned	 max_tries;		/* of an account without progress */
	uint64_t	 min_free;		/* bytes on disks we write to */
	const struct limits *source_limits, *target_limits; /* or NULL */
	uint64_t	 probe_ms;	/* before a host on hold is tried */
	uint64_t	 cap_raise_ms;	/* one more session is tried after */
	/* When the run has to end; 0: no such time.  What is so long is so by
	 * CLOCK_MONOTONIC, a time of the day by the clock on the wall, which
	 * may be set meanwhile: the first that comes counts. */
	uint64_t	 stop_ms;
	time_t		 stop_at;
	bool		 repair, retry_refused, remove_doubles;
	bool		 create_users, merge_existing, empty_ok;
	bool		 refuse_collisions, apply_renames;
	bool		 no_flag_sync;	/* flags stay as they were copied */
	bool		 full;		/* released accounts as others */
	bool		 restore_deleted; /* what their users deleted too */
	enum delete	 delete;	/* what the source deleted */
	uint64_t	 delete_limit;	/* a number, or LIMIT_PERCENT of it;
					 * UNKNOWN64: 10 %, or 20 */
	bool		 delete_mailboxes; /* that the source has no more */
	bool		 count_bytes;		/* plan: read everything */
	bool		 acl;			/* give access rights */
	bool		 only_metadata;		/* no messages */
	enum subscribe	 subscribe;
	const struct rules *rules;		/* never NULL */
	/* Name what a refusal, and what the choice of messages, depend on: a
	 * refused message is tried again, and a mailbox read again, when
	 * these differ from the last pass's.  A lane adds to the first what
	 * it knows of the target. */
	const char	*refusal_rule, *selection_rule;
};

/* How long the run may still go on, UINT64_MAX: as long as it needs. */
uint64_t settings_left_ms(const struct settings *, uint64_t now_ms,
	    time_t wall);

#endif
