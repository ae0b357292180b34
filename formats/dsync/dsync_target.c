/*
 * Dovecot in any of its formats as a target: the table, opening, and what is
 * done by IMAP because dsync cannot do it to one message or one mailbox only.
 *
 * Options:
 *	config=FILE	for doveadm -c
 *	program=FILE	instead of doveadm
 *	transport=auto|dsync|imap
 *	read=URI	doveadm:// only: the same user's mail by IMAP
 *	read-secret-file=FILE	the password for that
 *	tls=, ca= ...	as for IMAP
 */
#include "dsync/dsync_target.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/xmalloc.h"
#include "dsync/dsync_impl.h"
#include "imap/imap_session.h"
#include "imap/imap_target.h"

static struct dsync *
dsync(struct target *t)
{
	return (struct dsync *)t;
}

/* Opening. */

/* The session that does what dsync cannot: 1; 0: there is no way to one. */
static int
open_imap(struct target **tp, struct dsync_eyes **yp,
    const struct store_conf *conf, struct err *e)
{
	int rc = dsync_eyes_open(yp, conf, e);

	if (rc != 1)
		return rc;
	if (imap_target.open(tp, &(*yp)->conf, e) == -1) {
		dsync_child_end(&(*yp)->child, e);
		dsync_eyes_close(yp);
		return -1;
	}
	(*tp)->ops = &imap_target;
	(*tp)->conf = (*yp)->conf;
	return 1;
}

static void
close_imap(struct target **tp, struct dsync_eyes **yp)
{
	if (*tp != NULL)
		imap_target.close(*tp);
	*tp = NULL;
	dsync_eyes_close(yp);
}

/* IMAP in place of dsync: its own table with another end. */

static struct target_ops by_imap;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void
close_instead(struct target *t)
{
	struct dsync_eyes *y = t->conf.dial_ctx;

	close_imap(&t, &y);
}

static void
init(void)
{
	by_imap = imap_target;
	by_imap.close = close_instead;
}

static int
open_instead(struct target **tp, const struct store_conf *conf,
    struct err *e)
{
	struct dsync_eyes *y;
	int rc = open_imap(tp, &y, conf, e);

	if (rc != 1)
		return rc;
	pthread_once(&once, init);
	(*tp)->ops = &by_imap;
	(*tp)->conf.dial_ctx = y;
	return 1;
}

static void
release(struct dsync *d)
{
	dsync_folder_close(&d->t);
	dsync_end_talk(d);
	close_imap(&d->imap, &d->eyes);
	dsync_tree_release(&d->known);
	dsync_guids_release(&d->guids);
	for (size_t i = 0; i < d->nplanned; i++)
		free(d->planned[i]);
	free(d->planned);
	free(d);
}

/* Whose rules names have to keep. */
static void
set_rules(struct dsync *d)
{
	struct imap_name_rules *r = &d->rules;

	if (d->imap != NULL) {
		r->sep = d->talk->sep;
		return;
	}
	/* Nobody can be asked, so what any format refuses is escaped. */
	r->dialect = IMAP_DOVECOT;
	r->sep = d->talk->sep;
	r->prefix = "";
	r->no_dot = r->sep != '.';
	r->no_tilde = r->no_maildir = r->no_dbox = true;
}

/* 1; 0: this server does not do dsync, for reasons in *e; -1. */
static int
open_dsync(struct dsync **dp, const struct store_conf *conf, struct err *e)
{
	struct dsync *d = xcalloc(1, sizeof *d);

	*dp = NULL;
	d->conf = *conf;
	d->locks = true;
	if (dsync_need_talk(d, true, e) == -1) {
		release(d);
		return e->retry || e->cause != CAUSE_OTHER ? -1 : 0;
	}
	if (open_imap(&d->imap, &d->eyes, &d->conf, e) == -1) {
		release(d);
		return -1;
	}
	set_rules(d);
	*dp = d;
	return 1;
}

static int
open_target(struct target **tp, const struct store_conf *conf, struct err *e)
{
	char transport, text[400];
	struct dsync *d;
	struct err why;
	int rc = 0;

	if (dsync_way_check(conf->uri, e) == -1)
		return -1;
	transport = dsync_way_transport(conf->uri);
	if (transport != 'i') {
		if ((rc = open_dsync(&d, conf, e)) == 1)
			*tp = &d->t;
		if (rc != 0 || transport == 'd')
			return rc == 1 ? 0 : -1;
		why = *e;
	}
	rc = open_instead(tp, conf, e);
	if (rc == 1 && transport == 'a') {
		snprintf(text, sizeof text, "not by dsync, but by IMAP, with "
		    "UIDs of the target's own: %.250s", why.text);
		conf->warn(conf->warn_ctx, NULL, "transport", text);
	}
	if (rc == 0)
		*e = why;
	return rc == 1 ? 0 : -1;
}

static void
close_target(struct target *t)
{
	release(dsync(t));
}

static void
caps(struct target *t, struct target_caps *c)
{
	c->bits = TGT_CHOOSES_UIDS | TGT_TELLS_UIDS | TGT_ONE_SESSION |
	    TGT_UIDLS |
	    (dsync(t)->imap != NULL ? TGT_EXPUNGES | TGT_FLAGS : 0) |
	    (dsync(t)->locks ? TGT_PROMPT : 0);
	c->batch_messages = 200;
	c->batch_bytes = (uint64_t)1 << 20;
	c->window = 3;
	c->max_message = UNKNOWN64;
}

static const char *
identity(struct target *t)
{
	struct target *imap = dsync(t)->imap;

	return imap != NULL ? imap->ops->identity(imap) : "dsync 3.5";
}

/* That a conversation began means that there is such a user. */
static int
account_ensure(struct target *t, bool create, struct err *e)
{
	(void)t;
	(void)create;
	(void)e;
	return 1;
}

static int
name_key(struct target *t, struct arena *a, const char *name,
    const char **key, struct err *e)
{
	(void)t;
	(void)a;
	(void)e;
	*key = name;
	return 0;
}

static int
target_is_broken(struct target *t, struct err *e)
{
	struct dsync *d = dsync(t);

	if (d->broken) {
		*e = d->why;
		return 1;
	}
	return d->imap != NULL ? d->imap->ops->broken(d->imap, e) : 0;
}

/* What IMAP does. */

static int
need_imap(struct dsync *d, const char *what, struct err *e)
{
	if (d->imap != NULL)
		return 0;
	return err_set(e, ERR_MAILBOX, "%s: dsync cannot; say where IMAP can, "
	    "with read=imaps://USER@HOST", what);
}

/* Trees are other ones afterwards. */
static void
forget_tree(struct dsync *d)
{
	dsync_end_talk(d);
	dsync_tree_release(&d->known);
}

static int
folder_rename(struct target *t, const char *from, const char *to,
    struct err *e)
{
	struct dsync *d = dsync(t);

	if (need_imap(d, "rename", e) == -1)
		return -1;
	forget_tree(d);
	return d->imap->ops->folder_rename(d->imap, from, to, e);
}

static int
folder_delete(struct target *t, const char *name, struct err *e)
{
	struct dsync *d = dsync(t);

	dsync_forget_planned(d, name);
	if (need_imap(d, "delete", e) == -1)
		return -1;
	forget_tree(d);
	return d->imap->ops->folder_delete(d->imap, name, e);
}

static int
subscribe(struct target *t, const char *name, bool on, struct err *e)
{
	struct dsync *d = dsync(t);

	return need_imap(d, "subscribe", e) == -1 ? -1 :
	    d->imap->ops->subscribe(d->imap, name, on, e);
}

static int
subscribe_many(struct target *t, const char *const *names, size_t n,
    struct err *results, struct err *e)
{
	struct dsync *d = dsync(t);

	if (d->imap != NULL)
		return d->imap->ops->subscribe_many(d->imap, names, n,
		    results, e);
	for (size_t i = 0; i < n; i++)
		need_imap(d, "subscribe", &results[i]);
	return 0;
}

static int
mark_use(struct target *t, const char *name, unsigned use, struct err *e)
{
	struct target *imap = dsync(t)->imap;

	return imap != NULL ? imap->ops->mark_use(imap, name, use, e) : 0;
}

static int
set_quota(struct target *t, uint64_t bytes, bool *changed, struct err *e)
{
	struct dsync *d = dsync(t);

	if (need_imap(d, "set a quota", e) == -1)
		return 0;
	return d->imap->ops->set_quota(d->imap, bytes, changed, e);
}

/* The open mailbox, in the IMAP session. */
static int
select_it(struct dsync *d, const char *what, struct err *e)
{
	struct folder_state st;
	int rc;

	if (need_imap(d, what, e) == -1)
		return -1;
	if (d->selected)
		return 0;
	memset(&st, 0, sizeof st);
	rc = d->imap->ops->folder_open(d->imap, d->name, &st, e);
	if (rc == 0)
		rc = err_retry(e, ERR_MAILBOX, "is gone from the target");
	d->selected = rc == 1;
	return rc == 1 ? 0 : -1;
}

static int
change_flags(struct target *t, struct flag_change *c, size_t n,
    struct err *e)
{
	struct dsync *d = dsync(t);

	return select_it(d, "change flags", e) == -1 ? -1 :
	    d->imap->ops->change_flags(d->imap, c, n, e);
}

static int
expunge(struct target *t, const uint32_t *uids, size_t n, struct err *e)
{
	struct dsync *d = dsync(t);

	return select_it(d, "expunge", e) == -1 ? -1 :
	    d->imap->ops->expunge(d->imap, uids, n, e);
}

static const char *const schemes[] = { "doveadm", NULL };
static const char *const options[] = { DSYNC_OPTIONS, NULL };

const struct target_ops dsync_target = {
	.schemes = schemes, .options = options, .check = dsync_way_check,
	.open = open_target, .close = close_target, .caps = caps,
	.identity = identity, .account_ensure = account_ensure,
	.name = dsync_name, .name_key = name_key, .survey = dsync_survey,
	.folder_open = dsync_folder_open, .folder_close = dsync_folder_close,
	.folder_create = dsync_folder_create, .set_uids = dsync_set_uids,
	.folder_rename = folder_rename, .folder_delete = folder_delete,
	.subscribe = subscribe, .subscribe_many = subscribe_many,
	.mark_use = mark_use, .set_quota = set_quota,
	.submit = dsync_submit, .reap = dsync_reap,
	.broken = target_is_broken, .change_flags = change_flags,
	.expunge = expunge,
};
