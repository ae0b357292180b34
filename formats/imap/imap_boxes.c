/* The mailboxes that a server lists: LIST, LSUB, and STATUS of each. */
#include "imap/imap_boxes.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/xmalloc.h"

#define IMAP_LIST_S	600	/* STATUS of a mailbox may take its time, */
#define IMAP_LISTS_S	3600	/* and there may be many */
#define NAMES_MAX	((size_t)256 << 20)	/* bytes, of all mailboxes */
#define IN_FLIGHT	100	/* STATUS commands */

struct imap_listed *
imap_boxes_find(struct imap_boxes *l, const char *name)
{
	/* STATUS comes right after its LIST, or in the order that we ask. */
	for (size_t i = l->found; i < l->n && i < l->found + 3; i++)
		if (strcmp(l->b[i].name, name) == 0)
			return &l->b[l->found = i];
	for (size_t i = l->n; i > 0; i--)
		if (strcmp(l->b[i - 1].name, name) == 0)
			return &l->b[l->found = i - 1];
	return NULL;
}

struct imap_listed *
imap_boxes_add(struct imap_boxes *l, const char *name)
{
	if (l->n == l->cap) {
		l->cap = l->cap == 0 ? 32 : l->cap * 2;
		l->b = xreallocarray(l->b, l->cap, sizeof *l->b);
	}
	memset(&l->b[l->n], 0, sizeof l->b[0]);
	l->b[l->n].name = xstrdup(strcasecmp(name, "INBOX") == 0 ? "INBOX" :
	    name);
	l->b[l->n].size = UNKNOWN64;
	return &l->b[l->n++];
}

void
imap_boxes_release(struct imap_boxes *l)
{
	for (size_t i = 0; i < l->n; i++) {
		free(l->b[i].name);
		free(l->b[i].object);
	}
	free(l->b);
}

static unsigned
use_bit(const char *attr)
{
	static const struct { const char *name; unsigned bit; } table[] = {
		{ "\\All", USE_ALL }, { "\\Archive", USE_ARCHIVE },
		{ "\\Drafts", USE_DRAFTS }, { "\\Flagged", USE_FLAGGED },
		{ "\\Junk", USE_JUNK }, { "\\Sent", USE_SENT },
		{ "\\Trash", USE_TRASH }
	};

	for (size_t i = 0; i < sizeof table / sizeof table[0]; i++)
		if (strcasecmp(attr, table[i].name) == 0)
			return table[i].bit;
	return 0;
}

/* LIST and LSUB: (attributes) separator name [more]. */
static int
list_line(struct imap_session *s, struct imap_boxes *l, bool lsub,
    struct err *e)
{
	struct imap_listed b = { .size = UNKNOWN64 }, *to;
	struct imap_token t;

	if (imap_read_token(&s->r, &t, e) == -1)
		return -1;
	if (t.type != IMAP_OPEN)
		return imap_protocol(&s->r, "LIST without attributes", e);
	while (t.type != IMAP_CLOSE) {
		if (imap_read_token(&s->r, &t, e) == -1)
			return -1;
		if (t.type == IMAP_END || t.type == IMAP_OPEN)
			return imap_protocol(&s->r, "LIST", e);
		b.use |= use_bit(t.p);
		b.noselect |= imap_is(&t, "\\Noselect") ||
		    imap_is(&t, "\\NonExistent");
		b.subscribed |= imap_is(&t, "\\Subscribed");
	}
	if (imap_read_token(&s->r, &t, e) == -1 ||
	    imap_token_string(&s->r, &t, e) == -1)
		return -1;
	b.sep = t.type == IMAP_STRING && t.len == 1 ? t.p[0] : '\0';
	if (imap_read_token(&s->r, &t, e) == -1 ||
	    imap_token_string(&s->r, &t, e) == -1)
		return -1;
	if ((t.type != IMAP_STRING && t.type != IMAP_ATOM) || t.len == 0 ||
	    memchr(t.p, '\0', t.len) != NULL)
		return imap_protocol(&s->r, "LIST without a name", e);
	l->bytes += t.len;
	if (l->n > 1000000 || l->bytes > NAMES_MAX)
		return imap_protocol(&s->r, "mailboxes without end", e);
	if (lsub) {
		/* \Noselect here: only something below is subscribed. */
		to = imap_boxes_find(l, t.p);
		if (to != NULL && !b.noselect)
			to->subscribed = true;
		return 0;
	}
	to = imap_boxes_add(l, t.p);
	b.name = to->name;
	*to = b;
	return 0;
}

/* (ID), or ID alone; t is its first token.  What is none is left out. */
static int
read_object(struct imap_session *s, struct imap_token *t,
    struct imap_listed *b, struct err *e)
{
	bool list = t->type == IMAP_OPEN;

	if (list && imap_read_token(&s->r, t, e) == -1)
		return -1;
	if ((t->type == IMAP_LITERAL || (list && t->type == IMAP_OPEN)) &&
	    imap_skip_value(&s->r, t, e) == -1)
		return -1;
	if ((t->type == IMAP_ATOM || t->type == IMAP_STRING) &&
	    strlen(t->p) == t->len && imap_is_object(t->p)) {
		free(b->object);
		b->object = xstrdup(t->p);
	}
	while (list && t->type != IMAP_CLOSE && t->type != IMAP_END)
		if (imap_read_token(&s->r, t, e) == -1 || ((t->type ==
		    IMAP_LITERAL || t->type == IMAP_OPEN) &&
		    imap_skip_value(&s->r, t, e) == -1))
			return -1;
	if (list && t->type == IMAP_CLOSE)
		t->type = IMAP_ATOM;	/* of this list only */
	return 0;
}

/* What to ask STATUS for, that objects may be told by.  Cyrus 3.6 answers with
 * bytes of its memory there; its EXAMINE is right. */
static const char *
object_item(const struct imap_session *s, const struct imap_boxes *l)
{
	if (!l->objects || s->dialect == IMAP_CYRUS)
		return "";
	return s->caps & CAP_OBJECTID ? " MAILBOXID" :
	    s->dialect == IMAP_DOVECOT ? " X-GUID" : "";
}

int
imap_boxes_data(struct imap_session *s, struct imap_response *rs, void *ctx,
    struct err *e)
{
	struct imap_boxes *l = ctx;
	struct imap_token t;
	struct imap_listed *b;
	char item[24];
	uint64_t v;

	if (rs->kind != IMAP_DATA)
		return 0;
	if (strcmp(rs->name, "LIST") == 0)
		return list_line(s, l, false, e);
	if (strcmp(rs->name, "LSUB") == 0)
		return list_line(s, l, true, e);
	if (strcmp(rs->name, "STATUS") != 0)
		return 0;
	if (imap_read_token(&s->r, &t, e) == -1 ||
	    imap_token_string(&s->r, &t, e) == -1)
		return -1;
	b = imap_boxes_find(l, t.p);
	if (b == NULL)
		return 0;
	b->has_status = true;
	b->status.messages = UNKNOWN64;
	if (imap_read_token(&s->r, &t, e) == -1)
		return -1;
	while (t.type != IMAP_CLOSE && t.type != IMAP_END) {
		if (imap_read_token(&s->r, &t, e) == -1)
			return -1;
		if (t.type != IMAP_ATOM)
			continue;
		memset(item, 0, sizeof item);
		memcpy(item, t.p, t.len < sizeof item ? t.len :
		    sizeof item - 1);
		if (imap_read_token(&s->r, &t, e) == -1)
			return -1;
		if (strcasecmp(item, "MAILBOXID") == 0 ||
		    strcasecmp(item, "X-GUID") == 0) {
			if (read_object(s, &t, b, e) == -1)
				return -1;
			continue;
		}
		if (imap_token_number(&t, INT64_MAX, &v) == -1) {
			if (t.type != IMAP_CLOSE && t.type != IMAP_END &&
			    imap_skip_value(&s->r, &t, e) == -1)
				return -1;
			continue;
		}
		if (strcasecmp(item, "MESSAGES") == 0)
			b->status.messages = v;
		else if (strcasecmp(item, "UIDNEXT") == 0)
			b->status.uidnext = v > UINT32_MAX ? 0 : (uint32_t)v;
		else if (strcasecmp(item, "UIDVALIDITY") == 0)
			b->status.uidvalidity = v > UINT32_MAX ? 0 :
			    (uint32_t)v;
		else if (strcasecmp(item, "HIGHESTMODSEQ") == 0)
			b->status.modseq = v;
		else if (strcasecmp(item, "SIZE") == 0)
			b->size = v;
	}
	return 0;
}

int
imap_boxes_line(struct imap_session *s, struct imap_boxes *l, struct err *e)
{
	return list_line(s, l, false, e);
}

/* "VERB "" "*"", or of the only tree that counts. */
static int
add_list(const struct imap_session *s, struct buf *cmd, const char *verb,
    struct err *e)
{
	struct buf what;
	int rc;

	buf_init(&what, 1 << 12);
	buf_addf(&what, "%s*", s->root != NULL ? s->root : "");
	buf_addf(cmd, "%s \"\" ", verb);
	rc = imap_quote(cmd, what.ptr, what.len);
	buf_release(&what);
	return rc == -1 ? err_set(e, ERR_ACCOUNT, "the name of the shared "
	    "mailboxes cannot be sent") : 0;
}

/* The pattern fits names beside the root as well. */
static void
only_below(struct imap_boxes *l, const char *root, char sep)
{
	size_t len, n = 0;

	if (root == NULL)
		return;
	len = strlen(root);
	for (size_t i = 0; i < l->n; i++)
		if (strncmp(l->b[i].name, root, len) == 0 &&
		    (l->b[i].name[len] == '\0' || l->b[i].name[len] == sep))
			l->b[n++] = l->b[i];
		else {
			free(l->b[i].name);
			free(l->b[i].object);
		}
	l->n = n;
}

/* imap_try() with these limits. */
static int
try_list(struct imap_session *s, const char *cmd, struct imap_boxes *l,
    struct imap_response *rs, struct err *e)
{
	unsigned tag;
	int rc;

	if (imap_send(s, cmd, &tag, e) == -1 || imap_flush(s, e) == -1)
		return -1;
	s->mild = true;
	rc = imap_wait(s, tag, imap_boxes_data, l, rs, e);
	s->mild = false;
	return rc;
}

/* The plain form, sent. */
static int
send_list(struct imap_session *s, const char *verb, unsigned *tag,
    struct err *e)
{
	struct buf cmd;
	int rc;

	buf_init(&cmd, 1 << 13);
	rc = add_list(s, &cmd, verb, e);
	if (rc == 0)
		rc = imap_send(s, cmd.ptr, tag, e);
	buf_release(&cmd);
	return rc;
}

/* The plain form, and what is subscribed. */
static int
ask_plainly(struct imap_session *s, struct imap_boxes *l, struct err *e)
{
	struct imap_response rs;
	unsigned tag, tag2;
	struct err e2;
	int rc, lsub;

	if (send_list(s, "LIST", &tag, e) == -1 ||
	    send_list(s, "LSUB", &tag2, e) == -1 || imap_flush(s, e) == -1 ||
	    (rc = imap_wait(s, tag, imap_boxes_data, l, &rs, e)) == -1)
		return -1;
	if (rc == 0)
		imap_no(&rs, ERR_ACCOUNT, e, "LIST");
	/* Newer servers have no LSUB any more. */
	s->mild = true;
	lsub = imap_wait(s, tag2, imap_boxes_data, l, &rs, &e2);
	s->mild = false;
	if (lsub == -1) {
		*e = e2;
		return -1;
	}
	return rc == 1 ? 0 : -1;
}

static int
ask_boxes(struct imap_session *s, struct imap_boxes *l, struct err *e)
{
	struct imap_response rs;
	struct buf cmd;
	int rc;

	imap_stream_limits(s->st, IMAP_LIST_S, IMAP_LISTS_S);
	if (!(s->caps & CAP_LIST_EXTENDED))
		return ask_plainly(s, l, e);
	buf_init(&cmd, 1 << 13);
	if (add_list(s, &cmd, "LIST", e) == -1) {
		buf_release(&cmd);
		return -1;
	}
	buf_addf(&cmd, " RETURN (SUBSCRIBED%s",
	    s->caps & CAP_SPECIAL_USE ? " SPECIAL-USE" : "");
	if (s->caps & CAP_LIST_STATUS)
		/* Sizes are in Cyrus' index; elsewhere they may cost reading
		 * all mail. */
		buf_addf(&cmd, " STATUS (MESSAGES UIDNEXT UIDVALIDITY%s%s%s)",
		    s->caps & CAP_CONDSTORE ? " HIGHESTMODSEQ" : "",
		    object_item(s, l), s->dialect == IMAP_CYRUS && s->caps & CAP_STATUS_SIZE ?
		    " SIZE" : "");
	buf_addc(&cmd, ')');
	rc = try_list(s, cmd.ptr, l, &rs, e);
	buf_release(&cmd);
	if (rc != 0)
		return rc == 1 ? 0 : -1;
	/* Announced, and refused all the same. */
	s->caps &= ~(unsigned)(CAP_LIST_EXTENDED | CAP_LIST_STATUS);
	imap_boxes_release(l);
	memset(l, 0, sizeof *l);
	return ask_plainly(s, l, e);
}

int
imap_boxes_ask(struct imap_session *s, struct imap_boxes *l, struct err *e)
{
	int rc = ask_boxes(s, l, e);

	only_below(l, s->root, s->sep);
	return rc;
}

/* One STATUS under way; the tag is 0 when the name cannot be sent. */
static int
send_status(struct imap_session *s, const struct imap_boxes *l,
    const char *name, unsigned *tag, struct err *e)
{
	struct buf cmd;
	int rc = 0;

	*tag = 0;
	buf_init(&cmd, 1 << 13);
	buf_adds(&cmd, "STATUS ");
	if (imap_quote(&cmd, name, strlen(name)) == 0) {
		buf_addf(&cmd, " (MESSAGES UIDNEXT UIDVALIDITY%s%s)",
		    s->caps & CAP_CONDSTORE ? " HIGHESTMODSEQ" : "",
		    object_item(s, l));
		rc = imap_send(s, cmd.ptr, tag, e);
	}
	buf_release(&cmd);
	return rc;
}

/* The answers to n of them. */
static int
wait_status(struct imap_session *s, struct imap_boxes *l,
    const unsigned *tags, size_t n, bool strict, struct err *e)
{
	struct imap_response rs;
	bool later = false;
	int rc;

	for (size_t i = 0; i < n; i++) {
		s->mild = true;
		rc = imap_wait(s, tags[i], imap_boxes_data, l, &rs, e);
		s->mild = false;
		if (rc == -1)
			return -1;
		/* Without the right to ask, it is not known. */
		if (rc == 0 && strict && !later &&
		    imap_temporary(rs.code, rs.text)) {
			imap_no(&rs, ERR_ACCOUNT, e, "STATUS");
			later = true;
		}
	}
	return later ? -1 : 0;
}

int
imap_boxes_status(struct imap_session *s, struct imap_boxes *l, bool strict,
    struct err *e)
{
	unsigned tags[IN_FLIGHT];
	struct err e2;
	size_t i = 0, k;

	imap_stream_limits(s->st, IMAP_LIST_S, IMAP_LISTS_S);
	while (i < l->n) {
		for (k = 0; k < IN_FLIGHT && i < l->n; i++) {
			struct imap_listed *b = &l->b[i];

			if (!b->wanted || b->has_status || b->noselect)
				continue;
			if (send_status(s, l, b->name, &tags[k], e) == -1)
				return -1;
			if (tags[k] != 0)
				k++;
		}
		if (imap_flush(s, e) == -1)
			return -1;
		if (wait_status(s, l, tags, k, strict, &e2) == -1) {
			*e = e2;
			return -1;
		}
	}
	return 0;
}

bool
imap_boxes_of_others(const struct imap_session *s, const char *name)
{
	size_t best = strlen(s->prefix);
	bool other = false;

	if (strncmp(name, s->prefix, best) != 0)
		best = 0;
	for (size_t i = 0; i < s->others.n; i++) {
		const char *o = s->others.w[i];
		size_t n = strlen(o);

		/* The namespace's own level. */
		if (n > 1 && o[n - 1] == s->sep && strlen(name) == n - 1)
			n--;
		if (n <= best || strncmp(name, o, n) != 0)
			continue;
		best = n;
		other = !imap_words_has(&s->own, o);
	}
	return other;
}
