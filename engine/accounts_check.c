/* The rows of a list against the job, and against each other. */
#include "accounts_impl.h"

#include <stdlib.h>
#include <string.h>

#include "base/xmalloc.h"

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
	accounts_sort(v, n);
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
