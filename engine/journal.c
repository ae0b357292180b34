/* What the state learns, as lines of the logs. */
#include "journal.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/uri.h"
#include "base/xmalloc.h"

/* What a line names; nothing is cut, for a cut name is another file. */
struct names {
	char	*account, *mailbox;
	char	 source_host[256], target_host[256];
};

void
journal_host(const char *text, char *host, size_t size)
{
	struct uri *u;
	struct err e;

	host[0] = '\0';
	if (uri_parse(&u, text, &e) == -1)
		return;
	if (u->host != NULL)
		snprintf(host, size, "%s", u->host);
	uri_free(&u);
}

static void
release(struct names *n)
{
	free(n->account);
	free(n->mailbox);
}

/* Of an account, or of a mailbox and its account if mailbox is not 0.  false:
 * there is none, and nothing to release. */
static bool
find(struct db *db, int64_t account, int64_t mailbox, struct names *n)
{
	sqlite3_stmt *st;
	struct err e;
	bool found;

	memset(n, 0, sizeof *n);
	if (mailbox != 0)
		st = db_query(db, &e, "SELECT name, ifnull(account.source, ''),"
		    " ifnull(account.target, ''), src_name FROM"
		    " mailbox JOIN account ON account.id = account_id WHERE"
		    " mailbox.id = ?1", "i", mailbox);
	else
		st = db_query(db, &e, "SELECT name, ifnull(source, ''),"
		    " ifnull(target, ''), '' FROM account WHERE id = ?1",
		    "i", account);
	if (st == NULL)
		return false;
	found = db_step(db, st, &e) == 1;
	if (found) {
		n->account = xstrdup(db_text(st, 0));
		journal_host(db_text(st, 1), n->source_host,
		    sizeof n->source_host);
		journal_host(db_text(st, 2), n->target_host,
		    sizeof n->target_host);
		n->mailbox = xstrdup(db_text(st, 3));
	}
	db_done(st);
	return found;
}

static const char *
or_null(const char *s)
{
	return *s != '\0' ? s : NULL;
}

void
journal_account_begin(struct log *log, const char *name, const char *source,
    const char *target, const char *stage)
{
	const struct log_about about = { .account = name };

	if (log != NULL)
		log_event(log, LOG_BOTH, "account-begin", &about,
		    "from %s to %s, stage %s", source, target, stage);
}

/* "source 5 copied 3 ..." of the columns from the given one on. */
static void
add_counts(struct buf *b, sqlite3_stmt *st, int column)
{
	buf_addf(b, "source %" PRId64,
	    (int64_t)sqlite3_column_int64(st, column));
	for (int i = 1; i < OUTCOMES; i++)
		buf_addf(b, " %s %" PRId64, outcome_name((enum outcome)i),
		    (int64_t)sqlite3_column_int64(st, column + i));
}

static void
end_line(struct log *log, enum log_files to, const char *event,
    const struct log_about *about, sqlite3_stmt *st)
{
	const char *outcome = db_text(st, 0), *why = db_text(st, 1);
	struct buf b;

	buf_init(&b, 1000);
	add_counts(&b, st, 2);
	(strcmp(outcome, "done") == 0 || strcmp(outcome, "excluded") == 0 ?
	    log_event : log_warn)(log, to, event, about, "%s, %s%s%s", outcome,
	    b.ptr, *why != '\0' ? ": " : "", why);
	buf_release(&b);
}

void
journal_account_end(struct log *log, struct db *db, int64_t id)
{
	sqlite3_stmt *st;
	struct names n;
	struct err e;

	if (log == NULL || !find(db, id, 0, &n))
		return;
	const struct log_about about = { .account = n.account };
	st = db_query(db, &e, "SELECT account.outcome, ifnull(account.error,"
	    " ''), sum(m.source), sum(m.copied), sum(m.present),"
	    " sum(m.excluded), sum(m.refused), sum(m.failed), sum(m.vanished)"
	    " FROM account LEFT JOIN mailbox AS m ON m.account_id = account.id"
	    " AND m.outcome <> 'gone' WHERE account.id = ?1", "i", id);
	if (st != NULL) {
		if (db_step(db, st, &e) == 1)
			end_line(log, LOG_BOTH, "account-end", &about, st);
		db_done(st);
	}
	release(&n);
}

void
journal_mailbox_end(struct log *log, struct db *db, int64_t id)
{
	sqlite3_stmt *st;
	struct names n;
	struct err e;

	if (log == NULL || !find(db, 0, id, &n))
		return;
	const struct log_about about = { n.account, n.mailbox,
	    or_null(n.target_host), NULL };
	st = db_query(db, &e, "SELECT outcome, ifnull(error, ''), source,"
	    " copied, present, excluded, refused, failed, vanished FROM"
	    " mailbox WHERE id = ?1", "i", id);
	if (st != NULL) {
		if (db_step(db, st, &e) == 1)
			end_line(log, LOG_ACCOUNT, "mailbox-end", &about, st);
		db_done(st);
	}
	release(&n);
}

/* Whose trouble it is: the source's or the target's host. */
static const char *
host_of(const struct names *n, const struct row_issue *i)
{
	if (strcmp(i->kind, "vanished") == 0 || strcmp(i->kind, "excluded") ==
	    0 || strncmp(i->reason, "source: ", 8) == 0)
		return or_null(n->source_host);
	return or_null(n->target_host);
}

void
journal_issue(struct log *log, struct db *db, int64_t account_id,
    const struct row_issue *i)
{
	struct names n;

	if (log == NULL || !find(db, account_id, i->mailbox_id, &n))
		return;
	const struct log_about about = { n.account, or_null(n.mailbox),
	    host_of(&n, i), i->where != NULL && strcmp(i->where, i->reason) !=
	    0 ? i->where : NULL };
	(strcmp(i->kind, "excluded") == 0 || strcmp(i->kind, "created") == 0 ||
	    strcmp(i->kind, "renamed") == 0 ? log_event : log_warn)(log,
	    LOG_ACCOUNT, i->kind, &about, "%s", i->reason != NULL ?
	    i->reason : "");
	release(&n);
}
