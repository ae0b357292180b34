/* COMPRESS=DEFLATE: zlib, and the buffers at the side of the network. */
#include "imap/imap_deflate.h"

#define ZLIB_CONST	/* what is compressed stays as it is */

#include <assert.h>
#include <stdlib.h>
#include <zlib.h>

#include "base/xmalloc.h"

#define BUFFER	((size_t)32 << 10)
#define LEVEL	6

struct imap_deflate {
	z_stream in, out;
	unsigned char from[BUFFER];	/* what arrived; in.next_in is in it */
	unsigned char to[BUFFER];
	bool	 full;		/* inflate had no room for all it has */
	bool	 ended;		/* the peer ended its stream */
	bool	 dirty;		/* not all was flushed */
	bool	 flushing;
};

struct imap_deflate *
imap_deflate_new(struct err *e)
{
	struct imap_deflate *d = xcalloc(1, sizeof *d);

	if (inflateInit2(&d->in, -MAX_WBITS) != Z_OK) {
		free(d);
		err_set(e, ERR_RUN, "zlib gives no inflate");
		return NULL;
	}
	if (deflateInit2(&d->out, LEVEL, Z_DEFLATED, -MAX_WBITS, 8,
	    Z_DEFAULT_STRATEGY) != Z_OK) {
		inflateEnd(&d->in);
		free(d);
		err_set(e, ERR_RUN, "zlib gives no deflate");
		return NULL;
	}
	d->in.next_in = d->from;
	return d;
}

void
imap_deflate_free(struct imap_deflate **dp)
{
	struct imap_deflate *d = *dp;

	*dp = NULL;
	if (d == NULL)
		return;
	inflateEnd(&d->in);
	deflateEnd(&d->out);
	free(d);
}

void *
imap_deflate_room(struct imap_deflate *d, size_t *n)
{
	*n = imap_deflate_pending(d) ? 0 : BUFFER;
	return d->from;
}

void
imap_deflate_arrived(struct imap_deflate *d, size_t n)
{
	assert(n <= BUFFER && d->in.avail_in == 0);
	d->in.next_in = d->from;
	d->in.avail_in = (uInt)n;
}

bool
imap_deflate_pending(const struct imap_deflate *d)
{
	return d->in.avail_in > 0 || d->full;
}

int
imap_deflate_read(struct imap_deflate *d, void *p, size_t n, size_t *got,
    struct err *e)
{
	uInt room = n > BUFFER ? (uInt)BUFFER : (uInt)n;
	int rc;

	*got = 0;
	if (room == 0 || !imap_deflate_pending(d))
		return 0;
	if (d->ended)
		return err_retry(e, ERR_ACCOUNT, "bytes behind the end of the "
		    "compressed stream");
	d->in.next_out = p;
	d->in.avail_out = room;
	rc = inflate(&d->in, Z_SYNC_FLUSH);
	if (rc == Z_STREAM_END)
		d->ended = true;
	else if (rc != Z_OK && rc != Z_BUF_ERROR)
		return err_retry(e, ERR_ACCOUNT, "what the server sends is "
		    "not compressed as it should be: %s", d->in.msg != NULL ?
		    d->in.msg : "zlib error");
	*got = room - d->in.avail_out;
	d->full = d->in.avail_out == 0 && !d->ended;
	return 0;
}

int
imap_deflate_write(struct imap_deflate *d, const void *p, size_t n,
    bool flush, size_t *used, const char **out, size_t *len)
{
	uInt take = n > BUFFER ? (uInt)BUFFER : (uInt)n;

	*used = 0;
	if (n == 0 && (!flush || (!d->dirty && !d->flushing)))
		return 0;
	d->out.next_in = p;
	d->out.avail_in = take;
	d->out.next_out = d->to;
	d->out.avail_out = BUFFER;
	/* With room left over, a flush is complete. */
	deflate(&d->out, flush && take == n ? Z_SYNC_FLUSH : Z_NO_FLUSH);
	*used = take - d->out.avail_in;
	*out = (const char *)d->to;
	*len = BUFFER - d->out.avail_out;
	d->dirty = true;
	d->flushing = false;
	if (flush && *used == n) {
		d->flushing = d->out.avail_out == 0;
		d->dirty = d->flushing;
	}
	return 1;
}
