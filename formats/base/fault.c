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

/* True when this passing is the one asked for; *sig says what to do (0: it
 * fails). */
static bool
hit(const char *name, int *sig)
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
			*sig = strncmp(spec, "kill", 4) == 0 ? SIGKILL :
			    strncmp(spec, "stop", 4) == 0 ? SIGSTOP : 0;
		}
	}
	pthread_mutex_unlock(&mutex);
	return is;
}

bool
fault_fails(const char *name)
{
	int sig = 0;

	if (!hit(name, &sig))
		return false;
	if (sig == 0)
		return true;
	raise(sig);	/* this thread goes no further */
	while (sig == SIGKILL)
		pause();
	return false;
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
