/*
 * The heart: a batch's intent is durable before anything can make the target
 * commit, and its done is written when the target has answered.
 *
 *   fill      work_send() collects messages into the open slot
 *   intent    post it to the state's writer            (submit_slot)
 *   submit    the target sends; before the final CRLF it calls commit_intent,
 *             which waits for the intent
 *   reap      results come back                        (settle_slot)
 *   done      rows, UIDs and the end of the intent in one transaction
 *
 * A refused batch of an atomic target is cut in two until the one message is
 * alone that the target does not want.
 */
#include "batch.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "account.h"
#include "base/fault.h"
#include "base/xmalloc.h"
#include "pop3_give.h"
#include "repair.h"
#include "uids.h"

#define SLOTS		4		/* window at most 3 */
#define SLOT_BYTES	((size_t)1024 * 1024)
#define SLOT_MESSAGES	200
#define TROUBLES	3	/* passing refusals in a row: the account's */
#define MEND_MAX	((size_t)16 << 20)	/* --repair, bytes */
#define HEAD_MAX	((size_t)64 * 1024)	/* of a header, for a report */

/* --repair, for one item. */
enum mending { AS_IS, TO_MEND, MENDED };

struct slot {
	struct store_batch batch;
	struct store_item *items;	/* SLOT_MESSAGES */
	struct row_intent_item *intents;
	size_t		*offsets;	/* of the kept bytes, SIZE_MAX: none */
	enum mending	*mend;
	struct msg_meta	*metas;
	struct row_intent intent;
	uint64_t	 intent_seq;
	struct arena	 arena;
	struct buf	 bytes;
	size_t		 n;
	uint64_t	 total;		/* CRLF bytes */
	struct lane	*lane;
	bool		 busy;		/* submitted */
	bool		 split;		/* refused as a whole */
};

struct pair_work {
	struct slot	 slots[SLOTS];
	struct slot	*open;		/* being filled, or NULL */
	struct pair	*pair;
	struct folder_state folder;
	struct tally	*tally;
	struct target_caps caps;
	size_t		 outstanding;
	uint32_t	 expect_uid;	/* the target's next, 0: unknown */
	bool		 keep_uids;	/* they are the source's */
	uint32_t	 uidnext;	/* above all that we stored */
	uint64_t	 uid_changes;	/* UIDs that could not be had */
	unsigned	 troubles;	/* passing refusals in a row */
	bool		 doubt;
	bool		 failed;	/* send no more */
	struct err	 err;		/* why */
	struct err	 broken;	/* at messages that are left for later;
					 * ERR_HOST: nothing worked since */
	struct changes	*suspects;	/* their rows, to be put when one does */
	struct slot	*again[SLOTS];	/* to be split or mended */
	size_t		 nagain;
};

struct pair_work *
work_new(void)
{
	struct pair_work *w = xcalloc(1, sizeof *w);

	for (size_t i = 0; i < SLOTS; i++) {
		struct slot *s = &w->slots[i];

		arena_init(&s->arena);
		buf_init(&s->bytes, SLOT_BYTES + KEEP_MAX);
		s->items = xcalloc(SLOT_MESSAGES, sizeof *s->items);
		s->intents = xcalloc(SLOT_MESSAGES, sizeof *s->intents);
		s->offsets = xcalloc(SLOT_MESSAGES, sizeof *s->offsets);
		s->metas = xcalloc(SLOT_MESSAGES, sizeof *s->metas);
		s->mend = xcalloc(SLOT_MESSAGES, sizeof *s->mend);
	}
	return w;
}

static void
slot_reset(struct slot *s)
{
	for (size_t i = 0; i < s->n; i++)
		content_close(&s->items[i].content);
	s->n = 0;
	s->total = 0;
	s->busy = false;
	arena_reset(&s->arena);
	buf_reset(&s->bytes);
}

void
work_free(struct pair_work **wp)
{
	struct pair_work *w = *wp;

	if (w == NULL)
		return;
	for (size_t i = 0; i < SLOTS; i++) {
		struct slot *s = &w->slots[i];

		slot_reset(s);
		arena_release(&s->arena);
		buf_release(&s->bytes);
		free(s->items);
		free(s->intents);
		free(s->offsets);
		free(s->metas);
		free(s->mend);
	}
	changes_free(w->suspects);
	free(w);
	*wp = NULL;
}

bool
work_take_doubt(struct lane *l, const struct pair *p)
{
	bool doubt = l->work->pair == p && l->work->doubt;

	l->work->doubt = false;
	return doubt;
}

uint32_t
work_uidnext(const struct lane *l)
{
	return l->work->expect_uid;
}

void
work_begin(struct lane *l, struct pair *p, const struct folder_state *f,
    bool keep_uids, struct tally *t)
{
	struct pair_work *w = l->work;

	assert(w->outstanding == 0);
	for (size_t i = 0; i < SLOTS; i++)
		slot_reset(&w->slots[i]);
	w->open = NULL;
	w->pair = p;
	l->lifted = atomic_load(&l->account->lifted);
	w->folder = *f;
	w->tally = t;
	w->expect_uid = w->uidnext = f->uidnext;
	w->keep_uids = keep_uids;
	w->uid_changes = 0;
	w->troubles = 0;
	w->doubt = w->failed = false;
	w->nagain = 0;
	err_clear(&w->err);
	err_clear(&w->broken);
	target_caps(l->tgt, &w->caps);
	if (w->caps.batch_messages > SLOT_MESSAGES)
		w->caps.batch_messages = SLOT_MESSAGES;
	if (w->caps.batch_bytes > SLOT_BYTES)
		w->caps.batch_bytes = SLOT_BYTES;
	if (w->caps.window > SLOTS - 1)
		w->caps.window = SLOTS - 1;
	if (w->caps.window < 1)
		w->caps.window = 1;
}

void
work_uids(const struct lane *l, struct work_uids *u)
{
	u->next = l->work->uidnext;
	u->known = l->work->expect_uid != 0;
	u->changed = l->work->uid_changes;
}

static int
work_fail(struct pair_work *w, const struct err *e)
{
	if (!w->failed)
		w->err = *e;
	w->failed = true;
	return -1;
}

static struct changes *
new_changes(struct lane *l)
{
	return changes_new(l->account->row.id, l->work->pair->id,
	    state_pass(l->run->state));
}

static int
cmp_word(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

const char *
join_words(struct arena *a, const char *const *words, size_t n)
{
	const char **sorted;
	struct buf b;
	char *s;

	if (n == 0)
		return NULL;
	sorted = xcalloc(n, sizeof *sorted);
	memcpy(sorted, words, n * sizeof *sorted);
	qsort(sorted, n, sizeof *sorted, cmp_word);
	buf_init(&b, 1 << 20);
	for (size_t i = 0; i < n; i++) {
		if (i > 0)
			buf_addc(&b, ' ');
		buf_adds(&b, sorted[i]);
	}
	s = arena_memdup0(a, b.ptr, b.len);
	buf_release(&b);
	free(sorted);
	return s;
}

/* The row of item i of a slot, as far as both sides are known. */
static struct row_message *
row_of(struct changes *c, const struct slot *s, size_t i, enum outcome out)
{
	const struct store_item *it = &s->items[i];
	const struct row_intent_item *in = &s->intents[i];
	const struct msg_meta *m = it->meta;
	struct row_message *r = changes_message(c);
	struct digests *d = arena_alloc(&c->arena, sizeof *d);

	*d = in->digests;
	r->digests = d;
	r->key = arena_memdup0(&c->arena, in->key, in->key_len);
	r->key_len = in->key_len;
	r->size = m->size;
	r->crlf_size = in->size;
	r->src_uid = m->uid;
	r->tgt_uid = it->uid;
	r->src_flags = m->flags;
	r->tgt_flags = it->flags;
	r->src_kw = join_words(&c->arena, m->keywords, m->nkeywords);
	r->tgt_kw = join_words(&c->arena, it->keywords, it->nkeywords);
	if (m->raw_flags != NULL)
		r->raw_flags = arena_strdup(&c->arena, m->raw_flags);
	if (m->guid != NULL)
		r->guid = arena_strdup(&c->arena, m->guid);
	if (m->uidl != NULL)
		r->uidl = arena_strdup(&c->arena, m->uidl);
	r->uidl_order = m->uidl_order;
	r->date = m->date;
	r->outcome = out;
	r->changes = it->changes | (it->adopted ? CHANGE_UNREAD : 0);
	r->oddities = m->oddities;
	return r;
}

/* Message-ID and Subject; of a message that is not in memory they are read
 * again, which the few that are in the report can well cost. */
static bool
brief_of(const struct store_item *it, char *id, size_t idsize, char *subject,
    size_t subsize)
{
	struct err ignored;
	struct buf head;
	ssize_t n = 1;

	if (it->bytes != NULL) {
		header_brief(it->bytes, (size_t)it->size, id, idsize, subject,
		    subsize);
		return true;
	}
	if (it->content == NULL || content_rewind(it->content, &ignored) == -1)
		return false;
	buf_init(&head, HEAD_MAX);
	while (n > 0 && buf_reserve(&head, 4096) == 0 &&
	    (n = content_read(it->content, head.ptr + head.len, 4096,
	    &ignored)) > 0)
		head.len += (size_t)n;
	header_brief(head.ptr, head.len, id, idsize, subject, subsize);
	buf_release(&head);
	return n >= 0;
}

/* An issue about item i, with Message-ID and Subject if they can be had. */
static void
issue_of(struct changes *c, const struct slot *s, size_t i, const char *kind,
    const char *reason)
{
	const struct row_intent_item *in = &s->intents[i];
	const struct store_item *it = &s->items[i];
	char id[200], subject[200];
	struct row_issue *issue;

	issue = changes_issue(c, kind, in->key, in->key_len, it->meta->where,
	    reason);
	issue->size = in->size;
	if (brief_of(it, id, sizeof id, subject, sizeof subject)) {
		issue->message_id = arena_strdup(&c->arena, id);
		issue->subject = arena_strdup(&c->arena, subject);
	}
}

static void
note_changes(struct changes *c, const struct slot *s, size_t i)
{
	const struct store_item *it = &s->items[i];

	if (it->changes & CHANGE_KEYWORDS)
		issue_of(c, s, i, "keywords", "keywords that the target cannot "
		    "hold were left out");
	if (it->meta->oddities & ODD_NO_DATE)
		issue_of(c, s, i, "date", "it has no usable date: the target "
		    "gave it the time of the copy");
	if (it->changes & CHANGE_DATE)
		issue_of(c, s, i, "date", "its date is outside of what mail "
		    "servers hold and was moved into it");
}

/* store_batch.commit: the intent is durable, or nothing may be stored. */
static int
commit_intent(struct store_batch *b, struct err *e)
{
	struct slot *s = b->ctx;
	int rc;

	rc = state_wait(s->lane->run->state, s->intent_seq, e);
	fault_point("intent.durable");
	return rc;
}

static void
post_intent(struct lane *l, struct slot *s, size_t lo, size_t n)
{
	struct pair_work *w = l->work;
	struct changes *c = new_changes(l);
	struct row_intent_item *items;
	struct row_intent *in;

	s->intent.id = intent_id_next();
	s->intent.uidvalidity = w->folder.uidvalidity;
	s->intent.uidnext = w->expect_uid;
	s->intent.modseq = w->folder.modseq;
	s->intent.atomic = (w->caps.bits & TGT_ATOMIC) != 0;
	s->intent.n = n;
	in = arena_alloc(&c->arena, sizeof *in);
	*in = s->intent;
	items = arena_alloc(&c->arena, n * sizeof *items);
	for (size_t i = 0; i < n; i++) {
		items[i] = s->intents[lo + i];
		items[i].key = arena_memdup0(&c->arena, items[i].key,
		    items[i].key_len);
		if (items[i].kw != NULL)
			items[i].kw = arena_strdup(&c->arena, items[i].kw);
	}
	in->items = items;
	c->intent = in;
	s->intent_seq = changes_post(l->run->state, &c);
	state_hurry(l->run->state, s->intent_seq);
}

/*
 * The target broke at a message that was alone: because of it, or of its disk?
 * The others go on, and tell.  When several break it one after the other that
 * nothing speaks against, it is the account's trouble, or the host's if others
 * have the same; each time that the host was blamed one more is tried, so that
 * nothing is for ever behind messages that are to blame themselves.  True: this
 * message is to be tried again later; false: it has been, and has failed.
 */
static bool
broken_at(struct pair_work *w, const struct err *why)
{
	struct pair *p = w->pair;
	struct err e = *why;

	e.at_target = true;
	if (w->failed)
		return true;
	if (e.scope > ERR_MESSAGE && ++w->troubles >= TROUBLES + p->held) {
		e.cause = CAUSE_DISK;
		if (e.scope == ERR_HOST)
			p->held++;
		else
			e.scope = ERR_ACCOUNT;
		work_fail(w, &e);
		return true;
	}
	if (w->broken.scope != ERR_HOST)
		w->broken = e;
	return p->tries + 1 < PAIR_TRIES;
}

/* A store worked: what the target broke at before is to blame itself, which the
 * state remembers. */
static void
broken_no_more(struct lane *l)
{
	struct pair_work *w = l->work;

	w->troubles = 0;
	if (w->broken.scope == ERR_HOST)
		w->broken.scope = ERR_MAILBOX;
	if (w->suspects != NULL)
		changes_post(l->run->state, &w->suspects);
}

/* All is sent but what the target broke at.  -1: again later. */
static int
broken_end(struct pair_work *w, struct err *e)
{
	struct pair *p = w->pair;

	if (w->broken.scope == ERR_NONE)
		return 0;
	*e = w->broken;
	if (e->scope == ERR_HOST && pair_blames_host(p)) {
		e->cause = CAUSE_DISK;
		return -1;
	}
	e->scope = ERR_MAILBOX;
	return p->tries + 1 < PAIR_TRIES ? -1 : 0;
}

/*
 * A refusal that is the server's trouble (a limit, a lock), not the message's.  True: the mailbox, or after several in a row the account, is
 * to be tried again later; false: it has been, so this message has failed and
 * the others go on.
 */
static bool
passing_trouble(struct pair_work *w, const struct err *why)
{
	struct err e = *why;

	e.at_target = true;
	e.scope = ++w->troubles >= TROUBLES ? ERR_ACCOUNT : ERR_MAILBOX;
	if (e.scope == ERR_MAILBOX && w->pair->tries + 1 >= PAIR_TRIES)
		return false;
	work_fail(w, &e);
	return true;
}

/* Does the stored item follow what was known of the mailbox without a gap in
 * which other mail may lie? */
static bool
follows(struct pair_work *w, const struct slot *s, const struct store_item *it,
    bool first)
{
	bool yes;

	/* A target that chose the UIDs saw what was there before. */
	if (s->batch.uidnext != 0 && w->expect_uid != 0)
		yes = !first || s->batch.uidnext == w->expect_uid;
	else
		yes = w->expect_uid != 0 && it->uid == w->expect_uid;
	if (yes)
		w->expect_uid = it->uid + 1;
	if (it->uid >= w->uidnext)
		w->uidnext = it->uid + 1;
	if (it->changes & CHANGE_UID)
		w->uid_changes++;
	return yes;
}

/*
 * What became of items lo .. lo + n - 1, committed.  *split: the batch was
 * refused as a whole and goes again in halves.  Refused messages that may be
 * mended get no row yet.
 */
static void
settle_range(struct lane *l, struct slot *s, size_t lo, size_t n, bool *split)
{
	struct pair_work *w = l->work;
	struct changes *c = new_changes(l);
	size_t unknown = 0, stored = 0;
	uint32_t last_uid = 0;
	bool expected = true;

	*split = false;
	for (size_t i = lo; i < lo + n; i++) {
		struct store_item *it = &s->items[i];

		switch (it->result) {
		case STORE_DONE:
			row_of(c, s, i, OUT_COPIED);
			note_changes(c, s, i);
			broken_no_more(l);
			w->tally->counts[OUT_COPIED]++;
			w->tally->sent++;
			c->sent++;
			c->sent_bytes += it->size;
			if (!follows(w, s, it, stored == 0))
				expected = false;
			stored++;
			last_uid = it->uid;
			break;
		case STORE_REFUSED: {
			struct row_message *r;

			if (it->err.retry && it->err.cause == CAUSE_BROKEN &&
			    broken_at(w, &it->err)) {
				if (w->suspects == NULL)
					w->suspects = new_changes(l);
				row_of(w->suspects, s, i, OUT_FAILED);
				break;
			}
			if (it->err.retry && it->err.cause != CAUSE_BROKEN &&
			    passing_trouble(w, &it->err))
				break;
			if (it->err.retry && it->err.cause != CAUSE_LIMIT) {
				row_of(c, s, i, OUT_FAILED);
				issue_of(c, s, i, "failed", it->err.text);
				w->tally->counts[OUT_FAILED]++;
				break;
			}
			if (l->run->set->repair && s->mend[i] == AS_IS) {
				s->mend[i] = TO_MEND;
				break;
			}
			r = row_of(c, s, i, OUT_REFUSED);
			r->rule = arena_strdup(&c->arena, l->refusal_rule);
			issue_of(c, s, i, "refused", it->err.text);
			w->tally->counts[OUT_REFUSED]++;
			atomic_fetch_add(&l->run->issues, 1);
			break;
		}
		case STORE_SPLIT:
			assert(n > 1);
			*split = true;
			break;
		case STORE_NOT_SENT:
			if (it->err.cause == CAUSE_CHANGED &&
			    !w->pair->stable) {
				/* The walk begins again, and meets it as it
				 * is then. */
				w->pair->stable = true;
				w->tally->counts[OUT_FAILED]++;
			} else if (it->err.cause == CAUSE_CHANGED) {
				row_of(c, s, i, OUT_FAILED);
				issue_of(c, s, i, "failed", it->err.text);
				w->tally->counts[OUT_FAILED]++;
			} else if (!w->failed) {
				struct err e = it->err;

				if (e.scope == ERR_NONE &&
				    target_broken(l->tgt, &e) == 0)
					err_retry(&e, ERR_MAILBOX,
					    "not sent");
				e.at_target = true;
				work_fail(w, &e);
			}
			break;
		case STORE_UNKNOWN:
			unknown++;
			break;
		case STORE_PENDING:
			abort();
		}
	}
	/* Only an unbroken run of UIDs moves the recorded UIDNEXT: a gap may
	 * hold mail that nobody has looked at. */
	if (stored > 0 && expected && last_uid != 0)
		c->uidnext = last_uid + 1;
	else if (stored > 0)
		w->expect_uid = 0;
	if (unknown == 0)
		c->drop_intent = s->intent.id;
	else {
		struct err e;

		w->doubt = true;
		if (target_broken(l->tgt, &e) == 0)
			err_retry(&e, ERR_ACCOUNT, "no answer to a store");
		e.at_target = true;
		work_fail(w, &e);
		if (unknown < n) {
			/* The doubt is about these only. */
			struct row_intent *in = arena_alloc(&c->arena,
			    sizeof *in);
			struct row_intent_item *items = arena_alloc(&c->arena,
			    unknown * sizeof *items);
			size_t k = 0;

			for (size_t i = lo; i < lo + n; i++)
				if (s->items[i].result == STORE_UNKNOWN) {
					items[k] = s->intents[i];
					items[k].key = arena_memdup0(&c->arena,
					    items[k].key, items[k].key_len);
					items[k].kw = items[k].kw == NULL ?
					    NULL : arena_strdup(&c->arena,
					    items[k].kw);
					k++;
				}
			*in = s->intent;
			in->id = intent_id_next();
			in->n = k;
			in->items = items;
			c->intent = in;
			c->drop_intent = s->intent.id;
		}
	}
	if (stored > 0)
		host_proved(&l->at[SIDE_TARGET]);
	atomic_fetch_add(&l->run->sent, c->sent);
	atomic_fetch_add(&l->run->sent_bytes, c->sent_bytes);
	changes_post(l->run->state, &c);
	fault_point("done.posted");
}

/* Takes one finished batch from the target. */
static int
reap_one(struct lane *l, struct err *e)
{
	struct pair_work *w = l->work;
	struct store_batch *b;
	struct slot *s;
	bool split;
	int rc;

	rc = target_reap(l->tgt, true, &b, e);
	if (rc != 1)
		return rc;
	w->outstanding--;
	s = b->ctx;
	settle_range(l, s, 0, s->n, &split);
	s->split = split;
	for (size_t i = 0; i < s->n && !split; i++)
		split = s->mend[i] == TO_MEND;
	if (split)
		w->again[w->nagain++] = s;
	else
		slot_reset(s);
	return 1;
}

static int send_halves(struct lane *, struct slot *, size_t lo, size_t n,
    struct err *);

static uint64_t
bytes_of(const struct slot *s, size_t lo, size_t n)
{
	uint64_t sum = 0;

	for (size_t i = lo; i < lo + n; i++)
		sum += s->items[i].size;
	return sum;
}

/* Sends items lo .. lo + n - 1 of a slot alone, and waits for the answer. */
static int
send_range(struct lane *l, struct slot *s, size_t lo, size_t n, struct err *e)
{
	struct pair_work *w = l->work;
	struct store_batch *b;
	bool split;
	int rc;

	if (lane_stopping(l))
		return err_retry(e, ERR_RUN, "stopping");
	for (size_t i = lo; i < lo + n; i++)
		if (s->items[i].bytes == NULL &&
		    content_rewind(s->items[i].content, e) == -1)
			return work_fail(w, e);
	lane_pace(l, SIDE_TARGET, bytes_of(s, lo, n), n);
	post_intent(l, s, lo, n);
	s->batch.items = s->items + lo;
	s->batch.n = n;
	rc = target_submit(l->tgt, &s->batch, e);
	if (rc == -1)
		work_fail(w, e);
	if (target_reap(l->tgt, true, &b, e) != 1)
		abort();	/* what was submitted comes back */
	settle_range(l, s, lo, n, &split);
	if (w->failed) {
		*e = w->err;
		return -1;
	}
	if (split)
		return send_halves(l, s, lo, n, e);
	return 0;
}

static int
send_halves(struct lane *l, struct slot *s, size_t lo, size_t n,
    struct err *e)
{
	assert(n > 1);
	if (send_range(l, s, lo, n / 2, e) == -1)
		return -1;
	return send_range(l, s, lo + n / 2, n - n / 2, e);
}

/* The CRLF form of item i in memory, in the slot's arena; false: too large or
 * not to be read. */
static bool
load_bytes(struct lane *l, struct slot *s, size_t i)
{
	struct store_item *it = &s->items[i];
	struct measured m;
	struct buf keep;
	struct err e;
	bool ok;

	if (it->bytes != NULL)
		return true;
	buf_init(&keep, MEND_MAX);
	ok = content_rewind(it->content, &e) == 0 &&
	    measure_content(l->measure, it->content, &keep, &m, &e) == 0 &&
	    !keep.full && m.size == it->size;
	if (ok)
		it->bytes = arena_memdup0(&s->arena, keep.ptr, keep.len);
	buf_release(&keep);
	return ok;
}

/*
 * --repair: a message that the target refused goes again with the smallest
 * change that helps.  The row keeps the digests of the source's message; the
 * loose one is the same for both.
 */
static int
send_mended(struct lane *l, struct slot *s, size_t i, struct err *e)
{
	struct store_item *it = &s->items[i];
	struct changes *c;
	struct buf out;
	char what[200];
	bool split, changed;
	int rc = 0;

	s->mend[i] = MENDED;
	buf_init(&out, MEND_MAX);
	changed = load_bytes(l, s, i) && repair_message(it->bytes,
	    (size_t)it->size, &out, what, sizeof what);
	if (!changed) {
		it->result = STORE_REFUSED;
		settle_range(l, s, i, 1, &split);
	} else {
		/* No link to the file, which is as it was. */
		content_close(&it->content);
		it->bytes = arena_memdup0(&s->arena, out.ptr, out.len);
		it->size = out.len;
		rc = send_range(l, s, i, 1, e);
		if (rc == 0 && it->result == STORE_DONE) {
			c = new_changes(l);
			issue_of(c, s, i, "repaired", what);
			changes_post(l->run->state, &c);
		}
	}
	buf_release(&out);
	return rc;
}

/* What was refused goes again, in halves or mended; nothing else is
 * outstanding then. */
static int
work_again(struct lane *l, struct err *e)
{
	struct pair_work *w = l->work;

	if (w->nagain == 0)
		return 0;
	while (w->outstanding > 0)
		if (reap_one(l, e) == -1)
			return work_fail(w, e);
	while (w->nagain > 0) {
		struct slot *s = w->again[--w->nagain];
		int rc = 0;

		if (!w->failed && s->split)
			rc = send_halves(l, s, 0, s->n, e);
		for (size_t i = 0; i < s->n && rc == 0 && !w->failed; i++)
			if (s->mend[i] == TO_MEND)
				rc = send_mended(l, s, i, e);
		slot_reset(s);
		if (rc == -1)
			return work_fail(w, e);
	}
	return 0;
}

static int
submit_slot(struct lane *l, struct err *e)
{
	struct pair_work *w = l->work;
	struct slot *s = w->open;

	w->open = NULL;
	for (size_t i = 0; i < s->n; i++)
		if (s->offsets[i] != SIZE_MAX)
			s->items[i].bytes = s->bytes.ptr + s->offsets[i];
	lane_pace(l, SIDE_TARGET, s->total, s->n);
	post_intent(l, s, 0, s->n);
	s->batch.items = s->items;
	s->batch.n = s->n;
	s->batch.commit = commit_intent;
	s->batch.ctx = s;
	s->lane = l;
	s->busy = true;
	w->outstanding++;
	if (target_submit(l->tgt, &s->batch, e) == -1)
		work_fail(w, e);
	/* Files that were wanted for links only are not held longer. */
	for (size_t i = 0; i < s->n; i++)
		if (s->items[i].bytes != NULL &&
		    !(w->caps.bits & TGT_KEEPS_FILES))
			content_close(&s->items[i].content);
	while (w->outstanding >= w->caps.window || w->failed) {
		int rc = reap_one(l, e);

		if (rc == -1)
			return work_fail(w, e);
		if (rc == 0)
			break;
	}
	if (!w->failed && work_again(l, e) == -1)
		return -1;
	if (w->failed) {
		*e = w->err;
		return -1;
	}
	return 0;
}

static struct slot *
free_slot(struct pair_work *w)
{
	for (size_t i = 0; i < SLOTS; i++)
		if (!w->slots[i].busy && w->slots[i].n == 0)
			return &w->slots[i];
	abort();	/* window < SLOTS */
}

static const char *const *
copy_words(struct arena *a, const char *const *words, size_t n)
{
	const char **copy;

	if (n == 0)
		return NULL;
	copy = arena_alloc(a, n * sizeof *copy);
	for (size_t i = 0; i < n; i++)
		copy[i] = arena_strdup(a, words[i]);
	return copy;
}

static const char *
copy_string(struct arena *a, const char *s)
{
	return s != NULL ? arena_strdup(a, s) : NULL;
}

/* Messages that a server may refuse go alone, so that they spoil no batch. */
static bool
is_risky(const struct measured *m)
{
	return (m->oddities & (ODD_NUL | ODD_BAD_HEADER | ODD_NO_END)) != 0 ||
	    m->size > KEEP_MAX;
}

/* Nothing is outstanding any more. */
static int
work_settle(struct lane *l, struct err *e)
{
	struct pair_work *w = l->work;

	while (w->outstanding > 0)
		if (reap_one(l, e) == -1)
			return work_fail(w, e);
	if (!w->failed && work_again(l, e) == -1)
		return -1;
	if (w->failed) {
		*e = w->err;
		return -1;
	}
	return 0;
}

int
work_send(struct lane *l, const struct msg_meta *meta, const void *key,
    size_t key_len, const struct measured *m, struct buf *keep,
    struct content **content, bool alone, bool suspect, struct err *e)
{
	struct pair_work *w = l->work;
	struct row_intent_item *in;
	struct store_item *it;
	struct msg_meta *copy;
	struct slot *s;

	alone = alone || suspect || is_risky(m);
	if (w->failed) {
		*e = w->err;
		return -1;
	}
	if (w->open != NULL && (alone || w->open->n >= w->caps.batch_messages ||
	    w->open->total + m->size > w->caps.batch_bytes) &&
	    submit_slot(l, e) == -1)
		return -1;
	if (w->open == NULL)
		w->open = free_slot(w);
	s = w->open;
	it = &s->items[s->n];
	in = &s->intents[s->n];
	copy = &s->metas[s->n];
	memset(it, 0, sizeof *it);
	s->mend[s->n] = AS_IS;
	*copy = *meta;
	copy->keywords = copy_words(&s->arena, meta->keywords,
	    meta->nkeywords);
	copy->raw_flags = copy_string(&s->arena, meta->raw_flags);
	copy->guid = copy_string(&s->arena, meta->guid);
	copy->base = copy_string(&s->arena, meta->base);
	copy->uidl = copy_string(&s->arena, meta->uidl);
	copy->where = copy_string(&s->arena, meta->where);
	copy->key = NULL;
	copy->oddities |= m->oddities;
	if (pop3_give(l, w->pair, key, key_len, copy, &s->arena, e) == -1)
		return -1;
	if (copy->size == UNKNOWN64)
		copy->size = m->raw_size;
	in->key = arena_memdup0(&s->arena, key, key_len);
	in->key_len = key_len;
	in->digests = m->digests;
	in->size = m->size;
	in->want_uid = w->keep_uids ? meta->uid : 0;
	in->flags = meta->flags;
	in->kw = join_words(&s->arena, copy->keywords, meta->nkeywords);
	in->date = meta->date;
	it->meta = copy;
	it->suspect = suspect;
	it->size = m->size;
	it->digests = m->digests;
	it->flags = meta->flags;
	it->keywords = copy->keywords;
	it->nkeywords = meta->nkeywords;
	it->date = meta->date;
	it->want_uid = in->want_uid;
	it->adopted = m->adopted;
	if (w->caps.bits & (TGT_CHOOSES_UIDS | TGT_BY_GUID)) {
		char *guid = arena_alloc(&s->arena, GUID_LEN + 1);

		uids_guid(l, w->pair, w->caps.bits & TGT_BY_GUID ? NULL :
		    meta->guid, key, key_len, &m->digests,
		    w->folder.uidvalidity, it->want_uid, guid, &it->mark);
		it->guid = guid;
	}
	it->content = *content;
	*content = NULL;
	if (keep->full)
		s->offsets[s->n] = SIZE_MAX;
	else {
		s->offsets[s->n] = s->bytes.len;
		buf_add(&s->bytes, keep->ptr, keep->len);
	}
	s->total += m->size;
	s->n++;
	if (!alone)
		return 0;
	if (submit_slot(l, e) == -1)
		return -1;
	/* Mended later it would come behind others, and lose its UID. */
	return in->want_uid != 0 && l->run->set->repair ?
	    work_settle(l, e) : 0;
}

int
work_end(struct lane *l, struct err *e)
{
	struct pair_work *w = l->work;
	struct err ignored;
	int rc = 0;

	if (w->open != NULL && !w->failed)
		rc = submit_slot(l, e);
	while (w->outstanding > 0)
		if (reap_one(l, &ignored) != 1)
			break;
	if (!w->failed && rc == 0)
		rc = work_again(l, e);
	if (w->failed) {
		*e = w->err;
		rc = -1;
	} else if (rc == 0)
		rc = broken_end(w, e);
	changes_free(w->suspects);
	w->suspects = NULL;
	for (size_t i = 0; i < SLOTS; i++)
		slot_reset(&w->slots[i]);
	w->open = NULL;
	w->nagain = 0;
	return rc;
}
