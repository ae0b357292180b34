/* UIDLs for the target. */
#include "pop3_give.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/xmalloc.h"
#include "pop3_rows.h"

#define SOURCE_INBOX	"INBOX"		/* pair.src_key */
#define NOTE		"pop3"

/* Rows of the INBOX whose target copy is called otherwise. */
struct late {
	struct arena	 arena;
	struct uidl_change *v;
	const void	**keys;
	size_t		*key_lens;
	size_t		 n, cap;
	int64_t		 mailbox_id;
};

int
pop3_begin(struct lane *l, struct account *a, struct err *e)
{
	a->pop3 = false;
	if (l->run->planning)
		return 0;
	return pop3_known(l->reader, a->name, &a->pop3, e);
}

int
pop3_give(struct lane *l, const struct pair *p, const void *key,
    size_t key_len, struct msg_meta *m, struct arena *arena, struct err *e)
{
	const char *uidl;
	uint32_t order;
	int rc;

	if (!l->account->pop3 || strcmp(p->src_key, SOURCE_INBOX) != 0)
		return 0;
	rc = pop3_find(l->reader, l->account->name, key, key_len, arena,
	    &uidl, &order, e);
	if (rc != 1)
		return rc;
	m->uidl = uidl;
	m->uidl_order = order;
	return 0;
}

static int
read_late(struct lane *l, struct account *a, struct late *late, struct err *e)
{
	sqlite3_stmt *st;
	int rc;

	st = db_query(l->reader, e, "SELECT message.key, tgt_uid, uidl.uidl,"
	    " ord, message.uidl FROM uidl JOIN message ON mailbox_id = ?2 AND"
	    " message.key = uidl.key WHERE account = ?1 AND outcome IN (1, 2)"
	    " AND tgt_uid > 0 AND (message.uidl IS NOT uidl.uidl OR (ord <> 0"
	    " AND ifnull(uidl_order, 0) <> ord))", "si", a->name,
	    late->mailbox_id);
	if (st == NULL)
		return -1;
	while ((rc = db_step(l->reader, st, e)) == 1) {
		struct uidl_change *c;

		if (late->n == late->cap) {
			late->cap = late->cap == 0 ? 256 : 2 * late->cap;
			late->v = xreallocarray(late->v, late->cap,
			    sizeof *late->v);
			late->keys = xreallocarray(late->keys, late->cap,
			    sizeof *late->keys);
			late->key_lens = xreallocarray(late->key_lens,
			    late->cap, sizeof *late->key_lens);
		}
		c = &late->v[late->n];
		memset(c, 0, sizeof *c);
		late->key_lens[late->n] = (size_t)sqlite3_column_bytes(st, 0);
		late->keys[late->n++] = arena_memdup0(&late->arena,
		    sqlite3_column_blob(st, 0), (size_t)
		    sqlite3_column_bytes(st, 0));
		c->uid = (uint32_t)sqlite3_column_int64(st, 1);
		c->uidl = arena_strdup(&late->arena, db_text(st, 2));
		c->order = (uint32_t)sqlite3_column_int64(st, 3);
		if (sqlite3_column_type(st, 4) != SQLITE_NULL)
			c->was = arena_strdup(&late->arena, db_text(st, 4));
	}
	db_done(st);
	return rc;
}

/* state_fn: the rows of those that were done. */
static int
apply_done(struct db *db, void *arg, struct err *e)
{
	const struct late *late = arg;

	for (size_t i = 0; i < late->n; i++)
		if (late->v[i].result == UIDL_DONE && db_run(db, e, "UPDATE"
		    " message SET uidl = ?3, uidl_order = CASE WHEN ?4 = 0 THEN"
		    " uidl_order ELSE ?4 END WHERE mailbox_id = ?1 AND key ="
		    " ?2", "ibsi", late->mailbox_id, late->keys[i],
		    late->key_lens[i], late->v[i].uidl,
		    (int64_t)late->v[i].order) == -1)
			return -1;
	return 0;
}

/* In the mailbox that is open at the target: 1 done, 0 it cannot. */
static int
set_late(struct lane *l, struct account *a, const struct pair *p,
    struct late *late, struct err *e)
{
	uint64_t kept = 0;
	int64_t op;
	int rc;

	if (op_begin(l->run->state, a->row.id, p->id, "uidl", p->tgt_name,
	    NULL, &op, e) == -1)
		return -1;
	if ((rc = target_set_uidls(l->tgt, late->v, late->n, e)) == -1)
		return -1;
	if (rc == 1 && state_call(l->run->state, apply_done, late, e) == -1)
		return -1;
	if (op_done(l->run->state, op, e) == -1)
		return -1;
	for (size_t i = 0; i < late->n; i++)
		kept += rc == 1 && late->v[i].result == UIDL_KEPT;
	if (kept > 0)
		lane_note(l, NOTE, "kept", "%" PRIu64 " messages have another "
		    "UIDL at the target, which POP3 clients may have seen: it "
		    "was left", kept);
	return rc;
}

static int
give_late(struct lane *l, struct account *a, const struct pair *p,
    struct late *late, struct err *e)
{
	struct folder_state st;
	int64_t known;
	int rc;

	if (db_number(l->reader, e, &known, 0, "SELECT tgt_uidvalidity FROM"
	    " mailbox WHERE id = ?1", "i", p->id) == -1)
		return -1;
	rc = target_folder_open(l->tgt, p->tgt_name, &st, e);
	if (rc != 1)
		return rc;
	/* The UIDs of the rows are of another life of the mailbox: a walk of
	 * the next pass finds them anew. */
	if ((int64_t)st.uidvalidity == known)
		rc = set_late(l, a, p, late, e);
	target_folder_close(l->tgt);
	/* The mail is there all the same. */
	if (rc == -1 && e->scope == ERR_MAILBOX && !e->retry) {
		lane_note(l, NOTE, "late", "%zu messages did not get their "
		    "UIDLs: %.300s", late->n, e->text);
		return 0;
	}
	if (rc == 0)
		lane_note(l, NOTE, "late", "%zu messages were copied before "
		    "their UIDLs were known, and this target takes them with "
		    "new messages only: POP3 clients will fetch these again "
		    "(UIDs %" PRIu32 " to %" PRIu32 ")", late->n,
		    late->v[0].uid, late->v[late->n - 1].uid);
	return rc == -1 ? -1 : 0;
}

/* What is not joined, in the report of every pass. */
static int
note_left(struct lane *l, struct account *a, struct err *e)
{
	int64_t n;

	if (db_number(l->reader, e, &n, 0, "SELECT count(*) FROM uidl_left"
	    " WHERE account = ?1", "s", a->name) == -1)
		return -1;
	if (n > 0)
		lane_note(l, NOTE, "left", "%" PRId64 " messages of the POP3 "
		    "server could not be joined with a message here (mailhaul "
		    "uidl names them): their UIDLs are given to none", n);
	return 0;
}

static void
late_release(struct late *late)
{
	arena_release(&late->arena);
	free(late->v);
	free(late->keys);
	free(late->key_lens);
}

int
pop3_finish(struct lane *l, struct account *a, struct err *e)
{
	struct target_caps caps;
	struct late late = { .n = 0 };
	struct pair *p = a->pairs;
	int rc;

	if (!a->pop3)
		return 0;
	while (p != NULL && strcmp(p->src_key, SOURCE_INBOX) != 0)
		p = p->next;
	if (p == NULL || p->state != PAIR_DONE)
		return 0;
	target_caps(l->tgt, &caps);
	if ((caps.bits & TGT_UIDLS) == 0) {
		lane_note(l, NOTE, "target", "UIDLs were recorded, but this "
		    "target gives its own: POP3 clients will fetch everything "
		    "again");
		return 0;
	}
	arena_init(&late.arena);
	late.mailbox_id = p->id;
	rc = read_late(l, a, &late, e);
	if (rc == 0 && late.n > 0)
		rc = give_late(l, a, p, &late, e);
	late_release(&late);
	return rc == -1 ? -1 : note_left(l, a, e);
}
