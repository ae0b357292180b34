/* Access rights: wishes, what is there, and what is given. */
#include "rights.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "people.h"

/* One wish for one mailbox. */
struct wish {
	const char	*who;		/* as the source says it */
	const char	*rights;
	const char	*given;		/* what was given last; NULL: nothing */
	bool		 open;		/* that may have been done, or not */
};

/* Wishes. */

struct note_arg {
	struct lane *l;
	struct account *a;
	int64_t pass;
};

static int
note_acl(struct db *db, const struct note_arg *n, const struct pair *p,
    const struct folder_info *f, struct err *e)
{
	for (size_t i = 0; i < f->nacl; i++)
		if (db_run(db, e, "INSERT INTO access (mailbox_id, who,"
		    " account_id, rights, pass) VALUES (?1, ?2, ?3, ?4, ?5) ON"
		    " CONFLICT (mailbox_id, who) DO UPDATE SET rights = ?4,"
		    " pass = ?5", "isisi", p->id, f->acl[i].who, n->a->row.id,
		    f->acl[i].rights, n->pass) == -1)
			return -1;
	return 0;
}

static int
apply_note(struct db *db, void *arg, struct err *e)
{
	const struct note_arg *n = arg;
	const struct account_info *info = &n->a->info;
	struct folder_info *f;
	struct err ignored;

	if (db_run(db, e, "DELETE FROM issue WHERE account_id = ?1 AND kind ="
	    " 'access'", "i", n->a->row.id) == -1)
		return -1;
	for (struct pair *p = n->a->pairs; p != NULL; p = p->next)
		if ((f = account_folder(n->l, p, &ignored)) != NULL &&
		    note_acl(db, n, p, f, e) == -1)
			return -1;
	for (size_t i = 0; i < info->nforeign; i++)
		if (db_run(db, e, "INSERT INTO foreign_box (account_id, name,"
		    " owner, box, pass) VALUES (?1, ?2, ?3, ?4, ?5) ON"
		    " CONFLICT (account_id, name) DO UPDATE SET owner = ?3,"
		    " box = ?4, pass = ?5", "isssi", n->a->row.id,
		    info->foreign[i].name, info->foreign[i].owner,
		    info->foreign[i].box, n->pass) == -1)
			return -1;
	return 0;
}

int
rights_note(struct lane *l, struct account *a, struct err *e)
{
	struct note_arg n = { l, a, state_pass(l->run->state) };
	const char *domain = a->info.domain;

	snprintf(a->domain, sizeof a->domain, "%s", domain != NULL &&
	    strlen(domain) < sizeof a->domain ? domain : "");
	return state_call(l->run->state, apply_note, &n, e);
}

/* What the source told in this pass, in the arena. */
static int
load(struct lane *l, const struct pair *p, struct arena *arena,
    struct wish **wishes, size_t *n, struct err *e)
{
	sqlite3_stmt *st;
	size_t room = 0;
	int rc;

	*wishes = NULL;
	*n = 0;
	st = db_query(l->reader, e, "SELECT who, rights, given, EXISTS (SELECT"
	    " 1 FROM op WHERE op.account_id = access.account_id AND kind ="
	    " 'acl' AND op.mailbox_id = access.mailbox_id AND op.arg = who AND"
	    " state = 0) FROM access WHERE mailbox_id = ?1 AND pass = ?2 ORDER"
	    " BY who", "ii", p->id, state_pass(l->run->state));
	if (st == NULL)
		return -1;
	while ((rc = db_step(l->reader, st, e)) == 1) {
		struct wish *w;

		if (*n == room) {
			room = room == 0 ? 8 : 2 * room;
			w = arena_alloc(arena, room * sizeof *w);
			if (*n > 0)
				memcpy(w, *wishes, *n * sizeof *w);
			*wishes = w;
		}
		w = &(*wishes)[(*n)++];
		w->who = arena_strdup(arena, db_text(st, 0));
		w->rights = arena_strdup(arena, db_text(st, 1));
		w->given = sqlite3_column_type(st, 2) == SQLITE_NULL ? NULL :
		    arena_strdup(arena, db_text(st, 2));
		w->open = sqlite3_column_int(st, 3) != 0;
	}
	db_done(st);
	return rc;
}

/* Giving. */

/* Whose mailboxes these are; NULL: not known. */
static const char *
owner(struct lane *l, struct arena *arena)
{
	const struct account *a = l->account;
	char *user = NULL;
	const char *s;

	/* Of shared mailboxes the login has made itself the owner. */
	if (a->shared)
		return a->tgt_uri->user;
	user = config_uri_user(a->tgt_uri);
	s = user != NULL ? arena_strdup(arena, user) : a->target_user;
	free(user);
	return s;
}

/* A name that servers would take for something else than a user. */
static bool
is_plain(const char *user)
{
	static const char *const words[] = { "anyone", "anonymous", "owner",
	    "authenticated", "administrators" };

	for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
		if (strcasecmp(user, words[i]) == 0)
			return false;
	return user[0] != '\0' && strchr("-+$#!%", user[0]) == NULL &&
	    strncasecmp(user, "group:", 6) != 0 &&
	    strncasecmp(user, "user=", 5) != 0;
}

/* Who that is at the target; NULL, *why: nobody that it could be. */
static const char *
identifier(struct lane *l, const char *who, struct arena *arena,
    const char **why)
{
	struct person p;

	if (strcasecmp(who, "anyone") == 0)
		return "anyone";
	*why = "nobody of the account list";
	if (!people_find(l->run->people, who, l->account->domain, &p))
		return NULL;
	*why = "that account became shared mailboxes";
	if (p.target_user == NULL)
		return NULL;
	*why = "the target would take that user's name for something else";
	return is_plain(p.target_user) ? arena_strdup(arena, p.target_user) :
	    NULL;
}

struct given_arg {
	int64_t mailbox_id, pass;
	const char *who, *target, *rights;	/* NULL: it was refused */
};

static int
apply_given(struct db *db, void *arg, struct err *e)
{
	struct given_arg *g = arg;

	if (g->rights != NULL && db_run(db, e, "UPDATE access SET given = ?3,"
	    " target = ?4, since = ifnull(since, ?5) WHERE mailbox_id = ?1 AND"
	    " who = ?2", "isssi", g->mailbox_id, g->who, g->rights, g->target,
	    g->pass) == -1)
		return -1;
	/* With that nothing of it is open any more. */
	return db_run(db, e, "UPDATE op SET state = 1 WHERE mailbox_id = ?1"
	    " AND kind = 'acl' AND arg = ?2", "is", g->mailbox_id, g->who);
}

static void
tell_kept(struct lane *l, const struct pair *p, const struct wish *w,
    const char *has)
{
	char where[300];

	snprintf(where, sizeof where, "%.150s for %.140s", p->src_name,
	    w->who);
	if (w->given == NULL)
		lane_note(l, "access", where, "%s at the source; there were "
		    "rights at the target, %s: these stay", w->rights, has);
	else
		lane_note(l, "access", where, "%s at the source, %s was given, "
		    "and somebody has changed that to %s at the target: it "
		    "stays", w->rights, w->given, has[0] != '\0' ? has :
		    "none");
}

static int
set(struct lane *l, const struct pair *p, const struct wish *w,
    const char *target, struct err *e)
{
	struct given_arg g = { p->id, state_pass(l->run->state), w->who,
	    target, w->rights };
	char where[300];
	int64_t op;
	int rc;

	if (op_begin(l->run->state, l->account->row.id, p->id, "acl",
	    p->tgt_name, w->who, &op, e) == -1)
		return -1;
	rc = target_set_acl(l->tgt, p->tgt_name, target, w->rights, e);
	if (rc == -1)
		return err_ctx(e, "target");
	if (rc == 0) {
		g.rights = NULL;
		snprintf(where, sizeof where, "%.150s for %.140s", p->src_name,
		    w->who);
		lane_note(l, "access", where, "%s: not carried over: %.300s",
		    w->rights, e->text);
	}
	return state_call(l->run->state, apply_given, &g, e);
}

/* The rights that somebody has; NULL: none.  Servers write names of users in
 * lower case. */
static const char *
rights_of(const struct acl_entry *acl, size_t n, const char *who)
{
	for (size_t i = 0; i < n; i++)
		if (strcasecmp(acl[i].who, who) == 0)
			return acl[i].rights[0] != '\0' ? acl[i].rights :
			    NULL;
	return NULL;
}

static int
give(struct lane *l, const struct pair *p, const struct wish *w, bool young,
    const struct acl_entry *acl, size_t n, struct arena *arena, struct err *e)
{
	struct given_arg g = { p->id, state_pass(l->run->state), w->who, NULL,
	    w->rights };
	const char *target, *why, *has;
	char where[300];

	if ((target = identifier(l, w->who, arena, &why)) == NULL) {
		snprintf(where, sizeof where, "%.150s for %.140s", p->src_name,
		    w->who);
		lane_note(l, "access", where, "%s: not carried over: %s",
		    w->rights, why);
		return 0;
	}
	if ((has = owner(l, arena)) != NULL && strcasecmp(target, has) == 0)
		return 0;		/* the owner's own */
	has = rights_of(acl, n, target);
	if (has != NULL && strcmp(has, w->rights) == 0) {
		/* It may be that we did it and were killed. */
		if (!w->open && w->given != NULL &&
		    strcmp(w->given, w->rights) == 0)
			return 0;
		g.target = target;
		return state_call(l->run->state, apply_given, &g, e);
	}
	if (!w->open && (w->given != NULL ? strcmp(has != NULL ? has : "",
	    w->given) != 0 : has != NULL && !young)) {
		tell_kept(l, p, w, has != NULL ? has : "");
		return 0;
	}
	return set(l, p, w, target, e);
}

/* All in one line, when none of them is given. */
static void
tell_all(struct lane *l, const struct pair *p, const struct wish *w, size_t n,
    const char *why)
{
	struct buf b;

	buf_init(&b, 250);
	for (size_t i = 0; i < n; i++)
		buf_addf(&b, "%s%s %s", i > 0 ? ", " : "", w[i].who,
		    w[i].rights);
	lane_note(l, "access", p->src_name, "not carried over: %s%s: %.150s",
	    b.ptr, b.full ? ", ..." : "", why);
	buf_release(&b);
}

/*
 * A mailbox that a later pass has made may have what was given one level up
 * [tested with Cyrus]: nobody gets in who could not at the source.
 */
static int
take_inherited(struct lane *l, const struct pair *p, const struct wish *w,
    size_t n, struct acl_entry *acl, size_t nacl, struct arena *arena,
    struct err *e)
{
	const char *account = owner(l, arena), *why, *target;
	int64_t given, op;
	size_t k;
	int rc;

	for (size_t i = 0; i < nacl; i++) {
		for (k = 0; k < n; k++)
			if ((target = identifier(l, w[k].who, arena, &why)) !=
			    NULL && strcasecmp(target, acl[i].who) == 0)
				break;
		if (k < n || (account != NULL && strcasecmp(acl[i].who,
		    account) == 0) || acl[i].rights[0] == '\0')
			continue;
		if (db_number(l->reader, e, &given, 0, "SELECT 1 FROM access"
		    " WHERE account_id = ?1 AND lower(target) = lower(?2) AND"
		    " given IS NOT NULL LIMIT 1", "is", l->account->row.id,
		    acl[i].who) == -1)
			return -1;
		if (given == 0 && !l->account->shared)
			continue;
		if (op_begin(l->run->state, l->account->row.id, p->id,
		    "acl-inherited", p->tgt_name, acl[i].who, &op, e) == -1)
			return -1;
		rc = target_set_acl(l->tgt, p->tgt_name, acl[i].who, "", e);
		if (rc == -1)
			return err_ctx(e, "target");
		if (rc == 0)
			lane_note(l, "access", p->src_name, "%s has %s at the "
			    "target, and nothing at the source: %.250s",
			    acl[i].who, acl[i].rights, e->text);
		if (op_done(l->run->state, op, e) == -1)
			return -1;
		acl[i].rights = "";
	}
	return 0;
}

/* Was it made when others had been given something by us, and not looked at
 * since? */
static int
is_young(struct lane *l, const struct pair *p, bool *young, struct err *e)
{
	int64_t id = l->account->row.id, n;
	int rc;

	/* What is nobody's the server may have opened for all. */
	if (db_number(l->reader, e, &n, 0, "SELECT 1 FROM op WHERE account_id"
	    " = ?1 AND kind = 'create' AND name = ?2 AND (?3 OR pass > (SELECT"
	    " min(since) FROM access WHERE account_id = ?1)) LIMIT 1", "isi",
	    id, p->tgt_name, (int64_t)l->account->shared) == -1)
		return -1;
	rc = n == 0 ? 1 : op_was_done(l->reader, id, "acl-looked", p->tgt_name,
	    e);
	*young = rc == 0;
	return rc == -1 ? -1 : 0;
}

static int
give_mailbox(struct lane *l, struct pair *p, struct arena *arena,
    struct err *e)
{
	struct acl_entry *acl;
	size_t n, nacl;
	struct wish *w;
	bool young;
	int64_t op;
	int rc;

	if (load(l, p, arena, &w, &n, e) == -1 ||
	    is_young(l, p, &young, e) == -1)
		return -1;
	if (!l->run->set->acl) {
		if (n > 0)
			tell_all(l, p, w, n, "acl = no");
		return 0;
	}
	if (n == 0 && !young)
		return 0;
	rc = target_acl(l->tgt, arena, p->tgt_name, &acl, &nacl, e);
	if (rc == -1)
		return err_ctx(e, "target");
	if (rc == 0) {
		if (n > 0)
			tell_all(l, p, w, n, e->text);
		return 0;
	}
	if (young && take_inherited(l, p, w, n, acl, nacl, arena,
	    e) == -1)
		return -1;
	for (size_t i = 0; i < n; i++)
		if (give(l, p, &w[i], young, acl, nacl, arena, e) == -1)
			return -1;
	if (!young)
		return 0;
	return op_begin(l->run->state, l->account->row.id, p->id,
	    "acl-looked", p->tgt_name, NULL, &op, e) == -1 ||
	    op_done(l->run->state, op, e) == -1 ? -1 : 0;
}

int
rights_give(struct lane *l, struct account *a, bool *shares, struct err *e)
{
	struct arena arena;
	int64_t any, pending;
	int rc = 0;

	*shares = false;
	if (db_number(l->reader, e, &any, 0, "SELECT 1 FROM access WHERE"
	    " account_id = ?1 LIMIT 1", "i", a->row.id) == -1 ||
	    db_number(l->reader, e, &pending, 0, "SELECT 1 FROM foreign_box"
	    " WHERE account_id = ?1 AND pass = ?2 AND done = 0 LIMIT 1", "ii",
	    a->row.id, state_pass(l->run->state)) == -1)
		return -1;
	*shares = pending != 0;
	if (any == 0 && !a->shared)
		return 0;
	arena_init(&arena);
	for (struct pair *p = a->pairs; p != NULL && rc == 0; p = p->next) {
		if (p->state != PAIR_DONE)
			continue;
		rc = give_mailbox(l, p, &arena, e);
		arena_reset(&arena);
	}
	arena_release(&arena);
	return rc;
}
