/* imap: and imaps: as targets: what the account holds already. */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "imap/imap_boxes.h"
#include "imap/imap_store.h"

#define KIB		1024

struct quota {
	uint64_t	 limit, used;
};

/* QUOTA root (... STORAGE used limit ...), in KiB. */
static int
quota_data(struct imap_session *s, struct imap_response *rs, void *ctx,
    struct err *e)
{
	struct quota *q = ctx;
	struct imap_token t;
	uint64_t v;
	int after = 0;		/* tokens since STORAGE */

	if (rs->kind != IMAP_DATA || strcmp(rs->name, "QUOTA") != 0)
		return 0;
	do {
		if (imap_read_token(&s->r, &t, e) == -1)
			return -1;
		if (after > 0 && ++after <= 3 &&
		    imap_token_number(&t, INT64_MAX / KIB, &v) == 0)
			*(after == 2 ? &q->used : &q->limit) = v * KIB;
		if (imap_is(&t, "STORAGE"))
			after = 1;
	} while (t.type != IMAP_END);
	return 0;
}

/* Names that LIST gave without counts, and with all those that it did not
 * give, are asked for one by one. */
static int
ask_for(struct imap_session *s, struct imap_boxes *l,
    const char *const *names, size_t n, bool all, struct err *e)
{
	struct imap_listed *b;

	for (size_t i = 0; i < n; i++) {
		b = imap_boxes_find(l, names[i]);
		if (b == NULL && all) {
			b = imap_boxes_add(l, names[i]);
			b->sep = s->sep;
		}
		if (b != NULL)
			b->wanted = true;
	}
	return imap_boxes_status(s, l, true, e);
}

static void
put_view(const struct imap_session *s, struct imap_boxes *l, struct arena *a,
    bool all, struct target_view *v)
{
	v->boxes = arena_zalloc(a, (l->n + 1) * sizeof *v->boxes);
	for (size_t i = 0; i < l->n; i++) {
		struct imap_listed *b = &l->b[i];
		struct target_box *to = &v->boxes[v->n];

		/* Asked for by name, and not there. */
		if (all && !b->has_status)
			continue;
		to->name = arena_strdup(a, b->name);
		to->noselect = b->noselect;
		to->of_others = s->root == NULL &&
		    imap_boxes_of_others(s, b->name);
		to->st.uidvalidity = b->status.uidvalidity;
		to->st.uidnext = b->status.uidnext;
		to->st.modseq = b->status.modseq;
		to->st.messages = b->noselect ? 0 : b->has_status ?
		    b->status.messages : UNKNOWN64;
		to->st.special_use = b->use;
		v->n++;
	}
}

int
imap_store_survey(struct target *t, struct arena *a, const char *const *names,
    size_t n, bool quota, struct target_view *v, struct err *e)
{
	struct imap_store *m = (struct imap_store *)t;
	struct imap_boxes l = { .n = 0 };
	struct quota q = { UNKNOWN64, UNKNOWN64 };
	struct imap_response rs;
	bool all;
	int rc;

	rc = imap_boxes_ask(m->s, &l, e);
	/* Cyrus shows a user whose name has dots no mailbox at all. */
	all = rc == 0 && m->s->root == NULL &&
	    imap_boxes_find(&l, "INBOX") == NULL;
	if (rc == 0)
		rc = ask_for(m->s, &l, names, n, all, e);
	if (rc == 0 && quota && m->s->root == NULL && m->s->caps & CAP_QUOTA &&
	    imap_run(m->s, "GETQUOTAROOT \"INBOX\"", quota_data, &q, &rs,
	    e) == -1)
		rc = -1;
	if (rc == 0) {
		put_view(m->s, &l, a, all, v);
		v->quota_bytes = q.limit;
		v->quota_used = q.used;
	}
	imap_boxes_release(&l);
	return imap_store_noted(m, rc, e);
}
