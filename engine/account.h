/*
 * An account in a run: its URIs and secrets, its pairs, and how far it is.
 */
#ifndef ENGINE_ACCOUNT_H
#define ENGINE_ACCOUNT_H

#include <uv.h>

#include "pair.h"

struct naming;		/* naming.h */

enum account_phase {
	ACC_NEW,	/* to be prepared, not before due_ms */
	ACC_PREPARING,	/* by one lane */
	ACC_ACTIVE,	/* pairs are being copied, by several lanes maybe */
	ACC_FINISHING,	/* by one lane */
	ACC_ENDED
};

struct account {
	/* given by cmd/, never changed */
	const char	*name;		/* the account's identity */
	const char	*target_user;
	size_t		 place;		/* in the list */
	struct uri	*src_uri, *tgt_uri;	/* filled in */
	const char	*src_password, *tgt_password;	/* or NULL */
	bool		 trace;		/* its protocol is wanted */
	struct quota_rule quota;	/* of the list, else the job's */
	bool		 shared;	/* no user's: shared mailboxes */
	uint64_t	 expect;	/* messages, 0: unknown */

	/* set up by pool_run() */
	struct host	*host[2];	/* by enum side */
	unsigned	 sessions[2];	/* open there; the hosts' */
	_Atomic uint64_t met;		/* messages, in this run */

	/* set up by the lane that prepares it */
	struct row_account row;
	struct arena	 arena;
	struct pair	*pairs;
	struct pair	*first_open;	/* all before it are done or failed; NULL:
					 * not known */
	bool		 no_large;	/* nor are there large ones behind it */
	size_t		 npairs;
	struct account_info info;	/* of the source */
	char		 domain[256];	/* of info, longer: "" not known */
	struct naming	*names;		/* of the source's mailboxes */
	struct box_key	*box_keys;	/* of view, for account_box() */
	struct target_view view;	/* what the target held then */
	bool		 viewed;
	const char	*old_user;	/* the state's target user, if that
					 * has changed */
	bool		 user_missing;	/* to be made */
	bool		 shares;	/* mailboxes of others are wanted */
	bool		 pop3;		/* UIDLs are known (pop3_give.h) */
	uint64_t	 strange;	/* messages at the target that are not
					 * known to be the source's */
	uint64_t	 compared;	/* so many of them with the source's */
	bool		 unproven;	/* a plan: none equal, and not all were
					 * compared */

	/* under the pool's mutex */
	enum account_phase phase;
	unsigned	 lanes;		/* working on it */
	unsigned	 tries;		/* in vain, one after the other */
	uint64_t	 due_ms;	/* not before */
	unsigned	 probed;	/* hosts on hold, with it, in vain */
	unsigned	 bounced;	/* hosts failed it and not others */
	uint64_t	 proofs;	/* of its hosts, when last it did */
	bool		 one_writer;	/* more lanes do not gain there */
	bool		 one_session;	/* more lanes cannot be opened there */
	enum { SHARE_NONE, SHARE_TODO, SHARE_BUSY } share; /* when all
					 * have ended; rights.h */
	uint64_t	 sent;		/* in this run */
	_Atomic unsigned lifts, lifted;	/* of its quota, begun and ended;
					 * quota.c */
	struct refusal	 refusal;	/* of its login, not believed yet */
	unsigned	 refusals;	/* such, in this run */
	bool		 failed;	/* no more pairs are begun */
	struct err	 err;		/* why, if failed */
	const char	*outcome;	/* at the end */
};

#define NO_MESSAGE "the source has no message at all; if that is right, say " \
	"empty=ok"

/* Puts it into the state, for its outcome to be told. */
int	account_register(struct lane *, struct account *, struct err *);
/*
 * Opens both stores, lists, names, and checks what may not be begun: fills in
 * a->pairs.  The lane's stores stay open.  -1: *e; a->outcome is "empty" when
 * the source has nothing.
 */
int	account_prepare(struct lane *, struct account *, struct err *);
/*
 * Its steps, in this order, for a plan, which goes on after most errors; with
 * run->planning nothing is changed at the target, and what would be is only
 * noted in the account.
 */
int	account_begin(struct lane *, struct account *, struct err *);
int	account_source(struct lane *, struct account *, struct err *);
int	account_target(struct lane *, struct account *, struct err *);
int	account_pair(struct lane *, struct account *, struct err *);
int	account_check(struct lane *, struct account *, struct err *);
/* existing.c, of account_check(): is what a new account's target holds the
 * source's? */
int	account_existing(struct lane *, struct account *, struct err *);
/* The box in the account's view that is this pair's; NULL: there is none. */
const struct target_box *account_box(struct lane *, struct account *,
	    const struct pair *);
/* After the last pair: subscriptions, special uses, doubles. */
int	account_finish(struct lane *, struct account *, struct err *);
/* The lane's own listing of the source, for a pair of its account. */
struct folder_info *account_folder(struct lane *, const struct pair *,
	    struct err *);

#endif
