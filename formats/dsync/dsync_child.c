/* A child that runs doveadm: see dsync_child.h. */
#include "dsync/dsync_child.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/xmalloc.h"

#define END_MS		20000	/* for a child that was asked to go */
#define WORDS_MAX	2000

/* Ends that no second try makes better: of doveadm, of Dovecot's binaries. */
enum { USAGE = 64, NO_USER = 67, NO_PERMISSION = 77, BAD_CONFIG = 78,
    NOT_RUN = 127 };

struct dsync_child {
	pid_t		 pid;
	int		 words;		/* its stderr; nonblocking */
	char		 said[WORDS_MAX + 1];
	size_t		 nsaid;
};

static int
spawn(pid_t *pid, const char *const *argv, int in, int out, int words)
{
	/* Settings of a doveadm or Dovecot above us must not get into it. */
	static char path[] = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:"
	    "/usr/bin:/sbin:/bin", locale[] = "LC_ALL=C";
	char *env[] = { path, locale, NULL }, **copy;
	posix_spawn_file_actions_t fa;
	posix_spawnattr_t at;
	sigset_t none, all;
	size_t n = 0;
	int rc;

	while (argv[n] != NULL)
		n++;
	copy = xcalloc(n + 1, sizeof *copy);
	for (size_t i = 0; i < n; i++)
		copy[i] = xstrdup(argv[i]);
	sigemptyset(&none);
	sigfillset(&all);
	posix_spawn_file_actions_init(&fa);
	posix_spawn_file_actions_adddup2(&fa, in, 0);
	posix_spawn_file_actions_adddup2(&fa, out, 1);
	posix_spawn_file_actions_adddup2(&fa, words, 2);
	posix_spawn_file_actions_addclosefrom_np(&fa, 3);
	posix_spawnattr_init(&at);
	posix_spawnattr_setsigmask(&at, &none);
	posix_spawnattr_setsigdefault(&at, &all);
	posix_spawnattr_setflags(&at, POSIX_SPAWN_SETSIGMASK |
	    POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSID);
	rc = posix_spawnp(pid, argv[0], &fa, &at, copy, env);
	posix_spawnattr_destroy(&at);
	posix_spawn_file_actions_destroy(&fa);
	for (size_t i = 0; i < n; i++)
		free(copy[i]);
	free(copy);
	return rc;
}

static void
close_all(int *fds, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (fds[i] != -1)
			close(fds[i]);
		fds[i] = -1;
	}
}

int
dsync_child_start(struct dsync_child **cp, const char *const *argv, int *fd,
    int *in, struct err *e)
{
	/* Ours and the child's, three times: a pair, its words, its output. */
	int fds[6] = { -1, -1, -1, -1, -1, -1 }, rc = 0;
	const int room = 4 << 20;
	struct dsync_child *c;
	pid_t pid = 0;

	*cp = NULL;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == -1 ||
	    pipe2(fds + 2, O_CLOEXEC) == -1 || (in != NULL &&
	    pipe2(fds + 4, O_CLOEXEC) == -1))
		rc = errno;
	for (size_t i = 0; i < 6 && rc == 0; i += 2)
		if (fds[i] != -1 && fcntl(fds[i], F_SETFL, O_NONBLOCK) == -1)
			rc = errno;
	/* What is on its way need not wait for the child. */
	if (rc == 0 && setsockopt(fds[0], SOL_SOCKET, SO_SNDBUFFORCE, &room,
	    sizeof room) == -1)
		(void)setsockopt(fds[0], SOL_SOCKET, SO_SNDBUF, &room,
		    sizeof room);
	if (rc == 0)
		rc = spawn(&pid, argv, fds[1], in != NULL ? fds[5] : fds[1],
		    fds[3]);
	if (rc != 0) {
		errno = rc;
		err_sys(e, ERR_HOST, "start %s", argv[0]);
		close_all(fds, 6);
		return -1;
	}
	for (size_t i = 1; i < 6; i += 2)
		close_all(fds + i, 1);
	c = xcalloc(1, sizeof *c);
	c->pid = pid;
	c->words = fds[2];
	*fd = fds[0];
	if (in != NULL)
		*in = fds[4];
	*cp = c;
	fault_point("child.started");
	return 0;
}

/* What it says on stderr; the first is kept, and the pipe never fills up. */
void
dsync_child_listen(struct dsync_child *c)
{
	char chunk[4096];
	ssize_t n;

	while ((n = read(c->words, chunk, sizeof chunk)) > 0) {
		size_t take = (size_t)n < WORDS_MAX - c->nsaid ? (size_t)n :
		    WORDS_MAX - c->nsaid;

		memcpy(c->said + c->nsaid, chunk, take);
		c->nsaid += take;
	}
}

/* Its end: by itself, for its input is at its end; else by force. */
static int
reap(struct dsync_child *c)
{
	int status = 0;
	pid_t got;

	for (unsigned ms = 0; ms < END_MS; ms += 2) {
		dsync_child_listen(c);
		got = waitpid(c->pid, &status, WNOHANG);
		if (got == c->pid || (got == -1 && errno != EINTR)) {
			dsync_child_listen(c);
			return status;
		}
		nanosleep(&(struct timespec){ .tv_nsec = 2000000 }, NULL);
	}
	kill(c->pid, SIGKILL);
	while (waitpid(c->pid, &status, 0) == -1 && errno == EINTR)
		;
	return status;
}

/* Its first line, or the first that tells of an error; cleaned. */
static const char *
complaint(struct dsync_child *c)
{
	char *rest = c->said, *line, *best = NULL;

	c->said[c->nsaid] = '\0';
	for (char *q = c->said; q < c->said + c->nsaid; q++)
		if (*q != '\n' && ((unsigned char)*q < ' ' || *q == 0x7f))
			*q = ' ';
	while ((line = strsep(&rest, "\n")) != NULL) {
		if (strstr(line, "Error: ") != NULL || strstr(line,
		    "Fatal: ") != NULL || strstr(line, "Panic: ") != NULL)
			return line;
		if (best == NULL)
			best = line;
	}
	return best != NULL ? best : "";
}

static void
explain(struct dsync_child *c, int status, struct err *e)
{
	const char *words = complaint(c);
	int end = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
	char how[60], why[sizeof e->text];

	if (WIFSIGNALED(status))
		snprintf(how, sizeof how, "was killed by signal %d",
		    WTERMSIG(status));
	else
		snprintf(how, sizeof how, "ended with %d", end);
	memcpy(why, e->text, sizeof why);
	snprintf(e->text, sizeof e->text, "doveadm %s%s%.220s (%.120s)", how,
	    words[0] != '\0' ? ": " : "", words, why);
	if (end == NO_USER || strcasestr(words, "user doesn't exist") !=
	    NULL) {
		e->scope = ERR_ACCOUNT;
		e->cause = CAUSE_MISSING;
		e->retry = false;
	} else if (strcasestr(words, "quota exceeded") != NULL)
		e->cause = CAUSE_QUOTA;
	else if (strcasestr(words, "no space left") != NULL ||
	    strcasestr(words, "not enough disk space") != NULL)
		e->cause = CAUSE_DISK;
	else if (end == USAGE || end == NO_PERMISSION || end == BAD_CONFIG ||
	    end == NOT_RUN)
		e->retry = false;
}

void
dsync_child_end(struct dsync_child **cp, struct err *e)
{
	struct dsync_child *c = *cp;
	int status;

	*cp = NULL;
	if (c == NULL)
		return;
	status = reap(c);
	if (e != NULL && e->cause != CAUSE_CANCELLED)
		explain(c, status, e);
	close(c->words);
	free(c);
}
