/* What of a message tells why it is not the one that was expected. */
#include "audit_impl.h"

#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#include "base/xmalloc.h"

#define CHUNK	((size_t)8 * 1024)
#define NFORMS	4

enum { EXACT, LINES, NUL, FROM };

struct former {
	EVP_MD		*sha;
	EVP_MD_CTX	*ctx[NFORMS];
	struct measure	*measure;
	struct buf	 header, body;
	bool		 in_body, keep;
	bool		 empty_line;	/* in the header: nothing since LF */
	bool		 cr;		/* held back, until its LF may come */
	uint64_t	 newlines;	/* held back, unless the body goes on */
	/* from: the start of a line, until it is known */
	size_t		 quotes, matched;
	bool		 line_start;
	struct { char p[CHUNK]; size_t n; } out[NFORMS]; /* to be hashed */
};

struct former *
former_new(void)
{
	struct former *f = xcalloc(1, sizeof *f);

	f->sha = EVP_MD_fetch(NULL, "SHA256", NULL);
	for (int i = 0; i < NFORMS; i++)
		if ((f->ctx[i] = EVP_MD_CTX_new()) == NULL)
			abort();
	if (f->sha == NULL)
		abort();
	f->measure = measure_new();
	buf_init(&f->header, AUDIT_HEADER);
	buf_init(&f->body, AUDIT_BODY);
	return f;
}

void
former_free(struct former **fp)
{
	struct former *f = *fp;

	if (f == NULL)
		return;
	for (int i = 0; i < NFORMS; i++)
		EVP_MD_CTX_free(f->ctx[i]);
	EVP_MD_free(f->sha);
	measure_free(&f->measure);
	buf_release(&f->header);
	buf_release(&f->body);
	free(f);
	*fp = NULL;
}

static void
flush(struct former *f, int form)
{
	if (f->out[form].n > 0 && EVP_DigestUpdate(f->ctx[form],
	    f->out[form].p, f->out[form].n) != 1)
		abort();
	f->out[form].n = 0;
}

static inline void
put(struct former *f, int form, char c)
{
	if (f->out[form].n == CHUNK)
		flush(f, form);
	f->out[form].p[f->out[form].n++] = c;
}

/* The start of a line that was held back is no quoted From. */
static void
release_line_start(struct former *f, bool is_from)
{
	if (!is_from)
		for (size_t i = 0; i < f->quotes; i++)
			put(f, FROM, '>');
	for (size_t i = 0; i < f->matched; i++)
		put(f, FROM, "From "[i]);
	f->quotes = f->matched = 0;
	f->line_start = false;
}

/* A byte of the body that is none of CR, LF, NUL; for the form without '>'
 * before From. */
static void
from_byte(struct former *f, char c)
{
	if (f->line_start) {
		if (c == '>' && f->matched == 0) {
			f->quotes++;
			return;
		}
		if (c == "From "[f->matched]) {
			if (++f->matched == 5)
				release_line_start(f, true);
			return;
		}
		release_line_start(f, false);
	}
	put(f, FROM, c);
}

/* One byte of the body, with LF as line end; a CR here is a lone one. */
static void
body_byte(struct former *f, char c)
{
	char soft = c == '\0' || (unsigned char)c == 0x80 ? ' ' : c;

	put(f, EXACT, c);
	if (f->keep)
		buf_addc(&f->body, c);
	if (c == '\r')
		return;
	if (c == '\n') {
		f->newlines++;
		return;
	}
	for (; f->newlines > 0; f->newlines--) {
		put(f, LINES, '\n');
		put(f, NUL, '\n');
		if (f->line_start)
			release_line_start(f, false);
		put(f, FROM, '\n');
		f->line_start = true;
	}
	put(f, LINES, c);
	put(f, NUL, soft);
	from_byte(f, soft);
}

static void
one_byte(struct former *f, char c)
{
	if (f->in_body) {
		body_byte(f, c);
		return;
	}
	buf_addc(&f->header, c);
	if (c == '\n') {
		f->in_body = f->empty_line;
		f->empty_line = true;
	} else if (c != '\r')
		f->empty_line = false;
}

static void
add(struct former *f, const char *p, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (f->cr && p[i] != '\n')
			one_byte(f, '\r');
		f->cr = p[i] == '\r';
		if (!f->cr)
			one_byte(f, p[i]);
	}
}

static void
finish(struct former *f, struct audit_form *r)
{
	unsigned char *const to[NFORMS] = { r->exact, r->lines, r->nul,
	    r->from };

	if (f->cr)
		one_byte(f, '\r');
	if (f->line_start)
		release_line_start(f, false);
	for (int i = 0; i < NFORMS; i++) {
		flush(f, i);
		if (EVP_DigestFinal_ex(f->ctx[i], to[i], NULL) != 1)
			abort();
	}
	r->header = f->header.ptr;
	r->header_len = f->header.len;
	r->body = f->keep ? f->body.ptr : NULL;
	r->body_len = f->body.len;
}

int
former_read(struct former *f, struct content *c, bool keep_body,
    struct audit_form *r, struct measured *md, struct err *e)
{
	char chunk[8192];
	ssize_t n;

	buf_reset(&f->header);
	buf_reset(&f->body);
	f->in_body = f->cr = false;
	f->empty_line = f->line_start = true;
	f->keep = keep_body;
	f->newlines = 0;
	f->quotes = f->matched = 0;
	for (int i = 0; i < NFORMS; i++)
		if (EVP_DigestInit_ex2(f->ctx[i], f->sha, NULL) != 1)
			abort();
	measure_begin(f->measure);
	while ((n = content_read(c, chunk, sizeof chunk, e)) > 0) {
		measure_add(f->measure, chunk, (size_t)n, NULL);
		add(f, chunk, (size_t)n);
	}
	if (n == -1)
		return -1;
	measure_end(f->measure, md);
	finish(f, r);
	return 0;
}
