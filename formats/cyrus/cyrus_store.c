/*
 * Batches of messages: APPLY MESSAGE brings the bytes, APPLY MAILBOX makes
 * messages of them.
 *
 *	1  MESSAGE is sent; Cyrus writes and syncs the files	(submit)
 *	2  its answer is read, the intent is durable (commit),
 *	   MAILBOX is sent with the UIDs, for a mailbox that has
 *	   not changed since it was looked at (SINCE_MODSEQ)	(push)
 *	3  its answer is read: all of it is stored, or nothing	(finish)
 *
 * The next batch's files travel while Cyrus works on the last MAILBOX.  What
 * is staged stays until RESTART, so a MAILBOX that came too late (flags were
 * changed, mail came in) is sent anew without the files.
 *
 * A UID that is taken already cannot be had.  Before the first batch into an
 * open mailbox is stored, mail that came in may be our own, stored late by a
 * connection that broke: then it has to be looked at first.
 *
 * Everything that ends sync_server, or that it takes although it is wrong, is
 * refused here.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/fault.h"
#include "base/xmalloc.h"
#include "crlf.h"
#include "cyrus/cyrus_impl.h"
#include "imap/imap_trouble.h"

#define CHUNK		((size_t)64 << 10)
#define LINE_MAX_BYTES	((size_t)4 << 20)	/* of one APPLY MAILBOX */
#define STAGED_MAX	1000	/* files that may lie about */
#define CHANGES_MAX	50	/* by others, in the course of one batch */
#define DATE_MAX	INT64_C(4294967295)

enum stage {
	SENT,		/* MESSAGE has no answer yet */
	STAGED,		/* Cyrus has the files */
	ASKED,		/* MAILBOX has no answer yet */
	ENDED
};

/* A batch on its way (store_batch.priv). */
struct flight {
	enum stage	 stage;
	bool		 new_kw;	/* it makes keywords */
	unsigned	 changes;	/* by others, so far */
	uint32_t	 last_uid;	/* of the mailbox, once it is stored */
	uint64_t	 modseq;
};

static struct flight *
flight_of(struct store_batch *b)
{
	return b->priv;
}

static void
settle(struct store_item *it, enum store_result r, const struct err *e)
{
	if (it->result != STORE_PENDING)
		return;
	it->result = r;
	it->uid = r == STORE_DONE ? it->uid : 0;
	if (e != NULL)
		it->err = *e;
}

static void
end_batch(struct store_batch *b, enum store_result r, const struct err *e)
{
	for (size_t i = 0; i < b->n; i++)
		settle(&b->items[i], r, e);
	flight_of(b)->stage = ENDED;
}

static size_t
pending(const struct store_batch *b)
{
	size_t n = 0;

	for (size_t i = 0; i < b->n; i++)
		n += b->items[i].result == STORE_PENDING;
	return n;
}

/*
 * The connection is over.  Which message it was that ended sync_server is not
 * known, so even what only had its files sent is in doubt: what is in doubt
 * goes alone the next time.
 */
static int
lost(struct cyrus_target *c, struct err *e)
{
	sync_dead(c->c.y, e);
	for (struct store_batch *b = c->head; b != NULL; b = b->next)
		end_batch(b, e->cause == CAUSE_CANCELLED &&
		    flight_of(b)->stage != ASKED ? STORE_NOT_SENT :
		    STORE_UNKNOWN, e);
	return -1;
}

/* What Cyrus would not survive, or should not have. */
static void
check_items(struct store_batch *b)
{
	struct err e;

	for (size_t i = 0; i < b->n; i++) {
		struct store_item *it = &b->items[i];
		bool nul = it->bytes != NULL ? memchr(it->bytes, '\0',
		    (size_t)it->size) != NULL : it->meta->oddities & ODD_NUL;

		if (it->size == 0)
			err_set(&e, ERR_MESSAGE, "it has no byte at all, which "
			    "Cyrus cannot hold");
		else if (it->size > INT32_MAX)
			err_set(&e, ERR_MESSAGE, "%" PRIu64 " bytes are more "
			    "than Cyrus can hold", it->size);
		else if (nul)
			err_set(&e, ERR_MESSAGE, "it has NUL bytes, which IMAP "
			    "clients cannot read (--repair makes blanks of "
			    "them)");
		else
			continue;
		settle(it, STORE_REFUSED, &e);
	}
}

/* Sending files. */

static int
changed(struct store_item *it, struct err *e)
{
	err_retry(e, ERR_MESSAGE, "the message changed while it was sent");
	e->cause = CAUSE_CHANGED;
	it->err = *e;
	return -1;
}

/* The CRLF form of a content, exactly as announced.  -1 with it->err: the
 * source's fault, in the middle of a file. */
static int
stream(struct cyrus_target *c, struct store_item *it, struct err *e)
{
	unsigned char digest[EVP_MAX_MD_SIZE];
	struct crlf state = { false };
	uint64_t left = it->size;
	ssize_t n;

	if (c->md == NULL) {
		c->md = EVP_MD_CTX_new();
		c->in = xmalloc(CHUNK);
		c->out = xmalloc(2 * CHUNK);
	}
	if (c->md == NULL || EVP_DigestInit_ex(c->md, EVP_sha256(), NULL) != 1)
		return err_set(e, ERR_RUN, "OpenSSL gives no SHA-256");
	while ((n = content_read(it->content, c->in, CHUNK, e)) > 0) {
		size_t len = crlf_convert(&state, c->in, (size_t)n, c->out);

		if (len > left)
			return changed(it, e);
		EVP_DigestUpdate(c->md, c->out, len);
		if (sync_put(c->c.y, c->out, len, e) == -1)
			return -1;
		left -= len;
	}
	if (n == -1) {
		it->err = *e;
		return -1;
	}
	if (left != 0 || EVP_DigestFinal_ex(c->md, digest, NULL) != 1 ||
	    memcmp(digest, it->digests.strict, DIGEST_LEN) != 0)
		return changed(it, e);
	return 0;
}

/* The GUID: of what is really sent. */
static void
sha1_of(const struct store_item *it, unsigned char out[SHA1_LEN])
{
	unsigned n;

	if (it->bytes != NULL)
		EVP_Digest(it->bytes, (size_t)it->size, out, &n, EVP_sha1(),
		    NULL);
	else
		memcpy(out, it->digests.sha1, SHA1_LEN);
}

static int
send_file(struct cyrus_target *c, struct store_item *it, bool first,
    struct err *e)
{
	unsigned char sha1[SHA1_LEN];
	struct buf head;
	int rc;

	sha1_of(it, sha1);
	buf_init(&head, 400);
	buf_addf(&head, "%s%%{%s ", first ? " MESSAGE (" : " ",
	    c->box.partition);
	for (size_t i = 0; i < SHA1_LEN; i++)
		buf_addf(&head, "%02x", sha1[i]);
	buf_addf(&head, " %" PRIu64 "}\r\n", it->size);
	rc = sync_put(c->c.y, head.ptr, head.len, e);
	buf_release(&head);
	if (rc == -1)
		return -1;
	return it->bytes != NULL ? sync_put(c->c.y, it->bytes,
	    (size_t)it->size, e) : stream(c, it, e);
}

/* MAILBOX was answered with OK. */
static void
take_stored(struct cyrus_target *c, struct store_batch *b)
{
	const struct flight *f = flight_of(b);

	c->box.messages += pending(b);
	c->box.last_uid = c->box.recent_uid = f->last_uid;
	c->box.modseq = f->modseq;
	c->stored = true;
	end_batch(b, STORE_DONE, NULL);
}

/*
 * In the middle of a file there is no way back: the connection ends, and
 * nothing of this batch can have been stored.  The answer to the one before is
 * taken, which would be doubtful without need.
 */
static int
spoilt(struct cyrus_target *c, struct store_batch *b, struct store_item *it,
    struct err *e)
{
	struct err own = it->err, ignored;
	struct sync_reply r;

	end_batch(b, STORE_NOT_SENT, &own);
	for (struct store_batch *o = c->head; o != b; o = o->next)
		if (flight_of(o)->stage == ASKED && sync_answer(c->c.y, NULL,
		    NULL, &r, &ignored) == 1)
			take_stored(c, o);
	if (!c->c.y->dead) {
		err_retry(e, ERR_ACCOUNT, "connection given up in the middle "
		    "of a message: %.300s", own.text);
		sync_give_up(c->c.y, e);
	}
	return -1;
}

static int
send_files(struct cyrus_target *c, struct store_batch *b, struct err *e)
{
	bool first = true;

	if (sync_begin(c->c.y, "APPLY", e) == -1)
		return lost(c, e);
	for (size_t i = 0; i < b->n; i++) {
		struct store_item *it = &b->items[i];

		if (it->result != STORE_PENDING)
			continue;
		if (send_file(c, it, first, e) == -1) {
			if (it->err.scope != ERR_NONE)
				spoilt(c, b, it, e);
			return lost(c, e);
		}
		first = false;
		c->staged++;
	}
	if (sync_put(c->c.y, ")", 1, e) == -1 || sync_end(c->c.y, e) == -1)
		return lost(c, e);
	flight_of(b)->stage = SENT;
	fault_point("cyrus.files");
	return 0;
}

/* What a NO means for a batch of which nothing is stored. */
static void
refused(struct store_batch *b, const struct sync_reply *r, const char *what)
{
	size_t n = pending(b);
	struct err e;

	sync_no(r, ERR_MESSAGE, &e, "%s", what);
	switch (imap_trouble("", r->text)) {
	case IMAP_DISK_FULL:
	case IMAP_STORE_FAILS:
		e.cause = CAUSE_DISK;
		e.retry = true;
		break;
	case IMAP_OVER_QUOTA:
		e.cause = CAUSE_QUOTA;
		e.scope = ERR_ACCOUNT;
		break;
	case IMAP_BUSY:
		e.retry = true;
		break;
	case IMAP_NO_TROUBLE:
		/* "Unknown error" is a full disk as well. */
		e.retry = r->code[0] == '\0' && strcmp(r->text,
		    "Unknown error") == 0;
		break;
	}
	if (n > 1)
		end_batch(b, STORE_SPLIT, &e);
	else
		end_batch(b, e.scope == ERR_ACCOUNT ? STORE_NOT_SENT :
		    STORE_REFUSED, &e);
}

/* The answer to MESSAGE. */
static int
take_staged(struct cyrus_target *c, struct store_batch *b, struct err *e)
{
	struct sync_reply r;
	int rc = sync_answer(c->c.y, NULL, NULL, &r, e);

	if (rc == -1)
		return lost(c, e);
	if (rc == 0 && r.bad) {
		/* It gave up in the middle, and takes what is left of the
		 * messages for commands: no word more. */
		cyrus_no_room(&r, e);
		end_batch(b, STORE_NOT_SENT, e);
		sync_give_up(c->c.y, e);
		return lost(c, e);
	}
	if (rc == 0)
		refused(b, &r, "APPLY MESSAGE");
	else
		flight_of(b)->stage = STAGED;
	return 0;
}

/* The bytes of a batch whose messages have lines that could do harm; 0: they
 * have none. */
static uint64_t
harmful(const struct cyrus_target *c, const struct store_batch *b)
{
	uint64_t sum = 0;
	bool any = false;

	for (size_t i = 0; i < b->n; i++) {
		const struct store_item *it = &b->items[i];

		if (it->result != STORE_PENDING)
			continue;
		sum += it->size;
		any = any || it->bytes == NULL || cyrus_has_commands(it->bytes,
		    (size_t)it->size, c->c.file == NULL);
	}
	return any ? sum : 0;
}

/* Making messages. */

/* The keywords that the mailbox can hold. */
static void
choose_keywords(struct cyrus_target *c, struct flight *f,
    struct store_item *it, struct cyrus_record *r)
{
	r->nkw = 0;
	for (size_t k = 0; k < it->nkeywords; k++) {
		const char *w = it->keywords[k];
		bool ok = imap_keyword_ok(IMAP_CYRUS, w) &&
		    r->nkw < CYRUS_KEYWORDS;

		if (ok && !imap_words_has(&c->keywords, w)) {
			ok = !c->no_new && c->keywords.n < CYRUS_KEYWORDS;
			if (ok)
				imap_words_add(&c->keywords, w);
			f->new_kw |= ok;
		}
		if (ok)
			r->kw[r->nkw++] = w;
		else
			it->changes |= CHANGE_KEYWORDS;
	}
}

static int64_t
date_for(struct store_item *it)
{
	int64_t d = it->date;

	if (d == NO_DATE)
		return (int64_t)time(NULL);
	/* 0 would become the time of now. */
	if (d < 1)
		d = 1;
	if (d > DATE_MAX)
		d = DATE_MAX;
	if (d != it->date)
		it->changes |= CHANGE_DATE;
	return d;
}

#define ALL_FLAGS (MSG_SEEN | MSG_ANSWERED | MSG_FLAGGED | MSG_DELETED | \
	MSG_DRAFT)

/* The line for a batch; -1: it cannot be had, the batch is ended. */
static int
make_line(struct cyrus_target *c, struct store_batch *b, struct buf *line)
{
	struct flight *f = flight_of(b);
	struct cyrus_box box = c->box;	/* its buffers are borrowed */
	struct cyrus_record r;
	uint64_t now = (uint64_t)time(NULL);
	uint32_t last = c->box.last_uid;
	bool first = true;
	struct err e;
	struct buf records;

	cyrus_record_init(&r);
	buf_init(&records, LINE_MAX_BYTES);
	b->uidnext = last + 1;
	f->new_kw = false;
	f->modseq = c->box.modseq;
	for (size_t i = 0; i < b->n; i++) {
		struct store_item *it = &b->items[i];

		if (it->result != STORE_PENDING)
			continue;
		it->changes = 0;
		if (last >= UINT32_MAX - 1) {
			err_set(&e, ERR_MAILBOX, "the mailbox has no UIDs "
			    "left");
			end_batch(b, STORE_NOT_SENT, &e);
			break;
		}
		r.uid = it->want_uid > last && it->want_uid < UINT32_MAX ?
		    it->want_uid : last + 1;
		if (it->want_uid != 0 && it->want_uid != r.uid)
			it->changes |= CHANGE_UID;
		r.modseq = ++f->modseq;
		r.last_updated = now;
		r.flags = it->flags & ALL_FLAGS;
		r.date = date_for(it);
		r.size = it->size;
		sha1_of(it, r.sha1);
		choose_keywords(c, f, it, &r);
		cyrus_record_put(&records, &r, first);
		it->uid = last = r.uid;
		first = false;
	}
	if (last > INT32_MAX && c->box.last_uid <= INT32_MAX)
		target_warn(&c->t, c->box.name.ptr, "uid", "UIDs above %d: "
		    "Cyrus keeps them, but SEARCH there does not find them",
		    INT32_MAX);
	f->last_uid = box.last_uid = box.recent_uid = last;
	box.modseq = f->modseq;
	box.append_time = now;
	cyrus_box_put(line, &box, c->box.modseq);
	buf_add(line, records.ptr, records.len);
	buf_adds(line, "))");
	if (f->stage != ENDED && (line->full || records.full)) {
		err_set(&e, ERR_MESSAGE, "its keywords are too many and too "
		    "long");
		end_batch(b, pending(b) > 1 ? STORE_SPLIT : STORE_REFUSED,
		    &e);
	}
	buf_release(&records);
	cyrus_record_release(&r);
	return f->stage == ENDED ? -1 : 0;
}

static int
send_box(struct cyrus_target *c, struct store_batch *b, struct err *e)
{
	struct buf line;
	int rc = 0;

	buf_init(&line, 2 * LINE_MAX_BYTES);
	if (make_line(c, b, &line) == 0) {
		fault_point("cyrus.before_box");
		/* From here on it may be stored. */
		flight_of(b)->stage = ASKED;
		if (sync_begin(c->c.y, "APPLY ", e) == -1 ||
		    sync_put(c->c.y, line.ptr, line.len, e) == -1 ||
		    sync_end(c->c.y, e) == -1)
			rc = lost(c, e);
		else
			fault_point("cyrus.after_box");
	}
	buf_release(&line);
	return rc;
}

/* As far as MAILBOX being sent. */
static int
push(struct cyrus_target *c, struct store_batch *b, struct err *e)
{
	struct flight *f = flight_of(b);

	if (f->stage == SENT && take_staged(c, b, e) == -1)
		return -1;
	if (f->stage != STAGED)
		return 0;
	if (b->commit != NULL && b->commit(b, e) == -1) {
		end_batch(b, STORE_NOT_SENT, e);
		return -1;
	}
	return send_box(c, b, e);
}

/* Answers to files of later batches, so that something else can be asked. */
static int
take_later(struct cyrus_target *c, struct store_batch *b, struct err *e)
{
	for (b = b->next; b != NULL; b = b->next)
		if (flight_of(b)->stage == SENT &&
		    take_staged(c, b, e) == -1)
			return -1;
	return 0;
}

/*
 * The mailbox is not as it was: how is it now?  1: the batch may go again.
 * 0: the batch is ended.
 */
static int
look_again(struct cyrus_target *c, struct store_batch *b, struct err *e)
{
	struct cyrus_box now;
	struct err why;
	int rc;

	if (take_later(c, b, e) == -1)
		return -1;
	cyrus_box_init(&now);
	rc = cyrus_box_get(c->c.y, c->box.name.ptr, c->c.names.user, false,
	    NULL, NULL, &now, e);
	if (rc == -1 && c->c.y->dead)
		lost(c, e);
	else if (rc == -1)
		end_batch(b, STORE_NOT_SENT, e);
	if (rc != 1 || strcmp(now.uniqueid, c->box.uniqueid) != 0 ||
	    now.uidvalidity != c->box.uidvalidity ||
	    now.last_uid < c->box.last_uid) {
		err_retry(&why, ERR_MAILBOX, "the target mailbox was made "
		    "anew while it was filled");
		end_batch(b, STORE_NOT_SENT, &why);
	} else if (!c->stored && now.last_uid != c->box.last_uid) {
		err_retry(&why, ERR_MAILBOX, "mail came into the target "
		    "mailbox: it has to be looked at");
		end_batch(b, STORE_NOT_SENT, &why);
	} else if (++flight_of(b)->changes > CHANGES_MAX) {
		err_retry(&why, ERR_MAILBOX, "the target mailbox changes all "
		    "the time");
		end_batch(b, STORE_NOT_SENT, &why);
	} else {
		struct cyrus_box old = c->box;

		now.messages = old.messages;
		c->box = now;
		now = old;
	}
	cyrus_box_release(&now);
	return rc == -1 && c->c.y->dead ? -1 :
	    flight_of(b)->stage != ENDED;
}

static void
pause_ms(long ms)
{
	nanosleep(&(struct timespec){ ms / 1000, ms % 1000 * 1000000 }, NULL);
}

/* MAILBOX was refused.  1: to be sent again; 0: the batch is ended. */
static int
box_refused(struct cyrus_target *c, struct store_batch *b,
    const struct sync_reply *r, struct err *e)
{
	struct flight *f = flight_of(b);
	struct err why;

	if (strcmp(r->code, "IMAP_SYNC_CHANGED") == 0)
		return look_again(c, b, e);
	if (strcmp(r->code, "IMAP_MAILBOX_LOCKED") == 0 &&
	    ++f->changes < CHANGES_MAX) {
		pause_ms(100);
		return look_again(c, b, e);
	}
	if (strcmp(r->code, "IMAP_SYNC_CHECKSUM") == 0 ||
	    strcmp(r->code, "IMAP_MAILBOX_MOVED") == 0 ||
	    strcmp(r->code, "IMAP_MAILBOX_LOCKED") == 0 ||
	    strcmp(r->code, "IMAP_MAILBOX_NONEXISTENT") == 0) {
		sync_no(r, ERR_MAILBOX, &why, "store into %.100s",
		    c->box.name.ptr);
		why.retry = true;
		end_batch(b, STORE_NOT_SENT, &why);
		return 0;
	}
	if (f->new_kw && !c->no_new && (r->bad || strcmp(r->code,
	    "IMAP_PROTOCOL_ERROR") == 0)) {
		/* Most likely the mailbox has no room for another keyword:
		 * from now on without. */
		c->no_new = true;
		imap_words_release(&c->keywords);
		err_retry(&why, ERR_MAILBOX, "the target mailbox takes no "
		    "more keywords");
		end_batch(b, STORE_NOT_SENT, &why);
		return 0;
	}
	refused(b, r, "APPLY MAILBOX");
	return 0;
}

/* To the end. */
static int
finish(struct cyrus_target *c, struct store_batch *b, struct err *e)
{
	struct flight *f = flight_of(b);
	struct sync_reply r;
	int rc;

	while (f->stage != ENDED) {
		if (f->stage != ASKED && push(c, b, e) == -1)
			return -1;
		if (f->stage != ASKED)
			continue;
		rc = sync_answer(c->c.y, NULL, NULL, &r, e);
		if (rc == -1)
			return lost(c, e);
		if (rc == 0) {
			rc = box_refused(c, b, &r, e);
			if (rc == -1)
				return -1;
			if (rc == 1 && send_box(c, b, e) == -1)
				return -1;
			continue;
		}
		take_stored(c, b);
		fault_point("cyrus.answered");
	}
	return 0;
}

void
cyrus_restart(struct cyrus_target *c)
{
	struct sync_reply r;
	struct err e;

	if (c->staged > 0 && !c->c.y->dead)
		sync_run(c->c.y, "RESTART", NULL, NULL, NULL, &r, &e);
	c->staged = 0;
}

int
cyrus_submit(struct target *t, struct store_batch *b, struct err *e)
{
	struct cyrus_target *c = (struct cyrus_target *)t;
	struct store_batch *before = c->head;
	uint64_t bytes;

	b->priv = xcalloc(1, sizeof(struct flight));
	b->next = NULL;
	*c->tail = b;
	c->tail = &b->next;
	if (c->c.y->dead) {
		sync_dead(c->c.y, e);
		end_batch(b, STORE_NOT_SENT, e);
		return -1;
	}
	if (c->unmade) {
		err_retry(e, ERR_MAILBOX, "the target mailbox is not there");
		end_batch(b, STORE_NOT_SENT, e);
		return -1;
	}
	check_items(b);
	if (pending(b) == 0) {
		flight_of(b)->stage = ENDED;
		return 0;
	}
	bytes = harmful(c, b);
	/* Not yet sent: what ends the connection now says nothing of it. */
	for (; before != NULL && before != b; before = before->next) {
		int rc = c->staged > STAGED_MAX || bytes > 0 ?
		    finish(c, before, e) : push(c, before, e);

		if (rc == -1) {
			for (size_t i = 0; i < b->n; i++)
				if (b->items[i].result == STORE_UNKNOWN)
					b->items[i].result = STORE_NOT_SENT;
			end_batch(b, STORE_NOT_SENT, e);
			return -1;
		}
	}
	if (c->staged > STAGED_MAX)
		cyrus_restart(c);
	if (bytes > 0 && !fault_mutated("fence") && cyrus_fence(c, bytes,
	    e) == -1) {
		end_batch(b, STORE_NOT_SENT, e);
		return -1;
	}
	return send_files(c, b, e);
}

/* What is not on the disk for sure is in doubt. */
static void
settle_on_disk(struct cyrus_target *c, struct store_batch *b)
{
	bool stored = false;
	struct err e;

	for (size_t i = 0; i < b->n; i++)
		stored = stored || b->items[i].result == STORE_DONE;
	if (!stored || cyrus_disks_sync(c->c.disks, &e) == 0)
		return;
	for (size_t i = 0; i < b->n; i++)
		if (b->items[i].result == STORE_DONE) {
			b->items[i].result = STORE_UNKNOWN;
			b->items[i].uid = 0;
			b->items[i].err = e;
		}
	sync_give_up(c->c.y, &e);
}

int
cyrus_reap(struct target *t, bool wait, struct store_batch **bp,
    struct err *e)
{
	struct cyrus_target *c = (struct cyrus_target *)t;
	struct store_batch *b = c->head;
	struct err ignored;

	(void)e;
	if (b == NULL || (!wait && flight_of(b)->stage != ENDED))
		return 0;
	if (flight_of(b)->stage != ENDED)
		finish(c, b, &ignored);
	if (flight_of(b)->stage != ENDED)
		end_batch(b, STORE_NOT_SENT, &ignored);
	settle_on_disk(c, b);
	c->head = b->next;
	if (c->head == NULL)
		c->tail = &c->head;
	b->next = NULL;
	free(b->priv);
	b->priv = NULL;
	*bp = b;
	return 1;
}
