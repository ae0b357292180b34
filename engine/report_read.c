/* Reads the state for a report, section by section, as one moment has it. */
#include "report_impl.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "report_names.h"

#define ENDED	"outcome <> 'gone'"

/* What the rows of messages say is at the target, mailbox by mailbox: one walk
 * over them, as they are too many for more. */
static const char told_sql[] =
    "PRAGMA query_only=OFF;"
    "CREATE TEMP TABLE IF NOT EXISTS told (mailbox_id INTEGER PRIMARY KEY,"
    "  n INTEGER DEFAULT 0, bytes INTEGER DEFAULT 0,"
    "  others INTEGER DEFAULT 0, others_bytes INTEGER DEFAULT 0);"
    "DELETE FROM temp.told;";
static const char told_end[] = "PRAGMA query_only=ON;";
static const char told_messages[] =
    "INSERT INTO temp.told (mailbox_id, n, bytes) SELECT mailbox.id,"
    " count(*), sum(crlf_size) FROM mailbox CROSS JOIN message ON"
    " message.mailbox_id = mailbox.id WHERE message.outcome IN (1, 2) AND"
    " mailbox." ENDED " GROUP BY mailbox.id;";
static const char told_others[] =
    "INSERT INTO temp.told (mailbox_id, others, others_bytes) SELECT"
    " mailbox.id, count(*), ifnull(sum(size), 0) FROM mailbox CROSS JOIN"
    " extra ON extra.mailbox_id = mailbox.id WHERE taken = 0 AND"
    " mailbox." ENDED " GROUP BY mailbox.id ON CONFLICT DO UPDATE SET others ="
    " excluded.others, others_bytes = excluded.others_bytes;";

static bool
wants(const struct report *r, enum report_section s)
{
	/* At its end a copy tells what has become of the mail, no more. */
	if (r->opt->brief && s != REP_ACCOUNTS && s != REP_PROBLEMS)
		return false;
	return (r->sink->sections & 1u << s) != 0;
}

static void
begin(struct report *r, enum report_section s)
{
	r->section = s;
	if (r->sink->begin != NULL)
		r->sink->begin(r, s);
}

static void
end(struct report *r, enum report_section s)
{
	if (r->sink->end != NULL)
		r->sink->end(r, s);
}

static void
read_counts(sqlite3_stmt *st, int column, struct rep_counts *c)
{
	c->source = sqlite3_column_int64(st, column);
	c->n[OUT_NONE] = 0;
	for (int i = 1; i < OUTCOMES; i++)
		c->n[i] = sqlite3_column_int64(st, column + i);
}

/* Cyrus keeps the CRLF form; how others store it is their affair. */
static bool
stores_crlf(const char *target)
{
	return strncmp(target, "cyrus:", 6) == 0;
}

/* Seven columns: stored and CRLF bytes of the source, then told's. */
static void
read_sides(sqlite3_stmt *st, int column, const struct rep_counts *c, bool crlf,
    struct rep_sides *s)
{
	s->source = c->source - c->n[OUT_EXCLUDED];
	s->source_stored = sqlite3_column_int64(st, column);
	s->source_crlf = sqlite3_column_int64(st, column + 1);
	s->target = sqlite3_column_int64(st, column + 2);
	s->target_crlf = sqlite3_column_int64(st, column + 3);
	s->target_stored = crlf ? s->target_crlf : -1;
	s->others = sqlite3_column_int64(st, column + 4);
	s->others_crlf = sqlite3_column_int64(st, column + 5);
}

/* The totals of both sides; told is filled in for what follows. */
static int
read_told(struct report *r, struct err *e)
{
	struct rep_head *h = &r->head;
	sqlite3_stmt *st;
	int64_t others;

	if (db_script(r->db, told_sql, e) == -1 || (!r->opt->brief &&
	    (db_script(r->db, told_messages, e) == -1 ||
	    db_script(r->db, told_others, e) == -1)) ||
	    db_script(r->db, told_end, e) == -1)
		return -1;
	st = db_query(r->db, e, "SELECT ifnull(sum(n), 0),"
	    " ifnull(sum(bytes), 0), ifnull(sum(others), 0),"
	    " ifnull(sum(others_bytes), 0) FROM temp.told", "");
	if (st == NULL || db_step(r->db, st, e) != 1)
		return -1;
	h->sides = (struct rep_sides){
	    .source = h->t.source - h->t.counts[OUT_EXCLUDED],
	    .source_stored = h->t.bytes, .source_crlf = h->t.crlf_bytes,
	    .target = sqlite3_column_int64(st, 0),
	    .target_crlf = sqlite3_column_int64(st, 1), .target_stored = -1,
	    .others = sqlite3_column_int64(st, 2),
	    .others_crlf = sqlite3_column_int64(st, 3) };
	db_done(st);
	if (db_number(r->db, e, &others, 1, "SELECT count(*) FROM account"
	    " WHERE ifnull(target, '') NOT LIKE 'cyrus:%'", "") == -1)
		return -1;
	if (others == 0)
		h->sides.target_stored = h->sides.target_crlf;
	report_why(&h->t, &h->sides, h->why, sizeof h->why);
	return 0;
}

static int
read_stages(struct report *r, struct err *e)
{
	struct buf b;
	int rc;

	buf_init(&b, 1000);
	rc = report_stages(r->db, &b, e);
	snprintf(r->head.stages, sizeof r->head.stages, "%s", b.ptr);
	buf_release(&b);
	return rc;
}

static int
read_head(struct report *r, struct err *e)
{
	struct rep_head *h = &r->head;

	h->now = (int64_t)time(NULL);
	h->running = r->opt->call.running != 0;
	if (report_totals(r->db, &h->t, e) == -1 ||
	    db_number(r->db, e, &h->passes, 0, "SELECT count(*) FROM pass",
	    "") == -1 ||
	    db_number(r->db, e, &r->last_pass, 0, "SELECT max(id) FROM pass",
	    "") == -1 ||
	    db_number(r->db, e, &h->sent, 0, "SELECT sent FROM pass ORDER BY"
	    " id DESC LIMIT 1", "") == -1 ||
	    db_number(r->db, e, &r->base, 0, "SELECT ifnull(max(id), 0) FROM"
	    " pass WHERE id < ?1 AND (id = ?2 OR ?2 = 0)", "ii", r->last_pass,
	    r->opt->since) == -1)
		return -1;
	if (r->opt->since != 0 && r->base == 0)
		return err_set(e, ERR_ACCOUNT, "there is no pass %" PRId64
		    " before the last one", r->opt->since);
	return read_stages(r, e) == -1 ? -1 : read_told(r, e);
}

static int
read_passes(struct report *r, struct err *e)
{
	sqlite3_stmt *st;
	int rc;

	st = db_query(r->db, e, "SELECT id, started, ifnull(ended, 0), sent,"
	    " sent_bytes, ifnull(exit_code, -1), ifnull(version, ''),"
	    " ifnull(ended, (SELECT max(slot) + ?1 FROM pace WHERE pace.pass ="
	    " pass.id)) - started FROM pass ORDER BY id", "i",
	    (int64_t)PACE_SECONDS);
	if (st == NULL)
		return -1;
	while ((rc = db_step(r->db, st, e)) == 1) {
		struct rep_pass p = { .id = sqlite3_column_int64(st, 0),
		    .started = sqlite3_column_int64(st, 1),
		    .ended = sqlite3_column_int64(st, 2),
		    .sent = sqlite3_column_int64(st, 3),
		    .sent_bytes = sqlite3_column_int64(st, 4),
		    .exit_code = sqlite3_column_int64(st, 5),
		    .version = db_text(st, 6),
		    .seconds = sqlite3_column_int64(st, 7) };

		r->sink->pass(r, &p);
	}
	db_done(st);
	return rc;
}

static int
read_rate(struct report *r, struct err *e)
{
	sqlite3_stmt *st;
	int rc;

	st = db_query(r->db, e, "SELECT pass, slot, sent, sent_bytes FROM pace"
	    " ORDER BY pass, slot", "");
	if (st == NULL)
		return -1;
	while ((rc = db_step(r->db, st, e)) == 1) {
		struct rep_rate a = { .pass = sqlite3_column_int64(st, 0),
		    .start = sqlite3_column_int64(st, 1),
		    .sent = sqlite3_column_int64(st, 2),
		    .sent_bytes = sqlite3_column_int64(st, 3) };

		r->sink->rate(r, &a);
	}
	db_done(st);
	return rc;
}

#define MAILBOXES "SELECT mailbox.source, copied, present, mailbox.excluded,"	\
	" refused, failed, vanished, mailbox.bytes, crlf_bytes,"		\
	" ifnull(told.n, 0), ifnull(told.bytes, 0), ifnull(others, 0),"		\
	" ifnull(others_bytes, 0), mailbox.id, account_id, stripped,"		\
	" src_uidvalidity, tgt_uidvalidity, account.name, src_name, tgt_name,"	\
	" mailbox.outcome, mailbox.error, ifnull(account.target, '') FROM"	\
	" mailbox JOIN account ON account.id = account_id LEFT JOIN temp.told"	\
	" ON told.mailbox_id = mailbox.id "

static void
tell_mailbox(struct report *r, sqlite3_stmt *st)
{
	struct rep_mailbox m = { .id = sqlite3_column_int64(st, 13),
	    .account_id = sqlite3_column_int64(st, 14),
	    .stripped = sqlite3_column_int64(st, 15),
	    .src_uidvalidity = (uint32_t)sqlite3_column_int64(st, 16),
	    .tgt_uidvalidity = (uint32_t)sqlite3_column_int64(st, 17),
	    .outcome = db_text(st, 21) };
	const char *target = db_text(st, 23);
	int64_t sum = 0;
	struct buf shown;

	arena_reset(&r->arena);
	read_counts(st, 0, &m.counts);
	read_sides(st, 7, &m.counts, stores_crlf(target), &m.sides);
	for (int i = 1; i < OUTCOMES; i++)
		sum += m.counts.n[i];
	m.balanced = sum == m.counts.source;
	buf_init(&shown, (size_t)1 << 20);
	report_name(&shown, db_text(st, 20), target);
	m.renamed = *db_text(st, 20) != '\0' &&
	    !report_same_name(db_text(st, 19), shown.ptr);
	m.account = redact_account(r->redact, &r->arena, m.account_id,
	    db_text(st, 18));
	m.name = redact_mailbox(r->redact, &r->arena, m.id, db_text(st, 19));
	m.target_name = redact_mailbox(r->redact, &r->arena, m.id,
	    db_text(st, 20));
	m.shown = redact_mailbox(r->redact, &r->arena, m.id, shown.ptr);
	m.error = sqlite3_column_type(st, 22) == SQLITE_NULL ? NULL :
	    redact_text(r->redact, &r->arena, m.account_id, db_text(st, 22));
	r->sink->mailbox(r, &m);
	buf_release(&shown);
}

static int
read_mailboxes(struct report *r, int64_t account, struct err *e)
{
	static const char all[] = MAILBOXES "ORDER BY account.name,"
	    " mailbox.id", one[] = MAILBOXES "WHERE account_id = ?1 ORDER BY"
	    " mailbox.id";
	sqlite3_stmt *st;
	int rc;

	st = account == 0 ? db_query(r->db, e, all, "") :
	    db_query(r->db, e, one, "i", account);
	if (st == NULL)
		return -1;
	while ((rc = db_step(r->db, st, e)) == 1)
		tell_mailbox(r, st);
	db_done(st);
	return rc;
}

static const char accounts_sql[] = "SELECT ifnull(m.source, 0),"
	" ifnull(m.copied, 0), ifnull(m.present, 0), ifnull(m.excluded, 0),"
	" ifnull(m.refused, 0), ifnull(m.failed, 0), ifnull(m.vanished, 0),"
	" ifnull(m.bytes, 0), ifnull(m.crlf_bytes, 0), ifnull(m.n, 0),"
	" ifnull(m.arrived, 0), ifnull(m.others, 0), ifnull(m.others_bytes,"
	" 0), account.id, ifnull(m.mailboxes, 0), ifnull(m.open, 0),"
	" account.name, ifnull(target_user, ''), ifnull(account.source, ''),"
	" ifnull(account.target, ''), stage, account.outcome, error,"
	" ifnull(m.bad, 0), (SELECT count(*) FROM issue WHERE"
	" issue.account_id = account.id AND kind IN ('refused', 'failed',"
	" 'vanished', 'lost', 'altered', 'doubled')) FROM account LEFT JOIN"
	" (SELECT account_id, sum(source) AS source, sum(copied) AS copied,"
	" sum(present) AS present, sum(excluded) AS excluded, sum(refused) AS"
	" refused, sum(failed) AS failed, sum(vanished) AS vanished,"
	" sum(mailbox.bytes) AS bytes, sum(crlf_bytes) AS crlf_bytes,"
	" sum(told.n) AS n, sum(told.bytes) AS arrived, sum(others) AS others,"
	" sum(others_bytes) AS others_bytes, count(*) AS mailboxes,"
	" sum(outcome NOT IN ('done', 'excluded')) AS open, sum(source <>"
	" copied + present + excluded + refused + failed + vanished) AS bad"
	" FROM mailbox LEFT JOIN temp.told ON told.mailbox_id = mailbox.id"
	" WHERE " ENDED " GROUP BY account_id) AS m ON m.account_id ="
	" account.id ORDER BY account.outcome = 'done', account.name";

static int
tell_account(struct report *r, sqlite3_stmt *st, struct err *e)
{
	struct arena mine;
	struct rep_account a = { .id = sqlite3_column_int64(st, 13),
	    .mailboxes = sqlite3_column_int64(st, 14),
	    .open = sqlite3_column_int64(st, 15), .stage = db_text(st, 20),
	    .outcome = db_text(st, 21),
	    .balanced = sqlite3_column_int64(st, 23) == 0,
	    .problems = sqlite3_column_int64(st, 24) };
	int rc = 0;

	/* It outlives the rows of its mailboxes. */
	arena_init(&mine);
	read_counts(st, 0, &a.counts);
	read_sides(st, 7, &a.counts, stores_crlf(db_text(st, 19)),
	    &a.sides);
	a.name = redact_account(r->redact, &mine, a.id, db_text(st, 16));
	a.user = redact_all(r->redact, db_text(st, 17));
	a.source = redact_uri(r->redact, &mine, db_text(st, 18));
	a.target = redact_uri(r->redact, &mine, db_text(st, 19));
	a.error = sqlite3_column_type(st, 22) == SQLITE_NULL ? NULL :
	    redact_text(r->redact, &mine, a.id, db_text(st, 22));
	r->sink->account(r, &a);
	if (r->sink->nested)
		rc = read_mailboxes(r, a.id, e);
	if (r->sink->account_end != NULL)
		r->sink->account_end(r, &a);
	arena_release(&mine);
	return rc;
}

static int
read_accounts(struct report *r, struct err *e)
{
	sqlite3_stmt *st;
	int rc;

	if ((st = db_query(r->db, e, accounts_sql, "")) == NULL)
		return -1;
	while ((rc = db_step(r->db, st, e)) == 1)
		if (tell_account(r, st, e) == -1) {
			rc = -1;
			break;
		}
	db_done(st);
	return rc;
}

static const char problems_sql[] = "SELECT issue.id, issue.account_id,"
	" issue.pass, ifnull(issue.size, -1), account.name,"
	" ifnull(src_name, ''), kind, ifnull(message_where, ''),"
	" ifnull(message_id, ''), ifnull(subject, ''), ifnull(reason, ''),"
	" message.key IS NOT NULL, src_uid, src_flags, message.date,"
	" lower(hex(strict)), issue.mailbox_id FROM issue JOIN account ON"
	" account.id = issue.account_id LEFT JOIN mailbox ON mailbox.id ="
	" issue.mailbox_id LEFT JOIN message ON message.mailbox_id ="
	" issue.mailbox_id AND message.key = issue.key WHERE NOT (kind ="
	" 'refused' AND ifnull(message.outcome, 0) <> 4) ORDER BY kind,"
	" account.name, src_name, issue.id";

static void
tell_problem(struct report *r, sqlite3_stmt *st)
{
	struct rep_problem p = { .id = sqlite3_column_int64(st, 0),
	    .account_id = sqlite3_column_int64(st, 1),
	    .pass = sqlite3_column_int64(st, 2),
	    .size = sqlite3_column_int64(st, 3), .kind = db_text(st, 6),
	    .facts = sqlite3_column_int(st, 11) != 0,
	    .uid = (uint32_t)sqlite3_column_int64(st, 12),
	    .flags = (unsigned)sqlite3_column_int64(st, 13),
	    .date = sqlite3_column_type(st, 14) == SQLITE_NULL ? NO_DATE :
	    sqlite3_column_int64(st, 14) };
	const char *hash = db_text(st, 15);

	arena_reset(&r->arena);
	p.account = redact_account(r->redact, &r->arena, p.account_id,
	    db_text(st, 4));
	p.mailbox = redact_mailbox(r->redact, &r->arena,
	    sqlite3_column_int64(st, 16), db_text(st, 5));
	p.where = redact_text(r->redact, &r->arena, p.account_id,
	    db_text(st, 7));
	p.message_id = redact_all(r->redact, db_text(st, 8));
	p.subject = redact_all(r->redact, db_text(st, 9));
	p.reason = redact_text(r->redact, &r->arena, p.account_id,
	    db_text(st, 10));
	p.sha256 = *hash != '\0' ? hash : NULL;
	report_kind(p.kind, &p.bad);
	r->sink->problem(r, &p);
}

static int
read_problems(struct report *r, struct err *e)
{
	sqlite3_stmt *st;
	int rc;

	if ((st = db_query(r->db, e, problems_sql, "")) == NULL)
		return -1;
	while ((rc = db_step(r->db, st, e)) == 1)
		tell_problem(r, st);
	db_done(st);
	return rc;
}

#define SUMS(h)	h ".source, " h ".copied, " h ".present, " h ".excluded, "	\
	h ".refused, " h ".failed, " h ".vanished"

/* The last pass over each account after the base, and the last one up to it. */
static const char changes_sql[] = "SELECT " SUMS("was") ", " SUMS("now") ","
	" account.id, account.name, ifnull(was.outcome, ''),"
	" ifnull(now.outcome, ''), ifnull(was.pass, 0), now.pass FROM account"
	" JOIN history AS now ON now.account_id = account.id AND now.pass ="
	" (SELECT max(pass) FROM history WHERE account_id = account.id AND"
	" ended IS NOT NULL) LEFT JOIN history AS was ON was.account_id ="
	" account.id AND was.pass = (SELECT max(pass) FROM history WHERE"
	" account_id = account.id AND ended IS NOT NULL AND pass <= ?1) WHERE"
	" now.pass > ?1 AND (was.pass IS NULL OR (" SUMS("was")
	", was.outcome) IS NOT (" SUMS("now") ", now.outcome)) ORDER BY"
	" account.name";

static int
read_changes(struct report *r, struct err *e)
{
	sqlite3_stmt *st;
	int rc;

	if (r->base == 0)
		return 0;
	if ((st = db_query(r->db, e, changes_sql, "i", r->base)) == NULL)
		return -1;
	while ((rc = db_step(r->db, st, e)) == 1) {
		struct rep_change c = { .outcome_then = db_text(st, 16),
		    .outcome_now = db_text(st, 17),
		    .pass_then = sqlite3_column_int64(st, 18),
		    .pass_now = sqlite3_column_int64(st, 19) };

		arena_reset(&r->arena);
		read_counts(st, 0, &c.then);
		read_counts(st, 7, &c.now);
		c.account = redact_account(r->redact, &r->arena,
		    sqlite3_column_int64(st, 14), db_text(st, 15));
		r->sink->change(r, &c);
	}
	db_done(st);
	return rc;
}

static int
read_section(struct report *r, enum report_section s, struct err *e)
{
	switch (s) {
	case REP_PASSES:
		return read_passes(r, e);
	case REP_RATE:
		return read_rate(r, e);
	case REP_ACCOUNTS:
		return read_accounts(r, e);
	case REP_MAILBOXES:
		return read_mailboxes(r, 0, e);
	case REP_PROBLEMS:
		return read_problems(r, e);
	case REP_CHANGES:
		return read_changes(r, e);
	case REP_ASSUMED:
		return report_assumed(r, e);
	case REP_HAND:
		return report_hand(r, e);
	case REP_SECTIONS:
		break;
	}
	return 0;
}

static int
read_all(struct report *r, struct err *e)
{
	if (read_head(r, e) == -1)
		return -1;
	if (r->opt->redact && (r->redact = redact_new(r->db, e)) == NULL)
		return -1;
	if (r->sink->head != NULL)
		r->sink->head(r, &r->head);
	for (enum report_section s = 0; s < REP_SECTIONS; s++) {
		if (!wants(r, s))
			continue;
		begin(r, s);
		if (read_section(r, s, e) == -1)
			return -1;
		end(r, s);
	}
	if (r->sink->finish != NULL)
		r->sink->finish(r);
	return 0;
}

int
report_read(struct report *r, struct err *e)
{
	struct err ignored;
	int rc;

	arena_init(&r->arena);
	/* A running copy goes on, but not in what is told here. */
	if (db_script(r->db, "BEGIN", e) == -1)
		rc = -1;
	else {
		rc = read_all(r, e);
		db_script(r->db, "ROLLBACK", &ignored);
	}
	free(r->own);
	redact_free(&r->redact);
	arena_release(&r->arena);
	return rc;
}
