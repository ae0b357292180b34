/* States that are only read, and states in memory over them. */
#include "state_impl.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "base/xmalloc.h"

static int
attach_known(struct state *s, struct db *db, struct err *e)
{
	if (s->known == NULL)
		return 0;
	return db_run(db, e, "ATTACH ?1 AS known", "s", s->known);
}

int
state_scratch_reader(struct state *s, struct db **dbp, struct err *e)
{
	static const char views[] =
	    "CREATE TEMP VIEW message AS SELECT * FROM main.message UNION ALL"
	    " SELECT * FROM known.message;"
	    "CREATE TEMP VIEW extra AS SELECT * FROM main.extra UNION ALL"
	    " SELECT * FROM known.extra;"
	    "CREATE TEMP VIEW intent AS SELECT * FROM main.intent UNION ALL"
	    " SELECT * FROM known.intent;"
	    "CREATE TEMP VIEW intent_item AS SELECT * FROM main.intent_item"
	    " UNION ALL SELECT * FROM known.intent_item;"
	    "CREATE TEMP VIEW doubt AS SELECT * FROM main.doubt UNION ALL"
	    " SELECT * FROM known.doubt;";

	if (db_open(dbp, s->path, DB_MEMORY, e) == -1)
		return -1;
	if (attach_known(s, *dbp, e) == 0 &&
	    (s->known == NULL || db_script(*dbp, views, e) == 0) &&
	    db_script(*dbp, "PRAGMA query_only=ON", e) == 0)
		return 0;
	db_close(dbp);
	return -1;
}

int
state_scratch(struct state **sp, const char *known, struct err *e)
{
	static _Atomic unsigned number;
	struct state *s;
	char path[80];

	snprintf(path, sizeof path, "file:/mailhaul-%u?vfs=memdb", ++number);
	s = state_new(path, -1);
	s->scratch = true;
	s->pass = 1;
	s->known = known != NULL ? xstrdup(known) : NULL;
	/* Ids of new rows must not be those of the real state. */
	if (db_open(&s->db, path, DB_MEMORY, e) == -1 ||
	    state_make_schema(s->db, path, e) == -1 ||
	    db_script(s->db, "INSERT INTO account (id, name) VALUES"
	    " (1 << 50, x'00'); INSERT INTO mailbox (id, account_id, src_key,"
	    " src_name, tgt_name, tgt_key) VALUES (1 << 50, 0, '', '', '',"
	    " '')", e) == -1 || attach_known(s, s->db, e) == -1 ||
	    (known != NULL && db_number(s->db, e, &s->pass, 1, "SELECT max(id)"
	    " + 1 FROM known.pass", "") == -1) ||
	    state_start_writer(s, e) == -1) {
		state_close(&s);
		return -1;
	}
	*sp = s;
	return 0;
}

struct take_arg { const char *account; bool known; };

static int
apply_take(struct db *db, void *arg, struct err *e)
{
	const struct take_arg *t = arg;

	if (db_script(db, "DELETE FROM account WHERE id < 1 << 50; DELETE FROM"
	    " account WHERE id > 1 << 50; DELETE FROM mailbox WHERE id <>"
	    " 1 << 50; DELETE FROM message; DELETE FROM extra; DELETE FROM"
	    " issue; DELETE FROM op; DELETE FROM intent; DELETE FROM"
	    " intent_item; DELETE FROM doubt; DELETE FROM flagging;"
	    " DELETE FROM removal; DELETE FROM elsewhere", e) == -1)
		return -1;
	if (!t->known)
		return 0;
	if (db_run(db, e, "INSERT INTO main.account SELECT * FROM"
	    " known.account WHERE name = ?1", "s", t->account) == -1 ||
	    db_run(db, e, "INSERT INTO main.mailbox SELECT * FROM"
	    " known.mailbox WHERE account_id = (SELECT id FROM known.account"
	    " WHERE name = ?1)", "s", t->account) == -1)
		return -1;
	return db_run(db, e, "INSERT INTO main.op SELECT * FROM known.op WHERE"
	    " account_id = (SELECT id FROM known.account WHERE name = ?1)",
	    "s", t->account);
}

int
state_scratch_take(struct state *s, const char *account, struct err *e)
{
	struct take_arg t = { account, s->known != NULL };

	return state_call(s, apply_take, &t, e);
}

/* Without a log to read and a process to write one the file is all there is,
 * and SQLite needs nothing beside it. */
static bool
is_alone(const char *path, long running)
{
	struct stat st;
	struct buf b;
	bool alone;

	buf_init(&b, 8192);
	buf_addf(&b, "%s-wal", path);
	alone = running == 0 && (stat(b.ptr, &st) == -1 || st.st_size == 0);
	buf_release(&b);
	return alone;
}

char *
state_look_uri(const char *path, long *running, struct err *e)
{
	struct buf b;

	if (state_holder(path, running, e) == -1)
		return NULL;
	buf_init(&b, 4 * 4096);
	buf_adds(&b, "file:");
	for (const char *p = path; *p != '\0'; p++)
		if (strchr("?#%", *p) != NULL)
			buf_addf(&b, "%%%02X", (unsigned char)*p);
		else
			buf_addc(&b, *p);
	/* A scratch state has a VFS of its own. */
	buf_adds(&b, is_alone(path, *running) ? "?vfs=unix&immutable=1" :
	    "?vfs=unix&mode=ro");
	return buf_detach(&b, NULL);
}
