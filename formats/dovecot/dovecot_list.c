/*
 * dovecot-uidlist, version 3:
 *
 *	3 V<uidvalidity> N<uidnext> G<mailbox guid>[ <other letter><value>]...
 *	<uid>[ P<uidl>][ O<order>][ G<guid>][ X<mark>] :<base file name>
 *
 * X is ours, eight digits that prove where the UID comes from; Dovecot keeps the
 * fields that it does not know.
 *
 * UIDs ascend; a last line without LF is being written or was torn by a crash.
 * N is not changed by appends: the next UID is the highest of N and the last
 * UID + 1.  The file is read once, then only what was appended; only hashes of
 * the names are kept.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/xmalloc.h"
#include "dovecot/dovecot_impl.h"

#define CHUNK ((size_t)256 * 1024)	/* no line is longer */

/* Hashes. */

static uint64_t hash_key[2];
static pthread_once_t hash_once = PTHREAD_ONCE_INIT;

static void
make_hash_key(void)
{
	if (getrandom(hash_key, sizeof hash_key, 0) != sizeof hash_key)
		abort();
}

static uint64_t
rotate(uint64_t x, int n)
{
	return x << n | x >> (64 - n);
}

static void
sip_round(uint64_t v[4])
{
	v[0] += v[1];
	v[1] = rotate(v[1], 13) ^ v[0];
	v[0] = rotate(v[0], 32);
	v[2] += v[3];
	v[3] = rotate(v[3], 16) ^ v[2];
	v[0] += v[3];
	v[3] = rotate(v[3], 21) ^ v[0];
	v[2] += v[1];
	v[1] = rotate(v[1], 17) ^ v[2];
	v[2] = rotate(v[2], 32);
}

static void
sip_word(uint64_t v[4], uint64_t word)
{
	v[3] ^= word;
	sip_round(v);
	v[0] ^= word;
}

/* SipHash-1-3 with a key of this process: a user who chooses names must not be
 * able to choose places. */
uint64_t
hash_name(const char *p, size_t len)
{
	uint64_t last = (uint64_t)len << 56, word, h;
	uint64_t v[4];
	size_t i;

	pthread_once(&hash_once, make_hash_key);
	v[0] = hash_key[0] ^ UINT64_C(0x736f6d6570736575);
	v[1] = hash_key[1] ^ UINT64_C(0x646f72616e646f6d);
	v[2] = hash_key[0] ^ UINT64_C(0x6c7967656e657261);
	v[3] = hash_key[1] ^ UINT64_C(0x7465646279746573);
	for (i = 0; i + 8 <= len; i += 8) {
		memcpy(&word, p + i, 8);
		sip_word(v, word);
	}
	for (size_t k = 0; i + k < len; k++)
		last |= (uint64_t)(unsigned char)p[i + k] << 8 * k;
	sip_word(v, last);
	v[2] ^= 0xff;
	for (i = 0; i < 3; i++)
		sip_round(v);
	h = v[0] ^ v[1] ^ v[2] ^ v[3];
	return h != 0 ? h : 1;
}

static size_t
place_of(const struct hashes *t, uint64_t h)
{
	size_t i = (size_t)h & (t->cap - 1);

	while (t->h[i] != 0 && t->h[i] != h)
		i = (i + 1) & (t->cap - 1);
	return i;
}

bool
hashes_has(const struct hashes *t, uint64_t h)
{
	return t->cap > 0 && t->h[place_of(t, h)] == h;
}

void
hashes_add(struct hashes *t, uint64_t h)
{
	size_t i;

	if (2 * (t->n + 1) > t->cap) {
		struct hashes bigger = { NULL, 0, t->cap ? 2 * t->cap : 256 };

		bigger.h = xcalloc(bigger.cap, sizeof *bigger.h);
		for (i = 0; i < t->cap; i++)
			if (t->h[i] != 0)
				bigger.h[place_of(&bigger, t->h[i])] = t->h[i];
		bigger.n = t->n;
		free(t->h);
		*t = bigger;
	}
	i = place_of(t, h);
	if (t->h[i] == 0) {
		t->h[i] = h;
		t->n++;
	}
}

void
hashes_release(struct hashes *t)
{
	free(t->h);
	memset(t, 0, sizeof *t);
}

/* Reading. */

void
list_init(struct list *l)
{
	memset(l, 0, sizeof *l);
	l->fd = -1;
}

void
list_release(struct list *l)
{
	if (l->fd != -1)
		close(l->fd);
	hashes_release(&l->bases);
	list_init(l);
}

uint32_t
list_next(const struct list *l)
{
	uint32_t n = l->head.uidnext > 0 ? l->head.uidnext : 1;

	return l->last >= n ? l->last + 1 : n;
}

/* What follows V, N and G in the first line is others' and stays. */
static void
keep_rest(struct list *l, const char *line, size_t len)
{
	const char *p = line, *end = line + len;
	size_t n, k = 0;

	for (; p < end; p += n + (p + n < end)) {
		const char *blank = memchr(p, ' ', (size_t)(end - p));

		n = blank != NULL ? (size_t)(blank - p) : (size_t)(end - p);
		if (n == 0 || p == line || strchr("VNG", *p) != NULL ||
		    k + n + 2 > sizeof l->rest)
			continue;
		l->rest[k++] = ' ';
		memcpy(l->rest + k, p, n);
		k += n;
	}
	l->rest[k] = '\0';
}

static int
broken(struct err *e, const char *why)
{
	return err_set(e, ERR_MAILBOX, UIDLIST " is broken (%s): nothing is "
	    "written to this mailbox until Dovecot has made it anew "
	    "(doveadm force-resync)", why);
}

static int
take_line(struct list *l, const char *p, size_t len, struct err *e)
{
	struct uidlist_rec r;
	const char *why = NULL;
	int rc;

	if (!l->there) {
		if (uidlist_head_parse(&l->head, p, len) == -1)
			return broken(e, "its first line");
		if (l->head.version != 3)
			return broken(e, "it is of the old version 1");
		l->there = true;
		keep_rest(l, p, len);
		return 0;
	}
	rc = uidlist_rec_parse(&r, 3, p, len, &why);
	if (rc == -1)
		return broken(e, why);
	if (r.uid <= l->last)
		return broken(e, "UIDs do not ascend");
	l->last = r.uid;
	if (rc == 1)
		hashes_add(&l->bases, hash_name(r.base, r.nbase));
	return 0;
}

/* Lines from l->size on; a last one without end is left. */
static int
read_lines(struct list *l, int fd, struct err *e)
{
	char *chunk = xmalloc(CHUNK);
	size_t have = 0, done, n;
	const char *lf;
	ssize_t got;
	int rc = 0;

	for (;;) {
		got = pread(fd, chunk + have, CHUNK - have,
		    (off_t)(l->size + have));
		if (got == -1 && errno == EINTR)
			continue;
		if (got == -1) {
			rc = dovecot_sys(e, "read " UIDLIST);
			break;
		}
		if (got == 0)
			break;
		have += (size_t)got;
		for (done = 0; rc == 0 && (lf = memchr(chunk + done, '\n',
		    have - done)) != NULL; done += n + 1) {
			n = (size_t)(lf - (chunk + done));
			rc = take_line(l, chunk + done, n > 0 && lf[-1] ==
			    '\r' ? n - 1 : n, e);
		}
		if (rc == -1)
			break;
		if (done == 0 && have == CHUNK) {
			rc = broken(e, "a line is too long");
			break;
		}
		memmove(chunk, chunk + done, have - done);
		l->size += done;
		have -= done;
	}
	free(chunk);
	return rc;
}

int
list_read(struct dovecot *dv, struct box *b, struct err *e)
{
	struct list *l = &b->list;
	struct stat st;
	int fd, rc;

	(void)dv;
	fd = openat(b->fd, UIDLIST, O_RDONLY | O_NOFOLLOW | O_CLOEXEC |
	    O_NONBLOCK);
	if (fd == -1 && errno == ENOENT) {
		list_release(l);
		return 0;
	}
	if (fd == -1 || fstat(fd, &st) == -1 || !S_ISREG(st.st_mode)) {
		rc = fd != -1 && !S_ISREG(st.st_mode) ? err_set(e,
		    ERR_MAILBOX, UIDLIST " is no file") :
		    dovecot_sys(e, UIDLIST);
		if (fd != -1)
			close(fd);
		return rc;
	}
	if (!l->there || st.st_ino != l->ino ||
	    (uint64_t)st.st_size < l->size) {
		list_release(l);
		l->ino = st.st_ino;
		l->fd = fd;
	} else
		close(fd);
	rc = read_lines(l, l->fd, e);
	if (rc == 0 && !l->there && st.st_size > 0)
		rc = broken(e, "its first line");
	return rc;
}

int
list_again(struct dovecot *dv, struct box *b, struct err *e)
{
	if (list_read(dv, b, e) == -1)
		return -1;
	if (b->uidvalidity == 0 || b->list.head.uidvalidity == b->uidvalidity)
		return 0;
	return err_retry(e, ERR_MAILBOX, UIDLIST " was made anew, with another "
	    "UIDVALIDITY, while the mailbox was open");
}

/* Writing. */

void
list_restart(struct list *l)
{
	hashes_release(&l->bases);
	l->there = false;
	l->last = l->head.uidnext = 0;
}

void
list_new_guid(char guid[GUID_HEX + 1])
{
	unsigned char bytes[GUID_HEX / 2];

	if (getrandom(bytes, sizeof bytes, 0) != sizeof bytes)
		abort();
	for (size_t i = 0; i < sizeof bytes; i++)
		snprintf(guid + 2 * i, 3, "%02x", bytes[i]);
}

/* Values end at a blank; anything that is not plain text is left out. */
bool
list_word(const char *s)
{
	if (s == NULL || *s == '\0' || strlen(s) > 250)
		return false;
	for (; *s != '\0'; s++)
		if (*s <= 0x20 || *s >= 0x7f)
			return false;
	return true;
}

void
list_line(struct buf *out, uint32_t uid, const char *uidl, uint32_t order,
    const char *guid, uint32_t mark, const char *base)
{
	buf_addf(out, "%" PRIu32, uid);
	if (list_word(uidl))
		buf_addf(out, " P%s", uidl);
	if (order != 0)
		buf_addf(out, " O%" PRIu32, order);
	if (list_word(guid))
		buf_addf(out, " G%s", guid);
	if (mark != 0)
		buf_addf(out, " X%08" PRIx32, mark);
	buf_addf(out, " :%s\n", base);
}

static void
put_head(struct buf *out, struct list *l)
{
	if (l->head.uidvalidity == 0)
		l->head.uidvalidity = (uint32_t)time(NULL);
	if (l->head.uidnext == 0)
		l->head.uidnext = 1;
	if (l->head.guid[0] == '\0')
		list_new_guid(l->head.guid);
	buf_addf(out, "3 V%" PRIu32 " N%" PRIu32 " G%s%s\n",
	    l->head.uidvalidity, l->head.uidnext, l->head.guid, l->rest);
}

/* The lines of the file at hand, to the new one. */
static int
copy_lines(struct box *b, int to, uint64_t head, struct err *e)
{
	char *chunk = xmalloc(CHUNK);
	uint64_t off = head;
	ssize_t n = 0;
	size_t room;
	int from, rc = 0;

	from = openat(b->fd, UIDLIST, O_RDONLY | O_NOFOLLOW | O_NONBLOCK |
	    O_CLOEXEC);
	if (from == -1)
		rc = dovecot_sys(e, "read " UIDLIST);
	while (rc == 0 && off < b->list.size) {
		room = b->list.size - off < CHUNK ?
		    (size_t)(b->list.size - off) : CHUNK;
		n = pread(from, chunk, room, (off_t)off);
		if (n == -1 && errno == EINTR)
			continue;
		if (n <= 0)
			rc = n == 0 ? broken(e, "it became shorter") :
			    dovecot_sys(e, "read " UIDLIST);
		else {
			rc = dovecot_write(to, chunk, (size_t)n, e);
			off += (uint64_t)n;
		}
	}
	if (from != -1)
		close(from);
	free(chunk);
	return rc;
}

/* The same lines, each as the caller wants it. */
static int
edit_lines(struct box *b, int to, uint64_t head, list_edit_fn *fn, void *ctx,
    struct err *e)
{
	char *chunk = xmalloc(CHUNK);
	uint64_t off = head;
	struct buf in, out;
	const char *p, *lf;
	ssize_t n = 0;
	int from, rc = 0;

	buf_init(&in, SIZE_MAX / 4);
	buf_init(&out, SIZE_MAX / 4);
	from = openat(b->fd, UIDLIST, O_RDONLY | O_NOFOLLOW | O_NONBLOCK |
	    O_CLOEXEC);
	if (from == -1)
		rc = dovecot_sys(e, "read " UIDLIST);
	while (rc == 0 && off < b->list.size) {
		n = pread(from, chunk, b->list.size - off < CHUNK ?
		    (size_t)(b->list.size - off) : CHUNK, (off_t)off);
		if (n == -1 && errno == EINTR)
			continue;
		if (n <= 0) {
			rc = n == 0 ? broken(e, "it became shorter") :
			    dovecot_sys(e, "read " UIDLIST);
			break;
		}
		off += (uint64_t)n;
		buf_add(&in, chunk, (size_t)n);
		for (p = in.ptr; (lf = memchr(p, '\n', in.len -
		    (size_t)(p - in.ptr))) != NULL; p = lf + 1) {
			fn(ctx, p, (size_t)(lf - p), &out);
			buf_addc(&out, '\n');
		}
		buf_drop(&in, (size_t)(p - in.ptr));
		rc = dovecot_write(to, out.ptr, out.len, e);
		buf_reset(&out);
	}
	if (rc == 0 && in.len > 0)
		rc = broken(e, "its last line");
	if (from != -1)
		close(from);
	buf_release(&in);
	buf_release(&out);
	free(chunk);
	return rc;
}

/* Bytes of the first line, LF included. */
static int
head_length(struct box *b, uint64_t *len, struct err *e)
{
	char line[1024], *lf;
	ssize_t n;
	int fd;

	*len = 0;
	if (!b->list.there)
		return 0;
	fd = openat(b->fd, UIDLIST, O_RDONLY | O_NOFOLLOW | O_NONBLOCK |
	    O_CLOEXEC);
	n = fd != -1 ? pread(fd, line, sizeof line, 0) : -1;
	if (fd != -1)
		close(fd);
	if (n == -1)
		return dovecot_sys(e, "read " UIDLIST);
	if ((lf = memchr(line, '\n', (size_t)n)) == NULL)
		return broken(e, "its first line");
	*len = (uint64_t)(lf + 1 - line);
	return 0;
}

/* The file anew: the head of b->list, its lines (with edit: as that wants
 * them), and some more. */
static int
write_anew(struct dovecot *dv, struct box *b, list_edit_fn *edit, void *ctx,
    const char *more, size_t nmore, struct err *e)
{
	struct timespec times[2] = { { .tv_nsec = UTIME_OMIT }, { 0 } };
	struct list *l = &b->list;
	struct stat st;
	struct buf head;
	char tmp[OWN_NAME];
	uint64_t old;
	int fd, rc = -1;

	dovecot_own_name(dv, "uidlist", tmp);
	if (head_length(b, &old, e) == -1)
		return -1;
	buf_init(&head, 4096);
	put_head(&head, l);
	unlinkat(b->tmp, tmp, 0);
	if ((fd = dovecot_file_new(dv, b->tmp, tmp)) == -1) {
		rc = dovecot_sys(e, "tmp/%s", tmp);
		goto out;
	}
	rc = dovecot_write(fd, head.ptr, head.len, e);
	if (rc == 0 && l->there)
		rc = edit != NULL ? edit_lines(b, fd, old, edit, ctx, e) :
		    copy_lines(b, fd, old, e);
	if (rc == 0)
		rc = dovecot_write(fd, more, nmore, e);
	/* Dovecot's index knows the list by size and time, and the kernel's
	 * clock for files ticks coarsely. */
	clock_gettime(CLOCK_REALTIME, &times[1]);
	if (rc == 0 && (futimens(fd, times) == -1 || fsync(fd) == -1 ||
	    fstat(fd, &st) == -1))
		rc = dovecot_sys(e, "tmp/%s", tmp);
	fault_point("list.written");
	if (rc == 0 && (renameat(b->tmp, tmp, b->fd, UIDLIST) == -1 ||
	    fsync(b->fd) == -1))
		rc = dovecot_sys(e, UIDLIST);
	if (rc == 0) {
		if (l->fd != -1)
			close(l->fd);
		l->fd = fd;
		l->there = true;
		l->ino = st.st_ino;
		l->size = (uint64_t)st.st_size;
	} else {
		close(fd);
		unlinkat(b->tmp, tmp, 0);
	}
out:
	buf_release(&head);
	return rc;
}

int
list_rewrite(struct dovecot *dv, struct box *b, uint32_t uidvalidity,
    uint32_t uidnext, const char *guid, struct err *e)
{
	struct list *l = &b->list;

	if (uidvalidity != 0)
		l->head.uidvalidity = uidvalidity;
	if (uidnext > l->head.uidnext)
		l->head.uidnext = uidnext;
	if (guid != NULL && guid[0] != '\0')
		snprintf(l->head.guid, sizeof l->head.guid, "%s", guid);
	return write_anew(dv, b, NULL, NULL, "", 0, e);
}

int
list_edit(struct dovecot *dv, struct box *b, list_edit_fn *fn, void *ctx,
    struct err *e)
{
	return write_anew(dv, b, fn, ctx, "", 0, e);
}

int
list_append(struct dovecot *dv, struct box *b, const struct buf *lines,
    uint32_t last, struct err *e)
{
	struct list *l = &b->list;
	struct stat st;
	int fd, rc;

	if (!l->there) {
		rc = write_anew(dv, b, NULL, NULL, lines->ptr,
		    lines->len, e);
		if (rc == 0)
			l->last = last;
		return rc;
	}
	fd = openat(b->fd, UIDLIST, O_WRONLY | O_APPEND | O_NOFOLLOW |
	    O_NONBLOCK | O_CLOEXEC);
	if (fd == -1 || fstat(fd, &st) == -1) {
		rc = dovecot_sys(e, UIDLIST);
		if (fd != -1)
			close(fd);
		return rc;
	}
	if (st.st_ino != l->ino || (uint64_t)st.st_size != l->size) {
		/* A torn last line: never append to it. */
		close(fd);
		rc = write_anew(dv, b, NULL, NULL, lines->ptr,
		    lines->len, e);
		if (rc == 0)
			l->last = last;
		return rc;
	}
	rc = dovecot_write(fd, lines->ptr, lines->len, e);
	fault_point("list.appended");
	if (rc == 0 && fdatasync(fd) == -1)
		rc = dovecot_sys(e, "sync " UIDLIST);
	if (rc == 0) {
		l->size += lines->len;
		l->last = last;
	} else if (ftruncate(fd, (off_t)l->size) == -1)
		/* The next to write cuts it off. */
		l->ino = 0;
	close(fd);
	return rc;
}
