/*
 * Batches of messages: what has been submitted becomes one round.
 *
 *	1  B; the server's B tells its UIDNEXT: UIDs are chosen
 *	2  the intents are durable (the callers' commit)
 *	3  C for each message, with its UID, GUID, flags and keywords
 *	4  the server's R: it has none of them
 *	5  M and the body of each, by UID
 *	6  S; the server has stored them, and says S
 *
 * Killed before 5 nothing was stored.  In 5 and 6 the server stores, when it
 * finds us gone, those that it has whole.  The user's lock is held until it has
 * done so, and whoever begins a conversation with that lock finds all that
 * will ever come (TGT_PROMPT): they are told by what they hold, as everywhere.
 *
 * The server takes two messages of one GUID for one.  It compares with what
 * came since the conversation began; so a GUID that it has had before is
 * replaced by one made from it.
 */
#include <inttypes.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/fault.h"
#include "base/xmalloc.h"
#include "crlf.h"
#include "dsync/dsync_impl.h"

#define CHUNK		((size_t)32 << 10)
#define UID_LAST	UINT32_C(4294967294)
#define DATE_LAST	INT64_C(4294967295)

/* Dovecot's names for flags. */
enum {
	F_ANSWERED = 1, F_FLAGGED = 2, F_DELETED = 4, F_SEEN = 8, F_DRAFT = 16
};

/* One message of a round. */
struct piece {
	struct store_item *it;
	struct store_batch *b;
	char		 guid[DSYNC_GUID + 1];
	uint32_t	 uid;
	int64_t		 date;
	bool		 asked;		/* there was an R for it */
	bool		 sent;		/* at least some of its M */
};

struct round {
	struct dsync	*d;
	struct dsync_box *box;
	struct dsync_status st;
	struct piece	*all;		/* by UID */
	size_t		 nall;
	struct piece	*p;		/* those of the round, among them */
	size_t		 n;
	struct piece	**by_guid;
	char		*in, *crlf, *out;
};

/* GUIDs. */

bool
dsync_guids_add(struct dsync_guids *s, const char *box, const char *guid)
{
	uint64_t hash = 14695981039346656037u;
	size_t i;

	for (const char *p = box; *p != '\0'; p++)
		hash = (hash ^ (unsigned char)*p) * 1099511628211u;
	for (const char *p = guid; *p != '\0'; p++)
		hash = (hash ^ (unsigned char)*p) * 1099511628211u;
	hash += hash == 0;
	if (2 * s->n >= s->cap) {
		struct dsync_guids old = *s;

		s->cap = old.cap == 0 ? 1024 : 2 * old.cap;
		s->h = xcalloc(s->cap, sizeof *s->h);
		for (size_t k = 0; k < old.cap; k++) {
			if (old.h[k] == 0)
				continue;
			for (i = old.h[k] & (s->cap - 1); s->h[i] != 0;
			    i = (i + 1) & (s->cap - 1))
				;
			s->h[i] = old.h[k];
		}
		free(old.h);
	}
	for (i = hash & (s->cap - 1); s->h[i] != 0;
	    i = (i + 1) & (s->cap - 1))
		if (s->h[i] == hash)
			return false;
	s->h[i] = hash;
	s->n++;
	return true;
}

void
dsync_guids_release(struct dsync_guids *s)
{
	free(s->h);
	memset(s, 0, sizeof *s);
}

/* Another one, in place of one that the server has. */
static void
other_guid(struct piece *p)
{
	unsigned char sum[EVP_MAX_MD_SIZE];
	char text[200];
	int n;

	n = snprintf(text, sizeof text, "%s %" PRIu32 " ", p->guid, p->uid);
	memcpy(text + n, p->it->digests.strict, DIGEST_LEN);
	EVP_Digest(text, (size_t)n + DIGEST_LEN, sum, NULL, EVP_sha256(),
	    NULL);
	for (size_t i = 0; i < DSYNC_GUID / 2; i++)
		snprintf(p->guid + 2 * i, 3, "%02x", sum[i]);
}

/* Results. */

static void
settle(struct store_item *it, enum store_result r, const struct err *e)
{
	if (it->result != STORE_PENDING)
		return;
	it->result = r;
	if (e != NULL && it->err.scope == ERR_NONE)
		it->err = *e;
}

/* It failed: what was on its way to the server is in doubt, and nothing else
 * is, whether it was to come in this round or later. */
static void
fail(struct round *r, struct err *e)
{
	struct dsync *d = r->d;

	if (d->talk != NULL && !d->talk->dead)
		dsync_talk_give_up(d->talk, e);
	if (!d->broken)
		d->why = *e;
	d->broken = true;
	for (size_t i = 0; i < r->nall; i++)
		if (r->all[i].sent)
			settle(r->all[i].it, STORE_UNKNOWN, e);
	for (struct store_batch *b = d->first; b != NULL; b = b->next)
		for (size_t i = 0; i < b->n; i++)
			settle(&b->items[i], STORE_NOT_SENT, e);
}

/* Choosing. */

static void
choose(struct round *r, struct piece *p, uint32_t next)
{
	struct store_item *it = p->it;
	int64_t date = it->date != NO_DATE ? it->date : (int64_t)time(NULL);

	p->uid = it->want_uid >= next && it->want_uid <= UID_LAST ?
	    it->want_uid : next;
	if (it->want_uid != 0 && p->uid != it->want_uid)
		it->changes |= CHANGE_UID;
	if (date < 1)
		date = 1;
	if (date > DATE_LAST)
		date = DATE_LAST;
	if (it->date != NO_DATE && date != it->date)
		it->changes |= CHANGE_DATE;
	p->date = date;
	for (size_t i = 0; i < it->nkeywords; i++)
		if (!imap_keyword_ok(IMAP_DOVECOT, it->keywords[i]))
			it->changes |= CHANGE_KEYWORDS;
	snprintf(p->guid, sizeof p->guid, "%.32s", it->guid);
	/* Nothing but zeros would be no GUID, and end Dovecot later. */
	while (strspn(p->guid, "0") == DSYNC_GUID ||
	    !dsync_guids_add(&r->d->guids, r->box->guid, p->guid))
		other_guid(p);
}

static int
by_guid(const void *a, const void *b)
{
	return strcmp((*(struct piece *const *)a)->guid,
	    (*(struct piece *const *)b)->guid);
}

/* All that was submitted, with UIDs that ascend. */
static int
choose_all(struct round *r, struct err *e)
{
	uint32_t next = r->st.uidnext;
	size_t n = 0;

	for (struct store_batch *b = r->d->first; b != NULL; b = b->next)
		n += b->n;
	r->all = xcalloc(n + 1, sizeof *r->all);
	r->by_guid = xcalloc(n + 1, sizeof *r->by_guid);
	for (struct store_batch *b = r->d->first; b != NULL; b = b->next) {
		bool set = false;

		for (size_t i = 0; i < b->n; i++) {
			struct piece *p = &r->all[r->nall];

			if (b->items[i].result != STORE_PENDING)
				continue;
			if (!set)
				b->uidnext = next;
			set = true;
			if (next == 0 || next > UID_LAST)
				return err_set(e, ERR_MAILBOX, "the mailbox "
				    "has no UIDs left");
			p->it = &b->items[i];
			p->b = b;
			choose(r, p, next);
			next = p->uid + 1;
			r->nall++;
		}
	}
	return 0;
}

/* The intents; a batch whose is not durable is left out. */
static void
commit_all(struct round *r)
{
	size_t n = 0;
	struct err e;

	for (struct store_batch *b = r->d->first; b != NULL; b = b->next) {
		err_clear(&e);
		if (b->commit == NULL || b->commit(b, &e) == 0)
			continue;
		for (size_t i = 0; i < b->n; i++)
			settle(&b->items[i], STORE_NOT_SENT, &e);
	}
	for (size_t i = 0; i < r->nall; i++)
		if (r->all[i].it->result == STORE_PENDING)
			r->all[n++] = r->all[i];
	r->nall = n;
}

/* Sending. */

static unsigned
flags_of(const struct store_item *it)
{
	return (it->flags & MSG_ANSWERED ? F_ANSWERED : 0u) |
	    (it->flags & MSG_FLAGGED ? F_FLAGGED : 0u) |
	    (it->flags & MSG_DELETED ? F_DELETED : 0u) |
	    (it->flags & MSG_SEEN ? F_SEEN : 0u) |
	    (it->flags & MSG_DRAFT ? F_DRAFT : 0u);
}

/* "&word" each: it is added, and the message has it. */
static void
put_keywords(struct buf *out, const struct store_item *it)
{
	struct buf list;

	buf_init(&list, DSYNC_LINE_MAX);
	for (size_t i = 0; i < it->nkeywords; i++) {
		if (!imap_keyword_ok(IMAP_DOVECOT, it->keywords[i]))
			continue;
		buf_addf(&list, "%s&", list.len > 0 ? "\t" : "");
		dsync_escape(&list, it->keywords[i], strlen(it->keywords[i]));
	}
	dsync_put(out, list.len > 0 ? list.ptr : NULL);
	buf_release(&list);
}

static int
send_changes(struct round *r, struct err *e)
{
	struct dsync_talk *t = r->d->talk;

	buf_adds(&t->out, ".\n");	/* no attributes */
	for (size_t i = 0; i < r->n; i++) {
		const struct piece *p = &r->p[i];

		dsync_begin(&t->out, 'C');
		dsync_put(&t->out, "s");
		dsync_putf(&t->out, "%" PRIu32, p->uid);
		dsync_put(&t->out, p->guid);
		dsync_put(&t->out, "1");
		dsync_putf(&t->out, "%x", flags_of(p->it));
		put_keywords(&t->out, p->it);
		dsync_putf(&t->out, "%" PRIx64, (uint64_t)p->date);
		dsync_putf(&t->out, "%" PRIx64, p->it->size);
		dsync_end(&t->out);
		if (t->out.len > CHUNK && dsync_talk_send(t, e) == -1)
			return -1;
	}
	buf_adds(&t->out, ".\n");
	return dsync_talk_send(t, e) == -1 ? -1 : dsync_talk_flush(t, e);
}

/* What it lacks has to be all of it. */
static int
read_requests(struct round *r, struct err *e)
{
	struct piece key, *k = &key, **found;
	size_t asked = 0;
	const char *guid;
	int rc;

	while ((rc = dsync_talk_next(r->d->talk, 'R', e)) == 1) {
		guid = dsync_get(&r->d->talk->r, "guid");
		snprintf(key.guid, sizeof key.guid, "%.32s", guid != NULL ?
		    guid : "");
		found = bsearch(&k, r->by_guid, r->n, sizeof *r->by_guid,
		    by_guid);
		if (found != NULL && !(*found)->asked) {
			(*found)->asked = true;
			asked++;
		}
	}
	if (rc == -1 || asked == r->n)
		return rc;
	err_retry(e, ERR_MAILBOX, "the mailbox has got a message of the same "
	    "GUID as one that was to be stored");
	return dsync_talk_give_up(r->d->talk, e);
}

static int
put_body(struct round *r, struct dsync_body *s, const char *p, size_t n,
    struct err *e)
{
	while (n > 0) {
		size_t take = n < CHUNK ? n : CHUNK;
		size_t len = dsync_stuff(s, p, take, r->out);

		if (dsync_talk_write(r->d->talk, r->out, len, e) == -1)
			return -1;
		p += take;
		n -= take;
	}
	return 0;
}

/* The source gave other bytes than before: in the middle of a body there is no
 * way back. */
static int
spoilt(struct round *r, struct piece *p, const struct err *why,
    struct err *e)
{
	settle(p->it, STORE_NOT_SENT, why);
	err_retry(e, ERR_ACCOUNT, "conversation given up in the middle of a "
	    "message: %.300s", why->text);
	return dsync_talk_give_up(r->d->talk, e);
}

static int
stream_body(struct round *r, struct piece *p, struct dsync_body *s,
    struct err *e)
{
	unsigned char digest[EVP_MAX_MD_SIZE];
	EVP_MD_CTX *md = EVP_MD_CTX_new();
	struct crlf state = { false };
	uint64_t size = 0;
	struct err why;
	ssize_t n = 0;
	int rc = 0;

	err_clear(&why);
	EVP_DigestInit_ex(md, EVP_sha256(), NULL);
	while (rc == 0 && (n = content_read(p->it->content, r->in, CHUNK,
	    &why)) > 0) {
		size_t len = crlf_convert(&state, r->in, (size_t)n, r->crlf);

		size += len;
		EVP_DigestUpdate(md, r->crlf, len);
		rc = put_body(r, s, r->crlf, len, e);
	}
	EVP_DigestFinal_ex(md, digest, NULL);
	EVP_MD_CTX_free(md);
	if (rc == -1)
		return -1;
	if (n == 0 && (size != p->it->size || memcmp(digest,
	    p->it->digests.strict, DIGEST_LEN) != 0)) {
		err_retry(&why, ERR_MESSAGE, "the message changed while it "
		    "was sent");
		why.cause = CAUSE_CHANGED;
	}
	return why.scope != ERR_NONE ? spoilt(r, p, &why, e) : 0;
}

/* POP3 clients know it; what is none would break Dovecot's list. */
static bool
is_uidl(const char *s)
{
	size_t n = s != NULL ? strlen(s) : 0;

	for (size_t i = 0; i < n; i++)
		if (s[i] < 0x21 || s[i] > 0x7e)
			return false;
	return n > 0 && n <= 70;
}

static int
send_mail(struct round *r, struct piece *p, struct err *e)
{
	const struct msg_meta *m = p->it->meta;
	struct dsync_talk *t = r->d->talk;
	struct dsync_body s = { false, '\0' };
	int rc;

	dsync_begin(&t->out, 'M');
	dsync_put(&t->out, p->guid);
	dsync_putf(&t->out, "%" PRIu32, p->uid);
	dsync_put(&t->out, is_uidl(m->uidl) ? m->uidl : NULL);
	if (m->uidl_order != 0)
		dsync_putf(&t->out, "%" PRIu32, m->uidl_order);
	else
		dsync_put(&t->out, NULL);
	dsync_putf(&t->out, "%" PRId64, p->date);
	if (m->save_date > 0)
		dsync_putf(&t->out, "%" PRId64, m->save_date);
	else
		dsync_put(&t->out, NULL);
	dsync_put(&t->out, "");
	dsync_end(&t->out);
	p->sent = true;
	if (dsync_talk_send(t, e) == -1)
		return -1;
	rc = p->it->bytes != NULL ? put_body(r, &s, p->it->bytes,
	    (size_t)p->it->size, e) : stream_body(r, p, &s, e);
	if (rc == -1)
		return -1;
	return dsync_talk_write(t, DSYNC_BODY_END, sizeof DSYNC_BODY_END - 1,
	    e);
}

static int
send_all(struct round *r, struct err *e)
{
	for (size_t i = 0; i < r->n; i++)
		if (send_mail(r, &r->p[i], e) == -1)
			return -1;
	return 0;
}

/* 6: the server's answer to a round whose messages have been sent. */
static int
end_round(struct round *r, struct err *e)
{
	uint32_t last = r->p[r->n - 1].uid;
	bool moved = false;

	if (dsync_talk_stored(r->d->talk, r->box, &moved, e) == -1)
		return -1;
	fault_point("append.answered");
	if (moved)
		/* They are there, but where? */
		return err_retry(e, ERR_MAILBOX, "mail came into the mailbox "
		    "while it was written to");
	for (size_t i = 0; i < r->n; i++) {
		r->p[i].it->uid = r->p[i].uid;
		settle(r->p[i].it, STORE_DONE, NULL);
	}
	r->box->uidnext = last + 1;
	r->box->led = true;
	return 0;
}

/* One round, from behind the B, with n of them, up to its S. */
static int
begin_round(struct round *r, size_t from, size_t n, struct err *e)
{
	r->p = r->all + from;
	r->n = n;
	for (size_t i = 0; i < n; i++)
		r->by_guid[i] = &r->p[i];
	qsort(r->by_guid, n, sizeof *r->by_guid, by_guid);
	if (send_changes(r, e) == -1 || read_requests(r, e) == -1)
		return -1;
	/* From here on something may be stored. */
	fault_point("append.before_crlf");
	if (send_all(r, e) == -1 || dsync_talk_end(r->d->talk, r->box,
	    r->p[n - 1].uid, e) == -1)
		return -1;
	fault_point("append.after_crlf");
	return 0;
}

/* The first one ahead of the others: see dsync_talk.h. */
static int
lead(struct round *r, struct err *e)
{
	uint32_t next = r->all[0].uid + 1;
	int rc;

	if (begin_round(r, 0, 1, e) == -1 || end_round(r, e) == -1)
		return -1;
	rc = dsync_begin_round(r->d, &r->box, &r->st, e);
	if (rc == -1)
		return -1;
	/* The UIDs that were chosen have to be free still. */
	if (rc == 0 || r->st.uidnext != next)
		return err_retry(e, ERR_MAILBOX, "mail came into the mailbox "
		    "while it was written to");
	return 0;
}

static void
free_round(struct round **rp)
{
	struct round *r = *rp;

	*rp = NULL;
	free(r->all);
	free(r->by_guid);
	free(r->in);
	free(r->crlf);
	free(r->out);
	free(r);
}

/* Everything that was submitted and has no result goes out. */
static void
start(struct dsync *d)
{
	struct round *r = xcalloc(1, sizeof *r);
	size_t first = 0;
	struct err e;
	int rc;

	err_clear(&e);
	r->d = d;
	r->in = xmalloc(CHUNK);
	r->crlf = xmalloc(2 * CHUNK);
	r->out = xmalloc(2 * CHUNK);
	rc = dsync_begin_round(d, &r->box, &r->st, &e);
	if (rc == 0)
		rc = err_retry(&e, ERR_MAILBOX, "is gone from the target");
	if (rc == 1)
		rc = choose_all(r, &e);
	if (rc == 0) {
		commit_all(r);
		if (r->nall > 1 && !r->box->led) {
			rc = lead(r, &e);
			first = 1;
		}
	}
	if (rc == 0)
		rc = r->nall > 0 ? begin_round(r, first, r->nall - first,
		    &e) : dsync_talk_nothing(d->talk, r->box, &e);
	if (rc == -1)
		fail(r, &e);
	if (rc == 0 && r->nall > 0)
		d->flight = r;
	else
		free_round(&r);
}

static void
finish(struct dsync *d)
{
	struct err e;

	err_clear(&e);
	if (end_round(d->flight, &e) == -1)
		fail(d->flight, &e);
	free_round(&d->flight);
}

/* A batch that comes while nothing is under way goes at once; those that come
 * while the server works go together. */
int
dsync_submit(struct target *t, struct store_batch *b, struct err *e)
{
	struct dsync *d = (struct dsync *)t;

	(void)e;
	if (d->last != NULL)
		d->last->next = b;
	else
		d->first = b;
	d->last = b;
	/* Never behind one that was not stored: it would take its UIDs. */
	for (size_t i = 0; d->broken && i < b->n; i++)
		settle(&b->items[i], STORE_NOT_SENT, &d->why);
	if (!d->broken && d->flight == NULL)
		start(d);
	return 0;
}

static bool
is_pending(const struct store_batch *b)
{
	for (size_t i = 0; b != NULL && i < b->n; i++)
		if (b->items[i].result == STORE_PENDING)
			return true;
	return false;
}

int
dsync_reap(struct target *t, bool wait, struct store_batch **b,
    struct err *e)
{
	struct dsync *d = (struct dsync *)t;

	(void)e;
	if (d->first == NULL)
		return 0;
	while (is_pending(d->first)) {
		if (!wait)
			return 0;
		if (d->flight == NULL)
			start(d);
		else
			finish(d);
	}
	*b = d->first;
	d->first = (*b)->next;
	if (d->first == NULL)
		d->last = NULL;
	(*b)->next = NULL;
	/* The server has work while the caller finds more. */
	if (d->flight == NULL && is_pending(d->last))
		start(d);
	return 1;
}
