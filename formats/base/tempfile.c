/* Files without a name. */
#include "base/tempfile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

int
tempfile_open(struct err *e)
{
	const char *dir = getenv("TMPDIR");
	char path[4096];
	int fd, n;

	if (dir == NULL || dir[0] == '\0')
		dir = "/var/tmp";
	fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	if (fd == -1 && (errno == EOPNOTSUPP || errno == EISDIR)) {
		n = snprintf(path, sizeof path, "%s/mailhaul.XXXXXX", dir);
		if (n > 0 && (size_t)n < sizeof path &&
		    (fd = mkostemp(path, O_CLOEXEC)) != -1)
			unlink(path);
	}
	if (fd == -1)
		return err_sys(e, ERR_RUN, "temporary file in %s", dir);
	return fd;
}

int
tempfile_write(int fd, const char *p, size_t n)
{
	ssize_t put;

	for (; n > 0; p += put, n -= (size_t)put) {
		put = write(fd, p, n);
		if (put == -1 && errno == EINTR)
			put = 0;
		if (put == -1)
			return -1;
	}
	return 0;
}
