/*
 * Is a Cyrus ours alone?  See cyrus_disk.h.
 *
 * No process but children of ours may be a master of that configuration or have
 * its list of mailboxes open, and every mailbox in the list ("ctl_mboxlist -d")
 * belongs to a user that this job made.
 *
 *	text	= *(NAME TAB ... LF)		before 3.6
 *	JSON	= "{" LF *("\"" NAME "\": {" ... LF) "}"
 */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/child.h"
#include "cyrus/cyrus_disk.h"
#include "cyrus/cyrus_name.h"
#include "cyrus/cyrus_places.h"

#define DEFAULT_CONF	"/etc/imapd.conf"
#define LINE_MAX_BYTES	((size_t)1 << 20)
#define END_MS		10000
#define WAIT_MS		60000

/* Processes. */

static pid_t
parent_of(const char *pid)
{
	char path[64], text[400], *p;
	ssize_t n;
	int fd;

	snprintf(path, sizeof path, "/proc/%.20s/stat", pid);
	if ((fd = open(path, O_RDONLY | O_CLOEXEC)) == -1)
		return 0;
	n = read(fd, text, sizeof text - 1);
	close(fd);
	if (n <= 0)
		return 0;
	text[n] = '\0';
	p = strrchr(text, ')');		/* "PID (name) state parent ..." */
	return p != NULL && strlen(p) > 4 ? (pid_t)strtol(p + 4, NULL, 10) :
	    0;
}

static bool
same_file(const char *a, const struct stat *b)
{
	struct stat st;

	return stat(a, &st) == 0 && st.st_dev == b->st_dev &&
	    st.st_ino == b->st_ino;
}

/* "master ... [-C FILE]". */
static bool
is_master(const char *pid, const struct stat *conf)
{
	char path[64], text[8192];
	const char *name, *file = DEFAULT_CONF;
	ssize_t n;
	int fd;

	snprintf(path, sizeof path, "/proc/%.20s/cmdline", pid);
	if ((fd = open(path, O_RDONLY | O_CLOEXEC)) == -1)
		return false;
	n = read(fd, text, sizeof text - 1);
	close(fd);
	if (n <= 0)
		return false;
	text[n] = '\0';
	name = strrchr(text, '/');
	name = name != NULL ? name + 1 : text;
	if (strcmp(name, "master") != 0 && strcmp(name, "cyrmaster") != 0 &&
	    strcmp(name, "cyrus-master") != 0)
		return false;
	for (char *p = text + strlen(text) + 1; p < text + n;
	    p += strlen(p) + 1) {
		if (strncmp(p, "-C", 2) != 0)
			continue;
		if (p[2] != '\0')
			file = p + 2;
		else if (p + 3 < text + n)
			file = p + 3;
	}
	return same_file(file, conf);
}

/* Has it this file open? */
static bool
has_open(const char *pid, const struct stat *file)
{
	char path[64], name[PATH_MAX];
	struct dirent *d;
	bool found = false;
	DIR *dir;

	snprintf(path, sizeof path, "/proc/%.20s/fd", pid);
	if ((dir = opendir(path)) == NULL)
		return false;
	while (!found && (d = readdir(dir)) != NULL) {
		snprintf(name, sizeof name, "%s/%s", path, d->d_name);
		found = d->d_name[0] != '.' && same_file(name, file);
	}
	closedir(dir);
	return found;
}

static int
nobody_runs(const struct cyrus_conf *c, const char *file, struct err *e)
{
	const char *list = cyrus_conf_get(c, "mboxlist_db_path", NULL);
	char path[PATH_MAX], pid[24] = "";
	struct stat conf, boxes;
	bool known, bad = false;
	struct dirent *d;
	DIR *dir;

	if (stat(file, &conf) == -1)
		return err_sys(e, ERR_ACCOUNT, "%s", file);
	snprintf(path, sizeof path, "%s/mailboxes.db", cyrus_conf_get(c,
	    "configdirectory", ""));
	known = stat(list != NULL ? list : path, &boxes) == 0;
	if ((dir = opendir("/proc")) == NULL)
		return err_sys(e, ERR_RUN, "/proc");
	while (!bad && (d = readdir(dir)) != NULL) {
		if (!isdigit((unsigned char)d->d_name[0]) ||
		    parent_of(d->d_name) == getpid())
			continue;
		snprintf(pid, sizeof pid, "%.20s", d->d_name);
		bad = is_master(pid, &conf) || (known && has_open(pid,
		    &boxes));
	}
	closedir(dir);
	if (bad)
		return err_set(e, ERR_ACCOUNT, "fsync=batch: Cyrus runs on %s "
		    "(process %s): stop it until all is copied", file, pid);
	return 0;
}

/* Mailboxes. */

/* Whose mailbox is that?  -1: a line of another kind, or one that is none. */
static int
name_of(const char *line, struct buf *name)
{
	const char *end;

	buf_reset(name);
	if (line[0] == '{' || line[0] == '}' || line[0] == '\0')
		return -1;
	if (line[0] == '"') {
		/* One that was deleted and leaves only its name. */
		const char *type = strstr(line, "\"mbtype\": \"");

		if (type != NULL && memchr(type + 11, 'd', strcspn(type + 11,
		    "\"")) != NULL)
			return -1;
		end = strchr(++line, '"');
	} else
		end = strpbrk(line, "\t ");
	if (end == NULL)
		end = strchr(line, '\0');
	buf_add(name, line, (size_t)(end - line));
	return 0;
}

/* Deleted ones, which Cyrus keeps for a while, are as good as others. */
static const char *
undeleted(const struct cyrus_conf *c, const char *name)
{
	const char *prefix = cyrus_conf_get(c, "deletedprefix", "DELETED");
	size_t n = strlen(prefix);

	return strncmp(name, prefix, n) == 0 && name[n] == '.' ? name + n + 1 :
	    name;
}

struct checking {
	const struct store_conf *conf;
	const struct cyrus_conf *c;
	struct cyrus_names like;
	char		 last[256];	/* user that is known to be ours */
};

static int
check_name(struct checking *k, const char *name, struct err *e)
{
	struct cyrus_names owner;
	bool made = false;
	int rc = 0;

	if (strcmp(name, "mailhaul-probe") == 0)
		return 0;
	if (cyrus_names_owner(&owner, &k->like, undeleted(k->c, name)) == 0) {
		if (strcmp(owner.user, k->last) == 0)
			made = true;
		else if (k->conf->made != NULL)
			rc = k->conf->made(k->conf->made_ctx, owner.user,
			    &made, e);
		if (made)
			snprintf(k->last, sizeof k->last, "%s", owner.user);
		cyrus_names_release(&owner);
	}
	if (rc == 0 && !made)
		rc = err_set(e, ERR_ACCOUNT, "fsync=batch: the mailbox %.100s "
		    "was not made by this job, and a power cut could cost it "
		    "as well", name);
	return rc;
}

/* Lines as they come, to the end. */
static int
read_lines(struct checking *k, int fd, struct err *e)
{
	struct buf line, name;
	char chunk[16384];
	ssize_t n = 0;
	int rc = 0;

	buf_init(&line, LINE_MAX_BYTES);
	buf_init(&name, 4000);
	for (;;) {
		struct pollfd p = { fd, POLLIN, 0 };

		int ready = poll(&p, 1, WAIT_MS);

		if (ready == 0)
			errno = ETIMEDOUT;
		if (ready == 0 || (ready == -1 && errno != EINTR)) {
			n = -1;
			break;
		}
		if ((n = read(fd, chunk, sizeof chunk)) == 0)
			break;
		if (n < 0 && errno != EAGAIN && errno != EINTR)
			break;
		for (ssize_t i = 0; i < n && rc == 0; i++) {
			if (chunk[i] != '\n') {
				buf_addc(&line, chunk[i]);
				continue;
			}
			if (name_of(line.ptr, &name) == 0)
				rc = check_name(k, name.ptr, e);
			buf_reset(&line);
		}
		if (rc == -1)
			break;
	}
	if (rc == 0 && n < 0)
		rc = err_sys(e, ERR_ACCOUNT, "ctl_mboxlist");
	buf_release(&line);
	buf_release(&name);
	return rc;
}

static int
all_ours(const struct store_conf *conf, const struct cyrus_conf *c,
    const char *file, const char *libexec, struct err *e)
{
	struct checking k = { .conf = conf, .c = c };
	char program[PATH_MAX];
	const char *argv[] = { program, "-C", file, "-d", NULL };
	struct child_ending end;
	struct child *child;
	int fd, in, rc;

	if (cyrus_program("ctl_mboxlist", libexec, program, e) == -1)
		return err_ctx(e, "fsync=batch");
	if (cyrus_names_init(&k.like, "x", true, true, NULL) == -1)
		abort();
	rc = child_start(&child, argv, NULL, &fd, &in, e);
	if (rc == 0) {
		rc = read_lines(&k, in, e);
		close(in);
		close(fd);
		child_end(&child, END_MS, &end);
		if (rc == 0 && end.code != 0) {
			err_set(e, ERR_ACCOUNT, "fsync=batch");
			child_explain(&end, "ctl_mboxlist", e);
			rc = -1;
		}
	}
	cyrus_names_release(&k.like);
	return rc;
}

/* Configurations that were found good, as long as we run: nobody else writes. */
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static struct imap_words good;

int
cyrus_alone(const struct store_conf *conf, const struct cyrus_conf *c,
    const char *file, const char *libexec, struct err *e)
{
	int rc = 0;

	if (nobody_runs(c, file, e) == -1)
		return -1;
	pthread_mutex_lock(&mutex);
	if (!imap_words_has(&good, file)) {
		rc = all_ours(conf, c, file, libexec, e);
		if (rc == 0)
			imap_words_add(&good, file);
	}
	pthread_mutex_unlock(&mutex);
	return rc;
}
