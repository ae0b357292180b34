/* In-memory stores: what its source and its target share. */
#ifndef MEM_IMPL_H
#define MEM_IMPL_H

#include "mem/mem_store.h"

struct mem_late {
	struct mem_late	*next;
	struct mem_folder *folder;
	uint64_t	 due_ms;	/* CLOCK_MONOTONIC */
	const char	*bytes;
	size_t		 len;
	unsigned	 flags;
	char		*keywords;
	int64_t		 date;
};

void		 mem_lock(void);
void		 mem_unlock(void);
struct mem_store *mem_find(const char *name);		/* under the lock */
void		*mem_alloc(struct mem_store *, size_t);
uint64_t	 mem_now_ms(void);
/* A folder's rights as an array, in the arena. */
void		 mem_acl(struct arena *, const char *text,
		    const struct acl_entry **, size_t *n);
int		 mem_internal_error(const struct mem_store *, struct err *);

#endif
