/* Sieve scripts at the target that file into mailboxes which are called
 * something else there. */
#include "plan_impl.h"

#include <string.h>
#include <strings.h>

#include "base/mutf7.h"

/* A name in one spelling: levels with "/", without the prefix of personal
 * mailboxes, in UTF-8. */
static const char *
plain(struct arena *a, const char *name)
{
	struct buf b;
	char *s;

	if (strncasecmp(name, "INBOX", 5) == 0 && (name[5] == '/' ||
	    name[5] == '.'))
		name += 6;
	buf_init(&b, 1 << 14);
	if (strchr(name, '&') == NULL || mutf7_decode(&b, name,
	    strlen(name)) == -1) {
		buf_reset(&b);
		buf_adds(&b, name);
	}
	s = arena_memdup0(a, b.ptr, b.len);
	buf_release(&b);
	for (char *p = s; *p != '\0'; p++)
		if (*p == '.')
			*p = '/';
	return s;
}

static bool
same(const char *a, const char *b)
{
	return strcasecmp(a, "INBOX") == 0 ? strcasecmp(b, "INBOX") == 0 :
	    strcmp(a, b) == 0;
}

void
plan_sieve(struct plan_account *pa, const struct target_view *v)
{
	for (size_t i = 0; i < v->nfilings; i++) {
		const struct target_filing *f = &v->filings[i];
		const char *into = plain(&pa->arena, f->mailbox);

		for (size_t k = 0; k < pa->nboxes; k++) {
			const struct plan_box *b = &pa->boxes[k];

			if (b->target == NULL || same(into, plain(&pa->arena,
			    b->target)))
				continue;
			if (!same(into, plain(&pa->arena, b->name)) &&
			    (b->old == NULL || !same(into, plain(&pa->arena,
			    b->old))))
				continue;
			plan_addf(&pa->warnings, &pa->arena, "sieve", b->name,
			    "the target's Sieve script %.100s files into "
			    "%.100s, which is called %.150s there", f->script,
			    f->mailbox, b->target);
		}
	}
}
