/* Named fault points, for the kill tests. */
#include "base/fault.h"

#ifdef MAILHAUL_FAULTS
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static unsigned long passed;

/* True when this passing is the one asked for; *kill says what to do. */
static bool
hit(const char *name, bool *killing)
{
	const char *spec = getenv("MAILHAUL_FAULT");
	const char *log = getenv("MAILHAUL_FAULT_LOG");
	const char *colon, *at;
	bool counted = true, is = false;
	int fd;

	if (spec == NULL && log == NULL)
		return false;
	pthread_mutex_lock(&mutex);
	if (log != NULL) {
		fd = open(log, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
		if (fd != -1) {
			dprintf(fd, "%s\n", name);
			close(fd);
		}
	}
	if (spec != NULL && (colon = strrchr(spec, ':')) != NULL) {
		at = memchr(spec, '@', (size_t)(colon - spec));
		if (at != NULL)
			counted = strlen(name) == (size_t)(colon - at - 1) &&
			    strncmp(name, at + 1, strlen(name)) == 0;
		if (counted && ++passed == strtoul(colon + 1, NULL, 10)) {
			is = true;
			*killing = strncmp(spec, "kill", 4) == 0;
		}
	}
	pthread_mutex_unlock(&mutex);
	return is;
}

bool
fault_fails(const char *name)
{
	bool killing = false;

	if (!hit(name, &killing))
		return false;
	if (killing) {
		kill(getpid(), SIGKILL);
		for (;;)
			pause();
	}
	return true;
}

void
fault_point(const char *name)
{
	(void)fault_fails(name);
}

bool
fault_mutated(const char *name)
{
	const char *list = getenv("MAILHAUL_MUTATE");
	size_t n = strlen(name);

	while (list != NULL && *list != '\0') {
		size_t k = strcspn(list, ",");

		if (k == n && strncmp(list, name, n) == 0)
			return true;
		list += k + (list[k] == ',');
	}
	return false;
}
#else
typedef int fault_is_off;	/* ISO C wants one declaration */
#endif
