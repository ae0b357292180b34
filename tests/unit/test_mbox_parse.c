/*
 * Separators, headers and quoting of mboxes, from memory.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/arena.h"
#include "mbox/mbox_facts.h"
#include "mbox/mbox_name.h"
#include "mbox/mbox_parse.h"
#include "mbox/mbox_quote.h"

#define DATE	"Thu Jan  4 05:06:07 2001"

struct text { const char *p; size_t len, step; };

static ssize_t
read_text(void *ctx, void *p, size_t n, uint64_t off, struct err *e)
{
	struct text *t = ctx;

	(void)e;
	if (off >= t->len)
		return 0;
	if (n > t->len - off)
		n = t->len - (size_t)off;
	if (t->step != 0 && n > t->step)
		n = t->step;
	memcpy(p, t->p + off, n);
	return (ssize_t)n;
}

struct doubts { enum mbox_doubt why[64]; uint64_t off[64]; size_t n; };

static void
on_doubt(void *ctx, uint64_t off, enum mbox_doubt why)
{
	struct doubts *d = ctx;

	if (d->n < 64) {
		d->why[d->n] = why;
		d->off[d->n] = off;
	}
	d->n++;
}

static struct mbox_scan *
scan_text(struct text *t, struct doubts *d, enum mbox_quote quote)
{
	struct mbox_scan_conf conf = {
		.read = read_text, .read_ctx = t, .doubt = on_doubt,
		.doubt_ctx = d, .size = t->len, .quote = quote,
	};

	memset(d, 0, sizeof *d);
	return mbox_scan_new(&conf);
}

/* Messages as "start-end" of what the file holds, joined by blanks. */
static void
check(const char *file, size_t len, const char *const *want)
{
	struct text t = { file, len, 0 };
	struct doubts d;
	struct mbox_scan *s = scan_text(&t, &d, QUOTE_NONE);
	uint64_t at = 0;
	struct mbox_msg m;
	struct err e;
	size_t i;
	int rc;

	for (i = 0; (rc = mbox_scan_next(s, &m, &e)) == 1; i++) {
		if (i == 0)
			at = mbox_scan_leading(s);
		assert_non_null(want[i]);
		assert_int_equal(m.from, at);
		at = m.next;
		assert_int_equal(m.end - m.start, strlen(want[i]));
		assert_memory_equal(file + m.start, want[i], m.end - m.start);
	}
	assert_int_equal(rc, 0);
	assert_null(want[i]);
	assert_int_equal(mbox_scan_separators(s), i);
	if (i > 0)
		assert_int_equal(at, len);
	mbox_scan_free(&s);
	assert_null(s);
}

#define CHECK(file, ...) \
	check(file, sizeof file - 1, (const char *const[]){ __VA_ARGS__, NULL })

/* What belongs to a message, byte for byte. */
static void
test_edges(void **state)
{
	(void)state;
	CHECK("From a@b " DATE "\nA: 1\n\none\n\nFrom a@b " DATE
	    "\nA: 2\n\ntwo\n\n", "A: 1\n\none\n", "A: 2\n\ntwo\n");
	/* CR LF, in part */
	CHECK("From a@b " DATE "\r\nA: 1\r\n\r\none\r\n\r\nFrom a@b " DATE
	    "\nA: 2\n\ntwo\n\r\n", "A: 1\r\n\r\none\r\n", "A: 2\n\ntwo\n");
	/* glued, no final newline */
	CHECK("From a@b " DATE "\nA: 1\n\none\nFrom a@b " DATE "\nA: 2\n\ntwo",
	    "A: 1\n\none\n", "A: 2\n\ntwo");
	/* one of two empty lines is the body's */
	CHECK("From a@b " DATE "\nA: 1\n\none\n\n\nFrom a@b " DATE
	    "\nA: 2\n\n\n\n", "A: 1\n\none\n\n", "A: 2\n\n\n");
	/* the end of a header stays */
	CHECK("From a@b " DATE "\nA: 1\n\nFrom a@b " DATE "\nA: 2\n\n\n",
	    "A: 1\n\n", "A: 2\n\n");
	CHECK("From a@b " DATE "\r\nA: 1\r\n\r\n\r\nFrom a@b " DATE "\n\n",
	    "A: 1\r\n\r\n", "\n");
	/* nothing at all */
	CHECK("From a@b " DATE "\nFrom a@b " DATE "\nA: 2\n\nx\n", "",
	    "A: 2\n\nx\n");
	CHECK("From a@b " DATE "\nA: 1\n\nx\n\nFrom a@b " DATE,
	    "A: 1\n\nx\n", "");
	/* leading bytes */
	CHECK("\xef\xbb\xbf\r\n \n\0\0\n\0From a@b " DATE "\nA: 1\n\nx\n",
	    "A: 1\n\nx\n");
	check("", 0, (const char *const[]){ NULL });
	check("\n\r\n", 3, (const char *const[]){ NULL });
}

static void
test_content_length(void **state)
{
	(void)state;
	/* covers what looks like a message */
	CHECK("From a@b " DATE "\nContent-Length: 45\n\none\n\nFrom a@b " DATE
	    "\nA: 2\n\n\nFrom a@b " DATE "\nA: 3\n\nx\n",
	    "Content-Length: 45\n\none\n\nFrom a@b " DATE "\nA: 2\n\n",
	    "A: 3\n\nx\n");
	/* wrong by 3: decides nothing */
	CHECK("From a@b " DATE "\nContent-Length: 42\n\none\n\nFrom a@b " DATE
	    "\nA: 2\n\n\nFrom a@b " DATE "\nA: 3\n\nx\n",
	    "Content-Length: 42\n\none\n", "A: 2\n\n", "A: 3\n\nx\n");
	/* counts the empty line before the next separator */
	CHECK("From a@b " DATE "\nContent-Length: 46\n\none\n\nFrom a@b " DATE
	    "\nA: 2\n\n\nFrom a@b " DATE "\nA: 3\n\nx\n",
	    "Content-Length: 46\n\none\n\nFrom a@b " DATE "\nA: 2\n\n",
	    "A: 3\n\nx\n");
	CHECK("From a@b " DATE "\nContent-Length: 6\n\ntext\n\n\nFrom a@b "
	    DATE "\nContent-Length: 6\n\ntext\n\n\n",
	    "Content-Length: 6\n\ntext\n\n", "Content-Length: 6\n\ntext\n\n");
	/* a line that nothing else would make a separator */
	CHECK("From a@b " DATE "\nContent-Length: 4\n\none\nFrom a@b " DATE
	    "\nno field\n", "Content-Length: 4\n\none\n", "no field\n");
	/* at the end, with and without an empty line */
	CHECK("From a@b " DATE "\nContent-Length: 40\n\n\nFrom a@b " DATE
	    "\nA: 2\n", "Content-Length: 40\n\n\nFrom a@b " DATE "\nA: 2\n");
	CHECK("From a@b " DATE "\nContent-Length: 40\n\n\nFrom a@b " DATE
	    "\nA: 2\n\r\n",
	    "Content-Length: 40\n\n\nFrom a@b " DATE "\nA: 2\n");
}

struct doubtful { const char *file; size_t n; enum mbox_doubt why; };

static void
test_doubts(void **state)
{
#define ONE	"From a@b " DATE "\nA: 1\n\nx\n"
	static const struct doubtful cases[] = {
		{ ONE "\n" ONE, 0, 0 },
		{ ONE ONE, 1, DOUBT_GLUED },
		{ ONE "\nFrom a@b " DATE "\nx\n", 1, DOUBT_NO_HEADER },
		{ "From a@b " DATE "\nx\n", 1, DOUBT_NO_HEADER },
		{ "From a b\nA: 1\nB: 2\n\nx\n", 1, DOUBT_FIRST },
		{ ONE "From a@b " DATE "\nx\n", 1, DOUBT_DATE_ONLY },
		{ ONE "\nFrom 4 Jan 2001 05:06\nx\n", 1, DOUBT_DATE_ONLY },
		{ ONE "\nFrom a b\nA: 1\n", 1, DOUBT_NO_DATE },
		{ ONE "\nFrom \nA: 1\nB: 2\n", 1, DOUBT_NO_DATE },
		{ ONE "From the start\nwe know\n", 0, 0 },
		{ ONE "\nFrom the start\nwe know\n", 0, 0 },
		{ ONE "From the start:\nA: 1\n", 0, 0 },
		{ "From a@b " DATE "\nContent-Length: 40\n\n\nFrom a@b " DATE
		    "\nA: 2\n", 1, DOUBT_IN_LENGTH },
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct text t = { cases[i].file, strlen(cases[i].file), 0 };
		struct doubts d;
		struct mbox_scan *s = scan_text(&t, &d, QUOTE_NONE);
		struct mbox_msg m;
		struct err e;

		while (mbox_scan_next(s, &m, &e) == 1)
			;
		if (d.n != cases[i].n ||
		    (d.n > 0 && d.why[0] != cases[i].why))
			fail_msg("case %zu: %zu doubts, first %d", i, d.n,
			    d.why[0]);
		if (d.n > 0)
			assert_memory_equal(t.p + d.off[0], "From ", 5);
		mbox_scan_free(&s);
	}
}

/* The end of the buffer may fall anywhere, and reads may be short. */
static void
test_buffer(void **state)
{
	static const char tail[] = "\r\n\r\nFrom a@b " DATE
	    "\nContent-Length: 3\nA: 2\n\ny\n\n\nFrom a@b " DATE
	    "\nA: 3\n\nz\n";
	size_t cap = 300 * 1024;
	char *p = malloc(cap);

	(void)state;
	assert_non_null(p);
	for (size_t pad = 0; pad < 140; pad++) {
		size_t n = 256 * 1024 - 100 + pad - (pad > 70 ? 8192 : 0);
		struct text t = { p, 0, pad % 3 == 0 ? 977 : 0 };
		uint64_t ends[3] = { 0 };
		struct mbox_scan *s;
		struct mbox_msg m;
		struct doubts d;
		struct err e;
		size_t i;

		memset(p, 'x', cap);
		memcpy(p, "From a@b " DATE "\nA: 1\n\n",
		    9 + strlen(DATE) + 7);
		p[n / 2] = '\n';
		memcpy(p + n, tail, sizeof tail - 1);
		t.len = n + sizeof tail - 1;
		s = scan_text(&t, &d, QUOTE_NONE);
		for (i = 0; mbox_scan_next(s, &m, &e) == 1; i++) {
			assert_true(i < 3);
			ends[i] = m.end;
			if (i == 1) {
				assert_true(m.length_used);
				assert_int_equal(m.end - m.body, 3);
			}
		}
		assert_int_equal(i, 3);
		assert_int_equal(ends[0], n + 2);
		assert_int_equal(ends[2], t.len);
		assert_int_equal(d.n, 0);
		mbox_scan_free(&s);
	}
	free(p);
}

/* A message found again from its offset alone. */
static void
test_seek(void **state)
{
	static const char file[] = "\nFrom - " DATE "\nX-Mozilla-Status: 0001\n"
	    "A: 1\n\nx\n\nFrom \nX-Mozilla-Status: 0001\nA: 2\n\ny\n\nFrom - "
	    DATE "\nContent-Length: 38\n\n\nFrom - " DATE "\nA: 3\n\nFrom \n"
	    "A: 1\nB: 2\n\n";
	struct text t = { file, sizeof file - 1, 0 };
	struct doubts d;
	struct mbox_scan *s = scan_text(&t, &d, QUOTE_NONE), *again;
	struct mbox_msg m[8], x;
	size_t n = 0;
	struct err e;

	(void)state;
	while (mbox_scan_next(s, &m[n], &e) == 1)
		n++;
	assert_int_equal(n, 4);
	assert_true(m[2].length_used);
	again = scan_text(&t, &d, QUOTE_NONE);
	mbox_scan_share(again, s);
	for (size_t k = 0; k < 3 * n; k++) {
		size_t i = k * 7 % n;

		assert_int_equal(mbox_scan_seek(again, m[i].from, &e), 0);
		assert_int_equal(mbox_scan_next(again, &x, &e), 1);
		assert_int_equal(x.from, m[i].from);
		assert_int_equal(x.start, m[i].start);
		assert_int_equal(x.body, m[i].body);
		assert_int_equal(x.end, m[i].end);
		assert_int_equal(x.first, m[i].first);
		assert_int_equal(x.length_used, m[i].length_used);
	}
	assert_int_equal(mbox_scan_seek(again, m[1].from + 1, &e), -1);
	assert_int_equal(e.cause, CAUSE_CHANGED);
	assert_int_equal(mbox_scan_seek(again, t.len + 5, &e), -1);
	mbox_scan_free(&again);
	mbox_scan_free(&s);
}

/* A file that ends before the size that was announced. */
static void
test_short(void **state)
{
	struct text t = { "From a@b " DATE "\n\n", 100, 0 };
	struct doubts d;
	struct mbox_scan *s = scan_text(&t, &d, QUOTE_NONE);
	struct mbox_msg m;
	struct err e;

	(void)state;
	t.len = strlen(t.p);
	assert_int_equal(mbox_scan_next(s, &m, &e), -1);
	assert_int_equal(e.cause, CAUSE_CHANGED);
	assert_true(e.retry);
	mbox_scan_free(&s);
}

static void
test_sniff(void **state)
{
	char *p = calloc(1, SNIFF_BYTES);

	(void)state;
	assert_non_null(p);
	assert_int_equal(mbox_sniff("", 0, true), SNIFF_EMPTY);
	assert_int_equal(mbox_sniff("", 0, false), SNIFF_MORE);
	assert_int_equal(mbox_sniff("\n\n", 2, true), SNIFF_EMPTY);
	assert_int_equal(mbox_sniff("\n\nFro", 5, false), SNIFF_MORE);
	assert_int_equal(mbox_sniff("\n\nFro", 5, true), SNIFF_OTHER);
	assert_int_equal(mbox_sniff("Dear", 4, false), SNIFF_OTHER);
	assert_int_equal(mbox_sniff("From a " DATE "\n",
	    strlen("From a " DATE "\n"), true), SNIFF_MBOX);
	assert_int_equal(mbox_sniff("From a\nB: c\n", 12, true), SNIFF_MBOX);
	assert_int_equal(mbox_sniff("From a b\nc: d\n", 14, true),
	    SNIFF_OTHER);
	assert_int_equal(mbox_sniff(p, SNIFF_BYTES, false), SNIFF_OTHER);
	free(p);
}

struct date_case {
	const char *text;
	enum from_form form;
	int usable;
	int64_t epoch;		/* with zone +0100 where it names none */
	int zone;
};

/* 2001-01-04 05:06:07 UTC */
#define NOON	978584767LL

static void
test_from(void **state)
{
	static const struct date_case cases[] = {
		{ "a@b " DATE, FROM_DATED, 1, NOON - 3600, 60 },
		{ "a@b " DATE " +0200", FROM_DATED, 1, NOON - 7200, 120 },
		{ "a@b " DATE " -0130", FROM_DATED, 1, NOON + 5400, -90 },
		{ "a@b " DATE " EST", FROM_DATED, 1, NOON + 18000, -300 },
		{ "a@b " DATE " XYZ", FROM_DATED, 1, NOON - 3600, 60 },
		{ "a@b Thu Jan  4 05:06:07 MET DST 2001", FROM_DATED, 1,
		    NOON - 7200, 120 },
		{ "a@b Thu Jan  4 05:06:07 EST DST 2001", FROM_DATED, 1,
		    NOON + 14400, -240 },
		{ "a@b Thu Jan  4 05:06:07 -0500 (EST) 2001", FROM_DATED, 1,
		    NOON + 18000, -300 },
		{ "a@b " DATE " +0100 (Central European Time)", FROM_DATED, 1,
		    NOON - 3600, 60 },
		{ "a@b Thu Jan  4 05:06:07 GMT+2 2001", FROM_DATED, 1,
		    NOON - 7200, 120 },
		{ "a@b Thu Jan  4 05:06:07 +0000 2001", FROM_DATED, 1, NOON,
		    0 },
		{ "a@b Thu, 4 Jan 2001 05:06:07 GMT", FROM_DATED, 1, NOON, 0 },
		{ "a@b Thu Jan 04 2001 05:06:07", FROM_DATED, 1, NOON - 3600,
		    60 },
		{ "a@b Thu Jan  4 05:06:07 PM 2001", FROM_DATED, 1,
		    NOON - 3600 + 43200, 60 },
		{ "a@b Thu Jan  4 12:06:07am 2001", FROM_DATED, 1,
		    NOON - 3600 - 5 * 3600, 60 },
		{ "a@b Thu Jan  4 05:06:07.123 2001", FROM_DATED, 1,
		    NOON - 3600, 60 },
		{ "a@b Thu Jan  4 05:06 01", FROM_DATED, 1, NOON - 3607, 60 },
		{ "a@b Thu Jan  4 05:06:07 101", FROM_DATED, 1, NOON - 3600,
		    60 },
		{ "a@b " DATE " remote from x", FROM_DATED, 1, NOON - 3600,
		    60 },
		{ DATE, FROM_DATED, 1, NOON - 3600, 60 },
		{ "a@b Don, 4. Januar 2001 05:06", FROM_OTHER, 0, 0, 0 },
		{ "a@b jeu. janv.  4 05:06:07 2001", FROM_DATED, 1,
		    NOON - 3600, 60 },
		{ "a@b Thu Xyz  4 05:06:07 2001", FROM_DATED, 0, 0, 0 },
		{ "a@b Thu Jan 32 05:06:07 2001", FROM_DATED, 0, 0, 0 },
		{ "a@b Thu Jan  4 24:06:07 2001", FROM_DATED, 0, 0, 0 },
		{ "a@b Jan  4 05:06:07 2001", FROM_WEAK, 1, NOON - 3600, 60 },
		{ "a@b 4-Jan-2001 05:06:07 +0000", FROM_WEAK, 1, NOON, 0 },
		{ "a@b 2001-01-04T05:06:07Z", FROM_WEAK, 1, NOON, 0 },
		{ "a@b 2001-01-04T05:06:07+01:00", FROM_WEAK, 1, NOON - 3600,
		    60 },
		{ "a@b 2001-01-04 05:06:07 +0100", FROM_WEAK, 1, NOON - 3600,
		    60 },
		{ "2001-01-04T05:06:07", FROM_WEAK, 1, NOON - 3600, 60 },
		{ "a@b Thu Feb 29 05:06:07 2001", FROM_DATED, 1, 0, 60 },
		{ "a@b " DATE " and more", FROM_OTHER, 0, 0, 0 },
		{ "a@b " DATE " met dst", FROM_DATED, 1, NOON - 7200, 120 },
		{ "a@b Thu Jan  4 05:06:07", FROM_OTHER, 0, 0, 0 },
		{ "the CRAN policies", FROM_OTHER, 0, 0, 0 },
		{ "", FROM_BARE, 0, 0, 0 },
		{ "  \t", FROM_BARE, 0, 0, 0 },
		{ "-", FROM_BARE, 0, 0, 0 },
		{ "12@xxx", FROM_THREAD, 0, 0, 0 },
		{ "@xxx", FROM_WORD, 0, 0, 0 },
		{ "a@b", FROM_WORD, 0, 0, 0 },
		{ "(", FROM_WORD, 0, 0, 0 },
		{ "a@b Thu Jan 4 05:06:07 ( 2001", FROM_OTHER, 0, 0, 0 },
	};
	static const struct from_zone cet = { true, 60 };

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		const struct date_case *c = &cases[i];
		struct from_line f;
		int64_t epoch = 0;
		int zone = 0, rc;

		from_parse(c->text, strlen(c->text), &f);
		rc = from_epoch(&f, &cet, &epoch, &zone);
		if (f.form != c->form || rc != (c->usable ? 0 : -1) ||
		    (rc == 0 && ((c->epoch != 0 && epoch != c->epoch) ||
		    zone != c->zone)))
			fail_msg("%s: form %d rc %d epoch %lld zone %d",
			    c->text, f.form, rc, (long long)epoch, zone);
	}
}

static void
test_zone(void **state)
{
	struct from_zone z;
	struct from_line f;
	int64_t epoch;
	int zone;

	(void)state;
	assert_int_equal(from_zone_parse("+0530", &z), 0);
	assert_true(z.fixed && z.minutes == 330);
	assert_int_equal(from_zone_parse("utc", &z), 0);
	assert_true(z.fixed && z.minutes == 0);
	assert_int_equal(from_zone_parse("+2", &z), -1);
	assert_int_equal(from_zone_parse("Europe/Berlin", &z), -1);
	assert_int_equal(from_zone_parse("local", &z), 0);
	assert_false(z.fixed);
	setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3", 1);
	tzset();
	from_parse("a " DATE, strlen("a " DATE), &f);
	assert_int_equal(from_epoch(&f, &z, &epoch, &zone), 0);
	assert_int_equal(epoch, NOON - 3600);
	assert_int_equal(zone, 60);
	from_parse("a Wed Jul  4 05:06:07 2001", 26, &f);
	assert_int_equal(from_epoch(&f, &z, &epoch, &zone), 0);
	assert_int_equal(zone, 120);
	unsetenv("TZ");
	tzset();
}

/* One message's header, fed in pieces of every size. */
static void
feed(struct mbox_head *h, const char *p, size_t piece)
{
	uint64_t off = 1000;

	mbox_head_reset(h);
	while (*p != '\0') {
		size_t len = strcspn(p, "\n") + 1, done = 0;

		while (done < len) {
			size_t n = len - done;

			if (n > piece && (done > 0 || piece >= 128))
				n = piece;
			else if (done == 0 && n > 128 && piece < 128)
				n = 128;
			mbox_head_feed(h, off, p + done, n, done == 0);
			done += n;
			off += n;
		}
		p += len;
	}
}

static void
test_head(void **state)
{
	static const char text[] =
	    "X-Account-Key: account1\n"
	    "X-Mozilla-Status: 1003\n"
	    "X-Mozilla-Status2: 06800000\n"
	    "X-Mozilla-Keys: $label1 Junk                                   \n"
	    "Received: from a by b; Thu, 4 Jan 2001\n"
	    "\t05:06:07 +0000\n"
	    "Received: from x; 1 Jan 2000 00:00:00 +0000\n"
	    "STATUS : RO\n"
	    "X-Keywords: kw1\n"
	    " kw2 \n"
	    "X-Keywords: kw1\n"
	    "Content-Length: 12\n"
	    "X-IMAPbase: 1000000000 0000000105 kw1 kw2\n"
	    "X-UID: 7\n"
	    "Date: Thu, 4 Jan 2001 06:06:07 +0100\n"
	    "X-Mozilla-Status2: 0e000000\n"
	    "Content-Length: 13\n";
	struct mbox_words *words;
	struct mbox_head h;
	struct mbox_base base;
	struct arena a;

	(void)state;
	arena_init(&a);
	mbox_head_init(&h);
	for (size_t piece = 1; piece < 200; piece += 13) {
		struct msg_meta m = { 0 };
		struct from_line f = { .form = FROM_BARE };
		struct from_zone z = { 0 };
		uint64_t n;

		feed(&h, text, piece);
		assert_true(h.mozilla && h.base_first);
		assert_int_equal(mbox_head_length(&h, &n), 1);
		assert_int_equal(n, 12);
		assert_int_equal(mbox_head_base(&h, HEAD_XIMAPBASE, &base), 1);
		assert_int_equal(base.uidvalidity, 1000000000);
		assert_int_equal(base.last_uid, 105);
		assert_int_equal(mbox_head_base(&h, HEAD_XIMAP, &base), 0);
		/* Status, X-Keywords twice, length, base, UID */
		assert_int_equal(h.ncuts, 6);
		assert_true(h.cuts[3].length && !h.cuts[2].length);
		for (size_t i = 0; i < h.ncuts; i++) {
			const char *p = text + h.cuts[i].start - 1000;

			assert_true(strchr("SXC", *p) != NULL);
			assert_true(text[h.cuts[i].end - 1001] == '\n');
			assert_true(i == 0 ||
			    h.cuts[i].start >= h.cuts[i - 1].end);
		}
		words = mbox_words_new(base.keywords);
		assert_int_equal(mbox_facts_flags(&h, true, words, &a, &m), 0);
		mbox_words_free(&words);
		assert_int_equal(m.flags, MSG_SEEN | MSG_ANSWERED);
		/* $Forwarded, $MDNSent, $label3, kw1, kw2, $label1, Junk */
		assert_int_equal(m.nkeywords, 7);
		assert_string_equal(m.keywords[0], "kw1");
		assert_string_equal(m.keywords[1], "kw2");
		assert_string_equal(m.keywords[2], "$Forwarded");
		assert_string_equal(m.keywords[4], "$label3");
		mbox_facts_date(&f, &z, &h, &m);
		assert_int_equal(m.date, NOON);
		assert_int_equal(m.date_origin, DATE_RECEIVED);
	}
	mbox_head_release(&h);
	arena_release(&a);
}

static void
test_flags(void **state)
{
	struct mbox_words *abc = mbox_words_new(" a  b c");
	struct mbox_words *ac = mbox_words_new("a c\t");
	struct msg_meta m = { 0 };
	struct mbox_head h;
	struct arena a;
	struct mbox_base base;

	(void)state;
	arena_init(&a);
	mbox_head_init(&h);
	feed(&h, "Status: O\n", 200);
	mbox_facts_flags(&h, false, NULL, &a, &m);
	assert_int_equal(m.flags, 0);
	feed(&h, "Status: r\nX-Status: afdt\n", 200);
	mbox_facts_flags(&h, false, NULL, &a, &m);
	assert_int_equal(m.flags, 0);
	feed(&h, "Status: RO\nX-Status: DTFA\n", 200);
	mbox_facts_flags(&h, false, NULL, &a, &m);
	assert_int_equal(m.flags, MSG_SEEN | MSG_ANSWERED | MSG_FLAGGED |
	    MSG_DRAFT | MSG_DELETED);
	assert_string_equal(m.raw_flags, "RO DTFA");
	/* all listed, or none counts */
	feed(&h, "X-Keywords: a b\n", 200);
	assert_int_equal(mbox_facts_flags(&h, false, abc, &a, &m), 0);
	assert_int_equal(m.nkeywords, 2);
	assert_int_equal(mbox_facts_flags(&h, false, ac, &a, &m), 1);
	assert_int_equal(m.nkeywords, 0);
	assert_int_equal(mbox_facts_flags(&h, false, NULL, &a, &m), 0);
	assert_int_equal(m.nkeywords, 2);
	/* Mozilla's fields count on top only */
	feed(&h, "Received: x\nX-Mozilla-Status: 0009\n", 200);
	assert_false(mbox_facts_expunged(&h));
	feed(&h, "X-UIDL: 1\nX-Mozilla-Status: 0009\n", 200);
	assert_true(mbox_facts_expunged(&h));
	feed(&h, "X-Mozilla-Status: 00zz\n", 200);
	assert_false(mbox_facts_expunged(&h));
	/* Mozilla's word counts more than an old Status */
	feed(&h, "X-Mozilla-Status: 1000\nX-Mozilla-Keys: k\nStatus: RO\n",
	    200);
	mbox_facts_flags(&h, true, NULL, &a, &m);
	assert_int_equal(m.flags, 0);
	assert_int_equal(m.nkeywords, 2);
	assert_string_equal(m.raw_flags, "1000 00000000");
	/* ... in Mozilla's files only */
	mbox_facts_flags(&h, false, NULL, &a, &m);
	assert_int_equal(m.flags, MSG_SEEN);
	assert_int_equal(m.nkeywords, 0);
	assert_string_equal(m.raw_flags, "RO ");
	mbox_words_free(&abc);
	mbox_words_free(&ac);
	assert_null(ac);

	feed(&h, "X-IMAP: 1 2\n", 200);
	assert_true(mbox_head_pseudo(&h, &base));
	feed(&h, "X-IMAP: 1 2\nReceived: x\n", 200);
	assert_false(mbox_head_pseudo(&h, &base));
	feed(&h, "X-IMAP: 0 2\n", 200);
	assert_false(mbox_head_pseudo(&h, &base));
	feed(&h, "X-IMAP: 1\n", 200);
	assert_false(mbox_head_pseudo(&h, &base));
	feed(&h, "X-IMAP: 4294967296 2\n", 200);
	assert_false(mbox_head_pseudo(&h, &base));
	feed(&h, "X-IMAPbase: 4294967295 4294967295\n", 200);
	assert_int_equal(mbox_head_base(&h, HEAD_XIMAPBASE, &base), 1);
	mbox_head_release(&h);
	arena_release(&a);
}

/* As many words as a header may hold, and a mailbox with as many. */
static void
test_many_keywords(void **state)
{
	enum { WORDS = 10000 };
	struct buf head, list;
	struct mbox_words *words;
	struct mbox_head h;
	struct arena a;
	struct timespec from, to;

	(void)state;
	buf_init(&head, 1 << 17);
	buf_init(&list, 1 << 17);
	buf_adds(&head, "X-Keywords:");
	for (int i = 0; i < WORDS; i++) {
		buf_addf(&head, " %x", i);
		buf_addf(&list, " %x", WORDS - i);
	}
	buf_adds(&head, "\n");
	mbox_head_init(&h);
	feed(&h, head.ptr, head.len);
	words = mbox_words_new(list.ptr);
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &from);
	for (int i = 0; i < 50; i++) {
		struct msg_meta m = { 0 };

		arena_init(&a);
		/* "0" is not in the list; the rest is too many */
		assert_int_equal(mbox_facts_flags(&h, false, words, &a, &m),
		    WORDS - 500 + 1);
		assert_int_equal(m.nkeywords, 0);
		assert_int_equal(mbox_facts_flags(&h, false, NULL, &a, &m),
		    WORDS - 500);
		assert_int_equal(m.nkeywords, 500);
		assert_string_equal(m.keywords[499], "1f3");
		arena_release(&a);
	}
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &to);
	assert_true(to.tv_sec - from.tv_sec < 3);
	mbox_words_free(&words);
	mbox_head_release(&h);
	buf_release(&head);
	buf_release(&list);
}

static void
test_dates(void **state)
{
	struct from_zone utc = { true, 0 };
	struct msg_meta m = { 0 };
	struct from_line f;
	struct mbox_head h;

	(void)state;
	mbox_head_init(&h);
	feed(&h, "Received: x; Fri, 5 Jan 2001 05:06:07 +0000\n"
	    "Date: Sat, 6 Jan 2001 05:06:07 +0000\n", 200);
	from_parse("a " DATE, strlen("a " DATE), &f);
	mbox_facts_date(&f, &utc, &h, &m);
	assert_int_equal(m.date, NOON);
	assert_int_equal(m.date_origin, DATE_SEPARATOR);
	/* what programs write that know no date */
	from_parse("a Thu Jan  1 00:00:00 1970", 26, &f);
	mbox_facts_date(&f, &utc, &h, &m);
	assert_int_equal(m.date, NOON + 86400);
	assert_int_equal(m.date_origin, DATE_RECEIVED);
	feed(&h, "Received: x\nDate: Sat, 6 Jan 2001 05:06:07 +0000\n", 200);
	mbox_facts_date(&f, &utc, &h, &m);
	assert_int_equal(m.date, NOON + 2 * 86400);
	assert_int_equal(m.date_origin, DATE_HEADER);
	feed(&h, "Subject: x\n", 200);
	mbox_facts_date(&f, &utc, &h, &m);
	assert_int_equal(m.date, 0);
	from_parse("a", 1, &f);
	mbox_facts_date(&f, &utc, &h, &m);
	assert_true(m.date == NO_DATE && m.date_origin == DATE_NONE);
	mbox_head_release(&h);
}

static void
unquote(const char *in, uint64_t header, enum mbox_quote q, const char *want)
{
	for (size_t step = 1; step < 40; step += 7) {
		struct content *c = mbox_unquote(content_mem(in, strlen(in)),
		    q, header, UNKNOWN64);
		struct err e;

		for (int pass = 0; pass < 2; pass++) {
			char out[4096];
			size_t len = 0;
			ssize_t n;

			while ((n = content_read(c, out + len, step, &e)) > 0)
				len += (size_t)n;
			assert_int_equal(n, 0);
			assert_int_equal(len, strlen(want));
			assert_memory_equal(out, want, len);
			assert_int_equal(content_rewind(c, &e), 0);
		}
		content_close(&c);
	}
}

static void
test_unquote(void **state)
{
	static const char in[] = ">From x\nA: 1\n\n>From a\n>>From b\n> From "
	    "c\nx>From d\n>>>>\n>From";
	char many[2][1024];

	(void)state;
	unquote(in, 14, QUOTE_MBOXO, ">From x\nA: 1\n\nFrom a\n>>From b\n> "
	    "From c\nx>From d\n>>>>\n>From");
	unquote(in, 14, QUOTE_MBOXRD, ">From x\nA: 1\n\nFrom a\n>From b\n> "
	    "From c\nx>From d\n>>>>\n>From");
	unquote(">From \n>>From ", 0, QUOTE_MBOXRD, "From \n>From ");
	memset(many, '>', sizeof many);
	snprintf(many[0] + QUOTE_MAX, 100, "From a\n");
	snprintf(many[1] + QUOTE_MAX - 1, 100, "From a\n");
	unquote(many[0], 0, QUOTE_MBOXRD, many[1]);
	snprintf(many[0] + QUOTE_MAX + 1, 100, "From a\n");
	many[0][QUOTE_MAX] = '>';
	unquote(many[0], 0, QUOTE_MBOXRD, many[0]);
}

static void
level(const char *name, const char *want)
{
	struct buf b;

	buf_init(&b, 1000);
	mbox_level(&b, name, strlen(name));
	assert_string_equal(b.ptr, want);
	buf_release(&b);
}

static void
test_level(void **state)
{
	(void)state;
	level("Entw&APw-rfe", "Entw\xc3\xbcrfe");
	level("Entw\xc3\xbcrfe", "Entw\xc3\xbcrfe");
	level("Entw\xfcrfe", "Entw=FCrfe");
	level("Entw=FCrfe", "Entw=3DFCrfe");
	level("a=b", "a=b");
	level("A&B", "A&B");		/* not modified UTF-7 */
	level("A&-B", "A&B");
	level("&AGE-", "&AGE-");	/* not canonical */
	level("&AAA-", "&AAA-");	/* a NUL */
	level("\xe2\x82", "=E2=82");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_edges),
		cmocka_unit_test(test_content_length),
		cmocka_unit_test(test_doubts),
		cmocka_unit_test(test_buffer),
		cmocka_unit_test(test_seek),
		cmocka_unit_test(test_short),
		cmocka_unit_test(test_sniff),
		cmocka_unit_test(test_from),
		cmocka_unit_test(test_zone),
		cmocka_unit_test(test_head),
		cmocka_unit_test(test_flags),
		cmocka_unit_test(test_many_keywords),
		cmocka_unit_test(test_dates),
		cmocka_unit_test(test_unquote),
		cmocka_unit_test(test_level),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
