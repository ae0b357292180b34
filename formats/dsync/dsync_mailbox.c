/* Mailboxes of the dsync target: names, trees, UIDs. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "base/fault.h"
#include "base/mutf7.h"
#include "base/xmalloc.h"
#include "dsync/dsync_impl.h"

#define LOCK_S		60	/* for an earlier session's lock */
#define GUIDS_MAX	5000	/* then a conversation is long enough */
#define TRIES		4
#define NAME_MAX_BYTES	((size_t)1 << 14)

static struct dsync *
dsync(struct target *t)
{
	return (struct dsync *)t;
}

int
dsync_noted(struct dsync *d, const struct err *e)
{
	if (d->talk != NULL && d->talk->dead && !d->broken) {
		d->broken = true;
		d->why = *e;
	}
	return -1;
}

/* Conversations. */

void
dsync_end_talk(struct dsync *d)
{
	if (d->talk == NULL)
		return;
	dsync_tree_release(&d->known);
	d->known = d->talk->tree;
	memset(&d->talk->tree, 0, sizeof d->talk->tree);
	dsync_talk_close(&d->talk);
	dsync_guids_release(&d->guids);
}

int
dsync_need_talk(struct dsync *d, bool fresh, struct err *e)
{
	bool lock = d->locks && !d->t.conf.look_only && !d->conf.look_only;

	if (d->talk != NULL && !fresh && dsync_talk_alive(d->talk) &&
	    d->guids.n < GUIDS_MAX)
		return 0;
	dsync_end_talk(d);
	if (dsync_talk_open(&d->talk, &d->conf, &d->known, lock ? LOCK_S : 0,
	    e) == 0) {
		if (lock && d->talk->no_lock)
			d->locks = false;
		return 0;
	}
	/* The lock is a file in the user's home. */
	if (!lock || strstr(e->text, "no home directory") == NULL)
		return -1;
	d->locks = false;
	return dsync_talk_open(&d->talk, &d->conf, &d->known, 0, e);
}

int
dsync_need_box(struct dsync *d, struct dsync_box **box, struct err *e)
{
	struct dsync_box *x;

	for (unsigned i = 0; i < TRIES; i++) {
		if (dsync_need_talk(d, i > 0, e) == -1)
			return -1;
		x = dsync_tree_find(&d->talk->tree, d->key);
		if (x == NULL || !x->exists || x->guid[0] == '\0')
			return 0;
		/* Another conversation can tell what is there already. */
		if (!x->ready)
			continue;
		if (!d->talk->told_tree && dsync_talk_tree(d->talk, NULL,
		    e) == -1)
			return -1;
		*box = x;
		return 1;
	}
	return err_retry(e, ERR_MAILBOX, "%.100s: others change it all the "
	    "time", d->name);
}

int
dsync_begin_round(struct dsync *d, struct dsync_box **box,
    struct dsync_status *st, struct err *e)
{
	int rc;

	for (unsigned i = 0; i < 2; i++) {
		if ((rc = dsync_need_box(d, box, e)) != 1)
			return rc;
		rc = dsync_talk_box(d->talk, *box, (*box)->common + 1, 0, st,
		    e);
		if (rc == -1)
			return dsync_noted(d, e);
		if (rc == 1 && st->uidvalidity == (*box)->uidvalidity) {
			if (st->uidnext > (*box)->uidnext)
				(*box)->uidnext = st->uidnext;
			return 1;
		}
		/* It has been made anew, or is gone; look again. */
		err_retry(e, ERR_MAILBOX, "%.100s has been made anew",
		    d->name);
		if (rc == 1 && st->messages > 0)
			dsync_talk_give_up(d->talk, e);
		else if (rc == 1 && dsync_talk_nothing(d->talk, *box,
		    e) == -1)
			return dsync_noted(d, e);
		dsync_end_talk(d);
	}
	return err_retry(e, ERR_MAILBOX, "%.100s: dsync-server does not find "
	    "it", d->name);
}

/* Names. */

/* The way trees spell a name that IMAP spells so. */
static char *
key_of(struct dsync *d, const char *name)
{
	char sep = d->rules.sep;
	const char *p = name, *end;
	struct buf key, level;

	buf_init(&key, NAME_MAX_BYTES);
	buf_init(&level, NAME_MAX_BYTES);
	for (;; p = end + 1) {
		end = sep != '\0' ? strchr(p, sep) : NULL;
		if (end == NULL)
			end = p + strlen(p);
		buf_reset(&level);
		if (mutf7_decode(&level, p, (size_t)(end - p)) == -1) {
			buf_reset(&level);
			buf_add(&level, p, (size_t)(end - p));
		}
		dsync_escape(&key, level.ptr, level.len);
		if (*end == '\0')
			break;
		buf_addc(&key, '\t');
	}
	buf_release(&level);
	return buf_detach(&key, NULL);
}

/* ... and back. */
static const char *
name_of(struct dsync *d, struct arena *a, const char *key)
{
	char *copy = xstrdup(key), *levels[200];
	size_t n = dsync_split(copy, levels, 200);
	const char *name;
	struct buf b;

	buf_init(&b, NAME_MAX_BYTES);
	for (size_t i = 0; i < n; i++) {
		if (i > 0)
			buf_addc(&b, d->rules.sep);
		if (mutf7_encode(&b, levels[i], strlen(levels[i])) == -1)
			buf_adds(&b, levels[i]);
	}
	name = arena_memdup0(a, b.ptr, b.len);
	buf_release(&b);
	free(copy);
	return name;
}

int
dsync_name(struct target *t, struct arena *a, const char *const *path,
    size_t npath, const char **name, bool *encoded, struct err *e)
{
	struct dsync *d = dsync(t);
	struct buf b;
	int rc;

	if (d->imap != NULL)
		return d->imap->ops->name(d->imap, a, path, npath, name,
		    encoded, e);
	buf_init(&b, NAME_MAX_BYTES);
	rc = imap_name_make(&d->rules, &b, path, npath, encoded);
	if (rc == 0)
		*name = arena_memdup0(a, b.ptr, b.len);
	else
		err_set(e, ERR_MAILBOX, "the name is longer than any server "
		    "takes");
	buf_release(&b);
	return rc;
}

/* By the tree alone: it tells no counts. */
int
dsync_survey(struct target *t, struct arena *a, const char *const *names,
    size_t n, bool quota, struct target_view *v, struct err *e)
{
	struct dsync *d = dsync(t);
	const struct dsync_tree *tree;

	if (d->imap != NULL)
		return d->imap->ops->survey(d->imap, a, names, n, quota, v,
		    e);
	if (dsync_need_talk(d, true, e) == -1)
		return -1;
	tree = &d->talk->tree;
	v->boxes = arena_zalloc(a, (tree->n + 1) * sizeof *v->boxes);
	for (size_t i = 0; i < tree->n; i++) {
		const struct dsync_box *x = &tree->box[i];
		struct target_box *b = &v->boxes[v->n];

		if (!x->exists)
			continue;
		b->name = name_of(d, a, x->name);
		b->noselect = x->guid[0] == '\0';
		b->st.uidvalidity = x->uidvalidity;
		b->st.uidnext = x->uidnext;
		b->st.messages = UNKNOWN64;
		v->n++;
	}
	return 0;
}

/* Mailboxes. */

static size_t
planned(const struct dsync *d, const char *name)
{
	size_t i;

	for (i = 0; i < d->nplanned; i++)
		if (strcmp(d->planned[i], name) == 0)
			break;
	return i;
}

void
dsync_forget_planned(struct dsync *d, const char *name)
{
	size_t i = planned(d, name);

	if (i == d->nplanned)
		return;
	free(d->planned[i]);
	d->planned[i] = d->planned[--d->nplanned];
}

int
dsync_folder_open(struct target *t, const char *name,
    struct folder_state *st, struct err *e)
{
	struct dsync *d = dsync(t);
	struct dsync_status seen;
	struct dsync_box *x;
	int rc;

	dsync_folder_close(t);
	d->name = xstrdup(name);
	d->key = key_of(d, name);
	rc = dsync_begin_round(d, &x, &seen, e);
	if (rc == 1 && dsync_talk_nothing(d->talk, x, e) == -1)
		rc = dsync_noted(d, e);
	if (rc == 1) {
		dsync_forget_planned(d, name);
		st->uidvalidity = seen.uidvalidity;
		st->uidnext = seen.uidnext;
		st->modseq = seen.modseq;
		st->messages = seen.messages;
	} else if (rc == 0 && planned(d, name) < d->nplanned) {
		st->uidnext = 1;
		rc = 1;
	}
	if (rc != 1)
		dsync_folder_close(t);
	return rc;
}

void
dsync_folder_close(struct target *t)
{
	struct dsync *d = dsync(t);

	free(d->name);
	free(d->key);
	d->name = d->key = NULL;
	d->selected = false;
}

int
dsync_folder_create(struct target *t, const char *name, unsigned use,
    struct err *e)
{
	struct dsync *d = dsync(t);

	(void)use;
	(void)e;
	if (planned(d, name) < d->nplanned)
		return 0;
	d->planned = xreallocarray(d->planned, d->nplanned + 1,
	    sizeof *d->planned);
	d->planned[d->nplanned++] = xstrdup(name);
	return 0;
}

static int
new_guid(char guid[DSYNC_GUID + 1], struct err *e)
{
	unsigned char raw[DSYNC_GUID / 2];

	if (getrandom(raw, sizeof raw, 0) != (ssize_t)sizeof raw)
		return err_sys(e, ERR_HOST, "getrandom");
	for (size_t i = 0; i < sizeof raw; i++)
		snprintf(guid + 2 * i, 3, "%02x", raw[i]);
	return 0;
}

/* The mailbox is made, unless somebody else just did. */
static int
make(struct dsync *d, const struct folder_uids *u, struct err *e)
{
	struct dsync_box x = { .uidnext = 1, .exists = true };
	struct dsync_box *there;

	if (dsync_need_talk(d, d->talk != NULL && d->talk->told_tree,
	    e) == -1)
		return -1;
	there = dsync_tree_find(&d->talk->tree, d->key);
	if (there != NULL && there->exists && there->guid[0] != '\0')
		return 0;
	x.name = d->key;
	x.uidvalidity = u->uidvalidity != 0 ? u->uidvalidity :
	    (uint32_t)time(NULL);
	x.renamed = (unsigned long long)time(NULL);
	if (there != NULL) {
		x.subscribed = there->subscribed;
		x.subscription = there->subscription;
	}
	if (u->guid != NULL && strlen(u->guid) == DSYNC_GUID)
		memcpy(x.guid, u->guid, sizeof x.guid);
	else if (new_guid(x.guid, e) == -1)
		return -1;
	/* A GUID stands for one mailbox. */
	for (size_t i = 0; i < d->talk->tree.n; i++)
		if (strcmp(d->talk->tree.box[i].guid, x.guid) == 0 &&
		    new_guid(x.guid, e) == -1)
			return -1;
	if (dsync_talk_tree(d->talk, &x, e) == -1)
		return dsync_noted(d, e);
	return 0;
}

/*
 * Another UIDVALIDITY: the server takes that of the side with more messages,
 * as soon as it hears of it.  What it would do then to mail is not wanted, so
 * the conversation ends there.
 */
static int
set_uidvalidity(struct dsync *d, uint32_t uidvalidity, struct err *e)
{
	struct dsync_tree none = { 0 };
	struct dsync_status st;
	struct dsync_box *x, claim;
	struct err ended;
	int rc;

	/* Without S it does not mind. */
	dsync_end_talk(d);
	if (dsync_talk_open(&d->talk, &d->conf, &none, d->locks ? LOCK_S : 0,
	    e) == -1)
		return -1;
	x = dsync_tree_find(&d->talk->tree, d->key);
	if (x == NULL || x->guid[0] == '\0')
		return err_retry(e, ERR_MAILBOX, "is gone from the target");
	claim = *x;
	claim.uidvalidity = uidvalidity;
	if (dsync_talk_tree(d->talk, NULL, e) == -1)
		return dsync_noted(d, e);
	rc = dsync_talk_box(d->talk, &claim, 1, UINT32_MAX, &st, e);
	if (rc == -1)
		return dsync_noted(d, e);
	err_clear(&ended);
	if (rc == 0 || st.messages > 0)
		dsync_talk_give_up(d->talk, &ended);
	else if (dsync_talk_nothing(d->talk, &claim, e) == -1)
		return dsync_noted(d, e);
	dsync_end_talk(d);
	if (dsync_need_talk(d, true, e) == -1)
		return -1;
	x = dsync_tree_find(&d->talk->tree, d->key);
	if (x == NULL || x->uidvalidity != uidvalidity)
		return err_retry(e, ERR_MAILBOX, "%.100s: Dovecot does not "
		    "take the UIDVALIDITY %" PRIu32, d->name, uidvalidity);
	return 0;
}

/* A higher UIDNEXT, said when there is no mail below it that we do not know
 * of: that would get new UIDs. */
static int
set_uidnext(struct dsync *d, uint32_t uidnext, struct err *e)
{
	struct dsync_status st;
	struct dsync_box *x;
	int rc;

	for (unsigned i = 0; i < TRIES; i++) {
		if (dsync_need_talk(d, true, e) == -1)
			return -1;
		if ((rc = dsync_need_box(d, &x, e)) != 1)
			return rc == -1 ? -1 : err_retry(e, ERR_MAILBOX,
			    "is gone from the target");
		rc = dsync_talk_box(d->talk, x, uidnext, 0, &st, e);
		if (rc == -1)
			return dsync_noted(d, e);
		if (rc == 1 && st.uidnext == x->common + 1) {
			if (uidnext > x->uidnext)
				x->uidnext = uidnext;
			return dsync_talk_nothing(d->talk, x, e) == -1 ?
			    dsync_noted(d, e) : 0;
		}
		if (rc == 1 && st.uidnext > x->uidnext)
			x->uidnext = st.uidnext;
		err_retry(e, ERR_MAILBOX, "others write to it");
		dsync_talk_give_up(d->talk, e);
	}
	return err_retry(e, ERR_MAILBOX, "%.100s: others write to it all the "
	    "time", d->name);
}

/* A round without mail: the mailbox as it is. */
static int
look_at(struct dsync *d, struct dsync_status *st, struct err *e)
{
	struct dsync_box *x;
	int rc = dsync_begin_round(d, &x, st, e);

	if (rc == 1 && dsync_talk_nothing(d->talk, x, e) == -1)
		rc = dsync_noted(d, e);
	if (rc == 0)
		rc = err_retry(e, ERR_MAILBOX, "%.100s is not at the target",
		    d->name);
	return rc == -1 ? -1 : 0;
}

int
dsync_set_uids(struct target *t, const struct folder_uids *u,
    struct folder_state *st, struct err *e)
{
	struct dsync *d = dsync(t);
	bool made = planned(d, d->name) < d->nplanned, changed = false;
	struct dsync_status now;

	if ((made && make(d, u, e) == -1) || look_at(d, &now, e) == -1)
		return -1;
	dsync_forget_planned(d, d->name);
	if (made && now.messages > 0)
		return err_retry(e, ERR_MAILBOX, "%.100s was made by others "
		    "meanwhile", d->name);
	if (u->uidvalidity != 0 && now.uidvalidity != u->uidvalidity) {
		if (set_uidvalidity(d, u->uidvalidity, e) == -1)
			return -1;
		changed = true;
	}
	if (u->uidnext > now.uidnext) {
		if (set_uidnext(d, u->uidnext, e) == -1)
			return -1;
		changed = true;
	}
	if (changed && look_at(d, &now, e) == -1)
		return -1;
	st->uidvalidity = now.uidvalidity;
	st->uidnext = now.uidnext;
	st->modseq = now.modseq;
	st->messages = now.messages;
	return 0;
}
