/*
 * Into which mailboxes do a user's Sieve scripts file?  Only that is read of
 * them (RFC 5228):
 *
 *	fileinto *(tag / string / list) string ";"
 *
 * the last string is the mailbox.  Comments, strings and "text:" blocks are
 * passed over.
 */
#include <string.h>
#include <strings.h>

#include "cyrus/cyrus_impl.h"

#define SCRIPT_MAX	((size_t)1 << 20)
#define FILINGS_MAX	1000	/* of a user */

struct text {
	const char	*p, *end;
};

static bool
letter(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	    (c >= '0' && c <= '9') || c == '_';
}

/* To the line's end, and over it. */
static void
skip_line(struct text *t)
{
	const char *nl = memchr(t->p, '\n', (size_t)(t->end - t->p));

	t->p = nl != NULL ? nl + 1 : t->end;
}

/* Blanks and comments. */
static void
skip(struct text *t)
{
	while (t->p < t->end) {
		if (*t->p == '#')
			skip_line(t);
		else if (t->end - t->p > 1 && t->p[0] == '/' && t->p[1] ==
		    '*') {
			const char *stop = memmem(t->p + 2, (size_t)(t->end -
			    t->p - 2), "*/", 2);

			t->p = stop != NULL ? stop + 2 : t->end;
		} else if (strchr(" \t\r\n", *t->p) != NULL)
			t->p++;
		else
			return;
	}
}

/* Behind a quote. */
static void
read_string(struct text *t, struct buf *out)
{
	buf_reset(out);
	for (; t->p < t->end && *t->p != '"'; t->p++) {
		if (*t->p == '\\' && t->p + 1 < t->end)
			t->p++;
		buf_addc(out, *t->p);
	}
	if (t->p < t->end)
		t->p++;
}

/* Behind "text:", to the line that is a dot. */
static void
skip_block(struct text *t)
{
	do
		skip_line(t);
	while (t->p < t->end && !(t->p[0] == '.' && (t->p + 1 == t->end ||
	    t->p[1] == '\r' || t->p[1] == '\n')));
	skip_line(t);
}

void
cyrus_sieve_filings(const char *script, size_t len, sieve_fn *fn, void *ctx)
{
	struct text t = { script, script + len };
	struct buf last;
	bool filing = false, any = false;

	buf_init(&last, 4000);
	for (skip(&t); t.p < t.end; skip(&t)) {
		const char *word = t.p;
		size_t n;

		if (*t.p == '"') {
			t.p++;
			read_string(&t, &last);
			any = true;
			continue;
		}
		if (!letter(*t.p)) {
			if (filing && any && *t.p == ';')
				fn(ctx, last.ptr);
			filing = filing && *t.p != ';';
			t.p++;
			continue;
		}
		while (t.p < t.end && letter(*t.p))
			t.p++;
		n = (size_t)(t.p - word);
		if (n == 4 && strncasecmp(word, "text", n) == 0 &&
		    t.p < t.end && *t.p == ':')
			skip_block(&t);
		else if (n == 8 && strncasecmp(word, "fileinto", n) == 0) {
			filing = true;
			any = false;
		}
	}
	buf_release(&last);
}

struct reading {
	struct arena	*a;
	struct target_view *v;
	size_t		 cap;
	const char	*script;
};

static void
add_filing(void *ctx, const char *mailbox)
{
	struct reading *g = ctx;
	struct target_filing *f = g->v->filings;

	for (size_t i = 0; i < g->v->nfilings; i++)
		if (strcmp(f[i].script, g->script) == 0 &&
		    strcmp(f[i].mailbox, mailbox) == 0)
			return;
	if (g->v->nfilings == FILINGS_MAX)
		return;
	if (f == NULL)
		g->v->filings = f = arena_alloc(g->a, FILINGS_MAX *
		    sizeof *f);
	f[g->v->nfilings].script = g->script;
	f[g->v->nfilings++].mailbox = arena_strdup(g->a, mailbox);
}

static int
script_data(struct sync *y, const char *name, void *ctx, struct err *e)
{
	struct reading *g = ctx;
	struct dlist_token t;
	char key[24];
	int rc;

	if (strcmp(name, "SIEVE") != 0)
		return 0;
	if (dlist_next(&y->d, &t, e) == -1)
		return -1;
	if (t.type != DLIST_KVOPEN)
		return dlist_bad(&y->d, "an odd script", e);
	while ((rc = dlist_pair(&y->d, key, sizeof key, &t, e)) == 1) {
		if (strcmp(key, "CONTENT") == 0 && (t.type == DLIST_STRING ||
		    t.type == DLIST_ATOM))
			cyrus_sieve_filings(t.p, t.len, add_filing, g);
		if (dlist_skip(&y->d, &t, e) == -1)
			return -1;
	}
	return rc;
}

int
cyrus_sieve_read(struct cyrus *c, const struct cyrus_account *acc,
    struct arena *a, struct target_view *v, struct err *e)
{
	struct reading g = { .a = a, .v = v };
	struct sync_reply r;
	struct buf args;
	int rc = 1;

	c->y->d.tok.max = SCRIPT_MAX;
	for (size_t i = 0; i < acc->nscripts && rc != -1; i++) {
		g.script = arena_memdup0(a, acc->scripts[i],
		    strlen(acc->scripts[i]) - (sizeof ".script" - 1));
		buf_init(&args, 4000);
		buf_adds(&args, "FETCH_SIEVE %(USERID ");
		dlist_puts(&args, c->names.user);
		buf_adds(&args, " FILENAME ");
		dlist_puts(&args, acc->scripts[i]);
		buf_addc(&args, ')');
		/* Without a word about one that is gone. */
		rc = sync_run(c->y, "GET", &args, script_data, &g, &r, e);
		buf_release(&args);
	}
	c->y->d.tok.max = DLIST_TOKEN_MAX;
	return rc == -1 ? -1 : 0;
}
