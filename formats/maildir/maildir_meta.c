/* The metadata files of a mailbox, of Dovecot or Courier, into lists. */
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "maildir/maildir_lists.h"

struct uid_ctx {
	struct maildir	*m;
	struct lists	*l;
	const char	*file;
};

static int
on_uid(void *ctx, const struct uidlist_rec *r, struct err *e)
{
	struct uid_ctx *u = ctx;
	uint64_t key = lists_begin(u->l, r->base, r->nbase);

	rec_put_u32(&u->l->rec, r->uid);
	rec_put_u32(&u->l->rec, r->order);
	rec_put_u32(&u->l->rec, r->mark);
	/* '+' marks what is there. */
	buf_addc(&u->l->rec, r->guid != NULL ? '+' : '-');
	rec_put_str(&u->l->rec, r->guid, r->nguid);
	buf_addc(&u->l->rec, r->uidl != NULL ? '+' : '-');
	rec_put_str(&u->l->rec, r->uidl, r->nuidl);
	return lists_end(u->l, u->l->uids, key, e);
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
		maildir_tell(m, W_META, name, errno == ELOOP ?
		    "a symbolic link: not followed" : "cannot be read: %s",
		    strerrordesc_np(errno));
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
		key = lists_begin(l, base, nbase);
		rec_put_str(&l->rec, uidl.ptr, uidl.len);
		if ((rc = lists_end(l, l->uidls, key, e)) == -1)
			break;
	}
	if (rc == -1 && e->scope == ERR_NONE)
		err_sys(e, quiet_scope(errno, ERR_MAILBOX), "read %s", file);
	maildir_lines_end(&lines);
	buf_release(&uidl);
	close(fd);
	return rc == -1 ? -1 : 0;
}

static int
put_keywords(struct lists *l, const char *base, size_t nbase, uint64_t newer,
    const uint16_t *numbers, size_t n, struct err *e)
{
	uint64_t key = lists_begin(l, base, nbase);

	rec_put_u64(&l->rec, newer);
	buf_add(&l->rec, numbers, n * sizeof *numbers);
	return lists_end(l, l->keywords, key, e);
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
				rc = err_sys(e, quiet_scope(errno,
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

int
maildir_meta(struct maildir *m, struct lists *l, struct err *e)
{
	if (read_uids(m, l, e) == -1 || read_sizelist(m, l, e) == -1 ||
	    read_courier_keywords(m, l, e) == -1)
		return -1;
	read_dovecot_keywords(m);
	return 0;
}
