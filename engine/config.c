/* Settings: the values in force, and the command line. */
#include "config_impl.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/suggest.h"
#include "base/xmalloc.h"
#include "shared_map.h"

/* Values */

void
config_unknown(struct buf *errors, const char *where, const char *what,
    const char *name, const char *const *known)
{
	const char *near = suggest(name, known);

	if (near != NULL)
		complain(errors, where, "unknown %s '%.60s'; did you mean "
		    "'%s'?", what, name, near);
	else
		complain(errors, where, "unknown %s '%.60s'", what, name);
}

static void
clear_value(struct value *v)
{
	size_t i;

	for (i = 0; i < v->n; i++) {
		free(v->items[i].text);
		free(v->items[i].where);
	}
	free(v->items);
	v->items = NULL;
	v->n = 0;
}

/* Keeps a value that has been checked. */
static void
put(struct config *c, enum cfg id, const char *text, uint64_t num,
    const struct origin *o)
{
	struct value *v = &c->values[id];

	if (v->n > 0 && v->level > o->level)
		return;
	if (v->level < o->level || !config_is_list(config_setting(id)->type))
		clear_value(v);
	v->items = xreallocarray(v->items, v->n + 1, sizeof *v->items);
	v->items[v->n].text = xstrdup(text);
	v->items[v->n++].where = xstrdup(o->where);
	v->level = o->level;
	v->num = num;
}

/* One item of a list: checked by those who will use it. */
static size_t
put_item(struct config *c, enum cfg id, const char *text,
    const struct origin *o, struct buf *errors)
{
	struct rules *r = rules_new();
	struct limits limits = { .n = 0 };
	struct err e;
	int rc = 0;

	if (config_setting(id)->type == SET_LIMITS)
		rc = limits_add(&limits, text, &e);
	else if (id == CFG_MAP)
		rc = rules_add_map(r, text, &e);
	else if (id == CFG_SHARED)
		rc = shared_rule_check(text, &e);
	else if (id == CFG_SPECIAL_NAME)
		rc = rules_add_special(r, text, &e);
	else if (config_setting(id)->type == SET_PATTERNS)
		rc = rules_add_include(r, text, &e);
	rules_free(&r);
	if (rc == -1) {
		complain(errors, o->where, "%s: %s", config_setting(id)->key,
		    e.text);
		return 1;
	}
	put(c, id, text, 0, o);
	return 0;
}

/* A word, or a quoted one, from *p on into b; -1: its quotes do not close. */
static int
word(const char **p, struct buf *b)
{
	buf_reset(b);
	if (**p != '"') {
		for (; **p != '\0' && !is_blank(**p); ++*p)
			buf_addc(b, **p);
		/* "\\Trash" is written with one or two. */
		if (b->len > 1 && b->ptr[0] == '\\' && b->ptr[1] == '\\')
			buf_drop(b, 1);
		return 0;
	}
	if (text_quoted(p, b) == -1)
		return -1;
	return **p == '\0' || is_blank(**p) ? 0 : -1;
}

static size_t
put_patterns(struct config *c, enum cfg id, const char *text,
    const struct origin *o, struct buf *errors)
{
	const char *key = config_setting(id)->key, *p = text;
	bool plain, last_plain = false;
	size_t bad = 0;
	struct buf b;

	/* An option is one pattern; the shell has taken its quotes away. */
	if (o->level == LEVEL_OPTION && *text != '"')
		return put_item(c, id, text, o, errors);
	buf_init(&b, JOB_MAX_BYTES);
	for (;;) {
		p += strspn(p, " \t");
		if (*p == '\0')
			break;
		plain = *p != '"' && *p != '\\';
		if (word(&p, &b) == -1) {
			complain(errors, o->where,
			    "%s: the quotes do not close", key);
			bad++;
			break;
		}
		if (plain && last_plain) {
			complain(errors, o->where, "%s: is '%.60s' one name or "
			    "several? write \"each name\" in quotes, or on a "
			    "line of its own", key, text);
			bad++;
			break;
		}
		last_plain = plain;
		bad += put_item(c, id, b.ptr, o, errors);
	}
	buf_release(&b);
	return bad;
}

static size_t
put_names(struct config *c, enum cfg id, const char *text,
    const struct origin *o, struct buf *errors)
{
	const char *p, *end, *next;
	size_t bad = 0;
	char *name;

	for (p = text; ; p = next + 1) {
		next = p + strcspn(p, ",");
		p += strspn(p, " \t");
		for (end = next; end > p && is_blank(end[-1]); end--)
			;
		if (end <= p) {
			complain(errors, o->where, "%s: an empty name in "
			    "'%.60s'", config_setting(id)->key, text);
			bad++;
		} else {
			name = xmemdup0(p, (size_t)(end - p));
			bad += put_item(c, id, name, o, errors);
			free(name);
		}
		if (*next == '\0')
			return bad;
	}
}

size_t
config_set_value(struct config *c, enum cfg id, const char *text,
    const struct origin *o, struct buf *errors)
{
	const struct setting *s = config_setting(id);
	uint64_t num = 0;
	char *path;

	if (*text == '\0') {
		complain(errors, o->where, "%s has no value", s->key);
		return 1;
	}
	if (strpbrk(text, "\r\n") != NULL) {
		complain(errors, o->where, "%s: a line end in the value",
		    s->key);
		return 1;
	}
	switch (s->type) {
	case SET_NAMES:
		return put_names(c, id, text, o, errors);
	case SET_PATTERNS:
		return put_patterns(c, id, text, o, errors);
	case SET_RULES:
	case SET_LIMITS:
		return put_item(c, id, text, o, errors);
	case SET_PATH:
		path = config_path_at(o->dir, text, false);
		put(c, id, path, 0, o);
		free(path);
		return 0;
	case SET_STRING:
	case SET_BOOL:
	case SET_NUMBER:
	case SET_LIMIT:
	case SET_DURATION:
	case SET_SIZE:
	case SET_DATE:
	case SET_ENUM:
	case SET_QUOTA:
	case SET_CLOCK:
		break;
	}
	if (config_parse_number(s, text, &num, o->where, errors) == -1)
		return 1;
	put(c, id, text, num, o);
	return 0;
}

struct config *
config_new(void)
{
	static const struct origin o = { LEVEL_DEFAULT, "default", NULL, 0 };
	struct config *c = xcalloc(1, sizeof *c);
	const char *def;
	struct buf errors;
	enum cfg id;
	size_t bad = 0;

	buf_init(&errors, 4096);
	for (id = 0; id < CFG_COUNT; id++)
		if ((def = config_setting(id)->def) != NULL)
			bad += config_set_value(c, id, def, &o, &errors);
	assert(bad == 0);
	buf_release(&errors);
	return c;
}

void
config_free(struct config **cp)
{
	struct config *c = *cp;
	enum cfg id;

	if (c == NULL)
		return;
	for (id = 0; id < CFG_COUNT; id++)
		clear_value(&c->values[id]);
	config_free_store(&c->stores[SIDE_SOURCE]);
	config_free_store(&c->stores[SIDE_TARGET]);
	free(c->job);
	free(c->state);
	free(c->state_dir);
	free(c);
	*cp = NULL;
}

/* The command line */

size_t
config_option(struct config *c, enum cfg id, const char *value,
    struct buf *errors)
{
	struct origin o = { LEVEL_OPTION, NULL, NULL, 0 };
	struct buf where;
	size_t bad;

	buf_init(&where, 128);
	buf_addf(&where, "--%s", config_setting(id)->key);
	o.where = where.ptr;
	bad = config_set_value(c, id, value, &o, errors);
	buf_release(&where);
	return bad;
}

size_t
config_set(struct config *c, const char *text, struct buf *errors)
{
	static const struct origin o = { LEVEL_SET, "--set", NULL, 0 };
	char *copy = xstrdup(text), *eq = strchr(copy, '='), *dot;
	size_t bad = 1;
	int section;

	if (eq != NULL)
		*eq++ = '\0';
	if (eq == NULL || (dot = strchr(copy, '.')) == NULL)
		complain(errors, o.where, "'%.60s' is not "
		    "SECTION.KEY=VALUE", copy);
	else {
		*dot++ = '\0';
		if ((section = config_find_section(copy)) == -1)
			config_unknown(errors, o.where, "section", copy,
			    config_sections);
		else
			bad = config_assign(c, section, dot, eq, &o, errors);
	}
	free(copy);
	return bad;
}

size_t
config_store_arg(struct config *c, enum side side, const char *uri,
    struct buf *errors)
{
	static const struct origin o[] = {
		{ LEVEL_OPTION, "SOURCE", NULL, 0 },
		{ LEVEL_OPTION, "TARGET", NULL, 0 }
	};

	return config_set_store(c, side, uri, &o[side], errors);
}

/* The end of reading */

void
config_limits(const struct config *c, enum side side, struct limits *l)
{
	enum cfg id = side == SIDE_SOURCE ? CFG_SOURCE_LIMIT :
	    CFG_TARGET_LIMIT;
	struct err e;

	for (size_t i = 0; i < config_list(c, id); i++)
		limits_add(l, config_item(c, id, i), &e);
}

/* Rules that are right each may be wrong together. */
static size_t
check_limits(const struct config *c, enum cfg id, struct buf *errors)
{
	const struct value *v = &c->values[id];
	struct limits l = { .n = 0 };
	size_t bad = 0;
	struct err e;

	for (size_t i = 0; i < v->n; i++)
		if (limits_add(&l, v->items[i].text, &e) == -1) {
			complain(errors, v->items[i].where, "%s: %s",
			    config_setting(id)->key, e.text);
			bad++;
		}
	return bad;
}

size_t
config_finish(struct config *c, bool stores, struct buf *errors)
{
	size_t bad;

	/* The rows of an account list may bring their own. */
	stores = stores && !config_isset(c, CFG_ACCOUNTS);
	bad = config_finish_store(c, SIDE_SOURCE, stores, errors);
	bad += config_finish_store(c, SIDE_TARGET, stores, errors);
	if (config_num(c, CFG_NEWER_THAN) != UINT64_MAX &&
	    config_num(c, CFG_OLDER_THAN) != UINT64_MAX &&
	    config_num(c, CFG_NEWER_THAN) >= config_num(c, CFG_OLDER_THAN)) {
		complain(errors, config_where(c, CFG_NEWER_THAN), "newer-than "
		    "%s and older-than %s leave no message",
		    config_str(c, CFG_NEWER_THAN),
		    config_str(c, CFG_OLDER_THAN));
		bad++;
	}
	bad += check_limits(c, CFG_SOURCE_LIMIT, errors);
	bad += check_limits(c, CFG_TARGET_LIMIT, errors);
	if (bad == 0)
		config_finish_state(c);
	return bad;
}

/* Values in force */

bool
config_isset(const struct config *c, enum cfg id)
{
	return c->values[id].n > 0;
}

const char *
config_str(const struct config *c, enum cfg id)
{
	assert(!config_is_list(config_setting(id)->type));
	return config_item(c, id, 0);
}

bool
config_bool(const struct config *c, enum cfg id)
{
	assert(config_setting(id)->type == SET_BOOL);
	return c->values[id].num != 0;
}

uint64_t
config_num(const struct config *c, enum cfg id)
{
	enum setting_type type = config_setting(id)->type;

	assert(type != SET_STRING && type != SET_PATH &&
	    !config_is_list(type));
	(void)type;
	return c->values[id].n > 0 ? c->values[id].num : UINT64_MAX;
}

int
config_enum(const struct config *c, enum cfg id)
{
	assert(config_setting(id)->type == SET_ENUM);
	return (int)c->values[id].num;
}

size_t
config_list(const struct config *c, enum cfg id)
{
	return c->values[id].n;
}

const char *
config_item(const struct config *c, enum cfg id, size_t i)
{
	return i < c->values[id].n ? c->values[id].items[i].text : NULL;
}

const char *
config_where(const struct config *c, enum cfg id)
{
	return c->values[id].n > 0 ? c->values[id].items[0].where : "not set";
}

const struct uri *
config_store(const struct config *c, enum side side)
{
	return c->stores[side].uri;
}

const char *
config_store_where(const struct config *c, enum side side)
{
	return c->stores[side].uri != NULL ? c->stores[side].where : "not set";
}

unsigned
config_store_lanes(const struct config *c, enum side side)
{
	return c->stores[side].lanes;
}

const char *
config_job(const struct config *c)
{
	return c->job;
}

/* "newer-than 2020-01-01", as the report calls it. */
static char *
rule_text(const struct config *c, enum cfg id)
{
	struct buf b;

	buf_init(&b, SIZE_MAX / 4);
	buf_addf(&b, "%s %s", config_setting(id)->key, config_str(c, id));
	return buf_detach(&b, NULL);
}

struct rules *
config_rules(const struct config *c)
{
	static const struct {
		enum cfg id;
		int (*add)(struct rules *, const char *, struct err *);
	} lists[] = {
		{ CFG_MAP, rules_add_map },
		{ CFG_INCLUDE, rules_add_include },
		{ CFG_EXCLUDE, rules_add_exclude },
		{ CFG_SPECIAL_NAME, rules_add_special }
	};
	struct rules *r = rules_new();
	struct err e;
	size_t i, k;
	char *text;
	int rc;

	for (i = 0; i < sizeof lists / sizeof lists[0]; i++)
		for (k = 0; k < config_list(c, lists[i].id); k++) {
			rc = lists[i].add(r, config_item(c, lists[i].id, k),
			    &e);
			assert(rc == 0);	/* checked when it was read */
			(void)rc;
		}
	rules_set_special_use(r,
	    (enum special_use_mode)config_enum(c, CFG_SPECIAL_USE));
	rules_set_inbox_children(r,
	    (enum inbox_children)config_enum(c, CFG_INBOX_CHILDREN));
	if (config_isset(c, CFG_NEWER_THAN)) {
		text = rule_text(c, CFG_NEWER_THAN);
		rules_set_newer(r, (int64_t)config_num(c, CFG_NEWER_THAN),
		    text);
		free(text);
	}
	if (config_isset(c, CFG_OLDER_THAN)) {
		text = rule_text(c, CFG_OLDER_THAN);
		rules_set_older(r, (int64_t)config_num(c, CFG_OLDER_THAN),
		    text);
		free(text);
	}
	if (config_isset(c, CFG_MAX_SIZE)) {
		text = rule_text(c, CFG_MAX_SIZE);
		rules_set_max_size(r, config_num(c, CFG_MAX_SIZE), text);
		free(text);
	}
	rules_set_skip_deleted(r, config_enum(c, CFG_DELETED) == DELETED_SKIP);
	rules_set_skip_hidden(r, config_enum(c, CFG_HIDDEN) == DELETED_SKIP);
	return r;
}
