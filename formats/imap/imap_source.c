/*
 * imap: and imaps: as sources: messages.  The list of mailboxes is in
 * imap_list.c.
 *
 * A mailbox is listed in chunks of sequence numbers, so that memory stays flat
 * and contents can be asked for in between; EXPUNGE responses move what is
 * still to be listed.  Wanted contents come with one pipelined UID FETCH and
 * are spooled as they are reached.
 */
#include "imap/imap_source.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/date.h"
#include "base/mutf7.h"
#include "base/xmalloc.h"
#include "imap/imap_from.h"
#include "imap/imap_shared.h"
#include "imap/imap_spool.h"

#define CHUNK		2000	/* messages listed by one command */
#define SET_BYTES	4000	/* of one UID set */
#define WAITING_MAX	((size_t)8 << 20)	/* spools in memory, together */
#define LAST_UID	UINT32_MAX

static struct imap_from *
from(struct source *src)
{
	return (struct imap_from *)src;
}

/* Opening. */

static void	source_imap_close(struct source *);

static int
source_imap_open(struct source **sp, const struct store_conf *conf,
    struct err *e)
{
	struct imap_from *m = xcalloc(1, sizeof *m);
	const char *v = uri_opt(conf->uri, "prefix");
	struct buf b;

	m->src.conf = *conf;
	if (imap_session_open(&m->s, &m->src.conf, false, e) == -1) {
		free(m);
		return -1;
	}
	m->rules.dialect = m->s->dialect;
	m->rules.sep = m->s->sep;
	m->rules.prefix = m->s->prefix;
	if (v != NULL) {
		buf_init(&b, 1000);
		mutf7_encode(&b, v, strlen(v));
		if (b.len > 0 && m->s->sep != '\0' &&
		    b.ptr[b.len - 1] != m->s->sep)
			buf_addc(&b, m->s->sep);
		m->rules.prefix = m->prefix = buf_detach(&b, NULL);
	}
	arena_init(&m->chunk_arena);
	if (imap_shared_rules(m->s, conf->uri, &m->rules, &m->prefix, e) ==
	    -1) {
		source_imap_close(&m->src);
		return -1;
	}
	*sp = &m->src;
	return 0;
}

static void
drop_waiting(struct imap_from *m)
{
	struct waiting *w, *next;

	for (w = m->waiting; w != NULL; w = next) {
		next = w->next;
		content_close(&w->c);
		free(w);
	}
	m->waiting = NULL;
	m->memory = 0;
	free(m->want);
	m->want = NULL;
	m->nwant = 0;
}

static void
source_imap_close(struct source *src)
{
	struct imap_from *m = from(src);

	/* With bodies still coming, LOGOUT would have to wait for them. */
	if (m->tag != 0)
		imap_session_drop(m->s);
	drop_waiting(m);
	imap_session_close(&m->s);
	arena_release(&m->chunk_arena);
	free(m->chunk);
	free(m->prefix);
	free(m);
}

/* One mailbox. */

static int
min_data(struct imap_session *s, struct imap_response *rs, void *ctx,
    struct err *e)
{
	uint32_t *min = ctx;
	struct imap_token t;
	bool extended = strcmp(rs->name, "ESEARCH") == 0, is_min = false;
	uint64_t v;

	if (rs->kind != IMAP_DATA || (!extended &&
	    strcmp(rs->name, "SEARCH") != 0))
		return 0;
	do {
		if (imap_read_token(&s->r, &t, e) == -1)
			return -1;
		if ((is_min || !extended) && s->r.depth == 0 &&
		    imap_token_number(&t, UINT32_MAX, &v) == 0 && v != 0 &&
		    (*min == 0 || v < *min))
			*min = (uint32_t)v;
		is_min = imap_is(&t, "MIN");
	} while (t.type != IMAP_END);
	return 0;
}

/* The sequence number of the first message with at least this UID; 0: none.
 * Not "uid:*", which is never empty. */
static int
first_from(struct imap_from *m, uint32_t uid, uint32_t *seq, struct err *e)
{
	struct imap_response rs;
	struct buf cmd;
	int rc;

	*seq = 0;
	buf_init(&cmd, 100);
	buf_addf(&cmd, "SEARCH %sUID %u:%u", m->s->caps & CAP_ESEARCH ?
	    "RETURN (MIN) " : "", uid, LAST_UID);
	rc = imap_run(m->s, cmd.ptr, min_data, seq, &rs, e);
	buf_release(&cmd);
	if (rc == 0)
		return imap_no(&rs, ERR_MAILBOX, e, "SEARCH");
	return rc == 1 ? 0 : -1;
}

static void
put_token(const struct imap_from *m, struct buf *out)
{
	buf_addf(out, "imap1 %u %u %" PRIu64 " %" PRIu64, m->box.uidvalidity,
	    m->box.uidnext, m->box.modseq, m->box.messages);
}

static int
source_imap_folder_open(struct source *src, struct folder_info *f,
    const struct buf *token, uint32_t from_uid, enum delta *delta,
    struct err *e)
{
	struct imap_from *m = from(src);
	struct imap_selected sel;
	uint32_t seq = 1;
	struct buf now;
	int rc;

	imap_only_end(m);
	rc = imap_select(m->s, f->raw_name, true, &sel, e);
	if (rc == 0) {
		err_set(e, ERR_MAILBOX, "there is no mailbox %.100s",
		    f->raw_name);
		e->cause = CAUSE_MISSING;
	}
	if (rc != 1)
		return -1;
	imap_words_release(&sel.keywords);
	m->box = sel.box;
	m->count = sel.box.messages;
	m->nchunk = m->pos = 0;
	f->uidvalidity = m->box.uidvalidity;
	f->uidnext = m->box.uidnext;
	f->modseq = m->box.modseq;
	f->messages = m->box.messages;
	if (from_uid > 1 && m->box.messages > 0) {
		if (m->box.uidnext != 0 && from_uid >= m->box.uidnext)
			seq = 0;
		else if (first_from(m, from_uid, &seq, e) == -1)
			return -1;
	}
	m->to_list = seq == 0 || seq > m->count ? 0 :
	    (uint32_t)m->count - (seq - 1);
	m->s->listed = seq == 0 ? 0 : seq - 1;
	m->s->expunged = 0;
	*delta = DELTA_FULL;
	/* Without modseqs nothing is known of flags. */
	if (token != NULL && m->box.modseq != 0) {
		buf_init(&now, 200);
		put_token(m, &now);
		if (now.len == token->len && memcmp(now.ptr, token->ptr,
		    now.len) == 0)
			*delta = DELTA_UNCHANGED;
		buf_release(&now);
	}
	return 0;
}

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
		if (t.p[0] == '\\')
			x->flags |= imap_flag_bit(t.p, t.len);
		else if (n < 256)
			kw[n++] = arena_memdup0(&m->chunk_arena, t.p, t.len);
	}
	x->has_flags = true;
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

/* A FETCH response of the listing; parts of one message may come in several. */
static int
fetch_data(struct imap_session *s, struct imap_response *rs, void *ctx,
    struct err *e)
{
	struct imap_from *m = ctx;
	struct imap_reader *r = &s->r;
	struct listed *x, ignored = { 0 };
	struct imap_token t;
	struct date d;
	char item[24];
	uint64_t v;

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
		if (strcasecmp(item, "FLAGS") == 0) {
			if (read_flags(m, x, e) == -1)
				return -1;
			continue;
		}
		if (imap_read_token(r, &t, e) == -1)
			return -1;
		if (strcasecmp(item, "UID") == 0 &&
		    imap_token_number(&t, UINT32_MAX, &v) == 0)
			x->uid = (uint32_t)v;
		else if (strcasecmp(item, "RFC822.SIZE") == 0 &&
		    imap_token_number(&t, INT64_MAX, &v) == 0) {
			x->size = v;
			x->has_size = true;
		} else if (strcasecmp(item, "DIGEST.SHA1") == 0 &&
		    t.type != IMAP_OPEN && t.type != IMAP_CLOSE &&
		    t.type != IMAP_LITERAL && t.type != IMAP_END) {
			x->has_sha1 = read_sha1(&t, x->sha1);
		} else if (strcasecmp(item, "INTERNALDATE") == 0 &&
		    t.type == IMAP_STRING) {
			if (date_parse_internal(t.p, t.len, &d) == 0) {
				x->date = d.epoch;
				x->zone = d.zone;
			}
		} else if (strcasecmp(item, "MODSEQ") == 0 &&
		    t.type == IMAP_OPEN) {
			if (imap_read_token(r, &t, e) == -1)
				return -1;
			if (imap_token_number(&t, INT64_MAX, &v) == 0)
				x->modseq = v;
			while (t.type != IMAP_CLOSE)
				if (imap_read_token(r, &t, e) == -1)
					return -1;
		} else if (t.type == IMAP_CLOSE || t.type == IMAP_END)
			return imap_protocol(r, "FETCH", e);
		else if (imap_skip_value(r, &t, e) == -1)
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

static int	drain(struct imap_from *, struct err *);

/* Lists the next messages: their number, 0 at the end. */
static int
next_chunk(struct imap_from *m, struct err *e)
{
	struct imap_session *s = m->s;
	struct imap_response rs;
	size_t missing = 0;
	struct buf cmd;
	int rc;

	if (drain(m, e) == -1)
		return -1;
	if (m->only != NULL)
		return imap_only_chunk(m, e);
	m->to_list -= s->expunged < m->to_list ? s->expunged : m->to_list;
	m->count -= s->expunged < m->count ? s->expunged : m->count;
	s->expunged = 0;
	m->nchunk = m->pos = 0;
	if (m->to_list == 0)
		return 0;
	arena_reset(&m->chunk_arena);
	if (m->chunk == NULL)
		m->chunk = xcalloc(CHUNK, sizeof *m->chunk);
	m->base = s->listed + 1;
	m->nchunk = m->to_list < CHUNK ? m->to_list : CHUNK;
	memset(m->chunk, 0, m->nchunk * sizeof *m->chunk);
	for (size_t i = 0; i < m->nchunk; i++)
		m->chunk[i].date = NO_DATE;
	buf_init(&cmd, 200);
	buf_addf(&cmd, "FETCH %u:%u (UID FLAGS INTERNALDATE RFC822.SIZE%s%s)",
	    m->base, m->base + (uint32_t)m->nchunk - 1,
	    s->caps & CAP_CONDSTORE ? " MODSEQ" : "",
	    s->caps & CAP_DIGEST_SHA1 ? " DIGEST.SHA1" : "");
	rc = imap_run(s, cmd.ptr, fetch_data, m, &rs, e);
	buf_release(&cmd);
	if (rc == -1)
		return -1;
	for (size_t i = 0; i < m->nchunk; i++)
		missing += m->chunk[i].uid == 0;
	if (rc == 0 && missing > 0) {
		imap_no(&rs, ERR_MAILBOX, e, "%zu messages cannot be listed",
		    missing);
		e->retry = true;
		return -1;
	}
	if (missing > 0)
		source_warn(&m->src, NULL, "%zu messages vanished while they "
		    "were listed", missing);
	s->listed += (uint32_t)m->nchunk;
	m->to_list -= (uint32_t)m->nchunk;
	m->count -= missing;
	qsort(m->chunk, m->nchunk, sizeof *m->chunk, by_uid);
	return (int)m->nchunk;
}

static int
source_imap_next(struct source *src, struct arena *a, struct msg_meta *meta,
    struct err *e)
{
	struct imap_from *m = from(src);
	struct listed *x;
	const char **kw;
	int rc;

	do {
		while (m->pos == m->nchunk) {
			rc = next_chunk(m, e);
			if (rc <= 0)
				return rc;
		}
		x = &m->chunk[m->pos++];
	} while (x->uid == 0);
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
	if (x->has_sha1)
		meta->sha1 = memcpy(arena_alloc(a, SHA1_LEN), x->sha1,
		    SHA1_LEN);
	meta->where = arena_printf(a, "uid %u", x->uid);
	return 1;
}

/* Contents. */

static void
add_waiting(struct imap_from *m, uint32_t uid, struct content *c,
    size_t memory)
{
	struct waiting *w = xcalloc(1, sizeof *w), **p;

	w->uid = uid;
	w->c = c;
	w->memory = memory;
	m->memory += memory;
	for (p = &m->waiting; *p != NULL; p = &(*p)->next)
		;
	*p = w;
}

/* The value of BODY[]: 1 it is in the spool, 0 there is none (NIL). */
static int
read_body(struct imap_from *m, struct imap_token *t, struct imap_spool *sp,
    struct err *e)
{
	char chunk[16384];
	ssize_t n;

	if (t->type == IMAP_STRING)
		return imap_spool_add(sp, t->p, t->len, e) == -1 ? -1 : 1;
	if (t->type != IMAP_LITERAL) {
		if (imap_is(t, "NIL"))
			return 0;
		return imap_protocol(&m->s->r, "a body that is none", e);
	}
	while ((n = imap_read_literal(&m->s->r, chunk, sizeof chunk, e)) > 0) {
		imap_stream_earn(m->s->st, (size_t)n);
		if (imap_spool_add(sp, chunk, (size_t)n, e) == -1)
			return -1;
	}
	return n == -1 ? -1 : 1;
}

/* A FETCH response while bodies are under way. */
static int
body_data(struct imap_from *m, struct err *e)
{
	struct imap_reader *r = &m->s->r;
	struct imap_spool sp;
	struct imap_token t;
	bool has_body = false;
	uint64_t v, uid = 0;
	int rc = 0;

	imap_spool_init(&sp, m->memory < WAITING_MAX ? IMAP_SPOOL_MEMORY : 0);
	if (imap_read_token(r, &t, e) == -1 || (t.type != IMAP_OPEN &&
	    imap_protocol(r, "FETCH without a list", e) == -1))
		rc = -1;
	while (rc != -1) {
		bool is_uid, is_body;

		if (imap_read_token(r, &t, e) == -1) {
			rc = -1;
			break;
		}
		if (t.type == IMAP_CLOSE)
			break;
		is_uid = imap_is(&t, "UID");
		is_body = imap_is(&t, "BODY[]") && !has_body;
		if (imap_read_token(r, &t, e) == -1)
			rc = -1;
		else if (t.type == IMAP_CLOSE || t.type == IMAP_END)
			rc = imap_protocol(r, "FETCH", e);
		else if (is_uid) {
			if (imap_token_number(&t, UINT32_MAX, &v) == 0)
				uid = v;
		} else if (is_body) {
			has_body = true;
			rc = read_body(m, &t, &sp, e);
			if (rc == 0)	/* NIL */
				has_body = false;
		} else
			rc = imap_skip_value(r, &t, e);
	}
	if (rc != -1 && has_body && uid == 0)
		rc = imap_protocol(r, "a body without UID", e);
	if (rc != -1 && has_body) {
		size_t memory = sp.fd == -1 ? sp.mem.len : 0;

		add_waiting(m, (uint32_t)uid, imap_spool_content(&sp),
		    memory);
	}
	imap_spool_release(&sp);
	return rc == -1 ? -1 : 0;
}

/* One response of the FETCHes under way. */
static int
one_response(struct imap_from *m, struct err *e)
{
	struct imap_response rs;

	if (imap_response(m->s, &rs, e) == -1)
		return -1;
	switch (rs.kind) {
	case IMAP_TAGGED:
		if (!imap_tag_is(&rs, m->tag) || rs.status == IMAP_BAD) {
			m->s->dead = true;
			return imap_no(&rs, ERR_ACCOUNT, e, "FETCH");
		}
		if (rs.status == IMAP_NO) {
			struct err no;

			imap_no(&rs, ERR_MESSAGE, &no, "FETCH");
			memcpy(m->no, no.text, sizeof m->no - 1);
			m->no[sizeof m->no - 1] = '\0';
		}
		m->tag = m->tag == m->last_tag ? 0 : m->tag + 1;
		return 0;
	case IMAP_CONTINUE:
		m->s->dead = true;
		return imap_protocol(&m->s->r, "a continuation that nothing "
		    "asked for", e);
	case IMAP_DATA:
		if (strcmp(rs.name, "FETCH") == 0 && !m->discard)
			return body_data(m, e);
		return 0;
	case IMAP_STATUS:
	default:
		return 0;
	}
}

/* Until no FETCH is under way; what comes is kept. */
static int
drain(struct imap_from *m, struct err *e)
{
	if (m->tag == 0)
		return 0;
	imap_stream_limits(m->s->st, m->s->timeout_s, 10 * m->s->timeout_s);
	while (m->tag != 0)
		if (one_response(m, e) == -1)
			return -1;
	return 0;
}

/* The same, and nothing is kept. */
static int
discard(struct imap_from *m, struct err *e)
{
	int rc;

	m->discard = true;
	rc = drain(m, e);
	m->discard = false;
	drop_waiting(m);
	return rc;
}

static int
send_fetches(struct imap_from *m, struct err *e)
{
	struct buf cmd;
	size_t i = 0;
	unsigned tag = 0, first = 0;
	int rc = 0;

	buf_init(&cmd, 1 << 14);
	m->no[0] = '\0';
	imap_stream_limits(m->s->st, m->s->timeout_s, 10 * m->s->timeout_s);
	while (i < m->nwant && rc == 0) {
		struct imap_set set = { &cmd, 0, 0 };

		buf_reset(&cmd);
		buf_adds(&cmd, "UID FETCH ");
		for (; i < m->nwant && cmd.len < SET_BYTES; i++)
			imap_set_add(&set, m->want[i].uid);
		imap_set_end(&set);
		buf_adds(&cmd, " (UID BODY.PEEK[])");
		rc = imap_send(m->s, cmd.ptr, &tag, e);
		if (first == 0)
			first = tag;
	}
	if (rc == 0)
		rc = imap_flush(m->s, e);
	if (rc == 0 && first != 0) {
		m->tag = first;
		m->last_tag = tag;
	}
	buf_release(&cmd);
	return rc;
}

static int
source_imap_want(struct source *src, const struct msg_meta *const *metas,
    size_t n, struct err *e)
{
	struct imap_from *m = from(src);

	if (discard(m, e) == -1)
		return -1;
	m->want = xcalloc(n, sizeof *m->want);
	for (size_t i = 0; i < n; i++)
		if (metas[i]->uid != 0)
			m->want[m->nwant++].uid = metas[i]->uid;
	return send_fetches(m, e);
}

static bool
take(struct imap_from *m, uint32_t uid, struct content **c)
{
	struct waiting **p, *w;

	for (p = &m->waiting; (w = *p) != NULL; p = &w->next)
		if (w->uid == uid) {
			*p = w->next;
			*c = w->c;
			m->memory -= w->memory;
			free(w);
			return true;
		}
	return false;
}

static int
source_imap_content(struct source *src, const struct msg_meta *meta,
    struct content **c, struct err *e)
{
	struct imap_from *m = from(src);
	struct wanted *w = NULL;
	size_t i;

	for (i = 0; i < m->nwant; i++)
		if (m->want[i].uid == meta->uid && !m->want[i].taken)
			w = &m->want[i];
	if (w == NULL) {
		/* Not announced, or read a second time. */
		struct wanted *old = m->want, one = { meta->uid, false };
		size_t nold = m->nwant;
		int rc;

		if (drain(m, e) == -1)
			return -1;
		m->want = &one;
		m->nwant = 1;
		rc = send_fetches(m, e);
		m->want = old;
		m->nwant = nold;
		if (rc == -1)
			return -1;
	}
	imap_stream_limits(m->s->st, m->s->timeout_s, 10 * m->s->timeout_s);
	for (;;) {
		if (take(m, meta->uid, c)) {
			if (w != NULL)
				w->taken = true;
			return 1;
		}
		if (m->tag == 0)
			break;
		if (one_response(m, e) == -1)
			return -1;
	}
	if (w != NULL)
		w->taken = true;
	if (m->no[0] != '\0')
		return err_retry(e, ERR_MESSAGE, "%s", m->no);
	return 0;
}

static int
source_imap_count(struct source *src, uint64_t *n, struct err *e)
{
	struct imap_from *m = from(src);

	(void)e;
	*n = m->count - (m->s->expunged < m->to_list ? m->s->expunged :
	    m->to_list);
	return 0;
}

static int
source_imap_token(struct source *src, struct buf *token, struct err *e)
{
	struct imap_from *m = from(src);

	(void)e;
	if (m->box.modseq != 0)
		put_token(m, token);
	return 0;
}

static void
source_imap_folder_close(struct source *src)
{
	struct imap_from *m = from(src);
	struct err e;

	/* The next EXAMINE leaves the mailbox; bodies under way would come
	 * first. */
	if (discard(m, &e) == -1)
		m->s->dead = true;
	m->nchunk = m->pos = 0;
	m->to_list = 0;
}

static const char *const schemes[] = { "imap", "imaps", NULL };
static const char *const options[] = { IMAP_OPTIONS, NULL };

const struct source_ops imap_source = {
	.schemes = schemes,
	.check = imap_session_check,
	.options = options,
	.open = source_imap_open,
	.close = source_imap_close,
	.account_facts = imap_from_facts,
	.list = imap_from_list,
	.folder_open = source_imap_folder_open,
	.next = source_imap_next,
	.only = imap_from_only,
	.want = source_imap_want,
	.content = source_imap_content,
	.folder_count = source_imap_count,
	.folder_token = source_imap_token,
	.folder_close = source_imap_folder_close,
};
