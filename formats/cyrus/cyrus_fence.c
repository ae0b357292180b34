/*
 * When Cyrus cannot write a file that it is sent (a full disk), it gives the
 * command up in the middle and takes the rest of the message's bytes for
 * commands, line by line, with all rights of an admin [seen with 3.6.1].
 *
 * A message with lines that could do harm then is sent only after a file of
 * harmless bytes, larger than the batch, has found room: it has no line end, so
 * that nothing of it can be a command, and is thrown away again.  Contents that
 * are not in memory are taken to have such lines.
 */
#include <openssl/evp.h>
#include <string.h>
#include <strings.h>

#include "cyrus/cyrus_impl.h"

#define CHUNK		4096
#define MARGIN		((uint64_t)1 << 20)	/* beside twice the batch */
#define WORD_MAX	16

static const char *const sync_words[] = {
	"apply", "restore", "set", "rename", NULL
};

/* Behind a tag. */
static const char *const imap_words[] = {
	"append", "copy", "create", "delete", "deleteacl", "dump",
	"localappend", "localcreate", "localdelete", "move",
	"mupdatepush", "reconstruct", "rename", "setacl", "setannotation",
	"setmetadata", "setquota", "syncapply", "syncrestore", "uid",
	"undump", "unsubscribe", "subscribe", "xfer", "xmove",
	"xrunannotator", "xwarmup", NULL
};

static bool
among(const char *const *list, const char *p, size_t len)
{
	for (; *list != NULL; list++)
		if (strlen(*list) == len && strncasecmp(*list, p, len) == 0)
			return true;
	return false;
}

static size_t
word(const char *p, const char *end)
{
	size_t n = 0;

	while (p + n < end && n <= WORD_MAX && p[n] != ' ' && p[n] != '\t' &&
	    p[n] != '\r' && p[n] != '\n')
		n++;
	return n;
}

/* One line. */
static bool
is_command(const char *p, const char *end, bool imap)
{
	const char *blank;

	if (!imap)
		return among(sync_words, p, word(p, end));
	blank = memchr(p, ' ', (size_t)(end - p));
	return blank != NULL && among(imap_words, blank + 1, word(blank + 1,
	    end));
}

bool
cyrus_has_commands(const char *p, size_t len, bool imap)
{
	const char *end = p + len, *nl;

	while (p < end) {
		nl = memchr(p, '\n', (size_t)(end - p));
		if (nl == NULL)
			nl = end;
		if (is_command(p, nl, imap))
			return true;
		p = nl + (nl < end);
	}
	return false;
}

/* The digest of n bytes 'x', and, with y, these bytes themselves sent. */
static int
filler(struct sync *y, uint64_t n, unsigned char sha1[SHA1_LEN],
    struct err *e)
{
	EVP_MD_CTX *md = EVP_MD_CTX_new();
	char chunk[CHUNK];
	int rc = 0;

	memset(chunk, 'x', sizeof chunk);
	if (md == NULL || EVP_DigestInit_ex(md, EVP_sha1(), NULL) != 1)
		rc = err_set(e, ERR_RUN, "OpenSSL gives no SHA-1");
	while (n > 0 && rc == 0) {
		size_t k = n < sizeof chunk ? (size_t)n : sizeof chunk;

		EVP_DigestUpdate(md, chunk, k);
		if (y != NULL)
			rc = sync_put(y, chunk, k, e);
		n -= k;
	}
	if (rc == 0)
		EVP_DigestFinal_ex(md, sha1, NULL);
	EVP_MD_CTX_free(md);
	return rc;
}

int
cyrus_fence(struct cyrus_target *c, uint64_t bytes, struct err *e)
{
	unsigned char sha1[SHA1_LEN];
	struct sync_reply r;
	struct sync *y = c->c.y;
	uint64_t n = 2 * bytes + MARGIN;
	struct buf head;
	int rc;

	if (filler(NULL, n, sha1, e) == -1)
		return -1;
	buf_init(&head, 400);
	buf_addf(&head, " MESSAGE (%%{%s ", c->box.partition);
	for (size_t i = 0; i < SHA1_LEN; i++)
		buf_addf(&head, "%02x", sha1[i]);
	buf_addf(&head, " %llu}\r\n", (unsigned long long)n);
	rc = sync_begin(y, "APPLY", e);
	if (rc == 0)
		rc = sync_put(y, head.ptr, head.len, e);
	buf_release(&head);
	if (rc == 0)
		rc = filler(y, n, sha1, e);
	if (rc == 0)
		rc = sync_put(y, ")", 1, e);
	if (rc == 0)
		rc = sync_end(y, e);
	if (rc == 0)
		rc = sync_answer(y, NULL, NULL, &r, e);
	if (rc == 0) {
		cyrus_no_room(&r, e);
		sync_give_up(y, e);
	}
	if (rc == 1)
		rc = sync_run(y, "RESTART", NULL, NULL, NULL, &r, e);
	return rc == 1 ? 0 : -1;
}

void
cyrus_no_room(const struct sync_reply *r, struct err *e)
{
	sync_no(r, ERR_HOST, e, "it cannot store what it is sent (is the "
	    "target's disk full?)");
	e->cause = CAUSE_DISK;
	e->retry = true;
}
