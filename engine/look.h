/*
 * Looking at the target before storing: what is there that no row knows?
 *
 * The target is read through the source interface only (lane->eyes).
 */
#ifndef ENGINE_LOOK_H
#define ENGINE_LOOK_H

#include "pair.h"

/*
 * Accounts for everything at the target with UID >= from: what is in no row
 * and no extra becomes an extra, by the SHA-1 of the target's index where it
 * has one, else by its content.  *found counts these, *uidnext
 * is one above the highest UID seen (or from).  All is durable on return, and
 * the mailbox row's tgt_uidnext has moved up.
 */
int	look(struct lane *, struct pair *, uint32_t from, bool fresh,
	    uint64_t *found, struct err *);

/* Opens the target mailbox to be read (l->eyes), from this UID on; fresh: on a
 * new session in any case. */
int	look_open(struct lane *, struct pair *, uint32_t from, bool fresh,
	    struct folder_info *, struct err *);

/* Reads the contents of untaken extras, with UID >= from, that are known by
 * their SHA-1 only. */
int	look_closer(struct lane *, struct pair *, uint32_t from,
	    struct err *);

/* Target UIDs of rows that the target no longer lists lose their rows;
 * *lost counts them. */
int	look_for_lost(struct lane *, struct pair *, uint64_t *lost,
	    struct err *);

/* Lists what has come since the doubts of this pass and repeats one of our
 * batches; expunges it if asked. */
int	look_for_doubles(struct lane *, struct pair *, uint64_t *doubles,
	    struct err *);

#endif
