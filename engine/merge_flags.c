/* The merge of one message's flags and keywords: no I/O, only the rules. */
#include "merge.h"

#include <string.h>
#include <strings.h>

#include "base/fault.h"

#define FLAGS	(MSG_SEEN | MSG_ANSWERED | MSG_FLAGGED | MSG_DELETED | \
	MSG_DRAFT)

/* Keywords are the same whatever their case. */
static bool
has_word(const char *words, const char *word, size_t len)
{
	while (*words != '\0') {
		size_t n = strcspn(words, " ");

		if (n == len && strncasecmp(words, word, len) == 0)
			return true;
		words += n;
		words += *words == ' ';
	}
	return false;
}

bool
words_in(const char *a, const char *b)
{
	while (*a != '\0') {
		size_t n = strcspn(a, " ");

		if (!has_word(b, a, n))
			return false;
		a += n;
		a += *a == ' ';
	}
	return true;
}

bool
same_flag_set(const struct flag_set *a, const struct flag_set *b)
{
	return ((a->flags ^ b->flags) & FLAGS) == 0 && words_in(a->kw, b->kw) &&
	    words_in(b->kw, a->kw);
}

bool
flags_touched(const struct flag_set *row, const struct flag_set *now,
    bool subset)
{
	return ((row->flags ^ now->flags) & FLAGS) != 0 ||
	    !words_in(now->kw, row->kw) || (!subset && !words_in(row->kw,
	    now->kw));
}

enum verdict { STAYS, TAKEN, CONFLICT };

/* One flag or keyword on both sides, then and now. */
static enum verdict
judge(bool src_row, bool src, bool tgt_row, bool tgt)
{
	if (fault_mutated("merge-base"))
		src_row = tgt;
	if (fault_mutated("merge-theirs"))
		tgt_row = tgt;
	if (src == src_row || src == tgt)
		return STAYS;
	return tgt == tgt_row ? TAKEN : CONFLICT;
}

static void
merge_system(const struct flag_sides *s, struct flag_merge *m)
{
	for (unsigned f = 1; f <= FLAGS; f <<= 1) {
		if (!(f & FLAGS))
			continue;
		switch (judge(s->src_row.flags & f, s->src.flags & f,
		    s->tgt_row.flags & f, s->tgt.flags & f)) {
		case TAKEN:
			if (s->src.flags & f)
				m->add |= f;
			else
				m->del |= f;
			break;
		case CONFLICT:
			m->conflict |= f;
			break;
		case STAYS:
			break;
		}
	}
}

static size_t
count_words(const char *words)
{
	size_t n = 0;

	for (; *words != '\0'; words += *words == ' ') {
		n++;
		words += strcspn(words, " ");
	}
	return n;
}

/* The keywords of "words" that none of the lists before had. */
static void
merge_words(struct arena *a, const struct flag_sides *s, const char *words,
    const char *const *before, size_t nbefore, struct flag_merge *m)
{
	for (; *words != '\0'; words += *words == ' ') {
		size_t n = strcspn(words, " ");
		bool src = has_word(s->src.kw, words, n), old = false;
		const char *word;

		for (size_t i = 0; i < nbefore; i++)
			old = old || has_word(before[i], words, n);
		word = old || n == 0 ? NULL : arena_memdup0(a, words, n);
		if (word != NULL)
			switch (judge(has_word(s->src_row.kw, words, n), src,
			    has_word(s->tgt_row.kw, words, n),
			    has_word(s->tgt.kw, words, n))) {
			case TAKEN:
				if (src)
					m->kw_add[m->nkw_add++] = word;
				else
					m->kw_del[m->nkw_del++] = word;
				break;
			case CONFLICT:
				m->kw_conflict[m->nkw_conflict++] = word;
				break;
			case STAYS:
				break;
			}
		words += n;
	}
}

/* The target's keywords when all is done, sorted as in a row. */
static const char *
merged_words(struct arena *a, const struct flag_sides *s,
    const struct flag_merge *m)
{
	const char **kw = arena_alloc(a, (count_words(s->tgt.kw) +
	    m->nkw_add + 1) * sizeof *kw);
	const char *joined;
	size_t k = 0;

	for (const char *p = s->tgt.kw; *p != '\0'; p += *p == ' ') {
		size_t n = strcspn(p, " ");
		const char *word = arena_memdup0(a, p, n);
		bool goes = n == 0;

		for (size_t i = 0; i < m->nkw_del; i++)
			goes = goes || strcasecmp(m->kw_del[i], word) == 0;
		if (!goes)
			kw[k++] = word;
		p += n;
	}
	for (size_t i = 0; i < m->nkw_add; i++)
		kw[k++] = m->kw_add[i];
	joined = join_words(a, kw, k);
	return joined != NULL ? joined : "";
}

void
merge_flags(struct arena *a, const struct flag_sides *s,
    struct flag_merge *m)
{
	const char *lists[] = { s->src_row.kw, s->src.kw };
	size_t n = count_words(lists[0]) + count_words(lists[1]) + 1;

	memset(m, 0, sizeof *m);
	merge_system(s, m);
	m->kw_add = arena_alloc(a, n * sizeof *m->kw_add);
	m->kw_del = arena_alloc(a, n * sizeof *m->kw_del);
	m->kw_conflict = arena_alloc(a, n * sizeof *m->kw_conflict);
	/* What the source neither has nor had stays as it is. */
	for (size_t i = 0; i < 2; i++)
		merge_words(a, s, lists[i], lists, i, m);
	m->result.flags = ((s->tgt.flags & FLAGS) | m->add) & ~m->del;
	m->result.kw = merged_words(a, s, m);
	m->changes = (m->add | m->del) != 0 || m->nkw_add + m->nkw_del > 0;
	m->conflicts = m->conflict != 0 || m->nkw_conflict > 0;
}
