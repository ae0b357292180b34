/*
 * A private sync_server: started without a shell, in a session of its own (a
 * terminal's signals are ours), with one end of a socket pair as its input and
 * output and a pipe for what it complains of.
 *
 * sync_server becomes the Cyrus user by itself.  What it stages is dealt with in
 * sync_stage.c.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/xmalloc.h"
#include "cyrus/sync.h"
#include "cyrus/sync_stage.h"

#define END_MS		10000	/* for a child that was asked to go */
#define WORDS_MAX	300
#define ROOM_MIN	((uint64_t)1 << 20)	/* or a partition is full */

struct sync_child {
	pid_t		 pid;
	int		 words;		/* its stderr; nonblocking */
	char		**partitions;	/* NULL-terminated */
};

/* Where packages and a build from source have it. */
static const char *const places[] = {
	"/usr/lib/cyrus/bin", "/usr/lib/cyrus-imapd", "/usr/libexec/cyrus-imapd",
	"/usr/lib/cyrus-imapd/bin", "/usr/cyrus/bin", "/usr/cyrus/libexec",
	"/usr/local/cyrus/libexec", "/usr/local/libexec/cyrus-imapd",
	"/usr/local/libexec", "/usr/local/cyrus/bin", NULL
};

static bool
is_there(const char *dir, char path[PATH_MAX])
{
	int n = snprintf(path, PATH_MAX, "%s/sync_server", dir);

	return n > 0 && n < PATH_MAX && access(path, X_OK) == 0;
}

static int
find_program(const char *libexec, char path[PATH_MAX], struct err *e)
{
	if (libexec != NULL) {
		if (is_there(libexec, path))
			return 0;
		return err_sys(e, ERR_ACCOUNT, "libexec=%s: %s", libexec, path);
	}
	for (size_t i = 0; places[i] != NULL; i++)
		if (is_there(places[i], path))
			return 0;
	return err_set(e, ERR_ACCOUNT, "sync_server is in no known place: install "
	    "Cyrus' replication package, or say where it is with libexec=");
}

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

/* Input, output and complaints; everything else is closed. */
static int
spawn(pid_t *pid, const char *program, const char *file, int sock, int words)
{
	char *argv[] = { xstrdup("sync_server"), xstrdup("-X"), xstrdup("-C"),
	    xstrdup(file), NULL };
	char *env[] = { xstrdup("CYRUS_SERVICE=csync"), xstrdup("CYRUS_ID=0"),
	    xstrdup("PATH=/usr/bin:/bin"), xstrdup("LC_ALL=C"), NULL };
	posix_spawn_file_actions_t fa;
	posix_spawnattr_t at;
	sigset_t none, all;
	int rc;

	sigemptyset(&none);
	sigfillset(&all);
	posix_spawn_file_actions_init(&fa);
	posix_spawn_file_actions_adddup2(&fa, sock, 0);
	posix_spawn_file_actions_adddup2(&fa, sock, 1);
	posix_spawn_file_actions_adddup2(&fa, words, 2);
	posix_spawn_file_actions_addclosefrom_np(&fa, 3);
	posix_spawnattr_init(&at);
	posix_spawnattr_setsigmask(&at, &none);
	posix_spawnattr_setsigdefault(&at, &all);
	posix_spawnattr_setflags(&at, POSIX_SPAWN_SETSIGMASK |
	    POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSID);
	rc = posix_spawn(pid, program, &fa, &at, argv, env);
	posix_spawnattr_destroy(&at);
	posix_spawn_file_actions_destroy(&fa);
	for (size_t i = 0; argv[i] != NULL; i++)
		free(argv[i]);
	for (size_t i = 0; env[i] != NULL; i++)
		free(env[i]);
	return rc;
}

int
sync_child_start(struct sync_child **cp, const struct cyrus_conf *conf,
    const char *file, const char *libexec, int *fd, struct err *e)
{
	char program[PATH_MAX];
	struct sync_child *c;
	int pair[2], words[2], rc;
	pid_t pid = 0;

	*cp = NULL;
	if (find_program(libexec, program, e) == -1)
		return -1;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == -1)
		return err_sys(e, ERR_HOST, "socketpair");
	if (pipe2(words, O_CLOEXEC | O_NONBLOCK) == -1) {
		close(pair[0]);
		close(pair[1]);
		return err_sys(e, ERR_HOST, "pipe");
	}
	rc = spawn(&pid, program, file, pair[1], words[1]);
	close(pair[1]);
	close(words[1]);
	if (rc != 0 || fcntl(pair[0], F_SETFL, O_NONBLOCK) == -1) {
		errno = rc;
		err_sys(e, ERR_HOST, "start %s", program);
		close(pair[0]);
		close(words[0]);
		return -1;
	}
	c = xcalloc(1, sizeof *c);
	c->pid = pid;
	c->words = words[0];
	c->partitions = partitions_of(conf);
	for (size_t i = 0; c->partitions[i] != NULL; i++) {
		stage_sweep_stale(c->partitions[i]);
		stage_mark(c->partitions[i], pid);
	}
	*fd = pair[0];
	*cp = c;
	fault_point("child.started");
	return 0;
}

pid_t
sync_child_pid(const struct sync_child *c)
{
	return c->pid;
}

static void
wait_a_bit(void)
{
	nanosleep(&(struct timespec){ .tv_nsec = 5000000 }, NULL);
}

/* Its end: by itself, for its input is at its end; else by force. */
static int
reap(struct sync_child *c)
{
	int status = 0;
	pid_t got;

	for (unsigned ms = 0; ms < END_MS; ms += 5) {
		got = waitpid(c->pid, &status, WNOHANG);
		if (got == c->pid || (got == -1 && errno != EINTR))
			return status;
		wait_a_bit();
	}
	kill(c->pid, SIGKILL);
	while (waitpid(c->pid, &status, 0) == -1 && errno == EINTR)
		;
	return status;
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

/* How it ended and the first words of its complaint. */
static void
explain(struct sync_child *c, int status, struct err *e)
{
	char words[WORDS_MAX], how[60], why[sizeof e->text];
	ssize_t n = read(c->words, words, sizeof words - 1);

	if (n < 0)
		n = 0;
	words[n] = '\0';
	for (char *p = words; *p != '\0'; p++)
		if ((unsigned char)*p < ' ' || (unsigned char)*p > '~')
			*p = ' ';
	if (WIFSIGNALED(status))
		snprintf(how, sizeof how, "was killed by signal %d",
		    WTERMSIG(status));
	else
		snprintf(how, sizeof how, "ended with %d",
		    WEXITSTATUS(status));
	memcpy(why, e->text, sizeof why);
	snprintf(e->text, sizeof e->text, "sync_server %s%s%.200s (%.150s)%s",
	    how, words[0] != '\0' ? ": " : "", words, why, no_room(c) ?
	    " (the target's disk is full)" : "");
	if (no_room(c)) {
		e->scope = ERR_HOST;
		e->cause = CAUSE_DISK;
		e->retry = true;
	}
}

void
sync_child_end(struct sync_child **cp, struct err *e)
{
	struct sync_child *c = *cp;
	int status;

	*cp = NULL;
	if (c == NULL)
		return;
	status = reap(c);
	if (e != NULL && e->cause != CAUSE_CANCELLED)
		explain(c, status, e);
	for (size_t i = 0; c->partitions[i] != NULL; i++) {
		stage_sweep(c->partitions[i], c->pid);
		free(c->partitions[i]);
	}
	free(c->partitions);
	close(c->words);
	free(c);
}
