/* Reading an account list: its columns, its rows, and what is wrong with
 * either by itself.  What it looks like is in accounts.h. */
#include "accounts_impl.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "accounts_csv.h"
#include "base/mutf7.h"
#include "base/suggest.h"
#include "base/xmalloc.h"

#define LIST_MAX	((size_t)256 * 1024 * 1024)

static const char *const known_columns[] = {
	"name", "user", "target_user", "source_password", "target_password",
	"pop3_password",
	"source", "target", "owner", "partition", "quota", "priority", NULL
};

struct reader {
	struct accounts	*a;
	struct buf	*errors;
	struct csv	 csv;
	size_t		 bad;
};

static void __attribute__((format(printf, 3, 4)))
wrong(struct reader *r, unsigned line, const char *fmt, ...)
{
	struct buf where;
	va_list ap;

	buf_init(&where, SIZE_MAX / 4);
	buf_addf(&where, "%s:%u", r->a->file, line);
	va_start(ap, fmt);
	vcomplain(r->errors, where.ptr, fmt, ap);
	va_end(ap);
	buf_release(&where);
	r->bad++;
}

/* The header line */

/* Column names in lower case, without the blanks around them. */
static char *
column_name(char *s)
{
	size_t n;

	s += strspn(s, " \t");
	for (n = strlen(s); n > 0 && is_blank(s[n - 1]); )
		s[--n] = '\0';
	fold_case(s);
	return s;
}

/* The known column that an unknown name surely means, or NULL. */
static const char *
meant(const char *name)
{
	static const char *const usual[][2] = {
		{ "user1", "user" }, { "source_user", "user" },
		{ "username", "user" }, { "login", "user" },
		{ "user2", "target_user" }, { "password1", "source_password" },
		{ "password2", "target_password" },
		{ "password", "source_password or target_password" }
	};
	size_t i;

	for (i = 0; i < sizeof usual / sizeof usual[0]; i++)
		if (strcmp(name, usual[i][0]) == 0)
			return usual[i][1];
	return suggest(name, known_columns);
}

static bool
has_column(const struct accounts *a, const char *name)
{
	return accounts_find(a, name) < a->ncolumns;
}

static void
check_header(struct reader *r, const struct record *rec)
{
	struct accounts *a = r->a;
	const char *name, *near;
	size_t i;

	for (i = 0; i < rec->n; i++) {
		name = column_name(rec->fields[i]);
		if (*name != '\0' && has_column(a, name))
			wrong(r, rec->line, "two columns '%.60s'", name);
		else if (!listed(name, known_columns) &&
		    (near = meant(name)) != NULL)
			wrong(r, rec->line, "column '%.60s': did you mean "
			    "%s?", name, near);
		a->columns[a->ncolumns++] = name;
	}
	if (!has_column(a, "user") && r->bad == 0)
		wrong(r, rec->line, "there is no column 'user'");
}

/* Whether the line at c->p names columns; it may be an account as well, whose
 * user may be called "user1" and his password "name". */
static bool
names_columns(const struct csv *c)
{
	char *end = c->p, *copy, *name;
	struct csv line = *c;
	struct record rec;
	bool named = false;
	size_t i;

	while (!csv_at_end(c, end))
		end++;
	line.p = line.done = copy = xmemdup0(c->p, (size_t)(end - c->p));
	line.end = copy + (end - c->p);
	if (csv_next(&line, &rec) && rec.wrong == NULL)
		for (i = 0; i < rec.n; i++) {
			name = column_name(rec.fields[i]);
			named |= strcmp(name, "user") == 0 ||
			    (i == 0 && listed(name, known_columns)) ||
			    (i == 1 && strcmp(name, "password1") == 0);
		}
	explicit_bzero(copy, (size_t)(end - c->p));
	free(copy);
	return named;
}

/*
 * Finds out what kind of list this is: reads the header line, or declares the
 * four fields of imapsync.  -1: neither.
 */
static int
read_header(struct reader *r)
{
	static const char *const four[] = {
		"user", "source_password", "target_user", "target_password" };
	struct accounts *a = r->a;
	struct csv *c = &r->csv;
	struct record rec;
	size_t i, semicolons = 0;
	const char *p;

	while (c->p < c->end && (*c->p == '#' || csv_at_end(c, c->p)))
		c->p = csv_skip_line(c, c->p);
	if (c->p == c->end) {
		complain(r->errors, a->file, "there is no account in the "
		    "list");
		r->bad++;
		return -1;
	}
	c->sep = csv_guess_separator(c, c->p);
	for (p = c->p; !csv_at_end(c, p); p++)
		semicolons += *p == ';';
	if (!names_columns(c)) {
		if (semicolons != 3 && !(semicolons == 4 && p[-1] == ';')) {
			wrong(r, csv_line(c, c->p), "the first line must name "
			    "the columns, one of them 'user', as in "
			    "user,target_user,source_password");
			return -1;
		}
		c->plain = true;
		c->sep = ';';
		for (i = 0; i < 4; i++)
			a->columns[a->ncolumns++] = four[i];
		return 0;
	}
	if (!csv_next(c, &rec))
		return -1;
	if (rec.wrong != NULL || rec.nul)
		wrong(r, rec.line, "%s", rec.wrong != NULL ? rec.wrong :
		    "a NUL byte");
	else
		check_header(r, &rec);
	return r->bad > 0 ? -1 : 0;
}

/* Rows */

/* Lays the fields of a record side by side, from the first one on. */
static uint32_t
pack(struct accounts *a, const struct record *rec)
{
	char *to = rec->fields[0];
	size_t i, n;

	for (i = 0; i < rec->n; i++) {
		n = strlen(rec->fields[i]) + 1;
		memmove(to, rec->fields[i], n);
		to += n;
	}
	return (uint32_t)(rec->fields[0] - a->text);
}

/* What is wrong with a name, or NULL. */
static const char *
bad_name(const char *s)
{
	size_t n = strlen(s), i;

	for (i = 0; i < n; i++)
		if ((unsigned char)s[i] < 0x20 || s[i] == 0x7f)
			return "holds a control character";
	if (n > 0 && (s[0] == ' ' || s[n - 1] == ' '))
		return "has a blank at an end";
	if (!utf8_valid(s, n))
		return "is not UTF-8";
	return NULL;
}

/* Mistakes that a row shows by itself. */
static bool
row_is_right(struct reader *r, const struct record *rec)
{
	static const char *const names[] = { "name", "user", "target_user" };
	const struct accounts *a = r->a;
	size_t i, c, bad = r->bad;
	struct quota_rule quota;
	const char *val, *why;

	for (i = 0; i < 3; i++) {
		if ((c = accounts_find(a, names[i])) == a->ncolumns)
			continue;
		val = rec->fields[c];
		if (*val == '\0' && i < 2)
			wrong(r, rec->line, "%s is empty", names[i]);
		else if ((why = bad_name(val)) != NULL)
			wrong(r, rec->line, "%s '%.80s' %s", names[i], val,
			    why);
	}
	c = accounts_find(a, "quota");
	if (c < a->ncolumns && *(val = rec->fields[c]) != '\0' &&
	    config_quota(val, &quota) == -1)
		wrong(r, rec->line, "quota '%.40s' is no size such as 500M, "
		    "nor keep, source or none", val);
	c = accounts_find(a, "priority");
	if (c < a->ncolumns && *(val = rec->fields[c]) != '\0' &&
	    (strlen(val) > 9 || strspn(val, "0123456789") != strlen(val)))
		wrong(r, rec->line, "priority '%.40s' is no number", val);
	return r->bad == bad;
}

static void
add_row(struct accounts *a, const struct record *rec)
{
	const char *user, *at;
	struct row *row;

	if (a->nrows == a->room) {
		a->room = a->room == 0 ? 64 : a->room * 2;
		a->rows = xreallocarray(a->rows, a->room, sizeof *a->rows);
	}
	row = &a->rows[a->nrows++];
	row->fields = pack(a, rec);
	row->line = rec->line;
	row->selected = true;
	user = accounts_field(a, a->nrows - 1, accounts_find(a, "user"));
	at = strrchr(user, '@');
	row->local = (uint32_t)a->locals.len;
	buf_add(&a->locals, user, at != NULL ? (size_t)(at - user) :
	    strlen(user));
	buf_addc(&a->locals, '\0');
}

static void
read_rows(struct reader *r)
{
	struct record rec;

	while (csv_next(&r->csv, &rec)) {
		/* imapsync's own lists often end their lines with a ';'. */
		if (r->csv.plain && rec.n == 5 && *rec.fields[4] == '\0')
			rec.n = 4;
		if (rec.wrong != NULL)
			wrong(r, rec.line, "%s", rec.wrong);
		else if (rec.nul)
			wrong(r, rec.line, "a NUL byte");
		else if (rec.n != r->a->ncolumns)
			wrong(r, rec.line, "%zu fields, but there are %zu "
			    "columns", rec.n, r->a->ncolumns);
		else if (row_is_right(r, &rec))
			add_row(r->a, &rec);
	}
}

/* Two rows of one name: the later ones go, after a complaint. */
static void
drop_doubles(struct reader *r)
{
	struct accounts *a = r->a;
	struct by_text *v = xcalloc(a->nrows, sizeof *v);
	size_t i, n, first = 0;

	for (i = 0; i < a->nrows; i++) {
		v[i].text = account_name(a, i);
		v[i].row = i;
	}
	accounts_sort(v, a->nrows);
	for (i = 1; i < a->nrows; i++)
		if (strcmp(v[i].text, v[first].text) != 0)
			first = i;
		else {
			wrong(r, a->rows[v[i].row].line, "account '%.80s' is "
			    "in line %u already%s", v[i].text,
			    a->rows[v[first].row].line,
			    has_column(a, "name") ? "" : " (a column 'name' "
			    "can tell them apart)");
			a->rows[v[i].row].selected = false;
		}
	free(v);
	for (i = n = 0; i < a->nrows; i++)
		if (a->rows[i].selected)
			a->rows[n++] = a->rows[i];
	a->nrows = n;
}

static void
read_list(struct reader *r, bool private)
{
	const struct accounts *a = r->a;

	if (read_header(r) == 0) {
		if (!private && (has_column(a, "source_password") ||
		    has_column(a, "target_password") ||
		    has_column(a, "pop3_password"))) {
			complain(r->errors, a->file, "the list holds "
			    "passwords, but others can access it; chmod 600 "
			    "it");
			r->bad++;
		}
		read_rows(r);
		drop_doubles(r);
	}
	if (a->nrows == 0 && r->bad == 0) {
		complain(r->errors, a->file, "there is no account in the "
		    "list");
		r->bad++;
	}
}

size_t
accounts_read_text(struct accounts **ap, const char *path, const char *p,
    size_t len, bool private, struct buf *errors)
{
	struct accounts *a = accounts_new(path);
	struct reader r = { .a = a, .errors = errors, .csv.line = 1 };
	const char *start = text_start(p, len);

	a->text = xmemdup0(p, len);
	a->size = len;
	if (start == NULL)
		wrong(&r, 1, "this is UTF-16 text; save it as UTF-8");
	else {
		r.csv.p = r.csv.done = a->text + (start - p);
		r.csv.end = a->text + len;
		read_list(&r, private);
	}
	if (a->nrows == 0)
		accounts_free(&a);
	*ap = a;
	return r.bad;
}

size_t
accounts_read(struct accounts **ap, const char *path, struct buf *errors)
{
	struct buf b;
	mode_t mode;
	size_t bad = 1;

	*ap = NULL;
	buf_init(&b, LIST_MAX);
	if (text_read(path, &b, &mode) == -1)
		complain(errors, path, "cannot read the account list: %s",
		    strerror(errno));
	else
		bad = accounts_read_text(ap, path, b.ptr, b.len,
		    (mode & 077) == 0 || !S_ISREG(mode), errors);
	explicit_bzero(b.ptr, b.len);
	buf_release(&b);
	return bad;
}
