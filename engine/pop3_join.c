/* Joining a POP3 server's list with an INBOX. */
#include "pop3_join.h"

#include <stdlib.h>
#include <string.h>

#include "base/xmalloc.h"

#define SAMPLE	8	/* headers that are compared where sizes agree */

const char *
pop3_fate_text(enum pop3_fate fate)
{
	static const char *const texts[] = {
	[POP3_JOINED] = "joined",
	[POP3_NOT_HERE] = "no message of the source's INBOX is it",
	[POP3_AMBIGUOUS] = "several messages may be it, or their sizes "
	    "contradict: none was chosen",
	[POP3_NO_HEADER] = "the server does not give its header, and order and "
	    "size do not tell which message it is",
	[POP3_NO_UIDL] = "its UIDL is none that another server could give",
	[POP3_SAME_UIDL] = "the server gives its UIDL to other messages as "
	    "well",
	};

	return texts[fate];
}

/* What sizes of theirs mean. */
enum rule { RULE_NONE, RULE_CRLF, RULE_STORED };

static bool
same_size(const struct pop3_theirs *t, const struct pop3_mine *m,
    enum rule rule)
{
	return t->size == (rule == RULE_CRLF ? m->crlf : m->stored);
}

/* So many agree from the start. */
static size_t
agreeing(const struct pop3_lists *l, enum rule rule)
{
	size_t n = l->ntheirs < l->nmine ? l->ntheirs : l->nmine, i = 0;

	while (i < n && same_size(&l->theirs[i], &l->mine[i], rule))
		i++;
	return i;
}

static bool
same_head(const struct pop3_theirs *t, const struct pop3_mine *m)
{
	return t->has_head && m->has_head && memcmp(t->head, m->head,
	    DIGEST_LEN) == 0;
}

static void
joined(struct pop3_lists *l, size_t theirs, size_t mine)
{
	l->theirs[theirs].mine = mine;
	l->theirs[theirs].fate = POP3_JOINED;
}

/* Asks for those headers that were not asked for.  1, or 0 as ask(). */
static int
ask(struct pop3_lists *l, const size_t *which, size_t n, struct err *e)
{
	size_t *todo = xcalloc(n + 1, sizeof *todo), k = 0;
	int rc = 1;

	for (size_t i = 0; i < n; i++)
		if (!l->theirs[which[i]].asked)
			todo[k++] = which[i];
	if (k > 0)
		rc = l->ask(l->ctx, todo, k, e);
	for (size_t i = 0; i < k && rc == 1; i++)
		l->theirs[todo[i]].asked = true;
	free(todo);
	return rc;
}

static int
read_mine(struct pop3_lists *l, struct err *e)
{
	for (size_t i = 0; i < l->nmine; i++)
		if (!l->mine[i].has_head)
			return l->read == NULL ? 0 : l->read(l->ctx, e);
	return 0;
}

/* By order, the first n: 1; 0: some header contradicts. */
static int
by_order(struct pop3_lists *l, size_t n, struct err *e)
{
	size_t which[SAMPLE], k = 0;
	int rc;

	for (size_t i = 0; i < SAMPLE; i++) {
		size_t at = n <= SAMPLE ? i : i * (n - 1) / (SAMPLE - 1);

		if (at < n)
			which[k++] = at;
	}
	if ((rc = ask(l, which, k, e)) == -1)
		return -1;
	l->unchecked = rc == 0;
	if (rc == 1 && read_mine(l, e) == -1)
		return -1;
	for (size_t i = 0; i < k && rc == 1; i++)
		if (!same_head(&l->theirs[which[i]], &l->mine[which[i]]))
			return 0;
	for (size_t i = 0; i < n; i++)
		joined(l, i, i);
	return 1;
}

/* One of either side, sorted by header, then size, then order. */
struct entry {
	const unsigned char *head;
	uint64_t	 size;
	size_t		 index;
};

static int
cmp_entry(const void *va, const void *vb)
{
	const struct entry *a = va, *b = vb;
	int c = memcmp(a->head, b->head, DIGEST_LEN);

	if (c != 0)
		return c;
	if (a->size != b->size)
		return a->size < b->size ? -1 : 1;
	return a->index < b->index ? -1 : a->index > b->index;
}

static size_t
collect_theirs(const struct pop3_lists *l, struct entry *v, bool sizes)
{
	size_t n = 0;

	for (size_t i = 0; i < l->ntheirs; i++)
		if (l->theirs[i].has_head)
			v[n++] = (struct entry){ l->theirs[i].head, sizes ?
			    l->theirs[i].size : 0, i };
	qsort(v, n, sizeof *v, cmp_entry);
	return n;
}

static size_t
collect_mine(const struct pop3_lists *l, struct entry *v, enum rule rule)
{
	size_t n = 0;

	for (size_t i = 0; i < l->nmine; i++)
		if (l->mine[i].has_head)
			v[n++] = (struct entry){ l->mine[i].head, rule ==
			    RULE_NONE ? 0 : rule == RULE_CRLF ?
			    l->mine[i].crlf : l->mine[i].stored, i };
	qsort(v, n, sizeof *v, cmp_entry);
	return n;
}

/* How many from the start of v are equal, by header (and size). */
static size_t
group(const struct entry *v, size_t n, bool sizes)
{
	size_t k = 1;

	while (k < n && memcmp(v[k].head, v[0].head, DIGEST_LEN) == 0 &&
	    (!sizes || v[k].size == v[0].size))
		k++;
	return k;
}

/* Two groups of equal header (and size): in order, if there are as many. */
static void
match(struct pop3_lists *l, const struct entry *t, size_t nt,
    const struct entry *m, size_t nm)
{
	for (size_t i = 0; i < nt; i++)
		if (nt == nm)
			joined(l, t[i].index, m[i].index);
		else
			l->theirs[t[i].index].fate = POP3_AMBIGUOUS;
}

/* Those of one header on both sides. */
static void
match_sizes(struct pop3_lists *l, const struct entry *t, size_t nt,
    const struct entry *m, size_t nm)
{
	while (nt > 0) {
		size_t kt = group(t, nt, true), km;

		while (nm > 0 && m->size < t->size)
			m++, nm--;
		km = nm > 0 && m->size == t->size ? group(m, nm, true) : 0;
		match(l, t, kt, m, km);
		t += kt;
		nt -= kt;
	}
}

/* What sizes mean, by the messages that are alone with their header. */
static enum rule
learn_rule(const struct pop3_lists *l, const struct entry *t, size_t nt,
    const struct entry *m, size_t nm)
{
	size_t alone = 0, crlf = 0, stored = 0;

	while (nt > 0 && nm > 0) {
		int c = memcmp(t->head, m->head, DIGEST_LEN);
		size_t kt = c <= 0 ? group(t, nt, false) : 0;
		size_t km = c >= 0 ? group(m, nm, false) : 0;

		if (kt == 1 && km == 1) {
			alone++;
			crlf += same_size(&l->theirs[t->index],
			    &l->mine[m->index], RULE_CRLF);
			stored += same_size(&l->theirs[t->index],
			    &l->mine[m->index], RULE_STORED);
		}
		t += kt;
		nt -= kt;
		m += km;
		nm -= km;
	}
	/* Of few that differ nothing can be told. */
	if (2 * crlf > alone && crlf >= stored)
		return RULE_CRLF;
	return 2 * stored > alone ? RULE_STORED : RULE_NONE;
}

static void
match_all(struct pop3_lists *l, const struct entry *t, size_t nt,
    const struct entry *m, size_t nm, bool sizes)
{
	while (nt > 0) {
		int c = nm == 0 ? -1 : memcmp(t->head, m->head, DIGEST_LEN);
		size_t kt = c <= 0 ? group(t, nt, false) : 0;
		size_t km = c >= 0 ? group(m, nm, false) : 0;

		if (c == 0 && sizes)
			match_sizes(l, t, kt, m, km);
		else if (c == 0)
			match(l, t, kt, m, km);
		t += kt;
		nt -= kt;
		m += km;
		nm -= km;
	}
}

static int
by_headers(struct pop3_lists *l, struct err *e)
{
	size_t *which = xcalloc(l->ntheirs + 1, sizeof *which), nt, nm;
	struct entry *t, *m;
	enum rule rule;
	int rc;

	for (size_t i = 0; i < l->ntheirs; i++)
		which[i] = i;
	rc = ask(l, which, l->ntheirs, e);
	free(which);
	if (rc == -1 || read_mine(l, e) == -1)
		return -1;
	for (size_t i = 0; i < l->ntheirs; i++)
		if (!l->theirs[i].has_head)
			l->theirs[i].fate = POP3_NO_HEADER;
	if (rc == 0)
		return 0;
	l->by_headers = true;
	t = xcalloc(l->ntheirs + 1, sizeof *t);
	m = xcalloc(l->nmine + 1, sizeof *m);
	nt = collect_theirs(l, t, false);
	nm = collect_mine(l, m, RULE_NONE);
	rule = learn_rule(l, t, nt, m, nm);
	nt = collect_theirs(l, t, rule != RULE_NONE);
	nm = collect_mine(l, m, rule);
	match_all(l, t, nt, m, nm, rule != RULE_NONE);
	free(t);
	free(m);
	return 0;
}

static int
cmp_uidl(const void *va, const void *vb)
{
	const struct pop3_theirs *a = *(struct pop3_theirs *const *)va;
	const struct pop3_theirs *b = *(struct pop3_theirs *const *)vb;

	return strcmp(a->uidl, b->uidl);
}

/* UIDLs that nobody may be given. */
static void
judge_uidls(struct pop3_lists *l)
{
	struct pop3_theirs **v = xcalloc(l->ntheirs + 1, sizeof *v);
	size_t n = 0;

	for (size_t i = 0; i < l->ntheirs; i++)
		if (l->theirs[i].uidl == NULL)
			l->theirs[i].fate = POP3_NO_UIDL;
		else
			v[n++] = &l->theirs[i];
	qsort(v, n, sizeof *v, cmp_uidl);
	for (size_t i = 1; i < n; i++)
		if (strcmp(v[i]->uidl, v[i - 1]->uidl) == 0)
			v[i]->fate = v[i - 1]->fate = POP3_SAME_UIDL;
	free(v);
}

int
pop3_join(struct pop3_lists *l, struct err *e)
{
	size_t shorter = l->ntheirs < l->nmine ? l->ntheirs : l->nmine;
	size_t last = 0;
	int rc = 0;

	l->joined = 0;
	l->by_headers = l->unchecked = l->reordered = false;
	for (size_t i = 0; i < l->ntheirs; i++) {
		l->theirs[i].fate = POP3_NOT_HERE;
		l->theirs[i].mine = POP3_NOT_JOINED;
	}
	if (shorter > 0 && (agreeing(l, RULE_CRLF) == shorter ||
	    agreeing(l, RULE_STORED) == shorter))
		rc = by_order(l, shorter, e);
	/* Without a header order alone tells, and only if nothing is over. */
	if (rc == 1 && l->unchecked && l->ntheirs != l->nmine) {
		for (size_t i = 0; i < l->ntheirs; i++) {
			l->theirs[i].fate = POP3_NO_HEADER;
			l->theirs[i].mine = POP3_NOT_JOINED;
		}
		l->unchecked = false;
	} else if (rc == 0 && shorter > 0)
		rc = by_headers(l, e);
	if (rc == -1)
		return -1;
	judge_uidls(l);
	for (size_t i = 0; i < l->ntheirs; i++)
		if (l->theirs[i].fate == POP3_JOINED) {
			l->joined++;
			l->reordered = l->reordered || l->theirs[i].mine <
			    last;
			last = l->theirs[i].mine;
		}
	return 0;
}
