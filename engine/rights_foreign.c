/* Subscriptions to mailboxes of other accounts. */
#include "rights.h"

#include <string.h>

#include "people.h"

/* One that is still to be made. */
struct foreign {
	const char	*name, *owner, *box;
};

struct done_arg {
	int64_t account_id, op;		/* op 0: none was needed */
	const char *name, *target;
};

static int
apply_done(struct db *db, void *arg, struct err *e)
{
	const struct done_arg *d = arg;

	if (db_run(db, e, "UPDATE foreign_box SET done = 1, target = ?3 WHERE"
	    " account_id = ?1 AND name = ?2", "iss", d->account_id, d->name,
	    d->target) == -1)
		return -1;
	return db_run(db, e, "UPDATE op SET state = 1 WHERE id = ?1", "i",
	    d->op);
}

static int
load(struct lane *l, struct arena *arena, struct foreign **out, size_t *n,
    struct err *e)
{
	int64_t id = l->account->row.id, count;
	sqlite3_stmt *st;
	int rc;

	*n = 0;
	if (db_number(l->reader, e, &count, 0, "SELECT count(*) FROM"
	    " foreign_box WHERE account_id = ?1", "i", id) == -1)
		return -1;
	*out = arena_alloc(arena, ((size_t)count + 1) * sizeof **out);
	st = db_query(l->reader, e, "SELECT name, owner, box FROM foreign_box"
	    " WHERE account_id = ?1 AND pass = ?2 AND done = 0 ORDER BY name",
	    "ii", id, state_pass(l->run->state));
	if (st == NULL)
		return -1;
	while ((rc = db_step(l->reader, st, e)) == 1 && *n < (size_t)count) {
		struct foreign *f = &(*out)[(*n)++];

		f->name = arena_strdup(arena, db_text(st, 0));
		f->owner = arena_strdup(arena, db_text(st, 1));
		f->box = arena_strdup(arena, db_text(st, 2));
	}
	db_done(st);
	return rc == -1 ? -1 : 0;
}

/* What the owner's session calls it: 1, 0 and *why. */
static int
owners_name(struct lane *l, const struct foreign *f, struct person *owner,
    struct arena *arena, const char **name, const char **why, struct err *e)
{
	sqlite3_stmt *st;
	int rc;

	*why = "its owner is nobody of the account list";
	if (!people_find(l->run->people, f->owner, owner))
		return 0;
	/* [shared] names a user whom this job does not copy. */
	if (owner->name == NULL)
		return owner->target_user != NULL;
	*why = "no such mailbox of that account was copied";
	st = db_query(l->reader, e, "SELECT tgt_name FROM mailbox JOIN account"
	    " ON account.id = account_id WHERE account.name = ?1 AND src_name"
	    " = ?2 AND tgt_name <> '' AND mailbox.outcome IN ('done',"
	    " 'partial')", "ss", owner->name, f->box);
	if (st == NULL)
		return -1;
	if ((rc = db_step(l->reader, st, e)) == 1)
		*name = arena_strdup(arena, db_text(st, 0));
	db_done(st);
	return rc;
}

/* As it would be called if this job had copied it. */
static int
name_of(struct lane *l, const struct foreign *f, struct arena *arena,
    const char **name, struct err *e)
{
	char *box = arena_strdup(arena, f->box), *level;
	const char *path[64];
	bool encoded;
	size_t n = 0;

	while (n < 64 && (level = strsep(&box, "/")) != NULL)
		path[n++] = level;
	return target_name(l->tgt, arena, path, n, name, &encoded, e);
}

static void
left_out(struct lane *l, const struct foreign *f, const char *why)
{
	char where[300];

	snprintf(where, sizeof where, "subscription %.250s", f->name);
	lane_note(l, "access", where, "a mailbox of another account, not "
	    "carried over: %.300s", why);
}

static int
subscribe(struct lane *l, const struct foreign *f, struct arena *arena,
    struct err *e)
{
	struct done_arg d = { .account_id = l->account->row.id,
	    .name = f->name };
	struct person owner;
	const char *name, *why;
	struct err no;
	int rc;

	rc = owners_name(l, f, &owner, arena, &name, &why, e);
	if (rc == 1 && owner.name == NULL)
		rc = name_of(l, f, arena, &name, e) == -1 ? -1 : 1;
	if (rc == 1 && target_foreign_name(l->tgt, arena, owner.target_user,
	    name, &d.target) == 0) {
		why = "the target has no names for mailboxes of others";
		rc = 0;
	}
	if (rc != 1) {
		if (rc == 0)
			left_out(l, f, why);
		return rc;
	}
	if (op_begin(l->run->state, d.account_id, 0, "subscribe", d.target,
	    f->name, &d.op, e) == -1)
		return -1;
	if (target_subscribe(l->tgt, d.target, true, &no) == -1) {
		if (no.scope > ERR_MAILBOX || no.retry) {
			*e = no;
			return err_ctx(e, "target");
		}
		left_out(l, f, no.text);
		return op_done(l->run->state, d.op, e);
	}
	return state_call(l->run->state, apply_done, &d, e);
}

int
rights_subscribe(struct lane *l, struct account *a, struct err *e)
{
	struct arena arena;
	struct foreign *f;
	size_t n;
	int rc;

	l->account = a;
	l->mailbox_id = 0;
	arena_init(&arena);
	rc = load(l, &arena, &f, &n, e);
	for (size_t i = 0; i < n && rc == 0; i++) {
		if (l->run->set->subscribe == SUBSCRIBE_NONE)
			left_out(l, &f[i], "subscribe = none");
		else if (lane_open_target(l, e) == -1 ||
		    subscribe(l, &f[i], &arena, e) == -1)
			rc = -1;
	}
	arena_release(&arena);
	if (rc == 0)
		lane_flush_notes(l);
	return rc;
}
