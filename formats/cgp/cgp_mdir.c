/*
 * The listing of a MailDir mailbox: a flat directory, a file a message, and
 * everything but the date of odd ones in the name.
 *
 * A change of flags is a rename, which may hide a file from a directory that
 * is just being read; so it is read again when it changed meanwhile.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/xmalloc.h"
#include "cgp/cgp_file.h"
#include "cgp/cgp_head.h"
#include "cgp/cgp_impl.h"
#include "cgp/cgp_name.h"
#include "measure.h"

#define SCANS_MAX	3

/* Records: two numbers by which messages of one UID are sorted, the entry, and
 * its strings with their NULs. */

static void
put_u64(struct buf *b, uint64_t v)
{
	int i;

	for (i = 56; i >= 0; i -= 8)
		buf_addc(b, (char)(v >> i));
}

int
cgp_entry_put(struct spill *s, uint64_t key, const struct cgp_entry *x,
    struct err *e)
{
	struct cgp_entry fixed;
	struct buf b;
	int rc;

	memset(&fixed, 0, sizeof fixed);
	fixed.uid = x->uid;
	fixed.nletters = x->nletters;
	fixed.date = x->date;
	fixed.zone = x->zone;
	fixed.origin = x->origin;
	fixed.size = x->size;
	fixed.at = x->at;
	fixed.zoned = x->zoned;
	buf_init(&b, 16 * 1024);
	put_u64(&b, (uint64_t)x->date ^ (uint64_t)1 << 63);
	put_u64(&b, x->at);
	buf_add(&b, &fixed, sizeof fixed);
	buf_add(&b, x->letters, x->nletters);
	buf_addc(&b, '\0');
	buf_add(&b, x->name, strlen(x->name) + 1);
	buf_add(&b, x->suffix, strlen(x->suffix) + 1);
	rc = spill_put(s, key, b.ptr, b.len, e);
	buf_release(&b);
	return rc;
}

int
cgp_entry_get(struct cgp_entry *x, const void *rec, size_t len)
{
	const char *p = rec, *end = p + len;

	if (len < 16 + sizeof *x + 3 || end[-1] != '\0')
		return -1;
	memcpy(x, p + 16, sizeof *x);
	p += 16 + sizeof *x;
	if (x->nletters > (size_t)(end - p) - 3)
		return -1;
	x->letters = p;
	x->name = p + x->nletters + 1;
	x->suffix = x->name + strlen(x->name) + 1;
	return x->suffix < end ? 0 : -1;
}

uint32_t
cgp_made_uidvalidity(const char *raw, char mode)
{
	uint64_t h = 0xcbf29ce484222325ULL;

	for (; *raw != '\0'; raw++)
		h = (h ^ (unsigned char)*raw) * 0x100000001b3ULL;
	h = (h ^ (unsigned char)mode) * 0x100000001b3ULL;
	return 0x40000000U | ((uint32_t)(h >> 32) & 0x3fffffffU);
}

/* Opening a message */

int
cgp_mdir_open(struct cgp *c, const char *name, uint32_t uid, uint64_t ino,
    bool unique, struct stat *st)
{
	char other[NAME_MAX + 1] = "";
	struct cgp_file_name fn;
	struct dirent *d;
	unsigned others = 0;
	DIR *dir;
	int fd;

	fd = cgp_open(c->box.fd, name, st);
	if (fd != -1 || errno != ENOENT)
		return fd;
	/* Its flags have changed: look for the UID. */
	fd = cgp_open_dir(c->box.fd, ".");
	if (fd == -1 || (dir = fdopendir(fd)) == NULL) {
		if (fd != -1)
			close(fd);
		return -1;
	}
	fd = -1;
	while (fd == -1 && (d = readdir(dir)) != NULL) {
		if (cgp_file_parse(&fn, d->d_name, strlen(d->d_name)) !=
		    CGP_FILE_MESSAGE || fn.uid != uid)
			continue;
		if ((fd = cgp_open(c->box.fd, d->d_name, st)) == -1)
			continue;
		if ((uint64_t)st->st_ino == ino)
			break;
		close(fd);
		fd = -1;
		others++;
		memcpy(other, d->d_name, sizeof other);
	}
	closedir(dir);
	if (fd != -1)
		return fd;
	errno = ENOENT;
	return unique && others == 1 ? cgp_open(c->box.fd, other, st) : -1;
}

int
cgp_mdir_digest(struct cgp *c, const struct cgp_entry *x,
    unsigned char digest[DIGEST_LEN])
{
	struct content *content;
	struct measure *m;
	struct measured md;
	struct stat st;
	struct err e;
	int64_t skip;
	int fd, rc;

	fd = cgp_mdir_open(c, x->name, x->uid, x->at, false, &st);
	if (fd == -1)
		return errno == ENOENT ? 0 : -1;
	if ((skip = cgp_head_preamble(fd)) == -1) {
		close(fd);
		return -1;
	}
	content = content_range(fd, true, (uint64_t)skip,
	    (uint64_t)st.st_size - (uint64_t)skip);
	m = measure_new();
	rc = measure_content(m, content, NULL, &md, &e);
	measure_free(&m);
	content_close(&content);
	if (rc == 0)
		memcpy(digest, md.digests.strict, DIGEST_LEN);
	return rc == 0 ? 1 : -1;
}

/* Reading the directory */

/* The date of a message whose name has none. */
static void
find_date(struct cgp *c, struct cgp_entry *x, const struct stat *named)
{
	struct msg_meta m;
	struct stat st;
	int64_t skip;
	int fd;

	memset(&m, 0, sizeof m);
	x->date = named->st_mtim.tv_sec;
	x->origin = DATE_MTIME;
	if ((fd = cgp_open(c->box.fd, x->name, &st)) == -1)
		return;			/* content() will say why */
	skip = cgp_head_preamble(fd);
	if (skip != -1 && cgp_head_date(fd, (uint64_t)skip,
	    (uint64_t)st.st_size - (uint64_t)skip, false, &m)) {
		x->date = m.date;
		x->zone = m.zone;
		x->origin = (int32_t)m.date_origin;
	}
	close(fd);
}

/* Each shape once in a mailbox, and where somebody keeps count once in a run. */
static void
tell_tail(struct cgp *c, const struct cgp_file_name *fn, const char *name,
    char *told, size_t size)
{
	const struct store_conf *conf = &c->s.conf;
	struct buf shape;

	if (fn->ntail == 0 || c->box.quiet)
		return;
	buf_init(&shape, 100);
	buf_addc(&shape, ' ');
	cgp_tail_shape(&shape, fn->tail, fn->ntail);
	buf_addc(&shape, ' ');
	if (!shape.full && strstr(told, shape.ptr) == NULL &&
	    strlen(told) + shape.len < size) {
		memcpy(told + strlen(told), shape.ptr, shape.len + 1);
		if (conf->first == NULL || conf->first(conf->warn_ctx,
		    shape.ptr))
			cgp_tell(c, W_TAIL, name, "what follows the time "
			    "(%.*s) is not known, and ignored; so are others "
			    "of that shape, in all mailboxes", (int)fn->ntail,
			    fn->tail);
	}
	buf_release(&shape);
}

static int
scan_name(struct cgp *c, struct spill *out, const char *name, char *told,
    size_t size, struct err *e)
{
	struct cgp_file_name fn;
	struct cgp_entry x;
	struct stat st;

	switch (cgp_file_parse(&fn, name, strlen(name))) {
	case CGP_FILE_OTHER:
		cgp_tell(c, W_SKIPPED, name, "not the name of a message: not "
		    "read");
		return 0;
	case CGP_FILE_ALMOST:
		cgp_tell(c, W_ALMOST, name, "begins as the name of a message "
		    "and is none (UID-FLAGS-YYYYMMDDhhmmss): not read");
		return 0;
	case CGP_FILE_MESSAGE:
		break;
	}
	if (fstatat(c->box.fd, name, &st, AT_SYMLINK_NOFOLLOW) == -1) {
		if (errno == ENOENT)
			return 0;	/* renamed: the next scan has it */
		return err_sys(e, quiet_scope(errno, ERR_MAILBOX), "%s", name);
	}
	if (!S_ISREG(st.st_mode)) {
		cgp_tell(c, W_TYPE, name, S_ISLNK(st.st_mode) ? "a symbolic "
		    "link: not followed" : "no file: not read");
		return 0;
	}
	tell_tail(c, &fn, name, told, size);
	memset(&x, 0, sizeof x);
	x.uid = fn.uid;
	x.letters = fn.flags;
	x.nletters = (uint32_t)fn.nflags;
	x.size = (uint64_t)st.st_size;
	x.at = (uint64_t)st.st_ino;
	x.name = name;
	x.suffix = "";
	x.date = fn.epoch;
	x.origin = DATE_STORE;
	if (!fn.timed)
		find_date(c, &x, &st);
	return cgp_entry_put(out, x.uid, &x, e);
}

static int
scan_once(struct cgp *c, struct spill *out, struct err *e)
{
	char told[1000] = "";
	struct dirent *d;
	DIR *dir;
	int fd, rc = 0;

	fd = cgp_open_dir(c->box.fd, ".");
	if (fd == -1 || (dir = fdopendir(fd)) == NULL) {
		err_sys(e, quiet_scope(errno, ERR_MAILBOX), "read directory");
		if (fd != -1)
			close(fd);
		return -1;
	}
	while (rc == 0) {
		errno = 0;
		if ((d = readdir(dir)) == NULL) {
			if (errno != 0)
				rc = err_sys(e, quiet_scope(errno, ERR_MAILBOX),
				    "read directory");
			break;
		}
		if (strcmp(d->d_name, ".") != 0 && strcmp(d->d_name, "..") != 0)
			rc = scan_name(c, out, d->d_name, told, sizeof told,
			    e);
	}
	closedir(dir);
	return rc;
}

static bool
same_time(const struct stat *a, const struct stat *b)
{
	return a->st_mtim.tv_sec == b->st_mtim.tv_sec &&
	    a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

static int
scan(struct cgp *c, struct spill **out, struct err *e)
{
	struct stat before, after;
	int i, rc = 0;

	for (i = 0; i < SCANS_MAX && rc == 0; i++) {
		spill_free(out);
		*out = spill_new();
		c->box.quiet = i > 0;
		if (fstat(c->box.fd, &before) == -1 ||
		    (rc = scan_once(c, *out, e)) == -1 ||
		    fstat(c->box.fd, &after) == -1)
			break;
		if (same_time(&before, &after))
			break;
	}
	c->box.quiet = false;
	if (rc == 0 && i == SCANS_MAX)
		cgp_tell(c, W_TYPE, NULL, "changes so fast that it could not "
		    "be listed at rest: what is missing comes with the next "
		    "pass");
	return rc;
}

/* Messages of one UID */

struct group {
	uint32_t	 uid;
	size_t		 n, cap;
	unsigned char	(*digests)[DIGEST_LEN];
	struct cgp_entry first;		/* its strings are copies: */
	char		*name;
	bool		 first_hashed;
};

static void
remember(struct group *g, const unsigned char *digest)
{
	if (g->n == g->cap) {
		g->cap = g->cap == 0 ? 4 : g->cap * 2;
		g->digests = xreallocarray(g->digests, g->cap,
		    sizeof *g->digests);
	}
	memcpy(g->digests[g->n++], digest, DIGEST_LEN);
}

/* A further file of the group's UID.  1: another message, and suffix tells it
 * apart; 0: the same one again, or gone. */
static int
another(struct cgp *c, struct group *g, const struct cgp_entry *x,
    char suffix[64])
{
	unsigned char digest[DIGEST_LEN];
	size_t i;
	int rc;

	if (!g->first_hashed) {
		g->first_hashed = true;
		if (cgp_mdir_digest(c, &g->first, digest) == 1)
			remember(g, digest);
	}
	rc = cgp_mdir_digest(c, x, digest);
	if (rc == -1) {
		snprintf(suffix, 64, "#%lld.%llx", (long long)x->date,
		    (unsigned long long)x->at);
		return 1;
	}
	for (i = 0; i < g->n && rc == 1; i++)
		if (memcmp(g->digests[i], digest, DIGEST_LEN) == 0) {
			cgp_tell(c, W_DOUBLE, x->name, "the same message lies "
			    "there under another name: counted once");
			rc = 0;
		}
	if (rc == 0)
		return 0;
	remember(g, digest);
	suffix[0] = '#';
	for (i = 0; i < 8; i++)
		snprintf(suffix + 1 + 2 * i, 3, "%02x", digest[i]);
	cgp_tell(c, W_DOUBLE, x->name, "another message has this UID: read "
	    "without one");
	return 1;
}

static void
begin_group(struct group *g, const struct cgp_entry *x)
{
	g->uid = x->uid;
	g->n = 0;
	g->first = *x;
	g->first_hashed = false;
	free(g->name);
	g->name = xstrdup(x->name);
	g->first.name = g->name;
}

/* From what the directory gave to entries in order. */
static int
settle(struct cgp *c, struct spill *files, EVP_MD_CTX *md, struct err *e)
{
	struct group g = { .uid = 0 };
	struct cgp_entry x;
	char suffix[64];
	const void *rec;
	uint64_t key, n = 0;
	size_t len;
	int rc;

	while ((rc = spill_next(files, &key, &rec, &len, e)) == 1) {
		if (cgp_entry_get(&x, rec, len) == -1) {
			rc = err_set(e, ERR_MAILBOX, "damaged temporary "
			    "table");
			break;
		}
		if (x.uid != g.uid)
			begin_group(&g, &x);
		else if (another(c, &g, &x, suffix) == 0)
			continue;
		else {
			x.suffix = suffix;
			x.uid = 0;
		}
		EVP_DigestUpdate(md, x.name, strlen(x.name) + 1);
		EVP_DigestUpdate(md, &x.size, sizeof x.size);
		if (x.uid != 0 && x.uid >= c->box.uidnext &&
		    c->box.uidnext != 0)
			c->box.uidnext = x.uid == UINT32_MAX ? 0 : x.uid + 1;
		c->box.origins[x.origin]++;
		if (cgp_entry_put(c->box.entries, n++, &x, e) == -1) {
			rc = -1;
			break;
		}
	}
	c->box.count = n;
	free(g.digests);
	free(g.name);
	return rc;
}

int
cgp_mdir_list(struct cgp *c, struct err *e)
{
	unsigned char digest[32];
	struct spill *files = NULL;
	EVP_MD_CTX *md;
	size_t i;
	int rc;

	c->box.by_uid = true;
	c->box.uidvalidity = c->box.f->uidvalidity != 0 ?
	    c->box.f->uidvalidity : cgp_made_uidvalidity(c->box.f->raw, 'd');
	c->box.uidnext = c->box.f->uidnext != 0 ? c->box.f->uidnext : 1;
	memset(c->box.origins, 0, sizeof c->box.origins);
	spill_free(&c->box.entries);
	c->box.entries = spill_new();
	md = EVP_MD_CTX_new();
	EVP_DigestInit_ex(md, EVP_sha256(), NULL);
	rc = scan(c, &files, e);
	if (rc == 0)
		rc = spill_sort(files, e);
	if (rc == 0)
		rc = settle(c, files, md, e);
	if (rc == 0)
		rc = spill_sort(c->box.entries, e);
	EVP_DigestFinal_ex(md, digest, NULL);
	EVP_MD_CTX_free(md);
	for (i = 0; i < sizeof digest; i++)
		snprintf(c->box.hash + 2 * i, 3, "%02x", digest[i]);
	spill_free(&files);
	c->box.listed = rc == 0;
	return rc;
}
