/* Stop, pause and resume, by a file beside the state. */
#include "control.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/fault.h"
#include "lane.h"

#define POLL_MS	50

static const char *const words[] = { "", "stop", "pause", "resume" };

const char *
control_word(enum control c)
{
	return words[c];
}

static int
name_of(const char *state, const char *suffix, char *out, size_t size)
{
	int n = snprintf(out, size, "%s.control%s", state, suffix);

	return n < 0 || (size_t)n >= size ? -1 : 0;
}

enum control
control_take(const char *state)
{
	enum control c = CONTROL_NONE;
	char name[4096], text[16];
	struct stat st;
	ssize_t n = -1;
	int fd;

	if (name_of(state, "", name, sizeof name) == -1)
		return CONTROL_NONE;
	fd = open(name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd == -1)
		return CONTROL_NONE;
	/* Only those who could end us anyway. */
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) &&
	    (st.st_uid == geteuid() || st.st_uid == 0))
		n = read(fd, text, sizeof text - 1);
	close(fd);
	unlink(name);
	if (n <= 0)
		return CONTROL_NONE;
	text[n] = '\0';
	text[strcspn(text, "\n")] = '\0';
	for (c = CONTROL_STOP; c <= CONTROL_RESUME; c++)
		if (strcmp(text, words[c]) == 0)
			break;
	fault_point("control.taken");
	return c <= CONTROL_RESUME ? c : CONTROL_NONE;
}

void
control_forget(const char *state)
{
	char name[4096];

	if (name_of(state, "", name, sizeof name) == 0)
		unlink(name);
}

static void
sleep_ms(unsigned ms)
{
	struct timespec t = { 0, (long)ms * 1000000 };

	nanosleep(&t, NULL);
}

/* The file that is to become the control file; fills in its facts. */
static int
write_word(const char *state, const char *name, enum control c,
    struct stat *st, struct err *e)
{
	char text[16];
	struct stat owner;
	int fd, n, rc = 0;

	fd = open(name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
	    0600);
	if (fd == -1)
		return err_sys(e, ERR_RUN, "%s", name);
	n = snprintf(text, sizeof text, "%s\n", words[c]);
	/* root may ask for another user's run, which has to read it. */
	if (geteuid() == 0 && stat(state, &owner) == 0 &&
	    fchown(fd, owner.st_uid, owner.st_gid) == -1)
		rc = err_sys(e, ERR_RUN, "%s", name);
	if (rc == 0 && (write(fd, text, (size_t)n) != n ||
	    fstat(fd, st) == -1))
		rc = err_sys(e, ERR_RUN, "%s", name);
	close(fd);
	return rc;
}

static bool
is_there(const char *name, const struct stat *ours)
{
	struct stat st;

	return lstat(name, &st) == 0 && st.st_ino == ours->st_ino &&
	    st.st_dev == ours->st_dev;
}

int
control_send(const char *state, enum control c, unsigned wait_ms,
    struct err *e)
{
	uint64_t end = now_ms() + wait_ms;
	char name[4096], fresh[4096], suffix[32];
	bool linked = false;
	struct stat st;
	int rc = -1;

	snprintf(suffix, sizeof suffix, ".%ld", (long)getpid());
	if (name_of(state, "", name, sizeof name) == -1 ||
	    name_of(state, suffix, fresh, sizeof fresh) == -1)
		return err_set(e, ERR_RUN, "%s: the name is too long", state);
	unlink(fresh);
	if (write_word(state, fresh, c, &st, e) == -1) {
		unlink(fresh);
		return -1;
	}
	/* Somebody else's word is taken first. */
	while (!linked) {
		linked = link(fresh, name) == 0;
		if (linked)
			break;
		if (errno != EEXIST) {
			err_sys(e, ERR_RUN, "%s", name);
			goto out;
		}
		if (now_ms() >= end)
			break;
		sleep_ms(POLL_MS);
	}
	unlink(fresh);
	while (linked && is_there(name, &st) && now_ms() < end)
		sleep_ms(POLL_MS);
	rc = linked && !is_there(name, &st);
	if (linked && rc == 0)
		unlink(name);
	return rc;
out:
	unlink(fresh);
	return rc;
}
