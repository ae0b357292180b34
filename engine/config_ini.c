/*
 * Reading the job file.
 *
 * It is UTF-8 text (a BOM and CRLF are accepted), line by line:
 *
 *	[section]
 *	key = value	up to the end of the line, whatever is in it; blanks
 *			around key and value do not count; a value that starts
 *			with '"' ends with '"' and holds \" and \\ (but not in
 *			[source] and [target], apart from uri)
 *	; or #		at the start of a line: a comment
 *
 * A section or a key that is not a list stands there once.  [source] and
 * [target] hold uri and the options of that store; [shared] has accounts as
 * keys.
 */
#include "config_impl.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/mutf7.h"
#include "base/xmalloc.h"

struct reader {
	struct config	*c;
	const char	*file, *dir;
	struct buf	*errors;
	unsigned	 line;
	int		 section;	/* index, -1: none, -2: unknown */
	unsigned	 seen[NSECTIONS];
	size_t		 bad;
};

/* "text" without its quotes, in place; -1: no closing one at the end. */
static int
unquote(char *text)
{
	const char *p = text;
	struct buf b;
	int rc;

	if (*text != '"')
		return 0;
	buf_init(&b, SIZE_MAX / 4);
	rc = text_quoted(&p, &b) == 0 && *p == '\0' ? 0 : -1;
	if (rc == 0)
		memcpy(text, b.ptr, b.len + 1);
	buf_release(&b);
	return rc;
}

/* Whether a section has this setting; complains if not. */
static bool
belongs(int section, enum cfg id, const char *key, const char *where,
    struct buf *errors)
{
	const char *known[CFG_COUNT + 1], *name = config_sections[section];
	const struct setting *s;
	size_t n = 0;

	if (id < CFG_COUNT) {
		s = config_setting(id);
		if (strcmp(s->section, name) == 0)
			return true;
		complain(errors, where, "'%s' belongs into [%s], not [%s]",
		    key, s->section, name);
		return false;
	}
	for (id = 0; id < CFG_COUNT; id++) {
		s = config_setting(id);
		if (strcmp(s->section, name) == 0)
			known[n++] = s->key;
	}
	known[n] = NULL;
	config_unknown(errors, where, "key", key, known);
	return false;
}

size_t
config_assign(struct config *c, int section, const char *key, char *val,
    const struct origin *o, struct buf *errors)
{
	enum cfg id = config_find(key);
	int side = config_side_of(section);
	struct buf rule;
	size_t bad;
	bool list;

	/* Its keys are accounts. */
	if (strcmp(config_sections[section], "shared") == 0) {
		buf_init(&rule, JOB_MAX_BYTES);
		buf_addf(&rule, "%s = %s", key, val);
		bad = config_set_value(c, CFG_SHARED, rule.ptr, o, errors);
		buf_release(&rule);
		return bad;
	}

	if (side != -1 && strcmp(key, "uri") != 0)
		return config_set_store_opt(c, (enum side)side, key, val, o,
		    errors);
	if (side == -1) {
		if (!belongs(section, id, key, o->where, errors))
			return 1;
		list = config_is_list(config_setting(id)->type);
		if (o->level == LEVEL_FILE) {
			if (c->values[id].line != 0 && !list) {
				complain(errors, o->where, "'%s' again; the "
				    "first is at line %u", key,
				    c->values[id].line);
				return 1;
			}
			c->values[id].line = o->line;
		}
		if (list)
			return config_set_value(c, id, val, o, errors);
	}
	if (unquote(val) == -1) {
		complain(errors, o->where,
		    "%s: the quotes do not close at the end", key);
		return 1;
	}
	return side != -1 ?
	    config_set_store(c, (enum side)side, val, o, errors) :
	    config_set_value(c, id, val, o, errors);
}

static void
read_section(struct reader *r, char *p, const char *where)
{
	char *end = strchr(p, ']');
	int i;

	r->section = -2;
	if (end == NULL || end[1] != '\0') {
		complain(r->errors, where, end == NULL ? "a '[' without ']'" :
		    "text after the ']'");
		r->bad++;
		return;
	}
	*end = '\0';
	for (p++; is_blank(*p); p++)
		;
	while (end > p && is_blank(end[-1]))
		*--end = '\0';
	if ((i = config_find_section(p)) == -1) {
		config_unknown(r->errors, where, "section", p,
		    config_sections);
		r->bad++;
		return;
	}
	if (r->seen[i] != 0) {
		complain(r->errors, where, "section [%s] again; the first is "
		    "at line %u", p, r->seen[i]);
		r->bad++;
	} else
		r->seen[i] = r->line;
	r->section = i;
}

/* One line without its end, NUL-terminated. */
static void
read_line(struct reader *r, char *p, size_t len)
{
	struct origin o = { LEVEL_FILE, NULL, r->dir, r->line };
	char *eq, *end;
	struct buf where;

	buf_init(&where, SIZE_MAX / 4);
	buf_addf(&where, "%s:%u", r->file, r->line);
	o.where = where.ptr;
	if (memchr(p, '\0', len) != NULL || !utf8_valid(p, len)) {
		complain(r->errors, o.where, memchr(p, '\0', len) != NULL ?
		    "a NUL byte" : "this is not UTF-8");
		r->bad++;
		goto out;
	}
	for (end = p + len; end > p && is_blank(end[-1]); )
		*--end = '\0';
	while (is_blank(*p))
		p++;
	if (*p == '\0' || *p == ';' || *p == '#')
		goto out;
	if (*p == '[') {
		read_section(r, p, o.where);
		goto out;
	}
	if (r->section == -2)
		goto out;		/* said already */
	if ((eq = strchr(p, '=')) == NULL || eq == p) {
		complain(r->errors, o.where, "this is no key = value: "
		    "'%.40s'", p);
		r->bad++;
		goto out;
	}
	for (end = eq; end > p && is_blank(end[-1]); end--)
		;
	*end = '\0';
	for (eq++; is_blank(*eq); eq++)
		;
	if (r->section == -1) {
		complain(r->errors, o.where, "'%.60s' stands before the first "
		    "[section]", p);
		r->bad++;
	} else
		r->bad += config_assign(r->c, r->section, p, eq, &o, r->errors);
out:
	buf_release(&where);
}

size_t
config_read_text(struct config *c, const char *file, const char *dir,
    const char *p, size_t len, struct buf *errors)
{
	struct reader r = { .c = c, .file = file, .dir = dir,
	    .errors = errors, .line = 0, .section = -1 };
	const char *end = p + len, *nl, *stop;
	char *line;

	free(c->job);
	c->job = xstrdup(file);
	if ((p = text_start(p, len)) == NULL) {
		complain(errors, file, "this is UTF-16 text; save it as "
		    "UTF-8");
		return 1;
	}
	for (; p < end; p = nl + 1) {
		if ((nl = memchr(p, '\n', (size_t)(end - p))) == NULL)
			nl = end;
		stop = nl > p && nl[-1] == '\r' ? nl - 1 : nl;
		r.line++;
		line = xmemdup0(p, (size_t)(stop - p));
		read_line(&r, line, (size_t)(stop - p));
		free(line);
		if (nl == end)
			break;
	}
	return r.bad;
}

size_t
config_read(struct config *c, const char *path, struct buf *errors)
{
	const char *slash = strrchr(path, '/');
	struct buf b;
	mode_t mode;
	char *dir;
	size_t bad = 1;

	buf_init(&b, JOB_MAX_BYTES);
	if (text_read(path, &b, &mode) == -1)
		complain(errors, path, "cannot read the job file: %s",
		    strerror(errno));
	else {
		dir = slash == NULL ? NULL :
		    xmemdup0(path, (size_t)(slash - path));
		bad = config_read_text(c, path, dir, b.ptr, b.len, errors);
		free(dir);
	}
	buf_release(&b);
	return bad;
}
