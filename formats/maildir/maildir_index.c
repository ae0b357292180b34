/*
 * The listing of one mailbox, sorted, in flat memory.
 *
 * The lists of maildir_lists.h are sorted and joined by base name.  What comes
 * out is the list of entries, sorted by UID, then those without one by time,
 * microseconds and name, as Dovecot numbers new files.
 *
 * One base name, several files: the same inode is one file that was renamed
 * while we looked; equal bytes are one message (an interrupted copy); other
 * bytes are another message, whose key is base#<16 hex digits of SHA-256>.
 */
#include <assert.h>
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/xmalloc.h"
#include "maildir/maildir_lists.h"

#define REC_MAX		((size_t)64 * 1024)
#define SAME_NAME_MAX	((size_t)200)	/* compared with one another */

/* A spill with its record at hand. */
struct cursor {
	struct spill	*s;
	bool		 at_end;
	uint64_t	 key;
	const char	*base;
	struct rec_reader	 r;		/* what follows the base */
};

static int
advance(struct cursor *c, struct err *e)
{
	const void *rec;
	size_t len;
	int rc;

	if ((rc = spill_next(c->s, &c->key, &rec, &len, e)) == -1)
		return -1;
	c->at_end = rc == 0;
	if (rc == 1) {
		c->r.p = rec;
		c->r.left = len;
		c->r.bad = false;
		c->base = rec_get_str(&c->r, &len);
	}
	return 0;
}

static int
start(struct cursor *c, struct spill *s, struct err *e)
{
	memset(c, 0, sizeof *c);
	c->s = s;
	if (spill_sort(s, e) == -1)
		return -1;
	return advance(c, e);
}

/* Goes to the records of (key, base): true while one is at hand. */
static int
seek(struct cursor *c, uint64_t key, const char *base, struct err *e)
{
	int cmp;

	while (!c->at_end) {
		cmp = c->key < key ? -1 : c->key > key ? 1 :
		    strcmp(c->base, base);
		if (cmp == 0)
			return 1;
		if (cmp > 0)
			return 0;
		if (advance(c, e) == -1)
			return -1;
	}
	return 0;
}

/* What the metadata say of one base name. */
struct facts {
	uint32_t	 uid, order, mark;
	bool		 has_guid, has_uidl;
	struct buf	 guid, uidl, numbers;
};

/* One of several files of a base name. */
struct file {
	enum place	 place;
	char		 info[NAME_MAX + 1];
	uint64_t	 ino, size;
	int64_t		 mtime;
	unsigned char	 scan;
	bool		 gone, hashed;
	unsigned char	 digest[32];
};

struct join {
	struct maildir	*m;
	struct lists	*l;
	struct cursor	 files, uids, keywords, uidls;
	struct facts	 facts;
	struct file	*group;		/* SAME_NAME_MAX of them */
	size_t		 ngroup;
	char		 base[NAME_MAX + 1];
	uint64_t	 merged;	/* files that are no messages */
	EVP_MD_CTX	*md;
};

static int
collect_facts(struct join *j, uint64_t key, struct err *e)
{
	struct facts *f = &j->facts;
	const char *s;
	size_t len;
	int rc;

	f->uid = f->order = f->mark = 0;
	f->has_guid = f->has_uidl = false;
	buf_reset(&f->guid);
	buf_reset(&f->uidl);
	buf_reset(&f->numbers);
	/* The last UID of a name wins, as for Dovecot. */
	while ((rc = seek(&j->uids, key, j->base, e)) == 1) {
		struct rec_reader *r = &j->uids.r;

		if (f->uid != 0)
			maildir_tell(j->m, W_DOUBLE, j->base,
			    "has more than one UID: the last one counts");
		f->uid = rec_get_u32(r);
		f->order = rec_get_u32(r);
		f->mark = rec_get_u32(r);
		f->has_guid = rec_get_u8(r) == '+';
		s = rec_get_str(r, &len);
		buf_reset(&f->guid);
		buf_add(&f->guid, s, len);
		f->has_uidl = rec_get_u8(r) == '+';
		s = rec_get_str(r, &len);
		buf_reset(&f->uidl);
		buf_add(&f->uidl, s, len);
		if (advance(&j->uids, e) == -1)
			return -1;
	}
	if (rc == -1)
		return -1;
	/* The newest set of keywords, which sorts last. */
	while ((rc = seek(&j->keywords, key, j->base, e)) == 1) {
		(void)rec_get_u64(&j->keywords.r);
		buf_reset(&f->numbers);
		buf_add(&f->numbers, j->keywords.r.p, j->keywords.r.left);
		if (advance(&j->keywords, e) == -1)
			return -1;
	}
	if (rc == -1)
		return -1;
	while ((rc = seek(&j->uidls, key, j->base, e)) == 1) {
		s = rec_get_str(&j->uidls.r, &len);
		buf_reset(&f->uidl);
		buf_add(&f->uidl, s, len);
		f->has_uidl = true;
		if (advance(&j->uidls, e) == -1)
			return -1;
	}
	return rc;
}

static void
update(struct join *j, const void *p, size_t n)
{
	EVP_DigestUpdate(j->md, p, n);
}

/* The listing's own hash: everything a further pass would do something about,
 * keywords by name. */
static void
hash_entry(struct join *j, const struct file *f, const char *suffix,
    bool with_facts)
{
	const struct facts *x = &j->facts;
	uint64_t nums[5];
	uint16_t k;
	size_t i;

	update(j, j->base, strlen(j->base) + 1);
	update(j, f->info, strlen(f->info) + 1);
	update(j, suffix, strlen(suffix) + 1);
	nums[0] = htole64((uint64_t)f->place);
	nums[1] = htole64((uint64_t)f->mtime);
	nums[2] = htole64(f->size);
	nums[3] = htole64(with_facts ? x->uid : 0);
	nums[4] = htole64(with_facts ? x->order : 0);
	update(j, nums, sizeof nums);
	if (!with_facts)
		return;
	update(j, x->guid.ptr, x->guid.len + 1);
	update(j, x->uidl.ptr, x->uidl.len + 1);
	for (i = 0; i + sizeof k <= x->numbers.len; i += sizeof k) {
		memcpy(&k, x->numbers.ptr + i, sizeof k);
		if (k < j->m->box.courier.n)
			update(j, j->m->box.courier.names[k],
			    strlen(j->m->box.courier.names[k]) + 1);
	}
}

static int
emit(struct join *j, const struct file *f, const char *suffix,
    bool with_facts, struct err *e)
{
	struct facts *x = &j->facts;
	struct buf *b = &j->l->rec;
	struct maildir_name mn;
	uint64_t key;

	hash_entry(j, f, suffix, with_facts);
	maildir_name_parse(&mn, j->base, strlen(j->base));
	buf_reset(b);
	rec_put_u32(b, mn.usecs);
	rec_put_str(b, j->base, strlen(j->base));
	rec_put_str(b, suffix, strlen(suffix));
	rec_put_str(b, f->info, strlen(f->info));
	buf_addc(b, (char)f->place);
	rec_put_u32(b, with_facts ? x->uid : 0);
	rec_put_u64(b, f->ino);
	rec_put_u64(b, (uint64_t)f->mtime);
	rec_put_u64(b, f->size);
	rec_put_u32(b, with_facts ? x->order : 0);
	rec_put_u32(b, with_facts ? x->mark : 0);
	buf_addc(b, with_facts && x->has_guid ? '+' : '-');
	rec_put_str(b, x->guid.ptr, x->guid.len);
	buf_addc(b, with_facts && x->has_uidl ? '+' : '-');
	rec_put_str(b, x->uidl.ptr, x->uidl.len);
	if (with_facts)
		buf_add(b, x->numbers.ptr, x->numbers.len);
	if (b->full)
		return err_set(e, ERR_MAILBOX, "%s: metadata too large",
		    j->base);
	key = with_facts && x->uid != 0 ? x->uid :
	    UINT64_C(1) << 63 | mn.secs;
	return spill_put(j->m->box.entries, key, b->ptr, b->len, e);
}

int
entry_decode(struct entry *x, const void *rec, size_t len)
{
	struct rec_reader r = { rec, len, false };
	size_t n;
	bool have;

	memset(x, 0, sizeof *x);
	(void)rec_get_u32(&r);
	x->base = rec_get_str(&r, &n);
	x->suffix = rec_get_str(&r, &n);
	x->info = rec_get_str(&r, &n);
	x->in_cur = rec_get_u8(&r) == IN_CUR;
	x->uid = rec_get_u32(&r);
	x->ino = rec_get_u64(&r);
	x->mtime = (int64_t)rec_get_u64(&r);
	x->size = rec_get_u64(&r);
	x->order = rec_get_u32(&r);
	x->mark = rec_get_u32(&r);
	have = rec_get_u8(&r) == '+';
	x->guid = rec_get_str(&r, &n);
	if (!have)
		x->guid = NULL;
	have = rec_get_u8(&r) == '+';
	x->uidl = rec_get_str(&r, &n);
	if (!have)
		x->uidl = NULL;
	x->numbers = r.p;
	x->nnumbers = r.left / 2;
	return r.bad ? -1 : 0;
}

/* The file at hand of the files' cursor. */
static void
take_file(struct join *j, struct file *f)
{
	struct rec_reader *r = &j->files.r;
	const char *info;
	size_t len;

	memset(f, 0, sizeof *f);
	f->place = rec_get_u8(r) == IN_CUR ? IN_CUR : IN_NEW;
	info = rec_get_str(r, &len);
	assert(len < sizeof f->info);
	memcpy(f->info, info, len + 1);
	f->ino = rec_get_u64(r);
	f->mtime = (int64_t)rec_get_u64(r);
	f->size = rec_get_u64(r);
	f->scan = rec_get_u8(r);
	f->gone = (f->scan & SCAN_GONE) != 0;
	f->scan &= (unsigned char)~SCAN_GONE;
}

static void
file_name(const struct join *j, const struct file *f, char *out, size_t size)
{
	snprintf(out, size, "%s%s", j->base, f->info);
}

/* SHA-256 of a file: 1, 0 it is gone, -1 it cannot be read. */
static int
digest_file(struct join *j, struct file *f)
{
	char name[2 * NAME_MAX + 2], path[8192], *chunk;
	const size_t room = (size_t)64 * 1024;
	struct stat st;
	EVP_MD_CTX *md;
	ssize_t n;
	int fd;

	if (f->hashed)
		return 1;
	file_name(j, f, name, sizeof name);
	snprintf(path, sizeof path, "%s/%s/%s", j->m->box.path,
	    maildir_place[f->place], name);
	fd = maildir_open_message(j->m->box.dirs[f->place], name,
	    j->m->rootfd, path, &st);
	if (fd == -1)
		return errno == ENOENT ? 0 : -1;
	chunk = xmalloc(room);
	md = EVP_MD_CTX_new();
	EVP_DigestInit_ex(md, EVP_sha256(), NULL);
	while ((n = read(fd, chunk, room)) > 0 || (n == -1 && errno == EINTR))
		if (n > 0)
			EVP_DigestUpdate(md, chunk, (size_t)n);
	EVP_DigestFinal_ex(md, f->digest, NULL);
	EVP_MD_CTX_free(md);
	free(chunk);
	close(fd);
	f->hashed = n == 0;
	return n == 0 ? 1 : -1;
}

/* Is b the message that a is?  1, 0, or -1: b is gone. */
static int
same_message(struct join *j, struct file *a, struct file *b)
{
	int rc;

	if (a->ino == b->ino)
		return 1;
	if (a->size != b->size)
		return 0;
	if ((rc = digest_file(j, b)) != 1)
		return rc == 0 ? -1 : 0;
	return digest_file(j, a) == 1 &&
	    memcmp(a->digest, b->digest, sizeof a->digest) == 0;
}

/* Of two names of one message the one seen later, else the better one: flags
 * are mostly added. */
static void
keep_better(struct file *a, const struct file *b)
{
	size_t na = strlen(a->info), nb = strlen(b->info);

	if (a->scan != b->scan ? a->scan > b->scan :
	    a->place != b->place ? a->place == IN_CUR :
	    na != nb ? na > nb : strcmp(a->info, b->info) >= 0)
		return;
	a->scan = b->scan;
	a->place = b->place;
	a->ino = b->ino;
	a->mtime = b->mtime;
	memcpy(a->info, b->info, sizeof a->info);
}

/* A further file of the name that the group has.  It sorts behind those. */
static int
add_to_group(struct join *j, struct file *f, struct err *e)
{
	char where[2 * NAME_MAX + 10], suffix[NAME_MAX + 8];
	size_t i;
	int rc;

	snprintf(where, sizeof where, "%s/%s%s", maildir_place[f->place],
	    j->base, f->info);
	/* A name that is gone says something only when it is the only one. */
	if (f->gone || j->group[0].gone) {
		if (!f->gone)
			j->group[0] = *f;
		j->merged++;
		return 0;
	}
	for (i = 0; i < j->ngroup; i++) {
		if ((rc = same_message(j, &j->group[i], f)) == 0)
			continue;
		j->merged++;
		if (rc == 1 && j->group[i].ino != f->ino)
			maildir_tell(j->m, W_DOUBLE, where, "the same message "
			    "lies there under another name: counted once");
		if (rc == 1)
			keep_better(&j->group[i], f);
		return 0;
	}
	if (j->ngroup < SAME_NAME_MAX) {
		j->group[j->ngroup++] = *f;
		return 0;
	}
	/* Nobody has that many but to hurt: each is a message. */
	snprintf(suffix, sizeof suffix, "#%s%s", maildir_place[f->place],
	    f->info);
	return emit(j, f, suffix, false, e);
}

static int
end_group(struct join *j, struct err *e)
{
	char where[2 * NAME_MAX + 10], suffix[NAME_MAX + 8];
	struct file *f;
	size_t i, k;
	int rc;

	if (emit(j, &j->group[0], "", true, e) == -1)
		return -1;
	for (i = 1; i < j->ngroup; i++) {
		f = &j->group[i];
		snprintf(where, sizeof where, "%s/%s%s",
		    maildir_place[f->place], j->base, f->info);
		rc = digest_file(j, f);
		if (rc == 0) {
			j->merged++;	/* gone while we looked */
			continue;
		}
		maildir_tell(j->m, W_DOUBLE, where, "another message under a "
		    "name that is taken: it has no UID");
		if (rc == 1) {
			suffix[0] = '#';
			for (k = 0; k < 8; k++)
				snprintf(suffix + 1 + 2 * k, 3, "%02x",
				    f->digest[k]);
		} else
			snprintf(suffix, sizeof suffix, "#%s%s",
			    maildir_place[f->place], f->info);
		if (emit(j, f, suffix, false, e) == -1)
			return -1;
	}
	return 0;
}

static int
join_all(struct join *j, struct err *e)
{
	struct lists *l = j->l;
	struct file f;
	uint64_t key;
	int rc;

	if (start(&j->files, l->files, e) == -1 ||
	    start(&j->uids, l->uids, e) == -1 ||
	    start(&j->keywords, l->keywords, e) == -1 ||
	    start(&j->uidls, l->uidls, e) == -1)
		return -1;
	while (!j->files.at_end) {
		key = j->files.key;
		snprintf(j->base, sizeof j->base, "%s", j->files.base);
		j->ngroup = 0;
		if (collect_facts(j, key, e) == -1)
			return -1;
		while ((rc = seek(&j->files, key, j->base, e)) == 1) {
			take_file(j, &f);
			if (j->ngroup == 0)
				j->group[j->ngroup++] = f;
			else if (add_to_group(j, &f, e) == -1)
				return -1;
			if (advance(&j->files, e) == -1)
				return -1;
		}
		if (rc == -1 || end_group(j, e) == -1)
			return -1;
	}
	return 0;
}

static int
join_lists(struct maildir *m, struct lists *l, struct err *e)
{
	unsigned char digest[32];
	struct join j;
	int i, rc;

	memset(&j, 0, sizeof j);
	j.m = m;
	j.l = l;
	j.group = xcalloc(SAME_NAME_MAX, sizeof *j.group);
	buf_init(&j.facts.guid, 16 * 1024);
	buf_init(&j.facts.uidl, 16 * 1024);
	buf_init(&j.facts.numbers, 16 * 1024);
	j.md = EVP_MD_CTX_new();
	EVP_DigestInit_ex(j.md, EVP_sha256(), NULL);
	for (i = 0; i < DOVECOT_KEYWORDS; i++)
		if (m->box.letters[i] != NULL)
			update(&j, m->box.letters[i],
			    strlen(m->box.letters[i]) + 1);
		else
			update(&j, "", 1);
	rc = join_all(&j, e);
	EVP_DigestFinal_ex(j.md, digest, NULL);
	for (i = 0; i < (int)sizeof digest; i++)
		snprintf(m->box.hash + 2 * i, 3, "%02x", digest[i]);
	EVP_MD_CTX_free(j.md);
	buf_release(&j.facts.guid);
	buf_release(&j.facts.uidl);
	buf_release(&j.facts.numbers);
	free(j.group);
	m->box.count = l->counted - j.merged;
	return rc;
}

int
maildir_index(struct maildir *m, struct err *e)
{
	struct lists l;
	int rc;

	err_clear(e);
	memset(&l, 0, sizeof l);
	buf_init(&l.rec, REC_MAX);
	l.uids = spill_new();
	l.keywords = spill_new();
	l.uidls = spill_new();
	spill_free(&m->box.entries);
	m->box.entries = spill_new();
	/* Files first: whatever got a UID until then is in the list. */
	rc = maildir_scan(m, &l, e);
	if (rc == 0)
		rc = maildir_meta(m, &l, e);
	if (rc == 0)
		rc = join_lists(m, &l, e);
	if (rc == 0)
		rc = spill_sort(m->box.entries, e);
	spill_free(&l.files);
	spill_free(&l.uids);
	spill_free(&l.keywords);
	spill_free(&l.uidls);
	buf_release(&l.rec);
	m->box.listed = rc == 0;
	return rc;
}

/*
 * What a token remembers, one line each, "-" for what is not there:
 *	<dev> <inode> <size> <mtime> <ctime>
 * Every change of a flag is a rename, every delivery a new name: both change
 * the directory's times.
 */
int
maildir_watch(struct maildir *m, struct err *e)
{
	static const char *const names[WATCHED] = {
		"cur", "new", "dovecot-uidlist", "dovecot-keywords",
		"courierimapuiddb", "courierpop3dsizelist",
		"courierimapkeywords"
	};
	struct timespec now;
	struct stat st;
	int i;

	clock_gettime(CLOCK_REALTIME, &now);
	buf_reset(&m->box.watch);
	m->box.racy = false;
	for (i = 0; i < WATCHED; i++) {
		if (fstatat(m->box.fd, names[i], &st, AT_SYMLINK_NOFOLLOW) ==
		    -1) {
			if (errno != ENOENT)
				return err_sys(e, quiet_scope(errno,
				    ERR_MAILBOX), "%s", names[i]);
			buf_adds(&m->box.watch, "-\n");
			continue;
		}
		/* Times tick coarsely: what changed within this second may
		 * change again without showing it. */
		if (st.st_mtim.tv_sec + 2 >= now.tv_sec ||
		    st.st_ctim.tv_sec + 2 >= now.tv_sec)
			m->box.racy = true;
		buf_addf(&m->box.watch, "%jx %jx %jx %jd.%09ld %jd.%09ld\n",
		    (uintmax_t)st.st_dev, (uintmax_t)st.st_ino,
		    (uintmax_t)st.st_size, (intmax_t)st.st_mtim.tv_sec,
		    st.st_mtim.tv_nsec, (intmax_t)st.st_ctim.tv_sec,
		    st.st_ctim.tv_nsec);
	}
	return 0;
}
