/* Mailbox files: opening, locks, kinds, changes. */
#include "mbox/mbox_file.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#include "base/decode.h"
#include "base/xmalloc.h"
#include "mbox/mbox_parse.h"

/* A lock file older than this is left over from a crash. */
#define STALE_S		300
/* Bytes at either end that a fingerprint covers. */
#define PRINT_BYTES	4096
#define ASK_BYTES	((uint64_t)32 << 20)

int
mbox_openat(int dirfd, const char *path, int flags)
{
	int fd;

	flags |= O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC;
	fd = openat(dirfd, path, flags | O_NOATIME);
	/* Only the owner may ask for O_NOATIME. */
	if (fd == -1 && errno == EPERM)
		fd = openat(dirfd, path, flags);
	return fd;
}

static ssize_t
pread_full(int fd, char *p, size_t n, uint64_t off)
{
	size_t done = 0;

	while (done < n) {
		ssize_t got = pread(fd, p + done, n - done,
		    (off_t)(off + done));

		if (got == -1 && errno == EINTR)
			continue;
		if (got == -1)
			return -1;
		if (got == 0)
			break;
		done += (size_t)got;
	}
	return (ssize_t)done;
}

static int
read_error(struct err *e)
{
	return err_sys(e, errno == EIO || errno == ESTALE ? ERR_HOST :
	    ERR_MAILBOX, "read");
}

/* The kind that the first n bytes show; false: more are needed. */
static bool
kind_of(const char *p, size_t n, bool eof, enum mbox_kind *kind)
{
	if (n >= 7 && memcmp(p, "*mbx*\r\n", 7) == 0) {
		*kind = KIND_MBX;
		return true;
	}
	switch (mbox_sniff(p, n, eof)) {
	case SNIFF_MBOX:
		*kind = KIND_MBOX;
		return true;
	case SNIFF_EMPTY:
		*kind = KIND_EMPTY;
		return true;
	case SNIFF_OTHER:
		*kind = KIND_OTHER;
		return true;
	case SNIFF_MORE:
		break;
	}
	return false;
}

static int
probe_plain(int fd, enum mbox_kind *kind, struct err *e)
{
	static const size_t steps[] = { 512, 12 * 1024, SNIFF_BYTES };
	char *p = xmalloc(SNIFF_BYTES);
	int rc = -1;

	for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
		ssize_t n = pread_full(fd, p, steps[i], 0);

		if (n == -1) {
			rc = read_error(e);
			break;
		}
		if (kind_of(p, (size_t)n, (size_t)n < steps[i], kind)) {
			rc = 0;
			break;
		}
		/* The last step always tells. */
		assert(steps[i] < SNIFF_BYTES);
	}
	free(p);
	return rc;
}

static int
probe_compressed(int fd, enum decode_kind how, enum mbox_kind *kind,
    struct err *e)
{
	struct content *c = decode_content(fd, false, how, e);
	char *p;
	size_t len = 0;
	ssize_t n = 1;

	if (c == NULL)
		return -1;
	p = xmalloc(SNIFF_BYTES);
	while (len < SNIFF_BYTES && n > 0) {
		n = content_read(c, p + len, SNIFF_BYTES - len, e);
		if (n > 0)
			len += (size_t)n;
	}
	content_close(&c);
	if (n >= 0 && !kind_of(p, len, n == 0, kind))
		*kind = KIND_OTHER;
	free(p);
	if (n == -1)
		return -1;
	return 0;
}

int
mbox_probe(int fd, enum mbox_kind *kind, bool *compressed, struct err *e)
{
	enum decode_kind how;
	int rc;

	*compressed = false;
	if (decode_probe(fd, &how) == -1)
		return read_error(e);
	/* An encrypted file is nothing that we know. */
	if (how == DECODE_NONE || how == DECODE_ENCRYPTED)
		return probe_plain(fd, kind, e);
	*compressed = true;
	rc = probe_compressed(fd, how, kind, e);
	if (rc == -1 && e->scope == ERR_MESSAGE)
		e->scope = ERR_MAILBOX;
	return rc;
}

/* FNV-1a. */
static uint64_t
hash(uint64_t h, const char *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		h = (h ^ (unsigned char)p[i]) * 0x100000001b3ULL;
	return h;
}

static int
fingerprint(int fd, uint64_t size, uint64_t *print)
{
	char p[PRINT_BYTES];
	size_t n = size < sizeof p ? (size_t)size : sizeof p;
	uint64_t h = 0xcbf29ce484222325ULL;

	if (pread_full(fd, p, n, 0) != (ssize_t)n)
		return -1;
	h = hash(h, p, n);
	if (pread_full(fd, p, n, size - n) != (ssize_t)n)
		return -1;
	*print = hash(h, p, n);
	return 0;
}

static bool
lock_file_there(int dirfd, const char *name)
{
	struct stat st;
	char *lock;
	size_t len = strlen(name);
	int rc;

	lock = xmalloc(len + sizeof ".lock");
	memcpy(lock, name, len);
	memcpy(lock + len, ".lock", sizeof ".lock");
	rc = fstatat(dirfd, lock, &st, AT_SYMLINK_NOFOLLOW);
	free(lock);
	return rc == 0 && time(NULL) - st.st_mtim.tv_sec < STALE_S;
}

/* Waits for wait_ms, or until the run is to stop: then true, and *e. */
static bool
cancelled(int cancel_fd, int wait_ms, struct err *e)
{
	struct pollfd pfd = { .fd = cancel_fd, .events = POLLIN };

	if (poll(&pfd, 1, wait_ms) <= 0)
		return false;
	err_retry(e, ERR_RUN, "stopped");
	e->cause = CAUSE_CANCELLED;
	return true;
}

/* The file's state while nobody holds a lock: 1, or 0 when somebody does. */
static int
stat_unlocked(int fd, int dirfd, const char *name, struct stat *st)
{
	struct flock fl = { .l_type = F_RDLCK, .l_whence = SEEK_SET };
	bool free_now = true;
	int rc = 0;

	/* File systems without locks answer with other errors: nobody can
	 * hold one then. */
	if (fcntl(fd, F_OFD_SETLK, &fl) == -1 &&
	    (errno == EAGAIN || errno == EACCES))
		free_now = false;
	else if (flock(fd, LOCK_SH | LOCK_NB) == -1 && errno == EWOULDBLOCK)
		free_now = false;
	if (fstat(fd, st) == -1)
		rc = -1;
	/* Only now: a lock file that comes later means no harm. */
	if (free_now && lock_file_there(dirfd, name))
		free_now = false;
	flock(fd, LOCK_UN);
	fl.l_type = F_UNLCK;
	fcntl(fd, F_OFD_SETLK, &fl);
	return rc == -1 ? -1 : free_now;
}

static int
stat_waiting(struct mbox_file *f, int dirfd, const char *name,
    unsigned wait_ms, int cancel_fd, struct err *e)
{
	unsigned waited = 0;
	int rc;

	while ((rc = stat_unlocked(f->orig, dirfd, name, &f->st)) == 0 &&
	    waited < wait_ms) {
		if (cancelled(cancel_fd, 50, e))
			return -1;
		waited += 50;
	}
	if (rc == -1)
		return err_sys(e, ERR_MAILBOX, "stat");
	f->locked = rc == 0;
	return 0;
}

/* Changed so shortly ago that a further change may leave the same times? */
static bool
just_changed(const struct stat *st)
{
	struct timespec now;
	int64_t age_ms, grain_ms = 50;

	/* File systems that count seconds. */
	if (st->st_mtim.tv_nsec == 0 && st->st_ctim.tv_nsec == 0)
		grain_ms = 2000;
	clock_gettime(CLOCK_REALTIME, &now);
	age_ms = (int64_t)(now.tv_sec - st->st_mtim.tv_sec) * 1000 +
	    (now.tv_nsec - st->st_mtim.tv_nsec) / 1000000;
	return age_ms < grain_ms && age_ms > -grain_ms;
}

static int
decode_copy(struct mbox_file *f, struct err *e)
{
	struct stat after;

	if (decode_fd_to_temp(f->orig, &f->fd, &f->size, e) == -1) {
		f->fd = -1;
		if (e->scope == ERR_MESSAGE)
			e->scope = ERR_MAILBOX;
		return -1;
	}
	if (fstat(f->orig, &after) == -1)
		return err_sys(e, ERR_MAILBOX, "stat");
	if (after.st_size != f->st.st_size ||
	    after.st_mtim.tv_sec != f->st.st_mtim.tv_sec ||
	    after.st_mtim.tv_nsec != f->st.st_mtim.tv_nsec)
		return mbox_file_rewritten(e);
	return 0;
}

int
mbox_file_open(struct mbox_file *f, int fd, int dirfd, const char *name,
    unsigned wait_ms, int cancel_fd, struct err *e)
{
	memset(f, 0, sizeof *f);
	f->fd = f->orig = fd;
	f->cancel_fd = cancel_fd;
	if (stat_waiting(f, dirfd, name, wait_ms, cancel_fd, e) == -1)
		goto fail;
	if (!S_ISREG(f->st.st_mode)) {
		err_set(e, ERR_MAILBOX, "not a regular file");
		goto fail;
	}
	f->racy = just_changed(&f->st);
	f->seen = f->st;
	f->size = (uint64_t)f->st.st_size;
	if (mbox_probe(fd, &f->kind, &f->compressed, e) == -1)
		goto fail;
	if (f->compressed) {
		f->fd = -1;
		if (decode_copy(f, e) == -1)
			goto fail;
	} else if (fingerprint(fd, f->size, &f->print) == -1) {
		mbox_file_rewritten(e);
		goto fail;
	}
	return 0;
fail:
	mbox_file_close(f);
	return -1;
}

void
mbox_file_close(struct mbox_file *f)
{
	if (f->orig != -1 && f->orig != f->fd)
		close(f->orig);
	if (f->fd != -1)
		close(f->fd);
	f->fd = f->orig = -1;
}

ssize_t
mbox_file_read(void *ctx, void *p, size_t n, uint64_t off, struct err *e)
{
	struct mbox_file *f = ctx;
	ssize_t got;

	do
		got = pread(f->fd, p, n, (off_t)off);
	while (got == -1 && errno == EINTR);
	if (got == -1)
		return read_error(e);
	/* A message may be longer than a person wants to wait. */
	f->unasked += (uint64_t)got;
	if (f->unasked >= ASK_BYTES && f->cancel_fd != -1) {
		f->unasked = 0;
		if (cancelled(f->cancel_fd, 0, e))
			return -1;
	}
	return got;
}

enum mbox_change
mbox_file_change(struct mbox_file *f)
{
	struct stat st;
	uint64_t print;

	/* The copy does not change with the original. */
	if (f->compressed)
		return CHANGE_NONE;
	if (fstat(f->orig, &st) == -1)
		return CHANGE_REWRITTEN;
	if (st.st_size != f->seen.st_size ||
	    st.st_mtim.tv_sec != f->seen.st_mtim.tv_sec ||
	    st.st_mtim.tv_nsec != f->seen.st_mtim.tv_nsec) {
		/* Mail was appended, or the file written anew: programs that
		 * remove mail or write flags shift what comes last. */
		if ((uint64_t)st.st_size <= f->size ||
		    fingerprint(f->orig, f->size, &print) == -1 ||
		    print != f->print)
			return CHANGE_REWRITTEN;
		f->seen = st;
	}
	return (uint64_t)st.st_size > f->size ? CHANGE_GROWN : CHANGE_NONE;
}

int
mbox_file_rewritten(struct err *e)
{
	err_retry(e, ERR_MAILBOX, "the file was rewritten while it was read");
	e->cause = CAUSE_CHANGED;
	return -1;
}
