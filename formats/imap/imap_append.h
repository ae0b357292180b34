/*
 * Storing messages: APPEND in the widest form that the server has.
 *
 *	MULTIAPPEND	one command a batch, all or nothing
 *	LITERAL+	one command a message, sent without waiting
 *	neither		one command a message, waiting before each literal
 *
 * Nothing of a command that is not complete is stored, so its literals go out
 * before the batch is committed and only the CRLF that completes it waits for
 * commit().  A synchronising literal, after whose refusal nothing is read as
 * commands, is used for the first message of a session, for flags and keywords
 * that this server has not yet accepted, and for messages over IMAP_BIG.
 *
 * A BAD, a BYE or a broken connection ends the session: batches whose CRLF may
 * have gone out come back as STORE_UNKNOWN, the others as STORE_NOT_SENT.
 */
#ifndef IMAP_APPEND_H
#define IMAP_APPEND_H

#include <openssl/evp.h>

#include "imap/imap_session.h"
#include "target.h"

#define IMAP_BIG	((uint64_t)1 << 20)	/* waits before its literal */
#define IMAP_ANSWER_S	900	/* for what may be committed: Dovecot waits
				 * minutes for locks */

struct imap_appender {
	struct imap_session *s;		/* borrowed */
	struct buf	 mailbox;	/* quoted */
	uint32_t	 uidvalidity;
	struct imap_words keywords;	/* the mailbox has these */
	struct imap_words kw_sent;	/* and perhaps these, since SELECT */
	bool		 no_new;	/* and takes no others */
	/* What this server has accepted before. */
	bool		 tried;
	unsigned	 flags_tried;
	struct imap_words kw_tried;
	struct store_batch *head, **tail;
	bool		 dead;
	struct err	 why;
	EVP_MD_CTX	*md;
	char		*in, *out;	/* of one chunk of a content */
};

void	imap_appender_init(struct imap_appender *, struct imap_session *);
void	imap_appender_release(struct imap_appender *);
/* Before the first submit into a mailbox; takes the keywords over. */
int	imap_appender_mailbox(struct imap_appender *, const char *name,
	    struct imap_selected *, struct err *);

void	imap_append_caps(const struct imap_appender *, struct target_caps *);
int	imap_append_submit(struct imap_appender *, struct store_batch *,
	    struct err *);
int	imap_append_reap(struct imap_appender *, bool wait,
	    struct store_batch **);

#endif
