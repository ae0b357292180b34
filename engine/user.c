/* The user at the target: there, or made by us. */
#include "user.h"

#include "account.h"

static const char *
user_name(const struct account *a)
{
	return a->target_user != NULL && a->target_user[0] != '\0' ?
	    a->target_user : a->name;
}

/* Was he being made when an earlier run ended? */
static int
finish_op(struct lane *l, struct err *e)
{
	int64_t op;

	if (db_number(l->reader, e, &op, 0, "SELECT id FROM op WHERE"
	    " account_id = ?1 AND kind = 'user' AND state = 0 LIMIT 1", "i",
	    l->account->row.id) == -1)
		return -1;
	if (op == 0)
		return 0;
	lane_note(l, "created", "user", "the target user was created");
	return op_done(l->run->state, op, e);
}

int
user_ensure(struct lane *l, struct err *e)
{
	struct account *a = l->account;
	int64_t op;
	int rc;

	rc = target_account_ensure(l->tgt, false, e);
	if (rc == 1)
		return finish_op(l, e);
	if (!l->run->set->create_users || e->cause != CAUSE_MISSING)
		return -1;
	if (op_begin(l->run->state, a->row.id, 0, "user", user_name(a), NULL,
	    &op, e) == -1)
		return -1;
	rc = target_account_ensure(l->tgt, true, e);
	if (rc == -1) {
		struct err ignored;

		/* What was refused for sure is no open change. */
		if (!e->retry)
			op_done(l->run->state, op, &ignored);
		return -1;
	}
	if (op_done(l->run->state, op, e) == -1)
		return -1;
	if (rc == 1)
		return 0;
	lane_note(l, "created", "user", "the target user was created");
	/* What the session knows is from before there was a user. */
	lane_close_target(l);
	return lane_open_target(l, e);
}
