/* Whose UIDs the messages of a pair have at the target. */
#include "uids.h"

#include <inttypes.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "account.h"
#include "look.h"

#define PROVED		24	/* digits of a derived GUID before its proof */
#define PROOF_LEN	(GUID_LEN - PROVED)

static bool
is_guid(const char *s)
{
	return s != NULL && strlen(s) == GUID_LEN &&
	    strspn(s, "0123456789abcdef") == GUID_LEN;
}

/* The first half of a hash of three strings. */
static void
derive(char guid[GUID_LEN + 1], const char *account, const char *mailbox,
    const void *key, size_t key_len, const void *more, size_t nmore)
{
	unsigned char sum[EVP_MAX_MD_SIZE];
	EVP_MD_CTX *md = EVP_MD_CTX_new();

	EVP_DigestInit_ex(md, EVP_sha256(), NULL);
	EVP_DigestUpdate(md, account, strlen(account) + 1);
	EVP_DigestUpdate(md, mailbox, strlen(mailbox) + 1);
	EVP_DigestUpdate(md, key, key_len);
	EVP_DigestUpdate(md, more, nmore);
	EVP_DigestFinal_ex(md, sum, NULL);
	EVP_MD_CTX_free(md);
	for (int i = 0; i < GUID_LEN / 2; i++)
		snprintf(guid + 2 * i, 3, "%02x", sum[i]);
}

/* A hash of the first len digits and of what they were placed as; not 0. */
static uint32_t
proof(const char *digits, size_t len, uint32_t uidvalidity, uint32_t uid)
{
	unsigned char sum[EVP_MAX_MD_SIZE];
	char text[GUID_LEN + 80];
	uint32_t v = 0;
	int n;

	n = snprintf(text, sizeof text, "mailhaul %.*s %" PRIu32 " %" PRIu32,
	    (int)len, digits, uidvalidity, uid);
	EVP_Digest(text, (size_t)n, sum, NULL, EVP_sha256(), NULL);
	for (int i = 0; i < 4; i++)
		v = v << 8 | sum[i];
	return v != 0 ? v : 1;
}

void
uids_guid(const struct lane *l, const struct pair *p, const char *own,
    const void *key, size_t key_len, const struct digests *d,
    uint32_t uidvalidity, uint32_t uid, char guid[GUID_LEN + 1],
    uint32_t *mark)
{
	*mark = 0;
	if (is_guid(own)) {
		memcpy(guid, own, GUID_LEN + 1);
		if (uid != 0)
			*mark = proof(guid, GUID_LEN, uidvalidity, uid);
		return;
	}
	derive(guid, l->account->name, p->src_key, key, key_len, d->strict,
	    DIGEST_LEN);
	snprintf(guid + PROVED, PROOF_LEN + 1, "%08" PRIx32, proof(guid,
	    PROVED, uid != 0 ? uidvalidity : 0, uid));
}

bool
uids_proved(const struct msg_meta *m, uint32_t uidvalidity)
{
	char digits[PROOF_LEN + 1];

	if (m->uid == 0 || !is_guid(m->guid))
		return false;
	if (m->mark != 0 && m->mark == proof(m->guid, GUID_LEN, uidvalidity,
	    m->uid))
		return true;
	snprintf(digits, sizeof digits, "%08" PRIx32, proof(m->guid, PROVED,
	    uidvalidity, m->uid));
	return strcmp(m->guid + PROVED, digits) == 0;
}

/* An op row, the change, and what the target is from now on.  known: there is
 * nothing in it that nobody has looked at. */
static int
set_uids(struct walk *w, const struct folder_uids *u, struct folder_state *f,
    bool known, struct err *e)
{
	struct lane *l = w->l;
	struct row_target seen;
	int64_t op;

	if (op_begin(l->run->state, l->account->row.id, w->p->id, "uids",
	    w->p->tgt_name, NULL, &op, e) == -1 ||
	    target_set_uids(l->tgt, u, f, e) == -1)
		return -1;
	seen.uidvalidity = f->uidvalidity;
	seen.uidnext = known ? f->uidnext : w->row.target.uidnext;
	seen.modseq = f->modseq;
	seen.messages = f->messages;
	if (mailbox_set_target(l->run->state, w->p->id, &seen, false, e) == -1)
		return -1;
	return op_done(l->run->state, op, e);
}

/* Other mail has a UID that is a message's at the source, or was. */
static int
is_mixed(struct walk *w, bool *mixed, struct err *e)
{
	uint32_t below = w->folder->uidnext != 0 ? w->folder->uidnext :
	    UINT32_MAX;

	return uids_mixed(w->l->reader, w->p->id, below, mixed, e);
}

/* The mailbox goes on under UIDs of the target's own. */
static int
renumber(struct walk *w, struct folder_state *f, bool known, struct err *e)
{
	struct folder_uids u = { .uidvalidity = (uint32_t)time(NULL) };

	if (u.uidvalidity <= w->folder->uidvalidity)
		u.uidvalidity = w->folder->uidvalidity + 1;
	if (u.uidvalidity == 0)
		u.uidvalidity = 1;
	lane_note(w->l, "warn", "uids", "the target has given UIDs of the "
	    "source to other mail: the mailbox has a new UIDVALIDITY, and "
	    "clients fetch it again");
	return set_uids(w, &u, f, known, e);
}

int
uids_begin(struct walk *w, struct folder_state *f, struct err *e)
{
	uint32_t src = w->folder->uidvalidity;
	struct folder_uids u = { .uidvalidity = src };
	char guid[GUID_LEN + 1];
	struct target_caps caps;
	bool mixed = false;

	w->keep_uids = false;
	target_caps(w->l->tgt, &caps);
	if (!(caps.bits & TGT_CHOOSES_UIDS))
		return 0;
	if (f->messages == 0 && w->row.rows == 0 &&
	    (f->uidvalidity == 0 || (src != 0 && f->uidvalidity != src))) {
		if (is_guid(w->folder->object_id))
			memcpy(guid, w->folder->object_id, sizeof guid);
		else
			derive(guid, w->l->account->name, w->p->src_key, "",
			    0, "", 0);
		u.guid = guid;
		u.restart = true;
		/* What was there once says nothing of the UIDs to come. */
		if (w->row.extras > 0 && mailbox_void(w->l->run->state,
		    w->p->id, e) == -1)
			return -1;
		w->row.extras = 0;
		if (set_uids(w, &u, f, true, e) == -1)
			return -1;
	}
	if (src == 0)
		return 0;
	if (f->uidvalidity != src) {
		lane_note(w->l, "warn", "uids", "the target mailbox has a "
		    "UIDVALIDITY of its own: messages get new UIDs there");
		return 0;
	}
	if (is_mixed(w, &mixed, e) == -1)
		return -1;
	if (mixed)
		return renumber(w, f, true, e);
	w->keep_uids = true;
	return 0;
}

/* Other mail came in while we stored: it may have got a UID that the source
 * has, or will give. */
static int
look_again(struct walk *w, struct err *e)
{
	struct row_mailbox row;
	uint64_t found;

	if (mailbox_load(w->l->reader, w->p->id, &row, e) == -1)
		return -1;
	buf_release(&row.token);
	if (look(w->l, w->p, row.target.uidnext, true, &found, e) == -1)
		return -1;
	return pair_target_again(w, e);
}

int
uids_end(struct walk *w, const struct work_uids *done, struct err *e)
{
	struct folder_uids u = { .uidnext = w->folder->uidnext };
	struct folder_state f;
	bool mixed = false;

	if (!w->keep_uids)
		return 0;
	if (done->changed > 0)
		lane_note(w->l, "warn", "uids", "%" PRIu64 " messages have "
		    "other UIDs than at the source: they came late",
		    done->changed);
	if (done->changed > 0 || !done->known) {
		/* The rows of this walk must be seen. */
		if (state_sync(w->l->run->state, e) == -1 ||
		    (!done->known && look_again(w, e) == -1) ||
		    is_mixed(w, &mixed, e) == -1)
			return -1;
		if (mixed)
			return renumber(w, &f, done->known, e);
	}
	return u.uidnext > done->next ? set_uids(w, &u, &f, done->known, e) :
	    0;
}
