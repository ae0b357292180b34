/*
 * Compressed files.
 *
 * gzip goes through zlib, because libarchive does not look at gzip's checksum;
 * bzip2, xz and zstd through libarchive with exactly one filter, so that a
 * message that happens to be a compressed file is not unpacked once more.
 *
 * Dovecot's lz4 files are
 *	"Dovecot-LZ4" 0d 2a 9b c5, largest decoded chunk (4 bytes, big endian),
 *	then chunks: stored length (4 bytes, big endian), one LZ4 block
 * and are given to libarchive as the standard LZ4 frame with the same blocks:
 *	04 22 4d 18, flags, block maximum, header check,
 *	then blocks: length (4 bytes, little endian), block; then length 0
 */
#include "base/decode.h"

#include <archive.h>
#include <archive_entry.h>
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "base/tempfile.h"
#include "base/xmalloc.h"
#include "message.h"

#define CHUNK ((size_t)64 * 1024)

static const char dovecot_lz4[] = "Dovecot-LZ4\x0d\x2a\x9b\xc5";
#define LZ4_HEAD (sizeof dovecot_lz4 - 1 + 4)

enum decode_kind
decode_magic(const unsigned char *p, size_t n)
{
	static const char xz[] = "\xfd" "7zXZ";

	/* The longer the signature, the less a message can look like one. */
	if (n >= 4 && p[0] == 0x1f && p[1] == 0x8b && p[2] == 8 &&
	    (p[3] & 0xe0) == 0)
		return DECODE_GZIP;
	if (n >= 10 && memcmp(p, "BZh", 3) == 0 && p[3] >= '1' &&
	    p[3] <= '9' && (memcmp(p + 4, "1AY&SY", 6) == 0 ||
	    memcmp(p + 4, "\x17\x72\x45\x38\x50\x90", 6) == 0))
		return DECODE_BZIP2;
	if (n >= sizeof xz && memcmp(p, xz, sizeof xz) == 0)
		return DECODE_XZ;
	if (n >= 4 && memcmp(p, "\x28\xb5\x2f\xfd", 4) == 0)
		return DECODE_ZSTD;
	if (n >= sizeof dovecot_lz4 - 1 &&
	    memcmp(p, dovecot_lz4, sizeof dovecot_lz4 - 1) == 0)
		return DECODE_DOVECOT_LZ4;
	if (n >= 9 && memcmp(p, "CRYPTED\x03\x07", 9) == 0)
		return DECODE_ENCRYPTED;
	return DECODE_NONE;
}

const char *
decode_name(enum decode_kind kind)
{
	static const char *const names[] = {
		"not compressed", "gzip", "bzip2", "xz", "zstd", "Dovecot lz4",
		"encrypted"
	};

	return names[kind];
}

static ssize_t
pread_some(int fd, void *p, size_t n, uint64_t off)
{
	ssize_t got;

	do
		got = pread(fd, p, n, (off_t)off);
	while (got == -1 && errno == EINTR);
	return got;
}

/* n bytes, less only at the end of the file. */
static ssize_t
pread_full(int fd, void *p, size_t n, uint64_t off)
{
	size_t done = 0;
	ssize_t got;

	while (done < n) {
		got = pread_some(fd, (char *)p + done, n - done, off + done);
		if (got == -1)
			return -1;
		if (got == 0)
			break;
		done += (size_t)got;
	}
	return (ssize_t)done;
}

int
decode_probe(int fd, enum decode_kind *kind)
{
	unsigned char head[DECODE_MAGIC_LEN];
	ssize_t n;

	if ((n = pread_full(fd, head, sizeof head, 0)) == -1)
		return -1;
	*kind = decode_magic(head, (size_t)n);
	return 0;
}

struct decoder {
	struct content	 c;
	enum decode_kind kind;
	int		 fd;
	bool		 owned;
	uint64_t	 off;		/* in fd */
	int		 sys;		/* errno of a failed read */
	uint64_t	 given, least;	/* bytes given out; at least so many */
	bool		 ended;
	bool		 failed;
	struct err	 err;		/* why, when failed */
	struct archive	*archive;
	z_stream	 z;
	bool		 z_open, z_between;	/* between gzip members */
	/* Dovecot's framing. */
	enum { LZ4_START, LZ4_CHUNKS, LZ4_END } lz4;
	uint32_t	 lz4_left, lz4_max;	/* of a block; bound of one */
	unsigned char	 in[CHUNK];
};

static int
fail(struct decoder *d, const char *why)
{
	d->failed = true;
	if (d->sys != 0) {
		errno = d->sys;
		return err_sys(&d->err, d->sys == EIO || d->sys == ESTALE ?
		    ERR_HOST : ERR_MESSAGE, "read");
	}
	return err_set(&d->err, ERR_MESSAGE, "damaged %s data: %s",
	    decode_name(d->kind), why != NULL ? why : "unknown error");
}

/* The next bytes of the file into in[]; 0 at its end. */
static ssize_t
fetch(struct decoder *d)
{
	ssize_t n = pread_some(d->fd, d->in, sizeof d->in, d->off);

	if (n == -1)
		d->sys = errno;
	else
		d->off += (uint64_t)n;
	return n;
}

/* gzip */

static ssize_t
gzip_read(struct decoder *d, void *p, size_t n)
{
	ssize_t got;
	int rc;

	if (n > CHUNK)
		n = CHUNK;
	d->z.next_out = p;
	d->z.avail_out = (uInt)n;
	while (d->z.avail_out == n) {
		if (d->z.avail_in == 0) {
			if ((got = fetch(d)) == -1)
				return fail(d, NULL);
			if (got == 0) {
				if (!d->z_between)
					return fail(d, "it ends too early");
				d->ended = true;
				return 0;
			}
			d->z.next_in = d->in;
			d->z.avail_in = (uInt)got;
		}
		if (d->z_between) {
			/* Another member; zeros are padding of tapes. */
			while (d->z.avail_in > 0 && *d->z.next_in == 0) {
				d->z.next_in++;
				d->z.avail_in--;
			}
			if (d->z.avail_in == 0)
				continue;
			if (*d->z.next_in != 0x1f)
				return fail(d, "garbage after the end");
			inflateReset(&d->z);
			d->z_between = false;
		}
		rc = inflate(&d->z, Z_NO_FLUSH);
		if (rc == Z_STREAM_END)
			d->z_between = true;
		else if (rc != Z_OK && rc != Z_BUF_ERROR)
			return fail(d, d->z.msg);
	}
	return (ssize_t)(n - d->z.avail_out);
}

/* libarchive */

static uint32_t
be32(const unsigned char *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 |
	    (uint32_t)p[2] << 8 | p[3];
}

/* The frame header for blocks of up to lz4_max decoded bytes; independent
 * blocks, no checksums.  The last byte is the header's check. */
static ssize_t
lz4_start(struct decoder *d)
{
	static const unsigned char heads[][3] = {
		{ 0x60, 0x50, 0xfb },		/* 256 KiB */
		{ 0x60, 0x60, 0x51 },		/* 1 MiB */
		{ 0x60, 0x70, 0x73 },		/* 4 MiB */
	};
	unsigned char head[LZ4_HEAD];
	uint32_t max;
	int i;

	errno = 0;
	if (pread_full(d->fd, head, sizeof head, 0) != (ssize_t)sizeof head)
		return -1;
	max = be32(head + LZ4_HEAD - 4);
	/* A block that does not shrink becomes a little larger. */
	if (max == 0 || max > (uint32_t)2 << 20)
		return -1;
	d->lz4_max = max + max / 255 + 16;
	i = d->lz4_max <= (uint32_t)256 << 10 ? 0 :
	    d->lz4_max <= (uint32_t)1 << 20 ? 1 : 2;
	memcpy(d->in, "\x04\x22\x4d\x18", 4);
	memcpy(d->in + 4, heads[i], 3);
	d->off = LZ4_HEAD;
	d->lz4 = LZ4_CHUNKS;
	return 7;
}

/* The next piece of the frame into in[]. */
static ssize_t
lz4_fetch(struct decoder *d)
{
	unsigned char len[4];
	ssize_t n;
	size_t want;

	if (d->lz4 == LZ4_START)
		return lz4_start(d);
	if (d->lz4 == LZ4_END)
		return 0;
	if (d->lz4_left > 0) {
		want = d->lz4_left < CHUNK ? d->lz4_left : CHUNK;
		n = pread_some(d->fd, d->in, want, d->off);
		if (n > 0) {
			d->off += (uint64_t)n;
			d->lz4_left -= (uint32_t)n;
		}
		return n;
	}
	if ((n = pread_full(d->fd, len, 4, d->off)) == -1)
		return -1;
	if (n == 0) {
		memset(d->in, 0, 4);
		d->lz4 = LZ4_END;
		return 4;
	}
	d->lz4_left = n == 4 ? be32(len) : 0;
	if (d->lz4_left == 0 || d->lz4_left > d->lz4_max)
		return 0;		/* libarchive finds the frame cut */
	d->off += 4;
	for (int i = 0; i < 4; i++)
		d->in[i] = len[3 - i];
	return 4;
}

static la_ssize_t
on_read(struct archive *a, void *ctx, const void **p)
{
	struct decoder *d = ctx;
	ssize_t n;

	errno = 0;
	n = d->kind == DECODE_DOVECOT_LZ4 ? lz4_fetch(d) : fetch(d);
	if (n == -1) {
		d->sys = errno;
		archive_set_error(a, errno == 0 ? EILSEQ : errno,
		    "bad file header");
	}
	*p = d->in;
	return n;
}

/* libarchive ends quietly before what it does not know, be it the beginning of
 * a further member that was cut: all of the file must have been used. */
static int
check_end(struct decoder *d)
{
	char c;

	if (d->kind == DECODE_DOVECOT_LZ4 || d->failed)
		return 0;
	if (archive_filter_bytes(d->archive, -1) != (la_int64_t)d->off ||
	    pread_some(d->fd, &c, 1, d->off) != 0)
		return fail(d, "garbage after the end, or cut there");
	return 0;
}

static int
archive_begin(struct decoder *d)
{
	static const int filters[] = {
		[DECODE_BZIP2] = ARCHIVE_FILTER_BZIP2,
		[DECODE_XZ] = ARCHIVE_FILTER_XZ,
		[DECODE_ZSTD] = ARCHIVE_FILTER_ZSTD,
		[DECODE_DOVECOT_LZ4] = ARCHIVE_FILTER_LZ4,
	};
	struct archive_entry *entry;
	int rc;

	if ((d->archive = archive_read_new()) == NULL)
		return fail(d, "out of memory");
	if (archive_read_append_filter(d->archive, filters[d->kind]) !=
	    ARCHIVE_OK ||
	    archive_read_support_format_raw(d->archive) != ARCHIVE_OK ||
	    archive_read_support_format_empty(d->archive) != ARCHIVE_OK ||
	    archive_read_open(d->archive, d, NULL, on_read, NULL) !=
	    ARCHIVE_OK)
		return fail(d, archive_error_string(d->archive));
	/* The "empty" format also takes a filter that failed at its first
	 * byte for an empty stream: the error is all that tells. */
	if (archive_errno(d->archive) != 0)
		return fail(d, archive_error_string(d->archive));
	rc = archive_read_next_header(d->archive, &entry);
	if (rc != ARCHIVE_OK && rc != ARCHIVE_EOF)
		return fail(d, archive_error_string(d->archive));
	d->ended = rc == ARCHIVE_EOF;
	return d->ended ? check_end(d) : 0;
}

static int
begin(struct decoder *d)
{
	d->off = 0;
	d->given = 0;
	d->sys = 0;
	d->ended = d->failed = false;
	if (d->kind != DECODE_GZIP) {
		d->lz4 = LZ4_START;
		d->lz4_left = 0;
		return archive_begin(d);
	}
	memset(&d->z, 0, sizeof d->z);
	d->z_between = false;
	if (inflateInit2(&d->z, 15 + 16) != Z_OK)
		return fail(d, "out of memory");
	d->z_open = true;
	return 0;
}

static void
end(struct decoder *d)
{
	if (d->archive != NULL)
		archive_read_free(d->archive);
	d->archive = NULL;
	if (d->z_open)
		inflateEnd(&d->z);
	d->z_open = false;
}

static ssize_t
decoder_read(struct content *c, void *p, size_t n, struct err *e)
{
	struct decoder *d = (struct decoder *)c;
	ssize_t got = 0;

	if (!d->failed && !d->ended && n > 0) {
		if (d->kind == DECODE_GZIP)
			got = gzip_read(d, p, n);
		else {
			got = archive_read_data(d->archive, p, n);
			if (got < 0)
				fail(d, archive_error_string(d->archive));
			d->ended = got == 0;
			if (d->ended)
				check_end(d);
		}
		if (got > 0)
			d->given += (uint64_t)got;
		else if (d->ended && d->given < d->least)
			fail(d, "it ends too early");
	}
	if (d->failed) {
		*e = d->err;
		return -1;
	}
	return got;
}

static int
decoder_rewind(struct content *c, struct err *e)
{
	struct decoder *d = (struct decoder *)c;

	end(d);
	if (begin(d) == -1) {
		*e = d->err;
		return -1;
	}
	return 0;
}

static void
decoder_close(struct content *c)
{
	struct decoder *d = (struct decoder *)c;

	end(d);
	if (d->owned)
		close(d->fd);
	free(d);
}

static const struct content_ops decoder_ops = {
	.read = decoder_read, .rewind = decoder_rewind, .close = decoder_close,
};

void
decode_expect(struct content *c, uint64_t least)
{
	assert(c->ops == &decoder_ops);
	((struct decoder *)c)->least = least;
}

struct content *
decode_content(int fd, bool owned, enum decode_kind kind, struct err *e)
{
	struct decoder *d;

	if (kind == DECODE_NONE || kind == DECODE_ENCRYPTED) {
		if (owned)
			close(fd);
		err_set(e, ERR_MESSAGE, kind == DECODE_NONE ?
		    "not compressed in a known way" :
		    "encrypted by Dovecot (mail_crypt): only the server that "
		    "has the keys can read it");
		return NULL;
	}
	d = xmalloc(sizeof *d);
	memset(d, 0, offsetof(struct decoder, in));
	d->c.ops = &decoder_ops;
	d->c.size = UNKNOWN64;
	d->c.dirfd = d->c.fd = -1;
	d->kind = kind;
	d->fd = fd;
	d->owned = owned;
	if (begin(d) == -1) {
		*e = d->err;
		decoder_close(&d->c);
		return NULL;
	}
	return &d->c;
}

int
decode_fd_to_temp(int fd, int *tmpfd, uint64_t *size, struct err *e)
{
	enum decode_kind kind;
	struct content *c;
	char *chunk;
	ssize_t n = -1;

	*tmpfd = -1;
	*size = 0;
	if (decode_probe(fd, &kind) == -1)
		return err_sys(e, ERR_MAILBOX, "read");
	if ((c = decode_content(fd, false, kind, e)) == NULL)
		return -1;
	if ((*tmpfd = tempfile_open(e)) == -1) {
		content_close(&c);
		return -1;
	}
	chunk = xmalloc(CHUNK);
	while ((n = content_read(c, chunk, CHUNK, e)) > 0) {
		if (tempfile_write(*tmpfd, chunk, (size_t)n) == -1) {
			n = err_sys(e, ERR_MAILBOX, "temporary file (TMPDIR)");
			break;
		}
		*size += (uint64_t)n;
	}
	free(chunk);
	content_close(&c);
	if (n == -1) {
		close(*tmpfd);
		*tmpfd = -1;
		return -1;
	}
	return 0;
}
