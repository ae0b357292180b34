/* A mailbox as the protocol tells of it, and as it is told to become. */
#include "cyrus/cyrus_box.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "imap/imap_text.h"

#define ANNOTATIONS_MAX	((size_t)1 << 20)

static const struct { unsigned bit; const char *name; } uses[] = {
	{ USE_ALL, "\\All" }, { USE_ARCHIVE, "\\Archive" },
	{ USE_DRAFTS, "\\Drafts" }, { USE_FLAGGED, "\\Flagged" },
	{ USE_JUNK, "\\Junk" }, { USE_SENT, "\\Sent" },
	{ USE_TRASH, "\\Trash" }
};
#define NUSES (sizeof uses / sizeof uses[0])

void
cyrus_box_init(struct cyrus_box *b)
{
	memset(b, 0, sizeof *b);
	buf_init(&b->name, 2000);
	buf_init(&b->acl, DLIST_TOKEN_MAX);
	buf_init(&b->annotations, ANNOTATIONS_MAX);
}

void
cyrus_box_release(struct cyrus_box *b)
{
	buf_release(&b->name);
	buf_release(&b->acl);
	buf_release(&b->annotations);
}

void
cyrus_record_init(struct cyrus_record *r)
{
	memset(r, 0, sizeof *r);
	buf_init(&r->words, (size_t)1 << 20);
	buf_init(&r->annotations, ANNOTATIONS_MAX);
}

void
cyrus_record_release(struct cyrus_record *r)
{
	buf_release(&r->words);
	buf_release(&r->annotations);
}

void
cyrus_use_names(struct buf *out, unsigned use)
{
	const char *blank = "";

	for (size_t i = 0; i < NUSES; i++)
		if (use & uses[i].bit) {
			buf_addf(out, "%s%s", blank, uses[i].name);
			blank = " ";
		}
}

static unsigned
use_bits(const char *p)
{
	unsigned use = 0;
	size_t n;

	while (*(p += strspn(p, " ")) != '\0') {
		n = strcspn(p, " ");
		for (size_t i = 0; i < NUSES; i++)
			if (strlen(uses[i].name) == n &&
			    strncasecmp(p, uses[i].name, n) == 0)
				use |= uses[i].bit;
		p += n;
	}
	return use;
}

/* One "%(ENTRY e USERID u ... VALUE v)" is copied; a special use of the owner
 * is noted. */
static int
read_annotation(struct sync *y, struct cyrus_box *b, const char *owner,
    struct err *e)
{
	bool use = false, own = false, first = true;
	struct dlist_token t;
	unsigned bits = 0;
	char key[24];
	int rc;

	buf_adds(&b->annotations, b->annotations.len > 1 ? " %(" : "%(");
	while ((rc = dlist_pair(&y->d, key, sizeof key, &t, e)) == 1) {
		if (strcmp(key, "ENTRY") == 0)
			use = strcmp(t.p, "/specialuse") == 0;
		else if (strcmp(key, "USERID") == 0)
			own = strcmp(t.p, owner) == 0;
		else if (strcmp(key, "VALUE") == 0)
			bits = use_bits(t.p);
		buf_addf(&b->annotations, "%s%s ", first ? "" : " ", key);
		first = false;
		if (dlist_copy(&y->d, &t, &b->annotations, e) == -1)
			return -1;
	}
	buf_addc(&b->annotations, ')');
	if (use && own)
		b->use |= bits;
	return rc;
}

static int
read_annotations(struct sync *y, struct cyrus_box *b, const char *owner,
    const struct dlist_token *first, struct err *e)
{
	struct dlist_token t;

	if (first->type != DLIST_OPEN)
		return dlist_bad(&y->d, "odd annotations", e);
	buf_reset(&b->annotations);
	buf_addc(&b->annotations, '(');
	for (;;) {
		if (dlist_next(&y->d, &t, e) == -1)
			return -1;
		if (t.type == DLIST_CLOSE)
			break;
		if (t.type != DLIST_KVOPEN)
			return dlist_bad(&y->d, "an odd annotation", e);
		if (read_annotation(y, b, owner, e) == -1)
			return -1;
	}
	buf_addc(&b->annotations, ')');
	return b->annotations.full ? dlist_bad(&y->d, "too many annotations",
	    e) : 0;
}

/* FLAGS: system flags, keywords, and what is expunged. */
static int
read_flags(struct sync *y, struct cyrus_record *r,
    const struct dlist_token *first, struct err *e)
{
	size_t at[CYRUS_KEYWORDS];
	struct dlist_token t;

	if (first->type != DLIST_OPEN)
		return dlist_bad(&y->d, "odd flags", e);
	for (;;) {
		if (dlist_next(&y->d, &t, e) == -1)
			return -1;
		if (t.type == DLIST_CLOSE)
			break;
		if (t.type != DLIST_ATOM && t.type != DLIST_STRING)
			return dlist_bad(&y->d, "an odd flag", e);
		if (strcasecmp(t.p, "\\Expunged") == 0)
			r->expunged = true;
		else if (t.p[0] == '\\')
			r->flags |= imap_flag_bit(t.p, t.len);
		else if (r->nkw < CYRUS_KEYWORDS && t.len > 0 &&
		    strlen(t.p) == t.len) {
			at[r->nkw++] = r->words.len;
			buf_add(&r->words, t.p, t.len + 1);
		}
	}
	if (r->words.full)
		return dlist_bad(&y->d, "too many keywords", e);
	for (size_t i = 0; i < r->nkw; i++)
		r->kw[i] = r->words.ptr + at[i];
	return 0;
}

static int
read_number(struct sync *y, const struct dlist_token *t, uint64_t max,
    uint64_t *v, struct err *e)
{
	if (dlist_number(t, max, v) == -1)
		return dlist_bad(&y->d, "an odd number", e);
	return 0;
}

static int
read_record(struct sync *y, struct cyrus_record *r, struct err *e)
{
	struct dlist_token t;
	bool sha1 = false;
	char key[24];
	uint64_t v;
	int rc, ok;

	buf_reset(&r->words);
	buf_reset(&r->annotations);
	r->uid = 0;
	r->flags = 0;
	r->nkw = 0;
	r->expunged = false;
	r->modseq = r->size = r->last_updated = 0;
	r->date = NO_DATE;
	while ((rc = dlist_pair(&y->d, key, sizeof key, &t, e)) == 1) {
		ok = 0;
		if (strcmp(key, "UID") == 0) {
			ok = read_number(y, &t, UINT32_MAX, &v, e);
			r->uid = ok == 0 ? (uint32_t)v : 0;
		} else if (strcmp(key, "MODSEQ") == 0)
			ok = read_number(y, &t, INT64_MAX, &r->modseq, e);
		else if (strcmp(key, "LAST_UPDATED") == 0)
			ok = read_number(y, &t, INT64_MAX, &r->last_updated,
			    e);
		else if (strcmp(key, "INTERNALDATE") == 0) {
			ok = read_number(y, &t, INT64_MAX, &v, e);
			r->date = ok == 0 ? (int64_t)v : 0;
		} else if (strcmp(key, "SIZE") == 0)
			ok = read_number(y, &t, INT64_MAX, &r->size, e);
		else if (strcmp(key, "GUID") == 0) {
			if (dlist_sha1(t.p, t.len, r->sha1) == -1)
				return dlist_bad(&y->d, "an odd GUID", e);
			sha1 = true;
		} else if (strcmp(key, "FLAGS") == 0)
			ok = read_flags(y, r, &t, e);
		else if (strcmp(key, "ANNOTATIONS") == 0)
			ok = dlist_copy(&y->d, &t, &r->annotations, e);
		else
			ok = dlist_skip(&y->d, &t, e);
		if (ok == -1)
			return -1;
	}
	if (rc == 0 && (r->uid == 0 || !sha1))
		return dlist_bad(&y->d, "a record without UID or GUID", e);
	return rc;
}

static int
read_records(struct sync *y, struct cyrus_box *b,
    const struct dlist_token *first, cyrus_record_fn *fn, void *ctx,
    struct err *e)
{
	struct cyrus_record r;
	struct dlist_token t;
	int rc = 0;

	if (first->type != DLIST_OPEN)
		return dlist_bad(&y->d, "odd records", e);
	b->messages = 0;
	cyrus_record_init(&r);
	while ((rc = dlist_next(&y->d, &t, e)) == 0 &&
	    t.type != DLIST_CLOSE) {
		if (t.type != DLIST_KVOPEN) {
			rc = dlist_bad(&y->d, "an odd record", e);
			break;
		}
		if ((rc = read_record(y, &r, e)) == -1)
			break;
		b->messages += !r.expunged;
		if (fn != NULL && (rc = fn(ctx, &r, e)) == -1)
			break;
	}
	cyrus_record_release(&r);
	return rc;
}

static void
take_text(char *out, size_t room, const struct dlist_token *t)
{
	snprintf(out, room, "%s", t->len < room && strlen(t->p) == t->len ?
	    t->p : "");
}

/* A number of the mailbox; 1: it was none of these. */
static int
number_of(struct sync *y, struct cyrus_box *b, const char *key,
    const struct dlist_token *t, struct err *e)
{
	const struct { const char *key; uint32_t *v; } small[] = {
		{ "UIDVALIDITY", &b->uidvalidity },
		{ "LAST_UID", &b->last_uid }, { "RECENTUID", &b->recent_uid }
	};
	const struct { const char *key; uint64_t *v; } large[] = {
		{ "HIGHESTMODSEQ", &b->modseq },
		{ "CREATEDMODSEQ", &b->created_modseq },
		{ "RECENTTIME", &b->recent_time },
		{ "LAST_APPENDDATE", &b->append_time },
		{ "POP3_LAST_LOGIN", &b->pop3_login },
		{ "POP3_SHOW_AFTER", &b->pop3_after }
	};
	uint64_t v;

	for (size_t i = 0; i < sizeof small / sizeof small[0]; i++)
		if (strcmp(key, small[i].key) == 0) {
			if (read_number(y, t, UINT32_MAX, &v, e) == -1)
				return -1;
			*small[i].v = (uint32_t)v;
			return 0;
		}
	for (size_t i = 0; i < sizeof large / sizeof large[0]; i++)
		if (strcmp(key, large[i].key) == 0)
			return read_number(y, t, INT64_MAX, large[i].v, e);
	return 1;
}

static int
read_pair(struct sync *y, struct cyrus_box *b, const char *owner,
    const char *key, const struct dlist_token *t, cyrus_record_fn *fn,
    void *ctx, struct err *e)
{
	int rc = number_of(y, b, key, t, e);

	if (rc != 1)
		return rc;
	if (strcmp(key, "RECORD") == 0)
		return read_records(y, b, t, fn, ctx, e);
	if (strcmp(key, "ANNOTATIONS") == 0)
		return read_annotations(y, b, owner, t, e);
	if (strcmp(key, "MBOXNAME") == 0) {
		buf_reset(&b->name);
		buf_add(&b->name, t->p, t->len);
	} else if (strcmp(key, "ACL") == 0) {
		buf_reset(&b->acl);
		buf_add(&b->acl, t->p, t->len);
	} else if (strcmp(key, "UNIQUEID") == 0)
		take_text(b->uniqueid, sizeof b->uniqueid, t);
	else if (strcmp(key, "PARTITION") == 0)
		take_text(b->partition, sizeof b->partition, t);
	else if (strcmp(key, "OPTIONS") == 0)
		take_text(b->options, sizeof b->options, t);
	else if (strcmp(key, "MBOXTYPE") == 0) {
		take_text(b->type, sizeof b->type, t);
		/* Letters: i an intermediate level, d deleted. */
		b->absent = strpbrk(b->type, "id") != NULL;
	}
	else
		return dlist_skip(&y->d, t, e);
	return 0;
}

int
cyrus_box_read(struct sync *y, struct cyrus_box *b, const char *owner,
    cyrus_record_fn *fn, void *ctx, struct err *e)
{
	struct dlist_token t;
	char key[24];
	int rc;

	cyrus_box_release(b);
	cyrus_box_init(b);
	b->messages = UNKNOWN64;
	if (dlist_next(&y->d, &t, e) == -1)
		return -1;
	if (t.type != DLIST_KVOPEN)
		return dlist_bad(&y->d, "an odd mailbox", e);
	while ((rc = dlist_pair(&y->d, key, sizeof key, &t, e)) == 1)
		if (read_pair(y, b, owner, key, &t, fn, ctx, e) == -1)
			return -1;
	if (rc == 0 && (b->name.len == 0 || b->uniqueid[0] == '\0' ||
	    strlen(b->name.ptr) != b->name.len || (!b->absent &&
	    (b->uidvalidity == 0 || b->partition[0] == '\0'))))
		return dlist_bad(&y->d, "a mailbox lacks something", e);
	return rc;
}

struct getting {
	const char	*owner;
	cyrus_record_fn	*fn;
	void		*ctx;
	struct cyrus_box *box;
	bool		 found;
};

static int
got(struct sync *y, const char *name, void *ctx, struct err *e)
{
	struct getting *g = ctx;

	if (strcmp(name, "MAILBOX") != 0)
		return 0;
	g->found = true;
	return cyrus_box_read(y, g->box, g->owner, g->fn, g->ctx, e);
}

int
cyrus_box_get(struct sync *y, const char *internal, const char *owner,
    bool records, cyrus_record_fn *fn, void *ctx, struct cyrus_box *box,
    struct err *e)
{
	struct getting g = { owner, fn, ctx, box, false };
	struct sync_reply r;
	struct buf args;
	int rc;

	buf_init(&args, 4000);
	buf_adds(&args, records ? "FULLMAILBOX " : "MAILBOXES (");
	dlist_puts(&args, internal);
	if (!records)
		buf_addc(&args, ')');
	rc = sync_run(y, "GET", &args, got, &g, &r, e);
	buf_release(&args);
	if (rc == 0 && strcmp(r.code, "IMAP_MAILBOX_NONEXISTENT") == 0)
		return 0;
	if (rc == 0) {
		sync_no(&r, ERR_MAILBOX, e, "read %.100s", internal);
		e->retry = true;
		return -1;
	}
	return rc == -1 ? -1 : g.found && !box->absent;
}

static void
put_pair(struct buf *out, const char *key, const char *p, size_t len)
{
	buf_addf(out, " %s ", key);
	dlist_put(out, p, len);
}

void
cyrus_box_put(struct buf *out, const struct cyrus_box *b, uint64_t since)
{
	buf_addf(out, "MAILBOX %%(UNIQUEID %s", b->uniqueid);
	put_pair(out, "MBOXNAME", b->name.ptr, b->name.len);
	buf_addf(out, " SYNC_CRC 0 LAST_UID %" PRIu32 " HIGHESTMODSEQ %" PRIu64
	    " RECENTUID %" PRIu32 " RECENTTIME %" PRIu64 " LAST_APPENDDATE %"
	    PRIu64 " POP3_LAST_LOGIN %" PRIu64, b->last_uid, b->modseq,
	    b->recent_uid, b->recent_time, b->append_time, b->pop3_login);
	if (b->pop3_after != 0)
		buf_addf(out, " POP3_SHOW_AFTER %" PRIu64, b->pop3_after);
	buf_addf(out, " UIDVALIDITY %" PRIu32, b->uidvalidity);
	put_pair(out, "PARTITION", b->partition, strlen(b->partition));
	put_pair(out, "ACL", b->acl.ptr, b->acl.len);
	put_pair(out, "OPTIONS", b->options, strlen(b->options));
	if (b->type[0] != '\0')
		put_pair(out, "MBOXTYPE", b->type, strlen(b->type));
	if (b->created_modseq != 0)
		buf_addf(out, " CREATEDMODSEQ %" PRIu64, b->created_modseq);
	if (b->annotations.len > 2) {
		buf_adds(out, " ANNOTATIONS ");
		buf_add(out, b->annotations.ptr, b->annotations.len);
	}
	if (since != 0)
		buf_addf(out, " SINCE_MODSEQ %" PRIu64, since);
	buf_adds(out, " RECORD (");
}

void
cyrus_record_put(struct buf *out, const struct cyrus_record *r, bool first)
{
	size_t start;

	buf_addf(out, "%s%%(UID %" PRIu32 " MODSEQ %" PRIu64 " LAST_UPDATED %"
	    PRIu64 " FLAGS (", first ? "" : " ", r->uid, r->modseq,
	    r->last_updated);
	start = out->len;
	imap_flag_names(out, r->flags, NULL, 0);
	if (r->expunged)
		buf_adds(out, out->len > start ? " \\Expunged" :
		    "\\Expunged");
	for (size_t i = 0; i < r->nkw; i++) {
		if (out->len > start)
			buf_addc(out, ' ');
		dlist_puts(out, r->kw[i]);
	}
	buf_addf(out, ") INTERNALDATE %" PRId64 " SIZE %" PRIu64 " GUID ",
	    r->date, r->size);
	for (size_t i = 0; i < SHA1_LEN; i++)
		buf_addf(out, "%02x", r->sha1[i]);
	if (r->annotations.len > 0) {
		buf_adds(out, " ANNOTATIONS ");
		buf_add(out, r->annotations.ptr, r->annotations.len);
	}
	buf_addc(out, ')');
}
