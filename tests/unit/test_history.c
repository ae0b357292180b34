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
#define STRANGERS 5000		/* numbers of foreign mail */

/* What may happen in a history besides; MAILHAUL_X=N sets them for all. */
enum {
	X_SHA1_FLIPS	= 1 << 0,	/* the target tells SHA-1, or not */
	X_NO_UIDS	= 1 << 1,
	X_ALTERED	= 1 << 2,	/* others brought altered copies */
	X_REPAIR	= 1 << 3,
	X_REKEY		= 1 << 4,	/* the source renumbers */
	X_EXISTING	= 1 << 5,	/* existing=merge on and off */
	X_SHA1_SOME	= 1 << 6,	/* some sessions tell SHA-1 */
	X_LOOK_KILLS	= 1 << 7,
	X_SHA1		= 1 << 8,
	X_ALL		= (1 << 9) - 1
};

static unsigned extras;
static int forced = -1;

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
	if ((extras & X_REPAIR) && n % 11 == 5) {
		char text[200];
		int len = snprintf(text, sizeof text, "Subject: number %04d"
		    "\r\n\r\nThis is a@b message %04d.\r\n", n, n);

		*strchr(text, '@') = '\0';
		mem_add(s, mem_folder_get(s, folder, true), text, (size_t)len,
		    0, "", 1000000000 + n % 5);
		return;
	}
	/* A stranger's date is his own: without UIDs a message of ours that
	 * is gone is told by it from one that was altered. */
	fixture_add(s, folder, n, header, pick(32), pick(2) ? "work" : "",
	    1000000000 + (n < STRANGERS ? n % 5 : n));
}

/* The bytes as a server that munges would show them. */
static void
canonical(const struct mem_message *m, char out[400])
{
	const char *p = m->bytes;
	size_t i, len = m->len;

	if (len > 10 && memcmp(p, "X-UID: ", 7) == 0) {
		p += 10;
		len -= 10;
	}
	for (i = 0; i < len && i < 399; i++)
		out[i] = (unsigned char)p[i] >= 0x80 ? 'X' : p[i] == 0 ? ' ' :
		    p[i];
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
	h->foreign = STRANGERS;
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
				if (extras & X_ALTERED) {
					char t[500] = "X-UID: 7\r\n";
					bool alter = pick(3) == 0;

					if (pick(3) != 0 || memchr(m->bytes,
					    0, m->len) != NULL)
						continue;
					memcpy(t + 10, m->bytes, m->len);
					mem_add(fx->tgt, mem_folder_get(
					    fx->tgt, names[i], true),
					    alter ? t : m->bytes, m->len +
					    (alter ? 10 : 0), m->flags,
					    m->keywords, m->date);
				} else if (pick(4) == 0 &&
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
	fx->tgt->sha1 = pick(2) == 0 || (extras & X_SHA1);
	fx->tgt->sha1_some = (extras & X_SHA1_SOME) && pick(2);
	fx->tgt->no_uids = (extras & X_NO_UIDS) && pick(2);
	fx->set.repair = fx->tgt->refuse_nul = (extras & X_REPAIR) != 0;
	if (extras & X_REPAIR)
		fx->set.refusal_rule = "repair=yes";
	fx->tgt->batch_messages = 1 + pick(8);
	buf_addf(&h->told, "lanes %u/%u%s%s%s batch %zu:", fx->set.lanes,
	    fx->set.lanes_per_account, fx->tgt->not_atomic ? " not-atomic" :
	    "", fx->tgt->munge ? " munge" : "", fx->tgt->sha1 ? " sha1" : "",
	    fx->tgt->batch_messages);
	buf_addf(&h->told, "%s%s", fx->tgt->sha1_some ? " some" : "",
	    fx->tgt->no_uids ? " no_uids" : "");
}

/* One pass, mostly disturbed. */
static void
disturbed_pass(struct history *h)
{
	char fault[64] = "";
	int rc;

	if (extras & X_EXISTING)
		h->fx->set.merge_existing = pick(2);
	switch (pick((extras & X_LOOK_KILLS) ? 9 : 6)) {
	case 6:
		snprintf(fault, sizeof fault, "kill@look.done:%u", 1 +
		    pick(3));
		break;
	case 7:
		snprintf(fault, sizeof fault, "kill@look.closer:%u", 1 +
		    pick(3));
		break;
	case 8:
		snprintf(fault, sizeof fault, "kill@done.posted:%u", 1 +
		    pick(5));
		break;
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
	if ((extras & X_SHA1_FLIPS) && pick(2) == 0) {
		fx->tgt->sha1 = !fx->tgt->sha1;
		buf_adds(&h->told, fx->tgt->sha1 ? " sha1" : " nosha1");
	}
	if ((extras & X_REKEY) && pick(5) == 0) {
		here->uidvalidity += 50;
		here->modseq++;
		buf_adds(&h->told, " rekey");
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

	fx->set.merge_existing = true;
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
			if (!fx->tgt->munge && want == got &&
			    memchr(m->bytes, 0, m->len) == NULL) {
				struct mem_folder *tf = mem_folder_get(fx->tgt,
				    names[i], false);
				int a = 0, b = 0;

				for (struct mem_message *x = mem_folder_get(
				    fx->src, names[i], false)->first; x; x =
				    x->next)
					a += x->len == m->len && memcmp(
					    x->bytes, m->bytes, m->len) == 0;
				for (struct mem_message *x = tf->first; x; x =
				    x->next)
					b += !x->expunged && x->len == m->len
					    && memcmp(x->bytes, m->bytes,
					    m->len) == 0;
				if (b > a) {
					buf_addf(&h->told, " %s STOLEN: %d "
					    "for %d of %.60s", names[i], b, a,
					    text + 20);
					return false;
				}
			}
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
	extras = forced >= 0 ? (unsigned)forced : pick(3) == 0 ? 0 :
	    pick(X_ALL + 1);
	begin(&h);
	fx->src->tells_new = seed % 2 == 1;
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
	if (getenv("MAILHAUL_X") != NULL)
		forced = (int)strtol(getenv("MAILHAUL_X"), NULL, 10);
#ifndef MAILHAUL_FAULTS
	n = 5;		/* without fault points nothing disturbs them */
#endif
	n = n / (unsigned)fixture_every(1) + 1;
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
