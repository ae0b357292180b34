/*
 * fsync=batch: a private sync_server does not sync its files one by one; instead
 * every file system that Cyrus writes to is synced when a change is done, before
 * anybody is told so.
 *
 * Cyrus' databases rely on the order of their syncs, and the list of mailboxes
 * is one for all: so it is done only to a Cyrus that does not run and has nothing
 * but what this job made.
 */
#ifndef CYRUS_DISK_H
#define CYRUS_DISK_H

#include <sys/types.h>

#include "cyrus/cyrus_conf.h"
#include "source.h"

struct cyrus_disks;

/* The file systems of a configuration, held open.  The account's error. */
int	cyrus_disks_open(struct cyrus_disks **, const struct cyrus_conf *,
	    struct err *);
void	cyrus_disks_close(struct cyrus_disks **);
/* -1: what was written since the last time may not be on the disk. */
int	cyrus_disks_sync(struct cyrus_disks *, struct err *);

/* The library to be preloaded; in out. */
int	cyrus_nosync_find(char *out, size_t room, struct err *);
/* Has a process loaded it? */
int	cyrus_nosync_check(pid_t, struct err *);

/* cyrus_alone.c: no Cyrus runs on that configuration, and all its mailboxes are
 * of users that this job made. */
int	cyrus_alone(const struct store_conf *, const struct cyrus_conf *,
	    const char *file, const char *libexec, struct err *);

#endif
