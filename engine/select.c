/* The choice of accounts. */
#include "select.h"

#include <errno.h>
#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>

#include "accounts_impl.h"
#include "base/suggest.h"
#include "base/xmalloc.h"

#define FILE_MAX	((size_t)64 << 20)

static const enum cfg choices[] = { CFG_ONLY, CFG_ONLY_FILE, CFG_WHERE,
	CFG_FAILED };

#define NCHOICES	(sizeof choices / sizeof choices[0])

/* What is chosen from. */
struct crowd {
	const char	**names;	/* ends with NULL, for suggest() */
	bool		*in;
	bool		*hit;		/* by the choice in hand */
	struct by_text	*sorted;
	size_t		 n;
};

static bool
is_set(const struct config *c, enum cfg id)
{
	return id == CFG_FAILED ? config_bool(c, id) : config_isset(c, id);
}

bool
select_any(const struct config *c)
{
	for (size_t i = 0; i < NCHOICES; i++)
		if (is_set(c, choices[i]))
			return true;
	return false;
}

bool
select_given(const struct config *c)
{
	for (size_t i = 0; i < NCHOICES; i++)
		if (is_set(c, choices[i]) &&
		    strncmp(config_where(c, choices[i]), "--", 2) == 0)
			return true;
	return false;
}

/* The names are borrowed; the caller has room for n + 1. */
static void
crowd_init(struct crowd *w, const char **names, size_t n)
{
	w->names = names;
	w->names[n] = NULL;
	w->n = n;
	w->in = xcalloc(n + 1, sizeof *w->in);
	w->hit = xcalloc(n + 1, sizeof *w->hit);
	w->sorted = xcalloc(n + 1, sizeof *w->sorted);
	for (size_t i = 0; i < n; i++) {
		w->in[i] = true;
		w->sorted[i].text = names[i];
		w->sorted[i].row = i;
	}
	if (n > 0)
		accounts_sort(w->sorted, n);
}

static void
crowd_release(struct crowd *w)
{
	free(w->in);
	free(w->hit);
	free(w->sorted);
}

static int
cmp_name(const void *key, const void *p)
{
	return strcmp(key, ((const struct by_text *)p)->text);
}

/* The number of a name; n: there is none. */
static size_t
crowd_find(const struct crowd *w, const char *name)
{
	const struct by_text *t = w->n == 0 ? NULL : bsearch(name, w->sorted,
	    w->n, sizeof *w->sorted, cmp_name);

	return t != NULL ? t->row : w->n;
}

/* Marks who matches. */
static bool
hit_pattern(struct crowd *w, const char *pattern)
{
	size_t i = crowd_find(w, pattern);
	bool found = i < w->n;

	if (found)
		w->hit[i] = true;
	if (strpbrk(pattern, "*?[\\") == NULL)
		return found;
	for (i = 0; i < w->n; i++)
		if (fnmatch(pattern, w->names[i], 0) == 0)
			found = w->hit[i] = true;
	return found;
}

/* Who was not hit is out; nobody is hit any more. */
static void
narrow(struct crowd *w)
{
	for (size_t i = 0; i < w->n; i++) {
		w->in[i] = w->in[i] && w->hit[i];
		w->hit[i] = false;
	}
}

static size_t
take_pattern(struct crowd *w, const char *pattern, const char *where,
    struct buf *errors)
{
	const char *near;

	if (hit_pattern(w, pattern))
		return 0;
	near = suggest(pattern, w->names);
	if (near != NULL)
		complain(errors, where, "no account is called '%.80s'; did you "
		    "mean '%.80s'?", pattern, near);
	else
		complain(errors, where, "no account is called '%.80s'",
		    pattern);
	return 1;
}

static size_t
choose_only(struct crowd *w, const struct config *c, struct buf *errors)
{
	size_t n = config_list(c, CFG_ONLY), bad = 0;

	for (size_t k = 0; k < n; k++)
		bad += take_pattern(w, config_item(c, CFG_ONLY, k),
		    config_where(c, CFG_ONLY), errors);
	narrow(w);
	return bad;
}

/* A name or pattern a line; empty lines and lines with '#' do not count. */
static size_t
choose_only_file(struct crowd *w, const struct config *c, struct buf *errors)
{
	const char *path = config_str(c, CFG_ONLY_FILE), *p, *line;
	size_t bad = 0, number = 0;
	struct buf text, where;
	mode_t mode;

	buf_init(&text, FILE_MAX);
	buf_init(&where, 8192);
	if (text_read(path, &text, &mode) == -1) {
		complain(errors, path, "%s", strerror(errno));
		bad = 1;
	} else if (strlen(text.ptr) != text.len ||
	    (p = text_start(text.ptr, text.len)) == NULL) {
		complain(errors, path, "is not text in UTF-8");
		bad = 1;
	} else
		while (*(line = p) != '\0') {
			const char *end = p + strcspn(p, "\n");
			char *name;

			number++;
			p = *end == '\n' ? end + 1 : end;
			while (end > line && (is_blank(end[-1]) ||
			    end[-1] == '\r'))
				end--;
			while (line < end && is_blank(*line))
				line++;
			if (line == end || *line == '#')
				continue;
			name = xmemdup0(line, (size_t)(end - line));
			buf_reset(&where);
			buf_addf(&where, "%s:%zu", path, number);
			bad += take_pattern(w, name, where.ptr, errors);
			free(name);
		}
	buf_release(&text);
	buf_release(&where);
	narrow(w);
	return bad;
}

/* Complains of a column that the list does not have. */
static void
unknown_column(const struct accounts *a, const char *column,
    const char *where, struct buf *errors)
{
	const char *known[COLUMNS_MAX + 5], *near;
	size_t n = 0;

	for (; n < a->ncolumns; n++)
		known[n] = a->columns[n];
	known[n++] = "local";
	known[n++] = "domain";
	known[n++] = "name";
	known[n++] = "target_user";
	known[n] = NULL;
	if ((near = suggest(column, known)) != NULL)
		complain(errors, where, "the list has no column '%.60s'; did "
		    "you mean '%.60s'?", column, near);
	else
		complain(errors, where, "the list has no column '%.60s'",
		    column);
}

/* One COLUMN=VALUE; rows[i] is the row of account i, SIZE_MAX: it has none. */
static size_t
take_where(struct crowd *w, const struct accounts *a, const size_t *rows,
    const char *text, const char *where, struct buf *errors)
{
	const char *eq = strchr(text, '='), *val;
	bool found = false;
	size_t bad = 0;
	char *column;

	if (eq == NULL || eq == text) {
		complain(errors, where, "'%.80s' is not COLUMN=VALUE", text);
		return 1;
	}
	column = xmemdup0(text, (size_t)(eq - text));
	if (strcmp(column, "source_password") == 0 ||
	    strcmp(column, "target_password") == 0) {
		complain(errors, where, "passwords do not choose accounts");
		bad = 1;
	} else if (a->nrows > 0 && account_column(a, 0, column) == NULL) {
		unknown_column(a, column, where, errors);
		bad = 1;
	} else {
		for (size_t i = 0; i < w->n; i++) {
			if (rows[i] == SIZE_MAX)
				continue;
			val = account_column(a, rows[i], column);
			if (val != NULL && (strcmp(eq + 1, val) == 0 ||
			    fnmatch(eq + 1, val, 0) == 0))
				found = w->hit[i] = true;
		}
		if (!found) {
			complain(errors, where, "no account has %.60s=%.80s",
			    column, eq + 1);
			bad = 1;
		}
	}
	free(column);
	narrow(w);
	return bad;
}

/* rows[i] is the row of account i. */
static size_t
choose_where(struct crowd *w, const struct config *c,
    const struct accounts *a, const size_t *rows, struct buf *errors)
{
	size_t n = config_list(c, CFG_WHERE), bad = 0;

	for (size_t k = 0; k < n; k++)
		bad += take_where(w, a, rows, config_item(c, CFG_WHERE, k),
		    config_where(c, CFG_WHERE), errors);
	return bad;
}

static size_t
choose_failed(struct crowd *w, struct db *db, const struct config *c,
    struct buf *errors)
{
	int64_t failed;
	struct err e;

	for (size_t i = 0; i < w->n; i++) {
		if (!w->in[i])
			continue;
		if (db_number(db, &e, &failed, 0, "SELECT outcome <> 'done'"
		    " FROM account WHERE name = ?1", "s", w->names[i]) == -1) {
			complain(errors, config_where(c, CFG_FAILED), "%s",
			    e.text);
			return 1;
		}
		w->hit[i] = failed != 0;
	}
	narrow(w);
	return 0;
}

static size_t
count_in(const struct crowd *w)
{
	size_t n = 0;

	for (size_t i = 0; i < w->n; i++)
		n += w->in[i];
	return n;
}

/* Choices that contradict each other are a mistake; that nobody failed is
 * none. */
static size_t
check_rest(const struct crowd *w, const struct config *c,
    struct buf *errors)
{
	if (count_in(w) > 0 || config_bool(c, CFG_FAILED) || !select_any(c))
		return 0;
	complain(errors, "", "no account fits all of the selection");
	return 1;
}

static size_t
needs_list(const struct config *c, struct buf *errors)
{
	complain(errors, config_where(c, CFG_WHERE), "where needs the account "
	    "list: give --accounts LIST, or a job that has one");
	return 1;
}

size_t
select_rows(struct accounts *a, const struct config *c, struct buf *errors)
{
	const char **names;
	struct crowd w;
	struct db *db;
	struct err e;
	size_t *rows, bad = 0;
	long running;

	if (!select_any(c))
		return 0;
	names = xcalloc(a->nrows + 1, sizeof *names);
	rows = xcalloc(a->nrows + 1, sizeof *rows);
	for (size_t i = 0; i < a->nrows; i++) {
		names[i] = account_name(a, i);
		rows[i] = i;
	}
	crowd_init(&w, names, a->nrows);
	if (config_isset(c, CFG_ONLY))
		bad += choose_only(&w, c, errors);
	if (config_isset(c, CFG_ONLY_FILE))
		bad += choose_only_file(&w, c, errors);
	if (config_isset(c, CFG_WHERE))
		bad += a->single != NULL ? needs_list(c, errors) :
		    choose_where(&w, c, a, rows, errors);
	if (config_bool(c, CFG_FAILED) && config_state(c) != NULL) {
		if (state_read_only(config_state(c), &db, &running, &e) ==
		    -1) {
			complain(errors, config_where(c, CFG_FAILED), "%s",
			    e.text);
			bad++;
		} else {
			bad += choose_failed(&w, db, c, errors);
			db_close(&db);
		}
	}
	if (bad == 0)
		bad += check_rest(&w, c, errors);
	for (size_t i = 0; i < a->nrows; i++)
		a->rows[i].selected = w.in[i];
	crowd_release(&w);
	free(names);
	free(rows);
	return bad;
}

/* The state */

static const char everything[] =
    "PRAGMA query_only=OFF;"
    "DROP VIEW IF EXISTS temp.account; DROP VIEW IF EXISTS temp.mailbox;"
    "DROP VIEW IF EXISTS temp.issue; DROP VIEW IF EXISTS temp.intent;"
    "CREATE TEMP TABLE IF NOT EXISTS chosen (id INTEGER PRIMARY KEY);"
    "DELETE FROM temp.chosen;";

/* Names without a schema mean these, not the tables of the file. */
static const char chosen_only[] =
    "CREATE TEMP VIEW account AS SELECT * FROM main.account WHERE id IN"
    " (SELECT id FROM temp.chosen);"
    "CREATE TEMP VIEW mailbox AS SELECT * FROM main.mailbox WHERE account_id"
    " IN (SELECT id FROM temp.chosen);"
    "CREATE TEMP VIEW issue AS SELECT * FROM main.issue WHERE account_id IN"
    " (SELECT id FROM temp.chosen);"
    "CREATE TEMP VIEW intent AS SELECT * FROM main.intent WHERE mailbox_id IN"
    " (SELECT id FROM main.mailbox WHERE account_id IN (SELECT id FROM"
    " temp.chosen));"
    "PRAGMA query_only=ON;";

int
select_names(struct db *db, const char *const *names, size_t n,
    struct err *e)
{
	if (db_script(db, everything, e) == -1)
		return -1;
	for (size_t i = 0; i < n; i++)
		if (db_run(db, e, "INSERT OR IGNORE INTO temp.chosen SELECT id"
		    " FROM main.account WHERE name = ?1", "s", names[i]) == -1)
			return -1;
	return db_script(db, chosen_only, e);
}

int
select_everything(struct db *db, struct err *e)
{
	if (db_script(db, everything, e) == -1)
		return -1;
	return db_script(db, "PRAGMA query_only=ON", e);
}

/* The names of all accounts of the state, in one block of text. */
static int
read_names(struct db *db, struct buf *text, size_t *n, struct err *e)
{
	sqlite3_stmt *st = db_query(db, e, "SELECT name FROM account ORDER BY"
	    " name", "");
	int rc;

	*n = 0;
	if (st == NULL)
		return -1;
	while ((rc = db_step(db, st, e)) == 1) {
		buf_adds(text, db_text(st, 0));
		buf_addc(text, '\0');
		(*n)++;
	}
	db_done(st);
	return rc;
}

static size_t
where_from_list(struct crowd *w, const struct config *c, struct buf *errors)
{
	struct accounts *a = NULL;
	size_t *rows, bad;

	if (!config_isset(c, CFG_ACCOUNTS))
		return needs_list(c, errors);
	bad = accounts_read(&a, config_str(c, CFG_ACCOUNTS), errors);
	if (bad == 0) {
		rows = xcalloc(w->n + 1, sizeof *rows);
		for (size_t i = 0; i < w->n; i++)
			rows[i] = SIZE_MAX;
		for (size_t i = 0; i < a->nrows; i++)
			rows[crowd_find(w, account_name(a, i))] = i;
		bad = choose_where(w, c, a, rows, errors);
		free(rows);
	}
	accounts_free(&a);
	return bad;
}

size_t
select_state(struct db *db, const struct config *c, struct buf *errors)
{
	const char **names, *p;
	struct buf text;
	struct crowd w;
	struct err e;
	size_t n, bad = 0, k = 0;

	if (!select_any(c))
		return 0;
	buf_init(&text, SIZE_MAX / 4);
	if (read_names(db, &text, &n, &e) == -1) {
		buf_release(&text);
		complain(errors, "", "%s", e.text);
		return 1;
	}
	names = xcalloc(n + 1, sizeof *names);
	for (p = text.ptr; k < n; p += strlen(p) + 1)
		names[k++] = p;
	crowd_init(&w, names, n);
	if (config_isset(c, CFG_ONLY))
		bad += choose_only(&w, c, errors);
	if (config_isset(c, CFG_ONLY_FILE))
		bad += choose_only_file(&w, c, errors);
	if (config_isset(c, CFG_WHERE))
		bad += where_from_list(&w, c, errors);
	if (config_bool(c, CFG_FAILED))
		bad += choose_failed(&w, db, c, errors);
	if (bad == 0)
		bad += check_rest(&w, c, errors);
	for (size_t i = k = 0; i < n; i++)
		if (w.in[i])
			names[k++] = names[i];
	if (bad == 0 && select_names(db, names, k, &e) == -1) {
		complain(errors, "", "%s", e.text);
		bad++;
	}
	crowd_release(&w);
	free(names);
	buf_release(&text);
	return bad;
}

/* Rows that come and go */

struct unlisted_arg {
	const struct crowd *list;
	int64_t pass, n;
};

static int
apply_unlisted(struct db *db, void *arg, struct err *e)
{
	struct unlisted_arg *u = arg;
	sqlite3_stmt *st;
	int64_t *gone;
	size_t n = 0, cap = 64;
	int rc;

	if (db_run(db, e, "DELETE FROM issue WHERE kind = 'unlisted'", "") ==
	    -1)
		return -1;
	st = db_query(db, e, "SELECT id, name FROM account", "");
	if (st == NULL)
		return -1;
	gone = xcalloc(cap, sizeof *gone);
	while ((rc = db_step(db, st, e)) == 1) {
		if (crowd_find(u->list, db_text(st, 1)) < u->list->n)
			continue;
		if (n == cap)
			gone = xreallocarray(gone, cap *= 2, sizeof *gone);
		gone[n++] = sqlite3_column_int64(st, 0);
	}
	db_done(st);
	for (size_t i = 0; i < n && rc == 0; i++)
		rc = db_run(db, e, "INSERT INTO issue (account_id, kind, pass,"
		    " message_where, reason) VALUES (?1, 'unlisted', ?2, '',"
		    " 'no longer in the list: left as it is')", "ii", gone[i],
		    u->pass);
	free(gone);
	u->n = (int64_t)n;
	return rc;
}

int
select_unlisted(struct state *s, const struct accounts *a, int64_t *n,
    struct err *e)
{
	const char **names = xcalloc(a->nrows + 1, sizeof *names);
	struct unlisted_arg u = { .pass = state_pass(s) };
	struct crowd w;
	int rc;

	for (size_t i = 0; i < a->nrows; i++)
		names[i] = account_name(a, i);
	crowd_init(&w, names, a->nrows);
	u.list = &w;
	rc = state_call(s, apply_unlisted, &u, e);
	*n = u.n;
	crowd_release(&w);
	free(names);
	return rc;
}
