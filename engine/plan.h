/*
 * What a copy would do: every account is opened, listed, named and checked by
 * the same functions that copy uses, on a state in memory over the real one;
 * nothing is written to a store or the state.
 */
#ifndef ENGINE_PLAN_H
#define ENGINE_PLAN_H

#include "account.h"
#include "accounts.h"

/* A line for people: a reason why not, or something to know. */
struct plan_line {
	struct plan_line *next;
	const char	*kind, *mailbox, *text;	/* mailbox may be NULL */
};

struct plan_lines {
	struct plan_line *first, **last;
};

struct plan_size {
	uint64_t	 messages;	/* UNKNOWN64: not without reading */
	uint64_t	 bytes;		/* as stored; UNKNOWN64 */
	uint64_t	 crlf_bytes;	/* as servers count; UNKNOWN64 */
	bool		 exact;		/* crlf_bytes is no estimate */
};

struct plan_box {
	const char	*name;		/* at the source */
	const char	*target;	/* NULL: none */
	const char	*old;		/* what was copied has this name */
	const char	*action;	/* copy, excluded, unreadable, failed */
	const char	*why;		/* not copy: the reason */
	bool		 encoded, collided;
	unsigned	 special_use;
	struct plan_size size;
	uint64_t	 done;		/* messages that need no store */
	uint64_t	 there;		/* at the target; UNKNOWN64 */
};

struct plan_account {
	struct account	*account;
	struct arena	 arena;		/* of everything below */
	const char	*source, *target;	/* URIs, for people */
	const char	*stage;
	bool		 ready;
	bool		 again;		/* what failed may pass */
	bool		 source_missing, user_missing, to_create;
	bool		 opened[2], refused[2];	/* logins, by enum side */
	bool		 held;		/* a host is to blame: again later */
	struct plan_lines problems, warnings;
	struct plan_box	*boxes;
	size_t		 nboxes;
	struct plan_size size;		/* of what is to be copied */
	uint64_t	 uncounted;	/* mailboxes without a number */
	uint64_t	 done;
	uint64_t	 source_quota, target_quota, target_used;
	uint64_t	 target_boxes, target_messages;	/* UNKNOWN64 */
};

/* Room where something will grow: the state, a local target. */
struct plan_space {
	struct plan_space *next;
	const char	*what, *path;
	uint64_t	 free, inodes;	/* UNKNOWN64: not told */
	uint64_t	 need, need_inodes;	/* about */
};

struct plan_estimate {
	uint64_t	 seconds;
	double		 bytes_rate, messages_rate, account_s;
	char		 basis[200];
};

#define PLAN_ORPHANS	50	/* named at most */

struct plan;
typedef int plan_look_fn(struct plan *, struct lane *, struct plan_account *,
    struct err *);

struct plan {
	/* given */
	plan_look_fn	*look;		/* at one account, in place of a plan's */
	void		*look_ctx;
	const struct settings *set;
	const struct config *cfg;	/* both may be NULL */
	const struct accounts *list;
	const char	*state_path;
	struct account	**todo;
	size_t		 n;
	/* made */
	struct arena	 arena;
	char		*state_uri;	/* NULL: there is no state yet */
	long		 running;	/* process that holds it, or 0 */
	int64_t		 passes, known_accounts;
	double		 crlf_ratio;	/* of the state's mail; 0: none */
	double		 mean_size;	/* likewise */
	struct plan_account *accounts;
	struct plan_lines problems;	/* of the whole */
	struct plan_space *spaces;
	struct plan_lines orphans;	/* trees without a row */
	uint64_t	 more_orphans;
	struct plan_estimate estimate;
	struct plan_size size;
	uint64_t	 mailboxes, uncounted, done;
	size_t		 ready, again;
};

/* Fills in the made part; -1: *e, and only plan_release() may follow. */
int	plan_make(struct plan *, struct err *);
void	plan_release(struct plan *);

/* all_boxes: also those of which there is nothing to say. */
void	plan_text(const struct plan *, bool all_boxes, FILE *);
void	plan_json(const struct plan *, FILE *);

#endif
