/* The table of flag letters. */
#include "cgp/cgp_flags.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/xmalloc.h"

static const struct { const char *name; unsigned bit; } flags[] = {
	{ "\\Seen", MSG_SEEN }, { "\\Answered", MSG_ANSWERED },
	{ "\\Flagged", MSG_FLAGGED }, { "\\Deleted", MSG_DELETED },
	{ "\\Draft", MSG_DRAFT }
};

/* An IMAP atom. */
static bool
is_keyword(const char *s)
{
	const char *p;

	for (p = s; *p != '\0'; p++)
		if ((unsigned char)*p <= 0x20 || (unsigned char)*p >= 0x7f ||
		    strchr("(){%*\"\\]", *p) != NULL)
			return false;
	return p > s;
}

static int
set_one(struct cgp_flags *f, const char *word, struct err *e)
{
	unsigned char c = (unsigned char)word[0];
	const char *meaning;
	size_t i;

	if (word[1] != ':' || word[2] == '\0')
		return err_set(e, ERR_RUN, "flag-letters: '%.40s' is not "
		    "LETTER:MEANING, as in S:\\Seen", word);
	if (c <= 0x20 || c >= 0x7f || c == '-' || c == '(' || c == ')')
		return err_set(e, ERR_RUN, "flag-letters: '%c' can be no "
		    "letter", c);
	if (f->of[c].known)
		return err_set(e, ERR_RUN, "flag-letters: '%c' is there twice",
		    c);
	meaning = word + 2;
	f->of[c].known = true;
	if (strcmp(meaning, "-") == 0)
		return 0;
	for (i = 0; i < sizeof flags / sizeof flags[0]; i++)
		if (strcasecmp(meaning, flags[i].name) == 0) {
			f->of[c].bit = flags[i].bit;
			return 0;
		}
	if (!is_keyword(meaning))
		return err_set(e, ERR_RUN, "flag-letters: '%.40s' is neither "
		    "a flag (\\Seen, \\Answered, \\Flagged, \\Deleted, "
		    "\\Draft), nor a keyword, nor -", meaning);
	f->of[c].keyword = meaning;
	return 0;
}

int
cgp_flags_parse(struct cgp_flags *f, const char *text, struct err *e)
{
	char *p, *end;

	memset(f, 0, sizeof *f);
	f->text = xstrdup(text);
	for (p = f->text + strspn(f->text, " \t"); *p != '\0';
	    p = end + strspn(end, " \t")) {
		end = p + strcspn(p, " \t");
		if (*end != '\0')
			*end++ = '\0';
		if (set_one(f, p, e) == -1) {
			cgp_flags_release(f);
			return -1;
		}
	}
	return 0;
}

uint64_t
cgp_flags_hash(const struct cgp_flags *f)
{
	uint64_t h = UINT64_C(14695981039346656037);

	for (unsigned c = 0; c < 256; c++) {
		const char *word = f->of[c].keyword;

		if (f->of[c].bit == 0 && word == NULL)
			continue;	/* known or not, it gives nothing */
		h = (h ^ c) * UINT64_C(1099511628211);
		h = (h ^ f->of[c].bit) * UINT64_C(1099511628211);
		for (; word != NULL && *word != '\0'; word++)
			h = (h ^ (unsigned char)*word) *
			    UINT64_C(1099511628211);
	}
	return h;
}

void
cgp_flags_release(struct cgp_flags *f)
{
	free(f->text);
	memset(f, 0, sizeof *f);
}

void
cgp_flags_apply(const struct cgp_flags *f, const char *letters, size_t n,
    struct arena *a, struct msg_meta *m, uint64_t unknown[256])
{
	const char **kw = arena_alloc(a, n * sizeof *kw + 1);
	size_t i, k;

	m->flags = 0;
	m->keywords = kw;
	m->nkeywords = 0;
	m->raw_flags = arena_memdup0(a, letters, n);
	for (i = 0; i < n; i++) {
		unsigned char c = (unsigned char)letters[i];

		if (!f->of[c].known)
			unknown[c]++;
		m->flags |= f->of[c].bit;
		if (f->of[c].keyword == NULL)
			continue;
		for (k = 0; k < m->nkeywords; k++)
			if (strcasecmp(kw[k], f->of[c].keyword) == 0)
				break;
		if (k == m->nkeywords)
			kw[m->nkeywords++] = arena_strdup(a,
			    f->of[c].keyword);
	}
}
