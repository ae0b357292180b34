/*
 * The listing of a text mailbox.
 *
 * A line is a separator when it is the first one or an empty line stands before
 * it, and it has the form of cgp_name.h.  Where the first one is the server's
 * own, others are text; where another program's stands first, or the mailbox
 * is one that other programs write too, both kinds count (option dialect).
 *
 * UIDs are believed when all messages have one and they ascend.  Else the
 * mailbox has none: its messages are told apart by their contents.
 */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/tempfile.h"
#include "base/xmalloc.h"
#include "cgp/cgp_file.h"
#include "cgp/cgp_head.h"
#include "cgp/cgp_impl.h"
#include "cgp/cgp_name.h"

#define WINDOW		((size_t)256 * 1024)
#define BEHIND		4		/* bytes kept before a line */
#define PRINT_BYTES	((size_t)4096)

struct scan {
	struct cgp	*c;
	char		*p;		/* the window, of so many bytes: */
	size_t		 window;
	size_t		 len;
	uint64_t	 base;		/* its place in the file */
	enum cgp_sep_kind first;
	bool		 open;		/* a message is being read */
	bool		 x_plain;	/* behind a plain separator */
	struct cgp_entry x;
	char		 letters[CGP_SEP_MAX + 1];
	char		 tail[64];
	bool		 timed;
	uint32_t	 last_uid;
	bool		 ascending;
	uint64_t	 plain;		/* separators of other programs */
};

static int
load(struct scan *s, uint64_t base, struct err *e)
{
	struct pollfd cancel = { s->c->s.conf.cancel_fd, POLLIN, 0 };
	uint64_t left = s->c->box.size - base;
	size_t want = left < s->window ? (size_t)left : s->window;
	ssize_t n;

	/* A file may be longer than a person wants to wait. */
	if (cancel.fd != -1 && poll(&cancel, 1, 0) > 0) {
		err_retry(e, ERR_RUN, "stopped");
		e->cause = CAUSE_CANCELLED;
		return -1;
	}
	s->base = base;
	for (s->len = 0; s->len < want; s->len += (size_t)n) {
		n = pread(s->c->box.fd, s->p + s->len, want - s->len,
		    (off_t)(base + s->len));
		if (n == -1 && errno == EINTR) {
			n = 0;
			continue;
		}
		if (n == -1)
			return err_sys(e, quiet_scope(errno, ERR_MAILBOX),
			    "read");
		if (n == 0) {
			err_retry(e, ERR_MAILBOX, "the file was rewritten "
			    "while it was read");
			e->cause = CAUSE_CHANGED;
			return -1;
		}
	}
	return 0;
}

/* The message that ends at end (the empty line behind it is not its). */
static int
finish(struct scan *s, uint64_t end, struct err *e)
{
	struct cgp_box *b = &s->c->box;
	struct cgp_entry *x = &s->x;
	struct msg_meta m;

	if (!s->open)
		return 0;
	s->open = false;
	x->size = end - x->at;
	if (!s->timed) {
		memset(&m, 0, sizeof m);
		m.date = NO_DATE;
		cgp_head_date(b->fd, x->at, x->size, true, &m);
		x->date = m.date;
		x->zone = m.zone;
		x->origin = (int32_t)m.date_origin;
	}
	if (b->count == 0 && cgp_head_internal(b->fd, x->at, x->size)) {
		/* Its UID, if any, says nothing. */
		s->plain -= s->x_plain;
		s->last_uid = 0;
		s->ascending = true;
		return 0;
	}
	b->origins[x->origin]++;
	return cgp_entry_put(b->entries, b->count++, x, e);
}

/* Where the text before offset off ends: without one empty line. */
static uint64_t
text_end(const struct scan *s, uint64_t off)
{
	const char *p = s->p + (off - s->base);
	size_t n = (size_t)(off - s->base);
	uint64_t end = off;

	if (n >= 2 && p[-1] == '\n' && p[-2] == '\n')
		end = off - 1;
	else if (n >= 3 && p[-1] == '\n' && p[-2] == '\r' && p[-3] == '\n')
		end = off - 2;
	return end < s->x.at ? s->x.at : end;
}

static void
begin(struct scan *s, uint64_t start, const struct cgp_sep *sep)
{
	struct cgp_entry *x = &s->x;

	memset(x, 0, sizeof *x);
	s->open = true;
	s->timed = sep->timed;
	s->x_plain = sep->kind == CGP_SEP_PLAIN;
	x->at = start;
	x->uid = sep->kind == CGP_SEP_CGP ? sep->uid : 0;
	snprintf(s->tail, sizeof s->tail, "%.*s", (int)sep->ntail,
	    sep->ntail > 0 ? sep->tail : "");
	x->name = s->tail;
	x->suffix = "";
	x->zoned = sep->zoned;
	x->nletters = (uint32_t)sep->nflags;
	if (sep->nflags > 0)
		memcpy(s->letters, sep->flags, sep->nflags);
	x->letters = s->letters;
	x->date = sep->timed ? sep->epoch : NO_DATE;
	x->origin = DATE_SEPARATOR;
	if (sep->timed && sep->zoned)
		x->zone = sep->zone;
	else if (sep->timed) {
		x->zone = s->c->zone;
		x->date -= (int64_t)s->c->zone * 60;
	}
	if (x->uid <= s->last_uid)
		s->ascending = false;
	s->last_uid = x->uid;
}

static bool
accepted(struct scan *s, const struct cgp_sep *sep)
{
	if (sep->kind == CGP_SEP_NONE)
		return false;
	if (s->first == CGP_SEP_NONE)
		s->first = sep->kind;
	if (sep->kind == CGP_SEP_CGP || s->c->dialect == DIALECT_PLAIN ||
	    s->c->box.f->external)
		return true;
	return s->c->dialect == DIALECT_AUTO && s->first == CGP_SEP_PLAIN;
}

/* Is the line before the one at i (in the window) empty? */
static bool
after_empty(const struct scan *s, size_t i)
{
	const char *p = s->p + i;

	if (s->base + i == 0 || s->first == CGP_SEP_NONE)
		return true;
	if (i < 2)
		return s->base == 0;
	return p[-2] == '\n' || (p[-2] == '\r' && (i == 2 ? s->base == 0 :
	    p[-3] == '\n'));
}

/* A line "From ..." that starts at i in the window, which has all of it, or
 * more than a separator can be long. */
static int
from_line(struct scan *s, size_t i, struct err *e)
{
	const char *p = s->p + i, *lf = memchr(p, '\n', s->len - i);
	uint64_t off = s->base + i, start;
	struct cgp_sep sep;
	char where[40];
	size_t n;

	n = lf != NULL ? (size_t)(lf - p) : s->len - i;
	start = off + n + (lf != NULL);
	if (n > 0 && p[n - 1] == '\r')
		n--;
	cgp_sep_parse(&sep, p, n);
	if (sep.kind == CGP_SEP_NONE)
		return 0;
	snprintf(where, sizeof where, "offset %" PRIu64, off);
	if (!after_empty(s, i)) {
		if (sep.kind == CGP_SEP_CGP)
			cgp_tell(s->c, W_SEPARATOR, where, "a separator with "
			    "no empty line before it: left in the message");
		return 0;
	}
	if (!accepted(s, &sep)) {
		cgp_tell(s->c, W_SEPARATOR, where, "a separator of another "
		    "program in a file of the server: left in the message "
		    "(dialect=plain takes it)");
		return 0;
	}
	if (finish(s, text_end(s, off), e) == -1)
		return -1;
	s->plain += sep.kind == CGP_SEP_PLAIN;
	begin(s, start, &sep);
	return 0;
}

/* Blank lines and a byte order mark may stand before the first separator. */
static int
first_line(struct scan *s, size_t *at, struct err *e)
{
	size_t i = 0;

	*at = 0;
	if (load(s, 0, e) == -1)
		return -1;
	if (s->len >= 3 && memcmp(s->p, "\xef\xbb\xbf", 3) == 0)
		i = 3;
	while (i < s->len && (s->p[i] == '\n' || s->p[i] == '\r'))
		i++;
	if (i == s->len && s->base + s->len == s->c->box.size)
		return 0;		/* nothing in it */
	if (s->len - i >= 5 && memcmp(s->p + i, "From ", 5) == 0) {
		/* Whatever stands before it, it is the first. */
		if (i > 0 && load(s, i, e) == -1)
			return -1;
		if (from_line(s, 0, e) == -1)
			return -1;
	}
	if (!s->open)
		return err_set(e, ERR_MAILBOX, "no text mailbox: its first "
		    "line is no separator (\"From SENDER(FLAGS-UID) TIME\")");
	return 0;
}

static int
scan_file(struct scan *s, struct err *e)
{
	uint64_t size = s->c->box.size, line;
	const char *found;
	size_t at;

	if (first_line(s, &at, e) == -1)
		return -1;
	while (s->open) {
		found = s->len > at ? memmem(s->p + at, s->len - at,
		    "\nFrom ", 6) : NULL;
		if (found == NULL) {
			if (s->base + s->len == size)
				break;
			if (load(s, s->base + s->len - 5 - BEHIND, e) == -1)
				return -1;
			/* The bytes before were looked at. */
			at = BEHIND;
			continue;
		}
		at = (size_t)(found - s->p) + 1;
		line = s->base + at;
		/* All of the line has to be there, and what is before it. */
		if (s->len - at < CGP_SEP_MAX + 2 && s->base + s->len < size) {
			if (load(s, line - BEHIND, e) == -1)
				return -1;
			at = BEHIND;
		}
		if (from_line(s, at, e) == -1)
			return -1;
	}
	if (!s->open)
		return 0;
	/* Its last bytes. */
	line = size > BEHIND ? size - BEHIND : 0;
	if (line < s->base && load(s, line, e) == -1)
		return -1;
	return finish(s, text_end(s, size), e);
}

/* Changes of the file */

static uint64_t
fnv(uint64_t h, const char *p, size_t n)
{
	for (; n > 0; n--, p++)
		h = (h ^ (unsigned char)*p) * 0x100000001b3ULL;
	return h;
}

int
cgp_fingerprint(int fd, uint64_t size, uint64_t *print)
{
	size_t n = size < PRINT_BYTES ? (size_t)size : PRINT_BYTES;
	char p[PRINT_BYTES];

	*print = 0xcbf29ce484222325ULL;
	if (pread(fd, p, n, 0) != (ssize_t)n)
		return -1;
	*print = fnv(*print, p, n);
	if (pread(fd, p, n, (off_t)(size - n)) != (ssize_t)n)
		return -1;
	*print = fnv(*print, p, n);
	return 0;
}

/* Does what was appended behind the bytes that count start with a separator?
 * Then the last message of them is whole. */
static bool
appended_whole(const struct cgp_box *b)
{
	char p[8];
	ssize_t n, i = 0;

	n = pread(b->fd, p, sizeof p, (off_t)b->size);
	if (n <= 0)
		return n == 0;
	/* The empty line may be there already, or not. */
	if (p[0] == '\n')
		i = 1;
	else if (n >= 2 && p[0] == '\r' && p[1] == '\n')
		i = 2;
	n -= i;
	return n <= 0 || memcmp(p + i, "From ", n < 5 ? (size_t)n : 5) == 0;
}

static bool
same_state(const struct stat *a, const struct stat *b)
{
	return a->st_size == b->st_size &&
	    a->st_mtim.tv_sec == b->st_mtim.tv_sec &&
	    a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

int
cgp_mbox_check(struct cgp *c, struct err *e)
{
	struct cgp_box *b = &c->box;
	struct stat st;
	uint64_t print;

	if (fstat(b->fd, &st) == 0) {
		if (same_state(&st, &b->st))
			return 0;
		/* Mail was appended; what was there is as it was. */
		if ((uint64_t)st.st_size > b->size &&
		    cgp_fingerprint(b->fd, b->size, &print) == 0 &&
		    print == b->print && (!b->listed || b->half ||
		    appended_whole(b)))
			return 0;
	}
	err_retry(e, ERR_MAILBOX, "the file was rewritten while it was read");
	e->cause = CAUSE_CHANGED;
	return -1;
}

#define QUIET_MS	200
#define PATIENCE_MS	5000

int
cgp_mbox_quiet(struct cgp *c, struct err *e)
{
	struct pollfd cancel = { c->s.conf.cancel_fd, POLLIN, 0 };
	struct timespec now;
	struct stat a, b;
	int64_t age_ms;
	int waited;

	for (waited = 0; waited < PATIENCE_MS; waited += QUIET_MS) {
		if (fstat(c->box.fd, &a) == -1)
			break;
		clock_gettime(CLOCK_REALTIME, &now);
		age_ms = (int64_t)(now.tv_sec - a.st_mtim.tv_sec) * 1000 +
		    (now.tv_nsec - a.st_mtim.tv_nsec) / 1000000;
		if (age_ms >= QUIET_MS)
			return 0;
		if (poll(&cancel, 1, QUIET_MS) > 0) {
			err_retry(e, ERR_RUN, "stopped");
			e->cause = CAUSE_CANCELLED;
			return -1;
		}
		/* The clock of a file server may be another one. */
		if (fstat(c->box.fd, &b) == 0 && same_state(&a, &b))
			return 0;
	}
	return err_retry(e, ERR_MAILBOX, "the server changes the file without "
	    "pause: it cannot be read safely now");
}

#define COPIES_MAX	5

/* The bytes of one file into another: 1; 0: it changed meanwhile. */
static int
copy_once(int from, int to, struct stat *st, struct err *e)
{
	char *chunk = xmalloc(WINDOW);
	struct stat after;
	off_t off = 0;
	ssize_t n = 1;

	while (n > 0) {
		n = pread(from, chunk, WINDOW, off);
		if (n == -1 && errno == EINTR) {
			n = 1;
			continue;
		}
		if (n == -1 || tempfile_write(to, chunk, (size_t)n) == -1)
			break;
		off += n;
	}
	free(chunk);
	if (n != 0 || fstat(from, &after) == -1)
		return err_sys(e, quiet_scope(errno, ERR_MAILBOX), "copy into "
		    "a temporary file");
	return off == st->st_size && same_state(&after, st);
}

int
cgp_mbox_hold(struct cgp *c, struct err *e)
{
	struct cgp_box *b = &c->box;
	int i, tmp, rc = 0;

	if ((tmp = tempfile_open(e)) == -1)
		return -1;
	for (i = 0; i < COPIES_MAX && rc == 0; i++) {
		if (c->live && cgp_mbox_quiet(c, e) == -1)
			rc = -1;
		else if (fstat(b->fd, &b->st) == -1 ||
		    ftruncate(tmp, 0) == -1 || lseek(tmp, 0, SEEK_SET) == -1)
			rc = err_sys(e, ERR_MAILBOX, "copy into a temporary "
			    "file");
		else
			rc = copy_once(b->fd, tmp, &b->st, e);
	}
	if (rc != 1) {
		close(tmp);
		if (rc == 0) {
			err_retry(e, ERR_MAILBOX, "the file changes so fast "
			    "that no copy can be made of it");
			e->cause = CAUSE_CHANGED;
		}
		return -1;
	}
	close(b->fd);
	b->fd = tmp;
	b->size = (uint64_t)b->st.st_size;
	return fstat(tmp, &b->st) == 0 ? 0 : err_sys(e, ERR_MAILBOX, "stat");
}

/* A last message that is still being written stays for the next pass. */
static int
drop_half(struct cgp *c, struct err *e)
{
	if (cgp_mbox_check(c, e) == -1)
		return -1;
	if (appended_whole(&c->box))
		return 0;
	cgp_tell(c, W_SEPARATOR, NULL, "the last message is still being "
	    "written: left for the next pass");
	if (c->box.count > 0)
		c->box.count--;
	/* What comes behind it is no news any more. */
	c->box.half = true;
	return 0;
}

static void
choose_uids(struct cgp *c, const struct scan *s)
{
	struct cgp_box *b = &c->box;

	b->by_uid = s->ascending;
	if (b->by_uid) {
		b->uidvalidity = b->f->uidvalidity != 0 ? b->f->uidvalidity :
		    cgp_made_uidvalidity(b->f->raw, 'u');
		b->uidnext = s->last_uid == UINT32_MAX ? 0 :
		    b->f->uidnext > s->last_uid ? b->f->uidnext :
		    s->last_uid + 1;
		return;
	}
	/* Another UIDVALIDITY tells that keys of passes before do not hold. */
	b->uidvalidity = cgp_made_uidvalidity(b->f->raw, 'n');
	b->uidnext = 0;
	if (s->plain > 0)
		cgp_tell(c, W_SEPARATOR, NULL, "%" PRIu64 " messages were "
		    "written by another program and have no UID: UIDs are not "
		    "used in this mailbox", s->plain);
	else
		cgp_tell(c, W_SEPARATOR, NULL, "UIDs do not ascend: they are "
		    "not used in this mailbox");
}

int
cgp_mbox_list(struct cgp *c, struct err *e)
{
	struct scan *s = xcalloc(1, sizeof *s);
	int rc;

	s->c = c;
	s->window = c->window != 0 ? c->window : WINDOW;
	s->p = xmalloc(s->window);
	s->ascending = true;
	c->box.count = 0;
	c->box.half = c->box.listed = false;
	memset(c->box.origins, 0, sizeof c->box.origins);
	spill_free(&c->box.entries);
	c->box.entries = spill_new();
	rc = cgp_fingerprint(c->box.fd, c->box.size, &c->box.print);
	if (rc == -1) {
		err_retry(e, ERR_MAILBOX, "the file was rewritten while it "
		    "was read");
		e->cause = CAUSE_CHANGED;
	}
	if (rc == 0 && c->box.size > 0)
		rc = scan_file(s, e);
	if (rc == 0)
		rc = drop_half(c, e);
	if (rc == 0) {
		choose_uids(c, s);
		rc = spill_sort(c->box.entries, e);
	}
	snprintf(c->box.hash, sizeof c->box.hash, "-");
	free(s->p);
	free(s);
	c->box.listed = rc == 0;
	return rc;
}
