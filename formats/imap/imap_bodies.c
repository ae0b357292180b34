/*
 * imap: and imaps: as sources: contents.
 *
 * What is wanted comes with pipelined UID FETCHes of BODY.PEEK[] and is read
 * as it is reached: what has not been reached stays in the network, so that
 * neither memory nor disk fills.  A body that overtakes others, or is still
 * coming when something else has to be asked, waits in a spool.
 *
 * Servers answer a FETCH of many messages with one NO when they cannot read
 * one of them.  Those that did not come are asked for once more, each alone, and
 * only then the NO is about a message.
 */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/date.h"
#include "base/xmalloc.h"
#include "imap/imap_from.h"
#include "imap/imap_spool.h"

#define SET_BYTES	4000	/* of one UID set */
#define WAITING_MAX	((size_t)8 << 20)	/* spools in memory, together */

static struct imap_from *
from(struct source *src)
{
	return (struct imap_from *)src;
}

void
imap_bodies_forget(struct imap_from *m)
{
	for (size_t i = 0; i < m->nwant; i++)
		content_close(&m->want[i].c);
	free(m->want);
	m->want = NULL;
	m->nwant = m->cursor = 0;
	m->memory = 0;
}

/* Answers come in the order of the questions, nearly always. */
static struct wanted *
find(struct imap_from *m, uint32_t uid, enum wanted_state state)
{
	for (size_t i = 0; i < m->nwant; i++) {
		size_t k = (m->cursor + i) % m->nwant;

		if (m->want[k].uid == uid && m->want[k].state == state) {
			m->cursor = k;
			return &m->want[k];
		}
	}
	return NULL;
}

/* The value of BODY[]: 1 it is in the spool, 0 there is none (NIL).  sp NULL:
 * nobody waits for it. */
static int
read_body(struct imap_from *m, struct imap_token *t, struct imap_spool *sp,
    struct err *e)
{
	char chunk[16384];
	ssize_t n;

	if (t->type == IMAP_STRING)
		return sp != NULL && imap_spool_add(sp, t->p, t->len, e) == -1 ?
		    -1 : 1;
	if (t->type != IMAP_LITERAL) {
		if (imap_is(t, "NIL"))
			return 0;
		return imap_protocol(&m->s->r, "a body that is none", e);
	}
	while ((n = imap_read_literal(&m->s->r, chunk, sizeof chunk, e)) > 0) {
		imap_stream_earn(m->s->st, (size_t)n);
		if (sp != NULL && imap_spool_add(sp, chunk, (size_t)n, e) ==
		    -1)
			return -1;
	}
	return n == -1 ? -1 : 1;
}

/* The items of a FETCH response: its UID, and its body into the spool. */
static int
read_items(struct imap_from *m, struct imap_spool *sp, uint32_t *uid,
    bool *has_body, int64_t *saved, struct err *e)
{
	struct imap_reader *r = &m->s->r;
	struct imap_token t;
	uint64_t v;
	int rc;

	if (imap_read_token(r, &t, e) == -1)
		return -1;
	if (t.type != IMAP_OPEN)
		return imap_protocol(r, "FETCH without a list", e);
	for (;;) {
		bool is_uid, is_body, is_saved;
		struct date d;

		if (imap_read_token(r, &t, e) == -1)
			return -1;
		if (t.type == IMAP_CLOSE)
			return 0;
		is_uid = imap_is(&t, "UID");
		is_body = imap_is(&t, "BODY[]") && !*has_body;
		is_saved = imap_is(&t, "SAVEDATE");
		if (imap_read_token(r, &t, e) == -1)
			return -1;
		if (t.type == IMAP_CLOSE || t.type == IMAP_END)
			return imap_protocol(r, "FETCH", e);
		if (is_uid) {
			if (imap_token_number(&t, UINT32_MAX, &v) == 0)
				*uid = (uint32_t)v;
			else if (imap_skip_value(r, &t, e) == -1)
				return -1;
		} else if (is_body) {
			rc = read_body(m, &t, *uid != 0 && find(m, *uid,
			    WANT_COMING) == NULL ? NULL : sp, e);
			if (rc == -1)
				return -1;
			*has_body = rc == 1;
		} else if (is_saved && t.type == IMAP_STRING) {
			if (date_parse_internal(t.p, t.len, &d) == 0)
				*saved = d.epoch;
		} else if (imap_skip_value(r, &t, e) == -1)
			return -1;
	}
}

/* A FETCH response.  A body that nobody waits for is dropped. */
static int
body_data(struct imap_from *m, struct err *e)
{
	struct imap_spool sp;
	struct wanted *w = NULL;
	bool has_body = false;
	int64_t saved = 0;
	uint32_t uid = 0;
	int rc;

	imap_spool_init(&sp, m->memory < WAITING_MAX ? IMAP_SPOOL_MEMORY : 0);
	rc = read_items(m, &sp, &uid, &has_body, &saved, e);
	if (rc == 0 && has_body && uid == 0)
		rc = imap_protocol(&m->s->r, "a body without UID", e);
	if (rc == -1 && m->s->r.dead)
		m->s->dead = true;
	if (rc == 0 && has_body)
		w = find(m, uid, WANT_COMING);
	if (w != NULL) {
		w->memory = sp.fd == -1 ? sp.mem.len : 0;
		m->memory += w->memory;
		w->c = imap_spool_content(&sp);
		w->c->save_date = saved;
		w->state = WANT_HERE;
	}
	imap_spool_release(&sp);
	return rc;
}

/* Its words say that there is no such message any more. */
static bool
says_gone(const struct imap_response *rs)
{
	static const char *const words[] = {
		"been deleted", "expunged", "no longer", "no such message",
		NULL
	};

	if (strcmp(rs->code, "EXPUNGEISSUED") == 0)
		return true;
	for (const char *const *w = words; *w != NULL; w++)
		if (strcasestr(rs->text, *w) != NULL)
			return true;
	return false;
}

bool
imap_says_later(const struct imap_response *rs)
{
	static const char *const words[] = {
		"throttl", "bandwidth", "too many", "rate limit", "try again",
		"slow down", "temporar", NULL
	};

	if (strcmp(rs->code, "LIMIT") == 0 || strcmp(rs->code, "INUSE") == 0 ||
	    strcmp(rs->code, "UNAVAILABLE") == 0 ||
	    strcmp(rs->code, "THROTTLED") == 0)
		return true;
	for (const char *const *w = words; *w != NULL; w++)
		if (strcasestr(rs->text, *w) != NULL)
			return true;
	return false;
}

/* The answer to one of the commands: what has not come does not come. */
static void
answered(struct imap_from *m, const struct imap_response *rs)
{
	enum wanted_state state = WANT_GONE;
	size_t asked = 0;

	for (size_t i = 0; i < m->nwant; i++)
		asked += m->want[i].tag == m->tag;
	if (rs->status == IMAP_NO) {
		struct err no;

		imap_no(rs, ERR_MESSAGE, &no, "FETCH");
		memcpy(m->no, no.text, sizeof m->no - 1);
		m->no[sizeof m->no - 1] = '\0';
		m->no_gone = says_gone(rs);
		m->no_later = !m->no_gone && imap_says_later(rs);
		state = asked > 1 ? WANT_ALONE : WANT_REFUSED;
	}
	for (size_t i = 0; i < m->nwant; i++)
		if (m->want[i].tag == m->tag &&
		    m->want[i].state == WANT_COMING)
			m->want[i].state = state;
	m->tag = m->tag == m->last_tag ? 0 : m->tag + 1;
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
			imap_no(&rs, ERR_ACCOUNT, e, "FETCH");
			e->retry = true;
			return -1;
		}
		answered(m, &rs);
		return 0;
	case IMAP_CONTINUE:
		m->s->dead = true;
		return imap_protocol(&m->s->r, "a continuation that nothing "
		    "asked for", e);
	case IMAP_DATA:
		return strcmp(rs.name, "FETCH") == 0 ? body_data(m, e) : 0;
	case IMAP_STATUS:
	default:
		return 0;
	}
}

static void
limits(struct imap_from *m)
{
	imap_stream_limits(m->s->st, m->s->timeout_s, 10 * m->s->timeout_s);
}

int
imap_bodies_drain(struct imap_from *m, struct err *e)
{
	if (m->tag == 0)
		return 0;
	limits(m);
	while (m->tag != 0)
		if (one_response(m, e) == -1)
			return -1;
	return 0;
}

int
imap_bodies_discard(struct imap_from *m, struct err *e)
{
	int rc;

	for (size_t i = 0; i < m->nwant; i++)
		m->want[i].state = WANT_TAKEN;	/* comes in vain */
	rc = imap_bodies_drain(m, e);
	imap_bodies_forget(m);
	return rc;
}

/* Asks for want[first] and what follows. */
static int
send_fetches(struct imap_from *m, size_t first, size_t n, struct err *e)
{
	unsigned tag = 0, first_tag = 0;
	struct buf cmd;
	size_t i = first;
	int rc = 0;

	buf_init(&cmd, 1 << 14);
	m->no[0] = '\0';
	m->no_gone = m->no_later = false;
	limits(m);
	while (i < first + n && rc == 0) {
		struct imap_set set = { &cmd, 0, 0 };
		size_t begin = i;

		buf_reset(&cmd);
		buf_adds(&cmd, "UID FETCH ");
		for (; i < first + n && cmd.len < SET_BYTES; i++)
			imap_set_add(&set, m->want[i].uid);
		imap_set_end(&set);
		buf_adds(&cmd, m->s->caps & CAP_SAVEDATE ?
		    " (UID SAVEDATE BODY.PEEK[])" : " (UID BODY.PEEK[])");
		rc = imap_send(m->s, cmd.ptr, &tag, e);
		for (; begin < i; begin++) {
			m->want[begin].tag = tag;
			m->want[begin].state = WANT_COMING;
		}
		if (first_tag == 0)
			first_tag = tag;
	}
	if (rc == 0)
		rc = imap_flush(m->s, e);
	if (rc == 0 && first_tag != 0) {
		m->tag = first_tag;
		m->last_tag = tag;
	}
	buf_release(&cmd);
	return rc;
}

int
imap_from_want(struct source *src, const struct msg_meta *const *metas,
    size_t n, struct err *e)
{
	struct imap_from *m = from(src);

	if (imap_bodies_discard(m, e) == -1)
		return -1;
	m->want = xcalloc(n, sizeof *m->want);
	for (size_t i = 0; i < n; i++)
		if (metas[i]->uid != 0)
			m->want[m->nwant++].uid = metas[i]->uid;
	return send_fetches(m, 0, m->nwant, e);
}

/* One that was not announced, is read a second time, or is asked for alone. */
static int
ask_alone(struct imap_from *m, uint32_t uid, struct wanted **wp,
    struct err *e)
{
	struct wanted *w = *wp;

	if (imap_bodies_drain(m, e) == -1)
		return -1;
	if (w == NULL) {
		m->want = xreallocarray(m->want, m->nwant + 1,
		    sizeof *m->want);
		w = *wp = &m->want[m->nwant++];
		memset(w, 0, sizeof *w);
		w->uid = uid;
	}
	return send_fetches(m, (size_t)(w - m->want), 1, e);
}

/* NO, and it was for this message alone. */
static int
refused(struct imap_from *m, struct err *e)
{
	if (m->no_gone)
		return 0;
	return err_retry(e, m->no_later ? ERR_MAILBOX : ERR_MESSAGE, "%s",
	    m->no);
}

static void
check_size(struct imap_from *m, const struct msg_meta *meta,
    const struct content *c)
{
	if (meta->size != UNKNOWN64 && meta->size != c->size)
		m->wrong_sizes++;
}

int
imap_from_content(struct source *src, const struct msg_meta *meta,
    struct content **c, struct err *e)
{
	struct imap_from *m = from(src);
	struct wanted *w = NULL;

	for (size_t i = 0; i < m->nwant && w == NULL; i++)
		if (m->want[i].uid == meta->uid &&
		    m->want[i].state != WANT_TAKEN)
			w = &m->want[i];
	if (w == NULL && ask_alone(m, meta->uid, &w, e) == -1)
		return -1;
	limits(m);
	for (;;) {
		if (imap_from_moved(m, e) == -1)
			return -1;
		switch (w->state) {
		case WANT_HERE:
			*c = w->c;
			w->c = NULL;
			m->memory -= w->memory;
			w->state = WANT_TAKEN;
			check_size(m, meta, *c);
			return 1;
		case WANT_ALONE:
			if (ask_alone(m, meta->uid, &w, e) == -1)
				return -1;
			break;
		case WANT_REFUSED:
			w->state = WANT_TAKEN;
			return refused(m, e);
		case WANT_COMING:
			if (one_response(m, e) == -1)
				return -1;
			break;
		case WANT_GONE:
		case WANT_TAKEN:
		default:
			w->state = WANT_TAKEN;
			return 0;
		}
	}
}
