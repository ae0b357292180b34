/*
 * What a run is asked to do: one table of settings, and the values in force.
 *
 * A value comes from the default, the job file, --set SECTION.KEY=VALUE or its
 * own option, the later ones going before the earlier.  Relative paths of a
 * job file start at its directory, those of the command line at the current
 * one.  Nothing is copied from here while a run goes on: after
 * config_finish() a config is only read, by any number of threads.
 *
 * Functions that find mistakes append one line of text for each to a buffer,
 * "FILE:LINE: what is wrong", and return how many they found.
 */
#ifndef ENGINE_CONFIG_H
#define ENGINE_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/uri.h"
#include "host_limits.h"
#include "rules.h"
#include "text.h"

struct config;

/* Every setting; the table itself is in config_table.c. */
enum cfg {
	CFG_STATE, CFG_ACCOUNTS, CFG_ONLY, CFG_ONLY_FILE, CFG_WHERE, CFG_FAILED,
	CFG_LANES, CFG_LANES_PER_ACCOUNT,
	CFG_ORDER, CFG_CREATE_USERS, CFG_QUOTA, CFG_QUOTAS, CFG_EXISTING,
	CFG_EMPTY, CFG_SETTLE, CFG_REPAIR, CFG_RETRY_REFUSED,
	CFG_REMOVE_DOUBLES, CFG_NO_FLAG_SYNC, CFG_FULL,
	CFG_RESTORE_DELETED, CFG_DELETE, CFG_DELETE_LIMIT,
	CFG_DELETE_MAILBOXES, CFG_STAGE, CFG_YES, CFG_FORMAT, CFG_UIDL_SERVER,
	CFG_RENAMES, CFG_TABLE, CFG_REDACT, CFG_LETTERS, CFG_SINCE, CFG_QUIET,
	CFG_VERBOSE, CFG_LOG, CFG_LOG_DIR, CFG_TRACE,
	CFG_MAP, CFG_INCLUDE, CFG_EXCLUDE, CFG_SPECIAL_USE, CFG_SPECIAL_NAME,
	CFG_INBOX_CHILDREN, CFG_COLLISIONS, CFG_SUBSCRIBE, CFG_ACL, CFG_SHARED,
	CFG_NEWER_THAN, CFG_OLDER_THAN, CFG_MAX_SIZE, CFG_DELETED, CFG_HIDDEN,
	CFG_APPLY_RENAMES, CFG_ONLY_METADATA, CFG_COUNT_BYTES, CFG_LIST_ACCOUNTS,
	CFG_MIN_FREE, CFG_PATIENCE, CFG_MAX_RETRIES, CFG_SOURCE_LIMIT,
	CFG_TARGET_LIMIT, CFG_STOP_AT, CFG_MAX_TIME, CFG_REPEAT_EVERY,
	CFG_NEWEST_FIRST,
	CFG_LEVEL, CFG_FAIL_ON, CFG_AS_OF, CFG_HEADER_DIFF, CFG_SHOW,
	CFG_COUNT
};

/* The values of enum settings, in the order of their words. */
enum existing { EXISTING_ADOPT, EXISTING_MERGE };
enum empty { EMPTY_REFUSE, EMPTY_OK };
enum format { FORMAT_TEXT, FORMAT_JSON, FORMAT_CSV, FORMAT_NDJSON, FORMAT_JUNIT,
	FORMAT_HTML };
enum report_table { TABLE_ALL, TABLE_FIRST };	/* then by report_section */
enum logging { LOGGING_AUTO, LOGGING_ON, LOGGING_OFF };
enum collisions { COLLISIONS_RENAME, COLLISIONS_REFUSE };
enum subscribe { SUBSCRIBE_AUTO, SUBSCRIBE_SOURCE, SUBSCRIBE_ALL,
	SUBSCRIBE_NONE };
enum acl { ACL_NO, ACL_YES };
enum deleted { DELETED_COPY, DELETED_SKIP };
enum delete { DELETE_NO, DELETE_MOVE, DELETE_EXPUNGE };
enum as_of { AS_OF_NOW, AS_OF_RELEASE };

#define LIMIT_PERCENT	((uint64_t)1 << 63)

enum setting_type {
	SET_STRING,
	SET_PATH,
	SET_BOOL,	/* yes or no */
	SET_NUMBER,
	SET_LIMIT,	/* a number, or with LIMIT_PERCENT: 10% */
	SET_DURATION,	/* seconds, or with s m h d w y */
	SET_SIZE,	/* bytes, or with K M G T (1024) */
	SET_DATE,	/* YYYY-MM-DD UTC, or an age like a duration */
	SET_ENUM,
	SET_QUOTA,	/* keep, source, none or fixed:SIZE */
	SET_NAMES,	/* list: a,b,c */
	SET_PATTERNS,	/* list: words, "quoted words" */
	SET_RULES,	/* list: one rule a time */
	SET_LIMITS,	/* list: limits of a host (host_limits.h) */
	SET_CLOCK	/* HH:MM, in minutes of the day */
};

/* Which commands take a setting as an option. */
enum {
	FOR_COPY	= 1 << 0,
	FOR_REPORT	= 1 << 1,
	FOR_STATUS	= 1 << 2,
	FOR_FORGET	= 1 << 3,
	FOR_UNDO	= 1 << 4,
	FOR_PLAN	= 1 << 5,	/* and all of FOR_COPY */
	FOR_STAGE	= 1 << 6,
	FOR_UIDL	= 1 << 7,
	FOR_AUDIT	= 1 << 8	/* and all of FOR_COPY */
};

struct setting {
	const char	*section;
	const char	*key;		/* and --key */
	enum setting_type type;
	unsigned	 commands;	/* FOR_* */
	const char	*def;		/* NULL: none */
	const char	*arg;		/* what --help calls the value; SET_ENUM
					 * without: the option alone is the
					 * second word */
	const char	*help;		/* one line */
	const char *const *words;	/* SET_ENUM, NULL-terminated */
	uint64_t	 min, max;	/* SET_NUMBER to SET_SIZE; max 0: any */
};

enum side { SIDE_SOURCE, SIDE_TARGET };

const struct setting	*config_setting(enum cfg);
/* The setting whose option this is, or CFG_COUNT. */
enum cfg	 config_find(const char *key);

struct config	*config_new(void);
void		 config_free(struct config **);

/* Reads a job file.  An unreadable one counts as one mistake. */
size_t	config_read(struct config *, const char *path, struct buf *errors);
/* The same for text in memory; file is what messages call it, dir where its
 * relative paths start (NULL: the current directory). */
size_t	config_read_text(struct config *, const char *file, const char *dir,
	    const char *p, size_t len, struct buf *errors);
/* --KEY VALUE.  A list grows with every call. */
size_t	config_option(struct config *, enum cfg, const char *value,
	    struct buf *errors);
/* --set SECTION.KEY=VALUE, for [source] and [target] as well. */
size_t	config_set(struct config *, const char *assignment,
	    struct buf *errors);
/* SOURCE or TARGET of the command line. */
size_t	config_store_arg(struct config *, enum side, const char *uri,
	    struct buf *errors);
/* To be called once when everything has been read: completes the stores and
 * the state.  With stores, both must be given and known. */
size_t	config_finish(struct config *, bool stores, struct buf *errors);

bool		 config_isset(const struct config *, enum cfg);
const char	*config_str(const struct config *, enum cfg); /* NULL: unset */
bool		 config_bool(const struct config *, enum cfg);
/* Numbers, seconds, bytes; for SET_DATE the epoch.  Of a setting that is not
 * set: UINT64_MAX. */
uint64_t	 config_num(const struct config *, enum cfg);
int		 config_enum(const struct config *, enum cfg);
size_t		 config_list(const struct config *, enum cfg);
const char	*config_item(const struct config *, enum cfg, size_t i);
/* Where the value comes from: "job.ini:12", "--lanes", "default". */
const char	*config_where(const struct config *, enum cfg);

/* The template of a store with its {columns}, NULL when none was given. */
const struct uri *config_store(const struct config *, enum side);
const char	*config_store_where(const struct config *, enum side);
/* The POP3 server of CFG_UIDL_SERVER, a template like the stores, checked; the caller
 * frees.  -1: *e, or it was not given. */
int		 config_pop3(const struct config *, struct uri **, struct err *);
/* Its lanes= option; 0: none was given. */
unsigned	 config_store_lanes(const struct config *, enum side);
/* Whether a back end of this side knows scheme and options of a URI. */
int		 config_check_uri(enum side, const struct uri *, struct err *);
/* Makes a relative path of a local store, and of the options that are paths,
 * start at dir. */
void		 config_uri_at(struct uri *, const char *dir);
/* The value of an option, NULL when it was not given. */
const char	*config_uri_get(const struct uri *, const char *key);
void		 config_uri_drop(struct uri *, const char *key);
/* Whose mail it is: authzid, then user without "*master"; NULL: it does not
 * say.  The caller frees. */
char		*config_uri_user(const struct uri *);

/* What makes a store that store: two equal texts are one store, whatever the
 * way in (imap and imaps, maildir and dovecot, an admin for the user).  fold
 * makes names of users comparable, in place; may be NULL.  NULL for a store
 * that is never the same (null:).  The caller frees. */
char		*config_identity(const struct uri *, void (*fold)(char *));

/* The rules of [folders] and [messages]; the caller frees. */
struct rules	*config_rules(const struct config *);
/* The limits of the hosts of a side; l holds none before. */
void	config_limits(const struct config *, enum side, struct limits *l);
/* The job file, or NULL. */
const char	*config_job(const struct config *);
/* The state file, always set after config_finish() without mistakes where
 * there is a job, a --state or two stores, else NULL.  The directory of a
 * default state outside of a job is made (0700) by config_state_dir(). */
const char	*config_state(const struct config *);
int		 config_state_dir(const struct config *, struct err *);

/* Everything in force, as a job file with the origins as comments. */
void	config_show(const struct config *, FILE *);

/* The settings of a copy that were given, one a line: "limits.lanes = 4".
 * Secrets and what only concerns its output are left out; at most about 16 kB. */
void	config_brief(const struct config *, struct buf *out);

/* Text to number for durations and sizes; -1: it is none. */
int	config_duration(const char *text, uint64_t *seconds);
int	config_size(const char *text, uint64_t *bytes);

/* Which quota a user is to have at the target. */
struct quota_rule {
	enum { QUOTA_KEEP, QUOTA_SOURCE, QUOTA_FIXED, QUOTA_NONE } mode;
	uint64_t	 bytes;		/* of QUOTA_FIXED */
};
/* keep, source, none, fixed:SIZE or (in lists) SIZE; -1: it is none. */
int	config_quota(const char *text, struct quota_rule *);
/* The other way; the caller frees. */
char	*config_quota_text(const struct quota_rule *);

#endif
