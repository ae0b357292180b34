/*
 * mbox: messages one after the other, each behind a line "From ...".
 *
 *	[leading]  { separator-line  header  empty-line  body  [empty-line] }...
 *
 * Lines end in LF or CR LF.  Leading bytes are a byte order mark, NULs and
 * blank lines, at most 64 KiB.  The first line after them has to be a
 * separator, or the file is not an mbox.
 *
 * No single test tells a separator from text.  A line "From ..." of at most
 * 4096 bytes is judged by
 *	D  it ends in a date (mbox_from.c): strong with a weekday, else weak
 *	B  the line before it is empty
 *	H  the line after it looks like a header field ("Name:")
 *	H2 the next line that is no continuation line does so too
 *	L  a Content-Length ends there (see below)
 * and, in this order,
 *	1. between the end of a header and the place where its Content-Length
 *	   ends, if that length is right, nothing is a separator;
 *	2. strong D and (B or H): a separator;
 *	3. weak D and B and H: a separator;
 *	4. a line without a date is a separator only in a file whose first
 *	   separator shows its kind:
 *	     "From " alone, or "From -"	  H and (B or H2)  Mozilla
 *	     "From NUMBER@xxx"		  H and (B or H2)  Gmail Takeout
 *	     "From WORD"		  B and H
 *	     anything else		  B and H and H2
 *	   (Mozilla's files are known by a bare first separator, by the sender
 *	   "-", or by X-Mozilla fields on top of the first header that holds
 *	   no X-IMAPbase.)  Likewise weak dates are strong in a file that
 *	   starts with one;
 *	5. L and (D or H or a kind of line that 4 admits): a separator;
 *	6. everything else is text.
 * The first separator: any D; a line of 4 with H; any other line with H and
 * H2 (and doubt).
 *
 * A Content-Length (the first in a header) is right if it ends before an
 * optional line end and then the end of the file or a line "From " with D or
 * H or of a kind that 4 admits.  A length that is not right decides nothing.
 *
 * Doubtful, and reported with its offset, is what 2 to 4 accept without B or
 * without H, what they would accept but for 1, and what stays text although it
 * has a date, or both B and H, or is of a kind that 4 admits and has H.
 *
 * A message ends before the next separator; if the last line of its body is
 * empty, before that line, also where a Content-Length counts it: writers that
 * count the empty line before the separator are more than those that write
 * none.  The end of the file counts as a separator, so that a message has the
 * same bytes after another is appended.  The empty line that ends a header is
 * part of the header: it stays.
 */
#include "mbox/mbox_parse.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/xmalloc.h"

#define BUFFER	((size_t)256 * 1024)
#define WINDOW	((size_t)8 * 1024)	/* looked at for a judgement */
#define BEHIND	((size_t)8)		/* bytes kept before the position */
#define LEADING	((size_t)64 * 1024)
#define PIECE	((size_t)16 * 1024)	/* of a line of a header */

/* A line "From ..." and what stands around it. */
struct judged {
	struct from_line from;
	size_t	 len;			/* with its line end */
	bool	 b, h, h2;
};

struct mbox_scan {
	struct mbox_scan_conf conf;
	char		*buf;
	size_t		 len, pos;	/* in buf */
	uint64_t	 base;		/* offset of buf[0] in the file */
	char		*side;		/* for a look ahead */

	bool		 started, more;	/* more: cur is a message to come */
	bool		 mozilla;
	/* Bits of from_form for rule 4: in force; as the first separator, and
	 * as the first header as well, shows them. */
	unsigned	 kinds, first_kinds, all_kinds;
	uint64_t	 leading, separators;

	struct mbox_msg	 cur;		/* the open message */
	struct mbox_head head;
	bool		 landing;	/* its length is right ... */
	uint64_t	 land_start, land_end;	/* ... and ends there */
};

static uint64_t
here(const struct mbox_scan *s)
{
	return s->base + s->pos;
}

static int
read_at(struct mbox_scan *s, char *p, size_t want, uint64_t off,
    struct err *e)
{
	size_t got = 0;

	while (got < want) {
		ssize_t n = s->conf.read(s->conf.read_ctx, p + got, want - got,
		    off + got, e);

		if (n == -1)
			return -1;
		if (n == 0) {
			err_retry(e, ERR_MAILBOX,
			    "file became shorter while read");
			e->cause = CAUSE_CHANGED;
			return -1;
		}
		got += (size_t)n;
	}
	return 0;
}

/* Makes n bytes from the position on available, or all that there are. */
static int
ensure(struct mbox_scan *s, size_t n, struct err *e)
{
	size_t drop, want;
	uint64_t left;

	if (s->len - s->pos >= n || s->base + s->len == s->conf.size)
		return 0;
	drop = s->pos > BEHIND ? s->pos - BEHIND : 0;
	if (drop > 0) {
		memmove(s->buf, s->buf + drop, s->len - drop);
		s->base += drop;
		s->pos -= drop;
		s->len -= drop;
	}
	left = s->conf.size - s->base - s->len;
	want = BUFFER - s->len;
	if (want > left)
		want = (size_t)left;
	if (read_at(s, s->buf + s->len, want, s->base + s->len, e) == -1)
		return -1;
	s->len += want;
	return 0;
}

/* Does a line "From " begin here?  Five bytes have been ensured. */
static bool
from_here(const struct mbox_scan *s)
{
	return s->len - s->pos >= 5 && s->buf[s->pos] == 'F' &&
	    memcmp(s->buf + s->pos, "From ", 5) == 0;
}

/*
 * Judge the line "From ..." at p, but for B.  n bytes are there, eof says that
 * no more follow.  false: too long for a separator.
 */
static bool
judge(const char *p, size_t n, bool eof, struct judged *j)
{
	const char *end, *q, *nl;
	size_t text;

	if (n > WINDOW) {
		n = WINDOW;
		eof = false;
	}
	end = p + n;
	memset(j, 0, sizeof *j);
	nl = memchr(p, '\n', n < FROM_LINE_MAX ? n : FROM_LINE_MAX);
	if (nl == NULL) {
		if (n >= FROM_LINE_MAX || !eof)
			return false;
		nl = end;
		j->len = n;
	} else
		j->len = (size_t)(nl - p) + 1;
	text = (size_t)(nl - p) - 5;
	if (text > 0 && nl[-1] == '\r')
		text--;
	from_parse(p + 5, text, &j->from);

	q = p + j->len;
	j->h = mbox_head_like(q, (size_t)(end - q));
	if (!j->h)
		return true;
	do {
		nl = memchr(q, '\n', (size_t)(end - q));
		q = nl == NULL ? end : nl + 1;
	} while (q < end && (*q == ' ' || *q == '\t'));
	j->h2 = mbox_head_like(q, (size_t)(end - q));
	return true;
}

/* Rule 4, and what "a kind of line that 4 admits" is. */
static bool
admitted(const struct mbox_scan *s, const struct from_line *f)
{
	return (s->kinds & (1U << f->form)) != 0;
}

static bool
dated(const struct from_line *f)
{
	return f->form == FROM_DATED || f->form == FROM_WEAK;
}

/* Rules 2 to 4. */
static bool
by_looks(const struct mbox_scan *s, const struct judged *j)
{
	switch (j->from.form) {
	case FROM_DATED:
		return j->b || j->h;
	case FROM_WEAK:
		return admitted(s, &j->from) ? j->b || j->h : j->b && j->h;
	case FROM_BARE:
	case FROM_THREAD:
		return admitted(s, &j->from) && j->h && (j->b || j->h2);
	case FROM_WORD:
		return admitted(s, &j->from) && j->b && j->h;
	case FROM_OTHER:
		return admitted(s, &j->from) && j->b && j->h && j->h2;
	}
	return false;
}

static void
doubt(struct mbox_scan *s, uint64_t off, enum mbox_doubt why)
{
	if (s->conf.doubt != NULL)
		s->conf.doubt(s->conf.doubt_ctx, off, why);
}

/* Is the judged line at off a separator? */
static bool
decide(struct mbox_scan *s, uint64_t off, const struct judged *j,
    bool *doubtful)
{
	bool looks = by_looks(s, j);

	*doubtful = false;
	if (s->landing && off < s->land_start) {
		if (looks)
			doubt(s, off, DOUBT_IN_LENGTH);
		return false;
	}
	if (s->landing && off <= s->land_end)
		return true;
	if (looks) {
		if (!j->b || !j->h) {
			*doubtful = true;
			doubt(s, off, j->b ? DOUBT_NO_HEADER : DOUBT_GLUED);
		}
		return true;
	}
	if (dated(&j->from))
		doubt(s, off, DOUBT_DATE_ONLY);
	else if (j->h && (j->b || (admitted(s, &j->from) &&
	    j->from.form != FROM_OTHER)))
		doubt(s, off, DOUBT_NO_DATE);
	return false;
}

/* The dialect, from the first separator. */
static void
learn(struct mbox_scan *s, const struct from_line *f)
{
	s->kinds = 1U << f->form;
	if (f->thread)
		s->kinds |= 1U << FROM_THREAD;
	if (f->form == FROM_BARE || f->dash) {
		s->kinds |= 1U << FROM_BARE;
		s->mozilla = true;
	}
	s->first_kinds = s->all_kinds = s->kinds;
}

/* And from the first header. */
static void
learn_more(struct mbox_scan *s)
{
	if (s->head.mozilla && !s->head.seen[HEAD_XIMAPBASE] &&
	    !s->head.seen[HEAD_XIMAP]) {
		s->kinds |= 1U << FROM_BARE;
		s->mozilla = true;
	}
	s->all_kinds = s->kinds;
}

/* Bytes before the first line that is not blank; n if there is none. */
static size_t
leading_bytes(const char *p, size_t n)
{
	size_t i = 0, line;

	if (n >= 3 && memcmp(p, "\xef\xbb\xbf", 3) == 0)
		i = 3;
	for (line = i; i < n; i++) {
		if (p[i] == '\n' || p[i] == '\0')
			line = i + 1;
		else if (p[i] != ' ' && p[i] != '\t' && p[i] != '\r')
			return line;
	}
	return n;
}

/* The first separator: true, and how sure it is. */
static bool
first_separator(const char *p, size_t n, bool eof, struct judged *j,
    bool *doubtful)
{
	if (n < 5 || memcmp(p, "From ", 5) != 0 || !judge(p, n, eof, j))
		return false;
	j->b = true;
	*doubtful = !j->h || j->from.form == FROM_OTHER;
	return dated(&j->from) || (j->h && (j->from.form != FROM_OTHER ||
	    j->h2));
}

enum mbox_sniff
mbox_sniff(const char *p, size_t n, bool eof)
{
	size_t lead = leading_bytes(p, n);
	struct judged j;
	bool unsure;

	if (lead > LEADING)
		return SNIFF_OTHER;
	if (lead == n)
		return eof ? SNIFF_EMPTY : SNIFF_MORE;
	if (memcmp(p + lead, "From ", n - lead < 5 ? n - lead : 5) != 0)
		return SNIFF_OTHER;
	if (!eof && n - lead < WINDOW)
		return SNIFF_MORE;
	return first_separator(p + lead, n - lead, eof, &j, &unsure) ?
	    SNIFF_MBOX : SNIFF_OTHER;
}

/* Opens the message whose separator line stands here. */
static void
open_message(struct mbox_scan *s, const struct judged *j, bool doubtful)
{
	struct mbox_msg *m = &s->cur;

	memset(m, 0, sizeof *m);
	m->from = here(s);
	m->start = m->from + j->len;
	m->sep = j->from;
	m->doubtful = doubtful;
	s->pos += j->len;
	s->more = true;
	s->separators++;
}

static int
start(struct mbox_scan *s, struct err *e)
{
	struct judged j;
	size_t lead;
	bool eof, unsure;

	s->started = true;
	if (ensure(s, LEADING + WINDOW + 1, e) == -1)
		return -1;
	eof = s->base + s->len == s->conf.size;
	lead = leading_bytes(s->buf, s->len);
	if (lead == s->len && eof && lead <= LEADING) {
		s->leading = lead;
		return 0;
	}
	if (lead > LEADING || !first_separator(s->buf + lead, s->len - lead,
	    eof, &j, &unsure))
		return err_set(e, ERR_MAILBOX, "not an mbox: the first line "
		    "that is not empty (offset %zu) is no separator "
		    "(\"From \", sender, date)", lead);
	s->leading = s->pos = lead;
	learn(s, &j.from);
	if (unsure)
		doubt(s, lead, j.h ? DOUBT_FIRST : DOUBT_NO_HEADER);
	open_message(s, &j, unsure);
	s->cur.first = true;
	return 0;
}

/* Is the line before the position empty?  Never at the start of a file. */
static bool
after_empty_line(const struct mbox_scan *s)
{
	const char *p = s->buf + s->pos;

	if (s->pos < 2 || p[-1] != '\n')
		return false;
	return p[-2] == '\n' || (p[-2] == '\r' && s->pos >= 3 &&
	    p[-3] == '\n');
}

/* A line "From " stands here: 1 it starts the next message, 0 it is text. */
static int
candidate(struct mbox_scan *s, struct judged *j, bool *doubtful,
    struct err *e)
{
	if (ensure(s, WINDOW, e) == -1)
		return -1;
	if (!judge(s->buf + s->pos, s->len - s->pos,
	    s->base + s->len == s->conf.size, j))
		return 0;
	j->b = after_empty_line(s);
	return decide(s, here(s), j, doubtful);
}

/* Does the Content-Length of the header that ends here end at a separator? */
static int
look_ahead(struct mbox_scan *s, struct err *e)
{
	uint64_t n, at = here(s), left;
	const char *p;
	size_t have, skip = 0;
	struct judged j;
	bool eof, bol;

	s->landing = false;
	if (!mbox_head_length(&s->head, &n) || n > s->conf.size - at)
		return 0;
	at += n;
	/* One byte before it, so that the start of a line is known; there is
	 * always one, the end of the header. */
	at--;
	left = s->conf.size - at;
	have = left < WINDOW + 4 ? (size_t)left : WINDOW + 4;
	if (at >= s->base && at - s->base <= s->len &&
	    s->len - (size_t)(at - s->base) >= have)
		p = s->buf + (at - s->base);
	else {
		if (read_at(s, s->side, have, at, e) == -1)
			return -1;
		p = s->side;
	}
	eof = have == left;
	bol = *p++ == '\n';
	at++;
	have--;
	if (have >= 1 && p[0] == '\n')
		skip = 1;
	else if (have >= 2 && p[0] == '\r' && p[1] == '\n')
		skip = 2;
	s->land_start = at;
	s->land_end = at + skip;
	if (have == skip && eof) {
		s->landing = true;
		return 0;
	}
	if ((!bol && skip == 0) || have - skip < 5 ||
	    memcmp(p + skip, "From ", 5) != 0 ||
	    !judge(p + skip, have - skip, eof, &j))
		return 0;
	s->landing = dated(&j.from) || j.h || admitted(s, &j.from);
	return 0;
}

/* Reads the header; 1: the next separator stands here already. */
static int
scan_header(struct mbox_scan *s, struct judged *j, bool *unsure,
    struct err *e)
{
	bool bol = true;

	mbox_head_reset(&s->head);
	for (;;) {
		const char *p, *nl;
		size_t n;
		int rc;

		if (ensure(s, PIECE, e) == -1)
			return -1;
		p = s->buf + s->pos;
		n = s->len - s->pos;
		if (n == 0) {
			s->cur.body = here(s);
			return 0;
		}
		if (bol && from_here(s)) {
			if ((rc = candidate(s, j, unsure, e)) != 0) {
				s->cur.body = here(s);
				return rc;
			}
			/* The buffer may have moved. */
			p = s->buf + s->pos;
			n = s->len - s->pos;
		}
		nl = memchr(p, '\n', n < PIECE ? n : PIECE);
		n = nl != NULL ? (size_t)(nl - p) + 1 : n < PIECE ? n : PIECE;
		if (bol && (*p == '\n' ||
		    (n == 2 && p[0] == '\r' && nl != NULL))) {
			s->pos += n;
			s->cur.body = here(s);
			return look_ahead(s, e);
		}
		mbox_head_feed(&s->head, here(s), p, n, bol);
		s->pos += n;
		bol = nl != NULL;
	}
}

/* Counts a quoted line that starts here. */
static int
count_quoted(struct mbox_scan *s, struct err *e)
{
	const char *p;
	size_t n, k = 0;

	if (ensure(s, QUOTE_MAX + 5, e) == -1)
		return -1;
	p = s->buf + s->pos;
	n = s->len - s->pos;
	while (k < n && k <= QUOTE_MAX && p[k] == '>')
		k++;
	if (k >= 1 && k <= QUOTE_MAX && n - k >= 5 &&
	    (k == 1 || s->conf.quote == QUOTE_MBOXRD) &&
	    memcmp(p + k, "From ", 5) == 0)
		s->cur.quoted++;
	return 0;
}

/* Skips the body; 1: the next separator stands here, 0: the end does. */
static int
scan_body(struct mbox_scan *s, struct judged *j, bool *unsure, struct err *e)
{
	bool bol = true;
	int rc;

	for (;;) {
		const char *p, *nl;

		if (s->len - s->pos < 5 && ensure(s, BUFFER / 2, e) == -1)
			return -1;
		if (s->pos == s->len)
			return 0;
		if (bol) {
			if (from_here(s)) {
				if ((rc = candidate(s, j, unsure, e)) != 0)
					return rc;
			} else if (s->buf[s->pos] == '>' &&
			    s->conf.quote != QUOTE_NONE &&
			    count_quoted(s, e) == -1)
				return -1;
		}
		p = s->buf + s->pos;
		nl = memchr(p, '\n', s->len - s->pos);
		bol = nl != NULL;
		s->pos = bol ? (size_t)(nl - s->buf) + 1 : s->len;
	}
}

/* The open message ends here: where exactly? */
static void
close_message(struct mbox_scan *s)
{
	struct mbox_msg *m = &s->cur;
	const char *p = s->buf + s->pos;

	m->next = m->end = here(s);
	if (m->next > m->body && after_empty_line(s))
		m->end -= p[-2] == '\r' ? 2 : 1;
	m->length_used = s->landing;
	m->head = &s->head;
}

int
mbox_scan_next(struct mbox_scan *s, struct mbox_msg *out, struct err *e)
{
	struct judged j;
	bool unsure;
	int rc;

	if (!s->started && start(s, e) == -1)
		return -1;
	if (!s->more)
		return 0;
	s->landing = false;
	rc = scan_header(s, &j, &unsure, e);
	if (rc != -1 && s->cur.first)
		learn_more(s);
	if (rc == 0)
		rc = scan_body(s, &j, &unsure, e);
	if (rc == -1)
		return -1;
	close_message(s);
	*out = s->cur;
	s->more = false;
	if (rc == 1)
		open_message(s, &j, unsure);
	return 1;
}

int
mbox_scan_seek(struct mbox_scan *s, uint64_t off, struct err *e)
{
	struct judged j;

	s->started = true;
	s->more = false;
	if (off < s->base || off > s->base + s->len) {
		s->base = off;
		s->len = s->pos = 0;
	} else
		s->pos = (size_t)(off - s->base);
	if (off > s->conf.size)
		goto changed;
	if (ensure(s, WINDOW, e) == -1)
		return -1;
	if (!from_here(s) || !judge(s->buf + s->pos, s->len - s->pos,
	    s->base + s->len == s->conf.size, &j))
		goto changed;
	open_message(s, &j, false);
	s->cur.first = off == s->leading;
	s->kinds = s->cur.first ? s->first_kinds : s->all_kinds;
	return 0;
changed:
	err_retry(e, ERR_MAILBOX, "no message starts at offset %" PRIu64
	    " any more", off);
	e->cause = CAUSE_CHANGED;
	return -1;
}

void
mbox_scan_share(struct mbox_scan *to, const struct mbox_scan *from)
{
	to->first_kinds = from->first_kinds;
	to->all_kinds = from->all_kinds;
	to->mozilla = from->mozilla;
	to->leading = from->leading;
}

uint64_t
mbox_scan_separators(const struct mbox_scan *s)
{
	return s->separators;
}

uint64_t
mbox_scan_leading(const struct mbox_scan *s)
{
	return s->leading;
}

bool
mbox_scan_mozilla(const struct mbox_scan *s)
{
	return s->mozilla;
}

struct mbox_scan *
mbox_scan_new(const struct mbox_scan_conf *conf)
{
	struct mbox_scan *s = xcalloc(1, sizeof *s);

	assert(conf->read != NULL);
	s->conf = *conf;
	s->buf = xmalloc(BUFFER);
	s->side = xmalloc(WINDOW + 4);
	mbox_head_init(&s->head);
	return s;
}

void
mbox_scan_free(struct mbox_scan **sp)
{
	struct mbox_scan *s = *sp;

	if (s == NULL)
		return;
	mbox_head_release(&s->head);
	free(s->buf);
	free(s->side);
	free(s);
	*sp = NULL;
}
