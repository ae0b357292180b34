/* Storing messages: APPEND in the widest form that the server has. */
#include "imap/imap_append.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "base/fault.h"
#include "base/xmalloc.h"
#include "crlf.h"
#include "imap/imap_trouble.h"

#define CHUNK		((size_t)64 << 10)
#define BATCH_MESSAGES	100
#define BATCH_SINGLES	50
#define BATCH_BYTES	((uint64_t)4 << 20)
#define LITERAL_MINUS	4096
#define KEYWORDS_MAX	8192	/* bytes of them in one command */

/* A batch on its way.  With MULTIAPPEND it is one command, first is its tag;
 * else item i has the tag tags[i], 0 when it was not sent. */
struct flight {
	bool	 multi;
	bool	 complete;	/* nothing more to send for it */
	bool	 crlf;		/* multi: the last CRLF may have gone out */
	bool	 new_kw;	/* has keywords that the mailbox lacked */
	unsigned tag;
	size_t	 open;		/* items without a result */
	struct { unsigned tag; bool crlf; } one[];
};

void
imap_appender_init(struct imap_appender *a, struct imap_session *s)
{
	memset(a, 0, sizeof *a);
	a->s = s;
	a->tail = &a->head;
	buf_init(&a->mailbox, 1 << 13);
}

void
imap_appender_release(struct imap_appender *a)
{
	buf_release(&a->mailbox);
	imap_words_release(&a->keywords);
	imap_words_release(&a->kw_sent);
	imap_words_release(&a->kw_tried);
	EVP_MD_CTX_free(a->md);
	free(a->in);
	free(a->out);
}

int
imap_appender_mailbox(struct imap_appender *a, const char *name,
    struct imap_selected *sel, struct err *e)
{
	buf_reset(&a->mailbox);
	if (imap_quote(&a->mailbox, name, strlen(name)) == -1)
		return err_set(e, ERR_MAILBOX, "the mailbox name cannot be "
		    "sent");
	imap_words_release(&a->keywords);
	imap_words_release(&a->kw_sent);
	a->keywords = sel->keywords;
	memset(&sel->keywords, 0, sizeof sel->keywords);
	a->no_new = !sel->new_keywords;
	a->uidvalidity = sel->box.uidvalidity;
	return 0;
}

void
imap_append_caps(const struct imap_appender *a, struct target_caps *caps)
{
	unsigned c = a->s->caps;

	caps->bits = TGT_FLAGS |
	    (c & CAP_UIDPLUS ? TGT_TELLS_UIDS | TGT_EXPUNGES : 0) |
	    (c & CAP_MOVE ? TGT_MOVES : 0) |
	    (c & CAP_DIGEST_SHA1 ? TGT_TELLS_SHA1 : 0);
	/* Cyrus holds a lock of the user while it stores. */
	if (a->s->dialect == IMAP_CYRUS)
		caps->bits |= TGT_ONE_WRITER;
	caps->batch_bytes = BATCH_BYTES;
	caps->window = c & CAP_LITERAL_PLUS ? 2 : 1;
	caps->batch_messages = BATCH_SINGLES;
	if (c & CAP_MULTIAPPEND) {
		caps->bits |= TGT_ATOMIC;
		caps->batch_messages = BATCH_MESSAGES;
	}
	caps->max_message = a->s->appendlimit;
}

/* Results. */

static struct flight *
flight_of(struct store_batch *b)
{
	return b->priv;
}

static void
settle(struct flight *f, struct store_item *it, enum store_result r,
    const struct err *e)
{
	if (it->result != STORE_PENDING)
		return;
	it->result = r;
	if (e != NULL)
		it->err = *e;
	f->open--;
}

/* The session is over: every open item gets its answer. */
static int
die(struct imap_appender *a, const struct err *e)
{
	if (a->dead)
		return -1;
	a->dead = true;
	a->why = *e;
	imap_session_drop(a->s);
	for (struct store_batch *b = a->head; b != NULL; b = b->next) {
		struct flight *f = flight_of(b);

		for (size_t i = 0; i < b->n; i++)
			settle(f, &b->items[i], (f->multi ? f->crlf :
			    f->one[i].crlf) ? STORE_UNKNOWN : STORE_NOT_SENT,
			    e);
		f->complete = true;
	}
	return -1;
}

/*
 * What a NO means for the n items of a command, it being one of them.  Nothing
 * of it is stored.
 */
static enum store_result
refusal(struct imap_appender *a, const struct flight *f,
    const struct imap_response *rs, const struct store_item *it, size_t n,
    struct err *e)
{
	enum imap_trouble what = imap_trouble(rs->code, rs->text);
	struct imap_thing thing = { .digest = it->digests.strict,
	    .suspect = it->suspect };

	imap_no(rs, ERR_MESSAGE, e, "APPEND");
	/* Something broken may be broken for one message alone: only what is
	 * refused by itself tells of the store. */
	if (what == IMAP_STORE_FAILS && n > 1)
		return STORE_SPLIT;
	imap_store_failed(a->s, thing, rs->code, rs->text, e);
	/* Whose trouble this is shows by what becomes of the others. */
	if (what == IMAP_STORE_FAILS)
		return STORE_REFUSED;
	if (what == IMAP_OVER_QUOTA || e->scope == ERR_HOST)
		return STORE_NOT_SENT;
	if (imap_no_mailbox(rs->code, rs->text) ||
	    strcasecmp(rs->code, "NOPERM") == 0) {
		e->scope = ERR_MAILBOX;
		return STORE_NOT_SENT;
	}
	if (strcasecmp(rs->code, "TOOBIG") == 0 &&
	    strcasestr(rs->text, "non-sync") != NULL) {
		/* It announces LITERAL+ and means LITERAL-, and hangs up. */
		imap_learn_literal_minus(a->s);
		e->scope = ERR_ACCOUNT;
		e->retry = true;
		return STORE_NOT_SENT;
	}
	if (strcasestr(rs->text, "too many user flags") != NULL &&
	    f->new_kw) {
		/* The mailbox has no room for another keyword: from now on
		 * without, which is another command than the refused one. */
		a->no_new = true;
		e->retry = true;
		return STORE_NOT_SENT;
	}
	if (what == IMAP_BUSY) {
		e->scope = ERR_ACCOUNT;
		return STORE_NOT_SENT;
	}
	if (strcasecmp(rs->code, "LIMIT") == 0)
		e->cause = CAUSE_LIMIT;
	return n > 1 ? STORE_SPLIT : STORE_REFUSED;
}

/* [APPENDUID uidvalidity set]: the UIDs of the n open items, in order. */
static void
take_uids(struct imap_appender *a, const struct imap_response *rs,
    struct store_item *items, size_t n, size_t open)
{
	uint32_t *uids;
	const char *set = strchr(rs->args, ' ');
	uint64_t validity;
	size_t got, k = 0;

	if (strcmp(rs->code, "APPENDUID") != 0 || set == NULL ||
	    imap_number(rs->args, (size_t)(set - rs->args), UINT32_MAX,
	    &validity) == -1 || validity != a->uidvalidity)
		return;
	uids = xcalloc(open, sizeof *uids);
	if (imap_set_parse(set + 1, strlen(set + 1), uids, open, &got) == 0 &&
	    got == open)
		for (size_t i = 0; i < n; i++)
			if (items[i].result == STORE_PENDING)
				items[i].uid = uids[k++];
	free(uids);
}

/* The tagged answer to one command: the n items from items on. */
static void
answered(struct imap_appender *a, struct flight *f, struct store_item *items,
    size_t n, const struct imap_response *rs)
{
	const struct store_item *one = items;
	enum store_result r = STORE_DONE;
	size_t open = 0;
	struct err e;

	err_clear(&e);
	for (size_t i = 0; i < n; i++)
		if (items[i].result == STORE_PENDING) {
			one = &items[i];
			open++;
		}
	if (rs->status == IMAP_OK) {
		take_uids(a, rs, items, n, open);
		imap_store_worked(a->s);
	} else
		r = refusal(a, f, rs, one, open, &e);
	for (size_t i = 0; i < n; i++) {
		/* What it stored, the mailbox now has. */
		for (size_t k = 0; r == STORE_DONE && a->kw_sent.n > 0 &&
		    k < items[i].nkeywords; k++)
			if (imap_words_remove(&a->kw_sent,
			    items[i].keywords[k]))
				imap_words_add(&a->keywords,
				    items[i].keywords[k]);
		settle(f, &items[i], r, r == STORE_DONE ? NULL : &e);
	}
	fault_point("append.answered");
}

/* Finds what a tagged answer belongs to; -1: to nothing of ours, or BAD. */
static int
dispatch(struct imap_appender *a, const struct imap_response *rs,
    struct err *e)
{
	for (struct store_batch *b = a->head; b != NULL; b = b->next) {
		struct flight *f = flight_of(b);
		size_t i = 0;

		if (f->multi ? !imap_tag_is(rs, f->tag) : false)
			continue;
		if (!f->multi) {
			while (i < b->n && (f->one[i].tag == 0 ||
			    !imap_tag_is(rs, f->one[i].tag)))
				i++;
			if (i == b->n)
				continue;
		}
		if (rs->status == IMAP_BAD) {
			imap_no(rs, ERR_ACCOUNT, e, "APPEND");
			e->retry = true;
			return -1;
		}
		if (f->multi)
			answered(a, f, b->items, b->n, rs);
		else
			answered(a, f, &b->items[i], 1, rs);
		return 0;
	}
	return err_retry(e, ERR_ACCOUNT, "the server broke the protocol: an "
	    "answer to nothing");
}

/* Sending. */

static int
put(struct imap_appender *a, const void *p, size_t n, struct err *e)
{
	return imap_stream_write(a->s->st, p, n, e);
}

/*
 * Waits until the server asks for the literal of the command tag: 1, or 0 when
 * it refused the command instead (*rs).  Answers to older commands that come
 * first are taken.
 */
static int
await_go(struct imap_appender *a, unsigned tag, struct imap_response *rs,
    struct err *e)
{
	if (imap_flush(a->s, e) == -1)
		return -1;
	imap_stream_limits(a->s->st, IMAP_ANSWER_S, IMAP_ANSWER_S);
	for (;;) {
		if (imap_response(a->s, rs, e) == -1)
			return -1;
		if (rs->kind == IMAP_CONTINUE)
			return 1;
		if (rs->kind != IMAP_TAGGED)
			continue;
		if (imap_tag_is(rs, tag))
			return 0;
		if (dispatch(a, rs, e) == -1)
			return -1;
	}
}

static int
changed(struct store_item *it, struct err *e)
{
	err_retry(e, ERR_MESSAGE, "the message changed while it was sent");
	e->cause = CAUSE_CHANGED;
	it->err = *e;
	return -1;
}

/*
 * Sends the CRLF form of a content, exactly as announced: size and digest are
 * compared before the caller may complete the command.
 */
static int
stream(struct imap_appender *a, struct store_item *it, struct err *e)
{
	unsigned char digest[EVP_MAX_MD_SIZE];
	uint64_t left = it->size;
	struct crlf state = { false };
	ssize_t n;

	if (a->md == NULL) {
		a->md = EVP_MD_CTX_new();
		a->in = xmalloc(CHUNK);
		a->out = xmalloc(2 * CHUNK);
	}
	if (a->md == NULL || EVP_DigestInit_ex(a->md, EVP_sha256(), NULL) != 1)
		return err_set(e, ERR_RUN, "OpenSSL gives no SHA-256");
	while ((n = content_read(it->content, a->in, CHUNK, e)) > 0) {
		size_t len = crlf_convert(&state, a->in, (size_t)n, a->out);

		if (len > left)
			return changed(it, e);
		EVP_DigestUpdate(a->md, a->out, len);
		if (put(a, a->out, len, e) == -1)
			return -1;
		left -= len;
	}
	if (n == -1) {
		it->err = *e;
		return -1;
	}
	if (left != 0 || EVP_DigestFinal_ex(a->md, digest, NULL) != 1 ||
	    memcmp(digest, it->digests.strict, DIGEST_LEN) != 0)
		return changed(it, e);
	return 0;
}

/*
 * Can the mailbox hold one more keyword?  Cyrus lets clients make so many; the
 * next one is refused, or, in 3.6.1, aborts the server when the same command
 * made others before.
 */
static bool
takes_new(const struct imap_appender *a)
{
	size_t max = a->s->dialect != IMAP_CYRUS ? SIZE_MAX :
	    a->s->old_cyrus ? 128 : 100;

	return !a->no_new && a->keywords.n + a->kw_sent.n < max;
}

/* The keywords that this mailbox can hold. */
static size_t
holdable(struct imap_appender *a, struct flight *f, struct store_item *it,
    const char **kw)
{
	size_t n = 0, len = 0;

	for (size_t k = 0; k < it->nkeywords; k++) {
		const char *w = it->keywords[k];
		bool ok = imap_keyword_ok(a->s->dialect, w) &&
		    (len += strlen(w) + 1) < KEYWORDS_MAX;

		if (ok && !imap_words_has(&a->keywords, w)) {
			if (a->no_new)
				ok = false;
			else if (!imap_words_has(&a->kw_sent, w)) {
				ok = takes_new(a);
				if (ok)
					imap_words_add(&a->kw_sent, w);
			}
			f->new_kw |= ok;
		}
		if (ok)
			kw[n++] = w;
		else
			it->changes |= CHANGE_KEYWORDS;
	}
	return n;
}

#define ALL_FLAGS (MSG_SEEN | MSG_ANSWERED | MSG_FLAGGED | MSG_DELETED | \
	MSG_DRAFT)

/* " (flags) "date" {n}": *sync says which kind of literal it got. */
static void
add_head(struct imap_appender *a, struct store_item *it, struct buf *out,
    const char **kw, size_t nkw, bool *sync)
{
	unsigned caps = a->s->caps, flags = it->flags & ALL_FLAGS;

	*sync = !a->tried || it->size > IMAP_BIG ||
	    (flags & ~a->flags_tried) != 0 || !(caps & CAP_LITERAL_PLUS ||
	    (caps & CAP_LITERAL_MINUS && it->size <= LITERAL_MINUS));
	for (size_t k = 0; k < nkw && !*sync; k++)
		*sync = !imap_words_has(&a->kw_tried, kw[k]);
	buf_addc(out, ' ');
	if (flags != 0 || nkw > 0) {
		buf_addc(out, '(');
		imap_flag_names(out, flags, kw, nkw);
		buf_adds(out, ") ");
	}
	if (it->date != NO_DATE) {
		int64_t d = imap_clamp_date(it->date, (int64_t)time(NULL));

		if (d != it->date)
			it->changes |= CHANGE_DATE;
		imap_add_date(out, d);
		buf_addc(out, ' ');
	}
	buf_addf(out, "{%llu%s}\r\n", (unsigned long long)it->size, *sync ?
	    "" : "+");
	assert(!out->full);
}

/*
 * Sends one message: head (with what stands before it) and literal.  1 sent,
 * 0 the server refused the command instead (*rs), -1.
 */
static int
send_message(struct imap_appender *a, struct flight *f,
    struct store_item *it, unsigned tag, struct buf *head,
    struct imap_response *rs, struct err *e)
{
	const char **kw = xcalloc(it->nkeywords + 1, sizeof *kw);
	size_t nkw = holdable(a, f, it, kw);
	bool sync;
	int rc = -1;

	add_head(a, it, head, kw, nkw, &sync);
	if (put(a, head->ptr, head->len, e) == -1)
		goto out;
	if (sync) {
		if ((rc = await_go(a, tag, rs, e)) != 1)
			goto out;
		rc = -1;
		a->tried = true;
		a->flags_tried |= it->flags & ALL_FLAGS;
		for (size_t k = 0; k < nkw; k++)
			imap_words_add(&a->kw_tried, kw[k]);
	}
	/* While it commits what came before, a server reads nothing. */
	imap_stream_limits(a->s->st, f->multi && flight_of(a->head) == f ?
	    a->s->timeout_s : IMAP_ANSWER_S, IMAP_ANSWER_S);
	if ((it->bytes != NULL ? put(a, it->bytes, (size_t)it->size, e) :
	    stream(a, it, e)) == 0)
		rc = 1;
out:
	free(kw);
	return rc;
}

/* Messages that no server stores, or that this one has said it does not. */
static bool
sendable(struct imap_appender *a, struct flight *f, struct store_item *it)
{
	struct err e;

	if (it->size == 0)
		err_set(&e, ERR_MESSAGE, "it has no byte at all, which IMAP "
		    "servers do not store");
	else if (it->size > a->s->appendlimit)
		err_set(&e, ERR_MESSAGE, "%llu bytes are more than the server "
		    "takes (APPENDLIMIT %llu)", (unsigned long long)it->size,
		    (unsigned long long)a->s->appendlimit);
	else
		return true;
	settle(f, it, STORE_REFUSED, &e);
	return false;
}

/* The CRLF that makes the server store.  *crlf is set before it can go. */
static int
complete(struct imap_appender *a, bool *crlf, struct err *e)
{
	fault_point("append.before_crlf");
	*crlf = true;
	return put(a, "\r\n", 2, e);
}

/*
 * Takes the answers to everything that is complete, before the connection is
 * given up in the middle of what is not: they would be doubtful without need.
 */
static void
take_answers(struct imap_appender *a)
{
	struct imap_response rs;
	struct err e;

	if (a->dead || a->s->dead || imap_flush(a->s, &e) == -1)
		return;
	imap_stream_limits(a->s->st, IMAP_ANSWER_S, IMAP_ANSWER_S);
	for (;;) {
		bool some = false;

		for (struct store_batch *b = a->head; b != NULL && !some;
		    b = b->next) {
			struct flight *f = flight_of(b);

			for (size_t i = 0; i < b->n && !some; i++)
				some = b->items[i].result == STORE_PENDING &&
				    (f->multi ? f->crlf : f->one[i].crlf);
		}
		if (!some || imap_response(a->s, &rs, &e) == -1)
			return;
		if (rs.kind == IMAP_CONTINUE || (rs.kind == IMAP_TAGGED &&
		    dispatch(a, &rs, &e) == -1))
			return;
	}
}

/*
 * The session had to end before anything could be stored, because of it: this
 * item keeps its own reason.
 */
static int
spoilt(struct imap_appender *a, struct flight *f, struct store_item *it,
    struct err *e)
{
	if (it->err.scope != ERR_NONE) {
		struct err own = it->err;

		take_answers(a);
		settle(f, it, STORE_NOT_SENT, &own);
		err_retry(e, ERR_ACCOUNT, "connection given up in the middle "
		    "of a message: %.300s", own.text);
	}
	return die(a, e);
}

/* An early answer is final for the command. */
static int
early(struct imap_appender *a, struct flight *f, struct store_item *items,
    size_t n, const struct imap_response *rs, struct err *e)
{
	if (rs->status == IMAP_NO) {
		answered(a, f, items, n, rs);
		return 0;
	}
	/* BAD (or an OK to half a command): no literal of it was sent, so
	 * nothing ran and nothing is stored; but the server and we do not
	 * agree on what a command is. */
	imap_no(rs, ERR_MESSAGE, e, "APPEND");
	for (size_t i = 0; i < n; i++)
		settle(f, &items[i], n > 1 ? STORE_SPLIT : STORE_REFUSED, e);
	e->scope = ERR_ACCOUNT;
	e->retry = true;
	return die(a, e);
}

static int
submit_multi(struct imap_appender *a, struct store_batch *b, struct err *e)
{
	struct flight *f = flight_of(b);
	struct imap_response rs;
	struct buf head;
	int rc = 0;

	buf_init(&head, 1 << 15);
	f->tag = ++a->s->tag;
	buf_addf(&head, "m%u APPEND %s", f->tag, a->mailbox.ptr);
	for (size_t i = 0; i < b->n; i++) {
		struct store_item *it = &b->items[i];

		if (!sendable(a, f, it))
			continue;
		rc = send_message(a, f, it, f->tag, &head, &rs, e);
		if (rc == -1) {
			spoilt(a, f, it, e);
			goto out;
		}
		if (rc == 0) {
			rc = early(a, f, b->items, b->n, &rs, e);
			goto out;
		}
		buf_reset(&head);
	}
	if (f->open == 0) {
		rc = 0;		/* nothing was sent */
		goto out;
	}
	/* The literals travel while the intent becomes durable. */
	rc = imap_flush(a->s, e);
	if (rc == 0 && (rc = b->commit(b, e)) == -1)
		take_answers(a);
	if (rc == 0)
		rc = complete(a, &f->crlf, e);
	if (rc == 0)
		rc = imap_flush(a->s, e);
	if (rc == -1)
		die(a, e);
	else
		fault_point("append.after_crlf");
out:
	buf_release(&head);
	return rc == -1 ? -1 : 0;
}

static int
submit_singles(struct imap_appender *a, struct store_batch *b, struct err *e)
{
	struct flight *f = flight_of(b);
	struct imap_response rs;
	struct buf head;
	bool committed = false;
	int rc = 0;

	buf_init(&head, 1 << 15);
	for (size_t i = 0; i < b->n && rc != -1; i++) {
		struct store_item *it = &b->items[i];

		if (!sendable(a, f, it))
			continue;
		buf_reset(&head);
		f->one[i].tag = ++a->s->tag;
		buf_addf(&head, "m%u APPEND %s", a->s->tag, a->mailbox.ptr);
		rc = send_message(a, f, it, a->s->tag, &head, &rs, e);
		if (rc == -1) {
			spoilt(a, f, it, e);
			break;
		}
		if (rc == 0) {
			rc = early(a, f, it, 1, &rs, e);
			continue;
		}
		rc = 0;
		if (!committed) {
			rc = imap_flush(a->s, e);
			if (rc == 0)
				rc = b->commit(b, e);
			committed = true;
		}
		if (rc == 0)
			rc = complete(a, &f->one[i].crlf, e);
		if (rc == -1)
			die(a, e);
	}
	if (rc == 0 && (rc = imap_flush(a->s, e)) == -1)
		die(a, e);
	if (rc == 0)
		fault_point("append.after_crlf");
	buf_release(&head);
	return rc == -1 ? -1 : 0;
}

int
imap_append_submit(struct imap_appender *a, struct store_batch *b,
    struct err *e)
{
	struct flight *f;
	int rc;

	f = xcalloc(1, sizeof *f + b->n * sizeof f->one[0]);
	f->open = b->n;
	f->multi = a->s->caps & CAP_MULTIAPPEND;
	b->priv = f;
	b->next = NULL;
	*a->tail = b;
	a->tail = &b->next;
	if (a->dead || a->s->dead) {
		if (!a->dead) {
			err_retry(e, ERR_ACCOUNT, "the session is over");
			die(a, e);
		}
		for (size_t i = 0; i < b->n; i++)
			settle(f, &b->items[i], STORE_NOT_SENT, &a->why);
		f->complete = true;
		*e = a->why;
		return -1;
	}
	rc = f->multi ? submit_multi(a, b, e) : submit_singles(a, b, e);
	f->complete = true;
	return rc;
}

int
imap_append_reap(struct imap_appender *a, bool wait, struct store_batch **bp)
{
	struct imap_response rs;
	struct err e;

	if (!a->dead)
		imap_stream_limits(a->s->st, IMAP_ANSWER_S, IMAP_ANSWER_S);
	for (;;) {
		struct store_batch *b = a->head;
		struct flight *f;

		if (b == NULL)
			return 0;
		f = flight_of(b);
		if (f->open == 0 && f->complete) {
			a->head = b->next;
			if (a->head == NULL)
				a->tail = &a->head;
			b->next = NULL;
			b->priv = NULL;
			free(f);
			*bp = b;
			return 1;
		}
		assert(!a->dead);
		if (!wait && !imap_stream_readable(a->s->st))
			return 0;
		err_clear(&e);
		if (imap_response(a->s, &rs, &e) == -1)
			die(a, &e);
		else if (rs.kind == IMAP_CONTINUE) {
			imap_protocol(&a->s->r, "a continuation that nothing "
			    "asked for", &e);
			die(a, &e);
		} else if (rs.kind == IMAP_TAGGED) {
			imap_stream_limits(a->s->st, IMAP_ANSWER_S,
			    IMAP_ANSWER_S);
			if (dispatch(a, &rs, &e) == -1)
				die(a, &e);
		}
	}
}
