/* Reading rules; the texts are described in rules.h. */
#include "rules_impl.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/xmalloc.h"
#include "text.h"

struct rules *
rules_new(void)
{
	struct rules *r = xcalloc(1, sizeof *r);

	r->newer = r->older = NO_DATE;
	r->max_size = UNKNOWN64;
	return r;
}

static void
free_patterns(struct pattern *p, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++) {
		free(p[i].text);
		free(p[i].glob);
	}
	free(p);
}

void
rules_free(struct rules **rp)
{
	struct rules *r = *rp;
	size_t i;

	if (r == NULL)
		return;
	for (i = 0; i < r->nmaps; i++) {
		if (r->maps[i].kind == MAP_REGEX)
			regfree(&r->maps[i].re);
		free(r->maps[i].text);
		free(r->maps[i].from);
		free(r->maps[i].to);
	}
	free(r->maps);
	free_patterns(r->includes, r->nincludes);
	free_patterns(r->excludes, r->nexcludes);
	for (i = 0; i < r->nspecials; i++)
		free(r->specials[i].name);
	free(r->specials);
	free(r->newer_text);
	free(r->older_text);
	free(r->max_size_text);
	free(r);
	*rp = NULL;
}

static const char *
skip_blanks(const char *p)
{
	return p + strspn(p, " \t");
}

/*
 * One side of "left -> right" from *p on, for the caller to free; *p then
 * stands behind it and its blanks.  Quoted with \" and \\, or as it is up to
 * the arrow (left) or the end.
 */
static char *
side(const char **p, bool left, struct err *e)
{
	const char *end;
	struct buf b;

	buf_init(&b, NAME_MAX_BYTES);
	if (**p != '"') {
		end = left ? strstr(*p, "->") : *p + strlen(*p);
		if (end == NULL)
			end = *p + strlen(*p);
		while (end > *p && is_blank(end[-1]))
			end--;
		buf_add(&b, *p, (size_t)(end - *p));
		*p = skip_blanks(end);
	} else {
		if (text_quoted(p, &b) == -1) {
			err_set(e, ERR_RUN, "a '\"' that is not closed");
			buf_release(&b);
			return NULL;
		}
		*p = skip_blanks(*p);
	}
	if (b.full) {
		err_set(e, ERR_RUN, "a name of more than %zu bytes",
		    NAME_MAX_BYTES);
		buf_release(&b);
		return NULL;
	}
	return buf_detach(&b, NULL);
}

/* "left -> right"; both for the caller to free. */
static int
sides(const char *p, char **left, char **right, struct err *e)
{
	*left = *right = NULL;
	if ((*left = side(&p, true, e)) == NULL)
		return -1;
	if (strncmp(p, "->", 2) != 0)
		err_set(e, ERR_RUN, "this is written \"OLD\" -> \"NEW\"");
	else {
		p = skip_blanks(p + 2);
		if (*p == '\0')
			err_set(e, ERR_RUN, "nothing after the \"->\"");
		else if ((*right = side(&p, false, e)) != NULL && *p == '\0')
			return 0;
		else if (*right != NULL)
			err_set(e, ERR_RUN,
			    "'%.40s' after the closing '\"'", p);
	}
	free(*left);
	free(*right);
	*left = *right = NULL;
	return -1;
}

static int
check_levels(const char *name, struct err *e)
{
	size_t n = strlen(name);

	if (name[0] == '/' || strstr(name, "//") != NULL ||
	    (n > 0 && name[n - 1] == '/'))
		return err_set(e, ERR_RUN, "an empty level in the name "
		    "'%.80s'", name);
	return 0;
}

/* Cuts one '/' off the end: 1, or 0 when there is none. */
static bool
cut_slash(char *name)
{
	size_t n = strlen(name);

	if (n == 0 || name[n - 1] != '/')
		return false;
	name[n - 1] = '\0';
	return true;
}

static int
check_groups(const char *to, size_t groups, struct err *e)
{
	for (; *to != '\0'; to++)
		if (*to == '\\') {
			if (to[1] >= '1' && to[1] <= '9' &&
			    (size_t)(to[1] - '0') > groups)
				return err_set(e, ERR_RUN, "\\%c, but the "
				    "expression has %zu groups", to[1],
				    groups);
			if (to[1] != '\0')
				to++;
		}
	return 0;
}

static int
make_map(struct map *m, bool regex, struct err *e)
{
	char why[128];
	bool from_all, to_all;
	int rc;

	if (regex) {
		m->kind = MAP_REGEX;
		if ((rc = regcomp(&m->re, m->from, REG_EXTENDED)) != 0) {
			regerror(rc, &m->re, why, sizeof why);
			m->kind = MAP_EXACT;	/* nothing to free */
			return err_set(e, ERR_RUN, "'%.80s': %s", m->from,
			    why);
		}
		return check_groups(m->to, m->re.re_nsub, e);
	}
	from_all = cut_slash(m->from);
	to_all = m->to[0] == '\0' || cut_slash(m->to);
	m->kind = from_all ? MAP_PREFIX : MAP_EXACT;
	if (!from_all && m->from[0] == '\0')
		return err_set(e, ERR_RUN, "no name before the \"->\"");
	if (from_all != to_all)
		return err_set(e, ERR_RUN, "both names end in '/' (a mailbox "
		    "and everything below it), or none does");
	if (check_levels(m->from, e) == -1)
		return -1;
	return check_levels(m->to, e);
}

int
rules_add_map(struct rules *r, const char *text, struct err *e)
{
	struct map m;
	const char *p;
	bool regex;

	memset(&m, 0, sizeof m);
	p = skip_blanks(text);
	if ((regex = *p == '~'))
		p = skip_blanks(p + 1);
	if (sides(p, &m.from, &m.to, e) == -1)
		return -1;
	if (make_map(&m, regex, e) == -1) {
		if (m.kind == MAP_REGEX)
			regfree(&m.re);
		free(m.from);
		free(m.to);
		return -1;
	}
	m.text = xstrdup(text);
	r->maps = xreallocarray(r->maps, r->nmaps + 1, sizeof *r->maps);
	r->maps[r->nmaps++] = m;
	return 0;
}

static int
unknown_use(const char *word, struct err *e)
{
	return err_set(e, ERR_RUN, "'%.40s' is no special use; there are "
	    "\\All \\Archive \\Drafts \\Flagged \\Junk \\Sent \\Trash", word);
}

static int
add_pattern(struct pattern **list, size_t *n, const char *what,
    const char *text, struct err *e)
{
	struct pattern p;
	struct buf b;

	p.use = 0;
	if (text[0] == '\0')
		return err_set(e, ERR_RUN, "an empty name");
	if (text[0] == '\\' && (p.use = use_of_word(text)) == 0)
		return unknown_use(text, e);
	buf_init(&b, SIZE_MAX / 4);
	buf_addf(&b, "%s %s", what, p.use != 0 ? use_word(p.use) : text);
	p.text = buf_detach(&b, NULL);
	p.glob = xstrdup(text);
	*list = xreallocarray(*list, *n + 1, sizeof **list);
	(*list)[(*n)++] = p;
	return 0;
}

int
rules_add_include(struct rules *r, const char *text, struct err *e)
{
	return add_pattern(&r->includes, &r->nincludes, "include", text, e);
}

int
rules_add_exclude(struct rules *r, const char *text, struct err *e)
{
	return add_pattern(&r->excludes, &r->nexcludes, "exclude", text, e);
}

int
rules_add_special(struct rules *r, const char *text, struct err *e)
{
	char *name, *word;
	unsigned use = 0;

	if (sides(skip_blanks(text), &name, &word, e) == -1)
		return -1;
	if (strcmp(word, "none") != 0 && (use = use_of_word(word)) == 0) {
		unknown_use(word, e);
		free(name);
		free(word);
		return -1;
	}
	free(word);
	r->specials = xreallocarray(r->specials, r->nspecials + 1,
	    sizeof *r->specials);
	r->specials[r->nspecials].name = name;
	r->specials[r->nspecials++].use = use;
	return 0;
}

void
rules_set_special_use(struct rules *r, enum special_use_mode mode)
{
	r->special_use = mode;
}

void
rules_set_inbox_children(struct rules *r, enum inbox_children mode)
{
	r->inbox_children = mode;
}

static void
set_text(char **where, const char *text)
{
	free(*where);
	*where = xstrdup(text);
}

void
rules_set_newer(struct rules *r, int64_t epoch, const char *text)
{
	r->newer = epoch;
	set_text(&r->newer_text, text);
}

void
rules_set_older(struct rules *r, int64_t epoch, const char *text)
{
	r->older = epoch;
	set_text(&r->older_text, text);
}

void
rules_set_max_size(struct rules *r, uint64_t bytes, const char *text)
{
	r->max_size = bytes;
	set_text(&r->max_size_text, text);
}

void
rules_set_skip_deleted(struct rules *r, bool skip)
{
	r->skip_deleted = skip;
}

bool
rules_skip_deleted(const struct rules *r)
{
	return r->skip_deleted;
}

void
rules_set_skip_hidden(struct rules *r, bool skip)
{
	r->skip_hidden = skip;
}
