/* What a private sync_server stages, and leaves behind when it is killed. */
#ifndef CYRUS_SYNC_STAGE_H
#define CYRUS_SYNC_STAGE_H

#include <sys/types.h>

/* For each partition's directory: a mark for a process of ours that begins; its
 * files are removed when it has ended; those of earlier ones, ended without
 * us, as well.  Nothing of another's is touched; what fails is left. */
void	stage_mark(const char *partition, pid_t pid);
void	stage_sweep(const char *partition, pid_t pid);
void	stage_sweep_stale(const char *partition);

#endif
