/*
 * One message becomes a file.
 *
 * Stored is the form with LF line ends, as Dovecot itself stores it, where the
 * CRLF form can be had back from it: every LF without CR is served as CR LF.  A
 * message that holds CR CR LF cannot, so it is stored with CRLF.  What is too
 * large for memory is stored as the source has it.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <openssl/evp.h>
#include <string.h>
#include <unistd.h>

#include "crlf.h"
#include "dovecot/dovecot_impl.h"

#define LARGE	((uint64_t)1 << 20)	/* room is asked for beforehand */
#define BASE_MAX 170

/* Bytes of a message that may be written with LF: each CR LF becomes LF. */
static int
write_lf(int fd, const char *p, size_t len, char *chunk, size_t room,
    uint64_t *written, struct err *e)
{
	const char *end = p + len, *lf;
	size_t have = 0, n;

	*written = 0;
	while (p < end) {
		lf = memchr(p, '\n', (size_t)(end - p));
		/* Without its CR, with its LF. */
		n = lf != NULL ? (size_t)(lf - p) - 1 : (size_t)(end - p);
		if (have + n + 1 > room) {
			if (dovecot_write(fd, chunk, have, e) == -1)
				return -1;
			*written += have;
			have = 0;
			if (n + 1 > room) {
				if (dovecot_write(fd, p, n, e) == -1)
					return -1;
				*written += n;
				p += n;
				n = 0;
			}
		}
		memcpy(chunk + have, p, n);
		have += n;
		if (lf != NULL)
			chunk[have++] = '\n';
		p = lf != NULL ? lf + 1 : end;
	}
	*written += have;
	return dovecot_write(fd, chunk, have, e);
}

/* Does CR CR LF stand anywhere?  In the CRLF form every LF follows a CR. */
static bool
needs_crlf(const char *p, size_t len)
{
	return memmem(p, len, "\r\r\n", 3) != NULL;
}

static int
write_bytes(int fd, const struct store_item *it, struct piece *p,
    char *chunk, size_t room, struct err *e)
{
	size_t len = (size_t)it->size;

	if (!needs_crlf(it->bytes, len))
		return write_lf(fd, it->bytes, len, chunk, room, &p->size, e);
	p->size = len;
	return dovecot_write(fd, it->bytes, len, e);
}

/* As the source has it; its digest and size must be those announced. */
static int
write_content(int fd, const struct store_item *it, struct piece *p,
    struct err *e)
{
	unsigned char digest[EVP_MAX_MD_SIZE];
	char in[16384], out[2 * sizeof in];
	struct crlf crlf = { false };
	uint64_t crlf_size = 0;
	EVP_MD_CTX *md;
	ssize_t n;
	size_t k;
	int rc = 0;

	if (it->content->size != UNKNOWN64 && it->content->size > LARGE)
		(void)fallocate(fd, FALLOC_FL_KEEP_SIZE, 0,
		    (off_t)it->content->size);
	md = EVP_MD_CTX_new();
	EVP_DigestInit_ex(md, EVP_sha256(), NULL);
	p->size = 0;
	while ((n = content_read(it->content, in, sizeof in, e)) > 0) {
		k = crlf_convert(&crlf, in, (size_t)n, out);
		EVP_DigestUpdate(md, out, k);
		crlf_size += k;
		p->size += (uint64_t)n;
		if ((rc = dovecot_write(fd, in, (size_t)n, e)) == -1)
			break;
	}
	EVP_DigestFinal_ex(md, digest, NULL);
	EVP_MD_CTX_free(md);
	if (n == -1)
		rc = -1;
	if (rc == 0 && (crlf_size != it->size || memcmp(digest,
	    it->digests.strict, DIGEST_LEN) != 0)) {
		err_retry(e, ERR_MESSAGE, "it changed at the source while it "
		    "was read");
		e->cause = CAUSE_CHANGED;
		rc = -1;
	}
	return rc;
}

int
piece_write(struct dovecot *dv, const struct store_item *it, struct piece *p,
    char *chunk, size_t room)
{
	struct timespec times[2] = { { .tv_nsec = UTIME_OMIT }, { 0 } };
	int fd, rc;

	fd = dovecot_file_new(dv, dv->box.tmp, p->tmp);
	if (fd == -1) {
		dovecot_sys(&p->err, "tmp/%s", p->tmp);
		p->tmp[0] = '\0';
		p->failed = true;
		return -1;
	}
	rc = it->bytes != NULL ?
	    write_bytes(fd, it, p, chunk, room, &p->err) :
	    write_content(fd, it, p, &p->err);
	p->vsize = it->size;
	times[1].tv_sec = p->date;
	if (rc == 0 && p->date != NO_DATE && futimens(fd, times) == -1)
		rc = dovecot_sys(&p->err, "set the time of tmp/%s", p->tmp);
	close(fd);
	p->failed = rc == -1;
	return rc;
}

/* May a file of ours be called so? */
static bool
is_base(const char *s)
{
	if (*s == '\0' || *s == '.' || strlen(s) > BASE_MAX)
		return false;
	for (; *s != '\0'; s++)
		if (*s <= 0x20 || *s >= 0x7f || *s == '/' || *s == ':')
			return false;
	return true;
}

/* Appends the base without its sizes: they may be wrong. */
static void
add_stem(struct buf *out, const char *base)
{
	size_t n, digits;
	bool first = true;

	for (; *base != '\0'; base += n + (base[n] != '\0')) {
		n = strcspn(base, ",");
		digits = n > 2 ? strspn(base + 2, "0123456789") : 0;
		if (!first && (base[0] == 'S' || base[0] == 'W') && n > 1 &&
		    base[1] == '=' && digits >= n - 2)
			continue;
		if (!first)
			buf_addc(out, ',');
		buf_add(out, base, n);
		first = false;
	}
}

void
piece_name(const struct store_item *it, const struct piece *p,
    struct buf *out)
{
	buf_reset(out);
	buf_addf(out, "%" PRId64 ".G%s.mailhaul,S=%" PRIu64 ",W=%" PRIu64,
	    p->date != NO_DATE ? p->date : 0, it->guid, p->size, p->vsize);
}

void
piece_base(const struct store_item *it, const struct piece *p,
    const struct box *b, unsigned n, struct buf *out)
{
	const char *own = it->meta->base;
	struct buf stem;
	uint64_t h;

	buf_init(&stem, 2 * NAME_MAX);
	if (own != NULL && is_base(own))
		add_stem(&stem, own);
	if (stem.len == 0)
		buf_addf(&stem, "%" PRId64 ".G%s.mailhaul",
		    p->date != NO_DATE ? p->date : 0,
		    it->guid != NULL ? it->guid : p->tmp);
	for (;; n++) {
		buf_reset(out);
		buf_add(out, stem.ptr, stem.len);
		if (n > 0)
			buf_addf(out, "-%u", n);
		/* A wrong W= costs the message its UID. */
		buf_addf(out, ",S=%" PRIu64, p->size);
		if (!it->adopted)
			buf_addf(out, ",W=%" PRIu64, p->vsize);
		/* One name with two lines is one message to Dovecot, and a
		 * warning. */
		h = hash_name(out->ptr, out->len);
		if (!hashes_has(&b->files, h) &&
		    !hashes_has(&b->list.bases, h))
			break;
	}
	buf_release(&stem);
}
