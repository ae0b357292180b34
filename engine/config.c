/*
 * Settings: the table, the job file, the values in force.
 *
 * The job file is UTF-8 text (a BOM and CRLF are accepted), line by line:
 *
 *	[section]
 *	key = value	up to the end of the line, whatever is in it; blanks
 *			around key and value do not count; a value that starts
 *			with '"' ends with '"' and holds \" and \\ (but not in
 *			[source] and [target], apart from uri)
 *	; or #		at the start of a line: a comment
 *
 * A section or a key that is not a list stands there once.  [source] and
 * [target] hold uri and the options of that store.
 */
#include "config.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/date.h"
#include "base/mutf7.h"
#include "base/xmalloc.h"
#include "source_impl.h"
#include "target_impl.h"

#define FILE_MAX_BYTES	((size_t)16 * 1024 * 1024)
#define ALL		(FOR_COPY | FOR_REPORT | FOR_STATUS)

static const char *const order_words[] = {
	"largest", "smallest", "list", NULL };
static const char *const existing_words[] = { "adopt", "merge", NULL };
static const char *const empty_words[] = { "refuse", "ok", NULL };
static const char *const format_words[] = { "text", "json", NULL };
static const char *const special_words[] = { "mark", "rename", "off", NULL };
static const char *const inbox_words[] = { "keep", "top", NULL };
static const char *const collision_words[] = { "rename", "refuse", NULL };
static const char *const subscribe_words[] = {
	"auto", "source", "all", "none", NULL };
static const char *const deleted_words[] = { "copy", "skip", NULL };

/* scripts/check-docs reads this table: one setting starts on each line that
 * holds "[CFG_". */
static const struct setting table[CFG_COUNT] = {
[CFG_STATE] = { "job", "state", SET_PATH, ALL, NULL, "FILE",
	"the state of this migration", NULL, 0, 0 },
[CFG_ACCOUNTS] = { "job", "accounts", SET_PATH, FOR_COPY, NULL, "LIST",
	"the account list (CSV)", NULL, 0, 0 },
[CFG_ONLY] = { "job", "only", SET_NAMES, FOR_COPY, NULL,
	"NAME,PATTERN", "only these accounts", NULL, 0, 0 },
[CFG_LANES] = { "job", "lanes", SET_NUMBER, FOR_COPY, "8", "N",
	"work on N mailboxes at a time", NULL, 1, 256 },
[CFG_LANES_PER_ACCOUNT] = { "job", "lanes-per-account", SET_NUMBER, FOR_COPY,
	"2", "N", "at most N of them of one account", NULL, 1, 256 },
[CFG_ORDER] = { "job", "order", SET_ENUM, FOR_COPY, "largest", "WHICH",
	"which accounts go first", order_words, 0, 0 },
[CFG_CREATE_USERS] = { "job", "create-users", SET_BOOL, FOR_COPY, "no", NULL,
	"make users that the target lacks", NULL, 0, 0 },
[CFG_EXISTING] = { "job", "existing", SET_ENUM, FOR_COPY, "adopt", "HOW",
	"target accounts with mail the state does not know",
	existing_words, 0, 0 },
[CFG_EMPTY] = { "job", "empty", SET_ENUM, FOR_COPY, "refuse", "HOW",
	"source accounts without a message", empty_words, 0, 0 },
[CFG_SETTLE] = { "job", "settle", SET_DURATION, FOR_COPY, "180", "SECONDS",
	"wait before a doubtful batch goes again", NULL,
	0, 86400 },
[CFG_REPAIR] = { "job", "repair", SET_BOOL, FOR_COPY, "no", NULL,
	"change a refused message as little as needed",
	NULL, 0, 0 },
[CFG_REMOVE_DOUBLES] = { "job", "remove-doubles", SET_BOOL, FOR_COPY, "no",
	NULL, "expunge late copies of our own batches", NULL, 0, 0 },
[CFG_FORMAT] = { "job", "format", SET_ENUM, ALL, "text", "FORMAT",
	"of what goes to standard output", format_words, 0, 0 },
[CFG_QUIET] = { "job", "quiet", SET_BOOL, FOR_COPY, "no", NULL,
	"no progress on standard error", NULL, 0, 0 },
[CFG_VERBOSE] = { "job", "verbose", SET_BOOL, FOR_COPY, "no", NULL,
	"say more on standard error", NULL, 0, 0 },
[CFG_MAP] = { "folders", "map", SET_RULES, FOR_COPY, NULL, "'OLD -> NEW'",
	"rename a mailbox", NULL, 0, 0 },
[CFG_INCLUDE] = { "folders", "include", SET_PATTERNS, FOR_COPY, NULL,
	"PATTERN", "copy only these mailboxes", NULL, 0, 0 },
[CFG_EXCLUDE] = { "folders", "exclude", SET_PATTERNS, FOR_COPY, NULL,
	"PATTERN", "leave these mailboxes out", NULL, 0, 0 },
[CFG_SPECIAL_USE] = { "folders", "special-use", SET_ENUM, FOR_COPY, "mark",
	"HOW", "what to do with Sent, Drafts, Trash, ...", special_words,
	0, 0 },
[CFG_SPECIAL_NAME] = { "folders", "special-name", SET_RULES, FOR_COPY, NULL,
	"'NAME -> \\USE'", "one more name for a special use", NULL,
	0, 0 },
[CFG_INBOX_CHILDREN] = { "folders", "inbox-children", SET_ENUM, FOR_COPY,
	"keep", "HOW", "mailboxes below INBOX", inbox_words, 0, 0 },
[CFG_COLLISIONS] = { "folders", "collisions", SET_ENUM, FOR_COPY, "rename",
	"HOW", "two mailboxes with one target name", collision_words, 0, 0 },
[CFG_SUBSCRIBE] = { "folders", "subscribe", SET_ENUM, FOR_COPY, "auto",
	"WHICH", "which mailboxes are subscribed", subscribe_words, 0, 0 },
[CFG_NEWER_THAN] = { "messages", "newer-than", SET_DATE, FOR_COPY, NULL,
	"DATE", "only messages from that day on", NULL, 0, 0 },
[CFG_OLDER_THAN] = { "messages", "older-than", SET_DATE, FOR_COPY, NULL,
	"DATE", "only messages from before that day", NULL, 0, 0 },
[CFG_MAX_SIZE] = { "messages", "max-size", SET_SIZE, FOR_COPY, NULL, "SIZE",
	"leave larger messages out", NULL, 0, 0 },
[CFG_DELETED] = { "messages", "deleted", SET_ENUM, FOR_COPY, "copy", "HOW",
	"messages that are marked as deleted", deleted_words, 0, 0 },
[CFG_MIN_FREE] = { "limits", "min-free", SET_SIZE, FOR_COPY, "256M", "SIZE",
	"hold on below that much free space", NULL, 0, 0 },
[CFG_PATIENCE] = { "limits", "patience", SET_DURATION, FOR_COPY, "2h", "TIME",
	"end the run if a host is away so long", NULL, 0, 0 },
[CFG_MAX_RETRIES] = { "limits", "max-retries", SET_NUMBER, FOR_COPY, "5", "N",
	"tries before an account has failed", NULL, 0, 1000 },
};

/* Later ones go before earlier ones. */
enum level { LEVEL_DEFAULT, LEVEL_FILE, LEVEL_SET, LEVEL_OPTION };

struct item {
	char	*text, *where;
};

struct value {
	enum level	 level;
	struct item	*items;		/* one, but for lists */
	size_t		 n;
	uint64_t	 num;
	unsigned	 line;		/* in the job file, or 0 */
};

struct store_opt {
	char		*key, *val, *where;
	enum level	 level;
	bool		 in_force;	/* not overridden by the URI */
};

struct store {
	struct uri	*uri;
	char		*where;
	enum level	 level;
	struct store_opt *opts;
	size_t		 nopts;
	unsigned	 lanes;
};

struct config {
	struct value	 values[CFG_COUNT];
	struct store	 stores[2];
	char		*job;			/* the file, or NULL */
	char		*state, *state_dir;	/* state_dir: to be made */
};

/* Where a value comes from, while it is read. */
struct origin {
	enum level	 level;
	const char	*where;		/* "job.ini:12" */
	const char	*dir;		/* relative paths start here, or NULL */
	unsigned	 line;
};

static const char *const side_names[] = { "source", "target" };
static const char *const sections[] = {
	"job", "source", "target", "folders", "messages", "limits", NULL };

/* What the engine itself takes from a store's options. */
static const char *const engine_options[] = {
	"secret-file", "secret-env", "secret-fd", "secret-command", "lanes",
	NULL };
/* Options that are paths, and kinds of stores whose path is one. */
static const char *const path_options[] = {
	"ca", "cert", "key", "secret-file", "conf", NULL };
static const char *const path_schemes[] = {
	"mbox", "maildir", "cgp", "dovecot", NULL };

static bool
is_in(const char *word, const char *const *list)
{
	for (; *list != NULL; list++)
		if (strcmp(word, *list) == 0)
			return true;
	return false;
}

void
complain(struct buf *errors, const char *where, const char *fmt, ...)
{
	size_t start = errors->len;
	va_list ap;
	char text[1024];

	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	buf_addf(errors, "%s%s%s", where, *where != '\0' ? ": " : "", text);
	for (; start < errors->len; start++)
		if ((unsigned char)errors->ptr[start] < 0x20 ||
		    errors->ptr[start] == 0x7f)
			errors->ptr[start] = '?';
	buf_addc(errors, '\n');
}

/* Complains of a name that is in no list, with the nearest one that is. */
static void
unknown(struct buf *errors, const char *where, const char *what,
    const char *name, const char *const *known)
{
	struct uri_opt o = { .key = xstrdup(name) };
	struct uri u = { .opts = &o, .nopts = 1 };
	const char *hint;
	struct err e;

	/* The one place that knows how to guess is that for URI options. */
	hint = "";
	if (uri_check_opts(&u, known, &e) == -1 &&
	    (hint = strstr(e.text, "; did you mean ")) == NULL)
		hint = "";
	complain(errors, where, "unknown %s '%.60s'%s", what, name, hint);
	free(o.key);
}

const struct setting *
config_setting(enum cfg id)
{
	return &table[id];
}

enum cfg
config_find(const char *key)
{
	enum cfg id;

	for (id = 0; id < CFG_COUNT; id++)
		if (strcmp(table[id].key, key) == 0)
			break;
	return id;
}

static bool
is_list(enum setting_type type)
{
	return type == SET_NAMES || type == SET_PATTERNS || type == SET_RULES;
}

/* Values */

/* Digits and the rest; -1: no digits, or too many. */
static int
digits(const char **p, uint64_t *n)
{
	const char *start = *p;

	for (*n = 0; **p >= '0' && **p <= '9'; ++*p) {
		if (*n > (UINT64_MAX - 9) / 10)
			return -1;
		*n = *n * 10 + (uint64_t)(**p - '0');
	}
	return *p == start ? -1 : 0;
}

static int
scaled(const char *text, const char *units, const uint64_t *factors,
    uint64_t *out)
{
	const char *unit;
	uint64_t n;

	if (digits(&text, &n) == -1)
		return -1;
	if (*text != '\0') {
		if (text[1] != '\0' || (unit = strchr(units, *text)) == NULL)
			return -1;
		if (n > INT64_MAX / factors[unit - units])
			return -1;
		n *= factors[unit - units];
	}
	*out = n;
	return 0;
}

int
config_duration(const char *text, uint64_t *seconds)
{
	static const uint64_t factors[] = {
		1, 60, 3600, 86400, 7 * 86400, (uint64_t)365 * 86400 };

	return scaled(text, "smhdwy", factors, seconds);
}

int
config_size(const char *text, uint64_t *bytes)
{
	static const uint64_t factors[] = {
		1ULL << 10, 1ULL << 20, 1ULL << 30, 1ULL << 40,
		1ULL << 10, 1ULL << 20, 1ULL << 30, 1ULL << 40 };

	return scaled(text, "KMGTkmgt", factors, bytes);
}

static int
parse_bool(const char *text, uint64_t *out)
{
	static const char *const yes[] = { "yes", "true", "on", "1", NULL };
	static const char *const no[] = { "no", "false", "off", "0", NULL };

	*out = is_in(text, yes);
	return *out || is_in(text, no) ? 0 : -1;
}

/* A day, or an age before now; epoch seconds. */
static int
parse_date(const char *text, uint64_t *out)
{
	static const unsigned char days[] = {
		31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
	const char *p = text;
	uint64_t y, m, d;
	int64_t now;

	if (config_duration(text, &d) == 0 && strlen(text) > 1 &&
	    strpbrk(text, "smhdwy") != NULL) {
		now = (int64_t)time(NULL);
		*out = (int64_t)d > now ? 0 : (uint64_t)(now - (int64_t)d);
		return 0;
	}
	if (digits(&p, &y) == -1 || p - text != 4 || *p++ != '-' ||
	    digits(&p, &m) == -1 || p - text != 7 || *p++ != '-' ||
	    digits(&p, &d) == -1 || p - text != 10 || *p != '\0' ||
	    y < 1970 || m < 1 || m > 12 || d < 1 || d > days[m - 1] ||
	    (m == 2 && d == 29 && (y % 4 != 0 ||
	    (y % 100 == 0 && y % 400 != 0))))
		return -1;
	*out = (uint64_t)date_days((int64_t)y, (unsigned)m, (unsigned)d) *
	    86400;
	return 0;
}

static int
parse_enum(const struct setting *s, const char *text, uint64_t *out)
{
	for (*out = 0; s->words[*out] != NULL; ++*out)
		if (strcmp(s->words[*out], text) == 0)
			return 0;
	return -1;
}

static void
words_of(const struct setting *s, struct buf *b)
{
	size_t i;

	for (i = 0; s->words[i] != NULL; i++)
		buf_addf(b, "%s%s", i == 0 ? "" :
		    s->words[i + 1] == NULL ? " or " : ", ", s->words[i]);
}

/* The number that text stands for; complains when it stands for none. */
static int
parse_number(const struct setting *s, const char *text, uint64_t *num,
    const char *where, struct buf *errors)
{
	const char *p = text, *want = "";
	struct buf words;
	int rc = 0;

	buf_init(&words, 1024);
	switch (s->type) {
	case SET_BOOL:
		rc = parse_bool(text, num);
		want = "yes or no";
		break;
	case SET_NUMBER:
		rc = digits(&p, num) == -1 || *p != '\0' ? -1 : 0;
		want = "a number";
		break;
	case SET_DURATION:
		rc = config_duration(text, num);
		want = "a time such as 90, 15m or 2h";
		break;
	case SET_SIZE:
		rc = config_size(text, num);
		want = "a size such as 1000000, 500K or 20M";
		break;
	case SET_DATE:
		rc = parse_date(text, num);
		want = "a day such as 2024-03-31, or an age such as 90d or 2y";
		break;
	case SET_ENUM:
		rc = parse_enum(s, text, num);
		words_of(s, &words);
		want = words.ptr;
		break;
	case SET_STRING:
	case SET_PATH:
	case SET_NAMES:
	case SET_PATTERNS:
	case SET_RULES:
		break;
	}
	if (rc == -1)
		complain(errors, where, "%s is '%.60s', but must be %s",
		    s->key, text, want);
	else if (s->max != 0 ? *num < s->min || *num > s->max :
	    *num < s->min) {
		rc = -1;
		if (s->max != 0)
			complain(errors, where, "%s is %.60s, but must be "
			    "%llu to %llu", s->key, text,
			    (unsigned long long)s->min,
			    (unsigned long long)s->max);
		else
			complain(errors, where, "%s is %.60s, but must be at "
			    "least %llu", s->key, text,
			    (unsigned long long)s->min);
	}
	buf_release(&words);
	return rc;
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
	if (v->level < o->level || !is_list(table[id].type))
		clear_value(v);
	v->items = xreallocarray(v->items, v->n + 1, sizeof *v->items);
	v->items[v->n].text = xstrdup(text);
	v->items[v->n++].where = xstrdup(o->where);
	v->level = o->level;
	v->num = num;
}

/* dir/path, for the caller to free; dir is NULL at the command line. */
static char *
path_at(const char *dir, const char *path)
{
	struct buf b;

	if (dir == NULL || *path == '/' || *path == '\0')
		return xstrdup(path);
	buf_init(&b, SIZE_MAX / 4);
	buf_addf(&b, "%s/%s", dir, path);
	return buf_detach(&b, NULL);
}

/* One item of a list: checked by those who will use it. */
static size_t
put_item(struct config *c, enum cfg id, const char *text,
    const struct origin *o, struct buf *errors)
{
	struct rules *r = rules_new();
	struct err e;
	int rc = 0;

	if (id == CFG_MAP)
		rc = rules_add_map(r, text, &e);
	else if (id == CFG_SPECIAL_NAME)
		rc = rules_add_special(r, text, &e);
	else if (table[id].type == SET_PATTERNS)
		rc = rules_add_include(r, text, &e);
	rules_free(&r);
	if (rc == -1) {
		complain(errors, o->where, "%s: %s", table[id].key, e.text);
		return 1;
	}
	put(c, id, text, 0, o);
	return 0;
}

static bool
is_blank(char c)
{
	return c == ' ' || c == '\t';
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
	for (++*p; **p != '"'; ++*p) {
		if (**p == '\\' && ((*p)[1] == '"' || (*p)[1] == '\\'))
			++*p;
		if (**p == '\0')
			return -1;
		buf_addc(b, **p);
	}
	++*p;
	return **p == '\0' || is_blank(**p) ? 0 : -1;
}

static size_t
put_patterns(struct config *c, enum cfg id, const char *text,
    const struct origin *o, struct buf *errors)
{
	const char *key = table[id].key, *p = text;
	bool plain, last_plain = false;
	size_t bad = 0;
	struct buf b;

	/* An option is one pattern; the shell has taken its quotes away. */
	if (o->level == LEVEL_OPTION && *text != '"')
		return put_item(c, id, text, o, errors);
	buf_init(&b, FILE_MAX_BYTES);
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
			    "'%.60s'", table[id].key, text);
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

static size_t
set_value(struct config *c, enum cfg id, const char *text,
    const struct origin *o, struct buf *errors)
{
	const struct setting *s = &table[id];
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
		return put_item(c, id, text, o, errors);
	case SET_PATH:
		path = path_at(o->dir, text);
		put(c, id, path, 0, o);
		free(path);
		return 0;
	case SET_STRING:
	case SET_BOOL:
	case SET_NUMBER:
	case SET_DURATION:
	case SET_SIZE:
	case SET_DATE:
	case SET_ENUM:
		break;
	}
	if (parse_number(s, text, &num, o->where, errors) == -1)
		return 1;
	put(c, id, text, num, o);
	return 0;
}

struct config *
config_new(void)
{
	static const struct origin o = { LEVEL_DEFAULT, "default", NULL, 0 };
	struct config *c = xcalloc(1, sizeof *c);
	struct buf errors;
	enum cfg id;
	size_t bad = 0;

	buf_init(&errors, 4096);
	for (id = 0; id < CFG_COUNT; id++)
		if (table[id].def != NULL)
			bad += set_value(c, id, table[id].def, &o, &errors);
	assert(bad == 0);
	buf_release(&errors);
	return c;
}

static void
free_store(struct store *s)
{
	size_t i;

	for (i = 0; i < s->nopts; i++) {
		free(s->opts[i].key);
		free(s->opts[i].val);
		free(s->opts[i].where);
	}
	free(s->opts);
	free(s->where);
	uri_free(&s->uri);
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
	free_store(&c->stores[SIDE_SOURCE]);
	free_store(&c->stores[SIDE_TARGET]);
	free(c->job);
	free(c->state);
	free(c->state_dir);
	free(c);
	*cp = NULL;
}

/* Stores */

/* dir as the start of a template: its braces are no columns. */
static char *
template_at(const char *dir, const char *path)
{
	struct buf b;

	if (dir == NULL || *path == '/' || *path == '\0')
		return xstrdup(path);
	buf_init(&b, SIZE_MAX / 4);
	for (; *dir != '\0'; dir++)
		buf_adds(&b, *dir == '{' ? "{{" : (char[]){ *dir, '\0' });
	buf_addf(&b, "/%s", path);
	return buf_detach(&b, NULL);
}

void
config_uri_at(struct uri *u, const char *dir)
{
	char *path;
	size_t i;

	if (u->host == NULL && is_in(u->scheme, path_schemes)) {
		path = template_at(dir, u->path);
		free(u->path);
		u->path = path;
	}
	for (i = 0; i < u->nopts; i++)
		if (is_in(u->opts[i].key, path_options)) {
			path = template_at(dir, u->opts[i].val);
			free(u->opts[i].val);
			u->opts[i].val = path;
		}
}

static size_t
set_store(struct config *c, enum side side, const char *text,
    const struct origin *o, struct buf *errors)
{
	struct store *s = &c->stores[side];
	struct uri *u;
	struct err e;

	if (uri_parse(&u, text, &e) == -1) {
		complain(errors, o->where, "%s: %s", side_names[side], e.text);
		return 1;
	}
	if (s->uri != NULL && s->level > o->level) {
		uri_free(&u);
		return 0;
	}
	if (s->uri != NULL && s->level == LEVEL_FILE &&
	    o->level == LEVEL_FILE) {
		complain(errors, o->where, "uri again; the first is at %s",
		    s->where);
		uri_free(&u);
		return 1;
	}
	config_uri_at(u, o->dir);
	uri_free(&s->uri);
	free(s->where);
	s->uri = u;
	s->where = xstrdup(o->where);
	s->level = o->level;
	return 0;
}

static size_t
set_store_opt(struct config *c, enum side side, const char *key,
    const char *val, const struct origin *o, struct buf *errors)
{
	struct store *s = &c->stores[side];
	struct store_opt *p;
	struct uri u = { .nopts = 0 };
	size_t i;

	if (uri_set(&u, key, val) == -1) {
		complain(errors, o->where, "'%.60s' is no name of an option",
		    key);
		return 1;
	}
	if (is_in(key, path_options)) {
		free(u.opts[0].val);
		u.opts[0].val = template_at(o->dir, val);
	}
	for (i = 0, p = s->opts; i < s->nopts; i++, p++)
		if (strcmp(p->key, key) == 0)
			break;
	if (i < s->nopts && p->level == LEVEL_FILE &&
	    o->level == LEVEL_FILE) {
		complain(errors, o->where, "'%.60s' again; the first is at %s",
		    key, p->where);
		free(u.opts[0].key);
		free(u.opts[0].val);
		free(u.opts);
		return 1;
	}
	if (i < s->nopts && p->level > o->level) {
		free(u.opts[0].key);
		free(u.opts[0].val);
	} else {
		if (i == s->nopts) {
			s->opts = xreallocarray(s->opts, ++s->nopts,
			    sizeof *s->opts);
			p = &s->opts[i];
		} else {
			free(p->key);
			free(p->val);
			free(p->where);
		}
		p->key = u.opts[0].key;
		p->val = u.opts[0].val;
		p->where = xstrdup(o->where);
		p->level = o->level;
		p->in_force = false;
	}
	free(u.opts);
	return 0;
}

/* The options in a URI's text and those of its section become one. */
static size_t
merge_opts(struct store *s, struct buf *errors)
{
	struct store_opt *p;
	size_t i, bad = 0;

	for (i = 0; i < s->nopts; i++) {
		p = &s->opts[i];
		if (uri_opt(s->uri, p->key) != NULL) {
			if (p->level == s->level) {
				complain(errors, p->where, "%s is given here "
				    "and in the URI (%s)", p->key, s->where);
				bad++;
				continue;
			}
			if (p->level < s->level)
				continue;
		}
		uri_set(s->uri, p->key, p->val);
		p->in_force = true;
	}
	for (i = 0; i < s->uri->nopts; i++)
		s->uri->opts[i].used = false;
	return bad;
}

static const char *
opt_where(const struct store *s, const char *key)
{
	size_t i;

	for (i = 0; i < s->nopts; i++)
		if (s->opts[i].in_force && strcmp(s->opts[i].key, key) == 0)
			return s->opts[i].where;
	return s->where;
}

/* Takes lanes= out: it is for the engine. */
static size_t
take_lanes(struct store *s, struct buf *errors)
{
	struct uri *u = s->uri;
	const char *where;
	uint64_t n;
	size_t i;

	for (i = 0; i < u->nopts; i++)
		if (strcmp(u->opts[i].key, "lanes") == 0)
			break;
	if (i == u->nopts)
		return 0;
	where = opt_where(s, "lanes");
	if (parse_number(&table[CFG_LANES], u->opts[i].val, &n, where,
	    errors) == -1)
		return 1;
	s->lanes = (unsigned)n;
	free(u->opts[i].key);
	free(u->opts[i].val);
	u->nopts--;
	memmove(&u->opts[i], &u->opts[i + 1],
	    (u->nopts - i) * sizeof *u->opts);
	return 0;
}

/* The options that the back end for a scheme knows, NULL for no such back
 * end; names lists the schemes there are. */
static const char *const *
backend_options(enum side side, const char *scheme, struct buf *names)
{
	const char *const *schemes, *const *options;
	size_t i, k;

	for (i = 0; ; i++) {
		if (side == SIDE_SOURCE) {
			if (source_table[i] == NULL)
				return NULL;
			schemes = source_table[i]->schemes;
			options = source_table[i]->options;
		} else {
			if (target_table[i] == NULL)
				return NULL;
			schemes = target_table[i]->schemes;
			options = target_table[i]->options;
		}
		for (k = 0; schemes[k] != NULL; k++) {
			if (strcmp(schemes[k], scheme) == 0)
				return options;
			buf_addf(names, " %s:", schemes[k]);
		}
	}
}

static int
check_opt(const char *const *known, const char *key, struct err *e)
{
	struct uri_opt o = { .key = xstrdup(key) };
	struct uri u = { .opts = &o, .nopts = 1 };
	const char **all;
	size_t n = 0, m = 0;
	int rc;

	while (known[n] != NULL)
		n++;
	while (engine_options[m] != NULL)
		m++;
	all = xcalloc(n + m + 1, sizeof *all);
	memcpy(all, known, n * sizeof *all);
	memcpy(all + n, engine_options, m * sizeof *all);
	rc = uri_check_opts(&u, all, e);
	free(all);
	free(o.key);
	return rc;
}

static int
check_scheme(enum side side, const struct uri *u, const char *const **known,
    struct err *e)
{
	struct buf names;

	buf_init(&names, 400);
	*known = backend_options(side, u->scheme, &names);
	if (*known == NULL)
		err_set(e, ERR_RUN, "'%.40s:' is no kind of %s; there are%s",
		    u->scheme, side_names[side], names.ptr);
	buf_release(&names);
	return *known == NULL ? -1 : 0;
}

int
config_check_uri(enum side side, const struct uri *u, struct err *e)
{
	const char *const *known;
	size_t i;

	if (check_scheme(side, u, &known, e) == -1)
		return -1;
	for (i = 0; i < u->nopts; i++)
		if (check_opt(known, u->opts[i].key, e) == -1)
			return err_ctx(e, "%s:", u->scheme);
	return 0;
}

static size_t
finish_store(struct config *c, enum side side, bool needed,
    struct buf *errors)
{
	struct store *s = &c->stores[side];
	const char *const *known;
	struct err e;
	size_t i, bad;

	if (s->uri == NULL) {
		if (s->nopts > 0)
			complain(errors, s->opts[0].where,
			    "[%s] has options, but no uri", side_names[side]);
		else if (needed && c->job != NULL)
			complain(errors, c->job, "no uri in a section [%s]",
			    side_names[side]);
		else if (needed)
			complain(errors, "", "no %s: give SOURCE and TARGET, "
			    "or --job", side_names[side]);
		return s->nopts > 0 || needed;
	}
	bad = merge_opts(s, errors);
	if (check_scheme(side, s->uri, &known, &e) == -1) {
		complain(errors, s->where, "%s", e.text);
		return bad + 1;
	}
	for (i = 0; i < s->uri->nopts; i++)
		if (check_opt(known, s->uri->opts[i].key, &e) == -1) {
			complain(errors, opt_where(s, s->uri->opts[i].key),
			    "%s: %s", s->uri->scheme, e.text);
			bad++;
		}
	return bad + take_lanes(s, errors);
}

/* The job file */

struct reader {
	struct config	*c;
	const char	*file, *dir;
	struct buf	*errors;
	unsigned	 line;
	int		 section;	/* index, -1: none, -2: unknown */
	unsigned	 seen[sizeof sections / sizeof sections[0]];
	size_t		 bad;
};

/* "text" without its quotes, in place; -1: no closing one at the end. */
static int
unquote(char *p)
{
	char *to = p;

	if (*p != '"')
		return 0;
	for (p++; *p != '"'; *to++ = *p++) {
		if (*p == '\\' && (p[1] == '"' || p[1] == '\\'))
			p++;
		if (*p == '\0')
			return -1;
	}
	*to = '\0';
	return p[1] == '\0' ? 0 : -1;
}

static int
find_section(const char *name)
{
	int i;

	for (i = 0; sections[i] != NULL; i++)
		if (strcmp(sections[i], name) == 0)
			return i;
	return -1;
}

static enum side
side_of(int section)
{
	return strcmp(sections[section], "source") == 0 ? SIDE_SOURCE :
	    SIDE_TARGET;
}

static bool
is_store(int section)
{
	return is_in(sections[section], (const char *const[]){
	    "source", "target", NULL });
}

/* Complains of a key that its section does not have. */
static void
unknown_key(int section, const char *key, const char *where,
    struct buf *errors)
{
	const char *known[CFG_COUNT + 1];
	enum cfg id = config_find(key);
	size_t n = 0;

	if (id < CFG_COUNT) {
		complain(errors, where, "'%s' belongs into [%s], not [%s]",
		    key, table[id].section, sections[section]);
		return;
	}
	for (id = 0; id < CFG_COUNT; id++)
		if (strcmp(table[id].section, sections[section]) == 0)
			known[n++] = table[id].key;
	known[n] = NULL;
	unknown(errors, where, "key", key, known);
}

/* key = val of a section, from the file or --set; val may be changed. */
static size_t
assign(struct config *c, int section, const char *key, char *val,
    const struct origin *o, struct buf *errors)
{
	enum cfg id;

	if (is_store(section)) {
		if (strcmp(key, "uri") != 0)
			return set_store_opt(c, side_of(section), key, val, o,
			    errors);
		if (unquote(val) == -1) {
			complain(errors, o->where,
			    "uri: the quotes do not close at the end");
			return 1;
		}
		return set_store(c, side_of(section), val, o, errors);
	}
	id = config_find(key);
	if (id == CFG_COUNT ||
	    strcmp(table[id].section, sections[section]) != 0) {
		unknown_key(section, key, o->where, errors);
		return 1;
	}
	if (o->level == LEVEL_FILE && c->values[id].line != 0 &&
	    !is_list(table[id].type)) {
		complain(errors, o->where, "'%s' again; the first is at line "
		    "%u", key, c->values[id].line);
		return 1;
	}
	if (o->level == LEVEL_FILE)
		c->values[id].line = o->line;
	if (!is_list(table[id].type) && unquote(val) == -1) {
		complain(errors, o->where,
		    "%s: the quotes do not close at the end", key);
		return 1;
	}
	return set_value(c, id, val, o, errors);
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
	if ((i = find_section(p)) == -1) {
		unknown(r->errors, where, "section", p, sections);
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
		r->bad += assign(r->c, r->section, p, eq, &o, r->errors);
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
	if (len >= 2 && (memcmp(p, "\xff\xfe", 2) == 0 ||
	    memcmp(p, "\xfe\xff", 2) == 0)) {
		complain(errors, file, "this is UTF-16 text; save it as "
		    "UTF-8");
		return 1;
	}
	if (len >= 3 && memcmp(p, "\xef\xbb\xbf", 3) == 0)
		p += 3;
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
	const char *slash;
	struct buf b;
	char *dir;
	ssize_t n = -1;
	size_t bad = 1;
	int fd;

	buf_init(&b, FILE_MAX_BYTES);
	if ((fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY)) != -1) {
		while (buf_reserve(&b, 65536) == 0 &&
		    (n = read(fd, b.ptr + b.len, 65536)) > 0)
			b.len += (size_t)n;
		if (b.full) {
			errno = EFBIG;
			n = -1;
		}
	}
	if (n == -1)
		complain(errors, path, "cannot read the job file: %s",
		    strerror(errno));
	else {
		slash = strrchr(path, '/');
		dir = slash == NULL ? NULL :
		    xmemdup0(path, (size_t)(slash - path));
		bad = config_read_text(c, path, dir, b.ptr, b.len, errors);
		free(dir);
	}
	if (fd != -1)
		close(fd);
	buf_release(&b);
	return bad;
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
	buf_addf(&where, "--%s", table[id].key);
	o.where = where.ptr;
	bad = set_value(c, id, value, &o, errors);
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
		if ((section = find_section(copy)) == -1)
			unknown(errors, o.where, "section", copy, sections);
		else
			bad = assign(c, section, dot, eq, &o, errors);
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

	return set_store(c, side, uri, &o[side], errors);
}

/* What makes a store that store */

/* Appends an absolute path without empty and "." levels. */
static void
add_path(struct buf *b, const char *path)
{
	const char *end;
	char *cwd;

	if (*path != '/' && (cwd = getcwd(NULL, 0)) != NULL) {
		buf_adds(b, strcmp(cwd, "/") == 0 ? "" : cwd);
		free(cwd);
	}
	for (; *path != '\0'; path = end) {
		path += strspn(path, "/");
		end = path + strcspn(path, "/");
		if (end > path && !(end - path == 1 && *path == '.')) {
			buf_addc(b, '/');
			buf_add(b, path, (size_t)(end - path));
		}
	}
}

/* The user in it, for the caller to free. */
static char *
owner_of(const struct uri *u)
{
	size_t i;

	for (i = 0; i < u->nopts; i++)
		if (strcmp(u->opts[i].key, "authzid") == 0)
			return xstrdup(u->opts[i].val);
	if (u->path[0] != '\0' && strncmp(u->scheme, "imap", 4) != 0)
		return xstrdup(u->path);
	if (u->user == NULL)
		return xstrdup("");
	/* anna*master is anna, let in by the master. */
	return xmemdup0(u->user, strcspn(u->user, "*"));
}

char *
config_identity(const struct uri *u, void (*fold)(char *))
{
	bool imap = strcmp(u->scheme, "imap") == 0 ||
	    strcmp(u->scheme, "imaps") == 0;
	struct buf b;
	char *owner;
	size_t i;

	if (strcmp(u->scheme, "null") == 0)
		return NULL;
	buf_init(&b, SIZE_MAX / 4);
	if (u->host == NULL && is_in(u->scheme, path_schemes)) {
		buf_adds(&b, "file:");
		add_path(&b, u->path);
	} else {
		owner = owner_of(u);
		if (fold != NULL)
			fold(owner);
		buf_addf(&b, "%s:%s", imap ? "imap" : u->scheme, owner);
		free(owner);
	}
	if (u->host != NULL) {
		buf_addc(&b, '@');
		for (i = 0; u->host[i] != '\0'; i++)
			buf_addc(&b, u->host[i] >= 'A' && u->host[i] <= 'Z' ?
			    (char)(u->host[i] + 'a' - 'A') : u->host[i]);
		if (b.ptr[b.len - 1] == '.')
			b.ptr[--b.len] = '\0';
		if (u->port != 0 && !(imap && (u->port == 143 ||
		    u->port == 993)))
			buf_addf(&b, ":%u", u->port);
	}
	for (i = 0; i < u->nopts; i++)
		if (strcmp(u->opts[i].key, "prefix") == 0)
			buf_addf(&b, "?prefix=%s", u->opts[i].val);
	return buf_detach(&b, NULL);
}

/* The state file */

/* What a file name can say of a store, in at most 40 bytes, and a '-'. */
static void
add_hint(struct buf *b, const struct uri *u)
{
	const char *s = u->host != NULL ? u->host : u->path;
	size_t n = strlen(s), start = b->len;

	if (u->host == NULL && n > 40)
		s += n - 40;
	for (; *s != '\0' && b->len < start + 40; s++)
		if ((*s >= '0' && *s <= '9') || (*s >= 'a' && *s <= 'z') ||
		    (*s >= 'A' && *s <= 'Z'))
			buf_addc(b, *s);
		else if (b->len > start && b->ptr[b->len - 1] != '-')
			buf_addc(b, '-');
	if (b->len > start && b->ptr[b->len - 1] != '-')
		buf_addc(b, '-');
}

/* FNV-1a over an identity and its NUL. */
static uint64_t
hash(uint64_t h, const struct uri *u)
{
	char *id = config_identity(u, NULL);
	const char *p;

	for (p = id != NULL ? id : ""; ; p++) {
		h = (h ^ (unsigned char)*p) * 0x100000001b3;
		if (*p == '\0')
			break;
	}
	free(id);
	return h;
}

/* Where states of runs without a job lie. */
static void
add_state_home(struct buf *b)
{
	const char *xdg = getenv("XDG_STATE_HOME"), *home = getenv("HOME");

	if (xdg != NULL && *xdg == '/')
		buf_addf(b, "%s/mailhaul", xdg);
	else if (geteuid() == 0)
		buf_adds(b, "/var/lib/mailhaul");
	else
		buf_addf(b, "%s/.local/state/mailhaul",
		    home != NULL && *home == '/' ? home : "");
}

static void
finish_state(struct config *c)
{
	const struct uri *src = c->stores[SIDE_SOURCE].uri;
	const struct uri *tgt = c->stores[SIDE_TARGET].uri;
	struct buf b;
	size_t n;

	if (config_isset(c, CFG_STATE)) {
		c->state = xstrdup(config_str(c, CFG_STATE));
		return;
	}
	buf_init(&b, SIZE_MAX / 4);
	if (c->job != NULL) {
		n = strlen(c->job);
		if (n > 4 && strcmp(c->job + n - 4, ".ini") == 0 &&
		    c->job[n - 5] != '/')
			n -= 4;
		buf_add(&b, c->job, n);
		buf_adds(&b, ".db");
		c->state = buf_detach(&b, NULL);
	} else if (src != NULL && tgt != NULL) {
		add_state_home(&b);
		c->state_dir = xstrdup(b.ptr);
		buf_addc(&b, '/');
		add_hint(&b, src);
		add_hint(&b, tgt);
		buf_addf(&b, "%016llx.db", (unsigned long long)
		    hash(hash(0xcbf29ce484222325, src), tgt));
		c->state = buf_detach(&b, NULL);
	}
	buf_release(&b);
}

const char *
config_state(const struct config *c)
{
	return c->state;
}

int
config_state_dir(const struct config *c, struct err *e)
{
	char *p, *dir;
	int rc = 0;

	if (c->state_dir == NULL)
		return 0;
	dir = xstrdup(c->state_dir);
	for (p = dir + 1; rc == 0 && p != NULL; ) {
		if ((p = strchr(p, '/')) != NULL)
			*p = '\0';
		if (mkdir(dir, 0700) == -1 && errno != EEXIST)
			rc = err_sys(e, ERR_RUN, "make the directory %s for "
			    "the state (or give --state FILE)", dir);
		if (p != NULL)
			*p++ = '/';
	}
	free(dir);
	return rc;
}

const char *
config_job(const struct config *c)
{
	return c->job;
}

size_t
config_finish(struct config *c, bool stores, struct buf *errors)
{
	size_t bad;

	/* The rows of an account list may bring their own. */
	stores = stores && !config_isset(c, CFG_ACCOUNTS);
	bad = finish_store(c, SIDE_SOURCE, stores, errors);
	bad += finish_store(c, SIDE_TARGET, stores, errors);
	if (config_num(c, CFG_NEWER_THAN) != UINT64_MAX &&
	    config_num(c, CFG_OLDER_THAN) != UINT64_MAX &&
	    config_num(c, CFG_NEWER_THAN) >= config_num(c, CFG_OLDER_THAN)) {
		complain(errors, config_where(c, CFG_NEWER_THAN), "newer-than "
		    "%s and older-than %s leave no message",
		    config_str(c, CFG_NEWER_THAN),
		    config_str(c, CFG_OLDER_THAN));
		bad++;
	}
	if (bad == 0)
		finish_state(c);
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
	assert(!is_list(table[id].type));
	return config_item(c, id, 0);
}

bool
config_bool(const struct config *c, enum cfg id)
{
	assert(table[id].type == SET_BOOL);
	return c->values[id].num != 0;
}

uint64_t
config_num(const struct config *c, enum cfg id)
{
	assert(table[id].type != SET_STRING && table[id].type != SET_PATH &&
	    !is_list(table[id].type));
	return c->values[id].n > 0 ? c->values[id].num : UINT64_MAX;
}

int
config_enum(const struct config *c, enum cfg id)
{
	assert(table[id].type == SET_ENUM);
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

/* "newer-than 2020-01-01", as the report calls it. */
static char *
rule_text(const struct config *c, enum cfg id)
{
	struct buf b;

	buf_init(&b, SIZE_MAX / 4);
	buf_addf(&b, "%s %s", table[id].key, config_str(c, id));
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
	return r;
}

/* Showing */

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
	const struct value *v = &c->values[id];
	size_t i;

	if (v->n == 0) {
		fprintf(f, "# not set: %s\n", table[id].key);
		return;
	}
	for (i = 0; i < v->n; i++) {
		if (i == 0 || strcmp(v->items[i].where,
		    v->items[i - 1].where) != 0)
			fprintf(f, "# %s\n", v->items[i].where);
		fprintf(f, "%s = ", table[id].key);
		if (table[id].type == SET_PATTERNS) {
			show_quoted(v->items[i].text, f);
			putc('\n', f);
		} else if (is_list(table[id].type))
			fprintf(f, "%s\n", v->items[i].text);
		else
			show_text(v->items[i].text, f);
	}
}

static void
show_store(const struct store *s, FILE *f)
{
	static const char *const hidden[] = {
		"secret-command", "secret", "password", "token", NULL };
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

		fprintf(f, "# %s\n", opt_where(s, o->key));
		if (is_in(o->key, hidden))
			fprintf(f, "# set, but not shown: %s\n", o->key);
		else
			fprintf(f, "%s = %s\n", o->key, o->val);
	}
	if (s->lanes != 0)
		fprintf(f, "# %s\nlanes = %u\n", opt_where(s, "lanes"),
		    s->lanes);
}

void
config_show(const struct config *c, FILE *f)
{
	enum cfg id;
	int i;

	for (i = 0; sections[i] != NULL; i++) {
		fprintf(f, "%s[%s]\n", i == 0 ? "" : "\n", sections[i]);
		if (is_store(i)) {
			show_store(&c->stores[side_of(i)], f);
			continue;
		}
		for (id = 0; id < CFG_COUNT; id++) {
			if (strcmp(table[id].section, sections[i]) != 0)
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
