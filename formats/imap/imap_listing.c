/*
 * imap: and imaps: as sources: the messages of a mailbox.
 *
 * They are listed in chunks of sequence numbers, so that memory stays flat and
 * contents can be asked for in between.  EXPUNGE responses move what is still
 * to be listed; servers send them between commands, and some, against RFC 3501,
 * in the middle of the listing too.
 */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/date.h"
#include "base/xmalloc.h"
#include "imap/imap_from.h"

#define CHUNK		2000	/* messages listed by one command */
#define GUID_MAX	128	/* bytes */
#define KEYWORDS_MAX	((size_t)64 << 20)	/* bytes, of one chunk */

/* FLAGS (...) of one message. */
static int
read_flags(struct imap_from *m, struct listed *x, struct err *e)
{
	struct imap_reader *r = &m->s->r;
	const char *kw[256];
	struct imap_token t;
	size_t n = 0;

	if (imap_read_token(r, &t, e) == -1)
		return -1;
	if (t.type != IMAP_OPEN)
		return imap_skip_value(r, &t, e);
	x->flags = 0;
	for (;;) {
		if (imap_read_token(r, &t, e) == -1)
			return -1;
		if (t.type == IMAP_CLOSE)
			break;
		if (t.type != IMAP_ATOM)
			return imap_protocol(r, "FLAGS", e);
		if (m->chunk_arena.used > KEYWORDS_MAX)
			return imap_protocol(r, "keywords without end", e);
		if (t.p[0] == '\\')
			x->flags |= imap_flag_bit(t.p, t.len);
		else if (n < 256)
			kw[n++] = arena_memdup0(&m->chunk_arena, t.p, t.len);
	}
	x->nkw = n;
	x->kw = n > 0 ? arena_alloc(&m->chunk_arena, n * sizeof *x->kw) :
	    NULL;
	if (n > 0)
		memcpy(x->kw, kw, n * sizeof *x->kw);
	return 0;
}

/* 40 hexadecimal digits; anything else is no digest. */
static bool
read_sha1(const struct imap_token *t, unsigned char out[SHA1_LEN])
{
	if ((t->type != IMAP_ATOM && t->type != IMAP_STRING) ||
	    t->len != 2 * SHA1_LEN)
		return false;
	for (size_t i = 0; i < 2 * SHA1_LEN; i++) {
		char c = t->p[i];
		int v = c >= '0' && c <= '9' ? c - '0' :
		    c >= 'a' && c <= 'f' ? c - 'a' + 10 :
		    c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;

		if (v == -1)
			return false;
		out[i / 2] = (unsigned char)(i % 2 == 0 ? v << 4 :
		    out[i / 2] | v);
	}
	return true;
}

/* One item of a FETCH response: its name was read. */
static int
read_item(struct imap_from *m, struct listed *x, const char *item,
    struct err *e)
{
	struct imap_reader *r = &m->s->r;
	struct imap_token t;
	struct date d;
	uint64_t v;

	if (strcasecmp(item, "FLAGS") == 0)
		return read_flags(m, x, e);
	if (imap_read_token(r, &t, e) == -1)
		return -1;
	if (t.type == IMAP_CLOSE || t.type == IMAP_END)
		return imap_protocol(r, "FETCH", e);
	if (strcasecmp(item, "UID") == 0 &&
	    imap_token_number(&t, UINT32_MAX, &v) == 0) {
		x->uid = (uint32_t)v;
	} else if (strcasecmp(item, "RFC822.SIZE") == 0 &&
	    imap_token_number(&t, INT64_MAX, &v) == 0) {
		x->size = v;
		x->has_size = true;
	} else if (strcasecmp(item, "DIGEST.SHA1") == 0 &&
	    (t.type == IMAP_ATOM || t.type == IMAP_STRING)) {
		x->has_sha1 = read_sha1(&t, x->sha1);
	} else if (strcasecmp(item, "INTERNALDATE") == 0 &&
	    t.type == IMAP_STRING) {
		if (date_parse_internal(t.p, t.len, &d) == 0) {
			x->date = d.epoch;
			x->zone = d.zone;
		}
	} else if (strcasecmp(item, "X-GUID") == 0 &&
	    (t.type == IMAP_ATOM || t.type == IMAP_STRING)) {
		if (t.len <= GUID_MAX && memchr(t.p, '\0', t.len) == NULL)
			x->guid = arena_memdup0(&m->chunk_arena, t.p, t.len);
	} else if (strcasecmp(item, "MODSEQ") == 0 && t.type == IMAP_OPEN) {
		if (imap_read_token(r, &t, e) == -1)
			return -1;
		if (imap_token_number(&t, INT64_MAX, &v) == 0)
			x->modseq = v;
		while (t.type != IMAP_CLOSE)
			if (imap_read_token(r, &t, e) == -1)
				return -1;
	} else
		return imap_skip_value(r, &t, e);
	return 0;
}

/* A message of the chunk, or of those still to come, is gone; imap_response()
 * has noted it as one of the latter. */
static void
expunge_data(struct imap_from *m, uint32_t number)
{
	size_t i;

	if (number < m->base) {
		m->base--;
		return;
	}
	i = number - m->base;
	if (i >= m->nchunk)
		return;
	memmove(&m->chunk[i], &m->chunk[i + 1], (m->nchunk - i - 1) *
	    sizeof *m->chunk);
	m->nchunk--;
	m->to_list--;
	m->count--;
	if (m->s->expunged > 0)
		m->s->expunged--;
}

/* A FETCH response of the listing; parts of one message may come in several. */
static int
fetch_data(struct imap_session *s, struct imap_response *rs, void *ctx,
    struct err *e)
{
	struct imap_from *m = ctx;
	struct imap_reader *r = &s->r;
	struct listed *x, ignored = { 0 };
	struct imap_token t;
	char item[24];

	if (rs->kind == IMAP_DATA && strcmp(rs->name, "EXPUNGE") == 0)
		expunge_data(m, rs->number);
	if (rs->kind != IMAP_DATA || strcmp(rs->name, "FETCH") != 0)
		return 0;
	x = rs->number >= m->base && rs->number - m->base < m->nchunk ?
	    &m->chunk[rs->number - m->base] : &ignored;
	if (imap_read_token(r, &t, e) == -1)
		return -1;
	if (t.type != IMAP_OPEN)
		return imap_protocol(r, "FETCH without a list", e);
	for (;;) {
		if (imap_read_token(r, &t, e) == -1)
			return -1;
		if (t.type == IMAP_CLOSE)
			return 0;
		if (t.type != IMAP_ATOM)
			return imap_protocol(r, "FETCH", e);
		memset(item, 0, sizeof item);
		memcpy(item, t.p, t.len < sizeof item ? t.len :
		    sizeof item - 1);
		if (read_item(m, x, item, e) == -1)
			return -1;
	}
}

static int
by_uid(const void *a, const void *b)
{
	uint32_t x = ((const struct listed *)a)->uid;
	uint32_t y = ((const struct listed *)b)->uid;

	return x < y ? -1 : x > y;
}

static size_t
unseen(const struct imap_from *m)
{
	size_t n = 0;

	for (size_t i = 0; i < m->nchunk; i++)
		n += m->chunk[i].uid == 0;
	return n;
}

/* Lists the chunk: 1 OK, 0 NO (in *rs), -1.  Items that a server has announced
 * and refuses all the same are not asked for again. */
static int
ask_chunk(struct imap_from *m, const char *items, bool more,
    struct imap_response *rs, struct err *e)
{
	struct imap_session *s = m->s;
	struct buf cmd;
	int rc;

	buf_init(&cmd, 200);
	more = more && !m->plain_list;
	for (;;) {
		buf_reset(&cmd);
		buf_addf(&cmd, "FETCH %u:%u (UID %s%s%s%s)", m->base, m->base +
		    (uint32_t)m->nchunk - 1, items,
		    more && s->caps & CAP_CONDSTORE ? " MODSEQ" : "",
		    more && s->caps & CAP_DIGEST_SHA1 ? " DIGEST.SHA1" : "",
		    more && m->src.conf.guids ? " X-GUID" : "");
		more = more && (s->caps & (CAP_CONDSTORE | CAP_DIGEST_SHA1) ||
		    m->src.conf.guids);
		rc = (more ? imap_try : imap_run)(s, cmd.ptr, fetch_data, m,
		    rs, e);
		if (rc != 0 || !more || unseen(m) < m->nchunk)
			break;
		m->plain_list = true;
		more = false;
	}
	buf_release(&cmd);
	return rc;
}

/*
 * NO, and some are missing: one message whose file cannot be read must not hide
 * the others, so they are asked for with what comes from an index.
 */
static int
ask_missing(struct imap_from *m, const struct imap_response *no,
    struct err *e)
{
	struct imap_response rs;
	struct err why;
	size_t n;

	imap_no(no, ERR_MAILBOX, &why, "%zu messages cannot be listed",
	    unseen(m));
	if (imap_says_later(no)) {
		*e = why;
		e->retry = true;
		return -1;
	}
	if (ask_chunk(m, "FLAGS", false, &rs, e) == -1)
		return -1;
	if ((n = unseen(m)) > 0)
		source_warn(&m->src, NULL, "%zu messages are there and cannot "
		    "be listed: %s", n, why.text);
	return 0;
}

/* Lists the next messages: their number, 0 at the end. */
static int
next_chunk(struct imap_from *m, struct err *e)
{
	struct imap_session *s = m->s;
	struct imap_response rs;
	size_t missing;
	bool refused;
	int rc;

	if (imap_bodies_drain(m, e) == -1)
		return -1;
	if (m->only != NULL) {
		rc = imap_only_chunk(m, e);
		if (rc != 0 || m->since.uidnext == 0)
			return rc;
		imap_only_end(m);	/* now those that are new */
	}
	m->to_list -= s->expunged < m->to_list ? s->expunged : m->to_list;
	m->count -= s->expunged < m->count ? s->expunged : m->count;
	s->expunged = 0;
	m->nchunk = m->pos = 0;
	if (m->to_list == 0)
		return 0;
	imap_from_room(m, CHUNK);
	m->base = s->listed + 1;
	m->nchunk = m->to_list < CHUNK ? m->to_list : CHUNK;
	memset(m->chunk, 0, m->nchunk * sizeof *m->chunk);
	for (size_t i = 0; i < m->nchunk; i++)
		m->chunk[i].date = NO_DATE;
	rc = ask_chunk(m, "FLAGS INTERNALDATE RFC822.SIZE", true, &rs, e);
	refused = rc == 0 && unseen(m) > 0;
	if (rc == -1 || (refused && ask_missing(m, &rs, e) == -1))
		return -1;
	missing = refused ? 0 : unseen(m);
	if (missing > 0) {
		source_warn(&m->src, NULL, "%zu messages vanished while they "
		    "were listed", missing);
		m->count -= missing;
	}
	s->listed += (uint32_t)m->nchunk;
	m->to_list -= (uint32_t)m->nchunk;
	qsort(m->chunk, m->nchunk, sizeof *m->chunk, by_uid);
	return 1;
}

static void
put_meta(struct imap_from *m, const struct listed *x, struct arena *a,
    struct msg_meta *meta)
{
	const char **kw;

	meta->key = arena_printf(a, "%u.%u", m->box.uidvalidity, x->uid);
	meta->uid = x->uid;
	meta->flags = x->flags;
	if (x->nkw > 0) {
		kw = arena_alloc(a, x->nkw * sizeof *kw);
		for (size_t i = 0; i < x->nkw; i++)
			kw[i] = arena_strdup(a, x->kw[i]);
		meta->keywords = kw;
		meta->nkeywords = x->nkw;
	}
	meta->date = x->date;
	meta->zone = x->zone;
	meta->date_origin = x->date == NO_DATE ? DATE_NONE : DATE_STORE;
	if (x->date == NO_DATE)
		meta->oddities |= ODD_NO_DATE;
	meta->size = x->has_size ? x->size : UNKNOWN64;
	meta->modseq = x->modseq;
	if (x->guid != NULL)
		meta->guid = arena_strdup(a, x->guid);
	if (x->has_sha1)
		meta->sha1 = memcpy(arena_alloc(a, SHA1_LEN), x->sha1,
		    SHA1_LEN);
	meta->known = x->uid < m->since.uidnext;
	meta->where = arena_printf(a, "uid %u", x->uid);
}

int
imap_from_next(struct source *src, struct arena *a, struct msg_meta *meta,
    struct err *e)
{
	struct imap_from *m = (struct imap_from *)src;
	struct listed *x;
	int rc;

	/* What was given already is met again when a server hides EXPUNGEs
	 * from us, or has one UID for two messages. */
	do {
		while (m->pos == m->nchunk) {
			rc = next_chunk(m, e);
			if (rc == -1 && m->last_uid == 0 &&
			    imap_from_again(m, src->folder, e) == 0)
				rc = next_chunk(m, e);
			if (rc == 1)
				rc = imap_from_moved(m, e) == -1 ? -1 : 1;
			if (rc <= 0)
				return rc;
		}
		x = &m->chunk[m->pos++];
	} while (x->uid <= m->last_uid);
	m->last_uid = x->uid;
	put_meta(m, x, a, meta);
	return 1;
}
