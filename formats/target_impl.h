/* Targets, the implementers' side: one const table per back end. */
#ifndef FORMATS_TARGET_IMPL_H
#define FORMATS_TARGET_IMPL_H

#include "target.h"

/* Contracts as in target.h; the front functions have checked the order of
 * calls.  A slot that says "optional" may be NULL: the front function then
 * answers that the target cannot. */
struct target_ops {
	const char	*const *schemes;
	const char	*const *options;
	int	(*check)(struct uri *, struct err *);	/* optional */
	int	(*open)(struct target **, const struct store_conf *,
		    struct err *);
	void	(*close)(struct target *);
	void	(*caps)(struct target *, struct target_caps *);
	const char *(*identity)(struct target *);	/* optional: "" */
	int	(*account_ensure)(struct target *, bool, struct err *);
	int	(*name)(struct target *, struct arena *, const char *const *,
		    size_t, const char **, bool *, struct err *);
	int	(*name_key)(struct target *, struct arena *, const char *,
		    const char **, struct err *);	/* optional: the name */
	int	(*survey)(struct target *, struct arena *, const char *const *,
		    size_t, bool, struct target_view *, struct err *);
				/* optional: the names are opened */
	int	(*uidls)(struct target *, enum uidl_style *);
							/* optional: 0 */
	int	(*parent)(struct target *, struct arena *, const char *,
		    const char **);	/* optional: 0 */
	int	(*folder_open)(struct target *, const char *,
		    struct folder_state *, struct err *);
	void	(*folder_close)(struct target *);
	int	(*folder_create)(struct target *, const char *, unsigned,
		    struct err *);
	int	(*set_uids)(struct target *, const struct folder_uids *,
		    struct folder_state *, struct err *);	/* optional */
	int	(*folder_rename)(struct target *, const char *, const char *,
		    struct err *);			/* optional */
	int	(*folder_delete)(struct target *, const char *,
		    struct err *);			/* optional */
	int	(*subscribe)(struct target *, const char *, bool,
		    struct err *);			/* optional */
	int	(*subscribe_many)(struct target *, const char *const *, size_t,
		    struct err *, struct err *);
				/* optional: one by one */
	int	(*mark_use)(struct target *, const char *, unsigned,
		    struct err *);			/* optional */
	int	(*set_quota)(struct target *, uint64_t, bool *,
		    struct err *);			/* optional */
	int	(*acl)(struct target *, struct arena *, const char *,
		    struct acl_entry **, size_t *, struct err *);
	int	(*set_acl)(struct target *, const char *, const char *,
		    const char *, struct err *);	/* both or none */
	int	(*foreign_name)(struct target *, struct arena *, const char *,
		    const char *, const char **);	/* optional: 0 */
	int	(*adopts)(struct target *, const struct msg_meta *,
		    const struct content *, struct digests *);
				/* optional: 0 */
	int	(*submit)(struct target *, struct store_batch *, struct err *);
	int	(*reap)(struct target *, bool, struct store_batch **,
		    struct err *);
	int	(*broken)(struct target *, struct err *);
	int	(*change_flags)(struct target *, struct flag_change *, size_t,
		    struct err *);			/* optional */
	int	(*set_uidls)(struct target *, struct uidl_change *, size_t,
		    struct err *);			/* optional: 0 */
	int	(*move)(struct target *, const uint32_t *, size_t,
		    const char *, struct err *);	/* optional */
	int	(*expunge)(struct target *, const uint32_t *, size_t,
		    struct err *);			/* optional */
};

/* The first member of every back end's own struct, as in source_impl.h. */
struct target {
	const struct target_ops	*ops;
	struct store_conf	 conf;
	bool			 in_folder;
	size_t			 outstanding;	/* submitted, not reaped */
};

void	target_warn(struct target *, const char *mailbox, const char *where,
	    const char *fmt, ...) __attribute__((format(printf, 4, 5)));

extern const struct target_ops *const target_table[];	/* registry.c */

#endif
