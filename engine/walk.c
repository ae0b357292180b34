/* A walk over a source mailbox: every message gets its outcome. */
#include "walk.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "account.h"
#include "adopt.h"
#include "base/fault.h"
#include "elsewhere.h"
#include "merge.h"
#include "removal.h"

/* So much is listed before contents are read, and asked for at once. */
#define CHUNK	256		/* messages */
#define CHUNK_BYTES ((uint64_t)8 << 20)
/* Before a token: token_unmerged(), token_gone(). */
#define UNMERGED "!"
#define GONE	"-"
#define MAX_DOUBTS 3		/* sends of a message without an answer */

static void
walk_flush(struct walk *w)
{
	if (w->c == NULL || changes_empty(w->c))
		return;
	if (w->c->arena.used < 64 * 1024)
		return;
	w->flushed = changes_post(w->l->run->state, &w->c);
}

struct changes *
walk_changes(struct walk *w)
{
	if (w->c == NULL)
		w->c = changes_new(w->l->account->row.id, w->p->id,
		    state_pass(w->l->run->state));
	return w->c;
}

static void
count(struct walk *w, enum outcome o, const struct msg_meta *m,
    uint64_t crlf_size)
{
	w->tally.counts[o]++;
	if (m->size != UNKNOWN64)
		w->tally.bytes += m->size;
	w->tally.crlf_bytes += crlf_size;
}

static void
exclude(struct walk *w, const char *rule)
{
	size_t i;

	/* The bytes that are counted are those to be moved. */
	w->tally.counts[OUT_EXCLUDED]++;
	for (i = 0; i < MAX_RULES - 1; i++)
		if (w->excluded[i].rule == NULL ||
		    strcmp(w->excluded[i].rule, rule) == 0)
			break;
	w->excluded[i].rule = rule;
	w->excluded[i].n++;
}

/* A message that cannot be read, or is too large...: its row and its issue. */
static void
put_outcome(struct walk *w, const struct msg_meta *m, const void *key,
    size_t key_len, const struct measured *md, enum outcome o,
    const char *kind, const char *reason)
{
	struct changes *c = walk_changes(w);
	struct row_message *r = changes_message(c);
	struct row_issue *i;
	char id[200], subject[200];

	r->key = arena_memdup0(&c->arena, key, key_len);
	r->key_len = key_len;
	r->size = m->size == UNKNOWN64 ? 0 : m->size;
	r->src_uid = m->uid;
	r->src_flags = m->flags;
	r->date = m->date;
	r->outcome = o;
	r->oddities = m->oddities;
	if (o == OUT_REFUSED)
		r->rule = arena_strdup(&c->arena, w->l->refusal_rule);
	i = changes_issue(c, kind, key, key_len, m->where, reason);
	if (md != NULL) {
		struct digests *d = arena_alloc(&c->arena, sizeof *d);

		*d = md->digests;
		r->digests = d;
		r->crlf_size = i->size = md->size;
		header_brief(w->keep.ptr, w->keep.len, id, sizeof id, subject,
		    sizeof subject);
		i->message_id = arena_strdup(&c->arena, id);
		i->subject = arena_strdup(&c->arena, subject);
	}
	atomic_fetch_add(&w->l->run->issues, 1);
	walk_flush(w);
}

/*
 * Does an earlier pass answer for this key?  true: counted.  Size and date
 * must be those of the row, or the digest when it is known by now.  w->failed:
 * this very message was to be sent before, in vain.
 */
static int
known_row(struct walk *w, const struct msg_meta *m, const void *key,
    size_t key_len, const struct measured *md, bool *other, struct err *e)
{
	struct row_message r;
	struct digests d;
	int rc;

	*other = w->failed = false;
	if (!w->row.any_row)
		return 0;
	if (removal_met(w, key, key_len, e) == -1)
		return -1;
	rc = message_find(w->l->reader, w->p->id, key, key_len, &r, &d,
	    &w->arena, e);
	if (rc == 1 && md != NULL && r.outcome == OUT_FAILED &&
	    r.digests != NULL)
		w->failed = memcmp(r.digests->strict, md->digests.strict,
		    DIGEST_LEN) == 0;
	if (rc != 1 || r.outcome == OUT_NONE || r.outcome == OUT_FAILED ||
	    r.outcome == OUT_VANISHED)
		return rc == -1 ? -1 : 0;
	if (md != NULL && (r.changes & CHANGE_UNREAD) ?
	    r.size != md->raw_size : md != NULL ?
	    r.digests != NULL && memcmp(r.digests->strict,
	    md->digests.strict, DIGEST_LEN) != 0 :
	    r.size != m->size || r.date != m->date) {
		*other = true;
		return 0;
	}
	if (r.outcome == OUT_REFUSED && (strcmp(r.rule, w->l->refusal_rule) !=
	    0 || (w->l->run->set->retry_refused && r.pass <
	    state_pass(w->l->run->state)))) {
		w->refused = true;	/* what refused it has changed */
		return 0;
	}
	if (r.outcome == OUT_EXCLUDED && adopt_rule(w, &r) == NULL)
		return 0;
	if (w->adopting)
		return 1;
	if (r.outcome == OUT_EXCLUDED) {
		exclude(w, adopt_rule(w, &r));
		return 1;
	}
	count(w, r.outcome, m, r.crlf_size);
	if (r.oddities & ODD_STRIPPED)
		w->tally.stripped++;
	if (r.outcome != OUT_COPIED && r.outcome != OUT_PRESENT)
		return 1;
	w->rows_met++;
	return merge_met(w, m, key, key_len, &r, e) == -1 ? -1 : 1;
}

/* A message that the books have counted: its flags may have changed. */
static int
known_again(struct walk *w, const struct msg_meta *m, struct err *e)
{
	size_t key_len = m->key != NULL ? strlen(m->key) : 0;
	struct row_message r;
	struct digests d;
	int rc;

	if (w->adopting)
		return 0;
	rc = message_find(w->l->reader, w->p->id, m->key, key_len, &r, &d,
	    &w->arena, e);
	if (rc == -1)
		return -1;
	if (rc == 0 || r.size != m->size || r.date != m->date) {
		w->later = true;	/* all are listed in the next pass */
		return 0;
	}
	if (r.outcome != OUT_COPIED && r.outcome != OUT_PRESENT)
		return 0;
	return merge_met(w, m, m->key, key_len, &r, e);
}

size_t
digest_key(const struct digests *d, int64_t ordinal, char key[64])
{
	key[0] = 'd';
	memcpy(key + 1, d->strict, DIGEST_LEN);
	return 1 + DIGEST_LEN + (size_t)snprintf(key + 1 + DIGEST_LEN,
	    64 - 1 - DIGEST_LEN, "%" PRId64, ordinal);
}

int
walk_digest_key(struct walk *w, const struct digests *d, char key[64],
    size_t *key_len, struct err *e)
{
	int64_t n;

	if (db_number(w->l->scratch, e, &n, 0, "INSERT INTO seen (digest, n)"
	    " VALUES (?1, 1) ON CONFLICT (digest) DO UPDATE SET n = n + 1"
	    " RETURNING n", "b", d->strict, (size_t)DIGEST_LEN) == -1)
		return -1;
	*key_len = digest_key(d, n - 1, key);
	return 0;
}

/* An equal copy at the target that no row has: the outcome is known. */
static int
take_extra(struct walk *w, const struct msg_meta *m, const void *key,
    size_t key_len, const struct measured *md, struct err *e)
{
	struct changes *c = walk_changes(w);
	bool intended, altered = false;
	struct extra_flags had;
	struct row_message *r;
	struct digests *d;
	enum outcome o;
	uint32_t uid;
	int rc, known;

	/* Takes that are on their way must be seen. */
	if (state_wait(w->l->run->state, w->flushed, e) == -1)
		return -1;
	rc = extra_find(w->l->reader, w->p->id, &md->digests, false, c->taken,
	    &uid, &intended, e);
	if (rc == 0 && !w->adopting) {
		rc = extra_find(w->l->reader, w->p->id, &md->digests, true,
		    c->taken, &uid, &intended, e);
		altered = rc == 1;
	}
	if (rc != 1)
		return rc;
	o = intended ? OUT_COPIED : OUT_PRESENT;
	known = extra_flags(w->l->reader, w->p->id, uid, key, key_len,
	    intended, &c->arena, &had, e);
	if (known == -1)
		return -1;
	changes_take(c, uid);
	r = changes_message(c);
	d = arena_alloc(&c->arena, sizeof *d);
	*d = md->digests;
	r->digests = d;
	r->changes = md->adopted ? CHANGE_UNREAD : 0;
	r->key = arena_memdup0(&c->arena, key, key_len);
	r->key_len = key_len;
	r->size = m->size == UNKNOWN64 ? md->raw_size : m->size;
	r->crlf_size = md->size;
	r->src_uid = m->uid;
	r->tgt_uid = uid;
	r->src_flags = had.src ? had.src_flags : m->flags;
	r->src_kw = had.src ? had.src_kw : join_words(&c->arena, m->keywords,
	    m->nkeywords);
	r->tgt_flags = known ? had.tgt_flags : m->flags;
	r->tgt_kw = known ? had.tgt_kw : r->src_kw;
	if (m->raw_flags != NULL)
		r->raw_flags = arena_strdup(&c->arena, m->raw_flags);
	/* The answer that would have told what was held is lost. */
	if (o == OUT_COPIED)
		r->changes |= CHANGE_KEYWORDS;
	r->date = m->date;
	r->outcome = o;
	r->oddities = m->oddities | md->oddities;
	if (o == OUT_PRESENT && adopt_date(w, m, key, key_len, uid, e) == -1)
		return -1;
	if (altered) {
		struct row_issue *i = changes_issue(c, "altered", key, key_len,
		    m->where, "the target holds it with changes that servers "
		    "make (header bytes, line ends, added fields)");

		i->size = md->size;
	}
	if (!w->adopting) {
		count(w, o, m, md->size);
		if (merge_met(w, m, key, key_len, r, e) == -1)
			return -1;
	}
	walk_flush(w);
	return 1;
}

static uint64_t
hash_of(const struct msg_meta *m)
{
	const char *s = m->key != NULL ? m->key : m->where != NULL ? m->where :
	    "";
	uint64_t hash = 14695981039346656037u;

	for (; *s != '\0'; s++)
		hash = (hash ^ (unsigned char)*s) * 1099511628211u;
	return hash;
}

static bool
stuck_here(struct pair *p, const struct msg_meta *m)
{
	uint64_t hash = hash_of(m);

	if (p->stuck != hash)
		p->stuck_n = 0;
	p->stuck = hash;
	return ++p->stuck_n >= PAIR_TRIES;
}

/*
 * A file system that fails at one message puts the host on hold, a server that
 * hangs up at one ends the session: it is tried again.  What fails each time is
 * one bad message, and the others go on: at once, or, where the session is
 * gone, without asking for it in the next one.
 */
static void
judge_trouble(struct walk *w, const struct msg_meta *m, struct err *e)
{
	bool network = w->l->account->src_uri->host != NULL;
	struct pair *p = w->p;

	if (e->at_target || e->cause == CAUSE_CANCELLED ||
	    e->cause == CAUSE_CHANGED || (!network && e->scope != ERR_HOST) ||
	    (network && (!e->retry || e->scope == ERR_MESSAGE ||
	    e->scope == ERR_RUN)) || !stuck_here(p, m))
		return;
	if (!network || e->scope == ERR_MAILBOX)
		e->scope = ERR_MESSAGE;
	else if (p->nbroke < PAIR_BROKE) {
		p->broke[p->nbroke++] = p->stuck;
		p->learnt = true;
	}
}

static bool
broke_before(const struct pair *p, const struct msg_meta *m)
{
	uint64_t hash;

	if (p->nbroke == 0)
		return false;
	hash = hash_of(m);
	for (unsigned i = 0; i < p->nbroke; i++)
		if (p->broke[i] == hash)
			return true;
	return false;
}

/* Does it go unread?  Not while there is anything at the target that it could
 * equal, unless that is the file itself. */
static int
adopt(struct walk *w, const struct msg_meta *m, const struct content *c,
    struct measured *md, struct err *e)
{
	uint32_t uid;
	bool intended;
	int rc = 1;

	memset(md, 0, sizeof *md);
	if (!w->adopts || target_adopts(w->l->tgt, m, c, &md->digests) == 0)
		return 0;
	if (w->extras && (rc = state_wait(w->l->run->state, w->flushed, e)) ==
	    0)
		rc = extra_find(w->l->reader, w->p->id, &md->digests, false,
		    walk_changes(w)->taken, &uid, &intended, e);
	if (rc != 1)
		return rc;
	md->adopted = true;
	md->size = md->raw_size = c->size;
	buf_reset(&w->keep);
	w->keep.full = true;
	return 1;
}

/* Its bytes, measured: 1; 0: it is gone. */
static int
read_bytes(struct walk *w, const struct msg_meta *m, struct content **content,
    struct measured *md, struct err *e)
{
	struct lane *l = w->l;
	int rc;

	if ((rc = source_content(l->src, m, content, e)) != 1)
		return rc;
	if ((rc = adopt(w, m, *content, md, e)) == 0) {
		buf_reset(&w->keep);
		rc = measure_content(l->measure, *content, &w->keep, md, e);
		md->adopted = false;
	}
	if (rc == -1) {
		content_close(content);
		return -1;
	}
	host_proved(&l->at[SIDE_SOURCE]);
	w->read = md->adopted ? 0 : md->raw_size;
	return 1;
}

/* Reads one message's bytes and gives it its outcome, or sends it. */
static int
read_one(struct walk *w, const struct msg_meta *m, struct err *e)
{
	struct lane *l = w->l;
	struct content *content = NULL;
	struct msg_meta dated;
	struct measured md;
	char digest[64], other_key[300];
	const void *key = m->key;
	size_t key_len = key != NULL ? strlen(m->key) : 0;
	const char *where_key = m->where != NULL ? m->where : "", *rule;
	struct target_caps caps;
	int64_t doubts = 0;
	bool other;
	int rc;

	w->refused = false;
	rc = read_bytes(w, m, &content, &md, e);
	if (rc == 1 && content->save_date != 0) {
		dated = *m;
		dated.save_date = content->save_date;
		m = &dated;
	}
	if (rc == 0 && w->adopting)
		return 0;
	if (rc == 0) {
		count(w, OUT_VANISHED, m, 0);
		put_outcome(w, m, key != NULL ? key : where_key, key != NULL ?
		    key_len : strlen(where_key), NULL, OUT_VANISHED,
		    "vanished", "was listed, is gone from the source");
		return 0;
	}
	if (rc == -1) {
		judge_trouble(w, m, e);
		if (e->scope != ERR_MESSAGE)
			return -1;
		if (w->adopting) {
			w->unmatched = true;
			return 0;
		}
		count(w, OUT_FAILED, m, 0);
		put_outcome(w, m, key != NULL ? key : where_key, key != NULL ?
		    key_len : strlen(where_key), NULL, OUT_FAILED, "failed",
		    e->text);
		return 0;
	}

	/* Whose is it? */
	if (key == NULL) {
		if (walk_digest_key(w, &md.digests, digest, &key_len, e) == -1)
			goto fail;
		key = digest;
	}
	if ((rc = known_row(w, m, key, key_len, &md, &other, e)) != 0)
		goto done;
	if (other) {
		/* The same name, other bytes: another message. */
		int n = snprintf(other_key, sizeof other_key - 20, "%.*s",
		    (int)(key_len < 240 ? key_len : 240), (const char *)key);

		other_key[n++] = '#';
		for (int i = 0; i < 8; i++)
			n += snprintf(other_key + n, 3, "%02x",
			    md.digests.strict[i]);
		key = other_key;
		key_len = (size_t)n;
		rc = known_row(w, m, key, key_len, &md, &other, e);
		if (rc != 0)
			goto done;
	}
	if (w->extras && !fault_mutated("look")) {
		rc = take_extra(w, m, key, key_len, &md, e);
		if (rc != 0)
			goto done;
	}
	if (w->adopting) {
		w->unmatched = true;
		content_close(&content);
		return 0;
	}
	if (l->account->elsewhere && !fault_mutated("elsewhere") &&
	    (rc = elsewhere_take(w, m, key, key_len, &md, e)) != 0) {
		if (rc == 1)
			count(w, OUT_PRESENT, m, md.size);
		goto done;
	}
	if (l->account->adopted) {
		if (adopt_leaves_out(w, m, key, key_len, &md, &rule, e) == -1)
			goto fail;
		if (rule != NULL) {
			exclude(w, rule);
			walk_flush(w);
			rc = 1;
			goto done;
		}
	}

	/* It begins anew, also with the count of its doubts. */
	if (w->refused)
		message_unrefuse(l->run->state, w->p->id, key, key_len);

	/* What can never be sent. */
	target_caps(l->tgt, &caps);
	if ((md.oddities & ODD_EMPTY) && !(caps.bits & TGT_TAKES_EMPTY)) {
		put_outcome(w, m, key, key_len, &md, OUT_REFUSED, "refused",
		    "it has no byte at all: servers take no empty message");
		count(w, OUT_REFUSED, m, 0);
		rc = 1;
		goto done;
	}
	if (md.size > caps.max_message) {
		char reason[160];

		snprintf(reason, sizeof reason, "its %" PRIu64 " bytes are "
		    "more than the target takes (%" PRIu64 ")", md.size,
		    caps.max_message);
		put_outcome(w, m, key, key_len, &md, OUT_REFUSED, "refused",
		    reason);
		count(w, OUT_REFUSED, m, md.size);
		rc = 1;
		goto done;
	}

	/* A message at which the server hung up goes alone, and not for ever. */
	if (w->row.doubts && !w->refused && message_doubts(l->reader, w->p->id, key, key_len,
	    &doubts, e) == -1)
		goto fail;
	if (doubts >= MAX_DOUBTS) {
		put_outcome(w, m, key, key_len, &md, OUT_REFUSED, "refused",
		    "the connection broke each time that it was sent");
		count(w, OUT_REFUSED, m, md.size);
		rc = 1;
		goto done;
	}

	/* Counted when its answer comes; the sizes now. */
	if (m->size != UNKNOWN64)
		w->tally.bytes += m->size;
	w->tally.crlf_bytes += md.size;
	if ((m->oddities | md.oddities) & ODD_STRIPPED)
		w->tally.stripped++;
	if (md.adopted)
		;
	else if (w->keep.full) {
		if (content_rewind(content, e) == -1)
			goto fail;
	} else if (!(caps.bits & TGT_LINKS) || content->fd == -1)
		content_close(&content);
	rc = work_send(l, m, key, key_len, &md, &w->keep, &content, doubts >
	    0, w->failed, e);
	content_close(&content);
	return rc;
done:
	content_close(&content);
	return rc == -1 ? -1 : 0;
fail:
	content_close(&content);
	return -1;
}

/* The next messages that need to be read, with all others counted: 1, or 0
 * when these are the last. */
static int
collect(struct walk *w, struct msg_meta *metas, size_t *n, struct err *e)
{
	struct lane *l = w->l;
	uint64_t bytes = 0;
	const char *rule;
	bool other;
	int rc;

	for (*n = 0; *n < CHUNK && bytes < CHUNK_BYTES;) {
		struct msg_meta *m = &metas[*n];

		if ((rc = source_next(l->src, &w->arena, m, e)) != 1)
			return rc;
		if (m->known && w->some) {
			if (known_again(w, m, e) == -1)
				return -1;
			continue;
		}
		if (!w->adopting)
			lane_met(l, 1);
		if (m->key != NULL) {
			rc = known_row(w, m, m->key, strlen(m->key), NULL,
			    &other, e);
			if (rc == 1)
				continue;
			if (rc == -1)
				return -1;
		}
		rule = rules_message(l->run->set->rules, m);
		if (rule != NULL) {
			w->keyless = w->keyless || m->key == NULL;
			if (!w->adopting)
				exclude(w, rule);
			continue;
		}
		if (broke_before(w->p, m)) {
			w->unmatched = true;
			if (w->adopting)
				continue;
			count(w, OUT_FAILED, m, 0);
			put_outcome(w, m, m->key, strlen(m->key), NULL,
			    OUT_FAILED, "failed", "the source hung up each "
			    "time that it was read");
			continue;
		}
		if (m->size != UNKNOWN64)
			bytes += m->size;
		++*n;
	}
	return 1;
}

/* Reads them; one at which it stuck before is asked for alone. */
static int
read_chunk(struct walk *w, const struct msg_meta *metas, size_t n,
    struct err *e)
{
	const struct msg_meta *want[CHUNK];
	struct pair *p = w->p;
	struct lane *l = w->l;
	size_t i = 0, end;

	for (size_t k = 0; k < n; k++)
		want[k] = &metas[k];
	for (; i < n && !lane_leaving(l); i = end) {
		end = p->stuck_n == 0 ? n : i;
		while (end < n && hash_of(&metas[end]) != p->stuck)
			end++;
		if (end == i)
			end = i + 1;
		if (source_want(l->src, want + i, end - i, e) == -1)
			return -1;
		for (size_t k = i; k < end && !lane_leaving(l); k++) {
			w->read = UNKNOWN64;
			if (read_one(w, &metas[k], e) == -1)
				return -1;
			/* Not with a content open, which may hold a lock. */
			if (w->read != UNKNOWN64)
				lane_pace(l, SIDE_SOURCE, w->read, 1);
		}
	}
	if (!lane_leaving(l))
		return 0;
	err_retry(e, ERR_RUN, "stopped");
	e->cause = CAUSE_CANCELLED;
	return -1;
}

/* From nothing, or from what the last pass has closed with. */
static void
open_books(struct walk *w)
{
	struct tally *t = &w->tally;

	memset(t, 0, sizeof *t);
	memset(w->excluded, 0, sizeof w->excluded);
	spill_free(&w->flagged);
	/* Nobody may have looked at flags. */
	w->unmerged = w->some && !merge_wanted(w->l);
	w->keyless = w->gone = false;
	w->twins = 0;
	if (!w->some || w->adopting)
		return;
	*t = w->base;
	lane_met(w->l, w->base_source);
}

int
walk_all(struct walk *w, struct err *e)
{
	struct msg_meta metas[CHUNK];
	struct target_caps caps;
	struct lane *l = w->l;
	int64_t untaken;
	size_t n;
	int rc = 1;

	/* While a mailbox is compared the target's session may have been given
	 * up for the eyes' (lane_open_eyes()): then contents are read. */
	w->adopts = false;
	if (l->tgt != NULL) {
		target_caps(l->tgt, &caps);
		w->adopts = (caps.bits & TGT_ADOPTS) != 0;
	}
	w->folder->unread = w->adopts && !w->extras;
	open_books(w);
	if (!w->adopting && removal_begin(w, e) == -1)
		return -1;
	if (db_run(l->scratch, e, "DELETE FROM seen", "") == -1)
		return -1;
	while (rc == 1) {
		arena_reset(&w->arena);
		if ((rc = collect(w, metas, &n, e)) == -1 ||
		    read_chunk(w, metas, n, e) == -1)
			return -1;
		if (w->adopting) {
			/* When nothing is left to adopt, reading on is
			 * useless. */
			uint64_t taken = 0;

			if (w->c != NULL)
				for (struct row_taken *t = w->c->taken;
				    t != NULL; t = t->next)
					taken++;
			if (extras_untaken(l->reader, w->p->id, &untaken,
			    e) == -1)
				return -1;
			if ((uint64_t)untaken <= taken)
				return 0;
		}
	}
	return 0;
}

int
walk_adopt(struct walk *w, struct err *e)
{
	enum delta delta;
	uint64_t seq;
	int rc;

	w->adopting = w->extras = true;
	w->unmatched = false;
	rc = walk_all(w, e);
	w->adopting = false;
	w->p->unmatched = w->p->unmatched || w->unmatched;
	if (w->c != NULL) {
		seq = changes_post(w->l->run->state, &w->c);
		if (rc == 0)
			rc = state_wait(w->l->run->state, seq, e);
	}
	if (rc == -1)
		return -1;
	w->row.any_row = true;
	w->p->adopted = true;
	w->some = false;
	source_folder_close(w->l->src);
	return source_folder_open(w->l->src, w->folder, NULL, 0, &delta,
	    e);
}

void
token_wrap(const struct settings *set, const char *refusal, bool unmerged,
    bool gone, const struct buf *source, struct buf *out)
{
	buf_reset(out);
	buf_addf(out, "%s%s%s|%s\n", gone ? GONE : "", unmerged ? UNMERGED :
	    "", refusal != NULL ? refusal : "", set->selection_rule);
	buf_add(out, source->ptr, source->len);
}

bool
token_gone(const struct buf *token)
{
	return token->len > 0 && token->ptr[0] == GONE[0];
}

bool
token_unmerged(const struct buf *token)
{
	size_t at = token_gone(token);

	return token->len > at && token->ptr[at] == UNMERGED[0];
}

int
token_unwrap(const struct settings *set, const char *refusal,
    const struct buf *token, struct buf *out)
{
	const char *end = token->ptr + token->len, *bar, *nl, *at = token->ptr;
	size_t n;

	buf_reset(out);
	bar = memchr(token->ptr, '|', token->len);
	nl = bar == NULL ? NULL : memchr(bar, '\n', (size_t)(end - bar));
	if (nl == NULL || nl + 1 == end)
		return 0;
	at += token_gone(token) + token_unmerged(token);
	n = (size_t)(bar - at);
	if (n > 0 && refusal != NULL && (strlen(refusal) != n ||
	    memcmp(refusal, at, n) != 0))
		return 0;
	n = (size_t)(nl - bar - 1);
	if (strlen(set->selection_rule) != n || memcmp(bar + 1,
	    set->selection_rule, n) != 0)
		return 0;
	buf_add(out, nl + 1, (size_t)(end - nl - 1));
	return 1;
}

int
walk_end(struct walk *w, struct err *e)
{
	struct lane *l = w->l;
	struct mailbox_end end = { .id = w->p->id, .counted = true };
	struct tally *t = &w->tally;
	struct buf token, wrapped;
	uint64_t sum = 0;
	int rc;

	buf_init(&token, 1 << 20);
	buf_init(&wrapped, 2 << 20);
	if (source_folder_count(l->src, &end.source, e) == -1)
		return -1;
	for (int i = 1; i < OUTCOMES; i++)
		sum += t->counts[i];
	end.pass = state_pass(l->run->state);
	end.outcome = t->counts[OUT_FAILED] == 0 && sum == end.source ?
	    "done" : "partial";
	if (sum != end.source)
		lane_note(l, "warn", NULL, "the source says it holds %" PRIu64
		    " messages, %" PRIu64 " were met", end.source, sum);
	if (removal_collect(w, sum == end.source, e) == -1) {
		rc = -1;
		goto out;
	}
	if (t->counts[OUT_FAILED] == 0 && t->counts[OUT_VANISHED] == 0 &&
	    sum == end.source && !w->later) {
		if (source_folder_token(l->src, &token, e) == -1) {
			rc = -1;
			goto out;
		}
		if (token.len > 0)
			token_wrap(l->run->set, t->counts[OUT_REFUSED] > 0 ?
			    l->refusal_rule : NULL, w->unmerged, w->gone, &token,
			    &wrapped);
	}
	memcpy(end.counts, t->counts, sizeof end.counts);
	end.stripped = t->stripped;
	end.bytes = t->bytes;
	end.crlf_bytes = t->crlf_bytes;
	end.token = wrapped.ptr;
	end.token_len = wrapped.len;
	end.src_uidvalidity = w->folder->uidvalidity;
	end.src_object = w->folder->object_id;
	end.src_uidnext = w->folder->uidnext;
	end.src_modseq = w->folder->modseq;
	end.src_messages = w->folder->messages;
	for (size_t i = 0; i < MAX_RULES && w->excluded[i].n > 0; i++)
		lane_note(l, "excluded", w->excluded[i].rule, "%" PRIu64
		    " messages were left out by the rule %s",
		    w->excluded[i].n, w->excluded[i].rule);
	elsewhere_tell(w);
	adopt_tell(w);
	lane_flush_notes(l);
	rc = mailbox_put_end(l->run->state, &end, e);
out:
	buf_release(&token);
	buf_release(&wrapped);
	return rc;
}

void
walk_begin(struct walk *w, struct lane *l, struct pair *p)
{
	memset(w, 0, sizeof *w);
	w->l = l;
	w->p = p;
	l->mailbox_id = p->id;
	arena_init(&w->arena);
	buf_init(&w->keep, KEEP_MAX);
	buf_init(&w->row.token, 1);
}

void
walk_release(struct walk *w)
{
	struct lane *l = w->l;

	changes_free(w->c);
	spill_free(&w->flagged);
	if (l->src != NULL)
		source_folder_close(l->src);
	if (l->tgt != NULL)
		target_folder_close(l->tgt);
	lane_flush_notes(l);
	l->mailbox_id = 0;
	buf_release(&w->row.token);
	buf_release(&w->keep);
	arena_release(&w->arena);
}
