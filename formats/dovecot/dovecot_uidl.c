/*
 * POP3 UIDLs for messages that are there already: dovecot-uidlist anew, under
 * its lock, with other P and O words in some lines.  All else of a line stays.
 * A P that is neither what the caller gave before nor what he gives now is
 * Dovecot's (pop3_save_uidl) or somebody else's, and stays too: clients know
 * it.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/xmalloc.h"
#include "dovecot/dovecot_impl.h"

/* By UID. */
struct edits {
	struct uidl_change **v;
	size_t		 n;
	size_t		 todo;		/* lines that will be other ones */
};

static int
cmp_uid(const void *va, const void *vb)
{
	const struct uidl_change *a = *(struct uidl_change *const *)va;
	const struct uidl_change *b = *(struct uidl_change *const *)vb;

	return a->uid < b->uid ? -1 : a->uid > b->uid;
}

static struct uidl_change *
find(const struct edits *ed, uint32_t uid)
{
	struct uidl_change key = { .uid = uid }, *keyp = &key, **c;

	c = bsearch(&keyp, ed->v, ed->n, sizeof *ed->v, cmp_uid);
	return c != NULL ? *c : NULL;
}

static bool
is(const struct uidlist_rec *r, const char *uidl)
{
	return uidl != NULL && strlen(uidl) == r->nuidl && memcmp(uidl,
	    r->uidl, r->nuidl) == 0;
}

/* uidlist_rec_fn: what will become of each, and whether that is a change. */
static int
judge(void *ctx, const struct uidlist_rec *r, struct err *e)
{
	struct edits *ed = ctx;
	struct uidl_change *c = find(ed, r->uid);

	(void)e;
	if (c == NULL)
		return 0;
	if (!list_word(c->uidl) || (r->uidl != NULL && !is(r, c->uidl) &&
	    !is(r, c->was))) {
		c->result = UIDL_KEPT;
		return 0;
	}
	c->result = UIDL_DONE;
	if (r->uidl == NULL || !is(r, c->uidl) || (c->order != 0 && c->order !=
	    r->order))
		ed->todo++;
	return 0;
}

static void
no_warning(void *ctx, unsigned long line, const char *text)
{
	(void)ctx;
	(void)line;
	(void)text;
}

static int
judge_all(struct dovecot *dv, struct edits *ed, struct err *e)
{
	struct maildir_lines lines;
	struct uidlist_head head;
	int fd, rc;

	fd = openat(dv->box.fd, UIDLIST, O_RDONLY | O_NOFOLLOW | O_NONBLOCK |
	    O_CLOEXEC);
	if (fd == -1)
		return errno == ENOENT ? 0 : dovecot_sys(e, UIDLIST);
	maildir_lines_fd(&lines, fd);
	rc = uidlist_read(&lines, &head, judge, no_warning, ed, e);
	maildir_lines_end(&lines);
	close(fd);
	if (rc == 1)
		return 0;
	return rc == -1 ? -1 : err_set(e, ERR_MAILBOX, UIDLIST " is broken");
}

/* list_edit_fn */
static void
edit(void *ctx, const char *line, size_t len, struct buf *out)
{
	const char *p = line, *end = line + len, *why;
	struct uidl_change *c;
	struct uidlist_rec r;

	if (uidlist_rec_parse(&r, 3, line, len, &why) != 1 ||
	    (c = find(ctx, r.uid)) == NULL || c->result != UIDL_DONE) {
		buf_add(out, line, len);
		return;
	}
	buf_addf(out, "%" PRIu32 " P%s", r.uid, c->uidl);
	if (c->order != 0)
		buf_addf(out, " O%" PRIu32, c->order);
	p = memchr(p, ' ', len);
	while (p != NULL && p + 1 < end && p[1] != ':') {
		const char *word = p + 1;

		p = memchr(word, ' ', (size_t)(end - word));
		if (p == NULL || *word == 'P' || (*word == 'O' && c->order !=
		    0))
			continue;
		buf_addc(out, ' ');
		buf_add(out, word, (size_t)(p - word));
	}
	if (p != NULL)
		buf_add(out, p, (size_t)(end - p));
}

int
dovecot_set_uidls(struct target *t, struct uidl_change *c, size_t n,
    struct err *e)
{
	struct dovecot *dv = (struct dovecot *)t;
	struct edits ed = { xcalloc(n + 1, sizeof *ed.v), n, 0 };
	struct dotlock lk;
	struct err dropped;
	int rc;

	for (size_t i = 0; i < n; i++) {
		c[i].result = UIDL_GONE;
		ed.v[i] = &c[i];
	}
	qsort(ed.v, n, sizeof *ed.v, cmp_uid);
	fsids_enter(&dv->ids);
	rc = dotlock_take(dv, &lk, dv->box.fd, UIDLIST ".lock", e);
	if (rc == 0) {
		rc = list_again(dv, &dv->box, e);
		if (rc == 0)
			rc = judge_all(dv, &ed, e);
		if (rc == 0 && ed.todo > 0)
			rc = list_edit(dv, &dv->box, edit, &ed, e);
		if (dotlock_drop(&lk, &dropped) == -1 && rc == 0) {
			*e = dropped;
			rc = -1;
		}
	}
	fsids_leave(&dv->ids);
	free(ed.v);
	return rc == 0 ? 1 : -1;
}
