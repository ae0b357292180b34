/*
 * imap: and imaps: as sources: only some messages of a mailbox, by their UIDs,
 * in place of the listing by sequence numbers.
 */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/date.h"
#include "base/xmalloc.h"
#include "imap/imap_from.h"

#define CHUNK		500	/* messages listed by one command */
#define SET_BYTES	4000	/* of one UID set */
#define MAX_KEYWORDS	256
#define KEYWORDS_MAX	((size_t)64 << 20)	/* bytes, of one chunk */

void
imap_from_room(struct imap_from *m, size_t n)
{
	m->nchunk = m->pos = 0;
	arena_reset(&m->chunk_arena);
	if (m->chunk_cap >= n)
		return;
	free(m->chunk);
	m->chunk = xcalloc(n, sizeof *m->chunk);
	m->chunk_cap = n;
}

int
imap_from_only(struct source *src, const uint32_t *uids, size_t n,
    struct err *e)
{
	struct imap_from *m = (struct imap_from *)src;

	(void)e;
	m->only = uids;
	m->nonly = n;
	return 0;
}

/* A FETCH response; parts of one message may come in several. */
struct part {
	struct listed	 x;
	bool		 flags, date, modseq;
};

static int
read_flags(struct imap_from *m, struct part *p, struct err *e)
{
	struct imap_reader *r = &m->s->r;
	const char *kw[MAX_KEYWORDS];
	struct imap_token t;

	if (imap_read_token(r, &t, e) == -1)
		return -1;
	if (t.type != IMAP_OPEN)
		return imap_skip_value(r, &t, e);
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
			p->x.flags |= imap_flag_bit(t.p, t.len);
		else if (p->x.nkw < MAX_KEYWORDS)
			kw[p->x.nkw++] = arena_memdup0(&m->chunk_arena, t.p,
			    t.len);
	}
	p->flags = true;
	if (p->x.nkw > 0) {
		p->x.kw = arena_alloc(&m->chunk_arena, p->x.nkw *
		    sizeof *p->x.kw);
		memcpy(p->x.kw, kw, p->x.nkw * sizeof *p->x.kw);
	}
	return 0;
}

/* MODSEQ (n): its opening parenthesis was read. */
static int
read_modseq(struct imap_from *m, struct part *p, struct err *e)
{
	struct imap_token t;
	uint64_t v;

	do {
		if (imap_read_token(&m->s->r, &t, e) == -1)
			return -1;
		if (imap_token_number(&t, INT64_MAX, &v) == 0) {
			p->x.modseq = v;
			p->modseq = true;
		}
	} while (t.type != IMAP_CLOSE && t.type != IMAP_END);
	return 0;
}

static int
read_item(struct imap_from *m, const char *item, struct part *p,
    struct err *e)
{
	struct imap_reader *r = &m->s->r;
	struct imap_token t;
	struct date d;
	uint64_t v;

	if (strcasecmp(item, "FLAGS") == 0)
		return read_flags(m, p, e);
	if (imap_read_token(r, &t, e) == -1)
		return -1;
	if (t.type == IMAP_CLOSE || t.type == IMAP_END)
		return imap_protocol(r, "FETCH", e);
	if (strcasecmp(item, "UID") == 0 &&
	    imap_token_number(&t, UINT32_MAX, &v) == 0)
		p->x.uid = (uint32_t)v;
	else if (strcasecmp(item, "RFC822.SIZE") == 0 &&
	    imap_token_number(&t, INT64_MAX, &v) == 0) {
		p->x.size = v;
		p->x.has_size = true;
	} else if (strcasecmp(item, "INTERNALDATE") == 0 &&
	    t.type == IMAP_STRING) {
		if (date_parse_internal(t.p, t.len, &d) == 0) {
			p->x.date = d.epoch;
			p->x.zone = d.zone;
			p->date = true;
		}
	} else if (strcasecmp(item, "MODSEQ") == 0 && t.type == IMAP_OPEN)
		return read_modseq(m, p, e);
	else
		return imap_skip_value(r, &t, e);
	return 0;
}

/* What a command may tell of. */
struct fetch {
	struct imap_from *m;
	size_t		 max;
};

/* What is new of a message goes into the chunk: most often all of it at once. */
static void
take(const struct fetch *f, const struct part *p)
{
	struct imap_from *m = f->m;
	struct listed *x = NULL;

	for (size_t i = m->nchunk; i > 0 && x == NULL; i--) {
		if (m->chunk[i - 1].uid == p->x.uid)
			x = &m->chunk[i - 1];
		else if (p->x.has_size && m->chunk[i - 1].uid < p->x.uid)
			break;
	}
	if (x == NULL) {
		/* Flags of others that have just changed. */
		if (m->nchunk == f->max || !p->x.has_size)
			return;
		x = &m->chunk[m->nchunk++];
		memset(x, 0, sizeof *x);
		x->uid = p->x.uid;
		x->date = NO_DATE;
	}
	if (p->flags) {
		x->flags = p->x.flags;
		x->kw = p->x.kw;
		x->nkw = p->x.nkw;
	}
	if (p->date) {
		x->date = p->x.date;
		x->zone = p->x.zone;
	}
	if (p->modseq)
		x->modseq = p->x.modseq;
	if (p->x.has_size) {
		x->size = p->x.size;
		x->has_size = true;
	}
}

static int
fetch_data(struct imap_session *s, struct imap_response *rs, void *ctx,
    struct err *e)
{
	const struct fetch *f = ctx;
	struct imap_from *m = f->m;
	struct part p = { .flags = false };
	struct imap_token t;
	char item[24];

	if (rs->kind != IMAP_DATA || strcmp(rs->name, "FETCH") != 0)
		return 0;
	if (imap_read_token(&s->r, &t, e) == -1)
		return -1;
	if (t.type != IMAP_OPEN)
		return imap_protocol(&s->r, "FETCH without a list", e);
	for (;;) {
		if (imap_read_token(&s->r, &t, e) == -1)
			return -1;
		if (t.type == IMAP_CLOSE)
			break;
		if (t.type != IMAP_ATOM)
			return imap_protocol(&s->r, "FETCH", e);
		memset(item, 0, sizeof item);
		memcpy(item, t.p, t.len < sizeof item ? t.len :
		    sizeof item - 1);
		if (read_item(m, item, &p, e) == -1)
			return -1;
	}
	if (p.x.uid != 0)
		take(f, &p);
	return 0;
}

void
imap_only_end(struct imap_from *m)
{
	if (m->only == NULL)
		return;
	m->only = NULL;
	m->nonly = m->nchunk = m->pos = 0;
}

static int
by_uid(const void *a, const void *b)
{
	uint32_t x = ((const struct listed *)a)->uid;
	uint32_t y = ((const struct listed *)b)->uid;

	return x < y ? -1 : x > y;
}

/* In the order of their UIDs, none twice. */
static void
order(struct imap_from *m)
{
	size_t n = 0;

	if (m->nchunk == 0)
		return;
	qsort(m->chunk, m->nchunk, sizeof *m->chunk, by_uid);
	for (size_t i = 0; i < m->nchunk; i++)
		if (n == 0 || m->chunk[n - 1].uid != m->chunk[i].uid)
			m->chunk[n++] = m->chunk[i];
	m->nchunk = n;
}

int
imap_only_fetch(struct imap_from *m, const char *cmd, size_t max,
    struct err *e)
{
	struct fetch f = { m, max };
	struct imap_response rs;
	int rc;

	imap_from_room(m, max);
	rc = imap_try(m->s, cmd, fetch_data, &f, &rs, e);
	order(m);
	return rc;
}

int
imap_only_chunk(struct imap_from *m, struct err *e)
{
	struct fetch f = { m, CHUNK };
	struct imap_response rs;
	struct buf cmd;
	size_t n;
	int rc = 1;

	imap_from_room(m, CHUNK);
	buf_init(&cmd, 1 << 14);
	while (rc == 1 && m->nchunk == 0 && m->nonly > 0) {
		struct imap_set set = { &cmd, 0, 0 };

		buf_reset(&cmd);
		buf_adds(&cmd, "UID FETCH ");
		for (n = 0; n < m->nonly && n < CHUNK && cmd.len < SET_BYTES;
		    n++)
			imap_set_add(&set, m->only[n]);
		imap_set_end(&set);
		buf_addf(&cmd, " (UID FLAGS INTERNALDATE RFC822.SIZE%s)",
		    m->s->caps & CAP_CONDSTORE ? " MODSEQ" : "");
		m->only += n;
		m->nonly -= n;
		rc = imap_run(m->s, cmd.ptr, fetch_data, &f, &rs, e);
		if (rc == 0)
			rc = imap_no(&rs, ERR_MAILBOX, e, "UID FETCH");
	}
	buf_release(&cmd);
	if (rc == -1)
		return -1;
	order(m);
	return m->nchunk > 0;
}
