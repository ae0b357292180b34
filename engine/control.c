/* Stop, pause and resume, by a word in the lock file of the state. */
#include "control.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/fault.h"
#include "lane.h"

#define POLL_MS	50
#define PLACE	64	/* behind the pid */
#define LEN	32

static const char *const words[] = { "", "stop", "pause", "resume" };

const char *
control_word(enum control c)
{
	return words[c];
}

/* What stands there: "WORD PID", of who asks; "done PID" is the answer. */
struct word {
	char		 text[16];
	long		 pid;
};

static void
read_word(int fd, struct word *w)
{
	char text[LEN + 1], *end;
	ssize_t n = pread(fd, text, LEN, PLACE);

	memset(w, 0, sizeof *w);
	if (n <= 0)
		return;
	text[n] = '\0';
	if ((end = strchr(text, ' ')) == NULL ||
	    (size_t)(end - text) >= sizeof w->text)
		return;
	memcpy(w->text, text, (size_t)(end - text));
	w->pid = strtol(end + 1, &end, 10);
	if (*end != '\n' || w->pid <= 0)
		memset(w, 0, sizeof *w);
}

static int
write_word(int fd, const char *word, long pid)
{
	char text[LEN] = "";

	if (*word != '\0')
		snprintf(text, sizeof text, "%s %ld\n", word, pid);
	return pwrite(fd, text, sizeof text, PLACE) == (ssize_t)sizeof text ?
	    0 : -1;
}

/* The lock file, if it is one of this user; -1: *e. */
static int
open_lock(const char *state, uid_t owner, struct err *e)
{
	char name[4096];
	struct stat st;
	int fd, n;

	n = snprintf(name, sizeof name, "%s.lock", state);
	if (n < 0 || (size_t)n >= sizeof name)
		return err_set(e, ERR_RUN, "%s: the name is too long", state);
	fd = open(name, O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd == -1)
		return err_sys(e, ERR_RUN, "%s", name);
	/* A second name might be that of anything. */
	if (fstat(fd, &st) == -1)
		err_sys(e, ERR_RUN, "%s", name);
	else if (!S_ISREG(st.st_mode) || st.st_nlink != 1 ||
	    st.st_uid != owner)
		err_set(e, ERR_RUN, "%s is not the lock of the state's owner",
		    name);
	else
		return fd;
	close(fd);
	return -1;
}

enum control
control_take(const char *state)
{
	enum control c;
	struct word w;
	struct err e;
	int fd;

	if ((fd = open_lock(state, geteuid(), &e)) == -1)
		return CONTROL_NONE;
	read_word(fd, &w);
	for (c = CONTROL_STOP; c <= CONTROL_RESUME; c++)
		if (strcmp(w.text, words[c]) == 0)
			break;
	if (c <= CONTROL_RESUME) {
		write_word(fd, "done", w.pid);
		fault_point("control.taken");
	}
	close(fd);
	return c <= CONTROL_RESUME ? c : CONTROL_NONE;
}

static void
sleep_ms(unsigned ms)
{
	struct timespec t = { 0, (long)ms * 1000000 };

	nanosleep(&t, NULL);
}

static bool
is_held(int fd)
{
	struct flock fl = { .l_type = F_WRLCK, .l_whence = SEEK_SET };

	return fcntl(fd, F_OFD_GETLK, &fl) == 0 && fl.l_type != F_UNLCK;
}

static bool
is_mine(const struct word *w, const char *text)
{
	return w->pid == (long)getpid() && strcmp(w->text, text) == 0;
}

/* Until it is taken: 1.  *written: and it has to be withdrawn. */
static int
wait_for_it(int fd, const char *word, uint64_t end, bool *written)
{
	struct word w;

	*written = false;
	for (; is_held(fd); sleep_ms(POLL_MS)) {
		read_word(fd, &w);
		if (*written && is_mine(&w, "done"))
			return 1;
		if (now_ms() >= end)
			return 0;
		/* Somebody else's word is taken first; ours may have been
		 * lost when the lock was taken anew. */
		if (w.text[0] == '\0' || strcmp(w.text, "done") == 0) {
			if (write_word(fd, word, (long)getpid()) == -1)
				return -1;
			*written = true;
		}
	}
	return 0;
}

int
control_send(const char *state, enum control c, unsigned wait_ms,
    struct err *e)
{
	uint64_t end = now_ms() + wait_ms;
	struct stat st;
	struct word w;
	bool written;
	int fd, rc;

	if (stat(state, &st) == -1)
		return err_sys(e, ERR_RUN, "%s", state);
	if ((fd = open_lock(state, st.st_uid, e)) == -1)
		return -1;
	rc = wait_for_it(fd, words[c], end, &written);
	if (rc == -1)
		err_sys(e, ERR_RUN, "%s.lock", state);
	read_word(fd, &w);
	if (rc == 0 && written && is_mine(&w, words[c])) {
		write_word(fd, "", 0);
		/* It may have been read already. */
		sleep_ms(POLL_MS);
		read_word(fd, &w);
		rc = is_mine(&w, "done");
	}
	close(fd);
	return rc;
}
