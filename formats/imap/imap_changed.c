/*
 * imap: and imaps: as sources: what is new in a mailbox since a token was made.
 *
 * The token's messages are those with UIDs below its UIDNEXT.  If they are as
 * many as it says, none is gone; else SEARCH tells which are still there.  The
 * flags of those that have changed come with CHANGEDSINCE (RFC 7162), in one
 * command; of a large mailbox SEARCH MODSEQ tells which they are, so that memory
 * stays flat.  Whatever does not add up, or is refused, means that everything is
 * listed.
 *
 * VANISHED is not asked for: a server may name more there than has gone, what
 * is still there is told exactly by one ESEARCH, and once QRESYNC is enabled
 * messages go by their UIDs, which a listing by sequence numbers cannot follow.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/fault.h"
#include "base/xmalloc.h"
#include "imap/imap_from.h"

#define LAST_UID	UINT32_MAX
#define AT_ONCE		5000	/* messages: their UIDs fit in one token */

struct uid_list { struct uid_range *r; size_t n, cap; uint64_t total; };

static void
add_range(struct uid_list *l, uint32_t first, uint32_t last)
{
	l->total += (uint64_t)last - first + 1;
	if (l->n > 0 && l->r[l->n - 1].last + 1 == first) {
		l->r[l->n - 1].last = last;
		return;
	}
	if (l->n == l->cap) {
		l->cap = l->cap == 0 ? 16 : l->cap * 2;
		l->r = xreallocarray(l->r, l->cap, sizeof *l->r);
	}
	l->r[l->n++] = (struct uid_range){ first, last };
}

/* "1:4,7"; in any order. */
static int
add_set(struct uid_list *l, const char *p, const char *end)
{
	uint64_t a, b;

	for (; p < end; p++) {
		const char *q = memchr(p, ',', (size_t)(end - p)), *colon;

		if (q == NULL)
			q = end;
		colon = memchr(p, ':', (size_t)(q - p));
		if (imap_number(p, (size_t)((colon != NULL ? colon : q) - p),
		    UINT32_MAX - 1, &a) == -1)
			return -1;
		b = a;
		if (colon != NULL && imap_number(colon + 1, (size_t)(q - colon
		    - 1), UINT32_MAX - 1, &b) == -1)
			return -1;
		if (a == 0 || b == 0)
			return -1;
		add_range(l, (uint32_t)(a < b ? a : b),
		    (uint32_t)(a < b ? b : a));
		p = q;
	}
	return 0;
}

/* What one search may tell, and does. */
struct search {
	struct uid_list	*l;
	uint64_t	 most;		/* by what was asked for */
	bool		 odd;
};

static int
search_data(struct imap_session *s, struct imap_response *rs, void *ctx,
    struct err *e)
{
	struct search *h = ctx;
	struct imap_token t;
	bool extended = strcmp(rs->name, "ESEARCH") == 0, all = false;
	uint64_t v;

	if (rs->kind != IMAP_DATA || (!extended &&
	    strcmp(rs->name, "SEARCH") != 0))
		return 0;
	do {
		if (imap_read_token(&s->r, &t, e) == -1)
			return -1;
		if (h->odd || s->r.depth != 0)
			continue;
		if (extended && all)
			h->odd = t.type != IMAP_ATOM || add_set(h->l, t.p,
			    t.p + t.len) == -1;
		else if (!extended && imap_token_number(&t, LAST_UID - 1,
		    &v) == 0 && v != 0)
			add_range(h->l, (uint32_t)v, (uint32_t)v);
		h->odd = h->odd || h->l->total > h->most;
		all = imap_is(&t, "ALL");
	} while (t.type != IMAP_END);
	return 0;
}

static int
by_first(const void *a, const void *b)
{
	uint32_t x = ((const struct uid_range *)a)->first;
	uint32_t y = ((const struct uid_range *)b)->first;

	return x < y ? -1 : x > y;
}

/* One search: 1, or 0: this server does not tell. */
static int
search(struct imap_from *m, const char *key, struct search *h, struct err *e)
{
	struct imap_session *s = m->s;
	struct imap_response rs;
	struct uid_list before = *h->l;
	struct buf cmd;
	int rc = 0;

	buf_init(&cmd, 300);
	if (s->caps & CAP_ESEARCH) {
		buf_addf(&cmd, "UID SEARCH RETURN (ALL) %s", key);
		rc = imap_try(s, cmd.ptr, search_data, h, &rs, e);
		if (rc == 0) {	/* announced, and refused all the same */
			s->caps &= ~(unsigned)CAP_ESEARCH;
			h->l->n = before.n;
			h->l->total = before.total;
			buf_reset(&cmd);
		}
	}
	if (rc == 0) {
		buf_addf(&cmd, "UID SEARCH %s", key);
		rc = imap_try(s, cmd.ptr, search_data, h, &rs, e);
	}
	buf_release(&cmd);
	return rc == 1 && h->odd ? 0 : rc;
}

/* The UIDs of the first n messages, of those that more is true of: 1, or 0. */
static int
find_uids(struct imap_from *m, uint64_t n, const char *more,
    struct uid_list *l, struct err *e)
{
	struct search h = { .l = l };
	char key[100];
	int rc = 1;

	for (uint64_t seq = 1; seq <= n && rc == 1; seq += AT_ONCE) {
		uint64_t last = n - seq < AT_ONCE ? n : seq + AT_ONCE - 1;

		snprintf(key, sizeof key, "%" PRIu64 ":%" PRIu64 "%s", seq,
		    last, more);
		h.most = last;
		rc = search(m, key, &h, e);
	}
	if (rc != 1)
		return rc;
	if (l->n > 0)
		qsort(l->r, l->n, sizeof *l->r, by_first);
	for (size_t i = 1; i < l->n; i++)
		if (l->r[i].first <= l->r[i - 1].last)
			return 0;
	return 1;
}

static int
min_data(struct imap_session *s, struct imap_response *rs, void *ctx,
    struct err *e)
{
	uint32_t *min = ctx;
	struct imap_token t;
	bool extended = strcmp(rs->name, "ESEARCH") == 0, is_min = false;
	uint64_t v;

	if (rs->kind != IMAP_DATA || (!extended &&
	    strcmp(rs->name, "SEARCH") != 0))
		return 0;
	do {
		if (imap_read_token(&s->r, &t, e) == -1)
			return -1;
		if ((is_min || !extended) && s->r.depth == 0 &&
		    imap_token_number(&t, UINT32_MAX, &v) == 0 && v != 0 &&
		    (*min == 0 || v < *min))
			*min = (uint32_t)v;
		is_min = imap_is(&t, "MIN");
	} while (t.type != IMAP_END);
	return 0;
}

/* Not "uid:*", which is never empty. */
int
imap_from_first(struct imap_from *m, uint32_t uid, uint32_t *seq,
    struct err *e)
{
	struct imap_session *s = m->s;
	struct imap_response rs;
	struct buf cmd;
	int rc;

	*seq = 0;
	buf_init(&cmd, 100);
	if (s->caps & CAP_ESEARCH) {
		buf_addf(&cmd, "SEARCH RETURN (MIN) UID %u:%u", uid, LAST_UID);
		rc = imap_try(s, cmd.ptr, min_data, seq, &rs, e);
		if (rc == 0)	/* announced, and refused all the same */
			s->caps &= ~(unsigned)CAP_ESEARCH;
		buf_reset(&cmd);
	} else
		rc = 0;
	if (rc == 0) {
		*seq = 0;
		buf_addf(&cmd, "SEARCH UID %u:%u", uid, LAST_UID);
		rc = imap_run(s, cmd.ptr, min_data, seq, &rs, e);
	}
	buf_release(&cmd);
	if (rc == 0)
		return imap_no(&rs, ERR_MAILBOX, e, "SEARCH");
	return rc == 1 ? 0 : -1;
}

/* Of the first "known" messages those that have changed come next: 1; 0: the
 * server does not tell. */
static int
list_changed(struct imap_from *m, uint64_t known, const struct imap_box *old,
    struct err *e)
{
	struct uid_list l = { NULL, 0, 0, 0 };
	char text[120];
	int rc;

	if (known <= AT_ONCE) {
		snprintf(text, sizeof text, "UID FETCH 1:%u (UID FLAGS "
		    "INTERNALDATE RFC822.SIZE) (CHANGEDSINCE %" PRIu64 ")",
		    old->uidnext - 1, old->modseq);
		return imap_only_fetch(m, text, (size_t)known, e);
	}
	snprintf(text, sizeof text, " MODSEQ %" PRIu64, old->modseq + 1);
	rc = find_uids(m, known, text, &l, e);
	if (rc == 1 && l.total > 0) {
		m->uids = xreallocarray(m->uids, (size_t)l.total,
		    sizeof *m->uids);
		m->nonly = 0;
		for (size_t i = 0; i < l.n; i++)
			for (uint32_t u = l.r[i].first; u <= l.r[i].last; u++)
				m->uids[m->nonly++] = u;
		m->only = m->uids;
	}
	free(l.r);
	return rc;
}

/* All are to be listed after all. */
static int
all(struct imap_from *m)
{
	imap_since_end(m);
	m->nchunk = m->pos = 0;
	return 0;
}

int
imap_since(struct imap_from *m, const struct imap_box *old,
    const struct folder_info *f, enum delta *delta, struct err *e)
{
	struct uid_list still = { NULL, 0, 0, 0 };
	uint32_t seq = 0;
	uint64_t known;
	int rc = 1;

	if (old->uidnext == 0 || old->uidvalidity != m->box.uidvalidity ||
	    m->box.uidnext < old->uidnext || (f->some_flags &&
	    (!(m->s->caps & CAP_CONDSTORE) || old->modseq == 0 ||
	    m->box.modseq < old->modseq)))
		return 0;
	if (m->box.uidnext > old->uidnext &&
	    imap_from_first(m, old->uidnext, &seq, e) == -1)
		return -1;
	known = seq == 0 ? m->box.messages : seq - 1;
	if (seq > m->box.messages || known > old->messages)
		return 0;
	if (known < old->messages) {
		rc = find_uids(m, known, "", &still, e);
		m->still = still.r;
		m->nstill = still.n;
		m->some_gone = true;
		if (rc == 1 && (still.total != known || (still.n > 0 &&
		    still.r[still.n - 1].last >= old->uidnext)))
			rc = 0;
	}
	if (rc == 1 && f->some_flags && m->box.modseq > old->modseq &&
	    known > 0 && !fault_mutated("since"))
		rc = list_changed(m, known, old, e);
	if (rc != 1 || m->s->expunged > 0)
		return rc == -1 ? -1 : all(m);
	m->to_list = (uint32_t)(m->box.messages - known);
	m->s->listed = (uint32_t)known;
	m->since = *old;
	*delta = DELTA_SOME;
	return 0;
}

void
imap_since_end(struct imap_from *m)
{
	imap_only_end(m);
	free(m->still);
	free(m->uids);
	m->still = NULL;
	m->uids = NULL;
	m->nstill = 0;
	m->some_gone = false;
	m->since.uidnext = 0;
}

int
imap_from_still(struct source *src, const struct uid_range **r, size_t *n,
    uint32_t *below, struct err *e)
{
	const struct imap_from *m = (const struct imap_from *)src;

	(void)e;
	*r = m->still;
	*n = m->nstill;
	*below = m->since.uidnext;
	return m->some_gone;
}
