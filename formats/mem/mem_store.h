/*
 * In-memory stores, source and target in one, for tests: "mem:NAME".
 *
 * A store lives in shared memory made by the test before it forks, so it
 * survives a kill -9 of the process that uses it, as a server would.  It can
 * play the servers that matter: one that tells no UIDs, that has no atomic
 * batches, that alters or refuses messages, that commits late, that is full.
 */
#ifndef MEM_STORE_H
#define MEM_STORE_H

#include "source_impl.h"
#include "target_impl.h"

struct mem_message {
	struct mem_message *next;
	uint32_t	 uid;
	unsigned	 flags;
	char		*keywords;	/* blank-separated */
	int64_t		 date;
	const char	*bytes;
	size_t		 len;
	bool		 expunged;
	char		 guid[33];	/* as it was stored with; "" */
	uint32_t	 mark;
	uint64_t	 modseq;	/* of the last change */
};

struct mem_folder {
	struct mem_folder *next;
	char		*name;		/* levels joined by '/' */
	uint32_t	 uidvalidity, uidnext;
	uint64_t	 modseq;
	bool		 subscribed;
	char		 object[40];	/* as a source; "": it tells none */
	unsigned	 special_use;
	char		 acl[400];	/* "WHO RIGHTS\n"... */
	struct mem_message *first, *last;
	uint64_t	 count;		/* not expunged */
};

/* Stored by a batch but not yet to be seen. */
struct mem_late;

struct mem_store {
	char		 name[32];
	size_t		 size, used;	/* of the region */
	struct mem_folder *folders;
	uint32_t	 next_uidvalidity;
	struct mem_late	*late;
	/* behaviour as a target, set by the test */
	bool		 no_uids;	/* results tell no UID */
	char		 unlisted[32];	/* a mailbox that no list shows */
	bool		 makes_parents;	/* of mailboxes that are made */
	bool		 no_expunge;	/* single messages cannot go */
	bool		 not_atomic;
	bool		 new_uidvalidity;	/* at a rename, as Cyrus does */
	bool		 munge;		/* 8-bit header bytes become 'X' */
	bool		 sha1;		/* its index has SHA-1 */
	bool		 sha1_eyes;	/* to those that read, not that store */
	bool		 sha1_some;	/* every other session only */
	unsigned	 nsessions;
	unsigned	 late_ms;	/* a commit shows after this time */
	uint64_t	 quota_bytes;	/* 0: none; as a source: it is told */
	bool		 over_quota;	/* whatever the limit is */
	bool		 no_quota;	/* the login may not set it */
	enum err_cause	 quota_fails;	/* its session does: CAUSE_AUTH, or */
	bool		 quota_passes;	/* with a trouble that passes, */
	unsigned	 quota_failing;	/* so many times */
	unsigned	 quota_ms;	/* a change takes that long */
	unsigned	 nquota;	/* times that it was changed */
	char		 foreign[300];	/* as a source: "OWNER MAILBOX\n"... */
	char		 shared[300];	/* "user/OWNER/MAILBOX\n": subscribed */
	bool		 no_acl;
	char		 acl_refuse[32];	/* who is given nothing */
	bool		 inherits;	/* rights, from the level above */
	unsigned	 nacl;		/* times that rights were set */
	char		 refuse[32];	/* a message holding this is refused */
	char		 no_create[32];	/* a mailbox that cannot be made */
	char		 hangup[32];	/* one that breaks the session */
	char		 breaks[32];	/* one that it breaks at, as it does at
					 * opening a mailbox of that name; */
	bool		 breaks_all;	/* so do others at the host */
	bool		 refuse_nul;	/* one with a NUL byte, too */
	size_t		 batch_messages;/* 0: 50 */
	unsigned	 break_after;	/* N: the session breaks at the Nth
					 * batch after its commit; once */
	char		 identity[32];
	uint64_t	 max_message;	/* bytes, 0: no limit */
	bool		 missing;	/* the account does not exist */
	void		(*on_batch)(struct mem_store *);	/* before each */
	void		(*on_change)(struct mem_store *, const char *what,
			    const char *mailbox);	/* before "open",
					 * "rename", "delete", "subscribe" */
	/* as a source: a mailbox was listed to its end */
	void		(*on_listed)(struct mem_store *, struct mem_folder *);
	bool		 no_rename;	/* mailboxes keep their names */
	bool		 no_modseq;	/* no CONDSTORE */
	bool		 login_fails;	/* its password is wrong */
	bool		 unavailable;	/* to whoever opens it, as if the host
					 * were */
	bool		 one_writer;	/* TGT_ONE_WRITER */
	bool		 prompt;	/* TGT_PROMPT */
	bool		 hangs_up;	/* whoever opens it */
	char		 sick[32];	/* as a source: a message holding this
					 * cannot be read: the disk fails */
	bool		 tells_new;	/* as a source: it has DELTA_SOME */
	bool		 no_view;	/* what it holds is not told: the host
					 * is away */
	unsigned	 sessions;	/* open */
	bool		 no_move;
	char		 no_keyword[32];	/* one that it cannot hold */
	void		(*on_flags)(struct mem_store *);	/* before and
					 * after each change of flags */
	bool		 chooses_uids;	/* want_uid is honoured */
	bool		 no_marks;	/* and nothing kept beside GUIDs */
	/* counted */
	uint64_t	 nseeded;	/* UIDs told to mailboxes */
	uint64_t	 bytes_stored, nstored, ncreated, nbatches, nchanges;
	uint64_t	 nread;		/* contents handed out */
	uint64_t	 nlisted;	/* by next() */
	uint64_t	 nmodified;	/* changes of flags that came late */
};

extern const struct source_ops mem_source;
extern const struct target_ops mem_target;

/* A store of at most size bytes; ends with the program.  Names are unique. */
struct mem_store	*mem_store_new(const char *name, size_t size);
/* Sessions of a process that was killed are forgotten. */
void			 mem_stores_begin(void);
/* All folders forgotten, counters kept at zero. */
void			 mem_store_reset(struct mem_store *);
struct mem_folder	*mem_folder_get(struct mem_store *, const char *name,
			    bool create);
/* With those below it; to whatever is free. */
void			 mem_folder_rename(struct mem_store *, const char *from,
			    const char *to);
/* Bytes and keywords are copied. */
struct mem_message	*mem_add(struct mem_store *, struct mem_folder *,
			    const void *p, size_t len, unsigned flags,
			    const char *keywords, int64_t date);
void			 mem_expunge(struct mem_folder *, uint32_t uid);
void			 mem_set_flags(struct mem_folder *, uint32_t uid,
			    unsigned flags);
/* The same for keywords, blank-separated; copied. */
void			 mem_set_keywords(struct mem_store *,
			    struct mem_folder *, uint32_t uid,
			    const char *keywords);
/* Rights "": none any more. */
void			 mem_acl_set(struct mem_folder *, const char *who,
			    const char *rights);
/* Late commits whose time has come become visible. */
void			 mem_settle(struct mem_store *);

#endif
