/* Sources, the implementers' side: one const table per back end. */
#ifndef FORMATS_SOURCE_IMPL_H
#define FORMATS_SOURCE_IMPL_H

#include "source.h"

/* Contracts as in source.h; the front functions have checked the order of
 * calls.  A slot that says "optional" may be NULL. */
struct source_ops {
	const char	*const *schemes;	/* NULL-terminated */
	const char	*const *options;	/* URI options, NULL-terminated */
	int	(*check)(struct uri *, struct err *);	/* optional */
	int	(*open)(struct source **, const struct store_conf *,
		    struct err *);
	void	(*close)(struct source *);	/* frees it */
	int	(*account_facts)(struct source *, struct arena *,
		    struct account_info *, struct err *);	/* optional */
	int	(*list)(struct source *, struct arena *, struct folder_info **,
		    size_t *, struct err *);
	int	(*folder_open)(struct source *, struct folder_info *,
		    const struct buf *, uint32_t, enum delta *, struct err *);
	int	(*next)(struct source *, struct arena *, struct msg_meta *,
		    struct err *);
	int	(*only)(struct source *, const uint32_t *, size_t,
		    struct err *);			/* optional */
	int	(*still)(struct source *, const struct uid_range **,
		    size_t *, uint32_t *, struct err *);	/* optional */
	int	(*want)(struct source *, const struct msg_meta *const *,
		    size_t, struct err *);			/* optional */
	int	(*content)(struct source *, const struct msg_meta *,
		    struct content **, struct err *);
	int	(*folder_count)(struct source *, uint64_t *, struct err *);
	int	(*folder_token)(struct source *, struct buf *,
		    struct err *);				/* optional */
	void	(*folder_close)(struct source *);
};

/* The first member of every back end's own struct; open() allocates it with
 * calloc and sets nothing here. */
struct source {
	const struct source_ops	*ops;
	struct store_conf	 conf;
	bool			 in_folder;
	struct folder_info	*folder;	/* the open one */
};

/* One line of the report, for the open mailbox (or the account). */
void	source_warn(struct source *, const char *where, const char *fmt, ...)
	    __attribute__((format(printf, 3, 4)));

extern const struct source_ops *const source_table[];	/* registry.c */

#endif
