/* Mailboxes that a server makes above ours. */
#include "parents.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "account.h"
#include "name_rows.h"

int
parents_begin(struct lane *l, struct arena *a, int64_t mailbox_id,
    const char *name, struct parents *p, struct err *e)
{
	struct folder_state f;
	int rc;

	p->n = 0;
	while (p->n < MAX_PARENTS && target_parent(l->tgt, a, name, &name) ==
	    1) {
		rc = target_folder_open(l->tgt, name, &f, e);
		target_folder_close(l->tgt);
		if (rc == 1)
			break;
		if (rc == -1 || op_begin(l->run->state, l->account->row.id,
		    mailbox_id, "create-parent", name, NULL, &p->ops[p->n],
		    e) == -1)
			return -1;
		p->names[p->n++] = name;
	}
	return 0;
}

int
parent_put(struct db *db, const struct parent *p, struct err *e)
{
	char text[16];

	snprintf(text, sizeof text, "%" PRIu32, p->uidvalidity);
	return db_run(db, e, "UPDATE op SET name = ?2, arg = ?3, state = 1"
	    " WHERE id = ?1", "iss", p->op, p->name, p->uidvalidity != 0 ?
	    text : NULL);
}

static int
apply_put(struct db *db, void *arg, struct err *e)
{
	return parent_put(db, arg, e);
}

int
parents_made(struct lane *l, const struct parents *p, struct err *e)
{
	for (size_t i = 0; i < p->n; i++) {
		struct parent made = { .op = p->ops[i], .name = p->names[i] };
		struct folder_state f;
		int rc = target_folder_open(l->tgt, p->names[i], &f, e);

		target_folder_close(l->tgt);
		if (rc == -1 && e->scope > ERR_MAILBOX)
			return -1;
		if (rc == 1)
			made.uidvalidity = f.uidvalidity;
		/* What is no mailbox now may be somebody's later. */
		if ((rc == 1 ? state_call(l->run->state, apply_put, &made,
		    e) : op_drop(l->run->state, p->ops[i], e)) == -1)
			return -1;
	}
	return 0;
}

int
parents_not_made(struct lane *l, const struct parents *p, struct err *e)
{
	for (size_t i = 0; i < p->n; i++)
		if (op_drop(l->run->state, p->ops[i], e) == -1)
			return -1;
	return 0;
}

int
parents_load(struct db *db, int64_t account_id, struct arena *a,
    struct parent **out, size_t *n, struct err *e)
{
	sqlite3_stmt *st;
	int64_t count;
	int rc;

	*n = 0;
	if (db_number(db, e, &count, 0, "SELECT count(*) FROM op WHERE"
	    " account_id = ?1 AND kind = 'create-parent'", "i", account_id) ==
	    -1)
		return -1;
	*out = arena_zalloc(a, ((size_t)count + 1) * sizeof **out);
	st = db_query(db, e, "SELECT id, name, ifnull(arg, '') FROM op WHERE"
	    " account_id = ?1 AND kind = 'create-parent' ORDER BY id", "i",
	    account_id);
	if (st == NULL)
		return -1;
	while ((rc = db_step(db, st, e)) == 1 && *n < (size_t)count) {
		struct parent *p = &(*out)[(*n)++];

		p->op = sqlite3_column_int64(st, 0);
		p->name = arena_strdup(a, db_text(st, 1));
		p->uidvalidity = (uint32_t)strtoul(db_text(st, 2), NULL, 10);
	}
	db_done(st);
	return rc == -1 ? -1 : 0;
}
