/* Mailbox files: opening, locks, kinds, changes. */
#include "mbox/mbox_file.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "base/decode.h"
#include "base/quiet.h"
#include "base/tempfile.h"
#include "base/xmalloc.h"
#include "mbox/mbox_parse.h"

/* Bytes that a fingerprint covers. */
#define PRINT_BYTES	4096
#define ASK_BYTES	((uint64_t)32 << 20)
#define HOLD_MS		250	/* others wait no longer, where we may choose */
#define SETTLE_MS	2500	/* for a file's times to be told apart */
#define COPY_CHUNK	((size_t)1 << 20)

int
mbox_openat(int dirfd, const char *path, int flags)
{
	return quiet_open(dirfd, path, flags);
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

/* Of up to PRINT_BYTES from off on; -1: there are not that many. */
static int
print_of(int fd, uint64_t off, uint64_t end, uint64_t *print)
{
	char p[PRINT_BYTES];
	size_t n = end - off < sizeof p ? (size_t)(end - off) : sizeof p;

	if (pread_full(fd, p, n, off) != (ssize_t)n)
		return -1;
	*print = hash(0xcbf29ce484222325ULL, p, n);
	return 0;
}

static int
take_prints(int fd, uint64_t size, uint64_t pos, struct mbox_print *p)
{
	uint64_t half = PRINT_BYTES / 2;

	p->pos = pos > size ? size : pos;
	if (print_of(fd, 0, size, &p->head) == -1 ||
	    print_of(fd, size > PRINT_BYTES ? size - PRINT_BYTES : 0, size,
	    &p->tail) == -1)
		return -1;
	return print_of(fd, p->pos > half ? p->pos - half : 0, size,
	    &p->around);
}

static bool
same_prints(int fd, uint64_t size, const struct mbox_print *old)
{
	struct mbox_print p;

	return take_prints(fd, size, old->pos, &p) == 0 &&
	    p.head == old->head && p.tail == old->tail &&
	    p.around == old->around;
}

static bool
same_time(const struct timespec *a, const struct timespec *b)
{
	return a->tv_sec == b->tv_sec && a->tv_nsec == b->tv_nsec;
}

/* mtime alone can be set back, and UW's programs set it to whole seconds. */
static bool
same_state(const struct stat *a, const struct stat *b)
{
	return a->st_size == b->st_size &&
	    same_time(&a->st_mtim, &b->st_mtim) &&
	    same_time(&a->st_ctim, &b->st_ctim);
}

static uint64_t
clock_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* Changed so shortly ago that a further change may leave the same times?  How
 * long that lasts, at most; 0: no. */
static unsigned
just_changed(const struct stat *st)
{
	struct timespec now, last = st->st_ctim;
	int64_t age_ms, grain_ms = 50;

	if (st->st_mtim.tv_sec > last.tv_sec)
		last = st->st_mtim;
	/* File systems that count seconds. */
	if (st->st_mtim.tv_nsec == 0 && st->st_ctim.tv_nsec == 0)
		grain_ms = 2000;
	clock_gettime(CLOCK_REALTIME, &now);
	age_ms = (int64_t)(now.tv_sec - last.tv_sec) * 1000 +
	    (now.tv_nsec - last.tv_nsec) / 1000000;
	return age_ms < grain_ms && age_ms > -grain_ms ?
	    (unsigned)(grain_ms - age_ms) : 0;
}

/* The file's state, taken when every further change must show in it.  *racy:
 * it did not come to rest. */
static int
stat_at_rest(struct mbox_file *f, struct stat *st, bool *racy, struct err *e)
{
	uint64_t end = clock_ms() + SETTLE_MS;
	unsigned ms;

	for (;;) {
		if (fstat(f->orig, st) == -1)
			return err_sys(e, ERR_MAILBOX, "stat");
		ms = just_changed(st);
		*racy = ms > 0;
		if (ms == 0 || clock_ms() >= end)
			return 0;
		/* Who respects our lock does not change it meanwhile. */
		if (mbox_pause(f->conf.cancel_fd, (int)ms, e))
			return -1;
	}
}

/* Does its name still lead to it? */
static bool
same_file(const struct mbox_file *f)
{
	struct stat st;

	return fstatat(f->dirfd, f->name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	    st.st_dev == f->st.st_dev && st.st_ino == f->st.st_ino;
}

/* Is what was there when it was opened still there?  Mail may have been
 * appended since; programs that remove mail or write flags shift what comes
 * last. */
static bool
unharmed(const struct mbox_file *f, const struct stat *st)
{
	if (!same_file(f))
		return false;
	if (same_state(st, &f->seen))
		return true;
	return (uint64_t)st->st_size > f->size &&
	    same_prints(f->orig, f->size, &f->print);
}

int
mbox_file_rewritten(struct err *e)
{
	err_retry(e, ERR_MAILBOX, "the file was rewritten while it was read");
	e->cause = CAUSE_CHANGED;
	return -1;
}

/* Holding. */

static bool
is_live(const struct mbox_file *f)
{
	return f->fd == f->orig;
}

bool
mbox_file_held(const struct mbox_file *f)
{
	return f->holds > 0;
}

static int
take_lock(struct mbox_file *f, struct err *e)
{
	int rc = mbox_lock_take(&f->lock, f->conf.wait_ms, f->conf.cancel_fd,
	    e);

	f->since_ms = clock_ms();
	return rc;
}

static void
drop_lock(struct mbox_file *f)
{
	struct err e;

	/* Only a lock file needs the user's rights. */
	if (f->lock.dot && asuser_enter(f->conf.as, &e) == 0) {
		mbox_lock_drop(&f->lock);
		asuser_leave(f->conf.as);
	} else
		mbox_lock_drop(&f->lock);
}

static int
hold(struct mbox_file *f, struct err *e)
{
	struct stat st;
	bool racy;

	if (take_lock(f, e) == -1 || stat_at_rest(f, &st, &racy, e) == -1)
		return -1;
	if (!unharmed(f, &st))
		return mbox_file_rewritten(e);
	if (!racy)
		f->seen = st;
	return 0;
}

int
mbox_file_hold(struct mbox_file *f, struct err *e)
{
	int rc;

	if (!is_live(f))
		return 0;
	if (f->holds > 0) {
		f->holds++;
		return 0;
	}
	if (asuser_enter(f->conf.as, e) == -1)
		return -1;
	rc = hold(f, e);
	if (rc == 0)
		f->holds = 1;
	else
		mbox_lock_drop(&f->lock);
	asuser_leave(f->conf.as);
	return rc;
}

int
mbox_file_release(struct mbox_file *f, struct err *e)
{
	struct mbox_print p;
	struct stat st;
	bool good;

	if (!is_live(f))
		return 0;
	assert(f->holds > 0);
	if (--f->holds > 0)
		return 0;
	if (asuser_enter(f->conf.as, e) == -1) {
		drop_lock(f);
		return -1;
	}
	/* The prints before the state: so they are of that state. */
	good = take_prints(f->orig, f->size, f->pos, &p) == 0 &&
	    fstat(f->orig, &st) == 0 && unharmed(f, &st);
	if (good)
		f->print = p;
	mbox_lock_drop(&f->lock);
	asuser_leave(f->conf.as);
	return good ? 0 : mbox_file_rewritten(e);
}

void
mbox_file_let_go(struct mbox_file *f)
{
	if (f->holds > 0 && --f->holds == 0)
		drop_lock(f);
}

bool
mbox_file_same(const struct mbox_file *f)
{
	struct stat st;

	return same_file(f) && fstat(f->orig, &st) == 0 &&
	    same_state(&st, &f->st);
}

/* Opening. */

/* The bytes that count, in a file of our own. */
static int
copy_bytes(struct mbox_file *f, struct err *e)
{
	struct err again;
	uint64_t done = 0;
	ssize_t n = 1;
	char *p;

	asuser_pause(f->conf.as);
	f->fd = tempfile_open(e);
	if (asuser_resume(f->conf.as, f->fd == -1 ? &again : e) == -1 ||
	    f->fd == -1) {
		if (e->scope > ERR_MAILBOX)
			e->scope = ERR_MAILBOX;
		return -1;
	}
	/* Where the file system can share the bytes, that is enough. */
	if (ioctl(f->fd, FICLONE, f->orig) == 0)
		return 0;
	p = xmalloc(COPY_CHUNK);
	while (done < f->size && n > 0) {
		size_t want = f->size - done < COPY_CHUNK ?
		    (size_t)(f->size - done) : COPY_CHUNK;

		if (mbox_pause(f->conf.cancel_fd, 0, e)) {
			n = -1;
			break;
		}
		n = pread_full(f->orig, p, want, done);
		if (n == -1)
			read_error(e);
		else if (n > 0 && tempfile_write(f->fd, p, (size_t)n) == -1) {
			n = -1;
			err_sys(e, ERR_MAILBOX, "a copy of the file in TMPDIR");
			e->retry = true;
		}
		done += n > 0 ? (uint64_t)n : 0;
		mbox_lock_refresh(&f->lock);
	}
	free(p);
	if (n == -1)
		return -1;
	return done < f->size ? mbox_file_rewritten(e) : 0;
}

/* A copy, decoded or not, of one state of the file. */
static int
make_copy(struct mbox_file *f, struct err *e)
{
	struct stat after;
	int rc;

	f->fd = -1;
	if (f->compressed) {
		asuser_pause(f->conf.as);
		rc = decode_fd_to_temp(f->orig, &f->fd, &f->size, e);
		if (rc == 0)
			rc = asuser_resume(f->conf.as, e);
		else {
			struct err ignored;

			asuser_resume(f->conf.as, &ignored);
			f->fd = -1;
			if (e->scope == ERR_MESSAGE)
				e->scope = ERR_MAILBOX;
		}
	} else
		rc = copy_bytes(f, e);
	if (rc == -1)
		return -1;
	if (fstat(f->orig, &after) == -1)
		return err_sys(e, ERR_MAILBOX, "stat");
	return same_state(&after, &f->st) ? 0 : mbox_file_rewritten(e);
}

int
mbox_file_open(struct mbox_file *f, struct safepath *at,
    const struct mbox_file_conf *conf, struct err *e)
{
	memset(f, 0, sizeof *f);
	f->conf = *conf;
	f->fd = f->orig = at->fd;
	f->dirfd = at->dirfd;
	memcpy(f->name, at->name, sizeof f->name);
	at->fd = at->dirfd = -1;
	mbox_lock_init(&f->lock, conf->locks, f->orig, f->dirfd, f->name);
	if (take_lock(f, e) == -1 ||
	    stat_at_rest(f, &f->st, &f->racy, e) == -1)
		goto fail;
	f->holds = 1;
	if (!S_ISREG(f->st.st_mode)) {
		err_set(e, ERR_MAILBOX, "not a regular file");
		goto fail;
	}
	f->seen = f->st;
	f->size = (uint64_t)f->st.st_size;
	if (mbox_probe(f->orig, &f->kind, &f->compressed, e) == -1)
		goto fail;
	if (!f->compressed && take_prints(f->orig, f->size, 0, &f->print) ==
	    -1) {
		mbox_file_rewritten(e);
		goto fail;
	}
	if (f->compressed || conf->stable) {
		f->copied = true;
		if (make_copy(f, e) == -1)
			goto fail;
		mbox_file_let_go(f);
	}
	return 0;
fail:
	mbox_file_close(f);
	return -1;
}

void
mbox_file_close(struct mbox_file *f)
{
	struct err e;
	bool other = f->lock.dot && asuser_enter(f->conf.as, &e) == 0;

	mbox_lock_release(&f->lock);
	if (other)
		asuser_leave(f->conf.as);
	if (f->orig != -1 && f->orig != f->fd)
		close(f->orig);
	if (f->fd != -1)
		close(f->fd);
	if (f->dirfd != -1)
		close(f->dirfd);
	f->fd = f->orig = f->dirfd = -1;
	f->holds = 0;
}

/* Reading. */

ssize_t
mbox_file_read(void *ctx, void *p, size_t n, uint64_t off, struct err *e)
{
	static const struct timespec moment = { 0, 2000000 };
	struct mbox_file *f = ctx;
	ssize_t got;

	if (f->holds == 1 && clock_ms() - f->since_ms > HOLD_MS) {
		if (mbox_file_release(f, e) == -1)
			return -1;
		nanosleep(&moment, NULL);
		if (mbox_file_hold(f, e) == -1)
			return -1;
	}
	do
		got = pread(f->fd, p, n, (off_t)off);
	while (got == -1 && errno == EINTR);
	if (got == -1)
		return read_error(e);
	f->pos = off;
	/* A message may be longer than a person wants to wait. */
	f->unasked += (uint64_t)got;
	if (f->unasked >= ASK_BYTES && f->conf.cancel_fd != -1) {
		f->unasked = 0;
		if (mbox_pause(f->conf.cancel_fd, 0, e))
			return -1;
	}
	return got;
}

ssize_t
mbox_file_beyond(struct mbox_file *f, char *p, size_t n)
{
	struct stat st;

	/* What is read is not what grows. */
	if (f->compressed || fstat(f->orig, &st) == -1 ||
	    (uint64_t)st.st_size <= f->size || !unharmed(f, &st))
		return 0;
	return pread_full(f->orig, p, n, f->size);
}
