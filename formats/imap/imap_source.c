/*
 * imap: and imaps: as sources: mailboxes and their tokens.  Which there are
 * is in imap_list.c, the messages in imap_listing.c, contents in
 * imap_bodies.c, what is new since a token was made in imap_changed.c.
 *
 * Mailboxes are opened with EXAMINE, contents asked for with BODY.PEEK: the
 * server keeps \Recent and \Seen as they were.
 *
 * A token holds UIDVALIDITY, UIDNEXT, HIGHESTMODSEQ (0: not told) and the
 * number of messages.  When LIST has told the same numbers, nothing has changed
 * and the mailbox is not even opened.  Without modseqs equal numbers mean the
 * same messages, but say nothing of flags.
 */
#include "imap/imap_source.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/mutf7.h"
#include "base/xmalloc.h"
#include "imap/imap_from.h"
#include "imap/imap_shared.h"
#include "imap/imap_trace.h"

static struct imap_from *
from(struct source *src)
{
	return (struct imap_from *)src;
}

/* Opening. */

static void	source_imap_close(struct source *);

static int
read_namespaces(struct uri *u, bool *all, struct err *e)
{
	const char *v = uri_opt(u, "namespaces");

	*all = v != NULL && strcmp(v, "all") == 0;
	if (v != NULL && !*all && strcmp(v, "personal") != 0)
		return err_set(e, ERR_RUN, "namespaces=%.40s: personal or all",
		    v);
	return 0;
}

static int
source_imap_check(struct uri *u, struct err *e)
{
	bool all;

	if (read_namespaces(u, &all, e) == -1)
		return -1;
	return imap_session_check(u, e);
}

static int
source_imap_open(struct source **sp, const struct store_conf *conf,
    struct err *e)
{
	struct imap_from *m = xcalloc(1, sizeof *m);
	struct imap_session *s;

	m->src.conf = *conf;
	if (read_namespaces(conf->uri, &m->all_names, e) == -1 ||
	    imap_session_open(&s, &m->src.conf, false, e) == -1) {
		free(m);
		return -1;
	}
	imap_from_begin(m, s);
	if (imap_shared_rules(s, conf->uri, &m->rules, &m->prefix, e) == -1) {
		source_imap_close(&m->src);
		return -1;
	}
	*sp = &m->src;
	m->own_sessions = true;
	m->no_again = false;
	return 0;
}

struct source *
imap_from_begin(struct imap_from *m, struct imap_session *s)
{
	const char *v = uri_opt(m->src.conf.uri, "prefix");
	struct buf b;

	m->s = s;
	m->no_again = true;
	m->rules.dialect = s->dialect;
	m->rules.sep = s->sep;
	m->rules.prefix = s->prefix;
	if (v != NULL) {
		buf_init(&b, 1000);
		mutf7_encode(&b, v, strlen(v));
		if (b.len > 0 && s->sep != '\0' && b.ptr[b.len - 1] != s->sep)
			buf_addc(&b, s->sep);
		m->rules.prefix = m->prefix = buf_detach(&b, NULL);
	}
	arena_init(&m->chunk_arena);
	arena_init(&m->objects);
	return &m->src;
}

static void
source_imap_close(struct source *src)
{
	struct imap_from *m = from(src);

	/* With bodies still coming, LOGOUT would have to wait for them. */
	if (m->tag != 0)
		imap_session_drop(m->s);
	imap_bodies_forget(m);
	imap_session_close(&m->s);
	arena_release(&m->chunk_arena);
	arena_release(&m->objects);
	imap_since_end(m);
	free(m->chunk);
	free(m->prefix);
	free(m);
}

/* One mailbox. */

/* Tokens. */

static void
put_token(const struct imap_box *box, struct buf *out)
{
	buf_addf(out, "imap1 %u %u %" PRIu64 " %" PRIu64, box->uidvalidity,
	    box->uidnext, box->modseq, box->messages);
}

static bool
same_token(const struct imap_box *box, const struct buf *token)
{
	struct buf now;
	bool same;

	if (box->uidvalidity == 0 || box->uidnext == 0 ||
	    box->messages == UNKNOWN64)
		return false;
	buf_init(&now, 200);
	put_token(box, &now);
	same = now.len == token->len && memcmp(now.ptr, token->ptr,
	    now.len) == 0;
	buf_release(&now);
	return same;
}

/* Where flags matter only a modseq tells that nothing has changed. */
static bool
unchanged(const struct folder_info *f, const struct imap_box *box,
    const struct buf *token)
{
	return token != NULL && (box->modseq != 0 || !f->by_flags) &&
	    same_token(box, token);
}

/* The numbers of a token; false: it is none of ours. */
static bool
read_token(const struct buf *token, struct imap_box *box)
{
	uint64_t v[4];
	const char *p = token->ptr + 6, *end = token->ptr + token->len, *q;

	if (token->len < 6 || memcmp(token->ptr, "imap1 ", 6) != 0)
		return false;
	for (size_t i = 0; i < 4; i++, p = q + 1) {
		q = i < 3 ? memchr(p, ' ', (size_t)(end - p)) : end;
		if (q == NULL || imap_number(p, (size_t)(q - p), i < 2 ?
		    UINT32_MAX : INT64_MAX, &v[i]) == -1)
			return false;
	}
	*box = (struct imap_box){ (uint32_t)v[0], (uint32_t)v[1], v[2], v[3] };
	return true;
}

int
imap_from_moved(struct imap_from *m, struct err *e)
{
	if (m->s->uidvalidity == m->box.uidvalidity)
		return 0;
	if (m->src.folder != NULL)
		m->src.folder->uidvalidity = m->s->uidvalidity;
	return err_retry(e, ERR_MAILBOX, "the server changed its UIDVALIDITY "
	    "while it was read");
}

/* Nothing is read of a mailbox that stands as it did. */
static void
as_listed(struct imap_from *m, const struct imap_box *box)
{
	m->box = *box;
	m->s->uidvalidity = box->uidvalidity;
	m->count = box->messages;
	m->nchunk = m->pos = 0;
	m->to_list = 0;
	m->s->listed = m->s->expunged = 0;
}

/* EXAMINE. */
static int
examine(struct imap_from *m, struct folder_info *f, struct err *e)
{
	uint32_t before = f->uidvalidity;
	struct imap_selected sel;
	int rc;

	imap_since_end(m);
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
	m->last_uid = 0;
	m->wrong_sizes = 0;
	f->uidvalidity = m->box.uidvalidity;
	f->uidnext = m->box.uidnext;
	f->modseq = m->box.modseq;
	f->messages = m->box.messages;
	if (sel.object[0] != '\0' && (f->object_id == NULL ||
	    strcmp(f->object_id, sel.object) != 0))
		f->object_id = arena_strdup(&m->objects, sel.object);
	/* Whoever had looked at the old one must look again. */
	if (before != 0 && before != f->uidvalidity)
		return err_retry(e, ERR_MAILBOX, "the server has just changed "
		    "its UIDVALIDITY");
	return 0;
}

/* Opens the mailbox, at the first message that is wanted. */
static int
begin(struct imap_from *m, struct folder_info *f, struct err *e)
{
	uint32_t seq = 1;

	if (examine(m, f, e) == -1)
		return -1;
	if (m->from_uid > 1 && m->box.messages > 0) {
		if (m->box.uidnext != 0 && m->from_uid >= m->box.uidnext)
			seq = 0;
		else if (imap_from_first(m, m->from_uid, &seq, e) == -1)
			return -1;
	}
	m->to_list = seq == 0 || seq > m->count ? 0 :
	    (uint32_t)m->count - (seq - 1);
	m->s->listed = seq == 0 ? 0 : seq - 1;
	m->s->expunged = 0;
	return 0;
}

int
imap_from_again(struct imap_from *m, struct folder_info *f, struct err *e)
{
	const struct imap_box since = m->since;
	enum delta delta = DELTA_FULL;
	struct imap_session *s;
	struct err why;

	if (!m->s->dead || m->no_again || !e->retry ||
	    e->scope != ERR_ACCOUNT || e->cause != CAUSE_OTHER)
		return -1;
	imap_trace_note(m->s->trace, "a new session is begun");
	if (imap_session_open(&s, &m->src.conf, false, &why) == -1) {
		*e = why;
		return -1;
	}
	imap_bodies_forget(m);
	m->tag = 0;
	imap_session_close(&m->s);
	m->s = s;
	if (m->prefix == NULL)
		m->rules.prefix = s->prefix;
	m->no_again = true;
	if (imap_shared_rules(s, m->src.conf.uri, &m->rules, &m->prefix, e) ==
	    -1 || begin(m, f, e) == -1)
		return -1;
	if (since.uidnext == 0)
		return 0;
	/* What it was opened for. */
	if (imap_since(m, &since, f, &delta, e) == -1)
		return -1;
	return delta == DELTA_SOME ? 0 : err_retry(e, ERR_MAILBOX, "the "
	    "mailbox was changed while its session ended");
}

static int
source_imap_folder_open(struct source *src, struct folder_info *f,
    const struct buf *token, uint32_t from_uid, enum delta *delta,
    struct err *e)
{
	const struct imap_box told = { f->uidvalidity, f->uidnext, f->modseq,
	    f->messages };
	struct imap_from *m = from(src);
	struct imap_box old;

	m->from_uid = from_uid;
	imap_since_end(m);
	*delta = DELTA_FULL;
	if (unchanged(f, &told, token)) {
		as_listed(m, &told);
		*delta = DELTA_UNCHANGED;
		return 0;
	}
	if (begin(m, f, e) == -1 && imap_from_again(m, f, e) == -1)
		return -1;
	m->no_again = !m->own_sessions;
	if (unchanged(f, &m->box, token))
		*delta = DELTA_UNCHANGED;
	else if (token != NULL && f->some && from_uid == 0 &&
	    read_token(token, &old))
		return imap_since(m, &old, f, delta, e);
	return 0;
}

static int
source_imap_count(struct source *src, uint64_t *n, struct err *e)
{
	struct imap_from *m = from(src);

	if (imap_from_moved(m, e) == -1)
		return -1;
	*n = m->count - (m->s->expunged < m->to_list ? m->s->expunged :
	    m->to_list);
	return 0;
}

static int
source_imap_token(struct source *src, struct buf *token, struct err *e)
{
	struct imap_from *m = from(src);

	if (imap_from_moved(m, e) == -1)
		return -1;
	if (m->box.uidnext != 0)
		put_token(&m->box, token);
	return 0;
}

static void
source_imap_folder_close(struct source *src)
{
	struct imap_from *m = from(src);
	struct err e;

	if (m->wrong_sizes > 0)
		source_warn(src, NULL, "%" PRIu64 " messages are not as long "
		    "as the server says (RFC822.SIZE)", m->wrong_sizes);
	m->wrong_sizes = 0;
	/* The next EXAMINE leaves the mailbox; bodies under way would come
	 * first. */
	if (imap_bodies_discard(m, &e) == -1)
		m->s->dead = true;
	m->nchunk = m->pos = 0;
	m->to_list = 0;
	imap_since_end(m);
}

static const char *const schemes[] = { "imap", "imaps", NULL };
static const char *const options[] = { IMAP_OPTIONS, "namespaces", NULL };

const struct source_ops imap_source = {
	.schemes = schemes,
	.check = source_imap_check,
	.options = options,
	.open = source_imap_open,
	.close = source_imap_close,
	.account_facts = imap_from_facts,
	.list = imap_from_list,
	.folder_open = source_imap_folder_open,
	.next = imap_from_next,
	.only = imap_from_only,
	.want = imap_from_want,
	.content = imap_from_content,
	.folder_count = source_imap_count,
	.folder_token = source_imap_token,
	.still = imap_from_still,
	.folder_close = source_imap_folder_close,
};
