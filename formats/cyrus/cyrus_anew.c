/*
 * Another UIDVALIDITY for a mailbox that never held a message.
 *
 * From 3.6 on Cyrus puts one of another UNIQUEID in its place, if it holds no
 * message at that moment; older ones say no.
 *
 * An INBOX is removed and made anew under its UNIQUEID in one go: for what comes
 * in between a last look and that, a round trip, there is no way to be sure.
 *
 * A user's subscriptions, scripts and other data hang on the UNIQUEID of the
 * INBOX.  While that one is away, a mailbox below it says so and has its ACL
 * and UNIQUEID:
 *
 *	user.NAME.mailhaul-inbox-UNIQUEID
 *
 * so that what was cut short (a power cut) is put right by the next run.
 */
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "base/fault.h"
#include "cyrus/cyrus_impl.h"

static const char prefix[] = "mailhaul-inbox-";

#define LOCKS 61		/* users that meet in one wait for each other */

static pthread_rwlock_t locks[LOCKS];
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void
init(void)
{
	for (size_t i = 0; i < LOCKS; i++)
		pthread_rwlock_init(&locks[i], NULL);
}

static pthread_rwlock_t *
lock_of(const struct cyrus *c)
{
	uint32_t hash = 2166136261u;

	pthread_once(&once, init);
	for (const char *p = c->names.user; *p != '\0'; p++)
		hash = (hash ^ (unsigned char)*p) * 16777619u;
	return &locks[hash % LOCKS];
}

void
cyrus_lock(const struct cyrus *c, bool alone)
{
	if (alone)
		pthread_rwlock_wrlock(lock_of(c));
	else
		pthread_rwlock_rdlock(lock_of(c));
}

void
cyrus_unlock(const struct cyrus *c)
{
	pthread_rwlock_unlock(lock_of(c));
}

bool
cyrus_is_marker(const char *seen)
{
	return strncmp(seen, prefix, sizeof prefix - 1) == 0;
}

static int
remove_box(struct cyrus_target *c, const struct buf *name, struct err *e)
{
	struct buf args;
	int rc;

	buf_init(&args, 2000);
	buf_adds(&args, "UNMAILBOX ");
	dlist_put(&args, name->ptr, name->len);
	rc = cyrus_change(c, &args, "remove", name->ptr, e);
	buf_release(&args);
	return rc;
}

/* A box of the same kind, with another name. */
static void
marker_of(struct cyrus_target *c, const struct cyrus_box *inbox,
    struct cyrus_box *m)
{
	cyrus_box_init(m);
	buf_addf(&m->name, "%s.%s%s", c->c.names.inbox, prefix,
	    inbox->uniqueid);
	cyrus_new_uniqueid(m->uniqueid);
	memcpy(m->partition, inbox->partition, sizeof m->partition);
	memcpy(m->options, inbox->options, sizeof m->options);
	buf_add(&m->acl, inbox->acl.ptr, inbox->acl.len);
	cyrus_box_make_fresh(m);
}

/* Both commands are with Cyrus before the first one is done. */
static int
replace(struct cyrus_target *c, const struct cyrus_box *b, struct err *e)
{
	struct sync *y = c->c.y;
	struct sync_reply r[2];
	struct buf one, two;
	int rc[2] = { -1, -1 }, ok;

	buf_init(&one, 2000);
	buf_init(&two, (size_t)2 << 20);
	buf_adds(&one, " UNMAILBOX ");
	dlist_put(&one, b->name.ptr, b->name.len);
	buf_addc(&two, ' ');
	cyrus_box_put(&two, b, 0);
	buf_adds(&two, "))");
	ok = sync_begin(y, "APPLY", e);
	if (ok == 0)
		ok = sync_put(y, one.ptr, one.len, e);
	if (ok == 0)
		ok = sync_put(y, "\r\n", 2, e);
	if (ok == 0)
		ok = sync_begin(y, "APPLY", e);
	if (ok == 0)
		ok = sync_put(y, two.ptr, two.len, e);
	if (ok == 0)
		ok = sync_end(y, e);
	for (size_t i = 0; i < 2 && ok == 0; i++)
		ok = (rc[i] = sync_answer(y, NULL, NULL, &r[i], e)) == -1 ?
		    -1 : 0;
	buf_release(&one);
	buf_release(&two);
	if (ok == -1)
		return -1;
	return rc[1] == 1 ? cyrus_disks_sync(c->c.disks, e) : sync_no(&r[rc[0] == 1], ERR_MAILBOX, e,
	    "make %.100s anew", b->name.ptr);
}

/* Mail may have come in since the mailbox was opened: it is not ours. */
static int
still_empty(struct cyrus_target *c, const struct cyrus_box *b, struct err *e)
{
	struct cyrus_box now;
	int rc;

	cyrus_box_init(&now);
	rc = cyrus_box_get(c->c.y, b->name.ptr, c->c.names.user, false, NULL,
	    NULL, &now, e);
	if (rc != -1)
		rc = rc == 1 && now.last_uid == 0 && strcmp(now.uniqueid,
		    b->uniqueid) == 0 && now.uidvalidity == b->uidvalidity ?
		    0 : err_retry(e, ERR_MAILBOX, "mail came into the target "
		    "mailbox: it has to be looked at");
	cyrus_box_release(&now);
	return rc;
}

/* By a name of its own, which nothing hangs on.  1; 0: this Cyrus cannot. */
static int
exchange(struct cyrus_target *c, struct cyrus_box *b, struct err *e)
{
	struct sync_reply r;
	struct buf args;
	char old[sizeof b->uniqueid];
	int rc;

	memcpy(old, b->uniqueid, sizeof old);
	cyrus_new_uniqueid(b->uniqueid);
	buf_init(&args, (size_t)2 << 20);
	cyrus_box_put(&args, b, 0);
	buf_adds(&args, "))");
	fault_point("cyrus.before_exchange");
	rc = cyrus_apply(c, &args, &r, e);
	buf_release(&args);
	if (rc == 1)
		return cyrus_disks_sync(c->c.disks, e) == -1 ? -1 : 1;
	if (rc == 0 && strcmp(r.code, "IMAP_MAILBOX_MOVED") != 0)
		rc = sync_no(&r, ERR_MAILBOX, e, "make %.100s anew",
		    b->name.ptr);
	else if (rc == 0 && c->c.y->version >= 306)
		rc = err_retry(e, ERR_MAILBOX, "mail came into the target "
		    "mailbox: it has to be looked at");
	memcpy(b->uniqueid, old, sizeof old);
	return rc;
}

int
cyrus_make_anew(struct cyrus_target *c, struct cyrus_box *b,
    uint32_t uidvalidity, struct err *e)
{
	bool inbox = strcmp(b->name.ptr, c->c.names.inbox) == 0;
	struct cyrus_box marker;
	struct err ignored;
	int rc = 0;

	marker_of(c, b, &marker);
	if (inbox) {
		cyrus_lock(&c->c, true);
		rc = cyrus_put_box(c, &marker, 0, "make", e);
	}
	fault_point("cyrus.marked");
	if (rc == 0 && still_empty(c, b, e) == -1) {
		/* Left behind it does no harm: the next run takes it away. */
		if (inbox && !c->c.y->dead)
			remove_box(c, &marker.name, &ignored);
		rc = -1;
	} else if (rc == 0) {
		cyrus_box_make_fresh(b);
		b->uidvalidity = uidvalidity;
		b->recent_time = b->append_time = uidvalidity;
		rc = inbox ? 0 : exchange(c, b, e);
		if (rc == 0)
			rc = replace(c, b, e);
		else if (rc == 1)
			rc = 0;
	}
	fault_point("cyrus.anew");
	if (rc == 0 && inbox)
		rc = remove_box(c, &marker.name, e);
	if (inbox)
		cyrus_unlock(&c->c);
	cyrus_box_release(&marker);
	return rc;
}

/* The INBOX of which the marker tells. */
static int
put_back(struct cyrus_target *c, const char *internal, const char *uniqueid,
    struct err *e)
{
	struct cyrus_box b;
	int rc;

	cyrus_box_init(&b);
	rc = cyrus_box_get(c->c.y, internal, c->c.names.user, false, NULL,
	    NULL, &b, e);
	if (rc == 1) {
		buf_reset(&b.name);
		buf_adds(&b.name, c->c.names.inbox);
		snprintf(b.uniqueid, sizeof b.uniqueid, "%s", uniqueid);
		cyrus_box_make_fresh(&b);
		rc = cyrus_put_box(c, &b, 0, "make", e) == -1 ? -1 : 1;
	}
	cyrus_box_release(&b);
	return rc;
}

int
cyrus_mend_inbox(struct cyrus_target *c, const struct cyrus_account *a,
    struct err *e)
{
	int inbox = a->inbox, rc;
	struct buf name;

	for (size_t i = 0; i < a->n; i++) {
		const struct cyrus_listed *l = &a->box[i];

		if (!cyrus_is_marker(l->seen) || c->t.conf.look_only)
			continue;
		if (!inbox) {
			rc = put_back(c, l->internal, l->seen +
			    sizeof prefix - 1, e);
			if (rc == -1)
				return -1;
			inbox = rc;
		}
		buf_init(&name, 2000);
		buf_adds(&name, l->internal);
		rc = remove_box(c, &name, e);
		buf_release(&name);
		if (rc == -1)
			return -1;
	}
	return inbox;
}
