/*
 * Inside the Cyrus back end: what its files share.
 *
 *	dlist.c		the protocol's values
 *	sync.c		commands and answers
 *	sync_child.c	a private sync_server
 *	sync_stage.c	what that one leaves behind
 *	cyrus_conf.c	imapd.conf
 *	cyrus_name.c	names of mailboxes
 *	cyrus_box.c	a mailbox and its records
 *	cyrus_places.c	programs
 *	cyrus_disk.c	fsync=batch
 *	cyrus_alone.c	and whether it is safe
 *	cyrus_open.c	URI, transport, names; what to do without the protocol
 *	cyrus_advice.c	what imapd.conf means for a copy
 *	cyrus_probe.c	does the server do what is needed?
 *	cyrus_account.c	what a user has: mailboxes, subscriptions, quota
 *	cyrus_sieve.c	into which mailboxes scripts file
 *	cyrus_acl.c	access rights, and names of mailboxes of others
 *	cyrus_target.c	the target's table; accounts and mailboxes
 *	cyrus_anew.c	another UIDVALIDITY for a mailbox
 *	cyrus_store.c	batches of messages
 *	cyrus_fence.c	messages whose lines may be taken for commands
 *	cyrus_change.c	flags and expunges
 *	cyrus_move.c	messages into another mailbox
 *	cyrus_source.c	the store read: audits, looks, and as a source
 */
#ifndef CYRUS_IMPL_H
#define CYRUS_IMPL_H

#include <openssl/evp.h>

#include "cyrus/cyrus_box.h"
#include "cyrus/cyrus_disk.h"
#include "cyrus/cyrus_name.h"
#include "source_impl.h"
#include "target_impl.h"

/* Options of both tables; those of IMAP are for cyrus://. */
#define CYRUS_OPTIONS \
	"conf", "libexec", "transport", "fsync", "inbox", "tls", "tls-min", "ca", "pin", \
	"verify", "cert", "key", "auth", "timeout", "partition", "lanes", \
	"create-users", "secret-file", "secret-env", "secret-fd", \
	"secret-command"

/* A connection that is open for one user. */
struct cyrus {
	struct store_conf conf;		/* its uri is ours where there is a
					 * host */
	struct uri	*uri;		/* as imap://, for its session; NULL */
	struct cyrus_conf *file;	/* NULL: there is a host */
	struct cyrus_disks *disks;	/* fsync=batch; else NULL */
	struct sync	*y;
	struct cyrus_names names;
	bool		 keep_inbox;	/* with its UIDVALIDITY */
	char		 partition[64];	/* of new mailboxes */
};

/* cyrus_open.c */
int	cyrus_check(struct uri *, struct err *);
/* 1; 0: the server is not fit for it, for reasons in *e (the account's); -1. */
int	cyrus_connect(struct cyrus *, const struct store_conf *, bool target,
	    struct err *);
void	cyrus_disconnect(struct cyrus *);
/* The URI of the same user by IMAP, acting for him unless as_admin. */
int	cyrus_imap_uri(struct uri **, struct uri *, bool as_admin,
	    struct err *);
/* transport=: 'a'uto, 's'ync, 'i'map. */
char	cyrus_transport(struct uri *);

/* cyrus_advice.c: notes on what imapd.conf means for this copy. */
void	cyrus_advise(const struct cyrus *, const char *file);
void	cyrus_advise_once(const struct cyrus *);
/* What POP3 UIDLs are here; unknown for another host. */
enum uidl_style cyrus_uidls(const struct cyrus *);

/* cyrus_probe.c: 1, 0 unfit (*e), -1.  Once for each server, and without
 * writing where conf says look_only. */
int	cyrus_probe(struct sync *, const char *partition, struct err *);
/* 24 letters and digits that nobody else has. */
void	cyrus_new_uniqueid(char out[64]);
/* One message of a GET FETCH command. */
void	cyrus_fetch_put(struct buf *, const struct cyrus_box *, uint32_t uid,
	    const unsigned char sha1[SHA1_LEN]);

/* cyrus_account.c */
struct cyrus_listed {
	char		*seen, *internal, *acl;
	uint32_t	 uidvalidity, last_uid;
	uint64_t	 modseq, messages;	/* UNKNOWN64 */
	unsigned	 use;
	bool		 mail;		/* not a calendar... */
	bool		 fresh;		/* as cyrus_box_fresh() */
	bool		 subscribed;
};
struct cyrus_account {
	struct cyrus_listed *box;	/* sorted by name */
	size_t		 n, cap;
	bool		 inbox;
	char		**subs;		/* internal names */
	size_t		 nsubs;
	char		**scripts;	/* NAME.script */
	size_t		 nscripts;
	uint64_t	 quota_kib;	/* UNKNOWN64: none */
	struct buf	 quota_others;	/* limits besides, as they are sent */
};
/* names.inbox is put right where the server spells it differently. */
int	cyrus_account_get(struct cyrus *, struct cyrus_account *,
	    struct err *);
void	cyrus_account_release(struct cyrus_account *);
/* Counts the messages of those that may have some. */
int	cyrus_account_count(struct cyrus *, struct cyrus_account *,
	    struct err *);

/* Made by us, and nobody has yet said which UIDVALIDITY it has. */
bool	cyrus_box_fresh(const struct cyrus_box *);
void	cyrus_box_make_fresh(struct cyrus_box *);

/* A target. */
struct cyrus_target {
	struct target	 t;
	struct cyrus	 c;
	struct cyrus_box box;		/* the open one */
	bool		 unmade;	/* it is made when its UIDs are set */
	char		*planned;	/* created, not yet open; NULL: none */
	unsigned	 planned_use;
	struct imap_words keywords;	/* that it has */
	bool		 no_new;	/* and has room for no other */
	bool		 stored;	/* since it was opened */
	struct store_batch *head, **tail;
	size_t		 staged;	/* files since RESTART */
	EVP_MD_CTX	*md;
	char		*in, *out;	/* of one chunk of a content */
};
struct cyrus *cyrus_of(struct target *);
/* The internal name, in b. */
int	cyrus_target_name(struct cyrus_target *, const char *seen, struct buf *,
	    struct err *);
/* What Cyrus tells of one mailbox: 1, 0 there is none, -1. */
int	cyrus_target_box(struct cyrus_target *, const char *seen,
	    struct cyrus_box *, struct err *);
/* A mailbox that was created, and that nobody is going to open, is made. */
int	cyrus_make_now(struct cyrus_target *, const char *seen, struct err *);
/* APPLY MAILBOX of what is in args: 1, 0 (*r), -1. */
int	cyrus_apply(struct cyrus_target *, const struct buf *args,
	    struct sync_reply *r, struct err *);

/* Tells Cyrus of a mailbox, without messages; the same where a NO is an error
 * about a mailbox. */
int	cyrus_put_box(struct cyrus_target *, const struct cyrus_box *,
	    uint64_t since, const char *what, struct err *);
int	cyrus_change(struct cyrus_target *, const struct buf *args,
	    const char *what, const char *name, struct err *);

/* cyrus_sieve.c: calls fn for each mailbox of a script. */
typedef void sieve_fn(void *ctx, const char *mailbox);
void	cyrus_sieve_filings(const char *script, size_t len, sieve_fn *,
	    void *ctx);
/* v->filings, from all scripts. */
int	cyrus_sieve_read(struct cyrus *, const struct cyrus_account *,
	    struct arena *, struct target_view *v, struct err *);

/* cyrus_acl.c: the entries of an ACL; one with other rights for who; the rest
 * as in target.h. */
void	cyrus_acl_read(const char *text, struct arena *, struct acl_entry **,
	    size_t *n);
void	cyrus_acl_with(struct buf *, const char *text, const char *who,
	    const char *rights);
int	cyrus_acl(struct target *, struct arena *, const char *,
	    struct acl_entry **, size_t *, struct err *);
int	cyrus_set_acl(struct target *, const char *, const char *,
	    const char *, struct err *);
int	cyrus_foreign_name(struct target *, struct arena *, const char *,
	    const char *, const char **);

/* cyrus_anew.c */
/* While a user's INBOX is made anew, no other connection of ours asks for it or
 * makes mailboxes below it.  No nesting. */
void	cyrus_lock(const struct cyrus *, bool alone);
void	cyrus_unlock(const struct cyrus *);
/* An empty mailbox that never held a message gets another UIDVALIDITY, under
 * its UNIQUEID; b has it then. */
int	cyrus_make_anew(struct cyrus_target *, struct cyrus_box *b,
	    uint32_t uidvalidity, struct err *);
/* Was that cut short for the user's INBOX?  It is put back then.  1: there is
 * an INBOX. */
int	cyrus_mend_inbox(struct cyrus_target *, const struct cyrus_account *,
	    struct err *);
/* A mailbox that only marks such a change. */
bool	cyrus_is_marker(const char *seen);

/* cyrus_fence.c */
/* Has a message lines that Cyrus, in trouble, could take for commands? */
bool	cyrus_has_commands(const char *, size_t len, bool imap);
/* Is there room for twice so much, and more?  Nothing may be outstanding. */
int	cyrus_fence(struct cyrus_target *, uint64_t bytes, struct err *);
/* The error for files that were not taken. */
void	cyrus_no_room(const struct sync_reply *, struct err *);

/* cyrus_store.c, cyrus_change.c, cyrus_move.c: as in target.h. */
int	cyrus_submit(struct target *, struct store_batch *, struct err *);
int	cyrus_reap(struct target *, bool, struct store_batch **,
	    struct err *);
/* What is staged and not wanted is removed; nothing is outstanding. */
void	cyrus_restart(struct cyrus_target *);
int	cyrus_change_flags(struct target *, struct flag_change *, size_t,
	    struct err *);
int	cyrus_move(struct target *, const uint32_t *, size_t, const char *,
	    struct err *);
int	cyrus_expunge(struct target *, const uint32_t *, size_t,
	    struct err *);

#endif
