/*
 * The heart: read a batch, make its intent durable, store it, commit what
 * became of it.
 *
 * A struct pair_work belongs to a lane and is used for one pair at a time;
 * its buffers are kept between pairs.  Memory: window + 1 slots of about
 * 1 MiB each; larger messages are streamed from the source.
 */
#ifndef ENGINE_BATCH_H
#define ENGINE_BATCH_H

#include "pair.h"

/* What became of the source messages of a pair, in this run over it. */
struct tally {
	uint64_t	 counts[OUTCOMES];
	uint64_t	 stripped, bytes, crlf_bytes;
	uint64_t	 sent;
};

struct pair_work *work_new(void);
void	work_free(struct pair_work **);

/* f: what target_folder_open() gave.  t is added to.  keep_uids: messages are
 * to have the source's UIDs. */
void	work_begin(struct lane *, struct pair *, const struct folder_state *f,
	    bool keep_uids, struct tally *t);
/* After work_end(): what became of UIDs. */
struct work_uids {
	uint32_t	 next;		/* the target's, as far as known */
	bool		 known;		/* no other mail has come between */
	uint64_t	 changed;	/* messages that could not have theirs */
};
void	work_uids(const struct lane *, struct work_uids *);
/*
 * Takes a message whose facts and CRLF form were measured: one to send.
 * The meta is copied; keep holds the CRLF bytes, or is full and content is open
 * and rewound.  An open content is taken over.  alone: in a batch of its own;
 * suspect: so too, and a refusal is no news, as it failed before.  May submit
 * and reap.  -1: the session or the state is broken; *e.
 */
int	work_send(struct lane *, const struct msg_meta *, const void *key,
	    size_t key_len, const struct measured *, struct buf *keep,
	    struct content **content, bool alone, bool suspect,
	    struct err *);
/* Submits what is left and waits until everything is durable.  -1 as above;
 * it must be called once in any case: it leaves nothing outstanding. */
int	work_end(struct lane *, struct err *);
/* The UID that the target gives next, as far as work_end() knows; 0: unknown. */
uint32_t work_uidnext(const struct lane *);
/* A batch of this pair went out and its answer never came; told once. */
bool	work_take_doubt(struct lane *, const struct pair *);

/* The bytes kept in memory of one message; larger ones are streamed. */
#define KEEP_MAX	((size_t)256 * 1024)

/* Keywords as one string, sorted, for a row; NULL: none. */
const char *join_words(struct arena *, const char *const *words, size_t n);

#endif
