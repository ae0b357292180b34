/*
 * Questions about a pair before anything is done to the target: is its mail
 * there already, how many messages are there, are they the ones we know?
 */
#include <string.h>

#include "account.h"
#include "look.h"
#include "walk.h"

#define SAMPLE	20	/* messages of a mailbox that are read, to know it */

static int
adopt(struct lane *l, struct pair *p, const struct folder_state *f,
    uint64_t *there, uint64_t *taken, struct err *e)
{
	enum delta delta;
	uint64_t found, lost;
	struct walk w;
	int64_t before, left;
	uint32_t from;
	bool changed;
	int rc;

	*there = *taken = 0;
	walk_begin(&w, l, p);
	rc = -1;
	w.folder = account_folder(l, p, e);
	if (w.folder != NULL)
		w.folder->stable = p->stable;
	if (w.folder == NULL ||
	    mailbox_load(l->reader, p->id, &w.row, e) == -1 ||
	    (f->uidvalidity != 0 &&
	    pair_check_target(&w, f, &from, &changed, e) == -1) ||
	    look(l, p, 0, false, &found, e) == -1 ||
	    (f->messages < w.row.rows + w.row.extras + found &&
	    look_for_lost(l, p, &lost, e) == -1) ||
	    extras_untaken(l->reader, p->id, &before, e) == -1)
		goto out;
	/* What an earlier pass found and left is still somebody's. */
	*there = (uint64_t)before;
	rc = 0;
	if (*there == 0)
		goto out;
	rc = -1;
	if ((!measure_gives_sha1(l->measure) && look_closer(l, p, 0, e) == -1) ||
	    source_folder_open(l->src, w.folder, NULL, 0, &delta, e) == -1)
		goto out;
	rc = walk_adopt(&w, e);
	if (rc == -1)
		pair_changed(p, w.folder, e);
	if (rc == 0)
		rc = extras_untaken(l->reader, p->id, &left, e);
	if (rc == 0)
		*taken = *there - (uint64_t)left;
out:
	walk_release(&w);
	if (rc == 0 && lane_target_again(l, e) == -1)
		rc = -1;
	return rc;
}

int
pair_adopt(struct lane *l, struct pair *p, const struct folder_state *f,
    uint64_t *there, uint64_t *taken, struct err *e)
{
	bool stable = p->stable;
	int rc = adopt(l, p, f, there, taken, e);
	uint64_t first = *there;

	/* Once more, if the source changed under us. */
	if (rc == 0 || p->stable == stable)
		return rc;
	if (state_sync(l->run->state, e) == -1 ||
	    adopt(l, p, f, there, taken, e) == -1)
		return -1;
	/* The first time may have taken some. */
	if (*there < first) {
		*taken += first - *there;
		*there = first;
	}
	return 0;
}

static int
count(struct lane *l, struct folder_info *f, int64_t id, uint64_t enough,
    uint64_t *n, struct err *e)
{
	struct row_mailbox row = { .complete = false };
	struct buf token;
	struct arena arena;
	struct msg_meta m;
	enum delta delta;
	bool use = false;
	int rc = 1;

	*n = 0;
	buf_init(&token, 1 << 20);
	arena_init(&arena);
	if (id != 0) {
		if (mailbox_load(l->reader, id, &row, e) == -1)
			return -1;
		use = row.complete && token_unwrap(l->run->set, NULL,
		    &row.token, &token);
		buf_release(&row.token);
	}
	if (source_folder_open(l->src, f, use ? &token : NULL, 0, &delta,
	    e) == -1)
		rc = -1;
	else if (delta == DELTA_UNCHANGED)
		*n = row.source;
	else
		while (*n < enough && (rc = source_next(l->src, &arena, &m,
		    e)) == 1) {
			arena_reset(&arena);
			(*n)++;
		}
	source_folder_close(l->src);
	buf_release(&token);
	arena_release(&arena);
	return rc == -1 ? -1 : 0;
}

int
pair_count(struct lane *l, struct folder_info *f, int64_t id, uint64_t enough,
    uint64_t *n, struct err *e)
{
	bool stable = f->stable;
	int rc = count(l, f, id, enough, n, e);

	if (rc == -1 && !stable && pair_changed(NULL, f, e))
		rc = count(l, f, id, enough, n, e);
	f->stable = stable;
	return rc;
}

/* Is this message in a row, by its key or its digest? */
static int
is_known(struct walk *w, const struct msg_meta *m, bool *met, struct err *e)
{
	struct content *content = NULL;
	struct row_message r;
	struct measured md;
	struct digests d;
	char key[64];
	size_t key_len;
	int rc;

	if (m->key != NULL)
		rc = message_find(w->l->reader, w->p->id, m->key,
		    strlen(m->key), &r, &d, &w->arena, e);
	else {
		rc = source_content(w->l->src, m, &content, e);
		if (rc == 1)
			rc = measure_content(w->l->measure, content, NULL,
			    &md, e) == 0 && walk_digest_key(w, &md.digests, key,
			    &key_len, e) == 0 ? message_find(w->l->reader,
			    w->p->id, key, key_len, &r, &d, &w->arena, e) : -1;
		content_close(&content);
		if (rc == -1 && e->scope == ERR_MESSAGE)
			rc = 0;
	}
	*met = rc == 1;
	return rc == -1 ? -1 : 0;
}

/* Has it the bytes of a message in a row? */
static int
has_known_bytes(struct walk *w, const struct msg_meta *m, bool *met,
    struct err *e)
{
	struct content *content = NULL;
	struct lane *l = w->l;
	struct measured md;
	int64_t n;
	int rc;

	*met = false;
	if (source_want(l->src, &m, 1, e) == -1)
		return -1;
	rc = source_content(l->src, m, &content, e);
	if (rc == 1)
		rc = measure_content(l->measure, content, NULL, &md, e) == 0 ?
		    1 : -1;
	content_close(&content);
	if (rc != 1)
		return rc == -1 && e->scope != ERR_MESSAGE ? -1 : 0;
	if (db_number(l->reader, e, &n, 0, "SELECT EXISTS (SELECT 1 FROM"
	    " message WHERE mailbox_id = ?1 AND (strict = ?2 OR loose = ?3))",
	    "ibb", w->p->id, md.digests.strict, (size_t)DIGEST_LEN,
	    md.digests.loose, (size_t)DIGEST_LEN) == -1)
		return -1;
	*met = n != 0;
	return 0;
}

/* Over the open mailbox, until something is met: by its key, or of some
 * messages by their bytes. */
static int
walk_through(struct walk *w, bool sample, bool *met, struct err *e)
{
	uint64_t n = 0, step = 1, left = sample ? SAMPLE : 0;
	struct msg_meta m;
	int rc = 1;

	if (w->folder->messages != UNKNOWN64 && w->folder->messages > SAMPLE)
		step = w->folder->messages / SAMPLE;
	while (rc == 1 && !*met) {
		arena_reset(&w->arena);
		rc = source_next(w->l->src, &w->arena, &m, e);
		if (rc != 1)
			break;
		if (is_known(w, &m, met, e) == -1)
			return -1;
		if (!*met && left > 0 && n++ % step == 0) {
			left--;
			if (has_known_bytes(w, &m, met, e) == -1)
				return -1;
		}
	}
	return rc == -1 ? -1 : 0;
}

static int
recognise(struct lane *l, struct pair *p, bool sample, bool *known,
    bool *met, struct err *e)
{
	enum delta delta;
	struct buf token;
	struct walk w;
	int rc = -1;

	*known = *met = false;
	walk_begin(&w, l, p);
	buf_init(&token, 1 << 20);
	w.folder = account_folder(l, p, e);
	if (w.folder != NULL)
		w.folder->stable = p->stable;
	if (w.folder == NULL ||
	    mailbox_load(l->reader, p->id, &w.row, e) == -1)
		goto out;
	*known = w.row.any_row;
	rc = 0;
	if (!*known)
		goto out;
	rc = -1;
	w.folder->some = true;
	if (db_run(l->scratch, e, "DELETE FROM seen", "") == -1 ||
	    source_folder_open(l->src, w.folder, token_unwrap(l->run->set,
	    NULL, &w.row.token, &token) ? &token : NULL, 0, &delta, e) == -1)
		goto out;
	*met = delta != DELTA_FULL;
	rc = walk_through(&w, sample, met, e);
	if (rc == -1)
		pair_changed(p, w.folder, e);
out:
	if (w.folder != NULL)
		w.folder->some = false;
	buf_release(&token);
	walk_release(&w);
	return rc;
}

int
pair_recognise(struct lane *l, struct pair *p, bool sample, bool *known,
    bool *met, struct err *e)
{
	bool stable = p->stable;
	int rc = recognise(l, p, sample, known, met, e);

	if (rc == -1 && p->stable != stable)
		rc = recognise(l, p, sample, known, met, e);
	return rc;
}

/* Some stores know a mailbox's UIDVALIDITY only when they have read it: then f
 * tells it afterwards. */
static int
learn_uidvalidity(struct lane *l, struct folder_info *f,
    const struct row_mailbox *row, struct err *e)
{
	enum delta delta;
	struct buf token;
	int rc;

	if (row->rows == 0 || row->src_uidvalidity == 0 || f->uidvalidity != 0)
		return 0;
	buf_init(&token, 1 << 20);
	rc = source_folder_open(l->src, f, token_unwrap(l->run->set, NULL,
	    &row->token, &token) ? &token : NULL, 0, &delta, e);
	buf_release(&token);
	if (rc == 0)
		source_folder_close(l->src);
	return rc;
}

int
pair_rekey(struct lane *l, struct pair *p, struct folder_info *f,
    struct row_mailbox *row, struct err *e)
{
	bool known, met;

	if (learn_uidvalidity(l, f, row, e) == -1)
		return -1;
	if (row->rows == 0 || (!l->run->set->merge_existing &&
	    (f->uidvalidity == 0 || row->src_uidvalidity == f->uidvalidity)))
		return 0;
	if (pair_recognise(l, p, false, &known, &met, e) == -1)
		return -1;
	l->mailbox_id = p->id;
	if (met)
		return 0;
	lane_note(l, "warn", NULL, "the source calls its messages otherwise "
	    "than in the last pass: they are paired by content");
	buf_release(&row->token);
	if (mailbox_rekey(l->run->state, p->id, e) == -1)
		return -1;
	return mailbox_load(l->reader, p->id, row, e);
}
