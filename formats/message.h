/*
 * What is known of a message and of a mailbox apart from the bytes.
 *
 * Strings and arrays in these structs live in the arena that the caller of
 * next() or list() gave; they may be NULL where "unknown" makes sense.
 */
#ifndef FORMATS_MESSAGE_H
#define FORMATS_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define UNKNOWN64	UINT64_MAX	/* counts, sizes: the store cannot tell */
#define NO_DATE		INT64_MIN

/* RFC 3501 system flags; \Recent is never carried. */
enum {
	MSG_SEEN	= 1 << 0,
	MSG_ANSWERED	= 1 << 1,
	MSG_FLAGGED	= 1 << 2,
	MSG_DELETED	= 1 << 3,
	MSG_DRAFT	= 1 << 4
};

/* Where an INTERNALDATE was taken from. */
enum date_origin {
	DATE_NONE, DATE_STORE, DATE_SEPARATOR, DATE_RECEIVED, DATE_HEADER,
	DATE_MTIME
};

/* RFC 6154 special uses, as bits. */
enum {
	USE_ALL		= 1 << 0,
	USE_ARCHIVE	= 1 << 1,
	USE_DRAFTS	= 1 << 2,
	USE_FLAGGED	= 1 << 3,
	USE_JUNK	= 1 << 4,
	USE_SENT	= 1 << 5,
	USE_TRASH	= 1 << 6
};

/* What pass 1 saw in a content, and what a source noticed. */
enum {
	ODD_NUL		= 1 << 0,	/* a NUL byte */
	ODD_BARE_CR	= 1 << 1,	/* a CR without LF */
	ODD_BARE_LF	= 1 << 2,	/* stored with LF line ends */
	ODD_8BIT_HEADER	= 1 << 3,	/* raw 8-bit byte in the header */
	ODD_BAD_HEADER	= 1 << 4,	/* a header line that is none */
	ODD_NO_END	= 1 << 5,	/* header not ended by a line end */
	ODD_EMPTY	= 1 << 6,	/* no byte at all */
	ODD_STRIPPED	= 1 << 7,	/* container's own fields left out */
	ODD_DOUBTFUL	= 1 << 8,	/* a doubtful separator at its start */
	ODD_COMPRESSED	= 1 << 9,	/* stored compressed */
	ODD_NO_DATE	= 1 << 10	/* no usable date anywhere */
};

#define DIGEST_LEN	32		/* SHA-256 */
#define SHA1_LEN	20

struct uid_range { uint32_t first, last; };

struct digests {
	unsigned char	strict[DIGEST_LEN];	/* of the CRLF form */
	unsigned char	loose[DIGEST_LEN];	/* see measure.h */
	/* Only where a store's index has SHA-1 (Cyrus): of the CRLF form, and
	 * of it with bytes >= 0x80 in the header as 'X'. */
	bool		has_sha1;
	unsigned char	sha1[SHA1_LEN], munged[SHA1_LEN];
};

struct msg_meta {
	const char	*key;		/* NULL: digest + ordinal (mbox) */
	uint32_t	 uid;		/* 0: the store has none */
	unsigned	 flags;		/* MSG_* */
	const char *const *keywords;	/* as stored, no order promised */
	size_t		 nkeywords;
	const char	*raw_flags;	/* the store's own letters */
	int64_t		 date;		/* INTERNALDATE, epoch s, or NO_DATE */
	int		 zone;		/* minutes east of UTC, as found */
	enum date_origin date_origin;
	int64_t		 save_date;	/* or NO_DATE */
	uint64_t	 size;		/* bytes as stored (decoded) */
	const char	*guid;
	uint32_t	 mark;		/* see store_item; 0: none */
	const unsigned char *sha1;	/* SHA1_LEN bytes from the store's
					 * index; NULL: it has none */
	bool		 by_file;	/* they say which file it is, not what
					 * it holds */
	const char	*base;		/* Maildir: the file's base name */
	const char	*uidl;		/* POP3 */
	uint32_t	 uidl_order;	/* 0: none */
	uint64_t	 modseq;
	bool		 known;		/* DELTA_SOME: to the token; it may have
					 * other flags */
	unsigned	 oddities;	/* ODD_* that the source knows */
	uint64_t	 cookie;	/* the source's own: where it lies */
	const char	*where;		/* for people: file name, offset */
};

enum folder_class { FOLDER_MAIL, FOLDER_OTHER };	/* contacts, notes... */

/* What somebody may do with a mailbox. */
struct acl_entry {
	const char	*who;		/* an account as the source calls it,
					 * "anyone"; of a target: its own way */
	const char	*rights;	/* letters of RFC 4314 (acl.h) */
};

struct folder_info {
	const char *const *path;	/* UTF-8 levels; INBOX is {"INBOX"} */
	size_t		 npath;
	const char	*raw_name;	/* as the store spells it */
	const char	*name;		/* for people: levels joined by '/' */
	unsigned	 special_use;	/* USE_* from the store itself */
	uint32_t	 uidvalidity;	/* 0: unknown */
	uint32_t	 uidnext;	/* 0: unknown */
	uint64_t	 modseq;	/* HIGHESTMODSEQ, 0: unknown */
	const char	*object_id;	/* MAILBOXID, GUID, dev:inode */
	uint64_t	 messages;	/* UNKNOWN64: ask later */
	uint64_t	 bytes;		/* UNKNOWN64: cannot tell cheaply */
	enum folder_class class;
	bool		 subscribed;
	bool		 noselect;	/* a level without messages */
	const char	*refused;	/* why it cannot be read, else NULL */
	const struct acl_entry *acl;	/* of others than the owner */
	size_t		 nacl;
	bool		 stable;	/* set by the caller: it changed while it
					 * was read; now let it not */
	bool		 some;		/* set by the caller: DELTA_SOME will do, */
	bool		 some_flags;	/* with those that have other flags */
	bool		 unread;	/* set by the caller: most contents will not
					 * be read */
	bool		 by_flags;	/* set by the caller: with other flags
					 * it is not DELTA_UNCHANGED */
	uint64_t	 cookie;	/* the source's own */
};

/* A subscription to a mailbox of another account. */
struct foreign_box {
	const char	*name;		/* as the source spells it */
	const char	*owner;		/* the account */
	const char	*box;		/* its mailbox, as folder_info.name */
};

/* What POP3 UIDLs are, as far as it is known. */
enum uidl_style {
	UIDL_UNKNOWN,
	UIDL_OWN,		/* not made from UIDs */
	UIDL_UPPER,		/* UID and UIDVALIDITY, 8 digits each; Dovecot's */
	UIDL_LOWER,
	UIDL_UID,
	UIDL_VALIDITY_DOT_UID,	/* Cyrus' */
	UIDL_VALIDITY_DASH_UID
};

struct account_info {
	uint64_t	 quota_bytes;		/* UNKNOWN64: none known */
	bool		 has_subscriptions;	/* a list was found */
	const char *const *subscriptions;	/* display names, all of it */
	size_t		 nsubscriptions;
	const struct foreign_box *foreign;
	size_t		 nforeign;
	const char	*domain;	/* the account's; NULL: not known */
	enum uidl_style	 uidls;
	uint64_t	 own_uidls;	/* messages of INBOX with others */
};

#endif
