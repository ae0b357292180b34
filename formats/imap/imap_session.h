/*
 * One IMAP session: connected, TLS, logged in, capabilities and namespace
 * known.  Source and target share it.
 *
 * Two ways to talk, one per command:
 *   libetpan, behind the guard	greeting, STARTTLS, LOGIN, AUTHENTICATE with a
 *	SASL library's mechanism, and the commands whose answer is a status:
 *	CREATE, DELETE, RENAME, SUBSCRIBE (one), UNSUBSCRIBE, SETMETADATA, SETQUOTA,
 *	LOGOUT (imap_small())
 *   our own reader		everything whose answer holds data or streams:
 *	CAPABILITY, ID, NAMESPACE, LIST, STATUS, SELECT, FETCH, STORE, SEARCH,
 *	GETACL, SETACL, APPEND; and AUTHENTICATE PLAIN, XOAUTH2, OAUTHBEARER, which need no
 *	library (imap_send(), imap_wait())
 *
 * Passwords appear in no error text and in no log.
 */
#ifndef IMAP_SESSION_H
#define IMAP_SESSION_H

#include "imap/imap_guard.h"
#include "imap/imap_reader.h"
#include "imap/imap_text.h"
#include "source.h"

enum {
	CAP_LITERAL_PLUS	= 1 << 0,	/* {n+} of any size */
	CAP_LITERAL_MINUS	= 1 << 1,	/* {n+} up to 4096 */
	CAP_MULTIAPPEND		= 1 << 2,
	CAP_UIDPLUS		= 1 << 3,
	CAP_CONDSTORE		= 1 << 4,
	CAP_LIST_EXTENDED	= 1 << 5,
	CAP_LIST_STATUS		= 1 << 6,
	CAP_SPECIAL_USE		= 1 << 7,
	CAP_CREATE_SPECIAL_USE	= 1 << 8,
	CAP_METADATA		= 1 << 9,
	CAP_NAMESPACE		= 1 << 10,
	CAP_ID			= 1 << 11,
	CAP_SASL_IR		= 1 << 12,
	CAP_STARTTLS		= 1 << 13,
	CAP_LOGINDISABLED	= 1 << 14,
	CAP_ESEARCH		= 1 << 15,
	CAP_QUOTA		= 1 << 16,
	CAP_STATUS_SIZE		= 1 << 17,
	CAP_DIGEST_SHA1		= 1 << 18,	/* Cyrus' own */
	CAP_COMPRESS		= 1 << 21,	/* =DEFLATE */
	CAP_ACL			= 1 << 19,
	CAP_RIGHTS		= 1 << 20,	/* ACL as in RFC 4314 */
	CAP_MOVE		= 1 << 22,
	CAP_SAVEDATE		= 1 << 23,
	CAP_OBJECTID		= 1 << 24
};

/* Options of IMAP URIs, for the tables of source and target; the last ones are
 * read by the layers above. */
#define IMAP_OPTIONS \
	"tls", "tls-min", "ca", "pin", "verify", "cert", "key", "auth", \
	"authzid", "prefix", "timeout", "compress", \
	"shared", "partition", "lanes", "create-users", \
	"secret-file", "secret-env", "secret-fd", "secret-command"

struct imap_etpan;	/* libetpan's part */

struct imap_session {
	const struct store_conf *conf;	/* borrowed */
	struct imap_stream *st;
	struct imap_reader r;
	struct imap_guard guard;	/* the last small command's answer */
	struct imap_etpan *x;
	struct imap_trace *trace;	/* or NULL */
	bool		 dead;		/* nothing more can be sent */
	bool		 target;	/* it is written to */
	bool		 preauth;	/* our own child: it has logged in */
	bool		 mild;		/* a BAD is a NO: see imap_try() */
	unsigned	 timeout_s;
	unsigned	 tag;		/* the last one used */
	unsigned	 caps;
	struct imap_words mechs;	/* AUTH= */
	uint64_t	 appendlimit;	/* UNKNOWN64: none */
	enum imap_dialect dialect;
	bool		 old_cyrus;	/* 2.4: stricter names */
	char		 greeting[300];
	char		 identity[160];	/* name and version, as far as told */
	/* Namespaces: names as the server spells them. */
	char		 sep;		/* '\0': a flat store */
	char		*prefix;	/* personal, never NULL */
	char		*users;		/* other users', or NULL */
	struct imap_words others;	/* all prefixes but that one, */
	struct imap_words own;		/* and those that are ours as well */
	char		*shared;	/* shared mailboxes, or NULL */
	char		*root;		/* the only tree that counts, or NULL
					 * (imap_shared.h) */
	/* The selected mailbox: followed in every untagged response. */
	uint32_t	 uidvalidity;	/* 0: none is selected */
	uint32_t	 exists;
	uint32_t	 listed;	/* sequence numbers its owner saw */
	uint32_t	 expunged;	/* of those not yet seen */
	char		 bye[300];	/* why the server takes its leave */
};

/* The options of a URI, without a connection: for check() of both tables. */
int	imap_session_check(struct uri *, struct err *);
/* as_admin: without authzid, as the login's own user.  Errors: ERR_HOST where
 * nothing answers as an IMAP server, ERR_ACCOUNT + CAUSE_AUTH for a refused
 * login.  conf must outlive the session. */
int	imap_session_open(struct imap_session **, const struct store_conf *,
	    bool as_admin, struct err *);
/* The same over a stream that is already there and becomes the session's own:
 * tests and fuzzing. */
int	imap_session_over(struct imap_session **, struct imap_stream *,
	    const struct store_conf *, bool as_admin, struct err *);
/* LOGOUT if it can still be said. */
void	imap_session_close(struct imap_session **);
/* Hang up; what is buffered for output is not sent. */
void	imap_session_drop(struct imap_session *);

/* A command whose answer is a status, through libetpan: 1 OK, 0 NO (its words
 * in s->guard), -1. */
int	imap_small(struct imap_session *, const char *cmd, struct err *);
/* The error for such a NO. */
int	imap_small_no(struct imap_session *, enum err_scope, struct err *,
	    const char *fmt, ...) __attribute__((format(printf, 4, 5)));

/* Sends a command without waiting; the text holds no CR, LF and no literal.
 * imap_flush() sends what is collected. */
int	imap_send(struct imap_session *, const char *cmd, unsigned *tag,
	    struct err *);
int	imap_flush(struct imap_session *, struct err *);
/* One more response; EXISTS, EXPUNGE, BYE and capabilities are noted, and an
 * untagged BAD is an error. */
int	imap_response(struct imap_session *, struct imap_response *,
	    struct err *);
/* Called for untagged status and data responses while a command runs; what it
 * leaves unread is skipped. */
typedef int imap_data_fn(struct imap_session *, struct imap_response *,
    void *ctx, struct err *);
/* Until the answer to tag: 1 OK, 0 NO (in *rs), -1 (BAD as well: it closes the
 * connection).  fn may be NULL. */
int	imap_wait(struct imap_session *, unsigned tag, imap_data_fn *fn,
	    void *ctx, struct imap_response *rs, struct err *);
/* imap_send(), imap_flush() and imap_wait() with the usual limits. */
int	imap_run(struct imap_session *, const char *cmd, imap_data_fn *fn,
	    void *ctx, struct imap_response *rs, struct err *);
/* The same for what a server may refuse although it announces it: a BAD is a 0
 * as well.  Such a command has no literal, so that the dialogue stays in
 * step. */
int	imap_try(struct imap_session *, const char *cmd, imap_data_fn *fn,
	    void *ctx, struct imap_response *rs, struct err *);
bool	imap_tag_is(const struct imap_response *, unsigned tag);

/* The error for a NO or BAD: "what: the server says: words"; temporary codes
 * set retry. */
int	imap_no(const struct imap_response *, enum err_scope, struct err *,
	    const char *fmt, ...) __attribute__((format(printf, 4, 5)));
/* Does the answer say "temporary, try again"? */
bool	imap_temporary(const char *code, const char *text);
/* ... or "there is no such mailbox"? */
bool	imap_no_mailbox(const char *code, const char *text);

/* STATUS: 1 and the values that came, 0 there is no such mailbox. */
struct imap_box {
	uint32_t	 uidvalidity, uidnext;
	uint64_t	 modseq, messages;
};
int	imap_status(struct imap_session *, const char *name,
	    struct imap_box *, struct err *);
/* SELECT or EXAMINE, with CONDSTORE where it is known: 1, 0 as above. */
struct imap_selected {
	struct imap_box	 box;
	char		 object[256];	/* MAILBOXID, "": not told */
	struct imap_words keywords;	/* FLAGS; released by the caller */
	bool		 new_keywords;	/* more can be made */
	bool		 readonly;
};
int	imap_select(struct imap_session *, const char *name, bool readonly,
	    struct imap_selected *, struct err *);

/* Is it a MAILBOXID, as RFC 8474 has them? */
bool	imap_is_object(const char *);

/* Servers whose LITERAL+ has the limit of LITERAL-: found out the hard way,
 * kept for the life of the process. */
void	imap_learn_literal_minus(const struct imap_session *);

#endif
