/*
 * Batches: submit() makes files of the messages, with the help of a thread;
 * reap() commits everything that was submitted at once.
 */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/xmalloc.h"
#include "dovecot/dovecot_link.h"

#define ROOM	((size_t)256 * 1024)	/* of a writer's buffer */
#define QUEUE	8			/* more than window */

/* Files are written by the lane and one thread more. */
struct writers {
	struct dovecot	*dv;
	pthread_t	 thread;
	pthread_mutex_t	 mutex;
	pthread_cond_t	 more, done;
	bool		 stop;
	struct store_batch *queue[QUEUE];	/* with pieces to be written */
	size_t		 nqueue;
	char		*chunk;		/* the lane's */
};

/* The next piece that nobody has taken, under the mutex. */
static bool
take_piece(struct writers *w, struct store_batch **b, size_t *i)
{
	struct bundle *bu;

	if (w->nqueue == 0)
		return false;
	*b = w->queue[0];
	bu = (*b)->priv;
	*i = bu->next++;
	if (bu->next == (*b)->n) {
		w->nqueue--;
		memmove(w->queue, w->queue + 1, w->nqueue *
		    sizeof *w->queue);
	}
	return true;
}

/* Writes one piece; the mutex is held before and after. */
static void
do_piece(struct writers *w, struct store_batch *b, size_t i, char *chunk)
{
	struct bundle *bu = b->priv;

	pthread_mutex_unlock(&w->mutex);
	if (b->items[i].bytes != NULL && !bu->pieces[i].made)
		piece_write(w->dv, &b->items[i], &bu->pieces[i], chunk, ROOM);
	pthread_mutex_lock(&w->mutex);
	if (--bu->left == 0)
		pthread_cond_broadcast(&w->done);
}

static void *
writer(void *arg)
{
	struct writers *w = arg;
	char *chunk = xmalloc(ROOM);
	struct store_batch *b;
	size_t i;

	fsids_enter(&w->dv->ids);
	pthread_mutex_lock(&w->mutex);
	while (!w->stop)
		if (take_piece(w, &b, &i))
			do_piece(w, b, i, chunk);
		else
			pthread_cond_wait(&w->more, &w->mutex);
	pthread_mutex_unlock(&w->mutex);
	free(chunk);
	return NULL;
}

static int
writers_start(struct dovecot *dv, struct err *e)
{
	struct writers *w;

	if (dv->writers != NULL)
		return 0;
	w = xcalloc(1, sizeof *w);
	w->dv = dv;
	w->chunk = xmalloc(ROOM);
	pthread_mutex_init(&w->mutex, NULL);
	pthread_cond_init(&w->more, NULL);
	pthread_cond_init(&w->done, NULL);
	if (pthread_create(&w->thread, NULL, writer, w) != 0) {
		free(w->chunk);
		free(w);
		return err_retry(e, ERR_HOST, "cannot start a thread");
	}
	dv->writers = w;
	return 0;
}

void
dovecot_writers_stop(struct dovecot *dv)
{
	struct writers *w = dv->writers;

	if (w == NULL)
		return;
	pthread_mutex_lock(&w->mutex);
	w->stop = true;
	pthread_cond_broadcast(&w->more);
	pthread_mutex_unlock(&w->mutex);
	pthread_join(w->thread, NULL);
	pthread_mutex_destroy(&w->mutex);
	pthread_cond_destroy(&w->more);
	pthread_cond_destroy(&w->done);
	free(w->chunk);
	free(w);
	dv->writers = NULL;
}

/* Until every piece is written; the lane helps. */
static void
write_all(struct dovecot *dv)
{
	struct writers *w = dv->writers;
	struct store_batch *b;
	size_t i;

	pthread_mutex_lock(&w->mutex);
	while (take_piece(w, &b, &i))
		do_piece(w, b, i, w->chunk);
	for (b = dv->first; b != NULL; b = b->next)
		while (((struct bundle *)b->priv)->left > 0)
			pthread_cond_wait(&w->done, &w->mutex);
	pthread_mutex_unlock(&w->mutex);
}

/* Submitting. */

static struct bundle *
bundle_new(struct dovecot *dv, struct store_batch *b)
{
	struct bundle *bu = xcalloc(1, sizeof *bu);
	char number[16];

	bu->pieces = xcalloc(b->n, sizeof *bu->pieces);
	bu->left = b->n;
	for (size_t i = 0; i < b->n; i++) {
		struct store_item *it = &b->items[i];
		struct piece *p = &bu->pieces[i];

		snprintf(number, sizeof number, "%08x", dv->seq++);
		dovecot_own_name(dv, number, p->tmp);
		p->date = it->date;
		if (it->date != NO_DATE && (it->date < 0 ||
		    it->date > DATE_MAX)) {
			p->date = it->date < 0 ? 0 : DATE_MAX;
			it->changes |= CHANGE_DATE;
		}
	}
	return bu;
}

static void
end_batch(struct store_batch *b, enum store_result r, const struct err *why)
{
	struct bundle *bu = b->priv;

	for (size_t i = 0; i < b->n; i++)
		if (b->items[i].result == STORE_PENDING) {
			b->items[i].result = r;
			if (why != NULL && b->items[i].err.scope == ERR_NONE)
				b->items[i].err = *why;
		}
	bu->ended = true;
}

int
dovecot_submit(struct target *t, struct store_batch *b, struct err *e)
{
	struct dovecot *dv = (struct dovecot *)t;
	struct writers *w;
	struct bundle *bu;

	b->priv = bu = bundle_new(dv, b);
	if (dv->last != NULL)
		dv->last->next = b;
	else
		dv->first = b;
	dv->last = b;
	if (dv->broken || writers_start(dv, e) == -1) {
		if (dv->broken)
			*e = dv->why;
		bu->left = 0;
		end_batch(b, STORE_NOT_SENT, e);
		return -1;
	}
	w = dv->writers;
	/* Contents belong to the source, which one thread uses at a time. */
	fsids_enter(&dv->ids);
	for (size_t i = 0; i < b->n; i++) {
		struct piece *p = &bu->pieces[i];

		if (dv->link != LINK_COPY &&
		    dovecot_link(dv, &b->items[i], p) != 0)
			p->made = true;
		else if (b->items[i].bytes == NULL)
			piece_write(dv, &b->items[i], p, w->chunk, ROOM);
	}
	fsids_leave(&dv->ids);
	pthread_mutex_lock(&w->mutex);
	assert(w->nqueue < QUEUE);
	w->queue[w->nqueue++] = b;
	pthread_cond_signal(&w->more);
	pthread_mutex_unlock(&w->mutex);
	return 0;
}

/* Committing. */

/* Everything submitted and not ended; a walk over the items. */
struct group {
	struct dovecot	*dv;
	uint32_t	 next;		/* UID, as things go */
	uint32_t	 first, last;	/* UIDs given, 0: none */
	struct buf	 lines;
	struct buf	 base, name;	/* of the item at hand */
	struct hashes	 names;		/* bases of the group */
	uint64_t	 bytes;		/* stored, for maildirsize */
	uint64_t	 stored;
};

static bool
to_store(const struct store_batch *b, size_t i)
{
	const struct bundle *bu = b->priv;

	return b->items[i].result == STORE_PENDING && !bu->pieces[i].failed;
}

/* A piece that could not be written: the message's own trouble stays its own,
 * any other ends the group. */
static int
check_pieces(struct dovecot *dv, struct err *e)
{
	for (struct store_batch *b = dv->first; b != NULL; b = b->next) {
		struct bundle *bu = b->priv;

		for (size_t i = 0; i < b->n && !bu->ended; i++) {
			struct piece *p = &bu->pieces[i];

			if (!p->failed)
				continue;
			if (p->err.scope != ERR_MESSAGE) {
				*e = p->err;
				return -1;
			}
			b->items[i].result = b->items[i].adopted ?
			    STORE_REFUSED : STORE_NOT_SENT;
			b->items[i].err = p->err;
		}
	}
	return 0;
}

static uint32_t
uid_for(const struct store_item *it, uint32_t next)
{
	return it->want_uid >= next && it->want_uid <= UID_LAST ?
	    it->want_uid : next;
}

/* A base that no file of the mailbox or of the group has. */
static void
choose_base(struct group *g, const struct store_item *it, struct piece *p)
{
	unsigned n = 0;
	uint64_t h;

	if (g->dv->deliver) {
		piece_name(it, p, &g->base);
		p->base = xmemdup0(g->base.ptr, g->base.len);
		return;
	}
	do {
		piece_base(it, p, &g->dv->box, n++, &g->base);
		h = hash_name(g->base.ptr, g->base.len);
	} while (hashes_has(&g->names, h));
	hashes_add(&g->names, h);
	p->base = xmemdup0(g->base.ptr, g->base.len);
}

/* The lines that the list is going to hold, as far as one can know now. */
static int
write_journal(struct group *g, struct err *e)
{
	struct dovecot *dv = g->dv;
	size_t n = 0;

	buf_reset(&g->lines);
	for (struct store_batch *b = dv->first; b != NULL; b = b->next) {
		struct bundle *bu = b->priv;

		for (size_t i = 0; i < b->n && !bu->ended; i++) {
			struct store_item *it = &b->items[i];

			if (!to_store(b, i))
				continue;
			choose_base(g, it, &bu->pieces[i]);
			list_line(&g->lines, it->want_uid, it->meta->uidl,
			    it->meta->uidl_order, it->guid, it->mark,
			    bu->pieces[i].base);
			n++;
		}
	}
	return n > 0 && !dv->deliver ? journal_write(dv, &g->lines, n, e) : 0;
}

/* The caller's commits: without one its batch is not stored. */
static void
commit_intents(struct dovecot *dv, struct err *e)
{
	for (struct store_batch *b = dv->first; b != NULL; b = b->next) {
		struct bundle *bu = b->priv;

		if (!bu->ended && b->commit != NULL && b->commit(b, e) == -1)
			end_batch(b, STORE_NOT_SENT, e);
	}
}

int
dovecot_move(int from, const char *old, int to, const char *new)
{
	if (renameat2(from, old, to, new, RENAME_NOREPLACE) == 0)
		return 0;
	if (errno != EINVAL && errno != ENOSYS)
		return -1;
	if (linkat(from, old, to, new, 0) == -1)
		return -1;
	unlinkat(from, old, 0);
	return 0;
}

/* One message appears. */
static int
place(struct group *g, struct store_item *it, struct piece *p, struct err *e)
{
	struct dovecot *dv = g->dv;
	struct box *b = &dv->box;
	uint32_t uid = uid_for(it, g->next);
	bool dropped = false;
	uint64_t h;

	if (uid > UID_LAST || g->next > UID_LAST)
		return err_set(e, ERR_MAILBOX, "no UID is left");
	buf_reset(&g->name);
	buf_adds(&g->name, p->base);
	keywords_info(b, it->flags, it->keywords, it->nkeywords, 0, &g->name,
	    &dropped);
	if (p->direct ? dovecot_link_direct(dv, it, g->name.ptr) == -1 :
	    dovecot_move(b->tmp, p->tmp, b->cur, g->name.ptr) == -1) {
		dovecot_sys(e, p->direct ? "link into cur/" :
		    "rename to cur/");
		/* Somebody cleaned up in tmp/: it is written again. */
		e->retry = e->retry || e->sys == ENOENT || p->direct;
		return -1;
	}
	fault_point("file.renamed");
	p->tmp[0] = '\0';
	h = hash_name(p->base, strlen(p->base));
	hashes_add(&b->files, h);
	hashes_add(&b->list.bases, h);
	b->messages++;
	list_line(&g->lines, uid, it->meta->uidl, it->meta->uidl_order,
	    it->guid, it->mark, p->base);
	it->uid = uid;
	p->there = true;
	if (dropped)
		it->changes |= CHANGE_KEYWORDS;
	if (it->want_uid != 0 && uid != it->want_uid)
		it->changes |= CHANGE_UID;
	g->next = uid + 1;
	g->last = uid;
	g->bytes += p->size;
	g->stored++;
	return 0;
}

/* One message appears in new/, unless it is in the mailbox already. */
static int
deliver_one(struct group *g, struct store_item *it, struct piece *p,
    struct err *e)
{
	struct dovecot *dv = g->dv;
	struct box *b = &dv->box;
	uint64_t h = hash_name(p->base, strlen(p->base));
	bool dropped = false;

	if (hashes_has(&b->files, h)) {
		p->there = true;
		return 0;
	}
	buf_reset(&g->name);
	buf_adds(&g->name, p->base);
	keywords_info(b, it->flags, it->keywords, it->nkeywords, 0, &g->name,
	    &dropped);
	if (dovecot_move(b->tmp, p->tmp, b->new, g->name.ptr) == -1 &&
	    errno != EEXIST) {
		dovecot_sys(e, "rename to new/");
		e->retry = e->retry || e->sys == ENOENT;
		return -1;
	}
	fault_point("file.renamed");
	hashes_add(&b->files, h);
	b->messages++;
	p->there = true;
	if (dropped)
		it->changes |= CHANGE_KEYWORDS;
	g->bytes += p->size;
	g->stored++;
	return 0;
}

/* Without a lock: Dovecot gives them UIDs when it looks. */
static int
deliver(struct group *g, bool *doubt, struct err *e)
{
	struct dovecot *dv = g->dv;
	int rc = keywords_read(&dv->box, e);

	*doubt = false;
	for (struct store_batch *b = dv->first; b != NULL && rc == 0;
	    b = b->next) {
		struct bundle *bu = b->priv;

		for (size_t i = 0; i < b->n && rc == 0 && !bu->ended; i++)
			if (to_store(b, i))
				rc = deliver_one(g, &b->items[i],
				    &bu->pieces[i], e);
	}
	if (g->stored > 0 && fsync(dv->box.new) == -1) {
		*doubt = true;
		rc = dovecot_sys(e, "sync new/");
	}
	return rc;
}

/* All of them; one that fails ends it, with those before in place. */
static int
place_all(struct group *g, struct err *e)
{
	buf_reset(&g->lines);
	for (struct store_batch *b = g->dv->first; b != NULL; b = b->next) {
		struct bundle *bu = b->priv;

		if (bu->ended)
			continue;
		b->uidnext = g->next;
		for (size_t i = 0; i < b->n; i++)
			if (to_store(b, i) && place(g, &b->items[i],
			    &bu->pieces[i], e) == -1)
				return -1;
	}
	return 0;
}

static int
learn_keywords(struct dovecot *dv, struct err *e)
{
	bool added = false;

	if (keywords_read(&dv->box, e) == -1)
		return -1;
	for (struct store_batch *b = dv->first; b != NULL; b = b->next)
		for (size_t i = 0; i < b->n; i++)
			if (to_store(b, i))
				keywords_learn(&dv->box, b->items[i].keywords,
				    b->items[i].nkeywords, &added);
	return added ? keywords_write(dv, e) : 0;
}

/* Under Dovecot's lock: files into cur/, lines into the list.  *doubt: some
 * are in cur/ and it is not sure that they have a line. */
static int
publish(struct group *g, bool *doubt, struct err *e)
{
	struct dovecot *dv = g->dv;
	struct dotlock lk;
	struct err first;
	int rc = -1;

	*doubt = false;
	if (dotlock_take(dv, &lk, dv->box.fd, UIDLIST ".lock", e) == -1)
		return -1;
	if (list_again(dv, &dv->box, e) == -1 || learn_keywords(dv, e) == -1)
		goto out;
	g->next = list_next(&dv->box.list);
	rc = place_all(g, &first);
	if (rc == -1)
		*e = first;
	if (g->stored > 0) {
		struct err bad;

		if (fsync(dv->box.cur) == -1) {
			*doubt = true;
			rc = dovecot_sys(e, "sync cur/");
		} else if (!dotlock_ours(&lk)) {
			*doubt = true;
			rc = err_retry(e, ERR_MAILBOX, "%s was taken away "
			    "while it was held", lk.name);
		} else if (list_append(dv, &dv->box, &g->lines, g->last,
		    &bad) == -1) {
			*doubt = true;
			*e = bad;
			rc = -1;
		}
	}
out:
	if (dotlock_drop(&lk, &first) == -1 && rc == 0) {
		*doubt = true;
		*e = first;
		rc = -1;
	}
	return rc;
}

/* Sites with Maildir++ quotas have this file: one more line of it. */
static void
add_to_maildirsize(struct group *g)
{
	struct stat st;
	char line[64];
	int fd, n;

	fd = openat(g->dv->rootfd, "maildirsize", O_WRONLY | O_APPEND |
	    O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd == -1)
		return;
	if (fstat(fd, &st) == -1 || !S_ISREG(st.st_mode)) {
		close(fd);
		return;
	}
	n = snprintf(line, sizeof line, "%" PRIu64 " %" PRIu64 "\n",
	    g->bytes, g->stored);
	/* Whoever keeps the quota counts anew from time to time. */
	if (write(fd, line, (size_t)n) != n)
		unlinkat(g->dv->rootfd, "maildirsize", 0);
	close(fd);
}

/* What of the group was not stored leaves no file. */
static void
remove_pieces(struct dovecot *dv)
{
	char name[OWN_NAME];

	for (struct store_batch *b = dv->first; b != NULL; b = b->next) {
		struct bundle *bu = b->priv;

		for (size_t i = 0; i < b->n; i++)
			if (bu->pieces[i].tmp[0] != '\0' &&
			    !bu->pieces[i].direct) {
				unlinkat(dv->box.tmp, bu->pieces[i].tmp, 0);
				bu->pieces[i].tmp[0] = '\0';
			}
	}
	if (dv->box.journal) {
		dovecot_own_name(dv, JOURNAL, name);
		unlinkat(dv->box.tmp, name, 0);
	}
	dv->box.journal = false;
}

static void
finish(struct dovecot *dv, bool doubt, const struct err *why)
{
	for (struct store_batch *b = dv->first; b != NULL; b = b->next) {
		struct bundle *bu = b->priv;

		for (size_t i = 0; i < b->n && !bu->ended; i++)
			if (b->items[i].result == STORE_PENDING &&
			    bu->pieces[i].there)
				b->items[i].result = doubt ? STORE_UNKNOWN :
				    STORE_DONE;
		if (!bu->ended)
			end_batch(b, STORE_NOT_SENT, why);
	}
}

/* What was submitted becomes durable and visible, all at once. */
static void
commit_group(struct dovecot *dv)
{
	struct group g = { .dv = dv };
	bool doubt = false;
	struct err e;
	int rc;

	err_clear(&e);
	buf_init(&g.lines, SIZE_MAX / 4);
	buf_init(&g.base, 4096);
	buf_init(&g.name, 4096);
	fsids_enter(&dv->ids);
	write_all(dv);
	fault_point("files.written");
	rc = check_pieces(dv, &e);
	if (rc == 0)
		rc = write_journal(&g, &e);
	if (rc == 0 && !fault_mutated("syncfs") &&
	    syncfs(dv->box.tmp) == -1)
		rc = dovecot_sys(&e, "sync the file system");
	fault_point("files.synced");
	if (rc == 0) {
		commit_intents(dv, &e);
		fault_point("append.before_crlf");
		rc = dv->deliver ? deliver(&g, &doubt, &e) :
		    publish(&g, &doubt, &e);
		fault_point("append.after_crlf");
	}
	if (g.stored > 0)
		add_to_maildirsize(&g);
	/* In doubt the journal stays: the next to open it looks. */
	if (doubt) {
		dv->broken = true;
		dv->why = e;
	} else
		remove_pieces(dv);
	fsids_leave(&dv->ids);
	finish(dv, doubt, rc == -1 ? &e : NULL);
	hashes_release(&g.names);
	buf_release(&g.lines);
	buf_release(&g.base);
	buf_release(&g.name);
	fault_point("append.answered");
}

int
dovecot_reap(struct target *t, bool wait, struct store_batch **b,
    struct err *e)
{
	struct dovecot *dv = (struct dovecot *)t;
	struct bundle *bu;

	(void)e;
	if (dv->first == NULL)
		return 0;
	bu = dv->first->priv;
	if (!bu->ended) {
		if (!wait)
			return 0;
		commit_group(dv);
	}
	*b = dv->first;
	dv->first = (*b)->next;
	if (dv->first == NULL)
		dv->last = NULL;
	(*b)->next = NULL;
	(*b)->priv = NULL;
	for (size_t i = 0; i < (*b)->n; i++)
		free(bu->pieces[i].base);
	free(bu->pieces);
	free(bu);
	return 1;
}
