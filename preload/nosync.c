/*
 * mailhaul-nosync.so: preloaded into a sync_server of our own (fsync=batch), it
 * leaves out the fsync of every file.  mailhaul syncs whole file systems instead
 * before it believes that anything is stored.
 *
 * Never to be loaded into anything else.
 */
#include <errno.h>
#include <fcntl.h>

int	fsync(int);
int	fdatasync(int);

/* A wrong descriptor stays an error. */
static int
nothing(int fd)
{
	return fcntl(fd, F_GETFD) == -1 ? -1 : 0;
}

int
fsync(int fd)
{
	return nothing(fd);
}

int
fdatasync(int fd)
{
	return nothing(fd);
}
