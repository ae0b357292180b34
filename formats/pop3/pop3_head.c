/* The digest of a header. */
#include "pop3/pop3_head.h"

#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/buf.h"
#include "base/xmalloc.h"

#define HEADER_MAX	((size_t)1 << 20)	/* of a line */

struct pop3_head {
	EVP_MD_CTX	*md;
	struct buf	 line;
	bool		 first, skipping, any;
};

struct pop3_head *
pop3_head_new(void)
{
	struct pop3_head *h = xcalloc(1, sizeof *h);

	h->md = EVP_MD_CTX_new();
	if (h->md == NULL)
		abort();
	buf_init(&h->line, HEADER_MAX);
	return h;
}

void
pop3_head_free(struct pop3_head **hp)
{
	struct pop3_head *h = *hp;

	*hp = NULL;
	if (h == NULL)
		return;
	EVP_MD_CTX_free(h->md);
	buf_release(&h->line);
	free(h);
}

void
pop3_head_begin(struct pop3_head *h)
{
	if (EVP_DigestInit_ex(h->md, EVP_sha256(), NULL) != 1)
		abort();
	h->first = true;
	h->skipping = h->any = false;
}

/* A field that is a store's own. */
static bool
is_stores(const char *p, size_t n)
{
	static const char *const names[] = { "Return-Path", "X-UIDL", "X-UID",
	    "Status", "X-Status", "X-Keywords", "X-IMAP", "X-IMAPbase",
	    "Content-Length", "Lines" };
	const char *colon = memchr(p, ':', n);
	size_t len = colon != NULL ? (size_t)(colon - p) : 0;

	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
		if (strlen(names[i]) == len && strncasecmp(p, names[i],
		    len) == 0)
			return true;
	return false;
}

void
pop3_head_line(struct pop3_head *h, const char *p, size_t n)
{
	bool first = h->first;

	h->first = false;
	if (first && n > 5 && memcmp(p, "From ", 5) == 0)
		return;
	if (n == 0 || (p[0] != ' ' && p[0] != '\t'))
		h->skipping = is_stores(p, n);
	if (h->skipping)
		return;
	while (n > 0 && (p[n - 1] == ' ' || p[n - 1] == '\t' || p[n - 1] ==
	    '\r'))
		n--;
	buf_reset(&h->line);
	buf_add(&h->line, p, n);
	for (size_t i = 0; i < h->line.len; i++)
		if ((unsigned char)h->line.ptr[i] >= 0x80 || h->line.ptr[i] ==
		    '\0' || h->line.ptr[i] == '\r')
			h->line.ptr[i] = 'X';
	buf_addc(&h->line, '\n');
	if (EVP_DigestUpdate(h->md, h->line.ptr, h->line.len) != 1)
		abort();
	h->any = true;
}

void
pop3_head_end(struct pop3_head *h, unsigned char digest[DIGEST_LEN],
    bool *empty)
{
	unsigned len = DIGEST_LEN;

	*empty = !h->any;
	if (EVP_DigestFinal_ex(h->md, digest, &len) != 1)
		abort();
}

int
pop3_head_content(struct pop3_head *h, struct content *c,
    unsigned char digest[DIGEST_LEN], bool *empty, struct err *e)
{
	char chunk[4096];
	struct buf rest;
	bool ended = false;
	ssize_t n = 0;

	buf_init(&rest, HEADER_MAX);
	pop3_head_begin(h);
	while (!ended && (n = content_read(c, chunk, sizeof chunk, e)) > 0) {
		const char *p, *lf;

		buf_add(&rest, chunk, (size_t)n);
		/* A line of 1 MB is none of a header. */
		ended = rest.full;
		for (p = rest.ptr; !ended && (lf = memchr(p, '\n',
		    rest.len - (size_t)(p - rest.ptr))) != NULL; p = lf + 1) {
			size_t len = (size_t)(lf - p);

			ended = len == 0 || (len == 1 && *p == '\r');
			if (!ended)
				pop3_head_line(h, p, len);
		}
		if (!ended)
			buf_drop(&rest, (size_t)(p - rest.ptr));
	}
	if (n == 0 && !ended && rest.len > 0)
		pop3_head_line(h, rest.ptr, rest.len);
	buf_release(&rest);
	if (n == -1)
		return -1;
	pop3_head_end(h, digest, empty);
	return 0;
}
