/*
 * What a run that was killed left in tmp/, and its journal, a file whose name
 * ends so.
 *
 * The journal says what dovecot-uidlist is going to hold:
 *
 *	mailhaul-journal 1
 *	<uid, 0: the next> <fields> :<base file name>		(lines)
 *	end <number of lines>
 *
 * It is on the disk before the first of these files is renamed into cur/, so
 * that a file without a line, which Dovecot would give some other UID, gets
 * the one it was to have.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "dovecot/dovecot_impl.h"

#define HEAD		"mailhaul-journal 1\n"
#define JOURNAL_MAX	((size_t)4 << 20)

int
journal_write(struct dovecot *dv, const struct buf *lines, size_t n,
    struct err *e)
{
	struct box *b = &dv->box;
	char name[OWN_NAME];
	struct buf text;
	int fd, rc = -1;

	dovecot_own_name(dv, JOURNAL, name);
	unlinkat(b->tmp, name, 0);
	buf_init(&text, JOURNAL_MAX + 4096);
	buf_adds(&text, HEAD);
	buf_add(&text, lines->ptr, lines->len);
	buf_addf(&text, "end %zu\n", n);
	if ((fd = dovecot_file_new(dv, b->tmp, name)) == -1)
		dovecot_sys(e, "tmp/%s", name);
	else {
		rc = dovecot_write(fd, text.ptr, text.len, e);
		close(fd);
	}
	buf_release(&text);
	b->journal = true;
	return rc;
}

/* Its whole text; 0: there is none, or it was not finished. */
static int
slurp(struct box *b, const char *name, struct buf *text, struct err *e)
{
	struct stat st;
	ssize_t n = 1;
	int fd;

	fd = openat(b->tmp, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC |
	    O_NONBLOCK);
	if (fd == -1)
		return 0;
	/* Only what we made ourselves, as the mail's owner. */
	if (fstat(fd, &st) == -1 || !S_ISREG(st.st_mode)) {
		close(fd);
		return 0;
	}
	while (n > 0 && text->len < JOURNAL_MAX + 2048 &&
	    buf_reserve(text, 65536) == 0) {
		n = read(fd, text->ptr + text->len, 65536);
		if (n > 0) {
			text->len += (size_t)n;
			text->ptr[text->len] = '\0';
		}
	}
	close(fd);
	if (n == -1)
		return dovecot_sys(e, "read tmp/%s", name);
	return 1;
}

/* One line: the file is there and has no line in the list yet. */
static void
recover_line(struct box *b, const char *p, size_t len, struct buf *lines,
    uint32_t *next)
{
	const char *blank, *colon, *base;
	unsigned long long want;
	uint64_t h;

	if ((blank = memchr(p, ' ', len)) == NULL ||
	    !maildir_number(p, (size_t)(blank - p), UID_LAST, &want) ||
	    (colon = memmem(blank, len - (size_t)(blank - p), " :", 2)) ==
	    NULL || *next > UID_LAST)
		return;
	base = colon + 2;
	h = hash_name(base, len - (size_t)(base - p));
	if (!hashes_has(&b->files, h) || hashes_has(&b->list.bases, h))
		return;
	hashes_add(&b->list.bases, h);
	if (want < *next)
		want = *next;
	buf_addf(lines, "%llu", want);
	buf_add(lines, blank, len - (size_t)(blank - p));
	buf_addc(lines, '\n');
	*next = (uint32_t)want + 1;
}

static int
recover_one(struct box *b, const char *name, struct buf *lines,
    uint32_t *next, struct err *e)
{
	const char *p, *lf;
	struct buf text;
	size_t n = 0;
	int rc;

	buf_init(&text, JOURNAL_MAX + 65536 + 4096);
	rc = slurp(b, name, &text, e);
	if (rc == 1 && strncmp(text.ptr, HEAD, strlen(HEAD)) == 0) {
		/* Unfinished: then nothing was renamed either. */
		for (p = text.ptr + strlen(HEAD); (lf = strchr(p, '\n')) !=
		    NULL && strncmp(p, "end ", 4) != 0; p = lf + 1)
			n++;
		if (lf == NULL || strtoul(p + 4, NULL, 10) != n)
			n = 0;
		for (p = text.ptr + strlen(HEAD); n > 0; p = lf + 1, n--) {
			lf = strchr(p, '\n');
			recover_line(b, p, (size_t)(lf - p), lines, next);
		}
	}
	buf_release(&text);
	return rc == -1 ? -1 : 0;
}

static bool
is_ours(const char *name)
{
	return strncmp(name, OURS, strlen(OURS)) == 0;
}

static bool
is_journal(const char *name)
{
	size_t len = strlen(name);

	return is_ours(name) && len > strlen(JOURNAL) &&
	    strcmp(name + len - strlen(JOURNAL), JOURNAL) == 0;
}

/* tmp/ to be read. */
static DIR *
open_tmp(struct box *b, struct err *e)
{
	DIR *dir;
	int fd;

	fd = openat(b->tmp, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd != -1 && (dir = fdopendir(fd)) != NULL)
		return dir;
	dovecot_sys(e, "tmp/");
	if (fd != -1)
		close(fd);
	return NULL;
}

int
journal_recover(struct dovecot *dv, struct buf *lines, uint32_t *next,
    struct err *e)
{
	struct box *b = &dv->box;
	struct dirent *d;
	int rc = 0;
	DIR *dir;

	if ((dir = open_tmp(b, e)) == NULL)
		return -1;
	while (rc == 0 && (d = readdir(dir)) != NULL)
		if (is_journal(d->d_name))
			rc = recover_one(b, d->d_name, lines, next, e);
	closedir(dir);
	return rc;
}

/* The journals last: without them what is in cur/ would be anybody's. */
static int
remove_ours(struct box *b, bool journals, struct err *e)
{
	struct dirent *d;
	DIR *dir;

	if ((dir = open_tmp(b, e)) == NULL)
		return -1;
	while ((d = readdir(dir)) != NULL)
		if (is_ours(d->d_name) && is_journal(d->d_name) == journals)
			unlinkat(b->tmp, d->d_name, 0);
	closedir(dir);
	return 0;
}

int
journal_sweep(struct dovecot *dv, struct err *e)
{
	struct box *b = &dv->box;
	int rc;

	/* Every other writer has it shared; see stay() in dovecot_box.c. */
	if (flock(b->tmp, LOCK_EX | LOCK_NB) == -1 && errno == EWOULDBLOCK)
		rc = 0;
	else if ((rc = remove_ours(b, false, e)) == 0 &&
	    (rc = remove_ours(b, true, e)) == 0)
		b->journal = false;
	/* That it was shared before does not survive an attempt. */
	(void)flock(b->tmp, LOCK_SH | LOCK_NB);
	return rc;
}
