/* A conversation with a dsync-server: see dsync_talk.h. */
#include "dsync/dsync_talk.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fault.h"
#include "base/xmalloc.h"
#include "imap/imap_stream.h"

#define OUT_MAX		((size_t)64 << 20)	/* one tree, in the worst case */
#define BOXES_MAX	1000000
/* Behind every name that a host could have: see dsync_talk.h. */
#define OUR_NAME	"~mailhaul"

/* Trees. */

static int
by_name(const void *a, const void *b)
{
	return strcmp(((const struct dsync_box *)a)->name,
	    ((const struct dsync_box *)b)->name);
}

struct dsync_box *
dsync_tree_find(const struct dsync_tree *t, const char *name)
{
	size_t lo = 0, hi = t->n;

	while (lo < hi) {
		size_t mid = (lo + hi) / 2;
		int c = strcmp(name, t->box[mid].name);

		if (c == 0)
			return &t->box[mid];
		if (c < 0)
			hi = mid;
		else
			lo = mid + 1;
	}
	return NULL;
}

/* At the end, whatever its name. */
static struct dsync_box *
append(struct dsync_tree *t, char *name)
{
	if (t->n == t->cap) {
		t->cap = t->cap == 0 ? 16 : 2 * t->cap;
		t->box = xreallocarray(t->box, t->cap, sizeof *t->box);
	}
	memset(&t->box[t->n], 0, sizeof *t->box);
	t->box[t->n].name = name;
	return &t->box[t->n++];
}

struct dsync_box *
dsync_tree_add(struct dsync_tree *t, char *name)
{
	append(t, name);
	qsort(t->box, t->n, sizeof *t->box, by_name);
	return dsync_tree_find(t, name);
}

void
dsync_tree_release(struct dsync_tree *t)
{
	for (size_t i = 0; i < t->n; i++)
		free(t->box[i].name);
	free(t->box);
	memset(t, 0, sizeof *t);
}

/* Sending. */

int
dsync_talk_give_up(struct dsync_talk *t, struct err *e)
{
	if (t->dead) {
		*e = t->why;
		return -1;
	}
	t->dead = true;
	imap_stream_free(&t->st);
	dsync_child_end(&t->child, e);
	t->why = *e;
	return -1;
}

int
dsync_talk_write(struct dsync_talk *t, const void *p, size_t n, struct err *e)
{
	if (t->dead || imap_stream_write(t->st, p, n, e) == -1)
		return dsync_talk_give_up(t, e);
	return 0;
}

int
dsync_talk_flush(struct dsync_talk *t, struct err *e)
{
	if (t->dead || imap_stream_flush(t->st, e) == -1)
		return dsync_talk_give_up(t, e);
	return 0;
}

int
dsync_talk_send(struct dsync_talk *t, struct err *e)
{
	int rc;

	if (t->out.full) {
		err_set(e, ERR_ACCOUNT, "there is too much to be said to "
		    "dsync-server");
		return dsync_talk_give_up(t, e);
	}
	rc = dsync_talk_write(t, t->out.ptr, t->out.len, e);
	buf_reset(&t->out);
	return rc;
}

/* From here on a single wait may take so long. */
static void
patience(struct dsync_talk *t, unsigned s)
{
	if (t->dead)
		return;
	if (t->child != NULL)
		child_listen(t->child);
	imap_stream_limits(t->st, s, 10 * s);
}

/* Receiving. */

static int
get(struct dsync_talk *t, struct err *e)
{
	if (!t->dead && dsync_read_item(&t->r, e) == 0)
		return 0;
	return dsync_talk_give_up(t, e);
}

/* The server broke the protocol, or gives up itself. */
static int
unexpected(struct dsync_talk *t, const char *wanted, struct err *e)
{
	const char *why = t->r.letter == 'F' ? dsync_get(&t->r, "error") :
	    NULL;

	if (t->r.letter == 'F')
		err_retry(e, ERR_ACCOUNT, "dsync-server ends: %.200s", why !=
		    NULL && why[0] != '\0' ? why : "without a reason");
	else
		err_retry(e, ERR_ACCOUNT, "dsync-server sends an item %c where "
		    "%s should come", t->r.letter > ' ' && t->r.letter < 0x7f ?
		    t->r.letter : '?', wanted);
	return dsync_talk_give_up(t, e);
}

int
dsync_talk_next(struct dsync_talk *t, char letter, struct err *e)
{
	char wanted[] = { letter, '\0' };

	if (get(t, e) == -1)
		return -1;
	if (t->r.letter == '.')
		return 0;
	return t->r.letter == letter ? 1 : unexpected(t, wanted, e);
}

/* The handshake. */

static const struct { char letter; const char *names; } heads[] = {
	{ 'H', "hostname\tsync_type\tsend_mail_requests\tbackup_recv\t"
	    "no_backup_overwrite\tlock_timeout" },
	{ 'S', "mailbox_guid\tlast_uidvalidity\tlast_common_uid\t"
	    "last_common_modseq\tlast_common_pvt_modseq" },
	{ 'N', "name\texistence\tmailbox_guid\tuid_validity\tuid_next\t"
	    "last_renamed_or_created\tsubscribed\tlast_subscription_change" },
	{ 'D', "hierarchy_sep\tescape_char" },
	{ 'B', "mailbox_guid\tuid_validity\tuid_next\tmessages_count\t"
	    "first_recent_uid\thighest_modseq\thighest_pvt_modseq\t"
	    "have_guids\thave_save_guids" },
	{ 'A', "type\tkey" },
	{ 'C', "type\tuid\tguid\tmodseq\tfinal_flags\tkeyword_changes\t"
	    "received_timestamp\tvirtual_size" },
	{ 'R', "guid\tuid" },
	{ 'M', "guid\tuid\tpop3_uidl\tpop3_order\treceived_date\tsaved_date\t"
	    "stream" },
	{ 'F', "error\tmail_error" },
	{ 'c', "name\tdecision" },
};

/* S: everything of it up to the last UID is on both sides. */
static void
put_state(struct buf *b, const struct dsync_box *x, uint32_t last)
{
	dsync_begin(b, 'S');
	dsync_put(b, x->guid);
	dsync_putf(b, "%" PRIu32, x->uidvalidity);
	dsync_putf(b, "%" PRIu32, last);
	dsync_put(b, "0");
	dsync_put(b, "0");
	dsync_end(b);
}

static void
put_handshake(struct buf *b, const struct dsync_tree *known, unsigned lock_s)
{
	buf_adds(b, "VERSION\tdsync\t3\t5\n");
	for (size_t i = 0; i < sizeof heads / sizeof *heads; i++)
		buf_addf(b, "%c%s\n", heads[i].letter, heads[i].names);
	buf_adds(b, ".\n");
	dsync_begin(b, 'H');
	dsync_put(b, OUR_NAME);
	dsync_put(b, "s");
	dsync_put(b, "");
	dsync_put(b, "");
	dsync_put(b, "");		/* never without no_backup_overwrite */
	if (lock_s > 0)
		dsync_putf(b, "%u", lock_s);
	else
		dsync_put(b, NULL);
	dsync_end(b);
	for (size_t i = 0; known != NULL && i < known->n; i++) {
		const struct dsync_box *x = &known->box[i];

		if (x->guid[0] != '\0' && x->uidnext > 1)
			put_state(b, x, x->uidnext - 1);
	}
	buf_adds(b, ".\n");
}

static bool
is_guid(const char *s)
{
	return s != NULL && strlen(s) == DSYNC_GUID &&
	    strspn(s, "0123456789abcdef") == DSYNC_GUID;
}

static uint32_t
number32(const struct dsync_talk *t, const char *name)
{
	unsigned long long v = dsync_number(&t->r, name);

	return v > UINT32_MAX ? 0 : (uint32_t)v;
}

static int
read_tree(struct dsync_talk *t, const struct dsync_tree *known,
    struct err *e)
{
	const char *name, *guid, *there, *sep, *escape;
	const struct dsync_box *old;
	struct dsync_box *x;
	int rc;

	while ((rc = dsync_talk_next(t, 'N', e)) == 1) {
		name = dsync_get(&t->r, "name");
		guid = dsync_get(&t->r, "mailbox_guid");
		there = dsync_get(&t->r, "existence");
		if (name == NULL || name[0] == '\0' || there == NULL ||
		    (guid != NULL && !is_guid(guid)) ||
		    t->tree.n == BOXES_MAX)
			return unexpected(t, "a mailbox", e);
		x = append(&t->tree, xstrdup(name));
		x->exists = there[0] == 'y';
		if (guid != NULL)
			memcpy(x->guid, guid, sizeof x->guid);
		x->uidvalidity = number32(t, "uid_validity");
		x->uidnext = number32(t, "uid_next");
		x->renamed = dsync_number(&t->r, "last_renamed_or_created");
		x->subscription = dsync_number(&t->r,
		    "last_subscription_change");
		x->subscribed = dsync_get(&t->r, "subscribed") != NULL;
		old = known != NULL ? dsync_tree_find(known, name) : NULL;
		if (old != NULL && old->uidnext > 1 &&
		    strcmp(old->guid, x->guid) == 0 &&
		    old->uidvalidity == x->uidvalidity &&
		    old->uidnext <= x->uidnext)
			x->common = old->uidnext - 1;
		x->ready = x->uidnext <= 1 || x->common > 0;
	}
	if (rc == -1 || get(t, e) == -1)
		return -1;
	if (t->tree.n > 0)
		qsort(t->tree.box, t->tree.n, sizeof *t->tree.box, by_name);
	sep = t->r.letter == 'D' ? dsync_get(&t->r, "hierarchy_sep") : NULL;
	escape = t->r.letter == 'D' ? dsync_get(&t->r, "escape_char") : NULL;
	if (sep == NULL || strlen(sep) != 1)
		return unexpected(t, "the end of the tree", e);
	t->sep = sep[0];
	snprintf(t->escape, sizeof t->escape, "%.1s", escape != NULL ?
	    escape : "");
	return 0;
}

static int
begin(struct dsync_talk *t, const struct dsync_tree *known, unsigned lock_s,
    struct err *e)
{
	const char *host;

	put_handshake(&t->out, known, lock_s);
	if (dsync_talk_send(t, e) == -1 || dsync_talk_flush(t, e) == -1)
		return -1;
	if (dsync_read_heads(&t->r, e) == -1)
		return dsync_talk_give_up(t, e);
	if (get(t, e) == -1)
		return -1;
	host = t->r.letter == 'H' ? dsync_get(&t->r, "hostname") : NULL;
	if (host == NULL)
		return unexpected(t, "its name", e);
	snprintf(t->host, sizeof t->host, "%.70s", host);
	/* A name of its own behind ours means that it leaves the lock to us. */
	t->no_lock = lock_s == 0 || strcmp(OUR_NAME, host) <= 0;
	return read_tree(t, known, e);
}

int
dsync_talk_over(struct dsync_talk **tp, struct imap_stream *st,
    struct child *child, const struct store_conf *conf,
    const struct dsync_tree *known, unsigned lock_s, struct err *e)
{
	struct dsync_talk *t = xcalloc(1, sizeof *t);

	*tp = NULL;
	t->conf = conf;
	t->st = st;
	t->child = child;
	buf_init(&t->out, OUT_MAX);
	dsync_reader_init(&t->r, t->st);
	patience(t, (conf->timeout_s != 0 ? conf->timeout_s : 60) + lock_s);
	if (begin(t, known, lock_s, e) == -1) {
		t->dead = true;
		dsync_talk_close(&t);
		return -1;
	}
	*tp = t;
	fault_point("dsync.open");
	return 0;
}

int
dsync_talk_open(struct dsync_talk **tp, const struct store_conf *conf,
    const struct dsync_tree *known, unsigned lock_s, struct err *e)
{
	struct child *child;
	struct imap_stream *st;

	*tp = NULL;
	if (dsync_way_dial(conf, &st, &child, e) == -1)
		return -1;
	return dsync_talk_over(tp, st, child, conf, known, lock_s, e);
}

bool
dsync_talk_alive(struct dsync_talk *t)
{
	const char *p;
	struct err e;

	if (t->dead)
		return false;
	/* It has nothing to say of itself but that it goes. */
	if (!imap_stream_readable(t->st) &&
	    imap_stream_window(t->st, &p) == 0)
		return true;
	err_retry(&e, ERR_ACCOUNT, "dsync-server has gone");
	dsync_talk_give_up(t, &e);
	return false;
}

/* The tree. */

static void
put_node(struct buf *b, const struct dsync_box *x)
{
	dsync_begin(b, 'N');
	dsync_put(b, x->name);
	dsync_put(b, x->exists ? "y" : "n");
	dsync_put(b, x->guid[0] != '\0' ? x->guid : NULL);
	if (x->guid[0] != '\0') {
		dsync_putf(b, "%" PRIu32, x->uidvalidity);
		dsync_putf(b, "%" PRIu32, x->uidnext);
	} else {
		dsync_put(b, NULL);
		dsync_put(b, NULL);
	}
	dsync_putf(b, "%llu", x->renamed);
	dsync_put(b, x->subscribed ? "" : NULL);
	dsync_putf(b, "%llu", x->subscription);
	dsync_end(b);
}

int
dsync_talk_tree(struct dsync_talk *t, const struct dsync_box *make,
    struct err *e)
{
	struct dsync_box *x;
	char sep[2] = { t->sep, '\0' };

	patience(t, DSYNC_ANSWER_S);
	for (size_t i = 0; i < t->tree.n; i++)
		if (t->tree.box[i].exists)
			put_node(&t->out, &t->tree.box[i]);
	if (make != NULL)
		put_node(&t->out, make);
	buf_adds(&t->out, ".\n");
	dsync_begin(&t->out, 'D');
	dsync_put(&t->out, sep);
	dsync_put(&t->out, t->escape);
	dsync_end(&t->out);
	t->told_tree = true;
	if (make != NULL) {
		char *name = xstrdup(make->name);

		/* A level that only has mailboxes below it may be there. */
		if ((x = dsync_tree_find(&t->tree, name)) != NULL)
			free(name);
		else
			x = dsync_tree_add(&t->tree, name);
		name = x->name;
		*x = *make;
		x->name = name;
		x->ready = true;
	}
	if (dsync_talk_send(t, e) == -1 || dsync_talk_flush(t, e) == -1)
		return -1;
	fault_point("dsync.tree");
	return 0;
}

void
dsync_talk_close(struct dsync_talk **tp)
{
	struct dsync_talk *t = *tp;
	struct err e;

	*tp = NULL;
	if (t == NULL)
		return;
	/* Whoever hangs up leaves an error in the server's log. */
	buf_reset(&t->out);
	if (!t->dead && !t->conf->look_only && (t->told_tree ||
	    dsync_talk_tree(t, NULL, &e) == 0)) {
		patience(t, 10);
		buf_reset(&t->out);
		buf_adds(&t->out, ".\n");
		if (dsync_talk_send(t, &e) == 0 && dsync_talk_flush(t,
		    &e) == 0)
			(void)get(t, &e);
	}
	imap_stream_free(&t->st);
	dsync_child_end(&t->child, NULL);
	dsync_reader_release(&t->r);
	dsync_tree_release(&t->tree);
	buf_release(&t->out);
	free(t);
}

/* Rounds. */

int
dsync_talk_box(struct dsync_talk *t, const struct dsync_box *x,
    uint32_t uidnext, uint32_t messages, struct dsync_status *st,
    struct err *e)
{
	const char *guid;

	patience(t, DSYNC_ANSWER_S);
	dsync_begin(&t->out, 'B');
	dsync_put(&t->out, x->guid);
	dsync_putf(&t->out, "%" PRIu32, x->uidvalidity);
	dsync_putf(&t->out, "%" PRIu32, uidnext);
	dsync_putf(&t->out, "%" PRIu32, messages);
	/* What is below is not \Recent; higher the server would not survive. */
	dsync_putf(&t->out, "%" PRIu32, uidnext);
	dsync_put(&t->out, "1");
	dsync_put(&t->out, "0");
	dsync_put(&t->out, "");
	dsync_put(&t->out, "");
	dsync_end(&t->out);
	if (dsync_talk_send(t, e) == -1 || dsync_talk_flush(t, e) == -1 ||
	    get(t, e) == -1)
		return -1;
	guid = t->r.letter == 'B' ? dsync_get(&t->r, "mailbox_guid") : NULL;
	if (guid == NULL || strcmp(guid, x->guid) != 0)
		return unexpected(t, "the mailbox", e);
	if (dsync_get(&t->r, "mailbox_lost") != NULL ||
	    dsync_get(&t->r, "mailbox_ignore") != NULL)
		return 0;
	st->uidvalidity = number32(t, "uid_validity");
	st->uidnext = number32(t, "uid_next");
	st->modseq = dsync_number(&t->r, "highest_modseq");
	st->messages = dsync_number(&t->r, "messages_count");
	return 1;
}

int
dsync_talk_end(struct dsync_talk *t, const struct dsync_box *x,
    uint32_t last_uid, struct err *e)
{
	buf_adds(&t->out, ".\n");
	put_state(&t->out, x, last_uid);
	return dsync_talk_send(t, e) == -1 ? -1 : dsync_talk_flush(t, e);
}

int
dsync_talk_stored(struct dsync_talk *t, const struct dsync_box *x,
    bool *moved, struct err *e)
{
	const char *guid;

	patience(t, DSYNC_ANSWER_S);
	if (get(t, e) == -1)
		return -1;
	guid = t->r.letter == 'S' ? dsync_get(&t->r, "mailbox_guid") : NULL;
	if (guid == NULL || strcmp(guid, x->guid) != 0)
		return unexpected(t, "the end of the round", e);
	*moved = dsync_get(&t->r, "changes_during_sync") != NULL;
	if (number32(t, "last_uidvalidity") != 0)
		return 0;
	err_retry(e, ERR_MAILBOX, "dsync-server could not finish the mailbox");
	return dsync_talk_give_up(t, e);
}

int
dsync_talk_nothing(struct dsync_talk *t, const struct dsync_box *x,
    struct err *e)
{
	bool moved;
	int rc;

	/* No attributes, no changes. */
	buf_adds(&t->out, ".\n.\n");
	if (dsync_talk_send(t, e) == -1 || dsync_talk_flush(t, e) == -1)
		return -1;
	while ((rc = dsync_talk_next(t, 'R', e)) == 1)
		;
	if (rc == -1 || dsync_talk_end(t, x, 0, e) == -1)
		return -1;
	return dsync_talk_stored(t, x, &moved, e);
}
