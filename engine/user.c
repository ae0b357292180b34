/* The user at the target: there, or made by us. */
#include "user.h"

#include <stdio.h>
#include <string.h>

#include "account.h"

static const char *
user_name(const struct account *a)
{
	return a->target_user != NULL && a->target_user[0] != '\0' ?
	    a->target_user : a->name;
}

/* Was he being made when an earlier run ended?  0: no. */
static int
open_op(struct lane *l, int64_t *op, struct err *e)
{
	return db_number(l->reader, e, op, 0, "SELECT id FROM op WHERE"
	    " account_id = ?1 AND kind = 'user' AND state = 0 LIMIT 1", "i",
	    l->account->row.id);
}

static int
made(struct lane *l, int64_t op, struct err *e)
{
	lane_note(l, "created", "user", "the target user was created");
	lane_flush_notes(l);
	return op_done(l->run->state, op, e);
}

/* Who took him away after release meant it. */
static int
not_again(struct err *e)
{
	char text[sizeof e->text];

	memcpy(text, e->text, sizeof text);
	snprintf(e->text, sizeof e->text, "%.300s; the account is released, so "
	    "nobody is made again", text);
	return -1;
}

int
user_ensure(struct lane *l, struct err *e)
{
	bool is_released = strcmp(l->account->row.stage, "released") == 0;
	struct account *a = l->account;
	int64_t op;
	int rc;

	rc = target_account_ensure(l->tgt, false, e);
	if (rc == -1 && e->cause == CAUSE_MISSING && is_released)
		return not_again(e);
	if (rc == -1 && (!l->run->set->create_users ||
	    e->cause != CAUSE_MISSING))
		return -1;
	if (open_op(l, &op, e) == -1)
		return -1;
	if (rc == 1)
		return op != 0 ? made(l, op, e) : 0;
	if (op == 0 && op_begin(l->run->state, a->row.id, 0, "user",
	    user_name(a), NULL, &op, e) == -1)
		return -1;
	rc = target_account_ensure(l->tgt, true, e);
	if (rc == -1) {
		struct err ignored;

		/* What was refused for sure is no open change. */
		if (!e->retry)
			op_done(l->run->state, op, &ignored);
		/* The secret is good: the user's session is open. */
		if (e->cause == CAUSE_AUTH)
			e->cause = CAUSE_OTHER;
		return -1;
	}
	if (made(l, op, e) == -1)
		return -1;
	/* What the session knows is from before there was a user. */
	lane_close_target(l);
	return lane_open_target(l, e);
}

int
user_made(void *ctx, const char *user, bool *made_r, struct err *e)
{
	struct lane *l = ctx;
	int64_t n;

	/* By the list's name for him, or by that in the URI. */
	if (db_number(l->reader, e, &n, 0, "SELECT 1 FROM op JOIN account ON"
	    " account.id = account_id WHERE kind = 'user' AND (lower(op.name)"
	    " = lower(?1) OR lower(target) = 'cyrus:' || lower(?1) OR"
	    " substr(lower(target), 1, length(?1) + 7) = 'cyrus:' ||"
	    " lower(?1) || '?') LIMIT 1", "s", user) == -1)
		return -1;
	*made_r = n != 0;
	return 0;
}
