/*
 * The audit of one account: both stores are opened, listed and named as a copy
 * would do it, then compared mailbox by mailbox, and as a whole.
 */
#include "audit_impl.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/xmalloc.h"

#define TRIES	3	/* of what may pass */
#define FIRST_NEW_ID	((int64_t)1 << 50)	/* of rows that the state has
						 * not: state_scratch() */

/* What the stores had to say: told, but no reason to fail.  It has been put
 * into the lane's own state. */
static int
tell_warnings(struct audit_job *j, struct err *e)
{
	struct audit_row_difference d = { .account = (int64_t)j->a->place + 1,
	    .verdict = V_EXPECTED, .message_id = "", .subject = "",
	    .size = UNKNOWN64, .diff = "" };
	struct db *db = j->l->reader;
	sqlite3_stmt *st = db_query(db, e, "SELECT kind, ifnull(reason, ''),"
	    " ifnull(message_where, '') FROM main.issue WHERE account_id = ?1"
	    " ORDER BY id", "i", j->a->row.id);
	int rc;

	if (st == NULL)
		return -1;
	while ((rc = db_step(db, st, e)) == 1) {
		d.cause = db_text(st, 0);
		d.detail = db_text(st, 1);
		d.where = strcmp(db_text(st, 2), d.detail) != 0 ?
		    db_text(st, 2) : "";
		if (results_difference(j->audit->results, &d, e) == -1) {
			rc = -1;
			break;
		}
	}
	db_done(st);
	return rc;
}

/* Is the mail that the state knows in this source at all? */
static int
same_store(struct audit_job *j, struct err *e)
{
	struct account *a = j->a;
	bool known, met, any = false, sample = false;

	if (j->audit->state_uri == NULL || a->row.messages < 3)
		return 0;
	/* Keys first, then what some messages say. */
	do
		for (struct pair *p = a->pairs; p != NULL; p = p->next) {
			if (pair_recognise(j->l, p, sample, &known, &met,
			    e) == -1) {
				if (e->scope <= ERR_MAILBOX)
					continue;
				return -1;
			}
			if (met)
				return 0;
			any = any || known;
		}
	while ((sample = !sample));
	if (!any)
		return 0;
	return err_set(e, ERR_ACCOUNT, "the state is of another store: the "
	    "source holds none of the messages that it knows");
}

/* What was loaded tells it for nothing, if any of it is in the state as it is
 * now. */
static int
check_store(struct audit_job *j, struct err *e)
{
	int64_t known;
	int rc;

	if (db_number(j->db, e, &known, 0, "SELECT EXISTS (SELECT 1 FROM item"
	    " WHERE side = 0 AND bits & ?1)", "i", (int64_t)(ITEM_THERE |
	    ITEM_REFUSED)) == -1)
		return -1;
	if (known != 0)
		return 0;
	j->l->probing = true;
	rc = same_store(j, e);
	j->l->probing = false;
	return rc;
}

/* The same of the target: at least one mailbox is one that was copied to. */
static int
same_target(struct audit_job *j, struct err *e)
{
	size_t known = 0, same = 0;

	for (size_t i = 0; i < j->n; i++) {
		const struct audit_box *b = &j->boxes[i];

		if (b->state_id == 0 || b->row.target.uidvalidity == 0 ||
		    b->row.rows == 0)
			continue;
		known++;
		if (b->folder[SIDE_TARGET] != NULL &&
		    (b->folder[SIDE_TARGET]->uidvalidity == 0 ||
		    b->folder[SIDE_TARGET]->uidvalidity ==
		    b->row.target.uidvalidity))
			same++;
	}
	if (known == 0 || same > 0)
		return 0;
	return err_set(e, ERR_ACCOUNT, "the state is of another store: none "
	    "of the mailboxes that it knows is at the target as it was (their "
	    "UIDVALIDITY differs); to compare without it, give another "
	    "--state");
}

/* The names that those would have that are not compared: their counterparts are
 * not, either. */
static int
name_left_out(struct audit_job *j, struct err *e)
{
	bool encoded;

	for (size_t i = 0; i < j->l->nfolders; i++) {
		struct naming *m = &j->a->names[i];

		if (m->outcome != NULL && m->name == NULL && target_name(
		    j->l->tgt, &j->a->arena, m->rule.path, m->rule.npath,
		    &m->name, &encoded, e) == -1) {
			if (e->scope > ERR_MAILBOX)
				return -1;
			m->name = NULL;
		}
	}
	return 0;
}

/* Both sides are open and named. */
static int
open_account(struct audit_job *j, struct err *e)
{
	struct lane *l = j->l;
	struct account *a = j->a;
	struct changes *notes;
	const char **names;
	size_t n = 0;
	int rc;

	if (account_begin(l, a, e) == -1)
		return -1;
	rc = account_source(l, a, e);
	j->pa->opened[SIDE_SOURCE] |= l->src != NULL;
	if (rc == -1)
		return -1;
	/* What it has to say is of writing. */
	notes = l->notes;
	l->notes = NULL;
	rc = account_target(l, a, e);
	changes_free(l->notes);
	l->notes = notes;
	j->pa->opened[SIDE_TARGET] |= l->tgt != NULL;
	if (rc == -1)
		return -1;
	if (a->user_missing)
		return err_set(e, ERR_ACCOUNT, "there is no such user at the "
		    "target");
	if (account_pair(l, a, e) == -1 || name_left_out(j, e) == -1)
		return -1;
	names = arena_alloc(&a->arena, (a->npairs + 1) * sizeof *names);
	for (struct pair *p = a->pairs; p != NULL; p = p->next)
		names[n++] = p->tgt_name;
	if (target_survey(l->tgt, &a->arena, names, n, true, &a->view, e) ==
	    -1)
		return err_ctx(e, "target");
	a->viewed = true;
	/* Names are sorted as the target compares them, while it is open. */
	if (a->pairs != NULL)
		(void)account_box(l, a, a->pairs);
	j->released = strcmp(a->row.stage, "released") == 0;
	return 0;
}

/* The target's listing, on a session of its own. */
static int
open_eyes(struct audit_job *j, struct err *e)
{
	struct lane *l = j->l;

	lane_close_target(l);
	if (lane_open_eyes(l, true, e) == -1 || source_list(l->eyes, &j->arena,
	    &j->listing, &j->nlisting, e) == -1 ||
	    source_account_facts(l->eyes, &j->arena, &j->info, e) == -1)
		return err_ctx(e, "target");
	return 0;
}

static struct folder_info *
listed(struct audit_job *j, const char *raw_name)
{
	for (size_t i = 0; i < j->nlisting; i++)
		if (strcmp(j->listing[i].raw_name, raw_name) == 0)
			return &j->listing[i];
	return NULL;
}

/* A mailbox that the view has and the listing has not. */
static struct folder_info *
unlisted(struct audit_job *j, const struct target_box *box)
{
	struct folder_info *f = arena_zalloc(&j->arena, sizeof *f);
	const char **path = arena_alloc(&j->arena, sizeof *path);

	path[0] = arena_strdup(&j->arena, box->name);
	f->path = path;
	f->npath = 1;
	f->raw_name = f->name = path[0];
	f->messages = box->st.messages;
	f->bytes = UNKNOWN64;
	f->uidvalidity = box->st.uidvalidity;
	return f;
}

static int
load_row(struct audit_job *j, struct audit_box *b, struct err *e)
{
	if (j->audit->state_uri == NULL || b->pair->id == 0 ||
	    b->pair->id > FIRST_NEW_ID)
		return 0;
	if (mailbox_load(j->l->reader, b->pair->id, &b->row, e) == -1)
		return -1;
	b->state_id = b->pair->id;
	return 0;
}

static struct audit_box *
new_box(struct audit_job *j)
{
	struct audit_box *b = &j->boxes[j->n++];

	b->name = b->target = "";
	buf_init(&b->token[SIDE_SOURCE], 1 << 20);
	buf_init(&b->token[SIDE_TARGET], 1 << 20);
	buf_init(&b->row.token, 1 << 20);
	return b;
}

/* A mailbox of the source, with what the target has of it. */
static int
add_source_box(struct audit_job *j, size_t i, struct err *e)
{
	struct folder_info *f = &j->l->folders[i];
	const struct naming *m = &j->a->names[i];
	struct audit_box *b = new_box(j);
	const struct target_box *box;

	b->folder[SIDE_SOURCE] = f;
	b->name = f->name;
	if (m->outcome != NULL) {
		b->outcome = strcmp(m->outcome, "excluded") == 0 ? "excluded" :
		    "unreadable";
		b->why = m->why;
		if (m->name != NULL) {
			b->target = m->name;
			b->folder[SIDE_TARGET] = listed(j, m->name);
		}
		return 0;
	}
	for (struct pair *p = j->a->pairs; p != NULL; p = p->next)
		if (strcmp(p->src_key, j->l->folder_keys[i]) == 0)
			b->pair = p;
	if (b->pair == NULL)
		return 0;
	b->target = b->pair->tgt_name;
	box = account_box(j->l, j->a, b->pair);
	if (box != NULL && !box->noselect) {
		b->folder[SIDE_TARGET] = listed(j, box->name);
		if (b->folder[SIDE_TARGET] == NULL)
			b->folder[SIDE_TARGET] = unlisted(j, box);
	} else
		b->folder[SIDE_TARGET] = listed(j, b->pair->tgt_name);
	if (b->folder[SIDE_TARGET] != NULL &&
	    b->folder[SIDE_TARGET]->refused != NULL) {
		b->outcome = "unreadable";
		b->why = b->folder[SIDE_TARGET]->refused;
	}
	return load_row(j, b, e);
}

static bool
is_taken(const struct audit_job *j, const struct folder_info *f)
{
	for (size_t i = 0; i < j->n; i++)
		if (j->boxes[i].folder[SIDE_TARGET] == f)
			return true;
	return false;
}

/* What the target has besides; of what copy put under a prefix only that. */
static void
add_target_boxes(struct audit_job *j)
{
	const char *prefix = config_uri_get(j->a->tgt_uri, "prefix");
	size_t own = j->n, len = prefix != NULL ? strlen(prefix) : 0;

	for (size_t i = 0; i < j->nlisting; i++) {
		struct folder_info *f = &j->listing[i];
		struct audit_box *b;

		j->n = own;
		if (f->noselect || f->class != FOLDER_MAIL || is_taken(j, f) ||
		    (len > 0 && strncmp(f->name, prefix, len) != 0))
			continue;
		b = new_box(j);
		b->folder[SIDE_TARGET] = f;
		b->target = f->name;
		if (f->refused != NULL) {
			b->outcome = "unreadable";
			b->why = f->refused;
		}
		own = j->n;
	}
	j->n = own;
}

static int
make_boxes(struct audit_job *j, struct err *e)
{
	j->boxes = xcalloc(j->l->nfolders + j->nlisting + 1,
	    sizeof *j->boxes);
	j->n = 0;
	for (size_t i = 0; i < j->l->nfolders; i++)
		if (!j->l->folders[i].noselect && add_source_box(j, i, e) ==
		    -1)
			return -1;
	add_target_boxes(j);
	return same_target(j, e);
}

static bool
is_server(const struct uri *uri)
{
	return uri->host != NULL || strcmp(uri->scheme, "doveadm") == 0 ||
	    strcmp(uri->scheme, "cyrus") == 0;
}

/* RFC822.SIZE says the same at both sides; files may have LF for CR LF. */
static bool
sizes_compare(const struct audit_job *j)
{
	return is_server(j->a->src_uri) && is_server(j->a->tgt_uri);
}

/* By what the listings say, or else by counting. */
static int
count_side(struct audit_job *j, struct audit_box *b, enum side side,
    uint64_t *n, struct err *e)
{
	struct folder_info *f = b->folder[side];
	enum delta delta;
	int rc;

	*n = 0;
	if (f == NULL)
		return 0;
	*n = f->messages;
	if (*n != UNKNOWN64)
		return 0;
	if (side == SIDE_SOURCE)
		return pair_count(j->l, f, b->state_id, UINT64_MAX, n, e);
	rc = audit_open(j, b, side, NULL, &delta, e);
	if (rc == 0)
		rc = source_folder_count(j->l->eyes, n, e);
	source_folder_close(j->l->eyes);
	return rc;
}

static int
count_box(struct audit_job *j, struct audit_box *b, struct err *e)
{
	uint64_t s, t;

	if (count_side(j, b, SIDE_SOURCE, &s, e) == -1 ||
	    count_side(j, b, SIDE_TARGET, &t, e) == -1)
		return -1;
	b->counts.source = s;
	b->counts.target = t;
	b->counts.n[V_EQUAL] = s < t ? s : t;
	if (s > t)
		b->counts.n[V_MISSING] = s - t;
	else
		b->counts.n[V_EXTRA] = t - s;
	return 0;
}

/* One that fails alone is listed, and the others go on. */
static int
box_failed(struct audit_job *j, struct audit_box *b, struct err *e)
{
	struct err ignored;

	if (e->scope > ERR_MAILBOX)
		return -1;
	b->outcome = e->cause == CAUSE_CHANGED ? "moving" : "unreadable";
	b->why = arena_strdup(&j->arena, e->text);
	b->moving = e->cause == CAUSE_CHANGED;
	memset(&b->counts, 0, sizeof b->counts);
	if (db_run(j->db, &ignored, "DELETE FROM item WHERE box = ?1", "i",
	    (int64_t)(b - j->boxes)) == -1) {
		*e = ignored;
		return -1;
	}
	return 0;
}

static int
load_box(struct audit_job *j, struct audit_box *b, struct err *e)
{
	int rc;

	b->sizes = sizes_compare(j) && j->audit->level != AUDIT_CONTENT;
	rc = audit_load(j, b, e);
	if (rc == -1 && e->cause == CAUSE_CHANGED && !b->reloaded) {
		b->reloaded = true;
		rc = audit_load(j, b, e);
	}
	return rc == -1 ? box_failed(j, b, e) : 0;
}

static int
load_all(struct audit_job *j, struct err *e)
{
	for (size_t i = 0; i < j->n; i++) {
		struct audit_box *b = &j->boxes[i];

		if (b->outcome != NULL) {
			uint64_t n;

			if (strcmp(b->outcome, "excluded") != 0)
				continue;
			if (count_side(j, b, SIDE_SOURCE, &n, e) == -1) {
				if (e->scope > ERR_MAILBOX)
					return -1;
				n = 0;
			}
			b->counts.source = b->counts.n[V_EXPECTED] = n;
		} else if (j->audit->level == AUDIT_COUNTS) {
			if (count_box(j, b, e) == -1 && box_failed(j, b, e) ==
			    -1)
				return -1;
		} else if (load_box(j, b, e) == -1)
			return -1;
	}
	return 0;
}

/* Has something changed in a mailbox that is not as it should be?  Then it is
 * read once more; what changes then, too, is moving. */
static int
settle(struct audit_job *j, bool *again, struct err *e)
{
	sqlite3_stmt *st = db_query(j->db, e, "SELECT DISTINCT box FROM rest"
	    " ORDER BY box", "");
	bool changed;
	int rc;

	*again = false;
	if (st == NULL)
		return -1;
	while ((rc = db_step(j->db, st, e)) == 1) {
		struct audit_box *b = &j->boxes[sqlite3_column_int64(st, 0)];

		rc = audit_changed(j, b, &changed, e);
		if (rc == -1 && e->scope > ERR_MAILBOX)
			break;
		if (rc == -1 || changed) {
			b->moving = b->reloaded;
			*again = *again || !b->reloaded;
			b->reloaded = true;
		} else if (b->reloaded)
			b->reloaded = false;	/* it holds still by now */
	}
	db_done(st);
	return rc == -1 ? -1 : 0;
}

/* All items are there: what are they? */
static int
compare(struct audit_job *j, struct err *e)
{
	bool again;

	if (audit_match(j, e) == -1 || settle(j, &again, e) == -1)
		return -1;
	if (!again)
		return 0;
	for (size_t i = 0; i < j->n; i++)
		if (j->boxes[i].reloaded && j->boxes[i].outcome == NULL &&
		    load_box(j, &j->boxes[i], e) == -1)
			return -1;
	j->sample = (struct audit_sample){ 0 };
	if (audit_match(j, e) == -1)
		return -1;
	return settle(j, &again, e);
}

static const char *
outcome_of(const struct audit_box *b)
{
	bool bad = b->facts > 0;

	if (b->outcome != NULL)
		return b->outcome;
	for (int v = 0; v < VERDICTS; v++)
		bad = bad || (VERDICTS_BAD >> v & 1 && b->counts.n[v] > 0);
	if (b->moving)
		return "moving";
	if (bad && b->folder[SIDE_SOURCE] != NULL && b->folder[SIDE_TARGET] ==
	    NULL)
		return "missing";
	if (b->folder[SIDE_SOURCE] == NULL)
		return bad ? "extra" : "equal";
	return bad ? "different" : "equal";
}

static void
add_counts(struct audit_counts *to, const struct audit_counts *c)
{
	for (int v = 0; v < VERDICTS; v++)
		to->n[v] += c->n[v];
	to->source += c->source;
	to->target += c->target;
	to->source_bytes += c->source_bytes;
	to->target_bytes += c->target_bytes;
}

/* Mailboxes that nobody misses: the target made them, and they are empty. */
static bool
is_silent(const struct audit_box *b)
{
	return b->folder[SIDE_SOURCE] == NULL && b->outcome == NULL &&
	    b->counts.target == 0;
}

static int
tell_boxes(struct audit_job *j, struct audit_row_account *row, struct err *e)
{
	for (size_t i = 0; i < j->n; i++) {
		struct audit_box *b = &j->boxes[i];
		struct audit_row_box r = { .id = b->result,
		    .outcome = outcome_of(b), .why = b->why,
		    .counts = b->counts };

		if (is_silent(b))
			continue;
		if (results_box_set(j->audit->results, &r, e) == -1)
			return -1;
		add_counts(&row->counts, &b->counts);
		row->mailboxes++;
		if (strcmp(r.outcome, "unreadable") == 0 ||
		    strcmp(r.outcome, "moving") == 0)
			row->outcome = "unaudited";
		else if (strcmp(r.outcome, "equal") != 0 &&
		    strcmp(r.outcome, "excluded") != 0 &&
		    strcmp(row->outcome, "equal") == 0)
			row->outcome = "different";
	}
	return 0;
}

/* In one piece, when all of the account is known. */
static int
tell_all(struct audit_job *j, struct audit_row_account *row, struct err *e)
{
	struct audit_results *r = j->audit->results;

	for (size_t i = 0; i < j->n; i++) {
		struct audit_row_box box = { .account = row->id,
		    .name = j->boxes[i].name, .target = j->boxes[i].target };

		if (!is_silent(&j->boxes[i]) && results_box(r, &box,
		    &j->boxes[i].result, e) == -1)
			return -1;
	}
	row->outcome = "equal";
	if ((j->audit->level != AUDIT_COUNTS && audit_judge(j, e) == -1) ||
	    audit_facts(j, e) == -1 || tell_warnings(j, e) == -1)
		return -1;
	if (j->facts > 0)
		row->outcome = "different";
	return tell_boxes(j, row, e);
}

static int
results_of(struct audit_job *j, struct audit_row_account *row, struct err *e)
{
	struct audit_results *r = j->audit->results;
	struct err ignored;
	int rc;

	if (results_begin(r, e) == -1)
		return -1;
	rc = row->outcome == NULL ? tell_all(j, row, e) : 0;
	if (rc == 0)
		rc = results_account(r, row, e);
	if (rc == 0 && row->error == NULL) {
		j->audit->sample.compared += j->sample.compared;
		j->audit->sample.differ += j->sample.differ;
		j->audit->sample.of += j->sample.of;
	}
	if (results_end(r, rc == 0 ? e : &ignored) == -1)
		rc = -1;
	return rc;
}

static int
steps(struct audit_job *j, struct err *e)
{
	if (open_account(j, e) == -1 || open_eyes(j, e) == -1)
		return -1;
	if (make_boxes(j, e) == -1 || load_all(j, e) == -1 ||
	    check_store(j, e) == -1)
		return -1;
	if (j->audit->level != AUDIT_COUNTS && compare(j, e) == -1)
		return -1;
	lane_flush_notes(j->l);
	return state_sync(j->l->run->state, e);
}

static int
begin(struct audit_job *j, struct err *e)
{
	arena_init(&j->a->arena);
	arena_init(&j->arena);
	j->measure = measure_new();
	memset(&j->a->info, 0, sizeof j->a->info);
	j->a->info.quota_bytes = UNKNOWN64;
	j->a->outcome = NULL;
	if (db_open(&j->db, NULL, DB_TEMP, e) == -1 ||
	    audit_tables(j->db, e) == -1)
		return -1;
	return state_scratch_take(j->l->run->state, j->a->name, e);
}

static void
end(struct audit_job *j)
{
	lane_close_stores(j->l);
	changes_free(j->l->notes);
	j->l->notes = NULL;
	for (size_t i = 0; i < j->n; i++) {
		buf_release(&j->boxes[i].token[SIDE_SOURCE]);
		buf_release(&j->boxes[i].token[SIDE_TARGET]);
		buf_release(&j->boxes[i].row.token);
	}
	free(j->boxes);
	measure_free(&j->measure);
	db_close(&j->db);
	arena_release(&j->arena);
	arena_release(&j->a->arena);
	j->a->pairs = NULL;
	j->a->names = NULL;
}

/* What a failure means for the host, the login, and another try. */
static bool
is_passing(struct audit_job *j, const struct err *why)
{
	struct plan_account *pa = j->pa;
	struct lane *l = j->l;

	if (why->cause == CAUSE_AUTH)
		pa->refused[why->at_target] = true;
	if (l->trouble == TROUBLE_NONE && why->scope == ERR_HOST)
		l->trouble = host_trouble(&l->at[why->at_target], why, false);
	pa->held = l->trouble == TROUBLE_CAP || l->trouble == TROUBLE_HOLD;
	l->trouble = TROUBLE_NONE;
	return why->retry && why->cause != CAUSE_AUTH;
}

/* One try; 1: *again, it may be worth another. */
static int
try_account(struct audit_job *j, bool last, bool *again, struct err *e)
{
	struct audit_row_account row = { .id = (int64_t)j->a->place + 1,
	    .name = j->a->name };
	char *src = uri_show(j->a->src_uri), *tgt = uri_show(j->a->tgt_uri);
	struct err why;
	int rc = begin(j, e);

	row.source = src;
	row.target = tgt;
	*again = false;
	if (rc == 0 && steps(j, &why) == -1) {
		if (why.scope == ERR_RUN) {
			*e = why;
			rc = -1;
		} else {
			row.again = is_passing(j, &why);
			*again = j->pa->held || (row.again && !last);
			row.outcome = "unaudited";
			row.error = why.text;
		}
	}
	row.stage = j->audit->state_uri != NULL ? j->a->row.stage : "";
	if (rc == 0 && !*again)
		rc = results_of(j, &row, e);
	if (rc == 0 && !*again)
		j->pa->ready = true;
	end(j);
	free(src);
	free(tgt);
	return rc;
}

int
audit_account(struct plan *plan, struct lane *l, struct plan_account *pa,
    struct err *e)
{
	bool again;

	pa->held = pa->ready = false;
	memset(pa->opened, 0, sizeof pa->opened);
	memset(pa->refused, 0, sizeof pa->refused);
	l->trouble = TROUBLE_NONE;
	for (unsigned try = 1;; try++) {
		struct audit_job j = { .audit = plan->look_ctx, .l = l,
		    .a = pa->account, .pa = pa };

		if (try_account(&j, try == TRIES, &again, e) == -1)
			return -1;
		if (!again || pa->held)
			return 0;
		lane_sleep(l, 500 << try);
	}
}
