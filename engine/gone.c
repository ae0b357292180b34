/* What is gone from a source mailbox, without a listing of it. */
#include "gone.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fault.h"
#include "removal.h"

struct sweep {
	struct walk	*w;
	const struct uid_range *r;
	size_t		 n;
	uint32_t	 below;
	uint64_t	 there;		/* rows whose message is still there */
};

static int
cmp_range(const void *key, const void *elem)
{
	uint32_t uid = *(const uint32_t *)key;
	const struct uid_range *r = elem;

	return uid < r->first ? -1 : uid > r->last;
}

/* One row: it counts, or its message is gone. */
static int
sweep_row(struct sweep *s, sqlite3_stmt *st, struct err *e)
{
	struct tally *t = &s->w->base;
	uint32_t uid = (uint32_t)sqlite3_column_int64(st, 1);
	int outcome = sqlite3_column_int(st, 2);
	bool copied = outcome == OUT_COPIED || outcome == OUT_PRESENT;

	if (outcome <= OUT_NONE || outcome >= OUTCOMES)
		return 0;
	if (bsearch(&uid, s->r, s->n, sizeof *s->r, cmp_range) != NULL) {
		s->there++;
		t->counts[outcome]++;
		t->bytes += (uint64_t)sqlite3_column_int64(st, 3);
		t->crlf_bytes += (uint64_t)sqlite3_column_int64(st, 4);
		t->stripped += (sqlite3_column_int(st, 5) & ODD_STRIPPED) != 0;
		s->w->base_met += copied;
		return 0;
	}
	if (!copied)
		return 0;
	s->w->base_gone++;
	return !removal_wanted(s->w->l) ? 0 : db_run(s->w->l->scratch, e,
	    "INSERT OR IGNORE INTO gone VALUES (?1, ?2)", "bi",
	    sqlite3_column_blob(st, 0), (size_t)sqlite3_column_bytes(st, 0),
	    sqlite3_column_int64(st, 6));
}

/* The rows that the token knows, held against what is still there. */
static int
sweep(struct sweep *s, struct err *e)
{
	struct walk *w = s->w;
	struct db *db = w->l->reader;
	sqlite3_stmt *st = db_query(db, e, "SELECT key, src_uid, outcome, size,"
	    " crlf_size, ifnull(oddities, 0), tgt_uid FROM message WHERE"
	    " mailbox_id = ?1 AND src_uid > 0 AND src_uid < ?2", "ii",
	    w->p->id, (int64_t)s->below);
	char key[40];
	int rc;

	if (st == NULL)
		return -1;
	while ((rc = db_step(db, st, e)) == 1) {
		int n = snprintf(key, sizeof key, "%u.%u",
		    w->folder->uidvalidity,
		    (uint32_t)sqlite3_column_int64(st, 1));

		/* That of another UIDVALIDITY is another message's. */
		if (sqlite3_column_bytes(st, 0) != n ||
		    memcmp(sqlite3_column_blob(st, 0), key, (size_t)n) != 0)
			continue;
		if (sweep_row(s, st, e) == -1) {
			rc = -1;
			break;
		}
	}
	db_done(st);
	return rc;
}

int
gone_begin(struct walk *w, struct err *e)
{
	struct sweep s = { .w = w };
	uint64_t still = 0;
	int rc;

	memset(&w->base, 0, sizeof w->base);
	memcpy(w->base.counts, w->row.counts, sizeof w->base.counts);
	w->base.bytes = w->row.bytes;
	w->base.crlf_bytes = w->row.crlf_bytes;
	w->base.stripped = w->row.stripped;
	w->base_source = w->row.source;
	w->base_met = w->base_gone = 0;
	if (db_run(w->l->scratch, e, "DELETE FROM gone", "") == -1)
		return -1;
	rc = source_still(w->l->src, &s.r, &s.n, &s.below, e);
	if (rc != 1 || fault_mutated("still"))
		return rc == -1 ? -1 : 1;
	memset(&w->base, 0, sizeof w->base);
	for (size_t i = 0; i < s.n; i++)
		still += (uint64_t)s.r[i].last - s.r[i].first + 1;
	w->base_source = still;
	if (sweep(&s, e) == -1)
		return -1;
	return s.there == still;
}
