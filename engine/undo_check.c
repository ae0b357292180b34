/* Undo: is the account one whose mail may be taken back, and is the target of
 * the job the one that it was copied to? */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/uri.h"
#include "base/xmalloc.h"
#include "accounts.h"
#include "config.h"
#include "undo_impl.h"

/* 1: two URIs, as the state has them, lead to one store. */
static int
same_store(const char *a, const char *b)
{
	const char *texts[2] = { a, b };
	char *ids[2] = { NULL, NULL };
	struct uri *uri;
	struct err ignored;
	int same;

	if (strcmp(a, b) == 0)
		return 1;
	for (size_t i = 0; i < 2; i++)
		if (uri_parse(&uri, texts[i], &ignored) == 0) {
			ids[i] = config_identity(uri, fold_case);
			uri_free(&uri);
		}
	same = ids[0] != NULL && ids[1] != NULL && strcmp(ids[0], ids[1]) == 0;
	free(ids[0]);
	free(ids[1]);
	return same;
}

/* What the rows say is true of one store only: that of their copy. */
static int
check_place(const struct account *a, const char *user, const char *target,
    const char *now, struct err *e)
{
	const char *listed = a->target_user != NULL ? a->target_user : "";

	if (user[0] != '\0' && listed[0] != '\0' && strcasecmp(user, listed) !=
	    0)
		return err_set(e, ERR_ACCOUNT, "it was copied to the user "
		    "%.200s, and the target user is now %.200s: nothing was "
		    "done", user, listed);
	if (target[0] != '\0' && !same_store(target, now))
		return err_set(e, ERR_ACCOUNT, "it was copied to %.300s, and "
		    "the target is now %.300s: nothing was done", target, now);
	return 0;
}

/* Has another account copied there, or found there what is ours? */
static int
check_shared(struct db *db, const struct account *a, const char *now,
    struct err *e)
{
	sqlite3_stmt *st = db_query(db, e, "SELECT id, name, ifnull(target,"
	    " '') FROM account WHERE id <> ?1 ORDER BY name", "i", a->row.id);
	int64_t rows = 0;
	int rc;

	if (st == NULL)
		return -1;
	while ((rc = db_step(db, st, e)) == 1) {
		if (!same_store(db_text(st, 2), now))
			continue;
		if (db_number(db, e, &rows, 0, "SELECT EXISTS (SELECT 1 FROM"
		    " message JOIN mailbox ON mailbox.id = mailbox_id WHERE"
		    " account_id = ?1 AND message.outcome IN (1, 2)) OR EXISTS"
		    " (SELECT 1 FROM intent JOIN mailbox ON mailbox.id ="
		    " mailbox_id WHERE account_id = ?1)", "i",
		    sqlite3_column_int64(st, 0)) == -1)
			rc = -1;
		else if (rows != 0)
			rc = err_set(e, ERR_ACCOUNT, "%.200s has the same "
			    "target, and may count what was copied as its own "
			    "mail: nothing was done", db_text(st, 1));
		if (rc == -1)
			break;
	}
	db_done(st);
	return rc;
}

/* Where its mail is now is known to who looks, and that is copy. */
static int
check_renames(struct db *db, const struct account *a, struct err *e)
{
	int64_t n;

	if (db_number(db, e, &n, 0, "SELECT EXISTS (SELECT 1 FROM op WHERE"
	    " account_id = ?1 AND kind = 'rename' AND state = 0)", "i",
	    a->row.id) == -1)
		return -1;
	return n == 0 ? 0 : err_set(e, ERR_ACCOUNT, "a rename of its mailboxes"
	    " was cut off: a copy with --apply-renames has to end it first");
}

/* Which flags and messages are ours is not known while they are being changed
 * or removed. */
static int
check_flags(struct db *db, const struct account *a, struct err *e)
{
	int64_t n;

	if (db_number(db, e, &n, 0, "SELECT EXISTS (SELECT 1 FROM flagging JOIN"
	    " mailbox ON mailbox.id = mailbox_id WHERE account_id = ?1) OR"
	    " EXISTS (SELECT 1 FROM removal JOIN mailbox ON mailbox.id ="
	    " mailbox_id WHERE account_id = ?1 AND removal.state = 1)", "i",
	    a->row.id) == -1)
		return -1;
	return n == 0 ? 0 : err_set(e, ERR_ACCOUNT, "a change of flags, or a "
	    "removal, was cut off: a copy has to end it first");
}

/* The row; user and target for the caller to free.  1, 0: there is none. */
static int
load(struct db *db, struct account *a, char **user, char **target,
    struct err *e)
{
	struct row_account *r = &a->row;
	sqlite3_stmt *st = db_query(db, e, "SELECT id, stage,"
	    " ifnull(target_user, ''), ifnull(target, '') FROM account WHERE"
	    " name = ?1", "s", a->name);
	int rc;

	if (st == NULL)
		return -1;
	memset(r, 0, sizeof *r);
	if ((rc = db_step(db, st, e)) == 1) {
		r->id = sqlite3_column_int64(st, 0);
		snprintf(r->stage, sizeof r->stage, "%s", db_text(st, 1));
		*user = xstrdup(db_text(st, 2));
		*target = xstrdup(db_text(st, 3));
	}
	db_done(st);
	return rc;
}

int
undo_check(struct db *db, struct account *a, struct err *e)
{
	char *user = NULL, *target = NULL, *now;
	int rc = load(db, a, &user, &target, e);

	if (rc == 0)
		rc = err_set(e, ERR_ACCOUNT, "the state does not know it: "
		    "there is nothing to undo");
	else if (rc == 1 && strcmp(a->row.stage, "released") == 0)
		rc = err_set(e, ERR_ACCOUNT, "it is released: what is at "
		    "the target is its user's");
	if (rc == 1) {
		now = uri_show(a->tgt_uri);
		rc = check_place(a, user, target, now, e);
		if (rc == 0)
			rc = check_renames(db, a, e);
		if (rc == 0)
			rc = check_flags(db, a, e);
		if (rc == 0)
			rc = check_shared(db, a, now, e);
		free(now);
	}
	free(user);
	free(target);
	return rc;
}
