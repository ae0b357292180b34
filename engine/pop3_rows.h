/*
 * What POP3 servers call the messages of INBOXes, in the state: put there by
 * mailhaul uidl (pop3_run.h), taken by copies (pop3_give.h).
 */
#ifndef ENGINE_POP3_ROWS_H
#define ENGINE_POP3_ROWS_H

#include "base/arena.h"
#include "pop3_join.h"
#include "state.h"

/* What came of one account. */
struct pop3_result {
	const char	*account;
	const char	*server;
	int64_t		 taken;		/* when, epoch seconds */
	struct pop3_lists lists;	/* joined */
	const void	*const *keys;	/* of lists.mine, with their lengths */
	const size_t	*key_lens;
};

/* In one transaction, durable.  What was known of messages that the server no
 * longer lists stays. */
int	pop3_put(struct state *, const struct pop3_result *, struct err *);
/* Is anything known of this account? */
int	pop3_known(struct db *, const char *account, bool *, struct err *);
/* 1: *uidl (in the arena) and *order (0: as the UIDs) of a message; 0. */
int	pop3_find(struct db *, const char *account, const void *key,
	    size_t key_len, struct arena *, const char **uidl, uint32_t *order,
	    struct err *);
/* Of an account row that is about to be deleted. */
int	pop3_forget(struct db *, int64_t account_id, struct err *);

#endif
