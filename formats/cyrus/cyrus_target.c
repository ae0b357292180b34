/* The target "cyrus:": the table; accounts and mailboxes. */
#include "cyrus/cyrus_target.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/xmalloc.h"
#include "cyrus/cyrus_impl.h"
#include "imap/imap_target.h"
#include "imap/imap_trouble.h"

#define MAX_BYTES	((uint64_t)INT32_MAX)	/* Cyrus' sizes have 32 bits */
#define LEVELS_MAX	250
#define KIB		1024
#define UNIQUEID_LEN	24

static struct cyrus_target *
target(struct target *t)
{
	return (struct cyrus_target *)t;
}

struct cyrus *
cyrus_of(struct target *t)
{
	return &target(t)->c;
}

/* Opening. */

/* An IMAP target with a URI of its own: what goes on with it is its business,
 * but for the URI. */
static void
close_imap(struct target *t)
{
	struct uri *u = t->conf.uri;

	imap_target.close(t);
	uri_free(&u);
}

static struct target_ops imap_instead;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void
init(void)
{
	imap_instead = imap_target;
	imap_instead.close = close_imap;
}

static int
open_imap(struct target **tp, const struct store_conf *conf, struct err *e)
{
	struct store_conf own = *conf;

	if (cyrus_imap_uri(&own.uri, conf->uri, false, e) == -1)
		return -1;
	if (imap_target.open(tp, &own, e) == -1) {
		uri_free(&own.uri);
		return -1;
	}
	pthread_once(&once, init);
	(*tp)->ops = &imap_instead;
	(*tp)->conf = own;
	return 0;
}

static int
open_target(struct target **tp, const struct store_conf *conf, struct err *e)
{
	struct cyrus_target *c;
	char transport = cyrus_transport(conf->uri), text[400];
	int rc;

	if (transport == 'i')
		return cyrus_check(conf->uri, e) == -1 ? -1 :
		    open_imap(tp, conf, e);
	c = xcalloc(1, sizeof *c);
	rc = cyrus_connect(&c->c, conf, true, e);
	if (rc == 1) {
		cyrus_box_init(&c->box);
		c->tail = &c->head;
		*tp = &c->t;
		return 0;
	}
	free(c);
	if (rc == 0 && transport == 'a' && conf->uri->host != NULL) {
		snprintf(text, sizeof text, "not by Cyrus' replication "
		    "protocol, but by IMAP, with UIDs of the target's own: "
		    "%.250s", e->text);
		conf->warn(conf->warn_ctx, NULL, "transport", text);
		return open_imap(tp, conf, e);
	}
	if (rc == 0 && conf->uri->host == NULL)
		err_ctx(e, "Cyrus' replication protocol cannot be used; "
		    "imap://... needs no such");
	return -1;
}

static void
close_target(struct target *t)
{
	struct cyrus_target *c = target(t);

	cyrus_disconnect(&c->c);
	cyrus_box_release(&c->box);
	free(c->planned);
	imap_words_release(&c->keywords);
	EVP_MD_CTX_free(c->md);
	free(c->in);
	free(c->out);
	free(c);
}

static void
caps(struct target *t, struct target_caps *caps)
{
	(void)t;
	/* Prompt: what an earlier connection commits late changes the modseq
	 * that each of our batches asks for. */
	caps->bits = TGT_CHOOSES_UIDS | TGT_TELLS_UIDS | TGT_ATOMIC |
	    TGT_TELLS_SHA1 | TGT_EXPUNGES | TGT_PROMPT | TGT_FLAGS |
	    TGT_MOVES;
	caps->batch_messages = 200;
	caps->batch_bytes = (uint64_t)4 << 20;
	caps->window = 2;
	caps->max_message = MAX_BYTES;
}

static const char *
identity(struct target *t)
{
	return cyrus_of(t)->y->server;
}

static int
broken(struct target *t, struct err *e)
{
	struct sync *y = cyrus_of(t)->y;

	if (!y->dead)
		return 0;
	*e = y->why;
	return 1;
}

/* Changes. */

int
cyrus_apply(struct cyrus_target *c, const struct buf *args,
    struct sync_reply *r, struct err *e)
{
	return sync_run(c->c.y, "APPLY", args, NULL, NULL, r, e);
}

int
cyrus_change(struct cyrus_target *c, const struct buf *args,
    const char *what, const char *name, struct err *e)
{
	struct sync_reply r;
	int rc = cyrus_apply(c, args, &r, e);

	if (rc == 1)
		return cyrus_disks_sync(c->c.disks, e);
	if (rc == -1)
		return -1;
	sync_no(&r, ERR_MAILBOX, e, "%s %.100s", what, name);
	if (strcmp(r.code, "IMAP_SYNC_CHANGED") == 0 ||
	    strcmp(r.code, "IMAP_MAILBOX_LOCKED") == 0)
		e->retry = true;
	switch (imap_trouble("", r.text)) {
	case IMAP_DISK_FULL:
	case IMAP_STORE_FAILS:
		e->cause = CAUSE_DISK;
		e->retry = true;
		break;
	case IMAP_NO_TROUBLE:
	case IMAP_OVER_QUOTA:
	case IMAP_BUSY:
		break;
	}
	return -1;
}

int
cyrus_target_name(struct cyrus_target *c, const char *seen, struct buf *b,
    struct err *e)
{
	buf_reset(b);
	if (cyrus_internal(&c->c.names, seen, b) == 0)
		return 0;
	return err_set(e, ERR_MAILBOX, "the name is longer than Cyrus takes");
}

int
cyrus_target_box(struct cyrus_target *c, const char *seen, struct cyrus_box *b,
    struct err *e)
{
	struct buf name;
	int rc;

	buf_init(&name, 2000);
	rc = cyrus_target_name(c, seen, &name, e);
	if (rc == 0)
		rc = cyrus_box_get(c->c.y, name.ptr, c->c.names.user, false,
		    NULL, NULL, b, e);
	buf_release(&name);
	return rc;
}

int
cyrus_put_box(struct cyrus_target *c, const struct cyrus_box *b,
    uint64_t since, const char *what, struct err *e)
{
	struct buf args;
	int rc;

	buf_init(&args, (size_t)2 << 20);
	cyrus_box_put(&args, b, since);
	buf_adds(&args, "))");
	rc = cyrus_change(c, &args, what, b->name.ptr, e);
	buf_release(&args);
	return rc;
}

/* The user. */

static int
make_user(struct cyrus_target *c, struct err *e)
{
	struct cyrus_box b;
	int rc;

	cyrus_box_init(&b);
	buf_adds(&b.name, c->c.names.inbox);
	cyrus_new_uniqueid(b.uniqueid);
	snprintf(b.partition, sizeof b.partition, "%s", c->c.partition);
	snprintf(b.options, sizeof b.options, "P");
	buf_addf(&b.acl, "%s\tlrswipkxtecdan\t", c->c.names.user);
	cyrus_box_make_fresh(&b);
	rc = cyrus_put_box(c, &b, 0, "make", e);
	cyrus_box_release(&b);
	if (rc == -1)
		e->scope = e->scope < ERR_ACCOUNT ? ERR_ACCOUNT : e->scope;
	return rc;
}

static int
account_ensure(struct target *t, bool create, struct err *e)
{
	struct cyrus_target *c = target(t);
	struct cyrus_account a;
	bool inbox;
	int rc;

	if (cyrus_account_get(&c->c, &a, e) == -1)
		return -1;
	rc = cyrus_mend_inbox(c, &a, e);
	cyrus_account_release(&a);
	if (!create)
		cyrus_advise_once(&c->c);
	if (rc != 0)
		return rc;
	if (!create) {
		err_set(e, ERR_ACCOUNT, "there is no user %.100s",
		    c->c.names.user);
		e->cause = CAUSE_MISSING;
		return -1;
	}
	if (make_user(c, e) == -1 || cyrus_account_get(&c->c, &a, e) == -1)
		return -1;
	inbox = a.inbox;
	cyrus_account_release(&a);
	return inbox ? 0 : err_set(e, ERR_ACCOUNT, "user %.100s was made, but "
	    "has no INBOX (does the server have domains?)", c->c.names.user);
}

/* Names. */

static int
name(struct target *t, struct arena *a, const char *const *path,
    size_t npath, const char **out, bool *encoded, struct err *e)
{
	struct cyrus_target *c = target(t);
	struct buf b, internal;
	int rc;

	buf_init(&b, 1 << 13);
	buf_init(&internal, 2000);
	rc = imap_name_make(&c->c.names.rules, &b, path, npath, encoded);
	if (rc == -1)
		err_set(e, ERR_MAILBOX, "the name is longer than Cyrus takes");
	else
		rc = cyrus_target_name(c, b.ptr, &internal, e);
	if (rc == 0)
		*out = arena_memdup0(a, b.ptr, b.len);
	buf_release(&b);
	buf_release(&internal);
	return rc;
}

/* The mailbox one level up, in the names that are seen; 0: there is none. */
static int
parent(struct target *t, struct arena *a, const char *seen, const char **out)
{
	const char *end = strrchr(seen, target(t)->c.names.rules.sep);

	if (end == NULL || (end - seen == 5 && strncmp(seen, "INBOX", 5) ==
	    0))
		return 0;
	*out = arena_memdup0(a, seen, (size_t)(end - seen));
	return 1;
}

/* Mailboxes. */

static int
survey(struct target *t, struct arena *a, const char *const *names, size_t n,
    bool plan, struct target_view *v, struct err *e)
{
	struct cyrus_target *c = target(t);
	struct cyrus_account acc;

	(void)names;
	(void)n;
	if (cyrus_account_get(&c->c, &acc, e) == -1)
		return -1;
	if (cyrus_account_count(&c->c, &acc, e) == -1 || (plan &&
	    cyrus_sieve_read(&c->c, &acc, a, v, e) == -1)) {
		cyrus_account_release(&acc);
		return -1;
	}
	v->boxes = arena_zalloc(a, (acc.n + 1) * sizeof *v->boxes);
	for (size_t i = 0; i < acc.n; i++) {
		const struct cyrus_listed *l = &acc.box[i];
		struct target_box *b = &v->boxes[v->n];

		if (!l->mail || cyrus_is_marker(l->seen))
			continue;
		b->name = arena_strdup(a, l->seen);
		b->st.uidvalidity = l->fresh ? 0 : l->uidvalidity;
		b->st.uidnext = l->last_uid + 1;
		b->st.modseq = l->modseq;
		b->st.messages = l->messages;
		b->st.special_use = l->use;
		v->n++;
	}
	if (acc.quota_kib != UNKNOWN64)
		v->quota_bytes = acc.quota_kib * KIB;
	cyrus_account_release(&acc);
	return 0;
}

static int
uidls(struct target *t, enum uidl_style *style)
{
	*style = cyrus_uidls(cyrus_of(t));
	return 1;
}

static void
forget_box(struct cyrus_target *c)
{
	imap_words_release(&c->keywords);
	c->no_new = c->stored = c->unmade = false;
}

static int
learn_record(void *ctx, struct cyrus_record *r, struct err *e)
{
	struct cyrus_target *c = ctx;

	(void)e;
	/* Those of expunged messages keep their place. */
	for (size_t i = 0; i < r->nkw; i++)
		imap_words_add(&c->keywords, r->kw[i]);
	return 0;
}

static void
box_state(const struct cyrus_box *b, struct folder_state *st)
{
	st->uidvalidity = cyrus_box_fresh(b) ? 0 : b->uidvalidity;
	st->uidnext = b->last_uid + 1;
	st->modseq = b->modseq;
	st->messages = b->messages;
	st->special_use = b->use;
}

/* What a mailbox is going to be; its ACL is that of the one above. */
static int
describe(struct cyrus_target *c, struct cyrus_box *b, const char *seen,
    unsigned use, struct err *e)
{
	struct cyrus_box up;
	struct arena a;
	struct buf names;
	int rc = 0;

	arena_init(&a);
	cyrus_box_init(&up);
	cyrus_box_release(b);
	cyrus_box_init(b);
	rc = cyrus_target_name(c, seen, &b->name, e);
	cyrus_new_uniqueid(b->uniqueid);
	for (const char *at = seen; rc == 0; )
		if (parent(&c->t, &a, at, &at) == 1)
			rc = cyrus_target_box(c, at, &up, e);
		else if ((rc = cyrus_target_box(c, "INBOX", &up, e)) == 0)
			rc = err_retry(e, ERR_ACCOUNT, "the user has no "
			    "INBOX (any more)");
	if (rc == 1) {
		snprintf(b->partition, sizeof b->partition, "%s",
		    up.partition);
		snprintf(b->options, sizeof b->options, "P");
		buf_add(&b->acl, up.acl.ptr, up.acl.len);
		cyrus_box_make_fresh(b);
		b->messages = 0;
	}
	if (rc == 1 && use != 0) {
		buf_init(&names, 200);
		cyrus_use_names(&names, use);
		buf_adds(&b->annotations, "(%(ENTRY /specialuse USERID ");
		dlist_puts(&b->annotations, c->c.names.user);
		buf_adds(&b->annotations, " MODSEQ 0 VALUE ");
		dlist_put(&b->annotations, names.ptr, names.len);
		buf_adds(&b->annotations, "))");
		buf_release(&names);
		b->use = use;
	}
	cyrus_box_release(&up);
	arena_release(&a);
	return rc == -1 ? -1 : 0;
}

/* The mailbox that was created: open, although it is not there yet. */
static int
plan_box(struct cyrus_target *c, struct folder_state *st, struct err *e)
{
	int rc;

	cyrus_lock(&c->c, false);
	rc = describe(c, &c->box, c->planned, c->planned_use, e);
	cyrus_unlock(&c->c);
	if (rc == -1)
		return -1;
	box_state(&c->box, st);
	return 0;
}

static int
folder_open(struct target *t, const char *seen, struct folder_state *st,
    struct err *e)
{
	struct cyrus_target *c = target(t);
	int rc = cyrus_target_box(c, seen, &c->box, e);
	struct buf internal;

	forget_box(c);
	if (rc == 0 && c->planned != NULL && strcmp(seen, c->planned) == 0) {
		c->unmade = true;
		return plan_box(c, st, e) == -1 ? -1 : 1;
	}
	if (rc != 1)
		return rc;
	if (c->box.type[0] != '\0' && strcmp(c->box.type, "e") != 0)
		return err_set(e, ERR_MAILBOX, "%.100s holds no mail at the "
		    "target", seen);
	if (c->box.last_uid == 0) {
		c->box.messages = 0;
		box_state(&c->box, st);
		return 1;
	}
	buf_init(&internal, 2000);
	buf_add(&internal, c->box.name.ptr, c->box.name.len);
	rc = cyrus_box_get(c->c.y, internal.ptr, c->c.names.user, true,
	    learn_record, c, &c->box, e);
	buf_release(&internal);
	if (rc == 1)
		box_state(&c->box, st);
	return rc;
}

static void
folder_close(struct target *t)
{
	struct cyrus_target *c = target(t);

	cyrus_restart(c);
	if (c->unmade) {
		free(c->planned);
		c->planned = NULL;
	}
	forget_box(c);
}

/* Another mailbox that has one of these special uses; NULL: none. */
static const char *
use_taken(const struct cyrus_account *a, const char *seen, unsigned use)
{
	for (size_t i = 0; i < a->n; i++)
		if (a->box[i].use & use && strcmp(a->box[i].seen, seen) != 0)
			return a->box[i].seen;
	return NULL;
}

/* The uses that can be had; tells of the others. */
static int
free_use(struct cyrus_target *c, const char *seen, unsigned *use,
    struct err *e)
{
	struct cyrus_account a;
	const char *other;

	if (*use == 0)
		return 0;
	if (cyrus_account_get(&c->c, &a, e) == -1)
		return -1;
	other = use_taken(&a, seen, *use);
	if (other != NULL) {
		target_warn(&c->t, seen, NULL, "not marked: %.100s has its "
		    "special use", other);
		*use = 0;
	}
	cyrus_account_release(&a);
	return 0;
}

int
cyrus_make_now(struct cyrus_target *c, const char *seen, struct err *e)
{
	struct cyrus_box b;
	int rc;

	if (c->planned == NULL || strcmp(seen, c->planned) != 0 || c->unmade)
		return 0;
	cyrus_box_init(&b);
	cyrus_lock(&c->c, false);
	rc = describe(c, &b, c->planned, c->planned_use, e);
	b.uidvalidity = (uint32_t)time(NULL);
	b.recent_time = b.append_time = b.uidvalidity;
	if (rc == 0)
		rc = cyrus_put_box(c, &b, 0, "make", e);
	cyrus_unlock(&c->c);
	cyrus_box_release(&b);
	if (rc == 0) {
		free(c->planned);
		c->planned = NULL;
	}
	return rc;
}

/*
 * Cyrus remembers the UIDVALIDITY with which a mailbox was made in a second
 * place, so it is made when that is known: by set_uids().  Those above it are
 * made here.
 */
static int
folder_create(struct target *t, const char *seen, unsigned use,
    struct err *e)
{
	struct cyrus_target *c = target(t);
	const char *level[LEVELS_MAX];
	struct cyrus_box b;
	struct arena a;
	size_t n = 0;
	int rc;

	arena_init(&a);
	cyrus_box_init(&b);
	rc = cyrus_target_box(c, seen, &b, e);
	if (rc == 0 && free_use(c, seen, &use, e) == -1)
		rc = -1;
	/* An earlier one that nobody has opened. */
	if (rc == 0 && c->planned != NULL && strcmp(seen, c->planned) != 0)
		rc = cyrus_make_now(c, c->planned, e);
	if (rc == 0) {
		free(c->planned);
		c->planned = xstrdup(seen);
		c->planned_use = use;
	}
	/* From the mailbox up to the first one that is there, and down. */
	for (level[0] = seen; rc == 0 && n + 1 < LEVELS_MAX &&
	    parent(t, &a, level[n], &level[n + 1]) == 1; )
		if ((rc = cyrus_target_box(c, level[n + 1], &b, e)) == 0)
			n++;
	cyrus_lock(&c->c, false);
	for (; rc != -1 && n > 0; n--) {
		rc = describe(c, &b, level[n], 0, e);
		b.uidvalidity = (uint32_t)time(NULL);
		b.recent_time = b.append_time = b.uidvalidity;
		if (rc == 0)
			rc = cyrus_put_box(c, &b, 0, "make", e);
	}
	cyrus_unlock(&c->c);
	cyrus_box_release(&b);
	arena_release(&a);
	return rc == -1 ? -1 : 0;
}

/* The mailbox that was planned is made. */
static int
make_planned(struct cyrus_target *c, const struct folder_uids *u,
    struct err *e)
{
	struct cyrus_box *b = &c->box, other;
	size_t n = u->guid != NULL ? strlen(u->guid) : 0;
	int rc;

	cyrus_box_init(&other);
	rc = cyrus_box_get(c->c.y, b->name.ptr, c->c.names.user, false, NULL,
	    NULL, &other, e);
	/* A name between others has its UNIQUEID already. */
	if (rc == 0 && other.uniqueid[0] != '\0') {
		memcpy(b->uniqueid, other.uniqueid, sizeof b->uniqueid);
		n = 0;
	}
	cyrus_box_release(&other);
	if (rc == 1)
		return err_retry(e, ERR_MAILBOX, "somebody else made the "
		    "target mailbox");
	if (rc == -1)
		return -1;
	b->uidvalidity = u->uidvalidity != 0 ? u->uidvalidity :
	    (uint32_t)time(NULL);
	b->recent_time = b->append_time = (uint64_t)time(NULL);
	if (u->uidnext > 1)
		b->last_uid = b->recent_uid = u->uidnext - 1;
	/* Derived, so that a lost state proposes the same; but one that was
	 * deleted may still have it. */
	if (n >= UNIQUEID_LEN) {
		memcpy(b->uniqueid, u->guid, UNIQUEID_LEN);
		b->uniqueid[UNIQUEID_LEN] = '\0';
		if (cyrus_put_box(c, b, 0, "make", e) == 0)
			return 0;
		if (c->c.y->dead || e->retry)
			return -1;
		cyrus_new_uniqueid(b->uniqueid);
	}
	return cyrus_put_box(c, b, 0, "make", e);
}

static int
set_uids(struct target *t, const struct folder_uids *u,
    struct folder_state *st, struct err *e)
{
	struct cyrus_target *c = target(t);
	struct cyrus_box *b = &c->box;
	uint32_t validity = u->uidvalidity;
	uint64_t since = b->modseq;

	if (c->unmade) {
		int rc;

		cyrus_lock(&c->c, false);
		rc = make_planned(c, u, e);
		cyrus_unlock(&c->c);
		if (rc == -1)
			return -1;
		c->unmade = false;
		free(c->planned);
		c->planned = NULL;
		box_state(b, st);
		return 0;
	}
	/* One that was there before us, as its user wants it. */
	if (c->c.keep_inbox && !cyrus_box_fresh(b) && strcmp(b->name.ptr,
	    c->c.names.inbox) == 0) {
		box_state(b, st);
		return 0;
	}
	if (validity == 0 && cyrus_box_fresh(b))
		validity = (uint32_t)time(NULL);
	if (validity != 0 && b->last_uid == 0 && (cyrus_box_fresh(b) ||
	    validity != b->uidvalidity)) {
		if (cyrus_make_anew(c, b, validity, e) == -1)
			return -1;
		since = b->modseq;
	} else if (validity > b->uidvalidity) {
		b->uidvalidity = validity;
		target_warn(t, b->name.ptr, "uidvalidity", "its UIDVALIDITY "
		    "was changed, which Cyrus' list of mailboxes learns by "
		    "\"reconstruct\"");
	} else if (u->uidnext <= 1 || u->uidnext - 1 <= b->last_uid) {
		box_state(b, st);	/* nothing that could be done */
		return 0;
	}
	if (u->uidnext > 1 && u->uidnext - 1 > b->last_uid)
		b->last_uid = b->recent_uid = u->uidnext - 1;
	if (cyrus_put_box(c, b, since, "set UIDs of", e) == -1)
		return -1;
	box_state(b, st);
	return 0;
}

/* One name, without what lies below it. */
static int
rename_one(struct cyrus_target *c, const char *from, const char *to,
    struct err *e)
{
	struct cyrus_box old, new;
	struct buf name, args;
	int rc;

	cyrus_box_init(&old);
	cyrus_box_init(&new);
	buf_init(&name, 2000);
	buf_init(&args, 6000);
	rc = cyrus_target_box(c, from, &old, e);
	/* Done before a crash: the old one is gone, the new one there. */
	if (rc == 0 && (rc = cyrus_target_box(c, to, &new, e)) == 1)
		goto out;
	if (rc == 0)
		rc = err_set(e, ERR_MAILBOX, "there is no mailbox %.100s to "
		    "be renamed", from);
	if (rc == 1 && cyrus_target_name(c, to, &name, e) == -1)
		rc = -1;
	if (rc == 1) {
		buf_adds(&args, "RENAME %(OLDMBOXNAME ");
		dlist_put(&args, old.name.ptr, old.name.len);
		buf_adds(&args, " NEWMBOXNAME ");
		dlist_put(&args, name.ptr, name.len);
		buf_addf(&args, " PARTITION %s UIDVALIDITY %" PRIu32 ")",
		    old.partition, old.uidvalidity);
		rc = cyrus_change(c, &args, "rename", from, e);
	}
out:
	buf_release(&args);
	buf_release(&name);
	cyrus_box_release(&old);
	cyrus_box_release(&new);
	return rc == -1 ? -1 : 0;
}

/* With all that lies below, as IMAP does it. */
static int
folder_rename(struct target *t, const char *from, const char *to,
    struct err *e)
{
	struct cyrus_target *c = target(t);
	size_t len = strlen(from);
	struct cyrus_account a;
	struct buf name;
	int rc;

	if (cyrus_account_get(&c->c, &a, e) == -1)
		return -1;
	buf_init(&name, 4000);
	rc = rename_one(c, from, to, e);
	for (size_t i = 0; i < a.n && rc == 0; i++) {
		if (strncmp(a.box[i].seen, from, len) != 0 ||
		    a.box[i].seen[len] != c->c.names.rules.sep)
			continue;
		buf_reset(&name);
		buf_addf(&name, "%s%s", to, a.box[i].seen + len);
		rc = rename_one(c, a.box[i].seen, name.ptr, e);
	}
	buf_release(&name);
	cyrus_account_release(&a);
	return rc;
}

/* "VERB name", where "there is none" is as good. */
static int
folder_delete(struct target *t, const char *seen, struct err *e)
{
	struct cyrus_target *c = target(t);
	struct cyrus_box b;
	struct buf args;
	int rc;

	if (strcmp(seen, "INBOX") == 0)
		return err_set(e, ERR_MAILBOX, "INBOX is not deleted");
	cyrus_box_init(&b);
	rc = cyrus_target_box(c, seen, &b, e);
	if (rc == 1) {
		buf_init(&args, 2000);
		buf_adds(&args, "UNMAILBOX ");
		dlist_put(&args, b.name.ptr, b.name.len);
		rc = cyrus_change(c, &args, "delete", seen, e);
		buf_release(&args);
	}
	cyrus_box_release(&b);
	return rc == -1 ? -1 : 0;
}

static int
subscribe(struct target *t, const char *seen, bool on, struct err *e)
{
	struct cyrus_target *c = target(t);
	struct buf name, args;
	int rc;

	buf_init(&name, 2000);
	buf_init(&args, 4000);
	rc = cyrus_target_name(c, seen, &name, e);
	if (rc == 0) {
		buf_addf(&args, "%s %%(MBOXNAME ", on ? "SUB" : "UNSUB");
		dlist_put(&args, name.ptr, name.len);
		buf_adds(&args, " USERID ");
		dlist_puts(&args, c->c.names.user);
		buf_addc(&args, ')');
		rc = cyrus_change(c, &args, on ? "subscribe to" : "unsubscribe from",
		    seen, e);
	}
	buf_release(&name);
	buf_release(&args);
	return rc;
}

static int
mark_use(struct target *t, const char *seen, unsigned use, struct err *e)
{
	struct cyrus_target *c = target(t);
	struct buf name, args, names;
	unsigned wanted = use;
	int rc;

	if (free_use(c, seen, &use, e) == -1)
		return -1;
	if (wanted != use)
		return 0;
	buf_init(&name, 2000);
	buf_init(&args, 4000);
	buf_init(&names, 200);
	rc = cyrus_target_name(c, seen, &name, e);
	if (rc == 0) {
		cyrus_use_names(&names, use);
		buf_adds(&args, "ANNOTATION %(MBOXNAME ");
		dlist_put(&args, name.ptr, name.len);
		buf_adds(&args, " ENTRY /specialuse USERID ");
		dlist_puts(&args, c->c.names.user);
		buf_adds(&args, " VALUE ");
		dlist_put(&args, names.ptr, names.len);
		buf_addc(&args, ')');
		rc = cyrus_change(c, &args, "mark", seen, e);
	}
	buf_release(&name);
	buf_release(&args);
	buf_release(&names);
	return rc == -1 ? -1 : 1;
}

static int
set_quota(struct target *t, uint64_t bytes, bool *changed, struct err *e)
{
	struct cyrus_target *c = target(t);
	uint64_t kib = bytes == UNKNOWN64 ? UNKNOWN64 : bytes / KIB +
	    (bytes % KIB != 0);
	struct cyrus_account a;
	struct buf args;
	int rc;

	if (cyrus_account_get(&c->c, &a, e) == -1)
		return -1;
	if (a.quota_kib == kib) {
		cyrus_account_release(&a);
		return 1;
	}
	buf_init(&args, 4000);
	if (kib == UNKNOWN64 && a.quota_others.len == 0) {
		buf_adds(&args, "UNQUOTA ");
		dlist_puts(&args, c->c.names.inbox);
	} else {
		/* What is not said is lifted. */
		buf_adds(&args, "QUOTA %(ROOT ");
		dlist_puts(&args, c->c.names.inbox);
		if (kib != UNKNOWN64)
			buf_addf(&args, " STORAGE %" PRIu64, kib);
		buf_addf(&args, "%s)", a.quota_others.ptr);
	}
	cyrus_account_release(&a);
	rc = cyrus_change(c, &args, "set the quota of", c->c.names.user, e);
	buf_release(&args);
	if (rc == -1)
		return -1;
	*changed = true;
	return 1;
}

static const char *const schemes[] = { "cyrus", NULL };
static const char *const options[] = { CYRUS_OPTIONS, NULL };

const struct target_ops cyrus_target = {
	.schemes = schemes,
	.options = options,
	.check = cyrus_check,
	.open = open_target,
	.close = close_target,
	.caps = caps,
	.identity = identity,
	.account_ensure = account_ensure,
	.name = name,
	.survey = survey,
	.uidls = uidls,
	.parent = parent,
	.folder_open = folder_open,
	.folder_close = folder_close,
	.folder_create = folder_create,
	.set_uids = set_uids,
	.folder_rename = folder_rename,
	.folder_delete = folder_delete,
	.subscribe = subscribe,
	.mark_use = mark_use,
	.set_quota = set_quota,
	.acl = cyrus_acl,
	.set_acl = cyrus_set_acl,
	.foreign_name = cyrus_foreign_name,
	.submit = cyrus_submit,
	.reap = cyrus_reap,
	.broken = broken,
	.change_flags = cyrus_change_flags,
	.move = cyrus_move,
	.expunge = cyrus_expunge,
};
