/* The logs of a run; what they look like is in the header. */
#include "log.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/xmalloc.h"
#include "text.h"

#define VALUE_MAX	300	/* bytes of a name in a line */
#define CUT		" ..."

struct log {
	char		*path;		/* without ".log" */
	bool		 events;
	pthread_mutex_t	 mutex;
	/* under the mutex */
	int		 logs_fd;	/* the directory, or -1 */
	uint64_t	 lost;		/* lines, since the last good write */
	bool		 told;
	log_complain_fn	*tell;
	void		*ctx;
};

struct log *
log_new(const char *state_path, const char *dir, bool events,
    log_complain_fn *tell, void *ctx)
{
	struct log *l = xcalloc(1, sizeof *l);
	const char *slash = strrchr(state_path, '/');
	struct buf b;

	buf_init(&b, 1 << 16);
	if (dir != NULL)
		buf_addf(&b, "%s/%s", dir, slash != NULL ? slash + 1 :
		    state_path);
	else
		buf_adds(&b, state_path);
	l->path = buf_detach(&b, NULL);
	l->events = events;
	l->logs_fd = -1;
	l->tell = tell;
	l->ctx = ctx;
	pthread_mutex_init(&l->mutex, NULL);
	return l;
}

void
log_free(struct log **lp)
{
	struct log *l = *lp;

	*lp = NULL;
	if (l == NULL)
		return;
	if (l->logs_fd != -1)
		close(l->logs_fd);
	pthread_mutex_destroy(&l->mutex);
	free(l->path);
	free(l);
}

static uint64_t
hash(const char *s)
{
	uint64_t h = 0xcbf29ce484222325;

	for (; *s != '\0'; s++)
		h = (h ^ (unsigned char)*s) * 0x100000001b3;
	return h;
}

static bool
is_plain(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	    (c >= '0' && c <= '9') || c == '@' || c == '.' || c == '_' ||
	    c == '+' || c == '-';
}

void
log_file_name(struct buf *out, const char *account)
{
	size_t start = out->len, keep = 0;

	for (const char *p = account; *p != '\0'; p++) {
		/* As much as is kept before the hash of what is too long. */
		if (out->len - start <= LOG_NAME_MAX - 18)
			keep = out->len;
		if (is_plain(*p) && (p > account || (*p != '.' && *p != '-')))
			buf_addc(out, *p);
		else
			buf_addf(out, "%%%02X", (unsigned char)*p);
	}
	if (out->len == start)
		buf_addc(out, '%');	/* no other name is that */
	if (out->len - start <= LOG_NAME_MAX && !out->full)
		return;
	out->len = keep;
	buf_addf(out, "%%~%016" PRIx64, hash(account));
}

/* Lines */

/* Adds text as people can see it; false: cut before its end. */
static bool
add_text(struct buf *line, const char *s, size_t limit, bool quoted)
{
	while (*s != '\0') {
		size_t n = text_shown(s);
		bool bare = n > 0 && !(quoted && (*s == '"' || *s == '\\'));

		if (line->len + (n > 4 ? n : 4) > limit)
			return false;
		if (bare)
			buf_add(line, s, n);
		else if (n > 0)
			buf_addf(line, "\\%c", *s);
		else
			buf_addf(line, "\\x%02x", (unsigned char)*s);
		s += n > 0 ? n : 1;
	}
	return true;
}

static void
add_value(struct buf *line, const char *key, const char *value)
{
	size_t limit = line->len + VALUE_MAX;
	bool bare = value != NULL && *value != '\0';

	if (value == NULL)
		return;
	for (const char *p = value; *p != '\0' && bare; p++)
		bare = is_plain(*p) || *p == '/' ||
		    (unsigned char)*p >= 0x80;
	buf_addf(line, " %s=%s", key, bare ? "" : "\"");
	if (!add_text(line, value, limit, !bare))
		buf_adds(line, "...");
	if (!bare)
		buf_addc(line, '"');
}

static void
add_time(struct buf *line)
{
	struct timespec t;
	struct tm tm;
	char when[40], zone[8];

	clock_gettime(CLOCK_REALTIME, &t);
	localtime_r(&t.tv_sec, &tm);
	strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%S", &tm);
	strftime(zone, sizeof zone, "%z", &tm);
	buf_addf(line, "%s.%03ld%.3s:%s", when, t.tv_nsec / 1000000, zone,
	    zone + 3);
}

static void
add_words(struct buf *line, const char *text)
{
	if (!add_text(line, text, LOG_LINE_MAX - sizeof CUT, false))
		buf_adds(line, CUT);
	buf_addc(line, '\n');
}

/* Files; all under the mutex. */

/* The directory of the accounts, made if need be. */
static int
open_logs(struct log *l)
{
	struct stat st;
	struct buf b;
	int fd;

	if (l->logs_fd != -1) {
		/* It may have been taken away meanwhile. */
		if (fstat(l->logs_fd, &st) == 0 && st.st_nlink > 0)
			return 0;
		close(l->logs_fd);
		l->logs_fd = -1;
	}
	buf_init(&b, 1 << 16);
	buf_addf(&b, "%s.logs", l->path);
	if (mkdir(b.ptr, 0700) == -1 && errno != EEXIST) {
		buf_release(&b);
		return -1;
	}
	fd = open(b.ptr, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	buf_release(&b);
	if (fd == -1)
		return -1;
	/* Who could write there could put other files in our way. */
	if (fstat(fd, &st) == -1 || st.st_uid != geteuid() ||
	    (st.st_mode & 022) != 0) {
		close(fd);
		errno = EPERM;
		return -1;
	}
	l->logs_fd = fd;
	return 0;
}

/* Opens to append; a file that others could have put there is refused.
 * *size is its length, *torn says that its last line has no end. */
static int
open_log(int dirfd, const char *name, off_t *size, bool *torn)
{
	struct stat st;
	char last = '\n';
	int fd;

	fd = openat(dirfd, name, O_RDWR | O_APPEND | O_CREAT | O_NOFOLLOW |
	    O_NONBLOCK | O_NOCTTY | O_CLOEXEC, 0600);
	if (fd == -1)
		return -1;
	if (fstat(fd, &st) == -1 || !S_ISREG(st.st_mode) ||
	    st.st_uid != geteuid() || st.st_nlink > 1) {
		close(fd);
		errno = EPERM;
		return -1;
	}
	*size = st.st_size;
	*torn = st.st_size > 0 && pread(fd, &last, 1, st.st_size - 1) == 1 &&
	    last != '\n';
	return fd;
}

static int
append(int dirfd, const char *name, const char *p, size_t n)
{
	off_t size = 0;
	bool torn = false;
	ssize_t done;
	int fd, saved;

	if (fault_fails("log.write")) {
		errno = ENOSPC;
		return -1;
	}
	if ((fd = open_log(dirfd, name, &size, &torn)) == -1)
		return -1;
	if (torn && write(fd, "\n", 1) == 1)
		size++;
	errno = ENOSPC;
	done = write(fd, p, n);
	saved = errno;
	/* Half a line is none. */
	if (done > 0 && (size_t)done < n && ftruncate(fd, size) == -1)
		saved = errno;
	close(fd);
	errno = saved;
	return done == (ssize_t)n ? 0 : -1;
}

static void
failed(struct log *l, const char *what)
{
	int why = errno;
	char msg[128];
	struct buf b;

	l->lost++;
	if (l->told)
		return;
	l->told = true;
	buf_init(&b, 8192);
	buf_addf(&b, "the log %s%s cannot be written: %s; the run goes on, and "
	    "this is not told again", l->path, what, why == EPERM ? "it is "
	    "not ours alone (a link, another owner, writable by others)" :
	    strerror_r(why, msg, sizeof msg));
	l->tell(l->ctx, b.ptr);
	buf_release(&b);
}

static int
append_run(struct log *l, const char *p, size_t n)
{
	struct buf name;
	int rc;

	buf_init(&name, 1 << 16);
	buf_addf(&name, "%s.log", l->path);
	rc = append(AT_FDCWD, name.ptr, p, n);
	buf_release(&name);
	return rc;
}

/* Once the disk takes lines again, the run's log tells of the gap. */
static void
tell_lost(struct log *l)
{
	struct buf line;

	if (l->lost == 0 || !l->events)
		return;
	buf_init(&line, LOG_LINE_MAX);
	add_time(&line);
	buf_addf(&line, " warn log: %" PRIu64 " lines of the logs could not be "
	    "written before this one\n", l->lost);
	if (append_run(l, line.ptr, line.len) == 0)
		l->lost = 0;
	buf_release(&line);
}

static void
write_run(struct log *l, const struct buf *line)
{
	tell_lost(l);
	if (append_run(l, line->ptr, line->len) == -1)
		failed(l, ".log");
}

static void
write_account(struct log *l, const char *account, const char *ending,
    const struct buf *line)
{
	struct buf name;

	buf_init(&name, 1 << 20);
	log_file_name(&name, account);
	buf_adds(&name, ending);
	if (open_logs(l) == -1 || append(l->logs_fd, name.ptr, line->ptr,
	    line->len) == -1)
		failed(l, ".logs");
	buf_release(&name);
}

static void __attribute__((format(printf, 6, 0)))
event(struct log *l, enum log_files to, const char *level, const char *name,
    const struct log_about *about, const char *fmt, va_list ap)
{
	static const struct log_about nothing;
	char text[LOG_LINE_MAX];
	struct buf line;

	if (l == NULL || !l->events)
		return;
	if (about == NULL)
		about = &nothing;
	vsnprintf(text, sizeof text, fmt, ap);
	buf_init(&line, LOG_LINE_MAX);
	add_time(&line);
	buf_addf(&line, " %s %s", level, name);
	add_value(&line, "account", about->account);
	add_value(&line, "mailbox", about->mailbox);
	add_value(&line, "host", about->host);
	add_value(&line, "where", about->where != NULL &&
	    *about->where != '\0' ? about->where : NULL);
	if (text[0] != '\0')
		buf_adds(&line, ": ");
	add_words(&line, text);
	pthread_mutex_lock(&l->mutex);
	if (about->account == NULL || to & LOG_RUN)
		write_run(l, &line);
	if (about->account != NULL && to & LOG_ACCOUNT)
		write_account(l, about->account, ".log", &line);
	pthread_mutex_unlock(&l->mutex);
	buf_release(&line);
}

void
log_event(struct log *l, enum log_files to, const char *name,
    const struct log_about *about, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	event(l, to, "info", name, about, fmt, ap);
	va_end(ap);
}

void
log_warn(struct log *l, enum log_files to, const char *name,
    const struct log_about *about, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	event(l, to, "warn", name, about, fmt, ap);
	va_end(ap);
}

void
log_trace(struct log *l, const char *account, const char *text)
{
	struct buf line;

	if (l == NULL)
		return;
	buf_init(&line, LOG_LINE_MAX);
	add_time(&line);
	buf_addc(&line, ' ');
	add_words(&line, text);
	pthread_mutex_lock(&l->mutex);
	write_account(l, account, ".trace", &line);
	pthread_mutex_unlock(&l->mutex);
	buf_release(&line);
}
