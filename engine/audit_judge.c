/* Verdicts: what each message that is not equal is, told to the results. */
#include "audit_impl.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* A row of rest, or the part of a pair. */
struct half {
	bool		 there;
	int64_t		 n, box, uid, at, date, flags, kw, csize, bits;
	int64_t		 alike[2];
};

struct judging {
	struct audit_job *j;
	int64_t		 account;
	struct half	 s, t;
	enum how	 how;
	struct buf	 detail, diff;
	const char	*cause;
	uint64_t	 shown[VERDICTS];	/* of the box */
	int64_t		 shown_box;
	bool		 zone;		/* its dates are all shifted */
	int64_t		 zone_box;
};

static const char *const flag_names[] = { "\\Seen", "\\Answered",
	"\\Flagged", "\\Deleted", "\\Draft" };

static void
begin_words(struct buf *b)
{
	if (b->len > 0)
		buf_adds(b, "; ");
}

static void
put_flags(struct buf *b, unsigned flags)
{
	bool any = false;

	for (size_t i = 0; i < sizeof flag_names / sizeof *flag_names; i++)
		if (flags & 1u << i) {
			buf_addf(b, "%s%s", any ? " " : "", flag_names[i]);
			any = true;
		}
	if (!any)
		buf_adds(b, "none");
}

/* "none", or the words; they are as hostile as their store. */
static int
put_keywords(struct judging *g, int64_t id, struct err *e)
{
	sqlite3_stmt *st;
	int rc;

	if (id == 0) {
		buf_adds(&g->detail, "none");
		return 0;
	}
	st = db_query(g->j->db, e, "SELECT words FROM keywords WHERE id = ?1",
	    "i", id);
	if (st == NULL)
		return -1;
	if ((rc = db_step(g->j->db, st, e)) == 1)
		buf_adds(&g->detail, db_text(st, 0));
	db_done(st);
	return rc == -1 ? -1 : 0;
}

static void
put_date(struct buf *b, int64_t date)
{
	time_t when = (time_t)date;
	struct tm tm;
	char text[40];

	if (date != NO_DATE && gmtime_r(&when, &tm) != NULL &&
	    strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &tm) > 0)
		buf_adds(b, text);
	else
		buf_adds(b, "none");
}

static void
put_shift(struct buf *b, int64_t shift)
{
	uint64_t s = shift < 0 ? (uint64_t)-shift : (uint64_t)shift;
	const char *way = shift < 0 ? "earlier" : "later";

	if (s % 60 == 0 && s / 3600 < 48)
		buf_addf(b, "%" PRIu64 ":%02" PRIu64 " h %s", s / 3600, s %
		    3600 / 60, way);
	else
		buf_addf(b, "%" PRIu64 " s %s", s, way);
}

/* Is the message that should be there the one that is here? */
static int
is_swapped(struct judging *g, bool *yes, struct err *e)
{
	int64_t n;

	if (db_number(g->j->db, e, &n, 0, "SELECT count(*) FROM rest AS s JOIN"
	    " rest AS t ON t.n = s.pair WHERE s.box = ?1 AND s.side = 0 AND"
	    " s.at = ?2 AND t.uid = ?3", "iii", g->s.box, g->t.uid,
	    g->s.at) == -1)
		return -1;
	*yes = n > 0;
	return 0;
}

/* A whole mailbox whose dates are off by hours. */
static int
find_zone(struct judging *g, int64_t box, struct err *e)
{
	uint64_t all = g->j->boxes[box].counts.source;
	struct db *db = g->j->db;
	int64_t n = 0, kinds = 0, odd = 0;
	sqlite3_stmt *st;
	int rc;

	if (g->zone_box == box)
		return 0;
	g->zone_box = box;
	st = db_query(db, e, "SELECT count(*), count(DISTINCT t.date -"
	    " s.date), sum((t.date - s.date) % 900 <> 0 OR abs(t.date - s.date)"
	    " > 50400) FROM rest AS s JOIN rest AS t ON t.n = s.pair WHERE"
	    " s.box = ?1 AND s.side = 0 AND s.how = ?2 AND s.date <> t.date"
	    " AND s.date <> ?3", "iii", box, (int64_t)HOW_SAME, NO_DATE);
	if (st == NULL)
		return -1;
	if ((rc = db_step(db, st, e)) == 1) {
		n = sqlite3_column_int64(st, 0);
		kinds = sqlite3_column_int64(st, 1);
		odd = sqlite3_column_int64(st, 2);
	}
	db_done(st);
	g->zone = n >= 3 && kinds <= 2 && odd == 0 && (uint64_t)n * 2 > all;
	return rc == -1 ? -1 : 0;
}

/* Verdicts that a difference may have because of stage and rules. */
static void
worse(enum verdict *v, enum verdict other)
{
	/* The first of the bad ones; expected and since only for want of
	 * these. */
	if (*v == V_EQUAL || ((*v == V_EXPECTED || *v == V_SINCE) && other >
	    V_SINCE) || (*v == V_EXPECTED && other == V_SINCE) ||
	    (other > V_SINCE && other < *v))
		*v = other;
}

static void
set_cause(struct judging *g, const char *cause)
{
	if (*g->cause == '\0')
		g->cause = cause;
}

/* What both sides keep beside the content. */
static int
compare_facts(struct judging *g, enum verdict *v, struct err *e)
{
	const struct half *s = &g->s, *t = &g->t;
	bool released = g->j->released, swapped;

	if (s->csize != 0 && t->csize != 0 && s->csize != t->csize) {
		worse(v, V_ALTERED);
		begin_words(&g->detail);
		buf_addf(&g->detail, "%" PRId64 " bytes, not %" PRId64,
		    t->csize, s->csize);
		set_cause(g, "size");
	}
	if (s->at != 0 && t->at != 0 && s->at != t->uid) {
		if (is_swapped(g, &swapped, e) == -1)
			return -1;
		worse(v, V_UID);
		begin_words(&g->detail);
		buf_addf(&g->detail, "UID %" PRId64 ", not %" PRId64 "%s",
		    t->uid, s->at, swapped ? ": two messages are swapped" :
		    "");
		if (swapped)
			set_cause(g, "swapped");
	}
	if (s->flags != t->flags) {
		worse(v, released && s->bits & ITEM_FLAGS_GIVEN ? V_SINCE :
		    V_FLAGS);
		begin_words(&g->detail);
		buf_adds(&g->detail, "flags ");
		put_flags(&g->detail, (unsigned)t->flags);
		buf_adds(&g->detail, ", not ");
		put_flags(&g->detail, (unsigned)s->flags);
	}
	if (s->kw != t->kw) {
		worse(v, released && s->bits & ITEM_KW_GIVEN ? V_SINCE :
		    s->bits & ITEM_KW_DROPPED ? V_EXPECTED : V_KEYWORDS);
		if (s->bits & ITEM_KW_DROPPED)
			set_cause(g, "keyword");
		begin_words(&g->detail);
		buf_adds(&g->detail, "keywords ");
		if (put_keywords(g, t->kw, e) == -1)
			return -1;
		buf_adds(&g->detail, ", not ");
		if (put_keywords(g, s->kw, e) == -1)
			return -1;
	}
	/* A source without a date leaves it to the target. */
	if (s->date == t->date || s->date == NO_DATE)
		return 0;
	if (find_zone(g, s->box, e) == -1)
		return -1;
	worse(v, s->bits & ITEM_CLAMPED ? V_EXPECTED : V_DATE);
	if (*v == V_DATE && g->zone)
		set_cause(g, "zone");
	else if (s->bits & ITEM_CLAMPED)
		set_cause(g, "clamped");
	begin_words(&g->detail);
	buf_adds(&g->detail, "date ");
	put_date(&g->detail, t->date);
	buf_adds(&g->detail, ", not ");
	put_date(&g->detail, s->date);
	if (t->date != NO_DATE) {
		buf_adds(&g->detail, ", ");
		put_shift(&g->detail, t->date - s->date);
	}
	return 0;
}

static void
form_of(sqlite3_stmt *st, int column, struct audit_form *f)
{
	unsigned char *const digests[] = { f->exact, f->lines, f->nul,
	    f->from };

	memset(f, 0, sizeof *f);
	f->header = (const char *)sqlite3_column_blob(st, column);
	f->header_len = (size_t)sqlite3_column_bytes(st, column);
	if (f->header == NULL)
		f->header = "";
	f->body = (const char *)sqlite3_column_blob(st, column + 1);
	f->body_len = (size_t)sqlite3_column_bytes(st, column + 1);
	for (int i = 0; i < 4; i++)
		if (sqlite3_column_bytes(st, column + 2 + i) == DIGEST_LEN)
			memcpy(digests[i], sqlite3_column_blob(st, column + 2 +
			    i), DIGEST_LEN);
}

/* What of its bytes is another. */
static int
compare_forms(struct judging *g, struct err *e)
{
	struct audit_form s, t;
	struct db *db = g->j->db;
	sqlite3_stmt *st = db_query(db, e, "SELECT s.header, s.body, s.exact,"
	    " s.lines, s.nul, s.unfrom, t.header, t.body, t.exact, t.lines,"
	    " t.nul, t.unfrom, s.loose IS NULL OR t.loose IS NULL FROM rest AS"
	    " s, rest AS t WHERE s.n = ?1 AND t.n = ?2", "ii", g->s.n,
	    g->t.n);
	int rc;

	if (st == NULL)
		return -1;
	if ((rc = db_step(db, st, e)) == 1) {
		form_of(st, 0, &s);
		form_of(st, 6, &t);
		if (sqlite3_column_int(st, 12) != 0)
			buf_adds(&g->detail, "its content is another");
		else
			g->cause = audit_cause(&s, &t, &g->detail, &g->diff);
	}
	db_done(st);
	return rc == -1 ? -1 : 0;
}

/* Copy mends what a target refuses, and says so: 1 and the detail. */
static int
is_told(struct judging *g, const char *kind, struct err *e)
{
	struct audit_job *j = g->j;
	int64_t id = j->boxes[g->s.box].state_id;
	sqlite3_stmt *key, *st;
	int rc = 0;

	if (id == 0)
		return 0;
	key = db_query(j->db, e, "SELECT key FROM rest WHERE n = ?1", "i",
	    g->s.n);
	if (key == NULL)
		return -1;
	if ((rc = db_step(j->db, key, e)) == 1) {
		st = db_query(j->l->reader, e, "SELECT ifnull(reason, '') FROM"
		    " known.issue WHERE mailbox_id = ?1 AND kind = ?3 AND key ="
		    " ?2", "ibs", id, sqlite3_column_blob(key, 0),
		    (size_t)sqlite3_column_bytes(key, 0), kind);
		rc = st == NULL ? -1 : db_step(j->l->reader, st, e);
		if (rc == 1) {
			begin_words(&g->detail);
			buf_addf(&g->detail, "%s by copy: %s", kind,
			    db_text(st, 0));
		}
		if (st != NULL)
			db_done(st);
	}
	db_done(key);
	return rc;
}

static int
judge_pair(struct judging *g, enum verdict *v, struct err *e)
{
	struct audit_job *j = g->j;
	const struct audit_box *to = &j->boxes[g->t.box];
	int rc;

	switch (g->how) {
	case HOW_UNREAD:
		*v = V_UNREADABLE;
		buf_adds(&g->detail, g->s.bits & ITEM_UNREADABLE ?
		    "it cannot be read at the source" :
		    "it cannot be read at the target");
		return 0;
	case HOW_MOVED:
		*v = j->released && g->s.bits & ITEM_THERE ? V_SINCE :
		    V_MOVED;
		g->cause = *v == V_SINCE ? "moved" : "";
		buf_addf(&g->detail, "it is in %s", to->target);
		return 0;
	case HOW_ALTERED:
		*v = V_ALTERED;
		if (compare_forms(g, e) == -1 ||
		    (rc = is_told(g, "repaired", e)) == -1)
			return -1;
		if (rc == 1) {
			*v = V_EXPECTED;
			g->cause = "repaired";
		}
		return compare_facts(g, v, e);
	case HOW_ALONE:
	case HOW_SAME:
		break;
	}
	return compare_facts(g, v, e);
}

static int
judge_source(struct judging *g, enum verdict *v, struct err *e)
{
	const struct half *s = &g->s;
	int rc;

	if (s->bits & ITEM_UNREADABLE) {
		*v = V_UNREADABLE;
		buf_adds(&g->detail, "it cannot be read at the source");
		return 0;
	}
	if (s->bits & ITEM_REFUSED) {
		*v = V_EXPECTED;
		g->cause = "refused";
		rc = is_told(g, "refused", e);
		if (rc == 0)
			buf_adds(&g->detail, "the target refused it");
		return rc == -1 ? -1 : 0;
	}
	if (g->j->released && s->bits & ITEM_THERE) {
		*v = V_SINCE;
		g->cause = "deleted";
		buf_adds(&g->detail, "it was there, and has been deleted");
		return 0;
	}
	*v = V_MISSING;
	if (s->alike[0] > 1)
		buf_addf(&g->detail, "one of %" PRId64 " equal copies; the "
		    "target has %" PRId64, s->alike[0], s->alike[1]);
	return 0;
}

static void
judge_target(struct judging *g, enum verdict *v)
{
	const struct half *t = &g->t;
	const struct audit_box *b = &g->j->boxes[t->box];

	if (t->bits & ITEM_UNREADABLE) {
		*v = V_UNREADABLE;
		buf_adds(&g->detail, "it cannot be read at the target");
	} else if (g->j->released && (t->bits & ITEM_NEW ||
	    b->folder[SIDE_SOURCE] == NULL)) {
		*v = V_SINCE;
		g->cause = "new";
		buf_adds(&g->detail, "it has come since");
	} else if (t->alike[0] > 0) {
		*v = V_DUPLICATED;
		buf_addf(&g->detail, "the target has %" PRId64 " equal copies,"
		    " the source %" PRId64, t->alike[1], t->alike[0]);
	} else
		*v = V_EXTRA;
}

static void
read_half(sqlite3_stmt *st, int column, struct half *h)
{
	int64_t *const to[] = { &h->n, &h->box, &h->uid, &h->at, &h->date,
	    &h->flags, &h->kw, &h->csize, &h->bits, &h->alike[0],
	    &h->alike[1] };

	h->there = sqlite3_column_type(st, column) != SQLITE_NULL;
	for (size_t i = 0; i < sizeof to / sizeof *to; i++)
		*to[i] = sqlite3_column_int64(st, column + (int)i);
}

/* The row for the results. */
static int
tell(struct judging *g, enum verdict v, int64_t n, struct err *e)
{
	struct audit_job *j = g->j;
	int64_t at = g->s.there ? g->s.box : g->t.box;
	struct audit_row_difference d = { .account = g->account,
	    .box = j->boxes[at].result, .message = true, .verdict = v,
	    .cause = g->cause, .source_uid = (uint32_t)g->s.uid,
	    .target_uid = (uint32_t)g->t.uid, .detail = g->detail.ptr };
	sqlite3_stmt *st;
	int rc;

	if (at != g->shown_box)
		memset(g->shown, 0, sizeof g->shown);
	g->shown_box = at;
	if (j->audit->show != 0 && g->shown[v] >= j->audit->show)
		return 0;
	g->shown[v]++;
	st = db_query(j->db, e, "SELECT item.place, message_id, subject, size"
	    " FROM rest JOIN item ON item.id = item WHERE n = ?1", "i", n);
	if (st == NULL)
		return -1;
	if ((rc = db_step(j->db, st, e)) == 1) {
		d.where = db_text(st, 0);
		d.message_id = db_text(st, 1);
		d.subject = db_text(st, 2);
		d.size = (uint64_t)sqlite3_column_int64(st, 3);
		d.diff = j->audit->header_diff ? g->diff.ptr : "";
		rc = results_difference(j->audit->results, &d, e);
	}
	db_done(st);
	return rc;
}

static int
judge_row(struct judging *g, sqlite3_stmt *st, struct err *e)
{
	struct audit_job *j = g->j;
	struct audit_box *b;
	enum verdict v = V_EQUAL;
	int rc = 0;

	buf_reset(&g->detail);
	buf_reset(&g->diff);
	g->cause = "";
	read_half(st, 1, &g->s);
	read_half(st, 12, &g->t);
	g->how = (enum how)sqlite3_column_int(st, 0);
	b = &j->boxes[g->s.there ? g->s.box : g->t.box];
	if (g->s.there && g->t.there)
		rc = judge_pair(g, &v, e);
	else if (g->s.there)
		rc = judge_source(g, &v, e);
	else
		judge_target(g, &v);
	if (rc == -1)
		return -1;
	if (b->moving && VERDICTS_BAD >> v & 1)
		v = V_MOVING;
	if (v == V_SINCE && j->audit->as_of_release) {
		/* As it was when it was released. */
		if (g->s.there)
			b->counts.n[V_EQUAL]++;
		return 0;
	}
	b->counts.n[v]++;
	return v == V_EQUAL ? 0 : tell(g, v, g->s.there ? g->s.n : g->t.n, e);
}

#define HALF(a) a ".n, " a ".box, " a ".uid, " a ".at, " a ".date, "	\
	a ".flags, " a ".kw, " a ".csize, " a ".bits, ifnull("		\
	a ".alike0, 0), ifnull(" a ".alike1, 0)"

/* Of each mailbox: pairs and lone messages of the source in its order, then
 * lone ones of the target. */
static int
judge_rest(struct judging *g, struct err *e)
{
	struct db *db = g->j->db;
	sqlite3_stmt *st = db_query(db, e, "SELECT s.how, " HALF("s") ", "
	    HALF("t") ", s.box AS b, 0 AS side, s.item AS i FROM rest AS s LEFT"
	    " JOIN rest AS t ON t.n = s.pair WHERE s.side = 0 UNION ALL SELECT"
	    " t.how, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,"
	    " NULL, NULL, " HALF("t") ", t.box, 1, t.item FROM rest AS t"
	    " WHERE t.side = 1 AND t.pair = 0 ORDER BY b, side, i", "");
	int rc;

	if (st == NULL)
		return -1;
	while ((rc = db_step(db, st, e)) == 1)
		if (judge_row(g, st, e) == -1) {
			rc = -1;
			break;
		}
	db_done(st);
	return rc;
}

int
audit_judge(struct audit_job *j, struct err *e)
{
	struct judging g = { .j = j, .account = (int64_t)j->a->place + 1,
	    .shown_box = -1, .zone_box = -1 };
	int rc;

	buf_init(&g.detail, 4000);
	buf_init(&g.diff, 2 * AUDIT_HEADER);
	rc = judge_rest(&g, e);
	buf_release(&g.detail);
	buf_release(&g.diff);
	return rc;
}
