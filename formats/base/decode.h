/*
 * Compressed files, told by their first bytes, and their decoded contents.
 *
 * Everything streams: memory does not depend on what a file grows to (xz and
 * zstd need the window that the file was made with, at most 128 MiB).
 * Checksums of the format are verified; a damaged or cut file is an error of
 * scope ERR_MESSAGE, after the good part was given out.
 */
#ifndef BASE_DECODE_H
#define BASE_DECODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "content.h"

enum decode_kind {
	DECODE_NONE = 0,	/* none of these */
	DECODE_GZIP,
	DECODE_BZIP2,
	DECODE_XZ,
	DECODE_ZSTD,
	DECODE_DOVECOT_LZ4,	/* what Dovecot's lz4 compression writes */
	DECODE_ENCRYPTED	/* Dovecot's mail_crypt: cannot be read */
};

#define DECODE_MAGIC_LEN 16	/* bytes that decode_magic() wants */

/* n may be less; then only shorter signatures can match. */
enum decode_kind decode_magic(const unsigned char *p, size_t n);
/* The same of the first bytes of a file, by pread.  -1 when it cannot be
 * read (errno). */
int	decode_probe(int fd, enum decode_kind *);
const char *decode_name(enum decode_kind);	/* "gzip" */

/* The decoded bytes of the whole file fd; NULL and *e when that cannot be
 * (encrypted, no memory).  size is UNKNOWN64.  fd is read with pread and
 * closed with the content if owned (also when NULL is returned). */
struct content	*decode_content(int fd, bool owned, enum decode_kind,
    struct err *);
/* Of such a content, before it is read: fewer bytes than this are an error.
 * Dovecot's lz4 files do not tell when they were cut between two chunks. */
void	decode_expect(struct content *, uint64_t least);
/* Decodes all of fd (its kind is probed) into a file without a name in $TMPDIR
 * or /var/tmp.  The caller closes *tmpfd. */
int	decode_fd_to_temp(int fd, int *tmpfd, uint64_t *size, struct err *);

#endif
