/* --delete: which messages were deleted at the source. */
#include <inttypes.h>
#include <string.h>

#include "account.h"
#include "base/fault.h"
#include "removal_impl.h"
#include "stage.h"

bool
removal_wanted(const struct lane *l)
{
	return l->run->set->delete != DELETE_NO && !stage_only_adds(l);
}

uint64_t
removal_limit(const struct lane *l, uint64_t messages)
{
	uint64_t limit = l->run->set->delete_limit;

	if (limit == UNKNOWN64)
		return messages / 10 > 20 ? messages / 10 : 20;
	if (limit & LIMIT_PERCENT)
		return messages * (limit & ~LIMIT_PERCENT) / 100;
	return limit;
}

int
removal_begin(struct walk *w, struct err *e)
{
	int64_t n;

	w->rows_met = 0;
	if (db_number(w->l->reader, e, &n, 0, "SELECT count(*) FROM message"
	    " WHERE mailbox_id = ?1 AND outcome IN (1, 2)", "i", w->p->id) ==
	    -1)
		return -1;
	w->rows_before = (uint64_t)n;
	return db_run(w->l->scratch, e, "DELETE FROM met", "");
}

int
removal_met(struct walk *w, const void *key, size_t key_len, struct err *e)
{
	if (w->adopting || w->rows_before == 0 || !removal_wanted(w->l))
		return 0;
	return db_run(w->l->scratch, e, "INSERT OR IGNORE INTO met VALUES"
	    " (?1)", "b", key, key_len);
}

/* Why nothing can be said of what was deleted; NULL: something can. */
static const char *
why_not(const struct walk *w, bool complete)
{
	const struct tally *t = &w->tally;

	if (fault_mutated("removal-complete"))
		return NULL;
	if (!complete || t->counts[OUT_FAILED] > 0 ||
	    t->counts[OUT_VANISHED] > 0 || w->keyless)
		return "the source mailbox could not be read completely";
	if ((w->some ? w->base_met : w->rows_met) == 0)
		return "the source mailbox has none of its messages any more";
	if (w->row.src_uidvalidity != 0 && w->folder->uidvalidity != 0 &&
	    w->row.src_uidvalidity != w->folder->uidvalidity)
		return "the source mailbox has another UIDVALIDITY";
	return NULL;
}

struct found {
	struct arena	 arena;
	int64_t		 mailbox_id, pass;
	struct gone { struct gone *next; const void *key; size_t len;
	    int64_t uid; } *first;
	uint64_t	 n;
};

/* Rows whose message was not met, or is known to be gone; no more than max
 * + 1. */
static int
find(struct walk *w, struct found *f, uint64_t max, struct err *e)
{
	struct db *db = w->some ? w->l->scratch : w->l->reader;
	sqlite3_stmt *st = w->some ? db_query(db, e, "SELECT key, uid FROM gone"
	    " WHERE uid > 0", "") : db_query(db, e, "SELECT key, tgt_uid FROM"
	    " message WHERE mailbox_id = ?1 AND outcome IN (1, 2) AND tgt_uid"
	    " > 0", "i", w->p->id);
	int64_t met = 0;
	int rc;

	if (st == NULL)
		return -1;
	while (f->n <= max && (rc = db_step(db, st, e)) == 1) {
		size_t len = (size_t)sqlite3_column_bytes(st, 0);
		const void *key = sqlite3_column_blob(st, 0);
		struct gone *g;

		if (!w->some && db_number(w->l->scratch, e, &met, 0, "SELECT 1"
		    " FROM met WHERE key = ?1", "b", key, len) == -1) {
			rc = -1;
			break;
		}
		if (met != 0)
			continue;
		g = arena_alloc(&f->arena, sizeof *g);
		g->key = arena_memdup0(&f->arena, key, len);
		g->len = len;
		g->uid = sqlite3_column_int64(st, 1);
		g->next = f->first;
		f->first = g;
		f->n++;
		rc = 0;
	}
	db_done(st);
	return f->n > max ? 0 : rc;
}

static int
apply_found(struct db *db, void *arg, struct err *e)
{
	const struct found *f = arg;

	if (db_run(db, e, "DELETE FROM removal WHERE mailbox_id = ?1 AND state"
	    " = 0", "i", f->mailbox_id) == -1)
		return -1;
	for (struct gone *g = f->first; g != NULL; g = g->next)
		if (db_run(db, e, "INSERT OR REPLACE INTO removal (mailbox_id,"
		    " key, uid, pass) VALUES (?1, ?2, ?3, ?4)", "ibii",
		    f->mailbox_id, g->key, g->len, g->uid, f->pass) == -1)
			return -1;
	return 0;
}

int
removal_collect(struct walk *w, bool complete, struct err *e)
{
	struct lane *l = w->l;
	struct found f = { .mailbox_id = w->p->id,
	    .pass = state_pass(l->run->state) };
	uint64_t limit = removal_limit(l, w->rows_before);
	const char *why;
	int rc = 0;

	/* All that the token knew is there. */
	w->gone = w->some ? token_gone(&w->row.token) || w->base_gone > 0 :
	    w->rows_met < w->rows_before;
	if (!w->gone || (w->some && w->base_gone == 0) || !removal_wanted(l))
		return 0;
	if ((why = why_not(w, complete)) != NULL) {
		lane_note(l, "warn", "delete", "%s: nothing is removed at the "
		    "target", why);
		return 0;
	}
	arena_init(&f.arena);
	rc = find(w, &f, limit, e);
	if (rc == 0 && f.n > limit && !fault_mutated("removal-limit"))
		lane_note(l, "warn", "delete", "more than %" PRIu64 " of %"
		    PRIu64 " messages were deleted at the source: nothing is "
		    "removed at the target; --delete-limit allows more",
		    limit, w->rows_before);
	else if (rc == 0)
		rc = state_call(l->run->state, apply_found, &f, e);
	arena_release(&f.arena);
	return rc;
}
