/*
 * The file "subscriptions" (maildir/maildir_subs.c describes it), under
 * Dovecot's lock on it.  The version that is found stays; a new file is of
 * version 2.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/xmalloc.h"
#include "dovecot/dovecot_impl.h"

#define FILE_NAME	"subscriptions"
#define FILE_LIMIT	((size_t)4 << 20)
#define TRIES		5
#define VERSION_2	"V\t2\n\n"

static int
slurp(struct dovecot *dv, struct buf *text, struct err *e)
{
	struct stat st;
	ssize_t n = 1;
	int fd;

	fd = openat(dv->rootfd, FILE_NAME, O_RDONLY | O_NOFOLLOW | O_CLOEXEC |
	    O_NONBLOCK);
	if (fd == -1 && errno == ENOENT)
		return buf_adds(text, VERSION_2);
	if (fd == -1 || fstat(fd, &st) == -1 || !S_ISREG(st.st_mode) ||
	    (uint64_t)st.st_size > FILE_LIMIT - 8192) {
		if (fd != -1)
			close(fd);
		return err_set(e, ERR_MAILBOX, FILE_NAME " is not what "
		    "Dovecot writes");
	}
	while (n > 0 && text->len < FILE_LIMIT - 8192 &&
	    buf_reserve(text, 4096) == 0) {
		n = read(fd, text->ptr + text->len, 4096);
		if (n > 0) {
			text->len += (size_t)n;
			text->ptr[text->len] = '\0';
		}
	}
	close(fd);
	return n == -1 ? dovecot_sys(e, "read " FILE_NAME) : 0;
}

/* The line of a mailbox, without its end. */
static void
line_of(const struct dovecot *dv, const char *name, bool v2, struct buf *line)
{
	char sep = v2 ? '\t' : dv->names.fs ? '/' : '.';

	for (; *name != '\0'; name++)
		buf_addc(line, *name == dv->names.sep ? sep : *name);
}

/* Where the line is in the text; NULL: nowhere. */
static char *
find_line(const struct buf *text, const struct buf *line)
{
	char *p = text->ptr, *lf;

	for (; *p != '\0'; p = lf + (*lf != '\0')) {
		lf = p + strcspn(p, "\n");
		if ((size_t)(lf - p) == line->len &&
		    memcmp(p, line->ptr, line->len) == 0)
			return p;
	}
	return NULL;
}

static int
change(struct dovecot *dv, int tmpfd, const char *name, bool on,
    struct err *e)
{
	struct buf text, line;
	char *at;
	int rc;

	buf_init(&text, FILE_LIMIT);
	buf_init(&line, 8192);
	if ((rc = slurp(dv, &text, e)) == 0) {
		line_of(dv, name, strncmp(text.ptr, "V\t2\n", 4) == 0, &line);
		at = find_line(&text, &line);
		if (on == (at != NULL))
			goto out;
		if (on) {
			if (text.len > 0 && text.ptr[text.len - 1] != '\n')
				buf_addc(&text, '\n');
			buf_add(&text, line.ptr, line.len);
			buf_addc(&text, '\n');
		} else {
			char *rest = at + line.len + (at[line.len] == '\n');

			memmove(at, rest, (size_t)(text.ptr + text.len -
			    rest) + 1);
			text.len -= (size_t)(rest - at);
		}
		rc = dovecot_replace(dv, tmpfd, dv->rootfd, FILE_NAME,
		    text.ptr, text.len, e);
	}
out:
	buf_release(&text);
	buf_release(&line);
	return rc;
}

int
dovecot_subscribe(struct target *t, const char *name, bool on, struct err *e)
{
	struct dovecot *dv = (struct dovecot *)t;
	struct dotlock lk;
	struct err dropped;
	int tmpfd, rc = -1;

	if (dv->deliver)
		return err_set(e, ERR_MAILBOX, "via=new: subscriptions are "
		    "changed under Dovecot's lock only (doveadm mailbox "
		    "subscribe does it)");
	if (dovecot_root(dv, e) != 1)
		return err_set(e, ERR_MAILBOX, "there is no Maildir");
	fsids_enter(&dv->ids);
	if ((tmpfd = dovecot_dir_open(dv->rootfd, "tmp")) == -1)
		dovecot_sys(e, "tmp/");
	else if (dotlock_take(dv, &lk, dv->rootfd, FILE_NAME ".lock", e) ==
	    0) {
		/* Whoever opens INBOX may sweep tmp/ just now. */
		for (int tries = 0; tries < TRIES && rc == -1; tries++) {
			err_clear(e);
			rc = change(dv, tmpfd, name, on, e);
			if (e->sys != ENOENT)
				break;
		}
		if (dotlock_drop(&lk, &dropped) == -1 && rc == 0) {
			*e = dropped;
			rc = -1;
		}
	}
	if (tmpfd != -1)
		close(tmpfd);
	fsids_leave(&dv->ids);
	return rc;
}
