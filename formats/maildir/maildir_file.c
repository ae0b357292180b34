/* Opening what lies in a Maildir, and lines of metadata files. */
#include "maildir/maildir_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/safepath.h"
#include "base/xmalloc.h"

#define LINES_BUF ((size_t)64 * 1024)
#define LINE_MAX_LEN ((size_t)32 * 1024)

int
maildir_open_dir(int dirfd, const char *name)
{
	return quiet_open(dirfd, name, O_DIRECTORY);
}

int
maildir_open_file(int dirfd, const char *name, struct stat *st)
{
	return quiet_file(quiet_open(dirfd, name, 0), st, ENOENT);
}

int
maildir_open_message(int dirfd, const char *name, int rootfd,
    const char *path, struct stat *st)
{
	int fd;

	fd = quiet_open(dirfd, name, 0);
	if (fd == -1 && errno == ELOOP)
		fd = safepath_below(rootfd, path,
		    O_RDONLY | O_NONBLOCK | O_NOCTTY);
	return quiet_file(fd, st, EINVAL);
}

void
maildir_file_id(uint64_t ino, unsigned char id[SHA1_LEN])
{
	memcpy(id, "mailhaul ino", SHA1_LEN - sizeof ino);
	memcpy(id + SHA1_LEN - sizeof ino, &ino, sizeof ino);
}

int
maildir_stat_link(int rootfd, const char *path, struct stat *st)
{
	int fd, rc, saved;

	if ((fd = safepath_below(rootfd, path, O_PATH)) == -1)
		return -1;
	rc = fstat(fd, st);
	saved = errno;
	close(fd);
	errno = saved;
	return rc;
}

void
maildir_lines_fd(struct maildir_lines *l, int fd)
{
	memset(l, 0, sizeof *l);
	l->fd = fd;
	l->buf = xmalloc(LINES_BUF);
	l->p = l->buf;
}

void
maildir_lines_mem(struct maildir_lines *l, const char *p, size_t len)
{
	memset(l, 0, sizeof *l);
	l->fd = -1;
	l->p = p;
	l->left = len;
	l->eof = true;
}

void
maildir_lines_end(struct maildir_lines *l)
{
	free(l->buf);
	l->buf = NULL;
}

/* More bytes behind those that are left; -1 with errno. */
static int
more(struct maildir_lines *l)
{
	ssize_t n;

	memmove(l->buf, l->p, l->left);
	l->p = l->buf;
	do
		n = read(l->fd, l->buf + l->left, LINES_BUF - l->left);
	while (n == -1 && errno == EINTR);
	if (n == -1)
		return -1;
	if (n == 0)
		l->eof = true;
	l->left += (size_t)n;
	return 0;
}

int
maildir_lines_next(struct maildir_lines *l, const char **line, size_t *len)
{
	bool skipping = false;
	const char *lf;
	size_t n;

	for (;;) {
		lf = l->left > 0 ? memchr(l->p, '\n', l->left) : NULL;
		if (lf == NULL && !l->eof) {
			if (l->left > LINE_MAX_LEN) {
				skipping = true;
				l->left = 0;
			}
			if (more(l) == -1)
				return -1;
			continue;
		}
		if (lf == NULL && l->left == 0 && !skipping)
			return 0;
		n = lf != NULL ? (size_t)(lf - l->p) : l->left;
		*line = l->p;
		*len = n;
		l->unended = lf == NULL;
		l->p += n + (lf != NULL);
		l->left -= n + (lf != NULL);
		l->number++;
		if (skipping || n > LINE_MAX_LEN) {
			l->overlong = l->number;
			skipping = false;
			continue;
		}
		if (n > 0 && (*line)[n - 1] == '\r')
			(*len)--;
		return 1;
	}
}

bool
maildir_number(const char *p, size_t len, unsigned long long max,
    unsigned long long *v)
{
	if (len == 0 || len > 19)
		return false;
	for (*v = 0; len > 0; len--, p++) {
		if (*p < '0' || *p > '9')
			return false;
		*v = *v * 10 + (unsigned long long)(*p - '0');
	}
	return *v <= max;
}
