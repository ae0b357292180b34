/* Mail that lies near a source without any. */
#include "nearby.h"

#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAX_FOUND	3
#define MAX_ENTRIES	2000	/* of a directory */

struct search {
	struct buf	*out;
	unsigned	 n;
	ino_t		 self;		/* the source itself */
	dev_t		 device;
};

/* Is there a file in this directory of a Maildir? */
static bool
has_mail(int fd, const char *name)
{
	struct dirent *d;
	bool found = false;
	DIR *dir;

	fd = openat(fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd == -1)
		return false;
	if ((dir = fdopendir(fd)) == NULL) {
		close(fd);
		return false;
	}
	while (!found && (d = readdir(dir)) != NULL)
		found = d->d_name[0] != '.';
	closedir(dir);
	return found;
}

/* A Maildir with mail, or an mbox: no link is followed, no pipe waited for. */
static bool
is_mail(int dirfd, const char *name, const struct search *s)
{
	struct stat st;
	char start[5];
	bool mail = false;
	int fd;

	fd = openat(dirfd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK |
	    O_CLOEXEC);
	if (fd == -1)
		return false;
	if (fstat(fd, &st) == 0 && (st.st_ino != s->self ||
	    st.st_dev != s->device)) {
		if (S_ISDIR(st.st_mode))
			mail = has_mail(fd, "cur") || has_mail(fd, "new");
		else if (S_ISREG(st.st_mode))
			mail = pread(fd, start, sizeof start, 0) ==
			    sizeof start && memcmp(start, "From ", 5) == 0;
	}
	close(fd);
	return mail;
}

static void
look_into(struct search *s, const char *path)
{
	struct dirent *d;
	unsigned seen = 0;
	DIR *dir;
	int fd;

	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd == -1)
		return;
	if ((dir = fdopendir(fd)) == NULL) {
		close(fd);
		return;
	}
	while (s->n < MAX_FOUND && seen++ < MAX_ENTRIES &&
	    (d = readdir(dir)) != NULL) {
		if (strcmp(d->d_name, ".") == 0 ||
		    strcmp(d->d_name, "..") == 0 ||
		    !is_mail(fd, d->d_name, s))
			continue;
		buf_addf(s->out, "%s%s/%s", s->n++ > 0 ? " and " : "",
		    strcmp(path, "/") == 0 ? "" : path, d->d_name);
	}
	closedir(dir);
}

unsigned
source_nearby(const struct uri *u, struct buf *out)
{
	struct search s = { .out = out };
	const char *slash;
	struct buf parent;
	struct stat st;

	if (u->host != NULL || u->path == NULL || u->path[0] != '/' ||
	    stat(u->path, &st) == -1)
		return 0;
	s.self = st.st_ino;
	s.device = st.st_dev;
	if (S_ISDIR(st.st_mode))
		look_into(&s, u->path);
	buf_init(&parent, 1 << 13);
	slash = strrchr(u->path, '/');
	while (slash > u->path && slash[1] == '\0') {
		do
			slash--;
		while (slash > u->path && *slash != '/');
	}
	buf_add(&parent, u->path, (size_t)(slash - u->path));
	look_into(&s, parent.len > 0 ? parent.ptr : "/");
	buf_release(&parent);
	return s.n;
}
