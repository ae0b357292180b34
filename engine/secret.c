/* Passwords and tokens from files, variables, programs and the terminal. */
#include "secret.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/xmalloc.h"

#define SECRET_MAX	16384		/* bytes; tokens can be long */
#define COMMAND_SECONDS	120
#define ASK_SECONDS	300

extern char **environ;

enum entry_state {
	BUSY,		/* somebody is fetching it */
	READY,
	STALE		/* renewed or failed; others may still hold it */
};

struct entry {
	struct entry	*next;
	enum secret_kind kind;
	char		*source;	/* file, variable, command, ... */
	char		*secret;
	enum entry_state state;
};

struct secrets {
	pthread_mutex_t	 lock;		/* entries and their states */
	pthread_cond_t	 changed;	/* some entry is not BUSY any more */
	struct entry	*entries;
	pthread_mutex_t	 terminal;	/* one question at a time */
	unsigned	 prompts_left;	/* under terminal */
};

static const struct { const char *key; enum secret_kind kind; } options[] = {
	{ "secret-file", SECRET_FILE }, { "secret-env", SECRET_ENV },
	{ "secret-fd", SECRET_FD }, { "secret-command", SECRET_COMMAND }
};
#define NOPTIONS (sizeof options / sizeof options[0])

static void
wipe_free(char **s)
{
	if (*s != NULL)
		explicit_bzero(*s, strlen(*s));
	free(*s);
	*s = NULL;
}

/* Specs */

static const char *
login_of(const struct uri *u, const char *key)
{
	size_t i;

	for (i = 0; i < u->nopts; i++)
		if (strcmp(u->opts[i].key, key) == 0)
			return u->opts[i].val;
	return NULL;
}

/* Whom to ask for at a prompt, "anna@imap.example.net". */
static char *
login_name(const struct uri *u)
{
	struct buf b;

	buf_init(&b, SIZE_MAX / 4);
	buf_addf(&b, "%s@%s", u->user, u->host);
	if (u->port != 0)
		buf_addf(&b, ":%u", u->port);
	return buf_detach(&b, NULL);
}

int
secret_spec_take(struct uri *u, const char *listed, struct secret_spec *spec,
    struct err *e)
{
	const char *given = NULL, *auth;
	struct uri_opt *o;
	size_t i, k;

	spec->kind = SECRET_NONE;
	spec->value = NULL;
	for (k = 0; k < NOPTIONS; k++)
		for (i = 0; i < u->nopts; i++) {
			o = &u->opts[i];
			if (strcmp(o->key, options[k].key) != 0)
				continue;
			if (given != NULL)
				return err_set(e, ERR_RUN, "%s URI: %s and %s; "
				    "give one of them", u->scheme, given,
				    options[k].key);
			given = options[k].key;
			spec->kind = options[k].kind;
			spec->value = o->val;
			free(o->key);
			u->nopts--;
			memmove(o, o + 1, (u->nopts - i) * sizeof *o);
			break;
		}
	if (given != NULL) {
		if (listed != NULL && *listed != '\0')
			return err_set(e, ERR_RUN, "%s URI: %s and a password "
			    "in the account list; give one of them",
			    u->scheme, given);
		if (spec->value[0] == '\0')
			return err_set(e, ERR_RUN, "%s URI: %s is empty",
			    u->scheme, given);
		return 0;
	}
	if (listed != NULL && *listed != '\0') {
		spec->kind = SECRET_LISTED;
		spec->value = xstrdup(listed);
		return 0;
	}
	auth = login_of(u, "auth");
	if (u->host == NULL || u->user == NULL || (auth != NULL &&
	    (strcmp(auth, "external") == 0 || strcmp(auth, "anonymous") == 0)))
		return 0;
	spec->kind = SECRET_PROMPT;
	spec->value = login_name(u);
	return 0;
}

void
secret_spec_release(struct secret_spec *spec)
{
	wipe_free(&spec->value);
	spec->kind = SECRET_NONE;
}

/* Reading */

/*
 * The first line of n bytes at p, for the caller to wipe and free.  what names
 * the place.
 */
static char *
first_line(const char *p, size_t n, const char *what, struct err *e)
{
	const char *nl = memchr(p, '\n', n);
	size_t len = nl != NULL ? (size_t)(nl - p) : n;

	if (len > 0 && p[len - 1] == '\r')
		len--;
	if (len == 0)
		err_set(e, ERR_RUN, "%s: the first line is empty", what);
	else if (len > SECRET_MAX - 2)
		err_set(e, ERR_RUN, "%s: a line of more than %d bytes is no "
		    "secret", what, SECRET_MAX - 2);
	else if (memchr(p, '\0', len) != NULL)
		err_set(e, ERR_RUN, "%s: a NUL byte in the secret", what);
	else
		return xmemdup0(p, len);
	return NULL;
}

static int64_t
now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/*
 * Reads fd to its end, or with one_line to the first line's, but no more than
 * SECRET_MAX bytes and not beyond the deadline (now_ms(); 0: none).  Byte by
 * byte with one_line, so that what follows stays there for others.
 */
static ssize_t
read_some(int fd, char *p, bool one_line, int64_t deadline)
{
	struct pollfd pfd = { .fd = fd, .events = POLLIN };
	int64_t left;
	size_t n = 0;
	ssize_t r;

	while (n < SECRET_MAX) {
		if (deadline != 0) {
			left = deadline - now_ms();
			if (left <= 0 || (r = poll(&pfd, 1, (int)left)) == 0) {
				errno = ETIMEDOUT;
				return -1;
			}
			if (r == -1 && errno != EINTR)
				return -1;
			if (r == -1)
				continue;
		}
		r = read(fd, p + n, one_line ? 1 : SECRET_MAX - n);
		if (r == -1 && errno == EINTR)
			continue;
		if (r == -1)
			return -1;
		if (r == 0)
			break;
		n += (size_t)r;
		if (one_line && p[n - 1] == '\n')
			break;
	}
	return (ssize_t)n;
}

static char *
from_fd(int fd, bool one_line, const char *what, struct err *e)
{
	char *p = xmalloc(SECRET_MAX), *s = NULL;
	ssize_t n = read_some(fd, p, one_line, 0);

	if (n == -1)
		err_sys(e, ERR_RUN, "read %s", what);
	else
		s = first_line(p, (size_t)n, what, e);
	explicit_bzero(p, SECRET_MAX);
	free(p);
	return s;
}

static char *
from_file(const char *path, struct err *e)
{
	struct stat st;
	char *s = NULL;
	int fd;

	/* Not to hang on a fifo that nobody writes to. */
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (fd == -1) {
		err_sys(e, ERR_ACCOUNT, "secret file %s", path);
		return NULL;
	}
	if (fstat(fd, &st) == -1)
		err_sys(e, ERR_ACCOUNT, "secret file %s", path);
	else if (!S_ISREG(st.st_mode))
		err_set(e, ERR_RUN, "secret file %s: this is no plain file",
		    path);
	else if ((st.st_mode & 077) != 0)
		err_set(e, ERR_RUN, "secret file %s: others can read it; "
		    "chmod 600 it", path);
	else
		s = from_fd(fd, false, path, e);
	close(fd);
	return s;
}

static char *
from_env(const char *name, struct err *e)
{
	const char *s = getenv(name);

	if (s == NULL) {
		err_set(e, ERR_RUN, "secret-env: there is no environment "
		    "variable %s", name);
		return NULL;
	}
	return first_line(s, strlen(s), name, e);
}

static char *
from_fd_number(const char *text, struct err *e)
{
	unsigned fd = 0;
	const char *p;

	for (p = text; *p >= '0' && *p <= '9' && fd < 100000; p++)
		fd = fd * 10 + (unsigned)(*p - '0');
	if (*p != '\0' || p == text || fd == 1 || fd == 2) {
		err_set(e, ERR_RUN, "secret-fd=%s: give the number of a file "
		    "descriptor that can be read, 0 or 3 and up", text);
		return NULL;
	}
	return from_fd((int)fd, true, "secret-fd", e);
}

/* Commands */

char **
secret_split(const char *p, struct err *e)
{
	size_t len = strlen(p), n = 0;
	/* As many words as there could be, and their bytes behind them. */
	char **argv = xmalloc((len / 2 + 2) * sizeof *argv + len + 1);
	char *to = (char *)(argv + len / 2 + 2), quote;

	for (;;) {
		p += strspn(p, " \t");
		if (*p == '\0')
			break;
		argv[n++] = to;
		for (quote = '\0'; *p != '\0'; p++) {
			if (quote == '\0' && (*p == ' ' || *p == '\t'))
				break;
			if (quote == '\0' && (*p == '\'' || *p == '"'))
				quote = *p;
			else if (quote != '\0' && *p == quote)
				quote = '\0';
			else if (*p == '\\' && quote != '\'' && p[1] != '\0')
				*to++ = *++p;
			else
				*to++ = *p;
		}
		*to++ = '\0';
		if (quote != '\0') {
			err_set(e, ERR_RUN,
			    "secret-command: the quotes do not close");
			free(argv);
			return NULL;
		}
	}
	argv[n] = NULL;
	if (n == 0 || argv[0][0] == '\0') {
		err_set(e, ERR_RUN, "secret-command: there is no command");
		free(argv);
		return NULL;
	}
	return argv;
}

/* Starts argv with its output going to out; signals as in a fresh process. */
static int
start(char **argv, int out, pid_t *pid, struct err *e)
{
	posix_spawn_file_actions_t files;
	posix_spawnattr_t attr;
	sigset_t none, all;
	int rc;

	posix_spawn_file_actions_init(&files);
	posix_spawnattr_init(&attr);
	sigemptyset(&none);
	sigfillset(&all);
	posix_spawnattr_setsigmask(&attr, &none);
	posix_spawnattr_setsigdefault(&attr, &all);
	posix_spawnattr_setflags(&attr,
	    POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
	posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_adddup2(&files, out, 1);
	rc = posix_spawnp(pid, argv[0], &files, &attr, argv, environ);
	posix_spawnattr_destroy(&attr);
	posix_spawn_file_actions_destroy(&files);
	if (rc != 0) {
		errno = rc;
		return err_sys(e, ERR_RUN, "secret-command: start %s",
		    argv[0]);
	}
	return 0;
}

/* The program's name only: its arguments may be secrets themselves. */
static char *
judge(const char *name, int status, const char *p, ssize_t n, struct err *e)
{
	if (n == -1 && errno == ETIMEDOUT)
		err_retry(e, ERR_ACCOUNT, "secret-command: %s took longer "
		    "than %d seconds", name, COMMAND_SECONDS);
	else if (n == -1)
		err_sys(e, ERR_RUN, "secret-command: read from %s", name);
	else if (WIFSIGNALED(status))
		err_set(e, ERR_ACCOUNT, "secret-command: %s was ended by "
		    "signal %d", name, WTERMSIG(status));
	else if (WEXITSTATUS(status) != 0)
		err_set(e, ERR_ACCOUNT, "secret-command: %s ended with exit "
		    "code %d", name, WEXITSTATUS(status));
	else
		return first_line(p, (size_t)n, name, e);
	return NULL;
}

/* Waits for a program to end, not for ever: SIGTERM at the deadline, SIGKILL
 * two seconds later.  Its wait status. */
static int
end_child(pid_t pid, int64_t deadline)
{
	const struct timespec pause = { 0, 20000000 };
	bool asked = false;
	int status = 0;

	for (;;) {
		pid_t rc = waitpid(pid, &status, WNOHANG);

		if (rc == pid || (rc == -1 && errno != EINTR))
			return status;
		if (now_ms() > deadline) {
			kill(pid, asked ? SIGKILL : SIGTERM);
			deadline = now_ms() + 2000;
			asked = true;
		}
		nanosleep(&pause, NULL);
	}
}

static char *
from_command(const char *command, struct err *e)
{
	char **argv = secret_split(command, e), *p, *s = NULL;
	int64_t deadline = now_ms() + COMMAND_SECONDS * 1000;
	int fds[2], status = 0, saved;
	ssize_t n;
	pid_t pid;

	if (argv == NULL)
		return NULL;
	if (pipe2(fds, O_CLOEXEC) == -1) {
		err_sys(e, ERR_RUN, "secret-command: pipe");
		goto out;
	}
	if (start(argv, fds[1], &pid, e) == -1) {
		close(fds[0]);
		close(fds[1]);
		goto out;
	}
	close(fds[1]);
	p = xmalloc(SECRET_MAX);
	n = read_some(fds[0], p, false, deadline);
	saved = errno;
	close(fds[0]);
	if (n == -1 || n == SECRET_MAX)
		kill(pid, SIGTERM);
	status = end_child(pid, deadline);
	errno = saved;
	s = judge(argv[0], status, p, n, e);
	explicit_bzero(p, SECRET_MAX);
	free(p);
out:
	explicit_bzero(argv, (strlen(command) / 2 + 2) * sizeof *argv +
	    strlen(command) + 1);
	free(argv);
	return s;
}

/* The terminal */

/* A line typed at fd into p: its length, -1: given up. */
static ssize_t
type_line(int fd, char *p, const sigset_t *watched)
{
	struct pollfd pfd = { .fd = fd, .events = POLLIN };
	int64_t deadline = now_ms() + ASK_SECONDS * 1000;
	sigset_t pending;
	size_t n = 0;
	ssize_t r;
	char c;
	int sig;

	for (;;) {
		if (now_ms() > deadline)
			return -1;
		sigpending(&pending);
		for (sig = 1; sig < 32; sig++)
			if (sigismember(watched, sig) == 1 &&
			    sigismember(&pending, sig) == 1)
				return -1;
		r = poll(&pfd, 1, 200);
		if (r == 0 || (r == -1 && errno == EINTR))
			continue;
		if (r == -1 || read(fd, &c, 1) != 1)
			return -1;
		switch (c) {
		case '\r':
		case '\n':
			return (ssize_t)n;
		case 3:			/* ^C */
		case 28:		/* ^\ */
			return -1;
		case 4:			/* ^D */
			return n > 0 ? (ssize_t)n : -1;
		case 8:
		case 127:
			n -= n > 0;
			break;
		case 21:		/* ^U */
			n = 0;
			break;
		default:
			if (n < SECRET_MAX - 2)
				p[n++] = c;
		}
	}
}

static void
say(int fd, const char *s)
{
	ssize_t r = write(fd, s, strlen(s));

	(void)r;			/* a terminal that is gone */
}

char *
secret_ask(int fd, const char *question, struct err *e)
{
	struct termios old, new;
	sigset_t block, oldmask;
	char *p, *s = NULL;
	ssize_t n;

	if (tcgetattr(fd, &old) == -1) {
		err_sys(e, ERR_RUN, "terminal");
		return NULL;
	}
	/* A signal must not leave the terminal without echo: those that would
	 * end us wait until it is as before. */
	sigemptyset(&block);
	sigaddset(&block, SIGINT);
	sigaddset(&block, SIGTERM);
	sigaddset(&block, SIGHUP);
	sigaddset(&block, SIGQUIT);
	sigaddset(&block, SIGTSTP);
	sigaddset(&block, SIGTTOU);
	pthread_sigmask(SIG_BLOCK, &block, &oldmask);
	sigdelset(&block, SIGTTOU);
	new = old;
	new.c_lflag &= ~(tcflag_t)(ECHO | ECHONL | ICANON | ISIG | IEXTEN);
	new.c_cc[VMIN] = 1;
	new.c_cc[VTIME] = 0;
	p = xmalloc(SECRET_MAX);
	if (tcsetattr(fd, TCSAFLUSH, &new) == -1)
		err_sys(e, ERR_RUN, "terminal");
	else {
		say(fd, question);
		n = type_line(fd, p, &block);
		tcsetattr(fd, TCSAFLUSH, &old);
		say(fd, "\n");
		if (n == -1)
			err_set(e, ERR_RUN, "no password was typed");
		else
			s = first_line(p, (size_t)n, "password", e);
	}
	explicit_bzero(p, SECRET_MAX);
	free(p);
	pthread_sigmask(SIG_SETMASK, &oldmask, NULL);
	return s;
}

static char *
from_terminal(struct secrets *ss, const char *who, struct err *e)
{
	struct buf q;
	char *s;
	int fd = -1;

	pthread_mutex_lock(&ss->terminal);
	if (ss->prompts_left > 0 && (fd = open("/dev/tty", O_RDWR |
	    O_CLOEXEC | O_NOCTTY)) != -1)
		ss->prompts_left--;
	if (fd == -1) {
		pthread_mutex_unlock(&ss->terminal);
		err_set(e, ERR_RUN, "no password for %s; give secret-file=, "
		    "secret-env=, secret-fd= or secret-command= in its URI, "
		    "or a password column in the account list", who);
		return NULL;
	}
	buf_init(&q, 1024);
	buf_addf(&q, "Password for %s: ", who);
	s = secret_ask(fd, q.ptr, e);
	buf_release(&q);
	close(fd);
	pthread_mutex_unlock(&ss->terminal);
	return s;
}

/* What is kept */

struct secrets *
secrets_new(unsigned max_prompts)
{
	struct secrets *ss = xcalloc(1, sizeof *ss);

	pthread_mutex_init(&ss->lock, NULL);
	pthread_mutex_init(&ss->terminal, NULL);
	pthread_cond_init(&ss->changed, NULL);
	ss->prompts_left = max_prompts;
	return ss;
}

void
secrets_free(struct secrets **sp)
{
	struct secrets *ss = *sp;
	struct entry *n, *next;

	if (ss == NULL)
		return;
	for (n = ss->entries; n != NULL; n = next) {
		next = n->next;
		wipe_free(&n->source);
		wipe_free(&n->secret);
		free(n);
	}
	pthread_mutex_destroy(&ss->lock);
	pthread_mutex_destroy(&ss->terminal);
	pthread_cond_destroy(&ss->changed);
	free(ss);
	*sp = NULL;
}

static struct entry *
find(struct secrets *ss, const struct secret_spec *spec)
{
	struct entry *n;

	for (n = ss->entries; n != NULL; n = n->next)
		if (n->state != STALE && n->kind == spec->kind &&
		    strcmp(n->source, spec->value) == 0)
			return n;
	return NULL;
}

static char *
fetch(struct secrets *ss, const struct secret_spec *spec, struct err *e)
{
	switch (spec->kind) {
	case SECRET_FILE:
		return from_file(spec->value, e);
	case SECRET_ENV:
		return from_env(spec->value, e);
	case SECRET_FD:
		return from_fd_number(spec->value, e);
	case SECRET_COMMAND:
		return from_command(spec->value, e);
	case SECRET_PROMPT:
		return from_terminal(ss, spec->value, e);
	case SECRET_NONE:
	case SECRET_LISTED:
		break;
	}
	return NULL;
}

int
secret_get(struct secrets *ss, const struct secret_spec *spec,
    const char **secret, struct err *e)
{
	struct entry *n;
	char *s;

	*secret = NULL;
	if (spec->kind == SECRET_NONE)
		return 0;
	if (spec->kind == SECRET_LISTED) {
		*secret = spec->value;
		return 1;
	}
	pthread_mutex_lock(&ss->lock);
	while ((n = find(ss, spec)) != NULL && n->state == BUSY)
		pthread_cond_wait(&ss->changed, &ss->lock);
	if (n == NULL) {
		n = xcalloc(1, sizeof *n);
		n->kind = spec->kind;
		n->source = xstrdup(spec->value);
		n->state = BUSY;
		n->next = ss->entries;
		ss->entries = n;
		/* A slow command keeps only those waiting who need it. */
		pthread_mutex_unlock(&ss->lock);
		s = fetch(ss, spec, e);
		pthread_mutex_lock(&ss->lock);
		n->secret = s;
		n->state = s != NULL ? READY : STALE;
		pthread_cond_broadcast(&ss->changed);
	}
	*secret = n->secret;
	pthread_mutex_unlock(&ss->lock);
	return *secret != NULL ? 1 : -1;
}

void
secret_renew(struct secrets *ss, const struct secret_spec *spec,
    const char *old)
{
	struct entry *n;

	/* What was typed, or came through a pipe, cannot be had again. */
	if (spec->kind != SECRET_FILE && spec->kind != SECRET_COMMAND)
		return;
	pthread_mutex_lock(&ss->lock);
	if ((n = find(ss, spec)) != NULL && n->state == READY &&
	    n->secret == old)
		n->state = STALE;
	pthread_mutex_unlock(&ss->lock);
}
