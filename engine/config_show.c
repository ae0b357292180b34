/* Everything in force, as a job file. */
#include "config_impl.h"

#include <stdlib.h>
#include <string.h>

#include "base/suggest.h"

#define BRIEF_MAX	((size_t)16 * 1024)

static const char *const hidden[] = {
	"secret-command", "secret", "password", "token", NULL };

static void
show_quoted(const char *s, FILE *f)
{
	putc('"', f);
	for (; *s != '\0'; s++) {
		if (*s == '"' || *s == '\\')
			putc('\\', f);
		putc(*s, f);
	}
	putc('"', f);
}

/* A value as a job file would hold it. */
static void
show_text(const char *s, FILE *f)
{
	if (*s == '"' || *s == '\0' || is_blank(*s) ||
	    is_blank(s[strlen(s) - 1]))
		show_quoted(s, f);
	else
		fputs(s, f);
	putc('\n', f);
}

static void
show_value(const struct config *c, enum cfg id, FILE *f)
{
	const struct setting *s = config_setting(id);
	const struct value *v = &c->values[id];
	size_t i;

	if (v->n == 0) {
		fprintf(f, "# not set: %s\n", s->key);
		return;
	}
	for (i = 0; i < v->n; i++) {
		if (i == 0 || strcmp(v->items[i].where,
		    v->items[i - 1].where) != 0)
			fprintf(f, "# %s\n", v->items[i].where);
		/* In [shared] the key is a part of it. */
		if (id != CFG_SHARED)
			fprintf(f, "%s = ", s->key);
		if (s->type == SET_PATTERNS) {
			show_quoted(v->items[i].text, f);
			putc('\n', f);
		} else if (config_is_list(s->type))
			fprintf(f, "%s\n", v->items[i].text);
		else
			show_text(v->items[i].text, f);
	}
}

static void
show_store(const struct store *s, FILE *f)
{
	struct uri bare;
	char *text, *p;
	size_t i;

	if (s->uri == NULL) {
		fprintf(f, "# not set: uri\n");
		return;
	}
	bare = *s->uri;
	bare.nopts = 0;
	text = uri_show(&bare);
	for (p = text; *p != '\0'; p++)
		if ((unsigned char)*p < 0x20 || *p == 0x7f)
			*p = '?';
	fprintf(f, "# %s\nuri = ", s->where);
	show_text(text, f);
	free(text);
	for (i = 0; i < s->uri->nopts; i++) {
		const struct uri_opt *o = &s->uri->opts[i];

		fprintf(f, "# %s\n", config_opt_where(s, o->key));
		if (listed(o->key, hidden))
			fprintf(f, "# set, but not shown: %s\n", o->key);
		else
			fprintf(f, "%s = %s\n", o->key, o->val);
	}
	if (s->lanes != 0)
		fprintf(f, "# %s\nlanes = %u\n", config_opt_where(s, "lanes"),
		    s->lanes);
}

void
config_show(const struct config *c, FILE *f)
{
	const char *name;
	enum cfg id;
	int i, side;

	for (i = 0; i < NSECTIONS; i++) {
		name = config_sections[i];
		fprintf(f, "%s[%s]\n", i == 0 ? "" : "\n", name);
		if ((side = config_side_of(i)) != -1) {
			show_store(&c->stores[side], f);
			continue;
		}
		for (id = 0; id < CFG_COUNT; id++) {
			if (strcmp(config_setting(id)->section, name) != 0)
				continue;
			if (id == CFG_STATE && c->state != NULL) {
				fprintf(f, "# %s\nstate = ",
				    config_isset(c, id) ?
				    config_where(c, id) : "default");
				show_text(c->state, f);
			} else
				show_value(c, id, f);
		}
	}
}

/* What is no part of how mail is carried over. */
static bool
is_brief(enum cfg id)
{
	static const enum cfg other[] = { CFG_STATE, CFG_QUIET, CFG_VERBOSE,
	    CFG_FORMAT, CFG_LOG, CFG_LOG_DIR, CFG_TRACE };

	for (size_t i = 0; i < sizeof other / sizeof other[0]; i++)
		if (other[i] == id)
			return false;
	return (config_setting(id)->commands & FOR_COPY) != 0;
}

static void
brief_line(struct buf *out, const char *section, const char *key,
    const char *value)
{
	size_t start = out->len;

	buf_addf(out, "%s.%s = ", section, key);
	buf_adds(out, value);
	for (; start < out->len; start++)
		if ((unsigned char)out->ptr[start] < 0x20)
			out->ptr[start] = '?';
	buf_addc(out, '\n');
}

void
config_brief(const struct config *c, struct buf *out)
{
	static const char *const sides[] = { "source", "target" };

	for (enum cfg id = 0; id < CFG_COUNT; id++) {
		const struct value *v = &c->values[id];

		for (size_t i = 0; i < v->n && is_brief(id) &&
		    v->level != LEVEL_DEFAULT && out->len < BRIEF_MAX; i++)
			brief_line(out, config_setting(id)->section,
			    config_setting(id)->key, v->items[i].text);
	}
	for (int side = 0; side < 2; side++) {
		const struct uri *u = c->stores[side].uri;

		for (size_t i = 0; u != NULL && i < u->nopts &&
		    out->len < BRIEF_MAX; i++)
			if (strncmp(u->opts[i].key, "secret", 6) != 0 &&
			    !listed(u->opts[i].key, hidden))
				brief_line(out, sides[side], u->opts[i].key,
				    u->opts[i].val);
	}
}
