/*
 * Does the server do what is needed?  The protocol is no published interface,
 * so it is tried: a mailbox is made that nobody may see, one message is stored
 * in it under two UIDs, everything is read back and compared, a change by
 * others has to be noticed, and the mailbox is removed.
 */
#include <openssl/evp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/xmalloc.h"
#include "cyrus/cyrus_impl.h"

#define SCRATCH		"mailhaul-probe"
#define TRIES		5	/* another mailhaul may be at it as well */

/* A byte that APPEND would change, and a NUL-free body without a line end. */
static const char message[] = "From: mailhaul\r\nSubject: \xe9t\xe9\r\n\r\n"
    "probe";

/* Servers that passed, as long as we run. */
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static struct imap_words passed;

void
cyrus_new_uniqueid(char out[64])
{
	static const char letters[] = "0123456789abcdefghijklmnopqrstuvwxyz";
	unsigned char raw[24];

	if (getrandom(raw, sizeof raw, 0) != (ssize_t)sizeof raw)
		abort();
	for (size_t i = 0; i < sizeof raw; i++)
		out[i] = letters[raw[i] % 36];
	out[sizeof raw] = '\0';
}

void
cyrus_fetch_put(struct buf *out, const struct cyrus_box *b, uint32_t uid,
    const unsigned char sha1[SHA1_LEN])
{
	buf_adds(out, "FETCH %(MBOXNAME ");
	dlist_put(out, b->name.ptr, b->name.len);
	buf_adds(out, " PARTITION ");
	dlist_puts(out, b->partition);
	buf_addf(out, " UNIQUEID %s GUID ", b->uniqueid);
	for (size_t i = 0; i < SHA1_LEN; i++)
		buf_addf(out, "%02x", sha1[i]);
	buf_addf(out, " UID %u)", uid);
}

/* One probe. */
struct probe {
	struct sync	*y;
	struct cyrus_box box;		/* what is asked for */
	struct cyrus_record record[2];
	size_t		 seen;		/* records that came back */
	bool		 differs;
	struct buf	 bytes;		/* that came back */
	const char	*what;		/* is wrong */
};

/* 1: as it should be; 0: p->what is wrong; -1. */
static int
expect(struct probe *p, int rc, const char *what)
{
	if (rc != 1)
		p->what = what;
	return rc;
}

static int
apply(struct probe *p, const char *text, struct sync_reply *r,
    struct err *e)
{
	struct buf args;
	int rc;

	buf_init(&args, 4000);
	buf_adds(&args, text);
	rc = sync_run(p->y, "APPLY", &args, NULL, NULL, r, e);
	buf_release(&args);
	return rc;
}

static int
apply_box(struct probe *p, uint64_t since, struct sync_reply *r,
    struct err *e)
{
	struct buf args;
	int rc;

	buf_init(&args, 8000);
	cyrus_box_put(&args, &p->box, since);
	for (size_t i = 0; i < 2; i++)
		cyrus_record_put(&args, &p->record[i], i == 0);
	buf_adds(&args, "))");
	rc = sync_run(p->y, "APPLY", &args, NULL, NULL, r, e);
	buf_release(&args);
	return rc;
}

static void
set_up(struct probe *p, struct sync *y, const char *partition)
{
	static const char *const kw[] = { "$Forwarded", "mailhaul" };
	unsigned n;

	memset(p, 0, sizeof *p);
	p->y = y;
	buf_init(&p->bytes, 4096);
	cyrus_box_init(&p->box);
	buf_adds(&p->box.name, SCRATCH);
	cyrus_new_uniqueid(p->box.uniqueid);
	snprintf(p->box.partition, sizeof p->box.partition, "%s",
	    partition);
	snprintf(p->box.options, sizeof p->box.options, "P");
	p->box.uidvalidity = 1234567;
	p->box.last_uid = p->box.recent_uid = 9;
	p->box.modseq = 7;
	p->box.recent_time = p->box.append_time = 1000000000;
	for (size_t i = 0; i < 2; i++) {
		struct cyrus_record *r = &p->record[i];

		cyrus_record_init(r);
		r->uid = i == 0 ? 5 : 9;
		r->modseq = 6 + i;
		r->flags = i == 0 ? MSG_SEEN | MSG_ANSWERED : MSG_FLAGGED |
		    MSG_DRAFT | MSG_DELETED;
		r->kw[0] = kw[0];
		r->kw[1] = kw[1];
		r->nkw = i == 0 ? 2 : 0;
		r->date = i == 0 ? 86399 : 4000000000;
		r->last_updated = 1000000000;
		r->size = sizeof message - 1;
		EVP_Digest(message, sizeof message - 1, r->sha1, &n,
		    EVP_sha1(), NULL);
	}
}

static void
tear_down(struct probe *p)
{
	cyrus_box_release(&p->box);
	for (size_t i = 0; i < 2; i++)
		cyrus_record_release(&p->record[i]);
	buf_release(&p->bytes);
}

static int
compare_record(void *ctx, struct cyrus_record *r, struct err *e)
{
	struct probe *p = ctx;
	const struct cyrus_record *want;

	(void)e;
	if (p->seen >= 2) {
		p->differs = true;
		return 0;
	}
	want = &p->record[p->seen++];
	if (r->uid != want->uid || r->modseq != want->modseq ||
	    r->flags != want->flags || r->nkw != want->nkw ||
	    r->expunged || r->date != want->date || r->size != want->size ||
	    memcmp(r->sha1, want->sha1, SHA1_LEN) != 0)
		p->differs = true;
	for (size_t i = 0; i < r->nkw && i < want->nkw; i++)
		if (strcmp(r->kw[i], want->kw[i]) != 0)
			p->differs = true;
	return 0;
}

static int
read_back(struct probe *p, struct err *e)
{
	struct cyrus_box b;
	int rc;

	cyrus_box_init(&b);
	rc = cyrus_box_get(p->y, SCRATCH, "", true, compare_record, p, &b, e);
	if (rc == 1 && (p->seen != 2 || p->differs))
		rc = 0;
	if (rc == 1 && (b.uidvalidity != p->box.uidvalidity ||
	    b.last_uid != p->box.last_uid || b.modseq != p->box.modseq ||
	    strcmp(b.uniqueid, p->box.uniqueid) != 0))
		rc = 0;
	cyrus_box_release(&b);
	return rc;
}

static int
take_bytes(struct sync *y, const char *name, void *ctx, struct err *e)
{
	struct probe *p = ctx;
	struct dlist_token t;
	char chunk[512];
	ssize_t n;

	if (strcmp(name, "MESSAGE") != 0)
		return 0;
	if (dlist_next(&y->d, &t, e) == -1)
		return -1;
	if (t.type != DLIST_FILE)
		return 0;
	while ((n = dlist_file(&y->d, chunk, sizeof chunk, e)) > 0)
		buf_add(&p->bytes, chunk, (size_t)n);
	return (int)n;
}

static int
fetch_back(struct probe *p, struct err *e)
{
	struct sync_reply r;
	struct buf args;
	int rc;

	buf_init(&args, 2000);
	cyrus_fetch_put(&args, &p->box, 9, p->record[1].sha1);
	rc = sync_run(p->y, "GET", &args, take_bytes, p, &r, e);
	buf_release(&args);
	return rc == 1 && (p->bytes.len != sizeof message - 1 ||
	    memcmp(p->bytes.ptr, message, p->bytes.len) != 0) ? 0 : rc;
}

static int
upload(struct probe *p, struct err *e)
{
	struct sync_reply r;
	struct buf text;
	int rc;

	buf_init(&text, 1000);
	buf_addf(&text, "MESSAGE (%%{%s ", p->box.partition);
	for (size_t i = 0; i < SHA1_LEN; i++)
		buf_addf(&text, "%02x", p->record[0].sha1[i]);
	buf_addf(&text, " %zu}\r\n%s)", sizeof message - 1, message);
	rc = apply(p, text.ptr, &r, e);
	buf_release(&text);
	return rc;
}

/* 1: it is gone. */
static int
remove_scratch(struct probe *p, struct err *e)
{
	struct cyrus_box b;
	struct sync_reply r;
	int rc;

	if (apply(p, "UNMAILBOX " SCRATCH, &r, e) == -1)
		return -1;
	cyrus_box_init(&b);
	rc = cyrus_box_get(p->y, SCRATCH, "", false, NULL, NULL, &b, e);
	cyrus_box_release(&b);
	return rc == -1 ? -1 : rc == 0;
}

/* The steps, from nothing to nothing. */
static int
run_probe(struct probe *p, struct err *e)
{
	struct sync_reply r;
	int rc;

	rc = expect(p, remove_scratch(p, e), "a mailbox cannot be removed");
	if (rc == 1)
		rc = expect(p, upload(p, e), "it takes no message");
	if (rc == 1)
		rc = expect(p, apply_box(p, 0, &r, e), "it makes no mailbox");
	if (rc == 1)
		rc = expect(p, read_back(p, e), "a mailbox is not as it was "
		    "written");
	if (rc == 1)
		rc = expect(p, fetch_back(p, e), "a message is not as it was "
		    "written");
	if (rc == 1) {
		rc = apply_box(p, 6, &r, e);
		if (rc != -1)
			rc = rc == 0 && strcmp(r.code, "IMAP_SYNC_CHANGED") ==
			    0;
		expect(p, rc, "changes by others are not noticed");
	}
	if (rc == 1)
		rc = expect(p, apply_box(p, 7, &r, e), "a batch cannot be "
		    "repeated");
	return rc;
}

static int
probe_once(struct sync *y, const char *partition, const char **what,
    struct err *e)
{
	struct sync_reply r;
	struct probe p;
	struct err ignored;
	int rc, gone;

	set_up(&p, y, partition);
	rc = run_probe(&p, e);
	*what = p.what;
	if (rc != -1) {
		gone = remove_scratch(&p, rc == 1 ? e : &ignored);
		if (rc == 1)
			rc = expect(&p, gone, "a mailbox cannot be removed");
		*what = p.what;
	}
	tear_down(&p);
	if (rc == -1 || sync_run(y, "RESTART", NULL, NULL, NULL, &r, e) == -1)
		return -1;
	return rc;
}

static void
key_of(const struct sync *y, char key[400])
{
	const struct uri *u = y->conf->uri;

	if (y->s != NULL)
		snprintf(key, 400, "%.250s:%u %.100s", u->host, u->port,
		    y->server);
	else
		snprintf(key, 400, "%.100s", y->server);
}

static void
pause_ms(unsigned ms)
{
	struct timespec t = { ms / 1000, (long)(ms % 1000) * 1000000 };

	nanosleep(&t, NULL);
}

int
cyrus_probe(struct sync *y, const char *partition, struct err *e)
{
	const char *what = NULL;
	char key[400];
	int rc = 1;

	if (y->version < 302 || y->version > 399) {
		err_set(e, ERR_ACCOUNT, "its version is not known to work "
		    "(%.100s)", y->server);
		return 0;
	}
	if (y->conf->look_only)
		return 1;
	key_of(y, key);
	pthread_mutex_lock(&mutex);
	if (!imap_words_has(&passed, key)) {
		for (unsigned i = 0; i < TRIES; i++) {
			rc = probe_once(y, partition, &what, e);
			if (rc != 0)
				break;
			pause_ms(100 + 200 * i);
		}
		if (rc == 1)
			imap_words_add(&passed, key);
	}
	pthread_mutex_unlock(&mutex);
	if (rc == 0)
		err_set(e, ERR_ACCOUNT, "it fails the test of its replication "
		    "protocol: %s", what);
	return rc;
}
