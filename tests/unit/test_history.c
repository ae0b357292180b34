/*
 * Random histories on in-memory stores, judged by a model: after any mixture
 * of kills, broken sessions, failed reads, lost and restored states, new mail
 * on both sides, expunges and deleted mailboxes at the target and changed
 * dates at the source, some undisturbed passes make the target hold each
 * source message as often as the source does, and one more stores nothing.
 *
 * MAILHAUL_SEEDS=FIRST,COUNT chooses the histories; a bad one prints itself.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "unit/lib/engine_fixture.h"

#define FOLDERS 4

static const char *const names[FOLDERS] = { "INBOX", "A", "B/C", "D" };

struct history {
	struct fixture	*fx;
	struct buf	 told;		/* what happened, for people */
	size_t		 nfolders;
	int		 foreign;	/* number of the next stranger */
};

static unsigned
pick(unsigned n)
{
	return (unsigned)random() % n;
}

/* Few numbers, so that twins are common; some with raw 8-bit headers. */
static void
add(struct mem_store *s, const char *folder, int n)
{
	char header[32] = "";

	if (n % 7 == 3)
		snprintf(header, sizeof header, "X-8: \xe4%c\r\n",
		    (char)(0xc0 + pick(2)));
	fixture_add(s, folder, n, header, pick(32), pick(2) ? "work" : "",
	    1000000000 + n % 5);
}

/* The bytes as a server that munges would show them. */
static void
canonical(const struct mem_message *m, char out[400])
{
	size_t i;

	for (i = 0; i < m->len && i < 399; i++)
		out[i] = (unsigned char)m->bytes[i] >= 0x80 ? 'X' :
		    m->bytes[i];
	out[i] = '\0';
}

static int
count(struct mem_store *s, const char *folder, const char *want)
{
	struct mem_folder *f = mem_folder_get(s, folder, false);
	char text[400];
	int n = 0;

	for (struct mem_message *m = f ? f->first : NULL; m; m = m->next) {
		if (m->expunged)
			continue;
		canonical(m, text);
		n += strcmp(text, want) == 0;
	}
	return n;
}

/* Both stores as they are at the start, and what kind of server it is. */
static void
begin(struct history *h)
{
	struct fixture *fx = h->fx;
	size_t i;

	mem_store_reset(fx->src);
	mem_store_reset(fx->tgt);
	fixture_drop_state(fx);
	mem_folder_get(fx->tgt, "INBOX", true);
	h->nfolders = 1 + pick(FOLDERS);
	h->foreign = 5000;
	for (i = 0; i < h->nfolders; i++) {
		mem_folder_get(fx->src, names[i], true);
		for (unsigned n = pick(25); n > 0; n--)
			add(fx->src, names[i], (int)pick(20));
	}
	add(fx->src, "INBOX", 1);
	if (pick(2) == 0) {
		/* Another tool has moved some of it. */
		for (i = 0; i < h->nfolders; i++) {
			struct mem_message *m = mem_folder_get(fx->src,
			    names[i], false)->first;

			for (; m != NULL; m = m->next)
				if (pick(4) == 0 &&
				    memchr(m->bytes, 0xe4, m->len) == NULL)
					mem_add(fx->tgt, mem_folder_get(
					    fx->tgt, names[i], true),
					    m->bytes, m->len, m->flags,
					    m->keywords, m->date);
		}
	}
	fx->set.merge_existing = fx->set.empty_ok = true;
	fx->set.settle_ms = 0;
	fx->set.lanes = 1 + pick(4);
	fx->set.lanes_per_account = 1 + pick(3);
	fx->tgt->not_atomic = pick(3) == 0;
	fx->tgt->munge = pick(3) == 0;
	fx->tgt->sha1 = pick(2) == 0;
	fx->tgt->batch_messages = 1 + pick(8);
	buf_addf(&h->told, "lanes %u/%u%s%s%s batch %zu:", fx->set.lanes,
	    fx->set.lanes_per_account, fx->tgt->not_atomic ? " not-atomic" :
	    "", fx->tgt->munge ? " munge" : "", fx->tgt->sha1 ? " sha1" : "",
	    fx->tgt->batch_messages);
}

/* One pass, mostly disturbed. */
static void
disturbed_pass(struct history *h)
{
	char fault[64] = "";
	int rc;

	switch (pick(6)) {
	case 0:
		snprintf(fault, sizeof fault, "kill:%u", 1 + pick(60));
		break;
	case 1:
		snprintf(fault, sizeof fault, "kill@append.after_crlf:%u",
		    1 + pick(4));
		break;
	case 2:
		snprintf(fault, sizeof fault, "kill@append.before_crlf:%u",
		    1 + pick(4));
		break;
	case 3:
		snprintf(fault, sizeof fault, "kill@state.after_commit:%u",
		    1 + pick(30));
		break;
	case 4:
		snprintf(fault, sizeof fault, "eio@source.content:%u",
		    1 + pick(20));
		break;
	default:
		break;
	}
	if (pick(3) == 0)
		h->fx->tgt->break_after = 1 + pick(5);
	if (fault[0] != '\0')
		setenv("MAILHAUL_FAULT", fault, 1);
	rc = fixture_run(h->fx);
	unsetenv("MAILHAUL_FAULT");
	buf_addf(&h->told, " [%s%s]=%d", fault, h->fx->tgt->break_after ?
	    " break" : "", rc);
	h->fx->tgt->break_after = 0;
}

/* What users, servers and administrators do between passes. */
static void
life_goes_on(struct history *h, unsigned kind)
{
	struct fixture *fx = h->fx;
	const char *name = names[pick((unsigned)h->nfolders)];
	struct mem_folder *there = mem_folder_get(fx->tgt, name, false), **fp;
	struct mem_folder *here = mem_folder_get(fx->src, name, false);
	char old[160];

	if (pick(3) == 0) {
		add(fx->src, name, (int)pick(25));
		buf_adds(&h->told, " +src");
	}
	if (pick(4) == 0 && there != NULL) {
		add(fx->tgt, name, h->foreign++);
		buf_adds(&h->told, " +foreign");
	}
	if (pick(3) == 0 && there != NULL && there->uidnext > 1) {
		for (unsigned n = 1 + pick(4); n > 0; n--)
			mem_expunge(there, 1 + pick(there->uidnext - 1));
		buf_adds(&h->told, " -tgt");
	}
	if (pick(4) == 0) {
		for (struct mem_message *m = here->first; m; m = m->next)
			m->date += pick(3) == 0;
		here->modseq++;
		buf_adds(&h->told, " dates");
	}
	for (fp = &fx->tgt->folders; pick(8) == 0 && *fp != NULL;
	    fp = &(*fp)->next)
		if (strcmp((*fp)->name, "INBOX") != 0) {
			*fp = (*fp)->next;
			buf_adds(&h->told, " -folder");
			break;
		}
	snprintf(old, sizeof old, "%s.old", fx->state);
	if (kind == 1 && pick(3) == 0 && access(fx->state, F_OK) == 0) {
		bool back = access(old, F_OK) == 0 && pick(2) == 0;

		fixture_copy_state(fx, "old", back);
		buf_adds(&h->told, back ? " restore" : " save");
	} else if (kind == 2 && pick(4) == 0) {
		fixture_drop_state(fx);
		buf_adds(&h->told, " drop");
	}
}

/* The model's verdict, into told; true: as it must be. */
static bool
judge(struct history *h)
{
	struct fixture *fx = h->fx;
	int rc = -1, again;
	uint64_t stored;
	char text[400];

	for (int i = 0; i < 5 && rc != 0; i++)
		rc = fixture_run(fx);
	stored = fx->tgt->nstored;
	again = fixture_run(fx);
	if (rc != 0 || again != 0 || fx->tgt->nstored != stored ||
	    !fixture_balanced(fx)) {
		buf_addf(&h->told, " ends with %d and %d, stored again: %d",
		    rc, again, fx->tgt->nstored != stored);
		return false;
	}
	for (size_t i = 0; i < h->nfolders; i++) {
		struct mem_message *m = mem_folder_get(fx->src, names[i],
		    false)->first;

		for (; m != NULL; m = m->next) {
			int want, got;

			canonical(m, text);
			want = count(fx->src, names[i], text);
			got = count(fx->tgt, names[i], text);
			if (want != got) {
				buf_addf(&h->told, " %s holds %d for %d",
				    names[i], got, want);
				return false;
			}
		}
	}
	return true;
}

static bool
run_history(struct fixture *fx, unsigned seed)
{
	struct history h = { .fx = fx };
	unsigned steps, kind;
	char old[160];
	bool good;

	buf_init(&h.told, 1 << 16);
	srandom(seed);
	begin(&h);
	steps = 1 + pick(5);
	kind = pick(3);
	while (steps-- > 0) {
		disturbed_pass(&h);
		life_goes_on(&h, kind);
	}
	good = judge(&h);
	if (!good)
		fprintf(stderr, "# seed %u: %s\n", seed, h.told.ptr);
	snprintf(old, sizeof old, "%s.old", fx->state);
	unlink(old);
	snprintf(old, sizeof old, "%s-wal.old", fx->state);
	unlink(old);
	buf_release(&h.told);
	return good;
}

static void
test_histories(void **state)
{
	const char *env = getenv("MAILHAUL_SEEDS");
	unsigned first = 1, n = 40, bad = 0;
	struct fixture fx;

	(void)state;
#ifndef MAILHAUL_FAULTS
	n = 5;		/* without fault points nothing disturbs them */
#endif
	if (env != NULL)
		assert_int_equal(sscanf(env, "%u,%u", &first, &n), 2);
	fixture_start(&fx);
	for (unsigned seed = first; seed < first + n; seed++)
		bad += !run_history(&fx, seed);
	fixture_stop(&fx);
	fprintf(stderr, "# %u histories from seed %u, %u bad\n", n, first,
	    bad);
	assert_int_equal(bad, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_histories),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
