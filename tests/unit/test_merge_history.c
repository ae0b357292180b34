/*
 * Flags that change on both sides, with kills and with the target's user at
 * work: a matrix of kills at every point, and random histories against a model
 * that knows the three ways of the merge and nothing of its code.
 *
 * MAILHAUL_SEEDS=FIRST,COUNT chooses the histories; a bad one prints itself.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/buf.h"
#include "unit/lib/engine_case.h"

#define N	8		/* messages */
#define BITS	4		/* \Seen, \Flagged, and two keywords */
#define WORLDS	16

static const char *const words[4] = { "", "a", "b", "a b" };

static unsigned
pick(unsigned n)
{
	return (unsigned)random() % n;
}

static struct mem_message *
at(struct mem_store *s, unsigned n)
{
	struct mem_message *m = mem_folder_get(s, "INBOX", false)->first;

	while (n-- > 0)
		m = m->next;
	return m;
}

static unsigned
bits_of(const struct mem_message *m)
{
	return ((m->flags & MSG_SEEN) != 0) | ((m->flags & MSG_FLAGGED) != 0)
	    << 1 | (strchr(m->keywords, 'a') != NULL) << 2 |
	    (strchr(m->keywords, 'b') != NULL) << 3;
}

static void
put_bits(struct mem_store *s, unsigned n, unsigned bits)
{
	struct mem_folder *f = mem_folder_get(s, "INBOX", false);
	struct mem_message *m = at(s, n);

	mem_set_flags(f, m->uid, ((bits & 1) ? MSG_SEEN : 0) | ((bits & 2) ?
	    MSG_FLAGGED : 0));
	if ((bits >> 2) != (bits_of(m) >> 2))
		mem_set_keywords(s, f, m->uid, words[bits >> 2]);
}

static void
begin(unsigned seed)
{
	unsetenv("MAILHAUL_FAULT");
	mem_store_reset(fx.src);
	mem_store_reset(fx.tgt);
	mem_folder_get(fx.tgt, "INBOX", true);
	fixture_drop_state(&fx);
	srandom(seed);
	for (unsigned i = 0; i < N; i++) {
		unsigned bits = pick(1 << BITS);

		fixture_add(fx.src, "INBOX", (int)i, "", 0, "", 1000000000 +
		    (int)i);
		put_bits(fx.src, i, bits);
	}
	fx.tgt->batch_messages = 3;
	assert_int_equal(fixture_run(&fx), 0);
}

/* The model */

/* What the state may know of a message: its bits on both sides. */
struct world {
	unsigned	 src, tgt;
};

struct message {
	struct world	 may[WORLDS];
	size_t		 n;
	bool		 doubt;		/* the last of them only if it is touched
					 * at the target before the next pass */
	bool		 touched;
};

struct model {
	struct message	 m[N];
	struct buf	 told;
};

/* Bit by bit, as the manual page says. */
static unsigned
merged(struct world w, unsigned src, unsigned tgt)
{
	unsigned result = tgt;

	for (unsigned b = 1; b < 1 << BITS; b <<= 1)
		if ((src & b) != (w.src & b) && (tgt & b) == (w.tgt & b))
			result = (result & ~b) | (src & b);
	return result;
}

static void
add_world(struct message *m, unsigned src, unsigned tgt)
{
	for (size_t i = 0; i < m->n; i++)
		if (m->may[i].src == src && m->may[i].tgt == tgt)
			return;
	assert_true(m->n < WORLDS);
	m->may[m->n++] = (struct world){ src, tgt };
}

/* A pass to its end, with the user's change of one message in the middle of it:
 * before the first change (0), after it (1), or none (-1). */
struct meddling { int when; unsigned n, bit; };

static bool
ended_well(struct message *m, unsigned src, unsigned before, unsigned now,
    const struct meddling *u)
{
	struct message next = { .n = 0 };

	for (size_t i = 0; i < m->n; i++) {
		struct world w = m->may[i];
		unsigned seen = before, want;

		if (m->doubt && i == m->n - 1 && !m->touched)
			break;
		if (w.src == src) {
			want = before ^ (u != NULL ? u->bit : 0);
			if (want == now)
				add_world(&next, w.src, w.tgt);
			continue;
		}
		want = merged(w, src, before);
		if (u != NULL && u->when == 0 && want != before) {
			/* It is looked at again. */
			seen = before ^ u->bit;
			want = merged(w, src, seen);
			if (want == now)
				add_world(&next, src, want);
		} else if (u != NULL) {
			if ((want ^ u->bit) == now)
				add_world(&next, src, seen != want ?
				    want ^ u->bit : want);
		} else if (want == now)
			add_world(&next, src, want);
	}
	*m = next;
	return m->n > 0;
}

/* A pass that was cut off. */
static bool
cut_well(struct message *m, unsigned src, unsigned before, unsigned now)
{
	struct message next = { .n = 0 };
	unsigned done = 0, doubts = 0, ends[WORLDS];

	for (size_t i = 0; i < m->n; i++) {
		struct world w = m->may[i];

		if (m->doubt && i == m->n - 1 && !m->touched)
			break;
		if (w.src == src) {
			if (now == before)
				add_world(&next, w.src, w.tgt);
			continue;
		}
		ends[done++] = merged(w, src, before);
		if (now == before)
			add_world(&next, w.src, w.tgt);
	}
	for (unsigned i = 0; i < done; i++)
		if (ends[i] == now)
			add_world(&next, src, ends[i]);
	/* It may be planned and not have arrived. */
	for (unsigned i = 0; i < done && next.n < WORLDS; i++)
		if (ends[i] != now && now == before) {
			next.may[next.n++] = (struct world){ src, ends[i] };
			doubts++;
		}
	if (doubts > 1)		/* one at a time: the histories are short */
		return false;
	next.doubt = doubts > 0;
	*m = next;
	return m->n > 0;
}

/* Histories */

static struct meddling *meddling;	/* shared with the run */
static int *calls;

static void
user_meddles(struct mem_store *s)
{
	if (meddling->when == (*calls)++) {
		put_bits(s, meddling->n, bits_of(at(s, meddling->n)) ^
		    meddling->bit);
		*calls += 1000;
	}
}

static const char *const points[] = { "merge.planned", "flags.before",
	"flags.one", "flags.after", "merge.sent", "merge.recorded",
	"state.before_commit", "state.after_commit", "merge.settled" };

static bool
one_pass(struct model *h, bool disturbed)
{
	unsigned before[N], src[N];
	const struct meddling *u = NULL;
	bool killed, good = true;
	char fault[64];
	int rc;

	for (unsigned i = 0; i < N; i++) {
		before[i] = bits_of(at(fx.tgt, i));
		src[i] = bits_of(at(fx.src, i));
	}
	*calls = 0;
	meddling->when = -1;
	fx.tgt->on_flags = user_meddles;
	if (disturbed && pick(2) == 0) {
		unsigned p = pick(sizeof points / sizeof *points);

		snprintf(fault, sizeof fault, "kill@%s:%u", points[p],
		    1 + pick(p >= 6 ? 24 : 4));
		setenv("MAILHAUL_FAULT", fault, 1);
	} else {
		snprintf(fault, sizeof fault, "-");
		if (disturbed)
			*meddling = (struct meddling){ (int)pick(2), pick(N),
			    1u << pick(BITS) };
	}
	rc = fixture_run(&fx);
	unsetenv("MAILHAUL_FAULT");
	if (*calls >= 1000)
		u = meddling;
	killed = rc == -SIGKILL;
	buf_addf(&h->told, " [%s%s]=%d", fault, u != NULL ? u->when == 0 ?
	    " before" : " after" : "", rc);
	if (!killed && rc != 0)
		return false;
	for (unsigned i = 0; i < N; i++) {
		unsigned now = bits_of(at(fx.tgt, i));
		struct message *m = &h->m[i];
		bool ok = killed ? cut_well(m, src[i], before[i], now) :
		    ended_well(m, src[i], before[i], now, u != NULL && u->n ==
		    i ? u : NULL);

		if (bits_of(at(fx.src, i)) != src[i])
			ok = false;
		if (!ok) {
			buf_addf(&h->told, " %u: source %x, target %x is now "
			    "%x", i, src[i], before[i], now);
			good = false;
		}
		m->touched = false;
	}
	return good;
}

static bool
run_history(unsigned seed)
{
	struct model h;
	unsigned steps;
	bool good = true, was_cut = false;

	begin(seed);
	memset(&h, 0, sizeof h);
	buf_init(&h.told, 1 << 16);
	for (unsigned i = 0; i < N; i++)
		add_world(&h.m[i], bits_of(at(fx.src, i)),
		    bits_of(at(fx.tgt, i)));
	steps = 3 + pick(5);
	while (good && steps-- > 0) {
		for (unsigned n = pick(8); n > 0; n--) {
			unsigned i = pick(N), bit = 1u << pick(BITS);
			bool src = pick(2);

			if (src)
				put_bits(fx.src, i, bits_of(at(fx.src, i)) ^
				    bit);
			else {
				put_bits(fx.tgt, i, bits_of(at(fx.tgt, i)) ^
				    bit);
				h.m[i].touched = true;
			}
			buf_addf(&h.told, " %c%u^%x", src ? 's' : 't', i, bit);
		}
		/* After a pass that was cut off comes one that is not. */
		good = one_pass(&h, !was_cut);
		was_cut = !was_cut;
	}
	fx.tgt->nchanges = 0;
	good = good && one_pass(&h, false) && one_pass(&h, false);
	if (good && fixture_number(&fx, "SELECT count(*) FROM flagging") != 0) {
		buf_adds(&h.told, " something is left");
		good = false;
	}
	if (fx.tgt->nstored != N || (good && !fixture_balanced(&fx))) {
		buf_adds(&h.told, " stored again, or unbalanced");
		good = false;
	}
	if (!good && getenv("MAILHAUL_MUTATE") == NULL)
		fprintf(stderr, "# seed %u: %s\n", seed, h.told.ptr);
	buf_release(&h.told);
	return good;
}

static void
test_histories(void **state)
{
	const char *env = getenv("MAILHAUL_SEEDS");
	unsigned first = 1, n = 20, bad = 0;

	(void)state;
	n = n / (unsigned)fixture_every(1) + 1;
	if (env != NULL)
		assert_int_equal(sscanf(env, "%u,%u", &first, &n), 2);
	for (unsigned seed = first; seed < first + n; seed++)
		bad += !run_history(seed);
	fprintf(stderr, "# %u histories from seed %u, %u bad\n", n, first,
	    bad);
	assert_int_equal(bad, 0);
}

#ifdef MAILHAUL_FAULTS
/* The model sees it when a rule is off. */
static void
test_mutations(void **state)
{
	static const char *const names[] = { "merge-base", "merge-theirs",
		"merge-plan" };

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		unsigned seed = 1, bad = 0;

		setenv("MAILHAUL_MUTATE", names[i], 1);
		for (; seed < 400 && bad == 0; seed++)
			bad += !run_history(seed);
		unsetenv("MAILHAUL_MUTATE");
		fprintf(stderr, "# without %s: history %u is wrong\n",
		    names[i], seed - 1);
		assert_true(bad > 0);
	}
}

/* Kills at every point */

static void
change_source(void)
{
	for (unsigned i = 0; i < N; i++)
		put_bits(fx.src, i, (bits_of(at(fx.src, i)) + i) % 16);
	/* A stranger's keyword is none of ours. */
	put_bits(fx.tgt, 1, bits_of(at(fx.tgt, 1)) ^ 8);
}

static char *
target_now(void)
{
	return fixture_contents(fx.tgt, "INBOX");
}

static char *
rows_now(void)
{
	struct buf b;

	buf_init(&b, 1 << 16);
	for (unsigned i = 0; i < N; i++) {
		char sql[300];

		snprintf(sql, sizeof sql, "SELECT src_flags * 1000 + tgt_flags"
		    " * 10 + (src_kw <> 0) + (tgt_kw <> 0) FROM message WHERE"
		    " src_uid = %u", i + 1);
		buf_addf(&b, "%d ", (int)fixture_number(&fx, sql));
	}
	return buf_detach(&b, NULL);
}

static int
count_points(void)
{
	char log[80];
	FILE *f;
	int n = 0, c;

	snprintf(log, sizeof log, "%s/points", fx.dir);
	setenv("MAILHAUL_FAULT_LOG", log, 1);
	assert_int_equal(fixture_run(&fx), 0);
	unsetenv("MAILHAUL_FAULT_LOG");
	f = fopen(log, "r");
	assert_non_null(f);
	while ((c = getc(f)) != EOF)
		n += c == '\n';
	fclose(f);
	unlink(log);
	return n;
}

static void
test_killed_everywhere(void **state)
{
	char *want, *want_rows, *got, *got_rows, spec[32];
	int n, kills = 0, wrong = 0;

	(void)state;
	begin(7);
	change_source();
	n = count_points();
	want = target_now();
	want_rows = rows_now();
	for (int k = 1; k <= n; k += fixture_every(1)) {
		begin(7);
		change_source();
		snprintf(spec, sizeof spec, "kill:%d", k);
		kills += faulty_run(spec) == -SIGKILL;
		assert_int_equal(fixture_run(&fx), 0);
		got = target_now();
		got_rows = rows_now();
		if (strcmp(got, want) != 0 || strcmp(got_rows, want_rows) !=
		    0 || fixture_number(&fx, "SELECT count(*) FROM issue"
		    " WHERE kind = 'conflict'") != 0 ||
		    fixture_number(&fx, "SELECT count(*) FROM flagging") !=
		    0 || fx.tgt->nstored != N) {
			fprintf(stderr, "# wrong after kill %d\n", k);
			wrong++;
		}
		free(got);
		free(got_rows);
	}
	fprintf(stderr, "# %d points, %d kills, %d wrong\n", n, kills, wrong);
	assert_true(kills > n / fixture_every(2));
	assert_int_equal(wrong, 0);
	free(want);
	free(want_rows);
}

/* Killed when the change is done and not noted; the user takes it back before
 * the next pass, with modseqs and without. */
static void
test_taken_back(void **state)
{
	static const char *const where[] = { "flags.after:1",
		"merge.sent:1" };

	(void)state;
	for (unsigned i = 0; i < 4; i++) {
		char spec[64];
		unsigned old;

		begin(3);
		fx.tgt->no_modseq = i >= 2;
		old = bits_of(at(fx.src, 4));
		put_bits(fx.src, 4, old ^ 5);
		snprintf(spec, sizeof spec, "kill@%s", where[i % 2]);
		assert_int_equal(faulty_run(spec), -SIGKILL);
		assert_int_equal(bits_of(at(fx.tgt, 4)), old ^ 5);
		put_bits(fx.tgt, 4, old ^ 4);
		assert_int_equal(fixture_run(&fx), 0);
		assert_int_equal(bits_of(at(fx.tgt, 4)), old ^ 4);
		assert_int_equal(fixture_number(&fx, "SELECT count(*) FROM"
		    " issue WHERE kind = 'conflict'"), 1);
		/* Later changes are taken over as ever. */
		put_bits(fx.src, 4, old ^ 5 ^ 2);
		assert_int_equal(fixture_run(&fx), 0);
		assert_int_equal(bits_of(at(fx.tgt, 4)), old ^ 4 ^ 2);
	}
	/* Without modseqs nobody knows whether it arrived: it stays. */
	begin(3);
	fx.tgt->no_modseq = true;
	put_bits(fx.src, 4, bits_of(at(fx.src, 4)) ^ 1);
	assert_int_equal(faulty_run("kill@flags.before:1"), -SIGKILL);
	assert_int_equal(fixture_run(&fx), 0);
	assert_int_equal(bits_of(at(fx.tgt, 4)) ^ 1, bits_of(at(fx.src, 4)));
	assert_int_equal(fixture_number(&fx, "SELECT count(*) FROM issue WHERE"
	    " kind = 'conflict'"), 1);
	/* An undo waits for the copy that ends it. */
	begin(3);
	put_bits(fx.src, 4, bits_of(at(fx.src, 4)) ^ 1);
	assert_int_equal(faulty_run("kill@merge.sent:1"), -SIGKILL);
	assert_int_equal(fixture_undo(&fx, true), 2);
	assert_int_equal(fixture_run(&fx), 0);
	assert_int_equal(fixture_undo(&fx, true), 0);
	assert_int_equal(mem_folder_get(fx.tgt, "INBOX", false)->count, 0);
}
#endif

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_histories),
#ifdef MAILHAUL_FAULTS
		cmocka_unit_test(test_mutations),
		cmocka_unit_test(test_killed_everywhere),
		cmocka_unit_test(test_taken_back),
#endif
	};
	void *shared;
	int rc;

	shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED |
	    MAP_ANONYMOUS, -1, 0);
	if (shared == MAP_FAILED)
		abort();
	calls = shared;
	meddling = (struct meddling *)(calls + 4);
	fixture_start(&fx);
	case_setup(NULL);
	rc = cmocka_run_group_tests(tests, NULL, NULL);
	fixture_stop(&fx);
	return rc;
}
