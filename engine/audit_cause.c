/* Why two messages that are one are not equal. */
#include "audit_impl.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/xmalloc.h"

#define MAX_FIELDS	2000	/* of a header; more are not told apart */
#define SHOW_NAMES	6
#define SHOW_NAME	40

struct field {
	const char	*p;
	size_t		 len, name;	/* with its line ends; of its name */
	bool		 met;		/* has an equal one at the other side */
};

struct header {
	struct field	*fields;
	size_t		 n;
	bool		 more;
};

static void
split_header(struct header *h, const char *p, size_t len)
{
	const char *end = p + len, *next, *colon;

	h->fields = xcalloc(MAX_FIELDS, sizeof *h->fields);
	h->n = 0;
	h->more = false;
	for (; p < end && *p != '\n'; p = next) {
		struct field *f = &h->fields[h->n];

		next = p;
		do {
			next = memchr(next, '\n', (size_t)(end - next));
			next = next == NULL ? end : next + 1;
		} while (next < end && (*next == ' ' || *next == '\t'));
		if (h->n == MAX_FIELDS) {
			h->more = true;
			return;
		}
		f->p = p;
		f->len = (size_t)(next - p);
		colon = memchr(p, ':', f->len);
		f->name = colon != NULL ? (size_t)(colon - p) : 0;
		h->n++;
	}
}

/* Fields that are at both sides, in whatever order. */
static void
meet(struct header *s, struct header *t)
{
	size_t from = 0;

	for (size_t i = 0; i < s->n; i++) {
		struct field *f = &s->fields[i];

		while (from < t->n && t->fields[from].met)
			from++;
		for (size_t k = from; k < t->n; k++) {
			struct field *g = &t->fields[k];

			if (!g->met && f->len == g->len && memcmp(f->p, g->p,
			    f->len) == 0) {
				f->met = g->met = true;
				break;
			}
		}
	}
}

static bool
same_name(const struct field *a, const struct field *b)
{
	return a->name == b->name && a->name > 0 && strncasecmp(a->p, b->p,
	    a->name) == 0;
}

/* Cyrus' munge8bit, or Dovecot with NUL bytes. */
static bool
is_munged(const struct field *s, const struct field *t)
{
	if (s->len != t->len || s->len == 0)
		return false;
	for (size_t i = 0; i < s->len; i++)
		if (s->p[i] != t->p[i] && !(((unsigned char)s->p[i] >= 0x80 ||
		    s->p[i] == '\0') && (t->p[i] == 'X' || t->p[i] == ' ' ||
		    (unsigned char)t->p[i] == 0x80)))
			return false;
	return true;
}

static bool
is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* Only folded otherwise. */
static bool
is_folded(const struct field *s, const struct field *t)
{
	size_t i = 0, k = 0;

	for (;;) {
		while (i < s->len && is_space(s->p[i]))
			i++;
		while (k < t->len && is_space(t->p[k]))
			k++;
		if (i == s->len || k == t->len)
			return i == s->len && k == t->len;
		if (s->p[i++] != t->p[k++])
			return false;
	}
}

/* Fields that tools and containers add. */
static bool
is_tools(const struct field *f)
{
	static const char *const names[] = { "X-UID", "X-TUID",
	    "X-OfflineIMAP", "Status", "X-Status", "X-Keywords",
	    "X-IMAPbase", "X-IMAP", "Content-Length", "Lines", NULL };

	for (size_t i = 0; names[i] != NULL; i++)
		if (strlen(names[i]) == f->name && strncasecmp(names[i], f->p,
		    f->name) == 0)
			return true;
	return false;
}

/* What the differences of two headers are, in numbers. */
struct sums {
	size_t	 munged, folded, changed, added, tools_added, removed,
		 tools_removed;
	size_t	 shown;
};

static void
tell(struct sums *sums, struct buf *detail, const struct field *f,
    const char *what)
{
	size_t n = f->name > 0 ? f->name : f->len;

	if (++sums->shown > SHOW_NAMES)
		return;
	buf_adds(detail, sums->shown == 1 ? "header: " : ", ");
	if (n > SHOW_NAME)
		n = SHOW_NAME;
	for (size_t i = 0; i < n; i++)
		buf_addc(detail, f->p[i] == '\n' || f->p[i] == '\0' ? ' ' :
		    f->p[i]);
	buf_addf(detail, " %s", what);
}

static void
show(struct buf *diff, const char *mark, const struct field *f)
{
	for (size_t i = 0; i < f->len; i++) {
		if (i == 0 || f->p[i - 1] == '\n')
			buf_adds(diff, mark);
		buf_addc(diff, f->p[i] == '\0' ? ' ' : f->p[i]);
	}
	if (f->len > 0 && f->p[f->len - 1] != '\n')
		buf_addc(diff, '\n');
}

/* The one of the same name at the other side, or what munging makes of it. */
static struct field *
other_of(struct header *t, const struct field *f)
{
	for (size_t k = 0; k < t->n; k++)
		if (!t->fields[k].met && is_munged(f, &t->fields[k]))
			return &t->fields[k];
	for (size_t k = 0; k < t->n; k++)
		if (!t->fields[k].met && same_name(f, &t->fields[k]))
			return &t->fields[k];
	return NULL;
}

static void
sum_up(struct header *s, struct header *t, struct sums *sums,
    struct buf *detail, struct buf *diff)
{
	for (size_t i = 0; i < s->n; i++) {
		struct field *f = &s->fields[i], *g;

		if (f->met)
			continue;
		show(diff, "- ", f);
		g = other_of(t, f);
		if (g == NULL) {
			*(is_tools(f) ? &sums->tools_removed :
			    &sums->removed) += 1;
			tell(sums, detail, f, "is missing");
			continue;
		}
		g->met = true;
		show(diff, "+ ", g);
		if (is_munged(f, g)) {
			sums->munged++;
			tell(sums, detail, f, "has others in place of its "
			    "8-bit and NUL bytes");
		} else if (is_folded(f, g)) {
			sums->folded++;
			tell(sums, detail, f, "has other blanks");
		} else {
			sums->changed++;
			tell(sums, detail, f, "is another");
		}
	}
	for (size_t k = 0; k < t->n; k++) {
		struct field *g = &t->fields[k];

		if (g->met)
			continue;
		show(diff, "+ ", g);
		*(is_tools(g) ? &sums->tools_added : &sums->added) += 1;
		tell(sums, detail, g, "was added");
	}
	if (sums->shown > SHOW_NAMES)
		buf_addf(detail, " and %zu more", sums->shown - SHOW_NAMES);
}

static const char *
cause_of(const struct sums *s)
{
	if (s->changed > 0 || s->added > 0 || s->removed > 0)
		return "header";
	if (s->munged > 0)
		return "munged";
	if (s->tools_added > 0)
		return "added-field";
	if (s->tools_removed > 0)
		return "removed-field";
	return s->folded > 0 ? "folding" : "";
}

static const char *
compare_headers(const struct audit_form *s, const struct audit_form *t,
    struct buf *detail, struct buf *diff)
{
	struct header from, to;
	struct sums sums = { 0 };
	const char *cause = "";
	bool same = s->header_len == t->header_len && memcmp(s->header,
	    t->header, s->header_len) == 0;

	if (same)
		return "";
	split_header(&from, s->header, s->header_len);
	split_header(&to, t->header, t->header_len);
	if (from.more || to.more || s->header_len >= AUDIT_HEADER ||
	    t->header_len >= AUDIT_HEADER) {
		buf_adds(detail, "header: it differs, and is too large to "
		    "tell where");
		cause = "header";
	} else {
		meet(&from, &to);
		sum_up(&from, &to, &sums, detail, diff);
		cause = cause_of(&sums);
		if (*cause == '\0') {
			cause = "header-order";
			buf_adds(detail, "header: its fields or line ends are "
			    "in another order");
		}
	}
	free(from.fields);
	free(to.fields);
	return cause;
}

/* Where the bodies part. */
static void
tell_place(const struct audit_form *s, const struct audit_form *t,
    struct buf *detail)
{
	size_t n = s->body_len < t->body_len ? s->body_len : t->body_len, i;

	if (s->body == NULL || t->body == NULL)
		return;
	for (i = 0; i < n && s->body[i] == t->body[i]; i++)
		;
	if (i < n)
		buf_addf(detail, " at its byte %zu (0x%02x, not 0x%02x)", i,
		    (unsigned char)t->body[i], (unsigned char)s->body[i]);
	else if (s->body_len != t->body_len)
		buf_addf(detail, " from its byte %zu on", i);
	else if (n >= AUDIT_BODY)
		buf_addf(detail, " behind its first %zu bytes", AUDIT_BODY);
}

static const char *
compare_bodies(const struct audit_form *s, const struct audit_form *t,
    struct buf *detail)
{
	const char *cause, *words;

	if (memcmp(s->exact, t->exact, DIGEST_LEN) == 0)
		return "";
	if (memcmp(s->lines, t->lines, DIGEST_LEN) == 0) {
		cause = "line-ends";
		words = "has other line ends";
	} else if (memcmp(s->nul, t->nul, DIGEST_LEN) == 0) {
		cause = "nul";
		words = "has other bytes in place of NUL";
	} else if (memcmp(s->from, t->from, DIGEST_LEN) == 0) {
		cause = "from-quoting";
		words = "has '>' before From, or lost it";
	} else {
		cause = "body";
		words = "differs";
	}
	buf_addf(detail, "%sbody: %s", detail->len > 0 ? "; " : "", words);
	tell_place(s, t, detail);
	return cause;
}

const char *
audit_cause(const struct audit_form *s, const struct audit_form *t,
    struct buf *detail, struct buf *diff)
{
	const char *header = compare_headers(s, t, detail, diff);
	const char *body = compare_bodies(s, t, detail);

	if (*header == '\0' && *body == '\0') {
		buf_adds(detail, "the line ends differ");
		return "line-ends";
	}
	/* What nobody does on purpose goes first. */
	if (strcmp(body, "body") == 0 || *header == '\0')
		return body;
	return header;
}
