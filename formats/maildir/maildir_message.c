/* The messages of a listed mailbox: their facts, and their contents wherever a
 * live server has moved them. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/decode.h"
#include "maildir/maildir_lists.h"

#define READAHEAD_MAX	((uint64_t)1 << 20)

struct wordlist {
	const char	**w;
	size_t		 n, max;
};

static void
add_word(struct wordlist *l, struct arena *a, const char *w)
{
	size_t i;

	if (w == NULL || w[0] == '\0' || l->n == l->max)
		return;
	for (i = 0; i < l->n; i++)
		if (strcasecmp(l->w[i], w) == 0)
			return;
	l->w[l->n++] = arena_strdup(a, w);
}

/* A letter that dovecot-keywords does not name is "unknown-<n>" to Dovecot;
 * elsewhere it means nothing. */
static const char *
letter_name(struct maildir *m, int letter, const char *where, char text[16])
{
	if (m->box.letters[letter] != NULL)
		return m->box.letters[letter];
	if ((m->box.letters_told & 1U << letter) == 0) {
		m->box.letters_told |= 1U << letter;
		maildir_tell(m, W_KEYWORD, where, m->box.dovecot ? "keyword "
		    "letter '%c' has no name: taken as Dovecot does, "
		    "unknown-%d" : "flag letter '%c' (%d) has no meaning "
		    "here: left out", 'a' + letter, letter);
	}
	if (!m->box.dovecot)
		return NULL;
	snprintf(text, 16, "unknown-%d", letter);
	return text;
}

static void
set_keywords(struct maildir *m, struct arena *a, struct msg_meta *meta,
    const struct entry *x, const struct maildir_flags *f)
{
	size_t max = (f->passed ? 1 : 0) + x->nnumbers +
	    (size_t)__builtin_popcount(f->keywords);
	struct wordlist l = { NULL, 0, max };
	uint16_t number;
	char text[16];
	size_t i;

	if (max == 0)
		return;
	l.w = arena_alloc(a, max * sizeof *l.w);
	if (f->passed)
		add_word(&l, a, "$Forwarded");
	for (i = 0; i < DOVECOT_KEYWORDS; i++)
		if ((f->keywords & UINT32_C(1) << i) != 0)
			add_word(&l, a, letter_name(m, (int)i, meta->where,
			    text));
	for (i = 0; i < x->nnumbers; i++) {
		memcpy(&number, x->numbers + 2 * i, sizeof number);
		if (number < m->box.courier.n)
			add_word(&l, a, m->box.courier.names[number]);
	}
	meta->keywords = l.w;
	meta->nkeywords = l.n;
}

static int
dir_of(const struct maildir *m, const char *where, const char **name)
{
	*name = where + 4;
	return m->box.dirs[where[0] == 'n'];
}

/* Opens cur/NAME or new/NAME. */
static int
open_where(struct maildir *m, const char *where, struct stat *st)
{
	char path[8192];
	const char *name;
	int dir = dir_of(m, where, &name);

	if (dir == -1) {
		errno = ENOENT;
		return -1;
	}
	snprintf(path, sizeof path, "%s/%s", m->box.path, where);
	return maildir_open_message(dir, name, m->rootfd, path, st);
}

/* The size in the name is not the file's: what is the file?  Its own size
 * counts unless it is compressed. */
static void
settle_size(struct maildir *m, struct msg_meta *meta, uint64_t named)
{
	enum decode_kind kind = DECODE_NONE;
	struct stat st;
	int fd;

	if ((fd = open_where(m, meta->where, &st)) == -1)
		return;			/* content() will say why */
	(void)decode_probe(fd, &kind);
	close(fd);
	if (kind == DECODE_NONE)
		maildir_tell(m, W_SIZE, meta->where, "S=%" PRIu64 " in the "
		    "name, but the file has %" PRIu64 " bytes", named,
		    meta->size);
	else {
		meta->size = named;
		meta->oddities |= ODD_COMPRESSED;
	}
}

/* Contents are read soon: let the disk begin. */
int
maildir_want(struct source *s, const struct msg_meta *const *metas, size_t n,
    struct err *e)
{
	struct maildir *m = (struct maildir *)s;
	struct stat st;
	size_t i;
	int fd;

	(void)e;
	for (i = 0; i < n && !s->folder->unread; i++) {
		if (metas[i]->size > READAHEAD_MAX ||
		    (fd = open_where(m, metas[i]->where, &st)) == -1)
			continue;
		(void)posix_fadvise(fd, 0, 0, POSIX_FADV_WILLNEED);
		close(fd);
	}
	return 0;
}

/* The file of inode ino under another name of its base: what a change of flags
 * gives, all of which are tried before the directories are read again. */
static int
open_reflagged(struct maildir *m, const char *base, size_t nbase,
    const char *raw, uint64_t ino, struct stat *st)
{
	static const char letters[] = "DFPRST";
	char where[2 * NAME_MAX], kept[NAME_MAX + 1];
	size_t n, k = 0;
	unsigned set, i;
	int fd;

	for (; raw != NULL && *raw != '\0' && *raw != ','; raw++)
		if (strchr(letters, *raw) == NULL && k < sizeof kept - 1)
			kept[k++] = *raw;
	kept[k] = '\0';
	for (set = 0; set < 64; set++) {
		n = (size_t)snprintf(where, sizeof where, "cur/%.*s:2,",
		    (int)nbase, base);
		if (n + 6 + k >= sizeof where)
			return -1;
		for (i = 0; i < 6; i++)
			if ((set & 1U << i) != 0)
				where[n++] = letters[i];
		memcpy(where + n, kept, k + 1);
		if ((fd = open_where(m, where, st)) == -1)
			continue;
		if ((uint64_t)st->st_ino == ino)
			return fd;
		close(fd);
	}
	return -1;
}

/* Looks through new/ and cur/ for the base name; the same inode first, else
 * (with unique) the only file of that name. */
static int
open_rescanned(struct maildir *m, const char *base, size_t nbase,
    uint64_t ino, bool unique, struct stat *st)
{
	char where[NAME_MAX + 8], other[NAME_MAX + 8] = "";
	struct maildir_name mn;
	struct dirent *d;
	unsigned others = 0;
	int i, fd;
	DIR *dir;

	for (i = 1; i >= 0; i--) {
		fd = maildir_open_dir(m->box.fd, maildir_place[i]);
		if (fd == -1 || (dir = fdopendir(fd)) == NULL) {
			if (fd != -1)
				close(fd);
			continue;
		}
		while ((d = readdir(dir)) != NULL) {
			if (strncmp(d->d_name, base, nbase) != 0)
				continue;
			maildir_name_parse(&mn, d->d_name, strlen(d->d_name));
			if (mn.base != nbase)
				continue;
			snprintf(where, sizeof where, "%s/%s", maildir_place[i],
			    d->d_name);
			if ((fd = open_where(m, where, st)) == -1)
				continue;
			if ((uint64_t)st->st_ino == ino) {
				closedir(dir);
				return fd;
			}
			close(fd);
			others++;
			memcpy(other, where, sizeof other);
		}
		closedir(dir);
	}
	errno = ENOENT;
	return unique && others == 1 ? open_where(m, other, st) : -1;
}

/* The message under whatever name it has now; -1 with errno, ENOENT: it is
 * gone. */
static int
open_current(struct maildir *m, const struct msg_meta *meta, struct stat *st)
{
	const char *base = meta->where + 4;
	bool unique;
	struct maildir_name mn;
	int fd;

	maildir_name_parse(&mn, base, strlen(base));
	unique = strlen(meta->key) == mn.base;
	fd = open_where(m, meta->where, st);
	/* Of several messages of one name the inode tells them apart. */
	if (fd != -1 && !unique && (uint64_t)st->st_ino != meta->cookie) {
		close(fd);
		fd = -1;
		errno = ENOENT;
	}
	if (fd != -1 || errno != ENOENT)
		return fd;
	fd = open_reflagged(m, base, mn.base, mn.raw, meta->cookie, st);
	if (fd == -1)
		fd = open_rescanned(m, base, mn.base, meta->cookie, unique,
		    st);
	if (fd == -1)
		errno = ENOENT;
	return fd;
}

int
maildir_message(struct maildir *m, struct arena *a, struct msg_meta *meta,
    struct err *e)
{
	struct maildir_flags flags;
	struct maildir_name mn;
	struct entry x;
	const void *rec;
	struct stat st;
	uint64_t key;
	size_t len;
	int rc, fd;

	do {
		if ((rc = spill_next(m->box.entries, &key, &rec, &len, e)) !=
		    1)
			return rc;
		if (entry_decode(&x, rec, len) == -1)
			return err_set(e, ERR_MAILBOX, "damaged temporary "
			    "table");
	} while (x.uid != 0 && x.uid < m->box.from_uid);

	meta->where = arena_printf(a, "%s/%s%s", maildir_place[!x.in_cur],
	    x.base, x.info);
	meta->key = x.suffix[0] == '\0' ? arena_strdup(a, x.base) :
	    arena_printf(a, "%s%s", x.base, x.suffix);
	meta->base = x.suffix[0] == '\0' ? meta->key :
	    arena_strdup(a, x.base);
	meta->uid = x.uid;
	meta->cookie = x.ino;
	meta->size = x.size;
	if (x.size == UNKNOWN64 && (fd = open_current(m, meta, &st)) != -1) {
		/* It was renamed just when it was looked at. */
		close(fd);
		x.size = meta->size = (uint64_t)st.st_size;
		x.mtime = st.st_mtim.tv_sec;
	}
	if (x.size != UNKNOWN64) {
		meta->date = x.mtime;
		meta->date_origin = DATE_MTIME;
	}
	if (x.guid != NULL)
		meta->guid = arena_strdup(a, x.guid);
	if (x.uidl != NULL)
		meta->uidl = arena_strdup(a, x.uidl);
	meta->uidl_order = x.order;
	meta->mark = x.mark;
	maildir_name_parse(&mn, meta->where + 4, strlen(meta->where + 4));
	memset(&flags, 0, sizeof flags);
	if (mn.raw != NULL) {
		meta->raw_flags = mn.raw;	/* to the name's end */
		maildir_flags_parse(&flags, mn.raw, mn.nflags);
		meta->flags = flags.flags;
	}
	set_keywords(m, a, meta, &x, &flags);
	if (mn.size != UNKNOWN64 && x.size != UNKNOWN64 && mn.size != x.size)
		settle_size(m, meta, mn.size);
	if (m->box.by_file && x.ino != 0) {
		unsigned char *id = arena_alloc(a, SHA1_LEN);

		maildir_file_id(x.ino, id);
		meta->sha1 = id;
		meta->by_file = true;
	}
	if (m->box.as_served && mn.vsize != UNKNOWN64)
		meta->size = mn.vsize;
	return 1;
}

int
maildir_content(struct source *s, const struct msg_meta *meta,
    struct content **c, struct err *e)
{
	struct maildir *m = (struct maildir *)s;
	enum decode_kind kind = DECODE_NONE;
	struct maildir_name mn;
	struct stat st;
	int fd;

	if ((fd = open_current(m, meta, &st)) == -1) {
		if (errno == ENOENT)
			return 0;
		if (errno == EXDEV)
			return err_set(e, ERR_MESSAGE, "a symbolic link that "
			    "leaves the Maildir: not followed");
		if (errno == EINVAL || errno == ENXIO)
			return err_set(e, ERR_MESSAGE, "no file");
		return err_sys(e, quiet_scope(errno, ERR_MESSAGE), "open");
	}
	maildir_name_parse(&mn, meta->where + 4, strlen(meta->where + 4));
	if (decode_probe(fd, &kind) == -1) {
		err_sys(e, quiet_scope(errno, ERR_MESSAGE), "read");
		close(fd);
		return -1;
	}
	/* A name whose size is the file's says that nothing is to be undone,
	 * whatever the first bytes look like. */
	if (kind == DECODE_NONE || (kind != DECODE_ENCRYPTED &&
	    mn.size == (uint64_t)st.st_size)) {
		*c = content_file(fd, (uint64_t)st.st_size);
		return 1;
	}
	if ((*c = decode_content(fd, true, kind, e)) == NULL)
		return -1;
	if (kind == DECODE_DOVECOT_LZ4 && mn.size != UNKNOWN64)
		decode_expect(*c, mn.size);
	return 1;
}
