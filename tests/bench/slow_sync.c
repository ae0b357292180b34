/*
 * Preloaded into servers: a disk whose every fsync takes SLOW_SYNC_US
 * microseconds (4000) more.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static void
delay(void)
{
	const char *text = getenv("SLOW_SYNC_US");
	long us = text != NULL ? strtol(text, NULL, 10) : 4000;
	struct timespec t = { us / 1000000, us % 1000000 * 1000 };

	nanosleep(&t, NULL);
}

int
fsync(int fd)
{
	int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, "fsync");

	delay();
	return real(fd);
}

int
fdatasync(int fd)
{
	int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, "fdatasync");

	delay();
	return real(fd);
}
