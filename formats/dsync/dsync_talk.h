/*
 * A conversation with a dsync-server: we are its master brain.
 *
 *	us				the server
 *	greeting, heads, H, S...	greeting, heads, H
 *					N...  D		the tree
 *	N...  D				(makes mailboxes)
 *	for each round:
 *	B				B		the mailbox
 *	attributes, C...		R...		what it lacks
 *	M and bodies..., S		S		(has stored them)
 *	at the end "."			F
 *
 * The handshake says "backup_recv" with "no_backup_overwrite": without the
 * latter the server would delete every mail and mailbox of its own.
 *
 * A server commits (and syncs) after each message, unless there is one in the
 * mailbox that came since the conversation began: then once, at the end of the
 * round.  So the first message goes ahead in a round of its own.
 *
 * A round holds what is new only.  For that the server has to take everything
 * that it had when the conversation began for something both sides have: S
 * tells so for each mailbox.  Our B tells the UIDNEXT of then: it gives no
 * other UIDs to mail that came in since and that we do not know of.  A mailbox
 * that was not in the S list and is not empty can have no round: it needs a
 * new conversation.
 *
 * "lock_timeout" makes the server hold a lock for the user (our host name has
 * to come behind its own for that), until its process ends: when we have it,
 * nothing that an earlier session of ours sent can be stored any more.
 */
#ifndef DSYNC_TALK_H
#define DSYNC_TALK_H

#include <stdint.h>

#include "base/uri.h"
#include "dsync/dsync_child.h"
#include "dsync/dsync_line.h"
#include "source.h"

#define DSYNC_GUID	32		/* hex digits */
#define DSYNC_ANSWER_S	900		/* for what may have to wait for disks */

struct dsync_box {
	char		*name;		/* levels, escaped, with TABs between */
	char		 guid[DSYNC_GUID + 1];	/* "": holds no mail */
	uint32_t	 uidvalidity;
	uint32_t	 uidnext;
	uint32_t	 common;	/* the last UID that S told of, 0 */
	unsigned long long renamed, subscription;
	bool		 exists, subscribed;
	bool		 ready;		/* rounds are possible */
	bool		 led;		/* a message came in this talk */
};

struct dsync_tree {
	struct dsync_box *box;		/* sorted by name */
	size_t		 n, cap;
};
struct dsync_box *dsync_tree_find(const struct dsync_tree *, const char *name);
/* Takes the name over. */
struct dsync_box *dsync_tree_add(struct dsync_tree *, char *name);
void	dsync_tree_release(struct dsync_tree *);

/* A mailbox, as a B tells it. */
struct dsync_status {
	uint32_t	 uidvalidity, uidnext;
	uint64_t	 modseq, messages;
};

struct dsync_talk {
	const struct store_conf *conf;	/* borrowed */
	struct child *child;	/* NULL: by TCP */
	struct imap_stream *st;
	struct dsync_reader r;
	struct buf	 out;
	struct dsync_tree tree;		/* the server's */
	char		 host[80];	/* its name */
	char		 sep;
	char		 escape[4];
	bool		 no_lock;	/* it holds none */
	bool		 told_tree;	/* ours has been sent */
	bool		 dead;
	struct err	 why;		/* when dead */
};

/* Up to where the server has told its tree.  known: the tree as it was in the
 * last conversation, NULL for the first.  lock_s: how long to wait for the
 * lock, 0: none is wanted. */
int	dsync_talk_open(struct dsync_talk **, const struct store_conf *,
	    const struct dsync_tree *known, unsigned lock_s, struct err *);
/* The same over a stream that is already there, with its child or NULL, which
 * become the conversation's: tests and fuzzing as well. */
int	dsync_talk_over(struct dsync_talk **, struct imap_stream *,
	    struct child *, const struct store_conf *,
	    const struct dsync_tree *known, unsigned lock_s, struct err *);
/* In good order if it can still be. */
void	dsync_talk_close(struct dsync_talk **);
/* It ends here, because of *e: there is no way back into step; *e gets what
 * the child had to say.  -1. */
int	dsync_talk_give_up(struct dsync_talk *, struct err *e);
/* Does it still live, after a time in which nothing was said? */
bool	dsync_talk_alive(struct dsync_talk *);

/* Tells our tree, with one mailbox to be made or NULL. */
int	dsync_talk_tree(struct dsync_talk *, const struct dsync_box *make,
	    struct err *);
/* B for B: 1; 0: the server has no such mailbox, or wants a new conversation;
 * messages, uidnext: as we have them. */
int	dsync_talk_box(struct dsync_talk *, const struct dsync_box *,
	    uint32_t uidnext, uint32_t messages, struct dsync_status *,
	    struct err *);
/* A round without mail, from behind the B. */
int	dsync_talk_nothing(struct dsync_talk *, const struct dsync_box *,
	    struct err *);
/* The end of a round, from behind the last M; and what the server says of it.
 * *moved: UIDs are not all as wanted. */
int	dsync_talk_end(struct dsync_talk *, const struct dsync_box *,
	    uint32_t last_uid, struct err *);
int	dsync_talk_stored(struct dsync_talk *, const struct dsync_box *,
	    bool *moved, struct err *);
/* Sends what is in t->out. */
int	dsync_talk_send(struct dsync_talk *, struct err *);
int	dsync_talk_write(struct dsync_talk *, const void *, size_t,
	    struct err *);
int	dsync_talk_flush(struct dsync_talk *, struct err *);
/* The next item of a list of that letter: 1, 0 its end, -1. */
int	dsync_talk_next(struct dsync_talk *, char letter, struct err *);

/* dsync_way.c: the ways to a server. */

/* Options that say it, for both tables. */
#define DSYNC_OPTIONS \
	"config", "program", "transport", "read", "read-secret-file", \
	"tls", "tls-min", "ca", "pin", "verify", "cert", "key", "auth", \
	"prefix", "timeout", "lanes", \
	"secret-file", "secret-env", "secret-fd", "secret-command"

int	dsync_way_check(struct uri *, struct err *);
/* transport=: 'a'uto, 'd'sync, 'i'map. */
char	dsync_way_transport(struct uri *);
/* A stream on which a dsync-server speaks, and its child if there is one. */
int	dsync_way_dial(const struct store_conf *, struct imap_stream **,
	    struct child **, struct err *);
/*
 * How to read, and change, the same user's mail by IMAP: a child's, or what
 * read= says.  0: there is no way.
 */
struct dsync_eyes {
	struct store_conf conf;
	struct uri	*uri;
	char		*password;
	struct uri	*store;		/* borrowed */
	struct child *child;
};
int	dsync_eyes_open(struct dsync_eyes **, const struct store_conf *,
	    struct err *);
/* After the IMAP session. */
void	dsync_eyes_close(struct dsync_eyes **);

#endif
