/* Flags of messages that are there, moving and expunging them. */
#include <stdlib.h>
#include <string.h>

#include "base/xmalloc.h"
#include "imap/imap_store.h"

#define SET_BYTES	4000	/* of one UID set: servers limit lines */

struct uid_list { uint32_t *uids; size_t n, cap; };

static void
uid_add(struct uid_list *l, uint32_t uid)
{
	if (l->n == l->cap) {
		l->cap = l->cap == 0 ? 64 : l->cap * 2;
		l->uids = xreallocarray(l->uids, l->cap, sizeof *l->uids);
	}
	l->uids[l->n++] = uid;
}

static int
uid_cmp(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

static bool
uid_has(const struct uid_list *l, uint32_t uid)
{
	return l->n > 0 && bsearch(&uid, l->uids, l->n, sizeof uid,
	    uid_cmp) != NULL;
}

static void
uid_sort(struct uid_list *l)
{
	if (l->n > 0)
		qsort(l->uids, l->n, sizeof *l->uids, uid_cmp);
}

/*
 * "head set tail" for all of l, in as many commands as its length needs.
 * tagged is called for each answer.
 */
static int
over_sets(struct imap_store *m, const struct uid_list *l, const char *head,
    const char *tail, imap_data_fn *fn, void (*tagged)(
    const struct imap_response *, void *), void *ctx, struct err *e)
{
	struct buf cmd;
	size_t i = 0;
	int rc = 1;

	buf_init(&cmd, 1 << 16);
	while (i < l->n && rc == 1) {
		struct imap_set set = { &cmd, 0, 0 };
		struct imap_response rs;

		buf_reset(&cmd);
		buf_addf(&cmd, "%s ", head);
		for (; i < l->n && cmd.len < SET_BYTES; i++)
			imap_set_add(&set, l->uids[i]);
		imap_set_end(&set);
		buf_adds(&cmd, tail);
		rc = imap_store_noted(m, imap_run(m->s, cmd.ptr, fn, ctx, &rs,
		    e), e);
		if (rc != -1 && tagged != NULL)
			tagged(&rs, ctx);
		if (rc == 0 && strcmp(rs.code, "MODIFIED") == 0)
			rc = 1;
		else if (rc == 0)
			imap_no(&rs, ERR_MAILBOX, e, "%s", head);
	}
	buf_release(&cmd);
	return rc == 1 ? 0 : -1;
}

/* [MODIFIED set]: these were not changed. */
static void
modified(const struct imap_response *rs, void *ctx)
{
	struct uid_list *l = ctx;
	uint32_t *uids;
	size_t n, max = 1 << 16;

	if (strcmp(rs->code, "MODIFIED") != 0)
		return;
	uids = xcalloc(max, sizeof *uids);
	if (imap_set_parse(rs->args, strlen(rs->args), uids, max, &n) == 0)
		for (size_t i = 0; i < n; i++)
			uid_add(l, uids[i]);
	free(uids);
	uid_sort(l);
}

/* FETCH responses: the UIDs that are there. */
static int
present(struct imap_session *s, struct imap_response *rs, void *ctx,
    struct err *e)
{
	struct uid_list *l = ctx;
	struct imap_token t;
	bool is_uid = false;
	uint64_t v;

	if (rs->kind != IMAP_DATA || strcmp(rs->name, "FETCH") != 0)
		return 0;
	do {
		if (imap_read_token(&s->r, &t, e) == -1)
			return -1;
		if (is_uid && imap_token_number(&t, UINT32_MAX, &v) == 0)
			uid_add(l, (uint32_t)v);
		is_uid = s->r.depth == 1 && imap_is(&t, "UID");
	} while (t.type != IMAP_END);
	return 0;
}

static bool
same_words(const char *const *a, size_t na, const char *const *b, size_t nb)
{
	if (na != nb)
		return false;
	for (size_t i = 0; i < na; i++)
		if (strcmp(a[i], b[i]) != 0)
			return false;
	return true;
}

static bool
same_change(const struct flag_change *a, const struct flag_change *b)
{
	return a->add == b->add && a->del == b->del &&
	    a->unchanged_since == b->unchanged_since &&
	    same_words(a->kw_add, a->nkw_add, b->kw_add, b->nkw_add) &&
	    same_words(a->kw_del, a->nkw_del, b->kw_del, b->nkw_del);
}

/* " +FLAGS.SILENT (...)" with what the server can hold; false: nothing. */
static bool
flags_tail(struct imap_store *m, struct buf *out, char sign, unsigned flags,
    const char *const *kw, size_t nkw)
{
	const char **ok = xcalloc(nkw + 1, sizeof *ok);
	size_t n = 0;

	for (size_t i = 0; i < nkw; i++)
		if (imap_keyword_ok(m->s->dialect, kw[i]) && (!m->a.no_new ||
		    imap_words_has(&m->a.keywords, kw[i])))
			ok[n++] = kw[i];
	flags &= MSG_SEEN | MSG_ANSWERED | MSG_FLAGGED | MSG_DELETED |
	    MSG_DRAFT;
	buf_reset(out);
	buf_addf(out, " %cFLAGS.SILENT (", sign);
	imap_flag_names(out, flags, ok, n);
	buf_addc(out, ')');
	free(ok);
	return (flags != 0 || n > 0) && !out->full;
}

/* One kind of change for the UIDs in l; who was modified meanwhile goes to
 * mod. */
static int
change_group(struct imap_store *m, const struct flag_change *c,
    const struct uid_list *l, struct uid_list *mod, struct err *e)
{
	struct uid_list rest = { NULL, 0, 0 };
	struct buf tail, cond;
	int rc = 0;

	buf_init(&tail, 1 << 15);
	buf_init(&cond, 1 << 15);
	for (int step = 0; step < 2 && rc == 0; step++) {
		bool some = step == 0 ?
		    flags_tail(m, &tail, '+', c->add, c->kw_add, c->nkw_add) :
		    flags_tail(m, &tail, '-', c->del, c->kw_del, c->nkw_del);
		bool first = rest.uids == NULL;

		if (!some)
			continue;
		buf_reset(&cond);
		if (first && c->unchanged_since != 0 &&
		    m->s->caps & CAP_CONDSTORE)
			buf_addf(&cond, " (UNCHANGEDSINCE %llu)",
			    (unsigned long long)c->unchanged_since);
		buf_add(&cond, tail.ptr, tail.len);
		rc = over_sets(m, first ? l : &rest, "UID STORE", cond.ptr,
		    NULL, modified, mod, e);
		/* Our own first change moved the modseq: the second one goes
		 * to those that took the first, without the condition. */
		if (rc == 0 && first)
			for (size_t i = 0; i < l->n; i++)
				if (!uid_has(mod, l->uids[i]))
					uid_add(&rest, l->uids[i]);
		if (rest.n == 0)
			break;
	}
	free(rest.uids);
	buf_release(&tail);
	buf_release(&cond);
	return rc;
}

int
imap_store_change_flags(struct target *t, struct flag_change *c, size_t n,
    struct err *e)
{
	struct imap_store *m = (struct imap_store *)t;
	struct uid_list all = { NULL, 0, 0 }, there = { NULL, 0, 0 };
	bool *done = xcalloc(n + 1, sizeof *done);
	int rc;

	for (size_t i = 0; i < n; i++) {
		c[i].result = FLAG_GONE;
		if (c[i].uid != 0)
			uid_add(&all, c[i].uid);
	}
	uid_sort(&all);
	/* Who is there: STORE says nothing of the others. */
	rc = over_sets(m, &all, "UID FETCH", " (UID)", present, NULL, &there,
	    e);
	uid_sort(&there);
	for (size_t i = 0; i < n && rc == 0; i++) {
		struct uid_list l = { NULL, 0, 0 }, mod = { NULL, 0, 0 };

		if (done[i] || !uid_has(&there, c[i].uid))
			continue;
		for (size_t k = i; k < n; k++)
			if (!done[k] && same_change(&c[i], &c[k]) &&
			    uid_has(&there, c[k].uid))
				uid_add(&l, c[k].uid);
		uid_sort(&l);
		rc = change_group(m, &c[i], &l, &mod, e);
		for (size_t k = i; k < n && rc == 0; k++)
			if (!done[k] && uid_has(&l, c[k].uid) &&
			    same_change(&c[i], &c[k])) {
				done[k] = true;
				c[k].result = uid_has(&mod, c[k].uid) ?
				    FLAG_CHANGED : FLAG_DONE;
			}
		free(l.uids);
		free(mod.uids);
	}
	free(done);
	free(all.uids);
	free(there.uids);
	return rc;
}

int
imap_store_move(struct target *t, const uint32_t *uids, size_t n,
    const char *to, struct err *e)
{
	struct imap_store *m = (struct imap_store *)t;
	struct uid_list l = { NULL, 0, 0 };
	struct buf tail;
	int rc;

	if (!(m->s->caps & CAP_MOVE))
		return err_set(e, ERR_MAILBOX, "the server cannot move "
		    "messages (no MOVE)");
	for (size_t i = 0; i < n; i++)
		if (uids[i] != 0)
			uid_add(&l, uids[i]);
	uid_sort(&l);
	buf_init(&tail, 1 << 13);
	buf_addc(&tail, ' ');
	if (imap_quote(&tail, to, strlen(to)) == -1)
		rc = err_set(e, ERR_MAILBOX, "the mailbox name cannot be "
		    "sent");
	else
		rc = over_sets(m, &l, "UID MOVE", tail.ptr, NULL, NULL, NULL,
		    e);
	buf_release(&tail);
	free(l.uids);
	return rc;
}

int
imap_store_expunge(struct target *t, const uint32_t *uids, size_t n,
    struct err *e)
{
	struct imap_store *m = (struct imap_store *)t;
	struct uid_list l = { NULL, 0, 0 };
	int rc;

	/* EXPUNGE alone would take whatever else is marked. */
	if (!(m->s->caps & CAP_UIDPLUS))
		return err_set(e, ERR_MAILBOX, "the server cannot expunge "
		    "single messages (no UIDPLUS)");
	for (size_t i = 0; i < n; i++)
		if (uids[i] != 0)
			uid_add(&l, uids[i]);
	uid_sort(&l);
	rc = over_sets(m, &l, "UID STORE", " +FLAGS.SILENT (\\Deleted)", NULL,
	    NULL, NULL, e);
	if (rc == 0)
		rc = over_sets(m, &l, "UID EXPUNGE", "", NULL, NULL, NULL, e);
	free(l.uids);
	return rc;
}
