/* Undoing the quoting of "From " lines. */
#include "mbox/mbox_quote.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/xmalloc.h"
#include "message.h"

struct unquoter {
	struct content	 c;
	struct content	*inner;
	enum mbox_quote	 quote;
	uint64_t	 header, left;	/* of the header, still to pass */
	bool		 bol;
	char		 in[16384];
	size_t		 len, pos;
	bool		 eof;
};

/* More bytes behind those that are left in in[]. */
static int
fill(struct unquoter *u, struct err *e)
{
	ssize_t n;

	memmove(u->in, u->in + u->pos, u->len - u->pos);
	u->len -= u->pos;
	u->pos = 0;
	while (!u->eof && u->len < QUOTE_MAX + 5) {
		n = content_read(u->inner, u->in + u->len,
		    sizeof u->in - u->len, e);
		if (n == -1)
			return -1;
		u->eof = n == 0;
		u->len += (size_t)n;
	}
	return 0;
}

/* Does a quoted line start here?  All of the quoting is in in[]. */
static bool
quoted(const struct unquoter *u)
{
	const char *p = u->in + u->pos;
	size_t n = u->len - u->pos, k = 0;

	while (k < n && k <= QUOTE_MAX && p[k] == '>')
		k++;
	return k >= 1 && k <= QUOTE_MAX && n - k >= 5 &&
	    (k == 1 || u->quote == QUOTE_MBOXRD) &&
	    memcmp(p + k, "From ", 5) == 0;
}

static ssize_t
unquote_read(struct content *c, void *out, size_t n, struct err *e)
{
	struct unquoter *u = (struct unquoter *)c;
	char *to = out;
	size_t done = 0;

	while (done < n) {
		const char *p, *nl;
		size_t run;

		if (u->len - u->pos < QUOTE_MAX + 5 && !u->eof &&
		    fill(u, e) == -1)
			return -1;
		p = u->in + u->pos;
		run = u->len - u->pos;
		if (run == 0)
			break;
		if (u->left == 0 && u->bol && *p == '>' && quoted(u)) {
			u->pos++;
			u->bol = false;
			continue;
		}
		if (run > n - done)
			run = n - done;
		if (u->left > 0) {
			if (run > u->left)
				run = (size_t)u->left;
			u->left -= run;
		} else {
			nl = memchr(p, '\n', run);
			if (nl != NULL)
				run = (size_t)(nl - p) + 1;
			u->bol = nl != NULL;
		}
		memcpy(to + done, p, run);
		done += run;
		u->pos += run;
	}
	return (ssize_t)done;
}

static int
unquote_rewind(struct content *c, struct err *e)
{
	struct unquoter *u = (struct unquoter *)c;

	u->len = u->pos = 0;
	u->eof = false;
	u->bol = true;
	u->left = u->header;
	return content_rewind(u->inner, e);
}

static void
unquote_close(struct content *c)
{
	struct unquoter *u = (struct unquoter *)c;

	content_close(&u->inner);
	free(u);
}

static const struct content_ops unquote_ops = {
	.read = unquote_read, .rewind = unquote_rewind,
	.close = unquote_close,
};

struct content *
mbox_unquote(struct content *inner, enum mbox_quote quote, uint64_t header,
    uint64_t size)
{
	struct unquoter *u = xcalloc(1, sizeof *u);

	assert(quote != QUOTE_NONE);
	u->c.ops = &unquote_ops;
	u->c.size = size;
	u->c.dirfd = u->c.fd = -1;
	u->inner = inner;
	u->quote = quote;
	u->header = u->left = header;
	u->bol = true;
	return &u->c;
}
