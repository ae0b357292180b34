/* Applying rules to mailboxes and messages. */
#include "rules_impl.h"

#include <string.h>
#include <strings.h>

#include "base/buf.h"

#define REGEX_GROUPS	10

/* Names */

static bool
is_inbox(const char *level)
{
	return strcasecmp(level, "INBOX") == 0;
}

/* Whether len bytes of name are this level, the first one of a path if so. */
static bool
same_level(const char *level, const char *name, size_t len, bool first)
{
	if (strlen(level) != len)
		return false;
	return memcmp(level, name, len) == 0 ||
	    (first && is_inbox(level) && strncasecmp(level, name, len) == 0);
}

/* How many levels of path the name "A/B" covers; 0: it does not fit.  A level
 * that holds a '/' itself fits as plan shows it. */
static size_t
levels_covered(const char *name, const char *const *path, size_t npath)
{
	size_t i, len;

	for (i = 0; i < npath; i++) {
		len = strlen(path[i]);
		if (strlen(name) < len || !same_level(path[i], name, len,
		    i == 0))
			return 0;
		name += len;
		if (*name == '\0')
			return i + 1;
		if (*name++ != '/')
			return 0;
	}
	return 0;
}

static size_t
utf8_step(const char *p)
{
	size_t n = 1;

	while (((unsigned char)p[n] & 0xc0) == 0x80)
		n++;
	return n;
}

static bool
glob(const char *pat, const char *s)
{
	const char *star = NULL, *again = NULL;

	for (;;) {
		if (*pat == '*') {
			star = ++pat;
			again = s;
			continue;
		}
		if (*s == '\0' && *pat == '\0')
			return true;
		if (*s != '\0' && *pat == '?') {
			pat++;
			s += utf8_step(s);
			continue;
		}
		if (*s != '\0' && *pat != '\0') {
			const char *lit = pat;

			if (*lit == '\\' && lit[1] != '\0')
				lit++;
			if (*lit == *s) {
				pat = lit + 1;
				s++;
				continue;
			}
		}
		if (star == NULL || *again == '\0')
			return false;
		pat = star;
		s = ++again;
	}
}

static char *
join(struct arena *a, const char *const *path, size_t n)
{
	size_t i, len = 0;
	char *name, *p;

	for (i = 0; i < n; i++)
		len += strlen(path[i]) + 1;
	p = name = arena_alloc(a, len + 1);
	for (i = 0; i < n; i++) {
		len = strlen(path[i]);
		if (i > 0)
			*p++ = '/';
		memcpy(p, path[i], len);
		p += len;
	}
	*p = '\0';
	if (n > 0 && is_inbox(path[0]))
		memcpy(name, "INBOX", 5);
	return name;
}

/* Whether the pattern names this mailbox or one above it. */
static bool
pattern_fits(const struct pattern *p, struct arena *a,
    const struct folder_info *f)
{
	size_t i;

	if (p->use != 0)
		return false;
	if (levels_covered(p->glob, f->path, f->npath) > 0)
		return true;
	if (strpbrk(p->glob, "*?\\") == NULL)
		return false;
	for (i = 1; i <= f->npath; i++)
		if (glob(p->glob, join(a, f->path, i)))
			return true;
	return false;
}

static bool
is_below(const struct folder_info *f, const struct folder_info *top)
{
	size_t i;

	if (f->npath < top->npath)
		return false;
	for (i = 0; i < top->npath; i++)
		if (strcmp(f->path[i], top->path[i]) != 0 &&
		    !(i == 0 && is_inbox(f->path[0]) &&
		    is_inbox(top->path[0])))
			return false;
	return true;
}

/* Special uses */

unsigned
rules_use_of_name(const struct rules *r, const char *const *path, size_t npath)
{
	const struct use_name *u;
	size_t i;

	if (npath != 1)
		return 0;
	for (i = r->nspecials; i-- > 0; )
		if (strcmp(r->specials[i].name, path[0]) == 0)
			return r->specials[i].use;
	for (u = use_names; u->name != NULL; u++)
		if (strcmp(u->name, path[0]) == 0)
			return u->use;
	return 0;
}

static uint64_t
messages(const struct folder_info *f)
{
	return f->messages == UNKNOWN64 ? 0 : f->messages;
}

/* Gives each special use to one mailbox at most; out[].excluded is set for
 * those that do not come into question. */
static void
choose_uses(const struct rules *r, const struct folder_info *f, size_t n,
    const int64_t *newest, struct rule_result *out)
{
	size_t i, w, best;
	bool marked, best_marked;

	for (w = 0; w < NUSES; w++) {
		unsigned use = use_words[w].use;

		best = n;
		best_marked = false;
		for (i = 0; i < n; i++) {
			if (f[i].noselect || f[i].refused != NULL ||
			    f[i].class != FOLDER_MAIL ||
			    out[i].excluded != NULL || (f[i].npath == 1 &&
			    is_inbox(f[i].path[0])))
				continue;
			marked = (f[i].special_use & use) != 0;
			if (!marked && rules_use_of_name(r, f[i].path,
			    f[i].npath) != use)
				continue;
			out[i].candidate |= use;
			if (best < n) {
				if (best_marked != marked) {
					if (best_marked)
						continue;
				} else if (newest != NULL &&
				    newest[i] != newest[best]) {
					if (newest[i] < newest[best])
						continue;
				} else if (messages(&f[i]) <=
				    messages(&f[best]))
					continue;
			}
			best = i;
			best_marked = marked;
		}
		if (best < n)
			out[best].use |= use;
	}
}

/* Target names */

/* name split at '/', empty levels left out. */
static void
split(struct arena *a, const char *name, struct rule_result *out)
{
	const char **path, *p, *q;
	size_t n = 1;

	for (p = name; *p != '\0'; p++)
		n += *p == '/';
	path = arena_alloc(a, n * sizeof *path);
	n = 0;
	for (p = name; ; p = q + 1) {
		q = p + strcspn(p, "/");
		if (q > p)
			path[n++] = arena_memdup0(a, p, (size_t)(q - p));
		if (*q == '\0')
			break;
	}
	if (n > 0 && is_inbox(path[0]))
		path[0] = "INBOX";
	out->path = path;
	out->npath = n;
}

/* The levels of name, then path[from..npath). */
static void
graft(struct arena *a, const char *name, const char *const *path, size_t from,
    size_t npath, struct rule_result *out)
{
	const char **all;
	size_t n;

	split(a, name, out);
	n = out->npath;
	if (from == npath)
		return;
	all = arena_alloc(a, (n + npath - from) * sizeof *all);
	if (n > 0)
		memcpy(all, out->path, n * sizeof *all);
	memcpy(all + n, path + from, (npath - from) * sizeof *all);
	out->path = all;
	out->npath = n + npath - from;
}

static bool
map_regex(const struct map *m, struct arena *a, const char *name,
    struct rule_result *out)
{
	regmatch_t g[REGEX_GROUPS];
	const char *p;
	struct buf b;
	size_t len = strlen(name);

	if (len > NAME_MAX_BYTES ||
	    regexec(&m->re, name, REGEX_GROUPS, g, 0) != 0 ||
	    g[0].rm_so != 0 || (size_t)g[0].rm_eo != len)
		return false;
	buf_init(&b, 4 * NAME_MAX_BYTES);
	for (p = m->to; *p != '\0'; p++) {
		if (*p != '\\' || p[1] == '\0')
			buf_addc(&b, *p);
		else if (*++p >= '1' && *p <= '9') {
			const regmatch_t *s = &g[*p - '0'];

			if (s->rm_so != -1)
				buf_add(&b, name + s->rm_so,
				    (size_t)(s->rm_eo - s->rm_so));
		} else
			buf_addc(&b, *p);
	}
	if (!b.full)
		split(a, b.ptr, out);
	else
		out->npath = 0;
	buf_release(&b);
	return true;
}

static bool
map_fits(const struct map *m, struct arena *a, const struct folder_info *f,
    struct rule_result *out)
{
	size_t n;

	switch (m->kind) {
	case MAP_EXACT:
		if (levels_covered(m->from, f->path, f->npath) != f->npath)
			return false;
		split(a, m->to, out);
		return true;
	case MAP_PREFIX:
		n = 0;
		if (m->from[0] != '\0' &&
		    (n = levels_covered(m->from, f->path, f->npath)) == 0)
			return false;
		graft(a, m->to, f->path, n, f->npath, out);
		return true;
	case MAP_REGEX:
		return map_regex(m, a, join(a, f->path, f->npath), out);
	}
	return false;
}

static void
name_it(const struct rules *r, struct arena *a, const struct folder_info *f,
    struct rule_result *out)
{
	size_t i;

	for (i = 0; i < r->nmaps; i++)
		/* A rule that leaves nothing of a name does not fit it. */
		if (map_fits(&r->maps[i], a, f, out) && out->npath > 0) {
			out->mapped = r->maps[i].text;
			return;
		}
	out->path = f->path;
	out->npath = f->npath;
	if (r->special_use == SPECIAL_RENAME && out->use != 0) {
		for (i = 0; (out->use & use_words[i].use) == 0; i++)
			;
		split(a, use_words[i].name + 1, out);
		out->mapped = "special-use rename";
	} else if (r->inbox_children == INBOX_TOP && f->npath > 1 &&
	    is_inbox(f->path[0])) {
		out->path++;
		out->npath--;
		out->mapped = "inbox-children top";
	}
}

bool
rules_rename_uses(const struct rules *r)
{
	return r->special_use == SPECIAL_RENAME;
}

static const char *
excluded_by(const struct pattern *p, size_t n, struct arena *a,
    const struct folder_info *f)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (pattern_fits(&p[i], a, f))
			return p[i].text;
	return NULL;
}

/* The same by role: f[i] has the use, or lies below a mailbox that has it. */
static const char *
excluded_by_use(const struct pattern *p, size_t np,
    const struct folder_info *f, size_t i, const size_t *used, size_t nused,
    const struct rule_result *out)
{
	size_t k, u;

	for (k = 0; k < np; k++)
		for (u = 0; p[k].use != 0 && u < nused; u++)
			if ((out[used[u]].use & p[k].use) != 0 &&
			    is_below(&f[i], &f[used[u]]))
				return p[k].text;
	return NULL;
}

void
rules_apply(const struct rules *r, struct arena *a,
    const struct folder_info *f, size_t n, const int64_t *newest,
    struct rule_result *out)
{
	size_t used[NUSES], nused = 0, i;

	memset(out, 0, n * sizeof *out);
	/* What a name rule leaves out takes no mark away from another. */
	for (i = 0; i < n; i++)
		out[i].excluded = excluded_by(r->excludes, r->nexcludes, a,
		    &f[i]);
	choose_uses(r, f, n, newest, out);
	for (i = 0; i < n; i++)
		if (out[i].use != 0)
			used[nused++] = i;
	for (i = 0; i < n; i++) {
		if (out[i].excluded == NULL)
			out[i].excluded = excluded_by_use(r->excludes,
			    r->nexcludes, f, i, used, nused, out);
		if (out[i].excluded == NULL && f[i].class != FOLDER_MAIL)
			out[i].excluded = "no mail by its class (calendar, "
			    "contacts...)";
		if (out[i].excluded == NULL && r->nincludes > 0 &&
		    excluded_by(r->includes, r->nincludes, a, &f[i]) == NULL &&
		    excluded_by_use(r->includes, r->nincludes, f, i, used,
		    nused, out) == NULL)
			out[i].excluded = "include (not in the list)";
		name_it(r, a, &f[i], &out[i]);
	}
	for (i = 0; i < n; i++)
		if (r->special_use == SPECIAL_OFF || out[i].excluded != NULL)
			out[i].use = 0;
}

/* CommuniGate hides such messages from its users. */
static bool
is_hidden(const struct msg_meta *m)
{
	for (size_t i = 0; i < m->nkeywords; i++)
		if (strcasecmp(m->keywords[i], "$Hidden") == 0 ||
		    strcasecmp(m->keywords[i], "Hidden") == 0)
			return true;
	return false;
}

const char *
rules_message(const struct rules *r, const struct msg_meta *m)
{
	if (r->skip_deleted && (m->flags & MSG_DELETED) != 0)
		return "deleted skip";
	if (r->skip_hidden && is_hidden(m))
		return "hidden skip";
	if (r->max_size != UNKNOWN64 && m->size != UNKNOWN64 &&
	    m->size > r->max_size)
		return r->max_size_text;
	if (m->date == NO_DATE)
		return NULL;
	if (r->newer != NO_DATE && m->date < r->newer)
		return r->newer_text;
	if (r->older != NO_DATE && m->date >= r->older)
		return r->older_text;
	return NULL;
}
