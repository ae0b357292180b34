/*
 * Preloaded into the private mail servers of the tests.
 *
 * 1. A server that was unpacked below $FIXTURE_ROOT still looks for some of its
 *    own files (plugins, helper programs) where its package would have put them.
 *    Those paths are looked up below the root instead.
 * 2. syslog(3) is written to the file $FIXTURE_LOG: no /dev/log is needed, and
 *    the log is the instance's own.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

static const char *const moved[] = {
	"/usr/lib/dovecot/",
	"/usr/bin/doveconf",
	"/usr/bin/doveadm",
	"/usr/lib/cyrus/",
};

static char who[32] = "-";

/* the place of `path' below the root, in buf, or path itself */
static const char *
below_root(const char *path, char buf[PATH_MAX])
{
	const char *root = getenv("FIXTURE_ROOT");
	size_t i;
	int n;

	if (path == NULL || root == NULL)
		return path;
	for (i = 0; i < sizeof(moved) / sizeof(moved[0]); i++) {
		if (strncmp(path, moved[i], strlen(moved[i])) != 0)
			continue;
		n = snprintf(buf, PATH_MAX, "%s%s", root, path);
		if (n > 0 && n < PATH_MAX && access(buf, F_OK) == 0)
			return buf;
	}
	return path;
}

DIR *
opendir(const char *path)
{
	char buf[PATH_MAX];
	DIR *(*real)(const char *);

	real = (DIR *(*)(const char *))dlsym(RTLD_NEXT, "opendir");
	return real(below_root(path, buf));
}

void *
dlopen(const char *path, int mode)
{
	char buf[PATH_MAX];
	void *(*real)(const char *, int);

	real = (void *(*)(const char *, int))dlsym(RTLD_NEXT, "dlopen");
	return real(below_root(path, buf), mode);
}

int
execv(const char *path, char *const argv[])
{
	char buf[PATH_MAX];
	int (*real)(const char *, char *const[]);

	real = (int (*)(const char *, char *const[]))dlsym(RTLD_NEXT, "execv");
	return real(below_root(path, buf), argv);
}

void
openlog(const char *ident, int option, int facility)
{
	(void)option;
	(void)facility;
	if (ident != NULL)
		snprintf(who, sizeof(who), "%s", ident);
}

void
closelog(void)
{
}

void
vsyslog(int priority, const char *format, va_list ap)
{
	const char *path = getenv("FIXTURE_LOG");
	int saved = errno, fd, n, len;
	struct timespec now;
	struct tm tm;
	char line[4096], stamp[32];

	/* glibc's printf family knows %m, for which errno must be the caller's */
	if (path == NULL || LOG_PRI(priority) > LOG_INFO)
		return;
	clock_gettime(CLOCK_REALTIME, &now);
	localtime_r(&now.tv_sec, &tm);
	strftime(stamp, sizeof(stamp), "%Y-%m-%d %H:%M:%S", &tm);
	len = snprintf(line, sizeof(line), "%s.%03ld %s[%d]: ", stamp, now.tv_nsec / 1000000, who,
	    (int)getpid());
	errno = saved;
	n = vsnprintf(line + len, sizeof(line) - (size_t)len - 1, format, ap);
	if (n > 0)
		len += n;
	if (len > (int)sizeof(line) - 2)
		len = (int)sizeof(line) - 2;
	line[len++] = '\n';
	fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0666);
	if (fd != -1) {
		if (write(fd, line, (size_t)len) == -1)
			saved = errno;
		close(fd);
	}
	errno = saved;
}

void
syslog(int priority, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	vsyslog(priority, format, ap);
	va_end(ap);
}

/* what -D_FORTIFY_SOURCE turns the two into */
void __vsyslog_chk(int, int, const char *, va_list);
void __syslog_chk(int, int, const char *, ...);

void
__vsyslog_chk(int priority, int flag, const char *format, va_list ap)
{
	(void)flag;
	vsyslog(priority, format, ap);
}

void
__syslog_chk(int priority, int flag, const char *format, ...)
{
	va_list ap;

	(void)flag;
	va_start(ap, format);
	vsyslog(priority, format, ap);
	va_end(ap);
}
