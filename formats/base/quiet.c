/* Opening what lies in somebody's store. */
#include "base/quiet.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

int
quiet_open(int dirfd, const char *name, int flags)
{
	int fd;

	flags |= O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC | O_NOCTTY;
	fd = openat(dirfd, name, flags | O_NOATIME);
	/* Only the owner and root may ask for O_NOATIME. */
	if (fd == -1 && errno == EPERM)
		fd = openat(dirfd, name, flags);
	return fd;
}

int
quiet_file(int fd, struct stat *st, int other)
{
	int saved;

	if (fd == -1)
		return -1;
	if (fstat(fd, st) == 0) {
		if (S_ISREG(st->st_mode))
			return fd;
		errno = other;
	}
	saved = errno;
	close(fd);
	errno = saved;
	return -1;
}

enum err_scope
quiet_scope(int sys, enum err_scope least)
{
	switch (sys) {
	case EIO:
	case ESTALE:
	case ETIMEDOUT:
		return ERR_HOST;
	case EMFILE:
	case ENFILE:
	case ENOMEM:
		return least > ERR_MAILBOX ? least : ERR_MAILBOX;
	default:
		return least;
	}
}
