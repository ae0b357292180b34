/* Names against a list of those there are, by edit distance. */
#include "base/suggest.h"

#include <stddef.h>
#include <string.h>
#include <strings.h>

#define WORD_MAX	48	/* longest name that gets a suggestion */

bool
listed(const char *name, const char *const *known)
{
	for (; *known != NULL; known++)
		if (strcmp(name, *known) == 0)
			return true;
	return false;
}

static unsigned
min(unsigned a, unsigned b)
{
	return a < b ? a : b;
}

/* Insertions, deletions, exchanges and swaps of neighbours from a to b;
 * neither is longer than WORD_MAX. */
static unsigned
edit_distance(const char *a, const char *b)
{
	unsigned row[3][WORD_MAX + 1];
	unsigned *old = row[0], *prev = row[1], *cur = row[2], *t;
	size_t i, j, na = strlen(a), nb = strlen(b);

	for (j = 0; j <= nb; j++)
		prev[j] = old[j] = (unsigned)j;
	for (i = 1; i <= na; i++) {
		cur[0] = (unsigned)i;
		for (j = 1; j <= nb; j++) {
			cur[j] = min(prev[j - 1] + (a[i - 1] != b[j - 1]),
			    min(prev[j], cur[j - 1]) + 1);
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] &&
			    a[i - 2] == b[j - 1])
				cur[j] = min(cur[j], old[j - 2] + 1);
		}
		t = old;
		old = prev;
		prev = cur;
		cur = t;
	}
	return prev[nb];
}

const char *
suggest(const char *name, const char *const *known)
{
	const char *best = NULL;
	size_t len = strlen(name);
	unsigned d, best_d = 1 + (unsigned)min(3, (unsigned)len / 3);

	if (len > WORD_MAX)
		return NULL;
	for (; *known != NULL; known++) {
		if (strlen(*known) > WORD_MAX)
			continue;
		/* secret_file, Secret-File and secretfile are all near. */
		d = strcasecmp(name, *known) == 0 ? 0 :
		    edit_distance(name, *known);
		if (d < best_d) {
			best_d = d;
			best = *known;
		}
	}
	return best;
}
