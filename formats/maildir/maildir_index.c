/*
 * The listing of one mailbox, sorted, in flat memory.
 *
 * Four unsorted lists are put into spills with the hash of the base name as
 * the key, so that one pass over all of them joins what belongs to a message:
 *
 *	files		base 0, place, info 0, inode, mtime, size, scan
 *	uids		base 0, uid, order, guid, uidl
 *	keywords	base 0, how new, numbers		(Courier)
 *	uidls		base 0, uidl				(Courier)
 *
 * A record begins with the base name and a NUL, so records of one name lie
 * side by side even if hashes collide.  What comes out is the list of entries,
 * sorted by UID, then those without one by time, microseconds and name, as
 * Dovecot numbers new files.
 *
 * One base name, several files: the same inode is one file that was renamed
 * while we looked; equal bytes are one message (an interrupted copy); other
 * bytes are another message, whose key is base#<16 hex digits of SHA-256>.
 */
#include <assert.h>
#include <dirent.h>
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/mutf7.h"
#include "base/xmalloc.h"
#include "maildir/maildir_impl.h"

#define REC_MAX		((size_t)64 * 1024)
#define SCANS_MAX	3
#define SAME_NAME_MAX	((size_t)200)	/* compared with one another */
#define SCAN_GONE	0x80		/* beside its number: was not there
					 * any more when it was looked at */

enum place { IN_CUR = 0, IN_NEW = 1 };
static const char *const place_name[] = { "cur", "new" };

struct lists {
	struct spill	*files, *uids, *keywords, *uidls;
	struct buf	 rec;		/* being made */
	uint64_t	 counted;	/* files that are messages */
	unsigned char	 scan;		/* number of the scan, from 1 */
};

/* Records. */

static void
put_u32(struct buf *b, uint32_t v)
{
	v = htobe32(v);
	buf_add(b, &v, sizeof v);
}

static void
put_u64(struct buf *b, uint64_t v)
{
	v = htobe64(v);
	buf_add(b, &v, sizeof v);
}

static void
put_str(struct buf *b, const char *p, size_t len)
{
	buf_add(b, p, len);
	buf_addc(b, '\0');
}

/* A record being read; bad stays set once it was too short. */
struct reader {
	const unsigned char *p;
	size_t		 left;
	bool		 bad;
};

static uint32_t
get_u32(struct reader *r)
{
	uint32_t v;

	if (r->left < sizeof v) {
		r->bad = true;
		return 0;
	}
	memcpy(&v, r->p, sizeof v);
	r->p += sizeof v;
	r->left -= sizeof v;
	return be32toh(v);
}

static uint64_t
get_u64(struct reader *r)
{
	uint64_t high = get_u32(r);

	return high << 32 | get_u32(r);
}

static unsigned char
get_u8(struct reader *r)
{
	if (r->left < 1) {
		r->bad = true;
		return 0;
	}
	r->left--;
	return *r->p++;
}

static const char *
get_str(struct reader *r, size_t *len)
{
	const unsigned char *s = r->p;
	const unsigned char *nul = r->left > 0 ? memchr(s, 0, r->left) : NULL;

	if (nul == NULL) {
		r->bad = true;
		*len = 0;
		return "";
	}
	*len = (size_t)(nul - s);
	r->p = nul + 1;
	r->left -= *len + 1;
	return (const char *)s;
}

/* FNV-1a, folded once more: names differ mostly at their ends. */
static uint64_t
hash(const char *p, size_t len)
{
	uint64_t h = UINT64_C(0xcbf29ce484222325);

	for (; len > 0; len--, p++)
		h = (h ^ (unsigned char)*p) * UINT64_C(0x100000001b3);
	return h ^ h >> 29;
}

/* Starts a record of base in l->rec. */
static uint64_t
begin_rec(struct lists *l, const char *base, size_t nbase)
{
	buf_reset(&l->rec);
	put_str(&l->rec, base, nbase);
	return hash(base, nbase);
}

static int
end_rec(struct lists *l, struct spill *s, uint64_t key, struct err *e)
{
	if (l->rec.full)
		return 0;	/* a UIDL of 60 kB: do without */
	return spill_put(s, key, l->rec.ptr, l->rec.len, e);
}

/* Reading the directories. */

static void
where_of(char *out, size_t size, enum place place, const char *name)
{
	snprintf(out, size, "%s/%s", place_name[place], name);
}

static bool
odd_name(const char *name, size_t len)
{
	size_t i;

	for (i = 0; i < len; i++)
		if ((unsigned char)name[i] < 0x20 || name[i] == 0x7f)
			return true;
	return !utf8_valid(name, len);
}

/* A link: 1 it may be a message (whether it can be read shows later), 0 it is
 * none. */
static int
look_at_link(struct maildir *m, const char *where, struct stat *st)
{
	char path[8192];
	struct stat target;
	int n;

	n = snprintf(path, sizeof path, "%s/%s", m->box.path, where);
	if (n < 0 || (size_t)n >= sizeof path)
		return 1;
	if (maildir_stat_link(m->rootfd, path, &target) == -1) {
		if (errno == ENOENT || errno == ELOOP || errno == ENOTDIR) {
			maildir_tell(m, W_LINK, where,
			    "a symbolic link that leads to nothing");
			return 0;
		}
		maildir_tell(m, W_LINK, where, errno == EXDEV ?
		    "a symbolic link that leaves the Maildir: not followed" :
		    "a symbolic link that cannot be followed: %s",
		    strerrordesc_np(errno));
		return 1;
	}
	if (!S_ISREG(target.st_mode)) {
		maildir_tell(m, W_LINK, where,
		    "a symbolic link to something that is no file");
		return 0;
	}
	st->st_ino = target.st_ino;
	st->st_size = target.st_size;
	st->st_mtim = target.st_mtim;
	return 1;
}

static const char *
type_name(mode_t mode)
{
	return S_ISDIR(mode) ? "a directory" : S_ISFIFO(mode) ? "a fifo" :
	    S_ISSOCK(mode) ? "a socket" : "a device";
}

/* One name of cur/ or new/. */
static int
scan_name(struct maildir *m, struct lists *l, enum place place,
    const struct dirent *d, struct err *e)
{
	const char *name = d->d_name;
	struct maildir_name mn;
	size_t len = strlen(name);
	char where[NAME_MAX + 8];
	uint64_t key, size;
	bool gone = false;
	struct stat st;

	where_of(where, sizeof where, place, name);
	if (name[0] == '.') {
		maildir_tell(m, W_DOT, where,
		    "a name with a leading dot: not mail");
		return 0;
	}
	if (fstatat(m->box.dirs[place], name, &st, AT_SYMLINK_NOFOLLOW) == -1) {
		/* Renamed meanwhile or gone: perhaps no reading of the
		 * directory meets its new name. */
		gone = errno == ENOENT;
		if (!gone && maildir_scope(errno, ERR_MESSAGE) != ERR_MESSAGE)
			return err_sys(e, maildir_scope(errno, ERR_MAILBOX),
			    "%s", where);
		memset(&st, 0, sizeof st);
		st.st_ino = d->d_ino;
		size = UNKNOWN64;
	} else {
		if (S_ISLNK(st.st_mode)) {
			if (look_at_link(m, where, &st) == 0)
				return 0;
		} else if (!S_ISREG(st.st_mode)) {
			maildir_tell(m, W_TYPE, where, "%s: not mail",
			    type_name(st.st_mode));
			return 0;
		}
		size = (uint64_t)st.st_size;
	}
	if (odd_name(name, len))
		maildir_tell(m, W_NAME, where,
		    "a name with control characters or bytes that are no "
		    "UTF-8; the message is read");
	maildir_name_parse(&mn, name, len);
	key = begin_rec(l, name, mn.base);
	buf_addc(&l->rec, (char)place);
	put_str(&l->rec, name + mn.base, len - mn.base);
	put_u64(&l->rec, (uint64_t)st.st_ino);
	put_u64(&l->rec, (uint64_t)st.st_mtim.tv_sec);
	put_u64(&l->rec, size);
	buf_addc(&l->rec, (char)(l->scan | (gone ? SCAN_GONE : 0)));
	if (end_rec(l, l->files, key, e) == -1)
		return -1;
	l->counted++;
	return 0;
}

static int
scan_dir(struct maildir *m, struct lists *l, enum place place, struct err *e)
{
	struct dirent *d;
	DIR *dir;
	int fd, rc = 0;

	if (m->box.dirs[place] == -1)
		return 0;
	fd = maildir_open_dir(m->box.fd, place_name[place]);
	if (fd == -1 || (dir = fdopendir(fd)) == NULL) {
		err_sys(e, maildir_scope(errno, ERR_MAILBOX), "read %s/",
		    place_name[place]);
		if (fd != -1)
			close(fd);
		return -1;
	}
	while (rc == 0) {
		errno = 0;
		if ((d = readdir(dir)) == NULL) {
			if (errno != 0)
				rc = err_sys(e, maildir_scope(errno,
				    ERR_MAILBOX), "read %s/",
				    place_name[place]);
			break;
		}
		if (strcmp(d->d_name, ".") != 0 && strcmp(d->d_name, "..") != 0)
			rc = scan_name(m, l, place, d, e);
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

/* The times of cur/ before it is read.  They tick coarsely: what changes now
 * must get another time than what changed just before, so wait for the tick. */
static int
stat_cur(struct maildir *m, struct stat *st)
{
	const struct timespec tick = { 0, 15 * 1000 * 1000 };
	struct timespec now;
	int i;

	for (i = 0; i < 3; i++) {
		if (fstat(m->box.dirs[IN_CUR], st) == -1)
			return -1;
		clock_gettime(CLOCK_REALTIME, &now);
		if (now.tv_sec - st->st_mtim.tv_sec > 1 ||
		    (now.tv_sec - st->st_mtim.tv_sec) * 1000000000 +
		    now.tv_nsec - st->st_mtim.tv_nsec > tick.tv_nsec)
			break;
		nanosleep(&tick, NULL);
	}
	return 0;
}

/* One reading of both: 1 nothing changed meanwhile, 0 something did. */
static int
scan_once(struct maildir *m, struct lists *l, struct err *e)
{
	struct stat before, after;

	/* new/ first: a message that moves to cur/ meanwhile is seen once or
	 * twice, never not at all. */
	if (scan_dir(m, l, IN_NEW, e) == -1)
		return -1;
	if (m->box.dirs[IN_CUR] == -1)
		return 1;
	if (stat_cur(m, &before) == -1)
		return err_sys(e, maildir_scope(errno, ERR_MAILBOX), "cur/");
	if (scan_dir(m, l, IN_CUR, e) == -1)
		return -1;
	if (fstat(m->box.dirs[IN_CUR], &after) == -1)
		return err_sys(e, maildir_scope(errno, ERR_MAILBOX), "cur/");
	return same_time(&before, &after);
}

/* Everything of one spill into another. */
static int
pour(struct spill *from, struct spill *to, struct err *e)
{
	const void *rec;
	uint64_t key;
	size_t len;
	int rc;

	if (spill_sort(from, e) == -1)
		return -1;
	while ((rc = spill_next(from, &key, &rec, &len, e)) == 1)
		if (spill_put(to, key, rec, len, e) == -1)
			return -1;
	return rc;
}

/*
 * A rename inside a directory that is being read may hide the file's old and
 * new name.  So a reading counts for itself only if cur/ did not change
 * meanwhile; after SCANS_MAX that did not, all of them together count.
 */
static int
scan(struct maildir *m, struct lists *l, struct err *e)
{
	struct spill *old[SCANS_MAX] = { NULL };
	uint64_t counted = 0;
	int i, rc = 0;

	for (l->scan = 1; l->scan <= SCANS_MAX && rc == 0; l->scan++) {
		m->box.quiet = l->scan > 1;	/* oddities are told already */
		if (l->scan > 1) {
			old[l->scan - 2] = l->files;
			counted += l->counted;
		}
		l->files = spill_new();
		l->counted = 0;
		rc = scan_once(m, l, e);
	}
	for (i = 0; i < SCANS_MAX; i++) {
		if (rc == 0 && old[i] != NULL)
			rc = pour(old[i], l->files, e);
		spill_free(&old[i]);
	}
	if (rc == 0)
		l->counted += counted;
	return rc == -1 ? -1 : 0;
}

/* Metadata. */

struct uid_ctx {
	struct maildir	*m;
	struct lists	*l;
	const char	*file;
};

static int
on_uid(void *ctx, const struct uidlist_rec *r, struct err *e)
{
	struct uid_ctx *u = ctx;
	uint64_t key = begin_rec(u->l, r->base, r->nbase);

	put_u32(&u->l->rec, r->uid);
	put_u32(&u->l->rec, r->order);
	/* '+' marks what is there. */
	buf_addc(&u->l->rec, r->guid != NULL ? '+' : '-');
	put_str(&u->l->rec, r->guid, r->nguid);
	buf_addc(&u->l->rec, r->uidl != NULL ? '+' : '-');
	put_str(&u->l->rec, r->uidl, r->nuidl);
	return end_rec(u->l, u->l->uids, key, e);
}

static void
on_uid_warn(void *ctx, unsigned long line, const char *text)
{
	struct uid_ctx *u = ctx;

	maildir_tell(u->m, W_META, u->file, "line %lu: %s", line, text);
}

/* An open metadata file or -1: there is none, or it was told why not. */
static int
open_meta(struct maildir *m, const char *name)
{
	struct stat st;
	int fd = maildir_open_file(m->box.fd, name, &st);

	if (fd == -1 && errno != ENOENT)
		maildir_tell(m, W_META, name, "cannot be read: %s",
		    errno == ELOOP ? "a symbolic link" : strerrordesc_np(errno));
	return fd;
}

/* UIDs; Dovecot's list goes before one that Courier left behind. */
static int
read_uids(struct maildir *m, struct lists *l, struct err *e)
{
	struct maildir_lines lines;
	struct uid_ctx u = { m, l, "dovecot-uidlist" };
	int fd, rc;

	memset(&m->box.uids, 0, sizeof m->box.uids);
	fd = open_meta(m, u.file);
	m->box.dovecot = fd != -1;
	if (fd == -1) {
		u.file = "courierimapuiddb";
		fd = open_meta(m, u.file);
	}
	if (fd == -1)
		return 0;
	maildir_lines_fd(&lines, fd);
	rc = uidlist_read(&lines, &m->box.uids, on_uid, on_uid_warn, &u, e);
	maildir_lines_end(&lines);
	close(fd);
	if (rc == -1)
		return err_ctx(e, "%s", u.file);
	if (rc == 0) {
		memset(&m->box.uids, 0, sizeof m->box.uids);
		spill_free(&l->uids);
		l->uids = spill_new();
	}
	return 0;
}

/* UIDLs of Courier's POP3 server, unless Dovecot has taken over. */
static int
read_sizelist(struct maildir *m, struct lists *l, struct err *e)
{
	static const char file[] = "courierpop3dsizelist";
	struct maildir_lines lines;
	const char *line, *base = NULL;
	size_t len, nbase = 0;
	unsigned version = 0;
	struct buf uidl;
	uint64_t key;
	int fd, rc, head;

	if (m->box.dovecot || (fd = open_meta(m, file)) == -1)
		return 0;
	buf_init(&uidl, 4096);
	maildir_lines_fd(&lines, fd);
	while ((rc = maildir_lines_next(&lines, &line, &len)) == 1) {
		if (lines.number == 1) {
			head = sizelist_head_parse(&version, line, len);
			if (head == -1) {
				maildir_tell(m, W_META, file, "unknown "
				    "version: no POP3 UIDL of it is used");
				break;
			}
			if (head == 1)
				continue;
		}
		buf_reset(&uidl);
		if (sizelist_rec_parse(&base, &nbase, &uidl, version, line,
		    len) == 0) {
			maildir_tell(m, W_META, file, "line %lu is not "
			    "understood", lines.number);
			continue;
		}
		key = begin_rec(l, base, nbase);
		put_str(&l->rec, uidl.ptr, uidl.len);
		if ((rc = end_rec(l, l->uidls, key, e)) == -1)
			break;
	}
	if (rc == -1 && e->scope == ERR_NONE)
		err_sys(e, maildir_scope(errno, ERR_MAILBOX), "read %s", file);
	maildir_lines_end(&lines);
	buf_release(&uidl);
	close(fd);
	return rc == -1 ? -1 : 0;
}

static int
put_keywords(struct lists *l, const char *base, size_t nbase, uint64_t newer,
    const uint16_t *numbers, size_t n, struct err *e)
{
	uint64_t key = begin_rec(l, base, nbase);

	put_u64(&l->rec, newer);
	buf_add(&l->rec, numbers, n * sizeof *numbers);
	return end_rec(l, l->keywords, key, e);
}

static int
on_keywords(void *ctx, const char *base, size_t nbase,
    const uint16_t *numbers, size_t n, struct err *e)
{
	return put_keywords(ctx, base, nbase, 0, numbers, n, e);
}

/* The change files beside :list. */
static int
read_changes(struct maildir *m, struct lists *l, DIR *dir, struct err *e)
{
	uint16_t numbers[1000];
	struct dirent *d;
	const char *base;
	struct buf text;
	uint64_t newer;
	size_t n;
	int rc = 0;

	buf_init(&text, 64 * 1024);
	while (rc == 0) {
		errno = 0;
		if ((d = readdir(dir)) == NULL) {
			if (errno != 0)
				rc = err_sys(e, maildir_scope(errno,
				    ERR_MAILBOX), "read courierimapkeywords/");
			break;
		}
		if (strcmp(d->d_name, ".") == 0 ||
		    strcmp(d->d_name, "..") == 0 ||
		    courier_keywords_name(d->d_name, &base, &newer) == 0)
			continue;
		if (maildir_slurp(m, dirfd(dir), d->d_name, text.max,
		    &text) == 0)
			continue;
		courier_keywords_file(&m->box.courier, text.ptr, text.len,
		    numbers, sizeof numbers / sizeof numbers[0], &n);
		rc = put_keywords(l, base, strlen(base), newer, numbers, n, e);
	}
	buf_release(&text);
	return rc;
}

static int
read_courier_keywords(struct maildir *m, struct lists *l, struct err *e)
{
	struct maildir_lines lines;
	struct stat st;
	size_t bad = 0;
	int fd, list, rc = 0;
	DIR *dir;

	keyword_table_release(&m->box.courier);
	fd = maildir_open_dir(m->box.fd, "courierimapkeywords");
	if (fd == -1 || (dir = fdopendir(fd)) == NULL) {
		if (fd != -1)
			close(fd);
		return 0;
	}
	list = maildir_open_file(fd, ":list", &st);
	if (list != -1) {
		maildir_lines_fd(&lines, list);
		rc = courier_keywords_list(&lines, &m->box.courier,
		    on_keywords, l, &bad, e);
		maildir_lines_end(&lines);
		close(list);
	} else if (errno != ENOENT)
		maildir_tell(m, W_META, "courierimapkeywords/:list",
		    "cannot be read: %s", strerrordesc_np(errno));
	if (bad > 0)
		maildir_tell(m, W_META, "courierimapkeywords/:list",
		    "%zu lines are not understood", bad);
	if (rc == 0)
		rc = read_changes(m, l, dir, e);
	closedir(dir);
	return rc;
}

static void
read_dovecot_keywords(struct maildir *m)
{
	struct buf text;
	size_t bad;
	int i;

	for (i = 0; i < DOVECOT_KEYWORDS; i++) {
		free(m->box.letters[i]);
		m->box.letters[i] = NULL;
	}
	buf_init(&text, 256 * 1024);
	if (maildir_slurp(m, m->box.fd, "dovecot-keywords", text.max,
	    &text) == 1) {
		m->box.dovecot = true;
		bad = dovecot_keywords_parse(m->box.letters, text.ptr,
		    text.len);
		if (bad > 0)
			maildir_tell(m, W_META, "dovecot-keywords",
			    "%zu lines are not understood or repeat a name",
			    bad);
	}
	buf_release(&text);
}

/* The join. */

/* A spill with its record at hand. */
struct cursor {
	struct spill	*s;
	bool		 at_end;
	uint64_t	 key;
	const char	*base;
	struct reader	 r;		/* what follows the base */
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
		c->base = get_str(&c->r, &len);
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
	uint32_t	 uid, order;
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
	uint64_t	 merged;	/* files that are no message of theirs */
	EVP_MD_CTX	*md;
};

static int
collect_facts(struct join *j, uint64_t key, struct err *e)
{
	struct facts *f = &j->facts;
	const char *s;
	size_t len;
	int rc;

	f->uid = f->order = 0;
	f->has_guid = f->has_uidl = false;
	buf_reset(&f->guid);
	buf_reset(&f->uidl);
	buf_reset(&f->numbers);
	/* The last UID of a name wins, as for Dovecot. */
	while ((rc = seek(&j->uids, key, j->base, e)) == 1) {
		struct reader *r = &j->uids.r;

		if (f->uid != 0)
			maildir_tell(j->m, W_DOUBLE, j->base,
			    "has more than one UID: the last one counts");
		f->uid = get_u32(r);
		f->order = get_u32(r);
		f->has_guid = get_u8(r) == '+';
		s = get_str(r, &len);
		buf_reset(&f->guid);
		buf_add(&f->guid, s, len);
		f->has_uidl = get_u8(r) == '+';
		s = get_str(r, &len);
		buf_reset(&f->uidl);
		buf_add(&f->uidl, s, len);
		if (advance(&j->uids, e) == -1)
			return -1;
	}
	if (rc == -1)
		return -1;
	/* The newest set of keywords, which sorts last. */
	while ((rc = seek(&j->keywords, key, j->base, e)) == 1) {
		(void)get_u64(&j->keywords.r);
		buf_reset(&f->numbers);
		buf_add(&f->numbers, j->keywords.r.p, j->keywords.r.left);
		if (advance(&j->keywords, e) == -1)
			return -1;
	}
	if (rc == -1)
		return -1;
	while ((rc = seek(&j->uidls, key, j->base, e)) == 1) {
		s = get_str(&j->uidls.r, &len);
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
	put_u32(b, mn.usecs);
	put_str(b, j->base, strlen(j->base));
	put_str(b, suffix, strlen(suffix));
	put_str(b, f->info, strlen(f->info));
	buf_addc(b, (char)f->place);
	put_u32(b, with_facts ? x->uid : 0);
	put_u64(b, f->ino);
	put_u64(b, (uint64_t)f->mtime);
	put_u64(b, f->size);
	put_u32(b, with_facts ? x->order : 0);
	buf_addc(b, with_facts && x->has_guid ? '+' : '-');
	put_str(b, x->guid.ptr, x->guid.len);
	buf_addc(b, with_facts && x->has_uidl ? '+' : '-');
	put_str(b, x->uidl.ptr, x->uidl.len);
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
	struct reader r = { rec, len, false };
	size_t n;
	bool have;

	memset(x, 0, sizeof *x);
	(void)get_u32(&r);
	x->base = get_str(&r, &n);
	x->suffix = get_str(&r, &n);
	x->info = get_str(&r, &n);
	x->in_cur = get_u8(&r) == IN_CUR;
	x->uid = get_u32(&r);
	x->ino = get_u64(&r);
	x->mtime = (int64_t)get_u64(&r);
	x->size = get_u64(&r);
	x->order = get_u32(&r);
	have = get_u8(&r) == '+';
	x->guid = get_str(&r, &n);
	if (!have)
		x->guid = NULL;
	have = get_u8(&r) == '+';
	x->uidl = get_str(&r, &n);
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
	struct reader *r = &j->files.r;
	const char *info;
	size_t len;

	memset(f, 0, sizeof *f);
	f->place = get_u8(r) == IN_CUR ? IN_CUR : IN_NEW;
	info = get_str(r, &len);
	assert(len < sizeof f->info);
	memcpy(f->info, info, len + 1);
	f->ino = get_u64(r);
	f->mtime = (int64_t)get_u64(r);
	f->size = get_u64(r);
	f->scan = get_u8(r);
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
	    place_name[f->place], name);
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

	snprintf(where, sizeof where, "%s/%s%s", place_name[f->place],
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
	snprintf(suffix, sizeof suffix, "#%s%s", place_name[f->place],
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
		snprintf(where, sizeof where, "%s/%s%s", place_name[f->place],
		    j->base, f->info);
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
			    place_name[f->place], f->info);
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
	rc = scan(m, &l, e);
	m->box.quiet = false;
	if (rc == 0)
		rc = read_uids(m, &l, e);
	if (rc == 0)
		rc = read_sizelist(m, &l, e);
	if (rc == 0)
		rc = read_courier_keywords(m, &l, e);
	if (rc == 0) {
		read_dovecot_keywords(m);
		rc = join_lists(m, &l, e);
	}
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
				return err_sys(e, maildir_scope(errno,
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
