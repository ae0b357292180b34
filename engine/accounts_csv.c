/*
 * The records of a list: lines cut into fields, in place.
 *
 * Fields are parted by ',' or ';'.  One that starts with a '"' ends with a '"',
 * and may hold separators, line ends, and '"' written twice.  A record ends
 * with LF, CRLF or the text.  Empty lines and lines that start with '#' are no
 * records.
 */
#include "accounts_csv.h"

#include <string.h>

unsigned
csv_line(struct csv *r, const char *p)
{
	for (; r->done < p; r->done++)
		r->line += *r->done == '\n';
	return r->line;
}

bool
csv_at_end(const struct csv *r, const char *p)
{
	return p == r->end || *p == '\n' ||
	    (*p == '\r' && (p + 1 == r->end || p[1] == '\n'));
}

/* p stands at a line end; the start of the next line. */
static char *
next_line(const struct csv *r, char *p)
{
	if (p < r->end && *p == '\r')
		p++;
	return p < r->end ? p + 1 : p;
}

char *
csv_skip_line(const struct csv *r, char *p)
{
	while (!csv_at_end(r, p))
		p++;
	return next_line(r, p);
}

/* The '"' that ends the field that starts with the one at p, or NULL. */
static char *
closing_quote(const struct csv *r, char *p)
{
	for (p++; p < r->end; p++) {
		if (*p != '"')
			continue;
		if (p + 1 < r->end && p[1] == '"')
			p++;
		else if (csv_at_end(r, p + 1) || p[1] == r->sep)
			return p;
		else
			return NULL;
	}
	return NULL;
}

/* Takes a quoted field; r->p stands behind its last quote then. */
static bool
take_quoted(struct csv *r, struct record *rec)
{
	char *last = closing_quote(r, r->p), *from, *to;

	if (last == NULL) {
		rec->wrong = "a field that starts with '\"' does not end with "
		    "one (a '\"' inside is written twice)";
		return false;
	}
	csv_line(r, last);		/* before the bytes move */
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
take_plain(struct csv *r, struct record *rec)
{
	char *p = r->p;

	rec->fields[rec->n++] = p;
	for (; !csv_at_end(r, p) && *p != r->sep; p++) {
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

bool
csv_next(struct csv *r, struct record *rec)
{
	char *start, *stop;

	for (;;) {
		if (r->p == r->end)
			return false;
		if (*r->p != '#' && !csv_at_end(r, r->p))
			break;
		r->p = csv_skip_line(r, r->p);
	}
	memset(rec, 0, sizeof *rec);
	rec->line = csv_line(r, r->p);
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
		csv_line(r, stop);	/* before its line end is gone */
		if (csv_at_end(r, stop)) {
			r->p = next_line(r, stop);
			csv_line(r, r->p);
			*stop = '\0';
			return true;
		}
		*stop = '\0';
		r->p = stop + 1;
	}
	r->p = csv_skip_line(r, start);
	return true;
}

char
csv_guess_separator(const struct csv *r, const char *p)
{
	size_t commas = 0, semicolons = 0;
	bool quoted = false;

	for (; p < r->end && (quoted || !csv_at_end(r, p)); p++) {
		if (*p == '"')
			quoted = !quoted;
		commas += *p == ',' && !quoted;
		semicolons += *p == ';' && !quoted;
	}
	return semicolons > commas ? ';' : ',';
}
