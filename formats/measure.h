/*
 * Pass 1 over a content: its CRLF size, digests and oddities.
 *
 * strict is SHA-256 of the CRLF form (crlf.h).
 *
 * loose is SHA-256 of what is left after everything that servers and tools are
 * known to do to mail, so that an altered copy is still recognised:
 *   - CR is dropped wherever it stands; NUL, 0x80 and blank are one class
 *     (Dovecot shows NUL as 0x80, a repair makes it a blank);
 *   - in the header, bytes >= 0x80 and NUL count as 'X' (Cyrus' munge8bit);
 *   - header fields X-UID, X-TUID, X-OfflineIMAP, Status, X-Status,
 *     X-Keywords, X-IMAPbase, X-IMAP, Content-Length are left out with their
 *     continuation lines;
 *   - empty lines before the header, between header and body, and at the end
 *     are left out (a repair adds them).
 * The header is the run of lines from the start that look like "field:" or a
 * continuation (or a leading "From "); the first other line ends it.
 *
 * SHA-1 is there for stores whose index has it; munged is what Cyrus' munge8bit
 * makes of a message: its header ends at the first empty line.
 *
 * One struct measure serves one thread and any number of contents in turn; it
 * allocates only when it is made.
 */
#ifndef FORMATS_MEASURE_H
#define FORMATS_MEASURE_H

#include "base/buf.h"
#include "content.h"
#include "message.h"

struct measure;

struct measured {
	uint64_t	size;		/* of the CRLF form */
	uint64_t	raw_size;	/* as read */
	struct digests	digests;
	unsigned	oddities;	/* ODD_* */
	bool		adopted;	/* not read: see target_adopts() */
};

struct measure	*measure_new(void);
/* From the next message on: digests.sha1 and munged as well? */
void		 measure_want_sha1(struct measure *, bool);
bool		 measure_gives_sha1(const struct measure *);
/* From the next message on: nothing but sizes and digests.strict (and SHA-1),
 * which costs a third; loose and oddities are left as nothing. */
void		 measure_want_strict(struct measure *, bool);
void		 measure_free(struct measure **);

void	measure_begin(struct measure *);
/* n stored bytes.  With keep, the CRLF form is appended to it as long as it
 * fits; keep->full tells that it did not. */
void	measure_add(struct measure *, const char *p, size_t n,
	    struct buf *keep);
void	measure_end(struct measure *, struct measured *);

/* The three in one, to the end of c from where it stands.  keep may be NULL. */
int	measure_content(struct measure *, struct content *c, struct buf *keep,
	    struct measured *, struct err *);

/* The header's fields for lists for people: the first bytes of Message-ID and
 * Subject, cleaned of controls, in 8-bit as found.  Either may be NULL. */
void	header_brief(const char *p, size_t len, char *message_id, size_t idsize,
	    char *subject, size_t subsize);

#endif
