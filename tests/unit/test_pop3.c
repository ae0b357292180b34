/* POP3: lines, headers, and which message is which. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pop3/pop3_head.h"
#include "pop3/pop3_parse.h"
#include "pop3_join.h"

/* Lines. */

static void
test_status(void **state)
{
	static const struct {
		const char *line;
		int kind;		/* -1: none */
		const char *code, *text;
		bool temporary;
	} cases[] = {
		{ "+OK", POP3_OK, "", "", false },
		{ "+OK  hi", POP3_OK, "", "hi", false },
		{ "+ok hi", POP3_OK, "", "hi", false },
		{ "-ERR [AUTH] no", POP3_ERR, "AUTH", "no", false },
		{ "-ERR [IN-USE]", POP3_ERR, "IN-USE", "", true },
		{ "-ERR [LOGIN-DELAY] wait", POP3_ERR, "LOGIN-DELAY", "wait",
		    true },
		{ "-ERR [SYS/TEMP] x", POP3_ERR, "SYS/TEMP", "x", true },
		{ "-ERR [SYS/PERM] x", POP3_ERR, "SYS/PERM", "x", false },
		{ "-ERR too many connections", POP3_ERR, "",
		    "too many connections", true },
		{ "-ERR [open", POP3_ERR, "", "[open", false },
		{ "-ERR [a code that is much too long to be one] x", POP3_ERR,
		    "", "[a code that is much too long to be one] x", false },
		{ "+ YWJj", POP3_CONTINUE, "", "YWJj", false },
		{ "+", POP3_CONTINUE, "", "", false },
		{ "+OKAY", -1, "", "", false },
		{ "-ERROR", -1, "", "", false },
		{ "", -1, "", "", false },
		{ "* OK", -1, "", "", false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct pop3_status st;
		int rc = pop3_status_parse(&st, cases[i].line);

		assert_int_equal(rc, cases[i].kind == -1 ? -1 : 0);
		if (rc == -1)
			continue;
		assert_int_equal(st.kind, cases[i].kind);
		assert_string_equal(st.code, cases[i].code);
		assert_string_equal(st.text, cases[i].text);
		assert_int_equal(pop3_temporary(&st), cases[i].temporary);
	}
}

static void
test_numbers(void **state)
{
	static const char *const bad[] = { "", "1", "0 5", "x 5", "1 x", "1 ",
	    "-1 5", "1 -5", " 1 5", "2147483648 1", "1 9223372036854775808",
	    "1x 5", "1 5x" };
	uint32_t number;
	uint64_t size;

	(void)state;
	assert_int_equal(pop3_list_parse("7 120", &number, &size), 0);
	assert_int_equal(number, 7);
	assert_int_equal(size, 120);
	assert_int_equal(pop3_list_parse("2147483647 9223372036854775807 x",
	    &number, &size), 0);
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
		assert_int_equal(pop3_list_parse(bad[i], &number, &size), -1);
}

static void
test_uidls(void **state)
{
	static const char *const unfit[] = { "3 ", "3", "3 a b", "3 \x7f",
	    "3 a\xc3\xa4", "3 a\t" };
	const char *uidl;
	uint32_t number;
	char line[300];

	(void)state;
	assert_int_equal(pop3_uidl_parse("3 !~:cgp-1", &number, &uidl), 0);
	assert_int_equal(number, 3);
	assert_string_equal(uidl, "!~:cgp-1");
	for (size_t i = 0; i < sizeof unfit / sizeof unfit[0]; i++) {
		assert_int_equal(pop3_uidl_parse(unfit[i], &number, &uidl),
		    0);
		assert_null(uidl);
	}
	snprintf(line, sizeof line, "1 %0250d", 0);
	assert_int_equal(pop3_uidl_parse(line, &number, &uidl), 0);
	assert_non_null(uidl);
	snprintf(line, sizeof line, "1 %0251d", 0);
	assert_int_equal(pop3_uidl_parse(line, &number, &uidl), 0);
	assert_null(uidl);
	assert_int_equal(pop3_uidl_parse("0 a", &number, &uidl), -1);
	assert_int_equal(pop3_uidl_parse("a b", &number, &uidl), -1);
}

static void
test_caps(void **state)
{
	(void)state;
	assert_int_equal(pop3_cap_parse("TOP"), POP3_CAP_TOP);
	assert_int_equal(pop3_cap_parse("stls"), POP3_CAP_STLS);
	assert_int_equal(pop3_cap_parse("TOPS"), 0);
	assert_int_equal(pop3_cap_parse("SASL CRAM-MD5 plain X"),
	    POP3_CAP_PLAIN);
	assert_int_equal(pop3_cap_parse("SASL"), 0);
	assert_int_equal(pop3_cap_parse("SASL PLAINER"), 0);
	assert_int_equal(pop3_cap_parse("EXPIRE NEVER"), 0);
}

/* Headers. */

static void
digest_of(const char *text, unsigned char d[DIGEST_LEN], bool *empty)
{
	struct pop3_head *h = pop3_head_new();
	struct content *c = content_mem(text, strlen(text));
	struct err e;

	assert_int_equal(pop3_head_content(h, c, d, empty, &e), 0);
	content_close(&c);
	pop3_head_free(&h);
}

static bool
same(const char *a, const char *b)
{
	unsigned char x[DIGEST_LEN], y[DIGEST_LEN];
	bool empty;

	digest_of(a, x, &empty);
	digest_of(b, y, &empty);
	return memcmp(x, y, DIGEST_LEN) == 0;
}

static void
test_heads(void **state)
{
	unsigned char d[DIGEST_LEN];
	bool empty;

	(void)state;
	assert_true(same("A: 1\nB: 2\n\nbody", "A: 1\r\nB: 2\r\n\r\nother"));
	assert_true(same("A: 1\nB: 2", "A: 1 \nB: 2\t\n\n"));
	assert_true(same("From x\nReturn-Path: <a>\n folded\nA: 1\n\n",
	    "A: 1\nx-uidl: 7\nLines: 1\n\n"));
	assert_true(same("A: \xe4\xff\n\n", "A: \xc3\xa4\n\n"));
	assert_false(same("A: 1\n\n", "A: 2\n\n"));
	assert_false(same("A: 1\n folded\n\n", "A: 1\n\n"));
	assert_false(same("A: 1\nB: 2\n\n", "B: 2\nA: 1\n\n"));
	assert_false(same("Statuses: 1\n\n", "\n"));
	digest_of("\nA: 1\n", d, &empty);
	assert_true(empty);
	digest_of("Status: R\n\n", d, &empty);
	assert_true(empty);
	digest_of("A: 1", d, &empty);
	assert_false(empty);
}

/*
 * Joins against an oracle: messages have an identity, a header and a size, both
 * of which others may have as well; whatever is taken away on either side, what
 * is joined is the same message, or one that nobody can tell from it.
 */
struct world {
	unsigned	 head[200], size[200];	/* by identity */
	unsigned	 mine[200], theirs[200];	/* identities, in order */
	size_t		 nmine, ntheirs;
	struct pop3_mine m[200];
	struct pop3_theirs t[200];
	bool		 has_top;
	unsigned	 asked;
};

static void
put_head(unsigned char out[DIGEST_LEN], unsigned head)
{
	memset(out, 0, DIGEST_LEN);
	memcpy(out, &head, sizeof head);
}

static int
ask(void *ctx, const size_t *which, size_t n, struct err *e)
{
	struct world *w = ctx;

	(void)e;
	for (size_t i = 0; i < n && w->has_top; i++) {
		assert_false(w->t[which[i]].asked);
		w->t[which[i]].has_head = true;
		put_head(w->t[which[i]].head, w->head[w->theirs[which[i]]]);
		w->asked++;
	}
	return w->has_top;
}

static int
read_heads(void *ctx, struct err *e)
{
	struct world *w = ctx;

	(void)e;
	for (size_t i = 0; i < w->nmine; i++) {
		w->m[i].has_head = true;
		put_head(w->m[i].head, w->head[w->mine[i]]);
	}
	return 0;
}

static unsigned
roll(unsigned below)
{
	return (unsigned)rand() % below;
}

static void
make_world(struct world *w, unsigned n)
{
	unsigned heads = 1 + roll(2 * n), sizes = 1 + roll(2 * n);
	unsigned gone = roll(3), new = roll(3);

	memset(w, 0, sizeof *w);
	for (unsigned i = 0; i < n; i++) {
		w->head[i] = roll(heads);
		w->size[i] = roll(sizes);
		/* New mail comes in at the end. */
		if (gone == 0 || roll(8) != 0)
			if (i < n - new || new == 0)
				w->mine[w->nmine++] = i;
		if (gone < 2 || roll(8) != 0)
			w->theirs[w->ntheirs++] = i;
	}
	for (size_t i = 0; i < w->nmine; i++) {
		w->m[i].crlf = w->size[w->mine[i]] + 1000;
		w->m[i].stored = w->size[w->mine[i]];
	}
	for (size_t i = 0; i < w->ntheirs; i++) {
		w->t[i].number = (uint32_t)i + 1;
		w->t[i].size = w->size[w->theirs[i]] + 1000;
		w->t[i].uidl = "x";
	}
}

static struct pop3_lists
join_world(struct world *w)
{
	struct pop3_lists l = { .theirs = w->t, .ntheirs = w->ntheirs,
	    .mine = w->m, .nmine = w->nmine, .ask = ask, .read = read_heads,
	    .ctx = w };
	static char uidls[200][24];
	struct err e;

	for (size_t i = 0; i < w->ntheirs; i++) {
		snprintf(uidls[i], sizeof uidls[i], "u%zu", i);
		w->t[i].uidl = uidls[i];
	}
	assert_int_equal(pop3_join(&l, &e), 0);
	return l;
}

/* Joined ones have one header and size, and nothing is joined twice. */
static void
check_sound(const struct world *w, const struct pop3_lists *l)
{
	bool taken[200] = { false };
	size_t joined = 0;

	for (size_t i = 0; i < w->ntheirs; i++) {
		unsigned a = w->theirs[i], b;

		if (w->t[i].fate != POP3_JOINED)
			continue;
		joined++;
		assert_true(w->t[i].mine < w->nmine);
		assert_false(taken[w->t[i].mine]);
		taken[w->t[i].mine] = true;
		b = w->mine[w->t[i].mine];
		if (a != b && w->has_top && l->by_headers)
			assert_int_equal(w->head[a], w->head[b]);
	}
	assert_int_equal(joined, l->joined);
}

static void
test_random(void **state)
{
	(void)state;
	srand(20);
	for (int round = 0; round < 3000; round++) {
		struct world w;
		struct pop3_lists l;

		make_world(&w, 2 + roll(40));
		w.has_top = roll(4) != 0;
		l = join_world(&w);
		check_sound(&w, &l);
		if (w.has_top)
			assert_false(l.unchecked);
	}
}

/* Where headers are one to one, nothing is ever joined with another one, and
 * all that is on both sides is joined. */
static void
test_distinct(void **state)
{
	(void)state;
	srand(21);
	for (int round = 0; round < 1000; round++) {
		struct world w;
		size_t both = 0;

		make_world(&w, 2 + roll(60));
		w.has_top = true;
		for (unsigned i = 0; i < 200; i++)
			w.head[i] = i;
		join_world(&w);
		for (size_t i = 0; i < w.ntheirs; i++) {
			for (size_t k = 0; k < w.nmine; k++)
				both += w.theirs[i] == w.mine[k];
			if (w.t[i].fate == POP3_JOINED) {
				assert_int_equal(w.theirs[i],
				    w.mine[w.t[i].mine]);
				both--;
			}
		}
		assert_int_equal(both, 0);
	}
}

/* Lists that agree cost a few headers, however long they are. */
static void
test_sample(void **state)
{
	struct world w;
	struct pop3_lists l;

	(void)state;
	memset(&w, 0, sizeof w);
	w.has_top = true;
	w.nmine = w.ntheirs = 200;
	for (unsigned i = 0; i < 200; i++) {
		w.mine[i] = w.theirs[i] = w.head[i] = i;
		w.m[i].crlf = w.t[i].size = 5;
	}
	l = join_world(&w);
	assert_int_equal(l.joined, 200);
	assert_false(l.by_headers);
	assert_int_equal(w.asked, 8);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_status),
		cmocka_unit_test(test_numbers),
		cmocka_unit_test(test_uidls),
		cmocka_unit_test(test_caps),
		cmocka_unit_test(test_heads),
		cmocka_unit_test(test_random),
		cmocka_unit_test(test_distinct),
		cmocka_unit_test(test_sample),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
