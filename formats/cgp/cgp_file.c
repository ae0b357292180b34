/* Opening what lies in a server's tree. */
#include "cgp/cgp_file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mutf7.h"
#include "base/xmalloc.h"

#define DICT_MAX	((size_t)64 << 20)

int
cgp_open_dir(int dirfd, const char *name)
{
	return quiet_open(dirfd, name, O_DIRECTORY);
}

int
cgp_open(int dirfd, const char *name, struct stat *st)
{
	return quiet_file(quiet_open(dirfd, name, 0), st, EINVAL);
}

int
cgp_open_dir_at(int dirfd, const char *path)
{
	char level[NAME_MAX + 1];
	const char *q;
	int fd, next;

	if ((fd = cgp_open_dir(dirfd, ".")) == -1)
		return -1;
	for (; *path != '\0'; path = *q == '/' ? q + 1 : q) {
		q = path + strcspn(path, "/");
		if ((size_t)(q - path) >= sizeof level) {
			close(fd);
			errno = ENAMETOOLONG;
			return -1;
		}
		memcpy(level, path, (size_t)(q - path));
		level[q - path] = '\0';
		next = cgp_open_dir(fd, level);
		close(fd);
		if ((fd = next) == -1)
			return -1;
	}
	return fd;
}

bool
cgp_exists(int dirfd, const char *name)
{
	struct stat st;

	return fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

static int
compare_names(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

int
cgp_names(int dirfd, struct arena *a, const char ***names, size_t *n,
    struct err *e)
{
	const char **list = NULL;
	struct dirent *d;
	size_t cap = 0;
	DIR *dir;
	int fd, sys;

	*n = 0;
	fd = cgp_open_dir(dirfd, ".");
	if (fd == -1 || (dir = fdopendir(fd)) == NULL) {
		err_sys(e, quiet_scope(errno, ERR_MAILBOX), "read directory");
		if (fd != -1)
			close(fd);
		return -1;
	}
	for (errno = 0; (d = readdir(dir)) != NULL; errno = 0) {
		if (strcmp(d->d_name, ".") == 0 ||
		    strcmp(d->d_name, "..") == 0)
			continue;
		if (*n == cap) {
			cap = cap == 0 ? 64 : cap * 2;
			list = xreallocarray(list, cap, sizeof *list);
		}
		list[(*n)++] = arena_strdup(a, d->d_name);
	}
	sys = errno;
	closedir(dir);
	if (sys != 0) {
		free(list);
		errno = sys;
		return err_sys(e, quiet_scope(sys, ERR_MAILBOX),
		    "read directory");
	}
	if (*n > 0)
		qsort(list, *n, sizeof *list, compare_names);
	*names = arena_alloc(a, *n * sizeof *list + 1);
	if (*n > 0)
		memcpy(*names, list, *n * sizeof *list);
	free(list);
	return 0;
}

bool
cgp_has_ext(const char *name, const char *ext)
{
	size_t n = strlen(name), k = strlen(ext);

	return n > k && strcmp(name + n - k, ext) == 0;
}

const char *
cgp_show(struct arena *a, const char *name)
{
	bool utf8 = utf8_valid(name, strlen(name));
	struct buf b;
	const char *s;

	buf_init(&b, 8 * NAME_MAX);
	for (; *name != '\0'; name++)
		if ((unsigned char)*name < 0x20 || *name == 0x7f ||
		    (!utf8 && (unsigned char)*name >= 0x80))
			buf_addf(&b, "\\x%02x", (unsigned char)*name);
		else
			buf_addc(&b, *name);
	s = arena_strdup(a, b.ptr);
	buf_release(&b);
	return s;
}

static int
slurp(int fd, struct buf *out, struct err *e)
{
	ssize_t n;

	for (;;) {
		if (buf_reserve(out, 1 << 16) == -1)
			return err_set(e, ERR_MAILBOX, "too large: not read");
		n = read(fd, out->ptr + out->len, 1 << 16);
		if (n == -1 && errno == EINTR)
			continue;
		if (n == -1)
			return err_sys(e, quiet_scope(errno, ERR_MAILBOX),
			    "read");
		if (n == 0)
			return 0;
		out->len += (size_t)n;
	}
}

int
cgp_read_dict(int dirfd, const char *name, struct arena *a,
    struct dict_value **v, struct err *e)
{
	struct stat st;
	struct buf text;
	int fd, rc;

	*v = NULL;
	if ((fd = cgp_open(dirfd, name, &st)) == -1) {
		if (errno == ENOENT)
			return 0;
		if (errno == ELOOP || errno == EINVAL)
			return err_set(e, ERR_MAILBOX, "%s: no plain file: not "
			    "read", name);
		return err_sys(e, quiet_scope(errno, ERR_MAILBOX), "%s", name);
	}
	buf_init(&text, DICT_MAX);
	rc = slurp(fd, &text, e);
	if (rc == 0)
		rc = dict_parse(a, text.ptr, text.len, v, e);
	buf_release(&text);
	close(fd);
	if (rc == -1)
		return err_ctx(e, "%s", name);
	return 1;
}
