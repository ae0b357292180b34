/* Texts without what is nobody's business. */
#include "redact.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/buf.h"
#include "base/mutf7.h"
#include "base/xmalloc.h"

#define GONE	"[...]"
#define TEXT_MAX ((size_t)1 << 20)

struct names {
	char	**s;
	size_t	  n, room;
};

struct redact {
	struct db	*db;
	struct names	 people;	/* sorted: whole words */
	struct names	 boxes;		/* of one account, the longest first */
	int64_t		 account;	/* whose boxes these are; 0: nobody's */
};

static void
put_name(struct names *l, const char *s, size_t len)
{
	if (len == 0)
		return;
	if (l->n == l->room) {
		l->room = l->room * 2 + 16;
		l->s = xreallocarray(l->s, l->room, sizeof *l->s);
	}
	l->s[l->n++] = xmemdup0(s, len);
}

static void
forget_names(struct names *l)
{
	for (size_t i = 0; i < l->n; i++)
		free(l->s[i]);
	free(l->s);
	memset(l, 0, sizeof *l);
}

static int
by_name(const void *a, const void *b)
{
	return strcasecmp(*(char *const *)a, *(char *const *)b);
}

static int
by_length(const void *a, const void *b)
{
	size_t x = strlen(*(char *const *)a), y = strlen(*(char *const *)b);

	return x < y ? 1 : x > y ? -1 : 0;
}

/* A character of a word as names have them. */
static bool
is_word(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') ||
	    (c >= 'A' && c <= 'Z') || (unsigned char)c >= 0x80 ||
	    (c != '\0' && strchr("@._+-", c) != NULL);
}

/* Each word of it, and each again up to its '@'. */
static void
put_words(struct names *l, const char *s)
{
	while (*s != '\0') {
		size_t n = 0;

		while (is_word(s[n]))
			n++;
		if (n > 0) {
			const char *at = memchr(s, '@', n);

			put_name(l, s, n);
			if (at != NULL)
				put_name(l, s, (size_t)(at - s));
		}
		s += n > 0 ? n : 1;
	}
}

struct redact *
redact_new(struct db *db, struct err *e)
{
	struct redact *r = xcalloc(1, sizeof *r);
	sqlite3_stmt *st;
	int rc;

	r->db = db;
	st = db_query(db, e, "SELECT name, ifnull(target_user, '') FROM"
	    " main.account", "");
	if (st == NULL) {
		redact_free(&r);
		return NULL;
	}
	while ((rc = db_step(db, st, e)) == 1) {
		put_words(&r->people, db_text(st, 0));
		put_words(&r->people, db_text(st, 1));
	}
	db_done(st);
	if (rc == -1) {
		redact_free(&r);
		return NULL;
	}
	if (r->people.n > 0)
		qsort(r->people.s, r->people.n, sizeof *r->people.s, by_name);
	return r;
}

void
redact_free(struct redact **rp)
{
	struct redact *r = *rp;

	if (r == NULL)
		return;
	forget_names(&r->people);
	forget_names(&r->boxes);
	free(r);
	*rp = NULL;
}

const char *
redact_account(struct redact *r, struct arena *a, int64_t id,
    const char *name)
{
	return r == NULL ? name : arena_printf(a, "account %" PRId64, id);
}

/* The separators of names at either side. */
static size_t
top_length(const char *name)
{
	return strcspn(name, "/.\\");
}

const char *
redact_mailbox(struct redact *r, struct arena *a, int64_t id,
    const char *name)
{
	size_t n = top_length(name), whole = strcspn(name, "/\\");

	if (r == NULL)
		return name;
	/* Some have mailboxes that are called by an address. */
	if (memchr(name, '@', whole) != NULL)
		return arena_printf(a, "#%" PRId64, id);
	if (name[n] == '\0')
		return name;
	return arena_printf(a, "%.*s%c#%" PRId64, (int)n, name, name[n], id);
}

const char *
redact_uri(struct redact *r, struct arena *a, const char *uri)
{
	size_t scheme = strcspn(uri, ":");
	const char *host, *end, *at;

	if (r == NULL || uri[scheme] == '\0')
		return r == NULL ? uri : "";
	if (strncmp(uri + scheme, "://", 3) != 0)
		return arena_printf(a, "%.*s:", (int)scheme, uri);
	host = uri + scheme + 3;
	end = host + strcspn(host, "/?");
	/* A user may hold an '@' of his own. */
	while ((at = memchr(host, '@', (size_t)(end - host))) != NULL)
		host = at + 1;
	return arena_printf(a, "%.*s://%.*s", (int)scheme, uri,
	    (int)(end - host), host);
}

const char *
redact_all(struct redact *r, const char *text)
{
	return r == NULL || text == NULL ? text : "";
}

/* The levels of a name below its top, and all of these together. */
static void
put_levels(struct names *l, const char *name)
{
	name += top_length(name);
	if (*name == '\0')
		return;
	put_name(l, name + 1, strlen(name + 1));
	while (*name != '\0') {
		size_t n = top_length(++name);

		/* Shorter ones are in half of all words. */
		if (n > 2)
			put_name(l, name, n);
		name += n;
	}
}

static int
read_boxes(struct redact *r, int64_t account, struct err *e)
{
	struct buf name;
	sqlite3_stmt *st;
	int rc;

	if (account == r->account)
		return 0;
	forget_names(&r->boxes);
	r->account = 0;
	st = db_query(r->db, e, "SELECT src_name, tgt_name FROM main.mailbox"
	    " WHERE account_id = ?1", "i", account);
	if (st == NULL)
		return -1;
	buf_init(&name, TEXT_MAX);
	while ((rc = db_step(r->db, st, e)) == 1) {
		const char *there = db_text(st, 1);

		put_levels(&r->boxes, db_text(st, 0));
		put_levels(&r->boxes, there);
		buf_reset(&name);
		if (mutf7_decode(&name, there, strlen(there)) == 0)
			put_levels(&r->boxes, name.ptr);
	}
	db_done(st);
	buf_release(&name);
	if (rc == -1)
		return -1;
	if (r->boxes.n > 0)
		qsort(r->boxes.s, r->boxes.n, sizeof *r->boxes.s, by_length);
	r->account = account;
	return 0;
}

/* Bytes at s that are in quotes, or a path; 0: neither. */
static size_t
hidden_span(const char *s, char before)
{
	const char *end;
	size_t n;

	if ((*s == '"' || (*s == '\'' && !is_word(before))) &&
	    (end = strchr(s + 1, *s)) != NULL)
		return (size_t)(end - s) + 1;
	if (is_word(before) || before == '/')
		return 0;
	n = strcspn(s, " \t,;:)");
	return memchr(s, '/', n) != NULL ? n : 0;
}

static size_t
box_at(const struct redact *r, const char *s)
{
	for (size_t i = 0; i < r->boxes.n; i++) {
		size_t n = strlen(r->boxes.s[i]);

		if (strncasecmp(s, r->boxes.s[i], n) == 0)
			return n;
	}
	return 0;
}

static bool
is_person(const struct redact *r, const char *s, size_t n)
{
	char *word = xmemdup0(s, n);
	bool known = r->people.n > 0 && bsearch(&word, r->people.s,
	    r->people.n, sizeof *r->people.s, by_name) != NULL;

	free(word);
	return known;
}

/* Bytes of the word at s if it names somebody, or a part of it does, as in
 * user.anna. */
static size_t
person_at(const struct redact *r, const char *s)
{
	size_t n = 0, m;

	while (is_word(s[n]))
		n++;
	if (n == 0 || memchr(s, '@', n) != NULL || is_person(r, s, n))
		return n;
	for (size_t from = 0; from < n; from += m + 1) {
		for (m = 0; from + m < n && strchr("._+-", s[from + m]) ==
		    NULL; m++)
			;
		if (m > 0 && is_person(r, s + from, m))
			return n;
	}
	return 0;
}

const char *
redact_text(struct redact *r, struct arena *a, int64_t account,
    const char *text)
{
	struct buf out;
	struct err e;
	char before = ' ';
	const char *kept;

	if (r == NULL || text == NULL || *text == '\0')
		return text;
	/* What cannot be looked at is not told. */
	if (read_boxes(r, account, &e) == -1)
		return GONE;
	buf_init(&out, TEXT_MAX);
	while (*text != '\0') {
		size_t n = hidden_span(text, before);

		if (n == 0)
			n = box_at(r, text);
		if (n == 0 && !is_word(before))
			n = person_at(r, text);
		if (n > 0) {
			buf_adds(&out, GONE);
			text += n;
			before = ']';
		} else {
			before = *text++;
			buf_addc(&out, before);
		}
	}
	kept = arena_strdup(a, out.ptr);
	buf_release(&out);
	return kept;
}
