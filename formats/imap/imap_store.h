/* Between imap_target.c, imap_survey.c, imap_flags.c and imap_acl.c: an open
 * IMAP target. */
#ifndef IMAP_STORE_H
#define IMAP_STORE_H

#include "imap/imap_append.h"
#include "imap/imap_name.h"
#include "imap/imap_session.h"
#include "target_impl.h"

struct imap_store {
	struct target	 t;
	struct imap_session *s;
	struct imap_appender a;
	struct imap_name_rules rules;
	char		*prefix;	/* of rules, when not the session's */
	bool		 broken;
	struct err	 why;
};

/* Remembers why the session died; returns rc. */
int	imap_store_noted(struct imap_store *, int rc, const struct err *);

/* Appends, quoted, the owner's INBOX as an admin spells it. */
int	imap_owners_inbox(const struct imap_session *admin, const char *user,
	    struct buf *out, struct err *);

/* As in target.h. */
int	imap_store_survey(struct target *, struct arena *,
	    const char *const *names, size_t n, bool quota,
	    struct target_view *, struct err *);
int	imap_store_change_flags(struct target *, struct flag_change *, size_t n,
	    struct err *);
int	imap_store_move(struct target *, const uint32_t *uids, size_t n,
	    const char *to, struct err *);
int	imap_store_expunge(struct target *, const uint32_t *uids, size_t n,
	    struct err *);
/* What follows "* ACL", to the end of the response, in the arena; newer: the
 * letters are those of RFC 4314. */
int	imap_acl_read(struct imap_reader *, bool newer, struct arena *,
	    struct acl_entry **, size_t *n, struct err *);
int	imap_store_acl(struct target *, struct arena *, const char *name,
	    struct acl_entry **, size_t *n, struct err *);
int	imap_store_set_acl(struct target *, const char *name, const char *who,
	    const char *rights, struct err *);
int	imap_store_foreign_name(struct target *, struct arena *,
	    const char *owner, const char *name, const char **foreign);

#endif
