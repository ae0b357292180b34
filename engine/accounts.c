/* The account list: reading, checking, choosing.  The format: accounts.h. */
#include "accounts.h"

#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mutf7.h"
#include "base/xmalloc.h"

#define LIST_MAX	((size_t)256 * 1024 * 1024)
#define COLUMNS_MAX	64

struct row {
	uint32_t	 fields;	/* offset in text of the first field */
	uint32_t	 local;		/* offset in locals */
	uint32_t	 line;
	bool		 selected;
};

struct accounts {
	char		*file;		/* NULL: from the command line */
	char		*text;		/* the list, its fields NUL-ended in
					 * place: a row costs what it holds */
	size_t		 size;
	struct buf	 locals;	/* {local} of all rows, NUL-ended */
	const char	*columns[COLUMNS_MAX];	/* names, in text */
	size_t		 ncolumns;
	struct row	*rows;
	size_t		 nrows, room;
	char		*single;	/* the name of the only account ... */
	char		*single_target;	/* ... and its target_user */
};

static const char *const known_columns[] = {
	"name", "user", "target_user", "source_password", "target_password",
	"source", "target", "owner", "partition", "quota", "priority", NULL
};

/* Reading */

struct reader {
	struct accounts	*a;
	struct buf	*errors;
	char		*p, *end;	/* where we are; *end is a NUL */
	char		*done;		/* lines are counted up to here */
	unsigned	 line;		/* of done */
	char		 sep;
	bool		 plain;		/* no quotes */
	size_t		 bad;
};

/* One record; its fields are NUL-ended in place. */
struct record {
	char		*fields[COLUMNS_MAX];
	size_t		 n;
	unsigned	 line;
	bool		 nul, quoted;
	const char	*wrong;		/* what is wrong with it, or NULL */
};

static void __attribute__((format(printf, 3, 4)))
wrong(struct reader *r, unsigned line, const char *fmt, ...)
{
	struct buf where;
	char text[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	buf_init(&where, SIZE_MAX / 4);
	buf_addf(&where, "%s:%u", r->a->file, line);
	complain(r->errors, where.ptr, "%s", text);
	buf_release(&where);
	r->bad++;
}

/* The number of the line that p lies in; p never goes back.  Line ends that
 * became NULs were counted before. */
static unsigned
line_at(struct reader *r, const char *p)
{
	for (; r->done < p; r->done++)
		r->line += *r->done == '\n';
	return r->line;
}

static bool
at_line_end(const struct reader *r, const char *p)
{
	return p == r->end || *p == '\n' ||
	    (*p == '\r' && (p + 1 == r->end || p[1] == '\n'));
}

/* p stands at a line end; the start of the next line. */
static char *
next_line(const struct reader *r, char *p)
{
	if (p < r->end && *p == '\r')
		p++;
	return p < r->end ? p + 1 : p;
}

static char *
skip_line(const struct reader *r, char *p)
{
	while (!at_line_end(r, p))
		p++;
	return next_line(r, p);
}

/* The '"' that ends the field that starts with the one at p, or NULL. */
static char *
closing_quote(const struct reader *r, char *p)
{
	for (p++; p < r->end; p++) {
		if (*p != '"')
			continue;
		if (p + 1 < r->end && p[1] == '"')
			p++;
		else if (at_line_end(r, p + 1) || p[1] == r->sep)
			return p;
		else
			return NULL;
	}
	return NULL;
}

/* Takes a quoted field; r->p stands behind its last quote then. */
static bool
take_quoted(struct reader *r, struct record *rec)
{
	char *last = closing_quote(r, r->p), *from, *to;

	if (last != NULL)
		line_at(r, last);	/* before the bytes move */
	if (last == NULL) {
		rec->wrong = "a field that starts with '\"' does not end with "
		    "one (a '\"' inside is written twice)";
		return false;
	}
	rec->quoted = true;
	to = rec->fields[rec->n++] = r->p + 1;
	for (from = to; from < last; from++) {
		rec->nul |= *from == '\0';
		*to++ = *from;
		from += *from == '"';
	}
	*to = '\0';
	r->p = last + 1;
	return true;
}

static bool
take_plain(struct reader *r, struct record *rec)
{
	char *p = r->p;

	rec->fields[rec->n++] = p;
	for (; !at_line_end(r, p) && *p != r->sep; p++) {
		rec->nul |= *p == '\0';
		if (*p == '"' && !r->plain) {
			rec->wrong = "a '\"' inside a field that does not "
			    "start with one";
			return false;
		}
	}
	r->p = p;
	return true;
}

/* The next record; false at the end.  rec->wrong: it is none. */
static bool
next_record(struct reader *r, struct record *rec)
{
	char *start, *stop;

	for (;;) {
		if (r->p == r->end)
			return false;
		if (*r->p != '#' && !at_line_end(r, r->p))
			break;
		r->p = skip_line(r, r->p);
	}
	memset(rec, 0, sizeof *rec);
	rec->line = line_at(r, r->p);
	for (;;) {
		start = r->p;
		if (rec->n == COLUMNS_MAX) {
			rec->wrong = "more than 64 fields";
			break;
		}
		if (!(*r->p == '"' && !r->plain ? take_quoted(r, rec) :
		    take_plain(r, rec)))
			break;
		stop = r->p;
		line_at(r, stop);	/* before its line end is gone */
		if (at_line_end(r, stop)) {
			r->p = next_line(r, stop);
			line_at(r, r->p);
			*stop = '\0';
			return true;
		}
		*stop = '\0';
		r->p = stop + 1;
	}
	r->p = skip_line(r, start);
	return true;
}

/* The separator the line has more of, outside of quotes. */
static char
guess_separator(const struct reader *r, const char *p)
{
	size_t commas = 0, semicolons = 0;
	bool quoted = false;

	for (; p < r->end && (quoted || !at_line_end(r, p)); p++) {
		if (*p == '"')
			quoted = !quoted;
		commas += *p == ',' && !quoted;
		semicolons += *p == ';' && !quoted;
	}
	return semicolons > commas ? ';' : ',';
}

/* Column names in lower case, without the blanks around them. */
static char *
column_name(char *s)
{
	size_t n;

	s += strspn(s, " \t");
	for (n = strlen(s); n > 0 && (s[n - 1] == ' ' || s[n - 1] == '\t'); )
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
	struct uri_opt o = { .key = xstrdup(name) };
	struct uri u = { .opts = &o, .nopts = 1 };
	const char *hint = NULL;
	struct err e;
	size_t i, n;

	if (uri_check_opts(&u, known_columns, &e) == -1)
		hint = strstr(e.text, "did you mean '");
	free(o.key);
	for (i = 0; i < sizeof usual / sizeof usual[0]; i++)
		if (strcmp(name, usual[i][0]) == 0)
			return usual[i][1];
	for (i = 0; hint != NULL && known_columns[i] != NULL; i++) {
		n = strlen(known_columns[i]);
		if (strncmp(strchr(hint, '\'') + 1, known_columns[i], n) == 0 &&
		    strchr(hint, '\'')[1 + n] == '\'')
			return known_columns[i];
	}
	return NULL;
}

static size_t
column_index(const struct accounts *a, const char *name)
{
	size_t i;

	for (i = 0; i < a->ncolumns; i++)
		if (strcmp(a->columns[i], name) == 0)
			break;
	return i;
}

static bool
has_column(const struct accounts *a, const char *name)
{
	return column_index(a, name) < a->ncolumns;
}

static bool
is_known(const char *name)
{
	size_t i;

	for (i = 0; known_columns[i] != NULL; i++)
		if (strcmp(known_columns[i], name) == 0)
			return true;
	return false;
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
		else if (!is_known(name) && (near = meant(name)) != NULL)
			wrong(r, rec->line, "column '%.60s': did you mean "
			    "%s?", name, near);
		a->columns[a->ncolumns++] = name;
	}
	if (!has_column(a, "user") && r->bad == 0)
		wrong(r, rec->line, "there is no column 'user'");
}

/* Whether the line at r->p names columns; it may be an account as well, whose
 * user may be called "user1" and his password "name". */
static bool
names_columns(const struct reader *r)
{
	char *end = r->p, *copy, *name;
	struct reader line = *r;
	struct record rec;
	bool named = false;
	size_t i;

	while (!at_line_end(r, end))
		end++;
	line.p = line.done = copy = xmemdup0(r->p, (size_t)(end - r->p));
	line.end = copy + (end - r->p);
	if (next_record(&line, &rec) && rec.wrong == NULL)
		for (i = 0; i < rec.n; i++) {
			name = column_name(rec.fields[i]);
			named |= strcmp(name, "user") == 0 ||
			    (i == 0 && is_known(name)) ||
			    (i == 1 && strcmp(name, "password1") == 0);
		}
	explicit_bzero(copy, (size_t)(end - r->p));
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
	struct record rec;
	size_t i, semicolons = 0;
	const char *p;

	while (r->p < r->end && (*r->p == '#' || at_line_end(r, r->p)))
		r->p = skip_line(r, r->p);
	if (r->p == r->end) {
		complain(r->errors, a->file, "there is no account in the "
		    "list");
		r->bad++;
		return -1;
	}
	r->sep = guess_separator(r, r->p);
	for (p = r->p; !at_line_end(r, p); p++)
		semicolons += *p == ';';
	if (!names_columns(r)) {
		if (semicolons != 3 && !(semicolons == 4 && p[-1] == ';')) {
			wrong(r, line_at(r, r->p), "the first line must name "
			    "the columns, one of them 'user', as in "
			    "user,target_user,source_password");
			return -1;
		}
		r->plain = true;
		r->sep = ';';
		for (i = 0; i < 4; i++)
			a->columns[a->ncolumns++] = four[i];
		return 0;
	}
	if (!next_record(r, &rec))
		return -1;
	if (rec.wrong != NULL || rec.nul)
		wrong(r, rec.line, "%s", rec.wrong != NULL ? rec.wrong :
		    "a NUL byte");
	else
		check_header(r, &rec);
	return r->bad > 0 ? -1 : 0;
}

static const char *
field(const struct accounts *a, size_t i, size_t column)
{
	const char *p = a->text + a->rows[i].fields;

	while (column-- > 0)
		p += strlen(p) + 1;
	return p;
}

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
	const char *val, *why;
	uint64_t n;

	for (i = 0; i < 3; i++) {
		if ((c = column_index(a, names[i])) == a->ncolumns)
			continue;
		val = rec->fields[c];
		if (*val == '\0' && i < 2)
			wrong(r, rec->line, "%s is empty", names[i]);
		else if ((why = bad_name(val)) != NULL)
			wrong(r, rec->line, "%s '%.80s' %s", names[i], val,
			    why);
	}
	c = column_index(a, "quota");
	if (c < a->ncolumns && *(val = rec->fields[c]) != '\0' &&
	    strcmp(val, "none") != 0 && config_size(val, &n) == -1)
		wrong(r, rec->line, "quota '%.40s' is no size such as 500M, "
		    "nor none", val);
	c = column_index(a, "priority");
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
	user = field(a, a->nrows - 1, column_index(a, "user"));
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

	while (next_record(r, &rec)) {
		/* imapsync's own lists often end their lines with a ';'. */
		if (r->plain && rec.n == 5 && *rec.fields[4] == '\0')
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

struct by_text {
	const char	*text;
	size_t		 row;
};

static int
compare(const void *p, const void *q)
{
	const struct by_text *a = p, *b = q;
	int c = strcmp(a->text, b->text);

	return c != 0 ? c : a->row < b->row ? -1 : a->row > b->row;
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
	qsort(v, a->nrows, sizeof *v, compare);
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

size_t
accounts_read_text(struct accounts **ap, const char *path, const char *p,
    size_t len, bool private, struct buf *errors)
{
	struct accounts *a = xcalloc(1, sizeof *a);
	struct reader r = { .a = a, .errors = errors, .line = 1 };

	*ap = NULL;
	buf_init(&a->locals, UINT32_MAX);
	a->file = xstrdup(path);
	a->text = xmemdup0(p, len);
	a->size = len;
	r.p = r.done = a->text;
	r.end = a->text + len;
	if (len >= 2 && (memcmp(p, "\xff\xfe", 2) == 0 ||
	    memcmp(p, "\xfe\xff", 2) == 0))
		wrong(&r, 1, "this is UTF-16 text; save it as UTF-8");
	else {
		if (len >= 3 && memcmp(p, "\xef\xbb\xbf", 3) == 0)
			r.p += 3;
		if (read_header(&r) == 0) {
			if (!private && (has_column(a, "source_password") ||
			    has_column(a, "target_password"))) {
				complain(errors, path, "the list holds "
				    "passwords, but others can access it; "
				    "chmod 600 it");
				r.bad++;
			}
			read_rows(&r);
			drop_doubles(&r);
		}
		if (a->nrows == 0 && r.bad == 0) {
			complain(errors, path, "there is no account in the "
			    "list");
			r.bad++;
		}
	}
	if (a->nrows == 0)
		accounts_free(&a);
	*ap = a;
	return r.bad;
}

size_t
accounts_read(struct accounts **ap, const char *path, struct buf *errors)
{
	struct stat st;
	struct buf b;
	ssize_t n = -1;
	size_t bad = 1;
	int fd;

	*ap = NULL;
	buf_init(&b, LIST_MAX);
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	if (fd != -1 && fstat(fd, &st) == 0) {
		/* In one piece, so that no copy of a password stays behind. */
		buf_reserve(&b, S_ISREG(st.st_mode) && st.st_size > 0 &&
		    (uint64_t)st.st_size < LIST_MAX ?
		    (size_t)st.st_size + 65536 : 65536);
		while (buf_reserve(&b, 65536) == 0 &&
		    (n = read(fd, b.ptr + b.len, 65536)) > 0)
			b.len += (size_t)n;
		if (b.full) {
			errno = EFBIG;
			n = -1;
		}
	}
	if (n == -1)
		complain(errors, path, "cannot read the account list: %s",
		    strerror(errno));
	else
		bad = accounts_read_text(ap, path, b.ptr, b.len,
		    (st.st_mode & 077) == 0 || !S_ISREG(st.st_mode), errors);
	if (fd != -1)
		close(fd);
	explicit_bzero(b.ptr, b.len);
	buf_release(&b);
	return bad;
}

void
accounts_free(struct accounts **ap)
{
	struct accounts *a = *ap;

	if (a == NULL)
		return;
	if (a->text != NULL)
		explicit_bzero(a->text, a->size);
	free(a->text);
	free(a->file);
	free(a->rows);
	free(a->single);
	free(a->single_target);
	buf_release(&a->locals);
	free(a);
	*ap = NULL;
}

/* The account of a command line */

/* The last level of a path that says something, or NULL; the caller frees. */
static char *
path_name(const char *path)
{
	size_t end = strlen(path), start;

	for (;;) {
		while (end > 0 && path[end - 1] == '/')
			end--;
		for (start = end; start > 0 && path[start - 1] != '/'; start--)
			;
		if (start == end)
			return NULL;
		if (start == 0 || end - start != 7 ||
		    strncmp(path + start, "Maildir", 7) != 0)
			return xmemdup0(path + start, end - start);
		end = start;
	}
}

static char *
store_user(const struct uri *u)
{
	size_t i;

	for (i = 0; i < u->nopts; i++)
		if (strcmp(u->opts[i].key, "authzid") == 0)
			return xstrdup(u->opts[i].val);
	if (u->user == NULL || u->host == NULL)
		return NULL;
	return xmemdup0(u->user, strcspn(u->user, "*"));
}

struct accounts *
accounts_single(const struct config *c)
{
	const struct uri *src = config_store(c, SIDE_SOURCE);
	const struct uri *tgt = config_store(c, SIDE_TARGET);
	struct accounts *a = xcalloc(1, sizeof *a);

	buf_init(&a->locals, 16);
	a->rows = xcalloc(1, sizeof *a->rows);
	a->nrows = a->room = 1;
	a->rows[0].selected = true;
	a->single_target = store_user(tgt);
	if ((a->single = store_user(tgt)) == NULL &&
	    (a->single = store_user(src)) == NULL &&
	    (a->single = path_name(tgt->path)) == NULL &&
	    (a->single = path_name(src->path)) == NULL)
		a->single = xstrdup("account");
	return a;
}

/* Using rows */

size_t
accounts_count(const struct accounts *a)
{
	return a->nrows;
}

size_t
accounts_selected(const struct accounts *a)
{
	size_t i, n = 0;

	for (i = 0; i < a->nrows; i++)
		n += a->rows[i].selected;
	return n;
}

bool
account_selected(const struct accounts *a, size_t i)
{
	return a->rows[i].selected;
}

const char *
account_name(const struct accounts *a, size_t i)
{
	size_t c;

	if (a->single != NULL)
		return a->single;
	if ((c = column_index(a, "name")) == a->ncolumns)
		c = column_index(a, "user");
	return field(a, i, c);
}

unsigned
account_line(const struct accounts *a, size_t i)
{
	return a->rows[i].line;
}

const char *
account_column(const struct accounts *a, size_t i, const char *column)
{
	size_t c = column_index(a, column);
	const char *s, *at;

	if (c < a->ncolumns && (*(s = field(a, i, c)) != '\0' ||
	    strcmp(column, "target_user") != 0))
		return s;
	if (a->single != NULL)
		return strcmp(column, "target_user") == 0 ? a->single_target :
		    NULL;
	if (strcmp(column, "local") == 0)
		return a->locals.ptr + a->rows[i].local;
	s = field(a, i, column_index(a, "user"));
	if (strcmp(column, "target_user") == 0)
		return s;
	if (strcmp(column, "name") == 0)
		return account_name(a, i);
	if (strcmp(column, "domain") == 0) {
		at = strrchr(s, '@');
		return at != NULL ? at + 1 : "";
	}
	return NULL;
}

struct lookup {
	const struct accounts	*a;
	size_t			 i;
};

static const char *
lookup(void *ctx, const char *name)
{
	const struct lookup *l = ctx;

	/* A command line has no columns, and a password its own way. */
	if (l->a->single != NULL || strstr(name, "_password") != NULL)
		return NULL;
	return account_column(l->a, l->i, name);
}

/* The template of one row: the job's, or the row's own with the options of the
 * job's that it does not give. */
static int
template(const struct accounts *a, size_t i, const struct config *c,
    enum side side, struct uri **up, struct err *e)
{
	static const char *const columns[] = { "source", "target" };
	const struct uri *job = config_store(c, side);
	const char *own, *slash;
	struct uri *u;
	char *dir;
	size_t k;

	*up = NULL;
	own = a->single == NULL ? account_column(a, i, columns[side]) : NULL;
	if (own == NULL || *own == '\0')
		return 0;
	if (uri_parse(&u, own, e) == -1) {
		e->scope = ERR_ACCOUNT;
		return -1;
	}
	if ((slash = strrchr(a->file, '/')) != NULL) {
		dir = xmemdup0(a->file, (size_t)(slash - a->file));
		config_uri_at(u, dir);
		free(dir);
	}
	for (k = 0; job != NULL && strcmp(job->scheme, u->scheme) == 0 &&
	    k < job->nopts; k++)
		if (uri_opt(u, job->opts[k].key) == NULL)
			uri_set(u, job->opts[k].key, job->opts[k].val);
	if (config_check_uri(side, u, e) == -1) {
		uri_free(&u);
		e->scope = ERR_ACCOUNT;
		return -1;
	}
	*up = u;
	return 0;
}

static void
drop_opt(struct uri *u, const char *key)
{
	size_t i;

	for (i = 0; i < u->nopts; i++)
		if (strcmp(u->opts[i].key, key) == 0) {
			free(u->opts[i].key);
			free(u->opts[i].val);
			u->nopts--;
			memmove(&u->opts[i], &u->opts[i + 1],
			    (u->nopts - i) * sizeof *u->opts);
			return;
		}
}

/* What a row says of the place at the target, where the back end has a word
 * for it. */
static void
set_place(const struct accounts *a, size_t i, struct uri *u)
{
	static const char *const keys[] = { "partition", "owner" };
	const char *val;
	struct err e;
	size_t k;

	for (k = 0; k < sizeof keys / sizeof keys[0]; k++) {
		if ((val = account_column(a, i, keys[k])) == NULL ||
		    *val == '\0')
			continue;
		uri_set(u, keys[k], val);
		if (config_check_uri(SIDE_TARGET, u, &e) == -1)
			drop_opt(u, keys[k]);
	}
}

static int
make_store(const struct accounts *a, size_t i, const struct config *c,
    enum side side, struct account_stores *s, struct err *e)
{
	static const char *const passwords[] = {
		"source_password", "target_password" };
	struct lookup l = { a, i };
	const char *listed;
	struct uri *own;
	int rc;

	if (template(a, i, c, side, &own, e) == -1)
		return -1;
	if (own == NULL && config_store(c, side) == NULL)
		return err_set(e, ERR_RUN, "no URI for the %s, in the job or "
		    "in a column", side == SIDE_SOURCE ? "source" : "target");
	rc = uri_fill(&s->uri[side], own != NULL ? own : config_store(c, side),
	    lookup, &l, e);
	uri_free(&own);
	if (rc == -1)
		return -1;
	drop_opt(s->uri[side], "lanes");
	if (side == SIDE_TARGET)
		set_place(a, i, s->uri[side]);
	listed = a->single == NULL && s->uri[side]->host != NULL ?
	    account_column(a, i, passwords[side]) : NULL;
	return secret_spec_take(s->uri[side], listed, &s->secret[side], e);
}

int
account_stores(const struct accounts *a, size_t i, const struct config *c,
    struct account_stores *s, struct err *e)
{
	memset(s, 0, sizeof *s);
	if (make_store(a, i, c, SIDE_SOURCE, s, e) == 0 &&
	    make_store(a, i, c, SIDE_TARGET, s, e) == 0)
		return 0;
	account_stores_release(s);
	return -1;
}

void
account_stores_release(struct account_stores *s)
{
	int side;

	for (side = SIDE_SOURCE; side <= SIDE_TARGET; side++) {
		uri_free(&s->uri[side]);
		secret_spec_release(&s->secret[side]);
	}
}

void
fold_case(char *s)
{
	for (; *s != '\0'; s++)
		if (*s >= 'A' && *s <= 'Z')
			*s += 'a' - 'A';
}

/* Checking */

/* "LIST:LINE: NAME" for messages, for the caller to free. */
static char *
row_where(const struct accounts *a, size_t i)
{
	struct buf b;

	buf_init(&b, SIZE_MAX / 4);
	if (a->file != NULL)
		buf_addf(&b, "%s:%u: ", a->file, a->rows[i].line);
	buf_adds(&b, account_name(a, i));
	return buf_detach(&b, NULL);
}

/* Whether a list has to bring its own passwords: nobody can type so many. */
static bool
lacks_secret(const struct accounts *a, const struct config *c, enum side side,
    const struct account_stores *s)
{
	const struct uri *t = config_store(c, side);

	return s->secret[side].kind == SECRET_PROMPT && a->nrows > 1 &&
	    (t == NULL || t->user == NULL || strchr(t->user, '{') != NULL);
}

/* Appends what is wrong with row i; its two identities, NULL when it has
 * none, for the caller to free. */
static size_t
check_row(const struct accounts *a, size_t i, const struct config *c,
    void (*fold)(char *), char *ids[2], bool *stop, struct buf *errors)
{
	static const char *const sides[] = { "source", "target" };
	struct account_stores s;
	char *where = row_where(a, i);
	struct err e;
	size_t bad = 0;
	int side;

	ids[0] = ids[1] = NULL;
	if (account_stores(a, i, c, &s, &e) == -1) {
		complain(errors, where, "%s", e.text);
		*stop = e.scope == ERR_RUN;	/* every row has it */
		free(where);
		return 1;
	}
	for (side = SIDE_SOURCE; side <= SIDE_TARGET; side++) {
		ids[side] = config_identity(s.uri[side],
		    side == SIDE_TARGET ? fold : NULL);
		if (!lacks_secret(a, c, (enum side)side, &s))
			continue;
		bad++;
		if (account_column(a, i, side == SIDE_SOURCE ?
		    "source_password" : "target_password") != NULL)
			complain(errors, where, "%s_password is empty",
			    sides[side]);
		else {
			complain(errors, where, "no password for the %s; the "
			    "list needs a column %s_password, or the job a "
			    "secret-file", sides[side], sides[side]);
			*stop = true;
		}
	}
	if (ids[0] != NULL && ids[1] != NULL) {
		char *same = config_identity(s.uri[0], fold);

		if (strcmp(same, ids[1]) == 0) {
			complain(errors, where,
			    "source and target are the same store");
			bad++;
		}
		free(same);
	}
	account_stores_release(&s);
	free(where);
	return bad;
}

/* Complains of rows whose identity on one side is that of an earlier one. */
static size_t
check_doubles(const struct accounts *a, char *const *ids, const char *what,
    struct buf *errors)
{
	struct by_text *v = xcalloc(a->nrows, sizeof *v);
	size_t i, n = 0, first = 0, bad = 0;
	char *where;

	for (i = 0; i < a->nrows; i++)
		if (ids[i] != NULL) {
			v[n].text = ids[i];
			v[n++].row = i;
		}
	qsort(v, n, sizeof *v, compare);
	for (i = 1; i < n; i++) {
		if (strcmp(v[i].text, v[first].text) != 0) {
			first = i;
			continue;
		}
		where = row_where(a, v[i].row);
		complain(errors, where, "the %s (%s) is that of %s in line "
		    "%u%s", what, v[i].text,
		    account_name(a, v[first].row), a->rows[v[first].row].line,
		    strcmp(what, "target") == 0 ? "; existing = merge allows "
		    "that" : "");
		free(where);
		bad++;
	}
	free(v);
	return bad;
}

size_t
accounts_check(const struct accounts *a, const struct config *c,
    void (*fold)(char *), struct buf *errors)
{
	char **ids[2], *pair[2];
	size_t i, bad = 0;
	bool stop = false;

	ids[0] = xcalloc(a->nrows, sizeof **ids);
	ids[1] = xcalloc(a->nrows, sizeof **ids);
	for (i = 0; i < a->nrows && !stop; i++) {
		bad += check_row(a, i, c, fold, pair, &stop, errors);
		ids[0][i] = pair[0];
		ids[1][i] = pair[1];
	}
	bad += check_doubles(a, ids[0], "source", errors);
	if (config_enum(c, CFG_EXISTING) != EXISTING_MERGE)
		bad += check_doubles(a, ids[1], "target", errors);
	for (i = 0; i < a->nrows; i++) {
		free(ids[0][i]);
		free(ids[1][i]);
	}
	free(ids[0]);
	free(ids[1]);
	return bad;
}

static bool
matches(const char *pattern, const char *name)
{
	return strcmp(pattern, name) == 0 || fnmatch(pattern, name, 0) == 0;
}

bool
account_wanted(const struct config *c, const char *name)
{
	size_t k, n = config_list(c, CFG_ONLY);

	for (k = 0; k < n; k++)
		if (matches(config_item(c, CFG_ONLY, k), name))
			return true;
	return n == 0;
}

size_t
accounts_select(struct accounts *a, const struct config *c,
    struct buf *errors)
{
	size_t i, k, n = config_list(c, CFG_ONLY), bad = 0;
	const char *pattern;
	bool found;

	if (n == 0)
		return 0;
	for (i = 0; i < a->nrows; i++)
		a->rows[i].selected = false;
	for (k = 0; k < n; k++) {
		pattern = config_item(c, CFG_ONLY, k);
		found = false;
		for (i = 0; i < a->nrows; i++)
			if (matches(pattern, account_name(a, i)))
				found = a->rows[i].selected = true;
		if (!found) {
			complain(errors, config_where(c, CFG_ONLY),
			    "no account is called '%.80s'", pattern);
			bad++;
		}
	}
	return bad;
}

size_t
accounts_load(struct accounts **ap, const struct config *c,
    void (*fold)(char *), struct buf *errors)
{
	struct accounts *a;
	size_t bad = 0;

	*ap = NULL;
	if (config_isset(c, CFG_ACCOUNTS))
		bad = accounts_read(&a, config_str(c, CFG_ACCOUNTS), errors);
	else
		a = accounts_single(c);
	if (a != NULL) {
		bad += accounts_check(a, c, fold, errors);
		bad += accounts_select(a, c, errors);
	}
	if (bad > 0)
		accounts_free(&a);
	*ap = a;
	return bad;
}
