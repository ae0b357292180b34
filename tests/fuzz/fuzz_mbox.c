/*
 * mbox and mbx files.  Messages have to cover the file without gap or overlap,
 * to be the same whatever the sizes of reads, and to be found again from their
 * offsets; the fields that are cut out have to lie in the header; undone
 * quoting has to take away what was counted.  Of a file that becomes another
 * while it is read, messages make no sense, but lie inside of it.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "content.h"
#include "mbox/mbox_facts.h"
#include "mbox/mbox_parse.h"
#include "mbox/mbox_quote.h"
#include "mbox/mbx_parse.h"

int	LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CHECK(x)	do { if (!(x)) abort(); } while (0)
#define KEPT		64

struct file {
	const uint8_t	*p;
	size_t		 len, step;
};

static ssize_t
read_file(void *ctx, void *p, size_t n, uint64_t off, struct err *e)
{
	struct file *f = ctx;

	(void)e;
	CHECK(n > 0);
	if (off >= f->len)
		return 0;
	if (n > f->len - off)
		n = f->len - (size_t)off;
	if (f->step != 0 && n > f->step)
		n = f->step;
	memcpy(p, f->p + off, n);
	return (ssize_t)n;
}

struct doubts { const struct file *f; size_t n; uint64_t last; };

static void
on_doubt(void *ctx, uint64_t off, enum mbox_doubt why)
{
	struct doubts *d = ctx;

	(void)why;
	CHECK(d->f->len - off >= 5 && memcmp(d->f->p + off, "From ", 5) == 0);
	CHECK(d->n == 0 || off > d->last);
	d->n++;
	d->last = off;
}

static struct mbox_scan *
new_scan(struct file *f, struct doubts *d, enum mbox_quote quote)
{
	struct mbox_scan_conf conf = {
		.read = read_file, .read_ctx = f, .size = f->len,
		.doubt = d != NULL ? on_doubt : NULL, .doubt_ctx = d,
		.quote = quote,
	};

	if (d != NULL) {
		memset(d, 0, sizeof *d);
		d->f = f;
	}
	return mbox_scan_new(&conf);
}

static bool
same(const struct mbox_msg *a, const struct mbox_msg *b)
{
	return a->from == b->from && a->start == b->start &&
	    a->body == b->body && a->end == b->end && a->next == b->next &&
	    a->first == b->first && a->length_used == b->length_used &&
	    a->sep.form == b->sep.form && a->quoted == b->quoted;
}

static void
check_message(const struct file *f, const struct mbox_msg *m, uint64_t at)
{
	struct from_zone utc = { true, 0 };
	struct mbox_words *words;
	struct msg_meta meta;
	struct arena a;
	uint64_t last = m->start, length;

	CHECK(m->from == at && m->from < m->start && m->start <= m->body);
	CHECK(m->body <= m->end && m->end <= m->next && m->next <= f->len);
	CHECK(m->next - m->end <= 2);
	CHECK(memcmp(f->p + m->from, "From ", 5) == 0);
	CHECK(m->start == f->len || f->p[m->start - 1] == '\n');
	if (m->end < m->next)
		CHECK(f->p[m->next - 1] == '\n' && f->p[m->end - 1] == '\n');
	for (size_t i = 0; i < m->head->ncuts; i++) {
		const struct head_cut *c = &m->head->cuts[i];

		CHECK(c->start >= last && c->end > c->start &&
		    c->end <= m->body);
		CHECK(f->p[c->start - 1] == '\n');
		last = c->end;
	}
	if (m->length_used)
		CHECK(mbox_head_length(m->head, &length) == 1 &&
		    m->end - m->body + 2 >= length);
	memset(&meta, 0, sizeof meta);
	arena_init(&a);
	words = mbox_words_new(" a b");
	mbox_facts_flags(m->head, false, words, &a, &meta);
	mbox_words_free(&words);
	mbox_facts_flags(m->head, true, NULL, &a, &meta);
	mbox_facts_date(&m->sep, &utc, m->head, &meta);
	CHECK((meta.date == NO_DATE) == (meta.date_origin == DATE_NONE));
	arena_release(&a);
}

static void
check_unquoted(const struct file *f, const struct mbox_msg *m,
    enum mbox_quote quote)
{
	const char *p = (const char *)f->p + m->start;
	size_t len = (size_t)(m->end - m->start), got = 0, from = 0;
	struct content *c;
	char *out = malloc(len + 1);
	struct err e;
	ssize_t n;

	CHECK(out != NULL);
	c = mbox_unquote(content_mem(p, len), quote, m->body - m->start,
	    len - m->quoted);
	while ((n = content_read(c, out + got, len + 1 - got, &e)) > 0)
		got += (size_t)n;
	CHECK(n == 0 && got == c->size);
	content_close(&c);
	/* What is left came in that order; only '>' went away. */
	for (size_t i = 0; i < got; i++, from++) {
		if (p[from] != out[i]) {
			CHECK(p[from] == '>');
			from++;
		}
		CHECK(from < len && p[from] == out[i]);
	}
	free(out);
}

static void
check_mbox(struct file *f)
{
	struct mbox_msg m, x, kept[KEPT];
	struct mbox_scan *s, *again;
	struct doubts d, d2;
	size_t n = 0;
	uint64_t at;
	struct err e;
	enum mbox_sniff kind;
	int rc;

	kind = mbox_sniff((const char *)f->p, f->len < SNIFF_BYTES ? f->len :
	    SNIFF_BYTES, f->len < SNIFF_BYTES);
	CHECK(kind != SNIFF_MORE);
	s = new_scan(f, &d, QUOTE_NONE);
	rc = mbox_scan_next(s, &m, &e);
	CHECK((kind == SNIFF_OTHER) == (rc == -1));
	CHECK((kind == SNIFF_EMPTY) == (rc == 0));
	at = mbox_scan_leading(s);
	for (; rc == 1; rc = mbox_scan_next(s, &m, &e)) {
		check_message(f, &m, at);
		at = m.next;
		if (n < KEPT)
			kept[n] = m;
		n++;
	}
	if (kind == SNIFF_MBOX)
		CHECK(rc == 0 && at == f->len);
	CHECK(mbox_scan_separators(s) == n);
	if (kind != SNIFF_MBOX) {
		mbox_scan_free(&s);
		return;
	}

	/* Again, with short reads. */
	f->step = 1 + f->len % 1000;
	again = new_scan(f, &d2, QUOTE_NONE);
	for (size_t i = 0; i < n; i++) {
		CHECK(mbox_scan_next(again, &x, &e) == 1);
		CHECK(i >= KEPT || same(&x, &kept[i]));
	}
	CHECK(mbox_scan_next(again, &x, &e) == 0);
	CHECK(d.n == d2.n && d.last == d2.last);
	mbox_scan_free(&again);
	f->step = 0;

	/* Each by itself, from the last to the first. */
	again = new_scan(f, NULL, QUOTE_NONE);
	mbox_scan_share(again, s);
	for (size_t i = n < KEPT ? n : KEPT; i-- > 0;) {
		CHECK(mbox_scan_seek(again, kept[i].from, &e) == 0);
		CHECK(mbox_scan_next(again, &x, &e) == 1);
		CHECK(same(&x, &kept[i]));
	}
	mbox_scan_free(&again);
	mbox_scan_free(&s);

	for (int q = QUOTE_MBOXO; q <= QUOTE_MBOXRD; q++) {
		s = new_scan(f, NULL, (enum mbox_quote)q);
		for (size_t i = 0; i < KEPT &&
		    mbox_scan_next(s, &m, &e) == 1; i++)
			check_unquoted(f, &m, (enum mbox_quote)q);
		mbox_scan_free(&s);
	}
}

/* A file that is another one from the left-th read on. */
struct torn { struct file before, after; size_t left; };

static ssize_t
read_torn(void *ctx, void *p, size_t n, uint64_t off, struct err *e)
{
	struct torn *t = ctx;

	if (t->left > 0) {
		t->left--;
		return read_file(&t->before, p, n, off, e);
	}
	return read_file(&t->after, p, n, off, e);
}

static void
check_torn(const uint8_t *data, size_t size)
{
	struct torn t = { { data, size / 2, 0 }, { data + size / 2,
	    size - size / 2, 0 }, size % 5 };
	struct mbox_scan_conf conf = { .read = read_torn, .read_ctx = &t,
	    .size = size / 2 };
	struct mbox_scan *s;
	struct mbox_msg m;
	struct mbx_msg y;
	struct mbx x;
	uint64_t at = 0;
	struct err e;
	int rc;

	t.before.step = t.after.step = 1 + size % 300;
	s = mbox_scan_new(&conf);
	while ((rc = mbox_scan_next(s, &m, &e)) == 1) {
		CHECK(m.from >= at && m.from <= m.start && m.start <= m.body &&
		    m.body <= m.end && m.end <= m.next && m.next <= size / 2);
		for (size_t i = 0; i < m.head->ncuts; i++)
			CHECK(m.head->cuts[i].start >= m.start &&
			    m.head->cuts[i].end <= m.end &&
			    m.head->cuts[i].start <= m.head->cuts[i].end);
		CHECK(m.next > at);
		at = m.next;
	}
	mbox_scan_free(&s);
	t.left = size % 5;
	at = 0;
	if (mbx_start(&x, read_torn, &t, size / 2, &e) == -1)
		return;
	while (mbx_next(&x, &y, &e) == 1) {
		CHECK(y.from >= at && y.start > y.from && y.end >= y.start &&
		    y.end <= size / 2);
		at = y.end;
	}
}

static void
check_mbx(struct file *f)
{
	struct mbx_msg m, again;
	uint64_t at = 2048;
	struct mbx x;
	struct err e;

	if (mbx_start(&x, read_file, f, f->len, &e) == -1)
		return;
	for (int i = 0; i < MBX_KEYWORDS; i++)
		if (x.keywords[i] != NULL)
			CHECK(strlen(x.keywords[i]) > 0);
	while (mbx_next(&x, &m, &e) == 1) {
		CHECK(m.from == at && m.start > m.from && m.end >= m.start &&
		    m.end <= f->len);
		CHECK(mbx_at(&x, m.from, &again, &e) == 0);
		CHECK(again.end == m.end && again.uid == m.uid);
		at = m.end;
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct file f = { data, size, 0 };

	if (size >= 5 && memcmp(data, "*mbx*", 5) == 0)
		check_mbx(&f);
	else
		check_mbox(&f);
	check_torn(data, size);
	return 0;
}
