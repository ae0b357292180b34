/*
 * Between the files audit*.c.
 *
 * The messages of an account lie in a private temporary database (job->db) that
 * only one lane uses.  Table item has each message of both sides.  What has an
 * exact counterpart is counted and never met again; the others go to table rest,
 * where they are paired by less and less.  A row of rest that is left alone at
 * the end is missing or extra.
 */
#ifndef ENGINE_AUDIT_IMPL_H
#define ENGINE_AUDIT_IMPL_H

#include "audit.h"
#include "naming.h"
#include "plan_impl.h"

/* item.bits */
enum {
	ITEM_UNREADABLE	= 1 << 0,
	ITEM_THERE	= 1 << 1,	/* the state has seen it at the target */
	ITEM_REFUSED	= 1 << 2,	/* by the state */
	ITEM_NEW	= 1 << 3,	/* came to the target after the state */
	ITEM_FLAGS_GIVEN = 1 << 4,	/* the target had the source's flags */
	ITEM_KW_GIVEN	= 1 << 5,	/* and keywords */
	ITEM_CLAMPED	= 1 << 6,	/* its date, by the state */
	ITEM_KW_DROPPED	= 1 << 7	/* some keywords, by the state */
};

/* How two rows of rest were paired. */
enum how {
	HOW_ALONE,
	HOW_SAME,	/* contents are equal */
	HOW_MOVED,	/* so they are, in two mailboxes */
	HOW_ALTERED,
	HOW_UNREAD	/* one could not be read */
};

/* A mailbox of the source, its counterpart, or both. */
struct audit_box {
	struct folder_info *folder[2];	/* by enum side; NULL: none there */
	const struct pair *pair;	/* NULL: not to be compared */
	const char	*name, *target;	/* "" none */
	const char	*outcome, *why;	/* NULL: by its counts */
	int64_t		 state_id;	/* mailbox.id; 0: the state has none */
	struct row_mailbox row;		/* of the state */
	bool		 mapped;	/* UIDs at the target are known */
	bool		 by_state;	/* from the state */
	bool		 by_sha1;	/* digests are those of its index */
	bool		 sizes;		/* they can be compared */
	bool		 reloaded, moving;
	struct buf	 token[2];	/* when it was read */
	struct audit_counts counts;
	uint64_t	 facts;
	int64_t		 result;	/* its row among the results */
};

struct audit_job {
	struct audit	*audit;
	struct lane	*l;
	struct account	*a;
	struct plan_account *pa;
	struct db	*db;
	struct arena	 arena;
	struct measure	*measure;
	struct audit_box *boxes;
	size_t		 n;
	bool		 released;
	uint64_t	 bodies;	/* bytes of bodies kept */
	struct folder_info *listing;	/* of the target */
	size_t		 nlisting;
	struct account_info info;	/* of the target */
	uint64_t	 facts;		/* of the account, that are bad */
	struct audit_sample sample;
};

/* audit_account.c: plan.look; its ctx is the struct audit. */
int	audit_account(struct plan *, struct lane *, struct plan_account *,
	    struct err *);

/* audit_load.c.  Reads both sides of a box into items; -1 with a scope of
 * ERR_MAILBOX or less is of this box. */
int	audit_load(struct audit_job *, struct audit_box *, struct err *);
/* Has one of the sides changed since then? */
int	audit_changed(struct audit_job *, struct audit_box *, bool *,
	    struct err *);
/* The key of a message in item and rest: what the state calls it where it comes
 * from the source, its UID at the target. */
int	audit_key(struct audit_job *, enum side, const struct msg_meta *,
	    uint64_t seq, const struct digests *, char key[300], size_t *len,
	    struct err *);
struct source *audit_source(struct audit_job *, enum side);
/* Opens one side of a box. */
int	audit_open(struct audit_job *, struct audit_box *, enum side,
	    const struct buf *token, enum delta *, struct err *);

/* audit_match.c */
int	audit_tables(struct db *, struct err *);
int	audit_match(struct audit_job *, struct err *);

/* audit_look.c: reads what is left once more, for what tells more than a digest:
 * audit_match() calls it between two steps. */
int	audit_look(struct audit_job *, struct err *);
/* The contents of the chosen ones (AUDIT_SAMPLE). */
int	audit_sample(struct audit_job *, struct err *);

/* audit_cause.c: what became of a message. */
struct audit_form {
	const char	*header;	/* with LF; its first AUDIT_HEADER bytes */
	size_t		 header_len;
	const char	*body;		/* the first bytes, with LF; NULL: not
					 * kept */
	size_t		 body_len;
	/* of the body: as it is, and without what line ends, NUL bytes,
	 * '>' before From can make different */
	unsigned char	 exact[DIGEST_LEN], lines[DIGEST_LEN], nul[DIGEST_LEN],
			 from[DIGEST_LEN];
};
#define AUDIT_HEADER	((size_t)64 * 1024)
#define AUDIT_BODY	((size_t)64 * 1024)
/* detail and diff are added to; the cause is a word. */
const char *audit_cause(const struct audit_form *source,
	    const struct audit_form *target, struct buf *detail,
	    struct buf *diff);

/* audit_form.c: the form of a content. */
struct former;
struct former *former_new(void);
void	former_free(struct former **);
/* Whether the body is to be kept.  Strings of *f live until the next call. */
int	former_read(struct former *, struct content *, bool keep_body,
	    struct audit_form *f, struct measured *, struct err *);

/* audit_judge.c: verdicts, told to the results. */
int	audit_judge(struct audit_job *, struct err *);
/* audit_facts.c: what is no message: subscriptions, uses, quota. */
int	audit_facts(struct audit_job *, struct err *);

/* audit_results.c.  Between begin and end nobody else writes. */
int	results_open(struct audit_results **, struct err *);
void	results_close(struct audit_results **);
int	results_begin(struct audit_results *, struct err *);
int	results_end(struct audit_results *, struct err *);
/* The row's id (place in the list) is the caller's. */
int	results_account(struct audit_results *,
	    const struct audit_row_account *, struct err *);
int	results_box(struct audit_results *, const struct audit_row_box *,
	    int64_t *id, struct err *);
int	results_box_set(struct audit_results *, const struct audit_row_box *,
	    struct err *);
int	results_difference(struct audit_results *,
	    const struct audit_row_difference *, struct err *);
/* The sums over what the results hold. */
int	results_sums(struct audit *, struct err *);

#endif
