/* A child that serves us: see child.h. */
#include "base/child.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/xmalloc.h"

#define SEND_ROOM	(4 << 20)

struct child {
	pid_t		 pid;
	int		 words;		/* its stderr; nonblocking */
	char		 said[CHILD_WORDS + 1];
	size_t		 nsaid;
};

/* Settings of the same program above us must not get into it. */
static const char *const common_env[] = {
	"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
	"LC_ALL=C", NULL
};
static const char *const none[] = { NULL };

static size_t
count(const char *const *list)
{
	size_t n = 0;

	while (list[n] != NULL)
		n++;
	return n;
}

/* Both lists in one, which may be written to. */
static char **
joined(const char *const *first, const char *const *second)
{
	size_t n = count(first), more = count(second);
	char **copy = xcalloc(n + more + 1, sizeof *copy);

	for (size_t i = 0; i < n; i++)
		copy[i] = xstrdup(first[i]);
	for (size_t i = 0; i < more; i++)
		copy[n + i] = xstrdup(second[i]);
	return copy;
}

static void
free_list(char **list)
{
	for (size_t i = 0; list[i] != NULL; i++)
		free(list[i]);
	free(list);
}

static int
spawn(pid_t *pid, const char *const *argv, const char *const *env, int in,
    int out, int words)
{
	char **args = joined(argv, none);
	char **vars = joined(common_env, env != NULL ? env : none);
	posix_spawn_file_actions_t fa;
	posix_spawnattr_t at;
	sigset_t nothing, all;
	int rc;

	sigemptyset(&nothing);
	sigfillset(&all);
	posix_spawn_file_actions_init(&fa);
	posix_spawn_file_actions_adddup2(&fa, in, 0);
	posix_spawn_file_actions_adddup2(&fa, out, 1);
	posix_spawn_file_actions_adddup2(&fa, words, 2);
	posix_spawn_file_actions_addclosefrom_np(&fa, 3);
	posix_spawnattr_init(&at);
	posix_spawnattr_setsigmask(&at, &nothing);
	posix_spawnattr_setsigdefault(&at, &all);
	posix_spawnattr_setflags(&at, POSIX_SPAWN_SETSIGMASK |
	    POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSID);
	rc = posix_spawnp(pid, argv[0], &fa, &at, args, vars);
	posix_spawnattr_destroy(&at);
	posix_spawn_file_actions_destroy(&fa);
	free_list(args);
	free_list(vars);
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
child_start(struct child **cp, const char *const *argv,
    const char *const *env, int *fd, int *in, struct err *e)
{
	/* Ours and the child's, three times: a pair, its words, its output. */
	int fds[6] = { -1, -1, -1, -1, -1, -1 }, rc = 0;
	const int room = SEND_ROOM;
	struct child *c;
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
		rc = spawn(&pid, argv, env, fds[1], in != NULL ? fds[5] :
		    fds[1], fds[3]);
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

pid_t
child_pid(const struct child *c)
{
	return c->pid;
}

/* The first of it is kept, and the pipe never fills up. */
void
child_listen(struct child *c)
{
	char chunk[4096];
	ssize_t n;

	while ((n = read(c->words, chunk, sizeof chunk)) > 0) {
		size_t take = (size_t)n < CHILD_WORDS - c->nsaid ? (size_t)n :
		    CHILD_WORDS - c->nsaid;

		memcpy(c->said + c->nsaid, chunk, take);
		c->nsaid += take;
	}
}

/* Its end: by itself, for its input is at its end; else by force. */
static int
reap(struct child *c, unsigned most_ms)
{
	int status = 0;
	pid_t got;

	for (unsigned ms = 0; ms < most_ms; ms += 2) {
		child_listen(c);
		got = waitpid(c->pid, &status, WNOHANG);
		if (got == c->pid || (got == -1 && errno != EINTR)) {
			child_listen(c);
			return status;
		}
		nanosleep(&(struct timespec){ .tv_nsec = 2000000 }, NULL);
	}
	kill(c->pid, SIGKILL);
	while (waitpid(c->pid, &status, 0) == -1 && errno == EINTR)
		;
	child_listen(c);
	return status;
}

/* Its first line, or the first that tells of an error; cleaned. */
static const char *
complaint(struct child *c)
{
	char *rest = c->said, *line, *best = NULL;

	c->said[c->nsaid] = '\0';
	for (char *q = c->said; q < c->said + c->nsaid; q++)
		if (*q != '\n' && ((unsigned char)*q < ' ' ||
		    (unsigned char)*q > '~'))
			*q = ' ';
	while ((line = strsep(&rest, "\n")) != NULL) {
		if (strcasestr(line, "error: ") != NULL || strstr(line,
		    "Fatal: ") != NULL || strstr(line, "Panic: ") != NULL)
			return line;
		if (best == NULL)
			best = line;
	}
	return best != NULL ? best : "";
}

void
child_end(struct child **cp, unsigned ms, struct child_ending *end)
{
	struct child *c = *cp;
	int status;

	*cp = NULL;
	status = reap(c, ms);
	if (end != NULL) {
		end->code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
		end->signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
		snprintf(end->words, sizeof end->words, "%s", complaint(c));
	}
	close(c->words);
	free(c);
}

void
child_explain(const struct child_ending *end, const char *name,
    struct err *e)
{
	char how[60], why[sizeof e->text];

	if (end->code == -1)
		snprintf(how, sizeof how, "was killed by signal %d",
		    end->signal);
	else
		snprintf(how, sizeof how, "ended with %d", end->code);
	memcpy(why, e->text, sizeof why);
	snprintf(e->text, sizeof e->text, "%.40s %s%s%.220s (%.120s)", name,
	    how, end->words[0] != '\0' ? ": " : "", end->words, why);
}
