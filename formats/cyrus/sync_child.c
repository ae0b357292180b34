/*
 * A private sync_server: a child (base/child.h) that speaks the protocol.
 *
 * It becomes the Cyrus user by itself.  What it stages is dealt with in
 * sync_stage.c.
 */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>

#include "base/child.h"
#include "base/xmalloc.h"
#include "cyrus/cyrus_places.h"
#include "cyrus/sync.h"
#include "cyrus/sync_stage.h"

#define END_MS		10000	/* for a child that was asked to go */
#define ROOM_MIN	((uint64_t)1 << 20)	/* or a partition is full */

struct sync_child {
	struct child	*child;
	char		**partitions;	/* NULL-terminated */
};

/* The partitions, in which a child may leave something. */
static char **
partitions_of(const struct cyrus_conf *c)
{
	const char *name, *dir;
	char **list;
	size_t n = 0;

	while (cyrus_conf_partition(c, n, &name, &dir))
		n++;
	list = xcalloc(n + 1, sizeof *list);
	for (size_t i = 0; i < n; i++) {
		cyrus_conf_partition(c, i, &name, &dir);
		list[i] = xstrdup(dir);
	}
	return list;
}

int
sync_child_start(struct sync_child **cp, const struct cyrus_conf *conf,
    const char *file, const char *libexec, const char *preload, int *fd,
    struct err *e)
{
	char program[PATH_MAX], load[PATH_MAX + 20] = "";
	const char *env[] = { "CYRUS_SERVICE=csync", "CYRUS_ID=0",
	    preload != NULL ? load : NULL, NULL };
	const char *argv[] = { program, "-X", "-C", file, NULL };
	struct child *child;
	struct sync_child *c;

	*cp = NULL;
	if (preload != NULL)
		snprintf(load, sizeof load, "LD_PRELOAD=%s", preload);
	if (cyrus_program("sync_server", libexec, program, e) == -1 ||
	    child_start(&child,
	    argv, env, fd, NULL, e) == -1)
		return -1;
	c = xcalloc(1, sizeof *c);
	c->child = child;
	c->partitions = partitions_of(conf);
	for (size_t i = 0; c->partitions[i] != NULL; i++) {
		stage_sweep_stale(c->partitions[i]);
		stage_mark(c->partitions[i], child_pid(child));
	}
	*cp = c;
	return 0;
}

pid_t
sync_child_pid(const struct sync_child *c)
{
	return child_pid(c->child);
}

/* Is there a partition without room? */
static bool
no_room(const struct sync_child *c)
{
	struct statvfs fs;

	for (size_t i = 0; c->partitions[i] != NULL; i++)
		if (statvfs(c->partitions[i], &fs) == 0 &&
		    (uint64_t)fs.f_bavail * fs.f_frsize < ROOM_MIN)
			return true;
	return false;
}

void
sync_child_end(struct sync_child **cp, struct err *e)
{
	struct sync_child *c = *cp;
	struct child_ending end;
	pid_t pid;

	*cp = NULL;
	if (c == NULL)
		return;
	pid = child_pid(c->child);
	child_end(&c->child, END_MS, &end);
	if (e != NULL && e->cause != CAUSE_CANCELLED)
		child_explain(&end, "sync_server", e);
	if (e != NULL && e->cause != CAUSE_CANCELLED && no_room(c)) {
		size_t n = strlen(e->text);

		snprintf(e->text + n, sizeof e->text - n, " (the target's "
		    "disk is full)");
		e->scope = ERR_HOST;
		e->cause = CAUSE_DISK;
		e->retry = true;
	}
	for (size_t i = 0; c->partitions[i] != NULL; i++) {
		stage_sweep(c->partitions[i], pid);
		free(c->partitions[i]);
	}
	free(c->partitions);
	free(c);
}
