/* How long a copy will take, from what earlier passes did. */
#include "plan_impl.h"

#include <inttypes.h>
#include <stdio.h>

/* Where no pass has been: what a server with one disk does. */
#define BYTES_RATE	(5.0 * 1000 * 1000)
#define MESSAGES_RATE	200.0
#define ACCOUNT_S	0.5	/* connect, log in, list */
#define MEAN_SIZE	30000.0
/* Shorter passes tell nothing of a rate. */
#define MIN_SECONDS	5
#define MIN_MESSAGES	100

int
plan_learn(struct plan *plan, struct db *db, struct err *e)
{
	int64_t bytes, crlf, messages;

	plan->mean_size = MEAN_SIZE;
	if (db == NULL)
		return 0;
	if (db_number(db, e, &plan->passes, 0, "SELECT count(*) FROM pass",
	    "") == -1 || db_number(db, e, &plan->known_accounts, 0, "SELECT"
	    " count(*) FROM account", "") == -1 || db_number(db, e, &bytes, 0,
	    "SELECT sum(bytes) FROM mailbox WHERE outcome = 'done' AND"
	    " excluded = 0", "") == -1 || db_number(db, e, &crlf, 0, "SELECT"
	    " sum(crlf_bytes) FROM mailbox WHERE outcome = 'done' AND excluded"
	    " = 0", "") == -1 || db_number(db, e, &messages, 0, "SELECT"
	    " sum(source) FROM mailbox WHERE outcome = 'done' AND excluded ="
	    " 0", "") == -1)
		return -1;
	if (bytes > 0 && crlf >= bytes)
		plan->crlf_ratio = (double)crlf / (double)bytes;
	if (messages > 0 && crlf > 0)
		plan->mean_size = (double)crlf / (double)messages;
	return 0;
}

static int
rates_of_state(struct plan_estimate *t, struct db *db, struct err *e)
{
	sqlite3_stmt *st;
	int rc;

	st = db_query(db, e, "SELECT count(*), sum(sent), sum(sent_bytes),"
	    " sum(ended - started) FROM pass WHERE ended - started >= ?1 AND"
	    " sent >= ?2", "ii", (int64_t)MIN_SECONDS, (int64_t)MIN_MESSAGES);
	if (st == NULL)
		return -1;
	if ((rc = db_step(db, st, e)) == 1 && sqlite3_column_int64(st, 0) >
	    0) {
		double s = (double)sqlite3_column_int64(st, 3);

		t->messages_rate = (double)sqlite3_column_int64(st, 1) / s;
		t->bytes_rate = (double)sqlite3_column_int64(st, 2) / s;
		snprintf(t->basis, sizeof t->basis, "%lld passes of this state "
		    "that sent %lld messages in %.0f s",
		    (long long)sqlite3_column_int64(st, 0),
		    (long long)sqlite3_column_int64(st, 1), s);
	}
	db_done(st);
	return rc == -1 ? -1 : 0;
}

int
plan_estimate(struct plan *plan, struct db *db, struct err *e)
{
	struct plan_estimate *t = &plan->estimate;
	double messages, left, bytes, s;
	unsigned lanes = plan->set->lanes > 0 ? plan->set->lanes : 1;

	t->account_s = ACCOUNT_S;
	if (db != NULL && rates_of_state(t, db, e) == -1)
		return -1;
	if (t->basis[0] == '\0') {
		t->bytes_rate = BYTES_RATE;
		t->messages_rate = MESSAGES_RATE;
		snprintf(t->basis, sizeof t->basis, "nothing measured yet: %.0f"
		    " MB/s and %.0f messages/s are assumed", BYTES_RATE / 1e6,
		    MESSAGES_RATE);
	}
	/* Where a store does not tell its count, the mean size does. */
	messages = (double)plan->size.messages;
	if (plan->uncounted > 0 && (double)plan->size.crlf_bytes /
	    plan->mean_size > messages)
		messages = (double)plan->size.crlf_bytes / plan->mean_size;
	left = messages - (double)plan->done;
	if (left < 0)
		left = 0;
	bytes = messages > 0 ? (double)plan->size.crlf_bytes * left /
	    messages : 0;
	s = left / t->messages_rate;
	if (t->bytes_rate > 0 && bytes / t->bytes_rate > s)
		s = bytes / t->bytes_rate;
	s += (double)plan->n * ACCOUNT_S / lanes;
	t->seconds = (uint64_t)(s + 0.999);
	return 0;
}
